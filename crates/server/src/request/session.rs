//! What a connection remembers between commands.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::OwnedArgs;
use rustredis_keyspace::WatchFlag;
use rustredis_keyspace::store::DbKey;
use rustredis_resp::Proto;

use crate::clients::client::{Client, flags};
use crate::upkeep::settings::Settings;

/// Which replies the client wants (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    /// All.
    On,
    /// None.
    Off,
    /// Not the one of the next command.
    SkipNext,
    /// Not the one of this command.
    Skip,
}

/// A command that MULTI has queued.
#[derive(Debug)]
pub struct Queued {
    /// Its row.
    pub row: u16,
    /// Its arguments, with their keys.
    pub args: OwnedArgs,
}

/// An open MULTI.
#[derive(Debug, Default)]
pub struct Transaction {
    /// The commands, in order.
    pub queue: Vec<Queued>,
    /// Bytes that they take.
    pub bytes: usize,
    /// Whether a command was refused while queueing: EXEC then aborts.
    pub is_broken: bool,
}

/// What a connection remembers between commands.
#[derive(Debug)]
pub struct Session {
    /// The shared part.
    pub client: Arc<Client>,
    /// The selected database.
    pub db: usize,
    /// The protocol.
    pub proto: Proto,
    /// Whether the client has authenticated, or has come when it needed not; see [`Session::must_authenticate`].
    pub is_authenticated: bool,
    /// The open transaction.
    pub transaction: Option<Box<Transaction>>,
    /// The keys watched, each with whether it was there when the watch began.
    pub watched: HashMap<DbKey, bool>,
    /// Set by whoever changes one of them.
    pub watch_flag: Arc<WatchFlag>,
    /// Channels subscribed to.
    pub channels: HashSet<Box<[u8]>>,
    /// Patterns subscribed to.
    pub patterns: HashSet<Box<[u8]>>,
    /// Shard channels subscribed to.
    pub shard_channels: HashSet<Box<[u8]>>,
    /// Which replies it wants.
    pub reply_mode: ReplyMode,
    /// Whether it sees all commands (MONITOR).
    pub is_monitor: bool,
    /// Whether reads leave the access clocks alone.
    pub no_touch: bool,
    /// Closes once what is written has left.
    pub close_after_reply: bool,
    /// Whether a command has stopped because its reply alone is over the output limit.
    pub is_flooded: bool,
    /// Whether EXEC is running its queue.
    pub is_executing: bool,
    /// The journal's place that must be durable before its replies leave.
    pub depends_on: u64,
    /// The journal's place of its last write, for WAITAOF; 0 before the first.
    pub last_write: u64,
    /// What happens in the background before the reply leaves.
    pub waits_for: Option<Background>,
    /// Asked for by WAITAOF: the connection waits before it goes on.
    pub sync_wait: Option<SyncWait>,
    /// Asked for by DISCARD, UNWATCH and RESET: the connection ends the watches after the command, as their keys' shards are not
    /// in its view.
    pub ends_watches: bool,
}

/// Something in the background that a command begins and waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// The append-only file is left.
    TurnOff,
    /// The moment comes of which a snapshot is: what is written after the reply is not in it.
    Cut,
    /// The server ends, or this attempt to end it has failed.
    End(u64),
    /// All workers give free memory back: the number of the wish.
    Purge(u64),
}

/// A wait for a client's writes to be on the disk.
#[derive(Clone, Copy, Debug)]
pub struct SyncWait {
    /// When it ends anyway, in Unix ms; 0 never.
    pub until_ms: u64,
    /// Whether replicas are waited for, of which there are none.
    pub has_replicas: bool,
    /// Whether the reply is WAIT's: of replicas alone.
    pub tells_replicas_alone: bool,
}

impl Session {
    /// A session that has just begun.
    pub fn new(client: Arc<Client>, is_authenticated: bool) -> Self {
        Self {
            watch_flag: client.watch_flag.clone(),
            client,
            db: 0,
            proto: Proto::Resp2,
            is_authenticated,
            transaction: None,
            watched: HashMap::new(),
            channels: HashSet::new(),
            patterns: HashSet::new(),
            shard_channels: HashSet::new(),
            reply_mode: ReplyMode::On,
            is_monitor: false,
            no_touch: false,
            close_after_reply: false,
            is_flooded: false,
            is_executing: false,
            waits_for: None,
            sync_wait: None,
            depends_on: 0,
            last_write: 0,
            ends_watches: false,
        }
    }

    /// Whether its commands need nothing but to be run: no transaction, no suppressed reply, and no subscription, for the
    /// messages that a command causes follow its reply.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.is_authenticated
            && self.transaction.is_none()
            && self.reply_mode == ReplyMode::On
            && !self.is_subscriber()
            && !self.close_after_reply
    }

    /// Whether it must authenticate before anything else. As long as the default user has no password, everybody is
    /// authenticated; when it gets one, those have to who came while it had one and did not.
    pub fn must_authenticate(&self, settings: &Settings) -> bool {
        !self.is_authenticated && settings.requires_password.load(Relaxed)
    }

    /// How many channels, patterns and shard channels it is subscribed to.
    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shard_channels.len()
    }

    /// Whether it is subscribed to anything.
    #[inline]
    pub fn is_subscriber(&self) -> bool {
        self.subscriptions() > 0
    }

    /// Goes on without watches, when the last has ended.
    pub fn forget_watches(&mut self) {
        self.watch_flag.is_dirty.store(false, Relaxed);
        self.client.watched.store(0, Relaxed);
    }

    /// Selects a database.
    pub fn select(&mut self, db: usize) {
        self.db = db;
        self.client.db.store(db as u32, Relaxed);
    }

    /// Changes the protocol.
    pub fn set_proto(&mut self, proto: Proto) {
        self.proto = proto;
        self.client.resp.store(if proto == Proto::Resp3 { 3 } else { 2 }, Relaxed);
    }

    /// Opens or ends a transaction.
    pub fn set_transaction(&mut self, transaction: Option<Box<Transaction>>) {
        self.client.queued.store(if transaction.is_some() { 0 } else { -1 }, Relaxed);
        self.client.queued_bytes.store(0, Relaxed);
        self.client.set_flag(flags::MULTI, transaction.is_some());
        self.transaction = transaction;
    }

    /// Tells the shared part how many subscriptions there are.
    pub fn publish_subscriptions(&self) {
        self.client.subscriptions.store(self.channels.len(), Relaxed);
        self.client.pattern_subscriptions.store(self.patterns.len(), Relaxed);
        self.client.shard_subscriptions.store(self.shard_channels.len(), Relaxed);
        self.client.set_flag(flags::PUBSUB, self.is_subscriber());
    }
}
