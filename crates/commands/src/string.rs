//! Strings as a whole: storing and reading them, with SET's options.
//!
//! GET and SET without options are what most clients send most of the time: they take one probe of the table, and allocate
//! nothing but the stored value itself. Everything with options goes another way from the first branch on.
//!
//! What the options mean is decided before anything changes, in Redis's order, because the order shows in which of two
//! errors a client gets. Commands on parts of a string, on numbers and on two strings are in the files below.

pub mod bounded;
pub mod compare;
pub mod counter;
pub mod part;
pub mod subsequence;

use rustredis_keyspace::{EventClass, Key, View};
use rustredis_resp::Reply;

use crate::args::Args;
use crate::command::{Begin, Categories, Command, Find, Flags, Group, KeyFlags, KeySpec, Rules};
use crate::deadline::TimeForm;
use crate::error::{CommandError, Outcome};
use crate::rewrite;
use compare::Comparison;

const READ: &[KeySpec] = &[KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1)];
const OVERWRITE: &[KeySpec] = &[KeySpec::one(KeyFlags::OW.with(KeyFlags::UPDATE), 1)];
const INSERT: &[KeySpec] = &[KeySpec::one(KeyFlags::OW.with(KeyFlags::INSERT), 1)];
const READ_AND_UPDATE: KeyFlags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE);
const MULTI_SHARD: &str = "request_policy:multi_shard";

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("get", 2, Flags::READONLY.with(Flags::FAST), get)
        .rules(Rules::LOCKLESS)
        .keys(READ)
        .acl(Categories::STRING)
        .docs(Group::String, "1.0.0", "O(1)", "key", "Answers the string at a key."),
    Command::new("set", -3, Flags::WRITE.with(Flags::DENYOOM), set).find_key_flags(set_key_flags)
        .keys(&[KeySpec::one(READ_AND_UPDATE.with(KeyFlags::VARIABLE_FLAGS), 1)
            .notes("Reads the key too if `GET` is given")])
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "1.0.0",
            "O(1)",
            "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
            "Stores a string at a key, whatever was there, on conditions and for as long as the options say.",
        ),
    Command::new("setnx", 3, Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST), setnx)
        .keys(INSERT)
        .acl(Categories::STRING)
        .docs(Group::String, "1.0.0", "O(1)", "key value", "Stores a string at a key that does not exist yet.")
        .deprecated("2.6.12", "`SET` with the `NX` argument"),
    Command::new("setex", 4, Flags::WRITE.with(Flags::DENYOOM), setex)
        .keys(OVERWRITE)
        .acl(Categories::STRING)
        .docs(Group::String, "2.0.0", "O(1)", "key seconds value", "Stores a string that expires after some seconds.")
        .deprecated("2.6.12", "`SET` with the `EX` argument"),
    Command::new("psetex", 4, Flags::WRITE.with(Flags::DENYOOM), psetex)
        .keys(OVERWRITE)
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "2.6.0",
            "O(1)",
            "key milliseconds value",
            "Stores a string that expires after some milliseconds.",
        )
        .deprecated("2.6.12", "`SET` with the `PX` argument"),
    Command::new("getset", 3, Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST), getset)
        .keys(&[KeySpec::one(READ_AND_UPDATE, 1)])
        .acl(Categories::STRING)
        .docs(Group::String, "1.0.0", "O(1)", "key value", "Stores a string and answers the one that was there.")
        .deprecated("6.2.0", "`SET` with the `GET` argument"),
    Command::new("getdel", 2, Flags::WRITE.with(Flags::FAST), getdel)
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE), 1)])
        .acl(Categories::STRING)
        .docs(Group::String, "6.2.0", "O(1)", "key", "Answers the string at a key and deletes the key."),
    Command::new("getex", -2, Flags::WRITE.with(Flags::FAST), getex)
        .keys(&[KeySpec::one(READ_AND_UPDATE, 1).notes("Changes the key's expiry")])
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "6.2.0",
            "O(1)",
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
            "Answers the string at a key and changes when it expires.",
        ),
    Command::new("mget", -2, Flags::READONLY.with(Flags::FAST), mget)
        .rules(Rules::LOCKLESS)
        .keys(&[KeySpec::range(KeyFlags::RO.with(KeyFlags::ACCESS), 1, -1, 1)])
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "1.0.0",
            "O(N) where N is the number of keys",
            "key [key ...]",
            "Answers the strings at several keys at once.",
        )
        .tips(&[MULTI_SHARD]),
    Command::new("mset", -3, Flags::WRITE.with(Flags::DENYOOM), mset)
        .keys(&[KeySpec::range(KeyFlags::OW.with(KeyFlags::UPDATE), 1, -1, 2)])
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "1.0.1",
            "O(N) where N is the number of keys",
            "key value [key value ...]",
            "Stores strings at several keys in one step.",
        )
        .tips(&[MULTI_SHARD, "response_policy:all_succeeded"]),
    Command::new("msetnx", -3, Flags::WRITE.with(Flags::DENYOOM), msetnx)
        .keys(&[KeySpec::range(KeyFlags::OW.with(KeyFlags::INSERT), 1, -1, 2)])
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "1.0.1",
            "O(N) where N is the number of keys",
            "key value [key value ...]",
            "Stores strings at several keys in one step, if none of them exists.",
        )
        .tips(&[MULTI_SHARD, "response_policy:agg_min"]),
    Command::new("msetex", -4, Flags::WRITE.with(Flags::DENYOOM), msetex)
        .keys(&[KeySpec {
            notes: "",
            flags: KeyFlags::OW.with(KeyFlags::UPDATE),
            begin: Begin::Index(1),
            find: Find::KeyNum { number: 0, first: 1, step: 2 },
        }])
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "8.4.0",
            "O(N) where N is the number of keys",
            "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
            "Stores strings at several keys in one step, if none or all of them exist, and says when all expire.",
        )
        .tips(&[MULTI_SHARD, "response_policy:all_succeeded"]),
];

fn get(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.bulk_or_null(view.string(args.key(1))?);
    Ok(())
}

/// Without GET and a comparison, SET reads nothing.
fn set_key_flags(flags: KeyFlags, args: Args<'_>) -> KeyFlags {
    let reads =
        args.from(3).any(|option| option.eq_ignore_ascii_case(b"GET") || Comparison::is_option(option));
    if reads { flags } else { KeyFlags::OW | KeyFlags::UPDATE }
}

fn set(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() > 3 {
        return set_with_options(view, args, reply);
    }
    let key = args.key(1);
    view.set_string(key, args.get(2), None);
    view.changed(key, EventClass::STRING, "set");
    reply.ok();
    Ok(())
}

fn set_with_options(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, value) = (args.key(1), args.get(2));
    let options = Options::parse(args, 3, Grammar::Set)?;
    let deadline_ms = options.deadline_ms(view, args, "set")?;
    if options.answers_old {
        reply.bulk_or_null(view.string(key)?);
    }
    let is_allowed = match options.condition {
        None => true,
        Some(Condition::IfMissing) => !view.exists(key),
        Some(Condition::IfPresent) => view.exists(key),
        Some(Condition::If(comparison, wanted)) => comparison.holds(view.string(key)?, args.get(wanted))?,
    };
    if !is_allowed {
        if !options.answers_old {
            reply.null();
        }
        return Ok(());
    }
    let keeps = options.lifetime == Lifetime::Keep;
    if keeps {
        store_keeping_expiry(view, key, value);
    } else {
        store(view, key, value, deadline_ms);
    }
    if let Some(Condition::If(..)) = options.condition
        && deadline_ms.is_none()
    {
        // Older servers know no comparison, and replaying needs none.
        let parts: [&[u8]; 4] = [b"SET", key.bytes, value, b"KEEPTTL"];
        rewrite::instead(view, &parts[..if keeps { 4 } else { 3 }]);
    } else if options.answers_old && deadline_ms.is_none() {
        // Replaying needs no answer.
        let rest = args.from(3).filter(|word| !word.eq_ignore_ascii_case(b"GET"));
        let parts: Vec<&[u8]> = [&b"SET"[..], key.bytes, value].into_iter().chain(rest).collect();
        rewrite::instead(view, &parts);
    }
    if !options.answers_old {
        reply.ok();
    }
    Ok(())
}

/// Stores a string without expiry or with one, which is journalled as a point in time, and reports the change.
fn store(view: &mut View<'_>, key: Key<'_>, value: &[u8], deadline_ms: Option<u64>) {
    view.set_string(key, value, deadline_ms);
    view.changed(key, EventClass::STRING, "set");
    if let Some(at_ms) = deadline_ms {
        view.notify(EventClass::GENERIC, "expire", key.bytes);
        let mut buffer = itoa::Buffer::new();
        rewrite::instead(view, &[b"SET", key.bytes, value, b"PXAT", buffer.format(at_ms).as_bytes()]);
    }
}

/// Stores a string with the expiry that the key has, and reports the change.
fn store_keeping_expiry(view: &mut View<'_>, key: Key<'_>, value: &[u8]) {
    let kept = view.entry_mut(key).and_then(|entry| entry.expire_at_ms());
    view.set_string(key, value, kept);
    view.changed(key, EventClass::STRING, "set");
}

fn setnx(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let is_missing = !view.exists(key);
    if is_missing {
        store(view, key, args.get(2), None);
    }
    reply.int(i64::from(is_missing));
    Ok(())
}

fn setex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let deadline_ms = TimeForm::Seconds.deadline_ms(args, 2, view.now_ms(), "setex")?;
    store(view, args.key(1), args.get(3), Some(deadline_ms));
    reply.ok();
    Ok(())
}

fn psetex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let deadline_ms = TimeForm::Milliseconds.deadline_ms(args, 2, view.now_ms(), "psetex")?;
    store(view, args.key(1), args.get(3), Some(deadline_ms));
    reply.ok();
    Ok(())
}

fn getset(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, value) = (args.key(1), args.get(2));
    reply.bulk_or_null(view.string(key)?);
    store(view, key, value, None);
    rewrite::instead(view, &[b"SET", key.bytes, value]);
    Ok(())
}

fn getdel(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    reply.bulk_or_null(view.string(key)?);
    if view.delete(key) {
        view.changed(key, EventClass::GENERIC, "del");
        rewrite::del(view, key);
    }
    Ok(())
}

fn getex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let options = Options::parse(args, 2, Grammar::GetEx)?;
    let Some(value) = view.string(key)? else {
        reply.null();
        return Ok(());
    };
    let deadline_ms = options.deadline_ms(view, args, "getex")?;
    reply.bulk(value);
    match deadline_ms {
        Some(at_ms) if at_ms <= view.now_ms() => {
            view.delete(key);
            view.changed(key, EventClass::GENERIC, "del");
            rewrite::del(view, key);
        }
        Some(at_ms) => {
            view.set_expiry(key, Some(at_ms));
            view.changed(key, EventClass::GENERIC, "expire");
            rewrite::pexpireat(view, key, at_ms);
        }
        None if options.lifetime == Lifetime::Persist
            && view.peek(key).is_some_and(|entry| entry.expire_at_ms().is_some()) =>
        {
            view.set_expiry(key, None);
            view.changed(key, EventClass::GENERIC, "persist");
            rewrite::instead(view, &[b"PERSIST", key.bytes]);
        }
        None => {}
    }
    Ok(())
}

fn mget(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.array(args.len() - 1);
    for index in 1..args.len() {
        // A key of another type counts as one that has no string.
        reply.bulk_or_null(view.string(args.key(index)).unwrap_or(None));
    }
    Ok(())
}

fn mset(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_pairs(args, "mset")?;
    store_pairs(view, args);
    reply.ok();
    Ok(())
}

fn msetnx(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_pairs(args, "msetnx")?;
    let is_allowed = (1..args.len()).step_by(2).all(|index| !view.exists(args.key(index)));
    if is_allowed {
        store_pairs(view, args);
    }
    reply.int(i64::from(is_allowed));
    Ok(())
}

fn msetex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = args.int(1).ok().and_then(|count| i32::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(CommandError::text("ERR invalid numkeys value"))? as usize;
    let end = 2 + 2 * count;
    if end > args.len() {
        return Err(CommandError::text("ERR wrong number of key-value pairs"));
    }
    let options = Options::parse(args, end, Grammar::MSetEx)?;
    let deadline_ms = options.deadline_ms(view, args, "msetex")?;
    let mut keys = (2..end).step_by(2).map(|index| args.key(index));
    let is_allowed = match options.condition {
        Some(Condition::IfMissing) => keys.all(|key| !view.exists(key)),
        Some(Condition::IfPresent) => keys.all(|key| view.exists(key)),
        None | Some(Condition::If(..)) => true,
    };
    reply.int(i64::from(is_allowed));
    if !is_allowed {
        return Ok(());
    }
    let mut at_ms = itoa::Buffer::new();
    let lifetime: Vec<&[u8]> = match (deadline_ms, options.lifetime) {
        (Some(deadline_ms), _) => vec![b"PXAT", at_ms.format(deadline_ms).as_bytes()],
        (None, Lifetime::Keep) => vec![b"KEEPTTL"],
        (None, _) => vec![],
    };
    let mut journal = Vec::with_capacity(count);
    for index in (2..end).step_by(2) {
        let (key, value) = (args.key(index), args.get(index + 1));
        if options.lifetime == Lifetime::Keep {
            store_keeping_expiry(view, key, value);
        } else {
            store(view, key, value, deadline_ms);
        }
        journal.push(rewrite::words(&[&[b"SET", key.bytes, value], lifetime.as_slice()].concat()));
    }
    view.journal_instead(journal);
    Ok(())
}

fn check_pairs(args: Args<'_>, command: &str) -> Outcome {
    if args.len().is_multiple_of(2) { Err(CommandError::Arity(command.to_owned())) } else { Ok(()) }
}

fn store_pairs(view: &mut View<'_>, args: Args<'_>) {
    for index in (1..args.len()).step_by(2) {
        store(view, args.key(index), args.get(index + 1), None);
    }
}

/// Which command's options are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grammar {
    Set,
    GetEx,
    MSetEx,
}

/// On what SET and MSETEX depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    IfMissing,
    IfPresent,
    /// What the string that is there is compared with stands in this argument.
    If(Comparison, usize),
}

/// What happens to the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// Nothing was said: SET ends it, GETEX leaves it.
    Unsaid,
    Keep,
    Persist,
    /// As this argument says.
    Until(TimeForm, usize),
}

/// The options of SET, GETEX and MSETEX.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    condition: Option<Condition>,
    answers_old: bool,
    lifetime: Lifetime,
}

impl Options {
    /// Reads the options from argument `first` on. An option may be repeated, two that contradict each other may not.
    fn parse(args: Args<'_>, first: usize, grammar: Grammar) -> Result<Self, CommandError> {
        let mut options = Self { condition: None, answers_old: false, lifetime: Lifetime::Unsaid };
        let mut index = first;
        while index < args.len() {
            index += options.take(args, index, grammar).ok_or(CommandError::Syntax)?;
        }
        Ok(options)
    }

    /// Takes the option at `index`; how many arguments it has.
    fn take(&mut self, args: Args<'_>, index: usize, grammar: Grammar) -> Option<usize> {
        let is_free =
            |lifetime: Lifetime, wanted: Lifetime| lifetime == Lifetime::Unsaid || lifetime == wanted;
        if let Some(form) = TimeForm::by_option(args.get(index)) {
            let is_allowed = match self.lifetime {
                Lifetime::Unsaid => true,
                Lifetime::Until(other, _) => other == form,
                Lifetime::Keep | Lifetime::Persist => false,
            };
            if !is_allowed || index + 1 >= args.len() {
                return None;
            }
            self.lifetime = Lifetime::Until(form, index + 1);
            return Some(2);
        }
        if grammar == Grammar::GetEx {
            if !args.is(index, "PERSIST") || !is_free(self.lifetime, Lifetime::Persist) {
                return None;
            }
            self.lifetime = Lifetime::Persist;
        } else if args.is(index, "NX") && matches!(self.condition, None | Some(Condition::IfMissing)) {
            self.condition = Some(Condition::IfMissing);
        } else if args.is(index, "XX") && matches!(self.condition, None | Some(Condition::IfPresent)) {
            self.condition = Some(Condition::IfPresent);
        } else if let Some(comparison) = Comparison::by_option(args.get(index))
            && grammar == Grammar::Set
        {
            let is_free = match self.condition {
                None => true,
                Some(Condition::If(other, _)) => other == comparison,
                Some(Condition::IfMissing | Condition::IfPresent) => false,
            };
            if !is_free || index + 1 >= args.len() {
                return None;
            }
            self.condition = Some(Condition::If(comparison, index + 1));
            return Some(2);
        } else if args.is(index, "GET") && grammar == Grammar::Set {
            self.answers_old = true;
        } else if args.is(index, "KEEPTTL") && is_free(self.lifetime, Lifetime::Keep) {
            self.lifetime = Lifetime::Keep;
        } else {
            return None;
        }
        Some(1)
    }

    /// When the key is to expire, if an option says it.
    fn deadline_ms(
        &self,
        view: &View<'_>,
        args: Args<'_>,
        command: &'static str,
    ) -> Result<Option<u64>, CommandError> {
        match self.lifetime {
            Lifetime::Until(form, index) => form.deadline_ms(args, index, view.now_ms(), command).map(Some),
            Lifetime::Unsaid | Lifetime::Keep | Lifetime::Persist => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
