//! Shared nothing: a shard belongs to one worker thread, and nobody else enters it unless it is lent to him.
//!
//! On the owner's thread a command runs without any lock or message. What needs shards of one other thread is sent to it
//! as a message, a whole run of a client's commands in one, and is run there. What needs shards of several threads
//! *borrows*: it asks each owner, in ascending order, for the shards that it needs.
//!
//! An owner serves what it was sent in the order of arrival. A request is granted (or run) whole, once none of its shards is
//! lent or promised to one before it; its own clients' commands for such a shard join the same queue. Owners are asked in
//! ascending order and each grants all or nothing, so there is no circle of waiting. Shards come back when the borrower
//! drops its hold. A request for shards that are lent for long is refused: nobody's other shards wait with it.
//!
//! Who needs everything asks no owner: he stops all threads at the gate ([`crate::gate`]), owners and borrowers alike.
//!
//! Ownership is a contiguous range of shards per worker, with an equal share of the keys, so ascending shards are ascending owners.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rustredis_keyspace::store::TOUCHED_AT_ONCE;
use rustredis_keyspace::{Access, Covered, placement};
use rustredis_metrics::{Contention, Stamp};
use tokio::sync::{mpsc, oneshot};

use crate::held::{Guard, Held};
use crate::measured::Measured;
use crate::{EndsInPanic, Engine, seats};

/// Shards of one owner, ascending.
type Shards = Vec<u32>;

/// Something that an owner runs with the shards held.
pub(crate) type Job = Box<dyn FnOnce(&mut Held<'_>) + Send>;

/// What is wanted of an owner.
pub(crate) enum Request {
    /// The shards themselves, until they are returned; `None` comes back if some are lent for long.
    Lend { grant: oneshot::Sender<Option<Loan>>, is_long: bool },
    /// That it runs this. It is dropped if some of the shards are lent for long.
    Run(Job),
}

/// A request in an owner's queue.
struct Waiting {
    shards: Shards,
    request: Request,
    sent: Stamp,
}

enum Message {
    Ask(Waiting),
    Return(Shards),
}

/// The mailboxes of the owners.
pub(crate) struct Doors {
    shards: usize,
    owners: Vec<mpsc::UnboundedSender<Message>>,
    /// The owner of each shard.
    owner_of: Vec<u16>,
    inboxes: parking_lot::Mutex<Vec<Option<mpsc::UnboundedReceiver<Message>>>>,
}

/// What an owner knows of its shards.
struct Ownership {
    index: usize,
    /// Its own mailbox, where loans come back.
    mailbox: mpsc::UnboundedSender<Message>,
    /// Per shard: whether it is lent.
    lent: Vec<bool>,
    /// The shards that are lent for long.
    kept: Vec<u32>,
    lent_count: usize,
    /// Requests that must wait, the longest first.
    waiting: VecDeque<Waiting>,
}

thread_local! {
    static OWNERSHIP: RefCell<Option<Ownership>> = const { RefCell::new(None) };
}

/// Shards that an owner has lent; dropping it hands them back, wherever it is: also on its way to a borrower who has gone.
pub(crate) struct Loan {
    owner: mpsc::UnboundedSender<Message>,
    shards: Shards,
}

impl Drop for Loan {
    fn drop(&mut self) {
        // An owner that is gone, with the server, needs nothing back.
        let _ = self.owner.send(Message::Return(std::mem::take(&mut self.shards)));
    }
}

impl Doors {
    pub(crate) fn new(shards: usize, threads: usize) -> Self {
        let threads = threads.clamp(1, shards);
        let (owners, inboxes) = (0..threads)
            .map(|_| {
                let (sender, receiver) = mpsc::unbounded_channel();
                (sender, Some(receiver))
            })
            .unzip();
        let owner_of = (0..shards).map(|shard| placement::part_of(shard, shards, threads) as u16).collect();
        Self { shards, owners, owner_of, inboxes: parking_lot::Mutex::new(inboxes) }
    }

    /// The owner of a shard.
    #[inline]
    fn owner_of(&self, shard: usize) -> usize {
        usize::from(self.owner_of[shard])
    }

    pub(crate) fn enter_worker(&self, index: usize, engine: Arc<Engine>) {
        let Some(mut inbox) = self.inboxes.lock().get_mut(index).and_then(Option::take) else { return };
        let ownership = Ownership {
            index,
            mailbox: self.owners[index].clone(),
            lent: vec![false; self.shards],
            kept: Vec::new(),
            lent_count: 0,
            waiting: VecDeque::new(),
        };
        OWNERSHIP.set(Some(ownership));
        tokio::task::spawn_local(async move {
            // Who waits for its shards would wait for ever.
            let _end = EndsInPanic("An owner of shards");
            let mut messages = Vec::new();
            let mut spent_nanos = 0;
            while inbox.recv_many(&mut messages, MESSAGES_AT_ONCE).await > 0 {
                let depth = messages.len() + inbox.len();
                for message in messages.drain(..) {
                    with_ownership(|ownership| ownership.receive(message, depth, &engine.contention));
                    serve(&engine, &mut spent_nanos).await;
                }
            }
        });
    }

    /// The other thread that owns all of these shards.
    pub(crate) fn owner_elsewhere(&self, covered: Covered<'_>) -> Option<usize> {
        let owner = match covered {
            Covered::One(shard) => self.owner_of(shard),
            Covered::Many(shards) => {
                let (first, last) = (*shards.first()? as usize, *shards.last()? as usize);
                Some(self.owner_of(first)).filter(|owner| *owner == self.owner_of(last))?
            }
            Covered::None | Covered::All => return None,
        };
        let is_here = OWNERSHIP.with_borrow(|own| own.as_ref().is_some_and(|own| own.index == owner));
        (!is_here).then_some(owner)
    }

    pub(crate) fn send(&self, owner: usize, shards: Shards, request: Request, contention: &Contention) {
        let sent = contention.stamp();
        // An owner that is gone drops the request, and with it the channel on which somebody waits.
        let _ = self.owners[owner].send(Message::Ask(Waiting { shards, request, sent }));
    }

    /// Whether the calling thread may hold these shards: all are its own and none is lent or promised. Commands run to their end
    /// without an await, so nothing needs to be marked, nor released; the thread's seat is the caller's to take.
    #[inline]
    pub(crate) fn owns(&self, covered: Covered<'_>) -> bool {
        OWNERSHIP.with_borrow(|ownership| {
            let Some(ownership) = ownership else { return false };
            let is_free = ownership.lent_count == 0 && ownership.waiting.is_empty();
            let has = |shard: usize| {
                self.owner_of(shard) == ownership.index && (is_free || ownership.is_available(shard))
            };
            match covered {
                Covered::None => true,
                Covered::One(shard) => has(shard),
                Covered::Many(shards) => shards.iter().all(|shard| has(*shard as usize)),
                Covered::All => self.owners.len() == 1 && is_free,
            }
        })
    }

    /// Measures a hold of shards of the calling thread that begins.
    #[inline]
    pub(crate) fn measured(covered: Covered<'_>, contention: &Contention) -> Measured {
        let mut measured = Measured::default();
        if contention.is_enabled() {
            match covered {
                Covered::One(shard) => measured.push(contention.acquire_owned(shard)),
                Covered::Many(shards) => {
                    shards.iter().for_each(|shard| measured.push(contention.acquire_owned(*shard as usize)));
                }
                Covered::None | Covered::All => {}
            }
        }
        measured
    }

    /// Prefetches the keys that belong to the calling thread.
    pub(crate) fn touch(&self, keys: &[(u32, u64)], prefetch: impl Fn(&[(u32, u64)])) {
        OWNERSHIP.with_borrow(|ownership| {
            let Some(ownership) = ownership else { return };
            let is_mine = |shard: usize| self.owner_of(shard) == ownership.index && !ownership.lent[shard];
            let mut mine = [(0u32, 0u64); TOUCHED_AT_ONCE];
            let mut count = 0;
            for key in keys.iter().filter(|(shard, _)| is_mine(*shard as usize)) {
                mine[count] = *key;
                count += 1;
            }
            prefetch(&mine[..count]);
        });
    }

    /// Borrows the covered shards, the calling thread's own among them, in ascending order of owners; nothing if some are lent
    /// for long. Dropped half-way, it hands back what it has.
    pub(crate) async fn borrow(
        &self,
        covered: Covered<'_>,
        is_long: bool,
        contention: &Contention,
    ) -> Option<Vec<Loan>> {
        let mut loans = Vec::new();
        for (owner, shards) in self.by_owner(covered) {
            let (grant, granted) = oneshot::channel();
            self.send(owner, shards, Request::Lend { grant, is_long }, contention);
            match granted.await {
                Ok(loan) => loans.push(loan?),
                // An owner that is gone grants nothing: the server is ending, and this never has what it waits for.
                Err(_) => std::future::pending().await,
            }
        }
        Some(loans)
    }

    fn by_owner(&self, covered: Covered<'_>) -> Vec<(usize, Shards)> {
        let mut parts: Vec<(usize, Shards)> = Vec::new();
        let mut add = |shard: u32| {
            let owner = self.owner_of(shard as usize);
            match parts.last_mut() {
                Some((last, shards)) if *last == owner => shards.push(shard),
                _ => parts.push((owner, vec![shard])),
            }
        };
        match covered {
            Covered::None => {}
            Covered::One(shard) => add(shard as u32),
            Covered::Many(shards) => shards.iter().for_each(|shard| add(*shard)),
            Covered::All => (0..self.shards as u32).for_each(add),
        }
        parts
    }
}

/// Messages that an owner takes out of its inbox at once.
const MESSAGES_AT_ONCE: usize = 64;
/// How long the commands of other threads' clients run before the thread's own have their turn, in nanoseconds.
const TURN_NANOS: u64 = 1_000_000;

fn with_ownership<R>(act: impl FnOnce(&mut Ownership) -> R) -> Option<R> {
    OWNERSHIP.with_borrow_mut(|ownership| ownership.as_mut().map(act))
}

/// Grants and runs what can be, in the order of arrival. A job runs outside the borrow of the ownership, for it may ask for
/// further holds of this thread's own shards.
async fn serve(engine: &Engine, spent_nanos: &mut u64) {
    while let Some(Waiting { shards, request: Request::Run(job), sent }) =
        with_ownership(Ownership::next_job).flatten()
    {
        // What is taken out of the queue is lent to nobody meanwhile, for only this task lends.
        let seat = seats::mine(engine.number, &engine.gate);
        if !engine.gate.enter(seat, Access::Write) {
            // While somebody has everything for long the job is refused, as one is for shards that are lent for long.
            let is_in = tokio::select! {
                biased;
                () = engine.gate.pass(seat, Access::Write) => true,
                () = engine.until_busy(Covered::All, Duration::ZERO) => false,
            };
            if !is_in {
                continue;
            }
        }
        let contention = &engine.contention;
        let measured = if contention.is_enabled() {
            Measured::of(contention.dequeued(shards[0] as usize, sent))
        } else {
            Measured::default()
        };
        let covered = Covered::of(&shards);
        let began = engine.clock.now();
        job(&mut Held { engine, covered, access: Access::Write, measured, guard: Guard::Own(seat) });
        *spent_nanos += engine.clock.now().saturating_sub(began);
        if *spent_nanos >= TURN_NANOS {
            *spent_nanos = 0;
            tokio::task::yield_now().await;
        }
    }
}

impl Request {
    fn refuse(self) {
        if let Self::Lend { grant, .. } = self {
            // Somebody who has gone needs no answer.
            let _ = grant.send(None);
        }
    }
}

impl Ownership {
    fn is_available(&self, shard: usize) -> bool {
        !self.lent[shard]
            && !self.waiting.iter().any(|waiting| waiting.shards.binary_search(&(shard as u32)).is_ok())
    }

    fn receive(&mut self, message: Message, depth: usize, contention: &Contention) {
        match message {
            Message::Ask(waiting) => {
                contention.queue_depth(waiting.shards[0] as usize, depth + self.waiting.len());
                if self.is_kept(&waiting.shards) {
                    waiting.request.refuse();
                } else {
                    self.waiting.push_back(waiting);
                }
            }
            Message::Return(shards) => self.take_back(&shards),
        }
    }

    fn take_back(&mut self, shards: &[u32]) {
        for shard in shards {
            debug_assert!(self.lent[*shard as usize], "a shard comes back that was not lent");
            self.lent[*shard as usize] = false;
        }
        self.lent_count -= shards.len();
        if !self.kept.is_empty() {
            self.kept.retain(|kept| shards.binary_search(kept).is_err());
        }
    }

    /// Whether some of these shards are lent for long.
    fn is_kept(&self, shards: &[u32]) -> bool {
        !self.kept.is_empty() && shards.iter().any(|shard| self.kept.contains(shard))
    }

    /// Refuses those who wait for these shards, which are lent for long from now on.
    fn keep(&mut self, shards: &[u32]) {
        self.kept.extend(shards);
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (kept, others): (VecDeque<_>, _) = waiting.partition(|waiting| self.is_kept(&waiting.shards));
        self.waiting = others;
        kept.into_iter().for_each(|waiting| waiting.request.refuse());
    }

    /// Lends what can be lent, and takes the first job that can run out of the queue. A request that must wait keeps its
    /// shards from those behind it.
    fn next_job(&mut self) -> Option<Waiting> {
        let mut promised: Vec<u32> = Vec::new();
        let mut index = 0;
        while index < self.waiting.len() {
            let shards = &self.waiting[index].shards;
            if shards.iter().any(|shard| self.lent[*shard as usize] || promised.contains(shard)) {
                promised.extend(shards);
                index += 1;
                continue;
            }
            let waiting = self.waiting.remove(index)?;
            match waiting.request {
                Request::Run(_) => return Some(waiting),
                Request::Lend { grant, is_long } => {
                    waiting.shards.iter().for_each(|shard| self.lent[*shard as usize] = true);
                    self.lent_count += waiting.shards.len();
                    if is_long {
                        self.keep(&waiting.shards);
                    }
                    // A borrower who has gone drops the loan, and it comes back as every loan does.
                    let _ = grant.send(Some(Loan { owner: self.mailbox.clone(), shards: waiting.shards }));
                    if is_long {
                        // The queue is another one.
                        (index, promised) = (0, Vec::new());
                    }
                }
            }
        }
        None
    }
}
