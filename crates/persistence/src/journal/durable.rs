//! How far the journal is durable, and whether anybody waits for that.
//!
//! A reply waits on this value and on nothing else: who makes entries durable, and how, is not known here. It is written by
//! the threads of the append-only file, and read by all who serve.

use std::sync::atomic::{Ordering, Ordering::Relaxed};

use super::place::Place;
use super::sync::{AtomicBool, AtomicU64};

/// See the module's text.
#[derive(Debug, Default)]
pub struct Durable {
    place: AtomicU64,
    is_awaited: AtomicBool,
    is_failing: AtomicBool,
}

impl Durable {
    /// The place up to which entries are durable.
    #[inline]
    pub fn place(&self) -> Place {
        self.place.load(Ordering::Acquire)
    }

    /// Says that all is durable up to `place`; where it had come before.
    pub fn advance(&self, place: Place) -> Place {
        self.place.fetch_max(place, Ordering::Release)
    }

    /// Whether replies wait for what they show to be durable.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        self.is_awaited.load(Relaxed)
    }

    /// Sets whether they wait. Who waits already must be told by the caller.
    pub fn set_awaited(&self, on: bool) {
        self.is_awaited.store(on, Relaxed);
    }

    /// Whether what depends on this place may not be told yet.
    #[inline]
    pub fn must_wait(&self, place: Place) -> bool {
        self.is_awaited() && place > self.place()
    }

    /// Whether nothing more becomes durable until an error is mended.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Relaxed)
    }

    /// Says whether there is such an error; whether there was one.
    pub fn set_failing(&self, on: bool) -> bool {
        self.is_failing.swap(on, Relaxed)
    }
}
