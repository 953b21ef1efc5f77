//! Is there an order of a history's operations in which each could have been answered as it was, one after the other?
//!
//! The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993) with Lowe's memory of what has failed
//! ("Testing for linearizability", 2017): from a state, let an operation take effect that is under way, and go on; where
//! nothing can, go back. What makes it fast enough for ten thousand operations:
//!
//! - *Just in time.* Only the operation that was answered next must take effect now. Others are let in before it only if they
//!   touch keys that it touches, or that those touch: whatever else is under way can as well come later.
//! - *What changes nothing comes at once.* A read that would be answered as it was here need not be tried later as well; nor need a
//!   write whose answer says that it changes nothing, wherever it comes.
//! - *A failure knows its keys.* It depended on the states of some keys and on which operations on them had taken effect.
//!   Choices about other keys are not tried again, and what failed is remembered by these keys alone. So keys that
//!   nothing joins at the moment are searched as if each had a history of its own, and where no operation is under way nothing but the
//!   state is remembered: no state is tried twice behind such a point.
//!
//! A lane's operations take effect in their order, those of one pipeline too, though nothing in time keeps them apart.

use std::collections::{HashMap, HashSet};

use super::call::{KEYS, Keys};
use super::history::{History, Operation};
use super::model;
use super::state::{State, digest};

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none; the number of the operation that the best order could not answer, in the history that was checked.
    Violated(usize),
    /// The budget was used up.
    Undecided,
}

/// A verdict, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checked {
    /// What was found.
    pub(super) verdict: Verdict,
    /// The choices that were looked at.
    pub(super) steps: u64,
}

/// Checks a history that began with nothing, with so many choices at most.
pub(super) fn check(history: &History, budget: u64) -> Checked {
    search(history, &State::default(), budget, None).0
}

/// What a search finds from a state on; besides it the distinct states that it came to at the moment `at`, when nothing
/// is under way but what is not certain.
pub(super) fn search(history: &History, start: &State, budget: u64, at: Option<u64>) -> (Checked, Vec<Stop>) {
    let mut search = Search::new(history, budget, at);
    let verdict = search.run(start.clone());
    (Checked { verdict, steps: search.steps }, search.stops)
}

/// Where a search stopped on its way.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub(super) state: State,
    /// The operations that had taken effect.
    pub(super) done: HashSet<usize>,
}

struct Search<'h> {
    operations: &'h [Operation],
    /// The operations of each lane.
    lanes: Vec<Vec<usize>>,
    /// The certain ones, in the order of their answers.
    events: Vec<usize>,
    /// The place of each in its lane.
    places: Vec<usize>,
    digests: Vec<u128>,
    /// Those that need not take effect.
    uncertain: Vec<usize>,
    /// What has failed, by the event, the keys that it depended on, and what they held.
    failed: HashSet<(usize, Keys, u128)>,
    /// The sets of keys for which something has failed at an event.
    failed_keys: HashMap<usize, Vec<Keys>>,
    steps: u64,
    budget: u64,
    at: Option<u64>,
    stops: Vec<Stop>,
}

/// A state on the way, and what is still to be tried from it.
struct Node {
    /// The first event whose operation has not taken effect.
    event: usize,
    state: State,
    /// How many operations of each lane have taken effect.
    taken: Vec<usize>,
    /// For each key the earliest moment at which the last operation on it can have taken effect, in nanoseconds.
    moments: [u64; KEYS.len()],
    /// The keys for which the operation that led here has changed something.
    reached_by: Keys,
    /// The keys that its failure depends on, so far.
    blame: Keys,
    /// The states behind what may take effect next, the last one first.
    branches: Vec<(usize, State)>,
    /// Whether more than the event's own operation has been looked at.
    has_all: bool,
}

impl Node {
    fn new(state: State, taken: Vec<usize>) -> Self {
        let moments = [0; KEYS.len()];
        Self {
            event: 0,
            state,
            taken,
            moments,
            reached_by: 0,
            blame: 0,
            branches: Vec::new(),
            has_all: false,
        }
    }

    /// The latest of these keys' moments.
    fn moment(&self, keys: Keys) -> u64 {
        let of = self.moments.iter().enumerate().filter(|(key, _)| keys & 1 << key != 0);
        of.map(|(_, moment)| *moment).max().unwrap_or(0)
    }

    fn set_moment(&mut self, keys: Keys, moment: u64) {
        let of = self.moments.iter_mut().enumerate().filter(|(key, _)| keys & 1 << key != 0);
        of.for_each(|(_, of)| *of = moment);
    }
}

impl<'h> Search<'h> {
    fn new(history: &'h History, budget: u64, at: Option<u64>) -> Self {
        let operations = &history.operations[..];
        let mut lanes = vec![Vec::new(); history.lanes()];
        let mut places = Vec::with_capacity(operations.len());
        for (number, operation) in operations.iter().enumerate() {
            places.push(lanes[operation.lane].len());
            lanes[operation.lane].push(number);
        }
        let mut events: Vec<usize> =
            (0..operations.len()).filter(|number| operations[*number].is_certain).collect();
        events
            .sort_by_key(|number| (operations[*number].answered, operations[*number].lane, places[*number]));
        let digests = (0..operations.len()).map(digest).collect();
        let uncertain = (0..operations.len()).filter(|number| !operations[*number].is_certain).collect();
        Self {
            operations,
            lanes,
            events,
            places,
            digests,
            uncertain,
            failed: HashSet::new(),
            failed_keys: HashMap::new(),
            steps: 0,
            budget,
            at,
            stops: Vec::new(),
        }
    }

    fn run(&mut self, start: State) -> Verdict {
        let mut deepest = 0;
        let mut nodes: Vec<Node> = Vec::new();
        let mut next = Some(Node::new(start, vec![0; self.lanes.len()]));
        loop {
            // The keys that the failure of the last node depends on, once it has failed.
            let mut failure = None;
            if let Some(mut node) = next.take() {
                self.advance(&mut node);
                self.note_stop(&node);
                if node.event == self.events.len() {
                    return Verdict::Linearizable;
                }
                deepest = deepest.max(node.event);
                match self.known_failure(&node) {
                    Some(blame) => failure = Some((blame, node.reached_by)),
                    None => nodes.push(node),
                }
            }
            loop {
                let Some(node) = nodes.last_mut() else { return Verdict::Violated(self.events[deepest]) };
                let mut has_failed = false;
                if let Some((blame, reached_by)) = failure.take() {
                    // What failed did not depend on this choice: another one fails as well.
                    has_failed = blame & reached_by == 0;
                    node.blame = if has_failed { blame } else { node.blame | blame };
                }
                if !has_failed {
                    self.steps += 1;
                    if self.steps > self.budget {
                        return Verdict::Undecided;
                    }
                    next = self.next_of(node);
                    if next.is_some() {
                        break;
                    }
                }
                let Some(node) = nodes.pop() else { continue };
                self.remember(&node);
                failure = Some((node.blame, node.reached_by));
            }
        }
    }

    fn operation(&self, number: usize) -> &'h Operation {
        &self.operations[number]
    }

    fn is_taken(&self, node: &Node, number: usize) -> bool {
        node.taken[self.operations[number].lane] > self.places[number]
    }

    /// Lets an operation take effect.
    fn take(&self, node: &mut Node, number: usize) {
        let operation = &self.operations[number];
        node.taken[operation.lane] += 1;
        let moment = node.moment(operation.keys).max(operation.invoked);
        node.set_moment(operation.keys, moment);
    }

    /// Whether an operation that was sent may take effect. One that is not certain may do so before others have, on
    /// its keys, that were sent when its time was over.
    fn may_come(&self, node: &Node, operation: &Operation) -> bool {
        operation.is_certain || node.moment(operation.keys) <= operation.answered
    }

    /// An operation of a lane and those before it that have not come: none may come without them.
    fn up_to(&self, node: &Node, number: usize) -> impl Iterator<Item = &'h Operation> {
        let lane = self.operations[number].lane;
        let numbers = self.lanes[lane].get(node.taken[lane]..=self.places[number]).unwrap_or_default();
        numbers.iter().map(|number| &self.operations[*number])
    }

    /// Whether an operation has not come and still can.
    fn is_possible(&self, node: &Node, number: usize) -> bool {
        !self.is_taken(node, number)
            && self.up_to(node, number).all(|operation| self.may_come(node, operation))
    }

    /// The keys of those that might have come and cannot any more behind this operation, for it was sent when their time was over,
    /// or that of one before them in their lane.
    fn ruled_out(&self, node: &Node, operation: &Operation) -> Keys {
        let is_met = |other: &Operation| {
            !other.is_certain && other.answered < operation.invoked && other.keys & operation.keys != 0
        };
        let others = self
            .uncertain
            .iter()
            .copied()
            .filter(|number| self.up_to(node, *number).any(is_met) && self.is_possible(node, *number));
        others.fold(0, |keys, number| keys | self.operations[number].keys)
    }

    /// The operation that comes next in a lane, if it may take effect before the event is over.
    fn candidate(&self, node: &Node, lane: usize) -> Option<usize> {
        let number = *self.lanes[lane].get(node.taken[lane])?;
        let operation = &self.operations[number];
        (operation.invoked <= self.now(node) && self.may_come(node, operation)).then_some(number)
    }

    /// When the event's operation was answered.
    fn now(&self, node: &Node) -> u64 {
        self.operations[self.events[node.event]].answered
    }

    /// Lets all take effect that changes nothing, and goes on to the first event whose operation has not taken effect.
    fn advance(&mut self, node: &mut Node) {
        loop {
            while self.events.get(node.event).is_some_and(|number| self.is_taken(node, *number)) {
                node.event += 1;
            }
            if node.event == self.events.len() {
                return;
            }
            let mut has_moved = false;
            for lane in 0..self.lanes.len() {
                while let Some(number) = self.candidate(node, lane) {
                    let operation = self.operation(number);
                    let is_free = operation.reply.is_some()
                        && !operation.call.is_blind()
                        && self.ruled_out(node, operation) == 0
                        && model::outcomes(&node.state, operation).iter().any(|outcome| !outcome.is_changed);
                    if !is_free {
                        break;
                    }
                    self.take(node, number);
                    has_moved = true;
                }
            }
            if !has_moved {
                return;
            }
        }
    }

    /// The node behind the next choice.
    fn next_of(&self, node: &mut Node) -> Option<Node> {
        let event = self.events[node.event];
        if node.blame == 0 {
            // Its own operation comes first: most often that is all.
            node.blame = self.operations[event].keys;
            node.branches = self.branches(node, event);
        }
        if node.branches.is_empty() && !node.has_all {
            node.has_all = true;
            let (choices, keys) = self.choices(node);
            node.blame |= keys;
            node.branches = choices.into_iter().flat_map(|number| self.branches(node, number)).collect();
            // What lets the event's own operation come next is tried first: what is let in without need is missing later.
            let own = self.operation(event);
            node.branches.sort_by_cached_key(|(_, state)| !model::outcomes(state, own).is_empty());
        }
        let (number, state) = node.branches.pop()?;
        let mut next = Node::new(state, node.taken.clone());
        next.event = node.event;
        next.moments = node.moments;
        next.reached_by = self.operations[number].keys | self.ruled_out(node, self.operation(number));
        self.take(&mut next, number);
        Some(next)
    }

    /// The states behind an operation. One that changes nothing here matters only if it is the event's own, rules others
    /// out, could change something elsewhere, or has others of its lane behind it.
    fn branches(&self, node: &Node, number: usize) -> Vec<(usize, State)> {
        let operation = self.operation(number);
        let matters = self.events[node.event] == number || self.ruled_out(node, operation) != 0;
        let is_last = self.lanes[operation.lane].len() == self.places[number] + 1;
        let has_sense = matters || operation.call.is_blind() || operation.reply.is_none() && !is_last;
        let outcomes = model::outcomes(&node.state, operation).into_iter();
        let outcomes = outcomes.filter(|outcome| outcome.is_changed || has_sense);
        outcomes.map(|state| (number, state)).collect()
    }

    /// The operations that may have to take effect before the event's own, the latest answered first; and all keys that
    /// this depends on.
    fn choices(&self, node: &Node) -> (Vec<usize>, Keys) {
        let event = self.events[node.event];
        let now = self.now(node);
        // Who finds a key gone has removed it.
        let expiring = node.state.expiring();
        let written_by =
            |operation: &Operation| operation.keys & if operation.call.is_read() { expiring } else { !0 };
        let (mut read, mut written) = (self.operations[event].keys, written_by(&self.operations[event]));
        // How many operations of each lane matter.
        let mut included: Vec<usize> = node.taken.clone();
        loop {
            let mut has_grown = false;
            for (lane, numbers) in self.lanes.iter().enumerate() {
                let pending = numbers[node.taken[lane]..].iter().enumerate();
                let pending = pending.take_while(|(_, number)| self.operations[**number].invoked <= now);
                for (ahead, number) in pending {
                    let place = node.taken[lane] + ahead;
                    let operation = &self.operations[*number];
                    if place < included[lane] || !self.may_come(node, operation) {
                        continue;
                    }
                    let is_read = operation.call.is_read();
                    // What is ruled out by a read, too, depends on it.
                    let keys = if is_read && operation.is_certain { written } else { read | written };
                    let conflicts = operation.keys & keys != 0;
                    if conflicts {
                        for number in &numbers[included[lane]..=place] {
                            let before = &self.operations[*number];
                            read |= before.keys;
                            written |= written_by(before);
                        }
                        included[lane] = place + 1;
                        has_grown = true;
                    }
                }
            }
            if !has_grown {
                break;
            }
        }
        let lanes = (0..self.lanes.len()).filter(|lane| included[*lane] > node.taken[*lane]);
        let mut choices: Vec<usize> = lanes.filter_map(|lane| self.candidate(node, lane)).collect();
        choices.retain(|number| *number != event);
        choices.sort_by_key(|number| std::cmp::Reverse(self.operations[*number].answered));
        (choices, read | written)
    }

    /// What the node's failure depends on, in a number: what the keys hold, and which operations on them have taken effect
    /// before their answer.
    fn projection(&self, node: &Node, keys: Keys) -> u128 {
        let now = self.now(node);
        let mut sum = node.state.digest(keys);
        let mut add = |number: usize| sum ^= self.digests[number];
        for number in &self.uncertain {
            let operation = &self.operations[*number];
            // Whether it has come or cannot come any more is the same to what follows.
            if operation.keys & keys != 0 && !self.is_possible(node, *number) {
                add(*number);
            }
        }
        for (lane, numbers) in self.lanes.iter().enumerate() {
            let taken = numbers[..node.taken[lane]].iter().rev();
            for number in taken.take_while(|number| self.operations[**number].answered >= now) {
                let operation = &self.operations[*number];
                if operation.is_certain && operation.keys & keys != 0 {
                    add(*number);
                }
            }
        }
        sum
    }

    fn known_failure(&self, node: &Node) -> Option<Keys> {
        let all = self.failed_keys.get(&node.event)?;
        all.iter()
            .copied()
            .find(|keys| self.failed.contains(&(node.event, *keys, self.projection(node, *keys))))
    }

    fn remember(&mut self, node: &Node) {
        let projection = self.projection(node, node.blame);
        self.failed.insert((node.event, node.blame, projection));
        let all = self.failed_keys.entry(node.event).or_default();
        if !all.contains(&node.blame) {
            all.push(node.blame);
        }
    }

    /// Remembers where the search is when it comes to the moment that was asked for.
    fn note_stop(&mut self, node: &Node) {
        let Some(at) = self.at else { return };
        let is_next = self.events.get(node.event).is_some_and(|number| self.operations[*number].invoked > at);
        let is_first = node.event == 0 || self.operations[self.events[node.event - 1]].answered <= at;
        if is_next && is_first {
            let key = node.state.digest(super::call::ALL_KEYS);
            if self.stops.iter().all(|stop| stop.state.digest(super::call::ALL_KEYS) != key) {
                let done = self
                    .lanes
                    .iter()
                    .zip(&node.taken)
                    .flat_map(|(lane, taken)| lane[..*taken].iter().copied());
                self.stops.push(Stop { state: node.state.clone(), done: done.collect() });
            }
        }
    }
}

#[cfg(test)]
mod tests;
