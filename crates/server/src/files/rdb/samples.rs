//! What the RDB file tells.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_metrics::rows::{Row, counter, fact, gauge};

use crate::files::rdb::Rdb;

/// Saves and loads until a moment.
#[derive(Clone, Copy, Debug)]
pub struct RdbNow {
    changes: u64,
    last_save_seconds: u64,
    has_failed: bool,
    saves: u64,
    keys_expired: u64,
    keys_loaded: u64,
}

impl RdbNow {
    /// Looks.
    pub fn of(rdb: &Rdb) -> Self {
        Self {
            changes: rdb.changes(),
            last_save_seconds: rdb.last_save_seconds(),
            has_failed: rdb.has_failed(),
            saves: rdb.saves.load(Relaxed),
            keys_expired: rdb.keys_expired.load(Relaxed),
            keys_loaded: rdb.keys_loaded.load(Relaxed),
        }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("rdb_changes_since_last_save", "Changes of keys since the last save.", |at| at.changes.into()),
        gauge("rdb_last_save_time", "When the last save succeeded, Unix seconds.", |at| {
            at.last_save_seconds.into()
        }),
        fact("rdb_last_bgsave_status", "ok or err: how the last save ended.", |at| {
            if at.has_failed { "err" } else { "ok" }.into()
        }),
        counter("rdb_saves", "Saves since the start.", |at| at.saves.into()),
        gauge("rdb_last_load_keys_expired", "Keys of the file loaded last that had expired.", |at| {
            at.keys_expired.into()
        }),
        gauge("rdb_last_load_keys_loaded", "Keys of the file loaded last.", |at| at.keys_loaded.into()),
    ];
}
