//! A worker: one thread, one current-thread Tokio runtime, and what its connections share without locks.
//!
//! Connections are spread over the workers when they are accepted and stay: no task moves between threads, so counters
//! are the thread's own and tasks need not be `Send`. The worker lends buffers: a connection that waits holds none, so ten
//! thousand idle clients cost little.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use rustredis_engine::Part;
use rustredis_keyspace::{Random, View};
use rustredis_metrics::WorkerMetrics;
use rustredis_persistence::journal::{Audience, Unit};

use crate::clock::ThreadClock;
use crate::files::rdb::Flushed;
use crate::request::durability::Waiting;
use crate::request::lane::Lane;
use crate::request::scratch::Scratch;
use crate::request::step::Steps;
use crate::scripts::kept::Kept;
use crate::start::server::Server;
use crate::upkeep::eviction::Pool;
use crate::upkeep::stats::WorkerStats;
use crate::upkeep::thread::Thread;

/// Size of the lent input buffers, in bytes.
const INPUT_BYTES: usize = 32 * 1024;
/// Buffers of more than this go back to the allocator and not to the pool.
const POOLED_BYTES_MAX: usize = 64 * 1024;
/// Buffers and scratches that are kept for the next who needs one.
const POOLED_MAX: usize = 16;

/// What the connections of a thread share.
pub struct Worker {
    /// Its number.
    pub index: usize,
    /// What all workers share.
    pub server: Arc<Server>,
    /// Random numbers.
    pub random: Random,
    /// How it counts commands.
    pub metrics: WorkerMetrics,
    /// The steps that it is in.
    pub steps: Steps,
    /// Commands that have begun since a run of them did.
    pub begun: Cell<usize>,
    /// Where in its output the reply of the command begins that has begun last.
    pub reply_begin: Cell<usize>,
    /// Its part of the journal.
    pub lane: Lane,
    /// Who waits for that to be durable.
    pub waiting: Rc<Waiting>,
    /// What the FLUSHALL that was settled last leaves to do.
    pub flushed: Cell<Option<Flushed>>,
    /// Connections that have ended.
    pub closed: Cell<u64>,
    /// Its interpreters, and the scripts that it has used.
    pub scripts: Kept,
    /// What it remembers of keys that may be evicted.
    pub eviction: RefCell<Pool>,
    clock: ThreadClock,
    buffers: RefCell<Vec<Vec<u8>>>,
    #[allow(clippy::vec_box, reason = "a scratch is lent and moved; boxed, that is one word")]
    scratches: RefCell<Vec<Box<Scratch>>>,
    errands: RefCell<Vec<Part>>,
}

impl Worker {
    /// A worker that begins.
    pub fn new(index: usize, server: Arc<Server>) -> Self {
        let seed = rustredis_keyspace::hashing::hash(&index.to_le_bytes());
        Self {
            index,
            random: Random::new(seed),
            metrics: server.metrics().worker(),
            steps: Steps::default(),
            begun: Cell::new(0),
            reply_begin: Cell::new(0),
            lane: Lane::default(),
            waiting: Rc::default(),
            flushed: Cell::new(None),
            closed: Cell::new(0),
            scripts: Kept::default(),
            eviction: RefCell::default(),
            clock: ThreadClock::new(server.clock()),
            server,
            buffers: RefCell::default(),
            scratches: RefCell::default(),
            errands: RefCell::default(),
        }
    }

    /// Its counters.
    #[inline]
    pub fn stats(&self) -> &WorkerStats {
        self.server.stats().worker(self.index)
    }

    /// Reads both clocks, at the start of a batch.
    pub fn tick(&self) {
        self.clock.tick();
    }

    /// Unix time of the request in milliseconds. A batch begins with the system's clock and goes on with ours, so that
    /// a slow command does not leave the next one in the past.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The nanosecond clock as it was read last.
    #[inline]
    pub fn last_clock(&self) -> u64 {
        self.clock.last()
    }

    /// Reads the nanosecond clock: the end of one command is the start of the next.
    #[inline]
    pub fn read_clock(&self) -> u64 {
        self.clock.read()
    }

    /// Whether a FLUSHALL was settled that leaves something to do.
    #[inline]
    pub fn has_flushed(&self) -> bool {
        let flushed = self.flushed.take();
        let has_flushed = flushed.is_some();
        self.flushed.set(flushed);
        has_flushed
    }

    /// Puts what is known of the step under way aside, for others have the thread now.
    pub fn put_aside(&self) -> Aside {
        Aside {
            depth: self.steps.leave_all(),
            unit: self.lane.unit.take(),
            audience: self.lane.audience.replace(Some(Audience::Both)),
        }
    }

    /// Goes on with a step that was put aside.
    pub fn take_up(&self, aside: Aside) {
        self.steps.go_back(aside.depth);
        self.lane.audience.set(aside.audience);
        let between = self.lane.unit.replace(aside.unit);
        debug_assert!(between.is_empty(), "whoever had the thread meanwhile has committed what he did");
    }

    /// What upkeep on this thread needs of it.
    pub fn thread<'w>(&'w self, settle: &'w dyn Fn(&mut View<'_>)) -> Thread<'w> {
        Thread { clock: &self.clock, random: &self.random, stats: self.stats(), settle }
    }

    /// Lends an empty buffer.
    pub fn take_buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(INPUT_BYTES))
    }

    /// Takes a buffer back.
    pub fn give_buffer(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < POOLED_MAX && (INPUT_BYTES..=POOLED_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// Gives the buffers that wait in the pools back to the allocator.
    pub fn drop_pools(&self) {
        self.buffers.take();
        self.scratches.take();
        self.errands.take();
    }

    /// Lends a scratch.
    pub fn take_scratch(&self) -> Box<Scratch> {
        self.scratches.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a scratch back.
    pub fn give_scratch(&self, mut scratch: Box<Scratch>) {
        let mut scratches = self.scratches.borrow_mut();
        if scratches.len() < POOLED_MAX {
            scratch.batch.clear();
            scratches.push(scratch);
        }
    }

    /// Lends errands, as many as there are.
    pub(crate) fn take_errands(&self) -> Vec<Part> {
        self.errands.take()
    }

    /// Takes errands back.
    pub(crate) fn give_errands(&self, mut parts: Vec<Part>) {
        let mut errands = self.errands.borrow_mut();
        if errands.is_empty() {
            *errands = parts;
        } else {
            errands.append(&mut parts);
        }
        errands.truncate(POOLED_MAX);
    }
}

/// What a thread knows of a step under way, while others have the thread.
pub struct Aside {
    depth: u32,
    unit: Unit,
    audience: Option<Audience>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

/// The worker of this thread; `None` on a thread that is none.
pub fn current() -> Option<Rc<Worker>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Makes it the worker of this thread.
pub fn enter(worker: &Rc<Worker>) {
    CURRENT.set(Some(worker.clone()));
}

/// Calls `look` with the worker of this thread, if it is one.
pub fn with_current(look: impl FnOnce(&Worker)) {
    CURRENT.with_borrow(|worker| worker.as_deref().map(look));
}
