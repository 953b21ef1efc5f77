//! Who sends commands, as far as it travels with them, and what comes back of running them.
//!
//! A command may run on another thread than its connection's: where the actor engine's shards are, or in the settling of
//! somebody else who serves a waiting client. A [`Caller`] goes there, a [`Progress`] comes back. What only the connection
//! itself can use is its `Conversation`, and stays.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_acl::User;
use rustredis_resp::Proto;

use crate::clients::client::Client;
use crate::clients::tracking::Tracker;
use crate::clients::users::{Known, UserTable};
use crate::upkeep::settings::Settings;

/// Who sends commands. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The shared part.
    pub client: Arc<Client>,
    /// The selected database.
    pub db: usize,
    /// The protocol.
    pub proto: Proto,
    /// Whether the client has authenticated, or has come when it needed not; see [`Caller::must_authenticate`].
    pub is_authenticated: bool,
    /// Whether reads leave the access clocks alone.
    pub no_touch: bool,
    /// How its reads are tracked, if they are.
    pub tracker: Option<Arc<Tracker>>,
    /// His user, who is to be asked what he may do; nobody if he may do everything.
    pub restricted: Option<Arc<User>>,
    /// The version of the users of which that is.
    users_version: u64,
}

impl Caller {
    /// A client that has just come, or nobody, who may do everything.
    pub fn new(client: Arc<Client>, is_authenticated: bool) -> Self {
        let (restricted, users_version) = (None, 0);
        Self {
            client,
            db: 0,
            proto: Proto::Resp2,
            is_authenticated,
            no_touch: false,
            tracker: None,
            restricted,
            users_version,
        }
    }

    /// Is this user from now on.
    pub fn become_user(&mut self, known: Known) {
        self.client.identity.lock().user.clone_from(&known.user.name);
        self.users_version = known.version;
        self.restricted = (!known.user.may_everything()).then_some(known.user);
    }

    /// Takes what has changed of the users since it was looked at last; whether anything has.
    #[inline]
    pub fn follow(&mut self, users: &UserTable) -> bool {
        let has_changed = users.version() != self.users_version;
        if has_changed {
            self.follow_change(users);
        }
        has_changed
    }

    #[cold]
    fn follow_change(&mut self, users: &UserTable) {
        let name = self.client.identity.lock().user.clone();
        match users.find(&name) {
            Some(known) => self.become_user(known),
            // He is closed by whoever has removed the user, unless he came in between.
            None => {
                self.client.kill();
                self.restricted = Some(Arc::new(User::new(&name, false)));
            }
        }
    }

    /// Whether it must authenticate before anything else. As long as the default user has no password, everybody is
    /// authenticated; when it gets one, those have to who came while it had one and did not.
    pub fn must_authenticate(&self, settings: &Settings) -> bool {
        !self.is_authenticated && settings.requires_password.load(Relaxed)
    }

    /// Whether what it reads now is to be remembered.
    #[inline]
    pub fn remembers_reads(&self) -> bool {
        self.tracker.as_ref().is_some_and(|tracker| tracker.remembers())
    }

    /// Whether CLIENT CACHING was given for what comes next.
    #[inline]
    pub fn is_caching(&self) -> bool {
        self.tracker.as_ref().is_some_and(|tracker| tracker.is_caching())
    }

    /// Selects a database.
    pub fn select(&mut self, db: usize) {
        self.db = db;
        self.client.db.store(db as u32, Relaxed);
    }

    /// Changes the protocol.
    pub fn set_proto(&mut self, proto: Proto) {
        self.proto = proto;
        self.client.resp.store(if proto == Proto::Resp3 { 3 } else { 2 }, Relaxed);
    }
}

/// What the commands of a caller have left for its connection to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The journal's place that must be durable before its replies leave.
    pub depends_on: u64,
    /// The journal's place of its last write, for WAITAOF; 0 before the first.
    pub last_write: u64,
    /// Whether a command has stopped because its reply alone is over the output limit.
    pub is_flooded: bool,
}

impl Progress {
    /// Has replies wait for this place too.
    #[inline]
    pub fn depend_on(&mut self, place: u64) {
        self.depends_on = self.depends_on.max(place);
    }

    /// Notes a write at this place of the journal; 0 is none.
    #[inline]
    pub fn note_write(&mut self, place: u64) {
        if place != 0 {
            self.last_write = place;
            self.depend_on(place);
        }
    }

    /// Adds what commands have left that ran elsewhere.
    pub fn join(&mut self, other: Self) {
        self.depend_on(other.depends_on);
        self.last_write = self.last_write.max(other.last_write);
        self.is_flooded |= other.is_flooded;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_only_grows() {
        let mut progress = Progress { depends_on: 7, last_write: 3, is_flooded: false };
        progress.join(Progress { depends_on: 5, last_write: 5, is_flooded: true });
        assert_eq!(progress, Progress { depends_on: 7, last_write: 5, is_flooded: true });
        progress.join(Progress::default());
        assert_eq!(progress, Progress { depends_on: 7, last_write: 5, is_flooded: true });
    }
}
