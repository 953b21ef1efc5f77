//! The wall clock, and a thread's way to know the time without asking the system for each command.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use rustredis_metrics::Clock;

/// Unix time in milliseconds.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Unix time in microseconds.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// The time as a thread knows it: by the nanosecond clock, and by the system's clock as it was looked at last.
#[derive(Debug)]
pub struct ThreadClock {
    clock: Clock,
    last: Cell<u64>,
    /// Unix ms at `wall_clock`, by the nanosecond clock.
    wall_ms: Cell<u64>,
    wall_clock: Cell<u64>,
}

impl ThreadClock {
    /// As of now.
    pub fn new(clock: Clock) -> Self {
        let now = clock.now();
        Self { clock, last: Cell::new(now), wall_ms: Cell::new(now_ms()), wall_clock: Cell::new(now) }
    }

    /// Looks at both clocks.
    pub fn tick(&self) {
        let now = self.clock.now();
        self.last.set(now);
        self.wall_clock.set(now);
        self.wall_ms.set(now_ms());
    }

    /// Unix time in milliseconds: the system's clock at the last tick, and ours from there on.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        let passed = self.last.get().saturating_sub(self.wall_clock.get());
        if passed < 1_000_000 { self.wall_ms.get() } else { self.wall_ms.get() + passed / 1_000_000 }
    }

    /// The nanosecond clock as it was read last.
    #[inline]
    pub fn last(&self) -> u64 {
        self.last.get()
    }

    /// Reads the nanosecond clock.
    #[inline]
    pub fn read(&self) -> u64 {
        let now = self.clock.now();
        self.last.set(now);
        now
    }
}
