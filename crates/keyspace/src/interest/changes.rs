//! What becomes of keys: who must be told of it, and the list of all changes.
//!
//! A command reports each change once, and here it goes on to whom it concerns: who watches the key, who waits for a change of
//! it, and, while somebody has asked for it, a list of all that has changed. The list is for those who must miss nothing:
//! clients that track keys, copies for readers without a lock, a slot on its way to another node. So it begins and ends under a
//! view of everything. While nobody listens a write asks one word, which it asked for its watchers already.

use std::sync::atomic::Ordering::Relaxed;

use crate::interest::fate::{Change, Fate};
use crate::key::Key;
use crate::store::PanicAt;
use crate::view::{Access, Covered, View};

impl View<'_> {
    /// Tells whom it concerns what has become of the key. [`Fate::Written`] may also be said of a key that is gone.
    #[inline]
    pub(crate) fn note(&mut self, key: Key<'_>, fate: Fate) {
        if self.store().change_listeners.load(Relaxed) != 0 {
            self.tell(key, fate);
        }
    }

    #[cold]
    fn tell(&mut self, key: Key<'_>, fate: Fate) {
        self.store().strike(PanicAt::AfterChange);
        self.touch_watchers(key);
        if self.store().change_waits.load(Relaxed) != 0 || self.lists_changes() {
            let is_gone = fate == Fate::Written && self.lookup(key).is_none();
            self.list_key(key, if is_gone { Fate::Deleted } else { fate });
        }
    }

    /// Lists a key that was taken out, which may be half of what a command does to it (RENAME's destination), and signals it to who
    /// waits for that. Watchers are told when the command reports what it did.
    #[cold]
    pub(crate) fn note_removal(&mut self, key: Key<'_>) {
        self.list_key(key, Fate::Deleted);
    }

    fn list_key(&mut self, key: Key<'_>, fate: Fate) {
        if self.lists_changes() {
            self.list(Change::Key((self.db() as u32, key.bytes.into()), fate));
        }
        if self.store().change_waits.load(Relaxed) != 0 {
            self.signal_change(key, fate);
        }
    }

    /// Signals the key to who waits for it to be written.
    pub(crate) fn signal_written(&mut self, key: Key<'_>) {
        if self.store().change_waits.load(Relaxed) != 0 {
            self.signal_change(key, Fate::Written);
        }
    }

    /// Lists a key that came into being, and signals it to those who wait for that; what has no elements serves nobody.
    pub(crate) fn note_creation(&mut self, shard: usize, key: Key<'_>, has_elements: bool) {
        if has_elements {
            self.signal_ready(shard, key);
        }
        if self.lists_changes() {
            self.list(Change::Key((self.db() as u32, key.bytes.into()), Fate::Created));
        }
    }

    /// Lists a change of whole databases.
    pub(crate) fn note_whole(&mut self, change: Change) {
        if self.lists_changes() {
            self.list(change);
        }
    }

    fn list(&mut self, change: Change) {
        self.effects.leave();
        self.effects.changes.push(change);
    }

    fn lists_changes(&self) -> bool {
        self.store().listings.load(Relaxed) != 0
    }

    /// Has all changes listed from now on, in the effects of each view ([`Effects::take_changes`](crate::Effects::take_changes)),
    /// until as many [`View::end_listing`] have followed. The view covers everything, so that no change is listed in part.
    pub fn begin_listing(&mut self) {
        self.assert_everything();
        let store = self.store();
        for count in [&store.listings, &store.change_listeners, &store.creation_listeners] {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Ends what [`View::begin_listing`] began.
    pub fn end_listing(&mut self) {
        self.assert_everything();
        let store = self.store();
        for count in [&store.listings, &store.change_listeners, &store.creation_listeners] {
            count.fetch_sub(1, Relaxed);
        }
    }

    fn assert_everything(&self) {
        assert!(
            self.covered() == Covered::All && self.access() == Access::Write,
            "a list of changes begins and ends under a view of everything"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bank, Effects, EventClass, Random, Store};

    fn check(run: impl FnOnce(&mut View<'_>), expected: &[Change]) {
        let store = Store::new(2, 3, Bank::new(2), Box::new(|| Bank::new(2)));
        let (random, mut effects) = (Random::new(7), Effects::default());
        // SAFETY: nobody else has the store.
        let mut view =
            unsafe { View::new(&store, Covered::All, Access::Write, 0, 100, &random, &mut effects) };
        view.set_string(Key::new(b"old"), b"1", None);
        view.changed(Key::new(b"old"), EventClass::STRING, "set");
        view.set_string(Key::new(b"passing"), b"1", Some(150));
        view.changed(Key::new(b"passing"), EventClass::STRING, "set");
        assert!(view.effects.take_changes().is_empty(), "nobody has asked for a list");
        view.begin_listing();
        view.set_now_ms(200);
        run(&mut view);
        assert_eq!(view.effects.take_changes(), expected);
        view.end_listing();
        view.delete(Key::new(b"old"));
        view.changed(Key::new(b"old"), EventClass::GENERIC, "del");
        assert!(view.effects.take_changes().is_empty());
    }

    fn of(key: &[u8], fate: Fate) -> Change {
        Change::Key((0, key.into()), fate)
    }

    fn set(view: &mut View<'_>, key: &[u8]) {
        view.set_string(Key::new(key), b"2", None);
        view.changed(Key::new(key), EventClass::STRING, "set");
    }

    fn delete(view: &mut View<'_>, key: &[u8]) {
        if view.delete(Key::new(key)) {
            view.changed(Key::new(key), EventClass::GENERIC, "del");
        }
    }

    #[test]
    fn each_key_is_listed_once_with_what_became_of_it() {
        check(|view| set(view, b"new"), &[of(b"new", Fate::Created)]);
        check(|view| set(view, b"old"), &[of(b"old", Fate::Written)]);
        check(|view| delete(view, b"old"), &[of(b"old", Fate::Deleted)]);
        check(|view| _ = view.expire_if_due(Key::new(b"passing")), &[of(b"passing", Fate::Expired)]);
        check(|view| _ = view.evict(Key::new(b"old")), &[of(b"old", Fate::Evicted)]);
    }

    #[test]
    fn what_happens_to_a_key_in_turn_comes_to_one_fate() {
        let again = |view: &mut View<'_>| {
            delete(view, b"old");
            set(view, b"old");
        };
        check(again, &[of(b"old", Fate::Written)]);
        let in_vain = |view: &mut View<'_>| {
            set(view, b"new");
            set(view, b"old");
            delete(view, b"new");
        };
        check(in_vain, &[of(b"old", Fate::Written)]);
        let thrice = |view: &mut View<'_>| {
            set(view, b"new");
            delete(view, b"new");
            set(view, b"new");
            set(view, b"new");
        };
        check(thrice, &[of(b"new", Fate::Created)]);
        let renewed = |view: &mut View<'_>| set(view, b"passing");
        check(renewed, &[of(b"passing", Fate::Written)]);
        let gone = |view: &mut View<'_>| {
            set(view, b"passing");
            delete(view, b"passing");
        };
        check(gone, &[of(b"passing", Fate::Deleted)]);
    }

    #[test]
    fn whole_databases_are_told_as_such() {
        let swapped_and_emptied = |view: &mut View<'_>| {
            set(view, b"old");
            view.swap_databases(0, 2);
            set(view, b"old");
            view.select(2);
            view.clear();
            view.clear();
            view.select(0);
            delete(view, b"old");
        };
        let expected = [
            of(b"old", Fate::Written),
            Change::Swapped(0, 2),
            of(b"old", Fate::Created),
            Change::Emptied(2),
            // Also where there was nothing.
            Change::Emptied(2),
            of(b"old", Fate::Deleted),
        ];
        check(swapped_and_emptied, &expected);
    }
}
