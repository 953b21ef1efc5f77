//! Sorted sets.
//!
//! | file | commands that |
//! |---|---|
//! | [`edit`] | add, score and remove members |
//! | [`inspect`] | ask for scores, ranks, counts and random members |
//! | [`range`] | read a range |
//! | [`combine`] | unite, intersect and subtract |
//! | [`pop`] | take the first or last members, waiting or not |
//!
//! Here is what they share: which part of a sorted set a command means, how entries are replied, how a result is stored.
//! Whatever a command calls the part, scores, members or indexes, becomes a range of ranks in one place
//! ([`Interval::ranks`]), so counting, reading and removing are each written once.

pub mod combine;
pub mod edit;
pub mod inspect;
pub mod pop;
pub mod range;

use std::ops::Range;

use rustredis_keyspace::types::listpack::Element;
use rustredis_keyspace::types::zset::{LexBound, LexRange, Order, ScoreBound, ScoreRange, ZSet};
use rustredis_keyspace::{Collection, Entry, EventClass, Key, View};
use rustredis_resp::{Reply, number};

use crate::args::Args;
use crate::command::{KeyFlags, KeySpec};
use crate::element;
use crate::error::CommandError;
use crate::rewrite;
use crate::syntax::ArgumentKind;

/// What stands between two scores in a row's syntax.
const SCORES: &[(&str, ArgumentKind)] = &[("min", ArgumentKind::Double), ("max", ArgumentKind::Double)];
/// Members of a sorted set that one command of the journal has.
const JOURNALLED_TOGETHER: usize = 64;
/// A read of the value at the first argument.
const READ: &[KeySpec] = &[KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1)];
/// Two arguments of a key and a source behind it.
const STORE_AND_READ: &[KeySpec] = &[
    KeySpec::one(KeyFlags::OW.with(KeyFlags::UPDATE), 1),
    KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 2),
];

/// What a command calls the part that it works on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Interval<'a> {
    /// From an index to another, both included, in the order of reading; negative ones count from the end.
    Indexes(i64, i64),
    /// Members with these scores.
    Scores(ScoreRange),
    /// Members between these, in a set whose scores are all equal.
    Members(LexRange<'a>),
}

/// Which words an interval is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Index,
    Score,
    Member,
}

impl<'a> Interval<'a> {
    /// The interval whose ends are arguments `low` and `high`.
    ///
    /// # Errors
    /// `NotInteger`, or `Other` with the text for scores or members.
    fn parse(args: Args<'a>, unit: Unit, low: usize, high: usize) -> Result<Self, CommandError> {
        match unit {
            Unit::Index => Ok(Self::Indexes(args.int(low)?, args.int(high)?)),
            Unit::Score => parse_scores(args.get(low), args.get(high)).map(Self::Scores),
            Unit::Member => parse_members(args.get(low), args.get(high)).map(Self::Members),
        }
    }

    /// The ascending ranks that it means when the set is read in this order. O(log n).
    fn ranks(&self, zset: &ZSet, order: Order) -> Range<usize> {
        match self {
            Self::Indexes(start, stop) => {
                let indexes = index_range(*start, *stop, zset.len());
                match order {
                    Order::Ascending => indexes,
                    Order::Descending => zset.len() - indexes.end..zset.len() - indexes.start,
                }
            }
            Self::Scores(scores) => zset.ranks_by_score(scores),
            Self::Members(members) => zset.ranks_by_lex(members),
        }
    }
}

/// The indexes from `start` to `stop`, both included and negative ones counted from the end, that there are among `len`.
fn index_range(start: i64, stop: i64, len: usize) -> Range<usize> {
    let from_start = |index: i64| if index < 0 { index + len as i64 } else { index };
    let start = from_start(start).max(0);
    let end = from_start(stop).saturating_add(1).min(len as i64);
    if start < end { start as usize..end as usize } else { 0..0 }
}

fn parse_scores(min: &[u8], max: &[u8]) -> Result<ScoreRange, CommandError> {
    // Redis's reader of bounds is more lenient than that of scores.
    let score = number::parse_f64_of_c;
    let bound = |text: &[u8]| match text.strip_prefix(b"(") {
        Some(text) => score(text).map(ScoreBound::Exclusive),
        None => score(text).map(ScoreBound::Inclusive),
    };
    match (bound(min), bound(max)) {
        (Some(min), Some(max)) => Ok(ScoreRange { min, max }),
        _ => Err(CommandError::text("ERR min or max is not a float")),
    }
}

fn parse_members<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, CommandError> {
    let bound = |text: &'a [u8]| match text {
        b"-" => Some(LexBound::Min),
        b"+" => Some(LexBound::Max),
        [b'[', member @ ..] => Some(LexBound::Inclusive(member)),
        [b'(', member @ ..] => Some(LexBound::Exclusive(member)),
        _ => None,
    };
    match (bound(min), bound(max)) {
        (Some(min), Some(max)) => Ok(LexRange { min, max }),
        _ => Err(CommandError::text("ERR min or max not valid string range item")),
    }
}

/// Whether a reply names the scores too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// Only members.
    Members,
    /// Members and scores: pairs in RESP3, one flat array in RESP2.
    WithScores,
}

/// Replies entries.
fn reply_entries<'e>(
    reply: &mut Reply<'_>,
    entries: impl ExactSizeIterator<Item = (Element<'e>, f64)>,
    shown: Shown,
) {
    reply_entries_head(reply, entries.len(), shown);
    for (member, score) in entries {
        reply_entry(reply, member, score, shown);
    }
}

/// The head of an array of so many entries.
fn reply_entries_head(reply: &mut Reply<'_>, count: usize, shown: Shown) {
    let is_flat = shown == Shown::WithScores && !reply.is_resp3();
    reply.array(if is_flat { count * 2 } else { count });
}

fn reply_entry(reply: &mut Reply<'_>, member: Element<'_>, score: f64, shown: Shown) {
    if shown == Shown::Members {
        element::bulk(reply, member);
        return;
    }
    if reply.is_resp3() {
        reply.array(2);
    }
    element::bulk(reply, member);
    reply.double(score);
}

/// Puts a result in the place of whatever the key held, or deletes the key if nothing is in it; replies how many are. Whether
/// anything has changed.
pub(crate) fn store(
    view: &mut View<'_>,
    destination: Key<'_>,
    result: ZSet,
    event: &'static str,
    reply: &mut Reply<'_>,
) -> bool {
    let count = result.len();
    reply.count(count);
    if count > 0 {
        view.insert(destination, result.into_value(), None);
        view.changed(destination, EventClass::ZSET, event);
    } else if view.delete(destination) {
        view.changed(destination, EventClass::GENERIC, "del");
    } else {
        return false;
    }
    true
}

/// Has what a command has just stored journalled as what it is, for servers that do not know how it was made. O(bytes).
pub(crate) fn journal_stored(view: &mut View<'_>, destination: Key<'_>) {
    let mut journal = vec![rewrite::words(&[b"DEL", destination.bytes])];
    if let Some(stored) = view.peek(destination).and_then(Entry::collection::<ZSet>) {
        for (index, (member, score)) in stored.iter().enumerate() {
            if index % JOURNALLED_TOGETHER == 0 {
                journal.push(rewrite::words(&[b"ZADD", destination.bytes]));
            }
            let mut text = Vec::new();
            number::format_double(score, &mut text);
            let words = journal.last_mut().into_iter();
            words.for_each(|words| {
                words.extend([std::mem::take(&mut text), member.as_bytes(&mut [0; 20]).to_vec()])
            });
        }
    }
    view.journal_instead(journal);
}

/// Reports that `count` members are gone, and the key with the last.
fn removed(view: &mut View<'_>, key: Key<'_>, event: &'static str, count: usize) {
    if count > 0 {
        view.changed(key, EventClass::ZSET, event);
        view.add_dirty(count as u64 - 1);
        view.remove_if_empty::<ZSet>(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_count_from_either_end() {
        let check =
            |start, stop, expected| assert_eq!(index_range(start, stop, 5), expected, "{start} {stop}");
        check(0, -1, 0..5);
        check(1, 2, 1..3);
        check(-2, -1, 3..5);
        check(-100, 100, 0..5);
        check(3, 2, 0..0);
        check(5, 9, 0..0);
        check(0, -6, 0..0);
        check(i64::MIN, i64::MAX, 0..5);
        check(i64::MAX, i64::MIN, 0..0);
        assert_eq!(index_range(0, -1, 0), 0..0);
    }

    #[test]
    fn a_bound_is_inclusive_exclusive_or_wrong() {
        let scores = |min: &str, max: &str| parse_scores(min.as_bytes(), max.as_bytes()).ok();
        let range = |min, max| Some(ScoreRange { min, max });
        assert_eq!(scores("1", "(2.5"), range(ScoreBound::Inclusive(1.0), ScoreBound::Exclusive(2.5)));
        assert_eq!(scores("-inf", "+inf"), Some(ScoreRange::ALL));
        assert_eq!(scores("", "("), range(ScoreBound::Inclusive(0.0), ScoreBound::Exclusive(0.0)));
        for wrong in ["nan", "[1", "1(", "-", "(x"] {
            assert_eq!((scores(wrong, "1"), scores("1", wrong)), (None, None), "{wrong}");
        }

        let members = |text: &'static str| parse_members(text.as_bytes(), b"+").ok().map(|range| range.min);
        assert_eq!(members("-"), Some(LexBound::Min));
        assert_eq!(members("[a"), Some(LexBound::Inclusive(b"a")));
        assert_eq!(members("("), Some(LexBound::Exclusive(b"")));
        for wrong in ["", "a", "--", "+a", "-inf"] {
            assert_eq!(members(wrong), None, "{wrong}");
        }
    }
}
