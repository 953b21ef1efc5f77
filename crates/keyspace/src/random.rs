//! Random words, and uniform choices from a stream of them.
//!
//! The seed, or the words, come from the caller, so that a run repeats. The choices do not divide with bias: "each member is
//! equally likely" is meant exactly, given perfect words.

use std::cell::Cell;

/// A random number generator of the thread: xoshiro256++ (Blackman and Vigna), seeded from outside so that a run repeats.
#[derive(Debug)]
pub struct Random([Cell<u64>; 4]);

impl Random {
    /// From a seed, spread by splitmix64.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            Cell::new(z ^ z >> 31)
        }))
    }

    /// 64 random bits.
    pub fn next(&self) -> u64 {
        let [a, b, c, d] = &self.0;
        let result = a.get().wrapping_add(d.get()).rotate_left(23).wrapping_add(a.get());
        let shifted = b.get() << 17;
        c.set(c.get() ^ a.get());
        d.set(d.get() ^ b.get());
        b.set(b.get() ^ c.get());
        a.set(a.get() ^ d.get());
        c.set(c.get() ^ shifted);
        d.set(d.get().rotate_left(45));
        result
    }

    /// A number below `bound`, which is not 0; biased by less than 2^-32 for bounds below 2^32 (Lemire's multiplication).
    pub fn below(&self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// A number in `0..bound`, each equally likely; `bound` must not be 0. Lemire's multiplication with rejection
/// (<https://arxiv.org/abs/1805.10941>), which almost never needs a second word.
pub fn below(bound: u64, random: &mut impl FnMut() -> u64) -> u64 {
    debug_assert!(bound > 0);
    loop {
        let product = u128::from(random()) * u128::from(bound);
        let low = product as u64;
        if low >= bound || low >= bound.wrapping_neg() % bound {
            return (product >> 64) as u64;
        }
    }
}

/// An index in `0..len`, each equally likely; `len` must not be 0.
pub fn index(len: usize, random: &mut impl FnMut() -> u64) -> usize {
    below(len as u64, random) as usize
}

/// Chooses a number of items out of a pass over all of them, each subset equally likely.
///
/// Selection sampling: Knuth, The Art of Computer Programming, volume 2, 3.4.2, algorithm S.
#[derive(Debug, Clone)]
pub struct Selection {
    wanted: u64,
    left: u64,
}

impl Selection {
    /// Will choose `wanted` of `of` items, or all of them if that is less.
    pub fn new(wanted: usize, of: usize) -> Self {
        Self { wanted: wanted as u64, left: of as u64 }
    }

    /// Whether the next item of the pass is chosen.
    pub fn takes_next(&mut self, random: &mut impl FnMut() -> u64) -> bool {
        let takes = self.wanted > 0 && self.left > 0 && below(self.left, random) < self.wanted;
        self.left = self.left.saturating_sub(1);
        self.wanted -= u64::from(takes);
        takes
    }

    /// Whether all wanted items have been chosen.
    pub fn is_done(&self) -> bool {
        self.wanted == 0
    }
}

/// Splitmix64 from a fixed seed, for tests.
#[cfg(test)]
pub(crate) fn seeded(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }
}

/// Fails unless the counts could come from equally likely outcomes: chi-square within six standard deviations.
#[cfg(test)]
pub(crate) fn assert_uniform(counts: &[u64]) {
    let total: u64 = counts.iter().sum();
    let expected = total as f64 / counts.len() as f64;
    assert!(expected >= 5.0, "too few draws to judge");
    let chi_square: f64 = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
    let freedom = (counts.len() - 1) as f64;
    let deviations = (chi_square - freedom) / (2.0 * freedom).sqrt();
    assert!(deviations.abs() < 6.0, "chi-square {chi_square} for {freedom} degrees of freedom");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_uniform() {
        let mut random = seeded(1);
        let mut counts = [0; 7];
        (0..70_000).for_each(|_| counts[below(7, &mut random) as usize] += 1);
        assert_uniform(&counts);
    }

    #[test]
    fn below_rejects_the_words_that_would_bias() {
        // Three does not divide 2^64, so one word has to be drawn again.
        let mut words = [0, u64::MAX].into_iter();
        assert_eq!(below(3, &mut || words.next().unwrap()), 2);
    }

    #[test]
    fn selection_takes_exactly_what_is_wanted() {
        let mut random = seeded(2);
        for (wanted, of) in [(0, 5), (1, 5), (5, 5), (9, 5), (3, 0)] {
            let mut selection = Selection::new(wanted, of);
            let taken = (0..of).filter(|_| selection.takes_next(&mut random)).count();
            assert_eq!(taken, wanted.min(of));
        }
    }

    #[test]
    fn selection_is_uniform() {
        let mut random = seeded(3);
        let mut counts = [0; 6];
        for _ in 0..60_000 {
            let mut selection = Selection::new(1, 6);
            (0..6).filter(|_| selection.takes_next(&mut random)).for_each(|item: usize| counts[item] += 1);
        }
        assert_uniform(&counts);
    }
}
