//! SCRIPT, as far as it is true without scripts: none is cached, none runs. EVAL and its relatives are unknown commands, so that
//! MULTI refuses to queue them.

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group, Outcome};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::Family;

/// The family.
pub const FAMILY: Family = Family { rows: ROWS, handlers: &[] };

const ROWS: &[Command] = &[Command::container("script", -2, SUBCOMMANDS).docs(
    Group::Scripting,
    "2.6.0",
    "Depends on subcommand.",
    "",
    "Looks after the scripts that clients have sent.",
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("debug", 3, Flags::NOSCRIPT, debug).acl(Categories::SCRIPTING).docs(
        Group::Scripting,
        "3.2.0",
        "O(1)",
        "<YES | SYNC | NO>",
        "Says whether the connection's scripts are debugged.",
    ),
    Command::new("exists", -3, Flags::NOSCRIPT, exists)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "2.6.0",
            "O(N) where N is the number of digests",
            "sha1 [sha1 ...]",
            "Answers which scripts are cached.",
        )
        .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]),
    Command::new("flush", -2, Flags::NOSCRIPT, flush)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "2.6.0",
            "O(N) where N is the number of scripts",
            "[ASYNC | SYNC]",
            "Forgets all cached scripts.",
        )
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Command::new("kill", 2, Flags::NOSCRIPT.with(Flags::ALLOW_BUSY), kill)
        .acl(Categories::SCRIPTING)
        .docs(Group::Scripting, "2.6.0", "O(1)", "", "Ends the script that is running.")
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Command::new("load", 3, Flags::NOSCRIPT.with(Flags::STALE), load)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "2.6.0",
            "O(N) where N is the number of bytes of the script",
            "script",
            "Refused: scripts are not supported yet.",
        )
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Command::new("help", 2, Flags::LOADING.with(Flags::STALE), help).acl(Categories::SCRIPTING).docs(
        Group::Scripting,
        "5.0.0",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
];

const UNSUPPORTED: CommandError = CommandError::text("ERR scripts are not supported yet");

fn debug(_: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match () {
        () if args.is(2, "NO") => reply.ok(),
        () if args.is(2, "YES") || args.is(2, "SYNC") => return Err(UNSUPPORTED),
        () => return Err(CommandError::text("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    }
    Ok(())
}

fn exists(_: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.array(args.len() - 2);
    args.from(2).for_each(|_| reply.int(0));
    Ok(())
}

fn flush(_: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() > 3 || args.len() == 3 && !args.is(2, "ASYNC") && !args.is(2, "SYNC") {
        return Err(CommandError::text("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    reply.ok();
    Ok(())
}

/// The answer of SCRIPT KILL and FUNCTION KILL.
pub(super) fn kill(_: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(CommandError::text("NOTBUSY No scripts in execution right now."))
}

fn load(_: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(UNSUPPORTED)
}

fn help(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let lines = [
        "DEBUG <YES|SYNC|NO>",
        "    Choose whether scripts are debugged: only NO, for there are no scripts yet.",
        "EXISTS <sha1> [<sha1> ...]",
        "    Show which scripts are cached.",
        "FLUSH [ASYNC|SYNC]",
        "    Forget all cached scripts.",
        "KILL",
        "    End the script that is running.",
    ];
    super::help(reply, "SCRIPT", &lines);
    Ok(())
}
