//! The one hash function of the process.
//!
//! foldhash in its quality variant: every bit of the result depends on every bit of the input, so that a table may
//! take its bucket from the low bits, its fingerprint from the high ones, and a shard from some between. It is
//! seeded once per process from the operating system's randomness, which keeps a client from choosing keys that
//! collide; SipHash would be a proof where this is a good guess, at three times the cost for short keys.
//!
//! A test that wants the same layout each run calls [`set_seed`] before anything is hashed; this crate's own unit
//! tests have a fixed seed.

use crate::placement;
use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

struct Seed {
    per_hasher: u64,
    shared: SharedSeed,
}

impl Seed {
    fn new(words: [u64; 2]) -> Self {
        Self { per_hasher: words[0], shared: SharedSeed::from_u64(words[1]) }
    }

    fn random() -> Self {
        if cfg!(test) {
            return Self::new([1, 2]);
        }
        // Each `RandomState` has keys of its own that stem from the operating system.
        Self::new([RandomState::new().hash_one(0u64), RandomState::new().hash_one(1u64)])
    }
}

static SEED: OnceLock<Seed> = OnceLock::new();

/// Hashes `bytes`; the same for the life of the process, another in the next one.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    let seed = SEED.get_or_init(Seed::random);
    let mut hasher = FoldHasher::with_seed(seed.per_hasher, &seed.shared);
    hasher.write(bytes);
    hasher.finish()
}

/// Hashes a key of the keyspace: what [`hash`] gives, with the shards' shares of the keys staggered.
#[inline]
pub fn key_hash(bytes: &[u8]) -> u64 {
    placement::staggered(hash(bytes))
}

/// Fixes the seed, for tests that must repeat; false, and nothing changes, once something has been hashed.
pub fn set_seed(seed: u64) -> bool {
    SEED.set(Seed::new([seed, !seed])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_cannot_change_once_used() {
        let before = hash(b"key");
        assert!(!set_seed(7));
        assert_eq!(hash(b"key"), before);
    }

    #[test]
    fn each_bit_is_set_half_of_the_time() {
        let mut ones = [0u32; 64];
        for number in 0..10_000u32 {
            let hash = hash(&number.to_le_bytes());
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += (hash >> bit & 1) as u32;
            }
        }
        // Six standard deviations of a fair coin thrown 10,000 times.
        assert!(ones.iter().all(|count| count.abs_diff(5_000) < 300), "{ones:?}");
    }
}
