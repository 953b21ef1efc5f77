//! What is told of things that are not there yet: always what a Redis says in which they are off. A subsystem that comes
//! takes its rows from here into a file of its own.

use rustredis_config::Directive;
use rustredis_metrics::rows::{Row, absent, fact, gauge};

use crate::start::server::Server;

/// What is known of replication beyond the replicas: no history is kept, and this server is nobody's replica.
pub(super) struct Replication {
    id: String,
    backlog_bytes_max: u64,
}

impl Replication {
    /// Looks.
    pub(super) fn of(server: &Server) -> Self {
        Self {
            id: server.replication_id().lock().clone(),
            backlog_bytes_max: server.config().lock().bytes(Directive::ReplBacklogSize),
        }
    }

    /// What is told.
    pub(super) const SAMPLES: &'static [Row<Self>] = &[
        fact("role", "master or slave.", |_| "master".into()),
        fact("master_failover_state", "How far a planned change of masters is.", |_| "no-failover".into()),
        fact("master_replid", "The name of the data set's history.", |at| at.id.clone().into()),
        fact("master_replid2", "The name of the history before; zeros for none.", |_| "0".repeat(40).into()),
        absent("master_repl_offset", "Bytes of the history."),
        fact("second_repl_offset", "Where the history before ended; -1 for none.", |_| (-1_i64).into()),
        absent("repl_backlog_active", "Whether history is kept for replicas."),
        fact("repl_backlog_size", "Bytes of history that are kept at most.", |at| {
            at.backlog_bytes_max.into()
        }),
        absent("repl_backlog_first_byte_offset", "Where the history that is kept begins."),
        absent("repl_backlog_histlen", "Bytes of history that are kept."),
        absent("total_net_repl_input_bytes", "Bytes from the primary."),
        gauge("instantaneous_input_repl_kbps", "KiB a second from the primary, now.", |_| "0.00".into()),
        gauge("instantaneous_output_repl_kbps", "KiB a second to replicas, now.", |_| "0.00".into()),
        absent("sync_partial_ok", "Replicas that were sent the history that they had missed."),
        absent("sync_partial_err", "Replicas that asked for history in vain."),
        absent("slave_expires_tracked_keys", "Keys that a writable replica lets expire."),
        absent("async_loading", "Whether a primary's data is loaded beside the old."),
        absent("mem_replication_backlog", "Bytes of history that are kept for replicas."),
    ];
}

/// What is told of the cluster.
pub(super) const CLUSTER: &[Row<()>] = &[
    fact("redis_mode", "How servers work together: standalone.", |()| "standalone".into()),
    absent("cluster_enabled", "Whether this is a node of a cluster."),
    absent("cluster_connections", "Connections of the cluster's bus."),
    absent("mem_cluster_links", "Bytes of the cluster's connections."),
    absent("migrate_cached_sockets", "Connections that MIGRATE keeps."),
];

/// What is told of processes that save beside the one that serves: snapshots need none.
pub(super) const FORKS: &[Row<()>] = &[
    absent("latest_fork_usec", "Microseconds that the last fork took: there is none."),
    absent("total_forks", "Forks."),
    absent("current_cow_peak", "Bytes that a second process has copied at most: there is none."),
    absent("current_cow_size", "Bytes that a second process has copied."),
    absent("current_cow_size_age", "The age of that figure, seconds."),
    absent("rdb_last_cow_size", "Bytes that a second process copied for the last save."),
    absent("aof_last_cow_size", "Bytes that a second process copied for the last rewrite."),
    absent("module_fork_in_progress", "Whether a module's second process runs."),
    absent("module_fork_last_cow_size", "Bytes that a module's second process copied."),
];

/// What is told of moving memory together: the allocator needs none of it.
pub(super) const DEFRAGMENTATION: &[Row<()>] = &[
    absent(
        "active_defrag_running",
        "Whether memory is moved together: never, the allocator needs none of it.",
    ),
    absent("active_defrag_hits", "Values that were moved together."),
    absent("active_defrag_misses", "Values that were looked at and left."),
    absent("active_defrag_key_hits", "Keys that were moved together."),
    absent("active_defrag_key_misses", "Keys that were looked at and left."),
    absent("total_active_defrag_time", "Milliseconds spent on that."),
    absent("current_active_defrag_time", "Milliseconds spent on that, this time."),
];

/// What is told of threads for sockets alone: each worker serves its own.
pub(super) const IO_THREADS: &[Row<()>] = &[
    absent("io_threads_active", "Threads for sockets alone: none, each worker serves its own."),
    absent("io_threaded_reads_processed", "Reads by threads for sockets alone."),
    absent("io_threaded_writes_processed", "Writes by threads for sockets alone."),
];
