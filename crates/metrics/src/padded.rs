//! A value alone on its cache lines, so that two threads that write neighbouring values do not fight over one line.
//!
//! 128 bytes and not 64: x86-64 fetches lines in adjacent pairs, and Apple's ARM cores have lines of 128 bytes.
//! `crossbeam-utils` has the same type with a table of sizes per architecture; eight lines do not need a dependency.

use std::ops::{Deref, DerefMut};

/// `T` at the start of a cache line that it shares with nothing else.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Padded<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
