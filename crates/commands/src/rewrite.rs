//! What is journalled in the place of a command that would replay differently.
//!
//! A relative time becomes an absolute one, and what depends on a value or on chance is named. The forms are those of
//! Redis's own append-only files, so that each server can read the other's.

use rustredis_keyspace::{Key, View};

/// A command of these words, as the journal keeps it.
pub(crate) fn words(parts: &[&[u8]]) -> Vec<Vec<u8>> {
    parts.iter().map(|part| part.to_vec()).collect()
}

/// Journals one command instead of the one that runs.
pub(crate) fn instead(view: &mut View<'_>, parts: &[&[u8]]) {
    view.journal_instead(vec![words(parts)]);
}

/// Journals `DEL key`.
pub(crate) fn del(view: &mut View<'_>, key: Key<'_>) {
    instead(view, &[b"DEL", key.bytes]);
}

/// Journals `PEXPIREAT key unix-ms`.
pub(crate) fn pexpireat(view: &mut View<'_>, key: Key<'_>, at_ms: u64) {
    instead(view, &[b"PEXPIREAT", key.bytes, itoa::Buffer::new().format(at_ms).as_bytes()]);
}
