//! The order of what is sent to several owners, which is to be done as in one moment.
//!
//! Who sends has the order to himself ([`Order::begin`]), so all owners get what is sent in the same order. Who receives waits until the
//! others have their parts too ([`Order::await_whole`]): else somebody who has seen what one part did could reach another owner before that
//! one's part. He waits while the parts are pushed, for which nobody waits, and nearly never has to.

use super::sync::{AtomicU64, Mutex, Ordering};

/// Who is sending, and how far that is.
#[derive(Default)]
pub(crate) struct Order {
    turn: Mutex<()>,
    /// The last sending that has begun. Written by who has the turn.
    begun: AtomicU64,
    /// The last sending of which each owner has its part.
    whole: AtomicU64,
}

impl Order {
    /// Runs `send` while nobody else sends to several. It gets the number of the sending, which goes with each part.
    pub(crate) fn begin<T>(&self, send: impl FnOnce(u64) -> T) -> T {
        let _turn = self.turn.lock();
        let number = self.begun.load(Ordering::Relaxed) + 1;
        self.begun.store(number, Ordering::Relaxed);
        let result = send(number);
        self.whole.store(number, Ordering::Release);
        result
    }

    /// Waits until each owner has its part of this sending; 0 is one to a single owner.
    #[inline]
    pub(crate) fn await_whole(&self, number: u64) {
        if self.whole.load(Ordering::Acquire) < number {
            drop(self.turn.lock());
        }
    }
}
