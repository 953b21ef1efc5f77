//! Streams.
//!
//! What depends on the moment is journalled as what it came to: XADD with the ID that its entry got, and trimmed to what stayed;
//! a delivery to a consumer as the XCLAIM that makes the entry pending as it is now. So a log can be read by Redis, and one of
//! Redis's here.
//!
//! | file | commands |
//! |---|---|
//! | `add.rs` | XADD, XDEL, XTRIM, XLEN, XSETID |
//! | `range.rs` | XRANGE, XREVRANGE |
//! | `read.rs` | XREAD, XREADGROUP |
//! | `group.rs` | XGROUP, XACK |
//! | `pending.rs` | XPENDING, XCLAIM, XAUTOCLAIM |
//! | `refs.rs` | XDELEX, XACKDEL, trimming that looks at references |
//! | `info.rs` | XINFO |

mod add;
mod group;
mod id;
mod info;
mod pending;
mod range;
mod read;
mod refs;
#[cfg(test)]
mod tests;

use crate::command::{Begin, Categories, Command, Find, Flags, Group, KeyFlags, KeySpec};
use crate::syntax::ArgumentKind;

const RW_UPDATE: KeyFlags = KeyFlags::RW.with(KeyFlags::UPDATE);
const RW_DELETE: KeyFlags = KeyFlags::RW.with(KeyFlags::DELETE);
const RW_INSERT: KeyFlags = KeyFlags::RW.with(KeyFlags::INSERT);
const RO_ACCESS: KeyFlags = KeyFlags::RO.with(KeyFlags::ACCESS);

const ADD: &[KeySpec] =
    &[KeySpec::one(RW_UPDATE, 1).notes("UPDATE instead of INSERT because of the optional trimming feature")];
const UPDATE: &[KeySpec] = &[KeySpec::one(RW_UPDATE, 1)];
const DELETE: &[KeySpec] = &[KeySpec::one(RW_DELETE, 1)];
const LENGTH: &[KeySpec] = &[KeySpec::one(KeyFlags::RO, 1)];
const READ: &[KeySpec] = &[KeySpec::one(RO_ACCESS, 1)];
const SUB_DELETE: &[KeySpec] = &[KeySpec::one(RW_DELETE, 2)];
const SUB_INSERT: &[KeySpec] = &[KeySpec::one(RW_INSERT, 2)];
const SUB_UPDATE: &[KeySpec] = &[KeySpec::one(RW_UPDATE, 2)];
const SUB_READ: &[KeySpec] = &[KeySpec::one(RO_ACCESS, 2)];

/// The first half of what stands behind STREAMS.
const fn streams(from: i32) -> KeySpec {
    KeySpec {
        notes: "",
        flags: RO_ACCESS,
        begin: Begin::Keyword("STREAMS", from),
        find: Find::Range { last: -1, step: 1, limit: 2 },
    }
}

const WRITE_FAST: Flags = Flags::WRITE.with(Flags::FAST);
const WAIT: Flags = Flags::BLOCKING.with(Flags::MOVABLEKEYS);
const HELP: Flags = Flags::LOADING.with(Flags::STALE);
const CHANCE: &[&str] = &["nondeterministic_output"];
const EACH_ENTRY: &str = "O(N) where N is the number of entries that are answered";
const EACH_STREAM: &str = "O(N) for each stream, where N is the number of its entries that are answered; with BLOCK, XADD takes O(M) for M clients that wait";
const STRINGS: &[(&str, ArgumentKind)] = &[
    ("start", ArgumentKind::String),
    ("end", ArgumentKind::String),
    ("min-idle-time", ArgumentKind::String),
];

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("xadd", -5, WRITE_FAST.with(Flags::DENYOOM), add::xadd)
        .keys(ADD)
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "5.0.0",
            "O(1) for a new entry, O(N) for the N entries that go",
            "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
            "Adds an entry to a stream; makes the stream if there is none.",
        )
        .tips(CHANCE),
    Command::new("xlen", 2, Flags::READONLY.with(Flags::FAST), add::xlen)
        .keys(LENGTH)
        .acl(Categories::STREAM)
        .docs(Group::Stream, "5.0.0", "O(1)", "key", "Answers how many entries a stream has."),
    Command::new("xrange", -4, Flags::READONLY, range::xrange)
        .keys(READ)
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "5.0.0",
            EACH_ENTRY,
            "key start end [COUNT count]",
            "Answers the entries whose IDs are in a range.",
        )
        .value_kinds(STRINGS),
    Command::new("xrevrange", -4, Flags::READONLY, range::xrevrange)
        .keys(READ)
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "5.0.0",
            EACH_ENTRY,
            "key end start [COUNT count]",
            "Answers the entries whose IDs are in a range, from the greatest down.",
        )
        .value_kinds(STRINGS),
    Command::new("xread", -4, Flags::READONLY.with(WAIT), read::xread)
        .keys(const { &[streams(1)] })
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "5.0.0",
            EACH_STREAM,
            "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
            "Answers the entries of streams that are behind these IDs; can wait for one.",
        ),
    Command::new("xreadgroup", -7, Flags::WRITE.with(WAIT), read::xreadgroup)
        .keys(const { &[streams(4)] })
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "5.0.0",
            EACH_STREAM,
            "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]",
            "Gives a consumer entries that nobody of its group was given, or shows what it has not acknowledged; can wait for one.",
        ),
    Command::container("xgroup", -2, XGROUP).docs(
        Group::Stream,
        "5.0.0",
        "Depends on the subcommand",
        "",
        "Makes, changes and removes groups of consumers.",
    ),
    Command::new("xack", -4, WRITE_FAST, group::xack).keys(UPDATE).acl(Categories::STREAM).docs(
        Group::Stream,
        "5.0.0",
        "O(log N) for each ID, where N is the number of pending entries",
        "key group id [id ...]",
        "Says that entries are done with, which were delivered to a consumer of a group.",
    ),
    Command::new("xclaim", -6, WRITE_FAST, pending::xclaim)
        .keys(UPDATE)
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "5.0.0",
            "O(log N) for each ID, where N is the number of pending entries",
            "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]",
            "Gives pending entries to a consumer.",
        )
        .value_kinds(STRINGS)
        .tips(CHANCE),
    Command::new("xautoclaim", -6, WRITE_FAST, pending::xautoclaim)
        .keys(DELETE)
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "6.2.0",
            "O(1) if COUNT is small",
            "key group consumer min-idle-time start [COUNT count] [JUSTID]",
            "Gives pending entries that have been idle to a consumer, a few at a time.",
        )
        .value_kinds(STRINGS)
        .tips(CHANCE),
    Command::new("xpending", -3, Flags::READONLY, pending::xpending)
        .keys(READ)
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "5.0.0",
            "O(N) where N is the number of pending entries that are looked at; O(consumers) for the summary",
            "key group [[IDLE min-idle-time] start end count [consumer]]",
            "Tells which entries were delivered and not acknowledged.",
        )
        .value_kinds(&[("start", ArgumentKind::String), ("end", ArgumentKind::String)])
        .tips(CHANCE),
    Command::container("xinfo", -2, XINFO).docs(
        Group::Stream,
        "5.0.0",
        "Depends on the subcommand",
        "",
        "Tells of streams, their groups and consumers.",
    ),
    Command::new("xdel", -3, WRITE_FAST, add::xdel).keys(DELETE).acl(Categories::STREAM).docs(
        Group::Stream,
        "5.0.0",
        "O(log N) for each ID",
        "key id [id ...]",
        "Deletes entries of a stream; answers how many there were.",
    ),
    Command::new("xdelex", -5, WRITE_FAST, refs::xdelex).keys(DELETE).acl(Categories::STREAM).docs(
        Group::Stream,
        "8.2.0",
        "O(log N) for each ID, and for each group with DELREF and ACKED",
        "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
        "Deletes entries of a stream, also where they are pending, or only if they are nowhere; answers what became of each.",
    ),
    Command::new("xackdel", -6, WRITE_FAST, refs::xackdel).keys(DELETE).acl(Categories::STREAM).docs(
        Group::Stream,
        "8.2.0",
        "O(log N) for each ID, and for each group with DELREF and ACKED",
        "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
        "Acknowledges entries for a group and deletes them; answers what became of each.",
    ),
    Command::new("xtrim", -4, Flags::WRITE, add::xtrim)
        .keys(DELETE)
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "5.0.0",
            "O(N) where N is the number of entries that go, and little for each",
            "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]",
            "Removes the oldest entries of a stream; answers how many.",
        )
        .tips(CHANCE),
    Command::new("xsetid", -3, WRITE_FAST.with(Flags::DENYOOM), add::xsetid)
        .keys(UPDATE)
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "5.0.0",
            "O(1)",
            "key last-id [ENTRIESADDED entries_added] [MAXDELETEDID max_deleted_entry_id]",
            "Sets the last ID of a stream: how streams are written out.",
        ),
];

const XGROUP: &[Command] = &[
    Command::new("create", -5, Flags::WRITE.with(Flags::DENYOOM), group::create)
        .keys(SUB_INSERT)
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "5.0.0",
            "O(1)",
            "key groupname <id | $> [MKSTREAM] [ENTRIESREAD entries_read]",
            "Makes a group of consumers.",
        ),
    Command::new("createconsumer", 5, Flags::WRITE.with(Flags::DENYOOM), group::create_consumer)
        .keys(SUB_INSERT)
        .acl(Categories::STREAM)
        .docs(Group::Stream, "6.2.0", "O(1)", "key groupname consumername", "Makes a consumer of a group."),
    Command::new("delconsumer", 5, Flags::WRITE, group::delete_consumer)
        .keys(SUB_DELETE)
        .acl(Categories::STREAM)
        .docs(
            Group::Stream,
            "5.0.0",
            "O(N) where N is the number of its pending entries",
            "key groupname consumername",
            "Removes a consumer of a group; answers how many entries it had pending.",
        ),
    Command::new("destroy", 4, Flags::WRITE, group::destroy).keys(SUB_DELETE).acl(Categories::STREAM).docs(
        Group::Stream,
        "5.0.0",
        "O(N) where N is the number of its pending entries",
        "key groupname",
        "Removes a group of consumers.",
    ),
    Command::new("setid", -5, Flags::WRITE, group::set_id).keys(SUB_UPDATE).acl(Categories::STREAM).docs(
        Group::Stream,
        "5.0.0",
        "O(1)",
        "key groupname <id | $> [ENTRIESREAD entries_read]",
        "Says which ID was delivered to a group last.",
    ),
    Command::new("help", 2, HELP, group::help).acl(Categories::STREAM).docs(
        Group::Stream,
        "5.0.0",
        "O(1)",
        "",
        "Lists the subcommands.",
    ),
];

const XINFO: &[Command] = &[
    Command::new("consumers", 4, Flags::READONLY, info::consumers)
        .keys(SUB_READ)
        .acl(Categories::STREAM)
        .docs(Group::Stream, "5.0.0", "O(1)", "key groupname", "Tells of the consumers of a group.")
        .tips(CHANCE),
    Command::new("groups", 3, Flags::READONLY, info::groups).keys(SUB_READ).acl(Categories::STREAM).docs(
        Group::Stream,
        "5.0.0",
        "O(1)",
        "key",
        "Tells of the groups of a stream.",
    ),
    Command::new("stream", -3, Flags::READONLY, info::stream).keys(SUB_READ).acl(Categories::STREAM).docs(
        Group::Stream,
        "5.0.0",
        "O(1), and O(N) for what FULL shows",
        "key [FULL [COUNT count]]",
        "Tells of a stream.",
    ),
    Command::new("help", 2, HELP, info::help).acl(Categories::STREAM).docs(
        Group::Stream,
        "5.0.0",
        "O(1)",
        "",
        "Lists the subcommands.",
    ),
];
