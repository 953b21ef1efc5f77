//! What a read without a lock costs beside its alternatives: `cargo run --release -p rustredis-engine --example lockless`.
//!
//! First the parts alone, on one hot key and on many: a shard's lock (`dashmap`), ways to keep a block while it is read (`seize`,
//! `crossbeam-epoch`, the seats of this crate), and indexes (`papaya`, this crate's). Then the engines, with the views that commands
//! get: GET and SET in batches, one hot key, Zipf 0.99 and uniform keys.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rustredis_engine::{Engine, EngineKind};
use rustredis_keyspace::{Access, Covered, Effects, Key, Random};
use rustredis_metrics::Clock;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHARDS: usize = 1024;
const KEYS: usize = 10_000;
const SECONDS: f64 = 0.4;
const ROUNDS: usize = 5;
const BATCH: usize = 16;
const VALUE: &[u8] = &[b'v'; 64];
const NOW_MS: u64 = 1_700_000_000_000;

fn main() {
    parts();
    engines();
}

/// Millions of operations a second of CPU time of `step`, called with a thread's random numbers on so many threads; the median of some
/// rounds. CPU time, so that what else the machine does counts less.
fn rate(threads: usize, step: impl Fn(&mut Draw) -> usize + Sync) -> f64 {
    let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate_once(threads, &step)).collect();
    rates.sort_by(f64::total_cmp);
    rates[ROUNDS / 2]
}

fn rate_once(threads: usize, step: &(impl Fn(&mut Draw) -> usize + Sync)) -> f64 {
    let (is_over, count, nanos) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let ready = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for index in 0..threads {
            let (is_over, count, nanos, ready) = (&is_over, &count, &nanos, &ready);
            scope.spawn(move || {
                let mut draw = Draw(index as u64 + 1);
                ready.fetch_add(1, Ordering::AcqRel);
                while ready.load(Ordering::Acquire) < threads {
                    std::hint::spin_loop();
                }
                let (mut done, began) = (0, thread_cpu_nanos());
                while !is_over.load(Ordering::Relaxed) {
                    done += step(&mut draw);
                }
                nanos.fetch_add(thread_cpu_nanos() - began, Ordering::Relaxed);
                count.fetch_add(done as u64, Ordering::Relaxed);
            });
        }
        std::thread::sleep(Duration::from_secs_f64(SECONDS));
        is_over.store(true, Ordering::Relaxed);
    });
    count.into_inner() as f64 * 1e3 / nanos.into_inner() as f64
}

/// CPU time that the calling thread has had, in nanoseconds.
fn thread_cpu_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`, which this is.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A thread's random numbers (xorshift).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize
    }
}

fn parts() {
    println!(
        "parts, M operations a second of CPU time, one hot key / {KEYS} keys\nthreads  what                    hot    many"
    );
    for threads in [1, 2, 4] {
        for (name, rates) in [
            ("lock of a dashmap shard", dashmap_lock(threads)),
            ("seize", seize_guard(threads)),
            ("crossbeam-epoch", epoch_guard(threads)),
            ("papaya", papaya_map(threads)),
            ("seats, our index", ours(threads)),
        ] {
            println!("{threads:>7}  {name:<23} {:>6.1} {:>6.1}", rates[0], rates[1]);
        }
    }
}

fn both(rate: impl Fn(usize) -> f64) -> [f64; 2] {
    [rate(1), rate(KEYS)]
}

fn key(number: usize) -> Vec<u8> {
    format!("key:{number:09}").into_bytes()
}

fn keys() -> Vec<Vec<u8>> {
    (0..KEYS).map(key).collect()
}

fn dashmap_lock(threads: usize) -> [f64; 2] {
    let map: dashmap::DashMap<Vec<u8>, Vec<u8>> = dashmap::DashMap::with_shard_amount(SHARDS);
    let keys = keys();
    keys.iter().for_each(|key| _ = map.insert(key.clone(), VALUE.to_vec()));
    both(|count| {
        rate(threads, |draw| {
            let found = map.get(&keys[draw.next() % count]);
            black_box(found.map(|value| value[0]));
            1
        })
    })
}

/// Values behind pointers in an array: what keeping them costs, without an index.
fn values() -> Vec<AtomicPtr<[u8; 64]>> {
    (0..KEYS).map(|_| AtomicPtr::new(Box::into_raw(Box::new([7; 64])))).collect()
}

fn seize_guard(threads: usize) -> [f64; 2] {
    let (collector, values) = (seize::Collector::new(), values());
    both(|count| {
        rate(threads, |draw| {
            use seize::Guard;
            let guard = collector.enter();
            let value = guard.protect(&values[draw.next() % count], Ordering::Acquire);
            // SAFETY: none of the values is ever freed.
            black_box(unsafe { (*value)[0] });
            1
        })
    })
}

fn epoch_guard(threads: usize) -> [f64; 2] {
    let values = values();
    both(|count| {
        rate(threads, |draw| {
            let _guard = crossbeam_epoch::pin();
            let value = values[draw.next() % count].load(Ordering::Acquire);
            // SAFETY: none of the values is ever freed.
            black_box(unsafe { (*value)[0] });
            1
        })
    })
}

fn papaya_map(threads: usize) -> [f64; 2] {
    let map: papaya::HashMap<Vec<u8>, Vec<u8>> = papaya::HashMap::new();
    let keys = keys();
    keys.iter().for_each(|key| _ = map.pin().insert(key.clone(), VALUE.to_vec()));
    both(|count| {
        rate(threads, |draw| {
            let map = map.pin();
            black_box(map.get(&keys[draw.next() % count]).map(|value| value[0]));
            1
        })
    })
}

fn ours(threads: usize) -> [f64; 2] {
    let engine = filled(EngineKind::LockFree, 4);
    let keys = keys();
    both(|count| {
        rate(threads, |draw| {
            let reading = engine.read_published().expect("nobody has everything");
            let found = reading.find(0, Key::new(&keys[draw.next() % count]), NOW_MS);
            black_box(found.map(|entry| entry.bytes()[0]));
            1
        })
    })
}

/// An engine whose keys have strings, which are published if it does that.
fn filled(kind: EngineKind, threads: usize) -> Arc<Engine> {
    let engine = Arc::new(Engine::new(kind, SHARDS, 1, threads, Clock::start()));
    let (random, mut effects) = (Random::new(1), Effects::default());
    let mut held = engine.hold(Covered::All, Access::Write).expect("nobody else is there");
    let mut view = held.view(0, NOW_MS, &random, &mut effects);
    for key in keys() {
        view.set_string(Key::new(&key), VALUE, None);
        (0..3).for_each(|_| _ = view.read(Key::new(&key)));
        view.publish(Key::new(&key), 0);
    }
    drop(held);
    engine
}

fn engines() {
    println!(
        "\nengines, M commands a second of CPU time in batches of {BATCH}, {KEYS} keys\nthreads  reads  keys         dashmap  lockfree  ratio"
    );
    let zipf: Vec<f64> = cumulative_zipf(0.99);
    for threads in [1, 2, 4] {
        for reads in [100, 95, 50, 0] {
            for (name, spread) in [
                ("one hot key", Spread::One),
                ("zipf 0.99", Spread::Zipf(&zipf)),
                ("uniform", Spread::Uniform),
            ] {
                let rates = [EngineKind::DashMap, EngineKind::LockFree]
                    .map(|kind| engine_rate(kind, threads, reads, &spread));
                println!(
                    "{threads:>7}  {reads:>4}%  {name:<12} {:>7.2}  {:>8.2}  {:>5.2}",
                    rates[0],
                    rates[1],
                    rates[1] / rates[0]
                );
            }
        }
    }
}

enum Spread<'a> {
    One,
    Zipf(&'a [f64]),
    Uniform,
}

fn cumulative_zipf(exponent: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let mut sums: Vec<f64> = (1..=KEYS)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    sums.iter_mut().for_each(|value| *value /= sum);
    sums
}

/// Commands of one thread, drawn beforehand: a key's number and whether it is read.
fn drawn(spread: &Spread<'_>, reads: usize, seed: u64) -> Vec<(usize, bool)> {
    let mut draw = Draw(seed);
    (0..1 << 14)
        .map(|_| {
            let number = match spread {
                Spread::One => 0,
                Spread::Uniform => draw.next() % KEYS,
                Spread::Zipf(sums) => {
                    let at = draw.next() as f64 / (1u64 << 53) as f64;
                    sums.partition_point(|sum| *sum < at).min(KEYS - 1)
                }
            };
            (number, draw.next() % 100 < reads)
        })
        .collect()
}

fn engine_rate(kind: EngineKind, threads: usize, reads: usize, spread: &Spread<'_>) -> f64 {
    let engine = filled(kind, threads.max(2));
    let names = keys();
    let commands: Vec<Vec<(usize, bool)>> = (0..8).map(|seed| drawn(spread, reads, seed + 1)).collect();
    thread_local! {
        static STATE: std::cell::RefCell<(Effects, Vec<u8>, usize)> = std::cell::RefCell::default();
    }
    rate(threads, |draw| {
        STATE.with_borrow_mut(|(effects, output, next)| {
            let commands = &commands[draw.0 as usize % commands.len()];
            output.clear();
            let batch: Vec<(Key<'_>, bool)> = (0..BATCH)
                .map(|_| {
                    *next = (*next + 1) % commands.len();
                    (Key::new(&names[commands[*next].0]), commands[*next].1)
                })
                .collect();
            run_batch(&engine, &batch, effects, output);
            BATCH
        })
    })
}

/// As the server runs a batch with more than one worker.
fn run_batch(engine: &Engine, batch: &[(Key<'_>, bool)], effects: &mut Effects, output: &mut Vec<u8>) {
    let random = Random::new(1);
    let mut rest = batch;
    let mut untouched = batch.len();
    while let [(key, is_read), ..] = rest {
        if *is_read && let Some(reading) = engine.read_published() {
            let reads = rest.iter().take_while(|(_, is_read)| *is_read).count();
            reading.touch(0, rest[..reads].iter().map(|(key, _)| key.hash));
            let mut done = 0;
            for (key, _) in &rest[..reads] {
                let Some(found) = reading.find(0, *key, NOW_MS) else { break };
                let found = [found];
                let view = reading.view(&found, 0, NOW_MS, &random, effects);
                output.extend_from_slice(view.string(*key).ok().flatten().unwrap_or_default());
                effects.begin();
                done += 1;
            }
            rest = &rest[done..];
            if done > 0 {
                continue;
            }
        }
        if rest.len() <= untouched {
            engine.touch(0, rest.iter().map(|(key, _)| key.hash));
            untouched = 0;
        }
        let covered = Covered::One(engine.store().shard_of(key.hash));
        let access = if *is_read { Access::Read } else { Access::Write };
        let Some(mut held) = engine.hold(covered, access) else {
            std::thread::yield_now();
            continue;
        };
        let mut view = held.view(0, NOW_MS, &random, effects);
        let mut should_publish = false;
        if *is_read {
            output.extend_from_slice(view.string(*key).ok().flatten().unwrap_or_default());
            should_publish = view.effects.is_read_often.take();
        } else {
            view.set_string(*key, VALUE, None);
            if view.effects.withdrawn.take() {
                view.publish(*key, 0);
            }
        }
        drop(held);
        if should_publish && let Some(mut held) = engine.hold(covered, Access::Write) {
            held.view(0, NOW_MS, &random, effects).publish(*key, 0);
        }
        effects.clear();
        rest = &rest[1..];
    }
}
