//! The index of a shard: published blocks by the hashes of their keys.
//!
//! Open addressing with linear probing over words of eight bytes: the address of a block below, and above it sixteen bits of the
//! key's hash, which say where the block's place would be. One writes, who holds the shard exclusively; any number reads at the
//! same time. A reader may miss what is being moved, for then he takes the lock; what he finds has his key.
//!
//! A deletion moves those back that were displaced by it, so nothing is left that would have to be cleaned up. Compared with
//! `papaya` and with a table of pairs in ARCHITECTURE.md.

use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::hashing;
use super::prefetch::prefetch_line;
use super::slot::Slot;
use super::sync::AtomicPtr;
use super::{Entry, Key};

/// The fewest slots: a line of the cache.
const SLOTS_MIN: usize = 8;
/// Indexes up to this size know each block's place without a look at it.
const SLOTS_TAGGED_MAX: usize = 1 << 16;

pub(crate) struct Index {
    slots: Box<[AtomicPtr<u8>]>,
}

impl Index {
    /// An index with the blocks of another one and room for `keys`, of which these are some.
    pub(crate) fn with_room_for(keys: usize, other: Option<&Self>) -> Self {
        let slots = (keys * 2).next_power_of_two().max(SLOTS_MIN);
        let index = Self { slots: (0..slots).map(|_| AtomicPtr::default()).collect() };
        for slot in other.into_iter().flat_map(|other| &other.slots) {
            let block = slot.load(Relaxed);
            if !block.is_null() {
                index.put(index.home_of(block), block);
            }
        }
        index
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<AtomicPtr<u8>>()
    }

    /// Whether there is room for one more beside so many. Three quarters are filled.
    #[inline]
    pub(crate) fn has_room_beside(&self, keys: usize) -> bool {
        (keys + 1) * 4 <= self.slots.len() * 3
    }

    /// Whether so many keys would fit into an eighth.
    #[inline]
    pub(crate) fn is_too_large_for(&self, keys: usize) -> bool {
        self.slots.len() > SLOTS_MIN && keys * 8 < self.slots.len()
    }

    #[inline]
    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    /// The place of a block, which is an entry of the table.
    fn home_of(&self, block: *mut u8) -> usize {
        if self.slots.len() <= SLOTS_TAGGED_MAX {
            return usize::from(tag_of(block)) & self.mask();
        }
        // SAFETY: blocks in an index are entries of the table, whose shard the one who writes holds.
        let entry = unsafe { borrowed(block) };
        hashing::key_hash(entry.key()) as usize & self.mask()
    }

    #[inline]
    fn slot(&self, at: usize) -> &AtomicPtr<u8> {
        // SAFETY: the mask is the slice's length, a power of two, less one.
        unsafe { self.slots.get_unchecked(at & self.mask()) }
    }

    /// Brings the slots of this hash near.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        prefetch_line(ptr::from_ref(self.slot(hash as usize)).cast());
    }

    /// The address of the first block whose key may have this hash.
    #[inline]
    pub(crate) fn first_like(&self, hash: u64) -> Option<*const u8> {
        let mut found = None;
        self.probe(hash, |block| {
            found = Some(Slot::block_of(block).cast_const());
            true
        });
        found
    }

    /// Calls `is_it` with the blocks whose keys may have this hash, until it says so.
    #[inline]
    fn probe(&self, hash: u64, mut is_it: impl FnMut(*mut u8) -> bool) {
        let tag = hash as u16;
        // Bounded, for a reader may run beside one who moves blocks.
        for step in 0..self.slots.len() {
            let block = self.slot(hash as usize + step).load(Acquire);
            if block.is_null() || tag_of(block) == tag && is_it(block) {
                return;
            }
        }
    }

    /// The entry of a key.
    ///
    /// # Safety
    /// As for [`super::Published::find`]: the blocks in here are not freed meanwhile.
    #[inline]
    pub(crate) unsafe fn find(&self, key: Key<'_>) -> Option<ManuallyDrop<Entry>> {
        let mut found = None;
        self.probe(key.hash, |block| {
            // SAFETY: the caller's promise.
            let entry = unsafe { borrowed(block) };
            let is_it = entry.key() == key.bytes;
            if is_it {
                found = Some(entry);
            }
            is_it
        });
        found
    }

    /// Adds an entry whose key is not there. There is room.
    pub(crate) fn insert(&self, hash: u64, entry: &Entry) {
        self.put(hash as usize, Slot::tagged(entry.address(), hash as u16));
    }

    fn put(&self, home: usize, block: *mut u8) {
        let mut at = home;
        while !self.slot(at).load(Relaxed).is_null() {
            at += 1;
        }
        self.slot(at).store(block, Release);
    }

    /// Takes an entry out; whether it was there.
    pub(crate) fn remove(&self, hash: u64, entry: &Entry) -> bool {
        let wanted = entry.address();
        let mut at = hash as usize & self.mask();
        loop {
            let block = self.slot(at).load(Relaxed);
            if block.is_null() {
                return false;
            }
            if Slot::block_of(block) == wanted {
                break;
            }
            at = (at + 1) & self.mask();
        }
        self.close(at);
        true
    }

    /// Empties a slot, moving those back behind it that lie where they do because of it.
    fn close(&self, mut hole: usize) {
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask();
            let block = self.slot(at).load(Relaxed);
            if block.is_null() {
                self.slot(hole).store(ptr::null_mut(), Release);
                return;
            }
            let displaced_by = at.wrapping_sub(self.home_of(block)) & self.mask();
            if displaced_by >= at.wrapping_sub(hole) & self.mask() {
                self.slot(hole).store(block, Release);
                hole = at;
            }
        }
    }
}

#[inline]
fn tag_of(block: *mut u8) -> u16 {
    Slot::free_bits_of(block)
}

/// The entry that a tagged address leads to.
///
/// # Safety
/// It is an entry's, which is freed by somebody else, and not meanwhile.
#[inline]
unsafe fn borrowed(block: *mut u8) -> ManuallyDrop<Entry> {
    // SAFETY: the caller's promise.
    ManuallyDrop::new(unsafe { Entry::from_block(Slot::block_of(block)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few of the sixteen bits differ, so that keys displace each other.
    fn hash(number: usize) -> u64 {
        (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58 << 3
    }

    fn key(number: usize) -> Vec<u8> {
        format!("key:{number}").into_bytes()
    }

    fn has(index: &Index, number: usize) -> bool {
        let bytes = key(number);
        // SAFETY: the test's entries live as long as the index.
        unsafe { index.find(Key { bytes: &bytes, hash: hash(number) }) }.is_some()
    }

    #[test]
    fn what_is_put_in_is_found_until_it_is_taken_out() {
        let (count, changes) = if cfg!(miri) { (20, 100) } else { (400, 20_000) };
        let entries: Vec<Entry> = (0..count).map(|number| Entry::string(&key(number), b"v", None)).collect();
        let mut index = Index::with_room_for(1, None);
        let mut present = vec![false; entries.len()];
        let mut state = 1u64;
        for _ in 0..changes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (state >> 33) as usize % entries.len();
            if present[number] {
                assert!(index.remove(hash(number), &entries[number]));
            } else {
                let keys = present.iter().filter(|is_present| **is_present).count();
                if !index.has_room_beside(keys) {
                    index = Index::with_room_for(keys + 1, Some(&index));
                }
                index.insert(hash(number), &entries[number]);
            }
            present[number] = !present[number];
            assert_eq!(has(&index, number), present[number]);
        }
        for (number, is_present) in present.iter().enumerate() {
            assert_eq!(has(&index, number), *is_present, "{number}");
            assert_eq!(index.remove(hash(number), &entries[number]), *is_present);
        }
        assert!(index.slots.iter().all(|slot| slot.load(Relaxed).is_null()));
    }
}
