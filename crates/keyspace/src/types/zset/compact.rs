//! The small sorted set: a listpack of member, score, member, score, in order, byte for byte as Redis has it.
//!
//! An integral score is an integer of the listpack and `-0` becomes 0; another one is the shortest text that reads
//! back as the same double. Everything here walks, for at most a few hundred entries.

use super::range::Order;
use crate::types::listpack::{self, Element, Listpack, Position};
use rustredis_resp::number::{format_score, parse_f64};
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

const BROKEN: &str = "the listpack of a sorted set is pairs of members and scores, checked when it is made";

/// Why a listpack is not a sorted set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZSetError {
    /// The last member has no score.
    Odd,
    /// A score is not a number.
    Score,
    /// Two neighbours are in the wrong order.
    Order,
    /// A member is there twice.
    Duplicate,
}

impl fmt::Display for ZSetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Odd => "sorted set: a member without a score",
            Self::Score => "sorted set: a score that is not a number",
            Self::Order => "sorted set: entries out of order",
            Self::Duplicate => "sorted set: a member twice",
        })
    }
}

impl std::error::Error for ZSetError {}

/// A run of entries in ascending or descending order.
pub(super) struct Pairs<'a> {
    elements: listpack::Iter<'a>,
    count: usize,
    order: Order,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let (member, score) = match self.order {
            Order::Ascending => (self.elements.next()?, self.elements.next()?),
            Order::Descending => {
                let score = self.elements.next_back()?;
                (self.elements.next_back()?, score)
            }
        };
        Some((member, score_of(score)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

/// Number of entries.
pub(super) fn len(listpack: &Listpack) -> usize {
    listpack.len() / 2
}

/// The entries with these ranks, clamped to those that exist.
pub(super) fn range(listpack: &Listpack, ranks: Range<usize>, order: Order) -> Pairs<'_> {
    let end = ranks.end.min(len(listpack));
    let count = end.saturating_sub(ranks.start);
    // The element that is read first: a member, or from the end a score.
    let first = match order {
        _ if count == 0 => return Pairs { elements: listpack.iter(), count, order },
        Order::Ascending => seek(listpack, ranks.start * 2),
        Order::Descending => seek(listpack, end * 2 - 1),
    };
    let elements = match order {
        Order::Ascending => listpack.iter_from(first),
        Order::Descending => listpack.iter_through(first),
    };
    Pairs { elements, count, order }
}

/// Removes the entries with these ranks, which exist.
pub(super) fn remove_range(listpack: &mut Listpack, ranks: Range<usize>) {
    if !ranks.is_empty() {
        let first = seek(listpack, ranks.start * 2);
        listpack.remove_many(first, ranks.len() * 2);
    }
}

/// Where the member is, and its score.
pub(super) fn find(listpack: &Listpack, member: &[u8]) -> Option<(Position, f64)> {
    let position = listpack.find(member, 1)?;
    Some((position, score_of(listpack.get(score_position(listpack, position)))))
}

/// The member's rank.
pub(super) fn rank(listpack: &Listpack, member: &[u8]) -> Option<usize> {
    let canonical = Element::from_bytes(member);
    let is_it = |element: Element<'_>| element == canonical || element == Element::Str(member);
    listpack.iter().step_by(2).position(is_it)
}

/// How many entries come first for which `is_before` holds.
pub(super) fn partition_by_score(listpack: &Listpack, is_before: impl Fn(f64) -> bool) -> usize {
    range(listpack, 0..usize::MAX, Order::Ascending).take_while(|(_, score)| is_before(*score)).count()
}

/// How many members come first for which `is_before` holds.
pub(super) fn partition_by_member(listpack: &Listpack, is_before: impl Fn(&[u8]) -> bool) -> usize {
    let mut buffer = [0; 20];
    listpack.iter().step_by(2).take_while(|member| is_before(member.as_bytes(&mut buffer))).count()
}

/// Adds a member that is not there.
pub(super) fn insert(listpack: &mut Listpack, member: &[u8], score: f64) {
    let mut buffer = [0; 20];
    let mut next = listpack.first();
    while let Some(position) = next {
        let other = score_position(listpack, position);
        let other_score = score_of(listpack.get(other));
        if other_score > score
            || (other_score == score && listpack.get(position).as_bytes(&mut buffer) > member)
        {
            listpack.insert_before(position, member);
            listpack.insert_after(position, &score_text(score));
            return;
        }
        next = listpack.next(other);
    }
    push_back(listpack, member, score);
}

/// Adds a member that comes after all others.
pub(super) fn push_back(listpack: &mut Listpack, member: &[u8], score: f64) {
    listpack.push_back(member);
    listpack.push_back(&score_text(score));
}

/// Gives the member at this position another score.
pub(super) fn update(listpack: &mut Listpack, position: Position, member: &[u8], score: f64) {
    listpack.remove_many(position, 2);
    insert(listpack, member, score);
}

/// Checks what came from a file or a client. O(n log n).
pub(super) fn validate(listpack: &Listpack) -> Result<(), ZSetError> {
    if !listpack.len().is_multiple_of(2) {
        return Err(ZSetError::Odd);
    }
    let mut hashes = Vec::with_capacity(len(listpack));
    let mut previous: Option<(Element<'_>, f64)> = None;
    let (mut buffer, mut previous_buffer) = ([0; 20], [0; 20]);
    let mut elements = listpack.iter();
    while let (Some(member), Some(score)) = (elements.next(), elements.next()) {
        let score = parse_score(score).ok_or(ZSetError::Score)?;
        let bytes = member.as_bytes(&mut buffer);
        if let Some((previous, previous_score)) = previous
            && (previous_score > score
                || (previous_score == score && previous.as_bytes(&mut previous_buffer) >= bytes))
        {
            return Err(ZSetError::Order);
        }
        hashes.push(crate::hashing::hash(bytes));
        previous = Some((member, score));
    }
    hashes.sort_unstable();
    if hashes.windows(2).any(|pair| pair[0] == pair[1]) {
        let mut members = HashSet::new();
        if !listpack.iter().step_by(2).all(|member| members.insert(member.to_vec())) {
            return Err(ZSetError::Duplicate);
        }
    }
    Ok(())
}

fn seek(listpack: &Listpack, index: usize) -> Position {
    i64::try_from(index).ok().and_then(|index| listpack.seek(index)).expect(BROKEN)
}

/// The score of the member at this position.
fn score_position(listpack: &Listpack, member: Position) -> Position {
    listpack.next(member).expect(BROKEN)
}

fn score_of(element: Element<'_>) -> f64 {
    parse_score(element).expect(BROKEN)
}

fn parse_score(element: Element<'_>) -> Option<f64> {
    match element {
        Element::Int(integer) => Some(integer as f64),
        Element::Str(text) => parse_f64(text),
    }
}

fn score_text(score: f64) -> Vec<u8> {
    let mut text = Vec::with_capacity(24);
    format_score(score, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_scores_as_redis_does() {
        let check = |score, expected: Element<'_>| {
            let mut listpack = Listpack::new();
            insert(&mut listpack, b"m", score);
            assert_eq!(listpack.iter().nth(1), Some(expected));
            assert_eq!(range(&listpack, 0..1, Order::Ascending).next(), Some((Element::Str(b"m"), score)));
        };
        check(1.0, Element::Int(1));
        check(-0.0, Element::Int(0));
        check(9007199254740993.0, Element::Int(9007199254740992));
        check(0.1, Element::Str(b"0.10000000000000001"));
        check(-1.5, Element::Str(b"-1.5"));
        check(3e20, Element::Str(b"3e+20"));
        check(1e17, Element::Int(100_000_000_000_000_000));
        check(-4.611686018427388e18, Element::Int(-4_611_686_018_427_387_904));
        check(4.611686018427389e18, Element::Str(b"4.6116860184273889e+18"));
        check(f64::INFINITY, Element::Str(b"inf"));
        check(f64::NEG_INFINITY, Element::Str(b"-inf"));
        check(5e-324, Element::Str(b"4.9406564584124654e-324"));
    }

    #[test]
    fn validates_what_comes_from_outside() {
        let check = |elements: &[&str], expected| {
            let listpack: Listpack = elements.iter().map(|element| element.as_bytes()).collect();
            assert_eq!(validate(&listpack), expected, "{elements:?}");
        };
        check(&[], Ok(()));
        check(&["a", "1", "b", "1", "2", "1.5", "1", "inf"], Ok(()));
        check(&["a", "0.10000000000000001"], Ok(()));
        check(&["a", "-0", "b", "0"], Ok(()));
        check(&["a", "1", "b"], Err(ZSetError::Odd));
        check(&["a", "nan"], Err(ZSetError::Score));
        check(&["a", ""], Err(ZSetError::Score));
        check(&["a", "2", "b", "1"], Err(ZSetError::Order));
        check(&["b", "1", "a", "1"], Err(ZSetError::Order));
        check(&["a", "1", "a", "1"], Err(ZSetError::Order));
        check(&["a", "1", "b", "2", "a", "3"], Err(ZSetError::Duplicate));
        check(&["7", "1", "b", "2", "7", "3"], Err(ZSetError::Duplicate));
    }
}
