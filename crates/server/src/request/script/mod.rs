//! Running a script: EVAL and FCALL, from a client and from EXEC's queue.
//!
//! A script holds the shards of its keys if it is proven to touch no others, else everything (`scripting/proof`). A script that cannot write may be tried
//! with its keys' shards all the same: if it then calls for another key it begins anew with everything, as nothing has happened. What
//! it does is one step: one unit of the journal, and nobody who waits is served before its end.
//!
//! It runs on a stack of its own. After each turn it gives the thread to others, with its shards still held: from then on they are held
//! for long, so that who needs them is told. What the thread knows of the step under way is put aside meanwhile.

pub(crate) mod callee;
mod host;
mod short;
mod under_way;

use std::sync::Arc;

use rustredis_commands::plan::cover;
use rustredis_commands::{Args, CommandError, Row};
use rustredis_engine::{Announced, Held};
use rustredis_keyspace::{Access, Covered, Effects, View};
use rustredis_metrics::{CallEnd, CommandId};
use rustredis_scripting::machine::Progress;

use crate::gate;
use crate::request::connection::Connection;
use crate::request::redact;
use crate::request::run::note_cost;
use crate::request::settle::{settle_own, settle_step};
use crate::request::waiters::needs_everything;
use crate::request::worker::Worker;
use crate::start::server::Server;
use callee::Callee;
pub(crate) use short::run_short;
use under_way::UnderWay;

/// How a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this reply.
    Replied(CallEnd),
    /// It has called for what is not held, and nothing has happened: it is to run again with everything held.
    Strayed,
}

/// The command that runs a script.
#[derive(Clone, Copy)]
struct Call<'c> {
    row: &'c Row,
    args: Args<'c>,
    is_memory_short: bool,
}

/// EVAL, FCALL and their kin, for a client.
///
/// # Errors
/// The reply of one that did not run, for what it needs could not be had.
pub(crate) async fn execute(
    connection: &mut Connection,
    server: &Arc<Server>,
    worker: &Worker,
    row: &Row,
    args: Args<'_>,
    effects: &mut Effects,
    shards: &mut Vec<u32>,
) -> Result<(), CommandError> {
    let Some(callee) = find(connection, server, worker, row, args) else { return Ok(()) };
    let is_memory_short = is_memory_short(server, worker).await;
    let call = Call { row, args, is_memory_short };
    let mut has_everything = !callee.is_confined();
    while attempt(connection, server, worker, (call, &callee), effects, shards, has_everything).await?
        == End::Strayed
    {
        has_everything = true;
    }
    Ok(())
}

/// Finds what a command runs, and shows it to those who watch before what it calls; if there is nothing to run, that is answered.
fn find(
    connection: &mut Connection,
    server: &Server,
    worker: &Worker,
    row: &Row,
    args: Args<'_>,
) -> Option<Callee> {
    if server.gate().has(gate::MONITORED) {
        let caller = &connection.session.caller;
        server.monitors().show(&caller.client, caller.db, &redact::shown(row, args));
    }
    let started = Started::now(connection, worker);
    match callee::find(server, worker, row, args) {
        Ok(callee) => Some(callee),
        Err(error) => {
            connection.answer_error(server, worker, &error);
            count(connection, server, worker, row, args, started, CallEnd::Failed);
            None
        }
    }
}

/// When a run began, by the worker's clock, and what was to be sent then.
#[derive(Clone, Copy)]
struct Started {
    nanos: u64,
    output_bytes: usize,
}

impl Started {
    fn now(connection: &Connection, worker: &Worker) -> Self {
        Self { nanos: worker.last_clock(), output_bytes: connection.output.len() }
    }
}

/// Counts a run that began at `started`.
fn count(
    connection: &Connection,
    server: &Server,
    worker: &Worker,
    row: &Row,
    args: Args<'_>,
    started: Started,
    outcome: CallEnd,
) {
    let nanos = worker.read_clock().saturating_sub(started.nanos);
    worker.metrics.record(CommandId(row.id), nanos, outcome);
    let reply_bytes = connection.output.len().saturating_sub(started.output_bytes);
    note_cost(server, &connection.session.caller.client, row, args, nanos, reply_bytes);
}

/// Whether memory is short and nothing can be done about it. Looked at once: what the script itself takes counts for the next.
async fn is_memory_short(server: &Server, worker: &Worker) -> bool {
    let settle = |view: &mut View<'_>| settle_own(server, worker, view);
    server.gate().has(gate::MEMORY_LIMITED)
        && !server.eviction().make_room(worker.thread(&settle), &worker.eviction).await
}

/// Runs it once under a hold of its own.
async fn attempt(
    connection: &mut Connection,
    server: &Arc<Server>,
    worker: &Worker,
    (call, callee): (Call<'_>, &Callee),
    effects: &mut Effects,
    shards: &mut Vec<u32>,
    has_everything: bool,
) -> Result<End, CommandError> {
    let access = access(callee);
    let keys = call.args.key_refs();
    let covered = if has_everything { Covered::All } else { cover(server.engine().store(), keys, shards) };
    // Dropped behind the hold that it tells of.
    let mut announced = None;
    let mut held = connection.hold(server, covered, access).await?;
    worker.tick();
    if !has_everything {
        let view = held.view(connection.session.caller.db, worker.now_ms(), &worker.random, effects);
        if needs_everything(&view, call.args) {
            drop(held);
            held = connection.hold(server, Covered::All, access).await?;
            worker.tick();
        }
    }
    let started = Started::now(connection, worker);
    server.scripts().count_run(has_everything);
    let callee = callee.clone();
    let end = run(connection, server, worker, &mut held, &mut announced, (call, callee), effects).await;
    finish(connection, server, worker, &mut held, (call, started), end, effects);
    Ok(end)
}

/// Settles and counts a run of a hold of its own, which began at `started`.
fn finish(
    connection: &mut Connection,
    server: &Server,
    worker: &Worker,
    held: &mut Held<'_>,
    (call, started): (Call<'_>, Started),
    end: End,
    effects: &mut Effects,
) {
    let mut view = held.view(connection.session.caller.db, worker.now_ms(), &worker.random, effects);
    let place = settle_step(server, worker, &mut view, &connection.session.caller.client);
    connection.session.progress.note_write(place);
    if let End::Replied(outcome) = end {
        count(connection, server, worker, call.row, call.args, started, outcome);
    }
}

/// A script of EXEC's queue, under what EXEC holds.
#[allow(clippy::too_many_arguments, reason = "what is lent by the caller is borrowed apart")]
pub(crate) async fn run_queued<'e>(
    connection: &mut Connection,
    server: &Arc<Server>,
    worker: &Worker,
    held: &mut Held<'e>,
    announced: &mut Option<Announced<'e>>,
    row: &Row,
    args: Args<'_>,
    effects: &mut Effects,
) {
    let started = Started::now(connection, worker);
    let Some(callee) = find(connection, server, worker, row, args) else { return };
    server.scripts().count_run(true);
    // EXEC has evicted what it could.
    let is_memory_short =
        server.gate().has(gate::MEMORY_LIMITED) && server.eviction().is_exceeded(worker.last_clock());
    let call = Call { row, args, is_memory_short };
    let outcome = match run(connection, server, worker, held, announced, (call, callee), effects).await {
        End::Replied(outcome) => outcome,
        // EXEC holds everything for a script.
        End::Strayed => CallEnd::Failed,
    };
    count(connection, server, worker, row, args, started, outcome);
}

/// How a script's shards are held.
fn access(callee: &Callee) -> Access {
    if callee.is_read_only { Access::Read } else { Access::Write }
}

/// Runs it under what is held, to its end. The step that it is has still to be settled, unless it is a part of one.
async fn run<'e>(
    connection: &mut Connection,
    server: &Server,
    worker: &Worker,
    held: &mut Held<'e>,
    announced: &mut Option<Announced<'e>>,
    (call, callee): (Call<'_>, Callee),
    effects: &mut Effects,
) -> End {
    effects.begin();
    let mut under_way = UnderWay::begin(connection, server, worker, call, callee);
    let mut view = under_way.view(connection, worker, held, effects);
    let progress = under_way.resume(connection, server, worker, &mut view);
    if progress != Progress::Paused {
        return under_way.end(connection, server, worker, &view, progress);
    }
    run_on(connection, server, worker, held, announced, under_way, effects).await
}

/// Runs what has had a turn to its end.
async fn run_on<'e>(
    connection: &mut Connection,
    server: &Server,
    worker: &Worker,
    held: &mut Held<'e>,
    announced: &mut Option<Announced<'e>>,
    mut under_way: UnderWay<'_, '_>,
    effects: &mut Effects,
) -> End {
    loop {
        under_way.pause(connection, server, worker, held, announced).await;
        let mut view = under_way.view(connection, worker, held, effects);
        let progress = under_way.resume(connection, server, worker, &mut view);
        if progress != Progress::Paused {
            return under_way.end(connection, server, worker, &view, progress);
        }
    }
}
