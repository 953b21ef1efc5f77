//! `INFO stats`, `commandstats`, `errorstats`, `latencystats` and `metrics`.

use std::sync::atomic::Ordering::Relaxed;

use super::Fields;
use crate::clients::pubsub::Topic;
use crate::start::server::Server;

pub(super) fn stats(server: &Server, fields: &mut Fields) {
    let stats = &server.stats;
    let totals = stats.totals();
    let rates = stats.rates.now();
    let kilobytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    fields.add("total_connections_received", stats.connections.load(Relaxed));
    fields.add("total_commands_processed", totals.commands);
    fields.add("instantaneous_ops_per_sec", rates.commands);
    fields.add("total_net_input_bytes", totals.received);
    fields.add("total_net_output_bytes", totals.sent);
    fields.all(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"], 0);
    fields.add("instantaneous_input_kbps", kilobytes(rates.received));
    fields.add("instantaneous_output_kbps", kilobytes(rates.sent));
    fields.all(&["instantaneous_input_repl_kbps", "instantaneous_output_repl_kbps"], "0.00");
    fields.add("rejected_connections", stats.rejected_connections.load(Relaxed));
    fields.all(&["sync_full", "sync_partial_ok", "sync_partial_err"], 0);
    fields.add("expired_subkeys", totals.expired_fields);
    fields.add("expired_keys", totals.expired_keys);
    fields.add("expired_stale_perc", "0.00");
    fields.add("expired_time_cap_reached_count", 0);
    fields.add("expire_cycle_cpu_milliseconds", stats.expire_cycle_nanos.load(Relaxed) / 1_000_000);
    fields.add("evicted_keys", stats.evicted_keys.load(Relaxed));
    fields.add("evicted_clients", stats.evicted_clients.load(Relaxed));
    fields.add("evicted_scripts", 0);
    let (total_ms, current_ms) = stats.eviction_exceeded_ms(server.clock.now());
    fields.add("total_eviction_exceeded_time", total_ms);
    fields.add("current_eviction_exceeded_time", current_ms);
    fields.add("keyspace_hits", totals.hits);
    fields.add("keyspace_misses", totals.misses);
    fields.add("pubsub_channels", server.pubsub.count(Topic::Channel));
    fields.add("pubsub_patterns", server.pubsub.count(Topic::Pattern));
    fields.add("pubsubshard_channels", server.pubsub.count(Topic::ShardChannel));
    fields.all(
        &[
            "latest_fork_usec",
            "total_forks",
            "migrate_cached_sockets",
            "slave_expires_tracked_keys",
            "active_defrag_hits",
            "active_defrag_misses",
            "active_defrag_key_hits",
            "active_defrag_key_misses",
            "total_active_defrag_time",
            "current_active_defrag_time",
            "tracking_total_keys",
            "tracking_total_items",
            "tracking_total_prefixes",
            "unexpected_error_replies",
        ],
        0,
    );
    fields.add("total_error_replies", totals.errors);
    fields.add("dump_payload_sanitizations", 0);
    fields.add("total_reads_processed", totals.reads);
    fields.add("total_writes_processed", totals.writes);
    fields.all(&["io_threaded_reads_processed", "io_threaded_writes_processed"], 0);
    fields.add("client_query_buffer_limit_disconnections", stats.query_limit_disconnections.load(Relaxed));
    fields.add("client_output_buffer_limit_disconnections", stats.output_limit_disconnections.load(Relaxed));
    fields.add("aof_write_timeout_disconnections", stats.write_timeout_disconnections.load(Relaxed));
    fields.all(&["reply_buffer_shrinks", "reply_buffer_expands"], 0);
    fields.add("acl_access_denied_auth", server.acl_log.refused.load(Relaxed));
    fields.all(&["acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel"], 0);
}

pub(super) fn command_stats(server: &Server, fields: &mut Fields) {
    for (stats, row) in server.metrics.snapshot().iter().zip(server.registry.rows()) {
        if stats.is_seen() {
            stats.write_commandstats(row.full_name, &mut fields.0);
        }
    }
}

pub(super) fn latency_stats(server: &Server, fields: &mut Fields) {
    let percentiles = server.config.lock().percentiles().to_vec();
    for (stats, row) in server.metrics.snapshot().iter().zip(server.registry.rows()) {
        if !stats.histogram.is_empty() {
            stats.write_latencystats(row.full_name, &percentiles, &mut fields.0);
        }
    }
}

pub(super) fn error_stats(server: &Server, fields: &mut Fields) {
    for (code, count) in &*server.stats.errors.lock() {
        fields.add(format_args!("errorstat_{code}"), format_args!("count={count}"));
    }
}

pub(super) fn metrics(server: &Server, fields: &mut Fields) {
    server.metrics.cost().write_lines(&mut fields.0);
}

pub(super) fn contention(server: &Server, fields: &mut Fields) {
    let mut text = String::new();
    server.engine.contention().report().write_info(server.engine.kind().name(), &mut text);
    // The report comes with the section's title, which is there already.
    fields.0.push_str(text.split_once("\r\n").map_or("", |(_, lines)| lines));
}
