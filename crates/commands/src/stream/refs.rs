//! Entries are deleted with what groups have of them in mind: XDELEX and XACKDEL, and trimming with KEEPREF, DELREF and ACKED.
//!
//! All are journalled as the XDEL and the XACK that they come down to, which every Redis knows. Trimming that looks at references
//! goes entry by entry, also where it may be approximate, as in Redis since 8.6. What ACKED removes counts as deleted by XDEL, for
//! older entries may stay.

use std::collections::BTreeMap;

use rustredis_keyspace::types::stream::{Group, Keep, Stream, StreamId, Trim};
use rustredis_keyspace::{EventClass, Key, View};
use rustredis_resp::Reply;

use super::id::{self, Text};
use crate::args::Args;
use crate::error::{CommandError, Outcome};
use crate::rewrite;

/// What becomes of what groups have pending of an entry that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum References {
    /// It stays pending.
    Kept,
    /// It is pending no more.
    Deleted,
    /// The entry is deleted only if every group was given it and has acknowledged it.
    Acknowledged,
}

impl References {
    /// What an option says.
    pub(super) fn by_option(word: &[u8]) -> Option<Self> {
        Some(match word {
            _ if word.eq_ignore_ascii_case(b"KEEPREF") => Self::Kept,
            _ if word.eq_ignore_ascii_case(b"DELREF") => Self::Deleted,
            _ if word.eq_ignore_ascii_case(b"ACKED") => Self::Acknowledged,
            _ => return None,
        })
    }
}

/// There is no such entry.
const MISSING: i64 = -1;
/// It was deleted.
const DELETED: i64 = 1;
/// It was not, for a group has not done with it.
const REFERENCED: i64 = 2;

/// Reads `[KEEPREF | DELREF | ACKED] IDS numids id ...` from an argument on.
fn parse(args: Args<'_>, mut at: usize) -> Result<(References, Vec<StreamId>), CommandError> {
    let mut references = References::Kept;
    while at < args.len() && !args.is(at, "ids") {
        references = References::by_option(args.get(at)).ok_or(CommandError::Syntax)?;
        at += 1;
    }
    if at + 1 >= args.len() {
        return Err(CommandError::Syntax);
    }
    let count =
        args.int(at + 1).ok().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(CommandError::text("ERR Number of IDs must be a positive integer"))?;
    let ids = args.from(at + 2);
    if ids.len() != count {
        return Err(CommandError::text("ERR The `numids` parameter must match the number of arguments"));
    }
    let ids: Result<Vec<StreamId>, CommandError> = ids.map(|text| id::parse(text, 0)).collect();
    Ok((references, ids?))
}

/// What a command has done, to be told when it ends.
#[derive(Default)]
pub(super) struct Done {
    deleted: Vec<StreamId>,
    /// What groups have acknowledged.
    acknowledged: BTreeMap<Vec<u8>, Vec<StreamId>>,
}

impl Done {
    fn acknowledged(&mut self, group: &[u8], id: StreamId) {
        self.acknowledged.entry(group.to_vec()).or_default().push(id);
    }

    /// The commands that do the same.
    pub(super) fn words(&self, key: Key<'_>) -> Vec<Vec<Vec<u8>>> {
        let with_ids = |words: &[&[u8]], ids: &[StreamId]| {
            let mut words = rewrite::words(words);
            words.extend(ids.iter().map(|id| Text::of(*id).bytes().to_vec()));
            words
        };
        let groups = self.acknowledged.iter();
        let mut journal: Vec<_> =
            groups.map(|(group, ids)| with_ids(&[b"XACK", key.bytes, group], ids)).collect();
        if !self.deleted.is_empty() {
            journal.push(with_ids(&[b"XDEL", key.bytes], &self.deleted));
        }
        journal
    }

    fn tell(self, view: &mut View<'_>, key: Key<'_>) {
        let acknowledged: usize = self.acknowledged.values().map(Vec::len).sum();
        let changes = (self.deleted.len() + acknowledged) as u64;
        if changes == 0 {
            return;
        }
        if self.deleted.is_empty() {
            view.count_beside(key, changes);
        } else {
            view.changed(key, EventClass::STREAM, "xdel");
            view.add_dirty(changes - 1);
        }
        view.journal_instead(self.words(key));
    }
}

/// Trims a stream; how many entries went, and what that was but for trimming.
pub(super) fn trim(stream: &mut Stream, trim: Trim, references: References) -> (u64, Done) {
    let mut done = Done::default();
    if references == References::Kept || stream.groups().len() == 0 {
        return (stream.trim(trim), done);
    }
    let limit = if trim.limit == 0 { usize::MAX } else { usize::try_from(trim.limit).unwrap_or(usize::MAX) };
    let (excess, least) = match trim.keep {
        Keep::Newest(count) => (stream.len().saturating_sub(count), StreamId::MAX),
        Keep::From(id) => (u64::MAX, id),
    };
    let old = stream
        .range(StreamId::MIN..=StreamId::MAX)
        .take_while(|entry| entry.id < least || matches!(trim.keep, Keep::Newest(_)));
    let old = old.take(limit).map(|entry| entry.id);
    let excess = usize::try_from(excess).unwrap_or(usize::MAX);
    if references == References::Acknowledged {
        let read = stream.groups().map(|(_, group)| group.last_id).min().unwrap_or(StreamId::MAX);
        // What is behind that is still to be read by somebody.
        let old = old.take_while(|id| *id <= read).filter(|id| !is_referenced(stream, *id));
        done.deleted = old.take(excess).collect();
        for id in &done.deleted {
            stream.delete(*id);
            stream.note_deleted(*id);
        }
        return (done.deleted.len() as u64, done);
    }
    let Some(last) = old.take(excess).last() else { return (0, done) };
    let pending = |(name, group): (&[u8], &Group)| {
        let ids = group.pending().range(..=last).map(|(id, _)| *id);
        (name.to_vec(), ids.filter(|id| stream.get(*id).is_some()).collect::<Vec<_>>())
    };
    done.acknowledged = stream.groups().map(pending).filter(|(_, ids)| !ids.is_empty()).collect();
    for (name, ids) in &done.acknowledged {
        let Some(group) = stream.group_mut(name) else { continue };
        for id in ids {
            group.acknowledge(*id);
        }
    }
    let keep = last.next().map_or(Keep::Newest(0), Keep::From);
    (stream.trim(Trim { keep, is_approximate: false, limit: 0 }), done)
}

/// Whether a group has not done with an entry.
fn is_referenced(stream: &Stream, id: StreamId) -> bool {
    stream.groups().any(|(_, group)| group.last_id < id || group.pending().contains_key(&id))
}

/// Deletes an entry as far as references allow; what is answered.
fn delete(stream: &mut Stream, id: StreamId, references: References, done: &mut Done) -> i64 {
    if stream.get(id).is_none() {
        return MISSING;
    }
    if references == References::Acknowledged && is_referenced(stream, id) {
        return REFERENCED;
    }
    stream.delete(id);
    stream.note_deleted(id);
    done.deleted.push(id);
    if references == References::Deleted {
        forget(stream, id, done);
    }
    DELETED
}

/// An entry is pending nowhere any more.
fn forget(stream: &mut Stream, id: StreamId, done: &mut Done) {
    let has = |(name, group): (&[u8], &Group)| group.pending().contains_key(&id).then(|| name.to_vec());
    let names: Vec<Vec<u8>> = stream.groups().filter_map(has).collect();
    for name in names {
        if stream.group_mut(&name).is_some_and(|group| group.acknowledge(id).is_some()) {
            done.acknowledged(&name, id);
        }
    }
}

fn reply_all(reply: &mut Reply<'_>, answers: &[i64]) {
    reply.array(answers.len());
    answers.iter().for_each(|answer| reply.int(*answer));
}

pub(super) fn xdelex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (references, ids) = parse(args, 2)?;
    let key = args.key(1);
    let Some(stream) = view.collection_mut::<Stream>(key)? else {
        reply_all(reply, &vec![MISSING; ids.len()]);
        return Ok(());
    };
    let mut done = Done::default();
    let answers: Vec<i64> = ids.into_iter().map(|id| delete(stream, id, references, &mut done)).collect();
    reply_all(reply, &answers);
    done.tell(view, key);
    Ok(())
}

pub(super) fn xackdel(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (references, ids) = parse(args, 3)?;
    let (key, name) = (args.key(1), args.get(2));
    let stream = view.collection_mut::<Stream>(key)?.filter(|stream| stream.group(name).is_some());
    let Some(stream) = stream else {
        reply_all(reply, &vec![MISSING; ids.len()]);
        return Ok(());
    };
    let mut done = Done::default();
    let mut answers = Vec::with_capacity(ids.len());
    for id in ids {
        let was_pending = stream.group_mut(name).is_some_and(|group| group.acknowledge(id).is_some());
        if !was_pending {
            answers.push(MISSING);
            continue;
        }
        done.acknowledged(name, id);
        answers.push(match delete(stream, id, references, &mut done) {
            // It was pending, though its entry is gone.
            MISSING => DELETED,
            answer => answer,
        });
    }
    reply_all(reply, &answers);
    done.tell(view, key);
    Ok(())
}
