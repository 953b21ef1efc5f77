//! The hash table behind one big collection: a set's members, a hash's fields, a sorted set's index.
//!
//! Three things a plain hash table does not give. *No insertion stalls*: the table grows and shrinks by one segment
//! of some 32 elements at a time, whatever its size. *SCAN is exact*: it walks in the order of the hash, which does
//! not depend on the table's size, so an element that stays is returned exactly once. *A uniform choice in constant
//! time*: elements sit in arrays.
//!
//! It is linear hashing (Litwin, 1980) over [segments](segment): with `n` segments, element `x` is in segment
//! `hash(x) mod 2^k`, where `2^k >= n`, or, if there is none of that number yet, in `hash(x) mod 2^(k-1)`. When the
//! mean exceeds [`SPLIT_ABOVE`], segment `n` is made from the one it has been part of; when it falls below
//! [`MERGE_BELOW`], the last one is poured back. As the segment comes from the hash's *low* bits, each segment is one
//! interval of the *bit-reversed* hash, which is the order of the scan. The fingerprint in the segment is the
//! hash's highest byte.
//!
//! Memory besides the elements' own blocks, the elements being pointers: 10.5 to 11.5 bytes each from a
//! few hundred elements on (8 the pointer, 1 the fingerprint, the rest idle capacity and headers).
//!
//! Extendible hashing was rejected: its directory costs a cache miss per lookup, doubles at a stroke, and segments
//! stay where they are filled unevenly. Redis's two tables with incremental rehashing need 16 more bytes an element
//! and a SCAN that repeats elements.

mod segment;

use crate::hashing;
use crate::random::{self, Selection};
use crate::types::tagged::ThinPointer;
use segment::Segment;
use smallvec::SmallVec;
use std::collections::HashSet;

/// The mean of elements per segment above which a segment is split.
const SPLIT_ABOVE: usize = 32;
/// The mean of elements per segment below which two segments are merged.
const MERGE_BELOW: usize = 16;
/// Segments per chunk of the list of segments, so that the list grows without moving: 32 KiB.
const CHUNK: usize = 4096;
/// Bits of a scan cursor: few enough for clients that keep numbers in floating point.
const CURSOR_BITS: u32 = 48;
/// The most segments that a capacity given beforehand makes.
const SEGMENTS_PREPARED_MAX: usize = 1 << 15;

/// An element of a [`Dict`], one word wide, which knows its key.
pub trait Member: ThinPointer {
    /// What the element is found by; must not change while it is in a dict.
    fn key(&self) -> &[u8];
}

/// A hash table of elements with distinct keys, hashed by [`hashing::hash`].
pub struct Dict<T> {
    segments: Segments<T>,
    len: usize,
    block_bytes: usize,
    /// No segment holds more than this times its [weight](Dict::weight).
    densest: usize,
}

/// The place of a key in a dict.
pub enum Entry<'a, T> {
    /// There is an element with the key. Whoever changes it leaves the key as it is.
    Occupied(&'a mut T),
    /// There is none.
    Vacant(Vacant<'a, T>),
}

/// The place where an element would go.
pub struct Vacant<'a, T> {
    dict: &'a mut Dict<T>,
    hash: u64,
}

impl<T: Member> Vacant<'_, T> {
    /// Adds the element, whose key must be the one that was looked up.
    pub fn insert(self, element: T) {
        debug_assert_eq!(hashing::hash(element.key()), self.hash);
        self.dict.insert_new(self.hash, element);
    }
}

impl<T> Default for Dict<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Dict<T> {
    /// An empty dict; allocates nothing.
    pub fn new() -> Self {
        Self { segments: Segments::new(), len: 0, block_bytes: 0, densest: 0 }
    }

    /// An empty dict that will not split segments before it has about `elements`. A hint: a number that a file
    /// claims is harmless.
    pub fn with_capacity(elements: usize) -> Self {
        let mut dict = Self::new();
        let segments = elements.div_ceil(SPLIT_ABOVE).min(SEGMENTS_PREPARED_MAX);
        (0..segments).for_each(|_| dict.segments.push(Segment::new()));
        dict
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the heap that the table takes, without what its elements own. Constant time.
    pub fn memory_bytes(&self) -> usize {
        self.block_bytes + self.segments.memory_bytes()
    }

    /// How many blocks dropping the table frees, without those that its elements own.
    pub fn effort(&self) -> usize {
        self.segments.len() + self.segments.chunks.len() + 1
    }

    /// All elements, in no particular order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { segments: &self.segments, next_segment: 0, elements: [].iter(), left: self.len }
    }

    /// The segment that has the elements with this hash. There must be a segment.
    fn segment_of(&self, hash: u64) -> usize {
        let slots = self.segments.len().next_power_of_two();
        let index = hash as usize & (slots - 1);
        if index < self.segments.len() { index } else { index - slots / 2 }
    }

    /// What part of all hashes a segment has: 1, or 2 while the segment that will be split off it is missing.
    fn weight(&self, segment: usize) -> usize {
        let slots = self.segments.len().next_power_of_two();
        let has_buddy = slots == 1 || segment + slots / 2 < self.segments.len() || segment >= slots / 2;
        if has_buddy { 1 } else { 2 }
    }

    /// How many low bits the hashes of a segment have in common.
    fn depth(&self, segment: usize) -> u32 {
        self.segments.len().next_power_of_two().trailing_zeros() + 1 - self.weight(segment) as u32
    }

    /// Keeps [`Dict::densest`] true after a segment has grown.
    fn note_density(&mut self, segment: usize) {
        let density = self.segments.get(segment).len().div_ceil(self.weight(segment));
        self.densest = self.densest.max(density);
    }

    /// A place, each equally likely: a segment by its part of all hashes, then a slot that the densest of them
    /// would have. Expected are two to four tries: the mean is a bounded part of the maximum.
    fn random_place(&self, random: &mut impl FnMut() -> u64) -> Option<(usize, usize)> {
        if self.is_empty() {
            return None;
        }
        loop {
            let segment = self.segment_of(random());
            let slot = random::index(self.densest * self.weight(segment), random);
            if slot < self.segments.get(segment).len() {
                return Some((segment, slot));
            }
        }
    }

    /// An element, each exactly equally likely, in expected constant time.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<&T> {
        let (segment, slot) = self.random_place(random)?;
        self.segments.get(segment).as_slice().get(slot)
    }

    /// `count` distinct elements, or all if there are fewer; each such subset is equally likely, the order is not
    /// random. Expected O(count) as long as that is a small part of the whole, O(len) otherwise.
    pub fn sample(&self, count: usize, random: &mut impl FnMut() -> u64) -> Vec<&T> {
        if count < self.len / 8 {
            let mut places = HashSet::with_capacity(count);
            return std::iter::from_fn(|| self.random_place(random))
                .filter(|place| places.insert(*place))
                .take(count)
                .map(|(segment, slot)| &self.segments.get(segment).as_slice()[slot])
                .collect();
        }
        let mut selection = Selection::new(count, self.len);
        self.iter().filter(|_| selection.takes_next(random)).collect()
    }
}

impl<T: Member> Dict<T> {
    /// The element with this key.
    pub fn get(&self, key: &[u8]) -> Option<&T> {
        self.find(hashing::hash(key), |element| element.key() == key)
    }

    /// The element with this key, to change anything but the key.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut T> {
        let (segment, slot) = self.place(hashing::hash(key), |element| element.key() == key)?;
        self.segments.get_mut(segment).as_mut_slice().get_mut(slot)
    }

    /// The element that `is_it` recognises, which is asked about elements that may have this hash.
    pub fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        let (segment, slot) = self.place(hash, is_it)?;
        self.segments.get(segment).as_slice().get(slot)
    }

    /// The place of a key, to change or add an element with one lookup.
    pub fn entry(&mut self, key: &[u8]) -> Entry<'_, T> {
        self.entry_with_hash(key, hashing::hash(key))
    }

    /// As [`Dict::entry`], for a key whose hash is known.
    pub fn entry_with_hash(&mut self, key: &[u8], hash: u64) -> Entry<'_, T> {
        match self.place(hash, |element| element.key() == key) {
            Some((segment, slot)) => {
                Entry::Occupied(&mut self.segments.get_mut(segment).as_mut_slice()[slot])
            }
            None => Entry::Vacant(Vacant { dict: self, hash }),
        }
    }

    /// Adds an element, or puts it in the place of the one with the same key, which is returned.
    pub fn insert(&mut self, element: T) -> Option<T> {
        let hash = hashing::hash(element.key());
        match self.place(hash, |other| other.key() == element.key()) {
            Some((segment, slot)) => {
                Some(std::mem::replace(&mut self.segments.get_mut(segment).as_mut_slice()[slot], element))
            }
            None => {
                self.insert_new(hash, element);
                None
            }
        }
    }

    /// Takes out the element with this key.
    pub fn remove(&mut self, key: &[u8]) -> Option<T> {
        self.remove_found(hashing::hash(key), |element| element.key() == key)
    }

    /// Takes out the element that `is_it` recognises, which is asked about elements that may have this hash.
    pub fn remove_found(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let (segment, slot) = self.place(hash, is_it)?;
        Some(self.remove_at(segment, slot))
    }

    /// Takes out an element, each exactly equally likely, in expected constant time.
    pub fn remove_random(&mut self, random: &mut impl FnMut() -> u64) -> Option<T> {
        let (segment, slot) = self.random_place(random)?;
        Some(self.remove_at(segment, slot))
    }

    /// Visits the next elements in the order of their hashes and returns the cursor for the call after this one, 0
    /// when there is nothing more; 0 starts. An element that is there from the first call to the last is visited
    /// exactly once, whatever else is added and removed meanwhile.
    ///
    /// Visits `count` elements, or at least one; more only where hashes agree in all bits of the cursor. O(count),
    /// and the sorting of one segment. Cursors are below 2^48; one that is not ends the scan.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&T)) -> u64 {
        let mut cursor = cursor;
        let mut left = count.max(1);
        while cursor < 1 << CURSOR_BITS && !self.is_empty() {
            if left == 0 {
                return cursor;
            }
            let segment_index = self.segment_of(hash_at(cursor));
            let segment = self.segments.get(segment_index).as_slice();
            let width = 1 << (CURSOR_BITS - self.depth(segment_index));
            let end = (cursor | (width - 1)) + 1;
            if segment.len() <= left && cursor == end - width {
                segment.iter().for_each(&mut visit);
                left -= segment.len();
                cursor = end;
                continue;
            }
            let mut ahead: SmallVec<[(u64, u32); 128]> = (0..)
                .zip(segment)
                .map(|(slot, element)| (cursor_of(hashing::hash(element.key())), slot))
                .filter(|(position, _)| *position >= cursor)
                .collect();
            ahead.sort_unstable();
            let last = ahead.get(left - 1).map_or(end - 1, |(position, _)| *position);
            let visited = ahead.partition_point(|(position, _)| *position <= last);
            ahead[..visited].iter().for_each(|(_, slot)| visit(&segment[*slot as usize]));
            left = left.saturating_sub(visited);
            cursor = last + 1;
        }
        0
    }

    fn place(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<(usize, usize)> {
        if self.is_empty() {
            return None;
        }
        let segment = self.segment_of(hash);
        let slot = self.segments.get(segment).find(fingerprint(hash), is_it)?;
        Some((segment, slot))
    }

    /// Adds an element whose key is not there.
    fn insert_new(&mut self, hash: u64, element: T) {
        if self.segments.len() == 0 {
            self.segments.push(Segment::new());
        } else if self.len >= self.segments.len() * SPLIT_ABOVE {
            self.split();
        }
        let segment = self.segment_of(hash);
        self.change(segment, |segment| segment.push(fingerprint(hash), element));
        self.len += 1;
        self.note_density(segment);
    }

    fn remove_at(&mut self, segment: usize, slot: usize) -> T {
        let element = self.change(segment, |segment| {
            let element = segment.swap_remove(slot);
            segment.shrink();
            element
        });
        self.len -= 1;
        if self.segments.len() > 1 && self.len < self.segments.len() * MERGE_BELOW {
            self.merge();
        }
        element
    }

    /// Changes a segment and keeps count of the memory.
    fn change<R>(&mut self, segment: usize, change: impl FnOnce(&mut Segment<T>) -> R) -> R {
        let segment = self.segments.get_mut(segment);
        let before = segment.block_bytes();
        let result = change(segment);
        self.block_bytes = self.block_bytes - before + segment.block_bytes();
        result
    }

    /// Makes the next segment out of the one that its elements have been in.
    fn split(&mut self) {
        let new = self.segments.len();
        let bit = new.next_power_of_two() >> usize::from(!new.is_power_of_two());
        let old = new - bit;
        let mut moved = Segment::new();
        self.change(old, |segment| {
            moved.reserve(segment.len() / 2);
            for slot in (0..segment.len()).rev() {
                if hashing::hash(segment.as_slice()[slot].key()) & bit as u64 != 0 {
                    let fingerprint = segment.fingerprint(slot);
                    moved.push(fingerprint, segment.swap_remove(slot));
                }
            }
            segment.shrink();
        });
        if new.is_power_of_two() {
            // Every other segment has the weight 2 from here on.
            self.densest = self.densest.div_ceil(2);
        }
        self.block_bytes += moved.block_bytes();
        self.segments.push(moved);
        self.note_density(old);
        self.note_density(new);
    }

    /// Pours the last segment back into the one that it was split off.
    fn merge(&mut self) {
        let Some(mut last) = self.segments.pop() else { return };
        let index = self.segments.len();
        let bit = index.next_power_of_two() >> usize::from(!index.is_power_of_two());
        self.block_bytes -= last.block_bytes();
        self.change(index - bit, |segment| {
            segment.reserve(last.len());
            while let Some(slot) = last.len().checked_sub(1) {
                let fingerprint = last.fingerprint(slot);
                segment.push(fingerprint, last.swap_remove(slot));
            }
        });
        if index.is_power_of_two() {
            // Segments of the weight 2 have the weight 1 again.
            self.densest *= 2;
        }
    }
}

impl<T: Clone> Clone for Dict<T> {
    fn clone(&self) -> Self {
        let mut segments = Segments::new();
        let mut block_bytes = 0;
        for index in 0..self.segments.len() {
            let segment = self.segments.get(index).clone();
            block_bytes += segment.block_bytes();
            segments.push(segment);
        }
        Self { segments, len: self.len, block_bytes, densest: self.densest }
    }
}

/// The byte of a hash that a segment keeps; no dict is large enough for the choice of a segment to use it.
fn fingerprint(hash: u64) -> u8 {
    (hash >> 56) as u8
}

/// Where an element comes in a scan.
fn cursor_of(hash: u64) -> u64 {
    hash.reverse_bits() >> (u64::BITS - CURSOR_BITS)
}

/// A hash that comes at this place of a scan.
fn hash_at(cursor: u64) -> u64 {
    (cursor << (u64::BITS - CURSOR_BITS)).reverse_bits()
}

/// All elements of a dict; see [`Dict::iter`].
pub struct Iter<'a, T> {
    segments: &'a Segments<T>,
    next_segment: usize,
    elements: std::slice::Iter<'a, T>,
    left: usize,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(element) = self.elements.next() {
                self.left -= 1;
                return Some(element);
            }
            if self.next_segment == self.segments.len() {
                return None;
            }
            self.elements = self.segments.get(self.next_segment).as_slice().iter();
            self.next_segment += 1;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self { elements: self.elements.clone(), ..*self }
    }
}

impl<'a, T> IntoIterator for &'a Dict<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// A list of segments, of which no more than a chunk moves when it grows.
struct Segments<T> {
    chunks: SmallVec<[Vec<Segment<T>>; 1]>,
    len: usize,
}

impl<T> Segments<T> {
    fn new() -> Self {
        Self { chunks: SmallVec::new(), len: 0 }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> &Segment<T> {
        &self.chunks[index / CHUNK][index % CHUNK]
    }

    fn get_mut(&mut self, index: usize) -> &mut Segment<T> {
        &mut self.chunks[index / CHUNK][index % CHUNK]
    }

    fn push(&mut self, segment: Segment<T>) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(segment),
            // The first chunk grows as a vector does, for a small dict; the others are needed whole.
            _ => {
                let mut chunk = Vec::with_capacity(if self.chunks.is_empty() { 1 } else { CHUNK });
                chunk.push(segment);
                self.chunks.push(chunk);
            }
        }
        self.len += 1;
    }

    fn pop(&mut self) -> Option<Segment<T>> {
        let last = self.chunks.last_mut()?;
        let segment = last.pop()?;
        self.len -= 1;
        if last.is_empty() {
            self.chunks.pop();
        } else if self.len < CHUNK && last.len() < last.capacity() / 4 {
            last.shrink_to(last.capacity() / 2);
        }
        Some(segment)
    }

    fn memory_bytes(&self) -> usize {
        let list =
            if self.chunks.spilled() { self.chunks.capacity() * size_of::<Vec<Segment<T>>>() } else { 0 };
        let first = self.chunks.first().map_or(0, Vec::capacity);
        let segments = first + self.chunks.len().saturating_sub(1) * CHUNK;
        list + segments * size_of::<Segment<T>>()
    }
}

#[cfg(test)]
mod tests;
