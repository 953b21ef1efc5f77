//! Orders of all keys and of what follows: what a replica begins with.
//!
//! An order is a sink of the journal and a dump that ends where the sink begins: at the cut of one snapshot both are fixed with
//! everything held. Orders that wait when a snapshot is cut share its dump. The dump is an RDB file without a name, so nothing of
//! it is left behind whoever dies; one that flows from the snapshot into the sockets was rejected for now: what others preserve for
//! the snapshot would wait for the slowest of them.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use rustredis_persistence::journal::{Journal, Place, Sink};

/// What of the data set is wanted (`REPLCONF rdb-filter-only`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The keys.
    pub keys: bool,
    /// The libraries of functions.
    pub functions: bool,
}

impl Default for Contents {
    fn default() -> Self {
        Self { keys: true, functions: true }
    }
}

/// All keys, as they were at the cut.
#[derive(Clone, Debug)]
pub struct Dump {
    /// The file; it is read by offsets.
    pub file: Arc<File>,
    /// Its length.
    pub bytes: u64,
}

/// See the module's text.
pub struct Order {
    /// What of the data set.
    pub(super) contents: Contents,
    /// What comes behind the dump.
    pub sink: Arc<Sink>,
    /// The place behind which it begins.
    begin: AtomicU64,
    progress: Mutex<Progress>,
    told: Box<dyn Fn() + Send + Sync>,
}

/// How far an order has come.
enum Progress {
    Waiting,
    Attached,
    Dumped(Dump),
    Failed,
    /// Whoever ordered is gone.
    Cancelled,
}

/// What has come of an order.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing yet.
    Pending,
    /// The dump is there.
    Dumped(Dump),
    /// There is none; the log says why.
    Failed,
}

impl Order {
    /// An order of these contents. `told` is called when there is a dump or will be none, from whatever thread: it wakes somebody and
    /// returns.
    pub fn new(contents: Contents, sink: Sink, told: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            contents,
            sink: Arc::new(sink),
            begin: AtomicU64::new(0),
            progress: Mutex::new(Progress::Waiting),
            told: Box::new(told),
        }
    }

    /// The place of which the dump is.
    pub fn begin(&self) -> Place {
        self.begin.load(Relaxed)
    }

    /// What has come of it.
    pub fn outcome(&self) -> Outcome {
        match &*self.progress.lock() {
            Progress::Waiting | Progress::Attached => Outcome::Pending,
            Progress::Dumped(dump) => Outcome::Dumped(dump.clone()),
            Progress::Failed | Progress::Cancelled => Outcome::Failed,
        }
    }

    /// Whether whoever ordered is gone.
    pub(super) fn is_cancelled(&self) -> bool {
        matches!(*self.progress.lock(), Progress::Cancelled)
    }

    /// Whoever ordered is gone: nothing more comes.
    pub fn cancel(&self, journal: &Journal) {
        let mut progress = self.progress.lock();
        let was_attached = !matches!(*progress, Progress::Waiting);
        *progress = Progress::Cancelled;
        if was_attached {
            journal.abandon(&self.sink);
        }
    }

    /// Has the sink begin. Everything is held.
    pub(super) fn attach(&self, journal: &Journal) {
        // Locked meanwhile, or who cancels it could come in between.
        let mut progress = self.progress.lock();
        if matches!(*progress, Progress::Waiting) {
            self.begin.store(journal.attach(self.sink.clone()), Relaxed);
            *progress = Progress::Attached;
        }
    }

    /// There is a dump, or will be none.
    pub(super) fn finish(&self, dump: Option<&Dump>) {
        let mut progress = self.progress.lock();
        if !matches!(*progress, Progress::Cancelled) {
            *progress = dump.map_or(Progress::Failed, |dump| Progress::Dumped(dump.clone()));
        }
        drop(progress);
        (self.told)();
    }
}
