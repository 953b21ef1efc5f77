//! FUNCTION, as far as it is true without scripts: there are no functions and no engine that would run them, none has to be
//! deleted, and what is dumped is nothing. FCALL is an unknown command, so that MULTI refuses to queue it.

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group, Outcome};
use rustredis_keyspace::View;
use rustredis_persistence::rdb;
use rustredis_resp::Reply;

use super::{Family, script};

/// The family.
pub const FAMILY: Family = Family { rows: ROWS, handlers: &[] };

const ROWS: &[Command] = &[Command::container("function", -2, SUBCOMMANDS).docs(
    Group::Scripting,
    "7.0.0",
    "Depends on subcommand.",
    "",
    "Looks after the functions that clients have loaded.",
)];

const WRITER: Flags = Flags::WRITE.with(Flags::NOSCRIPT);
const LOADER: Flags = WRITER.with(Flags::DENYOOM);
const ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const SUBCOMMANDS: &[Command] = &[
    Command::new("delete", 3, WRITER, delete)
        .acl(Categories::SCRIPTING)
        .docs(Group::Scripting, "7.0.0", "O(1)", "library-name", "Deletes a library.")
        .tips(ALL_SHARDS),
    Command::new("dump", 2, Flags::NOSCRIPT, dump).acl(Categories::SCRIPTING).docs(
        Group::Scripting,
        "7.0.0",
        "O(N) where N is the number of functions",
        "",
        "Answers all libraries in a form for FUNCTION RESTORE.",
    ),
    Command::new("flush", -2, WRITER, flush)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "7.0.0",
            "O(N) where N is the number of functions deleted",
            "[ASYNC | SYNC]",
            "Deletes all functions.",
        )
        .tips(ALL_SHARDS),
    Command::new("kill", 2, Flags::NOSCRIPT.with(Flags::ALLOW_BUSY), script::kill)
        .acl(Categories::SCRIPTING)
        .docs(Group::Scripting, "7.0.0", "O(1)", "", "Ends the function that is running.")
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Command::new("list", -2, Flags::NOSCRIPT, list)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "7.0.0",
            "O(N) where N is the number of functions",
            "[LIBRARYNAME library-name-pattern] [WITHCODE]",
            "Tells about the libraries.",
        )
        .tips(&["nondeterministic_output_order"]),
    Command::new("load", -3, LOADER, load)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "7.0.0",
            "O(1)",
            "[REPLACE] function-code",
            "Refused: functions are not supported yet.",
        )
        .tips(ALL_SHARDS),
    Command::new("restore", -3, LOADER, load)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "7.0.0",
            "O(N) where N is the number of functions",
            "serialized-value [FLUSH | APPEND | REPLACE]",
            "Refused: functions are not supported yet.",
        )
        .tips(ALL_SHARDS),
    Command::new("stats", 2, Flags::NOSCRIPT.with(Flags::ALLOW_BUSY), stats)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "7.0.0",
            "O(1)",
            "",
            "Tells which function is running, and what can run them.",
        )
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Command::new("help", 2, Flags::LOADING.with(Flags::STALE), help).acl(Categories::SCRIPTING).docs(
        Group::Scripting,
        "7.0.0",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
];

fn delete(_: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(CommandError::text("ERR Library not found"))
}

/// Libraries without libraries: their version and their checksum.
fn dump(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut payload = Vec::new();
    rdb::seal_dump(&mut payload, rdb::VERSION_WRITTEN);
    reply.bulk(&payload);
    Ok(())
}

fn flush(_: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match args.len() {
        2 => {}
        3 if args.is(2, "ASYNC") || args.is(2, "SYNC") => {}
        3 => return Err(CommandError::text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
        _ => return Err(super::wrong_subcommand(args, "FUNCTION")),
    }
    reply.ok();
    Ok(())
}

fn list(_: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (mut has_code, mut has_name) = (false, false);
    let mut index = 2;
    while index < args.len() {
        if !has_code && args.is(index, "WITHCODE") {
            has_code = true;
        } else if !has_name && args.is(index, "LIBRARYNAME") {
            has_name = true;
            index += 1;
            if index == args.len() {
                return Err(CommandError::text("ERR library name argument was not given"));
            }
        } else {
            return Err(CommandError::quoting("ERR Unknown argument ", args.get(index), ""));
        }
        index += 1;
    }
    reply.array(0);
    Ok(())
}

fn load(_: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(CommandError::text("ERR functions are not supported yet"))
}

fn stats(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.map(2);
    reply.text("running_script");
    reply.null();
    reply.text("engines");
    reply.map(0);
    Ok(())
}

fn help(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let lines = [
        "DELETE <library-name>",
        "    Delete a library.",
        "DUMP",
        "    Answer all libraries in a form for FUNCTION RESTORE.",
        "FLUSH [ASYNC|SYNC]",
        "    Delete all libraries.",
        "KILL",
        "    End the function that is running.",
        "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
        "    Tell about the libraries: there are none, for functions are not supported yet.",
        "STATS",
        "    Tell which function is running, and which engines can run them.",
    ];
    super::help(reply, "FUNCTION", &lines);
    Ok(())
}
