//! Reading without a lock: strings that are published in the store, see `rustredis_keyspace::published`.
//!
//! The locks of this engine are the `dashmap` engine's. What a reader without one does instead is written in his own thread's
//! seat at the gate: that he reads ([`crate::gate::Gate::begin_reading`]). It is all that he writes. Who needs everything waits until
//! he has left, and so does who frees a block that he may have.

use std::marker::PhantomData;

use rustredis_keyspace::{Effects, Key, PublishedEntry, Random, Store, View};

use crate::gate::{Gate, Seat};

/// A reading without a lock. It lasts for microseconds, on one thread, and waits for nothing.
pub struct Reading<'e> {
    store: &'e Store,
    gate: &'e Gate,
    seat: &'e Seat,
    _stays_on_its_thread: PhantomData<*const ()>,
}

impl<'e> Reading<'e> {
    /// Begins one in the thread's own seat; `None` while somebody has everything, and before the data set is loaded.
    #[inline]
    pub(crate) fn begin(store: &'e Store, gate: &'e Gate, seat: &'e Seat) -> Option<Self> {
        // Made only if it has begun: its drop ends it.
        gate.begin_reading(seat).then(|| Self { store, gate, seat, _stays_on_its_thread: PhantomData })
    }
}

impl Drop for Reading<'_> {
    #[inline]
    fn drop(&mut self) {
        self.gate.end_reading(self.seat);
    }
}

impl Reading<'_> {
    /// Brings the strings of these keys near, by their hashes.
    #[inline]
    pub fn touch(&self, db: usize, hashes: impl Iterator<Item = u64> + Clone) {
        // SAFETY: the seat says that this thread reads.
        unsafe { self.store.prefetch_published(db, hashes) }
    }

    /// The string at a key, if it is published and alive at `now_ms`. O(1).
    #[inline]
    pub fn find(&self, db: usize, key: Key<'_>, now_ms: u64) -> Option<PublishedEntry<'_>> {
        // SAFETY: the seat says that this thread reads, for as long as `self` lives.
        let found = unsafe { self.store.find_published(db, key) }?;
        (!found.is_expired(now_ms)).then_some(found)
    }

    /// Whether a key has the same string still. If that is so of several keys, one after the other, that were found before, there was a moment
    /// between at which all had what was found.
    #[inline]
    pub fn is_still(&self, db: usize, key: Key<'_>, found: &PublishedEntry<'_>) -> bool {
        // SAFETY: as in `find`.
        unsafe { self.store.find_published(db, key) }.is_some_and(|now| now.is_same(found))
    }

    /// A view of what was found, and of nothing else.
    #[inline]
    pub fn view<'v>(
        &'v self,
        found: &'v [PublishedEntry<'v>],
        db: usize,
        now_ms: u64,
        random: &'v Random,
        effects: &'v mut Effects,
    ) -> View<'v> {
        View::of_published(self.store, found, db, now_ms, random, effects)
    }
}
