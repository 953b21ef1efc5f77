//! Which cells a run measures, how often, and in which order.
//!
//! What is compared is measured next to each other: cells that a statement compares belong to one group, and within a round
//! a group's cells follow each other, those under the same load as neighbours. What slows the machine down for a while then
//! slows both sides. Closed loops that tell the peaks go first, for open loops take shares of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustredis_testkit::Random;

use crate::cell::Cell;
pub use crate::matrix::{Matrix, Scale};
use crate::rules::{Claim, Rules};

/// A cell, and how often it is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The cell.
    pub cell: Cell,
    /// Repetitions.
    pub rounds: u32,
}

/// The engine that stands for RustRedis where only one is compared.
pub const DEFAULT_ENGINE: &str = "dashmap";

impl Matrix {
    /// The cells of claims, each once, with the repetitions of the most demanding use.
    pub fn plan(&self, claims: &[&Claim]) -> Vec<Planned> {
        let mut planned = Vec::new();
        for claim in claims {
            for statement in &claim.statements {
                if statement.needs.as_ref().is_some_and(|needs| needs.room > self.room()) {
                    continue;
                }
                let (left, right) = (statement.left.cell(self), statement.right.cell(self));
                // A cell is not divided by itself; what has another figure on each side is one cell all the same.
                if left == right && statement.figure == statement.right_figure {
                    continue;
                }
                let rounds = self.rounds(statement.rounds);
                for (spec, cell) in [(&statement.left, left), (&statement.right, right)] {
                    if self.has_server(&spec.server) {
                        planned.push(Planned { cell, rounds });
                    }
                }
            }
            let drawn = claim.drawn().filter(|(spec, _)| self.has_server(&spec.server));
            planned.extend(
                drawn.map(|(spec, rounds)| Planned { cell: spec.cell(self), rounds: self.rounds(rounds) }),
            );
        }
        planned.extend(self.calibration(&planned));
        once(planned)
    }

    /// The closed loops whose peaks these cells take shares of.
    pub fn calibration(&self, planned: &[Planned]) -> Vec<Planned> {
        let rules = Rules::frozen();
        let wanted: BTreeSet<&str> = planned.iter().filter_map(|planned| planned.cell.peak()).collect();
        let peaks = rules.peaks.iter().filter(|peak| wanted.contains(peak.name.as_str()));
        let specs = peaks.flat_map(|peak| &peak.cells).filter(|spec| self.has_server(&spec.server));
        let rounds = self.rounds(rules.limits.rounds.calibration);
        once(specs.map(|spec| Planned { cell: spec.cell(self), rounds }).collect())
    }
}

/// Each cell once, in an order that depends on the cells alone.
fn once(planned: Vec<Planned>) -> Vec<Planned> {
    let mut cells: BTreeMap<String, Planned> = BTreeMap::new();
    for new in planned {
        let old = cells.entry(new.cell.id()).or_insert_with(|| new.clone());
        old.rounds = old.rounds.max(new.rounds);
    }
    cells.into_values().collect()
}

/// The measurements in their order: the calibration, then round by round; within a round the groups of compared cells in
/// random order, in a group its loads in random order, and under each load its servers in random order.
pub fn schedule(planned: &[Planned], matrix: &Matrix, seed: u64) -> Vec<(Cell, u32)> {
    let groups = groups(planned, matrix);
    // With what they are compared with.
    let calibrating: BTreeSet<usize> =
        matrix.calibration(planned).iter().map(|planned| groups[&planned.cell.id()]).collect();
    let first: Vec<Planned> =
        planned.iter().filter(|planned| calibrating.contains(&groups[&planned.cell.id()])).cloned().collect();
    let mut random = Random::new(seed);
    let mut order = Vec::new();
    let mut done = BTreeSet::new();
    let last = planned.iter().map(|planned| planned.rounds).max().unwrap_or(0);
    for (stage, rounds) in
        [(&first[..], matrix.rounds(Rules::frozen().limits.rounds.calibration)), (planned, last)]
    {
        for round in 0..rounds {
            let mut by_group: BTreeMap<usize, BTreeMap<String, Vec<&Cell>>> = BTreeMap::new();
            for Planned { cell, .. } in stage.iter().filter(|planned| planned.rounds > round) {
                if done.insert((cell.id(), round)) {
                    by_group
                        .entry(groups[&cell.id()])
                        .or_default()
                        .entry(cell.load())
                        .or_default()
                        .push(cell);
                }
            }
            for loads in shuffled(by_group.into_values().collect(), &mut random) {
                for cells in shuffled(loads.into_values().collect::<Vec<_>>(), &mut random) {
                    order.extend(shuffled(cells, &mut random).into_iter().map(|cell| (cell.clone(), round)));
                }
            }
        }
    }
    order
}

/// The number of each cell's group: cells that a statement compares are in one, and cells under the same load.
fn groups(planned: &[Planned], matrix: &Matrix) -> BTreeMap<String, usize> {
    let mut group: BTreeMap<String, usize> =
        planned.iter().enumerate().map(|(index, planned)| (planned.cell.id(), index)).collect();
    let mut join = |a: &str, b: &str| {
        let (Some(&to), Some(&from)) = (group.get(a), group.get(b)) else { return };
        group.values_mut().filter(|number| **number == from).for_each(|number| *number = to);
    };
    for statement in Rules::frozen().statements() {
        join(&statement.left.cell(matrix).id(), &statement.right.cell(matrix).id());
    }
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for Planned { cell, .. } in planned {
        let of_load = first.entry(cell.load()).or_insert_with(|| cell.id());
        join(of_load, &cell.id());
    }
    group
}

fn shuffled<T>(mut list: Vec<T>, random: &mut Random) -> Vec<T> {
    for index in (1..list.len()).rev() {
        list.swap(index, random.below(index + 1));
    }
    list
}

/// About how long the measurements take: what they measure, and what starting and filling a server costs.
pub fn expected(order: &[(Cell, u32)], matrix: &Matrix) -> Duration {
    let times = matrix.times();
    order.iter().map(|(cell, _)| times.expected(cell)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(cores: usize) -> Matrix {
        Matrix {
            scale: Scale::Quick,
            cores,
            engines: ["mutex", "dashmap", "actor", "lockfree"].map(str::to_owned).to_vec(),
            has_valkey: false,
            is_generator_elsewhere: false,
        }
    }

    fn all() -> Vec<&'static Claim> {
        Rules::frozen().claims.iter().collect()
    }

    #[test]
    fn every_round_is_whole_and_shuffled_by_the_seed() {
        let matrix = matrix(2);
        let planned = matrix.plan(&all());
        let order = schedule(&planned, &matrix, 7);
        assert_eq!(order, schedule(&planned, &matrix, 7));
        assert_ne!(order, schedule(&planned, &matrix, 8));
        let mut seen = BTreeSet::new();
        assert!(order.iter().all(|(cell, round)| seen.insert((cell.id(), *round))), "none is measured twice");
        let expected: u32 = planned.iter().map(|planned| planned.rounds).sum();
        assert_eq!(order.len(), expected as usize);
    }

    #[test]
    fn peaks_are_known_before_open_loops() {
        let matrix = matrix(2);
        let planned = matrix.plan(&all());
        let order = schedule(&planned, &matrix, 7);
        let first_tail = order.iter().position(|(cell, _)| cell.peak().is_some()).unwrap();
        let calibrated = matrix.calibration(&planned);
        assert!(!calibrated.is_empty());
        for Planned { cell, rounds } in calibrated {
            let before = order[..first_tail].iter().filter(|(other, _)| *other == cell).count();
            assert!(before >= rounds as usize, "{cell}");
        }
    }

    /// Between the two sides of a statement, in a round, no other group is measured.
    #[test]
    fn what_is_compared_is_measured_together() {
        let matrix = matrix(2);
        let planned = matrix.plan(&all());
        let order = schedule(&planned, &matrix, 7);
        let groups = groups(&planned, &matrix);
        for round in order.chunk_by(|a, b| a.1 == b.1) {
            let numbers: Vec<usize> = round.iter().map(|(cell, _)| groups[&cell.id()]).collect();
            let mut runs: Vec<usize> = numbers.chunk_by(|a, b| a == b).map(|run| run[0]).collect();
            let count = runs.len();
            runs.sort_unstable();
            runs.dedup();
            assert_eq!(runs.len(), count, "a group is in one piece");
        }
    }

    #[test]
    fn a_whole_quick_run_takes_less_than_twenty_minutes() {
        let matrix = matrix(2);
        let order = schedule(&matrix.plan(&all()), &matrix, 1);
        let expected = expected(&order, &matrix);
        assert!(expected < Duration::from_secs(19 * 60), "{} measurements, {expected:?}", order.len());
    }
}
