//! What snapshots tell.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_metrics::SampleValue;
use rustredis_metrics::rows::{Row, counter, fact, gauge};

use crate::files::snapshot::{Job, Snapshots, State};

/// Saves and rewrites until a moment, and how far the one under way has come.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotsNow {
    state: State,
    now_ms: u64,
    /// Of the one under way; 0 if there is none.
    keys_done: u64,
    keys_total: u64,
}

impl SnapshotsNow {
    /// Looks, at `now_ms`.
    pub fn of(snapshots: &Snapshots, now_ms: u64) -> Self {
        let state = snapshots.state();
        let keys = |count: u64| if state.running.is_some() { count } else { 0 };
        Self {
            state,
            now_ms,
            keys_done: keys(snapshots.keys_done.load(Relaxed)),
            keys_total: keys(snapshots.keys_total.load(Relaxed)),
        }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("current_fork_perc", "How much of the snapshot under way is done, in per cent.", |at| {
            SampleValue::quotient(at.keys_done as f64 * 100.0, at.keys_total as f64)
        }),
        gauge("current_save_keys_processed", "Keys of the snapshot under way that are done.", |at| {
            at.keys_done.into()
        }),
        gauge("current_save_keys_total", "Keys of the snapshot under way.", |at| at.keys_total.into()),
        gauge("rdb_bgsave_in_progress", "Whether a save is under way.", |at| {
            at.is_running(Job::is_save).into()
        }),
        gauge("rdb_last_bgsave_time_sec", "Seconds that the last save took; -1 for none.", |at| {
            at.state.last_save_seconds.into()
        }),
        gauge("rdb_current_bgsave_time_sec", "Seconds since the save under way began; -1 for none.", |at| {
            at.running_seconds(Job::is_save).into()
        }),
        gauge("aof_rewrite_in_progress", "Whether the append-only file is being rewritten.", |at| {
            at.is_running(Job::is_rewrite).into()
        }),
        gauge("aof_rewrite_scheduled", "Whether a rewrite follows the save under way.", |at| {
            at.state.is_rewrite_scheduled.into()
        }),
        gauge("aof_last_rewrite_time_sec", "Seconds that the last rewrite took; -1 for none.", |at| {
            at.state.last_rewrite_seconds.into()
        }),
        gauge(
            "aof_current_rewrite_time_sec",
            "Seconds since the rewrite under way began; -1 for none.",
            |at| at.running_seconds(Job::is_rewrite).into(),
        ),
        fact("aof_last_bgrewrite_status", "ok or err: how the last rewrite ended.", |at| {
            if at.state.has_rewrite_failed { "err" } else { "ok" }.into()
        }),
        counter("aof_rewrites", "Rewrites since the start.", |at| at.state.rewrites.into()),
        gauge("aof_rewrites_consecutive_failures", "Rewrites that failed since one succeeded.", |at| {
            at.state.rewrite_failures.into()
        }),
    ];

    fn is_running(&self, is_meant: fn(Job) -> bool) -> bool {
        self.state.running.is_some_and(|(job, _)| is_meant(job))
    }

    /// Seconds since such a job began; -1 if there is none.
    fn running_seconds(&self, is_meant: fn(Job) -> bool) -> i64 {
        match self.state.running {
            Some((job, since_ms)) if is_meant(job) => (self.now_ms.saturating_sub(since_ms) / 1000) as i64,
            _ => -1,
        }
    }
}
