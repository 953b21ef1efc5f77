//! Publishing against readers, against writes that span keys, and against one who needs everything.
//!
//! Each key has a shard of its own. Its table is a lock with the key's entry, which a writer changes as `view::change` does: a new
//! block in the table, then the old one withdrawn.

use rustredis_keyspace::{Access, Key};

use super::beside;
use super::engine::gate::{Gate, Seat};
use super::engine::readers::SeatedReaders;
use super::engine::without_light_fence;
use super::engine::word::CALLED;
use super::keyspace::entry::{self, Entry};
use super::keyspace::published::{Published, PublishedEntry, Readers, ReadingStamp};
use super::sync::{Arc, Cell, IS_SMALL, Mutex, MutexGuard, ROUNDS, THREADS, block_on, check, check_bounded};

type Table = Option<Entry>;

struct Store {
    gate: Gate,
    published: Published,
    tables: Vec<Mutex<Table>>,
    /// What only who has everything writes, and who reads without a lock reads.
    whole: Cell,
}

const DB: usize = 0;

fn hash_of(key: u8) -> u64 {
    // The home of key 4 is the next but one behind that of key 3, and so on: none displaces another.
    u64::from(key)
}

impl Store {
    /// Keys from 0 on, all published with this value.
    fn new(keys: u8, value: u32) -> Arc<Self> {
        Self::with_readers(keys, value, |gate| Box::new(SeatedReaders(gate.seats().clone())))
    }

    fn with_readers(keys: u8, value: u32, readers: impl FnOnce(&Gate) -> Box<dyn Readers>) -> Arc<Self> {
        entry::begin();
        let gate = Gate::new();
        let published = Published::new(usize::from(keys), 1, readers(&gate));
        let store = Self {
            gate,
            published,
            tables: (0..keys).map(|key| Mutex::new(Some(Entry::new(key, value)))).collect(),
            whole: Cell::new(0),
        };
        (0..keys).for_each(|key| store.publish(key, &mut store.lock(key)));
        Arc::new(store)
    }

    fn lock(&self, key: u8) -> MutexGuard<'_, Table> {
        self.tables[usize::from(key)].lock().expect("no model panics with a lock")
    }

    fn publish(&self, key: u8, table: &mut Table) {
        if let Some(entry) = table {
            self.published.publish(DB, usize::from(key), hash_of(key), entry);
        }
    }

    /// Changes a key whose table is locked.
    fn change(&self, key: u8, table: &mut Table, value: u32) {
        let old = table.replace(Entry::new(key, value));
        if let Some(old) = old.filter(Entry::is_published) {
            self.published.withdraw(DB, usize::from(key), hash_of(key), old);
        }
    }

    /// A command that writes all of these keys, which ascend.
    fn write(&self, keys: &[u8], value: u32) {
        let mut tables: Vec<_> = keys.iter().map(|key| self.lock(*key)).collect();
        for (key, table) in keys.iter().zip(&mut tables) {
            self.change(*key, table, value);
        }
        for (key, table) in keys.iter().zip(&mut tables) {
            self.publish(*key, table);
        }
    }

    /// What `read` makes of a reading, if one can begin.
    fn reading<T>(&self, seat: &Seat, read: impl FnOnce(&Self) -> Option<T>) -> Option<T> {
        if !self.gate.begin_reading(seat) {
            return None;
        }
        let result = read(self);
        self.gate.end_reading(seat);
        result
    }

    fn find(&self, key: u8) -> Option<PublishedEntry<'_>> {
        // SAFETY: callers are readers.
        unsafe { self.published.find(DB, usize::from(key), Key { bytes: &[key], hash: hash_of(key) }) }
    }

    /// The values of these keys at one moment, as `request::lockless` finds them; `None` if they cannot be had without locks.
    fn find_all(&self, keys: &[u8]) -> Option<Vec<u32>> {
        let found = keys.iter().map(|key| self.find(*key)).collect::<Option<Vec<_>>>()?;
        let is_still =
            |(key, found): (&u8, &PublishedEntry<'_>)| self.find(*key).is_some_and(|now| now.is_same(found));
        keys.iter().zip(&found).all(is_still).then(|| found.iter().map(|entry| entry.value()).collect())
    }

    /// The value of a key: without its lock if it is published, and with it else.
    fn get(&self, seat: &Seat, key: u8) -> u32 {
        let found = self.reading(seat, |store| Some(store.find(key)?.value()));
        found.or_else(|| self.lock(key).as_ref().map(Entry::value)).expect("the key is there")
    }

    /// Does this with everything held.
    fn with_everything(&self, act: impl FnOnce(&Self)) {
        let everything = block_on(self.gate.stop(Access::Write));
        act(self);
        drop(everything);
    }
}

/// So many threads, each of which does this so often.
fn threads(
    store: &Arc<Store>,
    rounds: u32,
    act: impl Fn(&Store, &Seat, u32) + Clone + Send + 'static,
) -> Vec<Box<dyn FnOnce() + Send + 'static>> {
    let thread = |_| -> Box<dyn FnOnce() + Send> {
        let (store, act) = (store.clone(), act.clone());
        Box::new(move || {
            let seat = store.gate.seat();
            (0..rounds).for_each(|round| act(&store, &seat, round));
            seat.give_back();
        })
    };
    (0..THREADS).map(thread).collect()
}

/// A reader of two keys has both from before a write over them, or both from after it.
pub fn nobody_sees_half_of_a_write() {
    check(|| {
        let store = Store::new(2, 0);
        let readers = threads(&store, ROUNDS, |store, seat, _| {
            if let Some(values) = store.reading(seat, |store| store.find_all(&[0, 1])) {
                assert_eq!(values[0], values[1], "half of a write");
            }
        });
        beside(readers, || (1..=ROUNDS).for_each(|round| store.write(&[0, 1], round)));
    });
}

/// What one has read does not become older when he reads again.
pub fn nobody_sees_an_older_value_again() {
    check(|| {
        let store = Store::new(1, 0);
        let readers = threads(&store, ROUNDS, |store, seat, _| {
            let first = store.get(seat, 0);
            assert!(store.get(seat, 0) >= first, "an older value");
        });
        beside(readers, || (1..=ROUNDS).for_each(|round| store.write(&[0], round)));
    });
}

/// A block that a reader has is not freed, whoever frees and whenever.
pub fn what_a_reader_has_is_not_freed() {
    check(|| {
        let store = Store::new(1, 0);
        let readers = threads(&store, ROUNDS, |store, seat, _| {
            store.reading(seat, |store| {
                let found = store.find(0)?;
                Some((found.value(), found.value()))
            });
        });
        let writes = store.clone();
        beside(readers, move || {
            for round in 1..=ROUNDS {
                writes.write(&[0], round);
                writes.published.collect();
            }
        });
        store.published.collect();
        assert_eq!(store.published.report().retired, 0, "something is held back with nobody reading");
    });
}

/// Readers who never leave, so that nothing is freed.
struct AlwaysReading;

impl Readers for AlwaysReading {
    fn reading(&self, now: &mut Vec<ReadingStamp>) {
        now.push(ReadingStamp { reader: 0, stamp: 1 });
    }

    fn has_left(&self, _: ReadingStamp) -> bool {
        false
    }
}

/// Two who each change a key and then read the other's: one of them sees the other's change. Readers pay no fence for it.
pub fn not_both_miss_the_others_change() {
    check(|| {
        without_light_fence();
        let store = Store::with_readers(2, 0, |_| Box::new(AlwaysReading));
        let other = store.clone();
        let seen = Arc::new(Mutex::new(0));
        let others = seen.clone();
        let thread: Box<dyn FnOnce() + Send> = Box::new(move || {
            let seat = other.gate.seat();
            other.write(&[1], 1);
            let value = other.get(&seat, 0);
            *others.lock().expect("no model panics with a lock") = value;
        });
        let mut own = 0;
        beside([thread], || {
            let seat = store.gate.seat();
            store.write(&[0], 1);
            own = store.get(&seat, 1);
        });
        let others = *seen.lock().expect("no model panics with a lock");
        assert!(own == 1 || others == 1, "both missed the other's change");
    });
}

/// Who has everything may free what is published and change what readers read: none of them is inside.
pub fn who_has_everything_has_no_reader_beside() {
    check(|| {
        let store = Store::new(1, 0);
        let readers = threads(&store, ROUNDS, |store, seat, _| {
            store.reading(seat, |store| {
                store.whole.get();
                Some(store.find(0)?.value())
            });
        });
        beside(readers, || {
            for round in 1..=ROUNDS {
                store.with_everything(|store| {
                    store.published.clear(DB);
                    let mut table = store.lock(0);
                    *table = None;
                    store.whole.set(round);
                    *table = Some(Entry::new(0, round));
                    store.publish(0, &mut table);
                });
            }
        });
        assert_eq!(store.gate.word().read() & CALLED, 0, "a bit is left");
    });
}

/// Keys of one shard, whose places in the index meet.
struct Shard {
    gate: Gate,
    published: Published,
}

impl Shard {
    fn new() -> Arc<Self> {
        entry::begin();
        let gate = Gate::new();
        let published = Published::new(1, 1, Box::new(SeatedReaders(gate.seats().clone())));
        Arc::new(Self { gate, published })
    }

    fn publish(&self, hash: u64, key: u8) -> Entry {
        let mut entry = Entry::new(key, u32::from(key));
        self.published.publish(DB, 0, hash, &mut entry);
        entry
    }

    fn find(&self, seat: &Seat, hash: u64, key: u8) -> Option<u32> {
        if !self.gate.begin_reading(seat) {
            return None;
        }
        // SAFETY: the seat says that this thread reads.
        let found = unsafe { self.published.find(DB, 0, Key { bytes: &[key], hash }) };
        let value = found.map(|entry| entry.value());
        self.gate.end_reading(seat);
        value
    }

    /// Threads that look for this key, which is there all the time, while others come and go.
    fn readers(self: &Arc<Self>, hash: u64, key: u8) -> Vec<Box<dyn FnOnce() + Send + 'static>> {
        let thread = |_| -> Box<dyn FnOnce() + Send> {
            let shard = self.clone();
            Box::new(move || {
                let seat = shard.gate.seat();
                for _ in 0..ROUNDS {
                    let value = shard.find(&seat, hash, key);
                    assert!(value.is_none_or(|value| value == u32::from(key)), "another key's value");
                }
            })
        };
        (0..THREADS).map(thread).collect()
    }
}

/// Who finds a key that is published for the first time finds all of it: no withdrawal's fence stands before that.
pub fn a_new_key_is_found_whole() {
    check(|| {
        let shard = Shard::new();
        let other = shard.publish(2, 2);
        let readers = shard.readers(1, 1);
        let mut entry = None;
        beside(readers, || entry = Some(shard.publish(1, 1)));
        drop((entry, other));
    });
}

/// An index grows, and shrinks again, beside readers: none of them finds another key, or one whose index was freed.
pub fn an_index_grows_beside_readers() {
    check_bounded(2, || {
        let shard = Shard::new();
        let mut entries: Vec<_> = (0..6).map(|key| shard.publish(u64::from(key), key)).collect();
        let readers = shard.readers(5, 5);
        beside(readers, || {
            entries.push(shard.publish(6, 6));
            shard.published.collect();
            if IS_SMALL {
                return;
            }
            while let Some(entry) = entries
                .pop_if(|entry| entry.key() != [5])
                .or_else(|| (entries.len() > 1).then(|| entries.remove(0)))
            {
                shard.published.withdraw(DB, 0, entry.key()[0].into(), entry);
            }
            shard.published.collect();
        });
        let seat = shard.gate.seat();
        assert_eq!(shard.find(&seat, 5, 5), Some(5), "a key was lost");
    });
}

/// A key that another one displaced moves back when that goes: a reader finds it, or nothing, and never another.
pub fn what_was_displaced_moves_back_beside_readers() {
    check(|| {
        let shard = Shard::new();
        let (first, second, third) = (shard.publish(1, 1), shard.publish(1, 2), shard.publish(1, 3));
        let readers = shard.readers(1, 3);
        beside(readers, || {
            shard.published.withdraw(DB, 0, 1, first);
            shard.published.withdraw(DB, 0, 1, second);
            shard.published.collect();
        });
        let seat = shard.gate.seat();
        assert_eq!(shard.find(&seat, 1, 3), Some(3), "a key was lost");
        drop(third);
    });
}

/// What is held back is bounded: a writer who has retired too much goes on only when who read has left.
pub fn a_writer_waits_for_readers() {
    check_bounded(2, || {
        let shard = Shard::new();
        let kept = shard.publish(1, 1);
        let readers = shard.readers(1, 1);
        beside(readers, || {
            for _ in 0..2 * ROUNDS {
                let entry = shard.publish(2, 2);
                shard.published.withdraw(DB, 0, 2, entry);
                assert!(shard.published.retired_bytes() <= 4 << 20, "too much is held back");
            }
        });
        drop(kept);
    });
}
