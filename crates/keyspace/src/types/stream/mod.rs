//! A stream: entries of fields and values, in the order of their IDs, and the groups of consumers that read them.
//!
//! ```text
//! nodes: ID of a node -> listpack of up to stream-node-max-entries entries, or stream-node-max-bytes
//! groups: name -> last ID, pending entries, consumers
//! ```
//!
//! Nodes are those of Redis, byte for byte, so that an RDB file or DUMP takes them as they are ([`node`]). Their index is a B-tree of
//! the standard library: 40 bytes for each node of some kilobytes, where Redis has a radix tree. A stream without entries is
//! still there: its key goes by DEL alone.

mod group;
mod id;
mod node;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};

use super::listpack::Listpack;
use crate::limits::LIMITS;
use crate::value::{Collection, Kind, Value};

pub use group::{Consumer, ConsumerIndex, Group, Pending};
pub use id::StreamId;
use node::{Entries, Node};
pub use node::{Entry, Fields};

/// Largest listpack, in bytes, whatever the limits say; and the longest entry.
pub const NODE_BYTES_MAX: usize = 1 << 30;

/// Most entries that are counted: what is written and read is a number with a sign.
pub const COUNT_MAX: u64 = i64::MAX as u64;

/// See the module's text; eight bytes.
#[derive(Clone)]
pub struct Stream(Box<Inner>);

#[derive(Clone, Default)]
struct Inner {
    nodes: BTreeMap<StreamId, Node>,
    length: u64,
    marks: Marks,
    groups: BTreeMap<Box<[u8]>, Group>,
}

/// What is kept of entries that may be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The greatest ID that was ever added.
    pub last_id: StreamId,
    /// The least ID that is there; the least of all if nothing is.
    pub first_id: StreamId,
    /// The greatest ID that XDEL has deleted; the least of all if there was none.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added.
    pub entries_added: u64,
}

/// What is to stay when a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many of the newest entries.
    Newest(u64),
    /// Those with this ID and greater ones.
    From(StreamId),
}

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What is to stay.
    pub keep: Keep,
    /// Only whole nodes go, so that more may stay.
    pub is_approximate: bool,
    /// At most so many entries go at once, by whole nodes; 0 for no limit.
    pub limit: u64,
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl Stream {
    /// A stream without entries.
    pub fn new() -> Self {
        Self(Box::default())
    }

    /// A stream of an RDB file or a DUMP, without groups: nodes with their IDs. Checks all of it; O(bytes). `None` if the nodes are
    /// none, or overlap, or have another number of entries.
    pub fn from_nodes(
        nodes: impl IntoIterator<Item = (StreamId, Listpack)>,
        length: u64,
        marks: Marks,
    ) -> Option<Self> {
        let mut inner = Inner { length, marks, ..Inner::default() };
        let (mut count, mut last) = (0, None);
        for (base, list) in nodes {
            let node = Node::from_listpack(list, base)?;
            if last.is_some_and(|last| base <= last) {
                return None;
            }
            last = node.entries(base).next_back().map(|entry| entry.id);
            count += node.valid();
            inner.nodes.insert(base, node);
        }
        let is_whole = count == length && last.is_none_or(|last| last <= marks.last_id);
        let mut stream = Self(Box::new(inner));
        // Versions before 7.0 had no such mark.
        stream.find_first();
        is_whole.then_some(stream)
    }

    /// Its nodes with their IDs, as RDB files have them.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (StreamId, &Listpack)> {
        self.0.nodes.iter().map(|(base, node)| (*base, node.listpack()))
    }

    /// Entries.
    pub fn len(&self) -> u64 {
        self.0.length
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.length == 0
    }

    /// What is kept of entries that may be gone.
    pub fn marks(&self) -> Marks {
        self.0.marks
    }

    /// Sets that, but for the least ID (XSETID, and what is read from a file).
    pub fn set_marks(&mut self, last_id: StreamId, entries_added: u64, max_deleted_id: StreamId) {
        let marks = &mut self.0.marks;
        *marks = Marks { last_id, entries_added, max_deleted_id, ..*marks };
    }

    /// The least ID, if there is an entry.
    pub fn first_entry(&self) -> Option<Entry<'_>> {
        self.range(StreamId::MIN..=StreamId::MAX).next()
    }

    /// The entry with the greatest ID.
    pub fn last_entry(&self) -> Option<Entry<'_>> {
        self.range(StreamId::MIN..=StreamId::MAX).next_back()
    }

    /// The ID that an entry gets at this time; `None` if there is none left.
    pub fn next_id(&self, now_ms: u64) -> Option<StreamId> {
        let last = self.0.marks.last_id;
        if now_ms > last.ms { Some(StreamId::new(now_ms, 0)) } else { last.next() }
    }

    /// Adds an entry. Its ID is greater than [`Marks::last_id`]; names and values take less than [`NODE_BYTES_MAX`] bytes.
    pub fn append<'a>(&mut self, id: StreamId, fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) {
        debug_assert!(id > self.0.marks.last_id || self.0.marks == Marks::default());
        let bytes: usize = fields.clone().map(|(name, value)| name.len() + value.len()).sum();
        let inner = &mut *self.0;
        let last = inner.nodes.last_entry().filter(|last| has_room(last.get(), bytes));
        match last {
            Some(mut last) => {
                let base = *last.key();
                last.get_mut().append(base, id, fields);
            }
            None => {
                let mut node = Node::new(fields.clone());
                node.append(id, id, fields);
                inner.nodes.insert(id, node);
            }
        }
        inner.length += 1;
        inner.marks.entries_added = (inner.marks.entries_added + 1).min(COUNT_MAX);
        inner.marks.last_id = id;
        if inner.length == 1 {
            inner.marks.first_id = id;
        }
    }

    /// The entries whose IDs are in a range, from either end.
    pub fn range(&self, ids: RangeInclusive<StreamId>) -> Range<'_> {
        let (start, end) = ids.into_inner();
        if start > end {
            return Range { nodes: None, front: None, back: None, start, end };
        }
        let nodes = &self.0.nodes;
        // A node's first entry may be before the range, and its others in it.
        let from =
            nodes.range(..=start).next_back().map_or(Bound::Unbounded, |(base, _)| Bound::Included(*base));
        let to = Bound::Included(end);
        // The node that has the start may be the only one; a range from behind the end would be none.
        let nodes = match from {
            Bound::Included(base) if base > end => None,
            from => Some(nodes.range((from, to))),
        };
        Range { nodes, front: None, back: None, start, end }
    }

    /// The entry of an ID.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id..=id).next()
    }

    /// Deletes an entry; whether it was there. The marks are [`Stream::note_deleted`]'s.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let inner = &mut *self.0;
        let Some((base, node)) = inner.nodes.range_mut(..=id).next_back() else { return false };
        let base = *base;
        let Some(at) = node.entries(base).find(|entry| entry.id >= id).filter(|entry| entry.id == id) else {
            return false;
        };
        let at = at.at;
        if node.valid() == 1 {
            inner.nodes.remove(&base);
        } else {
            node.delete(&[at]);
        }
        inner.length -= 1;
        if inner.marks.first_id == id || inner.length == 0 {
            self.find_first();
        }
        true
    }

    /// Takes note that XDEL has deleted an entry.
    pub fn note_deleted(&mut self, id: StreamId) {
        let marks = &mut self.0.marks;
        marks.max_deleted_id = marks.max_deleted_id.max(id);
    }

    fn find_first(&mut self) {
        self.0.marks.first_id = self.first_entry().map_or(StreamId::MIN, |entry| entry.id);
    }

    /// Removes the oldest entries, and says how many.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        let Trim { keep, is_approximate, limit } = trim;
        let mut removed = 0;
        loop {
            let inner = &mut *self.0;
            let Some(first) = inner.nodes.first_entry() else { break };
            let (base, node) = (*first.key(), first.get());
            let valid = node.valid();
            let is_enough = match keep {
                Keep::Newest(count) => inner.length <= count,
                // A node begins with its least ID, deleted or not.
                Keep::From(id) => base >= id,
            };
            if is_enough || limit > 0 && removed + valid > limit {
                break;
            }
            let goes_whole = match keep {
                Keep::Newest(count) => inner.length - valid >= count,
                Keep::From(id) => node.entries(base).next_back().is_none_or(|last| last.id < id),
            };
            if goes_whole {
                first.remove();
                inner.length -= valid;
                removed += valid;
                continue;
            }
            if !is_approximate {
                removed += self.trim_node(keep);
            }
            break;
        }
        if removed > 0 {
            self.find_first();
        }
        removed
    }

    /// Removes entries of the first node, of which some stay.
    fn trim_node(&mut self, keep: Keep) -> u64 {
        let inner = &mut *self.0;
        let Some(mut first) = inner.nodes.first_entry() else { return 0 };
        let base = *first.key();
        let entries = first.get().entries(base);
        let old: Vec<_> = match keep {
            Keep::Newest(count) => {
                entries.take((inner.length - count) as usize).map(|entry| entry.at).collect()
            }
            Keep::From(id) => entries.take_while(|entry| entry.id < id).map(|entry| entry.at).collect(),
        };
        first.get_mut().delete(&old);
        inner.length -= old.len() as u64;
        old.len() as u64
    }

    // Groups.

    /// The groups, by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.0.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// A group.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.0.groups.get(name)
    }

    /// A group, to be changed.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.0.groups.get_mut(name)
    }

    /// All groups, to be changed.
    pub fn groups_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.0.groups.values_mut()
    }

    /// Adds a group, or puts it in the place of one of that name.
    pub fn put_group(&mut self, name: &[u8], group: Group) {
        self.0.groups.insert(name.into(), group);
    }

    /// Removes a group; whether it was there.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        self.0.groups.remove(name).is_some()
    }

    /// How many entries, deleted ones too, were added up to this ID; `None` if that cannot be told.
    pub fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        let Inner { length, marks, .. } = &*self.0;
        let Marks { last_id, first_id, max_deleted_id, entries_added } = *marks;
        if entries_added == 0 {
            return Some(0);
        }
        if *length == 0 && id <= last_id {
            return Some(entries_added);
        }
        if id != StreamId::MIN && id < max_deleted_id {
            return None;
        }
        if id == last_id {
            return Some(entries_added);
        }
        if id > last_id {
            return None;
        }
        // Nothing was deleted from here on.
        if max_deleted_id == StreamId::MIN || max_deleted_id < first_id {
            if id < first_id {
                return entries_added.checked_sub(*length);
            }
            if id == first_id {
                return entries_added.checked_sub(length - 1);
            }
        }
        None
    }

    /// Whether an entry of these IDs was deleted by XDEL, as far as can be told.
    pub fn has_tombstone(&self, ids: RangeInclusive<StreamId>) -> bool {
        let Inner { length, marks, .. } = &*self.0;
        *length > 0 && marks.max_deleted_id != StreamId::MIN && ids.contains(&marks.max_deleted_id)
    }

    /// How many entries a group has still to be given; `None` if that cannot be told.
    pub fn lag(&self, group: &Group) -> Option<u64> {
        let added = self.0.marks.entries_added;
        if added == 0 {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if !self.has_tombstone(group.last_id..=StreamId::MAX) => Some(read),
            _ => self.entries_up_to(group.last_id),
        };
        // A client may have said more than was added.
        read.map(|read| added.wrapping_sub(read))
    }

    /// Bytes on the heap, about.
    pub fn memory_bytes(&self) -> usize {
        let Inner { nodes, groups, .. } = &*self.0;
        let index = nodes.len() * (size_of::<(StreamId, Node)>() + 16);
        let lists: usize = nodes.values().map(|node| node.listpack().memory_bytes()).sum();
        let groups: usize = groups
            .iter()
            .map(|(name, group)| name.len() + size_of::<(Box<[u8]>, Group)>() + group.memory_bytes())
            .sum();
        size_of::<Inner>() + index + lists + groups
    }

    /// Allocations that freeing it takes, about.
    pub fn effort(&self) -> usize {
        let Inner { nodes, groups, .. } = &*self.0;
        nodes.len() + groups.values().map(Group::effort).sum::<usize>() + 1
    }
}

fn has_room(node: &Node, bytes: usize) -> bool {
    let bytes_max = match LIMITS.stream_node_max_bytes() as usize {
        0 => NODE_BYTES_MAX,
        bytes_max => bytes_max.min(NODE_BYTES_MAX),
    };
    let entries_max = LIMITS.stream_node_max_entries();
    node.bytes() + bytes < bytes_max && (entries_max == 0 || node.entries_with_deleted() < entries_max)
}

impl Collection for Stream {
    const KIND: Kind = Kind::Stream;

    fn empty() -> Self {
        Self::new()
    }

    /// Never: a stream without entries is still there.
    fn is_empty(&self) -> bool {
        false
    }

    fn into_value(self) -> Value {
        Value::Stream(self)
    }
}

/// Entries of a range; made by [`Stream::range`].
#[derive(Clone, Debug)]
pub struct Range<'s> {
    nodes: Option<std::collections::btree_map::Range<'s, StreamId, Node>>,
    front: Option<Entries<'s>>,
    back: Option<Entries<'s>>,
    start: StreamId,
    end: StreamId,
}

impl<'s> Iterator for Range<'s> {
    type Item = Entry<'s>;

    fn next(&mut self) -> Option<Entry<'s>> {
        loop {
            if let Some(front) = &mut self.front {
                for entry in front {
                    if entry.id > self.end {
                        *self = Self { nodes: None, front: None, back: None, ..*self };
                        return None;
                    }
                    if entry.id >= self.start {
                        return Some(entry);
                    }
                }
            }
            match self.nodes.as_mut().and_then(Iterator::next) {
                Some((base, node)) => self.front = Some(node.entries(*base)),
                None => {
                    self.nodes = None;
                    self.front = Some(self.back.take()?);
                }
            }
        }
    }
}

impl DoubleEndedIterator for Range<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(back) = &mut self.back {
                for entry in back.by_ref().rev() {
                    if entry.id < self.start {
                        *self = Self { nodes: None, front: None, back: None, ..*self };
                        return None;
                    }
                    if entry.id <= self.end {
                        return Some(entry);
                    }
                }
            }
            match self.nodes.as_mut().and_then(DoubleEndedIterator::next_back) {
                Some((base, node)) => self.back = Some(node.entries(*base)),
                None => {
                    self.nodes = None;
                    self.back = Some(self.front.take()?);
                }
            }
        }
    }
}
