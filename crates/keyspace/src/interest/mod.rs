//! What is kept in a shard for keys that somebody is interested in, whether they exist or not.
//!
//! What is kept lies in tables by key (`by_key`); whoever watches in `watchers`, whoever waits in `queue`.
//!
//! What becomes of a key is told in one place (`changes`): those who watch it are told that it was touched (`watch`), those who wait
//! for it are served (`wait`), and whoever must know of every change gets a list. A client that tracks the keys it has read will
//! stand beside them: what it has read is kept by key as watches are, and the list says which of it has changed.

pub(crate) mod by_key;
mod changes;
pub(crate) mod fate;
pub(crate) mod queue;
mod wait;
mod watch;
pub(crate) mod watchers;
