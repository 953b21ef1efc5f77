//! What an errand costs between two threads that do not sleep, beside what the machine charges for a word that goes to and fro:
//! `cargo run --release -p rustredis-engine --example errands`.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use rustredis_engine::errands::Scattered;
use rustredis_engine::{Engine, EngineKind, Errand, Held, Outcome, Part};
use rustredis_metrics::Clock;

const SHARDS: usize = 1024;
/// Stretches that are timed; a tenth of them is faster than what is told, for in many another process has taken a core.
const STRETCHES: usize = 4_000;
/// Errands of a stretch.
const ERRANDS: usize = 64;

/// Does nothing, so that what is measured is the way there and back.
struct Nothing;

impl Errand for Nothing {
    fn run(&mut self, _: &mut Held<'_>) -> Outcome {
        Outcome::Done
    }
}

fn main() {
    println!("a word to another thread and back: {:.0} ns", word());
    for together in [1, 4, 16] {
        println!("an errand and its answer, {together:2} under way: {:.0} ns", errand(together));
    }
}

/// Nanoseconds of a word's way there and back.
fn word() -> f64 {
    let word = AtomicU64::new(0);
    let wait_for = |value: u64| {
        while word.load(Ordering::Acquire) != value {
            std::hint::spin_loop();
        }
    };
    let rounds = (STRETCHES * ERRANDS) as u64;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..rounds {
                wait_for(2 * round + 1);
                word.store(2 * round + 2, Ordering::Release);
            }
        });
        let mut round = 0;
        time(|| {
            for _ in 0..ERRANDS {
                word.store(2 * round + 1, Ordering::Release);
                wait_for(2 * round + 2);
                round += 1;
            }
        })
    })
}

/// The time of an errand in all stretches but the fastest tenth, in nanoseconds.
fn time(mut stretch: impl FnMut()) -> f64 {
    let mut nanos: Vec<u128> = (0..STRETCHES)
        .map(|_| {
            let began = Instant::now();
            stretch();
            began.elapsed().as_nanos()
        })
        .collect();
    nanos.sort_unstable();
    nanos[STRETCHES / 10] as f64 / ERRANDS as f64
}

/// Nanoseconds for each errand, when so many are under way at a time.
fn errand(together: usize) -> f64 {
    let engine = Engine::new(EngineKind::Actor, SHARDS, 1, 2, Clock::start());
    let (is_ready, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            engine.enter_sleepless(1);
            is_ready.store(true, Ordering::Release);
            while !is_over.load(Ordering::Relaxed) {
                engine.serve();
                std::hint::spin_loop();
            }
        });
        while !is_ready.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        engine.enter_sleepless(0);
        let mut parts = vec![Part { shards: [SHARDS as u32 - 1][..].into(), errand: Box::new(Nothing) }];
        while parts.len() < together {
            parts.push(Part { shards: [SHARDS as u32 - 1][..].into(), errand: Box::new(Nothing) });
        }
        let nanos = time(|| {
            for _ in 0..ERRANDS / together {
                let sent: Vec<_> = parts
                    .drain(..)
                    .map(|part| match engine.scatter(None, vec![part]) {
                        Ok(Scattered { answers, .. }) => answers,
                        Err(_) => unreachable!("nobody stops the gate"),
                    })
                    .collect();
                for answers in sent {
                    parts.extend(finish(&engine, answers));
                }
            }
        });
        is_over.store(true, Ordering::Relaxed);
        nanos
    })
}

fn finish<T>(engine: &Engine, answers: impl Future<Output = T>) -> T {
    let mut answers = pin!(answers);
    loop {
        if let Poll::Ready(parts) = answers.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return parts;
        }
        engine.serve();
        std::hint::spin_loop();
    }
}
