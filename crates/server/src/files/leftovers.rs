//! Files that a killed server has left: what it was writing beside the place where it belongs, and what no manifest names.
//!
//! They are removed at the start, as far as they are surely dead. A temporary RDB file has the process in its name, which must
//! be gone: other servers may save in the same directory. The directory of the append-only file is locked by us, so all that is
//! temporary there is dead, and so is an empty increment that the manifest does not name. One with something in it, or a base, is
//! left by a rewrite that did not come to its end, or the manifest has lost it: that nobody can tell, so it stays and the log says
//! so.

use std::path::Path;

use rustredis_persistence::aof::manifest::Manifest;
use rustredis_persistence::storage::Storage;

/// The name of a temporary RDB file of this process.
pub fn temporary_name(number: u64) -> String {
    format!("temp-{}-{number}.rdb", std::process::id())
}

/// The name of a new base that is being written.
pub fn temporary_base_name() -> String {
    format!("temp-rewriteaof-bg-{}.aof", std::process::id())
}

/// Removes what killed servers have left of saves in this directory.
pub fn remove_saves(storage: &dyn Storage, directory: &Path) {
    remove(storage, directory, |name| process_of(name).is_some_and(is_dead));
}

/// Removes what rewrites have left in the locked directory of an append-only file with this manifest.
pub fn remove_rewrites(storage: &dyn Storage, directory: &Path, filename: &str, manifest: &Manifest) {
    let is_named = |name: &str| manifest.loaded().chain(&manifest.history).any(|file| file.name == name);
    remove(storage, directory, |name| {
        if !is_numbered(name, filename) || is_named(name) {
            return is_temporary_rewrite(name);
        }
        let is_empty = std::fs::metadata(directory.join(name)).is_ok_and(|metadata| metadata.len() == 0);
        if !is_empty {
            tracing::warn!("{name} is in no manifest: it is not loaded, and stays");
        }
        is_empty
    });
}

fn remove(storage: &dyn Storage, directory: &Path, is_left: impl Fn(&str) -> bool) {
    // A directory that cannot be read says so to whoever needs its files.
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_left(name)) else { continue };
        match storage.remove(&entry.path()) {
            Ok(()) => tracing::info!("Removed {name}, which a server that ended has left"),
            Err(error) => tracing::warn!("Can't remove {name}, which a server that ended has left: {error}"),
        }
    }
}

/// The process in the name of a temporary RDB file: `temp-<process>.rdb`, as Redis has it, or `temp-<process>-<number>.rdb`.
fn process_of(name: &str) -> Option<i32> {
    let numbers = name.strip_prefix("temp-")?.strip_suffix(".rdb")?;
    let (process, number) = numbers.split_once('-').unwrap_or((numbers, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(process) && is_number(number)).then(|| process.parse().ok()).flatten()
}

/// Whether there is no such process; our own number was a dead server's, for we have begun nothing yet.
fn is_dead(process: i32) -> bool {
    if process <= 0 || process as u32 == std::process::id() {
        return process > 0;
    }
    // SAFETY: the signal 0 is not sent; the call only tells whether it could be.
    let result = unsafe { libc::kill(process, 0) };
    result == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

fn is_temporary_rewrite(name: &str) -> bool {
    name.starts_with("temp-rewriteaof-") && name.ends_with(".aof")
}

/// Whether it is named as an increment or a base is.
fn is_numbered(name: &str, filename: &str) -> bool {
    let rest = name.strip_prefix(filename).and_then(|rest| rest.strip_prefix('.'));
    let number = rest.and_then(|rest| {
        [".incr.aof", ".base.rdb", ".base.aof"].iter().find_map(|suffix| rest.strip_suffix(suffix))
    });
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_whose_a_file_is() {
        for (name, expected) in [
            ("temp-12.rdb", Some(12)),
            ("temp-12-3.rdb", Some(12)),
            ("temp-.rdb", None),
            ("temp-12-.rdb", None),
            ("temp-12-3-4.rdb", None),
            ("temp-mine.rdb", None),
            ("temp-99999999999.rdb", None),
            ("dump.rdb", None),
        ] {
            assert_eq!(process_of(name), expected, "{name}");
        }
        assert_eq!(process_of(&temporary_name(7)), i32::try_from(std::process::id()).ok());
        assert!(is_temporary_rewrite(&temporary_base_name()));
        for (name, expected) in [
            ("a.aof.1.incr.aof", true),
            ("a.aof.22.base.rdb", true),
            ("a.aof.3.base.aof", true),
            ("a.aof..incr.aof", false),
            ("a.aof.x.incr.aof", false),
            ("b.aof.1.incr.aof", false),
            ("a.aof.manifest", false),
        ] {
            assert_eq!(is_numbered(name, "a.aof"), expected, "{name}");
        }
    }

    #[test]
    fn only_processes_that_are_gone_are_dead() {
        assert!(!is_dead(1), "the first process lives");
        assert!(is_dead(i32::MAX));
        assert!(!is_dead(0) && !is_dead(-1));
    }
}
