//! What is measured and predicted: an engine, threads, a batch, a mix, a distribution; and how keys fall on shards and caches.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::load::Spread;
use crate::load::keys::KeyDraw;

/// Shards, as the server has them.
pub const SHARDS: usize = 1024;
/// Keys of all cases.
pub const KEYS: u64 = 100_000;
/// Draws that a simulation repeats, as the program that is measured does.
const DRAWS: usize = 1 << 15;
/// What a command touches of its key: slot, block, and the table's control bytes, in bytes of whole cache lines.
const KEY_BYTES: f64 = 256.0;
/// What of the caches a thread may have to itself: one of these is chosen by measurements.
pub const CACHE_BYTES: [f64; 7] = [64e3, 128e3, 256e3, 512e3, 1e6, 2e6, 4e6];

/// An engine of the lab's own server, by what its threads wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One lock.
    Mutex,
    /// A lock for each shard.
    DashMap,
    /// An owner for each shard.
    Actor,
    /// A lock for each shard, and reads without it.
    LockFree,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mutex, Self::DashMap, Self::Actor, Self::LockFree];

    /// The engine's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mutex => "mutex",
            Self::DashMap => "dashmap",
            Self::Actor => "actor",
            Self::LockFree => "lockfree",
        }
    }
}

/// One of them, under one load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// The engine.
    pub kind: Kind,
    /// Threads.
    pub threads: usize,
    /// Commands of a batch.
    pub batch: usize,
    /// Of 100 commands, how many read.
    pub reads: u64,
    /// Which keys.
    pub spread: Spread,
    /// Whether each thread has keys of its own, so that none meets another.
    pub has_own_keys: bool,
}

impl Case {
    /// Uniform keys that all threads share.
    pub fn new(kind: Kind, threads: usize, batch: usize, reads: u64) -> Self {
        Self { kind, threads, batch, reads, spread: Spread::Uniform, has_own_keys: false }
    }

    /// The same with these keys.
    #[must_use]
    pub fn spread(self, spread: Spread) -> Self {
        Self { spread, ..self }
    }

    /// The same, but no thread meets another.
    #[must_use]
    pub fn own_keys(self) -> Self {
        Self { has_own_keys: true, ..self }
    }

    /// Of all commands, how many write.
    pub fn writes(&self) -> f64 {
        1.0 - self.reads as f64 / 100.0
    }

    /// What costs are linear in: a command, its writing, mixing, a miss of the core's own cache; and all of these per batch.
    pub fn terms(&self, misses: f64) -> [f64; 7] {
        let (writes, batch) = (self.writes(), self.batch as f64);
        let mixed = 4.0 * writes * (1.0 - writes);
        [1.0, writes, mixed, misses, 1.0 / batch, writes / batch, misses / batch]
    }
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, threads, batch, reads, spread, has_own_keys } = self;
        let own = if *has_own_keys { ", own keys" } else { "" };
        write!(out, "{}, {threads} threads, batch {batch}, {reads}% reads, {spread}{own}", kind.name())
    }
}

/// The keys of a distribution, drawn once.
#[derive(Debug, Clone)]
pub struct Draws {
    /// The shard of each draw.
    pub shards: Vec<u16>,
    /// The share of accesses that a core's own cache does not have.
    pub misses: f64,
}

impl Draws {
    /// Draws, for a cache of so many bytes.
    pub fn new(spread: Spread, cache_bytes: f64) -> Self {
        let mut draw = KeyDraw::new(spread, KEYS, 7);
        let keys: Vec<u64> = (0..DRAWS).map(|_| draw.draw()).collect();
        let shards = keys.iter().map(|key| (mixed(*key) % SHARDS as u64) as u16).collect();
        Self { shards, misses: misses(&keys, (cache_bytes / KEY_BYTES) as usize) }
    }
}

/// A cache that forgets what was used longest ago, of so many keys: it has a key if it was used within the time in which so many
/// different ones come (Denning's working set, 1968). The keys come again and again, so the second time round counts.
fn misses(keys: &[u64], capacity: usize) -> f64 {
    let mut different = std::collections::HashSet::new();
    let Some(window) = keys.iter().position(|key| different.insert(*key) && different.len() > capacity)
    else {
        return 0.0;
    };
    let mut last: std::collections::HashMap<u64, usize> = std::collections::HashMap::new();
    let mut missed = 0_usize;
    for (index, key) in keys.iter().chain(keys).enumerate() {
        let before = last.insert(*key, index);
        if index >= keys.len() && before.is_none_or(|before| index - before > window) {
            missed += 1;
        }
    }
    missed as f64 / keys.len() as f64
}

/// SplitMix64's last steps.
fn mixed(value: u64) -> u64 {
    let mut bits = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hotter_the_keys_the_fewer_misses() {
        let misses = |spread| Draws::new(spread, 512e3).misses;
        assert!(misses(Spread::Uniform) > 0.9);
        let (mild, strong) = (misses(Spread::Zipf(0.99)), misses(Spread::Zipf(1.2)));
        assert!(mild < 0.6 && strong < mild, "{mild} {strong}");
        assert!(misses(Spread::One) < 0.001);
    }

    #[test]
    fn one_key_is_one_shard_and_many_are_all() {
        let different = |spread| {
            let shards = Draws::new(spread, 512e3).shards;
            shards.into_iter().collect::<std::collections::HashSet<u16>>().len()
        };
        assert_eq!(different(Spread::One), 1);
        assert!(different(Spread::Uniform) > SHARDS * 9 / 10);
    }
}
