//! `cargo xtask bench`: what the server costs, measured beside a real redis-server in the same run.
//!
//! Figures of a shared machine are noisy, so every comparison alternates between the servers, is repeated, and is
//! reported as ratios of medians; raw figures go to `target/bench` as JSON. Nothing here is a test with a time limit.

mod disk;
mod durability;
mod fairness;
mod grow;
mod load;
mod matrix;
mod memory;
mod pace;
mod report;
mod scripts;
mod snapshot;
mod subject;
mod throughput;

use crate::arguments::Arguments;
use crate::task_result::TaskResult;

const HELP: &str = "\
Usage: cargo xtask bench [throughput|scripts|memory|grow|matrix|durability|snapshot|load|fairness] [options]

  throughput   (default) CPU time per request and throughput of GET and SET beside redis-server
  scripts      CPU time per call of EVAL and EVALSHA beside redis-server: one, incr, getset, limiter, undeclared
  memory       resident growth per key, of 1M strings and of 1M small hashes, beside redis-server
  grow         latency of a probe beside a load that inserts keys
  matrix       every default test of redis-benchmark on every engine, in short, for errors

  durability   SET under every appendfsync, beside redis-server on the same disk, and everysec on a slow one
  snapshot     what BGSAVE and BGREWRITEAOF of 5M keys cost 20,000 writes a second, beside redis-server
  fairness     the lab's waits of who could be starved: a writer among readers, transactions over everything and over all
               threads, on every engine with a thread per core, beside redis-server (--server alone)
  load         seconds to start with an RDB file and an append-only file of 5M keys, beside redis-server

  --engine E        the engine (throughput, memory, grow: the server's default; matrix: all)
  --server PATH     measure this binary instead of a release build of rustredis
  --argument A      one more argument for that server; repeat it for an option's value
  --no-redis        leave redis-server out (not throughput and scripts)
  --rounds N        rounds of throughput (5), scripts, durability and load (3)
  --requests N      requests of a measurement at -P 1 (300000; scripts: 100000; durability with redis-benchmark: 40000) or of each test
                    in a cell of the matrix (20000, and at least a pipeline from each client)
  --pipelines L     -P, a comma-separated list (1,16,64; scripts: 1,16)
  --clients L       -c, a comma-separated list (throughput: 50; scripts: one number, 50; matrix: 1,50,1000,5000)
  --load-threads N  threads of the load generator (1; the lab's: 2)
  --generator G     durability: lab (default), the lab's own, or redis-benchmark, which costs twice as much a request, so
                    that its one thread is the limit without pipelining
  --keys N          keys (1000000; scripts: 10000; grow: 20000000; snapshot, load: 5000000)
  --tests L         tests of redis-benchmark (throughput: set,get; matrix: all), or scripts (all)
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
pub(crate) fn run(given: &[String]) -> TaskResult {
    let Some(arguments) = Arguments::parse(given, HELP, &VALUES, &["no-redis"])? else { return Ok(true) };
    crate::shell::install(&["redis-server", "redis-benchmark"], &["redis-server", "redis-tools"])?;
    match arguments.rest.first().map_or("throughput", String::as_str) {
        "throughput" => throughput::run(&arguments),
        "scripts" => scripts::run(&arguments),
        "memory" => memory::run(&arguments),
        "grow" => grow::run(&arguments),
        "matrix" => matrix::run(&arguments),
        "durability" => durability::run(&arguments),
        "snapshot" => snapshot::run(&arguments),
        "load" => load::run(&arguments),
        "fairness" => fairness::run(&arguments),
        other => Err(format!("nothing to measure is called {other:?}\n\n{HELP}")),
    }
}
