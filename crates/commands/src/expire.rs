//! When keys go: EXPIRE and its forms, TTL and its forms, PERSIST.
//!
//! A time that is past already deletes the key, and is journalled as that. Every other one is stored and journalled as a point in
//! time, with the conditions that it came with: they decide the same when they are replayed.

use rustredis_keyspace::{EventClass, View};
use rustredis_resp::Reply;

use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec, Rules};
use crate::deadline::TimeForm;
use crate::error::{CommandError, Outcome};
use crate::rewrite;

const UPDATE: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::UPDATE), 1)];
const READ: &[KeySpec] = &[KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1)];
const WRITE_FAST: Flags = Flags::WRITE.with(Flags::FAST);
const READ_FAST: Flags = Flags::READONLY.with(Flags::FAST);
const VARYING: &[&str] = &["nondeterministic_output"];

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("expire", -3, WRITE_FAST, expire).keys(UPDATE).acl(Categories::KEYSPACE).docs(
        Group::Generic,
        "1.0.0",
        "O(1)",
        "key seconds [NX | XX | GT | LT]",
        "Lets a key expire after some seconds.",
    ),
    Command::new("pexpire", -3, WRITE_FAST, pexpire).keys(UPDATE).acl(Categories::KEYSPACE).docs(
        Group::Generic,
        "2.6.0",
        "O(1)",
        "key milliseconds [NX | XX | GT | LT]",
        "Lets a key expire after some milliseconds.",
    ),
    Command::new("expireat", -3, WRITE_FAST, expireat).keys(UPDATE).acl(Categories::KEYSPACE).docs(
        Group::Generic,
        "1.2.0",
        "O(1)",
        "key unix-time-seconds [NX | XX | GT | LT]",
        "Lets a key expire at a time in Unix seconds.",
    ),
    Command::new("pexpireat", -3, WRITE_FAST, pexpireat).keys(UPDATE).acl(Categories::KEYSPACE).docs(
        Group::Generic,
        "2.6.0",
        "O(1)",
        "key unix-time-milliseconds [NX | XX | GT | LT]",
        "Lets a key expire at a time in Unix milliseconds.",
    ),
    Command::new("ttl", 2, READ_FAST, ttl).rules(Rules::LOCKLESS)
        .keys(READ)
        .acl(Categories::KEYSPACE)
        .docs(
            Group::Generic,
            "1.0.0",
            "O(1)",
            "key",
            "Answers in how many seconds a key expires; -1 if it does not, -2 if it is not there.",
        )
        .tips(VARYING),
    Command::new("pttl", 2, READ_FAST, pttl).rules(Rules::LOCKLESS)
        .keys(READ)
        .acl(Categories::KEYSPACE)
        .docs(
            Group::Generic,
            "2.6.0",
            "O(1)",
            "key",
            "Answers in how many milliseconds a key expires; -1 if it does not, -2 if it is not there.",
        )
        .tips(VARYING),
    Command::new("expiretime", 2, READ_FAST, expiretime).rules(Rules::LOCKLESS).keys(READ).acl(Categories::KEYSPACE).docs(
        Group::Generic,
        "7.0.0",
        "O(1)",
        "key",
        "Answers the Unix time in seconds at which a key expires; -1 if it does not, -2 if it is not there.",
    ),
    Command::new("pexpiretime", 2, READ_FAST, pexpiretime).rules(Rules::LOCKLESS).keys(READ).acl(Categories::KEYSPACE).docs(
        Group::Generic,
        "7.0.0",
        "O(1)",
        "key",
        "Answers the Unix time in milliseconds at which a key expires; -1 if it does not, -2 if it is not there.",
    ),
    Command::new("persist", 2, WRITE_FAST, persist).keys(UPDATE).acl(Categories::KEYSPACE).docs(
        Group::Generic,
        "2.2.0",
        "O(1)",
        "key",
        "Takes the expiry from a key, so that it stays.",
    ),
];

/// The conditions NX, XX, GT, LT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Conditions {
    if_none: bool,
    if_any: bool,
    if_later: bool,
    if_sooner: bool,
}

impl Conditions {
    fn parse(args: Args<'_>, first: usize) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        for index in first..args.len() {
            let condition = if args.is(index, "NX") {
                &mut conditions.if_none
            } else if args.is(index, "XX") {
                &mut conditions.if_any
            } else if args.is(index, "GT") {
                &mut conditions.if_later
            } else if args.is(index, "LT") {
                &mut conditions.if_sooner
            } else {
                return Err(CommandError::quoting("ERR Unsupported option ", args.get(index), ""));
            };
            *condition = true;
        }
        let Self { if_none, if_any, if_later, if_sooner } = conditions;
        if if_none && (if_any || if_later || if_sooner) {
            return Err(CommandError::text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if if_later && if_sooner {
            return Err(CommandError::text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// Whether an expiry may be replaced by one at `at_ms`. None counts as one that never comes.
    fn allow(self, old: Option<u64>, at_ms: i64) -> bool {
        let old_ms = old.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        !(self.if_none && old_ms.is_some()
            || self.if_any && old_ms.is_none()
            || self.if_later && old_ms.is_none_or(|old_ms| at_ms <= old_ms)
            || self.if_sooner && old_ms.is_some_and(|old_ms| at_ms >= old_ms))
    }
}

fn expire(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire_in_form(view, args, reply, TimeForm::Seconds, "expire")
}

fn pexpire(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire_in_form(view, args, reply, TimeForm::Milliseconds, "pexpire")
}

fn expireat(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire_in_form(view, args, reply, TimeForm::UnixSeconds, "expireat")
}

fn pexpireat(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    expire_in_form(view, args, reply, TimeForm::UnixMilliseconds, "pexpireat")
}

fn expire_in_form(
    view: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    form: TimeForm,
    command: &'static str,
) -> Outcome {
    let key = args.key(1);
    let conditions = Conditions::parse(args, 3)?;
    let at_ms = form.to_unix_ms(args.int(2)?, view.now_ms()).ok_or(CommandError::InvalidExpire(command))?;
    let old = view.peek(key).map(|entry| entry.expire_at_ms());
    let is_allowed = old.is_some_and(|old| conditions.allow(old, at_ms));
    if is_allowed {
        match u64::try_from(at_ms) {
            Ok(at_ms) if at_ms > view.now_ms() => {
                view.set_expiry(key, Some(at_ms));
                view.changed(key, EventClass::GENERIC, "expire");
                if form != TimeForm::UnixMilliseconds {
                    let mut buffer = itoa::Buffer::new();
                    let mut parts = vec![&b"PEXPIREAT"[..], key.bytes, buffer.format(at_ms).as_bytes()];
                    parts.extend(args.from(3));
                    rewrite::instead(view, &parts);
                }
            }
            _ => {
                view.delete(key);
                view.changed(key, EventClass::GENERIC, "del");
                rewrite::del(view, key);
            }
        }
    }
    reply.int(i64::from(is_allowed));
    Ok(())
}

fn ttl(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now_ms = view.now_ms();
    answer_expiry(view, args, reply, |at_ms| rounded_seconds(at_ms.saturating_sub(now_ms)))
}

fn pttl(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now_ms = view.now_ms();
    answer_expiry(view, args, reply, |at_ms| at_ms.saturating_sub(now_ms))
}

fn expiretime(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer_expiry(view, args, reply, rounded_seconds)
}

fn pexpiretime(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer_expiry(view, args, reply, |at_ms| at_ms)
}

fn rounded_seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}

fn answer_expiry(
    view: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    show: impl FnOnce(u64) -> u64,
) -> Outcome {
    let answer = match view.read_untouched(args.key(1)).map(|entry| entry.expire_at_ms()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => i64::try_from(show(at_ms)).unwrap_or(i64::MAX),
    };
    reply.int(answer);
    Ok(())
}

fn persist(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let has_expiry = view.peek(key).is_some_and(|entry| entry.expire_at_ms().is_some());
    if has_expiry {
        view.set_expiry(key, None);
        view.changed(key, EventClass::GENERIC, "persist");
    }
    reply.int(i64::from(has_expiry));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, check};

    const NOW_MS: u64 = 1_700_000_000_000;

    #[test]
    fn a_relative_expiry_is_journalled_as_a_point_in_time() {
        let mut harness = Harness::new();
        check(&mut harness, "EXPIRE k 10", ":0");
        assert_eq!(harness.effects.dirty, 0);
        harness.run("SET k v");
        check(&mut harness, "EXPIRE k 10", ":1");
        assert_eq!(harness.journal(), format!("PEXPIREAT k {}", NOW_MS + 10_000));
        assert_eq!(harness.events(), ["expire k"]);
        check(&mut harness, "PEXPIRE k 10 XX", ":1");
        assert_eq!(harness.journal(), format!("PEXPIREAT k {} XX", NOW_MS + 10));
        check(&mut harness, &format!("PEXPIREAT k {}", NOW_MS + 5), ":1");
        assert_eq!((harness.journal().as_str(), harness.effects.dirty), ("", 1));
        harness.now_ms += 5;
        check(&mut harness, "GET k", "$-1");
    }

    #[test]
    fn a_past_expiry_deletes() {
        let mut harness = Harness::new();
        for line in ["EXPIRE k 0", "PEXPIRE k -1", "EXPIREAT k 100", "PEXPIREAT k -9223372036854775808"] {
            harness.run("SET k v");
            check(&mut harness, line, ":1");
            assert_eq!((harness.journal().as_str(), harness.events()), ("DEL k", vec!["del k".to_owned()]));
            check(&mut harness, "EXISTS k", ":0");
        }
    }

    #[test]
    fn conditions_compare_with_the_old_expiry() {
        let mut harness = Harness::new();
        harness.run("SET k v");
        for (line, expected) in [
            ("EXPIRE k 100 XX", 0),
            ("EXPIRE k 100 GT", 0),
            ("EXPIRE k 100 LT", 1),
            ("EXPIRE k 50 NX", 0),
            ("EXPIRE k 50 GT", 0),
            ("EXPIRE k 100 LT", 0),
            ("EXPIRE k 100 GT", 0),
            ("EXPIRE k 200 XX GT", 1),
            ("EXPIRE k 50 lt xx", 1),
        ] {
            check(&mut harness, line, &format!(":{expected}"));
        }
        check(&mut harness, "TTL k", ":50");
    }

    #[test]
    fn errors_come_in_order() {
        let mut harness = Harness::new();
        harness.run("SET k v");
        for (line, expected) in [
            ("EXPIRE k x FOO", "ERR Unsupported option FOO"),
            ("EXPIRE k x NX GT", "ERR NX and XX, GT or LT options at the same time are not compatible"),
            ("EXPIRE k x GT LT", "ERR GT and LT options at the same time are not compatible"),
            ("EXPIRE missing x", "ERR value is not an integer or out of range"),
            ("EXPIRE k 9223372036854775807", "ERR invalid expire time in 'expire' command"),
            ("EXPIREAT k -9223372036854775807", "ERR invalid expire time in 'expireat' command"),
            ("PEXPIRE k 9223372036854775807", "ERR invalid expire time in 'pexpire' command"),
        ] {
            check(&mut harness, line, &format!("-{expected}"));
        }
        check(&mut harness, "TTL k", ":-1");
    }

    #[test]
    fn times_are_answered_rounded() {
        let mut harness = Harness::new();
        harness.run("SET k v PX 1500");
        check(&mut harness, "TTL k", ":2");
        check(&mut harness, "PTTL k", ":1500");
        check(&mut harness, "EXPIRETIME k", ":1700000002");
        check(&mut harness, "PEXPIRETIME k", ":1700000001500");
        harness.now_ms += 1001;
        check(&mut harness, "TTL k", ":0");
        check(&mut harness, "PERSIST k", ":1");
        assert_eq!(harness.events(), ["persist k"]);
        check(&mut harness, "PERSIST k", ":0");
        check(&mut harness, "TTL k", ":-1");
        check(&mut harness, "PTTL missing", ":-2");
        check(&mut harness, "EXPIRETIME missing", ":-2");
    }
}
