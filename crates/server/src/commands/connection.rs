//! Connection: PING, ECHO, SELECT, HELLO, AUTH, QUIT, RESET.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_acl::DEFAULT_USER;
use rustredis_commands::{Args, Categories, Command, CommandError, Databases, Flags, Group, Outcome, Rules};
use rustredis_keyspace::View;
use rustredis_resp::{Proto, Reply};

use super::{Context, Family};
use crate::clients::client::flags;
use crate::request::context::NO_CONNECTION;
use crate::request::conversation::ReplyMode;
use crate::request::permission;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("ping", ping),
        ("echo", echo),
        ("select", select),
        ("hello", hello),
        ("auth", auth),
        ("quit", quit),
        ("reset", reset),
    ],
};

const HANDSHAKE: Flags = Flags::NOSCRIPT
    .with(Flags::LOADING)
    .with(Flags::STALE)
    .with(Flags::FAST)
    .with(Flags::NO_AUTH)
    .with(Flags::ALLOW_BUSY);

/// Ends whatever mode the connection is in.
const LEAVING: Rules = Rules::IN_SUBSCRIBER_MODE.with(Rules::UNQUEUED).with(Rules::ENDS_TRANSACTION);

const ROWS: &[Command] = &[
    Command::server("ping", -1, Flags::FAST)
        .rules(Rules::IN_SUBSCRIBER_MODE.with(Rules::TELLS_DISK_ERROR))
        .acl(Categories::CONNECTION)
        .docs(
            Group::Connection,
            "1.0.0",
            "O(1)",
            "[message]",
            "Answers PONG, or the message: whether the server is there.",
        )
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::server("echo", 2, Flags::LOADING.with(Flags::STALE).with(Flags::FAST))
        .acl(Categories::CONNECTION)
        .docs(Group::Connection, "1.0.0", "O(1)", "message", "Answers the message."),
    Command::server("select", 2, Flags::LOADING.with(Flags::STALE).with(Flags::FAST))
        .rules(Rules::SELECTS_DATABASE)
        .databases(Databases::Named(|_| vec![1]))
        .acl(Categories::CONNECTION)
        .docs(Group::Connection, "1.0.0", "O(1)", "index", "Changes the database of the connection."),
    Command::server("hello", -1, HANDSHAKE).find_secrets(hello_secrets).acl(Categories::CONNECTION).docs(
        Group::Connection,
        "6.0.0",
        "O(1)",
        "[protover [AUTH username password] [SETNAME clientname]]",
        "Agrees on the protocol and tells about the server.",
    ),
    Command::server("auth", -2, HANDSHAKE)
        .find_secrets(|args| (1..args.len()).collect())
        .acl(Categories::CONNECTION)
        .docs(
            Group::Connection,
            "1.0.0",
            "O(N) where N is the number of passwords defined for the user",
            "[username] password",
            "Authenticates the connection.",
        ),
    Command::server("quit", -1, HANDSHAKE)
        .rules(LEAVING)
        .acl(Categories::CONNECTION)
        .docs(Group::Connection, "1.0.0", "O(1)", "", "Closes the connection once the reply is sent.")
        .deprecated("7.2.0", "just closing the connection"),
    Command::server("reset", 1, HANDSHAKE).rules(LEAVING).acl(Categories::CONNECTION).docs(
        Group::Connection,
        "6.2.0",
        "O(1)",
        "",
        "Puts the connection back to what it was when it began.",
    ),
];

/// Behind AUTH a name and a password follow.
fn hello_secrets(args: Args<'_>) -> Vec<usize> {
    (1..args.len()).filter(|index| args.is(*index, "AUTH")).flat_map(|index| [index + 1, index + 2]).collect()
}

fn ping(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() > 2 {
        return Err(CommandError::Arity("ping".into()));
    }
    if context.conversation.as_ref().is_some_and(|own| !own.subscriptions.is_empty())
        && reply.proto() == Proto::Resp2
    {
        reply.array(2);
        reply.text("pong");
        reply.bulk(args.get(1));
    } else if args.len() == 2 {
        reply.bulk(args.get(1));
    } else {
        reply.simple("PONG");
    }
    Ok(())
}

fn echo(_: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.bulk(args.get(1));
    Ok(())
}

fn select(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let db = args.int(1)?;
    if i32::try_from(db).is_err() {
        let text = "ERR value is out of range, value must between -2147483648 and 2147483647";
        return Err(CommandError::text(text));
    }
    let db =
        usize::try_from(db).ok().filter(|db| *db < view.store().databases()).ok_or(CommandError::DbIndex)?;
    context.caller.select(db);
    reply.ok();
    Ok(())
}

/// Checks the name and the password that these arguments give.
fn authenticate(context: &mut Context<'_>, args: Args<'_>, name: &[u8], password: &[u8]) -> Outcome {
    let known = context.server.users().find(name).filter(|known| known.user.admits(password));
    let Some(known) = known else {
        let place = permission::Place::of(context.origin, false);
        permission::note_authentication(context.server, context.caller, args, name, place);
        return Err(CommandError::text("WRONGPASS invalid username-password pair or user is disabled."));
    };
    context.caller.is_authenticated = true;
    context.caller.become_user(known);
    Ok(())
}

fn auth(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match args.len() {
        2 => {
            if context.server.users().default_user().user.needs_no_password {
                return Err(CommandError::text(
                    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
                ));
            }
            authenticate(context, args, DEFAULT_USER, args.get(1))?;
        }
        3 => authenticate(context, args, args.get(1), args.get(2))?,
        _ => return Err(CommandError::Syntax),
    }
    reply.ok();
    Ok(())
}

/// Whether a client may be called this: printable, no spaces.
pub fn is_name(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

fn hello(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut proto = context.caller.proto;
    if args.len() > 1 {
        let version = args
            .int(1)
            .map_err(|_| CommandError::text("ERR Protocol version is not an integer or out of range"))?;
        proto = match version {
            2 => Proto::Resp2,
            3 => Proto::Resp3,
            _ => return Err(CommandError::text("NOPROTO unsupported protocol version")),
        };
    }
    let mut credentials = None;
    let mut name = None;
    let mut index = 2;
    while index < args.len() {
        let more = args.len() - index - 1;
        if args.is(index, "AUTH") && more >= 2 {
            credentials = Some((args.get(index + 1), args.get(index + 2)));
            index += 3;
        } else if args.is(index, "SETNAME") && more >= 1 {
            let wanted = args.get(index + 1);
            if !is_name(wanted) {
                return Err(CommandError::text(
                    "ERR Client names cannot contain spaces, newlines or special characters.",
                ));
            }
            name = Some(String::from_utf8_lossy(wanted).into_owned());
            index += 2;
        } else {
            return Err(CommandError::quoting("ERR Syntax error in HELLO option '", args.get(index), "'"));
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(context, args, user, password)?;
    }
    if !context.caller.is_authenticated {
        return Err(CommandError::text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        context.caller.client.identity.lock().name = name;
    }
    context.caller.set_proto(proto);
    reply.set_proto(proto);
    reply.map(7);
    reply.text("server");
    reply.text("redis");
    reply.text("version");
    reply.text(rustredis_config::REDIS_VERSION);
    reply.text("proto");
    reply.int(if proto == Proto::Resp3 { 3 } else { 2 });
    reply.text("id");
    reply.int(context.caller.client.id as i64);
    reply.text("mode");
    reply.text("standalone");
    reply.text("role");
    reply.text("master");
    reply.text("modules");
    reply.array(0);
    Ok(())
}

fn quit(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.ok();
    context.conversation()?.after.closes = true;
    Ok(())
}

fn reset(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Context { server, caller, conversation, .. } = context;
    let conversation = conversation.as_deref_mut().ok_or(NO_CONNECTION)?;
    let client = caller.client.clone();
    conversation.set_transaction(None);
    conversation.after.ends_watches = true;
    conversation.reply_mode = ReplyMode::On;
    server.pubsub().leave(&client, &mut conversation.subscriptions);
    caller.tracker.take().into_iter().for_each(|tracker| server.tracking().end(&client, tracker));
    if std::mem::take(&mut conversation.is_monitor) {
        server.monitors().leave(&client);
    }
    caller.select(0);
    caller.set_proto(Proto::Resp2);
    reply.set_proto(Proto::Resp2);
    caller.no_touch = false;
    caller.become_user(server.users().default_user());
    caller.is_authenticated = !server.settings().requires_password.load(Relaxed);
    client.identity.lock().name.clear();
    client.set_flag(flags::NO_EVICT | flags::NO_TOUCH | flags::READONLY, false);
    reply.simple("RESET");
    Ok(())
}
