//! The allocator, and what it has given out.
//!
//! mimalloc serves the process; a wrapper counts bytes as they come and go, so that `used_memory` and `maxmemory` need no
//! walk. Each thread has a cell of its own that only it writes (a plain load and store, no shared line); a reader adds
//! the cells up. Counted is what the allocator takes for a request, rounded up to its size classes.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use mimalloc::MiMalloc;

/// mimalloc, counted.
pub struct CountingAllocator;

const CELLS: usize = 64;

static COUNTS: [CachePadded<AtomicI64>; CELLS] = [const { CachePadded::new(AtomicI64::new(0)) }; CELLS];
static NEXT_CELL: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);
/// Threads beyond the cells share the last one, with atomic additions.
const SHARED_CELL: usize = CELLS - 1;

thread_local! {
    static CELL: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// What mimalloc takes for `size` bytes: 16-byte steps for small blocks, eighths of a power of two for larger ones.
#[inline]
fn taken(size: usize) -> i64 {
    if size <= 128 {
        return (size.max(8).next_multiple_of(if size <= 8 { 8 } else { 16 })) as i64;
    }
    let step = (1usize << (usize::BITS - 1 - (size - 1).leading_zeros())) / 8 * 2;
    let step = step.max(32) / 2;
    size.next_multiple_of(step) as i64
}

#[inline]
fn count(bytes: i64) {
    // A thread that is being torn down has no cell any more; it counts in the shared one.
    let cell = CELL.try_with(|cell| {
        if cell.get() == usize::MAX {
            cell.set(NEXT_CELL.fetch_add(1, Relaxed).min(SHARED_CELL));
        }
        cell.get()
    });
    match cell {
        Ok(cell) if cell != SHARED_CELL => {
            let count = &COUNTS[cell];
            count.store(count.load(Relaxed) + bytes, Relaxed);
        }
        _ => {
            COUNTS[SHARED_CELL].fetch_add(bytes, Relaxed);
        }
    }
}

// SAFETY: every call is mimalloc's own; counting touches neither the memory nor the layout.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(taken(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-taken(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(taken(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(taken(new_size) - taken(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { MiMalloc.realloc(block, layout, new_size) }
    }
}

/// Bytes in use.
pub fn used_bytes() -> usize {
    let sum: i64 = COUNTS.iter().map(|count| count.load(Relaxed)).sum();
    PEAK.fetch_max(sum, Relaxed);
    sum.max(0) as usize
}

/// The most bytes that [`used_bytes`] has seen.
pub fn peak_bytes() -> usize {
    used_bytes();
    PEAK.load(Relaxed).max(0) as usize
}

/// Forgets the peak.
pub fn reset_peak() {
    PEAK.store(0, Relaxed);
    used_bytes();
}

/// Resident bytes of the process, from the kernel; 0 where it does not tell.
pub fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_as_the_allocator_rounds_them() {
        for (size, expected) in
            [(1, 8), (8, 8), (9, 16), (85, 96), (128, 128), (129, 144), (300, 320), (1025, 1152)]
        {
            assert_eq!(taken(size), expected, "{size}");
        }
    }
}
