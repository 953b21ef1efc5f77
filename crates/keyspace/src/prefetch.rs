//! Memory that will be read soon is brought near, so that cache misses overlap.

#[inline]
pub(crate) fn prefetch_block(address: *const u8) {
    prefetch_line(address);
    prefetch_line(address.wrapping_add(64));
    // A block of 96 bytes that begins late in a line reaches into a third.
    prefetch_line(address.wrapping_add(95));
}

#[inline]
pub(crate) fn prefetch_line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program can observe, and never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
