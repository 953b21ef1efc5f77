//! `predict`: what the engines would do on more cores than there are here.
//!
//! A machine with two cores cannot show what sixty-four do; it can show what a command costs, what two threads cost each other, and what
//! of that is serial. A discrete-event simulation ([`simulate`]) of each engine is told these and nothing else. Its parameters are measured without
//! instruments ([`measure`], [`tcp`]) and fitted at one thread and two ([`fit`]); then it says what cells come to that it has not seen, and how far
//! off it was is printed ([`report`]). Only then it is asked about more cores ([`extrapolate`]), with bands for all that is not known, and
//! engines are ranked where bands are apart. Tails are not predicted: they come from what is not simulated. Where there are cores to measure
//! on, what was measured stands in the place of the prediction.
//!
//! Rejected: the Universal Scalability Law from two points, which has three parameters; and one law for all engines, for one waits for a lock and
//! another for messages.

pub mod case;
pub mod extrapolate;
pub mod fit;
pub mod measure;
mod page;
pub mod published;
pub mod report;
pub mod simulate;
mod simulate_locks;
mod simulate_owners;
pub mod tcp;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use clap::Args;

use self::case::{Case, Kind};
use self::extrapolate::{Candidates, Curve, Load, curve, loads, ranking, thread_counts};
use self::fit::{AllDraws, Fitted, fit, fit_tcp, resampled, unseen_cases};
use self::measure::{Samples, probe};
use self::report::{Check, Drawn, Prediction};
use self::tcp::OverTcp;
use crate::bench;
use crate::stats::median;
use crate::target::Programs;

/// Pipelines over TCP: the first and the last are fitted.
const PIPELINES: [usize; 3] = [1, 16, 64];
/// Times that the parameters are fitted to rounds drawn again.
const REFITS: u64 = 8;
/// Commands of a simulation that is compared with what was measured.
const COMMANDS: usize = 30_000;
/// Where two cores share nothing but memory, a line's way costs about this; used where it cannot be measured.
const LINE_NS: f64 = 100.0;

/// Options of `predict`.
#[derive(Debug, Clone, Args)]
pub struct PredictArgs {
    /// Predict up to so many cores
    #[arg(long, default_value_t = 64)]
    pub cores: usize,
    /// Where predict.json, predict.md and predict.html go
    #[arg(long, value_name = "DIRECTORY", default_value = "predict")]
    pub output: PathBuf,
    /// A server that is built already, with rustredis-lab-inprocess beside it
    #[arg(long, value_name = "PATH")]
    pub server: Option<PathBuf>,
    /// Rounds of all measurements
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// How long each measurement takes, in seconds
    #[arg(long, default_value_t = 0.2, value_parser = bench::seconds)]
    pub seconds: f64,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Measures, fits, checks, predicts, and writes; false if it was interrupted.
pub fn run(args: &PredictArgs, interrupted: &AtomicBool) -> Result<bool, String> {
    let programs = Programs::find(args.server.as_deref())?;
    let server = programs.rustredis.clone().ok_or("there is no server")?;
    let alone =
        programs.in_process.clone().ok_or("rustredis-lab-inprocess is not built beside the server")?;
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| programs.engines.iter().any(|name| name == kind.name()))
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    if cores < 2 {
        return Err("a prediction is fitted at one thread and two, and there is one core here".to_owned());
    }
    let measured = Measured::take(args, &alone, &server, &kinds, cores, interrupted);
    let measured = match measured {
        Err(_) if interrupted.load(Relaxed) => return Ok(false),
        other => other?,
    };
    eprintln!("fitting and predicting ...");
    let prediction = predict(args, &measured, &kinds, cores)?;
    print!("{}", prediction.overview());
    for path in prediction.write(&args.output)? {
        println!("{}", path.display());
    }
    Ok(true)
}

/// Everything that is measured.
struct Measured {
    probe: Vec<(String, f64)>,
    samples: Samples,
    tcp: OverTcp,
}

impl Measured {
    fn take(
        args: &PredictArgs,
        alone: &Path,
        server: &Path,
        kinds: &[Kind],
        cores: usize,
        interrupted: &AtomicBool,
    ) -> Result<Self, String> {
        let mut measured =
            Self { probe: probe(alone)?, samples: Samples::default(), tcp: OverTcp::default() };
        let cases: Vec<Case> =
            kinds.iter().flat_map(|kind| all_cases(*kind, args.cores.min(cores))).collect();
        let rounds = args.rounds.max(1);
        eprintln!("{} cells in {rounds} rounds", cases.len() + 2 * PIPELINES.len() * kinds.len());
        for round in 0..rounds {
            let seed = args.seed + round as u64;
            measured
                .samples
                .measure_round(alone, &cases, args.seconds, seed, |_| !interrupted.load(Relaxed))?;
            for kind in kinds {
                for threads in [1, 2] {
                    if interrupted.load(Relaxed) {
                        return Err("interrupted".to_owned());
                    }
                    let seconds = args.seconds * 2.0;
                    measured.tcp.measure_round(server, *kind, threads, &PIPELINES, seconds)?;
                }
            }
            eprintln!("round {} of {rounds}", round + 1);
        }
        Ok(measured)
    }
}

/// What is fitted, what is checked, and the loads of the page as far as there are cores.
fn all_cases(kind: Kind, cores: usize) -> Vec<Case> {
    let mut cases = [fit::alone_cases(kind), fit::beside_cases(kind), fit::meeting_cases(kind)].concat();
    cases.extend(unseen_cases(kind));
    for load in loads().iter().filter(|load| !load.is_over_tcp) {
        for threads in thread_counts(cores) {
            let case = load.case(kind, threads);
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
    }
    cases
}

fn predict(
    args: &PredictArgs,
    measured: &Measured,
    kinds: &[Kind],
    cores: usize,
) -> Result<Prediction, String> {
    let draws = AllDraws::fitted(kinds, &measured.samples);
    let line_ns = measured.probe.iter().find(|(name, _)| name == "line_transfer_ns").map(|(_, nanos)| *nanos);
    let line_ns = line_ns.filter(|nanos| *nanos < 10.0 * LINE_NS).unwrap_or(LINE_NS);
    let mut fits: Vec<Vec<Fitted>> = Vec::new();
    for kind in kinds {
        fits.push(fit_all(*kind, args, measured, line_ns, &draws)?);
    }
    let checks: Vec<Check> = fits.iter().flat_map(|fits| check(&fits[0], measured, &draws)).collect();
    let counts = thread_counts(args.cores.max(2));
    let drawn = loads()
        .into_iter()
        .map(|load| {
            let curves: Vec<Curve> =
                fits.iter().map(|fits| curve_of(&load, fits, &checks, &counts, measured, &draws)).collect();
            let rankings = counts.iter().map(|threads| (*threads, ranking(&curves, *threads))).collect();
            Drawn { load, curves, rankings }
        })
        .collect();
    Ok(Prediction {
        machine: crate::machine::describe(),
        cores,
        rounds: args.rounds.max(1),
        seconds: args.seconds,
        seed: args.seed,
        queued_share: measured.samples.queued_share(),
        cache_bytes: draws.cache_bytes,
        probe: measured.probe.clone(),
        fits: fits.into_iter().map(|mut fits| fits.swap_remove(0)).collect(),
        checks,
        drawn,
        published: published::CURVES.to_vec(),
        published_ratios: published::RATIOS.to_vec(),
    })
}

/// The fit to the medians, and those to rounds drawn again.
fn fit_all(
    kind: Kind,
    args: &PredictArgs,
    measured: &Measured,
    line_ns: f64,
    draws: &AllDraws,
) -> Result<Vec<Fitted>, String> {
    let over_tcp = |pick: &dyn Fn(&[f64]) -> f64, fitted: &mut Fitted| {
        let nanos = |threads, pipeline| measured.tcp.rounds(kind, threads, pipeline).map(pick);
        fit_tcp(fitted, &nanos, draws);
    };
    let mut first = fit(kind, &measured.samples, line_ns, draws, &median, None)?;
    over_tcp(&median, &mut first);
    let mut fits = vec![first];
    for seed in 0..REFITS {
        let pick = resampled(args.seed + seed, args.rounds.max(1));
        let mut again = fit(kind, &measured.samples, line_ns, draws, &pick, Some(&fits[0]))?;
        over_tcp(&pick, &mut again);
        fits.push(again);
    }
    Ok(fits)
}

/// What was predicted of cells that were not fitted, and what they came to.
fn check(fitted: &Fitted, measured: &Measured, draws: &AllDraws) -> Vec<Check> {
    let kind = fitted.kind;
    let unseen = unseen_cases(kind);
    let mut checks: Vec<Check> = measured
        .samples
        .all()
        .filter(|(case, _)| case.kind == kind && (unseen.contains(case) || case.threads > 2))
        .map(|(case, rounds)| Check::new(case, false, fitted.predict(case, draws, COMMANDS), median(rounds)))
        .collect();
    for threads in [1, 2] {
        for pipeline in PIPELINES {
            let is_fitted =
                threads == 1 && pipeline != 16 || kind == Kind::Actor && threads == 2 && pipeline == 1;
            let Some(rounds) = measured.tcp.rounds(kind, threads, pipeline).filter(|_| !is_fitted) else {
                continue;
            };
            let case = Case::new(kind, threads, pipeline, 80);
            let of = draws.of(case.spread);
            let nanos = simulate::simulate(&case, &fitted.costs_over_tcp(&case, of), of, COMMANDS);
            checks.push(Check::new(&case, true, nanos, median(rounds)));
        }
    }
    checks
}

fn curve_of(
    load: &Load,
    fits: &[Fitted],
    checks: &[Check],
    counts: &[usize],
    measured: &Measured,
    draws: &AllDraws,
) -> Curve {
    let errors = |is_alone: bool| -> Vec<f64> {
        let of_engine = checks.iter().filter(|check| check.kind == fits[0].kind);
        let alike = of_engine
            .filter(|check| (check.threads == 1) == is_alone && check.is_over_tcp == load.is_over_tcp);
        alike.map(|check| check.predicted_ns / check.measured_ns).collect()
    };
    let (errors_alone, errors) = (errors(true), errors(false));
    let candidates = Candidates { fits, errors_alone: &errors_alone, errors: &errors };
    curve(load, counts, &candidates, &measured.samples, draws)
}
