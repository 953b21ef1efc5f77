//! Consumer groups: who has been given which entries, and has not acknowledged them.

use std::collections::{BTreeMap, BTreeSet};

use super::id::StreamId;

/// Where a group has a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumerIndex(u32);

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Who has it.
    pub consumer: ConsumerIndex,
    /// Unix ms of its last delivery.
    pub delivered_ms: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// A consumer of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its name.
    pub name: Box<[u8]>,
    /// Unix ms of the last time that it tried to do anything.
    pub seen_ms: u64,
    /// Unix ms of the last time that it was given something; `None` if it never was.
    pub active_ms: Option<u64>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    /// The entries that it has.
    pub fn pending(&self) -> &BTreeSet<StreamId> {
        &self.pending
    }
}

/// A consumer group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The greatest ID that was delivered to anybody.
    pub last_id: StreamId,
    /// How many entries of the stream, deleted ones too, there are up to it; `None` if that is not known.
    pub entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    consumers: Vec<Option<Consumer>>,
    /// Places of `consumers` without one.
    free: Vec<u32>,
    by_name: BTreeMap<Box<[u8]>, ConsumerIndex>,
}

const MISSING: &str = "an index is one of the group's consumers";

impl Group {
    /// A group without consumers.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self { last_id, entries_read, ..Self::default() }
    }

    /// The consumer of this name.
    pub fn find(&self, name: &[u8]) -> Option<ConsumerIndex> {
        self.by_name.get(name).copied()
    }

    /// Makes a consumer, whose name is not there yet.
    pub fn create(&mut self, name: &[u8], now_ms: u64) -> ConsumerIndex {
        debug_assert!(self.find(name).is_none());
        let name: Box<[u8]> = name.into();
        let consumer =
            Consumer { name: name.clone(), seen_ms: now_ms, active_ms: None, pending: BTreeSet::new() };
        let index = match self.free.pop() {
            Some(free) => {
                self.consumers[free as usize] = Some(consumer);
                ConsumerIndex(free)
            }
            None => {
                self.consumers.push(Some(consumer));
                ConsumerIndex(
                    u32::try_from(self.consumers.len() - 1).expect("names take more memory than there is"),
                )
            }
        };
        self.by_name.insert(name, index);
        index
    }

    /// Removes a consumer and all that it has pending; how much that was.
    pub fn remove(&mut self, index: ConsumerIndex) -> usize {
        let consumer = self.consumers[index.0 as usize].take().expect(MISSING);
        self.by_name.remove(&consumer.name);
        self.free.push(index.0);
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        consumer.pending.len()
    }

    /// A consumer.
    pub fn consumer(&self, index: ConsumerIndex) -> &Consumer {
        self.consumers[index.0 as usize].as_ref().expect(MISSING)
    }

    /// A consumer, whose times are to be changed.
    pub fn consumer_mut(&mut self, index: ConsumerIndex) -> &mut Consumer {
        self.consumers[index.0 as usize].as_mut().expect(MISSING)
    }

    /// All consumers, by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.by_name.values().map(|index| self.consumer(*index))
    }

    /// What is pending, by ID.
    pub fn pending(&self) -> &BTreeMap<StreamId, Pending> {
        &self.pending
    }

    /// Gives an entry to a consumer: pending from now on, whoever had it before. What was known of it before.
    pub fn assign(
        &mut self,
        id: StreamId,
        consumer: ConsumerIndex,
        delivered_ms: u64,
        deliveries: u64,
    ) -> Option<Pending> {
        let before = self.pending.insert(id, Pending { consumer, delivered_ms, deliveries });
        if before.is_none_or(|before| before.consumer != consumer) {
            if let Some(before) = before {
                self.consumer_mut(before.consumer).pending.remove(&id);
            }
            self.consumer_mut(consumer).pending.insert(id);
        }
        before
    }

    /// An entry is not pending any more; what was known of it.
    pub fn acknowledge(&mut self, id: StreamId) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.consumer_mut(pending.consumer).pending.remove(&id);
        Some(pending)
    }

    /// About the bytes that it takes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        let entry = size_of::<(StreamId, Pending)>() + size_of::<StreamId>();
        let names: usize = self.consumers().map(|consumer| 2 * consumer.name.len()).sum();
        self.pending.len() * entry + self.consumers.capacity() * size_of::<Option<Consumer>>() + names
    }

    /// Allocations that freeing it takes, about.
    pub(super) fn effort(&self) -> usize {
        self.pending.len() / 4 + 3 * self.consumers.len() + 1
    }
}
