//! COMMANDLOG, of Valkey 8.1: the last commands that took long, or whose request or reply was large.

use rustredis_commands::{Args, Command, CommandError, Flags, Group, Outcome};
use rustredis_keyspace::View;
use rustredis_metrics::CommandLog;
use rustredis_resp::Reply;

use super::{Context, Family, slowlog};
use crate::start::server::Server;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("commandlog|get", get),
        ("commandlog|len", len),
        ("commandlog|reset", reset),
        ("commandlog|help", help),
    ],
};

const ADMIN: Flags = Flags::ADMIN.with(Flags::LOADING).with(Flags::STALE);

const ROWS: &[Command] = &[Command::container("commandlog", -2, SUBCOMMANDS).docs(
    Group::Server,
    "8.1.0",
    "Depends on subcommand.",
    "",
    "Shows the last commands that were slow or large.",
)];

const SUBCOMMANDS: &[Command] = &[
    Command::server("get", 4, ADMIN)
        .docs(
            Group::Server,
            "8.1.0",
            "O(N) where N is the number of entries returned",
            "count <SLOW | LARGE-REQUEST | LARGE-REPLY>",
            "Shows the newest entries of a log of commands.",
        )
        .tips(&["request_policy:all_nodes", "nondeterministic_output"]),
    Command::server("len", 3, ADMIN)
        .docs(
            Group::Server,
            "8.1.0",
            "O(1)",
            "<SLOW | LARGE-REQUEST | LARGE-REPLY>",
            "Counts the entries of a log of commands.",
        )
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
    Command::server("reset", 3, ADMIN)
        .docs(
            Group::Server,
            "8.1.0",
            "O(N) where N is the number of entries in the commandlog",
            "<SLOW | LARGE-REQUEST | LARGE-REPLY>",
            "Forgets the entries of a log of commands.",
        )
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Command::server("help", 2, Flags::LOADING.with(Flags::STALE)).docs(
        Group::Server,
        "8.1.0",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
];

/// The log that argument `index` names.
fn log<'s>(server: &'s Server, args: Args<'_>, index: usize) -> Result<&'s CommandLog, CommandError> {
    let logs = server.command_logs();
    match () {
        () if args.is(index, "slow") => Ok(&logs.slow),
        () if args.is(index, "large-request") => Ok(&logs.large_request),
        () if args.is(index, "large-reply") => Ok(&logs.large_reply),
        () => Err(CommandError::text(
            "ERR type should be one of the following: slow, large-request, large-reply",
        )),
    }
}

fn get(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = slowlog::count_of(args)?;
    slowlog::answer(log(context.server, args, 3)?, count, reply);
    Ok(())
}

fn len(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(log(context.server, args, 2)?.len());
    Ok(())
}

fn reset(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    log(context.server, args, 2)?.reset();
    reply.ok();
    Ok(())
}

fn help(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    super::help(
        reply,
        "COMMANDLOG",
        &[
            "GET <count> <type>",
            "    Show the newest <count> entries (all for -1) of the log of this type: id, Unix time,",
            "    microseconds or bytes, arguments, address and name of the client. Types are slow,",
            "    large-request and large-reply.",
            "LEN <type>",
            "    Count the entries.",
            "RESET <type>",
            "    Forget the entries.",
        ],
    );
    Ok(())
}
