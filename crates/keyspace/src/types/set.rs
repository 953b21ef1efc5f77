//! A set: distinct members without an order.
//!
//! | encoding | what it is | as long as |
//! |---|---|---|
//! | `intset` | a sorted array of integers | all members are integers, at most `set-max-intset-entries` |
//! | `listpack` | the members one after the other | at most `set-max-listpack-entries`, none longer than `set-max-listpack-value` |
//! | `hashtable` | a [`Dict`] of members, one block each | anything else |
//!
//! The rules are those of Redis 7.2. A set never returns to a smaller encoding; a command that stores a result
//! builds a new set, member by member from [`Set::new`], and so ends up with the smallest one.
//!
//! The value is one word. The listpack, the encoding that there may be millions of, is that word; the others are
//! behind a box. A trait with three implementations was rejected: three encodings are an enum.

use super::dict::{self, Dict, Entry, Member};
use super::distinct::are_distinct;
use super::intset::IntSet;
use super::listpack::{self, Element, Listpack, capacity, parse_integer};
use super::tagged::{Repr, ReprMut, Tagged, ThinPointer};
use super::thin_bytes::ThinBytes;
use crate::limits::LIMITS;
use crate::random::{self, Selection};
use std::ops::Range;

/// A set of byte strings; eight bytes.
#[repr(transparent)]
pub struct Set(Tagged<Listpack, IntSet, SetTable>);

const _: () = assert!(size_of::<Option<Set>>() == 8);

/// The encoding for large sets.
#[derive(Clone, Default)]
struct SetTable {
    dict: Dict<SetMember>,
    /// What the members' blocks take of the heap.
    member_bytes: usize,
}

#[derive(Clone)]
#[repr(transparent)]
struct SetMember(ThinBytes);

// SAFETY: transparent over such a pointer.
unsafe impl ThinPointer for SetMember {}

impl Member for SetMember {
    fn key(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl SetTable {
    fn insert(&mut self, member: &[u8]) -> bool {
        let Entry::Vacant(place) = self.dict.entry(member) else { return false };
        let member = ThinBytes::concat(&[member]);
        self.member_bytes += member.memory_bytes();
        place.insert(SetMember(member));
        true
    }

    fn count_removed(&mut self, removed: &Option<SetMember>) -> bool {
        self.member_bytes -= removed.as_ref().map_or(0, |member| member.0.memory_bytes());
        removed.is_some()
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl Set {
    /// An empty set whose members will decide its encoding.
    pub fn new() -> Self {
        Self::of_integers(IntSet::new())
    }

    /// An empty set for about `members`, of which `first` is one, so that no encoding is made only to be left.
    /// A hint: a number that a file or a client claims is harmless.
    pub fn with_hint(first: &[u8], members: usize) -> Self {
        if parse_integer(first).is_some() && members <= intset_entries_max() {
            Self::of_integers(IntSet::new())
        } else if members <= listpack_entries_max() {
            Self(Tagged::first(Listpack::new()))
        } else {
            Self::of_table(SetTable { dict: Dict::with_capacity(members), member_bytes: 0 })
        }
    }

    /// Takes over the members of an RDB file's listpack; `None` if there are duplicates. O(n log n).
    pub fn from_listpack(members: Listpack) -> Option<Self> {
        if !are_distinct(members.iter()) {
            return None;
        }
        let mut set = Self(Tagged::first(members));
        if set.len() > listpack_entries_max() {
            set.convert_to_table();
        }
        Some(set)
    }

    /// Takes over an RDB file's intset.
    pub fn from_intset(members: IntSet) -> Self {
        let mut set = Self::of_integers(members);
        if set.len() > intset_entries_max() {
            set.convert_to_table();
        }
        set
    }

    fn of_integers(members: IntSet) -> Self {
        Self(Tagged::second(Box::new(members)))
    }

    fn of_table(table: SetTable) -> Self {
        Self(Tagged::third(Box::new(table)))
    }

    /// The listpack, if that is the encoding.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        if let Repr::First(pack) = self.0.get() { Some(pack) } else { None }
    }

    /// The intset, if that is the encoding.
    pub fn as_intset(&self) -> Option<&IntSet> {
        if let Repr::Second(integers) = self.0.get() { Some(integers) } else { None }
    }

    /// The name of the encoding for OBJECT ENCODING.
    pub fn encoding(&self) -> &'static str {
        match self.0.get() {
            Repr::First(_) => "listpack",
            Repr::Second(_) => "intset",
            Repr::Third(_) => "hashtable",
        }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        match self.0.get() {
            Repr::First(pack) => pack.len(),
            Repr::Second(integers) => integers.len(),
            Repr::Third(table) => table.dict.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is a member. O(1), or O(n) within the limits of the small encodings.
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.0.get() {
            Repr::First(pack) => pack.find(member, 0).is_some(),
            Repr::Second(integers) => parse_integer(member).is_some_and(|integer| integers.contains(integer)),
            Repr::Third(table) => table.dict.get(member).is_some(),
        }
    }

    /// As [`Set::contains`], for an element of another set, which need not be printed and parsed again.
    pub fn contains_element(&self, member: Element<'_>) -> bool {
        match (self.0.get(), member) {
            (Repr::Second(integers), Element::Int(integer)) => integers.contains(integer),
            _ => self.contains(member.as_bytes(&mut [0; 20])),
        }
    }

    /// Adds a member; false if it was there. May change the encoding, which is O(n) within the limits.
    pub fn insert(&mut self, member: &[u8]) -> bool {
        match self.0.get_mut() {
            ReprMut::First(pack) => {
                if pack.find(member, 0).is_some() {
                    return false;
                }
                if pack.len() < listpack_entries_max()
                    && member.len() <= listpack_value_max()
                    && pack.safe_to_add(listpack::entry_bytes_max(member.len()))
                {
                    pack.push_back(member);
                    return true;
                }
                self.convert_to_table();
            }
            ReprMut::Second(integers) => {
                if let Some(integer) = parse_integer(member) {
                    return self.insert_integer(integer);
                }
                if fits_listpack(integers, member) {
                    let mut pack = Listpack::new();
                    integers.iter().for_each(|integer| pack.push_back_element(Element::Int(integer)));
                    pack.push_back(member);
                    self.0 = Tagged::first(pack);
                    return true;
                }
                self.convert_to_table();
            }
            ReprMut::Third(_) => (),
        }
        let ReprMut::Third(table) = self.0.get_mut() else {
            unreachable!("whatever else it was has been converted to a table")
        };
        table.insert(member)
    }

    /// As [`Set::insert`], for an element of another set, which need not be printed and parsed again.
    pub fn insert_element(&mut self, member: Element<'_>) -> bool {
        match (self.0.get(), member) {
            (Repr::Second(_), Element::Int(integer)) => self.insert_integer(integer),
            _ => self.insert(member.as_bytes(&mut [0; 20])),
        }
    }

    /// Adds a member to an intset.
    fn insert_integer(&mut self, integer: i64) -> bool {
        let ReprMut::Second(integers) = self.0.get_mut() else { unreachable!("called for an intset only") };
        let is_new = integers.insert(integer);
        if integers.len() > intset_entries_max() {
            self.convert_to_table();
        }
        is_new
    }

    fn convert_to_table(&mut self) {
        let mut table = SetTable { dict: Dict::with_capacity(self.len() + 1), member_bytes: 0 };
        for member in self.iter() {
            table.insert(member.as_bytes(&mut [0; 20]));
        }
        *self = Self::of_table(table);
    }

    /// Removes a member; false if it was not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.0.get_mut() {
            ReprMut::First(pack) => {
                let position = pack.find(member, 0);
                if let Some(position) = position {
                    pack.remove(position);
                }
                position.is_some()
            }
            ReprMut::Second(integers) => {
                parse_integer(member).is_some_and(|integer| integers.remove(integer))
            }
            ReprMut::Third(table) => {
                let removed = table.dict.remove(member);
                table.count_removed(&removed)
            }
        }
    }

    /// All members; integers in ascending order if it is an intset, else in no particular order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match self.0.get() {
            Repr::First(pack) => Members::Listpack(pack.iter()),
            Repr::Second(integers) => Members::Integers(integers, 0..integers.len()),
            Repr::Third(table) => Members::Table(table.dict.iter()),
        })
    }

    /// A member, each equally likely. O(1), or O(n) in a listpack.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<Element<'_>> {
        if let Repr::Third(table) = self.0.get() {
            return table.dict.random(random).map(|member| Element::Str(member.key()));
        }
        if self.is_empty() {
            return None;
        }
        self.iter().nth(random::index(self.len(), random))
    }

    /// Takes out a member, each equally likely. O(1), or O(n) in the small encodings.
    pub fn pop_random(&mut self, random: &mut impl FnMut() -> u64) -> Option<Vec<u8>> {
        if let ReprMut::Third(table) = self.0.get_mut() {
            let member = table.dict.remove_random(random);
            table.count_removed(&member);
            return member.map(|member| member.key().to_vec());
        }
        let member = self.random(random)?.to_vec();
        self.remove(&member);
        Some(member)
    }

    /// `count` distinct members, or all if there are fewer, each such subset equally likely; their order is not
    /// random. Expected O(count) for a small part of a large set, O(n) otherwise.
    pub fn sample(&self, count: usize, random: &mut impl FnMut() -> u64) -> Vec<Element<'_>> {
        if let Repr::Third(table) = self.0.get() {
            let sample = table.dict.sample(count, random);
            return sample.into_iter().map(|member| Element::Str(member.key())).collect();
        }
        let mut selection = Selection::new(count, self.len());
        self.iter().filter(|_| selection.takes_next(random)).collect()
    }

    /// Visits some members and returns the next cursor, 0 at the end: [`Dict::scan`]. The small encodings are
    /// visited as a whole, whatever the cursor, as Redis does.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'_>)) -> u64 {
        if let Repr::Third(table) = self.0.get() {
            return table.dict.scan(cursor, count, |member| visit(Element::Str(member.key())));
        }
        self.iter().for_each(visit);
        0
    }

    /// Bytes of the heap that it takes. O(1).
    pub fn memory_bytes(&self) -> usize {
        match self.0.get() {
            Repr::First(pack) => pack.memory_bytes(),
            Repr::Second(integers) => capacity(size_of::<IntSet>()) + integers.memory_bytes(),
            Repr::Third(table) => {
                capacity(size_of::<SetTable>()) + table.dict.memory_bytes() + table.member_bytes
            }
        }
    }

    /// How many blocks dropping it frees.
    pub fn effort(&self) -> usize {
        match self.0.get() {
            Repr::First(_) => 1,
            Repr::Second(_) => 2,
            Repr::Third(table) => 1 + table.dict.effort() + table.dict.len(),
        }
    }
}

impl Clone for Set {
    fn clone(&self) -> Self {
        Self(match self.0.get() {
            Repr::First(pack) => Tagged::first(pack.clone()),
            Repr::Second(integers) => Tagged::second(Box::new(integers.clone())),
            Repr::Third(table) => Tagged::third(Box::new(table.clone())),
        })
    }
}

/// Whether the integers and another member may be a listpack together. As Redis does, it takes all the integers to
/// be as long as the longest.
fn fits_listpack(integers: &IntSet, member: &[u8]) -> bool {
    let ends = [integers.get(0), integers.len().checked_sub(1).and_then(|last| integers.get(last))];
    let ends = || ends.into_iter().flatten().map(Element::Int);
    let longest = ends().map(Element::len).max().unwrap_or(0);
    let bytes_each = ends().map(Element::encoded_bytes).max().unwrap_or(0);
    integers.len() < listpack_entries_max()
        && member.len().max(longest) <= listpack_value_max()
        && Listpack::new().safe_to_add(integers.len() * bytes_each + listpack::entry_bytes_max(member.len()))
}

fn intset_entries_max() -> usize {
    // Redis's own bound for what the setting allows.
    usize::try_from(LIMITS.set_max_intset_entries()).unwrap_or(usize::MAX).min(1 << 30)
}

fn listpack_entries_max() -> usize {
    usize::try_from(LIMITS.set_max_listpack_entries()).unwrap_or(usize::MAX)
}

fn listpack_value_max() -> usize {
    usize::try_from(LIMITS.set_max_listpack_value()).unwrap_or(usize::MAX)
}

/// The members of a set; made by [`Set::iter`].
#[derive(Clone)]
pub struct Iter<'a>(Members<'a>);

#[derive(Clone)]
enum Members<'a> {
    Listpack(listpack::Iter<'a>),
    Integers(&'a IntSet, Range<usize>),
    Table(dict::Iter<'a, SetMember>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        match &mut self.0 {
            Members::Listpack(members) => members.next(),
            Members::Integers(integers, indexes) => integers.get(indexes.next()?).map(Element::Int),
            Members::Table(members) => members.next().map(|member| Element::Str(member.key())),
        }
    }

    fn nth(&mut self, index: usize) -> Option<Element<'a>> {
        match &mut self.0 {
            Members::Listpack(members) => members.nth(index),
            Members::Integers(integers, indexes) => integers.get(indexes.nth(index)?).map(Element::Int),
            Members::Table(members) => members.nth(index).map(|member| Element::Str(member.key())),
        }
    }
}

impl<'a> IntoIterator for &'a Set {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
