//! The sections of INFO: which samples each has, in Redis's order.

use std::sync::OnceLock;

use crate::start::samples::{Listed, rows};

/// When a section is shown that was not named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Always.
    Default,
    /// With `all` and `everything`.
    All,
    /// With `default` and `everything`, but not with `all`: what modules tell.
    Modules,
}

/// A section, with the rows that its names stand for.
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) shown: Shown,
    pub(super) rows: Vec<Listed>,
}

/// A section with its names: fields, and what the lines of a family begin with.
struct Named {
    name: &'static str,
    title: &'static str,
    shown: Shown,
    /// Between spaces. A name that several subsystems have comes behind that of its own: `engine.shards`.
    names: &'static str,
}

const SECTIONS: &[Named] = &[
    section(
        "server",
        "Server",
        Shown::Default,
        "\
        redis_version rustredis_version redis_git_sha1 redis_git_dirty redis_build_id redis_mode os
        arch_bits monotonic_clock multiplexing_api engine metrics threads engine.shards process_id
        process_supervised run_id tcp_port server_time_usec uptime_in_seconds uptime_in_days hz
        configured_hz lru_clock executable config_file io_threads_active listener",
    ),
    section(
        "clients",
        "Clients",
        Shown::Default,
        "\
        connected_clients cluster_connections maxclients client_recent_max_input_buffer
        client_recent_max_output_buffer blocked_clients tracking_clients pubsub_clients watching_clients
        clients_in_timeout_table total_watched_keys total_blocking_keys total_blocking_keys_on_nokey",
    ),
    section(
        "memory",
        "Memory",
        Shown::Default,
        "\
        used_memory used_memory_human used_memory_rss used_memory_rss_human used_memory_peak
        used_memory_peak_human used_memory_peak_perc used_memory_overhead used_memory_startup
        used_memory_dataset used_memory_dataset_perc allocator_allocated allocator_active
        allocator_resident total_system_memory total_system_memory_human used_memory_lua
        used_memory_lua_human used_memory_vm_eval used_memory_scripts_eval number_of_cached_scripts
        number_of_functions number_of_libraries used_memory_vm_functions used_memory_vm_total
        used_memory_vm_total_human used_memory_functions used_memory_scripts used_memory_scripts_human
        maxmemory maxmemory_human
        maxmemory_policy allocator_frag_ratio allocator_frag_bytes allocator_rss_ratio allocator_rss_bytes
        rss_overhead_ratio rss_overhead_bytes mem_fragmentation_ratio mem_fragmentation_bytes
        mem_not_counted_for_evict mem_replication_backlog mem_total_replication_buffers mem_clients_slaves
        mem_clients_normal mem_cluster_links mem_aof_buffer mem_allocator active_defrag_running
        lazyfree_pending_objects lazyfreed_objects",
    ),
    section(
        "persistence",
        "Persistence",
        Shown::Default,
        "\
        loading async_loading current_cow_peak current_cow_size current_cow_size_age current_fork_perc
        current_save_keys_processed current_save_keys_total rdb_changes_since_last_save
        rdb_bgsave_in_progress rdb_last_save_time rdb_last_bgsave_status rdb_last_bgsave_time_sec
        rdb_current_bgsave_time_sec rdb_saves rdb_last_cow_size rdb_last_load_keys_expired
        rdb_last_load_keys_loaded aof_enabled aof_rewrite_in_progress aof_rewrite_scheduled
        aof_last_rewrite_time_sec aof_current_rewrite_time_sec aof_last_bgrewrite_status aof_rewrites
        aof_rewrites_consecutive_failures aof_last_write_status aof_last_cow_size module_fork_in_progress
        module_fork_last_cow_size aof_current_size aof_base_size aof_pending_rewrite aof_buffer_length
        aof_pending_bio_fsync aof_delayed_fsync journal_last_place journal_durable_place aof_syncs
        aof_entries_per_sync aof_usec_per_sync loading_start_time loading_total_bytes loading_rdb_used_mem
        loading_loaded_bytes loading_loaded_perc loading_eta_seconds",
    ),
    section(
        "stats",
        "Stats",
        Shown::Default,
        "\
        total_connections_received total_commands_processed instantaneous_ops_per_sec
        total_net_input_bytes total_net_output_bytes total_net_repl_input_bytes
        total_net_repl_output_bytes instantaneous_input_kbps instantaneous_output_kbps
        instantaneous_input_repl_kbps instantaneous_output_repl_kbps rejected_connections sync_full
        sync_partial_ok sync_partial_err expired_subkeys expired_keys expired_stale_perc
        expired_time_cap_reached_count expire_cycle_cpu_milliseconds evicted_keys evicted_clients
        evicted_scripts total_eviction_exceeded_time current_eviction_exceeded_time keyspace_hits
        keyspace_misses pubsub_channels pubsub_patterns pubsubshard_channels latest_fork_usec total_forks
        migrate_cached_sockets slave_expires_tracked_keys active_defrag_hits active_defrag_misses
        active_defrag_key_hits active_defrag_key_misses total_active_defrag_time
        current_active_defrag_time tracking_total_keys tracking_total_items tracking_total_prefixes
        unexpected_error_replies total_error_replies dump_payload_sanitizations total_reads_processed
        total_writes_processed io_threaded_reads_processed io_threaded_writes_processed
        client_query_buffer_limit_disconnections client_output_buffer_limit_disconnections
        aof_write_timeout_disconnections reply_buffer_shrinks reply_buffer_expands acl_access_denied_auth
        acl_access_denied_cmd acl_access_denied_key acl_access_denied_channel",
    ),
    section(
        "replication",
        "Replication",
        Shown::Default,
        "\
        role connected_slaves slave master_failover_state master_replid master_replid2 master_repl_offset
        second_repl_offset repl_backlog_active repl_backlog_size repl_backlog_first_byte_offset
        repl_backlog_histlen",
    ),
    section(
        "cpu",
        "CPU",
        Shown::Default,
        "\
        used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children used_cpu_sys_main_thread
        used_cpu_user_main_thread",
    ),
    section("modules", "Modules", Shown::Modules, ""),
    section("commandstats", "Commandstats", Shown::All, "cmdstat_"),
    section("errorstats", "Errorstats", Shown::Default, "errorstat_"),
    section("latencystats", "Latencystats", Shown::All, "latency_percentiles_usec_"),
    section("cluster", "Cluster", Shown::Default, "cluster_enabled"),
    section("keyspace", "Keyspace", Shown::Default, "db"),
    section(
        "metrics",
        "Metrics",
        Shown::All,
        "\
        metrics_strategy metrics_workers metrics_lock_acquisitions metrics_lock_waits metrics_lock_wait_ns
        metrics_shards metrics_shards_touched metrics_flushes metrics_flushed_records",
    ),
    section(
        "scripts",
        "Scripts",
        Shown::All,
        "\
        scripts_proven scripts_running scripts_longest_ms scripts_ran_with_keys
        scripts_ran_with_everything scripts_restarted scripts_undeclared_late scripts_killed",
    ),
    section(
        "contention",
        "Contention",
        Shown::All,
        "\
        engine enabled contention.shards lock_acquisitions lock_contended lock_wait_ns_p50
        lock_wait_ns_p99 lock_wait_ns_max lock_hold_ns_p50 lock_hold_ns_p99 lock_hold_ns_max
        queue_depth_p50 queue_depth_p99 queue_depth_max queue_depth_now fallbacks published_keys
        published_index_bytes retired_blocks retired_bytes retired_waits hot_shard_",
    ),
];

const fn section(name: &'static str, title: &'static str, shown: Shown, names: &'static str) -> Named {
    Named { name, title, shown, names }
}

/// All sections, in their order.
///
/// # Panics
/// If a name stands for no sample, or for several: a bug of ours, which a test finds.
pub(super) fn sections() -> &'static [Section] {
    static FOUND: OnceLock<Vec<Section>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let all: Vec<Listed> = rows().collect();
        let found = |section: &Named| Section {
            name: section.name,
            title: section.title,
            shown: section.shown,
            rows: section.names.split_ascii_whitespace().map(|name| find(&all, name)).collect(),
        };
        SECTIONS.iter().map(found).collect()
    })
}

fn find(all: &[Listed], name: &str) -> Listed {
    let is_meant = |row: &&Listed| match name.split_once('.') {
        Some((subsystem, name)) => row.subsystem == subsystem && row.head.name == name,
        None => row.head.name == name,
    };
    let found: Vec<&Listed> = all.iter().filter(is_meant).collect();
    let [row] = found[..] else { panic!("{name} is told by {} subsystems", found.len()) };
    *row
}
