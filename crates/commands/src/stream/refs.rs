//! XDELEX and XACKDEL: entries are deleted with what groups have of them in mind.
//!
//! Both are journalled as the XDEL and the XACK that they come down to, which every Redis knows.

use rustredis_keyspace::types::stream::{Stream, StreamId};
use rustredis_keyspace::{EventClass, Key, View};
use rustredis_resp::Reply;

use super::id::{self, Text};
use crate::args::Args;
use crate::error::{CommandError, Outcome};
use crate::rewrite;

/// What becomes of what groups have pending of an entry that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum References {
    /// It stays pending.
    Kept,
    /// It is pending no more.
    Deleted,
    /// The entry is deleted only if every group was given it and has acknowledged it.
    Acknowledged,
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
        references = match () {
            () if args.is(at, "keepref") => References::Kept,
            () if args.is(at, "delref") => References::Deleted,
            () if args.is(at, "acked") => References::Acknowledged,
            () => return Err(CommandError::Syntax),
        };
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
struct Done {
    deleted: Vec<StreamId>,
    /// Groups, and what they have acknowledged.
    acknowledged: Vec<(Vec<u8>, StreamId)>,
}

impl Done {
    fn tell(self, view: &mut View<'_>, key: Key<'_>) {
        let Self { deleted, acknowledged } = self;
        let mut journal = Vec::new();
        for (group, id) in &acknowledged {
            journal.push(rewrite::words(&[b"XACK", key.bytes, group, Text::of(*id).bytes()]));
        }
        if !deleted.is_empty() {
            let mut words = rewrite::words(&[b"XDEL", key.bytes]);
            words.extend(deleted.iter().map(|id| Text::of(*id).bytes().to_vec()));
            journal.push(words);
        }
        let changes = deleted.len() + acknowledged.len();
        if changes == 0 {
            return;
        }
        if !deleted.is_empty() {
            view.changed(key, EventClass::STREAM, "xdel");
            view.add_dirty(changes as u64 - 1);
        } else {
            view.add_dirty(changes as u64);
        }
        view.journal_instead(journal);
    }
}

/// Deletes an entry as far as references allow; what is answered.
fn delete(stream: &mut Stream, id: StreamId, references: References, done: &mut Done) -> i64 {
    if stream.get(id).is_none() {
        return MISSING;
    }
    let is_referenced =
        stream.groups().any(|(_, group)| group.last_id < id || group.pending().contains_key(&id));
    if references == References::Acknowledged && is_referenced {
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
    let has = |(name, group): (&[u8], &rustredis_keyspace::types::stream::Group)| {
        group.pending().contains_key(&id).then(|| name.to_vec())
    };
    let names: Vec<Vec<u8>> = stream.groups().filter_map(has).collect();
    for name in names {
        if stream.group_mut(&name).is_some_and(|group| group.acknowledge(id).is_some()) {
            done.acknowledged.push((name, id));
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
        done.acknowledged.push((name.to_vec(), id));
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
