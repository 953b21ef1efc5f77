//! MODULE, as far as it is true where no module can be loaded: there are none.

use rustredis_commands::{Args, Command, CommandError, Flags, Group, Outcome};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::Family;

/// The family.
pub const FAMILY: Family = Family { rows: ROWS, handlers: &[] };

const ADMIN: Flags = Flags::ADMIN.with(Flags::NOSCRIPT);
const LOADER: Flags = ADMIN.with(Flags::NO_ASYNC_LOADING);

const ROWS: &[Command] = &[Command::container("module", -2, SUBCOMMANDS).docs(
    Group::Server,
    "4.0.0",
    "Depends on subcommand.",
    "",
    "Looks after modules, which this server does not load.",
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("list", 2, ADMIN, list)
        .docs(Group::Server, "4.0.0", "O(1)", "", "Answers which modules are loaded: none.")
        .tips(&["nondeterministic_output_order"]),
    Command::new("load", -3, LOADER, load).docs(
        Group::Server,
        "4.0.0",
        "O(1)",
        "path [arg [arg ...]]",
        "Refused: modules written for Redis cannot be loaded.",
    ),
    Command::new("loadex", -3, LOADER, load).docs(
        Group::Server,
        "7.0.0",
        "O(1)",
        "path [CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]",
        "Refused: modules written for Redis cannot be loaded.",
    ),
    Command::new("unload", 3, LOADER, unload).docs(
        Group::Server,
        "4.0.0",
        "O(1)",
        "name",
        "Refused: there is no module.",
    ),
    Command::new("help", 2, Flags::LOADING.with(Flags::STALE), help).docs(
        Group::Server,
        "5.0.0",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
];

fn list(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.array(0);
    Ok(())
}

fn load(_: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(CommandError::text(
        "ERR Error loading the extension: this server cannot load modules written for Redis",
    ))
}

fn unload(_: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(CommandError::text("ERR Error unloading module: no such module with that name"))
}

fn help(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let lines = ["LIST", "    Show which modules are loaded: this server loads none."];
    super::help(reply, "MODULE", &lines);
    Ok(())
}
