//! A cheap monotonic clock in nanoseconds.
//!
//! Two reads of the clock surround every command, so its price is part of every latency figure. On x86-64 the time
//! stamp counter is read directly and scaled by one multiplication, if the processor says that it ticks at a constant
//! rate in every power state (CPUID leaf 0x8000_0007, "invariant") *and* the kernel still offers it as a clock
//! source: the kernel checks that the counters of all processors agree, and withdraws it when they do not. Everywhere
//! else `Instant` is used.
//!
//! Calibration compares the counter with `Instant` at both ends of 10 ms. Each end is the tightest of 16 attempts,
//! known to about 30 ns, so the rate is right to a few parts per million.
//!
//! Rejected: the `quanta` crate. It does the same multiplication, and these few lines, which ask the kernel as well, are
//! all that is needed of it. Rejected: `rdtscp`, or a fence, for an ordered read; the few instructions that may slip past
//! the read do not show in a command's latency.
//!
//! A read costs 9 ns on a VM with an AMD EPYC, where an `Instant` costs 22 ns.

use std::time::Instant;

/// A monotonic clock whose zero is its start. A small value to be copied into whatever measures; all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// `nanos_per_tick` is a fixed-point number with 32 fractional bits.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    Counter {
        base: u64,
        nanos_per_tick: u64,
    },
    Monotonic {
        base: Instant,
    },
}

impl Clock {
    /// The best clock of this machine. Takes 10 ms where there is a counter to calibrate; so once per process.
    pub fn start() -> Self {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if counter::is_trustworthy() {
            let (base, nanos_per_tick) = counter::calibrate();
            return Clock { source: Source::Counter { base, nanos_per_tick } };
        }
        Clock::monotonic()
    }

    /// The clock of the operating system, for tests and comparisons.
    pub fn monotonic() -> Self {
        Clock { source: Source::Monotonic { base: Instant::now() } }
    }

    /// Nanoseconds since the clock was started. Readings of two threads may disagree by some tens of nanoseconds, so
    /// subtract them with `saturating_sub`.
    #[inline]
    pub fn now(&self) -> u64 {
        match self.source {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Source::Counter { base, nanos_per_tick } => {
                let ticks = counter::read().saturating_sub(base);
                ((u128::from(ticks) * u128::from(nanos_per_tick)) >> 32) as u64
            }
            Source::Monotonic { base } => base.elapsed().as_nanos() as u64,
        }
    }

    /// What the clock reads, for INFO: `tsc` or `monotonic`.
    pub fn source(&self) -> &'static str {
        match self.source {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Source::Counter { .. } => "tsc",
            Source::Monotonic { .. } => "monotonic",
        }
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod counter {
    use std::arch::x86_64::{__cpuid, _rdtsc};
    use std::time::{Duration, Instant};

    const CALIBRATION: Duration = Duration::from_millis(10);
    const ATTEMPTS: usize = 16;
    const CPUID_POWER: u32 = 0x8000_0007;
    const CPUID_HIGHEST: u32 = 0x8000_0000;
    const INVARIANT: u32 = 1 << 8;
    const CLOCK_SOURCES: &str = "/sys/devices/system/clocksource/clocksource0/available_clocksource";

    #[inline]
    pub(super) fn read() -> u64 {
        // SAFETY: RDTSC exists on every x86-64 processor, and touches no memory.
        unsafe { _rdtsc() }
    }

    pub(super) fn is_trustworthy() -> bool {
        let is_invariant =
            __cpuid(CPUID_HIGHEST).eax >= CPUID_POWER && __cpuid(CPUID_POWER).edx & INVARIANT != 0;
        let kernel_agrees = std::fs::read_to_string(CLOCK_SOURCES)
            .is_ok_and(|sources| sources.split_whitespace().any(|source| source == "tsc"));
        is_invariant && kernel_agrees
    }

    /// The counter's value at the end, and nanoseconds per tick with 32 fractional bits.
    pub(super) fn calibrate() -> (u64, u64) {
        let (first_ticks, first) = sample();
        while first.elapsed() < CALIBRATION {
            std::hint::spin_loop();
        }
        let (last_ticks, last) = sample();
        let nanos = last.duration_since(first).as_nanos();
        let ticks = u128::from(last_ticks.saturating_sub(first_ticks).max(1));
        (last_ticks, ((nanos << 32) / ticks) as u64)
    }

    /// The counter and the time at one moment: of several attempts the one that was disturbed least.
    fn sample() -> (u64, Instant) {
        let attempt = || {
            let before = read();
            let now = Instant::now();
            let after = read();
            (after.saturating_sub(before), before + after.saturating_sub(before) / 2, now)
        };
        let mut best = attempt();
        for _ in 1..ATTEMPTS {
            let next = attempt();
            if next.0 < best.0 {
                best = next;
            }
        }
        (best.1, best.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Brackets the clock between two `Instant`s, so that being preempted anywhere cannot fail the test.
    fn check_rate(clock: Clock) {
        let outer = Instant::now();
        let start = clock.now();
        let inner = Instant::now();
        while inner.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let inner = inner.elapsed().as_nanos() as f64;
        let measured = (clock.now() - start) as f64;
        let outer = outer.elapsed().as_nanos() as f64;
        assert!(measured > inner * 0.999, "{measured} against at least {inner}");
        assert!(measured < outer * 1.001, "{measured} against at most {outer}");
    }

    #[test]
    fn runs_at_the_rate_of_the_monotonic_clock() {
        check_rate(Clock::start());
        check_rate(Clock::monotonic());
    }

    #[test]
    fn never_runs_backwards_on_a_thread() {
        for clock in [Clock::start(), Clock::monotonic()] {
            let mut last = clock.now();
            for _ in 0..if cfg!(miri) { 100 } else { 100_000 } {
                let now = clock.now();
                assert!(now >= last);
                last = now;
            }
        }
    }

    #[test]
    fn copies_agree() {
        let clock = Clock::start();
        let copy = clock;
        let before = clock.now();
        let between = copy.now();
        assert!(before <= between && between <= clock.now());
        assert_eq!(clock.source(), copy.source());
    }
}
