//! Resident growth per key: what the process takes more from the system once a million keys are there.

use std::time::{Duration, Instant};

use rustredis_testkit::{Command, process};

use super::report::{self, Figure};
use super::subject::{Subject, fill, subjects};
use crate::arguments::Arguments;
use crate::task_result::TaskResult;

/// The memory counts as settled once it has not changed for so long.
const SETTLED_AFTER: Duration = Duration::from_millis(700);
/// Nobody waits longer for that.
const SETTLING_MAX: Duration = Duration::from_secs(20);

/// Runs the measurement. Each shape of data gets fresh servers.
pub(super) fn run(arguments: &Arguments) -> TaskResult {
    let keys: u64 = arguments.number("keys", 1_000_000)?;
    let mut rows = vec![["data", "server", "bytes per key"].map(str::to_owned).to_vec()];
    let mut figures = Vec::new();
    let value = "v".repeat(64);
    let string = |number: u64| Command::new(&["SET", &key(number), &value]);
    let hash = |number: u64| {
        Command::new(&["HSET", &key(number), "f1", "v1", "f2", "v2", "f3", "v3", "f4", "v4", "f5", "v5"])
    };
    let shapes: [(&str, &dyn Fn(u64) -> Command); 2] =
        [("strings of 64 bytes", &string), ("hashes of 5 fields", &hash)];
    for (shape, command) in shapes {
        for subject in subjects(arguments)? {
            let before = settled(&subject)?;
            fill(&subject.server, keys, command)?;
            let per_key = (settled(&subject)?.saturating_sub(before)) as f64 / keys as f64;
            rows.push(vec![shape.to_owned(), subject.name.clone(), format!("{per_key:.1}")]);
            figures.push(Figure {
                labels: vec![("data", shape.to_owned()), ("server", subject.name.clone())],
                values: vec![("keys", keys as f64), ("bytes_per_key", per_key)],
            });
        }
    }
    report::print_table(&rows);
    report::save("memory", &figures)?;
    Ok(true)
}

/// `key:000000001` and so on.
fn key(number: u64) -> String {
    format!("key:{:09}", number + 1)
}

/// Resident bytes, once they stop changing.
fn settled(subject: &Subject) -> Result<u64, String> {
    let resident = || {
        process::resident_bytes(subject.server.pid()).map_err(|error| format!("{}: {error}", subject.name))
    };
    let end = Instant::now() + SETTLING_MAX;
    let (mut last, mut since) = (resident()?, Instant::now());
    while since.elapsed() < SETTLED_AFTER && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
        let now = resident()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}
