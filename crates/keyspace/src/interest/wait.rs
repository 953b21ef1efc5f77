//! Waiting for a key: the queues of a shard, and who is told when a key comes into being.
//!
//! A queue belongs to the key's shard, so it is changed under a view like the key itself and no wake-up is lost. Who waits is
//! the server's own type; here it is only queued. A client may wait for a million keys and a million clients for one: what a
//! write asks for its key depends on neither number.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::store::{DbKey, Key};
use crate::value::Kind;
use crate::view::{Covered, View};

/// A client that waits for a key. The server's type; the keyspace only queues it.
pub trait Waiter: Any + Send + Sync {
    /// Its place among all who wait, from [`Store::ticket`]: the earlier, the lower.
    fn ticket(&self) -> u64;
    /// Whether it still waits: a served or timed-out waiter is skipped and dropped from the queue.
    fn is_waiting(&self) -> bool;
    /// Whether a key of this type serves it.
    fn wants(&self, kind: Kind) -> bool;
    /// Whether serving it needs keys besides the one that it waits for (BLMOVE's destination).
    fn needs_more_keys(&self) -> bool;
    /// Itself, to be downcast by the server.
    fn as_any(&self) -> &dyn Any;
}

/// One who waits.
struct Place {
    db: u32,
    ticket: u64,
    waiter: Arc<dyn Waiter>,
}

/// Who waits for a key of one name.
#[derive(Default)]
pub(crate) struct Queue {
    /// In the order of databases and tickets.
    places: VecDeque<Place>,
    /// How many of them need more keys to be served.
    far: usize,
}

impl Queue {
    /// The first place that is not before this database and ticket.
    fn from(&self, db: u32, ticket: u64) -> usize {
        self.places.partition_point(|place| (place.db, place.ticket) < (db, ticket))
    }

    fn has(&self, db: u32) -> bool {
        self.places.get(self.from(db, 0)).is_some_and(|place| place.db == db)
    }
}

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
        queue.places.insert(at, Place { db, ticket, waiter });
        store.waited.fetch_add(1, Relaxed);
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
                store.waited.fetch_sub(1, Relaxed);
                store.waited_keys.fetch_sub(usize::from(!queue.has(db)), Relaxed);
            }
            queue.places.is_empty()
        });
    }

    /// Who has waited longest for the key, of those whose tickets are not before this one. O(log N), and more for each who no
    /// longer waits and has not left yet.
    pub fn next_waiter(&self, key: Key<'_>, ticket: u64) -> Option<Arc<dyn Waiter>> {
        let db = self.db() as u32;
        let queue = self.state(self.store().shard_of(key.hash)).waiters.get(key)?;
        let places = queue.places.range(queue.from(db, ticket)..).take_while(|place| place.db == db);
        places.map(|place| &place.waiter).find(|waiter| waiter.is_waiting()).cloned()
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
            self.effects.leave();
            self.effects.ready.push((db, key.bytes.into()));
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
                // Not remembered if it has expired: the databases have changed places, and its deletion would precede that.
                let entry = self.lookup(Key::new(&db_key.1));
                if entry.is_some_and(|entry| !entry.is_expired(self.now_ms())) {
                    self.effects.leave();
                    self.effects.ready.push(db_key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Bank, Store};
    use crate::{Access, Effects, Random};

    struct One {
        ticket: u64,
        is_far: bool,
    }

    impl Waiter for One {
        fn ticket(&self) -> u64 {
            self.ticket
        }

        fn is_waiting(&self) -> bool {
            true
        }

        fn wants(&self, _: Kind) -> bool {
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
        let one = |is_far: bool| Arc::new(One { ticket: store.ticket(), is_far });
        let waiters = [one(false), one(true), one(false), one(false)];
        for (waiter, db) in waiters.iter().zip([1, 1, 0, 1]) {
            view.select(db);
            view.wait_for(key, waiter.clone());
            view.wait_for(key, waiter.clone());
        }
        let counts = || (store.waited.load(Relaxed), store.waited_keys.load(Relaxed));
        assert_eq!((counts(), store.far_waited.load(Relaxed)), ((4, 2), 1));
        let next = |view: &View<'_>, ticket: u64| view.next_waiter(key, ticket).map(|waiter| waiter.ticket());
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
}
