//! Sinks: who gets the journal's entries, each as a stream of its own.
//!
//! A sink is a queue of bytes that whoever pumps fills and its owner empties. It comes and goes at a cut, a moment at which
//! somebody holds everything: what it gets is whole, from the first entry behind one place to the last before another. A sink
//! whose owner calls no code of the pump's was preferred to a callback with the bytes: a slow reader cannot hold the pump, and
//! through it the append-only file. One that lets more gather than its limit is left behind ([`State::Overrun`]): it has
//! lost what came since, and must begin again elsewhere.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use crossbeam_utils::CachePadded;

use super::offsets::Offsets;
use super::place::Place;
use super::sleeper::Runner;
use super::stream::Stream;
use super::sync::{AtomicBool, Mutex, MutexGuard};
use super::unit::{Audience, Header};

/// A queue's bytes are handed over in pieces of this size and one entry more.
const PIECE_BYTES: usize = 4 << 20;
/// A piece's buffer that is kept for the next one.
const KEPT_BYTES_MAX: usize = 2 * PIECE_BYTES;
/// The same while nothing waits.
const IDLE_BYTES_MAX: usize = 256 << 10;

/// Where a sink stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It gets entries, or will from its cut on.
    Open,
    /// It has got the last one.
    Left,
    /// It was too slow, and was left behind.
    Overrun,
}

/// Who gets entries; see the module's text.
pub struct Sink {
    audience: Audience,
    runner: Runner,
    bytes_max: usize,
    offsets_max: usize,
    has_timestamps: AtomicBool,
    notify: Box<dyn Fn() + Send + Sync>,
    queue: Mutex<Queue>,
}

pub(super) struct Queue {
    state: State,
    stream: Stream,
    pieces: VecDeque<Piece>,
    /// An empty buffer for the next piece.
    spare: Vec<u8>,
    /// Bytes of all pieces.
    bytes: usize,
    /// Bytes that were handed over.
    taken_bytes: u64,
    offsets: Option<Offsets>,
    has_news: bool,
}

struct Piece {
    bytes: Vec<u8>,
    /// The place of its last entry.
    end: Place,
}

impl Sink {
    /// A sink for what is meant for `audience`. `notify` is called when there is something for its owner, on the thread that
    /// pumps: it wakes somebody and returns.
    pub fn new(audience: Audience, notify: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            audience,
            runner: Runner::Feeder,
            bytes_max: usize::MAX,
            offsets_max: 0,
            has_timestamps: AtomicBool::new(false),
            notify: Box::new(notify),
            queue: Mutex::new(Queue {
                state: State::Open,
                stream: Stream::default(),
                pieces: VecDeque::new(),
                spare: Vec::new(),
                bytes: 0,
                taken_bytes: 0,
                offsets: None,
                has_news: false,
            }),
        }
    }

    /// A sink of the append-only file, whose thread runs the pump while it is there. It is never left behind: the journal's
    /// limit holds writers back.
    pub(crate) fn of_writer() -> Self {
        Self { runner: Runner::Writer, ..Self::new(Audience::File, || {}) }
    }

    /// Leaves it behind when more bytes than these wait for its owner.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// Lets it know where the last `count` entries end in its stream.
    #[must_use]
    pub fn with_offsets(mut self, count: usize) -> Self {
        self.offsets_max = count;
        self
    }

    /// Whether `#TS:` lines tell the time.
    pub fn set_timestamps(&self, on: bool) {
        self.has_timestamps.store(on, Relaxed);
    }

    /// Takes the next piece in the place of what is in `bytes`; the place of its last entry. `None` if nothing waits. A piece may
    /// be empty, where entries were for others. What is in `bytes` may be thrown away in any case.
    pub fn take(&self, bytes: &mut Vec<u8>) -> Option<Place> {
        let mut queue = self.lock();
        let Some(piece) = queue.pieces.pop_front() else {
            // What a burst has made large goes back.
            if queue.spare.capacity() > IDLE_BYTES_MAX {
                queue.spare = Vec::new();
            }
            if bytes.capacity() > IDLE_BYTES_MAX {
                *bytes = Vec::new();
            }
            return None;
        };
        queue.bytes -= piece.bytes.len();
        queue.taken_bytes += piece.bytes.len() as u64;
        let mut spare = std::mem::replace(bytes, piece.bytes);
        spare.clear();
        if spare.capacity() > queue.spare.capacity() && spare.capacity() <= KEPT_BYTES_MAX {
            queue.spare = spare;
        }
        Some(piece.end)
    }

    /// Where it stands. What waits is still there to be taken when it has left.
    pub fn state(&self) -> State {
        self.lock().state
    }

    /// Whether it has left and nothing waits any more.
    pub fn is_drained(&self) -> bool {
        let queue = self.lock();
        queue.state != State::Open && queue.pieces.is_empty()
    }

    /// Bytes that wait for its owner.
    pub fn waiting_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Bytes that it takes, with what its buffers have left over.
    pub fn memory_bytes(&self) -> usize {
        let queue = self.lock();
        queue.spare.capacity() + queue.pieces.iter().map(|piece| piece.bytes.capacity()).sum::<usize>()
    }

    /// Bytes of its stream up to the end of an entry, if it keeps offsets; see [`Offsets::end_of`].
    pub fn end_of(&self, place: Place) -> Option<u64> {
        self.lock().offsets.as_ref()?.end_of(place)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It gets what comes behind `after`.
    pub(super) fn begin(&self, after: Place) {
        let mut queue = self.lock();
        queue.offsets = (self.offsets_max > 0).then(|| Offsets::new(after, self.offsets_max));
    }

    /// It has got all that it is to get.
    pub(super) fn leave(&self) {
        let mut queue = self.lock();
        if queue.state == State::Open {
            queue.state = State::Left;
            queue.has_news = true;
        }
    }

    /// Its owner is gone: what waits is dropped, and nothing more comes.
    pub(super) fn abandon(&self) {
        self.lock().overrun();
    }

    /// Adds an entry to what waits, which the caller has locked.
    pub(super) fn add(&self, queue: &mut Queue, header: &Header, commands: &[u8]) {
        if queue.state != State::Open {
            return;
        }
        if queue.pieces.back().is_none_or(|piece| piece.bytes.len() >= PIECE_BYTES) {
            let bytes = std::mem::take(&mut queue.spare);
            queue.pieces.push_back(Piece { bytes, end: header.place });
        }
        queue.has_news = true;
        let Some(piece) = queue.pieces.back_mut() else { return };
        piece.end = header.place;
        let before = piece.bytes.len();
        if header.audience.meets(self.audience) {
            queue.stream.write(header, commands, self.has_timestamps.load(Relaxed), &mut piece.bytes);
        }
        queue.bytes += piece.bytes.len() - before;
        if let Some(offsets) = &mut queue.offsets {
            offsets.push(queue.taken_bytes + queue.bytes as u64);
        }
        if queue.bytes > self.bytes_max {
            queue.overrun();
        }
    }

    /// Tells its owner, if there is something to tell.
    pub(super) fn tell(&self) {
        if std::mem::take(&mut self.lock().has_news) {
            (self.notify)();
        }
    }
}

impl Queue {
    fn overrun(&mut self) {
        self.state = State::Overrun;
        self.bytes = 0;
        self.pieces = VecDeque::new();
        self.spare = Vec::new();
    }
}

/// What happens to a sink at a place.
pub(super) struct Change {
    /// The last entry before it.
    pub(super) after: Place,
    pub(super) sink: Arc<Sink>,
    pub(super) comes: bool,
}

/// The sinks that there are.
#[derive(Default)]
pub(super) struct Sinks {
    /// Apart from what each command reads, for whoever pumps locks it.
    registered: CachePadded<Mutex<Registered>>,
    /// Whether there is one.
    is_any: AtomicBool,
    /// Whether the append-only file is among them: its thread pumps.
    is_written: AtomicBool,
}

#[derive(Default)]
struct Registered {
    sinks: Vec<Arc<Sink>>,
    /// Those that came and went, and which whoever pumps does not know of yet.
    changes: VecDeque<Change>,
}

impl Sinks {
    /// Whether there is one.
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.is_any.load(Relaxed)
    }

    /// The thread that pumps for them.
    #[inline]
    pub(super) fn runner(&self) -> Runner {
        if self.is_written.load(Relaxed) { Runner::Writer } else { Runner::Feeder }
    }

    /// Whether one gets what is for this audience.
    pub(super) fn has(&self, audience: Audience) -> bool {
        self.lock().sinks.iter().any(|sink| sink.audience.meets(audience))
    }

    /// Has a sink go and another come behind the same place.
    pub(super) fn exchange(&self, after: Place, leaves: Option<&Arc<Sink>>, comes: Option<Arc<Sink>>) {
        let mut registered = self.lock();
        if let Some(sink) = leaves {
            registered.remove(sink);
            registered.changes.push_back(Change { after, sink: sink.clone(), comes: false });
        }
        if let Some(sink) = comes {
            registered.sinks.push(sink.clone());
            registered.changes.push_back(Change { after, sink, comes: true });
        }
        self.follow(&registered);
    }

    /// Removes a sink that was left behind.
    pub(super) fn forget(&self, sink: &Arc<Sink>) {
        let mut registered = self.lock();
        registered.remove(sink);
        self.follow(&registered);
    }

    /// Moves what has changed since the last call to `changes`.
    pub(super) fn take_changes(&self, changes: &mut VecDeque<Change>) {
        changes.append(&mut self.lock().changes);
    }

    fn follow(&self, registered: &Registered) {
        let is_written = registered.sinks.iter().any(|sink| sink.runner == Runner::Writer);
        self.is_written.store(is_written, Relaxed);
        self.is_any.store(!registered.sinks.is_empty(), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registered {
    fn remove(&mut self, sink: &Arc<Sink>) {
        self.sinks.retain(|other| !Arc::ptr_eq(other, sink));
    }
}
