//! Counters of the server that `INFO` shows.
//!
//! What is counted for each command has a cell per worker, written by that worker alone; the rest is rare and shared.

pub mod samples;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use rustredis_keyspace::Store;

use crate::upkeep::rates::Rates;

/// Counters that one worker writes.
#[derive(Debug, Default)]
pub struct WorkerStats {
    /// Commands run.
    pub commands: AtomicU64,
    /// Bytes received.
    pub received: AtomicU64,
    /// Bytes sent.
    pub sent: AtomicU64,
    /// Reads that found their key.
    pub hits: AtomicU64,
    /// Reads that did not.
    pub misses: AtomicU64,
    /// Keys that expired.
    pub expired_keys: AtomicU64,
    /// Fields of hashes that expired.
    pub expired_fields: AtomicU64,
    /// Changes to the data set.
    pub dirty: AtomicU64,
    /// Reads from sockets.
    pub reads: AtomicU64,
    /// Writes to sockets.
    pub writes: AtomicU64,
    /// Error replies.
    pub errors: AtomicU64,
}

/// Adds to a counter that only the calling thread writes: a load and a store, no locked instruction.
#[inline]
pub fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// All counters.
#[derive(Debug)]
pub struct Stats {
    workers: Box<[CachePadded<WorkerStats>]>,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused for `maxclients`.
    pub rejected_connections: AtomicU64,
    /// Keys evicted.
    pub evicted_keys: AtomicU64,
    /// Unix seconds at which the log last told of a client that speaks HTTP.
    pub http_told_s: AtomicU64,
    /// Clients evicted (`maxmemory-clients`).
    pub evicted_clients: AtomicU64,
    /// Clients closed for their output.
    pub output_limit_disconnections: AtomicU64,
    /// Clients closed for their input.
    pub query_limit_disconnections: AtomicU64,
    /// Clients closed for an append-only file that could not be written.
    pub write_timeout_disconnections: AtomicU64,
    /// Errors by code; see [`Stats::count_error`].
    errors: Mutex<BTreeMap<String, u64>>,
    /// Time spent on keys that expire on their own, nanoseconds.
    pub expire_cycle_nanos: AtomicU64,
    /// How fast the counters run.
    pub rates: Rates,
    /// For each database, the mean time that expiring keys have left, in ms, as samples tell.
    avg_ttls_ms: Box<[AtomicU64]>,
    is_exceeded: AtomicBool,
    exceeded: Mutex<Exceeded>,
    /// What the store had freed elsewhere at the last reset.
    lazyfreed_before: AtomicU64,
    /// What the counters were at the last `CONFIG RESETSTAT`, subtracted by readers.
    baseline: Mutex<Totals>,
}

/// For how long the memory has been above `maxmemory`, by the nanosecond clock.
#[derive(Clone, Copy, Debug, Default)]
struct Exceeded {
    since: Option<u64>,
    nanos_before: u64,
}

/// Kinds of errors that are counted apart; scripts can make up any number.
const ERROR_CODES_MAX: usize = 128;

macro_rules! totals {
    ($($field:ident),*) => {
        /// The workers' counters, added up.
        #[derive(Clone, Copy, Debug, Default)]
        #[allow(missing_docs)]
        pub struct Totals { $(pub $field: u64,)* }

        impl Stats {
            /// The workers' counters since the start.
            pub fn sum(&self) -> Totals {
                let mut totals = Totals::default();
                for worker in &self.workers {
                    $(totals.$field = totals.$field.wrapping_add(worker.$field.load(Relaxed));)*
                }
                totals
            }

            /// The workers' counters since the last reset.
            pub fn totals(&self) -> Totals {
                let (all, base) = (self.sum(), *self.baseline.lock());
                Totals { $($field: all.$field.wrapping_sub(base.$field),)* }
            }
        }
    };
}

totals!(commands, received, sent, hits, misses, expired_keys, expired_fields, dirty, reads, writes, errors);

impl Stats {
    /// Counters for so many workers and databases.
    pub fn new(workers: usize, databases: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| CachePadded::default()).collect(),
            connections: AtomicU64::new(0),
            rejected_connections: AtomicU64::new(0),
            evicted_keys: AtomicU64::new(0),
            http_told_s: AtomicU64::new(0),
            evicted_clients: AtomicU64::new(0),
            output_limit_disconnections: AtomicU64::new(0),
            query_limit_disconnections: AtomicU64::new(0),
            write_timeout_disconnections: AtomicU64::new(0),
            errors: Mutex::default(),
            expire_cycle_nanos: AtomicU64::new(0),
            rates: Rates::default(),
            avg_ttls_ms: (0..databases).map(|_| AtomicU64::new(0)).collect(),
            is_exceeded: AtomicBool::new(false),
            exceeded: Mutex::default(),
            lazyfreed_before: AtomicU64::new(0),
            baseline: Mutex::default(),
        }
    }

    /// The cells of a worker.
    #[inline]
    pub fn worker(&self, index: usize) -> &WorkerStats {
        &self.workers[index]
    }

    /// Counts an error reply by its code, the first 128 codes that come.
    #[cold]
    pub fn count_error(&self, code: &str) {
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else if errors.len() < ERROR_CODES_MAX {
            errors.insert(code.to_owned(), 1);
        }
    }

    /// The mean time that the expiring keys of a database have left, in ms.
    pub fn avg_ttl_ms(&self, db: usize) -> u64 {
        self.avg_ttls_ms[db].load(Relaxed)
    }

    /// Adds a sample to that mean: the first counts in full, each further one for a fiftieth, as in Redis.
    pub fn observe_ttl_ms(&self, db: usize, ttl_ms: u64) {
        let mean = &self.avg_ttls_ms[db];
        let before = mean.load(Relaxed);
        let now = if before == 0 { ttl_ms } else { before - before / 50 + ttl_ms / 50 };
        mean.store(now, Relaxed);
    }

    /// Says whether the memory is above `maxmemory` now.
    pub fn observe_exceeded(&self, is_exceeded: bool, now_nanos: u64) {
        // Commands ask each time; the lock is for changes.
        if self.is_exceeded.load(Relaxed) == is_exceeded {
            return;
        }
        self.is_exceeded.store(is_exceeded, Relaxed);
        let mut exceeded = self.exceeded.lock();
        match exceeded.since {
            None if is_exceeded => exceeded.since = Some(now_nanos),
            Some(since) if !is_exceeded => {
                exceeded.nanos_before += now_nanos.saturating_sub(since);
                exceeded.since = None;
            }
            _ => {}
        }
    }

    /// For how many ms the memory was above `maxmemory` altogether, and for how many it has been now.
    pub fn eviction_exceeded_ms(&self, now_nanos: u64) -> (u64, u64) {
        let exceeded = *self.exceeded.lock();
        let current = exceeded.since.map_or(0, |since| now_nanos.saturating_sub(since));
        ((exceeded.nanos_before + current) / 1_000_000, current / 1_000_000)
    }

    /// Objects freed elsewhere since the last reset.
    pub fn lazyfreed(&self, store: &Store) -> u64 {
        store.lazyfreed.load(Relaxed).wrapping_sub(self.lazyfreed_before.load(Relaxed))
    }

    /// `CONFIG RESETSTAT`: everything starts at 0 again. `dirty` is no statistic and stays.
    pub fn reset(&self, store: &Store) {
        let mut sum = self.sum();
        let mut baseline = self.baseline.lock();
        sum.dirty = baseline.dirty;
        *baseline = sum;
        drop(baseline);
        self.errors.lock().clear();
        self.exceeded.lock().nanos_before = 0;
        self.lazyfreed_before.store(store.lazyfreed.load(Relaxed), Relaxed);
        for counter in [
            &self.connections,
            &self.rejected_connections,
            &self.evicted_keys,
            &self.evicted_clients,
            &self.output_limit_disconnections,
            &self.query_limit_disconnections,
            &self.write_timeout_disconnections,
            &self.expire_cycle_nanos,
        ] {
            counter.store(0, Relaxed);
        }
    }
}
