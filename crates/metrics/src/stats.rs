//! What readers get: the counts of a command, and what the counting itself cost.
//!
//! Two values are finer than Redis's: durations are summed in nanoseconds, so the mean of a command that takes 300 ns is
//! 0.30 us and not 0, and latencies above one second are not cut off.

use super::choice::Strategy;
use super::histogram::Histogram;
use super::rows::{Row, counter, fact, gauge};

/// The counts of one command, since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandStats {
    /// Executions, failed ones included.
    pub calls: u64,
    /// Time spent in these executions, nanoseconds.
    pub nanos: u64,
    /// Refused before execution: a wrong arity, a missing permission, out of memory, ...
    pub rejected: u64,
    /// Executions that answered with an error.
    pub failed: u64,
    /// Durations of the executions while latency tracking was on, nanoseconds.
    pub histogram: Histogram,
}

impl CommandStats {
    /// Time spent in executions, whole microseconds.
    pub fn usec(&self) -> u64 {
        self.nanos / 1000
    }

    /// Mean duration of an execution in microseconds; 0 without one.
    pub fn usec_per_call(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.nanos as f64 / 1000.0 / self.calls as f64 }
    }

    /// Whether INFO commandstats has a line for it.
    pub fn is_seen(&self) -> bool {
        self.calls > 0 || self.rejected > 0 || self.failed > 0
    }

    /// Adds what the other has counted.
    pub fn merge(&mut self, other: &CommandStats) {
        self.calls += other.calls;
        self.nanos += other.nanos;
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.histogram.merge(&other.histogram);
    }
}

/// What the counting itself cost, since the start or the last reset. A strategy leaves what it does not have at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrategyCost {
    /// The strategy in use.
    pub strategy: Strategy,
    /// Workers that record at present.
    pub workers: u64,
    /// mutex, sharded: how often a lock was taken to record.
    pub lock_acquisitions: u64,
    /// mutex, sharded: how often the lock was held by another.
    pub lock_waits: u64,
    /// mutex, sharded: time spent waiting for it, nanoseconds.
    pub lock_wait_nanos: u64,
    /// Blocks of counters: 1 for mutex, the number of shards, or the workers' own.
    pub shards: u64,
    /// Of these, how many have counted anything.
    pub shards_touched: u64,
    /// thread-local: how often a worker's buffer was applied to its block.
    pub flushes: u64,
    /// thread-local: records so applied; divided by `flushes` it is the mean batch.
    pub flushed_records: u64,
}

impl StrategyCost {
    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        fact("metrics_strategy", "How commands are counted.", |cost| cost.strategy.name().into()),
        gauge("metrics_workers", "Threads that count at present.", |cost| cost.workers.into()),
        counter("metrics_lock_acquisitions", "Locks that were taken to count.", |cost| {
            cost.lock_acquisitions.into()
        }),
        counter("metrics_lock_waits", "Of these, how many another thread held.", |cost| {
            cost.lock_waits.into()
        }),
        counter("metrics_lock_wait_ns", "Nanoseconds waited for them.", |cost| cost.lock_wait_nanos.into()),
        gauge("metrics_shards", "Blocks of counters.", |cost| cost.shards.into()),
        gauge("metrics_shards_touched", "Of these, how many have counted anything.", |cost| {
            cost.shards_touched.into()
        }),
        counter("metrics_flushes", "Batches that a thread has added to its block.", |cost| {
            cost.flushes.into()
        }),
        counter("metrics_flushed_records", "Executions in these batches.", |cost| {
            cost.flushed_records.into()
        }),
    ];

    pub(crate) fn new(strategy: Strategy) -> Self {
        StrategyCost {
            strategy,
            workers: 0,
            lock_acquisitions: 0,
            lock_waits: 0,
            lock_wait_nanos: 0,
            shards: 0,
            shards_touched: 0,
            flushes: 0,
            flushed_records: 0,
        }
    }

    /// The fields in order, as CMDSTAT lists them.
    pub fn fields(&self) -> [(&'static str, u64); 8] {
        [
            ("workers", self.workers),
            ("lock_acquisitions", self.lock_acquisitions),
            ("lock_waits", self.lock_waits),
            ("lock_wait_ns", self.lock_wait_nanos),
            ("shards", self.shards),
            ("shards_touched", self.shards_touched),
            ("flushes", self.flushes),
            ("flushed_records", self.flushed_records),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(usec: &[u64]) -> CommandStats {
        let mut stats = CommandStats::default();
        for usec in usec {
            stats.calls += 1;
            stats.nanos += usec * 1000;
            stats.histogram.record(usec * 1000);
        }
        stats
    }

    #[test]
    fn a_command_is_seen_once_it_is_called_or_refused() {
        assert!(!CommandStats::default().is_seen());
        assert!(stats(&[1]).is_seen());
        assert!(CommandStats { rejected: 1, ..CommandStats::default() }.is_seen());
    }
}
