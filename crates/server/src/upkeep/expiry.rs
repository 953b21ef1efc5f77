//! Keys and fields expire on their own. Every worker looks after its own part of the shards, a few keys at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustredis_engine::Engine;
use rustredis_keyspace::{Access, Covered, Effects, placement};
use rustredis_metrics::LatencyMonitor;

use crate::clients::pause::Pause;
use crate::clock::now_ms;
use crate::gate::{self, Gate};
use crate::upkeep::settings::Settings;
use crate::upkeep::stats::{Stats, bump};
use crate::upkeep::thread::Thread;

/// Keys that one round deletes in a shard before it lets others in.
const EXPIRE_BATCH: usize = 64;

/// Active expiry.
pub struct Expiry {
    /// The keys.
    pub engine: Arc<Engine>,
    /// How often, and which events are published.
    pub settings: Arc<Settings>,
    /// While it is paused nothing expires.
    pub pause: Arc<Pause>,
    /// Nor while the data set is being loaded.
    pub gate: Arc<Gate>,
    /// What is counted.
    pub stats: Arc<Stats>,
    /// Hears how long it takes.
    pub latency: Arc<LatencyMonitor>,
    /// Workers that share the shards.
    pub threads: usize,
    /// Whether keys expire on their own (`DEBUG SET-ACTIVE-EXPIRE`).
    pub is_active: AtomicBool,
}

impl Expiry {
    /// Deletes keys of this worker's shards whose time has come, as long as the server runs.
    pub async fn run(&self, thread: Thread<'_>, worker: usize) {
        let mut effects = Effects::default();
        let count = self.engine.store().shards();
        let is_own = |shard: &usize| placement::part_of(*shard, count, self.threads) == worker;
        let shards: Vec<usize> = (0..count).filter(is_own).collect();
        loop {
            let hz = u64::from(self.settings.hz.load(Relaxed)).clamp(1, 500);
            tokio::time::sleep(Duration::from_millis(1000 / hz)).await;
            let is_paused = self.pause.state(now_ms()).is_some();
            if is_paused || self.gate.has(gate::LOADING) || !self.is_active.load(Relaxed) {
                continue;
            }
            thread.clock.tick();
            self.expire_due(thread, &shards, &mut effects).await;
            bump(&thread.stats.expired_keys, std::mem::take(&mut effects.expired_keys));
            bump(&thread.stats.expired_fields, std::mem::take(&mut effects.expired_fields));
        }
    }

    /// Deletes what is due in these shards, this worker's part, a few keys at a time.
    async fn expire_due(&self, thread: Thread<'_>, shards: &[usize], effects: &mut Effects) {
        let store = self.engine.store();
        for &shard in shards {
            while store.next_expiry_ms(shard) <= thread.clock.now_ms() {
                effects.notify_mask = self.settings.notify_mask.load(Relaxed);
                // What is kept by somebody is looked at again the next time.
                let borrow = self.engine.borrow_unless_kept(Covered::One(shard), Access::Write);
                let Some(mut held) = borrow.await else { break };
                let started = thread.clock.read();
                let mut view = held.view(0, thread.clock.now_ms(), thread.random, effects);
                let (_, is_more_due) = view.expire_shard(shard, EXPIRE_BATCH);
                (thread.settle)(&mut view);
                drop(held);
                let nanos = thread.clock.read().saturating_sub(started);
                self.stats.expire_cycle_nanos.fetch_add(nanos, Relaxed);
                self.latency.observe("expire-cycle", nanos, (thread.clock.now_ms() / 1000) as i64);
                if !is_more_due {
                    break;
                }
                tokio::task::yield_now().await;
                thread.clock.tick();
            }
        }
    }
}
