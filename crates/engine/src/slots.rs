//! What a thread has sent and awaits, by tickets: an answer names its ticket, for a future cannot travel.

use std::task::{Context, Poll, Waker};

/// The number of some errands that are awaited together.
pub(crate) type Ticket = u32;

/// What a thread awaits.
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<Ticket>,
}

struct Slot<T> {
    missing: usize,
    parts: Vec<T>,
    waker: Option<Waker>,
    /// Whether nobody waits any more.
    is_left: bool,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { missing: 0, parts: Vec::new(), waker: None, is_left: false }
    }
}

impl<T> Slots<T> {
    /// A ticket for so many errands.
    pub(crate) fn add(&mut self, missing: usize) -> Ticket {
        let slot = Slot { missing, ..Slot::default() };
        if let Some(ticket) = self.free.pop() {
            self.slots[ticket as usize] = slot;
            return ticket;
        }
        self.slots.push(slot);
        self.slots.len() as Ticket - 1
    }

    /// Lends room for the answers.
    pub(crate) fn lend(&mut self, ticket: Ticket, parts: Vec<T>) {
        self.slots[ticket as usize].parts = parts;
    }

    /// An errand more is awaited.
    pub(crate) fn await_more(&mut self, ticket: Ticket) {
        self.slots[ticket as usize].missing += 1;
    }

    /// An errand has come back; who is to be woken.
    pub(crate) fn answer(&mut self, ticket: Ticket, part: T) -> Option<Waker> {
        let slot = &mut self.slots[ticket as usize];
        slot.parts.push(part);
        slot.missing -= 1;
        if slot.missing > 0 {
            return None;
        }
        if slot.is_left {
            *slot = Slot::default();
            self.free.push(ticket);
            return None;
        }
        slot.waker.take()
    }

    pub(crate) fn poll(&mut self, ticket: Ticket, context: &Context<'_>) -> Poll<Vec<T>> {
        let slot = &mut self.slots[ticket as usize];
        if slot.missing > 0 {
            if slot.waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
                slot.waker = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        self.free.push(ticket);
        Poll::Ready(std::mem::take(slot).parts)
    }

    pub(crate) fn leave(&mut self, ticket: Ticket) {
        let slot = &mut self.slots[ticket as usize];
        slot.is_left = true;
        if slot.missing == 0 {
            *slot = Slot::default();
            self.free.push(ticket);
        }
    }
}
