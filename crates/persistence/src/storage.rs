//! Where files are written: a trait, so that a test can have a disk that fails.
//!
//! [`Disk`] is the real one. [`Faulty`] passes everything on and, when told so, fails, cuts short or delays the n-th
//! operation of a kind: what is written must survive each of these. Only what makes data durable goes through here; reading at
//! the start is plain `std::fs`, for nobody's data depends on it.

mod disk;
mod faulty;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use disk::{DirectoryLock, Disk};
pub use faulty::{Action, Faults, Faulty, Operation, Rule, When};

/// A file that is open for writing at its end.
pub trait StorageFile: Send + Sync {
    /// Appends some of the bytes; how many. As `write(2)`, it may be fewer than asked.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Returns when what was written is on the disk (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to `length` bytes; the next write goes there.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
}

/// A place for files.
pub trait Storage: Send + Sync {
    /// Makes an empty file, in the place of one that is there.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>>;
    /// Opens a file to append to it; made if it is not there.
    fn append(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>>;
    /// Gives a file another name, in the place of what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory; one that is there already is fine.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// Returns when the names in the directory are on the disk.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// Appends all bytes.
///
/// # Errors
/// With how many bytes were written before.
pub fn write_all(file: &dyn StorageFile, mut bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => {
                written += count;
                bytes = &bytes[count..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// Puts a small file in its place as a whole: written beside it, synced, renamed, and the name synced too. After an error or
/// a crash the old one is there, or the new one.
pub fn replace(storage: &dyn Storage, temporary: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let file = storage.create(temporary)?;
    let result = write_all(&*file, content)
        .map_err(|(_, error)| error)
        .and_then(|()| file.sync())
        .and_then(|()| storage.rename(temporary, path))
        .and_then(|()| storage.sync_directory(path.parent().unwrap_or(Path::new("."))));
    if result.is_err() {
        // What is left of it is of no use; that it cannot be removed either is no further harm.
        let _ = storage.remove(temporary);
    }
    result
}
