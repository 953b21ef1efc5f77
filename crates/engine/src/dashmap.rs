//! The `dashmap` crate's shards and its locks.
//!
//! Each database is a `DashMap<Entry, ()>`, and its entries lie in the map's own tables. The crate's public operations
//! take one shard's lock each, and nest into deadlocks; its raw interface gives the shards' locks themselves, so several
//! can be held at once, in ascending order. The locks of database 0's map guard the shard in every database: a command
//! that reaches two databases needs no second order. Who holds everything takes none of them: see [`crate::gate`].
//!
//! They are only ever tried, so that nobody parks his thread: see [`crate::notices`].
//!
//! Readers share a lock, a writer has it alone. The lock is released through the raw interface too, for a guard over
//! many shards is then a list of numbers.

use std::sync::Arc;

use dashmap::DashMap;
use lock_api::RawRwLock as _;
use rustredis_keyspace::store::TOUCHED_AT_ONCE;
use rustredis_keyspace::{Access, Bank, Covered, Entry, Table};
use rustredis_metrics::{Contention, Sharing};

use crate::measured::Measured;
use crate::notices::Locks;
use crate::sync::spin_unless;

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
    let stride = locks[1].data_ptr() as usize - locks[0].data_ptr() as usize;
    // Of the slice as a whole: a pointer of the first lock's reaches that lock alone.
    let begin = locks.as_ptr().cast_mut();
    let first: *mut Table = begin.wrapping_byte_add(locks[0].data_ptr() as usize - begin as usize).cast();
    // SAFETY: the locks lie in a slice, so their data is equally far apart; the map never moves its slice, and
    // only views enter the tables, under the locks of database 0.
    unsafe { Bank::borrowed(first, stride, Box::new(map)) }
}

impl Locks for Doors {
    #[inline]
    fn try_lock(&self, shard: u32, access: Access) -> bool {
        // SAFETY: the raw lock is released by `unlock` and nowhere else.
        let lock = unsafe { self.map.shards()[shard as usize].raw() };
        match access {
            Access::Read => lock.try_lock_shared(),
            Access::Write => lock.try_lock_exclusive(),
        }
    }

    #[inline]
    fn unlock(&self, shard: u32, access: Access) {
        let lock = &self.map.shards()[shard as usize];
        // SAFETY: called once for each lock that was taken, with the same access.
        unsafe {
            match access {
                Access::Read => lock.force_unlock_read(),
                Access::Write => lock.force_unlock_write(),
            }
        }
    }
}

impl Doors {
    /// Takes a lock, trying for a moment, or once where more is in vain.
    ///
    /// A group takes 32 locks in a row: called, and not inlined, it was 20 instructions a lock (of 1,400 for a GET).
    #[inline(always)]
    pub(crate) fn try_lock_soon(
        &self,
        shard: u32,
        access: Access,
        is_in_vain: impl Fn() -> bool,
        contention: &Contention,
        measured: &mut Measured,
    ) -> bool {
        let is_measured = contention.is_enabled();
        (!is_measured && Locks::try_lock(self, shard, access))
            || self.try_lock_longer(shard, access, is_in_vain, is_measured.then_some(contention), measured)
    }

    /// The rest of [`Doors::try_lock_soon`]: what is measured is measured from the first try on.
    #[cold]
    #[inline(never)]
    fn try_lock_longer(
        &self,
        shard: u32,
        access: Access,
        is_in_vain: impl Fn() -> bool,
        contention: Option<&Contention>,
        measured: &mut Measured,
    ) -> bool {
        let try_lock = || Locks::try_lock(self, shard, access).then_some(());
        let try_longer = || spin_unless(is_in_vain, try_lock);
        let Some(contention) = contention else { return try_longer().is_some() };
        let held = contention.try_acquire(shard as usize, held_as(access), try_lock, try_longer);
        let is_locked = held.is_some();
        held.into_iter().for_each(|((), held)| measured.push(held));
        is_locked
    }

    /// Prefetches under shared locks that are all taken before and all released after: an atomic operation between two
    /// prefetches would make the second wait for the first's cache misses (0.43x instead of 0.25x of Redis's time per request
    /// at 64 in a pipeline). A lock that is not free at once is left alone, so that the order of taking does not matter.
    /// `released` is told of each that was released.
    pub(crate) fn touch(
        &self,
        keys: &[(u32, u64)],
        prefetch: impl Fn(&[(u32, u64)]),
        released: impl FnOnce(&[(u32, u64)]),
    ) {
        let mut held = [(0u32, 0u64); TOUCHED_AT_ONCE];
        let mut count = 0;
        for (shard, hash) in keys {
            if Locks::try_lock(self, *shard, Access::Read) {
                held[count] = (*shard, *hash);
                count += 1;
            }
        }
        let held = &held[..count];
        prefetch(held);
        held.iter().for_each(|(shard, _)| Locks::unlock(self, *shard, Access::Read));
        released(held);
    }

    /// Releases the locks of the covered shards, once.
    #[inline]
    pub(crate) fn unlock_all(&self, covered: Covered<'_>, access: Access) {
        match covered {
            Covered::One(shard) => Locks::unlock(self, shard as u32, access),
            Covered::Many(shards) => shards.iter().for_each(|shard| Locks::unlock(self, *shard, access)),
            Covered::None | Covered::All => {}
        }
    }
}

/// The access as it is measured.
pub(crate) fn held_as(access: Access) -> Sharing {
    match access {
        Access::Read => Sharing::Shared,
        Access::Write => Sharing::Exclusive,
    }
}
