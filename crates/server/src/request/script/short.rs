//! The short way of a script: from a client without peculiarities, while nobody watches or holds commands back.
//!
//! It is what `run_plain` is for other commands: what the long way asks is known, so the scripts of a pipeline run one behind the other in a
//! function that waits for nothing. What cannot be had at once, or strays, takes the long way; what has had its turn goes on in [`go_on`].

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::plan::cover;
use rustredis_commands::{Args, Row};
use rustredis_engine::Held;
use rustredis_keyspace::{Access, Covered, Effects, View};
use rustredis_scripting::machine::Progress;

use super::callee::{self, Callee};
use super::under_way::UnderWay;
use super::{Call, End, Started, access, count, find, finish, run_on};
use crate::request::connection::Connection;
use crate::request::scratch::Scratch;
use crate::request::settle::{count_effects, settle_step};
use crate::request::turn::Turn;
use crate::request::waiters::needs_everything;
use crate::request::worker::Worker;
use crate::start::server::Server;

/// How a script went under a hold.
enum Went<'c, 's> {
    /// It has ended.
    Ended,
    /// It has had its turn, and goes on.
    Paused(Box<Paused<'c, 's>>),
    /// It takes the long way; nothing has happened.
    Not,
}

/// A script between two turns.
struct Paused<'c, 's> {
    under_way: UnderWay<'c, 's>,
    call: Call<'c>,
    started: Started,
}

/// Runs the longest row of scripts from `first` on that may go the short way; how many that were, 0 if the first may not. The session is
/// plain, and the gate lets plain commands through.
pub(crate) async fn run_short(
    connection: &mut Connection,
    server: &Arc<Server>,
    worker: &Worker,
    scratch: &mut Scratch,
    first: usize,
    input: &[u8],
) -> usize {
    let caller = &connection.session.caller;
    if caller.restricted.is_some() || caller.tracker.is_some() {
        return 0;
    }
    let mut effects = scratch.take_effects();
    let mut shards = std::mem::take(&mut scratch.shards);
    effects.notify_mask = server.settings().notify_mask.load(Relaxed);
    let turn = Turn::until(connection.turn_ends.get(), &connection.output);
    // To have everything costs a microsecond; where nobody is kept waiting by it, the scripts of a batch share it.
    let shares = server.engine().holds_groups() && server.engine().owners() <= 1;
    let mut index = first;
    while let Some((row, args)) = scratch.script(server.registry(), index, input) {
        let mut ran = match run_now(connection, server, worker, row, args, &mut effects, &mut shards) {
            (Some(held), Went::Ended) if shares && held.covered() == Covered::All => {
                let batch = (&*scratch, index + 1, input);
                1 + run_rest(connection, server, worker, batch, &turn, held, &mut effects).await
            }
            (_, Went::Ended) => 1,
            (Some(held), Went::Paused(paused)) => {
                usize::from(go_on(connection, server, worker, held, *paused, &mut effects).await)
            }
            _ => 0,
        };
        if ran == 0 && server.engine().owners() > 1 {
            let batch = (&*scratch, index, input);
            ran = run_lent(connection, server, worker, batch, &turn, &mut effects, &mut shards).await;
        }
        index += ran;
        if ran == 0 || is_to_stop(connection, server, worker, &turn) {
            break;
        }
    }
    scratch.shards = shards;
    let finds_expired = !effects.stale.borrow().is_empty();
    if finds_expired {
        connection.expire_stale_anywhere(server, worker, &mut effects).await;
    }
    count_effects(worker, &mut effects);
    scratch.give_effects(effects);
    if let Some(flushed) = worker.flushed.take() {
        server.rdb().save_flushed(flushed).await;
    }
    index - first
}

/// Runs a script, if what it needs can be had at once, up to its end or that of its turn; what is held for it is still needed then.
fn run_now<'c>(
    connection: &mut Connection,
    server: &'c Server,
    worker: &'c Worker,
    row: &'c Row,
    args: Args<'c>,
    effects: &mut Effects,
    shards: &'c mut Vec<u32>,
) -> (Option<Held<'c>>, Went<'c, 'c>) {
    let Some(callee) = find(connection, server, worker, row, args) else { return (None, Went::Ended) };
    let has_everything = !callee.is_confined();
    let covered =
        if has_everything { Covered::All } else { cover(server.engine().store(), args.key_refs(), shards) };
    let Some(mut held) = server.engine().hold(covered, access(&callee)) else { return (None, Went::Not) };
    let mut view = held.view(connection.session.caller.db, worker.now_ms(), &worker.random, effects);
    let went = run_under(connection, server, worker, &mut view, (row, args), callee, has_everything);
    (Some(held), went)
}

/// Runs a script under this view up to its end or that of its turn.
#[inline]
fn run_under<'c>(
    connection: &mut Connection,
    server: &'c Server,
    worker: &'c Worker,
    view: &mut View<'_>,
    (row, args): (&'c Row, Args<'c>),
    callee: Callee,
    has_everything: bool,
) -> Went<'c, 'c> {
    if view.covered() != Covered::All && needs_everything(view, args) {
        return Went::Not;
    }
    let started = Started::now(connection, worker);
    server.scripts().count_run(has_everything);
    view.effects.begin();
    let call = Call { row, args, is_memory_short: false };
    let mut under_way = UnderWay::begin(connection, server, worker, call, callee);
    let progress = under_way.resume(connection, server, worker, view);
    if progress == Progress::Paused {
        return Went::Paused(Box::new(Paused { under_way, call, started }));
    }
    let end = under_way.end(connection, server, worker, view, progress);
    // Who is served now is no script.
    view.set_in_script(false);
    view.set_no_touch(false);
    view.select(connection.session.caller.db);
    let place = settle_step(server, worker, view, &connection.session.caller.client);
    connection.session.progress.note_write(place);
    match end {
        End::Replied(outcome) => {
            count(connection, server, worker, row, args, started, outcome);
            Went::Ended
        }
        End::Strayed => Went::Not,
    }
}

/// Goes on with a script that has had its turn; false if it strays, and takes the long way.
#[cold]
async fn go_on(
    connection: &mut Connection,
    server: &Server,
    worker: &Worker,
    held: Held<'_>,
    paused: Paused<'_, '_>,
    effects: &mut Effects,
) -> bool {
    // Dropped behind the hold that it tells of.
    let mut announced = None;
    let mut held = held;
    let Paused { under_way, call, started } = paused;
    connection.session.caller.client.last_command.store(call.row.id, Relaxed);
    let end = run_on(connection, server, worker, &mut held, &mut announced, under_way, effects).await;
    finish(connection, server, worker, &mut held, (call, started), end, effects);
    end != End::Strayed
}

/// Runs a script under a loan of its shards, some of which are other threads', and those behind it that need no others; how many that were. On
/// one hot key, two threads and pipelines of 16 a loan for each script took four times as long. A loan of all that the scripts of a
/// batch need was tried: it waits for whoever has one of many shards, and with many keys it was slower by a quarter than one for each.
async fn run_lent(
    connection: &mut Connection,
    server: &Server,
    worker: &Worker,
    (scratch, first, input): (&Scratch, usize, &[u8]),
    turn: &Turn,
    effects: &mut Effects,
    shards: &mut Vec<u32>,
) -> usize {
    let (registry, store) = (server.registry(), server.engine().store());
    let Some((row, args)) = scratch.script(registry, first, input) else { return 0 };
    if !callee::find(server, worker, row, args).is_ok_and(|callee| callee.is_confined()) {
        return 0;
    }
    let covered = cover(store, args.key_refs(), shards);
    // What others keep for long is waited for on the long way.
    let lent = server.engine().borrow_unless_kept(covered, Access::Write).await;
    let Some(held) = lent else { return 0 };
    worker.tick();
    let batch = (scratch, first, input);
    run_rest(connection, server, worker, batch, turn, held, effects).await
}

/// Runs the next scripts of a batch that need no other shards than these; how many that were.
async fn run_rest(
    connection: &mut Connection,
    server: &Server,
    worker: &Worker,
    (scratch, first, input): (&Scratch, usize, &[u8]),
    turn: &Turn,
    mut held: Held<'_>,
    effects: &mut Effects,
) -> usize {
    let store = server.engine().store();
    let has_everything = held.covered() == Covered::All;
    let mut index = first;
    while let Some((row, args)) = scratch.script(server.registry(), index, input)
        && args.key_refs().iter().all(|key| held.covered().has(store.shard_of(key.hash)))
        // Who has waited for a loan uses it.
        && (index == first && !has_everything || !is_to_stop(connection, server, worker, turn))
    {
        let Some(callee) = find(connection, server, worker, row, args) else {
            index += 1;
            continue;
        };
        if !callee.is_confined() && !has_everything {
            break;
        }
        let mut view = held.view(connection.session.caller.db, worker.now_ms(), &worker.random, effects);
        if let [key] = args.key_refs()
            && !has_everything
        {
            // SAFETY: the shards of all its keys are held.
            unsafe { view.narrow(Some(store.shard_of(key.hash))) };
        }
        match run_under(connection, server, worker, &mut view, (row, args), callee, has_everything) {
            Went::Ended => index += 1,
            Went::Paused(paused) => {
                return index - first
                    + usize::from(go_on(connection, server, worker, held, *paused, effects).await);
            }
            Went::Not => break,
        }
    }
    index - first
}

/// Whether something else is to be done before the next script.
#[inline]
fn is_to_stop(connection: &Connection, server: &Server, worker: &Worker, turn: &Turn) -> bool {
    turn.is_over(worker, &connection.output) || worker.has_flushed() || server.gate().bits() != 0
}
