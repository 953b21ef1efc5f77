//! `INFO stats`, `commandstats`, `errorstats` and `latencystats`: what the server has done.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_metrics::{CommandStats, SampleField, SampleValue};

use super::row::{Family, FamilyLine, FamilyPart, Part, counter, gauge, none};
use crate::clients::pubsub::Topic;

pub(super) const STATS: &[Part] = &[Part::Rows(&[
    counter("total_connections_received", "Connections that were accepted.", |at| {
        at.server.stats().connections.load(Relaxed).into()
    }),
    counter("total_commands_processed", "Commands that were executed.", |at| at.totals().commands.into()),
    gauge("instantaneous_ops_per_sec", "Commands a second, now.", |at| at.rates().commands.into()),
    counter("total_net_input_bytes", "Bytes from clients.", |at| at.totals().received.into()),
    counter("total_net_output_bytes", "Bytes to clients.", |at| at.totals().sent.into()),
    none("total_net_repl_input_bytes", "Bytes from the primary."),
    none("total_net_repl_output_bytes", "Bytes to replicas."),
    gauge("instantaneous_input_kbps", "KiB a second from clients, now.", |at| kilobytes(at.rates().received)),
    gauge("instantaneous_output_kbps", "KiB a second to clients, now.", |at| kilobytes(at.rates().sent)),
    gauge("instantaneous_input_repl_kbps", "KiB a second from the primary, now.", |_| "0.00".into()),
    gauge("instantaneous_output_repl_kbps", "KiB a second to replicas, now.", |_| "0.00".into()),
    counter("rejected_connections", "Connections that were refused because of maxclients.", |at| {
        at.server.stats().rejected_connections.load(Relaxed).into()
    }),
    none("sync_full", "Replicas that were sent all data."),
    none("sync_partial_ok", "Replicas that were sent the history that they had missed."),
    none("sync_partial_err", "Replicas that asked for history in vain."),
    counter("expired_subkeys", "Fields of hashes that have expired.", |at| at.totals().expired_fields.into()),
    counter("expired_keys", "Keys that have expired.", |at| at.totals().expired_keys.into()),
    gauge("expired_stale_perc", "Keys in per cent that have expired and are still there: none.", |_| {
        "0.00".into()
    }),
    none("expired_time_cap_reached_count", "Rounds of expiry that ran out of time."),
    counter("expire_cycle_cpu_milliseconds", "Milliseconds that expiry took beside commands.", |at| {
        (at.server.stats().expire_cycle_nanos.load(Relaxed) / 1_000_000).into()
    }),
    counter("evicted_keys", "Keys that went because of maxmemory.", |at| {
        at.server.stats().evicted_keys.load(Relaxed).into()
    }),
    counter("evicted_clients", "Clients that went because of maxmemory-clients.", |at| {
        at.server.stats().evicted_clients.load(Relaxed).into()
    }),
    none("evicted_scripts", "Scripts that were forgotten for others."),
    counter("total_eviction_exceeded_time", "Milliseconds that maxmemory was exceeded.", |at| {
        at.server.stats().eviction_exceeded_ms(at.server.clock().now()).0.into()
    }),
    gauge("current_eviction_exceeded_time", "Milliseconds that maxmemory has been exceeded now.", |at| {
        at.server.stats().eviction_exceeded_ms(at.server.clock().now()).1.into()
    }),
    counter("keyspace_hits", "Reads that found their key.", |at| at.totals().hits.into()),
    counter("keyspace_misses", "Reads that found no key.", |at| at.totals().misses.into()),
    gauge("pubsub_channels", "Channels with subscribers.", |at| {
        at.server.pubsub().count(Topic::Channel).into()
    }),
    gauge("pubsub_patterns", "Patterns with subscribers.", |at| {
        at.server.pubsub().count(Topic::Pattern).into()
    }),
    gauge("pubsubshard_channels", "Shard channels with subscribers.", |at| {
        at.server.pubsub().count(Topic::ShardChannel).into()
    }),
    none("latest_fork_usec", "Microseconds that the last fork took: there is none."),
    none("total_forks", "Forks."),
    none("migrate_cached_sockets", "Connections that MIGRATE keeps."),
    none("slave_expires_tracked_keys", "Keys that a writable replica lets expire."),
    none("active_defrag_hits", "Values that were moved together."),
    none("active_defrag_misses", "Values that were looked at and left."),
    none("active_defrag_key_hits", "Keys that were moved together."),
    none("active_defrag_key_misses", "Keys that were looked at and left."),
    none("total_active_defrag_time", "Milliseconds spent on that."),
    none("current_active_defrag_time", "Milliseconds spent on that, this time."),
    none("tracking_total_keys", "Keys that clients are told of."),
    none("tracking_total_items", "Pairs of such a key and a client."),
    none("tracking_total_prefixes", "Prefixes of keys that clients are told of."),
    none("unexpected_error_replies", "Errors of a kind that should not be."),
    counter("total_error_replies", "Commands that were answered with an error.", |at| {
        at.totals().errors.into()
    }),
    none("dump_payload_sanitizations", "Payloads that were checked in depth: all are, and none is counted."),
    counter("total_reads_processed", "Reads from sockets.", |at| at.totals().reads.into()),
    counter("total_writes_processed", "Writes to sockets.", |at| at.totals().writes.into()),
    none("io_threaded_reads_processed", "Reads by threads for sockets alone."),
    none("io_threaded_writes_processed", "Writes by threads for sockets alone."),
    counter("client_query_buffer_limit_disconnections", "Clients that sent too much.", |at| {
        at.server.stats().query_limit_disconnections.load(Relaxed).into()
    }),
    counter("client_output_buffer_limit_disconnections", "Clients for whom too much waited.", |at| {
        at.server.stats().output_limit_disconnections.load(Relaxed).into()
    }),
    counter("aof_write_timeout_disconnections", "Clients whose reply waited too long for the disk.", |at| {
        at.server.stats().write_timeout_disconnections.load(Relaxed).into()
    }),
    none("reply_buffer_shrinks", "Buffers of replies that were made smaller."),
    none("reply_buffer_expands", "Buffers of replies that were made larger."),
    counter("acl_access_denied_auth", "Wrong passwords and names.", |at| {
        at.server.acl_log().refused.load(Relaxed).into()
    }),
    none("acl_access_denied_cmd", "Commands that their user may not give."),
    none("acl_access_denied_key", "Keys that their user may not touch."),
    none("acl_access_denied_channel", "Channels that their user may not use."),
])];

fn kilobytes(bytes: u64) -> SampleValue {
    SampleValue::Decimal(bytes as f64 / 1024.0, 2)
}

pub(super) const COMMAND_STATS: &[Part] = &[Part::Family(&COMMANDS)];

const COMMANDS: Family = Family {
    prefix: "cmdstat_",
    labels: &["command"],
    fields: &[
        SampleField::counter("calls", "Executions, failed ones included."),
        SampleField::counter("usec", "Microseconds that they took."),
        SampleField::gauge("usec_per_call", "Microseconds that one took on average."),
        SampleField::counter("rejected_calls", "Refused before execution."),
        SampleField::counter("failed_calls", "Executions that answered with an error."),
    ],
    read: |at| {
        let seen = at.commands().filter(|(_, stats)| stats.is_seen());
        seen.map(|(name, stats)| counts_line(name, stats)).collect()
    },
};

fn counts_line(name: &str, stats: &CommandStats) -> FamilyLine {
    let mean = SampleValue::Decimal(stats.usec_per_call(), 2);
    let values = [stats.calls.into(), stats.usec().into(), mean, stats.rejected.into(), stats.failed.into()];
    FamilyLine::new(name, values)
}

pub(super) const LATENCY_STATS: &[Part] = &[Part::Family(&LATENCIES)];

const LATENCIES: Family = Family {
    prefix: "latency_percentiles_usec_",
    labels: &["command", "percentile"],
    fields: &[SampleField::gauge("p", "Microseconds within which so many in a hundred executions ended.")],
    read: |at| {
        let percentiles = at.config(|config| config.percentiles().to_vec());
        // Redis has no line for a command whose histogram is empty.
        let measured = at.commands().filter(|(_, stats)| !stats.histogram.is_empty());
        measured.map(|(name, stats)| latency_line(name, stats, &percentiles)).collect()
    },
};

fn latency_line(name: &str, stats: &CommandStats, percentiles: &[f64]) -> FamilyLine {
    let part = |percentile: &f64| FamilyPart {
        field: 0,
        detail: Some(percentile.to_string()),
        value: SampleValue::Decimal(stats.histogram.percentile(*percentile) as f64 / 1000.0, 3),
    };
    FamilyLine { thing: name.to_owned(), parts: percentiles.iter().map(part).collect() }
}

pub(super) const ERROR_STATS: &[Part] = &[Part::Family(&Family {
    prefix: "errorstat_",
    labels: &["code"],
    fields: &[SampleField::counter("count", "Commands that were answered with this error.")],
    read: |at| {
        let errors = at.server.stats().errors.lock();
        errors.iter().map(|(code, count)| FamilyLine::new(code, [(*count).into()])).collect()
    },
})];

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

    fn check(family: &'static Family, line: FamilyLine, expected: &str) {
        let mut text = String::new();
        family.line(line).write(&mut text);
        assert_eq!(text, format!("{expected}\r\n"));
    }

    fn check_counts(name: &str, stats: &CommandStats, expected: &str) {
        check(&COMMANDS, counts_line(name, stats), expected);
    }

    fn check_latency(name: &str, usec: &[u64], percentiles: &[f64], expected: &str) {
        check(&LATENCIES, latency_line(name, &stats(usec), percentiles), expected);
    }

    /// Lines that `redis-server` 7.0.15 gave for the same counts.
    #[test]
    fn commandstats_lines_as_redis_writes_them() {
        check_counts(
            "get",
            &CommandStats { calls: 6, nanos: 22_000, rejected: 1, failed: 1, ..CommandStats::default() },
            "cmdstat_get:calls=6,usec=22,usec_per_call=3.67,rejected_calls=1,failed_calls=1",
        );
        check_counts(
            "debug",
            &CommandStats { rejected: 3, ..CommandStats::default() },
            "cmdstat_debug:calls=0,usec=0,usec_per_call=0.00,rejected_calls=3,failed_calls=0",
        );
        check_counts(
            "object|encoding",
            &stats(&[2, 5]),
            "cmdstat_object|encoding:calls=2,usec=7,usec_per_call=3.50,rejected_calls=0,failed_calls=0",
        );
    }

    #[test]
    fn the_mean_is_finer_than_a_microsecond() {
        check_counts(
            "get",
            &CommandStats { calls: 2, nanos: 650, ..CommandStats::default() },
            "cmdstat_get:calls=2,usec=0,usec_per_call=0.33,rejected_calls=0,failed_calls=0",
        );
    }

    /// Lines that `redis-server` 7.0.15 gave for the same durations.
    #[test]
    fn latencystats_lines_as_redis_writes_them() {
        check_latency(
            "zadd",
            &[14, 52],
            &[50.0, 99.0, 99.9],
            "latency_percentiles_usec_zadd:p50=14.015,p99=52.223,p99.9=52.223",
        );
        check_latency(
            "latency|histogram",
            &[126],
            &[0.0, 50.0, 100.0, 33.333, 99.99999, 0.001],
            "latency_percentiles_usec_latency|histogram:p0=125.952,p50=126.463,p100=126.463,p33.333=126.463,\
             p99.99999=126.463,p0.001=126.463",
        );
        check_latency(
            "get",
            &[1, 3, 3, 4, 5, 6],
            &[0.0, 50.0, 100.0, 0.001],
            "latency_percentiles_usec_get:p0=1.000,p50=3.007,p100=6.015,p0.001=1.003",
        );
        check_latency("debug", &[300_100], &[50.0], "latency_percentiles_usec_debug:p50=301989.887");
        check_latency("set", &[9], &[], "latency_percentiles_usec_set:");
    }
}
