//! Numbers in strings: INCR and its like.
//!
//! An integer is a string in its one canonical spelling, and stays one. A float is added in 80 bits as x86 does, because the
//! digits that Redis shows come from there; it is journalled as its result, since a file may be replayed on a machine that
//! computes otherwise.

use rustredis_keyspace::{EventClass, Key, View};
use rustredis_resp::long_double::LongDouble;
use rustredis_resp::{Reply, number};

use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::error::{CommandError, Outcome};
use crate::rewrite;
use crate::syntax::ArgumentKind;

const KEY: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE), 1)];
const FLAGS: Flags = Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST);

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("incr", 2, FLAGS, incr).keys(KEY).acl(Categories::STRING).docs(
        Group::String,
        "1.0.0",
        "O(1)",
        "key",
        "Adds one to the integer at a key; a missing key counts as 0.",
    ),
    Command::new("decr", 2, FLAGS, decr).keys(KEY).acl(Categories::STRING).docs(
        Group::String,
        "1.0.0",
        "O(1)",
        "key",
        "Subtracts one from the integer at a key; a missing key counts as 0.",
    ),
    Command::new("incrby", 3, FLAGS, incrby).keys(KEY).acl(Categories::STRING).docs(
        Group::String,
        "1.0.0",
        "O(1)",
        "key increment",
        "Adds to the integer at a key; a missing key counts as 0.",
    ),
    Command::new("decrby", 3, FLAGS, decrby).keys(KEY).acl(Categories::STRING).docs(
        Group::String,
        "1.0.0",
        "O(1)",
        "key decrement",
        "Subtracts from the integer at a key; a missing key counts as 0.",
    ),
    Command::new("incrbyfloat", 3, FLAGS, incrbyfloat)
        .value_kinds(&[("increment", ArgumentKind::Double)])
        .keys(KEY)
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "2.6.0",
            "O(1)",
            "key increment",
            "Adds to the float at a key; a missing key counts as 0.",
        ),
];

fn incr(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    add(view, args.key(1), 1, reply)
}

fn decr(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    add(view, args.key(1), -1, reply)
}

fn incrby(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    add(view, args.key(1), args.int(2)?, reply)
}

fn decrby(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let increment = args.int(2)?.checked_neg().ok_or(CommandError::text("ERR decrement would overflow"))?;
    add(view, args.key(1), increment, reply)
}

fn add(view: &mut View<'_>, key: Key<'_>, increment: i64, reply: &mut Reply<'_>) -> Outcome {
    let mut buffer = itoa::Buffer::new();
    let sum = match view.string_mut(key)? {
        Some(entry) => {
            let old = number::parse_i64(entry.bytes()).ok_or(CommandError::NotInteger)?;
            let sum = old.checked_add(increment).ok_or(CommandError::Overflow)?;
            entry.set_bytes(buffer.format(sum).as_bytes());
            sum
        }
        None => {
            view.set_string(key, buffer.format(increment).as_bytes(), None);
            increment
        }
    };
    view.changed(key, EventClass::STRING, "incrby");
    reply.int(sum);
    Ok(())
}

fn incrbyfloat(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let parse = |text: &[u8]| LongDouble::parse(text).ok_or(CommandError::NotFloat);
    let old = match view.string_mut(key)? {
        Some(entry) => parse(entry.bytes())?,
        None => LongDouble::from_i64(0),
    };
    let sum = old.checked_add(parse(args.get(2))?).ok_or(CommandError::NanOrInfinity)?;
    let mut text = Vec::new();
    sum.write(&mut text);
    match view.string_mut(key)? {
        Some(entry) => entry.set_bytes(&text),
        None => view.set_string(key, &text, None),
    }
    if let Some(entry) = view.string_mut(key)? {
        entry.set_text();
    }
    view.changed(key, EventClass::STRING, "incrbyfloat");
    rewrite::instead(view, &[b"SET", key.bytes, &text, b"KEEPTTL"]);
    reply.bulk(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, check};

    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
    const OVERFLOW: &str = "-ERR increment or decrement would overflow";

    #[test]
    fn integers_are_counted_within_64_bits() {
        let mut harness = Harness::new();
        check(&mut harness, "INCR n", ":1");
        assert_eq!(harness.events(), ["incrby n"]);
        check(&mut harness, "DECR n", ":0");
        check(&mut harness, "INCRBY n 9223372036854775807", ":9223372036854775807");
        check(&mut harness, "INCR n", OVERFLOW);
        check(&mut harness, "DECRBY n -1", OVERFLOW);
        check(&mut harness, "DECRBY n -9223372036854775808", "-ERR decrement would overflow");
        check(&mut harness, "GET n", "$19 9223372036854775807");
        check(&mut harness, "DECRBY m 9223372036854775807", ":-9223372036854775807");
        check(&mut harness, "DECRBY m 2", OVERFLOW);
    }

    #[test]
    fn only_the_canonical_spelling_is_an_integer() {
        let mut harness = Harness::new();
        for text in ["' 1'", "01", "1.0", "''", "+1", "-0"] {
            harness.run(&format!("SET n {text}"));
            check(&mut harness, "INCR n", NOT_INTEGER);
        }
        check(&mut harness, "INCRBY missing one", NOT_INTEGER);
    }

    #[test]
    fn counting_keeps_the_expiry() {
        let mut harness = Harness::new();
        harness.run("SET n 9 PX 10");
        check(&mut harness, "INCR n", ":10");
        check(&mut harness, "INCRBYFLOAT n 0.5", "$4 10.5");
        harness.now_ms += 10;
        check(&mut harness, "INCR n", ":1");
    }

    #[test]
    fn floats_show_the_digits_of_80_bits_and_are_journalled_as_results() {
        let mut harness = Harness::new();
        harness.run("SET f 10.5");
        check(&mut harness, "INCRBYFLOAT f 0.1", "$4 10.6");
        assert_eq!(harness.journal(), "SET f 10.6 KEEPTTL");
        check(&mut harness, "INCRBYFLOAT f -5.6", "$1 5");
        check(&mut harness, "INCRBYFLOAT f 5.0e3", "$4 5005");
        check(&mut harness, "INCRBYFLOAT f abc", "-ERR value is not a valid float");
        check(&mut harness, "INCRBYFLOAT f +inf", "-ERR increment would produce NaN or Infinity");
        check(&mut harness, "GET f", "$4 5005");
    }
}
