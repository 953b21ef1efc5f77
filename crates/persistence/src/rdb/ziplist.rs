//! The compact encodings of the years before listpack, read only.
//!
//! ```text
//! ziplist  bytes u32 | offset of the last entry u32 | count u16, ffff: unknown | entries | ff
//! entry    length of the entry before: one byte, or fe and u32 | encoding | data
//! encoding 00nnnnnn                       string of n bytes
//!          01nnnnnn nnnnnnnn              string, big-endian length
//!          10000000 4 bytes               string, big-endian length
//!          c0 d0 e0 f0 fe                 integer of 2, 4, 8, 3, 1 bytes
//!          1111nnnn                       the integer n - 1, for n from 1 to 13
//! zipmap   count u8, fe and above: unknown | key and value in turn | ff
//! key      length: one byte, or fe and u32 | bytes
//! value    length | unused bytes u8 | bytes | the unused bytes
//! ```
//!
//! Both become listpacks, after a check of every byte of their structure. Numbers are little-endian but where said.

use rustredis_keyspace::types::listpack::{Element, Listpack, entry_bytes_max};

const HEADER_BYTES: usize = 10;
const TERMINATOR: u8 = 0xff;
/// The first byte of a length of five bytes.
const LONG_LENGTH: u8 = 0xfe;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// The entries of a ziplist; `None` if it is damaged. O(bytes).
pub(super) fn to_listpack(bytes: &[u8]) -> Option<Listpack> {
    let (header, entries) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let [b0, b1, b2, b3, t0, t1, t2, t3, c0, c1] = *header;
    let tail = u32::from_le_bytes([t0, t1, t2, t3]) as usize;
    if u32::from_le_bytes([b0, b1, b2, b3]) as usize != bytes.len() {
        return None;
    }
    let mut input = Input(entries);
    let mut listpack = Listpack::new();
    let (mut count, mut last_offset, mut last_bytes) = (0usize, HEADER_BYTES, 0usize);
    while input.peek()? != TERMINATOR {
        let before = input.0.len();
        last_offset = bytes.len() - before;
        if input.length()? != last_bytes {
            return None;
        }
        push(&mut listpack, input.entry()?)?;
        last_bytes = before - input.0.len();
        count += 1;
    }
    let promised = u16::from_le_bytes([c0, c1]);
    let is_whole = input.0.len() == 1
        && tail == last_offset
        && (promised == COUNT_UNKNOWN || usize::from(promised) == count);
    is_whole.then_some(listpack)
}

/// The keys and values of a zipmap; `None` if it is damaged. O(bytes).
pub(super) fn zipmap_to_listpack(bytes: &[u8]) -> Option<Listpack> {
    let mut input = Input(bytes);
    let promised = input.byte()?;
    let mut listpack = Listpack::new();
    let mut count = 0usize;
    while input.peek()? != TERMINATOR {
        let key_bytes = input.length()?;
        push(&mut listpack, Element::Str(input.take(key_bytes)?))?;
        let value_bytes = input.length()?;
        let unused = usize::from(input.byte()?);
        push(&mut listpack, Element::Str(input.take(value_bytes)?))?;
        input.take(unused)?;
        count += 1;
    }
    let is_whole = input.0.len() == 1 && (promised >= LONG_LENGTH || usize::from(promised) == count);
    is_whole.then_some(listpack)
}

/// Adds an entry, unless the listpack would leave the bounds of its format.
fn push(listpack: &mut Listpack, element: Element<'_>) -> Option<()> {
    if !listpack.safe_to_add(entry_bytes_max(element.len())) {
        return None;
    }
    match element {
        // A text that is an integer is stored as one, or it would not be found.
        Element::Str(text) => listpack.push_back(text),
        Element::Int(_) => listpack.push_back_element(element),
    }
    Some(())
}

/// What is still to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A length of one or five bytes.
    fn length(&mut self) -> Option<usize> {
        match self.byte()? {
            TERMINATOR => None,
            LONG_LENGTH => self.array().map(|bytes| u32::from_le_bytes(bytes) as usize),
            length => Some(usize::from(length)),
        }
    }

    /// Encoding and data of a ziplist's entry.
    fn entry(&mut self) -> Option<Element<'a>> {
        let first = self.byte()?;
        Some(match first {
            0..0x40 => Element::Str(self.take(usize::from(first))?),
            0x40..0x80 => {
                let length = usize::from(first & 0x3f) << 8 | usize::from(self.byte()?);
                Element::Str(self.take(length)?)
            }
            0x80 => {
                let length = u32::from_be_bytes(self.array()?) as usize;
                Element::Str(self.take(length)?)
            }
            0xc0 => Element::Int(i64::from(i16::from_le_bytes(self.array()?))),
            0xd0 => Element::Int(i64::from(i32::from_le_bytes(self.array()?))),
            0xe0 => Element::Int(i64::from_le_bytes(self.array()?)),
            0xf0 => {
                let [a, b, c] = self.array()?;
                // In the high bytes, so that the sign is extended on the way down.
                Element::Int(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8))
            }
            0xfe => Element::Int(i64::from(i8::from_le_bytes(self.array()?))),
            0xf1..=0xfd => Element::Int(i64::from(first - 0xf1)),
            _ => return None,
        })
    }
}
