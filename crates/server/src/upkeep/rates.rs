//! How fast the counters run: `instantaneous_ops_per_sec` and the like.
//!
//! The cron looks at the counters ten times a second; a rate is the mean of the last sixteen looks, as in Redis.

use parking_lot::Mutex;
use rustredis_metrics::SampleValue;
use rustredis_metrics::rows::{Row, gauge};

use crate::upkeep::stats::Totals;

const SAMPLES: usize = 16;

/// A rate and what it is computed from.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    before: u64,
    per_second: [u64; SAMPLES],
}

impl Rate {
    fn sample(&mut self, slot: usize, count: u64, nanos: u64) {
        let passed = u128::from(count.saturating_sub(self.before));
        self.before = count;
        self.per_second[slot] =
            u64::try_from(passed * 1_000_000_000 / u128::from(nanos.max(1))).unwrap_or(u64::MAX);
    }

    fn mean(&self) -> u64 {
        self.per_second.iter().sum::<u64>() / SAMPLES as u64
    }
}

#[derive(Debug, Default)]
struct Inner {
    slot: usize,
    at_nanos: u64,
    commands: Rate,
    received: Rate,
    sent: Rate,
}

/// The rates of the server.
#[derive(Debug, Default)]
pub struct Rates(Mutex<Inner>);

/// The rates at a moment, each per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatesNow {
    /// Commands.
    pub commands: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

impl RatesNow {
    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("instantaneous_ops_per_sec", "Commands a second, now.", |now| now.commands.into()),
        gauge("instantaneous_input_kbps", "KiB a second from clients, now.", |now| kilobytes(now.received)),
        gauge("instantaneous_output_kbps", "KiB a second to clients, now.", |now| kilobytes(now.sent)),
    ];
}

fn kilobytes(bytes: u64) -> SampleValue {
    SampleValue::Decimal(bytes as f64 / 1024.0, 2)
}

impl Rates {
    /// Looks at the counters since the start, by the nanosecond clock.
    pub fn sample(&self, totals: &Totals, now_nanos: u64) {
        let mut inner = self.0.lock();
        let nanos = now_nanos.saturating_sub(inner.at_nanos);
        let slot = inner.slot;
        inner.commands.sample(slot, totals.commands, nanos);
        inner.received.sample(slot, totals.received, nanos);
        inner.sent.sample(slot, totals.sent, nanos);
        inner.at_nanos = now_nanos;
        inner.slot = (slot + 1) % SAMPLES;
    }

    /// The rates now.
    pub fn now(&self) -> RatesNow {
        let inner = self.0.lock();
        RatesNow { commands: inner.commands.mean(), received: inner.received.mean(), sent: inner.sent.mean() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_mean_of_the_last_looks() {
        let rates = Rates::default();
        let mut totals = Totals::default();
        for look in 1..=32 {
            // Nothing in the first half, then 100 commands each tenth of a second.
            if look > 16 {
                totals.commands += 100;
                totals.sent += 5;
            }
            rates.sample(&totals, look * 100_000_000);
        }
        assert_eq!(rates.now(), RatesNow { commands: 1000, received: 0, sent: 50 });
        totals.commands = 0;
        rates.sample(&totals, 33 * 100_000_000);
        assert_eq!(rates.now().commands, 15 * 1000 / 16);
    }
}
