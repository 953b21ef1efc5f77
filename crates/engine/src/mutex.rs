//! One global lock: whoever wants any shard waits for whoever has one. The lock convoy, on purpose.

use parking_lot::{Mutex, MutexGuard};
use rustredis_metrics::{Access, Contention};

use crate::Measured;

/// The lock.
#[derive(Default)]
pub(crate) struct Doors(Mutex<()>);

impl Doors {
    #[inline]
    pub(crate) fn lock(&self, contention: &Contention) -> (MutexGuard<'_, ()>, Measured) {
        if !contention.is_enabled() {
            return (self.0.lock(), Measured::default());
        }
        let (lock, held) = contention.acquire(0, Access::Exclusive, || self.0.try_lock(), || self.0.lock());
        (lock, Measured::of(held))
    }
}
