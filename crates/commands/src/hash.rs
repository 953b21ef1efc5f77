//! (being written)

use crate::command::Command;

/// The rows of the family.
pub const ROWS: &[Command] = &[];
