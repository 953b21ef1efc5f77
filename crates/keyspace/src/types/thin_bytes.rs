//! A byte string behind one word: the element of a large set, the field and value of a large hash.
//!
//! ```text
//! | length: seven bits a byte, lowest first, the high bit says "more" | the bytes |
//! ```
//!
//! One block of exactly that size and no spare capacity, because there are millions of them: a member of up to 15
//! bytes takes 16 bytes of the heap and 8 in the table. `Box<[u8]>` would take 8 more in the table, and a reference
//! count serves nobody here.

use super::listpack::capacity;
use super::tagged::ThinPointer;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// The bytes that the longest length takes.
const LENGTH_BYTES_MAX: usize = 10;

/// An owned byte string, eight bytes wide, that may change but not its length.
#[repr(transparent)]
pub struct ThinBytes {
    block: NonNull<u8>,
}

// SAFETY: `repr(transparent)` over a non-null pointer to a block of alignment 8, which the value owns.
unsafe impl ThinPointer for ThinBytes {}
// SAFETY: the block is owned exclusively and holds plain bytes.
unsafe impl Send for ThinBytes {}
// SAFETY: shared bytes are only read.
unsafe impl Sync for ThinBytes {}

impl ThinBytes {
    /// The parts, one after the other.
    pub fn concat(parts: &[&[u8]]) -> Self {
        let len = parts.iter().map(|part| part.len()).sum();
        let mut prefix = [0; LENGTH_BYTES_MAX];
        let prefix = encode_length(len, &mut prefix);
        let layout = layout(prefix.len(), len);
        // SAFETY: the layout has room for the prefix, which is never empty, and for all the parts, which cannot
        // overlap the new block.
        unsafe {
            let Some(block) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            let mut end = block;
            for part in [prefix].iter().chain(parts) {
                end.copy_from_nonoverlapping(NonNull::from(*part).cast(), part.len());
                end = end.add(part.len());
            }
            Self { block }
        }
    }

    /// The length of the prefix and that of the bytes.
    #[inline]
    fn lengths(&self) -> (usize, usize) {
        // SAFETY: the block starts with a length, whose last byte is the first one without the high bit.
        unsafe {
            let first = self.block.read();
            if first < 0x80 {
                return (1, usize::from(first));
            }
            let (mut len, mut prefix) = (usize::from(first & 0x7f), 1);
            loop {
                let byte = self.block.add(prefix).read();
                len |= usize::from(byte & 0x7f) << (7 * prefix);
                prefix += 1;
                if byte < 0x80 {
                    return (prefix, len);
                }
            }
        }
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        let (prefix, len) = self.lengths();
        // SAFETY: behind the prefix are `len` initialised bytes, borrowed as long as `self` is.
        unsafe { std::slice::from_raw_parts(self.block.add(prefix).as_ptr(), len) }
    }

    /// The bytes, to change.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let (prefix, len) = self.lengths();
        // SAFETY: as in `as_slice`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.block.add(prefix).as_ptr(), len) }
    }

    /// What the block takes of the heap.
    pub fn memory_bytes(&self) -> usize {
        let (prefix, len) = self.lengths();
        capacity(prefix + len)
    }
}

impl Drop for ThinBytes {
    fn drop(&mut self) {
        let (prefix, len) = self.lengths();
        // SAFETY: the block was allocated with this layout and is freed once.
        unsafe { dealloc(self.block.as_ptr(), layout(prefix, len)) }
    }
}

impl Clone for ThinBytes {
    fn clone(&self) -> Self {
        Self::concat(&[self.as_slice()])
    }
}

fn layout(prefix: usize, len: usize) -> Layout {
    Layout::from_size_align(prefix + len, 8).expect("what has been a string in memory fits into memory")
}

/// Writes a number with seven bits to a byte; the part of `buffer` that it takes.
pub(super) fn encode_length(number: usize, buffer: &mut [u8; LENGTH_BYTES_MAX]) -> &[u8] {
    let (mut rest, mut written) = (number, 0);
    loop {
        buffer[written] = rest as u8 & 0x7f;
        rest >>= 7;
        if rest == 0 {
            return &buffer[..=written];
        }
        buffer[written] |= 0x80;
        written += 1;
    }
}

/// Reads a number that [`encode_length`] wrote; it and what is behind it.
#[inline]
pub(super) fn decode_length(bytes: &[u8]) -> (usize, &[u8]) {
    let (mut number, mut read) = (0, 0);
    loop {
        let byte = bytes[read];
        number |= usize::from(byte & 0x7f) << (7 * read);
        read += 1;
        if byte < 0x80 {
            return (number, &bytes[read..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_it_was_made_of() {
        for len in [0, 1, 14, 15, 127, 128, 129, 16_383, 16_384, 100_000] {
            let bytes: Vec<u8> = (0..len).map(|index| index as u8).collect();
            let (front, back) = bytes.split_at(len / 3);
            let mut thin = ThinBytes::concat(&[front, b"", back]);
            assert_eq!(thin.as_slice(), bytes);
            let copy = thin.clone();
            thin.as_mut_slice().fill(7);
            assert_eq!(thin.as_slice(), vec![7; len]);
            assert_eq!(copy.as_slice(), bytes);
        }
        assert_eq!(ThinBytes::concat(&[]).as_slice(), b"");
    }

    #[test]
    fn lengths_survive() {
        for number in [0, 1, 127, 128, 300, 1 << 14, 1 << 28, u32::MAX as usize, usize::MAX] {
            let mut buffer = [0; LENGTH_BYTES_MAX];
            let mut bytes = encode_length(number, &mut buffer).to_vec();
            bytes.extend(b"rest");
            assert_eq!(decode_length(&bytes), (number, b"rest".as_slice()));
        }
    }

    #[test]
    fn small_ones_take_sixteen_bytes() {
        assert_eq!(size_of::<Option<ThinBytes>>(), 8);
        assert_eq!(ThinBytes::concat(&[&[0; 15]]).memory_bytes(), 16);
        assert_eq!(ThinBytes::concat(&[&[0; 16]]).memory_bytes(), 32);
    }
}
