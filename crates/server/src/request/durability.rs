//! What a reply waits for: the journal's part in the way of a request.
//!
//! `settle` puts a command's effects into the journal, with the view still held. With `appendfsync always` the session then
//! remembers up to which place its replies depend on the journal: of its own writes, and of the last writes to the
//! shards that it has read, for what a reply shows must not vanish. The connection hands its replies over to its outlet until
//! that place is durable; the thread goes on with others.
//!
//! The journal's threads tell each worker, once for a whole group, that more is durable; the worker sends what is. A
//! wake-up across threads for each client was rejected: it costs more than its share of the sync.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, Ordering::Relaxed};
use std::task::Poll;

use atomic_waker::AtomicWaker;
use rustredis_commands::{Args, Flags, Row};
use rustredis_keyspace::effects::Journal as JournalForm;
use rustredis_keyspace::{Covered, Key, View};
use rustredis_persistence::journal::{Journal, Place, Touched, Unit};
use smallvec::SmallVec;

use crate::clients::client::Client;
use crate::clock::now_ms;
use crate::net::outlet::Outlet;
use crate::request::session::Session;
use crate::request::worker::Worker;
use crate::start::server::Server;

/// Held replies that are sent in one turn, before the thread looks for input again: some milliseconds' worth. Clients that
/// are answered together are served with fewer wake-ups of their own.
const RELEASED_PER_TURN: usize = 1024;

/// What the workers and the journal's threads share.
pub struct Durability {
    /// The order of effects.
    pub journal: Arc<Journal>,
    /// Whether replies wait for what they show to be durable.
    is_awaited: AtomicBool,
    has_told_newer: AtomicBool,
    signals: Box<[Signal]>,
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
            is_awaited: AtomicBool::new(false),
            has_told_newer: AtomicBool::new(false),
            signals: (0..workers).map(|_| Signal::default()).collect(),
        }
    }

    /// Whether replies wait for what they show to be durable.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        self.is_awaited.load(Relaxed)
    }

    /// Sets whether they wait. Who waits already must be told: [`Durability::progressed`].
    pub fn set_awaited(&self, on: bool) {
        self.is_awaited.store(on, Relaxed);
    }

    /// Says in the log, once, that servers before 7.4 cannot load what is being written.
    #[cold]
    fn tell_newer(&self) {
        if !self.has_told_newer.swap(true, Relaxed) {
            tracing::warn!(
                "Fields of hashes expire: servers before Redis 7.4 cannot load the append-only file"
            );
        }
    }

    /// Has every worker look again who still waits.
    pub fn progressed(&self) {
        for signal in &self.signals {
            signal.count.fetch_add(1, Ordering::Release);
            signal.waker.wake();
        }
    }
}

/// What a worker keeps for the journal.
#[derive(Default)]
pub struct Lane {
    unit: RefCell<Unit>,
    /// The place of the last unit that was committed; taken by who wants to know of his own.
    committed: std::cell::Cell<Place>,
    /// Whether something was committed since the thread slept last.
    is_fresh: std::cell::Cell<bool>,
    /// Replies that wait to be durable, in the order in which they were made.
    held: RefCell<VecDeque<Rc<Outlet>>>,
    /// Connections that wait themselves: for room in the journal, or for something to be durable.
    watching: RefCell<HashMap<u64, Arc<Client>>>,
}

impl Lane {
    /// The place of what was committed since the last call, 0 if nothing was.
    pub fn take_committed(&self) -> Place {
        self.committed.take()
    }

    /// Gives a place back that was taken for a while: it is its owner's still.
    pub fn give_committed(&self, place: Place) {
        self.committed.set(place);
    }

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
}

/// Sends held replies, and wakes connections, when more is durable; a task of each worker.
pub async fn release(worker: Rc<Worker>) {
    let server = worker.server.clone();
    let signal = &server.durability.signals[worker.index];
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
        worker.lane.watching.borrow_mut().drain().for_each(|(_, client)| client.wake());
        release_held(&server, &worker).await;
    }
}

/// Sends what is durable of the replies that are held now, and lets others have their turn between.
async fn release_held(server: &Server, worker: &Worker) {
    let count = worker.lane.held.borrow().len();
    for turn in 0..count {
        let Some(outlet) = worker.lane.held.borrow_mut().pop_front() else { return };
        if server.must_wait(outlet.place()) {
            worker.lane.held.borrow_mut().push_back(outlet);
        } else {
            outlet.release(worker.stats());
        }
        if turn % RELEASED_PER_TURN == RELEASED_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
    }
}

/// Closes the clients whose replies have waited too long, while the disk takes nothing (`aof-write-timeout`).
pub fn close_overdue(worker: &Worker) {
    let server = &worker.server;
    let timeout_ms = server.settings.aof_write_timeout_ms.load(Relaxed);
    if timeout_ms == 0 || worker.lane.held.borrow().is_empty() || server.aof.error().is_none() {
        return;
    }
    let end_ms = now_ms().saturating_sub(timeout_ms);
    for outlet in worker.lane.held.borrow().iter().filter(|outlet| outlet.has_waited_since(end_ms)) {
        server.close_for_disk(outlet.client());
    }
}

/// Called before the worker's thread sleeps: whoever waits for a sync waits for all that has gathered, and not for more.
pub fn before_sleep(worker: &Worker) {
    if worker.lane.is_fresh.get() {
        let durability = &worker.server.durability;
        worker.lane.is_fresh.set(durability.is_awaited() && !durability.journal.wake_for_group());
    }
}

/// Puts what a command did into the journal's unit, and commits that unless a transaction gathers. `None` for what nobody
/// commanded: expiry and eviction.
pub fn record(server: &Server, worker: &Worker, view: &mut View<'_>, command: Option<(&Row, Args<'_>)>) {
    let db = view.db();
    let effects = &mut *view.effects;
    let mut unit = worker.lane.unit.borrow_mut();
    for (db, key) in effects.expired.drain(..) {
        unit.add(db as usize, [b"DEL".as_slice(), &key].into_iter());
    }
    for ((db, key), fields) in effects.expired_fields_of.drain(..) {
        let words: Vec<&[u8]> =
            [b"HDEL".as_slice(), &key].into_iter().chain(fields.iter().map(Vec::as_slice)).collect();
        unit.add(db as usize, words.into_iter());
    }
    if effects.dirty > 0
        && let Some((row, args)) = command
        && row.command.flags.has_any(Flags::WRITE.with(Flags::MAY_REPLICATE))
    {
        match &effects.journal {
            JournalForm::Verbatim => unit.add(db, args.from(0)),
            JournalForm::Instead(commands) => {
                for words in commands {
                    if words[0] == b"HPEXPIREAT" {
                        server.durability.tell_newer();
                    }
                    unit.add(db, words.iter().map(Vec::as_slice));
                }
            }
        }
    }
    drop(unit);
    if !worker.defers_waiters.get() {
        commit(server, worker, view, command);
    }
}

/// Commits the unit, if there is something in it.
pub fn commit(server: &Server, worker: &Worker, view: &View<'_>, command: Option<(&Row, Args<'_>)>) {
    let mut unit = worker.lane.unit.borrow_mut();
    if unit.is_empty() {
        return;
    }
    let store = server.engine.store();
    let journal = &server.durability.journal;
    let second = worker.now_ms() / 1000;
    let mut append = |touched: Touched<&mut dyn Iterator<Item = usize>>| {
        journal.append(worker.index, &mut unit, touched, second)
    };
    // The keys say more precisely than a view of the one lock who must wait for this.
    let keys = command.filter(|(row, args)| row.reaches_keys_alone(*args)).map(|(_, args)| args.key_refs());
    let place = match (keys, view.covered()) {
        (Some(keys), covered) if !keys.is_empty() => {
            // A waiter that is served names keys whose shards somebody else may hold, who has a place of his own for them.
            let shards = keys.iter().map(|key| store.shard_of(key.hash));
            append(Touched::Shards(&mut shards.filter(|shard| covered.has(*shard))))
        }
        (_, Covered::One(shard)) => append(Touched::Shards(&mut std::iter::once(shard))),
        (_, Covered::Many(shards)) => {
            append(Touched::Shards(&mut shards.iter().map(|shard| *shard as usize)))
        }
        (_, Covered::All | Covered::None) => append(Touched::Everything),
    };
    worker.lane.committed.set(place);
    worker.lane.is_fresh.set(true);
}

/// Notes up to which place the reply of a command that has run depends on the journal. The view is still held.
pub fn depend(server: &Server, session: &mut Session, row: &Row, args: Args<'_>) {
    let journal = &server.durability.journal;
    let store = server.engine.store();
    let place = if row.reaches_keys_alone(args) {
        args.key_refs().iter().map(|key| journal.last_of_shard(store.shard_of(key.hash))).max().unwrap_or(0)
    } else {
        journal.last()
    };
    session.depends_on = session.depends_on.max(place);
}

/// The shards of keys, for a waiter whose reply is made elsewhere.
pub fn last_of_keys<'k>(server: &Server, keys: impl Iterator<Item = Key<'k>>) -> Place {
    let store = server.engine.store();
    let shards: SmallVec<[usize; 4]> = keys.map(|key| store.shard_of(key.hash)).collect();
    shards.iter().map(|shard| server.durability.journal.last_of_shard(*shard)).max().unwrap_or(0)
}
