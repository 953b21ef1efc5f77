//! The thread that upkeep runs on, as far as it needs to know it.

use rustredis_engine::EndsInPanic;
use rustredis_keyspace::{Random, View};

use crate::clock::ThreadClock;
use crate::upkeep::stats::WorkerStats;

/// What a worker lends to who works on its thread.
#[derive(Clone, Copy)]
pub struct Thread<'w> {
    /// Its clock.
    pub clock: &'w ThreadClock,
    /// Its random numbers.
    pub random: &'w Random,
    /// Its counters.
    pub stats: &'w WorkerStats,
    /// Settles what was changed in a view, which is still held.
    pub settle: &'w dyn Fn(&mut View<'_>),
}

/// Starts a task on this thread that the server does not go on without.
pub fn spawn(name: &'static str, task: impl Future<Output = ()> + 'static) {
    tokio::task::spawn_local(async move {
        let _end = EndsInPanic(name);
        task.await;
    });
}
