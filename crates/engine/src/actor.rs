//! Shared nothing: a shard belongs to one worker thread, and nobody else enters it unless it is lent to him.
//!
//! On the owner's thread a command runs without any lock or message. What a client's commands need of other threads' shards is sent to
//! these as *errands* ([`crate::errands`]), one to each, however many commands that are. What needs shards of several threads under one
//! view *borrows* them: it asks all their owners at once.
//!
//! **The order.** What an owner is sent it does in the order in which it was sent, and before what a client of its own sends after that
//! ([`Engine::serve`]). Who sends to several owners, or sends and does something himself, does so with one lock held, and what he does
//! himself comes behind what is in his own inbox then. So all that spans owners comes to each of them in the same order: it is as if each had been done in one moment, and the
//! commands of a connection appear in their order to everybody, though those of different owners run at the same time.
//!
//! A request is granted or run whole, once none of its shards is lent or promised to one before it; commands of the owner's own
//! clients for such a shard join the queue. As all owners have one order, there is no circle of waiting. Shards come back when the borrower
//! drops its hold. A request for shards that are lent for long is refused: nobody's other shards wait with it.
//!
//! Who needs everything asks no owner: he stops all threads at the gate ([`crate::gate`]) and waits for what is under way, for
//! errands and loans have passed the gate when they were sent.
//!
//! Ownership is a contiguous range of shards per worker, with an equal share of the keys.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Waker};

use crossbeam_utils::CachePadded;
use rustredis_keyspace::store::TOUCHED_AT_ONCE;
use rustredis_keyspace::{Access, Covered, placement};
use rustredis_metrics::Stamp;
use tokio::sync::oneshot;

use crate::gate::Seat;
use crate::held::{Errand, Guard, Held, NotSent, Outcome, Part, Shards, leave};
use crate::inbox::{Inbox, Node};
use crate::measured::Measured;
use crate::order::Order;
use crate::slots::{Slots, Ticket};
use crate::word::KEPT;
use crate::{EndsInPanic, Engine, seats};

/// What is wanted of an owner.
enum Request {
    /// These shards, until they are returned; `None` comes back if some are lent for long.
    Lend { shards: Shards, grant: oneshot::Sender<Option<Loan>>, is_long: bool },
    /// That it does this, and answers.
    Run(Task),
}

/// An errand, and where its answer goes.
struct Task {
    part: Part,
    from: usize,
    ticket: Ticket,
    /// The sending that it is a part of, if that spans owners; else 0.
    sending: u64,
}

impl Request {
    fn shards(&self) -> &[u32] {
        match self {
            Self::Lend { shards, .. } => shards,
            Self::Run(task) => &task.part.shards,
        }
    }
}

/// A request in an owner's queue.
struct Waiting {
    request: Request,
    sent: Stamp,
    /// Whether it has begun and lets others have their turn.
    is_paused: bool,
}

enum Message {
    Ask {
        request: Request,
        sent: Stamp,
    },
    Return(Shards),
    /// What was lent is lent for long.
    Keep(Shards),
    Answer {
        part: Part,
        ticket: Ticket,
    },
    /// It has been taken out.
    Nothing,
}

/// What other threads know of an owner.
struct Owner {
    inbox: Inbox<Message>,
    /// Wakes its task.
    waker: parking_lot::Mutex<Option<Waker>>,
}

/// The owners.
pub(crate) struct Doors {
    shards: usize,
    owners: Box<[CachePadded<Owner>]>,
    /// The owner of each shard.
    owner_of: Vec<u16>,
    /// For who sends to several owners, or sends and does something himself.
    order: Order,
}

/// What an owner knows of its shards.
struct Ownership {
    doors: Arc<Doors>,
    index: usize,
    /// Per shard: whether it is lent.
    lent: Vec<bool>,
    /// The shards that are lent for long.
    kept: Vec<u32>,
    lent_count: usize,
    /// Requests that must wait, the longest first.
    waiting: VecDeque<Waiting>,
    /// Requests that are to be told that they are not granted.
    refused: Vec<Request>,
    slots: Slots<Part>,
    /// Nodes for the next messages.
    #[allow(clippy::vec_box, reason = "a node keeps its place, which the inboxes know")]
    spare: Vec<Box<Node<Message>>>,
    /// Whether the thread says itself when it sleeps ([`before_sleep`]), if it ever does.
    tells_sleep: bool,
}

/// Nodes that an owner keeps.
const SPARE_MAX: usize = 256;

thread_local! {
    static OWNERSHIP: RefCell<Option<Ownership>> = const { RefCell::new(None) };
    /// The number of the engine, and of the owner that the thread is in it.
    static OWNER: Cell<Option<(u64, usize)>> = const { Cell::new(None) };
    /// Whether it serves others now.
    static IS_SERVING: Cell<bool> = const { Cell::new(false) };
}

/// Shards that an owner has lent; dropping it hands them back, wherever it is: also on its way to a borrower who has gone.
pub(crate) struct Loan {
    doors: Arc<Doors>,
    owner: usize,
    shards: Shards,
}

impl Drop for Loan {
    fn drop(&mut self) {
        let shards = std::mem::take(&mut self.shards);
        self.doors.send(self.owner, Node::new(Message::Return(shards)));
    }
}

impl Loan {
    /// Says that it is kept for long: who waits for these shards is refused, and keeps no others waiting.
    pub(crate) fn keep(&self) {
        self.doors.send(self.owner, Node::new(Message::Keep(self.shards.clone())));
    }
}

impl Doors {
    pub(crate) fn new(shards: usize, threads: usize) -> Self {
        let threads = threads.clamp(1, shards);
        let owner = |_| CachePadded::new(Owner { inbox: Inbox::new(), waker: parking_lot::Mutex::new(None) });
        let owner_of = (0..shards).map(|shard| placement::part_of(shard, shards, threads) as u16).collect();
        Self { shards, owners: (0..threads).map(owner).collect(), owner_of, order: Order::default() }
    }

    pub(crate) fn owners(&self) -> usize {
        self.owners.len()
    }

    /// The owner of a shard.
    #[inline]
    pub(crate) fn owner_of(&self, shard: usize) -> usize {
        usize::from(self.owner_of[shard])
    }

    /// Makes the calling thread an owner, unless there is none of this number.
    pub(crate) fn enter(self: &Arc<Self>, index: usize, engine: u64, tells_sleep: bool) -> bool {
        if index >= self.owners.len() {
            return false;
        }
        let ownership = Ownership {
            doors: self.clone(),
            index,
            lent: vec![false; self.shards],
            kept: Vec::new(),
            lent_count: 0,
            waiting: VecDeque::new(),
            refused: Vec::new(),
            slots: Slots::default(),
            spare: Vec::new(),
            tells_sleep,
        };
        OWNERSHIP.set(Some(ownership));
        OWNER.set(Some((engine, index)));
        true
    }

    /// Serves for as long as the thread is an owner; its task.
    pub(crate) async fn attend(&self, engine: Arc<Engine>) {
        // Who waits for its shards would wait for ever.
        let _end = EndsInPanic("An owner of shards");
        let Some(index) = own_index(engine.number) else { return };
        let attending = std::future::poll_fn(|context| {
            let owner = &self.owners[index];
            {
                let mut waker = owner.waker.lock();
                if waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
                    *waker = Some(context.waker().clone());
                }
            }
            self.serve(&engine);
            advance(&engine, true);
            self.rest(index);
            if with_ownership(|own| own.waiting.iter().any(|waiting| waiting.is_paused)) == Some(true) {
                context.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        attending.await;
    }

    fn send(&self, owner: usize, node: Box<Node<Message>>) {
        if self.owners[owner].inbox.push(node) {
            self.wake(owner);
        }
    }

    #[cold]
    fn wake(&self, owner: usize) {
        let waker = self.owners[owner].waker.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Sends each errand to the owner of its shards; the thread is in its seat. If they span owners, or the thread is to do `own` with shards
    /// of its own in the same moment, nothing may stand in the way of that: then they come back. `own` comes back if it is to be done here
    /// and now; else it comes behind what was sent here before.
    pub(crate) fn send_errands(
        &self,
        engine: &Engine,
        seat: &Seat,
        own: Option<(&[u32], Box<dyn Errand>)>,
        mut parts: Vec<Part>,
    ) -> Result<(Ticket, Option<Box<dyn Errand>>), NotSent> {
        let (own_shards, mut own) = own.map_or((&[][..], None), |(shards, errand)| (shards, Some(errand)));
        let Some(from) = own_index(engine.number) else { return Err((own, parts)) };
        let spans_owners = parts.len() + usize::from(own.is_some()) > 1;
        let sent = engine.contention.stamp();
        let mut asleep: Vec<usize> = Vec::new();
        let send = |sending: u64| {
            if spans_owners && !may_span(engine) {
                return Err((own, parts));
            }
            let is_next = || self.owners[from].inbox.is_empty() && self.owns(Covered::of(own_shards));
            if let Some(errand) = own.take_if(|_| !is_next()) {
                parts.push(Part { shards: own_shards.into(), errand });
            }
            seat.send(parts.len() as u64);
            let ticket = with_ownership(|ownership| {
                let ticket = ownership.slots.add(parts.len());
                for part in parts.drain(..) {
                    let owner = part.shards.first().map_or(from, |shard| self.owner_of(*shard as usize));
                    debug_assert!(part.shards.iter().all(|shard| self.owner_of(*shard as usize) == owner));
                    let request = Request::Run(Task { part, from, ticket, sending });
                    if self.owners[owner].inbox.push(ownership.node(Message::Ask { request, sent })) {
                        asleep.push(owner);
                    }
                }
                ownership.slots.lend(ticket, parts);
                ticket
            });
            Ok((ticket.expect("who has an index is an owner"), own))
        };
        let sent = if spans_owners { self.order.begin(send) } else { send(0) };
        asleep.into_iter().for_each(|owner| self.wake(owner));
        sent
    }

    /// Has the rest of what the thread did with its own shards go on as an errand. The thread is in its seat.
    pub(crate) fn go_on(&self, engine: &Engine, ticket: Ticket, part: Part) {
        let Some(from) = own_index(engine.number) else { return };
        seats::mine(engine.number, &engine.gate).send(1);
        with_ownership(|own| {
            own.slots.await_more(ticket);
            own.pause(Task { part, from, ticket, sending: 0 });
        });
        self.wake(from);
    }

    /// Does what was sent to the calling thread so far; whether there was anything.
    #[inline]
    pub(crate) fn serve(&self, engine: &Engine) -> bool {
        let Some(index) = own_index(engine.number) else { return false };
        let has_any = !self.owners[index].inbox.is_untouched();
        has_any && self.serve_all(engine, index)
    }

    fn serve_all(&self, engine: &Engine, index: usize) -> bool {
        // What it does may look for more to do, and that comes behind it.
        if IS_SERVING.replace(true) {
            return false;
        }
        let taken = self.owners[index].inbox.take();
        let depth = taken.len();
        for node in taken {
            self.receive(engine, node, depth);
        }
        IS_SERVING.set(false);
        self.rest(index);
        depth > 0
    }

    /// Has who sends something wake the owner's task, where the thread does not look for it before it sleeps.
    fn rest(&self, index: usize) {
        if with_ownership(|own| own.tells_sleep) == Some(false) && !self.owners[index].inbox.try_sleep() {
            self.wake(index);
        }
    }

    fn receive(&self, engine: &Engine, mut node: Box<Node<Message>>, depth: usize) {
        match std::mem::replace(&mut node.message, Message::Nothing) {
            Message::Ask { request, sent } => {
                if let Request::Run(task) = &request {
                    self.order.await_whole(task.sending);
                }
                match with_ownership(|own| own.admit(request, sent, depth, engine)) {
                    Some(Admitted::Now(task)) => return self.run(engine, task, sent, Some(node)),
                    Some(Admitted::Refused(request)) => return self.refuse(engine, request, Some(node)),
                    Some(Admitted::Later) => advance(engine, false),
                    None => {}
                }
            }
            Message::Return(shards) => {
                with_ownership(|own| own.take_back(&shards));
                engine.gate.serve(seats::mine(engine.number, &engine.gate));
                advance(engine, false);
            }
            Message::Keep(shards) => {
                with_ownership(|own| own.keep(&shards));
                advance(engine, false);
            }
            Message::Answer { part, ticket } => {
                let waker = with_ownership(|own| own.slots.answer(ticket, part)).flatten();
                waker.into_iter().for_each(Waker::wake);
            }
            Message::Nothing => {}
        }
        with_ownership(|own| own.keep_node(node));
    }

    /// Runs an errand outside the borrow of the ownership, for it may ask for holds of this thread's own shards. What is taken out of the
    /// queue is lent to nobody meanwhile, for only this thread lends.
    fn run(&self, engine: &Engine, mut task: Task, sent: Stamp, node: Option<Box<Node<Message>>>) {
        let seat = seats::mine(engine.number, &engine.gate);
        // It has passed the gate when it was sent.
        seat.enter(Access::Write);
        let contention = &engine.contention;
        let measured = match task.part.shards.first() {
            Some(shard) if contention.is_enabled() => {
                Measured::of(contention.dequeued(*shard as usize, sent))
            }
            _ => Measured::default(),
        };
        let Part { shards, errand } = &mut task.part;
        let covered = Covered::of(shards);
        let outcome = {
            let (access, guard) = (Access::Write, Guard::Own(seat));
            let mut held = Held { engine, covered, access, measured, guard };
            let outcome = errand.run(&mut held);
            if outcome == Outcome::Done {
                seat.serve();
            }
            outcome
        };
        match outcome {
            Outcome::Done => self.answer(task, node),
            Outcome::Paused => {
                with_ownership(|own| own.pause(task));
                with_ownership(|own| own.index).into_iter().for_each(|own| self.wake(own));
            }
        }
    }

    fn refuse(&self, engine: &Engine, request: Request, node: Option<Box<Node<Message>>>) {
        engine.gate.serve(seats::mine(engine.number, &engine.gate));
        match request {
            // Somebody who has gone needs no answer.
            Request::Lend { grant, .. } => drop(grant.send(None)),
            Request::Run(task) => self.answer(task, node),
        }
    }

    fn answer(&self, task: Task, node: Option<Box<Node<Message>>>) {
        let Task { part, from, ticket, .. } = task;
        let waker = with_ownership(|own| {
            if own.index == from {
                return own.slots.answer(ticket, part);
            }
            let message = Message::Answer { part, ticket };
            let node = match node {
                Some(mut node) => {
                    node.message = message;
                    node
                }
                None => own.node(message),
            };
            self.send(from, node);
            None
        });
        waker.flatten().into_iter().for_each(Waker::wake);
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
    pub(crate) fn measured(covered: Covered<'_>, contention: &rustredis_metrics::Contention) -> Measured {
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

    /// Borrows the covered shards, the calling thread's own among them; nothing if some are lent for long. Dropped half-way, it hands
    /// back what it has.
    pub(crate) async fn borrow(
        self: &Arc<Self>,
        engine: &Engine,
        covered: Covered<'_>,
        is_long: bool,
    ) -> Option<Vec<Loan>> {
        let grants = {
            let seat = seats::mine(engine.number, &engine.gate);
            engine.gate.pass(seat, Access::Write).await;
            let grants = self.ask(engine, seat, covered, is_long);
            leave(&engine.gate, seat, Access::Write);
            grants
        };
        let mut loans = Vec::with_capacity(grants.len());
        for granted in grants {
            match granted.await {
                Ok(loan) => loans.push(loan?),
                // An owner that is gone grants nothing: the server is ending, and this never has what it waits for.
                Err(_) => std::future::pending().await,
            }
        }
        // What follows comes behind all that was sent before.
        self.serve(engine);
        Some(loans)
    }

    /// Asks all owners of these shards for them, in one moment.
    fn ask(
        &self,
        engine: &Engine,
        seat: &Seat,
        covered: Covered<'_>,
        is_long: bool,
    ) -> Vec<oneshot::Receiver<Option<Loan>>> {
        let sent = engine.contention.stamp();
        let parts = self.by_owner(covered);
        let mut grants = Vec::with_capacity(parts.len());
        let mut asleep = Vec::new();
        let spans_owners = parts.len() > 1;
        // What is lent is used once all have lent theirs, so no owner has to know of the others.
        let send = |_| {
            seat.send(parts.len() as u64);
            for (owner, shards) in parts {
                let (grant, granted) = oneshot::channel();
                let request = Request::Lend { shards, grant, is_long };
                if self.owners[owner].inbox.push(Node::new(Message::Ask { request, sent })) {
                    asleep.push(owner);
                }
                grants.push(granted);
            }
        };
        if spans_owners {
            self.order.begin(send);
        } else {
            send(0);
        }
        asleep.into_iter().for_each(|owner| self.wake(owner));
        grants
    }

    /// Lends the calling thread what it holds of its own, for long; nothing if that is no shard.
    pub(crate) fn lend_own(&self, engine: &Engine, seat: &Seat, covered: Covered<'_>) -> Option<Loan> {
        // They are all of one owner.
        let (_, shards) = self.by_owner(covered).pop()?;
        debug_assert!(own_index(engine.number).is_some(), "an owner holds its own shards on its thread");
        // Its return is counted as the end of what was sent.
        seat.send(1);
        with_ownership(|own| own.lend(shards, true))
    }

    fn by_owner(&self, covered: Covered<'_>) -> Vec<(usize, Shards)> {
        let mut parts: Vec<(usize, Shards)> = Vec::new();
        let mut add = |shard: u32| {
            let owner = self.owner_of(shard as usize);
            match parts.last_mut() {
                Some((last, shards)) if *last == owner => shards.push(shard),
                _ => parts.push((owner, Shards::from_slice(&[shard]))),
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

/// The number of the owner that the calling thread is in the engine of this number.
#[inline]
pub(crate) fn own_index(engine: u64) -> Option<usize> {
    OWNER.get().filter(|(of, _)| *of == engine).map(|(_, index)| index)
}

pub(crate) fn with_slots<R>(act: impl FnOnce(&mut Slots<Part>) -> R) -> Option<R> {
    with_ownership(|own| act(&mut own.slots))
}

#[inline]
fn with_ownership<R>(act: impl FnOnce(&mut Ownership) -> R) -> Option<R> {
    OWNERSHIP.with_borrow_mut(|ownership| ownership.as_mut().map(act))
}

/// Says that the calling thread is about to sleep, if it is an owner: whoever sends it something then wakes its task, and nobody while it is
/// awake. If something has come meanwhile the task is woken here. Called whenever the thread's runtime parks, or never.
pub fn before_sleep() {
    let came = with_ownership(|own| {
        own.tells_sleep = true;
        (!own.doors.owners[own.index].inbox.try_sleep()).then(|| (own.doors.clone(), own.index))
    });
    if let Some((doors, index)) = came.flatten() {
        doors.wake(index);
    }
}

/// Grants and runs what can be, in the order of arrival; also what has let others have their turn, if that is over.
fn advance(engine: &Engine, is_next_turn: bool) {
    let crate::Doors::Actor(doors) = &engine.doors else { return };
    if is_next_turn {
        with_ownership(|own| own.waiting.iter_mut().for_each(|waiting| waiting.is_paused = false));
    }
    while let Some((task, sent)) = with_ownership(Ownership::next_task).flatten() {
        doors.run(engine, task, sent, None);
    }
    while let Some(request) = with_ownership(|own| own.refused.pop()).flatten() {
        doors.refuse(engine, request, None);
    }
}

/// Whether errands to several owners are done whole wherever they go. Asked with the order's lock held: what would stand in the way
/// later is sent later.
fn may_span(engine: &Engine) -> bool {
    !engine.gate.word().has(KEPT) && engine.store.far_waited.load(Relaxed) == 0
}

/// What becomes of a request.
enum Admitted {
    Now(Task),
    Later,
    Refused(Request),
}

impl Ownership {
    fn node(&mut self, message: Message) -> Box<Node<Message>> {
        match self.spare.pop() {
            Some(mut node) => {
                node.message = message;
                node
            }
            None => Node::new(message),
        }
    }

    fn keep_node(&mut self, node: Box<Node<Message>>) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(node);
        }
    }

    fn is_available(&self, shard: usize) -> bool {
        !self.lent[shard]
            && !self
                .waiting
                .iter()
                .any(|waiting| waiting.request.shards().binary_search(&(shard as u32)).is_ok())
    }

    #[inline]
    fn admit(&mut self, request: Request, sent: Stamp, depth: usize, engine: &Engine) -> Admitted {
        if let Some(shard) = request.shards().first() {
            engine.contention.queue_depth(*shard as usize, depth + self.waiting.len());
        }
        match request {
            Request::Run(task) if self.lent_count == 0 && self.waiting.is_empty() => Admitted::Now(task),
            request if self.is_kept(request.shards()) => Admitted::Refused(request),
            request => {
                self.waiting.push_back(Waiting { request, sent, is_paused: false });
                Admitted::Later
            }
        }
    }

    /// Has a task go on in the next turn. Nobody else has its shards before.
    fn pause(&mut self, task: Task) {
        let (request, sent) = (Request::Run(task), Stamp::default());
        self.waiting.push_front(Waiting { request, sent, is_paused: true });
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
        let (kept, others): (VecDeque<_>, _) =
            waiting.partition(|waiting| self.is_kept(waiting.request.shards()));
        self.waiting = others;
        self.refused.extend(kept.into_iter().map(|waiting| waiting.request));
    }

    fn lend(&mut self, shards: Shards, is_long: bool) -> Loan {
        shards.iter().for_each(|shard| self.lent[*shard as usize] = true);
        self.lent_count += shards.len();
        if is_long {
            self.keep(&shards);
        }
        Loan { doors: self.doors.clone(), owner: self.index, shards }
    }

    /// Lends what can be lent, and takes the first task that can run out of the queue. A request that must wait keeps its
    /// shards from those behind it.
    fn next_task(&mut self) -> Option<(Task, Stamp)> {
        let mut promised: Vec<u32> = Vec::new();
        let mut index = 0;
        while index < self.waiting.len() {
            let waiting = &self.waiting[index];
            let shards = waiting.request.shards();
            let is_had = |shard: &u32| self.lent[*shard as usize] || promised.contains(shard);
            if waiting.is_paused || shards.iter().any(is_had) {
                promised.extend(shards);
                index += 1;
                continue;
            }
            let Waiting { request, sent, .. } = self.waiting.remove(index)?;
            match request {
                Request::Run(task) => return Some((task, sent)),
                Request::Lend { shards, grant, is_long } => {
                    // A borrower who has gone drops the loan, and it comes back as every loan does.
                    let _ = grant.send(Some(self.lend(shards, is_long)));
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
