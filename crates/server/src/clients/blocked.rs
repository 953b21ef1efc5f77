//! Waiting for a key: BLPOP and the like.
//!
//! A blocking command that finds nothing is registered with its keys while the view is still held, so that no wake-up is
//! lost. Whoever makes one of the keys serves it in his own settling (`crate::request::waiters`), still under the view. So a waiter is served before anyone else
//! sees the key, in the order in which they came, and atomically, as in Redis.
//!
//! A waiter goes through `WAITING -> CLAIMED -> SERVED`, or back to `WAITING` if the command still finds nothing, or to
//! `CANCELLED` by timeout, CLIENT UNBLOCK or a hang-up. Only one can win the step out of `WAITING`.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;
use rustredis_commands::OwnedArgs;
use rustredis_keyspace::{Key, Kind, Waiter};
use rustredis_resp::{Proto, Reply};

use crate::clients::client::Client;

const WAITING: u8 = 0;
const CLAIMED: u8 = 1;
const SERVED: u8 = 2;
const CANCELLED: u8 = 3;

/// A client that waits, with the command that it waits in.
#[derive(Debug)]
pub struct BlockedClient {
    /// Who.
    pub client: Arc<Client>,
    /// The command.
    pub args: OwnedArgs,
    /// Its row.
    pub row: u16,
    /// The protocol of the reply.
    pub proto: Proto,
    /// The database.
    pub db: usize,
    /// What serves it.
    pub kind: Kind,
    /// Whether serving it takes more keys than the one that is ready.
    pub needs_more_keys: bool,
    ticket: u64,
    state: AtomicU8,
    reply: Mutex<Vec<u8>>,
    /// The journal's place of what it was served with.
    depends_on: AtomicU64,
}

impl BlockedClient {
    /// A client that begins to wait.
    #[allow(clippy::too_many_arguments, reason = "each is a fact of the wait")]
    pub fn new(
        client: Arc<Client>,
        args: OwnedArgs,
        row: u16,
        proto: Proto,
        db: usize,
        kind: Kind,
        needs_more_keys: bool,
        ticket: u64,
    ) -> Arc<Self> {
        let (state, reply) = (AtomicU8::new(WAITING), Mutex::default());
        let depends_on = AtomicU64::new(0);
        Arc::new(Self {
            client,
            args,
            row,
            proto,
            db,
            kind,
            needs_more_keys,
            ticket,
            state,
            reply,
            depends_on,
        })
    }

    /// The keys that it waits for: all, or the source alone of a command that has a destination.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = Key<'_>> + Clone {
        self.args.args().keys().take(if self.needs_more_keys { 1 } else { usize::MAX })
    }

    /// Wins the right to serve it; false if it no longer waits.
    pub fn claim(&self) -> bool {
        self.step(WAITING, CLAIMED)
    }

    /// Gives the claim back: there was nothing for it after all.
    pub fn release(&self) {
        self.step(CLAIMED, WAITING);
        // A timeout may have passed meanwhile.
        self.client.wake();
    }

    /// Says what its reply depends on, before it is handed over.
    pub fn depend_on(&self, place: u64) {
        self.depends_on.store(place, Ordering::Relaxed);
    }

    /// The journal's place of what it was served with; 0 if that changed nothing.
    pub fn depends_on(&self) -> u64 {
        self.depends_on.load(Ordering::Relaxed)
    }

    /// Hands over the reply, after a claim.
    pub fn serve(&self, reply: Vec<u8>) {
        *self.reply.lock() = reply;
        self.step(CLAIMED, SERVED);
        self.client.wake();
    }

    /// Ends the wait with a reply of its own (a timeout, CLIENT UNBLOCK); false if somebody serves or has served it.
    pub fn cancel(&self, reply: Vec<u8>) -> bool {
        let won = self.step(WAITING, CLAIMED);
        if won {
            *self.reply.lock() = reply;
            self.step(CLAIMED, CANCELLED);
            self.client.wake();
        }
        won
    }

    /// Ends the wait because its time is over; false as for [`BlockedClient::cancel`].
    pub fn time_out(&self) -> bool {
        let mut reply = Vec::new();
        Reply::new(&mut reply, self.proto).null_array();
        self.cancel(reply)
    }

    /// Ends the wait with an error of this text (CLIENT UNBLOCK); false as for [`BlockedClient::cancel`].
    pub fn fail(&self, text: &str) -> bool {
        let mut reply = Vec::new();
        Reply::new(&mut reply, self.proto).error(text);
        self.cancel(reply)
    }

    /// The reply, once the wait is over.
    pub fn take_reply(&self) -> Option<Vec<u8>> {
        self.is_over().then(|| std::mem::take(&mut *self.reply.lock()))
    }

    /// Whether the wait is over.
    pub fn is_over(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), SERVED | CANCELLED)
    }

    /// Whether the wait was ended by somebody who ran the command.
    pub fn was_served(&self) -> bool {
        self.state.load(Ordering::Acquire) == SERVED
    }

    fn step(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Waiter for BlockedClient {
    fn ticket(&self) -> u64 {
        self.ticket
    }

    fn is_waiting(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), WAITING | CLAIMED)
    }

    fn wants(&self, kind: Kind) -> bool {
        self.kind == kind
    }

    fn needs_more_keys(&self) -> bool {
        self.needs_more_keys
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
