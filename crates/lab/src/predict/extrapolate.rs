//! From two threads to many: curves with bands, and who is ahead of whom.
//!
//! A band holds what is not known, drawn again and again: the fitted parameters, fitted again to rounds drawn with replacement; what two threads cannot
//! show ([`Unknowns`]), evenly from bounds; how far the model was off where it could be checked, one such error at random; and the machine,
//! with one last-level cache for all cores or with two sockets. It is from the 5th to the 95th percentile of all of these. It does not hold what
//! is not simulated (memory bandwidth, clock rate, the network card).

use rustredis_testkit::Random;
use serde::Serialize;

use super::case::{Case, Kind};
use super::fit::{AllDraws, Fitted};
use super::measure::Samples;
use super::simulate::{Costs, Unknowns, simulate};
use crate::load::Spread;
use crate::stats::median;

/// Draws for each kind of machine.
const DRAWS: usize = 24;
/// Commands of a simulation, and for each thread.
const COMMANDS: usize = 12_000;
const COMMANDS_EACH: usize = 400;

/// A load that curves are drawn for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// For readers.
    pub title: String,
    /// Its number of commands in a batch or pipeline.
    pub batch: usize,
    /// Whether the network counts.
    pub is_over_tcp: bool,
    #[serde(skip)]
    spread: Spread,
}

/// The loads of the page.
pub fn loads() -> Vec<Load> {
    let load = |title: &str, batch, is_over_tcp, spread| Load {
        title: format!("80% GET, 20% SET, {title}"),
        batch,
        is_over_tcp,
        spread,
    };
    vec![
        load("uniform keys, one at a time over TCP", 1, true, Spread::Uniform),
        load("uniform keys, pipelines of 16 over TCP", 16, true, Spread::Uniform),
        load("Zipf 1.2, pipelines of 16 over TCP", 16, true, Spread::Zipf(1.2)),
        load("uniform keys, in process, one at a time", 1, false, Spread::Uniform),
        load("uniform keys, in process, batches of 16", 16, false, Spread::Uniform),
        load("Zipf 1.2, in process, batches of 16", 16, false, Spread::Zipf(1.2)),
    ]
}

/// Numbers of threads up to so many.
pub fn thread_counts(cores: usize) -> Vec<usize> {
    let mut counts: Vec<usize> =
        [1, 2, 4, 8, 16, 32, 64, 128, 256].into_iter().filter(|&n| n <= cores).collect();
    if counts.last() != Some(&cores) {
        counts.push(cores);
    }
    counts
}

impl Load {
    /// The case of an engine with so many threads.
    pub fn case(&self, kind: Kind, threads: usize) -> Case {
        Case::new(kind, threads, self.batch, 80).spread(self.spread)
    }
}

/// Throughput at a number of threads, requests a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reached {
    /// Threads.
    pub threads: usize,
    /// Lower end.
    pub low: f64,
    /// The middle.
    pub median: f64,
    /// Upper end.
    pub high: f64,
    /// Whether it was measured, and is no prediction.
    pub is_measured: bool,
}

/// An engine's curve under a load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// The engine.
    pub kind: Kind,
    /// Over the numbers of threads.
    pub points: Vec<Reached>,
}

/// An engine with everything that its band is drawn from.
#[derive(Debug)]
pub struct Candidates<'a> {
    /// Fits to the rounds as measured (the first) and as drawn again.
    pub fits: &'a [Fitted],
    /// Predicted divided by measured, where both are known, at one thread.
    pub errors_alone: &'a [f64],
    /// The same at more.
    pub errors: &'a [f64],
}

/// An engine's curve under a load.
pub fn curve(
    load: &Load,
    counts: &[usize],
    candidates: &Candidates<'_>,
    samples: &Samples,
    draws: &AllDraws,
) -> Curve {
    let kind = candidates.fits[0].kind;
    let point = |threads: &usize| {
        let case = load.case(kind, *threads);
        let measured = (!load.is_over_tcp).then(|| samples.rounds(&case)).flatten();
        match measured {
            Some(rounds) => measured_point(*threads, rounds),
            None => predicted_point(load, &case, candidates, draws),
        }
    };
    Curve { kind, points: counts.iter().map(point).collect() }
}

fn rate(threads: usize, nanos: f64) -> f64 {
    threads as f64 * 1e9 / nanos
}

fn measured_point(threads: usize, rounds: &[f64]) -> Reached {
    let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rounds.iter().copied().fold(0.0, f64::max);
    Reached {
        threads,
        low: rate(threads, most),
        median: rate(threads, median(rounds)),
        high: rate(threads, least),
        is_measured: true,
    }
}

fn predicted_point(load: &Load, case: &Case, candidates: &Candidates<'_>, draws: &AllDraws) -> Reached {
    let draws = draws.of(case.spread);
    let commands = COMMANDS.max(COMMANDS_EACH * case.threads);
    let costs_of = |fit: &Fitted| -> Costs {
        if load.is_over_tcp { fit.costs_over_tcp(case, draws) } else { fit.costs(case, draws) }
    };
    let errors = if case.threads == 1 { candidates.errors_alone } else { candidates.errors };
    // The same for every engine at the same place in the order: a machine with slow ways between sockets has them for all.
    let mut random = Random::new(case.threads as u64);
    let mut between = |low: f64, high: f64| low + (high - low) * random.below(1_000_001) as f64 / 1e6;
    let mut nanos = Vec::new();
    for sockets in [1, 2] {
        for index in 0..DRAWS {
            let unknowns = Unknowns {
                crowding: between(0.0, 0.5),
                cross: between(2.0, 5.0),
                travelling: between(0.3, 0.9),
                notice: between(2.0, 20.0),
            };
            let fit = &candidates.fits[index % candidates.fits.len()];
            let error =
                if errors.is_empty() { 1.0 } else { errors[between(0.0, 1e6) as usize % errors.len()] };
            let costs = Costs { unknowns, sockets, ..costs_of(fit) };
            nanos.push(simulate(case, &costs, draws, commands) / error);
        }
    }
    nanos.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| nanos[((nanos.len() - 1) as f64 * share).round() as usize];
    Reached {
        threads: case.threads,
        low: rate(case.threads, at(0.95)),
        median: rate(case.threads, at(0.5)),
        high: rate(case.threads, at(0.05)),
        is_measured: false,
    }
}

/// Who is ahead of whom at so many threads, in words: only where the bands have nothing in common.
pub fn ranking(curves: &[Curve], threads: usize) -> String {
    let mut at: Vec<(Kind, Reached)> = curves
        .iter()
        .filter_map(|curve| Some((curve.kind, *curve.points.iter().find(|point| point.threads == threads)?)))
        .collect();
    at.sort_by(|a, b| b.1.median.total_cmp(&a.1.median));
    let pairs: Vec<String> = at
        .iter()
        .enumerate()
        .filter_map(|(index, (kind, point))| {
            let behind: Vec<&str> = at[index + 1..]
                .iter()
                .filter(|(_, other)| other.high < point.low)
                .map(|(other, _)| other.name())
                .collect();
            (!behind.is_empty()).then(|| format!("{} ahead of {}", kind.name(), behind.join(", ")))
        })
        .collect();
    if pairs.is_empty() { "none is told apart from another".to_owned() } else { pairs.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::simulate::Meeting;

    fn fitted(kind: Kind) -> Fitted {
        Fitted {
            kind,
            alone: [100.0, 40.0, 0.0, 50.0, 60.0, 0.0, 100.0],
            beside: [0.0; 7],
            meeting: Meeting::start(kind).named(),
            kernel_ns: [300.0, 7000.0],
            errand_wake_ns: 500.0,
            line_ns: 60.0,
        }
    }

    fn curve_of(kind: Kind, load: &Load, samples: &Samples) -> Curve {
        let (fits, errors) = ([fitted(kind)], [0.95, 1.05]);
        let candidates = Candidates { fits: &fits, errors_alone: &errors, errors: &errors };
        curve(load, &[1, 2, 16], &candidates, samples, &AllDraws::new(512e3))
    }

    #[test]
    fn bands_hold_their_middle_and_widen() {
        let load = &loads()[4];
        let curve = curve_of(Kind::DashMap, load, &Samples::default());
        for point in &curve.points {
            assert!(point.low <= point.median && point.median <= point.high && !point.is_measured);
        }
        let width = |point: &Reached| point.high / point.low;
        assert!(width(&curve.points[2]) > width(&curve.points[0]), "{curve:?}");
    }

    #[test]
    fn what_is_measured_replaces_what_is_predicted() {
        let load = &loads()[4];
        let mut samples = Samples::default();
        samples.add(load.case(Kind::DashMap, 16), 160.0, 0.0);
        let curve = curve_of(Kind::DashMap, load, &samples);
        assert!(curve.points[2].is_measured && !curve.points[1].is_measured);
        assert!((curve.points[2].median - 1e8).abs() < 1.0);
    }

    #[test]
    fn only_bands_apart_are_ranked() {
        let point =
            |low, high| Reached { threads: 8, low, median: (low + high) / 2.0, high, is_measured: false };
        let curve = |kind, low, high| Curve { kind, points: vec![point(low, high)] };
        let curves =
            [curve(Kind::Mutex, 1.0, 2.0), curve(Kind::DashMap, 5.0, 9.0), curve(Kind::Actor, 1.5, 6.0)];
        assert_eq!(ranking(&curves, 8), "dashmap ahead of mutex");
        assert_eq!(ranking(&curves[..1], 8), "none is told apart from another");
    }

    #[test]
    fn counts_end_with_the_cores() {
        assert_eq!(thread_counts(64), [1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(thread_counts(12), [1, 2, 4, 8, 12]);
    }
}
