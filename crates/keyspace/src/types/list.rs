//! A list: one listpack while it is small, a [`QuickList`](quicklist) when it is not. One word wide.
//!
//! The rules of conversion are those of Redis 7.2, which OBJECT ENCODING shows: a listpack becomes a quicklist when
//! the bytes and elements about to be added would take it over the limit of a node (`list-max-listpack-size`), all
//! values of one command counted together; a quicklist becomes a listpack when something was removed or
//! overwritten and what is left is one node of at most half the limit.
//!
//! Elements are read as [`Element`]s that borrow from the list: LRANGE allocates nothing. Indexes that come from a
//! client as `i64` (LINDEX, LSET) are taken as they come, negative ones count from the end; ranges are half-open and
//! already cut to the list.

use std::collections::vec_deque;
use std::fmt;
use std::ops::Range;

use super::listpack::{Element, Listpack, Needle};
use super::tagged::{Repr, ReprMut, Tagged};

mod quicklist;

pub use quicklist::ListNode;
use quicklist::{Node, NodeIter, NodeLimit, QuickList};

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Redis's left, the head.
    Front,
    /// Redis's right, the tail.
    Back,
}

/// A side of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Towards the front.
    Before,
    /// Towards the back.
    After,
}

/// A list of byte strings.
#[repr(transparent)]
pub struct List {
    repr: Tagged<Listpack, QuickList>,
}

const _: () = assert!(size_of::<List>() == 8);
const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<List>();
};

/// What a node of a list holds, to be written to an RDB file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRef<'a> {
    /// Any number of elements.
    Packed(&'a Listpack),
    /// One large element.
    Plain(&'a [u8]),
}

impl List {
    /// An empty list.
    pub fn new() -> Self {
        Self { repr: Tagged::first(Listpack::new()) }
    }

    /// A list of the nodes of an RDB file; empty ones are left out. One that fits becomes a listpack.
    pub fn from_nodes(nodes: impl IntoIterator<Item = ListNode>) -> Self {
        let mut quicklist = QuickList::default();
        for node in nodes {
            quicklist.push_node(match node {
                ListNode::Packed(listpack) => Node::packed(listpack),
                ListNode::Plain(value) => Node::Plain(Box::new(value.into())),
            });
        }
        let repr = match quicklist.take_fitting(NodeLimit::current()) {
            Some(listpack) => Tagged::first(listpack),
            None => Tagged::second(Box::new(quicklist)),
        };
        Self { repr }
    }

    /// Elements.
    pub fn len(&self) -> usize {
        match self.repr.get() {
            Repr::First(listpack) => listpack.len(),
            Repr::Second(quicklist) => quicklist.len(),
            Repr::Third(never) => match *never {},
        }
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING calls it.
    pub fn encoding(&self) -> &'static str {
        match self.repr.get() {
            Repr::First(_) => "listpack",
            Repr::Second(_) => "quicklist",
            Repr::Third(never) => match *never {},
        }
    }

    /// Heap bytes owned; O(1).
    pub fn memory_bytes(&self) -> usize {
        match self.repr.get() {
            Repr::First(listpack) => listpack.memory_bytes(),
            Repr::Second(quicklist) => quicklist.memory_bytes(),
            Repr::Third(never) => match *never {},
        }
    }

    /// The blocks that dropping it frees, about.
    pub fn effort(&self) -> usize {
        match self.repr.get() {
            Repr::First(_) => 1,
            Repr::Second(quicklist) => quicklist.nodes().len(),
            Repr::Third(never) => match *never {},
        }
    }

    /// The nodes from front to back; a listpack is one.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeRef<'_>> {
        let (small, nodes) = match self.repr.get() {
            Repr::First(listpack) => (Some(listpack), Default::default()),
            Repr::Second(quicklist) => (None, quicklist.nodes().iter()),
            Repr::Third(never) => match *never {},
        };
        Nodes { small, nodes }
    }

    /// Adds an element. O(1) but for the move of bytes within a node.
    pub fn push(&mut self, end: End, value: &[u8]) {
        self.push_many(end, std::iter::once(value));
    }

    /// Adds the values of one command one by one, so that the last one is outermost.
    pub fn push_many<'v>(&mut self, end: End, values: impl Iterator<Item = &'v [u8]> + Clone) {
        let limit = NodeLimit::current();
        let sizes = values.clone().map(<[u8]>::len);
        let (count, bytes) =
            sizes.fold((0, 0usize), |(count, sum), len| (count + 1, sum.saturating_add(len)));
        self.grow(count, bytes, limit);
        match self.repr.get_mut() {
            ReprMut::First(listpack) => values.for_each(|value| match end {
                End::Front => listpack.push_front(value),
                End::Back => listpack.push_back(value),
            }),
            ReprMut::Second(quicklist) => values.for_each(|value| quicklist.push(end, value, limit)),
            ReprMut::Third(never) => match *never {},
        }
    }

    /// Removes the outermost element.
    pub fn pop(&mut self, end: End) -> Option<Vec<u8>> {
        let popped = match self.repr.get_mut() {
            ReprMut::First(listpack) => return quicklist::pop_from_listpack(listpack, end),
            ReprMut::Second(quicklist) => quicklist.pop(end),
            ReprMut::Third(never) => match *never {},
        };
        self.shrink();
        popped
    }

    /// Removes up to `count` elements from that end, each shown in the order in which it goes; gives their number.
    pub fn pop_with(&mut self, end: End, count: usize, take: impl FnMut(Element<'_>)) -> usize {
        let length = self.len();
        let count = count.min(length);
        let popped = match end {
            End::Front => 0..count,
            End::Back => length - count..length,
        };
        self.iter_range(popped, end).for_each(take);
        match self.repr.get_mut() {
            ReprMut::First(listpack) => {
                let start = match end {
                    End::Front => 0,
                    End::Back => length - count,
                };
                listpack.remove_range(to_index(start), count);
            }
            ReprMut::Second(quicklist) => quicklist.drop_from(end, count),
            ReprMut::Third(never) => match *never {},
        }
        self.shrink();
        count
    }

    /// The index-th element; negative ones count from the end.
    pub fn get(&self, index: i64) -> Option<Element<'_>> {
        match self.repr.get() {
            Repr::First(listpack) => Some(listpack.get(listpack.seek(index)?)),
            Repr::Second(quicklist) => quicklist.get(from_client(index, quicklist.len())?),
            Repr::Third(never) => match *never {},
        }
    }

    /// Overwrites the index-th element; false if there is none.
    pub fn set(&mut self, index: i64, value: &[u8]) -> bool {
        let Some(index) = from_client(index, self.len()) else { return false };
        let limit = NodeLimit::current();
        self.grow(1, value.len(), limit);
        let is_set = match self.repr.get_mut() {
            ReprMut::First(listpack) => listpack.seek(to_index(index)).is_some_and(|position| {
                listpack.replace(position, value);
                true
            }),
            ReprMut::Second(quicklist) => quicklist.set(index, value, limit),
            ReprMut::Third(never) => match *never {},
        };
        self.shrink();
        is_set
    }

    /// Adds a value beside the first element equal to `pivot` and gives the new length; `None` if there is none.
    /// As in Redis, the look alone may already convert a listpack.
    pub fn insert(&mut self, pivot: &[u8], side: Side, value: &[u8]) -> Option<usize> {
        let limit = NodeLimit::current();
        self.grow(1, value.len(), limit);
        match self.repr.get_mut() {
            ReprMut::First(listpack) => {
                let position = listpack.find(pivot, 0)?;
                match side {
                    Side::Before => listpack.insert_before(position, value),
                    Side::After => _ = listpack.insert_after(position, value),
                }
            }
            ReprMut::Second(quicklist) => {
                if !quicklist.insert(Needle::new(pivot), side, value, limit) {
                    return None;
                }
            }
            ReprMut::Third(never) => match *never {},
        }
        Some(self.len())
    }

    /// Removes elements equal to `value`, and gives how many: up to `count` from the front, up to `-count` from the
    /// back if that is negative, all of them if it is 0.
    pub fn remove(&mut self, count: i64, value: &[u8]) -> usize {
        let from = if count < 0 { End::Back } else { End::Front };
        let count = match usize::try_from(count.unsigned_abs()) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(count) => count,
        };
        let needle = Needle::new(value);
        let removed = match self.repr.get_mut() {
            ReprMut::First(listpack) => quicklist::remove_in_listpack(listpack, needle, from, count),
            ReprMut::Second(quicklist) => quicklist.remove(needle, from, count),
            ReprMut::Third(never) => match *never {},
        };
        if removed > 0 {
            self.shrink();
        }
        removed
    }

    /// Keeps the elements of `range` only.
    pub fn trim(&mut self, range: Range<usize>) {
        let length = self.len();
        let end = range.end.min(length);
        let start = range.start.min(end);
        match self.repr.get_mut() {
            ReprMut::First(listpack) => {
                listpack.remove_range(to_index(end), length - end);
                listpack.remove_range(0, start);
            }
            ReprMut::Second(quicklist) => {
                quicklist.drop_from(End::Back, length - end);
                quicklist.drop_from(End::Front, start);
            }
            ReprMut::Third(never) => match *never {},
        }
        self.shrink();
    }

    /// All elements from front to back.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_range(0..self.len(), End::Front)
    }

    /// The elements of `range`, cut to the list, beginning at that end of the range.
    pub fn iter_range(&self, range: Range<usize>, from: End) -> Iter<'_> {
        let end = range.end.min(self.len());
        let range = range.start.min(end)..end;
        let remaining = range.len();
        let (current, nodes) = match self.repr.get() {
            Repr::First(listpack) => {
                let start = match from {
                    End::Front => range.start,
                    End::Back => range.end.saturating_sub(1),
                };
                (NodeIter::packed_from(listpack, start, from), Default::default())
            }
            Repr::Second(quicklist) => quicklist.iter_range(range, from),
            Repr::Third(never) => match *never {},
        };
        Iter { from, current, nodes, remaining }
    }

    /// The indexes of the elements equal to `value`, as LPOS gives them: from the `rank`-th on (1 is the first;
    /// negative ranks count and go from the back), among the `length_max` elements looked at.
    pub fn positions<'a>(
        &'a self,
        value: &'a [u8],
        rank: i64,
        length_max: usize,
    ) -> impl Iterator<Item = usize> + 'a {
        let length = self.len();
        let from = if rank < 0 { End::Back } else { End::Front };
        let skipped = usize::try_from(rank.unsigned_abs().saturating_sub(1)).unwrap_or(usize::MAX);
        let needle = Needle::new(value);
        self.iter_range(0..length, from)
            .take(length_max)
            .enumerate()
            .filter(move |&(_, element)| needle.matches(element))
            .map(move |(step, _)| if from == End::Back { length - 1 - step } else { step })
            .skip(skipped)
    }

    /// Makes it a quicklist if so much more would be too much for a listpack.
    fn grow(&mut self, count: usize, bytes: usize, limit: NodeLimit) {
        let ReprMut::First(listpack) = self.repr.get_mut() else { return };
        if limit.is_exceeded(listpack.bytes_len().saturating_add(bytes), listpack.len().saturating_add(count))
        {
            let mut quicklist = QuickList::default();
            quicklist.push_node(Node::packed(std::mem::take(listpack)));
            self.repr = Tagged::second(Box::new(quicklist));
        }
    }

    /// Makes it a listpack if it became small.
    fn shrink(&mut self) {
        if let ReprMut::Second(quicklist) = self.repr.get_mut()
            && let Some(listpack) = quicklist.take_small(NodeLimit::current())
        {
            self.repr = Tagged::first(listpack);
        }
    }

    /// Panics unless the counts are right.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        if let Repr::Second(quicklist) = self.repr.get() {
            quicklist.check_invariants();
        }
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for List {
    fn clone(&self) -> Self {
        let repr = match self.repr.get() {
            Repr::First(listpack) => Tagged::first(listpack.clone()),
            Repr::Second(quicklist) => Tagged::second(Box::new(quicklist.clone())),
            Repr::Third(never) => match *never {},
        };
        Self { repr }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// Elements of a list; made by [`List::iter_range`].
#[derive(Clone)]
pub struct Iter<'a> {
    from: End,
    current: NodeIter<'a>,
    nodes: vec_deque::Iter<'a, Node>,
    remaining: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        self.remaining = self.remaining.checked_sub(1)?;
        loop {
            if let Some(element) = self.current.step(self.from) {
                return Some(element);
            }
            let node = match self.from {
                End::Front => self.nodes.next(),
                End::Back => self.nodes.next_back(),
            };
            self.current = node?.iter();
        }
    }

    /// A loop over each node, without the state of the whole between two elements: LRANGE's way.
    fn fold<B, F: FnMut(B, Element<'a>) -> B>(mut self, init: B, mut each: F) -> B {
        let mut folded = init;
        while self.remaining > 0 {
            let mut left = self.remaining;
            while left > 0
                && let Some(element) = self.current.step(self.from)
            {
                folded = each(folded, element);
                left -= 1;
            }
            self.remaining = left;
            let node = match self.from {
                End::Front => self.nodes.next(),
                End::Back => self.nodes.next_back(),
            };
            let Some(node) = node else { break };
            self.current = node.iter();
        }
        folded
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// The nodes of a list: one listpack, or those of a quicklist.
struct Nodes<'a> {
    small: Option<&'a Listpack>,
    nodes: vec_deque::Iter<'a, Node>,
}

impl<'a> Iterator for Nodes<'a> {
    type Item = NodeRef<'a>;

    fn next(&mut self) -> Option<NodeRef<'a>> {
        if let Some(listpack) = self.small.take() {
            return Some(NodeRef::Packed(listpack));
        }
        Some(match self.nodes.next()? {
            Node::Packed { listpack, .. } => NodeRef::Packed(listpack),
            Node::Plain(value) => NodeRef::Plain(value),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.small.is_some()) + self.nodes.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Nodes<'_> {}

/// An index that may count from the end, if it is in a list of that length.
fn from_client(index: i64, length: usize) -> Option<usize> {
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    (index < length).then_some(index)
}

fn to_index(index: usize) -> i64 {
    i64::try_from(index).expect("an index of what is in memory")
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;
    use crate::limits::LIMITS;

    type Model = Vec<Vec<u8>>;

    /// The limits are those of the process: a test that sets them holds this.
    static LIMITS_HELD: Mutex<()> = Mutex::new(());

    fn hold_limits(listpack_size: i64, packed_threshold: i64) -> MutexGuard<'static, ()> {
        let held = LIMITS_HELD.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(LIMITS.set("list_max_listpack_size", listpack_size));
        assert!(LIMITS.set("quicklist_packed_threshold", packed_threshold));
        held
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }

        fn value(&mut self) -> Vec<u8> {
            match self.below(20) {
                0 => vec![b'l'; 4000 + self.below(6000)],
                1..=3 => vec![b'm'; self.below(900)],
                4..=6 => (self.below(1 << 40) as i64 - (1 << 39)).to_string().into_bytes(),
                _ => self.below(12).to_string().into_bytes(),
            }
        }

        fn end(&mut self) -> End {
            if self.below(2) == 0 { End::Front } else { End::Back }
        }
    }

    fn collect<'a>(elements: impl Iterator<Item = Element<'a>>) -> Model {
        elements.map(Element::to_vec).collect()
    }

    fn list_of(values: &[&[u8]]) -> List {
        let mut list = List::new();
        values.iter().for_each(|value| list.push(End::Back, value));
        list
    }

    fn node_lengths(list: &List) -> Vec<usize> {
        let length = |node| if let NodeRef::Packed(listpack) = node { listpack.len() } else { 1 };
        list.nodes().map(length).collect()
    }

    fn check(list: &List, model: &Model) {
        list.check_invariants();
        assert_eq!(list.len(), model.len());
        assert!(collect(list.iter()) == *model, "the elements");
        let mut backward = collect(list.iter_range(0..usize::MAX, End::Back));
        backward.reverse();
        assert!(backward == *model, "the elements from the back");
    }

    fn model_remove(model: &mut Model, count: i64, value: &[u8]) -> usize {
        let mut matches: Vec<usize> = (0..model.len()).filter(|&at| model[at] == value).collect();
        if count < 0 {
            matches.reverse();
        }
        if count != 0 {
            matches.truncate(count.unsigned_abs() as usize);
        }
        matches.sort_unstable();
        matches.iter().rev().for_each(|&at| _ = model.remove(at));
        matches.len()
    }

    fn model_positions(model: &Model, value: &[u8], rank: i64, length_max: usize) -> Vec<usize> {
        let mut looked_at: Vec<usize> = (0..model.len()).collect();
        if rank < 0 {
            looked_at.reverse();
        }
        looked_at.truncate(length_max);
        looked_at.retain(|&at| model[at] == value);
        looked_at.into_iter().skip(rank.unsigned_abs() as usize - 1).collect()
    }

    /// One random operation on both; the weights let the list grow and shrink in turns.
    fn step(random: &mut Random, list: &mut List, model: &mut Model, is_growing: bool) {
        let value = random.value();
        let index = random.below(model.len() + 1);
        let end = random.end();
        let existing = model.get(index).cloned().unwrap_or_default();
        match random.below(12) {
            0..=2 if is_growing => {
                let values: Vec<Vec<u8>> = (0..random.below(30)).map(|_| random.value()).collect();
                list.push_many(end, values.iter().map(Vec::as_slice));
                match end {
                    End::Front => _ = model.splice(0..0, values.into_iter().rev()),
                    End::Back => model.extend(values),
                }
            }
            0..=3 => {
                list.push(end, &value);
                model.insert(if end == End::Front { 0 } else { model.len() }, value);
            }
            4 => {
                let at = if end == End::Front { 0 } else { model.len().saturating_sub(1) };
                let expected = (!model.is_empty()).then(|| model.remove(at));
                assert!(list.pop(end) == expected);
            }
            5 => {
                let count = random.below(if is_growing { 3 } else { 40 }).min(model.len());
                let mut expected: Model = match end {
                    End::Front => model.drain(..count).collect(),
                    End::Back => model.drain(model.len() - count..).rev().collect(),
                };
                assert_eq!(list.pop_with(end, count, |e| assert!(e.eq_bytes(&expected.remove(0)))), count);
                assert!(expected.is_empty());
            }
            6 => {
                let is_from_end = end == End::Back && index < model.len();
                let signed = index as i64 - if is_from_end { model.len() as i64 } else { 0 };
                assert!(list.get(signed).map(Element::to_vec).as_ref() == model.get(index));
                assert_eq!(list.set(signed, &value), index < model.len());
                model.splice(index..(index + 1).min(model.len()), (index < model.len()).then_some(value));
            }
            7 => {
                let side = if end == End::Front { Side::Before } else { Side::After };
                let found = model.iter().position(|element| *element == existing);
                let expected = found.map(|_| model.len() + 1);
                assert_eq!(list.insert(&existing, side, &value), expected);
                if let Some(at) = found {
                    model.insert(at + usize::from(side == Side::After), value);
                }
            }
            8 => {
                let count = random.below(7) as i64 - 3;
                let value = if random.below(4) == 0 { value } else { existing };
                assert_eq!(list.remove(count, &value), model_remove(model, count, &value));
            }
            9 => {
                let range = index..index + random.below(model.len() + 2 - index);
                let inner = range.start..range.end.min(model.len());
                let mut expected = model[inner.clone()].to_vec();
                assert!(collect(list.iter_range(range.clone(), End::Front)) == expected);
                expected.reverse();
                assert!(collect(list.iter_range(range.clone(), End::Back)) == expected);
                assert_eq!(list.iter_range(range, End::Back).len(), expected.len());
                if !is_growing && random.below(4) == 0 {
                    list.trim(inner.clone());
                    *model = model[inner].to_vec();
                }
            }
            10 => {
                let rank = [1, 2, 3, -1, -2, -3][random.below(6)];
                let length_max = [usize::MAX, index][random.below(2)];
                let found: Vec<usize> = list.positions(&existing, rank, length_max).collect();
                assert_eq!(found, model_positions(model, &existing, rank, length_max));
            }
            _ => {
                let nodes = list.nodes().map(|node| match node {
                    NodeRef::Packed(listpack) => ListNode::Packed(listpack.clone()),
                    NodeRef::Plain(value) => ListNode::Plain(value.to_vec()),
                });
                let loaded = List::from_nodes(nodes);
                check(&loaded, model);
                check(&list.clone(), model);
                *list = loaded;
            }
        }
    }

    #[test]
    fn behaves_as_a_vector() {
        let limits =
            [(-2, 0), (-1, 0), (-5, 0), (1, 0), (2, 0), (4, 0), (5, 10), (128, 0), (-2, 1), (-1, 500)];
        for (seed, (listpack_size, packed_threshold)) in limits.into_iter().enumerate() {
            let _held = hold_limits(listpack_size, packed_threshold);
            let mut random = Random(0x9E37_79B9 + seed as u64);
            let (mut list, mut model) = (List::new(), Model::new());
            let mut encodings = [0, 0];
            for round in 0..3000 {
                let is_growing = round % 600 < 300 && model.len() < 600;
                step(&mut random, &mut list, &mut model, is_growing);
                encodings[usize::from(list.encoding() == "quicklist")] += 1;
                if round % 10 == 0 {
                    check(&list, &model);
                }
            }
            check(&list, &model);
            assert!(encodings.iter().all(|&seen| seen > 20), "both encodings: {encodings:?}");
        }
    }

    #[test]
    fn a_small_list_is_the_listpack_that_redis_dumps() {
        let _held = hold_limits(-2, 0);
        let list = list_of(&[b"a", b"1", b"hello", b"-1000"]);
        let NodeRef::Packed(listpack) = list.nodes().next().unwrap() else { panic!("a plain node") };
        assert_eq!(listpack.as_bytes(), b"\x16\0\0\0\x04\0\x81a\x02\x01\x01\x85hello\x06\xdc\x18\x02\xff");
        assert_eq!((list.encoding(), list.nodes().len(), list.effort()), ("listpack", 1, 1));
    }

    #[test]
    fn nodes_are_cut_as_in_redis() {
        let cut = |listpack_size, count, bytes| {
            let _held = hold_limits(listpack_size, 0);
            let value = vec![b'x'; bytes];
            node_lengths(&list_of(&vec![value.as_slice(); count]))
        };
        // The first node was filled by the rule of a listpack, which leaves no room for an entry's overhead.
        assert_eq!(cut(-2, 3000, 10), [682, 681, 681, 681, 275]);
        assert_eq!(cut(-2, 200, 100), [79, 79, 42]);
        assert_eq!(cut(4, 10, 1), [4, 4, 2]);
        assert_eq!(cut(0, 3, 1), [1, 1, 1]);
        assert_eq!(cut(1000, 3, 5000), [1, 1, 1]);
    }

    #[test]
    fn a_full_node_is_split_for_a_value_in_the_middle() {
        let _held = hold_limits(4, 0);
        let mut list = list_of(&[b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"]);
        assert_eq!(list.insert(b"5", Side::Before, b"new"), Some(11));
        assert_eq!(node_lengths(&list), [4, 2, 3, 2]);
        assert_eq!(list.insert(b"3", Side::After, b"new"), Some(12));
        assert_eq!(node_lengths(&list), [4, 3, 3, 2]);
        assert_eq!(list.insert(b"absent", Side::After, b"new"), None);
        let large = vec![b'x'; 9000];
        assert!(list.set(5, &large));
        assert_eq!(node_lengths(&list), [4, 1, 1, 4, 2]);
        assert!(list.set(5, b"small"));
        assert_eq!(node_lengths(&list), [4, 2, 4, 2]);
        check(
            &list,
            &[&b"0"[..], b"1", b"2", b"3", b"new", b"small", b"new", b"5", b"6", b"7", b"8", b"9"]
                .map(<[u8]>::to_vec)
                .to_vec(),
        );
    }

    #[test]
    fn the_encoding_changes_at_the_limit_and_back_at_half_of_it() {
        let _held = hold_limits(10, 0);
        let mut list = list_of(&[&b"x"[..]; 10]);
        assert_eq!(list.encoding(), "listpack");
        list.push(End::Back, b"x");
        assert_eq!((list.encoding(), node_lengths(&list)), ("quicklist", vec![10, 1]));
        list.pop(End::Back);
        assert_eq!((list.encoding(), list.nodes().len()), ("quicklist", 1));
        list.pop_with(End::Front, 4, |_| ());
        assert_eq!((list.encoding(), list.len()), ("quicklist", 6));
        assert_eq!(list.remove(1, b"absent"), 0);
        list.trim(0..5);
        assert_eq!((list.encoding(), list.len()), ("listpack", 5));
    }

    #[test]
    fn values_of_one_command_count_together() {
        let _held = hold_limits(-2, 0);
        let digits: &[u8] = b"1234567890123456789";
        let mut list = List::new();
        list.push_many(End::Back, std::iter::repeat_n(digits, 500));
        assert_eq!((list.encoding(), list.len()), ("quicklist", 500));
        let mut list = List::new();
        list.push_many(End::Back, std::iter::repeat_n(&b"x"[..], 4000));
        assert_eq!((list.encoding(), list.len()), ("listpack", 4000));
    }

    #[test]
    fn a_large_value_is_a_node_of_its_own() {
        let _held = hold_limits(-2, 0);
        let large = vec![b'x'; 100_000];
        let mut list = list_of(&[b"a", &large, b"b"]);
        assert_eq!(list.nodes().nth(1), Some(NodeRef::Plain(&large)));
        assert!(list.memory_bytes() > 100_000);
        list.pop(End::Front);
        assert_eq!(list.pop(End::Front), Some(large));
        assert_eq!(list.encoding(), "listpack");
        assert!(list.memory_bytes() < 100);
    }

    #[test]
    fn empty_nodes_of_a_file_are_left_out() {
        let _held = hold_limits(-2, 0);
        let list = List::from_nodes([ListNode::Packed(Listpack::new()), ListNode::Packed(Listpack::new())]);
        assert_eq!((list.is_empty(), list.encoding()), (true, "listpack"));
        let list = List::from_nodes([ListNode::Packed(Listpack::new()), ListNode::Plain(b"x".to_vec())]);
        assert_eq!((list.len(), list.encoding(), node_lengths(&list)), (1, "quicklist", vec![1]));
    }

    #[test]
    fn indexes_outside_find_nothing() {
        let _held = hold_limits(2, 0);
        for values in [&[][..], &[&b"a"[..]], &[b"a", b"b", b"c"]] {
            let mut list = list_of(values);
            let length = values.len() as i64;
            for index in [length, -length - 1, i64::MIN, i64::MAX] {
                assert!(list.get(index).is_none() && !list.set(index, b"x"));
            }
            assert_eq!(list.iter_range(7..9, End::Front).count(), 0);
            list.trim(values.len()..values.len() + 2);
            assert!(list.is_empty() && list.pop(End::Back).is_none());
            list.push(End::Front, b"again");
            check(&list, &vec![b"again".to_vec()]);
        }
    }
}
