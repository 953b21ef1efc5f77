//! What all connections share.

use std::sync::Arc;

use parking_lot::Mutex;
use rustredis_commands::Registry;
use rustredis_config::{Config, Directive};
use rustredis_engine::Engine;
use rustredis_keyspace::Key;
use rustredis_metrics::{Clock, CommandLog, LatencyMonitor, Metrics};
use rustredis_persistence::journal::Place;
use rustredis_persistence::storage::Faulty;

use crate::clients::acl_log::AclLog;
use crate::clients::connected::Clients;
use crate::clients::monitor::Monitors;
use crate::clients::pause::Pause;
use crate::clients::pubsub::PubSub;
use crate::clients::replicas::Replicas;
use crate::clients::tracking::Tracking;
use crate::clients::users::UserTable;
use crate::clock::now_ms;
use crate::files::aof::Aof;
use crate::files::load::Loading;
use crate::files::rdb::Rdb;
use crate::files::recorder::Recorder;
use crate::files::snapshot::Snapshots;
use crate::gate::Gate;
use crate::net::listen::Listening;
use crate::request::context::ServerHandler;
use crate::request::durability::Durability;
use crate::scripts::Scripts;
use crate::start::ending::Ending;
use crate::upkeep::cron::Cron;
use crate::upkeep::eviction::Eviction;
use crate::upkeep::expiry::Expiry;
use crate::upkeep::give_back::Purges;
use crate::upkeep::settings::Settings;
use crate::upkeep::stats::Stats;

/// The last commands that were slow, or large.
pub struct CommandLogs {
    /// By microseconds.
    pub slow: CommandLog,
    /// By bytes of the request.
    pub large_request: CommandLog,
    /// By bytes of the reply.
    pub large_reply: CommandLog,
}

impl Default for CommandLogs {
    fn default() -> Self {
        let off = || CommandLog::new(-1, 0);
        Self { slow: off(), large_request: off(), large_reply: off() }
    }
}

/// What all connections share. Its parts are found by methods of their names.
pub struct Server {
    parts: Parts,
}

/// What the server is made of.
pub struct Parts {
    /// The configuration.
    pub config: Arc<Mutex<Config>>,
    /// The part of it that is read on hot paths.
    pub settings: Arc<Settings>,
    /// The store and how it is entered.
    pub engine: Arc<Engine>,
    /// All commands.
    pub registry: Registry,
    /// The functions of the server's own commands, by row.
    pub handlers: Vec<Option<ServerHandler>>,
    /// Who is connected.
    pub clients: Arc<Clients>,
    /// Who is subscribed to what.
    pub pubsub: PubSub,
    /// Who is told of changes of which keys.
    pub tracking: Tracking,
    /// Who watches all commands.
    pub monitors: Monitors,
    /// How commands are counted.
    pub metrics: Arc<Metrics>,
    /// Slow and large commands.
    pub command_logs: CommandLogs,
    /// Slow events.
    pub latency: Arc<LatencyMonitor>,
    /// Counters of the server.
    pub stats: Arc<Stats>,
    /// What the workers share about eviction.
    pub eviction: Eviction,
    /// MEMORY PURGE.
    pub purges: Purges,
    /// The nanosecond clock.
    pub clock: Clock,
    /// What sends each command the long way.
    pub gate: Arc<Gate>,
    /// CLIENT PAUSE.
    pub pause: Arc<Pause>,
    /// Forty hexadecimal digits, new at each start.
    pub run_id: String,
    /// The same for the history of the data set, which replicas know it by.
    pub replication_id: Mutex<String>,
    /// Unix ms of the start.
    pub started_ms: u64,
    /// Worker threads.
    pub threads: usize,
    /// Where it listens.
    pub listening: Arc<Listening>,
    /// Keys that expire on their own.
    pub expiry: Expiry,
    /// What happens by the clock.
    pub cron: Cron,
    /// Where files are written.
    pub storage: Arc<Faulty>,
    /// The append-only file.
    pub aof: Arc<Aof>,
    /// Background saves and rewrites.
    pub snapshots: Arc<Snapshots>,
    /// Who may do what.
    pub users: UserTable,
    /// Who was refused.
    pub acl_log: AclLog,
    /// How far a load has come.
    pub loading: Loading,
    /// What replies wait for.
    pub durability: Durability,
    /// Who gets a copy of the data set.
    pub replicas: Arc<Replicas>,
    /// A recording of the journal.
    pub recorder: Recorder,
    /// Saves and loads.
    pub rdb: Arc<Rdb>,
    /// Attempts to end it.
    pub ending: Ending,
    /// Scripts and functions.
    pub scripts: Arc<Scripts>,
}

impl Server {
    /// Of these parts.
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// The configuration.
    #[inline]
    pub fn config(&self) -> &Arc<Mutex<Config>> {
        &self.parts.config
    }

    /// The part of it that is read on hot paths.
    #[inline]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.parts.settings
    }

    /// The store and how it is entered.
    #[inline]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.parts.engine
    }

    /// All commands.
    #[inline]
    pub fn registry(&self) -> &Registry {
        &self.parts.registry
    }

    /// The functions of the server's own commands, by row.
    #[inline]
    pub fn handlers(&self) -> &[Option<ServerHandler>] {
        &self.parts.handlers
    }

    /// Who is connected.
    #[inline]
    pub fn clients(&self) -> &Arc<Clients> {
        &self.parts.clients
    }

    /// Who is subscribed to what.
    #[inline]
    pub fn pubsub(&self) -> &PubSub {
        &self.parts.pubsub
    }

    /// Who is told of changes of which keys.
    #[inline]
    pub fn tracking(&self) -> &Tracking {
        &self.parts.tracking
    }

    /// Who watches all commands.
    #[inline]
    pub fn monitors(&self) -> &Monitors {
        &self.parts.monitors
    }

    /// How commands are counted.
    #[inline]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.parts.metrics
    }

    /// Slow and large commands.
    #[inline]
    pub fn command_logs(&self) -> &CommandLogs {
        &self.parts.command_logs
    }

    /// Slow events.
    #[inline]
    pub fn latency(&self) -> &Arc<LatencyMonitor> {
        &self.parts.latency
    }

    /// Counters of the server.
    #[inline]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.parts.stats
    }

    /// What the workers share about eviction.
    #[inline]
    pub fn eviction(&self) -> &Eviction {
        &self.parts.eviction
    }

    /// MEMORY PURGE.
    #[inline]
    pub fn purges(&self) -> &Purges {
        &self.parts.purges
    }

    /// The nanosecond clock.
    #[inline]
    pub fn clock(&self) -> Clock {
        self.parts.clock
    }

    /// What sends each command the long way.
    #[inline]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.parts.gate
    }

    /// CLIENT PAUSE.
    #[inline]
    pub fn pause(&self) -> &Arc<Pause> {
        &self.parts.pause
    }

    /// Forty hexadecimal digits, new at each start.
    #[inline]
    pub fn run_id(&self) -> &str {
        &self.parts.run_id
    }

    /// The same for the history of the data set, which replicas know it by.
    #[inline]
    pub fn replication_id(&self) -> &Mutex<String> {
        &self.parts.replication_id
    }

    /// Unix ms of the start.
    #[inline]
    pub fn started_ms(&self) -> u64 {
        self.parts.started_ms
    }

    /// Worker threads.
    #[inline]
    pub fn threads(&self) -> usize {
        self.parts.threads
    }

    /// Where it listens.
    #[inline]
    pub fn listening(&self) -> &Arc<Listening> {
        &self.parts.listening
    }

    /// Keys that expire on their own.
    #[inline]
    pub fn expiry(&self) -> &Expiry {
        &self.parts.expiry
    }

    /// What happens by the clock.
    #[inline]
    pub fn cron(&self) -> &Cron {
        &self.parts.cron
    }

    /// Where files are written.
    #[inline]
    pub fn storage(&self) -> &Arc<Faulty> {
        &self.parts.storage
    }

    /// The append-only file.
    #[inline]
    pub fn aof(&self) -> &Arc<Aof> {
        &self.parts.aof
    }

    /// Background saves and rewrites.
    #[inline]
    pub fn snapshots(&self) -> &Arc<Snapshots> {
        &self.parts.snapshots
    }

    /// Who may do what.
    #[inline]
    pub fn users(&self) -> &UserTable {
        &self.parts.users
    }

    /// Who was refused.
    #[inline]
    pub fn acl_log(&self) -> &AclLog {
        &self.parts.acl_log
    }

    /// How far a load has come.
    #[inline]
    pub fn loading(&self) -> &Loading {
        &self.parts.loading
    }

    /// What replies wait for.
    #[inline]
    pub fn durability(&self) -> &Durability {
        &self.parts.durability
    }

    /// A recording of the journal.
    #[inline]
    pub fn recorder(&self) -> &Recorder {
        &self.parts.recorder
    }

    /// Who gets a copy of the data set.
    pub fn replicas(&self) -> &Replicas {
        &self.parts.replicas
    }

    /// Saves and loads.
    #[inline]
    pub fn rdb(&self) -> &Arc<Rdb> {
        &self.parts.rdb
    }

    /// Attempts to end it.
    #[inline]
    pub fn ending(&self) -> &Ending {
        &self.parts.ending
    }

    /// Scripts and functions.
    #[inline]
    pub fn scripts(&self) -> &Arc<Scripts> {
        &self.parts.scripts
    }

    /// Whether what depends on this place of the journal may not be told yet.
    #[inline]
    pub fn must_wait(&self, place: Place) -> bool {
        self.parts.durability.durable.must_wait(place)
    }

    /// The shards of these keys, ascending.
    pub fn shards_of<'k>(&self, keys: impl Iterator<Item = Key<'k>>) -> Vec<u32> {
        let store = self.parts.engine.store();
        let mut shards: Vec<u32> = keys.map(|key| store.shard_of(key.hash) as u32).collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }

    /// Removes the files that exist while the server runs: its pid and its socket.
    pub fn remove_run_files(&self) {
        let config = self.parts.config.lock();
        for path in [config.text(Directive::Pidfile), config.text(Directive::Unixsocket)] {
            if !path.is_empty() {
                // It may be gone already.
                let _ = std::fs::remove_file(&*String::from_utf8_lossy(path));
            }
        }
    }

    /// Seconds since the start.
    pub fn uptime_seconds(&self) -> u64 {
        now_ms().saturating_sub(self.parts.started_ms) / 1000
    }
}
