//! The gate: how one who needs everything gets it without taking a lock per shard.
//!
//! Whoever holds shards says so in his thread's [`Seat`], a cache line of its own: a store, then a look at the [`Word`]. Who needs
//! everything sets a bit there, pays for the fence on both sides ([`super::sync::heavy`]), and waits for each seat once: whoever comes
//! later sees the bit and stays outside. It is the scheme of asymmetric fences that user-space RCU has, with a writer who
//! keeps the readers out.
//!
//! **No circle of waiting.** The gate comes last: locks and loans are had before a seat is taken, and between taking a seat and
//! leaving it nobody waits for another. Who finds the gate stopped keeps his locks, which who has everything does not need.
//!
//! **What is under way.** A thread may have another do something for it ([`Seat::send`]), which it does from its seat, so the gate is
//! passed there and then: it is done ([`Gate::serve`]) whether or not the gate is stopped meanwhile, and who needs everything waits until
//! as much has been done as was sent.
//!
//! **Fairness.** Wishes for everything come true in their order. Those who were kept outside by one go in before the next begins.
//! While shards are held for long ([`Gate::begin_long`]) no wish stops the others: it waits for the end, and no further long hold
//! begins before it had its turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use rustredis_keyspace::{Access, Covered};

use super::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, heavy, light, spin};
use super::word::{CALLED, CLOSED, KEPT, STOPPED, WRITES_STOPPED, Word};

/// A hold to write, in a seat; those to read are counted below.
const WRITE: u64 = 1 << 32;

/// Where a thread says that it holds shards. Only the thread writes it.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Seat {
    holds: AtomicU64,
    /// How much threads in this seat have had others do.
    sent: AtomicU64,
    /// How much they have done for others.
    served: AtomicU64,
    /// Odd while the thread reads without a lock; one more with each beginning and each end.
    reading: AtomicU64,
    /// Whether a thread has it; then no other gets it.
    is_taken: AtomicBool,
}

impl Seat {
    fn count(&self, access: Access, reached: impl Fn(u64, u64) -> u64, order: Ordering) {
        let one = match access {
            Access::Read => 1,
            Access::Write => WRITE,
        };
        self.holds.store(reached(self.holds.load(Ordering::Relaxed), one), order);
    }

    /// Says that the thread holds shards, without a look at the gate: that is for who has passed it before.
    #[inline]
    pub(crate) fn enter(&self, access: Access) {
        self.count(access, u64::wrapping_add, Ordering::Relaxed);
    }

    /// Says that others are to do so much for the thread, which is in its seat.
    #[inline]
    pub(crate) fn send(&self, count: u64) {
        debug_assert!(self.holds.load(Ordering::Relaxed) > 0, "what is sent has passed the gate");
        self.sent.store(self.sent.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }

    /// Says that the thread has done one thing for another. Who then leaves the seat tells who has to know.
    #[inline]
    pub(crate) fn serve(&self) {
        self.served.store(self.served.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Says that it no longer does. Release, so that who then has everything sees what was done.
    #[inline]
    pub(crate) fn leave(&self, access: Access) {
        self.count(access, u64::wrapping_sub, Ordering::Release);
    }

    /// What the thread's readings are at; odd while it reads without a lock.
    pub(crate) fn reading(&self) -> u64 {
        self.reading.load(Ordering::Acquire)
    }

    /// Release at the end, so that who then frees or changes what was read does so after it.
    #[inline]
    fn turn_reading(&self, order: Ordering) {
        self.reading.store(self.reading.load(Ordering::Relaxed) + 1, order);
    }

    /// Leaves it to the next thread; this one has ended.
    pub(crate) fn give_back(&self) {
        self.is_taken.store(false, Ordering::Release);
    }

    /// Whether one who wants everything like this can have it besides the thread.
    fn is_clear(&self, access: Access) -> bool {
        let holds = self.holds.load(Ordering::Acquire);
        match access {
            Access::Read => holds < WRITE,
            Access::Write => holds == 0 && self.reading().is_multiple_of(2),
        }
    }
}

/// The seats, in the order of their making; none ever goes.
#[derive(Default)]
pub(crate) struct Seats(Mutex<Vec<Arc<Seat>>>);

impl Seats {
    /// One that nobody has, for the calling thread.
    fn take(&self) -> Arc<Seat> {
        let mut seats = self.0.lock();
        if let Some(free) = seats.iter().find(|seat| !seat.is_taken.load(Ordering::Acquire)) {
            free.is_taken.store(true, Ordering::Relaxed);
            return free.clone();
        }
        let [holds, sent, served, reading] = [0; 4].map(AtomicU64::new);
        let seat = Arc::new(Seat { holds, sent, served, reading, is_taken: AtomicBool::new(true) });
        seats.push(seat.clone());
        seat
    }

    /// Calls `look` with all of them.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&[Arc<Seat>]) -> T) -> T {
        look(&self.0.lock())
    }
}

/// The gate.
pub(crate) struct Gate {
    word: Word,
    seats: Arc<Seats>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    /// Who wants everything, in order of arrival. The first has it, or is about to.
    wishes: VecDeque<Wish>,
    /// Who stands outside.
    outside: BTreeMap<u64, Waker>,
    /// Those of them who go in before the next wish begins.
    passing: BTreeSet<u64>,
    longs: Vec<Long>,
    /// Who waits for a long hold to begin or end, or for all wishes to have come true.
    watchers: BTreeMap<u64, Waker>,
}

struct Wish {
    id: u64,
    waker: Option<Waker>,
    /// Whether the others are stopped.
    has_begun: bool,
}

/// A hold that takes long, announced before it begins.
struct Long {
    id: u64,
    /// Its shards, ascending; `None` for all.
    shards: Option<Vec<u32>>,
    since: Instant,
}

impl Long {
    fn overlaps(&self, covered: Covered<'_>) -> bool {
        match (&self.shards, covered) {
            (_, Covered::None) => false,
            (None, _) | (_, Covered::All) => true,
            (Some(mine), _) => mine.iter().any(|shard| covered.has(*shard as usize)),
        }
    }
}

/// The bit that stops whom a wish keeps out.
fn stop_bit(access: Access) -> u32 {
    match access {
        Access::Read => WRITES_STOPPED,
        Access::Write => STOPPED,
    }
}

/// The bits that keep a hold out.
#[inline]
fn bars(access: Access) -> u32 {
    match access {
        Access::Read => CLOSED | STOPPED,
        Access::Write => CLOSED | STOPPED | WRITES_STOPPED,
    }
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { word: Word::new(), seats: Arc::default(), state: Mutex::new(State::default()) }
    }

    /// The seats of all threads.
    pub(crate) fn seats(&self) -> &Arc<Seats> {
        &self.seats
    }

    #[inline]
    pub(crate) fn word(&self) -> &Word {
        &self.word
    }

    /// A seat for the calling thread.
    pub(crate) fn seat(&self) -> Arc<Seat> {
        self.seats.take()
    }

    /// Takes the thread's seat; false if the gate is stopped, or closed. [`Gate::leave`] gives it up.
    #[inline]
    pub(crate) fn enter(&self, seat: &Seat, access: Access) -> bool {
        seat.enter(access);
        light();
        if !self.word.has(bars(access)) {
            return true;
        }
        self.leave_to_stopper(seat, access);
        false
    }

    /// Says that the thread begins to read without a lock; false if the gate is stopped, or closed. It neither holds nor waits for
    /// anything until [`Gate::end_reading`].
    #[inline]
    pub(crate) fn begin_reading(&self, seat: &Seat) -> bool {
        seat.turn_reading(Ordering::Relaxed);
        light();
        if !self.word.has(bars(Access::Read)) {
            return true;
        }
        self.end_reading(seat);
        false
    }

    /// Says that it no longer does.
    #[inline]
    pub(crate) fn end_reading(&self, seat: &Seat) {
        seat.turn_reading(Ordering::Release);
        light();
        if self.word.has(CALLED) {
            self.call();
        }
    }

    /// Takes the thread's seat as [`Gate::enter`] does, trying for a moment, unless that is in vain.
    #[cold]
    pub(crate) fn enter_soon(&self, seat: &Seat, access: Access) -> bool {
        !self.word.has(CLOSED | KEPT)
            && spin(|| (!self.word.has(bars(access)) && self.enter(seat, access)).then_some(())).is_some()
    }

    /// Takes the thread's seat as soon as nobody has everything.
    pub(crate) async fn pass(&self, seat: &Seat, access: Access) {
        if self.enter(seat, access) {
            return;
        }
        let mut outside = Outside { gate: self, id: 0, is_in: false };
        std::future::poll_fn(|context| outside.poll(context, seat, access)).await;
    }

    #[cold]
    fn leave_to_stopper(&self, seat: &Seat, access: Access) {
        seat.leave(access);
        light();
        if self.word.has(CALLED) {
            self.call();
        }
    }

    /// Says that the thread of this seat has done one thing for another.
    #[inline]
    pub(crate) fn serve(&self, seat: &Seat) {
        seat.serve();
        light();
        if self.word.has(CALLED) {
            self.call();
        }
    }

    /// Wakes who waits for the seats. To be called after leaving one and after a light fence, if the word says so.
    #[cold]
    pub(crate) fn call(&self) {
        self.wake_first();
    }

    fn wake_first(&self) {
        let waker = self.state.lock().first_waker();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Has everything at once, or after a moment's trying; the [`Everything`] is let go with its drop.
    pub(crate) fn try_stop(&self, access: Access) -> Option<Everything<'_>> {
        let mut wish = {
            let mut state = self.state.lock();
            if !state.wishes.is_empty() || !state.longs.is_empty() || !state.passing.is_empty() {
                return None;
            }
            self.add_wish(&mut state, access)
        };
        wish.try_begin();
        spin(|| wish.is_clear().then_some(()))?;
        Some(wish)
    }

    /// Has everything, as soon as that can be.
    pub(crate) async fn stop(&self, access: Access) -> Everything<'_> {
        let mut wish = {
            let mut state = self.state.lock();
            self.add_wish(&mut state, access)
        };
        std::future::poll_fn(|context| wish.poll(context)).await;
        wish
    }

    fn add_wish(&self, state: &mut State, access: Access) -> Everything<'_> {
        let id = state.next_id();
        state.wishes.push_back(Wish { id, waker: None, has_begun: false });
        Everything { gate: self, id, access }
    }

    /// Announces a hold of these shards that takes long, once there is no other one of the same shards and nobody waits for
    /// everything. [`Gate::end_long`] ends it.
    pub(crate) async fn begin_long(&self, covered: Covered<'_>) -> u64 {
        let mut watcher = self.watcher();
        let begun = |context: &mut Context<'_>| {
            let (id, woken) = {
                let state = &mut *self.state.lock();
                if !state.wishes.is_empty() || state.longs.iter().any(|long| long.overlaps(covered)) {
                    watcher.register(state, context);
                    return Poll::Pending;
                }
                (self.add_long(state, covered), std::mem::take(&mut state.watchers))
            };
            woken.into_values().for_each(Waker::wake);
            Poll::Ready(id)
        };
        std::future::poll_fn(begun).await
    }

    /// Announces that these shards, which are held, are held for long from now on. It waits for nobody: who waits for these shards, or for
    /// everything, waits for them anyway.
    pub(crate) fn begin_long_now(&self, covered: Covered<'_>) -> u64 {
        let (id, woken) = {
            let state = &mut *self.state.lock();
            (self.add_long(state, covered), std::mem::take(&mut state.watchers))
        };
        woken.into_values().for_each(Waker::wake);
        id
    }

    fn add_long(&self, state: &mut State, covered: Covered<'_>) -> u64 {
        let shards = match covered {
            Covered::None => Some(Vec::new()),
            Covered::One(shard) => Some(vec![shard as u32]),
            Covered::Many(shards) => Some(shards.to_vec()),
            Covered::All => None,
        };
        let id = state.next_id();
        state.longs.push(Long { id, shards, since: Instant::now() });
        self.word.set(KEPT, true);
        id
    }

    /// Says that a long hold is over.
    pub(crate) fn end_long(&self, id: u64) {
        let (woken, first) = {
            let state = &mut *self.state.lock();
            state.longs.retain(|long| long.id != id);
            if state.longs.is_empty() {
                self.word.set(KEPT, false);
            }
            (std::mem::take(&mut state.watchers), state.first_waker())
        };
        woken.into_values().chain(first).for_each(Waker::wake);
    }

    /// Since when one of these shards is held for long, by another than `own`.
    pub(crate) fn kept_since(&self, covered: Covered<'_>, own: Option<u64>) -> Option<Instant> {
        if !self.word.has(KEPT) {
            return None;
        }
        self.state.lock().kept_since(covered, own)
    }

    /// Returns once none of these shards is held for long by another than `own`.
    pub(crate) async fn until_not_kept(&self, covered: Covered<'_>, own: Option<u64>) {
        let mut watcher = self.watcher();
        let is_over = |context: &mut Context<'_>| match watcher.look(context, covered, own) {
            Some(_) => Poll::Pending,
            None => Poll::Ready(()),
        };
        std::future::poll_fn(is_over).await;
    }

    /// One who watches long holds.
    pub(crate) fn watcher(&self) -> Watcher<'_> {
        Watcher { gate: self, id: 0 }
    }
}

impl State {
    fn kept_since(&self, covered: Covered<'_>, own: Option<u64>) -> Option<Instant> {
        let others = self.longs.iter().filter(|long| Some(long.id) != own && long.overlaps(covered));
        others.map(|long| long.since).min()
    }

    fn first_waker(&mut self) -> Option<Waker> {
        self.wishes.front_mut().and_then(|wish| wish.waker.take())
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

/// Somebody outside.
struct Outside<'g> {
    gate: &'g Gate,
    /// His number, once he has registered.
    id: u64,
    is_in: bool,
}

impl Outside<'_> {
    fn poll(&mut self, context: &mut Context<'_>, seat: &Seat, access: Access) -> Poll<()> {
        loop {
            {
                // Who lets the others in does so with the state locked.
                let mut state = self.gate.state.lock();
                if self.gate.word.has(bars(access)) {
                    if self.id == 0 {
                        self.id = state.next_id();
                    }
                    state.passing.remove(&self.id);
                    state.outside.insert(self.id, context.waker().clone());
                    return Poll::Pending;
                }
            }
            if self.gate.enter(seat, access) {
                self.is_in = true;
                return Poll::Ready(());
            }
        }
    }
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        let is_last = {
            let mut state = self.gate.state.lock();
            state.outside.remove(&self.id);
            state.passing.remove(&self.id) && state.passing.is_empty()
        };
        if is_last {
            self.gate.wake_first();
        }
    }
}

/// Who is woken when a long hold begins or ends.
pub(crate) struct Watcher<'g> {
    gate: &'g Gate,
    /// His number, once he has registered.
    id: u64,
}

impl Watcher<'_> {
    fn register(&mut self, state: &mut State, context: &mut Context<'_>) {
        if self.id == 0 {
            self.id = state.next_id();
        }
        state.watchers.insert(self.id, context.waker().clone());
    }

    /// Since when one of these shards is held for long, by another than `own`; the task is woken when that changes.
    pub(crate) fn look(
        &mut self,
        context: &mut Context<'_>,
        covered: Covered<'_>,
        own: Option<u64>,
    ) -> Option<Instant> {
        let state = &mut *self.gate.state.lock();
        self.register(state, context);
        state.kept_since(covered, own)
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        if self.id != 0 {
            self.gate.state.lock().watchers.remove(&self.id);
        }
    }
}

/// Everything, or the wish for it; its drop lets the others in.
pub(crate) struct Everything<'g> {
    gate: &'g Gate,
    id: u64,
    access: Access,
}

impl Everything<'_> {
    /// Stops the others, if it is its turn.
    fn try_begin(&mut self) -> bool {
        {
            let mut state = self.gate.state.lock();
            let may_begin = state.longs.is_empty() && state.passing.is_empty();
            let first = state.wishes.front_mut().filter(|wish| wish.id == self.id);
            match first {
                Some(wish) if wish.has_begun => return true,
                Some(wish) if may_begin => wish.has_begun = true,
                _ => return false,
            }
            self.gate.word.set(stop_bit(self.access), true);
        }
        // Who takes a seat from now on sees the bit; who has one is seen.
        heavy();
        true
    }

    fn is_clear(&self) -> bool {
        // In this order: who has left sends no more.
        self.gate.seats.with(|seats| {
            let sum = |count: fn(&Seat) -> &AtomicU64, order| {
                seats.iter().map(|seat| count(seat).load(order)).sum::<u64>()
            };
            seats.iter().all(|seat| seat.is_clear(self.access))
                && sum(|seat| &seat.sent, Ordering::Relaxed) == sum(|seat| &seat.served, Ordering::Acquire)
        })
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Registered before the look, so that nothing is missed in between.
        if let Some(wish) = self.gate.state.lock().wishes.iter_mut().find(|wish| wish.id == self.id) {
            wish.waker = Some(context.waker().clone());
        }
        if !self.try_begin() {
            return Poll::Pending;
        }
        if spin(|| self.is_clear().then_some(())).is_some() {
            return Poll::Ready(());
        }
        if !self.gate.word.has(CALLED) {
            self.gate.word.set(CALLED, true);
            // Who leaves after the look sees that he has to call.
            heavy();
        }
        if self.is_clear() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Announces that it is had for long.
    pub(crate) fn begin_long(&self) -> u64 {
        self.gate.begin_long_now(Covered::All)
    }
}

impl Drop for Everything<'_> {
    fn drop(&mut self) {
        let (mut wakers, next);
        {
            let state = &mut *self.gate.state.lock();
            let position = state.wishes.iter().position(|wish| wish.id == self.id);
            let Some(wish) = position.and_then(|position| state.wishes.remove(position)) else { return };
            wakers = Vec::new();
            if wish.has_begun {
                self.gate.word.set(stop_bit(self.access) | CALLED, false);
                let outside = std::mem::take(&mut state.outside);
                for (id, waker) in outside {
                    state.passing.insert(id);
                    wakers.push(waker);
                }
            }
            next = state.first_waker();
            if state.wishes.is_empty() {
                wakers.extend(std::mem::take(&mut state.watchers).into_values());
            }
        }
        wakers.into_iter().chain(next).for_each(Waker::wake);
    }
}
