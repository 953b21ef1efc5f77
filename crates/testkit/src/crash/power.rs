//! A power cut: what had not reached the disk is gone.
//!
//! `rustredis-powercut`, preloaded into the server, notes what is on the disk. The last line of a file tells how much of
//! it is safe at least; a file without a line never was.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::{Binary, Launch};

/// The library's file beside the server's binary.
const LIBRARY: &str = "librustredis_powercut.so";
/// Where the append-only files are.
const AOF_DIRECTORY: &str = "appendonlydir";

/// The library that a server is preloaded with: `RUSTREDIS_POWERCUT`, or the one beside the built server.
pub fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("RUSTREDIS_POWERCUT") {
        return path.into();
    }
    let path = Binary::Rustredis(String::new()).path().with_file_name(LIBRARY);
    assert!(path.is_file(), "no {}: build rustredis-powercut, or set RUSTREDIS_POWERCUT", path.display());
    path
}

/// The launch with the library preloaded; it writes to `notes`.
pub(crate) fn watched(launch: Launch, library: &Path, notes: &Path) -> Launch {
    launch
        .environment("LD_PRELOAD", &library.to_string_lossy())
        .environment("POWERCUT_NOTES", &notes.to_string_lossy())
}

/// Cuts every append-only file and the manifest to what had been on the disk; gives back how much was lost.
pub(crate) fn cut(directory: &Path, notes: &Path) -> io::Result<u64> {
    let notes = fs::read_to_string(notes)?;
    let safe = safe_sizes(&notes);
    let mut lost = 0;
    for path in aof_files(directory)? {
        let name = path.canonicalize()?;
        let size = fs::metadata(&path)?.len();
        let kept = safe.get(&*name.to_string_lossy()).copied().unwrap_or(0);
        if kept < size {
            OpenOptions::new().write(true).open(&path)?.set_len(kept)?;
            lost += size - kept;
        }
    }
    Ok(lost)
}

/// The size up to which each file is on the disk.
fn safe_sizes(notes: &str) -> HashMap<&str, u64> {
    let mut safe = HashMap::new();
    for line in notes.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            // A file that replaces another one of its name may be shorter, so the last line counts.
            ["sync", size, path] => drop(safe.insert(path, size.parse().unwrap_or(0))),
            ["rename", from, to] => {
                let size = safe.get(from).copied().unwrap_or(0);
                safe.insert(to, size);
            }
            _ => {}
        }
    }
    safe
}

/// Cuts bytes from the end of the newest increment.
pub(super) fn cut_newest(directory: &Path, bytes: u64) -> io::Result<()> {
    let mut paths = aof_files(directory)?;
    paths.retain(|path| path.to_string_lossy().ends_with(".incr.aof"));
    paths.sort_by_key(|path| sequence(path));
    let Some(path) = paths.last() else { return Ok(()) };
    let size = fs::metadata(path)?.len();
    OpenOptions::new().write(true).open(path)?.set_len(size.saturating_sub(bytes))
}

fn aof_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory.join(AOF_DIRECTORY))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("appendonly.aof.") {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// The number in `appendonly.aof.7.incr.aof`.
fn sequence(path: &Path) -> u64 {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.split('.').rev().nth(2).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_note_counts_and_follows_a_rename() {
        let safe = safe_sizes("sync 5 /a\nsync 3 /t\nrename /t /a\nsync 9 /b\nsync 12 /b\nrename /none /c\n");
        assert_eq!((safe["/a"], safe["/b"], safe["/c"]), (3, 12, 0));
        assert_eq!(sequence(Path::new("/x/appendonly.aof.17.incr.aof")), 17);
    }
}
