//! What the store tells: its keys by database, and those that somebody waits for or watches. Read without holding a shard.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_keyspace::{Store, access_clock};
use rustredis_metrics::SampleField;
use rustredis_metrics::rows::{Family, Row, Thing, absent, counter, gauge};

use crate::upkeep::stats::Stats;

/// Figures of the store as a whole, at a moment.
#[derive(Clone, Copy, Debug)]
pub struct StoreCounts {
    watched_keys: usize,
    waited_keys: usize,
    lazyfree_pending: usize,
    lazyfreed: u64,
    clock: u32,
}

impl StoreCounts {
    /// Looks, at `now_ms`.
    pub fn of(store: &Store, stats: &Stats, now_ms: u64) -> Self {
        Self {
            watched_keys: store.watched.load(Relaxed),
            waited_keys: store.waited_keys.load(Relaxed),
            lazyfree_pending: store.lazyfree_pending.load(Relaxed),
            lazyfreed: stats.lazyfreed(store),
            clock: access_clock::clock_of_idle(0, now_ms),
        }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("total_watched_keys", "Keys that are watched.", |at| at.watched_keys.into()),
        gauge("total_blocking_keys", "Keys that clients wait for.", |at| at.waited_keys.into()),
        absent("total_blocking_keys_on_nokey", "Keys whose deletion clients wait for."),
        gauge("lazyfree_pending_objects", "Values that are being freed beside the serving threads.", |at| {
            at.lazyfree_pending.into()
        }),
        counter("lazyfreed_objects", "Values that were freed beside the serving threads.", |at| {
            at.lazyfreed.into()
        }),
        gauge("lru_clock", "The clock of accesses to keys, in seconds, 24 bits.", |at| at.clock.into()),
    ];
}

/// A database that has keys.
#[derive(Clone, Copy, Debug)]
struct Database {
    number: usize,
    keys: usize,
    expiring: usize,
    avg_ttl_ms: u64,
}

/// The databases that have keys, at a moment.
#[derive(Clone, Debug)]
pub struct Databases(Vec<Database>);

impl Databases {
    /// Looks. O(databases in use x shards).
    pub fn of(store: &Store, stats: &Stats) -> Self {
        let look = |number: usize| {
            let (keys, expiring) = (store.keys(number), store.expiring_keys(number));
            let avg_ttl_ms = if expiring > 0 { stats.avg_ttl_ms(number) } else { 0 };
            Database { number, keys, expiring, avg_ttl_ms }
        };
        Self(store.databases_in_use().map(look).filter(|database| database.keys > 0).collect())
    }

    /// What is told of each.
    pub const SAMPLES: &'static [Row<Self>] = &[Row::Family(Family {
        prefix: "db",
        labels: &["database"],
        fields: &[
            SampleField::gauge("keys", "Keys."),
            SampleField::gauge("expires", "Keys that expire."),
            SampleField::gauge("avg_ttl", "The mean time that they have left, milliseconds."),
        ],
        things: |databases| databases.0.iter().map(Database::thing).collect(),
    })];
}

impl Database {
    fn thing(&self) -> Thing {
        let values = [self.keys.into(), self.expiring.into(), self.avg_ttl_ms.into()];
        Thing::new(self.number.to_string(), values)
    }
}
