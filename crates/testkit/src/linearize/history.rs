//! What was recorded: each call with the moments of its invocation and of its reply, from one clock.

use super::call::{Call, Keys};
use crate::Reply;

/// Later than everything: the answer of a call whose client hung up.
pub(super) const NEVER: u64 = u64::MAX;

/// A call that was sent, and what is known of its outcome.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    /// The connection that sent it. The operations of a lane take effect in the order in which they stand in the history.
    pub(super) lane: usize,
    /// The client, whose connections follow one another.
    pub(super) client: usize,
    /// What was sent.
    pub(super) call: Call,
    /// Its keys: [`Call::keys`].
    pub(super) keys: Keys,
    /// When it was sent, in nanoseconds since the history's start.
    pub(super) invoked: u64,
    /// When its reply had been read, in nanoseconds; the latest moment at which it may have taken effect otherwise.
    pub(super) answered: u64,
    /// What it was answered, if it is known.
    pub(super) reply: Option<Reply>,
    /// Whether it must have taken effect. It need not if its client hung up, or the server's power failed before its answer.
    pub(super) is_certain: bool,
}

/// Calls of many clients on a server that began empty. A lane's operations stand in the order of their sending.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// The operations.
    pub(super) operations: Vec<Operation>,
}

/// How many operations were under way together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Overlap {
    /// On average over the time in which any was.
    pub by_time: f64,
    /// On average over the operations: with how many others the time of one overlapped.
    pub by_operation: f64,
}

impl History {
    /// The operations on each set of keys that are joined by nothing; those on one key, if nothing reaches several.
    pub(super) fn parts(&self) -> Vec<Self> {
        let mut parts: Vec<Keys> = Vec::new();
        for operation in &self.operations {
            let mut joined = operation.keys;
            parts.retain(|part| {
                let is_apart = part & joined == 0;
                if !is_apart {
                    joined |= part;
                }
                is_apart
            });
            parts.push(joined);
        }
        parts.iter().map(|part| self.on_keys(*part)).collect()
    }

    /// The operations that touch these keys.
    pub(super) fn on_keys(&self, keys: Keys) -> Self {
        let operations = self.operations.iter().filter(|operation| operation.keys & keys != 0);
        Self { operations: operations.cloned().collect() }
    }

    /// How many lanes there are, at most.
    pub(super) fn lanes(&self) -> usize {
        self.operations.iter().map(|operation| operation.lane + 1).max().unwrap_or(0)
    }

    /// How many operations overlapped, of those that were answered.
    pub(super) fn overlap(&self) -> Overlap {
        let answered: Vec<(u64, u64)> = self
            .operations
            .iter()
            .filter(|operation| operation.reply.is_some())
            .map(|operation| (operation.invoked, operation.answered))
            .collect();
        let mut ends: Vec<(u64, bool)> =
            answered.iter().flat_map(|(from, to)| [(*from, true), (*to, false)]).collect();
        ends.sort_unstable();
        let (mut open, mut since, mut busy, mut sum) = (0u64, 0, 0u64, 0u64);
        // Those that end later than one begins, and began before it ends: counted at each beginning.
        let mut pairs = 0u64;
        for (moment, is_start) in ends {
            if open > 0 {
                busy += moment - since;
                sum += (moment - since) * open;
            }
            since = moment;
            if is_start {
                pairs += open;
                open += 1;
            } else {
                open -= 1;
            }
        }
        Overlap {
            by_time: sum as f64 / busy.max(1) as f64,
            by_operation: 2.0 * pairs as f64 / answered.len().max(1) as f64,
        }
    }
}

/// A line for each operation: its lane, when it was sent and answered in microseconds, what was sent and answered.
impl std::fmt::Display for History {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for operation in &self.operations {
            let Operation { lane, invoked, answered, call, .. } = operation;
            let reply = operation.reply.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
            let answered =
                if *answered == NEVER { "never".to_owned() } else { (answered / 1_000).to_string() };
            writeln!(out, "{lane:>4} {:>8} {answered:>8}  {call} -> {reply}", invoked / 1_000)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(call: Call, invoked: u64, answered: u64) -> Operation {
        let (keys, reply) = (call.keys(), Some(Reply::ok()));
        Operation { lane: 0, client: 0, call, keys, invoked, answered, reply, is_certain: true }
    }

    #[test]
    fn keys_are_joined_by_what_reaches_several() {
        let calls = [Call::Get(0), Call::Get(1), Call::Get(2), Call::Rename(2, 0)];
        let history = History { operations: calls.into_iter().map(|call| operation(call, 0, 1)).collect() };
        let sizes: Vec<usize> = history.parts().iter().map(|part| part.operations.len()).collect();
        assert_eq!(sizes, [1, 3]);
    }

    #[test]
    fn overlaps_are_counted_by_time_and_by_operation() {
        let times = [(0, 10), (5, 10), (5, 10), (20, 30)];
        let operations = times.map(|(from, to)| operation(Call::Get(0), from, to)).to_vec();
        let overlap = History { operations }.overlap();
        // Five moments with one, five with three, ten with one.
        assert_eq!(overlap, Overlap { by_time: 1.5, by_operation: 1.5 });
    }
}
