//! A long list: a deque of listpacks, each about as large as the limits allow, and of single large elements.
//!
//! ```text
//! | Packed, count | Plain | Packed, count | ...       16 bytes a node
//!     |               |
//!   listpack        bytes
//! ```
//!
//! The directory keeps the number of elements of each node beside its pointer. So the search for an index touches no
//! node but the one it ends in, and begins at the nearer end: a million short elements are 1,500 nodes, that is
//! 24 KB to scan at most half of. Redis links its nodes and follows the links.
//!
//! Elements and heap bytes are counted as they change: every change of a node goes through
//! [`QuickList::edit`], [`QuickList::insert_node`] or [`QuickList::remove_node`].
//!
//! When an element does not fit into its node, it goes to the neighbour, into a node of its own, or splits the
//! node; halves are merged with their neighbours where that fits. Nodes are not compressed: `list-compress-depth`
//! is accepted, and has no effect. Rejected: a tree of counts, which would pay with pointers on every push.

use std::collections::{VecDeque, vec_deque};
use std::ops::Range;

use super::super::listpack::{self, Element, Listpack, Needle};
use super::{End, Side};
use crate::limits::LIMITS;

/// The most bytes of a node whose limit is a number of elements.
const NODE_BYTES_SAFE: usize = 8192;
/// What Redis adds to a value's length when it asks whether a node has room.
const ENTRY_OVERHEAD: usize = 8;
/// A directory this much longer than its nodes need is cut, unless it is short.
const DIRECTORY_SLACK: usize = 4;
const DIRECTORY_MIN: usize = 16;

/// How large a node may be.
#[derive(Clone, Copy)]
pub(super) struct NodeLimit {
    bytes: usize,
    count: usize,
    /// The bytes above apply as a bound for safety only, the count is what is configured.
    is_by_count: bool,
    plain_bytes_min: usize,
}

impl NodeLimit {
    /// The limits in force.
    pub(super) fn current() -> Self {
        let size = LIMITS.list_max_listpack_size();
        let (bytes, count) = match size {
            ..=-5 => (65_536, usize::MAX),
            -4 => (32_768, usize::MAX),
            -3 => (16_384, usize::MAX),
            -2 => (8192, usize::MAX),
            -1 => (4096, usize::MAX),
            0.. => (NODE_BYTES_SAFE, usize::try_from(size).unwrap_or(usize::MAX).max(1)),
        };
        let plain_bytes_min = match LIMITS.quicklist_packed_threshold() {
            0 => bytes + 1,
            threshold => usize::try_from(threshold).unwrap_or(usize::MAX),
        };
        Self { bytes, count, is_by_count: size >= 0, plain_bytes_min }
    }

    pub(super) fn is_exceeded(self, bytes: usize, count: usize) -> bool {
        bytes > self.bytes || count > self.count
    }

    /// Whether a node this large is a list in one listpack again, when the list came from a file.
    fn allows_listpack(self, listpack: &Listpack) -> bool {
        let bytes = if self.is_by_count { usize::MAX } else { self.bytes };
        listpack.bytes_len() <= bytes && listpack.len() <= self.count
    }

    /// As above when the list shrinks: half the limit, so that a list at the limit is not converted to and fro.
    fn allows_listpack_again(self, listpack: &Listpack) -> bool {
        Self { bytes: self.bytes / 2, count: self.count / 2, ..self }.allows_listpack(listpack)
    }
}

/// A node of the list, as it is handed over to and taken from an RDB file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListNode {
    /// Any number of elements.
    Packed(Listpack),
    /// One large element.
    Plain(Vec<u8>),
}

/// A node in the directory.
#[derive(Clone)]
pub(super) enum Node {
    Packed { count: u32, listpack: Listpack },
    Plain(Box<Box<[u8]>>),
}

const _: () = assert!(size_of::<Node>() == 16);

impl Node {
    pub(super) fn packed(listpack: Listpack) -> Self {
        Self::Packed { count: count_of(&listpack), listpack }
    }

    /// A node of this element alone.
    fn of(value: &[u8], limit: NodeLimit) -> Self {
        if value.len() >= limit.plain_bytes_min {
            Self::Plain(Box::new(value.into()))
        } else {
            Self::packed([value].into_iter().collect())
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Packed { count, .. } => *count as usize,
            Self::Plain(_) => 1,
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Packed { listpack, .. } => listpack.memory_bytes(),
            Self::Plain(value) => size_of::<Box<[u8]>>() + value.len(),
        }
    }

    /// The listpack, if it has room for a value this long.
    fn room_for(&mut self, value: &[u8], limit: NodeLimit) -> Option<&mut Listpack> {
        let Self::Packed { count, listpack } = self else { return None };
        let bytes = listpack.bytes_len().saturating_add(value.len()).saturating_add(ENTRY_OVERHEAD);
        let is_fitting =
            value.len() < limit.plain_bytes_min && !limit.is_exceeded(bytes, *count as usize + 1);
        is_fitting.then_some(listpack)
    }

    pub(super) fn iter(&self) -> NodeIter<'_> {
        match self {
            Self::Packed { listpack, .. } => NodeIter::Packed(listpack.iter()),
            Self::Plain(value) => NodeIter::Plain(Some(value)),
        }
    }

    /// The elements from this one on, in that direction.
    fn iter_from(&self, index: usize, from: End) -> NodeIter<'_> {
        match self {
            Self::Packed { listpack, .. } => NodeIter::packed_from(listpack, index, from),
            Self::Plain(value) => NodeIter::Plain(Some(value)),
        }
    }

    fn get(&self, index: usize) -> Option<Element<'_>> {
        match self {
            Self::Packed { listpack, .. } => Some(listpack.get(listpack.seek(to_signed(index))?)),
            Self::Plain(value) => (index == 0).then_some(Element::Str(value)),
        }
    }

    /// The elements from this one on, in a node of their own; `None` if there are none.
    fn split_off(&mut self, index: usize) -> Option<Self> {
        let Self::Packed { listpack, .. } = self else { return None };
        let tail = listpack.split_off(index);
        (!tail.is_empty()).then(|| Self::packed(tail))
    }

    /// Removes `range`, which is not all there is.
    fn remove_range(&mut self, range: Range<usize>) {
        if let Self::Packed { listpack, .. } = self {
            listpack.remove_range(to_signed(range.start), range.len());
        }
    }
}

/// The elements of a node, from either end.
#[derive(Clone)]
pub(super) enum NodeIter<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> NodeIter<'a> {
    /// The elements of a listpack from this one on, in that direction.
    pub(super) fn packed_from(listpack: &'a Listpack, index: usize, from: End) -> Self {
        match (listpack.seek(to_signed(index)), from) {
            (None, _) => Self::Plain(None),
            (Some(position), End::Front) => Self::Packed(listpack.iter_from(position)),
            (Some(position), End::Back) => Self::Packed(listpack.iter_through(position)),
        }
    }

    #[inline]
    pub(super) fn step(&mut self, from: End) -> Option<Element<'a>> {
        match (self, from) {
            (Self::Packed(elements), End::Front) => elements.next(),
            (Self::Packed(elements), End::Back) => elements.next_back(),
            (Self::Plain(value), _) => value.take().map(Element::Str),
        }
    }
}

/// The deque of nodes. No node is empty.
#[derive(Clone, Default)]
pub(super) struct QuickList {
    nodes: VecDeque<Node>,
    count: usize,
    /// Heap bytes of the nodes.
    node_bytes: usize,
}

impl QuickList {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.nodes.capacity() * size_of::<Node>() + self.node_bytes
    }

    pub(super) fn nodes(&self) -> &VecDeque<Node> {
        &self.nodes
    }

    /// Adds a node at the end; an empty one is left out.
    pub(super) fn push_node(&mut self, node: Node) {
        if node.len() > 0 {
            self.insert_node(self.nodes.len(), node);
        }
    }

    pub(super) fn push(&mut self, end: End, value: &[u8], limit: NodeLimit) {
        let outermost = self.outermost(end).map(|(index, _)| index);
        let is_added = outermost.is_some_and(|index| {
            self.edit(index, |node| {
                let Some(listpack) = node.room_for(value, limit) else { return false };
                match end {
                    End::Front => listpack.push_front(value),
                    End::Back => listpack.push_back(value),
                }
                true
            })
        });
        if !is_added {
            let beyond = match end {
                End::Front => 0,
                End::Back => self.nodes.len(),
            };
            self.insert_node(beyond, Node::of(value, limit));
        }
    }

    /// Removes up to `count` elements from that end.
    pub(super) fn drop_from(&mut self, end: End, mut count: usize) {
        while count > 0
            && let Some((index, node)) = self.outermost(end)
        {
            let length = node.len();
            if count >= length {
                self.remove_node(index);
                count -= length;
                continue;
            }
            let range = match end {
                End::Front => 0..count,
                End::Back => length - count..length,
            };
            self.edit(index, |node| node.remove_range(range));
            return;
        }
    }

    /// Removes the outermost element; one that is a node of its own is not copied.
    pub(super) fn pop(&mut self, end: End) -> Option<Vec<u8>> {
        let (index, node) = self.outermost(end)?;
        if node.len() > 1 {
            return self.edit(index, |node| match node {
                Node::Packed { listpack, .. } => pop_from_listpack(listpack, end),
                Node::Plain(_) => None,
            });
        }
        match self.remove_node(index) {
            Node::Packed { mut listpack, .. } => pop_from_listpack(&mut listpack, end),
            Node::Plain(value) => Some(value.into_vec()),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Element<'_>> {
        let (node, at) = self.locate(index)?;
        self.nodes[node].get(at)
    }

    pub(super) fn set(&mut self, index: usize, value: &[u8], limit: NodeLimit) -> bool {
        let Some((node, at)) = self.locate(index) else { return false };
        if self.nodes[node].len() == 1 {
            self.edit(node, |node| *node = Node::of(value, limit));
            self.merge_around(node, limit);
        } else if !self.edit(node, |node| replace_in_place(node, at, value, limit)) {
            self.edit(node, |node| node.remove_range(at..at + 1));
            self.insert_at(node, at, value, limit);
        }
        true
    }

    /// Adds a value beside the first element that matches; false if there is none.
    pub(super) fn insert(&mut self, pivot: Needle<'_>, side: Side, value: &[u8], limit: NodeLimit) -> bool {
        let found = self.nodes.iter().enumerate().find_map(|(index, node)| {
            let mut elements = node.iter();
            let at = std::iter::from_fn(|| elements.step(End::Front)).position(|e| pivot.matches(e))?;
            Some((index, at))
        });
        let Some((node, at)) = found else { return false };
        self.insert_at(node, at + usize::from(side == Side::After), value, limit);
        true
    }

    /// Removes up to `count` elements that match, counted from that end; gives how many there were.
    pub(super) fn remove(&mut self, value: Needle<'_>, from: End, count: usize) -> usize {
        let mut left = count;
        let mut has_empty = false;
        for step in 0..self.nodes.len() {
            if left == 0 {
                break;
            }
            let index = match from {
                End::Front => step,
                End::Back => self.nodes.len() - 1 - step,
            };
            left -= self.edit(index, |node| match node {
                Node::Packed { listpack, .. } => remove_in_listpack(listpack, value, from, left),
                Node::Plain(text) if value.matches(Element::Str(text)) => {
                    *node = Node::packed(Listpack::new());
                    1
                }
                Node::Plain(_) => 0,
            });
            has_empty |= self.nodes[index].len() == 0;
        }
        if has_empty {
            let empty_bytes = Listpack::new().memory_bytes();
            let before = self.nodes.len();
            self.nodes.retain(|node| node.len() > 0);
            self.node_bytes -= (before - self.nodes.len()) * empty_bytes;
            self.shrink_directory();
        }
        count - left
    }

    /// The elements of `range`, which is within the list, beginning at that end of it.
    pub(super) fn iter_range(
        &self,
        range: Range<usize>,
        from: End,
    ) -> (NodeIter<'_>, vec_deque::Iter<'_, Node>) {
        let start = match from {
            End::Front => range.start,
            End::Back => range.end.saturating_sub(1),
        };
        let Some((node, at)) = self.locate(start) else { return (NodeIter::Plain(None), <_>::default()) };
        let others = match from {
            End::Front => self.nodes.range(node + 1..),
            End::Back => self.nodes.range(..node),
        };
        (self.nodes[node].iter_from(at, from), others)
    }

    /// What is left of a list that shrank, if it is small enough for one listpack.
    pub(super) fn take_small(&mut self, limit: NodeLimit) -> Option<Listpack> {
        self.take_listpack(|listpack| limit.allows_listpack_again(listpack))
    }

    /// The list in one listpack, if it is within the limit.
    pub(super) fn take_fitting(&mut self, limit: NodeLimit) -> Option<Listpack> {
        self.take_listpack(|listpack| limit.allows_listpack(listpack))
    }

    fn take_listpack(&mut self, is_small: impl FnOnce(&Listpack) -> bool) -> Option<Listpack> {
        if self.nodes.len() > 1 {
            return None;
        }
        match self.nodes.front_mut() {
            None => Some(Listpack::new()),
            Some(Node::Packed { listpack, .. }) if is_small(listpack) => Some(std::mem::take(listpack)),
            Some(_) => None,
        }
    }

    fn outermost(&self, end: End) -> Option<(usize, &Node)> {
        match end {
            End::Front => Some((0, self.nodes.front()?)),
            End::Back => self.nodes.iter().enumerate().next_back(),
        }
    }

    /// The node of the index-th element, and its index there. O(nodes), from the nearer end.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        let mut after = self.count.checked_sub(index)?.checked_sub(1)?;
        if index <= after {
            let mut before = index;
            for (number, node) in self.nodes.iter().enumerate() {
                if before < node.len() {
                    return Some((number, before));
                }
                before -= node.len();
            }
        } else {
            for (number, node) in self.nodes.iter().enumerate().rev() {
                if after < node.len() {
                    return Some((number, node.len() - 1 - after));
                }
                after -= node.len();
            }
        }
        None
    }

    /// Adds a value in front of the element `at` of a node, or behind its last one.
    fn insert_at(&mut self, node: usize, at: usize, value: &[u8], limit: NodeLimit) {
        let length = self.nodes[node].len();
        let is_added = self.add_to(node, at, value, limit)
            || at == length && node + 1 < self.nodes.len() && self.add_to(node + 1, 0, value, limit)
            || at == 0 && node > 0 && self.add_to(node - 1, self.nodes[node - 1].len(), value, limit);
        if is_added {
            return;
        }
        if at == 0 || at == length {
            self.insert_node(node + usize::from(at > 0), Node::of(value, limit));
            return;
        }
        let Some(tail) = self.edit(node, |node| node.split_off(at)) else { return };
        self.insert_node(node + 1, tail);
        if !self.add_to(node, at, value, limit) && !self.add_to(node + 1, 0, value, limit) {
            self.insert_node(node + 1, Node::of(value, limit));
            self.merge(node + 2, limit);
        }
        self.merge(node + 1, limit);
        self.merge(node, limit);
    }

    /// Adds a value to a node that has room for it.
    fn add_to(&mut self, node: usize, at: usize, value: &[u8], limit: NodeLimit) -> bool {
        self.edit(node, |node| {
            let Some(listpack) = node.room_for(value, limit) else { return false };
            match listpack.seek(to_signed(at)) {
                Some(position) => listpack.insert_before(position, value),
                None => listpack.push_back(value),
            }
            true
        })
    }

    fn merge_around(&mut self, node: usize, limit: NodeLimit) {
        self.merge(node, limit);
        if node > 0 {
            self.merge(node - 1, limit);
        }
    }

    /// Moves the elements of the next node into this one, if they fit.
    fn merge(&mut self, node: usize, limit: NodeLimit) {
        let (Some(Node::Packed { listpack: left, .. }), Some(Node::Packed { listpack: right, .. })) =
            (self.nodes.get(node), self.nodes.get(node + 1))
        else {
            return;
        };
        if limit.is_exceeded(left.bytes_len() + right.bytes_len(), left.len() + right.len()) {
            return;
        }
        let removed = self.remove_node(node + 1);
        self.edit(node, |node| {
            if let (Node::Packed { listpack, .. }, Node::Packed { listpack: right, .. }) = (node, &removed) {
                listpack.append(right);
            }
        });
    }

    /// Changes a node, and counts what changed.
    fn edit<R>(&mut self, index: usize, change: impl FnOnce(&mut Node) -> R) -> R {
        let node = &mut self.nodes[index];
        self.count -= node.len();
        self.node_bytes -= node.memory_bytes();
        let result = change(node);
        if let Node::Packed { count, listpack } = node {
            *count = count_of(listpack);
        }
        self.count += node.len();
        self.node_bytes += node.memory_bytes();
        result
    }

    fn insert_node(&mut self, index: usize, node: Node) {
        self.count += node.len();
        self.node_bytes += node.memory_bytes();
        self.nodes.insert(index, node);
    }

    fn remove_node(&mut self, index: usize) -> Node {
        let node = self.nodes.remove(index).expect("callers give the index of a node");
        self.count -= node.len();
        self.node_bytes -= node.memory_bytes();
        self.shrink_directory();
        node
    }

    fn shrink_directory(&mut self) {
        if self.nodes.capacity() > DIRECTORY_MIN.max(self.nodes.len() * DIRECTORY_SLACK) {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    /// Panics unless the counts are those of the nodes.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        assert!(self.nodes.iter().all(|node| node.len() > 0), "an empty node");
        assert_eq!(self.count, self.nodes.iter().map(Node::len).sum::<usize>());
        assert_eq!(self.node_bytes, self.nodes.iter().map(Node::memory_bytes).sum::<usize>());
        for node in &self.nodes {
            if let Node::Packed { count, listpack } = node {
                assert_eq!(*count as usize, listpack.iter().count());
                assert_eq!(Listpack::from_bytes(listpack.as_bytes()).as_ref(), Ok(listpack));
            }
        }
    }
}

/// Overwrites an element if its node then is within the limit, or not larger than before.
fn replace_in_place(node: &mut Node, at: usize, value: &[u8], limit: NodeLimit) -> bool {
    let Node::Packed { listpack, .. } = node else { return false };
    let Some(position) = listpack.seek(to_signed(at)) else { return false };
    let old = listpack.get(position).encoded_bytes();
    let new = Element::from_bytes(value).encoded_bytes();
    let is_fitting = new <= old || listpack.bytes_len() - old + new <= limit.bytes;
    if is_fitting && value.len() < limit.plain_bytes_min {
        listpack.replace(position, value);
        return true;
    }
    false
}

pub(super) fn pop_from_listpack(listpack: &mut Listpack, end: End) -> Option<Vec<u8>> {
    let position = match end {
        End::Front => listpack.first(),
        End::Back => listpack.last(),
    }?;
    let value = listpack.get(position).to_vec();
    listpack.remove(position);
    Some(value)
}

/// Removes up to `count` elements that match, counted from that end; gives how many there were.
pub(super) fn remove_in_listpack(
    listpack: &mut Listpack,
    value: Needle<'_>,
    from: End,
    count: usize,
) -> usize {
    let matches = listpack.iter().filter(|&element| value.matches(element)).count();
    let removed = matches.min(count);
    if removed == 0 {
        return 0;
    }
    let first = match from {
        End::Front => 0,
        End::Back => matches - removed,
    };
    let mut seen = 0;
    listpack.retain(|element| {
        let is_match = value.matches(element);
        seen += usize::from(is_match);
        !(is_match && (first + 1..=first + removed).contains(&seen))
    })
}

fn count_of(listpack: &Listpack) -> u32 {
    u32::try_from(listpack.len()).expect("a listpack is shorter than 4 GiB")
}

fn to_signed(index: usize) -> i64 {
    i64::try_from(index).expect("an index of what is in memory")
}
