//! The part of the configuration that is read on hot paths: relaxed atomics, written when a directive changes.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use rustredis_config::{ClientClass, Config, Directive, EventClasses};
use rustredis_keyspace::access::ACCESS_POLICY;
use rustredis_keyspace::effects::EventClass;
use rustredis_keyspace::limits::LIMITS;

use crate::client::MailLimits;

/// Copies of directives.
#[derive(Debug, Default)]
pub struct Settings {
    /// `maxmemory` in bytes; 0 is no limit.
    pub maxmemory: AtomicU64,
    /// `maxclients`.
    pub maxclients: AtomicUsize,
    /// `proto-max-bulk-len` in bytes.
    pub proto_max_bulk_len: AtomicI64,
    /// `client-query-buffer-limit` in bytes.
    pub client_query_buffer_limit: AtomicU64,
    /// `timeout` in seconds; 0 never.
    pub timeout_seconds: AtomicU64,
    /// `tcp-keepalive` in seconds.
    pub tcp_keepalive_seconds: AtomicU32,
    /// `notify-keyspace-events`.
    pub notify_mask: AtomicU32,
    /// `protected-mode`.
    pub protected_mode: AtomicBool,
    /// Whether `requirepass` is set.
    pub requires_password: AtomicBool,
    /// `hz`.
    pub hz: AtomicU32,
    normal_hard_bytes: AtomicUsize,
    pubsub_hard_bytes: AtomicUsize,
    pubsub_soft_bytes: AtomicUsize,
    pubsub_soft_ms: AtomicU64,
}

impl Settings {
    /// Copies everything from the configuration.
    pub fn apply(&self, config: &Config) {
        self.maxmemory.store(config.bytes(Directive::Maxmemory), Relaxed);
        self.maxclients.store(config.int(Directive::Maxclients) as usize, Relaxed);
        self.proto_max_bulk_len.store(config.bytes(Directive::ProtoMaxBulkLen) as i64, Relaxed);
        self.client_query_buffer_limit.store(config.bytes(Directive::ClientQueryBufferLimit), Relaxed);
        self.timeout_seconds.store(config.int(Directive::Timeout) as u64, Relaxed);
        self.tcp_keepalive_seconds.store(config.int(Directive::TcpKeepalive) as u32, Relaxed);
        self.notify_mask.store(notify_mask(config.event_classes()), Relaxed);
        self.protected_mode.store(config.bool(Directive::ProtectedMode), Relaxed);
        self.requires_password.store(!config.text(Directive::Requirepass).is_empty(), Relaxed);
        self.hz.store(config.int(Directive::Hz) as u32, Relaxed);
        let normal = config.buffer_limit(ClientClass::Normal);
        self.normal_hard_bytes.store(normal.hard_bytes as usize, Relaxed);
        let pubsub = config.buffer_limit(ClientClass::PubSub);
        self.pubsub_hard_bytes.store(pubsub.hard_bytes as usize, Relaxed);
        self.pubsub_soft_bytes.store(pubsub.soft_bytes as usize, Relaxed);
        self.pubsub_soft_ms.store(pubsub.soft_seconds * 1000, Relaxed);
        self.apply_encodings(config);
        ACCESS_POLICY.is_lfu.store(config.choice(Directive::MaxmemoryPolicy).ends_with("lfu"), Relaxed);
        ACCESS_POLICY.lfu_log_factor.store(config.int(Directive::LfuLogFactor) as u32, Relaxed);
        ACCESS_POLICY.lfu_decay_minutes.store(config.int(Directive::LfuDecayTime) as u32, Relaxed);
    }

    fn apply_encodings(&self, config: &Config) {
        for directive in [
            Directive::HashMaxListpackEntries,
            Directive::ListMaxListpackSize,
            Directive::ListCompressDepth,
            Directive::SetMaxIntsetEntries,
            Directive::SetMaxListpackEntries,
            Directive::ZsetMaxListpackEntries,
            Directive::StreamNodeMaxEntries,
        ] {
            LIMITS.set(&directive.name().replace('-', "_"), config.int(directive));
        }
        for directive in [
            Directive::HashMaxListpackValue,
            Directive::SetMaxListpackValue,
            Directive::ZsetMaxListpackValue,
            Directive::HllSparseMaxBytes,
            Directive::StreamNodeMaxBytes,
            Directive::ProtoMaxBulkLen,
        ] {
            LIMITS.set(&directive.name().replace('-', "_"), config.bytes(directive) as i64);
        }
    }

    /// Limits of a subscriber's mailbox.
    pub fn mail_limits(&self) -> MailLimits {
        MailLimits {
            hard_bytes: self.pubsub_hard_bytes.load(Relaxed),
            soft_bytes: self.pubsub_soft_bytes.load(Relaxed),
            soft_ms: self.pubsub_soft_ms.load(Relaxed),
        }
    }

    /// Bytes of pending replies that close a normal client; 0 is no limit.
    pub fn normal_hard_bytes(&self) -> usize {
        self.normal_hard_bytes.load(Relaxed)
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
