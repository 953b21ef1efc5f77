//! What the journal is made of. Its models, in the crate `models`, put a checker's atomics, locks and threads in its place.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
pub(crate) use std::sync::{Mutex, MutexGuard};
pub(crate) use std::thread;
