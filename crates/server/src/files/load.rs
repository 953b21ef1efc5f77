//! Loading: RDB files and append-only files, on all cores.
//!
//! One thread reads and decodes; the others store, each in shards of its own, so that nobody waits for a lock ([`stores`]).
//! At the start the connections are served already and get `-LOADING`, and INFO shows how far it has come; the engine is closed, so
//! that nobody else can enter a shard, whoever asks. What is replayed happens at the time 0: nothing expires but by the deletions that the file itself has, or a key
//! that was written before its time and changed after it would lose what it had.

pub mod samples;
mod stores;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;
use rustredis_commands::{Args, CommandError, Registry, Row};
use rustredis_config::{Config, Directive};
use rustredis_engine::Engine;
use rustredis_keyspace::View;
use rustredis_persistence::aof::reader::{AofError, Record, Start};
use rustredis_persistence::rdb::{FileReader, LoadedKey, Part};
use rustredis_scripting::function::Libraries;

use crate::clock::now_ms;
use crate::files::aof::Files;
use crate::files::delay::Delay;
use crate::files::rdb::{Conflict, LoadError, Rdb};
use crate::scripts::Scripts;
use stores::Stores;

/// Files pass through buffers of this size.
const BUFFER_BYTES: usize = 1 << 20;
/// Of so many empty keys in a file the log tells the names.
const EMPTY_KEYS_NAMED: u64 = 10;
/// After so many records the progress is noted.
const PROGRESS_RECORDS: u64 = 1024;

/// How far a load has come.
pub struct Loading {
    parts: Parts,
    /// When it began (Unix ms).
    started_ms: AtomicU64,
    /// Bytes of all files that are loaded.
    total_bytes: AtomicU64,
    /// Bytes that were read.
    pub loaded_bytes: AtomicU64,
    /// Memory that the server which wrote the RDB file used, as it says.
    used_memory: AtomicU64,
    /// What each key takes longer, `key-load-delay`.
    pub delay: Delay,
}

/// What loading needs.
pub struct Parts {
    /// The keys.
    pub engine: Arc<Engine>,
    /// The directives.
    pub config: Arc<Mutex<Config>>,
    /// Knows how RDB files are read.
    pub rdb: Arc<Rdb>,
    /// Where libraries of functions go.
    pub scripts: Arc<Scripts>,
}

/// Runs commands of an append-only file, in the database of the number, on one thread.
pub type Replay<'s> = Box<dyn FnMut(&mut View<'_>, &Row, usize, Args<'_>) -> Result<(), CommandError> + 's>;

/// How commands of an append-only file are run.
pub struct Replays<'s> {
    /// The commands.
    pub registry: &'s Registry,
    /// Gives a thread what runs them.
    pub begin: Box<dyn Fn() -> Replay<'s> + Sync + 's>,
}

impl Loading {
    /// Nothing was loaded yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            started_ms: AtomicU64::new(0),
            total_bytes: AtomicU64::new(0),
            loaded_bytes: AtomicU64::new(0),
            used_memory: AtomicU64::new(0),
            delay: Delay::default(),
        }
    }

    fn begin(&self, total_bytes: u64) {
        self.started_ms.store(now_ms(), Relaxed);
        self.total_bytes.store(total_bytes, Relaxed);
        self.loaded_bytes.store(0, Relaxed);
    }

    /// Adds what the RDB file holds; false if there is none. The view covers everything. O(bytes).
    pub fn load_rdb(
        &self,
        replays: &Replays<'_>,
        view: &mut View<'_>,
        conflict: Conflict,
    ) -> Result<bool, LoadError> {
        let started = Instant::now();
        let file = match File::open(self.parts.rdb.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            file => file.map_err(io_error)?,
        };
        self.begin(file.metadata().map_or(0, |metadata| metadata.len()));
        let source = BufReader::with_capacity(BUFFER_BYTES, file);
        // No limit but the file's own length: memory is taken as bytes arrive.
        let mut reader = FileReader::begin(source, i64::MAX as u64, self.parts.rdb.checksum())?;
        Stores::with(self, replays, view, |stores| {
            self.load_parts(stores, &mut reader, Preamble::No, conflict, 0)
        })?;
        self.parts.rdb.mark_unchanged();
        tracing::info!(
            "Done loading RDB, keys loaded: {}, keys expired: {}.",
            self.parts.rdb.keys_loaded.load(Relaxed),
            self.parts.rdb.keys_expired.load(Relaxed)
        );
        tracing::info!("DB loaded from disk: {:.3} seconds", started.elapsed().as_secs_f64());
        Ok(true)
    }

    /// Saves, forgets and loads everything. The view covers everything.
    pub fn reload(&self, replays: &Replays<'_>, view: &mut View<'_>, how: Reload) -> Result<(), LoadError> {
        if how.saves {
            self.parts.rdb.save(view)?;
        }
        if how.flushes {
            let selected = view.db();
            for db in view.store().databases_in_use() {
                view.select(db);
                view.clear();
            }
            view.select(selected);
            self.parts.scripts.libraries.set(Libraries::default());
        }
        self.load_rdb(replays, view, how.conflict)?;
        tracing::warn!("DB reloaded by DEBUG RELOAD");
        Ok(())
    }

    /// Stores the keys of an RDB file; `read_before` bytes were read of other files.
    fn load_parts(
        &self,
        stores: &mut Stores<'_, '_>,
        reader: &mut FileReader<impl BufRead>,
        preamble: Preamble,
        conflict: Conflict,
        read_before: u64,
    ) -> Result<(), LoadError> {
        let databases = self.parts.engine.store().databases();
        let (mut loaded, mut expired, mut empty, mut records) = (0u64, 0u64, 0u64, 0u64);
        let now_ms = now_ms();
        stores.select(0);
        // Whatever a file promises: so many slots take less memory than the file has bytes.
        let mut room = self.total_bytes.load(Relaxed) / 16;
        while let Some(part) = reader.next() {
            records += 1;
            if records.is_multiple_of(PROGRESS_RECORDS) {
                self.loaded_bytes.store(read_before + reader.offset(), Relaxed);
            }
            match part? {
                Part::Select(number) => {
                    let db = usize::try_from(number).ok().filter(|db| *db < databases);
                    stores.select(db.ok_or(LoadError::Database(number))?);
                }
                Part::Aux { name, value } => self.tell_remark(&name, &value),
                Part::Resize { keys, .. } => {
                    let keys = keys.min(room);
                    room -= keys;
                    stores.reserve(keys as usize);
                }
                Part::Function(code) => {
                    let scripts = &self.parts.scripts;
                    let replaces = conflict == Conflict::Replaced;
                    let loaded = scripts.libraries.load(&code, &scripts.limits, replaces);
                    loaded.map_err(LoadError::Function)?;
                }
                Part::EmptyKey(key) => {
                    if empty < EMPTY_KEYS_NAMED {
                        tracing::warn!("skipping empty key: {}", String::from_utf8_lossy(&key));
                    }
                    empty += 1;
                }
                Part::Key(LoadedKey { entry, .. })
                    if preamble == Preamble::No && entry.is_expired(now_ms) =>
                {
                    expired += 1;
                }
                Part::Key(key) => {
                    stores.key(key, conflict)?;
                    loaded += 1;
                    stores.delay();
                }
            }
        }
        stores.finish()?;
        if empty > 0 {
            tracing::warn!("Keys without elements are no keys, empty keys skipped: {empty}.");
        }
        self.parts.rdb.keys_loaded.store(loaded, Relaxed);
        self.parts.rdb.keys_expired.store(expired, Relaxed);
        Ok(())
    }

    fn tell_remark(&self, name: &[u8], value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        match name {
            b"redis-ver" => tracing::info!("Loading RDB produced by version {value}"),
            b"ctime" => {
                let age = value.parse().map_or(0, |at: u64| (now_ms() / 1000).saturating_sub(at));
                tracing::info!("RDB age {age} seconds");
            }
            b"used-mem" => {
                let bytes: u64 = value.parse().unwrap_or(0);
                self.used_memory.store(bytes, Relaxed);
                tracing::info!("RDB memory usage when created {:.2} Mb", bytes as f64 / f64::from(1 << 20));
            }
            _ => {}
        }
    }

    /// Loads the files of an append-only file in order. The view covers everything. A torn end of the last file is cut away if the
    /// configuration allows it. The last is also an increment behind which all are empty: a rewrite that begins makes the next
    /// increment known before anything goes there. O(bytes).
    ///
    /// # Errors
    /// The text for the log. The files are as they were.
    pub fn load_aof(
        &self,
        replays: &Replays<'_>,
        view: &mut View<'_>,
        files: &mut Files,
    ) -> Result<(), String> {
        let started = Instant::now();
        for file in files.manifest.loaded() {
            if !files.path(file).is_file() {
                return Err(format!(
                    "The AOF file {} is in the manifest and not in the directory",
                    file.name
                ));
            }
            // Even of nothing an RDB file has a head; Redis would take it for a file without a command, and start with nothing.
            if file.name.ends_with(".rdb") && files.bytes_of(file) == 0 {
                return Err(format!(
                    "Bad file format reading the append only file {}: it is empty",
                    file.name
                ));
            }
        }
        self.begin(files.manifest.loaded().map(|file| files.bytes_of(file)).sum());
        let names: Vec<_> = files.manifest.loaded().cloned().collect();
        let mut read_before = 0;
        for (index, file) in names.iter().enumerate() {
            let file_started = Instant::now();
            let path = files.path(file);
            let is_base = Some(file) == files.manifest.base.as_ref();
            let is_last = index + 1 == names.len()
                || !is_base && names[index + 1..].iter().all(|file| files.bytes_of(file) == 0);
            Stores::with(self, replays, view, |stores| {
                self.load_aof_file(stores, &path, is_last, read_before)
            })?;
            read_before += files.bytes_of(file);
            self.loaded_bytes.store(read_before, Relaxed);
            let seconds = file_started.elapsed().as_secs_f64();
            let kind = if is_base { "base" } else { "incr" };
            tracing::info!("DB loaded from {kind} file {}: {seconds:.3} seconds", file.name);
        }
        self.parts.rdb.mark_unchanged();
        tracing::info!("DB loaded from append only file: {:.3} seconds", started.elapsed().as_secs_f64());
        Ok(())
    }

    fn load_aof_file(
        &self,
        stores: &mut Stores<'_, '_>,
        path: &Path,
        is_last: bool,
        read_before: u64,
    ) -> Result<(), String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let refused = |error: &dyn std::fmt::Display| {
            format!("Bad file format reading the append only file {name}: {error}")
        };
        let file =
            File::open(path).map_err(|error| format!("Can't open the append only file {name}: {error}"))?;
        let source = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut reader =
            match Start::of(source, self.parts.rdb.checksum()).map_err(|error| refused(&error))? {
                // An empty base is not one without keys: that has a beginning and an end.
                Start::Commands(_) if name.ends_with(".rdb") => return Err(refused(&"it is no RDB file")),
                Start::Commands(reader) => reader,
                Start::Rdb(mut preamble) => {
                    self.load_parts(stores, &mut preamble, Preamble::Yes, Conflict::Refused, read_before)
                        .map_err(|error| refused(&error))?;
                    rustredis_persistence::aof::reader::Reader::behind(preamble)
                }
            };
        stores.select(0);
        let mut records = 0u64;
        let end = loop {
            records += 1;
            if records.is_multiple_of(PROGRESS_RECORDS) {
                self.loaded_bytes.store(read_before + reader.offset(), Relaxed);
            }
            match reader.next() {
                Ok(Some(Record::Command(command))) => {
                    let offset = command.offset;
                    stores
                        .command(command)
                        .map_err(|error| refused(&format!("at byte {offset}: {error}")))?;
                    stores.delay();
                }
                Ok(Some(Record::Timestamp { .. })) => {}
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        stores.finish().map_err(|error| refused(&error))?;
        match end {
            None => Ok(()),
            Some(AofError::Torn { valid_bytes, file_bytes, within }) if is_last => {
                self.cut_torn(path, valid_bytes, file_bytes, within)
            }
            Some(error) => Err(format!(
                "{}. Make a backup of the files, then try check-aof --fix on the manifest",
                refused(&error)
            )),
        }
    }

    /// Cuts a torn end away, if the configuration allows it.
    fn cut_torn(
        &self,
        path: &Path,
        valid_bytes: u64,
        file_bytes: u64,
        within: rustredis_persistence::aof::reader::Within,
    ) -> Result<(), String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let error = AofError::Torn { valid_bytes, file_bytes, within };
        if !self.parts.config.lock().bool(Directive::AofLoadTruncated) {
            return Err(format!(
                "Unexpected end of file reading the append only file {name}: {error}. Set aof-load-truncated to yes to cut it, or use check-aof --fix"
            ));
        }
        let cut = OpenOptions::new().write(true).open(path).and_then(|file| {
            file.set_len(valid_bytes)?;
            file.sync_all()
        });
        cut.map_err(|error| format!("Can't cut the torn end of the append only file {name}: {error}"))?;
        let cut_bytes = file_bytes - valid_bytes;
        tracing::warn!(
            "Truncated the append only file {name}: {error}; it is cut by {cut_bytes} bytes to {valid_bytes}"
        );
        tracing::warn!("AOF {name} loaded anyway because aof-load-truncated is enabled");
        Ok(())
    }
}

/// How DEBUG RELOAD goes.
#[derive(Clone, Copy, Debug)]
pub struct Reload {
    /// Whether the file is written first.
    pub saves: bool,
    /// Whether everything is removed before the load.
    pub flushes: bool,
    /// What becomes of keys that are there.
    pub conflict: Conflict,
}

fn io_error(error: std::io::Error) -> LoadError {
    LoadError::Rdb(rustredis_persistence::rdb::RdbError::Io { offset: 0, error })
}

/// Whether an RDB file is the base of an append-only file, of which expired keys are kept: what follows may count on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preamble {
    Yes,
    No,
}
