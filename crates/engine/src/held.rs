//! What is held: the guards of the engines, and the views made from them.

use std::any::Any;
use std::ops::{Deref, DerefMut};

use rustredis_keyspace::{Access, Covered, Effects, Random, View};
use smallvec::SmallVec;

use crate::fences::light;
use crate::gate::{Everything, Gate, Seat};
use crate::measured::Measured;
use crate::notices::Locks;
use crate::word::{CALLED, WAITED};
use crate::{Doors, Engine, actor, dashmap, mutex, panics};

/// How what is held is released.
pub(crate) enum Guard<'e> {
    /// Nothing has to be.
    Nothing,
    /// The one lock.
    Mutex(&'e mutex::Doors),
    /// The locks of the covered shards, and the seat.
    DashMap(&'e dashmap::Doors, &'e Seat),
    /// The seat: the shards are the thread's own.
    Own(&'e Seat),
    /// Handed back to their owners, and the seat. Behind a pointer, to keep [`Held`] small.
    #[allow(
        clippy::box_collection,
        reason = "two words more in each hold, also of those that borrow nothing"
    )]
    Loan(#[allow(dead_code, reason = "held for its drop")] Box<Vec<actor::Loan>>, &'e Seat),
    /// The gate is opened.
    Everything(#[allow(dead_code, reason = "held for its drop")] Box<Everything<'e>>),
}

/// Shards that are held; views are made from it. It is small, for a pipeline may make and drop one for each command. It stays on
/// its thread.
pub struct Held<'e> {
    pub(crate) engine: &'e Engine,
    pub(crate) covered: Covered<'e>,
    pub(crate) access: Access,
    pub(crate) measured: Measured,
    pub(crate) guard: Guard<'e>,
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        if std::thread::panicking() {
            panics::pass_through();
        }
        self.measured.release(&self.engine.contention);
        let gate = &self.engine.gate;
        match &self.guard {
            Guard::Nothing | Guard::Everything(_) => {}
            Guard::Own(seat) | Guard::Loan(_, seat) => leave(gate, seat, Access::Write),
            Guard::DashMap(doors, seat) => {
                doors.unlock_all(self.covered, self.access);
                seat.leave(self.access);
                light();
                if gate.word().has(CALLED | WAITED) {
                    self.engine.tell_released(*doors, self.covered);
                }
            }
            Guard::Mutex(doors) => {
                doors.unlock(0, Access::Write);
                light();
                if gate.word().has(WAITED) {
                    self.engine.tell_released(*doors, Covered::One(0));
                }
            }
        }
    }
}

/// Gives up the thread's seat.
#[inline]
pub(crate) fn leave(gate: &Gate, seat: &Seat, access: Access) {
    seat.leave(access);
    light();
    if gate.word().has(CALLED) {
        gate.call();
    }
}

impl<'e> Held<'e> {
    /// Announces that the shards are held for long from now on, maybe across awaits: others who need them know, and may give up. Who
    /// wants everything then waits for the end, unless he has stopped the others already.
    ///
    /// What is returned must be dropped after the hold.
    pub fn announce(&mut self) -> Announced<'e> {
        let engine = self.engine;
        match (&mut self.guard, &engine.doors) {
            (Guard::Own(seat), Doors::Actor(doors)) => {
                let seat = *seat;
                let loan = doors.lend_own(engine, seat, self.covered);
                self.guard = Guard::Loan(Box::new(loan.into_iter().collect()), seat);
            }
            (Guard::Loan(loans, _), Doors::Actor(_)) => loans.iter().for_each(actor::Loan::keep),
            _ => {}
        }
        // Who has everything may have given it out as less.
        let covered = if let Guard::Everything(_) = self.guard { Covered::All } else { self.covered };
        Announced(LongMark { gate: &engine.gate, id: engine.gate.begin_long_now(covered) })
    }

    /// What is covered: more than was asked for where one lock guards all.
    pub fn covered(&self) -> Covered<'_> {
        self.covered
    }

    /// Brings the memory of these keys near, by their hashes.
    ///
    /// # Safety
    /// The shards of all these keys are among the covered.
    #[inline]
    pub unsafe fn touch(&self, db: usize, hashes: impl Iterator<Item = u64>) {
        self.engine.in_groups(hashes, |keys| {
            debug_assert!(keys.iter().all(|(shard, _)| self.covered.has(*shard as usize)));
            // SAFETY: the caller's promise, and the guard holds what is covered.
            unsafe { self.engine.store.prefetch(db, keys) }
        });
    }

    /// Counts a read that was tried without a lock, and now has one.
    #[inline]
    pub fn count_fallback(&self) {
        self.measured.count_fallback(&self.engine.contention);
    }

    /// A view over what is held.
    #[inline]
    pub fn view<'v>(
        &'v mut self,
        db: usize,
        now_ms: u64,
        random: &'v Random,
        effects: &'v mut Effects,
    ) -> View<'v> {
        // SAFETY: the guard holds the covered shards with this access for as long as `self` lives, and `&mut self` allows one
        // view at a time.
        unsafe { View::new(&self.engine.store, self.covered, self.access, db, now_ms, random, effects) }
    }
}

/// What the owner of shards does for another thread ([`crate::errands`]).
pub trait Errand: Any + Send {
    /// Does it, with the shards held that it was sent with.
    fn run(&mut self, held: &mut Held<'_>) -> Outcome;
}

/// How far an errand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes back.
    Done,
    /// It goes on when the owner's own clients have had their turn. Nobody has its shards meanwhile.
    Paused,
}

/// Some shards; a few lie in place, for an errand of one command should be few cache lines.
pub type Shards = SmallVec<[u32; 4]>;

/// An errand with its shards: all of one owner, ascending. Only a thread's own errand may have none.
pub struct Part {
    /// The shards.
    pub shards: Shards,
    /// The errand.
    pub errand: Box<dyn Errand>,
}

/// What could not be sent now: the thread's own errand, and the others.
pub type NotSent = (Option<Box<dyn Errand>>, Vec<Part>);

/// Shards that are held for long: others who need them know, and may give up. Unlike any other hold it may be kept across an await.
pub struct LongHeld<'e> {
    // Let go before its end is announced.
    held: Held<'e>,
    _mark: LongMark<'e>,
}

/// That a hold is kept for long; see [`Held::announce`].
pub struct Announced<'e>(#[allow(dead_code, reason = "held for its drop")] LongMark<'e>);

impl<'e> LongHeld<'e> {
    pub(crate) fn new(held: Held<'e>, mark: LongMark<'e>) -> Self {
        Self { held, _mark: mark }
    }
}

impl<'e> Deref for LongHeld<'e> {
    type Target = Held<'e>;

    fn deref(&self) -> &Held<'e> {
        &self.held
    }
}

impl DerefMut for LongHeld<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.held
    }
}

/// That a long hold is announced; dropping it ends that.
pub(crate) struct LongMark<'e> {
    pub(crate) gate: &'e Gate,
    pub(crate) id: u64,
}

impl Drop for LongMark<'_> {
    fn drop(&mut self) {
        self.gate.end_long(self.id);
    }
}
