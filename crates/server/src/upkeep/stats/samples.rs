//! What the counters tell.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_metrics::SampleField;
use rustredis_metrics::rows::{Family, Row, Thing, absent, counter, gauge};

use crate::upkeep::stats::{Stats, Totals};

impl Totals {
    /// What the workers have counted.
    pub const SAMPLES: &'static [Row<Self>] = &[
        counter("total_commands_processed", "Commands that were executed.", |at| at.commands.into()),
        counter("total_net_input_bytes", "Bytes from clients.", |at| at.received.into()),
        counter("total_net_output_bytes", "Bytes to clients.", |at| at.sent.into()),
        counter("expired_subkeys", "Fields of hashes that have expired.", |at| at.expired_fields.into()),
        counter("expired_keys", "Keys that have expired.", |at| at.expired_keys.into()),
        counter("keyspace_hits", "Reads that found their key.", |at| at.hits.into()),
        counter("keyspace_misses", "Reads that found no key.", |at| at.misses.into()),
        counter("total_error_replies", "Commands that were answered with an error.", |at| at.errors.into()),
        counter("total_reads_processed", "Reads from sockets.", |at| at.reads.into()),
        counter("total_writes_processed", "Writes to sockets.", |at| at.writes.into()),
    ];
}

/// The counters that all threads share, at a moment.
#[derive(Clone, Copy, Debug)]
pub struct SharedCounts {
    connections: u64,
    rejected_connections: u64,
    evicted_clients: u64,
    query_limit_disconnections: u64,
    output_limit_disconnections: u64,
    write_timeout_disconnections: u64,
    expire_cycle_nanos: u64,
}

impl SharedCounts {
    /// Looks.
    pub fn of(stats: &Stats) -> Self {
        Self {
            connections: stats.connections.load(Relaxed),
            rejected_connections: stats.rejected_connections.load(Relaxed),
            evicted_clients: stats.evicted_clients.load(Relaxed),
            query_limit_disconnections: stats.query_limit_disconnections.load(Relaxed),
            output_limit_disconnections: stats.output_limit_disconnections.load(Relaxed),
            write_timeout_disconnections: stats.write_timeout_disconnections.load(Relaxed),
            expire_cycle_nanos: stats.expire_cycle_nanos.load(Relaxed),
        }
    }

    /// What they tell.
    pub const SAMPLES: &'static [Row<Self>] = &[
        counter("total_connections_received", "Connections that were accepted.", |at| at.connections.into()),
        counter("rejected_connections", "Connections that were refused because of maxclients.", |at| {
            at.rejected_connections.into()
        }),
        gauge("expired_stale_perc", "Keys in per cent that have expired and are still there: none.", |_| {
            "0.00".into()
        }),
        absent("expired_time_cap_reached_count", "Rounds of expiry that ran out of time."),
        counter("expire_cycle_cpu_milliseconds", "Milliseconds that expiry took beside commands.", |at| {
            (at.expire_cycle_nanos / 1_000_000).into()
        }),
        counter("evicted_clients", "Clients that went because of maxmemory-clients.", |at| {
            at.evicted_clients.into()
        }),
        counter("client_query_buffer_limit_disconnections", "Clients that sent too much.", |at| {
            at.query_limit_disconnections.into()
        }),
        counter("client_output_buffer_limit_disconnections", "Clients for whom too much waited.", |at| {
            at.output_limit_disconnections.into()
        }),
        counter(
            "aof_write_timeout_disconnections",
            "Clients whose reply waited too long for the disk.",
            |at| at.write_timeout_disconnections.into(),
        ),
        absent("unexpected_error_replies", "Errors of a kind that should not be."),
        absent(
            "dump_payload_sanitizations",
            "Payloads that were checked in depth: all are, and none is counted.",
        ),
        absent("reply_buffer_shrinks", "Buffers of replies that were made smaller."),
        absent("reply_buffer_expands", "Buffers of replies that were made larger."),
    ];
}

/// How often each error was answered.
#[derive(Clone, Debug)]
pub struct ErrorCounts(BTreeMap<String, u64>);

impl ErrorCounts {
    /// Looks.
    pub fn of(stats: &Stats) -> Self {
        Self(stats.errors.lock().clone())
    }

    /// What is told of each.
    pub const SAMPLES: &'static [Row<Self>] = &[Row::Family(Family {
        prefix: "errorstat_",
        labels: &["code"],
        fields: &[SampleField::counter("count", "Commands that were answered with this error.")],
        things: |at| at.0.iter().map(|(code, count)| Thing::new(code, [(*count).into()])).collect(),
    })];
}
