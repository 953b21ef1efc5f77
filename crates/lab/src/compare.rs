//! `compare A B`: two runs cell by cell, or two servers under the same load, in turn.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use rustredis_testkit::Random;

use crate::bench::resolve;
use crate::claims::Verdict;
use crate::claims::finding::times_interval;
use crate::data::Data;
use crate::load::{self, Load, Pace};
use crate::stats::{self, Key};
use crate::{judge, workloads};

/// Options of `compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// A run's directory, or a server as HOST:PORT
    pub a: String,
    /// Another
    pub b: String,
    /// Servers: the load, by name
    #[arg(long, default_value = "uniform")]
    pub workload: String,
    /// Servers: connections
    #[arg(long, short, default_value_t = 50)]
    pub clients: usize,
    /// Servers: requests under way per connection
    #[arg(long, short = 'P', default_value_t = 1)]
    pub pipeline: usize,
    /// Servers: threads of the generator
    #[arg(long, short, default_value_t = 1)]
    pub threads: usize,
    /// Servers: repetitions
    #[arg(long, default_value_t = 7)]
    pub rounds: u32,
    /// Servers: seconds of each repetition
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// Servers: seed of the order and of what is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Prints the comparison. Of runs: true if no verdict of one excludes the other's.
pub fn run(args: &CompareArgs, interrupted: &AtomicBool) -> Result<bool, String> {
    let is_run = |text: &str| Path::new(text).is_dir();
    if is_run(&args.a) && is_run(&args.b) {
        let (a, b) = (read(&args.a)?, read(&args.b)?);
        let comparison = runs(&a, &b);
        print!("{}", comparison.text);
        return Ok(comparison.agrees);
    }
    if is_run(&args.a) || is_run(&args.b) {
        return Err("one is a run and the other is not".to_owned());
    }
    servers(args, interrupted)
}

fn read(directory: &str) -> Result<Data, String> {
    let path = PathBuf::from(directory);
    Data::read(&path)?.ok_or_else(|| format!("{directory} holds no run"))
}

/// What two runs have to say to each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// For readers.
    pub text: String,
    /// Whether they agree: no statement that decides flips from *holds* to *no difference* or the other way round, or back.
    pub agrees: bool,
    /// Statements that decide and that flip.
    pub flips: Vec<String>,
    /// Statements that decide and that are undecided in A, and in B.
    pub undecided: (usize, usize),
}

/// Compares the verdicts of two runs.
pub fn runs(a: &Data, b: &Data) -> Comparison {
    let mut text = String::new();
    if a.settings.rules != b.settings.rules {
        text += "The two were measured under different rules.\n\n";
    }
    text += "| statement | A | B | verdict of A | of B | |\n|---|---|---|---|---|---|\n";
    let (of_a, of_b) = (judge::all(a), judge::all(b));
    let mut flips = Vec::new();
    let mut undecided = (0, 0);
    for (left, right) in of_a.iter().zip(&of_b).filter(|(left, _)| left.decides) {
        let is_flip = excludes(left.verdict, right.verdict);
        if is_flip {
            flips.push(left.id.clone());
        }
        undecided.0 += usize::from(left.verdict == Verdict::Undecided);
        undecided.1 += usize::from(right.verdict == Verdict::Undecided);
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            left.id,
            left.ours(),
            right.ours(),
            left.verdict_words(),
            right.verdict_words(),
            if is_flip { "**flips**" } else { "" }
        );
    }
    let _ = writeln!(
        text,
        "\n{} statements flip. Undecided: {} in A, {} in B.",
        flips.len(),
        undecided.0,
        undecided.1
    );
    Comparison { text, agrees: flips.is_empty(), flips, undecided }
}

/// Whether two verdicts cannot both be true. More and less of a direction can; and what is undecided or untestable excludes
/// nothing.
fn excludes(a: Verdict, b: Verdict) -> bool {
    let side = |verdict| match verdict {
        Verdict::Holds | Verdict::HoldsLess => Some(1),
        Verdict::NoDifference => Some(0),
        Verdict::OtherWayRound => Some(-1),
        Verdict::Undecided | Verdict::Untestable => None,
    };
    side(a).zip(side(b)).is_some_and(|(a, b)| a != b)
}

/// Rates and p99s by rounds.
#[derive(Debug, Default)]
struct Series {
    rates: Vec<(Key, f64)>,
    p99s: Vec<(Key, f64)>,
}

fn servers(args: &CompareArgs, interrupted: &AtomicBool) -> Result<bool, String> {
    let workload =
        workloads::named(&args.workload).ok_or_else(|| format!("no workload is called {}", args.workload))?;
    let addresses = [resolve(&args.a)?, resolve(&args.b)?];
    for address in addresses {
        workload.fill(address)?;
    }
    let mut series = [Series::default(), Series::default()];
    let mut random = Random::new(args.seed);
    for round in 0..args.rounds {
        let first = random.below(2);
        for index in [first, 1 - first] {
            let load = Load {
                address: addresses[index],
                clients: args.clients.max(1),
                threads: args.threads.max(1),
                pipeline: args.pipeline.max(1),
                pace: Pace::Closed,
                mix: workload.mix(),
                keys: workload.keys,
                spread: workload.spread,
                seed: args.seed.wrapping_add(u64::from(round)),
                patience: Duration::from_secs(5),
            };
            let figures = load::run(&load, "warm-up", interrupted, |conductor| {
                if conductor.wait(Duration::from_secs_f64(args.seconds * 0.2)) {
                    conductor.phase("measured");
                    conductor.wait(Duration::from_secs_f64(args.seconds));
                }
            })?;
            let name = if index == 0 { &args.a } else { &args.b };
            if let Some(fault) = figures.fault {
                return Err(format!("{name}: {fault}"));
            }
            let phase = figures.phase("measured").ok_or("interrupted")?;
            if phase.errors > 0 {
                return Err(format!("{name}: {} errors: {:?}", phase.errors, figures.error_texts));
            }
            series[index].rates.push(((0, round), phase.rate()));
            series[index].p99s.push(((0, round), phase.latency.value_at_quantile(0.99) as f64 / 1e3));
        }
    }
    let line = |name: &str, figure: fn(&Series) -> &Vec<(Key, f64)>| {
        let found = stats::ratio(figure(&series[1]), figure(&series[0]));
        let verdict = match found {
            Some(found) if found.contains(1.0) => "no difference",
            Some(found) if found.median > 1.0 => "B is greater",
            _ => "A is greater",
        };
        println!("{name}: B against A {} : {verdict}", times_interval(found));
    };
    line("throughput", |series| &series.rates);
    line("p99", |series| &series.p99s);
    Ok(true)
}
