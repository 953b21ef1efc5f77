//! The encoding for large hashes: a [`Dict`] of fields, and an index of those that expire.
//!
//! The index is ordered by time and holds the hash of the field's name, 16 bytes, for only the fields that have an
//! expiry. So the earliest is at hand, and to expire some fields costs O(log n) each however many others there are.
//! A walk over all fields when the earliest is due would be O(n) for each of them in the worst case.

use super::field::{HashField, Parts};
use super::{Expiring, FieldExpiry};
use crate::hashing;
use crate::types::dict::{Dict, Entry, Member};
use crate::types::listpack::capacity;
use std::collections::BTreeSet;

/// What an entry of the index takes of the heap: a B-tree's nodes of 11 entries are about two thirds full.
const INDEX_ENTRY_BYTES: usize = 26;
/// Entries in a node of the index, about.
const INDEX_NODE_ENTRIES: usize = 7;

#[derive(Clone, Default)]
pub(super) struct HashTable {
    pub(super) dict: Dict<HashField>,
    /// What the fields' blocks take of the heap.
    field_bytes: usize,
    /// When a field expires, and the hash of its name. Two fields with the same of both share an entry.
    expiries: BTreeSet<(u64, u64)>,
}

impl HashTable {
    pub(super) fn with_capacity(fields: usize) -> Self {
        Self { dict: Dict::with_capacity(fields), ..Self::default() }
    }

    /// Sets a field; true if it is new.
    pub(super) fn set(&mut self, name: &[u8], value: &[u8], expiring: Expiring) -> bool {
        let hash = hashing::hash(name);
        match self.dict.entry_with_hash(name, hash) {
            Entry::Vacant(place) => {
                let field = HashField::new(name, value, None);
                self.field_bytes += field.memory_bytes();
                place.insert(field);
                true
            }
            Entry::Occupied(field) => {
                self.field_bytes -= field.memory_bytes();
                let before = field.parts().expiry_ms;
                let after = before.filter(|_| expiring == Expiring::Kept);
                field.change(value, after);
                self.field_bytes += field.memory_bytes();
                if let (Some(expiry_ms), None) = (before, after) {
                    self.forget_expiry(expiry_ms, hash);
                }
                false
            }
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let Some(field) = self.dict.remove(name) else { return false };
        self.field_bytes -= field.memory_bytes();
        if let Some(expiry_ms) = field.parts().expiry_ms {
            self.forget_expiry(expiry_ms, hashing::hash(name));
        }
        true
    }

    /// Sets or takes away when a field expires; what it was before.
    pub(super) fn set_expiry(&mut self, name: &[u8], expiry_ms: Option<u64>) -> FieldExpiry {
        let hash = hashing::hash(name);
        let Entry::Occupied(field) = self.dict.entry_with_hash(name, hash) else {
            return FieldExpiry::NoField;
        };
        let before = field.parts().expiry_ms;
        if before == expiry_ms {
            return before.into();
        }
        self.field_bytes -= field.memory_bytes();
        field.set_expiry(expiry_ms);
        self.field_bytes += field.memory_bytes();
        if let Some(expiry_ms) = before {
            self.forget_expiry(expiry_ms, hash);
        }
        if let Some(expiry_ms) = expiry_ms {
            self.expiries.insert((expiry_ms, hash));
        }
        before.into()
    }

    /// Takes an entry out of the index, unless another field needs it.
    fn forget_expiry(&mut self, expiry_ms: u64, hash: u64) {
        if self.dict.find(hash, |field| is_indexed_by(field, expiry_ms, hash)).is_none() {
            self.expiries.remove(&(expiry_ms, hash));
        }
    }

    pub(super) fn next_expiry(&self) -> Option<u64> {
        self.expiries.first().map(|(expiry_ms, _)| *expiry_ms)
    }

    /// Removes up to `limit` fields that are expired, the earliest first.
    pub(super) fn expire(&mut self, now_ms: u64, limit: usize, mut removed: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < limit
            && let Some(&(expiry_ms, hash)) = self.expiries.first()
            && expiry_ms <= now_ms
        {
            if let Some(field) = self.dict.remove_found(hash, |field| is_indexed_by(field, expiry_ms, hash)) {
                self.field_bytes -= field.memory_bytes();
                removed(field.key());
                count += 1;
            }
            self.forget_expiry(expiry_ms, hash);
        }
        count
    }

    pub(super) fn memory_bytes(&self) -> usize {
        capacity(size_of::<Self>())
            + self.dict.memory_bytes()
            + self.field_bytes
            + self.expiries.len() * INDEX_ENTRY_BYTES
    }

    pub(super) fn effort(&self) -> usize {
        1 + self.dict.effort() + self.dict.len() + self.expiries.len() / INDEX_NODE_ENTRIES
    }
}

fn is_indexed_by(field: &HashField, expiry_ms: u64, hash: u64) -> bool {
    let Parts { name, expiry_ms: of_field, .. } = field.parts();
    of_field == Some(expiry_ms) && hashing::hash(name) == hash
}
