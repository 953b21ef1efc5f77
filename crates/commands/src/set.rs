//! Sets.
//!
//! | file | commands |
//! |---|---|
//! | `members.rs` | adding, removing, moving, asking, scanning |
//! | `random.rs` | SPOP, SRANDMEMBER |
//! | `algebra.rs` | intersections, unions and differences, answered or stored |

mod algebra;
mod members;
mod random;

use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};

const READ: KeyFlags = KeyFlags::RO.with(KeyFlags::ACCESS);
const READ_CARDINALITY: &[KeySpec] = &[KeySpec::one(KeyFlags::RO, 1)];
const READ_FIRST: &[KeySpec] = &[KeySpec::one(READ, 1)];
const READ_ALL: &[KeySpec] = &[KeySpec::range(READ, 1, -1, 1)];
const OVERWRITE_AND_READ: &[KeySpec] =
    &[KeySpec::one(KeyFlags::OW.with(KeyFlags::UPDATE), 1), KeySpec::range(READ, 2, -1, 1)];
const UPDATE_AND_READ: &[KeySpec] =
    &[KeySpec::one(KeyFlags::RW.with(KeyFlags::UPDATE), 1), KeySpec::range(READ, 2, -1, 1)];
const TAKE: KeyFlags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE);

const READ_FAST: Flags = Flags::READONLY.with(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.with(Flags::FAST);
const STORE: Flags = Flags::WRITE.with(Flags::DENYOOM);

const SMALLEST_TIMES_SETS: &str =
    "O(N*M) at worst, where N is the cardinality of the smallest set and M the number of sets";
const ALL_MEMBERS: &str = "O(N) where N is the number of members of all the sets";
const NO_ORDER: &[&str] = &["nondeterministic_output_order"];
const CHANCE: &[&str] = &["nondeterministic_output"];

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("sadd", -3, WRITE_FAST.with(Flags::DENYOOM), members::sadd)
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::INSERT), 1)])
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            "O(1) for each member that is added",
            "key member [member ...]",
            "Adds members to a set; makes the set if there is none.",
        ),
    Command::new("srem", -3, WRITE_FAST, members::srem)
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::DELETE), 1)])
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            "O(N) where N is the number of members to be removed",
            "key member [member ...]",
            "Removes members from a set; the key goes with the last one.",
        ),
    Command::new("smove", 4, WRITE_FAST, members::smove)
        .keys(&[KeySpec::one(TAKE, 1), KeySpec::one(KeyFlags::RW.with(KeyFlags::INSERT), 2)])
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            "O(1)",
            "source destination member",
            "Moves a member from one set to another.",
        ),
    Command::new("sismember", 3, READ_FAST, members::sismember)
        .keys(READ_CARDINALITY)
        .acl(Categories::SET)
        .docs(Group::Set, "1.0.0", "O(1)", "key member", "Answers whether a set has a member."),
    Command::new("smismember", -3, READ_FAST, members::smismember)
        .keys(READ_FIRST)
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "6.2.0",
            "O(N) where N is the number of members that are asked for",
            "key member [member ...]",
            "Answers for each of several members whether a set has it.",
        ),
    Command::new("smembers", 2, Flags::READONLY, members::smembers)
        .keys(READ_FIRST)
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            "O(N) where N is the cardinality of the set",
            "key",
            "Answers all members of a set.",
        )
        .tips(NO_ORDER),
    Command::new("scard", 2, READ_FAST, members::scard).keys(READ_CARDINALITY).acl(Categories::SET).docs(
        Group::Set,
        "1.0.0",
        "O(1)",
        "key",
        "Answers how many members a set has.",
    ),
    Command::new("sscan", -3, Flags::READONLY, members::sscan)
        .keys(READ_FIRST)
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "2.8.0",
            "O(1) for every call; O(N) for a whole pass, where N is the cardinality of the set",
            "key cursor [MATCH pattern] [COUNT count]",
            "Goes through the members of a set, some at a call.",
        )
        .tips(CHANCE),
    Command::new("spop", -2, WRITE_FAST, random::spop)
        .keys(&[KeySpec::one(TAKE, 1)])
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            "O(1) without a count, otherwise O(N) where N is the count",
            "key [count]",
            "Takes random members out of a set; the key goes with the last one.",
        )
        .tips(CHANCE),
    Command::new("srandmember", -2, Flags::READONLY, random::srandmember)
        .keys(READ_FIRST)
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            "O(1) without a count, otherwise O(N) where N is the count without its sign",
            "key [count]",
            "Answers random members of a set: distinct ones, or, for a negative count, independent draws.",
        )
        .tips(CHANCE),
    Command::new("sinter", -2, Flags::READONLY, algebra::sinter)
        .keys(READ_ALL)
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            SMALLEST_TIMES_SETS,
            "key [key ...]",
            "Answers the members that all of the sets have.",
        )
        .tips(NO_ORDER),
    Command::new("sintercard", -3, Flags::READONLY.with(Flags::MOVABLEKEYS), algebra::sintercard)
        .keys(&[KeySpec::counted(READ, 1)])
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "7.0.0",
            SMALLEST_TIMES_SETS,
            "numkeys key [key ...] [LIMIT limit]",
            "Answers how many members all of the sets have, counted up to a limit.",
        ),
    Command::new("sunioncard", -3, Flags::READONLY.with(Flags::MOVABLEKEYS), algebra::sunioncard)
        .keys(&[KeySpec::counted(READ, 1)])
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "8.10.0",
            "O(N) where N is the sum of the sets' sizes",
            "numkeys key [key ...] [APPROX] [LIMIT limit]",
            "Answers how many members any of the sets has, counted up to a limit, or about.",
        ),
    Command::new("sdiffcard", -3, Flags::READONLY.with(Flags::MOVABLEKEYS), algebra::sdiffcard)
        .keys(&[KeySpec::counted(READ, 1)])
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "8.10.0",
            "O(N) where N is the sum of the sets' sizes",
            "numkeys key [key ...] [LIMIT limit]",
            "Answers how many members the first set has that none of the others has, counted up to a limit.",
        ),
    Command::new("sinterstore", -3, STORE, algebra::sinterstore)
        .keys(UPDATE_AND_READ)
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            SMALLEST_TIMES_SETS,
            "destination key [key ...]",
            "Stores the members that all of the sets have.",
        ),
    Command::new("sunion", -2, Flags::READONLY, algebra::sunion)
        .keys(READ_ALL)
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            ALL_MEMBERS,
            "key [key ...]",
            "Answers the members that any of the sets has.",
        )
        .tips(NO_ORDER),
    Command::new("sunionstore", -3, STORE, algebra::sunionstore)
        .keys(OVERWRITE_AND_READ)
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            ALL_MEMBERS,
            "destination key [key ...]",
            "Stores the members that any of the sets has.",
        ),
    Command::new("sdiff", -2, Flags::READONLY, algebra::sdiff)
        .keys(READ_ALL)
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            ALL_MEMBERS,
            "key [key ...]",
            "Answers the members of the first set that none of the others has.",
        )
        .tips(NO_ORDER),
    Command::new("sdiffstore", -3, STORE, algebra::sdiffstore)
        .keys(OVERWRITE_AND_READ)
        .acl(Categories::SET)
        .docs(
            Group::Set,
            "1.0.0",
            ALL_MEMBERS,
            "destination key [key ...]",
            "Stores the members of the first set that none of the others has.",
        ),
];
