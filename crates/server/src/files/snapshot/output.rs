//! The file that a snapshot writes, in its two forms: RDB, or the commands that make the keys anew.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use rustredis_keyspace::View;
use rustredis_keyspace::snapshot::Encode;
use rustredis_persistence::aof::entry_commands::write_commands;
use rustredis_persistence::aof::manifest::BaseFormat;
use rustredis_persistence::journal::write_select;
use rustredis_persistence::rdb::{FileWriter, VERSION_WITH_FIELD_EXPIRY, VERSION_WRITTEN, encode_key};
use rustredis_persistence::storage::StorageFile;

use rustredis_resp::request::write_request;
use rustredis_scripting::function::Libraries;

use super::failure::Failure;
use super::snapshots::Snapshots;
use crate::files::rdb::{self, Origin};

/// Files pass through buffers of this size.
pub(super) const BUFFER_BYTES: usize = 256 << 10;
/// After so many bytes a file is synced, so that the last sync has little to do (`*-incremental-fsync`).
const SYNC_BYTES: u64 = 32 << 20;

/// What holds at the moment in which a snapshot begins.
pub(super) struct Cut {
    /// Database, keys, keys that expire.
    pub(super) databases: Vec<(usize, usize, usize)>,
    /// Changes until then.
    pub(super) changes: u64,
    has_expiring_fields: bool,
    libraries: Arc<Libraries>,
}

impl Cut {
    pub(super) fn new(snapshots: &Snapshots, view: &View<'_>) -> Self {
        let store = view.store();
        let sizes = store.databases_in_use().map(|db| (db, store.keys(db), store.expiring_keys(db)));
        Self {
            databases: sizes.filter(|(_, keys, _)| *keys > 0).collect(),
            changes: snapshots.parts.stats.totals().dirty,
            has_expiring_fields: view.has_expiring_fields(),
            libraries: snapshots.parts.scripts.libraries.now(),
        }
    }

    /// The same moment without its keys, and without its functions if they are not wanted.
    pub(super) fn without_keys(self, has_functions: bool) -> Self {
        let libraries = if has_functions { self.libraries } else { Arc::default() };
        Self { databases: Vec::new(), has_expiring_fields: false, libraries, ..self }
    }

    pub(super) fn keys(&self) -> u64 {
        self.databases.iter().map(|(_, keys, _)| *keys as u64).sum()
    }
}

/// A file that a snapshot writes, synced now and then.
pub(super) struct Target {
    pub(super) file: Arc<dyn StorageFile>,
    syncs: bool,
    unsynced: u64,
}

impl Target {
    /// This file, which is synced now and then or not.
    pub(super) fn new(file: Arc<dyn StorageFile>, syncs: bool) -> Self {
        Self { file, syncs, unsynced: 0 }
    }
}

impl Write for Target {
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
pub(super) enum Output {
    Rdb(Box<FileWriter<BufWriter<Target>>>),
    Commands(BufWriter<Target>),
}

impl Output {
    pub(super) fn begin(
        snapshots: &Snapshots,
        sink: Target,
        format: BaseFormat,
        cut: &Cut,
        origin: Origin,
    ) -> Result<Self, Failure> {
        let mut sink = BufWriter::with_capacity(BUFFER_BYTES, sink);
        if format == BaseFormat::Commands {
            let mut commands = Vec::new();
            for library in cut.libraries.iter() {
                write_request(&mut commands, &[b"FUNCTION", b"LOAD", &library.code]);
            }
            sink.write_all(&commands)?;
            return Ok(Self::Commands(sink));
        }
        let version = if cut.has_expiring_fields { VERSION_WITH_FIELD_EXPIRY } else { VERSION_WRITTEN };
        if cut.has_expiring_fields {
            rdb::tell_version();
        }
        let mut writer = FileWriter::begin(sink, version, snapshots.parts.rdb.compression())?;
        rdb::write_remarks(&mut writer, origin)?;
        for library in cut.libraries.iter() {
            writer.function(&library.code)?;
        }
        for (db, keys, expiring) in &cut.databases {
            writer.select(*db, *keys, *expiring)?;
        }
        Ok(Self::Rdb(Box::new(writer)))
    }

    /// Writes encoded keys of a database.
    pub(super) fn write(&mut self, db: usize, keys: &[u8]) -> Result<(), Failure> {
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

    /// Ends the file, and syncs it if it is to last.
    pub(super) fn finish(self, snapshots: &Snapshots, lasts: bool) -> Result<(), Failure> {
        let mut sink = match self {
            Self::Rdb(writer) => writer.finish(snapshots.parts.rdb.checksum())?,
            Self::Commands(sink) => sink,
        };
        sink.flush()?;
        if lasts {
            sink.get_ref().file.sync()?;
        }
        Ok(())
    }
}

/// How keys are encoded in that form.
pub(super) fn encoder(snapshots: &Snapshots, format: BaseFormat) -> Arc<Encode> {
    if format == BaseFormat::Commands {
        return Arc::new(write_commands);
    }
    let (compression, usage) = (snapshots.parts.rdb.compression(), snapshots.parts.rdb.usage_of());
    Arc::new(move |entry, out| {
        encode_key(entry, usage(entry), compression, out)
            .expect("every type that the keyspace has is encoded, and memory takes all bytes");
    })
}
