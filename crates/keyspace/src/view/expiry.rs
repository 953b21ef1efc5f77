//! Expiry: keys, and fields of hashes, whose time has come.
//!
//! An index per shard and database knows what is due next, so nothing is sampled. A writer deletes what it meets; a write's
//! sources go before it looks at them, and its journal entry finds the deletions before it.
//!
//! Not everybody may delete: see [`Overdue`]. The test is made where something overdue was found, so that what is not pays
//! nothing for it. To keep everything is to take the time 0 for now, in the view and nowhere else.

use crate::effects::EventClass;
use crate::entry::Entry;
use crate::expiry_index::Expiry;
use crate::hashing;
use crate::interest::fate::Fate;
use crate::key::Key;
use crate::value::Kind;
use crate::view::View;
use crate::view::overdue::Overdue;

impl View<'_> {
    /// Sets or clears the key's expiry; whether the key is there. The caller reports the change.
    pub fn set_expiry(&mut self, key: Key<'_>, expire_at_ms: Option<u64>) -> bool {
        let Some(entry) = self.entry_mut(key) else { return false };
        let old = entry.expire_at_ms();
        entry.set_expire_at_ms(expire_at_ms);
        let shard = self.store.shard_of(key.hash);
        self.index_expiry(shard, key.hash, old, expire_at_ms);
        true
    }

    pub(crate) fn index_expiry(&mut self, shard: usize, hash: u64, old: Option<u64>, new: Option<u64>) {
        if old == new {
            return;
        }
        let db = self.db;
        let index = &mut self.state_mut(shard).expiries;
        if let Some(at_ms) = new {
            index.insert(db, Expiry { at_ms, hash });
        }
        if let Some(at_ms) = old {
            index.remove(db, Expiry { at_ms, hash });
        }
        let len = index.len(db);
        self.store.set_expiring_keys(db, shard, len);
        if let Some(new) = new
            && new < self.store.next_expiry_ms(shard)
        {
            self.store.set_next_expiry_ms(shard, new);
        }
    }

    /// Remembers that a field of the hash expires at `at_ms`, so that it goes without being asked for.
    pub fn track_field_expiry(&mut self, key: Key<'_>, at_ms: u64) {
        let (db, shard) = (self.db, self.store.shard_of(key.hash));
        self.state_mut(shard).field_expiries.insert(db, Expiry { at_ms, hash: key.hash });
        if at_ms < self.store.next_expiry_ms(shard) {
            self.store.set_next_expiry_ms(shard, at_ms);
        }
    }

    /// Deletes the key if its time has come; whether it has: then the key is not there.
    #[inline]
    pub fn expire_if_due(&mut self, key: Key<'_>) -> bool {
        match self.lookup(key) {
            Some(entry) if entry.is_expired(self.now_ms) => {
                self.expire(key);
                true
            }
            _ => false,
        }
    }

    /// Deletes the key, and fields of it, if their time has come: what a write reads is gone before it looks, so that its
    /// replay, in which nothing expires by itself, finds the same. O(1) without a look at the key as long as nothing is due in
    /// its shard.
    #[inline]
    pub fn expire_ahead(&mut self, key: Key<'_>) {
        if self.store.next_expiry_ms(self.store.shard_of(key.hash)) <= self.now_ms {
            self.expire_due_of(key);
        }
    }

    #[cold]
    fn expire_due_of(&mut self, key: Key<'_>) {
        if !self.expire_if_due(key) {
            self.expire_fields(key);
        }
    }

    /// Deletes what a write has found expired without having named it (SORT's patterns), before the write is journalled.
    #[cold]
    pub fn expire_found(&mut self) {
        let selected = self.db;
        let found = std::mem::take(self.effects.stale.get_mut());
        for (db, bytes) in found {
            let key = Key::new(&bytes);
            self.db = db as usize;
            if self.covered().has(self.store.shard_of(key.hash)) {
                self.expire_due_of(key);
            } else {
                self.effects.stale.get_mut().push((db, bytes));
            }
        }
        self.db = selected;
    }

    #[cold]
    fn expire(&mut self, key: Key<'_>) {
        if self.overdue != Overdue::Delete {
            return;
        }
        if let Some(entry) = self.take(key) {
            self.free(entry);
            self.effects.expired_keys += 1;
            self.effects.leave();
            self.effects.expired.push((self.db as u32, key.bytes.into()));
            self.note(key, Fate::Expired);
            self.notify(EventClass::EXPIRED, "expired", key.bytes);
        }
    }

    /// Deletes what has expired in `shard`, in all databases, at most `limit` keys; how many, and whether more is due.
    /// Nothing in a view that does not delete. O(log n) a key.
    pub fn expire_shard(&mut self, shard: usize, limit: usize) -> (usize, bool) {
        if self.overdue != Overdue::Delete {
            return (0, false);
        }
        let selected = self.db;
        let mut expired = 0;
        let state = self.state(shard);
        let mut databases: smallvec::SmallVec<[usize; 8]> =
            state.expiries.databases().chain(state.field_expiries.databases()).collect();
        databases.sort_unstable();
        databases.dedup();
        for db in databases {
            self.db = db;
            expired += self.expire_due(shard, limit.saturating_sub(expired));
            expired += self.expire_fields_due(shard, limit.saturating_sub(expired));
        }
        self.db = selected;
        let state = self.state(shard);
        let next = [state.expiries.next_ms(), state.field_expiries.next_ms()].into_iter().flatten().min();
        let next = next.unwrap_or(u64::MAX);
        self.store.set_next_expiry_ms(shard, next);
        (expired, next <= self.now_ms)
    }

    fn expire_due(&mut self, shard: usize, limit: usize) -> usize {
        let mut expired = 0;
        while expired < limit {
            let Some(due) = self.state(shard).expiries.first_due(self.db, self.now_ms) else { break };
            let Expiry { at_ms, hash } = due;
            let found = self.table(shard).iter_hash(hash).find(|(entry, ())| {
                entry.expire_at_ms() == Some(at_ms) && hashing::key_hash(entry.key()) == hash
            });
            match found.map(|(entry, ())| entry.key().to_vec()) {
                Some(bytes) => self.expire(Key { bytes: &bytes, hash }),
                None => {
                    debug_assert!(false, "the index of expiries names a key that is not there");
                    let db = self.db;
                    self.state_mut(shard).expiries.remove(db, due);
                }
            }
            expired += 1;
        }
        expired
    }

    fn expire_fields_due(&mut self, shard: usize, limit: usize) -> usize {
        let db = self.db;
        let mut expired = 0;
        while expired < limit {
            let Some(due) = self.state(shard).field_expiries.first_due(db, self.now_ms) else { break };
            self.state_mut(shard).field_expiries.remove(db, due);
            let hash = due.hash;
            let keys: Vec<Vec<u8>> = self
                .table(shard)
                .iter_hash(hash)
                .filter(|(entry, ())| entry.kind() == Kind::Hash && hashing::key_hash(entry.key()) == hash)
                .map(|(entry, ())| entry.key().to_vec())
                .collect();
            for bytes in keys {
                expired += self.expire_fields_of(Key { bytes: &bytes, hash });
            }
            expired += 1;
        }
        expired
    }

    /// Removes the fields of a hash whose time has come, and the key if none is left; how many fields went. O(1) without a
    /// look at the key as long as nothing is due in its shard.
    #[inline]
    pub fn expire_fields(&mut self, key: Key<'_>) -> usize {
        let index = &self.state(self.store.shard_of(key.hash)).field_expiries;
        if index.first_due(self.db, self.now_ms).is_none() {
            return 0;
        }
        self.expire_fields_of(key)
    }

    #[cold]
    fn expire_fields_of(&mut self, key: Key<'_>) -> usize {
        if self.overdue != Overdue::Delete {
            return 0;
        }
        let now_ms = self.now_ms;
        let Some(hash) = self.entry_mut(key).and_then(Entry::collection_mut::<crate::types::hash::Hash>)
        else {
            return 0;
        };
        if hash.next_expiry().is_none_or(|at| at > now_ms) {
            return 0;
        }
        let mut fields: Vec<Vec<u8>> = Vec::new();
        hash.expire_fields(now_ms, |field| fields.push(field.to_vec()));
        let next = hash.next_expiry();
        if let Some(at_ms) = next {
            self.track_field_expiry(key, at_ms);
        }
        let count = fields.len();
        self.effects.expired_fields += count as u64;
        self.effects.leave();
        self.effects.expired_fields_of.push(((self.db as u32, key.bytes.into()), fields));
        self.note(key, Fate::Written);
        self.notify(EventClass::HASH, "hexpired", key.bytes);
        self.remove_if_empty::<crate::types::hash::Hash>(key);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::hash::Hash;
    use crate::{Access, Bank, Covered, Effects, Random, Store};

    const KEY: &[u8] = b"key";
    const HASH: &[u8] = b"hash";

    /// A view at the time 100 of a string that expired at 50 and a hash of which a field has.
    fn check(overdue: Overdue, check: impl FnOnce(&mut View<'_>)) {
        let store = Store::new(2, 1, Bank::new(2), Box::new(|| Bank::new(2)));
        let (random, mut effects) = (Random::new(7), Effects::default());
        // SAFETY: nobody else has the store.
        let mut view = unsafe { View::new(&store, Covered::All, Access::Write, 0, 1, &random, &mut effects) };
        view.set_string(Key::new(KEY), b"value", Some(50));
        let hash: Option<&mut Hash> = view.collection_or_new(Key::new(HASH)).ok();
        let hash = hash.expect("the key is new");
        hash.set(b"passing", b"1");
        hash.set(b"lasting", b"2");
        hash.set_field_expiry(b"passing", Some(50));
        view.track_field_expiry(Key::new(HASH), 50);
        view.set_overdue(overdue);
        view.set_now_ms(100);
        check(&mut view);
    }

    fn fields(view: &View<'_>) -> usize {
        view.lookup(Key::new(HASH)).and_then(Entry::collection::<Hash>).map_or(0, Hash::len)
    }

    fn shown(view: &View<'_>) -> usize {
        let (mut walked, mut scanned) = (0, 0);
        view.for_each(|_| walked += 1);
        view.scan(0, 10, |_| scanned += 1);
        assert_eq!(walked, scanned);
        walked
    }

    #[test]
    fn what_is_overdue_is_deleted() {
        check(Overdue::Delete, |view| {
            assert_eq!((view.exists(Key::new(KEY)), shown(view), view.len()), (false, 1, 2));
            // By who asked for it, and by SCAN.
            assert_eq!(view.effects.stale.borrow().len(), 2);
            assert!(view.entry_mut(Key::new(KEY)).is_none() && view.lookup(Key::new(KEY)).is_none());
            assert_eq!((view.expire_fields(Key::new(HASH)), fields(view)), (1, 1));
            assert_eq!((view.effects.expired.len(), view.effects.expired_fields_of.len()), (1, 1));
        });
        check(Overdue::Delete, |view| {
            let (first, _) = view.expire_shard(0, 10);
            let (second, _) = view.expire_shard(1, 10);
            assert!(first + second >= 2 && view.len() == 1 && fields(view) == 1);
        });
    }

    #[test]
    fn what_is_overdue_is_hidden() {
        check(Overdue::Hide, |view| {
            let key = Key::new(KEY);
            assert!(!view.exists(key) && view.read(key).is_none() && view.entry_mut(key).is_none());
            assert!(view.remove(key).is_none() && !view.delete(key) && !view.set_expiry(key, None));
            view.expire_ahead(key);
            assert_eq!((view.expire_shard(0, 10), view.expire_shard(1, 10)), ((0, false), (0, false)));
            assert_eq!((view.expire_fields(Key::new(HASH)), fields(view)), (0, 2));
            assert_eq!((shown(view), view.len(), view.store().expiring_keys(0)), (1, 2, 1));
            assert!(view.effects.stale.borrow().is_empty() && !view.effects.has_expired());
            view.set_string(key, b"new", None);
            assert_eq!((view.string(key), view.store().expiring_keys(0)), (Ok(Some(&b"new"[..])), 0));
            assert!(!view.effects.has_expired(), "nobody was told of a deletion");
        });
    }

    #[test]
    fn what_is_overdue_is_kept() {
        check(Overdue::Keep, |view| {
            let key = Key::new(KEY);
            assert!(view.exists(key) && view.entry_mut(key).is_some());
            assert_eq!((view.now_ms(), view.clock_ms()), (0, 100));
            view.expire_ahead(key);
            assert_eq!((view.expire_shard(0, 10), view.expire_shard(1, 10)), ((0, false), (0, false)));
            assert_eq!((view.expire_fields(Key::new(HASH)), fields(view), shown(view)), (0, 2, 2));
            assert!(view.effects.stale.borrow().is_empty() && !view.effects.has_expired());
            assert!(view.delete(key) && !view.exists(key));
            view.set_overdue(Overdue::Delete);
            assert_eq!(view.now_ms(), 100);
        });
    }
}
