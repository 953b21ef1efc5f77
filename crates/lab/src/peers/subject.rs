//! The servers of a comparison: named on the command line, started side by side, asked what they have used.
//!
//! Unlike the lab's own servers these may be any program that speaks Redis's protocol: nothing is believed of its log, and it
//! counts as ready when it answers PING. Port and directory are said as Redis takes them, or wherever the options say `{port}`
//! and `{dir}`.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustredis_testkit::{Client, Directory, process};

use crate::target::{Programs, first_line};
use crate::usage::Usage;

/// How long a server may take until it answers.
const READY_DEADLINE: Duration = Duration::from_secs(20);
const READY_INTERVAL: Duration = Duration::from_millis(10);
/// How often a start is repeated with another port.
const ATTEMPTS: usize = 3;
/// Its output, in its directory.
const LOG_FILE: &str = "log";

/// A server as it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// For readers.
    pub name: String,
    /// The file to run, or a name that is looked for in PATH.
    pub path: PathBuf,
    /// Options beyond port and directory; or all of them, if one says `{port}`.
    pub options: Vec<String>,
}

impl Subject {
    fn new(name: &str, path: impl Into<PathBuf>, options: &str) -> Self {
        let options = options.split_whitespace().map(str::to_owned).collect();
        Self { name: name.to_owned(), path: path.into(), options }
    }

    /// What it says of its version, if it can be run.
    pub fn version(&self) -> Option<String> {
        first_line(&self.path.to_string_lossy(), &["--version"])
    }

    /// All that it is started with.
    fn arguments(&self, port: u16, directory: &Path) -> Vec<String> {
        let (port, directory) = (port.to_string(), directory.display().to_string());
        if self.options.iter().any(|option| option.contains("{port}")) {
            let filled = |option: &String| option.replace("{port}", &port).replace("{dir}", &directory);
            return self.options.iter().map(filled).collect();
        }
        let usual = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", &directory];
        usual.into_iter().map(str::to_owned).chain(self.options.iter().cloned()).collect()
    }

    /// Starts it and waits until it answers.
    pub fn start(&self) -> Result<Running, String> {
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            match self.attempt() {
                Ok(running) => return Ok(running),
                Err(error) => reason = error,
            }
        }
        Err(format!("{} does not start: {reason}", self.name))
    }

    fn attempt(&self) -> Result<Running, String> {
        let directory = Directory::try_new().map_err(|error| error.to_string())?;
        let port = free_port().map_err(|error| format!("no port: {error}"))?;
        let spawn = || {
            let log = File::create(directory.path().join(LOG_FILE))?;
            let mut command = Command::new(&self.path);
            command.args(self.arguments(port, directory.path())).current_dir(directory.path());
            command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log).spawn()
        };
        let child = spawn().map_err(|error| format!("{}: {error}", self.path.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut running = Running { child, address, directory };
        let end = Instant::now() + READY_DEADLINE;
        loop {
            if running.is_answering() {
                return Ok(running);
            }
            if let Some(death) = running.death() {
                return Err(death);
            }
            if Instant::now() > end {
                return Err(format!("no answer within {READY_DEADLINE:?}"));
            }
            std::thread::sleep(READY_INTERVAL);
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=PATH[:OPTIONS]"))?;
        let (path, options) = rest.split_once(':').unwrap_or((rest, ""));
        if name.is_empty() || path.is_empty() {
            return Err(format!("{text:?} is not NAME=PATH[:OPTIONS]"));
        }
        // Servers are started in directories of their own, where a relative path leads nowhere. Links stay: Debian's
        // redis-server is one, to a program that looks at the name that it is called by.
        let path = if path.contains('/') {
            std::path::absolute(path).unwrap_or_else(|_| path.into())
        } else {
            path.into()
        };
        Ok(Self::new(name, path, options))
    }
}

/// What is compared unless the command line says: this repository's server on each engine, then whoever is installed. And the
/// names of those who are not.
pub(super) fn usual(server: Option<&Path>) -> Result<(Vec<Subject>, Vec<String>), String> {
    let programs = Programs::find(server)?;
    let ours = programs.rustredis.clone().ok_or("there is no server of ours")?;
    let mut engines = programs.engines.clone();
    // Ratios are to the first: the default engine.
    engines.sort_by_key(|engine| engine != crate::plan::DEFAULT_ENGINE);
    let mut subjects: Vec<Subject> =
        engines.iter().map(|engine| Subject::new(engine, &ours, &format!("--engine {engine}"))).collect();
    let others = [
        ("redis", "redis-server", ""),
        ("redis io-threads 2", "redis-server", "--io-threads 2 --io-threads-do-reads yes"),
        ("valkey", "valkey-server", ""),
        ("valkey io-threads 2", "valkey-server", "--io-threads 2"),
        ("kevy", "kevy", KEVY_OPTIONS),
    ];
    let others = others.map(|(name, path, options)| Subject::new(name, path, options));
    let (there, missing): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|subject| subject.version().is_some());
    subjects.extend(there);
    Ok((subjects, missing.into_iter().map(|subject| subject.name).collect()))
}

/// It takes no empty `--save`, and a thread for each core unless told; ours has one on two cores.
const KEVY_OPTIONS: &str = "--port {port} --bind 127.0.0.1 --dir {dir} --no-aof --threads 1";

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    address: SocketAddr,
    directory: Directory,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection for commands beside the load.
    pub fn client(&self) -> Result<Client, String> {
        Client::try_connect(self.address).map_err(|error| format!("cannot connect: {error}"))
    }

    fn is_answering(&self) -> bool {
        let Ok(mut client) = Client::try_connect(self.address) else { return false };
        client.try_call(&["PING"]).is_ok_and(|reply| !reply.is_error())
    }

    /// Processor time that its threads have used, those that have ended left out.
    pub fn cpu(&self) -> Duration {
        Usage::of(self.child.id()).since(&Usage::default()).cpu
    }

    /// Its resident memory in bytes.
    pub fn bytes(&self) -> u64 {
        process::resident_bytes(self.child.id()).unwrap_or_default()
    }

    /// The end of its process, if it has ended, with the last line that it wrote.
    pub fn death(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let log = fs::read_to_string(self.directory.path().join(LOG_FILE)).unwrap_or_default();
        let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        Some(format!("it ended ({status}): {last}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; it keeps nothing that is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read() {
        let subject: Subject = "io 2=redis-server:--io-threads 2".parse().unwrap();
        assert_eq!(subject, Subject::new("io 2", "redis-server", "--io-threads 2"));
        assert_eq!("a=b".parse::<Subject>().unwrap().options, Vec::<String>::new());
        for wrong in ["redis-server", "=x", "a=", "a=:--port 1"] {
            assert!(wrong.parse::<Subject>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_link_is_called_by_its_own_name() {
        let directory = std::env::temp_dir().join(format!("rustredis-lab-link-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let link = directory.join("server");
        std::os::unix::fs::symlink("/bin/true", &link).unwrap();
        let subject: Subject = format!("a={}", link.display()).parse().unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(subject.path, link);
    }

    #[test]
    fn a_server_may_have_its_own_way_to_say_port_and_directory() {
        let usual = Subject::new("a", "b", "--io-threads 2").arguments(7, Path::new("/d"));
        assert_eq!(
            usual,
            ["--port", "7", "--bind", "127.0.0.1", "--save", "", "--dir", "/d", "--io-threads", "2"]
        );
        let own = Subject::new("a", "b", "listen=127.0.0.1:{port} at={dir}").arguments(7, Path::new("/d"));
        assert_eq!(own, ["listen=127.0.0.1:7", "at=/d"]);
    }

    #[test]
    fn a_server_runs_uses_time_and_ends_with_its_owner() {
        let mut running = "r=redis-server".parse::<Subject>().unwrap().start().unwrap();
        assert!(running.death().is_none() && running.bytes() > 1_000_000 && running.cpu() > Duration::ZERO);
        let address = running.address();
        drop(running);
        assert!(Client::try_connect(address).is_err());
    }

    #[test]
    fn what_does_not_start_says_why() {
        let error = "r=redis-server:--nonsense 1".parse::<Subject>().unwrap().start().unwrap_err();
        assert!(error.starts_with("r does not start: it ended"), "{error}");
        assert!("r=/none".parse::<Subject>().unwrap().start().unwrap_err().contains("/none"));
    }
}
