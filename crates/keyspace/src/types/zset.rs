//! Sorted sets: members with scores, ordered by score and then by member bytes.
//!
//! | encoding | is | holds |
//! |---|---|---|
//! | `listpack` | member, score, member, score in one block | up to `zset-max-listpack-entries` short members |
//! | `skiplist` | a [dict](super::dict) to find members, a [counted B+-tree](tree) to order them | the rest |
//!
//! The large encoding has Redis's name, since OBJECT ENCODING is part of the protocol, but it is no skiplist. A skiplist
//! step is a cache miss and its node costs 8 bytes per link and per span; a step of the tree is a search in one array. A million
//! 13-byte members with random scores take 59 bytes each (74 resident, with mimalloc), 52 if they come in order; in
//! redis-server 7.0.15 they take 110 (114 resident).
//!
//! There is one kind of range here, by rank. [`ZSet::ranks_by_score`] and [`ZSet::ranks_by_lex`] turn the others into it
//! in O(log n), [`window`] applies LIMIT, and [`ZSet::range`] or [`ZSet::remove_range`] does the rest. A score is
//! never NaN: commands refuse it, and files are checked.

mod builder;
mod compact;
mod member;
mod range;
mod table;
mod tree;

pub use builder::Builder;
pub use compact::ZSetError;
pub use range::{LexBound, LexRange, Order, ScoreBound, ScoreRange, window};

use crate::limits::LIMITS;
use crate::random::{self, Selection};
use crate::types::listpack::{Element, Listpack};
use crate::types::tagged::{Repr, ReprMut, Tagged};
use member::Member;
use std::ops::Range;
use table::SortedTable;

/// A sorted set, one word wide.
#[repr(transparent)]
pub struct ZSet(Tagged<Listpack, SortedTable>);

const _: () = assert!(size_of::<ZSet>() == 8);

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It has another score.
    Updated,
    /// All is as it was.
    Unchanged,
}

/// Entries in the order that was asked for. The exact number that is left is known.
pub struct Iter<'a>(Entries<'a>);

enum Entries<'a> {
    Compact(compact::Pairs<'a>),
    Table(tree::Entries<'a>),
}

impl ZSet {
    /// An empty sorted set.
    pub fn new() -> Self {
        Self::from_valid_listpack(Listpack::new())
    }

    /// Takes over a listpack of members and scores in order, as an RDB file has it, after checking it; O(n log n). It
    /// becomes the large encoding if it has more entries than the limit.
    pub fn from_listpack(listpack: Listpack) -> Result<Self, ZSetError> {
        compact::validate(&listpack)?;
        let too_many = compact::len(&listpack) as u64 > LIMITS.zset_max_listpack_entries();
        let zset = Self::from_valid_listpack(listpack);
        Ok(if too_many { Self::from_table(zset.to_table()) } else { zset })
    }

    /// The compact encoding, if it is that: what an RDB file holds.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.get() {
            Repr::First(listpack) => Some(listpack),
            Repr::Second(_) | Repr::Third(_) => None,
        }
    }

    /// Number of members. O(1).
    pub fn len(&self) -> usize {
        match self.0.get() {
            Repr::First(listpack) => compact::len(listpack),
            Repr::Second(table) => table.len(),
            Repr::Third(never) => match *never {},
        }
    }

    /// It has no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member's score. O(1), or O(n) in the compact encoding, as for all members below.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.0.get() {
            Repr::First(listpack) => compact::find(listpack, member).map(|(_, score)| score),
            Repr::Second(table) => table.score(member),
            Repr::Third(never) => match *never {},
        }
    }

    /// Adds a member, or gives it another score, which must not be NaN; -0 and 0 are the same score. O(log n).
    pub fn insert(&mut self, member: &[u8], score: f64) -> Change {
        self.update_with(member, |_| Some(score))
    }

    /// Gives the member the score that `decide` makes of its present one, which must not be NaN; changes nothing if
    /// `decide` says `None`. One lookup for what ZADD's options and ZINCRBY need. O(log n).
    pub fn update_with(&mut self, member: &[u8], decide: impl FnOnce(Option<f64>) -> Option<f64>) -> Change {
        let listpack = match self.0.get_mut() {
            ReprMut::First(listpack) => listpack,
            ReprMut::Second(table) => return table.update_with(member, decide),
            ReprMut::Third(never) => match *never {},
        };
        let found = compact::find(listpack, member);
        let present = found.map(|(_, score)| score);
        let Some(score) = decide(present).filter(|score| present != Some(*score)) else {
            return Change::Unchanged;
        };
        assert!(!score.is_nan(), "callers refuse NaN");
        if let Some((position, _)) = found {
            compact::update(listpack, position, member, score);
            return Change::Updated;
        }
        if fits_listpack(compact::len(listpack) + 1, member.len(), member.len(), listpack) {
            compact::insert(listpack, member, score);
            return Change::Added;
        }
        let mut table = self.to_table();
        let change = table.update_with(member, |_| Some(score));
        *self = Self::from_table(table);
        change
    }

    /// Removes a member and gives its score. O(log n).
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self.0.get_mut() {
            ReprMut::First(listpack) => {
                let (position, score) = compact::find(listpack, member)?;
                listpack.remove_many(position, 2);
                Some(score)
            }
            ReprMut::Second(table) => table.remove(member),
            ReprMut::Third(never) => match *never {},
        }
    }

    /// How many members come before this one. O(log n).
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match self.0.get() {
            Repr::First(listpack) => compact::rank(listpack, member),
            Repr::Second(table) => table.rank(member),
            Repr::Third(never) => match *never {},
        }
    }

    /// All entries, ascending.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..usize::MAX, Order::Ascending)
    }

    /// The entries with these (ascending) ranks, as far as they exist, in either order. O(log n + k).
    pub fn range(&self, ranks: Range<usize>, order: Order) -> Iter<'_> {
        Iter(match self.0.get() {
            Repr::First(listpack) => Entries::Compact(compact::range(listpack, ranks, order)),
            Repr::Second(table) => Entries::Table(table.range(ranks, order)),
            Repr::Third(never) => match *never {},
        })
    }

    /// The ranks of the members whose scores are in the range; its length is their number. O(log n).
    pub fn ranks_by_score(&self, range: &ScoreRange) -> Range<usize> {
        let start = self.partition_by_score(|score| range.is_before(score));
        start..self.partition_by_score(|score| range.is_not_after(score)).max(start)
    }

    /// The ranks of the members in the range, given that all scores are equal; its length is their number. O(log n).
    pub fn ranks_by_lex(&self, range: &LexRange<'_>) -> Range<usize> {
        let start = self.partition_by_member(|member| range.is_before(member));
        start..self.partition_by_member(|member| range.is_not_after(member)).max(start)
    }

    /// Removes the entries with these ranks, as far as they exist, and passes them on in ascending order; gives their
    /// number. O(log n + k).
    pub fn remove_range(&mut self, ranks: Range<usize>, mut removed: impl FnMut(Element<'_>, f64)) -> usize {
        let length = self.len();
        let ranks = ranks.start.min(length)..ranks.end.min(length);
        match self.0.get_mut() {
            ReprMut::First(listpack) => {
                compact::range(listpack, ranks.clone(), Order::Ascending)
                    .for_each(|(member, score)| removed(member, score));
                compact::remove_range(listpack, ranks.clone());
            }
            ReprMut::Second(table) => {
                table.remove_range(ranks.clone(), |member, score| removed(Element::Str(member), score));
            }
            ReprMut::Third(never) => match *never {},
        }
        ranks.len()
    }

    /// Removes up to `count` entries from the start (ascending) or the end (descending) and passes them on in this order;
    /// gives their number. O(log n + k).
    pub fn pop(&mut self, order: Order, count: usize, mut popped: impl FnMut(Element<'_>, f64)) -> usize {
        let ranks = window(0..self.len(), order, 0, Some(count));
        match order {
            Order::Ascending => self.remove_range(ranks, popped),
            Order::Descending => {
                self.range(ranks.clone(), order).for_each(|(member, score)| popped(member, score));
                self.remove_range(ranks, |_, _| ())
            }
        }
    }

    /// An entry, each equally likely. O(1) expected.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<(Element<'_>, f64)> {
        match self.0.get() {
            Repr::First(listpack) if listpack.is_empty() => None,
            Repr::First(listpack) => {
                let rank = random::index(compact::len(listpack), random);
                compact::range(listpack, rank..rank + 1, Order::Ascending).next()
            }
            Repr::Second(table) => table.random(random).map(entry_of),
            Repr::Third(never) => match *never {},
        }
    }

    /// `count` different entries, or all if there are fewer, each such choice equally likely, their order unspecified.
    /// Expected O(count) if that is a small part of the whole, else O(n).
    pub fn sample(&self, count: usize, random: &mut impl FnMut() -> u64) -> Vec<(Element<'_>, f64)> {
        match self.0.get() {
            Repr::First(listpack) => {
                let mut selection = Selection::new(count, compact::len(listpack));
                self.iter().filter(|_| selection.takes_next(random)).collect()
            }
            Repr::Second(table) => table.sample(count, random).into_iter().map(entry_of).collect(),
            Repr::Third(never) => match *never {},
        }
    }

    /// Visits about `count` entries and gives the cursor to go on with, 0 at the end; as [`super::dict::Dict::scan`].
    /// The compact encoding is visited at once.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'_>, f64)) -> u64 {
        match self.0.get() {
            Repr::First(_) => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            Repr::Second(table) => table.scan(cursor, count, |member| {
                let (member, score) = entry_of(member);
                visit(member, score);
            }),
            Repr::Third(never) => match *never {},
        }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match self.0.get() {
            Repr::First(_) => "listpack",
            Repr::Second(_) | Repr::Third(_) => "skiplist",
        }
    }

    /// Heap bytes owned. O(1).
    pub fn memory_bytes(&self) -> usize {
        match self.0.get() {
            Repr::First(listpack) => listpack.memory_bytes(),
            Repr::Second(table) => table.memory_bytes(),
            Repr::Third(never) => match *never {},
        }
    }

    /// How many allocations a drop gives back. O(1).
    pub fn effort(&self) -> usize {
        match self.0.get() {
            Repr::First(_) => 1,
            Repr::Second(table) => table.effort(),
            Repr::Third(never) => match *never {},
        }
    }

    fn partition_by_score(&self, is_before: impl Fn(f64) -> bool) -> usize {
        match self.0.get() {
            Repr::First(listpack) => compact::partition_by_score(listpack, is_before),
            Repr::Second(table) => table.partition_by_score(is_before),
            Repr::Third(never) => match *never {},
        }
    }

    fn partition_by_member(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        match self.0.get() {
            Repr::First(listpack) => compact::partition_by_member(listpack, is_before),
            Repr::Second(table) => table.partition_by_member(is_before),
            Repr::Third(never) => match *never {},
        }
    }

    fn from_valid_listpack(listpack: Listpack) -> Self {
        Self(Tagged::first(listpack))
    }

    fn from_table(table: SortedTable) -> Self {
        Self(Tagged::second(Box::new(table)))
    }

    /// A copy in the large encoding.
    fn to_table(&self) -> SortedTable {
        let mut builder = Builder::with_capacity(self.len());
        let mut buffer = [0; 20];
        for (member, score) in self.iter() {
            builder.insert(member.as_bytes(&mut buffer), score);
        }
        builder.into_table()
    }
}

impl Default for ZSet {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for ZSet {
    /// A copy in the same encoding. O(n).
    fn clone(&self) -> Self {
        match self.0.get() {
            Repr::First(listpack) => Self::from_valid_listpack(listpack.clone()),
            Repr::Second(table) => Self::from_table(table.clone()),
            Repr::Third(never) => match *never {},
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Entries::Compact(pairs) => pairs.next(),
            Entries::Table(entries) => entries.next().map(|entry| {
                // SAFETY: the table owns what its tree points at, and is borrowed for `'a`.
                (Element::Str(unsafe { entry.member.bytes() }), entry.score)
            }),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Entries::Compact(pairs) => pairs.size_hint(),
            Entries::Table(entries) => entries.size_hint(),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a ZSet {
    type Item = (Element<'a>, f64);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

fn entry_of(member: &Member) -> (Element<'_>, f64) {
    (Element::Str(member.bytes()), member.score())
}

/// Whether the limits allow the compact encoding for so many members, the longest this long, when this many bytes come
/// to what the listpack has already.
fn fits_listpack(entries: usize, longest: usize, added_bytes: usize, listpack: &Listpack) -> bool {
    entries as u64 <= LIMITS.zset_max_listpack_entries()
        && longest as u64 <= LIMITS.zset_max_listpack_value()
        && listpack.safe_to_add(added_bytes)
}

#[cfg(test)]
mod tests;
