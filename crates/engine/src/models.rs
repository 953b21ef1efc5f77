//! Models of the crate's protocols, run by `loom` over every order in which threads can take their steps.
//!
//! The files that hold the protocols are compiled a second time here, with `loom`'s atomics, fences and locks in place of the real ones.

use std::future::Future;

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32 as LockWord, Ordering};
use loom::thread;
use rustredis_keyspace::{Access, Covered};

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use std::sync::Arc;

    #[derive(Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no model panics with a lock")
        }
    }

    pub(crate) fn light() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn heavy() {
        fence(Ordering::SeqCst);
    }

    /// Any time has passed since, so that nothing depends on it.
    #[derive(Clone, Copy)]
    pub(crate) struct Moment;

    impl Moment {
        pub(crate) fn now() -> Self {
            Self
        }

        pub(crate) fn is_past(self, _: std::time::Duration) -> bool {
            true
        }
    }

    /// One try: a second is another order of steps.
    pub(crate) fn spin<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
        attempt()
    }
}

#[allow(dead_code, clippy::duplicate_mod, reason = "the models use a part, under other atomics")]
#[path = "gate.rs"]
mod gate;
#[allow(dead_code, clippy::duplicate_mod, reason = "the models use a part, under other atomics")]
#[path = "inbox.rs"]
mod inbox;
#[allow(dead_code, clippy::duplicate_mod, reason = "the models use a part, under other atomics")]
#[path = "notices.rs"]
mod notices;
#[allow(dead_code, clippy::duplicate_mod, reason = "the models use a part, under other atomics")]
#[path = "order.rs"]
mod order;
#[allow(dead_code, clippy::duplicate_mod, reason = "the models use a part, under other atomics")]
#[path = "word.rs"]
mod word;

mod errands;

use gate::{Gate, Seat};
use notices::{Locks, Manner, Notices};
use word::{CALLED, URGENT, WAITED, Word};

/// A lock as the engines have them, with a counter in it that only its holder may change.
struct Lock {
    state: LockWord,
    value: loom::cell::UnsafeCell<u32>,
}

const WRITER: u32 = 1 << 16;

impl Locks for Lock {
    fn try_lock(&self, _shard: u32, access: Access) -> bool {
        match access {
            Access::Write => {
                self.state.compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok()
            }
            Access::Read => {
                let state = self.state.load(Ordering::Relaxed);
                let next = state + 1;
                state < WRITER
                    && self.state.compare_exchange(state, next, Ordering::Acquire, Ordering::Relaxed).is_ok()
            }
        }
    }

    fn unlock(&self, _shard: u32, access: Access) {
        let held = if access == Access::Write { WRITER } else { 1 };
        self.state.fetch_sub(held, Ordering::Release);
    }
}

struct Door {
    word: Word,
    notices: Notices,
    lock: Lock,
}

impl Door {
    fn new() -> Arc<Self> {
        let lock = Lock { state: LockWord::new(0), value: loom::cell::UnsafeCell::new(0) };
        Arc::new(Self { word: Word::new(), notices: Notices::new(1), lock })
    }

    fn acquire(&self, access: Access, manner: Manner) -> impl Future<Output = ()> {
        self.notices.acquire(&self.word, &self.lock, 0, access, manner)
    }

    fn release(&self, access: Access) {
        self.lock.unlock(0, access);
        sync::light();
        if self.word.has(WAITED) {
            self.notices.tell(&self.word, &self.lock, 0);
        }
    }

    /// Locks, as a command does, and adds one.
    fn add(&self) {
        if !self.lock.try_lock(0, Access::Write) {
            block_on(self.acquire(Access::Write, Manner::Tries));
        }
        // SAFETY: the lock is held.
        self.lock.value.with_mut(|value| unsafe { *value += 1 });
        self.release(Access::Write);
    }

    fn check_nobody_is_left(&self) {
        assert!(!self.word.has(WAITED | URGENT), "a bit is left");
        assert!(self.lock.try_lock(0, Access::Write), "the lock is free");
    }
}

fn model(steps: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(steps);
}

#[test]
fn a_release_is_not_missed() {
    model(|| {
        let door = Door::new();
        let other = door.clone();
        let thread = thread::spawn(move || other.add());
        door.add();
        thread.join().expect("the thread ends");
        door.lock.value.with(|value| {
            // SAFETY: the other thread has ended.
            assert_eq!(unsafe { *value }, 2);
        });
        door.check_nobody_is_left();
    });
}

#[test]
fn a_notice_to_one_who_goes_is_told_the_next() {
    model(|| {
        let door = Door::new();
        assert!(door.lock.try_lock(0, Access::Write));
        let other = door.clone();
        let thread = thread::spawn(move || {
            // It gives up at some point: before it is told, after, or with the lock.
            let mut wait = Box::pin(other.acquire(Access::Write, Manner::InTurn));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let has_lock = wait.as_mut().poll(&mut context).is_ready();
            drop(wait);
            if has_lock {
                other.release(Access::Write);
            }
        });
        door.release(Access::Write);
        block_on(door.acquire(Access::Write, Manner::InTurn));
        door.release(Access::Write);
        thread.join().expect("the thread ends");
        door.check_nobody_is_left();
    });
}

/// A gate, and what only who has everything, or is alone in it, may touch.
struct House {
    gate: Gate,
    value: loom::cell::UnsafeCell<u32>,
}

impl House {
    fn new() -> Arc<Self> {
        Arc::new(Self { gate: Gate::new(), value: loom::cell::UnsafeCell::new(0) })
    }

    fn add(&self) {
        // SAFETY: the caller is alone; `loom` checks it.
        self.value.with_mut(|value| unsafe { *value += 1 });
    }

    fn leave(&self, seat: &Seat, access: Access) {
        seat.leave(access);
        sync::light();
        if self.gate.word().has(CALLED) {
            self.gate.call();
        }
    }

    fn enter_and_add(&self) {
        let seat = self.gate.seat();
        block_on(self.gate.pass(&seat, Access::Write));
        self.add();
        self.leave(&seat, Access::Write);
    }

    fn stop_and_add(&self) {
        let everything = block_on(self.gate.stop(Access::Write));
        self.add();
        drop(everything);
    }
}

#[test]
fn who_has_everything_is_alone() {
    model(|| {
        let house = House::new();
        let other = house.clone();
        let thread = thread::spawn(move || other.enter_and_add());
        house.stop_and_add();
        thread.join().expect("the thread ends");
        assert_eq!(
            house.value.with(|value| {
                // SAFETY: the other thread has ended.
                unsafe { *value }
            }),
            2
        );
        assert_eq!(house.gate.word().read(), 0, "a bit is left");
    });
}

#[test]
fn two_have_everything_one_after_the_other() {
    model(|| {
        let house = House::new();
        let other = house.clone();
        let thread = thread::spawn(move || other.stop_and_add());
        house.stop_and_add();
        thread.join().expect("the thread ends");
        assert_eq!(house.gate.word().read(), 0, "a bit is left");
    });
}

#[test]
fn readers_are_in_while_everything_is_read() {
    model(|| {
        let house = House::new();
        let other = house.clone();
        let thread = thread::spawn(move || {
            let seat = other.gate.seat();
            block_on(other.gate.pass(&seat, Access::Read));
            // SAFETY: nobody writes.
            other.value.with(|value| assert_eq!(unsafe { *value }, 0));
            other.leave(&seat, Access::Read);
        });
        let everything = block_on(house.gate.stop(Access::Read));
        // SAFETY: nobody writes.
        house.value.with(|value| assert_eq!(unsafe { *value }, 0));
        drop(everything);
        thread.join().expect("the thread ends");
    });
}

#[test]
fn a_wish_that_is_dropped_lets_the_others_in() {
    model(|| {
        let house = House::new();
        let other = house.clone();
        let thread = thread::spawn(move || {
            let mut wish = Box::pin(other.gate.stop(Access::Write));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            if let std::task::Poll::Ready(everything) = wish.as_mut().poll(&mut context) {
                other.add();
                drop(everything);
            }
        });
        house.enter_and_add();
        thread.join().expect("the thread ends");
        assert_eq!(house.gate.word().read(), 0, "a bit is left");
    });
}

#[test]
fn a_long_hold_keeps_wishes_waiting_and_not_others() {
    model(|| {
        let house = House::new();
        let long = block_on(house.gate.begin_long(Covered::One(1)));
        let other = house.clone();
        let thread = thread::spawn(move || other.stop_and_add());
        assert!(house.gate.kept_since(Covered::One(2), None).is_none());
        assert!(house.gate.kept_since(Covered::All, None).is_some());
        let seat = house.gate.seat();
        assert!(house.gate.enter(&seat, Access::Write), "the wish stops nobody yet");
        house.leave(&seat, Access::Write);
        house.gate.end_long(long);
        thread.join().expect("the thread ends");
        assert_eq!(house.gate.word().read(), 0, "a bit is left");
    });
}
