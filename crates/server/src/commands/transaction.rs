//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH. EXEC itself is `crate::request::transaction`.

use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::{
    Args, Categories, Command, CommandError, Flags, Group, KeyFlags, KeySpec, Outcome, Rules,
};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::gate;
use crate::request::origin::Origin;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("multi", multi),
        ("exec", exec),
        ("discard", discard),
        ("watch", watch),
        ("unwatch", unwatch),
    ],
};

const EXEC: Flags = Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::SKIP_SLOWLOG);
const ALWAYS: Flags =
    Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::FAST).with(Flags::ALLOW_BUSY);

const ROWS: &[Command] = &[
    Command::server("multi", 1, ALWAYS)
        .rules(Rules::UNQUEUED.with(Rules::OPENS_TRANSACTION))
        .acl(Categories::TRANSACTION)
        .docs(Group::Transactions, "1.2.0", "O(1)", "", "Begins a transaction: what follows is queued."),
    Command::server("exec", 1, EXEC)
        .rules(Rules::UNQUEUED.with(Rules::ENDS_TRANSACTION).with(Rules::RUNS_QUEUE))
        .acl(Categories::TRANSACTION)
        .docs(
            Group::Transactions,
            "1.2.0",
            "Depends on commands in the transaction",
            "",
            "Runs the queued commands as one step, unless a watched key has changed.",
        ),
    Command::server("discard", 1, ALWAYS)
        .rules(Rules::UNQUEUED.with(Rules::ENDS_TRANSACTION))
        .acl(Categories::TRANSACTION)
        .docs(
            Group::Transactions,
            "2.0.0",
            "O(N), when N is the number of queued commands",
            "",
            "Forgets the queued commands and the watches.",
        ),
    Command::server("watch", -2, ALWAYS)
        .rules(Rules::UNQUEUED)
        .keys(&[KeySpec::range(KeyFlags::RO, 1, -1, 1)])
        .acl(Categories::TRANSACTION)
        .docs(
            Group::Transactions,
            "2.2.0",
            "O(1) for every key.",
            "key [key ...]",
            "Makes the next EXEC depend on these keys being as they are.",
        ),
    Command::server("unwatch", 1, ALWAYS).acl(Categories::TRANSACTION).docs(
        Group::Transactions,
        "2.2.0",
        "O(1)",
        "",
        "Forgets the watches.",
    ),
];

fn multi(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let conversation = context.conversation()?;
    if conversation.transaction.is_some() {
        return Err(CommandError::text("ERR MULTI calls can not be nested"));
    }
    conversation.set_transaction(Some(Box::default()));
    reply.ok();
    Ok(())
}

/// EXEC in EXEC, or in a place that never runs a queue: the connection runs EXEC itself.
fn exec(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(CommandError::text("ERR EXEC without MULTI"))
}

fn discard(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let conversation = context.conversation()?;
    if conversation.transaction.is_none() {
        return Err(CommandError::text("ERR DISCARD without MULTI"));
    }
    conversation.set_transaction(None);
    conversation.after.ends_watches = true;
    reply.ok();
    Ok(())
}

fn watch(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    // While the server is paused nothing expires.
    let expires = !context.server.gate().has(gate::PAUSED);
    let conversation = context.conversation()?;
    if conversation.transaction.is_some() {
        return Err(CommandError::text("ERR WATCH inside MULTI is not allowed"));
    }
    for key in args.keys() {
        let Entry::Vacant(unwatched) = conversation.watched.entry((view.db() as u32, key.bytes.into()))
        else {
            continue;
        };
        // A key whose time has come is watched as one that is not there.
        if expires {
            view.expire_if_due(key);
        }
        view.watch(key, &conversation.watch_flag);
        unwatched.insert(view.exists(key));
    }
    let watched = conversation.watched.len();
    context.caller.client.watched.store(watched, Relaxed);
    reply.ok();
    Ok(())
}

fn unwatch(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let ends_watches = context.origin != Origin::Queue;
    context.conversation()?.after.ends_watches = ends_watches;
    reply.ok();
    Ok(())
}
