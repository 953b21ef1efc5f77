//! Whether a command may run now: one ordered list of checks, the same for every command.
//!
//! Authentication, the subscriber's mode, loading, memory, MULTI's queue, CLIENT PAUSE. The order is Redis's, for a client
//! that breaks two rules at once sees the first.

use std::time::Duration;

use rustredis_commands::{Args, CommandError, Flags, Row};
use rustredis_keyspace::View;
use rustredis_resp::Proto;

use crate::clients::client::flags;
use crate::clock::now_ms;
use crate::gate;
use crate::net::stream::Stream;
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

/// Commands that RESP2 allows to a subscriber.
const SUBSCRIBER_COMMANDS: &[&str] = &[
    "subscribe",
    "ssubscribe",
    "sunsubscribe",
    "psubscribe",
    "unsubscribe",
    "punsubscribe",
    "ping",
    "quit",
    "reset",
];
/// Commands that MULTI does not queue.
const UNQUEUED_COMMANDS: &[&str] = &["exec", "discard", "multi", "watch", "quit", "reset"];

/// What is answered while the data set is loaded.
pub const LOADING: &str = "LOADING Redis is loading the dataset in memory";

/// Commands that end a transaction, and so give back what it takes.
const ENDING_COMMANDS: &[&str] = &["exec", "discard", "quit", "reset"];

/// How often a paused client looks whether it was killed, in milliseconds.
const PAUSE_STEP_MS: u64 = 100;

/// Whether plain commands may go the short way: nobody watches them or holds them back, and so much memory is free that
/// a batch of this size cannot use it up.
#[inline]
pub fn is_free(server: &Server, input_bytes: usize, commands: usize) -> bool {
    match server.gate.bits() {
        0 => true,
        gate::MEMORY_LIMITED => server.eviction.has_room(input_bytes, commands),
        _ => false,
    }
}

/// Checks a command; waits while the server is paused.
///
/// # Errors
/// The reply for a command that must not run.
pub async fn admit(
    server: &Server,
    worker: &Worker,
    session: &mut Session,
    socket: &Stream,
    row: &Row,
    args: Args<'_>,
) -> Result<Verdict, CommandError> {
    let flags = row.command.flags;
    let name = row.full_name;
    if !flags.has(Flags::NO_AUTH) && session.caller.must_authenticate(&server.settings) {
        return Err(CommandError::text("NOAUTH Authentication required."));
    }
    let is_queueing = session.conversation.transaction.is_some() && !UNQUEUED_COMMANDS.contains(&name);
    if is_queueing && flags.has(Flags::NO_MULTI) {
        return Err(CommandError::text("ERR Command not allowed inside a transaction"));
    }
    if server.gate.has(gate::MEMORY_LIMITED) {
        let settle = |view: &mut View<'_>| settle_own(server, worker, view);
        let is_short = !server.eviction.make_room(worker.thread(&settle), &worker.eviction).await;
        // What is queued takes memory as well, whatever it is.
        let takes_memory = flags.has(Flags::DENYOOM)
            || session.conversation.transaction.is_some() && !ENDING_COMMANDS.contains(&name)
            || name == "exec" && has_queued(server, session, Flags::DENYOOM);
        if is_short && takes_memory && !server.eviction.wait_for_freeing().await {
            return Err(CommandError::text("OOM command not allowed when used memory > 'maxmemory'."));
        }
    }
    if server.gate.has(gate::DISK_ERROR)
        && (flags.has(Flags::WRITE)
            || name == "ping"
            || name == "exec" && has_queued(server, session, Flags::WRITE))
    {
        return Err(disk_error(server));
    }
    if server.gate.has(gate::REPLICAS_MISSING)
        && (flags.has(Flags::WRITE) || name == "exec" && has_queued(server, session, Flags::WRITE))
    {
        return Err(CommandError::text("NOREPLICAS Not enough good replicas to write."));
    }
    if !session.conversation.subscriptions.is_empty()
        && session.caller.proto == Proto::Resp2
        && !SUBSCRIBER_COMMANDS.contains(&name)
    {
        return Err(CommandError::owned(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            row.full_name
        )));
    }
    // No shard may be entered while the data set is loaded.
    if server.gate.has(gate::LOADING) && (!flags.has(Flags::LOADING) || row.reaches_shards(args)) {
        return Err(CommandError::text(LOADING));
    }
    if session.conversation.is_monitor && flags.has_any(Flags::WRITE.with(Flags::READONLY)) {
        return Err(CommandError::text("ERR Replica can't interact with the keyspace"));
    }
    if server.gate.has(gate::PAUSED) {
        wait_for_end_of_pause(server, session, socket, row).await;
        if session.caller.client.is_killed() {
            return Err(CommandError::text("ERR the connection is being closed"));
        }
        // The time of the batch has become old.
        worker.tick();
    }
    Ok(if is_queueing { Verdict::Queue } else { Verdict::Run })
}

/// Why writes are refused.
fn disk_error(server: &Server) -> CommandError {
    match server.aof.error() {
        Some(error) => {
            // The reason alone, as the C library words it, without the number that Rust adds.
            let text = error.to_string();
            let reason = text.split(" (os error").next().unwrap_or_default();
            CommandError::owned(format!("MISCONF Errors writing to the AOF file: {reason}"))
        }
        None => CommandError::text(
            "MISCONF RustRedis is configured to save RDB snapshots, but is currently unable to persist to disk. Writes are refused until a save succeeds (stop-writes-on-bgsave-error). Check the log for the reason.",
        ),
    }
}

/// Whether the transaction has a command with this flag.
fn has_queued(server: &Server, session: &Session, flag: Flags) -> bool {
    session.conversation.transaction.as_ref().is_some_and(|transaction| {
        transaction.queue.iter().any(|queued| server.registry.row(queued.row).command.flags.has(flag))
    })
}

/// Commands that a pause of writes holds back though they change no data: they would reach replicas.
const REPLICATED_COMMANDS: &[&str] = &["publish", "spublish", "pfcount", "eval", "evalsha", "fcall"];

/// Whether CLIENT PAUSE WRITE holds this command back.
fn is_paused_write(server: &Server, session: &Session, row: &Row) -> bool {
    let writes =
        |row: &Row| row.command.flags.has(Flags::WRITE) || REPLICATED_COMMANDS.contains(&row.full_name);
    writes(row)
        || row.full_name == "exec"
            && session.conversation.transaction.as_ref().is_some_and(|transaction| {
                transaction.queue.iter().any(|queued| writes(server.registry.row(queued.row)))
            })
}

/// Whether a pause holds this command back now.
pub fn is_held_back(server: &Server, session: &Session, row: &Row) -> bool {
    server.gate.has(gate::PAUSED)
        && server
            .pause
            .state(now_ms())
            .is_some_and(|pause| pause.pauses_reads || is_paused_write(server, session, row))
}

/// Waits as long as the server is paused for this command, and the client is there: one that hangs up meanwhile is killed,
/// for otherwise all places for clients might be taken by those that are gone.
async fn wait_for_end_of_pause(server: &Server, session: &Session, socket: &Stream, row: &Row) {
    let client = &session.caller.client;
    let mut hung_up = std::pin::pin!(socket.hung_up());
    loop {
        let mut ended = std::pin::pin!(server.pause.ended());
        // Registered before the state is looked at, so that an end in between is not missed.
        ended.as_mut().enable();
        let Some(pause) = server.pause.state(now_ms()) else { break };
        if client.is_killed() || !pause.pauses_reads && !is_paused_write(server, session, row) {
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
}
