//! A library to preload into a server, which notes what is on the disk, so that a test can cut the rest away.
//!
//! A process that is killed leaves in the kernel's cache what it wrote, and a later process reads it: a missing fsync
//! does not show. This library stands before `fsync`, `fdatasync` and `rename` of the C library and appends a line to the
//! file named by `POWERCUT_NOTES`: `sync <size> <path>` after each sync, with the size before it, and
//! `rename <path> <path>` before each rename. What a file holds beyond its last noted size would be lost in a power cut.
//! A file system of our own (FUSE) was rejected: it needs rights that a test does not have. What a server syncs in other
//! ways (`O_DSYNC`, io_uring) is not seen, and would count as lost.
//!
//! Nothing here may allocate for long, panic or keep a lock: it runs inside somebody else's calls.

use std::ffi::{CStr, OsStr};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libc::{c_char, c_int};

/// Syncs a file as the C library's function does, and notes it.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(file: c_int) -> c_int {
    noted(file, libc::SYS_fsync)
}

/// Syncs a file's data as the C library's function does, and notes it.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(file: c_int) -> c_int {
    noted(file, libc::SYS_fdatasync)
}

/// Renames a file as the C library's function does, and notes it.
///
/// # Safety
///
/// Both arguments are strings that end in a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let path = |text: *const c_char| {
        // SAFETY: the caller passes strings that end in a zero byte.
        let text = unsafe { CStr::from_ptr(text) };
        absolute(Path::new(OsStr::from_bytes(text.to_bytes())))
    };
    note(&format!("rename {} {}\n", path(from).display(), path(to).display()));
    // SAFETY: the system call reads the same two strings.
    unsafe { libc::syscall(libc::SYS_rename, from, to) as c_int }
}

fn noted(file: c_int, call: libc::c_long) -> c_int {
    let path = std::fs::read_link(format!("/proc/self/fd/{file}")).ok();
    let size = path.as_ref().and_then(|path| std::fs::metadata(path).ok()).map(|metadata| metadata.len());
    // SAFETY: the system call takes a number and touches no memory of ours.
    let result = unsafe { libc::syscall(call, file) as c_int };
    if let (0, Some(path), Some(size)) = (result, path, size) {
        note(&format!("sync {size} {}\n", path.display()));
    }
    result
}

/// The path from the root on, whose directory is free of links.
fn absolute(path: &Path) -> PathBuf {
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => std::env::current_dir(),
        Some(parent) => parent.canonicalize(),
        None => return path.to_path_buf(),
    };
    directory.unwrap_or_default().join(path.file_name().unwrap_or_default())
}

/// Appends a line in one write, so that lines of several threads do not mix.
fn note(line: &str) {
    let Some(notes) = std::env::var_os("POWERCUT_NOTES") else { return };
    // A note that cannot be written makes the file look less safe than it is, which a test notices.
    let _ = OpenOptions::new()
        .create(true)
        .append(true)
        .open(notes)
        .and_then(|mut file| file.write_all(line.as_bytes()));
}
