//! Who waits for a key: the queues of a shard.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::interest::fate::{DbKey, Fate};
use crate::value::Kind;

/// What somebody who waits for a key is woken by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wakes(u8);

impl Wakes {
    /// The key comes into being, and not another value of it, as Redis has it for lists and sorted sets.
    pub const CREATED: Self = Self(1);
    /// It is written, also by whoever makes it (a stream's reader waits for what comes).
    pub const WRITTEN: Self = Self(1 << 1);
    /// It is gone (a consumer of a stream waits in vain then).
    pub const DELETED: Self = Self(1 << 2);

    /// These and others.
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether this fate of the key is among them.
    pub fn has(self, fate: Fate) -> bool {
        let wake = match fate {
            Fate::Created => Self::CREATED,
            Fate::Written => Self::WRITTEN,
            Fate::Deleted | Fate::Expired | Fate::Evicted => Self::DELETED,
        };
        self.0 & wake.0 != 0
    }

    /// Whether changes of a key that is there are among them.
    pub(super) fn are_of_changes(self) -> bool {
        self != Self::CREATED
    }
}

/// A key that somebody waits for, and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The key.
    pub key: DbKey,
    /// What has become of it.
    pub fate: Fate,
}

/// A client that waits for a key. The server's type; the keyspace only queues it.
pub trait Waiter: Any + Send + Sync {
    /// Its place among all who wait, from [`crate::Store::ticket`]: the earlier, the lower.
    fn ticket(&self) -> u64;
    /// Whether it still waits: a served or timed-out waiter is skipped and dropped from the queue.
    fn is_waiting(&self) -> bool;
    /// What becomes of its keys that it is woken by.
    fn wakes_on(&self) -> Wakes;
    /// Whether a key that is of this type now serves it; `None` if there is no key any more.
    fn wants(&self, kind: Option<Kind>) -> bool;
    /// Whether serving it needs keys besides the one that it waits for (BLMOVE's destination).
    fn needs_more_keys(&self) -> bool;
    /// Itself, to be downcast by the server.
    fn as_any(&self) -> &dyn Any;
}

/// One who waits.
pub(super) struct Place {
    pub(super) db: u32,
    pub(super) ticket: u64,
    pub(super) waiter: Arc<dyn Waiter>,
}

/// Who waits for a key of one name.
#[derive(Default)]
pub(crate) struct Queue {
    /// In the order of databases and tickets.
    pub(super) places: VecDeque<Place>,
    /// How many of them need more keys to be served.
    pub(super) far: usize,
    /// How many of them are woken by more than that the key comes into being.
    pub(super) on_change: usize,
}

impl Queue {
    /// The first place that is not before this database and ticket.
    pub(super) fn from(&self, db: u32, ticket: u64) -> usize {
        self.places.partition_point(|place| (place.db, place.ticket) < (db, ticket))
    }

    pub(super) fn has(&self, db: u32) -> bool {
        self.places.get(self.from(db, 0)).is_some_and(|place| place.db == db)
    }

    /// Whether somebody of this database waits for changes, as far as can be told without a look at each.
    pub(super) fn has_on_change(&self, db: u32) -> bool {
        self.on_change > 0 && self.has(db)
    }
}
