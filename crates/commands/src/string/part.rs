//! Parts of strings: APPEND, STRLEN, GETRANGE, SETRANGE.
//!
//! No string grows beyond `proto-max-bulk-len`, since no client could read it in one piece; the check precedes the growth.

use std::ops::Range;

use rustredis_keyspace::limits::LIMITS;
use rustredis_keyspace::value::IsRaw;
use rustredis_keyspace::{EventClass, Value, View};
use rustredis_resp::Reply;

use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec, Rules};
use crate::error::{CommandError, Outcome};

const READ: &[KeySpec] = &[KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1)];
const RANGE_COMPLEXITY: &str = "O(N) where N is the length of what is answered";
const RANGE_SUMMARY: &str = "Answers the bytes of a string from one index to another, both included.";

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("append", 3, Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST), append)
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::INSERT), 1)])
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "2.0.0",
            "O(1), amortised, for values that are small",
            "key value",
            "Adds bytes at the end of a string, or stores them at a missing key.",
        ),
    Command::new("strlen", 2, Flags::READONLY.with(Flags::FAST), strlen)
        .rules(Rules::LOCKLESS)
        .keys(&[KeySpec::one(KeyFlags::RO, 1)])
        .acl(Categories::STRING)
        .docs(Group::String, "2.2.0", "O(1)", "key", "Answers the length of a string in bytes."),
    Command::new("setrange", 4, Flags::WRITE.with(Flags::DENYOOM), setrange)
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::UPDATE), 1)])
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "2.2.0",
            "O(N) where N is the length of the value, and of the zeros before it",
            "key offset value",
            "Overwrites a string from an offset on, and fills up with zero bytes what is missing before it.",
        ),
    Command::new("getrange", 4, Flags::READONLY, getrange)
        .rules(Rules::LOCKLESS)
        .keys(READ)
        .acl(Categories::STRING)
        .docs(Group::String, "2.4.0", RANGE_COMPLEXITY, "key start end", RANGE_SUMMARY),
    Command::new("substr", 4, Flags::READONLY, getrange)
        .rules(Rules::LOCKLESS)
        .keys(READ)
        .acl(Categories::STRING)
        .docs(Group::String, "1.0.0", RANGE_COMPLEXITY, "key start end", RANGE_SUMMARY)
        .deprecated("2.0.0", "`GETRANGE`"),
];

fn append(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, suffix) = (args.key(1), args.get(2));
    let len = match view.string_mut(key)? {
        Some(entry) => {
            let len = checked_len(entry.bytes().len(), suffix.len())?;
            entry.append(suffix);
            len
        }
        None => {
            view.set_string(key, suffix, None);
            suffix.len()
        }
    };
    view.changed(key, EventClass::STRING, "append");
    reply.count(len);
    Ok(())
}

fn strlen(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(view.string(args.key(1))?.map_or(0, <[u8]>::len));
    Ok(())
}

fn setrange(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let offset = usize::try_from(args.int(2)?).map_err(|_| CommandError::OffsetOutOfRange)?;
    let value = args.get(3);
    let entry = view.string_mut(key)?;
    let old_len = entry.as_ref().map_or(0, |entry| entry.bytes().len());
    if value.is_empty() {
        reply.count(old_len);
        return Ok(());
    }
    let end = checked_len(offset, value.len())?;
    let len = end.max(old_len);
    if let Some(entry) = entry {
        entry.resize(len);
        entry.bytes_mut()[offset..end].copy_from_slice(value);
    } else {
        let mut bytes = vec![0; len];
        bytes[offset..].copy_from_slice(value);
        view.insert(key, Value::String(bytes, IsRaw::Yes), None);
    }
    view.changed(key, EventClass::STRING, "setrange");
    reply.count(len);
    Ok(())
}

fn getrange(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, end) = (args.int(2)?, args.int(3)?);
    let bytes = view.string(args.key(1))?.unwrap_or(&[]);
    reply.bulk(&bytes[included(bytes.len(), start, end)]);
    Ok(())
}

/// The bytes from `start` to `end`, both included and negative from the end, of a string of `len`.
fn included(len: usize, start: i64, end: i64) -> Range<usize> {
    let signed_len = len as i64;
    // Both would be cut to the first byte, though the range is empty.
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let from_end = |index: i64| if index < 0 { index.saturating_add(signed_len).max(0) } else { index };
    let (start, end) = (from_end(start), from_end(end).min(signed_len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

/// The sum of two lengths, if a string may be that long.
///
/// # Errors
/// `StringTooLong`.
fn checked_len(first: usize, second: usize) -> Result<usize, CommandError> {
    let sum = first.checked_add(second).filter(|len| *len as u64 <= LIMITS.proto_max_bulk_len());
    sum.ok_or(CommandError::StringTooLong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, check};

    #[test]
    fn ranges_include_both_ends_and_stay_inside() {
        for (len, start, end, expected) in [
            (5, 0, -1, 0..5),
            (5, 1, 3, 1..4),
            (5, -3, -2, 2..4),
            (5, -100, 0, 0..1),
            (5, -1, -5, 0..0),
            (5, 3, 1, 0..0),
            (5, 5, 9, 0..0),
            (0, 0, -1, 0..0),
            (5, i64::MIN, i64::MAX, 0..5),
            (5, -6, -7, 0..0),
            (5, -7, -6, 0..1),
        ] {
            assert_eq!(included(len, start, end), expected, "{len} {start} {end}");
        }
    }

    #[test]
    fn a_string_grows_at_its_end_and_in_between() {
        let mut harness = Harness::new();
        check(&mut harness, "APPEND k ab", ":2");
        check(&mut harness, "APPEND k cd", ":4");
        check(&mut harness, "SETRANGE k 1 XY", ":4");
        check(&mut harness, "SETRANGE k 5 z", ":6");
        check(&mut harness, "GET k", "$6 aXYd\0z");
        check(&mut harness, "STRLEN k", ":6");
        check(&mut harness, "SETRANGE new 2 a", ":3");
        check(&mut harness, "GET new", "$3 \0\0a");
        let long = "x".repeat(3000);
        check(&mut harness, &format!("APPEND k {long}"), ":3006");
        check(&mut harness, "SETRANGE k 3004 abc", ":3007");
        check(&mut harness, "GETRANGE k 3003 -1", "$4 xabc");
        check(&mut harness, "SUBSTR k 0 1", "$2 aX");
    }

    #[test]
    fn nothing_written_changes_nothing() {
        let mut harness = Harness::new();
        check(&mut harness, "SETRANGE k 10 ''", ":0");
        check(&mut harness, "GET k", "$-1");
        harness.run("SET k abc");
        check(&mut harness, "SETRANGE k 10 ''", ":3");
        assert_eq!(harness.effects.dirty, 0);
    }

    #[test]
    fn a_string_has_a_greatest_length() {
        let mut harness = Harness::new();
        let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        check(&mut harness, "SETRANGE k 536870911 ab", too_long);
        check(&mut harness, "SETRANGE k 9223372036854775807 a", too_long);
        check(&mut harness, "SETRANGE k -1 a", "-ERR offset is out of range");
        check(&mut harness, "SETRANGE k one a", "-ERR value is not an integer or out of range");
    }
}
