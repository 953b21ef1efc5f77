//! A sorted array of integers: the encoding of a small set that holds nothing else.
//!
//! ```text
//! | width: u32 | count: u32 | integer | integer | ...      all little endian, ascending, without duplicates
//! ```
//!
//! All integers have the width of the widest one that was ever in the set: 2, 4 or 8 bytes. The bytes are exactly
//! Redis's, so that an RDB file takes them as they are. Membership is a binary search, a change moves the integers
//! behind it; with the few hundred members that the limits allow both cost about as much as one hash.
//!
//! Rejected: a typed vector per width, which would need a copy to write it out and three times the code.

use std::fmt;

use super::listpack::capacity;

const HEADER_BYTES: usize = 8;

/// An ordered set of `i64`.
#[derive(Clone, PartialEq, Eq)]
pub struct IntSet {
    bytes: Vec<u8>,
}

/// Why bytes are not an intset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntSetError {
    /// The width is not 2, 4 or 8.
    Width,
    /// Width and count do not give the length of the bytes.
    Length,
    /// The integers do not ascend.
    Order,
}

impl fmt::Display for IntSetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Width => "intset: unknown width",
            Self::Length => "intset: wrong length",
            Self::Order => "intset: integers out of order",
        })
    }
}

impl std::error::Error for IntSetError {}

/// Bytes of an integer, as the header writes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Width {
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    fn of(value: i64) -> Self {
        if i16::try_from(value).is_ok() {
            Self::Two
        } else if i32::try_from(value).is_ok() {
            Self::Four
        } else {
            Self::Eight
        }
    }

    fn bytes(self) -> usize {
        self as usize
    }
}

impl IntSet {
    /// An empty set.
    pub fn new() -> Self {
        Self { bytes: vec![Width::Two as u8, 0, 0, 0, 0, 0, 0, 0] }
    }

    /// Takes an intset over from an RDB file or a DUMP. Checks length and order; O(count).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IntSetError> {
        let (Some(width), Some(count)) = (read_u32(bytes, 0), read_u32(bytes, 4)) else {
            return Err(IntSetError::Length);
        };
        if !matches!(width, 2 | 4 | 8) {
            return Err(IntSetError::Width);
        }
        let length = u64::from(width) * u64::from(count) + HEADER_BYTES as u64;
        if length != bytes.len() as u64 {
            return Err(IntSetError::Length);
        }
        let set = Self { bytes: bytes.to_vec() };
        if !set.iter().is_sorted_by(|low, high| low < high) {
            return Err(IntSetError::Order);
        }
        Ok(set)
    }

    /// Members.
    pub fn len(&self) -> usize {
        (self.bytes.len() - HEADER_BYTES) / self.width().bytes()
    }

    /// No members.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_BYTES
    }

    /// The whole format: what an RDB file holds.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Heap bytes owned, without the value itself.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether it is a member; O(log n).
    pub fn contains(&self, value: i64) -> bool {
        Width::of(value) <= self.width() && self.search(value).is_ok()
    }

    /// The index-th smallest member.
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.at(index))
    }

    /// Adds a member; false if it was one. O(n), or O(log n) at the end.
    pub fn insert(&mut self, value: i64) -> bool {
        if Width::of(value) > self.width() {
            self.widen(value);
            return true;
        }
        let Err(index) = self.search(value) else { return false };
        let width = self.width().bytes();
        self.reserve(width);
        let offset = HEADER_BYTES + index * width;
        let old = self.bytes.len();
        self.bytes.resize(old + width, 0);
        self.bytes.copy_within(offset..old, offset + width);
        self.bytes[offset..offset + width].copy_from_slice(&value.to_le_bytes()[..width]);
        self.store_count();
        true
    }

    /// Removes a member; false if it was none. O(n). The width stays.
    pub fn remove(&mut self, value: i64) -> bool {
        if Width::of(value) > self.width() {
            return false;
        }
        let Ok(index) = self.search(value) else { return false };
        let width = self.width().bytes();
        let offset = HEADER_BYTES + index * width;
        self.bytes.drain(offset..offset + width);
        self.bytes.shrink_to(capacity(self.bytes.len()));
        self.store_count();
        true
    }

    /// The members in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        (0..self.len()).map(|index| self.at(index))
    }

    fn width(&self) -> Width {
        match self.bytes[0] {
            2 => Width::Two,
            4 => Width::Four,
            _ => Width::Eight,
        }
    }

    fn at(&self, index: usize) -> i64 {
        match self.width() {
            Width::Two => i64::from(i16::from_le_bytes(self.integers()[index])),
            Width::Four => i64::from(i32::from_le_bytes(self.integers()[index])),
            Width::Eight => i64::from_le_bytes(self.integers()[index]),
        }
    }

    /// The integers, which have this width.
    fn integers<const WIDTH: usize>(&self) -> &[[u8; WIDTH]] {
        self.bytes[HEADER_BYTES..].as_chunks().0
    }

    /// Where the value is, or belongs.
    fn search(&self, value: i64) -> Result<usize, usize> {
        match self.width() {
            Width::Two => {
                self.integers().binary_search_by_key(&value, |&bytes| i64::from(i16::from_le_bytes(bytes)))
            }
            Width::Four => {
                self.integers().binary_search_by_key(&value, |&bytes| i64::from(i32::from_le_bytes(bytes)))
            }
            Width::Eight => self.integers().binary_search_by_key(&value, |&bytes| i64::from_le_bytes(bytes)),
        }
    }

    /// Writes all integers wider, and adds the one that needs it: it is below or above all the others.
    fn widen(&mut self, value: i64) {
        let width = Width::of(value);
        let mut wide = Self { bytes: Vec::new() };
        wide.reserve(HEADER_BYTES + (self.len() + 1) * width.bytes());
        wide.bytes.extend_from_slice(&u32::from(width as u8).to_le_bytes());
        wide.bytes.extend_from_slice(&[0; 4]);
        let (below, above) = if value < 0 { (Some(value), None) } else { (None, Some(value)) };
        for integer in below.into_iter().chain(self.iter()).chain(above) {
            wide.bytes.extend_from_slice(&integer.to_le_bytes()[..width.bytes()]);
        }
        wide.store_count();
        *self = wide;
    }

    /// Room for so many more bytes, in the size classes of the allocator.
    fn reserve(&mut self, added: usize) {
        let needed = self.bytes.len() + added;
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(capacity(needed) - self.bytes.len());
        }
    }

    fn store_count(&mut self) {
        let count = u32::try_from(self.len()).expect("an intset is turned into a table long before");
        self.bytes[4..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
    }
}

impl Default for IntSet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for IntSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn check(set: &IntSet, expected: &BTreeSet<i64>) {
        assert!(set.iter().eq(expected.iter().copied()));
        assert!(set.iter().rev().eq(expected.iter().rev().copied()));
        assert_eq!(set.len(), expected.len());
        assert_eq!(set.is_empty(), expected.is_empty());
        assert_eq!(set.get(expected.len()), None);
        assert_eq!(IntSet::from_bytes(set.as_bytes()).as_ref(), Ok(set));
    }

    #[test]
    fn the_bytes_are_those_of_redis() {
        let mut set = IntSet::new();
        for (value, expected) in [
            (5, "02000000 01000000 0500"),
            (-3, "02000000 02000000 fdff 0500"),
            (70_000, "04000000 03000000 fdffffff 05000000 70110100"),
            (
                -5_000_000_000,
                "08000000 04000000 000efad5feffffff fdffffffffffffff 0500000000000000 7011010000000000",
            ),
        ] {
            assert!(set.insert(value));
            let hex: String = set.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected.replace(' ', ""), "after {value}");
        }
    }

    #[test]
    fn behaves_as_an_ordered_set() {
        let mut state = 0x9E37_79B9_u64;
        let mut random = |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % bound
        };
        for bits in [4, 8, 15, 16, 17, 31, 32, 33, 63] {
            let (mut set, mut model) = (IntSet::new(), BTreeSet::new());
            for _ in 0..1000 {
                let value = random(1 << bits) as i64 - (1 << (bits - 1));
                let known = model.iter().nth(random(model.len() as u64 + 1) as usize).copied();
                match random(5) {
                    0 => assert_eq!(set.remove(value), model.remove(&value)),
                    1 => {
                        let value = known.unwrap_or(value);
                        assert_eq!(set.remove(value), model.remove(&value));
                    }
                    2 => assert_eq!(set.contains(value), model.contains(&value)),
                    3 => assert!(known.is_none_or(|value| set.contains(value) && !set.insert(value))),
                    _ => assert_eq!(set.insert(value), model.insert(value)),
                }
            }
            check(&set, &model);
            assert!(set.memory_bytes() <= capacity(set.as_bytes().len()));
            for value in model {
                assert!(set.remove(value));
            }
            check(&set, &BTreeSet::new());
        }
    }

    #[test]
    fn the_limits_of_each_width() {
        let mut set = IntSet::new();
        let limits = [
            i64::MIN,
            i64::from(i32::MIN) - 1,
            i64::from(i32::MIN),
            i64::from(i16::MIN) - 1,
            i64::from(i16::MIN),
            0,
            i64::from(i16::MAX),
            i64::from(i16::MAX) + 1,
            i64::from(i32::MAX),
            i64::from(i32::MAX) + 1,
            i64::MAX,
        ];
        for value in limits {
            assert!(!set.contains(value) && !set.remove(value) && set.insert(value) && set.contains(value));
        }
        check(&set, &limits.into_iter().collect());
    }

    #[test]
    fn broken_bytes_are_refused() {
        for (bytes, expected) in [
            (&[][..], IntSetError::Length),
            (&[2, 0, 0, 0, 0, 0, 0], IntSetError::Length),
            (&[3, 0, 0, 0, 0, 0, 0, 0], IntSetError::Width),
            (&[2, 0, 0, 0, 1, 0, 0, 0], IntSetError::Length),
            (&[2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1], IntSetError::Length),
            (&[8, 0, 0, 0, 255, 255, 255, 255, 1, 0], IntSetError::Length),
            (&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0], IntSetError::Order),
            (&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 255, 255], IntSetError::Order),
        ] {
            assert_eq!(IntSet::from_bytes(bytes), Err(expected), "{bytes:?}");
        }
    }
}
