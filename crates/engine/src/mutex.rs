//! One global lock: whoever wants any shard waits for whoever has one. The lock convoy, on purpose.

use parking_lot::{Mutex, MutexGuard};

/// The lock.
#[derive(Default)]
pub(crate) struct Doors(Mutex<()>);

pub(crate) type Guard<'e> = MutexGuard<'e, ()>;

impl Doors {
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_> {
        self.0.lock()
    }
}
