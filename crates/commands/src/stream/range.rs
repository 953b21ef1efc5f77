//! Entries of a range of IDs.

use rustredis_keyspace::View;
use rustredis_keyspace::types::stream::{Entry, Stream, StreamId};
use rustredis_resp::Reply;
use rustredis_resp::reply::Aggregate;

use super::id::{self, reply_id};
use crate::args::Args;
use crate::element;
use crate::error::{CommandError, Outcome};

pub(super) fn xrange(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, end) = (id::parse_start(args.get(2))?, id::parse_end(args.get(3))?);
    range(view, args, reply, start, end, false)
}

pub(super) fn xrevrange(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, end) = (id::parse_start(args.get(3))?, id::parse_end(args.get(2))?);
    range(view, args, reply, start, end, true)
}

fn range(
    view: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    start: StreamId,
    end: StreamId,
    is_backwards: bool,
) -> Outcome {
    let mut count = None;
    let mut at = 4;
    while at < args.len() {
        if !args.is(at, "count") || at + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        count = Some(usize::try_from(args.int(at + 1)?).unwrap_or(0));
        at += 2;
    }
    let Some(stream) = view.collection::<Stream>(args.key(1))? else {
        reply.array(0);
        return Ok(());
    };
    if count == Some(0) {
        reply.null_array();
        return Ok(());
    }
    let count = count.unwrap_or(usize::MAX);
    let entries = stream.range(start..=end);
    if is_backwards {
        reply_entries(reply, entries.rev().take(count), |_| ());
    } else {
        reply_entries(reply, entries.take(count), |_| ());
    }
    Ok(())
}

/// Answers with entries, and shows each ID to `see`; how many there were.
pub(super) fn reply_entries<'s>(
    reply: &mut Reply<'_>,
    entries: impl Iterator<Item = Entry<'s>>,
    mut see: impl FnMut(StreamId),
) -> usize {
    let mark = reply.mark();
    let mut count = 0;
    for entry in entries {
        see(entry.id);
        reply_entry(reply, entry);
        count += 1;
    }
    reply.close(mark, Aggregate::Array, count);
    count
}

/// Answers with an entry: its ID, and names and values in turn.
pub(super) fn reply_entry(reply: &mut Reply<'_>, entry: Entry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply.array(2 * entry.fields.len());
    for (name, value) in entry.fields {
        element::bulk(reply, name);
        element::bulk(reply, value);
    }
}
