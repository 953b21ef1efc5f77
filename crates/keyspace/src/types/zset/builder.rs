//! Makes a sorted set from members in any order: results of ZUNIONSTORE and the like, files, copies.
//!
//! Scores change freely while members are gathered, and are ordered once, at the end: a union costs one lookup per
//! member and one sort. Sorted input, forward or backward, is ordered in O(n).

use super::member::{Member, MemberPointer};
use super::table::SortedTable;
use super::tree::Entry;
use super::{ZSet, compact, fits_listpack};
use crate::types::dict::{self, Dict};
use crate::types::listpack::Listpack;

/// A sorted set in the making; see [`Builder::finish`].
pub struct Builder {
    members: Dict<Member>,
    /// In the order of arrival, which is often that of the scores.
    arrivals: Vec<MemberPointer>,
    member_bytes: usize,
    text_bytes: usize,
    longest: usize,
}

// SAFETY: `arrivals` points at blocks that `members` owns; they move together.
unsafe impl Send for Builder {}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

/// The most arrivals to make room for on somebody's word.
const CAPACITY_BELIEVED_MAX: usize = 1 << 16;

impl Builder {
    /// Starts without members.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// Starts without members, expecting about as many as this. A hint: a number that a file claims is harmless.
    pub fn with_capacity(members: usize) -> Self {
        Self {
            members: Dict::with_capacity(members),
            arrivals: Vec::with_capacity(members.min(CAPACITY_BELIEVED_MAX)),
            member_bytes: 0,
            text_bytes: 0,
            longest: 0,
        }
    }

    /// How many members there are so far.
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// There are none so far.
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// The member's score so far.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.get(member).map(Member::score)
    }

    /// Sets a member's score; false if it already had one. The score is not NaN.
    pub fn insert(&mut self, member: &[u8], score: f64) -> bool {
        self.merge(member, score, |_, new| new)
    }

    /// Gives a new member this score, and one that is there `combine(its score, this score)`; true if it is new.
    /// Neither score is NaN.
    pub fn merge(&mut self, member: &[u8], score: f64, combine: impl FnOnce(f64, f64) -> f64) -> bool {
        match self.members.entry(member) {
            dict::Entry::Occupied(found) => {
                let score = combine(found.score(), score);
                assert!(!score.is_nan(), "callers refuse NaN");
                // SAFETY: the dict owns the block, and `self` is borrowed exclusively.
                unsafe { found.pointer().set_score(score) };
                false
            }
            dict::Entry::Vacant(place) => {
                assert!(!score.is_nan(), "callers refuse NaN");
                self.text_bytes += member.len();
                self.longest = self.longest.max(member.len());
                let member = Member::new(member, score);
                self.arrivals.push(member.pointer());
                self.member_bytes += member.memory_bytes();
                place.insert(member);
                true
            }
        }
    }

    /// The sorted set, in the compact encoding if the limits allow it. O(n log n), or O(n) for sorted arrivals.
    pub fn finish(self) -> ZSet {
        if !fits_listpack(self.len(), self.longest, self.text_bytes, &Listpack::new()) {
            return ZSet::from_table(self.into_table());
        }
        let mut listpack = Listpack::new();
        for entry in self.sorted() {
            // SAFETY: the dict owns the block.
            compact::push_back(&mut listpack, unsafe { entry.member.bytes() }, entry.score);
        }
        ZSet::from_valid_listpack(listpack)
    }

    /// The large encoding, whatever the limits say.
    pub(super) fn into_table(self) -> SortedTable {
        let entries = self.sorted();
        SortedTable::from_sorted(self.members, &entries, self.member_bytes)
    }

    /// The members with their scores, in order. O(n log n), or O(n) for sorted arrivals.
    pub fn entries(&self) -> Vec<(&[u8], f64)> {
        // SAFETY: the dict owns the blocks, and is borrowed as long as what is returned.
        self.sorted().into_iter().map(|entry| (unsafe { entry.member.bytes() }, entry.score)).collect()
    }

    fn sorted(&self) -> Vec<Entry> {
        // SAFETY: the dict owns all blocks that have arrived, here and below.
        let entry = |&member: &MemberPointer| Entry { score: unsafe { member.score() }, member };
        let mut entries: Vec<_> = self.arrivals.iter().map(entry).collect();
        entries.sort_unstable_by(|a, b| {
            let scores = a.score.partial_cmp(&b.score).expect("no score is NaN");
            // SAFETY: as above.
            scores.then_with(|| unsafe { a.member.bytes().cmp(b.member.bytes()) })
        });
        entries
    }
}
