//! The engines without a network: how fast threads get commands through an engine when nothing else costs.
//!
//! On a small machine TCP costs ten times what a command costs, and hides where threads wait for each other. Here they meet
//! head on. The program is a process of its own, which the lab starts and whose one line of JSON it reads: so the lab itself
//! knows no engine and can be trusted to treat all servers alike, and a crash here is one marked cell there.
//!
//! What runs is what the server runs for plain commands: hold, view, handler, release, clock, count; where shards have owners, errands to
//! them. It is one loop for every engine ([`clients`]): each thread has [`CLIENTS_PER_THREAD`] clients, as the server has connections, for a
//! thread that waits for another's answer must have something else to do. A batch pays for the loop's turn to its client, some
//! nanoseconds, on every engine alike. Not measured is Tokio: what a task's switch costs shows over TCP.
//!
//! [`CLIENTS_PER_THREAD`]: work::CLIENTS_PER_THREAD
//!
//! Exit code 3 means that there is no such engine or strategy.

mod clients;
mod counters;
mod locks;
mod probe;
mod window;
mod work;

use std::process::ExitCode;

use clap::Parser;
use rustredis_engine::EngineKind;
use rustredis_lab::load::Spread;
use rustredis_metrics::Strategy;

use crate::locks::LockKind;
use crate::work::{Plan, measure};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(about = "The engines without a network; the lab starts this")]
struct Cli {
    /// Engine by name
    #[arg(long, default_value = "dashmap")]
    engine: String,
    /// One lock of this kind around the tables, instead of the engine's own
    #[arg(long, conflicts_with_all = ["engine", "contention"])]
    lock: Option<LockKind>,
    /// Metrics strategy by name
    #[arg(long, default_value = "off")]
    metrics: String,
    /// Threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Commands of a batch
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Which keys
    #[arg(long, default_value = "uniform")]
    spread: Spread,
    /// How many keys
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// Of 100 commands, how many are GETs; the others are SETs
    #[arg(long, default_value_t = 80)]
    reads: u64,
    /// How long figures count
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measure waits for locks, which slows the run; how much, is measured too
    #[arg(long)]
    contention: bool,
    /// Each thread's clients ask for keys of one part alone: where threads own parts, for those of their own
    #[arg(long)]
    own_keys: bool,
    /// Measure what a cache line's way to another core costs, a wake-up, an addition to a line of one's own, and nothing else
    #[arg(long, conflicts_with_all = ["lock", "contention"])]
    probe: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.probe {
        println!("{}", probe::measure(cli.seconds));
        return ExitCode::SUCCESS;
    }
    // The tables under one lock of another kind are those of the engine that has one lock.
    let name = if cli.lock.is_some() { "mutex" } else { &cli.engine };
    let Some(engine) = EngineKind::by_name(name) else {
        eprintln!("there is no engine {name} yet");
        return ExitCode::from(3);
    };
    let Ok(metrics) = cli.metrics.parse::<Strategy>() else {
        eprintln!("there is no metrics strategy {}", cli.metrics);
        return ExitCode::from(3);
    };
    let plan = Plan {
        engine,
        lock: cli.lock,
        metrics,
        threads: cli.threads.max(1),
        batch: cli.batch.max(1),
        spread: cli.spread,
        keys: cli.keys,
        seconds: cli.seconds,
        reads_percent: cli.reads,
        seed: cli.seed,
        measures_contention: cli.contention,
        has_own_keys: cli.own_keys,
    };
    match measure(&plan) {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
