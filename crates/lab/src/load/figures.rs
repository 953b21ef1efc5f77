//! What a run of the generator has measured, merged over its threads.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::load::histogram;

/// Width of a slice of the time series, in milliseconds.
pub const SLICE_MS: u64 = 100;
/// A request that was sent so much later than it was due was sent late, nanoseconds.
pub const LATE_NANOS: u64 = 1_000_000;
/// Texts of different errors that are kept.
pub(crate) const ERROR_TEXTS_MAX: usize = 8;

/// An empty histogram of latencies in nanoseconds, from 1 us on, exact to two digits.
pub fn latency_histogram() -> Histogram<u64> {
    histogram::empty()
}

/// One phase of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Phase {
    /// As the script called it.
    pub name: String,
    /// When it began, seconds from the run's start.
    pub start: f64,
    /// How long it lasted, in seconds.
    pub seconds: f64,
    /// Requests that were answered rightly.
    pub requests: u64,
    /// Requests that were answered with an error or with what cannot be right.
    pub errors: u64,
    /// Reads of a key that was not there.
    pub misses: u64,
    /// Latencies in nanoseconds.
    #[serde(with = "histogram::text")]
    pub latency: Histogram<u64>,
    /// Open loop: by how much requests were handed to their connections later than they were due, nanoseconds.
    #[serde(with = "histogram::text")]
    pub late: Histogram<u64>,
    /// Open loop: requests whose connection had no room for them when they were due, so that they waited for its replies.
    pub held: u64,
    /// For each thread of the generator: the share of the phase that it used a processor.
    pub generator_cpu: Vec<f64>,
}

/// A piece of the time series.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Slice {
    /// Requests that were answered.
    pub requests: u64,
    /// Their latencies in nanoseconds.
    #[serde(with = "histogram::text")]
    pub latency: Histogram<u32>,
}

/// What a run has measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// In order.
    pub phases: Vec<Phase>,
    /// From the run's start, [`SLICE_MS`] each; the last one is left out, for it is not whole.
    pub slices: Vec<Slice>,
    /// Texts of errors and how often each came.
    pub error_texts: BTreeMap<String, u64>,
    /// What ended the run before its time: a server that is gone, or silent, or talks nonsense.
    pub fault: Option<String>,
    /// Requests that were under way at the end. What answers them is waited for: in an open loop their latencies are in the
    /// histogram of the last phase, and one that nothing answers is a fault.
    pub in_flight: u64,
    /// Open loop: requests that were due at the end and had found no room on their connection. They are in the histogram of
    /// the last phase with the age that they had.
    pub unfinished: u64,
}

/// What one thread knows of one phase.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) misses: u64,
    pub(crate) latency: Histogram<u64>,
    pub(crate) late: Histogram<u64>,
    pub(crate) held: u64,
    pub(crate) cpu_nanos: u64,
}

impl Part {
    pub(crate) fn new() -> Self {
        Self {
            requests: 0,
            errors: 0,
            misses: 0,
            latency: latency_histogram(),
            late: latency_histogram(),
            held: 0,
            cpu_nanos: 0,
        }
    }
}

/// What one thread has measured.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) phases: Vec<Part>,
    pub(crate) slices: Vec<Slice>,
    pub(crate) error_texts: BTreeMap<String, u64>,
    pub(crate) in_flight: u64,
    pub(crate) unfinished: u64,
}

impl Slice {
    pub(crate) fn new() -> Self {
        Self { requests: 0, latency: histogram::empty() }
    }
}

impl Figures {
    pub(crate) fn merge(
        phases: Vec<(String, f64)>,
        elapsed: f64,
        shares: Vec<Share>,
        fault: Option<String>,
    ) -> Self {
        let ends = phases.iter().skip(1).map(|(_, start)| *start).chain([elapsed]).collect::<Vec<_>>();
        let merged = phases.into_iter().zip(ends).enumerate().map(|(index, ((name, start), end))| {
            let seconds = end - start;
            let mut phase = Phase {
                name,
                start,
                seconds,
                requests: 0,
                errors: 0,
                misses: 0,
                latency: latency_histogram(),
                late: latency_histogram(),
                held: 0,
                generator_cpu: Vec::new(),
            };
            for share in &shares {
                let Some(part) = share.phases.get(index) else {
                    phase.generator_cpu.push(0.0);
                    continue;
                };
                phase.requests += part.requests;
                phase.errors += part.errors;
                phase.misses += part.misses;
                phase.held += part.held;
                phase.latency.add(&part.latency).expect("both have the same bounds");
                phase.late.add(&part.late).expect("both have the same bounds");
                phase.generator_cpu.push(part.cpu_nanos as f64 / 1e9 / seconds.max(1e-9));
            }
            phase
        });
        let phases = merged.collect();
        let mut slices: Vec<Slice> = Vec::new();
        let mut error_texts = BTreeMap::new();
        for share in &shares {
            for (index, slice) in share.slices.iter().enumerate() {
                if slices.len() <= index {
                    slices.push(Slice::new());
                }
                slices[index].requests += slice.requests;
                slices[index].latency.add(&slice.latency).expect("both have the same bounds");
            }
            for (text, count) in &share.error_texts {
                *error_texts.entry(text.clone()).or_default() += count;
            }
        }
        slices.resize_with((elapsed * 1e3) as usize / SLICE_MS as usize, Slice::new);
        let in_flight = shares.iter().map(|share| share.in_flight).sum();
        let unfinished = shares.iter().map(|share| share.unfinished).sum();
        Self { phases, slices, error_texts, fault, in_flight, unfinished }
    }

    /// The phase of this name.
    pub fn phase(&self, name: &str) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.name == name)
    }

    /// The whole slices between two times, in seconds from the run's start.
    pub fn slices_between(&self, start: f64, end: f64) -> &[Slice] {
        let index = |seconds: f64| (seconds * 1e3 / SLICE_MS as f64).max(0.0);
        let first = (index(start).ceil() as usize).min(self.slices.len());
        let last = (index(end).floor() as usize).clamp(first, self.slices.len());
        &self.slices[first..last]
    }
}

impl Phase {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds.max(1e-9)
    }
    /// The share of requests that were sent more than [`LATE_NANOS`] later than they were due.
    pub fn late_share(&self) -> f64 {
        let late = self.late.len() - self.late.count_between(0, LATE_NANOS).min(self.late.len());
        late as f64 / self.late.len().max(1) as f64
    }
}
