//! What the suite printed about a unit, line by line.

use crate::tally::Tally;

/// Lines of detail that are kept after a failure.
const DETAIL_LINES_MAX: usize = 6;

/// The results of one unit.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    passed: u64,
    skipped: u64,
    failures: Vec<String>,
    detail_lines_left: usize,
}

impl Transcript {
    /// Takes in one line.
    pub(super) fn line(&mut self, line: &str) {
        let Some((mark, text)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) else {
            self.detail(line);
            return;
        };
        self.detail_lines_left = 0;
        match mark {
            "ok" => self.passed += 1,
            // "ignore" is what the suite prints for a test that a tag or a name leaves out.
            "skip" | "ignore" => self.skipped += 1,
            "err" | "exception" | "TIMEOUT" => {
                self.fail(&format!("[{mark}]: {text}"));
                self.detail_lines_left = DETAIL_LINES_MAX;
            }
            _ => {}
        }
    }

    /// Adds a failure that the suite did not report itself.
    pub(super) fn fail(&mut self, what: &str) {
        self.failures.push(what.to_owned());
    }

    fn detail(&mut self, line: &str) {
        // The suite lists its failures once more at the end.
        if line.starts_with("!!! WARNING") || line.starts_with("Cleanup") || line.trim().is_empty() {
            self.detail_lines_left = 0;
        }
        if let (true, Some(failure)) = (self.detail_lines_left > 0, self.failures.last_mut()) {
            self.detail_lines_left -= 1;
            failure.push('\n');
            failure.push_str(line);
        }
    }

    /// What failed, with a few lines of detail each.
    pub(super) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The counts.
    pub(super) fn tally(&self) -> Tally {
        Tally { passed: self.passed, failed: self.failures.len() as u64, skipped: self.skipped }
    }

    /// The counts in words.
    pub(super) fn summary(&self) -> String {
        let tally = self.tally();
        format!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped)
    }
}
