//! What a command did besides changing values: collected while it runs, acted on in one place (`settle`).
//!
//! A handler says that it changed a key and how the event is called; it never journals, notifies or wakes. What must
//! happen while the view is held (watchers) the view does itself; the rest is listed here.

use std::cell::{Cell, RefCell};

use crate::interest::fate::{self, Change, DbKey};
use crate::interest::queue::{Ready, Wakes};
use crate::key::Key;

/// Classes of keyspace events, as the letters of `notify-keyspace-events` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventClass(pub u32);

impl EventClass {
    /// `K`: publish to `__keyspace@db__:key`.
    pub const KEYSPACE: Self = Self(1);
    /// `E`: publish to `__keyevent@db__:event`.
    pub const KEYEVENT: Self = Self(1 << 1);
    /// `g`: generic commands.
    pub const GENERIC: Self = Self(1 << 2);
    /// `$`: strings.
    pub const STRING: Self = Self(1 << 3);
    /// `l`: lists.
    pub const LIST: Self = Self(1 << 4);
    /// `s`: sets.
    pub const SET: Self = Self(1 << 5);
    /// `h`: hashes.
    pub const HASH: Self = Self(1 << 6);
    /// `z`: sorted sets.
    pub const ZSET: Self = Self(1 << 7);
    /// `x`: expired.
    pub const EXPIRED: Self = Self(1 << 8);
    /// `e`: evicted.
    pub const EVICTED: Self = Self(1 << 9);
    /// `t`: streams.
    pub const STREAM: Self = Self(1 << 10);
    /// `m`: a read that missed; not part of `A`.
    pub const KEY_MISS: Self = Self(1 << 11);
    /// `d`: modules.
    pub const MODULE: Self = Self(1 << 12);
    /// `n`: a new key; not part of `A`.
    pub const NEW: Self = Self(1 << 13);
}

/// A keyspace event to publish.
#[derive(Debug)]
pub struct Event {
    /// Its class.
    pub class: EventClass,
    /// Its name (`lpush`, `del`, `expired`).
    pub name: &'static str,
    /// The database.
    pub db: usize,
    /// The key.
    pub key: Box<[u8]>,
}

/// What a blocking command waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockRequest {
    /// When it gives up, in Unix milliseconds; 0 never.
    pub until_ms: u64,
    /// The type that serves it.
    pub kind: crate::Kind,
    /// Whether serving needs more keys than the one that became ready.
    pub needs_more_keys: bool,
    /// What becomes of its keys that it is woken by.
    pub wakes_on: Wakes,
    /// The arguments that it waits with, where they are others than it came with: what they say of the moment of asking is
    /// written out (XREAD's `$`). They have the same keys.
    pub instead: Option<Vec<Vec<u8>>>,
}

impl BlockRequest {
    /// A wait until `until_ms` for a key of this type to come into being.
    pub fn new(until_ms: u64, kind: crate::Kind) -> Self {
        Self { until_ms, kind, needs_more_keys: false, wakes_on: Wakes::CREATED, instead: None }
    }
}

/// In which form a change is handed on to the journal.
#[derive(Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The command as it came, if it changed anything.
    Verbatim,
    /// These commands in its place: effects that replay the same whenever they are replayed.
    Instead(Vec<Vec<Vec<u8>>>),
}

/// What a command has done so far.
#[derive(Clone, Copy, Debug)]
pub struct Marks(u8);

/// Collects the effects of one command (or of one transaction, before it is settled).
#[derive(Debug)]
pub struct Effects {
    /// Changes to the data set, counted as Redis's `rdb_changes_since_last_save` counts them.
    pub dirty: u64,
    /// Which event classes somebody wants (`notify-keyspace-events`); 0 collects none.
    pub notify_mask: u32,
    /// Events to publish, in order.
    pub events: Vec<Event>,
    /// Keys of which something became that somebody waits for, in order.
    pub ready: Vec<Ready>,
    /// What has become of keys, while somebody has it listed ([`crate::View::begin_listing`]).
    pub(crate) changes: Vec<Change>,
    /// How many of these somebody has been told of, who hears of each command apart.
    told_changes: usize,
    /// In which form the command is journalled.
    pub propagation: Propagation,
    /// Whether that is in words which servers before Redis 7.4 do not know.
    pub is_newer: bool,
    /// Deletions of expired and evicted keys that precede the command in the journal.
    pub expired: Vec<DbKey>,
    /// Fields of hashes that expired, whose deletion precedes the command in the journal (as `HDEL`).
    pub expired_fields_of: Vec<(DbKey, Vec<Vec<u8>>)>,
    /// What has happened since the command began: [`Effects::TOUCHED`], [`Effects::LEFT`].
    marks: Cell<u8>,
    /// Whether a string was published that is not any more, and may be again when the command is done.
    pub withdrawn: Cell<bool>,
    /// Whether a string was read that is not published and is read often.
    pub is_read_often: Cell<bool>,
    /// Set by a blocking command that found nothing.
    pub block: Option<BlockRequest>,
    /// Whether everything was removed that there was, by a command for that.
    pub has_flushed_all: bool,
    /// Keys that a reader found expired, to be deleted by whoever may write.
    pub stale: RefCell<Vec<DbKey>>,
    /// Reads that found their key.
    pub hits: Cell<u64>,
    /// Reads that did not.
    pub misses: Cell<u64>,
    /// Keys that expired.
    pub expired_keys: u64,
    /// Fields of hashes that expired.
    pub expired_fields: u64,
}

impl Default for Effects {
    fn default() -> Self {
        Self {
            dirty: 0,
            withdrawn: Cell::new(false),
            is_read_often: Cell::new(false),
            notify_mask: 0,
            events: Vec::new(),
            ready: Vec::new(),
            changes: Vec::new(),
            told_changes: 0,
            propagation: Propagation::Verbatim,
            is_newer: false,
            expired: Vec::new(),
            expired_fields_of: Vec::new(),
            marks: Cell::new(0),
            block: None,
            has_flushed_all: false,
            stale: RefCell::default(),
            hits: Cell::new(0),
            misses: Cell::new(0),
            expired_keys: 0,
            expired_fields: 0,
        }
    }
}

impl Effects {
    /// None yet; events of these classes are collected.
    pub fn with_events(notify_mask: u32) -> Self {
        Self { notify_mask, ..Self::default() }
    }

    /// A key has been changed, or given out to be.
    const TOUCHED: u8 = 1;
    /// There is something to settle.
    const LEFT: u8 = 1 << 1;

    /// A command begins.
    #[inline]
    pub fn begin(&self) {
        self.marks.set(0);
    }

    /// What the command that runs has done so far; for [`Effects::resume`], when it has run others.
    #[inline]
    pub fn marks(&self) -> Marks {
        Marks(self.marks.get())
    }

    /// Goes on with the command that has run others: what it has done counts still, and what they have done is its own.
    #[inline]
    pub fn resume(&self, outer: Marks) {
        self.mark(outer.0);
    }

    #[inline]
    fn mark(&self, mark: u8) {
        self.marks.set(self.marks.get() | mark);
    }

    /// Notes that a key is given out to be changed.
    #[inline]
    pub fn touch(&self) {
        self.mark(Self::TOUCHED);
    }

    /// Notes that there is something to settle.
    #[inline]
    pub(crate) fn leave(&self) {
        self.mark(Self::LEFT);
    }

    /// Remembers a key that a reader found expired.
    #[cold]
    pub(crate) fn remember_stale(&self, db: usize, key: Key<'_>) {
        self.leave();
        self.stale.borrow_mut().push((db as u32, key.bytes.into()));
    }

    /// Whether a key has been changed, or given out to be, since the command began: if it fails half-way now, what is in memory
    /// is not what the journal says.
    pub fn is_touched(&self) -> bool {
        self.marks.get() & Self::TOUCHED != 0
    }

    /// Whether the command has left nothing to settle.
    #[inline]
    pub fn is_clean(&self) -> bool {
        self.marks.get() & Self::LEFT == 0
    }

    /// Whether nothing is left of the command before, as the next one may expect. Keys that became ready wait for the end of a
    /// transaction, and what readers found expired for whoever may delete it.
    pub fn is_settled(&self) -> bool {
        self.dirty == 0
            && self.events.is_empty()
            && self.expired.is_empty()
            && self.expired_fields_of.is_empty()
            && self.block.is_none()
            && self.propagation == Propagation::Verbatim
    }

    /// Whether changes are listed that nobody has taken.
    #[inline]
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The notes of changes since this was asked last, or the list was taken: a key may stand there more than once.
    pub fn untold_changes(&mut self) -> &[Change] {
        let first = std::mem::replace(&mut self.told_changes, self.changes.len());
        &self.changes[first..]
    }

    /// Takes the list of changes: each key that has changed, with what it came to, in the order in which they began to.
    /// Empty while nobody has them listed. O(n).
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.told_changes = 0;
        fate::settled(std::mem::take(&mut self.changes))
    }

    /// Whether deletions of what has expired wait to be journalled.
    pub fn has_expired(&self) -> bool {
        !self.expired.is_empty() || !self.expired_fields_of.is_empty()
    }

    /// Forgets what a command has left that was given up before it changed anything.
    pub fn give_up(&mut self) {
        self.dirty = 0;
        self.events.clear();
        self.propagation = Propagation::Verbatim;
        self.is_newer = false;
        self.block = None;
    }

    /// Forgets the last command's effects; the counters of hits, misses and expirations run on.
    pub fn clear(&mut self) {
        self.dirty = 0;
        self.events.clear();
        self.ready.clear();
        self.changes.clear();
        self.told_changes = 0;
        self.propagation = Propagation::Verbatim;
        self.is_newer = false;
        self.expired.clear();
        self.expired_fields_of.clear();
        self.block = None;
        self.has_flushed_all = false;
        self.stale.borrow_mut().clear();
    }
}
