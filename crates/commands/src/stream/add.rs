//! Adding and removing entries.

use rustredis_keyspace::limits::LIMITS;
use rustredis_keyspace::types::stream::{Keep, NODE_BYTES_MAX, Stream, StreamId, Trim};
use rustredis_keyspace::{EventClass, View};
use rustredis_resp::{Reply, number};

use super::id::{self, NewId, Text, reply_id};
use super::refs::{self, Done, References};
use crate::args::Args;
use crate::error::{CommandError, Outcome};
use crate::rewrite;

/// Whose options are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Xadd,
    Xtrim,
}

/// The options of XADD and XTRIM.
struct Options {
    trim: Option<Trim>,
    /// What becomes of references to what is trimmed, if that is said.
    references: Option<References>,
    makes_no_stream: bool,
    /// The argument that is XADD's ID.
    id: Option<usize>,
}

/// Reads them.
///
/// # Errors
/// Redis's texts.
fn parse(view: &View<'_>, args: Args<'_>, whose: For) -> Result<Options, CommandError> {
    let mut keep = None;
    let (mut is_approximate, mut limit, mut makes_no_stream, mut id) = (false, None, false, None);
    let mut references = None;
    let mut at = 2;
    while at < args.len() {
        let has_more = at + 1 < args.len();
        let names_what_to_keep = has_more && (args.is(at, "maxlen") || args.is(at, "minid"));
        if whose == For::Xadd && args.get(at) == b"*" {
            id = Some(at);
            break;
        } else if names_what_to_keep {
            if keep.is_some() {
                return Err(CommandError::text(
                    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                ));
            }
            let is_count = args.is(at, "maxlen");
            at += 1;
            is_approximate = false;
            if at + 1 < args.len() && matches!(args.get(at), b"~" | b"=") {
                is_approximate = args.get(at) == b"~";
                at += 1;
            }
            keep = Some(if is_count {
                let count = u64::try_from(args.int(at)?);
                Keep::Newest(count.map_err(|_| CommandError::text("ERR The MAXLEN argument must be >= 0."))?)
            } else {
                Keep::From(id::parse(args.get(at), 0)?)
            });
        } else if has_more && args.is(at, "limit") {
            at += 1;
            let count = u64::try_from(args.int(at)?);
            limit = Some(count.map_err(|_| CommandError::text("ERR The LIMIT argument must be >= 0."))?);
        } else if whose == For::Xadd && args.is(at, "nomkstream") {
            makes_no_stream = true;
        } else if let (None, Some(said)) = (references, References::by_option(args.get(at))) {
            references = Some(said);
        } else if whose == For::Xadd {
            id::parse_new(args.get(at))?;
            id = Some(at);
            break;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    let Some(keep) = keep else {
        if limit.is_some_and(|limit| limit > 0) {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if whose == For::Xtrim {
            return Err(CommandError::text(
                "ERR syntax error, XTRIM must be called with a trimming strategy",
            ));
        }
        return Ok(Options { trim: None, references, makes_no_stream, id });
    };
    // What was limited when it ran is written out in what is repeated.
    let limit = match limit {
        _ if view.is_repeated() => 0,
        Some(_) if !is_approximate => {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        Some(limit) => limit,
        None if is_approximate => match LIMITS.stream_node_max_entries() {
            0 => 10_000,
            entries => entries.saturating_mul(100),
        },
        None => 0,
    };
    Ok(Options { trim: Some(Trim { keep, is_approximate, limit }), references, makes_no_stream, id })
}

pub(super) fn xadd(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Options { trim, references, makes_no_stream, id: at } = parse(view, args, For::Xadd)?;
    let arity = || CommandError::Arity("xadd".to_owned());
    let at = at.ok_or_else(arity)?;
    let words = args.len() - at - 1;
    if words < 2 || words % 2 == 1 {
        return Err(arity());
    }
    let wanted = if args.get(at) == b"*" { NewId::Any } else { id::parse_new(args.get(at))? };
    if wanted == NewId::Exactly(StreamId::MIN) {
        return Err(CommandError::text("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = args.key(1);
    let now_ms = view.clock_ms();
    let last_id = match view.collection_mut::<Stream>(key)? {
        Some(stream) => stream.marks().last_id,
        None if makes_no_stream => {
            reply.null();
            return Ok(());
        }
        None => StreamId::MIN,
    };
    if last_id == StreamId::MAX {
        return Err(CommandError::text(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let id = choose_id(wanted, last_id, now_ms).filter(|id| *id > last_id).ok_or(CommandError::text(
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    ))?;
    if args.from(at + 1).map(<[u8]>::len).sum::<usize>() >= NODE_BYTES_MAX {
        return Err(CommandError::text("ERR Elements are too large to be stored"));
    }
    let pairs = (0..words / 2).map(|pair| (args.get(at + 1 + 2 * pair), args.get(at + 2 + 2 * pair)));
    let stream = view.collection_or_new::<Stream>(key)?;
    stream.append(id, pairs);
    let (removed, done) = trim_by(stream, trim, references);
    let kept = kept_by(stream, trim, references);
    reply_id(reply, id);
    view.changed(key, EventClass::STREAM, "xadd");
    if removed > 0 {
        view.notify(EventClass::STREAM, "xtrim", key.bytes);
    }
    let is_as_it_came = matches!(wanted, NewId::Exactly(_))
        && references.is_none()
        && !trim.is_some_and(|trim| trim.is_approximate);
    if !is_as_it_came {
        let id = Text::of(id);
        let mut parts: Vec<&[u8]> = vec![b"XADD", key.bytes];
        if let Some((name, kept)) = &kept {
            parts.extend([name.as_bytes(), b"=", kept]);
        }
        parts.push(id.bytes());
        parts.extend(args.from(at + 1));
        let mut journal = vec![rewrite::words(&parts)];
        journal.extend(done.words(key));
        view.journal_instead(journal);
    }
    Ok(())
}

/// The ID of a new entry; `None` if there is none of that time.
fn choose_id(wanted: NewId, last: StreamId, now_ms: u64) -> Option<StreamId> {
    match wanted {
        NewId::Exactly(id) => Some(id),
        NewId::Of(ms) if ms == last.ms => last.seq.checked_add(1).map(|seq| StreamId::new(ms, seq)),
        NewId::Of(ms) => Some(StreamId::new(ms, 0)),
        NewId::Any if now_ms > last.ms => Some(StreamId::new(now_ms, 0)),
        NewId::Any => last.next(),
    }
}

/// Trims, if there is to be trimming; how many entries went, and what that was but for trimming.
fn trim_by(stream: &mut Stream, trim: Option<Trim>, references: Option<References>) -> (u64, Done) {
    trim.map_or_else(Default::default, |trim| {
        refs::trim(stream, trim, references.unwrap_or(References::Kept))
    })
}

/// What was kept, as the words that keep the same when they are repeated. What ACKED has removed is named instead.
fn kept_by(
    stream: &Stream,
    trim: Option<Trim>,
    references: Option<References>,
) -> Option<(&'static str, Vec<u8>)> {
    let Trim { keep, is_approximate, .. } = trim?;
    // These go as far as a limit lets them, or stay for a group's sake.
    let is_approximate = match references {
        Some(References::Acknowledged) if stream.groups().len() > 0 => return None,
        Some(_) => true,
        None => is_approximate,
    };
    Some(match keep {
        Keep::Newest(count) => {
            let count = if is_approximate { stream.len() } else { count };
            ("MAXLEN", count.to_string().into_bytes())
        }
        Keep::From(id) => {
            let first = stream.first_entry().map_or(StreamId::MAX, |entry| entry.id);
            ("MINID", Text::of(if is_approximate { first } else { id }).bytes().to_vec())
        }
    })
}

pub(super) fn xtrim(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Options { trim, references, .. } = parse(view, args, For::Xtrim)?;
    let key = args.key(1);
    let Some(stream) = view.collection_mut::<Stream>(key)? else {
        reply.int(0);
        return Ok(());
    };
    let (removed, done) = trim_by(stream, trim, references);
    let is_as_it_came = references.is_none() && !trim.is_some_and(|trim| trim.is_approximate);
    let kept = kept_by(stream, trim, references);
    reply.count(removed as usize);
    if removed > 0 {
        view.changed(key, EventClass::STREAM, "xtrim");
        view.add_dirty(removed - 1);
        if !is_as_it_came {
            let kept =
                kept.map(|(name, kept)| rewrite::words(&[b"XTRIM", key.bytes, name.as_bytes(), b"=", &kept]));
            view.journal_instead(kept.into_iter().chain(done.words(key)).collect());
        }
    }
    Ok(())
}

pub(super) fn xdel(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let Some(stream) = view.collection_mut::<Stream>(key)? else {
        reply.int(0);
        return Ok(());
    };
    // All are looked at before the first goes.
    args.from(2).try_for_each(|text| id::parse(text, 0).map(|_| ()))?;
    let mut removed = 0;
    for text in args.from(2) {
        let id = id::parse(text, 0)?;
        if stream.delete(id) {
            stream.note_deleted(id);
            removed += 1;
        }
    }
    reply.count(removed as usize);
    if removed > 0 {
        view.changed(key, EventClass::STREAM, "xdel");
        view.add_dirty(removed - 1);
    }
    Ok(())
}

pub(super) fn xlen(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let length = view.collection::<Stream>(args.key(1))?.map_or(0, Stream::len);
    reply.count(length as usize);
    Ok(())
}

pub(super) fn xsetid(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let last_id = id::parse(args.get(2), 0)?;
    let (mut entries_added, mut max_deleted_id) = (None, StreamId::MIN);
    let mut at = 3;
    while at < args.len() {
        let has_more = at + 1 < args.len();
        if has_more && args.is(at, "entriesadded") {
            let count = number::parse_i64(args.get(at + 1)).ok_or(CommandError::NotInteger)?;
            let count = u64::try_from(count);
            entries_added =
                Some(count.map_err(|_| CommandError::text("ERR entries_added must be positive"))?);
        } else if has_more && args.is(at, "maxdeletedid") {
            max_deleted_id = id::parse(args.get(at + 1), 0)?;
            if last_id < max_deleted_id {
                return Err(CommandError::text(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    let key = args.key(1);
    let stream = view.collection_mut::<Stream>(key)?.ok_or(CommandError::NoSuchKey)?;
    let marks = stream.marks();
    if last_id < marks.max_deleted_id {
        return Err(CommandError::text(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if let Some(last) = stream.last_entry() {
        if last_id < last.id {
            return Err(CommandError::text(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if entries_added.is_some_and(|added| added < stream.len()) {
            return Err(CommandError::text(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    let max_deleted_id = if max_deleted_id == StreamId::MIN { marks.max_deleted_id } else { max_deleted_id };
    stream.set_marks(last_id, entries_added.unwrap_or(marks.entries_added), max_deleted_id);
    reply.ok();
    view.changed_beside(key, EventClass::STREAM, "xsetid");
    Ok(())
}
