//! Writes at a fixed rate, whatever the server does: a request that is late because the one before it was counts from when
//! it should have been sent. A loop that waits for replies would hide every stall behind its own silence.
//!
//! All that is due leaves in one write, once a millisecond at most: to send each by itself costs more of two cores than
//! the server's own work, and then the load is what is measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustredis_testkit::{Client, Command, Random, Server};

/// Connections that share the rate.
const CONNECTIONS: u32 = 4;
/// Between two writes of a connection.
const TICK: Duration = Duration::from_millis(1);

/// Sends SETs of keys `key:0` to `key:<keys - 1>` at `rate` a second until told to end; gives back what each took, in
/// microseconds, sorted.
pub(super) fn write(server: &Server, rate: u32, keys: u64, is_over: &AtomicBool) -> Result<Vec<u64>, String> {
    let interval = Duration::from_secs(1) * CONNECTIONS / rate;
    let started = Instant::now() + Duration::from_millis(20);
    let results: Vec<Result<Vec<u64>, String>> = thread::scope(|scope| {
        let writers: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let first = started + interval * number / CONNECTIONS;
                scope.spawn(move || {
                    write_one(server.client(), u64::from(number), keys, first, interval, is_over)
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap_or_else(|_| Err("a writer failed".to_owned())))
            .collect()
    });
    let mut latencies = Vec::new();
    for result in results {
        latencies.extend(result?);
    }
    latencies.sort_unstable();
    Ok(latencies)
}

/// The same for a fixed time.
pub(super) fn write_for(server: &Server, rate: u32, keys: u64, time: Duration) -> Result<Vec<u64>, String> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(time);
            is_over.store(true, Ordering::Release);
        });
        write(server, rate, keys, &is_over)
    })
}

fn write_one(
    mut client: Client,
    number: u64,
    keys: u64,
    first: Instant,
    interval: Duration,
    is_over: &AtomicBool,
) -> Result<Vec<u64>, String> {
    let mut random = Random::new(number);
    let mut latencies = Vec::new();
    let (mut due, mut tick, mut bytes, mut sent) = (first, first, Vec::new(), Vec::new());
    while !is_over.load(Ordering::Acquire) {
        thread::sleep(tick.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        tick = now.max(tick) + TICK;
        bytes.clear();
        while due <= now {
            let key = format!("key:{}", random.below(keys as usize));
            Command::new(&["SET", &key, VALUE]).encode(&mut bytes);
            sent.push(due);
            due += interval;
        }
        client.try_send_raw(&bytes).map_err(|error| error.to_string())?;
        for due in sent.drain(..) {
            let reply = client.try_read().map_err(|error| error.to_string())?;
            if reply.is_error() {
                return Err(reply.to_string());
            }
            latencies.push(due.elapsed().as_micros() as u64);
        }
    }
    Ok(latencies)
}

/// 64 bytes.
const VALUE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
