//! XGROUP, and XACK: groups and their consumers come and go, and what was delivered is done.

use rustredis_keyspace::types::stream::{Group, Stream, StreamId};
use rustredis_keyspace::{EventClass, Key, View};
use rustredis_resp::Reply;

use super::id::{self, Text};
use crate::args::Args;
use crate::error::{CommandError, Outcome};
use crate::rewrite;

/// The error of a group that is not there, where the stream is.
pub(super) fn no_group(group: &[u8], key: Key<'_>) -> CommandError {
    let text = [b"NOGROUP No such consumer group '", group, b"' for key name '", key.bytes, b"'"].concat();
    CommandError::Other(text.into())
}

const NO_KEY: CommandError = CommandError::text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);

/// How many entries a group is said to have read: -1 for what is not known.
fn number_read(group: &Group) -> i64 {
    group.entries_read.map_or(-1, |read| read as i64)
}

/// The command that gives a group the last ID that it has.
pub(super) fn set_id_words(key: Key<'_>, name: &[u8], group: &Group) -> Vec<Vec<u8>> {
    let mut read = itoa::Buffer::new();
    let read = read.format(number_read(group)).as_bytes();
    let last_id = Text::of(group.last_id);
    rewrite::words(&[b"XGROUP", b"SETID", key.bytes, name, last_id.bytes(), b"ENTRIESREAD", read])
}

/// The options behind the ID: whether the stream is made, and how many entries were read.
fn parse_options(args: Args<'_>, makes_stream: bool) -> Result<(bool, Option<u64>), CommandError> {
    let (mut makes, mut read) = (false, None);
    let mut at = 5;
    while at < args.len() {
        if makes_stream && args.is(at, "mkstream") {
            makes = true;
            at += 1;
        } else if args.is(at, "entriesread") && at + 1 < args.len() {
            read =
                match args.int(at + 1)? {
                    -1 => None,
                    count => Some(u64::try_from(count).map_err(|_| {
                        CommandError::text("ERR value for ENTRIESREAD must be positive or -1")
                    })?),
                };
            at += 2;
        } else {
            return Err(CommandError::quoting(
                "ERR unknown subcommand or wrong number of arguments for '",
                args.quoted(1),
                "'. Try XGROUP HELP.",
            ));
        }
    }
    Ok((makes, read))
}

/// The stream, which must be there.
fn stream_of<'v>(view: &'v mut View<'_>, key: Key<'_>) -> Result<&'v mut Stream, CommandError> {
    view.collection_mut::<Stream>(key)?.ok_or(NO_KEY)
}

/// The group, which must be there.
fn group_of<'v>(view: &'v mut View<'_>, key: Key<'_>, name: &[u8]) -> Result<&'v mut Group, CommandError> {
    stream_of(view, key)?.group_mut(name).ok_or_else(|| no_group(name, key))
}

pub(super) fn create(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (makes_stream, read) = parse_options(args, true)?;
    let (key, name) = (args.key(2), args.get(3));
    let stream = view.collection_mut::<Stream>(key)?;
    if stream.is_none() && !makes_stream {
        return Err(NO_KEY);
    }
    let last_id = match (args.get(4), &stream) {
        (b"$", stream) => stream.as_ref().map_or(StreamId::MIN, |stream| stream.marks().last_id),
        (text, _) => id::parse(text, 0)?,
    };
    if stream.is_some_and(|stream| stream.group(name).is_some()) {
        return Err(CommandError::text("BUSYGROUP Consumer Group name already exists"));
    }
    let is_new = view.peek(key).is_none();
    view.collection_or_new::<Stream>(key)?.put_group(name, Group::new(last_id, read));
    reply.ok();
    if is_new {
        view.changed(key, EventClass::STREAM, "xgroup-create");
    } else {
        view.changed_beside(key, EventClass::STREAM, "xgroup-create");
    }
    journal_id(view, args, last_id);
    Ok(())
}

/// Journals the command with the ID that `$` was.
fn journal_id(view: &mut View<'_>, args: Args<'_>, last_id: StreamId) {
    if args.get(4) == b"$" {
        let id = Text::of(last_id);
        let mut parts: Vec<&[u8]> = args.from(0).collect();
        parts[4] = id.bytes();
        rewrite::instead(view, &parts);
    }
}

pub(super) fn set_id(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (_, read) = parse_options(args, false)?;
    let (key, name) = (args.key(2), args.get(3));
    let last = stream_of(view, key)?.marks().last_id;
    let group = group_of(view, key, name)?;
    let last_id = match args.get(4) {
        b"$" => last,
        text => id::parse_with_ends(text, 0)?,
    };
    group.last_id = last_id;
    group.entries_read = read;
    reply.ok();
    view.changed_beside(key, EventClass::STREAM, "xgroup-setid");
    journal_id(view, args, last_id);
    Ok(())
}

pub(super) fn destroy(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(2);
    let was_there = stream_of(view, key)?.remove_group(args.get(3));
    reply.int(was_there.into());
    if was_there {
        view.changed_beside(key, EventClass::STREAM, "xgroup-destroy");
        // Who waits as one of its consumers is told.
        view.wake(key);
    }
    Ok(())
}

pub(super) fn create_consumer(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(2);
    let now_ms = view.clock_ms();
    let group = group_of(view, key, args.get(3))?;
    let is_new = group.find(args.get(4)).is_none();
    if is_new {
        group.create(args.get(4), now_ms);
    }
    reply.int(is_new.into());
    if is_new {
        view.changed_beside(key, EventClass::STREAM, "xgroup-createconsumer");
    }
    Ok(())
}

pub(super) fn delete_consumer(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(2);
    let group = group_of(view, key, args.get(3))?;
    let Some(consumer) = group.find(args.get(4)) else {
        reply.int(0);
        return Ok(());
    };
    reply.count(group.remove(consumer));
    view.changed_beside(key, EventClass::STREAM, "xgroup-delconsumer");
    Ok(())
}

pub(super) fn xack(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let group = view.collection_mut::<Stream>(key)?.and_then(|stream| stream.group_mut(args.get(2)));
    let Some(group) = group else {
        reply.int(0);
        return Ok(());
    };
    // All are looked at before the first is done.
    args.from(3).try_for_each(|text| id::parse(text, 0).map(|_| ()))?;
    let mut done = 0;
    for text in args.from(3) {
        done += usize::from(group.acknowledge(id::parse(text, 0)?).is_some());
    }
    reply.count(done);
    if done > 0 {
        view.count_beside(args.key(1), done as u64);
    }
    Ok(())
}

pub(super) fn help(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    const LINES: &[&str] = &[
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <count>]",
        "    Makes a group, whose consumers are given what comes behind the ID.",
        "CREATECONSUMER <key> <group> <consumer>",
        "    Makes a consumer.",
        "DELCONSUMER <key> <group> <consumer>",
        "    Removes a consumer, and what it has not acknowledged.",
        "DESTROY <key> <group>",
        "    Removes a group.",
        "SETID <key> <group> <id|$> [ENTRIESREAD <count>]",
        "    Says which ID was delivered last.",
        "HELP",
        "    Shows these lines.",
    ];
    reply.array(LINES.len());
    LINES.iter().for_each(|line| reply.simple(line));
    Ok(())
}
