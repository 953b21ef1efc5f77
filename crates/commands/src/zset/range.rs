//! Sorted sets: reading a range.
//!
//! ZRANGE can say everything; its eight older relatives each fix some of what it says. So all are one function,
//! [`Query::parse`], which is told what the command's name has decided already, and refuses the words for it.

use rustredis_keyspace::View;
use rustredis_keyspace::types::zset::{Builder, Iter, Order, ZSet, window};
use rustredis_resp::Reply;

use super::{Interval, READ, SCORES, STORE_AND_READ, Shown, Unit, reply_entries, store};
use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group};
use crate::error::{CommandError, Outcome};
use crate::syntax::ArgumentKind;

const COMPLEXITY: &str =
    "O(log(N)+M), where N is the size of the sorted set and M the number of members returned";

/// The rows of this file.
pub const ROWS: &[Command] = &[
    Command::new("zrange", -4, Flags::READONLY, zrange)
        .value_kinds(&[("start", ArgumentKind::String), ("stop", ArgumentKind::String)])
        .keys(READ)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "1.2.0",
            COMPLEXITY,
            "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
            "Answers the members between two ranks, scores or members.",
        ),
    Command::new("zrangestore", -5, Flags::WRITE.with(Flags::DENYOOM), zrangestore)
        .keys(STORE_AND_READ)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "6.2.0",
            "O(log(N)+M), where N is the size of the sorted set and M the number of members stored",
            "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
            "Stores the members between two ranks, scores or members under another key.",
        ),
    Command::new("zrevrange", -4, Flags::READONLY, zrevrange)
        .keys(READ)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "1.2.0",
            COMPLEXITY,
            "key start stop [WITHSCORES]",
            "Answers the members between two ranks, the highest first.",
        )
        .deprecated("6.2.0", "`ZRANGE` with the `REV` argument"),
    Command::new("zrangebyscore", -4, Flags::READONLY, zrangebyscore)
        .value_kinds(SCORES)
        .keys(READ)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "1.0.5",
            COMPLEXITY,
            "key min max [WITHSCORES] [LIMIT offset count]",
            "Answers the members between two scores.",
        )
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    Command::new("zrevrangebyscore", -4, Flags::READONLY, zrevrangebyscore)
        .value_kinds(SCORES)
        .keys(READ)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "2.2.0",
            COMPLEXITY,
            "key max min [WITHSCORES] [LIMIT offset count]",
            "Answers the members between two scores, the highest first.",
        )
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
    Command::new("zrangebylex", -4, Flags::READONLY, zrangebylex)
        .keys(READ)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "2.8.9",
            COMPLEXITY,
            "key min max [LIMIT offset count]",
            "Answers the members between two, where all scores are equal.",
        )
        .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    Command::new("zrevrangebylex", -4, Flags::READONLY, zrevrangebylex)
        .keys(READ)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "2.8.9",
            COMPLEXITY,
            "key max min [LIMIT offset count]",
            "Answers the members between two, the last first, where all scores are equal.",
        )
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
];

/// What the name of a command has decided.
#[derive(Clone, Copy)]
struct Decided {
    unit: Option<Unit>,
    order: Option<Order>,
    stores: bool,
}

/// A range as it was asked for.
#[derive(Debug, PartialEq)]
struct Query<'a> {
    interval: Interval<'a>,
    order: Order,
    offset: usize,
    limit: Option<usize>,
    shown: Shown,
}

impl<'a> Query<'a> {
    /// The query whose interval starts at argument `first`.
    fn parse(args: Args<'a>, first: usize, decided: Decided) -> Result<Self, CommandError> {
        let Decided { mut unit, mut order, stores } = decided;
        let (mut offset, mut limit, mut shown) = (0, -1, Shown::Members);
        let mut index = first + 2;
        while index < args.len() {
            if !stores && args.is(index, "withscores") {
                shown = Shown::WithScores;
            } else if args.is(index, "limit") && index + 2 < args.len() {
                offset = args.int(index + 1)?;
                limit = args.int(index + 2)?;
                index += 2;
            } else if decided.order.is_none() && args.is(index, "rev") {
                order = Some(Order::Descending);
            } else if decided.unit.is_none() && args.is(index, "bylex") {
                unit = Some(Unit::Member);
            } else if decided.unit.is_none() && args.is(index, "byscore") {
                unit = Some(Unit::Score);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        let (unit, order) = (unit.unwrap_or(Unit::Index), order.unwrap_or(Order::Ascending));
        if limit != -1 && unit == Unit::Index {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if shown == Shown::WithScores && unit == Unit::Member {
            return Err(CommandError::text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        // Backwards, the upper end of scores and members is named first.
        let is_swapped = order == Order::Descending && unit != Unit::Index;
        let (low, high) = if is_swapped { (first + 1, first) } else { (first, first + 1) };
        Ok(Self {
            interval: Interval::parse(args, unit, low, high)?,
            order,
            // A negative offset skips everything. An index range has no limit, and so no offset.
            offset: if unit == Unit::Index { 0 } else { usize::try_from(offset).unwrap_or(usize::MAX) },
            limit: usize::try_from(limit).ok(),
            shown,
        })
    }

    /// The entries that it finds.
    fn run<'z>(&self, zset: &'z ZSet) -> Iter<'z> {
        let ranks = self.interval.ranks(zset, self.order);
        zset.range(window(ranks, self.order, self.offset, self.limit), self.order)
    }
}

fn read(
    view: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    unit: Option<Unit>,
    order: Option<Order>,
) -> Outcome {
    let query = Query::parse(args, 2, Decided { unit, order, stores: false })?;
    match view.collection::<ZSet>(args.key(1))? {
        Some(zset) => reply_entries(reply, query.run(zset), query.shown),
        None => reply.array(0),
    }
    Ok(())
}

fn zrange(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(view, args, reply, None, None)
}

fn zrevrange(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(view, args, reply, Some(Unit::Index), Some(Order::Descending))
}

fn zrangebyscore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(view, args, reply, Some(Unit::Score), Some(Order::Ascending))
}

fn zrevrangebyscore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(view, args, reply, Some(Unit::Score), Some(Order::Descending))
}

fn zrangebylex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(view, args, reply, Some(Unit::Member), Some(Order::Ascending))
}

fn zrevrangebylex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(view, args, reply, Some(Unit::Member), Some(Order::Descending))
}

fn zrangestore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let query = Query::parse(args, 3, Decided { unit: None, order: None, stores: true })?;
    let mut result = Builder::new();
    if let Some(zset) = view.collection::<ZSet>(args.key(2))? {
        let entries = query.run(zset);
        result = Builder::with_capacity(entries.len());
        for (member, score) in entries {
            result.insert(member.as_bytes(&mut [0; 20]), score);
        }
    }
    store(view, args.key(1), result.finish(), "zrangestore", reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustredis_resp::Proto;

    use crate::testing::{Harness, check};

    #[test]
    fn ranges_by_rank() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZRANGE z 0 -1", "*0");
        check(h, "ZADD z 1 a 2 b 3 c 4 5", ":4");
        check(h, "ZRANGE z 1 2", "*2 $1 b $1 c");
        check(h, "ZRANGE z 0 1 REV", "*2 $1 5 $1 c");
        check(h, "ZREVRANGE z -2 -1 WITHSCORES", "*4 $1 b $1 2 $1 a $1 1");
        check(h, "ZRANGE z 9 20", "*0");
        check(h, "ZRANGE z 0 0 LIMIT 7 -1", "*1 $1 a");
        check(
            h,
            "ZRANGE z 0 1 LIMIT 0 1",
            "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        );
        check(h, "ZRANGE z 0 x", "-ERR value is not an integer or out of range");
        check(h, "ZREVRANGE z 0 1 REV", "-ERR syntax error");
        h.proto = Proto::Resp3;
        check(h, "ZRANGE z 0 1 WITHSCORES", "*2 *2 $1 a ,1 *2 $1 b ,2");
    }

    #[test]
    fn ranges_by_score_and_member() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZADD z 1 a 2 b 3 c", ":3");
        check(h, "ZRANGEBYSCORE z (1 3 WITHSCORES LIMIT 1 5", "*2 $1 c $1 3");
        check(h, "ZREVRANGEBYSCORE z 3 -inf LIMIT 0 2", "*2 $1 c $1 b");
        check(h, "ZRANGE z 3 1 BYSCORE REV LIMIT 2 -1", "*1 $1 a");
        check(h, "ZRANGE z 1 3 BYSCORE REV", "*0");
        check(h, "ZRANGEBYSCORE z 1 3 LIMIT -1 5", "*0");
        check(h, "ZRANGEBYSCORE z 1 3 LIMIT 0", "-ERR syntax error");
        check(h, "ZRANGEBYSCORE z 1 3 LIMIT a 1", "-ERR value is not an integer or out of range");
        check(h, "ZADD l 0 a 0 b 0 c", ":3");
        check(h, "ZRANGEBYLEX l - (c", "*2 $1 a $1 b");
        check(h, "ZREVRANGEBYLEX l + [b LIMIT 1 1", "*1 $1 b");
        check(h, "ZRANGE l + - REV BYLEX", "*3 $1 c $1 b $1 a");
        check(
            h,
            "ZRANGE l - + BYLEX WITHSCORES",
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        );
        check(h, "ZRANGEBYLEX l - c", "-ERR min or max not valid string range item");
    }

    #[test]
    fn a_range_is_stored() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZADD z 1 a 2 b 3 c", ":3");
        check(h, "SET d x", "+OK");
        check(h, "ZRANGESTORE d z 0 1 REV", ":2");
        assert_eq!(h.events(), ["zrangestore d"]);
        check(h, "ZRANGE d 0 -1 WITHSCORES", "*4 $1 b $1 2 $1 c $1 3");
        check(h, "ZRANGESTORE z z 2 +inf BYSCORE LIMIT 0 1", ":1");
        check(h, "ZRANGESTORE d none 0 -1", ":0");
        assert_eq!(h.events(), ["del d"]);
        check(h, "ZRANGESTORE d none 0 -1", ":0");
        assert_eq!(h.effects.dirty, 0);
        check(h, "ZRANGESTORE d z 0 -1 WITHSCORES", "-ERR syntax error");
    }
}
