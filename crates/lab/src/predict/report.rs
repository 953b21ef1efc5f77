//! What is told of a prediction: first how far off it was where that can be checked, then the curves.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::case::{Case, Kind};
use super::extrapolate::{Curve, Load, Reached};
use super::fit::Fitted;
use super::{page, published};
use crate::report::chart::Chart;
use crate::stats::median;

/// An error of the median check up to which the model is said to describe the machine.
pub(super) const ERROR_WANTED: f64 = 0.15;
/// From this share of time without a core on, threads that should have met did not.
pub(super) const QUEUED_MAX: f64 = 0.1;

/// A cell that was not fitted: what was said, and what came.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// In words.
    pub cell: String,
    /// The engine.
    pub kind: Kind,
    /// Threads.
    pub threads: usize,
    /// Whether the network counts.
    pub is_over_tcp: bool,
    /// Which of the things that were not seen.
    pub what: &'static str,
    /// Nanoseconds of a thread per command.
    pub predicted_ns: f64,
    /// The median of the rounds.
    pub measured_ns: f64,
}

impl Check {
    /// Of a case.
    pub fn new(case: &Case, is_over_tcp: bool, predicted_ns: f64, measured_ns: f64) -> Self {
        let what = match (is_over_tcp, case.spread) {
            (true, _) => "over TCP",
            (_, crate::load::Spread::Zipf(_)) => "Zipf",
            (_, crate::load::Spread::One) => "one key",
            _ if case.batch != 1 && case.batch != 64 => "batch and mix",
            _ => "mix",
        };
        let (kind, threads) = (case.kind, case.threads);
        let over = if is_over_tcp { ", over TCP" } else { "" };
        let cell = format!("{case}{over}");
        Self { cell, kind, threads, is_over_tcp, what, predicted_ns, measured_ns }
    }

    /// How far off it was, as a share of what was measured.
    pub fn error(&self) -> f64 {
        (self.predicted_ns / self.measured_ns - 1.0).abs()
    }
}

/// A load with its curves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drawn {
    /// The load.
    pub load: Load,
    /// A curve for each engine.
    pub curves: Vec<Curve>,
    /// Who is ahead of whom, by number of threads.
    pub rankings: Vec<(usize, String)>,
}

/// Everything that a prediction says, and what it stands on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The machine, line by line.
    pub machine: Vec<(String, String)>,
    /// Its cores.
    pub cores: usize,
    /// Rounds of all measurements.
    pub rounds: usize,
    /// Length of each.
    pub seconds: f64,
    /// Seed of everything drawn.
    pub seed: u64,
    /// The share of time in which threads wanted a core and had none.
    pub queued_share: f64,
    /// What of the caches a thread has to itself, as the fit says.
    pub cache_bytes: f64,
    /// What two threads pay to tell each other something, nanoseconds by name.
    pub probe: Vec<(String, f64)>,
    /// The parameters.
    pub fits: Vec<Fitted>,
    /// Cells that were not fitted.
    pub checks: Vec<Check>,
    /// The curves.
    pub drawn: Vec<Drawn>,
    /// What others have published.
    pub published: Vec<published::Curve>,
    /// What they have published as ratios, with its source.
    pub published_ratios: Vec<(&'static str, &'static str)>,
}

/// With its pictures as data.
#[derive(Serialize)]
struct WithCharts<'a> {
    #[serde(flatten)]
    prediction: &'a Prediction,
    charts: Vec<Chart>,
}

impl Prediction {
    /// The median error of the checks that `has` picks, and how many they are.
    pub(super) fn error(&self, has: impl Fn(&Check) -> bool) -> Option<(f64, usize)> {
        let errors: Vec<f64> = self.checks.iter().filter(|check| has(check)).map(Check::error).collect();
        (!errors.is_empty()).then(|| (median(&errors), errors.len()))
    }

    /// The errors, and whether they are to be believed.
    pub fn overview(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(out, "{}", self.verdict());
        for (name, error, count) in self.errors() {
            let _ = writeln!(out, "  {name:<28}{:>6.1}% of {count}", error * 100.0);
        }
        if let Some(warning) = self.warning() {
            let _ = writeln!(out, "{warning}");
        }
        out
    }

    /// In a sentence.
    pub(super) fn verdict(&self) -> String {
        let Some((error, count)) = self.error(|_| true) else { return "nothing was checked".to_owned() };
        let (name, wanted) =
            (if error <= ERROR_WANTED { "within" } else { "not within" }, ERROR_WANTED * 100.0);
        format!(
            "The median error on {count} cells that were not fitted, with one and two threads, is {:.1}%: {name} the {wanted:.0}% that \
             were wanted.",
            error * 100.0
        )
    }

    /// Why not to believe it.
    pub(super) fn warning(&self) -> Option<String> {
        (self.queued_share > QUEUED_MAX).then(|| {
            format!(
                "The machine was busy: threads waited for a core {:.0}% of their time, so two of them were seldom there together. Measure again \
                 when it has nothing else to do.",
                self.queued_share * 100.0
            )
        })
    }

    /// Median errors of groups of cells.
    pub(super) fn errors(&self) -> Vec<(String, f64, usize)> {
        let mut rows = Vec::new();
        let mut add = |name: String, has: &dyn Fn(&Check) -> bool| {
            rows.extend(self.error(has).map(|(error, count)| (name, error, count)));
        };
        add("one thread".to_owned(), &|check| check.threads == 1);
        add("two threads".to_owned(), &|check| check.threads == 2);
        add("more threads".to_owned(), &|check| check.threads > 2);
        for kind in Kind::ALL {
            add(kind.name().to_owned(), &|check| check.kind == kind);
        }
        for what in ["mix", "batch and mix", "Zipf", "one key", "over TCP"] {
            add(what.to_owned(), &|check| check.what == what);
        }
        rows
    }

    /// Writes predict.json, predict.md and predict.html; their paths.
    pub fn write(&self, directory: &Path) -> Result<Vec<PathBuf>, String> {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let charts = self.drawn.iter().enumerate().map(|(index, drawn)| page::chart(drawn, index)).collect();
        let all = WithCharts { prediction: self, charts };
        let json = serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?;
        let files =
            [("predict.json", json), ("predict.md", self.markdown()), ("predict.html", page::render(self))];
        files
            .into_iter()
            .map(|(name, text)| {
                let path = directory.join(name);
                fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(path)
            })
            .collect()
    }

    fn markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "# What more cores would do\n\n{}\n", self.verdict());
        if let Some(warning) = self.warning() {
            let _ = writeln!(out, "**{warning}**\n");
        }
        for paragraph in METHOD {
            let _ = writeln!(out, "{paragraph}\n");
        }
        let _ = writeln!(out, "| cells that were not fitted | median error | cells |\n|---|---:|---:|");
        for (name, error, count) in self.errors() {
            let _ = writeln!(out, "| {name} | {:.1}% | {count} |", error * 100.0);
        }
        for drawn in &self.drawn {
            let _ = writeln!(
                out,
                "\n## {}\n\nMillion requests a second, with its band; *measured* where it was.\n",
                drawn.load.title
            );
            let names: Vec<&str> = drawn.curves.iter().map(|curve| curve.kind.name()).collect();
            let _ = writeln!(out, "| threads | {} | told apart |", names.join(" | "));
            let _ = writeln!(out, "|---:|{}---|", "---|".repeat(names.len()));
            for (threads, ranking) in &drawn.rankings {
                let cells: Vec<String> = drawn.curves.iter().map(|curve| cell_of(curve, *threads)).collect();
                let _ = writeln!(out, "| {threads} | {} | {ranking} |", cells.join(" | "));
            }
        }
        let _ = writeln!(
            out,
            "\n## Published: I/O threads of Redis and Valkey\n\nOther machines and loads: only shapes can be compared.\n"
        );
        for curve in &self.published {
            let points: Vec<String> = curve
                .points
                .iter()
                .map(|(threads, rate)| format!("{:.2} million/s with {threads} threads", rate / 1e6))
                .collect();
            let _ = writeln!(
                out,
                "- {}: {} ({}). <{}>",
                curve.server,
                points.join(", "),
                curve.conditions,
                curve.source
            );
        }
        for (words, source) in &self.published_ratios {
            let _ = writeln!(out, "- {words}. <{source}>");
        }
        let _ = writeln!(out, "\n## Parameters\n");
        for fit in &self.fits {
            let _ = writeln!(out, "- {}: {}", fit.kind.name(), parameters(fit));
        }
        let _ = writeln!(
            out,
            "\n## Every check\n\n| cell | predicted ns | measured ns | error |\n|---|---:|---:|---:|"
        );
        for check in &self.checks {
            let _ = writeln!(
                out,
                "| {} | {:.0} | {:.0} | {:.0}% |",
                check.cell,
                check.predicted_ns,
                check.measured_ns,
                check.error() * 100.0
            );
        }
        let _ = writeln!(out, "\n## Machine\n");
        for (name, value) in self.machine.iter().chain(&self.settings()) {
            let _ = writeln!(out, "- {name}: {value}");
        }
        out
    }

    /// How it was measured.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let mut rows = vec![
            ("rounds, seconds, seed".to_owned(), format!("{}, {}, {}", self.rounds, self.seconds, self.seed)),
            ("waiting for a core".to_owned(), format!("{:.1}% of the time", self.queued_share * 100.0)),
        ];
        rows.push(("a thread's cache, fitted".to_owned(), format!("{:.0} kB", self.cache_bytes / 1e3)));
        rows.extend(self.probe.iter().map(|(name, nanos)| (name.clone(), format!("{nanos:.1}"))));
        rows
    }
}

/// What is done, and what is not.
pub(super) const METHOD: [&str; 3] = [
    "A discrete-event simulation of each engine: threads that run batches, the locks of shards (or the one lock, or owners with their messages), cache lines on \
     their way between cores. Its parameters are measured without instruments and fitted at one thread and two; the errors below are of \
     cells that it was not fitted to.",
    "A band goes from the 5th to the 95th percentile of: parameters fitted again to rounds drawn again, an error of a check at random, what two threads cannot show \
     (how a crowd of waiting threads slows a lock's hand-over, what part of a message is travelling), and machines with one last-level cache or \
     two sockets. Engines are ranked only where bands have nothing in common.",
    "Not simulated: the memory's bandwidth, the clock rate when many cores work, the network card, the generator. All of them make many cores slower than \
     this says. The 99.9th percentile of latency is not predicted at all: it comes from what is not simulated.",
];

/// A fit's parameters for readers.
pub(super) fn parameters(fit: &Fitted) -> String {
    let mut words: Vec<String> =
        fit.meeting.iter().map(|(name, value)| format!("{name} {value:.1}")).collect();
    let [each, pipeline] = fit.kernel_ns;
    words.push(format!("kernel {each:.0} ns a request and {pipeline:.0} ns a pipeline"));
    if fit.errand_wake_ns > 0.0 {
        words.push(format!("waking for an errand {:.0} ns", fit.errand_wake_ns));
    }
    words.join(", ")
}

fn cell_of(curve: &Curve, threads: usize) -> String {
    let point = curve.points.iter().find(|point| point.threads == threads);
    point.map_or_else(String::new, |Reached { low, median, high, is_measured, .. }| {
        let measured = if *is_measured { " *measured*" } else { "" };
        format!("{:.2} ({:.2} to {:.2}){measured}", median / 1e6, low / 1e6, high / 1e6)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A prediction with a little of everything.
    pub(in crate::predict) fn example() -> Prediction {
        let check = |threads, batch, predicted, measured| {
            Check::new(&Case::new(Kind::DashMap, threads, batch, 80), false, predicted, measured)
        };
        let point = |threads, is_measured| Reached { threads, low: 1e6, median: 2e6, high: 3e6, is_measured };
        let curve = Curve { kind: Kind::DashMap, points: vec![point(1, true), point(64, false)] };
        Prediction {
            machine: vec![("processor".to_owned(), "a <processor>".to_owned())],
            cores: 2,
            rounds: 5,
            seconds: 0.2,
            seed: 1,
            queued_share: 0.2,
            cache_bytes: 512e3,
            probe: vec![("line_transfer_ns".to_owned(), 60.0)],
            fits: Vec::new(),
            checks: vec![check(1, 4, 110.0, 100.0), check(2, 1, 150.0, 100.0), check(2, 16, 100.0, 100.0)],
            drawn: vec![Drawn {
                load: super::super::loads().swap_remove(0),
                curves: vec![curve],
                rankings: vec![(1, "none".to_owned()), (64, "none".to_owned())],
            }],
            published: published::CURVES.to_vec(),
            published_ratios: published::RATIOS.to_vec(),
        }
    }

    #[test]
    fn errors_are_medians_of_their_groups() {
        let example = example();
        let (error, count) = example.error(|_| true).unwrap();
        assert!((error - 0.1).abs() < 1e-9 && count == 3);
        assert!(example.verdict().contains("10.0%: within"), "{}", example.verdict());
        let rows = example.errors();
        assert!(rows.iter().any(|(name, error, count)| {
            name == "two threads" && (error - 0.25).abs() < 1e-9 && *count == 2
        }));
        assert!(example.overview().contains("The machine was busy"));
    }

    #[test]
    fn the_texts_say_what_was_measured() {
        let text = example().markdown();
        assert!(text.contains("| 1 | 2.00 (1.00 to 3.00) *measured* | none |"), "{text}");
        assert!(text.contains("| 64 | 2.00 (1.00 to 3.00) | none |"), "{text}");
        assert!(text.contains("https://valkey.io/blog/unlock-one-million-rps"));
    }
}
