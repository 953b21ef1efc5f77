//! Strings that are read without a lock.
//!
//! Beside the tables stands, for each shard of each database, an index of blocks that readers may enter at any time
//! ([`index`]). A key comes into it when it is read under a lock ([`crate::View::publish`]) and leaves it before it is next
//! changed, by whoever holds its shard exclusively. So a write-only load pays nothing for it, and what is read
//! often between two changes is read without a lock after the third time.
//!
//! **What is published is never written again**, its access word aside, but by the one thread that reads without a lock where there is
//! but one ([`crate::View::be_alone`]). A change finds the key's mark ([`Entry::is_published`]),
//! makes a new block in the table, takes the old one out of the index and retires it ([`retired`]).
//!
//! **Why no reader sees half of a change.** What a command, a transaction or a script changes has left the index before the change,
//! and can be read under its locks alone until it has done and told all that it does: publishing again is a step of its own, behind the whole of it. A reader
//! who finds a block has read the key's value as it was when he found it; who finds none takes the lock, and waits. So no shard needs a
//! sequence number that is odd while a write spans several: the index itself says, key by key, that something is under way. A reader of
//! several keys looks each up a second time ([`Reading::is_still`]): if all blocks are the same, there was a moment between the two passes
//! at which all of them were the keys' values, for a block that has left the index never comes back.
//!
//! **Order.** Who has changed a key and then reads another without a lock must not see a value from before a change that somebody
//! made who then missed his: the store into the index and the load from it stand on both sides, so a fence stands behind each
//! withdrawal. Readers pay none.
//!
//! An index is read under [`Readers`]' rules: a reader has said so before he looks, and what is retired is freed once all
//! who had said so have left. Whoever needs everything is let in when no reader is inside.

mod index;
mod retired;

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use super::entry::Entry;
use super::key::Key;
use super::prefetch::prefetch_block;
use super::sync::{AtomicPtr, AtomicU32, AtomicUsize, fence};
use super::{hashing, prefetch, slot, sync};
use index::Index;
pub use retired::{Readers, ReadingStamp};
use retired::{Retired, RetiredBytes};

/// A string that was found without a lock. It stays as it is for as long as the reading lasts.
pub struct PublishedEntry<'r> {
    entry: ManuallyDrop<Entry>,
    _reading: PhantomData<&'r ()>,
}

impl Deref for PublishedEntry<'_> {
    type Target = Entry;

    #[inline]
    fn deref(&self) -> &Entry {
        &self.entry
    }
}

impl PublishedEntry<'_> {
    /// Whether it is the same block.
    #[inline]
    pub fn is_same(&self, other: &Self) -> bool {
        ptr::eq(self.address(), other.address())
    }
}

/// The indexes of a database.
struct Database {
    indexes: Box<[AtomicPtr<Index>]>,
    /// How many keys each has. Apart from the indexes, whose lines readers keep.
    keys: Box<[AtomicU32]>,
}

impl Database {
    fn new(shards: usize) -> Self {
        Self {
            indexes: (0..shards).map(|_| AtomicPtr::default()).collect(),
            keys: (0..shards).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// The index of a shard, if it has one.
    ///
    /// # Safety
    /// The caller is a reader, or holds the shard, for as long as he uses it.
    #[inline]
    unsafe fn index(&self, shard: usize) -> Option<&Index> {
        // SAFETY: it is null or an index that is freed once no reader can have it; who holds the shard is alone to retire it.
        unsafe { self.indexes[shard].load(Acquire).as_ref() }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        for index in &self.indexes {
            let index = index.load(Relaxed);
            if !index.is_null() {
                // SAFETY: it was made by `Box::into_raw` and is dropped once; nobody else has the database.
                drop(unsafe { Box::from_raw(index) });
            }
        }
    }
}

/// What there is to say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishedReport {
    /// Keys that are read without a lock.
    pub keys: usize,
    /// Bytes of the indexes.
    pub index_bytes: usize,
    /// Blocks that were replaced and may still be read.
    pub retired: usize,
    /// Bytes of these.
    pub retired_bytes: usize,
    /// How often a change has waited for readers, as too much was held back.
    pub waits: u64,
}

/// What is published of a store.
pub struct Published {
    shards: usize,
    databases: Box<[AtomicPtr<Database>]>,
    index_bytes: AtomicUsize,
    retired: Retired,
}

impl Published {
    /// Nothing yet, for a store of so many shards and databases; `readers` knows who reads.
    pub(crate) fn new(shards: usize, databases: usize, readers: Box<dyn Readers>) -> Self {
        Self {
            shards,
            databases: (0..databases).map(|_| AtomicPtr::default()).collect(),
            index_bytes: AtomicUsize::new(0),
            retired: Retired::new(readers),
        }
    }

    #[inline]
    fn database(&self, db: usize) -> Option<&Database> {
        // SAFETY: it is null or a database that lives as long as this.
        unsafe { self.databases[db].load(Acquire).as_ref() }
    }

    #[cold]
    fn make_database(&self, db: usize) -> &Database {
        let new = Box::into_raw(Box::new(Database::new(self.shards)));
        match self.databases[db].compare_exchange(ptr::null_mut(), new, AcqRel, Acquire) {
            // SAFETY: as in `database`.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: nobody has seen `new`; `other` is as in `database`.
                unsafe {
                    drop(Box::from_raw(new));
                    &*other
                }
            }
        }
    }

    /// Brings the slot of a key near.
    ///
    /// # Safety
    /// As for [`Published::find`].
    #[inline]
    pub(crate) unsafe fn prefetch_slot(&self, db: usize, shard: usize, hash: u64) {
        // SAFETY: the caller's promise.
        if let Some(index) = self.database(db).and_then(|database| unsafe { database.index(shard) }) {
            index.prefetch(hash);
        }
    }

    /// Brings the block of a key near whose slot is.
    ///
    /// # Safety
    /// As for [`Published::find`].
    #[inline]
    pub(crate) unsafe fn prefetch_block(&self, db: usize, shard: usize, hash: u64) {
        // SAFETY: the caller's promise.
        let index = self.database(db).and_then(|database| unsafe { database.index(shard) });
        if let Some(block) = index.and_then(|index| index.first_like(hash)) {
            prefetch_block(block);
        }
    }

    /// The key's string, if it is published.
    ///
    /// # Safety
    /// The caller is a reader, or holds the shard, for as long as he uses what is found.
    #[inline]
    pub(crate) unsafe fn find(&self, db: usize, shard: usize, key: Key<'_>) -> Option<PublishedEntry<'_>> {
        // SAFETY: the caller's promise; blocks in the index are entries of the table.
        unsafe {
            let index = self.database(db)?.index(shard)?;
            let entry = index.find(key)?;
            Some(PublishedEntry { entry, _reading: PhantomData })
        }
    }

    /// Publishes an entry of a table. The shard is the caller's exclusively.
    pub(crate) fn publish(&self, db: usize, shard: usize, hash: u64, entry: &mut Entry) {
        debug_assert!(!entry.is_published());
        let database = self.database(db).unwrap_or_else(|| self.make_database(db));
        let keys = database.keys[shard].load(Relaxed) as usize;
        // SAFETY: the shard is held.
        let index = unsafe { database.index(shard) };
        let index = match index.filter(|index| index.has_room_beside(keys)) {
            Some(index) => index,
            None => self.resize(database, shard, keys + 1),
        };
        entry.set_published();
        entry.set_read_often(false);
        index.insert(hash, entry);
        database.keys[shard].store(keys as u32 + 1, Relaxed);
    }

    /// Takes a key out that is about to change, or has changed in the table, before anybody else can see the change; its old block
    /// is retired. The shard is the caller's exclusively.
    pub(crate) fn withdraw(&self, db: usize, shard: usize, hash: u64, old: Entry) {
        if let Some(database) = self.database(db) {
            // SAFETY: the shard is held.
            let index = unsafe { database.index(shard) };
            if index.is_some_and(|index| index.remove(hash, &old)) {
                let keys = database.keys[shard].load(Relaxed) as usize - 1;
                database.keys[shard].store(keys as u32, Relaxed);
                if index.is_some_and(|index| index.is_too_large_for(keys)) {
                    self.resize(database, shard, keys);
                }
            }
        }
        fence(SeqCst);
        self.retired.retire(shard, old);
    }

    fn resize<'d>(&self, database: &'d Database, shard: usize, keys: usize) -> &'d Index {
        // SAFETY: the shard is held.
        let old = unsafe { database.index(shard) };
        let new = Box::into_raw(Box::new(Index::with_room_for(keys, old)));
        let old = database.indexes[shard].swap(new, AcqRel);
        // SAFETY: made just now, and retired by who holds the shard; `old` was made here too and has left the database.
        let (new, old) = unsafe { (&*new, (!old.is_null()).then(|| Box::from_raw(old))) };
        self.index_bytes.fetch_add(new.bytes(), Relaxed);
        if let Some(old) = old {
            self.index_bytes.fetch_sub(old.bytes(), Relaxed);
            self.retired.retire_index(shard, old);
        }
        new
    }

    /// Forgets all of a database, whose keys go. Everything is the caller's exclusively.
    pub(crate) fn clear(&self, db: usize) {
        let Some(database) = self.database(db) else { return };
        for (index, keys) in database.indexes.iter().zip(&database.keys) {
            let index = index.swap(ptr::null_mut(), AcqRel);
            keys.store(0, Relaxed);
            if !index.is_null() {
                // SAFETY: made by `Box::into_raw`; nobody reads while somebody has everything.
                let index = unsafe { Box::from_raw(index) };
                self.index_bytes.fetch_sub(index.bytes(), Relaxed);
            }
        }
    }

    /// Has two databases change places. Everything is the caller's exclusively.
    pub(crate) fn swap(&self, first: usize, second: usize) {
        let other = self.databases[first].load(Acquire);
        let other = self.databases[second].swap(other, AcqRel);
        self.databases[first].store(other, Release);
    }

    /// Frees what was retired and is read no more.
    pub(crate) fn collect(&self) {
        self.retired.collect();
    }

    /// Bytes that are held back for readers.
    pub(crate) fn retired_bytes(&self) -> usize {
        self.retired.report().bytes
    }

    /// What there is to say. O(databases that were read x shards).
    pub(crate) fn report(&self) -> PublishedReport {
        let databases = self.databases.iter().enumerate().filter_map(|(db, _)| self.database(db));
        let keys = databases.flat_map(|database| &database.keys).map(|keys| keys.load(Relaxed) as usize);
        let RetiredBytes { count, bytes, waits } = self.retired.report();
        PublishedReport {
            keys: keys.sum(),
            index_bytes: self.index_bytes.load(Relaxed),
            retired: count,
            retired_bytes: bytes,
            waits,
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        for database in &self.databases {
            let database = database.load(Relaxed);
            if !database.is_null() {
                // SAFETY: it was made by `Box::into_raw` and is dropped once; nobody else has this.
                drop(unsafe { Box::from_raw(database) });
            }
        }
    }
}
