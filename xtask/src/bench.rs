//! `cargo xtask bench`: what the server costs, measured beside a real redis-server in the same run.
//!
//! Figures of a shared machine are noisy, so every comparison alternates between the servers, is repeated, and is
//! reported as ratios of medians; raw figures go to `target/bench` as JSON. Nothing here is a test with a time limit.

mod disk;
mod durability;
mod grow;
mod load;
mod matrix;
mod memory;
mod pace;
mod report;
mod snapshot;
mod throughput;

use std::path::{Path, PathBuf};

use rustredis_testkit::{Binary, Command, Launch, Server};

use crate::arguments::Arguments;
use crate::build;
use crate::outcome::Outcome;

const HELP: &str = "\
Usage: cargo xtask bench [throughput|memory|grow|matrix|durability|snapshot|load] [options]

  throughput   (default) CPU time per request and throughput of GET and SET beside redis-server
  memory       resident growth per key, of 1M strings and of 1M small hashes, beside redis-server
  grow         latency of a probe beside a load that inserts keys
  matrix       every default test of redis-benchmark on every engine, in short, for errors

  durability   SET under every appendfsync, beside redis-server on the same disk, and everysec on a slow one
  snapshot     what BGSAVE and BGREWRITEAOF of 5M keys cost 20,000 writes a second, beside redis-server
  load         seconds to start with an RDB file and an append-only file of 5M keys, beside redis-server

  --engine E        the engine (throughput, memory, grow: the server's default; matrix: all)
  --server PATH     measure this binary instead of a release build of rustredis
  --argument A      one more argument for that server; repeat it for an option's value
  --no-redis        leave redis-server out (not throughput)
  --rounds N        rounds of throughput (5), durability and load (3)
  --requests N      requests of a measurement at -P 1 (300000; durability with redis-benchmark: 40000) or of each test
                    in a cell of the matrix (20000, and at least a pipeline from each client)
  --pipelines L     -P, a comma-separated list (1,16,64)
  --clients L       -c, a comma-separated list (throughput: 50; matrix: 1,50,1000,5000)
  --load-threads N  threads of the load generator (1; the lab's: 2)
  --generator G     durability: lab (default), the lab's own, or redis-benchmark, which costs twice as much a request, so
                    that its one thread is the limit without pipelining
  --keys N          keys (1000000; grow: 20000000; snapshot, load: 5000000)
  --tests L         tests of redis-benchmark (throughput: set,get; matrix: all)
";

const VALUES: [&str; 11] = [
    "engine",
    "server",
    "argument",
    "rounds",
    "requests",
    "pipelines",
    "clients",
    "load-threads",
    "generator",
    "keys",
    "tests",
];

/// Runs the task.
pub(crate) fn run(given: &[String]) -> Outcome {
    let Some(arguments) = Arguments::parse(given, HELP, &VALUES, &["no-redis"])? else { return Ok(true) };
    crate::shell::install(&["redis-server", "redis-benchmark"], &["redis-server", "redis-tools"])?;
    match arguments.rest.first().map_or("throughput", String::as_str) {
        "throughput" => throughput::run(&arguments),
        "memory" => memory::run(&arguments),
        "grow" => grow::run(&arguments),
        "matrix" => matrix::run(&arguments),
        "durability" => durability::run(&arguments),
        "snapshot" => snapshot::run(&arguments),
        "load" => load::run(&arguments),
        other => Err(format!("nothing to measure is called {other:?}\n\n{HELP}")),
    }
}

/// A server under measurement and the name it is reported by.
struct Subject {
    name: String,
    server: Server,
}

/// The binary to measure: `--server`, or a release build.
fn binary(arguments: &Arguments) -> Result<PathBuf, String> {
    arguments.value("server").map_or_else(|| build::server(true), |path| Ok(path.into()))
}

/// Starts the server to measure with this engine.
fn start(arguments: &Arguments, binary: &Path, engine: Option<&str>) -> Result<Subject, String> {
    let mut launch = Launch::new(Binary::Path(binary.to_path_buf())).arguments(arguments.values("argument"));
    if let Some(engine) = engine {
        launch = launch.arguments(&["--engine", engine]);
    }
    let server = launch.try_start().map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
    let file = binary.file_name().unwrap_or_default().to_string_lossy();
    let name = engine.map_or_else(|| file.to_string(), |engine| format!("{file} {engine}"));
    Ok(Subject { name, server })
}

/// Starts the redis-server to compare with.
fn start_redis() -> Result<Subject, String> {
    let server = Launch::new(Binary::Redis)
        .try_start()
        .map_err(|error| format!("cannot start redis-server: {error}"))?;
    let version = server.info("redis_version").unwrap_or_default();
    Ok(Subject { name: format!("redis {version}"), server })
}

/// The subject and, unless it is unwanted, redis-server.
fn subjects(arguments: &Arguments) -> Result<Vec<Subject>, String> {
    let mut subjects = vec![start(arguments, &binary(arguments)?, arguments.value("engine"))?];
    if !arguments.has("no-redis") {
        subjects.push(start_redis()?);
    }
    Ok(subjects)
}

/// Commands of one pipeline of [`fill`].
const FILL_PIPELINE: u64 = 1_000;

/// Sends `count` commands, pipelined, over one connection.
fn fill(server: &Server, count: u64, command: impl Fn(u64) -> Command) -> Result<(), String> {
    let mut client = server.client();
    let mut next = 0;
    while next < count {
        let end = (next + FILL_PIPELINE).min(count);
        let commands: Vec<Command> = (next..end).map(&command).collect();
        let replies =
            client.try_pipeline(&commands).map_err(|error| format!("cannot fill the server: {error}"))?;
        if let Some(error) = replies.iter().find(|reply| reply.is_error()) {
            return Err(format!("cannot fill the server: {error}"));
        }
        next = end;
    }
    Ok(())
}
