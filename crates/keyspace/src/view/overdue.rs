//! What a view does with keys and fields whose time has come.

/// What becomes of a key, or a field of a hash, whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// It is not there, and whoever may write deletes it: on a server that decides what expires.
    Delete,
    /// It is not there, and stays until somebody else's deletion arrives, or something new takes its place: for the clients of a
    /// replica.
    Hide,
    /// It is there until it is deleted by name: where a record of what has happened is repeated (a file, a primary's stream).
    Keep,
}

impl Overdue {
    /// What expires by this time is overdue, in Unix ms.
    #[inline]
    pub(super) fn deadline_ms(self, now_ms: u64) -> u64 {
        if self == Self::Keep { 0 } else { now_ms }
    }
}
