//! Where a command comes from, and what follows from that: one question, one function.

/// Where a command comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client has sent it.
    Client,
    /// EXEC runs what was queued.
    Queue,
    /// Another command runs it, as a part of itself.
    Script,
    /// A client waits in it, and somebody has made a key that it waits for.
    Waiter,
    /// A client has sent it, and the thread that owns its keys runs it.
    Owner,
    /// It stands in an append-only file.
    File,
}

impl Origin {
    /// Whether it is counted, and what it does settled: what stands in a file has happened before.
    #[inline]
    pub fn counts(self) -> bool {
        !matches!(self, Self::File)
    }

    /// Whether it is one of a run of commands that the thread keeps count of, in case one panics; the others run within one.
    #[inline]
    pub fn is_marked(self) -> bool {
        matches!(self, Self::Client | Self::Queue | Self::Owner)
    }

    /// Whether its reply is bounded by the limits of the client's output.
    #[inline]
    pub fn is_limited(self) -> bool {
        !matches!(self, Self::Waiter | Self::File)
    }

    /// Whether it is checked when it runs (memory, the disk, replicas): what else comes from a client was, before it ran, and EXEC
    /// was for its queue.
    #[inline]
    pub fn is_checked(self) -> bool {
        matches!(self, Self::Script)
    }

    /// Whether its connection can do something behind it, or wait in it. What is part of something else answers at once.
    #[inline]
    pub fn may_wait(self) -> bool {
        matches!(self, Self::Client)
    }

    /// Whether a wait that it asks for is left to who runs it; for all others it has found nothing.
    #[inline]
    pub fn leaves_wait(self) -> bool {
        matches!(self, Self::Client | Self::Waiter)
    }

    /// Whether who waits for what it made is served in its settling: behind a waiter that is done by who serves him, so that a
    /// chain of waiters is no chain of calls.
    #[inline]
    pub fn serves_waiters(self) -> bool {
        !matches!(self, Self::Waiter)
    }
}
