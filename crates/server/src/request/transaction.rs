//! MULTI, EXEC, DISCARD, WATCH.
//!
//! EXEC holds the union of what its commands and the watched keys need, in one view: to everybody else the whole queue
//! is one step. Waiters are served after the last command, as Redis does, and see the transaction as a whole.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::{Args, CommandError, OwnedArgs, Plan, Row};
use rustredis_keyspace::{Access, Covered, Effects, Key, View};
use rustredis_metrics::{CommandId, Outcome};
use rustredis_resp::Reply;

use crate::clients::client::flags;
use crate::gate;
use crate::request::call;
use crate::request::connection::Connection;
use crate::request::execute::run_one;
use crate::request::record;
use crate::request::session::{Queued, Session, Transaction};
use crate::request::waiters;
use crate::request::worker::Worker;
use crate::start::server::Server;

/// Most bytes that a transaction may queue; one that queues more is broken.
const QUEUE_BYTES_MAX: usize = 1 << 30;

/// Blocking commands that answer with an element.
const MOVES: &[&str] = &["blmove", "brpoplpush"];

/// Queues a command.
pub fn queue(session: &mut Session, row: &Row, args: Args<'_>) {
    let client = session.client.clone();
    if let Some(transaction) = &mut session.transaction {
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

/// Opens a transaction.
pub fn begin(session: &mut Session) {
    session.set_transaction(Some(Box::default()));
}

/// Clears the client's flags that a session's reset clears.
pub fn forget_flags(session: &Session) {
    session.client.set_flag(flags::NO_EVICT | flags::NO_TOUCH | flags::READONLY, false);
}

/// The union of what the queue and the watched keys need.
fn plan<'s>(
    server: &Server,
    session: &Session,
    transaction: &Transaction,
    shards: &'s mut Vec<u32>,
) -> Plan<'s> {
    let queued = transaction.queue.iter().map(|queued| (server.registry.row(queued.row), queued.args.args()));
    let watched = session.watched.keys().map(|(_, key)| Key::new(key).hash);
    Plan::union(queued, watched, server.engine.store(), shards)
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
    let session = &mut connection.session;
    let mut outcome = Outcome::Ok;
    match session.transaction.take() {
        None => {
            error(connection, server, worker, &CommandError::text("ERR EXEC without MULTI"));
            outcome = Outcome::Failed;
        }
        Some(transaction) if transaction.is_broken => {
            session.set_transaction(None);
            unwatch_all(connection, server, worker, effects).await;
            let text = "EXECABORT Transaction discarded because of previous errors.";
            error(connection, server, worker, &CommandError::text(text));
            outcome = Outcome::Failed;
        }
        Some(transaction) => {
            session.set_transaction(None);
            run_queue(connection, server, worker, &transaction, effects).await;
        }
    }
    worker.metrics.record(CommandId(row.id), worker.read_clock().saturating_sub(started), outcome);
}

fn error(connection: &mut Connection, server: &Server, worker: &Worker, error: &CommandError) {
    Reply::new(&mut connection.output, connection.session.proto).error(&error.wire());
    crate::request::execute::count_error(server, worker, error);
}

async fn run_queue(
    connection: &mut Connection,
    server: &Arc<Server>,
    worker: &Worker,
    transaction: &Transaction,
    effects: &mut Effects,
) {
    let mut shards = Vec::new();
    let plan = plan(server, &connection.session, transaction, &mut shards);
    let mut held = server.engine.borrow(plan.shards, plan.access).await;
    worker.tick();
    let mut view = held.view(connection.session.db, worker.now_ms(), &worker.random, effects);
    if has_far_waiters(&view, transaction) {
        drop(held);
        held = server.engine.borrow(Covered::All, plan.access).await;
        view = held.view(connection.session.db, worker.now_ms(), &worker.random, effects);
    }
    let session = &mut connection.session;
    view.no_touch = session.no_touch;
    let is_dirty = session.watch_flag.is_dirty.load(Relaxed) || watched_expired(&mut view, session);
    unwatch(&mut view, session);
    if is_dirty {
        // That somebody has changed a key is something that he shows.
        session.depends_on = server.durability.journal.last();
        Reply::new(&mut connection.output, session.proto).null_array();
        return;
    }
    Reply::new(&mut connection.output, session.proto).array(transaction.queue.len());
    let deferral = worker.defer_waiters();
    session.is_executing = true;
    for queued in &transaction.queue {
        let row = server.registry.row(queued.row);
        view.select(session.db);
        worker.read_clock();
        let before = connection.output.len();
        let (proto, args) = (session.proto, queued.args.args());
        let run = |view: &mut View<'_>, output: &mut Vec<u8>| {
            run_one(server, worker, view, session, output, row, args);
        };
        call::guard(server, worker, &mut view, row, proto, &mut connection.output, run);
        if view.effects.block.take().is_some() {
            connection.output.truncate(before);
            let mut reply = Reply::new(&mut connection.output, session.proto);
            // What takes one element would have answered with it alone, what takes one of many keys with an array.
            if MOVES.contains(&row.full_name) { reply.null() } else { reply.null_array() }
        }
        if server.gate.has(gate::MONITORED) {
            server.monitors.show(server, session, row, queued.args.args());
        }
    }
    session.is_executing = false;
    drop(deferral);
    record::commit(server, worker, &view, None);
    let place = worker.lane.take_committed();
    if place != 0 {
        session.last_write = place;
        session.depends_on = session.depends_on.max(place);
    }
    waiters::serve_all(server, worker, &mut view);
}

/// Whether a watched key that was there has expired since: that counts as a change. One that was not there and has expired
/// all the same came with SWAPDB, and is as little there as before.
fn watched_expired(view: &mut View<'_>, session: &Session) -> bool {
    let selected = view.db();
    let is_expired = session.watched.iter().any(|((db, key), was_there)| {
        view.select(*db as usize);
        *was_there && !view.exists(Key::new(key))
    });
    view.select(selected);
    is_expired
}

/// Ends the watches of a session whose keys the view covers.
pub fn unwatch(view: &mut View<'_>, session: &mut Session) {
    if session.watched.is_empty() {
        return;
    }
    let selected = view.db();
    for ((db, key), _) in session.watched.drain() {
        view.select(db as usize);
        view.unwatch(Key::new(&key), &session.watch_flag);
    }
    view.select(selected);
    session.forget_watches();
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
    let mut watched: Vec<_> = std::mem::take(&mut connection.session.watched).into_keys().collect();
    let flag = connection.session.watch_flag.clone();
    while !watched.is_empty() {
        let part = watched.split_off(watched.len().saturating_sub(UNWATCHED_AT_ONCE));
        let shards = server.shards_of(part.iter().map(|(_, key)| Key::new(key)));
        let mut held = server.engine.borrow(Covered::Many(&shards), Access::Write).await;
        let mut view = held.view(connection.session.db, worker.now_ms(), &worker.random, effects);
        for (db, key) in &part {
            view.select(*db as usize);
            view.unwatch(Key::new(key), &flag);
        }
        drop(held);
        if watched.is_empty() {
            connection.session.forget_watches();
        } else {
            connection.let_others().await;
        }
    }
}
