//! The numbers that hold for all statements.

use serde::{Deserialize, Serialize};

/// The numbers that hold for all statements.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Of intervals, and of the whole run's verdicts together.
    pub confidence: f64,
    /// A ratio from which on two figures differ: 1.1.
    pub difference: f64,
    /// What another session of the same machine may add to a ratio, as a factor: limits are moved by so much against the
    /// verdict where there is one session only.
    pub session: f64,
    /// The share of the machine's cores from which on throughput is the machine's.
    pub machine_bound: f64,
    /// The share of a core from which on a thread of the generator was the limit.
    pub generator_bound: f64,
    /// The longest lateness (p99) of an open loop's sending, as a share of the latency that is judged.
    pub lateness: f64,
    /// Fewest slices that unsteadiness is told from.
    pub slices: usize,
    /// What a core costs for an hour, in dollars.
    pub dollars_per_core_hour: f64,
    /// Repetitions.
    pub rounds: Rounds,
}

/// Repetitions of a cell, by what it is for; the most demanding counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rounds {
    /// Where a statement decides.
    pub decides: u32,
    /// Where a statement informs.
    pub informs: u32,
    /// Where only a picture is drawn.
    pub pictures: u32,
    /// Of the closed loops that tell the peaks, before all open loops.
    pub calibration: u32,
}
