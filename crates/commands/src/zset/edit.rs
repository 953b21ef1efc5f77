//! Sorted sets: adding members, changing their scores, removing them.
//!
//! ZADD with all its conditions, ZINCRBY and GEOADD are one function, [`add`]: what becomes of one member is decided by
//! [`AddOptions::decide`] from its present score and the one given, within the single lookup that the type offers.

use rustredis_keyspace::types::zset::{Change, Order, ZSet};
use rustredis_keyspace::{EventClass, Key, View};
use rustredis_resp::Reply;
use smallvec::SmallVec;

use super::{Interval, SCORES, Unit, removed};
use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::error::{CommandError, Outcome};

const UPDATE: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::UPDATE), 1)];
const INCREMENT: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE), 1)];
const DELETE: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::DELETE), 1)];

const GROWING_FAST: Flags = Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST);

/// The rows of this file.
pub const ROWS: &[Command] = &[
    Command::new("zadd", -4, GROWING_FAST, zadd).keys(UPDATE).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "1.2.0",
        "O(log(N)) a member, where N is the size of the sorted set",
        "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
        "Adds members to a sorted set, or gives them other scores.",
    ),
    Command::new("zincrby", 4, GROWING_FAST, zincrby).keys(INCREMENT).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "1.2.0",
        "O(log(N)), where N is the size of the sorted set",
        "key increment member",
        "Adds a number to the score of a member.",
    ),
    Command::new("zrem", -3, Flags::WRITE.with(Flags::FAST), zrem)
        .keys(DELETE)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "1.2.0",
            "O(M*log(N)), where N is the size of the sorted set and M the number of members to remove",
            "key member [member ...]",
            "Removes members from a sorted set, and the key with the last one.",
        ),
    Command::new("zremrangebyrank", 4, Flags::WRITE, zremrangebyrank)
        .keys(DELETE)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "2.0.0",
            "O(log(N)+M), where N is the size of the sorted set and M the number of members removed",
            "key start stop",
            "Removes the members between two ranks.",
        ),
    Command::new("zremrangebyscore", 4, Flags::WRITE, zremrangebyscore)
        .value_kinds(SCORES)
        .keys(DELETE)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "1.2.0",
            "O(log(N)+M), where N is the size of the sorted set and M the number of members removed",
            "key min max",
            "Removes the members between two scores.",
        ),
    Command::new("zremrangebylex", 4, Flags::WRITE, zremrangebylex)
        .keys(DELETE)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "2.8.9",
            "O(log(N)+M), where N is the size of the sorted set and M the number of members removed",
            "key min max",
            "Removes the members between two, where all scores are equal.",
        ),
];

/// The words in front of ZADD's pairs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AddOptions {
    /// `NX`: members that are there stay as they are.
    pub(crate) is_only_new: bool,
    /// `XX`: nothing is added.
    pub(crate) is_only_present: bool,
    /// `GT`: a score may only grow.
    is_only_greater: bool,
    /// `LT`: a score may only fall.
    is_only_less: bool,
    /// `CH`: the reply counts changed scores too.
    pub(crate) counts_changed: bool,
    /// `INCR`: the score given is added, and the new score is the reply.
    is_increment: bool,
}

/// An increment made of infinities of both signs.
#[derive(Debug, PartialEq, Eq)]
struct NotANumber;

impl AddOptions {
    /// The options, and the argument behind them.
    fn parse(args: Args<'_>) -> (Self, usize) {
        let mut options = Self::default();
        let mut index = 2;
        loop {
            let option = match () {
                () if args.is(index, "nx") => &mut options.is_only_new,
                () if args.is(index, "xx") => &mut options.is_only_present,
                () if args.is(index, "gt") => &mut options.is_only_greater,
                () if args.is(index, "lt") => &mut options.is_only_less,
                () if args.is(index, "ch") => &mut options.counts_changed,
                () if args.is(index, "incr") => &mut options.is_increment,
                () => return (options, index),
            };
            *option = true;
            index += 1;
        }
    }

    fn check(&self, pairs: usize) -> Outcome {
        if self.is_only_new && self.is_only_present {
            return Err(CommandError::text("ERR XX and NX options at the same time are not compatible"));
        }
        let (new, greater, less) = (self.is_only_new, self.is_only_greater, self.is_only_less);
        if new && (greater || less) || greater && less {
            return Err(CommandError::text(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.is_increment && pairs > 1 {
            return Err(CommandError::text("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// The score that a member gets, or `None` if it stays as it is.
    fn decide(&self, present: Option<f64>, given: f64) -> Result<Option<f64>, NotANumber> {
        let Some(present) = present else { return Ok((!self.is_only_present).then_some(given)) };
        if self.is_only_new {
            return Ok(None);
        }
        let score = if self.is_increment { present + given } else { given };
        if score.is_nan() {
            return Err(NotANumber);
        }
        let is_refused = self.is_only_greater && score <= present || self.is_only_less && score >= present;
        Ok((!is_refused).then_some(score))
    }
}

/// Scores and members in the order in which they were given.
pub(crate) type Pairs<'a> = SmallVec<[(f64, &'a [u8]); 4]>;

/// Adds the pairs under the options and replies as ZADD does.
pub(crate) fn add(
    view: &mut View<'_>,
    key: Key<'_>,
    options: AddOptions,
    pairs: &[(f64, &[u8])],
    reply: &mut Reply<'_>,
) -> Outcome {
    let (mut added, mut updated, mut last_score) = (0u64, 0u64, None);
    // Where nothing may be added there is no key to be made.
    let zset = if options.is_only_present {
        view.collection_mut::<ZSet>(key)?
    } else {
        Some(view.collection_or_new::<ZSet>(key)?)
    };
    if let Some(zset) = zset {
        for (given, member) in pairs {
            let mut decided = Ok(None);
            let change = zset.update_with(member, |present| {
                decided = options.decide(present, *given);
                *decided.as_ref().unwrap_or(&None)
            });
            last_score = decided
                .map_err(|NotANumber| CommandError::text("ERR resulting score is not a number (NaN)"))?;
            added += u64::from(change == Change::Added);
            updated += u64::from(change == Change::Updated);
        }
    }
    if added + updated > 0 {
        view.changed(key, EventClass::ZSET, if options.is_increment { "zincr" } else { "zadd" });
        view.add_dirty(added + updated - 1);
    }
    match last_score {
        Some(score) if options.is_increment => reply.double(score),
        None if options.is_increment => reply.null(),
        _ => reply.int((added + if options.counts_changed { updated } else { 0 }) as i64),
    }
    Ok(())
}

fn zadd(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (options, first) = AddOptions::parse(args);
    let words = args.len() - first;
    if words == 0 || !words.is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    options.check(words / 2)?;
    let mut pairs = Pairs::with_capacity(words / 2);
    for index in (first..args.len()).step_by(2) {
        pairs.push((args.float(index)?, args.get(index + 1)));
    }
    add(view, args.key(1), options, &pairs, reply)
}

fn zincrby(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = AddOptions { is_increment: true, ..AddOptions::default() };
    add(view, args.key(1), options, &[(args.float(2)?, args.get(3))], reply)
}

fn zrem(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let mut count = 0;
    if let Some(zset) = view.collection_mut::<ZSet>(key)? {
        count = args.from(2).filter(|member| zset.remove(member).is_some()).count();
    }
    removed(view, key, "zrem", count);
    reply.count(count);
    Ok(())
}

fn zremrangebyrank(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove_interval(view, args, Unit::Index, "zremrangebyrank", reply)
}

fn zremrangebyscore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove_interval(view, args, Unit::Score, "zremrangebyscore", reply)
}

fn zremrangebylex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove_interval(view, args, Unit::Member, "zremrangebylex", reply)
}

fn remove_interval(
    view: &mut View<'_>,
    args: Args<'_>,
    unit: Unit,
    event: &'static str,
    reply: &mut Reply<'_>,
) -> Outcome {
    let key = args.key(1);
    let interval = Interval::parse(args, unit, 2, 3)?;
    let mut count = 0;
    if let Some(zset) = view.collection_mut::<ZSet>(key)? {
        let ranks = interval.ranks(zset, Order::Ascending);
        count = zset.remove_range(ranks, |_, _| ());
    }
    removed(view, key, event, count);
    reply.count(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, check};

    #[test]
    fn what_becomes_of_a_score() {
        let options = |words: &str| {
            let line = format!("ZADD key {words} 1 member");
            let owned = crate::OwnedArgs::from_parts(&line.split_whitespace().collect::<Vec<_>>());
            AddOptions::parse(owned.args()).0
        };
        let check = |words: &str, present, given, expected| {
            assert_eq!(options(words).decide(present, given), expected, "{words} {present:?} {given}");
        };
        check("", None, 1.0, Ok(Some(1.0)));
        check("", Some(5.0), 1.0, Ok(Some(1.0)));
        check("NX", None, 1.0, Ok(Some(1.0)));
        check("NX", Some(5.0), 1.0, Ok(None));
        check("XX", None, 1.0, Ok(None));
        check("XX CH", Some(5.0), 1.0, Ok(Some(1.0)));
        check("GT", Some(5.0), 5.0, Ok(None));
        check("GT", Some(5.0), 6.0, Ok(Some(6.0)));
        check("gt", None, 6.0, Ok(Some(6.0)));
        check("LT", Some(5.0), 5.0, Ok(None));
        check("LT INCR", Some(5.0), -1.0, Ok(Some(4.0)));
        check("LT INCR", Some(5.0), 1.0, Ok(None));
        check("INCR", None, 1.5, Ok(Some(1.5)));
        check("INCR", Some(f64::INFINITY), f64::NEG_INFINITY, Err(NotANumber));
    }

    #[test]
    fn members_are_added_and_scored() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZADD z 1 a 2 b 3 c", ":3");
        assert_eq!((h.events(), h.effects.dirty), (vec!["zadd z".to_owned()], 3));
        check(h, "ZADD z 1 a", ":0");
        assert_eq!((h.events().len(), h.effects.dirty), (0, 0));
        check(h, "ZADD z CH 10 a 4 d", ":2");
        check(h, "ZADD z XX 10 new", ":0");
        check(h, "ZADD none XX 10 new", ":0");
        check(h, "ZADD none XX INCR 10 new", "$-1");
        check(h, "ZCARD none", ":0");
        check(h, "ZADD z INCR 5 a", "$2 15");
        assert_eq!(h.events(), ["zincr z"]);
        check(h, "ZADD z NX INCR 5 a", "$-1");
        check(h, "ZADD z INCR inf a", "$3 inf");
        check(h, "ZINCRBY z -inf a", "-ERR resulting score is not a number (NaN)");
        check(h, "ZSCORE z a", "$3 inf");
        check(h, "ZINCRBY z 0.1 e", "$19 0.10000000000000001");
        check(h, "ZADD z nan e", "-ERR value is not a valid float");
        check(h, "ZADD z 1 e 2", "-ERR syntax error");
        check(h, "ZADD z NX XX 1 e", "-ERR XX and NX options at the same time are not compatible");
        check(h, "ZADD z LT GT 1 e", "-ERR GT, LT, and/or NX options at the same time are not compatible");
        check(h, "ZADD z INCR 1 e 2 f", "-ERR INCR option supports a single increment-element pair");
        check(h, "SET s x", "+OK");
        check(h, "ZADD s 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }

    #[test]
    fn the_last_member_takes_the_key_along() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZADD z 1 a 2 b 3 c 4 d 5 e", ":5");
        check(h, "ZREM z a x", ":1");
        assert_eq!(h.events(), ["zrem z"]);
        check(h, "ZREM z x", ":0");
        assert!(h.events().is_empty());
        check(h, "ZREMRANGEBYRANK z 0 0", ":1");
        check(h, "ZREMRANGEBYSCORE z (3 4", ":1");
        assert_eq!(h.events(), ["zremrangebyscore z"]);
        check(h, "ZREMRANGEBYSCORE z x 4", "-ERR min or max is not a float");
        check(h, "ZREMRANGEBYLEX z - (c", ":0");
        check(h, "ZREMRANGEBYLEX z - +", ":2");
        assert_eq!((h.events(), h.effects.dirty), (vec!["zremrangebylex z".into(), "del z".into()], 2));
        check(h, "ZREMRANGEBYRANK z 0 -1", ":0");
    }
}
