//! The lanes: for each worker a buffer of entries that nobody has taken yet.
//!
//! A lane's lock is shared by its worker and by whoever takes what is there, which is a swap of buffers.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_utils::CachePadded;

use super::sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard};

/// See the module's text.
pub(super) struct Lanes {
    lanes: Box<[CachePadded<Mutex<Vec<u8>>>]>,
    /// The limit of all lanes together, and each one's share, in bytes.
    bytes_max: AtomicUsize,
    lane_bytes_max: AtomicUsize,
    is_full: AtomicBool,
}

impl Lanes {
    pub(super) fn new(count: usize) -> Self {
        Self {
            lanes: (0..count).map(|_| CachePadded::default()).collect(),
            bytes_max: AtomicUsize::new(usize::MAX),
            lane_bytes_max: AtomicUsize::new(usize::MAX),
            is_full: AtomicBool::new(false),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn lock(&self, lane: usize) -> MutexGuard<'_, Vec<u8>> {
        self.lanes[lane].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the bytes of a lane that has got more.
    #[inline]
    pub(super) fn note(&self, lane_bytes: usize) {
        if lane_bytes > self.lane_bytes_max.load(Relaxed) {
            self.set_full(true);
        }
    }

    /// Moves what a lane holds to a buffer that is empty.
    pub(super) fn take(&self, lane: usize, staged: &mut Vec<u8>) {
        debug_assert!(staged.is_empty(), "what was staged is not merged yet");
        std::mem::swap(&mut *self.lock(lane), staged);
    }

    pub(super) fn pending_bytes(&self) -> usize {
        (0..self.count()).map(|lane| self.lock(lane).len()).sum()
    }

    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max.load(Relaxed)
    }

    pub(super) fn set_limit(&self, bytes: usize) {
        self.bytes_max.store(bytes, Relaxed);
        self.lane_bytes_max.store((bytes / self.count()).max(1), Relaxed);
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Relaxed)
    }

    pub(super) fn set_full(&self, on: bool) {
        self.is_full.store(on, Relaxed);
    }
}
