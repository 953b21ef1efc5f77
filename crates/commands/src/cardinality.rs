//! HyperLogLogs at keys: PFADD, PFCOUNT, PFMERGE. Registers and estimates are in [`crate::hyperloglog`].
//!
//! PFCOUNT of one key stores the estimate in the string's header, so that the next one need not compute it. Redis calls it a
//! reader all the same, whose key is read and written; here the key's flags make the plan exclusive.
//! Where a view is shared nevertheless, the estimate is answered and not stored.

use rustredis_keyspace::limits::LIMITS;
use rustredis_keyspace::value::IsRaw;
use rustredis_keyspace::{Access, EventClass, Key, Value, View};
use rustredis_resp::Reply;

use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec, Rules};
use crate::error::{CommandError, Outcome};
use crate::hyperloglog::{self, Encoding, HyperLogLogError, Union};

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("pfadd", -2, Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST), pfadd)
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::INSERT), 1)])
        .acl(Categories::HYPERLOGLOG)
        .docs(
            Group::HyperLogLog,
            "2.8.9",
            "O(1) for each element",
            "key [element [element ...]]",
            "Counts elements in a HyperLogLog, which is made if the key is missing.",
        ),
    // A stored estimate is a change, which the append-only file must have as well.
    Command::new("pfcount", -2, Flags::READONLY.with(Flags::MAY_REPLICATE), pfcount)
        .keys(&[KeySpec::range(KeyFlags::RW.with(KeyFlags::ACCESS), 1, -1, 1)
            .notes("May store the estimate in the value")])
        .acl(Categories::HYPERLOGLOG)
        .docs(
            Group::HyperLogLog,
            "2.8.9",
            "O(1) for one key whose estimate is known; O(N) with a large factor for N keys",
            "key [key ...]",
            "Estimates how many distinct elements were counted at the keys together.",
        ),
    Command::new("pfmerge", -2, Flags::WRITE.with(Flags::DENYOOM), pfmerge)
        .keys(&[
            KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::INSERT), 1),
            KeySpec::range(KeyFlags::RO.with(KeyFlags::ACCESS), 2, -1, 1),
        ])
        .acl(Categories::HYPERLOGLOG)
        .docs(
            Group::HyperLogLog,
            "2.8.9",
            "O(N) with a large factor, where N is the number of keys",
            "destkey [sourcekey [sourcekey ...]]",
            "Merges HyperLogLogs into the first one.",
        ),
    Command::new("pfdebug", 3, Flags::WRITE.with(Flags::DENYOOM).with(Flags::ADMIN), pfdebug)
        .rules(Rules::SYSTEM)
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS), 2)])
        .acl(Categories::HYPERLOGLOG)
        .docs(
            Group::HyperLogLog,
            "2.8.9",
            "Depends on the subcommand",
            "subcommand key",
            "Shows the inside of a HyperLogLog (for tests).",
        ),
    Command::new("pfselftest", 1, Flags::ADMIN, pfselftest)
        .rules(Rules::SYSTEM)
        .acl(Categories::HYPERLOGLOG)
        .docs(Group::HyperLogLog, "2.8.9", "O(1), and slow", "", "Tests the HyperLogLog code (for tests)."),
];

impl From<HyperLogLogError> for CommandError {
    fn from(error: HyperLogLogError) -> Self {
        Self::owned(error.to_string())
    }
}

fn sparse_bytes_max() -> usize {
    LIMITS.hll_sparse_max_bytes() as usize
}

/// Replaces the string at the key, or makes the key.
fn replace(view: &mut View<'_>, key: Key<'_>, bytes: Vec<u8>) -> Outcome {
    match view.string_mut(key)? {
        Some(entry) => {
            entry.set_bytes(&bytes);
            entry.set_raw(IsRaw::Yes);
        }
        None => view.insert(key, Value::String(bytes, IsRaw::Yes), None),
    }
    Ok(())
}

fn pfadd(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let mut updates = 0;
    let sparse = match view.string_mut(key)? {
        Some(entry) => match hyperloglog::encoding(entry.bytes())? {
            Encoding::Dense => {
                for element in args.from(2) {
                    updates += u64::from(hyperloglog::add_to_dense(entry.bytes_mut(), element));
                }
                None
            }
            // A copy, which is thrown away if it turns out to be corrupted. Redis keeps what the elements before that one have
            // changed, but not in its journal: what a replay makes would differ.
            Encoding::Sparse => Some(entry.bytes().to_vec()),
        },
        None => {
            updates += 1;
            Some(hyperloglog::create())
        }
    };
    if let Some(mut bytes) = sparse {
        for element in args.from(2) {
            updates += u64::from(hyperloglog::add(&mut bytes, element, sparse_bytes_max())?);
        }
        if updates > 0 {
            replace(view, key, bytes)?;
        }
    }
    if updates > 0 {
        view.changed(key, EventClass::STRING, "pfadd");
        view.add_dirty(updates - 1);
    }
    reply.int(i64::from(updates > 0));
    Ok(())
}

fn pfcount(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() > 2 {
        reply.int(union(view, args)?.count() as i64);
        return Ok(());
    }
    let key = args.key(1);
    let Some(bytes) = view.string(key)? else {
        reply.int(0);
        return Ok(());
    };
    let count = match hyperloglog::cached_count(bytes)? {
        Some(count) => count,
        None => {
            let count = hyperloglog::count(bytes)?;
            if view.access() == Access::Write {
                store_count(view, key, count)?;
            }
            count
        }
    };
    reply.int(count as i64);
    Ok(())
}

fn store_count(view: &mut View<'_>, key: Key<'_>, count: u64) -> Outcome {
    if let Some(entry) = view.string_mut(key)? {
        entry.set_raw(IsRaw::Yes);
        hyperloglog::store_count(entry.bytes_mut(), count)?;
        view.changed_silently(key);
    }
    Ok(())
}

/// The union of all keys that are there.
fn union(view: &View<'_>, args: Args<'_>) -> Result<Union, CommandError> {
    let mut union = Union::new();
    for index in 1..args.len() {
        if let Some(bytes) = view.string(args.key(index))? {
            union.include(bytes)?;
        }
    }
    Ok(union)
}

fn pfmerge(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let union = union(view, args)?;
    let mut bytes = view.string(key)?.map_or_else(hyperloglog::create, <[u8]>::to_vec);
    union.write_to(&mut bytes, sparse_bytes_max())?;
    replace(view, key, bytes)?;
    view.changed(key, EventClass::STRING, "pfadd");
    reply.ok();
    Ok(())
}

fn pfdebug(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(2);
    let bytes = view.string(key)?.ok_or(CommandError::text("ERR The specified key does not exist"))?;
    let encoding = hyperloglog::encoding(bytes)?;
    if args.is(1, "ENCODING") {
        reply.simple(encoding.name());
    } else if args.is(1, "DECODE") {
        let decoded = hyperloglog::decode(bytes)?;
        reply.text(&decoded.ok_or(CommandError::text("ERR HLL encoding is not sparse"))?);
    } else if args.is(1, "GETREG") {
        let mut registers = Union::new();
        registers.include(bytes)?;
        reply.array(registers.registers().len());
        registers.registers().iter().for_each(|register| reply.int(i64::from(*register)));
        // As in Redis, which unpacks the value in order to read its registers.
        store_dense(view, key)?;
    } else if args.is(1, "TODENSE") {
        store_dense(view, key)?;
        reply.int(i64::from(encoding == Encoding::Sparse));
    } else {
        return Err(CommandError::quoting("ERR Unknown PFDEBUG subcommand '", args.get(1), "'"));
    }
    Ok(())
}

/// Makes a sparse value a dense one.
fn store_dense(view: &mut View<'_>, key: Key<'_>) -> Outcome {
    let Some(bytes) = view.string(key)? else { return Ok(()) };
    if hyperloglog::encoding(bytes)? == Encoding::Sparse {
        let mut dense = bytes.to_vec();
        hyperloglog::make_dense(&mut dense)?;
        replace(view, key, dense)?;
        view.changed_silently(key);
    }
    Ok(())
}

fn pfselftest(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    hyperloglog::self_test().map_err(CommandError::owned)?;
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, check};

    #[test]
    fn elements_are_counted_once() {
        let mut harness = Harness::new();
        check(&mut harness, "PFADD h", ":1");
        check(&mut harness, "PFADD h", ":0");
        check(&mut harness, "PFADD h a b c", ":1");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["pfadd h".to_owned()], 3));
        check(&mut harness, "PFCOUNT h", ":3");
        assert_eq!(harness.effects.dirty, 1);
        check(&mut harness, "PFCOUNT h", ":3");
        assert_eq!(harness.effects.dirty, 0);
        check(&mut harness, "GETRANGE h 15 15", "$1 \0");
        check(&mut harness, "PFADD h a b", ":0");
        check(&mut harness, "PFDEBUG TODENSE h", ":1");
        check(&mut harness, "PFADD h a d", ":1");
        check(&mut harness, "PFADD h a d", ":0");
        check(&mut harness, "PFCOUNT h", ":4");
        check(&mut harness, "PFCOUNT missing", ":0");
    }

    #[test]
    fn several_are_counted_and_merged_as_one() {
        let mut harness = Harness::new();
        harness.run("PFADD a 1 2 3");
        harness.run("PFADD b 3 4");
        check(&mut harness, "PFCOUNT a b missing", ":4");
        check(&mut harness, "PFMERGE to a b", "+OK");
        assert_eq!(harness.events(), ["pfadd to"]);
        check(&mut harness, "PFCOUNT to", ":4");
        check(&mut harness, "PFDEBUG ENCODING to", "+sparse");
    }

    #[test]
    fn other_strings_are_refused() {
        let mut harness = Harness::new();
        harness.run("SET s foo");
        harness.run("PFADD h a");
        let refused = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
        for line in
            ["PFADD s a", "PFCOUNT s", "PFCOUNT h s", "PFMERGE s h", "PFMERGE h s", "PFDEBUG ENCODING s"]
        {
            check(&mut harness, line, refused);
        }
        check(&mut harness, "PFDEBUG ENCODING missing", "-ERR The specified key does not exist");
        check(&mut harness, "PFDEBUG FOO h", "-ERR Unknown PFDEBUG subcommand 'FOO'");
        harness.run("PFDEBUG TODENSE h");
        check(&mut harness, "PFDEBUG DECODE h", "-ERR HLL encoding is not sparse");
    }

    #[test]
    fn to_show_registers_is_to_unpack_them() {
        let mut harness = Harness::new();
        harness.run("PFADD h a");
        harness.run("PFDEBUG GETREG h");
        assert_eq!(harness.effects.dirty, 1);
        check(&mut harness, "PFDEBUG ENCODING h", "+dense");
        harness.run("PFDEBUG GETREG h");
        assert_eq!(harness.effects.dirty, 0);
    }
}
