//! Where a command comes from, and what follows from that: one question, one function.

/// Where a command comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client has sent it.
    Client,
    /// EXEC runs what was queued.
    Queue,
    /// A client has sent it, and the thread that owns its keys runs it.
    Owner,
}

impl Origin {
    /// Whether it may wait: a command that is part of a step answers at once.
    #[inline]
    pub fn may_wait(self) -> bool {
        matches!(self, Self::Client)
    }
}
