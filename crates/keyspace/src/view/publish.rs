//! Publishing: strings that are read without a lock, see `published`.

use super::{Access, Covered, View};
use crate::effects::Effects;
use crate::entry::{EMBEDDED_BYTES_MAX, Entry};
use crate::hashing;
use crate::key::Key;
use crate::published::PublishedEntry;
use crate::random::Random;
use crate::store::{BURIED_BYTES_MIN, Store};
use crate::value::Kind;

impl<'a> View<'a> {
    /// A view of what a reader has found without a lock, and of nothing else: for commands that read these keys alone.
    #[inline]
    pub fn of_published(
        store: &'a Store,
        found: &'a [PublishedEntry<'a>],
        db: usize,
        now_ms: u64,
        random: &'a Random,
        effects: &'a mut Effects,
    ) -> Self {
        debug_assert!(!found.is_empty());
        // SAFETY: no shard is covered.
        let view = unsafe { Self::new(store, Covered::None, Access::Read, db, now_ms, random, effects) };
        Self { published: found, ..view }
    }

    /// A key that was found.
    #[inline(never)]
    pub(super) fn lookup_published(&self, key: Key<'_>) -> Option<&Entry> {
        // A command with one key reaches for no other.
        let found = match self.published {
            [one] => Some(one),
            several => several.iter().find(|entry| entry.key() == key.bytes),
        };
        assert!(found.is_some(), "a command reached for a key that its plan does not name");
        debug_assert!(found.is_none_or(|entry| entry.key() == key.bytes));
        found.map(|entry| &**entry)
    }

    /// Lets the string at a key be read without a lock until it is next changed, if it is read often, and lies in its key's block or no
    /// more of it than `read` bytes: a change will have to copy what is published. A step of its own, behind a command that has read it: the command that
    /// changed the key has done all that it does. Needs the shard exclusively. O(1).
    pub fn publish(&mut self, key: Key<'_>, read: usize) {
        let (store, db, now_ms) = (self.store, self.db, self.now_ms);
        let Some(published) = &store.published else { return };
        let shard = store.shard_of(key.hash);
        let table = self.table_mut(shard);
        if let Some((entry, ())) = table.find_mut(key.hash, |(entry, ())| entry.key() == key.bytes)
            && entry.kind() == Kind::String
            && !entry.is_published()
            && !entry.is_expired(now_ms)
            && entry.bytes().len() <= read.clamp(EMBEDDED_BYTES_MAX, BURIED_BYTES_MIN)
            && entry.is_read_often()
        {
            published.publish(db, shard, key.hash, entry);
        }
    }

    /// Takes what is to be freed out of what is published.
    #[cold]
    pub(super) fn withdraw(&self, entry: Entry) {
        if let Some(published) = &self.store.published {
            let hash = hashing::key_hash(entry.key());
            published.withdraw(self.db, self.store.shard_of(hash), hash, entry);
        }
    }

    /// A copy of what has left its table, to go on with; readers keep the old block.
    #[cold]
    pub(super) fn withdraw_to_keep(&self, entry: Entry) -> Entry {
        let copy = entry.duplicate();
        self.withdraw(entry);
        copy
    }
}

/// Puts a copy of a string in its place in the table, to change it; readers keep the old block.
#[cold]
pub(super) fn withdraw_to_edit(store: &Store, db: usize, hash: u64, entry: &mut Entry) {
    let copy = entry.duplicate();
    withdraw_for(store, db, hash, entry, copy);
}

/// Puts another string in its place in the table; readers keep the old block. If that was read often, so will the new one be.
pub(super) fn withdraw_for(store: &Store, db: usize, hash: u64, entry: &mut Entry, new: Entry) {
    new.set_read_often(entry.is_read_often());
    let old = entry.replace(new);
    if let Some(published) = &store.published {
        published.withdraw(db, store.shard_of(hash), hash, old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::{Readers, ReadingStamp};
    use crate::{Bank, PublishedEntry};

    /// One who reads all the time.
    struct AlwaysReading;

    impl Readers for AlwaysReading {
        fn reading(&self, now: &mut Vec<ReadingStamp>) {
            now.push(ReadingStamp { reader: 0, stamp: 1 });
        }

        fn has_left(&self, _: ReadingStamp) -> bool {
            false
        }
    }

    const KEY: Key<'_> = Key { bytes: b"key", hash: 0 };

    fn key() -> Key<'static> {
        Key::new(KEY.bytes)
    }

    fn find(store: &Store, db: usize) -> Option<PublishedEntry<'_>> {
        // SAFETY: nothing is freed, for there is always somebody who reads.
        unsafe { store.find_published(db, key()) }
    }

    /// Reads the key as often as it takes.
    fn read(view: &mut View<'_>, bytes: usize) {
        (0..3).for_each(|_| _ = view.read(key()));
        view.publish(key(), bytes);
    }

    /// Publishes a string and makes a change; what a reader had found must stay as it was, and nothing be found any more.
    fn check(value: &[u8], expire_at_ms: Option<u64>, change: impl FnOnce(&mut View<'_>)) {
        let mut store = Store::new(2, 3, Bank::new(2), Box::new(|| Bank::new(2)));
        store.publish_to(Box::new(AlwaysReading));
        let (random, mut effects) = (Random::new(7), Effects::default());
        // SAFETY: nobody else has the store.
        let mut view = unsafe { View::new(&store, Covered::All, Access::Write, 0, 1, &random, &mut effects) };
        view.set_string(key(), value, expire_at_ms);
        assert!(find(&store, 0).is_none(), "nothing is published by being written");
        read(&mut view, value.len());
        assert_eq!(store.published_report().keys, 1);
        let found = find(&store, 0).expect("it is published");
        change(&mut view);
        assert!(find(&store, 0).is_none(), "what was changed is not published");
        assert_eq!((found.bytes(), found.key(), found.expire_at_ms()), (value, KEY.bytes, expire_at_ms));
        assert_eq!(store.published_report().keys, 0);
        // It can be published again, with what it has now.
        read(&mut view, usize::MAX);
        assert_eq!(
            find(&store, 0).map(|found| found.bytes().to_vec()),
            view.lookup(key()).map(|entry| entry.bytes().to_vec())
        );
    }

    #[test]
    fn what_was_found_stays_whatever_becomes_of_the_key() {
        for value in [&b"value"[..], &[b'v'; 1024], &[b'v'; 5000]] {
            for expire_at_ms in [None, Some(50)] {
                check(value, expire_at_ms, |view| view.set_string(key(), b"other", None));
                check(value, expire_at_ms, |view| view.set_string(key(), b"other", Some(70)));
                check(value, expire_at_ms, |view| assert!(view.delete(key())));
                check(value, expire_at_ms, |view| assert!(view.set_expiry(key(), Some(60))));
                check(value, expire_at_ms, |view| {
                    view.entry_mut(key()).expect("it is there").append(b"more")
                });
                check(value, expire_at_ms, |view| {
                    let entry = view.entry_mut(key()).expect("it is there");
                    entry.bytes_mut()[0] = b'w';
                });
                check(value, expire_at_ms, |view| {
                    let removed = view.remove(key()).expect("it is there");
                    assert!(!removed.is_published());
                    view.insert(key(), removed.into_value(), None);
                });
                check(value, expire_at_ms, |view| _ = view.evict(key()));
            }
            check(value, Some(50), |view| {
                view.set_now_ms(60);
                assert!(view.expire_if_due(key()));
            });
        }
    }

    #[test]
    fn the_only_reader_overwrites_in_place() {
        let mut store = Store::new(2, 1, Bank::new(2), Box::new(|| Bank::new(2)));
        store.publish_to(Box::new(AlwaysReading));
        let (random, mut effects) = (Random::new(7), Effects::default());
        // SAFETY: nobody else has the store.
        let mut view = unsafe { View::new(&store, Covered::All, Access::Write, 0, 1, &random, &mut effects) };
        // SAFETY: as above.
        unsafe { view.be_alone() };
        view.set_string(key(), b"value", None);
        read(&mut view, 0);
        view.set_string(key(), b"other", None);
        assert_eq!(find(&store, 0).map(|found| found.bytes().to_vec()), Some(b"other".to_vec()));
        assert_eq!(store.published_report().retired, 0);
        view.set_string(key(), &[b'v'; 100], None);
        assert!(find(&store, 0).is_none(), "a block of another size is another block");
        assert_eq!(store.published_report().retired, 1);
    }

    #[test]
    fn databases_change_places_with_what_is_published() {
        let mut store = Store::new(2, 3, Bank::new(2), Box::new(|| Bank::new(2)));
        store.publish_to(Box::new(AlwaysReading));
        let (random, mut effects) = (Random::new(7), Effects::default());
        // SAFETY: nobody else has the store.
        let mut view = unsafe { View::new(&store, Covered::All, Access::Write, 2, 1, &random, &mut effects) };
        view.set_string(key(), b"value", None);
        read(&mut view, 0);
        view.swap_databases(2, 1);
        assert!(find(&store, 1).is_some() && find(&store, 2).is_none());
        view.select(1);
        view.set_string(key(), b"other", None);
        assert!(find(&store, 1).is_none());
    }

    #[test]
    fn an_emptied_database_has_nothing_published() {
        let mut store = Store::new(2, 1, Bank::new(2), Box::new(|| Bank::new(2)));
        store.publish_to(Box::new(AlwaysReading));
        let (random, mut effects) = (Random::new(7), Effects::default());
        // SAFETY: nobody else has the store.
        let mut view = unsafe { View::new(&store, Covered::All, Access::Write, 0, 1, &random, &mut effects) };
        view.set_string(key(), b"value", None);
        read(&mut view, 0);
        view.clear();
        assert!(find(&store, 0).is_none());
        let report = store.published_report();
        assert_eq!((report.keys, report.index_bytes), (0, 0));
    }

    #[test]
    fn what_a_change_would_have_to_copy_is_read_under_a_lock() {
        let mut store = Store::new(2, 1, Bank::new(2), Box::new(|| Bank::new(2)));
        store.publish_to(Box::new(AlwaysReading));
        let (random, mut effects) = (Random::new(7), Effects::default());
        // SAFETY: nobody else has the store.
        let mut view = unsafe { View::new(&store, Covered::All, Access::Write, 0, 1, &random, &mut effects) };
        view.set_string(key(), &[b'v'; 5000], None);
        read(&mut view, 100);
        assert!(find(&store, 0).is_none());
        read(&mut view, 5000);
        assert!(find(&store, 0).is_some());
        view.set_string(key(), &[b'v'; (1 << 20) + 1], None);
        read(&mut view, usize::MAX);
        assert!(find(&store, 0).is_none(), "a megabyte is the most");
    }
}
