//! MONITOR: clients that see every command.
//!
//! A command is shown when it has run, while its view is still held, so that what monitors see of a key is what happened
//! to it; one lock makes all monitors see the same order. While there are none, nobody comes here: a bit of the server's
//! gate says so. Monitors are bound by the output limits of subscribers and not, as in Redis, by those of ordinary clients,
//! for which there are none by default: one that does not read would take all memory.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use rustredis_resp::quote::quote;

use crate::clients::client::{Client, flags};
use crate::clients::connected::Clients;
use crate::clock::now_us;
use crate::gate::{self, Gate};

/// Who watches all commands.
#[derive(Debug)]
pub struct Monitors {
    clients: Arc<Clients>,
    gate: Arc<Gate>,
    watching: Mutex<Vec<Arc<Client>>>,
}

impl Monitors {
    /// Nobody watches.
    pub fn new(clients: Arc<Clients>, gate: Arc<Gate>) -> Self {
        Self { clients, gate, watching: Mutex::default() }
    }

    /// Begins the watch of a client that does not watch yet.
    pub fn join(&self, client: &Arc<Client>) {
        client.set_flag(flags::MONITOR, true);
        let mut watching = self.watching.lock();
        watching.push(client.clone());
        self.gate.set(gate::MONITORED, true);
    }

    /// Ends the watch of a client.
    pub fn leave(&self, client: &Client) {
        client.set_flag(flags::MONITOR, false);
        let mut watching = self.watching.lock();
        watching.retain(|watching| watching.id != client.id);
        if watching.is_empty() {
            self.gate.set(gate::MONITORED, false);
        }
    }

    /// Shows a command of this client, with the arguments that may be seen, to those who watch.
    pub fn show(&self, client: &Client, db: usize, arguments: &[&[u8]]) {
        let is_unix = client.has_flag(flags::UNIX_SOCKET);
        let scheme = if is_unix { "unix:" } else { "" };
        let addr = if is_unix { client.addr.trim_end_matches(":0") } else { &client.addr };
        self.tell(&format!("{db} {scheme}{addr}"), arguments);
    }

    /// Shows a command that a script calls.
    pub fn show_inner(&self, db: usize, arguments: &[&[u8]]) {
        self.tell(&format!("{db} lua"), arguments);
    }

    /// Sends a line about a command; `source` is the database and who sent it.
    fn tell(&self, source: &str, arguments: &[&[u8]]) {
        // The time is taken under the lock, so that the lines' times ascend.
        let watching = self.watching.lock();
        let now_us = now_us();
        let line: Arc<[u8]> = line(now_us, source, arguments).into();
        for client in watching.iter().filter(|client| !client.is_killed()) {
            self.clients.send(client, line.clone(), now_us / 1000);
        }
    }
}

fn line(now_us: u64, source: &str, arguments: &[&[u8]]) -> Vec<u8> {
    let length: usize = arguments.iter().map(|argument| argument.len() + 3).sum();
    let mut line = Vec::with_capacity(length + source.len() + 32);
    // Writing to a vector cannot fail.
    let _ = write!(line, "+{}.{:06} [{source}]", now_us / 1_000_000, now_us % 1_000_000);
    for argument in arguments {
        line.push(b' ');
        quote(&mut line, argument);
    }
    line.extend_from_slice(b"\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_when_who_and_what() {
        let text =
            line(1_700_000_000_000_042, "9 127.0.0.1:1234", &[b"set", b"a b", b"\x00\xff\r\n\t\x07\x08\"\\"]);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "+1700000000.000042 [9 127.0.0.1:1234] \"set\" \"a b\" \"\\x00\\xff\\r\\n\\t\\a\\b\\\"\\\\\"\r\n"
        );
    }
}
