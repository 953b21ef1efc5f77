//! When requests are due in an open loop: a Poisson process, as independent users make it.
//!
//! Gaps are exponential and depend on the seed alone, so that a test knows the schedule and what a server of known service
//! time must show under it. Equal gaps were rejected: at equal load they make queues that are shorter than those of users
//! (at half load a server of constant service time would never have one).

use rustredis_testkit::Random;

/// The times at which requests are due, in order.
#[derive(Debug, Clone)]
pub struct Arrivals {
    random: Random,
    gap_nanos: f64,
    next_nanos: f64,
}

impl Arrivals {
    /// A schedule of `rate` requests a second on average.
    pub fn new(rate: f64, seed: u64) -> Self {
        // Seeds that differ little draw unlike numbers only after a step.
        let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x0a11_77a1);
        random.next_u64();
        let mut arrivals = Self { random, gap_nanos: 1e9 / rate.max(1e-3), next_nanos: 0.0 };
        arrivals.advance();
        arrivals
    }

    /// When the next request is due, nanoseconds from the run's start.
    #[inline]
    pub fn due(&self) -> u64 {
        self.next_nanos as u64
    }

    /// Goes on to the request after it.
    #[inline]
    pub fn advance(&mut self) {
        // In (0, 1]: a logarithm of zero would end the schedule.
        let share = ((self.random.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        self.next_nanos -= self.gap_nanos * share.ln();
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let due = self.due();
        self.advance();
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_exponential() {
        let times: Vec<u64> = Arrivals::new(1_000.0, 3).take(200_000).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // The mean of 200,000 has a standard error of 0.22%, the variance one of about 0.6%.
        assert!((mean - 1.0).abs() < 0.01 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let longer = gaps.iter().filter(|gap| **gap > 2.0).count() as f64 / gaps.len() as f64;
        assert!((longer - (-2.0_f64).exp()).abs() < 0.005, "{longer}");
    }

    #[test]
    fn a_seed_gives_one_schedule() {
        let take = |seed| Arrivals::new(100.0, seed).take(50).collect::<Vec<u64>>();
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
    }

    /// The mean wait in front of a server of constant service time is known (Pollaczek-Khinchine): rho s / 2 (1 - rho).
    #[test]
    fn queues_are_as_long_as_theory_says() {
        let (service, rho) = (1e6, 0.6);
        let mut free = 0.0_f64;
        let mut waited = 0.0;
        let count = 400_000;
        for due in Arrivals::new(rho * 1e9 / service, 11).take(count) {
            let begins = free.max(due as f64);
            waited += begins - due as f64;
            free = begins + service;
        }
        let mean = waited / count as f64 / service;
        assert!((mean - rho / (2.0 * (1.0 - rho))).abs() < 0.03, "{mean}");
    }
}
