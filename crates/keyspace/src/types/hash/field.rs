//! A field of a large hash: name, value and expiry in one block.
//!
//! ```text
//! | name length * 2 + has expiry: seven bits a byte | expiry in ms: u64, if any | name | value |
//! ```
//!
//! The value's length is what is left of the block's. Two blocks, so that a value could be exchanged alone, would
//! take 16 bytes more for each field.

use crate::types::dict::Member;
use crate::types::tagged::ThinPointer;
use crate::types::thin_bytes::{ThinBytes, decode_length, encode_length};

const EXPIRY_BYTES: usize = size_of::<u64>();

/// An owned field, eight bytes wide.
#[derive(Clone)]
#[repr(transparent)]
pub(super) struct HashField(ThinBytes);

/// What a field consists of.
pub(super) struct Parts<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) expiry_ms: Option<u64>,
}

// SAFETY: transparent over such a pointer.
unsafe impl ThinPointer for HashField {}

impl Member for HashField {
    fn key(&self) -> &[u8] {
        self.parts().name
    }
}

impl HashField {
    pub(super) fn new(name: &[u8], value: &[u8], expiry_ms: Option<u64>) -> Self {
        let mut head = [0; 10];
        let head = encode_length(name.len() << 1 | usize::from(expiry_ms.is_some()), &mut head);
        let expiry = expiry_ms.unwrap_or(0).to_le_bytes();
        let expiry = if expiry_ms.is_some() { expiry.as_slice() } else { &[] };
        Self(ThinBytes::concat(&[head, expiry, name, value]))
    }

    #[inline]
    pub(super) fn parts(&self) -> Parts<'_> {
        let (head, rest) = decode_length(self.0.as_slice());
        let (expiry_ms, rest) = match rest.split_first_chunk::<EXPIRY_BYTES>() {
            Some((expiry, rest)) if head & 1 == 1 => (Some(u64::from_le_bytes(*expiry)), rest),
            _ => (None, rest),
        };
        let (name, value) = rest.split_at(head >> 1);
        Parts { name, value, expiry_ms }
    }

    /// Gives it another value and expiry; in place where the block has the same parts.
    pub(super) fn change(&mut self, value: &[u8], expiry_ms: Option<u64>) {
        let parts = self.parts();
        if parts.value.len() != value.len() || parts.expiry_ms.is_some() != expiry_ms.is_some() {
            *self = Self::new(parts.name, value, expiry_ms);
            return;
        }
        let name_bytes = parts.name.len();
        let bytes = self.0.as_mut_slice();
        let (front, old_value) = bytes.split_at_mut(bytes.len() - value.len());
        old_value.copy_from_slice(value);
        if let Some(expiry_ms) = expiry_ms {
            let end = front.len() - name_bytes;
            front[end - EXPIRY_BYTES..end].copy_from_slice(&expiry_ms.to_le_bytes());
        }
    }

    pub(super) fn set_expiry(&mut self, expiry_ms: Option<u64>) {
        let Parts { name, value, .. } = self.parts();
        *self = Self::new(name, value, expiry_ms);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: &HashField, name: &[u8], value: &[u8], expiry_ms: Option<u64>) {
        let parts = field.parts();
        assert_eq!((parts.name, parts.value, parts.expiry_ms), (name, value, expiry_ms));
        assert_eq!(field.key(), name);
    }

    #[test]
    fn keeps_its_parts() {
        let long = vec![b'x'; 10_000];
        for name in [b"".as_slice(), b"name", &long[..63], &long[..64], &long] {
            for value in [b"".as_slice(), b"value", &long] {
                for expiry_ms in [None, Some(0), Some(1_700_000_000_000), Some(u64::MAX)] {
                    let mut field = HashField::new(name, value, expiry_ms);
                    check(&field, name, value, expiry_ms);
                    check(&field.clone(), name, value, expiry_ms);
                    for (value, expiry_ms) in [
                        (b"VALUE".as_slice(), expiry_ms),
                        (b"VaLuE", expiry_ms),
                        (b"vAlUe", expiry_ms.map(|expiry_ms| expiry_ms / 2)),
                        (b"", None),
                        (&long, Some(7)),
                    ] {
                        field.change(value, expiry_ms);
                        check(&field, name, value, expiry_ms);
                    }
                    field.set_expiry(None);
                    check(&field, name, &long, None);
                }
            }
        }
    }

    #[test]
    fn small_fields_are_small() {
        assert_eq!(HashField::new(b"name", b"value", None).memory_bytes(), 16);
        assert_eq!(HashField::new(b"name", b"value", Some(1)).memory_bytes(), 32);
    }
}
