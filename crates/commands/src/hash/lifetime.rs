//! Fields and their expiry in one step, as Redis 8 has it: HGETDEL, HGETEX, HSETEX.
//!
//! The journal gets commands that older servers know: HSET, HPEXPIREAT, HPERSIST, HDEL. Only HSETEX with KEEPTTL, which
//! has no such form, stays as it is.

use std::ops::Range;

use rustredis_keyspace::types::hash::{FieldExpiry, Hash};
use rustredis_keyspace::{EventClass, View};
use rustredis_resp::Reply;

use super::{expiry, field_list, live_mut, report_removed};
use crate::args::Args;
use crate::command::{Categories, Command, Group, KeyFlags, KeySpec};
use crate::deadline::TimeForm;
use crate::error::{CommandError, Outcome};
use crate::{element, rewrite};

const PER_FIELD: &str = "O(N) where N is the number of fields";
const READ_AND_DELETE: &[KeySpec] =
    &[KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE), 1)];
const READ_AND_UPDATE: &[KeySpec] =
    &[KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE), 1)];

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("hgetdel", -5, super::WRITE_FAST, hgetdel).keys(READ_AND_DELETE).acl(Categories::HASH).docs(
        Group::Hash,
        "8.0.0",
        PER_FIELD,
        "key FIELDS numfields field [field ...]",
        "Answers the values of fields and removes them.",
    ),
    Command::new("hgetex", -5, super::WRITE_FAST, hgetex).keys(READ_AND_UPDATE).acl(Categories::HASH).docs(
        Group::Hash,
        "8.0.0",
        PER_FIELD,
        "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]",
        "Answers the values of fields and changes when they expire.",
    ),
    Command::new("hsetex", -6, super::STORE_FAST, hsetex).keys(super::UPDATE).acl(Categories::HASH).docs(
        Group::Hash,
        "8.0.0",
        PER_FIELD,
        "key [NX | XX] [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]",
        "Sets fields of a hash, on conditions and for as long as the options say.",
    ),
];

fn hgetdel(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let hash = live_mut(view, key)?;
    let fields = field_list(args, 2, "ERR Number of fields must be a positive integer")?;
    reply.array(fields.len());
    let Some(hash) = hash else {
        fields.for_each(|_| reply.null());
        return Ok(());
    };
    let mut removed = Vec::new();
    for field in fields.map(|index| args.get(index)) {
        element::bulk_or_null(reply, hash.get(field));
        if hash.remove(field) {
            removed.push(field);
        }
    }
    if !removed.is_empty() {
        report_removed(view, key, removed.len());
        view.journal_instead(vec![expiry::hdel_words(key, &removed)]);
    }
    Ok(())
}

fn hgetex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, now_ms) = (args.key(1), view.now_ms());
    let hash = live_mut(view, key)?;
    let options = Options::parse(args, &GETEX)?;
    let deadline_ms = options.deadline_ms(args, now_ms, "hgetex")?;
    reply.array(options.fields.len());
    let Some(hash) = hash else {
        options.fields.for_each(|_| reply.null());
        return Ok(());
    };
    let mut changed = Vec::new();
    for field in options.fields.clone().map(|index| args.get(index)) {
        let value = hash.get(field);
        element::bulk_or_null(reply, value);
        if value.is_none() {
            continue;
        }
        if let Some(at_ms) = deadline_ms {
            expiry::expire_field(hash, field, at_ms, now_ms);
            changed.push(field);
        } else if options.lifetime == Lifetime::Marked
            && matches!(hash.set_field_expiry(field, None), FieldExpiry::At(_))
        {
            changed.push(field);
        }
    }
    match deadline_ms {
        Some(at_ms) => expiry::report_expiring(view, key, at_ms, &changed),
        None if changed.is_empty() => {}
        None => {
            view.changed(key, EventClass::HASH, "hpersist");
            view.add_dirty(changed.len() as u64 - 1);
            let mut count = itoa::Buffer::new();
            let head: [&[u8]; 4] =
                [b"HPERSIST", key.bytes, b"FIELDS", count.format(changed.len()).as_bytes()];
            rewrite::instead(view, &[&head, changed.as_slice()].concat());
        }
    }
    Ok(())
}

fn hsetex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, now_ms) = (args.key(1), view.now_ms());
    let hash = live_mut(view, key)?;
    let options = Options::parse(args, &SETEX)?;
    let deadline_ms = options.deadline_ms(args, now_ms, "hsetex")?;
    let has = |field: usize| hash.as_ref().is_some_and(|hash| hash.contains(args.get(field)));
    let fields = options.fields.clone().step_by(2);
    let is_allowed = options.wants_key.is_none_or(|wants_key| hash.is_some() == wants_key)
        && options.condition.is_none_or(|condition| {
            fields.clone().all(|field| has(field) == (condition == Condition::AllThere))
        });
    reply.int(i64::from(is_allowed));
    if !is_allowed {
        return Ok(());
    }
    let hash = view.collection_or_new::<Hash>(key)?;
    let mut names = Vec::new();
    let mut set: Vec<&[u8]> = vec![b"HSET", key.bytes];
    for (field, value) in fields.map(|index| (args.get(index), args.get(index + 1))) {
        if options.lifetime == Lifetime::Marked {
            hash.set_keeping_expiry(field, value);
        } else {
            hash.set(field, value);
        }
        set.extend([field, value]);
        names.push(field);
    }
    if let Some(at_ms) = deadline_ms {
        names.iter().for_each(|field| expiry::expire_field(hash, field, at_ms, now_ms));
    }
    view.changed(key, EventClass::HASH, "hset");
    view.add_dirty(names.len() as u64 - 1);
    let mut journal = vec![rewrite::words(&set)];
    match deadline_ms {
        Some(at_ms) if at_ms <= now_ms => {
            view.notify(EventClass::HASH, "hdel", key.bytes);
            view.remove_if_empty::<Hash>(key);
            journal.push(expiry::hdel_words(key, &names));
        }
        Some(at_ms) => {
            view.track_field_expiry(key, at_ms);
            view.notify(EventClass::HASH, "hexpire", key.bytes);
            journal.push(expiry::hpexpireat_words(view, key, at_ms, &names));
        }
        None => {}
    }
    if options.lifetime != Lifetime::Marked {
        view.journal_instead(journal);
    }
    Ok(())
}

/// What differs between the options of the two commands.
struct Grammar {
    has_condition: bool,
    /// The option without an argument: PERSIST or KEEPTTL.
    mark: &'static str,
    only_one: CommandError,
    /// Arguments for each of the fields.
    width: usize,
}

const GETEX: Grammar = Grammar {
    has_condition: false,
    mark: "PERSIST",
    only_one: CommandError::text("ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified"),
    width: 1,
};

const SETEX: Grammar = Grammar {
    has_condition: true,
    mark: "KEEPTTL",
    only_one: CommandError::text("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"),
    width: 2,
};

/// On what HSETEX depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// None of the fields exists (`FNX`).
    NoneThere,
    /// All of the fields exist (`FXX`).
    AllThere,
}

/// What happens to the expiry of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// Nothing was said.
    Unsaid,
    /// PERSIST or KEEPTTL.
    Marked,
    /// As this argument says.
    Until(TimeForm, usize),
}

struct Options {
    condition: Option<Condition>,
    /// Whether the hash must be there (`XX`), or must not (`NX`): Valkey's.
    wants_key: Option<bool>,
    lifetime: Lifetime,
    /// The arguments that are fields, or fields and values.
    fields: Range<usize>,
}

impl Options {
    /// Reads the options from argument 2 on, which stand in any order.
    fn parse(args: Args<'_>, grammar: &Grammar) -> Result<Self, CommandError> {
        let mut options = Self { condition: None, wants_key: None, lifetime: Lifetime::Unsaid, fields: 0..0 };
        let mut index = 2;
        while index < args.len() {
            index = options.take(args, index, grammar)?;
        }
        if options.fields.is_empty() {
            return Err(CommandError::text("ERR missing FIELDS argument"));
        }
        Ok(options)
    }

    /// Takes the option at `index`; where the next one is.
    fn take(&mut self, args: Args<'_>, index: usize, grammar: &Grammar) -> Result<usize, CommandError> {
        if args.is(index, "FIELDS") {
            return self.take_fields(args, index, grammar);
        }
        if let Some(form) = TimeForm::by_option(args.get(index)) {
            if self.lifetime != Lifetime::Unsaid {
                return Err(grammar.only_one.clone());
            }
            if index + 1 >= args.len() {
                return Err(CommandError::text("ERR missing expire time"));
            }
            self.lifetime = Lifetime::Until(form, index + 1);
            return Ok(index + 2);
        }
        if args.is(index, grammar.mark) {
            if self.lifetime != Lifetime::Unsaid {
                return Err(grammar.only_one.clone());
            }
            self.lifetime = Lifetime::Marked;
            return Ok(index + 1);
        }
        if grammar.has_condition && (args.is(index, "NX") || args.is(index, "XX")) {
            if self.wants_key.replace(args.is(index, "XX")).is_some() {
                return Err(CommandError::text("ERR Only one of XX or NX arguments can be specified"));
            }
            return Ok(index + 1);
        }
        let condition = if args.is(index, "FNX") {
            Condition::NoneThere
        } else if args.is(index, "FXX") {
            Condition::AllThere
        } else {
            return Err(unknown(args, index));
        };
        if !grammar.has_condition {
            return Err(unknown(args, index));
        }
        if self.condition.is_some() {
            return Err(CommandError::text("ERR Only one of FXX or FNX arguments can be specified"));
        }
        self.condition = Some(condition);
        Ok(index + 1)
    }

    fn take_fields(
        &mut self,
        args: Args<'_>,
        index: usize,
        grammar: &Grammar,
    ) -> Result<usize, CommandError> {
        if !self.fields.is_empty() {
            return Err(CommandError::text("ERR multiple FIELDS arguments"));
        }
        let count = args.int(index + 1).ok().and_then(|count| usize::try_from(count).ok());
        let count =
            count.filter(|count| *count > 0).ok_or(CommandError::text("ERR invalid number of fields"))?;
        let first = index + 2;
        let end = count.checked_mul(grammar.width).and_then(|width| width.checked_add(first));
        let end = end
            .filter(|end| *end <= args.len())
            .ok_or(CommandError::text("ERR wrong number of arguments"))?;
        self.fields = first..end;
        Ok(end)
    }

    /// When the fields are to expire, if an option says it.
    fn deadline_ms(
        &self,
        args: Args<'_>,
        now_ms: u64,
        command: &'static str,
    ) -> Result<Option<u64>, CommandError> {
        match self.lifetime {
            Lifetime::Until(form, index) => {
                expiry::field_deadline_ms(form, args, index, now_ms, command).map(Some)
            }
            Lifetime::Unsaid | Lifetime::Marked => Ok(None),
        }
    }
}

fn unknown(args: Args<'_>, index: usize) -> CommandError {
    CommandError::quoting("ERR unknown argument: ", args.quoted(index), "")
}
