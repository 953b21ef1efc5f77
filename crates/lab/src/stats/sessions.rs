//! Several sessions: what differs from one to the next (how memory was laid out, what the host did that hour, which machine)
//! is a random effect on the logarithm of a ratio.
//!
//! A session's estimate is the median of its rounds' log ratios. How much sessions differ is another thing for each statement, and two
//! or three sessions of one do not tell it. So the variance of a statement is its own and that of all statements which compare the same
//! figure, each weighed by its degrees of freedom (the moderated t-test: Smyth, 2004); how far statements differ in it, which is
//! the weight, is estimated over all of them. The interval is Student's, with both degrees of freedom together. What
//! the rounds within a session tell is in it already. Rejected: rounds of all sessions in one heap, whose intervals are
//! too narrow as soon as sessions differ; and one variance for a figure, which is too small for the statements that differ most.

use crate::stats::{Interval, gamma, median, student};

/// A statement's estimates, a session each.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimates {
    /// Medians of the log ratios.
    pub medians: Vec<f64>,
    /// Rounds of all sessions.
    pub count: usize,
}

/// How much sessions differ, as statements that compare the same figure tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// The variance of a session's estimate.
    pub variance: f64,
    /// What it weighs: degrees of freedom, many where all statements differ alike.
    pub freedom: f64,
}

/// What of the degrees of freedom of all statements counts for one.
const PRIOR_SHARE: f64 = 0.5;

/// Degrees of freedom of what is known as well as it can be.
const FREEDOM_MAX: f64 = 1_000.0;

impl Estimates {
    /// From the ratios of each session.
    pub fn of(sessions: &[Vec<f64>]) -> Self {
        let logs: Vec<Vec<f64>> =
            sessions.iter().map(|ratios| ratios.iter().map(|ratio| ratio.ln()).collect()).collect();
        Self {
            medians: logs.iter().map(|values| median(values)).collect(),
            count: logs.iter().map(Vec::len).sum(),
        }
    }

    fn mean(&self) -> f64 {
        self.medians.iter().sum::<f64>() / self.medians.len() as f64
    }

    fn own_freedom(&self) -> f64 {
        self.medians.len() as f64 - 1.0
    }

    /// What sessions differ by in this statement alone.
    fn own_variance(&self) -> f64 {
        let mean = self.mean();
        self.medians.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / self.own_freedom()
    }

    fn freedom(&self, prior: &Prior) -> f64 {
        prior.freedom + self.own_freedom()
    }

    fn standard_error(&self, prior: &Prior) -> f64 {
        let own = self.own_freedom();
        let variance = (prior.freedom * prior.variance + own * self.own_variance()) / (prior.freedom + own);
        (variance / self.medians.len() as f64).sqrt().max(1e-12)
    }

    /// The ratio over all sessions with its interval.
    pub fn interval(&self, prior: &Prior, confidence: f64) -> Interval {
        let half = student::quantile(confidence, self.freedom(prior)) * self.standard_error(prior);
        let mean = self.mean();
        Interval {
            low: (mean - half).exp(),
            median: mean.exp(),
            high: (mean + half).exp(),
            count: self.count,
        }
    }

    /// p, two-sided, of the hypothesis that the ratio does not lie above `limit`.
    pub fn above(&self, limit: f64, prior: &Prior) -> f64 {
        let t = (self.mean() - limit.ln()) / self.standard_error(prior);
        if t > 0.0 { student::two_sided(t, self.freedom(prior)) } else { 1.0 }
    }

    /// The same for below.
    pub fn below(&self, limit: f64, prior: &Prior) -> f64 {
        let t = (limit.ln() - self.mean()) / self.standard_error(prior);
        if t > 0.0 { student::two_sided(t, self.freedom(prior)) } else { 1.0 }
    }
}

impl Prior {
    /// One for each group of statements that compare the same figure; each must have at least two sessions.
    pub fn of(groups: &[Vec<&Estimates>]) -> Vec<Self> {
        // The logarithm of a variance, freed of what few degrees of freedom do to it.
        let logs: Vec<Vec<f64>> = groups
            .iter()
            .map(|group| {
                let log = |of: &&Estimates| {
                    let half = of.own_freedom() / 2.0;
                    of.own_variance().max(VARIANCE_MIN).ln() - gamma::digamma(half) + half.ln()
                };
                group.iter().map(log).collect()
            })
            .collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 =
            logs.iter().flat_map(|values| values.iter().map(|value| (value - mean(values)).powi(2))).sum();
        let left: usize = logs.iter().map(|values| values.len() - 1).sum();
        let halves: Vec<f64> =
            groups.iter().flatten().map(|of| gamma::trigamma(of.own_freedom() / 2.0)).collect();
        let spread = squares / left.max(1) as f64 - mean(&halves);
        let freedom = if left == 0 || spread <= 0.0 {
            FREEDOM_MAX
        } else {
            (2.0 * gamma::inverse_trigamma(spread)).min(FREEDOM_MAX)
        };
        let of_group = |(group, logs): (&Vec<&Estimates>, &Vec<f64>)| {
            let variance = if freedom < FREEDOM_MAX {
                let half = freedom / 2.0;
                (mean(logs) + gamma::digamma(half) - half.ln()).exp()
            } else {
                let all: f64 = group.iter().map(|of| of.own_freedom()).sum();
                group.iter().map(|of| of.own_freedom() * of.own_variance()).sum::<f64>() / all
            };
            // No more is known than there are degrees of freedom in the group. Half of it counts, for how far statements differ is
            // itself known by no more than some tens of them (`coverage` shows what is covered so).
            let known = group.iter().map(|of| of.own_freedom()).sum::<f64>();
            Self { variance, freedom: freedom.min(known) * PRIOR_SHARE }
        };
        groups.iter().zip(&logs).map(of_group).collect()
    }
}

/// Less than this is no difference; its logarithm would count for all others.
const VARIANCE_MIN: f64 = 1e-12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_that_agree_are_believed_and_others_are_not() {
        let session = |shift: f64| (0..15).map(|round| (shift + 0.01 * f64::from(round - 7)).exp()).collect();
        let alike = Estimates::of(&[session(0.3), session(0.3), session(0.3)]);
        let apart = Estimates::of(&[session(0.1), session(0.3), session(0.5)]);
        let of = |estimates: &Estimates| Prior::of(&[vec![estimates]])[0];
        let (narrow, wide) = (of(&alike), of(&apart));
        assert!(narrow.variance < 1e-12);
        assert!(wide.variance > 0.03 && wide.freedom == 1.0, "{wide:?}");
        let (narrow, wide) = (alike.interval(&narrow, 0.95), apart.interval(&wide, 0.95));
        assert!((narrow.median - 0.3_f64.exp()).abs() < 1e-9 && narrow.high / narrow.low < 1.2, "{narrow:?}");
        assert!(wide.low < 1.0 && wide.high > 1.3, "{wide:?}");
    }
}
