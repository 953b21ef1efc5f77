//! A worker's lane of the journal.

use std::cell::{Cell, RefCell};

use rustredis_persistence::journal::Unit;

/// A worker's lane of the journal.
#[derive(Default)]
pub struct Lane {
    /// What the step under way has done.
    pub unit: RefCell<Unit>,
    /// Whether something was committed since the thread slept last.
    pub is_fresh: Cell<bool>,
}
