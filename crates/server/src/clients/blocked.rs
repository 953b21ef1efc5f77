//! Waiting for a key: BLPOP and the like.
//!
//! A blocking command that finds nothing is registered with its keys while the view is still held, so that no wake-up is
//! lost. Whoever does to one of the keys what it is woken by serves it in his own settling (`crate::request::waiters`), still under
//! the view. So a waiter is served before anyone else sees the key, in the order in which they came, and atomically, as in Redis.
//!
//! A waiter goes through `WAITING -> CLAIMED -> SERVED`, or back to `WAITING` if the command still finds nothing, or to
//! `CANCELLED` by timeout, CLIENT UNBLOCK or a hang-up. Only one can win the step out of `WAITING`.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use rustredis_commands::{Args, OwnedArgs, Row};
use rustredis_keyspace::{BlockRequest, Fate, Key, Kind, Waiter, Wakes};
use rustredis_resp::Reply;

use crate::request::caller::{Caller, Progress};

const WAITING: u8 = 0;
const CLAIMED: u8 = 1;
const SERVED: u8 = 2;
const CANCELLED: u8 = 3;

/// A client that waits, with the command that it waits in.
#[derive(Debug)]
pub struct BlockedClient {
    /// Who.
    pub caller: Caller,
    /// The command, as it is run again to serve it.
    pub args: OwnedArgs,
    /// Its row.
    pub row: u16,
    /// What serves it.
    pub kind: Kind,
    /// Whether serving it takes more keys than the one that is ready.
    pub needs_more_keys: bool,
    wakes_on: Wakes,
    ticket: u64,
    state: AtomicU8,
    /// The reply, and what else comes of being served.
    end: Mutex<(Vec<u8>, Progress)>,
}

impl BlockedClient {
    /// A client that begins to wait in a command with these arguments, as it has requested.
    pub fn new(caller: Caller, row: &Row, args: Args<'_>, request: BlockRequest, ticket: u64) -> Arc<Self> {
        let BlockRequest { kind, needs_more_keys, wakes_on, instead, .. } = request;
        let args = kept_args(row, args, instead);
        let row = row.id;
        let (state, end) = (AtomicU8::new(WAITING), Mutex::default());
        Arc::new(Self { caller, args, row, kind, needs_more_keys, wakes_on, ticket, state, end })
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
        self.caller.client.wake();
    }

    /// Hands over the reply and what else comes of it, after a claim.
    pub fn serve(&self, reply: Vec<u8>, progress: Progress) {
        *self.end.lock() = (reply, progress);
        self.step(CLAIMED, SERVED);
        self.caller.client.wake();
    }

    /// Ends the wait with a reply of its own (a timeout, CLIENT UNBLOCK); false if somebody serves or has served it.
    pub fn cancel(&self, reply: Vec<u8>) -> bool {
        let won = self.step(WAITING, CLAIMED);
        if won {
            self.end.lock().0 = reply;
            self.step(CLAIMED, CANCELLED);
            self.caller.client.wake();
        }
        won
    }

    /// Ends the wait because its time is over; false as for [`BlockedClient::cancel`].
    pub fn time_out(&self) -> bool {
        let mut reply = Vec::new();
        Reply::new(&mut reply, self.caller.proto).null_array();
        self.cancel(reply)
    }

    /// Ends the wait with an error of this text (CLIENT UNBLOCK); false as for [`BlockedClient::cancel`].
    pub fn fail(&self, text: &str) -> bool {
        let mut reply = Vec::new();
        Reply::new(&mut reply, self.caller.proto).error(text);
        self.cancel(reply)
    }

    /// The reply and what else comes of the wait, once it is over.
    pub fn take_end(&self) -> Option<(Vec<u8>, Progress)> {
        self.is_over().then(|| std::mem::take(&mut *self.end.lock()))
    }

    /// Whether the wait is over.
    pub fn is_over(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), SERVED | CANCELLED)
    }

    /// Whether somebody runs the command, or has run it: what it has read comes before mail that was sent since.
    pub fn is_being_served(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), CLAIMED | SERVED)
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

    fn wakes_on(&self) -> Wakes {
        self.wakes_on
    }

    fn wants(&self, kind: Option<Kind>) -> bool {
        // Who waits for the end of a key is told of another type in its place, too.
        kind == Some(self.kind) || self.wakes_on.has(Fate::Deleted)
    }

    fn needs_more_keys(&self) -> bool {
        self.needs_more_keys
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a client waits with: the arguments that it came with, or others that its command has written out for the wait.
fn kept_args(row: &Row, args: Args<'_>, instead: Option<Vec<Vec<u8>>>) -> OwnedArgs {
    let Some(parts) = instead else { return OwnedArgs::new(args) };
    let (mut kept, mut keys) = (OwnedArgs::from_parts(&parts), Vec::new());
    row.hash_keys(kept.args(), &mut keys);
    kept.set_keys(&keys);
    kept
}

#[cfg(test)]
mod tests {
    use rustredis_commands::{FAMILIES, Registry};

    use super::*;

    #[test]
    fn rewritten_arguments_are_kept_with_their_keys() {
        let registry = Registry::new(FAMILIES, &[]).expect("no row is renamed");
        let came = OwnedArgs::from_parts(&["BLPOP", "first", "second", "0.5"]);
        let row = registry.resolve(came.args()).expect("there is such a command");
        let mut keys = Vec::new();
        row.hash_keys(came.args(), &mut keys);
        let args = came.args().with_keys(&keys);
        let keys_of = |kept: &OwnedArgs| kept.args().keys().map(|key| key.bytes.to_vec()).collect::<Vec<_>>();

        let kept = kept_args(row, args, None);
        assert_eq!(
            (keys_of(&kept), kept.args().get(3)),
            (vec![b"first".to_vec(), b"second".to_vec()], &b"0.5"[..])
        );
        let written = ["BLPOP", "first", "second", "0"].map(|part| part.as_bytes().to_vec());
        let kept = kept_args(row, args, Some(written.to_vec()));
        assert_eq!(
            (keys_of(&kept), kept.args().get(3)),
            (vec![b"first".to_vec(), b"second".to_vec()], &b"0"[..])
        );
    }
}
