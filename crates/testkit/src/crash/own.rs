//! A connection's own keys after a crash: their state must be that after some prefix of what was sent, which holds at
//! least all that had to survive.

use std::collections::HashMap;
use std::time::Instant;

use super::draw::databases;
use super::model::{Entry, Model, Place, digest_of, is_cardinality};
use super::step::{Role, Shared, Step, Trace};
use crate::contents::{Content, Contents, Stored, quoted};
use crate::{Client, Command, DecodeError};

/// A key that no connection uses.
const SCRATCH: &str = "scratch";
/// The bytes of a HyperLogLog that cache its count.
const CACHED_COUNT: std::ops::Range<usize> = 8..16;
/// Of so many differing keys a violation tells.
const KEYS_SHOWN: usize = 4;
/// Of so many states a violation finds the closest.
const STATES_SEARCHED: usize = 200;

/// What a crash left of one connection.
pub(super) struct Survivor {
    /// Its model after what survived.
    pub(super) model: Model,
    /// How many of the round's steps survived.
    pub(super) kept: usize,
}

/// The crash that is looked at.
pub(super) struct Crash<'a> {
    /// When the server died.
    pub(super) end_ms: i64,
    /// What was acknowledged until then had to survive.
    pub(super) limit: Instant,
    pub(super) recovered: &'a Contents,
    /// Of the recovered keys, how many elements each connection has in the shared log.
    pub(super) logged: &'a HashMap<usize, usize>,
}

/// Finds out what survived of connection `connection`, or tells how its keys differ from every state that they may be in.
pub(super) fn check(
    crash: &Crash<'_>,
    connection: usize,
    mut model: Model,
    trace: &Trace,
    client: &mut Client,
) -> Result<Survivor, String> {
    let recovered = own_keys(crash.recovered, connection);
    let digest =
        recovered.iter().map(|(place, held)| digest_of(place, &held.content, held.expires_at_ms.is_some()));
    let digest = digest.fold(0, u64::wrapping_add);
    let required = trace.required(crash.limit);
    let logged = crash.logged.get(&connection).copied().unwrap_or(0);
    let mut log_steps = 0;
    for step in &trace.steps[..required] {
        log_steps += apply(&mut model, step, crash);
    }
    let at_least = (model.clone(), log_steps);
    let mut reason = None;
    for kept in required..=trace.steps.len() {
        if kept > required {
            log_steps += apply(&mut model, &trace.steps[kept - 1], crash);
        }
        if model.digest() != digest || log_steps != logged {
            continue;
        }
        match compare_closely(&model, &recovered, client) {
            Ok(None) => return Ok(Survivor { model, kept }),
            Ok(Some(difference)) => reason = Some(difference),
            Err(error) => return Err(format!("connection {connection}: {error}")),
        }
    }
    let reason = reason.unwrap_or_else(|| closest(crash, at_least, trace, required, &recovered, logged));
    let sent = trace.steps.len();
    Err(format!(
        "connection {connection}: its keys are in no state between step {required}, which had to survive, and step \
         {sent}, the last one sent: {reason}"
    ))
}

/// What differs from the state that comes closest, of up to [`STATES_SEARCHED`] states after the one that had to survive.
fn closest(
    crash: &Crash<'_>,
    (mut model, mut log_steps): (Model, usize),
    trace: &Trace,
    required: usize,
    recovered: &HashMap<&Place, &Stored>,
    logged: usize,
) -> String {
    let stride = (trace.steps.len() - required).div_ceil(STATES_SEARCHED).max(1);
    let mut least: Option<(usize, String)> = None;
    for kept in required..=trace.steps.len() {
        if kept > required {
            log_steps += apply(&mut model, &trace.steps[kept - 1], crash);
        }
        if !(kept - required).is_multiple_of(stride) {
            continue;
        }
        let (count, text) = difference(&model, recovered);
        if least.as_ref().is_none_or(|(fewest, _)| count < *fewest) {
            let log = format!("{log_steps} elements of its own in the log instead of {logged}");
            least = Some((count, format!("after step {kept} there are {log}, and {text}")));
        }
    }
    least.map(|(_, text)| text).unwrap_or_default()
}

/// Does what the step did to the model; gives back how many elements it added to the shared log.
fn apply(model: &mut Model, step: &Step, crash: &Crash<'_>) -> usize {
    match step.role {
        Role::Own => model.apply(step, crash.end_ms, crash.recovered),
        Role::Shared(Shared::Log) => return 1,
        _ => {}
    }
    0
}

fn own_keys(recovered: &Contents, connection: usize) -> HashMap<&Place, &Stored> {
    let prefix = format!("own:{connection}:");
    let [one, two] = databases(connection);
    let is_own = |place: &Place| place.1.starts_with(prefix.as_bytes()) && (place.0 == one || place.0 == two);
    recovered.keys.iter().filter(|(place, _)| is_own(place)).collect()
}

/// Compares what the digest leaves out: times and HyperLogLogs. None if all is right.
fn compare_closely(
    model: &Model,
    recovered: &HashMap<&Place, &Stored>,
    client: &mut Client,
) -> Result<Option<String>, DecodeError> {
    for (place, entry) in model.keys() {
        let Some(held) = recovered.get(place) else { return Ok(Some(format!("{} is missing", name(place)))) };
        if let (Some((least, most)), Some(time)) = (entry.deadline, held.expires_at_ms)
            && !(least..=most).contains(&time)
        {
            return Ok(Some(format!("{} expires at {time}, not in {least}..={most}", name(place))));
        }
        if is_cardinality(&place.1) && !is_same_cardinality(entry, held, client)? {
            return Ok(Some(format!("{} has not seen what was added", name(place))));
        }
    }
    Ok(None)
}

/// Adds the model's elements to a HyperLogLog of their own, and compares the bytes.
fn is_same_cardinality(entry: &Entry, held: &Stored, client: &mut Client) -> Result<bool, DecodeError> {
    let (Content::List(added), Content::Text(recovered)) = (&entry.content, &held.content) else {
        return Ok(false);
    };
    client.try_call(&["DEL", SCRATCH])?;
    let commands: Vec<Command> =
        added.iter().map(|element| Command::new(&[b"PFADD", SCRATCH.as_bytes(), element])).collect();
    client.try_pipeline(&commands)?;
    let expected = client.try_call(&["GET", SCRATCH])?;
    client.try_call(&["DEL", SCRATCH])?;
    let crate::Reply::Bulk(mut expected) = expected else { return Ok(false) };
    let mut recovered = recovered.clone();
    for bytes in [&mut expected, &mut recovered] {
        if bytes.len() >= CACHED_COUNT.end {
            bytes[CACHED_COUNT].fill(0);
        }
    }
    Ok(expected == recovered)
}

/// In how many keys the recovered state differs from the model, and the first of them.
fn difference(model: &Model, recovered: &HashMap<&Place, &Stored>) -> (usize, String) {
    let mut differences = Vec::new();
    for (place, entry) in model.keys() {
        let has_deadline = entry.deadline.is_some();
        let (is_hll, expected) = (is_cardinality(&place.1), &entry.content);
        match recovered.get(place) {
            None => differences.push(format!("{} is gone, which was {expected}", name(place))),
            Some(held) if !is_hll && held.content != *expected => {
                differences.push(format!("{} is {held} instead of {expected}", name(place)));
            }
            Some(held) if held.expires_at_ms.is_some() != has_deadline => {
                let time = held.expires_at_ms;
                differences.push(format!(
                    "{} expires at {time:?} instead of {:?}",
                    name(place),
                    entry.deadline
                ));
            }
            Some(_) => {}
        }
    }
    for (place, held) in recovered {
        if !model.keys().contains_key(*place) {
            differences.push(format!("{} is {held} instead of nothing", name(place)));
        }
    }
    let count = differences.len();
    let shown = differences.into_iter().take(KEYS_SHOWN).collect::<Vec<_>>().join("; ");
    (count, format!("{count} keys differ: {shown}"))
}

fn name(place: &Place) -> String {
    format!("{} of database {}", quoted(&place.1), place.0)
}
