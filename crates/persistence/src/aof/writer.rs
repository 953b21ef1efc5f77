//! The thread that writes the append-only file, and the one that syncs it once a second.
//!
//! No thread that serves clients writes or syncs: they leave entries in the journal. This thread takes what has gathered, writes
//! it in one piece, and with `always` syncs it: one `fdatasync` covers all who have come meanwhile (group commit), and while
//! it runs the next group gathers. With `everysec` another thread syncs, so that a slow disk delays neither the writing nor
//! anybody who serves; what cannot be written waits in the journal, whose limit holds writers back.
//!
//! A write that fails is cut away again, so that the file ends with a whole command, and tried again ten times a second;
//! nothing is dropped. A sync that fails cannot be tried again, for the system may have forgotten the pages and say that all is
//! well the next time. With `always` the process must end, as Redis ends it. Else the file is lost ([`Status::is_lost`]): it is
//! written to and not synced, and nothing more counts as durable, until a base holds all that was before another file
//! ([`Writer::mend`]).

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::atomic::{Ordering, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::group::Group;
use super::syncs::Syncs;
use crate::journal::{Durable, EndsInPanic, IDLE_ROUNDS, Journal, Place, Runner, Sink};
use crate::storage::{StorageFile, write_all};

/// When what was written is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Policy {
    /// Before each reply.
    Always,
    /// Once a second.
    Everysec,
    /// When the system likes.
    No,
}

impl Policy {
    /// The policy of this name, as `appendfsync` has it.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "always" => Some(Self::Always),
            "everysec" => Some(Self::Everysec),
            "no" => Some(Self::No),
            _ => None,
        }
    }

    fn of(number: u8) -> Self {
        match number {
            0 => Self::Always,
            1 => Self::Everysec,
            _ => Self::No,
        }
    }
}

/// What took a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A write to the file; whether a sync of it was running.
    Write {
        /// Then the system may have made it wait for that.
        is_syncing: bool,
    },
    /// A sync for which replies waited.
    Sync,
}

/// How the writer tells others what has happened; called on its threads.
pub struct Hooks {
    /// A step has been made, successfully or not.
    pub took: Box<dyn Fn(Step, Duration) + Send + Sync>,
    /// More is durable, or there is room again, or an error has come or gone.
    pub progressed: Box<dyn Fn() + Send + Sync>,
    /// It cannot go on: a sync failed on which replies depend.
    pub fatal: Box<dyn Fn(io::Error) + Send + Sync>,
}

/// How long the thread gathers entries of which nobody waits to be durable.
const GATHERING: Duration = Duration::from_millis(1);
/// Between two attempts after an error.
const RETRY: Duration = Duration::from_millis(100);
/// Between two syncs with `everysec`.
const SECOND: Duration = Duration::from_secs(1);

/// What is known of the writing; each number is written by one thread.
#[derive(Default)]
pub struct Status {
    written: AtomicU64,
    durable: Arc<Durable>,
    /// Bytes of the file that is written to.
    pub file_bytes: AtomicU64,
    /// Bytes that were taken from the journal and are not written.
    pub staged_bytes: AtomicUsize,
    /// The error of the last write, 0 if it succeeded.
    write_errno: AtomicI32,
    /// The error of the sync that failed, 0 if none did since the last mending.
    sync_errno: AtomicI32,
    /// Of the files whose syncs failed, the number of the newest; 0 if none did.
    lost_file: AtomicU64,
    /// A base holds all that was before the file of this number.
    mended_file: AtomicU64,
    /// Syncs that run or wait on the thread for that.
    pending_syncs: AtomicUsize,
    /// Syncs that were due while one was running.
    delayed_syncs: AtomicU64,
    /// Syncs that succeeded.
    syncs: AtomicU64,
    /// Entries that they made durable.
    synced_entries: AtomicU64,
    /// What they took, in nanoseconds.
    sync_nanos: AtomicU64,
}

impl Status {
    /// The place up to which entries were given to the system.
    pub fn written(&self) -> Place {
        self.written.load(Ordering::Acquire)
    }

    /// The syncs until now.
    pub fn syncs(&self) -> Syncs {
        Syncs {
            pending: self.pending_syncs.load(Relaxed),
            delayed: self.delayed_syncs.load(Relaxed),
            done: self.syncs.load(Relaxed),
            entries: self.synced_entries.load(Relaxed),
            nanos: self.sync_nanos.load(Relaxed),
        }
    }

    /// What is wrong with writing, if something is.
    pub fn write_error(&self) -> Option<io::Error> {
        Some(self.write_errno.load(Relaxed)).filter(|errno| *errno != 0).map(io::Error::from_raw_os_error)
    }

    /// Whether a sync has failed and no base holds what it was to make durable.
    pub fn is_lost(&self) -> bool {
        let lost = self.lost_file.load(Ordering::Acquire);
        lost > 0 && lost >= self.mended_file.load(Ordering::Acquire)
    }

    /// A sync of the file of this number failed.
    fn lose(&self, file: u64, error: &io::Error) {
        self.lost_file.fetch_max(file, Ordering::AcqRel);
        if self.is_lost() {
            self.sync_errno.store(errno(error), Relaxed);
        }
    }

    /// What is wrong with syncing, if something is.
    pub fn sync_error(&self) -> Option<io::Error> {
        Some(self.sync_errno.load(Relaxed)).filter(|errno| *errno != 0).map(io::Error::from_raw_os_error)
    }

    fn note_sync(&self, place: Place, started: Instant) {
        let before = self.durable.advance(place);
        self.syncs.fetch_add(1, Relaxed);
        self.synced_entries.fetch_add(place.saturating_sub(before), Relaxed);
        self.sync_nanos.fetch_add(started.elapsed().as_nanos() as u64, Relaxed);
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// A file to write to, and its length in bytes.
pub type Target = (Arc<dyn StorageFile>, u64);

/// A file that is written to: what goes there is what its sink gets.
struct Open {
    sink: Arc<Sink>,
    file: Arc<dyn StorageFile>,
    bytes: u64,
    number: u64,
}

enum Control {
    /// Entries behind `after` go to another file, or nowhere.
    Switch { after: Place, next: Option<Open> },
    /// All entries up to `until` must be on the disk.
    Flush { until: Place, done: mpsc::Sender<io::Result<()>> },
    /// The thread ends.
    Stop,
}

struct Shared {
    journal: Arc<Journal>,
    status: Status,
    policy: AtomicU8,
    has_timestamps: AtomicBool,
    /// While set, nothing is synced but for `always` (`no-appendfsync-on-rewrite`).
    holds_syncs: AtomicBool,
    controls: Mutex<Vec<Control>>,
    /// What the file gets to which new entries go.
    sink: Mutex<Option<Arc<Sink>>>,
    /// How many files there were.
    files: AtomicU64,
    hooks: Hooks,
}

/// A handle to the threads.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the threads, with nothing to write to; they say in `durable` how far they have come.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(journal: Arc<Journal>, durable: Arc<Durable>, hooks: Hooks) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            journal,
            status: Status { durable, ..Status::default() },
            policy: AtomicU8::new(Policy::Everysec as u8),
            has_timestamps: AtomicBool::new(false),
            holds_syncs: AtomicBool::new(false),
            controls: Mutex::default(),
            sink: Mutex::default(),
            files: AtomicU64::new(0),
            hooks,
        });
        let (jobs, received) = mpsc::channel();
        let syncer = shared.clone();
        thread::Builder::new().name("aof-sync".into()).spawn(move || {
            let _end = EndsInPanic;
            sync_jobs(&syncer, &received);
        })?;
        let writing = Writing::new(shared.clone(), jobs);
        let thread = thread::Builder::new().name("aof".into()).spawn(move || {
            let _end = EndsInPanic;
            writing.run();
        })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// What is known of the writing.
    pub fn status(&self) -> &Status {
        &self.shared.status
    }

    /// When what is written is synced.
    pub fn policy(&self) -> Policy {
        Policy::of(self.shared.policy.load(Relaxed))
    }

    /// Sets when what is written is synced.
    pub fn set_policy(&self, policy: Policy) {
        self.shared.policy.store(policy as u8, Relaxed);
        self.shared.journal.wake_writer();
    }

    /// Sets whether `#TS:` lines are written.
    pub fn set_timestamps(&self, on: bool) {
        self.shared.has_timestamps.store(on, Relaxed);
        if let Some(sink) = &*self.lock_sink() {
            sink.set_timestamps(on);
        }
    }

    /// Holds the syncs of `everysec` back, or lets them happen again.
    pub fn hold_syncs(&self, on: bool) {
        self.shared.holds_syncs.store(on, Relaxed);
    }

    /// Has entries from now on go to another file, or nowhere. What comes before is written to the old one and synced. The caller
    /// holds everything, so nobody appends meanwhile. Gives back the number of the file, for [`Writer::mend`].
    pub fn switch(&self, target: Option<Target>) -> u64 {
        let number = self.shared.files.fetch_add(1, Relaxed) + 1;
        let next = target.map(|(file, bytes)| {
            let sink = Arc::new(Sink::of_writer());
            sink.set_timestamps(self.shared.has_timestamps.load(Relaxed));
            Open { sink, file, bytes, number }
        });
        let sink = next.as_ref().map(|open| open.sink.clone());
        let left = std::mem::replace(&mut *self.lock_sink(), sink.clone());
        let after = self.shared.journal.exchange(left.as_ref(), sink);
        self.send(Control::Switch { after, next });
        number
    }

    /// Whether new entries go to a file.
    pub fn is_on(&self) -> bool {
        self.lock_sink().is_some()
    }

    /// Says that a base which is in its place and on the disk holds all that was before the file of this number: what the files
    /// before it have lost is nobody's loss.
    pub fn mend(&self, file: u64) {
        let status = &self.shared.status;
        let was_lost = status.is_lost();
        status.mended_file.fetch_max(file, Ordering::AcqRel);
        if was_lost && !status.is_lost() {
            status.sync_errno.store(0, Relaxed);
            self.shared.journal.wake_writer();
            (self.shared.hooks.progressed)();
        }
    }

    /// Returns when all that was appended before is on the disk. Blocks the thread.
    ///
    /// # Errors
    /// What the disk says.
    pub fn flush(&self) -> io::Result<()> {
        let (done, result) = mpsc::channel();
        self.send(Control::Flush { until: self.shared.journal.last(), done });
        result.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
    }

    /// Ends the threads; what waits is written as far as the disk takes it at once.
    pub fn stop(&self) {
        self.send(Control::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the thread was told when it happened.
            let _ = thread.join();
        }
    }

    fn lock_sink(&self) -> MutexGuard<'_, Option<Arc<Sink>>> {
        self.shared.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, control: Control) {
        self.shared.controls.lock().unwrap_or_else(PoisonError::into_inner).push(control);
        self.shared.journal.wake_writer();
    }
}

/// A file to sync, its number, and the place up to which it is written.
struct Job {
    file: Arc<dyn StorageFile>,
    number: u64,
    place: Place,
}

fn sync_jobs(shared: &Shared, jobs: &mpsc::Receiver<Job>) {
    for Job { file, number, place } in jobs {
        let started = Instant::now();
        // Where something is lost already, what comes behind it is not durable either.
        if !shared.status.is_lost() {
            match file.sync() {
                Ok(()) => shared.status.note_sync(place, started),
                Err(error) => shared.status.lose(number, &error),
            }
        }
        shared.status.pending_syncs.fetch_sub(1, Relaxed);
        (shared.hooks.progressed)();
    }
}

/// The writing thread's own.
struct Writing {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    open: Option<Open>,
    /// What is to be written next, and the place of its last entry; none if it is written.
    piece: Vec<u8>,
    piece_end: Option<Place>,
    /// Bytes of it that are in the file already, after a write that could not be cut away.
    sent: usize,
    /// Up to where the sinks have got their entries.
    taken: Place,
    controls: VecDeque<Control>,
    last_sync: Instant,
    group: Group,
    idle_rounds: u32,
}

impl Writing {
    fn new(shared: Arc<Shared>, jobs: mpsc::Sender<Job>) -> Self {
        Self {
            shared,
            jobs,
            open: None,
            piece: Vec::new(),
            piece_end: None,
            sent: 0,
            taken: 0,
            controls: VecDeque::new(),
            last_sync: Instant::now(),
            group: Group::default(),
            idle_rounds: 0,
        }
    }

    fn run(mut self) {
        self.shared.journal.enter(Runner::Writer);
        loop {
            // A call is about what stands in the lanes now; the next is about what comes behind.
            self.shared.journal.take_group_call();
            if self.pumps() {
                self.shared.journal.collect();
            }
            // Looked at after the lanes: what stands behind a switch was appended after the switch was sent.
            let sent =
                std::mem::take(&mut *self.shared.controls.lock().unwrap_or_else(PoisonError::into_inner));
            self.controls.extend(sent);
            let taken = self.taken;
            if self.obey() {
                return;
            }
            self.idle_rounds = if self.taken > taken { 0 } else { self.idle_rounds + 1 };
            self.rest();
        }
    }

    /// Whether this thread pumps: while there is a file, and until all is written that came before it was left.
    fn pumps(&self) -> bool {
        self.open.is_some() || self.shared.journal.runner() == Runner::Writer
    }

    fn has_controls(&self) -> bool {
        !self.shared.controls.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn policy(&self) -> Policy {
        Policy::of(self.shared.policy.load(Relaxed))
    }

    /// Writes and does what it was told, in order and as far as the disk lets it; true at the end.
    fn obey(&mut self) -> bool {
        self.write();
        while let Some(control) = self.controls.pop_front() {
            match control {
                Control::Switch { after, next } => {
                    if next.is_none() && !self.is_drained() && self.shared.status.write_error().is_some() {
                        // Nobody wants the file any more, and the disk does not take it.
                        self.give_file_up();
                    }
                    if !self.is_drained() {
                        self.controls.push_front(Control::Switch { after, next });
                        return false;
                    }
                    self.leave_file(after);
                    let bytes = next.as_ref().map_or(0, |open| open.bytes);
                    self.shared.status.file_bytes.store(bytes, Relaxed);
                    self.open = next;
                    self.write();
                    if self.open.is_none() && self.shared.journal.has_room_again() {
                        (self.shared.hooks.progressed)();
                    }
                }
                Control::Flush { until, done } => {
                    let is_written = self.open.is_none() || self.shared.status.written() >= until;
                    let result = match self.shared.status.write_error() {
                        Some(error) if !is_written => Err(error),
                        _ if !is_written => {
                            self.controls.push_front(Control::Flush { until, done });
                            return false;
                        }
                        _ => self.sync_now(),
                    };
                    (self.shared.hooks.progressed)();
                    // Who does not wait any more needs no answer.
                    let _ = done.send(result);
                }
                Control::Stop => return true,
            }
        }
        self.sync_if_due();
        false
    }

    /// Gives the sinks what was collected, and writes what the file gets, as far as the disk lets it.
    fn write(&mut self) {
        if !self.pumps() {
            return;
        }
        let mut takes_more = true;
        let waiting = loop {
            let turn = self.shared.journal.give();
            self.taken = turn.taken;
            while takes_more && self.take_piece() {
                takes_more = self.write_piece();
            }
            // Others get theirs all the same.
            if !turn.has_given {
                break turn.staged_bytes + self.waiting_bytes();
            }
        };
        let journal = &self.shared.journal;
        self.shared.status.staged_bytes.store(waiting, Relaxed);
        journal.note_waiting(waiting);
        if waiting == 0 && journal.has_room_again() {
            (self.shared.hooks.progressed)();
        }
    }

    /// Bytes that the file has got and that are not written.
    fn waiting_bytes(&self) -> usize {
        self.piece.len() + self.open.as_ref().map_or(0, |open| open.sink.waiting_bytes())
    }

    /// Takes what is to be written next, unless something is; whether there is something.
    fn take_piece(&mut self) -> bool {
        if self.piece_end.is_none()
            && let Some(open) = &self.open
        {
            self.piece_end = open.sink.take(&mut self.piece);
        }
        self.piece_end.is_some()
    }

    /// Whether all is written that goes to the file that is to be left.
    fn is_drained(&self) -> bool {
        self.piece_end.is_none() && self.open.as_ref().is_none_or(|open| open.sink.is_drained())
    }

    /// Writes the piece; whether it succeeded.
    fn write_piece(&mut self) -> bool {
        let (Some(end), Some(open)) = (self.piece_end, &mut self.open) else { return true };
        let status = &self.shared.status;
        if !self.piece.is_empty() {
            let started = Instant::now();
            let result = write_all(&*open.file, &self.piece[self.sent..]);
            let is_syncing = status.pending_syncs.load(Relaxed) > 0;
            (self.shared.hooks.took)(Step::Write { is_syncing }, started.elapsed());
            match result {
                Ok(()) => open.bytes += (self.piece.len() - self.sent) as u64,
                Err((written, error)) => {
                    // The file should end with a whole command. If it cannot be cut, the rest is written behind what is there.
                    let is_cut = self.sent == 0 && (written == 0 || open.file.truncate(open.bytes).is_ok());
                    if !is_cut {
                        self.sent += written;
                        open.bytes += written as u64;
                    }
                    if status.write_errno.swap(errno(&error), Relaxed) != errno(&error) {
                        (self.shared.hooks.progressed)();
                    }
                    return false;
                }
            }
            status.file_bytes.store(open.bytes, Relaxed);
        }
        self.end_piece();
        let status = &self.shared.status;
        status.written.store(end, Release);
        if status.write_errno.swap(0, Relaxed) != 0 {
            (self.shared.hooks.progressed)();
        }
        true
    }

    fn end_piece(&mut self) {
        self.piece_end = None;
        self.sent = 0;
        self.piece.clear();
    }

    /// Writes no more to the file: what waits for it goes nowhere.
    fn give_file_up(&mut self) {
        self.open = None;
        self.end_piece();
        self.shared.status.write_errno.store(0, Relaxed);
        self.shared.status.staged_bytes.store(0, Relaxed);
        (self.shared.hooks.progressed)();
    }

    /// Has the file synced that is left for another, before anything behind it counts as durable.
    fn leave_file(&mut self, place: Place) {
        if self.policy() == Policy::Always {
            self.commit();
        } else if let Some(open) = &self.open {
            self.order_sync(open, place);
        }
        if self.open.is_none() && !self.shared.status.is_lost() {
            // Nothing was written, so nothing is missing.
            self.shared.status.written.fetch_max(place, Release);
            self.shared.status.durable.advance(place);
        }
    }

    fn order_sync(&self, open: &Open, place: Place) {
        self.shared.status.pending_syncs.fetch_add(1, Relaxed);
        let job = Job { file: open.file.clone(), number: open.number, place };
        if self.jobs.send(job).is_err() {
            self.shared.status.pending_syncs.fetch_sub(1, Relaxed);
        }
    }

    /// Syncs on this thread what was written. Whoever waits for it is told by the caller.
    fn sync_now(&mut self) -> io::Result<()> {
        // The other thread may still sync the file before this one: its places come first.
        while self.shared.status.pending_syncs.load(Relaxed) > 0 {
            thread::park_timeout(GATHERING);
        }
        let status = &self.shared.status;
        let place = status.written();
        if let Some(open) = &self.open {
            if let Some(error) = status.sync_error().filter(|_| status.is_lost()) {
                return Err(error);
            }
            let started = Instant::now();
            let result = open.file.sync();
            (self.shared.hooks.took)(Step::Sync, started.elapsed());
            result.inspect_err(|error| status.lose(open.number, error))?;
            status.note_sync(place, started);
        }
        self.last_sync = Instant::now();
        Ok(())
    }

    /// Commits the group that was written.
    fn commit(&mut self) {
        let before = self.shared.status.durable.place();
        let written = self.shared.status.written();
        // What was lost with another policy is waited for until it is mended.
        if before >= written || self.shared.status.is_lost() {
            return;
        }
        if let Err(error) = self.sync_now() {
            (self.shared.hooks.fatal)(error);
            return;
        }
        // All before the group is told: it comes back at once, and would be counted twice.
        let journal = &self.shared.journal;
        let group_end = self.group.begin(self.last_sync, written, written - before, journal.last());
        journal.set_group_end(group_end.unwrap_or(0));
        if group_end.is_some() {
            journal.take_group_call();
        }
        (self.shared.hooks.progressed)();
    }

    fn sync_if_due(&mut self) {
        let status = &self.shared.status;
        match self.policy() {
            Policy::Always => self.commit(),
            Policy::Everysec
                if status.durable.place() < status.written() && self.last_sync.elapsed() >= SECOND =>
            {
                if status.pending_syncs.load(Relaxed) > 0 {
                    status.delayed_syncs.fetch_add(1, Relaxed);
                    self.last_sync = Instant::now();
                } else if !self.shared.holds_syncs.load(Relaxed)
                    && !status.is_lost()
                    && let Some(open) = &self.open
                {
                    self.order_sync(open, status.written());
                    self.last_sync = Instant::now();
                }
            }
            Policy::Everysec | Policy::No => {}
        }
    }

    /// Waits for the next round.
    fn rest(&mut self) {
        let status = &self.shared.status;
        if status.write_errno.load(Relaxed) != 0 {
            return thread::park_timeout(RETRY);
        }
        let journal = &self.shared.journal;
        let is_awaited = self.group.is_awaited(self.last_sync.elapsed());
        let is_pumping = self.pumps();
        if is_pumping && self.policy() == Policy::Always && (is_awaited || journal.last() > self.taken) {
            return self.gather();
        }
        if self.idle_rounds < IDLE_ROUNDS || !self.controls.is_empty() {
            return thread::park_timeout(GATHERING);
        }
        self.group.rest();
        journal.sleep(Runner::Writer, is_pumping, || {
            let is_sync_due = status.durable.place() < status.written() && !status.is_lost();
            if self.policy() == Policy::Everysec && is_sync_due {
                thread::park_timeout(SECOND.saturating_sub(self.last_sync.elapsed()).max(GATHERING));
            } else {
                thread::park();
            }
        });
    }

    /// Waits for the rest of the next group.
    fn gather(&mut self) {
        let journal = &self.shared.journal;
        while !self.group.is_complete(journal.last()) && !journal.take_group_call() && !self.has_controls() {
            let left = self.group.wait_left(self.last_sync.elapsed());
            if left.is_zero() {
                if self.group.give_up(self.shared.status.written(), journal.last()) {
                    // Whoever comes now waits for nobody.
                    journal.set_group_end(0);
                }
                return;
            }
            thread::park_timeout(left);
        }
    }
}
