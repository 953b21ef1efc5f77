//! The plan of a command: which shards it must hold, and whether others may share them.
//!
//! The only reading of a row's reach. What runs commands, what lets them in, what routes them at a load and what says on which
//! places of the journal a reply depends: each asks here, so that no two of them can differ. A plan is made from the row, the
//! arguments with their hashed keys, and the little that a reach may ask of the surroundings ([`PlanContext`]); it knows no
//! engine. Several shards are written to a buffer of the caller, so that a plan allocates nothing.
//!
//! Deliberately absent: a plan that follows what a command finds. A command that needs more than its plan says is run again
//! with a plan of everything.

use rustredis_keyspace::view::cursor_shard;
use rustredis_keyspace::{Access, Covered, Random, Store};

use crate::args::{Args, KeyRef};
use crate::command::{Command, Reach};
use crate::registry::Row;

/// Most keys that the COUNT of a SCAN has held for at once.
const SCANNED_KEYS_MAX: i64 = 1 << 20;
/// The COUNT of a SCAN that names none.
const SCANNED_KEYS: usize = 10;

/// What a plan asks besides the command.
#[derive(Clone, Copy)]
pub struct PlanContext<'a> {
    /// The shards, and how many keys each has.
    pub store: &'a Store,
    /// The selected database.
    pub db: usize,
    /// What RANDOMKEY draws from.
    pub random: &'a Random,
    /// Whether replies wait for a disk.
    pub is_durability_awaited: bool,
}

/// What must be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan<'s> {
    /// The shards.
    pub shards: Covered<'s>,
    /// Whether others may read them meanwhile.
    pub access: Access,
}

impl<'s> Plan<'s> {
    /// The plan of a command whose keys are hashed. The shards of several keys stand in `buffer`.
    pub fn of(row: &Row, args: Args<'_>, context: PlanContext<'_>, buffer: &'s mut Vec<u32>) -> Self {
        let PlanContext { store, db, random, is_durability_awaited } = context;
        let keys = args.key_refs();
        let shards = match row.command.reach {
            Reach::Keys => cover(store, keys, buffer),
            Reach::All => Covered::All,
            // A shard counts a key before the journal has the place that the reply would have to wait for.
            Reach::Counts if is_durability_awaited => Covered::All,
            Reach::Counts => Covered::None,
            Reach::AllIf(is_far) if is_far(args) => Covered::All,
            Reach::AllIf(_) => cover(store, keys, buffer),
            Reach::Random => {
                let keys = store.keys(db);
                let shard = if keys == 0 { None } else { store.shard_of_rank(db, random.below(keys)) };
                Covered::One(shard.unwrap_or(0))
            }
            Reach::Scan => scanned(store, db, args, buffer),
        };
        Self { shards, access: row.access }
    }

    /// Whether the shard that a plan has drawn was emptied before it was held, and there are keys in others.
    pub fn is_drawn_in_vain(&self, row: &Row, store: &Store, db: usize) -> bool {
        match (row.command.reach, self.shards) {
            (Reach::Random, Covered::One(shard)) => store.keys_in_shard(db, shard) == 0 && store.keys(db) > 0,
            _ => false,
        }
    }

    /// One plan for all these commands, whose keys are hashed, and for watched keys of these hashes. What is more than its keys'
    /// shards is everything, for what a command reaches may depend on those before it.
    pub fn union<'a>(
        commands: impl Iterator<Item = (&'a Row, Args<'a>)>,
        watched: impl Iterator<Item = u64>,
        store: &Store,
        buffer: &'s mut Vec<u32>,
    ) -> Self {
        let (mut access, mut is_everything) = (Access::Read, false);
        buffer.clear();
        for (row, args) in commands {
            if row.access == Access::Write {
                access = Access::Write;
            }
            is_everything |= !row.reaches_keys_alone(args);
            buffer.extend(args.key_refs().iter().map(|key| store.shard_of(key.hash) as u32));
        }
        for hash in watched {
            // To end a watch is to change what stands at the key.
            access = Access::Write;
            buffer.push(store.shard_of(hash) as u32);
        }
        let shards = if is_everything { Covered::All } else { sorted(buffer) };
        Self { shards, access }
    }
}

/// The shards of these keys: none, one, or several ascending in `buffer`.
#[inline]
pub fn cover<'s>(store: &Store, keys: &[KeyRef], buffer: &'s mut Vec<u32>) -> Covered<'s> {
    match keys {
        [] => Covered::None,
        [key] => Covered::One(store.shard_of(key.hash)),
        keys => {
            buffer.clear();
            buffer.extend(keys.iter().map(|key| store.shard_of(key.hash) as u32));
            sorted(buffer)
        }
    }
}

fn sorted(shards: &mut Vec<u32>) -> Covered<'_> {
    shards.sort_unstable();
    shards.dedup();
    Covered::of(shards)
}

/// The shards from a SCAN's cursor on that have so many keys as it wants.
fn scanned<'s>(store: &Store, db: usize, args: Args<'_>, buffer: &'s mut Vec<u32>) -> Covered<'s> {
    let cursor = rustredis_resp::number::parse_u64(args.get(1)).unwrap_or(0);
    let count = (2..args.len().saturating_sub(1))
        .find(|index| args.is(*index, "COUNT"))
        .and_then(|index| args.int(index + 1).ok())
        .map_or(SCANNED_KEYS, |count| count.clamp(1, SCANNED_KEYS_MAX) as usize);
    buffer.clear();
    let mut keys = 0;
    for shard in cursor_shard(cursor)..store.shards() {
        let here = store.keys_in_shard(db, shard);
        if here == 0 {
            continue;
        }
        buffer.push(shard as u32);
        keys += here;
        // The shard at the cursor may be half passed already: one more makes the page full.
        if keys > count && buffer.len() > 1 {
            break;
        }
    }
    Covered::of(buffer)
}

impl Command {
    /// Whether the shards of its keys are all that it reaches, whatever its arguments are.
    pub fn always_reaches_keys_alone(&self) -> bool {
        matches!(self.reach, Reach::Keys)
    }
}

impl Row {
    /// Whether the shards of its keys are all that it reaches with these arguments.
    #[inline]
    pub fn reaches_keys_alone(&self, args: Args<'_>) -> bool {
        match self.command.reach {
            Reach::Keys => true,
            Reach::AllIf(is_far) => !is_far(args),
            Reach::All | Reach::Counts | Reach::Scan | Reach::Random => false,
        }
    }

    /// Whether it looks at any shard, were it to take a count; its keys are hashed.
    pub fn reaches_shards(&self, args: Args<'_>) -> bool {
        !args.key_refs().is_empty() || !self.reaches_keys_alone(args)
    }
}

#[cfg(test)]
mod tests {
    use rustredis_keyspace::{Bank, hashing};

    use super::*;
    use crate::{OwnedArgs, Registry};

    const SHARDS: usize = 8;

    fn store() -> Store {
        Store::new(SHARDS, 1, Bank::new(SHARDS), Box::new(|| Bank::new(SHARDS)))
    }

    fn shard_of(key: &str) -> Covered<'static> {
        Covered::One(store().shard_of(hashing::key_hash(key.as_bytes())))
    }

    fn queued<'a>(registry: &'a Registry, line: &str) -> (&'a Row, OwnedArgs) {
        let plain = OwnedArgs::from_parts(&line.split(' ').collect::<Vec<_>>());
        let row = registry.resolve(plain.args()).unwrap();
        let mut keys = Vec::new();
        row.hash_keys(plain.args(), &mut keys);
        (row, OwnedArgs::new(plain.args().with_keys(&keys)))
    }

    fn check(lines: &[&str], watched: &[&str], shards: Covered<'_>, access: Access) {
        let registry = Registry::new(crate::FAMILIES, &[]).unwrap();
        let queue: Vec<_> = lines.iter().map(|line| queued(&registry, line)).collect();
        let commands = queue.iter().map(|(row, args)| (*row, args.args()));
        let watched = watched.iter().map(|key| hashing::key_hash(key.as_bytes()));
        let mut buffer = Vec::new();
        let plan = Plan::union(commands, watched, &store(), &mut buffer);
        assert_eq!(plan, Plan { shards, access }, "{lines:?}");
    }

    #[test]
    fn a_union_holds_what_each_needs() {
        check(&[], &[], Covered::None, Access::Read);
        check(&["GET a"], &[], shard_of("a"), Access::Read);
        check(&["GET a", "SET a b"], &[], shard_of("a"), Access::Write);
        check(&[], &["a"], shard_of("a"), Access::Write);
        check(&["SORT a"], &[], shard_of("a"), Access::Write);
        check(&["GET a", "DBSIZE"], &[], Covered::All, Access::Read);
        check(&["SORT_RO a BY w_*"], &[], Covered::All, Access::Read);
    }

    #[test]
    fn a_count_holds_everything_where_its_reply_must_be_durable() {
        let registry = Registry::new(crate::FAMILIES, &[]).unwrap();
        let (row, args) = queued(&registry, "DBSIZE");
        let (store, random) = (store(), Random::new(1));
        for (is_durability_awaited, shards) in [(false, Covered::None), (true, Covered::All)] {
            let context = PlanContext { store: &store, db: 0, random: &random, is_durability_awaited };
            assert_eq!(Plan::of(row, args.args(), context, &mut Vec::new()).shards, shards);
        }
    }

    #[test]
    fn keys_of_several_shards_are_held_ascending() {
        let store = store();
        let keys: Vec<KeyRef> =
            (0..100u64).rev().map(|key| KeyRef { argument: 0, hash: key << 52 }).collect();
        let mut buffer = Vec::new();
        let Covered::Many(shards) = cover(&store, &keys, &mut buffer) else { panic!("one shard") };
        assert!(shards.is_sorted_by(|a, b| a < b));
        assert!(keys.iter().all(|key| shards.contains(&(store.shard_of(key.hash) as u32))));
    }
}
