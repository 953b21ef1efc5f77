//! Fields that expire: HEXPIRE and its like, HTTL and its like, HPERSIST.
//!
//! A time is stored, and journalled, in Unix milliseconds; one in the past removes the field at once, which is journalled
//! as HDEL. Only the fields that changed are journalled, without the condition, so that a replay decides nothing. Redis
//! 7.4 had these commands first, and the texts of the errors and the numbers in the answers are its own.

use rustredis_keyspace::types::hash::{FieldExpiry, Hash};
use rustredis_keyspace::{EventClass, Key, View};
use rustredis_resp::Reply;

use super::{NO_FIELD_COUNT, field_list, live_mut, report_removed};
use crate::args::Args;
use crate::command::{Categories, Command, Group};
use crate::deadline::TimeForm;
use crate::error::{CommandError, Outcome};
use crate::rewrite;

const PER_FIELD: &str = "O(N) where N is the number of fields";
const EXPIRE_SECONDS: &str = "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]";
const EXPIRE_MS: &str = "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]";
const EXPIRE_AT_SECONDS: &str =
    "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]";
const EXPIRE_AT_MS: &str =
    "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]";
const FIELDS: &str = "key FIELDS numfields field [field ...]";
const CHANGES: &[&str] = &["nondeterministic_output"];

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("hexpire", -6, super::STORE_FAST, hexpire).keys(super::UPDATE).acl(Categories::HASH).docs(
        Group::Hash,
        "7.4.0",
        PER_FIELD,
        EXPIRE_SECONDS,
        "Makes fields expire after some seconds.",
    ),
    Command::new("hpexpire", -6, super::STORE_FAST, hpexpire).keys(super::UPDATE).acl(Categories::HASH).docs(
        Group::Hash,
        "7.4.0",
        PER_FIELD,
        EXPIRE_MS,
        "Makes fields expire after some milliseconds.",
    ),
    Command::new("hexpireat", -6, super::STORE_FAST, hexpireat)
        .keys(super::UPDATE)
        .acl(Categories::HASH)
        .docs(
            Group::Hash,
            "7.4.0",
            PER_FIELD,
            EXPIRE_AT_SECONDS,
            "Makes fields expire at a point in time, in seconds since 1970.",
        ),
    Command::new("hpexpireat", -6, super::STORE_FAST, hpexpireat)
        .keys(super::UPDATE)
        .acl(Categories::HASH)
        .docs(
            Group::Hash,
            "7.4.0",
            PER_FIELD,
            EXPIRE_AT_MS,
            "Makes fields expire at a point in time, in milliseconds since 1970.",
        ),
    Command::new("hpersist", -5, super::WRITE_FAST, hpersist).keys(super::UPDATE).acl(Categories::HASH).docs(
        Group::Hash,
        "7.4.0",
        PER_FIELD,
        FIELDS,
        "Makes fields stay that would have expired.",
    ),
    Command::new("httl", -5, super::READ_FAST, httl)
        .keys(super::READ)
        .acl(Categories::HASH)
        .docs(Group::Hash, "7.4.0", PER_FIELD, FIELDS, "Answers after how many seconds fields expire.")
        .tips(CHANGES),
    Command::new("hpttl", -5, super::READ_FAST, hpttl)
        .keys(super::READ)
        .acl(Categories::HASH)
        .docs(Group::Hash, "7.4.0", PER_FIELD, FIELDS, "Answers after how many milliseconds fields expire.")
        .tips(CHANGES),
    Command::new("hexpiretime", -5, super::READ_FAST, hexpiretime)
        .keys(super::READ)
        .acl(Categories::HASH)
        .docs(Group::Hash, "7.4.0", PER_FIELD, FIELDS, "Answers when fields expire, in seconds since 1970."),
    Command::new("hpexpiretime", -5, super::READ_FAST, hpexpiretime)
        .keys(super::READ)
        .acl(Categories::HASH)
        .docs(
            Group::Hash,
            "7.4.0",
            PER_FIELD,
            FIELDS,
            "Answers when fields expire, in milliseconds since 1970.",
        ),
];

/// The latest time at which a field may expire, in Unix ms: Redis keeps 46 bits.
const AT_MS_MAX: i64 = (1 << 46) - 1;

/// Answers for a field.
mod answer {
    /// There is no such field.
    pub(super) const NO_FIELD: i64 = -2;
    /// The field has no expiry.
    pub(super) const NO_EXPIRY: i64 = -1;
    /// The condition was not met.
    pub(super) const REFUSED: i64 = 0;
    /// Done.
    pub(super) const CHANGED: i64 = 1;
    /// The time was past: the field is removed.
    pub(super) const REMOVED: i64 = 2;
}

/// On what setting an expiry depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// The field has none (`NX`).
    None,
    /// The field has one (`XX`).
    Any,
    /// The field has an earlier one (`GT`).
    Earlier,
    /// The field has a later one, or none, which counts as never (`LT`).
    Later,
}

impl Condition {
    fn by_option(word: &[u8]) -> Option<Self> {
        let options = [("NX", Self::None), ("XX", Self::Any), ("GT", Self::Earlier), ("LT", Self::Later)];
        let found = options.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, condition)| condition)
    }

    fn allows(self, old: FieldExpiry, at_ms: u64) -> bool {
        match (self, old) {
            (Self::None, old) => old == FieldExpiry::Never,
            (Self::Any, old) => old != FieldExpiry::Never,
            (Self::Earlier, FieldExpiry::At(old_ms)) => old_ms < at_ms,
            (Self::Later, FieldExpiry::At(old_ms)) => old_ms > at_ms,
            (Self::Earlier, _) => false,
            (Self::Later, _) => true,
        }
    }
}

/// Argument `index` as the time at which fields expire, in Unix ms, past or future.
///
/// # Errors
/// `NotInteger`, a negative time, or `InvalidExpire` if it is too far away.
pub(super) fn field_deadline_ms(
    form: TimeForm,
    args: Args<'_>,
    index: usize,
    now_ms: u64,
    command: &'static str,
) -> Result<u64, CommandError> {
    let amount = args.int(index)?;
    if amount < 0 {
        return Err(CommandError::text("ERR invalid expire time, must be >= 0"));
    }
    let at_ms = form.to_unix_ms(amount, now_ms).filter(|at_ms| *at_ms <= AT_MS_MAX);
    at_ms.and_then(|at_ms| u64::try_from(at_ms).ok()).ok_or(CommandError::InvalidExpire(command))
}

fn hexpire(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(view, args, reply, TimeForm::Seconds, "hexpire")
}

fn hpexpire(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(view, args, reply, TimeForm::Milliseconds, "hpexpire")
}

fn hexpireat(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(view, args, reply, TimeForm::UnixSeconds, "hexpireat")
}

fn hpexpireat(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire(view, args, reply, TimeForm::UnixMilliseconds, "hpexpireat")
}

fn expire(
    view: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    form: TimeForm,
    command: &'static str,
) -> Outcome {
    let (key, now_ms) = (args.key(1), view.now_ms());
    let hash = live_mut(view, key)?;
    let at_ms = field_deadline_ms(form, args, 2, now_ms, command)?;
    let condition = Condition::by_option(args.get(3));
    let fields = field_list(args, if condition.is_some() { 4 } else { 3 }, NO_FIELD_COUNT)?;
    reply.array(fields.len());
    let Some(hash) = hash else {
        fields.for_each(|_| reply.int(answer::NO_FIELD));
        return Ok(());
    };
    let mut changed = Vec::new();
    for field in fields.map(|index| args.get(index)) {
        let old = hash.field_expiry(field);
        if old == FieldExpiry::NoField {
            reply.int(answer::NO_FIELD);
        } else if condition.is_some_and(|condition| !condition.allows(old, at_ms)) {
            reply.int(answer::REFUSED);
        } else {
            reply.int(if at_ms <= now_ms { answer::REMOVED } else { answer::CHANGED });
            expire_field(hash, field, at_ms, now_ms);
            changed.push(field);
        }
    }
    report_expiring(view, key, at_ms, &changed);
    Ok(())
}

/// Makes a field expire, or removes it if the time is past.
pub(super) fn expire_field(hash: &mut Hash, field: &[u8], at_ms: u64, now_ms: u64) {
    if at_ms <= now_ms {
        hash.remove(field);
    } else {
        hash.set_field_expiry(field, Some(at_ms));
    }
}

/// What follows when these fields were given an expiry, or were removed because the time is past.
pub(super) fn report_expiring(view: &mut View<'_>, key: Key<'_>, at_ms: u64, fields: &[&[u8]]) {
    if fields.is_empty() {
        return;
    }
    if at_ms <= view.now_ms() {
        report_removed(view, key, fields.len());
        view.journal_instead(vec![hdel_words(key, fields)]);
    } else {
        view.track_field_expiry(key, at_ms);
        view.changed(key, EventClass::HASH, "hexpire");
        view.add_dirty(fields.len() as u64 - 1);
        let words = hpexpireat_words(view, key, at_ms, fields);
        view.journal_instead(vec![words]);
    }
}

/// `HDEL key field ...` for the journal.
pub(super) fn hdel_words(key: Key<'_>, fields: &[&[u8]]) -> Vec<Vec<u8>> {
    rewrite::words(&[&[b"HDEL", key.bytes], fields].concat())
}

/// `HPEXPIREAT key unix-ms FIELDS count field ...` for the journal, in whose file it will be.
pub(super) fn hpexpireat_words(
    view: &mut View<'_>,
    key: Key<'_>,
    at_ms: u64,
    fields: &[&[u8]],
) -> Vec<Vec<u8>> {
    view.journal_is_newer();
    let (mut at, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (at, count) = (at.format(at_ms).as_bytes(), count.format(fields.len()).as_bytes());
    rewrite::words(&[&[b"HPEXPIREAT", key.bytes, at, b"FIELDS", count], fields].concat())
}

fn hpersist(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let hash = live_mut(view, key)?;
    let fields = field_list(args, 2, NO_FIELD_COUNT)?;
    reply.array(fields.len());
    let Some(hash) = hash else {
        fields.for_each(|_| reply.int(answer::NO_FIELD));
        return Ok(());
    };
    let mut changed = 0;
    for field in fields.map(|index| args.get(index)) {
        reply.int(match hash.set_field_expiry(field, None) {
            FieldExpiry::NoField => answer::NO_FIELD,
            FieldExpiry::Never => answer::NO_EXPIRY,
            FieldExpiry::At(_) => {
                changed += 1;
                answer::CHANGED
            }
        });
    }
    if changed > 0 {
        view.changed(key, EventClass::HASH, "hpersist");
        view.add_dirty(changed - 1);
    }
    Ok(())
}

fn httl(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now_ms = view.now_ms();
    answer_expiries(view, args, reply, |at_ms| (at_ms - now_ms).div_ceil(1000))
}

fn hpttl(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now_ms = view.now_ms();
    answer_expiries(view, args, reply, |at_ms| at_ms - now_ms)
}

fn hexpiretime(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer_expiries(view, args, reply, |at_ms| at_ms.div_ceil(1000))
}

fn hpexpiretime(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer_expiries(view, args, reply, |at_ms| at_ms)
}

/// Answers when each field expires; `shown` turns Unix ms, which are not past, into what the client sees.
fn answer_expiries(
    view: &View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    shown: impl Fn(u64) -> u64,
) -> Outcome {
    let hash = view.collection::<Hash>(args.key(1))?;
    let fields = field_list(args, 2, NO_FIELD_COUNT)?;
    reply.array(fields.len());
    for field in fields.map(|index| args.get(index)) {
        let expiry = hash.map_or(FieldExpiry::NoField, |hash| hash.field_expiry(field));
        reply.int(match expiry {
            FieldExpiry::Never => answer::NO_EXPIRY,
            FieldExpiry::At(at_ms) if at_ms > view.now_ms() => shown(at_ms) as i64,
            FieldExpiry::At(_) | FieldExpiry::NoField => answer::NO_FIELD,
        });
    }
    Ok(())
}
