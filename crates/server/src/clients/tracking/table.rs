//! The table of default mode: which trackers have read which keys, all databases together.
//!
//! It is spread over locks by the keys' hashes. What is sent for a key is sent under its lock, so that an entry which is not there is
//! one whose readers have been told. Locks are taken in this order: the table's, a tracker's, a mailbox's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use rustredis_keyspace::Key;
use smallvec::SmallVec;

use super::tracker::Tracker;

/// Locks that the keys are spread over.
const SHARDS: usize = 64;
/// Keys for which a shard keeps room.
const KEYS_KEPT: usize = 64;

/// In the order of their addresses.
type Readers = SmallVec<[Arc<Tracker>; 1]>;
type Entries = HashMap<Arc<[u8]>, Readers>;

#[derive(Debug, Default)]
struct Shard {
    entries: Entries,
    /// Readers of all entries.
    items: usize,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Table {
    shards: [CachePadded<Mutex<Shard>>; SHARDS],
    keys: AtomicUsize,
    items: AtomicUsize,
    /// The shard of which a key goes next, where there are too many.
    next: AtomicUsize,
}

fn place(readers: &Readers, tracker: &Arc<Tracker>) -> Result<usize, usize> {
    readers.binary_search_by_key(&Arc::as_ptr(tracker), Arc::as_ptr)
}

impl Table {
    /// Nobody has read anything.
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| CachePadded::default()),
            keys: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
        }
    }

    fn shard(&self, key: Key<'_>) -> &Mutex<Shard> {
        &self.shards[key.hash as usize % SHARDS]
    }

    /// Keys that somebody has read.
    pub(super) fn keys(&self) -> usize {
        self.keys.load(Relaxed)
    }

    /// Pairs of a key and one who has read it.
    pub(super) fn items(&self) -> usize {
        self.items.load(Relaxed)
    }

    /// The tracker reads this key; how many it has read, if this one is new.
    pub(super) fn add(&self, key: Key<'_>, tracker: &Arc<Tracker>) -> Option<usize> {
        let mut shard = self.shard(key).lock();
        let Shard { entries, items } = &mut *shard;
        if let Some(readers) = entries.get(key.bytes) {
            place(readers, tracker).err()?;
        }
        let name = match entries.get_key_value(key.bytes) {
            Some((name, _)) => name.clone(),
            None => key.bytes.into(),
        };
        let read = tracker.note(&name)?;
        let readers = entries.entry(name).or_insert_with(|| {
            self.keys.fetch_add(1, Relaxed);
            Readers::new()
        });
        if let Err(at) = place(readers, tracker) {
            readers.insert(at, tracker.clone());
            *items += 1;
            self.items.fetch_add(1, Relaxed);
        }
        Some(read)
    }

    /// Forgets a key, and tells each who has read it.
    pub(super) fn take(&self, key: Key<'_>, tell: impl FnMut(&Arc<Tracker>)) {
        let mut shard = self.shard(key).lock();
        if let Some((name, readers)) = shard.entries.remove_entry(key.bytes) {
            self.tell_all(&mut shard, &name, &readers, tell);
        }
    }

    /// Forgets any key but this one, and tells each who has read it; the shards have their turns.
    pub(super) fn take_other(&self, key: &[u8], mut tell: impl FnMut(&Arc<Tracker>, &[u8])) {
        for _ in 0..SHARDS {
            let mut shard = self.shards[self.next.fetch_add(1, Relaxed) % SHARDS].lock();
            let Some(name) = shard.entries.keys().find(|name| ***name != *key).cloned() else { continue };
            if let Some(readers) = shard.entries.remove(&*name) {
                self.tell_all(&mut shard, &name, &readers, |tracker| tell(tracker, &name));
            }
            return;
        }
    }

    fn tell_all(
        &self,
        shard: &mut Shard,
        name: &[u8],
        readers: &Readers,
        mut tell: impl FnMut(&Arc<Tracker>),
    ) {
        self.keys.fetch_sub(1, Relaxed);
        self.items.fetch_sub(readers.len(), Relaxed);
        shard.items -= readers.len();
        for tracker in readers {
            tracker.forget(name);
            tell(tracker);
        }
        shrink(&mut shard.entries);
    }

    /// The tracker does not stand at this key any more; `tell` is called if it did.
    pub(super) fn remove(&self, key: Key<'_>, tracker: &Arc<Tracker>, tell: impl FnOnce()) {
        let mut shard = self.shard(key).lock();
        let Shard { entries, items } = &mut *shard;
        let Some(readers) = entries.get_mut(key.bytes) else { return };
        let Ok(at) = place(readers, tracker) else { return };
        readers.remove(at);
        *items -= 1;
        self.items.fetch_sub(1, Relaxed);
        if readers.is_empty() {
            entries.remove(key.bytes);
            self.keys.fetch_sub(1, Relaxed);
            shrink(entries);
        }
        tell();
    }

    /// Forgets everything, which is given back to be freed. Nobody reads meanwhile.
    pub(super) fn take_all(&self) -> Vec<Entries> {
        let all = self.shards.iter().map(|shard| {
            let Shard { entries, items } = std::mem::take(&mut *shard.lock());
            self.keys.fetch_sub(entries.len(), Relaxed);
            self.items.fetch_sub(items, Relaxed);
            entries
        });
        all.filter(|entries| !entries.is_empty()).collect()
    }
}

/// Gives room back that is not needed any more; who looks for any key is to find one soon.
fn shrink(entries: &mut Entries) {
    if entries.capacity() > KEYS_KEPT && entries.len() < entries.capacity() / 8 {
        entries.shrink_to(2 * entries.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::tracking::tracker::Modes;

    fn tracker(id: u64) -> Arc<Tracker> {
        Arc::new(Tracker::new(id, Modes::default()))
    }

    #[test]
    fn each_reader_is_told_once() {
        let table = Table::new();
        let trackers = [1, 2, 3].map(tracker);
        let key = Key::new(b"key");
        for tracker in &trackers {
            assert_eq!(table.add(key, tracker), Some(1));
            assert_eq!(table.add(key, tracker), None);
        }
        assert_eq!((table.keys(), table.items()), (1, 3));
        table.remove(key, &trackers[1], || ());
        table.remove(key, &trackers[1], || panic!("it does not stand there any more"));
        let mut told = Vec::new();
        table.take(key, |tracker| told.push(tracker.client_id()));
        told.sort_unstable();
        assert_eq!(told, [1, 3]);
        table.take(key, |_| panic!("nobody has read it"));
        assert_eq!((table.keys(), table.items()), (0, 0));
        assert!(trackers[0].take_all().is_empty());
    }

    #[test]
    fn who_has_ended_is_not_entered() {
        let (table, tracker) = (Table::new(), tracker(1));
        assert_eq!(table.add(Key::new(b"one"), &tracker), Some(1));
        tracker.end();
        assert_eq!(table.add(Key::new(b"two"), &tracker), None);
        assert_eq!((table.keys(), table.items()), (1, 1));
        for key in tracker.take_some(10) {
            table.remove(Key::new(&key), &tracker, || ());
        }
        assert_eq!((table.keys(), table.items()), (0, 0));
    }

    #[test]
    fn another_key_goes_where_there_are_too_many() {
        let (table, tracker) = (Table::new(), tracker(1));
        for key in [b"one", b"two"] {
            table.add(Key::new(key), &tracker);
        }
        let mut gone = Vec::new();
        table.take_other(b"two", |_, key| gone.push(key.to_vec()));
        table.take_other(b"two", |_, key| gone.push(key.to_vec()));
        assert_eq!((gone, table.keys()), (vec![b"one".to_vec()], 1));
    }

    #[test]
    fn nothing_is_left_of_everything() {
        let (table, tracker) = (Table::new(), tracker(1));
        for number in 0..1000_u32 {
            table.add(Key::new(&number.to_le_bytes()), &tracker);
        }
        let all: usize = table.take_all().iter().map(HashMap::len).sum();
        assert_eq!((all, table.keys(), table.items()), (1000, 0, 0));
    }
}
