//! Who may do what: all users, for all connections.
//!
//! A connection keeps what it has to ask of its user (`Caller`), and the version of the users that it was read from. Each change makes
//! another version; a connection that sees one reads its user again before its next command. So a change costs each connection one
//! reading, and no change a comparison.

pub mod file;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rustredis_acl::{User, Users};

use crate::upkeep::settings::Settings;

/// All users.
#[derive(Debug)]
pub struct UserTable {
    users: RwLock<Users>,
    version: AtomicU64,
    settings: Arc<Settings>,
}

/// A user as of a version of the table.
#[derive(Clone, Debug)]
pub struct Known {
    /// The user.
    pub user: Arc<User>,
    /// The version.
    pub version: u64,
}

impl UserTable {
    /// Of these users.
    pub fn new(users: Users, settings: Arc<Settings>) -> Self {
        Self { users: RwLock::new(users), version: AtomicU64::new(1), settings }
    }

    /// Another number after each change.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Looks at the users.
    pub fn look<R>(&self, look: impl FnOnce(&Users) -> R) -> R {
        look(&self.users.read())
    }

    /// The user of this name.
    pub fn find(&self, name: &[u8]) -> Option<Known> {
        let users = self.users.read();
        users.get(name).map(|user| Known { user: user.clone(), version: self.version() })
    }

    /// The user of who has not said another.
    pub fn default_user(&self) -> Known {
        let users = self.users.read();
        Known { user: users.default_user().clone(), version: self.version() }
    }

    /// Changes the users. Who is to be closed for it is the caller's to say.
    pub fn change<R>(&self, change: impl FnOnce(&mut Users) -> R) -> R {
        let mut users = self.users.write();
        let changed = change(&mut users);
        let default = users.default_user();
        let is_open = default.is_on && default.needs_no_password;
        self.settings.requires_password.store(!is_open, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::AcqRel);
        changed
    }
}
