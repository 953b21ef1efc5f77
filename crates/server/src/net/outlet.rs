//! The way out of a connection: its socket, and the replies that wait there until what they show is durable.
//!
//! With `appendfsync always` a reply waits for a sync that it shares with many others. The connection hands it over and goes
//! on to wait for input; when the sync is done, the worker writes the replies of the whole group without polling one
//! connection. Waking each was measured: with 1,000 clients it cost a fifth of the processor time of a request.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_persistence::journal::Place;

use crate::clients::client::Client;
use crate::net::stream::Stream;
use crate::upkeep::stats::{WorkerStats, bump};

/// Replies up to so many bytes are copied, so that their buffer goes back to the pool; longer ones are handed over with it.
const COPIED_BYTES_MAX: usize = 4096;
/// A buffer of this capacity, in bytes, stays here between two groups.
const KEPT_BYTES_MAX: usize = 256;

/// See the module's text. Shared by a connection and the list of its worker, on one thread.
#[derive(Debug)]
pub struct Outlet {
    stream: Stream,
    client: Arc<Client>,
    held: RefCell<Vec<u8>>,
    /// Up to where the journal must be durable before `held` may leave; 0 if it need not wait.
    place: Cell<Place>,
    /// Since when, in Unix ms.
    since_ms: Cell<u64>,
    is_called_for: Cell<bool>,
}

impl Outlet {
    /// An outlet that holds nothing.
    pub fn new(stream: Stream, client: Arc<Client>) -> Self {
        Self {
            stream,
            client,
            held: RefCell::default(),
            place: Cell::default(),
            since_ms: Cell::default(),
            is_called_for: Cell::default(),
        }
    }

    /// The socket.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The place that must be durable before what is held may leave; 0 if nothing waits.
    pub fn place(&self) -> Place {
        self.place.get()
    }

    /// Whether replies wait here.
    pub fn is_waiting(&self) -> bool {
        self.place.get() != 0
    }

    /// Bytes that were handed over and have not left.
    pub fn held_bytes(&self) -> usize {
        self.held.borrow().len()
    }

    /// Whose it is.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether what is held has waited since before that time, in Unix ms.
    pub fn has_waited_since(&self, ms: u64) -> bool {
        self.is_waiting() && self.since_ms.get() <= ms
    }

    /// Takes replies over until `place` is durable; `output` is empty then. Nothing may be held already.
    pub fn hold(&self, output: &mut Vec<u8>, place: Place, now_ms: u64) {
        let held = &mut *self.held.borrow_mut();
        debug_assert!(held.is_empty() && place != 0, "one group of replies waits at a time");
        if output.len() <= COPIED_BYTES_MAX {
            held.extend_from_slice(output);
            output.clear();
        } else {
            *held = std::mem::take(output);
        }
        self.place.set(place);
        self.since_ms.set(now_ms);
    }

    /// Has the connection woken when what is held has left, or may leave.
    pub fn call(&self) {
        self.is_called_for.set(true);
    }

    /// Gives back what may leave and has not, to be sent before `output`.
    pub fn take_back(&self, output: &mut Vec<u8>) {
        self.place.set(0);
        self.is_called_for.set(false);
        let held = &mut *self.held.borrow_mut();
        if !held.is_empty() {
            held.append(output);
            *output = std::mem::take(held);
        }
    }

    /// Writes what is held, which is durable now. The connection is woken for what the socket does not take, for an
    /// error, which it meets when it tries the rest, and if it has called for it.
    pub fn release(&self, stats: &WorkerStats) {
        if self.place.replace(0) == 0 {
            return;
        }
        let held = &mut *self.held.borrow_mut();
        // What fails now fails again for the connection.
        let sent = self.write(held, stats).unwrap_or(0);
        held.drain(..sent);
        self.client.output_bytes.store(held.len(), Relaxed);
        if held.is_empty() && held.capacity() > KEPT_BYTES_MAX {
            *held = Vec::new();
        }
        if self.is_called_for.replace(false) || !held.is_empty() {
            self.client.wake();
        }
    }

    /// Writes once, and counts; the bytes that the socket took.
    ///
    /// # Errors
    /// Of the socket; `WouldBlock` if it has no room.
    pub fn write(&self, bytes: &[u8], stats: &WorkerStats) -> io::Result<usize> {
        let count = self.stream.try_write(bytes)?;
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bump(&stats.writes, 1);
        bump(&stats.sent, count as u64);
        bump(&self.client.sent, count as u64);
        Ok(count)
    }
}
