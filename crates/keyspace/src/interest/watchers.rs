//! Who watches a key: kept in the order of database and address, so that one among many is found quickly.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use smallvec::SmallVec;

/// Set when a key that a client watches has changed: its EXEC answers nil.
#[derive(Debug, Default)]
pub struct WatchFlag {
    /// Whether one of the watched keys was touched.
    pub is_dirty: AtomicBool,
}

/// Who watches a key, in any database, in order.
pub(crate) type Watchers = SmallVec<[(u32, Arc<WatchFlag>); 1]>;

pub(super) fn place(watchers: &Watchers, db: u32, flag: *const WatchFlag) -> Result<usize, usize> {
    watchers.binary_search_by_key(&(db, flag as usize), |(db, flag)| (*db, Arc::as_ptr(flag) as usize))
}

/// Those of one database.
pub(super) fn of_db(watchers: &Watchers, db: u32) -> impl Iterator<Item = &Arc<WatchFlag>> {
    let first = watchers.partition_point(|(of, _)| *of < db);
    watchers[first..].iter().take_while(move |(of, _)| *of == db).map(|(_, flag)| flag)
}
