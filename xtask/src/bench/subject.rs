//! Servers under measurement: found, started, filled.

use std::path::{Path, PathBuf};

use rustredis_testkit::{Binary, Command, Launch, Server};

use crate::arguments::Arguments;
use crate::build;

/// A server under measurement and the name it is reported by.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) server: Server,
}

/// The binary to measure: `--server`, or a release build.
pub(super) fn binary(arguments: &Arguments) -> Result<PathBuf, String> {
    arguments.value("server").map_or_else(|| build::server(true), |path| Ok(path.into()))
}

/// Starts the server to measure with this engine.
pub(super) fn start(arguments: &Arguments, binary: &Path, engine: Option<&str>) -> Result<Subject, String> {
    let mut launch = Launch::new(Binary::Path(binary.to_path_buf())).arguments(arguments.values("argument"));
    if let Some(engine) = engine {
        launch = launch.arguments(&["--engine", engine]);
    }
    let server = launch.try_start().map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
    let file = binary.file_name().unwrap_or_default().to_string_lossy();
    let name = engine.map_or_else(|| file.to_string(), |engine| format!("{file} {engine}"));
    Ok(Subject { name, server })
}

/// Starts the redis-server to compare with.
pub(super) fn start_redis() -> Result<Subject, String> {
    let server = Launch::new(Binary::Redis)
        .try_start()
        .map_err(|error| format!("cannot start redis-server: {error}"))?;
    let version = server.info("redis_version").unwrap_or_default();
    Ok(Subject { name: format!("redis {version}"), server })
}

/// The subject and, unless it is unwanted, redis-server.
pub(super) fn subjects(arguments: &Arguments) -> Result<Vec<Subject>, String> {
    let mut subjects = vec![start(arguments, &binary(arguments)?, arguments.value("engine"))?];
    if !arguments.has("no-redis") {
        subjects.push(start_redis()?);
    }
    Ok(subjects)
}

/// Commands of one pipeline of [`fill`].
const FILL_PIPELINE: u64 = 1_000;

/// Sends `count` commands, pipelined, over one connection.
pub(super) fn fill(server: &Server, count: u64, command: impl Fn(u64) -> Command) -> Result<(), String> {
    let mut client = server.client();
    let mut next = 0;
    while next < count {
        let end = (next + FILL_PIPELINE).min(count);
        let commands: Vec<Command> = (next..end).map(&command).collect();
        let replies =
            client.try_pipeline(&commands).map_err(|error| format!("cannot fill the server: {error}"))?;
        if let Some(error) = replies.iter().find(|reply| reply.is_error()) {
            return Err(format!("cannot fill the server: {error}"));
        }
        next = end;
    }
    Ok(())
}
