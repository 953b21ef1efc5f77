//! Sorted sets: taking the first or last members, and waiting for them.
//!
//! A blocking command is tried, and if it finds nothing it asks to be blocked; the very same function runs again when a key
//! is ready, with that key as the only one that its plan names. What is journalled is the ZPOPMIN or ZPOPMAX that happened.

use rustredis_keyspace::types::listpack::Element;
use rustredis_keyspace::types::zset::{Order, ZSet};
use rustredis_keyspace::{BlockRequest, Key, Kind, View};
use rustredis_resp::Reply;

use super::{Shown, removed, reply_entries_head, reply_entry};
use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::element;
use crate::error::{CommandError, Outcome};

const TAKE: KeyFlags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE);
const TAKE_ONE: &[KeySpec] = &[KeySpec::one(TAKE, 1)];
const TAKE_ALL_BUT_LAST: &[KeySpec] = &[KeySpec::range(TAKE, 1, -2, 1)];

const WAITING_FAST: Flags = Flags::WRITE.with(Flags::NOSCRIPT).with(Flags::BLOCKING).with(Flags::FAST);
const COMPLEXITY_MANY: &str = "O(K) + O(M*log(N)), where K is the number of keys, N the size of the sorted set and M the number of members popped";

/// The rows of this file.
pub const ROWS: &[Command] = &[
    Command::new("zpopmin", -2, Flags::WRITE.with(Flags::FAST), zpopmin)
        .keys(TAKE_ONE)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "5.0.0",
            "O(log(N)*M), where N is the size of the sorted set and M the number of members popped",
            "key [count]",
            "Takes the members with the lowest scores out of a sorted set.",
        ),
    Command::new("zpopmax", -2, Flags::WRITE.with(Flags::FAST), zpopmax)
        .keys(TAKE_ONE)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "5.0.0",
            "O(log(N)*M), where N is the size of the sorted set and M the number of members popped",
            "key [count]",
            "Takes the members with the highest scores out of a sorted set.",
        ),
    Command::new("zmpop", -4, Flags::WRITE.with(Flags::MOVABLEKEYS), zmpop)
        .keys(&[KeySpec::counted(TAKE, 1)])
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "7.0.0",
            COMPLEXITY_MANY,
            "numkeys key [key ...] <MIN | MAX> [COUNT count]",
            "Takes the first or last members out of the first sorted set that has any.",
        ),
    Command::new("bzpopmin", -3, WAITING_FAST, bzpopmin)
        .keys(TAKE_ALL_BUT_LAST)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "5.0.0",
            "O(log(N)), where N is the size of the sorted set",
            "key [key ...] timeout",
            "Takes the member with the lowest score out of the first sorted set that has any, or waits for one.",
        ),
    Command::new("bzpopmax", -3, WAITING_FAST, bzpopmax)
        .keys(TAKE_ALL_BUT_LAST)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "5.0.0",
            "O(log(N)), where N is the size of the sorted set",
            "key [key ...] timeout",
            "Takes the member with the highest score out of the first sorted set that has any, or waits for one.",
        ),
    Command::new("bzmpop", -5, Flags::WRITE.with(Flags::BLOCKING).with(Flags::MOVABLEKEYS), bzmpop)
        .keys(&[KeySpec::counted(TAKE, 2)])
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "7.0.0",
            COMPLEXITY_MANY,
            "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
            "Takes the first or last members out of the first sorted set that has any, or waits for one.",
        ),
];

/// How what was popped is replied.
#[derive(Clone, Copy)]
enum Form {
    /// Member and score.
    One,
    /// Entries with their scores.
    Many,
    /// Key, member and score.
    KeyAndOne,
    /// The key and an array of pairs, in RESP2 too.
    KeyAndMany,
}

impl Form {
    fn head(self, reply: &mut Reply<'_>, key: Key<'_>, count: usize) {
        match self {
            Self::One => reply.array(2 * count),
            Self::Many => reply_entries_head(reply, count, Shown::WithScores),
            Self::KeyAndOne => {
                reply.array(3);
                reply.bulk(key.bytes);
            }
            Self::KeyAndMany => {
                reply.array(2);
                reply.bulk(key.bytes);
                reply.array(count);
            }
        }
    }

    fn entry(self, reply: &mut Reply<'_>, member: Element<'_>, score: f64) {
        match self {
            Self::Many => return reply_entry(reply, member, score, Shown::WithScores),
            Self::KeyAndMany => reply.array(2),
            Self::One | Self::KeyAndOne => {}
        }
        element::bulk(reply, member);
        reply.double(score);
    }
}

fn command_of(order: Order) -> (&'static str, &'static str) {
    match order {
        Order::Ascending => ("ZPOPMIN", "zpopmin"),
        Order::Descending => ("ZPOPMAX", "zpopmax"),
    }
}

/// Takes up to `count` members from that end, replies and reports them; how many, or `None` without a reply if the key is
/// not there.
fn pop(
    view: &mut View<'_>,
    key: Key<'_>,
    order: Order,
    count: usize,
    form: Form,
    reply: &mut Reply<'_>,
) -> Result<Option<usize>, CommandError> {
    let Some(zset) = view.collection_mut::<ZSet>(key)? else { return Ok(None) };
    let count = count.min(zset.len());
    form.head(reply, key, count);
    zset.pop(order, count, |member, score| form.entry(reply, member, score));
    let (_, event) = command_of(order);
    removed(view, key, event, count);
    Ok(Some(count))
}

/// Pops from the first of the command's keys that is there; `None` without a reply if none is.
fn pop_first(
    view: &mut View<'_>,
    args: Args<'_>,
    order: Order,
    count: Option<usize>,
    reply: &mut Reply<'_>,
) -> Result<Option<()>, CommandError> {
    for key in args.keys() {
        let form = if count.is_some() { Form::KeyAndMany } else { Form::KeyAndOne };
        if let Some(popped) = pop(view, key, order, count.unwrap_or(1), form, reply)? {
            let (command, _) = command_of(order);
            let mut words = vec![command.as_bytes().to_vec(), key.bytes.to_vec()];
            if count.is_some() {
                words.push(popped.to_string().into_bytes());
            }
            view.journal_instead(vec![words]);
            return Ok(Some(()));
        }
    }
    Ok(None)
}

fn zpopmin(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_one_key(view, args, Order::Ascending, reply)
}

fn zpopmax(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_one_key(view, args, Order::Descending, reply)
}

fn pop_one_key(view: &mut View<'_>, args: Args<'_>, order: Order, reply: &mut Reply<'_>) -> Outcome {
    let (count, form) = match args.len() {
        2 => (1, Form::One),
        3 => {
            let count = args.int(2).ok().and_then(|count| usize::try_from(count).ok());
            let count = count.ok_or(CommandError::NotPositive)?;
            (count, Form::Many)
        }
        _ => return Err(CommandError::Syntax),
    };
    if pop(view, args.key(1), order, count, form, reply)?.is_none() {
        reply.array(0);
    }
    Ok(())
}

fn bzpopmin(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_or_wait(view, args, Order::Ascending, reply)
}

fn bzpopmax(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_or_wait(view, args, Order::Descending, reply)
}

fn pop_or_wait(view: &mut View<'_>, args: Args<'_>, order: Order, reply: &mut Reply<'_>) -> Outcome {
    let until_ms = args.until_ms(args.len() - 1, view.now_ms())?;
    if pop_first(view, args, order, None, reply)?.is_none() {
        wait(view, until_ms);
    }
    Ok(())
}

fn wait(view: &mut View<'_>, until_ms: u64) {
    view.block(BlockRequest::new(until_ms, Kind::ZSet));
}

fn zmpop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (order, count) = parse_many(args, 1)?;
    if pop_first(view, args, order, Some(count), reply)?.is_none() {
        reply.null_array();
    }
    Ok(())
}

fn bzmpop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (order, count) = parse_many(args, 2)?;
    let until_ms = args.until_ms(1, view.now_ms())?;
    if pop_first(view, args, order, Some(count), reply)?.is_none() {
        wait(view, until_ms);
    }
    Ok(())
}

/// Which end, and how many, from `numkeys` on.
fn parse_many(args: Args<'_>, numkeys: usize) -> Result<(Order, usize), CommandError> {
    let positive = |index| args.int(index).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let keys = positive(numkeys).ok_or(CommandError::NumKeys)?;
    let end = numkeys.saturating_add(keys).saturating_add(1);
    let order = match () {
        () if args.is(end, "min") => Order::Ascending,
        () if args.is(end, "max") => Order::Descending,
        () => return Err(CommandError::Syntax),
    };
    match args.len() - end {
        1 => Ok((order, 1)),
        given @ 3.. if args.is(end + 1, "count") => {
            let count = positive(end + 2).ok_or(CommandError::text("ERR count should be greater than 0"))?;
            if given == 3 { Ok((order, count)) } else { Err(CommandError::Syntax) }
        }
        _ => Err(CommandError::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use rustredis_resp::Proto;

    use crate::testing::{Harness, check};

    #[test]
    fn members_are_popped_from_either_end() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZPOPMIN z", "*0");
        check(h, "ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", ":6");
        check(h, "ZPOPMIN z", "*2 $1 a $1 1");
        check(h, "ZPOPMAX z 2", "*4 $1 f $1 6 $1 e $1 5");
        assert_eq!((h.events(), h.effects.dirty), (vec!["zpopmax z".to_owned()], 2));
        check(h, "ZPOPMAX z 0", "*0");
        assert_eq!((h.events().len(), h.effects.dirty), (0, 0));
        check(h, "ZPOPMAX z -1", "-ERR value is out of range, must be positive");
        check(h, "ZPOPMAX z x", "-ERR value is out of range, must be positive");
        check(h, "ZPOPMAX z 1 2", "-ERR syntax error");
        h.proto = Proto::Resp3;
        check(h, "ZPOPMIN z", "*2 $1 b ,2");
        check(h, "ZPOPMIN z 10", "*2 *2 $1 c ,3 *2 $1 d ,4");
        assert_eq!(h.events(), ["zpopmin z", "del z"]);
    }

    #[test]
    fn the_first_key_that_is_there_is_popped_from() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZMPOP 2 y z MIN", "*-1");
        check(h, "ZADD z 1 a 2 b 3 c", ":3");
        check(h, "ZMPOP 2 y z MAX COUNT 2", "*2 $1 z *2 *2 $1 c $1 3 *2 $1 b $1 2");
        assert_eq!(h.journal(), "ZPOPMAX z 2");
        check(h, "BZMPOP 0 2 y z MIN COUNT 9", "*2 $1 z *1 *2 $1 a $1 1");
        assert_eq!(
            (h.journal().as_str(), h.events()),
            ("ZPOPMIN z 1", vec!["zpopmin z".into(), "del z".into()])
        );
        check(h, "ZMPOP 0 z MIN", "-ERR numkeys should be greater than 0");
        check(h, "ZMPOP 9223372036854775807 z MIN", "-ERR syntax error");
        check(h, "ZMPOP 1 z MIN COUNT 0", "-ERR count should be greater than 0");
        check(h, "ZMPOP 1 z MIN COUNT 1 COUNT 1", "-ERR syntax error");
        check(h, "ZMPOP 1 z MINMAX", "-ERR syntax error");
        check(h, "BZMPOP -1 1 z MIN", "-ERR timeout is negative");
    }

    #[test]
    fn who_finds_nothing_waits() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "BZPOPMIN y z 0.5", "(blocked)");
        assert_eq!(h.effects.block.as_ref().map(|block| block.until_ms), Some(h.now_ms + 500));
        check(h, "BZMPOP 0 1 z MIN", "(blocked)");
        check(h, "ZADD z 1 a 2 b", ":2");
        check(h, "BZPOPMAX y z 1", "*3 $1 z $1 b $1 2");
        assert_eq!(h.journal(), "ZPOPMAX z");
        check(h, "BZPOPMIN z -1", "-ERR timeout is negative");
        check(h, "BZPOPMIN z x", "-ERR timeout is not a float or out of range");
        check(h, "SET s x", "+OK");
        check(h, "BZPOPMIN s z 0", "-WRONGTYPE Operation against a key holding the wrong kind of value");
        h.proto = Proto::Resp3;
        check(h, "BZPOPMIN z 0", "*3 $1 z $1 a ,1");
    }
}
