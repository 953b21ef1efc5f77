//! Where a key goes: which shard, and which part of the shards belongs to whom.
//!
//! Shards get unequal shares of the keys, on purpose. With equal ones the tables of all shards double at about the same
//! number of keys: memory goes up in steps of a half, and a pipeline of insertions meets a thousand growing tables in a
//! row. Here shard `s` of `n` gets a share in proportion to `2^(s/n)`, so the last has twice the keys of the first, and between
//! two doublings of one table each other table doubles once, evenly spread. At any number of keys the slots then cost what they
//! cost on average: 15 to 17 bytes a key instead of 10 to 21.
//!
//! The shares are made where a key is hashed: [`staggered`] bends the bits of the hash that choose the shard, and everybody
//! else, `DashMap` among them, goes on to take a shard from a hash by a shift. The bits that a table uses, the
//! seven highest and the lowest 25, stay as they are.
//!
//! Rejected: a table of bounds (a cache line and a search for each key), and a threshold for growth of each shard's own
//! (`hashbrown` has none). With the cluster on, a shard will be a range of slots instead, and ranges of unequal length do the same.

/// Bits of the hash below those that choose the shard.
const LOW_BITS: u32 = 25;
/// One, as a fraction of 32 bits.
const ONE: u64 = 1 << 32;

/// A fraction of 32 bits.
const fn fraction(share: f64) -> u64 {
    (share * ONE as f64) as u64
}

/// The hash with its shard's share of the keys in proportion to `2^(shard/shards)`: the 32 bits below the seven highest, as a
/// fraction `x`, become `log2(1 + x)`, to 0.2% of a shard's share. A dozen cycles.
#[inline]
pub fn staggered(hash: u64) -> u64 {
    let x = hash >> LOW_BITS & (ONE - 1);
    // log2(1 + x) = x + x (1 - x) g(x), where g is nearly a parabola. The coefficients make the steepness, and so the shares,
    // as exact as three of them can.
    let times = |a: u64, b: u64| (a * b) >> 32;
    let parabola = fraction(0.44) - times(x, fraction(0.2391) - times(x, fraction(0.0791)));
    let bent = x + times(times(x, ONE - x), parabola);
    hash & !((ONE - 1) << LOW_BITS) | bent << LOW_BITS
}

/// The share of all keys that `shard` has, from 0 to 1.
pub fn share_of(shard: usize, shards: usize) -> f64 {
    let bound = |shard: usize| (shard as f64 / shards as f64).exp2();
    bound(shard + 1) - bound(shard)
}

/// Which of `parts` has `shard`: contiguous parts of the shards with about equal shares of the keys.
pub fn part_of(shard: usize, shards: usize, parts: usize) -> usize {
    // The share of the keys that lies before the middle of the shard: the inverse of `staggered`.
    let before = ((shard as f64 + 0.5) / shards as f64).exp2() - 1.0;
    ((before * parts as f64) as usize).min(parts - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_fraction(x: u64) -> u64 {
        x << LOW_BITS
    }

    fn fraction_of(hash: u64) -> f64 {
        (hash >> LOW_BITS & (ONE - 1)) as f64 / ONE as f64
    }

    #[test]
    fn it_is_the_logarithm() {
        for x in (0..ONE).step_by(1 << 20) {
            let expected = (1.0 + x as f64 / ONE as f64).log2();
            let bent = fraction_of(staggered(with_fraction(x)));
            assert!((bent - expected).abs() < 0.000_5, "{x}: {bent} instead of {expected}");
        }
    }

    #[test]
    fn the_order_stays_and_nothing_overflows() {
        let at = |x: u64| staggered(with_fraction(x));
        assert!((1..1 << 20).all(|x| at(x - 1) <= at(x)));
        assert!((ONE - (1 << 20)..ONE).all(|x| at(x - 1) <= at(x)));
        assert!(at(ONE - 1) < with_fraction(ONE));
        assert_eq!(at(0), 0);
    }

    #[test]
    fn the_tables_bits_stay() {
        let kept = !((ONE - 1) << LOW_BITS);
        for hash in [u64::MAX, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210] {
            assert_eq!(staggered(hash) & kept, hash & kept);
        }
    }

    #[test]
    fn the_last_shard_has_twice_the_keys_of_the_first() {
        const SHARDS: usize = 16;
        let mut counts = [0u32; SHARDS];
        for x in (0..ONE).step_by(1 << 12) {
            counts[(fraction_of(staggered(with_fraction(x))) * SHARDS as f64) as usize] += 1;
        }
        for (shard, pair) in counts.windows(2).enumerate() {
            let ratio = f64::from(pair[1]) / f64::from(pair[0]);
            assert!((ratio - (1.0 / SHARDS as f64).exp2()).abs() < 0.005, "{ratio} after shard {shard}");
        }
    }

    #[test]
    fn parts_have_equal_shares() {
        for parts in [1, 2, 3, 7] {
            let mut shares = vec![0.0; parts];
            let bound = |shard: usize| (shard as f64 / 1024.0).exp2() - 1.0;
            let owners: Vec<usize> = (0..1024).map(|shard| part_of(shard, 1024, parts)).collect();
            for (shard, part) in owners.iter().enumerate() {
                shares[*part] += bound(shard + 1) - bound(shard);
            }
            assert!(owners.is_sorted());
            assert!(shares.iter().all(|share| (share * parts as f64 - 1.0).abs() < 0.01), "{shares:?}");
        }
    }
}
