//! The lab's committed sample, computed again from its raw data by a program of another language.
//!
//! `crates/lab/audit/audit.py` shares no code with the lab, and has its statistics from numpy and scipy. Its last line is
//! `N passed, N failed`, a number or verdict each.

use std::process::Stdio;

use crate::tally::Tally;
use crate::{shell, venv};

/// Audits the sample.
pub(crate) fn check() -> Result<Tally, String> {
    let python = venv::python("venv-audit", "crates/lab/audit/requirements.txt")?;
    let root = shell::root();
    let mut command = shell::program(&python, &["-B"]);
    command.arg(root.join("crates/lab/audit/audit.py"));
    command.arg(root.join("docs/lab-sample")).arg(root.join("crates/lab/rules.toml"));
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("no audit: {error}"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    print!("{text}");
    let last = text.trim_end().lines().last().unwrap_or_default();
    let count = |part: Option<&str>, what: &str| part?.strip_suffix(what)?.trim().parse::<u64>().ok();
    let mut parts = last.split(", ");
    match (count(parts.next(), "passed"), count(parts.next(), "failed")) {
        (Some(passed), Some(failed)) => Ok(Tally { passed, failed, skipped: 0 }),
        _ => Err("the audit did not end with its counts".to_owned()),
    }
}
