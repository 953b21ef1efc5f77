//! One global lock: whoever wants any shard waits for whoever has one. The lock convoy, on purpose.

use lock_api::RawMutex as _;
use parking_lot::RawMutex;
use rustredis_keyspace::Access;
use rustredis_metrics::{Contention, Sharing};

use crate::measured::Measured;
use crate::notices::Locks;
use crate::sync::spin_unless;

/// The lock.
pub(crate) struct Doors(RawMutex);

impl Default for Doors {
    fn default() -> Self {
        Self(RawMutex::INIT)
    }
}

impl Doors {
    /// Takes the lock, trying for a moment, or once where more is in vain.
    #[inline]
    pub(crate) fn try_lock_soon(
        &self,
        is_in_vain: impl Fn() -> bool,
        contention: &Contention,
    ) -> Option<Measured> {
        let try_lock = || self.0.try_lock().then_some(());
        let try_longer = || spin_unless(is_in_vain, try_lock);
        if !contention.is_enabled() {
            try_lock().or_else(try_longer)?;
            return Some(Measured::default());
        }
        let ((), held) = contention.try_acquire(0, Sharing::Exclusive, try_lock, try_longer)?;
        Some(Measured::of(held))
    }
}

impl Locks for Doors {
    #[inline]
    fn try_lock(&self, _shard: u32, _access: Access) -> bool {
        self.0.try_lock()
    }

    #[inline]
    fn unlock(&self, _shard: u32, _access: Access) {
        // SAFETY: whoever calls it has taken the lock. That may have been another thread, on behalf of a waiter; this lock
        // remembers none.
        unsafe { self.0.unlock() }
    }
}
