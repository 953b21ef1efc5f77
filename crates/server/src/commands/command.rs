//! COMMAND: what commands there are, read from their rows.
//!
//! Clients route by this (where the keys are, which command may go to a replica), and redis-cli builds its hints from it, so
//! the shapes are exactly Redis 7.2's, in RESP2 and RESP3. Nothing is kept besides the rows: an answer is made from them when
//! somebody asks, which is once per connection at most.

mod docs;
#[cfg(test)]
mod tests;

use rustredis_commands::command::{Begin, Find};
use rustredis_commands::{
    Args, Categories, Command, CommandError, Flags, Group, KeyFlags, KeySpec, Outcome, Row,
};
use rustredis_keyspace::View;
use rustredis_resp::Reply;
use rustredis_resp::glob::{self, Case};

use super::{Context, Family};
use crate::start::server::Server;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("command", all),
        ("command|count", count),
        ("command|docs", docs),
        ("command|getkeys", getkeys),
        ("command|getkeysandflags", getkeysandflags),
        ("command|help", help),
        ("command|info", info),
        ("command|list", list),
    ],
};

const FLAGS: Flags = Flags::LOADING.with(Flags::STALE);
const ANY_ORDER: &[&str] = &["nondeterministic_output_order"];
const PER_COMMAND: &str = "O(N) where N is the number of commands";

const ROWS: &[Command] = &[Command { subcommands: SUBCOMMANDS, ..Command::server("command", -1, FLAGS) }
    .acl(Categories::CONNECTION)
    .docs(Group::Server, "2.8.13", PER_COMMAND, "", "Tells about all commands.")
    .tips(ANY_ORDER)];

const SUBCOMMANDS: &[Command] = &[
    Command::server("count", 2, FLAGS).acl(Categories::CONNECTION).docs(
        Group::Server,
        "2.8.13",
        "O(1)",
        "",
        "Answers how many commands there are.",
    ),
    Command::server("docs", -2, FLAGS)
        .acl(Categories::CONNECTION)
        .docs(
            Group::Server,
            "7.0.0",
            PER_COMMAND,
            "[command-name [command-name ...]]",
            "Answers the documentation of commands.",
        )
        .tips(ANY_ORDER),
    Command::server("getkeys", -3, FLAGS).acl(Categories::CONNECTION).docs(
        Group::Server,
        "2.8.13",
        "O(N) where N is the number of arguments",
        "command [arg [arg ...]]",
        "Answers which arguments of a command are keys.",
    ),
    Command::server("getkeysandflags", -3, FLAGS).acl(Categories::CONNECTION).docs(
        Group::Server,
        "7.0.0",
        "O(N) where N is the number of arguments",
        "command [arg [arg ...]]",
        "Answers which arguments of a command are keys, and what is done with them.",
    ),
    Command::server("help", 2, FLAGS).acl(Categories::CONNECTION).docs(
        Group::Server,
        "5.0.0",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
    Command::server("info", -2, FLAGS)
        .acl(Categories::CONNECTION)
        .docs(
            Group::Server,
            "2.8.13",
            PER_COMMAND,
            "[command-name [command-name ...]]",
            "Tells about some commands, or all.",
        )
        .tips(ANY_ORDER),
    Command::server("list", -2, FLAGS)
        .acl(Categories::CONNECTION)
        .docs(
            Group::Server,
            "7.0.0",
            PER_COMMAND,
            "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
            "Answers the names of the commands.",
        )
        .tips(ANY_ORDER),
];

/// The commands that can be called, without their subcommands, in the order of the table.
fn commands(server: &Server) -> Vec<&Row> {
    let mut rows: Vec<&Row> = server.registry().commands().map(|(_, row)| row).collect();
    rows.sort_unstable_by_key(|row| row.id);
    rows
}

fn subcommands<'s>(server: &'s Server, row: &'s Row) -> impl Iterator<Item = &'s Row> {
    row.subcommands().map(|id| server.registry().row(id))
}

/// The row that an argument names: `get`, `config|get`.
fn named<'s>(server: &'s Server, name: &[u8]) -> Option<&'s Row> {
    server.registry().find_full(std::str::from_utf8(name).ok()?)
}

fn all(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let rows = commands(context.server);
    reply.array(rows.len());
    rows.into_iter().for_each(|row| describe_with_subcommands(context.server, row, reply));
    Ok(())
}

fn count(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(context.server.registry().commands().count());
    Ok(())
}

fn info(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() == 2 {
        return all(context, view, args, reply);
    }
    reply.array(args.len() - 2);
    for name in args.from(2) {
        match named(context.server, name) {
            Some(row) => describe_with_subcommands(context.server, row, reply),
            None => reply.null(),
        }
    }
    Ok(())
}

fn docs(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let rows: Vec<&Row> = if args.len() == 2 {
        commands(context.server)
    } else {
        args.from(2).filter_map(|name| named(context.server, name)).collect()
    };
    reply.map(rows.len());
    rows.into_iter().for_each(|row| docs::document(context.server, row, reply));
    Ok(())
}

fn list(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let filter = Filter::parse(args)?;
    let server = context.server;
    let mut names = Vec::new();
    for row in commands(server) {
        names.extend(std::iter::once(row).chain(subcommands(server, row)).filter(|row| filter.takes(row)));
    }
    reply.array(names.len());
    names.iter().for_each(|row| reply.text(row.full_name));
    Ok(())
}

/// Which commands COMMAND LIST lists.
enum Filter<'a> {
    All,
    /// Those of a module: there are no modules.
    Module,
    /// Those of an ACL category, if there is such a category.
    Category(Option<Categories>),
    /// Those whose full name matches.
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Self, CommandError> {
        let value = args.get(4);
        match args.len() {
            2 => Ok(Self::All),
            5 if args.is(2, "FILTERBY") && args.is(3, "MODULE") => Ok(Self::Module),
            5 if args.is(2, "FILTERBY") && args.is(3, "ACLCAT") => {
                Ok(Self::Category(std::str::from_utf8(value).ok().and_then(Categories::by_name)))
            }
            5 if args.is(2, "FILTERBY") && args.is(3, "PATTERN") => Ok(Self::Pattern(value)),
            _ => Err(CommandError::Syntax),
        }
    }

    fn takes(&self, row: &Row) -> bool {
        match self {
            Self::All => true,
            Self::Module => false,
            Self::Category(category) => {
                category.is_some_and(|category| row.command.all_categories().has(category))
            }
            Self::Pattern(pattern) => glob::matches(pattern, row.full_name.as_bytes(), Case::Insensitive),
        }
    }
}

// ---- INFO -----------------------------------------------------------------------------------------------------------

fn describe_with_subcommands(server: &Server, row: &Row, reply: &mut Reply<'_>) {
    describe(row, reply);
    // Redis says a set where there are none, and an array where there are.
    match row.subcommands().len() {
        0 => reply.set(0),
        count => reply.array(count),
    }
    for sub in subcommands(server, row) {
        describe(sub, reply);
        reply.set(0);
    }
}

/// The first nine of the ten parts that describe a command; its subcommands follow.
fn describe(row: &Row, reply: &mut Reply<'_>) {
    let command = row.command;
    let (first, last, step) = command.key_range();
    reply.array(10);
    reply.text(row.full_name);
    reply.int(i64::from(command.arity));
    simple_set(reply, shown_flags(command).names().map(str::to_owned));
    reply.int(first);
    reply.int(last);
    reply.int(step);
    simple_set(reply, command.all_categories().names().map(|name| format!("@{name}")));
    reply.set(command.tips.len());
    command.tips.iter().for_each(|tip| reply.text(tip));
    reply.set(command.keys.len());
    command.keys.iter().for_each(|spec| describe_keys(spec, reply));
}

/// The flags that clients see; Redis keeps this one to itself.
fn shown_flags(command: &Command) -> Flags {
    command.flags.without(Flags::MAY_REPLICATE)
}

/// A set of simple strings.
fn simple_set(reply: &mut Reply<'_>, names: impl Iterator<Item = String>) {
    let names: Vec<String> = names.collect();
    reply.set(names.len());
    names.iter().for_each(|name| reply.simple(name));
}

fn describe_keys(spec: &KeySpec, reply: &mut Reply<'_>) {
    reply.map(if spec.notes.is_empty() { 3 } else { 4 });
    if !spec.notes.is_empty() {
        reply.text("notes");
        reply.text(spec.notes);
    }
    reply.text("flags");
    simple_set(reply, spec.flags.names().map(str::to_owned));
    reply.text("begin_search");
    match spec.begin {
        Begin::Index(index) => search(reply, "index", &[("index", index as i64)]),
        Begin::Keyword(keyword, from) => {
            search_head(reply, "keyword", 2);
            reply.text("keyword");
            reply.text(keyword);
            reply.text("startfrom");
            reply.int(i64::from(from));
        }
        Begin::Unknown => search(reply, "unknown", &[]),
    }
    reply.text("find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            let parts = [("lastkey", i64::from(last)), ("keystep", step as i64), ("limit", limit as i64)];
            search(reply, "range", &parts);
        }
        Find::KeyNum { number, first, step } => {
            let parts = [("keynumidx", number as i64), ("firstkey", first as i64), ("keystep", step as i64)];
            search(reply, "keynum", &parts);
        }
        Find::Unknown => search(reply, "unknown", &[]),
    }
}

fn search(reply: &mut Reply<'_>, kind: &str, parts: &[(&str, i64)]) {
    search_head(reply, kind, parts.len());
    for (name, value) in parts {
        reply.text(name);
        reply.int(*value);
    }
}

fn search_head(reply: &mut Reply<'_>, kind: &str, parts: usize) {
    reply.map(2);
    reply.text("type");
    reply.text(kind);
    reply.text("spec");
    reply.map(parts);
}

// ---- GETKEYS --------------------------------------------------------------------------------------------------------

fn getkeys(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (_, args, keys) = find_keys(context.server, args)?;
    reply.array(keys.len());
    keys.iter().for_each(|index| reply.bulk(args.get(*index as usize)));
    Ok(())
}

fn getkeysandflags(
    context: &mut Context<'_>,
    _: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let (command, args, keys) = find_keys(context.server, args)?;
    reply.array(keys.len());
    for index in keys {
        reply.array(2);
        reply.bulk(args.get(index as usize));
        simple_set(reply, command.flags_of_key(args, index).names().map(str::to_owned));
    }
    Ok(())
}

/// The command in the arguments, its own arguments, and which of them are keys.
fn find_keys<'s, 'a>(
    server: &'s Server,
    args: Args<'a>,
) -> Result<(&'s Command, Args<'a>, Vec<u32>), CommandError> {
    let args = args.skip(2);
    let row = server.registry().find(args.get(0)).and_then(|row| {
        let is_container = row.subcommands().next().is_some() && args.len() > 1;
        if is_container { server.registry().subcommand(row, args.get(1)) } else { Some(row) }
    });
    let command = row.ok_or(CommandError::text("ERR Invalid command specified"))?.command;
    let has_keys =
        command.find_keys.is_some() || command.keys.iter().any(|spec| !spec.flags.has(KeyFlags::NOT_KEY));
    if !has_keys {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    if !command.arity_allows(args.len()) {
        return Err(CommandError::text("ERR Invalid number of arguments specified for command"));
    }
    let mut keys = Vec::new();
    let is_found = command.push_keys(args, &mut keys).is_ok() && !keys.is_empty();
    if is_found {
        Ok((command, args, keys))
    } else if command.flags.has(Flags::NO_MANDATORY_KEYS) {
        Ok((command, args, Vec::new()))
    } else {
        Err(CommandError::text("ERR Invalid arguments specified for command"))
    }
}

fn help(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    super::help(
        reply,
        "COMMAND",
        &[
            "(no subcommand)",
            "    Tells about all commands.",
            "COUNT",
            "    Tells how many commands there are.",
            "DOCS [<command-name> ...]",
            "    Shows the documentation of commands, or of all.",
            "GETKEYS <full-command>",
            "    Shows which arguments of a command are keys.",
            "GETKEYSANDFLAGS <full-command>",
            "    Shows which arguments of a command are keys, and what is done with them.",
            "INFO [<command-name> ...]",
            "    Tells about some commands, or all.",
            "LIST [FILTERBY (MODULE <module-name>|ACLCAT <category>|PATTERN <pattern>)]",
            "    Lists the names of commands, or of those that the filter lets through.",
        ],
    );
    Ok(())
}
