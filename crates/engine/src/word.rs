//! The word that everybody who holds shards looks at: once when he enters and once when he leaves.
//!
//! It is almost never written, so it stays in every core's cache; a bit says that something has to be looked at more closely.

use super::sync::{AtomicU32, Ordering};

/// Nobody is let in but who fills the store.
pub(crate) const CLOSED: u32 = 1;
/// Somebody has everything, or is about to.
pub(crate) const STOPPED: u32 = 1 << 1;
/// The same to read: readers are let in.
pub(crate) const WRITES_STOPPED: u32 = 1 << 2;
/// Who stops the others sleeps until they have left.
pub(crate) const CALLED: u32 = 1 << 3;
/// Somebody waits for a lock.
pub(crate) const WAITED: u32 = 1 << 4;
/// Somebody has waited for a lock in vain: those who come after him let him go first.
pub(crate) const URGENT: u32 = 1 << 5;
/// Shards are held for long.
pub(crate) const KEPT: u32 = 1 << 6;

/// The bits.
#[derive(Debug)]
pub(crate) struct Word(AtomicU32);

impl Word {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Acquire, so that who finds a bit gone sees what was done under it.
    #[inline]
    pub(crate) fn has(&self, bits: u32) -> bool {
        self.read() & bits != 0
    }

    #[inline]
    pub(crate) fn read(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, bits: u32, is_set: bool) {
        if is_set {
            self.0.fetch_or(bits, Ordering::AcqRel);
        } else {
            self.0.fetch_and(!bits, Ordering::AcqRel);
        }
    }
}
