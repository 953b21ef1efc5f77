//! What happens to the server as a whole by the clock, ten times a second: rates are sampled, clients that are idle or too large
//! are closed, the mean time to live is estimated, saves begin. The first worker does it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustredis_engine::Engine;
use rustredis_keyspace::{Access, Among, Covered, Effects};
use rustredis_metrics::rows::{Row, fact};

use crate::clients::client::flags;
use crate::clients::connected::Clients;
use crate::files::snapshot::Snapshots;
use crate::gate::{self, Gate};
use crate::upkeep::allocator;
use crate::upkeep::settings::Settings;
use crate::upkeep::stats::Stats;
use crate::upkeep::thread::Thread;

/// How often the server as a whole is looked after.
pub const PERIOD: Duration = Duration::from_millis(100);
/// Of these looks, how many it takes until expiring keys are sampled.
const TTL_PERIOD: u64 = 5;
/// Keys of a database that are sampled then.
const TTL_SAMPLES: usize = 20;

/// What is looked after.
pub struct Cron {
    /// Who is connected.
    pub clients: Arc<Clients>,
    /// What the configuration allows.
    pub settings: Arc<Settings>,
    /// What is counted.
    pub stats: Arc<Stats>,
    /// Whether the data set is being loaded.
    pub gate: Arc<Gate>,
    /// The keys.
    pub engine: Arc<Engine>,
    /// What begins by itself.
    pub snapshots: Arc<Snapshots>,
    /// Whether nothing of it is done (`DEBUG PAUSE-CRON`).
    pub is_paused: AtomicBool,
}

/// How often keys are looked after that expire by themselves, at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    hz: u32,
}

impl Rhythm {
    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        fact("hz", "Rounds of upkeep a second.", |rhythm| rhythm.hz.into()),
        fact("configured_hz", "Rounds of upkeep a second, as configured.", |rhythm| rhythm.hz.into()),
    ];
}

impl Cron {
    /// How often there is a round of upkeep.
    pub fn rhythm(&self) -> Rhythm {
        Rhythm { hz: self.settings.hz.load(Relaxed) }
    }

    /// Looks after the server as long as it runs.
    pub async fn run(&self, thread: Thread<'_>) {
        let mut look: u64 = 0;
        loop {
            tokio::time::sleep(PERIOD).await;
            thread.clock.tick();
            if self.is_paused.load(Relaxed) {
                continue;
            }
            self.stats.rates.sample(&self.stats.sum(), thread.clock.last());
            // The peak is what somebody has seen.
            allocator::used_bytes();
            self.engine.store().collect_retired();
            self.close_idle_clients(thread.clock.now_ms());
            self.close_large_clients();
            if self.gate.has(gate::LOADING) {
                continue;
            }
            self.snapshots.begin_what_is_due();
            look += 1;
            if look.is_multiple_of(TTL_PERIOD) {
                self.sample_ttls(thread).await;
            }
        }
    }

    /// Closes the clients with the largest buffers while all of them together take more than `maxmemory-clients`.
    fn close_large_clients(&self) {
        let limit = self.settings.maxmemory_clients.load(Relaxed) as usize;
        if limit == 0 {
            return;
        }
        let mut all = self.clients.all();
        all.retain(|client| !client.has_flag(flags::REPLICA));
        let mut total: usize = all.iter().map(|client| client.memory_bytes()).sum();
        if total <= limit {
            return;
        }
        let mut large: Vec<_> = all.iter().filter(|client| !client.has_flag(flags::NO_EVICT)).collect();
        large.sort_by_key(|client| std::cmp::Reverse(client.memory_bytes()));
        for client in large {
            if total <= limit {
                break;
            }
            total = total.saturating_sub(client.memory_bytes());
            tracing::info!("Evicting client id={} addr={}", client.id, client.addr);
            self.stats.evicted_clients.fetch_add(1, Relaxed);
            client.kill();
        }
    }

    /// Looks at some keys that expire, for the mean in `INFO keyspace`.
    async fn sample_ttls(&self, thread: Thread<'_>) {
        let store = self.engine.store();
        for db in store.databases_in_use().filter(|db| store.expiring_keys(*db) > 0) {
            let Some(shard) = store.random_shard(db, Among::Expiring, thread.random) else { continue };
            let mut effects = Effects::default();
            let (mut sum, mut count) = (0u64, 0);
            let now_ms = thread.clock.now_ms();
            let borrow = self.engine.borrow_unless_kept(Covered::One(shard), Access::Read);
            let Some(mut held) = borrow.await else { continue };
            let view = held.view(db, now_ms, thread.random, &mut effects);
            view.sample(shard, Among::Expiring, TTL_SAMPLES, |entry| {
                sum += entry.expire_at_ms().map_or(0, |at_ms| at_ms.saturating_sub(now_ms));
                count += 1;
            });
            drop(held);
            if let Some(mean_ms) = sum.checked_div(count) {
                self.stats.observe_ttl_ms(db, mean_ms);
            }
        }
    }

    /// Closes clients that have been silent for `timeout`. A connection's own timer knows only the timeout of when it began to
    /// wait.
    fn close_idle_clients(&self, now_ms: u64) {
        let timeout_ms = self.settings.timeout_seconds.load(Relaxed).saturating_mul(1000);
        if timeout_ms == 0 {
            return;
        }
        for client in self.clients.all() {
            let may_be_silent = client.flags.load(Relaxed)
                & (flags::BLOCKED | flags::PUBSUB | flags::MONITOR | flags::REPLICA)
                != 0;
            if !may_be_silent && now_ms.saturating_sub(client.active_ms.load(Relaxed)) > timeout_ms {
                client.kill();
            }
        }
    }
}
