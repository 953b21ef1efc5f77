//! A listpack: a short sequence of strings and integers in one heap block, byte for byte as Redis lays it out.
//!
//! ```text
//! | bytes: u32 | count: u16 | entry | entry | ... | 0xFF |      all little endian
//!                           | encoding, data | back length |   7 bits a byte, read from right to left
//! ```
//!
//! The block holds exactly these bytes, so that an RDB file or DUMP takes them as they are and RESTORE only checks
//! them. A listpack is one word and one allocation: that, and not speed, makes small collections cheap; up to a few
//! hundred entries a linear walk over one block is as fast as a table. The capacity of the block is a function of
//! its length (the size class that the allocator would use anyway), so neither is stored.
//!
//! All reading and all decoding is safe code over the byte slice; `unsafe` is confined to [`Listpack::splice`] and
//! the few functions that own the block. A [`Position`] that outlived a change can thus give a wrong answer or a
//! panic, never a wrong memory access. Rejected: a `Vec<u8>` (24 bytes in every key, or a second allocation) and
//! trusted pointers as cursors.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::fmt;
use std::ptr::NonNull;

use super::tagged::ThinPointer;

mod entry;

pub(super) use entry::Needle;
pub use entry::{Element, entry_bytes_max, parse_integer};
use entry::{back_length_size, decode, decode_back_length, encode_back_length, encode_head, encoded_length};
use entry::{skip_entry, step_back};

const HEADER_BYTES: usize = 6;
const TERMINATOR: u8 = 0xFF;
/// The count of a listpack that has too many entries for its field, or whose count is not known.
const COUNT_UNKNOWN: u16 = u16::MAX;
/// Above this no entry is added, see [`Listpack::safe_to_add`]. The field of the format ends at 4 GiB.
const BYTES_SAFE_MAX: usize = 1 << 30;
const BROKEN: &str = "a listpack is checked when it is made, and positions are of its entries";

/// An owned sequence of strings and integers, one word wide.
#[repr(transparent)]
pub struct Listpack {
    block: NonNull<u8>,
}

/// Where an entry starts. Valid until the listpack changes in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u32);

/// Why bytes are not a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListpackError {
    /// The length in the header is not the length of the bytes, or they are too few.
    Length,
    /// The last byte is not the terminator, or the entries do not end there.
    Terminator,
    /// An entry has an unknown encoding byte or reaches past the end.
    Entry,
    /// The back length after an entry is not the entry's length.
    BackLength,
    /// The header counts other than there are entries.
    Count,
}

impl fmt::Display for ListpackError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Length => "listpack: wrong length in the header",
            Self::Terminator => "listpack: no terminator at the end",
            Self::Entry => "listpack: broken entry",
            Self::BackLength => "listpack: wrong back length",
            Self::Count => "listpack: wrong count in the header",
        })
    }
}

impl std::error::Error for ListpackError {}

// SAFETY: `repr(transparent)` over a non-null pointer to a block of alignment 8, which the value owns.
unsafe impl ThinPointer for Listpack {}
// SAFETY: the block is owned exclusively and holds plain bytes.
unsafe impl Send for Listpack {}
// SAFETY: a shared listpack is only read.
unsafe impl Sync for Listpack {}

impl Listpack {
    /// An empty listpack: a block of 16 bytes.
    pub fn new() -> Self {
        Self::from_checked(&[7, 0, 0, 0, 0, 0, TERMINATOR])
    }

    /// Takes a listpack over from an RDB file or a DUMP. Checks every byte of its structure; O(bytes).
    /// Encodings that are longer than needed are accepted, as Redis accepts them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ListpackError> {
        let (Some(head), Some(&last)) = (bytes.first_chunk::<HEADER_BYTES>(), bytes.last()) else {
            return Err(ListpackError::Length);
        };
        let [b0, b1, b2, b3, c0, c1] = *head;
        if bytes.len() == HEADER_BYTES || u32::from_le_bytes([b0, b1, b2, b3]) as usize != bytes.len() {
            return Err(ListpackError::Length);
        }
        if last != TERMINATOR {
            return Err(ListpackError::Terminator);
        }
        let entries = &bytes[..bytes.len() - 1];
        let (mut at, mut count) = (HEADER_BYTES, 0usize);
        while at < entries.len() {
            let length = encoded_length(entries, at).ok_or(ListpackError::Entry)?;
            let end = at + length + back_length_size(length);
            if end > entries.len() {
                return Err(ListpackError::Entry);
            }
            if decode_back_length(&entries[at..end]) != Some(length) {
                return Err(ListpackError::BackLength);
            }
            at = end;
            count += 1;
        }
        let promised = u16::from_le_bytes([c0, c1]);
        if promised != COUNT_UNKNOWN && usize::from(promised) != count {
            return Err(ListpackError::Count);
        }
        Ok(Self::from_checked(bytes))
    }

    /// Entries. O(1) up to 65,534, above that the entries are counted.
    pub fn len(&self) -> usize {
        match self.count() {
            COUNT_UNKNOWN => self.iter().count(),
            count => usize::from(count),
        }
    }

    /// No entries; O(1).
    pub fn is_empty(&self) -> bool {
        self.bytes_len() == HEADER_BYTES + 1
    }

    /// The length of the whole format, header and terminator included.
    pub fn bytes_len(&self) -> usize {
        // SAFETY: the block starts with the initialised header and is aligned for a `u32`.
        u32::from_le(unsafe { self.block.cast::<u32>().read() }) as usize
    }

    /// The whole format: what an RDB file holds.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the first `bytes_len` bytes of the block are initialised, and borrowed as long as `self` is.
        unsafe { std::slice::from_raw_parts(self.block.as_ptr(), self.bytes_len()) }
    }

    /// Heap bytes owned: the size of the block.
    pub fn memory_bytes(&self) -> usize {
        capacity(self.bytes_len())
    }

    /// Whether it stays below 1 GiB with so many bytes more. A caller whose values have no small limit asks first:
    /// the format ends at 4 GiB, and to go beyond is a panic.
    pub fn safe_to_add(&self, bytes: usize) -> bool {
        self.bytes_len().saturating_add(bytes) < BYTES_SAFE_MAX
    }

    /// The entries from front to back, or back to front.
    pub fn iter(&self) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: HEADER_BYTES, back: self.end() }
    }

    /// The entries from this one on; `rev()` walks from the last one down to it.
    pub fn iter_from(&self, position: Position) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: position.offset(), back: self.end() }
    }

    /// The entries from the first one up to this one, inclusive; `rev()` walks from it down to the first.
    pub fn iter_through(&self, position: Position) -> Iter<'_> {
        let back = skip_entry(self.as_bytes(), position.offset());
        Iter { bytes: self.as_bytes(), front: HEADER_BYTES, back }
    }

    /// The entries with their positions.
    pub fn positions(&self) -> Positions<'_> {
        Positions(self.iter())
    }

    /// The first entry.
    pub fn first(&self) -> Option<Position> {
        self.at_or_end(HEADER_BYTES)
    }

    /// The last entry.
    pub fn last(&self) -> Option<Position> {
        self.before(self.end())
    }

    /// The entry after this one.
    pub fn next(&self, position: Position) -> Option<Position> {
        self.at_or_end(skip_entry(self.as_bytes(), position.offset()))
    }

    /// The entry before this one.
    pub fn prev(&self, position: Position) -> Option<Position> {
        self.before(position.offset())
    }

    /// The element at a position.
    pub fn get(&self, position: Position) -> Element<'_> {
        decode(self.as_bytes(), position.offset()).0
    }

    /// The position of the index-th entry; negative ones count from the end, -1 is the last.
    /// Walks from the nearer end.
    pub fn seek(&self, index: i64) -> Option<Position> {
        let count = self.len();
        let forward = match usize::try_from(index) {
            Ok(index) => index,
            Err(_) => count.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
        };
        let backward = count.checked_sub(forward)?.checked_sub(1)?;
        if forward <= backward {
            let bytes = self.as_bytes();
            let offset = (0..forward).fold(HEADER_BYTES, |offset, _| skip_entry(bytes, offset));
            self.at_or_end(offset)
        } else {
            let mut position = self.last()?;
            for _ in 0..backward {
                position = self.prev(position)?;
            }
            Some(position)
        }
    }

    /// The first entry equal to `value` among those that are `skip + 1` apart: with 1, the fields of field/value
    /// pairs. O(entries); integers are compared as integers.
    pub fn find(&self, value: &[u8], skip: usize) -> Option<Position> {
        self.find_at(HEADER_BYTES, value, skip)
    }

    /// As [`Listpack::find`], beginning at this entry.
    pub fn find_from(&self, from: Position, value: &[u8], skip: usize) -> Option<Position> {
        self.find_at(from.offset(), value, skip)
    }

    /// Adds an entry at the end.
    pub fn push_back(&mut self, value: &[u8]) {
        self.push_back_element(Element::from_bytes(value));
    }

    /// Adds an entry at the end without parsing it for an integer.
    pub fn push_back_element(&mut self, element: Element<'_>) {
        self.write(self.end(), self.end(), element);
        self.add_count(1);
    }

    /// Adds an entry at the front; moves all the bytes.
    pub fn push_front(&mut self, value: &[u8]) {
        self.push_front_element(Element::from_bytes(value));
    }

    /// Adds an entry at the front without parsing it for an integer.
    pub fn push_front_element(&mut self, element: Element<'_>) {
        self.write(HEADER_BYTES, HEADER_BYTES, element);
        self.add_count(1);
    }

    /// Adds an entry in front of this one; the new entry then has this position.
    pub fn insert_before(&mut self, position: Position, value: &[u8]) {
        self.write(position.offset(), position.offset(), Element::from_bytes(value));
        self.add_count(1);
    }

    /// Adds an entry behind this one and gives its position.
    pub fn insert_after(&mut self, position: Position, value: &[u8]) -> Position {
        let offset = skip_entry(self.as_bytes(), position.offset());
        self.write(offset, offset, Element::from_bytes(value));
        self.add_count(1);
        Position::new(offset)
    }

    /// Overwrites an entry; the position stays valid.
    pub fn replace(&mut self, position: Position, value: &[u8]) {
        let end = skip_entry(self.as_bytes(), position.offset());
        self.write(position.offset(), end, Element::from_bytes(value));
    }

    /// Removes an entry and gives the position of the one after it.
    pub fn remove(&mut self, position: Position) -> Option<Position> {
        self.remove_many(position, 1)
    }

    /// Removes up to `count` entries from this one on and gives the position of the one after them.
    pub fn remove_many(&mut self, position: Position, count: usize) -> Option<Position> {
        let (start, mut end, mut removed) = (position.offset(), position.offset(), 0);
        while removed < count && end < self.end() {
            end = skip_entry(self.as_bytes(), end);
            removed += 1;
        }
        self.splice(start, end, [&[]]);
        self.subtract_count(removed);
        self.at_or_end(start)
    }

    /// Removes up to `count` entries from the index-th on (negative: from the end); gives how many there were.
    pub fn remove_range(&mut self, index: i64, count: usize) -> usize {
        let Some(position) = self.seek(index) else { return 0 };
        let before = self.len();
        self.remove_many(position, count);
        before - self.len()
    }

    /// Keeps the entries for which `keep` says so and gives the number of the others. O(bytes).
    pub fn retain(&mut self, mut keep: impl FnMut(Element<'_>) -> bool) -> usize {
        let (bytes, end) = (self.as_bytes(), self.end());
        let mut kept = Self::new();
        // The entries from `run` to `offset` are kept and not yet copied.
        let (mut run, mut offset, mut removed) = (HEADER_BYTES, HEADER_BYTES, 0);
        while offset < end {
            let (element, length) = decode(bytes, offset);
            let next = offset + length + back_length_size(length);
            if !keep(element) {
                kept.splice(kept.end(), kept.end(), [&bytes[run..offset]]);
                run = next;
                removed += 1;
            }
            offset = next;
        }
        if removed > 0 {
            kept.splice(kept.end(), kept.end(), [&bytes[run..end]]);
            kept.set_count(self.count());
            kept.subtract_count(removed);
            *self = kept;
        }
        removed
    }

    /// Keeps the first `index` entries and gives the others, in O(bytes).
    pub fn split_off(&mut self, index: usize) -> Self {
        let mut tail = Self::new();
        let Some(position) = i64::try_from(index).ok().and_then(|index| self.seek(index)) else {
            return tail;
        };
        let moved = self.len() - index;
        tail.splice(HEADER_BYTES, HEADER_BYTES, [&self.as_bytes()[position.offset()..self.end()]]);
        tail.add_count(moved);
        self.splice(position.offset(), self.end(), [&[]]);
        self.subtract_count(moved);
        tail
    }

    /// Adds the entries of another listpack at the end, in O(its bytes).
    pub fn append(&mut self, other: &Self) {
        let added = other.len();
        self.splice(self.end(), self.end(), [&other.as_bytes()[HEADER_BYTES..other.end()]]);
        self.add_count(added);
    }

    /// A block with a copy of bytes that are a listpack.
    fn from_checked(bytes: &[u8]) -> Self {
        let layout = layout(bytes.len());
        // SAFETY: the layout is never empty.
        let Some(block) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the new block is at least as long as `bytes` and cannot overlap it.
        unsafe { block.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        Self { block }
    }

    /// The offset of the terminator.
    fn end(&self) -> usize {
        self.bytes_len() - 1
    }

    fn at_or_end(&self, offset: usize) -> Option<Position> {
        (offset < self.end()).then(|| Position::new(offset))
    }

    fn before(&self, offset: usize) -> Option<Position> {
        (offset > HEADER_BYTES).then(|| Position::new(step_back(self.as_bytes(), offset)))
    }

    fn count(&self) -> u16 {
        // SAFETY: the block starts with the initialised header; offset 4 is aligned for a `u16`.
        u16::from_le(unsafe { self.block.add(4).cast::<u16>().read() })
    }

    fn set_count(&mut self, count: u16) {
        // SAFETY: as in `count`, and `self` is borrowed exclusively.
        unsafe { self.block.add(4).cast::<u16>().write(count.to_le()) }
    }

    fn add_count(&mut self, added: usize) {
        let count = usize::from(self.count()).saturating_add(added);
        self.set_count(u16::try_from(count).unwrap_or(COUNT_UNKNOWN));
    }

    /// Once unknown, the count stays so until the listpack is empty: to count at each removal would be quadratic.
    fn subtract_count(&mut self, removed: usize) {
        if self.is_empty() {
            self.set_count(0);
        } else if self.count() != COUNT_UNKNOWN {
            self.set_count(u16::try_from(usize::from(self.count()) - removed).expect(BROKEN));
        }
    }

    fn find_at(&self, mut offset: usize, value: &[u8], skip: usize) -> Option<Position> {
        let bytes = self.as_bytes();
        let needle = Needle::new(value);
        let end = self.end();
        while offset < end {
            let (element, length) = decode(bytes, offset);
            if needle.matches(element) {
                return Some(Position::new(offset));
            }
            offset += length + back_length_size(length);
            for _ in 0..skip {
                if offset >= end {
                    return None;
                }
                offset = skip_entry(bytes, offset);
            }
        }
        None
    }

    /// Replaces the bytes `start..end`, which are whole entries, by one entry.
    fn write(&mut self, start: usize, end: usize, element: Element<'_>) {
        let (head, head_length) = encode_head(element);
        let text = match element {
            Element::Str(text) => text,
            Element::Int(_) => &[],
        };
        let (tail, tail_length) = encode_back_length(head_length + text.len());
        self.splice(start, end, [&head[..head_length], text, &tail[..tail_length]]);
    }

    /// Replaces the bytes `start..end` by the parts. The count is the caller's.
    fn splice<const N: usize>(&mut self, start: usize, end: usize, parts: [&[u8]; N]) {
        let old = self.bytes_len();
        assert!(HEADER_BYTES <= start && start <= end && end < old, "{BROKEN}");
        let added: usize = parts.iter().map(|part| part.len()).sum();
        let new = old - (end - start) + added;
        let stored = u32::try_from(new).expect("callers limit what they add to a listpack");
        if new > old {
            self.reallocate(old, new);
        }
        // SAFETY: the block holds max(old, new) bytes. The tail `end..old` moves within it to `start + added..new`,
        // the gap before it is filled completely, and the parts cannot lie in the block, which is borrowed
        // exclusively. So the first `new` bytes are initialised when the header says so.
        unsafe {
            let block = self.block.as_ptr();
            if start + added != end {
                std::ptr::copy(block.add(end), block.add(start + added), old - end);
            }
            let mut target = block.add(start);
            for part in parts {
                std::ptr::copy_nonoverlapping(part.as_ptr(), target, part.len());
                target = target.add(part.len());
            }
            self.block.cast::<u32>().write(stored.to_le());
        }
        if new < old {
            self.reallocate(old, new);
        }
    }

    /// Makes the block, which is that of `old` bytes, the one of `new` bytes.
    fn reallocate(&mut self, old: usize, new: usize) {
        if capacity(old) == capacity(new) {
            return;
        }
        // SAFETY: the block was allocated with this layout; the new size is not zero and is below `isize::MAX`,
        // since `new` fits a `u32`.
        let block = unsafe { realloc(self.block.as_ptr(), layout(old), capacity(new)) };
        self.block = NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout(new)));
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        Self::from_checked(self.as_bytes())
    }
}

impl Drop for Listpack {
    fn drop(&mut self) {
        // SAFETY: the block was allocated with the layout of its length, and is freed once.
        unsafe { dealloc(self.block.as_ptr(), layout(self.bytes_len())) }
    }
}

impl PartialEq for Listpack {
    /// The same bytes.
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Listpack {}

impl fmt::Debug for Listpack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> Extend<&'a [u8]> for Listpack {
    fn extend<I: IntoIterator<Item = &'a [u8]>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push_back(value));
    }
}

impl<'a> FromIterator<&'a [u8]> for Listpack {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(values: I) -> Self {
        let mut listpack = Self::new();
        listpack.extend(values);
        listpack
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Position {
    fn new(offset: usize) -> Self {
        Self(u32::try_from(offset).expect("a listpack is shorter than 4 GiB"))
    }

    fn offset(self) -> usize {
        self.0 as usize
    }
}

/// The elements of a listpack; made by [`Listpack::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    /// Where the entries that are left end.
    back: usize,
}

impl Iter<'_> {
    /// Where the next element is.
    pub(super) fn here(&self) -> Position {
        Position::new(self.front)
    }

    /// Whether nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.front >= self.back
    }

    /// Goes over so many elements without decoding them.
    pub(super) fn pass(&mut self, count: usize) {
        for _ in 0..count {
            if self.is_over() {
                return;
            }
            self.front = skip_entry(self.bytes, self.front);
        }
    }

    /// Takes so many elements from the end, to be read forwards.
    pub(super) fn split_back(&mut self, count: usize) -> Self {
        let end = self.back;
        for _ in 0..count {
            if self.is_over() {
                break;
            }
            self.back = step_back(self.bytes, self.back);
        }
        Self { bytes: self.bytes, front: self.back, back: end }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (element, length) = decode(self.bytes, self.front);
        self.front += length + back_length_size(length);
        Some(element)
    }

    /// Skips without decoding.
    fn nth(&mut self, index: usize) -> Option<Element<'a>> {
        for _ in 0..index {
            if self.front >= self.back {
                return None;
            }
            self.front = skip_entry(self.bytes, self.front);
        }
        self.next()
    }
}

impl<'a> DoubleEndedIterator for Iter<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<Element<'a>> {
        if self.front >= self.back {
            return None;
        }
        self.back = step_back(self.bytes, self.back);
        Some(decode(self.bytes, self.back).0)
    }
}

impl std::iter::FusedIterator for Iter<'_> {}

/// The elements of a listpack with their positions; made by [`Listpack::positions`].
#[derive(Clone, Debug)]
pub struct Positions<'a>(Iter<'a>);

impl<'a> Iterator for Positions<'a> {
    type Item = (Position, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.0.front;
        Some((Position::new(offset), self.0.next()?))
    }
}

impl DoubleEndedIterator for Positions<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let element = self.0.next_back()?;
        Some((Position::new(self.0.back), element))
    }
}

/// The block for so many bytes: multiples of 16 up to 128, then four sizes per power of two, which are the size
/// classes of mimalloc and jemalloc. So rounding costs no memory there and most changes need no `realloc`.
pub(super) fn capacity(bytes: usize) -> usize {
    let step = if bytes <= 128 { 16 } else { 1 << ((bytes - 1).ilog2() - 2) };
    bytes.next_multiple_of(step)
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(capacity(bytes), 8).expect("the length of a listpack fits a u32")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What redis-server 7.0.15 dumps for these values.
    const GOLDEN_VALUES: [&[u8]; 32] = [
        b"",
        b"a",
        b"0",
        b"127",
        b"128",
        b"-1",
        b"-4096",
        b"4095",
        b"4096",
        b"-4097",
        b"-32768",
        b"32767",
        b"32768",
        b"-32769",
        b"8388607",
        b"-8388608",
        b"8388608",
        b"-8388609",
        b"2147483647",
        b"-2147483648",
        b"2147483648",
        b"-2147483649",
        b"9223372036854775807",
        b"-9223372036854775808",
        b"9223372036854775808",
        b"-0",
        b"01",
        b"+1",
        b"1 ",
        b"-",
        b"\xff\x00",
        b"00000000000000000000",
    ];
    const GOLDEN_BYTES: &str = "c20000002000\
        800181610200017f01c08002dfff02d00002cfff02f1001003f1ffef03f1008003f1ff7f03f200800004f2ff7fff04\
        f2ffff7f04f200008004f30000800005f3ffff7fff05f3ffffff7f05f30000008005f4000000800000000009\
        f4ffffff7fffffffff09f4ffffffffffffff7f09f4000000000000008009\
        933932323333373230333638353437373538303814822d300382303103822b310382312003812d0282ff0003\
        94303030303030303030303030303030303030303015ff";

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }

        fn value(&mut self) -> Vec<u8> {
            match self.below(8) {
                0 => vec![b'x'; self.below(70)],
                1 => vec![b'y'; self.below(5000)],
                2 => (self.below(1 << 20) as i64 - (1 << 19)).to_string().into_bytes(),
                3 => ((self.below(usize::MAX) as i64) >> self.below(64)).to_string().into_bytes(),
                _ => self.below(40).to_string().into_bytes(),
            }
        }
    }

    fn check(listpack: &Listpack, expected: &[Vec<u8>]) {
        let forward: Vec<_> = listpack.iter().map(Element::to_vec).collect();
        assert_eq!(forward, expected);
        let mut backward: Vec<_> =
            listpack.positions().rev().map(|(at, _)| listpack.get(at).to_vec()).collect();
        backward.reverse();
        assert_eq!(backward, expected);
        assert_eq!(listpack.len(), expected.len());
        assert_eq!(listpack.is_empty(), expected.is_empty());
        assert_eq!(&Listpack::from_bytes(listpack.as_bytes()).unwrap(), listpack);
        let entries: usize = listpack.iter().map(Element::encoded_bytes).sum();
        assert_eq!(listpack.bytes_len(), HEADER_BYTES + entries + 1);
    }

    #[test]
    fn the_bytes_are_those_of_redis() {
        let listpack: Listpack = GOLDEN_VALUES.into_iter().collect();
        assert_eq!(listpack.as_bytes(), unhex(GOLDEN_BYTES));
        check(&listpack, &GOLDEN_VALUES.map(<[u8]>::to_vec));
        for (index, value) in GOLDEN_VALUES.into_iter().enumerate() {
            let position = listpack.find(value, 0).unwrap();
            assert_eq!(Some(position), listpack.seek(index as i64));
            assert!(listpack.get(position).eq_bytes(value));
            assert_eq!(listpack.get(position).len(), value.len());
        }
    }

    #[test]
    fn long_strings_are_laid_out_as_in_redis() {
        for (length, head, tail) in [
            (62, "47000000 0100 be", "3fff"),
            (63, "48000000 0100 bf", "40ff"),
            (64, "4a000000 0100 e040", "42ff"),
            (126, "89000000 0100 e07e", "0180ff"),
            (127, "8a000000 0100 e07f", "0181ff"),
            (4095, "0a100000 0100 efff", "2081ff"),
            (4096, "0e100000 0100 f000100000", "2085ff"),
            (16_377, "07400000 0100 f0f93f0000", "7ffeff"),
            (16_378, "09400000 0100 f0fa3f0000", "00ffffff"),
            (16_380, "0b400000 0100 f0fc3f0000", "018081ff"),
        ] {
            let value = vec![b'x'; length];
            let listpack: Listpack = [value.as_slice()].into_iter().collect();
            let expected = [unhex(head), value.clone(), unhex(tail)].concat();
            assert!(listpack.as_bytes() == expected, "a string of {length} bytes");
            check(&listpack, &[value]);
        }
    }

    #[test]
    fn behaves_as_a_vector() {
        for seed in 1..=if cfg!(miri) { 5 } else { 30 } {
            let mut random = Random(seed * 0x9E37_79B9);
            let (mut listpack, mut model) = (Listpack::new(), Vec::<Vec<u8>>::new());
            for _ in 0..if cfg!(miri) { 30 } else { 300 } {
                let value = random.value();
                let index = random.below(model.len() + 1);
                let Some(position) = listpack.seek(index as i64) else {
                    assert_eq!(index, model.len());
                    listpack.push_back(&value);
                    model.push(value);
                    continue;
                };
                assert_eq!(listpack.seek(index as i64 - model.len() as i64), Some(position));
                match random.below(9) {
                    0 => {
                        listpack.push_front(&value);
                        model.insert(0, value);
                    }
                    1 => {
                        listpack.insert_before(position, &value);
                        assert!(listpack.get(position).eq_bytes(&value));
                        model.insert(index, value);
                    }
                    2 => {
                        let added = listpack.insert_after(position, &value);
                        assert_eq!(listpack.prev(added), Some(position));
                        assert!(listpack.get(added).eq_bytes(&value));
                        model.insert(index + 1, value);
                    }
                    3 => {
                        listpack.replace(position, &value);
                        model[index] = value;
                    }
                    4 => {
                        let next = listpack.remove(position).map(|next| listpack.get(next).to_vec());
                        model.remove(index);
                        assert_eq!(next.as_ref(), model.get(index));
                    }
                    5 => {
                        let count = random.below(4);
                        let expected = count.min(model.len() - index);
                        let from_end = index as i64 - model.len() as i64;
                        assert_eq!(listpack.remove_range(from_end, count), expected);
                        model.drain(index..index + expected);
                    }
                    6 => {
                        let tail = listpack.split_off(index);
                        check(&tail, &model[index..]);
                        check(&listpack, &model[..index]);
                        listpack.append(&tail);
                    }
                    7 => {
                        let expected = model.iter().filter(|kept| kept.len() == 1).count();
                        assert_eq!(listpack.retain(|element| element.len() != 1), expected);
                        model.retain(|kept| kept.len() != 1);
                    }
                    _ => {
                        let skip = random.below(3);
                        let expected = (0..model.len()).step_by(skip + 1).find(|&at| model[at] == value);
                        let found = listpack.find(&value, skip);
                        assert_eq!(found, expected.and_then(|at| listpack.seek(at as i64)));
                        let after: Vec<_> = listpack.iter_from(position).map(Element::to_vec).collect();
                        assert_eq!(after, model[index..]);
                        let through: Vec<_> = listpack.iter_through(position).map(Element::to_vec).collect();
                        assert_eq!(through, model[..=index]);
                    }
                }
                check(&listpack, &model);
            }
            assert_eq!(listpack.clone(), listpack);
        }
    }

    #[test]
    fn seeks_outside_find_nothing() {
        let mut listpack = Listpack::new();
        check(&listpack, &[]);
        for index in [0, 1, -1, i64::MIN, i64::MAX] {
            assert_eq!(listpack.seek(index), None);
        }
        listpack.push_back(b"a");
        for index in [1, -2, i64::MIN, i64::MAX] {
            assert_eq!(listpack.seek(index), None);
        }
        assert_eq!(listpack.find(b"b", 5), None);
        assert_eq!(listpack.split_off(1).len(), 0);
        assert_eq!(listpack.remove(listpack.first().unwrap()), None);
        check(&listpack, &[]);
    }

    #[test]
    fn more_entries_than_the_header_can_count() {
        let mut listpack = Listpack::new();
        let total = 70_000;
        for index in 0..total {
            listpack.push_back_element(Element::Int(index));
        }
        assert_eq!(listpack.as_bytes()[4..6], [0xFF, 0xFF]);
        assert_eq!(listpack.len(), total as usize);
        assert_eq!(listpack.get(listpack.seek(-1).unwrap()), Element::Int(total - 1));
        assert_eq!(Listpack::from_bytes(listpack.as_bytes()), Ok(listpack.clone()));
        assert_eq!(listpack.remove_range(10, usize::MAX), total as usize - 10);
        assert_eq!(listpack.len(), 10);
        assert_eq!(listpack.remove_range(0, 10), 10);
        assert_eq!(listpack, Listpack::new());
    }

    #[test]
    fn broken_bytes_are_refused() {
        for (hex, expected) in [
            ("", ListpackError::Length),
            ("060000000000", ListpackError::Length),
            ("080000000000ff", ListpackError::Length),
            ("07000000000000", ListpackError::Terminator),
            ("07000000 0100 ff", ListpackError::Count),
            ("09000000 0000 0101 ff", ListpackError::Count),
            ("09000000 0100 0102 ff", ListpackError::BackLength),
            ("08000000 0100 01 ff", ListpackError::Entry),
            ("09000000 0100 f501 ff", ListpackError::Entry),
            ("09000000 0100 ff01 ff", ListpackError::Entry),
            ("0a000000 0100 8561 02 ff", ListpackError::Entry),
            ("0c000000 0100 f0 ffffffff ff", ListpackError::Entry),
            ("09000000 0100 e101 ff", ListpackError::Entry),
            ("08000000 0100 e1 ff", ListpackError::Entry),
        ] {
            assert_eq!(Listpack::from_bytes(&unhex(hex)), Err(expected), "{hex}");
        }
        let loose = Listpack::from_bytes(&unhex("0e000000 0200 f1050003 813502 ff")).unwrap();
        assert_eq!(loose.find(b"5", 0), loose.first());
        assert_eq!(loose.find_from(loose.last().unwrap(), b"5", 0), loose.last());
    }

    #[test]
    fn any_bytes_are_accepted_or_refused_without_panic() {
        let golden = unhex(GOLDEN_BYTES);
        let mut random = Random(77);
        for _ in 0..if cfg!(miri) { 50 } else { 30_000 } {
            let mut bytes = golden.clone();
            for _ in 0..=random.below(3) {
                let at = HEADER_BYTES + random.below(bytes.len() - HEADER_BYTES);
                bytes[at] = random.below(256) as u8;
            }
            // An unknown count lets more of the changes through to the reader.
            bytes[4..6].fill(0xFF);
            if let Ok(listpack) = Listpack::from_bytes(&bytes) {
                let values: Vec<_> = listpack.iter().collect();
                let backward: Vec<_> = listpack.iter().rev().collect();
                assert!(values.iter().eq(backward.iter().rev()));
                assert_eq!(values.len(), listpack.len());
            }
        }
    }

    #[test]
    fn the_block_is_a_size_class() {
        for (bytes, expected) in [
            (7, 16),
            (16, 16),
            (17, 32),
            (128, 128),
            (129, 160),
            (256, 256),
            (257, 320),
            (8192, 8192),
            (8193, 10_240),
        ] {
            assert_eq!(capacity(bytes), expected, "{bytes} bytes");
        }
        assert!(Listpack::new().safe_to_add(1 << 20));
        assert!(!Listpack::new().safe_to_add(1 << 30));
    }
}
