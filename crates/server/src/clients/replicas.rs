//! Who gets a copy of the data set and then everything that changes it: replicas, and tools that pass for one (`redis-cli --rdb`).
//!
//! A replica is a client that has sent SYNC. It ordered a dump and what follows it (`crate::files::snapshot::orders`); its own
//! connection takes both as its socket has room (`crate::request::replica`), so nobody copies anything for a replica that does not
//! read: what waits for it is the queue of its sink, which `client-output-buffer-limit replica` bounds.

pub mod samples;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use rustredis_persistence::journal::{Audience, Journal, Place, Sink};

use crate::clients::client::{Client, flags};
use crate::clock::now_ms;
use crate::files::snapshot::orders::{Contents, Order};

/// A replica is given a dump so often, in milliseconds.
const BRAKE_MS: u64 = 1000;

/// What a connection has said about the replica that it is to become (REPLCONF).
#[derive(Clone, Debug, Default)]
pub struct Announced {
    /// Where it listens; 0 if it has not said.
    pub port: u16,
    /// Its address, if it is to be called by another than it comes from.
    pub address: Option<String>,
    /// What it wants of the data set.
    pub contents: Contents,
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Its dump is to come.
    Waiting,
    /// It gets its dump.
    Sending,
    /// It gets what changes.
    Online,
}

impl Stage {
    /// What INFO calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "wait_bgsave",
            Self::Sending => "send_bulk",
            Self::Online => "online",
        }
    }
}

/// A replica.
pub struct Replica {
    client: Arc<Client>,
    announced: Announced,
    /// What it gets.
    pub order: Arc<Order>,
    stage: AtomicU8,
    /// Up to which place all has been given to the system to send.
    sent: AtomicU64,
    /// Bytes of the buffers between its queue and its socket.
    buffer_bytes: AtomicUsize,
    /// What it has said last that it has got, in bytes of its stream.
    acknowledged: AtomicU64,
    /// When, in Unix ms; before, when it came online.
    acknowledged_ms: AtomicU64,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("client", &self.client.id)
            .field("stage", &self.stage())
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// Where it listens: its address as it has announced it, or as its connection comes from.
    pub fn address(&self) -> (&str, u16) {
        let from = self.client.addr.rsplit_once(':').map_or("", |(address, _)| address);
        (self.announced.address.as_deref().unwrap_or(from), self.announced.port)
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Relaxed) {
            0 => Stage::Waiting,
            1 => Stage::Sending,
            _ => Stage::Online,
        }
    }

    /// It has come so far.
    pub fn set_stage(&self, stage: Stage) {
        self.acknowledged_ms.store(now_ms(), Relaxed);
        self.stage.store(stage as u8, Relaxed);
    }

    /// Notes that all up to this place has been given to the system to send.
    pub fn note_sent(&self, place: Place) {
        self.sent.store(place, Relaxed);
    }

    /// Notes what the buffers between its queue and its socket take.
    pub fn note_buffers(&self, bytes: usize) {
        self.buffer_bytes.store(bytes, Relaxed);
    }

    /// Notes that it has got so many bytes of its stream.
    pub fn note_acknowledged(&self, bytes: u64) {
        self.acknowledged.fetch_max(bytes, Relaxed);
        self.acknowledged_ms.store(now_ms(), Relaxed);
    }

    /// Bytes of its stream that it has said to have got; 0 for one that says nothing, as those that come by SYNC.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Relaxed)
    }

    /// Seconds since it has said something, or has come online.
    pub fn lag_seconds(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.acknowledged_ms.load(Relaxed)) / 1000
    }
}

/// All replicas.
pub struct Replicas {
    journal: Arc<Journal>,
    connected: Mutex<Vec<Arc<Replica>>>,
    /// Replicas that were sent everything.
    full_syncs: AtomicU64,
    /// Bytes of those that are gone.
    sent_bytes: AtomicU64,
    pinged_ms: AtomicU64,
    /// Which replicas have begun lately, and when, in Unix ms.
    recent: Mutex<Vec<(String, u16, u64)>>,
}

impl Replicas {
    /// Nobody replicates.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self {
            journal,
            connected: Mutex::default(),
            full_syncs: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            pinged_ms: AtomicU64::new(0),
            recent: Mutex::default(),
        }
    }

    /// A client becomes a replica; what it gets is still to be ordered.
    pub fn join(&self, client: &Arc<Client>, announced: Announced) -> Arc<Replica> {
        // What wakes the connection for mail wakes it for this.
        let (for_news, for_dump) = (client.clone(), client.clone());
        let sink = Sink::new(Audience::Replicas, move || for_news.nudge());
        let replica = Arc::new(Replica {
            client: client.clone(),
            order: Arc::new(Order::new(announced.contents, sink, move || for_dump.nudge())),
            announced,
            stage: AtomicU8::new(Stage::Waiting as u8),
            sent: AtomicU64::new(0),
            buffer_bytes: AtomicUsize::new(0),
            acknowledged: AtomicU64::new(0),
            acknowledged_ms: AtomicU64::new(now_ms()),
        });
        client.set_flag(flags::REPLICA, true);
        self.full_syncs.fetch_add(1, Relaxed);
        let mut connected = self.connected.lock();
        if connected.is_empty() {
            self.pinged_ms.store(now_ms(), Relaxed);
        }
        connected.push(replica.clone());
        drop(connected);
        replica
    }

    /// A replica is gone.
    pub fn leave(&self, replica: &Arc<Replica>) {
        replica.order.cancel(&self.journal);
        self.sent_bytes.fetch_add(replica.client.sent.load(Relaxed), Relaxed);
        self.connected.lock().retain(|other| !Arc::ptr_eq(other, replica));
    }

    /// Those that there are, in the order in which they came.
    pub fn all(&self) -> Vec<Arc<Replica>> {
        self.connected.lock().clone()
    }

    /// Whether one is online that has not been sent all up to this place.
    pub fn is_behind(&self, place: Place) -> bool {
        let connected = self.connected.lock();
        connected
            .iter()
            .filter(|replica| replica.stage() == Stage::Online && !replica.client.is_killed())
            .any(|replica| replica.sent.load(Relaxed) < place)
    }

    /// Bytes that are kept for all of them.
    pub fn waiting_bytes(&self) -> usize {
        let of =
            |replica: &Arc<Replica>| replica.order.sink.memory_bytes() + replica.buffer_bytes.load(Relaxed);
        self.connected.lock().iter().map(of).sum()
    }

    /// How long a replica waits for its dump, in milliseconds: one that begins anew again and again is given one each second.
    pub fn brake_ms(&self, replica: &Replica, now_ms: u64) -> u64 {
        let (address, port) = replica.address();
        if port == 0 {
            return 0;
        }
        let mut recent = self.recent.lock();
        recent.retain(|(_, _, at_ms)| at_ms + BRAKE_MS > now_ms);
        let last =
            recent.iter().filter(|(of, at, _)| of == address && *at == port).map(|(.., at_ms)| *at_ms).max();
        let begin_ms = last.map_or(now_ms, |last| now_ms.max(last + BRAKE_MS));
        recent.push((address.to_owned(), port, begin_ms));
        begin_ms - now_ms
    }

    /// Whether it is time to send a PING to those that there are, which come every `period_ms`.
    pub fn is_ping_due(&self, now_ms: u64, period_ms: u64) -> bool {
        let is_due = now_ms.saturating_sub(self.pinged_ms.load(Relaxed)) >= period_ms
            && !self.connected.lock().is_empty();
        if is_due {
            self.pinged_ms.store(now_ms, Relaxed);
        }
        is_due
    }
}
