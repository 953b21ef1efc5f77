//! Snapshots: the keys as they were at one moment, collected while everybody goes on working.
//!
//! A snapshot begins under a view of everything: each shard is told to preserve. From then on whoever is about to change
//! a key of such a shard for the first time encodes it first, as it still is, and hands it over; then the shards are visited
//! one by one, and the rest of each is encoded under a view of it alone. So nobody waits for more than the encoding of one shard
//! or one value, nothing is copied but what changes, and there is no fork.
//!
//! A shard remembers by name which keys were preserved, or made, since the beginning: it costs memory for what is written
//! during the snapshot only, and nothing in the entries. A bit per entry was rejected: after a snapshot that was given up
//! half-way it would have to be walked right again. Epochs in the entries cost 8 bytes each.
//!
//! A database that is emptied hands its tables over instead of encoding them at once, and a swap of two databases swaps
//! what their shards remember: a database goes by its number at the beginning.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::entry::Entry;
use crate::store::{Key, Table, notice};
use crate::view::{Access, Covered, View};

/// Encodes an entry behind what is there already.
pub type Encode = dyn Fn(&Entry, &mut Vec<u8>) + Send + Sync;

/// Encoded keys are handed over in parts of about this size, in bytes.
const PART_BYTES: usize = 64 << 10;

/// Bytes of encoded keys that wait to be written. No eviction frees them: each adds to them.
static WAITING_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes of encoded keys that snapshots have preserved and not written yet, about.
pub fn waiting_bytes() -> usize {
    WAITING_BYTES.load(Relaxed)
}

/// Bytes that are among [`waiting_bytes`] for as long as this lives.
#[derive(Default)]
pub struct Waits(usize);

impl Waits {
    fn grow_to(&mut self, bytes: usize) {
        WAITING_BYTES.fetch_add(bytes - self.0, Relaxed);
        self.0 = bytes;
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        WAITING_BYTES.fetch_sub(self.0, Relaxed);
    }
}

/// Something that was preserved.
pub enum Preserved {
    /// Encoded keys.
    Encoded {
        /// Their database.
        db: usize,
        /// One behind the other.
        bytes: Vec<u8>,
        /// Until they are written.
        waits: Waits,
    },
    /// The keys of an emptied database in one shard.
    Emptied(Emptied),
}

/// A table that left the store with keys that are not encoded yet.
pub struct Emptied {
    /// Its database.
    pub db: usize,
    table: Table,
    touched: HashSet<Box<[u8]>>,
}

impl Emptied {
    /// Calls `each` with the keys that are to be encoded.
    pub fn for_each(&self, mut each: impl FnMut(&Entry)) {
        for (entry, ()) in &self.table {
            if !self.touched.contains(entry.key()) {
                each(entry);
            }
        }
    }
}

/// Where a snapshot's keys are handed over.
#[derive(Default)]
pub struct Handover {
    parts: Mutex<Vec<Preserved>>,
}

impl Handover {
    fn give(&self, part: Preserved) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    /// All that was handed over since the last call.
    pub fn take(&self) -> Vec<Preserved> {
        std::mem::take(&mut *self.parts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a database of a shard remembers.
struct Database {
    /// Its number now.
    db: usize,
    /// Its number when the snapshot began.
    number: usize,
    /// Keys that were preserved, or have come into being, since.
    touched: HashSet<Box<[u8]>>,
    /// Whether there is nothing to preserve any more: it was emptied.
    is_done: bool,
}

/// What a shard remembers from the beginning of a snapshot to its visit.
pub(crate) struct Preserving {
    /// Those of which something is to be remembered, in no order.
    databases: Vec<Database>,
    encode: Arc<Encode>,
    handover: Arc<Handover>,
    buffer: Vec<u8>,
    buffer_db: usize,
    waits: Waits,
}

impl Preserving {
    fn new(encode: Arc<Encode>, handover: Arc<Handover>) -> Self {
        Self {
            databases: Vec::new(),
            encode,
            handover,
            buffer: Vec::new(),
            buffer_db: 0,
            waits: Waits::default(),
        }
    }

    /// What the database that is `db` now remembers.
    fn database(&mut self, db: usize) -> &mut Database {
        let place = self.databases.iter().position(|database| database.db == db).unwrap_or_else(|| {
            self.databases.push(Database { db, number: db, touched: HashSet::new(), is_done: false });
            self.databases.len() - 1
        });
        &mut self.databases[place]
    }

    fn swap(&mut self, first: usize, second: usize) {
        // What is not remembered yet has to be now: its number changes.
        for db in [first, second] {
            self.database(db);
        }
        for database in &mut self.databases {
            database.db = match database.db {
                db if db == first => second,
                db if db == second => first,
                db => db,
            };
        }
    }

    fn preserve(&mut self, db: usize, key: &[u8], entry: Option<&Entry>) {
        let database = self.database(db);
        if database.is_done || database.touched.contains(key) {
            return;
        }
        database.touched.insert(key.into());
        let number = database.number;
        let Some(entry) = entry else { return };
        if number != self.buffer_db {
            self.hand_over();
            self.buffer_db = number;
        }
        (self.encode)(entry, &mut self.buffer);
        self.waits.grow_to(self.buffer.len());
        if self.buffer.len() >= PART_BYTES {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if !self.buffer.is_empty() {
            let bytes = std::mem::take(&mut self.buffer);
            let waits = std::mem::take(&mut self.waits);
            self.handover.give(Preserved::Encoded { db: self.buffer_db, bytes, waits });
        }
    }
}

impl View<'_> {
    /// Begins a snapshot: `encode` will see each key as it is now, and `handover` gets what others preserve. The view covers
    /// everything, exclusively. O(shards).
    pub fn begin_snapshot(&mut self, encode: &Arc<Encode>, handover: &Arc<Handover>) {
        assert!(
            self.covered() == Covered::All && self.access() == Access::Write,
            "a snapshot begins under a view of everything"
        );
        for shard in 0..self.store().shards() {
            let preserving = Preserving::new(encode.clone(), handover.clone());
            self.state_mut(shard).preserving = Some(Box::new(preserving));
        }
        self.store().notices.fetch_or(notice::PRESERVING, Relaxed);
    }

    /// Visits a shard of the snapshot: `each` gets the keys that nobody has preserved, with their databases. The shard is
    /// done then. O(keys of the shard).
    pub fn visit_shard(&mut self, shard: usize, mut each: impl FnMut(usize, &Entry)) {
        let Some(mut preserving) = self.state_mut(shard).preserving.take() else { return };
        preserving.hand_over();
        let selected = self.db();
        for db in self.store().databases_in_use() {
            if self.store().keys_in_shard(db, shard) == 0 {
                continue;
            }
            let database = preserving.database(db);
            if database.is_done {
                continue;
            }
            self.select(db);
            let is_untouched = database.touched.is_empty();
            let table = self.table(shard);
            crate::store::for_each_prefetched(table, |entry| {
                if is_untouched || !database.touched.contains(entry.key()) {
                    each(database.number, entry);
                }
            });
        }
        self.select(selected);
    }

    /// Ends a snapshot in a shard without a visit, when it is given up.
    pub fn leave_shard(&mut self, shard: usize) {
        self.state_mut(shard).preserving = None;
    }

    /// Whether a field of some hash expires, or did when it was last looked at. The view covers everything. O(shards).
    pub fn has_expiring_fields(&self) -> bool {
        (0..self.store().shards()).any(|shard| !self.state(shard).field_expiries.is_empty())
    }

    /// Preserves the key, as it still is, before its first change during a snapshot.
    #[cold]
    pub(crate) fn preserve(&mut self, shard: usize, key: Key<'_>) {
        let Some(mut preserving) = self.state_mut(shard).preserving.take() else { return };
        preserving.preserve(self.db(), key.bytes, self.lookup(key));
        self.state_mut(shard).preserving = Some(preserving);
    }

    /// Hands the table of the emptied selected database over if a snapshot needs it; otherwise gives it back.
    pub(crate) fn preserve_table(&mut self, shard: usize, table: Table) -> Option<Table> {
        let db = self.db();
        let Some(preserving) = self.state_mut(shard).preserving.as_mut() else { return Some(table) };
        let database = preserving.database(db);
        if std::mem::replace(&mut database.is_done, true) {
            return Some(table);
        }
        let touched = std::mem::take(&mut database.touched);
        let db = database.number;
        preserving.handover.give(Preserved::Emptied(Emptied { db, table, touched }));
        None
    }

    /// Has two databases' memories change places with their tables.
    pub(crate) fn swap_preserved(&mut self, shard: usize, first: usize, second: usize) {
        if let Some(preserving) = self.state_mut(shard).preserving.as_mut() {
            preserving.swap(first, second);
        }
    }
}

impl crate::store::Store {
    /// Says that no shard preserves any more: all were visited or left.
    pub fn end_snapshot(&self) {
        self.notices.fetch_and(!notice::PRESERVING, Relaxed);
    }
}
