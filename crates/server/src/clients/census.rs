//! What the clients tell, counted one by one.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_metrics::rows::{Row, absent, fact, gauge};

use crate::clients::client::{Client, flags};
use crate::clients::connected::Clients;

/// The clients at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    connected: usize,
    maxclients: usize,
    input_capacity_max: usize,
    output_bytes_max: usize,
    blocked: usize,
    subscribed: usize,
    watching: usize,
    tracking: usize,
}

impl Census {
    /// Looks, where `maxclients` may be connected. O(clients).
    pub fn of(clients: &Clients, maxclients: usize) -> Self {
        let mut census = Self { maxclients, ..Self::default() };
        clients.all().iter().for_each(|client| census.add(client));
        census
    }

    fn add(&mut self, client: &Client) {
        self.connected += usize::from(!client.has_flag(flags::REPLICA));
        self.input_capacity_max = self.input_capacity_max.max(client.input_capacity.load(Relaxed));
        self.output_bytes_max = self.output_bytes_max.max(client.output_bytes.load(Relaxed));
        self.blocked += usize::from(client.has_flag(flags::BLOCKED));
        self.subscribed += usize::from(client.has_flag(flags::PUBSUB));
        self.watching += usize::from(client.watched.load(Relaxed) > 0);
        self.tracking += usize::from(client.has_flag(flags::TRACKING));
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("connected_clients", "Clients that are connected.", |at| at.connected.into()),
        fact("maxclients", "Clients that may be connected.", |at| at.maxclients.into()),
        gauge("client_recent_max_input_buffer", "Bytes of the largest buffer of requests.", |at| {
            at.input_capacity_max.into()
        }),
        gauge("client_recent_max_output_buffer", "Bytes of the largest buffer of replies.", |at| {
            at.output_bytes_max.into()
        }),
        gauge("blocked_clients", "Clients that wait in a blocking command.", |at| at.blocked.into()),
        gauge("pubsub_clients", "Clients that are subscribed to something.", |at| at.subscribed.into()),
        gauge("tracking_clients", "Clients that are told of changes of what they have read.", |at| {
            at.tracking.into()
        }),
        gauge("watching_clients", "Clients that watch keys.", |at| at.watching.into()),
        absent("clients_in_timeout_table", "Blocked clients in a table of timeouts: there is no such table."),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_counts_once_for_what_it_does() {
        let mut census = Census::default();
        let client = |flags: u32, watched: usize, input: usize| {
            let client = Client::new(1, String::new(), String::new(), -1, 0, 0);
            client.set_flag(flags, true);
            client.watched.store(watched, Relaxed);
            client.input_capacity.store(input, Relaxed);
            client
        };
        census.add(&client(flags::BLOCKED, 0, 70));
        census.add(&client(flags::PUBSUB | flags::BLOCKED, 2, 90));
        census.add(&client(flags::MULTI | flags::TRACKING, 1, 80));
        let expected = Census {
            connected: 3,
            blocked: 2,
            subscribed: 1,
            watching: 2,
            tracking: 1,
            input_capacity_max: 90,
            ..Census::default()
        };
        assert_eq!(census, expected);
    }
}
