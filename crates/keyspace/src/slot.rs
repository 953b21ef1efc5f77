//! What a table keeps of a key: eight bytes, of which 48 bits say where the key's block lies.
//!
//! ```text
//! 63      48                                        0
//! | free  | address of the block                    |
//! ```
//!
//! The upper 16 bits are free: a processor's user space ends at 2^47 unless a program asks for more, which nobody here does. They
//! are the key's and not the block's, so they stay when the block is replaced and travel when a table grows; a new key begins with
//! zeros. There is room in them for what has to be known without a look at the block: that a value is published to readers without
//! a lock (`entry::PUBLISHED`), or a key's slot within its shard in a cluster. Whoever follows the address masks them, so that using them changes nothing
//! elsewhere.
//!
//! Rejected: low bits of the address (blocks are aligned to 8, which leaves three), and a second word (8 bytes a key).

use std::ptr::NonNull;

const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: usize = (1 << ADDRESS_BITS) - 1;

const _: () = assert!(size_of::<usize>() == 8, "a slot is 16 free bits above an address of 48");
const _: () = assert!(size_of::<Slot>() == 8 && size_of::<Option<Slot>>() == 8);

/// The address of a block, and 16 bits beside it.
#[repr(transparent)]
pub(crate) struct Slot(NonNull<u8>);

impl Slot {
    /// A slot for this block, whose free bits are 0.
    #[inline]
    pub(crate) fn new(block: NonNull<u8>) -> Self {
        assert!(block.addr().get() <= ADDRESS_MASK, "an address has 48 bits");
        Self(block)
    }

    /// Where the block lies.
    #[inline]
    pub(crate) fn block(&self) -> *mut u8 {
        Self::block_of(self.0.as_ptr())
    }

    /// The bits that are free.
    #[inline]
    pub(crate) fn free_bits(&self) -> u16 {
        Self::free_bits_of(self.0.as_ptr())
    }

    /// Sets the bits that are free.
    #[inline]
    pub(crate) fn set_free_bits(&mut self, free: u16) {
        // SAFETY: the address in it is a block's, which is not null.
        self.0 = unsafe { NonNull::new_unchecked(Self::tagged(self.0.as_ptr(), free)) };
    }

    /// The address in such a word, wherever it stands.
    #[inline]
    pub(crate) fn block_of(word: *mut u8) -> *mut u8 {
        word.map_addr(|bits| bits & ADDRESS_MASK)
    }

    /// The bits beside it.
    #[inline]
    pub(crate) fn free_bits_of(word: *mut u8) -> u16 {
        (word.addr() >> ADDRESS_BITS) as u16
    }

    /// The word of this address and these bits.
    #[inline]
    pub(crate) fn tagged(word: *mut u8, free: u16) -> *mut u8 {
        word.map_addr(|bits| bits & ADDRESS_MASK | usize::from(free) << ADDRESS_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_bits_do_not_touch_the_address() {
        let mut byte = 7u8;
        let mut slot = Slot::new(NonNull::from(&mut byte));
        let address = slot.block();
        for bits in [u16::MAX, 1, 0x8000, 0] {
            slot.set_free_bits(bits);
            assert_eq!((slot.free_bits(), slot.block()), (bits, address));
        }
    }
}
