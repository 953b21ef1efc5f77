//! The nodes of the tree: parallel columns of fixed capacity, and pointers to them.
//!
//! Nodes are allocated as zeros, which is a valid empty node, so that all work on columns is safe code over arrays.
//! Only following a [`Node`] is not: which kind it points at is known by the level alone.

use super::Entry;
use crate::types::zset::member::MemberPointer;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;

/// Entries of a leaf: with the header it is 1024 bytes, a size that allocators serve without waste.
pub(super) const LEAF_CAPACITY: usize = 62;
/// Children of an inner node: it is 1024 bytes too.
pub(super) const INNER_CAPACITY: usize = 31;

/// What both kinds of nodes can do with their parallel columns; `items` below are rows across all columns.
pub(super) trait Columns: Sized {
    const CAPACITY: usize;
    const IS_LEAF: bool;
    /// Under this many items a node is mended with its neighbour.
    const FEW: usize = Self::CAPACITY * 3 / 8;
    /// Two neighbours with this many items together become one. Not quite full, or the next insert would split it.
    const MERGED_MAX: usize = Self::CAPACITY * 7 / 8;

    fn length(&self) -> usize;
    fn set_length(&mut self, length: usize);
    fn first(&self) -> Entry;
    /// Entries below these items.
    fn entries(&self) -> usize;
    fn copy_within(&mut self, items: Range<usize>, to: usize);
    fn copy_from(&mut self, to: usize, other: &Self, items: Range<usize>);

    /// Makes room for an item, which the caller writes.
    fn open(&mut self, at: usize) {
        let length = self.length();
        self.copy_within(at..length, at + 1);
        self.set_length(length + 1);
    }

    /// Takes items away.
    fn close(&mut self, items: Range<usize>) {
        let length = self.length();
        self.copy_within(items.end..length, items.start);
        self.set_length(length - items.len());
    }

    /// Moves the items from `at` on to an empty node on the right.
    fn split_off(&mut self, at: usize, right: &mut Self) {
        let length = self.length();
        right.copy_from(0, self, at..length);
        right.set_length(length - at);
        self.set_length(at);
    }

    /// Moves all items of the node on the right to the end of this one.
    fn append(&mut self, right: &mut Self) {
        let (length, more) = (self.length(), right.length());
        self.copy_from(length, right, 0..more);
        self.set_length(length + more);
        right.set_length(0);
    }

    /// Moves items between this node and the one on its right until both have the same number, give or take one.
    fn balance(&mut self, right: &mut Self) {
        let (length, right_length) = (self.length(), right.length());
        let half = (length + right_length) / 2;
        if length < half {
            self.copy_from(length, right, 0..half - length);
            self.set_length(half);
            right.close(0..half - length);
        } else {
            let moved = length - half;
            right.copy_within(0..right_length, moved);
            right.copy_from(0, self, half..length);
            right.set_length(right_length + moved);
            self.set_length(half);
        }
    }
}

#[repr(C, align(64))]
pub(super) struct Leaf {
    pub(super) length: usize,
    pub(super) next: *mut Leaf,
    pub(super) previous: *mut Leaf,
    pub(super) scores: [f64; LEAF_CAPACITY],
    pub(super) members: [MemberPointer; LEAF_CAPACITY],
}

#[repr(C, align(64))]
pub(super) struct Inner {
    pub(super) length: usize,
    pub(super) scores: [f64; INNER_CAPACITY],
    pub(super) members: [MemberPointer; INNER_CAPACITY],
    pub(super) counts: [usize; INNER_CAPACITY],
    pub(super) children: [Node; INNER_CAPACITY],
}

const _: () = assert!(size_of::<Leaf>() == 1024 && size_of::<Inner>() == 1024);

impl Columns for Leaf {
    const CAPACITY: usize = LEAF_CAPACITY;
    const IS_LEAF: bool = true;

    fn length(&self) -> usize {
        self.length
    }
    fn set_length(&mut self, length: usize) {
        self.length = length;
    }
    fn first(&self) -> Entry {
        self.entry(0)
    }
    fn entries(&self) -> usize {
        self.length
    }
    fn copy_within(&mut self, items: Range<usize>, to: usize) {
        self.scores.copy_within(items.clone(), to);
        self.members.copy_within(items, to);
    }
    fn copy_from(&mut self, to: usize, other: &Self, items: Range<usize>) {
        let target = to..to + items.len();
        self.scores[target.clone()].copy_from_slice(&other.scores[items.clone()]);
        self.members[target].copy_from_slice(&other.members[items]);
    }
}

impl Columns for Inner {
    const CAPACITY: usize = INNER_CAPACITY;
    const IS_LEAF: bool = false;

    fn length(&self) -> usize {
        self.length
    }
    fn set_length(&mut self, length: usize) {
        self.length = length;
    }
    fn first(&self) -> Entry {
        Entry { score: self.scores[0], member: self.members[0] }
    }
    fn entries(&self) -> usize {
        self.counts[..self.length].iter().sum()
    }
    fn copy_within(&mut self, items: Range<usize>, to: usize) {
        self.scores.copy_within(items.clone(), to);
        self.members.copy_within(items.clone(), to);
        self.counts.copy_within(items.clone(), to);
        self.children.copy_within(items, to);
    }
    fn copy_from(&mut self, to: usize, other: &Self, items: Range<usize>) {
        let target = to..to + items.len();
        self.scores[target.clone()].copy_from_slice(&other.scores[items.clone()]);
        self.members[target.clone()].copy_from_slice(&other.members[items.clone()]);
        self.counts[target.clone()].copy_from_slice(&other.counts[items.clone()]);
        self.children[target].copy_from_slice(&other.children[items]);
    }
}

impl Leaf {
    pub(super) fn entry(&self, at: usize) -> Entry {
        Entry { score: self.scores[at], member: self.members[at] }
    }

    pub(super) fn set(&mut self, at: usize, entry: Entry) {
        self.scores[at] = entry.score;
        self.members[at] = entry.member;
    }
}

impl Inner {
    pub(super) fn set_child<C: Columns>(&mut self, at: usize, child: &C, node: Node) {
        self.counts[at] = child.entries();
        self.children[at] = node;
        self.set_first(at, child.first());
    }

    pub(super) fn set_first(&mut self, at: usize, first: Entry) {
        self.scores[at] = first.score;
        self.members[at] = first.member;
    }
}

/// A leaf or an inner node; which one, the level says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Node(pub(super) *mut u8);

impl Node {
    pub(super) fn new<C: Columns>() -> Self {
        let layout = Layout::new::<C>();
        // SAFETY: the layout is not empty; all-zero bytes are a valid leaf and a valid inner node (numbers and null
        // pointers), and `Columns` is private to this file and implemented by these two only.
        let node = unsafe { alloc_zeroed(layout) };
        if node.is_null() {
            handle_alloc_error(layout);
        }
        Self(node)
    }

    /// # Safety
    /// It is a live node of this kind that nothing points at any more.
    pub(super) unsafe fn free<C: Columns>(self) {
        // SAFETY: `new` allocated it with this layout.
        unsafe { dealloc(self.0, Layout::new::<C>()) }
    }

    /// # Safety
    /// It is a live node of this kind, and nobody changes it during `'a`.
    pub(super) unsafe fn read<'a, C: Columns>(self) -> &'a C {
        // SAFETY: promised by the caller.
        unsafe { &*self.0.cast::<C>() }
    }

    /// # Safety
    /// It is a live node of this kind, and nobody else looks at it during `'a`.
    pub(super) unsafe fn write<'a, C: Columns>(self) -> &'a mut C {
        // SAFETY: promised by the caller.
        unsafe { &mut *self.0.cast::<C>() }
    }
}

/// Writes what a parent knows about its child `node`, whose children (if it has any) are `level - 1` levels high.
///
/// # Safety
/// `node` is a live node of that level and not `parent`; nobody else looks at it.
pub(super) unsafe fn set_child_at(parent: &mut Inner, at: usize, node: Node, level: usize) {
    // SAFETY: promised by the caller.
    unsafe {
        match level {
            0 => parent.set_child(at, node.read::<Leaf>(), node),
            _ => parent.set_child(at, node.read::<Inner>(), node),
        }
    }
}

/// The first entry of a node.
///
/// # Safety
/// `node` is a live node of that level; nobody changes it.
pub(super) unsafe fn first_of(node: Node, level: usize) -> Entry {
    // SAFETY: promised by the caller.
    unsafe {
        match level {
            0 => node.read::<Leaf>().first(),
            _ => node.read::<Inner>().first(),
        }
    }
}

/// The number of leading items for which `is_before` holds: a binary search whose steps compile to conditional moves.
pub(super) fn search(
    scores: &[f64],
    members: &[MemberPointer],
    is_before: impl Fn(f64, MemberPointer) -> bool,
) -> usize {
    let mut base = 0;
    let mut size = scores.len().min(members.len());
    while size > 1 {
        let half = size / 2;
        let middle = base + half;
        base = if is_before(scores[middle], members[middle]) { middle } else { base };
        size -= half;
    }
    base + usize::from(size == 1 && is_before(scores[base], members[base]))
}

/// The child in which the prefix of entries with `is_before` ends.
pub(super) fn child_for(inner: &Inner, is_before: impl Fn(f64, MemberPointer) -> bool) -> usize {
    search(&inner.scores[..inner.length], &inner.members[..inner.length], is_before).saturating_sub(1)
}

/// The child that holds the rank, which becomes the rank within that child.
pub(super) fn child_at(inner: &Inner, rank: &mut usize) -> usize {
    let last = inner.length - 1;
    for (child, &count) in inner.counts[..last].iter().enumerate() {
        if *rank < count {
            return child;
        }
        *rank -= count;
    }
    last
}
