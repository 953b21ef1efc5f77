//! The view: shards that a command may use, and all that it can do to them.
//!
//! An engine makes a view over the shards of a plan and guarantees that they are the caller's for as long as the view
//! lives: exclusively, or shared with other readers. A handler finds, changes and creates keys through it and reports
//! changes with [`View::changed`]. A key outside the plan is a bug of ours (a wrong key spec) and panics: to go on would be
//! a data race.
//!
//! Expiry is seen here: a key whose time has come is not there. A writer deletes it on the way, a reader, which may share
//! the shard, only remembers it, and it is deleted after the command, if the view is one that deletes ([`Overdue`]). What needs
//! the clock takes the request's `now`.
//!
//! Here is what a view covers; what it does stands beside, a file for each: one key (`read`, `change`, `expiry`), what a command
//! reports (`report`), databases (`whole`, `scan`), and what is loaded from a file (`load`).

mod change;
mod expiry;
mod load;
mod overdue;
mod publish;
mod read;
mod report;
mod scan;
mod whole;

pub use overdue::Overdue;
pub use scan::cursor_shard;

use crate::effects::Effects;
use crate::published::PublishedEntry;
use crate::random::Random;
use crate::store::{ShardState, Store};
use crate::table::Table;

/// Which shards a view covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered<'a> {
    /// None: the command has no keys.
    None,
    /// One shard.
    One(usize),
    /// Several, ascending.
    Many(&'a [u32]),
    /// All.
    All,
}

impl<'a> Covered<'a> {
    /// Those of a list, ascending and without repetition.
    #[inline]
    pub fn of(shards: &'a [u32]) -> Self {
        match shards {
            [] => Self::None,
            [one] => Self::One(*one as usize),
            many => Self::Many(many),
        }
    }

    /// Whether `shard` is among them.
    #[inline]
    pub fn has(&self, shard: usize) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => *one == shard,
            Self::Many(many) => many.binary_search(&(shard as u32)).is_ok(),
            Self::All => true,
        }
    }
}

/// Whether a view may change what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Shared with other readers.
    Read,
    /// Exclusive.
    Write,
}

/// The key holds a value of another type than the command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// Reads leave the access clock alone.
const NO_TOUCH: u8 = 1;
/// Reads are counted, for what is read often is published.
const COUNTS: u8 = 1 << 1;
/// Nobody but the caller's thread reads what is published.
const ALONE: u8 = 1 << 2;
/// A script runs the commands.
const IN_SCRIPT: u8 = 1 << 3;

/// The shards a command may use. See the module's text.
pub struct View<'a> {
    pub(crate) store: &'a Store,
    covered: Covered<'a>,
    access: Access,
    pub(crate) db: usize,
    /// What expires by then is overdue, and what is relative counts from it: the request's time, or 0 where all is kept.
    pub(crate) now_ms: u64,
    /// What the access clocks are set to: the request's time in Unix ms.
    clock_ms: u64,
    overdue: Overdue,
    /// What the commands are to find, if they read without a lock: then nothing is covered.
    pub(crate) published: &'a [PublishedEntry<'a>],
    /// How keys are read: bits of [`NO_TOUCH`], [`COUNTS`] and [`ALONE`]. 0 is the common way.
    reading: u8,
    random: &'a Random,
    /// What the command did; settled by whoever made the view.
    pub effects: &'a mut Effects,
}

impl<'a> View<'a> {
    /// A view over `covered`, which deletes what is overdue.
    ///
    /// # Safety
    /// For as long as the view lives, the covered shards are the caller's: exclusively for `Access::Write`, and with no writer
    /// for `Access::Read`.
    #[inline]
    pub unsafe fn new(
        store: &'a Store,
        covered: Covered<'a>,
        access: Access,
        db: usize,
        now_ms: u64,
        random: &'a Random,
        effects: &'a mut Effects,
    ) -> Self {
        Self {
            store,
            covered,
            access,
            db,
            now_ms,
            clock_ms: now_ms,
            overdue: Overdue::Delete,
            published: &[],
            reading: if store.publishes() { COUNTS } else { 0 },
            random,
            effects,
        }
    }

    /// Says whether reads leave the access clock alone (`CLIENT NO-TOUCH`).
    #[inline]
    pub fn set_no_touch(&mut self, no_touch: bool) {
        self.reading = self.reading & !NO_TOUCH | u8::from(no_touch);
    }

    /// Says whether a script runs the commands.
    #[inline]
    pub fn set_in_script(&mut self, is_in_script: bool) {
        self.reading = self.reading & !IN_SCRIPT | if is_in_script { IN_SCRIPT } else { 0 };
    }

    /// Whether a script runs the command, which then gives what has no order in one.
    pub fn is_in_script(&self) -> bool {
        self.reading & IN_SCRIPT != 0
    }

    /// Strings that are published may be overwritten in place from now on.
    ///
    /// # Safety
    /// Nobody but the calling thread reads without a lock.
    #[inline]
    pub unsafe fn be_alone(&mut self) {
        self.reading |= ALONE;
    }

    /// Counts no reads from now on: what is read together with writes, under one hold, gains nothing by being published.
    #[inline]
    pub fn count_no_reads(&mut self) {
        self.reading &= !COUNTS;
    }

    /// The store, for what is read without holding a shard.
    pub fn store(&self) -> &'a Store {
        self.store
    }

    /// The shards that it covers.
    pub fn covered(&self) -> Covered<'a> {
        self.covered
    }

    /// Covers one of the shards from now on that it has covered, or none, for a command that is to reach for no other.
    ///
    /// # Safety
    /// `new`'s caller has promised this shard too.
    #[inline]
    pub unsafe fn narrow(&mut self, shard: Option<usize>) {
        self.covered = shard.map_or(Covered::None, Covered::One);
    }

    /// Whether it may change what it covers.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The selected database.
    pub fn db(&self) -> usize {
        self.db
    }

    /// Selects another database: all databases of a covered shard are covered.
    pub fn select(&mut self, db: usize) {
        assert!(db < self.store.databases(), "the caller checks the index");
        self.db = db;
    }

    /// The request's time in Unix milliseconds, by which keys and fields expire and from which what is relative counts. It is 0
    /// under [`Overdue::Keep`], so that no deadline has passed.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Sets the time of the next request that uses this view.
    #[inline]
    pub fn set_now_ms(&mut self, now_ms: u64) {
        self.now_ms = self.overdue.deadline_ms(now_ms);
        self.clock_ms = now_ms;
    }

    /// Whether what ran before is repeated: from a log, or as a primary says.
    pub fn is_repeated(&self) -> bool {
        self.overdue == Overdue::Keep
    }

    /// What the access clocks are set to, in Unix ms.
    pub fn clock_ms(&self) -> u64 {
        self.clock_ms
    }

    /// Says what becomes of keys and fields whose time has come, from now on.
    pub fn set_overdue(&mut self, overdue: Overdue) {
        self.overdue = overdue;
        self.set_now_ms(self.clock_ms);
    }

    /// The random numbers of the thread.
    pub fn random(&self) -> &'a Random {
        self.random
    }

    #[inline]
    pub(crate) fn table(&self, shard: usize) -> &Table {
        assert!(self.covered.has(shard), "a command reached for shard {shard}, which its plan does not name");
        // SAFETY: the shard is covered, and `new`'s caller promised that no one else writes it; `&self` keeps this view from it.
        unsafe { &*self.store.table(shard, self.db) }
    }

    #[inline]
    pub(crate) fn table_mut(&mut self, shard: usize) -> &mut Table {
        self.table_and_effects(shard).0
    }

    /// The table of the selected database in `shard`, to change it, and beside it what the command has done.
    #[inline(always)]
    pub(crate) fn table_and_effects(&mut self, shard: usize) -> (&mut Table, &Effects) {
        assert!(self.covered.has(shard), "a command reached for shard {shard}, which its plan does not name");
        assert!(self.access == Access::Write, "a command that is planned as a reader writes");
        // SAFETY: the shard is covered exclusively, and `&mut self` makes this the only reference.
        (unsafe { &mut *self.store.table(shard, self.db) }, self.effects)
    }

    /// The table of the selected database in `shard`, to put something into it.
    pub(crate) fn table_to_fill(&mut self, shard: usize) -> &mut Table {
        self.store.use_database(self.db);
        self.table_mut(shard)
    }

    pub(crate) fn state_mut(&mut self, shard: usize) -> &mut ShardState {
        assert!(
            self.covered.has(shard) && self.access == Access::Write,
            "a state is changed under an exclusive view"
        );
        // SAFETY: as in `table_mut`.
        unsafe { &mut *self.store.state(shard) }
    }

    pub(crate) fn state(&self, shard: usize) -> &ShardState {
        assert!(self.covered.has(shard), "a state is read under a view");
        // SAFETY: as in `table`.
        unsafe { &*self.store.state(shard) }
    }
}
