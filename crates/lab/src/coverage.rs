//! `coverage`: how often the intervals hold the true median, by simulation, at the repetitions that the rules use.
//!
//! An interval that says 95% and holds the truth in 87 of 100 cases lies. What is simulated are ratios of two measurements as
//! they come: skewed, with heavy tails, from machines that are now and then slow. For several sessions each has an effect of
//! its own on the logarithm of the ratio, which is larger for some statements than for others, and the statements of several figures
//! are estimated together, as a run's are.

use std::fmt::Write as _;

use clap::Args;
use rustredis_testkit::Random;

use crate::made_up::normal;
use crate::rules::Rules;
use crate::stats::sessions::{Estimates, Prior};
use crate::stats::{self, interval};

/// Options of `coverage`.
#[derive(Debug, Clone, Args)]
pub struct CoverageArgs {
    /// Simulated intervals of each kind
    #[arg(long, default_value_t = 20_000)]
    pub draws: u32,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What a good interval covers.
pub const WANTED: std::ops::RangeInclusive<f64> = 0.94..=0.97;

/// A distribution whose median is 1.
type Draw = fn(&mut Random) -> f64;

/// What ratios may look like.
const DISTRIBUTIONS: [(&str, Draw); 5] = [
    ("log-normal, 5%", |random| (0.05 * normal(random)).exp()),
    ("log-normal, 50%", |random| (0.5 * normal(random)).exp()),
    ("exponential, skewed", |random| -(1.0 - uniform(random)).ln() / std::f64::consts::LN_2),
    ("Cauchy on the logarithm, heavy tails", |random| {
        (0.05 * (std::f64::consts::PI * (uniform(random) - 0.5)).tan()).clamp(-50.0, 50.0).exp()
    }),
    ("one round in ten three times as slow, either side", |random| {
        let side = match random.below(20) {
            0 => 3.0,
            1 => 1.0 / 3.0,
            _ => 1.0,
        };
        side * (0.03 * normal(random)).exp()
    }),
];

/// Sessions that are merged.
const SESSIONS: [usize; 2] = [2, 3];
/// Figures of a run, and statements that compare each.
const FIGURES: usize = 4;
const STATEMENTS: usize = 16;
/// How far statements differ in what sessions do to them: by this factor up or down, each.
const UNEQUAL: [f64; 2] = [1.0, 4.0];
/// What sessions differ by, as the standard deviation of the logarithm.
const BETWEEN: [f64; 3] = [0.0, 0.02, 0.1];

fn uniform(random: &mut Random) -> f64 {
    (random.below(1 << 30) as f64 + 0.5) / f64::from(1 << 30)
}

/// How often an interval of `count` such ratios holds 1.
pub fn of_rounds(count: u32, draw: Draw, draws: u32, random: &mut Random) -> f64 {
    let held = (0..draws).filter(|_| {
        let values: Vec<f64> = (0..count).map(|_| draw(random)).collect();
        interval(&values).is_some_and(|found| found.contains(1.0))
    });
    held.count() as f64 / f64::from(draws)
}

/// How often an interval over several sessions holds the ratio, which is 1. Sessions differ by `between`, times a factor of each
/// statement's own up to `unequal`.
pub fn of_sessions(
    sessions: usize,
    between: f64,
    unequal: f64,
    rounds: u32,
    draws: u32,
    random: &mut Random,
) -> f64 {
    let (mut held, mut all) = (0_u32, 0_u32);
    while all < draws {
        let statement = |random: &mut Random| {
            let own = between * unequal.powf(2.0 * uniform(random) - 1.0);
            let session = |random: &mut Random| {
                let effect = own * normal(random);
                (0..rounds).map(|_| (effect + 0.05 * normal(random)).exp()).collect()
            };
            Estimates::of(&(0..sessions).map(|_| session(random)).collect::<Vec<_>>())
        };
        let groups: Vec<Vec<Estimates>> =
            (0..FIGURES).map(|_| (0..STATEMENTS).map(|_| statement(random)).collect()).collect();
        let lent: Vec<Vec<&Estimates>> = groups.iter().map(|group| group.iter().collect()).collect();
        for (group, prior) in groups.iter().zip(Prior::of(&lent)) {
            for of in group {
                held += u32::from(of.interval(&prior, Rules::frozen().limits.confidence).contains(1.0));
                all += 1;
            }
        }
    }
    f64::from(held) / f64::from(all)
}

/// Prints what is covered; false if an interval that verdicts stand on is not as good as it says.
pub fn run(args: &CoverageArgs) -> bool {
    let rounds = Rules::frozen().limits.rounds;
    let mut random = Random::new(args.seed);
    let mut text =
        String::from("| repetitions | exact | distribution of the ratio | covered |\n|---|---|---|---|\n");
    let mut is_good = true;
    for count in [rounds.decides, rounds.informs, 12] {
        for (name, draw) in DISTRIBUTIONS {
            let covered = of_rounds(count, draw, args.draws, &mut random);
            is_good &= WANTED.contains(&((covered * 100.0).round() / 100.0));
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(
                text,
                "| {count} | {:.3} | {name} | {covered:.3} |",
                stats::coverage(count as usize)
            );
        }
    }
    text.push_str("\n| sessions | they differ by | statements differ by | covered |\n|---|---|---|---|\n");
    for sessions in SESSIONS {
        for (between, unequal) in
            BETWEEN.into_iter().flat_map(|between| UNEQUAL.map(|unequal| (between, unequal)))
        {
            let covered = of_sessions(sessions, between, unequal, rounds.decides, args.draws, &mut random);
            is_good &= WANTED.contains(&((covered * 100.0).round() / 100.0));
            let _ = writeln!(text, "| {sessions} | {:.0}% | {unequal}x | {covered:.3} |", between * 100.0);
        }
    }
    print!("{text}");
    is_good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_cover_what_they_say() {
        let rounds = Rules::frozen().limits.rounds;
        let mut random = Random::new(3);
        for count in [rounds.decides, rounds.informs] {
            for (name, draw) in DISTRIBUTIONS {
                let covered = of_rounds(count, draw, 4_000, &mut random);
                // Four thousand draws tell a share of 0.96 to within 0.01.
                assert!((0.94..=0.98).contains(&covered), "{count} of {name}: {covered}");
            }
        }
    }

    #[test]
    fn sessions_are_covered() {
        let mut random = Random::new(3);
        for sessions in SESSIONS {
            for unequal in UNEQUAL {
                let covered = of_sessions(sessions, 0.05, unequal, 15, 3_000, &mut random);
                assert!((0.93..=0.98).contains(&covered), "{sessions}, {unequal}: {covered}");
            }
        }
    }
}
