//! The large sorted set: a dict that finds a member, and a tree that orders them.

use super::member::{Member, MemberPointer};
use super::range::Order;
use super::tree::{Entries, Entry, Tree};
use super::{Builder, Change};
use crate::hashing;
use crate::types::dict::{self, Dict};
use std::ops::Range;

/// Owns the members through the dict; the tree's entries are exactly the dict's members with their scores.
pub(super) struct SortedTable {
    members: Dict<Member>,
    tree: Tree,
    member_bytes: usize,
}

impl dict::Member for Member {
    fn key(&self) -> &[u8] {
        self.bytes()
    }
}

impl SortedTable {
    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.get(member).map(Member::score)
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<usize> {
        self.members.get(member).map(|member| self.tree.rank(entry_of(member)))
    }

    pub(super) fn update_with(
        &mut self,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Change {
        match self.members.entry(member) {
            dict::Entry::Occupied(found) => {
                let entry = entry_of(found);
                let Some(score) = decide(Some(entry.score)) else { return Change::Unchanged };
                assert!(!score.is_nan(), "callers refuse NaN");
                if score == entry.score {
                    return Change::Unchanged;
                }
                self.tree.update(entry, score);
                // SAFETY: the dict owns the block, and `self` is borrowed exclusively.
                unsafe { entry.member.set_score(score) };
                Change::Updated
            }
            dict::Entry::Vacant(place) => {
                let Some(score) = decide(None) else { return Change::Unchanged };
                assert!(!score.is_nan(), "callers refuse NaN");
                let member = Member::new(member, score);
                let entry = entry_of(&member);
                self.member_bytes += member.memory_bytes();
                place.insert(member);
                self.tree.insert(entry);
                Change::Added
            }
        }
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let member = self.members.remove(member)?;
        self.member_bytes -= member.memory_bytes();
        self.tree.remove(entry_of(&member));
        Some(member.score())
    }

    pub(super) fn remove_range(&mut self, ranks: Range<usize>, mut removed: impl FnMut(&[u8], f64)) {
        let Self { members, tree, member_bytes } = self;
        tree.remove_range(ranks, |entry| {
            // SAFETY: the dict still owns the block.
            let hash = hashing::hash(unsafe { entry.member.bytes() });
            let member = members
                .remove_found(hash, |member| member.pointer() == entry.member)
                .expect("the dict holds what the tree holds");
            *member_bytes -= member.memory_bytes();
            removed(member.bytes(), entry.score);
        });
    }

    pub(super) fn range(&self, ranks: Range<usize>, order: Order) -> Entries<'_> {
        self.tree.range(ranks, order)
    }

    pub(super) fn partition_by_score(&self, is_before: impl Fn(f64) -> bool) -> usize {
        self.tree.partition_point(|score, _| is_before(score))
    }

    pub(super) fn partition_by_member(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        // SAFETY: the dict owns what the tree points at, and `self` is borrowed.
        self.tree.partition_point(|_, member: MemberPointer| is_before(unsafe { member.bytes() }))
    }

    pub(super) fn random(&self, random: &mut impl FnMut() -> u64) -> Option<&Member> {
        self.members.random(random)
    }

    pub(super) fn sample(&self, count: usize, random: &mut impl FnMut() -> u64) -> Vec<&Member> {
        self.members.sample(count, random)
    }

    pub(super) fn scan(&self, cursor: u64, count: usize, visit: impl FnMut(&Member)) -> u64 {
        self.members.scan(cursor, count, visit)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.members.memory_bytes() + self.tree.memory_bytes() + self.member_bytes
    }

    /// How many allocations a drop gives back.
    pub(super) fn effort(&self) -> usize {
        1 + self.len() + self.members.effort() + self.tree.nodes()
    }

    /// Takes members over, with their entries in ascending order.
    pub(super) fn from_sorted(members: Dict<Member>, entries: &[Entry], member_bytes: usize) -> Self {
        debug_assert_eq!(members.len(), entries.len());
        Self { members, tree: Tree::from_sorted(entries), member_bytes }
    }
}

impl Clone for SortedTable {
    fn clone(&self) -> Self {
        let mut copy = Builder::with_capacity(self.len());
        for entry in self.range(0..usize::MAX, Order::Ascending) {
            // SAFETY: the dict owns what the tree points at, and `self` is borrowed.
            copy.insert(unsafe { entry.member.bytes() }, entry.score);
        }
        copy.into_table()
    }
}

fn entry_of(member: &Member) -> Entry {
    Entry { score: member.score(), member: member.pointer() }
}

#[cfg(test)]
impl SortedTable {
    /// Fails unless the dict and the tree hold the same and their invariants hold.
    pub(super) fn check(&self) {
        self.tree.check();
        assert_eq!(self.members.len(), self.tree.len());
        assert_eq!(self.members.iter().map(Member::memory_bytes).sum::<usize>(), self.member_bytes);
        for entry in self.range(0..usize::MAX, Order::Ascending) {
            // SAFETY: the dict owns what the tree points at, if it is as it should be.
            let found = self.members.get(unsafe { entry.member.bytes() });
            assert!(found.is_some_and(|found| found.pointer() == entry.member));
        }
    }
}
