//! The allocator, and what it has given out.
//!
//! mimalloc serves the process; a wrapper counts bytes as they come and go, so that `used_memory` and `maxmemory` need no
//! walk ([`super::counts`]). Counted is what the allocator takes for a request, rounded up to its size classes.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
#[cfg(not(feature = "system-allocator"))]
use mimalloc::MiMalloc as Base;
// A sanitizer has its own in the system's place.
#[cfg(feature = "system-allocator")]
use std::alloc::System as Base;

use super::counts::Counts;

/// mimalloc, counted.
pub struct CountingAllocator;

const CELLS: usize = 64;

static COUNTS: Counts<CELLS> = Counts {
    cells: [const { CachePadded::new(AtomicI64::new(0)) }; CELLS],
    taken: AtomicUsize::new(0),
    peak: AtomicI64::new(0),
};
static STARTUP: AtomicUsize = AtomicUsize::new(0);

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
    let cell = CELL.try_with(|cell| {
        if cell.get() == usize::MAX {
            cell.set(COUNTS.take_cell());
        }
        cell.get()
    });
    // A thread that is being torn down has no cell any more; it counts in the shared one.
    COUNTS.add(cell.unwrap_or(COUNTS.shared_cell()), bytes);
}

// SAFETY: every call is mimalloc's own; counting touches neither the memory nor the layout.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(taken(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { Base.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-taken(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { Base.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(taken(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { Base.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(taken(new_size) - taken(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { Base.realloc(block, layout, new_size) }
    }
}

/// Bytes in use. A load for each thread that has ever allocated, up to 64.
pub fn used_bytes() -> usize {
    COUNTS.sum().max(0) as usize
}

/// The most bytes that [`used_bytes`] has seen.
pub fn peak_bytes() -> usize {
    used_bytes();
    COUNTS.peak().max(0) as usize
}

/// Forgets the peak.
pub fn reset_peak() {
    COUNTS.reset_peak();
}

/// Remembers what is used now as what the server needs without data.
pub fn note_startup() {
    STARTUP.store(used_bytes(), Relaxed);
}

/// What was used when the server was ready and empty.
pub fn startup_bytes() -> usize {
    STARTUP.load(Relaxed)
}

/// Resident bytes of the process, from the kernel; 0 where it does not tell.
pub fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    // SAFETY: `sysconf` reads a constant of the system.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * usize::try_from(page_bytes).unwrap_or(4096)
}

/// Bytes of memory that the machine has; 0 where it does not tell.
pub fn system_bytes() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| {
        // SAFETY: `sysconf` reads constants of the system.
        let (pages, page_bytes) =
            unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
        usize::try_from(pages).unwrap_or(0) * usize::try_from(page_bytes).unwrap_or(0)
    })
}

/// Bytes that the allocator has committed for its heaps.
pub fn committed_bytes() -> usize {
    let mut committed = 0;
    let none = std::ptr::null_mut();
    // SAFETY: each pointer is null or leads to a number that the call fills in.
    unsafe {
        libmimalloc_sys::mi_process_info(none, none, none, none, none, &mut committed, none, none);
    }
    committed
}

/// The allocator and its version.
pub fn allocator_name() -> String {
    // SAFETY: returns a constant.
    let version = unsafe { libmimalloc_sys::mi_version() };
    format!("mimalloc-{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

/// Has the kernel give the process small pages only (`disable-thp`), for memory that it takes from now on. A huge page is
/// cleared at the first touch, while a request waits: 2 MiB at once, which takes milliseconds in a virtual machine whose host
/// must find the memory first. Whether it was done; Linux only.
pub fn disable_huge_pages() -> bool {
    #[cfg(target_os = "linux")]
    // SAFETY: sets a flag of the process; the unused arguments are 0, as the call demands.
    let is_done = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0 };
    #[cfg(not(target_os = "linux"))]
    let is_done = false;
    is_done
}

/// Gives memory that is free back to the system: that of the calling thread's heap, of threads that have ended, and what
/// belongs to no thread. Linear in the pages of the heap.
pub fn purge() {
    // The first time takes back what other threads have freed, and by that empties pages; pages that were empty before it
    // came to them are given back, so the others are the second time.
    for _ in 0..2 {
        // SAFETY: collecting touches only free memory.
        unsafe { libmimalloc_sys::mi_collect(true) };
    }
}

/// The allocator's own statistics, for people.
pub fn allocator_report() -> String {
    unsafe extern "C" fn append(text: *const libc::c_char, report: *mut libc::c_void) {
        // SAFETY: mimalloc passes a C string, and the pointer that it was given below.
        let (text, report) = unsafe { (std::ffi::CStr::from_ptr(text), &mut *report.cast::<String>()) };
        report.push_str(&text.to_string_lossy());
    }
    let mut report = String::new();
    // SAFETY: `report` outlives the call, and `append` is called from this thread only.
    unsafe { libmimalloc_sys::mi_stats_print_out(Some(append), (&raw mut report).cast()) };
    report
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
