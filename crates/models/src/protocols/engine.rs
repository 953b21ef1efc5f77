//! The engine's gate, and who reads without a lock.

mod sync {
    pub(crate) use super::super::PlainMutex as Mutex;
    pub(crate) use super::super::keyspace::published::{Readers, ReadingStamp};
    pub(crate) use super::super::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use std::sync::Arc;

    pub(crate) fn light() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn heavy() {
        fence(Ordering::SeqCst);
    }

    /// One try: a second is another order of steps.
    pub(crate) fn spin<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
        attempt()
    }
}

#[path = "../../../engine/src/gate.rs"]
pub(crate) mod gate;
#[path = "../../../engine/src/inbox.rs"]
pub(crate) mod inbox;
#[path = "../../../engine/src/readers.rs"]
pub(crate) mod readers;
#[path = "../../../engine/src/word.rs"]
pub(crate) mod word;

/// Gives a seat up that was taken to write, as the engine's holds do.
pub(crate) fn leave(gate: &gate::Gate, seat: &gate::Seat) {
    seat.leave(rustredis_keyspace::Access::Write);
    sync::light();
    if gate.word().has(word::CALLED) {
        gate.call();
    }
}
