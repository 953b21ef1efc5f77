//! The RDB file of the server: all that it holds, saved and loaded.
//!
//! Both happen under a view of everything: SAVE and DEBUG RELOAD stop the server for as long as they take, as they do in
//! Redis, and a load at the start precedes the first client. The file is written beside its place and moved there when
//! it is safely on the disk, so that there is always a whole one. A damaged file is an error that names the place, and
//! the server does not start over it: to go on with half of the data would overwrite the rest at the next save.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use rustredis_config::{Directive, REDIS_VERSION};
use rustredis_keyspace::access::{
    ACCESS_POLICY, clock_of_frequency, clock_of_idle, frequency, idle_seconds, new_clock,
};
use rustredis_keyspace::types::hash::Hash;
use rustredis_keyspace::{Access, Covered, Effects, Entry, Key, Random, Value, View};
use rustredis_persistence::rdb::{
    Checksum, Compression, FileReader, FileWriter, LoadedKey, Part, RdbError, Usage,
    VERSION_WITH_FIELD_EXPIRY, VERSION_WRITTEN,
};

use crate::memory;
use crate::server::{Server, now_ms};

/// Files pass through buffers of this size.
const BUFFER_BYTES: usize = 256 << 10;
/// Idle times beyond the clock's 24 bits of seconds are as good as its longest.
const IDLE_SECONDS_MAX: u64 = (1 << 24) - 1;
/// Of so many empty keys in a file the log tells the names.
const EMPTY_KEYS_NAMED: u64 = 10;

/// What is known of saves and loads.
#[derive(Debug)]
pub struct RdbState {
    /// Unix seconds of the last save that succeeded, at first of the start.
    last_save_seconds: AtomicU64,
    /// What [`crate::stats::Totals::dirty`] was then.
    dirty_at_save: AtomicU64,
    /// Saves that succeeded.
    pub saves: AtomicU64,
    /// Whether the last save failed.
    pub has_failed: AtomicBool,
    /// Keys that the last load brought.
    pub keys_loaded: AtomicU64,
    /// Keys that had expired when the last load met them.
    pub keys_expired: AtomicU64,
    /// Whether checksums may be anything (`DEBUG SET-SKIP-CHECKSUM-VALIDATION`).
    pub skips_checksums: AtomicBool,
}

impl RdbState {
    /// At a start at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self {
            last_save_seconds: AtomicU64::new(now_ms / 1000),
            dirty_at_save: AtomicU64::new(0),
            saves: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            keys_loaded: AtomicU64::new(0),
            keys_expired: AtomicU64::new(0),
            skips_checksums: AtomicBool::new(false),
        }
    }

    /// Unix seconds of the last save that succeeded; before the first, of the start.
    pub fn last_save_seconds(&self) -> u64 {
        self.last_save_seconds.load(Relaxed)
    }
}

/// Changes since the data set was last the same as its file.
pub fn changes(server: &Server) -> u64 {
    server.stats.totals().dirty.wrapping_sub(server.rdb.dirty_at_save.load(Relaxed))
}

/// Says that the data set and its file are the same.
fn mark_unchanged(server: &Server) {
    server.rdb.dirty_at_save.store(server.stats.totals().dirty, Relaxed);
}

/// Whether strings are compressed, as `rdbcompression` says.
pub fn compression(server: &Server) -> Compression {
    if server.config.lock().bool(Directive::Rdbcompression) { Compression::Lzf } else { Compression::Off }
}

/// Whether sums are checked, as `rdbchecksum` and DEBUG say.
pub fn checksum(server: &Server) -> Checksum {
    let is_on = server.config.lock().bool(Directive::Rdbchecksum);
    if is_on && !server.rdb.skips_checksums.load(Relaxed) { Checksum::On } else { Checksum::Off }
}

/// Where the file is.
pub fn path(server: &Server) -> PathBuf {
    String::from_utf8_lossy(server.config.lock().text(Directive::Dbfilename)).into_owned().into()
}

/// Saves everything to the file. The view covers everything. O(bytes), and waits for the disk.
pub fn save(server: &Server, view: &mut View<'_>) -> Result<(), RdbError> {
    let temporary = PathBuf::from(format!("temp-{}.rdb", std::process::id()));
    let result = write_file(server, view, &temporary).and_then(|()| put_in_place(&temporary, &path(server)));
    server.rdb.has_failed.store(result.is_err(), Relaxed);
    if let Err(error) = &result {
        tracing::warn!("Write error saving DB on disk: {error}");
        // What is left of it is of no use; that it cannot be removed either is no further harm.
        let _ = fs::remove_file(&temporary);
        return result;
    }
    tracing::info!("DB saved on disk");
    server.rdb.saves.fetch_add(1, Relaxed);
    server.rdb.last_save_seconds.store(now_ms() / 1000, Relaxed);
    mark_unchanged(server);
    result
}

fn io_error(error: std::io::Error) -> RdbError {
    RdbError::Io { offset: 0, error }
}

fn write_file(server: &Server, view: &mut View<'_>, path: &Path) -> Result<(), RdbError> {
    let file = File::create(path).map_err(io_error)?;
    let sink = BufWriter::with_capacity(BUFFER_BYTES, file);
    let mut writer = FileWriter::begin(sink, version_needed(view), compression(server))?;
    writer.aux("redis-ver", REDIS_VERSION)?;
    writer.aux("redis-bits", "64")?;
    writer.aux("ctime", &(now_ms() / 1000).to_string())?;
    writer.aux("used-mem", &memory::used_bytes().to_string())?;
    writer.aux("aof-base", "0")?;
    let policy = server.config.lock().choice(Directive::MaxmemoryPolicy);
    let usage = |entry: &Entry| match policy {
        _ if policy.ends_with("lfu") => {
            Some(Usage::Frequency(u8::try_from(frequency(entry.clock(), now_ms())).unwrap_or(u8::MAX)))
        }
        _ if policy.ends_with("lru") => Some(Usage::Idle(u64::from(idle_seconds(entry.clock(), now_ms())))),
        _ => None,
    };
    let selected = view.db();
    let mut result = Ok(());
    for db in 0..view.store().databases() {
        view.select(db);
        if view.is_empty() || result.is_err() {
            continue;
        }
        result = writer.select(db, view.len(), view.store().expiring_keys(db));
        view.for_each(|entry| {
            if result.is_ok() {
                result = writer.entry(entry, usage(entry));
            }
        });
    }
    view.select(selected);
    result?;
    let mut sink = writer.finish(checksum(server))?;
    sink.flush().map_err(io_error)?;
    sink.get_ref().sync_all().map_err(io_error)
}

/// The version that all values need: the oldest, unless fields of a hash expire.
fn version_needed(view: &mut View<'_>) -> u16 {
    let selected = view.db();
    let mut has_expiring_fields = false;
    for db in 0..view.store().databases() {
        view.select(db);
        view.for_each(|entry| {
            has_expiring_fields |=
                entry.collection::<Hash>().is_some_and(|hash| hash.next_expiry().is_some());
        });
    }
    view.select(selected);
    if has_expiring_fields { VERSION_WITH_FIELD_EXPIRY } else { VERSION_WRITTEN }
}

/// Moves the file to its place, and makes that last too.
fn put_in_place(temporary: &Path, path: &Path) -> Result<(), RdbError> {
    fs::rename(temporary, path).and_then(|()| File::open(".")?.sync_all()).map_err(io_error)
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
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rdb(error) => write!(f, "{error}"),
            Self::Conflict { key, db } => {
                write!(f, "the key '{}' of DB {db} is there already", String::from_utf8_lossy(key))
            }
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

/// Adds what the file holds; false if there is none. The view covers everything. O(bytes).
pub fn load(server: &Server, view: &mut View<'_>, conflict: Conflict) -> Result<bool, LoadError> {
    let started = Instant::now();
    let file = match File::open(path(server)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        file => file.map_err(io_error)?,
    };
    let bytes = file.metadata().map_err(io_error)?.len();
    let source = BufReader::with_capacity(BUFFER_BYTES, file);
    // No limit but the file's own length: memory is taken as bytes arrive.
    let mut reader = FileReader::begin(source, i64::MAX as u64, checksum(server))?;
    let selected = view.db();
    // Loading is no change that anybody is told of.
    let notify_mask = std::mem::take(&mut view.effects.notify_mask);
    let result = load_parts(server, view, &mut reader, bytes, conflict);
    view.effects.notify_mask = notify_mask;
    view.select(selected);
    result?;
    mark_unchanged(server);
    tracing::info!(
        "Done loading RDB, keys loaded: {}, keys expired: {}.",
        server.rdb.keys_loaded.load(Relaxed),
        server.rdb.keys_expired.load(Relaxed)
    );
    tracing::info!("DB loaded from disk: {:.3} seconds", started.elapsed().as_secs_f64());
    Ok(true)
}

fn load_parts(
    server: &Server,
    view: &mut View<'_>,
    reader: &mut FileReader<impl std::io::BufRead>,
    bytes: u64,
    conflict: Conflict,
) -> Result<(), LoadError> {
    view.select(0);
    let (mut loaded, mut expired, mut empty, mut functions) = (0u64, 0u64, 0u64, 0u64);
    // Whatever a file promises: so many slots take less memory than the file has bytes.
    let mut room = bytes / 16;
    while let Some(part) = reader.next() {
        match part? {
            Part::Select(number) => {
                let db = usize::try_from(number).ok().filter(|db| *db < view.store().databases());
                view.select(db.ok_or(LoadError::Database(number))?);
            }
            Part::Aux { name, value } => tell_aux(&name, &value),
            Part::Resize { keys, .. } => {
                let keys = keys.min(room);
                room -= keys;
                view.reserve(keys as usize);
            }
            Part::Function(_) => functions += 1,
            Part::EmptyKey(key) => {
                if empty < EMPTY_KEYS_NAMED {
                    tracing::warn!("skipping empty key: {}", String::from_utf8_lossy(&key));
                }
                empty += 1;
            }
            Part::Key(LoadedKey { entry, .. }) if entry.is_expired(view.now_ms()) => expired += 1,
            Part::Key(LoadedKey { entry, usage }) => {
                entry.set_clock(clock_of(usage, view.now_ms()));
                let hash = Key::new(entry.key()).hash;
                match view.load(hash, entry) {
                    Ok(()) => {}
                    Err(entry) if conflict == Conflict::Refused => {
                        return Err(LoadError::Conflict { key: entry.key().to_vec(), db: view.db() });
                    }
                    Err(entry) => {
                        let (name, expire_at_ms) = (entry.key().to_vec(), entry.expire_at_ms());
                        insert(view, Key { bytes: &name, hash }, entry.into_value(), expire_at_ms, usage);
                    }
                }
                loaded += 1;
            }
        }
    }
    if empty > 0 {
        tracing::warn!("Keys without elements are no keys, empty keys skipped: {empty}.");
    }
    if functions > 0 {
        tracing::warn!("Functions are not supported, function libraries skipped: {functions}.");
    }
    server.rdb.keys_loaded.store(loaded, Relaxed);
    server.rdb.keys_expired.store(expired, Relaxed);
    Ok(())
}

fn tell_aux(name: &[u8], value: &[u8]) {
    let value = String::from_utf8_lossy(value);
    match name {
        b"redis-ver" => tracing::info!("Loading RDB produced by version {value}"),
        b"ctime" => {
            let age = value.parse().map_or(0, |at: u64| (now_ms() / 1000).saturating_sub(at));
            tracing::info!("RDB age {age} seconds");
        }
        b"used-mem" => {
            let bytes: f64 = value.parse().unwrap_or(0.0);
            tracing::info!("RDB memory usage when created {:.2} Mb", bytes / f64::from(1 << 20));
        }
        _ => {}
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
        entry.set_clock(clock_of(usage, view.now_ms()));
    }
}

/// The access clock of a key that was used so, as far as the policy understands it; else that of a new one.
fn clock_of(usage: Option<Usage>, now_ms: u64) -> u32 {
    match (usage, ACCESS_POLICY.is_lfu.load(Relaxed)) {
        (Some(Usage::Idle(seconds)), false) => clock_of_idle(seconds.min(IDLE_SECONDS_MAX) as u32, now_ms),
        (Some(Usage::Frequency(counter)), true) => clock_of_frequency(counter, now_ms),
        _ => new_clock(now_ms),
    }
}

/// Loads the file, if there is one, before any client is served.
///
/// # Errors
/// The text for the log.
pub fn load_at_start(server: &Server) -> Result<(), String> {
    let random = Random::new(now_ms());
    let mut effects = Effects::default();
    // SAFETY: the workers are not started yet: nobody else enters a shard.
    let mut view = unsafe {
        View::new(server.engine.store(), Covered::All, Access::Write, 0, now_ms(), &random, &mut effects)
    };
    match load(server, &mut view, Conflict::Refused) {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(format!("Fatal error loading the DB '{}': {error}. Exiting.", path(server).display()))
        }
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

/// Saves, forgets and loads everything. The view covers everything.
pub fn reload(server: &Server, view: &mut View<'_>, how: Reload) -> Result<(), LoadError> {
    if how.saves {
        save(server, view)?;
    }
    if how.flushes {
        let selected = view.db();
        for db in 0..view.store().databases() {
            view.select(db);
            view.clear();
        }
        view.select(selected);
    }
    load(server, view, how.conflict)?;
    tracing::warn!("DB reloaded by DEBUG RELOAD");
    Ok(())
}
