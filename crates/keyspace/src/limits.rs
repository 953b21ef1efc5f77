//! The thresholds between encodings, as `CONFIG SET` changes them while the server runs.
//!
//! One process-wide set of relaxed atomics: a handler reads the one that it needs, nobody takes a lock, and a change
//! is seen by the next command. Names and defaults are those of Redis 7.2.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $kind:ident($inner:ty) = $default:expr;)*) => {
        /// Encoding thresholds; read with the method of the same name.
        #[derive(Debug)]
        pub struct Limits { $($name: $kind,)* }

        impl Limits {
            /// The defaults of Redis 7.2.
            pub const fn new() -> Self { Self { $($name: $kind::new($default),)* } }
            $($(#[$doc])* pub fn $name(&self) -> $inner { self.$name.load(Relaxed) })*
            /// Sets the threshold with this redis.conf name (`-` written as `_`); false if there is none.
            pub fn set(&self, name: &str, value: i64) -> bool {
                match name {
                    $(stringify!($name) => self.$name.store(value as $inner, Relaxed),)*
                    _ => return false,
                }
                true
            }
        }
    };
}

limits! {
    /// Most fields a hash keeps in a listpack.
    hash_max_listpack_entries: AtomicU64(u64) = 512;
    /// Longest field or value, in bytes, that a hash keeps in a listpack.
    hash_max_listpack_value: AtomicU64(u64) = 64;
    /// Elements (if positive) or a size class of 4 KiB to 64 KiB (-1 to -5) of a list's node.
    list_max_listpack_size: AtomicI64(i64) = -2;
    /// Nodes at each end of a list that stay uncompressed; 0 compresses none.
    list_compress_depth: AtomicI64(i64) = 0;
    /// Most integers of an intset.
    set_max_intset_entries: AtomicU64(u64) = 512;
    /// Most members a set keeps in a listpack.
    set_max_listpack_entries: AtomicU64(u64) = 128;
    /// Longest member, in bytes, that a set keeps in a listpack.
    set_max_listpack_value: AtomicU64(u64) = 64;
    /// Most members a sorted set keeps in a listpack.
    zset_max_listpack_entries: AtomicU64(u64) = 128;
    /// Longest member, in bytes, that a sorted set keeps in a listpack.
    zset_max_listpack_value: AtomicU64(u64) = 64;
    /// Largest sparse HyperLogLog, in bytes.
    hll_sparse_max_bytes: AtomicU64(u64) = 3000;
    /// Bytes from which a list element is a node of its own (`DEBUG QUICKLIST-PACKED-THRESHOLD`); 0 is the default.
    quicklist_packed_threshold: AtomicU64(u64) = 0;
    /// Longest string, in bytes.
    proto_max_bulk_len: AtomicU64(u64) = 512 << 20;
    /// Largest stream node, in bytes.
    stream_node_max_bytes: AtomicU64(u64) = 4096;
    /// Most entries of a stream node.
    stream_node_max_entries: AtomicU64(u64) = 100;
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// The limits in force for this process.
pub static LIMITS: Limits = Limits::new();
