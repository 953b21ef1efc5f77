//! Models of what owners send one another: the inbox, its sleep, the order of what spans owners, and the gate.

use std::cell::RefCell;
use std::future::Future;
use std::task::Poll;

use loom::cell::UnsafeCell;
use loom::future::{AtomicWaker, block_on};
use loom::sync::Arc;
use loom::thread;
use rustredis_keyspace::Access;

use super::gate::Gate;
use super::inbox::{Inbox, Node};
use super::order::Order;
use super::sync::{Mutex, light};
use super::word::CALLED;
use super::{House, model};

/// An owner's inbox with its waker. What is sent is written by the sender and read by the owner; loom sees whether that is ordered.
struct Owner {
    inbox: Inbox<UnsafeCell<u32>>,
    waker: AtomicWaker,
}

impl Owner {
    fn new() -> Self {
        Self { inbox: Inbox::new(), waker: AtomicWaker::new() }
    }

    fn send(&self, message: u32) {
        if self.inbox.push(Node::new(UnsafeCell::new(message))) {
            self.waker.wake();
        }
    }

    fn take(&self) -> Vec<u32> {
        // SAFETY: what is taken out is the owner's.
        self.inbox.take().map(|node| node.message.with(|message| unsafe { *message })).collect()
    }

    /// Returns once so many messages have come; sleeps between.
    fn receive(&self, count: usize) -> impl Future<Output = Vec<u32>> {
        let received = RefCell::new(Vec::new());
        std::future::poll_fn(move |context| {
            self.waker.register_by_ref(context.waker());
            loop {
                received.borrow_mut().extend(self.take());
                if received.borrow().len() == count {
                    return Poll::Ready(received.take());
                }
                if self.inbox.try_sleep() {
                    return Poll::Pending;
                }
            }
        })
    }
}

#[test]
fn what_is_sent_comes_out_once_and_in_order_and_wakes_who_sleeps() {
    model(|| {
        let owner = Arc::new(Owner::new());
        let other = owner.clone();
        let thread = thread::spawn(move || {
            other.send(1);
            other.send(2);
        });
        owner.send(10);
        let received = block_on(owner.receive(3));
        thread.join().expect("the thread ends");
        let from_thread: Vec<u32> = received.iter().copied().filter(|message| *message < 10).collect();
        assert_eq!((from_thread, received.len()), (vec![1, 2], 3));
        assert!(owner.inbox.is_empty());
    });
}

#[test]
fn what_is_left_is_freed() {
    model(|| {
        let owner = Arc::new(Owner::new());
        let other = owner.clone();
        let thread = thread::spawn(move || other.send(1));
        owner.inbox.try_sleep();
        thread.join().expect("the thread ends");
    });
}

/// Two owners, each of which does something with both of them.
struct Pair {
    owners: [Owner; 2],
    order: Order,
    /// What was done at each, in order.
    done: [Mutex<Vec<u32>>; 2],
}

impl Pair {
    /// What [`crate::Engine::scatter`] does, as owner `own`.
    fn scatter(&self, own: usize, message: u32) {
        let is_next = self.order.begin(|_| {
            let is_next = self.owners[own].inbox.is_empty();
            self.owners[1 - own].send(message);
            if !is_next {
                self.owners[own].send(message);
            }
            is_next
        });
        if is_next {
            self.done[own].lock().push(message);
        }
    }

    fn serve(&self, own: usize) {
        for message in self.owners[own].take() {
            self.done[own].lock().push(message);
        }
    }
}

#[test]
fn what_spans_owners_is_done_in_one_order_at_all_of_them() {
    model(|| {
        let owners = [Owner::new(), Owner::new()];
        let pair = Arc::new(Pair { owners, order: Order::default(), done: Default::default() });
        let other = pair.clone();
        let thread = thread::spawn(move || {
            other.scatter(1, 1);
            other.serve(1);
        });
        pair.scatter(0, 0);
        pair.serve(0);
        thread.join().expect("the thread ends");
        pair.serve(0);
        pair.serve(1);
        assert_eq!(*pair.done[0].lock(), *pair.done[1].lock());
    });
}

#[test]
fn who_has_seen_a_part_done_comes_behind_the_others() {
    model(|| {
        let owners = [Owner::new(), Owner::new()];
        let pair = Arc::new(Pair { owners, order: Order::default(), done: Default::default() });
        let other = pair.clone();
        let thread = thread::spawn(move || {
            other.order.begin(|number| other.owners.iter().for_each(|owner| owner.send(number as u32)));
        });
        for number in pair.owners[0].take() {
            pair.order.await_whole(number.into());
            // It is done here; who now goes to the other owner finds the other part there.
            assert!(!pair.owners[1].inbox.is_empty());
        }
        thread.join().expect("the thread ends");
    });
}

#[test]
fn who_has_everything_sees_all_that_was_sent_or_nothing() {
    model(|| {
        let house = House::new();
        let owner = Arc::new(Owner::new());
        let (other, inbox) = (house.clone(), owner.clone());
        let thread = thread::spawn(move || {
            let seat = other.gate.seat();
            block_on(other.gate.pass(&seat, Access::Write));
            seat.send(1);
            inbox.send(1);
            leave(&other.gate, &seat);
        });
        let serves = house.clone();
        let server = thread::spawn(move || {
            let seat = serves.gate.seat();
            block_on(owner.receive(1));
            // It has passed the gate when it was sent.
            seat.enter(Access::Write);
            serves.add();
            seat.serve();
            leave(&serves.gate, &seat);
        });
        house.stop_and_add();
        thread.join().expect("the thread ends");
        server.join().expect("the thread ends");
        assert_eq!(house.gate.word().read(), 0, "a bit is left");
    });
}

fn leave(gate: &Gate, seat: &super::gate::Seat) {
    seat.leave(Access::Write);
    light();
    if gate.word().has(CALLED) {
        gate.call();
    }
}
