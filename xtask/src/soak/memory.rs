//! What the server takes from the system for what it holds, while the sizes of values change: each phase leaves holes that
//! the next does not fit into. Every engine, on two threads, beside redis-server.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustredis_testkit::{Binary, Client, Command, ENGINES, Launch, Random, Server, process};

use crate::arguments::Arguments;
use crate::build;
use crate::task_result::TaskResult;

pub(super) const HELP: &str = "\
Usage: cargo xtask soak memory [options]

Fills a server, changes the sizes of its values, deletes, flushes, and shows at each phase what it uses, what the system has
given it (RSS) when the phase ends, and what is left of that a while later. Each engine on two threads, beside redis-server.

  --megabytes N   bytes of values in the first phase, in millions (250)
  --rest N        seconds without a request after each phase (5)
  --engine E      this engine only, and no redis-server
  --server PATH   this binary instead of a release build of rustredis
";

/// Clients that the commands are spread over, and with them the threads that allocate.
const CLIENTS: usize = 4;
const PIPELINE: usize = 200;
/// What may be left after FLUSHALL, beside what the server took at its start, in bytes.
const LEFT_BYTES_MAX: u64 = 24_000_000;

pub(super) fn run(given: &[String]) -> TaskResult {
    let values = ["megabytes", "rest", "engine", "server"];
    let Some(arguments) = Arguments::parse(given, HELP, &values, &[])? else { return Ok(true) };
    let bytes = arguments.number("megabytes", 250u64)? * 1_000_000;
    let rest = Duration::from_secs(arguments.number("rest", 5)?);
    let path = arguments.value("server").map_or_else(|| build::server(true), |path| Ok(path.into()))?;
    let at = |engine: &str, path: &PathBuf| Binary::At { path: path.clone(), engine: engine.to_owned() };
    let binaries: Vec<(&str, Binary)> = match arguments.value("engine") {
        Some(engine) => vec![(engine, at(engine, &path))],
        None => {
            let engines = ENGINES.iter().map(|engine| (*engine, at(engine, &path)));
            engines.chain([("redis-server", Binary::Redis)]).collect()
        }
    };
    let mut is_right = true;
    println!(
        "{:<13} {:<34} {:>9} {:>9} {:>6} {:>9} {:>6}",
        "", "phase (MB)", "used", "RSS", "", "at rest", ""
    );
    for (name, binary) in binaries {
        let server = Launch::new(binary).arguments(&["--threads", "2"]);
        let server = server.try_start().map_err(|error| format!("cannot start {name}: {error}"))?;
        is_right &= phases(name, &server, bytes, rest);
    }
    Ok(is_right)
}

/// Goes through the phases; whether little enough is left at the end.
fn phases(name: &str, server: &Server, bytes: u64, rest: Duration) -> bool {
    let mut random = Random::new(25);
    let mut load =
        Load { clients: (0..CLIENTS).map(|_| server.client()).collect(), commands: Vec::new(), next: 0 };
    let before = resident(server);
    let show = |phase: &str| show(name, server, phase, rest);
    let large = (bytes / 10_000) as usize;
    for key in 0..large {
        load.add(&["SET", &format!("key:{key}"), &value(10_000)]);
    }
    load.send();
    show("values of 10,000 bytes");
    for key in 0..large {
        load.add(&["SET", &format!("key:{key}"), &value(100 + random.below(6_000))]);
    }
    load.send();
    show("each of another size, 100 to 6,000");
    for key in 0..large {
        if key % 10 != 0 {
            load.add(&["DEL", &format!("key:{key}")]);
        }
    }
    load.send();
    show("nine of ten deleted");
    let small = (bytes / 400) as usize;
    for key in 0..small {
        load.add(&["SET", &format!("small:{key}"), &value(50 + random.below(200))]);
    }
    load.send();
    show("many small ones beside them");
    for key in 0..small {
        if random.chance(75) {
            load.add(&["DEL", &format!("small:{key}")]);
        }
    }
    load.send();
    show("three of four of these deleted");
    server.client().call(&["MEMORY", "PURGE"]);
    show("MEMORY PURGE");
    server.client().call(&["FLUSHALL"]);
    let left = show("FLUSHALL");
    let is_right = left <= before + LEFT_BYTES_MAX;
    if !is_right {
        println!("{name} keeps {:.1} MB that it had not at its start", (left - before) as f64 / 1e6);
    }
    is_right
}

/// Commands on their way to the server.
struct Load {
    clients: Vec<Client>,
    commands: Vec<Command>,
    next: usize,
}

impl Load {
    fn add(&mut self, words: &[&str]) {
        self.commands.push(Command::new(words));
        if self.commands.len() == PIPELINE {
            self.send();
        }
    }

    fn send(&mut self) {
        self.clients[self.next].pipeline(&std::mem::take(&mut self.commands));
        self.next = (self.next + 1) % self.clients.len();
    }
}

fn value(bytes: usize) -> String {
    "v".repeat(bytes)
}

fn resident(server: &Server) -> u64 {
    process::resident_bytes(server.pid()).unwrap_or(u64::MAX)
}

/// Prints what a phase has left behind, at once and after a rest without a request; the latter.
fn show(name: &str, server: &Server, phase: &str, rest: Duration) -> u64 {
    let at_once = resident(server);
    let end = Instant::now() + rest;
    while Instant::now() < end {
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
    }
    let rested = resident(server);
    let used: u64 = server.info("used_memory").and_then(|used| used.parse().ok()).unwrap_or(0);
    let times = |bytes: u64| format!("{:.2}x", bytes as f64 / used.max(1) as f64);
    let mega = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "{name:<13} {phase:<34} {:>9.1} {:>9.1} {:>6} {:>9.1} {:>6}",
        mega(used),
        mega(at_once),
        times(at_once),
        mega(rested),
        times(rested)
    );
    rested
}
