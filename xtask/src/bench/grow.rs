//! Does a growing table stall anybody? A probe asks every millisecond while others insert.
//!
//! The machine itself stalls a probe now and then, the more so when load and server share two cores. So the same load
//! runs a second time over keys that are all there: what the probe waits for then has nothing to do with growth. And the
//! server's own slow log tells how long its commands ran, which a probe cannot tell from waiting for a core.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustredis_testkit::{Client, Command, Reply, Server};

use super::report::{self, Figure, percentile};
use super::subject::subjects;
use crate::arguments::Arguments;
use crate::task_result::TaskResult;

/// Connections that insert.
const WRITERS: u64 = 2;
/// Commands that a writer sends before it reads.
const PIPELINE: u64 = 64;
/// The pause between two probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(1);
/// A stall, in microseconds.
const STALL_US: u64 = 10_000;
/// The keys of one row of the table.
const ROW_KEYS: u64 = 2_000_000;

/// A probe: how many keys there were, and how long it took, in microseconds.
type Probe = (u64, u64);

/// Runs the measurement.
pub(super) fn run(arguments: &Arguments) -> TaskResult {
    let keys: u64 = arguments.number("keys", 20_000_000)?;
    let mut figures = Vec::new();
    for subject in subjects(arguments)? {
        println!("{}:", subject.name);
        let columns = ["keys", "probes", "p50 us", "p99.9 us", "max us", "over 10 ms"];
        let mut rows = vec![columns.map(str::to_owned).to_vec()];
        let mut in_server = Vec::new();
        for phase in ["growing", "full"] {
            watch_commands(&subject.server);
            let probes = load(&subject.server, keys)?;
            in_server.push((phase, slow_commands(&subject.server)?));
            for (name, part) in parts(phase, keys, &probes) {
                let mut latencies: Vec<u64> = part.iter().map(|(_, latency)| *latency).collect();
                latencies.sort_unstable();
                let [p50, p999, max] = [0.5, 0.999, 1.0].map(|share| percentile(&latencies, share));
                let stalls = latencies.iter().filter(|latency| **latency > STALL_US).count();
                rows.push(vec![
                    name.clone(),
                    part.len().to_string(),
                    p50.to_string(),
                    p999.to_string(),
                    max.to_string(),
                    stalls.to_string(),
                ]);
                figures.push(Figure {
                    labels: vec![("server", subject.name.clone()), ("phase", name)],
                    values: vec![("p50_us", p50 as f64), ("p999_us", p999 as f64), ("max_us", max as f64)],
                });
            }
        }
        report::print_table(&rows);
        for (phase, micros) in in_server {
            let (count, longest) = (micros.len(), micros.iter().max().copied().unwrap_or(0));
            println!(
                "{phase}: {count} commands ran for over a millisecond in the server, the longest for {longest} us"
            );
        }
        println!();
    }
    report::save("grow", &figures)?;
    Ok(true)
}

/// Has the server note each command that it takes over a millisecond to run, whoever waits for it.
fn watch_commands(server: &Server) {
    let mut client = server.client();
    client.check("CONFIG SET slowlog-max-len 100000 slowlog-log-slower-than 1000", "+OK");
    client.check("SLOWLOG RESET", "+OK");
}

/// What those took, in microseconds.
fn slow_commands(server: &Server) -> Result<Vec<i64>, String> {
    let entries = match server.client().call(&["SLOWLOG", "GET", "-1"]) {
        Reply::Array(entries) => entries,
        other => return Err(format!("SLOWLOG GET: {other}")),
    };
    let micros = |entry: &Reply| match entry {
        Reply::Array(fields) => match fields.get(2) {
            Some(Reply::Integer(micros)) => Some(*micros),
            _ => None,
        },
        _ => None,
    };
    Ok(entries.iter().filter_map(micros).collect())
}

/// The probes of each row: by number of keys while they grow, then the whole phase.
fn parts<'a>(phase: &str, keys: u64, probes: &'a [Probe]) -> Vec<(String, &'a [Probe])> {
    let mut parts = Vec::new();
    if phase == "growing" {
        for first in (0..keys).step_by(ROW_KEYS as usize) {
            let start = probes.partition_point(|(count, _)| *count < first);
            let end = probes.partition_point(|(count, _)| *count < first + ROW_KEYS);
            parts.push((format!("to {}M", (first + ROW_KEYS).min(keys) / 1_000_000), &probes[start..end]));
        }
    }
    parts.push((phase.to_owned(), probes));
    parts
}

/// Sets all keys once, with a probe beside it.
fn load(server: &Server, keys: u64) -> Result<Vec<Probe>, String> {
    let (written, are_done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let probe = scope.spawn(|| probe(&mut server.client(), &written, &are_done));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let written = &written;
                scope.spawn(move || write(&mut server.client(), writer, keys, written))
            })
            .collect();
        let results: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        are_done.store(true, Ordering::Release);
        let probes = probe.join().map_err(|_| "the probe failed".to_owned())?;
        for result in results {
            result.map_err(|_| "a writer failed".to_owned())??;
        }
        Ok(probes)
    })
}

fn write(client: &mut Client, writer: u64, keys: u64, written: &AtomicU64) -> Result<(), String> {
    let mut next = writer * PIPELINE;
    while next < keys {
        let numbers = next..(next + PIPELINE).min(keys);
        let commands: Vec<Command> =
            numbers.map(|key| Command::new(&["SET", &format!("key:{key:012}"), "value"])).collect();
        let replies = client.try_pipeline(&commands).map_err(|error| error.to_string())?;
        if let Some(error) = replies.iter().find(|reply| reply.is_error()) {
            return Err(error.to_string());
        }
        written.fetch_add(commands.len() as u64, Ordering::Relaxed);
        next += WRITERS * PIPELINE;
    }
    Ok(())
}

/// Asks in turn for nothing and for a key, as regularly as it is answered.
fn probe(client: &mut Client, written: &AtomicU64, are_done: &AtomicBool) -> Vec<Probe> {
    let mut probes = Vec::new();
    while !are_done.load(Ordering::Acquire) {
        let started = Instant::now();
        if probes.len() % 2 == 0 {
            client.call(&["PING"]);
        } else {
            client.call(&["GET", "key:000000000001"]);
        }
        let elapsed = started.elapsed();
        probes.push((written.load(Ordering::Relaxed), elapsed.as_micros() as u64));
        thread::sleep(PROBE_INTERVAL.saturating_sub(elapsed));
    }
    probes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_belong_to_the_keys_that_were_there() {
        let probes = [(0, 1), (1_999_999, 2), (2_000_000, 3), (3_000_000, 4)];
        let parts = parts("growing", 3_000_000, &probes);
        let counts: Vec<(&str, usize)> =
            parts.iter().map(|(name, probes)| (name.as_str(), probes.len())).collect();
        assert_eq!(counts, [("to 2M", 2), ("to 3M", 2), ("growing", 4)]);
    }
}
