//! The real disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use super::{Storage, StorageFile};

/// The file system.
#[derive(Debug, Default)]
pub struct Disk;

struct DiskFile(File);

impl StorageFile for DiskFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        // Opened to append: the next write goes to the new end.
        self.0.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

fn directory_of(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

impl Storage for Disk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.append(path)
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(DiskFile(OpenOptions::new().append(true).create(true).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(directory_of(path))?.sync_all()
    }
}

/// A directory that this process alone writes to, until it is dropped. The lock lies on the directory itself, so it
/// leaves no file, and ends with the process however that ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _directory: File,
}

impl DirectoryLock {
    /// Locks the directory; `None` if another process has it.
    pub fn try_new(path: &Path) -> io::Result<Option<Self>> {
        let directory = File::open(directory_of(path))?;
        // SAFETY: the descriptor is open for the time of the call, and flock takes no memory.
        let result = unsafe { libc::flock(directory.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        if result == 0 {
            return Ok(Some(Self { _directory: directory }));
        }
        match io::Error::last_os_error() {
            error if error.kind() == ErrorKind::WouldBlock => Ok(None),
            error => Err(error),
        }
    }
}
