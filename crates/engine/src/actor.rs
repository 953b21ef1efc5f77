//! Shared nothing: a shard belongs to one worker thread, and nobody else enters it unless it is lent to him.
//!
//! On the owner's thread a command runs without any lock or message. Otherwise the thread that serves the client *borrows*:
//! it asks each owner, in ascending order, for the shards that it needs; an owner grants a request whole, in the order of
//! arrival, once none of the shards is lent or promised, and its own clients' commands for a lent shard wait in the same
//! queue. Owners are asked in ascending order and each grants all or nothing, so there is no circle of waiting.
//! Shards are handed back when the borrower drops its hold.
//!
//! Ownership is a contiguous range of shards per worker, so ascending shards are ascending owners.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use rustredis_keyspace::Covered;
use tokio::sync::{mpsc, oneshot};

use crate::Engine;

/// A set of shards of one owner, relative to its first.
type Shards = Vec<u32>;

enum Message {
    /// Somebody asks for shards; the answer says that they are his.
    Borrow(Shards, oneshot::Sender<()>),
    /// Shards come back.
    Return(Shards),
}

/// The mailboxes of the owners.
pub(crate) struct Doors {
    shards: usize,
    owners: Vec<mpsc::UnboundedSender<Message>>,
    inboxes: parking_lot::Mutex<Vec<Option<mpsc::UnboundedReceiver<Message>>>>,
}

/// What an owner knows of its shards.
struct Ownership {
    index: usize,
    /// Per shard: whether it is lent.
    lent: Vec<bool>,
    lent_count: usize,
    /// Requests that wait, the longest first.
    waiting: VecDeque<(Shards, oneshot::Sender<()>)>,
}

thread_local! {
    static OWNERSHIP: RefCell<Option<Ownership>> = const { RefCell::new(None) };
}

/// A hold of shards of one's own: commands run to their end without an await, so nothing needs to be marked.
pub(crate) struct Own;

/// A hold of shards of which some were borrowed; dropping it hands them back.
pub(crate) struct Loan<'e> {
    doors: &'e Doors,
    parts: Vec<(usize, Shards)>,
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
        Self { shards, owners, inboxes: parking_lot::Mutex::new(inboxes) }
    }

    /// The owner of a shard: ranges as equal as they can be.
    #[inline]
    fn owner_of(&self, shard: usize) -> usize {
        shard * self.owners.len() / self.shards
    }

    pub(crate) fn enter_worker(&self, index: usize, engine: Arc<Engine>) {
        let Some(mut inbox) = self.inboxes.lock().get_mut(index).and_then(Option::take) else { return };
        let ownership =
            Ownership { index, lent: vec![false; self.shards], lent_count: 0, waiting: VecDeque::new() };
        OWNERSHIP.set(Some(ownership));
        tokio::task::spawn_local(async move {
            // The engine lives as long as its owners.
            let _engine = engine;
            while let Some(message) = inbox.recv().await {
                with_ownership(|ownership| ownership.receive(message));
            }
        });
    }

    /// A hold of shards of the calling thread, if all are its own and none is lent or promised.
    #[inline]
    pub(crate) fn own(&self, covered: Covered<'_>) -> Option<Own> {
        OWNERSHIP.with_borrow(|ownership| {
            let ownership = ownership.as_ref()?;
            let is_free = ownership.lent_count == 0 && ownership.waiting.is_empty();
            let is_mine = |shard: usize| self.owner_of(shard) == ownership.index;
            let has = |shard: usize| is_mine(shard) && (is_free || ownership.is_available(shard));
            let all = match covered {
                Covered::None => true,
                Covered::One(shard) => has(shard),
                Covered::Many(shards) => shards.iter().all(|shard| has(*shard as usize)),
                Covered::All => self.owners.len() == 1 && is_free,
            };
            all.then_some(Own)
        })
    }

    /// Prefetches the keys that belong to the calling thread.
    pub(crate) fn touch(
        &self,
        hashes: impl Iterator<Item = u64>,
        shard_of: impl Fn(u64) -> usize,
        prefetch: impl Fn(u64),
    ) {
        OWNERSHIP.with_borrow(|ownership| {
            let Some(ownership) = ownership else { return };
            let is_mine = |shard: usize| self.owner_of(shard) == ownership.index && !ownership.lent[shard];
            hashes.filter(|hash| is_mine(shard_of(*hash))).for_each(prefetch);
        });
    }

    /// Borrows the covered shards, the calling thread's own among them, in ascending order of owners.
    pub(crate) async fn borrow<'e>(&'e self, covered: Covered<'e>) -> Loan<'e> {
        let mut loan = Loan { doors: self, parts: Vec::new() };
        for (owner, shards) in self.by_owner(covered) {
            let (grant, granted) = oneshot::channel();
            if self.owners[owner].send(Message::Borrow(shards.clone(), grant)).is_err() {
                // The owner is gone: the server is shutting down, and nobody else will enter its shards.
                continue;
            }
            loan.parts.push((owner, shards));
            if granted.await.is_err() {
                loan.parts.pop();
            }
        }
        loan
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

fn with_ownership(act: impl FnOnce(&mut Ownership)) {
    OWNERSHIP.with_borrow_mut(|ownership| {
        if let Some(ownership) = ownership {
            act(ownership);
        }
    });
}

impl Ownership {
    fn is_available(&self, shard: usize) -> bool {
        !self.lent[shard]
            && !self.waiting.iter().any(|(shards, _)| shards.binary_search(&(shard as u32)).is_ok())
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Borrow(shards, grant) => self.waiting.push_back((shards, grant)),
            Message::Return(shards) => self.take_back(&shards),
        }
        self.grant_what_is_free();
    }

    fn take_back(&mut self, shards: &[u32]) {
        for shard in shards {
            debug_assert!(self.lent[*shard as usize], "a shard comes back that was not lent");
            self.lent[*shard as usize] = false;
        }
        self.lent_count -= shards.len();
    }

    /// Grants requests in the order of arrival; one that must wait keeps its shards from those behind it.
    fn grant_what_is_free(&mut self) {
        let mut promised: Vec<u32> = Vec::new();
        let mut still_waiting = VecDeque::new();
        for (shards, grant) in std::mem::take(&mut self.waiting) {
            let is_free = |shard: &u32| !self.lent[*shard as usize] && !promised.contains(shard);
            if !shards.iter().all(is_free) {
                promised.extend(&shards);
                still_waiting.push_back((shards, grant));
                continue;
            }
            for shard in &shards {
                self.lent[*shard as usize] = true;
            }
            self.lent_count += shards.len();
            if grant.send(()).is_err() {
                self.take_back(&shards);
            }
        }
        self.waiting = still_waiting;
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        for (owner, shards) in self.parts.drain(..) {
            // An owner that is gone needs nothing back.
            let _ = self.doors.owners[owner].send(Message::Return(shards));
        }
    }
}
