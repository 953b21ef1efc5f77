//! What all connections share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use rustredis_commands::Registry;
use rustredis_config::{ClientClass, Config, Directive};
use rustredis_engine::Engine;
use rustredis_keyspace::Key;
use rustredis_metrics::{Clock, LatencyMonitor, Metrics, SlowLog};
use rustredis_persistence::journal::Place;
use rustredis_persistence::storage::Faulty;

use crate::clients::acl_log::AclLog;
use crate::clients::client::{Client, Clients};
use crate::clients::monitor::Monitors;
use crate::clients::pubsub::PubSub;
use crate::clock::now_ms;
use crate::files::aof::{self, Aof};
use crate::files::load::Loading;
use crate::files::rdb::RdbState;
use crate::files::snapshot::Snapshots;
use crate::gate::{self, Gate};
use crate::net::listen::Relisten;
use crate::request::context::ServerHandler;
use crate::request::durability::Durability;
use crate::start::end::Ending;
use crate::upkeep::eviction::Eviction;
use crate::upkeep::give_back::Purges;
use crate::upkeep::settings::Settings;
use crate::upkeep::stats::Stats;

/// What all connections share.
pub struct Server {
    /// The configuration.
    pub config: Mutex<Config>,
    /// The part of it that is read on hot paths.
    pub settings: Settings,
    /// The store and how it is entered.
    pub engine: Arc<Engine>,
    /// All commands.
    pub registry: Registry,
    /// The functions of the server's own commands, by row.
    pub handlers: Vec<Option<ServerHandler>>,
    /// Who is connected.
    pub clients: Clients,
    /// Who is subscribed to what.
    pub pubsub: PubSub,
    /// Who watches all commands.
    pub monitors: Monitors,
    /// How commands are counted.
    pub metrics: Arc<Metrics>,
    /// Slow commands.
    pub slowlog: SlowLog,
    /// Slow events.
    pub latency: LatencyMonitor,
    /// Counters of the server.
    pub stats: Stats,
    /// What the workers share about eviction.
    pub eviction: Eviction,
    /// MEMORY PURGE.
    pub purges: Purges,
    /// The nanosecond clock.
    pub clock: Clock,
    /// What sends each command the long way.
    pub gate: Arc<Gate>,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// Forty hexadecimal digits, new at each start.
    pub run_id: String,
    /// The same for the history of the data set, which replicas know it by.
    pub replication_id: Mutex<String>,
    /// Unix ms of the start.
    pub started_ms: u64,
    /// Worker threads.
    pub threads: usize,
    /// The port that is served; 0 without TCP.
    pub port: AtomicUsize,
    /// Takes wishes to listen elsewhere to the main thread.
    pub relisten: tokio::sync::mpsc::UnboundedSender<Relisten>,
    /// Whether keys expire on their own (`DEBUG SET-ACTIVE-EXPIRE`).
    pub expires_actively: AtomicBool,
    /// Where files are written.
    pub storage: Arc<Faulty>,
    /// The append-only file.
    pub aof: Aof,
    /// Background saves and rewrites.
    pub snapshots: Snapshots,
    /// Who was refused.
    pub acl_log: AclLog,
    /// How far a load has come.
    pub loading: Loading,
    /// What replies wait for.
    pub durability: Durability,
    /// Saves and loads.
    pub rdb: RdbState,
    /// Attempts to end it.
    pub ending: Ending,
}

/// CLIENT PAUSE.
#[derive(Debug, Default)]
pub struct Pause {
    state: Mutex<PauseState>,
    /// Wakes who waits when the pause ends before its time.
    pub ended: tokio::sync::Notify,
}

/// A pause under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct PauseState {
    /// Unix ms; 0 if nothing is paused.
    pub until_ms: u64,
    /// Whether reads wait too.
    pub pauses_reads: bool,
}

impl Server {
    /// Whether what depends on this place of the journal may not be told yet.
    #[inline]
    pub fn must_wait(&self, place: Place) -> bool {
        self.durability.durable.must_wait(place)
    }

    /// Brings everything that keeps a copy of directives up to date with them.
    pub fn apply(&self, config: &Config) {
        self.settings.apply(config);
        self.slowlog.set_threshold_usec(config.int(Directive::SlowlogLogSlowerThan));
        self.slowlog.set_len_max(config.int(Directive::SlowlogMaxLen) as usize);
        self.latency.set_threshold_ms(config.int(Directive::LatencyMonitorThreshold) as u64);
        self.metrics.set_tracks_latency(config.bool(Directive::LatencyTracking));
        self.gate.set(gate::MEMORY_LIMITED, config.bytes(Directive::Maxmemory) > 0);
        self.engine.contention().set_enabled(config.bool(Directive::Contention));
        let wants_replicas =
            config.int(Directive::MinReplicasToWrite) > 0 && config.int(Directive::MinReplicasMaxLag) > 0;
        self.gate.set(gate::REPLICAS_MISSING, wants_replicas);
        self.loading.delay.set(config.int(Directive::KeyLoadDelay) as i32);
        self.snapshots.delay.set(config.int(Directive::RdbKeySaveDelay) as i32);
        self.aof.apply(self, config);
        aof::apply_gate(self, config);
        crate::upkeep::log::set_level(config.choice(Directive::Loglevel));
    }

    /// Begins a pause, or makes the one under way longer and stricter.
    pub fn pause(&self, until_ms: u64, pauses_reads: bool) {
        let mut state = self.pause.state.lock();
        state.until_ms = state.until_ms.max(until_ms);
        state.pauses_reads |= pauses_reads;
        self.gate.set(gate::PAUSED, true);
    }

    /// Ends the pause.
    pub fn unpause(&self) {
        let mut state = self.pause.state.lock();
        *state = PauseState::default();
        self.gate.set(gate::PAUSED, false);
        drop(state);
        self.pause.ended.notify_waiters();
    }

    /// The pause under way; one whose time is over ends here.
    pub fn pause_state(&self, now_ms: u64) -> Option<PauseState> {
        if !self.gate.has(gate::PAUSED) {
            return None;
        }
        let mut state = self.pause.state.lock();
        if state.until_ms > now_ms {
            return Some(*state);
        }
        *state = PauseState::default();
        self.gate.set(gate::PAUSED, false);
        None
    }

    /// Puts a message into a client's mailbox, and closes the client if it does not read.
    pub fn send(&self, client: &Client, message: Arc<[u8]>, now_ms: u64) {
        client.send(message);
        if client.is_over_limit(now_ms, self.settings.output_limits(ClientClass::PubSub)) {
            self.close_for_output(client);
        }
    }

    /// Closes a client for which more waits to be sent than its limits allow.
    #[cold]
    pub fn close_for_output(&self, client: &Client) {
        if !self.clients.kill(client) {
            return;
        }
        self.stats.output_limit_disconnections.fetch_add(1, Relaxed);
        tracing::warn!(
            "Client id={} addr={} scheduled to be closed ASAP for overcoming of output buffer limits ({} bytes).",
            client.id,
            client.addr,
            client.pending_bytes()
        );
    }

    /// Closes a client whose reply has waited too long for an append-only file that cannot be written. Whether what it wrote will
    /// be kept nobody knows: it is written when the disk can again, if the server lives to see that.
    #[cold]
    pub fn close_for_disk(&self, client: &Client) {
        if self.clients.kill(client) {
            self.stats.write_timeout_disconnections.fetch_add(1, Relaxed);
            tracing::warn!(
                "Closing client id={} addr={} without a reply: for {} ms what it waits for could not be written to the AOF file",
                client.id,
                client.addr,
                self.settings.aof_write_timeout_ms.load(Relaxed)
            );
        }
    }

    /// The shards of these keys, ascending.
    pub fn shards_of<'k>(&self, keys: impl Iterator<Item = Key<'k>>) -> Vec<u32> {
        let store = self.engine.store();
        let mut shards: Vec<u32> = keys.map(|key| store.shard_of(key.hash) as u32).collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }

    /// Removes the files that exist while the server runs: its pid and its socket.
    pub fn remove_run_files(&self) {
        let config = self.config.lock();
        for path in [config.text(Directive::Pidfile), config.text(Directive::Unixsocket)] {
            if !path.is_empty() {
                // It may be gone already.
                let _ = std::fs::remove_file(&*String::from_utf8_lossy(path));
            }
        }
    }

    /// Seconds since the start.
    pub fn uptime_seconds(&self) -> u64 {
        now_ms().saturating_sub(self.started_ms) / 1000
    }
}
