//! A key gets another name or another place: RENAME, RENAMENX, COPY, MOVE.
//!
//! A database is a table in the same shard, so MOVE stays within one shard, and COPY ... DB needs no more than the shards of
//! its two keys.

use rustredis_keyspace::{Entry, EventClass, Key, Kind, Value, View};
use rustredis_resp::Reply;

use super::database;
use crate::args::Args;
use crate::command::{Categories, Command, Databases, Flags, Group, KeyFlags, KeySpec};
use crate::error::{CommandError, Outcome};

const FROM: KeySpec = KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE), 1);
const SAME_OBJECT: CommandError = CommandError::text("ERR source and destination objects are the same");

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("rename", 3, Flags::WRITE, rename)
        .keys(&[FROM, KeySpec::one(KeyFlags::OW.with(KeyFlags::UPDATE), 2)])
        .acl(Categories::KEYSPACE)
        .docs(
            Group::Generic,
            "1.0.0",
            "O(1)",
            "key newkey",
            "Gives a key another name; a key that had it is replaced.",
        ),
    Command::new("renamenx", 3, Flags::WRITE.with(Flags::FAST), renamenx)
        .keys(&[FROM, KeySpec::one(KeyFlags::OW.with(KeyFlags::INSERT), 2)])
        .acl(Categories::KEYSPACE)
        .docs(Group::Generic, "1.0.0", "O(1)", "key newkey", "Gives a key another name, if no key has it."),
    Command::new("copy", -3, Flags::WRITE.with(Flags::DENYOOM), copy)
        .keys(&[
            KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1),
            KeySpec::one(KeyFlags::OW.with(KeyFlags::UPDATE), 2),
        ])
        .databases(Databases::Named(|args| {
            (3..args.len()).filter(|index| args.is(*index, "DB")).map(|index| index + 1).collect()
        }))
        .acl(Categories::KEYSPACE)
        .docs(
            Group::Generic,
            "6.2.0",
            "O(N) where N is the number of elements of the value; O(1) for strings",
            "source destination [DB destination-db] [REPLACE]",
            "Copies a value with its expiry to another key.",
        ),
    Command::new("move", 3, Flags::WRITE.with(Flags::FAST), move_command)
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE), 1)])
        .databases(Databases::Named(|_| vec![2]))
        .acl(Categories::KEYSPACE)
        .docs(Group::Generic, "1.0.0", "O(1)", "key db", "Moves a key to another database."),
];

/// How a value goes on elsewhere, besides its content.
#[derive(Clone, Copy)]
struct Manner {
    expire_at_ms: Option<u64>,
    /// Whether a string stays text though it reads as an integer.
    is_text: bool,
}

impl Manner {
    fn of(entry: &Entry) -> Self {
        let is_text = entry.kind() == Kind::String && entry.is_text();
        Self { expire_at_ms: entry.expire_at_ms(), is_text }
    }
}

/// Stores `value` as it was elsewhere: with its expiry, and its fields' expiries tracked. What was there goes first: the key comes
/// into being anew, and serves who waits for it.
fn put(view: &mut View<'_>, key: Key<'_>, value: Value, manner: Manner) {
    let next_field_expiry = match &value {
        Value::Hash(hash) => hash.next_expiry(),
        _ => None,
    };
    view.delete(key);
    view.insert(key, value, manner.expire_at_ms);
    if manner.is_text
        && let Ok(Some(entry)) = view.string_mut(key)
    {
        entry.set_text();
    }
    if let Some(at_ms) = next_field_expiry {
        view.track_field_expiry(key, at_ms);
    }
}

/// Puts a key's entry under another name or into another database; when it was used last goes along.
fn put_entry(view: &mut View<'_>, key: Key<'_>, entry: Entry) {
    let (manner, clock) = (Manner::of(&entry), entry.clock());
    put(view, key, entry.into_value(), manner);
    if let Some(entry) = view.peek(key) {
        entry.set_clock(clock);
    }
}

fn rename(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to) = (args.key(1), args.key(2));
    if !view.exists(from) {
        return Err(CommandError::NoSuchKey);
    }
    if from.bytes != to.bytes {
        give_name(view, from, to);
    }
    reply.ok();
    Ok(())
}

fn renamenx(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to) = (args.key(1), args.key(2));
    if !view.exists(from) {
        return Err(CommandError::NoSuchKey);
    }
    let is_free = !view.exists(to);
    if is_free {
        give_name(view, from, to);
    }
    reply.int(i64::from(is_free));
    Ok(())
}

fn give_name(view: &mut View<'_>, from: Key<'_>, to: Key<'_>) {
    if let Some(entry) = view.remove(from) {
        put_entry(view, to, entry);
        changed_together(view, |view| view.changed(from, EventClass::GENERIC, "rename_from"));
        view.changed(to, EventClass::GENERIC, "rename_to");
    }
}

/// Reports a change that is one with another: watchers and events are told, but it counts as nothing of its own.
fn changed_together(view: &mut View<'_>, report: impl FnOnce(&mut View<'_>)) {
    let dirty = view.effects.dirty;
    report(view);
    view.effects.dirty = dirty;
}

fn copy(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to) = (args.key(1), args.key(2));
    let from_db = view.db();
    let (mut to_db, mut replaces) = (from_db, false);
    let mut index = 3;
    while index < args.len() {
        if args.is(index, "REPLACE") {
            replaces = true;
        } else if args.is(index, "DB") && index + 1 < args.len() {
            index += 1;
            to_db = database(view, args, index)?;
        } else {
            return Err(CommandError::Syntax);
        }
        index += 1;
    }
    if from_db == to_db && from.bytes == to.bytes {
        return Err(SAME_OBJECT);
    }
    let is_copied = view.read(from).is_some() && (replaces || !exists_in(view, to_db, to));
    if is_copied && let Some(entry) = view.peek(from) {
        let (value, manner) = (entry.to_value(), Manner::of(entry));
        view.select(to_db);
        put(view, to, value, manner);
        view.changed(to, EventClass::GENERIC, "copy_to");
        view.select(from_db);
    }
    reply.int(i64::from(is_copied));
    Ok(())
}

fn move_command(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let (from_db, to_db) = (view.db(), database(view, args, 2)?);
    if from_db == to_db {
        return Err(SAME_OBJECT);
    }
    if !view.exists(key) || exists_in(view, to_db, key) {
        reply.int(0);
        return Ok(());
    }
    if let Some(entry) = view.remove(key) {
        changed_together(view, |view| view.changed(key, EventClass::GENERIC, "move_from"));
        view.select(to_db);
        put_entry(view, key, entry);
        view.changed(key, EventClass::GENERIC, "move_to");
        view.select(from_db);
    }
    reply.int(1);
    Ok(())
}

fn exists_in(view: &mut View<'_>, db: usize, key: Key<'_>) -> bool {
    let selected = view.db();
    view.select(db);
    let exists = view.exists(key);
    view.select(selected);
    exists
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, check};

    #[test]
    fn a_renamed_key_keeps_its_expiry_and_replaces_another() {
        let mut harness = Harness::new();
        harness.run("SET a 1 PX 10");
        harness.run("SET b 2");
        check(&mut harness, "RENAME a b", "+OK");
        assert_eq!(harness.events(), ["rename_from a", "rename_to b"]);
        assert_eq!(harness.effects.dirty, 1);
        check(&mut harness, "MGET a b", "*2 $-1 $1 1");
        check(&mut harness, "RENAMENX b b", ":0");
        check(&mut harness, "RENAME b b", "+OK");
        assert_eq!(harness.effects.dirty, 0);
        harness.now_ms += 10;
        check(&mut harness, "GET b", "$-1");
        check(&mut harness, "RENAME b c", "-ERR no such key");
        check(&mut harness, "RENAMENX b c", "-ERR no such key");
    }

    #[test]
    fn renamenx_takes_only_a_free_name() {
        let mut harness = Harness::new();
        harness.run("MSET a 1 b 2");
        check(&mut harness, "RENAMENX a b", ":0");
        check(&mut harness, "RENAMENX a c", ":1");
        check(&mut harness, "MGET a b c", "*3 $-1 $1 2 $1 1");
    }

    #[test]
    fn a_copy_goes_to_another_key_or_database() {
        let mut harness = Harness::new();
        harness.run("SET a 1 PX 10");
        harness.run("SET b 2");
        check(&mut harness, "INCRBYFLOAT text 3", "$1 3");
        check(&mut harness, "COPY text copied", ":1");
        check(&mut harness, "RENAME copied renamed", "+OK");
        check(&mut harness, "MOVE text 1", ":1");
        check(&mut harness, "OBJECT ENCODING renamed", "$6 embstr");
        check(&mut harness, "DEL renamed", ":1");
        check(&mut harness, "COPY a a", "-ERR source and destination objects are the same");
        check(&mut harness, "COPY a b", ":0");
        check(&mut harness, "COPY a b REPLACE", ":1");
        assert_eq!(harness.events(), ["copy_to b"]);
        check(&mut harness, "COPY missing b REPLACE", ":0");
        check(&mut harness, "COPY a a DB 3", ":1");
        check(&mut harness, "COPY a a DB 16", "-ERR DB index is out of range");
        check(&mut harness, "COPY a b DB", "-ERR syntax error");
        check(
            &mut harness,
            "COPY a b DB 99999999999",
            "-ERR value is out of range, value must between -2147483648 and 2147483647",
        );
        harness.db = 3;
        check(&mut harness, "GET a", "$1 1");
        harness.now_ms += 10;
        check(&mut harness, "GET a", "$-1");
    }

    #[test]
    fn a_copied_collection_is_another_one() {
        let mut harness = Harness::new();
        harness.run("SADD s a b");
        harness.run("COPY s t");
        harness.run("SREM t a");
        check(&mut harness, "SCARD s", ":2");
        check(&mut harness, "SCARD t", ":1");
    }

    #[test]
    fn a_key_moves_between_databases() {
        let mut harness = Harness::new();
        harness.run("SET a 1");
        check(&mut harness, "MOVE a 0", "-ERR source and destination objects are the same");
        check(&mut harness, "MOVE a 1", ":1");
        assert_eq!(harness.events(), ["move_from a", "move_to a"]);
        assert_eq!(
            harness.effects.events.iter().filter(|e| e.name != "new").map(|e| e.db).collect::<Vec<_>>(),
            [0, 1]
        );
        check(&mut harness, "MOVE a 1", ":0");
        harness.run("SET a 2");
        check(&mut harness, "MOVE a 1", ":0");
        harness.db = 1;
        check(&mut harness, "GET a", "$1 1");
    }
}
