//! An owner's inbox: what the threads send it, in the order in which they sent it.
//!
//! It is one word, the last node of a chain that goes back to the first. Who sends puts his node in front by one exchange; the owner takes
//! the whole chain by another and turns it round. So nobody waits for anybody, a sender who is switched away half-way keeps nobody,
//! and the owner pays once for all that has gathered. If one message was sent before another began to be sent, by whichever threads, it comes
//! out before it: the order of the engine rests on that, and rings between pairs of threads would not give it.
//!
//! The word also says that the owner sleeps. The sender who finds that is the only one who has to wake it; while the owner is awake it
//! looks here by itself, and sending costs no more than the exchange.

use std::marker::PhantomData;
use std::ptr;

use super::sync::{AtomicPtr, Ordering};

/// A message on its way. It may be sent on, so that an answer needs no memory of its own.
pub(crate) struct Node<T> {
    before: *mut Node<T>,
    pub(crate) message: T,
}

// SAFETY: the pointer is only followed by who has the node.
unsafe impl<T: Send> Send for Node<T> {}

impl<T> Node<T> {
    pub(crate) fn new(message: T) -> Box<Self> {
        Box::new(Self { before: ptr::null_mut(), message })
    }
}

/// The inbox.
pub(crate) struct Inbox<T> {
    last: AtomicPtr<Node<T>>,
    owns: PhantomData<Box<Node<T>>>,
}

// SAFETY: messages go through it, and nothing of one is seen before it is taken out.
unsafe impl<T: Send> Sync for Inbox<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Inbox<T> {}

/// Stands in the word while the owner sleeps and nothing has come.
fn asleep<T>() -> *mut Node<T> {
    ptr::without_provenance_mut(1)
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        Self { last: AtomicPtr::new(ptr::null_mut()), owns: PhantomData }
    }

    /// Sends; whether the owner sleeps and is to be woken by the caller.
    pub(crate) fn push(&self, node: Box<Node<T>>) -> bool {
        let node = Box::into_raw(node);
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let before = if last == asleep() { ptr::null_mut() } else { last };
            // SAFETY: until the exchange nobody else knows the node.
            unsafe { (*node).before = before };
            match self.last.compare_exchange_weak(last, node, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return last == asleep(),
                Err(found) => last = found,
            }
        }
    }

    /// Whether nothing is there, and the owner is not said to sleep.
    #[inline]
    pub(crate) fn is_untouched(&self) -> bool {
        self.last.load(Ordering::Relaxed).is_null()
    }

    /// Whether nothing is there.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        let last = self.last.load(Ordering::Acquire);
        last.is_null() || last == asleep()
    }

    /// Takes all that is there, the first first; the owner does not sleep. Only the owner may call it.
    #[inline]
    pub(crate) fn take(&self) -> Taken<T> {
        let mut node = self.last.swap(ptr::null_mut(), Ordering::AcqRel);
        let (mut first, mut len) = (ptr::null_mut(), 0);
        while !node.is_null() && node != asleep() {
            // SAFETY: what was in the word is the caller's now, down to the first.
            let before = unsafe { std::mem::replace(&mut (*node).before, first) };
            (first, node) = (node, before);
            len += 1;
        }
        Taken { first, len }
    }

    /// Says that the owner sleeps, unless something is there.
    pub(crate) fn try_sleep(&self) -> bool {
        let slept =
            self.last.compare_exchange(ptr::null_mut(), asleep(), Ordering::AcqRel, Ordering::Acquire);
        slept.map_or_else(|found| found == asleep(), |_| true)
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.take().for_each(drop);
    }
}

/// What was taken out of an inbox, in order.
pub(crate) struct Taken<T> {
    first: *mut Node<T>,
    len: usize,
}

impl<T> Taken<T> {
    /// How many are left.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl<T> Iterator for Taken<T> {
    type Item = Box<Node<T>>;

    #[inline]
    fn next(&mut self) -> Option<Box<Node<T>>> {
        if self.first.is_null() {
            return None;
        }
        // SAFETY: each node came out of a box, and is handed out once.
        let node = unsafe { Box::from_raw(self.first) };
        self.first = node.before;
        self.len -= 1;
        Some(node)
    }
}

impl<T> Drop for Taken<T> {
    fn drop(&mut self) {
        self.by_ref().for_each(drop);
    }
}
