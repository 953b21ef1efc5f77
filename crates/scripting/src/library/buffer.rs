//! Bytes that become a string of Lua's.
//!
//! A few stand in the buffer itself; more stand in a block of Lua's memory, held by a place of Lua's stack: so they count as the script's, the
//! garbage collector has them afterwards, and a buffer has nothing to drop: an error may jump over it. A `Vec` was rejected for that.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;

use super::number::{DIGITS, Text};
use super::stack::Stack;
use crate::lua::function::Raise;

/// So many bytes need no block.
const INLINE_BYTES: usize = 1024;

/// So many are copied between two looks.
const SLICE_BYTES: usize = 1 << 16;

/// A buffer of more grows by halves.
const DOUBLED_BYTES_MAX: usize = 1 << 20;

/// No script makes more than this, whatever it may have.
const BYTES_MAX: usize = 1 << 32;

pub(super) struct Buffer {
    stack: Stack,
    /// Where the block stands; nil while there is none.
    place: c_int,
    /// Null while there is none.
    block: *mut u8,
    length: usize,
    capacity: usize,
    inline: [MaybeUninit<u8>; INLINE_BYTES],
}

impl Buffer {
    /// An empty one, which takes the next place of the stack.
    pub(super) fn new(stack: Stack) -> Self {
        stack.push_nil();
        Self::at(stack, stack.top())
    }

    /// An empty one that takes this place of the stack, which nobody else uses meanwhile.
    pub(super) fn at(stack: Stack, place: c_int) -> Self {
        Self {
            stack,
            place,
            block: ptr::null_mut(),
            length: 0,
            capacity: INLINE_BYTES,
            inline: [MaybeUninit::uninit(); INLINE_BYTES],
        }
    }

    /// Forgets what is there.
    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    fn start(&mut self) -> *mut u8 {
        if self.block.is_null() { self.inline.as_mut_ptr().cast() } else { self.block }
    }

    /// Appends bytes, which are not the buffer's own.
    ///
    /// # Errors
    /// There is no room for them, or the script was killed.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Raise> {
        if bytes.len() > self.capacity - self.length || bytes.len() > SLICE_BYTES {
            return self.push_slow(bytes);
        }
        self.append(bytes);
        Ok(())
    }

    #[cold]
    fn push_slow(&mut self, bytes: &[u8]) -> Result<(), Raise> {
        self.reserve(bytes.len())?;
        for slice in bytes.chunks(SLICE_BYTES) {
            self.append(slice);
            self.stack.tick((slice.len() / 16) as u32)?;
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.capacity - self.length, "there is room");
        // SAFETY: there is room for them behind the buffer's length, as the callers saw to; they are not the buffer's own.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start().add(self.length), bytes.len()) }
        self.length += bytes.len();
    }

    /// Appends a byte.
    ///
    /// # Errors
    /// There is no room for it.
    #[inline]
    pub(super) fn push_byte(&mut self, byte: u8) -> Result<(), Raise> {
        self.push(&[byte])
    }

    /// Appends a number, as Lua prints it.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn push_number(&mut self, number: f64) -> Result<(), Raise> {
        self.push(Text::of(number, DIGITS).bytes())
    }

    /// Repeats what is there until it is so many bytes: a multiple of what it is.
    ///
    /// # Errors
    /// There is no room for them, or the script was killed.
    pub(super) fn repeat_to(&mut self, total: usize) -> Result<(), Raise> {
        let unit = self.length;
        debug_assert!(total.is_multiple_of(unit), "whole units");
        self.reserve(total - unit)?;
        let slice_max = (SLICE_BYTES / unit).max(1) * unit;
        while self.length < total {
            let slice = self.length.min(total - self.length).min(slice_max);
            let start = self.start();
            // SAFETY: the first bytes are there, and there is room behind the length; the two do not overlap, for no more are taken than there
            // are.
            unsafe { ptr::copy_nonoverlapping(start, start.add(self.length), slice) }
            self.length += slice;
            self.stack.tick((slice / 16) as u32)?;
        }
        Ok(())
    }

    /// Makes room for so many bytes more.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn reserve(&mut self, bytes: usize) -> Result<(), Raise> {
        if bytes <= self.capacity - self.length { Ok(()) } else { self.grow(bytes) }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) -> Result<(), Raise> {
        let needed = self.length.saturating_add(bytes);
        if needed > BYTES_MAX || !self.stack.has_place(1) {
            return Err(self.stack.fail_bare(b"not enough memory"));
        }
        // Doubled while that is little, for a script has the old block and the new one at the same time.
        let further = match self.capacity {
            // Nothing is there yet: what is asked for is likely all.
            _ if self.length == 0 => 0,
            capacity if capacity < DOUBLED_BYTES_MAX => capacity,
            capacity => capacity / 2,
        };
        let capacity = needed.max(self.capacity + further);
        self.stack.room(capacity)?;
        let block = self.stack.push_block(capacity).cast::<u8>();
        // SAFETY: the new block is longer than what there is, and another one.
        unsafe { ptr::copy_nonoverlapping(self.start(), block, self.length) }
        // The old block is garbage from here.
        self.stack.replace(self.place);
        self.block = block;
        self.capacity = capacity;
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let start = if self.block.is_null() { self.inline.as_ptr().cast() } else { self.block.cast_const() };
        // SAFETY: so many bytes were written there; the stack holds the block.
        unsafe { std::slice::from_raw_parts(start, self.length) }
    }

    /// Pushes the bytes as a string.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn finish(&self) -> Result<(), Raise> {
        if self.length > INLINE_BYTES {
            self.stack.room(self.length)?;
        }
        self.stack.push(self.bytes());
        Ok(())
    }
}
