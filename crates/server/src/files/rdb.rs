//! The RDB file of the server: all that it holds, saved and loaded.
//!
//! SAVE and DEBUG RELOAD happen under a view of everything: they stop the server for as long as they take, as they do in
//! Redis (BGSAVE does not: see `snapshot`; how files are read: see `load`). The file is written beside its place and moved there when
//! it is safely on the disk, so that there is always a whole one. A damaged file is an error that names the place, and
//! the server does not start over it: to go on with half of the data would overwrite the rest at the next save.

pub mod samples;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use rustredis_config::{Config, Directive, REDIS_VERSION};
use rustredis_keyspace::access_clock::{
    ACCESS_POLICY, clock_of_frequency, clock_of_idle, frequency, idle_seconds, new_clock,
};
use rustredis_keyspace::{Entry, Key, Value, View};
use rustredis_persistence::rdb::{
    Checksum, Compression, FileWriter, RdbError, Usage, VERSION_WITH_FIELD_EXPIRY, VERSION_WRITTEN,
};
use rustredis_persistence::storage::{Faulty, Storage, StorageFile};

use crate::clock::now_ms;
use crate::files::delay::Delay;
use crate::files::disk::Disk;
use crate::files::leftovers;
use crate::scripts::Scripts;
use crate::upkeep::allocator;
use crate::upkeep::stats::Stats;

/// Files pass through buffers of this size.
const BUFFER_BYTES: usize = 256 << 10;
/// Idle times beyond the clock's 24 bits of seconds are as good as its longest.
const IDLE_SECONDS_MAX: u64 = (1 << 24) - 1;

/// What is known of saves and loads.
pub struct Rdb {
    parts: Parts,
    /// Unix seconds of the last save that succeeded, at first of the start.
    last_save_seconds: AtomicU64,
    /// How many saves there were; each takes its number at the moment of which it is.
    numbers: AtomicU64,
    /// The number of the save that is in the file: none of an earlier moment takes its place.
    placed: Mutex<u64>,
    /// What [`crate::upkeep::stats::Totals::dirty`] was then.
    dirty_at_save: AtomicU64,
    /// Saves that succeeded.
    saves: AtomicU64,
    /// Keys that the last load brought.
    pub keys_loaded: AtomicU64,
    /// Keys that had expired when the last load met them.
    pub keys_expired: AtomicU64,
    /// Whether checksums may be anything (`DEBUG SET-SKIP-CHECKSUM-VALIDATION`).
    pub skips_checksums: AtomicBool,
    /// What each key takes longer, `rdb-key-save-delay`.
    pub save_delay: Delay,
}

/// What saves and loads need.
pub struct Parts {
    /// The directives.
    pub config: Arc<Mutex<Config>>,
    /// Where files are written.
    pub storage: Arc<Faulty>,
    /// Counts the changes.
    pub stats: Arc<Stats>,
    /// Is told whether a save has failed.
    pub disk: Arc<Disk>,
    /// Knows the libraries of functions.
    pub scripts: Arc<Scripts>,
}

impl Rdb {
    /// At a start at `now_ms`.
    pub fn new(parts: Parts, now_ms: u64) -> Self {
        Self {
            parts,
            last_save_seconds: AtomicU64::new(now_ms / 1000),
            numbers: AtomicU64::new(0),
            placed: Mutex::new(0),
            dirty_at_save: AtomicU64::new(0),
            saves: AtomicU64::new(0),
            keys_loaded: AtomicU64::new(0),
            keys_expired: AtomicU64::new(0),
            skips_checksums: AtomicBool::new(false),
            save_delay: Delay::default(),
        }
    }

    /// The number of a save of this moment. The view covers everything, or the moments of two saves could not be told apart.
    pub fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed) + 1
    }

    /// Unix seconds of the last save that succeeded; before the first, of the start.
    pub fn last_save_seconds(&self) -> u64 {
        self.last_save_seconds.load(Relaxed)
    }

    /// Changes since the data set was last the same as its file.
    pub fn changes(&self) -> u64 {
        self.parts.stats.totals().dirty.wrapping_sub(self.dirty_at_save.load(Relaxed))
    }

    /// Says that the data set and its file are the same.
    pub fn mark_unchanged(&self) {
        self.dirty_at_save.store(self.parts.stats.totals().dirty, Relaxed);
    }

    /// Whether strings are compressed, as `rdbcompression` says.
    pub fn compression(&self) -> Compression {
        if self.parts.config.lock().bool(Directive::Rdbcompression) {
            Compression::Lzf
        } else {
            Compression::Off
        }
    }

    /// Whether sums are checked, as `rdbchecksum` and DEBUG say.
    pub fn checksum(&self) -> Checksum {
        let is_on = self.parts.config.lock().bool(Directive::Rdbchecksum);
        if is_on && !self.skips_checksums.load(Relaxed) { Checksum::On } else { Checksum::Off }
    }

    /// Where the file is.
    pub fn path(&self) -> PathBuf {
        String::from_utf8_lossy(self.parts.config.lock().text(Directive::Dbfilename)).into_owned().into()
    }

    /// Where a save that begins now writes, and where its file belongs.
    ///
    /// # Errors
    /// If the working directory is gone.
    pub fn paths(&self) -> std::io::Result<SavePaths> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Several saves may be written at once: of the snapshots' thread, under a view, after FLUSHALL.
        let name = leftovers::temporary_name(COUNT.fetch_add(1, Relaxed));
        // One lock for both, which CONFIG SET has while it changes them.
        let config = self.parts.config.lock();
        let directory = std::env::current_dir()?;
        let place = directory.join(&*String::from_utf8_lossy(config.text(Directive::Dbfilename)));
        Ok(SavePaths { temporary: directory.join(name), place, directory })
    }

    /// Saves everything to the file. The view covers everything. O(bytes), and waits for the disk.
    pub fn save(&self, view: &mut View<'_>) -> Result<(), RdbError> {
        let changes = self.parts.stats.totals().dirty;
        self.save_now(Some(view), self.next_number(), changes)
    }

    /// Saves what the view shows, or a data set without keys, under this number, with so many changes.
    fn save_now(&self, view: Option<&mut View<'_>>, number: u64, changes: u64) -> Result<(), RdbError> {
        let result = self.paths().map_err(io_error).and_then(|paths| {
            self.write_file(view, &paths.temporary)
                .and_then(|()| self.put_in_place(&paths, number, changes).map_err(io_error))
                .inspect_err(|_| {
                    // What is left of it is of no use; that it cannot be removed either is no further harm.
                    let _ = self.parts.storage.remove(&paths.temporary);
                })
        });
        match &result {
            Ok(Placed::Newest) => tracing::info!("DB saved on disk"),
            Ok(Placed::Superseded) => {}
            Err(error) => {
                tracing::warn!("Write error saving DB on disk: {error}");
                self.parts.disk.note_save(true);
            }
        }
        result.map(|_| ())
    }

    /// Notes that FLUSHALL has removed everything; what it leaves to do, if there are save points. The view covers everything.
    #[cold]
    pub fn note_flushed(&self) -> Option<Flushed> {
        let saves = !self.parts.config.lock().save_points().is_empty();
        // All that was done until now, this among it, is in a file without keys.
        let changes = self.parts.stats.totals().dirty;
        saves.then(|| Flushed { number: self.next_number(), changes })
    }

    /// Writes the file without keys that FLUSHALL leaves. Whoever flushed waits for it, and nobody else: what it says needs no view.
    /// That it failed is in the log and in INFO, as after any save.
    pub async fn save_flushed(self: &Arc<Self>, flushed: Flushed) {
        let here = self.clone();
        let save = move || here.save_now(None, flushed.number, flushed.changes);
        // A panic in there was told when it happened.
        let _ = tokio::task::spawn_blocking(save).await;
    }

    /// Notes that a save has failed.
    pub fn note_failure(&self) {
        self.parts.disk.note_save(true);
    }

    /// Whether the last save has failed.
    pub fn has_failed(&self) -> bool {
        self.parts.disk.has_save_failed()
    }

    /// Notes that a save has succeeded which has the first `changes` of the changes.
    fn note_save(&self, changes: u64) {
        self.saves.fetch_add(1, Relaxed);
        self.last_save_seconds.store(now_ms() / 1000, Relaxed);
        self.dirty_at_save.store(changes, Relaxed);
        self.parts.disk.note_save(false);
    }

    fn write_file(&self, view: Option<&mut View<'_>>, path: &Path) -> Result<(), RdbError> {
        let file = self.parts.storage.create(path).map_err(io_error)?;
        let sink = BufWriter::with_capacity(BUFFER_BYTES, FileSink(file));
        let has_expiring_fields = view.as_ref().is_some_and(|view| view.has_expiring_fields());
        let version = if has_expiring_fields { VERSION_WITH_FIELD_EXPIRY } else { VERSION_WRITTEN };
        if version == VERSION_WITH_FIELD_EXPIRY {
            tell_version();
        }
        let mut writer = FileWriter::begin(sink, version, self.compression())?;
        write_remarks(&mut writer, Origin::Save)?;
        for library in self.parts.scripts.libraries.now().iter() {
            writer.function(&library.code)?;
        }
        if let Some(view) = view {
            self.write_keys(view, &mut writer)?;
        }
        let sink = writer.finish(self.checksum())?;
        sink.get_ref().0.sync().map_err(io_error)
    }

    fn write_keys<W: Write>(&self, view: &mut View<'_>, writer: &mut FileWriter<W>) -> Result<(), RdbError> {
        let usage = self.usage_of();
        let selected = view.db();
        let mut result = Ok(());
        for db in view.store().databases_in_use() {
            view.select(db);
            if view.is_empty() || result.is_err() {
                continue;
            }
            result = writer.select(db, view.len(), view.store().expiring_keys(db));
            view.for_each(|entry| {
                if result.is_ok() {
                    result = writer.entry(entry, usage(entry));
                    self.save_delay.wait(1, || false);
                }
            });
        }
        view.select(selected);
        result
    }

    /// What a file remembers of a key's use, as the eviction policy needs it.
    pub fn usage_of(&self) -> impl Fn(&Entry) -> Option<Usage> + Send + Sync + use<> {
        let policy = self.parts.config.lock().choice(Directive::MaxmemoryPolicy);
        let now_ms = now_ms();
        move |entry| match policy {
            _ if policy.ends_with("lfu") => {
                Some(Usage::Frequency(u8::try_from(frequency(entry.clock(), now_ms)).unwrap_or(u8::MAX)))
            }
            _ if policy.ends_with("lru") || policy.ends_with("lrm") => {
                Some(Usage::Idle(u64::from(idle_seconds(entry.clock(), now_ms))))
            }
            _ => None,
        }
    }

    /// Moves the file of the save with this number and so many changes to its place, and makes that last too, unless a save of a later
    /// moment is there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn put_in_place(&self, paths: &SavePaths, number: u64, changes: u64) -> std::io::Result<Placed> {
        let mut placed = self.placed.lock();
        if number < *placed {
            self.parts.storage.remove(&paths.temporary)?;
            return Ok(Placed::Superseded);
        }
        self.parts.storage.rename(&paths.temporary, &paths.place)?;
        *placed = number;
        self.parts.storage.sync_directory(&paths.directory)?;
        self.note_save(changes);
        Ok(Placed::Newest)
    }
}

/// For what a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The RDB file.
    Save,
    /// The base of an append-only file.
    AofBase,
    /// What a replica begins with: a file that need not last.
    Replica,
}

/// Where a save writes and where its file belongs. The paths are absolute: `CONFIG SET dir` moves no save that has begun.
#[derive(Debug)]
pub struct SavePaths {
    directory: PathBuf,
    /// Where the file is written.
    pub temporary: PathBuf,
    place: PathBuf,
}

/// What FLUSHALL leaves to do: the file is to show what the data set was like at that moment.
#[derive(Clone, Copy, Debug)]
pub struct Flushed {
    number: u64,
    changes: u64,
}

fn io_error(error: std::io::Error) -> RdbError {
    RdbError::Io { offset: 0, error }
}

/// A file of the storage, as a sink.
struct FileSink(Arc<dyn StorageFile>);

impl Write for FileSink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Says in the log that servers before 7.4 cannot read what is being written.
pub fn tell_version() {
    tracing::warn!(
        "Fields of hashes expire: the file has RDB version {VERSION_WITH_FIELD_EXPIRY}, which servers before Redis 7.4 cannot load"
    );
}

/// Writes the remarks about the file.
pub fn write_remarks<W: Write>(writer: &mut FileWriter<W>, origin: Origin) -> Result<(), RdbError> {
    writer.aux("redis-ver", REDIS_VERSION)?;
    writer.aux("redis-bits", "64")?;
    writer.aux("ctime", &(now_ms() / 1000).to_string())?;
    writer.aux("used-mem", &allocator::used_bytes().to_string())?;
    writer.aux("aof-base", if origin == Origin::AofBase { "1" } else { "0" })
}

/// What became of a file that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is the file now.
    Newest,
    /// One of a later moment is there already, and it was removed.
    Superseded,
}

/// What becomes of a key that a file has and that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The file is not loaded further.
    Refused,
    /// The file's replaces it.
    Replaced,
}

/// Why a file was not loaded, or not to its end.
#[derive(Debug)]
pub enum LoadError {
    /// It is damaged, or cannot be read.
    Rdb(RdbError),
    /// A key is there already, or twice.
    Conflict {
        /// Which.
        key: Vec<u8>,
        /// In which database.
        db: usize,
    },
    /// A database that `databases` does not allow.
    Database(u64),
    /// A command that cannot be run.
    Command(String),
    /// A library of functions that is none.
    Function(Vec<u8>),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rdb(error) => write!(f, "{error}"),
            Self::Conflict { key, db } => {
                write!(f, "the key '{}' of DB {db} is there already", String::from_utf8_lossy(key))
            }
            Self::Command(text) => f.write_str(text),
            Self::Function(text) => write!(f, "a library of functions: {}", String::from_utf8_lossy(text)),
            Self::Database(db) => write!(f, "DB {db} is more than 'databases' allows"),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<RdbError> for LoadError {
    fn from(error: RdbError) -> Self {
        Self::Rdb(error)
    }
}

/// Stores a value that comes from a file or a payload, with all that belongs to it, whatever was there. The caller
/// reports the change.
pub fn insert(
    view: &mut View<'_>,
    key: Key<'_>,
    value: Value,
    expire_at_ms: Option<u64>,
    usage: Option<Usage>,
) {
    let next_field_expiry = match &value {
        Value::Hash(hash) => hash.next_expiry(),
        _ => None,
    };
    view.insert(key, value, expire_at_ms);
    if let Some(at_ms) = next_field_expiry {
        view.track_field_expiry(key, at_ms);
    }
    if let Some(entry) = view.peek(key) {
        entry.set_clock(clock_of(usage, view.clock_ms()));
    }
}

/// The access clock of a key that was used so, as far as the policy understands it; else that of a new one.
pub fn clock_of(usage: Option<Usage>, now_ms: u64) -> u32 {
    match (usage, ACCESS_POLICY.is_lfu.load(Relaxed)) {
        (Some(Usage::Idle(seconds)), false) => clock_of_idle(seconds.min(IDLE_SECONDS_MAX) as u32, now_ms),
        (Some(Usage::Frequency(counter)), true) => clock_of_frequency(counter, now_ms),
        _ => new_clock(now_ms),
    }
}
