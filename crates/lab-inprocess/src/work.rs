//! The threads and what each of them does.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant, SystemTime};

use rustredis_commands::{Args, CommandError, FAMILIES, KeyRef, OwnedArgs, Registry};
use rustredis_engine::{Engine, EngineKind};
use rustredis_keyspace::Key;
use rustredis_keyspace::placement::part_of;
use rustredis_keyspace::{Covered, View};
use rustredis_lab::load::Spread;
use rustredis_lab::load::keys::KeyDraw;
use rustredis_lab::load::mix::{key, value};
use rustredis_metrics::{Clock, Metrics, Strategy};
use rustredis_resp::Reply;
use serde_json::{Value, json};

use crate::clients::{self, Client, Hand};
use crate::counters;

/// As the server has it.
const SHARDS: usize = 1024;
/// Shards of the heat map: this many neighbours' sums.
const HEAT_COLUMNS: usize = 32;
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
    pub(crate) registry: Registry,
    pub(crate) clock: Clock,
    pub(crate) now_ms: u64,
    pub(crate) is_over: AtomicBool,
    /// Threads whose clients have not all ended.
    pub(crate) running: AtomicUsize,
    pub(crate) failures: AtomicU64,
    /// Commands that each thread has run.
    pub(crate) counts: Vec<Count>,
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
    let engine = Arc::new(Engine::new(plan.engine, SHARDS, 1, plan.threads, clock));
    let now_ms = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_millis() as u64);
    let shared = Arc::new(Shared {
        engine,
        registry,
        clock,
        now_ms,
        is_over: AtomicBool::new(false),
        running: AtomicUsize::new(plan.threads),
        failures: AtomicU64::new(0),
        counts: (0..plan.threads).map(|_| Count::default()).collect(),
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
    if plan.measures_contention {
        shared.engine.contention().set_enabled(true);
    }
    let sum = || shared.counts.iter().map(|count| count.0.load(Relaxed)).sum::<u64>();
    let counters = plan.measures_contention.then(|| counters::start(plan.seconds)).flatten();
    let (count_before, usage_before, started) = (sum(), Usage::now(), Instant::now());
    std::thread::sleep(Duration::from_secs_f64(plan.seconds));
    let (count, usage, seconds) = (sum() - count_before, Usage::now(), started.elapsed().as_secs_f64());
    let counted = counters.map(counters::read).unwrap_or_default();
    shared.is_over.store(true, Relaxed);
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked".to_owned())??;
    }
    if shared.failures.load(Relaxed) > 0 {
        return Err(format!("{} commands failed", shared.failures.load(Relaxed)));
    }
    let mut figures = figures(&shared.engine, count, seconds, &usage_before, &usage);
    for (name, value) in counted {
        figures[name] = json!(value);
    }
    Ok(figures)
}

fn figures(engine: &Engine, commands: u64, seconds: f64, before: &Usage, after: &Usage) -> Value {
    let mut figures = json!({
        "commands": commands,
        "seconds": seconds,
        "cpu_seconds": after.cpu_seconds - before.cpu_seconds,
        "switches_voluntary": after.voluntary - before.voluntary,
        "switches_involuntary": after.involuntary - before.involuntary,
    });
    let report = engine.contention().report();
    if report.acquisitions > 0 {
        figures["lock_acquisitions"] = json!(report.acquisitions);
        figures["lock_contended"] = json!(report.contended);
        for (name, histogram) in [("lock_wait_ns", &report.wait), ("lock_hold_ns", &report.hold)] {
            figures[format!("{name}_p50")] = json!(histogram.percentile(50.0));
            figures[format!("{name}_p99")] = json!(histogram.percentile(99.0));
            figures[format!("{name}_p999")] = json!(histogram.percentile(99.9));
            figures[format!("{name}_max")] = json!(histogram.max());
        }
        let waits = engine.contention().shard_wait_nanos();
        let width = waits.len().div_ceil(HEAT_COLUMNS).max(1);
        figures["shard_wait_ns"] = waits.chunks(width).map(|part| part.iter().sum::<u64>()).collect();
    }
    figures
}

/// A thread from start to end.
fn work(
    index: usize,
    shared: &Arc<Shared>,
    ready: &Barrier,
    plan: &Plan,
    metrics: &Arc<Metrics>,
) -> Result<(), String> {
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
    let value = value(VALUE_BYTES);
    let mut commands = Vec::with_capacity(COMMANDS);
    while commands.len() < COMMANDS {
        let key = key(draw.draw());
        let ready = if draw.below(100) < plan.reads_percent {
            prepare(shared, &[b"GET", &key])
        } else {
            prepare(shared, &[b"SET", &key, &value])
        };
        // On every engine the same keys as where each thread owns a part of them.
        if !plan.has_own_keys || part_of(ready.shard, SHARDS, plan.threads) == index {
            commands.push(ready);
        }
    }
    commands
}

/// Writes the thread's share of the keys.
async fn fill(shared: &Arc<Shared>, plan: &Plan, index: usize) {
    let value = value(VALUE_BYTES);
    for number in (index as u64..plan.keys).step_by(plan.threads) {
        let ready = prepare(shared, &[b"SET", &key(number), &value]);
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
}

/// What the process has used so far.
struct Usage {
    cpu_seconds: f64,
    voluntary: i64,
    involuntary: i64,
}

impl Usage {
    fn now() -> Self {
        // SAFETY: rusage is plain numbers, for which all zeroes are a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the call writes to a valid rusage and nowhere else.
        unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Self {
            cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            voluntary: usage.ru_nvcsw,
            involuntary: usage.ru_nivcsw,
        }
    }
}
