//! Threads that pump: each sleeps until it is woken, and says so, so that nobody wakes it who need not.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use super::sync::AtomicBool;
use super::sync::thread::{self, Thread};

/// A thread that pumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// The one that writes the append-only file.
    Writer,
    /// The one that does nothing else.
    Feeder,
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Sleeper {
    thread: OnceLock<Thread>,
    is_dormant: AtomicBool,
}

impl Sleeper {
    /// Makes the calling thread the one that is woken.
    pub(super) fn enter(&self) {
        let is_first = self.thread.set(thread::current()).is_ok();
        debug_assert!(is_first, "a journal has one thread of each kind that pumps");
    }

    /// Whether it sleeps until it is woken, or is about to.
    #[inline]
    pub(super) fn is_dormant(&self) -> bool {
        self.is_dormant.load(Ordering::Relaxed)
    }

    pub(super) fn set_dormant(&self, is_dormant: bool) {
        self.is_dormant.store(is_dormant, Ordering::SeqCst);
    }

    pub(super) fn wake(&self) {
        self.is_dormant.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}
