//! What becomes of a panic in a command.
//!
//! One client's command must not take with it what is everybody's. A function decides first and changes second, so most of its
//! bugs strike before a change: then the command is an error and nothing else. The effects know whether a key was given out to be
//! changed; if one was, what is in memory may differ from what the journal will say, and to go on would spread it.
//!
//! A run of plain commands is caught as a whole, for a catch of each would cost a fiftieth of a GET; the worker remembers how many
//! have begun, and where the reply of the last begins.

use rustredis_commands::{CommandError, Row};
use rustredis_engine::end_process;
use rustredis_keyspace::Effects;
use rustredis_metrics::{CallEnd, CommandId};
use rustredis_resp::{Proto, Reply};

use crate::request::worker::Worker;
use crate::start::server::Server;
use crate::upkeep::stats::bump;

/// Which command of a run has panicked, after so many had begun. If none had, it was no command's bug.
#[cold]
pub fn last_begun(begun: usize) -> usize {
    begun
        .checked_sub(1)
        .unwrap_or_else(|| end_process("A run of commands has panicked before the first began"))
}

/// What follows a panic in the command that has begun last; the panic's own message is in the log.
#[cold]
pub fn give_up(
    server: &Server,
    worker: &Worker,
    effects: &mut Effects,
    row: &Row,
    proto: Proto,
    output: &mut Vec<u8>,
) {
    let error = judge(effects, row);
    output.truncate(worker.reply_begin.get());
    answer(server, worker, row, &error, &mut Reply::new(output, proto));
}

/// Answers and counts a command that was given up.
#[cold]
pub fn answer(server: &Server, worker: &Worker, row: &Row, error: &CommandError, reply: &mut Reply<'_>) {
    reply.error(&error.to_string());
    bump(&worker.stats().errors, 1);
    server.stats().count_error(&error.code());
    worker.metrics.record(CommandId(row.id), 0, CallEnd::Failed);
}

/// Judges a panic in this command: its reply, if it has changed nothing.
#[cold]
pub fn judge(effects: &mut Effects, row: &Row) -> CommandError {
    // A deletion of what had expired ahead of it is whole, but would be journalled too late, or not at all.
    if effects.is_touched() || effects.has_expired() {
        end_process(&format!("The command {} has panicked amid its changes", row.full_name));
    }
    tracing::error!("The command {} has panicked before it changed anything: it was given up", row.full_name);
    effects.give_up();
    CommandError::text("ERR internal error, the command was given up before it changed anything")
}
