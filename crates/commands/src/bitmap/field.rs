//! BITFIELD: integers of any width within a string.
//!
//! All operations are read before the first one is done, so that a mistake in the last one changes nothing. A string grows
//! once, for the highest bit that is written.

use rustredis_keyspace::limits::LIMITS;
use rustredis_keyspace::{EventClass, View};
use rustredis_resp::Reply;

use super::{Grown, bytes_mut, grow};
use crate::args::Args;
use crate::bits::{self, FieldType, Overflow};
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::error::{CommandError, Outcome};

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("bitfield", -2, Flags::WRITE.with(Flags::DENYOOM), bitfield).find_key_flags(bitfield_key_flags)
        .keys(&[KeySpec::one(
            KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE).with(KeyFlags::VARIABLE_FLAGS),
            1,
        )
        .notes("Reads and changes the key")])
        .acl(Categories::BITMAP)
        .docs(
            Group::Bitmap,
            "3.2.0",
            "O(1) for each operation",
            "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> ...]]",
            "Reads, sets and increments integers of any width within a string.",
        ),
    Command::new("bitfield_ro", -2, Flags::READONLY.with(Flags::FAST), bitfield_ro)
        .keys(&[KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1)])
        .acl(Categories::BITMAP)
        .docs(
            Group::Bitmap,
            "6.0.0",
            "O(1) for each operation",
            "key [GET encoding offset [GET encoding offset ...]]",
            "Reads integers of any width within a string.",
        ),
];

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64, Overflow),
    Increment(i64, Overflow),
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operation {
    field_type: FieldType,
    offset: u64,
    action: Action,
}

fn parse(args: Args<'_>) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut index = 2;
    while index < args.len() {
        let left = args.len() - index - 1;
        if args.is(index, "OVERFLOW") && left >= 1 {
            overflow = parse_overflow(args, index + 1)?;
            index += 2;
            continue;
        }
        let is_get = args.is(index, "GET") && left >= 2;
        let is_set = args.is(index, "SET") && left >= 3;
        let is_increment = args.is(index, "INCRBY") && left >= 3;
        if !is_get && !is_set && !is_increment {
            return Err(CommandError::Syntax);
        }
        let field_type = FieldType::parse(args.get(index + 1)).ok_or(CommandError::text(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        ))?;
        let bytes_max = LIMITS.proto_max_bulk_len();
        let offset = bits::parse_offset(args.get(index + 2), Some(field_type.bits()), bytes_max)
            .ok_or(CommandError::BitOffset)?;
        let action = if is_get {
            Action::Get
        } else if is_set {
            Action::Set(args.int(index + 3)?, overflow)
        } else {
            Action::Increment(args.int(index + 3)?, overflow)
        };
        operations.push(Operation { field_type, offset, action });
        index += if is_get { 3 } else { 4 };
    }
    Ok(operations)
}

fn parse_overflow(args: Args<'_>, index: usize) -> Result<Overflow, CommandError> {
    if args.is(index, "WRAP") {
        Ok(Overflow::Wrap)
    } else if args.is(index, "SAT") {
        Ok(Overflow::Saturate)
    } else if args.is(index, "FAIL") {
        Ok(Overflow::Fail)
    } else {
        Err(CommandError::text("ERR Invalid OVERFLOW type specified"))
    }
}

/// How long the string must be for all that is written; 0 if nothing is.
fn written_bytes(operations: &[Operation]) -> usize {
    let writing = operations.iter().filter(|operation| operation.action != Action::Get);
    let needed = writing.map(|operation| bits::bytes_needed(operation.offset, operation.field_type.bits()));
    needed.max().unwrap_or(0) as usize
}

/// A BITFIELD whose operations are all GETs reads.
fn bitfield_key_flags(flags: KeyFlags, args: Args<'_>) -> KeyFlags {
    let mut index = 2;
    while index < args.len() {
        index += match () {
            () if args.is(index, "GET") => 3,
            () if args.is(index, "OVERFLOW") => 2,
            () => return flags,
        };
    }
    KeyFlags::RO | KeyFlags::ACCESS
}

fn bitfield(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let operations = parse(args)?;
    let len = written_bytes(&operations);
    if len == 0 {
        return read_fields(view, args, &operations, reply);
    }
    let key = args.key(1);
    let grown = grow(view, key, len)?;
    let bytes = bytes_mut(view, key)?;
    let mut changes = 0;
    reply.array(operations.len());
    for Operation { field_type, offset, action } in operations {
        let old = bits::get_field(bytes, field_type, offset);
        let (new, answers_old) = match action {
            Action::Get => (Some(old), true),
            Action::Set(value, overflow) => (field_type.assigned(value, overflow), true),
            Action::Increment(increment, overflow) => {
                (field_type.incremented(old, increment, overflow), false)
            }
        };
        match new {
            Some(new) => {
                reply.int(if answers_old { old } else { new });
                // As Redis counts: each field that is written, if the string grew for any.
                if action != Action::Get && (new != old || grown == Grown::Yes) {
                    bits::set_field(bytes, field_type, offset, new);
                    changes += 1;
                }
            }
            None => reply.null(),
        }
    }
    if changes > 0 {
        view.changed(key, EventClass::STRING, "setbit");
        view.add_dirty(changes - 1);
    } else if grown == Grown::Yes {
        // All overflowed and only the string's length is another: no event, as in Redis, but a replay must do it too.
        view.changed_silently(key);
    }
    Ok(())
}

fn bitfield_ro(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let operations = parse(args)?;
    if operations.iter().any(|operation| operation.action != Action::Get) {
        return Err(CommandError::text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read_fields(view, args, &operations, reply)
}

fn read_fields(view: &View<'_>, args: Args<'_>, operations: &[Operation], reply: &mut Reply<'_>) -> Outcome {
    let bytes = view.string(args.key(1))?.unwrap_or(&[]);
    reply.array(operations.len());
    for operation in operations {
        reply.int(bits::get_field(bytes, operation.field_type, operation.offset));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, check};

    #[test]
    fn fields_are_set_incremented_and_read() {
        let mut harness = Harness::new();
        check(&mut harness, "BITFIELD k GET u8 0", "*1 :0");
        check(&mut harness, "EXISTS k", ":0");
        check(&mut harness, "BITFIELD k SET u8 0 255 SET u8 #1 256 GET u4 4", "*3 :0 :0 :15");
        check(&mut harness, "BITFIELD k INCRBY u8 0 10 OVERFLOW SAT INCRBY i5 16 100", "*2 :9 :15");
        assert_eq!(harness.effects.dirty, 2);
        check(&mut harness, "BITFIELD k OVERFLOW FAIL INCRBY u2 0 9 SET u8 0 300", "*2 $-1 $-1");
        assert_eq!(harness.effects.dirty, 0);
        check(&mut harness, "BITFIELD_RO k GET u8 0 GET i8 100", "*2 :9 :0");
        check(&mut harness, "BITFIELD k", "*0");
    }

    #[test]
    fn mistakes_change_nothing() {
        let mut harness = Harness::new();
        for (arguments, expected) in [
            (
                "GET u64 0",
                "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            ),
            ("SET u8 0 1 GET u8 -1", "bit offset is not an integer or out of range"),
            ("SET u8 0 x", "value is not an integer or out of range"),
            ("SET u8 0", "syntax error"),
            ("OVERFLOW NONE SET u8 0 1", "Invalid OVERFLOW type specified"),
            ("OVERFLOW", "syntax error"),
        ] {
            check(&mut harness, &format!("BITFIELD k {arguments}"), &format!("-ERR {expected}"));
        }
        check(&mut harness, "BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand");
        check(&mut harness, "EXISTS k", ":0");
    }
}
