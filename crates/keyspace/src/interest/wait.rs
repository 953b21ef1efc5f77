//! Waiting for a key: the queues of a shard, and who is told when the key comes into being, is written or is gone.
//!
//! A queue belongs to the key's shard, so it is changed under a view like the key itself and no wake-up is lost. Who waits is
//! the server's own type; here it is only queued. A client may wait for a million keys and a million clients for one: what a
//! write asks for its key depends on neither number.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::interest::fate::{DbKey, Fate};
use crate::interest::queue::{Place, Ready, Waiter};
use crate::key::Key;
use crate::view::{Covered, View};

impl View<'_> {
    /// Queues a waiter for the key. It may be queued for a key once.
    pub fn wait_for(&mut self, key: Key<'_>, waiter: Arc<dyn Waiter>) {
        let (db, ticket) = (self.db() as u32, waiter.ticket());
        let store = self.store();
        let state = self.state_mut(store.shard_of(key.hash));
        let queue = state.waiters.get_or_default(key);
        let at = queue.from(db, ticket);
        if queue.places.get(at).is_some_and(|place| (place.db, place.ticket) == (db, ticket)) {
            return;
        }
        store.waited_keys.fetch_add(usize::from(!queue.has(db)), Relaxed);
        let far = usize::from(waiter.needs_more_keys());
        queue.far += far;
        store.far_waited.fetch_add(far, Relaxed);
        let on_change = usize::from(waiter.wakes_on().are_of_changes());
        queue.on_change += on_change;
        queue.places.insert(at, Place { db, ticket, waiter });
        for count in [&store.waited, &store.creation_listeners] {
            count.fetch_add(1, Relaxed);
        }
        for count in [&store.change_waits, &store.change_listeners] {
            count.fetch_add(on_change, Relaxed);
        }
    }

    /// Takes a waiter out of the key's queue.
    pub fn stop_waiting(&mut self, key: Key<'_>, waiter: &dyn Waiter) {
        let (db, ticket) = (self.db() as u32, waiter.ticket());
        let store = self.store();
        let state = self.state_mut(store.shard_of(key.hash));
        state.waiters.update(key, |queue| {
            let at = queue.from(db, ticket);
            if queue.places.get(at).is_some_and(|place| (place.db, place.ticket) == (db, ticket)) {
                queue.places.remove(at);
                let far = usize::from(waiter.needs_more_keys());
                queue.far -= far;
                store.far_waited.fetch_sub(far, Relaxed);
                let on_change = usize::from(waiter.wakes_on().are_of_changes());
                queue.on_change -= on_change;
                for count in [&store.waited, &store.creation_listeners] {
                    count.fetch_sub(1, Relaxed);
                }
                for count in [&store.change_waits, &store.change_listeners] {
                    count.fetch_sub(on_change, Relaxed);
                }
                store.waited_keys.fetch_sub(usize::from(!queue.has(db)), Relaxed);
            }
            queue.places.is_empty()
        });
    }

    /// Who has waited longest for the key, of those whom this fate of it wakes and whose tickets are not before this one.
    /// O(log N), and more for each who is woken by others, or no longer waits and has not left yet.
    pub fn next_waiter(&self, key: Key<'_>, fate: Fate, ticket: u64) -> Option<Arc<dyn Waiter>> {
        let db = self.db() as u32;
        let queue = self.state(self.store().shard_of(key.hash)).waiters.get(key)?;
        let places = queue.places.range(queue.from(db, ticket)..).take_while(|place| place.db == db);
        let is_woken = |waiter: &&Arc<dyn Waiter>| waiter.wakes_on().has(fate) && waiter.is_waiting();
        places.map(|place| &place.waiter).find(is_woken).cloned()
    }

    /// Whether serving somebody who waits for a key of this name, in whatever database, may need keys that this view does not
    /// cover: MOVE, COPY and a transaction's SELECT make keys elsewhere. O(1).
    pub fn has_far_waiters(&self, key: Key<'_>) -> bool {
        if self.store().far_waited.load(Relaxed) == 0 || self.covered() == Covered::All {
            return false;
        }
        let state = self.state(self.store().shard_of(key.hash));
        state.waiters.get(key).is_some_and(|queue| queue.far > 0)
    }

    /// Says that a key came into being that somebody may wait for (what creates a key says so itself).
    pub(crate) fn signal_ready(&mut self, shard: usize, key: Key<'_>) {
        let db = self.db() as u32;
        if self.state(shard).waiters.get(key).is_some_and(|queue| queue.has(db)) {
            self.make_ready((db, key.bytes.into()), Fate::Created);
        }
    }

    /// Says what has become of a key that somebody may wait for a change of.
    pub(crate) fn signal_change(&mut self, key: Key<'_>, fate: Fate) {
        let db = self.db() as u32;
        let queue = self.state(self.store().shard_of(key.hash)).waiters.get(key);
        if queue.is_some_and(|queue| queue.has_on_change(db)) {
            self.make_ready((db, key.bytes.into()), fate);
        }
    }

    /// Says so of all keys of the selected database in a shard that are there and soon are not, or are those of `other`.
    pub(crate) fn signal_changes_of_db(&mut self, shard: usize, other: Option<usize>) {
        if self.store().change_waits.load(Relaxed) == 0 {
            return;
        }
        let db = self.db();
        let queues = self.state(shard).waiters.iter();
        let waited: Vec<(DbKey, Fate)> = queues
            .filter(|(bytes, queue)| {
                queue.has_on_change(db as u32) && self.is_there_in(shard, db, Key::new(bytes))
            })
            .map(|(bytes, _)| {
                let stays = other.is_some_and(|other| self.is_there_in(shard, other, Key::new(bytes)));
                ((db as u32, bytes.into()), if stays { Fate::Written } else { Fate::Deleted })
            })
            .collect();
        waited.into_iter().for_each(|(key, fate)| self.make_ready(key, fate));
    }

    fn make_ready(&mut self, key: DbKey, fate: Fate) {
        let ready = Ready { key, fate };
        if self.effects.ready.last() != Some(&ready) {
            self.effects.leave();
            self.effects.ready.push(ready);
        }
    }

    /// Signals each key of the database that somebody waits for and that exists (after SWAPDB). Needs all shards.
    pub fn signal_all_waited(&mut self) {
        let db = self.db() as u32;
        for shard in 0..self.store().shards() {
            let queues = self.state(shard).waiters.iter();
            let waited: Vec<DbKey> =
                queues.filter(|(_, queue)| queue.has(db)).map(|(bytes, _)| (db, bytes.into())).collect();
            for db_key in waited {
                // Also if it has expired: who serves finds that, behind the change of places, and it is deleted then.
                if self.lookup(Key::new(&db_key.1)).is_some() {
                    self.make_ready(db_key, Fate::Created);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;

    use super::*;
    use crate::interest::queue::Wakes;
    use crate::store::{Bank, Store};
    use crate::types::list::{End, List};
    use crate::value::Kind;
    use crate::{Access, Effects, EventClass, Random};

    struct One {
        ticket: u64,
        is_far: bool,
        wakes_on: Wakes,
    }

    impl Waiter for One {
        fn ticket(&self) -> u64 {
            self.ticket
        }

        fn is_waiting(&self) -> bool {
            true
        }

        fn wakes_on(&self) -> Wakes {
            self.wakes_on
        }

        fn wants(&self, _: Option<Kind>) -> bool {
            true
        }

        fn needs_more_keys(&self) -> bool {
            self.is_far
        }

        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    #[test]
    fn a_queue_is_left_in_any_order() {
        let store = Store::new(1, 2, Bank::new(1), Box::new(|| Bank::new(1)));
        let (random, mut effects) = (Random::new(1), Effects::default());
        // SAFETY: nobody else has the store.
        let mut view =
            unsafe { View::new(&store, Covered::One(0), Access::Write, 0, 0, &random, &mut effects) };
        let key = Key::new(b"key");
        let one = |is_far: bool| Arc::new(One { ticket: store.ticket(), is_far, wakes_on: Wakes::CREATED });
        let waiters = [one(false), one(true), one(false), one(false)];
        for (waiter, db) in waiters.iter().zip([1, 1, 0, 1]) {
            view.select(db);
            view.wait_for(key, waiter.clone());
            view.wait_for(key, waiter.clone());
        }
        let counts = || (store.waited.load(Relaxed), store.waited_keys.load(Relaxed));
        assert_eq!((counts(), store.far_waited.load(Relaxed)), ((4, 2), 1));
        let next = |view: &View<'_>, ticket: u64| {
            view.next_waiter(key, Fate::Created, ticket).map(|waiter| waiter.ticket())
        };
        view.select(0);
        assert!(view.has_far_waiters(key) && !view.has_far_waiters(Key::new(b"other")));
        assert_eq!((next(&view, 0), next(&view, 3)), (Some(2), None));
        view.stop_waiting(key, &*waiters[0]);
        assert_eq!(counts(), (4, 2), "it waits in another database");
        view.stop_waiting(key, &*waiters[2]);
        assert_eq!((counts(), next(&view, 0)), ((3, 1), None));
        view.select(1);
        view.stop_waiting(key, &*waiters[1]);
        assert!(!view.has_far_waiters(key));
        assert_eq!((next(&view, 0), next(&view, 1), next(&view, 4)), (Some(0), Some(3), None));
        view.stop_waiting(key, &*waiters[0]);
        view.stop_waiting(key, &*waiters[3]);
        assert_eq!((counts(), next(&view, 0)), ((0, 0), None));
        assert_eq!(store.far_waited.load(Relaxed), 0);
    }
    #[test]
    fn a_waiter_is_woken_by_what_it_waits_for() {
        let store = Store::new(1, 2, Bank::new(1), Box::new(|| Bank::new(1)));
        let (random, mut effects) = (Random::new(1), Effects::default());
        // SAFETY: nobody else has the store.
        let mut view = unsafe { View::new(&store, Covered::All, Access::Write, 0, 0, &random, &mut effects) };
        let key = Key::new(b"key");
        let one = |wakes_on: Wakes| Arc::new(One { ticket: store.ticket(), is_far: false, wakes_on });
        let (made, written) = (one(Wakes::CREATED), one(Wakes::WRITTEN.with(Wakes::DELETED)));
        let ready = |view: &mut View<'_>| -> Vec<(u32, Fate)> {
            std::mem::take(&mut view.effects.ready)
                .into_iter()
                .map(|ready| (ready.key.0, ready.fate))
                .collect()
        };
        let fill = |view: &mut View<'_>| {
            let list = view.collection_or_new::<List>(key).expect("it is a list");
            list.push(End::Back, b"element");
            view.changed(key, EventClass::LIST, "rpush");
        };
        view.wait_for(key, made.clone());
        fill(&mut view);
        fill(&mut view);
        assert_eq!(
            ready(&mut view),
            [(0, Fate::Created)],
            "who waits for a new key is woken by nothing else"
        );
        view.wait_for(key, written.clone());
        fill(&mut view);
        assert_eq!(ready(&mut view), [(0, Fate::Written)]);
        let next = |view: &View<'_>, fate: Fate| view.next_waiter(key, fate, 0).map(|waiter| waiter.ticket());
        let woken = [Fate::Created, Fate::Written, Fate::Expired].map(|fate| next(&view, fate));
        assert_eq!(woken, [Some(0), Some(1), Some(1)]);
        view.delete(key);
        view.changed(key, EventClass::GENERIC, "del");
        fill(&mut view);
        assert_eq!(ready(&mut view), [(0, Fate::Deleted), (0, Fate::Created), (0, Fate::Written)]);
        view.swap_databases(0, 1);
        assert_eq!(ready(&mut view), [(0, Fate::Deleted)], "it went away with its database");
        view.swap_databases(0, 1);
        ready(&mut view);
        view.clear();
        assert_eq!(ready(&mut view), [(0, Fate::Deleted)]);
        view.stop_waiting(key, &*written);
        view.stop_waiting(key, &*made);
        fill(&mut view);
        assert!(ready(&mut view).is_empty());
        assert_eq!((store.waited.load(Relaxed), store.change_listeners.load(Relaxed)), (0, 0));
    }
}
