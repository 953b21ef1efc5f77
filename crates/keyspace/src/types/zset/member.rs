//! A member of a large sorted set: one heap block that holds its score and its bytes.
//!
//! ```text
//! | score: f64 | length: u8            | bytes |    shorter than 255 bytes
//! | score: f64 | 255 | length: u64     | bytes |    the rest
//! ```
//!
//! The dict owns the block through a [`Member`]; the tree points at it through a [`MemberPointer`]. Both are eight
//! bytes. The score is in the block so that a dict slot is one pointer and ZSCORE needs no tree; the tree keeps a copy
//! of it beside its pointer so that ordering needs no block.

use crate::types::tagged::ThinPointer;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;

/// Length bytes of this value announce a `u64` length.
const LONG: u8 = u8::MAX;
const LENGTH_AT: usize = size_of::<f64>();
const SHORT_HEADER: usize = LENGTH_AT + 1;
const LONG_HEADER: usize = SHORT_HEADER + size_of::<u64>();

/// Where a member's block is; says nothing about who owns it. The default is null and is never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct MemberPointer(*mut u8);

/// Owns a member's block.
#[repr(transparent)]
pub(super) struct Member {
    pointer: MemberPointer,
    owns: PhantomData<Box<[u8]>>,
}

// SAFETY: one word, the address of a block that was allocated with alignment 8 and that moves with the word.
unsafe impl ThinPointer for Member {}
// SAFETY: a `Member` owns its block exclusively, as a box would.
unsafe impl Send for Member {}
// SAFETY: shared access to a `Member` only reads the block; `set_score` requires that nobody else looks.
unsafe impl Sync for Member {}

impl MemberPointer {
    /// Points nowhere: what fills the unused part of a node.
    pub(super) const NULL: Self = Self(std::ptr::null_mut());

    /// The member's bytes.
    ///
    /// # Safety
    /// The block is alive, and stays so for `'a`.
    pub(super) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: `Member::new` wrote the header and as many bytes as it says.
        unsafe {
            let (header, length) = self.header();
            std::slice::from_raw_parts(self.0.add(header), length)
        }
    }

    /// The member's score.
    ///
    /// # Safety
    /// The block is alive.
    pub(super) unsafe fn score(self) -> f64 {
        // SAFETY: the block starts with the score and is aligned for it.
        unsafe { self.0.cast::<f64>().read() }
    }

    /// Replaces the score in the block; the tree's copy is the caller's to change.
    ///
    /// # Safety
    /// The block is alive and nobody reads its score meanwhile: the owning set is borrowed exclusively.
    pub(super) unsafe fn set_score(self, score: f64) {
        // SAFETY: as in `score`.
        unsafe { self.0.cast::<f64>().write(score) }
    }

    /// Asks the processor to fetch the block's first line; harmless for any address.
    #[inline]
    pub(super) fn prefetch(self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.0.cast_const().cast());
        }
    }

    /// Bytes before the member's own, and how many those are.
    ///
    /// # Safety
    /// The block is alive.
    unsafe fn header(self) -> (usize, usize) {
        // SAFETY: the length byte is always there, and `LONG` says that eight more follow.
        unsafe {
            match self.0.add(LENGTH_AT).read() {
                LONG => {
                    let length = self.0.add(SHORT_HEADER).cast::<u64>().read_unaligned();
                    (LONG_HEADER, length as usize)
                }
                length => (SHORT_HEADER, usize::from(length)),
            }
        }
    }
}

impl Member {
    /// Allocates a block for the member. O(bytes).
    pub(super) fn new(bytes: &[u8], score: f64) -> Self {
        let header = if bytes.len() < usize::from(LONG) { SHORT_HEADER } else { LONG_HEADER };
        let layout = Self::layout(header + bytes.len());
        // SAFETY: the layout is not empty; the writes stay within it: score, length, then the bytes, which cannot
        // overlap memory that was just allocated.
        unsafe {
            let block = alloc(layout);
            if block.is_null() {
                handle_alloc_error(layout);
            }
            block.cast::<f64>().write(score);
            if header == SHORT_HEADER {
                block.add(LENGTH_AT).write(bytes.len() as u8);
            } else {
                block.add(LENGTH_AT).write(LONG);
                block.add(SHORT_HEADER).cast::<u64>().write_unaligned(bytes.len() as u64);
            }
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), block.add(header), bytes.len());
            Self { pointer: MemberPointer(block), owns: PhantomData }
        }
    }

    /// Where the block is.
    pub(super) fn pointer(&self) -> MemberPointer {
        self.pointer
    }

    /// The member's bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `self` owns the block.
        unsafe { self.pointer.bytes() }
    }

    /// The member's score.
    pub(super) fn score(&self) -> f64 {
        // SAFETY: `self` owns the block.
        unsafe { self.pointer.score() }
    }

    /// Bytes of heap that the block takes.
    pub(super) fn memory_bytes(&self) -> usize {
        // SAFETY: `self` owns the block.
        let (header, length) = unsafe { self.pointer.header() };
        Self::layout(header + length).size()
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, align_of::<f64>())
            .expect("a member in memory is far smaller than half the address space")
            .pad_to_align()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let layout = {
            // SAFETY: `self` owns the block.
            let (header, length) = unsafe { self.pointer.header() };
            Self::layout(header + length)
        };
        // SAFETY: `new` allocated the block with the same layout, and it is freed once.
        unsafe { dealloc(self.pointer.0, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_bytes_and_score_at_every_length() {
        for length in [0, 1, 7, 8, 254, 255, 256, 70_000] {
            let bytes: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let member = Member::new(&bytes, -1.5);
            assert_eq!(member.bytes(), bytes);
            assert_eq!(member.score(), -1.5);
            // SAFETY: the block is alive and nobody else looks at it.
            unsafe { member.pointer().set_score(f64::INFINITY) };
            assert_eq!(member.score(), f64::INFINITY);
            assert_eq!(member.bytes(), bytes);
            assert!(member.memory_bytes() >= length + 9 && member.memory_bytes() <= length + 24);
        }
    }
}
