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
