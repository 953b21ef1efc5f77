//! The thread that writes the append-only file, and the one that syncs it once a second.
//!
//! How large a group is decides what a request costs, for each sync costs processor time as well. In a closed loop the
//! clients of the last group come back a moment after their replies: the thread waits for as many entries as the last group
//! had and had gathered behind it, or a moment at most ([`GROUP_WAIT_MAX`]), so that all who are there share one
//! sync. One client alone waits for nobody. Where requests come whenever they come, this would only make them wait: the
//! entries of the last group are then not followed by as many, and after a vain wait the thread syncs, for a while, as
//! soon as a worker has nothing more to do ([`Patience`]).
//!
//! No thread that serves clients writes or syncs: they leave entries in the journal. This thread takes what has gathered, writes
//! it in one piece, and with `always` syncs it: one `fdatasync` covers all who have come meanwhile (group commit), and while
//! it runs the next group gathers. With `everysec` another thread syncs, so that a slow disk delays neither the writing nor
//! anybody who serves; what cannot be written waits in the journal, whose limit holds writers back.
//!
//! A write that fails is cut away again, so that the file ends with a whole command, and tried again ten times a second;
//! nothing is dropped. A sync that fails with `always` cannot be tried again, for the system may have forgotten the
//! pages: then the process must end, as Redis ends it.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::atomic::{Ordering, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::journal::{Journal, Place, Sequencer, Stream};
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
/// The longest that a group waits for those who were in the last one.
const GROUP_WAIT_MAX: Duration = Duration::from_millis(1);
/// Groups that are not waited for after a vain wait, and at most after several.
const HASTY_GROUPS_MIN: u32 = 16;
const HASTY_GROUPS_MAX: u32 = 1024;
/// So many waits in a row that were not in vain, and the others are forgotten.
const FORGIVING_WAITS: u32 = 16;
/// Between two attempts after an error.
const RETRY: Duration = Duration::from_millis(100);
/// Between two syncs with `everysec`.
const SECOND: Duration = Duration::from_secs(1);

/// What is known of the writing; each number is written by one thread.
#[derive(Default)]
pub struct Status {
    written: AtomicU64,
    durable: AtomicU64,
    /// Bytes of the file that is written to.
    pub file_bytes: AtomicU64,
    /// Bytes that were taken from the journal and are not written.
    pub staged_bytes: AtomicUsize,
    /// The error of the last write, 0 if it succeeded.
    write_errno: AtomicI32,
    /// The error of the last sync, 0 if it succeeded.
    sync_errno: AtomicI32,
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

    /// The place up to which entries are on the disk.
    #[inline]
    pub fn durable(&self) -> Place {
        self.durable.load(Ordering::Acquire)
    }

    /// What is wrong with writing, if something is.
    pub fn write_error(&self) -> Option<io::Error> {
        Some(self.write_errno.load(Relaxed)).filter(|errno| *errno != 0).map(io::Error::from_raw_os_error)
    }

    /// What is wrong with syncing, if something is.
    pub fn sync_error(&self) -> Option<io::Error> {
        Some(self.sync_errno.load(Relaxed)).filter(|errno| *errno != 0).map(io::Error::from_raw_os_error)
    }

    fn note_sync(&self, place: Place, started: Instant) {
        let before = self.durable.fetch_max(place, Release);
        self.syncs.fetch_add(1, Relaxed);
        self.synced_entries.fetch_add(place.saturating_sub(before), Relaxed);
        self.sync_nanos.fetch_add(started.elapsed().as_nanos() as u64, Relaxed);
        self.sync_errno.store(0, Relaxed);
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// A file to write to, and its length in bytes.
pub type Target = (Arc<dyn StorageFile>, u64);

enum Control {
    /// Entries behind `after` go to another file, or nowhere.
    Switch { after: Place, target: Option<Target> },
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
    hooks: Hooks,
}

/// A handle to the threads.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the threads, with nothing to write to.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(journal: Arc<Journal>, hooks: Hooks) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            journal,
            status: Status::default(),
            policy: AtomicU8::new(Policy::Everysec as u8),
            has_timestamps: AtomicBool::new(false),
            holds_syncs: AtomicBool::new(false),
            controls: Mutex::default(),
            hooks,
        });
        let (jobs, received) = mpsc::channel();
        let syncer = shared.clone();
        thread::Builder::new().name("aof-sync".into()).spawn(move || sync_jobs(&syncer, &received))?;
        // Here and not on its thread: what is appended before that runs for the first time stands behind its beginning.
        let writing = Writing::new(shared.clone(), jobs);
        let thread = thread::Builder::new().name("aof".into()).spawn(move || writing.run())?;
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
    /// the journal's last place, and the caller holds everything, so nobody appends meanwhile.
    pub fn switch(&self, after: Place, target: Option<Target>) {
        self.send(Control::Switch { after, target });
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

/// A file to sync, and the place up to which it is written.
struct Job {
    file: Arc<dyn StorageFile>,
    place: Place,
}

fn sync_jobs(shared: &Shared, jobs: &mpsc::Receiver<Job>) {
    for Job { file, place } in jobs {
        let started = Instant::now();
        match file.sync() {
            Ok(()) => shared.status.note_sync(place, started),
            Err(error) => shared.status.sync_errno.store(errno(&error), Relaxed),
        }
        shared.status.pending_syncs.fetch_sub(1, Relaxed);
        (shared.hooks.progressed)();
    }
}

/// Whether it is worth while to wait for the clients of the last group.
#[derive(Debug, Default)]
struct Patience {
    /// Groups that are not waited for.
    hasty_groups: u32,
    /// How many there were after the last vain wait.
    penalty: u32,
    /// Waits since then that were not in vain.
    kept: u32,
}

impl Patience {
    /// Whether the next group is waited for.
    fn waits(&mut self) -> bool {
        let waits = self.hasty_groups == 0;
        self.hasty_groups = self.hasty_groups.saturating_sub(1);
        waits
    }

    /// All came who were waited for.
    fn came(&mut self) {
        self.kept += 1;
        if self.kept >= FORGIVING_WAITS {
            self.penalty = 0;
        }
    }

    /// Not all came in time.
    fn was_vain(&mut self) {
        self.penalty = (self.penalty * 2).clamp(HASTY_GROUPS_MIN, HASTY_GROUPS_MAX);
        self.hasty_groups = self.penalty;
        self.kept = 0;
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
    controls: VecDeque<Control>,
    last_sync: Instant,
    patience: Patience,
    /// The place with which the next group is complete, if it is waited for.
    group_end: Option<Place>,
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
            controls: VecDeque::new(),
            last_sync: Instant::now(),
            patience: Patience::default(),
            group_end: None,
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
                Control::Switch { after, target } => {
                    if !self.write_until(after) {
                        self.controls.push_front(Control::Switch { after, target });
                        return false;
                    }
                    self.leave_file(after);
                    let bytes = target.as_ref().map_or(0, |(_, bytes)| *bytes);
                    self.shared.status.file_bytes.store(bytes, Relaxed);
                    self.target = target;
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

    /// Has the file synced that is left for another, before anything behind it counts as durable.
    fn leave_file(&mut self, place: Place) {
        if self.policy() == Policy::Always {
            self.commit();
        } else if let Some((file, _)) = &self.target {
            self.order_sync(file.clone(), place);
        }
        if self.target.is_none() {
            // Nothing was written, so nothing is missing.
            self.shared.status.written.fetch_max(place, Release);
            self.shared.status.durable.fetch_max(place, Release);
        }
    }

    fn order_sync(&self, file: Arc<dyn StorageFile>, place: Place) {
        self.shared.status.pending_syncs.fetch_add(1, Relaxed);
        if self.jobs.send(Job { file, place }).is_err() {
            self.shared.status.pending_syncs.fetch_sub(1, Relaxed);
        }
    }

    /// Syncs on this thread what was written. Whoever waits for it is told by the caller.
    fn sync_now(&mut self) -> io::Result<()> {
        // The other thread may still sync the file before this one: its places come first.
        while self.shared.status.pending_syncs.load(Relaxed) > 0 {
            thread::park_timeout(GATHERING);
        }
        let place = self.shared.status.written();
        if let Some((file, _)) = &self.target {
            let started = Instant::now();
            let result = file.sync();
            (self.shared.hooks.took)(Step::Sync, started.elapsed());
            result?;
            self.shared.status.note_sync(place, started);
        }
        self.last_sync = Instant::now();
        Ok(())
    }

    /// Commits the group that was written.
    fn commit(&mut self) {
        let before = self.shared.status.durable();
        let written = self.shared.status.written();
        if before >= written {
            return;
        }
        if let Err(error) = self.sync_now() {
            self.shared.status.sync_errno.store(errno(&error), Relaxed);
            (self.shared.hooks.fatal)(error);
            return;
        }
        // All before the group is told: it comes back at once, and would be counted twice.
        let journal = &self.shared.journal;
        self.group_end = self.patience.waits().then(|| journal.last() + (written - before));
        journal.set_group_end(self.group_end.unwrap_or(0));
        if self.group_end.is_some() {
            journal.take_group_call();
        }
        (self.shared.hooks.progressed)();
    }

    fn sync_if_due(&mut self) {
        let status = &self.shared.status;
        match self.policy() {
            Policy::Always => self.commit(),
            Policy::Everysec if status.durable() < status.written() && self.last_sync.elapsed() >= SECOND => {
                if status.pending_syncs.load(Relaxed) > 0 {
                    status.delayed_syncs.fetch_add(1, Relaxed);
                    self.last_sync = Instant::now();
                } else if !self.shared.holds_syncs.load(Relaxed)
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
        if self.policy() == Policy::Always && journal.last() > self.sequencer.taken() {
            return self.gather();
        }
        if self.idle_rounds < IDLE_ROUNDS || !self.controls.is_empty() {
            return thread::park_timeout(GATHERING);
        }
        journal.set_dormant(true);
        if journal.pending_bytes() == 0 {
            if self.policy() == Policy::Everysec && status.durable() < status.written() {
                thread::park_timeout(SECOND.saturating_sub(self.last_sync.elapsed()).max(GATHERING));
            } else {
                thread::park();
            }
        }
        journal.set_dormant(false);
    }

    /// Waits for the rest of the next group, of which some are there.
    fn gather(&mut self) {
        let journal = &self.shared.journal;
        loop {
            if self.group_end.is_some_and(|end| journal.last() >= end) {
                return self.patience.came();
            }
            if journal.take_group_call() || self.has_controls() {
                return;
            }
            let left = GROUP_WAIT_MAX.saturating_sub(self.last_sync.elapsed());
            if left.is_zero() {
                if self.group_end.is_some() {
                    self.patience.was_vain();
                }
                return;
            }
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups until the next one that is waited for.
    fn hasty_groups(patience: &mut Patience) -> u32 {
        let mut count = 0;
        while !patience.waits() {
            count += 1;
        }
        count
    }

    #[test]
    fn vain_waits_become_rare() {
        let mut patience = Patience::default();
        assert_eq!(hasty_groups(&mut patience), 0);
        let counts: Vec<u32> = (0..8)
            .map(|_| {
                patience.was_vain();
                hasty_groups(&mut patience)
            })
            .collect();
        assert_eq!(counts, [16, 32, 64, 128, 256, 512, 1024, 1024]);
    }

    #[test]
    fn vain_waits_are_forgiven() {
        let mut patience = Patience::default();
        for (kept, expected) in [(FORGIVING_WAITS - 1, 32), (FORGIVING_WAITS, 16)] {
            patience.was_vain();
            hasty_groups(&mut patience);
            (0..kept).for_each(|_| patience.came());
            patience.was_vain();
            assert_eq!(hasty_groups(&mut patience), expected, "after {kept}");
            patience = Patience::default();
        }
    }
}
