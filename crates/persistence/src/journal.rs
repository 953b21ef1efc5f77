//! The journal: one total order of effects, of which the append-only file and the replication backlog are readers.
//!
//! ```text
//! worker, view held:  lane lock | place = last + 1 | entry -> lane | unlock
//! reader's thread:    all lanes' buffers -> staged -> in the order of their places -> a stream of commands
//! ```
//!
//! A worker takes an entry's place while it holds the view, so the order of places is the order of execution for all who
//! could see each other. It writes into a lane of its own, whose lock nobody but the reader shares: on the way of a
//! request there is one atomic addition that others see, and no lock that another worker waits for. One buffer behind one lock
//! was rejected: it is the convoy that the engines avoid. The place is taken under the lane's lock, so places ascend in a lane, and
//! a place that is missing when all lanes were emptied is in one of them a moment later: the [`Sequencer`] stops before
//! it and goes on the next time.
//!
//! The journal knows neither files nor clocks. For each shard it knows the place of its last entry, which is what a reader of a
//! value waits for where nothing may be seen that is not durable.

mod durable;
mod sequencer;
mod unit;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use crossbeam_utils::CachePadded;

pub use durable::Durable;
pub use sequencer::{Sequencer, Stream};
pub use unit::{Unit, write_select};

/// Where an entry stands in the journal; the first is 1, and 0 stands before all.
pub type Place = u64;

/// Bytes of an entry's header in a lane: place, length, first and last database, Unix second.
const HEADER_BYTES: usize = 8 + 8 + 4 + 4 + 8;

/// See the module's text.
pub struct Journal {
    last: CachePadded<AtomicU64>,
    lanes: Box<[CachePadded<Lane>]>,
    /// For each shard, the place of its last entry.
    shards: Box<[AtomicU64]>,
    /// The place of the last entry that covered everything.
    everything: AtomicU64,
    is_on: AtomicBool,
    /// Whether the reader's thread sleeps until it is woken.
    is_dormant: AtomicBool,
    reader: OnceLock<Thread>,
    /// The place with which the group is complete that is synced next.
    group_end: AtomicU64,
    /// Whether a worker has called for that sync.
    is_group_called: AtomicBool,
    /// Whether a lane holds more than its share of the limit.
    is_full: AtomicBool,
    lane_bytes_max: AtomicUsize,
}

#[derive(Default)]
struct Lane {
    buffer: Mutex<Vec<u8>>,
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shards whose readers must wait for an entry.
#[derive(Clone, Debug)]
pub enum Touched<I> {
    /// These.
    Shards(I),
    /// All.
    Everything,
}

impl Journal {
    /// A journal that records nothing yet, with a lane for each of `lanes` workers.
    pub fn new(lanes: usize, shards: usize) -> Self {
        Self {
            last: CachePadded::new(AtomicU64::new(0)),
            lanes: (0..lanes).map(|_| CachePadded::default()).collect(),
            shards: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            everything: AtomicU64::new(0),
            is_on: AtomicBool::new(false),
            is_dormant: AtomicBool::new(false),
            reader: OnceLock::new(),
            group_end: AtomicU64::new(0),
            is_group_called: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            lane_bytes_max: AtomicUsize::new(usize::MAX),
        }
    }

    /// Whether effects are recorded.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Begins or ends recording. The caller holds everything, so each command is recorded as a whole or not at all.
    pub fn set_on(&self, on: bool) {
        self.is_on.store(on, Ordering::Relaxed);
    }

    /// The place that was taken last.
    pub fn last(&self) -> Place {
        self.last.load(Ordering::Acquire)
    }

    /// The place of the last entry that changed `shard`, for a reader that holds it.
    #[inline]
    pub fn last_of_shard(&self, shard: usize) -> Place {
        self.shards[shard].load(Ordering::Relaxed).max(self.everything.load(Ordering::Relaxed))
    }

    /// Records what a unit holds and empties it; its place. Called by the worker of the lane, with the view held, and only with
    /// something in the unit. The touched shards are held: so their places ascend, and the order of places is the order in which
    /// things were done. `second` is Unix time.
    pub fn append(
        &self,
        lane: usize,
        unit: &mut Unit,
        touched: Touched<impl Iterator<Item = usize>>,
        second: u64,
    ) -> Place {
        let place = {
            let mut buffer = self.lanes[lane].lock();
            // Release: who sees this place, in a reader's view or as the last one, sees what came before.
            let place = self.last.fetch_add(1, Ordering::AcqRel) + 1;
            unit.write(place, second, &mut buffer);
            if buffer.len() > self.lane_bytes_max.load(Ordering::Relaxed) {
                self.is_full.store(true, Ordering::Relaxed);
            }
            place
        };
        match touched {
            Touched::Shards(shards) => shards.for_each(|shard| {
                debug_assert!(
                    self.shards[shard].load(Ordering::Relaxed) <= place,
                    "a shard that is not held was touched"
                );
                self.shards[shard].store(place, Ordering::Relaxed);
            }),
            // Where nothing is held, two may come by here at once.
            Touched::Everything => _ = self.everything.fetch_max(place, Ordering::Relaxed),
        }
        // The lane's lock orders this with the reader: either it finds the entry, or we find it asleep.
        if self.is_dormant.load(Ordering::Relaxed) {
            self.wake();
        }
        place
    }

    /// Bounds what waits to be read, in bytes; see [`Journal::is_full`].
    pub fn set_limit(&self, bytes: usize) {
        self.lane_bytes_max.store((bytes / self.lanes.len()).max(1), Ordering::Relaxed);
    }

    /// Whether more waits to be read than the limit allows: whoever writes should wait until the reader says otherwise.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Says that what was read is dealt with.
    pub fn has_room_again(&self) {
        self.is_full.store(false, Ordering::Relaxed);
    }

    /// Bytes that wait to be read. Takes each lane's lock.
    pub fn pending_bytes(&self) -> usize {
        self.lanes.iter().map(|lane| lane.lock().len()).sum()
    }

    /// Makes the calling thread the one that is woken for new entries.
    pub fn enter_reader(&self) {
        // A second reader in the life of a journal would need a list of threads.
        let is_first = self.reader.set(std::thread::current()).is_ok();
        debug_assert!(is_first, "a journal has one thread that reads it");
    }

    /// Says that the reader is about to sleep until it is woken, or is awake. After saying so it looks at the lanes once more.
    pub fn set_dormant(&self, is_dormant: bool) {
        self.is_dormant.store(is_dormant, Ordering::SeqCst);
    }

    /// Sets the place with which a group is complete; with 0 any group is. Until then a worker that has nothing more to do
    /// need not wake the reader, who comes by himself after a while.
    pub fn set_group_end(&self, place: Place) {
        self.group_end.store(place, Ordering::Relaxed);
    }

    /// Wakes the reader if the group is complete; whether it is.
    pub fn wake_for_group(&self) -> bool {
        let is_complete = self.last() >= self.group_end.load(Ordering::Relaxed);
        if is_complete {
            self.is_group_called.store(true, Ordering::Relaxed);
            self.wake();
        }
        is_complete
    }

    /// Whether a worker has said, since the last call, that the group is complete.
    pub fn take_group_call(&self) -> bool {
        self.is_group_called.swap(false, Ordering::Relaxed)
    }

    /// Wakes the reader.
    pub fn wake(&self) {
        self.is_dormant.store(false, Ordering::Relaxed);
        if let Some(reader) = self.reader.get() {
            reader.unpark();
        }
    }

    /// Moves what the lane holds to `staged`, at its end.
    fn take_lane(&self, lane: usize, staged: &mut Vec<u8>) {
        let mut buffer = self.lanes[lane].lock();
        if staged.is_empty() {
            std::mem::swap(&mut *buffer, staged);
        } else {
            staged.append(&mut buffer);
        }
    }
}
