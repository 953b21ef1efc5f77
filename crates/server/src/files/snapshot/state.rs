//! The words of snapshots: what is asked for, what comes of a wish, and what is known of those that were taken.

/// What the thread is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// An RDB file.
    Save,
    /// A new base of the append-only file.
    Rewrite,
    /// The same for a file that is being turned on.
    TurnOn,
    /// The end of writing the append-only file.
    TurnOff,
    /// What replicas begin with.
    Orders,
}

impl Job {
    /// Whether it writes an RDB file that replaces or feeds none of the append-only file.
    pub fn is_save(self) -> bool {
        matches!(self, Self::Save | Self::Orders)
    }

    /// Whether it writes an append-only file's base.
    pub fn is_rewrite(self) -> bool {
        matches!(self, Self::Rewrite | Self::TurnOn)
    }
}

/// What became of a wish for a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It begins.
    Begun,
    /// It begins when the one under way has ended.
    Scheduled,
    /// One of its kind is under way.
    IsRunning,
    /// Another one is under way.
    IsBusy,
}

/// What INFO shows; times are in seconds, and -1 stands for none.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// What runs or waits for the thread, and since when (Unix ms).
    pub running: Option<(Job, u64)>,
    /// Whether a save follows.
    pub is_save_scheduled: bool,
    /// Whether a rewrite follows.
    pub is_rewrite_scheduled: bool,
    /// What the last save took.
    pub last_save_seconds: i64,
    /// What the last rewrite took.
    pub last_rewrite_seconds: i64,
    /// Rewrites begun.
    pub rewrites: u64,
    /// Rewrites that failed since the last that succeeded.
    pub rewrite_failures: u64,
    /// Whether the last rewrite failed.
    pub has_rewrite_failed: bool,
    /// When the last save by a save point was tried (Unix ms).
    pub last_save_try_ms: u64,
    /// When the last rewrite failed (Unix ms).
    pub(super) last_rewrite_failure_ms: u64,
}

impl State {
    /// None was taken yet.
    pub(super) fn new() -> Self {
        Self {
            running: None,
            is_save_scheduled: false,
            is_rewrite_scheduled: false,
            last_save_seconds: -1,
            last_rewrite_seconds: -1,
            rewrites: 0,
            rewrite_failures: 0,
            has_rewrite_failed: false,
            last_save_try_ms: 0,
            last_rewrite_failure_ms: 0,
        }
    }
}
