//! The hold of everything beside holds of shards, and an owner's inbox: with more threads than the engine's own models have.

use std::task::{Context, Poll, Waker};

use rustredis_keyspace::Access;

use super::beside;
use super::engine::gate::Gate;
use super::engine::inbox::{Inbox, Node};
use super::engine::leave;
use super::engine::word::CALLED;
use super::sync::{Arc, Cell, Mutex, ROUNDS, THREADS, block_on, check, check_bounded, thread};

/// A gate, a lock as shards have, and what is changed under the lock or by who has everything.
struct House {
    gate: Gate,
    lock: Mutex<()>,
    value: Cell,
}

impl House {
    fn add(&self) {
        self.value.set(self.value.get() + 1);
    }

    /// A command.
    fn enter_and_add(&self) {
        let seat = self.gate.seat();
        let lock = self.lock.lock().expect("no model panics with a lock");
        // Locks come before the gate.
        block_on(self.gate.pass(&seat, Access::Write));
        self.add();
        leave(&self.gate, &seat);
        drop(lock);
        seat.give_back();
    }

    fn stop_and_add(&self) {
        let everything = block_on(self.gate.stop(Access::Write));
        self.add();
        drop(everything);
    }

    /// Wants everything, and goes before he has it.
    fn wish_in_vain(&self) {
        let mut wish = Box::pin(self.gate.stop(Access::Write));
        if let Poll::Ready(everything) = wish.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            drop(everything);
        }
    }
}

/// Who has everything is alone, all come in in the end, and a wish that was dropped keeps nobody out.
pub fn who_has_everything_is_alone() {
    check_bounded(2, || {
        let house = Arc::new(House { gate: Gate::new(), lock: Mutex::new(()), value: Cell::new(0) });
        let mut threads: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
        for number in 0..THREADS {
            let house = house.clone();
            threads.push(Box::new(move || {
                for round in 0..ROUNDS {
                    match (number + round) % 3 {
                        0 => house.enter_and_add(),
                        1 => house.stop_and_add(),
                        _ => {
                            house.wish_in_vain();
                            house.enter_and_add();
                        }
                    }
                }
            }));
        }
        beside(threads, || (0..ROUNDS).for_each(|_| house.stop_and_add()));
        assert_eq!(house.value.get(), (THREADS + 1) * ROUNDS);
        assert_eq!(house.gate.word().read() & CALLED, 0, "a bit is left");
    });
}

/// Messages come out once, in the order in which they were sent by whichever threads, and wake an owner who sleeps.
pub fn messages_come_out_in_the_order_of_their_sending() {
    check(|| {
        let inbox = Arc::new(Inbox::new());
        let sent = Arc::new(Mutex::new(0));
        let owner = thread::current();
        let senders = THREADS + 1;
        let sender = |_| -> Box<dyn FnOnce() + Send> {
            let (inbox, sent, owner) = (inbox.clone(), sent.clone(), owner.clone());
            Box::new(move || {
                for _ in 0..ROUNDS {
                    let mut sent = sent.lock().expect("no model panics with a lock");
                    let message = Cell::new(*sent);
                    *sent += 1;
                    if inbox.push(Node::new(message)) {
                        owner.unpark();
                    }
                }
            })
        };
        let mut next = 0;
        beside((0..senders).map(sender), || {
            loop {
                for node in inbox.take() {
                    assert_eq!(node.message.get(), next, "a message came before another that was sent first");
                    next += 1;
                }
                if next == senders * ROUNDS {
                    break;
                }
                if inbox.try_sleep() {
                    thread::park();
                }
            }
        });
        assert!(inbox.is_empty());
    });
}
