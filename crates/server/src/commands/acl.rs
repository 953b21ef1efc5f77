//! ACL, as far as it is true where there is only the default user, who may do everything: what tells about users is
//! answered, what would change them is refused.

use rustredis_commands::command::FindSecrets;
use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group, Outcome};
use rustredis_config::Directive;
use rustredis_keyspace::View;
use rustredis_resp::Reply;
use sha2::{Digest, Sha256};

use super::{Context, Family};
use crate::clients::list;
use crate::clock::now_ms;
use crate::request::origin::Origin;
use crate::start::server::Server;

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
        ("acl|load", no_file),
        ("acl|log", log),
        ("acl|save", no_file),
        ("acl|setuser", setuser),
        ("acl|users", users),
        ("acl|whoami", whoami),
    ],
};

const ANYONE: Flags = Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE);
const ADMIN: Flags = ANYONE.with(Flags::ADMIN);
/// The rules of the default user behind its password.
const RULES: [(&str, &str); 3] = [("keys", "~*"), ("channels", "&*"), ("commands", "+@all")];
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
    sub("deluser", -3, ADMIN, "O(1)", "username [username ...]", "Deletes users: there is none to delete.")
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
    sub("load", 2, ADMIN, "O(1)", "", "Refused: there is no file of users."),
    sub(
        "log",
        -2,
        ADMIN,
        "O(N) where N is the number of entries",
        "[count | RESET]",
        "Shows who was refused.",
    ),
    sub("save", 2, ADMIN, "O(1)", "", "Refused: there is no file of users."),
    sub(
        "setuser",
        -3,
        ADMIN,
        "O(1)",
        "username [rule [rule ...]]",
        "Refused: there is only the default user.",
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

fn deluser(_: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.from(2).any(|name| name == b"default") {
        return Err(CommandError::text("ERR The 'default' user cannot be removed"));
    }
    reply.int(0);
    Ok(())
}

fn dryrun(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.get(2) != b"default" {
        return Err(CommandError::quoting("ERR User '", args.get(2), "' not found"));
    }
    match context.server.registry().resolve(args.skip(3)) {
        Ok(_) => reply.ok(),
        Err(arity @ CommandError::Arity(_)) => return Err(arity),
        Err(_) => return Err(CommandError::quoting("ERR Command '", args.get(3), "' not found")),
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

/// What stands for the default user's password, as Redis shows it: its SHA-256; `None` without one.
fn password_digest(server: &Server) -> Option<String> {
    let config = server.config().lock();
    let password = config.text(Directive::Requirepass);
    (!password.is_empty()).then(|| hexadecimal(&Sha256::digest(password)))
}

fn getuser(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.get(2) != b"default" {
        reply.null();
        return Ok(());
    }
    let password = password_digest(context.server);
    let flags: &[&str] = if password.is_some() { &["on"] } else { &["on", "nopass"] };
    reply.map(6);
    reply.text("flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.text(flag));
    reply.text("passwords");
    reply.array(usize::from(password.is_some()));
    password.iter().for_each(|password| reply.text(password));
    let [keys, channels, commands] = RULES;
    for (name, rule) in [commands, keys, channels] {
        reply.text(name);
        reply.text(rule);
    }
    reply.text("selectors");
    reply.array(0);
    Ok(())
}

fn list(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let password = password_digest(context.server).map_or("nopass".to_owned(), |digest| format!("#{digest}"));
    let rules = RULES.map(|(_, rule)| rule).join(" ");
    reply.array(1);
    reply.text(&format!("user default on {password} {rules}"));
    Ok(())
}

fn users(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.array(1);
    reply.text("default");
    Ok(())
}

fn whoami(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.text("default");
    Ok(())
}

fn setuser(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(CommandError::text(
        "ERR only the default user exists yet: CONFIG SET requirepass changes its password, nothing its rights",
    ))
}

/// ACL SAVE and ACL LOAD.
fn no_file(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(CommandError::text("ERR This server has no ACL file: only the default user exists yet"))
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
        reply.text("auth");
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

/// Notes that the client gave a wrong name or password with the command that runs.
pub(super) fn note_refusal(context: &Context<'_>, args: Args<'_>, username: &[u8]) {
    let (server, client) = (context.server, &context.caller.client);
    let len_max = usize::try_from(server.config().lock().int(Directive::AcllogMaxLen)).unwrap_or(0);
    let mut client_info = String::new();
    let bytes = args.from(0).map(<[u8]>::len).sum();
    list::describe(&mut client_info, server.registry(), client, now_ms(), bytes);
    let client_info = client_info.trim_end().to_owned();
    let place = if context.origin == Origin::Queue { "multi" } else { "toplevel" };
    server.acl_log().note(place, args.get(0), username, client_info, now_ms(), len_max);
}

fn help(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    super::help(
        reply,
        "ACL",
        &[
            "CAT [<category>]",
            "    Show the categories of commands, or the commands of one.",
            "DELUSER <username> [<username> ...]",
            "    Delete users: there is only the default user, who stays.",
            "DRYRUN <username> <command> [<arg> ...]",
            "    Tell whether a user may run a command.",
            "GENPASS [<bits>]",
            "    Draw a password, of 256 bits unless told otherwise.",
            "GETUSER <username>",
            "    Tell about a user.",
            "LIST",
            "    Show the users as lines of a configuration file.",
            "LOG [<count> | RESET]",
            "    Show who was refused, or forget it.",
            "USERS",
            "    Show the names of the users.",
            "WHOAMI",
            "    Show the name of the connection's user.",
        ],
    );
    Ok(())
}
