//! What the syncs of the append-only file tell: how many there are, and how they are shared.

use rustredis_metrics::SampleValue;
use rustredis_metrics::rows::{Row, counter, gauge};

/// The syncs at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Syncs {
    /// Those that run or wait on the thread for that.
    pub pending: usize,
    /// Those that were due while one was running.
    pub delayed: u64,
    /// Those that succeeded.
    pub done: u64,
    /// Entries that these made durable.
    pub entries: u64,
    /// What these took, in nanoseconds.
    pub nanos: u64,
}

impl Syncs {
    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("aof_pending_bio_fsync", "Syncs that are under way.", |syncs| syncs.pending.into()),
        counter("aof_delayed_fsync", "Writes that waited for a sync.", |syncs| syncs.delayed.into()),
        counter("aof_syncs", "Syncs.", |syncs| syncs.done.into()),
        gauge("aof_entries_per_sync", "Effects that a sync made durable, on average.", |syncs| {
            SampleValue::quotient(syncs.entries as f64, syncs.done as f64)
        }),
        gauge("aof_usec_per_sync", "Microseconds that a sync took, on average.", |syncs| {
            SampleValue::quotient(syncs.nanos as f64 / 1000.0, syncs.done as f64)
        }),
    ];
}
