//! Where threads wait for each other: the instruments that an engine reports its contention with.
//!
//! An engine takes each lock through [`Contention::acquire`] and gives the token back with [`Contention::release`]
//! just before it unlocks. Switched off this costs one relaxed load and a predicted branch (0.2 ns), and no clock is
//! read. Switched on it costs two reads of the clock for a free lock (its start and its end; that nobody waited is
//! known from `try_lock`) and three for a taken one, and the cells: 22 ns. An engine of queues stamps a message when
//! it is sent and reports it when it is taken out.
//!
//! **Measuring must not contend.** All cells belong to a shard, and are written by a thread that has the shard: while
//! the lock is held, or by the shard's owner. Then the writer is alone and adds with plain moves, on lines of the
//! shard that it has just fetched anyway. Readers of a shared lock are not alone, so they add atomically; they have
//! just done the same to the lock's word. Recording an acquisition lengthens the hold time that follows by a few
//! nanoseconds, and is in that figure; it is in no other.
//!
//! Waits count from the first failed attempt, hold times from having the lock to the release. Both are histograms
//! with an error of 0.8% ([`Histogram`]); an uncontended acquisition counts as a wait of 0, so the median says what
//! is usual. All figures, the maximum too, come from counts that only grow, so a reset is a baseline that readers
//! subtract, without any writer's help. (For the commands' counts that would be too weak, see `thread_local`; here a
//! measurement split by a reset does not matter.)
//!
//! Rejected: instruments inside the lock type. The engines use the locks of `parking_lot` and `dashmap` as they are,
//! and what is measured should be what runs when measuring is off.

mod samples;

use crate::clock::Clock;
use crate::histogram::{Histogram, HistogramCells, add};
use crate::padded::Padded;
use parking_lot::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// How many of the hottest shards are named.
pub const HOT_SHARDS: usize = 10;

/// How a shard is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Together with other readers.
    Shared,
    /// Alone.
    Exclusive,
}

/// The instruments of one engine: one per server.
#[derive(Debug)]
pub struct Contention {
    is_enabled: AtomicBool,
    clock: Clock,
    shard_count: usize,
    /// Allocated when first switched on: 1.6 KiB a shard, and 1 KiB for each power of two that a histogram meets.
    shards: OnceLock<Box<[Padded<ShardCells>]>>,
    /// What readers subtract. Empty until the first reset.
    baseline: Mutex<Vec<ShardCounts>>,
}

/// A shard that is held, and since when. Give it to [`Contention::release`] before unlocking.
#[derive(Debug)]
#[must_use = "a hold time is recorded by Contention::release"]
pub struct HoldTimer {
    shard: usize,
    access: Sharing,
    since: Stamp,
}

/// When something was done, if it was measured. To be sent along with a message. 8 bytes; 0 stands for unmeasured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp(u64);

#[derive(Debug)]
struct ShardCells {
    acquisitions: AtomicU64,
    contended: AtomicU64,
    wait_nanos: AtomicU64,
    fallbacks: AtomicU64,
    queue_depth_now: AtomicU64,
    wait: HistogramCells,
    hold: HistogramCells,
    queue_depth: HistogramCells,
}

/// A reading of one shard's cells, or a sum of several.
#[derive(Clone, Debug, Default)]
struct ShardCounts {
    acquisitions: u64,
    contended: u64,
    wait_nanos: u64,
    fallbacks: u64,
    wait: Histogram,
    hold: Histogram,
    queue_depth: Histogram,
}

/// What the instruments have measured since they were switched on or reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentionReport {
    /// Whether measuring is on now.
    pub is_enabled: bool,
    /// Shards of the engine.
    pub shards: usize,
    /// How often a shard was locked, or a message taken from its queue.
    pub acquisitions: u64,
    /// How many of these had to wait for another thread; each message had.
    pub contended: u64,
    /// Waits, nanoseconds; 0 for an acquisition that did not wait.
    pub wait: Histogram,
    /// From having a shard to releasing it, nanoseconds.
    pub hold: Histogram,
    /// Messages found in a queue each time that it was drained.
    pub queue_depth: Histogram,
    /// Messages found in all queues when each was drained last.
    pub queue_depth_now: u64,
    /// Reads that were tried without a lock, and then took one.
    pub fallbacks: u64,
    /// The shards with the longest total wait, at most [`HOT_SHARDS`], the worst first.
    pub hot_shards: Vec<HotShard>,
}

/// A shard that threads have waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotShard {
    /// Its index.
    pub shard: usize,
    /// How many acquisitions waited.
    pub waits: u64,
    /// For how long altogether, nanoseconds.
    pub wait_nanos: u64,
}

impl Contention {
    /// Instruments for an engine of `shard_count` shards, switched off.
    pub fn new(shard_count: usize, clock: Clock) -> Self {
        Contention {
            is_enabled: AtomicBool::new(false),
            clock,
            shard_count,
            shards: OnceLock::new(),
            baseline: Mutex::new(Vec::new()),
        }
    }

    /// Whether measuring is on.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled.load(Relaxed)
    }

    /// Switches measuring on or off, at any time. What is held meanwhile is measured if it was on at both ends.
    pub fn set_enabled(&self, is_enabled: bool) {
        if is_enabled {
            self.shards.get_or_init(|| (0..self.shard_count).map(|_| Padded(ShardCells::new())).collect());
        }
        self.is_enabled.store(is_enabled, Relaxed);
    }

    /// Locks `shard` and measures the wait: with `try_lock`, and if that fails with `lock`.
    #[inline]
    pub fn acquire<Guard>(
        &self,
        shard: usize,
        access: Sharing,
        try_lock: impl FnOnce() -> Option<Guard>,
        lock: impl FnOnce() -> Guard,
    ) -> (Guard, HoldTimer) {
        if !self.is_enabled() {
            return (lock(), HoldTimer { shard, access, since: Stamp::default() });
        }
        let (guard, wait_nanos, now) = match try_lock() {
            Some(guard) => (guard, None, self.clock.now()),
            None => {
                let started = self.clock.now();
                let guard = lock();
                let now = self.clock.now();
                (guard, Some(now.saturating_sub(started)), now)
            }
        };
        if let Some(cells) = self.cells(shard) {
            cells.acquired(access, wait_nanos);
        }
        (guard, HoldTimer { shard, access, since: Stamp::at(now) })
    }

    /// The same where `lock` may give up: then nothing is measured, and nothing comes back.
    pub fn try_acquire<Guard>(
        &self,
        shard: usize,
        access: Sharing,
        try_lock: impl FnOnce() -> Option<Guard>,
        lock: impl FnOnce() -> Option<Guard>,
    ) -> Option<(Guard, HoldTimer)> {
        if let Some(guard) = try_lock() {
            return Some(self.acquire(shard, access, || Some(()), || ())).map(|((), held)| (guard, held));
        }
        let asked = self.stamp();
        lock().map(|guard| (guard, self.acquired_since(shard, access, asked)))
    }

    /// Records how long a lock was waited for that is now held, and begins its hold time.
    pub fn acquired_since(&self, shard: usize, access: Sharing, asked: Stamp) -> HoldTimer {
        let mut held = HoldTimer { shard, access, since: Stamp::default() };
        if asked.is_measured()
            && self.is_enabled()
            && let Some(cells) = self.cells(shard)
        {
            let now = self.clock.now();
            cells.acquired(access, Some(now.saturating_sub(asked.0)));
            held.since = Stamp::at(now);
        }
        held
    }

    /// Begins to measure a hold time of a shard that needs no lock because the thread owns it.
    #[inline]
    pub fn acquire_owned(&self, shard: usize) -> HoldTimer {
        self.acquire(shard, Sharing::Exclusive, || Some(()), || ()).1
    }

    /// Records the hold time. To be called while the shard is still held.
    #[inline]
    pub fn release(&self, held: HoldTimer) {
        if held.since.is_measured()
            && self.is_enabled()
            && let Some(cells) = self.cells(held.shard)
        {
            cells.released(held.access, self.clock.now().saturating_sub(held.since.0));
        }
    }

    /// The time at which a message is sent. Costs nothing when measuring is off.
    #[inline]
    pub fn stamp(&self) -> Stamp {
        if self.is_enabled() { Stamp::at(self.clock.now()) } else { Stamp::default() }
    }

    /// Records how long a message waited in `shard`'s queue, and begins its hold time. By the shard's owner.
    #[inline]
    pub fn dequeued(&self, shard: usize, sent: Stamp) -> HoldTimer {
        self.acquired_since(shard, Sharing::Exclusive, sent)
    }

    /// Records how many messages were found in `shard`'s queue. By the shard's owner, each time it drains the queue.
    #[inline]
    pub fn queue_depth(&self, shard: usize, depth: usize) {
        if self.is_enabled()
            && let Some(cells) = self.cells(shard)
        {
            cells.queue_depth_now.store(depth as u64, Relaxed);
            cells.queue_depth.record(depth as u64);
        }
    }

    /// Counts a read that was tried without the lock and has now taken it. To be called while it is held.
    #[inline]
    pub fn fallback(&self, held: &HoldTimer) {
        if self.is_enabled()
            && let Some(cells) = self.cells(held.shard)
        {
            bump(&cells.fallbacks, 1, held.access);
        }
    }

    /// What was measured. O(shards).
    pub fn report(&self) -> ContentionReport {
        let mut report = ContentionReport {
            is_enabled: self.is_enabled(),
            shards: self.shard_count,
            ..ContentionReport::default()
        };
        let baseline = self.baseline.lock();
        for (shard, cells) in self.shards.get().into_iter().flatten().enumerate() {
            let mut counts = cells.read();
            if let Some(baseline) = baseline.get(shard) {
                counts.subtract(baseline);
            }
            report.add(shard, &counts);
            report.queue_depth_now += cells.queue_depth_now.load(Relaxed);
        }
        report.hot_shards.sort_by_key(|hot| std::cmp::Reverse(hot.wait_nanos));
        report.hot_shards.truncate(HOT_SHARDS);
        report
    }

    /// How long each shard was waited for altogether, in nanoseconds, by its index. Empty while nothing was measured.
    pub fn shard_wait_nanos(&self) -> Vec<u64> {
        let baseline = self.baseline.lock();
        let cells = self.shards.get().into_iter().flatten().enumerate();
        let waited = |(shard, cells): (usize, &Padded<ShardCells>)| {
            let before = baseline.get(shard).map_or(0, |counts| counts.wait_nanos);
            cells.wait_nanos.load(Relaxed).saturating_sub(before)
        };
        cells.map(waited).collect()
    }

    /// Counts from zero again (CONFIG RESETSTAT); the gauge of the queues stays.
    pub fn reset(&self) {
        let mut baseline = self.baseline.lock();
        *baseline = self.shards.get().into_iter().flatten().map(|cells| cells.read()).collect();
    }

    #[inline]
    fn cells(&self, shard: usize) -> Option<&ShardCells> {
        self.shards.get()?.get(shard).map(|padded| &padded.0)
    }
}

impl Stamp {
    #[inline]
    fn at(now: u64) -> Self {
        Stamp(now.max(1))
    }

    #[inline]
    fn is_measured(self) -> bool {
        self.0 != 0
    }
}

impl ShardCells {
    fn new() -> Self {
        ShardCells {
            acquisitions: AtomicU64::new(0),
            contended: AtomicU64::new(0),
            wait_nanos: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
            queue_depth_now: AtomicU64::new(0),
            wait: HistogramCells::new(),
            hold: HistogramCells::new(),
            queue_depth: HistogramCells::new(),
        }
    }

    #[inline]
    fn acquired(&self, access: Sharing, wait_nanos: Option<u64>) {
        bump(&self.acquisitions, 1, access);
        if let Some(wait_nanos) = wait_nanos {
            bump(&self.contended, 1, access);
            bump(&self.wait_nanos, wait_nanos, access);
        }
        observe(&self.wait, wait_nanos.unwrap_or(0), access);
    }

    #[inline]
    fn released(&self, access: Sharing, hold_nanos: u64) {
        observe(&self.hold, hold_nanos, access);
    }

    fn read(&self) -> ShardCounts {
        let mut counts = ShardCounts {
            acquisitions: self.acquisitions.load(Relaxed),
            contended: self.contended.load(Relaxed),
            wait_nanos: self.wait_nanos.load(Relaxed),
            fallbacks: self.fallbacks.load(Relaxed),
            ..ShardCounts::default()
        };
        self.wait.add_to(&mut counts.wait);
        self.hold.add_to(&mut counts.hold);
        self.queue_depth.add_to(&mut counts.queue_depth);
        counts
    }
}

/// Adds to a cell of a shard that is held with `access`.
#[inline]
fn bump(cell: &AtomicU64, amount: u64, access: Sharing) {
    match access {
        Sharing::Exclusive => add(cell, amount),
        Sharing::Shared => {
            cell.fetch_add(amount, Relaxed);
        }
    }
}

/// Counts a value in a histogram of a shard that is held with `access`.
#[inline]
fn observe(cells: &HistogramCells, value: u64, access: Sharing) {
    match access {
        Sharing::Exclusive => cells.record(value),
        Sharing::Shared => cells.record_shared(value),
    }
}

impl ShardCounts {
    fn subtract(&mut self, earlier: &ShardCounts) {
        self.acquisitions = self.acquisitions.saturating_sub(earlier.acquisitions);
        self.contended = self.contended.saturating_sub(earlier.contended);
        self.wait_nanos = self.wait_nanos.saturating_sub(earlier.wait_nanos);
        self.fallbacks = self.fallbacks.saturating_sub(earlier.fallbacks);
        self.wait.subtract(&earlier.wait);
        self.hold.subtract(&earlier.hold);
        self.queue_depth.subtract(&earlier.queue_depth);
    }
}

impl ContentionReport {
    fn add(&mut self, shard: usize, counts: &ShardCounts) {
        self.acquisitions += counts.acquisitions;
        self.contended += counts.contended;
        self.fallbacks += counts.fallbacks;
        self.wait.merge(&counts.wait);
        self.hold.merge(&counts.hold);
        self.queue_depth.merge(&counts.queue_depth);
        if counts.contended > 0 {
            self.hot_shards.push(HotShard { shard, waits: counts.contended, wait_nanos: counts.wait_nanos });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Barrier};
    use std::thread;

    fn enabled(shards: usize) -> Contention {
        let contention = Contention::new(shards, Clock::monotonic());
        contention.set_enabled(true);
        contention
    }

    fn lock_once(contention: &Contention, shard: usize, access: Sharing) {
        let (_, held) = contention.acquire(shard, access, || Some(()), || ());
        contention.release(held);
    }

    #[test]
    fn measures_nothing_when_off() {
        let contention = Contention::new(2, Clock::monotonic());
        let ((), held) = contention.acquire(0, Sharing::Exclusive, || panic!("no attempt when off"), || ());
        contention.fallback(&held);
        contention.release(held);
        contention.release(contention.dequeued(1, contention.stamp()));
        contention.queue_depth(0, 5);
        contention.reset();
        assert!(contention.shards.get().is_none());
        assert_eq!(contention.report(), ContentionReport { shards: 2, ..ContentionReport::default() });
    }

    #[test]
    fn what_is_held_across_the_switch_is_not_measured() {
        let contention = Contention::new(1, Clock::monotonic());
        let ((), early) = contention.acquire(0, Sharing::Exclusive, || Some(()), || ());
        let sent = contention.stamp();
        contention.set_enabled(true);
        contention.release(early);
        contention.release(contention.dequeued(0, sent));
        let ((), late) = contention.acquire(0, Sharing::Exclusive, || Some(()), || ());
        contention.set_enabled(false);
        contention.release(late);
        let report = contention.report();
        assert_eq!((report.acquisitions, report.hold.count()), (1, 0));
    }

    #[test]
    fn a_free_lock_waits_for_nothing() {
        let contention = enabled(1);
        lock_once(&contention, 0, Sharing::Exclusive);
        lock_once(&contention, 0, Sharing::Shared);
        let report = contention.report();
        assert_eq!((report.acquisitions, report.contended), (2, 0));
        assert_eq!((report.wait.count(), report.wait.max(), report.hold.count()), (2, 0, 2));
        assert!(report.hot_shards.is_empty());
    }

    /// One thread holds the lock until the other has failed to get it, so that the wait is certain.
    #[test]
    fn a_taken_lock_is_a_wait() {
        let contention = Arc::new(enabled(3));
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.lock();
        let (attempted, failed) = channel();
        let waiter = {
            let (contention, mutex) = (Arc::clone(&contention), Arc::clone(&mutex));
            thread::spawn(move || {
                let try_lock = || {
                    let attempt = mutex.try_lock();
                    attempted.send(attempt.is_none()).unwrap();
                    attempt
                };
                let (guard, held) = contention.acquire(2, Sharing::Exclusive, try_lock, || mutex.lock());
                contention.release(held);
                drop(guard);
            })
        };
        assert!(failed.recv().unwrap());
        drop(guard);
        waiter.join().unwrap();
        let report = contention.report();
        assert_eq!((report.acquisitions, report.contended), (1, 1));
        let [hot] = report.hot_shards[..] else { panic!("{:?}", report.hot_shards) };
        assert_eq!((hot.shard, hot.waits), (2, 1));
        assert!(report.wait.max() >= hot.wait_nanos);
    }

    #[test]
    fn a_message_is_a_wait() {
        let contention = enabled(2);
        let sent = contention.stamp();
        contention.queue_depth(1, 7);
        contention.queue_depth(1, 3);
        contention.release(contention.dequeued(1, sent));
        contention.release(contention.acquire_owned(1));
        let report = contention.report();
        assert_eq!((report.acquisitions, report.contended, report.hold.count()), (2, 1, 2));
        assert_eq!((report.queue_depth.count(), report.queue_depth.max(), report.queue_depth_now), (2, 7, 3));
    }

    #[test]
    fn readers_at_the_same_time_lose_nothing() {
        const THREADS: usize = 4;
        const ROUNDS: usize = if cfg!(miri) { 50 } else { 50_000 };
        let contention = enabled(1);
        let lock = parking_lot::RwLock::new(());
        let start = Barrier::new(THREADS);
        let read = || {
            let (guard, held) = contention.acquire(0, Sharing::Shared, || lock.try_read(), || lock.read());
            contention.fallback(&held);
            contention.release(held);
            drop(guard);
        };
        let write = || {
            let (guard, held) =
                contention.acquire(0, Sharing::Exclusive, || lock.try_write(), || lock.write());
            contention.fallback(&held);
            contention.release(held);
            drop(guard);
        };
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    (0..ROUNDS).for_each(|round| if round % 10 == 0 { write() } else { read() });
                });
            }
        });
        let report = contention.report();
        let expected = (THREADS * ROUNDS) as u64;
        assert_eq!((report.acquisitions, report.fallbacks), (expected, expected));
        assert_eq!((report.wait.count(), report.hold.count()), (expected, expected));
    }

    #[test]
    fn a_reset_counts_from_zero() {
        let contention = enabled(2);
        contention.queue_depth(0, 900);
        (0..3).for_each(|shard| lock_once(&contention, shard % 2, Sharing::Exclusive));
        contention.reset();
        let empty =
            ContentionReport { is_enabled: true, shards: 2, queue_depth_now: 900, ..Default::default() };
        assert_eq!(contention.report(), empty);
        contention.queue_depth(0, 2);
        lock_once(&contention, 1, Sharing::Exclusive);
        let report = contention.report();
        assert_eq!((report.acquisitions, report.hold.count(), report.queue_depth.max()), (1, 1, 2));
    }

    #[test]
    fn the_hottest_shards_come_first() {
        let contention = enabled(25);
        for shard in 0..25 {
            contention.cells(shard).unwrap().acquired(Sharing::Exclusive, Some(100 * (shard as u64 % 20)));
        }
        let hot = contention.report().hot_shards;
        assert_eq!(hot.len(), HOT_SHARDS);
        assert_eq!(hot[0], HotShard { shard: 19, waits: 1, wait_nanos: 1_900 });
        assert!(hot.is_sorted_by(|earlier, later| earlier.wait_nanos >= later.wait_nanos));
    }
}
