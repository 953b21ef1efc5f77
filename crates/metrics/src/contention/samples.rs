//! What an engine's contention tells.

use crate::contention::{ContentionReport, HotShard};
use crate::rows::{Family, Row, Thing, counter, fact, gauge};
use crate::sample::SampleField;

impl ContentionReport {
    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("enabled", "Whether waits and holds are measured.", |at| at.is_enabled.into()),
        fact("shards", "Parts of the keyspace.", |at| at.shards.into()),
        counter("lock_acquisitions", "Shards that were locked, or messages that were taken.", |at| {
            at.acquisitions.into()
        }),
        counter("lock_contended", "Of these, how many waited for another thread.", |at| at.contended.into()),
        gauge("lock_wait_ns_p50", "Nanoseconds that half of the waits stayed within.", |at| {
            at.wait.percentile(50.0).into()
        }),
        gauge("lock_wait_ns_p99", "Nanoseconds that 99 in a hundred waits stayed within.", |at| {
            at.wait.percentile(99.0).into()
        }),
        gauge("lock_wait_ns_max", "The longest wait, nanoseconds.", |at| at.wait.max().into()),
        gauge("lock_hold_ns_p50", "Nanoseconds that half of the holds stayed within.", |at| {
            at.hold.percentile(50.0).into()
        }),
        gauge("lock_hold_ns_p99", "Nanoseconds that 99 in a hundred holds stayed within.", |at| {
            at.hold.percentile(99.0).into()
        }),
        gauge("lock_hold_ns_max", "The longest hold, nanoseconds.", |at| at.hold.max().into()),
        gauge("queue_depth_p50", "Messages that a queue had at most, half of the times.", |at| {
            at.queue_depth.percentile(50.0).into()
        }),
        gauge("queue_depth_p99", "Messages that a queue had at most, 99 in a hundred times.", |at| {
            at.queue_depth.percentile(99.0).into()
        }),
        gauge("queue_depth_max", "The most messages that a queue had.", |at| at.queue_depth.max().into()),
        gauge("queue_depth_now", "Messages in all queues.", |at| at.queue_depth_now.into()),
        counter("fallbacks", "Reads that were tried without a lock, and then took one.", |at| {
            at.fallbacks.into()
        }),
        Row::Family(Family {
            prefix: "hot_shard_",
            labels: &["rank"],
            fields: &[
                SampleField::fact("shard", "The shard's number."),
                SampleField::counter("waits", "How often it was waited for."),
                SampleField::counter("wait_ns", "For how many nanoseconds altogether."),
            ],
            things: |at| at.hot_shards.iter().enumerate().map(hot_shard).collect(),
        }),
    ];
}

fn hot_shard((rank, hot): (usize, &HotShard)) -> Thing {
    Thing::new(rank.to_string(), [hot.shard.into(), hot.waits.into(), hot.wait_nanos.into()])
}
