//! Where a command runs: for whom, on which thread, and what for.

use rustredis_commands::{Args, CommandError};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use crate::request::caller::{Caller, Progress};
use crate::request::conversation::Conversation;
use crate::request::origin::Origin;
use crate::request::worker::Worker;
use crate::start::server::Server;

/// What a command of the server gets besides the view.
pub struct Context<'a> {
    /// What all connections share.
    pub server: &'a Server,
    /// The thread's own; none where a file is loaded.
    pub worker: Option<&'a Worker>,
    /// Who sent it.
    pub caller: &'a mut Caller,
    /// What comes of it for who sent it.
    pub progress: &'a mut Progress,
    /// The connection's own, where there is a connection.
    pub conversation: Option<&'a mut Conversation>,
    /// Where it comes from.
    pub origin: Origin,
}

impl Context<'_> {
    /// The connection's own.
    ///
    /// # Errors
    /// If the command runs without a connection.
    pub fn conversation(&mut self) -> Result<&mut Conversation, CommandError> {
        self.conversation.as_deref_mut().ok_or(NO_CONNECTION)
    }
}

/// The error of a command that is about its connection, and has none.
pub const NO_CONNECTION: CommandError = CommandError::text("ERR This command needs a connection of its own");

/// How a command of the server runs. The view covers what the row's keys or reach say.
pub type ServerHandler =
    fn(&mut Context<'_>, &mut View<'_>, Args<'_>, &mut Reply<'_>) -> Result<(), CommandError>;
