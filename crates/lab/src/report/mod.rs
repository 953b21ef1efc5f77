//! The report: one HTML file that needs nothing else, the same as Markdown, and the raw data as CSV and JSON.
//!
//! Everything is computed from the run's raw data by [`answers`], and by nothing else: a test recomputes a committed report
//! and finds the same numbers. Pictures are SVG in the page's own colours; the README's are photographs of the same.

pub mod chart;
mod html;
mod markdown;
mod photograph;
mod raw;
pub mod svg;

use std::fs;
use std::path::PathBuf;

use crate::cell::{Measure, TrialEnd};
use crate::claims::{self, Finding};
use crate::data::Data;

pub use photograph::photograph;

/// The answers of all claims that the run has planned.
pub fn answers(data: &Data) -> Vec<Finding> {
    claims::answers(data)
}

/// Writes all forms of the report into the run's directory; the path of the HTML file.
pub fn write(data: &Data) -> Result<PathBuf, String> {
    let findings = answers(data);
    let put = |name: &str, text: String| {
        let path = data.directory.join(name);
        fs::write(&path, text).map(|()| path.clone()).map_err(|error| format!("{}: {error}", path.display()))
    };
    put("trials.csv", raw::csv(data))?;
    put("report.json", raw::json(data, &findings)?)?;
    put("report.md", markdown::render(data, &findings))?;
    put("report.html", html::render(data, &findings)?)
}

/// The claims in a sentence each, for the terminal.
pub fn overview(data: &Data) -> String {
    let lines = answers(data).into_iter().map(|finding| {
        let Finding { number, title, sentence, .. } = finding;
        format!("{number}. {title}\n   {sentence}\n")
    });
    lines.collect()
}

/// The order of repetition of one claim, for whoever wants to see it again.
fn command(data: &Data, number: u8) -> String {
    let full = if data.settings.matrix.scale == crate::plan::Scale::Full { " --full" } else { "" };
    format!("cargo run --release -p rustredis-lab -- run --only {number} --seed {}{full}", data.settings.seed)
}

/// How many measurements were disturbed, and how many show the generator's limit instead of the server's.
fn conditions(data: &Data) -> [(String, String); 2] {
    let count = |is_so: fn(&Measure) -> bool| {
        let over_tcp = data.trials.iter().filter(|trial| trial.cell.starts_with("tcp"));
        let measured = over_tcp.filter_map(|trial| match &trial.outcome {
            TrialEnd::Measured(measure) => Some(is_so(measure)),
            _ => None,
        });
        let (so, all) = measured.fold((0, 0), |(so, all), is_so| (so + u32::from(is_so), all + 1));
        format!("{so} of {all} measurements over TCP")
    };
    [
        ("disturbed by others".to_owned(), count(Measure::is_disturbed)),
        ("limited by the generator".to_owned(), count(Measure::is_generator_bound)),
    ]
}

/// A number with three significant digits.
fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { 2 - value.abs().log10().floor() as i32 };
    format!("{value:.*}", digits.clamp(0, 4) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits() {
        assert_eq!([1234.5, 12.345, 0.012_345, 0.0].map(short), ["1234", "12.3", "0.0123", "0"]);
    }
}
