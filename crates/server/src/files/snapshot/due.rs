//! When a snapshot begins by itself: at a save point, when the append-only file has grown, or when it needs a new base.

use rustredis_config::Directive;

use super::snapshots::Snapshots;
use super::state::Job;
use crate::clock::now_ms;

/// Rewrites that failed in a row until the next one waits.
const FAILURES_UNTIL_DELAY: u64 = 3;
/// The longest wait, in seconds.
const DELAY_SECONDS_MAX: u64 = 3600;
/// After a save that failed, how long save points wait until the next, in milliseconds.
const RETRY_SAVE_MS: u64 = 5000;

impl Snapshots {
    /// Whether an automatic rewrite may be tried: after some failures each next one waits twice as long.
    pub fn may_rewrite(&self) -> bool {
        let state = self.state();
        let Some(extra) = state.rewrite_failures.checked_sub(FAILURES_UNTIL_DELAY) else { return true };
        let delay_seconds = (60u64 << extra.min(10)).min(DELAY_SECONDS_MAX);
        now_ms().saturating_sub(state.last_rewrite_failure_ms) >= delay_seconds * 1000
    }

    /// Whether turning the append-only file on may be tried again, after a second at least.
    pub fn may_try_again(&self) -> bool {
        self.may_rewrite() && now_ms().saturating_sub(self.state().last_rewrite_failure_ms) >= 1000
    }

    /// Whether a rewrite may be tried to mend the append-only file, for which writes wait: a second after a failure, and longer after
    /// each further one, up to a minute.
    pub fn may_mend(&self) -> bool {
        let state = self.state();
        let delay_ms = (1000u64 << state.rewrite_failures.min(6)).min(60_000);
        now_ms().saturating_sub(state.last_rewrite_failure_ms) >= delay_ms
    }

    /// Whether what is written to the append-only file has no base yet: it is being turned on.
    pub fn is_base_missing(&self) -> bool {
        let is_turning_on = self.state().running.is_some_and(|(job, _)| job == Job::TurnOn);
        self.parts.aof.is_on() && (is_turning_on || !self.parts.aof.is_written())
    }

    /// Notes that a save point has asked for a save.
    pub fn note_save_try(&self) {
        self.state.lock().last_save_try_ms = now_ms();
    }

    /// Begins a save when a save point is reached, and a rewrite when the append-only file has grown. Not while it is loaded.
    pub fn begin_what_is_due(&self) {
        if self.state().running.is_some() {
            return;
        }
        if self.parts.aof.is_on() && !self.parts.aof.is_written() {
            // Turning it on has failed; it is tried again as long as it is wanted.
            if self.may_try_again() {
                self.rewrite();
            }
            return;
        }
        if self.parts.aof.is_lost() && self.may_mend() {
            // Only a new base makes safe what is there.
            tracing::warn!("Starting a rewrite of the AOF, for a sync of it has failed");
            self.rewrite();
            return;
        }
        let (save_points, percentage, min_bytes) = {
            let config = self.parts.config.lock();
            (
                config.save_points().to_vec(),
                config.int(Directive::AutoAofRewritePercentage) as u64,
                config.bytes(Directive::AutoAofRewriteMinSize),
            )
        };
        let now_s = now_ms() / 1000;
        let changes = self.parts.rdb.changes();
        let quiet_s = now_s.saturating_sub(self.parts.rdb.last_save_seconds());
        let may_save = !self.parts.rdb.has_failed()
            || now_ms().saturating_sub(self.state().last_save_try_ms) > RETRY_SAVE_MS;
        if let Some(point) =
            save_points.iter().find(|point| changes >= point.changes && quiet_s > point.seconds)
            && may_save
        {
            tracing::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
            self.note_save_try();
            self.save(false);
            return;
        }
        let (now_bytes, base_bytes) = (self.parts.aof.current_bytes(), self.parts.aof.base_bytes().max(1));
        if self.parts.aof.is_written() && percentage > 0 && now_bytes > min_bytes && self.may_rewrite() {
            let growth = (now_bytes * 100 / base_bytes).saturating_sub(100);
            if growth >= percentage {
                tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
                self.rewrite();
            }
        }
    }
}
