//! `cargo xtask crash`: many crashes and ends that are asked for, on every engine, under every promise of durability.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use rustredis_testkit::crash::{self, Fsync, Options, Report};
use rustredis_testkit::{Binary, engines};

use crate::arguments::Arguments;
use crate::task_result::TaskResult;
use crate::{build, shell};

const HELP: &str = "\
Usage: cargo xtask crash [options]

Load on 20 connections over all types, an end at a random moment (kill -9, SIGTERM, SHUTDOWN), restart, and a comparison of what
is there with what was acknowledged. Ends with the number of rounds and acknowledged commands, and with every violation and the seed that shows it.

  --rounds N        ends of each engine (100); a third of them with everysec, and a sixth with nothing but an RDB file, which is
                    never killed, if --fsync does not say otherwise
  --engine E        this engine alone
  --fsync F         always, everysec or snapshots (no append-only file) alone
  --graceful P      of a hundred ends so many are asked for, by SIGTERM or SHUTDOWN; the others are kill -9 (33)
  --seed S          where randomness begins (drawn from the clock)
  --server PATH     this binary instead of a release build of rustredis
  --power-cut       cut away what had not reached the disk, as if the power had failed
  --appendfsync P   give the server this policy, whatever is expected of it: --appendfsync no --power-cut must fail
  --damage N        cut N bytes from the newest increment after each crash, which must be found
";

/// Runs the task.
pub(crate) fn run(given: &[String]) -> TaskResult {
    let values = ["rounds", "engine", "fsync", "seed", "server", "appendfsync", "damage", "graceful"];
    let Some(arguments) = Arguments::parse(given, HELP, &values, &["power-cut"])? else { return Ok(true) };
    let rounds: u64 = arguments.number("rounds", 100)?;
    let clock = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
    let seed: u64 = arguments.number("seed", clock)?;
    let parts = match arguments.value("fsync") {
        None => vec![
            (Fsync::Always, rounds - rounds / 3 - rounds / 6),
            (Fsync::Everysec, rounds / 3),
            (Fsync::Snapshots, rounds / 6),
        ],
        Some("always") => vec![(Fsync::Always, rounds)],
        Some("everysec") => vec![(Fsync::Everysec, rounds)],
        Some("snapshots") => vec![(Fsync::Snapshots, rounds)],
        Some(other) => {
            return Err(format!("--fsync is always, everysec or snapshots, not {other:?}\n\n{HELP}"));
        }
    };
    let power_cut = if arguments.has("power-cut") { Some(build::power_cut_library()?) } else { None };
    let started = Instant::now();
    let (mut all_rounds, mut all_acknowledged, mut violations) = (0, 0, Vec::new());
    for (name, binary) in subjects(&arguments)? {
        for &(promise, rounds) in &parts {
            let options = Options {
                binary: binary.clone(),
                promise,
                appendfsync: arguments.value("appendfsync").unwrap_or(promise.name()).to_owned(),
                graceful_percent: arguments.number("graceful", 33)? as usize,
                seed,
                rounds,
                damage_bytes: arguments.number("damage", 0)?,
                power_cut: power_cut.clone(),
                keep: Some(shell::target().join("crash")),
            };
            let report = crash::run(&options).map_err(|error| format!("{name}: {error}"))?;
            print(&name, promise, &report);
            all_rounds += report.rounds;
            all_acknowledged += report.acknowledged;
            violations.extend(report.violations.into_iter().map(|violation| format!("{name}: {violation}")));
        }
    }
    println!(
        "seed {seed}: {all_rounds} ends, {all_acknowledged} acknowledged commands, {} violations, {:.0} s",
        violations.len(),
        started.elapsed().as_secs_f64()
    );
    for violation in &violations {
        println!("  {violation}");
    }
    Ok(violations.is_empty())
}

/// What is crashed, by name.
fn subjects(arguments: &Arguments) -> Result<Vec<(String, Binary)>, String> {
    let path: Option<PathBuf> = arguments.value("server").map(PathBuf::from);
    if let Some(path) = path.clone().filter(|path| Binary::Path(path.clone()).is_redis()) {
        return Ok(vec![(path.display().to_string(), Binary::Path(path))]);
    }
    let path = path.map_or_else(|| build::server(true), Ok)?;
    let engines = arguments.value("engine").map_or_else(engines, |engine| vec![engine.to_owned()]);
    Ok(engines
        .into_iter()
        .map(|engine| (engine.clone(), Binary::At { path: path.clone(), engine }))
        .collect())
}

fn print(name: &str, promise: Fsync, report: &Report) {
    println!(
        "{name:>12} {:<9} {:>4} ends, {:>3} of them asked for, {:>8} commands acknowledged; steps kept beyond what had to be: {}, lost \
         as they may be: {}; bytes cut: {}; violations: {}",
        promise.name(),
        report.rounds,
        report.graceful,
        report.acknowledged,
        report.kept_beyond,
        report.lost_allowed,
        report.cut_bytes,
        report.violations.len()
    );
}
