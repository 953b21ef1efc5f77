//! Whether a command may run now: one ordered table of checks, the same for every command.
//!
//! A check is a row of [`CHECKS`]: which bits of the gate it is for, and its function. The order is Redis's, for a client that
//! breaks two rules at once sees the first. Whatever is to be asked of commands from now on is a further row there. The short
//! way passes all of this by: [`Session::is_plain`] and [`is_free`] are its two questions, and what a check asks that is no
//! bit of the gate must be seen by the first of them.

use std::pin::Pin;
use std::time::Duration;

use rustredis_commands::{Args, CommandError, Flags, Outcome, Row, Rules};
use rustredis_keyspace::View;
use rustredis_resp::Proto;

use crate::clients::client::flags;
use crate::clock::now_ms;
use crate::gate;
use crate::net::stream::Stream;
use crate::request::origin::Origin;
use crate::request::permission::{self, Place};
use crate::request::refusals::{OUT_OF_MEMORY, REPLICAS_MISSING, disk_error};
use crate::request::script::callee;
use crate::request::session::Session;
use crate::request::settle::settle_own;
use crate::request::worker::Worker;
use crate::start::server::Server;

/// What is to be done with a command that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Run it.
    Run,
    /// Queue it for EXEC.
    Queue,
}

/// A command that asks to be let in.
pub struct Asked<'a> {
    /// What all connections share.
    pub server: &'a Server,
    /// The thread's own.
    pub worker: &'a Worker,
    /// Who asks.
    pub session: &'a Session,
    /// Where he would be seen to hang up.
    pub socket: &'a Stream,
    /// The command.
    pub row: &'a Row,
    /// Its arguments, with hashed keys.
    pub args: Args<'a>,
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// How a check is made.
#[derive(Clone, Copy)]
enum Test {
    /// At once.
    Now(for<'a> fn(&'a Asked<'a>) -> Outcome),
    /// By waiting, unless there is nothing to wait for.
    Wait(for<'a> fn(&'a Asked<'a>) -> Option<Waiting<'a>>),
}

/// In the place of bits of the gate: whatever they are.
const ALWAYS: u32 = 0;

/// The checks in order: of which bits of the gate one must be set, and what is asked then.
const CHECKS: &[(u32, Test)] = &[
    (ALWAYS, Test::Now(fits_replica)),
    (ALWAYS, Test::Now(is_authenticated)),
    (ALWAYS, Test::Now(may_be_queued)),
    (ALWAYS, Test::Now(is_permitted)),
    (gate::MEMORY_LIMITED, Test::Wait(has_memory)),
    (gate::DISK_ERROR, Test::Now(may_leave_disk)),
    (gate::REPLICAS_MISSING, Test::Now(may_leave_replicas)),
    (ALWAYS, Test::Now(fits_subscriber)),
    (gate::LOADING, Test::Now(leaves_load_alone)),
    (gate::BUSY, Test::Now(may_come_amid_script)),
    (ALWAYS, Test::Now(fits_monitor)),
    (gate::PAUSED, Test::Wait(is_not_paused)),
];

/// What is answered while the data set is loaded.
pub const LOADING: &str = "LOADING Redis is loading the dataset in memory";

/// How often a paused client looks whether it was killed, in milliseconds.
const PAUSE_STEP_MS: u64 = 100;

/// Whether plain commands may go the short way: nobody watches them or holds them back, and so much memory is free that
/// a batch of this size cannot use it up.
#[inline]
pub fn is_free(server: &Server, input_bytes: usize, commands: usize) -> bool {
    match server.gate().bits() {
        0 => true,
        gate::MEMORY_LIMITED => server.eviction().has_room(input_bytes, commands),
        _ => false,
    }
}

/// Checks a command; waits where a check does.
///
/// # Errors
/// The reply for a command that must not run.
pub async fn admit(asked: Asked<'_>) -> Result<Verdict, CommandError> {
    for (bits, test) in CHECKS {
        if *bits != ALWAYS && !asked.server.gate().has(*bits) {
            continue;
        }
        match test {
            Test::Now(test) => test(&asked)?,
            Test::Wait(begin) => {
                if let Some(waiting) = begin(&asked) {
                    waiting.await?;
                }
            }
        }
    }
    Ok(if asked.is_queueing() { Verdict::Queue } else { Verdict::Run })
}

impl Asked<'_> {
    /// Whether MULTI queues it.
    fn is_queueing(&self) -> bool {
        self.session.conversation.transaction.is_some() && !self.row.command.rules.has(Rules::UNQUEUED)
    }

    /// Whether the command, or one of those that it runs from the queue, has one of these flags.
    fn has_any(&self, flags: Flags) -> bool {
        has_any(self.server, self.session, self.row, flags)
    }
}

fn has_any(server: &Server, session: &Session, row: &Row, flags: Flags) -> bool {
    let is_queued = || {
        session.conversation.transaction.as_ref().is_some_and(|transaction| {
            let mut queue = transaction.queue.iter();
            queue.any(|queued| server.registry().row(queued.row).command.flags.has_any(flags))
        })
    };
    row.command.flags.has_any(flags) || row.command.rules.has(Rules::RUNS_QUEUE) && is_queued()
}

/// A replica says what it is and has got. What else it sends would be answered amid what it gets: it is closed.
fn fits_replica(asked: &Asked<'_>) -> Outcome {
    let Asked { session, row, .. } = asked;
    if session.conversation.replica.is_none() || row.command.rules.has(Rules::FROM_REPLICA) {
        return Ok(());
    }
    let client = &session.caller.client;
    tracing::warn!("Replica {} has sent {}: its connection is closed", client.addr, row.full_name);
    client.kill();
    Err(CommandError::text("ERR Replica can't interact with the keyspace"))
}

fn is_authenticated(asked: &Asked<'_>) -> Outcome {
    if !asked.row.command.flags.has(Flags::NO_AUTH)
        && asked.session.caller.must_authenticate(asked.server.settings())
    {
        return Err(CommandError::text("NOAUTH Authentication required."));
    }
    Ok(())
}

fn may_be_queued(asked: &Asked<'_>) -> Outcome {
    if asked.is_queueing() && asked.row.command.flags.has(Flags::NO_MULTI) {
        return Err(CommandError::text("ERR Command not allowed inside a transaction"));
    }
    Ok(())
}

fn is_permitted(asked: &Asked<'_>) -> Outcome {
    let Asked { server, session, row, args, .. } = *asked;
    let place = Place::of(Origin::Client, session.conversation.transaction.is_some());
    permission::ask(server, &session.caller, row, args, place)
        .map_err(|denied| permission::refusal(&session.caller, denied, row))?;
    if asked.is_queueing() { Ok(()) } else { permission::ask_patterns(&session.caller, row, args) }
}

fn has_memory<'a>(asked: &'a Asked<'a>) -> Option<Waiting<'a>> {
    let is_exceeded = asked.server.eviction().is_exceeded(asked.worker.last_clock());
    is_exceeded.then(|| Box::pin(make_room(asked)) as Waiting<'a>)
}

async fn make_room(asked: &Asked<'_>) -> Outcome {
    let Asked { server, worker, session, row, .. } = asked;
    let settle = |view: &mut View<'_>| settle_own(server, worker, view);
    let is_short = !server.eviction().make_room(worker.thread(&settle), &worker.eviction).await;
    // What is queued takes memory as well, whatever it is.
    let takes_memory = asked.has_any(Flags::DENYOOM)
        || session.conversation.transaction.is_some() && !row.command.rules.has(Rules::ENDS_TRANSACTION);
    if is_short && takes_memory && !server.eviction().wait_for_freeing().await {
        return Err(OUT_OF_MEMORY);
    }
    Ok(())
}

fn may_leave_disk(asked: &Asked<'_>) -> Outcome {
    if asked.has_any(Flags::WRITE) || asked.row.command.rules.has(Rules::TELLS_DISK_ERROR) {
        return Err(disk_error(asked.server));
    }
    Ok(())
}

fn may_leave_replicas(asked: &Asked<'_>) -> Outcome {
    if asked.has_any(Flags::WRITE) {
        return Err(REPLICAS_MISSING);
    }
    Ok(())
}

fn fits_subscriber(asked: &Asked<'_>) -> Outcome {
    let Asked { session, row, .. } = asked;
    if !session.conversation.subscriptions.is_empty()
        && session.caller.proto == Proto::Resp2
        && !row.command.rules.has(Rules::IN_SUBSCRIBER_MODE)
    {
        return Err(CommandError::owned(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            row.full_name
        )));
    }
    Ok(())
}

/// No shard may be entered while the data set is loaded.
fn leaves_load_alone(asked: &Asked<'_>) -> Outcome {
    if !asked.row.command.flags.has(Flags::LOADING) || asked.row.reaches_shards(asked.args) {
        return Err(CommandError::text(LOADING));
    }
    Ok(())
}

fn may_come_amid_script(asked: &Asked<'_>) -> Outcome {
    if asked.row.command.flags.has(Flags::ALLOW_BUSY) {
        return Ok(());
    }
    Err(asked.server.scripts().running.busy_error())
}

fn fits_monitor(asked: &Asked<'_>) -> Outcome {
    if asked.session.conversation.is_monitor
        && asked.row.command.flags.has_any(Flags::WRITE.with(Flags::READONLY))
    {
        return Err(CommandError::text("ERR Replica can't interact with the keyspace"));
    }
    Ok(())
}

/// Whether CLIENT PAUSE WRITE holds this command back: it changes data, or would reach replicas.
fn is_paused_write(server: &Server, worker: &Worker, session: &Session, row: &Row, args: Args<'_>) -> bool {
    let is_writer = |row: &Row, args: Args<'_>| {
        row.command.rules.has(Rules::RUNS_SCRIPT) && callee::may_write(server, worker, row, args)
    };
    is_writer(row, args)
        || has_any(server, session, row, Flags::WRITE.with(Flags::MAY_REPLICATE))
        || row.command.rules.has(Rules::RUNS_QUEUE)
            && session.conversation.transaction.as_ref().is_some_and(|transaction| {
                let mut queue = transaction.queue.iter();
                queue.any(|queued| is_writer(server.registry().row(queued.row), queued.args.args()))
            })
}

/// Whether a pause holds this command back now.
pub fn is_held_back(server: &Server, worker: &Worker, session: &Session, row: &Row, args: Args<'_>) -> bool {
    server.gate().has(gate::PAUSED)
        && server
            .pause()
            .state(now_ms())
            .is_some_and(|pause| pause.pauses_reads || is_paused_write(server, worker, session, row, args))
}

fn is_not_paused<'a>(asked: &'a Asked<'a>) -> Option<Waiting<'a>> {
    Some(Box::pin(wait_for_end_of_pause(asked)))
}

/// Waits as long as the server is paused for this command, and the client is there: one that hangs up meanwhile is killed,
/// for otherwise all places for clients might be taken by those that are gone.
async fn wait_for_end_of_pause(asked: &Asked<'_>) -> Outcome {
    let Asked { server, worker, session, socket, row, args } = asked;
    let client = &session.caller.client;
    let mut hung_up = std::pin::pin!(socket.hung_up());
    loop {
        let mut ended = std::pin::pin!(server.pause().ended());
        // Registered before the state is looked at, so that an end in between is not missed.
        ended.as_mut().enable();
        let Some(pause) = server.pause().state(now_ms()) else { break };
        if client.is_killed() || !pause.pauses_reads && !is_paused_write(server, worker, session, row, *args)
        {
            break;
        }
        client.set_flag(flags::BLOCKED, true);
        let left = Duration::from_millis(pause.until_ms.saturating_sub(now_ms()).min(PAUSE_STEP_MS));
        tokio::select! {
            () = &mut hung_up => {
                client.kill();
            }
            // Either way the state is looked at again.
            _ = tokio::time::timeout(left, ended) => {}
        }
    }
    client.set_flag(flags::BLOCKED, false);
    if client.is_killed() {
        return Err(CommandError::text("ERR the connection is being closed"));
    }
    // The time of the batch has become old.
    asked.worker.tick();
    Ok(())
}
