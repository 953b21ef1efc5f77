//! Histories made by hand, for each kind of operation one that has an order and one that has none.

use std::sync::Arc;

use super::super::call::{Bytes, Call, Key};
use super::super::history::NEVER;
use super::*;
use crate::Reply;

const COUNT: Key = 0;
const TEXT: Key = 1;
const LIST: Key = 2;
const QUEUE: Key = 3;
const ZSET: Key = 4;
const HASH: Key = 9;
const BUDGET: u64 = 100_000;
const MS: u64 = 1_000_000;

fn bytes(text: &str) -> Bytes {
    Arc::from(text.as_bytes())
}

fn bulk(text: &str) -> Reply {
    Reply::bulk(text)
}

fn bulks(texts: &[&str]) -> Reply {
    Reply::Array(texts.iter().map(|text| bulk(text)).collect())
}

fn int(number: i64) -> Reply {
    Reply::Integer(number)
}

fn ok() -> Reply {
    Reply::ok()
}

const NIL: Reply = Reply::NullBulk;

fn set(key: Key, value: &str) -> Call {
    Call::Set(key, bytes(value))
}

fn push(key: Key, value: &str) -> Call {
    Call::Push(key, vec![bytes(value)])
}

/// An operation: its lane, the moments of its invocation and its answer, what was sent and what was answered.
fn op(lane: usize, invoked: u64, answered: u64, call: Call, reply: Reply) -> Operation {
    let keys = call.keys();
    Operation { lane, client: lane, call, keys, invoked, answered, reply: Some(reply), is_certain: true }
}

/// One whose client hung up.
fn lost(lane: usize, invoked: u64, call: Call) -> Operation {
    Operation { answered: NEVER, reply: None, is_certain: false, ..op(lane, invoked, NEVER, call, NIL) }
}

/// One that was not answered when the power failed.
fn cut(lane: usize, invoked: u64, at: u64, call: Call) -> Operation {
    Operation { answered: at, ..lost(lane, invoked, call) }
}

fn verdict(operations: Vec<Operation>) -> Verdict {
    let whole = History { operations };
    let checked = check(&whole, BUDGET).verdict;
    // Parts are searched alone, which changes nothing.
    let has_failed = whole.parts().iter().any(|part| check(part, BUDGET).verdict != Verdict::Linearizable);
    assert_eq!(has_failed, checked != Verdict::Linearizable);
    checked
}

#[track_caller]
fn holds(operations: Vec<Operation>) {
    assert_eq!(verdict(operations), Verdict::Linearizable);
}

#[track_caller]
fn fails_at(number: usize, operations: Vec<Operation>) {
    assert_eq!(verdict(operations), Verdict::Violated(number));
}

#[track_caller]
fn fails(operations: Vec<Operation>) {
    assert!(matches!(verdict(operations), Verdict::Violated(_)));
}

#[test]
fn a_read_sees_what_was_answered_before_it() {
    holds(vec![op(0, 0, 10, set(TEXT, "a"), ok()), op(1, 20, 30, Call::Get(TEXT), bulk("a"))]);
    fails_at(1, vec![op(0, 0, 10, set(TEXT, "a"), ok()), op(1, 20, 30, Call::Get(TEXT), NIL)]);
    // While it is under way both may be.
    for seen in [bulk("a"), NIL] {
        holds(vec![op(0, 0, 30, set(TEXT, "a"), ok()), op(1, 10, 20, Call::Get(TEXT), seen)]);
    }
}

#[test]
fn what_was_seen_stays_seen() {
    let reads = |first: Reply, second: Reply| {
        vec![
            op(0, 0, 50, set(TEXT, "a"), ok()),
            op(1, 10, 20, Call::Get(TEXT), first),
            op(2, 30, 40, Call::Get(TEXT), second),
        ]
    };
    holds(reads(NIL, bulk("a")));
    holds(reads(bulk("a"), bulk("a")));
    fails_at(2, reads(bulk("a"), NIL));
}

#[test]
fn blind_writes_are_put_in_the_order_that_was_read() {
    let written = |last: &str| {
        let mut operations: Vec<Operation> =
            (0..6).map(|lane| op(lane, lane as u64, 100, set(TEXT, &format!("v{lane}")), ok())).collect();
        for (number, value) in ["v4", "v1", "v3", "v0", last].iter().enumerate() {
            let at = 10 + 10 * number as u64;
            operations.push(op(7, at, at + 5, Call::Get(TEXT), bulk(value)));
        }
        operations
    };
    holds(written("v5"));
    fails(written("v4"));
}

#[test]
fn counters_count_each_once() {
    let counted = |second: i64| {
        vec![op(0, 0, 10, Call::Incr(COUNT), int(1)), op(1, 5, 15, Call::Incr(COUNT), int(second))]
    };
    holds(counted(2));
    fails(counted(1));
    holds(vec![
        op(0, 0, 10, set(COUNT, "x"), ok()),
        op(0, 20, 30, Call::Incr(COUNT), Reply::Error("ERR value is not an integer or out of range".into())),
    ]);
    fails(vec![op(0, 0, 10, set(COUNT, "7"), ok()), op(0, 20, 30, Call::Incr(COUNT), int(1))]);
}

#[test]
fn strings() {
    let append = |text: &str| Call::Append(TEXT, bytes(text));
    let appended = |whole: &str| {
        vec![
            op(0, 0, 10, append("ab"), int(5)),
            op(1, 0, 10, append("cde"), int(3)),
            op(1, 20, 30, Call::Get(TEXT), bulk(whole)),
            op(1, 20, 30, Call::Strlen(TEXT), int(5)),
        ]
    };
    holds(appended("cdeab"));
    fails(appended("abcde"));
    let new = |second: Reply| {
        vec![
            op(0, 0, 9, Call::SetNew(TEXT, bytes("a")), ok()),
            op(1, 0, 9, Call::SetNew(TEXT, bytes("b")), second),
        ]
    };
    holds(new(NIL));
    fails(new(ok()));
    let get = |second: Reply| {
        vec![
            op(0, 0, 9, Call::SetGet(TEXT, bytes("a")), NIL),
            op(1, 0, 9, Call::SetGet(TEXT, bytes("b")), second),
        ]
    };
    holds(get(bulk("a")));
    fails(get(NIL));
    fails(get(bulk("b")));
}

#[test]
fn several_keys_are_written_and_read_at_once() {
    let pairs = vec![(TEXT, bytes("a")), (COUNT, bytes("1"))];
    let read = |replies: [Reply; 2]| {
        vec![
            op(0, 0, 30, Call::Mset(pairs.clone()), ok()),
            op(1, 10, 20, Call::Mget(vec![TEXT, COUNT]), Reply::Array(replies.to_vec())),
        ]
    };
    holds(read([bulk("a"), bulk("1")]));
    holds(read([NIL, NIL]));
    fails(read([bulk("a"), NIL]));
    fails(read([NIL, bulk("1")]));
    let deleted = |count: i64, seen: i64| {
        vec![
            op(0, 0, 5, Call::Mset(pairs.clone()), ok()),
            op(0, 10, 40, Call::Del(vec![TEXT, COUNT]), int(count)),
            op(1, 20, 30, Call::Exists(vec![TEXT, COUNT]), int(seen)),
        ]
    };
    holds(deleted(2, 0));
    holds(deleted(2, 2));
    fails(deleted(2, 1));
    fails(deleted(1, 2));
}

#[test]
fn a_renamed_key_is_never_at_both_places() {
    let renamed = |seen: i64| {
        vec![
            op(0, 0, 5, set(TEXT, "a"), ok()),
            op(0, 10, 40, Call::Rename(TEXT, COUNT), ok()),
            op(1, 20, 30, Call::Exists(vec![TEXT, COUNT]), int(seen)),
        ]
    };
    holds(renamed(1));
    fails(renamed(0));
    fails(renamed(2));
    holds(vec![op(0, 0, 5, Call::Rename(TEXT, COUNT), Reply::Error("ERR no such key".into()))]);
}

#[test]
fn an_element_is_popped_once() {
    let popped = |second: Reply| {
        vec![
            op(0, 0, 5, push(LIST, "a"), int(1)),
            op(0, 10, 20, Call::Pop(LIST), bulk("a")),
            op(1, 10, 20, Call::Pop(LIST), second),
        ]
    };
    holds(popped(NIL));
    fails(popped(bulk("a")));
    holds(vec![
        op(0, 0, 5, Call::Push(LIST, vec![bytes("a"), bytes("b")]), int(2)),
        op(1, 10, 20, Call::Range(LIST), bulks(&["b", "a"])),
    ]);
    fails(vec![
        op(0, 0, 5, Call::Push(LIST, vec![bytes("a"), bytes("b")]), int(2)),
        op(1, 10, 20, Call::Range(LIST), bulks(&["a", "b"])),
    ]);
}

#[test]
fn a_moved_element_is_in_one_list() {
    let moved = |seen: Reply| {
        vec![
            op(0, 0, 5, push(LIST, "a"), int(1)),
            op(0, 10, 40, Call::Move(LIST, QUEUE), bulk("a")),
            op(1, 20, 30, Call::Exec(vec![Call::Range(LIST), Call::Range(QUEUE)], vec![]), seen),
        ]
    };
    holds(moved(Reply::Array(vec![bulks(&["a"]), bulks(&[])])));
    holds(moved(Reply::Array(vec![bulks(&[]), bulks(&["a"])])));
    fails(moved(Reply::Array(vec![bulks(&[]), bulks(&[])])));
    fails(moved(Reply::Array(vec![bulks(&["a"]), bulks(&["a"])])));
}

#[test]
fn a_blocked_client_takes_what_was_pushed_while_it_waited() {
    let wait = || Call::BlockingPop(vec![LIST, QUEUE], 100);
    let served = |reply: Reply, left: Reply| {
        vec![
            op(0, 0, 40, wait(), reply),
            op(1, 10, 20, push(QUEUE, "a"), int(1)),
            op(1, 50, 60, Call::Range(QUEUE), left),
        ]
    };
    holds(served(bulks(&["a:queue", "a"]), bulks(&[])));
    fails(served(bulks(&["a:queue", "a"]), bulks(&["a"])));
    fails(served(bulks(&["a:list", "a"]), bulks(&[])));
    holds(served(Reply::NullArray, bulks(&["a"])));
    // It cannot have found nothing, for something was there all the time.
    fails(vec![op(1, 0, 5, push(QUEUE, "a"), int(1)), op(0, 10, 40, wait(), Reply::NullArray)]);
    // One element, and two who had it.
    fails(vec![
        op(0, 0, 40, wait(), bulks(&["a:queue", "a"])),
        op(2, 0, 40, wait(), bulks(&["a:queue", "a"])),
        op(1, 10, 20, push(QUEUE, "a"), int(1)),
    ]);
}

#[test]
fn sorted_sets_and_hashes() {
    let add = |score: i64, member: &str| Call::ZAdd(ZSET, score, bytes(member));
    let popped = |first: Reply, second: Reply| {
        vec![
            op(0, 0, 5, add(2, "b"), int(1)),
            op(0, 6, 9, add(1, "a"), int(1)),
            op(0, 10, 20, Call::ZPopMin(ZSET), first),
            op(1, 10, 20, Call::ZPopMin(ZSET), second),
        ]
    };
    holds(popped(bulks(&["b", "2"]), bulks(&["a", "1"])));
    fails(popped(bulks(&["a", "1"]), bulks(&["a", "1"])));
    fails(popped(bulks(&["a", "1"]), bulks(&[])));
    holds(vec![
        op(0, 0, 5, add(2, "b"), int(1)),
        op(0, 6, 9, add(3, "b"), int(0)),
        op(0, 10, 11, Call::ZRange(ZSET), bulks(&["b", "3"])),
    ]);
    let by = |number: i64| Call::HIncrBy(HASH, bytes("f"), number);
    let summed = |second: i64, read: Reply| {
        vec![
            op(0, 0, 10, by(2), int(2)),
            op(1, 0, 10, by(3), int(second)),
            op(1, 20, 30, Call::HGet(HASH, bytes("f")), read.clone()),
            op(1, 20, 30, Call::HGetAll(HASH), Reply::Array(vec![bulk("f"), read])),
        ]
    };
    holds(summed(5, bulk("5")));
    fails(summed(3, bulk("5")));
    fails(summed(5, bulk("3")));
}

#[test]
fn another_type_is_an_error() {
    let wrong = || Reply::Error("WRONGTYPE Operation against a key holding the wrong kind of value".into());
    let pushed =
        |reply: Reply| vec![op(0, 0, 5, set(LIST, "a"), ok()), op(1, 10, 20, push(LIST, "b"), reply)];
    holds(pushed(wrong()));
    fails(pushed(int(1)));
    fails(vec![op(1, 10, 20, push(LIST, "b"), wrong())]);
}

#[test]
fn a_transaction_is_one_step() {
    let exec = |watched: Vec<Key>| Call::Exec(vec![Call::Incr(COUNT), Call::Incr(COUNT)], watched);
    let read = |seen: &str| {
        vec![
            op(0, 0, 30, exec(vec![]), Reply::Array(vec![int(1), int(2)])),
            op(1, 10, 20, Call::Get(COUNT), bulk(seen)),
        ]
    };
    holds(read("2"));
    fails(read("1"));
    fails(vec![
        op(0, 0, 30, exec(vec![]), Reply::Array(vec![int(1), int(3)])),
        op(1, 10, 20, Call::Incr(COUNT), int(2)),
    ]);
}

#[test]
fn a_watched_key_that_was_written_ends_the_transaction() {
    let exec = || Call::Exec(vec![Call::Incr(COUNT)], vec![TEXT]);
    let watched = |write: (u64, u64), reply: Reply| {
        vec![
            op(0, 10, 15, Call::Watch(vec![TEXT]), ok()),
            op(1, write.0, write.1, set(TEXT, "a"), ok()),
            op(0, 30, 40, exec(), reply),
        ]
    };
    let ran = || Reply::Array(vec![int(1)]);
    holds(watched((20, 25), Reply::NullArray));
    fails(watched((20, 25), ran()));
    holds(watched((0, 5), ran()));
    fails(watched((0, 5), Reply::NullArray));
    // Both may be as long as nobody knows.
    holds(watched((12, 50), ran()));
    holds(watched((12, 50), Reply::NullArray));
    // What the watch has ended once is over.
    let again = |reply: Reply| {
        let mut operations = watched((20, 25), Reply::NullArray);
        operations.push(op(0, 50, 60, Call::Exec(vec![Call::Incr(COUNT)], vec![]), reply));
        operations
    };
    holds(again(ran()));
    fails(again(Reply::NullArray));
}

#[test]
fn a_flush_takes_all_keys_at_once() {
    let flushed = |seen: [Reply; 2]| {
        vec![
            op(0, 0, 5, Call::Mset(vec![(TEXT, bytes("a")), (COUNT, bytes("1"))]), ok()),
            op(0, 10, 40, Call::Flush, ok()),
            op(1, 20, 30, Call::Mget(vec![TEXT, COUNT]), Reply::Array(seen.to_vec())),
        ]
    };
    holds(flushed([bulk("a"), bulk("1")]));
    holds(flushed([NIL, NIL]));
    fails(flushed([NIL, bulk("1")]));
}

/// A flush that would change nothing now may be needed later.
#[test]
fn a_write_that_changes_nothing_may_have_come_later() {
    let flushes = |second: i64| {
        vec![
            op(0, 0, 60, Call::Flush, ok()),
            op(1, 10, 20, Call::Incr(COUNT), int(1)),
            op(2, 30, 40, Call::Incr(COUNT), int(second)),
            op(3, 70, 80, Call::Get(COUNT), bulk(&second.to_string())),
        ]
    };
    holds(flushes(1));
    holds(flushes(2));
    fails(flushes(3));
    let add = |score: i64| Call::ZAdd(ZSET, score, bytes("a"));
    holds(vec![
        op(0, 0, 5, add(1), int(1)),
        op(0, 10, 50, add(1), int(0)),
        op(1, 20, 30, add(2), int(0)),
        op(1, 60, 70, Call::ZRange(ZSET), bulks(&["a", "1"])),
    ]);
}

#[test]
fn a_key_is_there_until_its_time_and_gone_behind_it() {
    let expired = |reads: Vec<Operation>| {
        let mut operations = vec![
            op(0, 0, MS, set(TEXT, "a"), ok()),
            // Its deadline lies between 12 and 13 ms, or 2 ms beside: so far may clocks be apart.
            op(0, 2 * MS, 3 * MS, Call::Expire(TEXT, 10), int(1)),
        ];
        operations.extend(reads);
        operations
    };
    let read = |at: u64, reply: Reply| op(1, at * MS, (at + 1) * MS, Call::Get(TEXT), reply);
    holds(expired(vec![read(5, bulk("a")), read(11, bulk("a")), read(12, bulk("a")), read(16, NIL)]));
    holds(expired(vec![read(12, NIL)]));
    fails(expired(vec![read(5, NIL)]));
    fails(expired(vec![read(16, bulk("a"))]));
    // Who has seen it gone has seen the last of it.
    fails_at(3, expired(vec![read(11, NIL), read(13, bulk("a"))]));
    // So a read may have to come before another one.
    let mut late = expired(vec![
        op(1, 11 * MS, 16 * MS, set(COUNT, "1"), ok()),
        op(1, 11 * MS, 16 * MS, Call::Get(TEXT), bulk("a")),
    ]);
    late.push(read(13, NIL));
    holds(late);
    // A write takes the time away.
    let mut written = expired(vec![read(20, bulk("b"))]);
    written.push(op(2, 5 * MS, 6 * MS, set(TEXT, "b"), ok()));
    holds(written);
    // It is a change to who watches.
    let watched = |reply: Reply| {
        expired(vec![
            op(1, 4 * MS, 5 * MS, Call::Watch(vec![TEXT]), ok()),
            op(1, 20 * MS, 21 * MS, Call::Exec(vec![], vec![TEXT]), reply),
        ])
    };
    holds(watched(Reply::NullArray));
    fails(watched(Reply::Array(vec![])));
}

#[test]
fn what_a_client_sent_before_it_hung_up_may_come_at_any_time_or_never() {
    let hung_up = |reads: &[&str]| {
        let mut operations = vec![op(0, 0, 5, set(TEXT, "a"), ok()), lost(1, 10, set(TEXT, "b"))];
        for (number, value) in reads.iter().enumerate() {
            let at = 20 + 10 * number as u64;
            operations.push(op(2, at, at + 5, Call::Get(TEXT), bulk(value)));
        }
        operations
    };
    holds(hung_up(&["a", "a", "a"]));
    holds(hung_up(&["a", "a", "b"]));
    holds(hung_up(&["b", "b"]));
    fails(hung_up(&["b", "a"]));
    // In their order, those that come to nothing too.
    let several = |calls: [Call; 2], read: &str| {
        let [first, second] = calls;
        vec![lost(1, 0, first), lost(1, 0, second), op(2, 20, 30, Call::Get(TEXT), bulk(read))]
    };
    holds(several([Call::Pop(LIST), set(TEXT, "b")], "b"));
    holds(several([Call::BlockingPop(vec![LIST], 1), set(TEXT, "b")], "b"));
    fails(several([set(TEXT, "b"), Call::Append(TEXT, bytes("c"))], "c"));
    // It may have taken an element with it, but not two.
    let popped = |lengths: [i64; 2]| {
        vec![
            lost(0, 0, Call::BlockingPop(vec![LIST], 100)),
            op(1, 10, 20, push(LIST, "a"), int(1)),
            op(1, 30, 40, push(LIST, "b"), int(lengths[0])),
            op(1, 50, 60, push(LIST, "c"), int(lengths[1])),
        ]
    };
    holds(popped([2, 3]));
    holds(popped([1, 2]));
    holds(popped([2, 2]));
    fails(popped([1, 1]));
}

#[test]
fn a_power_cut_keeps_what_was_answered_or_shown() {
    // At 50 the power fails.
    let read = |value: &str| op(2, 60, 65, Call::Get(TEXT), bulk(value));
    let first = || op(0, 0, 5, set(TEXT, "a"), ok());
    let second = || cut(1, 10, 50, set(TEXT, "b"));
    holds(vec![first(), second(), read("a")]);
    holds(vec![first(), second(), read("b")]);
    // What was answered is there.
    fails(vec![first(), op(1, 10, 20, set(TEXT, "b"), ok()), read("a")]);
    // So is what was only read by another one.
    fails(vec![first(), second(), op(3, 20, 30, Call::Get(TEXT), bulk("b")), read("a")]);
    // What a client sent at once came in its order, whatever was read behind the cut of what came to nothing.
    holds(vec![
        cut(1, 10, 50, Call::Pop(LIST)),
        cut(1, 10, 50, set(TEXT, "b")),
        op(2, 60, 65, Call::Range(LIST), bulks(&[])),
        op(2, 70, 75, Call::Mget(vec![COUNT, QUEUE]), Reply::Array(vec![NIL, NIL])),
        op(2, 80, 85, Call::Get(TEXT), bulk("b")),
    ]);
    // And nothing comes of it later.
    fails(vec![first(), second(), read("a"), op(2, 70, 75, Call::Get(TEXT), bulk("b"))]);
}

#[test]
fn a_pipeline_keeps_its_order_and_others_come_between() {
    let pipeline = |read: &str| {
        vec![
            op(0, 0, 50, set(TEXT, "a"), ok()),
            op(0, 0, 50, Call::Get(TEXT), bulk(read)),
            op(1, 0, 50, set(TEXT, "b"), ok()),
        ]
    };
    holds(pipeline("a"));
    holds(pipeline("b"));
    let order = |seen: [Reply; 2]| {
        vec![
            op(0, 0, 50, set(TEXT, "a"), ok()),
            op(0, 0, 50, Call::Incr(COUNT), int(1)),
            op(1, 10, 20, Call::Mget(vec![TEXT, COUNT]), Reply::Array(seen.to_vec())),
        ]
    };
    holds(order([bulk("a"), NIL]));
    fails(order([NIL, bulk("1")]));
}

#[test]
fn a_search_ends_with_its_budget() {
    let operations: Vec<Operation> =
        (0..7).map(|lane| op(lane, 0, 100, set(TEXT, &format!("v{lane}")), ok())).collect();
    let mut history = History { operations };
    history.operations.push(op(13, 110, 120, Call::Get(TEXT), bulk("nobody's")));
    assert_eq!(check(&history, 20).verdict, Verdict::Undecided);
    assert_eq!(check(&history, BUDGET).verdict, Verdict::Violated(7));
}

/// Choices about one key are not tried again because of a failure of another one.
#[test]
fn a_failure_of_one_key_leaves_the_others_alone() {
    let mut operations = Vec::new();
    for key in 0..10 {
        for lane in 0..4 {
            let lane = usize::from(key) * 4 + lane;
            operations.push(op(lane, 0, 100 + lane as u64, set(key, &format!("v{lane}")), ok()));
        }
        // One key for all, so that they are one part.
        let value = format!("v{}", usize::from(key) * 4);
        operations.push(op(50, 200, 210, Call::Mget(vec![key, 15]), Reply::Array(vec![bulk(&value), NIL])));
    }
    holds(operations.clone());
    operations.push(op(50, 300, 310, Call::Get(0), bulk("v1")));
    fails(operations.clone());
    let checked = check(&History { operations }, BUDGET);
    assert!(checked.steps < 5_000, "{checked:?}");
}
