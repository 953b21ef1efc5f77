//! `cargo xtask linearize`: recorded histories of concurrent clients on every engine, and whether an order explains them.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use rustredis_testkit::linearize::{self, Options, Report};
use rustredis_testkit::{Binary, engines};

use crate::arguments::Arguments;
use crate::task_result::TaskResult;
use crate::{build, shell};

const HELP: &str = "\
Usage: cargo xtask linearize [options]

Histories of 24 clients on 16 keys (strings, lists, sorted sets, hashes, transactions, watches, blocked clients, keys that expire,
pipelines, clients that hang up), each on every engine with 1, 2 and 4 threads. For each a search decides whether one order of
its operations explains every answer: whether it is linearizable. Some run under appendfsync always while the power fails.
A history without an order is made small and drawn: target/linearize/*.html.

  --engine E        this engine alone
  --threads N       with so many threads alone (1,2,4; several may be given with commas)
  --histories N     histories of each engine and number of threads (200)
  --power-cuts N    and so many with power cuts (6)
  --seed S          the seed of the first history (drawn from the clock); each next one has one more
  --clients N       clients (24)
  --operations N    operations of each history (10000)
  --overlap N       fail if on average fewer operations overlap (8)
  --budget N        choices that a search may look at in one part of a history before it is undecided (2000000)
  --server PATH     this binary instead of a release build of rustredis
  --faults          build the server with its seeded faults instead, and see that each is found
  --fault F         with that fault alone; --histories is then how many it may take (20)
";

/// What every run of a task has in common.
struct Common {
    path: PathBuf,
    seed: u64,
    clients: usize,
    operations: usize,
    budget: u64,
    overlap_min: f64,
}

/// Runs the task.
pub(crate) fn run(given: &[String]) -> TaskResult {
    let values = [
        "engine",
        "threads",
        "histories",
        "power-cuts",
        "seed",
        "clients",
        "operations",
        "overlap",
        "budget",
        "server",
        "fault",
    ];
    let Some(arguments) = Arguments::parse(given, HELP, &values, &["faults"])? else { return Ok(true) };
    if let Some(other) = arguments.rest.first() {
        return Err(format!("what is {other:?}?\n\n{HELP}"));
    }
    let clock = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
    let seeds_faults = arguments.has("faults") || arguments.value("fault").is_some();
    let path = match arguments.value("server") {
        Some(path) => PathBuf::from(path),
        None if seeds_faults => build::server_with_faults()?,
        None => build::server(true)?,
    };
    let common = Common {
        path,
        seed: arguments.number("seed", clock)?,
        clients: arguments.number("clients", 24)?,
        operations: arguments.number("operations", 10_000)?,
        budget: arguments.number("budget", 2_000_000)?,
        overlap_min: arguments.number("overlap", 8.0)?,
    };
    if seeds_faults { faults(&common, &arguments) } else { engines_of(&common, &arguments) }
}

impl Common {
    fn options(&self, engine: &str, threads: usize, histories: u64) -> Options {
        let directory = shell::target().join("linearize");
        let command = format!("cargo xtask linearize --engine {engine} --threads {threads} --histories 20");
        Options {
            binary: Binary::At { path: self.path.clone(), engine: engine.to_owned() },
            threads,
            seed: self.seed,
            histories,
            clients: self.clients,
            operations: self.operations,
            budget: self.budget,
            power_cut: None,
            fault: None,
            stops_at_failure: false,
            pages: Some((directory, command)),
        }
    }
}

/// Every engine with every number of threads.
fn engines_of(common: &Common, arguments: &Arguments) -> TaskResult {
    let histories: u64 = arguments.number("histories", 200)?;
    let power_cuts: u64 = arguments.number("power-cuts", 6)?;
    let engines = arguments.value("engine").map_or_else(engines, |engine| vec![engine.to_owned()]);
    let library = build::power_cut_library()?;
    let started = Instant::now();
    println!(
        "{:<10} {:>7}  {:<10} {:>9} {:>11} {:>13} {:>13} {:>9} {:>16} {:>7}",
        "engine",
        "threads",
        "",
        "histories",
        "operations",
        "overlap(time)",
        "overlap(ops)",
        "undecided",
        "not linearizable",
        "seconds"
    );
    let mut is_right = true;
    for engine in &engines {
        for threads in arguments.numbers("threads", &[1, 2, 4])? {
            let options = common.options(engine, threads as usize, histories);
            is_right &= one(&options, "", common.overlap_min)?;
            if power_cuts > 0 {
                let mut options = Options { power_cut: Some(library.clone()), ..options };
                options.histories = power_cuts;
                // How much overlaps while syncs are waited for is the disk's affair.
                is_right &= one(&options, "power cuts", 0.0)?;
            }
        }
    }
    println!("seed {}, {:.0} s", common.seed, started.elapsed().as_secs_f64());
    Ok(is_right)
}

/// Runs and prints a row of the table; whether all is as it should be.
fn one(options: &Options, kind: &str, overlap_min: f64) -> TaskResult {
    if options.histories == 0 {
        return Ok(true);
    }
    let started = Instant::now();
    let report = linearize::run(options)
        .map_err(|error| format!("{}, {} threads: {error}", options.binary.name(), options.threads))?;
    let Report { histories, operations, overlap, undecided, violated, .. } = &report;
    println!(
        "{:<10} {:>7}  {kind:<10} {histories:>9} {operations:>11} {:>13.1} {:>13.1} {undecided:>9} {violated:>16} {:>7.0}",
        options.binary.name(),
        options.threads,
        overlap.by_time,
        overlap.by_operation,
        started.elapsed().as_secs_f64()
    );
    print_failures(&report);
    let overlaps = overlap.by_time >= overlap_min;
    if !overlaps {
        println!("  on average {:.1} operations overlap, and at least {overlap_min} should", overlap.by_time);
    }
    Ok(report.failures.is_empty() && overlaps)
}

fn print_failures(report: &Report) {
    for failure in &report.failures {
        let page = failure.page.as_ref().map_or_else(String::new, |page| format!(" ({})", page.display()));
        println!("  seed {}: {}{page}", failure.seed, failure.text);
    }
}

/// A fault that the server can be built to have, where it shows.
struct Fault {
    name: &'static str,
    engine: &'static str,
    threads: usize,
    needs_power_cuts: bool,
    what: &'static str,
}

/// The faults of the feature `seeded-faults`.
const FAULTS: [Fault; 9] = [
    Fault::new(
        "unchecked-exec",
        "mutex",
        false,
        "the lock is released between WATCH's check and EXEC's queue",
    ),
    Fault::new("stale-write", "dashmap", false, "a write works on what was read before its lock was taken"),
    Fault::new("exec-in-pieces", "dashmap", false, "EXEC's commands run under a hold each"),
    Fault::new("waiter-outside", "dashmap", false, "a waiter's element is taken when the view is gone"),
    Fault::new("early-return", "actor", false, "what EXEC borrowed goes back behind its first command"),
    Fault::new("expired-returns", "mutex", false, "a reader sees a key whose time has come"),
    Fault::new(
        "unchecked-reading",
        "lockfree",
        false,
        "MGET without a lock does not look whether all it found was there at once",
    ),
    Fault::new("early-reply", "dashmap", true, "with always, a reply does not wait for the disk"),
    Fault::new("early-read", "actor", true, "with always, a read does not wait for what it shows"),
];

impl Fault {
    const fn new(
        name: &'static str,
        engine: &'static str,
        needs_power_cuts: bool,
        what: &'static str,
    ) -> Self {
        Self { name, engine, threads: 2, needs_power_cuts, what }
    }
}

/// Every fault, each on its engine.
fn faults(common: &Common, arguments: &Arguments) -> TaskResult {
    let limit: u64 = arguments.number("histories", 20)?;
    let library = build::power_cut_library()?;
    let mut is_right = true;
    let chosen = arguments.value("fault");
    for fault in FAULTS.iter().filter(|fault| chosen.is_none_or(|chosen| chosen == fault.name)) {
        let mut options = common.options(fault.engine, fault.threads, limit);
        options.fault = Some(fault.name.to_owned());
        options.stops_at_failure = true;
        options.power_cut = fault.needs_power_cuts.then(|| library.clone());
        let directory = shell::target().join("linearize");
        options.pages = Some((directory, format!("cargo xtask linearize --fault {}", fault.name)));
        let report = linearize::run(&options).map_err(|error| format!("{}: {error}", fault.name))?;
        let found = if report.violated > 0 {
            format!("found in history {} of {limit}", report.histories)
        } else {
            is_right = false;
            format!("NOT FOUND in {} histories", report.histories)
        };
        println!("{:<20} {:<9} {found}: {}", fault.name, fault.engine, fault.what);
        print_failures(&report);
    }
    println!("seed {}", common.seed);
    Ok(is_right)
}
