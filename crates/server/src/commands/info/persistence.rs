//! `INFO persistence`.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_metrics::SampleValue;

use super::reading::Reading;
use super::row::{Part, Row, counter, fact, gauge, none};
use crate::clock::now_ms;
use crate::files::snapshot::Job;
use crate::gate;

pub(super) const PERSISTENCE: &[Part] = &[
    Part::Rows(SNAPSHOTS),
    Part::When(|at| at.server.aof().status().is_some() && at.server.aof().is_on(), AOF),
    Part::When(|at| at.server.gate().has(gate::LOADING), LOADING),
];

const SNAPSHOTS: &[Row] = &[
    gauge("loading", "Whether a file is being loaded.", |at| at.server.gate().has(gate::LOADING).into()),
    none("async_loading", "Whether a primary's data is loaded beside the old."),
    none("current_cow_peak", "Bytes that a second process has copied at most: there is none."),
    none("current_cow_size", "Bytes that a second process has copied."),
    none("current_cow_size_age", "The age of that figure, seconds."),
    gauge("current_fork_perc", "How much of the snapshot under way is done, in per cent.", |at| {
        let (done, total) = keys(at);
        SampleValue::Decimal(share(done as f64, total as f64) * 100.0, 2)
    }),
    gauge("current_save_keys_processed", "Keys of the snapshot under way that are done.", |at| {
        keys(at).0.into()
    }),
    gauge("current_save_keys_total", "Keys of the snapshot under way.", |at| keys(at).1.into()),
    gauge("rdb_changes_since_last_save", "Changes of keys since the last save.", |at| {
        at.server.rdb().changes().into()
    }),
    gauge("rdb_bgsave_in_progress", "Whether a save is under way.", |at| is_running(at, is_save).into()),
    gauge("rdb_last_save_time", "When the last save succeeded, Unix seconds.", |at| {
        at.server.rdb().last_save_seconds().into()
    }),
    fact("rdb_last_bgsave_status", "ok or err: how the last save ended.", |at| {
        status(at.server.rdb().has_failed())
    }),
    gauge("rdb_last_bgsave_time_sec", "Seconds that the last save took; -1 for none.", |at| {
        at.snapshots().last_save_seconds.into()
    }),
    gauge("rdb_current_bgsave_time_sec", "Seconds since the save under way began; -1 for none.", |at| {
        seconds_of(at, is_save)
    }),
    counter("rdb_saves", "Saves since the start.", |at| at.server.rdb().saves.load(Relaxed).into()),
    none("rdb_last_cow_size", "Bytes that a second process copied for the last save."),
    gauge("rdb_last_load_keys_expired", "Keys of the file loaded last that had expired.", |at| {
        at.server.rdb().keys_expired.load(Relaxed).into()
    }),
    gauge("rdb_last_load_keys_loaded", "Keys of the file loaded last.", |at| {
        at.server.rdb().keys_loaded.load(Relaxed).into()
    }),
    gauge("aof_enabled", "Whether the append-only file is on.", |at| at.server.aof().is_on().into()),
    gauge("aof_rewrite_in_progress", "Whether the append-only file is being rewritten.", |at| {
        is_running(at, Job::is_rewrite).into()
    }),
    gauge("aof_rewrite_scheduled", "Whether a rewrite follows the save under way.", |at| {
        at.snapshots().is_rewrite_scheduled.into()
    }),
    gauge("aof_last_rewrite_time_sec", "Seconds that the last rewrite took; -1 for none.", |at| {
        at.snapshots().last_rewrite_seconds.into()
    }),
    gauge("aof_current_rewrite_time_sec", "Seconds since the rewrite under way began; -1 for none.", |at| {
        seconds_of(at, Job::is_rewrite)
    }),
    fact("aof_last_bgrewrite_status", "ok or err: how the last rewrite ended.", |at| {
        status(at.snapshots().has_rewrite_failed)
    }),
    counter("aof_rewrites", "Rewrites since the start.", |at| at.snapshots().rewrites.into()),
    gauge("aof_rewrites_consecutive_failures", "Rewrites that failed since one succeeded.", |at| {
        at.snapshots().rewrite_failures.into()
    }),
    fact("aof_last_write_status", "ok or err: how the last write to the append-only file ended.", |at| {
        status(at.server.aof().error().is_some())
    }),
    none("aof_last_cow_size", "Bytes that a second process copied for the last rewrite."),
    none("module_fork_in_progress", "Whether a module's second process runs."),
    none("module_fork_last_cow_size", "Bytes that a module's second process copied."),
];

/// What there is to say while the append-only file is on; the last five are ours: how the syncs are shared.
const AOF: &[Row] = &[
    gauge("aof_current_size", "Bytes of the append-only file.", |at| at.server.aof().current_bytes().into()),
    gauge("aof_base_size", "Bytes that it had after the last rewrite or at the start.", |at| {
        at.server.aof().base_bytes().into()
    }),
    gauge("aof_pending_rewrite", "Whether nothing is written before a rewrite has begun.", |at| {
        (!at.server.aof().is_written()).into()
    }),
    gauge("aof_buffer_length", "Bytes that wait to be written.", |at| at.server.aof().waiting_bytes().into()),
    gauge("aof_pending_bio_fsync", "Syncs that are under way.", |at| {
        of_status(at, |status| status.pending_syncs.load(Relaxed).into())
    }),
    counter("aof_delayed_fsync", "Writes that waited for a sync.", |at| {
        of_status(at, |status| status.delayed_syncs.load(Relaxed).into())
    }),
    counter("journal_last_place", "The place of the last effect.", |at| {
        at.server.durability().journal.last().into()
    }),
    counter("journal_durable_place", "The place up to which effects are on the disk.", |at| {
        at.server.durability().durable.place().into()
    }),
    counter("aof_syncs", "Syncs.", |at| of_status(at, |status| status.syncs.load(Relaxed).into())),
    gauge("aof_entries_per_sync", "Effects that a sync made durable, on average.", |at| {
        of_status(at, |status| {
            let syncs = status.syncs.load(Relaxed) as f64;
            SampleValue::Decimal(share(status.synced_entries.load(Relaxed) as f64, syncs), 2)
        })
    }),
    gauge("aof_usec_per_sync", "Microseconds that a sync took, on average.", |at| {
        of_status(at, |status| {
            let syncs = status.syncs.load(Relaxed) as f64;
            SampleValue::Decimal(share(status.sync_nanos.load(Relaxed) as f64, syncs) / 1000.0, 2)
        })
    }),
];

const LOADING: &[Row] = &[
    gauge("loading_start_time", "When loading began, Unix seconds.", |at| {
        (at.server.loading().started_ms.load(Relaxed) / 1000).into()
    }),
    gauge("loading_total_bytes", "Bytes to load.", |at| at.server.loading().total_bytes.load(Relaxed).into()),
    gauge("loading_rdb_used_mem", "Bytes of memory that the server had which wrote the file.", |at| {
        at.server.loading().used_memory.load(Relaxed).into()
    }),
    gauge("loading_loaded_bytes", "Bytes that are loaded.", |at| {
        at.server.loading().loaded_bytes.load(Relaxed).into()
    }),
    gauge("loading_loaded_perc", "How much is loaded, in per cent.", |at| {
        let loading = at.server.loading();
        let (loaded, total) = (loading.loaded_bytes.load(Relaxed), loading.total_bytes.load(Relaxed));
        SampleValue::Decimal(share(loaded as f64, total as f64) * 100.0, 2)
    }),
    gauge("loading_eta_seconds", "Seconds until all is loaded, if it goes on like this.", |at| {
        let loading = at.server.loading();
        let elapsed_ms = now_ms().saturating_sub(loading.started_ms.load(Relaxed));
        let (loaded, total) = (loading.loaded_bytes.load(Relaxed), loading.total_bytes.load(Relaxed));
        // Before anything was read, a guess as good as any.
        (elapsed_ms * total.saturating_sub(loaded)).checked_div(loaded * 1000).unwrap_or(1).into()
    }),
];

/// A quotient; 0 if there is nothing to divide by.
fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

fn is_save(job: Job) -> bool {
    job == Job::Save
}

fn is_running(at: &Reading<'_>, is_meant: fn(Job) -> bool) -> bool {
    at.snapshots().running.is_some_and(|(job, _)| is_meant(job))
}

/// Seconds since such a job began.
fn seconds_of(at: &Reading<'_>, is_meant: fn(Job) -> bool) -> SampleValue {
    match at.snapshots().running {
        Some((job, since_ms)) if is_meant(job) => ((now_ms().saturating_sub(since_ms) / 1000) as i64).into(),
        _ => (-1_i64).into(),
    }
}

/// Keys of the snapshot under way: those that are done, and all.
fn keys(at: &Reading<'_>) -> (u64, u64) {
    let snapshots = at.server.snapshots();
    match at.snapshots().running {
        Some(_) => (snapshots.keys_done.load(Relaxed), snapshots.keys_total.load(Relaxed)),
        None => (0, 0),
    }
}

fn status(has_failed: bool) -> SampleValue {
    if has_failed { "err".into() } else { "ok".into() }
}

/// What the append-only file's writer says; 0 once it has ended.
fn of_status(at: &Reading<'_>, read: fn(&rustredis_persistence::aof::Status) -> SampleValue) -> SampleValue {
    at.server.aof().status().map_or(SampleValue::Whole(0), read)
}
