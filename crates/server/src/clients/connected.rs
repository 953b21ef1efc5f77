//! Who is connected, and the end of clients for which too much waits, or that wait too long.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::RwLock;
use rustredis_config::ClientClass;

use crate::clients::client::{Client, flags};
use crate::upkeep::settings::Settings;
use crate::upkeep::stats::Stats;

/// All clients that are connected.
#[derive(Debug)]
pub struct Clients {
    by_id: RwLock<HashMap<u64, Arc<Client>>>,
    next_id: AtomicU64,
    /// Sockets that are open or about to be served: ahead of `by_id` after an accept, behind it after a kill.
    sockets: AtomicUsize,
    settings: Arc<Settings>,
    stats: Arc<Stats>,
}

impl Clients {
    /// Nobody yet.
    pub fn new(settings: Arc<Settings>, stats: Arc<Stats>) -> Self {
        Self {
            by_id: RwLock::default(),
            next_id: AtomicU64::new(0),
            sockets: AtomicUsize::new(0),
            settings,
            stats,
        }
    }

    /// Makes room for one more socket: an id that was never used, or nothing if there are `sockets_max` already.
    pub fn admit(&self, sockets_max: usize) -> Option<u64> {
        if self.sockets.fetch_add(1, Relaxed) >= sockets_max {
            self.leave();
            return None;
        }
        Some(self.next_id.fetch_add(1, Relaxed) + 1)
    }

    /// Gives back the room of [`Clients::admit`].
    pub fn leave(&self) {
        self.sockets.fetch_sub(1, Relaxed);
    }

    /// Adds a client.
    pub fn add(&self, client: Arc<Client>) {
        self.by_id.write().insert(client.id, client);
    }

    /// Removes a client, if it is there.
    pub fn remove(&self, id: u64) {
        self.by_id.write().remove(&id);
    }

    /// Closes a client, from wherever; to everybody else it is gone at once. False if it was being closed already.
    pub fn kill(&self, client: &Client) -> bool {
        self.remove(client.id);
        client.kill()
    }

    /// The client with this id.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.read().get(&id).cloned()
    }

    /// All clients, in the order of their ids.
    pub fn all(&self) -> Vec<Arc<Client>> {
        let mut all: Vec<_> = self.by_id.read().values().cloned().collect();
        all.sort_unstable_by_key(|client| client.id);
        all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.read().len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Puts a message into a client's mailbox, and closes the client if it does not read.
    pub fn send(&self, client: &Client, message: Arc<[u8]>, now_ms: u64) {
        client.send(message);
        if client.is_over_limit(now_ms, self.settings.output_limits(ClientClass::PubSub)) {
            self.close_for_output(client);
        }
    }

    /// Puts a message into the mailbox of a client that may not be subscribed to anything: its replies have the limits of its class, and
    /// what waits in the mailbox those of subscribers.
    pub fn tell(&self, client: &Client, message: Arc<[u8]>, now_ms: u64) {
        if client.has_flag(flags::PUBSUB) {
            return self.send(client, message, now_ms);
        }
        client.send(message);
        let of_mail = self.settings.output_limits(ClientClass::PubSub).hard_bytes;
        if of_mail > 0 && client.mail_bytes() >= of_mail
            || client.is_over_limit(now_ms, self.settings.output_limits(ClientClass::Normal))
        {
            self.close_for_output(client);
        }
    }

    /// Closes a client for which more waits to be sent than its limits allow.
    #[cold]
    pub fn close_for_output(&self, client: &Client) {
        if !self.kill(client) {
            return;
        }
        self.stats.output_limit_disconnections.fetch_add(1, Relaxed);
        tracing::warn!(
            "Client id={} addr={} scheduled to be closed ASAP for overcoming of output buffer limits ({} bytes).",
            client.id,
            client.addr,
            client.pending_bytes()
        );
    }

    /// Closes a client whose reply has waited too long for an append-only file that cannot be written. Whether what it wrote will
    /// be kept nobody knows: it is written when the disk can again, if the server lives to see that.
    #[cold]
    pub fn close_for_disk(&self, client: &Client) {
        if self.kill(client) {
            self.stats.write_timeout_disconnections.fetch_add(1, Relaxed);
            tracing::warn!(
                "Closing client id={} addr={} without a reply: for {} ms what it waits for could not be written to the AOF file",
                client.id,
                client.addr,
                self.settings.aof_write_timeout_ms.load(Relaxed)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_sockets() {
        let clients = Clients::new(Arc::default(), Arc::new(Stats::new(1, 1)));
        assert_eq!(clients.admit(2), Some(1));
        assert_eq!(clients.admit(2), Some(2));
        assert_eq!(clients.admit(2), None);
        clients.leave();
        assert_eq!(clients.admit(2), Some(3));
    }
}
