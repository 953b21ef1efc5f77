//! How long it takes to have everything, on each engine, alone and beside a worker under load:
//! `cargo run --release -p rustredis-engine --example everything`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use rustredis_engine::{Engine, EngineKind};
use rustredis_keyspace::{Access, Covered, Effects, Key, Random};
use rustredis_metrics::Clock;

const SHARDS: usize = 1024;
const ROUNDS: usize = 100_000;
const KEYS: usize = 10_000;

fn main() {
    for kind in [EngineKind::Mutex, EngineKind::DashMap, EngineKind::Actor, EngineKind::LockFree] {
        for workers in [1, 2] {
            let engine = Arc::new(Engine::new(kind, SHARDS, 16, workers, Clock::start()));
            let is_over = AtomicBool::new(false);
            let ready = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for index in 0..workers {
                    let (engine, is_over, ready) = (&engine, &is_over, &ready);
                    scope.spawn(move || {
                        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
                            return;
                        };
                        tokio::task::LocalSet::new().block_on(&runtime, async {
                            engine.enter_worker(index);
                            ready.fetch_add(1, Ordering::AcqRel);
                            while ready.load(Ordering::Acquire) < workers {
                                tokio::task::yield_now().await;
                            }
                            if index == 0 {
                                measure(engine, kind, workers).await;
                                is_over.store(true, Ordering::Release);
                            } else {
                                load(engine, is_over).await;
                            }
                        });
                    });
                }
            });
        }
    }
}

/// Times holds of everything, and of some shards one by one.
async fn measure(engine: &Engine, kind: EngineKind, workers: usize) {
    for count in [SHARDS, 1, 16, 32, 64, 127] {
        if count < SHARDS && (kind == EngineKind::Mutex || workers == 2) {
            continue;
        }
        let shards: Vec<u32> = (0..count as u32).collect();
        let covered = if count == SHARDS { Covered::All } else { Covered::of(&shards) };
        let mut nanos = Vec::with_capacity(ROUNDS);
        for round in 0..ROUNDS {
            let began = Instant::now();
            let held = engine.borrow(covered, Access::Write).await;
            nanos.push(began.elapsed().as_nanos() as u64);
            drop(held);
            if round % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        nanos.sort_unstable();
        let [median, p99] = [50, 99].map(|percent| nanos[ROUNDS * percent / 100 - 1]);
        let mean = nanos.iter().sum::<u64>() / ROUNDS as u64;
        let name = kind.name();
        println!(
            "{name:8} {workers} workers, {count:4} shards: median {median} ns, mean {mean} ns, p99 {p99} ns"
        );
    }
}

/// Reads keys, one hold each, as a worker does.
async fn load(engine: &Engine, is_over: &AtomicBool) {
    let random = Random::new(7);
    let mut effects = Effects::default();
    let keys: Vec<String> = (0..KEYS).map(|number| format!("key:{number}")).collect();
    while !is_over.load(Ordering::Acquire) {
        for key in keys.iter().take(random.below(64) + 1) {
            let key = Key::new(key.as_bytes());
            let shard = engine.store().shard_of(key.hash);
            let Some(mut held) = engine.hold(Covered::One(shard), Access::Write) else { continue };
            let mut view = held.view(0, 1_000_000, &random, &mut effects);
            view.set_string(key, b"value", None);
        }
        tokio::task::yield_now().await;
    }
}
