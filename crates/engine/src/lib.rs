//! The engines: how a view is obtained.
//!
//! The store is the same for all of them; an [`Engine`] says what must be held to enter a shard. [`Engine::hold`] gives a
//! [`Held`], from which views are made, and letting it drop releases what was held. Locks are waited for on the spot, for
//! they are held for microseconds and never across an await. Only the actor engine can say "elsewhere": then the shards
//! are borrowed from their owners with [`Engine::borrow`], which waits without blocking the thread.
//!
//! Until the data set is loaded the engine is closed: nobody gets a shard but the one who has its [`Filling`]. That stands here,
//! in what gives the holds, and not with each of the many who ask for one.
//!
//! A hold that a panic passes through ends the process: what it covered may be half changed, an owner's queue may have lost its
//! place, and others must not go on with it. Who can tell that nothing was changed catches the panic before.
//!
//! Deliberately absent: any knowledge of commands, sessions or replies.

mod actor;
mod dashmap;
mod mutex;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustredis_keyspace::store::TOUCHED_AT_ONCE;
use rustredis_keyspace::{Access, Bank, Covered, Effects, Random, Store, View};
use rustredis_metrics::{Clock, Contention};

/// The engines that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One lock around everything: the lock convoy, on purpose.
    Mutex,
    /// The `dashmap` crate's shards, each behind its lock.
    DashMap,
    /// A shard belongs to one thread.
    Actor,
}

impl Kind {
    /// The engine of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "mutex" => Some(Self::Mutex),
            "dashmap" => Some(Self::DashMap),
            "actor" => Some(Self::Actor),
            _ => None,
        }
    }

    /// Its name, as the option has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mutex => "mutex",
            Self::DashMap => "dashmap",
            Self::Actor => "actor",
        }
    }
}

enum Doors {
    Mutex(mutex::Doors),
    DashMap(dashmap::Doors),
    Actor(actor::Doors),
}

/// The store and what guards it.
pub struct Engine {
    kind: Kind,
    store: Arc<Store>,
    doors: Doors,
    holds_groups: bool,
    contention: Contention,
    /// Whether nobody is let in but who fills the store.
    is_closed: AtomicBool,
    opened: tokio::sync::Notify,
    has_filler: AtomicBool,
    clock: Clock,
}

impl Engine {
    /// An engine with an empty store; `threads` is the number of worker threads (the owners of the actor engine).
    pub fn new(kind: Kind, shards: usize, databases: usize, threads: usize, clock: Clock) -> Self {
        let (first, doors) = match kind {
            Kind::Mutex => (Bank::new(shards), Doors::Mutex(mutex::Doors::default())),
            Kind::DashMap => {
                let (first, doors) = dashmap::new(shards);
                (first, Doors::DashMap(doors))
            }
            Kind::Actor => (Bank::new(shards), Doors::Actor(actor::Doors::new(shards, threads))),
        };
        let make_bank = match kind {
            Kind::Mutex | Kind::Actor => Bank::new,
            Kind::DashMap => dashmap::new_bank,
        };
        let holds_groups = match kind {
            Kind::Mutex => false,
            Kind::DashMap => threads == 1,
            Kind::Actor => true,
        };
        let measured = if kind == Kind::Mutex { 1 } else { shards };
        let contention = Contention::new(measured, clock);
        let store = Store::new(shards, databases, first, Box::new(move || make_bank(shards)));
        Self {
            kind,
            store: Arc::new(store),
            doors,
            holds_groups,
            contention,
            clock,
            is_closed: AtomicBool::new(false),
            opened: tokio::sync::Notify::new(),
            has_filler: AtomicBool::new(false),
        }
    }

    /// Lets nobody in from now on but who has the [`Engine::filling`]. Nobody can hold anything yet.
    pub fn close(&mut self) {
        *self.is_closed.get_mut() = true;
    }

    /// The store of a closed engine, to be filled; `None` if the engine is open, or somebody has it already.
    pub fn filling(&self) -> Option<Filling<'_>> {
        let is_mine = self.is_closed() && !self.has_filler.swap(true, Ordering::Relaxed);
        is_mine.then_some(Filling { engine: self })
    }

    /// Acquire, so that who finds it open sees all that was filled in.
    #[inline]
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
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
    pub fn kind(&self) -> Kind {
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
    /// thread, within its runtime, before it serves.
    pub fn enter_worker(self: &Arc<Self>, index: usize) {
        if let Doors::Actor(doors) = &self.doors {
            doors.enter_worker(index, self.clone());
        }
    }

    /// Holds the covered shards, waiting for locks. `None` if some of them belong to another thread or are lent, or if the
    /// engine is closed: then [`Engine::borrow`] them. `Many` must be ascending.
    #[inline]
    pub fn hold<'e>(&'e self, covered: Covered<'e>, access: Access) -> Option<Held<'e>> {
        if self.is_closed() {
            return self.hold_nothing(covered);
        }
        let (guard, measured, covered, access) = match &self.doors {
            Doors::Mutex(doors) => {
                let (lock, measured) = doors.lock(&self.contention);
                (Guard::Mutex(lock), measured, Covered::All, Access::Write)
            }
            Doors::DashMap(doors) => {
                let measured = doors.lock(covered, access, &self.contention);
                (Guard::DashMap(doors), measured, covered, access)
            }
            Doors::Actor(doors) => {
                (Guard::Own, doors.own(covered, &self.contention)?, covered, Access::Write)
            }
        };
        Some(Held { engine: self, covered, access, measured, guard })
    }

    /// A hold of no shard, which needs no door; none of any other.
    #[cold]
    fn hold_nothing<'e>(&'e self, covered: Covered<'e>) -> Option<Held<'e>> {
        let measured = Measured::default();
        let held = || Held { engine: self, covered, access: Access::Write, measured, guard: Guard::Own };
        (covered == Covered::None).then(held)
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
        if self.is_closed() {
            return;
        }
        // SAFETY: each arm calls it with keys whose shards it holds, or owns, for the time of the call.
        let prefetch = |keys: &[(u32, u64)]| unsafe { self.store.prefetch(db, keys) };
        match &self.doors {
            Doors::Mutex(doors) => {
                let _guard = doors.lock(&self.contention);
                prefetch(keys);
            }
            Doors::DashMap(doors) => doors.touch(keys, prefetch),
            Doors::Actor(doors) => doors.touch(keys, prefetch),
        }
    }

    /// Holds the covered shards, borrowing them from their owners where they belong to other threads. Waits until the engine is
    /// open. Whoever gives up waiting gives back what was granted already.
    pub async fn borrow<'e>(&'e self, covered: Covered<'e>, access: Access) -> Held<'e> {
        loop {
            if let Some(held) = self.hold(covered, access) {
                return held;
            }
            if !self.is_closed() {
                break;
            }
            self.until_open().await;
        }
        let Doors::Actor(doors) = &self.doors else {
            unreachable!("only the actor engine has shards elsewhere")
        };
        let guard = Guard::Loan(Box::new(doors.borrow(covered, &self.contention).await));
        Held { engine: self, covered, access: Access::Write, measured: Measured::default(), guard }
    }

    /// The other worker thread that owns all the covered shards, if one does: it can run what needs them.
    pub fn owner_elsewhere(&self, covered: Covered<'_>) -> Option<usize> {
        match &self.doors {
            Doors::Actor(doors) => doors.owner_elsewhere(covered),
            _ => None,
        }
    }

    /// Has the owner of the covered shards run `job` with them held, after all that it was sent before. Nothing comes back if the
    /// owner has ended, which it does with the server.
    pub async fn run_on_owner<R: Send + 'static>(
        &self,
        owner: usize,
        shards: Vec<u32>,
        job: impl FnOnce(&mut Held<'_>) -> R + Send + 'static,
    ) -> Option<R> {
        let Doors::Actor(doors) = &self.doors else { return None };
        self.until_open().await;
        let (sender, result) = tokio::sync::oneshot::channel();
        let job = Box::new(move |held: &mut Held<'_>| {
            // A client that has gone needs no result.
            let _ = sender.send(job(held));
        });
        doors.send(owner, shards, actor::Request::Run(job), &self.contention);
        result.await.ok()
    }
}

/// How what is held is released.
#[allow(dead_code, reason = "two of the guards are held for their drop")]
enum Guard<'e> {
    /// The one lock.
    Mutex(parking_lot::MutexGuard<'e, ()>),
    /// The locks of the covered shards.
    DashMap(&'e dashmap::Doors),
    /// Nothing has to be released.
    Own,
    /// Handed back to their owners. Behind a pointer, to keep [`Held`] small.
    #[allow(
        clippy::box_collection,
        reason = "three words more in each hold, also of those that borrow nothing"
    )]
    Loan(Box<Vec<actor::Loan>>),
}

/// The hold times that are measured; none if that is off.
#[derive(Default)]
struct Measured(Vec<rustredis_metrics::Held>);

impl Measured {
    #[cold]
    fn of(held: rustredis_metrics::Held) -> Self {
        Self(vec![held])
    }

    #[cold]
    fn push(&mut self, held: rustredis_metrics::Held) {
        self.0.push(held);
    }

    #[cold]
    fn release(self, contention: &Contention) {
        self.0.into_iter().for_each(|held| contention.release(held));
    }
}

/// Shards that are held; views are made from it. It is small, for a pipeline may make and drop one for each command.
pub struct Held<'e> {
    engine: &'e Engine,
    covered: Covered<'e>,
    access: Access,
    measured: Measured,
    guard: Guard<'e>,
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
        self.engine.is_closed.store(false, Ordering::Release);
        self.engine.opened.notify_waiters();
    }
}

/// Writes a process's last line into its log.
static LAST_WORDS: OnceLock<fn(&str)> = OnceLock::new();

/// Has `tell` write the line that says why the process ends; without it the line goes to standard error. The first call counts.
pub fn set_last_words(tell: fn(&str)) {
    // A server starts once.
    let _ = LAST_WORDS.set(tell);
}

/// Ends the process, with `reason` in the log: what is in memory may differ from what the journal says, or somebody would wait for
/// ever. What is acknowledged is in the files, and the next start loads it.
#[cold]
pub fn end_process(reason: &str) -> ! {
    let line = format!("{reason}: the process ends, the next start loads what the files hold");
    match LAST_WORDS.get() {
        Some(tell) => tell(&line),
        None => eprintln!("{line}"),
    }
    std::process::abort()
}

/// Ends the process with a thread or a task that others depend on, named here, if that ends in a panic.
pub struct EndsInPanic(pub &'static str);

impl Drop for EndsInPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            end_process(&format!("{} has ended in a panic", self.0));
        }
    }
}

thread_local! {
    /// Whether a panic of this thread is on its way to who judges what it has done.
    static IS_JUDGED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `run`; nothing comes back if it panicked. Holds that the panic passes through are released as usual: the caller judges
/// whether what they covered was changed, and calls [`end_process`] if so.
#[inline]
pub fn catch<R>(run: impl FnOnce() -> R) -> Option<R> {
    let was_judged = IS_JUDGED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_JUDGED.set(was_judged);
    result.ok()
}

#[cold]
fn pass_through() {
    if !IS_JUDGED.get() {
        end_process("A panic has passed through a hold of the data");
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        if std::thread::panicking() {
            pass_through();
        }
        if !self.measured.0.is_empty() {
            std::mem::take(&mut self.measured).release(&self.engine.contention);
        }
        if let Guard::DashMap(doors) = self.guard {
            doors.unlock(self.covered, self.access);
        }
    }
}

impl Held<'_> {
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
