//! The `dashmap` crate's shards and its locks.
//!
//! Each database is a `DashMap<Entry, ()>`, and its entries lie in the map's own tables. The crate's public operations
//! take one shard's lock each, and nest into deadlocks; its raw interface gives the shards' locks themselves, so several
//! can be held at once, in ascending order. The locks of database 0's map guard the shard in every database: a command
//! that reaches two databases needs no second order.
//!
//! Readers share a lock, a writer has it alone. The lock is released through the raw interface too, for a guard over
//! many shards is then a list of numbers.

use std::sync::Arc;

use dashmap::DashMap;
use lock_api::RawRwLock as _;
use rustredis_keyspace::store::TOUCHED_AT_ONCE;
use rustredis_keyspace::{Access, Bank, Covered, Entry, Table};
use rustredis_metrics::{Access as HeldAs, Contention};

use crate::Measured;

/// Passes the hash that an entry computes of its key through, so that the map's idea of where an entry lies is ours.
#[derive(Clone, Copy, Default)]
pub(crate) struct KeyHash(u64);

impl std::hash::Hasher for KeyHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = rustredis_keyspace::hashing::key_hash(bytes);
    }
}

type Map = DashMap<Entry, (), std::hash::BuildHasherDefault<KeyHash>>;

/// The locks.
pub(crate) struct Doors {
    /// The map of database 0, whose locks guard the shards.
    map: Arc<Map>,
}

/// The map of database 0, and its locks.
pub(crate) fn new(shards: usize) -> (Bank, Doors) {
    assert!(shards > 1, "dashmap has at least two shards");
    let map = new_map(shards);
    (bank_of(map.clone()), Doors { map })
}

/// The map of another database, of which only the tables are used.
pub(crate) fn new_bank(shards: usize) -> Bank {
    bank_of(new_map(shards))
}

fn new_map(shards: usize) -> Arc<Map> {
    Arc::new(Map::with_hasher_and_shard_amount(Default::default(), shards))
}

fn bank_of(map: Arc<Map>) -> Bank {
    let locks = map.shards();
    let first: *mut Table = locks[0].data_ptr();
    let stride = locks[1].data_ptr() as usize - first as usize;
    // SAFETY: the locks lie in a slice, so their data is equally far apart; the map never moves its slice, and
    // only views enter the tables, under the locks of database 0.
    unsafe { Bank::borrowed(first, stride, Box::new(map)) }
}

impl Doors {
    #[inline]
    fn acquire(&self, shard: usize, access: Access, contention: &Contention, measured: &mut Measured) {
        // SAFETY: the raw lock is released by `release` and nowhere else.
        let lock = unsafe { self.map.shards()[shard].raw() };
        if contention.is_enabled() {
            measured.push(match access {
                Access::Read => {
                    let try_lock = || lock.try_lock_shared().then_some(());
                    contention.acquire(shard, HeldAs::Shared, try_lock, || lock.lock_shared()).1
                }
                Access::Write => {
                    let try_lock = || lock.try_lock_exclusive().then_some(());
                    contention.acquire(shard, HeldAs::Exclusive, try_lock, || lock.lock_exclusive()).1
                }
            });
            return;
        }
        match access {
            Access::Read => lock.lock_shared(),
            Access::Write => lock.lock_exclusive(),
        }
    }

    #[inline]
    fn release(&self, shard: usize, access: Access) {
        let lock = &self.map.shards()[shard];
        // SAFETY: called once for each lock that was taken, with the same access.
        unsafe {
            match access {
                Access::Read => lock.force_unlock_read(),
                Access::Write => lock.force_unlock_write(),
            }
        }
    }

    /// Prefetches under shared locks that are all taken before and all released after: an atomic operation between two
    /// prefetches would make the second wait for the first's cache misses (0.43x instead of 0.25x of Redis's time per request
    /// at 64 in a pipeline). A lock that is not free at once is left alone, so that the order of taking does not matter.
    pub(crate) fn touch(&self, keys: &[(u32, u64)], prefetch: impl Fn(&[(u32, u64)])) {
        let locks = self.map.shards();
        let mut held = [(0u32, 0u64); TOUCHED_AT_ONCE];
        let mut count = 0;
        for (shard, hash) in keys {
            // SAFETY: released below.
            if unsafe { locks[*shard as usize].raw() }.try_lock_shared() {
                held[count] = (*shard, *hash);
                count += 1;
            }
        }
        let held = &held[..count];
        prefetch(held);
        held.iter().for_each(|(shard, _)| self.release(*shard as usize, Access::Read));
    }

    /// Takes the locks of the covered shards. [`Doors::unlock`] releases them.
    #[inline]
    pub(crate) fn lock(&self, covered: Covered<'_>, access: Access, contention: &Contention) -> Measured {
        let mut measured = Measured::default();
        let mut acquire = |shard: usize| self.acquire(shard, access, contention, &mut measured);
        match covered {
            Covered::None => {}
            Covered::One(shard) => acquire(shard),
            Covered::Many(shards) => {
                debug_assert!(shards.is_sorted_by(|a, b| a < b), "locks are taken in ascending order");
                shards.iter().for_each(|shard| acquire(*shard as usize));
            }
            Covered::All => (0..self.map.shards().len()).for_each(acquire),
        }
        measured
    }

    /// Releases what [`Doors::lock`] took, once.
    #[inline]
    pub(crate) fn unlock(&self, covered: Covered<'_>, access: Access) {
        let release = |shard: usize| self.release(shard, access);
        match covered {
            Covered::None => {}
            Covered::One(shard) => release(shard),
            Covered::Many(shards) => shards.iter().for_each(|shard| release(*shard as usize)),
            Covered::All => (0..self.map.shards().len()).for_each(release),
        }
    }
}
