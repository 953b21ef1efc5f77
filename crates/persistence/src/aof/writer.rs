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
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::group::Group;
use crate::journal::{Durable, Journal, Place, Sequencer, Stream};
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

/// How much is written to a file at a time, in bytes.
const CHUNK_BYTES: usize = 4 << 20;
/// How long the thread gathers entries of which nobody waits to be durable.
const GATHERING: Duration = Duration::from_millis(1);
/// Rounds without an entry until the thread sleeps until it is woken.
const IDLE_ROUNDS: u32 = 50;
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
    pub pending_syncs: AtomicUsize,
    /// Syncs that were due while one was running.
    pub delayed_syncs: AtomicU64,
    /// Syncs that succeeded.
    pub syncs: AtomicU64,
    /// Entries that they made durable.
    pub synced_entries: AtomicU64,
    /// What they took, in nanoseconds.
    pub sync_nanos: AtomicU64,
}

impl Status {
    /// The place up to which entries were given to the system.
    pub fn written(&self) -> Place {
        self.written.load(Ordering::Acquire)
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

enum Control {
    /// Entries behind `after` go to another file, or nowhere; `file` is its number.
    Switch { after: Place, target: Option<Target>, file: u64 },
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
    /// How many files there were.
    files: AtomicU64,
    hooks: Hooks,
}

/// Ends the process with a thread of these that panics: clients would wait for what it was to write for ever. The panic's own
/// message is in the log; what is acknowledged is in the files.
struct EndsInPanic;

impl Drop for EndsInPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
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
            files: AtomicU64::new(0),
            hooks,
        });
        let (jobs, received) = mpsc::channel();
        let syncer = shared.clone();
        thread::Builder::new().name("aof-sync".into()).spawn(move || {
            let _end = EndsInPanic;
            sync_jobs(&syncer, &received);
        })?;
        // Here and not on its thread: what is appended before that runs for the first time stands behind its beginning.
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
        self.shared.journal.wake();
    }

    /// Sets whether `#TS:` lines are written.
    pub fn set_timestamps(&self, on: bool) {
        self.shared.has_timestamps.store(on, Relaxed);
    }

    /// Holds the syncs of `everysec` back, or lets them happen again.
    pub fn hold_syncs(&self, on: bool) {
        self.shared.holds_syncs.store(on, Relaxed);
    }

    /// Has entries behind `after` go to another file, or nowhere. What comes before is written to the old one and synced. `after` is
    /// the journal's last place, and the caller holds everything, so nobody appends meanwhile. Gives back the number of the file,
    /// for [`Writer::mend`].
    pub fn switch(&self, after: Place, target: Option<Target>) -> u64 {
        let file = self.shared.files.fetch_add(1, Relaxed) + 1;
        self.send(Control::Switch { after, target, file });
        file
    }

    /// Says that a base which is in its place and on the disk holds all that was before the file of this number: what the files
    /// before it have lost is nobody's loss.
    pub fn mend(&self, file: u64) {
        let status = &self.shared.status;
        let was_lost = status.is_lost();
        status.mended_file.fetch_max(file, Ordering::AcqRel);
        if was_lost && !status.is_lost() {
            status.sync_errno.store(0, Relaxed);
            self.shared.journal.wake();
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

    fn send(&self, control: Control) {
        self.shared.controls.lock().unwrap_or_else(PoisonError::into_inner).push(control);
        self.shared.journal.wake();
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
    sequencer: Sequencer,
    stream: Stream,
    /// Bytes of the stream that are in the file already, after a write that could not be cut away.
    sent: usize,
    target: Option<Target>,
    /// The number of that file.
    file: u64,
    controls: VecDeque<Control>,
    last_sync: Instant,
    group: Group,
    idle_rounds: u32,
}

impl Writing {
    fn new(shared: Arc<Shared>, jobs: mpsc::Sender<Job>) -> Self {
        let sequencer = Sequencer::new(&shared.journal, shared.journal.last());
        Self {
            shared,
            jobs,
            sequencer,
            stream: Stream::default(),
            sent: 0,
            target: None,
            file: 0,
            controls: VecDeque::new(),
            last_sync: Instant::now(),
            group: Group::default(),
            idle_rounds: 0,
        }
    }

    fn run(mut self) {
        self.shared.journal.enter_reader();
        loop {
            // A call is about what stands in the lanes now; the next is about what comes behind.
            self.shared.journal.take_group_call();
            self.sequencer.collect(&self.shared.journal);
            // Looked at after the lanes: what stands behind a switch was appended after the switch was sent.
            let sent =
                std::mem::take(&mut *self.shared.controls.lock().unwrap_or_else(PoisonError::into_inner));
            self.controls.extend(sent);
            let taken = self.sequencer.taken();
            if self.obey() {
                return;
            }
            self.idle_rounds = if self.sequencer.taken() > taken { 0 } else { self.idle_rounds + 1 };
            self.rest();
        }
    }

    fn has_controls(&self) -> bool {
        !self.shared.controls.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn policy(&self) -> Policy {
        Policy::of(self.shared.policy.load(Relaxed))
    }

    /// Writes and does what it was told, in order and as far as the disk lets it; true at the end.
    fn obey(&mut self) -> bool {
        while let Some(control) = self.controls.pop_front() {
            match control {
                Control::Switch { after, target, file } => {
                    let mut is_done = self.write_until(after);
                    if !is_done && target.is_none() && self.shared.status.write_error().is_some() {
                        // Nobody wants the file any more, and the disk does not take it.
                        self.give_file_up();
                        is_done = self.write_until(after);
                    }
                    if !is_done {
                        self.controls.push_front(Control::Switch { after, target, file });
                        return false;
                    }
                    self.leave_file(after);
                    let bytes = target.as_ref().map_or(0, |(_, bytes)| *bytes);
                    self.shared.status.file_bytes.store(bytes, Relaxed);
                    (self.target, self.file) = (target, file);
                    self.stream.restart();
                }
                Control::Flush { until, done } => {
                    let is_written = self.write_until(until);
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
                Control::Stop => {
                    self.write_until(Place::MAX);
                    return true;
                }
            }
        }
        self.write_until(Place::MAX);
        self.sync_if_due();
        false
    }

    /// Writes entries up to `until`, as far as they are there; whether it came so far.
    fn write_until(&mut self, until: Place) -> bool {
        self.stream.has_timestamps = self.shared.has_timestamps.load(Relaxed);
        let is_done = loop {
            if self.stream.bytes.is_empty() {
                self.sequencer.merge(until, CHUNK_BYTES, &mut self.stream);
            }
            if self.stream.bytes.is_empty() {
                break self.sequencer.taken() >= until;
            }
            if !self.write_chunk() {
                break false;
            }
        };
        let staged = self.stream.bytes.len() + self.sequencer.staged_bytes();
        self.shared.status.staged_bytes.store(staged, Relaxed);
        if staged == 0 && self.shared.journal.is_full() {
            self.shared.journal.has_room_again();
            (self.shared.hooks.progressed)();
        }
        is_done
    }

    /// Writes the stream's bytes; whether it succeeded.
    fn write_chunk(&mut self) -> bool {
        let status = &self.shared.status;
        if let Some((file, length)) = &mut self.target {
            let started = Instant::now();
            let result = write_all(&**file, &self.stream.bytes[self.sent..]);
            let is_syncing = status.pending_syncs.load(Relaxed) > 0;
            (self.shared.hooks.took)(Step::Write { is_syncing }, started.elapsed());
            match result {
                Ok(()) => *length += (self.stream.bytes.len() - self.sent) as u64,
                Err((written, error)) => {
                    // The file should end with a whole command. If it cannot be cut, the rest is written behind what is there.
                    let is_cut = self.sent == 0 && (written == 0 || file.truncate(*length).is_ok());
                    if !is_cut {
                        self.sent += written;
                        *length += written as u64;
                    }
                    if status.write_errno.swap(errno(&error), Relaxed) != errno(&error) {
                        (self.shared.hooks.progressed)();
                    }
                    return false;
                }
            }
            status.file_bytes.store(*length, Relaxed);
        }
        self.sent = 0;
        if self.stream.bytes.capacity() > 2 * CHUNK_BYTES {
            self.stream.bytes = Vec::new();
        } else {
            self.stream.bytes.clear();
        }
        status.written.store(self.sequencer.taken(), Release);
        if status.write_errno.swap(0, Relaxed) != 0 {
            (self.shared.hooks.progressed)();
        }
        true
    }

    /// Writes no more to the file: what waits for it goes nowhere.
    fn give_file_up(&mut self) {
        self.target = None;
        self.sent = 0;
    }

    /// Has the file synced that is left for another, before anything behind it counts as durable.
    fn leave_file(&mut self, place: Place) {
        if self.policy() == Policy::Always {
            self.commit();
        } else if let Some((file, _)) = &self.target {
            self.order_sync(file.clone(), place);
        }
        if self.target.is_none() && !self.shared.status.is_lost() {
            // Nothing was written, so nothing is missing.
            self.shared.status.written.fetch_max(place, Release);
            self.shared.status.durable.advance(place);
        }
    }

    fn order_sync(&self, file: Arc<dyn StorageFile>, place: Place) {
        self.shared.status.pending_syncs.fetch_add(1, Relaxed);
        if self.jobs.send(Job { file, number: self.file, place }).is_err() {
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
        if let Some((file, _)) = &self.target {
            if let Some(error) = status.sync_error().filter(|_| status.is_lost()) {
                return Err(error);
            }
            let started = Instant::now();
            let result = file.sync();
            (self.shared.hooks.took)(Step::Sync, started.elapsed());
            result.inspect_err(|error| status.lose(self.file, error))?;
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
                    && let Some((file, _)) = &self.target
                {
                    self.order_sync(file.clone(), status.written());
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
        if self.policy() == Policy::Always && (is_awaited || journal.last() > self.sequencer.taken()) {
            return self.gather();
        }
        if self.idle_rounds < IDLE_ROUNDS || !self.controls.is_empty() {
            return thread::park_timeout(GATHERING);
        }
        self.group.rest();
        journal.set_dormant(true);
        if journal.pending_bytes() == 0 {
            let is_sync_due = status.durable.place() < status.written() && !status.is_lost();
            if self.policy() == Policy::Everysec && is_sync_due {
                thread::park_timeout(SECOND.saturating_sub(self.last_sync.elapsed()).max(GATHERING));
            } else {
                thread::park();
            }
        }
        journal.set_dormant(false);
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
