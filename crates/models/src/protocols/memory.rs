//! The memory counters.

use crossbeam_utils::CachePadded;

use super::beside;
use super::sync::{Arc, AtomicI64, AtomicUsize, ROUNDS, THREADS, check};

mod sync {
    pub(crate) use super::super::sync::{AtomicI64, AtomicUsize};
}

#[path = "../../../server/src/upkeep/counts.rs"]
mod counts;

use counts::Counts;

/// Two cells of threads' own, which is fewer than threads, and the shared one.
const CELLS: usize = 2;

/// Each thread frees what another one has allocated: all cells together have what is left, and nothing was lost.
pub fn no_byte_is_lost() {
    check(|| {
        let counts = Arc::new(Counts::<CELLS> {
            cells: std::array::from_fn(|_| CachePadded::new(AtomicI64::new(0))),
            taken: AtomicUsize::new(0),
            peak: AtomicI64::new(0),
        });
        let thread = |_| -> Box<dyn FnOnce() + Send> {
            let counts = counts.clone();
            Box::new(move || {
                let cell = counts.take_cell();
                for _ in 0..ROUNDS {
                    counts.add(cell, 10);
                    counts.add(cell, -3);
                }
            })
        };
        let threads = 2 * THREADS;
        beside((0..threads).map(thread), || {
            let most = i64::from(10 * threads * ROUNDS);
            assert!((-most..=most).contains(&counts.sum()), "a sum of what was never counted");
        });
        assert_eq!(counts.sum(), i64::from(7 * threads * ROUNDS));
        assert!(counts.peak() >= counts.sum(), "the peak is below what was seen");
    });
}
