//! The strategies with locks: `mutex` is one shard, `sharded` is one for each worker.
//!
//! A shard is a lock and a block of counters on cache lines of their own. A worker always uses the same shard, so
//! with enough of them no two threads ever meet. (To choose the shard by *command*, as is tempting, makes every
//! thread that executes GET meet at GET's shard: the lock convoy again, with more locks.) Both strategies are this
//! one piece of code, so what sets them apart in an experiment is the number of shards and nothing else.
//!
//! A record takes one read-modify-write on the lock's word, and one to release it. Atomic counters instead of the
//! lock would take one for each counter: calls, time and histogram are three, which measured 14 ns against 11.
//!
//! A shard's waits are counted under its own lock, after the wait, so counting them adds no contention of its own.
//! The clock is read only by a thread that has to wait anyway.

use crate::block::Block;
use crate::choice::{CallEnd, CommandId};
use crate::clock::Clock;
use crate::padded::Padded;
use crate::stats::{CommandStats, StrategyCost};
use parking_lot::{Mutex, MutexGuard};

/// Shards of counters, each behind a lock.
#[derive(Debug)]
pub(crate) struct Locked {
    shards: Box<[Padded<Mutex<Shard>>]>,
    commands: usize,
    clock: Clock,
}

#[derive(Debug)]
struct Shard {
    block: Block,
    acquisitions: u64,
    waits: u64,
    wait_nanos: u64,
}

impl Shard {
    fn new(commands: usize) -> Self {
        Shard { block: Block::new(commands), acquisitions: 0, waits: 0, wait_nanos: 0 }
    }
}

impl Locked {
    pub(crate) fn new(commands: usize, shards: usize, clock: Clock) -> Self {
        let shards = (0..shards.max(1)).map(|_| Padded(Mutex::new(Shard::new(commands)))).collect();
        Locked { shards, commands, clock }
    }

    /// The shard of the `worker`-th worker.
    pub(crate) fn shard_of(&self, worker: usize) -> usize {
        worker % self.shards.len()
    }

    #[inline]
    pub(crate) fn record(
        &self,
        shard: usize,
        command: CommandId,
        nanos: u64,
        outcome: CallEnd,
        tracks_latency: bool,
    ) {
        self.lock(shard).block.record(command, nanos, outcome, tracks_latency);
    }

    #[inline]
    pub(crate) fn reject(&self, shard: usize, command: CommandId) {
        self.lock(shard).block.reject(command);
    }

    /// Adds every command's counts to `totals`.
    pub(crate) fn add_to(&self, totals: &mut [CommandStats]) {
        for shard in &self.shards {
            shard.lock().block.add_to(totals);
        }
    }

    /// Adds one command's counts to `total`.
    pub(crate) fn add_row_to(&self, command: CommandId, total: &mut CommandStats) {
        for shard in &self.shards {
            shard.lock().block.add_row_to(command, total);
        }
    }

    /// Adds what the locks cost to `cost`.
    pub(crate) fn add_cost_to(&self, cost: &mut StrategyCost) {
        cost.shards += self.shards.len() as u64;
        for shard in &self.shards {
            let shard = shard.lock();
            cost.lock_acquisitions += shard.acquisitions;
            cost.lock_waits += shard.waits;
            cost.lock_wait_nanos += shard.wait_nanos;
            cost.shards_touched += u64::from(shard.block.is_touched());
        }
    }

    /// Counts from zero again. All locks are held at once, so that no record is forgotten that follows one that is kept.
    pub(crate) fn reset(&self) {
        let guards: Vec<MutexGuard<'_, Shard>> = self.shards.iter().map(|shard| shard.lock()).collect();
        for mut guard in guards.into_iter() {
            *guard = Shard::new(self.commands);
        }
    }

    #[inline]
    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        let lock = &self.shards[shard];
        let mut guard = match lock.try_lock() {
            Some(guard) => guard,
            None => self.wait(lock),
        };
        guard.acquisitions += 1;
        guard
    }

    #[cold]
    fn wait<'lock>(&self, lock: &'lock Mutex<Shard>) -> MutexGuard<'lock, Shard> {
        let started = self.clock.now();
        let mut guard = lock.lock();
        guard.waits += 1;
        guard.wait_nanos += self.clock.now().saturating_sub(started);
        guard
    }
}
