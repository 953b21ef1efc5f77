//! (module doc below)
mod block;
mod clock;
mod contention;
mod histogram;
mod latency;
mod locked;
mod padded;
mod slowlog;
mod stats;
mod strategy;
mod thread_local;

pub use clock::Clock;
pub use contention::{Access, Contention, ContentionReport, HOT_SHARDS, Held, HotShard, Stamp};
pub use histogram::{HISTOGRAM_MAX, Histogram};
pub use latency::{LATENCY_SAMPLES_MAX, LatencyMonitor, LatencySample, LatencySummary, LatestLatency};
pub use slowlog::{SLOWLOG_ARGUMENT_BYTES_MAX, SLOWLOG_ARGUMENTS_MAX, SlowLog, SlowLogEntry};
pub use stats::{CommandStats, StrategyCost};
pub use strategy::{CommandId, Metrics, Outcome, Strategy, UnknownStrategy, WorkerMetrics};
