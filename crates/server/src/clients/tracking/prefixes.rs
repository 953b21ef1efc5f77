//! Who is told of all keys that begin with something, whoever has read them (BCAST).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::tracker::Tracker;

/// Trackers by the prefixes of the keys that they are told of.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    trackers: HashMap<Box<[u8]>, Vec<Arc<Tracker>>>,
    /// How many prefixes there are of each length: a key is looked up once for each.
    lengths: BTreeMap<usize, usize>,
}

impl Prefixes {
    /// A tracker is told of keys with this prefix too.
    pub(super) fn add(&mut self, prefix: &[u8], tracker: &Arc<Tracker>) {
        if !self.trackers.contains_key(prefix) {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        self.trackers.entry(prefix.into()).or_default().push(tracker.clone());
    }

    /// A tracker is not told of keys with this prefix any more. O(trackers of the prefix).
    pub(super) fn remove(&mut self, prefix: &[u8], tracker: &Arc<Tracker>) {
        let Some(trackers) = self.trackers.get_mut(prefix) else { return };
        trackers.retain(|other| !Arc::ptr_eq(other, tracker));
        if !trackers.is_empty() {
            return;
        }
        self.trackers.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    /// The prefixes that a key begins with, the shortest first. O(lengths of prefixes).
    pub(super) fn of<'p>(&'p self, key: &'p [u8]) -> impl Iterator<Item = &'p [u8]> {
        let lengths = self.lengths.keys().take_while(|length| **length <= key.len());
        lengths.map(|length| &key[..*length]).filter(|prefix| self.trackers.contains_key(*prefix))
    }

    /// Who is told of keys with this prefix.
    pub(super) fn trackers(&self, prefix: &[u8]) -> &[Arc<Tracker>] {
        self.trackers.get(prefix).map_or(&[], Vec::as_slice)
    }

    /// How many prefixes there are.
    pub(super) fn len(&self) -> usize {
        self.trackers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::tracking::tracker::Modes;

    #[test]
    fn a_key_has_the_prefixes_that_it_begins_with() {
        let [one, two] = [1, 2].map(|id| Arc::new(Tracker::new(id, Modes::BCAST)));
        let mut prefixes = Prefixes::default();
        prefixes.add(b"", &one);
        prefixes.add(b"us", &two);
        prefixes.add(b"user:", &one);
        prefixes.add(b"user:", &two);
        let check = |prefixes: &Prefixes, key: &[u8], expected: &[&[u8]]| {
            assert_eq!(prefixes.of(key).collect::<Vec<_>>(), expected);
        };
        check(&prefixes, b"user:1", &[b"", b"us", b"user:"]);
        check(&prefixes, b"use", &[b"", b"us"]);
        check(&prefixes, b"", &[b""]);
        assert_eq!((prefixes.trackers(b"user:").len(), prefixes.len()), (2, 3));
        prefixes.remove(b"user:", &one);
        prefixes.remove(b"us", &two);
        check(&prefixes, b"user:1", &[b"", b"user:"]);
        prefixes.remove(b"user:", &two);
        prefixes.remove(b"", &one);
        check(&prefixes, b"user:1", &[]);
        assert!(prefixes.lengths.is_empty() && prefixes.trackers.is_empty());
    }
}
