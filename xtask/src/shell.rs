//! Running other programs: cargo, apt-get, tar. No shell is involved; every argument is passed as it is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A program with arguments, to be run in the repository's root.
pub(crate) fn program<A: AsRef<OsStr>>(name: impl AsRef<OsStr>, arguments: &[A]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(root());
    command
}

/// The cargo that runs this task.
pub(crate) fn cargo<A: AsRef<OsStr>>(arguments: &[A]) -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}

/// Runs it with its output shown; true if it ended with code 0.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool, String> {
    match command.status() {
        Ok(status) => Ok(status.success()),
        Err(error) => Err(format!("cannot run {}: {error}", text(command))),
    }
}

/// Runs it with its output shown; an end with another code than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    if succeeds(command)? { Ok(()) } else { Err(format!("failed: {}", text(command))) }
}

/// Runs it and gives back what it wrote to stdout, lossy if it is not UTF-8; an end with another code than 0 is an error.
pub(crate) fn capture(command: &mut Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot run {}: {error}", text(command)))?;
    if !output.status.success() {
        return Err(format!("failed: {}", text(command)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program of this name in PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// True if a program of this name is found in PATH.
pub(crate) fn is_installed(name: &str) -> bool {
    find_program(name).is_some()
}

/// Installs Debian packages, if one of `programs` is missing.
pub(crate) fn install(programs: &[&str], packages: &[&str]) -> Result<(), String> {
    let are_installed = || programs.iter().all(|name| is_installed(name));
    if !are_installed() {
        install_packages(packages)?;
    }
    // A package whose service could not start, because the port is taken, is good enough.
    if are_installed() { Ok(()) } else { Err(format!("apt-get could not install {}", packages.join(" "))) }
}

/// Installs Debian packages, through sudo unless this is root. The tests start servers of their own, so a redis-server
/// that apt started on port 6379 is stopped again.
pub(crate) fn install_packages(packages: &[&str]) -> Result<(), String> {
    println!("installing {}", packages.join(" "));
    let has_redis = is_installed("redis-server");
    let mut install =
        vec!["apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", "install", "--no-install-recommends"];
    install.extend(packages);
    // The package lists may be missing or old: only then are they fetched.
    if !as_root(&install)? {
        as_root(&["apt-get", "-q", "update"])?;
        as_root(&install)?;
    }
    if !has_redis && is_installed("redis-server") {
        // Where there is no such service (a container), there is nothing to stop.
        as_root(&["service", "redis-server", "stop"])?;
    }
    Ok(())
}

/// Runs a program as root, quietly; true if it ended with code 0.
fn as_root(words: &[&str]) -> Result<bool, String> {
    // At run level 1 Debian's packages start no service from /etc/init.d.
    let prefix: &[&str] = if is_root()? { &[] } else { &["sudo"] };
    let words = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"], words].concat();
    succeeds(program(words[0], &words[1..]).stdout(Stdio::null()).stderr(Stdio::null()))
}

fn is_root() -> Result<bool, String> {
    Ok(capture(&mut program("id", &["-u"]))?.trim() == "0")
}

fn text(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
