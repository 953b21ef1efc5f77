//! SAVE and LASTSAVE.

use rustredis_commands::{Args, Command, CommandError, Flags, Group, Reach};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::rdb;

/// The family.
pub const FAMILY: Family = Family { rows: ROWS, handlers: &[("save", save), ("lastsave", last_save)] };

type Outcome = Result<(), CommandError>;

const SAVING: Flags = Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::NO_ASYNC_LOADING).with(Flags::NO_MULTI);

const ROWS: &[Command] = &[
    Command::server("save", 1, SAVING).reach(Reach::All).docs(
        Group::Server,
        "1.0.0",
        "O(N) where N is the total number of keys in all databases",
        "",
        "Saves everything to the RDB file; nothing else happens meanwhile.",
    ),
    Command::server("lastsave", 1, Flags::LOADING.with(Flags::STALE).with(Flags::FAST))
        .acl(rustredis_commands::Categories::ADMIN.with(rustredis_commands::Categories::DANGEROUS))
        .docs(Group::Server, "1.0.0", "O(1)", "", "Answers the Unix time of the last save that succeeded.")
        .tips(&["nondeterministic_output"]),
];

fn save(context: &mut Context<'_>, view: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    // The log has the reason, as Redis's has.
    rdb::save(context.server, view).map_err(|_| CommandError::text("ERR"))?;
    reply.ok();
    Ok(())
}

fn last_save(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(context.server.rdb.last_save_seconds() as usize);
    Ok(())
}
