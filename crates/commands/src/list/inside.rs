//! Commands that look at, or change, what is between the ends of a list.

use std::ops::Range;

use rustredis_keyspace::types::list::{End, List, Side};
use rustredis_keyspace::{EventClass, View};
use rustredis_resp::Reply;
use rustredis_resp::reply::Aggregate;

use crate::args::Args;
use crate::element;
use crate::error::{CommandError, Outcome};

pub(super) fn llen(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(view.collection::<List>(args.key(1))?.map_or(0, List::len));
    Ok(())
}

pub(super) fn lindex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match view.collection::<List>(args.key(1))? {
        Some(list) => element::bulk_or_null(reply, list.get(args.int(2)?)),
        None => reply.null(),
    }
    Ok(())
}

pub(super) fn lrange(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let Some(list) = view.collection::<List>(args.key(1))? else {
        reply.array(0);
        return Ok(());
    };
    let range = range(start, stop, list.len());
    reply.array(range.len());
    list.iter_range(range, End::Front).for_each(|found| element::bulk(reply, found));
    Ok(())
}

/// The options of LPOS.
struct Positions {
    rank: i64,
    /// How many positions to answer, in an array; 0 is all of them.
    count: Option<usize>,
    /// How many elements to look at.
    length_max: usize,
}

pub(super) fn lpos(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Positions { rank, count, length_max } = parse_lpos(args)?;
    let list = view.collection::<List>(args.key(1))?;
    let mut positions = list.into_iter().flat_map(|list| list.positions(args.get(2), rank, length_max));
    let Some(count) = count else {
        match positions.next() {
            Some(position) => reply.count(position),
            None => reply.null(),
        }
        return Ok(());
    };
    let mark = reply.mark();
    let mut found = 0;
    for position in positions.take(if count == 0 { usize::MAX } else { count }) {
        reply.count(position);
        found += 1;
    }
    reply.close(mark, Aggregate::Array, found);
    Ok(())
}

fn parse_lpos(args: Args<'_>) -> Result<Positions, CommandError> {
    let not_negative = |index, text| {
        let value = args.int(index).ok().and_then(|value| usize::try_from(value).ok());
        value.ok_or(CommandError::text(text))
    };
    let mut options = Positions { rank: 1, count: None, length_max: usize::MAX };
    let mut index = 3;
    while index < args.len() {
        let value = index + 1;
        if value == args.len() {
            return Err(CommandError::Syntax);
        }
        if args.is(index, "rank") {
            options.rank = rank(args, value)?;
        } else if args.is(index, "count") {
            options.count = Some(not_negative(value, "ERR COUNT can't be negative")?);
        } else if args.is(index, "maxlen") {
            options.length_max = match not_negative(value, "ERR MAXLEN can't be negative")? {
                0 => usize::MAX,
                length => length,
            };
        } else {
            return Err(CommandError::Syntax);
        }
        index += 2;
    }
    Ok(options)
}

fn rank(args: Args<'_>, index: usize) -> Result<i64, CommandError> {
    match args.int(index)? {
        0 => Err(CommandError::text(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to \
             start from the end of the list",
        )),
        i64::MIN => Err(CommandError::OutOfLongRange),
        rank => Ok(rank),
    }
}

pub(super) fn lset(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let list = view.collection_mut::<List>(key)?.ok_or(CommandError::NoSuchKey)?;
    if !list.set(args.int(2)?, args.get(3)) {
        return Err(CommandError::IndexOutOfRange);
    }
    view.changed(key, EventClass::LIST, "lset");
    reply.ok();
    Ok(())
}

pub(super) fn linsert(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let side = if args.is(2, "before") {
        Side::Before
    } else if args.is(2, "after") {
        Side::After
    } else {
        return Err(CommandError::Syntax);
    };
    let key = args.key(1);
    let Some(list) = view.collection_mut::<List>(key)? else {
        reply.int(0);
        return Ok(());
    };
    match list.insert(args.get(3), side, args.get(4)) {
        Some(length) => {
            view.changed(key, EventClass::LIST, "linsert");
            reply.count(length);
        }
        None => reply.int(-1),
    }
    Ok(())
}

pub(super) fn lrem(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = args.int(2)?;
    let key = args.key(1);
    let Some(list) = view.collection_mut::<List>(key)? else {
        reply.int(0);
        return Ok(());
    };
    let removed = list.remove(count, args.get(3));
    if removed > 0 {
        let is_empty = list.is_empty();
        view.changed(key, EventClass::LIST, "lrem");
        view.add_dirty(removed as u64 - 1);
        if is_empty {
            view.remove_if_empty::<List>(key);
        }
    }
    reply.count(removed);
    Ok(())
}

pub(super) fn ltrim(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let key = args.key(1);
    let Some(list) = view.collection_mut::<List>(key)? else {
        reply.ok();
        return Ok(());
    };
    let range = range(start, stop, list.len());
    let removed = list.len() - range.len();
    if removed > 0 {
        list.trim(range);
    }
    let is_empty = list.is_empty();
    // Watchers and events see a trim that removes nothing, as in Redis; the journal does not.
    view.touch(key);
    view.notify(EventClass::LIST, "ltrim", key.bytes);
    view.add_dirty(removed as u64);
    if is_empty {
        view.remove_if_empty::<List>(key);
    }
    reply.ok();
    Ok(())
}

/// The half-open range of a list of that length that a client means by two indexes, both included; negative ones count from
/// the end.
fn range(start: i64, stop: i64, length: usize) -> Range<usize> {
    let from_front = |index: i64| match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let start = from_front(start).unwrap_or(0);
    let end = from_front(stop).map_or(0, |stop| stop.saturating_add(1)).min(length);
    if start < end { start..end } else { 0..0 }
}

#[cfg(test)]
mod tests {
    use super::range;
    use crate::testing::{Harness, check};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    fn harness(elements: &str) -> Harness {
        let mut harness = Harness::new();
        let count = elements.split_whitespace().count();
        check(&mut harness, &format!("RPUSH list {elements}"), &format!(":{count}"));
        check(&mut harness, "SET string value", "+OK");
        harness
    }

    #[test]
    fn indexes_from_clients_become_ranges() {
        for (start, stop, length, expected) in [
            (0, -1, 5, 0..5),
            (1, 3, 5, 1..4),
            (-3, -2, 5, 2..4),
            (-100, 100, 5, 0..5),
            (3, 2, 5, 0..0),
            (5, 9, 5, 0..0),
            (0, -6, 5, 0..0),
            (0, 0, 0, 0..0),
            (i64::MIN, i64::MAX, 5, 0..5),
            (i64::MAX, i64::MIN, 5, 0..0),
        ] {
            assert_eq!(range(start, stop, length), expected, "{start} to {stop} of {length}");
        }
    }

    #[test]
    fn elements_are_read() {
        let mut harness = harness("a 12 -5 d");
        check(&mut harness, "LLEN list", ":4");
        check(&mut harness, "LLEN missing", ":0");
        check(&mut harness, "LINDEX list 1", "$2 12");
        check(&mut harness, "LINDEX list -1", "$1 d");
        check(&mut harness, "LINDEX list 4", "$-1");
        check(&mut harness, "LINDEX missing abc", "$-1");
        check(&mut harness, "LINDEX list abc", "-ERR value is not an integer or out of range");
        check(&mut harness, "LRANGE list 1 -2", "*2 $2 12 $2 -5");
        check(&mut harness, "LRANGE list 3 1", "*0");
        check(&mut harness, "LRANGE missing 0 -1", "*0");
        check(&mut harness, "LRANGE missing 0 abc", "-ERR value is not an integer or out of range");
        for command in ["LLEN string", "LINDEX string abc", "LRANGE string 0 1", "LPOS string a"] {
            check(&mut harness, command, WRONG_TYPE);
        }
    }

    #[test]
    fn positions_are_found() {
        let mut harness = harness("a b c 1 2 3 c c");
        check(&mut harness, "LPOS list c", ":2");
        check(&mut harness, "LPOS list c RANK 2", ":6");
        check(&mut harness, "LPOS list c RANK -1", ":7");
        check(&mut harness, "LPOS list c RANK 4", "$-1");
        check(&mut harness, "LPOS list c RANK -9223372036854775807", "$-1");
        check(&mut harness, "LPOS list c COUNT 2", "*2 :2 :6");
        check(&mut harness, "LPOS list c COUNT 0", "*3 :2 :6 :7");
        check(&mut harness, "LPOS list c RANK -1 COUNT 2", "*2 :7 :6");
        check(&mut harness, "LPOS list c MAXLEN 2", "$-1");
        check(&mut harness, "LPOS list c COUNT 0 MAXLEN 7", "*2 :2 :6");
        check(&mut harness, "LPOS list x", "$-1");
        check(&mut harness, "LPOS list x COUNT 1", "*0");
        check(&mut harness, "LPOS missing x", "$-1");
        check(&mut harness, "LPOS missing x COUNT 1", "*0");
    }

    #[test]
    fn the_options_of_lpos_are_checked() {
        let mut harness = Harness::new();
        let mut check = |options: &str, expected: &str| {
            check(&mut harness, &format!("LPOS missing a {options}"), expected)
        };
        check(
            "RANK 0",
            "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to \
             start from the end of the list",
        );
        check("RANK abc", "-ERR value is not an integer or out of range");
        check(
            "RANK -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        );
        check("COUNT -1", "-ERR COUNT can't be negative");
        check("COUNT abc", "-ERR COUNT can't be negative");
        check("MAXLEN -1", "-ERR MAXLEN can't be negative");
        check("MAXLEN", "-ERR syntax error");
        check("OTHER 1", "-ERR syntax error");
    }

    #[test]
    fn an_element_is_overwritten() {
        let mut harness = harness("a b c");
        check(&mut harness, "LSET list -1 x", "+OK");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["lset list".to_owned()], 1));
        check(&mut harness, "LSET list 3 x", "-ERR index out of range");
        check(&mut harness, "LSET list abc x", "-ERR value is not an integer or out of range");
        check(&mut harness, "LSET missing abc x", "-ERR no such key");
        check(&mut harness, "LSET string abc x", WRONG_TYPE);
        check(&mut harness, "LRANGE list 0 -1", "*3 $1 a $1 b $1 x");
    }

    #[test]
    fn an_element_goes_beside_the_pivot() {
        let mut harness = harness("a b");
        check(&mut harness, "LINSERT list BEFORE b x", ":3");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["linsert list".to_owned()], 1));
        check(&mut harness, "LINSERT list after b y", ":4");
        check(&mut harness, "LINSERT list after z y", ":-1");
        assert_eq!(harness.effects.dirty, 0);
        check(&mut harness, "LINSERT missing after z y", ":0");
        check(&mut harness, "LINSERT missing beside z y", "-ERR syntax error");
        check(&mut harness, "LINSERT string before z y", WRONG_TYPE);
        check(&mut harness, "LRANGE list 0 -1", "*4 $1 a $1 x $1 b $1 y");
    }

    #[test]
    fn equal_elements_are_removed() {
        let mut harness = harness("a x b x c x");
        check(&mut harness, "LREM list -1 x", ":1");
        check(&mut harness, "LREM list 1 x", ":1");
        check(&mut harness, "LRANGE list 0 -1", "*4 $1 a $1 b $1 x $1 c");
        check(&mut harness, "LREM list 0 z", ":0");
        assert_eq!((harness.events(), harness.effects.dirty), (vec![], 0));
        check(&mut harness, "LREM missing abc z", "-ERR value is not an integer or out of range");
        check(&mut harness, "LREM string 0 z", WRONG_TYPE);
        check(&mut harness, "RPUSH same 1 1 1", ":3");
        check(&mut harness, "LREM same 0 1", ":3");
        assert_eq!(
            (harness.events(), harness.effects.dirty),
            (vec!["lrem same".to_owned(), "del same".to_owned()], 3)
        );
    }

    #[test]
    fn a_list_is_trimmed() {
        let mut harness = harness("a b c d e");
        check(&mut harness, "LTRIM list 1 -2", "+OK");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["ltrim list".to_owned()], 2));
        check(&mut harness, "LRANGE list 0 -1", "*3 $1 b $1 c $1 d");
        check(&mut harness, "LTRIM list 0 -1", "+OK");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["ltrim list".to_owned()], 0));
        check(&mut harness, "LTRIM list 5 9", "+OK");
        assert_eq!(
            (harness.events(), harness.effects.dirty),
            (vec!["ltrim list".to_owned(), "del list".to_owned()], 3)
        );
        check(&mut harness, "LTRIM missing 0 1", "+OK");
        check(&mut harness, "LTRIM missing a 1", "-ERR value is not an integer or out of range");
        check(&mut harness, "LTRIM string 0 1", WRONG_TYPE);
    }
}
