//! A node of a stream: up to some hundred entries in one listpack, byte for byte as Redis lays it out.
//!
//! ```text
//! | valid | deleted | fields | name ... | 0 |                        the master entry
//! | flags | ms | seq | value ... | count |                           an entry with the master's names
//! | flags | ms | seq | fields | name | value | ... | count |         one with names of its own
//! ```
//!
//! `ms` and `seq` are differences to the ID of the node, which is that of its first entry when it was made. `count` is the number of
//! elements before it in its entry, so that a walk backwards finds the entry's beginning. A deleted entry stays, with a flag.

use super::id::StreamId;
use crate::types::listpack::{Element, Iter, Listpack, Position};

/// The entry is deleted.
const DELETED: i64 = 1;
/// Its names are those of the master entry.
const SAME_FIELDS: i64 = 2;

/// Elements of the master entry before its names.
const MASTER_HEAD: usize = 3;

/// Elements of an entry before its values: flags and the two differences.
const ENTRY_HEAD: usize = 3;

const BROKEN: &str = "a node is checked when it is made";

/// See the module's text.
#[derive(Clone, Debug)]
pub(super) struct Node(Listpack);

/// What an element of a checked node has as a number.
fn int(element: Option<Element<'_>>) -> i64 {
    element.and_then(Element::as_i64).expect(BROKEN)
}

impl Node {
    /// An empty node, for entries with these names.
    pub(super) fn new<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Self {
        let mut list = Listpack::new();
        list.push_back_element(Element::Int(0));
        list.push_back_element(Element::Int(0));
        list.push_back_element(Element::Int(fields.clone().count() as i64));
        for (name, _) in fields {
            list.push_back(name);
        }
        list.push_back_element(Element::Int(0));
        Self(list)
    }

    /// A node of an RDB file or a DUMP, whose ID is `base`. Checks all of it; O(bytes). `None` if it is none, or has no entry.
    pub(super) fn from_listpack(list: Listpack, base: StreamId) -> Option<Self> {
        let number = |element: Option<Element<'_>>| element?.as_i64();
        let mut iter = list.iter();
        let valid = number(iter.next())?;
        let deleted = number(iter.next())?;
        let same = usize::try_from(number(iter.next())?).ok()?;
        for _ in 0..same {
            iter.next()?;
        }
        if number(iter.next())? != 0 {
            return None;
        }
        let (mut found_valid, mut found_deleted) = (0, 0);
        let mut last = None;
        while let Some(flags) = iter.next() {
            let flags = flags.as_i64()?;
            let id = id_of(base, number(iter.next())?, number(iter.next())?);
            if id < base || last.is_some_and(|last| id <= last) {
                return None;
            }
            last = Some(id);
            let elements = if flags & SAME_FIELDS != 0 {
                same
            } else {
                let fields = usize::try_from(number(iter.next())?).ok()?;
                fields.checked_mul(2)?
            };
            for _ in 0..elements {
                iter.next()?;
            }
            let before = ENTRY_HEAD + elements + usize::from(flags & SAME_FIELDS == 0);
            if number(iter.next())? != i64::try_from(before).ok()? {
                return None;
            }
            if flags & DELETED != 0 {
                found_deleted += 1;
            } else {
                found_valid += 1;
            }
        }
        (valid == found_valid && deleted == found_deleted && valid > 0).then_some(Self(list))
    }

    /// What an RDB file has of it.
    pub(super) fn listpack(&self) -> &Listpack {
        &self.0
    }

    /// Entries that are not deleted.
    pub(super) fn valid(&self) -> u64 {
        int(self.0.iter().next()) as u64
    }

    /// All entries.
    pub(super) fn entries_with_deleted(&self) -> u64 {
        let mut iter = self.0.iter();
        (int(iter.next()) + int(iter.next())) as u64
    }

    /// Bytes of the listpack.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes_len()
    }

    /// Adds an entry, whose ID is greater than all others.
    pub(super) fn append<'a>(
        &mut self,
        base: StreamId,
        id: StreamId,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) {
        let count = fields.clone().count();
        let is_same = self.has_names(count, fields.clone().map(|(name, _)| name));
        let list = &mut self.0;
        list.push_back_element(Element::Int(if is_same { SAME_FIELDS } else { 0 }));
        list.push_back_element(Element::Int(id.ms.wrapping_sub(base.ms) as i64));
        list.push_back_element(Element::Int(id.seq.wrapping_sub(base.seq) as i64));
        if !is_same {
            list.push_back_element(Element::Int(count as i64));
        }
        for (name, value) in fields {
            if !is_same {
                list.push_back(name);
            }
            list.push_back(value);
        }
        let before = if is_same { ENTRY_HEAD + count } else { ENTRY_HEAD + 1 + 2 * count };
        list.push_back_element(Element::Int(before as i64));
        self.add(0, 1);
    }

    /// Whether the master entry has just these names.
    fn has_names<'a>(&self, count: usize, mut names: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut iter = self.0.iter();
        let same = int(iter.nth(MASTER_HEAD - 1)) as usize;
        same == count && names.all(|name| iter.next().is_some_and(|own| own.eq_bytes(name)))
    }

    /// Adds to the element of this number in the master entry.
    fn add(&mut self, index: i64, change: i64) {
        let position = self.0.seek(index).expect(BROKEN);
        let value = int(Some(self.0.get(position))) + change;
        self.0.replace(position, itoa::Buffer::new().format(value).as_bytes());
    }

    /// Marks entries as deleted, which are some that [`Entries`] gave.
    pub(super) fn delete(&mut self, entries: &[Position]) {
        for at in entries {
            // Takes as many bytes as before.
            let flags = int(Some(self.0.get(*at)));
            self.0.replace(*at, itoa::Buffer::new().format(flags | DELETED).as_bytes());
        }
        let count = entries.len() as i64;
        self.add(0, -count);
        self.add(1, count);
    }

    /// The entries that are not deleted.
    pub(super) fn entries(&self, base: StreamId) -> Entries<'_> {
        let mut iter = self.0.iter();
        let same = int(iter.nth(MASTER_HEAD - 1)) as usize;
        let names = iter.clone();
        iter.nth(same);
        Entries { base, same, names, iter }
    }
}

fn id_of(base: StreamId, ms: i64, seq: i64) -> StreamId {
    StreamId::new(base.ms.wrapping_add(ms as u64), base.seq.wrapping_add(seq as u64))
}

/// An entry of a stream.
#[derive(Clone, Debug)]
pub struct Entry<'s> {
    /// Its ID.
    pub id: StreamId,
    /// Its fields, in the order in which they were given.
    pub fields: Fields<'s>,
    pub(super) at: Position,
}

/// Names and values of an entry, in order.
#[derive(Clone, Debug)]
pub struct Fields<'s> {
    /// The names, where they are the master entry's.
    names: Option<Iter<'s>>,
    values: Iter<'s>,
    left: usize,
}

impl<'s> Iterator for Fields<'s> {
    type Item = (Element<'s>, Element<'s>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = match &mut self.names {
            Some(names) => names.next(),
            None => self.values.next(),
        };
        Some((name?, self.values.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// The entries of a node that are not deleted, from either end.
#[derive(Clone, Debug)]
pub(super) struct Entries<'s> {
    base: StreamId,
    /// How many names the master entry has.
    same: usize,
    names: Iter<'s>,
    /// What is left, whole entries.
    iter: Iter<'s>,
}

impl<'s> Entries<'s> {
    /// Reads the entry at the front of `iter`, and leaves it behind the entry's values; `None` for a deleted one.
    fn read(&self, iter: &mut Iter<'s>) -> Option<Entry<'s>> {
        let at = iter.here();
        let flags = int(iter.next());
        let id = id_of(self.base, int(iter.next()), int(iter.next()));
        let (names, left) = if flags & SAME_FIELDS != 0 {
            (Some(self.names.clone()), self.same)
        } else {
            (None, int(iter.next()) as usize)
        };
        let values = iter.clone();
        let elements = if names.is_some() { left } else { 2 * left };
        iter.pass(elements);
        (flags & DELETED == 0).then_some(Entry { id, fields: Fields { names, values, left }, at })
    }
}

impl<'s> Iterator for Entries<'s> {
    type Item = Entry<'s>;

    fn next(&mut self) -> Option<Entry<'s>> {
        while !self.iter.is_over() {
            let mut iter = self.iter.clone();
            let entry = self.read(&mut iter);
            // The entry's count.
            iter.pass(1);
            self.iter = iter;
            if entry.is_some() {
                return entry;
            }
        }
        None
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        while let Some(count) = self.iter.next_back() {
            let mut iter = self.iter.split_back(int(Some(count)) as usize);
            if let Some(entry) = self.read(&mut iter) {
                return Some(entry);
            }
        }
        None
    }
}
