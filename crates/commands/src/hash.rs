//! Hashes: fields with a value each.
//!
//! A field may have an expiry of its own, and one that has expired is not there for anybody: readers pass over it, and a
//! writer removes what is due before it looks ([`live_mut`], [`live_or_new`]). Both cost nothing as long as nothing is
//! due in the shard. HLEN alone counts what is stored, as Redis does, for it must not walk.
//!
//! What makes fields expire is in `expiry`; `lifetime` has the commands of Redis 8 that read or set fields and say when
//! they expire in one step.

pub mod counter;
pub mod expiry;
pub mod lifetime;
pub mod random;

use rustredis_keyspace::types::hash::Hash;
use rustredis_keyspace::types::listpack::Element;
use rustredis_keyspace::{EventClass, Key, View, WrongType};
use rustredis_resp::Reply;

use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::element;
use crate::error::{CommandError, Outcome};
use crate::scan::{self, Grammar, Scan};

const LOOK: &[KeySpec] = &[KeySpec::one(KeyFlags::RO, 1)];
const READ: &[KeySpec] = &[KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1)];
const UPDATE: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::UPDATE), 1)];
const INSERT: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::INSERT), 1)];
const DELETE: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::DELETE), 1)];
const ANY_ORDER: &[&str] = &["nondeterministic_output_order"];

const READ_FAST: Flags = Flags::READONLY.with(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.with(Flags::FAST);
const STORE_FAST: Flags = WRITE_FAST.with(Flags::DENYOOM);

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("hset", -4, STORE_FAST, hset).keys(UPDATE).acl(Categories::HASH).docs(
        Group::Hash,
        "2.0.0",
        "O(N) where N is the number of fields",
        "key field value [field value ...]",
        "Sets fields of a hash, which is made if it is missing.",
    ),
    Command::new("hmset", -4, STORE_FAST, hmset)
        .keys(UPDATE)
        .acl(Categories::HASH)
        .docs(
            Group::Hash,
            "2.0.0",
            "O(N) where N is the number of fields",
            "key field value [field value ...]",
            "Sets fields of a hash.",
        )
        .deprecated("4.0.0", "`HSET` with multiple field-value pairs"),
    Command::new("hsetnx", 4, STORE_FAST, hsetnx).keys(INSERT).acl(Categories::HASH).docs(
        Group::Hash,
        "2.0.0",
        "O(1)",
        "key field value",
        "Sets a field of a hash that the hash does not have yet.",
    ),
    Command::new("hget", 3, READ_FAST, hget).keys(READ).acl(Categories::HASH).docs(
        Group::Hash,
        "2.0.0",
        "O(1)",
        "key field",
        "Answers the value of a field.",
    ),
    Command::new("hmget", -3, READ_FAST, hmget).keys(READ).acl(Categories::HASH).docs(
        Group::Hash,
        "2.0.0",
        "O(N) where N is the number of fields",
        "key field [field ...]",
        "Answers the values of several fields.",
    ),
    Command::new("hgetall", 2, Flags::READONLY, hgetall)
        .keys(READ)
        .acl(Categories::HASH)
        .docs(
            Group::Hash,
            "2.0.0",
            "O(N) where N is the size of the hash",
            "key",
            "Answers all fields with their values.",
        )
        .tips(ANY_ORDER),
    Command::new("hkeys", 2, Flags::READONLY, hkeys)
        .keys(READ)
        .acl(Categories::HASH)
        .docs(Group::Hash, "2.0.0", "O(N) where N is the size of the hash", "key", "Answers all fields.")
        .tips(ANY_ORDER),
    Command::new("hvals", 2, Flags::READONLY, hvals)
        .keys(READ)
        .acl(Categories::HASH)
        .docs(Group::Hash, "2.0.0", "O(N) where N is the size of the hash", "key", "Answers all values.")
        .tips(ANY_ORDER),
    Command::new("hlen", 2, READ_FAST, hlen).keys(LOOK).acl(Categories::HASH).docs(
        Group::Hash,
        "2.0.0",
        "O(1)",
        "key",
        "Answers how many fields a hash has.",
    ),
    Command::new("hstrlen", 3, READ_FAST, hstrlen).keys(LOOK).acl(Categories::HASH).docs(
        Group::Hash,
        "3.2.0",
        "O(1)",
        "key field",
        "Answers how long the value of a field is, in bytes.",
    ),
    Command::new("hexists", 3, READ_FAST, hexists).keys(LOOK).acl(Categories::HASH).docs(
        Group::Hash,
        "2.0.0",
        "O(1)",
        "key field",
        "Answers whether a hash has a field.",
    ),
    Command::new("hdel", -3, WRITE_FAST, hdel).keys(DELETE).acl(Categories::HASH).docs(
        Group::Hash,
        "2.0.0",
        "O(N) where N is the number of fields",
        "key field [field ...]",
        "Removes fields, and the hash with its last field.",
    ),
    Command::new("hscan", -3, Flags::READONLY, hscan)
        .keys(READ)
        .acl(Categories::HASH)
        .docs(
            Group::Hash,
            "2.8.0",
            "O(COUNT) for a call, O(N) for a whole pass over a hash of N fields",
            "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
            "Answers a page of the fields of a hash, and where the next page begins.",
        )
        .tips(&["nondeterministic_output"]),
];

/// A hash to change, without the fields whose time has come.
fn live_mut<'v>(view: &'v mut View<'_>, key: Key<'_>) -> Result<Option<&'v mut Hash>, WrongType> {
    view.expire_fields(key);
    view.collection_mut::<Hash>(key)
}

/// As [`live_mut`], but an empty hash is made if there is none.
fn live_or_new<'v>(view: &'v mut View<'_>, key: Key<'_>) -> Result<&'v mut Hash, WrongType> {
    view.expire_fields(key);
    view.collection_or_new::<Hash>(key)
}

/// Whether a field has expired that is still stored.
pub(crate) fn has_expired(hash: &Hash, now_ms: u64) -> bool {
    hash.next_expiry().is_some_and(|at_ms| at_ms <= now_ms)
}

fn hset(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let created = set_pairs(view, args, "hset")?;
    reply.count(created);
    Ok(())
}

fn hmset(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    set_pairs(view, args, "hmset")?;
    reply.ok();
    Ok(())
}

/// Sets the fields from argument 2 on; how many are new.
fn set_pairs(view: &mut View<'_>, args: Args<'_>, command: &str) -> Result<usize, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Arity(command.to_owned()));
    }
    let key = args.key(1);
    let hash = live_or_new(view, key)?;
    let fields = (2..args.len()).step_by(2);
    let pairs = fields.len();
    let created = fields.filter(|index| hash.set(args.get(*index), args.get(index + 1))).count();
    view.changed(key, EventClass::HASH, "hset");
    view.add_dirty(pairs as u64 - 1);
    Ok(created)
}

fn hsetnx(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, field) = (args.key(1), args.get(2));
    let hash = live_or_new(view, key)?;
    let is_missing = !hash.contains(field);
    if is_missing {
        hash.set(field, args.get(3));
        view.changed(key, EventClass::HASH, "hset");
    }
    reply.int(i64::from(is_missing));
    Ok(())
}

/// The value of a field that has not expired.
fn value<'v>(view: &'v View<'_>, key: Key<'_>, field: &[u8]) -> Result<Option<Element<'v>>, WrongType> {
    Ok(view.collection::<Hash>(key)?.and_then(|hash| hash.get_at(field, view.now_ms())))
}

fn hget(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    element::bulk_or_null(reply, value(view, args.key(1), args.get(2))?);
    Ok(())
}

fn hmget(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let hash = view.collection::<Hash>(args.key(1))?;
    reply.array(args.len() - 2);
    for field in args.from(2) {
        element::bulk_or_null(reply, hash.and_then(|hash| hash.get_at(field, view.now_ms())));
    }
    Ok(())
}

/// What a reader of a whole hash wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Fields,
    Values,
    Both,
}

fn hgetall(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer_all(view, args.key(1), reply, Wanted::Both)
}

fn hkeys(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer_all(view, args.key(1), reply, Wanted::Fields)
}

fn hvals(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer_all(view, args.key(1), reply, Wanted::Values)
}

fn answer_all(view: &View<'_>, key: Key<'_>, reply: &mut Reply<'_>, wanted: Wanted) -> Outcome {
    let now_ms = view.now_ms();
    let hash = view.collection::<Hash>(key)?;
    let count = hash
        .map_or(0, |hash| if has_expired(hash, now_ms) { hash.iter_at(now_ms).count() } else { hash.len() });
    if wanted == Wanted::Both {
        reply.map(count)
    } else {
        reply.array(count)
    }
    for (field, value, _) in hash.iter().flat_map(|hash| hash.iter_at(now_ms)) {
        if wanted != Wanted::Values {
            element::bulk(reply, field);
        }
        if wanted != Wanted::Fields {
            element::bulk(reply, value);
        }
    }
    Ok(())
}

fn hlen(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(view.collection::<Hash>(args.key(1))?.map_or(0, Hash::len));
    Ok(())
}

fn hstrlen(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(value(view, args.key(1), args.get(2))?.map_or(0, Element::len));
    Ok(())
}

fn hexists(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.int(i64::from(value(view, args.key(1), args.get(2))?.is_some()));
    Ok(())
}

fn hdel(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let removed =
        live_mut(view, key)?.map_or(0, |hash| args.from(2).filter(|field| hash.remove(field)).count());
    report_removed(view, key, removed);
    reply.count(removed);
    Ok(())
}

/// What follows when `count` fields were removed from a hash.
fn report_removed(view: &mut View<'_>, key: Key<'_>, count: usize) {
    if count > 0 {
        view.changed(key, EventClass::HASH, "hdel");
        view.add_dirty(count as u64 - 1);
        view.remove_if_empty::<Hash>(key);
    }
}

fn hscan(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    // A missing key hides wrong options, though no wrong cursor.
    scan::cursor(args, 2)?;
    let now_ms = view.now_ms();
    let Some(hash) = view.collection::<Hash>(args.key(1))? else {
        Scan::answer(reply, |_| (0, 0));
        return Ok(());
    };
    let scan = Scan::parse(args, 2, Grammar::Fields)?;
    Scan::answer(reply, |page| {
        let mut written = 0;
        let visit = |field: Element<'_>, value: Element<'_>, expiry_ms: Option<u64>| {
            let is_expired = expiry_ms.is_some_and(|at_ms| at_ms <= now_ms);
            if is_expired || !scan.matches(field.as_bytes(&mut [0; 20])) {
                return;
            }
            element::bulk(page, field);
            written += 1;
            if !scan.is_without_values {
                element::bulk(page, value);
                written += 1;
            }
        };
        let cursor = hash.scan(scan.cursor, scan.count, visit);
        (cursor, written)
    });
    Ok(())
}

/// What the commands of Redis 7.4 say of a number of fields that is none.
const NO_FIELD_COUNT: &str = "ERR Parameter `numFields` should be greater than 0";

/// Where the fields of an argument list `FIELDS count field ...` stand, which begins at `index` and is the last.
///
/// # Errors
/// Those of Redis 7.4, in its order; `no_count` if the count is no positive number.
fn field_list(
    args: Args<'_>,
    index: usize,
    no_count: &'static str,
) -> Result<std::ops::Range<usize>, CommandError> {
    if !args.is(index, "FIELDS") {
        return Err(CommandError::text(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = args.int(index + 1).ok().and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| *count > 0).ok_or(CommandError::text(no_count))?;
    let first = index + 2;
    if args.len().checked_sub(first) != Some(count) {
        return Err(CommandError::text("ERR The `numfields` parameter must match the number of arguments"));
    }
    Ok(first..args.len())
}

#[cfg(test)]
mod tests;
