//! Running one command: the row's function, what it leaves, and the count.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::{Args, CommandError, Flags, Row, Run};
use rustredis_keyspace::View;
use rustredis_metrics::{CommandId, Outcome};
use rustredis_resp::Reply;

use crate::clients::client::Client;
use crate::clock::now_ms;
use crate::request::context::Context;
use crate::request::record;
use crate::request::redact;
use crate::request::settle::{is_journalled, settle};
use crate::request::worker::Worker;
use crate::start::server::Server;
use crate::upkeep::stats::bump;

/// Runs one command under a view that covers it: run, settle, count. An error replaces what it wrote.
pub fn run_one(
    context: &mut Context<'_>,
    view: &mut View<'_>,
    output: &mut Vec<u8>,
    row: &Row,
    args: Args<'_>,
) {
    let (server, worker) = (context.server, context.worker);
    let started = worker.last_clock();
    let reply_bytes_max = server.settings.reply_bytes_max.load(Relaxed);
    worker.begun.set(worker.begun.get() + 1);
    worker.reply_begin.set(output.len());
    let mut reply = Reply::limited(output, context.caller.proto, reply_bytes_max);
    let mark = reply.mark();
    begin(view, row, args);
    let result = match row.command.run {
        Run::Keys(handler) => handler(view, args, &mut reply),
        Run::Server => match server.handlers[row.id as usize] {
            Some(handler) => handler(context, view, args, &mut reply),
            None => Err(CommandError::text("ERR the command has no function")),
        },
        Run::Container => Err(CommandError::Arity(row.full_name.to_owned())),
    };
    let outcome = match result {
        Ok(()) => Outcome::Ok,
        Err(error) => {
            context.progress.is_flooded |= reply.is_full();
            reply.cut(mark);
            reply.error(&error.wire());
            count_error(server, worker, &error);
            Outcome::Failed
        }
    };
    if !view.effects.is_clean() {
        settle(server, worker, view, Some((row, args)));
        let place = worker.lane.take_committed();
        if place != 0 {
            context.progress.last_write = place;
        }
    }
    if server.durability.durable.is_awaited() {
        record::depend(server, context.progress, row, args);
    }
    let now = worker.read_clock();
    let nanos = now.saturating_sub(started);
    if view.effects.block.is_some() && context.origin.may_wait() {
        // A command that waits is counted once it has been served.
        return;
    }
    worker.metrics.record(CommandId(row.id), nanos, outcome);
    if nanos >= server.settings.slow_nanos.load(Relaxed) {
        note_slow(server, &context.caller.client, row, args, nanos);
    }
}

/// Begins a command: with clean effects, and without what a write reads and whose time has come. A command with one key meets it
/// where it changes it.
#[inline]
pub(crate) fn begin(view: &mut View<'_>, row: &Row, args: Args<'_>) {
    debug_assert!(view.effects.is_settled(), "something is left of the command before {}", row.full_name);
    view.effects.begin();
    if args.key_refs().len() > 1 && is_journalled(row) {
        args.keys().for_each(|key| view.expire_ahead(key));
    }
}

/// Tells the latency monitor and the slow log of a command that one of them may want.
#[cold]
pub(crate) fn note_slow(server: &Server, client: &Client, row: &Row, args: Args<'_>, nanos: u64) {
    let now_s = (now_ms() / 1000) as i64;
    let is_fast = row.command.flags.has(Flags::FAST);
    server.latency.observe(if is_fast { "fast-command" } else { "command" }, nanos, now_s);
    if row.command.flags.has(Flags::SKIP_SLOWLOG) || !server.slowlog.is_slow(nanos) {
        return;
    }
    let name = client.identity.lock().name.clone();
    let shown = redact::shown(row, args);
    server.slowlog.push(now_s, nanos, shown.into_iter(), client.addr.clone(), name.as_bytes());
}

/// Counts an error reply.
#[cold]
pub fn count_error(server: &Server, worker: &Worker, error: &CommandError) {
    bump(&worker.stats().errors, 1);
    server.stats.count_error(&error.code());
}
