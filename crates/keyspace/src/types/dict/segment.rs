//! A few dozen elements of a [`Dict`](super::Dict) in one heap block, found by an eight-bit fingerprint.
//!
//! ```text
//! | len u32 | capacity u32 | fingerprints: capacity bytes | slots: capacity elements |
//! ```
//!
//! Slots are filled from the front in order of arrival and closed up by moving the last one, so an element is
//! `slots[i]` for every `i < len`, and a uniform choice is an index. A lookup compares 64 fingerprints at a time
//! without a branch: the processor cannot predict which of them match, and a branch that waits for memory keeps it
//! from starting the next lookup (that was 2 to 3 times slower). Such a look may run over into the slots, so all of a block is
//! initialised and elements are words without padding. The capacity grows and shrinks by eight: blocks of 80, 152,
//! 224 ... 512 bytes, which fit an allocator's size classes closely.
//!
//! `hashbrown::HashTable` was the alternative: 32 bytes where this has 8, capacities of 7/8 of a power of two
//! (half-empty after a split), and no access to a slot by number.

use crate::types::listpack::capacity;
use crate::types::tagged::ThinPointer;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The unit of capacity.
const STEP: usize = 8;
/// How many fingerprints are compared at a time. The smallest block is larger: 8 of header, 8 + 64 for elements.
const GROUP: usize = 64;

const CAPACITY_FITS: &str = "a segment holds far fewer than 2^32 elements";

#[repr(C)]
struct Header {
    len: u32,
    capacity: u32,
}

/// An unordered bag of elements with a fingerprint each; eight bytes, no block while it has never held anything.
pub(super) struct Segment<T> {
    block: Option<NonNull<u8>>,
    owns: PhantomData<T>,
}

// SAFETY: a segment owns its elements exclusively, as a vector would.
unsafe impl<T: Send> Send for Segment<T> {}
// SAFETY: as above; shared access gives only shared references to the elements.
unsafe impl<T: Sync> Sync for Segment<T> {}

impl<T> Segment<T> {
    pub(super) const fn new() -> Self {
        Self { block: None, owns: PhantomData }
    }

    fn layout(capacity: usize) -> Layout {
        const { assert!(size_of::<T>() == 8 && align_of::<T>() <= 8) };
        let size = capacity.checked_mul(1 + size_of::<T>()).map(|size| size + size_of::<Header>());
        size.and_then(|size| Layout::from_size_align(size, align_of::<u64>()).ok()).expect(CAPACITY_FITS)
    }

    /// A block without elements, of zeroes behind its header.
    fn allocate(capacity: usize) -> NonNull<u8> {
        let layout = Self::layout(capacity);
        let header = Header { len: 0, capacity: u32::try_from(capacity).expect(CAPACITY_FITS) };
        // SAFETY: the layout has the size of the header at least, and its alignment.
        unsafe {
            let Some(block) = NonNull::new(alloc_zeroed(layout)) else { handle_alloc_error(layout) };
            block.cast::<Header>().write(header);
            block
        }
    }

    /// Where the fingerprints and the slots of a block start.
    ///
    /// # Safety
    /// `block` is a block of this type.
    unsafe fn parts(block: NonNull<u8>) -> (NonNull<u8>, NonNull<T>) {
        // SAFETY: the block starts with an initialised header, and is as long as that says. The slots are aligned:
        // the block is, and the header and a capacity are multiples of eight.
        unsafe {
            let capacity = block.cast::<Header>().as_ref().capacity as usize;
            let fingerprints = block.add(size_of::<Header>());
            (fingerprints, fingerprints.add(capacity).cast())
        }
    }

    fn header(&self) -> Option<&Header> {
        // SAFETY: a block starts with an initialised, aligned header.
        self.block.map(|block| unsafe { block.cast::<Header>().as_ref() })
    }

    pub(super) fn len(&self) -> usize {
        self.header().map_or(0, |header| header.len as usize)
    }

    pub(super) fn capacity(&self) -> usize {
        self.header().map_or(0, |header| header.capacity as usize)
    }

    /// What the block takes of the heap.
    pub(super) fn block_bytes(&self) -> usize {
        if self.block.is_some() { capacity(Self::layout(self.capacity()).size()) } else { 0 }
    }

    pub(super) fn as_slice(&self) -> &[T] {
        let Some(block) = self.block else { return &[] };
        // SAFETY: the first `len` slots are initialised, and borrowed for as long as `self` is.
        unsafe { std::slice::from_raw_parts(Self::parts(block).1.as_ptr(), self.len()) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        let Some(block) = self.block else { return &mut [] };
        // SAFETY: the first `len` slots are initialised, and borrowed exclusively for as long as `self` is.
        unsafe { std::slice::from_raw_parts_mut(Self::parts(block).1.as_ptr(), self.len()) }
    }

    /// The fingerprint of a slot, which must be in use.
    pub(super) fn fingerprint(&self, slot: usize) -> u8 {
        assert!(slot < self.len(), "only a slot in use has a fingerprint");
        let block = self.block.expect("a segment with elements has a block");
        // SAFETY: there are `len` fingerprints at least.
        unsafe { Self::parts(block).0.add(slot).read() }
    }

    /// The slot of the element that has the fingerprint and for which `is_it` holds.
    pub(super) fn find(&self, fingerprint: u8, mut is_it: impl FnMut(&T) -> bool) -> Option<usize>
    where
        T: ThinPointer,
    {
        let block = self.block?;
        let slots = self.as_slice();
        for (group, slots) in slots.chunks(GROUP).enumerate() {
            // SAFETY: a group starts at a fingerprint, and behind the fingerprints are eight times as many bytes
            // of slots, no fewer than 64. They are initialised: zero at first, then elements of a type that is all
            // address. Nothing changes them while `self` is borrowed.
            let bytes = unsafe { Self::parts(block).0.add(group * GROUP).cast::<[u8; GROUP]>().as_ref() };
            let mut matches = equal_bytes(bytes, fingerprint);
            while matches != 0 {
                let slot = matches.trailing_zeros() as usize;
                // What is not in use is last, so one such match ends the search.
                let element = slots.get(slot)?;
                if is_it(element) {
                    return Some(group * GROUP + slot);
                }
                matches &= matches - 1;
            }
        }
        None
    }

    /// Adds an element behind the others.
    pub(super) fn push(&mut self, fingerprint: u8, element: T) {
        let len = self.len();
        if len == self.capacity() {
            self.resize(len + (len / 8).next_multiple_of(STEP).max(STEP));
        }
        let block = self.block.expect("a block with room has just been made");
        // SAFETY: `len` is less than `capacity`, so both writes are within the block; the slot held nothing.
        unsafe {
            let (fingerprints, slots) = Self::parts(block);
            fingerprints.add(len).write(fingerprint);
            slots.add(len).write(element);
            (*block.cast::<Header>().as_ptr()).len += 1;
        }
    }

    /// Takes out the element of a slot, which must be in use; the last one moves there. Keeps the capacity.
    pub(super) fn swap_remove(&mut self, slot: usize) -> T {
        let len = self.len();
        assert!(slot < len, "only a slot in use is removed");
        let block = self.block.expect("a segment with elements has a block");
        // SAFETY: both slots are initialised; the last one counts as empty afterwards, so nothing is dropped twice.
        unsafe {
            let (fingerprints, slots) = Self::parts(block);
            let last = len - 1;
            let element = slots.add(slot).read();
            slots.add(slot).copy_from(slots.add(last), 1);
            fingerprints.add(slot).write(fingerprints.add(last).read());
            (*block.cast::<Header>().as_ptr()).len -= 1;
            element
        }
    }

    /// Gives back capacity once two steps of it are idle, so that the next insertion does not need it again.
    pub(super) fn shrink(&mut self) {
        let fitting = self.len().next_multiple_of(STEP).max(STEP);
        if self.capacity() > fitting + STEP {
            self.resize(fitting);
        }
    }

    /// Makes room for `additional` elements.
    pub(super) fn reserve(&mut self, additional: usize) {
        let needed = (self.len() + additional).next_multiple_of(STEP);
        if needed > self.capacity() {
            self.resize(needed);
        }
    }

    /// Moves the elements to a block with another capacity, a multiple of [`STEP`] no less than `len`.
    fn resize(&mut self, capacity: usize) {
        let len = self.len();
        debug_assert!(capacity >= len && capacity.is_multiple_of(STEP));
        let block = Self::allocate(capacity);
        let Some(old) = self.block.replace(block) else { return };
        // SAFETY: both blocks have room for `len` elements and do not overlap; the elements move, the old block
        // is freed without dropping them.
        unsafe {
            let (old_fingerprints, old_slots) = Self::parts(old);
            let (fingerprints, slots) = Self::parts(block);
            fingerprints.copy_from_nonoverlapping(old_fingerprints, len);
            slots.copy_from_nonoverlapping(old_slots, len);
            (*block.cast::<Header>().as_ptr()).len = len as u32;
            Self::free(old);
        }
    }

    /// Frees a block, not its elements.
    ///
    /// # Safety
    /// `block` is a block of this type that nothing uses any more.
    unsafe fn free(block: NonNull<u8>) {
        // SAFETY: it was allocated with the layout of the capacity that its header states.
        unsafe {
            let capacity = block.cast::<Header>().as_ref().capacity as usize;
            dealloc(block.as_ptr(), Self::layout(capacity));
        }
    }
}

impl<T> Drop for Segment<T> {
    fn drop(&mut self) {
        if let Some(block) = self.block {
            let elements = std::ptr::from_mut(self.as_mut_slice());
            // SAFETY: the elements are dropped once, and the block after them.
            unsafe {
                elements.drop_in_place();
                Self::free(block);
            }
        }
    }
}

impl<T: Clone> Clone for Segment<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        copy.reserve(self.len());
        for (slot, element) in self.as_slice().iter().enumerate() {
            copy.push(self.fingerprint(slot), element.clone());
        }
        copy
    }
}

/// The bits of the bytes that are equal to `wanted`.
#[cfg(target_arch = "x86_64")]
fn equal_bytes(bytes: &[u8; GROUP], wanted: u8) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    let (quarters, _) = bytes.as_chunks::<16>();
    let mut equal = 0;
    for (index, quarter) in quarters.iter().enumerate() {
        // SAFETY: SSE2 belongs to the architecture, and sixteen bytes are read from an array of as many.
        let bits = unsafe {
            let quarter = _mm_loadu_si128(quarter.as_ptr().cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(quarter, _mm_set1_epi8(wanted as i8)))
        };
        equal |= u64::from(bits as u16) << (16 * index);
    }
    equal
}

#[cfg(not(target_arch = "x86_64"))]
use equal_bytes_portable as equal_bytes;

/// The same in plain words, eight bytes at a time.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn equal_bytes_portable(bytes: &[u8; GROUP], wanted: u8) -> u64 {
    const LOW_BITS: u64 = u64::from_ne_bytes([0x7f; 8]);
    let mut equal = 0;
    for (index, word) in bytes.as_chunks().0.iter().enumerate() {
        let differing = u64::from_le_bytes(*word) ^ u64::from_ne_bytes([wanted; 8]);
        // The high bit of each byte that is zero, then those eight bits brought together in the highest byte.
        let zero = !(((differing & LOW_BITS) + LOW_BITS) | differing | LOW_BITS);
        let bits = (zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        equal |= bits << (8 * index);
    }
    equal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::seeded;
    use std::rc::Rc;

    // SAFETY: a box of a type with the alignment eight is such an address, and owns what is there.
    unsafe impl ThinPointer for Box<u64> {}

    #[test]
    fn equal_bytes_marks_exactly_them() {
        let mut random = seeded(1);
        for _ in 0..if cfg!(miri) { 10 } else { 1_000 } {
            // Few distinct values, with and without the high bit, and neighbours of each other.
            let bytes: [u8; GROUP] =
                std::array::from_fn(|_| [0, 1, 2, 0x7f, 0x80, 0x81, 0xff][random() as usize % 7]);
            for wanted in [0, 1, 0x7f, 0x80, 0x81, 0xff, 3] {
                let expected = (0..GROUP)
                    .filter(|&index| bytes[index] == wanted)
                    .fold(0, |bits, index| bits | 1 << index);
                assert_eq!(equal_bytes(&bytes, wanted), expected);
                assert_eq!(equal_bytes_portable(&bytes, wanted), expected);
            }
        }
    }

    #[test]
    fn finds_what_was_pushed_and_only_that() {
        const COUNT: u64 = if cfg!(miri) { 50 } else { 200 };
        let mut segment = Segment::<Box<u64>>::new();
        for element in 0..COUNT {
            assert_eq!(segment.find((element % 3) as u8, |found| **found == element), None);
            segment.push((element % 3) as u8, Box::new(element));
        }
        for element in 0..COUNT {
            let slot = segment.find((element % 3) as u8, |found| **found == element);
            assert_eq!(slot, Some(element as usize));
            assert_eq!(segment.find((element % 3) as u8 + 1, |found| **found == element), None);
        }
    }

    #[test]
    fn stale_fingerprints_are_not_found() {
        let mut segment = Segment::new();
        segment.push(7, Box::new(1u64));
        segment.swap_remove(0);
        assert_eq!(segment.find(7, |_| true), None);
        assert_eq!(segment.find(0, |_| true), None);
    }

    #[test]
    fn capacity_follows_the_length() {
        let mut segment = Segment::new();
        assert_eq!((segment.capacity(), segment.block_bytes()), (0, 0));
        (0..60).for_each(|element: u64| segment.push(0, element));
        assert_eq!((segment.capacity(), segment.block_bytes()), (64, 640));
        while segment.len() > 1 {
            segment.swap_remove(0);
            segment.shrink();
            assert!(segment.capacity() < segment.len() + 3 * STEP);
        }
        assert_eq!(segment.capacity(), 16);
    }

    #[test]
    fn each_element_is_dropped_once() {
        let counted = Rc::new(());
        let mut segment = Segment::new();
        (0..20).for_each(|_| segment.push(0, Rc::clone(&counted)));
        let copy = segment.clone();
        assert_eq!(Rc::strong_count(&counted), 41);
        drop(segment.swap_remove(3));
        segment.shrink();
        assert_eq!(Rc::strong_count(&counted), 40);
        drop(segment);
        assert_eq!(Rc::strong_count(&counted), 21);
        drop(copy);
        assert_eq!(Rc::strong_count(&counted), 1);
    }
}
