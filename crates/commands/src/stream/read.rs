//! Reading what is behind an ID, now or as soon as it comes: for oneself, or as a consumer of a group.
//!
//! A waiting command is run again when something became of one of its keys, with that key as the only one that its plan names. What it
//! was told of the moment of asking (`$`) is written out for the wait.

use rustredis_keyspace::types::stream::{COUNT_MAX, ConsumerIndex, Group, Stream, StreamId};
use rustredis_keyspace::{BlockRequest, EventClass, Key, Kind, View, Wakes};
use rustredis_resp::reply::Aggregate;
use rustredis_resp::{Reply, number};

use super::group::set_id_words;
use super::id::{self, Text, reply_id};
use super::pending::{claim_words, journal_consumer};
use super::range::{reply_entries, reply_entry};
use crate::args::Args;
use crate::error::{CommandError, Outcome};

/// Behind which ID is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Id(StreamId),
    /// `$`: what comes after now.
    Now,
    /// `+`: the last entry there is, else what comes after now.
    Last,
    /// `>`: what nobody of the group was given.
    Undelivered,
}

/// A group and its consumer.
#[derive(Clone, Copy)]
struct As<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    /// Nothing is to become pending.
    needs_no_ack: bool,
}

/// What XREAD or XREADGROUP is told.
struct Options<'a> {
    count: usize,
    until_ms: Option<u64>,
    reader: Option<As<'a>>,
    /// The first key, and how many there are; as many IDs follow.
    first: usize,
    streams: usize,
}

const IS_GROUP_COMMAND: bool = true;

pub(super) fn xread(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(view, args, reply, !IS_GROUP_COMMAND)
}

pub(super) fn xreadgroup(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    read(view, args, reply, IS_GROUP_COMMAND)
}

fn parse<'a>(view: &View<'_>, args: Args<'a>, is_group: bool) -> Result<Options<'a>, CommandError> {
    let (mut count, mut until_ms, mut group, mut needs_no_ack) = (usize::MAX, None, None, false);
    let mut at = 1;
    let mut first = 0;
    while at < args.len() {
        let more = args.len() - 1 - at;
        if args.is(at, "block") && more > 0 {
            if view.is_in_script() {
                return Err(CommandError::quoting(
                    "ERR ",
                    args.get(0),
                    " command is not allowed with BLOCK option from scripts",
                ));
            }
            until_ms = Some(parse_block(args.get(at + 1), view.now_ms())?);
            at += 1;
        } else if args.is(at, "count") && more > 0 {
            count = usize::try_from(args.int(at + 1)?.max(0)).unwrap_or(usize::MAX);
            at += 1;
        } else if args.is(at, "streams") && more > 0 {
            first = at + 1;
            break;
        } else if args.is(at, "group") && more > 1 {
            if !is_group {
                return Err(CommandError::text(
                    "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                ));
            }
            group = Some((args.get(at + 1), args.get(at + 2)));
            at += 2;
        } else if args.is(at, "noack") {
            if !is_group {
                return Err(CommandError::text(
                    "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                ));
            }
            needs_no_ack = true;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    if first == 0 {
        return Err(CommandError::Syntax);
    }
    let rest = args.len() - first;
    if !rest.is_multiple_of(2) {
        return Err(CommandError::text(
            "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        ));
    }
    if is_group && group.is_none() {
        return Err(CommandError::text("ERR Missing GROUP option for XREADGROUP"));
    }
    // 0 is no limit.
    let count = if count == 0 { usize::MAX } else { count };
    let reader = group.map(|(group, consumer)| As { group, consumer, needs_no_ack });
    Ok(Options { count, until_ms, reader, first, streams: rest / 2 })
}

/// Until when to wait, in Unix ms; 0 for ever.
fn parse_block(text: &[u8], now_ms: u64) -> Result<u64, CommandError> {
    const NO_INTEGER: CommandError = CommandError::text("ERR timeout is not an integer or out of range");
    let timeout_ms = number::parse_i64(text).ok_or(NO_INTEGER)?;
    let timeout_ms = u64::try_from(timeout_ms).map_err(|_| CommandError::NegativeTimeout)?;
    if timeout_ms == 0 {
        return Ok(0);
    }
    let until_ms = now_ms.saturating_add(timeout_ms);
    if until_ms > i64::MAX as u64 { Err(CommandError::TimeoutOutOfRange) } else { Ok(until_ms) }
}

fn parse_after(text: &[u8], is_group: bool) -> Result<After, CommandError> {
    match text {
        b"$" if is_group => Err(CommandError::text(
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
        )),
        b"+" if is_group => Err(CommandError::text(
            "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.",
        )),
        b"$" => Ok(After::Now),
        b"+" => Ok(After::Last),
        b">" if is_group => Ok(After::Undelivered),
        b">" => Err(CommandError::text(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        text => id::parse(text, 0).map(After::Id),
    }
}

fn read(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>, is_group: bool) -> Outcome {
    let options = parse(view, args, is_group)?;
    let Options { count, until_ms, reader, first, streams } = options;
    let mut afters = Vec::with_capacity(streams);
    // What is waited with in the place of `$` and `+`.
    let mut written_out = Vec::new();
    for index in 0..streams {
        let text = args.get(first + streams + index);
        let key = args.key(first + index);
        if !is_planned(args, first + index) {
            afters.push(None);
            continue;
        }
        let stream = view.collection::<Stream>(key)?;
        if let Some(reader) = reader
            && stream.is_none_or(|stream| stream.group(reader.group).is_none())
        {
            return Err(no_key_or_group(key, reader.group, "' in XREADGROUP with GROUP option"));
        }
        let after = parse_after(text, is_group)?;
        let last_id = stream.map_or(StreamId::MIN, |stream| stream.marks().last_id);
        if matches!(after, After::Now | After::Last) {
            written_out.push((first + streams + index, last_id));
        }
        afters.push(Some(match after {
            After::Now => After::Id(last_id),
            After::Last => match stream.and_then(Stream::last_entry).and_then(|entry| entry.id.prev()) {
                Some(before) => After::Id(before),
                None => After::Id(last_id),
            },
            after => after,
        }));
    }
    let mark = reply.mark();
    let mut served = 0;
    let mut journal = Vec::new();
    for (index, after) in afters.into_iter().enumerate() {
        let Some(after) = after else { continue };
        let key = args.key(first + index);
        let is_served = match reader {
            None => read_plain(view, reply, key, after, count)?,
            Some(reader) => read_as(view, reply, key, after, count, reader, &mut journal)?,
        };
        served += usize::from(is_served);
    }
    if !journal.is_empty() {
        view.journal_instead(journal);
    }
    if served > 0 {
        if reply.is_resp3() {
            reply.close(mark, Aggregate::Map, served);
        } else {
            reply.close(mark, Aggregate::Array, served);
        }
        return Ok(());
    }
    let Some(until_ms) = until_ms else {
        reply.null_array();
        return Ok(());
    };
    let mut wakes_on = Wakes::CREATED.with(Wakes::WRITTEN);
    if is_group {
        wakes_on = wakes_on.with(Wakes::DELETED);
    }
    let instead = (!written_out.is_empty()).then(|| {
        let mut parts = args.to_vec();
        for (at, id) in written_out {
            parts[at] = Text::of(id).bytes().to_vec();
        }
        parts
    });
    view.block(BlockRequest { wakes_on, instead, ..BlockRequest::new(until_ms, Kind::Stream) });
    Ok(())
}

/// Whether an argument is one of the keys of the plan: who waited is served with one of his keys.
fn is_planned(args: Args<'_>, index: usize) -> bool {
    args.key_refs().iter().any(|key| key.argument as usize == index)
}

pub(super) fn no_key_or_group(key: Key<'_>, group: &[u8], after: &str) -> CommandError {
    let text =
        [b"NOGROUP No such key '", key.bytes, b"' or consumer group '", group, after.as_bytes()].concat();
    CommandError::Other(text.into())
}

/// The name of a stream in front of its entries: of two in an array, or in a map.
fn reply_name(reply: &mut Reply<'_>, key: Key<'_>) {
    if !reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(key.bytes);
}

/// The range behind an ID, if there is an entry in it.
fn start_behind(stream: &Stream, after: StreamId) -> Option<StreamId> {
    let last = stream.last_entry()?;
    if last.id > after { after.next() } else { None }
}

fn read_plain(
    view: &View<'_>,
    reply: &mut Reply<'_>,
    key: Key<'_>,
    after: After,
    count: usize,
) -> Result<bool, CommandError> {
    let (Some(entry), After::Id(after)) = (view.peek(key), after) else { return Ok(false) };
    let stream = entry.collection::<Stream>().ok_or(CommandError::WrongType)?;
    let Some(start) = start_behind(stream, after) else { return Ok(false) };
    reply_name(reply, key);
    reply_entries(reply, stream.range(start..=StreamId::MAX).take(count), |_| ());
    Ok(true)
}

/// Reads as a consumer, who is made if he is not there.
fn read_as(
    view: &mut View<'_>,
    reply: &mut Reply<'_>,
    key: Key<'_>,
    after: After,
    count: usize,
    reader: As<'_>,
    journal: &mut Vec<Vec<Vec<u8>>>,
) -> Result<bool, CommandError> {
    let As { group: name, consumer, needs_no_ack } = reader;
    let now_ms = view.clock_ms();
    let Some(stream) = view.collection_mut::<Stream>(key)? else { return Ok(false) };
    let Some(group) = stream.group_mut(name) else { return Ok(false) };
    let found = group.find(consumer);
    let consumer_index = found.unwrap_or_else(|| group.create(consumer, now_ms));
    group.consumer_mut(consumer_index).seen_ms = now_ms;
    // What is delivered makes the consumer where it is replayed.
    let mut is_made_by_claims = false;
    let is_served = match after {
        After::Id(after) => {
            reply_name(reply, key);
            read_history(stream, reply, name, consumer_index, after, count, now_ms);
            true
        }
        _ => {
            let last_id = group.last_id;
            match start_behind(stream, last_id) {
                None => false,
                Some(start) => {
                    reply_name(reply, key);
                    let mut delivered = Vec::new();
                    let entries = stream.range(start..=StreamId::MAX).take(count);
                    reply_entries(reply, entries, |id| delivered.push(id));
                    deliver(stream, key, name, consumer_index, &delivered, now_ms, needs_no_ack, journal);
                    is_made_by_claims = !needs_no_ack && !delivered.is_empty();
                    true
                }
            }
        }
    };
    if found.is_none() {
        if !is_made_by_claims {
            journal_consumer(journal, key, name, consumer);
        }
        view.changed_beside(key, EventClass::STREAM, "xgroup-createconsumer");
    }
    if is_served && after == After::Undelivered {
        view.count_beside(key, 1);
    }
    Ok(is_served)
}

/// Answers with what a consumer has pending behind an ID, which counts as another delivery.
fn read_history(
    stream: &mut Stream,
    reply: &mut Reply<'_>,
    name: &[u8],
    consumer: ConsumerIndex,
    after: StreamId,
    count: usize,
    now_ms: u64,
) {
    let Some(group) = stream.group(name) else { return };
    let start = after.next();
    let pending = group.consumer(consumer).pending();
    let ids: Vec<StreamId> =
        start.map(|start| pending.range(start..).take(count).copied().collect()).unwrap_or_default();
    reply.array(ids.len());
    let mut again = Vec::new();
    for id in ids {
        match stream.get(id) {
            Some(entry) => {
                again.push(id);
                reply_entry(reply, entry);
            }
            None => {
                reply.array(2);
                reply_id(reply, id);
                reply.null_array();
            }
        }
    }
    let Some(group) = stream.group_mut(name) else { return };
    for id in again {
        let deliveries = group.pending().get(&id).map_or(1, |pending| pending.deliveries.wrapping_add(1));
        group.assign(id, consumer, now_ms, deliveries);
    }
}

/// Takes note that entries were delivered, which are in ascending order and behind the group's last ID.
#[allow(clippy::too_many_arguments, reason = "what is lent by the caller is borrowed apart")]
fn deliver(
    stream: &mut Stream,
    key: Key<'_>,
    name: &[u8],
    consumer: ConsumerIndex,
    ids: &[StreamId],
    now_ms: u64,
    needs_no_ack: bool,
    journal: &mut Vec<Vec<Vec<u8>>>,
) {
    let (Some(mut entries_read), Some(last_id)) =
        (stream.group(name).map(|group| group.entries_read), ids.last().copied())
    else {
        return;
    };
    let has_entries = stream.marks().entries_added > 0;
    for id in ids {
        entries_read = match entries_read {
            Some(read) if !stream.has_tombstone(*id..=StreamId::MAX) => Some((read + 1).min(COUNT_MAX)),
            _ if has_entries => stream.entries_up_to(*id),
            read => read,
        };
    }
    let Some(group) = stream.group_mut(name) else { return };
    group.last_id = last_id;
    group.entries_read = entries_read;
    if needs_no_ack {
        journal.push(set_id_words(key, name, group));
        return;
    }
    group.consumer_mut(consumer).active_ms = Some(now_ms);
    for id in ids {
        group.assign(*id, consumer, now_ms, 1);
    }
    journal_delivered(group, key, name, consumer, ids, journal);
}

fn journal_delivered(
    group: &Group,
    key: Key<'_>,
    name: &[u8],
    consumer: ConsumerIndex,
    ids: &[StreamId],
    journal: &mut Vec<Vec<Vec<u8>>>,
) {
    let consumer = &group.consumer(consumer).name;
    for id in ids {
        if let Some(pending) = group.pending().get(id) {
            journal.push(claim_words(key, name, consumer, *id, *pending, group.last_id));
        }
    }
    // The claims say the last ID and not how many were read up to it.
    journal.push(set_id_words(key, name, group));
}

/// The error of a group that is not there.
pub(super) fn group_of<'s>(
    stream: Option<&'s mut Stream>,
    key: Key<'_>,
    name: &[u8],
) -> Result<&'s mut Stream, CommandError> {
    match stream {
        Some(stream) if stream.group(name).is_some() => Ok(stream),
        _ => Err(no_key_or_group(key, name, "'")),
    }
}
