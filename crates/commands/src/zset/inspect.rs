//! Sorted sets: questions that leave them as they are, except for ranges.

use rustredis_keyspace::View;
use rustredis_keyspace::types::zset::{Order, ZSet};
use rustredis_resp::{Reply, number};

use super::{Interval, READ, SCORES, Shown, Unit, reply_entries, reply_entries_head, reply_entry};
use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::element;
use crate::error::{CommandError, Outcome};
use crate::scan::{self, Grammar, Scan};

const FAST: Flags = Flags::READONLY.with(Flags::FAST);

/// The rows of this file.
pub const ROWS: &[Command] = &[
    Command::new("zcard", 2, FAST, zcard)
        .keys(&[KeySpec::one(KeyFlags::RO, 1)])
        .acl(Categories::SORTEDSET)
        .docs(Group::SortedSet, "1.2.0", "O(1)", "key", "Counts the members of a sorted set."),
    Command::new("zscore", 3, FAST, zscore).keys(READ).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "1.2.0",
        "O(1)",
        "key member",
        "Answers the score of a member.",
    ),
    Command::new("zmscore", -3, FAST, zmscore).keys(READ).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "6.2.0",
        "O(N), where N is the number of members asked for",
        "key member [member ...]",
        "Answers the scores of members.",
    ),
    Command::new("zrank", -3, FAST, zrank).keys(READ).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "2.0.0",
        "O(log(N))",
        "key member [WITHSCORE]",
        "Answers how many members come before a member.",
    ),
    Command::new("zrevrank", -3, FAST, zrevrank).keys(READ).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "2.0.0",
        "O(log(N))",
        "key member [WITHSCORE]",
        "Answers how many members come after a member.",
    ),
    Command::new("zcount", 4, FAST, zcount).value_kinds(SCORES).keys(READ).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "2.0.0",
        "O(log(N)), where N is the size of the sorted set",
        "key min max",
        "Counts the members between two scores.",
    ),
    Command::new("zlexcount", 4, FAST, zlexcount).keys(READ).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "2.8.9",
        "O(log(N)), where N is the size of the sorted set",
        "key min max",
        "Counts the members between two, where all scores are equal.",
    ),
    Command::new("zrandmember", -2, Flags::READONLY, zrandmember)
        .keys(READ)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "6.2.0",
            "O(N), where N is the number of members returned",
            "key [count [WITHSCORES]]",
            "Answers random members, distinct ones unless the count is negative.",
        )
        .tips(&["nondeterministic_output"]),
    Command::new("zscan", -3, Flags::READONLY, zscan)
        .keys(READ)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "2.8.0",
            "O(1) a call, O(N) a complete iteration, where N is the size of the sorted set",
            "key cursor [MATCH pattern] [COUNT count]",
            "Iterates over members and scores.",
        )
        .tips(&["nondeterministic_output"]),
];

fn zcard(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(view.collection::<ZSet>(args.key(1))?.map_or(0, ZSet::len));
    Ok(())
}

fn zscore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let zset = view.collection::<ZSet>(args.key(1))?;
    reply_score(reply, zset.and_then(|zset| zset.score(args.get(2))));
    Ok(())
}

fn zmscore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let zset = view.collection::<ZSet>(args.key(1))?;
    let members = args.from(2);
    reply.array(members.len());
    for member in members {
        reply_score(reply, zset.and_then(|zset| zset.score(member)));
    }
    Ok(())
}

fn reply_score(reply: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zrank(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    rank(view, args, Order::Ascending, reply)
}

fn zrevrank(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    rank(view, args, Order::Descending, reply)
}

fn rank(view: &mut View<'_>, args: Args<'_>, order: Order, reply: &mut Reply<'_>) -> Outcome {
    let shows_score = match args.len() {
        3 => false,
        4 if args.is(3, "withscore") => true,
        4 => return Err(CommandError::Syntax),
        _ => return Err(CommandError::Arity(args.lossy(0).to_ascii_lowercase())),
    };
    let member = args.get(2);
    let found = view
        .collection::<ZSet>(args.key(1))?
        .and_then(|zset| zset.rank(member).map(|rank| (zset, rank)))
        .map(|(zset, rank)| match order {
            Order::Ascending => (zset, rank),
            Order::Descending => (zset, zset.len() - 1 - rank),
        });
    match found {
        None if shows_score => reply.null_array(),
        None => reply.null(),
        Some((_, rank)) if !shows_score => reply.count(rank),
        Some((zset, rank)) => {
            reply.array(2);
            reply.count(rank);
            reply_score(reply, zset.score(member));
        }
    }
    Ok(())
}

fn zcount(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    count(view, args, Unit::Score, reply)
}

fn zlexcount(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    count(view, args, Unit::Member, reply)
}

fn count(view: &mut View<'_>, args: Args<'_>, unit: Unit, reply: &mut Reply<'_>) -> Outcome {
    let interval = Interval::parse(args, unit, 2, 3)?;
    let zset = view.collection::<ZSet>(args.key(1))?;
    reply.count(zset.map_or(0, |zset| interval.ranks(zset, Order::Ascending).len()));
    Ok(())
}

fn zrandmember(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let random = view.random();
    let mut random = || random.next();
    if args.len() == 2 {
        match view.collection::<ZSet>(args.key(1))?.and_then(|zset| zset.random(&mut random)) {
            Some((member, _)) => element::bulk(reply, member),
            None => reply.null(),
        }
        return Ok(());
    }
    let (count, shown) = parse_random_count(args)?;
    let Some(zset) = view.collection::<ZSet>(args.key(1))? else {
        reply.array(0);
        return Ok(());
    };
    let draws = count.unsigned_abs() as usize;
    if count >= 0 {
        reply_entries(reply, zset.sample(draws, &mut random).into_iter(), shown);
        return Ok(());
    }
    reply_entries_head(reply, draws, shown);
    for _ in 0..draws {
        if let Some((member, score)) = zset.random(&mut random) {
            reply_entry(reply, member, score, shown);
        }
        if reply.is_full() {
            return Err(CommandError::OutOfRange);
        }
    }
    Ok(())
}

/// How many members ZRANDMEMBER draws, negative for draws that may repeat, and what it shows of them.
fn parse_random_count(args: Args<'_>) -> Result<(i64, Shown), CommandError> {
    let count = args.int(2)?;
    if count == i64::MIN {
        return Err(CommandError::OutOfLongRange);
    }
    match args.len() {
        3 => Ok((count, Shown::Members)),
        4 if args.is(3, "withscores") => {
            // Each member is two replies, and their number must not overflow.
            if count.unsigned_abs() > i64::MAX as u64 / 2 {
                return Err(CommandError::OutOfRange);
            }
            Ok((count, Shown::WithScores))
        }
        _ => Err(CommandError::Syntax),
    }
}

fn zscan(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    // A missing key hides wrong options, though no wrong cursor.
    scan::cursor(args, 2)?;
    let Some(zset) = view.collection::<ZSet>(args.key(1))? else {
        Scan::answer(reply, |_| (0, 0));
        return Ok(());
    };
    let scan = Scan::parse(args, 2, Grammar::Members)?;
    // As it is stored: a compact one has its integers as such.
    let format = if zset.encoding() == "listpack" { number::format_score } else { number::format_double };
    Scan::answer(reply, |reply| {
        let (mut count, mut text) = (0, Vec::new());
        let cursor = zset.scan(scan.cursor, scan.count, |member, score| {
            if scan.matches(member.as_bytes(&mut [0; 20])) {
                count += 2;
                element::bulk(reply, member);
                // A string in RESP3 too.
                text.clear();
                format(score, &mut text);
                reply.bulk(&text);
            }
        });
        (cursor, count)
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustredis_resp::Proto;

    use crate::testing::{Harness, check};

    #[test]
    fn scores_and_ranks_are_told() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZADD z 1 a 2 b 2.5 c", ":3");
        check(h, "ZCARD z", ":3");
        check(h, "ZSCORE z c", "$3 2.5");
        check(h, "ZSCORE z x", "$-1");
        check(h, "ZSCORE none x", "$-1");
        check(h, "ZMSCORE z a x c", "*3 $1 1 $-1 $3 2.5");
        check(h, "ZMSCORE none a x", "*2 $-1 $-1");
        check(h, "ZRANK z c", ":2");
        check(h, "ZREVRANK z c", ":0");
        check(h, "ZRANK z x", "$-1");
        check(h, "ZRANK z x WITHSCORE", "*-1");
        check(h, "ZREVRANK z a WITHSCORE", "*2 :2 $1 1");
        check(h, "ZRANK z a WITHSCORES", "-ERR syntax error");
        check(h, "ZRANK z a WITHSCORE b", "-ERR wrong number of arguments for 'zrank' command");
        check(h, "ZCOUNT z (1 +inf", ":2");
        check(h, "ZCOUNT z 3 1", ":0");
        check(h, "ZCOUNT z 3 x", "-ERR min or max is not a float");
        check(h, "ZLEXCOUNT z - +", ":3");
        check(h, "ZLEXCOUNT z a +", "-ERR min or max not valid string range item");
        check(h, "SET s x", "+OK");
        check(h, "ZSCORE s a", "-WRONGTYPE Operation against a key holding the wrong kind of value");
        h.proto = Proto::Resp3;
        check(h, "ZMSCORE z a x", "*2 ,1 _");
        check(h, "ZRANK z a WITHSCORE", "*2 :0 ,1");
    }

    #[test]
    fn members_are_drawn() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZRANDMEMBER z", "$-1");
        check(h, "ZRANDMEMBER z 3", "*0");
        check(h, "ZADD z 1 a", ":1");
        check(h, "ZRANDMEMBER z", "$1 a");
        check(h, "ZRANDMEMBER z 0", "*0");
        check(h, "ZRANDMEMBER z 3", "*1 $1 a");
        check(h, "ZRANDMEMBER z 3 WITHSCORES", "*2 $1 a $1 1");
        check(h, "ZRANDMEMBER z -2 WITHSCORES", "*4 $1 a $1 1 $1 a $1 1");
        h.proto = Proto::Resp3;
        check(h, "ZRANDMEMBER z -2 WITHSCORES", "*2 *2 $1 a ,1 *2 $1 a ,1");
        check(h, "ZRANDMEMBER z 1 WITHSCORE", "-ERR syntax error");
        check(h, "ZRANDMEMBER z x", "-ERR value is not an integer or out of range");
        check(h, "ZRANDMEMBER z -9223372036854775807 WITHSCORES", "-ERR value is out of range");
        check(
            h,
            "ZRANDMEMBER z -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        );
    }

    #[test]
    fn entries_are_scanned() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZSCAN z 0 COUNT 5", "*2 $1 0 *0");
        check(h, "ZADD z 1 a 2.5 7", ":2");
        check(h, "ZSCAN z 0", "*2 $1 0 *4 $1 a $1 1 $1 7 $3 2.5");
        check(h, "ZSCAN z 0 MATCH [0-9]", "*2 $1 0 *2 $1 7 $3 2.5");
        check(h, "ZSCAN z 0 COUNT 0", "-ERR syntax error");
        check(h, "ZSCAN z x", "-ERR invalid cursor");
        h.proto = Proto::Resp3;
        check(h, "ZSCAN z 0 MATCH a", "*2 $1 0 *2 $1 a $1 1");
    }
}
