//! What a shard remembers during a snapshot, and where it hands over what it has preserved.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::entry::Entry;
use crate::table::Table;

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
    pub(super) table: Table,
    pub(super) touched: HashSet<Box<[u8]>>,
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
    pub(super) fn give(&self, part: Preserved) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    /// All that was handed over since the last call.
    pub fn take(&self) -> Vec<Preserved> {
        std::mem::take(&mut *self.parts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a database of a shard remembers.
pub(super) struct Database {
    /// Its number now.
    pub(super) db: usize,
    /// Its number when the snapshot began.
    pub(super) number: usize,
    /// Keys that were preserved, or have come into being, since.
    pub(super) touched: HashSet<Box<[u8]>>,
    /// Whether there is nothing to preserve any more: it was emptied.
    pub(super) is_done: bool,
}

/// What a shard remembers from the beginning of a snapshot to its visit.
pub(crate) struct Preserving {
    /// Those of which something is to be remembered, in no order.
    databases: Vec<Database>,
    encode: Arc<Encode>,
    pub(super) handover: Arc<Handover>,
    buffer: Vec<u8>,
    buffer_db: usize,
    waits: Waits,
}

impl Preserving {
    pub(super) fn new(encode: Arc<Encode>, handover: Arc<Handover>) -> Self {
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
    pub(super) fn database(&mut self, db: usize) -> &mut Database {
        let place = self.databases.iter().position(|database| database.db == db).unwrap_or_else(|| {
            self.databases.push(Database { db, number: db, touched: HashSet::new(), is_done: false });
            self.databases.len() - 1
        });
        &mut self.databases[place]
    }

    pub(super) fn swap(&mut self, first: usize, second: usize) {
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

    pub(super) fn preserve(&mut self, db: usize, key: &[u8], entry: Option<&Entry>) {
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

    pub(super) fn hand_over(&mut self) {
        if !self.buffer.is_empty() {
            let bytes = std::mem::take(&mut self.buffer);
            let waits = std::mem::take(&mut self.waits);
            self.handover.give(Preserved::Encoded { db: self.buffer_db, bytes, waits });
        }
    }
}
