//! Snapshots of the running server: BGSAVE, the rewrite of the append-only file, and turning that on and off.
//!
//! One thread takes them, one after the other. It holds everything for the moment in which a snapshot begins (see
//! `keyspace::snapshot`), then each shard for as long as encoding what it holds takes, and writes between these. There is no
//! fork: no pause that grows with the memory, no second copy of the pages that change.

pub mod samples;

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustredis_config::{Config, Directive};
use rustredis_engine::{EndsInPanic, Engine};
use rustredis_keyspace::snapshot::{Encode, Handover, Preserved};
use rustredis_keyspace::{Access, Covered, Effects, Random, View};
use rustredis_persistence::aof::entry_commands::write_commands;
use rustredis_persistence::aof::manifest::BaseFormat;
use rustredis_persistence::journal::write_select;
use rustredis_persistence::rdb::{
    FileWriter, RdbError, VERSION_WITH_FIELD_EXPIRY, VERSION_WRITTEN, encode_key,
};
use rustredis_persistence::storage::{Faulty, Storage, StorageFile};

use crate::clock::now_ms;
use crate::files::aof::{Aof, Files};
use crate::files::leftovers;
use crate::files::rdb::{self, Flushed, Origin, Placed, Rdb};
use crate::upkeep::allocator;
use crate::upkeep::stats::Stats;

/// Files pass through buffers of this size.
const BUFFER_BYTES: usize = 256 << 10;
/// Most shards that are visited in one hold, and most keys, if that is more than one shard.
const VISITED_SHARDS_MAX: usize = 64;
const VISITED_KEYS_MAX: usize = 1024;
/// After so many bytes a file is synced, so that the last sync has little to do (`*-incremental-fsync`).
const SYNC_BYTES: u64 = 32 << 20;
/// Rewrites that failed in a row until the next one waits.
const FAILURES_UNTIL_DELAY: u64 = 3;
/// How often the end of a snapshot that is given up is looked for, a millisecond apart.
const GIVE_UP_LOOKS: usize = 2000;
/// After a save that failed, how long save points wait until the next, in milliseconds.
const RETRY_SAVE_MS: u64 = 5000;
/// The longest wait, in seconds.
const DELAY_SECONDS_MAX: u64 = 3600;

/// What the thread is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// An RDB file.
    Save,
    /// A new base of the append-only file.
    Rewrite,
    /// The same for a file that is being turned on.
    TurnOn,
    /// The end of writing the append-only file.
    TurnOff,
}

impl Job {
    /// Whether it writes an append-only file's base.
    pub fn is_rewrite(self) -> bool {
        matches!(self, Self::Rewrite | Self::TurnOn)
    }
}

/// What snapshots are made of.
#[derive(Clone)]
pub struct Parts {
    /// The keys.
    pub engine: Arc<Engine>,
    /// The directives.
    pub config: Arc<Mutex<Config>>,
    /// Where files are written.
    pub storage: Arc<Faulty>,
    /// Counts the changes.
    pub stats: Arc<Stats>,
    /// The RDB file.
    pub rdb: Arc<Rdb>,
    /// The append-only file.
    pub aof: Arc<Aof>,
}

/// Takes snapshots, and what is known of them.
pub struct Snapshots {
    parts: Parts,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    state: Mutex<State>,
    /// Keys that the snapshot under way had at its beginning.
    keys_total: AtomicU64,
    /// Keys that it has encoded.
    keys_done: AtomicU64,
    /// Set to give the snapshot under way up.
    is_given_up: AtomicBool,
    /// Held while the files of the append-only file are exchanged, and by who reads them while the server runs.
    pub exchange: Mutex<()>,
    /// Snapshots that were asked for.
    begun: AtomicU64,
    /// Of these, how many have reached the moment of which they are, or have ended without.
    cut: AtomicU64,
    /// Ends of the append-only file that were asked for and have not come.
    turning_off: AtomicU64,
    /// Tells who waits for a cut, or for the append-only file to be left.
    pub progress: tokio::sync::Notify,
    /// Of these, those that come beside a save.
    turning_off_beside: AtomicU64,
    aside: Mutex<Option<mpsc::Sender<()>>>,
}

/// What INFO shows; times are in seconds, and -1 stands for none.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// What runs or waits for the thread, and since when (Unix ms).
    pub running: Option<(Job, u64)>,
    /// Whether a save follows.
    pub is_save_scheduled: bool,
    /// Whether a rewrite follows.
    pub is_rewrite_scheduled: bool,
    /// What the last save took.
    pub last_save_seconds: i64,
    /// What the last rewrite took.
    pub last_rewrite_seconds: i64,
    /// Rewrites begun.
    pub rewrites: u64,
    /// Rewrites that failed since the last that succeeded.
    pub rewrite_failures: u64,
    /// Whether the last rewrite failed.
    pub has_rewrite_failed: bool,
    /// When the last save by a save point was tried (Unix ms).
    pub last_save_try_ms: u64,
    /// When the last rewrite failed (Unix ms).
    last_rewrite_failure_ms: u64,
}

/// What became of a wish for a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It begins.
    Begun,
    /// It begins when the one under way has ended.
    Scheduled,
    /// One of its kind is under way.
    IsRunning,
    /// Another one is under way.
    IsBusy,
}

impl Snapshots {
    /// None was taken yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            jobs: Mutex::new(None),
            state: Mutex::new(State {
                running: None,
                is_save_scheduled: false,
                is_rewrite_scheduled: false,
                last_save_seconds: -1,
                last_rewrite_seconds: -1,
                rewrites: 0,
                rewrite_failures: 0,
                has_rewrite_failed: false,
                last_save_try_ms: 0,
                last_rewrite_failure_ms: 0,
            }),
            keys_total: AtomicU64::new(0),
            keys_done: AtomicU64::new(0),
            is_given_up: AtomicBool::new(false),
            exchange: Mutex::new(()),
            begun: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            turning_off: AtomicU64::new(0),
            progress: tokio::sync::Notify::new(),
            turning_off_beside: AtomicU64::new(0),
            aside: Mutex::new(None),
        }
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        let (sender, jobs) = mpsc::channel();
        *self.jobs.lock() = Some(sender);
        let here = self.clone();
        start_thread("snapshot", jobs, async move |job| {
            run(&here, job).await;
            // It may rest for hours now.
            allocator::purge();
        })?;
        let (sender, wishes) = mpsc::channel();
        *self.aside.lock() = Some(sender);
        let here = self.clone();
        start_thread("aof-off", wishes, async move |()| {
            report_turned_off(turn_off(&here).await);
            here.turning_off_beside.fetch_sub(1, Relaxed);
        })?;
        Ok(())
    }

    /// Writes the first base of an append-only file, and begins to write behind it.
    pub(crate) async fn begin_aof(&self) -> Result<(), Failure> {
        rewrite(self, true).await
    }

    /// What INFO shows.
    pub fn state(&self) -> State {
        *self.state.lock()
    }

    /// Asks for a save; `schedules` if it may begin later.
    pub fn save(&self, schedules: bool) -> Wish {
        let mut state = self.state.lock();
        match state.running {
            Some((Job::Save, _)) => Wish::IsRunning,
            Some(_) if schedules => {
                state.is_save_scheduled = true;
                Wish::Scheduled
            }
            Some(_) => Wish::IsBusy,
            None => self.begin(&mut state, Job::Save),
        }
    }

    /// Asks for a rewrite.
    pub fn rewrite(&self) -> Wish {
        let mut state = self.state.lock();
        match state.running {
            Some((job, _)) if job.is_rewrite() => Wish::IsRunning,
            Some(_) => {
                state.is_rewrite_scheduled = true;
                Wish::Scheduled
            }
            None => self.begin(&mut state, rewrite_job(&self.parts.aof)),
        }
    }

    /// Turns the append-only file on or off; what is under way is given up.
    pub fn turn(&self, on: bool) {
        let mut state = self.state.lock();
        self.parts.aof.set_on(on);
        if on {
            match state.running {
                None => _ = self.begin(&mut state, Job::TurnOn),
                Some(_) => state.is_rewrite_scheduled = true,
            }
            return;
        }
        state.is_rewrite_scheduled = false;
        if state.running.is_some_and(|(job, _)| job.is_rewrite()) {
            self.is_given_up.store(true, Relaxed);
            self.parts.rdb.save_delay.wake();
        }
        self.turning_off.fetch_add(1, Relaxed);
        if state.running.is_some_and(|(job, _)| job == Job::Save) {
            // A save may take minutes, and has nothing to do with these files.
            self.turning_off_beside.fetch_add(1, Relaxed);
            self.send_aside();
        } else {
            self.send(Job::TurnOff);
        }
    }

    /// Whether the snapshot that was asked for last is of a moment still to come.
    pub fn is_cut_missing(&self) -> bool {
        self.cut.load(Relaxed) < self.begun.load(Relaxed)
    }

    fn note_cut(&self) {
        self.cut.store(self.begun.load(Relaxed), Relaxed);
        self.progress.notify_waiters();
    }

    /// Whether the append-only file is still written to though it is not wanted any more.
    pub fn is_turning_off(&self) -> bool {
        self.turning_off.load(Relaxed) > 0
    }

    /// Notes that FLUSHALL has removed everything; what it leaves to do. A save under way is of no use any more. The view covers
    /// everything.
    #[cold]
    pub fn note_flushed(&self) -> Option<Flushed> {
        let state = self.state.lock();
        if matches!(state.running, Some((Job::Save, _))) {
            self.is_given_up.store(true, Relaxed);
            self.parts.rdb.save_delay.wake();
        }
        drop(state);
        self.parts.rdb.note_flushed()
    }

    /// Gives up whatever is under way, and returns when it has been cleared away, or after a while.
    pub async fn give_up(&self) {
        {
            let mut state = self.state.lock();
            (state.is_save_scheduled, state.is_rewrite_scheduled) = (false, false);
            self.is_given_up.store(state.running.is_some(), Relaxed);
            self.parts.rdb.save_delay.wake();
        }
        for _ in 0..GIVE_UP_LOOKS {
            if self.state().running.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn begin(&self, state: &mut State, job: Job) -> Wish {
        state.running = Some((job, now_ms()));
        self.begun.fetch_add(1, Relaxed);
        if job.is_rewrite() {
            state.rewrites += 1;
        }
        self.send(job);
        Wish::Begun
    }

    /// Has the append-only file turned off by the thread beside the one that saves.
    fn send_aside(&self) {
        if let Some(aside) = &*self.aside.lock() {
            // The thread ends with the process.
            let _ = aside.send(());
        }
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &*self.jobs.lock() {
            // The thread ends with the process.
            let _ = jobs.send(job);
        }
    }

    /// Whether an automatic rewrite may be tried: after some failures each next one waits twice as long.
    pub fn may_rewrite(&self) -> bool {
        let state = self.state();
        let Some(extra) = state.rewrite_failures.checked_sub(FAILURES_UNTIL_DELAY) else { return true };
        let delay_seconds = (60u64 << extra.min(10)).min(DELAY_SECONDS_MAX);
        now_ms().saturating_sub(state.last_rewrite_failure_ms) >= delay_seconds * 1000
    }

    /// Whether turning the append-only file on may be tried again, after a second at least.
    pub fn may_try_again(&self) -> bool {
        self.may_rewrite() && now_ms().saturating_sub(self.state().last_rewrite_failure_ms) >= 1000
    }

    /// Whether a rewrite may be tried to mend the append-only file, for which writes wait: a second after a failure, and longer after
    /// each further one, up to a minute.
    pub fn may_mend(&self) -> bool {
        let state = self.state();
        let delay_ms = (1000u64 << state.rewrite_failures.min(6)).min(60_000);
        now_ms().saturating_sub(state.last_rewrite_failure_ms) >= delay_ms
    }

    /// Whether what is written to the append-only file has no base yet: it is being turned on.
    pub fn is_base_missing(&self) -> bool {
        let is_turning_on = self.state().running.is_some_and(|(job, _)| job == Job::TurnOn);
        self.parts.aof.is_on() && (is_turning_on || !self.parts.aof.is_written())
    }

    /// Notes that a save point has asked for a save.
    pub fn note_save_try(&self) {
        self.state.lock().last_save_try_ms = now_ms();
    }

    /// Begins a save when a save point is reached, and a rewrite when the append-only file has grown. Not while it is loaded.
    pub fn begin_what_is_due(&self) {
        if self.state().running.is_some() {
            return;
        }
        if self.parts.aof.is_on() && !self.parts.aof.is_written() {
            // Turning it on has failed; it is tried again as long as it is wanted.
            if self.may_try_again() {
                self.rewrite();
            }
            return;
        }
        if self.parts.aof.is_lost() && self.may_mend() {
            // Only a new base makes safe what is there.
            tracing::warn!("Starting a rewrite of the AOF, for a sync of it has failed");
            self.rewrite();
            return;
        }
        let (save_points, percentage, min_bytes) = {
            let config = self.parts.config.lock();
            (
                config.save_points().to_vec(),
                config.int(Directive::AutoAofRewritePercentage) as u64,
                config.bytes(Directive::AutoAofRewriteMinSize),
            )
        };
        let now_s = now_ms() / 1000;
        let changes = self.parts.rdb.changes();
        let quiet_s = now_s.saturating_sub(self.parts.rdb.last_save_seconds());
        let may_save = !self.parts.rdb.has_failed()
            || now_ms().saturating_sub(self.state().last_save_try_ms) > RETRY_SAVE_MS;
        if let Some(point) =
            save_points.iter().find(|point| changes >= point.changes && quiet_s > point.seconds)
            && may_save
        {
            tracing::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
            self.note_save_try();
            self.save(false);
            return;
        }
        let (now_bytes, base_bytes) = (self.parts.aof.current_bytes(), self.parts.aof.base_bytes().max(1));
        if self.parts.aof.is_written() && percentage > 0 && now_bytes > min_bytes && self.may_rewrite() {
            let growth = (now_bytes * 100 / base_bytes).saturating_sub(100);
            if growth >= percentage {
                tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
                self.rewrite();
            }
        }
    }

    fn finish(&self, job: Job, took_seconds: i64, is_ok: bool) {
        let mut state = self.state.lock();
        self.is_given_up.store(false, Relaxed);
        if job != Job::TurnOff {
            self.note_cut();
        }
        match job {
            Job::Save => state.last_save_seconds = took_seconds,
            Job::Rewrite | Job::TurnOn => {
                state.last_rewrite_seconds = took_seconds;
                state.has_rewrite_failed = !is_ok;
                if is_ok {
                    state.rewrite_failures = 0;
                } else {
                    state.rewrite_failures += 1;
                    state.last_rewrite_failure_ms = now_ms();
                }
            }
            Job::TurnOff => return,
        }
        state.running = None;
        if std::mem::take(&mut state.is_rewrite_scheduled) {
            self.begin(&mut state, rewrite_job(&self.parts.aof));
        } else if std::mem::take(&mut state.is_save_scheduled) {
            self.begin(&mut state, Job::Save);
        }
    }
}

/// What a rewrite is: the first one turns the append-only file on.
fn rewrite_job(aof: &Aof) -> Job {
    if aof.is_on() && !aof.is_written() { Job::TurnOn } else { Job::Rewrite }
}

/// Why a snapshot was not taken.
#[derive(Debug)]
pub(crate) enum Failure {
    GivenUp,
    Storage(io::Error),
    Rdb(RdbError),
    Text(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::GivenUp => f.write_str("it was given up"),
            Self::Storage(error) => write!(f, "{error}"),
            Self::Rdb(error) => write!(f, "{error}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Storage(error)
    }
}

impl From<RdbError> for Failure {
    fn from(error: RdbError) -> Self {
        Self::Rdb(error)
    }
}

/// Starts a thread that does what it is asked for, one thing after the other.
fn start_thread<T: Send + 'static>(
    name: &str,
    wishes: mpsc::Receiver<T>,
    act: impl AsyncFn(T) + Send + 'static,
) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(move || {
        let _end = EndsInPanic("The thread of snapshots");
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
            tracing::error!("No runtime for snapshots: they are not taken");
            return;
        };
        for wish in wishes {
            runtime.block_on(act(wish));
        }
    })?;
    Ok(())
}

fn report_turned_off(result: Result<(), Failure>) {
    if let Err(error) = result {
        tracing::warn!("The append-only file was turned off with an error: {error}");
    }
}

async fn run(snapshots: &Snapshots, job: Job) {
    while job.is_rewrite() && snapshots.turning_off_beside.load(Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let started = Instant::now();
    let holds_syncs = snapshots.parts.config.lock().bool(Directive::NoAppendfsyncOnRewrite);
    snapshots.parts.aof.hold_syncs(holds_syncs && job != Job::TurnOff);
    let result = match job {
        Job::Save => save(snapshots).await,
        Job::Rewrite => rewrite(snapshots, false).await,
        Job::TurnOn => rewrite(snapshots, true).await,
        Job::TurnOff => turn_off(snapshots).await,
    };
    snapshots.parts.aof.hold_syncs(false);
    let is_ok = result.is_ok();
    match (job, result) {
        (Job::Save, Ok(())) => tracing::info!("Background saving terminated with success"),
        (Job::Save, Err(Failure::GivenUp)) => tracing::warn!("Background saving was given up"),
        (Job::Save, Err(error)) => {
            tracing::warn!("Background saving error: {error}");
            snapshots.parts.rdb.note_failure();
        }
        (Job::TurnOff, result) => report_turned_off(result),
        (_, Ok(())) => tracing::info!("Background AOF rewrite finished successfully"),
        (_, Err(error)) => tracing::warn!("Background AOF rewrite terminated with error: {error}"),
    }
    snapshots.finish(job, started.elapsed().as_secs() as i64, is_ok);
}

/// What holds at the moment in which a snapshot begins.
struct Cut {
    /// Database, keys, keys that expire.
    databases: Vec<(usize, usize, usize)>,
    /// Changes until then.
    changes: u64,
    has_expiring_fields: bool,
}

impl Cut {
    fn new(snapshots: &Snapshots, view: &View<'_>) -> Self {
        let store = view.store();
        let sizes = store.databases_in_use().map(|db| (db, store.keys(db), store.expiring_keys(db)));
        Self {
            databases: sizes.filter(|(_, keys, _)| *keys > 0).collect(),
            changes: snapshots.parts.stats.totals().dirty,
            has_expiring_fields: view.has_expiring_fields(),
        }
    }

    fn keys(&self) -> u64 {
        self.databases.iter().map(|(_, keys, _)| *keys as u64).sum()
    }
}

/// A file that a snapshot writes, synced now and then.
struct Sink {
    file: Arc<dyn StorageFile>,
    syncs: bool,
    unsynced: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.unsynced += count as u64;
        if self.syncs && self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.sync()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The two forms of a snapshot.
enum Output {
    Rdb(Box<FileWriter<BufWriter<Sink>>>),
    Commands(BufWriter<Sink>),
}

impl Output {
    fn begin(
        snapshots: &Snapshots,
        sink: Sink,
        format: BaseFormat,
        cut: &Cut,
        origin: Origin,
    ) -> Result<Self, Failure> {
        let sink = BufWriter::with_capacity(BUFFER_BYTES, sink);
        if format == BaseFormat::Commands {
            return Ok(Self::Commands(sink));
        }
        let version = if cut.has_expiring_fields { VERSION_WITH_FIELD_EXPIRY } else { VERSION_WRITTEN };
        if cut.has_expiring_fields {
            rdb::tell_version();
        }
        let mut writer = FileWriter::begin(sink, version, snapshots.parts.rdb.compression())?;
        rdb::write_remarks(&mut writer, origin)?;
        for (db, keys, expiring) in &cut.databases {
            writer.select(*db, *keys, *expiring)?;
        }
        Ok(Self::Rdb(Box::new(writer)))
    }

    /// Writes encoded keys of a database.
    fn write(&mut self, db: usize, keys: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Rdb(writer) => {
                writer.select_again(db)?;
                writer.encoded_keys(keys)?;
            }
            Self::Commands(sink) => {
                let mut select = Vec::new();
                write_select(&mut select, db);
                sink.write_all(&select)?;
                sink.write_all(keys)?;
            }
        }
        Ok(())
    }

    /// Ends the file and syncs it.
    fn finish(self, snapshots: &Snapshots) -> Result<(), Failure> {
        let mut sink = match self {
            Self::Rdb(writer) => writer.finish(snapshots.parts.rdb.checksum())?,
            Self::Commands(sink) => sink,
        };
        sink.flush()?;
        sink.get_ref().file.sync()?;
        Ok(())
    }
}

/// How keys are encoded in that form.
fn encoder(snapshots: &Snapshots, format: BaseFormat) -> Arc<Encode> {
    if format == BaseFormat::Commands {
        return Arc::new(write_commands);
    }
    let (compression, usage) = (snapshots.parts.rdb.compression(), snapshots.parts.rdb.usage_of());
    Arc::new(move |entry, out| {
        encode_key(entry, usage(entry), compression, out)
            .expect("every type that the keyspace has is encoded, and memory takes all bytes");
    })
}

/// Takes a snapshot into `path`; `at_cut` is called with everything held, and its results are handed back.
async fn take<T>(
    snapshots: &Snapshots,
    path: &Path,
    format: BaseFormat,
    origin: Origin,
    at_cut: impl FnOnce(&mut View<'_>) -> T,
) -> Result<(Cut, T), Failure> {
    let syncs = {
        let config = snapshots.parts.config.lock();
        config.bool(match origin {
            Origin::Save => Directive::RdbSaveIncrementalFsync,
            Origin::AofBase => Directive::AofRewriteIncrementalFsync,
        })
    };
    let sink = Sink { file: snapshots.parts.storage.create(path)?, syncs, unsynced: 0 };
    let (random, mut effects) = (Random::new(now_ms()), Effects::default());
    let handover = Arc::new(Handover::default());
    let encode = encoder(snapshots, format);
    let (cut, result) = {
        let mut held = snapshots.parts.engine.borrow(Covered::All, Access::Write).await;
        let mut view = held.view(0, now_ms(), &random, &mut effects);
        let cut = Cut::new(snapshots, &view);
        view.begin_snapshot(&encode, &handover);
        (cut, at_cut(&mut view))
    };
    snapshots.note_cut();
    snapshots.keys_total.store(cut.keys(), Relaxed);
    snapshots.keys_done.store(0, Relaxed);
    let written = match Output::begin(snapshots, sink, format, &cut, origin) {
        Ok(mut output) => match visit_all(snapshots, &mut output, &encode, &handover).await {
            Ok(()) => output.finish(snapshots),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        leave_all(snapshots).await;
        // What is left of it is of no use; that it cannot be removed either is no further harm.
        let _ = snapshots.parts.storage.remove(path);
        return Err(error);
    }
    snapshots.parts.engine.store().end_snapshot();
    Ok((cut, result))
}

/// The shards from `first` on that are visited in one hold: one, or several that have few keys. In the actor engine a hold may
/// have to wait for another thread, and a thousand of them for nothing would make the snapshot of a few keys slow.
fn visited_together(snapshots: &Snapshots, first: usize) -> Vec<u32> {
    let store = snapshots.parts.engine.store();
    let keys_in =
        |shard: usize| -> usize { store.databases_in_use().map(|db| store.keys_in_shard(db, shard)).sum() };
    let mut keys = keys_in(first);
    let mut shards = vec![first as u32];
    if snapshots.parts.rdb.save_delay.is_on() {
        // What others change meanwhile shall meet shards that were visited, and shards that were not.
        return shards;
    }
    for shard in (first + 1..store.shards()).take(VISITED_SHARDS_MAX - 1) {
        keys += keys_in(shard);
        if keys > VISITED_KEYS_MAX {
            break;
        }
        shards.push(shard as u32);
    }
    shards
}

/// Encodes and writes one shard after the other, and what others have preserved meanwhile.
async fn visit_all(
    snapshots: &Snapshots,
    output: &mut Output,
    encode: &Arc<Encode>,
    handover: &Handover,
) -> Result<(), Failure> {
    let (random, mut effects) = (Random::new(now_ms()), Effects::default());
    let done = &snapshots.keys_done;
    let mut databases: Vec<Vec<u8>> = vec![Vec::new(); snapshots.parts.engine.store().databases()];
    let mut next = 0;
    while next < snapshots.parts.engine.store().shards() {
        if snapshots.is_given_up.load(Relaxed) {
            return Err(Failure::GivenUp);
        }
        let shards = visited_together(snapshots, next);
        next += shards.len();
        let mut visited = 0;
        {
            let mut held = snapshots.parts.engine.borrow(Covered::of(&shards), Access::Write).await;
            let mut view = held.view(0, now_ms(), &random, &mut effects);
            for shard in &shards {
                view.visit_shard(*shard as usize, |db, entry| {
                    encode(entry, &mut databases[db]);
                    visited += 1;
                });
            }
            done.fetch_add(visited, Relaxed);
        }
        for db in snapshots.parts.engine.store().databases_in_use() {
            let keys = &mut databases[db];
            if keys.is_empty() {
                continue;
            }
            output.write(db, keys)?;
            keys.clear();
            if keys.capacity() > 16 * BUFFER_BYTES {
                *keys = Vec::new();
            }
        }
        write_preserved(output, encode, handover)?;
        let is_given_up = || snapshots.is_given_up.load(Relaxed);
        snapshots.parts.rdb.save_delay.wait(visited, is_given_up);
    }
    Ok(())
}

fn write_preserved(output: &mut Output, encode: &Arc<Encode>, handover: &Handover) -> Result<(), Failure> {
    for part in handover.take() {
        match part {
            Preserved::Encoded { db, bytes, waits: _waits } => output.write(db, &bytes)?,
            Preserved::Emptied(emptied) => {
                let mut bytes = Vec::new();
                emptied.for_each(|entry| encode(entry, &mut bytes));
                if !bytes.is_empty() {
                    output.write(emptied.db, &bytes)?;
                }
            }
        }
    }
    Ok(())
}

/// Tells all shards that a snapshot is given up.
async fn leave_all(snapshots: &Snapshots) {
    let (random, mut effects) = (Random::new(now_ms()), Effects::default());
    let all: Vec<u32> = (0..snapshots.parts.engine.store().shards() as u32).collect();
    for shards in all.chunks(VISITED_SHARDS_MAX) {
        let mut held = snapshots.parts.engine.borrow(Covered::of(shards), Access::Write).await;
        let mut view = held.view(0, now_ms(), &random, &mut effects);
        shards.iter().for_each(|shard| view.leave_shard(*shard as usize));
    }
    snapshots.parts.engine.store().end_snapshot();
}

async fn save(snapshots: &Snapshots) -> Result<(), Failure> {
    let paths = snapshots.parts.rdb.paths()?;
    let (cut, number) = take(snapshots, &paths.temporary, BaseFormat::Rdb, Origin::Save, |_| {
        snapshots.parts.rdb.next_number()
    })
    .await?;
    let placed = snapshots.parts.rdb.put_in_place(&paths, number, cut.changes).inspect_err(|_| {
        // What is left of it is of no use.
        let _ = snapshots.parts.storage.remove(&paths.temporary);
    })?;
    match placed {
        Placed::Newest => Ok(()),
        Placed::Superseded => Err(Failure::GivenUp),
    }
}

/// The form of a base, as the configuration has it.
fn base_format(snapshots: &Snapshots) -> BaseFormat {
    if snapshots.parts.config.lock().bool(Directive::AofUseRdbPreamble) {
        BaseFormat::Rdb
    } else {
        BaseFormat::Commands
    }
}

/// Writes a new base and goes on in a new increment.
async fn rewrite(snapshots: &Snapshots, turns_on: bool) -> Result<(), Failure> {
    let mut files = match snapshots.parts.aof.files() {
        Some(files) => files,
        None => snapshots.parts.aof.open_files().map_err(Failure::Text)?,
    };
    let storage = &*snapshots.parts.storage;
    let format = base_format(snapshots);
    let temporary = files.directory.join(leftovers::temporary_base_name());
    let was_on = snapshots.parts.aof.is_written();
    let mut increment = None;
    let mut target = None;
    if turns_on || was_on {
        let (file, opened) = files.create_increment(storage)?;
        if was_on {
            // Known before anything is written to it: a crash during the rewrite needs it.
            files.manifest.push_increment(file.clone());
            files.persist(storage)?;
            snapshots.parts.aof.set_files(Some(files.clone()));
        }
        (increment, target) = (Some(file), Some(opened));
    }
    let taken = take(snapshots, &temporary, format, Origin::AofBase, |view| {
        target.take().map(|target| snapshots.parts.aof.switch(view, Some(target)))
    })
    .await;
    snapshots.parts.aof.measure(false);
    let result = match taken {
        Ok((_, switched)) => {
            finish_rewrite(snapshots, &mut files, &temporary, format, increment.clone(), was_on)
                .inspect(|()| snapshots.parts.aof.mend(switched.flatten()))
        }
        Err(error) => Err(error),
    };
    if result.is_err() && !was_on && turns_on {
        // There is no base for what was written.
        switch_off(snapshots).await;
        if let Some(increment) = increment {
            // It is in no manifest.
            let _ = storage.remove(&files.path(&increment));
        }
    }
    if !snapshots.parts.aof.is_on() && !turns_on {
        // The directory's lock goes with the files.
        snapshots.parts.aof.set_files(None);
    }
    result
}

/// Puts the base in its place and says so in the manifest.
fn finish_rewrite(
    snapshots: &Snapshots,
    files: &mut Files,
    temporary: &Path,
    format: BaseFormat,
    increment: Option<rustredis_persistence::aof::manifest::File>,
    was_on: bool,
) -> Result<(), Failure> {
    let storage = &*snapshots.parts.storage;
    let _exchange = snapshots.exchange.lock();
    let base = files.place_base(storage, temporary, format).inspect_err(|_| {
        // What is left of it is of no use.
        let _ = storage.remove(temporary);
    })?;
    let first_kept = increment.as_ref().map_or(u64::MAX, |increment| increment.sequence);
    let mut next = files.clone();
    if let Some(increment) = increment.filter(|_| !was_on) {
        next.manifest.push_increment(increment);
    }
    next.manifest.replace_base(base, first_kept);
    next.persist(storage)?;
    *files = next;
    snapshots.parts.aof.remove_history(files);
    snapshots.parts.aof.set_files(Some(files.clone()));
    snapshots.parts.aof.measure(true);
    Ok(())
}

async fn switch_off(snapshots: &Snapshots) {
    let (random, mut effects) = (Random::new(now_ms()), Effects::default());
    let mut held = snapshots.parts.engine.borrow(Covered::All, Access::Write).await;
    let view = held.view(0, now_ms(), &random, &mut effects);
    snapshots.parts.aof.switch(&view, None);
}

async fn turn_off(snapshots: &Snapshots) -> Result<(), Failure> {
    switch_off(snapshots).await;
    let synced = snapshots.parts.aof.sync_left_file();
    // The directory's lock goes with the files.
    snapshots.parts.aof.set_files(None);
    snapshots.parts.aof.progressed();
    snapshots.turning_off.fetch_sub(1, Relaxed);
    snapshots.progress.notify_waiters();
    Ok(synced?)
}
