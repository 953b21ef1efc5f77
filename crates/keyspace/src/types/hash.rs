//! A hash: fields with a value each, and possibly a time when the field expires.
//!
//! | encoding | what it is | as long as |
//! |---|---|---|
//! | `listpack` | field, value, field, value ... | at most `hash-max-listpack-entries`, none longer than `hash-max-listpack-value` |
//! | `listpackex` | the same with an expiry behind each value | as above, once a field has been given an expiry |
//! | `hashtable` | a [`Dict`](super::dict::Dict) of fields, one block each | anything else |
//!
//! The names are those of Redis 7.4, and as there a hash never returns to a smaller encoding. The value is one word:
//! the listpack itself, which there may be millions of, or a box. Five fields of two bytes with values of two bytes
//! take 48 bytes of the heap.
//!
//! Nothing here knows the time. A field that is expired is there until [`Hash::expire_fields`] removes it, which a
//! command does before anything else; [`Hash::get_at`] and [`Hash::iter_at`] are for views that may not change
//! anything. A field expires *at* its time: a TTL of one millisecond is over one millisecond later.

mod field;
mod listpack_ex;
mod table;

use super::dict;
use super::distinct::are_distinct;
use super::listpack::{self, Element, Listpack, Position, capacity, entry_bytes_max};
use super::tagged::{Repr, ReprMut, Tagged};
use crate::limits::LIMITS;
use crate::random::{self, Selection};
use field::{HashField, Parts};
use listpack_ex::{ListpackEx, next_triple};
use table::HashTable;

const PAIRS: &str = "each field is followed by its value";

/// A map of byte strings to byte strings; eight bytes.
#[repr(transparent)]
pub struct Hash(Tagged<Listpack, HashTable, ListpackEx>);

const _: () = assert!(size_of::<Option<Hash>>() == 8);

/// When a field expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldExpiry {
    /// There is no such field.
    NoField,
    /// The field has no expiry.
    Never,
    /// Unix time in milliseconds.
    At(u64),
}

impl From<Option<u64>> for FieldExpiry {
    fn from(expiry_ms: Option<u64>) -> Self {
        expiry_ms.map_or(Self::Never, Self::At)
    }
}

/// What becomes of a field's expiry when its value is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expiring {
    Kept,
    Cleared,
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Hash {
    /// An empty hash.
    pub fn new() -> Self {
        Self(Tagged::first(Listpack::new()))
    }

    /// An empty hash for about so many fields, so that no encoding is made only to be left. A hint: a number that a
    /// file or a client claims is harmless.
    pub fn with_capacity(fields: usize) -> Self {
        if fields <= entries_max() { Self::new() } else { Self::of_table(HashTable::with_capacity(fields)) }
    }

    /// Takes over the fields and values of an RDB file's listpack; `None` if a value is missing or a field is there
    /// twice. O(n log n).
    pub fn from_listpack(pairs: Listpack) -> Option<Self> {
        if !pairs.len().is_multiple_of(2) || !are_distinct(pairs.iter().step_by(2)) {
            return None;
        }
        Some(Self(Tagged::first(pairs)).within_limits())
    }

    /// Takes over fields, values and expiries (Unix ms, 0 for none) of an RDB file's listpack; `None` if there are
    /// no such triples or a field is there twice. O(n log n).
    pub fn from_listpack_ex(triples: Listpack) -> Option<Self> {
        if !are_distinct(triples.iter().step_by(3)) {
            return None;
        }
        let triples = ListpackEx::from_triples(triples)?;
        Some(Self(Tagged::third(Box::new(triples))).within_limits())
    }

    fn of_table(table: HashTable) -> Self {
        Self(Tagged::second(Box::new(table)))
    }

    /// The listpack of fields and values, if that is the encoding.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        if let Repr::First(pairs) = self.0.get() { Some(pairs) } else { None }
    }

    /// The listpack of fields, values and expiries, ordered by these with 0 (none) last, if that is the encoding.
    pub fn as_listpack_ex(&self) -> Option<&Listpack> {
        if let Repr::Third(triples) = self.0.get() { Some(triples.pack()) } else { None }
    }

    /// The name of the encoding for OBJECT ENCODING.
    pub fn encoding(&self) -> &'static str {
        match self.0.get() {
            Repr::First(_) => "listpack",
            Repr::Second(_) => "hashtable",
            Repr::Third(_) => "listpackex",
        }
    }

    /// How many fields there are, expired ones included.
    pub fn len(&self) -> usize {
        match self.0.get() {
            Repr::First(pairs) => pairs.len() / 2,
            Repr::Second(table) => table.dict.len(),
            Repr::Third(triples) => triples.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value and expiry of a field.
    fn find(&self, field: &[u8]) -> Option<(Element<'_>, Option<u64>)> {
        match self.0.get() {
            Repr::First(pairs) => {
                pairs.find(field, 1).map(|position| (pairs.get(value_of(pairs, position)), None))
            }
            Repr::Second(table) => table.dict.get(field).map(|field| {
                let Parts { value, expiry_ms, .. } = field.parts();
                (Element::Str(value), expiry_ms)
            }),
            Repr::Third(triples) => triples.get(field),
        }
    }

    /// The value of a field, expired or not. O(1), or O(n) within the limits of the small encodings.
    pub fn get(&self, field: &[u8]) -> Option<Element<'_>> {
        self.find(field).map(|(value, _)| value)
    }

    /// The value of a field that is not expired.
    pub fn get_at(&self, field: &[u8], now_ms: u64) -> Option<Element<'_>> {
        self.find(field).filter(|(_, expiry_ms)| is_live(*expiry_ms, now_ms)).map(|(value, _)| value)
    }

    /// Whether there is such a field, expired or not.
    pub fn contains(&self, field: &[u8]) -> bool {
        self.find(field).is_some()
    }

    /// The length of a field's value in bytes, 0 if there is no such field.
    pub fn value_len(&self, field: &[u8]) -> usize {
        self.get(field).map_or(0, Element::len)
    }

    /// Sets a field, which then has no expiry; true if it is new. May change the encoding, which is O(n) within the
    /// limits.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.set_with(field, value, Expiring::Cleared)
    }

    /// As [`Hash::set`], but the field expires when it did.
    pub fn set_keeping_expiry(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.set_with(field, value, Expiring::Kept)
    }

    fn set_with(&mut self, field: &[u8], value: &[u8], expiring: Expiring) -> bool {
        if !self.takes(field, value) {
            self.convert_to_table();
        }
        let is_new = match self.0.get_mut() {
            ReprMut::First(pairs) => match pairs.find(field, 1) {
                Some(position) => {
                    pairs.replace(value_of(pairs, position), value);
                    false
                }
                None => {
                    pairs.push_back(field);
                    pairs.push_back(value);
                    true
                }
            },
            ReprMut::Second(table) => return table.set(field, value, expiring),
            ReprMut::Third(triples) => triples.set(field, value, expiring),
        };
        if is_new && self.len() > entries_max() {
            self.convert_to_table();
        }
        is_new
    }

    /// Whether the encoding takes a field and a value of that size.
    fn takes(&self, field: &[u8], value: &[u8]) -> bool {
        let pack = match self.0.get() {
            Repr::First(pairs) => pairs,
            Repr::Second(_) => return true,
            Repr::Third(triples) => triples.pack(),
        };
        let bytes_max = entry_bytes_max(field.len()).saturating_add(entry_bytes_max(value.len()));
        field.len().max(value.len()) <= value_max()
            && pack.safe_to_add(bytes_max.saturating_add(entry_bytes_max(0)))
    }

    /// The same hash in the encoding that the number of its fields asks for.
    fn within_limits(mut self) -> Self {
        if self.len() > entries_max() {
            self.convert_to_table();
        }
        self
    }

    fn convert_to_table(&mut self) {
        if matches!(self.0.get(), Repr::Second(_)) {
            return;
        }
        let mut table = HashTable::with_capacity(self.len() + 1);
        for (field, value, expiry_ms) in self.iter() {
            let mut buffers = [[0; 20]; 2];
            let [field_buffer, value_buffer] = &mut buffers;
            let field = field.as_bytes(field_buffer);
            table.set(field, value.as_bytes(value_buffer), Expiring::Cleared);
            if expiry_ms.is_some() {
                table.set_expiry(field, expiry_ms);
            }
        }
        *self = Self::of_table(table);
    }

    /// Removes a field; false if it was not there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self.0.get_mut() {
            ReprMut::First(pairs) => {
                let position = pairs.find(field, 1);
                if let Some(position) = position {
                    pairs.remove_many(position, 2);
                }
                position.is_some()
            }
            ReprMut::Second(table) => table.remove(field),
            ReprMut::Third(triples) => triples.remove(field),
        }
    }

    /// All fields, values and expiries (Unix ms), expired ones included; in no order that means anything.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match self.0.get() {
            Repr::First(pairs) => Fields::Pairs(pairs.iter()),
            Repr::Second(table) => Fields::Table(table.dict.iter()),
            Repr::Third(triples) => Fields::Triples(triples.pack().iter()),
        })
    }

    /// The fields that are not expired.
    pub fn iter_at(
        &self,
        now_ms: u64,
    ) -> impl Iterator<Item = (Element<'_>, Element<'_>, Option<u64>)> + Clone {
        self.iter().filter(move |(_, _, expiry_ms)| is_live(*expiry_ms, now_ms))
    }

    /// A field and its value, each equally likely. O(1), or O(n) in the small encodings.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<(Element<'_>, Element<'_>)> {
        if let Repr::Second(table) = self.0.get() {
            return table.dict.random(random).map(name_and_value);
        }
        if self.is_empty() {
            return None;
        }
        let (field, value, _) = self.iter().nth(random::index(self.len(), random))?;
        Some((field, value))
    }

    /// `count` distinct fields with their values, or all if there are fewer, each such subset equally likely; their
    /// order is not random. Expected O(count) for a small part of a large hash, O(n) otherwise.
    pub fn sample(&self, count: usize, random: &mut impl FnMut() -> u64) -> Vec<(Element<'_>, Element<'_>)> {
        if let Repr::Second(table) = self.0.get() {
            return table.dict.sample(count, random).into_iter().map(name_and_value).collect();
        }
        let mut selection = Selection::new(count, self.len());
        let chosen = self.iter().filter(|_| selection.takes_next(random));
        chosen.map(|(field, value, _)| (field, value)).collect()
    }

    /// Visits some fields, values and expiries, and returns the next cursor, 0 at the end:
    /// [`Dict::scan`](super::dict::Dict::scan). The small encodings are visited as a whole, whatever the cursor,
    /// as Redis does.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Element<'_>, Element<'_>, Option<u64>),
    ) -> u64 {
        if let Repr::Second(table) = self.0.get() {
            return table.dict.scan(cursor, count, |field| {
                let Parts { name, value, expiry_ms } = field.parts();
                visit(Element::Str(name), Element::Str(value), expiry_ms);
            });
        }
        self.iter().for_each(|(field, value, expiry_ms)| visit(field, value, expiry_ms));
        0
    }

    /// When a field expires.
    pub fn field_expiry(&self, field: &[u8]) -> FieldExpiry {
        self.find(field).map_or(FieldExpiry::NoField, |(_, expiry_ms)| expiry_ms.into())
    }

    /// Sets when a field expires (Unix ms, from 1 to `i64::MAX`; others are the nearest of these), or that it does
    /// not; what it was before. O(log n), or O(n) in the small encodings.
    pub fn set_field_expiry(&mut self, field: &[u8], expiry_ms: Option<u64>) -> FieldExpiry {
        let expiry_ms = expiry_ms.map(|expiry_ms| expiry_ms.clamp(1, i64::MAX as u64));
        if let Repr::First(pairs) = self.0.get() {
            if !self.contains(field) {
                return FieldExpiry::NoField;
            }
            if expiry_ms.is_none() {
                return FieldExpiry::Never;
            }
            self.0 = Tagged::third(Box::new(ListpackEx::from_pairs(pairs)));
        }
        match self.0.get_mut() {
            ReprMut::First(_) => FieldExpiry::Never,
            ReprMut::Second(table) => table.set_expiry(field, expiry_ms),
            ReprMut::Third(triples) => triples.set_expiry(field, expiry_ms),
        }
    }

    /// When the first field expires, in Unix ms. O(1), or O(log n) in a table.
    pub fn next_expiry(&self) -> Option<u64> {
        match self.0.get() {
            Repr::First(_) => None,
            Repr::Second(table) => table.next_expiry(),
            Repr::Third(triples) => triples.next_expiry(),
        }
    }

    /// Removes the fields that are expired, tells each of them, and returns how many they were. O(1) if there are
    /// none, O(log n) for each in a table.
    pub fn expire_fields(&mut self, now_ms: u64, removed: impl FnMut(&[u8])) -> usize {
        self.expire_some_fields(now_ms, usize::MAX, removed)
    }

    /// As [`Hash::expire_fields`], but no more than `limit` of them, the earliest first.
    pub fn expire_some_fields(&mut self, now_ms: u64, limit: usize, removed: impl FnMut(&[u8])) -> usize {
        match self.0.get_mut() {
            ReprMut::First(_) => 0,
            ReprMut::Second(table) => table.expire(now_ms, limit, removed),
            ReprMut::Third(triples) => triples.expire(now_ms, limit, removed),
        }
    }

    /// Bytes of the heap that it takes. O(1).
    pub fn memory_bytes(&self) -> usize {
        match self.0.get() {
            Repr::First(pairs) => pairs.memory_bytes(),
            Repr::Second(table) => table.memory_bytes(),
            Repr::Third(triples) => capacity(size_of::<ListpackEx>()) + triples.pack().memory_bytes(),
        }
    }

    /// How many blocks dropping it frees, about.
    pub fn effort(&self) -> usize {
        match self.0.get() {
            Repr::First(_) => 1,
            Repr::Second(table) => table.effort(),
            Repr::Third(_) => 2,
        }
    }
}

impl Clone for Hash {
    fn clone(&self) -> Self {
        Self(match self.0.get() {
            Repr::First(pairs) => Tagged::first(pairs.clone()),
            Repr::Second(table) => Tagged::second(Box::new(table.clone())),
            Repr::Third(triples) => Tagged::third(Box::new(triples.clone())),
        })
    }
}

/// The position of a field's value in a listpack of pairs.
fn value_of(pairs: &Listpack, field: Position) -> Position {
    pairs.next(field).expect(PAIRS)
}

fn name_and_value(field: &HashField) -> (Element<'_>, Element<'_>) {
    let Parts { name, value, .. } = field.parts();
    (Element::Str(name), Element::Str(value))
}

fn is_live(expiry_ms: Option<u64>, now_ms: u64) -> bool {
    expiry_ms.is_none_or(|expiry_ms| expiry_ms > now_ms)
}

fn entries_max() -> usize {
    usize::try_from(LIMITS.hash_max_listpack_entries()).unwrap_or(usize::MAX)
}

fn value_max() -> usize {
    usize::try_from(LIMITS.hash_max_listpack_value()).unwrap_or(usize::MAX)
}

/// The fields of a hash; made by [`Hash::iter`].
#[derive(Clone)]
pub struct Iter<'a>(Fields<'a>);

#[derive(Clone)]
enum Fields<'a> {
    Pairs(listpack::Iter<'a>),
    Table(dict::Iter<'a, HashField>),
    Triples(listpack::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Element<'a>, Element<'a>, Option<u64>);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Fields::Pairs(elements) => Some((elements.next()?, elements.next()?, None)),
            Fields::Table(fields) => fields.next().map(|field| {
                let Parts { name, value, expiry_ms } = field.parts();
                (Element::Str(name), Element::Str(value), expiry_ms)
            }),
            Fields::Triples(elements) => next_triple(elements),
        }
    }
}

impl<'a> IntoIterator for &'a Hash {
    type Item = (Element<'a>, Element<'a>, Option<u64>);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
