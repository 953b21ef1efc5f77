//! Directories of servers: made when asked for, removed when dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::random::unique_number;

/// A directory of its own; removed with all that is in it when it is dropped, unless `RUSTREDIS_KEEP` is set.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// An empty directory among the temporary files.
    #[track_caller]
    pub fn new() -> Self {
        Self::try_new().unwrap_or_else(|error| panic!("cannot make a directory: {error}"))
    }

    /// An empty directory among the temporary files, or why there is none.
    pub fn try_new() -> io::Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    /// An empty directory inside `parent`, which is created if need be.
    pub fn within(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!("rustredis-test-{:016x}", unique_number()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// A copy of all that is in `original`.
    #[track_caller]
    pub fn copy_of(original: &Path) -> Self {
        let copy = Self::new();
        copy_tree(original, copy.path()).unwrap_or_else(|error| panic!("cannot copy {original:?}: {error}"));
        copy
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if std::env::var_os("RUSTREDIS_KEEP").is_none() {
            // What cannot be removed stays behind in the temporary directory.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Copies the files and directories in `from` into `to`, which must exist. Sockets and links are left out.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            match fs::copy(entry.path(), target) {
                // A server removes what it no longer needs when it likes.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => drop(result?),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_holds_the_same_and_goes_with_its_owner() {
        let original = Directory::new();
        fs::create_dir(original.path().join("inner")).unwrap();
        fs::write(original.path().join("inner/file"), "text").unwrap();
        let copy = Directory::copy_of(original.path());
        let path = copy.path().to_path_buf();
        assert_eq!(fs::read(path.join("inner/file")).unwrap(), b"text");
        drop(copy);
        assert!(!path.exists() && original.path().exists());
    }
}
