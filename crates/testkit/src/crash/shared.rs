//! Keys of all connections after a crash: what must hold of each, whatever the order was in which they came.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::draw::{ACCOUNTS, RINGS};
use super::step::{Role, Shared, Step, Trace};
use crate::contents::{Content, Contents, quoted};
use crate::{Command, Reply};

/// What each account has at first, and the tokens of each ring.
const BALANCE: i64 = 10_000;
const TOKENS: usize = 12;

/// The commands that make all shared keys new, for so many connections.
pub(super) fn set_up(connections: usize) -> Vec<Command> {
    let mut lines = vec!["DEL shared:log shared:counter shared:twin shared:twins shared:first".to_owned()];
    lines.push("DEL shared:second shared:queue shared:bag".to_owned());
    lines.extend((0..connections).map(|connection| format!("DEL shared:done:{connection}")));
    for account in 0..ACCOUNTS {
        lines.push(format!("SET shared:account:{account} {BALANCE}"));
    }
    for ring in 0..RINGS {
        let tokens: Vec<String> = (0..TOKENS).map(|token| format!("token:{ring}:{token}")).collect();
        lines.push(format!("DEL shared:ring:{ring}"));
        lines.push(format!("RPUSH shared:ring:{ring} {}", tokens.join(" ")));
    }
    lines.iter().map(|line| Command::line(line)).collect()
}

/// The steps of one kind, over all connections.
#[derive(Default)]
struct Sent<'a> {
    all: Vec<&'a Step>,
    acknowledged: Vec<&'a Step>,
    required: Vec<&'a Step>,
}

/// Looks at all shared keys; each entry of the result is something that does not hold.
pub(super) fn check(recovered: &Contents, traces: &[Trace], limit: Instant) -> Vec<String> {
    let mut sent: HashMap<Shared, Sent<'_>> = HashMap::new();
    for trace in traces {
        let required = trace.required(limit);
        for (index, step) in trace.steps.iter().enumerate() {
            let Role::Shared(role) = step.role else { continue };
            let of_role = sent.entry(role).or_default();
            of_role.all.push(step);
            if step.ack.is_some() {
                of_role.acknowledged.push(step);
            }
            if index < required {
                of_role.required.push(step);
            }
        }
    }
    let mut take = |role| sent.remove(&role).unwrap_or_default();
    let mut violations = log(recovered, &take(Shared::Log));
    violations.extend(counter(recovered, &take(Shared::Counter)));
    violations.extend(accounts(recovered));
    violations.extend(twins(recovered));
    violations.extend(first_and_second(recovered, &take(Shared::First), traces.len()));
    violations.extend(rings(recovered));
    violations.extend(bag(recovered, &take(Shared::Bag), &take(Shared::Pop)));
    violations.extend(queue(recovered, &take(Shared::Queue), &take(Shared::Take), &take(Shared::Pass)));
    violations
}

/// How many elements each connection has in the log.
pub(super) fn logged(recovered: &Contents) -> HashMap<usize, usize> {
    let mut counts = HashMap::new();
    for element in list(recovered, "shared:log") {
        let connection = String::from_utf8_lossy(&element);
        let connection = connection.split_once(':').and_then(|(connection, _)| connection.parse().ok());
        *counts.entry(connection.unwrap_or(usize::MAX)).or_insert(0) += 1;
    }
    counts
}

fn list(recovered: &Contents, key: &str) -> Vec<Vec<u8>> {
    match recovered.get(0, key.as_bytes()).map(|held| &held.content) {
        Some(Content::List(list)) => list.clone(),
        _ => Vec::new(),
    }
}

fn number(recovered: &Contents, key: &str) -> i64 {
    let text = match recovered.get(0, key.as_bytes()).map(|held| &held.content) {
        Some(Content::Text(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => return 0,
    };
    text.parse().unwrap_or(i64::MIN)
}

/// The elements of each connection are the first ones that it pushed, in its order.
fn log(recovered: &Contents, sent: &Sent<'_>) -> Vec<String> {
    let mut by_connection: HashMap<String, Vec<&[u8]>> = HashMap::new();
    let connection_of =
        |element: &[u8]| String::from_utf8_lossy(element).split(':').next().unwrap_or_default().to_owned();
    for step in &sent.all {
        by_connection.entry(connection_of(step.element())).or_default().push(step.element());
    }
    let mut next: HashMap<String, usize> = HashMap::new();
    let mut violations = Vec::new();
    for element in list(recovered, "shared:log") {
        let connection = connection_of(&element);
        let index = next.entry(connection.clone()).or_insert(0);
        let expected = by_connection.get(&connection).and_then(|pushed| pushed.get(*index).copied());
        if expected != Some(element.as_slice()) {
            let expected = expected.map_or_else(|| "nothing more".to_owned(), quoted);
            violations.push(format!("shared:log: {} where {expected} had to follow", quoted(&element)));
            break;
        }
        *index += 1;
    }
    let mut required: HashMap<String, usize> = HashMap::new();
    for step in &sent.required {
        *required.entry(connection_of(step.element())).or_insert(0) += 1;
    }
    for (connection, required) in required {
        let kept = next.get(&connection).copied().unwrap_or(0);
        if kept < required {
            violations.push(format!(
                "shared:log: {kept} elements of connection {connection}, {required} were acknowledged"
            ));
        }
    }
    violations
}

fn counter(recovered: &Contents, sent: &Sent<'_>) -> Option<String> {
    let value = number(recovered, "shared:counter");
    let answer = |step: &&Step| match step.ack.as_ref()?.replies.first()? {
        Reply::Integer(number) => Some(*number),
        _ => None,
    };
    let acknowledged = sent.required.iter().filter_map(answer).max().unwrap_or(0);
    let most = sent.all.len() as i64;
    (!(acknowledged..=most).contains(&value)).then(|| {
        format!("shared:counter is {value}: {acknowledged} was acknowledged, {most} increments were sent")
    })
}

fn accounts(recovered: &Contents) -> Option<String> {
    let balances: Vec<i64> =
        (0..ACCOUNTS).map(|account| number(recovered, &format!("shared:account:{account}"))).collect();
    let sum = balances.iter().fold(0_i64, |sum, balance| sum.wrapping_add(*balance));
    (sum != BALANCE * ACCOUNTS as i64).then(|| format!("shared:account: half a transfer: {balances:?}"))
}

fn twins(recovered: &Contents) -> Option<String> {
    let one = number(recovered, "shared:twin");
    let other = match recovered.get(0, b"shared:twins").map(|held| &held.content) {
        Some(Content::Hash(hash)) => {
            hash.get(&b"twin"[..]).map(|value| String::from_utf8_lossy(value).into_owned())
        }
        _ => None,
    };
    let other = other.map_or(Some(0), |text| text.parse().ok());
    (other != Some(one)).then(|| format!("half a transaction: shared:twin is {one}, the field is {other:?}"))
}

fn first_and_second(recovered: &Contents, sent: &Sent<'_>, connections: usize) -> Option<String> {
    let (first, second) = (number(recovered, "shared:first"), number(recovered, "shared:second"));
    let is_right = (0..=connections as i64).contains(&(first - second)) && first <= sent.all.len() as i64;
    (!is_right).then(|| {
        format!("shared:first is {first}, shared:second, which each connection increments after it, {second}")
    })
}

fn rings(recovered: &Contents) -> Option<String> {
    let mut tokens: Vec<Vec<u8>> =
        (0..RINGS).flat_map(|ring| list(recovered, &format!("shared:ring:{ring}"))).collect();
    let count = tokens.len();
    tokens.sort_unstable();
    tokens.dedup();
    (count != RINGS * TOKENS || tokens.len() != count).then(|| {
        format!("shared:ring: {count} tokens, {} different ones, of {}", tokens.len(), RINGS * TOKENS)
    })
}

/// Members and elements that come from many and are taken by many.
struct Pool<'a> {
    name: &'a str,
    put: &'a Sent<'a>,
    left: HashSet<Vec<u8>>,
    /// Taken, as an acknowledgement said.
    taken: HashSet<Vec<u8>>,
    /// Taken, and had to stay so.
    taken_for_good: HashSet<Vec<u8>>,
    /// Takings that were not acknowledged: each may have taken one.
    open: usize,
}

impl Pool<'_> {
    fn check(&self) -> Vec<String> {
        let mut violations = Vec::new();
        let name = self.name;
        let put: HashSet<&[u8]> = self.put.all.iter().map(|step| step.element()).collect();
        if let Some(unknown) = self.left.iter().find(|element| !put.contains(element.as_slice())) {
            violations.push(format!("{name}: {} was never sent", quoted(unknown)));
        }
        if let Some(again) = self.left.intersection(&self.taken_for_good).next() {
            violations.push(format!("{name}: {} is there again after it was taken", quoted(again)));
        }
        let required = self.put.required.iter().map(|step| step.element());
        let missing: Vec<&[u8]> = required
            .filter(|element| !self.left.contains(*element) && !self.taken.contains(*element))
            .collect();
        if missing.len() > self.open {
            violations.push(format!(
                "{name}: {} elements are missing, {} among them, and only {} can have been taken unseen",
                missing.len(),
                quoted(missing[0]),
                self.open
            ));
        }
        violations
    }
}

/// What the replies to a step say was taken.
fn taken(step: &Step) -> Option<Vec<u8>> {
    match step.ack.as_ref()?.replies.first()? {
        Reply::Bulk(element) => Some(element.clone()),
        Reply::Array(elements) => match elements.last()? {
            Reply::Bulk(element) => Some(element.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn taken_by(steps: &[&Step]) -> HashSet<Vec<u8>> {
    steps.iter().filter_map(|step| taken(step)).collect()
}

fn bag(recovered: &Contents, put: &Sent<'_>, popped: &Sent<'_>) -> Vec<String> {
    let left = match recovered.get(0, b"shared:bag").map(|held| &held.content) {
        Some(Content::Set(members)) => members.iter().cloned().collect(),
        _ => HashSet::new(),
    };
    Pool {
        name: "shared:bag",
        put,
        left,
        taken: taken_by(&popped.acknowledged),
        taken_for_good: taken_by(&popped.required),
        open: popped.all.len() - popped.acknowledged.len(),
    }
    .check()
}

fn queue(recovered: &Contents, put: &Sent<'_>, takes: &Sent<'_>, passes: &Sent<'_>) -> Vec<String> {
    let queue = list(recovered, "shared:queue");
    let mut violations = Vec::new();
    let mut everywhere = queue.clone();
    let mut passed = HashSet::new();
    for ((_, key), held) in &recovered.keys {
        if let (true, Content::List(done)) = (key.starts_with(b"shared:done:"), &held.content) {
            everywhere.extend(done.iter().cloned());
            passed.extend(done.iter().cloned());
        }
    }
    let count = everywhere.len();
    let left: HashSet<Vec<u8>> = everywhere.into_iter().collect();
    if left.len() < count {
        violations.push(format!("shared:queue: {} elements are there twice", count - left.len()));
    }
    for element in taken_by(&passes.required).difference(&passed).take(1) {
        violations.push(format!("shared:done: {} was passed on and is gone", quoted(element)));
    }
    // What was passed on and is back in the queue was lost on the way.
    let taken_for_good = taken_by(&takes.required);
    let pool = Pool {
        name: "shared:queue",
        put,
        left,
        taken: taken_by(&takes.acknowledged),
        taken_for_good,
        open: takes.all.len() - takes.acknowledged.len(),
    };
    violations.extend(pool.check());
    violations
}
