//! Gets the upstream test tree of Redis from Debian's source package.
//!
//! The machine's own apt sources are copied with their type changed to deb-src, so that no host is written down here;
//! lists and cache are private, so that the machine's stay as they are. Of the package only the upstream tarball is
//! unpacked, in the user's cache directory and thus outside the repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell;

const VERSION: &str = "7.0.15";

/// The directory with the upstream tree (`runtest`, `tests/`, `src/` and the rest); fetched on the first call.
pub(super) fn tree() -> Result<PathBuf, String> {
    let cache = cache_directory()?;
    let tree = cache.join(format!("redis-{VERSION}"));
    if tree.join("runtest").is_file() {
        return Ok(tree);
    }
    println!("fetching the source package of redis {VERSION}");
    let work = cache.join(format!("fetch-{}", std::process::id()));
    let result = fetch(&work).and_then(|tarball| unpack(&tarball, &work, &tree));
    // What was fetched is unpacked or useless; a leftover costs only space.
    let _ = fs::remove_dir_all(&work);
    result.map(|()| tree)
}

fn cache_directory() -> Result<PathBuf, String> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir);
    let cache = cache.join("rustredis-tcl");
    create(&cache)?;
    Ok(cache)
}

fn fetch(work: &Path) -> Result<PathBuf, String> {
    let parts = work.join("parts");
    for directory in ["lists/partial", "cache", "download", "parts"] {
        create(&work.join(directory))?;
    }
    let written = copy_sources(Path::new("/etc/apt"), &parts)?;
    if written == 0 {
        return Err("there are no apt sources in /etc/apt to take the source package from".to_owned());
    }
    let options = [
        "Dir::Etc::sourcelist=/dev/null".to_owned(),
        format!("Dir::Etc::sourceparts={}", parts.display()),
        format!("Dir::State::lists={}", work.join("lists").display()),
        format!("Dir::Cache={}", work.join("cache").display()),
        "APT::Sandbox::User=root".to_owned(),
    ];
    let apt = |arguments: &[&str]| {
        let mut words = vec!["-q"];
        options.iter().for_each(|option| words.extend(["-o", option]));
        words.extend(arguments);
        shell::succeeds(shell::program("apt-get", &words).current_dir(work.join("download")))
    };
    // Third parties' lists often have no sources, which fails the update; only what follows has to work.
    apt(&["update"])?;
    apt(&["source", "--download-only", "redis"])?;
    let tarball = work.join("download").join(format!("redis_{VERSION}.orig.tar.gz"));
    if tarball.is_file() {
        return Ok(tarball);
    }
    Err(format!("this machine's Debian has no source package of redis {VERSION}"))
}

fn unpack(tarball: &Path, work: &Path, tree: &Path) -> Result<(), String> {
    let unpacked = work.join("tree");
    create(&unpacked)?;
    let mut tar = shell::program("tar", &["--strip-components=1", "-xzf"]);
    shell::run(tar.arg(tarball).arg("-C").arg(&unpacked))?;
    // Somebody else may have been faster; then theirs is as good.
    match fs::rename(&unpacked, tree) {
        Err(error) if !tree.join("runtest").is_file() => {
            Err(format!("cannot create {}: {error}", tree.display()))
        }
        _ => Ok(()),
    }
}

/// Copies every source list under `apt` to `parts` with its type changed; gives back how many were written.
fn copy_sources(apt: &Path, parts: &Path) -> Result<usize, String> {
    let mut files = vec![apt.join("sources.list")];
    if let Ok(entries) = fs::read_dir(apt.join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    let mut written = 0;
    for file in files {
        let (Some(name), Ok(text)) = (file.file_name(), fs::read_to_string(&file)) else { continue };
        let changed = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => one_line_sources(&text),
            Some("sources") => deb822_sources(&text),
            _ => continue,
        };
        if changed.is_empty() {
            continue;
        }
        let path = parts.join(name);
        fs::write(&path, changed).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        written += 1;
    }
    Ok(written)
}

/// `deb [options] uri suite component...` becomes `deb-src ...`.
fn one_line_sources(text: &str) -> String {
    let lines = text.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix("deb")?;
        rest.starts_with([' ', '\t', '[']).then(|| format!("deb-src{rest}\n"))
    });
    lines.collect()
}

/// The stanzas of a deb822 file that offer packages, with the type of their sources.
fn deb822_sources(text: &str) -> String {
    let mut changed = String::new();
    for stanza in text.split("\n\n") {
        let types = stanza.lines().find_map(|line| line.strip_prefix("Types:"));
        if !types.is_some_and(|types| types.split_ascii_whitespace().any(|kind| kind == "deb")) {
            continue;
        }
        for line in stanza.lines() {
            changed.push_str(if line.starts_with("Types:") { "Types: deb-src" } else { line });
            changed.push('\n');
        }
        changed.push('\n');
    }
    changed
}

fn create(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("cannot create {}: {error}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_lists_change_their_type() {
        let text =
            "# deb x y\ndeb mirror stable main\n deb [signed-by=/k] mirror stable main\ndeb-src m s main\n";
        assert_eq!(
            one_line_sources(text),
            "deb-src mirror stable main\ndeb-src [signed-by=/k] mirror stable main\n"
        );
    }

    #[test]
    fn deb822_stanzas_change_their_type() {
        let text = "Types: deb\nURIs: mirror\nSuites: stable\n\nTypes: deb-src\nURIs: other\n\nTypes: deb deb-src\nURIs: x\n";
        let expected = "Types: deb-src\nURIs: mirror\nSuites: stable\n\nTypes: deb-src\nURIs: x\n\n";
        assert_eq!(deb822_sources(text), expected);
    }
}
