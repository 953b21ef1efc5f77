//! IDs as clients write them.

use rustredis_keyspace::types::stream::StreamId;
use rustredis_resp::{Reply, number};

use crate::error::{CommandError, until_zero};

/// Longest text of an ID that is looked at.
const TEXT_BYTES_MAX: usize = 127;

const INVALID: CommandError =
    CommandError::text("ERR Invalid stream ID specified as stream command argument");

/// A number of an ID. As in Redis, what C's `strtoull` takes beyond the usual is a number too: spaces in front, signs and leading zeros.
fn parse_number(text: &[u8]) -> Option<u64> {
    if let Some(value) = number::parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'\x0b';
    let text = &text[text.iter().take_while(|byte| is_space(byte)).count()..];
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value = value.checked_mul(10)?.checked_add(digit.into())?;
    }
    Some(if is_negative { value.wrapping_neg() } else { value })
}

/// Both numbers; the second is `None` where it is not written.
fn parse_parts(text: &[u8]) -> Option<(u64, Option<&[u8]>)> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let text = until_zero(text);
    let (ms, seq) = match text.iter().position(|byte| *byte == b'-') {
        Some(dash) => (&text[..dash], Some(&text[dash + 1..])),
        None => (text, None),
    };
    Some((parse_number(ms)?, seq))
}

/// An ID: `ms-seq`, or `ms` alone, which has this second number then. `-` and `+` are none.
///
/// # Errors
/// It is none.
pub(super) fn parse(text: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    let (ms, seq) = parse_parts(text).ok_or(INVALID)?;
    let seq = seq.map_or(Some(missing_seq), parse_number).ok_or(INVALID)?;
    Ok(StreamId::new(ms, seq))
}

/// As [`parse`], and `-` is the least ID, `+` the greatest.
///
/// # Errors
/// It is none.
pub(super) fn parse_with_ends(text: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        text => parse(text, missing_seq),
    }
}

/// What XADD is told of the ID of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: the server chooses.
    Any,
    /// `ms-*`: of this time.
    Of(u64),
    /// This one.
    Exactly(StreamId),
}

/// The ID of XADD, but for `*`.
///
/// # Errors
/// It is none.
pub(super) fn parse_new(text: &[u8]) -> Result<NewId, CommandError> {
    match parse_parts(text) {
        Some((ms, Some(b"*"))) => Ok(NewId::Of(ms)),
        _ => parse(text, 0).map(NewId::Exactly),
    }
}

/// The beginning of a range, which `(` excludes.
///
/// # Errors
/// It is no ID, or nothing comes behind it.
pub(super) fn parse_start(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => {
            parse(rest, 0)?.next().ok_or(CommandError::text("ERR invalid start ID for the interval"))
        }
        text => parse_with_ends(text, 0),
    }
}

/// The end of a range, which `(` excludes.
///
/// # Errors
/// It is no ID, or nothing comes before it.
pub(super) fn parse_end(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => {
            parse(rest, u64::MAX)?.prev().ok_or(CommandError::text("ERR invalid end ID for the interval"))
        }
        text => parse_with_ends(text, u64::MAX),
    }
}

/// An ID's text.
pub(super) struct Text {
    bytes: [u8; 41],
    length: usize,
}

impl Text {
    pub(super) fn of(id: StreamId) -> Self {
        let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (ms, seq) = (ms.format(id.ms).as_bytes(), seq.format(id.seq).as_bytes());
        let mut bytes = [b'-'; 41];
        bytes[..ms.len()].copy_from_slice(ms);
        let length = ms.len() + 1 + seq.len();
        bytes[ms.len() + 1..length].copy_from_slice(seq);
        Self { bytes, length }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Answers with an ID.
pub(super) fn reply_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(Text::of(id).bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_redis() {
        for (text, expected) in [
            ("5-7", Some(StreamId::new(5, 7))),
            ("5", Some(StreamId::new(5, 3))),
            ("007-+1", Some(StreamId::new(7, 1))),
            ("18446744073709551615-18446744073709551615", Some(StreamId::MAX)),
            ("18446744073709551616-1", None),
            ("1--5", None),
            ("1--05", Some(StreamId::new(1, u64::MAX - 4))),
            ("", None),
            ("-", None),
            ("+", None),
            ("1-", None),
            ("-1", None),
            ("1-2-3", None),
            ("1 -2", None),
            (" 1-\t2", Some(StreamId::new(1, 2))),
            (" -1", None),
            ("a-1", None),
            ("5\0x", Some(StreamId::new(5, 3))),
        ] {
            assert_eq!(parse(text.as_bytes(), 3).ok(), expected, "{text}");
        }
        assert!(parse(&[b'1'; 128], 0).is_err());
        assert_eq!(parse_new(b"5-*"), Ok(NewId::Of(5)));
        assert_eq!(parse_start(b"(5-7"), Ok(StreamId::new(5, 8)));
        assert_eq!(parse_end(b"(5"), Ok(StreamId::new(5, u64::MAX - 1)));
        assert_eq!(
            parse_end(b"(0-0").is_err(),
            parse_start(b"(18446744073709551615-18446744073709551615").is_err()
        );
        assert!(parse_start(b"(-").is_err() && parse_start(b"(").is_err());
        assert_eq!(Text::of(StreamId::MAX).bytes(), b"18446744073709551615-18446744073709551615");
    }
}
