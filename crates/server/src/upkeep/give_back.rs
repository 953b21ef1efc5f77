//! Memory that was freed goes back to the system.
//!
//! The allocator gives each thread a heap of its own, and looks after what is free in it while that thread allocates. What other
//! threads free of it, as the one for large values does after FLUSHALL, is only noted, until the thread looks. A thread that
//! has nothing to do looks never: so each worker looks for itself, when much is unused and its clients leave it the time, and
//! when MEMORY PURGE asks all of them to. What ended threads have left behind, and what lies in no heap any more, is
//! looked after by whoever looks.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::upkeep::allocator;
use crate::upkeep::stats::WorkerStats;

/// How often a worker sees whether there is something to give back.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// A worker that had fewer commands than this since its last look has the time.
const CALM_COMMANDS_MAX: u64 = 1000;
/// It is worthwhile when so many bytes more than after the last time, and this part of what is used, are resident without being
/// used: each page of the heap is looked at, which takes a millisecond for each gigabyte or so.
const UNUSED_BYTES_MIN: usize = 1 << 20;
const UNUSED_PART: usize = 64;
/// Closed clients that make it worthwhile: their buffers came from the pools of the worker and went back there.
const CLOSED_MIN: u64 = 32;

/// MEMORY PURGE's wish, and how far it is fulfilled.
#[derive(Debug)]
pub struct Purges {
    /// The number of the last wish.
    asked: watch::Sender<u64>,
    /// The number of the last one that each worker has fulfilled.
    done: Box<[AtomicU64]>,
    /// Tells who waits for one.
    pub progress: Notify,
}

impl Purges {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            asked: watch::Sender::new(0),
            done: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            progress: Notify::new(),
        }
    }

    /// Asks all workers; the number of the wish.
    pub fn ask(&self) -> u64 {
        let mut wish = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            wish = *asked;
        });
        wish
    }

    /// Whether all workers have fulfilled this wish.
    pub fn is_done(&self, wish: u64) -> bool {
        self.done.iter().all(|done| done.load(Acquire) >= wish)
    }
}

/// What a worker knew when it last gave something back.
struct Watch {
    /// Bytes that were resident without being used then, or later, if those were fewer: more cannot be given back.
    unused: usize,
    closed: u64,
    /// Commands until the last look.
    commands: u64,
}

impl Watch {
    /// Whether it is worthwhile now.
    fn is_worthwhile(&mut self, resident: usize, used: usize, commands: u64, closed: u64) -> bool {
        let is_calm = commands.wrapping_sub(self.commands) < CALM_COMMANDS_MAX;
        self.commands = commands;
        let unused = resident.saturating_sub(used);
        self.unused = self.unused.min(unused);
        let more = unused - self.unused;
        closed.wrapping_sub(self.closed) >= CLOSED_MIN
            || is_calm && more >= UNUSED_BYTES_MIN.max(used / UNUSED_PART)
    }
}

fn unused_bytes() -> usize {
    allocator::resident_bytes().saturating_sub(allocator::used_bytes())
}

/// A worker's part in it.
pub struct Heap<'w> {
    /// The worker's number.
    pub worker: usize,
    /// Its counters.
    pub stats: &'w WorkerStats,
    /// Its connections that have ended.
    pub closed: &'w Cell<u64>,
    /// Gives what its pools keep back to the allocator.
    pub drop_pools: &'w dyn Fn(),
}

impl Purges {
    /// Gives back what the worker's heap has free, whenever that is worthwhile or asked for. Runs as long as the worker does.
    pub async fn run(&self, heap: Heap<'_>) {
        let mut asked = self.asked.subscribe();
        let mut watch = Watch { unused: unused_bytes(), closed: 0, commands: 0 };
        loop {
            let wish = tokio::select! {
                Ok(()) = asked.changed() => Some(*asked.borrow_and_update()),
                () = tokio::time::sleep(LOOK_PERIOD) => None,
            };
            let commands = heap.stats.commands.load(Relaxed);
            let closed = heap.closed.get();
            let (resident, used) = (allocator::resident_bytes(), allocator::used_bytes());
            let is_worthwhile = watch.is_worthwhile(resident, used, commands, closed);
            if wish.is_some() || is_worthwhile {
                (heap.drop_pools)();
                allocator::purge();
                watch = Watch { unused: unused_bytes(), closed, commands };
            }
            if let Some(wish) = wish {
                self.done[heap.worker].store(wish, Release);
                self.progress.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABYTE: usize = 1 << 20;

    #[track_caller]
    fn check(unused: usize, used: usize, commands: u64, closed: u64, expected: bool) {
        let mut watch = Watch { unused: 3 * MEGABYTE, closed: 0, commands: 0 };
        assert_eq!(watch.is_worthwhile(used + unused, used, commands, closed), expected);
    }

    #[test]
    fn it_is_worthwhile_when_much_is_unused_and_there_is_time() {
        check(3 * MEGABYTE, 10 * MEGABYTE, 0, 0, false);
        check(4 * MEGABYTE - 1000, 10 * MEGABYTE, 0, 0, false);
        check(4 * MEGABYTE, 10 * MEGABYTE, 0, 0, true);
        check(4 * MEGABYTE, 10 * MEGABYTE, 999, 0, true);
        check(4 * MEGABYTE, 10 * MEGABYTE, 1_000, 0, false);
        check(13 * MEGABYTE, 1_000 * MEGABYTE, 10, 0, false);
        check(100 * MEGABYTE, 1_000 * MEGABYTE, 10, 0, true);
        check(2 * MEGABYTE, 10 * MEGABYTE, 1_000, CLOSED_MIN, true);
    }

    #[test]
    fn what_has_become_less_may_become_more_again() {
        let mut watch = Watch { unused: 8 * MEGABYTE, closed: 0, commands: 0 };
        assert!(!watch.is_worthwhile(3 * MEGABYTE, 2 * MEGABYTE, 0, 0));
        assert!(watch.is_worthwhile(5 * MEGABYTE, 2 * MEGABYTE, 0, 0));
    }

    #[test]
    fn a_wish_is_done_when_all_workers_have_done_it() {
        let purges = Purges::new(2);
        let (first, second) = (purges.ask(), purges.ask());
        assert!(purges.is_done(0) && !purges.is_done(first));
        purges.done[0].store(second, Release);
        assert!(!purges.is_done(first));
        purges.done[1].store(first, Release);
        assert!(purges.is_done(first) && !purges.is_done(second));
    }
}
