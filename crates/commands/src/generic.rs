//! Keys whatever they hold: deleting, asking, listing, whole databases.
//!
//! What must see all keys (KEYS, DBSIZE, FLUSHALL) holds all shards and is one step to everybody else, at a price that its
//! complexity tells. SCAN and RANDOMKEY hold only the shards where they look. OBJECT and what gives a key another
//! name or place are in the files below.

pub mod object;
pub mod relocate;

use rustredis_keyspace::{Covered, Entry, EventClass, View};
use rustredis_resp::Reply;
use rustredis_resp::glob::{self, Case};
use rustredis_resp::reply::Aggregate;

use crate::args::Args;
use crate::command::{Categories, Command, Databases, Flags, Group, KeyFlags, KeySpec, Reach, Rules};
use crate::error::{CommandError, Outcome};
use crate::scan::{Grammar, Scan};

const ALL: &[KeySpec] = &[KeySpec::range(KeyFlags::RO, 1, -1, 1)];
const DELETE_ALL: &[KeySpec] = &[KeySpec::range(KeyFlags::RM.with(KeyFlags::DELETE), 1, -1, 1)];
const SUM_OF_SHARDS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const ALL_SHARDS_SUCCEED: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const KEYSPACE_DANGEROUS: Categories = Categories::KEYSPACE.with(Categories::DANGEROUS);

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("del", -2, Flags::WRITE, del)
        .keys(DELETE_ALL)
        .acl(Categories::KEYSPACE)
        .docs(
            Group::Generic,
            "1.0.0",
            "O(N) where N is the number of keys; large values are freed by another thread",
            "key [key ...]",
            "Deletes keys, and answers how many there were.",
        )
        .tips(SUM_OF_SHARDS),
    Command::new("unlink", -2, Flags::WRITE.with(Flags::FAST), del)
        .keys(DELETE_ALL)
        .acl(Categories::KEYSPACE)
        .docs(
            Group::Generic,
            "4.0.0",
            "O(N) where N is the number of keys; large values are freed by another thread",
            "key [key ...]",
            "Deletes keys, and frees their values elsewhere.",
        )
        .tips(SUM_OF_SHARDS),
    Command::new("exists", -2, Flags::READONLY.with(Flags::FAST), exists)
        .rules(Rules::LOCKLESS)
        .keys(ALL)
        .acl(Categories::KEYSPACE)
        .docs(
            Group::Generic,
            "1.0.0",
            "O(N) where N is the number of keys",
            "key [key ...]",
            "Answers how many of the keys exist; one that is named twice counts twice.",
        )
        .tips(SUM_OF_SHARDS),
    Command::new("type", 2, Flags::READONLY.with(Flags::FAST), type_of)
        .rules(Rules::LOCKLESS)
        .keys(&[KeySpec::one(KeyFlags::RO, 1)])
        .acl(Categories::KEYSPACE)
        .docs(Group::Generic, "1.0.0", "O(1)", "key", "Answers the type of the value at a key."),
    Command::new("touch", -2, Flags::READONLY.with(Flags::FAST), touch)
        .rules(Rules::LOCKLESS)
        .keys(ALL)
        .acl(Categories::KEYSPACE)
        .docs(
            Group::Generic,
            "3.2.1",
            "O(N) where N is the number of keys",
            "key [key ...]",
            "Counts an access to each of the keys, and answers how many exist.",
        )
        .tips(SUM_OF_SHARDS),
    Command::new("keys", 2, Flags::READONLY, keys)
        .reach(Reach::All)
        .acl(KEYSPACE_DANGEROUS)
        .docs(
            Group::Generic,
            "1.0.0",
            "O(N) where N is the number of keys in the database",
            "pattern",
            "Answers all keys that match a pattern.",
        )
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    Command::new("scan", -2, Flags::READONLY, scan)
        .reach(Reach::Scan)
        .acl(Categories::KEYSPACE)
        .docs(
            Group::Generic,
            "2.8.0",
            "O(N) where N is the count; O(M) for a whole iteration, where M is the number of keys in the database",
            "cursor [MATCH pattern] [COUNT count] [TYPE type]",
            "Iterates over the keys of the database, some at a call.",
        )
        .tips(&["nondeterministic_output", "request_policy:special"]),
    Command::new("randomkey", 1, Flags::READONLY, randomkey)
        .reach(Reach::Random)
        .acl(Categories::KEYSPACE)
        .docs(Group::Generic, "1.0.0", "O(1)", "", "Answers one of the keys, each as likely as the others.")
        .tips(&["request_policy:all_shards", "nondeterministic_output"]),
    Command::new("dbsize", 1, Flags::READONLY.with(Flags::FAST), dbsize)
        .reach(Reach::Counts)
        .acl(Categories::KEYSPACE)
        .docs(Group::Server, "1.0.0", "O(1)", "", "Answers the number of keys in the database.")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Command::new("flushdb", -1, Flags::WRITE, flushdb)
        .reach(Reach::All)
        .acl(KEYSPACE_DANGEROUS)
        .docs(
            Group::Server,
            "1.0.0",
            "O(N) where N is the number of keys in the database",
            "[ASYNC | SYNC]",
            "Deletes all keys of the database.",
        )
        .tips(ALL_SHARDS_SUCCEED),
    Command::new("flushall", -1, Flags::WRITE, flushall)
        .reach(Reach::All)
        .databases(Databases::All)
        .acl(KEYSPACE_DANGEROUS)
        .docs(
            Group::Server,
            "1.0.0",
            "O(N) where N is the number of keys in all databases",
            "[ASYNC | SYNC]",
            "Deletes all keys of all databases.",
        )
        .tips(ALL_SHARDS_SUCCEED),
    Command::new("swapdb", 3, Flags::WRITE.with(Flags::FAST), swapdb)
        .reach(Reach::All)
        .databases(Databases::Named(|_| vec![1, 2]))
        .acl(KEYSPACE_DANGEROUS)
        .docs(
            Group::Server,
            "4.0.0",
            "O(N) where N is the number of clients that watch or wait for keys of the two databases",
            "index1 index2",
            "Lets two databases change places.",
        ),
];

fn del(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut deleted = 0;
    for key in args.keys() {
        if view.delete(key) {
            view.changed(key, EventClass::GENERIC, "del");
            deleted += 1;
        }
    }
    reply.int(deleted);
    Ok(())
}

fn exists(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(args.keys().filter(|key| view.read_untouched(*key).is_some()).count());
    Ok(())
}

fn type_of(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.simple(view.read_untouched(args.key(1)).map_or("none", |entry| entry.kind().name()));
    Ok(())
}

fn touch(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(args.keys().filter(|key| view.read(*key).is_some()).count());
    Ok(())
}

fn keys(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let pattern = args.get(1);
    let mark = reply.mark();
    let mut count = 0;
    view.for_each(|entry| {
        if pattern == b"*" || glob::matches(pattern, entry.key(), Case::Sensitive) {
            reply.bulk(entry.key());
            count += 1;
        }
    });
    reply.close(mark, Aggregate::Array, count);
    Ok(())
}

fn scan(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let scan = Scan::parse(args, 1, Grammar::Keys)?;
    Scan::answer(reply, |keys| {
        let mut count = 0;
        let cursor = view.scan(scan.cursor, scan.count, |entry| {
            let is_of_kind =
                scan.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(entry.kind().name().as_bytes()));
            if is_of_kind && scan.matches(entry.key()) {
                keys.bulk(entry.key());
                count += 1;
            }
        });
        (cursor, count)
    });
    Ok(())
}

fn randomkey(view: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let shard = match view.covered() {
        Covered::None => None,
        Covered::One(shard) => Some(shard),
        Covered::Many(shards) => shards.first().map(|shard| *shard as usize),
        Covered::All => {
            let rank = view.random().below(view.len().max(1));
            view.store().shard_of_rank(view.db(), rank)
        }
    };
    reply.bulk_or_null(shard.and_then(|shard| view.random_in_shard(shard)).map(Entry::key));
    Ok(())
}

fn dbsize(view: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(view.len());
    Ok(())
}

fn flushdb(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_flush_options(args)?;
    let removed = view.clear();
    view.add_dirty(removed as u64);
    reply.ok();
    Ok(())
}

fn flushall(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_flush_options(args)?;
    let selected = view.db();
    for db in view.store().databases_in_use() {
        view.select(db);
        let removed = view.clear();
        view.add_dirty(removed as u64);
    }
    view.select(selected);
    // Also where no database is in use, for who tracks is told of it.
    view.clear();
    view.effects.has_flushed_all = true;
    // Counted once more even if there was nothing, as Redis does.
    view.add_dirty(1);
    reply.ok();
    Ok(())
}

/// ASYNC and SYNC are accepted and make no difference: large tables are always freed elsewhere.
fn check_flush_options(args: Args<'_>) -> Outcome {
    match args.len() {
        1 => Ok(()),
        2 if args.is(1, "SYNC") || args.is(1, "ASYNC") => Ok(()),
        _ => Err(CommandError::Syntax),
    }
}

fn swapdb(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let parse = |index: usize, error: &'static str| {
        args.int_in(index, i64::from(i32::MIN)..=i64::from(i32::MAX)).map_err(|_| CommandError::text(error))
    };
    let first = parse(1, "ERR invalid first DB index")?;
    let second = parse(2, "ERR invalid second DB index")?;
    let (first, second) = (existing_database(view, first)?, existing_database(view, second)?);
    view.swap_databases(first, second);
    view.add_dirty(1);
    reply.ok();
    Ok(())
}

/// Argument `index` as a database.
///
/// # Errors
/// `NotInteger`, a range error beyond 32 bits, or `DbIndex`.
pub(crate) fn database(view: &View<'_>, args: Args<'_>, index: usize) -> Result<usize, CommandError> {
    let db = args.int(index)?;
    if i32::try_from(db).is_err() {
        return Err(CommandError::text(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ));
    }
    existing_database(view, db)
}

fn existing_database(view: &View<'_>, db: i64) -> Result<usize, CommandError> {
    usize::try_from(db).ok().filter(|db| *db < view.store().databases()).ok_or(CommandError::DbIndex)
}

#[cfg(test)]
mod tests;
