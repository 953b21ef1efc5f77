//! The part of the configuration that is read on hot paths: relaxed atomics, written when a directive changes.

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};

use rustredis_config::{ClientClass, Config, Directive, EventClasses};
use rustredis_keyspace::access_clock::ACCESS_POLICY;
use rustredis_keyspace::effects::EventClass;
use rustredis_keyspace::limits::LIMITS;

use crate::upkeep::policy::Policy;

/// Copies of directives.
#[derive(Debug, Default)]
pub struct Settings {
    /// `maxmemory` in bytes; 0 is no limit.
    pub maxmemory: AtomicU64,
    /// `maxmemory-policy`, see [`Policy`].
    policy: AtomicU8,
    /// `maxmemory-samples`.
    pub maxmemory_samples: AtomicUsize,
    /// `maxmemory-eviction-tenacity`, 0 to 100.
    pub eviction_tenacity: AtomicU32,
    /// `maxmemory-clients` in bytes; 0 is no limit.
    pub maxmemory_clients: AtomicU64,
    /// `maxclients`.
    pub maxclients: AtomicUsize,
    /// `proto-max-bulk-len` in bytes.
    pub proto_max_bulk_len: AtomicI64,
    /// `client-query-buffer-limit` in bytes.
    pub client_query_buffer_limit: AtomicU64,
    /// `timeout` in seconds; 0 never.
    pub timeout_seconds: AtomicU64,
    /// Milliseconds; 0 never ends the wait.
    pub aof_write_timeout_ms: AtomicU64,
    /// `tcp-keepalive` in seconds.
    pub tcp_keepalive_seconds: AtomicU32,
    /// `notify-keyspace-events`.
    pub notify_mask: AtomicU32,
    /// `protected-mode`.
    pub protected_mode: AtomicBool,
    /// Whether the default user lets nobody in without a password.
    pub requires_password: AtomicBool,
    /// From how many nanoseconds on a command concerns the slow log or the latency monitor.
    pub slow_nanos: AtomicU64,
    /// From how many bytes on a request is logged.
    pub large_request_bytes: AtomicU64,
    /// From how many bytes on a reply is logged.
    pub large_reply_bytes: AtomicU64,
    /// `busy-reply-threshold`.
    pub busy_reply_threshold_ms: AtomicU64,
    /// `hz`.
    pub hz: AtomicU32,
    /// Bytes of a single reply that close the client anyway, as `client-output-buffer-limit normal` says.
    pub reply_bytes_max: AtomicUsize,
    normal_output: ClassLimits,
    replica_output: ClassLimits,
    pubsub_output: ClassLimits,
}

/// Limits of what may wait to be sent to a client (`client-output-buffer-limit`).
#[derive(Clone, Copy, Debug)]
pub struct OutputLimits {
    /// Bytes that close the client at once; 0 none.
    pub hard_bytes: usize,
    /// Bytes that close it after `soft_ms`; 0 none.
    pub soft_bytes: usize,
    /// How long the soft limit may be passed.
    pub soft_ms: u64,
}

/// The limits of a class of clients.
#[derive(Debug, Default)]
struct ClassLimits {
    hard_bytes: AtomicUsize,
    soft_bytes: AtomicUsize,
    soft_ms: AtomicU64,
}

impl Settings {
    /// Copies what clients may use, and what they are told.
    pub fn take_clients(&self, config: &Config) {
        let proto_max_bulk_len = config.bytes(Directive::ProtoMaxBulkLen) as i64;
        self.proto_max_bulk_len.store(proto_max_bulk_len, Relaxed);
        LIMITS.set("proto_max_bulk_len", proto_max_bulk_len);
        self.client_query_buffer_limit.store(config.bytes(Directive::ClientQueryBufferLimit), Relaxed);
        self.aof_write_timeout_ms.store(config.int(Directive::AofWriteTimeout) as u64, Relaxed);
        self.timeout_seconds.store(config.int(Directive::Timeout) as u64, Relaxed);
        self.tcp_keepalive_seconds.store(config.int(Directive::TcpKeepalive) as u32, Relaxed);
        self.notify_mask.store(notify_mask(config.event_classes()), Relaxed);
        self.protected_mode.store(config.bool(Directive::ProtectedMode), Relaxed);
        let threshold_ms = config.int(Directive::BusyReplyThreshold) as u64;
        self.busy_reply_threshold_ms.store(threshold_ms, Relaxed);
        self.hz.store(config.int(Directive::Hz) as u32, Relaxed);
        for class in [ClientClass::Normal, ClientClass::Replica, ClientClass::PubSub] {
            let (limit, to) = (config.buffer_limit(class), self.class_limits(class));
            to.hard_bytes.store(limit.hard_bytes as usize, Relaxed);
            to.soft_bytes.store(limit.soft_bytes as usize, Relaxed);
            to.soft_ms.store(limit.soft_seconds.saturating_mul(1000), Relaxed);
        }
        let normal = self.normal_output.hard_bytes.load(Relaxed);
        self.reply_bytes_max.store(if normal > 0 { normal } else { usize::MAX }, Relaxed);
    }

    /// Copies what goes when memory is short, and how accesses are noted for it.
    pub fn take_eviction(&self, config: &Config) {
        let maxmemory = config.bytes(Directive::Maxmemory);
        self.maxmemory.store(maxmemory, Relaxed);
        // It may be given as a share of `maxmemory`.
        self.maxmemory_clients.store(config.bytes(Directive::MaxmemoryClients), Relaxed);
        let policy = Policy::by_name(config.choice(Directive::MaxmemoryPolicy));
        self.policy.store(policy as u8, Relaxed);
        self.maxmemory_samples.store(config.int(Directive::MaxmemorySamples) as usize, Relaxed);
        self.eviction_tenacity.store(config.int(Directive::MaxmemoryEvictionTenacity) as u32, Relaxed);
        ACCESS_POLICY.is_lfu.store(policy.is_lfu(), Relaxed);
        ACCESS_POLICY.is_lrm.store(policy.is_lrm(), Relaxed);
        ACCESS_POLICY.decides_eviction.store(maxmemory > 0 && policy.looks_at_accesses(), Relaxed);
        ACCESS_POLICY.lfu_log_factor.store(config.int(Directive::LfuLogFactor) as u32, Relaxed);
        ACCESS_POLICY.lfu_decay_minutes.store(config.int(Directive::LfuDecayTime) as u32, Relaxed);
    }

    /// Copies from what time on a command is slow, and from what size on it is large.
    pub fn take_slow_commands(&self, config: &Config) {
        let slowlog_usec = u64::try_from(config.int(Directive::SlowlogLogSlowerThan)).ok();
        let monitor_ms = Some(config.int(Directive::LatencyMonitorThreshold) as u64).filter(|ms| *ms > 0);
        let slowlog_nanos = slowlog_usec.map_or(u64::MAX, |usec| usec.saturating_mul(1000));
        let monitor_nanos = monitor_ms.map_or(u64::MAX, |ms| ms.saturating_mul(1_000_000));
        self.slow_nanos.store(slowlog_nanos.min(monitor_nanos), Relaxed);
        let bytes = |directive| u64::try_from(config.int(directive)).unwrap_or(u64::MAX);
        self.large_request_bytes.store(bytes(Directive::CommandlogRequestLargerThan), Relaxed);
        self.large_reply_bytes.store(bytes(Directive::CommandlogReplyLargerThan), Relaxed);
    }

    /// `maxmemory-policy`.
    pub fn policy(&self) -> Policy {
        Policy::ALL[usize::from(self.policy.load(Relaxed))]
    }

    fn class_limits(&self, class: ClientClass) -> &ClassLimits {
        match class {
            ClientClass::Normal => &self.normal_output,
            ClientClass::Replica => &self.replica_output,
            ClientClass::PubSub => &self.pubsub_output,
        }
    }

    /// Limits of what may wait to be sent to a client of this class.
    pub fn output_limits(&self, class: ClientClass) -> OutputLimits {
        let limits = self.class_limits(class);
        OutputLimits {
            hard_bytes: limits.hard_bytes.load(Relaxed),
            soft_bytes: limits.soft_bytes.load(Relaxed),
            soft_ms: limits.soft_ms.load(Relaxed),
        }
    }
}

/// The classes as the keyspace numbers them. Without `K` or `E` nothing is published, so nothing is collected either.
fn notify_mask(classes: EventClasses) -> u32 {
    const CLASSES: [(EventClasses, EventClass); 14] = [
        (EventClasses::KEYSPACE, EventClass::KEYSPACE),
        (EventClasses::KEYEVENT, EventClass::KEYEVENT),
        (EventClasses::GENERIC, EventClass::GENERIC),
        (EventClasses::STRING, EventClass::STRING),
        (EventClasses::LIST, EventClass::LIST),
        (EventClasses::SET, EventClass::SET),
        (EventClasses::HASH, EventClass::HASH),
        (EventClasses::ZSET, EventClass::ZSET),
        (EventClasses::EXPIRED, EventClass::EXPIRED),
        (EventClasses::EVICTED, EventClass::EVICTED),
        (EventClasses::STREAM, EventClass::STREAM),
        (EventClasses::KEY_MISS, EventClass::KEY_MISS),
        (EventClasses::MODULE, EventClass::MODULE),
        (EventClasses::NEW, EventClass::NEW),
    ];
    if !classes.intersects(EventClasses::KEYSPACE) && !classes.intersects(EventClasses::KEYEVENT) {
        return 0;
    }
    CLASSES.iter().filter(|(class, _)| classes.contains(*class)).fold(0, |mask, (_, class)| mask | class.0)
}
