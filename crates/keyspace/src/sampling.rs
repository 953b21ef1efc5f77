//! Sampling a shard: random keys, random keys that expire, the key that expires next; and evicting one.
//!
//! Eviction compares a few random keys instead of keeping all keys in an order, as Redis does: no list to maintain on each
//! access, and with a pool of the best candidates nearly as good. The table has no random access, but its probing has: a
//! random hash leads to a random group of slots, and finds there, now and then, a slot whose seven bits are the hash's.
//! About ten tries of some nanoseconds give one key, whatever the size of the table. A small table is walked instead.

use crate::effects::EventClass;
use crate::entry::Entry;
use crate::expiry_index::Expiry;
use crate::hashing;
use crate::interest::fate::Fate;
use crate::key::Key;
use crate::placement;
use crate::random::Random;
use crate::store::{BURIED_BYTES_MIN, LAZYFREE_EFFORT_MIN, Store};
use crate::value::Kind;
use crate::view::View;

/// Tables of up to so many keys are walked.
const WALKED_LEN_MAX: usize = 64;
/// Probes for each key that is wanted; the rest is walked to.
const PROBES_PER_KEY: usize = 64;
/// Random shards that are tried before they are looked at in order.
const SHARDS_TRIED: usize = 16;
/// What freeing one allocation of a collection gives back, in bytes, for an estimate.
const ALLOCATION_BYTES: usize = 64;

/// Which keys of a database are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// All.
    All,
    /// Those that expire.
    Expiring,
}

impl Among {
    /// How many keys of a shard are meant.
    pub fn count(self, store: &Store, db: usize, shard: usize) -> usize {
        match self {
            Self::All => store.keys_in_shard(db, shard),
            Self::Expiring => store.expiring_keys_in_shard(db, shard),
        }
    }

    /// Whether this key is meant.
    fn has(self, entry: &Entry) -> bool {
        self == Self::All || entry.expire_at_ms().is_some()
    }
}

impl Store {
    /// A shard that has some of these keys of the database; `None` if none has. A shard is as likely as a key is to
    /// be in it (the shares of `placement`), so a key of a random shard is a random key. O(1) unless most shards are empty.
    pub fn random_shard(&self, db: usize, among: Among, random: &Random) -> Option<usize> {
        let has_some = |shard: &usize| among.count(self, db, *shard) > 0;
        let draw = || self.shard_of(placement::staggered(random.next()));
        let tried = (0..SHARDS_TRIED).map(|_| draw()).find(has_some);
        tried.or_else(|| {
            let start = draw();
            (start..self.shards()).chain(0..start).find(has_some)
        })
    }
}

impl View<'_> {
    /// Calls `each` with up to `count` random keys of the selected database in `shard`, expired ones included; one may come
    /// twice. O(count), and for keys that expire and are few among others O(n) in their number.
    pub fn sample(&self, shard: usize, among: Among, count: usize, mut each: impl FnMut(&Entry)) {
        let expiring = self.store().expiring_keys_in_shard(self.db(), shard);
        if among == Among::Expiring && expiring < self.store().keys_in_shard(self.db(), shard) / 4 {
            return self.sample_index(shard, count, each);
        }
        let table = self.table(shard);
        let mut left = count;
        if table.len() > WALKED_LEN_MAX {
            for _ in 0..count * PROBES_PER_KEY {
                if left == 0 {
                    return;
                }
                let found = table.iter_hash(self.random().next()).next();
                if let Some((entry, ())) = found
                    && among.has(entry)
                {
                    each(entry);
                    left -= 1;
                }
            }
        }
        let start = self.random().below(table.len().max(1));
        let entries = table.iter().skip(start).chain(table.iter().take(start));
        entries.map(|(entry, ())| entry).filter(|entry| among.has(entry)).take(left).for_each(each);
    }

    /// As `sample`, by the index of expiries: neighbours in it from a random place on.
    fn sample_index(&self, shard: usize, count: usize, mut each: impl FnMut(&Entry)) {
        let index = &self.state(shard).expiries;
        let start = self.random().below(index.len(self.db()).max(1));
        for expiry in index.around(self.db(), start).take(count) {
            if let Some(entry) = self.expiring_at(shard, expiry) {
                each(entry);
            }
        }
    }

    fn expiring_at(&self, shard: usize, expiry: Expiry) -> Option<&Entry> {
        let Expiry { at_ms, hash } = expiry;
        let mut entries = self.table(shard).iter_hash(hash).map(|(entry, ())| entry);
        entries.find(|entry| entry.expire_at_ms() == Some(at_ms) && hashing::key_hash(entry.key()) == hash)
    }

    /// The key of the selected database that expires next of those in `shard`. O(log n).
    pub fn next_to_expire(&self, shard: usize) -> Option<&Entry> {
        self.expiring_at(shard, self.state(shard).expiries.first(self.db())?)
    }

    /// Deletes the key to make room, and reports it: watchers, the event `evicted`, the deletion for the journal. The
    /// bytes, estimated, that are still to be freed by another thread; `None` if the key is not there.
    pub fn evict(&mut self, key: Key<'_>) -> Option<usize> {
        let entry = self.take(key)?;
        let effort = if entry.kind() == Kind::String { 0 } else { entry.effort() };
        let bytes = entry.bytes().len().max(effort * ALLOCATION_BYTES);
        let is_buried = effort > LAZYFREE_EFFORT_MIN || entry.bytes().len() > BURIED_BYTES_MIN;
        self.free(entry);
        self.shrink_table(self.store().shard_of(key.hash));
        self.effects.leave();
        self.effects.expired.push((self.db() as u32, key.bytes.into()));
        self.note(key, Fate::Evicted);
        self.notify(EventClass::EVICTED, "evicted", key.bytes);
        Some(if is_buried { bytes } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{Access, Bank, Covered, Effects};

    /// A view of one shard with so many keys; each fourth, eighth, ... expires.
    fn with_keys(keys: usize, expiring_each: usize, check: impl FnOnce(&mut View<'_>)) {
        let store = Store::new(2, 1, Bank::new(2), Box::new(|| Bank::new(2)));
        let (random, mut effects) = (Random::new(7), Effects::default());
        // SAFETY: nobody else has the store.
        let mut view =
            unsafe { View::new(&store, Covered::All, Access::Write, 0, 1000, &random, &mut effects) };
        for key in 0..keys {
            let name = format!("key:{key}");
            let expiry = key.is_multiple_of(expiring_each).then_some(10_000 + key as u64);
            view.set_string(Key::new(name.as_bytes()), b"value", expiry);
        }
        check(&mut view);
    }

    fn sample_counts(view: &View<'_>, among: Among, rounds: usize) -> HashMap<Vec<u8>, usize> {
        let mut counts = HashMap::new();
        for _ in 0..rounds {
            for shard in 0..2 {
                view.sample(shard, among, 5, |entry| *counts.entry(entry.key().to_vec()).or_default() += 1);
            }
        }
        counts
    }

    #[test]
    fn each_key_is_sampled_about_as_often() {
        for (keys, expiring_each) in [(40, 1), (2000, 1), (2000, 3), (2000, 50)] {
            with_keys(keys, expiring_each, |view| {
                for among in [Among::All, Among::Expiring] {
                    let meant = if among == Among::All { keys } else { keys.div_ceil(expiring_each) };
                    let rounds = meant * 20;
                    let counts = sample_counts(view, among, rounds);
                    assert_eq!(
                        counts.values().sum::<usize>(),
                        rounds * 10,
                        "{keys} {expiring_each} {among:?}"
                    );
                    assert_eq!(counts.len(), meant, "every key has a chance");
                    // 200 are expected of each; a group of slots with few keys in it offers each of them more often.
                    let most = counts.values().max().copied().unwrap_or(0);
                    assert!(most < 2000, "{keys} {expiring_each} {among:?}: {most}");
                }
            });
        }
    }

    #[test]
    fn a_sample_of_nothing_is_empty() {
        with_keys(0, 1, |view| {
            assert!(sample_counts(view, Among::All, 3).is_empty());
            assert_eq!(view.store().random_shard(0, Among::All, view.random()), None);
            assert!(view.next_to_expire(0).is_none());
        });
    }

    #[test]
    fn what_is_evicted_is_gone_and_reported() {
        with_keys(100, 10, |view| {
            view.effects.notify_mask = EventClass::EVICTED.0;
            let key = Key::new(b"key:10");
            let shard = view.store().shard_of(key.hash);
            let next = view.next_to_expire(shard).map(|entry| entry.expire_at_ms());
            assert!(next.flatten().is_some_and(|at_ms| at_ms <= 10_010));
            assert_eq!(view.evict(key), Some(0));
            assert!(view.lookup(key).is_none());
            assert_eq!(view.evict(key), None);
            assert_eq!(view.effects.expired, [(0, b"key:10"[..].into())]);
            assert_eq!(view.effects.events.iter().map(|event| event.name).collect::<Vec<_>>(), ["evicted"]);
            assert_eq!(view.store().expiring_keys(0), 9);
        });
    }
}
