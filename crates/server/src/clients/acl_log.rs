//! Who was refused what: what ACL LOG shows.
//!
//! As in Redis the same refusal within a minute is one entry with a count, and a name is kept in part, so that nobody fills the
//! memory by guessing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use rustredis_metrics::rows::{Row, counter};

/// Time within which equal refusals share an entry, in milliseconds.
const GROUPED_MS: u64 = 60_000;
/// Bytes of a name that are kept.
const NAME_BYTES_MAX: usize = 1024;
/// Entries that are kept unless `acllog-max-len` says otherwise.
const ENTRIES_MAX: usize = 128;

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The name or the password.
    Authentication,
    /// The command is not allowed.
    Command,
    /// A key is not.
    Key,
    /// A channel is not.
    Channel,
    /// A database is not.
    Database,
}

impl Reason {
    const COUNT: usize = 5;

    /// As ACL LOG names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authentication => "auth",
            Self::Command => "command",
            Self::Key => "key",
            Self::Channel => "channel",
            Self::Database => "database",
        }
    }
}

/// A refusal of now.
#[derive(Debug)]
pub struct Note<'a> {
    /// Why.
    pub reason: Reason,
    /// Inside MULTI, in a script, or neither.
    pub context: &'static str,
    /// What was refused: the command, the key, the channel.
    pub object: &'a [u8],
    /// The user, or the name that was given.
    pub username: &'a [u8],
    /// The client's line of CLIENT LIST.
    pub client_info: String,
}

/// A refusal, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How often.
    pub count: u64,
    /// Why.
    pub reason: Reason,
    /// Inside MULTI, in a script, or neither.
    pub context: &'static str,
    /// What was refused, cut.
    pub object: Vec<u8>,
    /// The user, or the name that was given, cut.
    pub username: Vec<u8>,
    /// The client's line of CLIENT LIST, the last time.
    pub client_info: String,
    /// Counts all entries since the start.
    pub id: u64,
    /// Unix ms of the first time.
    pub created_ms: u64,
    /// Unix ms of the last time.
    pub updated_ms: u64,
}

/// The last refusals, newest first.
#[derive(Debug)]
pub struct AclLog {
    entries: Mutex<VecDeque<Refusal>>,
    len_max: AtomicUsize,
    next_id: AtomicU64,
    /// All refusals since the start or CONFIG RESETSTAT, by their reasons.
    refused: [AtomicU64; Reason::COUNT],
}

/// How many were refused until a moment.
#[derive(Clone, Copy, Debug)]
pub struct RefusalCounts {
    by_reason: [u64; Reason::COUNT],
}

impl RefusalCounts {
    /// Looks.
    pub fn of(log: &AclLog) -> Self {
        Self { by_reason: std::array::from_fn(|reason| log.refused[reason].load(Relaxed)) }
    }

    fn count(&self, reason: Reason) -> u64 {
        self.by_reason[reason as usize]
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        counter("acl_access_denied_auth", "Wrong passwords and names.", |at| {
            at.count(Reason::Authentication).into()
        }),
        counter("acl_access_denied_cmd", "Commands that their user may not give.", |at| {
            at.count(Reason::Command).into()
        }),
        counter("acl_access_denied_key", "Keys that their user may not touch.", |at| {
            at.count(Reason::Key).into()
        }),
        counter("acl_access_denied_channel", "Channels that their user may not use.", |at| {
            at.count(Reason::Channel).into()
        }),
    ];
}

impl Default for AclLog {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            len_max: AtomicUsize::new(ENTRIES_MAX),
            next_id: AtomicU64::new(0),
            refused: Default::default(),
        }
    }
}

impl AclLog {
    /// Notes a refusal. O(entries).
    pub fn note(&self, note: Note<'_>, now_ms: u64) {
        let Note { reason, context, object, username, client_info } = note;
        self.refused[reason as usize].fetch_add(1, Relaxed);
        let kept = |name: &[u8]| name[..name.len().min(NAME_BYTES_MAX)].to_vec();
        let (object, username) = (kept(object), kept(username));
        let mut entries = self.entries.lock();
        let known = entries.iter().position(|entry| {
            entry.reason == reason
                && entry.context == context
                && entry.object == object
                && entry.username == username
                && now_ms.abs_diff(entry.updated_ms) <= GROUPED_MS
        });
        let mut entry = known.and_then(|index| entries.remove(index)).unwrap_or_else(|| Refusal {
            count: 0,
            reason,
            context,
            object,
            username,
            client_info: String::new(),
            id: self.next_id.fetch_add(1, Relaxed),
            created_ms: now_ms,
            updated_ms: now_ms,
        });
        entry.count += 1;
        entry.client_info = client_info;
        entry.updated_ms = now_ms;
        entries.push_front(entry);
        entries.truncate(self.len_max.load(Relaxed));
    }

    /// Keeps at most so many entries from now on.
    pub fn set_len_max(&self, len_max: usize) {
        self.len_max.store(len_max, Relaxed);
        self.entries.lock().truncate(len_max);
    }

    /// The newest entries, at most `count`.
    pub fn newest(&self, count: usize) -> Vec<Refusal> {
        self.entries.lock().iter().take(count).cloned().collect()
    }

    /// Forgets them.
    pub fn reset(&self) {
        self.entries.lock().clear();
    }

    /// Begins to count at zero.
    pub fn reset_counts(&self) {
        self.refused.iter().for_each(|count| count.store(0, Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_refusals_share_an_entry_for_a_minute() {
        let log = AclLog::default();
        log.set_len_max(3);
        let note = |username: &[u8], now_ms| {
            let (reason, context, client_info) = (Reason::Authentication, "toplevel", String::new());
            log.note(Note { reason, context, object: b"AUTH", username, client_info }, now_ms);
        };
        note(b"a", 1_000);
        note(b"b", 2_000);
        note(b"a", 61_000);
        let counts =
            || log.newest(9).iter().map(|entry| (entry.username[0], entry.count)).collect::<Vec<_>>();
        assert_eq!(counts(), [(b'a', 2), (b'b', 1)]);
        note(b"a", 121_001);
        assert_eq!(counts(), [(b'a', 1), (b'a', 2), (b'b', 1)]);
        note(b"c", 121_001);
        assert_eq!(counts(), [(b'c', 1), (b'a', 1), (b'a', 2)]);
        assert_eq!((log.newest(1)[0].id, RefusalCounts::of(&log).count(Reason::Authentication)), (3, 5));
        note(&[b'x'; 5_000], 121_002);
        assert_eq!(log.newest(1)[0].username.len(), NAME_BYTES_MAX);
        log.reset();
        assert!(log.newest(9).is_empty());
    }
}
