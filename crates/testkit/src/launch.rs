//! How a server is started: which binary, which options, and how we know that it is ready.
//!
//! A free port cannot be asked for and kept, so one is drawn and the start is repeated if somebody else took it in
//! between. The server counts as ready when it answers and its own log says so: an answer alone might come from
//! somebody else's server on the same port. The log is a file, so that no thread has to drain a pipe.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::time::{Duration, Instant};

use crate::random::unique_number;
use crate::wait::POLL_INTERVAL;
use crate::{Client, Directory, Random, Server, replay};

/// How long a server may take until it is ready, unless told otherwise.
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// How many ports are tried.
const PORT_ATTEMPTS: usize = 20;
/// Ports are drawn from here: below the range that Linux gives to outgoing connections.
const PORT_FIRST: u16 = 15_000;
const PORT_COUNT: usize = 16_000;
/// What both servers log when they are ready.
const READY_LINE: &str = "Ready to accept connections";

/// Serving threads of a RustRedis under test: its default may be one, and then nothing runs at the same time.
/// [`Launch::arguments`] may say otherwise.
const THREADS: &str = "2";

/// Which server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binary {
    /// RustRedis with this `--engine`, on two threads.
    Rustredis(String),
    /// Debian's redis-server.
    Redis,
    /// Any binary, without options of our own but the port and the directory.
    Path(PathBuf),
    /// A RustRedis that is not the one of the tests, with this `--engine`.
    At {
        /// The file.
        path: PathBuf,
        /// The engine.
        engine: String,
    },
}

impl Binary {
    /// The file to run.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Rustredis(_) => rustredis_path(),
            Self::Redis => PathBuf::from("redis-server"),
            Self::Path(path) | Self::At { path, .. } => path.clone(),
        }
    }

    /// What it is called in messages: the engine, or the file.
    pub fn name(&self) -> String {
        match self {
            Self::Rustredis(engine) | Self::At { engine, .. } => engine.clone(),
            Self::Redis | Self::Path(_) => self.path().display().to_string(),
        }
    }

    /// True if the file is a redis-server (by its name), which does not know our options.
    pub fn is_redis(&self) -> bool {
        self.path().file_name().is_some_and(|name| name.to_string_lossy().contains("redis-server"))
    }
}

/// `RUSTREDIS_BIN`, or `rustredis` in the profile's directory that holds the running program.
fn rustredis_path() -> PathBuf {
    if let Some(path) = std::env::var_os("RUSTREDIS_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap_or_default();
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("rustredis"))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no rustredis beside {}: build it, or set RUSTREDIS_BIN", own.display()))
}

/// A server that will be started: its binary and options.
#[derive(Debug, Clone)]
pub struct Launch {
    binary: Binary,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    config: Option<String>,
    has_unix_socket: bool,
    has_defaults: bool,
    data: Option<PathBuf>,
    ready_deadline: Duration,
    replay: Replay,
}

/// What happens to a server when it is dropped: see [`crate::replay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// It is stopped.
    No,
    /// What it holds is compared with what DEBUG LOADAOF gives.
    Loading,
    /// And with what a restart gives.
    LoadingAndRestart,
}

/// What a server must do before its start is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// Answer PING and say in its log that it is ready.
    Ready,
    /// Answer anything: it may be loading.
    Listening,
}

/// A server that ended by itself.
#[derive(Debug)]
pub struct Exited {
    /// The exit code; None if a signal ended it.
    pub code: Option<i32>,
    /// All that it wrote to stdout and stderr.
    pub log: String,
}

/// Why a server is not running.
#[derive(Debug)]
pub(crate) enum StartError {
    Io(io::Error),
    Exited(Exited),
    NotReady(String),
}

impl StartError {
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Io(error) => error,
            other => io::Error::other(other.to_string()),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(out, "{error}"),
            Self::Exited(exited) => write!(out, "it ended with code {:?}:\n{}", exited.code, exited.log),
            Self::NotReady(log) => write!(out, "not ready in time:\n{log}"),
        }
    }
}

impl Launch {
    /// A server without snapshots, on a free port of 127.0.0.1, in a directory of its own.
    pub fn new(binary: Binary) -> Self {
        Self {
            binary,
            arguments: Vec::new(),
            environment: Vec::new(),
            config: None,
            has_unix_socket: false,
            has_defaults: true,
            data: None,
            ready_deadline: READY_DEADLINE,
            replay: Replay::No,
        }
    }

    /// Adds options, as they stand on a command line. A real redis-server gets them without `--engine`, `--metrics`
    /// and `--threads` (and the value of each).
    #[must_use]
    pub fn arguments<A: AsRef<str>>(mut self, arguments: &[A]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable of the server.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it with a config file of this text (`redis.conf` in its directory).
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// Makes it listen on a unix socket as well ([`Server::unix_client`]).
    #[must_use]
    pub fn unix_socket(mut self) -> Self {
        self.has_unix_socket = true;
        self
    }

    /// Keeps its files (RDB, AOF) in this directory, which outlives it, instead of in its own.
    #[must_use]
    pub fn data(mut self, directory: &Path) -> Self {
        self.data = Some(directory.to_path_buf());
        self
    }

    /// Gives it an append-only file, with which it is compared when it is dropped.
    #[must_use]
    pub fn replayed(mut self, replay: Replay) -> Self {
        self.replay = replay;
        if replay == Replay::No { self } else { self.arguments(&replay::OPTIONS) }
    }

    /// Changes how long it may take until it is ready.
    #[must_use]
    pub fn ready_within(mut self, limit: Duration) -> Self {
        self.ready_deadline = limit;
        self
    }

    /// Gives it nothing but [`Self::arguments`]: no port, directory or engine. For [`Self::run_to_exit`].
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.has_defaults = false;
        self
    }

    /// Starts it and waits until it is ready. Panics with its log if it does not get there.
    #[track_caller]
    pub fn start(self) -> Server {
        match self.attempt(Readiness::Ready) {
            Ok(server) => server,
            Err(error) => panic!("cannot start {}: {error}", self.binary.path().display()),
        }
    }

    /// Starts it and waits until it is ready, or tells why it is not.
    pub fn try_start(self) -> io::Result<Server> {
        self.attempt(Readiness::Ready).map_err(StartError::into_io)
    }

    /// Starts it and waits only until it answers, be it with `-LOADING`.
    #[track_caller]
    pub fn start_loading(self) -> Server {
        match self.attempt(Readiness::Listening) {
            Ok(server) => server,
            Err(error) => panic!("cannot start {}: {error}", self.binary.path().display()),
        }
    }

    /// Starts it and waits until it ends by itself; panics if it is still running after `limit`.
    #[track_caller]
    pub fn run_to_exit(self, limit: Duration) -> Exited {
        let directory = Directory::new();
        let port = free_port();
        let spawned = self.spawn(directory.path(), port);
        let mut child =
            spawned.unwrap_or_else(|error| panic!("cannot run {}: {error}", self.binary.path().display()));
        let end = Instant::now() + limit;
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                return Exited { code: status.code(), log: read_log(directory.path(), 0) };
            }
            if Instant::now() > end {
                // It is ours and still runs, so that neither call can fail in a way that matters.
                let _ = child.kill();
                let _ = child.wait();
                panic!("still running after {limit:?}:\n{}", read_log(directory.path(), 0));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn attempt(&self, readiness: Readiness) -> Result<Server, StartError> {
        let mut last = None;
        for _ in 0..PORT_ATTEMPTS {
            let directory = Directory::try_new().map_err(StartError::Io)?;
            let port = free_port();
            match self.run_at(directory.path(), port, 0, readiness) {
                Ok(child) => return Ok(self.server(child, directory, port)),
                Err(StartError::Exited(exited)) if is_port_taken(&exited.log) => {
                    last = Some(StartError::Exited(exited));
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| StartError::NotReady(String::new())))
    }

    /// Starts it once more where it was: the same directory, the same port. What it logged before stays in the log, up to
    /// `log_start`.
    pub(crate) fn again(&self, directory: &Path, port: u16, log_start: u64) -> Result<Child, StartError> {
        self.run_at(directory, port, log_start, Readiness::Ready)
    }

    /// As [`Self::again`], but returns as soon as it answers anything.
    pub(crate) fn again_loading(
        &self,
        directory: &Path,
        port: u16,
        log_start: u64,
    ) -> Result<Child, StartError> {
        self.run_at(directory, port, log_start, Readiness::Listening)
    }

    fn run_at(
        &self,
        directory: &Path,
        port: u16,
        log_start: u64,
        readiness: Readiness,
    ) -> Result<Child, StartError> {
        let mut child = self.spawn(directory, port).map_err(StartError::Io)?;
        match self.wait_until(readiness, &mut child, directory, port, log_start) {
            Ok(()) => Ok(child),
            Err(error) => {
                // It may have ended by itself; then there is nothing to end.
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    fn server(&self, child: Child, directory: Directory, port: u16) -> Server {
        let unix_socket = self.has_unix_socket.then(|| directory.path().join(SOCKET_FILE));
        Server::adopt(child, directory, address(port), unix_socket, self.clone())
    }

    pub(crate) fn binary(&self) -> &Binary {
        &self.binary
    }

    pub(crate) fn replay(&self) -> Replay {
        self.replay
    }

    /// The last value of an option among the arguments.
    pub(crate) fn value_of(&self, option: &str) -> Option<&str> {
        let index = self.arguments.iter().rposition(|argument| argument == option)?;
        self.arguments.get(index + 1).map(String::as_str)
    }

    /// Where its files are, if not in its own directory.
    pub(crate) fn data_directory(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    fn spawn(&self, directory: &Path, port: u16) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(directory.join(LOG_FILE))?;
        let mut program = Program::new(self.binary.path());
        if let Some(config) = &self.config {
            let path = directory.join("redis.conf");
            fs::write(&path, config)?;
            program.arg(path);
        }
        if self.has_defaults {
            program.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
            program.arg("--dir").arg(self.data.as_deref().unwrap_or(directory));
            if let Binary::Rustredis(engine) | Binary::At { engine, .. } = &self.binary {
                self.own_options(&mut program, engine);
            }
        }
        if self.has_unix_socket {
            program.arg("--unixsocket").arg(directory.join(SOCKET_FILE));
        }
        program.args(self.supported_arguments());
        // SORT ALPHA compares as the locale says.
        program.env("LC_ALL", "C").envs(self.environment.iter().map(|(name, value)| (name, value)));
        program.current_dir(directory).stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
        program.spawn()
    }

    fn own_options(&self, program: &mut Program, engine: &str) {
        if !self.binary.is_redis() {
            program.args(["--engine", engine, "--threads", THREADS]);
        }
    }

    fn supported_arguments(&self) -> Vec<String> {
        if !self.binary.is_redis() {
            return self.arguments.clone();
        }
        let mut supported = Vec::new();
        let mut arguments = self.arguments.iter();
        while let Some(argument) = arguments.next() {
            if ["--engine", "--metrics", "--threads"].contains(&argument.as_str()) {
                arguments.next();
            } else {
                supported.push(argument.clone());
            }
        }
        supported
    }

    fn wait_until(
        &self,
        readiness: Readiness,
        child: &mut Child,
        directory: &Path,
        port: u16,
        log_start: u64,
    ) -> Result<(), StartError> {
        // A server that logs elsewhere, or little, cannot say that it is ready.
        let is_silent =
            self.arguments.iter().any(|argument| ["--logfile", "--loglevel"].contains(&argument.as_str()));
        let end = Instant::now() + self.ready_deadline;
        let says_ready = || is_silent || read_log(directory, log_start).contains(READY_LINE);
        while Instant::now() < end {
            if let Some(status) = child.try_wait().map_err(StartError::Io)? {
                let log = read_log(directory, log_start);
                return Err(StartError::Exited(Exited { code: status.code(), log }));
            }
            if (readiness == Readiness::Listening || says_ready()) && has_answered(port) {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Err(StartError::NotReady(read_log(directory, log_start)))
    }
}

/// True if a PING is answered. The connection is closed by the server, so that few tests ever see it.
fn has_answered(port: u16) -> bool {
    let Ok(mut client) = Client::try_connect(address(port)) else { return false };
    let has_answered = client.try_call(&["PING"]).is_ok();
    if has_answered && client.try_call(&["QUIT"]).is_ok() {
        // It ends with an error, as it should.
        while client.try_read().is_ok() {}
    }
    has_answered
}

const LOG_FILE: &str = "server.log";
const SOCKET_FILE: &str = "server.sock";

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn is_port_taken(log: &str) -> bool {
    log.contains("Address already in use") || log.contains("in use")
}

/// What was logged from this byte on.
pub(crate) fn read_log(directory: &Path, start: u64) -> String {
    let read = || {
        let mut file = File::open(directory.join(LOG_FILE))?;
        file.seek(SeekFrom::Start(start))?;
        let mut log = Vec::new();
        file.read_to_end(&mut log).map(|_| String::from_utf8_lossy(&log).into_owned())
    };
    read().unwrap_or_default()
}

/// How much was logged so far, in bytes.
pub(crate) fn log_length(directory: &Path) -> u64 {
    fs::metadata(directory.join(LOG_FILE)).map_or(0, |metadata| metadata.len())
}

/// A port that nobody listened on a moment ago.
fn free_port() -> u16 {
    let mut random = Random::new(unique_number());
    loop {
        let port = PORT_FIRST + random.below(PORT_COUNT) as u16;
        if TcpListener::bind(address(port)).is_ok() {
            return port;
        }
    }
}
