//! Reading a key: counted and touched as a command reads it, or as if nobody had looked.
//!
//! A key whose time has come is not there for a reader. He may share the shard, so he only remembers it, and it is deleted
//! after the command.

use super::{COUNTS, NO_TOUCH, Overdue, View, WrongType};
use crate::access_clock;
use crate::entry::Entry;
use crate::key::Key;
use crate::value::{Collection, Kind};

impl View<'_> {
    /// Whether the key is there in this database of a covered shard, whichever is selected.
    pub(crate) fn is_there_in(&self, shard: usize, db: usize, key: Key<'_>) -> bool {
        debug_assert!(self.covered().has(shard));
        // SAFETY: the shard is covered, as whoever names it has looked into its state, and this is a read.
        let table = unsafe { &*self.store().table(shard, db) };
        let found = table.find(key.hash, |(entry, ())| entry.key() == key.bytes);
        found.is_some_and(|(entry, ())| !entry.is_expired(self.now_ms()))
    }

    /// The key's entry, expired or not; no statistics, no touch.
    #[inline]
    pub fn lookup(&self, key: Key<'_>) -> Option<&Entry> {
        let shard = self.store.shard_of(key.hash);
        // Who reads without a lock covers no shard, and pays for the question.
        if !self.covered.has(shard) {
            return self.lookup_published(key);
        }
        let table = self.table(shard);
        table.find(key.hash, |(entry, ())| entry.key() == key.bytes).map(|(entry, ())| entry)
    }

    /// The key's entry if it is there; no statistics, no touch (OBJECT, DEBUG, TYPE).
    pub fn peek(&self, key: Key<'_>) -> Option<&Entry> {
        let entry = self.lookup(key)?;
        if entry.is_expired(self.now_ms) {
            self.remember_stale(key);
            return None;
        }
        Some(entry)
    }

    /// The key's entry, as a command reads it: counts a hit or a miss and touches the access clock.
    #[inline]
    pub fn read(&self, key: Key<'_>) -> Option<&Entry> {
        let entry = self.read_alive(key)?;
        if self.reading == 0 {
            self.touch_clock(entry);
        } else {
            self.note_read(entry);
            if self.reading & NO_TOUCH == 0 {
                self.touch_clock(entry);
            }
        }
        Some(entry)
    }

    #[inline]
    fn touch_clock(&self, entry: &Entry) {
        entry.set_clock(access_clock::touched(entry.clock(), self.clock_ms, || self.random.next()));
    }

    /// Counts a read where strings are published that are read often.
    fn note_read(&self, entry: &Entry) {
        // What is published and read under a lock all the same says nothing for staying published.
        if self.reading & COUNTS != 0 && (!entry.is_published() || !self.published.is_empty()) {
            entry.count_read();
            if entry.is_read_often() && !entry.is_published() && entry.kind() == Kind::String {
                self.effects.is_read_often.set(true);
            }
        }
    }

    /// The key's entry, as a command reads it that only asks about the key: counts a hit or a miss.
    #[inline]
    pub fn read_untouched(&self, key: Key<'_>) -> Option<&Entry> {
        let entry = self.read_alive(key)?;
        self.note_read(entry);
        Some(entry)
    }

    #[inline]
    fn read_alive(&self, key: Key<'_>) -> Option<&Entry> {
        let entry = self.lookup(key);
        if let Some(entry) = entry
            && !entry.is_expired(self.now_ms)
        {
            self.effects.hits.set(self.effects.hits.get() + 1);
            return Some(entry);
        }
        if entry.is_some() {
            self.remember_stale(key);
        }
        self.effects.misses.set(self.effects.misses.get() + 1);
        None
    }

    /// Remembers a key whose time has come, or that of a field of it, to be deleted by whoever may, if the view deletes.
    #[inline]
    pub fn remember_stale(&self, key: Key<'_>) {
        if self.overdue == Overdue::Delete {
            self.effects.remember_stale(self.db, key);
        }
    }

    /// Whether the key is there; neither counted nor touched.
    pub fn exists(&self, key: Key<'_>) -> bool {
        self.peek(key).is_some()
    }

    /// The bytes of a string, read.
    #[inline]
    pub fn string(&self, key: Key<'_>) -> Result<Option<&[u8]>, WrongType> {
        match self.read(key) {
            None => Ok(None),
            Some(entry) if entry.kind() == Kind::String => Ok(Some(entry.bytes())),
            Some(_) => Err(WrongType),
        }
    }

    /// A collection, read.
    pub fn collection<T: Collection>(&self, key: Key<'_>) -> Result<Option<&T>, WrongType> {
        match self.read(key) {
            None => Ok(None),
            Some(entry) => entry.collection::<T>().map(Some).ok_or(WrongType),
        }
    }
}
