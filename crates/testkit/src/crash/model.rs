//! The exact state of a connection's own keys: a small Redis that knows the commands which [`super::draw`] draws.
//!
//! A digest of the state changes with every step, so that thousands of prefixes of a history can be compared with what
//! a server recovered. Times are no part of it: a relative one is known only to lie between sending and acknowledgement.
//!
//! What a connection never knows is which member an unacknowledged SPOP took. Its sets for that get each member once,
//! so a member that is missing from the recovered set was taken.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};

use super::step::Step;
use crate::contents::{Content, Contents};
use crate::{Command, Reply};

/// How much the clocks of a server's worker and of this process may differ, in milliseconds: a server may read the clock
/// once for many commands.
pub(super) const CLOCK_SLACK_MS: i64 = 250;

/// A database and a key.
pub(super) type Place = (u32, Vec<u8>);

/// A key's value and the bounds between which it expires, in Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) content: Content,
    pub(super) deadline: Option<(i64, i64)>,
}

/// The state of one connection's own keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    keys: HashMap<Place, Entry>,
    digest: u64,
}

/// What a step is applied with.
struct Circumstances<'a> {
    database: u32,
    reply: Option<&'a Reply>,
    sent_ms: i64,
    acked_ms: i64,
    recovered: &'a Contents,
}

/// True for HyperLogLogs, whose model is the list of what was added.
pub(super) fn is_cardinality(key: &[u8]) -> bool {
    key.windows(3).any(|part| part == b":pf")
}

/// What a key adds to the digest. Of a HyperLogLog only that it is there.
pub(super) fn digest_of(place: &Place, content: &Content, has_deadline: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    has_deadline.hash(&mut hasher);
    if !is_cardinality(&place.1) {
        content.hash(&mut hasher);
    }
    hasher.finish()
}

impl Model {
    /// The sum of all keys' digests.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// All keys.
    pub(super) fn keys(&self) -> &HashMap<Place, Entry> {
        &self.keys
    }

    /// Does what the step did. `end_ms` is when the server died.
    pub(super) fn apply(&mut self, step: &Step, end_ms: i64, recovered: &Contents) {
        for (index, command) in step.commands.iter().enumerate() {
            let circumstances = Circumstances {
                database: step.database,
                reply: step.ack.as_ref().and_then(|ack| ack.replies.get(index)),
                sent_ms: step.sent_at_ms,
                acked_ms: step.ack.as_ref().map_or(end_ms, |ack| ack.at_ms),
                recovered,
            };
            self.run(command, &circumstances);
        }
    }

    fn run(&mut self, command: &Command, at: &Circumstances<'_>) {
        let args: Vec<&[u8]> = command.arguments.iter().map(Vec::as_slice).collect();
        let place = |index: usize| (at.database, args[index].to_vec());
        let name = command.name();
        match name.as_str() {
            "DEL" | "GETDEL" | "UNLINK" => drop(self.take(&place(1))),
            "RENAME" => {
                if let Some(entry) = self.take(&place(1)) {
                    self.put(place(2), entry);
                }
            }
            "COPY" => {
                if let Some(entry) = self.keys.get(&place(1)).cloned() {
                    self.put(place(2), entry);
                }
            }
            "MOVE" => {
                let target = (number(args[2]) as u32, args[1].to_vec());
                if !self.keys.contains_key(&target)
                    && let Some(entry) = self.take(&place(1))
                {
                    self.put(target, entry);
                }
            }
            "EXPIRE" => self.set_deadline(&place(1), Some(relative(number(args[2]) * 1000, at))),
            "PEXPIREAT" => self.set_deadline(&place(1), Some((number(args[2]), number(args[2])))),
            "PERSIST" => self.set_deadline(&place(1), None),
            "GETEX" => {
                let deadline = (args.len() == 4).then(|| relative(number(args[3]) * 1000, at));
                self.set_deadline(&place(1), deadline);
            }
            "SET" => {
                let deadline = match args.get(3) {
                    Some(&b"PXAT") => Some((number(args[4]), number(args[4]))),
                    Some(&b"EX") => Some(relative(number(args[4]) * 1000, at)),
                    _ => None,
                };
                self.put(place(1), Entry { content: Content::Text(args[2].to_vec()), deadline });
            }
            "MSET" => {
                for pair in args[1..].chunks(2) {
                    let entry = Entry { content: Content::Text(pair[1].to_vec()), deadline: None };
                    self.put((at.database, pair[0].to_vec()), entry);
                }
            }
            "APPEND" | "SETRANGE" | "INCRBY" | "INCRBYFLOAT" | "SETBIT" | "BITFIELD" => {
                self.change_text(&place(1), |text| change_text(&name, &args, text));
            }
            "RPUSH" | "LPUSH" | "RPUSHX" | "LPOP" | "RPOP" | "BLPOP" | "LTRIM" | "LREM" | "LINSERT"
            | "LSET" => {
                self.change_list(&place(1), |list| change_list(&name, &args, list));
            }
            "LMOVE" => self.move_element(&place(1), &place(2), &args),
            "HSET" | "HDEL" | "HINCRBY" => {
                self.change_hash(&place(1), |hash| change_hash(&name, &args, hash));
            }
            "SADD" | "SREM" => self.change_set(&place(1), |set| {
                for member in &args[2..] {
                    if name == "SADD" {
                        set.insert(member.to_vec())
                    } else {
                        set.remove(*member)
                    };
                }
            }),
            "SPOP" => self.pop_member(&place(1), at),
            "SUNIONSTORE" | "SINTERSTORE" => {
                let (one, two) = (self.set(&place(2)), self.set(&place(3)));
                let result: BTreeSet<Vec<u8>> = match name.as_str() {
                    "SUNIONSTORE" => one.union(&two).cloned().collect(),
                    _ => one.intersection(&two).cloned().collect(),
                };
                self.store(place(1), Content::Set(result));
            }
            "ZADD" | "ZINCRBY" | "ZREM" | "ZPOPMIN" | "GEOADD" => {
                self.change_sorted_set(&place(1), |members| change_sorted_set(&name, &args, members));
            }
            "ZUNIONSTORE" => {
                let mut sum = self.sorted_set(&place(3));
                for (member, score) in self.sorted_set(&place(4)) {
                    let before = sum.get(&member).map_or(0.0, |bits| f64::from_bits(*bits));
                    sum.insert(member, (before + f64::from_bits(score)).to_bits());
                }
                self.store(place(1), Content::SortedSet(sum));
            }
            "PFADD" => self.change_list(&place(1), |list| list.push(args[2].to_vec())),
            other => panic!("the model does not know {other}"),
        }
    }

    fn take(&mut self, place: &Place) -> Option<Entry> {
        let entry = self.keys.remove(place)?;
        self.digest = self.digest.wrapping_sub(digest_of(place, &entry.content, entry.deadline.is_some()));
        Some(entry)
    }

    fn put(&mut self, place: Place, entry: Entry) {
        self.take(&place);
        self.digest = self.digest.wrapping_add(digest_of(&place, &entry.content, entry.deadline.is_some()));
        self.keys.insert(place, entry);
    }

    fn store(&mut self, place: Place, content: Content) {
        self.take(&place);
        if !is_empty(&content) {
            self.put(place, Entry { content, deadline: None });
        }
    }

    fn set_deadline(&mut self, place: &Place, deadline: Option<(i64, i64)>) {
        if let Some(entry) = self.take(place) {
            self.put(place.clone(), Entry { deadline, ..entry });
        }
    }

    /// Changes a key's content, which is `empty` if it is not there, and goes if it is empty afterwards.
    fn change(&mut self, place: &Place, empty: Content, change: impl FnOnce(&mut Content)) {
        let mut entry = self.take(place).unwrap_or(Entry { content: empty, deadline: None });
        change(&mut entry.content);
        if !is_empty(&entry.content) {
            self.put(place.clone(), entry);
        }
    }

    fn change_text(&mut self, place: &Place, change: impl FnOnce(&mut Vec<u8>)) {
        self.change(place, Content::Text(Vec::new()), |content| match content {
            Content::Text(text) => change(text),
            other => panic!("no string: {other}"),
        });
    }

    fn change_list(&mut self, place: &Place, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        self.change(place, Content::List(Vec::new()), |content| match content {
            Content::List(list) => change(list),
            other => panic!("no list: {other}"),
        });
    }

    fn change_hash(&mut self, place: &Place, change: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>)) {
        self.change(place, Content::Hash(BTreeMap::new()), |content| match content {
            Content::Hash(hash) => change(hash),
            other => panic!("no hash: {other}"),
        });
    }

    fn change_set(&mut self, place: &Place, change: impl FnOnce(&mut BTreeSet<Vec<u8>>)) {
        self.change(place, Content::Set(BTreeSet::new()), |content| match content {
            Content::Set(set) => change(set),
            other => panic!("no set: {other}"),
        });
    }

    fn change_sorted_set(&mut self, place: &Place, change: impl FnOnce(&mut BTreeMap<Vec<u8>, u64>)) {
        self.change(place, Content::SortedSet(BTreeMap::new()), |content| match content {
            Content::SortedSet(members) => change(members),
            other => panic!("no sorted set: {other}"),
        });
    }

    fn set(&self, place: &Place) -> BTreeSet<Vec<u8>> {
        match self.keys.get(place).map(|entry| &entry.content) {
            Some(Content::Set(set)) => set.clone(),
            _ => BTreeSet::new(),
        }
    }

    fn sorted_set(&self, place: &Place) -> BTreeMap<Vec<u8>, u64> {
        match self.keys.get(place).map(|entry| &entry.content) {
            Some(Content::SortedSet(members)) => members.clone(),
            _ => BTreeMap::new(),
        }
    }

    fn move_element(&mut self, from: &Place, to: &Place, args: &[&[u8]]) {
        let mut moved = None;
        if from == to {
            // A list that only turns is never empty in between, and keeps its time to live.
            return self.change_list(from, |list| match pop(list, args[3] == b"LEFT") {
                Some(element) if args[4] == b"LEFT" => list.insert(0, element),
                Some(element) => list.push(element),
                None => {}
            });
        }
        self.change_list(from, |list| moved = pop(list, args[3] == b"LEFT"));
        if let Some(element) = moved {
            self.change_list(to, |list| match args[4] {
                b"LEFT" => list.insert(0, element),
                _ => list.push(element),
            });
        }
    }

    fn pop_member(&mut self, place: &Place, at: &Circumstances<'_>) {
        let popped = match at.reply {
            Some(Reply::Bulk(member)) => Some(member.clone()),
            Some(_) => None,
            None => {
                let left = match at.recovered.get(place.0, &place.1).map(|held| &held.content) {
                    Some(Content::Set(left)) => left.clone(),
                    _ => BTreeSet::new(),
                };
                self.set(place).difference(&left).next().cloned()
            }
        };
        if let Some(member) = popped {
            self.change_set(place, |set| {
                set.remove(&member);
            });
        }
    }
}

fn relative(ttl_ms: i64, at: &Circumstances<'_>) -> (i64, i64) {
    (at.sent_ms + ttl_ms - CLOCK_SLACK_MS, at.acked_ms + ttl_ms + CLOCK_SLACK_MS)
}

fn is_empty(content: &Content) -> bool {
    match content {
        Content::List(list) => list.is_empty(),
        Content::Set(set) => set.is_empty(),
        Content::Hash(hash) => hash.is_empty(),
        Content::SortedSet(members) => members.is_empty(),
        Content::Text(_) | Content::Other(_) => false,
    }
}

fn number(bytes: &[u8]) -> i64 {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("no number: {}", String::from_utf8_lossy(bytes)))
}

fn float(bytes: &[u8]) -> f64 {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("no number: {}", String::from_utf8_lossy(bytes)))
}

fn change_text(name: &str, args: &[&[u8]], text: &mut Vec<u8>) {
    match name {
        "APPEND" => text.extend_from_slice(args[2]),
        "SETRANGE" => {
            let start = number(args[2]) as usize;
            text.resize(text.len().max(start + args[3].len()), 0);
            text[start..start + args[3].len()].copy_from_slice(args[3]);
        }
        "INCRBY" => {
            let before = if text.is_empty() { 0 } else { number(text) };
            *text = (before + number(args[2])).to_string().into_bytes();
        }
        "INCRBYFLOAT" => {
            // All increments are halves, so that every sum is exact.
            let before = if text.is_empty() { 0.0 } else { float(text) };
            *text = (before + float(args[2])).to_string().into_bytes();
        }
        "SETBIT" => {
            let bit = number(args[2]) as usize;
            text.resize(text.len().max(bit / 8 + 1), 0);
            let mask = 0x80 >> (bit % 8);
            if args[3] == b"1" {
                text[bit / 8] |= mask
            } else {
                text[bit / 8] &= !mask
            };
        }
        // BITFIELD key SET|INCRBY u8 #index value
        _ => {
            let index = number(&args[4][1..]) as usize;
            text.resize(text.len().max(index + 1), 0);
            let value = number(args[5]) as u8;
            text[index] = if args[2] == b"SET" { value } else { text[index].wrapping_add(value) };
        }
    }
}

fn pop(list: &mut Vec<Vec<u8>>, is_left: bool) -> Option<Vec<u8>> {
    if is_left { (!list.is_empty()).then(|| list.remove(0)) } else { list.pop() }
}

fn change_list(name: &str, args: &[&[u8]], list: &mut Vec<Vec<u8>>) {
    match name {
        "RPUSH" => list.extend(args[2..].iter().map(|element| element.to_vec())),
        "LPUSH" => args[2..].iter().for_each(|element| list.insert(0, element.to_vec())),
        "RPUSHX" if list.is_empty() => {}
        "RPUSHX" => list.push(args[2].to_vec()),
        "LPOP" | "RPOP" => {
            let count = args.get(2).map_or(1, |count| number(count));
            (0..count).for_each(|_| drop(pop(list, name == "LPOP")));
        }
        "BLPOP" => drop(pop(list, true)),
        // LTRIM key -count -1
        "LTRIM" => {
            let keep = -number(args[2]) as usize;
            list.drain(..list.len().saturating_sub(keep));
        }
        // LREM key 1 element
        "LREM" => {
            if let Some(index) = list.iter().position(|element| element == args[3]) {
                list.remove(index);
            }
        }
        // LINSERT key BEFORE pivot element
        "LINSERT" => {
            if let Some(index) = list.iter().position(|element| element == args[3]) {
                list.insert(index, args[4].to_vec());
            }
        }
        // LSET key 0 element
        _ => {
            if let Some(first) = list.first_mut() {
                *first = args[3].to_vec();
            }
        }
    }
}

fn change_hash(name: &str, args: &[&[u8]], hash: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    match name {
        "HSET" => {
            for pair in args[2..].chunks(2) {
                hash.insert(pair[0].to_vec(), pair[1].to_vec());
            }
        }
        "HDEL" => {
            for field in &args[2..] {
                hash.remove(*field);
            }
        }
        _ => {
            let before = hash.get(args[2]).map_or(0, |value| number(value));
            hash.insert(args[2].to_vec(), (before + number(args[3])).to_string().into_bytes());
        }
    }
}

fn change_sorted_set(name: &str, args: &[&[u8]], members: &mut BTreeMap<Vec<u8>, u64>) {
    match name {
        "ZADD" => {
            for pair in args[2..].chunks(2) {
                members.insert(pair[1].to_vec(), float(pair[0]).to_bits());
            }
        }
        "ZINCRBY" => {
            let before = members.get(args[3]).map_or(0.0, |bits| f64::from_bits(*bits));
            members.insert(args[3].to_vec(), (before + float(args[2])).to_bits());
        }
        "ZREM" => {
            for member in &args[2..] {
                members.remove(*member);
            }
        }
        "ZPOPMIN" => {
            let least = members.iter().min_by(|a, b| {
                let score = |bits: &u64| f64::from_bits(*bits);
                score(a.1).total_cmp(&score(b.1)).then_with(|| a.0.cmp(b.0))
            });
            if let Some(member) = least.map(|(member, _)| member.clone()) {
                members.remove(&member);
            }
        }
        // GEOADD key longitude latitude member: one place, whose score is known.
        _ => {
            members.insert(args[4].to_vec(), GEO_SCORE.to_bits());
        }
    }
}

/// The place that GEOADD is called with, and the score that Redis gives it (its documentation's example, Palermo).
pub(super) const GEO_PLACE: &str = "13.361389 38.115556";
const GEO_SCORE: f64 = 3_479_099_956_230_698.0;

#[cfg(test)]
mod tests {
    use super::super::draw;
    use super::super::step::{Ack, Role};
    use super::*;
    use crate::contents::Fields;
    use crate::{Random, Server};

    /// The model does what Redis does, for thousands of steps.
    #[test]
    fn the_model_agrees_with_redis() {
        let server = Server::redis();
        let mut client = server.client();
        let mut random = Random::new(11);
        let mut model = Model::default();
        for number in 0..6_000 {
            let database = *random.pick(&draw::databases(3));
            let mut step = draw::own_step(&mut random, 3, database, number);
            step.sent_at_ms = 1_000;
            client.line(&format!("SELECT {database}"));
            let replies: Vec<Reply> =
                step.commands.iter().map(|command| client.call(&command.arguments)).collect();
            let surprising = replies.iter().find(|reply| draw::is_surprising(reply));
            assert!(surprising.is_none(), "{:?}: {surprising:?}", step.commands);
            step.ack = Some(Ack { at: std::time::Instant::now(), at_ms: 1_000, replies });
            assert_eq!(step.role, Role::Own);
            model.apply(&step, 0, &Contents::default());
        }
        let contents = Contents::read(&mut client, Fields::WithoutTimes);
        for (place, held) in &contents.keys {
            let entry = model.keys.get(place).unwrap_or_else(|| panic!("the model lacks {place:?}"));
            if !is_cardinality(&place.1) {
                assert_eq!(held.content, entry.content, "{place:?}");
            }
            assert_eq!(held.expires_at_ms.is_some(), entry.deadline.is_some(), "{place:?}");
        }
        assert_eq!(contents.keys.len(), model.keys.len());
        let digests = model
            .keys
            .iter()
            .map(|(place, entry)| digest_of(place, &entry.content, entry.deadline.is_some()));
        assert_eq!(digests.fold(0, u64::wrapping_add), model.digest());
        assert!(model.keys.len() > 60, "{}", model.keys.len());
    }
}
