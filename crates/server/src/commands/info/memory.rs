//! `INFO memory`.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_config::Directive;

use super::Fields;
use crate::start::server::Server;
use crate::upkeep::memory as allocator;
use crate::upkeep::memory_use::{MemoryUse, ratio};

/// Bytes as people read them: `1.04M`.
pub fn human(bytes: usize) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

pub(super) fn memory(server: &Server, fields: &mut Fields) {
    let memory = MemoryUse::of(server.engine.store(), &server.clients);
    let mut both = |name: &str, bytes: usize| {
        fields.add(name, bytes);
        fields.add(format_args!("{name}_human"), human(bytes));
    };
    both("used_memory", memory.used);
    both("used_memory_rss", memory.resident);
    both("used_memory_peak", memory.peak);
    fields.add("used_memory_peak_perc", format_args!("{:.2}%", memory.peak_percent()));
    fields.add("used_memory_overhead", memory.overhead());
    fields.add("used_memory_startup", memory.startup);
    fields.add("used_memory_dataset", memory.dataset());
    fields.add("used_memory_dataset_perc", format_args!("{:.2}%", memory.dataset_percent()));
    fields.add("allocator_allocated", memory.used);
    fields.add("allocator_active", memory.committed);
    fields.add("allocator_resident", memory.resident);
    let mut both = |name: &str, bytes: usize| {
        fields.add(name, bytes);
        fields.add(format_args!("{name}_human"), human(bytes));
    };
    both("total_system_memory", allocator::system_bytes());
    both("used_memory_lua", 0);
    fields.all(
        &[
            "used_memory_vm_eval",
            "used_memory_scripts_eval",
            "number_of_cached_scripts",
            "number_of_functions",
            "number_of_libraries",
            "used_memory_vm_functions",
        ],
        0,
    );
    let maxmemory = server.settings.maxmemory.load(Relaxed) as usize;
    let mut both = |name: &str, bytes: usize| {
        fields.add(name, bytes);
        fields.add(format_args!("{name}_human"), human(bytes));
    };
    both("used_memory_vm_total", 0);
    both("used_memory_scripts", 0);
    both("maxmemory", maxmemory);
    fields.add("maxmemory_policy", server.config.lock().choice(Directive::MaxmemoryPolicy));
    let mut excess = |name: &str, unit: &str, more: usize, less: usize| {
        fields.add(format_args!("{name}_ratio"), format_args!("{:.2}", ratio(more, less)));
        fields.add(format_args!("{name}{unit}_bytes"), more as i64 - less as i64);
    };
    excess("allocator_frag", "", memory.committed, memory.used);
    excess("allocator_rss", "", memory.resident, memory.committed);
    excess("rss_overhead", "", memory.resident, memory.resident);
    excess("mem_fragmentation", "", memory.resident, memory.used);
    fields.add("mem_not_counted_for_evict", server.eviction.not_counted_bytes());
    fields.all(&["mem_replication_backlog", "mem_total_replication_buffers", "mem_clients_slaves"], 0);
    fields.add("mem_clients_normal", memory.clients);
    fields.add("mem_cluster_links", 0);
    fields.add("mem_aof_buffer", server.aof.waiting_bytes());
    fields.add("mem_allocator", allocator::allocator_name());
    fields.add("active_defrag_running", 0);
    let store = server.engine.store();
    fields.add("lazyfree_pending_objects", store.lazyfree_pending.load(Relaxed));
    fields.add("lazyfreed_objects", server.stats.lazyfreed(store));
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_for_people() {
        for (bytes, expected) in
            [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1_089_560, "1.04M"), (25_276_510_208, "23.54G")]
        {
            assert_eq!(human(bytes), expected);
        }
    }
}
