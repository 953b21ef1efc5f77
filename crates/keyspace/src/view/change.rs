//! Changing a key: what a value is changed, made, taken out and freed by.
//!
//! Who changes a key in place gets its entry; whether the key exists and when it expires is changed through the view alone,
//! which keeps the indexes and counts of the shard right. The caller says afterwards what it was that happened (`report`).

use std::sync::atomic::Ordering::Relaxed;

use super::{ALONE, NO_TOUCH, View, WrongType, publish};
use crate::access_clock;
use crate::effects::EventClass;
use crate::entry::Entry;
use crate::key::Key;
use crate::store::{self, BURIED_BYTES_MIN, LAZYFREE_EFFORT_MIN, PanicAt};
use crate::value::{Collection, Kind, Value};

impl View<'_> {
    /// The key's entry, to change its value in place; none if it has expired. Expiry and existence are
    /// changed through the view, never through the entry. Counts no hit; touches the clock.
    pub fn entry_mut(&mut self, key: Key<'_>) -> Option<&mut Entry> {
        if self.expire_if_due(key) {
            return None;
        }
        let (clock_ms, random, no_touch) = (self.clock_ms, self.random, self.reading & NO_TOUCH != 0);
        let (store, db) = (self.store, self.db);
        let shard = store.shard_of(key.hash);
        self.before_change(shard, key);
        let (table, effects) = self.table_and_effects(shard);
        let (entry, ()) = table.find_mut(key.hash, |(entry, ())| entry.key() == key.bytes)?;
        if !no_touch {
            entry.set_clock(access_clock::touched(entry.clock(), clock_ms, || random.next()));
        }
        if entry.is_published() {
            effects.withdrawn.set(true);
            publish::withdraw_to_edit(store, db, key.hash, entry);
        } else {
            entry.set_read_often(false);
        }
        Some(entry)
    }

    /// A string, to change in place.
    pub fn string_mut(&mut self, key: Key<'_>) -> Result<Option<&mut Entry>, WrongType> {
        match self.entry_mut(key) {
            None => Ok(None),
            Some(entry) if entry.kind() == Kind::String => Ok(Some(entry)),
            Some(_) => Err(WrongType),
        }
    }

    /// A collection, to change.
    pub fn collection_mut<T: Collection>(&mut self, key: Key<'_>) -> Result<Option<&mut T>, WrongType> {
        match self.entry_mut(key) {
            None => Ok(None),
            Some(entry) => entry.collection_mut::<T>().map(Some).ok_or(WrongType),
        }
    }

    /// A collection, to change; made empty if the key is not there. Whoever makes one puts something in, or calls
    /// [`View::remove_if_empty`].
    pub fn collection_or_new<T: Collection>(&mut self, key: Key<'_>) -> Result<&mut T, WrongType> {
        match self.entry_mut(key) {
            Some(entry) if entry.kind() != T::KIND => return Err(WrongType),
            Some(_) => {}
            None => self.insert(key, T::empty().into_value(), None),
        }
        let shard = self.store.shard_of(key.hash);
        let entry = self.table_mut(shard).find_mut(key.hash, |(entry, ())| entry.key() == key.bytes);
        entry.and_then(|(entry, ())| entry.collection_mut::<T>()).ok_or(WrongType)
    }

    /// Stores a string under the key, whatever was there; `expire_at_ms` replaces the old expiry.
    pub fn set_string(&mut self, key: Key<'_>, bytes: &[u8], expire_at_ms: Option<u64>) {
        let shard = self.store.shard_of(key.hash);
        self.before_change(shard, key);
        let (clock_ms, store, db) = (self.clock_ms, self.store, self.db);
        let is_alone = self.reading & ALONE != 0;
        // The common case, an update of a string without expiry on either side, needs one probe and no index.
        let (table, effects) = self.table_and_effects(shard);
        if let Some((entry, ())) = table.find_mut(key.hash, |(entry, ())| entry.key() == key.bytes) {
            if expire_at_ms.is_none() && entry.kind() == Kind::String && entry.expire_at_ms().is_none() {
                let clock = access_clock::touched(entry.clock(), clock_ms, || 0);
                if !entry.is_published() {
                    entry.set_bytes(bytes);
                    entry.renew_clock(clock);
                    return;
                }
                // The one who reads it without a lock may be who writes.
                if !is_alone || !entry.set_bytes_in_place(bytes) {
                    publish::withdraw_for(store, db, key.hash, entry, Entry::string(key.bytes, bytes, None));
                    effects.withdrawn.set(true);
                }
                entry.set_clock(clock);
                return;
            }
            self.insert_entry(key, Entry::string(key.bytes, bytes, expire_at_ms));
        } else {
            self.insert_entry(key, Entry::string(key.bytes, bytes, expire_at_ms));
        }
    }

    /// Stores a value under the key, whatever was there.
    pub fn insert(&mut self, key: Key<'_>, value: Value, expire_at_ms: Option<u64>) {
        self.insert_entry(key, Entry::new(key.bytes, value, expire_at_ms));
    }

    fn insert_entry(&mut self, key: Key<'_>, new: Entry) {
        if self.expire_if_due(key) {
            self.drop_hidden(key);
        }
        let shard = self.store.shard_of(key.hash);
        self.before_change(shard, key);
        new.set_clock(access_clock::new_clock(self.clock_ms));
        let (expire_at_ms, kind) = (new.expire_at_ms(), new.kind());
        let (table, effects) = self.table_and_effects(shard);
        let found = table.find_mut(key.hash, |(entry, ())| entry.key() == key.bytes);
        if let Some((entry, ())) = found {
            if entry.is_published() {
                new.set_read_often(entry.is_read_often());
                effects.withdrawn.set(true);
            }
            let old = entry.replace(new);
            self.index_expiry(shard, key.hash, old.expire_at_ms(), expire_at_ms);
            self.free(old);
        } else {
            let table = self.table_to_fill(shard);
            let has_moved = store::insert_unique(table, key.hash, new);
            let len = table.len();
            if has_moved {
                self.layout_changed(shard);
            }
            self.store.set_keys(self.db, shard, len);
            self.index_expiry(shard, key.hash, None, expire_at_ms);
            self.notify(EventClass::NEW, "new", key.bytes);
            if self.store.creation_listeners.load(Relaxed) != 0 {
                self.note_creation(shard, key, kind != Kind::String);
            }
        }
    }

    /// Takes away a key that has expired and is only hidden, for another takes its place.
    #[cold]
    fn drop_hidden(&mut self, key: Key<'_>) {
        if let Some(entry) = self.take(key) {
            self.free(entry);
        }
    }

    /// Must precede each change of a key: a snapshot under way wants it as it was, and a command that fails half-way must
    /// know that it has begun.
    #[inline]
    pub(crate) fn before_change(&mut self, shard: usize, key: Key<'_>) {
        if self.store.notices.load(Relaxed) != 0 {
            self.notice_change(shard, key);
        }
        self.effects.touch();
    }

    #[cold]
    fn notice_change(&mut self, shard: usize, key: Key<'_>) {
        self.store.strike(PanicAt::BeforeChange);
        self.preserve(shard, key);
    }

    pub(crate) fn layout_changed(&mut self, shard: usize) {
        let state = self.state_mut(shard);
        state.layout_version = state.layout_version.wrapping_add(1);
    }

    /// Takes the key out, expired or not, to be freed: readers without a lock may have it.
    pub(crate) fn take(&mut self, key: Key<'_>) -> Option<Entry> {
        let shard = self.store.shard_of(key.hash);
        self.before_change(shard, key);
        let table = self.table_mut(shard);
        let found = table.find_entry(key.hash, |(entry, ())| entry.key() == key.bytes).ok()?;
        let ((entry, ()), _) = found.remove();
        let table = self.table_mut(shard);
        let len = table.len();
        // Shrunk when an eighth is used: far enough from growth that a key more or less moves nothing.
        if table.capacity() > 64 && len < table.capacity() / 8 {
            store::resize(table, len * 2);
            self.layout_changed(shard);
        }
        self.store.set_keys(self.db, shard, len);
        self.index_expiry(shard, key.hash, entry.expire_at_ms(), None);
        Some(entry)
    }

    /// Gives back what the shard's table has beyond four times its keys, where a deletion is there to make room.
    pub(crate) fn shrink_table(&mut self, shard: usize) {
        let table = self.table_mut(shard);
        let len = table.len();
        if table.capacity() > len * 4 {
            store::resize(table, len * 2);
            self.layout_changed(shard);
        }
    }

    /// Takes the key out, with its value (RENAME, MOVE). The caller reports the change.
    pub fn remove(&mut self, key: Key<'_>) -> Option<Entry> {
        let entry = self.take_alive(key)?;
        Some(if entry.is_published() { self.withdraw_to_keep(entry) } else { entry })
    }

    fn take_alive(&mut self, key: Key<'_>) -> Option<Entry> {
        if self.expire_if_due(key) {
            return None;
        }
        let entry = self.take(key)?;
        if self.store.change_listeners.load(Relaxed) != 0 {
            self.note_removal(key);
        }
        Some(entry)
    }

    /// Deletes the key and frees it, what is big elsewhere; whether it was there. The caller reports the change.
    pub fn delete(&mut self, key: Key<'_>) -> bool {
        match self.take_alive(key) {
            Some(entry) => {
                self.free(entry);
                true
            }
            None => false,
        }
    }

    /// Deletes the key if its collection has become empty, with the event `del`; whether it did.
    pub fn remove_if_empty<T: Collection>(&mut self, key: Key<'_>) -> bool {
        let is_empty = self.lookup(key).and_then(Entry::collection::<T>).is_some_and(T::is_empty);
        if is_empty {
            self.delete(key);
            self.notify(EventClass::GENERIC, "del", key.bytes);
        }
        is_empty
    }

    pub(crate) fn free(&self, entry: Entry) {
        if entry.is_published() {
            self.withdraw(entry);
        } else if entry.kind() != Kind::String && entry.effort() > LAZYFREE_EFFORT_MIN
            || entry.bytes().len() > BURIED_BYTES_MIN
        {
            self.store.bury(Box::new(entry));
        }
    }

    /// Frees a value, what is big elsewhere.
    pub fn free_value(&self, value: Value) {
        if value.effort() > LAZYFREE_EFFORT_MIN {
            self.store.bury(Box::new(value));
        }
    }
}
