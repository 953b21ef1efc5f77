//! The view: shards that a command may use, and all that it can do to them.
//!
//! An engine makes a view over the shards of a plan and guarantees that they are the caller's for as long as the view
//! lives: exclusively, or shared with other readers. A handler finds, changes and creates keys through it and reports
//! changes with [`View::changed`]. A key outside the plan is a bug of ours (a wrong key spec) and panics: to go on would be
//! a data race.
//!
//! Expiry is seen here: a key whose time has come is not there. A writer deletes it on the way, a reader, which may share
//! the shard, only remembers it, and it is deleted after the command. What needs the clock takes the request's `now`.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use crate::access;
use crate::effects::{BlockRequest, Effects, Event, EventClass, Journal};
use crate::entry::Entry;
use crate::store::{self, BURIED_BYTES_MIN, Key, LAZYFREE_EFFORT_MIN, PanicAt, ShardState, Store, Table};
use crate::value::{Collection, Kind, Value};

/// Which shards a view covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered<'a> {
    /// None: the command has no keys.
    None,
    /// One shard.
    One(usize),
    /// Several, ascending.
    Many(&'a [u32]),
    /// All.
    All,
}

impl<'a> Covered<'a> {
    /// Those of a list, ascending and without repetition.
    #[inline]
    pub fn of(shards: &'a [u32]) -> Self {
        match shards {
            [] => Self::None,
            [one] => Self::One(*one as usize),
            many => Self::Many(many),
        }
    }

    /// Whether `shard` is among them.
    #[inline]
    pub fn has(&self, shard: usize) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => *one == shard,
            Self::Many(many) => many.binary_search(&(shard as u32)).is_ok(),
            Self::All => true,
        }
    }
}

/// Whether a view may change what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Shared with other readers.
    Read,
    /// Exclusive.
    Write,
}

/// The key holds a value of another type than the command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// A random number generator of the thread: xoshiro256++ (Blackman and Vigna), seeded from outside so that a run repeats.
#[derive(Debug)]
pub struct Random([Cell<u64>; 4]);

impl Random {
    /// From a seed, spread by splitmix64.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            Cell::new(z ^ z >> 31)
        }))
    }

    /// 64 random bits.
    pub fn next(&self) -> u64 {
        let [a, b, c, d] = &self.0;
        let result = a.get().wrapping_add(d.get()).rotate_left(23).wrapping_add(a.get());
        let shifted = b.get() << 17;
        c.set(c.get() ^ a.get());
        d.set(d.get() ^ b.get());
        b.set(b.get() ^ c.get());
        a.set(a.get() ^ d.get());
        c.set(c.get() ^ shifted);
        d.set(d.get().rotate_left(45));
        result
    }

    /// A number below `bound`, which is not 0; biased by less than 2^-32 for bounds below 2^32 (Lemire's multiplication).
    pub fn below(&self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// The shards a command may use. See the module's text.
pub struct View<'a> {
    pub(crate) store: &'a Store,
    covered: Covered<'a>,
    access: Access,
    pub(crate) db: usize,
    pub(crate) now_ms: u64,
    /// What the access clocks are set to, in Unix ms: the time, but in a replay.
    clock_ms: u64,
    /// Whether reads leave the access clock alone (`CLIENT NO-TOUCH`).
    pub no_touch: bool,
    random: &'a Random,
    /// What the command did; settled by whoever made the view.
    pub effects: &'a mut Effects,
}

impl<'a> View<'a> {
    /// A view over `covered`.
    ///
    /// # Safety
    /// For as long as the view lives, the covered shards are the caller's: exclusively for `Access::Write`, and with no writer
    /// for `Access::Read`.
    #[inline]
    pub unsafe fn new(
        store: &'a Store,
        covered: Covered<'a>,
        access: Access,
        db: usize,
        now_ms: u64,
        random: &'a Random,
        effects: &'a mut Effects,
    ) -> Self {
        Self { store, covered, access, db, now_ms, clock_ms: now_ms, no_touch: false, random, effects }
    }

    /// The store, for what is read without holding a shard.
    pub fn store(&self) -> &'a Store {
        self.store
    }

    /// The shards that it covers.
    pub fn covered(&self) -> Covered<'a> {
        self.covered
    }

    /// Covers one of the shards from now on that it has covered, or none, for a command that is to reach for no other.
    ///
    /// # Safety
    /// `new`'s caller has promised this shard too.
    #[inline]
    pub unsafe fn narrow(&mut self, shard: Option<usize>) {
        self.covered = shard.map_or(Covered::None, Covered::One);
    }

    /// Whether it may change what it covers.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The selected database.
    pub fn db(&self) -> usize {
        self.db
    }

    /// Selects another database: all databases of a covered shard are covered.
    pub fn select(&mut self, db: usize) {
        assert!(db < self.store.databases(), "the caller checks the index");
        self.db = db;
    }

    /// The request's time in Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Sets the time of the next request that uses this view.
    pub fn set_now_ms(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.clock_ms = now_ms;
    }

    /// What the access clocks are set to, in Unix ms.
    pub fn clock_ms(&self) -> u64 {
        self.clock_ms
    }

    /// Makes what follows a replay of what has happened: at the time 0, so that nothing expires but as the record says, and
    /// with accesses at `clock_ms`.
    pub fn replay(&mut self, clock_ms: u64) {
        self.now_ms = 0;
        self.clock_ms = clock_ms;
    }

    /// The random numbers of the thread.
    pub fn random(&self) -> &'a Random {
        self.random
    }

    #[inline]
    pub(crate) fn table(&self, shard: usize) -> &Table {
        assert!(self.covered.has(shard), "a command reached for shard {shard}, which its plan does not name");
        // SAFETY: the shard is covered, and `new`'s caller promised that no one else writes it; `&self` keeps this view from it.
        unsafe { &*self.store.table(shard, self.db) }
    }

    #[inline]
    pub(crate) fn table_mut(&mut self, shard: usize) -> &mut Table {
        assert!(self.covered.has(shard), "a command reached for shard {shard}, which its plan does not name");
        assert!(self.access == Access::Write, "a command that is planned as a reader writes");
        // SAFETY: the shard is covered exclusively, and `&mut self` makes this the only reference.
        unsafe { &mut *self.store.table(shard, self.db) }
    }

    /// The table of the selected database in `shard`, to put something into it.
    pub(crate) fn table_to_fill(&mut self, shard: usize) -> &mut Table {
        self.store.use_database(self.db);
        self.table_mut(shard)
    }

    pub(crate) fn state_mut(&mut self, shard: usize) -> &mut ShardState {
        assert!(
            self.covered.has(shard) && self.access == Access::Write,
            "a state is changed under an exclusive view"
        );
        // SAFETY: as in `table_mut`.
        unsafe { &mut *self.store.state(shard) }
    }

    pub(crate) fn state(&self, shard: usize) -> &ShardState {
        assert!(self.covered.has(shard), "a state is read under a view");
        // SAFETY: as in `table`.
        unsafe { &*self.store.state(shard) }
    }

    // ---- Reading ----------------------------------------------------------------------------------------------------

    /// The key's entry, expired or not; no statistics, no touch.
    #[inline]
    pub fn lookup(&self, key: Key<'_>) -> Option<&Entry> {
        let table = self.table(self.store.shard_of(key.hash));
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
        let entry = self.read_untouched(key)?;
        if !self.no_touch {
            entry.set_clock(access::touched(entry.clock(), self.clock_ms, || self.random.next()));
        }
        Some(entry)
    }

    /// The key's entry, as a command reads it that only asks about the key: counts a hit or a miss.
    #[inline]
    pub fn read_untouched(&self, key: Key<'_>) -> Option<&Entry> {
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

    /// Remembers a key whose time has come, or that of a field of it, to be deleted by whoever may.
    #[cold]
    pub fn remember_stale(&self, key: Key<'_>) {
        self.effects.leave();
        self.effects.stale.borrow_mut().push((self.db as u32, key.bytes.into()));
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

    // ---- Changing ---------------------------------------------------------------------------------------------------

    /// The key's entry, to change its value in place. Deletes the key first if it has expired. Expiry and existence are
    /// changed through the view, never through the entry. Counts no hit; touches the clock.
    pub fn entry_mut(&mut self, key: Key<'_>) -> Option<&mut Entry> {
        self.expire_if_due(key);
        let (clock_ms, random, no_touch) = (self.clock_ms, self.random, self.no_touch);
        let shard = self.store.shard_of(key.hash);
        self.before_change(shard, key);
        let table = self.table_mut(shard);
        let (entry, ()) = table.find_mut(key.hash, |(entry, ())| entry.key() == key.bytes)?;
        if !no_touch {
            entry.set_clock(access::touched(entry.clock(), clock_ms, || random.next()));
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
        let clock_ms = self.clock_ms;
        // The common case, an update of a string without expiry on either side, needs one probe and no index.
        if let Some((entry, ())) =
            self.table_mut(shard).find_mut(key.hash, |(entry, ())| entry.key() == key.bytes)
        {
            if expire_at_ms.is_none() && entry.kind() == Kind::String && entry.expire_at_ms().is_none() {
                entry.set_bytes(bytes);
                let clock = access::touched(entry.clock(), clock_ms, || 0);
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
        self.expire_if_due(key);
        let shard = self.store.shard_of(key.hash);
        self.before_change(shard, key);
        new.set_clock(access::new_clock(self.clock_ms));
        let (expire_at_ms, kind) = (new.expire_at_ms(), new.kind());
        let found = self.table_mut(shard).find_mut(key.hash, |(entry, ())| entry.key() == key.bytes);
        if let Some((entry, ())) = found {
            let old = std::mem::replace(entry, new);
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
            // As in Redis, who waits for a key waits for one that comes into being, and not for another value of it.
            if self.store.waited.load(Relaxed) != 0 && kind != Kind::String {
                self.signal_ready(shard, key);
            }
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

    /// Takes the key out, expired or not.
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
        self.expire_if_due(key);
        self.take(key)
    }

    /// Deletes the key and frees it, what is big elsewhere; whether it was there. The caller reports the change.
    pub fn delete(&mut self, key: Key<'_>) -> bool {
        match self.remove(key) {
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
        if entry.kind() != Kind::String && entry.effort() > LAZYFREE_EFFORT_MIN
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

    // ---- Effects ----------------------------------------------------------------------------------------------------

    /// Reports a change of the key: it counts as dirty, watchers are touched, and the event is published.
    #[inline]
    pub fn changed(&mut self, key: Key<'_>, class: EventClass, event: &'static str) {
        self.changed_silently(key);
        self.notify(class, event, key.bytes);
    }

    /// Reports a change that has no event of its own.
    #[inline]
    pub fn changed_silently(&mut self, key: Key<'_>) {
        self.effects.leave();
        self.effects.dirty += 1;
        self.touch_watchers(key);
    }

    /// Touches who watches the key, for a change that is counted with that of another key (LMOVE's destination).
    pub fn touch(&mut self, key: Key<'_>) {
        self.touch_watchers(key);
    }

    /// Counts `count` changes more, where Redis counts each element.
    pub fn add_dirty(&mut self, count: u64) {
        self.effects.leave();
        self.effects.dirty += count;
    }

    /// Publishes an event without counting a change.
    #[inline]
    pub fn notify(&mut self, class: EventClass, name: &'static str, key: &[u8]) {
        if self.effects.notify_mask & class.0 != 0 {
            self.effects.leave();
            self.effects.events.push(Event { class, name, db: self.db, key: key.into() });
        }
    }

    /// Journals these commands in the place of the one that runs (a relative time made absolute, a random choice named).
    pub fn journal_instead(&mut self, commands: Vec<Vec<Vec<u8>>>) {
        self.effects.leave();
        self.effects.journal = Journal::Instead(commands);
    }

    /// Says that the command found nothing and waits for one of its keys.
    pub fn block(&mut self, request: BlockRequest) {
        self.effects.leave();
        self.effects.block = Some(request);
    }

    // ---- Whole databases --------------------------------------------------------------------------------------------

    /// Keys of the selected database, covered or not. With all shards held this is exact.
    pub fn len(&self) -> usize {
        self.store.keys(self.db)
    }

    /// Whether the selected database is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `each` with every key that is there, in covered shards, in no order.
    pub fn for_each(&self, mut each: impl FnMut(&Entry)) {
        for shard in 0..self.store.shards() {
            if self.store.keys_in_shard(self.db, shard) > 0 && self.covered.has(shard) {
                self.table(shard)
                    .iter()
                    .map(|(entry, ())| entry)
                    .filter(|entry| !entry.is_expired(self.now_ms))
                    .for_each(&mut each);
            }
        }
    }

    /// Empties the selected database; how many keys it had. Needs all shards; the freeing is done elsewhere.
    pub fn clear(&mut self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let mut removed = 0;
        for shard in 0..self.store.shards() {
            removed += self.clear_shard(shard);
        }
        if self.covered == Covered::All && self.access == Access::Write {
            // SAFETY: everything is held exclusively, by this view, which keeps no table from one call to the next.
            unsafe { self.store.leave_database(self.db) };
        }
        removed
    }

    fn clear_shard(&mut self, shard: usize) -> usize {
        let db = self.db;
        self.effects.touch();
        if self.store.watched.load(Relaxed) != 0 {
            self.touch_watchers_of_db(shard, None);
        }
        let table = std::mem::take(self.table_mut(shard));
        let removed = table.len();
        if removed > 0 {
            let state = self.state_mut(shard);
            state.expiries.clear(db);
            state.field_expiries.clear(db);
            self.layout_changed(shard);
            self.store.set_keys(db, shard, 0);
            self.store.set_expiring_keys(db, shard, 0);
            let Some(table) = self.preserve_table(shard, table) else { return removed };
            if removed > LAZYFREE_EFFORT_MIN {
                self.store.bury(Box::new(table));
            }
        }
        removed
    }

    /// Swaps two databases. Needs all shards; linear in them, not in the keys.
    pub fn swap_databases(&mut self, first: usize, second: usize) {
        assert!(
            self.covered == Covered::All && self.access == Access::Write,
            "SWAPDB is planned over everything"
        );
        if first == second {
            return;
        }
        let mut in_use = self.store.databases_in_use();
        if !in_use.any(|db| db == first || db == second) {
            return;
        }
        drop(in_use);
        for db in [first, second] {
            self.store.use_database(db);
        }
        // What was found expired goes by the numbers of before: its deletions precede the swap in the journal.
        self.expire_found();
        self.effects.touch();
        let selected = self.db;
        for shard in 0..self.store.shards() {
            if self.store.watched.load(Relaxed) != 0 {
                for (db, other) in [(first, second), (second, first)] {
                    self.db = db;
                    self.touch_watchers_of_db(shard, Some(other));
                }
            }
            // SAFETY: all shards are held exclusively, and the two tables are distinct.
            unsafe { std::ptr::swap(self.store.table(shard, first), self.store.table(shard, second)) };
            let state = self.state_mut(shard);
            state.expiries.swap(first, second);
            state.field_expiries.swap(first, second);
            self.swap_preserved(shard, first, second);
            self.layout_changed(shard);
            let store = self.store;
            let (keys, expiring) =
                (store.keys_in_shard(first, shard), store.expiring_keys_in_shard(first, shard));
            store.set_keys(first, shard, store.keys_in_shard(second, shard));
            store.set_expiring_keys(first, shard, store.expiring_keys_in_shard(second, shard));
            store.set_keys(second, shard, keys);
            store.set_expiring_keys(second, shard, expiring);
        }
        for db in [first, second] {
            self.db = db;
            self.signal_all_waited();
        }
        self.db = selected;
    }

    /// A key of the selected database in `shard`, each with the same probability; none if it has none that is alive.
    pub fn random_in_shard(&self, shard: usize) -> Option<&Entry> {
        let table = self.table(shard);
        let skip = self.random.below(table.len().max(1));
        let alive = |entry: &&(Entry, ())| !entry.0.is_expired(self.now_ms);
        table.iter().skip(skip).find(alive).or_else(|| table.iter().find(alive)).map(|(entry, ())| entry)
    }

    /// Continues a SCAN: calls `each` with entries from `cursor` on, through covered shards, until at least `count` were
    /// seen, a shard is not covered, or all are done; the next cursor, 0 at the end.
    ///
    /// A cursor is (shard, layout version, slot): within a shard the slots are walked in the table's order, and a table
    /// that has moved its entries since is walked again from its start, so that what is there throughout is returned,
    /// perhaps twice. A shard holds some thousands of entries, and moves them only after as many insertions as half of
    /// it, so a scan ends. O(count), plus a step of a nanosecond for each slot of the shard that was already passed.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(&Entry)) -> u64 {
        let mut shard = (cursor >> CURSOR_SHARD_SHIFT) as usize;
        let mut resume = (cursor & CURSOR_IS_WITHIN != 0).then_some(cursor & CURSOR_WITHIN_MASK);
        let mut seen = 0;
        while shard < self.store.shards() {
            if self.store.keys_in_shard(self.db, shard) == 0 {
                (shard, resume) = (shard + 1, None);
                continue;
            }
            if seen >= count || !self.covered.has(shard) {
                return encode_cursor(shard, resume);
            }
            let version = u64::from(self.state(shard).layout_version);
            let passed = resume.take().filter(|within| within >> CURSOR_SLOT_BITS == version);
            let mut last = None;
            let table = self.table(shard);
            let first_address = table.iter().next().map_or(0, slot_number);
            for slot in table.iter() {
                let number = slot_number(slot);
                if let Some(passed) = passed
                    && !is_beyond(number, passed & CURSOR_SLOT_MASK, first_address)
                {
                    continue;
                }
                if seen >= count {
                    break;
                }
                last = Some(number);
                seen += 1;
                if !slot.0.is_expired(self.now_ms) {
                    each(&slot.0);
                }
            }
            let end = table.iter().last().map(slot_number);
            match last {
                Some(last) if end != Some(last) => {
                    return encode_cursor(shard, Some(version << CURSOR_SLOT_BITS | last));
                }
                _ => shard += 1,
            }
        }
        0
    }
}

const CURSOR_SLOT_BITS: u32 = 24;
const CURSOR_SLOT_MASK: u64 = (1 << CURSOR_SLOT_BITS) - 1;
const CURSOR_IS_WITHIN: u64 = 1 << (CURSOR_SLOT_BITS + 16);
const CURSOR_WITHIN_MASK: u64 = CURSOR_IS_WITHIN - 1;
const CURSOR_SHARD_SHIFT: u32 = CURSOR_SLOT_BITS + 17;

fn encode_cursor(shard: usize, within: Option<u64>) -> u64 {
    (shard as u64) << CURSOR_SHARD_SHIFT | within.map_or(0, |within| CURSOR_IS_WITHIN | within)
}

/// The shard at which a SCAN cursor continues.
pub fn cursor_shard(cursor: u64) -> usize {
    (cursor >> CURSOR_SHARD_SHIFT) as usize
}

/// A number for a table's slot that falls by one from slot to slot: hashbrown lays the slots out downwards in memory, and
/// its iterator follows. Only differences within one table mean anything; a table has far fewer than 2^23 slots.
fn slot_number(slot: &(Entry, ())) -> u64 {
    (std::ptr::from_ref(slot) as u64 / size_of::<(Entry, ())>() as u64) & CURSOR_SLOT_MASK
}

/// Whether slot `number` comes after `passed` in the iterator's order, both taken relative to some slot of the same table.
fn is_beyond(number: u64, passed: u64, origin: u64) -> bool {
    let distance = |slot: u64| {
        let down = origin.wrapping_sub(slot) & CURSOR_SLOT_MASK;
        // Sign-extend: a slot may also lie before the origin.
        (down << (64 - CURSOR_SLOT_BITS)) as i64
    };
    distance(number) > distance(passed)
}
