//! A power cut: what had not reached the disk is gone.
//!
//! `rustredis-powercut`, preloaded into the server, appends a line `size path` to [`NOTES`] before each fsync is called.
//! The last line of a file thus says how much of it is safe at least. A file without a line never was.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::Launch;

/// The library's file, in the directory that the server is started in.
const NOTES: &str = "powercut.notes";
/// Where the append-only files are.
const AOF_DIRECTORY: &str = "appendonlydir";

/// The launch with the library preloaded.
pub(super) fn watched(launch: Launch, library: &Path) -> Launch {
    launch.environment("LD_PRELOAD", &library.to_string_lossy()).environment("POWERCUT_NOTES", NOTES)
}

/// Cuts every append-only file to what had been on the disk; gives back how much was lost.
pub(super) fn cut(directory: &Path) -> io::Result<u64> {
    let notes = fs::read_to_string(directory.join(NOTES))?;
    let mut safe: HashMap<&str, u64> = HashMap::new();
    for line in notes.lines() {
        if let Some((size, path)) = line.split_once(' ') {
            let size = size.parse().unwrap_or(0);
            // A file that replaces another one of its name may be shorter, so the last line counts.
            safe.insert(path, size);
        }
    }
    let mut lost = 0;
    for path in increments(directory)? {
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

/// Cuts bytes from the end of the newest increment.
pub(super) fn cut_newest(directory: &Path, bytes: u64) -> io::Result<()> {
    let mut paths = increments(directory)?;
    paths.sort_by_key(|path| sequence(path));
    let Some(path) = paths.last() else { return Ok(()) };
    let size = fs::metadata(path)?.len();
    OpenOptions::new().write(true).open(path)?.set_len(size.saturating_sub(bytes))
}

fn increments(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory.join(AOF_DIRECTORY))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".incr.aof") {
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
