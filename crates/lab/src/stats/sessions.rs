//! Several sessions: what differs from one to the next (how memory was laid out, what the host did that hour, which machine)
//! is a random effect on the logarithm of a ratio.
//!
//! A session's estimate is the median of its rounds' log ratios, with the variance that its order statistics tell (McKean and
//! Schrader, 1984). How much sessions differ beyond that is estimated for each figure over all statements that compare it,
//! for two or three sessions of one statement would not tell: CPU per request moves between sessions as it does, whichever
//! cells are compared. The interval is Student's, with as many degrees of freedom as that estimate has. Rejected: rounds of
//! all sessions in one heap, whose intervals are too narrow as soon as sessions differ.

use crate::stats::binomial::{covered, ranks};
use crate::stats::{Interval, median, student};

/// A statement's estimates, a session each.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimates {
    /// Medians of the log ratios.
    pub medians: Vec<f64>,
    /// The variances of these.
    pub variances: Vec<f64>,
    /// Rounds of all sessions.
    pub count: usize,
}

/// How much sessions differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Between {
    /// The variance of a log ratio between sessions, beyond what rounds tell.
    pub variance: f64,
    /// Degrees of freedom.
    pub freedom: f64,
}

impl Estimates {
    /// From the ratios of each session.
    pub fn of(sessions: &[Vec<f64>]) -> Self {
        let logs: Vec<Vec<f64>> =
            sessions.iter().map(|ratios| ratios.iter().map(|ratio| ratio.ln()).collect()).collect();
        Self {
            medians: logs.iter().map(|values| median(values)).collect(),
            variances: logs.iter().map(|values| variance_of_median(values)).collect(),
            count: logs.iter().map(Vec::len).sum(),
        }
    }

    fn mean(&self) -> f64 {
        self.medians.iter().sum::<f64>() / self.medians.len() as f64
    }

    fn within(&self) -> f64 {
        self.variances.iter().sum::<f64>() / self.variances.len() as f64
    }

    fn standard_error(&self, between: &Between) -> f64 {
        ((between.variance + self.within()) / self.medians.len() as f64).sqrt().max(1e-12)
    }

    /// The ratio over all sessions with its interval.
    pub fn interval(&self, between: &Between, confidence: f64) -> Interval {
        let half = student::quantile(confidence, between.freedom) * self.standard_error(between);
        let mean = self.mean();
        Interval {
            low: (mean - half).exp(),
            median: mean.exp(),
            high: (mean + half).exp(),
            count: self.count,
        }
    }

    /// p, two-sided, of the hypothesis that the ratio does not lie above `limit`.
    pub fn above(&self, limit: f64, between: &Between) -> f64 {
        let t = (self.mean() - limit.ln()) / self.standard_error(between);
        if t > 0.0 { student::two_sided(t, between.freedom) } else { 1.0 }
    }

    /// The same for below.
    pub fn below(&self, limit: f64, between: &Between) -> f64 {
        let t = (limit.ln() - self.mean()) / self.standard_error(between);
        if t > 0.0 { student::two_sided(t, between.freedom) } else { 1.0 }
    }
}

impl Between {
    /// From the statements that compare the same figure; each must have at least two sessions.
    pub fn of(statements: &[&Estimates]) -> Self {
        let mut excess = 0.0;
        let mut freedom = 0.0;
        for estimates in statements {
            let (mean, count) = (estimates.mean(), estimates.medians.len() as f64);
            let squares: f64 = estimates.medians.iter().map(|value| (value - mean).powi(2)).sum();
            excess += squares - (count - 1.0) * estimates.within();
            freedom += count - 1.0;
        }
        Self { variance: (excess / f64::max(freedom, 1.0)).max(0.0), freedom: f64::max(freedom, 1.0) }
    }
}

/// From the distance of the order statistics whose coverage is known.
fn variance_of_median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let count = sorted.len();
    if count < 2 {
        return 0.0;
    }
    let (rank, _) = ranks(count);
    let z = student::normal_quantile(covered(count, rank));
    ((sorted[count - rank] - sorted[rank - 1]) / (2.0 * z)).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_that_agree_are_believed_and_others_are_not() {
        let session = |shift: f64| (0..15).map(|round| (shift + 0.01 * f64::from(round - 7)).exp()).collect();
        let alike = Estimates::of(&[session(0.3), session(0.3), session(0.3)]);
        let apart = Estimates::of(&[session(0.1), session(0.3), session(0.5)]);
        let (narrow, wide) = (Between::of(&[&alike]), Between::of(&[&apart]));
        assert_eq!(narrow.variance, 0.0);
        assert!(wide.variance > 0.03 && wide.freedom == 2.0, "{wide:?}");
        let (narrow, wide) = (alike.interval(&narrow, 0.95), apart.interval(&wide, 0.95));
        assert!((narrow.median - 0.3_f64.exp()).abs() < 1e-9 && narrow.high / narrow.low < 1.2, "{narrow:?}");
        assert!(wide.low < 1.0 && wide.high > 1.3, "{wide:?}");
    }
}
