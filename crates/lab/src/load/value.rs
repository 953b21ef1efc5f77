//! Values that say whose they are and how long they are, so that a reply can be checked whole.
//!
//! ```text
//! v64:240000000000:qjwz...   the value of 64 bytes of key 42: its length, the key's digits (the low ones first, so that
//!                            short values differ, too), then letters from a place that depends on the key
//! ```
//!
//! A value of another key, a shorter or longer one, one that two writers have mixed and a part of the wrong place are all
//! told apart. The letters repeat after 4,096 bytes and are copied from a table: the generator must cost less than the server.
//! A checksum was rejected: it says that something is wrong, and costs more than comparing.

use std::ops::Range;
use std::sync::LazyLock;

use rustredis_testkit::Random;

use crate::load::mix::KEY_DIGITS;

/// After so many bytes the letters repeat.
const PERIOD: usize = 4_096;
/// `v`, at most 10 digits of a length, `:`, a key, `:`.
const HEADER_BYTES_MAX: usize = 1 + 10 + 1 + KEY_DIGITS + 1;

/// Twice the letters, so that a period from any place is one piece.
static LETTERS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random::new(0x7a1e);
    let once: Vec<u8> = (0..PERIOD).map(|_| b'a' + random.below(26) as u8).collect();
    once.repeat(2)
});

/// The value of this length that belongs to key number `key`.
pub fn value(key: u64, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes);
    write_value(&mut out, key, bytes);
    out
}

/// Appends [`value`].
#[inline]
pub(crate) fn write_value(out: &mut Vec<u8>, key: u64, bytes: usize) {
    pieces(key, bytes, 0..bytes, |piece| {
        out.extend_from_slice(piece);
        true
    });
}

/// Whether `body` is what stands at `start` in the value of `bytes` bytes of the key, as far as `body` reaches.
pub(crate) fn is_part(body: &[u8], key: u64, bytes: usize, start: usize) -> bool {
    if start + body.len() > bytes {
        return false;
    }
    let mut rest = body;
    pieces(key, bytes, start..start + body.len(), |piece| match rest.strip_prefix(piece) {
        Some(left) => {
            rest = left;
            true
        }
        None => false,
    });
    rest.is_empty()
}

/// Hands out a part of a value piece by piece, as long as the function wants more.
fn pieces(key: u64, bytes: usize, part: Range<usize>, mut take: impl FnMut(&[u8]) -> bool) {
    let (header, length) = header(key, bytes);
    let mut position = part.start;
    if position < length {
        let end = part.end.min(length);
        if !take(&header[position..end]) {
            return;
        }
        position = end;
    }
    let place = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize;
    while position < part.end {
        let from = (place + position) % PERIOD;
        let end = part.end.min(position + PERIOD);
        if !take(&LETTERS[from..from + (end - position)]) {
            return;
        }
        position = end;
    }
}

fn header(key: u64, bytes: usize) -> ([u8; HEADER_BYTES_MAX], usize) {
    let mut header = [b':'; HEADER_BYTES_MAX];
    header[0] = b'v';
    let mut digits = [0; 10];
    let mut first = digits.len();
    let mut rest = bytes;
    while rest > 0 && first > 0 {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let mut length = 1 + digits.len() - first;
    header[1..length].copy_from_slice(&digits[first..]);
    length += 1;
    let mut rest = key;
    for digit in &mut header[length..length + KEY_DIGITS] {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    (header, length + KEY_DIGITS + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_says_its_length_and_its_key() {
        assert!(value(42, 64).starts_with(b"v64:240000000000:"));
        assert_eq!(value(42, 8), b"v8:24000");
        for bytes in [0, 1, 7, 24, 25, 64, 4_096, 5_000, 20_000] {
            let whole = value(7, bytes);
            assert_eq!(whole.len(), bytes);
            assert!(is_part(&whole, 7, bytes, 0));
        }
    }

    #[test]
    fn what_is_not_the_value_is_told_from_it() {
        let whole = value(42, 5_000);
        assert!(!is_part(&value(43, 5_000), 42, 5_000, 0));
        // Another key's letters behind the right header, and one byte in the last place.
        let mut mixed = whole.clone();
        mixed[2_500..].copy_from_slice(&value(43, 5_000)[2_500..]);
        assert!(!is_part(&mixed, 42, 5_000, 0));
        let mut torn = whole.clone();
        torn[4_999] ^= 1;
        assert!(!is_part(&torn, 42, 5_000, 0));
        // A shorter one is none of its own length.
        assert!(!is_part(&whole[..4_000], 42, 4_000, 0));
        assert!(!is_part(&value(5, 64)[..3], 5, 3, 0));
    }

    #[test]
    fn a_part_belongs_to_its_place() {
        let whole = value(9, 10_000);
        for part in [0..10, 5..30, 100..200, 4_000..9_000, 9_999..10_000] {
            assert!(is_part(&whole[part.clone()], 9, 10_000, part.start), "{part:?}");
        }
        assert!(!is_part(&whole[100..200], 9, 10_000, 101));
        assert!(!is_part(&whole[100..200], 10, 10_000, 100));
        assert!(!is_part(&whole[9_990..], 9, 9_995, 9_990));
    }
}
