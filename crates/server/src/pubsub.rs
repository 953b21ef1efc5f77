//! Publish and subscribe: who hears what. Filled in with the commands of the family.

use rustredis_keyspace::effects::Event;

use crate::server::Server;

/// Who is subscribed to what.
#[derive(Debug, Default)]
pub struct PubSub {}

impl PubSub {
    /// Publishes a keyspace event, as `notify-keyspace-events` says.
    pub fn publish_event(&self, _server: &Server, _event: &Event) {}

    /// Ends all subscriptions of a session.
    pub fn leave(&self, _session: &mut crate::session::Session) {}
}
