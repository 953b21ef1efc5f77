//! `cargo xtask soak`: what holds for a while must hold for many.

mod memory;

use std::time::{Duration, Instant};

use rustredis_testkit::{Binary, Client, Launch, Server, process, wait_until};

use crate::arguments::Arguments;
use crate::build;
use crate::task_result::TaskResult;

const HELP: &str = "\
Usage: cargo xtask soak connections|memory [options]

connections: opens many connections, leaves them idle, uses them all, closes them, and shows the server's memory at each stage.
(memory has options of its own: cargo xtask soak memory --help)

  --count N       connections (10000)
  --rounds N      how often they are opened, used and closed (2)
  --engine E      the engine (the server's default)
  --server PATH   this binary instead of a release build of rustredis
";

/// What may stay behind of the memory that connections took, of 100.
const LEFT_PER_CENT_MAX: u64 = 25;
/// And in any case, in bytes: allocators keep what they got.
const LEFT_BYTES_ALLOWED: u64 = 16 * 1024 * 1024;
/// How long a stage may take to settle.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the task.
pub(crate) fn run(given: &[String]) -> TaskResult {
    if let Some((first, rest)) = given.split_first()
        && first == "memory"
    {
        return memory::run(rest);
    }
    let values = ["count", "rounds", "engine", "server"];
    let Some(arguments) = Arguments::parse(given, HELP, &values, &[])? else { return Ok(true) };
    if arguments.rest != ["connections"] {
        return Err(HELP.to_owned());
    }
    let count: usize = arguments.number("count", 10_000)?;
    let limit = process::raise_open_file_limit(count as u64 * 2 + 1_000);
    limit.map_err(|error| format!("cannot raise the limit of open files: {error}"))?;
    let binary = arguments.value("server").map_or_else(|| build::server(true), |path| Ok(path.into()))?;
    let mut launch =
        Launch::new(Binary::Path(binary)).arguments(&["--maxclients", &(count + 100).to_string()]);
    if let Some(engine) = arguments.value("engine") {
        launch = launch.arguments(&["--engine", engine]);
    }
    let server = launch.try_start().map_err(|error| format!("cannot start the server: {error}"))?;
    connections(&server, count, arguments.number("rounds", 2)?)
}

fn connections(server: &Server, count: usize, rounds: usize) -> TaskResult {
    let started = Instant::now();
    let show = |stage: &str| -> Result<u64, String> {
        let resident = process::resident_bytes(server.pid()).map_err(|error| error.to_string())?;
        println!("{:>6.1} s  {stage:<24} {:>8.1} MB", started.elapsed().as_secs_f64(), resident as f64 / 1e6);
        Ok(resident)
    };
    let wait_for = |connected: usize| {
        let expected = Some((connected + 1).to_string());
        wait_until(&format!("{connected} connections"), LIMIT, || {
            server.info("connected_clients") == expected
        });
    };
    let before = show("before")?;
    let mut is_right = true;
    for round in 1..=rounds {
        let mut clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
        wait_for(count);
        show(&format!("{count} idle"))?;
        for _ in 0..5 {
            for (number, client) in clients.iter_mut().enumerate() {
                client.send(&["SET", &format!("key:{number}"), &"v".repeat(500)]);
                client.send(&["GET", &format!("key:{number}")]);
            }
            for client in &mut clients {
                is_right &= client.read().text() == "OK" && client.read().text().len() == 500;
            }
        }
        let peak = show(&format!("{count} active"))?;
        drop(clients);
        wait_for(0);
        server.client().call(&["FLUSHALL"]);
        let allowed = before + ((peak - before.min(peak)) * LEFT_PER_CENT_MAX / 100).max(LEFT_BYTES_ALLOWED);
        let end = Instant::now() + LIMIT;
        let resident = || process::resident_bytes(server.pid()).unwrap_or(u64::MAX);
        while resident() > allowed && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        let after = show(&format!("closed, round {round}"))?;
        if after > allowed {
            println!("more stayed behind than {:.1} MB", allowed as f64 / 1e6);
            is_right = false;
        }
    }
    Ok(is_right)
}
