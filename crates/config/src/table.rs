//! The table of directives: those of Redis 7.2 and our own, a row each.
//!
//! A row reads: variant, name, perhaps an older alias, what it accepts, default, access, effect, documentation.
//! Rows stand by group, related ones together. Names, ranges and defaults are those of Redis 7.2 (a test compares
//! them with a recording of the real server); the sentences are our own. The file is long because a table is.
//!
//! A directive without effect here is accepted all the same, so that an existing redis.conf starts this server; the
//! reason is in the row, and the server names those that were given in one line of its log. One on which somebody relies
//! (encryption, a primary) is refused with a value that asks for something, see `unsupported.rs`.

use crate::directive::{Change, Effect, Group, Rights, Row, Target, directives};
use crate::kind::{TextRule, ValueKind};
use crate::own::{Engine, Metrics};

const SET: Rights = Rights { change: Change::Settable, is_hidden: false, is_secret: false };
const FIXED: Rights = Rights { change: Change::Immutable, ..SET };
const PROTECTED: Rights = Rights { change: Change::Protected, ..SET };
const FILE: Rights = Rights { change: Change::FileOnly, ..SET };
const HIDDEN: Rights = Rights { is_hidden: true, ..SET };
const SECRET: Rights = Rights { is_secret: true, ..SET };

const HERE: Effect = Effect::Effective(Target::Readers);
const DESCRIPTORS: Effect = Effect::Effective(Target::Descriptors);
const DIRECTORY: Effect = Effect::Effective(Target::Directory);
const LISTENING: Effect = Effect::Effective(Target::Listening);
const CLIENTS: Effect = Effect::Effective(Target::Clients);
const TRACKING: Effect = Effect::Effective(Target::Tracking);
const EVICTION: Effect = Effect::Effective(Target::Eviction);
const ENCODINGS: Effect = Effect::Effective(Target::Encodings);
const SLOW_COMMANDS: Effect = Effect::Effective(Target::SlowCommands);
const METRICS: Effect = Effect::Effective(Target::Metrics);
const REPLICAS: Effect = Effect::Effective(Target::Replicas);
const DELAYS: Effect = Effect::Effective(Target::Delays);
const JOURNAL: Effect = Effect::Effective(Target::Journal);
const DISK_ERRORS: Effect = Effect::Effective(Target::DiskErrors);
const LOG: Effect = Effect::Effective(Target::Log);
const APPEND_ONLY: Effect = Effect::Effective(Target::AppendOnly);
const PASSWORD: Effect = Effect::Effective(Target::Password);
const USERS: Effect = Effect::Effective(Target::Users);
// What is still to be built. When it is there, its rows name what takes their values.
const REPLICATION: Effect = Effect::NoEffectHere("replication is not supported yet");
const CLUSTER: Effect = Effect::NoEffectHere("cluster mode is not supported yet");
const TLS: Effect = Effect::NoEffectHere("TLS is not supported yet");
const NO_REPLICATION: Effect = Effect::Refused("replication is not supported yet");
const NO_CLUSTER: Effect = Effect::Refused("cluster mode is not supported yet");
const NO_TLS: Effect = Effect::Refused("TLS is not supported yet");
// What this server does otherwise, or has no use for.
const MODULES: Effect = Effect::NoEffectHere("modules written for Redis cannot be loaded");
const NO_MODULES: Effect = Effect::Refused("modules written for Redis cannot be loaded");
const NO_DEFRAGMENTATION: Effect = Effect::Refused(
    "Active defragmentation cannot be enabled: the allocator of this server does not move values",
);
const NO_SYSLOG: Effect = Effect::Refused("the log goes to standard output or to logfile");
const NO_SCORES: Effect = Effect::Refused("the server does not change its score; use a service manager");
const NO_MARKS: Effect = Effect::Refused("sockets are not marked");
const NO_LOCALES: Effect = Effect::Refused("SORT ALPHA compares bytes");
const EXACT: Effect = Effect::NoEffectHere("what is due next is known exactly, so nothing is looked for");
const THREADS: Effect = Effect::NoEffectHere("the directive threads sets the number of serving threads");
const CPU_LIST: Effect = Effect::NoEffectHere("threads are not pinned; use taskset or a service manager");
const LAZY: Effect = Effect::NoEffectHere("large values are always freed off the serving thread");
const STEADY: Effect =
    Effect::NoEffectHere("tables grow in small steps; there is no rehashing in the background");
const ALLOCATOR: Effect = Effect::NoEffectHere("the allocator is not jemalloc");
const SCORES: Effect = Effect::NoEffectHere("oom-score-adj is not supported");
const FOREGROUND: Effect = Effect::NoEffectHere("the server stays in the foreground; use a service manager");
const TITLE: Effect = Effect::NoEffectHere("the process title is not changed");
const SYSLOG: Effect = Effect::NoEffectHere("logs go to standard output or logfile");
const CRASH: Effect = Effect::NoEffectHere("a crash is reported by the Rust runtime");
const CHECKED: Effect = Effect::NoEffectHere("payloads are always checked in full");
const NOT_NEEDED: Effect = Effect::NoEffectHere("there is nothing here that it would switch");

const BOOL: ValueKind = ValueKind::Bool;
const TEXT: ValueKind = ValueKind::Text(TextRule::Any);
const NULLABLE: ValueKind = ValueKind::Text(TextRule::Nullable);
const HOSTNAME: ValueKind = ValueKind::Text(TextRule::Hostname);
const BYTES: ValueKind = bytes(0, LONG);
const SHUTDOWN: ValueKind = ValueKind::Flags(&["default", "save", "nosave", "now", "force"]);
const WHO: ValueKind = ValueKind::Choice(&["no", "yes", "local"]);
const PORT: ValueKind = int(0, 65_535);
const COUNT: ValueKind = int(0, INT);
const COUNT_LONG: ValueKind = int(0, LONG as i64);
const COUNT_FROM_ONE: ValueKind = int(1, LONG as i64);
const INT: i64 = i32::MAX as i64;
const INT_MIN: i64 = i32::MIN as i64;
const UINT: i64 = u32::MAX as i64;
const LONG: u64 = i64::MAX as u64;
const MB: u64 = 1 << 20;

const fn int(min: i64, max: i64) -> ValueKind {
    ValueKind::Int { min, max }
}

const fn bytes(min: u64, max: u64) -> ValueKind {
    ValueKind::Memory { min, max }
}

const fn file_name(not_a_path: &'static str, not_empty: Option<&'static str>) -> ValueKind {
    ValueKind::Text(TextRule::FileName { not_a_path, not_empty })
}

directives! {
Engine {
    Engine "engine" ValueKind::Choice(Engine::NAMES), Engine::DEFAULT.name(), FIXED, HERE,
        "How commands get exclusive use of keys: one global lock, sharded locks, or a thread that owns each shard.";
    Metrics "metrics" ValueKind::Choice(Metrics::NAMES), Metrics::DEFAULT.name(), FIXED, HERE,
        "How commands are counted: not at all, behind one lock, in shards, or per thread without any lock.";
    Contention "contention" BOOL, "no", SET, METRICS,
        "Measure how long locks are waited for and held, and how long queues get.";
    Threads "threads" int(0, 1024), "0", FIXED, HERE,
        "Threads that serve connections; 0 means one per core but one, left to the kernel, journal and snapshots.";
    Shards "shards" ValueKind::PowerOfTwo { max: 65_536 }, "1024", FIXED, HERE,
        "Parts that the keyspace is divided into, whatever the engine; the mutex engine has one lock for all of them.";
    Compat "compat" ValueKind::Choice(&["no", "6.2", "7.0", "7.2", "7.4", "8.0", "8.2", "8.4", "8.6", "8.8", "8.10"]), "no",
        FIXED, HERE,
        "Version of Redis whose commands there are: those that are newer are hidden, for clients that look for them.";
    IgnoreUnsupported "ignore-unsupported" BOOL, "no", FIXED, HERE,
        "Start, and do without, when a directive asks for something that this server does not do.";
}
Network {
    Port "port" PORT, "6379", SET, LISTENING,
        "TCP port to listen on; 0 means that no TCP port is opened.";
    Bind "bind" ValueKind::Bind, "* -::*", SET, LISTENING,
        "Addresses to listen on; one with a leading `-` may be missing on this machine.";
    Unixsocket "unixsocket" NULLABLE, "", FIXED, HERE,
        "Path of a Unix socket to listen on as well.";
    Unixsocketperm "unixsocketperm" ValueKind::Octal { max: 0o777 }, "0", FIXED, HERE,
        "Permissions of the Unix socket in octal; 0 leaves them to the umask.";
    TcpBacklog "tcp-backlog" COUNT, "511", FIXED, HERE,
        "Connections that may wait to be accepted; the kernel has a limit of its own.";
    TcpKeepalive "tcp-keepalive" COUNT, "300", SET, CLIENTS,
        "Seconds of silence after which the kernel asks whether a client is still there; 0 never asks.";
    Timeout "timeout" COUNT, "0", SET, CLIENTS,
        "Seconds after which an idle client is disconnected; 0 means never.";
    ProtectedMode "protected-mode" BOOL, "yes", SET, CLIENTS,
        "Serve only clients of this machine as long as the default user has no password.";
    BindSourceAddr "bind-source-addr" NULLABLE, "", SET, REPLICATION,
        "Local address of connections that the server opens itself.";
    SocketMarkId "socket-mark-id" int(0, UINT), "0", FIXED, NO_MARKS,
        "Mark for the server's sockets that firewalls and routes can match.";
}
Tls {
    TlsPort "tls-port" PORT, "0", SET, NO_TLS,
        "TCP port for encrypted connections; 0 means none.";
    TlsCertFile "tls-cert-file" NULLABLE, "", SET, NO_TLS,
        "File with the server's certificate, PEM.";
    TlsKeyFile "tls-key-file" NULLABLE, "", SET, NO_TLS,
        "File with the private key of the server's certificate, PEM.";
    TlsKeyFilePass "tls-key-file-pass" NULLABLE, "", SECRET, NO_TLS,
        "Password of the server's private key.";
    TlsClientCertFile "tls-client-cert-file" NULLABLE, "", SET, NO_TLS,
        "File with the certificate for connections that the server opens itself.";
    TlsClientKeyFile "tls-client-key-file" NULLABLE, "", SET, NO_TLS,
        "File with the private key of that certificate.";
    TlsClientKeyFilePass "tls-client-key-file-pass" NULLABLE, "", SECRET, NO_TLS,
        "Password of that private key.";
    TlsDhParamsFile "tls-dh-params-file" NULLABLE, "", SET, NO_TLS,
        "File with Diffie-Hellman parameters for old TLS libraries.";
    TlsCaCertFile "tls-ca-cert-file" NULLABLE, "", SET, NO_TLS,
        "File with certificates of the authorities that are trusted.";
    TlsCaCertDir "tls-ca-cert-dir" NULLABLE, "", SET, NO_TLS,
        "Directory with certificates of the authorities that are trusted.";
    TlsAuthClients "tls-auth-clients" ValueKind::Choice(&["no", "yes", "optional"]), "yes", SET, TLS,
        "Whether clients must show a certificate.";
    TlsReplication "tls-replication" BOOL, "no", SET, NO_TLS,
        "Use TLS to talk to the primary.";
    TlsCluster "tls-cluster" BOOL, "no", SET, NO_TLS,
        "Use TLS between the nodes of a cluster.";
    TlsProtocols "tls-protocols" NULLABLE, "", SET, TLS,
        "Versions of TLS to accept, separated by spaces.";
    TlsCiphers "tls-ciphers" NULLABLE, "", SET, TLS,
        "Ciphers for TLS 1.2 and older.";
    TlsCiphersuites "tls-ciphersuites" NULLABLE, "", SET, TLS,
        "Cipher suites for TLS 1.3.";
    TlsPreferServerCiphers "tls-prefer-server-ciphers" BOOL, "no", SET, TLS,
        "Choose the cipher by the server's order instead of the client's.";
    TlsSessionCaching "tls-session-caching" BOOL, "yes", SET, TLS,
        "Let clients resume sessions, which makes new connections cheaper.";
    TlsSessionCacheSize "tls-session-cache-size" COUNT, "20480", SET, TLS,
        "Sessions that are remembered; 0 means without limit.";
    TlsSessionCacheTimeout "tls-session-cache-timeout" COUNT, "300", SET, TLS,
        "Seconds for which a session can be resumed.";
}
Security {
    Requirepass "requirepass" NULLABLE, "", SECRET, PASSWORD,
        "Password of the default user.";
    Aclfile "aclfile" TEXT, "", FIXED, USERS,
        "File with users and their rights, instead of `user` lines.";
    User "user" ValueKind::Lines { min: 1, max: usize::MAX }, "", FILE, USERS,
        "A user and the rules of what it may do.";
    AcllogMaxLen "acllog-max-len" COUNT_LONG, "128", SET, USERS,
        "Entries that ACL LOG keeps.";
    AclPubsubDefault "acl-pubsub-default" ValueKind::Choice(&["allchannels", "resetchannels"]), "resetchannels", SET, USERS,
        "Whether a new user may use all channels or none.";
    EnableProtectedConfigs "enable-protected-configs" WHO, "no", FIXED, HERE,
        "Who may change protected directives with CONFIG SET: nobody, everybody, or clients of this machine.";
    EnableDebugCommand "enable-debug-command" WHO, "no", FIXED, HERE,
        "Who may use DEBUG: nobody, everybody, or clients of this machine.";
    EnableModuleCommand "enable-module-command" WHO, "no", FIXED, MODULES,
        "Who may use MODULE: nobody, everybody, or clients of this machine.";
    RenameCommand "rename-command" ValueKind::Lines { min: 2, max: 2 }, "", FILE, HERE,
        "Gives a command another name, or removes it if the new name is empty.";
    SanitizeDumpPayload "sanitize-dump-payload" ValueKind::Choice(&["no", "yes", "clients"]), "no", SET, CHECKED,
        "Whether payloads of RESTORE and RDB files are checked in full before use.";
}
Clients {
    Maxclients "maxclients" int(1, UINT), "10000", SET, DESCRIPTORS,
        "Clients that may be connected at the same time.";
    Databases "databases" int(1, INT), "16", FIXED, HERE,
        "Databases that SELECT can choose from.";
    MaxmemoryClients "maxmemory-clients" ValueKind::MemoryOrPercent, "0", SET, EVICTION,
        "Memory that all clients may use together, in bytes or per cent of maxmemory; 0 means without limit.";
    ClientQueryBufferLimit "client-query-buffer-limit" bytes(MB, LONG), "1073741824", SET, CLIENTS,
        "Bytes that a client may send before they are executed.";
    ClientOutputBufferLimit "client-output-buffer-limit" ValueKind::BufferLimits,
        "normal 0 0 0 replica 268435456 67108864 60 pubsub 33554432 8388608 60", SET, CLIENTS,
        "Replies that may wait for a class of clients: hard limit, soft limit, seconds above the soft limit.";
    ProtoMaxBulkLen "proto-max-bulk-len" bytes(MB, LONG), "536870912", SET, CLIENTS,
        "Bytes that a single argument may have.";
    TrackingTableMaxKeys "tracking-table-max-keys" COUNT_LONG, "1000000", SET, TRACKING,
        "Keys that are remembered for client-side caching; 0 means without limit.";
    TrackingClientMaxKeys "tracking-client-max-keys" COUNT_LONG, "0", SET, TRACKING,
        "Keys of one client that are remembered for client-side caching; 0 means without limit.";
    BusyReplyThreshold "busy-reply-threshold" / "lua-time-limit" COUNT_LONG, "5000", SET, CLIENTS,
        "Milliseconds after which other clients see BUSY where one keeps the keys that they need; 0 means never.";
}
Memory {
    ScriptMemoryLimit "script-memory-limit" bytes(0, u64::MAX), "1gb", SET, CLIENTS,
        "Bytes that an interpreter of scripts may use before a script ends with an error; 0 means without limit.";
    Maxmemory "maxmemory" bytes(0, u64::MAX), "0", SET, EVICTION,
        "Bytes that the data may use before keys are evicted or writes refused; 0 means without limit.";
    MaxmemoryPolicy "maxmemory-policy" ValueKind::Choice(&[
            "volatile-lru", "volatile-lfu", "volatile-lrm", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu",
            "allkeys-lrm", "allkeys-random", "noeviction",
        ]), "noeviction", SET, EVICTION,
        "Which keys go when maxmemory is reached.";
    MaxmemorySamples "maxmemory-samples" int(1, INT), "5", SET, EVICTION,
        "Keys that are compared to find one to evict: more is more exact and slower.";
    MaxmemoryEvictionTenacity "maxmemory-eviction-tenacity" int(0, 100), "10", SET, EVICTION,
        "How much time a command may spend on evictions: 0 least, 100 as much as it takes.";
    LfuLogFactor "lfu-log-factor" COUNT, "10", SET, EVICTION,
        "How many hits it takes to saturate a key's counter of use.";
    LfuDecayTime "lfu-decay-time" COUNT, "1", SET, EVICTION,
        "Minutes after which an unused key's counter of use goes down by one; 0 means never.";
    ActiveExpireEffort "active-expire-effort" int(1, 10), "1", SET, EXACT,
        "How hard expired keys are looked for that nobody asks for.";
    LazyfreeLazyEviction "lazyfree-lazy-eviction" BOOL, "no", SET, LAZY,
        "Free evicted values in the background.";
    LazyfreeLazyExpire "lazyfree-lazy-expire" BOOL, "no", SET, LAZY,
        "Free expired values in the background.";
    LazyfreeLazyServerDel "lazyfree-lazy-server-del" BOOL, "no", SET, LAZY,
        "Free overwritten values in the background.";
    LazyfreeLazyUserDel "lazyfree-lazy-user-del" BOOL, "no", SET, LAZY,
        "Make DEL work as UNLINK does.";
    LazyfreeLazyUserFlush "lazyfree-lazy-user-flush" BOOL, "no", SET, LAZY,
        "Make FLUSHDB and FLUSHALL asynchronous unless they say otherwise.";
    Activerehashing "activerehashing" BOOL, "yes", SET, STEADY,
        "Spend a little time on rehashing even when no command asks for it.";
    Activedefrag "activedefrag" BOOL, "no", SET, NO_DEFRAGMENTATION,
        "Move values together when the memory is fragmented.";
    ActiveDefragIgnoreBytes "active-defrag-ignore-bytes" bytes(1, LONG), "104857600", SET, ALLOCATOR,
        "Wasted bytes below which nothing is moved.";
    ActiveDefragThresholdLower "active-defrag-threshold-lower" int(0, 1000), "10", SET, ALLOCATOR,
        "Percentage of waste at which moving begins.";
    ActiveDefragThresholdUpper "active-defrag-threshold-upper" int(0, 1000), "100", SET, ALLOCATOR,
        "Percentage of waste at which the most effort is made.";
    ActiveDefragCycleMin "active-defrag-cycle-min" int(1, 99), "1", SET, ALLOCATOR,
        "Percentage of a core for moving at the lower threshold.";
    ActiveDefragCycleMax "active-defrag-cycle-max" int(1, 99), "25", SET, ALLOCATOR,
        "Percentage of a core for moving at the upper threshold.";
    ActiveDefragMaxScanFields "active-defrag-max-scan-fields" COUNT_FROM_ONE, "1000", SET, ALLOCATOR,
        "Elements of a collection that are moved in one go.";
    JemallocBgThread "jemalloc-bg-thread" BOOL, "yes", SET, ALLOCATOR,
        "Let jemalloc give memory back to the system in a thread of its own.";
}
Encodings {
    HashMaxListpackEntries "hash-max-listpack-entries" / "hash-max-ziplist-entries" COUNT_LONG, "512", SET, ENCODINGS,
        "Most fields of a hash that is stored compactly.";
    HashMaxListpackValue "hash-max-listpack-value" / "hash-max-ziplist-value" BYTES, "64", SET, ENCODINGS,
        "Longest field or value, in bytes, of a hash that is stored compactly.";
    ListMaxListpackSize "list-max-listpack-size" / "list-max-ziplist-size" int(INT_MIN, INT), "-2", SET, ENCODINGS,
        "Size of a list's nodes: elements if positive, 4 to 64 KiB for -1 to -5.";
    ListCompressDepth "list-compress-depth" COUNT, "0", SET, ENCODINGS,
        "Nodes at each end of a list that are not compressed; 0 compresses none.";
    SetMaxIntsetEntries "set-max-intset-entries" COUNT_LONG, "512", SET, ENCODINGS,
        "Most members of a set of integers that is stored compactly.";
    SetMaxListpackEntries "set-max-listpack-entries" COUNT_LONG, "128", SET, ENCODINGS,
        "Most members of a set that is stored compactly.";
    SetMaxListpackValue "set-max-listpack-value" BYTES, "64", SET, ENCODINGS,
        "Longest member, in bytes, of a set that is stored compactly.";
    ZsetMaxListpackEntries "zset-max-listpack-entries" / "zset-max-ziplist-entries" COUNT_LONG, "128", SET, ENCODINGS,
        "Most members of a sorted set that is stored compactly.";
    ZsetMaxListpackValue "zset-max-listpack-value" / "zset-max-ziplist-value" BYTES, "64", SET, ENCODINGS,
        "Longest member, in bytes, of a sorted set that is stored compactly.";
    HllSparseMaxBytes "hll-sparse-max-bytes" BYTES, "3000", SET, ENCODINGS,
        "Largest HyperLogLog, in bytes, in the sparse representation.";
    StreamNodeMaxBytes "stream-node-max-bytes" BYTES, "4096", SET, ENCODINGS,
        "Bytes of a stream's node; 0 means without limit.";
    StreamNodeMaxEntries "stream-node-max-entries" COUNT_LONG, "100", SET, ENCODINGS,
        "Entries of a stream's node; 0 means without limit.";
}
Snapshots {
    Save "save" ValueKind::Save, "3600 1 300 100 60 10000", SET, DISK_ERRORS,
        "Save after so many seconds if so many keys changed; an empty value never saves.";
    Dbfilename "dbfilename" file_name("dbfilename can't be a path, just a filename", None), "dump.rdb",
        PROTECTED, HERE,
        "Name of the snapshot file in the working directory.";
    Rdbcompression "rdbcompression" BOOL, "yes", SET, HERE,
        "Compress strings in snapshots.";
    Rdbchecksum "rdbchecksum" BOOL, "yes", FIXED, HERE,
        "Write a checksum at the end of snapshots and verify it on loading.";
    StopWritesOnBgsaveError "stop-writes-on-bgsave-error" BOOL, "yes", SET, DISK_ERRORS,
        "Refuse writes after a failed background save, so that somebody notices.";
    RdbSaveIncrementalFsync "rdb-save-incremental-fsync" BOOL, "yes", SET, HERE,
        "Flush a snapshot to disk step by step while it is written.";
    RdbDelSyncFiles "rdb-del-sync-files" BOOL, "no", SET, REPLICATION,
        "Remove snapshots that were only made to synchronise replicas.";
}
AppendOnly {
    Appendonly "appendonly" BOOL, "no", SET, APPEND_ONLY,
        "Write each change to the append-only file.";
    Appendfsync "appendfsync" ValueKind::Choice(&["everysec", "always", "no"]), "everysec", SET, JOURNAL,
        "When the append-only file is flushed to disk: once a second, before each reply, or when the system likes.";
    Appendfilename "appendfilename"
        file_name("appendfilename can't be a path, just a filename", Some("appendfilename can't be empty")),
        "appendonly.aof", FIXED, HERE,
        "What the names of the append-only files begin with.";
    Appenddirname "appenddirname"
        file_name("appenddirname can't be a path, just a dirname", Some("appenddirname can't be empty")),
        "appendonlydir", FIXED, HERE,
        "Directory of the append-only files, inside the working directory.";
    NoAppendfsyncOnRewrite "no-appendfsync-on-rewrite" BOOL, "no", SET, HERE,
        "Do not flush the append-only file while a snapshot or a rewrite is running.";
    AutoAofRewritePercentage "auto-aof-rewrite-percentage" COUNT, "100", SET, HERE,
        "Growth since the last rewrite, in per cent, at which the append-only file is rewritten; 0 means never.";
    AutoAofRewriteMinSize "auto-aof-rewrite-min-size" BYTES, "67108864", SET, HERE,
        "Size below which the append-only file is not rewritten by itself.";
    AofLoadTruncated "aof-load-truncated" BOOL, "yes", SET, HERE,
        "Start with what is readable if the append-only file ends in the middle of a command.";
    AofUseRdbPreamble "aof-use-rdb-preamble" BOOL, "yes", SET, HERE,
        "Begin a rewritten append-only file with a snapshot.";
    AofTimestampEnabled "aof-timestamp-enabled" BOOL, "no", SET, JOURNAL,
        "Write times into the append-only file, so that it can be cut at one.";
    AofRewriteIncrementalFsync "aof-rewrite-incremental-fsync" BOOL, "yes", SET, HERE,
        "Flush a rewritten append-only file to disk step by step.";
    AofBufferLimit "aof-buffer-limit" BYTES, "268435456", SET, JOURNAL,
        "Bytes that wait to be written to the append-only file until clients that write must wait too.";
    AofWriteTimeout "aof-write-timeout" COUNT, "10000", SET, CLIENTS,
        "Milliseconds until a client is closed whose write a failing disk does not take; 0 means never.";
    AofDisableAutoGc "aof-disable-auto-gc" BOOL, "no", SET, HERE,
        "Keep append-only files that are no longer needed.";
}
Replication {
    Replicaof "replicaof" / "slaveof" ValueKind::Primary, "", FIXED, NO_REPLICATION,
        "Host and port of the server to be a replica of.";
    Masterauth "masterauth" NULLABLE, "", SECRET, NO_REPLICATION,
        "Password to log in to the primary with.";
    Masteruser "masteruser" NULLABLE, "", SECRET, NO_REPLICATION,
        "User to log in to the primary as.";
    ReplicaServeStaleData "replica-serve-stale-data" / "slave-serve-stale-data" BOOL, "yes", SET, REPLICATION,
        "Answer with what is there while the primary cannot be reached.";
    ReplicaReadOnly "replica-read-only" / "slave-read-only" BOOL, "yes", SET, REPLICATION,
        "Refuse writes of clients to a replica.";
    ReplicaPriority "replica-priority" / "slave-priority" COUNT, "100", SET, REPLICATION,
        "Sentinel promotes the replica with the least priority; 0 is never promoted.";
    ReplicaAnnounced "replica-announced" BOOL, "yes", SET, REPLICATION,
        "Let Sentinel tell clients of this replica.";
    ReplicaAnnounceIp "replica-announce-ip" / "slave-announce-ip" NULLABLE, "", SET, REPLICATION,
        "Address that a replica tells its primary.";
    ReplicaAnnouncePort "replica-announce-port" / "slave-announce-port" PORT, "0", SET, REPLICATION,
        "Port that a replica tells its primary; 0 means the real one.";
    ReplicaIgnoreMaxmemory "replica-ignore-maxmemory" / "slave-ignore-maxmemory" BOOL, "yes", SET, REPLICATION,
        "Leave evictions to the primary.";
    ReplicaIgnoreDiskWriteErrors "replica-ignore-disk-write-errors" BOOL, "no", SET, REPLICATION,
        "Go on as a replica when the disk cannot be written.";
    ReplicaLazyFlush "replica-lazy-flush" / "slave-lazy-flush" BOOL, "no", SET, REPLICATION,
        "Drop a replica's old data in the background before a full synchronisation.";
    MinReplicasToWrite "min-replicas-to-write" / "min-slaves-to-write" COUNT, "0", SET, REPLICAS,
        "Refuse writes with fewer connected replicas than this.";
    MinReplicasMaxLag "min-replicas-max-lag" / "min-slaves-max-lag" COUNT, "10", SET, REPLICAS,
        "Seconds of silence after which a replica no longer counts for min-replicas-to-write.";
    ReplBacklogSize "repl-backlog-size" bytes(1, LONG), "1048576", SET, REPLICATION,
        "Bytes of recent changes that let a replica catch up without a full synchronisation.";
    ReplBacklogTtl "repl-backlog-ttl" COUNT_LONG, "3600", SET, REPLICATION,
        "Seconds without replicas after which the backlog is freed; 0 means never.";
    ReplTimeout "repl-timeout" int(1, INT), "60", SET, REPLICATION,
        "Seconds of silence after which the other side is taken to be gone.";
    ReplPingReplicaPeriod "repl-ping-replica-period" / "repl-ping-slave-period" int(1, INT), "10", SET, REPLICATION,
        "Seconds between a primary's pings.";
    ReplDisableTcpNodelay "repl-disable-tcp-nodelay" BOOL, "no", SET, REPLICATION,
        "Send larger packets to replicas, later.";
    ReplDisklessSync "repl-diskless-sync" BOOL, "yes", SET, REPLICATION,
        "Send snapshots to replicas without a file.";
    ReplDisklessSyncDelay "repl-diskless-sync-delay" COUNT, "5", SET, REPLICATION,
        "Seconds to wait for more replicas before such a snapshot.";
    ReplDisklessSyncMaxReplicas "repl-diskless-sync-max-replicas" COUNT, "0", SET, REPLICATION,
        "Replicas for which the wait ends early; 0 waits the whole time.";
    ReplDisklessLoad "repl-diskless-load" ValueKind::Choice(&["disabled", "on-empty-db", "swapdb"]), "disabled",
        SET, REPLICATION,
        "When a replica loads a snapshot straight from the connection.";
    PropagationErrorBehavior "propagation-error-behavior" ValueKind::Choice(&["ignore", "panic", "panic-on-replicas"]),
        "ignore", SET, REPLICATION,
        "What to do about an error in a replicated command.";
}
Cluster {
    ClusterEnabled "cluster-enabled" BOOL, "no", FIXED, NO_CLUSTER,
        "Be a node of a cluster.";
    ClusterConfigFile "cluster-config-file" TEXT, "nodes.conf", FIXED, CLUSTER,
        "File in which a node keeps what it knows of its cluster.";
    ClusterPort "cluster-port" PORT, "0", FIXED, CLUSTER,
        "Port of the cluster bus; 0 means port plus 10000.";
    ClusterNodeTimeout "cluster-node-timeout" COUNT_LONG, "15000", SET, CLUSTER,
        "Milliseconds of silence after which a node is taken to be failing.";
    ClusterAnnounceIp "cluster-announce-ip" NULLABLE, "", SET, CLUSTER,
        "Address that a node announces.";
    ClusterAnnouncePort "cluster-announce-port" PORT, "0", SET, CLUSTER,
        "Port that a node announces; 0 means the real one.";
    ClusterAnnounceTlsPort "cluster-announce-tls-port" PORT, "0", SET, CLUSTER,
        "TLS port that a node announces; 0 means the real one.";
    ClusterAnnounceBusPort "cluster-announce-bus-port" PORT, "0", SET, CLUSTER,
        "Port of the bus that a node announces; 0 means the real one.";
    ClusterAnnounceHostname "cluster-announce-hostname" HOSTNAME, "", SET, CLUSTER,
        "Host name that a node announces.";
    ClusterAnnounceHumanNodename "cluster-announce-human-nodename" ValueKind::Text(TextRule::NodeName), "", SET, CLUSTER,
        "Name for people that a node announces, for logs.";
    ClusterPreferredEndpointType "cluster-preferred-endpoint-type"
        ValueKind::Choice(&["ip", "hostname", "unknown-endpoint"]), "ip", SET, CLUSTER,
        "What redirections name a node by.";
    ClusterRequireFullCoverage "cluster-require-full-coverage" BOOL, "yes", SET, CLUSTER,
        "Serve nothing while some slot has no node.";
    ClusterAllowReadsWhenDown "cluster-allow-reads-when-down" BOOL, "no", SET, CLUSTER,
        "Serve reads while the cluster is down.";
    ClusterAllowPubsubshardWhenDown "cluster-allow-pubsubshard-when-down" BOOL, "yes", SET, CLUSTER,
        "Serve sharded pub/sub while the cluster is down.";
    ClusterReplicaValidityFactor "cluster-replica-validity-factor" / "cluster-slave-validity-factor" COUNT, "10",
        SET, CLUSTER,
        "Node timeouts after which a replica's data is too old for a failover; 0 means never.";
    ClusterReplicaNoFailover "cluster-replica-no-failover" / "cluster-slave-no-failover" BOOL, "no", SET, CLUSTER,
        "Never start a failover by itself.";
    ClusterMigrationBarrier "cluster-migration-barrier" COUNT, "1", SET, CLUSTER,
        "Replicas that a primary keeps before one may move to another primary.";
    ClusterAllowReplicaMigration "cluster-allow-replica-migration" BOOL, "yes", SET, CLUSTER,
        "Let replicas move to primaries that have none.";
    ClusterLinkSendbufLimit "cluster-link-sendbuf-limit" bytes(0, u64::MAX), "0", SET, CLUSTER,
        "Bytes that may wait on a link of the bus; 0 means without limit.";
}
Observability {
    Loglevel "loglevel" ValueKind::Choice(&["debug", "verbose", "notice", "warning"]), "notice", SET, LOG,
        "How much is logged.";
    Logfile "logfile" TEXT, "", FIXED, HERE,
        "File to log to; empty means standard output.";
    SlowlogLogSlowerThan "slowlog-log-slower-than" / "commandlog-execution-slower-than" int(-1, i64::MAX), "10000", SET, SLOW_COMMANDS,
        "Microseconds from which a command enters the slow log; 0 takes all, -1 none.";
    SlowlogMaxLen "slowlog-max-len" / "commandlog-slow-execution-max-len" COUNT_LONG, "128", SET, SLOW_COMMANDS,
        "Entries that the slow log keeps.";
    CommandlogRequestLargerThan "commandlog-request-larger-than" int(-1, i64::MAX), "1048576", SET, SLOW_COMMANDS,
        "Bytes from which a request enters the log of large requests; 0 takes all, -1 none.";
    CommandlogLargeRequestMaxLen "commandlog-large-request-max-len" COUNT_LONG, "128", SET, SLOW_COMMANDS,
        "Entries that the log of large requests keeps.";
    CommandlogReplyLargerThan "commandlog-reply-larger-than" int(-1, i64::MAX), "1048576", SET, SLOW_COMMANDS,
        "Bytes from which a reply enters the log of large replies; 0 takes all, -1 none.";
    CommandlogLargeReplyMaxLen "commandlog-large-reply-max-len" COUNT_LONG, "128", SET, SLOW_COMMANDS,
        "Entries that the log of large replies keeps.";
    LatencyTracking "latency-tracking" BOOL, "yes", SET, METRICS,
        "Keep a histogram of the time that each command takes.";
    LatencyTrackingInfoPercentiles "latency-tracking-info-percentiles" ValueKind::Percentiles, "50 99 99.9", SET, HERE,
        "Percentiles of those times that INFO latencystats shows.";
    LatencyMonitorThreshold "latency-monitor-threshold" COUNT_LONG, "0", SET, SLOW_COMMANDS,
        "Milliseconds from which an event enters the latency monitor; 0 switches it off.";
    NotifyKeyspaceEvents "notify-keyspace-events" ValueKind::Events, "", SET, CLIENTS,
        "Classes of events that are published, as letters.";
    SyslogEnabled "syslog-enabled" BOOL, "no", FIXED, NO_SYSLOG,
        "Log to the system's log.";
    SyslogIdent "syslog-ident" TEXT, "redis", FIXED, SYSLOG,
        "Name in the system's log.";
    SyslogFacility "syslog-facility"
        ValueKind::Choice(&["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]),
        "local0", FIXED, SYSLOG,
        "Facility of the system's log.";
    CrashLogEnabled "crash-log-enabled" BOOL, "yes", SET, CRASH,
        "Log registers and stack of a crash.";
    CrashMemcheckEnabled "crash-memcheck-enabled" BOOL, "yes", SET, CRASH,
        "Test the memory after a crash.";
}
Process {
    Dir "dir" TEXT, "", PROTECTED, DIRECTORY,
        "Working directory; files without a path are there.";
    Include "include" ValueKind::Lines { min: 1, max: 1 }, "", FILE, HERE,
        "Reads another file at this place; the name may be a pattern.";
    Loadmodule "loadmodule" ValueKind::Lines { min: 1, max: usize::MAX }, "", FILE, NO_MODULES,
        "Loads a module at the start.";
    Pidfile "pidfile" NULLABLE, "", FIXED, HERE,
        "File to write the process id to.";
    Daemonize "daemonize" BOOL, "no", FIXED, FOREGROUND,
        "Go to the background.";
    Supervised "supervised" ValueKind::Choice(&["upstart", "systemd", "auto", "no"]), "no", FIXED, HERE,
        "Which service manager to tell that the server is ready: systemd, or auto to look for it.";
    ShutdownTimeout "shutdown-timeout" COUNT, "10", SET, REPLICATION,
        "Seconds that a shutdown waits for replicas to catch up.";
    ShutdownOnSigint "shutdown-on-sigint" SHUTDOWN, "default", SET, HERE,
        "How to shut down on SIGINT.";
    ShutdownOnSigterm "shutdown-on-sigterm" SHUTDOWN, "default", SET, HERE,
        "How to shut down on SIGTERM.";
    Hz "hz" ValueKind::Clamped { min: 1, max: 500 }, "10", SET, CLIENTS,
        "How many times a second background work is done.";
    DynamicHz "dynamic-hz" BOOL, "yes", SET, NOT_NEEDED,
        "Do background work more often with many clients.";
    IoThreads "io-threads" int(1, 128), "1", FIXED, THREADS,
        "Threads that write replies.";
    IoThreadsDoReads "io-threads-do-reads" BOOL, "no", FIXED, THREADS,
        "Let those threads read and parse requests too.";
    LocaleCollate "locale-collate" TEXT, "", SET, NO_LOCALES,
        "Locale for comparing strings in SORT ALPHA.";
    SetProcTitle "set-proc-title" BOOL, "yes", FIXED, TITLE,
        "Show the server's state in the process title.";
    ProcTitleTemplate "proc-title-template" ValueKind::Text(TextRule::ProcessTitle), "{title} {listen-addr} {server-mode}",
        SET, TITLE,
        "What the process title looks like.";
    AlwaysShowLogo "always-show-logo" BOOL, "no", FIXED, NOT_NEEDED,
        "Log the logo even if the log is not a terminal.";
    OomScoreAdj "oom-score-adj" ValueKind::Choice(&["no", "yes", "relative", "absolute"]), "no", SET, NO_SCORES,
        "Tell the kernel which of the server's processes to kill first when memory runs out.";
    OomScoreAdjValues "oom-score-adj-values" ValueKind::OomScores, "0 200 800", SET, SCORES,
        "Scores of a primary, a replica, and a background child.";
    DisableThp "disable-thp" BOOL, "yes", FIXED, HERE,
        "Do without transparent huge pages: clearing one stalls the request that touches it first.";
    ServerCpulist "server_cpulist" NULLABLE, "", FIXED, CPU_LIST,
        "Cores for the serving threads.";
    BioCpulist "bio_cpulist" NULLABLE, "", FIXED, CPU_LIST,
        "Cores for background threads.";
    AofRewriteCpulist "aof_rewrite_cpulist" NULLABLE, "", FIXED, CPU_LIST,
        "Cores for rewrites of the append-only file.";
    BgsaveCpulist "bgsave_cpulist" NULLABLE, "", FIXED, CPU_LIST,
        "Cores for background saves.";
    IgnoreWarnings "ignore-warnings" TEXT, "", SET, NOT_NEEDED,
        "Warnings at the start that do not keep the server from running.";
}
Debugging {
    WatchdogPeriod "watchdog-period" COUNT, "0", HIDDEN, NOT_NEEDED,
        "Milliseconds after which a stuck server logs where it is; 0 means never.";
    RdbKeySaveDelay "rdb-key-save-delay" int(INT_MIN, INT), "0", HIDDEN, DELAYS,
        "Microseconds to wait after each key that is saved; below zero, one microsecond after so many keys.";
    KeyLoadDelay "key-load-delay" int(INT_MIN, INT), "0", HIDDEN, DELAYS,
        "Microseconds to wait after each key that is loaded; below zero, one microsecond after so many keys.";
    LoadingProcessEventsIntervalBytes "loading-process-events-interval-bytes" int(1024, INT), "2097152",
        HIDDEN, NOT_NEEDED,
        "Bytes that are loaded between two looks at clients.";
    UseExitOnPanic "use-exit-on-panic" BOOL, "no", HIDDEN, NOT_NEEDED,
        "End with exit instead of abort after a fatal error.";
}
}

/// Directives of older versions that are accepted with one argument, and ignored.
pub(crate) const FORGOTTEN: [&str; 3] =
    ["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::find;
    use crate::split::split;

    #[test]
    fn names_are_unique_and_in_lower_case() {
        let mut names: Vec<&str> = DIRECTIVES
            .iter()
            .flat_map(|row| [Some(row.name), row.alias])
            .flatten()
            .chain(FORGOTTEN)
            .collect();
        assert!(names.iter().all(|name| !name.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b' ')));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn rows_are_indexed_by_their_directive() {
        for (index, row) in DIRECTIVES.iter().enumerate() {
            assert_eq!(row.id as usize, index);
            let (found, name) = find(row.name.to_ascii_uppercase().as_bytes()).unwrap();
            assert_eq!((found.id, name), (row.id, row.name));
        }
        let (found, name) = find(b"SLAVEOF").unwrap();
        assert_eq!((found.id, name), (Directive::Replicaof, "slaveof"));
        assert!(find(b"nope").is_none());
    }

    #[test]
    fn defaults_survive_being_written_and_read() {
        for row in DIRECTIVES {
            let value = row.default_value();
            let mut again = value.clone();
            for line in value.lines() {
                let arguments = split(line.as_bytes()).unwrap();
                let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
                again = match row.kind {
                    ValueKind::Save => value.clone(),
                    _ => row.kind.parse(&arguments, &again).unwrap(),
                };
            }
            assert_eq!(again, value, "{}", row.name);
        }
    }

    #[test]
    fn documentation_is_a_sentence() {
        for row in DIRECTIVES {
            assert!(row.doc.ends_with('.') && row.doc.len() <= 110, "{}: {}", row.name, row.doc);
            assert!(row.doc.starts_with(|first: char| first.is_ascii_uppercase()), "{}", row.name);
        }
    }
}
