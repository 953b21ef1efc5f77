//! What a load tells while it goes on.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_metrics::SampleValue;
use rustredis_metrics::rows::{Row, gauge};

use crate::files::load::Loading;

/// How far a load has come at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadingNow {
    now_ms: u64,
    started_ms: u64,
    total_bytes: u64,
    loaded_bytes: u64,
    used_memory: u64,
}

impl LoadingNow {
    /// Looks, at `now_ms`.
    pub fn of(loading: &Loading, now_ms: u64) -> Self {
        Self {
            now_ms,
            started_ms: loading.started_ms.load(Relaxed),
            total_bytes: loading.total_bytes.load(Relaxed),
            loaded_bytes: loading.loaded_bytes.load(Relaxed),
            used_memory: loading.used_memory.load(Relaxed),
        }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("loading_start_time", "When loading began, Unix seconds.", |at| (at.started_ms / 1000).into()),
        gauge("loading_total_bytes", "Bytes to load.", |at| at.total_bytes.into()),
        gauge("loading_rdb_used_mem", "Bytes of memory that the server had which wrote the file.", |at| {
            at.used_memory.into()
        }),
        gauge("loading_loaded_bytes", "Bytes that are loaded.", |at| at.loaded_bytes.into()),
        gauge("loading_loaded_perc", "How much is loaded, in per cent.", |at| {
            SampleValue::quotient(at.loaded_bytes as f64 * 100.0, at.total_bytes as f64)
        }),
        gauge("loading_eta_seconds", "Seconds until all is loaded, if it goes on like this.", |at| {
            at.seconds_left().into()
        }),
    ];

    fn seconds_left(&self) -> u64 {
        let elapsed_ms = self.now_ms.saturating_sub(self.started_ms);
        let left_bytes = self.total_bytes.saturating_sub(self.loaded_bytes);
        // Before anything was read, a guess as good as any.
        (elapsed_ms * left_bytes).checked_div(self.loaded_bytes * 1000).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_takes_as_long_as_what_is_done() {
        let at = LoadingNow { now_ms: 5_000, started_ms: 3_000, total_bytes: 400, ..LoadingNow::default() };
        assert_eq!(at.seconds_left(), 1);
        assert_eq!(LoadingNow { loaded_bytes: 100, ..at }.seconds_left(), 6);
        assert_eq!(LoadingNow { loaded_bytes: 400, ..at }.seconds_left(), 0);
    }
}
