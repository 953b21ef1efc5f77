//! FUNCTION, as far as it is true without scripts: there are no functions, so none has to be deleted.

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::Family;

/// The family.
pub const FAMILY: Family = Family { rows: ROWS, handlers: &[] };

const ROWS: &[Command] = &[Command::container("function", -2, SUBCOMMANDS).docs(
    Group::Scripting,
    "7.0.0",
    "Depends on subcommand.",
    "",
    "Looks after the functions that clients have loaded.",
)];

const SUBCOMMANDS: &[Command] = &[Command::new("flush", -2, Flags::WRITE.with(Flags::NOSCRIPT), flush)
    .acl(Categories::SCRIPTING)
    .docs(
        Group::Scripting,
        "7.0.0",
        "O(N) where N is the number of functions deleted",
        "[ASYNC | SYNC]",
        "Deletes all functions.",
    )
    .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])];

fn flush(_: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    if args.len() > 3 || args.len() == 3 && !args.is(2, "ASYNC") && !args.is(2, "SYNC") {
        return Err(CommandError::text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    reply.ok();
    Ok(())
}
