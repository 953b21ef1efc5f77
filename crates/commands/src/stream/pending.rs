//! What was delivered and not acknowledged: looked at, and given to another consumer.

use std::ops::Bound;

use rustredis_keyspace::types::stream::{ConsumerIndex, Group, Pending, Stream, StreamId};
use rustredis_keyspace::{EventClass, Key, View};
use rustredis_resp::reply::Aggregate;
use rustredis_resp::{Reply, number};

use super::group::set_id_words;
use super::id::{self, Text, reply_id};
use super::range::reply_entry;
use super::read::{group_of, no_key_or_group};
use crate::args::Args;
use crate::error::{CommandError, Outcome};
use crate::rewrite;

/// How many pending entries XAUTOCLAIM looks at for each that it is to claim.
const LOOKS_FOR_EACH: usize = 10;

/// The command that makes an entry pending as it is now.
pub(super) fn claim_words(
    key: Key<'_>,
    group: &[u8],
    consumer: &[u8],
    id: StreamId,
    pending: Pending,
    last_id: StreamId,
) -> Vec<Vec<u8>> {
    let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    rewrite::words(&[
        b"XCLAIM",
        key.bytes,
        group,
        consumer,
        b"0",
        Text::of(id).bytes(),
        b"TIME",
        time.format(pending.delivered_ms).as_bytes(),
        b"RETRYCOUNT",
        count.format(pending.deliveries).as_bytes(),
        b"FORCE",
        b"JUSTID",
        b"LASTID",
        Text::of(last_id).bytes(),
    ])
}

/// A group that is only looked at.
fn group_to_read<'v>(view: &'v View<'_>, key: Key<'_>, name: &[u8]) -> Result<&'v Group, CommandError> {
    let stream = view.collection::<Stream>(key)?;
    stream.and_then(|stream| stream.group(name)).ok_or_else(|| no_key_or_group(key, name, "'"))
}

pub(super) fn xpending(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() == 3 {
        return summary(view, args, reply);
    }
    if !(6..=9).contains(&args.len()) {
        return Err(CommandError::Syntax);
    }
    let (mut at, mut idle_min_ms) = (3, 0);
    if args.is(3, "idle") {
        idle_min_ms = args.int(4)?;
        if args.len() < 8 {
            return Err(CommandError::Syntax);
        }
        at = 5;
    }
    let count = usize::try_from(args.int(at + 2)?).unwrap_or(0);
    let (start, end) = (id::parse_start(args.get(at))?, id::parse_end(args.get(at + 1))?);
    let group = group_to_read(view, args.key(1), args.get(2))?;
    let consumer = match args.try_get(at + 3).map(|name| group.find(name)) {
        // There is no such consumer.
        Some(None) => {
            reply.array(0);
            return Ok(());
        }
        found => found.flatten(),
    };
    let now_ms = view.clock_ms();
    let idle_ms = |pending: &Pending| now_ms as i64 - pending.delivered_ms as i64;
    let found: Vec<(StreamId, Pending)> = pending_of(group, consumer, start, end)
        .filter(|(_, pending)| idle_min_ms == 0 || idle_ms(pending) >= idle_min_ms)
        .take(count)
        .collect();
    reply.array(found.len());
    for (id, pending) in found {
        reply.array(4);
        reply_id(reply, id);
        reply.bulk(&group.consumer(pending.consumer).name);
        reply.int(idle_ms(&pending).max(0));
        reply.int(pending.deliveries as i64);
    }
    Ok(())
}

/// What a group, or one consumer of it, has pending in a range.
fn pending_of(
    group: &Group,
    consumer: Option<ConsumerIndex>,
    start: StreamId,
    end: StreamId,
) -> Box<dyn Iterator<Item = (StreamId, Pending)> + '_> {
    if start > end {
        return Box::new(std::iter::empty());
    }
    match consumer {
        None => Box::new(group.pending().range(start..=end).map(|(id, pending)| (*id, *pending))),
        Some(consumer) => Box::new(
            group
                .consumer(consumer)
                .pending()
                .range(start..=end)
                .filter_map(|id| group.pending().get(id).map(|pending| (*id, *pending))),
        ),
    }
}

/// How much is pending, from which ID to which, and how much each consumer has.
fn summary(view: &View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let group = group_to_read(view, args.key(1), args.get(2))?;
    let pending = group.pending();
    reply.array(4);
    reply.count(pending.len());
    let (Some((first, _)), Some((last, _))) = (pending.first_key_value(), pending.last_key_value()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return Ok(());
    };
    reply_id(reply, *first);
    reply_id(reply, *last);
    let with_pending = || group.consumers().filter(|consumer| !consumer.pending().is_empty());
    reply.array(with_pending().count());
    for consumer in with_pending() {
        reply.array(2);
        reply.bulk(&consumer.name);
        reply.bulk_int(consumer.pending().len() as i64);
    }
    Ok(())
}

/// A number of milliseconds of a claim, negative ones as 0.
fn parse_millis(text: &[u8], error: &'static str) -> Result<u64, CommandError> {
    let number = number::parse_i64(text).ok_or(CommandError::text(error))?;
    Ok(u64::try_from(number).unwrap_or(0))
}

/// The options of XCLAIM.
struct Claim {
    delivered_ms: u64,
    deliveries: Option<u64>,
    makes_pending: bool,
    only_ids: bool,
    last_id: StreamId,
}

/// Reads the options of XCLAIM from an argument on.
fn parse_claim(args: Args<'_>, mut at: usize, now_ms: u64) -> Result<Claim, CommandError> {
    let mut claim = Claim {
        delivered_ms: now_ms,
        deliveries: None,
        makes_pending: false,
        only_ids: false,
        last_id: StreamId::MIN,
    };
    let integer =
        |at: usize, error: &'static str| number::parse_i64(args.get(at)).ok_or(CommandError::text(error));
    while at < args.len() {
        let has_more = at + 1 < args.len();
        if args.is(at, "force") {
            claim.makes_pending = true;
        } else if args.is(at, "justid") {
            claim.only_ids = true;
        } else if args.is(at, "idle") && has_more {
            at += 1;
            let idle_ms = integer(at, "ERR Invalid IDLE option argument for XCLAIM")?;
            claim.delivered_ms = in_the_past((now_ms as i64).wrapping_sub(idle_ms), now_ms);
        } else if args.is(at, "time") && has_more {
            at += 1;
            let time_ms = integer(at, "ERR Invalid TIME option argument for XCLAIM")?;
            claim.delivered_ms = in_the_past(time_ms, now_ms);
        } else if args.is(at, "retrycount") && has_more {
            at += 1;
            let count = integer(at, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
            claim.deliveries = u64::try_from(count).ok();
        } else if args.is(at, "lastid") && has_more {
            at += 1;
            claim.last_id = id::parse(args.get(at), 0)?;
        } else {
            return Err(CommandError::quoting("ERR Unrecognized XCLAIM option '", args.get(at), "'"));
        }
        at += 1;
    }
    Ok(claim)
}

/// A time of a delivery: now, where it would be in the future, or before there was any.
fn in_the_past(time_ms: i64, now_ms: u64) -> u64 {
    // Where nothing is overdue, for what ran is repeated, it is as it was written.
    u64::try_from(time_ms).ok().filter(|time_ms| *time_ms <= now_ms).unwrap_or(now_ms)
}

/// What a claim has done so far.
struct Claiming<'a> {
    key: Key<'a>,
    group: &'a [u8],
    name: &'a [u8],
    consumer: ConsumerIndex,
    /// Whether the consumer was made for it.
    is_new: bool,
    now_ms: u64,
    only_ids: bool,
    journal: Vec<Vec<Vec<u8>>>,
    /// Whether it was given something, which makes it where that is replayed.
    has_taken: bool,
    changes: u64,
}

impl<'a> Claiming<'a> {
    /// Begins a claim for the consumer that a command names in its fourth argument, who is made if he is not there.
    fn begin(group: &mut Group, args: Args<'a>, now_ms: u64, only_ids: bool) -> Self {
        let name = args.get(3);
        let found = group.find(name);
        let consumer = found.unwrap_or_else(|| group.create(name, now_ms));
        group.consumer_mut(consumer).seen_ms = now_ms;
        Self {
            key: args.key(1),
            group: args.get(2),
            name,
            consumer,
            is_new: found.is_none(),
            now_ms,
            only_ids,
            journal: Vec::new(),
            has_taken: false,
            changes: 0,
        }
    }

    /// Forgets a pending entry whose entry of the stream is gone.
    fn forget(&mut self, group: &mut Group, id: StreamId) {
        if group.acknowledge(id).is_some() {
            self.journal.push(rewrite::words(&[b"XACK", self.key.bytes, self.group, Text::of(id).bytes()]));
            self.changes += 1;
        }
    }

    /// Gives an entry to the consumer, and answers with it.
    fn take(
        &mut self,
        stream: &mut Stream,
        reply: &mut Reply<'_>,
        id: StreamId,
        delivered_ms: u64,
        deliveries: u64,
    ) {
        if let Some(entry) = stream.get(id) {
            if self.only_ids { reply_id(reply, id) } else { reply_entry(reply, entry) }
        }
        let Some(group) = stream.group_mut(self.group) else { return };
        group.assign(id, self.consumer, delivered_ms, deliveries);
        group.consumer_mut(self.consumer).active_ms = Some(self.now_ms);
        let pending = Pending { consumer: self.consumer, delivered_ms, deliveries };
        self.journal.push(claim_words(self.key, self.group, self.name, id, pending, group.last_id));
        self.has_taken = true;
        self.changes += 1;
    }

    /// Tells the view what was done.
    fn tell(mut self, view: &mut View<'_>) {
        if self.is_new {
            if !self.has_taken {
                journal_consumer(&mut self.journal, self.key, self.group, self.name);
            }
            view.changed_beside(self.key, EventClass::STREAM, "xgroup-createconsumer");
        }
        if self.changes > 0 {
            view.count_beside(self.key, self.changes);
        }
        if !self.journal.is_empty() {
            view.journal_instead(self.journal);
        }
    }
}

/// Journals that a consumer was made, in front of what follows; who is given something is made by that.
pub(super) fn journal_consumer(journal: &mut Vec<Vec<Vec<u8>>>, key: Key<'_>, group: &[u8], consumer: &[u8]) {
    let words: [&[u8]; 5] = [b"XGROUP", b"CREATECONSUMER", key.bytes, group, consumer];
    journal.insert(0, rewrite::words(&words));
}

pub(super) fn xclaim(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, group_name, now_ms) = (args.key(1), args.get(2), view.clock_ms());
    group_of(view.collection_mut::<Stream>(key)?, key, group_name)?;
    let idle_min_ms = parse_millis(args.get(4), "ERR Invalid min-idle-time argument for XCLAIM")?;
    let ids: Vec<StreamId> = args.from(5).map_while(|text| id::parse(text, 0).ok()).collect();
    let claim = parse_claim(args, 5 + ids.len(), now_ms)?;
    let stream = group_of(view.collection_mut::<Stream>(key)?, key, group_name)?;
    let Some(group) = stream.group_mut(group_name) else { return Ok(()) };
    let moves_last_id = claim.last_id > group.last_id;
    group.last_id = group.last_id.max(claim.last_id);
    let only_ids = claim.only_ids;
    let mut claiming = Claiming::begin(group, args, now_ms, only_ids);
    let mark = reply.mark();
    let mut claimed = 0;
    for id in ids {
        let is_there = stream.get(id).is_some();
        let Some(group) = stream.group_mut(group_name) else { break };
        let pending = group.pending().get(&id).copied();
        if !is_there {
            claiming.forget(group, id);
            continue;
        }
        let before = match pending {
            None if !claim.makes_pending => continue,
            // It counts as delivered once before.
            None => 1,
            Some(pending) => {
                if now_ms.saturating_sub(pending.delivered_ms) < idle_min_ms {
                    continue;
                }
                pending.deliveries
            }
        };
        let deliveries = match claim.deliveries {
            Some(deliveries) => deliveries,
            None => before.wrapping_add(u64::from(!only_ids)),
        };
        claiming.take(stream, reply, id, claim.delivered_ms, deliveries);
        claimed += 1;
    }
    reply.close(mark, Aggregate::Array, claimed);
    if moves_last_id && claiming.journal.is_empty() {
        if let Some(group) = stream.group(group_name) {
            claiming.journal.push(set_id_words(key, group_name, group));
        }
        claiming.changes += 1;
    }
    claiming.tell(view);
    Ok(())
}

pub(super) fn xautoclaim(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let idle_min_ms = parse_millis(args.get(4), "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let start = id::parse_start(args.get(5))?;
    let (mut count, mut only_ids) = (100, false);
    let mut at = 6;
    while at < args.len() {
        if args.is(at, "count") && at + 1 < args.len() {
            at += 1;
            let most = i64::MAX / 16;
            let number = args.int(at).ok().filter(|number| (1..=most).contains(number));
            count = number.ok_or(CommandError::text("ERR COUNT must be > 0"))? as usize;
        } else if args.is(at, "justid") {
            only_ids = true;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    let (key, group_name, now_ms) = (args.key(1), args.get(2), view.clock_ms());
    let stream = group_of(view.collection_mut::<Stream>(key)?, key, group_name)?;
    let Some(group) = stream.group_mut(group_name) else { return Ok(()) };
    let mut claiming = Claiming::begin(group, args, now_ms, only_ids);
    reply.array(3);
    let mark = reply.mark();
    let (mut claimed, mut looks, mut gone) = (0, count.saturating_mul(LOOKS_FOR_EACH), Vec::new());
    let mut from = Bound::Included(start);
    while looks > 0 && count > 0 {
        let Some(group) = stream.group(group_name) else { break };
        let next = group.pending().range((from, Bound::Unbounded)).next();
        let Some((id, pending)) = next.map(|(id, pending)| (*id, *pending)) else { break };
        looks -= 1;
        from = Bound::Excluded(id);
        if stream.get(id).is_none() {
            let Some(group) = stream.group_mut(group_name) else { break };
            claiming.forget(group, id);
            gone.push(id);
            count -= 1;
        } else if now_ms.saturating_sub(pending.delivered_ms) >= idle_min_ms {
            let deliveries = pending.deliveries.wrapping_add(u64::from(!only_ids));
            claiming.take(stream, reply, id, now_ms, deliveries);
            claimed += 1;
            count -= 1;
        }
    }
    // The ID to go on with stands in front of what was claimed, which is written already.
    reply.close(mark, Aggregate::Array, claimed);
    let group = stream.group(group_name);
    let next = group.and_then(|group| group.pending().range((from, Bound::Unbounded)).next());
    let claimed = reply.since(mark).to_vec();
    reply.cut(mark);
    reply_id(reply, next.map_or(StreamId::MIN, |(id, _)| *id));
    reply.raw(&claimed);
    reply.array(gone.len());
    gone.into_iter().for_each(|id| reply_id(reply, id));
    claiming.tell(view);
    Ok(())
}
