//! `cargo xtask oracle`: random histories for as long as one likes, on every engine, beside redis-server, beside our own
//! one-shard engine, and beside what their append-only files give back.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use rustredis_testkit::oracle::{self, Coverage, Trial};
use rustredis_testkit::{Binary, Launch, Replay, Server, engines, replay};

use crate::arguments::Arguments;
use crate::build;
use crate::task_result::TaskResult;

const HELP: &str = "\
Usage: cargo xtask oracle [options]

Random histories of all commands, one seed after the other, each on every engine and in three ways: beside redis-server
7.0.15, reply by reply; beside our own engine of one shard and one lock, with what that Redis does not know; and with keys
that live for milliseconds, beside nothing. After each the server is compared with what DEBUG LOADAOF makes of its
append-only file, and with what a restart does. A history that differs is made small and printed with its seed.

  --minutes N       how long (10); a seed that has begun is finished
  --seed S          the first seed (drawn from the clock); each next one is one more
  --steps N         steps of each history (1500)
  --engine E        this engine alone
  --server PATH     this binary instead of a build with debug assertions, as the tests have it
  --failures N      end after so many histories that differ (10)
";

/// Redis looks after the timeouts of blocked clients only `hz` times a second.
const OPTIONS: [&str; 4] = ["--hz", "500", "--enable-debug-command", "yes"];
/// How often it is said how far it is.
const PROGRESS: Duration = Duration::from_secs(60);

/// One way to run histories: what they hold, and the server that they are compared with.
struct Way {
    coverage: Coverage,
    reference: Option<Server>,
}

/// Runs the task.
pub(crate) fn run(given: &[String]) -> TaskResult {
    let values = ["minutes", "seed", "steps", "engine", "server", "failures"];
    let Some(arguments) = Arguments::parse(given, HELP, &values, &[])? else { return Ok(true) };
    let minutes: f64 = arguments.number("minutes", 10.0)?;
    let limit = Duration::try_from_secs_f64(minutes * 60.0).map_err(|_| format!("--minutes {minutes}"))?;
    let clock = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
    let first: u64 = arguments.number("seed", clock)?;
    let steps: usize = arguments.number("steps", 1_500)?;
    let failures_max: usize = arguments.number("failures", 10)?;
    let path = arguments.value("server").map(PathBuf::from).map_or_else(|| build::server(false), Ok)?;
    let own = |engine: &str| Binary::At { path: path.clone(), engine: engine.to_owned() };
    let start = |launch: Launch| {
        launch.arguments(&OPTIONS).try_start().map_err(|error| format!("a server does not start: {error}"))
    };
    let ways = [
        Way { coverage: Coverage::Redis70, reference: Some(start(Launch::new(Binary::Redis))?) },
        Way {
            coverage: Coverage::Own,
            reference: Some(start(Launch::new(own("mutex")).arguments(&["--shards", "1"]))?),
        },
        Way { coverage: Coverage::Near, reference: None },
    ];
    let engines = arguments.value("engine").map_or_else(engines, |engine| vec![engine.to_owned()]);
    println!("seeds from {first} on, {steps} steps each, on {}", engines.join(", "));
    let (started, mut told) = (Instant::now(), Instant::now());
    let (mut seed, mut histories, mut commands, mut failures) = (first, 0, 0, Vec::new());
    while started.elapsed() < limit && failures.len() < failures_max {
        for engine in &engines {
            // A seed's server is its own, so that the seed alone shows what it showed.
            let subject = || start(Launch::new(own(engine)).arguments(&replay::OPTIONS));
            let mut server = subject()?;
            for way in &ways {
                let trial = Trial { seed, steps, coverage: way.coverage, replay: Replay::LoadingAndRestart };
                match oracle::run(&mut server, way.reference.as_ref(), trial) {
                    Ok(count) => commands += count,
                    Err(report) => {
                        println!("{engine}: {report}");
                        failures.push(format!("{engine}, seed {seed}, {:?}", way.coverage));
                        std::mem::replace(&mut server, subject()?).end();
                    }
                }
                histories += 1;
            }
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            println!(
                "{:.0} minutes: seeds up to {seed}, {histories} histories, {commands} commands, {} differ",
                started.elapsed().as_secs_f64() / 60.0,
                failures.len()
            );
        }
        seed += 1;
    }
    println!(
        "seeds {first} to {}: {histories} histories with {commands} commands, each replayed and restarted, in {:.1} \
         minutes; {} differ",
        seed - 1,
        started.elapsed().as_secs_f64() / 60.0,
        failures.len()
    );
    for failure in &failures {
        println!("  {failure}");
    }
    Ok(failures.is_empty())
}
