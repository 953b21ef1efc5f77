//! Publish and subscribe: who hears what.
//!
//! Channels are spread over shards by their hash, each behind a lock of its own, so that publishers on many threads meet
//! only when they publish to neighbouring channels. A message is delivered under its channel's lock: all subscribers of a
//! channel see its messages in one order, which is also the order of each publisher. Patterns are rare and every channel
//! may match, so each shard has all of them: subscribing to a pattern costs a lock per shard, publishing costs none.
//! A reader-writer lock was rejected: it lets two publishers deliver in different orders to different subscribers.
//!
//! A message is encoded once per protocol, however many hear it, and put into the mailbox of each [`Client`]; the
//! connection sends it between replies.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use rustredis_acl::User;
use rustredis_keyspace::effects::{Event, EventClass};
use rustredis_keyspace::hashing;
use rustredis_metrics::rows::{Row, gauge};
use rustredis_resp::glob::{self, Case};
use rustredis_resp::{Proto, Reply};

use crate::clients::client::{Client, flags};
use crate::clients::connected::Clients;
use crate::clock::now_ms;
use crate::upkeep::settings::Settings;

/// Locks that the channels are spread over.
const SHARDS: usize = 32;
/// Names for which a shard keeps room.
const NAMES_KEPT: usize = 64;

/// What one can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A channel by its name.
    Channel,
    /// All channels whose names match.
    Pattern,
    /// A channel that belongs to a slot of the cluster.
    ShardChannel,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::ShardChannel];
}

/// What a client is subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    channels: HashSet<Box<[u8]>>,
    patterns: HashSet<Box<[u8]>>,
    shard_channels: HashSet<Box<[u8]>>,
}

impl Subscriptions {
    /// The names of this kind.
    pub fn names(&self, topic: Topic) -> &HashSet<Box<[u8]>> {
        match topic {
            Topic::Channel => &self.channels,
            Topic::Pattern => &self.patterns,
            Topic::ShardChannel => &self.shard_channels,
        }
    }

    /// The same, to be changed.
    pub fn names_mut(&mut self, topic: Topic) -> &mut HashSet<Box<[u8]>> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::ShardChannel => &mut self.shard_channels,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shard_channels.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells the shared part of their client how many there are.
    pub fn publish(&self, client: &Client) {
        client.subscriptions.store(self.channels.len(), Relaxed);
        client.pattern_subscriptions.store(self.patterns.len(), Relaxed);
        client.shard_subscriptions.store(self.shard_channels.len(), Relaxed);
        client.set_flag(flags::PUBSUB, !self.is_empty());
    }
}

/// By client id, so that a subscriber among many is found quickly and the order of delivery is always the same.
type Subscribers = BTreeMap<u64, Arc<Client>>;

#[derive(Debug, Default)]
struct Shard {
    channels: HashMap<Box<[u8]>, Subscribers>,
    shard_channels: HashMap<Box<[u8]>, Subscribers>,
    patterns: HashMap<Box<[u8]>, Subscribers>,
}

impl Shard {
    fn topics(&mut self, topic: Topic) -> &mut HashMap<Box<[u8]>, Subscribers> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::ShardChannel => &mut self.shard_channels,
        }
    }
}

/// Who is subscribed to what.
#[derive(Debug)]
pub struct PubSub {
    clients: Arc<Clients>,
    settings: Arc<Settings>,
    shards: [CachePadded<Mutex<Shard>>; SHARDS],
    /// All subscriptions of all clients: events are not even formatted while there are none.
    subscriptions: AtomicUsize,
}

/// How many names have subscribers, at a moment.
#[derive(Clone, Copy, Debug)]
pub struct PubSubCounts {
    channels: usize,
    patterns: usize,
    shard_channels: usize,
}

impl PubSubCounts {
    /// Looks. O(shards).
    pub fn of(pubsub: &PubSub) -> Self {
        Self {
            channels: pubsub.count(Topic::Channel),
            patterns: pubsub.count(Topic::Pattern),
            shard_channels: pubsub.count(Topic::ShardChannel),
        }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("pubsub_channels", "Channels with subscribers.", |at| at.channels.into()),
        gauge("pubsub_patterns", "Patterns with subscribers.", |at| at.patterns.into()),
        gauge("pubsubshard_channels", "Shard channels with subscribers.", |at| at.shard_channels.into()),
    ];
}

/// A message on its way: encoded when the first subscriber of a protocol is found.
struct Message<'a> {
    kind: &'static str,
    /// The pattern that matched, of a `pmessage`.
    pattern: Option<&'a [u8]>,
    channel: &'a [u8],
    payload: &'a [u8],
    encoded: [Option<Arc<[u8]>>; 2],
}

impl<'a> Message<'a> {
    fn new(kind: &'static str, pattern: Option<&'a [u8]>, channel: &'a [u8], payload: &'a [u8]) -> Self {
        Self { kind, pattern, channel, payload, encoded: [None, None] }
    }

    fn encoded(&mut self, proto: Proto) -> Arc<[u8]> {
        let Self { kind, pattern, channel, payload, ref mut encoded } = *self;
        let encoded = &mut encoded[usize::from(proto == Proto::Resp3)];
        encoded
            .get_or_insert_with(|| {
                let length = payload.len() + channel.len() + pattern.map_or(0, <[u8]>::len) + 64;
                let mut out = Vec::with_capacity(length);
                let mut reply = Reply::new(&mut out, proto);
                reply.push(3 + usize::from(pattern.is_some()));
                reply.text(kind);
                if let Some(pattern) = pattern {
                    reply.bulk(pattern);
                }
                reply.bulk(channel);
                reply.bulk(payload);
                out.into()
            })
            .clone()
    }

    /// Puts it into the mailboxes; how many that were.
    fn deliver(mut self, clients: &Clients, subscribers: &Subscribers, now_ms: u64) -> usize {
        let mut receivers = 0;
        for client in subscribers.values().filter(|client| !client.is_killed()) {
            let message = self.encoded(client.proto());
            clients.send(client, message, now_ms);
            receivers += 1;
        }
        receivers
    }
}

impl PubSub {
    /// Nobody is subscribed to anything.
    pub fn new(clients: Arc<Clients>, settings: Arc<Settings>) -> Self {
        Self { clients, settings, shards: Default::default(), subscriptions: AtomicUsize::new(0) }
    }

    fn shard(&self, name: &[u8]) -> &Mutex<Shard> {
        &self.shards[hashing::hash(name) as usize % SHARDS]
    }

    /// The shards that know a name: its own, or all for a pattern.
    fn shards_of(&self, topic: Topic, name: &[u8]) -> &[CachePadded<Mutex<Shard>>] {
        let index = hashing::hash(name) as usize % SHARDS;
        if topic == Topic::Pattern { &self.shards } else { &self.shards[index..=index] }
    }

    /// Subscribes a client; false if it is subscribed already. O(log n) in the subscribers of the name.
    pub fn subscribe(
        &self,
        client: &Arc<Client>,
        own: &mut Subscriptions,
        topic: Topic,
        name: &[u8],
    ) -> bool {
        if !own.names_mut(topic).insert(name.into()) {
            return false;
        }
        self.subscriptions.fetch_add(1, Relaxed);
        for shard in self.shards_of(topic, name) {
            let mut shard = shard.lock();
            shard.topics(topic).entry(name.into()).or_default().insert(client.id, client.clone());
        }
        own.publish(client);
        true
    }

    /// Ends a subscription; false if there was none.
    pub fn unsubscribe(&self, client: &Client, own: &mut Subscriptions, topic: Topic, name: &[u8]) -> bool {
        if !own.names_mut(topic).remove(name) {
            return false;
        }
        self.remove(client, topic, name);
        own.publish(client);
        true
    }

    /// Ends a subscription that its client has forgotten already.
    pub fn remove(&self, client: &Client, topic: Topic, name: &[u8]) {
        for shard in self.shards_of(topic, name) {
            let mut shard = shard.lock();
            let topics = shard.topics(topic);
            let Some(subscribers) = topics.get_mut(name) else { continue };
            subscribers.remove(&client.id);
            if subscribers.is_empty() {
                topics.remove(name);
                if topics.capacity() > NAMES_KEPT && topics.len() < topics.capacity() / 8 {
                    topics.shrink_to(2 * topics.len());
                }
            }
        }
        self.subscriptions.fetch_sub(1, Relaxed);
    }

    /// Ends all subscriptions of a client.
    pub fn leave(&self, client: &Client, own: &mut Subscriptions) {
        if own.is_empty() {
            return;
        }
        for topic in Topic::ALL {
            for name in std::mem::take(own.names_mut(topic)) {
                self.remove(client, topic, &name);
            }
        }
        own.publish(client);
    }

    /// Sends a message to all who hear this channel; how many that are.
    pub fn publish(&self, channel: &[u8], payload: &[u8]) -> usize {
        if self.subscriptions.load(Relaxed) == 0 {
            return 0;
        }
        let now_ms = now_ms();
        let shard = self.shard(channel).lock();
        let mut receivers = 0;
        if let Some(subscribers) = shard.channels.get(channel) {
            receivers +=
                Message::new("message", None, channel, payload).deliver(&self.clients, subscribers, now_ms);
        }
        for (pattern, subscribers) in &shard.patterns {
            if glob::matches(pattern, channel, Case::Sensitive) {
                let message = Message::new("pmessage", Some(pattern), channel, payload);
                receivers += message.deliver(&self.clients, subscribers, now_ms);
            }
        }
        receivers
    }

    /// Sends a message to all who hear this shard channel; how many that are.
    pub fn publish_to_shard_channel(&self, channel: &[u8], payload: &[u8]) -> usize {
        if self.subscriptions.load(Relaxed) == 0 {
            return 0;
        }
        let shard = self.shard(channel).lock();
        shard.shard_channels.get(channel).map_or(0, |subscribers| {
            Message::new("smessage", None, channel, payload).deliver(&self.clients, subscribers, now_ms())
        })
    }

    /// Publishes a keyspace event, as `notify-keyspace-events` says.
    pub fn publish_event(&self, event: &Event) {
        if self.subscriptions.load(Relaxed) == 0 {
            return;
        }
        let mask = self.settings.notify_mask.load(Relaxed);
        if mask & event.class.0 == 0 {
            return;
        }
        if mask & EventClass::KEYSPACE.0 != 0 {
            let mut channel = format!("__keyspace@{}__:", event.db).into_bytes();
            channel.extend_from_slice(&event.key);
            self.publish(&channel, event.name.as_bytes());
        }
        if mask & EventClass::KEYEVENT.0 != 0 {
            let channel = format!("__keyevent@{}__:{}", event.db, event.name);
            self.publish(channel.as_bytes(), &event.key);
        }
    }

    /// Closes those clients of this user who are subscribed to what he may not hear. O(subscriptions).
    pub fn close_who_may_not_hear(&self, user: &User) {
        for topic in Topic::ALL {
            let shards = if topic == Topic::Pattern { &self.shards[..1] } else { &self.shards[..] };
            for shard in shards {
                let mut shard = shard.lock();
                let names = shard.topics(topic).iter();
                let refused = names.filter(|(name, _)| !user.may_hear(name, topic == Topic::Pattern));
                let clients = refused.flat_map(|(_, subscribers)| subscribers.values());
                for client in clients.filter(|client| client.identity.lock().user == user.name) {
                    self.clients.kill(client);
                }
            }
        }
    }

    /// The channels (or shard channels) that have subscribers, in no order; those that match, if a pattern is given.
    pub fn active(&self, topic: Topic, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        let mut active = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let names = shard.topics(topic).keys();
            let is_wanted =
                |name: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name, Case::Sensitive));
            active.extend(names.filter(|name| is_wanted(name)).cloned());
            if topic == Topic::Pattern {
                break;
            }
        }
        active
    }

    /// How many names of this kind have subscribers. O(shards).
    pub fn count(&self, topic: Topic) -> usize {
        let shards = if topic == Topic::Pattern { &self.shards[..1] } else { &self.shards[..] };
        shards.iter().map(|shard| shard.lock().topics(topic).len()).sum()
    }

    /// How many clients are subscribed to this name.
    pub fn subscribers(&self, topic: Topic, name: &[u8]) -> usize {
        self.shard(name).lock().topics(topic).get(name).map_or(0, BTreeMap::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upkeep::stats::Stats;

    fn client(id: u64) -> (Arc<Client>, Subscriptions) {
        let client = Client::new(id, String::new(), String::new(), -1, 0, 0);
        (Arc::new(client), Subscriptions::default())
    }

    #[test]
    fn who_leaves_is_forgotten_everywhere() {
        let settings = Arc::<Settings>::default();
        let clients = Arc::new(Clients::new(settings.clone(), Arc::new(Stats::new(1, 1))));
        let pubsub = PubSub::new(clients, settings);
        let (mut one, mut two) = (client(1), client(2));
        for (client, own) in [&mut one, &mut two] {
            assert!(pubsub.subscribe(client, own, Topic::Channel, b"news"));
            assert!(!pubsub.subscribe(client, own, Topic::Channel, b"news"));
            assert!(pubsub.subscribe(client, own, Topic::Pattern, b"n*"));
            assert!(pubsub.subscribe(client, own, Topic::ShardChannel, b"news"));
        }
        assert!(one.0.has_flag(flags::PUBSUB));
        assert_eq!(pubsub.subscribers(Topic::Channel, b"news"), 2);
        assert_eq!(pubsub.count(Topic::Pattern), 1);
        pubsub.leave(&one.0, &mut one.1);
        assert!(one.1.is_empty() && !one.0.has_flag(flags::PUBSUB));
        assert_eq!(pubsub.subscribers(Topic::Channel, b"news"), 1);
        assert!(!pubsub.unsubscribe(&two.0, &mut two.1, Topic::Channel, b"other"));
        assert!(pubsub.unsubscribe(&two.0, &mut two.1, Topic::Channel, b"news"));
        assert_eq!(pubsub.active(Topic::Channel, None), Vec::<Box<[u8]>>::new());
        assert_eq!(pubsub.active(Topic::ShardChannel, Some(b"n*s")), [b"news"[..].into()]);
        pubsub.leave(&two.0, &mut two.1);
        for shard in &pubsub.shards {
            let shard = shard.lock();
            assert!(
                shard.channels.is_empty() && shard.patterns.is_empty() && shard.shard_channels.is_empty()
            );
        }
        assert_eq!(pubsub.subscriptions.load(Relaxed), 0);
    }

    #[test]
    fn a_message_is_encoded_once_per_protocol() {
        let mut message = Message::new("pmessage", Some(b"n*"), b"news", b"hi");
        let first = message.encoded(Proto::Resp2);
        assert_eq!(&first[..], b"*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
        assert!(Arc::ptr_eq(&first, &message.encoded(Proto::Resp2)));
        assert_eq!(message.encoded(Proto::Resp3)[0], b'>');
    }
}
