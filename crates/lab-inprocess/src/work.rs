//! The threads and what each of them does.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::time::{Duration, SystemTime};

use rustredis_commands::{Args, CommandError, FAMILIES, KeyRef, OwnedArgs, Registry};
use rustredis_engine::{Engine, EngineKind};
use rustredis_keyspace::Key;
use rustredis_keyspace::placement::part_of;
use rustredis_keyspace::{Covered, View};
use rustredis_lab::load::Spread;
use rustredis_lab::load::keys::KeyDraw;
use rustredis_lab::load::mix::key;
use rustredis_lab::load::value::value;
use rustredis_lab::usage::Used;
use rustredis_metrics::{Clock, Metrics, Strategy};
use rustredis_resp::Reply;
use serde_json::Value;

use crate::clients::{self, Client, Hand};
use crate::locks::{LockKind, OneLock};
use crate::window;

/// As the server has it.
const SHARDS: usize = 1024;
/// Commands that each thread has drawn beforehand and repeats.
const COMMANDS: usize = 1 << 15;
/// Clients of a thread.
pub(crate) const CLIENTS_PER_THREAD: usize = 16;
const VALUE_BYTES: usize = 64;
/// The part of the time before figures count.
const WARM_UP_SHARE: f64 = 0.3;

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) engine: EngineKind,
    /// Instead of the engine's own locks.
    pub(crate) lock: Option<LockKind>,
    pub(crate) metrics: Strategy,
    pub(crate) threads: usize,
    pub(crate) batch: usize,
    pub(crate) spread: Spread,
    pub(crate) keys: u64,
    pub(crate) seconds: f64,
    pub(crate) reads_percent: u64,
    pub(crate) seed: u64,
    pub(crate) measures_contention: bool,
    pub(crate) has_own_keys: bool,
}

/// A command, ready to run.
#[derive(Clone)]
pub(crate) struct Ready {
    pub(crate) row: u16,
    pub(crate) args: OwnedArgs,
    pub(crate) hash: u64,
    pub(crate) shard: usize,
}

impl Ready {
    /// Its key.
    #[inline]
    pub(crate) fn key(&self) -> Key<'_> {
        Key { bytes: self.args.args().get(1), hash: self.hash }
    }
}

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) lock: Option<OneLock>,
    pub(crate) registry: Registry,
    pub(crate) clock: Clock,
    pub(crate) now_ms: u64,
    pub(crate) is_over: AtomicBool,
    /// Threads whose clients have not all ended.
    pub(crate) running: AtomicUsize,
    pub(crate) failures: AtomicU64,
    /// Commands that each thread has run.
    pub(crate) counts: Vec<Count>,
    /// The threads' numbers in the kernel.
    pub(crate) numbers: Vec<AtomicI32>,
}

/// On a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

/// Runs the plan; its figures as one line of JSON.
pub(crate) fn measure(plan: &Plan) -> Result<Value, String> {
    let clock = Clock::start();
    let registry = Registry::new(FAMILIES, &[])?;
    let metrics = Metrics::new(plan.metrics, registry.rows().len(), plan.threads, clock);
    let mut engine = Engine::new(plan.engine, SHARDS, 1, plan.threads, clock);
    if plan.lock.is_some() {
        engine.close();
    }
    let engine = Arc::new(engine);
    let lock = plan.lock.map(|kind| {
        // The process ends with the run.
        let engine: &'static Engine = Box::leak(Box::new(engine.clone()));
        OneLock::new(kind, engine.filling().expect("the engine was closed above, and has one filling"))
    });
    let now_ms = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_millis() as u64);
    let shared = Arc::new(Shared {
        engine,
        lock,
        registry,
        clock,
        now_ms,
        is_over: AtomicBool::new(false),
        running: AtomicUsize::new(plan.threads),
        failures: AtomicU64::new(0),
        counts: (0..plan.threads).map(|_| Count::default()).collect(),
        numbers: (0..plan.threads).map(|_| AtomicI32::new(0)).collect(),
    });
    let ready = Arc::new(Barrier::new(plan.threads + 1));
    let threads: Vec<_> = (0..plan.threads)
        .map(|index| {
            let (shared, ready, plan, metrics) =
                (shared.clone(), ready.clone(), plan.clone(), metrics.clone());
            std::thread::spawn(move || work(index, &shared, &ready, &plan, &metrics))
        })
        .collect();
    ready.wait();
    std::thread::sleep(Duration::from_secs_f64(plan.seconds * WARM_UP_SHARE));
    let figures = window::measure(&shared, plan);
    shared.is_over.store(true, Relaxed);
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked".to_owned())??;
    }
    if shared.failures.load(Relaxed) > 0 {
        return Err(format!("{} commands failed", shared.failures.load(Relaxed)));
    }
    Ok(figures)
}

/// The calling thread's number in the kernel.
fn thread_number() -> i32 {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// A thread from start to end.
fn work(
    index: usize,
    shared: &Arc<Shared>,
    ready: &Barrier,
    plan: &Plan,
    metrics: &Arc<Metrics>,
) -> Result<(), String> {
    shared.numbers[index].store(thread_number(), Relaxed);
    shared.engine.enter_sleepless(index);
    let commands: Arc<[Ready]> = draw(shared, plan, index).into();
    Hand::new(metrics.worker(), plan.seed + index as u64).enter();
    clients::finish(&shared.engine, fill(shared, plan, index));
    // Owners must serve each other while they fill: nobody stops before all are done.
    let count = &shared.counts[index].0;
    count.store(1, Relaxed);
    while shared.counts.iter().any(|count| count.0.load(Relaxed) == 0) {
        shared.engine.serve();
        std::thread::yield_now();
    }
    ready.wait();
    let next = Cell::new(0);
    let client = |_| Client::new(shared, &commands, plan.batch, index, &next).run();
    clients::run_all(shared, (0..CLIENTS_PER_THREAD).map(client));
    Ok(())
}

/// The commands of a server, of which there is none here.
pub(crate) fn of_server(_: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Result<(), CommandError> {
    Err(CommandError::text("ERR there is no server"))
}

fn prepare(shared: &Shared, parts: &[&[u8]]) -> Ready {
    let mut args = OwnedArgs::from_parts(parts);
    let mut keys: Vec<KeyRef> = Vec::new();
    let row = shared.registry.resolve(args.args()).expect("GET and SET are commands");
    row.hash_keys(args.args(), &mut keys);
    args.set_keys(&keys);
    Ready { row: row.id, args, hash: keys[0].hash, shard: shared.engine.store().shard_of(keys[0].hash) }
}

fn draw(shared: &Shared, plan: &Plan, index: usize) -> Vec<Ready> {
    let mut draw = KeyDraw::new(plan.spread, plan.keys, plan.seed ^ ((index as u64 + 1) << 32));
    let mut commands = Vec::with_capacity(COMMANDS);
    while commands.len() < COMMANDS {
        let number = draw.draw();
        let key = key(number);
        let ready = if draw.below(100) < plan.reads_percent {
            prepare(shared, &[b"GET", &key])
        } else {
            prepare(shared, &[b"SET", &key, &value(number, VALUE_BYTES)])
        };
        // On every engine the same keys as where each thread owns a part of them.
        if !plan.has_own_keys || part_of(ready.shard, SHARDS, plan.threads) == index {
            commands.push(ready);
        }
    }
    commands
}

/// Writes the thread's share of the keys; under one lock the first thread writes all, for it would only be handed round.
async fn fill(shared: &Arc<Shared>, plan: &Plan, index: usize) {
    if let Some(lock) = &shared.lock {
        for number in (0..plan.keys).filter(|_| index == 0) {
            let ready = [prepare(shared, &[b"SET", &key(number), &value(number, VALUE_BYTES)])];
            let mut output = Vec::new();
            lock.with(|filling| {
                clients::with_hand(|hand| hand.run_locked(shared, filling, &ready, &mut output));
            });
        }
        return;
    }
    for number in (index as u64..plan.keys).step_by(plan.threads) {
        let ready = prepare(shared, &[b"SET", &key(number), &value(number, VALUE_BYTES)]);
        let access = shared.registry.row(ready.row).access;
        let mut held = shared.engine.borrow(Covered::One(ready.shard), access).await;
        clients::with_hand(|hand| hand.run_held(shared, &mut held, [&ready], false, &mut Vec::new(), |_| {}));
    }
}

impl Shared {
    /// Adds to what a thread has run, which is the only one to write that.
    pub(crate) fn count(&self, index: usize, commands: usize) {
        let count = &self.counts[index].0;
        count.store(count.load(Relaxed) + commands as u64, Relaxed);
    }

    /// What a thread has run so far.
    pub(crate) fn counted(&self, index: usize) -> u64 {
        self.counts[index].0.load(Relaxed)
    }

    /// What a thread has used so far.
    pub(crate) fn usage(&self, index: usize) -> Used {
        let thread = self.numbers[index].load(Relaxed);
        // Where the kernel does not tell, nothing was used.
        Used::of_thread(Path::new(&format!("/proc/self/task/{thread}"))).unwrap_or_default()
    }
}
