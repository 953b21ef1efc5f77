//! The engines: how a view is obtained.
//!
//! The store is the same for all of them; an [`Engine`] says what must be held to enter a shard. [`Engine::hold`] gives a
//! [`Held`], from which views are made, and letting it drop releases what was held. Holds take microseconds and are never kept across
//! an await, so who does not get one at once tries for a moment, on the spot. Who then still has none, or needs shards that belong to
//! another thread, waits with [`Engine::borrow`], which parks no thread; whatever is awaited here may be dropped.
//!
//! Three parts serve the engines: the [`gate`] through which all go who hold shards, and at which one stops them who needs
//! everything; the [`notices`] of released locks, for those who wait; and the [`fences`] that make both cheap for who need not wait.
//!
//! A hold that takes long is announced ([`Engine::borrow_long`]): who needs its shards can ask ([`Engine::until_busy`]) and give up.
//!
//! Until the data set is loaded the engine is closed: nobody gets a shard but the one who has its [`Filling`]. That stands here,
//! in what gives the holds, and not with each of the many who ask for one.
//!
//! Deliberately absent: any knowledge of commands, sessions or replies.

mod actor;
mod dashmap;
pub mod errands;
pub mod faults;
mod fences;
mod gate;
mod held;
mod inbox;
mod lockfree;
mod measured;
#[cfg(test)]
mod models;
mod mutex;
mod notices;
mod order;
mod panics;
mod readers;
mod seats;
mod shape;
mod slots;
mod sync;
mod waits;
mod word;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustredis_keyspace::store::TOUCHED_AT_ONCE;
use rustredis_keyspace::{Access, Bank, Covered, Effects, Random, Store, View};
use rustredis_metrics::{Clock, Contention};

pub use actor::before_sleep;
pub use held::{Announced, Errand, Held, LongHeld, NotSent, Outcome, Part, Shards};
pub use lockfree::Reading;
pub use panics::{EndsInPanic, catch, end_process, set_last_words};
pub use shape::{PublishedNow, Shape};

use gate::{Gate, Seat};
use held::{Guard, leave};
use measured::Measured;
use notices::{Locks, Notices};
use word::{CLOSED, URGENT, WAITED};

/// From so many shards on, having everything is cheaper than each lock, or than a loan from each owner.
const MANY: usize = 128;

/// The engines that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// One lock around everything: the lock convoy, on purpose.
    Mutex,
    /// The `dashmap` crate's shards, each behind its lock.
    DashMap,
    /// A shard belongs to one thread.
    Actor,
    /// The shards and locks of `DashMap`; strings are read without a lock.
    LockFree,
}

impl EngineKind {
    /// The engine of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "mutex" => Some(Self::Mutex),
            "dashmap" => Some(Self::DashMap),
            "actor" => Some(Self::Actor),
            "lockfree" => Some(Self::LockFree),
            _ => None,
        }
    }

    /// Its name, as the option has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mutex => "mutex",
            Self::DashMap => "dashmap",
            Self::Actor => "actor",
            Self::LockFree => "lockfree",
        }
    }
}

enum Doors {
    Mutex(mutex::Doors),
    DashMap(dashmap::Doors),
    Actor(Arc<actor::Doors>),
}

/// The store and what guards it.
pub struct Engine {
    kind: EngineKind,
    store: Arc<Store>,
    doors: Doors,
    holds_groups: bool,
    contention: Contention,
    /// Its number among the engines of the process; not 0.
    number: u64,
    gate: Gate,
    notices: Notices,
    opened: tokio::sync::Notify,
    has_filler: AtomicBool,
}

impl Engine {
    /// An engine with an empty store; `threads` is the number of worker threads (the owners of the actor engine).
    pub fn new(kind: EngineKind, shards: usize, databases: usize, threads: usize, clock: Clock) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        fences::prepare();
        let (first, doors) = match kind {
            EngineKind::Mutex => (Bank::new(shards), Doors::Mutex(mutex::Doors::default())),
            EngineKind::DashMap | EngineKind::LockFree => {
                let (first, doors) = dashmap::new(shards);
                (first, Doors::DashMap(doors))
            }
            EngineKind::Actor => {
                (Bank::new(shards), Doors::Actor(Arc::new(actor::Doors::new(shards, threads))))
            }
        };
        let make_bank = match kind {
            EngineKind::Mutex | EngineKind::Actor => Bank::new,
            EngineKind::DashMap | EngineKind::LockFree => dashmap::new_bank,
        };
        let holds_groups = match kind {
            EngineKind::Mutex => false,
            EngineKind::DashMap | EngineKind::LockFree => threads == 1,
            EngineKind::Actor => true,
        };
        let locks = if kind == EngineKind::Mutex { 1 } else { shards };
        let contention = Contention::new(locks, clock);
        let mut store = Store::new(shards, databases, first, Box::new(move || make_bank(shards)));
        let gate = Gate::new();
        if kind == EngineKind::LockFree {
            store.publish_to(Box::new(readers::SeatedReaders(gate.seats().clone())));
        }
        Self {
            kind,
            store: Arc::new(store),
            doors,
            holds_groups,
            contention,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            gate,
            notices: Notices::new(locks),
            opened: tokio::sync::Notify::new(),
            has_filler: AtomicBool::new(false),
        }
    }

    /// Lets nobody in from now on but who has the [`Engine::filling`]. Nobody can hold anything yet.
    pub fn close(&mut self) {
        self.gate.word().set(CLOSED, true);
    }

    /// The store of a closed engine, to be filled; `None` if the engine is open, or somebody has it already.
    pub fn filling(&self) -> Option<Filling<'_>> {
        let is_mine = self.is_closed() && !self.has_filler.swap(true, Ordering::Relaxed);
        is_mine.then_some(Filling { engine: self })
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.gate.word().has(CLOSED)
    }

    /// Returns once the engine is open.
    async fn until_open(&self) {
        loop {
            let mut opened = std::pin::pin!(self.opened.notified());
            // Registered before the look, so that an opening in between is not missed.
            opened.as_mut().enable();
            if !self.is_closed() {
                return;
            }
            opened.await;
        }
    }

    /// Where threads wait for each other; the mutex engine's lock is its shard 0.
    pub fn contention(&self) -> &Contention {
        &self.contention
    }

    /// Which engine it is.
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    /// The store, for what is read without holding a shard.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Whether a worker should hold the shards of some commands of a pipeline together, which saves a hold for each: where that
    /// keeps nobody waiting, for the shards are its own, or no other worker is there. A snapshot waits for microseconds.
    /// With the global lock any hold is one of everything.
    #[inline]
    pub fn holds_groups(&self) -> bool {
        self.holds_groups
    }

    /// Makes the calling thread the worker `index`: an owner of shards, in the actor engine. Called once on each worker
    /// thread, within its runtime, before it serves. If the runtime calls [`before_sleep`] whenever it parks, an owner who is awake need not
    /// be woken.
    pub fn enter_worker(self: &Arc<Self>, index: usize) {
        if let Doors::Actor(doors) = &self.doors
            && doors.enter(index, self.number, false)
        {
            let (doors, engine) = (doors.clone(), self.clone());
            tokio::task::spawn_local(async move { doors.attend(engine).await });
        }
    }

    /// The same for a thread that never sleeps and calls [`Engine::serve`] all the time.
    pub fn enter_sleepless(&self, index: usize) {
        if let Doors::Actor(doors) = &self.doors {
            doors.enter(index, self.number, true);
        }
    }

    /// Holds the covered shards, trying for a moment: about 50 us. `None` if they could not be had in that time, or belong to another
    /// thread, or the engine is closed: then [`Engine::borrow`] them. `Many` must be ascending.
    #[inline]
    pub fn hold<'e>(&'e self, covered: Covered<'e>, access: Access) -> Option<Held<'e>> {
        if matches!(covered, Covered::None) {
            return Some(self.held_nothing());
        }
        if needs_gate(covered) && self.kind != EngineKind::Mutex {
            return self.hold_everything(covered, access);
        }
        match &self.doors {
            Doors::DashMap(doors) => {
                let measured = self.try_locks(doors, covered, access)?;
                let seat = seats::mine(self.number, &self.gate);
                if !self.gate.enter(seat, access) && !self.gate.enter_soon(seat, access) {
                    self.give_up_locks(doors, covered, access, measured);
                    return None;
                }
                let held =
                    Held { engine: self, covered, access, measured, guard: Guard::DashMap(doors, seat) };
                // Who has waited in vain goes first; dropping the hold tells him.
                let must_yield = self.gate.word().has(URGENT) && self.notices.is_urgent(covered);
                (!must_yield).then_some(held)
            }
            Doors::Actor(doors) => {
                if !doors.owns(covered) {
                    return None;
                }
                let seat = seats::mine(self.number, &self.gate);
                if !self.gate.enter(seat, Access::Write) && !self.gate.enter_soon(seat, Access::Write) {
                    return None;
                }
                Some(self.held_own(covered, seat))
            }
            Doors::Mutex(doors) => {
                if self.is_closed() {
                    return None;
                }
                let measured = doors.try_lock_soon(|| self.is_trying_vain(Covered::All), &self.contention)?;
                let held = self.held_all(measured, Access::Write, Guard::Mutex(doors));
                let must_yield = self.gate.word().has(URGENT);
                (!must_yield).then_some(held)
            }
        }
    }

    /// A hold of shards of the thread's own, whose seat is taken.
    #[inline]
    fn held_own<'e>(&'e self, covered: Covered<'e>, seat: &'e Seat) -> Held<'e> {
        let measured = actor::Doors::measured(covered, &self.contention);
        Held { engine: self, covered, access: Access::Write, measured, guard: Guard::Own(seat) }
    }

    /// A hold of no shard, which needs no door.
    #[inline]
    fn held_nothing(&self) -> Held<'_> {
        let (access, measured, guard) = (Access::Write, Measured::default(), Guard::Nothing);
        Held { engine: self, covered: Covered::None, access, measured, guard }
    }

    fn held_all<'e>(&'e self, measured: Measured, access: Access, guard: Guard<'e>) -> Held<'e> {
        Held { engine: self, covered: Covered::All, access, measured, guard }
    }

    /// A hold of everything by the gate alone; it may be given out as one of less.
    fn hold_everything<'e>(&'e self, covered: Covered<'e>, access: Access) -> Option<Held<'e>> {
        if self.is_closed() {
            return None;
        }
        let access = self.gate_access(access);
        let guard = Guard::Everything(Box::new(self.gate.try_stop(access)?));
        Some(Held { engine: self, covered, access, measured: Measured::default(), guard })
    }

    /// How everything is held to have it like this: an owner reads nothing together with others.
    fn gate_access(&self, access: Access) -> Access {
        if matches!(self.doors, Doors::DashMap(_)) { access } else { Access::Write }
    }

    /// Takes the locks of the covered shards, trying for a moment; all or none.
    #[inline]
    fn try_locks(&self, doors: &dashmap::Doors, covered: Covered<'_>, access: Access) -> Option<Measured> {
        let mut measured = Measured::default();
        let mut try_one = |shard: u32| {
            let is_in_vain = || self.is_trying_vain(Covered::One(shard as usize));
            doors.try_lock_soon(shard, access, is_in_vain, &self.contention, &mut measured)
        };
        match covered {
            Covered::None | Covered::All => {}
            Covered::One(shard) => {
                if !try_one(shard as u32) {
                    return None;
                }
            }
            Covered::Many(shards) => {
                debug_assert!(shards.is_sorted_by(|a, b| a < b), "locks are taken in ascending order");
                if let Some(missing) = shards.iter().position(|shard| !try_one(*shard)) {
                    self.give_up_locks(doors, Covered::Many(&shards[..missing]), access, measured);
                    return None;
                }
            }
        }
        Some(measured)
    }

    #[cold]
    fn give_up_locks(
        &self,
        doors: &dashmap::Doors,
        covered: Covered<'_>,
        access: Access,
        mut measured: Measured,
    ) {
        measured.release(&self.contention);
        doors.unlock_all(covered, access);
        fences::light();
        if self.gate.word().has(WAITED) {
            self.tell_released(doors, covered);
        }
    }

    /// Acts on the word's bits after a release: tells who waits for one of these locks, or for the seats.
    #[cold]
    fn tell_released(&self, locks: &impl Locks, covered: Covered<'_>) {
        let word = self.gate.word();
        if word.has(word::CALLED) {
            self.gate.call();
        }
        match covered {
            Covered::None | Covered::All => {}
            Covered::One(shard) => self.notices.tell(word, locks, shard as u32),
            Covered::Many(shards) => shards.iter().for_each(|shard| self.notices.tell(word, locks, *shard)),
        }
    }

    /// Whether one worker alone reads without a lock.
    #[inline]
    pub fn reads_alone(&self) -> bool {
        self.holds_groups && self.kind == EngineKind::LockFree
    }

    /// Begins to read without a lock; `None` on an engine that does not publish, while somebody has everything, and before the data set
    /// is loaded. A thread has one reading at a time.
    #[inline]
    pub fn read_published(&self) -> Option<Reading<'_>> {
        if !self.store.publishes() {
            return None;
        }
        Reading::begin(&self.store, &self.gate, seats::mine(self.number, &self.gate))
    }

    /// Brings the memory of these keys near, by their hashes, as far as their shards can be entered at once; a key more or
    /// less changes nothing but time. The misses of the keys overlap: nothing that orders memory stands between them.
    #[inline]
    pub fn touch(&self, db: usize, hashes: impl Iterator<Item = u64>) {
        self.in_groups(hashes, |keys| self.touch_some(db, keys));
    }

    /// Calls `each` with up to [`TOUCHED_AT_ONCE`] keys at a time, each with its shard.
    #[inline]
    fn in_groups(&self, hashes: impl Iterator<Item = u64>, each: impl Fn(&[(u32, u64)])) {
        let mut keys = [(0u32, 0u64); TOUCHED_AT_ONCE];
        let mut count = 0;
        for hash in hashes {
            keys[count] = (self.store.shard_of(hash) as u32, hash);
            count += 1;
            if count == TOUCHED_AT_ONCE {
                each(&keys);
                count = 0;
            }
        }
        if count > 0 {
            each(&keys[..count]);
        }
    }

    fn touch_some(&self, db: usize, keys: &[(u32, u64)]) {
        // SAFETY: each arm calls it with keys whose shards it holds, or owns, for the time of the call.
        let prefetch = |keys: &[(u32, u64)]| unsafe { self.store.prefetch(db, keys) };
        if let Doors::Mutex(_) = &self.doors {
            let held = self.hold(Covered::All, Access::Read);
            held.iter().for_each(|_| prefetch(keys));
            return;
        }
        let seat = seats::mine(self.number, &self.gate);
        if !self.gate.enter(seat, Access::Read) {
            return;
        }
        match &self.doors {
            Doors::Mutex(_) => {}
            Doors::DashMap(doors) => doors.touch(keys, prefetch, |released| {
                fences::light();
                if self.gate.word().has(WAITED) {
                    released.iter().for_each(|(shard, _)| {
                        self.notices.tell(self.gate.word(), doors, *shard);
                    });
                }
            }),
            Doors::Actor(doors) => doors.touch(keys, prefetch),
        }
        leave(&self.gate, seat, Access::Read);
    }
}

/// Whether these shards are had by the gate and not by their doors.
#[inline]
fn needs_gate(covered: Covered<'_>) -> bool {
    match covered {
        Covered::None | Covered::One(_) => false,
        Covered::Many(shards) => shards.len() >= MANY,
        Covered::All => true,
    }
}

/// The store while nobody else is let in; views are made from it. Dropping it does not open the engine: what was not filled to the
/// end must be seen by nobody.
pub struct Filling<'e> {
    engine: &'e Engine,
}

impl Filling<'_> {
    /// A view over everything.
    pub fn view<'v>(
        &'v mut self,
        db: usize,
        now_ms: u64,
        random: &'v Random,
        effects: &'v mut Effects,
    ) -> View<'v> {
        // SAFETY: the engine is closed, and has been since before anybody could hold a shard; there is one filling, and
        // `&mut self` allows one view at a time.
        unsafe { View::new(&self.engine.store, Covered::All, Access::Write, db, now_ms, random, effects) }
    }

    /// Lets everybody in.
    pub fn open(self) {
        self.engine.gate.word().set(CLOSED, false);
        self.engine.opened.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
