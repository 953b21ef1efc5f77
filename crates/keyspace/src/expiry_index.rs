//! What expires in a shard, by time: an ordered index for each database that has something that does.
//!
//! There may be ten thousand databases, and few of them have keys that expire in a shard: only these have an index.

use std::collections::BTreeSet;

/// (expiry in Unix ms, hash of the key).
pub(crate) type Expiry = (u64, u64);

static EMPTY: BTreeSet<Expiry> = BTreeSet::new();

/// The indexes of a shard, none of them empty, in the order of their databases.
#[derive(Debug, Default)]
pub(crate) struct ExpiryIndexes(Vec<(usize, BTreeSet<Expiry>)>);

impl ExpiryIndexes {
    fn place(&self, db: usize) -> Result<usize, usize> {
        // Mostly there is one, or none.
        self.0.binary_search_by_key(&db, |(of, _)| *of)
    }

    /// The index of `db`.
    #[inline]
    pub(crate) fn of(&self, db: usize) -> &BTreeSet<Expiry> {
        self.place(db).map_or(&EMPTY, |place| &self.0[place].1)
    }

    pub(crate) fn insert(&mut self, db: usize, expiry: Expiry) {
        let place = self.place(db).unwrap_or_else(|place| {
            self.0.insert(place, (db, BTreeSet::new()));
            place
        });
        self.0[place].1.insert(expiry);
    }

    pub(crate) fn remove(&mut self, db: usize, expiry: Expiry) {
        let Ok(place) = self.place(db) else { return };
        let index = &mut self.0[place].1;
        index.remove(&expiry);
        if index.is_empty() {
            self.0.remove(place);
        }
    }

    /// Forgets all of `db`.
    pub(crate) fn clear(&mut self, db: usize) {
        if let Ok(place) = self.place(db) {
            self.0.remove(place);
        }
    }

    /// Has two databases change places.
    pub(crate) fn swap(&mut self, first: usize, second: usize) {
        for (db, _) in &mut self.0 {
            *db = match *db {
                db if db == first => second,
                db if db == second => first,
                db => db,
            };
        }
        self.0.sort_unstable_by_key(|(db, _)| *db);
    }

    /// The databases that have something that expires, ascending.
    pub(crate) fn databases(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|(db, _)| *db)
    }

    /// When the next of all databases expires.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.0.iter().filter_map(|(_, index)| index.first()).map(|(at_ms, _)| *at_ms).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_expiries_has_an_index() {
        let mut indexes = ExpiryIndexes::default();
        assert!(indexes.is_empty() && indexes.of(9_999).is_empty() && indexes.next_ms().is_none());
        for db in [7, 9_999, 0] {
            indexes.insert(db, (100 + db as u64, 1));
        }
        indexes.insert(7, (50, 2));
        assert_eq!(indexes.databases().collect::<Vec<_>>(), [0, 7, 9_999]);
        assert_eq!((indexes.of(7).len(), indexes.next_ms()), (2, Some(50)));
        indexes.swap(7, 8);
        indexes.swap(0, 9_999);
        assert_eq!(indexes.databases().collect::<Vec<_>>(), [0, 8, 9_999]);
        assert_eq!(indexes.of(0).first(), Some(&(10_099, 1)));
        indexes.remove(8, (50, 2));
        indexes.remove(8, (107, 1));
        indexes.remove(8, (107, 1));
        indexes.clear(0);
        assert_eq!(indexes.databases().collect::<Vec<_>>(), [9_999]);
    }
}
