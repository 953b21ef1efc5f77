//! What counting without locks is made of. Its models, in the crate `models`, put a checker's atomics and locks in its place.

pub(crate) use parking_lot::Mutex;
pub(crate) use std::sync::atomic::AtomicU64;
