//! `run`: from a clean checkout to a report.
//!
//! Each trial is on disk before the next begins. Ctrl-C, a power cut or a kill lose one trial at most; the same command goes
//! on where it stopped.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cell::{Cell, Trial, TrialEnd};
use crate::claims::{CLAIMS, Claim};
use crate::data::{Data, Settings};
use crate::plan::{Matrix, Planned, Scale, schedule};
use crate::target::Programs;
use crate::{machine, report, trial};

/// Options of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Where the report and its data go; a run that is there already is continued
    #[arg(long, default_value = "lab-results")]
    pub out: PathBuf,
    /// Seed of the order and of all that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The full matrix: more clients, more repetitions, longer measurements
    #[arg(long)]
    pub full: bool,
    /// Only these claims (1 to 8; 0 is the comparison of load generators); may be repeated
    #[arg(long, value_name = "CLAIM")]
    pub only: Vec<u8>,
    /// A server that is built already, with rustredis-lab-inprocess beside it
    #[arg(long, value_name = "PATH")]
    pub server: Option<PathBuf>,
}

/// Measures what is not measured yet and writes the report; false if it was interrupted or a cell failed.
pub fn run(args: &RunArgs, interrupted: &AtomicBool) -> Result<bool, String> {
    let chosen = chosen(&args.only)?;
    let programs = Programs::find(args.server.as_deref())?;
    let mut data = open(args, &programs)?;
    let matrix = data.settings.matrix.clone();
    let planned: Vec<Planned> = chosen.iter().flat_map(|claim| (claim.cells)(&matrix)).collect();
    for Planned { cell, .. } in &planned {
        data.settings.cells.insert(cell.id(), cell.clone());
    }
    data.write()?;
    let done: BTreeSet<(String, u32)> =
        data.trials.iter().map(|trial| (trial.cell.clone(), trial.round)).collect();
    let order = schedule(planned, args.seed);
    let total = order.len();
    let left: Vec<(Cell, u32)> =
        order.into_iter().filter(|(cell, round)| !done.contains(&(cell.id(), *round))).collect();
    println!("{} measurements, {} of them done", total, total - left.len());
    let is_complete = measure(&left, &mut data, &programs, args.seed, interrupted)?;
    let written = report::write(&data)?;
    print!("{}", report::overview(&data));
    println!("{}", written.display());
    for (trial, reason) in data.failures() {
        println!("failed: {} (round {}): {reason}", trial.cell, trial.round);
    }
    if !is_complete {
        println!("interrupted: the same command goes on where this stopped");
    }
    Ok(is_complete && data.failures().is_empty())
}

fn chosen(only: &[u8]) -> Result<Vec<&'static Claim>, String> {
    if let Some(wrong) = only.iter().find(|number| **number > 8) {
        return Err(format!("there is no claim {wrong}: 1 to 8, and 0 for the instrument"));
    }
    Ok(CLAIMS.iter().filter(|claim| only.is_empty() || only.contains(&claim.number)).collect())
}

/// The run in the directory, if its settings are the same; or a new one.
fn open(args: &RunArgs, programs: &Programs) -> Result<Data, String> {
    let scale = if args.full { Scale::Full } else { Scale::Quick };
    let matrix = Matrix {
        scale,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        engines: programs.engines.clone(),
        has_valkey: programs.has("valkey-server"),
    };
    let settings = Settings {
        lab: env!("CARGO_PKG_VERSION").to_owned(),
        seed: args.seed,
        matrix,
        machine: machine::describe(),
        versions: programs.versions.clone(),
        cells: std::collections::BTreeMap::new(),
    };
    let Some(old) = Data::read(&args.out)? else {
        return Ok(Data { directory: args.out.clone(), settings, trials: Vec::new() });
    };
    let is_same = old.settings.seed == settings.seed
        && old.settings.matrix == settings.matrix
        && old.settings.versions == settings.versions;
    if is_same {
        Ok(old)
    } else {
        Err(format!(
            "{} holds a run with another seed, scale, machine or server; choose another --out",
            args.out.display()
        ))
    }
}

/// Measures these in their order; false if it was interrupted.
fn measure(
    left: &[(Cell, u32)],
    data: &mut Data,
    programs: &Programs,
    seed: u64,
    interrupted: &AtomicBool,
) -> Result<bool, String> {
    let bar = ProgressBar::new(left.len() as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {eta} left  {wide_msg}")
        .map_err(|error| error.to_string())?;
    bar.set_style(style);
    let times = data.settings.matrix.times();
    // What is not here in one round is not here in the next; a later start looks again.
    let mut absent: BTreeSet<String> = BTreeSet::new();
    for (cell, round) in left {
        if interrupted.load(Relaxed) {
            bar.abandon();
            return Ok(false);
        }
        bar.set_message(cell.id());
        if absent.contains(&cell.id()) {
            bar.inc(1);
            continue;
        }
        let unix_ms = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_millis() as u64);
        let seed = seed.wrapping_add(u64::from(*round));
        let Some(outcome) = trial::measure(cell, programs, &times, seed, interrupted) else {
            bar.abandon();
            return Ok(false);
        };
        match &outcome {
            TrialEnd::Failed(reason) => bar.println(format!("{cell}: {reason}")),
            TrialEnd::Absent(_) => drop(absent.insert(cell.id())),
            TrialEnd::Measured(_) => {}
        }
        data.add(Trial { cell: cell.id(), round: *round, unix_ms, outcome })?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(true)
}
