//! Counters of the server that `INFO` shows.
//!
//! What is counted for each command has a cell per worker, written by that worker alone; the rest is rare and shared.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

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
    /// Clients evicted (`maxmemory-clients`).
    pub evicted_clients: AtomicU64,
    /// Clients closed for their output.
    pub output_limit_disconnections: AtomicU64,
    /// Clients closed for their input.
    pub query_limit_disconnections: AtomicU64,
    /// Errors by code.
    pub errors: Mutex<BTreeMap<String, u64>>,
    /// What the counters were at the last `CONFIG RESETSTAT`, subtracted by readers.
    baseline: Mutex<Totals>,
}

macro_rules! totals {
    ($($field:ident),*) => {
        /// The workers' counters, added up.
        #[derive(Clone, Copy, Debug, Default)]
        #[allow(missing_docs)]
        pub struct Totals { $(pub $field: u64,)* }

        impl Stats {
            fn sum(&self) -> Totals {
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
    /// Counters for this many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| CachePadded::default()).collect(),
            connections: AtomicU64::new(0),
            rejected_connections: AtomicU64::new(0),
            evicted_keys: AtomicU64::new(0),
            evicted_clients: AtomicU64::new(0),
            output_limit_disconnections: AtomicU64::new(0),
            query_limit_disconnections: AtomicU64::new(0),
            errors: Mutex::default(),
            baseline: Mutex::default(),
        }
    }

    /// The cells of a worker.
    #[inline]
    pub fn worker(&self, index: usize) -> &WorkerStats {
        &self.workers[index]
    }

    /// Counts an error reply by its code.
    #[cold]
    pub fn count_error(&self, code: &str) {
        *self.errors.lock().entry(code.to_owned()).or_default() += 1;
    }

    /// `CONFIG RESETSTAT`: everything starts at 0 again. `dirty` is no statistic and stays.
    pub fn reset(&self) {
        let mut sum = self.sum();
        let mut baseline = self.baseline.lock();
        sum.dirty = baseline.dirty;
        *baseline = sum;
        drop(baseline);
        self.errors.lock().clear();
        for counter in [
            &self.connections,
            &self.rejected_connections,
            &self.evicted_keys,
            &self.evicted_clients,
            &self.output_limit_disconnections,
            &self.query_limit_disconnections,
        ] {
            counter.store(0, Relaxed);
        }
    }
}
