//! `maxmemory`: keys go so that others have room.
//!
//! Before a command runs, while the memory is above the limit, keys are evicted: random ones, or the best of a few that are
//! compared (`maxmemory-samples`). As in Redis, the best that were ever seen wait in a pool of sixteen, which brings
//! sampling close to the true order for the price of a few comparisons. One shard is held at a time, to sample and again
//! to delete, so the same code serves every engine, and other threads go on between two keys.
//!
//! A command spends a bounded time (`maxmemory-eviction-tenacity`); then it runs although the limit is passed, and a
//! task of the first worker goes on. What is big is freed by another thread: until it has done so its bytes count as
//! free, for else everything would be evicted while it works.

pub mod samples;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustredis_engine::Engine;
use rustredis_keyspace::snapshot;
use rustredis_keyspace::{Access, Among, Covered, Effects, Entry, Key, Store};
use rustredis_metrics::LatencyMonitor;

use crate::clients::pause::Pause;
use crate::clients::replicas::Replicas;
use crate::clock::now_ms;
use crate::files::aof::Aof;
use crate::gate::{self, Gate};
use crate::upkeep::allocator;
use crate::upkeep::policy::Policy;
use crate::upkeep::settings::Settings;
use crate::upkeep::stats::Stats;
use crate::upkeep::thread::Thread;

/// A key that may go.
#[derive(Debug)]
struct Candidate {
    score: u64,
    db: usize,
    key: Box<[u8]>,
}

/// Candidates that wait.
const POOL_MAX: usize = 16;
/// Samples in vain after which nothing is left to evict.
const TRIES_MAX: usize = 8;
/// How long it is remembered which databases have keys, in ms.
const DATABASES_MS: u64 = 100;

/// What a command may allocate besides its arguments, in bytes: table slots, a compact value that becomes a table.
const COMMAND_BYTES: usize = 16 << 10;
/// How long a command that would be refused waits at most for memory that is being freed already.
const FREEING_MAX: Duration = Duration::from_secs(5);
/// How often it looks.
const FREEING_LOOK: Duration = Duration::from_millis(1);

/// What a worker remembers from one eviction to the next.
#[derive(Debug, Default)]
pub struct Pool {
    policy: Policy,
    /// Ascending by score.
    candidates: Vec<Candidate>,
    /// Databases that have keys which may go, and when that was looked up.
    databases: Vec<usize>,
    looked_ms: u64,
}

impl Pool {
    /// Brings the pool up to date with the policy and the databases.
    fn refresh(&mut self, policy: Policy, store: &Store, now_ms: u64) {
        if self.policy != policy {
            *self = Self { policy, ..Self::default() };
        }
        if self.databases.is_empty() || now_ms.saturating_sub(self.looked_ms) >= DATABASES_MS {
            self.look(store, now_ms);
        }
    }

    fn look(&mut self, store: &Store, now_ms: u64) {
        let count = |db: &usize| match self.policy.among() {
            Among::All => store.keys(*db),
            Among::Expiring => store.expiring_keys(*db),
        };
        self.databases = store.databases_in_use().filter(|db| count(db) > 0).collect();
        self.looked_ms = now_ms;
    }

    /// Takes a candidate in if it is better than one that is there, or if there is room.
    fn offer(&mut self, score: u64, db: usize, key: &[u8]) {
        if self.candidates.len() == POOL_MAX && self.candidates[0].score >= score {
            return;
        }
        if self.candidates.iter().any(|candidate| candidate.db == db && *candidate.key == *key) {
            return;
        }
        if self.candidates.len() == POOL_MAX {
            self.candidates.remove(0);
        }
        let at = self.candidates.partition_point(|candidate| candidate.score <= score);
        self.candidates.insert(at, Candidate { score, db, key: key.into() });
    }
}

/// What the workers share about eviction.
pub struct Eviction {
    parts: Parts,
    /// Bytes, estimated, of evicted values that another thread is still to free.
    buried_bytes: AtomicUsize,
    /// Asks the task of the first worker to go on.
    wanted: tokio::sync::Notify,
}

/// What eviction looks at.
pub struct Parts {
    /// The keys.
    pub engine: Arc<Engine>,
    /// What the configuration allows.
    pub settings: Arc<Settings>,
    /// While the server is paused nobody's data change.
    pub pause: Arc<Pause>,
    /// While the data set is loaded the files decide what is there.
    pub gate: Arc<Gate>,
    /// What is counted.
    pub stats: Arc<Stats>,
    /// Hears how long it takes.
    pub latency: Arc<LatencyMonitor>,
    /// Knows what waits to be written.
    pub aof: Arc<Aof>,
    /// Who gets a copy of the data set.
    pub replicas: Arc<Replicas>,
}

/// How a run of evictions ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunEnd {
    /// The limit is kept.
    Enough,
    /// Its time is over.
    Unfinished,
    /// There is nothing to evict.
    Nothing,
}

impl Eviction {
    /// Nothing was evicted yet.
    pub fn new(parts: Parts) -> Self {
        Self { parts, buried_bytes: AtomicUsize::new(0), wanted: tokio::sync::Notify::new() }
    }

    /// Whether more memory is used than `maxmemory` allows, and something may be done about it: while the data set is loaded the files
    /// decide what is there, and while the server is paused nobody's data change.
    fn is_over(&self) -> bool {
        if self.parts.gate.has(gate::LOADING)
            || self.parts.gate.has(gate::PAUSED) && self.parts.pause.state(now_ms()).is_some()
        {
            return false;
        }
        let limit = self.parts.settings.maxmemory.load(Relaxed);
        let used = allocator::used_bytes();
        if limit == 0 || used as u64 <= limit {
            return false;
        }
        // Evicting adds to it: the more is evicted, the more would have to be.
        let used = used.saturating_sub(self.not_counted_bytes());
        if used as u64 <= limit {
            return false;
        }
        let buried = &self.buried_bytes;
        if self.parts.engine.store().lazyfree_pending.load(Relaxed) == 0 {
            buried.store(0, Relaxed);
            return true;
        }
        used.saturating_sub(buried.load(Relaxed)) as u64 > limit
    }

    /// Bytes that no eviction frees, and that are not counted therefore: what waits for the append-only file or replicas, or was preserved for a
    /// snapshot and is to be written, the empty tables of databases, and what is held back for readers without a lock.
    pub fn not_counted_bytes(&self) -> usize {
        let store = self.parts.engine.store();
        let files =
            self.parts.aof.waiting_bytes() + snapshot::waiting_bytes() + self.parts.replicas.waiting_bytes();
        files + store.bank_bytes() + store.retired_bytes()
    }

    /// Whether commands with so many bytes of arguments cannot reach the limit. What a command allocates beyond its arguments
    /// (BITOP, SETRANGE) is not foreseen; the next batch makes room for it.
    #[inline]
    pub fn has_room(&self, input_bytes: usize, commands: usize) -> bool {
        let wanted = 2 * input_bytes + commands * COMMAND_BYTES;
        (allocator::used_bytes() + wanted) as u64 <= self.parts.settings.maxmemory.load(Relaxed)
    }

    /// Whether the limit is passed now, which the statistics note; `now` is the clock of commands, in nanoseconds.
    pub fn is_exceeded(&self, now: u64) -> bool {
        let is_over = self.is_over();
        self.parts.stats.observe_exceeded(is_over, now);
        is_over
    }

    /// Evicts until the limit is kept, or for as long as a command may; false if the limit is passed and nothing can be done
    /// about it, so that what needs memory is to be refused.
    pub async fn make_room(&self, thread: Thread<'_>, pool: &RefCell<Pool>) -> bool {
        if !self.is_exceeded(thread.clock.last()) {
            return true;
        }
        if self.parts.settings.policy() == Policy::NoEviction {
            return false;
        }
        match self.evict(thread, pool, self.patience_nanos()).await {
            RunEnd::Enough => {
                self.parts.stats.observe_exceeded(false, thread.clock.last());
                true
            }
            RunEnd::Unfinished => {
                self.wanted.notify_one();
                true
            }
            RunEnd::Nothing => !self.is_over(),
        }
    }

    /// Waits for what was removed before (by FLUSHALL, say) and is still to be freed by another thread: in Redis that memory would be
    /// there already. Whether the limit is kept then.
    pub async fn wait_for_freeing(&self) -> bool {
        let pending = &self.parts.engine.store().lazyfree_pending;
        let freed = async {
            while self.is_over() && pending.load(Relaxed) > 0 {
                tokio::time::sleep(FREEING_LOOK).await;
            }
        };
        // Whether or not all was freed in time, the limit decides.
        let _ = tokio::time::timeout(FREEING_MAX, freed).await;
        !self.is_over()
    }

    /// How long a command may evict: 50 us for each point of tenacity up to 10, then 15% more for each, at 100 without end.
    fn patience_nanos(&self) -> u64 {
        match self.parts.settings.eviction_tenacity.load(Relaxed) {
            tenacity @ 0..=10 => 50_000 * u64::from(tenacity),
            tenacity @ 11..=99 => (500_000.0 * 1.15_f64.powi(tenacity as i32 - 10)) as u64,
            _ => u64::MAX,
        }
    }

    /// Goes on where commands have left off, for as long as the server runs. On the first worker.
    pub async fn go_on(&self, thread: Thread<'_>, pool: &RefCell<Pool>) {
        loop {
            // Memory may grow past the limit without a command, and the other thread may be done with freeing.
            let _ = tokio::time::timeout(Duration::from_millis(100), self.wanted.notified()).await;
            thread.clock.tick();
            if self.parts.settings.maxmemory.load(Relaxed) == 0
                || self.parts.settings.policy() == Policy::NoEviction
            {
                continue;
            }
            // What is kept by somebody cannot go, and to try on would take all the time.
            while self.is_over()
                && !self.parts.engine.is_kept(Covered::All)
                && self.evict(thread, pool, self.patience_nanos().min(1_000_000)).await == RunEnd::Unfinished
            {
                tokio::task::yield_now().await;
                thread.clock.tick();
            }
        }
    }

    async fn evict(&self, thread: Thread<'_>, shared: &RefCell<Pool>, patience_nanos: u64) -> RunEnd {
        let store = self.parts.engine.store();
        let policy = self.parts.settings.policy();
        let started = thread.clock.read();
        let mut pool = shared.take();
        pool.refresh(policy, store, thread.clock.now_ms());
        let mut tries = 0;
        let outcome = loop {
            if !self.is_over() {
                break RunEnd::Enough;
            }
            let has_evicted = match policy {
                Policy::AllKeysRandom | Policy::VolatileRandom => self.evict_random(thread, &pool).await,
                _ => self.evict_best(thread, &mut pool).await,
            };
            if has_evicted {
                tries = 0;
            } else {
                tries += 1;
                pool.look(store, thread.clock.now_ms());
                if pool.databases.is_empty() || tries == TRIES_MAX {
                    if self.parts.engine.is_kept(Covered::All) {
                        break RunEnd::Unfinished;
                    }
                    break RunEnd::Nothing;
                }
            }
            if thread.clock.read().saturating_sub(started) > patience_nanos {
                break RunEnd::Unfinished;
            }
        };
        shared.replace(pool);
        let nanos = thread.clock.read().saturating_sub(started);
        self.parts.latency.observe("eviction-cycle", nanos, (thread.clock.now_ms() / 1000) as i64);
        outcome
    }

    /// Evicts a random key; whether there was one.
    async fn evict_random(&self, thread: Thread<'_>, pool: &Pool) -> bool {
        let (store, among) = (self.parts.engine.store(), pool.policy.among());
        if pool.databases.is_empty() {
            return false;
        }
        let db = pool.databases[thread.random.below(pool.databases.len())];
        let Some(shard) = store.random_shard(db, among, thread.random) else { return false };
        let mut key = None;
        let mut effects = Effects::default();
        {
            let borrow = self.parts.engine.borrow_unless_kept(Covered::One(shard), Access::Read);
            let Some(mut held) = borrow.await else { return false };
            let view = held.view(db, thread.clock.now_ms(), thread.random, &mut effects);
            view.sample(shard, among, 1, |entry| key = Some(entry.key().to_vec()));
        }
        match key {
            Some(key) => self.delete(thread, db, &key, among).await,
            None => false,
        }
    }

    /// Samples each database, then evicts the best candidate of the pool; whether there was one.
    async fn evict_best(&self, thread: Thread<'_>, pool: &mut Pool) -> bool {
        let store = self.parts.engine.store();
        let (policy, among) = (pool.policy, pool.policy.among());
        let samples = self.parts.settings.maxmemory_samples.load(Relaxed).max(1);
        let databases = std::mem::take(&mut pool.databases);
        for db in &databases {
            // Of one shard's expiries the next is known at once, so each sample is another shard.
            let (shards, samples) = if policy == Policy::VolatileTtl { (samples, 1) } else { (1, samples) };
            for _ in 0..shards {
                let Some(shard) = store.random_shard(*db, among, thread.random) else { break };
                let mut effects = Effects::default();
                let now_ms = thread.clock.now_ms();
                let borrow = self.parts.engine.borrow_unless_kept(Covered::One(shard), Access::Read);
                let Some(mut held) = borrow.await else { continue };
                let view = held.view(*db, now_ms, thread.random, &mut effects);
                let mut offer = |entry: &Entry| pool.offer(policy.score(entry, now_ms), *db, entry.key());
                if policy == Policy::VolatileTtl {
                    view.next_to_expire(shard).into_iter().for_each(&mut offer);
                } else {
                    view.sample(shard, among, samples, &mut offer);
                }
            }
        }
        pool.databases = databases;
        while let Some(best) = pool.candidates.pop() {
            // A candidate may have gone since, or may have been made to stay.
            if self.delete(thread, best.db, &best.key, among).await {
                return true;
            }
        }
        false
    }

    /// Evicts this key, if it is there and still may go; whether it did.
    async fn delete(&self, thread: Thread<'_>, db: usize, bytes: &[u8], among: Among) -> bool {
        let key = Key::new(bytes);
        let mut effects = Effects::with_events(self.parts.settings.notify_mask.load(Relaxed));
        let covered = Covered::One(self.parts.engine.store().shard_of(key.hash));
        let borrow = self.parts.engine.borrow_unless_kept(covered, Access::Write);
        let Some(mut held) = borrow.await else { return false };
        let started = thread.clock.read();
        let mut view = held.view(db, thread.clock.now_ms(), thread.random, &mut effects);
        let may_go = |entry: &Entry| among == Among::All || entry.expire_at_ms().is_some();
        if !view.lookup(key).is_some_and(may_go) {
            return false;
        }
        let Some(buried_bytes) = view.evict(key) else { return false };
        (thread.settle)(&mut view);
        drop(held);
        if buried_bytes > 0 {
            self.buried_bytes.fetch_add(buried_bytes, Relaxed);
        }
        self.parts.stats.evicted_keys.fetch_add(1, Relaxed);
        let nanos = thread.clock.read().saturating_sub(started);
        self.parts.latency.observe("eviction-del", nanos, (thread.clock.now_ms() / 1000) as i64);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_keeps_the_best() {
        let mut pool = Pool::default();
        for score in (0..40).chain(0..40) {
            pool.offer(score, 0, &score.to_le_bytes());
        }
        let scores: Vec<u64> = pool.candidates.iter().map(|candidate| candidate.score).collect();
        assert_eq!(scores, (24..40).collect::<Vec<u64>>());
        pool.offer(30, 1, &30u64.to_le_bytes());
        assert_eq!(pool.candidates.len(), POOL_MAX);
        assert_eq!(pool.candidates.iter().filter(|candidate| candidate.score == 30).count(), 2);
    }
}
