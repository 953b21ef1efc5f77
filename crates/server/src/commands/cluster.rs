//! CLUSTER, READONLY, READWRITE and ASKING on a server that is no node of a cluster: each says so, as Redis does. Clients
//! try them to find out what they talk to.

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::Family;

/// The family.
pub const FAMILY: Family = Family { rows: ROWS, handlers: &[] };

const ADMIN: Flags = Flags::ADMIN.with(Flags::STALE);
const CHANGE: Flags = ADMIN.with(Flags::NO_ASYNC_LOADING);
const RESET: Flags = ADMIN.with(Flags::NOSCRIPT);
const UNSTEADY: &[&str] = &["nondeterministic_output"];
const REFUSED: &str = "Refused: the server is no node of a cluster.";

const ROWS: &[Command] = &[
    Command::container("cluster", -2, SUBCOMMANDS).docs(
        Group::Cluster,
        "3.0.0",
        "Depends on subcommand.",
        "",
        "Looks after a cluster, of which this server is no node.",
    ),
    connection("readonly", Flags::LOADING.with(Flags::STALE).with(Flags::FAST)),
    connection("readwrite", Flags::LOADING.with(Flags::STALE).with(Flags::FAST)),
    connection("asking", Flags::FAST),
];

const fn connection(name: &'static str, flags: Flags) -> Command {
    Command::new(name, 1, flags, refuse).acl(Categories::CONNECTION).docs(
        Group::Cluster,
        "3.0.0",
        "O(1)",
        "",
        REFUSED,
    )
}

const fn sub(
    name: &'static str,
    arity: i32,
    flags: Flags,
    since: &'static str,
    complexity: &'static str,
    syntax: &'static str,
) -> Command {
    Command::new(name, arity, flags, refuse).docs(Group::Cluster, since, complexity, syntax, REFUSED)
}

const SUBCOMMANDS: &[Command] = &[
    sub("addslots", -3, CHANGE, "3.0.0", "O(N) where N is the number of slots", "slot [slot ...]"),
    sub(
        "addslotsrange",
        -4,
        CHANGE,
        "7.0.0",
        "O(N) where N is the number of slots",
        "start-slot end-slot [start-slot end-slot ...]",
    ),
    sub("bumpepoch", 2, CHANGE, "3.0.0", "O(1)", "").tips(UNSTEADY),
    sub(
        "count-failure-reports",
        3,
        ADMIN,
        "3.0.0",
        "O(N) where N is the number of failure reports",
        "node-id",
    )
    .tips(UNSTEADY),
    sub("countkeysinslot", 3, Flags::STALE, "3.0.0", "O(1)", "slot"),
    sub("delslots", -3, CHANGE, "3.0.0", "O(N) where N is the number of slots", "slot [slot ...]"),
    sub(
        "delslotsrange",
        -4,
        CHANGE,
        "7.0.0",
        "O(N) where N is the number of slots",
        "start-slot end-slot [start-slot end-slot ...]",
    ),
    sub("failover", -2, CHANGE, "3.0.0", "O(1)", "[FORCE | TAKEOVER]"),
    sub("flushslots", 2, CHANGE, "3.0.0", "O(1)", ""),
    sub("forget", 3, CHANGE, "3.0.0", "O(1)", "node-id"),
    sub(
        "getkeysinslot",
        4,
        Flags::STALE,
        "3.0.0",
        "O(N) where N is the number of keys asked for",
        "slot count",
    )
    .tips(UNSTEADY),
    sub("info", 2, Flags::STALE, "3.0.0", "O(1)", "").tips(UNSTEADY),
    sub("keyslot", 3, Flags::STALE, "3.0.0", "O(N) where N is the number of bytes in the key", "key"),
    sub("links", 2, Flags::STALE, "7.0.0", "O(N) where N is the number of nodes", "").tips(UNSTEADY),
    sub("meet", -4, CHANGE, "3.0.0", "O(1)", "ip port [cluster-bus-port]"),
    sub("myid", 2, Flags::STALE, "3.0.0", "O(1)", ""),
    sub("nodes", 2, Flags::STALE, "3.0.0", "O(N) where N is the number of nodes", "").tips(UNSTEADY),
    sub("replicas", 3, ADMIN, "5.0.0", "O(N) where N is the number of replicas", "node-id").tips(UNSTEADY),
    sub("replicate", 3, CHANGE, "3.0.0", "O(1)", "node-id"),
    sub("reset", -2, RESET, "3.0.0", "O(N) where N is the number of known nodes", "[HARD | SOFT]"),
    sub("saveconfig", 2, CHANGE, "3.0.0", "O(1)", ""),
    sub("set-config-epoch", 3, CHANGE, "3.0.0", "O(1)", "config-epoch"),
    sub(
        "setslot",
        -4,
        CHANGE,
        "3.0.0",
        "O(1)",
        "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>",
    ),
    sub("shards", 2, Flags::STALE, "7.0.0", "O(N) where N is the number of nodes", "").tips(UNSTEADY),
    sub("slaves", 3, ADMIN, "3.0.0", "O(N) where N is the number of replicas", "node-id")
        .tips(UNSTEADY)
        .deprecated("5.0.0", "`CLUSTER REPLICAS`"),
    sub("slots", 2, Flags::STALE, "3.0.0", "O(N) where N is the number of nodes", "")
        .tips(UNSTEADY)
        .deprecated("7.0.0", "`CLUSTER SHARDS`"),
    sub("help", 2, Flags::LOADING.with(Flags::STALE), "5.0.0", "O(1)", ""),
];

fn refuse(_: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Result<(), CommandError> {
    Err(CommandError::text("ERR This instance has cluster support disabled"))
}
