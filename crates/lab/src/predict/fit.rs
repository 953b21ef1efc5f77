//! Costs from measurements: what one thread pays by least squares, what two cost each other by simulating them until it agrees.
//!
//! Before all, how much cache a thread has to itself ([`AllDraws::fitted`]). Then three steps, each with the measurements that show it alone. *Alone*: one thread, seven terms ([`Case::terms`]). *Beside*: two threads with
//! keys of their own, who never meet, against one: an engine takes other ways when it has more threads. *Meeting*: two threads on
//! the same keys; the parameters of [`Meeting`] are sought by the simplex of Nelder and Mead (1965) over their logarithms, with a weak
//! pull to where it began, so that what the measurements do not show stays where it was. Rejected: gradients (a simulation has none that
//! is smooth) and one fit of everything (what errors in one step hide in another).

use rustredis_testkit::Random;
use serde::Serialize;

use super::case::{CACHE_BYTES, Case, Draws, Kind};
use super::measure::Samples;
use super::simulate::{Costs, Meeting, Unknowns, simulate};
use crate::load::Spread;
use crate::stats::median;

/// Commands of a simulation while it is fitted.
const COMMANDS: usize = 12_000;
/// Steps of the simplex, and for a fit that begins at another's end.
const STEPS: usize = 160;
const STEPS_AGAIN: usize = 50;
/// How strongly a parameter is pulled to where it began, against the square of a relative error of 1.
const PULL: f64 = 0.002;
/// Terms of what comes with a second thread: none for misses, which own keys do not change.
const BESIDE: [usize; 5] = [0, 1, 2, 4, 5];

/// An engine's fit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fitted {
    /// The engine.
    pub kind: Kind,
    /// Nanoseconds per [`Case::terms`], at one thread.
    pub alone: [f64; 7],
    /// What comes to it where there are more threads, even if they never meet.
    pub beside: [f64; 7],
    /// What threads cost each other, by name.
    pub meeting: Vec<(&'static str, f64)>,
    /// The kernel's share of a request over TCP: of each, and of each pipeline.
    pub kernel_ns: [f64; 2],
    /// What an errand costs more over TCP, where a task is woken for it.
    pub errand_wake_ns: f64,
    /// A line's way.
    pub line_ns: f64,
}

/// The draws of each distribution, made once.
#[derive(Debug)]
pub struct AllDraws {
    /// What a thread has to itself of the caches.
    pub cache_bytes: f64,
    all: Vec<(Spread, Draws)>,
}

impl AllDraws {
    /// For a cache of so many bytes.
    pub fn new(cache_bytes: f64) -> Self {
        let spreads =
            [Spread::Uniform, Spread::Zipf(0.8), Spread::Zipf(0.99), Spread::Zipf(1.2), Spread::One];
        Self { cache_bytes, all: spreads.map(|spread| (spread, Draws::new(spread, cache_bytes))).to_vec() }
    }

    /// For the cache with which all engines' costs at one thread are nearest to linear.
    pub fn fitted(kinds: &[Kind], samples: &Samples) -> Self {
        let off = |draws: &Self| -> f64 {
            let of_kind = |kind: &Kind| {
                let rows = alone_rows(*kind, samples, draws, &median);
                let solved = least_squares(&rows)?;
                let off = |(terms, nanos, _): &(Vec<f64>, f64, f64)| {
                    let said: f64 = terms.iter().zip(&solved).map(|(term, cost)| term * cost).sum();
                    (said / nanos - 1.0).powi(2)
                };
                Some(rows.iter().map(off).sum::<f64>())
            };
            kinds.iter().filter_map(of_kind).sum()
        };
        let all = CACHE_BYTES.map(Self::new);
        let best = all.into_iter().min_by(|a, b| off(a).total_cmp(&off(b)));
        best.expect("there are sizes to choose from")
    }

    /// Those of a distribution.
    ///
    /// # Panics
    /// If a case has another distribution than those above.
    pub fn of(&self, spread: Spread) -> &Draws {
        let found = self.all.iter().find(|(other, _)| *other == spread);
        &found.expect("cases are made of these distributions alone").1
    }
}

impl Fitted {
    /// What a simulation of a case is told.
    pub fn costs(&self, case: &Case, draws: &Draws) -> Costs {
        let terms = case.terms(draws.misses);
        let sum = |range: std::ops::Range<usize>| -> f64 {
            let scale = if range.start >= 4 { case.batch as f64 } else { 1.0 };
            range
                .map(|term| {
                    let beside = if case.threads > 1 { self.beside[term] } else { 0.0 };
                    (self.alone[term] + beside) * terms[term] * scale
                })
                .sum()
        };
        let values: Vec<f64> = self.meeting.iter().map(|(_, value)| *value).collect();
        Costs {
            command_ns: sum(0..4).max(10.0),
            batch_ns: sum(4..7),
            kernel_ns: 0.0,
            errand_wake_ns: 0.0,
            line_ns: self.line_ns,
            meeting: Meeting::start(self.kind).with(&values),
            unknowns: Unknowns::default(),
            sockets: 1,
        }
    }

    /// The same over TCP.
    pub fn costs_over_tcp(&self, case: &Case, draws: &Draws) -> Costs {
        let [each, pipeline] = self.kernel_ns;
        Costs {
            kernel_ns: each + pipeline / case.batch as f64,
            errand_wake_ns: self.errand_wake_ns,
            ..self.costs(case, draws)
        }
    }

    /// Nanoseconds of a thread per command.
    pub fn predict(&self, case: &Case, draws: &AllDraws, commands: usize) -> f64 {
        let draws = draws.of(case.spread);
        simulate(case, &self.costs(case, draws), draws, commands)
    }
}

/// Fits an engine; `pick` takes the figure of a cell from its rounds. `before` is a fit of nearly the same, to begin with.
pub fn fit(
    kind: Kind,
    samples: &Samples,
    line_ns: f64,
    draws: &AllDraws,
    pick: &dyn Fn(&[f64]) -> f64,
    before: Option<&Fitted>,
) -> Result<Fitted, String> {
    let of = |cases: Vec<Case>| -> Vec<(Case, f64)> {
        cases.into_iter().filter_map(|case| Some((case, pick(samples.rounds(&case)?)))).collect()
    };
    let mut fitted = Fitted {
        kind,
        alone: [0.0; 7],
        beside: [0.0; 7],
        meeting: before.map_or_else(|| Meeting::start(kind).named(), |before| before.meeting.clone()),
        kernel_ns: [0.0; 2],
        errand_wake_ns: 0.0,
        line_ns,
    };
    let rows = alone_rows(kind, samples, draws, pick);
    let solved = least_squares(&rows).ok_or_else(|| format!("{}: too few measurements", kind.name()))?;
    fitted.alone.copy_from_slice(&solved);

    let beside: Vec<(Vec<f64>, f64, f64)> = of(beside_cases(kind))
        .iter()
        .map(|(case, nanos)| {
            let all = case.terms(draws.of(case.spread).misses);
            let alone: f64 = all.iter().zip(fitted.alone).map(|(term, cost)| term * cost).sum();
            (BESIDE.map(|index| all[index]).to_vec(), nanos - alone, *nanos)
        })
        .collect();
    // Where there is one lock, threads with keys of their own meet at it all the same.
    if kind != Kind::Mutex {
        let solved =
            least_squares(&beside).ok_or_else(|| format!("{}: too few of two threads", kind.name()))?;
        BESIDE.iter().zip(solved).for_each(|(index, value)| fitted.beside[*index] = value);
    }

    let meeting = of(meeting_cases(kind));
    if meeting.is_empty() {
        return Err(format!("{}: nothing of two threads that meet", kind.name()));
    }
    let start: Vec<f64> = fitted.meeting.iter().map(|(_, value)| value.max(1e-3).ln()).collect();
    let origin: Vec<f64> = Meeting::start(kind).named().iter().map(|(_, value)| value.ln()).collect();
    let mut trial = fitted.clone();
    let mut error = |logs: &[f64]| -> f64 {
        trial.meeting.iter_mut().zip(logs).for_each(|((_, value), log)| *value = log.exp());
        let off: f64 = meeting
            .iter()
            .map(|(case, nanos)| (trial.predict(case, draws, COMMANDS) / nanos).ln().powi(2))
            .sum();
        let pull: f64 = logs.iter().zip(&origin).map(|(log, origin)| (log - origin).powi(2)).sum();
        off + PULL * pull
    };
    let steps = if before.is_some() { STEPS_AGAIN } else { STEPS };
    let best = simplex(&start, steps, &mut error);
    fitted.meeting.iter_mut().zip(best).for_each(|((_, value), log)| *value = log.exp());
    Ok(fitted)
}

/// One thread's cells as (terms, nanoseconds, what errors are relative to).
fn alone_rows(
    kind: Kind,
    samples: &Samples,
    draws: &AllDraws,
    pick: &dyn Fn(&[f64]) -> f64,
) -> Vec<(Vec<f64>, f64, f64)> {
    let row = |case: Case| {
        let nanos = pick(samples.rounds(&case)?);
        Some((case.terms(draws.of(case.spread).misses).to_vec(), nanos, nanos))
    };
    alone_cases(kind).into_iter().filter_map(row).collect()
}

/// What the kernel does per request, from server time over TCP at one thread with pipelines of 1 and 64, and for engines with errands
/// what waking a task for one costs, from two threads and pipelines of 1. The figures are nanoseconds per request by pipeline.
pub fn fit_tcp(fitted: &mut Fitted, tcp: &dyn Fn(usize, usize) -> Option<f64>, draws: &AllDraws) {
    let alone = |batch: usize| {
        let case = Case::new(fitted.kind, 1, batch, 80);
        Some((tcp(1, batch)? - fitted.predict(&case, draws, COMMANDS)).max(0.0))
    };
    let (Some(single), Some(long)) = (alone(1), alone(64)) else { return };
    let pipeline = (single - long) / (1.0 - 1.0 / 64.0);
    fitted.kernel_ns = [(long - pipeline / 64.0).max(0.0), pipeline];
    if fitted.kind != Kind::Actor {
        return;
    }
    let Some(measured) = tcp(2, 1) else { return };
    let case = Case::new(fitted.kind, 2, 1, 80);
    let draws = draws.of(case.spread);
    // What it costs rises with the wake-up's cost: halve the interval.
    let (mut low, mut high) = (0.0, 40_000.0);
    for _ in 0..18 {
        fitted.errand_wake_ns = f64::midpoint(low, high);
        let predicted = simulate(&case, &fitted.costs_over_tcp(&case, draws), draws, COMMANDS);
        if predicted < measured { low = fitted.errand_wake_ns } else { high = fitted.errand_wake_ns }
    }
}

/// A figure of some rounds drawn again, the same rounds for every cell.
pub fn resampled(seed: u64, rounds: usize) -> impl Fn(&[f64]) -> f64 {
    let mut random = Random::new(seed);
    let picked: Vec<usize> = (0..rounds).map(|_| random.below(rounds)).collect();
    move |values: &[f64]| {
        let drawn: Vec<f64> =
            picked.iter().filter_map(|index| values.get(index % values.len().max(1))).copied().collect();
        median(&drawn)
    }
}

/// One thread.
pub fn alone_cases(kind: Kind) -> Vec<Case> {
    let mut cases = Vec::new();
    for batch in [1, 64] {
        cases.extend([100, 50, 0].map(|reads| Case::new(kind, 1, batch, reads)));
        cases.extend(
            [Spread::One, Spread::Zipf(0.8)].map(|spread| Case::new(kind, 1, batch, 100).spread(spread)),
        );
    }
    cases
}

/// Two threads that never meet.
pub fn beside_cases(kind: Kind) -> Vec<Case> {
    let of_batch = |batch| [100, 50, 0].map(|reads| Case::new(kind, 2, batch, reads).own_keys());
    [1, 64].into_iter().flat_map(of_batch).collect()
}

/// Two threads that do.
pub fn meeting_cases(kind: Kind) -> Vec<Case> {
    let mut cases = Vec::new();
    for reads in [100, 0] {
        cases.extend([1, 64].map(|batch| Case::new(kind, 2, batch, reads)));
        cases.push(Case::new(kind, 2, 1, reads).spread(Spread::One));
    }
    cases
}

/// What the fit has not seen: other batches, mixes and distributions, at one thread and two.
pub fn unseen_cases(kind: Kind) -> Vec<Case> {
    let mut cases = Vec::new();
    for threads in [1, 2] {
        for (batch, reads) in [(1, 80), (4, 80), (16, 80), (16, 95), (64, 80)] {
            cases.push(Case::new(kind, threads, batch, reads));
        }
        for spread in [Spread::Zipf(0.99), Spread::Zipf(1.2)] {
            cases.extend([1, 16].map(|batch| Case::new(kind, threads, batch, 80).spread(spread)));
        }
    }
    cases.push(Case::new(kind, 2, 16, 80).spread(Spread::One));
    cases
}

/// Least squares of relative errors over rows of (terms, value, what errors are relative to), with a trace of damping; `None` without
/// as many rows as terms.
fn least_squares(rows: &[(Vec<f64>, f64, f64)]) -> Option<Vec<f64>> {
    let count = rows.first()?.0.len();
    if rows.len() < count {
        return None;
    }
    let mut sums = vec![vec![0.0; count + 1]; count];
    for (terms, value, scale) in rows {
        let weight = scale.powi(-2);
        for row in 0..count {
            for column in 0..count {
                sums[row][column] += weight * terms[row] * terms[column];
            }
            sums[row][count] += weight * terms[row] * value;
        }
    }
    for (index, row) in sums.iter_mut().enumerate() {
        row[index] *= 1.0 + 1e-6;
    }
    for column in 0..count {
        let pivot =
            (column..count).max_by(|a, b| sums[*a][column].abs().total_cmp(&sums[*b][column].abs()))?;
        sums.swap(column, pivot);
        let pivot_row = sums[column].clone();
        if pivot_row[column].abs() < 1e-18 {
            return None;
        }
        for (row, values) in sums.iter_mut().enumerate().filter(|(row, _)| *row != column) {
            debug_assert_ne!(row, column);
            let factor = values[column] / pivot_row[column];
            values.iter_mut().zip(&pivot_row).for_each(|(value, above)| *value -= factor * above);
        }
    }
    Some((0..count).map(|index| sums[index][count] / sums[index][index]).collect())
}

/// The least of a function, from `start` on, with at most so many steps.
fn simplex(start: &[f64], steps: usize, error: &mut dyn FnMut(&[f64]) -> f64) -> Vec<f64> {
    let mut points: Vec<(f64, Vec<f64>)> = vec![(error(start), start.to_vec())];
    for index in 0..start.len() {
        let mut point = start.to_vec();
        point[index] += 0.5;
        points.push((error(&point), point));
    }
    let along = |from: &[f64], to: &[f64], share: f64| -> Vec<f64> {
        from.iter().zip(to).map(|(a, b)| a + (b - a) * share).collect()
    };
    for _ in 0..steps {
        points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (worst, rest) = points.split_last_mut().expect("a simplex has a point more than it has sides");
        let centre: Vec<f64> = (0..start.len())
            .map(|index| rest.iter().map(|(_, point)| point[index]).sum::<f64>() / rest.len() as f64)
            .collect();
        let reflected = along(&worst.1, &centre, 2.0);
        let off = error(&reflected);
        if off < rest[0].0 {
            let further = along(&worst.1, &centre, 3.0);
            let further_off = error(&further);
            *worst = if further_off < off { (further_off, further) } else { (off, reflected) };
        } else if off < rest[rest.len() - 1].0 {
            *worst = (off, reflected);
        } else {
            let nearer = along(&worst.1, &centre, 0.5);
            let nearer_off = error(&nearer);
            if nearer_off < worst.0 {
                *worst = (nearer_off, nearer);
            } else {
                let best = points[0].1.clone();
                for (off, point) in points.iter_mut().skip(1) {
                    *point = along(&best, point, 0.5);
                    *off = error(point);
                }
            }
        }
    }
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    points.swap_remove(0).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_a_bowl_is_found() {
        let mut bowl = |at: &[f64]| (at[0] - 1.0).powi(2) + 10.0 * (at[1] + 2.0).powi(2);
        let found = simplex(&[0.0, 0.0], 200, &mut bowl);
        assert!((found[0] - 1.0).abs() < 1e-3 && (found[1] + 2.0).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn known_terms_are_found() {
        let rows: Vec<(Vec<f64>, f64, f64)> = [(1.0, 0.0), (1.0, 1.0), (1.0, 0.5), (1.0, 0.25)]
            .map(|(a, b)| (vec![a, b], 100.0 * a + 40.0 * b, 100.0))
            .to_vec();
        let found = least_squares(&rows).unwrap();
        assert!((found[0] - 100.0).abs() < 0.1 && (found[1] - 40.0).abs() < 0.1, "{found:?}");
        assert!(least_squares(&rows[..1]).is_none());
    }

    /// A machine whose costs are known: what is fitted at some cells must give the others, noise and all.
    #[test]
    fn what_was_not_seen_is_predicted() {
        let draws = AllDraws::new(512e3);
        for kind in Kind::ALL {
            let truth = Fitted {
                kind,
                alone: [90.0, 50.0, 5.0, 60.0, 60.0, 10.0, 120.0],
                beside: if kind == Kind::Mutex { [0.0; 7] } else { [15.0, 5.0, 0.0, 0.0, 10.0, 0.0, 0.0] },
                meeting: Meeting::start(kind)
                    .named()
                    .into_iter()
                    .map(|(name, at)| (name, at * 1.4))
                    .collect(),
                kernel_ns: [0.0; 2],
                errand_wake_ns: 0.0,
                line_ns: 70.0,
            };
            let mut random = Random::new(3);
            let mut samples = Samples::default();
            let seen = [alone_cases(kind), beside_cases(kind), meeting_cases(kind)].concat();
            for case in &seen {
                let nanos = truth.predict(case, &draws, COMMANDS);
                for _ in 0..5 {
                    samples.add(*case, nanos * (0.98 + 0.04 * random.below(1001) as f64 / 1e3), 0.0);
                }
            }
            let found = fit(kind, &samples, 70.0, &draws, &median, None).unwrap();
            let mut errors: Vec<f64> = unseen_cases(kind)
                .iter()
                .map(|case| {
                    let (a, b) =
                        (found.predict(case, &draws, COMMANDS), truth.predict(case, &draws, COMMANDS));
                    (a / b - 1.0).abs()
                })
                .collect();
            errors.sort_unstable_by(f64::total_cmp);
            assert!(errors[errors.len() / 2] < 0.05, "{kind:?}: {errors:?}");
        }
    }
}
