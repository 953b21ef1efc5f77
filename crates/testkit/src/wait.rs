//! Waiting for a condition, in place of sleeping.

use std::time::{Duration, Instant};

/// The pause between two looks at a condition.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(3);

/// Waits until `condition` holds; panics, naming what was waited for, if it does not within `limit`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < end, "waited {limit:?} for {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}
