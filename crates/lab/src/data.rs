//! A run's raw data, and the questions that claims and reports ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cell::{Cell, Measure, Trial, TrialEnd};
use crate::matrix::Matrix;
use crate::rules::{Figure, Rules};
use crate::stats::{self, Interval, Key};

/// Everything about a run but its trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Version of the lab.
    pub lab: String,
    /// SHA-256 of the rules that were frozen when it was measured.
    pub rules: String,
    /// The first session's seed.
    pub seed: u64,
    /// What cells were chosen from.
    pub matrix: Matrix,
    /// The first session's machine, line by line.
    pub machine: Vec<(String, String)>,
    /// Programs and versions.
    pub versions: Vec<(String, String)>,
    /// The sessions.
    pub sessions: Vec<Session>,
    /// Cells by identity.
    pub cells: BTreeMap<String, Cell>,
}

/// The line that tells where servers and generator are held, among those of the machine.
pub(crate) const PLACEMENT: &str = "placement";

impl Settings {
    /// Where servers and generator were held: figures of different places are not of one run.
    pub(crate) fn placement(&self) -> Option<&str> {
        self.machine.iter().find(|(name, _)| name == PLACEMENT).map(|(_, place)| place.as_str())
    }
}

/// A run over all cells, on one machine in one piece.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The seed of its order and of everything drawn.
    pub seed: u64,
    /// The machine, line by line.
    pub machine: Vec<(String, String)>,
    /// What open loops took shares of, by the peak's name.
    #[serde(default)]
    pub peaks: BTreeMap<String, FoundPeak>,
}

/// A peak as it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundPeak {
    /// Requests a second: the least of the cells' medians over the calibration.
    pub rate: f64,
    /// The cell that it is of.
    pub cell: String,
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
/// The share of a cell's trials that may fail.
const FAILED_MAX: f64 = 0.1;

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
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // Nothing is measured yet. What cannot be read is not nothing: a run that goes on would write over it.
            Err(what) if what.kind() == ErrorKind::NotFound => String::new(),
            Err(what) => return Err(error(&path, &what)),
        };
        let mut trials = Vec::new();
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            match serde_json::from_str(line) {
                Ok(trial) => trials.push(trial),
                // The last line may be half written, by a lab that was killed.
                Err(_) if index + 1 == lines.len() && !text.ends_with('\n') => {}
                Err(what) => return Err(error(&path, &format!("line {}: {what}", index + 1))),
            }
        }
        let data = Self { directory: directory.to_owned(), settings, trials };
        data.consistent().map_err(|what| error(&path, &what))?;
        Ok(Some(data))
    }

    /// Each trial is of a cell and a session of the run, and there once: what is there twice counts as two repetitions.
    fn consistent(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for Trial { cell, session, round, .. } in &self.trials {
            if !self.settings.cells.contains_key(cell) {
                return Err(format!("{cell} is no cell of the run"));
            }
            if *session as usize >= self.session_count() {
                return Err(format!(
                    "{cell} in session {session}, and there are {} from 0 on",
                    self.session_count()
                ));
            }
            if !seen.insert((cell, *session, *round)) {
                return Err(format!("{cell} is there twice in session {session}, round {round}"));
            }
        }
        Ok(())
    }

    /// Writes the settings, and the trials so far.
    pub fn write(&self) -> Result<(), String> {
        let error = |what: std::io::Error| format!("{}: {what}", self.directory.display());
        fs::create_dir_all(&self.directory).map_err(error)?;
        let settings = serde_json::to_string_pretty(&self.settings).map_err(|what| what.to_string())?;
        replace(&self.directory.join(SETTINGS_FILE), &(settings + "\n")).map_err(error)?;
        let mut text = String::new();
        for trial in &self.trials {
            text += &serde_json::to_string(trial).map_err(|what| what.to_string())?;
            text.push('\n');
        }
        replace(&self.directory.join(TRIALS_FILE), &text).map_err(error)
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

    /// What a cell's trials measured, with their sessions and rounds.
    pub fn measures(&self, cell: &Cell) -> Vec<(Key, &Measure)> {
        let measured = self.trials_of(cell).filter_map(|trial| match &trial.outcome {
            TrialEnd::Measured(measure) => Some((trial.key(), &**measure)),
            _ => None,
        });
        measured.collect()
    }

    /// A figure of a cell, by sessions and rounds, where the trials have it.
    pub fn figure(&self, cell: &Cell, figure: Figure) -> Vec<(Key, f64)> {
        let limits = &Rules::frozen().limits;
        let of = |(key, measure): (Key, &Measure)| Some((key, figure.of(measure, limits)?));
        self.measures(cell).into_iter().filter_map(of).collect()
    }

    /// A figure's median and interval.
    pub fn interval(&self, cell: &Cell, figure: Figure) -> Option<Interval> {
        let values: Vec<f64> = self.figure(cell, figure).into_iter().map(|(_, value)| value).collect();
        stats::interval(&values)
    }

    /// The ratio of a cell's figure to another's, by rounds.
    pub fn ratio(&self, cell: &Cell, base: &Cell, figure: Figure) -> Option<Interval> {
        stats::ratio(&self.figure(cell, figure), &self.figure(base, figure))
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.settings.sessions.len()
    }

    /// Tells that so many trials of one of these cells failed that those which did not are a selection.
    pub fn failed_share(&self, cells: &[&Cell]) -> Option<String> {
        cells.iter().find_map(|cell| {
            let all = self.trials_of(cell).count();
            let is_failed = |trial: &&Trial| matches!(trial.outcome, TrialEnd::Failed(_));
            let failed = self.trials_of(cell).filter(is_failed).count();
            (failed as f64 > FAILED_MAX * all as f64)
                .then(|| format!("{failed} of {all} trials of {cell} failed"))
        })
    }

    /// Finds the peaks of a session from its calibration.
    pub fn find_peaks(&mut self, session: u32) {
        let rules = Rules::frozen();
        let matrix = &self.settings.matrix;
        let rounds = matrix.rounds(rules.limits.rounds.calibration);
        let mut peaks = BTreeMap::new();
        for peak in &rules.peaks {
            let rates = peak.cells.iter().map(|spec| spec.cell(matrix)).filter_map(|cell| {
                let of_session =
                    |(key, rate): (Key, f64)| (key.0 == session && key.1 < rounds).then_some(rate);
                let series = self.figure(&cell, Figure::Throughput);
                let rates: Vec<f64> = series.into_iter().filter_map(of_session).collect();
                (!rates.is_empty()).then(|| FoundPeak { rate: stats::median(&rates), cell: cell.id() })
            });
            if let Some(least) = rates.min_by(|a, b| a.rate.total_cmp(&b.rate)) {
                peaks.insert(peak.name.clone(), least);
            }
        }
        if let Some(session) = self.settings.sessions.get_mut(session as usize) {
            session.peaks = peaks;
        }
    }

    /// The rate of an open loop in a session, rounded to whole requests a second.
    pub fn rate(&self, cell: &Cell, session: u32) -> Option<f64> {
        let Cell::Tail(tail) = cell else { return None };
        let peak = self.settings.sessions.get(session as usize)?.peaks.get(&tail.peak)?;
        Some((peak.rate * f64::from(tail.percent) / 100.0).round())
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

/// Writes a file that is there as it was or as it shall be, whenever the lab is killed.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    /// What a run says that was written, and whose trials were then changed.
    fn read(name: &str, change: impl Fn(String) -> Vec<u8>) -> Result<usize, String> {
        let directory = std::env::temp_dir().join(format!("rustredis-lab-{name}-{}", std::process::id()));
        made_up::run(directory.clone(), 1, |_| 1.0).write().unwrap();
        let path = directory.join(TRIALS_FILE);
        fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
        let read = Data::read(&directory).map(|data| data.unwrap().trials.len());
        fs::remove_dir_all(&directory).unwrap();
        read
    }

    #[test]
    fn only_a_line_without_an_end_is_left_out() {
        let all = read("whole", String::into_bytes).unwrap();
        let cut = |text: String| text.as_bytes()[..text.len() - 9].to_vec();
        assert_eq!(read("half", cut), Ok(all - 1));
        let ended = |text: String| [cut(text).as_slice(), b"\n"].concat();
        assert!(read("ended", ended).unwrap_err().contains("line"));
    }

    #[test]
    fn trials_that_cannot_be_read_are_not_none() {
        let damaged = |text: String| [b"\xff", text.as_bytes()].concat();
        assert!(read("damaged", damaged).is_err());
    }

    #[test]
    fn trials_that_do_not_belong_here_are_refused() {
        let twice = |text: String| [text.as_bytes(), text.lines().next().unwrap().as_bytes(), b"\n"].concat();
        assert!(read("twice", twice).unwrap_err().contains("is there twice"));
        let elsewhere = |text: String| text.replacen("\"session\":0", "\"session\":4", 1).into_bytes();
        assert!(read("session", elsewhere).unwrap_err().contains("in session 4"));
        let unknown = |text: String| text.replacen("\"cell\":\"", "\"cell\":\"no ", 1).into_bytes();
        assert!(read("unknown", unknown).unwrap_err().contains("is no cell"));
    }
}
