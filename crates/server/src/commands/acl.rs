//! ACL: users, what they may do, and who was refused.
//!
//! Each change is made in the table of users (`clients/users.rs`), and connections see it before their next command. Here it is followed
//! by what cannot wait for that: clients of a user who is no more are closed, and subscribers who may not hear any more what they hear.

use rustredis_acl::{DEFAULT_USER, LoadError, RuleError, Selector, User};
use rustredis_commands::command::FindSecrets;
use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group, Outcome};
use rustredis_config::Directive;
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::clients::client::{Client, flags};
use crate::clients::users::file;
use crate::clock::now_ms;
use crate::request::permission;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("acl|cat", cat),
        ("acl|deluser", deluser),
        ("acl|dryrun", dryrun),
        ("acl|genpass", genpass),
        ("acl|getuser", getuser),
        ("acl|help", help),
        ("acl|list", list),
        ("acl|load", load),
        ("acl|log", log),
        ("acl|save", save),
        ("acl|setuser", setuser),
        ("acl|users", users),
        ("acl|whoami", whoami),
    ],
};

const ANYONE: Flags = Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE);
const ADMIN: Flags = ANYONE.with(Flags::ADMIN);
const NO_FILE: CommandError = CommandError::text(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.",
);
/// Bits that ACL GENPASS draws without a number.
const PASSWORD_BITS: i64 = 256;
const PASSWORD_BITS_MAX: i64 = 4096;
/// Entries that ACL LOG shows without a number.
const LOG_ENTRIES: usize = 10;

const ROWS: &[Command] = &[Command::container("acl", -2, SUBCOMMANDS).docs(
    Group::Server,
    "6.0.0",
    "Depends on subcommand.",
    "",
    "Tells about users and their rights.",
)];

const fn sub(
    name: &'static str,
    arity: i32,
    flags: Flags,
    complexity: &'static str,
    syntax: &'static str,
    summary: &'static str,
) -> Command {
    Command::server(name, arity, flags).docs(Group::Server, "6.0.0", complexity, syntax, summary)
}

/// Names of users, and their rules.
const USERS: FindSecrets = |args| (2..args.len()).collect();

const SUBCOMMANDS: &[Command] = &[
    sub("cat", -2, ANYONE, "O(1)", "[category]", "Answers the categories, or the commands of one."),
    sub(
        "deluser",
        -3,
        ADMIN,
        "O(1)",
        "username [username ...]",
        "Deletes users, and closes their connections.",
    )
    .find_secrets(USERS),
    Command {
        since: "7.0.0",
        ..sub(
            "dryrun",
            -4,
            ADMIN,
            "O(1)",
            "username command [arg [arg ...]]",
            "Tells whether a user may run a command.",
        )
    },
    sub("genpass", -2, ANYONE, "O(1)", "[bits]", "Answers a random password in hexadecimal digits."),
    sub("getuser", 3, ADMIN, "O(1)", "username", "Tells about a user.").find_secrets(USERS),
    sub("list", 2, ADMIN, "O(1)", "", "Answers the users as lines of a configuration file."),
    sub("load", 2, ADMIN, "O(1)", "", "Takes the users of the file, and nobody else."),
    sub(
        "log",
        -2,
        ADMIN,
        "O(N) where N is the number of entries",
        "[count | RESET]",
        "Shows who was refused.",
    ),
    sub("save", 2, ADMIN, "O(1)", "", "Writes the users to the file."),
    sub(
        "setuser",
        -3,
        ADMIN,
        "O(1)",
        "username [rule [rule ...]]",
        "Makes a user, or changes what one may do.",
    )
    .find_secrets(USERS),
    sub("users", 2, ADMIN, "O(1)", "", "Answers the names of the users."),
    sub("whoami", 2, ANYONE, "O(1)", "", "Answers the name of the connection's user."),
    sub("help", 2, Flags::LOADING.with(Flags::STALE), "O(1)", "", "Shows the subcommands."),
];

fn cat(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match args.len() {
        2 => {
            reply.array(Categories::all().count());
            Categories::all().for_each(|(_, name)| reply.text(name));
        }
        3 => {
            let category = std::str::from_utf8(args.get(2)).ok().and_then(Categories::by_name);
            let category =
                category.ok_or_else(|| CommandError::quoting("ERR Unknown category '", args.get(2), "'"))?;
            let rows = context.server.registry().rows().iter();
            let rows = rows.filter(|row| row.command.all_categories().has(category));
            let names: Vec<&str> = rows.map(|row| row.full_name).collect();
            reply.array(names.len());
            names.iter().for_each(|name| reply.text(name));
        }
        _ => return Err(super::wrong_subcommand(args, "ACL")),
    }
    Ok(())
}

fn deluser(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.from(2).any(|name| name == DEFAULT_USER) {
        return Err(CommandError::text("ERR The 'default' user cannot be removed"));
    }
    let removed =
        context.server.users().change(|users| args.from(2).filter(|name| users.remove(name)).count());
    close_orphans(context)?;
    reply.count(removed);
    Ok(())
}

/// Closes the clients whose user is no more; the one that has asked for it gets its reply first.
fn close_orphans(context: &mut Context<'_>) -> Outcome {
    let (users, clients) = (context.server.users(), context.server.clients());
    let own = context.caller.client.clone();
    let is_orphan = |client: &Client| users.look(|users| users.get(&client.identity.lock().user).is_none());
    clients.all().iter().filter(|client| client.id != own.id && is_orphan(client)).for_each(|client| {
        clients.kill(client);
    });
    if is_orphan(&own) {
        context.conversation()?.after.closes = true;
        own.set_flag(flags::CLOSE_AFTER_REPLY, true);
    }
    Ok(())
}

fn dryrun(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (server, name, asked) = (context.server, args.get(2), args.skip(3));
    let not_found = || CommandError::quoting("ERR User '", name, "' not found");
    let known = server.users().find(name).ok_or_else(not_found)?;
    let row = match server.registry().resolve(asked) {
        Ok(row) => row,
        Err(arity @ CommandError::Arity(_)) => return Err(arity),
        Err(_) => return Err(CommandError::quoting("ERR Command '", args.get(3), "' not found")),
    };
    let mut keys = Vec::new();
    row.hash_keys(asked, &mut keys);
    let (asked, db) = (asked.with_keys(&keys), context.caller.db);
    match known.user.check(row, asked, db) {
        Ok(()) => reply.ok(),
        Err(denied) => reply.bulk(&permission::full_reason(name, denied, row, asked, db)),
    }
    Ok(())
}

fn genpass(_: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let bits = match args.len() {
        2 => PASSWORD_BITS,
        3 => args.int(2)?,
        _ => return Err(super::wrong_subcommand(args, "ACL")),
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(CommandError::text(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    let digits = (bits as usize).div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    fill_with_secrets(&mut bytes)?;
    let mut text = hexadecimal(&bytes);
    text.truncate(digits);
    reply.text(&text);
    Ok(())
}

/// Fills it with bytes that nobody can guess, from the kernel.
fn fill_with_secrets(bytes: &mut [u8]) -> Outcome {
    // As much as the kernel gives in one go, whatever signals arrive.
    for part in bytes.chunks_mut(256) {
        // SAFETY: the pointer and the length are those of a slice that is borrowed exclusively.
        let filled = unsafe { libc::getrandom(part.as_mut_ptr().cast(), part.len(), 0) };
        if usize::try_from(filled) != Ok(part.len()) {
            return Err(CommandError::text("ERR the system has no random bytes to give"));
        }
    }
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn getuser(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(known) = context.server.users().find(args.get(2)) else {
        reply.null();
        return Ok(());
    };
    let user: &User = &known.user;
    let flags = user.flags();
    reply.map(6);
    reply.text("flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.text(flag));
    reply.text("passwords");
    reply.array(user.passwords().len());
    user.passwords().iter().for_each(|hash| reply.text(hash.text()));
    describe(user.root(), reply);
    reply.text("selectors");
    reply.array(user.others().len());
    for selector in user.others() {
        reply.map(3);
        describe(selector, reply);
    }
    Ok(())
}

/// What a selector allows: three fields of a map. Where databases are restricted that stands before the commands.
fn describe(selector: &Selector, reply: &mut Reply<'_>) {
    let databases = selector.database_rules();
    let commands = selector.command_rules();
    reply.text("commands");
    if databases.is_empty() {
        reply.text(&commands);
    } else {
        reply.text(&format!("{databases} {commands}"));
    }
    reply.text("keys");
    reply.bulk(&selector.key_rules());
    reply.text("channels");
    reply.bulk(&selector.channel_rules());
}

fn list(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let lines = context.server.users().look(|users| users.to_lines());
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.bulk(line));
    Ok(())
}

fn users(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    context.server.users().look(|users| {
        let all = users.all();
        reply.array(all.len());
        all.for_each(|user| reply.bulk(&user.name));
    });
    Ok(())
}

fn whoami(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.bulk(&context.caller.client.identity.lock().user);
    Ok(())
}

fn setuser(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let server = context.server;
    let set = server.users().change(|users| users.set(args.get(2), args.from(3), server.registry()));
    let user = set.map_err(|error| match error {
        LoadError::Rule(rule, RuleError::Unmatched) => {
            CommandError::quoting("ERR Unmatched parenthesis in acl selector starting at '", &rule, "'.")
        }
        LoadError::Rule(rule, error) => {
            CommandError::quoting("ERR Error in ACL SETUSER modifier '", &rule, &format!("': {error}"))
        }
        error => CommandError::owned(format!("ERR {error}")),
    })?;
    server.pubsub().close_who_may_not_hear(&user);
    reply.ok();
    Ok(())
}

fn load(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let server = context.server;
    let (path, hears_all) = {
        let config = server.config().lock();
        let path = config.path(Directive::Aclfile).ok_or(NO_FILE)?.to_path_buf();
        (path, config.choice(Directive::AclPubsubDefault) == "allchannels")
    };
    let loaded = file::load(&path, hears_all, server.registry()).map_err(|error| {
        CommandError::owned(format!(
            "ERR {error}WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
        ))
    })?;
    let all: Vec<_> = loaded.all().cloned().collect();
    server.users().change(|users| *users = loaded);
    close_orphans(context)?;
    all.iter().for_each(|user| server.pubsub().close_who_may_not_hear(user));
    reply.ok();
    Ok(())
}

fn save(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let server = context.server;
    // The lock is kept, so that nobody else writes the file meanwhile.
    let config = server.config().lock();
    let path = config.path(Directive::Aclfile).ok_or(NO_FILE)?;
    let saved = server.users().look(|users| file::save(path, users));
    if let Err(error) = saved {
        tracing::warn!("ACL SAVE failed: {error}");
        return Err(CommandError::text(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        ));
    }
    reply.ok();
    Ok(())
}

fn log(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = match args.len() {
        2 => LOG_ENTRIES,
        3 if args.is(2, "RESET") => {
            context.server.acl_log().reset();
            reply.ok();
            return Ok(());
        }
        3 => usize::try_from(args.int(2)?).unwrap_or(0),
        _ => return Err(super::wrong_subcommand(args, "ACL")),
    };
    let entries = context.server.acl_log().newest(count);
    let now_ms = now_ms();
    reply.array(entries.len());
    for entry in entries {
        reply.map(10);
        reply.text("count");
        reply.int(entry.count as i64);
        reply.text("reason");
        reply.text(entry.reason.name());
        reply.text("context");
        reply.text(entry.context);
        reply.text("object");
        reply.bulk(&entry.object);
        reply.text("username");
        reply.bulk(&entry.username);
        reply.text("age-seconds");
        reply.double(now_ms.saturating_sub(entry.updated_ms) as f64 / 1000.0);
        reply.text("client-info");
        reply.text(&entry.client_info);
        reply.text("entry-id");
        reply.int(entry.id as i64);
        reply.text("timestamp-created");
        reply.int(entry.created_ms as i64);
        reply.text("timestamp-last-updated");
        reply.int(entry.updated_ms as i64);
    }
    Ok(())
}

fn help(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    super::help(
        reply,
        "ACL",
        &[
            "CAT [<category>]",
            "    Show the categories of commands, or the commands of one.",
            "DELUSER <username> [<username> ...]",
            "    Delete users, and close their connections.",
            "DRYRUN <username> <command> [<arg> ...]",
            "    Tell whether a user may run a command.",
            "GENPASS [<bits>]",
            "    Draw a password, of 256 bits unless told otherwise.",
            "GETUSER <username>",
            "    Tell about a user.",
            "LIST",
            "    Show the users as lines of a configuration file.",
            "LOAD",
            "    Take the users of the ACL file, and nobody else.",
            "LOG [<count> | RESET]",
            "    Show who was refused, or forget it.",
            "SAVE",
            "    Write the users to the ACL file.",
            "SETUSER <username> [<rule> ...]",
            "    Make a user, or change what one may do.",
            "USERS",
            "    Show the names of the users.",
            "WHOAMI",
            "    Show the name of the connection's user.",
        ],
    );
    Ok(())
}
