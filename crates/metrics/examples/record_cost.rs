//! What it costs to count a command: nanoseconds per record for each strategy at 1 to 4 threads.
//!
//! Each thread records batches of 16 out of eight commands, as a pipeline would, and flushes after each batch. A figure is
//! the wall time divided by the records of one thread, times processors / threads where there are fewer processors than
//! threads; the best of several runs, since whatever disturbs a run makes it longer. `loop` is the loop without a record.
//!
//! `cargo run --release -p rustredis-metrics --example record_cost`

use rustredis_metrics::{CallEnd, Clock, CommandId, Contention, Metrics, Sharing, Strategy, WorkerMetrics};
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

const RECORDS: u64 = 10_000_000;
const BATCH: u64 = 16;
const RUNS: usize = 5;
const COMMANDS: usize = 240;
const THREADS: [usize; 4] = [1, 2, 3, 4];

fn main() {
    let clock = Clock::start();
    let system = Clock::monotonic();
    println!("ns per read of the clock");
    println!("{:24}{:10.1}", clock.source(), time(1, || || repeat(|_| clock.now())));
    println!("{:24}{:10.1}", system.source(), time(1, || || repeat(|_| system.now())));

    println!("\nns per record{:11}{:>10}{:>10}{:>10}{:>10}", "", "1 thread", "2", "3", "4");
    print_row("loop", |threads| time(threads, || || repeat(|index| index)));
    for strategy in Strategy::ALL {
        for tracks_latency in [true, false] {
            let name = if tracks_latency { strategy.name() } else { "  without histograms" };
            print_row(name, |threads| {
                let metrics = Metrics::new(strategy, COMMANDS, threads, clock);
                metrics.set_tracks_latency(tracks_latency);
                time(threads, || {
                    let worker = metrics.worker();
                    move || record(&worker)
                })
            });
        }
    }

    println!("\nns per acquisition of a free lock, its instruments");
    for is_enabled in [false, true] {
        let contention = Contention::new(1, clock);
        contention.set_enabled(is_enabled);
        let acquire = |_| {
            let ((), held) = contention.acquire(0, Sharing::Exclusive, || Some(()), || ());
            contention.release(held);
        };
        println!("{:24}{:10.1}", if is_enabled { "on" } else { "off" }, time(1, || || repeat(acquire)));
    }
}

fn print_row(name: &str, cost: impl Fn(usize) -> f64) {
    let columns: String = THREADS.iter().map(|threads| format!("{:10.1}", cost(*threads))).collect();
    println!("{name:24}{columns}");
}

fn repeat<Result>(mut step: impl FnMut(u64) -> Result) {
    for index in 0..RECORDS {
        black_box(step(black_box(index)));
    }
}

fn record(worker: &WorkerMetrics) {
    repeat(|index| {
        let command = CommandId((index % 8 * 29) as u16);
        let nanos = 400 + index % 512 * 4;
        worker.record(command, nanos, CallEnd::Ok);
        if index % BATCH == BATCH - 1 {
            worker.flush();
        }
    });
}

/// Nanoseconds per step when each of `threads` threads does `RECORDS` steps of what `prepare` makes for it: from the first
/// thread's start to the last one's end.
fn time<Work: FnOnce()>(threads: usize, prepare: impl Fn() -> Work + Sync) -> f64 {
    let run = |_| {
        let ready = Barrier::new(threads);
        let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
            let start = |_| {
                scope.spawn(|| {
                    let work = prepare();
                    ready.wait();
                    let started = Instant::now();
                    work();
                    (started, Instant::now())
                })
            };
            let running: Vec<_> = (0..threads).map(start).collect();
            running.into_iter().map(|thread| thread.join().expect("the work does not panic")).collect()
        });
        let first = spans.iter().map(|span| span.0).min();
        let last = spans.iter().map(|span| span.1).max();
        first.zip(last).map_or(f64::INFINITY, |(first, last)| last.duration_since(first).as_nanos() as f64)
    };
    let best = (0..RUNS).map(run).fold(f64::INFINITY, f64::min);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    best / RECORDS as f64 * processors.min(threads) as f64 / threads as f64
}
