//! What readers get: the counts of a command, what the counting itself cost, and their lines in Redis's formats.
//!
//! The formats are those of `redis-server` 7.0. Two values are finer than Redis's: durations are summed in
//! nanoseconds, so `usec_per_call` of a command that takes 300 ns is 0.30 and not 0.00, and latencies above one
//! second are not cut off. Lines end in CR LF, as INFO's do.

use crate::{Histogram, Strategy};
use std::fmt::Write;

/// The counts of one command, since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandStats {
    /// Executions, failed ones included.
    pub calls: u64,
    /// Time spent in these executions, nanoseconds.
    pub nanos: u64,
    /// Refused before execution: a wrong arity, a missing permission, out of memory, ...
    pub rejected: u64,
    /// Executions that answered with an error.
    pub failed: u64,
    /// Durations of the executions while latency tracking was on, nanoseconds.
    pub histogram: Histogram,
}

impl CommandStats {
    /// Time spent in executions, whole microseconds.
    pub fn usec(&self) -> u64 {
        self.nanos / 1000
    }

    /// Mean duration of an execution in microseconds; 0 without one.
    pub fn usec_per_call(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.nanos as f64 / 1000.0 / self.calls as f64 }
    }

    /// Whether INFO commandstats has a line for it.
    pub fn is_seen(&self) -> bool {
        self.calls > 0 || self.rejected > 0 || self.failed > 0
    }

    /// Adds what the other has counted.
    pub fn merge(&mut self, other: &CommandStats) {
        self.calls += other.calls;
        self.nanos += other.nanos;
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.histogram.merge(&other.histogram);
    }

    /// Appends the line of INFO commandstats; `name` is the command's, as in `get` or `config|get`.
    pub fn write_commandstats(&self, name: &str, out: &mut String) {
        let _infallible = write!(
            out,
            "cmdstat_{name}:calls={},usec={},usec_per_call={:.2},rejected_calls={},failed_calls={}\r\n",
            self.calls,
            self.usec(),
            self.usec_per_call(),
            self.rejected,
            self.failed
        );
    }

    /// Appends the line of INFO latencystats with these percentiles (0 to 100), in their order.
    /// Redis has no line for a command whose histogram is empty: ask before.
    pub fn write_latencystats(&self, name: &str, percentiles: &[f64], out: &mut String) {
        let _infallible = write!(out, "latency_percentiles_usec_{name}:");
        for (index, percentile) in percentiles.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let nanos = self.histogram.percentile(*percentile);
            let _infallible = write!(out, "{separator}p{percentile}={}.{:03}", nanos / 1000, nanos % 1000);
        }
        out.push_str("\r\n");
    }
}

/// What the counting itself cost, since the start or the last reset. A strategy leaves what it does not have at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrategyCost {
    /// The strategy in use.
    pub strategy: Strategy,
    /// Workers that record at present.
    pub workers: u64,
    /// mutex, sharded: how often a lock was taken to record.
    pub lock_acquisitions: u64,
    /// mutex, sharded: how often the lock was held by another.
    pub lock_waits: u64,
    /// mutex, sharded: time spent waiting for it, nanoseconds.
    pub lock_wait_nanos: u64,
    /// Blocks of counters: 1 for mutex, the number of shards, or the workers' own.
    pub shards: u64,
    /// Of these, how many have counted anything.
    pub shards_touched: u64,
    /// thread-local: how often a worker's buffer was applied to its block.
    pub flushes: u64,
    /// thread-local: records so applied; divided by `flushes` it is the mean batch.
    pub flushed_records: u64,
}

impl StrategyCost {
    pub(crate) fn new(strategy: Strategy) -> Self {
        StrategyCost {
            strategy,
            workers: 0,
            lock_acquisitions: 0,
            lock_waits: 0,
            lock_wait_nanos: 0,
            shards: 0,
            shards_touched: 0,
            flushes: 0,
            flushed_records: 0,
        }
    }

    /// The fields in order, as CMDSTAT lists them.
    pub fn fields(&self) -> [(&'static str, u64); 8] {
        [
            ("workers", self.workers),
            ("lock_acquisitions", self.lock_acquisitions),
            ("lock_waits", self.lock_waits),
            ("lock_wait_ns", self.lock_wait_nanos),
            ("shards", self.shards),
            ("shards_touched", self.shards_touched),
            ("flushes", self.flushes),
            ("flushed_records", self.flushed_records),
        ]
    }

    /// Appends `metrics_strategy:...` and a line per field.
    pub fn write_lines(&self, out: &mut String) {
        let _infallible = write!(out, "metrics_strategy:{}\r\n", self.strategy);
        for (name, value) in self.fields() {
            let _infallible = write!(out, "metrics_{name}:{value}\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(usec: &[u64]) -> CommandStats {
        let mut stats = CommandStats::default();
        for usec in usec {
            stats.calls += 1;
            stats.nanos += usec * 1000;
            stats.histogram.record(usec * 1000);
        }
        stats
    }

    fn check_commandstats(name: &str, stats: &CommandStats, expected: &str) {
        let mut line = String::new();
        stats.write_commandstats(name, &mut line);
        assert_eq!(line, format!("{expected}\r\n"));
    }

    fn check_latencystats(name: &str, usec: &[u64], percentiles: &[f64], expected: &str) {
        let mut line = String::new();
        stats(usec).write_latencystats(name, percentiles, &mut line);
        assert_eq!(line, format!("{expected}\r\n"));
    }

    /// Lines that `redis-server` 7.0.15 gave for the same counts.
    #[test]
    fn commandstats_lines_as_redis_writes_them() {
        check_commandstats(
            "get",
            &CommandStats { calls: 6, nanos: 22_000, rejected: 1, failed: 1, ..CommandStats::default() },
            "cmdstat_get:calls=6,usec=22,usec_per_call=3.67,rejected_calls=1,failed_calls=1",
        );
        check_commandstats(
            "debug",
            &CommandStats { rejected: 3, ..CommandStats::default() },
            "cmdstat_debug:calls=0,usec=0,usec_per_call=0.00,rejected_calls=3,failed_calls=0",
        );
        check_commandstats(
            "object|encoding",
            &stats(&[2, 5]),
            "cmdstat_object|encoding:calls=2,usec=7,usec_per_call=3.50,rejected_calls=0,failed_calls=0",
        );
    }

    #[test]
    fn the_mean_is_finer_than_a_microsecond() {
        check_commandstats(
            "get",
            &CommandStats { calls: 2, nanos: 650, ..CommandStats::default() },
            "cmdstat_get:calls=2,usec=0,usec_per_call=0.33,rejected_calls=0,failed_calls=0",
        );
    }

    /// Lines that `redis-server` 7.0.15 gave for the same durations.
    #[test]
    fn latencystats_lines_as_redis_writes_them() {
        check_latencystats(
            "zadd",
            &[14, 52],
            &[50.0, 99.0, 99.9],
            "latency_percentiles_usec_zadd:p50=14.015,p99=52.223,p99.9=52.223",
        );
        check_latencystats(
            "latency|histogram",
            &[126],
            &[0.0, 50.0, 100.0, 33.333, 99.99999, 0.001],
            "latency_percentiles_usec_latency|histogram:p0=125.952,p50=126.463,p100=126.463,p33.333=126.463,\
             p99.99999=126.463,p0.001=126.463",
        );
        check_latencystats(
            "get",
            &[1, 3, 3, 4, 5, 6],
            &[0.0, 50.0, 100.0, 0.001],
            "latency_percentiles_usec_get:p0=1.000,p50=3.007,p100=6.015,p0.001=1.003",
        );
        check_latencystats("debug", &[300_100], &[50.0], "latency_percentiles_usec_debug:p50=301989.887");
        check_latencystats("set", &[9], &[], "latency_percentiles_usec_set:");
    }

    #[test]
    fn a_command_is_seen_once_it_is_called_or_refused() {
        assert!(!CommandStats::default().is_seen());
        assert!(stats(&[1]).is_seen());
        assert!(CommandStats { rejected: 1, ..CommandStats::default() }.is_seen());
    }

    #[test]
    fn cost_lines() {
        let mut lines = String::new();
        StrategyCost { flushes: 7, ..StrategyCost::new(Strategy::ThreadLocal) }.write_lines(&mut lines);
        assert!(lines.starts_with("metrics_strategy:thread-local\r\nmetrics_workers:0\r\n"), "{lines}");
        assert!(lines.contains("\r\nmetrics_flushes:7\r\n"), "{lines}");
    }
}
