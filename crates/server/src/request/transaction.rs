//! MULTI, EXEC, DISCARD, WATCH.
//!
//! EXEC holds the union of what its commands and the watched keys need, in one view: to everybody else the whole queue
//! is one step. Waiters are served after the last command, as Redis does, and see the transaction as a whole.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_acl::Denied;
use rustredis_commands::{Args, CommandError, Outcome, OwnedArgs, Plan, Row, Rules};
use rustredis_engine::Held;
use rustredis_engine::faults::{Fault, has, pause};
use rustredis_keyspace::store::DbKey;
use rustredis_keyspace::{Access, Covered, Effects, Key, View, WatchFlag};
use rustredis_metrics::{CallEnd, CommandId};
use rustredis_resp::Reply;

use crate::gate;
use crate::request::caller::Caller;
use crate::request::connection::Connection;
use crate::request::conversation::{Conversation, Queued, Transaction};
use crate::request::origin::Origin;
use crate::request::permission::{self, Place};
use crate::request::redact;
use crate::request::run;
use crate::request::script;
use crate::request::settle::settle_step;
use crate::request::worker::Worker;
use crate::start::server::Server;

/// Most bytes that a transaction may queue; one that queues more is broken.
const QUEUE_BYTES_MAX: usize = 1 << 30;

/// Queues a command.
pub fn queue(conversation: &mut Conversation, row: &Row, args: Args<'_>) {
    let client = conversation.client.clone();
    if let Some(transaction) = &mut conversation.transaction {
        let args = OwnedArgs::new(args);
        transaction.bytes += args.memory_bytes() + size_of::<Queued>();
        if transaction.bytes > QUEUE_BYTES_MAX {
            transaction.is_broken = true;
            transaction.queue = Vec::new();
            return;
        }
        transaction.queue.push(Queued { row: row.id, args });
        client.queued.store(transaction.queue.len() as i64, Relaxed);
        client.queued_bytes.store(transaction.bytes, Relaxed);
    }
}

/// The union of what the queue and the watched keys need.
fn plan<'s>(
    server: &Server,
    conversation: &Conversation,
    transaction: &Transaction,
    shards: &'s mut Vec<u32>,
) -> Plan<'s> {
    let queued =
        transaction.queue.iter().map(|queued| (server.registry().row(queued.row), queued.args.args()));
    let watched = conversation.watched.keys().map(|(_, key)| Key::new(key).hash);
    Plan::union(queued, watched, server.engine().store(), shards)
}

/// Whether somebody waits for a key of the queue whom to serve takes more than the view covers.
fn has_far_waiters(view: &View<'_>, transaction: &Transaction) -> bool {
    view.store().far_waited.load(Relaxed) != 0
        && transaction
            .queue
            .iter()
            .any(|queued| queued.args.args().keys().any(|key| view.has_far_waiters(key)))
}

/// EXEC.
pub(crate) async fn execute(
    connection: &mut Connection,
    server: &Arc<Server>,
    worker: &Worker,
    row: &Row,
    _args: Args<'_>,
    effects: &mut Effects,
) {
    let started = worker.last_clock();
    let conversation = &mut connection.session.conversation;
    let mut outcome = CallEnd::Ok;
    match conversation.transaction.take() {
        None => {
            connection.answer_error(server, worker, &CommandError::text("ERR EXEC without MULTI"));
            outcome = CallEnd::Failed;
        }
        Some(transaction) if transaction.is_broken => {
            conversation.set_transaction(None);
            unwatch_all(connection, server, worker, effects).await;
            let text = "EXECABORT Transaction discarded because of previous errors.";
            connection.answer_error(server, worker, &CommandError::text(text));
            outcome = CallEnd::Failed;
        }
        Some(transaction) => {
            conversation.set_transaction(None);
            let ran = run_queue(connection, server, worker, &transaction, effects).await;
            if let Err(error) = ran {
                connection.refuse(server, worker, Some(row), &error);
                return;
            }
        }
    }
    worker.metrics.record(CommandId(row.id), worker.read_clock().saturating_sub(started), outcome);
}

async fn run_queue(
    connection: &mut Connection,
    server: &Arc<Server>,
    worker: &Worker,
    transaction: &Transaction,
    effects: &mut Effects,
) -> Result<(), CommandError> {
    let mut shards = Vec::new();
    // Dropped behind the hold that it tells of.
    let mut announced = None;
    let plan = plan(server, &connection.session.conversation, transaction, &mut shards);
    let mut held = connection.hold(server, plan.shards, plan.access).await?;
    worker.tick();
    let mut view = held.view(connection.session.caller.db, worker.now_ms(), &worker.random, effects);
    if has_far_waiters(&view, transaction) {
        drop(held);
        held = connection.hold(server, Covered::All, plan.access).await?;
        view = held.view(connection.session.caller.db, worker.now_ms(), &worker.random, effects);
    }
    let session = &mut connection.session;
    view.set_no_touch(session.caller.no_touch);
    let conversation = &mut session.conversation;
    let is_dirty = conversation.watch_flag.is_dirty.load(Relaxed) || watched_expired(&mut view, conversation);
    unwatch(&mut view, conversation);
    if has(Fault::UncheckedExec) {
        drop(held);
        pause();
        held = connection.hold(server, plan.shards, plan.access).await?;
        view = held.view(connection.session.caller.db, worker.now_ms(), &worker.random, effects);
    }
    let session = &mut connection.session;
    if is_dirty {
        // That somebody has changed a key is something that he shows.
        session.progress.depends_on = server.durability().journal.last();
        Reply::new(&mut connection.output, session.caller.proto).null_array();
        return Ok(());
    }
    Reply::new(&mut connection.output, session.caller.proto).array(transaction.queue.len());
    let mut step = worker.steps.begin();
    for (index, queued) in transaction.queue.iter().enumerate() {
        if has(Fault::ExecInPieces) || has(Fault::EarlyReturn) && index == 1 {
            drop(step);
            settle_step(server, worker, &mut view, &connection.session.caller.client);
            drop(held);
            pause();
            held = connection.hold(server, plan.shards, plan.access).await?;
            view = held.view(connection.session.caller.db, worker.now_ms(), &worker.random, effects);
            step = worker.steps.begin();
        }
        let row = server.registry().row(queued.row);
        let args = queued.args.args();
        worker.read_clock();
        connection.session.caller.follow(server.users());
        if let Err(error) = ask_again(server, &connection.session.caller, row, args) {
            connection.answer_error(server, worker, &error);
            worker.metrics.reject(CommandId(row.id));
            continue;
        }
        if row.command.rules.has(Rules::RUNS_SCRIPT) {
            let db = connection.session.caller.db;
            script::run_queued(connection, server, worker, &mut held, &mut announced, row, args, effects)
                .await;
            view = held.view(db, worker.now_ms(), &worker.random, effects);
            view.set_no_touch(connection.session.caller.no_touch);
            continue;
        }
        let session = &mut connection.session;
        view.select(session.caller.db);
        let context = &mut session.context(server, worker, Origin::Queue);
        run::guarded(context, &mut view, &mut connection.output, row, args);
        if server.gate().has(gate::MONITORED) {
            let caller = &session.caller;
            redact::show(server, &caller.client, caller.db, row, args);
        }
    }
    drop(step);
    let place = settle_step(server, worker, &mut view, &connection.session.caller.client);
    connection.session.progress.note_write(place);
    Ok(())
}

/// Asks of a queued command what was asked before it was queued: the user's rights may have changed.
fn ask_again(server: &Server, caller: &Caller, row: &Row, args: Args<'_>) -> Outcome {
    permission::ask(server, caller, row, args, Place::Transaction).map_err(|denied| {
        let reason = match denied {
            Denied::Command => "no permission to execute the command or subcommand",
            Denied::Key(_) => "no permission to touch the specified keys",
            Denied::Database => "no permission to access the database",
            Denied::Channel(_) => {
                "no permission to access one of the channels used as arguments to the command"
            }
        };
        CommandError::owned(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: {reason}"
        ))
    })?;
    permission::ask_patterns(caller, row, args)
}

/// Whether a watched key that was there has expired since: that counts as a change. One that was not there and has expired
/// all the same came with SWAPDB, and is as little there as before.
fn watched_expired(view: &mut View<'_>, conversation: &Conversation) -> bool {
    let selected = view.db();
    let is_expired = conversation.watched.iter().any(|((db, key), was_there)| {
        view.select(*db as usize);
        *was_there && !view.exists(Key::new(key))
    });
    view.select(selected);
    is_expired
}

/// Ends the watches of a session whose keys the view covers.
pub fn unwatch(view: &mut View<'_>, conversation: &mut Conversation) {
    if conversation.watched.is_empty() {
        return;
    }
    let selected = view.db();
    for ((db, key), _) in conversation.watched.drain() {
        view.select(db as usize);
        view.unwatch(Key::new(&key), &conversation.watch_flag);
    }
    view.select(selected);
    conversation.forget_watches();
}

/// Keys whose watches are ended under one view, where there is no hurry.
const UNWATCHED_AT_ONCE: usize = 1024;

/// Ends the watches of a connection, wherever the keys' shards are. Others have their turns between.
pub(crate) async fn unwatch_all(
    connection: &mut Connection,
    server: &Server,
    worker: &Worker,
    effects: &mut Effects,
) {
    let mut watched: Vec<_> =
        std::mem::take(&mut connection.session.conversation.watched).into_keys().collect();
    let flag = connection.session.conversation.watch_flag.clone();
    while !watched.is_empty() {
        let part = watched.split_off(watched.len().saturating_sub(UNWATCHED_AT_ONCE));
        let shards = server.shards_of(part.iter().map(|(_, key)| Key::new(key)));
        let borrow = server.engine().borrow_unless_kept(Covered::Many(&shards), Access::Write);
        match borrow.await {
            Some(mut held) => unwatch_some(&mut held, worker, effects, &part, &flag),
            None => unwatch_later(connection, part),
        }
        if watched.is_empty() {
            connection.session.conversation.forget_watches();
        } else {
            connection.let_others().await;
        }
    }
}

/// Ends these watches; what is held covers their keys.
fn unwatch_some(
    held: &mut Held<'_>,
    worker: &Worker,
    effects: &mut Effects,
    watched: &[DbKey],
    flag: &Arc<WatchFlag>,
) {
    let mut view = held.view(0, worker.now_ms(), &worker.random, effects);
    for (db, key) in watched {
        view.select(*db as usize);
        view.unwatch(Key::new(key), flag);
    }
}

/// Ends watches of keys that somebody keeps for long, once he is done: the client does not wait for that, and gets another flag.
fn unwatch_later(connection: &mut Connection, watched: Vec<DbKey>) {
    let conversation = &mut connection.session.conversation;
    let flag = std::mem::take(&mut conversation.watch_flag);
    let (server, worker) = (connection.server.clone(), connection.worker.clone());
    tokio::task::spawn_local(async move {
        let shards = server.shards_of(watched.iter().map(|(_, key)| Key::new(key)));
        let mut held = server.engine().borrow(Covered::Many(&shards), Access::Write).await;
        unwatch_some(&mut held, &worker, &mut Effects::default(), &watched, &flag);
    });
}
