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
    /// For readers, and in the cell's identity; other options need another label.
    pub label: String,
    /// Options beyond port, directory and `--save ""`.
    pub options: Vec<String>,
}

impl Setup {
    /// RustRedis with an engine, threads, and more options.
    pub fn rustredis(engine: &str, threads: usize, label: &str, more: &[&str]) -> Self {
        let threads = threads.to_string();
        let mut options = vec!["--engine", engine, "--threads", &threads];
        options.extend(more);
        let options = options.into_iter().map(str::to_owned).collect();
        Self { program: Program::Rustredis, label: label.to_owned(), options }
    }

    /// A Redis or Valkey with more options.
    pub fn other(program: Program, label: &str, more: &[&str]) -> Self {
        Self {
            program,
            label: label.to_owned(),
            options: more.iter().map(|&option| option.to_owned()).collect(),
        }
    }
}

/// A load on a server over TCP.
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
    /// Over TCP.
    Tcp(Tcp),
    /// Over TCP, through a snapshot.
    Snapshot(Snapshot),
    /// The engine alone.
    InProcess(InProcess),
    /// Another generator.
    Reference(Reference),
}

impl Cell {
    /// Its identity.
    pub fn id(&self) -> String {
        self.to_string()
    }

    /// What is asked of a server, whichever it is: cells with the same load are compared.
    pub fn load(&self) -> String {
        match self {
            Self::Tcp(tcp) => format!("tcp {} {} {}", tcp.workload, tcp.clients, tcp.pipeline),
            Self::Snapshot(_) => "snapshot".to_owned(),
            Self::InProcess(cell) => {
                format!("in-process {} {} {}", cell.workload, cell.batch, cell.contention)
            }
            // Beside ours on the same server.
            Self::Reference(cell) => format!("tcp {} {} {}", cell.workload, cell.clients, cell.pipeline),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(Tcp { setup, workload, clients, pipeline, generators }) => {
                write!(out, "tcp {}, {workload}, {clients} clients, P{pipeline}, G{generators}", setup.label)
            }
            Self::Snapshot(Snapshot { setup, rate }) => write!(out, "snapshot {}, {rate}/s", setup.label),
            Self::InProcess(InProcess { engine, metrics, threads, workload, batch, contention }) => {
                let measured = if *contention { ", lock waits measured" } else { "" };
                write!(
                    out,
                    "in-process {engine}, metrics {metrics}, {workload}, {threads} threads, B{batch}{measured}"
                )
            }
            Self::Reference(Reference { tool, workload, clients, pipeline }) => {
                write!(out, "{tool}, {workload}, {clients} clients, P{pipeline}")
            }
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
    /// Processors that the server used.
    #[serde(default)]
    pub server_cores: f64,
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

/// From this share of a processor on, the generator's thread was the bottleneck.
pub const GENERATOR_BOUND: f64 = 0.92;

/// From so many processors on, others disturbed a measurement.
pub const DISTURBED: f64 = 0.15;

impl Measure {
    /// Whether something else on the machine, or its host, took a noticeable part of it.
    pub fn is_disturbed(&self) -> bool {
        self.foreign_cores >= DISTURBED
    }

    /// Whether the generator could not have sent more.
    pub fn is_generator_bound(&self) -> bool {
        self.generator_busiest >= GENERATOR_BOUND
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
    /// Which repetition.
    pub round: u32,
    /// When it began, milliseconds since 1970.
    pub unix_ms: u64,
    /// How it ended.
    pub outcome: TrialEnd,
}
