//! Release notices: how a task waits for a shard's lock without parking its thread.
//!
//! The locks have no timed wait and no wakers, so they are only ever tried. Who fails registers, tries once more, and sleeps; who
//! releases a lock looks at the [`Word`], and if somebody waits wakes the first who waits for that lock. Registering pays for the
//! fence on both sides ([`super::sync::heavy`]), so a release costs one look. Who comes while others wait need not pay again: what
//! the releases are to see has been there since, and nobody releases what he failed to get before that.
//!
//! **Fairness.** Who is woken tries like everybody else, for handing each lock to a task that has yet to run would make all others
//! wait for its thread (a convoy). Who was woken in vain when he has waited for [`PATIENCE`] makes the lock urgent: those who come
//! later step back, and whoever releases it takes it for the next, until all who waited by then have had it. Then for as long
//! nobody is urgent, so that the lock goes from task to task half of the time at most. So nobody is passed for ever, also not a
//! writer by readers who overlap. The idea is eventual fairness (WebKit's locks, Pizlo 2016; parking_lot has it, too).
//!
//! A waiter may be dropped at any time; a lock that was taken for him, or a notice, goes to the next.

use std::collections::{HashMap, HashSet, VecDeque};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustredis_keyspace::{Access, Covered};

use super::sync::{AtomicU32, Moment, Mutex, Ordering, heavy};
use super::word::{URGENT, WAITED, Word};

/// How long somebody waits before the lock goes to those who wait, and how long it goes to whoever comes after that.
pub(crate) const PATIENCE: Duration = Duration::from_micros(500);

/// Locks that can be tried.
pub(crate) trait Locks {
    /// Takes a shard's lock, if that is possible at once.
    fn try_lock(&self, shard: u32, access: Access) -> bool;

    /// Releases it. Called once for each lock that was taken, with the same access.
    fn unlock(&self, shard: u32, access: Access);
}

/// Who waits for which lock.
pub(crate) struct Notices {
    /// Waiters per shard, so that a release of another shard need not look further.
    waiting: Box<[AtomicU32]>,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    by_shard: HashMap<u32, Queue>,
    /// Locks that were taken for a waiter who does not know yet.
    granted: HashSet<u64>,
    /// The shards whose locks are urgent.
    urgent: Vec<u32>,
    waiters: usize,
    last_id: u64,
}

/// Who waits for one lock.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Whether every release sees that somebody waits.
    is_seen: bool,
    /// While the lock is urgent: the last for whom it is.
    last_urgent_id: u64,
    /// When it was urgent last.
    was_urgent: Option<Moment>,
}

impl Queue {
    fn position(&self, id: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&id, |waiting| waiting.id).ok()
    }
}

struct Waiting {
    id: u64,
    access: Access,
    waker: Option<Waker>,
    /// Whether the lock was released since he tried last.
    is_told: bool,
    since: Moment,
}

/// How a waiter begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// He tries at once.
    Tries,
    /// He comes behind those who wait already: he will keep the lock for long.
    InTurn,
}

impl Notices {
    pub(crate) fn new(locks: usize) -> Self {
        Self { waiting: (0..locks).map(|_| AtomicU32::new(0)).collect(), queues: Mutex::default() }
    }

    /// Takes a lock, waiting for it as long as it takes.
    pub(crate) async fn acquire<L: Locks>(
        &self,
        word: &Word,
        locks: &L,
        shard: u32,
        access: Access,
        manner: Manner,
    ) {
        let mut wait = Wait::begin(self, word, locks, shard, access);
        let mut may_try = manner == Manner::Tries;
        std::future::poll_fn(|context| wait.poll(context, std::mem::take(&mut may_try))).await;
    }

    /// Tells the first who waits for this lock that it was released. To be called after that and after a light fence, if the word
    /// says that somebody waits.
    #[cold]
    pub(crate) fn tell<L: Locks>(&self, word: &Word, locks: &L, shard: u32) {
        if self.waiting[shard as usize].load(Ordering::Relaxed) == 0 {
            return;
        }
        let waker = self.queues.lock().tell(self, word, locks, shard);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether somebody is to have one of these locks before any newcomer.
    #[cold]
    pub(crate) fn is_urgent(&self, covered: Covered<'_>) -> bool {
        self.queues.lock().urgent.iter().any(|shard| covered.has(*shard as usize))
    }
}

impl Queues {
    fn tell<L: Locks>(&mut self, notices: &Notices, word: &Word, locks: &L, shard: u32) -> Option<Waker> {
        let first = self.by_shard.get_mut(&shard)?.waiting.front_mut()?;
        if !self.urgent.contains(&shard) {
            first.is_told = true;
            return first.waker.take();
        }
        let id = first.id;
        // Somebody has come in between: he tells when he leaves.
        if !locks.try_lock(shard, first.access) {
            return None;
        }
        let waker = first.waker.take();
        self.remove(notices, word, shard, id);
        self.granted.insert(id);
        waker
    }

    /// Takes a waiter out of his queue; whether he was the first.
    fn remove(&mut self, notices: &Notices, word: &Word, shard: u32, id: u64) -> bool {
        let Some(queue) = self.by_shard.get_mut(&shard) else { return false };
        let Some(position) = queue.position(id) else { return false };
        queue.waiting.remove(position);
        let next = queue.waiting.front().map(|waiting| waiting.id);
        if next.is_none_or(|next| next > queue.last_urgent_id) && self.urgent.contains(&shard) {
            queue.was_urgent = Some(Moment::now());
            self.urgent.retain(|urgent| *urgent != shard);
            if self.urgent.is_empty() {
                word.set(URGENT, false);
            }
        }
        if next.is_none() {
            self.by_shard.remove(&shard);
        }
        notices.waiting[shard as usize].fetch_sub(1, Ordering::Relaxed);
        self.waiters -= 1;
        if self.waiters == 0 {
            word.set(WAITED, false);
        }
        position == 0
    }
}

/// A waiter.
struct Wait<'n, L: Locks> {
    notices: &'n Notices,
    word: &'n Word,
    locks: &'n L,
    shard: u32,
    access: Access,
    id: u64,
    /// Whether the lock is his.
    has_lock: bool,
}

impl<'n, L: Locks> Wait<'n, L> {
    fn begin(notices: &'n Notices, word: &'n Word, locks: &'n L, shard: u32, access: Access) -> Self {
        let (id, is_seen) = {
            let mut queues = notices.queues.lock();
            queues.last_id += 1;
            queues.waiters += 1;
            let id = queues.last_id;
            let waiting = Waiting { id, access, waker: None, is_told: false, since: Moment::now() };
            let queue = queues.by_shard.entry(shard).or_default();
            queue.waiting.push_back(waiting);
            let is_seen = queue.is_seen;
            notices.waiting[shard as usize].fetch_add(1, Ordering::Relaxed);
            if !is_seen {
                word.set(WAITED, true);
            }
            (id, is_seen)
        };
        // Whoever releases the lock after the first try has seen the word.
        if !is_seen {
            heavy();
        }
        Self { notices, word, locks, shard, access, id, has_lock: false }
    }

    fn poll(&mut self, context: &mut Context<'_>, may_try: bool) -> Poll<()> {
        let Self { notices, word, shard, access, id, .. } = *self;
        let queues = &mut *notices.queues.lock();
        if queues.granted.remove(&id) {
            self.has_lock = true;
            return Poll::Ready(());
        }
        let is_urgent = queues.urgent.contains(&shard);
        let queue = queues.by_shard.get_mut(&shard).expect("who waits is in the queue");
        queue.is_seen = true;
        let position = queue.position(id).expect("who waits is in the queue");
        let waiting = &mut queue.waiting[position];
        let is_first_poll = waiting.waker.is_none() && !waiting.is_told;
        let was_told = std::mem::take(&mut waiting.is_told);
        let is_mine_to_try = position == 0 && (was_told || is_first_poll) || may_try && !is_urgent;
        if is_mine_to_try && self.locks.try_lock(shard, access) {
            queues.remove(notices, word, shard, id);
            self.has_lock = true;
            return Poll::Ready(());
        }
        waiting.waker = Some(context.waker().clone());
        if was_told
            && position == 0
            && !is_urgent
            && waiting.since.is_past(PATIENCE)
            && queue.was_urgent.is_none_or(|end| end.is_past(PATIENCE))
        {
            queue.last_urgent_id = queue.waiting.back().map_or(id, |last| last.id);
            queues.urgent.push(shard);
            word.set(URGENT, true);
        }
        Poll::Pending
    }
}

impl<L: Locks> Drop for Wait<'_, L> {
    fn drop(&mut self) {
        if self.has_lock {
            return;
        }
        let waker = {
            let queues = &mut *self.notices.queues.lock();
            let was_granted = queues.granted.remove(&self.id);
            if was_granted {
                self.locks.unlock(self.shard, self.access);
            }
            // What he was told, or could have been, the next is told.
            let was_first = queues.remove(self.notices, self.word, self.shard, self.id);
            (was_granted || was_first)
                .then(|| queues.tell(self.notices, self.word, self.locks, self.shard))
                .flatten()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
