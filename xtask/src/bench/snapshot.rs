//! What a snapshot costs those who write meanwhile, and how much memory: BGSAVE and BGREWRITEAOF, beside redis-server.
//!
//! The longest request of a shared machine is the machine's as often as the server's, so the same writes run before the
//! snapshot as well. Memory is the resident memory of the process at its most, and what its child had to copy, as INFO
//! says. Summing the child's own pages from /proc was rejected: to read them stalls the process that is measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustredis_testkit::{Server, process};

use super::disk::{self, Subject};
use super::pace;
use super::report::{self, Figure, percentile};
use crate::arguments::Arguments;
use crate::task_result::TaskResult;

/// Size of the values, in bytes.
const VALUE_BYTES: usize = 64;
/// Writes per second.
const RATE: u32 = 20_000;
/// How long they run without a snapshot.
const QUIET_TIME: Duration = Duration::from_secs(5);
/// How often it is asked whether the snapshot is done, and what it needs.
const INTERVAL: Duration = Duration::from_millis(50);

/// Runs the measurement.
pub(super) fn run(arguments: &Arguments) -> TaskResult {
    let keys: u64 = arguments.number("keys", 5_000_000)?;
    let columns = ["server", "meanwhile", "seconds", "requests", "p50 us", "p99.9 us", "max us", "memory"];
    let mut rows = vec![columns.map(str::to_owned).to_vec()];
    let mut figures = Vec::new();
    for kind in disk::kinds(arguments)? {
        let options =
            ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0", "--enable-debug-command", "yes"];
        let subject = disk::start(&kind, arguments, &options)?;
        disk::populate(&subject.server, keys, VALUE_BYTES)?;
        // What making them has left behind is not the snapshot's.
        pace::write_for(&subject.server, RATE, keys, Duration::from_secs(2))?;
        for command in [None, Some("BGSAVE"), Some("BGREWRITEAOF")] {
            let (row, figure) = measure(&subject, command, keys)?;
            println!("{}", row.join("  "));
            rows.push(row);
            figures.push(figure);
        }
    }
    println!();
    report::print_table(&rows);
    report::save("snapshot", &figures)?;
    Ok(true)
}

fn measure(subject: &Subject, command: Option<&str>, keys: u64) -> Result<(Vec<String>, Figure), String> {
    let is_over = AtomicBool::new(false);
    let before = memory(&subject.server)?;
    let (latencies, watched) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let watched = watch(&subject.server, command);
            is_over.store(true, Ordering::Release);
            watched
        });
        let latencies = pace::write(&subject.server, RATE, keys, &is_over);
        (latencies, watcher.join())
    });
    let latencies = latencies?;
    let (seconds, peak) = watched.map_err(|_| "the watcher failed".to_owned())??;
    let growth = peak.max(before) as f64 / before as f64;
    let [p50, p999, max] = [0.5, 0.999, 1.0].map(|share| percentile(&latencies, share));
    let name = command.unwrap_or("nothing").to_owned();
    let row = vec![
        subject.name.clone(),
        name.clone(),
        format!("{seconds:.1}"),
        latencies.len().to_string(),
        p50.to_string(),
        p999.to_string(),
        max.to_string(),
        format!("{growth:.3}x of {:.0} MB", before as f64 / 1e6),
    ];
    let figure = Figure {
        labels: vec![("server", subject.name.clone()), ("meanwhile", name)],
        values: vec![
            ("seconds", seconds),
            ("p50_us", p50 as f64),
            ("p999_us", p999 as f64),
            ("max_us", max as f64),
            ("before_bytes", before as f64),
            ("peak_bytes", peak as f64),
        ],
    };
    Ok((row, figure))
}

/// Starts the snapshot in the midst of the writes and waits for its end; how long that took, and the most memory.
fn watch(server: &Server, command: Option<&str>) -> Result<(f64, u64), String> {
    let mut client = disk::patient(server);
    thread::sleep(Duration::from_secs(1));
    let started = Instant::now();
    if let Some(command) = command {
        let reply = client.line(command);
        if reply.is_error() {
            return Err(format!("{command}: {reply}"));
        }
    }
    let mut peak = 0;
    loop {
        peak = peak.max(memory(server)?);
        let info = client.line("INFO persistence").text();
        let is_working =
            info.contains("rdb_bgsave_in_progress:1") || info.contains("aof_rewrite_in_progress:1");
        let is_done = if command.is_some() { !is_working } else { started.elapsed() > QUIET_TIME };
        if is_done {
            let seconds = started.elapsed().as_secs_f64();
            // What it leaves behind hits those who come after.
            thread::sleep(Duration::from_secs(1));
            return Ok((seconds, peak.max(memory(server)?) + copied(server, command)));
        }
        thread::sleep(INTERVAL);
    }
}

fn memory(server: &Server) -> Result<u64, String> {
    process::resident_bytes(server.pid()).map_err(|error| format!("the server's memory: {error}"))
}

/// Bytes that the child of this command copied because they changed under it; 0 without a child.
fn copied(server: &Server, command: Option<&str>) -> u64 {
    let field = match command {
        Some("BGSAVE") => "rdb_last_cow_size",
        Some(_) => "aof_last_cow_size",
        None => return 0,
    };
    server.info(field).and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}
