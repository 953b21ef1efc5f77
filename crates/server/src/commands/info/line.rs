//! How INFO writes samples down: a line for each, or for all that belong to one thing.

use std::fmt::Write;

use rustredis_metrics::rows::Group;

/// Writes the line of a group: `name:value`, or `thing:name=value,name=value`.
pub(super) fn write(group: &Group, out: &mut String) {
    // Writing to a string does not fail.
    match group {
        Group::Single(sample) => _ = write!(out, "{}:{}", sample.field.name, sample.value),
        Group::Thing { prefix, name, samples } => {
            let _ = write!(out, "{prefix}{name}:");
            for (index, sample) in samples.iter().enumerate() {
                let separator = if index == 0 { "" } else { "," };
                let detail = sample.labels.get(1).map_or("", |label| &label.value);
                let _ = write!(out, "{separator}{}{detail}={}", sample.field.name, sample.value);
            }
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use rustredis_metrics::{CommandReport, CommandStats};

    use super::*;

    /// Rows of `CommandReport`.
    const COUNTS: usize = 0;
    const LATENCIES: usize = 1;

    fn stats(usec: &[u64]) -> CommandStats {
        let mut stats = CommandStats::default();
        for usec in usec {
            stats.calls += 1;
            stats.nanos += usec * 1000;
            stats.histogram.record(usec * 1000);
        }
        stats
    }

    fn check(row: usize, name: &'static str, stats: CommandStats, percentiles: &[f64], expected: &str) {
        let report = CommandReport::new([name], vec![stats], percentiles.to_vec());
        let mut groups = Vec::new();
        CommandReport::SAMPLES[row].tell(&report, &mut groups);
        let mut text = String::new();
        groups.iter().for_each(|group| write(group, &mut text));
        assert_eq!(text, format!("{expected}\r\n"));
    }

    fn check_counts(name: &'static str, stats: CommandStats, expected: &str) {
        check(COUNTS, name, stats, &[], expected);
    }

    fn check_latency(name: &'static str, usec: &[u64], percentiles: &[f64], expected: &str) {
        check(LATENCIES, name, stats(usec), percentiles, expected);
    }

    /// Lines that `redis-server` 7.0.15 gave for the same counts.
    #[test]
    fn commandstats_lines_as_redis_writes_them() {
        check_counts(
            "get",
            CommandStats { calls: 6, nanos: 22_000, rejected: 1, failed: 1, ..CommandStats::default() },
            "cmdstat_get:calls=6,usec=22,usec_per_call=3.67,rejected_calls=1,failed_calls=1",
        );
        check_counts(
            "debug",
            CommandStats { rejected: 3, ..CommandStats::default() },
            "cmdstat_debug:calls=0,usec=0,usec_per_call=0.00,rejected_calls=3,failed_calls=0",
        );
        check_counts(
            "object|encoding",
            stats(&[2, 5]),
            "cmdstat_object|encoding:calls=2,usec=7,usec_per_call=3.50,rejected_calls=0,failed_calls=0",
        );
    }

    #[test]
    fn the_mean_is_finer_than_a_microsecond() {
        check_counts(
            "get",
            CommandStats { calls: 2, nanos: 650, ..CommandStats::default() },
            "cmdstat_get:calls=2,usec=0,usec_per_call=0.33,rejected_calls=0,failed_calls=0",
        );
    }

    /// Lines that `redis-server` 7.0.15 gave for the same durations.
    #[test]
    fn latencystats_lines_as_redis_writes_them() {
        check_latency(
            "zadd",
            &[14, 52],
            &[50.0, 99.0, 99.9],
            "latency_percentiles_usec_zadd:p50=14.015,p99=52.223,p99.9=52.223",
        );
        check_latency(
            "latency|histogram",
            &[126],
            &[0.0, 50.0, 100.0, 33.333, 99.99999, 0.001],
            "latency_percentiles_usec_latency|histogram:p0=125.952,p50=126.463,p100=126.463,p33.333=126.463,\
             p99.99999=126.463,p0.001=126.463",
        );
        check_latency(
            "get",
            &[1, 3, 3, 4, 5, 6],
            &[0.0, 50.0, 100.0, 0.001],
            "latency_percentiles_usec_get:p0=1.000,p50=3.007,p100=6.015,p0.001=1.003",
        );
        check_latency("debug", &[300_100], &[50.0], "latency_percentiles_usec_debug:p50=301989.887");
        check_latency("set", &[9], &[], "latency_percentiles_usec_set:");
    }
}
