//! `peers`: this server beside any others that speak Redis's protocol, command by command.
//!
//! The lab's claims compare engines under a few loads. Whoever chooses a server asks other things: what does *my* command cost, how
//! long does the slowest request take, what does a key take. Here any binaries are measured side by side: processor time per
//! request by command and depth of pipeline, latencies at equal rates, memory by type. What comes out is a document
//! (docs/PERFORMANCE.md) that says where the others are ahead, and the raw figures that it is made from.

mod commands;
mod document;
mod memory;
mod raw;
mod subject;
mod timing;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;

pub use document::render;
pub use raw::Raw;
pub use subject::{Running, Subject};

use crate::{bench, machine};

/// Options of `peers`.
#[derive(Debug, Clone, Args)]
pub struct PeersArgs {
    /// Servers to compare, ratios are to the first: NAME=PATH[:OPTIONS]. Port and directory are given as Redis takes them, or
    /// where the options say {port} and {dir}. Without any: RustRedis on each engine, redis-server, valkey-server and kevy where
    /// they are in PATH, with and without I/O threads
    #[arg(value_name = "NAME=PATH[:OPTIONS]")]
    pub servers: Vec<Subject>,
    /// A RustRedis that is built already
    #[arg(long, value_name = "PATH", conflicts_with = "servers")]
    pub server: Option<PathBuf>,
    /// Where the document goes
    #[arg(long, default_value = "docs/PERFORMANCE.md")]
    pub out: PathBuf,
    /// Where the raw figures go
    #[arg(long, default_value = "lab-results/peers.json")]
    pub raw: PathBuf,
    /// Write the document again from raw figures, and measure nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["servers", "server"])]
    pub from: Option<PathBuf>,
    /// About how long all of it may take
    #[arg(long, default_value_t = 8.0, value_parser = bench::seconds)]
    pub minutes: f64,
    /// Repetitions
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Connections while commands are measured
    #[arg(long, short, default_value_t = 50)]
    pub clients: usize,
    /// Keys, or elements, of each shape of data whose memory is measured; 0 leaves memory out
    #[arg(long, default_value_t = 1_000_000)]
    pub keys: u64,
    /// Seed of the order and of all that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Measures and writes; false if it was interrupted, and nothing is written, or if something failed.
pub fn run(args: &PeersArgs, interrupted: &AtomicBool) -> Result<bool, String> {
    if let Some(path) = &args.from {
        return finish(args, &Raw::read(path)?);
    }
    let (subjects, missing) = if args.servers.is_empty() {
        subject::usual(args.server.as_deref())?
    } else {
        (args.servers.clone(), Vec::new())
    };
    let names: BTreeSet<&str> = subjects.iter().map(|subject| subject.name.as_str()).collect();
    if names.len() < subjects.len() {
        return Err("two servers have the same name".to_owned());
    }
    let (began, started) = (SystemTime::now(), Instant::now());
    let mut raw = Raw {
        unix_seconds: began.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        command: command_line(),
        machine: machine::describe(),
        servers: subjects.iter().map(described).collect(),
        missing,
        rounds: args.rounds,
        clients: args.clients.max(1),
        keys: args.keys,
        ..Raw::default()
    };
    let budget = Duration::from_secs_f64(args.minutes.clamp(0.0, 1e4) * 60.0);
    if args.keys > 0 {
        println!("memory of {} programs", memory::programs(&subjects).len());
        if !memory::measure(&subjects, args.keys, &mut raw, interrupted)? {
            return Ok(false);
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let settings = timing::Settings {
        rounds: args.rounds,
        clients: raw.clients,
        generators: (cores / 2).max(1),
        seed: args.seed,
    };
    println!("commands and latencies of {} servers", subjects.len());
    let budget = budget.saturating_sub(started.elapsed());
    if !timing::measure(&subjects, settings, budget, &mut raw, interrupted)? {
        return Ok(false);
    }
    raw.seconds = started.elapsed().as_secs_f64();
    raw.write(&args.raw)?;
    finish(args, &raw)
}

fn finish(args: &PeersArgs, raw: &Raw) -> Result<bool, String> {
    raw::put(&args.out, &render(raw))?;
    println!("{}", args.out.display());
    raw.failures.iter().for_each(|failure| println!("failed: {failure}"));
    Ok(raw.failures.is_empty())
}

fn described(subject: &Subject) -> raw::Server {
    raw::Server {
        name: subject.name.clone(),
        program: subject.path.display().to_string(),
        version: subject.version().unwrap_or_default(),
        options: subject.options.clone(),
    }
}

/// As it was typed, the program's directory left out.
fn command_line() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let quoted = |word: String| if word.contains(' ') { format!("'{word}'") } else { word };
    std::iter::once(program).chain(words.map(quoted)).collect::<Vec<_>>().join(" ")
}
