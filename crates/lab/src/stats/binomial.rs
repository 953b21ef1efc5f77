//! Tosses of a fair coin: what intervals and tests of a median stand on.

/// What intervals are made for.
pub const CONFIDENCE: f64 = 0.95;
/// Order statistics that cover up to this are taken as they are; beyond, the interval is drawn in between two of them.
const COVERAGE_MAX: f64 = 0.97;

/// The chance of at most `most` heads in `count` tosses.
pub fn at_most(count: usize, most: usize) -> f64 {
    let mut term = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut sum = 0.0;
    for heads in 0..=most.min(count) {
        sum += term;
        term = term * (count - heads) as f64 / (heads + 1) as f64;
    }
    sum
}

/// How often the interval from the `rank`-th least to the `rank`-th greatest of `count` values holds the median.
pub fn covered(count: usize, rank: usize) -> f64 {
    1.0 - 2.0 * at_most(count, rank - 1)
}

/// Which order statistics make the interval of `count` values, counted from 1 at both ends, and how far towards the next
/// inner ones it ends: 0 where they are taken as they are.
pub(super) fn ranks(count: usize) -> (usize, f64) {
    let mut rank = 1;
    while rank < count.div_ceil(2) && covered(count, rank + 1) >= CONFIDENCE {
        rank += 1;
    }
    let outer = covered(count, rank);
    if outer <= COVERAGE_MAX || rank >= count.div_ceil(2) {
        return (rank, 0.0);
    }
    // Hettmansperger and Sheather (1986).
    let share = (outer - CONFIDENCE) / (outer - covered(count, rank + 1));
    let (count, place) = (count as f64, rank as f64);
    (rank, (count - place) * share / (place + (count - 2.0 * place) * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_are_fair() {
        assert_eq!(at_most(12, 2), 79.0 / 4096.0);
        assert_eq!(at_most(3, 3), 1.0);
        assert_eq!(ranks(12), (3, 0.0));
        assert_eq!(ranks(15), (4, 0.0));
        assert_eq!(ranks(4), (1, 0.0));
        assert_eq!(ranks(16).0, 4);
    }
}
