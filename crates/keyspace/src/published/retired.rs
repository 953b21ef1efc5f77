//! Blocks that were replaced and may still be read: kept until all who read then have left.
//!
//! Who reads says so in a word of his own thread's ([`Readers`] knows them), and pays no fence for it; the rare side, who frees, pays
//! for both: he gathers some hundred blocks, has a barrier sent to all threads, and notes who is reading. What was
//! gathered before can be freed when each of these has left. It is epoch-based reclamation (Fraser, "Practical lock-freedom", 2004) with the
//! asymmetric fences of user-space RCU, without an epoch that all share.
//!
//! **Bounded.** At most [`HELD_BYTES_MAX`] in each of [`STRIPES`] stripes, or one value, are held back: who retires more waits for the
//! readers. None of these waits for anybody: a reading has no lock and no await in it.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_utils::CachePadded;

use super::Entry;
use super::index::Index;
use super::sync::{AtomicU64, Mutex, MutexGuard, yield_now};

/// Shards share these, so that those who write elsewhere do not meet.
const STRIPES: usize = 16;
/// So many blocks of a stripe share one barrier.
const GATHERED_MAX: usize = 256;
/// So many bytes do.
const GATHERED_BYTES_MAX: usize = 256 << 10;
/// Bytes that a stripe holds back at most, or one value.
const HELD_BYTES_MAX: usize = 4 << 20;

/// Somebody who reads, at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadingStamp {
    /// His number among the readers.
    pub reader: usize,
    /// What his word said.
    pub stamp: u64,
}

/// Who reads without a lock.
pub trait Readers: Send + Sync {
    /// Adds who reads now, behind a barrier: whoever is not among them finds what the caller has done so far.
    fn reading(&self, now: &mut Vec<ReadingStamp>);

    /// Whether this reading is over. Acquire.
    fn has_left(&self, reading: ReadingStamp) -> bool;
}

/// What is freed.
enum Garbage {
    Entry(#[allow(dead_code, reason = "kept for its drop")] Entry),
    Index(#[allow(dead_code, reason = "kept for its drop")] Box<Index>),
}

#[derive(Default)]
struct Gathered {
    garbage: Vec<Garbage>,
    bytes: usize,
}

#[derive(Default)]
struct Stripe {
    /// What was retired since the last barrier.
    fresh: Gathered,
    /// What was retired before it, and waits for these readings to end.
    old: Gathered,
    readings: Vec<ReadingStamp>,
}

impl Stripe {
    fn bytes(&self) -> usize {
        self.fresh.bytes + self.old.bytes
    }

    /// Frees what can be; what is fresh begins to wait if nothing does. What is to be dropped is given back, to be dropped without the
    /// lock.
    fn collect(&mut self, readers: &dyn Readers) -> [Gathered; 2] {
        self.readings.retain(|reading| !readers.has_left(*reading));
        if !self.readings.is_empty() {
            return Default::default();
        }
        let passed = std::mem::take(&mut self.old);
        if self.fresh.garbage.is_empty() {
            return [passed, Gathered::default()];
        }
        readers.reading(&mut self.readings);
        let fresh = std::mem::take(&mut self.fresh);
        if self.readings.is_empty() {
            return [passed, fresh];
        }
        self.old = fresh;
        [passed, Gathered::default()]
    }
}

/// What is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RetiredBytes {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
    /// How often somebody has waited for readers.
    pub(crate) waits: u64,
}

pub(crate) struct Retired {
    stripes: [CachePadded<Mutex<Stripe>>; STRIPES],
    readers: Box<dyn Readers>,
    waits: AtomicU64,
}

impl Retired {
    pub(crate) fn new(readers: Box<dyn Readers>) -> Self {
        Self { stripes: Default::default(), readers, waits: AtomicU64::new(0) }
    }

    fn stripe(&self, shard: usize) -> MutexGuard<'_, Stripe> {
        self.stripes[shard % STRIPES].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees an entry that has left the table and the index, once nobody reads it.
    pub(crate) fn retire(&self, shard: usize, entry: Entry) {
        let bytes = entry.memory_bytes();
        self.add(shard, Garbage::Entry(entry), bytes);
    }

    /// Frees an index that was replaced, once nobody reads it.
    pub(crate) fn retire_index(&self, shard: usize, index: Box<Index>) {
        let bytes = index.bytes();
        self.add(shard, Garbage::Index(index), bytes);
    }

    fn add(&self, shard: usize, garbage: Garbage, bytes: usize) {
        let mut stripe = self.stripe(shard);
        stripe.fresh.garbage.push(garbage);
        stripe.fresh.bytes += bytes;
        if stripe.fresh.garbage.len() < GATHERED_MAX && stripe.fresh.bytes < GATHERED_BYTES_MAX {
            return;
        }
        let freed = stripe.collect(&*self.readers);
        let is_too_much = stripe.bytes() > HELD_BYTES_MAX;
        drop(stripe);
        drop(freed);
        if is_too_much {
            self.wait(shard);
        }
    }

    /// Waits until a stripe holds back no more than it may.
    #[cold]
    fn wait(&self, shard: usize) {
        self.waits.fetch_add(1, Relaxed);
        loop {
            let mut stripe = self.stripe(shard);
            let freed = stripe.collect(&*self.readers);
            let is_too_much = stripe.bytes() > HELD_BYTES_MAX;
            drop(stripe);
            drop(freed);
            if !is_too_much {
                return;
            }
            yield_now();
        }
    }

    /// Frees what nobody reads any more.
    pub(crate) fn collect(&self) {
        for shard in 0..STRIPES {
            let freed = self.stripe(shard).collect(&*self.readers);
            drop(freed);
        }
    }

    pub(crate) fn report(&self) -> RetiredBytes {
        let mut report = RetiredBytes { waits: self.waits.load(Relaxed), ..RetiredBytes::default() };
        for shard in 0..STRIPES {
            let stripe = self.stripe(shard);
            report.count += stripe.fresh.garbage.len() + stripe.old.garbage.len();
            report.bytes += stripe.bytes();
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    /// One reader, whose word is odd while he reads.
    #[derive(Clone, Default)]
    struct OneReader(Arc<AtomicU64>);

    impl Readers for OneReader {
        fn reading(&self, now: &mut Vec<ReadingStamp>) {
            let stamp = self.0.load(Relaxed);
            now.extend((stamp % 2 == 1).then_some(ReadingStamp { reader: 0, stamp }));
        }

        fn has_left(&self, reading: ReadingStamp) -> bool {
            self.0.load(Relaxed) != reading.stamp
        }
    }

    fn entry(bytes: usize) -> Entry {
        Entry::string(b"key", &vec![b'v'; bytes], None)
    }

    #[test]
    fn nothing_is_freed_under_a_reader() {
        let reader = OneReader::default();
        let retired = Retired::new(Box::new(reader.clone()));
        reader.0.store(1, Relaxed);
        retired.retire(0, entry(10));
        retired.collect();
        retired.collect();
        assert_eq!(retired.report().count, 1);
        // He has left and reads again: what he reads now is newer.
        reader.0.store(3, Relaxed);
        retired.collect();
        assert_eq!(retired.report(), RetiredBytes::default());
    }

    #[test]
    fn what_is_held_back_is_bounded() {
        let reader = OneReader::default();
        let retired = Retired::new(Box::new(reader.clone()));
        reader.0.store(1, Relaxed);
        let mut most = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while most_of(&retired) < HELD_BYTES_MAX / 2 || retired.report().waits == 0 {
                    std::thread::yield_now();
                }
                // The writer waits by now, and goes on when the reader has left.
                reader.0.store(2, Relaxed);
            });
            for _ in 0..HELD_BYTES_MAX / (64 << 10) * 2 {
                retired.retire(0, entry(64 << 10));
                most = most.max(most_of(&retired));
            }
        });
        assert!(most <= HELD_BYTES_MAX + (1 << 20), "{most}");
        assert_eq!(retired.report().waits, 1);
    }

    fn most_of(retired: &Retired) -> usize {
        retired.report().bytes
    }
}
