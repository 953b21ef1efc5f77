//! What is compared: figures by name.

use serde::{Deserialize, Serialize};

use crate::cell::Measure;
use crate::rules::limits::Limits;

/// A figure of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// Processor time of the server per request, microseconds.
    ServerUs,
    /// Processors that the server used.
    CoresUsed,
    /// Requests that a core of the server answers in a second.
    RequestsPerCoreSecond,
    /// Requests a second, closed loop.
    Throughput,
    /// Median latency in microseconds, open loop.
    P50,
    /// 99 of 100 requests took no longer.
    P99,
    /// 999 of 1,000 requests took no longer.
    P999,
    /// The server's resident memory per key.
    BytesPerKey,
    /// Dollars for a million requests, by the processor time of the server.
    CostPerMillion,
    /// How throughput varied over slices of time.
    Unsteadiness,
    /// The share of lock acquisitions that waited.
    Contended,
    /// Context switches in a thousand commands.
    Switches,
    /// p99.9 before anything is saved.
    CalmP999,
    /// p99.9 while a snapshot is written.
    SnapshotP999,
    /// p99.9 while the AOF is rewritten.
    RewriteP999,
    /// The longest that somebody waited, microseconds.
    LongestWait,
    /// 999 of 1,000 waited no longer, microseconds.
    WaitP999,
}

impl Figure {
    /// Its value, if the measurement has it.
    pub fn of(self, measure: &Measure, limits: &Limits) -> Option<f64> {
        let value = match self {
            Self::ServerUs => measure.server_us(),
            Self::CoresUsed => measure.server_cores,
            Self::RequestsPerCoreSecond => 1e6 / measure.server_us(),
            Self::Throughput => measure.main.rate,
            Self::P50 => measure.main.p50_us,
            Self::P99 => measure.main.p99_us,
            Self::P999 => measure.main.p999_us,
            Self::BytesPerKey => measure.server_bytes as f64 / measure.more.get("keys")?,
            Self::CostPerMillion => measure.server_us() / 3_600.0 * limits.dollars_per_core_hour,
            Self::Unsteadiness => {
                let is_enough = measure.slices.len() >= limits.slices;
                is_enough.then(|| measure.unsteadiness())?
            }
            Self::Contended => {
                measure.more.get("lock_contended")? / measure.more.get("lock_acquisitions")?.max(1.0)
            }
            Self::Switches => {
                let switches =
                    measure.more.get("switches_voluntary")? + measure.more.get("switches_involuntary")?;
                switches * 1e3 / measure.main.requests.max(1) as f64
            }
            Self::CalmP999 => phase(measure, "before")?,
            Self::SnapshotP999 => phase(measure, "BGSAVE")?,
            Self::RewriteP999 => phase(measure, "BGREWRITEAOF")?,
            Self::LongestWait => measure.main.max_us,
            Self::WaitP999 => measure.main.p999_us,
        };
        (value.is_finite() && value > 0.0).then_some(value)
    }

    /// Its name in the rules and in the raw data.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => String::new(),
        }
    }

    /// For readers, with its unit.
    pub fn words(self) -> &'static str {
        match self {
            Self::ServerUs => "CPU per request, µs",
            Self::CoresUsed => "cores used",
            Self::RequestsPerCoreSecond => "requests per core-second",
            Self::Throughput => "requests/s",
            Self::P50 => "p50, µs",
            Self::P99 => "p99, µs",
            Self::P999 => "p99.9, µs",
            Self::BytesPerKey => "bytes per key",
            Self::CostPerMillion => "$ per million requests",
            Self::Unsteadiness => "variation of slices",
            Self::Contended => "share of acquisitions that waited",
            Self::Switches => "context switches per 1,000 commands",
            Self::CalmP999 => "p99.9 before, µs",
            Self::SnapshotP999 => "p99.9 during a snapshot, µs",
            Self::RewriteP999 => "p99.9 during a rewrite, µs",
            Self::LongestWait => "longest wait, µs",
            Self::WaitP999 => "p99.9 of waits, µs",
        }
    }

    /// Whether it is a throughput, or follows from one: then the machine and the generator must not have been the limit.
    pub fn is_of_throughput(self) -> bool {
        matches!(self, Self::Throughput | Self::Unsteadiness)
    }

    /// Whether it is a latency, which only an open loop tells.
    pub fn is_latency(self) -> bool {
        matches!(self, Self::P50 | Self::P99 | Self::P999)
    }
}

fn phase(measure: &Measure, name: &str) -> Option<f64> {
    measure.phases.iter().find(|span| span.name == name).map(|span| span.p999_us)
}
