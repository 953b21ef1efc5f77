//! Who was refused: what ACL LOG shows.
//!
//! With only one user, who may do everything, there is one reason: a wrong name or password. As in Redis the same refusal
//! within a minute is one entry with a count, and a name is kept in part, so that nobody fills the memory by guessing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use rustredis_metrics::rows::{Row, absent, counter};

/// Time within which equal refusals share an entry, in milliseconds.
const GROUPED_MS: u64 = 60_000;
/// Bytes of a name that are kept.
const NAME_BYTES_MAX: usize = 1024;

/// A refusal, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How often.
    pub count: u64,
    /// Inside MULTI, or not.
    pub context: &'static str,
    /// The command that was refused, as it was written.
    pub object: Vec<u8>,
    /// The name that was given, cut.
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
#[derive(Debug, Default)]
pub struct AclLog {
    entries: Mutex<VecDeque<Refusal>>,
    next_id: AtomicU64,
    /// All refusals since the start or CONFIG RESETSTAT.
    pub refused: AtomicU64,
}

/// How many were refused until a moment.
#[derive(Clone, Copy, Debug)]
pub struct RefusalCounts {
    authentications: u64,
}

impl RefusalCounts {
    /// Looks.
    pub fn of(log: &AclLog) -> Self {
        Self { authentications: log.refused.load(Relaxed) }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        counter("acl_access_denied_auth", "Wrong passwords and names.", |at| at.authentications.into()),
        absent("acl_access_denied_cmd", "Commands that their user may not give."),
        absent("acl_access_denied_key", "Keys that their user may not touch."),
        absent("acl_access_denied_channel", "Channels that their user may not use."),
    ];
}

impl AclLog {
    /// Notes a refusal of now; of the entries `len_max` stay. O(entries).
    pub fn note(
        &self,
        context: &'static str,
        object: &[u8],
        username: &[u8],
        client_info: String,
        now_ms: u64,
        len_max: usize,
    ) {
        self.refused.fetch_add(1, Relaxed);
        let kept = |name: &[u8]| name[..name.len().min(NAME_BYTES_MAX)].to_vec();
        let (object, username) = (kept(object), kept(username));
        let mut entries = self.entries.lock();
        let known = entries.iter().position(|entry| {
            entry.context == context
                && entry.object == object
                && entry.username == username
                && now_ms.abs_diff(entry.updated_ms) <= GROUPED_MS
        });
        let mut entry = known.and_then(|index| entries.remove(index)).unwrap_or_else(|| Refusal {
            count: 0,
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
        entries.truncate(len_max);
    }

    /// The newest entries, at most `count`.
    pub fn newest(&self, count: usize) -> Vec<Refusal> {
        self.entries.lock().iter().take(count).cloned().collect()
    }

    /// Forgets them.
    pub fn reset(&self) {
        self.entries.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_refusals_share_an_entry_for_a_minute() {
        let log = AclLog::default();
        let note = |name: &[u8], now_ms| log.note("toplevel", b"AUTH", name, String::new(), now_ms, 3);
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
        assert_eq!((log.newest(1)[0].id, log.refused.load(Relaxed)), (3, 5));
        note(&[b'x'; 5_000], 121_002);
        assert_eq!(log.newest(1)[0].username.len(), NAME_BYTES_MAX);
        log.reset();
        assert!(log.newest(9).is_empty());
    }
}
