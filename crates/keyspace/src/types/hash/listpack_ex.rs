//! The encoding for small hashes of which fields expire: Redis 7.4's `listpackex`.
//!
//! ```text
//! | field | value | expiry in ms | field | value | expiry in ms | ...
//! ```
//!
//! Ordered by expiry; 0 stands for none and comes last. So the earliest is the first, and what is expired is a run
//! at the front. An RDB file takes the listpack as it is.

use super::{Expiring, FieldExpiry};
use crate::types::listpack::{Element, Listpack, Position};

const TRIPLES: &str = "each field is followed by its value and its expiry";
/// Entries for each field.
const ENTRIES: usize = 3;

#[derive(Clone)]
pub(super) struct ListpackEx {
    pack: Listpack,
}

impl ListpackEx {
    /// The fields of a plain listpack, none of which expires.
    pub(super) fn from_pairs(pairs: &Listpack) -> Self {
        let mut this = Self { pack: Listpack::new() };
        let mut elements = pairs.iter();
        while let (Some(field), Some(value)) = (elements.next(), elements.next()) {
            this.push(field, value, None);
        }
        this
    }

    /// Takes over what a file has; `None` if it does not consist of triples. Brings them into order if need be.
    pub(super) fn from_triples(pack: Listpack) -> Option<Self> {
        if !pack.len().is_multiple_of(ENTRIES)
            || !pack
                .iter()
                .skip(ENTRIES - 1)
                .step_by(ENTRIES)
                .all(|expiry| matches!(expiry, Element::Int(0..)))
        {
            return None;
        }
        let this = Self { pack };
        let order = |expiry_ms: &Option<u64>| expiry_ms.unwrap_or(u64::MAX);
        if this.triples().is_sorted_by_key(|(_, _, expiry_ms)| order(&expiry_ms)) {
            return Some(this);
        }
        let mut triples: Vec<_> = this.triples().collect();
        triples.sort_by_key(|(_, _, expiry_ms)| order(expiry_ms));
        let mut ordered = Self { pack: Listpack::new() };
        triples.into_iter().for_each(|(field, value, expiry_ms)| ordered.push(field, value, expiry_ms));
        Some(ordered)
    }

    pub(super) fn pack(&self) -> &Listpack {
        &self.pack
    }

    pub(super) fn len(&self) -> usize {
        self.pack.len() / ENTRIES
    }

    fn push(&mut self, field: Element<'_>, value: Element<'_>, expiry_ms: Option<u64>) {
        self.pack.push_back_element(field);
        self.pack.push_back_element(value);
        self.pack.push_back_element(encode(expiry_ms));
    }

    pub(super) fn triples(&self) -> impl Iterator<Item = (Element<'_>, Element<'_>, Option<u64>)> + Clone {
        let mut elements = self.pack.iter();
        std::iter::from_fn(move || next_triple(&mut elements))
    }

    /// The positions of a field's entries.
    fn find(&self, field: &[u8]) -> Option<[Position; 3]> {
        let field = self.pack.find(field, ENTRIES - 1)?;
        let value = self.pack.next(field).expect(TRIPLES);
        let expiry = self.pack.next(value).expect(TRIPLES);
        Some([field, value, expiry])
    }

    pub(super) fn get(&self, field: &[u8]) -> Option<(Element<'_>, Option<u64>)> {
        let [_, value, expiry] = self.find(field)?;
        Some((self.pack.get(value), decode(self.pack.get(expiry))))
    }

    /// Sets a field; true if it is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], expiring: Expiring) -> bool {
        let found = self.find(field);
        if let Some([position, value_position, expiry]) = found {
            if expiring == Expiring::Kept || decode(self.pack.get(expiry)).is_none() {
                self.pack.replace(value_position, value);
                return false;
            }
            self.pack.remove_many(position, ENTRIES);
        }
        self.push(Element::from_bytes(field), Element::from_bytes(value), None);
        found.is_none()
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let position = self.pack.find(field, ENTRIES - 1);
        if let Some(position) = position {
            self.pack.remove_many(position, ENTRIES);
        }
        position.is_some()
    }

    /// Sets or takes away when a field expires; what it was before.
    pub(super) fn set_expiry(&mut self, field: &[u8], expiry_ms: Option<u64>) -> FieldExpiry {
        let Some([position, value, expiry]) = self.find(field) else { return FieldExpiry::NoField };
        let before = decode(self.pack.get(expiry));
        if before == expiry_ms {
            return before.into();
        }
        let value = self.pack.get(value).to_vec();
        self.pack.remove_many(position, ENTRIES);
        let (field, value) = (Element::from_bytes(field), Element::from_bytes(&value));
        match self.first_later_than(expiry_ms) {
            None => self.push(field, value, expiry_ms),
            Some(later) => {
                let mut buffer = [0; 20];
                for element in [encode(expiry_ms), value, field] {
                    self.pack.insert_before(later, element.as_bytes(&mut buffer));
                }
            }
        }
        before.into()
    }

    /// The first field that expires later, or never; `None` is later than all.
    fn first_later_than(&self, expiry_ms: Option<u64>) -> Option<Position> {
        let expiry_ms = expiry_ms?;
        let mut positions = self.pack.positions();
        while let (Some((field, _)), Some(_), Some((_, expiry))) =
            (positions.next(), positions.next(), positions.next())
        {
            if decode(expiry).is_none_or(|other| other > expiry_ms) {
                return Some(field);
            }
        }
        None
    }

    pub(super) fn next_expiry(&self) -> Option<u64> {
        let (_, _, expiry_ms) = self.triples().next()?;
        expiry_ms
    }

    /// Removes up to `limit` fields that are expired, the earliest first.
    pub(super) fn expire(&mut self, now_ms: u64, limit: usize, mut removed: impl FnMut(&[u8])) -> usize {
        let expired = |triple: &(_, _, Option<u64>)| triple.2.is_some_and(|expiry_ms| expiry_ms <= now_ms);
        let mut count = 0;
        for (field, _, _) in self.triples().take(limit).take_while(expired) {
            removed(field.as_bytes(&mut [0; 20]));
            count += 1;
        }
        if let (Some(first), 1..) = (self.pack.first(), count) {
            self.pack.remove_many(first, count * ENTRIES);
        }
        count
    }
}

/// The next field, value and expiry of a listpack of triples.
pub(super) fn next_triple<'a>(
    elements: &mut impl Iterator<Item = Element<'a>>,
) -> Option<(Element<'a>, Element<'a>, Option<u64>)> {
    Some((elements.next()?, elements.next()?, decode(elements.next()?)))
}

fn decode(expiry: Element<'_>) -> Option<u64> {
    expiry.as_i64().and_then(|expiry_ms| u64::try_from(expiry_ms).ok()).filter(|expiry_ms| *expiry_ms > 0)
}

fn encode(expiry_ms: Option<u64>) -> Element<'static> {
    Element::Int(expiry_ms.map_or(0, |expiry_ms| i64::try_from(expiry_ms).unwrap_or(i64::MAX)))
}
