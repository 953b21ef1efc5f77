//! Strings as arrays of bits: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP. The loops over bits are in [`crate::bits`].
//!
//! A write lets the string grow up to its highest bit first. What leaves a string as it was is no change: nothing is
//! journalled, no watcher touched. BITFIELD is in the file below.

pub mod field;

use rustredis_keyspace::limits::LIMITS;
use rustredis_keyspace::value::IsRaw;
use rustredis_keyspace::{EventClass, Key, Value, View};
use rustredis_resp::Reply;

use crate::args::Args;
use crate::bits::{self, BitOperation, Unit};
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec, Rules};
use crate::error::{CommandError, Outcome};

const READ: &[KeySpec] = &[KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1)];

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("setbit", 4, Flags::WRITE.with(Flags::DENYOOM), setbit)
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE), 1)])
        .acl(Categories::BITMAP)
        .docs(
            Group::Bitmap,
            "2.2.0",
            "O(1), or O(N) where N is by how many bytes the string grows",
            "key offset value",
            "Sets or clears a bit of a string, and answers what it was.",
        ),
    Command::new("getbit", 3, Flags::READONLY.with(Flags::FAST), getbit)
        .rules(Rules::LOCKLESS)
        .keys(READ)
        .acl(Categories::BITMAP)
        .docs(Group::Bitmap, "2.2.0", "O(1)", "key offset", "Answers a bit of a string."),
    Command::new("bitcount", -2, Flags::READONLY, bitcount)
        .rules(Rules::LOCKLESS)
        .keys(READ)
        .acl(Categories::BITMAP)
        .docs(
            Group::Bitmap,
            "2.6.0",
            "O(N) where N is the length of the range",
            "key [start end [BYTE | BIT]]",
            "Counts the bits that are set in a string or a range of it.",
        ),
    Command::new("bitpos", -3, Flags::READONLY, bitpos)
        .rules(Rules::LOCKLESS)
        .keys(READ)
        .acl(Categories::BITMAP)
        .docs(
            Group::Bitmap,
            "2.8.7",
            "O(N) where N is the length of the range",
            "key bit [start [end [BYTE | BIT]]]",
            "Finds the first bit that is set, or clear, in a string or a range of it.",
        ),
    Command::new("bitop", -4, Flags::WRITE.with(Flags::DENYOOM), bitop)
        .keys(&[
            KeySpec::one(KeyFlags::OW.with(KeyFlags::UPDATE), 2),
            KeySpec::range(KeyFlags::RO.with(KeyFlags::ACCESS), 3, -1, 1),
        ])
        .acl(Categories::BITMAP)
        .docs(
            Group::Bitmap,
            "2.6.0",
            "O(N) where N is the sum of the lengths of the strings",
            "<AND | OR | XOR | NOT> destkey key [key ...]",
            "Combines strings bit by bit, and stores the result.",
        ),
];

/// Argument `index` as a bit's offset.
fn bit_offset(args: Args<'_>, index: usize) -> Result<u64, CommandError> {
    bits::parse_offset(args.get(index), None, LIMITS.proto_max_bulk_len()).ok_or(CommandError::BitOffset)
}

/// Whether the key's string is at least `len` bytes long; if not, or if the key is missing, it grows by zero bytes. Either
/// way it counts as edited in place.
///
/// # Errors
/// `WrongType`.
fn grow(view: &mut View<'_>, key: Key<'_>, len: usize) -> Result<Grown, CommandError> {
    match view.string_mut(key)? {
        Some(entry) if entry.bytes().len() >= len => {
            entry.set_raw(IsRaw::Yes);
            return Ok(Grown::No);
        }
        Some(entry) => entry.resize(len),
        None => view.insert(key, Value::String(vec![0; len], IsRaw::Yes), None),
    }
    Ok(Grown::Yes)
}

/// Whether a string had to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grown {
    Yes,
    No,
}

/// The bytes of a string that is there.
fn bytes_mut<'v>(view: &'v mut View<'_>, key: Key<'_>) -> Result<&'v mut [u8], CommandError> {
    Ok(view.string_mut(key)?.map_or(&mut [], |entry| entry.bytes_mut()))
}

fn setbit(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let offset = bit_offset(args, 2)?;
    let is_set = match args.int(3) {
        Ok(bit @ 0..=1) => bit == 1,
        _ => return Err(CommandError::text("ERR bit is not an integer or out of range")),
    };
    let grown = grow(view, key, bits::bytes_needed(offset, 1) as usize)?;
    let was_set = bits::set_bit(bytes_mut(view, key)?, offset, is_set);
    if grown == Grown::Yes || was_set != is_set {
        view.changed(key, EventClass::STRING, "setbit");
    }
    reply.int(i64::from(was_set));
    Ok(())
}

fn getbit(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let offset = bit_offset(args, 2)?;
    let bytes = view.string(args.key(1))?.unwrap_or(&[]);
    reply.int(i64::from(bits::get_bit(bytes, offset)));
    Ok(())
}

/// Argument `index` as the unit of a range; bytes if there is none.
fn unit(args: Args<'_>, index: usize) -> Result<Unit, CommandError> {
    if index >= args.len() || args.is(index, "BYTE") {
        Ok(Unit::Byte)
    } else if args.is(index, "BIT") {
        Ok(Unit::Bit)
    } else {
        Err(CommandError::Syntax)
    }
}

fn bitcount(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, end, unit) = match args.len() {
        2 => (0, -1, Unit::Byte),
        4 | 5 => (args.int(2)?, args.int(3)?, unit(args, 4)?),
        _ => return Err(CommandError::Syntax),
    };
    let bytes = view.string(args.key(1))?.unwrap_or(&[]);
    reply.int(bits::count_in_range(bytes, start, end, unit) as i64);
    Ok(())
}

fn bitpos(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let bit = match args.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::text("ERR The bit argument must be 1 or 0.")),
    };
    if args.len() > 6 {
        return Err(CommandError::Syntax);
    }
    let start = if args.len() > 3 { args.int(3)? } else { 0 };
    let unit = unit(args, 5)?;
    let end = if args.len() > 4 { Some(args.int(4)?) } else { None };
    let found = match view.string(args.key(1))? {
        Some(bytes) => bits::position(bytes, bit, start, end, unit),
        // A key that is not there is zeros without end.
        None => (!bit).then_some(0),
    };
    reply.int(found.map_or(-1, |offset| offset as i64));
    Ok(())
}

fn bitop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let operation = if args.is(1, "AND") {
        BitOperation::And
    } else if args.is(1, "OR") {
        BitOperation::Or
    } else if args.is(1, "XOR") {
        BitOperation::Xor
    } else if args.is(1, "NOT") {
        BitOperation::Not
    } else {
        return Err(CommandError::Syntax);
    };
    if operation == BitOperation::Not && args.len() != 4 {
        return Err(CommandError::text("ERR BITOP NOT must be called with a single source key."));
    }
    let destination = args.key(2);
    let sources = (3..args.len())
        .map(|index| Ok(view.string(args.key(index))?.unwrap_or(&[])))
        .collect::<Result<Vec<&[u8]>, CommandError>>()?;
    let combined = bits::combine(operation, &sources);
    let len = combined.len();
    if len > 0 {
        view.insert(destination, Value::String(combined, IsRaw::Yes), None);
        view.changed(destination, EventClass::STRING, "set");
    } else if view.delete(destination) {
        view.changed(destination, EventClass::GENERIC, "del");
    }
    reply.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, check};

    #[test]
    fn a_bit_is_set_and_read() {
        let mut harness = Harness::new();
        check(&mut harness, "SETBIT k 9 1", ":0");
        assert_eq!(harness.events(), ["setbit k"]);
        check(&mut harness, "SETBIT k 9 1", ":1");
        assert_eq!(harness.effects.dirty, 0);
        check(&mut harness, "SETBIT k 20 0", ":0");
        assert_eq!(harness.effects.dirty, 1);
        check(&mut harness, "GET k", "$3 \0@\0");
        check(&mut harness, "GETBIT k 9", ":1");
        check(&mut harness, "GETBIT k 4000000000", ":0");
        let offset = "-ERR bit offset is not an integer or out of range";
        check(&mut harness, "SETBIT k 4294967296 1", offset);
        check(&mut harness, "SETBIT k -1 1", offset);
        check(&mut harness, "GETBIT k x", offset);
        check(&mut harness, "SETBIT k 1 2", "-ERR bit is not an integer or out of range");
    }

    #[test]
    fn bits_are_counted_and_found_in_ranges() {
        let mut harness = Harness::new();
        harness.run("SET k foobar");
        check(&mut harness, "BITCOUNT k", ":26");
        check(&mut harness, "BITCOUNT k 1 1", ":6");
        check(&mut harness, "BITCOUNT k 5 30 BIT", ":17");
        check(&mut harness, "BITCOUNT k 1", "-ERR syntax error");
        check(&mut harness, "BITCOUNT missing 0 0 FOO", "-ERR syntax error");
        check(&mut harness, "BITPOS k 1", ":1");
        check(&mut harness, "BITPOS k 1 2", ":17");
        check(&mut harness, "BITPOS k 0 1 1 BIT", ":-1");
        check(&mut harness, "BITPOS k 2", "-ERR The bit argument must be 1 or 0.");
        check(&mut harness, "BITPOS missing 0 5 6", ":0");
        check(&mut harness, "BITPOS missing 1", ":-1");
        harness.run(r#"SET ones "\xff\xff""#);
        check(&mut harness, "BITPOS ones 0", ":16");
        check(&mut harness, "BITPOS ones 0 0 -1", ":-1");
    }

    #[test]
    fn strings_are_combined() {
        let mut harness = Harness::new();
        harness.run("MSET a abc b ABCD");
        check(&mut harness, "BITOP OR to a b", ":4");
        assert_eq!(harness.events(), ["set to"]);
        check(&mut harness, "GET to", "$4 abcD");
        check(&mut harness, "BITOP and to a b x", ":4");
        check(&mut harness, "GET to", "$4 \0\0\0\0");
        check(&mut harness, "BITOP NOT to missing", ":0");
        assert_eq!(harness.events(), ["del to"]);
        check(&mut harness, "BITOP NOT to missing", ":0");
        assert_eq!(harness.effects.dirty, 0);
        check(&mut harness, "BITOP NOT to a b", "-ERR BITOP NOT must be called with a single source key.");
        check(&mut harness, "BITOP NAND to a b", "-ERR syntax error");
    }
}
