//! Servers of the lab's own: found, built, started, watched, stopped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustredis_testkit::{Binary, Client, Launch, Reply, Server, process};

use crate::cell::{Program, Setup};
use crate::load::Generator;
use crate::placement::Placement;
use crate::usage::Usage;

/// Engines that the lab knows of; which of them the server offers, it asks.
pub const ENGINES: &[&str] = &["mutex", "dashmap", "actor", "lockfree"];

/// The programs of a run, with their versions.
#[derive(Debug, Clone)]
pub struct Programs {
    /// This repository's server.
    pub rustredis: Option<PathBuf>,
    /// The engines alone.
    pub in_process: Option<PathBuf>,
    /// Engines that the server offers.
    pub engines: Vec<String>,
    /// Name and version of each program that is there.
    pub versions: Vec<(String, String)>,
    /// Where servers and the generator run.
    pub placement: Placement,
}

/// Why there is no running server.
#[derive(Debug)]
pub enum StartError {
    /// It is not here, or does not have what is asked for: the reason.
    Absent(String),
    /// It should run and does not.
    Failed(String),
}

impl Programs {
    /// Builds RustRedis (unless `server` names a binary) and looks for the others.
    pub fn find(server: Option<&Path>) -> Result<Self, String> {
        // Servers are started in directories of their own, where a relative path leads nowhere.
        let server = server.map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        let (rustredis, in_process) = match server.as_deref() {
            Some(path) => {
                let beside = path.with_file_name("rustredis-lab-inprocess");
                (path.to_owned(), beside.is_file().then_some(beside))
            }
            None => {
                let built = build()?;
                (built.join("rustredis"), Some(built.join("rustredis-lab-inprocess")))
            }
        };
        if !rustredis.is_file() {
            return Err(format!("there is no server at {}", rustredis.display()));
        }
        let mut programs = Self {
            rustredis: Some(rustredis.clone()),
            in_process,
            engines: Vec::new(),
            versions: Vec::new(),
            placement: Placement::default(),
        };
        programs.engines = offered_engines(&rustredis);
        let candidates = [
            ("rustredis", rustredis.to_string_lossy().into_owned()),
            ("redis-server", "redis-server".to_owned()),
            ("valkey-server", "valkey-server".to_owned()),
            ("redis-benchmark", "redis-benchmark".to_owned()),
            ("memtier_benchmark", "memtier_benchmark".to_owned()),
        ];
        for (name, path) in candidates {
            if let Some(version) = first_line(&path, &["--version"]) {
                programs.versions.push((name.to_owned(), version));
            }
        }
        Ok(programs)
    }

    /// Whether a program of this name was found.
    pub fn has(&self, name: &str) -> bool {
        self.versions.iter().any(|(other, _)| other == name)
    }

    /// Starts a server.
    pub fn start(&self, setup: &Setup) -> Result<Running, StartError> {
        let path = match setup.program {
            Program::Rustredis => self.rustredis.clone(),
            Program::Redis => self.has("redis-server").then(|| PathBuf::from("redis-server")),
            Program::Valkey => self.has("valkey-server").then(|| PathBuf::from("valkey-server")),
        };
        let Some(path) = path else {
            return Err(StartError::Absent(
                format!("{:?} is not installed here", setup.program).to_lowercase(),
            ));
        };
        let launch =
            Launch::new(Binary::Path(path)).arguments(&self.placement.options()).arguments(&setup.options);
        let started = match &self.placement.server_cpus {
            Some(cpus) => cpus.while_pinned(|| launch.try_start()).map_err(StartError::Failed)?,
            None => launch.try_start(),
        };
        match started {
            Ok(server) => {
                let running = Running { server: Some(server), placement: self.placement.clone() };
                if wants_aof(setup) && !running.has_aof() {
                    return Err(StartError::Absent(
                        "the server has no AOF: it starts, and INFO persistence does not say that one is on"
                            .to_owned(),
                    ));
                }
                Ok(running)
            }
            Err(error) => {
                let text = error.to_string();
                let last = last_line(&text);
                if is_refusal(&text) { Err(StartError::Absent(last)) } else { Err(StartError::Failed(last)) }
            }
        }
    }
}

fn wants_aof(setup: &Setup) -> bool {
    setup.options.windows(2).any(|pair| pair[0] == "--appendonly" && pair[1] == "yes")
}

/// A server refuses an option that it does not have, at once and in words.
fn is_refusal(log: &str) -> bool {
    let log = log.to_lowercase();
    [
        "bad directive",
        "unknown",
        "not supported",
        "no such",
        "argument(s) must be",
        "fatal config",
        "not there yet",
    ]
    .iter()
    .any(|words| log.contains(words))
}

fn last_line(text: &str) -> String {
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or(text);
    last.chars().take(300).collect()
}

/// Those of [`ENGINES`] with which the server starts.
fn offered_engines(server: &Path) -> Vec<String> {
    let starts = |engine: &&str| {
        let launch = Launch::new(Binary::Path(server.to_owned())).arguments(&["--engine", engine]);
        launch.try_start().map(|server| server.end()).is_ok()
    };
    ENGINES.iter().filter(|engine| starts(engine)).map(|engine| (*engine).to_owned()).collect()
}

/// Builds the server and the engines' bench in release mode; the directory that they are in.
fn build() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(&root).args(["build", "--release", "--message-format", "json-render-diagnostics"]);
    command.args(["--package", "rustredis", "--package", "rustredis-lab-inprocess"]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err("cargo could not build the server; --server PATH takes one that is built".to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let executables = text.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    let server =
        executables.into_iter().find(|path| path.file_name().is_some_and(|name| name == "rustredis"));
    let directory = server.as_deref().and_then(Path::parent).map(Path::to_owned);
    directory.ok_or_else(|| "cargo did not say where it put the server".to_owned())
}

/// The first line that a program writes, if it can be run.
pub fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    text.lines().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Running {
    server: Option<Server>,
    placement: Placement,
}

impl Running {
    fn server(&self) -> &Server {
        self.server.as_ref().expect("only the drop takes the server out")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server().address()
    }

    /// Where the generator finds it.
    pub fn reach(&self) -> SocketAddr {
        self.placement.reach(self.address())
    }

    /// Where loads on it are sent from.
    pub fn generator(&self) -> &Generator {
        &self.placement.generator
    }

    /// Whether that is another process, on another machine as a rule.
    pub fn has_far_generator(&self) -> bool {
        self.placement.generator.address.is_some()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.server().pid()
    }

    /// Whether INFO says that an AOF is being written.
    fn has_aof(&self) -> bool {
        let info = self.client().ok().and_then(|mut client| client.try_call(&["INFO", "persistence"]).ok());
        matches!(info, Some(Reply::Bulk(text)) if String::from_utf8_lossy(&text).contains("aof_enabled:1"))
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        Usage::of(self.pid())
    }

    /// Its resident memory in bytes.
    pub fn bytes(&self) -> u64 {
        process::resident_bytes(self.pid()).unwrap_or_default()
    }

    /// A connection for commands beside the load.
    pub fn client(&self) -> Result<Client, String> {
        Client::try_connect(self.address()).map_err(|error| format!("cannot connect: {error}"))
    }

    /// The end of its process, if it has ended: in words, with the last line of its log.
    pub fn death(&mut self) -> Option<String> {
        let server = self.server.as_mut()?;
        if server.is_running() {
            return None;
        }
        let exited = server.wait_for_exit(Duration::ZERO);
        let code = exited.code.map_or_else(|| "by a signal".to_owned(), |code| format!("with code {code}"));
        Some(format!("the server died {code}: {}", last_line(&exited.log)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.end();
        }
    }
}
