//! What a look shows of the commands: their counts and how long they took, with their names.
//!
//! Counting knows commands by their index, so the names come from whoever has the table of commands.

use crate::rows::{Family, Row, Thing, ThingValue};
use crate::sample::{SampleField, SampleValue};
use crate::stats::CommandStats;

/// The label of what belongs to one of them.
const COMMAND: &str = "command";

/// The counts of all commands at a moment.
pub struct CommandReport {
    commands: Vec<(&'static str, CommandStats)>,
    /// Of which durations are told, in per cent.
    percentiles: Vec<f64>,
}

impl CommandReport {
    /// These counts under these names, in one order, and the percentiles that are wanted of each.
    pub fn new(
        names: impl IntoIterator<Item = &'static str>,
        counts: Vec<CommandStats>,
        percentiles: Vec<f64>,
    ) -> Self {
        Self { commands: names.into_iter().zip(counts).collect(), percentiles }
    }

    /// What is told: counts of those that were given, and percentiles of those whose durations were measured.
    pub const SAMPLES: &'static [Row<Self>] = &[
        Row::Family(Family {
            prefix: "cmdstat_",
            labels: &[COMMAND],
            fields: &[
                SampleField::counter("calls", "Executions, failed ones included."),
                SampleField::counter("usec", "Microseconds that they took."),
                SampleField::gauge("usec_per_call", "Microseconds that one took on average."),
                SampleField::counter("rejected_calls", "Refused before execution."),
                SampleField::counter("failed_calls", "Executions that answered with an error."),
            ],
            things: |report| {
                let seen = report.commands.iter().filter(|(_, stats)| stats.is_seen());
                seen.map(|(name, stats)| counts(name, stats)).collect()
            },
        }),
        Row::Family(Family {
            prefix: "latency_percentiles_usec_",
            labels: &[COMMAND, "percentile"],
            fields: &[SampleField::gauge(
                "p",
                "Microseconds within which so many in a hundred executions ended.",
            )],
            things: |report| {
                // Redis has no line for a command whose histogram is empty.
                let measured = report.commands.iter().filter(|(_, stats)| !stats.histogram.is_empty());
                measured.map(|(name, stats)| latencies(name, stats, &report.percentiles)).collect()
            },
        }),
    ];
}

fn counts(name: &str, stats: &CommandStats) -> Thing {
    let mean = SampleValue::Decimal(stats.usec_per_call(), 2);
    let values = [stats.calls.into(), stats.usec().into(), mean, stats.rejected.into(), stats.failed.into()];
    Thing::new(name, values)
}

fn latencies(name: &str, stats: &CommandStats, percentiles: &[f64]) -> Thing {
    let value = |percentile: &f64| ThingValue {
        field: 0,
        detail: Some(percentile.to_string()),
        value: SampleValue::Decimal(stats.histogram.percentile(*percentile) as f64 / 1000.0, 3),
    };
    Thing { name: name.to_owned(), values: percentiles.iter().map(value).collect() }
}
