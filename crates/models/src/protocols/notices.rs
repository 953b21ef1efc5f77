//! Who waits for a shard's lock, and the order of what is sent to several owners: with more threads than the engine's own models have.

use std::task::{Context, Poll, Waker};

use rustredis_keyspace::Access;

use super::beside;
use super::engine::inbox::{Inbox, Node};
use super::engine::light;
use super::engine::notices::{Locks, Manner, Notices};
use super::engine::order::Order;
use super::engine::word::{URGENT, WAITED, Word};
use super::sync::{
    Arc, AtomicU32, Cell, Ordering, ROUNDS, THREADS, block_on, check, check_bounded, yield_now,
};

const WRITER: u32 = 1 << 16;

/// A lock as the engines have them, and what it guards.
struct Lock {
    state: AtomicU32,
    value: Cell,
}

impl Locks for Lock {
    fn try_lock(&self, _shard: u32, access: Access) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        let next = match access {
            Access::Write if state == 0 => WRITER,
            Access::Read if state < WRITER => state + 1,
            _ => return false,
        };
        self.state.compare_exchange(state, next, Ordering::Acquire, Ordering::Relaxed).is_ok()
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
    fn release(&self, access: Access) {
        self.lock.unlock(0, access);
        light();
        if self.word.has(WAITED) {
            self.notices.tell(&self.word, &self.lock, 0);
        }
    }

    /// Takes the lock, and waits for it as long as it takes.
    fn take(&self, access: Access, manner: Manner) {
        let is_passed = manner == Manner::Tries && !self.word.has(URGENT);
        if !(is_passed && self.lock.try_lock(0, access)) {
            block_on(self.notices.acquire(&self.word, &self.lock, 0, access, manner));
        }
    }

    fn add(&self, manner: Manner) {
        self.take(Access::Write, manner);
        self.lock.value.set(self.lock.value.get() + 1);
        self.release(Access::Write);
    }

    fn read(&self) {
        self.take(Access::Read, Manner::Tries);
        self.lock.value.get();
        self.release(Access::Read);
    }

    /// Waits, and goes: before it is told, when it was told, or with the lock.
    fn wait_in_vain(&self) {
        let mut wait =
            Box::pin(self.notices.acquire(&self.word, &self.lock, 0, Access::Write, Manner::InTurn));
        let mut poll = || wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut has_lock = poll().is_ready();
        if !has_lock {
            yield_now();
            has_lock = matches!(poll(), Poll::Ready(()));
        }
        drop(wait);
        if has_lock {
            self.release(Access::Write);
        }
    }
}

/// Writers, readers who overlap, and some who go before they have it: each who stays gets the lock, alone or with readers; nobody is missed.
pub fn who_waits_for_a_lock_gets_it() {
    check_bounded(2, || {
        let lock = Lock { state: AtomicU32::new(0), value: Cell::new(0) };
        let door = Arc::new(Door { word: Word::new(), notices: Notices::new(1), lock });
        let threads = (0..THREADS).map(|number| -> Box<dyn FnOnce() + Send> {
            let door = door.clone();
            Box::new(move || {
                for round in 0..ROUNDS {
                    match (number + round) % 3 {
                        0 => door.add(Manner::Tries),
                        1 => door.wait_in_vain(),
                        _ => door.read(),
                    }
                }
            })
        });
        beside(threads, || (0..ROUNDS).for_each(|_| door.add(Manner::InTurn)));
        assert!(!door.word.has(WAITED | URGENT), "a bit is left");
        assert!(door.lock.try_lock(0, Access::Write), "the lock is left to nobody");
        let added = (0..THREADS).flat_map(|number| (0..ROUNDS).map(move |round| (number + round) % 3));
        assert_eq!(door.lock.value.get(), ROUNDS + added.filter(|kind| *kind == 0).count() as u32);
    });
}

/// What is sent to two owners: they get it in one order, and who has seen one part done finds the other there already.
pub fn both_owners_get_it_in_one_order() {
    check(|| {
        let inboxes: [Inbox<(u64, u32)>; 2] = [Inbox::new(), Inbox::new()];
        let pair = Arc::new((inboxes, Order::default()));
        let senders = (0..=THREADS).map(|number| -> Box<dyn FnOnce() + Send> {
            let pair = pair.clone();
            Box::new(move || {
                for round in 0..ROUNDS {
                    let message = number * ROUNDS + round;
                    let send = |at| pair.0.iter().for_each(|inbox| _ = inbox.push(Node::new((at, message))));
                    pair.1.begin(send);
                }
            })
        });
        let (mut first, mut second) = (Vec::new(), Vec::new());
        beside(senders, || {
            while first.len() < ((THREADS + 1) * ROUNDS) as usize {
                for node in pair.0[0].take() {
                    let (number, message) = node.message;
                    pair.1.await_whole(number);
                    first.push(message);
                    second.extend(pair.0[1].take().map(|node| node.message.1));
                    assert!(second.contains(&message), "a part was done before the other was sent");
                }
                yield_now();
            }
        });
        assert_eq!(first, second);
    });
}
