//! XINFO: what is known of a stream, its groups and their consumers.

use rustredis_keyspace::View;
use rustredis_keyspace::types::stream::{Consumer, Group, Stream, StreamId};
use rustredis_resp::Reply;

use super::group::no_group;
use super::id::reply_id;
use super::range::{reply_entries, reply_entry};
use crate::args::Args;
use crate::error::{CommandError, Outcome};

/// Entries that FULL shows of each list, if nothing else is said.
const SHOWN: usize = 10;

/// A number, or a null where it is not known.
fn reply_count(reply: &mut Reply<'_>, count: Option<u64>) {
    match count {
        Some(count) => reply.int(count as i64),
        None => reply.null(),
    }
}

fn stream_of<'v>(view: &'v View<'_>, args: Args<'_>) -> Result<&'v Stream, CommandError> {
    view.collection::<Stream>(args.key(2))?.ok_or(CommandError::NoSuchKey)
}

pub(super) fn stream(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let stream = stream_of(view, args)?;
    let mut shown = None;
    if args.len() > 3 {
        if !args.is(3, "full") || args.len() == 5 || args.len() > 6 {
            return Err(wrong_words(args));
        }
        shown = Some(SHOWN);
        if args.len() == 6 {
            if !args.is(4, "count") {
                return Err(wrong_words(args));
            }
            shown = Some(match args.int(5)? {
                0 => usize::MAX,
                count => usize::try_from(count).unwrap_or(SHOWN),
            });
        }
    }
    reply.map(if shown.is_some() { 9 } else { 10 });
    reply.bulk(b"length");
    reply.count(stream.len() as usize);
    reply.bulk(b"radix-tree-keys");
    reply.count(stream.nodes().len());
    // Of a tree that has its keys alone, and a root.
    reply.bulk(b"radix-tree-nodes");
    reply.count(stream.nodes().len() + 1);
    let marks = stream.marks();
    reply.bulk(b"last-generated-id");
    reply_id(reply, marks.last_id);
    reply.bulk(b"max-deleted-entry-id");
    reply_id(reply, marks.max_deleted_id);
    reply.bulk(b"entries-added");
    reply.int(marks.entries_added as i64);
    reply.bulk(b"recorded-first-entry-id");
    reply_id(reply, marks.first_id);
    let Some(shown) = shown else {
        reply.bulk(b"groups");
        reply.count(stream.groups().len());
        for (name, entry) in [("first-entry", stream.first_entry()), ("last-entry", stream.last_entry())] {
            reply.bulk(name.as_bytes());
            match entry {
                Some(entry) => reply_entry(reply, entry),
                None => reply.null(),
            }
        }
        return Ok(());
    };
    reply.bulk(b"entries");
    reply_entries(reply, stream.range(StreamId::MIN..=StreamId::MAX).take(shown), |_| ());
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        full_group(reply, stream, name, group, shown);
    }
    Ok(())
}

fn wrong_words(args: Args<'_>) -> CommandError {
    CommandError::quoting(
        "ERR unknown subcommand or wrong number of arguments for '",
        args.quoted(1),
        "'. Try XINFO HELP.",
    )
}

fn full_group(reply: &mut Reply<'_>, stream: &Stream, name: &[u8], group: &Group, shown: usize) {
    reply.map(7);
    reply.bulk(b"name");
    reply.bulk(name);
    reply.bulk(b"last-delivered-id");
    reply_id(reply, group.last_id);
    reply.bulk(b"entries-read");
    reply_count(reply, group.entries_read);
    reply.bulk(b"lag");
    reply_count(reply, stream.lag(group));
    reply.bulk(b"pel-count");
    reply.count(group.pending().len());
    reply.bulk(b"pending");
    reply.array(group.pending().len().min(shown));
    for (id, pending) in group.pending().iter().take(shown) {
        reply.array(4);
        reply_id(reply, *id);
        reply.bulk(&group.consumer(pending.consumer).name);
        reply.int(pending.delivered_ms as i64);
        reply.int(pending.deliveries as i64);
    }
    reply.bulk(b"consumers");
    reply.array(group.consumers().len());
    for consumer in group.consumers() {
        full_consumer(reply, group, consumer, shown);
    }
}

fn full_consumer(reply: &mut Reply<'_>, group: &Group, consumer: &Consumer, shown: usize) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(&consumer.name);
    reply.bulk(b"seen-time");
    reply.int(consumer.seen_ms as i64);
    reply.bulk(b"active-time");
    reply.int(consumer.active_ms.map_or(-1, |active_ms| active_ms as i64));
    reply.bulk(b"pel-count");
    reply.count(consumer.pending().len());
    reply.bulk(b"pending");
    reply.array(consumer.pending().len().min(shown));
    for id in consumer.pending().iter().take(shown) {
        let pending = group.pending().get(id);
        reply.array(3);
        reply_id(reply, *id);
        reply.int(pending.map_or(0, |pending| pending.delivered_ms as i64));
        reply.int(pending.map_or(0, |pending| pending.deliveries as i64));
    }
}

pub(super) fn groups(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let stream = stream_of(view, args)?;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"consumers");
        reply.count(group.consumers().len());
        reply.bulk(b"pending");
        reply.count(group.pending().len());
        reply.bulk(b"last-delivered-id");
        reply_id(reply, group.last_id);
        reply.bulk(b"entries-read");
        reply_count(reply, group.entries_read);
        reply.bulk(b"lag");
        reply_count(reply, stream.lag(group));
    }
    Ok(())
}

pub(super) fn consumers(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now_ms = view.clock_ms() as i64;
    let name = args.get(3);
    let group = stream_of(view, args)?.group(name).ok_or_else(|| no_group(name, args.key(2)))?;
    reply.array(group.consumers().len());
    for consumer in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(&consumer.name);
        reply.bulk(b"pending");
        reply.count(consumer.pending().len());
        reply.bulk(b"idle");
        reply.int((now_ms - consumer.seen_ms as i64).max(0));
        reply.bulk(b"inactive");
        reply.int(consumer.active_ms.map_or(-1, |active_ms| now_ms - active_ms as i64));
    }
    Ok(())
}

pub(super) fn help(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    const LINES: &[&str] = &[
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <group>",
        "    Tells of the consumers of a group.",
        "GROUPS <key>",
        "    Tells of the groups of a stream.",
        "STREAM <key> [FULL [COUNT <count>]]",
        "    Tells of a stream; with FULL of its entries, groups and consumers too.",
        "HELP",
        "    Shows these lines.",
    ];
    reply.array(LINES.len());
    LINES.iter().for_each(|line| reply.simple(line));
    Ok(())
}
