//! Errands: what a thread has the owners of other shards do for it, and their answers.
//!
//! A client's commands for other threads' shards go to each of them as one errand, and what they need of the thread's own runs meanwhile. All
//! of one [`Engine::scatter`] is as if it had been done in one moment, to everybody else. An errand comes back as it went, with what has come of it:
//! who sends many has the memory again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustredis_keyspace::{Access, Covered};

use crate::held::{Errand, Held, NotSent, Part, leave};
use crate::slots::Ticket;
use crate::{Doors, Engine, actor, seats};

/// The errands of one scattering, once all have come back, in any order. Whoever drops it needs no answer; the errands are done all the same.
pub struct Answers<'e> {
    engine: &'e Engine,
    ticket: Option<Ticket>,
}

impl Answers<'_> {
    /// Has the rest of the thread's own part go on as an errand, when others have had their turn. The shards of the own part are
    /// still held.
    pub fn go_on(&self, part: Part) {
        if let (Doors::Actor(doors), Some(ticket)) = (&self.engine.doors, self.ticket) {
            doors.go_on(self.engine, ticket, part);
        }
    }
}

impl Future for Answers<'_> {
    type Output = Vec<Part>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<Part>> {
        let ticket = self.ticket.expect("a future is not polled behind its end");
        let slots = actor::with_slots(|slots| slots.poll(ticket, context));
        let parts = slots.unwrap_or(Poll::Pending);
        if parts.is_ready() {
            self.ticket = None;
        }
        parts
    }
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            actor::with_slots(|slots| slots.leave(ticket));
        }
    }
}

/// What was sent.
pub struct Scattered<'e> {
    /// The thread's own errand, if it is to be done now, under this hold of its shards; else it is among the answers.
    pub own: Option<(Held<'e>, Box<dyn Errand>)>,
    /// The others.
    pub answers: Answers<'e>,
}

impl Engine {
    /// How many threads own shards, where they do.
    #[inline]
    pub fn owners(&self) -> usize {
        match &self.doors {
            Doors::Actor(doors) => doors.owners(),
            _ => 0,
        }
    }

    /// The owner of a shard, where there are owners.
    #[inline]
    pub fn owner_of(&self, shard: usize) -> usize {
        match &self.doors {
            Doors::Actor(doors) => doors.owner_of(shard),
            _ => 0,
        }
    }

    /// The number of the owner that the calling thread is.
    #[inline]
    pub fn own_index(&self) -> Option<usize> {
        actor::own_index(self.number)
    }

    /// Does what other threads have sent to this one so far. To be called before what a client has sent since is run, for that comes after
    /// it, and by who does not use [`Engine::enter_worker`] as often as possible. Whether there was anything.
    #[inline]
    pub fn serve(&self) -> bool {
        match &self.doors {
            Doors::Actor(doors) => doors.serve(self),
            _ => false,
        }
    }

    /// Sends each errand to the owner of its shards, and has the thread do `own` with these shards of its own: all that is done is one moment
    /// to everybody else. Nothing is sent if that cannot be: the gate is stopped, some shards are held for long, somebody
    /// waits whom to serve takes everything. A single errand is sent also then, unless the gate is stopped, and may come back undone.
    ///
    /// # Errors
    /// All comes back that was not sent.
    pub fn scatter<'e>(
        &'e self,
        own: Option<(&'e [u32], Box<dyn Errand>)>,
        parts: Vec<Part>,
    ) -> Result<Scattered<'e>, NotSent> {
        let shards = own.as_ref().map_or(&[][..], |(shards, _)| shards);
        let not_sent = |parts, own: Option<(&[u32], _)>| Err((own.map(|(_, errand)| errand), parts));
        let Doors::Actor(doors) = &self.doors else { return not_sent(parts, own) };
        self.serve();
        let seat = seats::mine(self.number, &self.gate);
        if !self.gate.enter(seat, Access::Write) {
            return not_sent(parts, own);
        }
        match doors.send_errands(self, seat, own, parts) {
            Ok((ticket, own)) => {
                let answers = Answers { engine: self, ticket: Some(ticket) };
                let held = self.held_own(Covered::of(shards), seat);
                Ok(Scattered { own: own.map(|errand| (held, errand)), answers })
            }
            Err(not_sent) => {
                leave(&self.gate, seat, Access::Write);
                Err(not_sent)
            }
        }
    }
}
