//! Puts the lanes' entries into one order, and gives each sink what is meant for it.
//!
//! The pump is a function that any thread may call; there is one order whoever does, for what is taken from the lanes and not given
//! to the sinks yet stands in one place, behind a lock. While the append-only file is written its thread calls it, so that
//! nobody else has to be woken between an entry and its sync. Where there are sinks and no such file, the feeder does, a thread
//! of its own. A thread for all cases, which hands pieces to that of the file, was rejected: it is a hop more under `always`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::lanes::Lanes;
use super::place::Place;
use super::sinks::{Change, Sink, Sinks, State};
use super::unit::{HEADER_BYTES, Header};

/// How much is given to the sinks at a time, in bytes.
const TURN_BYTES: usize = 4 << 20;
/// Of a staged buffer so much is kept for the next round, in bytes.
const STAGED_BYTES_KEPT: usize = 1 << 20;
/// Rounds without an entry until a thread that pumps sleeps until it is woken.
pub(crate) const IDLE_ROUNDS: u32 = 50;

/// What a lane held and no sink has got yet.
#[derive(Default)]
struct Staged {
    bytes: Vec<u8>,
    /// Where the next entry begins.
    at: usize,
}

impl Staged {
    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn front(&self) -> Option<Header> {
        Header::read(&self.bytes[self.at..])
    }

    /// The next entry, if it is the one of that place.
    fn next(&mut self, place: Place) -> Option<(Header, &[u8])> {
        let header = self.front().filter(|header| header.place == place)?;
        let begin = self.at + HEADER_BYTES;
        self.at = begin + header.length;
        Some((header, &self.bytes[begin..self.at]))
    }

    fn clear(&mut self) {
        self.at = 0;
        if self.bytes.capacity() > STAGED_BYTES_KEPT {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

/// What one call has done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// The place of the last entry that the sinks have got.
    pub(crate) taken: Place,
    /// Whether some were given in this call.
    pub(crate) has_given: bool,
    /// Bytes that were taken from the lanes and not given yet.
    pub(crate) staged_bytes: usize,
}

/// What is on its way from the lanes to the sinks.
pub(super) struct Pump {
    staged: Vec<Staged>,
    taken: Place,
    sinks: Vec<Arc<Sink>>,
    changes: VecDeque<Change>,
}

impl Pump {
    pub(super) fn new(lanes: usize) -> Self {
        let staged = (0..lanes).map(|_| Staged::default()).collect();
        Self { staged, taken: 0, sinks: Vec::new(), changes: VecDeque::new() }
    }

    /// Takes what the lanes hold, of those of which nothing is staged.
    pub(super) fn collect(&mut self, lanes: &Lanes) {
        for (lane, staged) in self.staged.iter_mut().enumerate() {
            if staged.is_empty() {
                staged.clear();
                lanes.take(lane, &mut staged.bytes);
            }
        }
    }

    /// Gives entries to the sinks in the order of their places, as far as none is missing and some megabytes at most.
    pub(super) fn give(&mut self, registered: &Sinks) -> Turn {
        // Looked at after the lanes: what stands behind a change was appended after the change was made.
        registered.take_changes(&mut self.changes);
        let begin = self.taken;
        let mut left = TURN_BYTES;
        while left > 0 {
            while self.changes.front().is_some_and(|change| change.after <= self.taken)
                && let Some(change) = self.changes.pop_front()
            {
                self.apply(change);
            }
            let until = self.changes.front().map_or(Place::MAX, |change| change.after);
            self.merge(until, &mut left);
            if self.taken < until {
                break;
            }
        }
        self.leave_behind(registered);
        self.sinks.iter().for_each(|sink| sink.tell());
        let staged_bytes = self.staged.iter().map(|staged| staged.bytes.len() - staged.at).sum();
        Turn { taken: self.taken, has_given: self.taken > begin, staged_bytes }
    }

    fn apply(&mut self, Change { sink, comes, .. }: Change) {
        if comes {
            sink.begin(self.taken);
            self.sinks.push(sink);
        } else {
            self.sinks.retain(|other| !Arc::ptr_eq(other, &sink));
            sink.leave();
            sink.tell();
        }
    }

    /// Gives entries up to a place, as far as none is missing and until so many bytes are given.
    fn merge(&mut self, until: Place, left: &mut usize) {
        let Self { staged, taken, sinks, .. } = self;
        if staged.iter().all(Staged::is_empty) {
            return;
        }
        let mut queues: Vec<_> = sinks.iter().map(|sink| (sink, sink.lock())).collect();
        while *taken < until && *left > 0 {
            let next = *taken + 1;
            let is_next = |staged: &Staged| staged.front().is_some_and(|header| header.place == next);
            let Some(lane) = staged.iter().position(is_next) else { return };
            // The longest run of consecutive entries of one lane.
            while *taken < until
                && *left > 0
                && let Some((header, commands)) = staged[lane].next(*taken + 1)
            {
                queues.iter_mut().for_each(|(sink, queue)| sink.add(queue, &header, commands));
                *taken = header.place;
                *left = left.saturating_sub(commands.len());
            }
        }
    }

    /// Gives nothing more to sinks that were too slow.
    fn leave_behind(&mut self, registered: &Sinks) {
        self.sinks.retain(|sink| {
            let is_overrun = sink.state() == State::Overrun;
            if is_overrun {
                registered.forget(sink);
                sink.tell();
            }
            !is_overrun
        });
    }
}
