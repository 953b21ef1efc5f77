//! The journal: one total order of effects, of which the append-only file and the replication backlog are readers.
//!
//! ```text
//! worker, view held:  lane lock | place = last + 1 | entry -> lane | unlock
//! whoever pumps:      all lanes' buffers -> staged -> in the order of their places -> each sink's stream of commands
//! ```
//!
//! A worker takes an entry's place while it holds the view, so the order of places is the order of execution for all who
//! could see each other. It writes into a lane of its own, whose lock nobody but the pump shares: on the way of a
//! request there is one atomic addition that others see, and no lock that another worker waits for. One buffer behind one lock
//! was rejected: it is the convoy that the engines avoid. The place is taken under the lane's lock, so places ascend in a lane, and
//! a place that is missing when all lanes were emptied is in one of them a moment later: the pump stops before it and goes on
//! the next time.
//!
//! Effects are recorded while there is a [`Sink`]. The journal knows neither files nor clocks. For each shard it knows the place
//! of its last entry, which is what a reader of a value waits for where nothing may be seen that is not durable ([`Durable`]).

mod durable;
mod feeder;
mod lanes;
mod offsets;
mod place;
mod progress;
mod pump;
mod sinks;
mod sleeper;
mod stream;
mod unit;

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use crossbeam_utils::CachePadded;

use super::sync::{self, AtomicBool, AtomicU64, Mutex, MutexGuard};
pub use durable::Durable;
pub(crate) use feeder::EndsInPanic;
use lanes::Lanes;
pub use offsets::Offsets;
pub use place::Place;
pub use progress::Progress;
use pump::Pump;
pub(crate) use pump::{IDLE_ROUNDS, Turn};
use sinks::Sinks;
pub use sinks::{Sink, State};
pub(crate) use sleeper::Runner;
use sleeper::Sleeper;
pub use unit::{ANY_DB, Audience, Unit, write_select};

/// See the module's text.
pub struct Journal {
    last: CachePadded<AtomicU64>,
    lanes: Lanes,
    /// For each shard, the place of its last entry.
    shards: Box<[AtomicU64]>,
    /// The place of the last entry that covered everything.
    everything: AtomicU64,
    sinks: Sinks,
    /// Apart from what each command reads, for it is locked for each group.
    pump: CachePadded<Mutex<Pump>>,
    writer: Sleeper,
    feeder: Sleeper,
    has_feeder: Mutex<bool>,
    /// The place with which the group is complete that is synced next.
    group_end: AtomicU64,
    /// Whether a worker has called for that sync.
    is_group_called: AtomicBool,
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
            lanes: Lanes::new(lanes),
            shards: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            everything: AtomicU64::new(0),
            sinks: Sinks::default(),
            pump: CachePadded::new(Mutex::new(Pump::new(lanes))),
            writer: Sleeper::default(),
            feeder: Sleeper::default(),
            has_feeder: Mutex::new(false),
            group_end: AtomicU64::new(0),
            is_group_called: AtomicBool::new(false),
        }
    }

    /// Whether effects are recorded: while there is a sink.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.sinks.is_any()
    }

    /// Whether somebody gets what is for this audience.
    pub fn is_heard_by(&self, audience: Audience) -> bool {
        self.sinks.has(audience)
    }

    /// Has a sink get all that comes from now on. The caller holds everything, so each command is recorded as a whole or not at
    /// all. The place behind which it begins.
    pub fn attach(&self, sink: Arc<Sink>) -> Place {
        self.exchange(None, Some(sink))
    }

    /// Has a sink get nothing that comes from now on. The caller holds everything. The place at which it ends.
    pub fn detach(&self, sink: &Arc<Sink>) -> Place {
        self.exchange(Some(sink), None)
    }

    /// Gives nothing more to a sink whose owner is gone; what waits for him is dropped. Unlike [`Journal::detach`] it needs no
    /// cut, for nobody asks where it ended.
    pub fn abandon(&self, sink: &Arc<Sink>) {
        sink.abandon();
        self.sinks.forget(sink);
        // Whoever pumps has a handle to it.
        self.writer.wake();
        self.feeder.wake();
    }

    /// Has a sink end and another begin at the same place, as [`Journal::detach`] and [`Journal::attach`] do.
    pub(crate) fn exchange(&self, leaves: Option<&Arc<Sink>>, comes: Option<Arc<Sink>>) -> Place {
        let after = self.last();
        self.sinks.exchange(after, leaves, comes);
        // Whoever pumped has the rest to give, and whoever pumps from now on may sleep.
        self.writer.wake();
        self.feeder.wake();
        after
    }

    /// Starts the thread that sinks need while there is no append-only file, unless it runs. It calls `has_room` when
    /// writers who waited for room may go on.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start_feeder(self: &Arc<Self>, has_room: impl Fn() + Send + 'static) -> io::Result<()> {
        let mut is_started = self.has_feeder.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_started {
            feeder::start(self.clone(), has_room)?;
            *is_started = true;
        }
        Ok(())
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
        audience: Audience,
        touched: Touched<impl Iterator<Item = usize>>,
        second: u64,
    ) -> Place {
        let place = {
            let mut buffer = self.lanes.lock(lane);
            // Release: who sees this place, in a reader's view or as the last one, sees what came before.
            let place = self.last.fetch_add(1, Ordering::AcqRel) + 1;
            unit.write(place, audience, second, &mut buffer);
            self.lanes.note(buffer.len());
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
        // The lane's lock orders this with whoever pumps: either it finds the entry, or we find it asleep.
        let sleeper = self.sleeper(self.runner());
        if sleeper.is_dormant() {
            sleeper.wake();
        }
        place
    }

    /// Bounds what waits to be written, in bytes; see [`Journal::is_full`].
    pub fn set_limit(&self, bytes: usize) {
        self.lanes.set_limit(bytes);
    }

    /// Whether more waits to be written than the limit allows: whoever writes should wait until there is room again.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.lanes.is_full()
    }

    /// Looks at the bytes that wait to be written besides what is in the lanes.
    pub(crate) fn note_waiting(&self, bytes: usize) {
        if bytes > self.lanes.bytes_max() {
            self.lanes.set_full(true);
        }
    }

    /// Says that what waited is dealt with; whether it was too much.
    pub(crate) fn has_room_again(&self) -> bool {
        let was_full = self.is_full();
        if was_full {
            self.lanes.set_full(false);
        }
        was_full
    }

    /// Bytes that wait in the lanes. Takes each lane's lock.
    pub fn pending_bytes(&self) -> usize {
        self.lanes.pending_bytes()
    }

    /// Takes what the lanes hold; [`Journal::give`] goes on with it.
    pub(crate) fn collect(&self) {
        self.lock_pump().collect(&self.lanes);
    }

    /// Gives the sinks some of what was collected, in the order of the places.
    pub(crate) fn give(&self) -> Turn {
        self.lock_pump().give(&self.sinks)
    }

    fn lock_pump(&self) -> MutexGuard<'_, Pump> {
        self.pump.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread that pumps now.
    #[inline]
    pub(crate) fn runner(&self) -> Runner {
        self.sinks.runner()
    }

    #[inline]
    fn sleeper(&self, runner: Runner) -> &Sleeper {
        match runner {
            Runner::Writer => &self.writer,
            Runner::Feeder => &self.feeder,
        }
    }

    /// Makes the calling thread the one that is woken to pump.
    pub(crate) fn enter(&self, runner: Runner) {
        self.sleeper(runner).enter();
    }

    /// Has the calling thread sleep by `sleep` until it is woken, unless it pumps and the lanes hold something. It says so before it looks at
    /// the lanes, so whoever appends behind the look wakes it.
    pub(crate) fn sleep(&self, runner: Runner, is_pumping: bool, sleep: impl FnOnce()) {
        let sleeper = self.sleeper(runner);
        sleeper.set_dormant(true);
        if !is_pumping || self.pending_bytes() == 0 {
            sleep();
        }
        sleeper.set_dormant(false);
    }

    /// Wakes the thread that writes the append-only file.
    pub(crate) fn wake_writer(&self) {
        self.writer.wake();
    }

    /// Sets the place with which a group is complete; with 0 any group is. Until then a worker that has nothing more to do
    /// need not wake the writer, who comes by himself after a while.
    pub(crate) fn set_group_end(&self, place: Place) {
        self.group_end.store(place, Ordering::Relaxed);
    }

    /// Wakes the writer if the group is complete; whether it is.
    pub fn wake_for_group(&self) -> bool {
        let is_complete = self.last() >= self.group_end.load(Ordering::Relaxed);
        if is_complete {
            self.is_group_called.store(true, Ordering::Relaxed);
            self.wake_writer();
        }
        is_complete
    }

    /// Whether a worker has said, since the last call, that the group is complete.
    pub(crate) fn take_group_call(&self) -> bool {
        self.is_group_called.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
