//! What data takes: how much resident memory a fresh server grows by while a shape of data is written.
//!
//! Time plays no part, so all servers are filled at once. Resident memory is what the system gives away, tables and what the
//! allocator keeps for later included; what INFO says of itself is not asked.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::commands::write;
use super::raw::{Memory, Raw};
use super::subject::{Running, Subject};

/// The memory counts as settled once it has not changed for so long.
const SETTLED_AFTER: Duration = Duration::from_millis(500);
/// Nobody waits longer for that.
const SETTLING_MAX: Duration = Duration::from_secs(10);
const SETTLING_INTERVAL: Duration = Duration::from_millis(50);
/// Elements that one command adds to a big collection.
const CHUNK: u64 = 100;

/// A shape of data.
struct Shape {
    name: &'static str,
    /// The number of all keys (or elements, where there is but one key) by that of a million strings: one of so many.
    divisor: u64,
    /// Elements that a command writes into one key; what is counted is keys.
    per_command: u64,
    /// The words of command `number`.
    command: fn(u64) -> Vec<String>,
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "string of 64 bytes",
        divisor: 1,
        per_command: 1,
        command: |n| words(["SET", &key(n), VALUE]),
    },
    Shape {
        name: "string of 64 bytes with a TTL",
        divisor: 1,
        per_command: 1,
        command: |n| words(["SET", &key(n), VALUE, "EX", "100000"]),
    },
    Shape {
        name: "integer",
        divisor: 1,
        per_command: 1,
        command: |n| words(["SET", &key(n), &n.to_string()]),
    },
    Shape {
        name: "hash of 5 fields",
        divisor: 4,
        per_command: 1,
        command: |n| words(["HSET", &key(n), "f1", "v1", "f2", "v2", "f3", "v3", "f4", "v4", "f5", "v5"]),
    },
    Shape {
        name: "list of 20",
        divisor: 10,
        per_command: 1,
        command: |n| several("RPUSH", &key(n), 0..20, |element| vec![format!("element:{element}")]),
    },
    Shape {
        name: "set of 50",
        divisor: 20,
        per_command: 1,
        command: |n| several("SADD", &key(n), 0..50, |member| vec![format!("member:{member}")]),
    },
    Shape {
        name: "sorted set of 50",
        divisor: 20,
        per_command: 1,
        command: |n| {
            several("ZADD", &key(n), 0..50, |member| vec![member.to_string(), format!("member:{member}")])
        },
    },
    Shape {
        name: "element of one big sorted set",
        divisor: 1,
        per_command: CHUNK,
        command: |n| {
            several("ZADD", "big", chunk(n), |member| vec![member.to_string(), format!("member:{member:09}")])
        },
    },
    Shape {
        name: "field of one big hash",
        divisor: 1,
        per_command: CHUNK,
        command: |n| {
            several("HSET", "big", chunk(n), |field| vec![format!("field:{field:09}"), format!("v{field}")])
        },
    },
    Shape {
        name: "member of one big set",
        divisor: 1,
        per_command: CHUNK,
        command: |n| several("SADD", "big", chunk(n), |member| vec![format!("member:{member:09}")]),
    },
];

const VALUE: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";

fn key(number: u64) -> String {
    format!("key:{number:09}")
}

fn chunk(number: u64) -> std::ops::Range<u64> {
    number * CHUNK..(number + 1) * CHUNK
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn several(name: &str, key: &str, range: std::ops::Range<u64>, each: fn(u64) -> Vec<String>) -> Vec<String> {
    [name.to_owned(), key.to_owned()].into_iter().chain(range.flat_map(each)).collect()
}

/// Those whose memory may differ: each program once, with the options that it is named first with.
pub(super) fn programs(subjects: &[Subject]) -> Vec<&Subject> {
    let mut seen: Vec<&PathBuf> = Vec::new();
    let mut first = Vec::new();
    for subject in subjects {
        if !seen.contains(&&subject.path) {
            seen.push(&subject.path);
            first.push(subject);
        }
    }
    first
}

/// Measures all shapes with `keys` keys or elements each (fewer keys where each has several). False if it was interrupted.
pub(super) fn measure(
    subjects: &[Subject],
    keys: u64,
    raw: &mut Raw,
    interrupted: &AtomicBool,
) -> Result<bool, String> {
    let programs = programs(subjects);
    for shape in SHAPES {
        let measured: Vec<Result<Option<f64>, String>> = std::thread::scope(|scope| {
            let running: Vec<_> =
                programs.iter().map(|subject| scope.spawn(|| grown(subject, shape, keys))).collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err("a client of it panicked".to_owned())))
                .collect()
        });
        for (subject, bytes) in programs.iter().zip(measured) {
            match bytes {
                Ok(bytes) => raw.memory.push(Memory {
                    server: subject.name.clone(),
                    shape: shape.name.to_owned(),
                    bytes,
                }),
                Err(reason) => raw.failures.push(format!("{}, {}: {reason}", subject.name, shape.name)),
            }
        }
        if interrupted.load(Relaxed) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Bytes per key or element; none if the server does not know the command.
fn grown(subject: &Subject, shape: &Shape, keys: u64) -> Result<Option<f64>, String> {
    let server = subject.start()?;
    let before = settled(&server);
    let commands = (keys / shape.divisor / shape.per_command).max(1);
    write(&server, commands, shape.command)?;
    let held = server.client()?.try_call(&["DBSIZE"]).map_err(|error| error.to_string())?;
    let wanted = if shape.per_command > 1 { 1 } else { commands as i64 };
    match held {
        rustredis_testkit::Reply::Integer(0) => return Ok(None),
        rustredis_testkit::Reply::Integer(held) if held == wanted => {}
        other => return Err(format!("it holds {other} keys of {wanted}")),
    }
    let growth = settled(&server).saturating_sub(before) as f64;
    Ok(Some(growth / (commands * shape.per_command) as f64))
}

/// Resident bytes, once they stop changing.
fn settled(server: &Running) -> u64 {
    let end = Instant::now() + SETTLING_MAX;
    let (mut last, mut since) = (server.bytes(), Instant::now());
    while since.elapsed() < SETTLED_AFTER && Instant::now() < end {
        std::thread::sleep(SETTLING_INTERVAL);
        let now = server.bytes();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_filled_once() {
        let named = |text: &str| text.parse::<Subject>().unwrap();
        let subjects = [named("a=x:--engine one"), named("b=x:--engine two"), named("c=y")];
        let names: Vec<&str> = programs(&subjects).iter().map(|subject| subject.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
    }

    #[test]
    fn big_collections_are_written_in_chunks_that_follow_each_other() {
        let shape = SHAPES.iter().find(|shape| shape.name.ends_with("big set")).unwrap();
        let (first, second) = ((shape.command)(0), (shape.command)(1));
        assert_eq!((first.len(), first[2].as_str()), (102, "member:000000000"));
        assert_eq!(second[2], "member:000000100");
    }
}
