//! The table of a shard.

use crate::entry::Entry;

/// The entries of one database in one shard, each in a slot of eight bytes (`slot`). The unit makes it the table that
/// `DashMap<Entry, ()>` has.
pub type Table = hashbrown::HashTable<(Entry, ())>;
