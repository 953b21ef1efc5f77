//! SCAN: a walk through the keys in pages, between which everything may change.
//!
//! A cursor is (shard, layout version, slot): within a shard the slots are walked in the table's order, and a table
//! that has moved its entries since is walked again from its start, so that what is there throughout is returned,
//! perhaps twice. A shard holds some thousands of entries, and moves them only after as many insertions as half of
//! it, so a scan ends.

use super::View;
use crate::entry::Entry;
use crate::key::Key;

impl View<'_> {
    /// Continues a SCAN: calls `each` with entries from `cursor` on, through covered shards, until at least `count` were
    /// seen, a shard is not covered, or all are done; the next cursor, 0 at the end.
    /// O(count), plus a step of a nanosecond for each slot of the shard that was already passed.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(&Entry)) -> u64 {
        let mut shard = (cursor >> CURSOR_SHARD_SHIFT) as usize;
        let mut resume = (cursor & CURSOR_IS_WITHIN != 0).then_some(cursor & CURSOR_WITHIN_MASK);
        let mut seen = 0;
        while shard < self.store.shards() {
            if self.store.keys_in_shard(self.db, shard) == 0 {
                (shard, resume) = (shard + 1, None);
                continue;
            }
            if seen >= count || !self.covered.has(shard) {
                return encode_cursor(shard, resume);
            }
            let version = u64::from(self.state(shard).layout_version);
            let passed = resume.take().filter(|within| within >> CURSOR_SLOT_BITS == version);
            let mut last = None;
            let table = self.table(shard);
            let first_address = table.iter().next().map_or(0, slot_number);
            for slot in table.iter() {
                let number = slot_number(slot);
                if let Some(passed) = passed
                    && !is_beyond(number, passed & CURSOR_SLOT_MASK, first_address)
                {
                    continue;
                }
                if seen >= count {
                    break;
                }
                last = Some(number);
                seen += 1;
                if slot.0.is_expired(self.now_ms) {
                    self.remember_stale(Key::new(slot.0.key()));
                } else {
                    each(&slot.0);
                }
            }
            let end = table.iter().last().map(slot_number);
            match last {
                Some(last) if end != Some(last) => {
                    return encode_cursor(shard, Some(version << CURSOR_SLOT_BITS | last));
                }
                _ => shard += 1,
            }
        }
        0
    }
}

const CURSOR_SLOT_BITS: u32 = 24;
const CURSOR_SLOT_MASK: u64 = (1 << CURSOR_SLOT_BITS) - 1;
const CURSOR_IS_WITHIN: u64 = 1 << (CURSOR_SLOT_BITS + 16);
const CURSOR_WITHIN_MASK: u64 = CURSOR_IS_WITHIN - 1;
const CURSOR_SHARD_SHIFT: u32 = CURSOR_SLOT_BITS + 17;

fn encode_cursor(shard: usize, within: Option<u64>) -> u64 {
    (shard as u64) << CURSOR_SHARD_SHIFT | within.map_or(0, |within| CURSOR_IS_WITHIN | within)
}

/// The shard at which a SCAN cursor continues.
pub fn cursor_shard(cursor: u64) -> usize {
    (cursor >> CURSOR_SHARD_SHIFT) as usize
}

/// A number for a table's slot that falls by one from slot to slot: hashbrown lays the slots out downwards in memory, and
/// its iterator follows. Only differences within one table mean anything; a table has far fewer than 2^23 slots.
fn slot_number(slot: &(Entry, ())) -> u64 {
    (std::ptr::from_ref(slot) as u64 / size_of::<(Entry, ())>() as u64) & CURSOR_SLOT_MASK
}

/// Whether slot `number` comes after `passed` in the iterator's order, both taken relative to some slot of the same table.
fn is_beyond(number: u64, passed: u64, origin: u64) -> bool {
    let distance = |slot: u64| {
        let down = origin.wrapping_sub(slot) & CURSOR_SLOT_MASK;
        // Sign-extend: a slot may also lie before the origin.
        (down << (64 - CURSOR_SLOT_BITS)) as i64
    };
    distance(number) > distance(passed)
}
