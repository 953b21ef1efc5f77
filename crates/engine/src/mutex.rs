//! One global lock: whoever wants any shard waits for whoever has one. The lock convoy, on purpose.

use parking_lot::{Mutex, MutexGuard};
use rustredis_metrics::{Access, Contention, Held};

/// The lock.
#[derive(Default)]
pub(crate) struct Doors(Mutex<()>);

/// Holds the lock; dropping it releases.
pub(crate) struct Guard<'e> {
    _lock: MutexGuard<'e, ()>,
    contention: &'e Contention,
    held: Option<Held>,
}

impl Doors {
    #[inline]
    pub(crate) fn lock<'e>(&'e self, contention: &'e Contention) -> Guard<'e> {
        if !contention.is_enabled() {
            return Guard { _lock: self.0.lock(), contention, held: None };
        }
        let (lock, held) = contention.acquire(0, Access::Exclusive, || self.0.try_lock(), || self.0.lock());
        Guard { _lock: lock, contention, held: Some(held) }
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.contention.release(held);
        }
    }
}
