//! What a comparison has measured, as it is kept: the document is made from this alone.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A server that was compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// As tables call it.
    pub name: String,
    /// The file that was run.
    pub program: String,
    /// What it says of itself.
    pub version: String,
    /// Options beyond port and directory.
    pub options: Vec<String>,
}

/// A command's cost on a server, in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The server's name.
    pub server: String,
    /// The command's.
    pub command: String,
    /// Requests under way per connection.
    pub pipeline: usize,
    /// Which repetition.
    pub round: u32,
    /// Processor time of the server per request, microseconds.
    pub cpu_us: f64,
    /// Requests a second.
    pub rate: f64,
    /// Processors that the server used.
    pub cores: f64,
}

/// Latencies at a given rate, in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// The server's name.
    pub server: String,
    /// Connections.
    pub clients: usize,
    /// The rate as a share of the slowest server's peak, in hundredths.
    pub percent: u32,
    /// Requests a second that were intended.
    pub rate: f64,
    /// Which repetition.
    pub round: u32,
    /// Latencies from the intended send time on, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 took no longer.
    pub p99_us: f64,
    /// 999 of 1,000 took no longer.
    pub p999_us: f64,
    /// 99 of 100 requests were sent no later than so long after they were due.
    pub late_p99_us: f64,
}

/// What a shape of data takes on a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The server's name.
    pub server: String,
    /// What was written.
    pub shape: String,
    /// Growth of the resident memory, per key or per element, in bytes; none where the server lacks the type.
    pub bytes: Option<f64>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Raw {
    /// When it began, seconds since 1970.
    pub unix_seconds: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The command line.
    pub command: String,
    /// The machine, line by line.
    pub machine: Vec<(String, String)>,
    /// The servers; ratios are to the first.
    pub servers: Vec<Server>,
    /// Servers that were looked for and are not installed.
    pub missing: Vec<String>,
    /// Repetitions.
    pub rounds: u32,
    /// How long a command was measured at a time, in seconds.
    pub cost_seconds: f64,
    /// How long latencies were.
    pub tail_seconds: f64,
    /// Connections while commands were measured.
    pub clients: usize,
    /// Keys, or elements, of each shape of data.
    pub keys: u64,
    /// Processors that somebody else used, on average, while time was measured.
    pub foreign_cores: f64,
    /// Costs.
    pub costs: Vec<Cost>,
    /// Servers and commands that they do not have.
    pub absent: Vec<(String, String)>,
    /// Latencies.
    pub tails: Vec<Tail>,
    /// Memory.
    pub memory: Vec<Memory>,
    /// What went wrong, in words.
    pub failures: Vec<String>,
}

impl Raw {
    /// Reads what [`Self::write`] has written.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Writes it as JSON.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string(self).map_err(|error| error.to_string())?;
        put(path, &(text + "\n"))
    }

    /// Whether a server lacks a command.
    pub fn is_absent(&self, server: &str, command: &str) -> bool {
        self.absent.iter().any(|(at, what)| at == server && what == command)
    }
}

/// Writes a file, its directory first.
pub(super) fn put(path: &Path, text: &str) -> Result<(), String> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let made = directory.map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text)).map_err(|error| format!("{}: {error}", path.display()))
}
