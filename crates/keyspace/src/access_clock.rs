//! The access clock of a key: 24 bits, read as LRU or as LFU.
//!
//! LRU: the second of the last access, modulo 2^24 (194 days). LFU: sixteen bits of the minute of the last decay and an
//! eight-bit logarithmic counter (Morris), as Redis documents it. LRM: as LRU, of the last change. Which of them is meant follows from
//! `maxmemory-policy`.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// How accesses are remembered, as the configuration says.
#[derive(Debug)]
pub struct AccessPolicy {
    /// LFU if true, else LRU.
    pub is_lfu: AtomicBool,
    /// LRM if true: a clock of LRU that changes alone set.
    pub is_lrm: AtomicBool,
    /// Whether somebody evicts by it: then no two keys may share a value, as Redis counts.
    pub decides_eviction: AtomicBool,
    /// `lfu-log-factor`: how fast the counter saturates.
    pub lfu_log_factor: AtomicU32,
    /// `lfu-decay-time`: minutes after which the counter falls by one; 0 never.
    pub lfu_decay_minutes: AtomicU32,
}

/// The policy of the process.
pub static ACCESS_POLICY: AccessPolicy = AccessPolicy {
    is_lfu: AtomicBool::new(false),
    is_lrm: AtomicBool::new(false),
    decides_eviction: AtomicBool::new(false),
    lfu_log_factor: AtomicU32::new(10),
    lfu_decay_minutes: AtomicU32::new(1),
};

const CLOCK_MASK: u32 = (1 << 24) - 1;
/// Where the LFU counter of a new key starts, so that it is not evicted at once.
const LFU_INITIAL: u32 = 5;

/// The clock of a key that is new at `now_ms`.
pub fn new_clock(now_ms: u64) -> u32 {
    if ACCESS_POLICY.is_lfu.load(Relaxed) {
        lfu_minutes(now_ms) << 8 | LFU_INITIAL
    } else {
        lru_seconds(now_ms)
    }
}

/// The clock of a key after an access at `now_ms`, which is no change yet; `random` is drawn only for LFU.
#[inline]
pub fn touched(clock: u32, now_ms: u64, random: impl FnOnce() -> u64) -> u32 {
    if !ACCESS_POLICY.is_lfu.load(Relaxed) {
        return if ACCESS_POLICY.is_lrm.load(Relaxed) { clock } else { lru_seconds(now_ms) };
    }
    let counter = frequency(clock, now_ms);
    lfu_minutes(now_ms) << 8 | incremented(counter, random())
}

fn lru_seconds(now_ms: u64) -> u32 {
    (now_ms / 1000) as u32 & CLOCK_MASK
}

fn lfu_minutes(now_ms: u64) -> u32 {
    (now_ms / 60_000) as u32 & 0xffff
}

/// Morris's approximate count: the higher, the less probable a step.
fn incremented(counter: u32, random: u64) -> u32 {
    if counter >= 255 {
        return 255;
    }
    let base = f64::from(counter.saturating_sub(LFU_INITIAL));
    let probability = 1.0 / (base * f64::from(ACCESS_POLICY.lfu_log_factor.load(Relaxed)) + 1.0);
    let draw = (random >> 11) as f64 / (1u64 << 53) as f64;
    counter + u32::from(draw < probability)
}

/// The LFU counter (0 to 255) of a clock, decayed to `now_ms`.
pub fn frequency(clock: u32, now_ms: u64) -> u32 {
    let counter = clock & 0xff;
    let decay = ACCESS_POLICY.lfu_decay_minutes.load(Relaxed);
    if decay == 0 {
        return counter;
    }
    let minutes = lfu_minutes(now_ms).wrapping_sub(clock >> 8) & 0xffff;
    counter.saturating_sub(minutes / decay)
}

/// Seconds since the last access of an LRU clock.
pub fn idle_seconds(clock: u32, now_ms: u64) -> u32 {
    lru_seconds(now_ms).wrapping_sub(clock) & CLOCK_MASK
}

/// The LRU clock of a key that was last used `idle` seconds ago (`RESTORE ... IDLETIME`).
pub fn clock_of_idle(idle: u32, now_ms: u64) -> u32 {
    lru_seconds(now_ms).wrapping_sub(idle) & CLOCK_MASK
}

/// The LFU clock of a key with this counter (`RESTORE ... FREQ`).
pub fn clock_of_frequency(counter: u8, now_ms: u64) -> u32 {
    lfu_minutes(now_ms) << 8 | u32::from(counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_wraps() {
        let start = u64::from(CLOCK_MASK) * 1000;
        assert_eq!(idle_seconds(lru_seconds(start), start + 5_000), 5);
        assert_eq!(idle_seconds(clock_of_idle(42, start), start), 42);
    }

    #[test]
    fn a_frequency_decays_by_the_minute_and_saturates() {
        let clock = clock_of_frequency(100, 0);
        assert_eq!(frequency(clock, 0), 100);
        assert_eq!(frequency(clock, 10 * 60_000), 90);
        assert_eq!(frequency(clock, 300 * 60_000), 0);
        assert_eq!(incremented(255, 0), 255);
        assert_eq!(incremented(5, u64::MAX), 6);
    }
}
