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

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustredis_commands::plan::cover;
use rustredis_commands::{Args, CommandError, Row};
use rustredis_engine::{Announced, Held};
use rustredis_keyspace::{Access, Covered, Effects, View};
use rustredis_metrics::{CallEnd, CommandId};
use rustredis_persistence::journal::Audience;
use rustredis_scripting::machine::Progress;
use smallvec::SmallVec;

use crate::gate;
use crate::request::caller::Caller;
use crate::request::connection::Connection;
use crate::request::record;
use crate::request::redact;
use crate::request::run::{count_error, note_slow};
use crate::request::settle::{settle_own, settle_step};
use crate::request::turn::TURN_NANOS;
use crate::request::waiters::needs_everything;
use crate::request::worker::Worker;
use crate::scripts::running::Entrant;
use crate::start::server::Server;
use callee::Callee;
use host::{Host, Past};

/// How a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this reply.
    Replied(CallEnd),
    /// It has called for what is not held, and nothing has happened: it is to run again with everything held.
    Strayed,
}

/// What is to be run, and by which command.
#[derive(Clone, Copy)]
struct Call<'c> {
    row: &'c Row,
    args: Args<'c>,
    callee: &'c Callee,
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
    let call = Call { row, args, callee: &callee, is_memory_short };
    let mut has_everything = !callee.is_confined();
    while attempt(connection, server, worker, call, effects, shards, has_everything).await? == End::Strayed {
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
    let started = worker.last_clock();
    match callee::find(server, worker, row, args) {
        Ok(callee) => Some(callee),
        Err(error) => {
            connection.answer_error(server, worker, &error);
            count(connection, server, worker, row, args, started, CallEnd::Failed);
            None
        }
    }
}

/// Counts a run that began at `started`, by the worker's clock.
fn count(
    connection: &Connection,
    server: &Server,
    worker: &Worker,
    row: &Row,
    args: Args<'_>,
    started: u64,
    outcome: CallEnd,
) {
    let nanos = worker.read_clock().saturating_sub(started);
    worker.metrics.record(CommandId(row.id), nanos, outcome);
    if nanos >= server.settings().slow_nanos.load(Relaxed) {
        note_slow(server, &connection.session.caller.client, row, args, nanos);
    }
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
    call: Call<'_>,
    effects: &mut Effects,
    shards: &mut Vec<u32>,
    has_everything: bool,
) -> Result<End, CommandError> {
    let access = if call.callee.is_read_only { Access::Read } else { Access::Write };
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
    let started = worker.last_clock();
    server.scripts().count_run(has_everything);
    let end = run(connection, server, worker, &mut held, &mut announced, call, effects).await;
    let mut view = held.view(connection.session.caller.db, worker.now_ms(), &worker.random, effects);
    let place = settle_step(server, worker, &mut view, &connection.session.caller.client);
    connection.session.progress.note_write(place);
    if let End::Replied(outcome) = end {
        count(connection, server, worker, call.row, call.args, started, outcome);
    }
    Ok(end)
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
    let started = worker.last_clock();
    let Some(callee) = find(connection, server, worker, row, args) else { return };
    server.scripts().count_run(true);
    // EXEC has evicted what it could.
    let is_memory_short =
        server.gate().has(gate::MEMORY_LIMITED) && server.eviction().is_exceeded(worker.last_clock());
    let call = Call { row, args, callee: &callee, is_memory_short };
    let outcome = match run(connection, server, worker, held, announced, call, effects).await {
        End::Replied(outcome) => outcome,
        // EXEC holds everything for a script.
        End::Strayed => CallEnd::Failed,
    };
    count(connection, server, worker, row, args, started, outcome);
}

/// Runs it under what is held, to its end. The step that it is has still to be settled, unless it is a part of one.
async fn run<'e>(
    connection: &mut Connection,
    server: &Arc<Server>,
    worker: &Worker,
    held: &mut Held<'e>,
    announced: &mut Option<Announced<'e>>,
    call: Call<'_>,
    effects: &mut Effects,
) -> End {
    let Call { args, callee, is_memory_short, .. } = call;
    let began = Instant::now();
    let now_ms = worker.now_ms();
    let mut caller: Caller = connection.session.caller.clone();
    let before = connection.output.len();
    let first_key = callee::FIRST_KEY;
    let words: SmallVec<[&[u8]; 16]> = args.from(first_key).collect();
    let (keys, rest) = words.split_at(callee.keys);
    let machines = worker.scripts.machines(&server.scripts().limits);
    let mut run = machines.begin(callee.what(), keys, rest, caller.proto);
    let mut past = Past::new(callee, is_memory_short, worker.last_clock() + TURN_NANOS);
    let mut entry = None;
    effects.begin();
    let step = worker.steps.begin();
    let progress = loop {
        let progress = {
            let mut view = held.view(caller.db, now_ms, &worker.random, effects);
            view.set_no_touch(caller.no_touch);
            view.be_in_script();
            let mut host = Host {
                server,
                worker,
                caller: &mut caller,
                progress: &mut connection.session.progress,
                view: &mut view,
                past: &mut past,
            };
            run.resume(&mut host, &mut connection.output)
        };
        if progress != Progress::Paused {
            break progress;
        }
        let entry = entry.get_or_insert_with(|| {
            *announced = announced.take().or_else(|| Some(held.announce()));
            let name = callee.name().to_vec();
            let entry = server.scripts().running.enter(Entrant {
                kind: callee.kind(),
                name,
                command: args.to_vec(),
                began,
                has_written: past.has_written,
            });
            past.running = Some(entry.script.clone());
            entry
        });
        let threshold = match server.settings().busy_reply_threshold_ms.load(Relaxed) {
            0 => None,
            threshold_ms => Some(Duration::from_millis(threshold_ms)),
        };
        entry.look(threshold);
        // The server's end waits for what has begun to write, but not for ever: what it wrote stays then, as after an error.
        if server.ending().is_asked() && (!past.has_written || entry.script.has_run_for(threshold)) {
            entry.script.kill();
        }
        let aside = worker.put_aside();
        connection.let_others().await;
        worker.take_up(aside);
        past.turn_ends = worker.last_clock() + TURN_NANOS;
    };
    drop(run);
    if past.audience != Audience::Both {
        worker.lane.audience.set(Some(past.audience));
        let view = held.view(caller.db, now_ms, &worker.random, effects);
        connection.session.progress.note_write(record::commit(server, worker, &view, None));
    }
    worker.lane.audience.set(Some(Audience::Both));
    drop(step);
    worker.scripts.tell_size(&server.scripts().counts.state_bytes);
    if connection.session.caller.db != caller.db {
        // What SELECT has chosen was for the script alone.
        let db = connection.session.caller.db;
        connection.session.caller.select(db);
    }
    if past.has_strayed {
        server.scripts().counts.restarted.fetch_add(1, Relaxed);
        callee.note_stray();
        connection.output.truncate(before);
        return End::Strayed;
    }
    if past.is_killed() {
        server.scripts().counts.killed.fetch_add(1, Relaxed);
    }
    match progress {
        Progress::Done { is_error: true, is_counted } => {
            if !is_counted {
                count_reply_error(server, worker, &connection.output[before..]);
            }
            End::Replied(CallEnd::Failed)
        }
        _ => End::Replied(CallEnd::Ok),
    }
}

/// Counts an error that a script has answered.
#[cold]
fn count_reply_error(server: &Server, worker: &Worker, reply: &[u8]) {
    let text = reply.strip_prefix(b"-").unwrap_or(reply);
    let text = text.split(|byte| *byte == b'\r').next().unwrap_or_default();
    count_error(server, worker, &CommandError::Other(text.to_vec().into()));
}
