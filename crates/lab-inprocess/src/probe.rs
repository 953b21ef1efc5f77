//! What two threads pay for telling each other something: the constants of a simulation (`rustredis-lab predict`).
//!
//! Each is the tenth percentile of short rounds: a round in which one of the two was switched away is milliseconds too long, and on a machine
//! that does other things that is most of them. They need two cores; on one there is no such thing as a line's way to another core, and
//! the figures are left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// There and back so often makes a round.
const TURNS: u64 = 300;
/// Wake-ups of a round.
const WAKES: u64 = 20;
/// Additions of a round.
const ADDITIONS: u64 = 2_000;
/// Rounds at most.
const ROUNDS: usize = 2_000;

/// On a line of its own.
#[repr(align(128))]
struct Line(AtomicU64);

/// Measures for about so long; nanoseconds by name.
pub(crate) fn measure(seconds: f64) -> Value {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    if cores < 2 {
        return json!({});
    }
    let budget = Duration::from_secs_f64(seconds / 3.0);
    json!({
        "line_transfer_ns": undisturbed(budget, || line_transfer(TURNS)),
        "wake_ns": undisturbed(budget, || wake(WAKES)),
        "own_line_ns": undisturbed(budget, || own_line(ADDITIONS)),
    })
}

fn undisturbed(budget: Duration, mut round: impl FnMut() -> f64) -> f64 {
    let end = Instant::now() + budget;
    let mut values = Vec::new();
    while values.is_empty() || values.len() < ROUNDS && Instant::now() < end {
        values.push(round());
    }
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 10]
}

fn nanos_each(started: Instant, count: u64) -> f64 {
    started.elapsed().as_nanos() as f64 / count as f64
}

/// A line that two threads write by turns: one way.
fn line_transfer(turns: u64) -> f64 {
    let line = Arc::new(Line(AtomicU64::new(0)));
    let other = line.clone();
    let answering = std::thread::spawn(move || {
        for turn in 0..turns {
            wait_for(&other.0, 2 * turn + 1);
            other.0.store(2 * turn + 2, Release);
        }
    });
    // It runs, and has a core.
    let mut started = Instant::now();
    for turn in 0..turns {
        if turn == turns / 10 {
            started = Instant::now();
        }
        line.0.store(2 * turn + 1, Release);
        wait_for(&line.0, 2 * turn + 2);
    }
    let nanos = nanos_each(started, 2 * (turns - turns / 10));
    answering.join().expect("the answering thread has nothing that panics");
    nanos
}

fn wait_for(word: &AtomicU64, value: u64) {
    let mut looks = 0_u32;
    while word.load(Acquire) != value {
        looks += 1;
        if looks.is_multiple_of(1 << 14) {
            // The other one may have no core.
            std::thread::yield_now();
        }
        std::hint::spin_loop();
    }
}

/// A parked thread: from the unpark to its first step.
fn wake(wakes: u64) -> f64 {
    let turn = Arc::new(AtomicU64::new(0));
    let other = turn.clone();
    let sleeper = std::thread::spawn(move || {
        for wake in 1..=wakes {
            while other.load(Acquire) < 2 * wake - 1 {
                std::thread::park();
            }
            other.store(2 * wake, Release);
        }
    });
    let mut total = 0.0;
    for wake in 1..=wakes {
        // It sleeps by then.
        std::thread::sleep(Duration::from_micros(60));
        let started = Instant::now();
        turn.store(2 * wake - 1, Release);
        sleeper.thread().unpark();
        wait_for(&turn, 2 * wake);
        total += started.elapsed().as_nanos() as f64;
    }
    sleeper.join().expect("the sleeping thread has nothing that panics");
    total / wakes as f64
}

/// An atomic addition to a line that nobody else wants.
fn own_line(count: u64) -> f64 {
    let line = Line(AtomicU64::new(0));
    let started = Instant::now();
    for _ in 0..count {
        std::hint::black_box(line.0.fetch_add(1, Relaxed));
    }
    nanos_each(started, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_travels_costs_more_than_what_stays() {
        let figures = measure(0.4);
        if figures.as_object().is_some_and(serde_json::Map::is_empty) {
            return;
        }
        let figure = |name: &str| figures[name].as_f64().unwrap();
        assert!(figure("own_line_ns") > 0.0 && figure("own_line_ns") < 200.0, "{figures}");
        assert!(figure("wake_ns") > figure("own_line_ns"), "{figures}");
        assert!(figure("line_transfer_ns") > figure("own_line_ns"), "{figures}");
    }
}
