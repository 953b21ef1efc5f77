//! What each command does and answers, if commands come one after the other: Redis's words, once more and without Redis.
//!
//! All types of values may meet on all keys, so a command on a key of another type is answered `WRONGTYPE`, as the model
//! says. What depends on time is where the model allows several outcomes: a key with a time to live is there until the window
//! in which its deadline lies, and gone behind it; within the window both may be, but who has seen it gone has removed it.
//! A BLPOP takes effect where it takes its element, or where it began to wait, for then its keys held nothing.

use std::collections::{BTreeMap, VecDeque};

use super::call::{Bytes, Call, KEYS, Key};
use super::history::{NEVER, Operation};
use super::state::{Due, State, Value};
use crate::Reply;

/// What the server's clock and ours may differ by, in nanoseconds: it counts whole milliseconds.
const CLOCK_SLACK: u64 = 2_000_000;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_INTEGER: &str = "ERR value is not an integer or out of range";
const NO_KEY: &str = "ERR no such key";

/// The states that may be behind an operation, in each of which it is answered as it was; none if it cannot take effect here.
pub(super) fn outcomes(state: &State, operation: &Operation) -> Vec<State> {
    let mut starts = vec![state.clone()];
    starts[0].is_changed = false;
    for key in 0..16 {
        if operation.keys & 1 << key != 0 {
            expire(&mut starts, key, operation);
        }
    }
    let mut outcomes = Vec::with_capacity(starts.len());
    for start in starts {
        run_once(start, operation, &mut outcomes);
    }
    outcomes
}

/// Splits each state by whether the key's time has come, as far as both can be.
fn expire(states: &mut Vec<State>, key: Key, operation: &Operation) {
    for index in 0..states.len() {
        let Some((first, last)) = states[index].get(key).and_then(|entry| entry.due) else { continue };
        if operation.answered < first {
            continue;
        }
        let mut gone = states[index].clone();
        gone.remove(key);
        if operation.invoked > last {
            states[index] = gone;
        } else {
            states.push(gone);
        }
    }
}

fn run_once(mut state: State, operation: &Operation, outcomes: &mut Vec<State>) {
    match (&operation.call, &operation.reply) {
        (Call::BlockingPop(keys, _), Some(reply)) => {
            if blocking_pop(&mut state, keys, reply) {
                outcomes.push(state);
            }
        }
        // Nobody knows which it took, or whether its time was over before there was one.
        (Call::BlockingPop(keys, _), None) => {
            if keys.iter().all(|key| state.get(*key).is_none()) {
                outcomes.push(state.clone());
            }
            for key in keys {
                let mut state = state.clone();
                if matches!(pop(&mut state, *key), Ok(Some(_))) {
                    outcomes.push(state);
                }
            }
        }
        (call, reply) => {
            let answer = run(&mut state, call, operation);
            if reply.as_ref().is_none_or(|reply| is_same(call, reply, &answer)) {
                outcomes.push(state);
            }
        }
    }
}

/// Whether the reply is the model's answer; the fields of a hash come in any order.
fn is_same(call: &Call, reply: &Reply, answer: &Reply) -> bool {
    match (call, reply, answer) {
        (Call::HGetAll(_), Reply::Array(given), Reply::Array(expected)) => {
            let pairs = |elements: &[Reply]| {
                let mut pairs: Vec<Vec<Reply>> = elements.chunks(2).map(<[Reply]>::to_vec).collect();
                pairs.sort_unstable();
                pairs
            };
            given.len() == expected.len() && pairs(given) == pairs(expected)
        }
        (Call::Exec(calls, _), Reply::Array(given), Reply::Array(expected)) => {
            given.len() == expected.len()
                && calls
                    .iter()
                    .zip(given.iter().zip(expected))
                    .all(|(call, (given, expected))| is_same(call, given, expected))
        }
        _ => reply == answer,
    }
}

fn run(state: &mut State, call: &Call, operation: &Operation) -> Reply {
    answer(state, call, operation).unwrap_or_else(|error| error)
}

/// What it is answered; an error has changed nothing.
fn answer(state: &mut State, call: &Call, operation: &Operation) -> Result<Reply, Reply> {
    Ok(match call {
        Call::Get(key) => bulk_or_nil(text(state, *key)?),
        Call::Strlen(key) => integer(text(state, *key)?.map_or(0, <[u8]>::len)),
        Call::Exists(keys) => integer(keys.iter().filter(|key| state.get(**key).is_some()).count()),
        Call::Mget(keys) => {
            Reply::Array(keys.iter().map(|key| bulk_or_nil(text(state, *key).unwrap_or(None))).collect())
        }
        Call::Set(key, value) => {
            state.put(*key, Value::Text(value.to_vec()), None);
            Reply::ok()
        }
        Call::SetNew(key, _) if state.get(*key).is_some() => Reply::NullBulk,
        Call::SetNew(key, value) => {
            state.put(*key, Value::Text(value.to_vec()), None);
            Reply::ok()
        }
        Call::SetGet(key, value) => {
            let old = bulk_or_nil(text(state, *key)?);
            state.put(*key, Value::Text(value.to_vec()), None);
            old
        }
        Call::Mset(pairs) => {
            pairs.iter().for_each(|(key, value)| state.put(*key, Value::Text(value.to_vec()), None));
            Reply::ok()
        }
        Call::Incr(key) => {
            let number = match text(state, *key)? {
                Some(text) => integer_of(text)?,
                None => 0,
            };
            state.update(*key, Value::Text((number + 1).to_string().into_bytes()));
            Reply::Integer(number + 1)
        }
        Call::Append(key, value) => {
            let whole = [text(state, *key)?.unwrap_or_default(), value].concat();
            let length = whole.len();
            state.update(*key, Value::Text(whole));
            integer(length)
        }
        Call::Del(keys) => integer(keys.iter().filter(|key| state.remove(**key)).count()),
        Call::Rename(from, to) => {
            let entry = state.get(*from).ok_or_else(|| error(NO_KEY))?;
            let (value, due) = (entry.value.clone(), entry.due);
            state.remove(*from);
            state.put(*to, value, due);
            Reply::ok()
        }
        Call::Expire(key, ms) => {
            let Some(entry) = state.get(*key) else { return Ok(Reply::Integer(0)) };
            let value = entry.value.clone();
            state.put(*key, value, Some(window(operation, *ms)));
            Reply::Integer(1)
        }
        Call::Flush => {
            for key in 0..16 {
                state.remove(key);
            }
            Reply::ok()
        }
        Call::Watch(_) => {
            state.watch(operation.lane, call.keys());
            Reply::ok()
        }
        Call::Exec(calls, _) => {
            if state.unwatch(operation.lane) {
                return Ok(Reply::NullArray);
            }
            Reply::Array(calls.iter().map(|call| run(state, call, operation)).collect())
        }
        _ => return answer_of_collection(state, call),
    })
}

fn answer_of_collection(state: &mut State, call: &Call) -> Result<Reply, Reply> {
    Ok(match call {
        Call::Push(key, values) => {
            let mut list = list(state, *key)?.cloned().unwrap_or_default();
            values.iter().for_each(|value| list.push_front(value.clone()));
            let length = list.len();
            state.update(*key, Value::List(list));
            integer(length)
        }
        Call::Pop(key) => bulk_or_nil(pop(state, *key)?.as_deref()),
        Call::Move(from, to) => {
            let Some(source) = list(state, *from)? else { return Ok(Reply::NullBulk) };
            let mut source = source.clone();
            list(state, *to)?;
            let element = source.pop_back().unwrap_or_default();
            put_list(state, *from, source);
            let mut target = list(state, *to)?.cloned().unwrap_or_default();
            target.push_front(element.clone());
            state.update(*to, Value::List(target));
            Reply::bulk(element)
        }
        Call::Range(key) => Reply::Array(list(state, *key)?.into_iter().flatten().map(Reply::bulk).collect()),
        Call::ZAdd(key, score, member) => {
            let mut members = zset(state, *key)?.cloned().unwrap_or_default();
            let old = members.iter().position(|(_, other)| other == member);
            if old.is_some_and(|index| members[index].0 == *score) {
                return Ok(Reply::Integer(0));
            }
            old.map(|index| members.remove(index));
            members.push((*score, member.clone()));
            members.sort_unstable();
            state.update(*key, Value::Zset(members));
            Reply::Integer(i64::from(old.is_none()))
        }
        Call::ZPopMin(key) => {
            let Some(members) = zset(state, *key)? else { return Ok(Reply::Array(Vec::new())) };
            let mut members = members.clone();
            let first = members.remove(0);
            if members.is_empty() {
                state.remove(*key);
            } else {
                state.update(*key, Value::Zset(members));
            }
            scored([&first])
        }
        Call::ZRange(key) => scored(zset(state, *key)?.into_iter().flatten()),
        Call::HIncrBy(key, field, by) => {
            let mut fields = hash(state, *key)?.cloned().unwrap_or_default();
            let number = fields.entry(field.clone()).or_default();
            *number += by;
            let number = *number;
            state.update(*key, Value::Hash(fields));
            Reply::Integer(number)
        }
        Call::HGet(key, field) => match hash(state, *key)?.and_then(|fields| fields.get(field)) {
            Some(number) => Reply::bulk(number.to_string()),
            None => Reply::NullBulk,
        },
        Call::HGetAll(key) => {
            let fields = hash(state, *key)?.into_iter().flatten();
            Reply::Array(
                fields
                    .flat_map(|(field, number)| [Reply::bulk(field), Reply::bulk(number.to_string())])
                    .collect(),
            )
        }
        other => unreachable!("{other} is answered elsewhere"),
    })
}

/// The window of a deadline that was set by this operation.
fn window(operation: &Operation, ms: u64) -> Due {
    let life = ms * 1_000_000;
    let last = if operation.answered == NEVER { NEVER } else { operation.answered + life + CLOCK_SLACK };
    (operation.invoked + life - life.min(CLOCK_SLACK), last)
}

/// Whether BLPOP is answered so here; if it is, its element is taken. It was perhaps served with one key alone, whatever
/// stood before it.
fn blocking_pop(state: &mut State, keys: &[Key], reply: &Reply) -> bool {
    match reply {
        Reply::NullArray => keys.iter().all(|key| state.get(*key).is_none()),
        Reply::Error(text) => {
            let first = keys.iter().find_map(|key| state.get(*key));
            text == WRONG_TYPE && first.is_some_and(|entry| !matches!(entry.value, Value::List(_)))
        }
        Reply::Array(elements) => {
            let [Reply::Bulk(name), Reply::Bulk(element)] = &elements[..] else { return false };
            let key = keys.iter().find(|key| KEYS[usize::from(**key)].as_bytes() == &name[..]);
            key.is_some_and(|key| matches!(pop(state, *key), Ok(Some(popped)) if *popped == element[..]))
        }
        _ => false,
    }
}

/// Takes the first element of a list.
fn pop(state: &mut State, key: Key) -> Result<Option<Bytes>, Reply> {
    let Some(list) = list(state, key)? else { return Ok(None) };
    let mut list = list.clone();
    let element = list.pop_front();
    put_list(state, key, list);
    Ok(element)
}

/// Writes a list; one without elements is none.
fn put_list(state: &mut State, key: Key, list: VecDeque<Bytes>) {
    if list.is_empty() {
        state.remove(key);
    } else {
        state.update(key, Value::List(list));
    }
}

fn text(state: &State, key: Key) -> Result<Option<&[u8]>, Reply> {
    match state.get(key).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(error(WRONG_TYPE)),
    }
}

fn list(state: &State, key: Key) -> Result<Option<&VecDeque<Bytes>>, Reply> {
    match state.get(key).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::List(list)) => Ok(Some(list)),
        Some(_) => Err(error(WRONG_TYPE)),
    }
}

fn zset(state: &State, key: Key) -> Result<Option<&Vec<(i64, Bytes)>>, Reply> {
    match state.get(key).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Zset(zset)) => Ok(Some(zset)),
        Some(_) => Err(error(WRONG_TYPE)),
    }
}

fn hash(state: &State, key: Key) -> Result<Option<&BTreeMap<Bytes, i64>>, Reply> {
    match state.get(key).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Hash(hash)) => Ok(Some(hash)),
        Some(_) => Err(error(WRONG_TYPE)),
    }
}

/// Redis's integers: no sign but a minus, no zeros in front.
fn integer_of(text: &[u8]) -> Result<i64, Reply> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    number.filter(|number| number.to_string().as_bytes() == text).ok_or_else(|| error(NO_INTEGER))
}

fn error(text: &str) -> Reply {
    Reply::Error(text.to_owned())
}

fn integer(number: usize) -> Reply {
    Reply::Integer(number as i64)
}

fn bulk_or_nil(text: Option<&[u8]>) -> Reply {
    text.map_or(Reply::NullBulk, Reply::bulk)
}

fn scored<'a>(members: impl IntoIterator<Item = &'a (i64, Bytes)>) -> Reply {
    let members = members.into_iter();
    Reply::Array(
        members.flat_map(|(score, member)| [Reply::bulk(member), Reply::bulk(score.to_string())]).collect(),
    )
}
