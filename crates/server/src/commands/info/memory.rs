//! `INFO memory`.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_config::Directive;
use rustredis_metrics::SampleValue;

use super::reading::Reading;
use super::row::{Part, counter, fact, gauge, none};
use crate::upkeep::allocator;
use crate::upkeep::memory_use::ratio;

const HELP_PEOPLE: &str = "The same for people.";

pub(super) const MEMORY: &[Part] = &[Part::Rows(&[
    gauge("used_memory", "Bytes that were asked for from the allocator.", |at| at.memory().used.into()),
    fact("used_memory_human", HELP_PEOPLE, |at| for_people(at.memory().used)),
    gauge("used_memory_rss", "Bytes that the kernel says the process takes.", |at| {
        at.memory().resident.into()
    }),
    fact("used_memory_rss_human", HELP_PEOPLE, |at| for_people(at.memory().resident)),
    gauge("used_memory_peak", "The most that used_memory ever was.", |at| at.memory().peak.into()),
    fact("used_memory_peak_human", HELP_PEOPLE, |at| for_people(at.memory().peak)),
    gauge("used_memory_peak_perc", "used_memory in per cent of its peak.", |at| {
        SampleValue::Percent(at.memory().peak_percent())
    }),
    gauge("used_memory_overhead", "Bytes that are not data.", |at| at.memory().overhead().into()),
    fact("used_memory_startup", "Bytes used before there was data.", |at| at.memory().startup.into()),
    gauge("used_memory_dataset", "Bytes of data.", |at| at.memory().dataset().into()),
    gauge("used_memory_dataset_perc", "Data in per cent of what was added since the start.", |at| {
        SampleValue::Percent(at.memory().dataset_percent())
    }),
    gauge("allocator_allocated", "Bytes that were asked for from the allocator.", |at| {
        at.memory().used.into()
    }),
    gauge("allocator_active", "Bytes that the allocator has from the kernel.", |at| {
        at.memory().committed.into()
    }),
    gauge("allocator_resident", "Bytes that the kernel says the process takes.", |at| {
        at.memory().resident.into()
    }),
    fact("total_system_memory", "Bytes of memory of the machine.", |_| allocator::system_bytes().into()),
    fact("total_system_memory_human", HELP_PEOPLE, |_| for_people(allocator::system_bytes())),
    none("used_memory_lua", "Bytes of the interpreter of scripts, by its name in Redis 6."),
    fact("used_memory_lua_human", HELP_PEOPLE, |_| for_people(0)),
    none("used_memory_vm_eval", "Bytes of the interpreter of scripts."),
    none("used_memory_scripts_eval", "Bytes of scripts."),
    none("number_of_cached_scripts", "Scripts that are known."),
    none("number_of_functions", "Functions that are loaded."),
    none("number_of_libraries", "Libraries that are loaded."),
    none("used_memory_vm_functions", "Bytes of the interpreter of functions."),
    none("used_memory_vm_total", "Bytes of both interpreters."),
    fact("used_memory_vm_total_human", HELP_PEOPLE, |_| for_people(0)),
    none("used_memory_scripts", "Bytes of scripts and functions."),
    fact("used_memory_scripts_human", HELP_PEOPLE, |_| for_people(0)),
    fact("maxmemory", "Bytes that data may take; 0 for no limit.", |at| maxmemory(at).into()),
    fact("maxmemory_human", HELP_PEOPLE, |at| for_people(maxmemory(at))),
    fact("maxmemory_policy", "What goes when there is no room.", |at| {
        at.config(|config| config.choice(Directive::MaxmemoryPolicy)).into()
    }),
    gauge("allocator_frag_ratio", "What the allocator has, over what was asked for.", |at| {
        quotient(at.memory().committed, at.memory().used)
    }),
    gauge("allocator_frag_bytes", "What the allocator has more than was asked for, bytes.", |at| {
        excess(at.memory().committed, at.memory().used)
    }),
    gauge("allocator_rss_ratio", "What the process takes, over what the allocator has.", |at| {
        quotient(at.memory().resident, at.memory().committed)
    }),
    gauge("allocator_rss_bytes", "What the process takes more than the allocator has, bytes.", |at| {
        excess(at.memory().resident, at.memory().committed)
    }),
    gauge("rss_overhead_ratio", "What the process takes, over what its heap takes.", |at| {
        quotient(at.memory().resident, at.memory().resident)
    }),
    gauge("rss_overhead_bytes", "What the process takes more than its heap, bytes.", |at| {
        excess(at.memory().resident, at.memory().resident)
    }),
    gauge("mem_fragmentation_ratio", "What the process takes, over what was asked for.", |at| {
        quotient(at.memory().resident, at.memory().used)
    }),
    gauge("mem_fragmentation_bytes", "What the process takes more than was asked for, bytes.", |at| {
        excess(at.memory().resident, at.memory().used)
    }),
    gauge("mem_not_counted_for_evict", "Bytes that maxmemory does not count.", |at| {
        at.server.eviction().not_counted_bytes().into()
    }),
    none("mem_replication_backlog", "Bytes of history that are kept for replicas."),
    none("mem_total_replication_buffers", "Bytes of history, and of what waits for replicas."),
    none("mem_clients_slaves", "Bytes of replicas' buffers."),
    gauge("mem_clients_normal", "Bytes of clients' buffers.", |at| at.memory().clients.into()),
    none("mem_cluster_links", "Bytes of the cluster's connections."),
    gauge("mem_aof_buffer", "Bytes that wait to be written to the append-only file.", |at| {
        at.server.aof().waiting_bytes().into()
    }),
    fact("mem_allocator", "The allocator's name.", |_| allocator::allocator_name().into()),
    none("active_defrag_running", "Whether memory is moved together: never, the allocator needs none of it."),
    gauge("lazyfree_pending_objects", "Values that are being freed beside the serving threads.", |at| {
        at.server.engine().store().lazyfree_pending.load(Relaxed).into()
    }),
    counter("lazyfreed_objects", "Values that were freed beside the serving threads.", |at| {
        at.server.stats().lazyfreed(at.server.engine().store()).into()
    }),
])];

fn maxmemory(at: &Reading<'_>) -> usize {
    at.server.settings().maxmemory.load(Relaxed) as usize
}

fn for_people(bytes: usize) -> SampleValue {
    SampleValue::ForPeople(bytes)
}

fn quotient(part: usize, whole: usize) -> SampleValue {
    SampleValue::Decimal(ratio(part, whole), 2)
}

fn excess(more: usize, less: usize) -> SampleValue {
    (more as i64 - less as i64).into()
}
