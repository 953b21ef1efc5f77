//! A worker's lane of the journal.

use std::cell::{Cell, RefCell};

use rustredis_persistence::journal::{Audience, Unit};

/// A worker's lane of the journal.
pub struct Lane {
    /// What the step under way has done.
    pub unit: RefCell<Unit>,
    /// What replicas alone are to get behind it.
    pub announcements: RefCell<Unit>,
    /// For whom that is; `None`: for nobody. A script may say so.
    pub audience: Cell<Option<Audience>>,
    /// Whether something was committed since the thread slept last.
    pub is_fresh: Cell<bool>,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            unit: RefCell::default(),
            announcements: RefCell::default(),
            audience: Cell::new(Some(Audience::Both)),
            is_fresh: Cell::new(false),
        }
    }
}
