//! SLOWLOG: the last commands that took long.

use rustredis_commands::{Args, Command, CommandError, Flags, Group, Outcome};
use rustredis_keyspace::View;
use rustredis_metrics::CommandLog;
use rustredis_resp::Reply;

use super::{Context, Family};

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[("slowlog|get", get), ("slowlog|len", len), ("slowlog|reset", reset), ("slowlog|help", help)],
};

const ADMIN: Flags = Flags::ADMIN.with(Flags::LOADING).with(Flags::STALE);
/// Entries that SLOWLOG GET shows without a count.
const COUNT_DEFAULT: usize = 10;

const ROWS: &[Command] = &[Command::container("slowlog", -2, SUBCOMMANDS).docs(
    Group::Server,
    "2.2.12",
    "Depends on subcommand.",
    "",
    "Shows the last commands that took long.",
)];

const SUBCOMMANDS: &[Command] = &[
    Command::server("get", -2, ADMIN)
        .docs(
            Group::Server,
            "2.2.12",
            "O(N) where N is the number of entries returned",
            "[count]",
            "Shows the newest entries of the slow log.",
        )
        .tips(&["request_policy:all_nodes", "nondeterministic_output"]),
    Command::server("len", 2, ADMIN)
        .docs(Group::Server, "2.2.12", "O(1)", "", "Counts the entries of the slow log.")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
    Command::server("reset", 2, ADMIN)
        .docs(
            Group::Server,
            "2.2.12",
            "O(N) where N is the number of entries in the slowlog",
            "",
            "Forgets the entries of the slow log.",
        )
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Command::server("help", 2, Flags::LOADING.with(Flags::STALE)).docs(
        Group::Server,
        "6.2.0",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
];

fn get(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = match args.len() {
        2 => Some(COUNT_DEFAULT),
        3 => count_of(args)?,
        _ => return Err(super::wrong_subcommand(args, "SLOWLOG")),
    };
    answer(&context.server.command_logs().slow, count, reply);
    Ok(())
}

/// The third argument as a number of entries; `None` for all of them.
pub(super) fn count_of(args: Args<'_>) -> Result<Option<usize>, CommandError> {
    match args.int(2) {
        Ok(-1) => Ok(None),
        Ok(count) if count >= 0 => Ok(Some(usize::try_from(count).unwrap_or(usize::MAX))),
        _ => Err(CommandError::text("ERR count should be greater than or equal to -1")),
    }
}

/// Answers the newest entries of a log.
pub(super) fn answer(log: &CommandLog, count: Option<usize>, reply: &mut Reply<'_>) {
    let entries = log.newest(count);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.unix_time_s);
        reply.int(i64::try_from(entry.amount).unwrap_or(i64::MAX));
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.text(&entry.client_addr);
        reply.bulk(&entry.client_name);
    }
}

fn len(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(context.server.command_logs().slow.len());
    Ok(())
}

fn reset(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    context.server.command_logs().slow.reset();
    reply.ok();
    Ok(())
}

fn help(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    super::help(
        reply,
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    Show the newest <count> entries (10 without it, all for -1): id, Unix time,",
            "    microseconds, arguments, address and name of the client.",
            "LEN",
            "    Count the entries.",
            "RESET",
            "    Forget the entries.",
        ],
    );
    Ok(())
}
