//! Servers that write to the disk: where their files are, and how one of each kind is started.
//!
//! The files of both lie under cargo's target directory, so on the same file system; a temporary directory may be memory.

use std::io;
use std::time::Duration;

use rustredis_testkit::{Binary, Client, Directory, Launch, Server};

use super::subject::binary;
use crate::arguments::Arguments;
use crate::shell;

/// How long five million keys may take to load or to make.
pub(super) const PATIENCE: Duration = Duration::from_secs(170);

/// A server, the directory of its files, and its name.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) server: Server,
    /// Removed behind the server.
    _directory: Directory,
}

/// What is compared: ours, then redis-server unless it is unwanted.
pub(super) fn kinds(arguments: &Arguments) -> Result<Vec<(String, Binary)>, String> {
    let path = binary(arguments)?;
    let ours = match arguments.value("engine") {
        Some(engine) => (engine.to_owned(), Binary::At { path, engine: engine.to_owned() }),
        None => ("rustredis".to_owned(), Binary::Path(path)),
    };
    let mut kinds = vec![ours];
    if !arguments.has("no-redis") {
        kinds.push(("redis".to_owned(), Binary::Redis));
    }
    Ok(kinds)
}

/// An empty directory on the disk that is measured.
pub(super) fn directory() -> Result<Directory, String> {
    Directory::within(&shell::target().join("bench-files")).map_err(|error| format!("no directory: {error}"))
}

/// A launch of one kind; `--argument` goes to ours alone.
pub(super) fn launch(binary: &Binary, arguments: &Arguments, own: &[&str]) -> Launch {
    let launch = Launch::new(binary.clone()).arguments(own).ready_within(PATIENCE);
    if binary.is_redis() { launch } else { launch.arguments(arguments.values("argument")) }
}

/// Starts one in a new directory.
pub(super) fn start(
    (name, binary): &(String, Binary),
    arguments: &Arguments,
    own: &[&str],
) -> Result<Subject, String> {
    let directory = directory()?;
    let server = launch(binary, arguments, own).data(directory.path()).try_start();
    let server = server.map_err(|error| format!("cannot start {name}: {error}"))?;
    Ok(Subject { name: name.clone(), server, _directory: directory })
}

/// A connection that waits long enough for what takes long.
pub(super) fn patient(server: &Server) -> Client {
    let mut client = server.client();
    client.set_deadline(PATIENCE);
    client
}

/// Fills a server with `key:0` and so on, each with a value of so many bytes.
pub(super) fn populate(server: &Server, keys: u64, value_bytes: usize) -> Result<(), String> {
    let reply = patient(server).line(&format!("DEBUG POPULATE {keys} key {value_bytes}"));
    if reply.is_error() { Err(format!("cannot fill the server: {reply}")) } else { Ok(()) }
}

/// Waits until no snapshot and no rewrite is under way, looking every so often.
pub(super) fn wait_for_background(server: &Server, interval: Duration) -> Result<(), String> {
    let mut client = server.client();
    let end = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < end {
        let info = client.try_call(&["INFO", "persistence"]).map_err(|error| error.to_string())?.text();
        let fields = ["rdb_bgsave_in_progress:1", "aof_rewrite_in_progress:1", "aof_rewrite_scheduled:1"];
        if !fields.iter().any(|field| info.contains(field)) {
            return Ok(());
        }
        std::thread::sleep(interval);
    }
    Err(io::Error::from(io::ErrorKind::TimedOut).to_string())
}
