//! `INFO persistence`.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::Fields;
use crate::clock::now_ms;
use crate::files::load;
use crate::files::rdb;
use crate::files::snapshot::Job;
use crate::start::server::Server;

pub(super) fn persistence(server: &Server, fields: &mut Fields) {
    let state = server.snapshots.state();
    let seconds_of = |is_meant: fn(Job) -> bool| match state.running {
        Some((job, since_ms)) if is_meant(job) => (now_ms().saturating_sub(since_ms) / 1000) as i64,
        _ => -1,
    };
    let is_running =
        |is_meant: fn(Job) -> bool| u8::from(state.running.is_some_and(|(job, _)| is_meant(job)));
    let is_save = |job: Job| job == Job::Save;
    let status = |has_failed: bool| if has_failed { "err" } else { "ok" };
    fields.add("loading", u8::from(load::is_loading(server)));
    fields.all(&["async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age"], 0);
    let (done, total) = match state.running {
        Some(_) => (server.snapshots.keys_done.load(Relaxed), server.snapshots.keys_total.load(Relaxed)),
        None => (0, 0),
    };
    let percent = if total == 0 { 0.0 } else { done as f64 * 100.0 / total as f64 };
    fields.add("current_fork_perc", format_args!("{percent:.2}"));
    fields.add("current_save_keys_processed", done);
    fields.add("current_save_keys_total", total);
    fields.add("rdb_changes_since_last_save", rdb::changes(server));
    fields.add("rdb_bgsave_in_progress", is_running(is_save));
    fields.add("rdb_last_save_time", server.rdb.last_save_seconds());
    fields.add("rdb_last_bgsave_status", status(server.rdb.has_failed.load(Acquire)));
    fields.add("rdb_last_bgsave_time_sec", state.last_save_seconds);
    fields.add("rdb_current_bgsave_time_sec", seconds_of(is_save));
    fields.add("rdb_saves", server.rdb.saves.load(Relaxed));
    fields.add("rdb_last_cow_size", 0);
    fields.add("rdb_last_load_keys_expired", server.rdb.keys_expired.load(Relaxed));
    fields.add("rdb_last_load_keys_loaded", server.rdb.keys_loaded.load(Relaxed));
    fields.add("aof_enabled", u8::from(server.aof.is_on()));
    fields.add("aof_rewrite_in_progress", is_running(Job::is_rewrite));
    fields.add("aof_rewrite_scheduled", u8::from(state.is_rewrite_scheduled));
    fields.add("aof_last_rewrite_time_sec", state.last_rewrite_seconds);
    fields.add("aof_current_rewrite_time_sec", seconds_of(Job::is_rewrite));
    fields.add("aof_last_bgrewrite_status", status(state.has_rewrite_failed));
    fields.add("aof_rewrites", state.rewrites);
    fields.add("aof_rewrites_consecutive_failures", state.rewrite_failures);
    fields.add("aof_last_write_status", status(server.aof.error().is_some()));
    fields.all(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"], 0);
    if server.aof.is_on() {
        aof(server, fields);
    }
    if load::is_loading(server) {
        loading(server, fields);
    }
}

/// What there is to say while the append-only file is on; the last five are ours: how the syncs are shared.
fn aof(server: &Server, fields: &mut Fields) {
    let Some(status) = server.aof.status() else { return };
    fields.add("aof_current_size", server.aof.current_bytes());
    fields.add("aof_base_size", server.aof.base_bytes());
    fields.add("aof_pending_rewrite", u8::from(!server.aof.is_written()));
    fields.add("aof_buffer_length", server.aof.waiting_bytes());
    fields.add("aof_pending_bio_fsync", status.pending_syncs.load(Relaxed));
    fields.add("aof_delayed_fsync", status.delayed_syncs.load(Relaxed));
    let syncs = status.syncs.load(Relaxed);
    let mean = |sum: u64| if syncs == 0 { 0.0 } else { sum as f64 / syncs as f64 };
    fields.add("journal_last_place", server.durability.journal.last());
    fields.add("journal_durable_place", server.durability.durable.place());
    fields.add("aof_syncs", syncs);
    fields.add("aof_entries_per_sync", format_args!("{:.2}", mean(status.synced_entries.load(Relaxed))));
    fields.add("aof_usec_per_sync", format_args!("{:.2}", mean(status.sync_nanos.load(Relaxed)) / 1000.0));
}

fn loading(server: &Server, fields: &mut Fields) {
    let loading = &server.loading;
    let (started_ms, total) = (loading.started_ms.load(Relaxed), loading.total_bytes.load(Relaxed));
    let loaded = loading.loaded_bytes.load(Relaxed);
    fields.add("loading_start_time", started_ms / 1000);
    fields.add("loading_total_bytes", total);
    fields.add("loading_rdb_used_mem", loading.used_memory.load(Relaxed));
    fields.add("loading_loaded_bytes", loaded);
    let percent = if total == 0 { 0.0 } else { loaded as f64 * 100.0 / total as f64 };
    fields.add("loading_loaded_perc", format_args!("{percent:.2}"));
    let elapsed_ms = now_ms().saturating_sub(started_ms);
    // Before anything was read, a guess as good as any.
    let eta_seconds = (elapsed_ms * total.saturating_sub(loaded)).checked_div(loaded * 1000).unwrap_or(1);
    fields.add("loading_eta_seconds", eta_seconds);
}
