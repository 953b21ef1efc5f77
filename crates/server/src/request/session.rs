//! What a connection remembers between commands: who it is, how far it is, and the conversation.

use std::sync::Arc;

use crate::clients::client::Client;
use crate::request::caller::{Caller, Progress};
use crate::request::context::Context;
use crate::request::conversation::Conversation;
use crate::request::origin::Origin;
use crate::request::worker::Worker;
use crate::start::server::Server;

/// What a connection remembers between commands.
#[derive(Debug)]
pub struct Session {
    /// Who sends the commands; it travels with them.
    pub caller: Caller,
    /// What comes back of them.
    pub progress: Progress,
    /// What stays.
    pub conversation: Conversation,
}

impl Session {
    /// A session that has just begun.
    pub fn new(client: Arc<Client>, is_authenticated: bool) -> Self {
        Self {
            conversation: Conversation::new(client.clone()),
            caller: Caller::new(client, is_authenticated),
            progress: Progress::default(),
        }
    }

    /// Whether its commands need nothing but to be run.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.caller.is_authenticated && self.conversation.is_plain() && !self.caller.is_caching()
    }

    /// Ends what CLIENT CACHING was given for, behind a command that is not CLIENT's; in MULTI that is EXEC.
    pub fn end_caching(&self) {
        if let Some(tracker) = &self.caller.tracker
            && self.conversation.transaction.is_none()
        {
            tracker.set_caching(false);
        }
    }

    /// What its commands run with.
    #[inline]
    pub fn context<'a>(&'a mut self, server: &'a Server, worker: &'a Worker, origin: Origin) -> Context<'a> {
        let Self { caller, progress, conversation } = self;
        Context { server, worker: Some(worker), caller, progress, conversation: Some(conversation), origin }
    }
}
