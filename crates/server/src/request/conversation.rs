//! What stays with a connection: its transaction, its watches, its subscriptions, and how it wants to be answered.
//!
//! A command that runs without a connection has none of this. What a command asks the connection to do behind it is one value,
//! [`After`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustredis_commands::OwnedArgs;
use rustredis_keyspace::WatchFlag;
use rustredis_keyspace::store::DbKey;
use rustredis_resp::Reply;

use crate::clients::client::{Client, flags};
use crate::clients::pubsub::Subscriptions;
use crate::clients::replicas::{Announced, Replica};

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

/// What the connection does behind a command.
#[derive(Debug, Default)]
pub struct After {
    /// Waits for this, and only then sends the reply.
    pub wait: Option<Wait>,
    /// Ends the watches: their keys' shards are not in the command's view.
    pub ends_watches: bool,
    /// Closes once what is written has left.
    pub closes: bool,
}

/// What a command has the connection wait for.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// The append-only file is left.
    TurnOff,
    /// The moment comes of which a snapshot is: what is written after the reply is not in it.
    Cut,
    /// The server ends, or this attempt to end it has failed.
    End(u64),
    /// All workers give free memory back: the number of the wish.
    Purge(u64),
    /// The client's writes are on the disk; the connection makes the reply.
    Sync(SyncWait),
    /// A time in which it keeps shards.
    Hold(LongHold),
}

/// Shards that a client keeps for a while (`DEBUG HOLD`).
#[derive(Clone, Copy, Debug)]
pub struct LongHold {
    /// Which; all without one.
    pub shard: Option<usize>,
    /// For how long.
    pub duration: Duration,
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

impl SyncWait {
    /// The reply of a wait that has not failed: how many have the writes on the disk, this server and its replicas, or the
    /// replicas alone.
    pub fn reply(self, reply: &mut Reply<'_>, is_durable: bool) {
        if self.tells_replicas_alone {
            reply.int(0);
            return;
        }
        reply.array(2);
        reply.int(i64::from(is_durable));
        reply.int(0);
    }
}

/// What stays with a connection.
#[derive(Debug)]
pub struct Conversation {
    /// Whose it is.
    pub(super) client: Arc<Client>,
    /// The open transaction.
    pub transaction: Option<Box<Transaction>>,
    /// The keys watched, each with whether it was there when the watch began.
    pub watched: HashMap<DbKey, bool>,
    /// Set by whoever changes one of them.
    pub watch_flag: Arc<WatchFlag>,
    /// What it is subscribed to.
    pub subscriptions: Subscriptions,
    /// Which replies it wants.
    pub reply_mode: ReplyMode,
    /// Whether it sees all commands (MONITOR).
    pub is_monitor: bool,
    /// What it has said of the replica that it may become.
    pub announced: Announced,
    /// The replica that it has become: there are no replies any more.
    pub replica: Option<Arc<Replica>>,
    /// What follows the command that runs.
    pub after: After,
}

impl Conversation {
    /// One that has just begun.
    pub fn new(client: Arc<Client>) -> Self {
        Self {
            watch_flag: client.watch_flag.clone(),
            client,
            transaction: None,
            watched: HashMap::new(),
            subscriptions: Subscriptions::default(),
            reply_mode: ReplyMode::On,
            is_monitor: false,
            announced: Announced::default(),
            replica: None,
            after: After::default(),
        }
    }

    /// Whether its commands need nothing but to be run: no transaction, no suppressed reply, and no subscription, for the
    /// messages that a command causes follow its reply.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.transaction.is_none()
            && self.reply_mode == ReplyMode::On
            && self.subscriptions.is_empty()
            && !self.after.closes
    }

    /// Goes on without watches, when the last has ended.
    pub fn forget_watches(&mut self) {
        self.watch_flag.is_dirty.store(false, Relaxed);
        self.client.watched.store(0, Relaxed);
    }

    /// Opens or ends a transaction.
    pub fn set_transaction(&mut self, transaction: Option<Box<Transaction>>) {
        self.client.queued.store(if transaction.is_some() { 0 } else { -1 }, Relaxed);
        self.client.queued_bytes.store(0, Relaxed);
        self.client.set_flag(flags::MULTI, transaction.is_some());
        self.transaction = transaction;
    }
}
