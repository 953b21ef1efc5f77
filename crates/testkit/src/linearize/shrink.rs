//! Makes a history that fails small enough to be looked at, without making up a failure of its own.
//!
//! First the part of the keys that fails is taken, up to the answer for which there was no order; then its head is cut away: a
//! search tells what the keys hold at the last moment at which nothing was under way. Of the rest operations are dropped
//! as long as what is left still fails. Dropping a write could make a lie of an honest read, so nothing is dropped outright: an operation is
//! *weakened*, which means that it may take effect at any moment of its time, or not at all, and answer what it likes. If
//! the others have no order even so, they have none whatever became of it.

use std::time::{Duration, Instant};

use super::call::Call;
use super::check::{Verdict, search};
use super::history::{History, Operation};
use super::state::State;

/// Choices that one attempt may cost. An attempt that takes longer counts as one that does not fail.
const ATTEMPT_BUDGET: u64 = 30_000;
/// Shrinking ends after this time; a larger history is better than none.
const TIME_MAX: Duration = Duration::from_secs(20);

/// What is left of a history that fails.
#[derive(Debug, Clone)]
pub(super) struct Shrunk {
    /// What the keys held at its start, a line for each.
    pub(super) start: String,
    /// The operations that have no order.
    pub(super) operations: Vec<Operation>,
    /// The one of them that the best order could not answer.
    pub(super) stuck: usize,
    /// How many operations of the same part and time were left out.
    pub(super) left_out: usize,
}

/// Shrinks a part of a history, of whose operations `stuck` could not be answered; with a budget for searching it.
pub(super) fn shrink(part: &History, stuck: usize, budget: u64) -> Shrunk {
    let (history, start) = without_head(&without_tail(part, stuck), budget);
    let mut weakening = Weakening { end: Instant::now() + TIME_MAX, start, history, is_weak: Vec::new() };
    weakening.is_weak = vec![false; weakening.history.operations.len()];
    weakening.run();
    weakening.result(budget)
}

/// Drops what was sent after the failure's answer; what was answered after it need not have taken effect.
fn without_tail(part: &History, stuck: usize) -> History {
    let end = part.operations[stuck].answered;
    let mut operations = part.operations.clone();
    operations.retain(|operation| operation.invoked <= end);
    operations
        .iter_mut()
        .filter(|operation| operation.answered > end)
        .for_each(|operation| operation.is_certain = false);
    History { operations }
}

/// Drops what was over at the last moment when nothing was under way; gives back what the keys held then.
fn without_head(history: &History, budget: u64) -> (History, State) {
    let mut certain: Vec<(u64, u64)> = history
        .operations
        .iter()
        .filter(|operation| operation.is_certain)
        .map(|operation| (operation.invoked, operation.answered))
        .collect();
    certain.sort_unstable();
    let (mut last, mut moments) = (0, Vec::new());
    for (invoked, answered) in certain {
        if invoked > last && last > 0 {
            moments.push(last);
        }
        last = last.max(answered);
    }
    for moment in moments.into_iter().rev() {
        let (_, stops) = search(history, &State::default(), budget, Some(moment));
        for stop in stops {
            let operations = history.operations.iter().enumerate();
            let left = operations.filter(|(number, _)| !stop.done.contains(number));
            let rest = History { operations: left.map(|(_, operation)| operation.clone()).collect() };
            if fails(&rest, &stop.state, budget).is_some() {
                return (rest, stop.state);
            }
        }
    }
    (history.clone(), State::default())
}

/// The operation that the best order could not answer, if there is no order.
fn fails(history: &History, start: &State, budget: u64) -> Option<usize> {
    match search(history, start, budget, None).0.verdict {
        Verdict::Violated(stuck) => Some(stuck),
        Verdict::Linearizable | Verdict::Undecided => None,
    }
}

struct Weakening {
    end: Instant,
    start: State,
    history: History,
    is_weak: Vec<bool>,
}

impl Weakening {
    fn run(&mut self) {
        let count = self.is_weak.len();
        let mut chunk = count.div_ceil(2);
        while chunk > 0 {
            let mut has_weakened = false;
            for first in (0..count).step_by(chunk) {
                let before = self.is_weak.clone();
                for number in first..count.min(first + chunk) {
                    self.is_weak[number] |= self.may_be_weak(number);
                }
                if self.is_weak == before {
                    continue;
                }
                if Instant::now() < self.end && fails(&self.weakened(), &self.start, ATTEMPT_BUDGET).is_some()
                {
                    has_weakened = true;
                } else {
                    self.is_weak = before;
                }
            }
            if chunk > 1 || !has_weakened {
                chunk /= 2;
            }
        }
    }

    /// A watch is as strong as the transaction that it belongs to.
    fn may_be_weak(&self, number: usize) -> bool {
        let operation = &self.history.operations[number];
        let needs_it = |(other, is_weak): (&Operation, &bool)| {
            !is_weak
                && other.lane == operation.lane
                && matches!(&other.call, Call::Exec(_, watched) if !watched.is_empty())
        };
        !matches!(operation.call, Call::Watch(_))
            || !self.history.operations.iter().zip(&self.is_weak).any(needs_it)
    }

    /// The history with its weak operations: each in a lane of its own, so that it keeps none of its lane waiting.
    fn weakened(&self) -> History {
        let lanes = self.history.lanes();
        let all = self.history.operations.iter().zip(&self.is_weak).enumerate();
        let left = all.filter(|(_, (operation, is_weak))| !(**is_weak && operation.call.is_read()));
        let operations = left.map(|(number, (operation, is_weak))| match is_weak {
            true => Operation { lane: lanes + number, reply: None, is_certain: false, ..operation.clone() },
            false => operation.clone(),
        });
        History { operations: operations.collect() }
    }

    fn result(self, budget: u64) -> Shrunk {
        let all = self.history.operations.len();
        let kept = self
            .history
            .operations
            .into_iter()
            .zip(self.is_weak)
            .filter(|(operation, is_weak)| !is_weak && operation.is_certain);
        let history = History { operations: kept.map(|(operation, _)| operation).collect() };
        let stuck =
            fails(&history, &self.start, budget).unwrap_or(history.operations.len().saturating_sub(1));
        let left_out = all - history.operations.len();
        Shrunk { start: self.start.to_string(), operations: history.operations, stuck, left_out }
    }
}
