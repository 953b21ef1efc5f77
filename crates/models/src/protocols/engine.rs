//! The engine's gate, and who reads without a lock.

mod sync {
    pub(crate) use super::super::PlainMutex as Mutex;
    pub(crate) use super::super::keyspace::published::{Readers, ReadingStamp};
    pub(crate) use super::super::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use std::sync::Arc;

    thread_local! {
        /// Whether the light fence is none, as it is to the processor. A model runs on one thread of the system.
        pub(crate) static IS_LIGHT_NONE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    pub(crate) fn light() {
        if !IS_LIGHT_NONE.get() {
            fence(Ordering::SeqCst);
        }
    }

    pub(crate) fn heavy() {
        fence(Ordering::SeqCst);
    }

    /// Any time has passed since, so that nothing depends on it.
    #[derive(Clone, Copy)]
    pub(crate) struct Moment;

    impl Moment {
        pub(crate) fn now() -> Self {
            Self
        }

        pub(crate) fn is_past(self, _: std::time::Duration) -> bool {
            true
        }
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
#[path = "../../../engine/src/notices.rs"]
pub(crate) mod notices;
#[path = "../../../engine/src/order.rs"]
pub(crate) mod order;
#[path = "../../../engine/src/readers.rs"]
pub(crate) mod readers;
#[path = "../../../engine/src/word.rs"]
pub(crate) mod word;

pub(crate) use sync::light;

/// Has the light fence be none in this model, which must not need the heavy one then.
pub(crate) fn without_light_fence() {
    sync::IS_LIGHT_NONE.set(true);
}

/// Gives a seat up that was taken to write, as the engine's holds do.
pub(crate) fn leave(gate: &gate::Gate, seat: &gate::Seat) {
    seat.leave(rustredis_keyspace::Access::Write);
    sync::light();
    if gate.word().has(word::CALLED) {
        gate.call();
    }
}
