//! The threads and what each of them does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant, SystemTime};

use crate::counters;
use rustredis_commands::{Args, CommandError, FAMILIES, KeyRef, OwnedArgs, Registry};
use rustredis_engine::{Engine, EngineKind, Held};
use rustredis_keyspace::{Covered, Effects, Random, View};
use rustredis_lab::load::Spread;
use rustredis_lab::load::keys::KeyDraw;
use rustredis_lab::load::mix::{key, value};
use rustredis_metrics::{CallEnd, Clock, CommandId, Metrics, Strategy, WorkerMetrics};
use rustredis_resp::{Proto, Reply};
use serde_json::{Value, json};

/// As the server has it.
const SHARDS: usize = 1024;
/// Shards of the heat map: this many neighbours' sums.
const HEAT_COLUMNS: usize = 32;
/// Commands that each thread has drawn beforehand and repeats.
const COMMANDS: usize = 1 << 15;
/// Tasks of a thread of the actor engine.
pub(crate) const CLIENTS_PER_THREAD: usize = 16;
const VALUE_BYTES: usize = 64;
const READS_IN_TEN: u64 = 8;
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
    pub(crate) seed: u64,
    pub(crate) measures_contention: bool,
}

/// A command, ready to run.
#[derive(Clone)]
struct Ready {
    row: u16,
    args: OwnedArgs,
    hash: u64,
    shard: usize,
}

/// What all threads share.
struct Shared {
    engine: Arc<Engine>,
    registry: Registry,
    clock: Clock,
    now_ms: u64,
    is_over: AtomicBool,
    failures: AtomicU64,
    /// Commands that each thread has run.
    counts: Vec<Count>,
}

/// On a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
struct Count(AtomicU64);

/// What a thread needs to run a command.
struct Hand {
    shared: Arc<Shared>,
    metrics: WorkerMetrics,
    random: Random,
    effects: Effects,
    output: Vec<u8>,
    last_clock: u64,
}

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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        shared.engine.enter_worker(index);
        let commands = Arc::new(draw(shared, plan, index));
        let hand = || Hand {
            shared: shared.clone(),
            metrics: metrics.worker(),
            random: Random::new(plan.seed + index as u64),
            effects: Effects::default(),
            output: Vec::new(),
            last_clock: 0,
        };
        fill(&mut hand(), plan, index).await;
        // The owners must serve each other while they fill: nobody stops before all are done.
        if plan.engine == EngineKind::Actor {
            let ready = shared.counts[index].0.fetch_add(1, Relaxed);
            debug_assert_eq!(ready, 0, "a thread is ready once");
            while shared.counts.iter().any(|count| count.0.load(Relaxed) == 0) {
                tokio::task::yield_now().await;
            }
        }
        ready.wait();
        if plan.engine != EngineKind::Actor {
            return run_with_locks(&mut hand(), &commands, plan.batch, index);
        }
        let clients: Vec<_> = (0..CLIENTS_PER_THREAD)
            .map(|client| {
                let (mut hand, commands, batch) = (hand(), commands.clone(), plan.batch);
                tokio::task::spawn_local(async move {
                    let first = client * commands.len() / CLIENTS_PER_THREAD;
                    run_as_owner(&mut hand, &commands, batch, index, first).await;
                })
            })
            .collect();
        for client in clients {
            // A task ends when the time is over; a panic is seen in the thread's result.
            if client.await.is_err() {
                hand().shared.failures.fetch_add(1, Relaxed);
            }
        }
    });
    Ok(())
}

/// The commands of a server, of which there is none here.
fn of_server(_: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Result<(), CommandError> {
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
    (0..COMMANDS)
        .map(|_| {
            let key = key(draw.draw());
            if draw.below(10) < READS_IN_TEN {
                prepare(shared, &[b"GET", &key])
            } else {
                prepare(shared, &[b"SET", &key, &value])
            }
        })
        .collect()
}

/// Writes the thread's share of the keys.
async fn fill(hand: &mut Hand, plan: &Plan, index: usize) {
    let value = value(VALUE_BYTES);
    let shared = hand.shared.clone();
    for number in (index as u64..plan.keys).step_by(plan.threads) {
        let ready = prepare(&shared, &[b"SET", &key(number), &value]);
        let mut held =
            shared.engine.borrow(Covered::One(ready.shard), shared.registry.row(ready.row).access).await;
        hand.run(&mut held, &ready);
    }
}

impl Hand {
    /// One command under a hold, as the server runs it.
    #[inline]
    fn run(&mut self, held: &mut Held<'_>, ready: &Ready) {
        let row = self.shared.registry.row(ready.row);
        let started = self.last_clock;
        let mut view = held.view(0, self.shared.now_ms, &self.random, &mut self.effects);
        let mut reply = Reply::new(&mut self.output, Proto::Resp2);
        let outcome = match row.run(&mut view, ready.args.args(), &mut reply, of_server) {
            Ok(()) => CallEnd::Ok,
            Err(_) => {
                self.shared.failures.fetch_add(1, Relaxed);
                CallEnd::Failed
            }
        };
        self.effects.clear();
        self.last_clock = self.shared.clock.now();
        self.metrics.record(CommandId(ready.row), self.last_clock.saturating_sub(started), outcome);
    }

    fn begin_batch(&mut self) {
        self.output.clear();
        self.last_clock = self.shared.clock.now();
    }

    fn end_batch(&mut self, index: usize, commands: usize) {
        self.metrics.flush();
        // Its own thread is the only writer.
        let count = &self.shared.counts[index].0;
        count.store(count.load(Relaxed) + commands as u64, Relaxed);
    }
}

fn run_with_locks(hand: &mut Hand, commands: &[Ready], batch: usize, index: usize) {
    let shared = hand.shared.clone();
    let engine = &shared.engine;
    let mut next = 0;
    while !shared.is_over.load(Relaxed) {
        let part = &commands[next..(next + batch).min(commands.len())];
        next = if next + batch >= commands.len() { 0 } else { next + batch };
        hand.begin_batch();
        if part.len() > 1 {
            engine.touch(0, part.iter().map(|ready| ready.hash));
        }
        let mut rest = part;
        while let [first, ..] = rest {
            let row = shared.registry.row(first.row);
            let Some(mut held) = engine.hold(Covered::One(first.shard), row.access) else { return };
            // Whoever holds everything runs the whole batch.
            let count = if held.covered() == Covered::All { rest.len() } else { 1 };
            rest[..count].iter().for_each(|ready| hand.run(&mut held, ready));
            rest = &rest[count..];
        }
        hand.end_batch(index, part.len());
    }
}

async fn run_as_owner(hand: &mut Hand, commands: &[Ready], batch: usize, index: usize, first: usize) {
    let shared = hand.shared.clone();
    let engine = &shared.engine;
    let mut next = first;
    while !shared.is_over.load(Relaxed) {
        let part = &commands[next..(next + batch).min(commands.len())];
        next = if next + batch >= commands.len() { 0 } else { next + batch };
        hand.begin_batch();
        let mut rest = part;
        while let [ready, ..] = rest {
            let covered = Covered::One(ready.shard);
            if let Some(mut held) = engine.hold(covered, shared.registry.row(ready.row).access) {
                hand.run(&mut held, ready);
                rest = &rest[1..];
                continue;
            }
            let owner = engine.owner_elsewhere(covered);
            let Some(owner_index) = owner else {
                // Its own, and lent.
                let mut held = engine.borrow(covered, shared.registry.row(ready.row).access).await;
                hand.run(&mut held, ready);
                rest = &rest[1..];
                continue;
            };
            let count = rest
                .iter()
                .take_while(|ready| engine.owner_elsewhere(Covered::One(ready.shard)) == owner)
                .count();
            if send(hand, owner_index, &rest[..count]).await.is_none() {
                return;
            }
            rest = &rest[count..];
        }
        hand.end_batch(index, part.len());
        tokio::task::yield_now().await;
    }
}

/// Has another thread run a row of commands, as the server does it: one message there, one back.
async fn send(hand: &mut Hand, owner: usize, row: &[Ready]) -> Option<()> {
    let shared = hand.shared.clone();
    let mut shards: Vec<u32> = row.iter().map(|ready| ready.shard as u32).collect();
    shards.sort_unstable();
    shards.dedup();
    let errand: Vec<Ready> = row.to_vec();
    let there = shared.clone();
    let outcomes = shared.engine.run_on_owner(owner, shards, move |held| {
        let (mut output, mut effects, random) = (Vec::new(), Effects::default(), Random::new(1));
        let mut last_clock = there.clock.now();
        let mut times = Vec::with_capacity(errand.len());
        for ready in &errand {
            let row = there.registry.row(ready.row);
            let mut view = held.view(0, there.now_ms, &random, &mut effects);
            let mut reply = Reply::new(&mut output, Proto::Resp2);
            if row.run(&mut view, ready.args.args(), &mut reply, of_server).is_err() {
                there.failures.fetch_add(1, Relaxed);
            }
            effects.clear();
            let now = there.clock.now();
            times.push((ready.row, now.saturating_sub(last_clock)));
            last_clock = now;
        }
        (output, times)
    });
    let (output, times) = outcomes.await?;
    hand.output.extend_from_slice(&output);
    times.iter().for_each(|(row, nanos)| hand.metrics.record(CommandId(*row), *nanos, CallEnd::Ok));
    Some(())
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
