//! What replies wait for, and who sends them then.
//!
//! With `appendfsync always` a reply may not leave before what it shows is durable. The connection hands its replies over to its
//! outlet until that place is; the thread goes on with others. The journal's threads tell each worker, once for a whole group,
//! that more is durable; the worker sends what is. A wake-up across threads for each client was rejected: it costs more than
//! its share of the sync.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use atomic_waker::AtomicWaker;
use rustredis_persistence::journal::{Durable, Journal, Place};

use crate::clients::client::Client;
use crate::net::outlet::Outlet;

/// Held replies that are sent in one turn, before the thread looks for input again: some milliseconds' worth. Clients that
/// are answered together are served with fewer wake-ups of their own.
const RELEASED_PER_TURN: usize = 1024;

/// What the workers and the journal's threads share: handles to it.
#[derive(Clone)]
pub struct Durability {
    /// The order of effects.
    pub journal: Arc<Journal>,
    /// How far it is durable.
    pub durable: Arc<Durable>,
    signals: Arc<[Signal]>,
}

/// Tells a worker that more is durable.
#[derive(Default)]
struct Signal {
    waker: AtomicWaker,
    count: AtomicU64,
}

impl Durability {
    /// With a journal for so many workers that is off.
    pub fn new(workers: usize, shards: usize) -> Self {
        Self {
            journal: Arc::new(Journal::new(workers, shards)),
            durable: Arc::default(),
            signals: (0..workers).map(|_| Signal::default()).collect(),
        }
    }

    /// Has every worker look again who still waits.
    pub fn progressed(&self) {
        for signal in &*self.signals {
            signal.count.fetch_add(1, Ordering::Release);
            signal.waker.wake();
        }
    }
}

/// Who waits on a worker.
#[derive(Default)]
pub struct Waiting {
    /// Replies that wait to be durable, in the order in which they were made.
    held: RefCell<VecDeque<Rc<Outlet>>>,
    /// Connections that wait themselves: for room in the journal, or for something to be durable.
    watching: RefCell<HashMap<u64, Arc<Client>>>,
}

impl Waiting {
    /// Has replies sent when `place` is durable.
    pub fn hold(&self, outlet: &Rc<Outlet>, output: &mut Vec<u8>, place: Place, now_ms: u64) {
        outlet.hold(output, place, now_ms);
        self.held.borrow_mut().push_back(outlet.clone());
    }

    /// Has the client woken when more is durable, or there is room in the journal.
    pub fn watch(&self, client: &Arc<Client>) {
        self.watching.borrow_mut().entry(client.id).or_insert_with(|| client.clone());
    }

    /// Forgets a client that ends, and what it holds.
    pub fn forget(&self, client: &Client, outlet: &Rc<Outlet>) {
        self.watching.borrow_mut().remove(&client.id);
        if outlet.is_waiting() {
            self.held.borrow_mut().retain(|held| !Rc::ptr_eq(held, outlet));
        }
    }

    /// Tells `found` of the clients whose replies have waited since before that time, in Unix ms.
    pub fn since(&self, ms: u64, found: impl Fn(&Client)) {
        let held = self.held.borrow();
        held.iter().filter(|outlet| outlet.has_waited_since(ms)).for_each(|outlet| found(outlet.client()));
    }
}

/// Sends held replies with `send`, and wakes connections, when more is durable; a task of the worker of this number.
pub async fn release(durability: Durability, index: usize, waiting: Rc<Waiting>, send: impl Fn(&Outlet)) {
    let signal = &durability.signals[index];
    let mut seen = 0;
    loop {
        std::future::poll_fn(|context| {
            signal.waker.register(context.waker());
            let count = signal.count.load(Ordering::Acquire);
            if count == seen {
                return Poll::Pending;
            }
            seen = count;
            Poll::Ready(())
        })
        .await;
        waiting.watching.borrow_mut().drain().for_each(|(_, client)| client.wake());
        release_held(&durability.durable, &waiting, &send).await;
    }
}

/// Sends what is durable of the replies that are held now, and lets others have their turn between.
async fn release_held(durable: &Durable, waiting: &Waiting, send: &impl Fn(&Outlet)) {
    let count = waiting.held.borrow().len();
    for turn in 0..count {
        let Some(outlet) = waiting.held.borrow_mut().pop_front() else { return };
        if durable.must_wait(outlet.place()) {
            waiting.held.borrow_mut().push_back(outlet);
        } else {
            send(&outlet);
        }
        if turn % RELEASED_PER_TURN == RELEASED_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
    }
}
