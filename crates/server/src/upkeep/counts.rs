//! Bytes that come and go on many threads, counted without a shared line.
//!
//! Each thread has a cell of its own that only it writes, by a plain load and store; a reader adds the cells up. Threads beyond the cells, and
//! those that are being torn down, share the last one, with atomic additions. A thread's cell keeps what it has counted when it ends: what it has
//! allocated may be freed by others.

use std::sync::atomic::Ordering::Relaxed;

use crossbeam_utils::CachePadded;

use super::sync::{AtomicI64, AtomicUsize};

/// The counts, in `N` cells.
pub(crate) struct Counts<const N: usize> {
    pub(crate) cells: [CachePadded<AtomicI64>; N],
    /// How many cells were asked for.
    pub(crate) taken: AtomicUsize,
    pub(crate) peak: AtomicI64,
}

impl<const N: usize> Counts<N> {
    /// The cell that threads share.
    pub(crate) const fn shared_cell(&self) -> usize {
        N - 1
    }

    /// A cell for the calling thread.
    pub(crate) fn take_cell(&self) -> usize {
        self.taken.fetch_add(1, Relaxed).min(self.shared_cell())
    }

    /// Counts in the calling thread's cell.
    #[inline]
    pub(crate) fn add(&self, cell: usize, bytes: i64) {
        let count = &self.cells[cell];
        if cell == self.shared_cell() {
            count.fetch_add(bytes, Relaxed);
        } else {
            count.store(count.load(Relaxed) + bytes, Relaxed);
        }
    }

    /// The sum of all threads' cells. While others count it may have what is freed here and not what was allocated there, and so be
    /// below zero for a moment.
    pub(crate) fn sum(&self) -> i64 {
        let own = self.taken.load(Relaxed).min(self.shared_cell());
        let cells = self.cells[..own].iter().chain(&self.cells[self.shared_cell()..]);
        let sum: i64 = cells.map(|count| count.load(Relaxed)).sum();
        self.peak.fetch_max(sum, Relaxed);
        sum
    }

    /// The greatest sum that was seen.
    pub(crate) fn peak(&self) -> i64 {
        self.peak.load(Relaxed)
    }

    /// Forgets the peak.
    pub(crate) fn reset_peak(&self) {
        self.peak.store(0, Relaxed);
        self.sum();
    }
}
