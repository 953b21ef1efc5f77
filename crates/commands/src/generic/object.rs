//! OBJECT: how a value is stored, and how lately or often it was used.

use rustredis_keyspace::access_clock::{self, ACCESS_POLICY};
use rustredis_keyspace::types::{hash::Hash, list::List, set::Set, zset::ZSet};
use rustredis_keyspace::{Entry, Kind, View};
use rustredis_resp::{Reply, number};
use std::sync::atomic::Ordering::Relaxed;

use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::error::{CommandError, Outcome};

/// Longest string that Redis keeps in one block with its header.
const EMBSTR_BYTES_MAX: usize = 44;

/// Integers of which Redis keeps one copy for all keys.
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;

const KEY: &[KeySpec] = &[KeySpec::one(KeyFlags::RO, 2)];
const TIPS: &[&str] = &["nondeterministic_output"];

/// The row, with its subcommands.
pub const ROWS: &[Command] = &[Command::container("object", -2, SUBCOMMANDS).docs(
    Group::Generic,
    "2.2.3",
    "Depends on the subcommand",
    "",
    "Tells how values are stored and used.",
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("encoding", 3, Flags::READONLY, encoding_command)
        .keys(KEY)
        .acl(Categories::KEYSPACE)
        .docs(Group::Generic, "2.2.3", "O(1)", "key", "Answers how the value at a key is encoded.")
        .tips(TIPS),
    Command::new("freq", 3, Flags::READONLY, freq)
        .keys(KEY)
        .acl(Categories::KEYSPACE)
        .docs(
            Group::Generic,
            "4.0.0",
            "O(1)",
            "key",
            "Answers how often a key is used, on a logarithmic scale.",
        )
        .tips(TIPS),
    Command::new("idletime", 3, Flags::READONLY, idletime)
        .keys(KEY)
        .acl(Categories::KEYSPACE)
        .docs(Group::Generic, "2.2.3", "O(1)", "key", "Answers how many seconds ago a key was used last.")
        .tips(TIPS),
    Command::new("refcount", 3, Flags::READONLY, refcount)
        .keys(KEY)
        .acl(Categories::KEYSPACE)
        .docs(Group::Generic, "2.2.3", "O(1)", "key", "Answers how many references to the value there are.")
        .tips(TIPS),
    Command::new("help", 2, Flags::LOADING.with(Flags::STALE), help).acl(Categories::KEYSPACE).docs(
        Group::Generic,
        "6.2.0",
        "O(1)",
        "",
        "Lists the subcommands.",
    ),
];

/// The name of the encoding that Redis would have for this value.
pub fn encoding(entry: &Entry) -> &'static str {
    match entry.kind() {
        Kind::String => string_encoding(entry),
        Kind::List => entry.collection::<List>().map_or("quicklist", List::encoding),
        Kind::Set => entry.collection::<Set>().map_or("hashtable", Set::encoding),
        Kind::ZSet => entry.collection::<ZSet>().map_or("skiplist", ZSet::encoding),
        Kind::Hash => entry.collection::<Hash>().map_or("hashtable", Hash::encoding),
        Kind::Stream => "stream",
    }
}

fn string_encoding(entry: &Entry) -> &'static str {
    let bytes = entry.bytes();
    if entry.is_raw() || bytes.len() > EMBSTR_BYTES_MAX {
        "raw"
    } else if !entry.is_text() && number::parse_i64(bytes).is_some() {
        "int"
    } else {
        "embstr"
    }
}

fn encoding_command(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let encoding = view.read_untouched(args.key(2)).map(encoding);
    reply.bulk_or_null(encoding.map(str::as_bytes));
    Ok(())
}

fn freq(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now_ms = view.now_ms();
    let Some(entry) = view.read_untouched(args.key(2)) else {
        reply.null();
        return Ok(());
    };
    if !ACCESS_POLICY.is_lfu.load(Relaxed) {
        return Err(CommandError::text(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    reply.int(i64::from(access_clock::frequency(entry.clock(), now_ms)));
    Ok(())
}

fn idletime(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now_ms = view.now_ms();
    let Some(entry) = view.read_untouched(args.key(2)) else {
        reply.null();
        return Ok(());
    };
    if ACCESS_POLICY.is_lfu.load(Relaxed) {
        return Err(CommandError::text(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    reply.int(i64::from(access_clock::idle_seconds(entry.clock(), now_ms)));
    Ok(())
}

/// A value has one owner here, always. Redis shares small integers and answers a count without meaning for them, which is
/// answered too because tools tell shared values by it.
fn refcount(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(entry) = view.read_untouched(args.key(2)) else {
        reply.null();
        return Ok(());
    };
    let is_shared = encoding(entry) == "int"
        && !ACCESS_POLICY.decides_eviction.load(Relaxed)
        && number::parse_i64(entry.bytes()).is_some_and(|integer| SHARED_INTEGERS.contains(&integer));
    reply.int(if is_shared { i64::from(i32::MAX) } else { 1 });
    Ok(())
}

fn help(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    const LINES: &[&str] = &[
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Tells how the value at the key is encoded.",
        "FREQ <key>",
        "    Tells how often the key is used: the logarithm of a counter that decays.",
        "    Needs a maxmemory-policy of the LFU kind.",
        "IDLETIME <key>",
        "    Tells how many seconds ago the key was used last.",
        "REFCOUNT <key>",
        "    Tells how many references to the value there are.",
        "HELP",
        "    Shows these lines.",
    ];
    reply.array(LINES.len());
    LINES.iter().for_each(|line| reply.simple(line));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, check};

    #[test]
    fn a_string_has_one_of_three_encodings() {
        let mut harness = Harness::new();
        let (embedded, long) = ("x".repeat(44), "x".repeat(45));
        for (setup, expected) in [
            ("SET k 12345".to_owned(), "int"),
            ("SET k -9223372036854775808".to_owned(), "int"),
            ("SET k 9223372036854775808".to_owned(), "embstr"),
            ("SET k 01".to_owned(), "embstr"),
            (format!("SET k {embedded}"), "embstr"),
            (format!("SET k {long}"), "raw"),
            ("SET k 1".to_owned(), "int"),
            ("APPEND k 2".to_owned(), "raw"),
            ("INCR k".to_owned(), "int"),
            ("SETRANGE k 0 1".to_owned(), "raw"),
        ] {
            harness.run(&setup);
            check(&mut harness, "OBJECT ENCODING k", &format!("${} {expected}", expected.len()));
        }
        check(&mut harness, "OBJECT ENCODING missing", "$-1");
    }

    #[test]
    fn looking_is_no_use() {
        let mut harness = Harness::new();
        harness.run("SET k v");
        harness.now_ms += 5_000;
        harness.run("EXISTS k");
        harness.run("TYPE k");
        harness.run("OBJECT ENCODING k");
        check(&mut harness, "OBJECT IDLETIME k", ":5");
        harness.run("TOUCH k");
        check(&mut harness, "OBJECT IDLETIME k", ":0");
        check(&mut harness, "OBJECT REFCOUNT k", ":1");
        harness.run("MSET small 9999 large 10000");
        check(&mut harness, "OBJECT REFCOUNT small", ":2147483647");
        check(&mut harness, "OBJECT REFCOUNT large", ":1");
        assert!(harness.run("OBJECT FREQ k").starts_with("-ERR An LFU maxmemory policy is not selected"));
        check(&mut harness, "OBJECT FREQ missing", "$-1");
        check(&mut harness, "OBJECT", "-ERR wrong number of arguments for 'object' command");
        check(&mut harness, "OBJECT FOO k", "-ERR unknown subcommand 'FOO'. Try OBJECT HELP.");
    }
}
