//! What expires in a shard, by time: an order for each database that has something that does.
//!
//! There may be ten thousand databases, and few of them have keys that expire in a shard: only these have an order of their own.
//! How the order is kept is known here alone, so that another structure can take the tree's place.

use std::collections::BTreeSet;

/// What expires when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expiry {
    /// In Unix ms.
    pub(crate) at_ms: u64,
    /// The key's hash.
    pub(crate) hash: u64,
}

/// The index of a shard.
#[derive(Debug, Default)]
pub(crate) struct ExpiryIndex {
    /// None of them empty, in the order of their databases.
    databases: Vec<(usize, BTreeSet<Expiry>)>,
}

impl ExpiryIndex {
    fn place(&self, db: usize) -> Result<usize, usize> {
        // Mostly there is one, or none.
        self.databases.binary_search_by_key(&db, |(of, _)| *of)
    }

    #[inline]
    fn of(&self, db: usize) -> Option<&BTreeSet<Expiry>> {
        self.place(db).ok().map(|place| &self.databases[place].1)
    }

    /// Adds what expires in `db`; once, however often it is added. O(log n).
    pub(crate) fn insert(&mut self, db: usize, expiry: Expiry) {
        let place = self.place(db).unwrap_or_else(|place| {
            self.databases.insert(place, (db, BTreeSet::new()));
            place
        });
        self.databases[place].1.insert(expiry);
    }

    /// Forgets it, if it is there. O(log n).
    pub(crate) fn remove(&mut self, db: usize, expiry: Expiry) {
        let Ok(place) = self.place(db) else { return };
        let order = &mut self.databases[place].1;
        order.remove(&expiry);
        if order.is_empty() {
            self.databases.remove(place);
        }
    }

    /// What expires next in `db`. O(log n).
    #[inline]
    pub(crate) fn first(&self, db: usize) -> Option<Expiry> {
        self.of(db)?.first().copied()
    }

    /// What expires next in `db`, if its time has come. O(log n).
    #[inline]
    pub(crate) fn first_due(&self, db: usize, now_ms: u64) -> Option<Expiry> {
        self.first(db).filter(|expiry| expiry.at_ms <= now_ms)
    }

    /// When the next of all databases expires.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.databases.iter().filter_map(|(_, order)| order.first()).map(|expiry| expiry.at_ms).min()
    }

    /// How much expires in `db`. O(1).
    pub(crate) fn len(&self, db: usize) -> usize {
        self.of(db).map_or(0, BTreeSet::len)
    }

    /// All of `db`, from the `start`-th in the order of time on and around once. O(start) to begin with.
    pub(crate) fn around(&self, db: usize, start: usize) -> impl Iterator<Item = Expiry> {
        let order = self.of(db).into_iter();
        order.flat_map(move |order| order.iter().skip(start).chain(order.iter().take(start)).copied())
    }

    /// Forgets all of `db`.
    pub(crate) fn clear(&mut self, db: usize) {
        if let Ok(place) = self.place(db) {
            self.databases.remove(place);
        }
    }

    /// Has two databases change places.
    pub(crate) fn swap(&mut self, first: usize, second: usize) {
        for (db, _) in &mut self.databases {
            *db = match *db {
                db if db == first => second,
                db if db == second => first,
                db => db,
            };
        }
        self.databases.sort_unstable_by_key(|(db, _)| *db);
    }

    /// The databases that have something that expires, ascending.
    pub(crate) fn databases(&self) -> impl Iterator<Item = usize> {
        self.databases.iter().map(|(db, _)| *db)
    }

    /// Whether nothing expires in any database.
    pub(crate) fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expiry(at_ms: u64, hash: u64) -> Expiry {
        Expiry { at_ms, hash }
    }

    #[test]
    fn only_what_has_expiries_has_an_order() {
        let mut index = ExpiryIndex::default();
        assert!(index.is_empty() && index.len(9_999) == 0 && index.next_ms().is_none());
        for db in [7, 9_999, 0] {
            index.insert(db, expiry(100 + db as u64, 1));
        }
        index.insert(7, expiry(50, 2));
        assert_eq!(index.databases().collect::<Vec<_>>(), [0, 7, 9_999]);
        assert_eq!((index.len(7), index.next_ms()), (2, Some(50)));
        index.swap(7, 8);
        index.swap(0, 9_999);
        assert_eq!(index.databases().collect::<Vec<_>>(), [0, 8, 9_999]);
        assert_eq!(index.first(0), Some(expiry(10_099, 1)));
        index.remove(8, expiry(50, 2));
        index.remove(8, expiry(107, 1));
        index.remove(8, expiry(107, 1));
        index.clear(0);
        assert_eq!(index.databases().collect::<Vec<_>>(), [9_999]);
    }

    #[test]
    fn what_is_due_comes_in_the_order_of_time() {
        let mut index = ExpiryIndex::default();
        [30, 10, 20].iter().for_each(|at_ms| index.insert(3, expiry(*at_ms, *at_ms)));
        assert_eq!((index.first_due(3, 9), index.first_due(3, 10)), (None, Some(expiry(10, 10))));
        assert_eq!(index.first_due(4, 10), None);
        let around: Vec<u64> = index.around(3, 1).map(|expiry| expiry.at_ms).collect();
        assert_eq!(around, [20, 30, 10]);
    }
}
