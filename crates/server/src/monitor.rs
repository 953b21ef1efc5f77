//! MONITOR: clients that see every command.

use crate::server::Server;
use crate::session::Session;
use rustredis_commands::Args;

/// Who watches all commands.
#[derive(Debug, Default)]
pub struct Monitors {}

impl Monitors {
    /// Shows a command to those who watch.
    pub fn show(&self, _server: &Server, _session: &Session, _args: Args<'_>) {}

    /// Ends the watch of a session.
    pub fn leave(&self, _server: &Server, _session: &mut Session) {}
}
