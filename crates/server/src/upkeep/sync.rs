//! What the memory counters are made of. Their models, in the crate `models`, put a checker's atomics in their place.

pub(crate) use std::sync::atomic::{AtomicI64, AtomicUsize};
