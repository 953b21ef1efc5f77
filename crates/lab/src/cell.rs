//! What is measured: a cell of the matrix, and what came out of measuring it.
//!
//! A cell's identity is its content, so experiments that need the same measurement share it, and a run that is resumed, or
//! compared with another, finds it again.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Which program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// This repository's server, built by the lab.
    Rustredis,
    /// redis-server, from PATH.
    Redis,
    /// valkey-server, from PATH.
    Valkey,
}

/// A server as it is started.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Setup {
    /// The program.
    pub program: Program,
    /// For readers, and in the cell's identity; other options need another label. Tells engine and threads.
    pub label: String,
    /// Serving threads, where the program lets them be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Options beyond port, directory and `--save ""`.
    pub options: Vec<String>,
}

impl Setup {
    /// RustRedis with an engine, threads, and more options. The label tells engine, threads, and what `more` means.
    pub fn rustredis(engine: &str, threads: usize, more: &[String]) -> Self {
        let count = threads.to_string();
        let mut options = ["--engine", engine, "--threads", &count].map(str::to_owned).to_vec();
        options.extend_from_slice(more);
        let label = format!("{engine} T{threads}{}", told(more));
        Self { program: Program::Rustredis, label, threads: Some(threads), options }
    }

    /// A Redis or Valkey with more options.
    pub fn other(program: Program, name: &str, more: &[String]) -> Self {
        Self { program, label: format!("{name}{}", told(more)), threads: None, options: more.to_vec() }
    }

    /// The engine's name, or the program's.
    pub fn name(&self) -> &str {
        self.label.split([' ', ',']).next().unwrap_or_default()
    }

    /// Threads that serve: what was chosen, or the one of a Redis, or its I/O threads.
    pub fn serving_threads(&self) -> usize {
        let io = self.options.windows(2).find(|pair| pair[0] == "--io-threads");
        self.threads.or_else(|| io?[1].parse().ok()).unwrap_or(1)
    }
}

/// Options as a label tells them: without dashes, each after a comma.
fn told(options: &[String]) -> String {
    let is_name = |option: &str| option.starts_with("--");
    let word = |option: &String| {
        if is_name(option) { format!(", {}", &option[2..]) } else { format!(" {option}") }
    };
    options.iter().map(word).collect()
}

/// A closed-loop load on a server over TCP: for throughput and efficiency, never for latency. A closed loop's latency is the
/// inverse of its throughput, and two servers in it are at unequal loads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tcp {
    /// The server.
    pub setup: Setup,
    /// Name of the workload.
    pub workload: String,
    /// Connections.
    pub clients: usize,
    /// Requests under way per connection.
    pub pipeline: usize,
    /// Threads of the generator.
    pub generators: usize,
}

/// An open-loop load, with exponential gaps, at a share of what the slowest of several servers can do: for latency. Cells
/// with the same load have the same rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// The server.
    pub setup: Setup,
    /// Name of the workload.
    pub workload: String,
    /// Connections.
    pub clients: usize,
    /// Threads of the generator.
    pub generators: usize,
    /// The name in the rules of the peak that the rate is a share of. What it is here stands in `run.json` and in each
    /// trial (`more`, [`RATE`]).
    pub peak: String,
    /// That share, in percent.
    pub percent: u32,
    /// How long it is measured, where that is longer than others are: in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_ms: Option<u64>,
}

/// In [`Measure::more`]: the rate that an open loop was asked for, requests a second.
pub const RATE: &str = "rate_asked";

/// How long somebody waits who could be starved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    /// The server.
    pub setup: Setup,
    /// Name of the case.
    pub case: String,
}

/// A snapshot and an AOF rewrite under an open-loop load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The server.
    pub setup: Setup,
    /// Requests a second.
    pub rate: u32,
}

/// The engine alone, in a process of its own, without a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InProcess {
    /// `--engine`
    pub engine: String,
    /// `--metrics`
    pub metrics: String,
    /// Threads.
    pub threads: usize,
    /// Name of the workload.
    pub workload: String,
    /// Commands of a batch.
    pub batch: usize,
    /// Whether lock waits are measured, which slows the run.
    pub contention: bool,
    /// Instead of an engine: the same commands under one lock of this kind (`--lock`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
}

/// Another load generator on redis-server, beside ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// `redis-benchmark` or `memtier_benchmark`
    pub tool: String,
    /// `get` or `set`
    pub workload: String,
    /// Connections.
    pub clients: usize,
    /// Requests under way per connection.
    pub pipeline: usize,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Cell {
    /// Over TCP, closed loop.
    Tcp(Tcp),
    /// Over TCP, open loop.
    Tail(Tail),
    /// Over TCP, through a snapshot.
    Snapshot(Snapshot),
    /// The engine alone.
    InProcess(InProcess),
    /// Another generator.
    Reference(Reference),
    /// Who could be starved.
    Fairness(Fairness),
}

impl Cell {
    /// Its identity.
    pub fn id(&self) -> String {
        self.to_string()
    }

    /// What kind of cell, for readers.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "closed loop",
            Self::Tail(_) => "open loop",
            Self::Snapshot(_) => "snapshots",
            Self::InProcess(_) => "in process",
            Self::Reference(_) => "other generators",
            Self::Fairness(_) => "fairness",
        }
    }

    /// What is asked of a server, whichever it is: cells with the same load are measured next to each other.
    pub fn load(&self) -> String {
        match self {
            Self::Tcp(tcp) => format!("tcp {} {} {}", tcp.workload, tcp.clients, tcp.pipeline),
            Self::Tail(tail) => format!("tail {} {} {}", tail.workload, tail.peak, tail.percent),
            Self::Snapshot(_) => "snapshot".to_owned(),
            Self::InProcess(cell) => format!("in-process {} {}", cell.workload, cell.batch),
            // Beside ours on the same server.
            Self::Reference(cell) => format!("tcp {} {} {}", cell.workload, cell.clients, cell.pipeline),
            Self::Fairness(cell) => format!("fairness {}", cell.case),
        }
    }

    /// Its server, where it has one of its own.
    pub fn setup(&self) -> Option<&Setup> {
        match self {
            Self::Tcp(Tcp { setup, .. })
            | Self::Tail(Tail { setup, .. })
            | Self::Snapshot(Snapshot { setup, .. })
            | Self::Fairness(Fairness { setup, .. }) => Some(setup),
            Self::InProcess(_) | Self::Reference(_) => None,
        }
    }

    /// The name of the peak that its rate is a share of, in an open loop.
    pub fn peak(&self) -> Option<&str> {
        match self {
            Self::Tail(tail) => Some(&tail.peak),
            _ => None,
        }
    }

    /// Threads that want a core at the same time: the server's, and the generator's.
    pub fn threads(&self) -> usize {
        match self {
            Self::Tcp(Tcp { setup, generators, .. }) | Self::Tail(Tail { setup, generators, .. }) => {
                setup.serving_threads() + generators
            }
            Self::Snapshot(Snapshot { setup, .. }) | Self::Fairness(Fairness { setup, .. }) => {
                setup.serving_threads() + 1
            }
            Self::InProcess(cell) => cell.threads,
            Self::Reference(_) => 2,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(Tcp { setup, workload, clients, pipeline, generators }) => {
                write!(out, "tcp {}, {workload}, {clients} clients, P{pipeline}, G{generators}", setup.label)
            }
            Self::Tail(Tail { setup, workload, clients, generators, peak, percent, .. }) => write!(
                out,
                "tail {}, {workload}, {clients} clients, {percent}% of {peak}, G{generators}",
                setup.label
            ),
            Self::Snapshot(Snapshot { setup, rate }) => write!(out, "snapshot {}, {rate}/s", setup.label),
            Self::InProcess(InProcess { engine, metrics, threads, workload, batch, contention, lock }) => {
                let measured = if *contention { ", lock waits measured" } else { "" };
                let name = lock.as_ref().map_or_else(|| engine.clone(), |lock| format!("one {lock} lock"));
                write!(out, "in-process {name} T{threads}, metrics {metrics}, {workload}, B{batch}{measured}")
            }
            Self::Reference(Reference { tool, workload, clients, pipeline }) => {
                write!(out, "{tool}, {workload}, {clients} clients, P{pipeline}")
            }
            Self::Fairness(Fairness { setup, case }) => write!(out, "fairness {}, {case}", setup.label),
        }
    }
}

/// A phase of a measurement, or all of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Span {
    /// The phase.
    pub name: String,
    /// When it began, seconds from the run's start.
    pub start: f64,
    /// How long it lasted.
    pub seconds: f64,
    /// Requests that were answered rightly.
    pub requests: u64,
    /// Requests a second.
    pub rate: f64,
    /// Latencies in microseconds.
    pub p50_us: f64,
    /// 99 of 100 requests took no longer.
    pub p99_us: f64,
    /// 999 of 1,000 requests took no longer.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
    /// All latencies: an HdrHistogram in its compressed V2 form, base64, in nanoseconds. Empty where another tool measured.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub histogram: String,
}

/// What a measurement gave.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measure {
    /// What counts.
    pub main: Span,
    /// Its parts, where it has some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Span>,
    /// Requests answered with an error, or with what cannot be right.
    pub errors: u64,
    /// Their texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub error_texts: BTreeMap<String, u64>,
    /// Reads of keys that were not there.
    #[serde(default)]
    pub misses: u64,
    /// Per 100 ms: requests, p99 and maximum in microseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<(u64, f64, f64)>,
    /// Processors that the generator's busiest thread used: 1 is a thread that never waited.
    #[serde(default)]
    pub generator_busiest: f64,
    /// Processors that the generator used.
    #[serde(default)]
    pub generator_cores: f64,
    /// Requests that were under way at the end; all of them were answered after it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_flight: u64,
    /// Open loop: requests that were due at the end and had found no room on their connection.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unfinished: u64,
    /// Open loop: requests that found no room on their connection when they were due, and waited for replies.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: u64,
    /// Open loop: by how many microseconds the generator sent requests later than they were due: the median.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late_p50_us: f64,
    /// 99 of 100 were sent no later than this.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late_p99_us: f64,
    /// The latest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late_max_us: f64,
    /// The share that was sent more than a millisecond late.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late_share: f64,
    /// Processors that the server used.
    #[serde(default)]
    pub server_cores: f64,
    /// Threads of the server that were ready to run and had no processor, on average: the kernel's run queue, which is not
    /// contention for the server's locks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub server_queued_cores: f64,
    /// Switches because a thread of the server waited for something.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub server_yielded: u64,
    /// Switches because the kernel took a processor from a thread of the server.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub server_preempted: u64,
    /// Processors that neither the server nor the generator used, and that were busy all the same or taken by the host.
    #[serde(default)]
    pub foreign_cores: f64,
    /// The server's resident memory in bytes, at the end.
    #[serde(default)]
    pub server_bytes: u64,
    /// Figures that only some cells have, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, f64>,
    /// Nanoseconds that were waited for locks, per shard (folded to 32), where that was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shard_wait_ns: Vec<f64>,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// From this share of requests on that were sent more than a millisecond late, an open loop's latencies are the generator's
/// as well.
pub const SENT_LATE: f64 = 0.01;

/// From this share of a processor on, the generator's thread was the bottleneck: as in the rules.
pub const GENERATOR_BOUND: f64 = 0.92;

/// From so many processors on, others disturbed a measurement.
pub const DISTURBED: f64 = 0.15;

impl Measure {
    /// Whether something else on the machine, or its host, took a noticeable part of it.
    pub fn is_disturbed(&self) -> bool {
        self.foreign_cores >= DISTURBED
    }

    /// Processors of the server's machine that were busy, whoever used them.
    pub fn machine_cores(&self, is_generator_elsewhere: bool) -> f64 {
        let generator = if is_generator_elsewhere { 0.0 } else { self.generator_cores };
        self.server_cores + generator + self.foreign_cores
    }

    /// Whether the generator could not have sent more.
    pub fn is_generator_bound(&self) -> bool {
        self.generator_busiest >= GENERATOR_BOUND
    }

    /// Whether the generator sent too many requests too late.
    pub fn is_sent_late(&self) -> bool {
        self.late_share >= SENT_LATE
    }

    /// Processor time of the server per request, microseconds.
    pub fn server_us(&self) -> f64 {
        if self.main.rate > 0.0 { self.server_cores * 1e6 / self.main.rate } else { 0.0 }
    }

    /// How throughput varied over the slices: the standard deviation as a share of the mean.
    pub fn unsteadiness(&self) -> f64 {
        let rates: Vec<f64> = self.slices.iter().map(|(requests, _, _)| *requests as f64).collect();
        crate::stats::variation(&rates)
    }
}

/// How measuring a cell once ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialEnd {
    /// With figures.
    Measured(Box<Measure>),
    /// The server died, hung, or answered errors; or something else went wrong.
    Failed(String),
    /// There is no such server here, or it has no such feature.
    Absent(String),
}

/// One measurement of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The cell's identity.
    pub cell: String,
    /// Which session, from 0.
    #[serde(default)]
    pub session: u32,
    /// Which repetition in it, from 0.
    pub round: u32,
    /// When it began, milliseconds since 1970.
    pub unix_ms: u64,
    /// How it ended.
    pub outcome: TrialEnd,
}

impl Trial {
    /// Its session and round.
    pub fn key(&self) -> (u32, u32) {
        (self.session, self.round)
    }
}
