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
    let is_weak = vec![false; history.operations.len()];
    let stuck = fails(&history, &start, budget).unwrap_or(0);
    let mut weakening = Weakening { end: Instant::now() + TIME_MAX, start, history, is_weak, stuck };
    weakening.run();
    weakening.result()
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
    /// The operation that the best order could not answer.
    stuck: usize,
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
                if let Some(stuck) = self.try_weakened() {
                    self.stuck = stuck;
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

    /// The operation that has no place where the weak ones are weak; nothing if all have one, or it took too long to tell.
    fn try_weakened(&self) -> Option<usize> {
        let (numbers, history) = self.weakened();
        let is_late = Instant::now() >= self.end;
        if is_late { None } else { fails(&history, &self.start, ATTEMPT_BUDGET).map(|stuck| numbers[stuck]) }
    }

    /// The history with its weak operations, and the number of each without. A weak one has a lane of its own, so that it keeps
    /// none of its lane waiting; if it is a read it is not there.
    fn weakened(&self) -> (Vec<usize>, History) {
        let lanes = self.history.lanes();
        let all = self.history.operations.iter().zip(&self.is_weak).enumerate();
        let left = all.filter(|(_, (operation, is_weak))| !(**is_weak && operation.call.is_read()));
        let operations = left.map(|(number, (operation, is_weak))| match is_weak {
            true => {
                let lane = lanes + number;
                (number, Operation { lane, reply: None, is_certain: false, ..operation.clone() })
            }
            false => (number, operation.clone()),
        });
        let (numbers, operations) = operations.unzip();
        (numbers, History { operations })
    }

    fn result(self) -> Shrunk {
        let is_left = |number: usize| !self.is_weak[number] && self.history.operations[number].is_certain;
        let numbers: Vec<usize> = (0..self.is_weak.len()).filter(|number| is_left(*number)).collect();
        Shrunk {
            start: self.start.to_string(),
            stuck: numbers.iter().position(|number| *number == self.stuck).unwrap_or(0),
            left_out: self.is_weak.len() - numbers.len(),
            operations: numbers.into_iter().map(|number| self.history.operations[number].clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Reply;
    use crate::linearize::check::check;
    use crate::linearize::draw;

    fn operation(lane: usize, invoked: u64, call: Call, reply: Reply) -> Operation {
        let (keys, answered) = (call.keys(), invoked + 25);
        Operation { lane, client: lane, call, keys, invoked, answered, reply: Some(reply), is_certain: true }
    }

    /// An element that two clients popped, among a hundred operations that are right.
    #[test]
    fn what_does_not_matter_is_left_out_and_the_rest_is_drawn() {
        let mut operations = Vec::new();
        for number in 0..50 {
            let at = 10 * number;
            operations.push(operation(
                number as usize % 5,
                at,
                Call::Incr(0),
                Reply::Integer(number as i64 + 1),
            ));
            operations.push(operation(5 + number as usize % 5, at, Call::Get(1), Reply::NullBulk));
        }
        let values = vec![Arc::from(&b"<x>"[..])];
        operations.push(operation(10, 600, Call::Push(2, values), Reply::Integer(1)));
        operations.push(operation(
            11,
            780,
            Call::Exec(vec![Call::Pop(2), Call::Incr(0)], vec![]),
            Reply::Array(vec![Reply::bulk("<x>"), Reply::Integer(51)]),
        ));
        operations.push(operation(12, 800, Call::Pop(2), Reply::bulk("<x>")));
        let history = History { operations };
        let part = history.on_keys(0b101);
        let Verdict::Violated(stuck) = check(&part, 10_000).verdict else { panic!("it has an order") };
        let shrunk = shrink(&part, stuck, 10_000);
        let calls: Vec<String> =
            shrunk.operations.iter().map(|operation| operation.call.to_string()).collect();
        assert_eq!(calls, ["MULTI; LPOP a:list; INCR a:count; EXEC", "LPOP a:list"]);
        assert_eq!((shrunk.stuck, shrunk.start.as_str()), (1, "a:count = 50\na:list = <x>\n"));
        let page = draw::page(&shrunk, "a <title>", "command");
        for text in ["a &lt;title&gt;", "LPOP a:list", "&lt;x&gt;", "client 12", "class=\"stuck\""] {
            assert!(page.contains(text), "no {text} in {page}");
        }
        assert!(!page.contains("client 3"));
    }
}
