//! `INFO metrics` and `contention`, which are ours alone: what counting costs, and where threads wait for each other.

use rustredis_metrics::{HotShard, SampleField};

use super::row::{Family, FamilyLine, Part, Row, counter, fact, gauge};

pub(super) const METRICS: &[Part] = &[Part::Rows(&[
    fact("metrics_strategy", "How commands are counted.", |at| at.cost().strategy.name().into()),
    gauge("metrics_workers", "Threads that count at present.", |at| at.cost().workers.into()),
    counter("metrics_lock_acquisitions", "Locks that were taken to count.", |at| {
        at.cost().lock_acquisitions.into()
    }),
    counter("metrics_lock_waits", "Of these, how many another thread held.", |at| {
        at.cost().lock_waits.into()
    }),
    counter("metrics_lock_wait_ns", "Nanoseconds waited for them.", |at| at.cost().lock_wait_nanos.into()),
    gauge("metrics_shards", "Blocks of counters.", |at| at.cost().shards.into()),
    gauge("metrics_shards_touched", "Of these, how many have counted anything.", |at| {
        at.cost().shards_touched.into()
    }),
    counter("metrics_flushes", "Batches that a thread has added to its block.", |at| {
        at.cost().flushes.into()
    }),
    counter("metrics_flushed_records", "Executions in these batches.", |at| at.cost().flushed_records.into()),
])];

pub(super) const CONTENTION: &[Part] = &[Part::Rows(CONTENTION_ROWS), Part::Family(&HOT_SHARDS)];

const CONTENTION_ROWS: &[Row] = &[
    fact("engine", "How commands come by their keys.", |at| at.server.engine().kind().name().into()),
    gauge("enabled", "Whether waits and holds are measured.", |at| at.contention().is_enabled.into()),
    fact("shards", "Parts of the keyspace.", |at| at.contention().shards.into()),
    counter("lock_acquisitions", "Shards that were locked, or messages that were taken.", |at| {
        at.contention().acquisitions.into()
    }),
    counter("lock_contended", "Of these, how many waited for another thread.", |at| {
        at.contention().contended.into()
    }),
    gauge("lock_wait_ns_p50", "Nanoseconds that half of the waits stayed within.", |at| {
        at.contention().wait.percentile(50.0).into()
    }),
    gauge("lock_wait_ns_p99", "Nanoseconds that 99 in a hundred waits stayed within.", |at| {
        at.contention().wait.percentile(99.0).into()
    }),
    gauge("lock_wait_ns_max", "The longest wait, nanoseconds.", |at| at.contention().wait.max().into()),
    gauge("lock_hold_ns_p50", "Nanoseconds that half of the holds stayed within.", |at| {
        at.contention().hold.percentile(50.0).into()
    }),
    gauge("lock_hold_ns_p99", "Nanoseconds that 99 in a hundred holds stayed within.", |at| {
        at.contention().hold.percentile(99.0).into()
    }),
    gauge("lock_hold_ns_max", "The longest hold, nanoseconds.", |at| at.contention().hold.max().into()),
    gauge("queue_depth_p50", "Messages that a queue had at most, half of the times.", |at| {
        at.contention().queue_depth.percentile(50.0).into()
    }),
    gauge("queue_depth_p99", "Messages that a queue had at most, 99 in a hundred times.", |at| {
        at.contention().queue_depth.percentile(99.0).into()
    }),
    gauge("queue_depth_max", "The most messages that a queue had.", |at| {
        at.contention().queue_depth.max().into()
    }),
    gauge("queue_depth_now", "Messages in all queues.", |at| at.contention().queue_depth_now.into()),
    counter("fallbacks", "Reads that were tried without a lock, and then took one.", |at| {
        at.contention().fallbacks.into()
    }),
];

const HOT_SHARDS: Family = Family {
    prefix: "hot_shard_",
    labels: &["rank"],
    fields: &[
        SampleField::fact("shard", "The shard's number."),
        SampleField::counter("waits", "How often it was waited for."),
        SampleField::counter("wait_ns", "For how many nanoseconds altogether."),
    ],
    read: |at| {
        let line = |(rank, hot): (usize, &HotShard)| {
            FamilyLine::new(rank.to_string(), [hot.shard.into(), hot.waits.into(), hot.wait_nanos.into()])
        };
        at.contention().hot_shards.iter().enumerate().map(line).collect()
    },
};
