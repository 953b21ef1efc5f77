//! Running a command: the one way to a row's function, for whoever has one to run.
//!
//! A client, EXEC, another command, who serves a waiting client, the thread that owns a client's keys, and the loading of an
//! append-only file all come here; what differs among them is [`Origin`]'s to say. The view is held by the caller and covers
//! what the command's plan names.
//!
//! [`Origin`]: crate::request::origin::Origin

use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::{Args, CommandError, Flags, Row, Rules};
use rustredis_keyspace::View;
use rustredis_metrics::{CallEnd, CommandId};
use rustredis_resp::Reply;

use crate::clients::client::Client;
use crate::clock::now_ms;
use crate::request::call;
use crate::request::context::Context;
use crate::request::origin::Origin;
use crate::request::record;
use crate::request::redact;
use crate::request::refusals;
use crate::request::settle::{settle, settle_step};
use crate::request::worker::Worker;
use crate::start::server::Server;
use crate::upkeep::stats::bump;

/// Runs a command under a view that covers it: run, settle, count. Its reply goes to `output`; if it fails, that is the error.
pub fn command(
    context: &mut Context<'_>,
    view: &mut View<'_>,
    output: &mut Vec<u8>,
    row: &Row,
    args: Args<'_>,
) {
    let from = (context.worker, context.origin);
    command_from(from, context, view, output, row, args);
}

/// Runs a command as [`command`] does, of a context whose origin is a client and whose thread is this worker: told so, the
/// compiler answers what the origins differ in (30 instructions of 1,400 for a GET).
pub fn clients(
    worker: &Worker,
    context: &mut Context<'_>,
    view: &mut View<'_>,
    output: &mut Vec<u8>,
    row: &Row,
    args: Args<'_>,
) {
    debug_assert!(context.origin == Origin::Client && context.worker.is_some());
    command_from((Some(worker), Origin::Client), context, view, output, row, args);
    if context.caller.tracker.is_some() {
        take_mail(context, output);
    }
}

/// Has what a client is told follow the reply of its own command, which stands at the end of its output.
#[cold]
fn take_mail(context: &mut Context<'_>, output: &mut Vec<u8>) {
    if context.caller.client.has_mail() {
        context.caller.client.take_mail(output, usize::MAX);
        let durability = context.server.durability();
        if durability.durable.is_awaited() {
            // What others did may be told no earlier than they are told themselves.
            context.progress.depend_on(durability.journal.last());
        }
    }
}

#[inline(always)]
fn command_from(
    (worker, origin): (Option<&Worker>, Origin),
    context: &mut Context<'_>,
    view: &mut View<'_>,
    output: &mut Vec<u8>,
    row: &Row,
    args: Args<'_>,
) {
    let server = context.server;
    let before = output.len();
    let mut started = 0;
    if let Some(worker) = worker {
        started = worker.last_clock();
        if origin.is_marked() {
            worker.begun.set(worker.begun.get() + 1);
            worker.reply_begin.set(before);
        }
    }
    let reply_bytes_max =
        if origin.is_limited() { server.settings().reply_bytes_max.load(Relaxed) } else { usize::MAX };
    let mut reply = Reply::limited(output, context.caller.proto, reply_bytes_max);
    let mark = reply.mark();
    let result =
        row.run(view, args, &mut reply, |view, args, reply| match server.handlers()[row.id as usize] {
            Some(handler) => handler(context, view, args, reply),
            None => Err(CommandError::text("ERR the command has no function")),
        });
    let counting = worker.filter(|_| origin.counts());
    let outcome = match result {
        Ok(()) => CallEnd::Ok,
        Err(error) => {
            context.progress.is_flooded |= reply.is_full();
            reply.cut(mark);
            answer_error(server, counting, &mut reply, error);
            CallEnd::Failed
        }
    };
    if let Some(tracker) = &context.caller.tracker
        && row.command.flags.has(Flags::READONLY)
        && tracker.remembers()
    {
        server.tracking().remember(tracker, args.keys());
    }
    let Some(worker) = counting else { return };
    if !view.effects.is_clean() {
        let place = settle(
            server,
            worker,
            view,
            Some((row, args)),
            Some(&context.caller.client),
            origin.serves_waiters(),
        );
        if place != 0 {
            context.progress.last_write = place;
        }
    }
    if server.durability().durable.is_awaited() {
        record::depend(server, context.progress, row, args);
    }
    let nanos = worker.read_clock().saturating_sub(started);
    if view.effects.block.is_some() {
        if origin.leaves_wait() {
            // A command that waits is counted once it has been served.
            return;
        }
        view.effects.block = None;
        output.truncate(before);
        answer_nothing(row, &mut Reply::new(output, context.caller.proto));
    }
    worker.metrics.record(CommandId(row.id), nanos, outcome);
    note_cost(server, &context.caller.client, row, args, nanos, output.len() - before);
}

/// Runs a command as [`command`] does; if it panics before a change, its reply is an error.
pub fn guarded(
    context: &mut Context<'_>,
    view: &mut View<'_>,
    output: &mut Vec<u8>,
    row: &Row,
    args: Args<'_>,
) {
    let before = output.len();
    if rustredis_engine::catch(|| command(context, view, output, row, args)).is_some() {
        return;
    }
    let error = call::judge(view.effects, row);
    if let Some(worker) = context.worker {
        output.truncate(before);
        call::answer(context.server, worker, row, &error, &mut Reply::new(output, context.caller.proto));
        // What commands within it have found expired and deleted.
        settle_step(context.server, worker, view, &context.caller.client);
    }
}

/// Runs a command amid another one, as [`guarded`] does. What both have done is the other one's. It `may_use_memory` though that is
/// short.
pub fn inner(
    context: &mut Context<'_>,
    view: &mut View<'_>,
    output: &mut Vec<u8>,
    row: &Row,
    args: Args<'_>,
    may_use_memory: bool,
) {
    // What has begun to write is not stopped halfway.
    if context.origin.is_checked()
        && !view.effects.is_touched()
        && let Some(worker) = context.worker
        && let Err(error) = refusals::admit_inner(context.server, row, may_use_memory)
    {
        answer_error(context.server, Some(worker), &mut Reply::new(output, context.caller.proto), error);
        worker.metrics.reject(CommandId(row.id));
        return;
    }
    let outer = view.effects.marks();
    guarded(context, view, output, row, args);
    view.effects.resume(outer);
}

/// The reply of a command that would wait, where none may.
fn answer_nothing(row: &Row, reply: &mut Reply<'_>) {
    if row.command.rules.has(Rules::ANSWERS_ELEMENT) { reply.null() } else { reply.null_array() }
}

/// Tells those who keep slow and large commands of one that they may want.
#[inline]
pub(crate) fn note_cost(
    server: &Server,
    client: &Client,
    row: &Row,
    args: Args<'_>,
    nanos: u64,
    reply_bytes: usize,
) {
    let settings = server.settings();
    let reply_bytes = reply_bytes as u64;
    if nanos >= settings.slow_nanos.load(Relaxed)
        || reply_bytes >= settings.large_reply_bytes.load(Relaxed)
        || args.bytes() >= settings.large_request_bytes.load(Relaxed)
    {
        note_costly(server, client, row, args, nanos, reply_bytes);
    }
}

/// Tells the latency monitor and the logs of a command that one of them wants.
#[cold]
fn note_costly(server: &Server, client: &Client, row: &Row, args: Args<'_>, nanos: u64, reply_bytes: u64) {
    let now_s = (now_ms() / 1000) as i64;
    let is_fast = row.command.flags.has(Flags::FAST);
    server.latency().observe(if is_fast { "fast-command" } else { "command" }, nanos, now_s);
    if row.command.flags.has(Flags::SKIP_SLOWLOG) {
        return;
    }
    let logs = server.command_logs();
    for (log, amount) in
        [(&logs.slow, nanos / 1000), (&logs.large_request, args.bytes()), (&logs.large_reply, reply_bytes)]
    {
        if log.takes(amount) {
            let name = client.identity.lock().name.clone();
            let shown = redact::shown(row, args);
            log.push(now_s, amount, shown.into_iter(), client.addr.clone(), name.as_bytes());
        }
    }
}

/// Answers a command's error, and counts it.
#[cold]
#[inline(never)]
fn answer_error(server: &Server, worker: Option<&Worker>, reply: &mut Reply<'_>, error: CommandError) {
    reply.error(&error.wire());
    if let Some(worker) = worker {
        count_error(server, worker, &error);
    }
}

/// Counts an error reply.
#[cold]
pub fn count_error(server: &Server, worker: &Worker, error: &CommandError) {
    bump(&worker.stats().errors, 1);
    server.stats().count_error(&error.code());
}
