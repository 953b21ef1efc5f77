//! Makes a failing history small: drops chunks of it as long as what is left still fails.
//!
//! Zeller's delta debugging (ddmin) without its complement step: chunks of half the history, then of a quarter, down to
//! single steps, and again from the start as long as something could be dropped.

use std::time::{Duration, Instant};

use super::History;

/// Shrinking ends after this time; a larger history is better than none.
const TIME_MAX: Duration = Duration::from_secs(60);

/// The smallest history found for which `fails` holds. `failing_step` is where the given one fails.
pub(super) fn shrink(history: History, failing_step: usize, fails: impl Fn(&History) -> bool) -> History {
    let end = Instant::now() + TIME_MAX;
    let mut best = history;
    // What comes behind the failure is dropped first, if it does not matter.
    let head = best.with_steps(best.steps()[..best.steps().len().min(failing_step + 1)].to_vec());
    if fails(&head) {
        best = head;
    }
    let mut chunk = best.steps().len() / 2;
    while chunk > 0 {
        let mut has_dropped = false;
        let mut start = 0;
        while start < best.steps().len() && Instant::now() < end {
            let mut steps = best.steps().to_vec();
            steps.drain(start..(start + chunk).min(steps.len()));
            let candidate = best.with_steps(steps);
            if fails(&candidate) {
                best = candidate;
                has_dropped = true;
            } else {
                start += chunk;
            }
        }
        if chunk > 1 || !has_dropped {
            chunk /= 2;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::oracle::Coverage;

    #[test]
    fn two_steps_that_matter_are_left() {
        let history = History::new(1, 0, Coverage::Redis70);
        let steps = (0..100).map(|number| vec![Command::line(&format!("ECHO {number}"))]).collect();
        let fails = |history: &History| {
            let lines: Vec<String> = history.steps().iter().flatten().map(Command::to_string).collect();
            lines.contains(&"ECHO 17".to_owned()) && lines.contains(&"ECHO 60".to_owned())
        };
        let shrunken = shrink(history.with_steps(steps), 70, fails);
        let lines: Vec<String> = shrunken.steps().iter().flatten().map(Command::to_string).collect();
        assert_eq!(lines, ["ECHO 17", "ECHO 60"]);
    }
}
