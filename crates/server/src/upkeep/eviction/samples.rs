//! What eviction tells.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_metrics::SampleValue;
use rustredis_metrics::rows::{Row, counter, fact, gauge};

use crate::upkeep::eviction::Eviction;
use crate::upkeep::policy::Policy;

/// The limit of the memory and what became of it, at a moment.
#[derive(Clone, Copy, Debug)]
pub struct EvictionNow {
    limit_bytes: u64,
    policy: Policy,
    not_counted_bytes: usize,
    evicted_keys: u64,
    /// For how long the limit was passed altogether, and for how long it has been now.
    exceeded_ms: (u64, u64),
}

impl EvictionNow {
    /// Looks; `now` is the clock of commands, in nanoseconds.
    pub fn of(eviction: &Eviction, now: u64) -> Self {
        let parts = &eviction.parts;
        Self {
            limit_bytes: parts.settings.maxmemory.load(Relaxed),
            policy: parts.settings.policy(),
            not_counted_bytes: eviction.not_counted_bytes(),
            evicted_keys: parts.stats.evicted_keys.load(Relaxed),
            exceeded_ms: parts.stats.eviction_exceeded_ms(now),
        }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        fact("maxmemory", "Bytes that data may take; 0 for no limit.", |at| at.limit_bytes.into()),
        fact("maxmemory_human", "The same for people.", |at| SampleValue::ForPeople(at.limit_bytes as usize)),
        fact("maxmemory_policy", "What goes when there is no room.", |at| at.policy.name().into()),
        gauge("mem_not_counted_for_evict", "Bytes that maxmemory does not count.", |at| {
            at.not_counted_bytes.into()
        }),
        counter("evicted_keys", "Keys that went because of maxmemory.", |at| at.evicted_keys.into()),
        counter("total_eviction_exceeded_time", "Milliseconds that maxmemory was exceeded.", |at| {
            at.exceeded_ms.0.into()
        }),
        gauge("current_eviction_exceeded_time", "Milliseconds that maxmemory has been exceeded now.", |at| {
            at.exceeded_ms.1.into()
        }),
    ];
}
