//! SCRIPT: which scripts are known, and the end of one that runs.

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group, Outcome};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::request::context::NO_CONNECTION;
use crate::request::script::callee::{learn, sha_of};
use crate::scripts::running::Kind;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("script|exists", exists),
        ("script|flush", flush),
        ("script|kill", kill),
        ("script|load", load),
        ("script|show", show),
    ],
};

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
        "Says whether the connection's scripts are debugged: they never are.",
    ),
    Command::server("exists", -3, Flags::NOSCRIPT)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "2.6.0",
            "O(N) where N is the number of digests",
            "sha1 [sha1 ...]",
            "Answers which scripts are known.",
        )
        .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]),
    Command::server("flush", -2, Flags::NOSCRIPT)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "2.6.0",
            "O(N) where N is the number of scripts",
            "[ASYNC | SYNC]",
            "Forgets all scripts.",
        )
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Command::server("kill", -2, Flags::NOSCRIPT.with(Flags::ALLOW_BUSY))
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "2.6.0",
            "O(1)",
            "[FORCE]",
            "Ends the script that is running; FORCE also one that has written, and what it wrote stays.",
        )
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Command::server("load", 3, Flags::NOSCRIPT.with(Flags::STALE))
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "2.6.0",
            "O(N) where N is the number of bytes of the script",
            "script",
            "Keeps a script without running it, and answers its SHA-1.",
        )
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Command::server("show", -2, Flags::NOSCRIPT)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "7.0.0",
            "O(N) where N is the number of scripts",
            "[sha1 [sha1 ...]]",
            "Tells how scripts that are known are run: with their keys alone, or with everything, and then why.",
        )
        .tips(&["nondeterministic_output_order"]),
    Command::new("help", 2, Flags::LOADING.with(Flags::STALE), help).acl(Categories::SCRIPTING).docs(
        Group::Scripting,
        "5.0.0",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
];

fn debug(_: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match () {
        () if args.is(2, "NO") => reply.ok(),
        () if args.is(2, "YES") || args.is(2, "SYNC") => {
            return Err(CommandError::text("ERR There is no debugger of scripts here"));
        }
        () => return Err(CommandError::text("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    }
    Ok(())
}

fn exists(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let known = &context.server.scripts().known;
    reply.array(args.len() - 2);
    for word in args.from(2) {
        let is_known = sha_of(word).is_some_and(|sha| known.find(&sha).is_some());
        reply.int(is_known.into());
    }
    Ok(())
}

fn flush(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() > 3 || args.len() == 3 && !args.is(2, "ASYNC") && !args.is(2, "SYNC") {
        return Err(CommandError::text("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    context.server.scripts().known.flush();
    if let Some(worker) = context.worker {
        // The other threads' interpreters keep compiled what nobody asks for any more, within their bound.
        worker.scripts.flush();
    }
    reply.ok();
    Ok(())
}

fn kill(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    end_running(context, args, reply, Kind::Script, "script|kill")
}

/// SCRIPT KILL and FUNCTION KILL.
pub(super) fn end_running(
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    kind: Kind,
    name: &'static str,
) -> Outcome {
    let by_force = match args.len() {
        2 => false,
        3 if args.is(2, "FORCE") => true,
        _ => return Err(CommandError::Arity(name.to_owned())),
    };
    context.server.scripts().running.kill(kind, by_force)?;
    reply.ok();
    Ok(())
}

fn load(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let worker = context.worker.ok_or(NO_CONNECTION)?;
    let entry = learn(context.server, worker, args.get(2), true)?;
    reply.bulk(entry.script.sha());
    Ok(())
}

/// A map for each script: its SHA-1, how it is run, and if it holds everything, why and in which line.
fn show(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let known = &context.server.scripts().known;
    let asked: Vec<_> = args.from(2).map(sha_of).collect();
    let shown: Vec<_> = if asked.is_empty() {
        known.all()
    } else {
        asked.into_iter().filter_map(|sha| known.find(&sha?)).collect()
    };
    reply.array(shown.len());
    for entry in shown {
        let script = &entry.script;
        reply.map(4);
        reply.text("sha1");
        reply.bulk(script.sha());
        reply.text("holds");
        reply.text(if script.proof().is_ok() { "keys" } else { "everything" });
        reply.text("line");
        match script.proof() {
            Ok(()) => reply.null(),
            Err(unproven) => reply.int(unproven.line.into()),
        }
        reply.text("why");
        match script.proof() {
            Ok(()) => reply.null(),
            Err(unproven) => reply.text(&unproven.why),
        }
    }
    Ok(())
}

fn help(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let lines = [
        "DEBUG <YES|SYNC|NO>",
        "    Choose whether scripts are debugged: only NO, there is no debugger.",
        "EXISTS <sha1> [<sha1> ...]",
        "    Show which scripts are known.",
        "FLUSH [ASYNC|SYNC]",
        "    Forget all scripts.",
        "KILL [FORCE]",
        "    End the script that is running; FORCE also one that has written.",
        "LOAD <script>",
        "    Keep a script without running it.",
        "SHOW [<sha1> ...]",
        "    Tell whether scripts hold their keys alone or everything, and why.",
    ];
    super::help(reply, "SCRIPT", &lines);
    Ok(())
}
