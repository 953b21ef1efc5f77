//! The call of a command's function: what holds before it, and what becomes of a panic in it.
//!
//! One client's command must not take what is everybody's with it. A function decides first and changes second, so most of its
//! bugs strike before a change: then the command is an error and nothing else. The view knows whether a key was given out to be
//! changed; if one was, what is in memory may differ from what the journal will say, and to go on would spread it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustredis_commands::{Args, CommandError, Row};
use rustredis_engine::end_process;
use rustredis_keyspace::{Access, View};
use rustredis_resp::Reply;

/// Calls a command's function. What a write reads and whose time has come goes before it; it begins with clean effects; and a panic
/// in it that has changed nothing yet is an error. After a change, memory and journal differ: then the process ends.
#[inline]
pub fn call(
    view: &mut View<'_>,
    row: &Row,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    function: impl FnOnce(&mut View<'_>, &mut Reply<'_>) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    debug_assert!(view.effects.is_settled(), "something is left of the command before {}", row.full_name);
    if row.access == Access::Write {
        args.keys().for_each(|key| view.expire_ahead(key));
    }
    view.effects.has_touched = false;
    match catch_unwind(AssertUnwindSafe(|| function(view, reply))) {
        Ok(result) => result,
        Err(_) => Err(give_up(view, row)),
    }
}

/// What follows a panic in a command's function; the panic's own message is in the log.
#[cold]
fn give_up(view: &mut View<'_>, row: &Row) -> CommandError {
    if view.effects.has_touched {
        end_process(&format!("The command {} has panicked amid its changes", row.full_name));
    }
    view.effects.give_up();
    tracing::error!("The command {} has panicked before it changed anything: it was given up", row.full_name);
    CommandError::text("ERR internal error, the command was given up before it changed anything")
}
