//! Statistics that a doubting reader accepts: medians with bootstrap intervals, and differences that are named only where
//! the intervals say so.
//!
//! Repetitions are few (3 to 10) and their distribution is unknown and skewed, so nothing here assumes a normal one: the
//! percentile bootstrap (Efron, 1979) of the median. Two configurations are compared by the ratios within each round, for
//! what slows the machine down for a while slows both. The resampling is seeded, so a report's numbers can be recomputed.

pub mod usl;

use rustredis_testkit::Random;
use serde::{Deserialize, Serialize};

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2_000;
/// The seed of all resampling: a report recomputed from its raw data is the same.
const SEED: u64 = 0x5eed;

/// A median and the interval that holds the true one with 95% confidence.
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
    median_of(&mut sorted)
}

fn median_of(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// The median with its bootstrap interval; `None` of nothing. Of one value the interval is that value.
pub fn interval(values: &[f64]) -> Option<Interval> {
    if values.is_empty() {
        return None;
    }
    let mut random = Random::new(SEED);
    let mut sample = vec![0.0; values.len()];
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            sample.iter_mut().for_each(|slot| *slot = *random.pick(values));
            median_of(&mut sample)
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| medians[((RESAMPLES - 1) as f64 * share).round() as usize];
    Some(Interval { low: at(0.025), median: median(values), high: at(0.975), count: values.len() })
}

/// The ratio of `values` to `base`, by rounds: pairs of (round, value) on both sides. `None` if no round has both.
pub fn ratio(values: &[(u32, f64)], base: &[(u32, f64)]) -> Option<Interval> {
    let ratios: Vec<f64> = values
        .iter()
        .filter_map(|(round, value)| {
            let (_, base) = base.iter().find(|(other, base)| other == round && *base > 0.0)?;
            Some(value / base)
        })
        .collect();
    interval(&ratios)
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
    fn an_interval_holds_its_median_and_repeats() {
        let values = [10.0, 11.0, 9.0, 10.5, 30.0];
        let first = interval(&values).unwrap();
        assert!(first.low <= first.median && first.median <= first.high && first.count == 5);
        assert_eq!(interval(&values), Some(first));
        assert_eq!(interval(&[7.0]).unwrap(), Interval { low: 7.0, median: 7.0, high: 7.0, count: 1 });
        assert_eq!(interval(&[]), None);
    }

    /// Of many experiments with a known median, about 95 in 100 intervals must hold it; with few values a bootstrap of the
    /// median holds it a little less often.
    #[test]
    fn intervals_cover_the_true_median() {
        let mut random = Random::new(5);
        let covered = (0..300)
            .filter(|_| {
                let values: Vec<f64> = (0..15).map(|_| random.below(1_000_001) as f64).collect();
                interval(&values).unwrap().contains(500_000.0)
            })
            .count();
        assert!((270..=300).contains(&covered), "{covered} of 300");
    }

    #[test]
    fn ratios_pair_by_round() {
        // The machine was twice as slow in round 2: the ratio does not see it.
        let fast = [(1, 200.0), (2, 100.0), (3, 200.0)];
        let slow = [(2, 50.0), (1, 100.0), (3, 100.0), (4, 1.0)];
        let found = ratio(&fast, &slow).unwrap();
        assert_eq!((found.low, found.median, found.high, found.count), (2.0, 2.0, 2.0, 3));
        assert_eq!(ratio(&[(1, 1.0)], &[(2, 1.0)]), None);
    }

    #[test]
    fn variation_is_relative() {
        assert_eq!(variation(&[5.0, 5.0, 5.0]), 0.0);
        assert!((variation(&[9.0, 11.0]) - 0.1414).abs() < 1e-3);
        assert_eq!(variation(&[1.0]), 0.0);
    }
}
