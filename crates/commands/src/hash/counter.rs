//! Numbers in fields: HINCRBY and HINCRBYFLOAT.
//!
//! As with strings, a float is added in 80 bits and journalled as its result. The field keeps its expiry, and since HSET
//! would end it on replay, the expiry is journalled again behind it.

use rustredis_keyspace::EventClass;
use rustredis_keyspace::View;
use rustredis_keyspace::types::hash::FieldExpiry;
use rustredis_resp::Reply;
use rustredis_resp::long_double::LongDouble;

use super::{expiry, live_or_new};
use crate::args::Args;
use crate::command::{Categories, Command, Group, KeyFlags, KeySpec};
use crate::error::{CommandError, Outcome};
use crate::rewrite;
use crate::syntax::ArgumentKind;

const KEY: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE), 1)];

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("hincrby", 4, super::STORE_FAST, hincrby).keys(KEY).acl(Categories::HASH).docs(
        Group::Hash,
        "2.0.0",
        "O(1)",
        "key field increment",
        "Adds to the integer in a field; a missing field counts as 0.",
    ),
    Command::new("hincrbyfloat", 4, super::STORE_FAST, hincrbyfloat)
        .value_kinds(&[("increment", ArgumentKind::Double)])
        .keys(KEY)
        .acl(Categories::HASH)
        .docs(
            Group::Hash,
            "2.6.0",
            "O(1)",
            "key field increment",
            "Adds to the float in a field; a missing field counts as 0.",
        ),
];

fn hincrby(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, field, increment) = (args.key(1), args.get(2), args.int(3)?);
    let hash = live_or_new(view, key)?;
    let old = match hash.get(field) {
        Some(value) => value.as_i64().ok_or(CommandError::text("ERR hash value is not an integer"))?,
        None => 0,
    };
    let sum = old.checked_add(increment).ok_or(CommandError::Overflow)?;
    hash.set_keeping_expiry(field, itoa::Buffer::new().format(sum).as_bytes());
    view.changed(key, EventClass::HASH, "hincrby");
    reply.int(sum);
    Ok(())
}

fn hincrbyfloat(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, field) = (args.key(1), args.get(2));
    let increment = LongDouble::parse(args.get(3)).ok_or(CommandError::NotFloat)?;
    if increment.is_infinite() {
        return Err(CommandError::text("ERR value is NaN or Infinity"));
    }
    let hash = live_or_new(view, key)?;
    let old = match hash.get(field) {
        Some(value) => LongDouble::parse(value.as_bytes(&mut [0; 20]))
            .ok_or(CommandError::text("ERR hash value is not a float"))?,
        None => LongDouble::from_i64(0),
    };
    let sum = old.checked_add(increment).ok_or(CommandError::NanOrInfinity)?;
    let mut text = Vec::new();
    sum.write(&mut text);
    hash.set_keeping_expiry(field, &text);
    let expiry = hash.field_expiry(field);
    view.changed(key, EventClass::HASH, "hincrbyfloat");
    let mut journal = vec![rewrite::words(&[b"HSET", key.bytes, field, &text])];
    if let FieldExpiry::At(at_ms) = expiry {
        journal.push(expiry::hpexpireat_words(view, key, at_ms, &[field]));
    }
    view.journal_instead(journal);
    reply.bulk(&text);
    Ok(())
}
