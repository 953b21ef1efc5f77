//! A key as a command names it.

use crate::hashing;

/// A key of a command, hashed once.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The key itself.
    pub bytes: &'a [u8],
    /// Its hash, which chooses the shard and the place in the table.
    pub hash: u64,
}

impl<'a> Key<'a> {
    /// Hashes `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, hash: hashing::key_hash(bytes) }
    }
}
