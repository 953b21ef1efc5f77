//! The measurements behind a prediction, without instruments: the engines alone, by the time that their threads had a core.
//!
//! Time on a core and not time on the wall, for a thread that was switched away says nothing about its engine. How long threads waited for
//! a core is kept beside each figure: where that is much, two threads were rarely there together, and a prediction is worth little.

use std::path::Path;
use std::process::{Command, Stdio};

use rustredis_testkit::Random;
use serde_json::Value;

use super::case::{Case, KEYS};

/// Figures of cells: nanoseconds of a thread per command, a figure each round.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    cells: Vec<Cell>,
}

#[derive(Debug, Clone)]
struct Cell {
    case: Case,
    nanos: Vec<f64>,
    queued: Vec<f64>,
}

impl Samples {
    /// Adds a round of a cell, with the share of time in which its threads wanted a core and had none.
    pub fn add(&mut self, case: Case, nanos: f64, queued: f64) {
        if let Some(cell) = self.cells.iter_mut().find(|cell| cell.case == case) {
            cell.nanos.push(nanos);
            cell.queued.push(queued);
        } else {
            self.cells.push(Cell { case, nanos: vec![nanos], queued: vec![queued] });
        }
    }

    /// The rounds of a cell, if it was measured.
    pub fn rounds(&self, case: &Case) -> Option<&[f64]> {
        self.cells.iter().find(|cell| cell.case == *case).map(|cell| cell.nanos.as_slice())
    }

    /// Each cell with its rounds.
    pub fn all(&self) -> impl Iterator<Item = (&Case, &[f64])> {
        self.cells.iter().map(|cell| (&cell.case, cell.nanos.as_slice()))
    }

    /// How long threads waited for a core, as a share of the time; the median over everything.
    pub fn queued_share(&self) -> f64 {
        let all: Vec<f64> = self.cells.iter().flat_map(|cell| cell.queued.iter().copied()).collect();
        crate::stats::median(&all)
    }

    /// Measures cells, each once, in an order that the seed draws; `each` hears of each before.
    pub fn measure_round(
        &mut self,
        program: &Path,
        cases: &[Case],
        seconds: f64,
        seed: u64,
        mut each: impl FnMut(&Case) -> bool,
    ) -> Result<(), String> {
        let mut random = Random::new(seed);
        let mut order: Vec<&Case> = cases.iter().collect();
        for index in (1..order.len()).rev() {
            order.swap(index, random.below(index + 1));
        }
        for case in order {
            if !each(case) {
                return Err("interrupted".to_owned());
            }
            let (nanos, queued) = measure(program, case, seconds, seed)?;
            self.add(*case, nanos, queued);
        }
        Ok(())
    }
}

fn measure(program: &Path, case: &Case, seconds: f64, seed: u64) -> Result<(f64, f64), String> {
    let mut command = Command::new(program);
    command.args(["--engine", case.kind.name(), "--threads", &case.threads.to_string()]);
    command.args(["--batch", &case.batch.to_string(), "--reads", &case.reads.to_string()]);
    command.args(["--spread", &case.spread.to_string(), "--keys", &KEYS.to_string()]);
    // The server counts as it does by default.
    command.args(["--metrics", "thread-local"]);
    command.args(["--seconds", &seconds.to_string(), "--seed", &seed.to_string()]);
    if case.has_own_keys {
        command.arg("--own-keys");
    }
    let figures = run(&mut command)?;
    let figure =
        |name: &str| figures[name].as_f64().ok_or_else(|| format!("{}: no {name}", program.display()));
    let commands = figure("commands")?;
    if commands < 1.0 {
        return Err(format!("{case}: nothing was run"));
    }
    Ok((figure("cpu_seconds")? * 1e9 / commands, figure("queued_share")?))
}

/// What two threads pay to tell each other something, by name; empty on one core.
pub fn probe(program: &Path) -> Result<Vec<(String, f64)>, String> {
    let figures = run(Command::new(program).args(["--probe", "--seconds", "2"]))?;
    let rows = figures.as_object().ok_or("the probe gave no figures")?;
    Ok(rows.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect())
}

fn run(command: &mut Command) -> Result<Value, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}: {}", output.status, errors.trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{command:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::case::Kind;

    #[test]
    fn rounds_of_a_cell_come_together() {
        let (one, two) = (Case::new(Kind::Actor, 1, 1, 80), Case::new(Kind::Actor, 2, 1, 80));
        let mut samples = Samples::default();
        samples.add(one, 5.0, 0.0);
        samples.add(two, 7.0, 0.5);
        samples.add(one, 6.0, 0.1);
        assert_eq!(samples.rounds(&one), Some(&[5.0, 6.0][..]));
        assert_eq!(samples.rounds(&one.own_keys()), None);
        assert_eq!(samples.queued_share(), 0.1);
        assert_eq!(samples.all().count(), 2);
    }

    #[test]
    fn a_program_that_fails_is_named() {
        let error = run(&mut Command::new("false")).unwrap_err();
        assert!(error.contains("false"), "{error}");
    }
}
