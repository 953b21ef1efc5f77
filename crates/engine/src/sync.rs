//! What the protocols of this crate are made of. Their models, in [`crate::models`] and the crate `models`, put a checker's in its place.

use std::time::{Duration, Instant};

pub(crate) use crate::fences::{heavy, light};
pub(crate) use parking_lot::Mutex;
pub(crate) use rustredis_keyspace::published::{Readers, ReadingStamp};
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// How long a thread tries before it waits otherwise: holds take microseconds.
const SPIN: Duration = Duration::from_micros(50);
/// Tries between two looks at the clock.
const TRIES: usize = 32;

/// A moment from which waits are reckoned.
#[derive(Clone, Copy)]
pub(crate) struct Moment(Instant);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// Whether so much time has passed since then.
    pub(crate) fn is_past(self, time: Duration) -> bool {
        self.0.elapsed() >= time
    }
}

/// Tries as [`spin`] does, until it is in vain.
pub(crate) fn spin_unless<T>(
    is_in_vain: impl Fn() -> bool,
    mut attempt: impl FnMut() -> Option<T>,
) -> Option<T> {
    spin(|| if is_in_vain() { Some(None) } else { attempt().map(Some) }).flatten()
}

/// Tries until `attempt` gives something or the time is over.
#[cold]
pub(crate) fn spin<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        for _ in 0..TRIES {
            if let Some(result) = attempt() {
                return Some(result);
            }
            std::hint::spin_loop();
        }
        if started.elapsed() > SPIN {
            return None;
        }
    }
}
