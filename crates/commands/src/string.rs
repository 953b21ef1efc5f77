//! Strings.

use rustredis_keyspace::{EventClass, View};
use rustredis_resp::Reply;

use crate::Outcome;
use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};

const READ_FIRST: &[KeySpec] = &[KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1)];

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("get", 2, Flags::READONLY.with(Flags::FAST), get)
        .keys(READ_FIRST)
        .acl(Categories::STRING)
        .docs(Group::String, "1.0.0", "O(1)", "key", "Answers the string at a key."),
    Command::new("set", -3, Flags::WRITE.with(Flags::DENYOOM), set)
        .keys(&[KeySpec::one(KeyFlags::OW.with(KeyFlags::UPDATE), 1)])
        .acl(Categories::STRING)
        .docs(Group::String, "1.0.0", "O(1)", "key value", "Stores a string at a key, whatever was there."),
];

fn get(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.bulk_or_null(view.string(args.key(1))?);
    Ok(())
}

fn set(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    view.set_string(key, args.get(2), None);
    view.changed(key, EventClass::STRING, "set");
    reply.ok();
    Ok(())
}
