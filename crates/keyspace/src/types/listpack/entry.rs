//! One entry of a listpack: what it holds, and how that is written in the fewest bytes.
//!
//! ```text
//! 0xxxxxxx                 0 to 127
//! 10llllll text            a string of up to 63 bytes
//! 110xxxxx x               a 13 bit integer, high bits first, as is the length in the next line
//! 1110llll l text          a string of up to 4,095 bytes
//! 0xF0 llll text           a longer string: 32 bit length, little endian
//! 0xF1 to 0xF4             an integer of 16, 24, 32 or 64 bits, little endian
//! ```
//!
//! Then comes the back length: the bytes of all this, seven bits a byte, to be read from its right end.
//! Reading never leaves the slice: a broken entry is `None` in the functions that check, and a panic in those that
//! are called for entries that were checked before.

const BROKEN: &str = "a listpack is checked when it is made, and positions are of its entries";

/// The longest that encoding byte, length and back length of an entry can be.
const ENTRY_OVERHEAD_MAX: usize = 10;

/// An entry as it is stored. A string that is a canonical decimal `i64` is stored as an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// Any bytes.
    Str(&'a [u8]),
    /// An integer that stands for its decimal text.
    Int(i64),
}

impl<'a> Element<'a> {
    /// What `value` is stored as.
    pub fn from_bytes(value: &'a [u8]) -> Self {
        parse_integer(value).map_or(Self::Str(value), Self::Int)
    }

    /// Bytes of its text.
    pub fn len(self) -> usize {
        match self {
            Self::Str(text) => text.len(),
            Self::Int(number) => {
                number.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1 + usize::from(number < 0)
            }
        }
    }

    /// The empty string.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Str(b""))
    }

    /// Whether its text is `value`.
    pub fn eq_bytes(self, value: &[u8]) -> bool {
        match self {
            Self::Str(text) => text == value,
            Self::Int(number) => parse_integer(value) == Some(number),
        }
    }

    /// Its text; that of an integer is written into `buffer`.
    pub fn as_bytes<'b>(self, buffer: &'b mut [u8; 20]) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Str(text) => text,
            Self::Int(number) => {
                let mut digits = itoa::Buffer::new();
                let text = digits.format(number).as_bytes();
                let target = &mut buffer[..text.len()];
                target.copy_from_slice(text);
                target
            }
        }
    }

    /// A copy of its text.
    pub fn to_vec(self) -> Vec<u8> {
        self.as_bytes(&mut [0; 20]).to_vec()
    }

    /// Its value, if its text is a canonical decimal `i64`.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::Str(text) => parse_integer(text),
            Self::Int(number) => Some(number),
        }
    }

    /// The bytes that it takes in a listpack.
    pub fn encoded_bytes(self) -> usize {
        let (_, head) = encode_head(self);
        let length = match self {
            Self::Str(text) => head + text.len(),
            Self::Int(_) => head,
        };
        length + back_length_size(length)
    }
}

/// A value to look for: parsed once, so that stored integers are compared as integers.
#[derive(Clone, Copy)]
pub(in crate::types) struct Needle<'a> {
    text: &'a [u8],
    integer: Option<i64>,
}

impl<'a> Needle<'a> {
    pub(in crate::types) fn new(text: &'a [u8]) -> Self {
        Self { text, integer: parse_integer(text) }
    }

    #[inline]
    pub(in crate::types) fn matches(self, element: Element<'_>) -> bool {
        match element {
            Element::Str(text) => text == self.text,
            Element::Int(number) => self.integer == Some(number),
        }
    }
}

/// An upper bound of the bytes that a value takes in a listpack, without looking at it.
pub fn entry_bytes_max(value_bytes: usize) -> usize {
    value_bytes.saturating_add(ENTRY_OVERHEAD_MAX)
}

/// The integer that a text stands for, if it is the only way to write it: no sign but one minus, no leading zero.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        b"0" if !is_negative => return Some(0),
        _ => return None,
    }
    // Nineteen digits fit a u64.
    let mut magnitude = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if is_negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Bytes of encoding and data of the entry that begins at `at`, by its head; they may reach past the end.
pub(super) fn encoded_length(bytes: &[u8], at: usize) -> Option<usize> {
    let first = *bytes.get(at)?;
    Some(match first {
        0x00..=0x7F => 1,
        0x80..=0xBF => 1 + usize::from(first & 0x3F),
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 2 + (usize::from(first & 0x0F) << 8 | usize::from(*bytes.get(at + 1)?)),
        0xF0 => 5 + u32::from_le_bytes(chunk(bytes, at + 1)?) as usize,
        0xF1 => 3,
        0xF2 => 4,
        0xF3 => 5,
        0xF4 => 9,
        0xF5..=0xFF => return None,
    })
}

/// The element that begins at `at`, and the bytes of its encoding and data.
///
/// The two forms that most entries have are decoded in line, so that the element stays in registers: a walk over short
/// strings takes half the time that it takes with a call for each.
#[inline(always)]
pub(super) fn decode(bytes: &[u8], at: usize) -> (Element<'_>, usize) {
    match bytes[at] {
        first @ 0x00..=0x7F => (Element::Int(i64::from(first)), 1),
        first @ 0x80..=0xBF => {
            let length = 1 + usize::from(first & 0x3F);
            (Element::Str(&bytes[at + 1..at + length]), length)
        }
        first => decode_longer(bytes, at, first).expect(BROKEN),
    }
}

#[inline(never)]
fn decode_longer(bytes: &[u8], at: usize, first: u8) -> Option<(Element<'_>, usize)> {
    let length = encoded_length(bytes, at)?;
    let text = |head: usize| Some(Element::Str(bytes.get(at + head..at + length)?));
    let element = match first {
        0xE0..=0xEF => text(2)?,
        0xF0 => text(5)?,
        0xC0..=0xDF => {
            let value = u16::from(first & 0x1F) << 8 | u16::from(*bytes.get(at + 1)?);
            // The 13 bits go to the top, and come back with their sign.
            Element::Int(i64::from((value << 3).cast_signed() >> 3))
        }
        0xF1 => Element::Int(i64::from(i16::from_le_bytes(chunk(bytes, at + 1)?))),
        0xF2 => {
            let [low, middle, high] = chunk(bytes, at + 1)?;
            Element::Int(i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8))
        }
        0xF3 => Element::Int(i64::from(i32::from_le_bytes(chunk(bytes, at + 1)?))),
        _ => Element::Int(i64::from_le_bytes(chunk(bytes, at + 1)?)),
    };
    Some((element, length))
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// The offset behind the entry at `at`.
#[inline]
pub(super) fn skip_entry(bytes: &[u8], at: usize) -> usize {
    let length = encoded_length(bytes, at).expect(BROKEN);
    at + length + back_length_size(length)
}

/// The offset of the entry that ends at `end`.
#[inline]
pub(super) fn step_back(bytes: &[u8], end: usize) -> usize {
    let length = decode_back_length(&bytes[..end]).expect(BROKEN);
    end.checked_sub(length + back_length_size(length)).expect(BROKEN)
}

/// Encoding byte and length, or the whole integer, and how many of the bytes are used.
pub(super) fn encode_head(element: Element<'_>) -> ([u8; 9], usize) {
    let mut head = [0; 9];
    let mut put = |bytes: &[u8]| {
        head[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    };
    let length = match element {
        Element::Str(text) => match text.len() {
            length @ 0..=0x3F => put(&[0x80 | length as u8]),
            length @ 0x40..=0xFFF => put(&[0xE0 | (length >> 8) as u8, length as u8]),
            length => {
                let length = u32::try_from(length).expect("callers limit what they add to a listpack");
                put(&[0xF0]);
                head[1..5].copy_from_slice(&length.to_le_bytes());
                5
            }
        },
        Element::Int(number @ 0..=0x7F) => put(&[number as u8]),
        Element::Int(number @ -0x1000..=0xFFF) => put(&[0xC0 | (number >> 8) as u8 & 0x1F, number as u8]),
        Element::Int(number) => {
            let (code, width) = match number {
                -0x8000..=0x7FFF => (0xF1, 2),
                -0x80_0000..=0x7F_FFFF => (0xF2, 3),
                -0x8000_0000..=0x7FFF_FFFF => (0xF3, 4),
                _ => (0xF4, 8),
            };
            head[0] = code;
            head[1..].copy_from_slice(&number.to_le_bytes());
            1 + width
        }
    };
    (head, length)
}

/// Bytes of the back length of an entry this long. The limits are one below the powers of two, as in Redis.
#[inline]
pub(super) fn back_length_size(length: usize) -> usize {
    match length {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// Seven bits a byte, the highest first; all but the first byte say that there is another one to the left.
pub(super) fn encode_back_length(length: usize) -> ([u8; 5], usize) {
    let size = back_length_size(length);
    let mut bytes = [0; 5];
    for (index, byte) in bytes[..size].iter_mut().rev().enumerate() {
        let is_leftmost = index + 1 == size;
        *byte = (length >> (7 * index)) as u8 & 0x7F | if is_leftmost { 0 } else { 0x80 };
    }
    (bytes, size)
}

/// The back length that the bytes end with; `None` if it does not end within five bytes.
#[inline]
pub(super) fn decode_back_length(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (index, &byte) in bytes.iter().rev().take(5).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_integers_are_integers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("9999999999999999999", None),
            ("18446744073709551617", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            ("--1", None),
            ("1 ", None),
            ("1:", None),
            ("1/", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), expected, "{text:?}");
        }
    }
}
