//! The protocols, and the models of each.

pub mod engine;
pub mod hold;
pub mod keyspace;
pub mod memory;
pub mod metrics;
pub mod notices;
pub mod persistence;
pub mod published;

use super::sync;

/// A lock as `parking_lot` has it: no thread of a model panics with it.
#[derive(Debug, Default)]
pub(crate) struct PlainMutex<T>(sync::Mutex<T>);

impl<T> PlainMutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> sync::MutexGuard<'_, T> {
        self.0.lock().expect("no model panics with a lock")
    }
}

/// Runs these threads beside the caller's `own` part, and waits for their end.
pub(crate) fn beside<'t>(
    threads: impl IntoIterator<Item = Box<dyn FnOnce() + Send + 'static>>,
    own: impl FnOnce() + 't,
) {
    let threads: Vec<_> = threads.into_iter().map(sync::thread::spawn).collect();
    own();
    for thread in threads {
        thread.join().expect("the thread ends");
    }
}
