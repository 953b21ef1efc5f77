//! `compare A B`: two runs cell by cell, or two servers under the same load, in turn.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use rustredis_testkit::Random;

use crate::bench::resolve;
use crate::cell::Cell;
use crate::claims::Finding;
use crate::claims::finding::times_interval;
use crate::data::Data;
use crate::load::{self, Load, Pace};
use crate::stats::{self, Interval};
use crate::{report, workloads};

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

/// Prints the comparison. Of runs: true if they agree, which means the same verdicts, and medians within the other's interval
/// (or overlapping intervals) in at least 9 of 10 cells.
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
    /// Whether they agree.
    pub agrees: bool,
    /// Cells that both have.
    pub cells: usize,
    /// Cells whose throughputs agree.
    pub agreeing: usize,
}

/// The share of cells that must agree.
const AGREEING_MIN: f64 = 0.9;

/// Compares two runs.
pub fn runs(a: &Data, b: &Data) -> Comparison {
    let mut text = String::from("| cell | A | B | B against A | |\n|---|---|---|---|---|\n");
    let (mut cells, mut agreeing) = (0, 0);
    let ids: BTreeSet<&String> =
        a.settings.cells.keys().filter(|id| b.settings.cells.contains_key(*id)).collect();
    for id in ids {
        let cell = &a.settings.cells[id];
        let (Some(of_a), Some(of_b)) = (rate(a, cell), rate(b, cell)) else { continue };
        cells += 1;
        let is_same = of_a.overlaps(&of_b);
        agreeing += usize::from(is_same);
        let verdict = if is_same { "no difference" } else { "differs" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {id} | {:.0} ({:.0} to {:.0}) | {:.0} ({:.0} to {:.0}) | {:.2}× | {verdict} |",
            of_a.median,
            of_a.low,
            of_a.high,
            of_b.median,
            of_b.low,
            of_b.high,
            of_b.median / of_a.median
        );
    }
    let (findings_a, findings_b) = (report::answers(a), report::answers(b));
    let mut are_verdicts_same = true;
    for Finding { number, title, verdict, .. } in &findings_a {
        let Some(other) = findings_b.iter().find(|finding| finding.number == *number) else { continue };
        are_verdicts_same &= other.verdict == *verdict;
        let _ = writeln!(text, "\n{number}. {title}: {} / {}", verdict.words(), other.verdict.words());
    }
    let _ = writeln!(text, "\n{agreeing} of {cells} cells agree in throughput.");
    let agrees = are_verdicts_same && cells > 0 && agreeing as f64 >= AGREEING_MIN * cells as f64;
    Comparison { text, agrees, cells, agreeing }
}

fn rate(data: &Data, cell: &Cell) -> Option<Interval> {
    data.interval(cell, |measure| measure.main.rate)
}

/// Rates and p99s by rounds.
#[derive(Debug, Default)]
struct Series {
    rates: Vec<(u32, f64)>,
    p99s: Vec<(u32, f64)>,
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
            series[index].rates.push((round, phase.rate()));
            series[index].p99s.push((round, phase.latency.value_at_quantile(0.99) as f64 / 1e3));
        }
    }
    let line = |name: &str, figure: fn(&Series) -> &Vec<(u32, f64)>| {
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
