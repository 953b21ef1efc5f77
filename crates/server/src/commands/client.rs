//! CLIENT: what a connection says of itself, and what others see of it and do to it.

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group, Outcome, Reach, Rules};
use rustredis_keyspace::View;
use rustredis_resp::{Reply, number};

use super::connection::is_name;
use super::{Context, Family, tracking};
use crate::clients::client::{Client, flags};
use crate::clients::list::{Filter, class_of_name, describe};
use crate::clock::now_ms;
use crate::request::conversation::ReplyMode;
use crate::start::server::Server;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("client|id", id),
        ("client|info", info),
        ("client|list", list),
        ("client|kill", kill),
        ("client|setname", setname),
        ("client|getname", getname),
        ("client|setinfo", setinfo),
        ("client|reply", reply_mode),
        ("client|no-evict", no_evict),
        ("client|no-touch", no_touch),
        ("client|pause", pause),
        ("client|unpause", unpause),
        ("client|unblock", unblock),
        ("client|caching", tracking::caching),
        ("client|getredir", tracking::getredir),
        ("client|tracking", tracking::tracking),
        ("client|trackinginfo", tracking::trackinginfo),
        ("client|help", help),
    ],
};

const ANYONE: Flags = Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE);
const ADMIN: Flags = Flags::ADMIN.with(ANYONE);

const ROWS: &[Command] = &[Command::container("client", -2, SUBCOMMANDS).docs(
    Group::Connection,
    "2.4.0",
    "Depends on subcommand.",
    "",
    "Commands about connections.",
)];

const fn sub(
    name: &'static str,
    arity: i32,
    flags: Flags,
    since: &'static str,
    complexity: &'static str,
    syntax: &'static str,
    summary: &'static str,
) -> Command {
    Command::server(name, arity, flags).rules(Rules::KEEPS_CACHING).acl(Categories::CONNECTION).docs(
        Group::Connection,
        since,
        complexity,
        syntax,
        summary,
    )
}

const SUBCOMMANDS: &[Command] = &[
    sub("id", 2, ANYONE, "5.0.0", "O(1)", "", "Tells the id of the connection."),
    sub("info", 2, ANYONE, "6.2.0", "O(1)", "", "Tells about the connection.")
        .tips(&["nondeterministic_output"]),
    sub(
        "list",
        -2,
        ADMIN,
        "2.4.0",
        "O(N) where N is the number of client connections",
        "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
        "Tells about all connections, or some of them.",
    )
    .tips(&["nondeterministic_output"]),
    sub(
        "kill",
        -3,
        ADMIN,
        "2.4.0",
        "O(N) where N is the number of client connections",
        "<ip:port | <[ID client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | [USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>] | [MAXAGE maxage] [[ID client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | [USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>] | [MAXAGE maxage] ...]>>",
        "Closes connections.",
    ),
    sub("setname", 3, ANYONE, "2.6.9", "O(1)", "connection-name", "Names the connection."),
    sub("getname", 2, ANYONE, "2.6.9", "O(1)", "", "Tells the name of the connection."),
    sub(
        "setinfo",
        4,
        ANYONE,
        "7.2.0",
        "O(1)",
        "<LIB-NAME libname | LIB-VER libver>",
        "Says which client library is in use.",
    ),
    sub("reply", 3, ANYONE, "3.2.0", "O(1)", "<ON | OFF | SKIP>", "Says which replies the connection wants."),
    sub("no-evict", 3, ADMIN, "7.0.0", "O(1)", "<ON | OFF>", "Keeps the connection from being evicted."),
    sub(
        "no-touch",
        3,
        ANYONE,
        "7.2.0",
        "O(1)",
        "<ON | OFF>",
        "Says whether the connection's reads count as accesses of their keys.",
    ),
    sub("pause", -3, ADMIN, "2.9.50", "O(1)", "timeout [WRITE | ALL]", "Lets clients wait for some time."),
    sub(
        "unpause",
        2,
        ADMIN,
        "6.2.0",
        "O(N) Where N is the number of paused clients",
        "",
        "Ends a pause before its time.",
    ),
    sub(
        "unblock",
        -3,
        ADMIN,
        "5.0.0",
        "O(log N) where N is the number of client connections",
        "client-id [TIMEOUT | ERROR]",
        "Ends the wait of a client for a key.",
    ),
    sub(
        "caching",
        3,
        ANYONE,
        "6.0.0",
        "O(1)",
        "<YES | NO>",
        "Says whether what the next command reads is tracked.",
    ),
    sub("getredir", 2, ANYONE, "6.0.0", "O(1)", "", "Tells which client gets this one's tracking messages."),
    sub(
        "tracking",
        -3,
        ANYONE,
        "6.0.0",
        "O(1). Some options may introduce additional complexity.",
        "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        "Says whether the connection is told of changes of what it reads.",
    )
    .reach(Reach::AllIf(tracking::begins)),
    sub("trackinginfo", 2, ANYONE, "6.2.0", "O(1)", "", "Tells how the connection's reads are tracked."),
    sub("help", 2, Flags::LOADING.with(Flags::STALE), "5.0.0", "O(1)", "", "Shows the subcommands."),
];

fn id(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.int(context.caller.client.id as i64);
    Ok(())
}

/// The lines of these clients; only of the one that asks it is known what it runs.
fn lines<'c>(context: &Context<'_>, args: Args<'_>, clients: impl IntoIterator<Item = &'c Client>) -> String {
    let now_ms = now_ms();
    let own_bytes: usize = args.from(0).map(<[u8]>::len).sum();
    let mut text = String::new();
    for client in clients {
        let bytes = if client.id == context.caller.client.id { own_bytes } else { 0 };
        describe(&mut text, context.server.registry(), client, now_ms, bytes);
    }
    text
}

fn info(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.verbatim("txt", &lines(context, args, [&*context.caller.client]));
    Ok(())
}

fn unknown_type(args: Args<'_>, index: usize) -> CommandError {
    CommandError::quoting("ERR Unknown client type '", args.get(index), "'")
}

fn list(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let all = context.server.clients();
    let clients = if args.len() == 2 {
        all.all()
    } else if args.is(2, "TYPE") && args.len() == 4 {
        let class = class_of_name(args.get(3)).ok_or_else(|| unknown_type(args, 3))?;
        let filter = Filter { class: Some(class), ..Filter::default() };
        let mut clients = all.all();
        clients.retain(|client| filter.has(client, 0));
        clients
    } else if args.is(2, "ID") && args.len() > 3 {
        let mut clients = Vec::new();
        for argument in args.from(3) {
            let id = number::parse_i64(argument).ok_or(CommandError::text("ERR Invalid client ID"))?;
            clients.extend(u64::try_from(id).ok().and_then(|id| all.get(id)));
        }
        clients
    } else {
        return Err(CommandError::Syntax);
    };
    reply.verbatim("txt", &lines(context, args, clients.iter().map(|client| &**client)));
    Ok(())
}

/// Reads the options of CLIENT KILL: whom, and whether the connection that asks is spared.
fn kill_filter(server: &Server, args: Args<'_>) -> Result<(Filter, bool), CommandError> {
    if args.len() == 3 {
        return Ok((Filter { addr: Some(args.get(2).to_vec()), ..Filter::default() }, false));
    }
    let mut filter = Filter::default();
    let mut skips_me = true;
    for index in (2..args.len()).step_by(2) {
        let Some(value) = args.try_get(index + 1) else { return Err(CommandError::Syntax) };
        if args.is(index, "ID") {
            let id = number::parse_i64(value).filter(|id| *id > 0);
            let id = id.ok_or(CommandError::text("ERR client-id should be greater than 0"))?;
            filter.id = Some(id as u64);
        } else if args.is(index, "TYPE") {
            filter.class = Some(class_of_name(value).ok_or_else(|| unknown_type(args, index + 1))?);
        } else if args.is(index, "ADDR") {
            filter.addr = Some(value.to_vec());
        } else if args.is(index, "LADDR") {
            filter.laddr = Some(value.to_vec());
        } else if args.is(index, "USER") {
            if server.users().find(value).is_none() {
                return Err(CommandError::quoting("ERR No such user '", value, "'"));
            }
            filter.user = Some(value.to_vec());
        } else if args.is(index, "MAXAGE") {
            let age = number::parse_i64(value)
                .ok_or(CommandError::text("ERR maxage is not an integer or out of range"))?;
            let age = u64::try_from(age).ok().filter(|age| *age > 0);
            filter.age_seconds_min =
                Some(age.ok_or(CommandError::text("ERR maxage should be greater than 0"))?);
        } else if args.is(index, "SKIPME") {
            skips_me = is_yes(args, index + 1, "YES", "NO")?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok((filter, skips_me))
}

/// Reads one of two words.
fn is_yes(args: Args<'_>, index: usize, yes: &str, no: &str) -> Result<bool, CommandError> {
    match () {
        () if args.is(index, yes) => Ok(true),
        () if args.is(index, no) => Ok(false),
        () => Err(CommandError::Syntax),
    }
}

fn kill(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (filter, skips_me) = kill_filter(context.server, args)?;
    let clients = context.server.clients();
    let now_ms = now_ms();
    let own_id = context.caller.client.id;
    let mut killed = 0;
    for client in clients.all() {
        if !filter.has(&client, now_ms) || skips_me && client.id == own_id {
            continue;
        }
        if client.id == own_id {
            // It still gets the reply.
            context.conversation()?.after.closes = true;
            client.set_flag(flags::CLOSE_AFTER_REPLY, true);
            killed += 1;
        } else if clients.kill(&client) {
            killed += 1;
        }
    }
    match (args.len(), killed) {
        (3, 0) => return Err(CommandError::text("ERR No such client")),
        (3, _) => reply.ok(),
        (_, killed) => reply.int(killed),
    }
    Ok(())
}

fn setname(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !is_name(args.get(2)) {
        return Err(CommandError::text(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    context.caller.client.identity.lock().name = String::from_utf8_lossy(args.get(2)).into_owned();
    reply.ok();
    Ok(())
}

fn getname(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let identity = context.caller.client.identity.lock();
    let name = Some(identity.name.as_bytes()).filter(|name| !name.is_empty());
    reply.bulk_or_null(name);
    Ok(())
}

fn setinfo(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut identity = context.caller.client.identity.lock();
    let field = match () {
        () if args.is(2, "LIB-NAME") => &mut identity.lib_name,
        () if args.is(2, "LIB-VER") => &mut identity.lib_ver,
        () => return Err(CommandError::quoting("ERR Unrecognized option '", args.get(2), "'")),
    };
    if !is_name(args.get(3)) {
        return Err(CommandError::owned(format!(
            "ERR {} cannot contain spaces, newlines or special characters.",
            args.lossy(2)
        )));
    }
    *field = String::from_utf8_lossy(args.get(3)).into_owned();
    reply.ok();
    Ok(())
}

fn reply_mode(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mode = &mut context.conversation()?.reply_mode;
    if args.is(2, "ON") {
        *mode = ReplyMode::On;
        reply.ok();
    } else if args.is(2, "OFF") {
        *mode = ReplyMode::Off;
    } else if args.is(2, "SKIP") {
        if *mode != ReplyMode::Off {
            *mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

fn no_evict(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    context.caller.client.set_flag(flags::NO_EVICT, is_yes(args, 2, "ON", "OFF")?);
    reply.ok();
    Ok(())
}

fn no_touch(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    context.caller.no_touch = is_yes(args, 2, "ON", "OFF")?;
    context.caller.client.set_flag(flags::NO_TOUCH, context.caller.no_touch);
    reply.ok();
    Ok(())
}

fn pause(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let pauses_reads = match () {
        () if args.len() == 3 || args.len() == 4 && args.is(3, "ALL") => true,
        () if args.len() == 4 && args.is(3, "WRITE") => false,
        () if args.len() == 4 => {
            return Err(CommandError::text("ERR CLIENT PAUSE mode must be WRITE or ALL"));
        }
        () => return Err(wrong_words(args)),
    };
    let timeout_ms =
        args.int(2).map_err(|_| CommandError::text("ERR timeout is not an integer or out of range"))?;
    let timeout_ms = u64::try_from(timeout_ms).map_err(|_| CommandError::NegativeTimeout)?;
    let until_ms = now_ms() + timeout_ms;
    if until_ms > i64::MAX as u64 {
        return Err(CommandError::TimeoutOutOfRange);
    }
    context.server.pause().begin(until_ms, pauses_reads);
    reply.ok();
    Ok(())
}

/// What Redis says of a subcommand whose arity allows more than its function does.
fn wrong_words(args: Args<'_>) -> CommandError {
    super::wrong_subcommand(args, "CLIENT")
}

fn unpause(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    context.server.pause().end();
    reply.ok();
    Ok(())
}

fn unblock(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let is_error = match () {
        () if args.len() == 3 || args.len() == 4 && args.is(3, "TIMEOUT") => false,
        () if args.len() == 4 && args.is(3, "ERROR") => true,
        () if args.len() == 4 => {
            return Err(CommandError::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
        () => return Err(wrong_words(args)),
    };
    let id = args.int(2)?;
    let client = u64::try_from(id).ok().and_then(|id| context.server.clients().get(id));
    let is_unblocked = client.is_some_and(|client| {
        if client.unblock_sync_wait(is_error) {
            return true;
        }
        let waiting = client.waiting.lock();
        waiting.as_ref().is_some_and(|waiter| {
            if is_error {
                waiter.fail("UNBLOCKED client unblocked via CLIENT UNBLOCK")
            } else {
                waiter.time_out()
            }
        })
    });
    reply.int(i64::from(is_unblocked));
    Ok(())
}

fn help(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    const LINES: &[&str] = &[
        "CACHING (YES|NO)",
        "    Says whether what the next command reads is tracked (OPTIN, OPTOUT).",
        "GETNAME",
        "    Tells the name of this connection.",
        "GETREDIR",
        "    Tells which client gets this one's tracking messages.",
        "ID",
        "    Tells the id of this connection.",
        "INFO",
        "    Tells about this connection.",
        "KILL <ip:port>",
        "    Closes the connection from this address.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Closes all connections for which all options hold:",
        "    * ADDR (<ip:port>|<unixsocket>:0)",
        "      From this address.",
        "    * LADDR (<ip:port>|<unixsocket>:0)",
        "      To this address of the server.",
        "    * ID <client-id>",
        "      With this id.",
        "    * MAXAGE <seconds>",
        "      At least so old.",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Of this kind.",
        "    * USER <username>",
        "      Authenticated as this user.",
        "    * SKIPME (YES|NO)",
        "      Whether this connection is spared (yes).",
        "LIST [options ...]",
        "    Tells about connections; options:",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Those of this kind.",
        "    * ID <client-id> [<client-id> ...]",
        "      Those with these ids.",
        "NO-EVICT (ON|OFF)",
        "    Keeps this connection from being evicted.",
        "NO-TOUCH (ON|OFF)",
        "    Keeps this connection's reads from counting as accesses of their keys.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Lets all clients, or those that write, wait for so many milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Says which replies this connection wants.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Says which client library is in use.",
        "SETNAME <name>",
        "    Names this connection.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
        "         [OPTIN] [OPTOUT] [NOLOOP]",
        "    Says whether this connection is told of changes of what it reads.",
        "TRACKINGINFO",
        "    Tells how this connection's reads are tracked.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Ends the wait of a client for a key.",
        "UNPAUSE",
        "    Ends a pause before its time.",
    ];
    super::help(reply, "CLIENT", LINES);
    Ok(())
}
