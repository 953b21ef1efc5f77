//! A cell as the rules name it: without this machine's numbers.

use serde::{Deserialize, Serialize};

use crate::cell::{Cell, Fairness, InProcess, Program, Reference, Setup, Snapshot, Tail, Tcp};
use crate::matrix::{Matrix, Threads};

/// The kinds of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A closed loop over TCP.
    Tcp,
    /// An open loop over TCP.
    Tail,
    /// Snapshots under load.
    Snapshot,
    /// An engine without a network.
    InProcess,
    /// Another load generator.
    Reference,
    /// Who could be starved.
    Fairness,
}

/// A cell; what its kind does not know is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellSpec {
    /// What kind of cell.
    pub kind: Kind,
    /// An engine, or `redis`, or `valkey`.
    #[serde(default)]
    pub server: String,
    /// Serving threads, or those of the engine.
    #[serde(default)]
    pub threads: Threads,
    /// More options of the server.
    #[serde(default)]
    pub options: Vec<String>,
    /// The workload's name.
    #[serde(default)]
    pub workload: String,
    /// Connections.
    #[serde(default)]
    pub clients: usize,
    /// Requests under way per connection, or commands of a batch.
    #[serde(default = "one")]
    pub pipeline: usize,
    /// Open loop: the peak's name.
    #[serde(default)]
    pub peak: String,
    /// Open loop: the share of the peak.
    #[serde(default)]
    pub percent: u32,
    /// Open loop: measured for longer.
    #[serde(default)]
    pub measured_ms: Option<u64>,
    /// Snapshots: requests a second.
    #[serde(default)]
    pub rate: u32,
    /// In process: the metrics' strategy.
    #[serde(default = "off")]
    pub metrics: String,
    /// In process: whether lock waits are measured.
    #[serde(default)]
    pub contention: bool,
    /// In process: the kind of lock instead of an engine.
    #[serde(default)]
    pub lock: Option<String>,
    /// The other generator.
    #[serde(default)]
    pub tool: String,
    /// Fairness: the case.
    #[serde(default)]
    pub case: String,
    /// Threads of the generator, where one is asked for.
    #[serde(default)]
    pub generators: Option<usize>,
}

fn one() -> usize {
    1
}

fn off() -> String {
    "off".to_owned()
}

impl CellSpec {
    /// The cell on this machine.
    pub fn cell(&self, matrix: &Matrix) -> Cell {
        let generators = self.generators.unwrap_or_else(|| matrix.generators()).min(self.clients.max(1));
        match self.kind {
            Kind::Tcp => Cell::Tcp(Tcp {
                setup: self.setup(matrix),
                workload: self.workload.clone(),
                clients: self.clients,
                pipeline: self.pipeline,
                generators,
            }),
            Kind::Tail => Cell::Tail(Tail {
                setup: self.setup(matrix),
                workload: self.workload.clone(),
                clients: self.clients,
                generators,
                peak: self.peak.clone(),
                percent: self.percent,
                measured_ms: self.measured_ms,
            }),
            Kind::Snapshot => Cell::Snapshot(Snapshot { setup: self.setup(matrix), rate: self.rate }),
            Kind::InProcess => Cell::InProcess(InProcess {
                engine: self.server.clone(),
                metrics: self.metrics.clone(),
                threads: matrix.threads(self.threads),
                workload: self.workload.clone(),
                batch: self.pipeline,
                contention: self.contention,
                lock: self.lock.clone(),
            }),
            Kind::Reference => Cell::Reference(Reference {
                tool: self.tool.clone(),
                workload: self.workload.clone(),
                clients: self.clients,
                pipeline: self.pipeline,
            }),
            Kind::Fairness => Cell::Fairness(Fairness { setup: self.setup(matrix), case: self.case.clone() }),
        }
    }

    fn setup(&self, matrix: &Matrix) -> Setup {
        match self.server.as_str() {
            "redis" => Setup::other(Program::Redis, "redis", &self.options),
            "valkey" => Setup::other(Program::Valkey, "valkey", &self.options),
            engine => Setup::rustredis(engine, matrix.threads(self.threads), &self.options),
        }
    }
}
