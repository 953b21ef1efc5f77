//! How long one client's commands may run before the others of the thread have their turn.

use crate::request::worker::Worker;

/// How long one client's commands may run before the others of the thread have their turn, in nanoseconds. A command is not
/// interrupted; after each, whichever way it ran, it is looked whether the turn is over.
pub const TURN_NANOS: u64 = 1_000_000;
/// Replies that are sent before the next command is executed, in bytes.
pub const OUTPUT_FLUSH_BYTES: usize = 256 * 1024;

/// How far a run of plain commands may go: the others of the thread wait, and replies should leave.
pub struct Turn {
    ends: u64,
    output_max: usize,
}

impl Turn {
    /// A turn that goes on until then, by the worker's clock, or as long as there is room for replies.
    pub fn until(ends: u64, output: &[u8]) -> Self {
        Self { ends, output_max: output.len() + OUTPUT_FLUSH_BYTES }
    }

    /// Whether it is over.
    #[inline]
    pub fn is_over(&self, worker: &Worker, output: &[u8]) -> bool {
        output.len() >= self.output_max || worker.last_clock() >= self.ends
    }
}
