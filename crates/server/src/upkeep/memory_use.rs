//! What the memory is used for: the numbers behind `INFO memory`, `MEMORY STATS` and `MEMORY DOCTOR`.
//!
//! The total is counted by the allocator and exact. The parts are computed when somebody asks, without holding a shard:
//! tables from the number of their keys, clients from what they publish about their buffers. What is neither, nor was
//! there at the start, is data.

use rustredis_keyspace::Store;
use rustredis_metrics::SampleValue;
use rustredis_metrics::rows::{Row, fact, gauge};

use crate::clients::client::flags;
use crate::clients::connected::Clients;
use crate::upkeep::allocator;
use crate::upkeep::sampled::Sampled;

/// Bytes of a slot of a table: the pointer and the control byte.
const SLOT_BYTES: usize = 9;
/// Bytes of an expiry in a shard's index, on average: a tree's nodes are two thirds full.
const EXPIRY_BYTES: usize = 24;

/// What a figure in the form for people is.
const HELP_PEOPLE: &str = "The same for people.";

/// Bytes that the tables of a database take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// The database.
    pub db: usize,
    /// Its tables of keys.
    pub main: usize,
    /// Its indexes of expiries.
    pub expires: usize,
}

/// What the memory is used for, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// All that was asked for from the allocator.
    pub used: usize,
    /// The most that this ever was.
    pub peak: usize,
    /// What it was before there was data.
    pub startup: usize,
    /// What the kernel says the process takes.
    pub resident: usize,
    /// What the allocator has from the kernel.
    pub committed: usize,
    /// Buffers of clients but replicas.
    pub clients: usize,
    /// Buffers of replicas.
    pub replicas: usize,
    /// Tables of the databases that are not empty.
    pub tables: Vec<Tables>,
    /// Keys of all databases.
    pub keys: usize,
}

impl MemoryUse {
    /// Looks.
    pub fn of(store: &Store, clients: &Clients) -> Self {
        static FROM_KERNEL: Sampled<(usize, usize)> = Sampled::new();
        let (resident, committed) =
            FROM_KERNEL.get(|| (allocator::resident_bytes(), allocator::committed_bytes()));
        let all = clients.all();
        let bytes_of = |is_replica: bool| {
            let meant = all.iter().filter(|client| client.has_flag(flags::REPLICA) == is_replica);
            meant.map(|client| client.memory_bytes()).sum()
        };
        let tables: Vec<Tables> = store.databases_in_use().filter_map(|db| tables_of(store, db)).collect();
        Self {
            used: allocator::used_bytes(),
            peak: allocator::peak_bytes(),
            startup: allocator::startup_bytes(),
            resident,
            committed,
            clients: bytes_of(false),
            replicas: bytes_of(true),
            keys: tables.iter().map(|tables| store.keys(tables.db)).sum(),
            tables,
        }
    }

    /// What is not data: what was there at the start, tables, clients.
    pub fn overhead(&self) -> usize {
        let tables: usize = self.tables.iter().map(|tables| tables.main + tables.expires).sum();
        self.startup + self.clients + self.replicas + tables
    }

    /// Data.
    pub fn dataset(&self) -> usize {
        self.used.saturating_sub(self.overhead())
    }

    /// The share of the data in what was added since the start, in per cent.
    pub fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.used.saturating_sub(self.startup))
    }

    /// The use now in per cent of the peak.
    pub fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }
}

impl MemoryUse {
    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("used_memory", "Bytes that were asked for from the allocator.", |at| at.used.into()),
        fact("used_memory_human", HELP_PEOPLE, |at| SampleValue::ForPeople(at.used)),
        gauge("used_memory_rss", "Bytes that the kernel says the process takes.", |at| at.resident.into()),
        fact("used_memory_rss_human", HELP_PEOPLE, |at| SampleValue::ForPeople(at.resident)),
        gauge("used_memory_peak", "The most that used_memory ever was.", |at| at.peak.into()),
        fact("used_memory_peak_human", HELP_PEOPLE, |at| SampleValue::ForPeople(at.peak)),
        gauge("used_memory_peak_perc", "used_memory in per cent of its peak.", |at| {
            SampleValue::Percent(at.peak_percent())
        }),
        gauge("used_memory_overhead", "Bytes that are not data.", |at| at.overhead().into()),
        fact("used_memory_startup", "Bytes used before there was data.", |at| at.startup.into()),
        gauge("used_memory_dataset", "Bytes of data.", |at| at.dataset().into()),
        gauge("used_memory_dataset_perc", "Data in per cent of what was added since the start.", |at| {
            SampleValue::Percent(at.dataset_percent())
        }),
        gauge("mem_clients_normal", "Bytes of clients' buffers.", |at| at.clients.into()),
        gauge("allocator_allocated", "Bytes that were asked for from the allocator.", |at| at.used.into()),
        gauge("allocator_active", "Bytes that the allocator has from the kernel.", |at| at.committed.into()),
        gauge("allocator_resident", "Bytes that the kernel says the process takes.", |at| at.resident.into()),
        gauge("allocator_frag_ratio", "What the allocator has, over what was asked for.", |at| {
            quotient(at.committed, at.used)
        }),
        gauge("allocator_frag_bytes", "What the allocator has more than was asked for, bytes.", |at| {
            excess(at.committed, at.used)
        }),
        gauge("allocator_rss_ratio", "What the process takes, over what the allocator has.", |at| {
            quotient(at.resident, at.committed)
        }),
        gauge("allocator_rss_bytes", "What the process takes more than the allocator has, bytes.", |at| {
            excess(at.resident, at.committed)
        }),
        gauge("rss_overhead_ratio", "What the process takes, over what its heap takes.", |at| {
            quotient(at.resident, at.resident)
        }),
        gauge("rss_overhead_bytes", "What the process takes more than its heap, bytes.", |at| {
            excess(at.resident, at.resident)
        }),
        gauge("mem_fragmentation_ratio", "What the process takes, over what was asked for.", |at| {
            quotient(at.resident, at.used)
        }),
        gauge("mem_fragmentation_bytes", "What the process takes more than was asked for, bytes.", |at| {
            excess(at.resident, at.used)
        }),
        fact("mem_allocator", "The allocator's name.", |_| allocator::allocator_name().into()),
        fact("total_system_memory", "Bytes of memory of the machine.", |_| allocator::system_bytes().into()),
        fact("total_system_memory_human", HELP_PEOPLE, |_| SampleValue::ForPeople(allocator::system_bytes())),
    ];
}

fn quotient(part: usize, whole: usize) -> SampleValue {
    SampleValue::quotient(part as f64, whole as f64)
}

fn excess(more: usize, less: usize) -> SampleValue {
    (more as i64 - less as i64).into()
}

fn percent(part: usize, whole: usize) -> f64 {
    ratio(part, whole) * 100.0
}

/// A quotient; 0 if there is nothing to divide by.
pub fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn tables_of(store: &Store, db: usize) -> Option<Tables> {
    let mut tables = Tables { db, ..Tables::default() };
    let mut has_keys = false;
    for shard in 0..store.shards() {
        let keys = store.keys_in_shard(db, shard);
        if keys > 0 {
            has_keys = true;
            // A table is filled to seven eighths before it doubles.
            tables.main += (keys * 8 / 7 + 1).next_power_of_two().max(4) * SLOT_BYTES;
            tables.expires += store.expiring_keys_in_shard(db, shard) * EXPIRY_BYTES;
        }
    }
    has_keys.then_some(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_add_up() {
        let memory = MemoryUse {
            used: 1000,
            startup: 100,
            clients: 50,
            tables: vec![Tables { db: 0, main: 30, expires: 20 }],
            ..MemoryUse::default()
        };
        assert_eq!((memory.overhead(), memory.dataset()), (200, 800));
        assert_eq!(format!("{:.2}", memory.dataset_percent()), "88.89");
        assert_eq!(MemoryUse::default().peak_percent(), 0.0);
    }
}
