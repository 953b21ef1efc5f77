//! The report: one HTML file that needs nothing else, the same as Markdown, and the raw data as CSV and JSON.
//!
//! Everything is computed from the run's raw data by [`answers`], and by nothing else: a test recomputes a committed report
//! and finds the same numbers. Pictures are SVG in the page's own colours; the README's are photographs of the same.

pub mod chart;
mod efficiency;
mod front;
mod html;
mod markdown;
mod method;
mod photograph;
mod raw;
pub mod svg;
mod table;
pub(crate) mod words;

use std::fs;
use std::path::PathBuf;

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

/// The first page's sentences, and the claims in a sentence each, for the terminal.
pub fn overview(data: &Data) -> String {
    let findings = answers(data);
    let sentences = front::sentences(data, &findings);
    let mut out: String = sentences.iter().map(|said| format!("{}: {}\n", said.head, said.text)).collect();
    let lines = findings.into_iter().map(|finding| {
        let Finding { number, title, sentence, .. } = finding;
        format!("{number}. {title}\n   {sentence}\n")
    });
    out.extend(lines);
    out
}
