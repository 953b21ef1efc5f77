//! The latency monitor: the history of events that took longer than a threshold (LATENCY HISTORY, LATEST, RESET,
//! DOCTOR).
//!
//! An event is a thing that can stall the server, by name: `command`, `fast-command`, `aof-fsync-always`,
//! `expire-cycle`, ... Each has a ring of 160 samples, one for each second in which it was slow: the worst of that
//! second. Names are `&'static str`, so clients cannot make new ones and the memory is bounded. A mutex is fine: only
//! slow events get there. Time is passed in.

use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Samples kept for each event.
pub const LATENCY_SAMPLES_MAX: usize = 160;

/// All events, and the threshold. Shared by all threads.
#[derive(Debug)]
pub struct LatencyMonitor {
    /// Milliseconds; 0 when the monitor is off.
    threshold_ms: AtomicU64,
    events: Mutex<BTreeMap<&'static str, Event>>,
}

#[derive(Debug, Default)]
struct Event {
    /// The oldest is at the front.
    samples: VecDeque<LatencySample>,
    max_ms: u64,
}

/// The worst of an event in one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencySample {
    /// Seconds since 1970.
    pub unix_time_s: i64,
    /// Milliseconds.
    pub ms: u64,
}

/// A line of LATENCY LATEST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatestLatency {
    /// The event's name.
    pub event: &'static str,
    /// Its newest sample.
    pub latest: LatencySample,
    /// The worst ever since the last reset, milliseconds.
    pub max_ms: u64,
}

/// What LATENCY DOCTOR says about an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencySummary {
    /// The event's name.
    pub event: &'static str,
    /// Samples in the ring.
    pub samples: usize,
    /// Their mean, whole milliseconds.
    pub mean_ms: u64,
    /// Their mean distance from the mean, whole milliseconds.
    pub mean_deviation_ms: u64,
    /// Seconds from one sample to the next, on average; 0 for a single one.
    pub period_s: f64,
    /// The worst ever since the last reset, milliseconds.
    pub max_ms: u64,
}

impl LatencyMonitor {
    /// A monitor of events that take `threshold_ms` milliseconds or more; 0 is off.
    pub fn new(threshold_ms: u64) -> Self {
        LatencyMonitor { threshold_ms: AtomicU64::new(threshold_ms), events: Mutex::new(BTreeMap::new()) }
    }

    /// `latency-monitor-threshold`, milliseconds.
    pub fn set_threshold_ms(&self, threshold_ms: u64) {
        self.threshold_ms.store(threshold_ms, Relaxed);
    }

    /// `latency-monitor-threshold`, milliseconds.
    pub fn threshold_ms(&self) -> u64 {
        self.threshold_ms.load(Relaxed)
    }

    /// Adds a sample if the monitor is on and the event was slow. Otherwise one relaxed load.
    #[inline]
    pub fn observe(&self, event: &'static str, nanos: u64, unix_time_s: i64) {
        let threshold_ms = self.threshold_ms();
        let ms = nanos / 1_000_000;
        if threshold_ms > 0 && ms >= threshold_ms {
            self.add(event, LatencySample { unix_time_s, ms });
        }
    }

    /// The samples of an event, the oldest first; empty if there is none of this name.
    pub fn history(&self, event: &[u8]) -> Vec<LatencySample> {
        let events = self.events.lock();
        let found = events.iter().find(|(name, _)| name.as_bytes() == event);
        found.map_or_else(Vec::new, |(_, event)| event.samples.iter().copied().collect())
    }

    /// The newest sample of each event, by name.
    pub fn latest(&self) -> Vec<LatestLatency> {
        let events = self.events.lock();
        let latest = |(name, event): (&&'static str, &Event)| {
            Some(LatestLatency { event: name, latest: *event.samples.back()?, max_ms: event.max_ms })
        };
        events.iter().filter_map(latest).collect()
    }

    /// Forgets the events of these names, or all without names. How many there were.
    pub fn reset(&self, names: &[&[u8]]) -> usize {
        let mut events = self.events.lock();
        let before = events.len();
        events.retain(|name, _| !names.is_empty() && !names.contains(&name.as_bytes()));
        before - events.len()
    }

    /// What there is to say about each event, by name.
    pub fn summaries(&self) -> Vec<LatencySummary> {
        let events = self.events.lock();
        events.iter().filter_map(|(name, event)| event.summary(name)).collect()
    }

    /// The answer of LATENCY DOCTOR: how often, how long, and where to look.
    pub fn doctor(&self) -> String {
        let threshold_ms = self.threshold_ms();
        let summaries = self.summaries();
        let mut text = String::new();
        if summaries.is_empty() {
            text.push_str("No latency spike has been observed.\n");
        }
        if threshold_ms == 0 {
            text.push_str(
                "The latency monitor is off. Set latency-monitor-threshold to the milliseconds that are too long for you.\n",
            );
        }
        for summary in &summaries {
            let LatencySummary { event, samples, mean_ms, mean_deviation_ms, period_s, max_ms } = summary;
            let _infallible = writeln!(
                text,
                "{event}: {samples} latency spikes (average {mean_ms}ms, mean deviation {mean_deviation_ms}ms, \
                 period {period_s:.2} sec). Worst all time event {max_ms}ms. {}",
                advice(event)
            );
        }
        text
    }

    #[cold]
    fn add(&self, event: &'static str, sample: LatencySample) {
        let mut events = self.events.lock();
        events.entry(event).or_default().add(sample);
    }
}

impl Event {
    fn add(&mut self, sample: LatencySample) {
        self.max_ms = self.max_ms.max(sample.ms);
        if let Some(latest) =
            self.samples.back_mut().filter(|latest| latest.unix_time_s == sample.unix_time_s)
        {
            latest.ms = latest.ms.max(sample.ms);
            return;
        }
        if self.samples.len() == LATENCY_SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    fn summary(&self, event: &'static str) -> Option<LatencySummary> {
        let (oldest, newest) = (self.samples.front()?, self.samples.back()?);
        let samples = self.samples.len() as u64;
        let mean_ms = self.samples.iter().map(|sample| sample.ms).sum::<u64>() / samples;
        let deviation_ms =
            self.samples.iter().map(|sample| sample.ms.abs_diff(mean_ms)).sum::<u64>() / samples;
        let span_s = newest.unix_time_s.saturating_sub(oldest.unix_time_s).max(0);
        Some(LatencySummary {
            event,
            samples: self.samples.len(),
            mean_ms,
            mean_deviation_ms: deviation_ms,
            period_s: if samples > 1 { span_s as f64 / (samples - 1) as f64 } else { 0.0 },
            max_ms: self.max_ms,
        })
    }
}

/// Where to look when this event is slow.
fn advice(event: &str) -> &'static str {
    match event {
        "command" => {
            "SLOWLOG GET names the slow commands; prefer SCAN to KEYS, UNLINK to DEL, smaller collections to large ones."
        }
        "fast-command" => {
            "A command of constant cost was slow: look at the processor's other load, at swapping, and at INFO contention."
        }
        "expire-cycle" | "expire-del" => {
            "Many keys expire at the same time: spread their expiry with some randomness."
        }
        "eviction-cycle" | "eviction-del" => "Memory is at maxmemory: raise it, or store smaller values.",
        _ if event.starts_with("aof-") => {
            "The disk is slow to write or sync: prefer appendfsync everysec, or give the log a disk of its own."
        }
        _ => "LATENCY HISTORY shows when it happened; look for what else ran then.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn sample(unix_time_s: i64, ms: u64) -> LatencySample {
        LatencySample { unix_time_s, ms }
    }

    #[test]
    fn only_what_reaches_the_threshold_is_kept() {
        let monitor = LatencyMonitor::new(0);
        monitor.observe("command", 500 * MS, 1);
        assert!(monitor.latest().is_empty());
        monitor.set_threshold_ms(10);
        monitor.observe("command", 10 * MS - 1, 1);
        assert!(monitor.latest().is_empty());
        monitor.observe("command", 10 * MS, 1);
        assert_eq!(monitor.history(b"command"), [sample(1, 10)]);
    }

    /// The history that `redis-server` 7.0.15 kept of the same events: one sample a second, its worst.
    #[test]
    fn a_second_has_one_sample() {
        let monitor = LatencyMonitor::new(10);
        for (unix_time_s, ms) in [(12, 300), (12, 520), (13, 560), (13, 535), (15, 1300), (16, 30)] {
            monitor.observe("command", ms * MS, unix_time_s);
        }
        assert_eq!(
            monitor.history(b"command"),
            [sample(12, 520), sample(13, 560), sample(15, 1300), sample(16, 30)]
        );
        assert_eq!(
            monitor.latest(),
            [LatestLatency { event: "command", latest: sample(16, 30), max_ms: 1300 }]
        );
        let [summary] = monitor.summaries()[..] else { panic!("one event") };
        assert_eq!((summary.samples, summary.mean_ms, summary.mean_deviation_ms), (4, 602, 348));
        assert_eq!((summary.max_ms, format!("{:.2}", summary.period_s)), (1300, "1.33".into()));
        let doctor = monitor.doctor();
        assert!(
            doctor.starts_with("command: 4 latency spikes (average 602ms, mean deviation 348ms"),
            "{doctor}"
        );
    }

    #[test]
    fn the_ring_forgets_the_oldest_but_not_the_worst() {
        let monitor = LatencyMonitor::new(1);
        monitor.observe("fork", 999 * MS, 0);
        (1..=LATENCY_SAMPLES_MAX as i64).for_each(|unix_time_s| monitor.observe("fork", 5 * MS, unix_time_s));
        let history = monitor.history(b"fork");
        assert_eq!((history.len(), history[0], history[159]), (160, sample(1, 5), sample(160, 5)));
        assert_eq!(monitor.latest()[0].max_ms, 999);
    }

    #[test]
    fn reset_says_how_many_were_there() {
        let monitor = LatencyMonitor::new(1);
        for event in ["command", "fork", "expire-cycle"] {
            monitor.observe(event, MS, 1);
        }
        assert_eq!(monitor.reset(&[b"nosuch", b"fork"]), 1);
        assert_eq!(monitor.history(b"fork"), []);
        assert_eq!(monitor.reset(&[]), 2);
        assert_eq!(monitor.reset(&[]), 0);
    }

    #[test]
    fn the_doctor_of_an_idle_server() {
        assert!(LatencyMonitor::new(5).doctor().starts_with("No latency spike"));
        assert!(LatencyMonitor::new(0).doctor().contains("monitor is off"));
    }

    #[test]
    fn a_clock_that_is_set_back_does_no_harm() {
        let monitor = LatencyMonitor::new(1);
        monitor.observe("command", MS, 100);
        monitor.observe("command", 3 * MS, 50);
        let [summary] = monitor.summaries()[..] else { panic!("one event") };
        assert_eq!((summary.samples, summary.period_s, summary.mean_ms), (2, 0.0, 2));
    }
}
