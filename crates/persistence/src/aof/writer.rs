//! The thread that writes the append-only file, and the one that syncs it once a second.
//!
//! How large a group is decides what a request costs, for each sync costs processor time as well. In a closed loop the
//! clients of the last group come back a moment after their replies: the thread waits for as many entries as the last group
//! had and had gathered behind it, or a moment at most ([`GROUP_WAIT_MAX`]), so that all who are there share one
//! sync. One client alone waits for nobody. Where requests come whenever they come, this would only make them wait: the
//! entries of the last group are then not followed by as many, and after a vain wait the thread syncs, for a while, as
//! soon as a worker has nothing more to do ([`Patience`]). Of hundreds of clients not all come back in a moment. Whether it is
//! worth while to wait longer for them, so that fewer and larger groups are answered, is found out by trying ([`Trial`]).
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
/// The longest that a large group waits, where a trial has shown that this pays.
const LARGE_GROUP_WAIT_MAX: Duration = Duration::from_millis(4);
/// Entries of a group that is large.
const LARGE_GROUP_MIN: u64 = 32;
/// How long each spell of a trial takes, and how many pairs of spells there are.
const SPELL: Duration = Duration::from_millis(30);
const SPELL_PAIRS: u32 = 4;
/// Long waits pay if this many times as many entries come with them, and more in all pairs but this many.
const GAIN_MIN: f64 = 1.04;
const LOST_PAIRS_MAX: u32 = 1;
/// From the end of a trial to the next: longer each time that the outcome is the same.
const TRIAL_PAUSE_MIN: Duration = Duration::from_secs(1);
const TRIAL_PAUSE_MAX: Duration = Duration::from_secs(16);
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

    /// The place up to which entries are on the disk.
    #[inline]
    pub fn durable(&self) -> Place {
        self.durable.load(Ordering::Acquire)
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
        let before = self.durable.fetch_max(place, Release);
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

/// Finds out whether long waits for large groups pay: whether more entries come in a second with them than without.
///
/// Only clients in a closed loop can send more because they are answered together, and earlier because less is spent on each.
/// In an open loop as many come either way, and waiting would only be latency. Nothing in the order of the entries tells the two
/// apart, but the rates do. Spells with and without long waits take turns, for the machine's speed changes as well.
#[derive(Debug, Default)]
struct Trial {
    stage: Stage,
    /// Where the spell began.
    since: Option<(Instant, Place)>,
    /// The rate of the last spell without long waits, and the sums of all, without and with them.
    last_rate: f64,
    rates: [f64; 2],
    lost_pairs: u32,
    /// What the last trial showed, and how long it is believed.
    pays: bool,
    pause: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    /// No trial is needed: no large group was waited for in vain.
    #[default]
    Off,
    /// One of the spells; those with odd numbers have long waits.
    Spell(u32),
    /// Decided until then.
    Decided(Instant),
}

impl Trial {
    /// A large group did not come back in the short time.
    fn is_wanted(&mut self) {
        if self.stage == Stage::Off {
            self.stage = Stage::Spell(0);
        }
    }

    /// The load has changed.
    fn end(&mut self) {
        *self = Self::default();
    }

    /// Whether large groups are waited for longer now.
    fn is_long(&self) -> bool {
        match self.stage {
            Stage::Off => false,
            Stage::Spell(number) => number % 2 == 1,
            Stage::Decided(_) => self.pays,
        }
    }

    /// A group that ends with `place` is durable.
    fn step(&mut self, now: Instant, place: Place) {
        match self.stage {
            Stage::Off => {}
            Stage::Decided(until) if now < until => {}
            Stage::Decided(_) => self.begin(0, now, place),
            Stage::Spell(number) => match self.since {
                None => self.begin(number, now, place),
                Some((started, first)) if now - started >= SPELL => {
                    let rate = (place - first) as f64 / (now - started).as_secs_f64();
                    self.note(number, rate);
                    if number + 1 < 2 * SPELL_PAIRS {
                        self.begin(number + 1, now, place);
                    } else {
                        self.decide(now);
                    }
                }
                Some(_) => {}
            },
        }
    }

    fn begin(&mut self, number: u32, now: Instant, place: Place) {
        if number == 0 {
            (self.rates, self.lost_pairs) = ([0.0; 2], 0);
        }
        self.stage = Stage::Spell(number);
        self.since = Some((now, place));
    }

    fn note(&mut self, number: u32, rate: f64) {
        let is_long = number % 2 == 1;
        self.rates[usize::from(is_long)] += rate;
        if is_long {
            self.lost_pairs += u32::from(rate <= self.last_rate);
        }
        self.last_rate = rate;
    }

    fn decide(&mut self, now: Instant) {
        let pays = self.rates[1] >= GAIN_MIN * self.rates[0] && self.lost_pairs <= LOST_PAIRS_MAX;
        let is_same = pays == self.pays;
        self.pause = if is_same { self.pause * 2 } else { Duration::ZERO };
        self.pause = self.pause.clamp(TRIAL_PAUSE_MIN, TRIAL_PAUSE_MAX);
        self.pays = pays;
        self.stage = Stage::Decided(now + self.pause);
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
    patience: Patience,
    trial: Trial,
    /// The place with which the next group is complete, if it is waited for.
    group_end: Option<Place>,
    /// The longest that it is waited for.
    group_wait_max: Duration,
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
            patience: Patience::default(),
            trial: Trial::default(),
            group_end: None,
            group_wait_max: GROUP_WAIT_MAX,
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
            self.shared.status.durable.fetch_max(place, Release);
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
        let before = self.shared.status.durable();
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
        let group_end = journal.last() + (written - before);
        self.trial.step(self.last_sync, written);
        let is_long = self.trial.is_long() && group_end - written >= LARGE_GROUP_MIN;
        self.group_wait_max = if is_long { LARGE_GROUP_WAIT_MAX } else { GROUP_WAIT_MAX };
        self.group_end = (is_long || self.patience.waits()).then_some(group_end);
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
        let is_awaited = self.group_end.is_some() && self.last_sync.elapsed() < self.group_wait_max;
        if self.policy() == Policy::Always && (is_awaited || journal.last() > self.sequencer.taken()) {
            return self.gather();
        }
        if self.idle_rounds < IDLE_ROUNDS || !self.controls.is_empty() {
            return thread::park_timeout(GATHERING);
        }
        // The next load may be another.
        self.trial.end();
        journal.set_dormant(true);
        if journal.pending_bytes() == 0 {
            let is_sync_due = status.durable() < status.written() && !status.is_lost();
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
        loop {
            if self.group_end.is_some_and(|end| journal.last() >= end) {
                self.group_end = None;
                return self.patience.came();
            }
            if journal.take_group_call() || self.has_controls() {
                return;
            }
            let left = self.group_wait_max.saturating_sub(self.last_sync.elapsed());
            if left.is_zero() {
                return self.give_up();
            }
            thread::park_timeout(left);
        }
    }

    /// The group is not complete, and waited for no longer.
    fn give_up(&mut self) {
        let Some(end) = self.group_end.take() else { return };
        let (journal, written) = (&self.shared.journal, self.shared.status.written());
        // Whoever comes now waits for nobody.
        journal.set_group_end(0);
        let (come, expected) = (journal.last() - written, end - written);
        let was_long = self.group_wait_max > GROUP_WAIT_MAX;
        if come == 0 || was_long && 2 * come >= expected {
            return;
        }
        self.patience.was_vain();
        if was_long {
            self.trial.end();
        } else if come >= LARGE_GROUP_MIN {
            self.trial.is_wanted();
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

    /// Runs a trial to its end, with this rate in each spell; when it ended.
    fn try_out(trial: &mut Trial, mut now: Instant, mut rate: impl FnMut(bool) -> u64) -> Instant {
        let mut place = 1;
        trial.step(now, place);
        while !matches!(trial.stage, Stage::Decided(until) if until > now) {
            place += rate(trial.is_long());
            now += SPELL;
            trial.step(now, place);
        }
        now
    }

    #[test]
    fn long_waits_must_raise_the_rate() {
        for (short, long, expected) in [(1000, 1000, false), (1000, 1100, true), (1000, 1030, false)] {
            let mut trial = Trial::default();
            trial.is_wanted();
            try_out(&mut trial, Instant::now(), |is_long| if is_long { long } else { short });
            assert_eq!((trial.pays, trial.is_long()), (expected, expected), "{short} against {long}");
        }
    }

    #[test]
    fn one_good_spell_is_not_enough() {
        let mut trial = Trial::default();
        trial.is_wanted();
        let mut count = 0;
        try_out(&mut trial, Instant::now(), |_| {
            count += 1;
            if count == 2 { 5_000 } else { 1_000 }
        });
        assert!(!trial.pays, "its pair was won, the others were not");
    }

    #[test]
    fn trials_with_the_same_outcome_become_rare() {
        let mut trial = Trial::default();
        trial.is_wanted();
        let mut now = Instant::now();
        let pauses: Vec<u64> = (0..6)
            .map(|_| {
                let end = try_out(&mut trial, now, |_| 1_000);
                now = end + trial.pause;
                trial.pause.as_secs()
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 16]);
        try_out(&mut trial, now, |is_long| if is_long { 1_200 } else { 1_000 });
        assert_eq!((trial.pays, trial.pause), (true, TRIAL_PAUSE_MIN), "a new outcome");
        trial.end();
        assert!(!trial.is_long());
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
