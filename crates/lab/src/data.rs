//! A run's raw data, and the questions that claims and reports ask of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cell::{Cell, Measure, Trial, TrialEnd};
use crate::plan::Matrix;
use crate::stats::{self, Interval};

/// Everything about a run but its trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Version of the lab.
    pub lab: String,
    /// The seed of the order and of everything drawn.
    pub seed: u64,
    /// What cells were chosen from.
    pub matrix: Matrix,
    /// The machine, line by line.
    pub machine: Vec<(String, String)>,
    /// Programs and versions.
    pub versions: Vec<(String, String)>,
    /// Cells by identity.
    pub cells: BTreeMap<String, Cell>,
}

/// A run's directory.
#[derive(Debug, Clone)]
pub struct Data {
    /// Where it lies.
    pub directory: PathBuf,
    /// The settings.
    pub settings: Settings,
    /// What was measured.
    pub trials: Vec<Trial>,
}

const SETTINGS_FILE: &str = "run.json";
const TRIALS_FILE: &str = "trials.jsonl";

impl Data {
    /// Reads a run; `None` if there is none in the directory.
    pub fn read(directory: &Path) -> Result<Option<Self>, String> {
        let path = directory.join(SETTINGS_FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let error = |path: &Path, what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
        let text = fs::read_to_string(&path).map_err(|what| error(&path, &what))?;
        let settings = serde_json::from_str(&text).map_err(|what| error(&path, &what))?;
        let path = directory.join(TRIALS_FILE);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut trials = Vec::new();
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            match serde_json::from_str(line) {
                Ok(trial) => trials.push(trial),
                // The last line may be half written, by a lab that was killed.
                Err(_) if index + 1 == lines.len() => {}
                Err(what) => return Err(error(&path, &format!("line {}: {what}", index + 1))),
            }
        }
        Ok(Some(Self { directory: directory.to_owned(), settings, trials }))
    }

    /// Writes the settings, and the trials so far.
    pub fn write(&self) -> Result<(), String> {
        let error = |what: std::io::Error| format!("{}: {what}", self.directory.display());
        fs::create_dir_all(&self.directory).map_err(error)?;
        let settings = serde_json::to_string_pretty(&self.settings).map_err(|what| what.to_string())?;
        fs::write(self.directory.join(SETTINGS_FILE), settings + "\n").map_err(error)?;
        let mut text = String::new();
        for trial in &self.trials {
            text += &serde_json::to_string(trial).map_err(|what| what.to_string())?;
            text.push('\n');
        }
        fs::write(self.directory.join(TRIALS_FILE), text).map_err(error)
    }

    /// Adds a trial, on disk as well.
    pub fn add(&mut self, trial: Trial) -> Result<(), String> {
        let path = self.directory.join(TRIALS_FILE);
        let line = serde_json::to_string(&trial).map_err(|what| what.to_string())? + "\n";
        let append =
            || fs::OpenOptions::new().append(true).create(true).open(&path)?.write_all(line.as_bytes());
        append().map_err(|what| format!("{}: {what}", path.display()))?;
        self.trials.push(trial);
        Ok(())
    }

    /// The trials of a cell.
    pub fn trials_of(&self, cell: &Cell) -> impl Iterator<Item = &Trial> {
        let id = cell.id();
        self.trials.iter().filter(move |trial| trial.cell == id)
    }

    /// What a cell's trials measured, with their rounds.
    pub fn measures(&self, cell: &Cell) -> Vec<(u32, &Measure)> {
        let measured = self.trials_of(cell).filter_map(|trial| match &trial.outcome {
            TrialEnd::Measured(measure) => Some((trial.round, &**measure)),
            _ => None,
        });
        measured.collect()
    }

    /// A figure of a cell, by rounds.
    pub fn series(&self, cell: &Cell, figure: impl Fn(&Measure) -> f64) -> Vec<(u32, f64)> {
        self.measures(cell).into_iter().map(|(round, measure)| (round, figure(measure))).collect()
    }

    /// A figure's median and interval.
    pub fn interval(&self, cell: &Cell, figure: impl Fn(&Measure) -> f64) -> Option<Interval> {
        let values: Vec<f64> = self.series(cell, figure).into_iter().map(|(_, value)| value).collect();
        stats::interval(&values)
    }

    /// The ratio of a cell's figure to another's, by rounds.
    pub fn ratio(
        &self,
        cell: &Cell,
        base: &Cell,
        figure: impl Fn(&Measure) -> f64 + Copy,
    ) -> Option<Interval> {
        stats::ratio(&self.series(cell, figure), &self.series(base, figure))
    }

    /// Why a cell has no figures, if it has none.
    pub fn why_missing(&self, cell: &Cell) -> Option<String> {
        let reasons = self.trials_of(cell).filter_map(|trial| match &trial.outcome {
            TrialEnd::Measured(_) => None,
            TrialEnd::Failed(reason) => Some(format!("failed: {reason}")),
            TrialEnd::Absent(reason) => Some(reason.clone()),
        });
        let mut reasons: Vec<String> = reasons.collect();
        reasons.dedup();
        let has_figures = !self.measures(cell).is_empty();
        (!has_figures).then(|| reasons.into_iter().next().unwrap_or_else(|| "not measured".to_owned()))
    }

    /// Whether the generator was the bottleneck in most of a cell's trials.
    pub fn is_generator_bound(&self, cell: &Cell) -> bool {
        let measures = self.measures(cell);
        let bound = measures.iter().filter(|(_, measure)| measure.is_generator_bound()).count();
        bound * 2 > measures.len()
    }

    /// Trials that failed, each with its reason.
    pub fn failures(&self) -> Vec<(&Trial, &str)> {
        let failed = self.trials.iter().filter_map(|trial| match &trial.outcome {
            TrialEnd::Failed(reason) => Some((trial, reason.as_str())),
            _ => None,
        });
        failed.collect()
    }

    /// Cells that nothing here has, each with the reason.
    pub fn absences(&self) -> Vec<(&str, &str)> {
        let mut absences: Vec<(&str, &str)> = self
            .trials
            .iter()
            .filter_map(|trial| match &trial.outcome {
                TrialEnd::Absent(reason) => Some((trial.cell.as_str(), reason.as_str())),
                _ => None,
            })
            .filter(|(id, _)| self.settings.cells.get(*id).is_none_or(|cell| self.measures(cell).is_empty()))
            .collect();
        absences.sort_unstable();
        absences.dedup();
        absences
    }
}
