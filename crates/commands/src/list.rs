//! Lists.
//!
//! The left of a list is its front. Commands that come in two directions are one function over an [`End`], and commands that
//! take elements share what follows a removal: the event, then, if nothing is left, the end of the key. LMPOP and the
//! blocking commands are journalled as the plain pops and moves that they come down to, as in Redis's own log.
//!
//! | file | commands |
//! |---|---|
//! | `push.rs` | LPUSH, RPUSH, LPUSHX, RPUSHX |
//! | `pop.rs` | LPOP, RPOP, LMPOP and those that wait: BLPOP, BRPOP, BLMPOP |
//! | `transfer.rs` | LMOVE, LMOVEM, RPOPLPUSH and those that wait: BLMOVE, BRPOPLPUSH |
//! | `inside.rs` | those that look at or change what is between the ends |

mod ends;
mod inside;
mod pop;
mod push;
mod transfer;

use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec, Rules};

const READ_LENGTH: &[KeySpec] = &[KeySpec::one(KeyFlags::RO, 1)];
const READ_FIRST: &[KeySpec] = &[KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1)];
const INSERT_FIRST: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::INSERT), 1)];
const UPDATE_FIRST: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::UPDATE), 1)];
const DELETE_FIRST: &[KeySpec] = &[KeySpec::one(KeyFlags::RW.with(KeyFlags::DELETE), 1)];
const TAKE: KeyFlags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE);
const TAKE_FIRST: &[KeySpec] = &[KeySpec::one(TAKE, 1)];
const TAKE_UNTIL_TIMEOUT: &[KeySpec] = &[KeySpec::range(TAKE, 1, -2, 1)];
const TRANSFER: &[KeySpec] = &[KeySpec::one(TAKE, 1), KeySpec::one(KeyFlags::RW.with(KeyFlags::INSERT), 2)];

const WRITE_FAST: Flags = Flags::WRITE.with(Flags::FAST);
const PUSH: Flags = WRITE_FAST.with(Flags::DENYOOM);
const WRITE_MORE: Flags = Flags::WRITE.with(Flags::DENYOOM);
const WAIT: Flags = Flags::WRITE.with(Flags::NOSCRIPT).with(Flags::BLOCKING);

const EACH_ADDED: &str = "O(1) for each element that is added";
const EACH_TAKEN: &str = "O(N) where N is the number of elements that are taken";
const EACH_KEY: &str = "O(N) where N is the number of keys";
const KEYS_AND_TAKEN: &str =
    "O(N+M) where N is the number of keys and M the number of elements that are taken";

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("lpush", -3, PUSH, push::lpush).keys(INSERT_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "1.0.0",
        EACH_ADDED,
        "key element [element ...]",
        "Puts elements in front of a list, one after the other; makes the list if there is none.",
    ),
    Command::new("rpush", -3, PUSH, push::rpush).keys(INSERT_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "1.0.0",
        EACH_ADDED,
        "key element [element ...]",
        "Puts elements behind a list, one after the other; makes the list if there is none.",
    ),
    Command::new("lpushx", -3, PUSH, push::lpushx).keys(INSERT_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "2.2.0",
        EACH_ADDED,
        "key element [element ...]",
        "Puts elements in front of a list, if there is one.",
    ),
    Command::new("rpushx", -3, PUSH, push::rpushx).keys(INSERT_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "2.2.0",
        EACH_ADDED,
        "key element [element ...]",
        "Puts elements behind a list, if there is one.",
    ),
    Command::new("lpop", -2, WRITE_FAST, pop::lpop).keys(TAKE_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "1.0.0",
        EACH_TAKEN,
        "key [count]",
        "Takes the first element of a list, or as many as asked for; the key goes with the last one.",
    ),
    Command::new("rpop", -2, WRITE_FAST, pop::rpop).keys(TAKE_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "1.0.0",
        EACH_TAKEN,
        "key [count]",
        "Takes the last element of a list, or as many as asked for; the key goes with the last one.",
    ),
    Command::new("lmpop", -4, Flags::WRITE.with(Flags::MOVABLEKEYS), pop::lmpop)
        .keys(&[KeySpec::counted(TAKE, 1)])
        .acl(Categories::LIST)
        .docs(
            Group::List,
            "7.0.0",
            KEYS_AND_TAKEN,
            "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
            "Takes elements from the first of several lists that is there.",
        ),
    Command::new("blpop", -3, WAIT, pop::blpop).keys(TAKE_UNTIL_TIMEOUT).acl(Categories::LIST).docs(
        Group::List,
        "2.0.0",
        EACH_KEY,
        "key [key ...] timeout",
        "Takes the first element of the first of several lists that is there; waits if there is none.",
    ),
    Command::new("brpop", -3, WAIT, pop::brpop).keys(TAKE_UNTIL_TIMEOUT).acl(Categories::LIST).docs(
        Group::List,
        "2.0.0",
        EACH_KEY,
        "key [key ...] timeout",
        "Takes the last element of the first of several lists that is there; waits if there is none.",
    ),
    Command::new(
        "blmpop",
        -5,
        Flags::WRITE.with(Flags::BLOCKING).with(Flags::MOVABLEKEYS),
        pop::blmpop,
    )
    .keys(&[KeySpec::counted(TAKE, 2)])
    .acl(Categories::LIST)
    .docs(
        Group::List,
        "7.0.0",
        KEYS_AND_TAKEN,
        "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        "Takes elements from the first of several lists that is there; waits if there is none.",
    ),
    Command::new("lmove", 5, WRITE_MORE, transfer::lmove).keys(TRANSFER).acl(Categories::LIST).docs(
        Group::List,
        "6.2.0",
        "O(1)",
        "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
        "Takes an element from one end of a list, puts it at one end of another, or of the same, and answers it.",
    ),
    Command::new("lmovem", -5, WRITE_MORE, transfer::lmovem).keys(TRANSFER).acl(Categories::LIST).docs(
        Group::List,
        "8.10.0",
        EACH_TAKEN,
        "source destination <LEFT | RIGHT> <LEFT | RIGHT> [<COUNT count | EXACTLY exactly> <OBO | BULK>]",
        "Takes elements from one end of a list, puts them at one end of another, or of the same, and answers them.",
    ),
    Command::new("rpoplpush", 3, WRITE_MORE, transfer::rpoplpush)
        .keys(TRANSFER)
        .acl(Categories::LIST)
        .docs(
            Group::List,
            "1.2.0",
            "O(1)",
            "source destination",
            "Takes the last element of a list, puts it in front of another, or of the same, and answers it.",
        )
        .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
    Command::new("blmove", 6, WAIT.with(Flags::DENYOOM), transfer::blmove).rules(Rules::ANSWERS_ELEMENT)
        .keys(TRANSFER)
        .acl(Categories::LIST)
        .docs(
            Group::List,
            "6.2.0",
            "O(1)",
            "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
            "Moves an element as LMOVE does; waits if there is none.",
        ),
    Command::new("brpoplpush", 4, WAIT.with(Flags::DENYOOM), transfer::brpoplpush).rules(Rules::ANSWERS_ELEMENT)
        .keys(TRANSFER)
        .acl(Categories::LIST)
        .docs(
            Group::List,
            "2.2.0",
            "O(1)",
            "source destination timeout",
            "Moves an element as RPOPLPUSH does; waits if there is none.",
        )
        .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
    Command::new("llen", 2, Flags::READONLY.with(Flags::FAST), inside::llen)
        .keys(READ_LENGTH)
        .acl(Categories::LIST)
        .docs(Group::List, "1.0.0", "O(1)", "key", "Answers how many elements a list has."),
    Command::new("lindex", 3, Flags::READONLY, inside::lindex).keys(READ_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "1.0.0",
        "O(N) where N is the number of nodes between the element and the nearer end; O(1) for the first and the last",
        "key index",
        "Answers the element at an index; negative ones count from the end.",
    ),
    Command::new("lrange", 4, Flags::READONLY, inside::lrange).keys(READ_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "1.0.0",
        "O(S+N) where S is the distance of the start from the nearer end and N the number of elements in the range",
        "key start stop",
        "Answers the elements of a range, both ends included.",
    ),
    Command::new("lpos", -3, Flags::READONLY, inside::lpos).keys(READ_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "6.0.6",
        "O(N) where N is the number of elements that are looked at",
        "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
        "Answers where an element is in a list.",
    ),
    Command::new("lset", 4, WRITE_MORE, inside::lset).keys(UPDATE_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "1.0.0",
        "O(N) where N is the length of the list; O(1) for the first and the last element",
        "key index element",
        "Overwrites the element at an index.",
    ),
    Command::new("linsert", 5, WRITE_MORE, inside::linsert)
        .keys(INSERT_FIRST)
        .acl(Categories::LIST)
        .docs(
            Group::List,
            "2.2.0",
            "O(N) where N is the number of elements in front of the pivot",
            "key <BEFORE | AFTER> pivot element",
            "Puts an element beside the first one that equals the pivot.",
        ),
    Command::new("lrem", 4, Flags::WRITE, inside::lrem).keys(DELETE_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "1.0.0",
        "O(N+M) where N is the length of the list and M the number of elements that are removed",
        "key count element",
        "Removes elements that equal a value: so many from the front, or from the back, or all of them.",
    ),
    Command::new("ltrim", 4, Flags::WRITE, inside::ltrim).keys(DELETE_FIRST).acl(Categories::LIST).docs(
        Group::List,
        "1.0.0",
        "O(N) where N is the number of elements that are removed",
        "key start stop",
        "Keeps the elements of a range only, both ends included.",
    ),
];
