//! The append-only file of the server: the directory, the manifest, and when what is written where.
//!
//! The persistence crate has the threads that write and the formats; here is what ties them to a running server: opening
//! the files at the start, turning the file on and off, what `INFO` tells.
//! Files are changed by one thread at a time: the one that starts the server, then the one of the snapshots.

pub mod samples;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use rustredis_config::{Config, Directive};
use rustredis_keyspace::View;
use rustredis_metrics::LatencyMonitor;
use rustredis_persistence::aof::manifest::{self, BaseFormat, File, Manifest};
use rustredis_persistence::aof::{Hooks, Policy, Status, Step, Target, Writer};
use rustredis_persistence::journal::{Durable, Journal};
use rustredis_persistence::storage::{self, DirectoryLock, Faulty, Storage};

use crate::clock::now_ms;
use crate::files::disk::Disk;
use crate::files::leftovers;

/// See the module's text.
pub struct Aof {
    parts: Parts,
    writer: OnceLock<Writer>,
    files: Mutex<Option<Files>>,
    /// Whether changes are written, or will be as soon as a base is there.
    is_on: AtomicBool,
    /// Bytes of all files but the one that is written to.
    older_bytes: AtomicU64,
    /// Bytes of all files when they were loaded or rewritten last.
    base_bytes: AtomicU64,
}

/// What the append-only file is made of.
pub struct Parts {
    /// What is written.
    pub journal: Arc<Journal>,
    /// Is told how far that has come.
    pub durable: Arc<Durable>,
    /// Has those look again who wait for it.
    pub progressed: Box<dyn Fn() + Send + Sync>,
    /// The directives.
    pub config: Arc<Mutex<Config>>,
    /// Where files are written.
    pub storage: Arc<Faulty>,
    /// Is told of errors.
    pub disk: Arc<Disk>,
}

/// The files of an append-only file.
#[derive(Clone)]
pub struct Files {
    /// Where they are.
    pub directory: PathBuf,
    /// What their names begin with.
    pub filename: String,
    /// Which there are.
    pub manifest: Manifest,
    /// Keeps other servers out.
    _lock: Arc<DirectoryLock>,
}

impl Aof {
    /// A file that is off.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            writer: OnceLock::new(),
            files: Mutex::default(),
            is_on: AtomicBool::new(false),
            older_bytes: AtomicU64::new(0),
            base_bytes: AtomicU64::new(0),
        }
    }

    /// Starts the threads that write; the file is off. The latency monitor hears what takes long, `is_saving` says what goes on
    /// meanwhile, and `end` is called before the process ends because a sync that replies wait for has failed.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        self: &Arc<Self>,
        latency: Arc<LatencyMonitor>,
        is_saving: impl Fn() -> bool + Send + Sync + 'static,
        end: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<()> {
        let here = self.clone();
        let hooks = Hooks {
            took: Box::new(move |step, duration| observe(&latency, &is_saving, step, duration)),
            progressed: Box::new(move || {
                here.note_error();
                (here.parts.progressed)();
            }),
            fatal: Box::new(move |error| {
                tracing::error!(
                    "Can't persist AOF for fsync error when the AOF fsync policy is 'always': {error}. Exiting..."
                );
                end();
                std::process::exit(1);
            }),
        };
        let writer = Writer::start(self.parts.journal.clone(), self.parts.durable.clone(), hooks)?;
        // A server starts once.
        let _ = self.writer.set(writer);
        self.apply(&self.parts.config.lock());
        Ok(())
    }

    /// Brings what is copied from directives up to date.
    pub fn apply(&self, config: &Config) {
        let Some(writer) = self.writer.get() else { return };
        let policy = Policy::by_name(config.choice(Directive::Appendfsync)).unwrap_or(Policy::Everysec);
        writer.set_policy(policy);
        writer.set_timestamps(config.bool(Directive::AofTimestampEnabled));
        self.parts.journal.set_limit(config.bytes(Directive::AofBufferLimit) as usize);
        self.parts.durable.set_awaited(policy == Policy::Always && writer.is_on());
        self.progressed();
    }

    /// Has those look again who wait for something to be durable.
    pub fn progressed(&self) {
        (self.parts.progressed)();
    }

    /// What is known of the writing.
    pub fn status(&self) -> Option<&Status> {
        self.writer.get().map(Writer::status)
    }

    /// Whether changes are written, or will be as soon as a base is there.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Whether changes are written.
    pub fn is_written(&self) -> bool {
        self.writer.get().is_some_and(Writer::is_on)
    }

    /// Says that the file is wanted, or is not any more.
    pub fn set_on(&self, on: bool) {
        self.is_on.store(on, Relaxed);
    }

    /// The files, unless it is off and was never on.
    pub fn files(&self) -> Option<Files> {
        self.files.lock().clone()
    }

    /// Takes note of the files as they are now.
    pub fn set_files(&self, files: Option<Files>) {
        *self.files.lock() = files;
    }

    /// Bytes of all files.
    pub fn current_bytes(&self) -> u64 {
        self.older_bytes.load(Relaxed) + self.status().map_or(0, |status| status.file_bytes.load(Relaxed))
    }

    /// Bytes that wait to be written. Takes each lane's lock.
    pub fn waiting_bytes(&self) -> usize {
        let staged = self.status().map_or(0, |status| status.staged_bytes.load(Relaxed));
        self.parts.journal.pending_bytes() + staged
    }

    /// Bytes of all files when they were loaded or rewritten last.
    pub fn base_bytes(&self) -> u64 {
        self.base_bytes.load(Relaxed)
    }

    /// Sums up the sizes of the files, of which the last is written to; `is_base` if growth counts from here.
    pub fn measure(&self, is_base: bool) {
        let Some(files) = self.files() else { return };
        let last = files.manifest.increments.last();
        let older = files.manifest.loaded().filter(|file| Some(*file) != last);
        let bytes = older.map(|file| files.bytes_of(file)).sum();
        self.older_bytes.store(bytes, Relaxed);
        if is_base {
            self.base_bytes.store(self.current_bytes(), Relaxed);
        }
    }

    /// Has entries of the journal from now on go to another file, or nowhere; the number of the file, for [`Aof::mend`]. The view
    /// covers everything.
    pub fn switch(&self, view: &View<'_>, target: Option<Target>) -> Option<u64> {
        debug_assert!(view.covered() == rustredis_keyspace::Covered::All);
        let writer = self.writer.get()?;
        let is_on = target.is_some();
        let file = writer.switch(target);
        self.parts.durable.set_awaited(is_on && writer.policy() == Policy::Always);
        Some(file)
    }

    /// Says that a base holds all that was before the file of this number, whatever became of the files before.
    pub fn mend(&self, file: Option<u64>) {
        if let (Some(writer), Some(file)) = (self.writer.get(), file) {
            writer.mend(file);
            self.refresh_gate();
        }
    }

    /// Whether a sync has failed and no base holds yet what it was to make durable.
    pub fn is_lost(&self) -> bool {
        self.is_on() && self.status().is_some_and(Status::is_lost)
    }

    /// Returns when all that was journalled is on the disk. Blocks the thread.
    ///
    /// # Errors
    /// What the disk says.
    pub fn flush(&self) -> io::Result<()> {
        match self.writer.get() {
            Some(writer) if self.is_on() => writer.flush(),
            _ => Ok(()),
        }
    }

    /// Returns when the file that was written to until now is on the disk. Blocks the thread.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync_left_file(&self) -> io::Result<()> {
        self.writer.get().map_or(Ok(()), Writer::flush)
    }

    /// Holds the syncs of `everysec` back, or lets them happen again.
    pub fn hold_syncs(&self, on: bool) {
        if let Some(writer) = self.writer.get() {
            writer.hold_syncs(on);
        }
    }

    /// Ends the threads.
    pub fn stop(&self) {
        if let Some(writer) = self.writer.get() {
            writer.stop();
        }
    }

    /// What is wrong with writing or syncing, if something is.
    pub fn error(&self) -> Option<io::Error> {
        let status = self.status().filter(|_| self.is_on())?;
        status.write_error().or_else(|| status.sync_error())
    }

    fn note_error(&self) {
        let error = self.error();
        if error.is_some() == self.parts.durable.set_failing(error.is_some()) {
            return;
        }
        match error {
            Some(error) => tracing::warn!("Error writing to the AOF file: {error}"),
            None => tracing::warn!("AOF write error looks solved, the server can write again."),
        }
        self.refresh_gate();
    }

    fn refresh_gate(&self) {
        self.apply_gate(&self.parts.config.lock());
    }

    /// Has writes refused while there is an error, and allowed when there is none any more.
    pub fn apply_gate(&self, config: &Config) {
        self.parts.disk.note_aof(config, self.error().is_some());
    }

    /// Opens the directory that the configuration names, made if need be, and reads the manifest. An append-only file
    /// of a server before 7.0 becomes the base.
    ///
    /// # Errors
    /// The text for the log.
    pub fn open_files(&self) -> Result<Files, String> {
        let storage = &*self.parts.storage;
        let (filename, directory) = {
            let config = self.parts.config.lock();
            let text = |directive| String::from_utf8_lossy(config.text(directive)).into_owned();
            (text(Directive::Appendfilename), text(Directive::Appenddirname))
        };
        let working =
            std::env::current_dir().map_err(|error| format!("Can't tell the directory: {error}"))?;
        let directory = working.join(&directory);
        let old_file = working.join(&filename);
        storage.create_directory(&directory).map_err(|error| {
            format!("Can't open or create append-only dir {}: {error}", directory.display())
        })?;
        let lock = DirectoryLock::try_new(&directory)
            .map_err(|error| format!("Can't lock the append-only dir {}: {error}", directory.display()))?
            .ok_or_else(|| {
                format!("The append-only dir {} is in use by another server", directory.display())
            })?;
        let mut files = Files { directory, filename, manifest: Manifest::default(), _lock: Arc::new(lock) };
        let path = files.manifest_path();
        match std::fs::read(&path) {
            Ok(bytes) => {
                files.manifest = Manifest::parse(&bytes)
                    .map_err(|error| format!("Error reading the manifest {}: {error}", path.display()))?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => files.adopt(storage, &old_file)?,
            Err(error) => return Err(format!("Can't open the manifest {}: {error}", path.display())),
        }
        leftovers::remove_rewrites(storage, &files.directory, &files.filename, &files.manifest);
        Ok(files)
    }

    /// Begins to write to the last increment, after what is there was loaded. The view covers everything.
    ///
    /// # Errors
    /// The text for the log.
    pub fn continue_files(&self, view: &View<'_>, mut files: Files) -> Result<(), String> {
        let storage = &*self.parts.storage;
        let said = |what: &str, error: io::Error| format!("Can't {what} the append-only file: {error}");
        let target = match files.manifest.increments.last() {
            Some(last) => {
                let file = storage.append(&files.path(last)).map_err(|error| said("open", error))?;
                let bytes = file.length().map_err(|error| said("measure", error))?;
                (file, bytes)
            }
            None => {
                let (increment, target) =
                    files.create_increment(storage).map_err(|error| said("create", error))?;
                files.manifest.push_increment(increment);
                files.persist(storage).map_err(|error| said("write the manifest of", error))?;
                target
            }
        };
        self.remove_history(&mut files);
        let bytes = target.1;
        self.set_on(true);
        self.switch(view, Some(target));
        self.set_files(Some(files));
        self.measure(true);
        self.base_bytes.fetch_add(bytes, Relaxed);
        Ok(())
    }

    /// Removes the files that are history, unless the configuration keeps them.
    pub fn remove_history(&self, files: &mut Files) {
        if !self.parts.config.lock().bool(Directive::AofDisableAutoGc) {
            files.remove_history(&*self.parts.storage);
        }
    }
}

impl Files {
    /// Makes a file of a server before 7.0 the base, if there is one.
    fn adopt(&mut self, storage: &dyn Storage, old_file: &Path) -> Result<(), String> {
        if !old_file.is_file() {
            return Ok(());
        }
        let moved = self.directory.join(&self.filename);
        self.manifest = Manifest::of_old_file(&self.filename);
        // The manifest first: a crash in between leaves a manifest that names a missing file, and the file where it was.
        self.persist(storage)
            .and_then(|()| storage.rename(old_file, &moved))
            .and_then(|()| storage.sync_directory(&self.directory))
            .map_err(|error| format!("Can't move {} to {}: {error}", old_file.display(), moved.display()))?;
        tracing::info!("Migrated the old-style AOF {} into {}", old_file.display(), self.directory.display());
        Ok(())
    }

    fn manifest_path(&self) -> PathBuf {
        self.directory.join(manifest::manifest_name(&self.filename))
    }

    /// The path of a file.
    pub fn path(&self, file: &File) -> PathBuf {
        self.directory.join(&file.name)
    }

    /// The size of a file; 0 if it is not there.
    pub fn bytes_of(&self, file: &File) -> u64 {
        std::fs::metadata(self.path(file)).map_or(0, |metadata| metadata.len())
    }

    /// Writes the manifest.
    pub fn persist(&self, storage: &dyn Storage) -> io::Result<()> {
        let path = self.manifest_path();
        let name = manifest::temporary_name(&manifest::manifest_name(&self.filename));
        storage::replace(storage, &self.directory.join(name), &path, &self.manifest.format())
    }

    /// Makes the next increment; it is not in the manifest yet.
    pub fn create_increment(&self, storage: &dyn Storage) -> io::Result<(File, Target)> {
        let mut increment = self.manifest.next_increment(&self.filename);
        // What a failed attempt has left is named by nobody, or by a manifest that may still be on the disk.
        while self.path(&increment).exists() {
            increment.sequence += 1;
            increment.name = manifest::increment_name(&self.filename, increment.sequence);
        }
        let file = storage.create(&self.path(&increment))?;
        storage.sync_directory(&self.directory)?;
        Ok((increment, (file, 0)))
    }

    /// Puts a base that lies complete at `temporary` in its place; it is not in the manifest yet.
    pub fn place_base(
        &self,
        storage: &dyn Storage,
        temporary: &Path,
        format: BaseFormat,
    ) -> io::Result<File> {
        let mut base = self.manifest.next_base(&self.filename, format);
        while self.path(&base).exists() {
            base.sequence += 1;
            base.name = manifest::base_name(&self.filename, base.sequence, format);
        }
        storage.rename(temporary, &self.path(&base))?;
        storage.sync_directory(&self.directory)?;
        Ok(base)
    }

    /// Removes the files that are history, as far as they can be removed, and says so in the manifest.
    fn remove_history(&mut self, storage: &dyn Storage) {
        if self.manifest.history.is_empty() {
            return;
        }
        for file in std::mem::take(&mut self.manifest.history) {
            match storage.remove(&self.path(&file)) {
                Ok(()) => tracing::info!("Removed the history file {}", file.name),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!("Can't remove the history file {}: {error}", file.name);
                    self.manifest.history.push(file);
                }
            }
        }
        if let Err(error) = self.persist(storage) {
            tracing::warn!("Can't write the manifest without history files: {error}");
        }
    }
}

/// Tells the latency monitor what the writing thread did, under the names that Redis has for it.
fn observe(latency: &LatencyMonitor, is_saving: &impl Fn() -> bool, step: Step, duration: Duration) {
    let threshold_ms = latency.threshold_ms();
    if threshold_ms == 0 || duration.as_millis() < u128::from(threshold_ms) {
        return;
    }
    let second = (now_ms() / 1000) as i64;
    let see = |event| latency.observe(event, duration.as_nanos() as u64, second);
    match step {
        Step::Sync => see("aof-fsync-always"),
        Step::Write { is_syncing } => {
            see("aof-write");
            see(if is_syncing {
                "aof-write-pending-fsync"
            } else if is_saving() {
                "aof-write-active-child"
            } else {
                "aof-write-alone"
            });
        }
    }
}
