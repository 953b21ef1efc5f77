//! Small blocks that Lua has given back, kept for the next that it asks for.
//!
//! What a run allocates is small, and garbage when it ends: strings, tables, their parts. To have a block from a list of its size costs a
//! handful of instructions, where the process's allocator takes a hundred for one and its return. Kept is little, and counted nowhere: what
//! a state may have is judged by what Lua uses.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::cell::Cell;
use std::ptr;

/// Sizes are multiples of this, which is what Lua aligns for too: its own values, and user data.
pub(super) const STEP: usize = 16;

/// Lists: for blocks of up to 256 bytes.
const LISTS: usize = 16;

/// Bytes that are kept, of all sizes.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// See the module's text. A block in a list begins with the address of the next.
#[derive(Debug, Default)]
pub(super) struct Spare {
    lists: [Cell<Block>; LISTS],
    bytes: Cell<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Block(*mut u8);

impl Default for Block {
    fn default() -> Self {
        Self(ptr::null_mut())
    }
}

/// The list of blocks for so many bytes, which are not 0; `None` for long ones.
#[inline]
fn list(bytes: usize) -> Option<usize> {
    let list = (bytes - 1) / STEP;
    (list < LISTS).then_some(list)
}

/// What the allocator is asked for where so many bytes are needed.
#[inline]
pub(super) fn layout(bytes: usize) -> Layout {
    let bytes = if list(bytes).is_some() { bytes.next_multiple_of(STEP) } else { bytes };
    // SAFETY: whoever asks has seen that the size is one of a layout.
    unsafe { Layout::from_size_align_unchecked(bytes, STEP) }
}

impl Spare {
    /// A block for so many bytes, which are not 0; null if there is no memory.
    #[inline]
    pub(super) fn take(&self, bytes: usize) -> *mut u8 {
        if let Some(list) = list(bytes) {
            let Block(block) = self.lists[list].get();
            if !block.is_null() {
                // SAFETY: what is in a list is a block of this size that nobody uses, and begins with the address of the next.
                self.lists[list].set(Block(unsafe { block.cast::<*mut u8>().read() }));
                self.bytes.set(self.bytes.get() - (list + 1) * STEP);
                return block;
            }
        }
        // SAFETY: the size is not 0.
        unsafe { alloc(layout(bytes)) }
    }

    /// Makes a block that was had here for `old` bytes one for `new`, neither of which is 0. Null if there is no memory: then it is as it was.
    ///
    /// # Safety
    /// It was, and whoever uses it goes on with the other one.
    pub(super) unsafe fn resize(&self, block: *mut u8, old: usize, new: usize) -> *mut u8 {
        if layout(old) == layout(new) {
            return block;
        }
        // SAFETY: the block is one of the old layout, says the caller; both have room for what is copied.
        unsafe {
            if list(old).is_none() && list(new).is_none() {
                return realloc(block, layout(old), new);
            }
            let other = self.take(new);
            if !other.is_null() {
                ptr::copy_nonoverlapping(block, other, old.min(new));
                self.give(block, old);
            }
            other
        }
    }

    /// Takes a block back that was had here for so many bytes.
    ///
    /// # Safety
    /// It was, and nobody uses it any more.
    #[inline]
    pub(super) unsafe fn give(&self, block: *mut u8, bytes: usize) {
        if let Some(list) = list(bytes) {
            let kept = self.bytes.get() + (list + 1) * STEP;
            if kept <= KEPT_BYTES_MAX {
                // SAFETY: nobody uses the block, which has room for an address and is aligned for one.
                unsafe { block.cast::<*mut u8>().write(self.lists[list].get().0) }
                self.lists[list].set(Block(block));
                self.bytes.set(kept);
                return;
            }
        }
        // SAFETY: the block is one of this layout, says the caller.
        unsafe { dealloc(block, layout(bytes)) }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        for (list, first) in self.lists.iter().enumerate() {
            let Block(mut block) = first.get();
            while !block.is_null() {
                // SAFETY: as in `take`; each block is given back once.
                unsafe {
                    let next = block.cast::<*mut u8>().read();
                    dealloc(block, layout((list + 1) * STEP));
                    block = next;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_for_its_size_alone() {
        let spare = Spare::default();
        let block = spare.take(17);
        // SAFETY: each is given back with its size, and once.
        unsafe {
            spare.give(block, 17);
            let other = spare.take(16);
            assert_ne!(other, block);
            let again = spare.take(32);
            assert_eq!(again, block);
            spare.give(other, 16);
            spare.give(again, 30);
        }
        assert_eq!(spare.bytes.get(), 48);
    }

    #[test]
    fn little_is_kept() {
        let spare = Spare::default();
        for bytes in [1_usize, 256, 257] {
            let blocks: Vec<_> =
                (0..2 * KEPT_BYTES_MAX / bytes.next_multiple_of(STEP)).map(|_| spare.take(bytes)).collect();
            // SAFETY: as above.
            blocks.into_iter().for_each(|block| unsafe { spare.give(block, bytes) });
            assert_eq!(spare.bytes.get(), KEPT_BYTES_MAX);
        }
    }
}
