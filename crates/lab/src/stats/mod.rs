//! Statistics that a doubting reader accepts: medians with intervals from order statistics, sign tests, Holm's correction.
//!
//! Repetitions are few and their distribution is unknown and skewed, so nothing here assumes one: that a value lies above
//! the true median is a toss of a coin, whatever else is true, and intervals and tests follow from the binomial
//! distribution alone. Two cells are compared by their ratios within each round, for what slows the machine down for a while
//! slows both. Rejected: the bootstrap of the median, whose intervals hold it in 87 of 100 cases with four repetitions and
//! in 93 with twelve, instead of in 95.

pub mod binomial;
pub mod gamma;
pub mod sessions;
pub mod student;
pub mod usl;

use serde::{Deserialize, Serialize};

use crate::stats::binomial::{at_most, ranks};

/// A median and the interval that holds the true one, as often as [`coverage`] says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The median of what was measured.
    pub median: f64,
    /// The upper end.
    pub high: f64,
    /// How many repetitions it stands on.
    pub count: usize,
}

/// Which repetition: session and round.
pub type Key = (u32, u32);

impl Interval {
    /// Whether both intervals have a value in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }

    /// Whether `value` lies within.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The interval of a function of the value that only rises or only falls.
    #[must_use]
    pub fn map(&self, function: impl Fn(f64) -> f64) -> Self {
        let (a, b) = (function(self.low), function(self.high));
        Self { low: a.min(b), median: function(self.median), high: a.max(b), count: self.count }
    }
}

/// The median; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    middle(&sorted)
}

fn middle(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// The median and its interval by order statistics; `None` of nothing. Of fewer than six values it is all that was seen,
/// from the least to the greatest, and holds the true median less often than a reader expects: see [`coverage`].
pub fn interval(values: &[f64]) -> Option<Interval> {
    if values.is_empty() {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let count = sorted.len();
    let (rank, between) = ranks(count);
    // Between an order statistic and its inner neighbour.
    let end = |outer: f64, inner: f64| if between > 0.0 { outer + between * (inner - outer) } else { outer };
    let inner = rank.min(count - 1);
    Some(Interval {
        low: end(sorted[rank - 1], sorted[inner]),
        median: middle(&sorted),
        high: end(sorted[count - rank], sorted[count - 1 - inner]),
        count,
    })
}

/// How often an interval of so many values holds the true median. Where it lies between order statistics (Hettmansperger
/// and Sheather, 1986) this is what it was made for.
pub fn coverage(count: usize) -> f64 {
    let (rank, between) = ranks(count);
    if between > 0.0 { binomial::CONFIDENCE } else { binomial::covered(count, rank) }
}

/// The ratios of `values` to `base` in each repetition that has both.
pub fn ratios(values: &[(Key, f64)], base: &[(Key, f64)]) -> Vec<(Key, f64)> {
    let of = |(key, value): &(Key, f64)| {
        let (_, base) = base.iter().find(|(other, base)| other == key && *base > 0.0)?;
        Some((*key, value / base))
    };
    values.iter().filter_map(of).collect()
}

/// The ratio of `values` to `base`, by repetitions. `None` if none has both.
pub fn ratio(values: &[(Key, f64)], base: &[(Key, f64)]) -> Option<Interval> {
    let ratios: Vec<f64> = ratios(values, base).into_iter().map(|(_, ratio)| ratio).collect();
    interval(&ratios)
}

/// The sign test's p, two-sided, of the hypothesis that the median does not lie above `limit`: twice the chance that so few
/// of the values or fewer lie at or below it.
pub fn sign_above(values: &[f64], limit: f64) -> f64 {
    let against = values.iter().filter(|value| **value <= limit).count();
    (2.0 * at_most(values.len(), against)).min(1.0)
}

/// The same for below.
pub fn sign_below(values: &[f64], limit: f64) -> f64 {
    let against = values.iter().filter(|value| **value >= limit).count();
    (2.0 * at_most(values.len(), against)).min(1.0)
}

/// Holm's correction (1979): the adjusted p of each, in their order.
pub fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut adjusted = vec![0.0; values.len()];
    let mut greatest = 0.0_f64;
    for (place, index) in order.into_iter().enumerate() {
        greatest = greatest.max(values[index] * (values.len() - place) as f64).min(1.0);
        adjusted[index] = greatest;
    }
    adjusted
}

/// The standard deviation as a share of the mean; 0 of fewer than two values.
pub fn variation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    if values.len() < 2 || mean == 0.0 {
        return 0.0;
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (count - 1.0)).sqrt() / mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn intervals_are_order_statistics() {
        let values: Vec<f64> = (1..=12).rev().map(f64::from).collect();
        assert_eq!(interval(&values).unwrap(), Interval { low: 3.0, median: 6.5, high: 10.0, count: 12 });
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        assert_eq!(interval(&values).unwrap(), Interval { low: 4.0, median: 8.0, high: 12.0, count: 15 });
        // Sixteen: the 4th to 13th hold it in 97.9 of 100 cases, the 5th to 12th in 92.3; between them lie 95.
        let values: Vec<f64> = (1..=16).map(f64::from).collect();
        let found = interval(&values).unwrap();
        assert!(
            4.0 < found.low && found.low < 5.0 && (found.low + found.high - 17.0).abs() < 1e-9,
            "{found:?}"
        );
        assert_eq!(interval(&[7.0]).unwrap(), Interval { low: 7.0, median: 7.0, high: 7.0, count: 1 });
        assert_eq!(interval(&[]), None);
    }

    #[test]
    fn coverage_is_told() {
        assert!((coverage(12) - 0.9614).abs() < 1e-4 && (coverage(15) - 0.9648).abs() < 1e-4);
        assert!((coverage(6) - 0.96875).abs() < 1e-9 && (coverage(4) - 0.875).abs() < 1e-9);
        assert_eq!(coverage(16), 0.95);
    }

    #[test]
    fn ratios_pair_by_round() {
        // The machine was twice as slow in round 2: the ratio does not see it.
        let fast = [((0, 1), 200.0), ((0, 2), 100.0), ((0, 3), 200.0)];
        let slow = [((0, 2), 50.0), ((0, 1), 100.0), ((0, 3), 100.0), ((1, 1), 1.0)];
        let found = ratio(&fast, &slow).unwrap();
        assert_eq!((found.low, found.median, found.high, found.count), (2.0, 2.0, 2.0, 3));
        assert_eq!(ratio(&[((0, 1), 1.0)], &[((0, 2), 1.0)]), None);
    }

    #[test]
    fn signs_are_counted() {
        let values: Vec<f64> = (1..=12).map(f64::from).collect();
        assert_eq!(sign_above(&values, 0.5), 2.0 / 4096.0);
        assert_eq!(sign_above(&values, 1.0), 26.0 / 4096.0);
        assert_eq!(sign_below(&values, 13.0), 2.0 / 4096.0);
        assert_eq!(sign_above(&values, 12.0), 1.0);
    }

    #[test]
    fn the_smallest_p_pays_for_all() {
        assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
        assert_eq!(holm(&[0.5, 0.6]), [1.0, 1.0]);
    }

    #[test]
    fn variation_is_relative() {
        assert_eq!(variation(&[5.0, 5.0, 5.0]), 0.0);
        assert!((variation(&[9.0, 11.0]) - 0.1414).abs() < 1e-3);
        assert_eq!(variation(&[1.0]), 0.0);
    }
}
