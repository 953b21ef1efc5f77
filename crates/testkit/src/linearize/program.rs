//! What each client sends: drawn from a seed, so that clients meet on few keys and every value is told from every other.
//!
//! Keys of one letter are used together; those of several letters only in histories that are *joined*, where FLUSHDB comes too,
//! so that most histories fall into three parts that are searched alone. A key has a usual type; a command of another one comes to it
//! now and then. In histories that *read much* most commands read strings, for what is read more often than it is written may be kept in
//! another way. Lists and sets lose as much as they get, or their values would grow with the history.

use std::ops::Range;
use std::sync::Arc;

use super::call::{Bytes, Call, KEYS, Key};
use crate::Random;

/// Most calls that are sent together.
const PIPELINE_MAX: usize = 5;
/// A key's life, in milliseconds.
const LIFE_MS: Range<usize> = 1..25;
/// How long a BLPOP waits, in milliseconds.
const WAIT_MS: Range<usize> = 2..25;
/// Of a thousand batches so many end with the client hanging up.
const HANG_UPS_PER_MILLE: usize = 3;
/// Of a hundred commands so many go to a key of another type.
const STRANGE_PERCENT: usize = 4;
/// Of a hundred choices of keys in a joined history so many are made among all keys.
const CROSSING_PERCENT: usize = 8;

/// Of a hundred commands of a history that reads much so many are reads of strings, besides others that happen to be.
const READS_PERCENT: usize = 70;

/// What the clients of a history have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Theme {
    /// Some commands reach keys of several letters.
    pub(super) is_joined: bool,
    /// Most commands read.
    pub(super) reads_much: bool,
}

/// Calls that are sent in one go.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Batch {
    pub(super) calls: Vec<Call>,
    /// The client hangs up so many microseconds later if it has not had all answers then.
    pub(super) hangs_up_after_us: Option<u64>,
    /// Of its bytes so many of a thousand are sent; all, unless the client hangs up.
    pub(super) sent_per_mille: usize,
}

/// One client's source of batches.
pub(super) struct Program {
    random: Random,
    client: usize,
    number: u64,
    theme: Theme,
    /// What it watches.
    watched: Vec<Key>,
}

impl Program {
    pub(super) fn new(seed: u64, client: usize, theme: Theme) -> Self {
        // A generator's states follow one another by a fixed step, so that near seeds would draw the same a little later.
        let mut seeds = Random::new(seed);
        let seed = (0..=client).fold(0, |_, _| seeds.next_u64());
        let random = Random::new(seed);
        Self { random, client, number: 0, theme, watched: Vec::new() }
    }

    /// It has a new connection, which watches nothing.
    pub(super) fn reconnect(&mut self) {
        self.watched.clear();
    }

    /// What it sends next.
    pub(super) fn batch(&mut self) -> Batch {
        let count = if self.random.chance(65) { 1 } else { 2 + self.random.below(PIPELINE_MAX - 1) };
        let mut calls = Vec::with_capacity(count);
        // Who watches goes on at once, or others would never be let through.
        if !self.watched.is_empty() && self.random.chance(70) {
            calls.push(self.exec());
        }
        while calls.len() < count {
            let call = self.call();
            let ends = matches!(call, Call::BlockingPop(..));
            calls.push(call);
            if ends {
                break;
            }
        }
        let hangs_up = self.random.below(1_000) < HANG_UPS_PER_MILLE;
        let after = self.random.below(1_500) as u64;
        Batch {
            calls,
            hangs_up_after_us: hangs_up.then_some(after),
            sent_per_mille: if hangs_up && self.random.chance(50) { self.random.below(1_000) } else { 1_000 },
        }
    }

    /// What ends the wait of a BLPOP for this key.
    pub(super) fn push(&mut self, key: Key) -> Call {
        Call::Push(key, vec![self.token()])
    }

    fn token(&mut self) -> Bytes {
        self.number += 1;
        Arc::from(format!("{}.{}", self.client, self.number).into_bytes())
    }

    /// A number that nobody else writes, and that increments do not make of another one.
    fn number_token(&mut self) -> Bytes {
        self.number += 1;
        Arc::from(format!("{}", (self.client as u64 + 1) * 100_000_000 + self.number * 1_000).into_bytes())
    }

    /// A value of the key's usual type.
    fn token_for(&mut self, key: Key) -> Bytes {
        if KEYS[usize::from(key)].ends_with("count") { self.number_token() } else { self.token() }
    }

    /// Keys of one letter, or of all.
    fn group(&mut self) -> Range<usize> {
        if self.theme.is_joined && self.random.below(100) < CROSSING_PERCENT {
            return 0..KEYS.len();
        }
        group_of(*self.random.pick(b"abc"))
    }

    /// A key of this type among those, or now and then another one.
    fn key(&mut self, among: &Range<usize>, types: &[&str]) -> Key {
        let is_strange = self.random.below(100) < STRANGE_PERCENT;
        let is_fit = |key: &Key| types.iter().any(|kind| KEYS[usize::from(*key)].ends_with(kind));
        let all: Vec<Key> = (among.start as Key..among.end as Key).collect();
        let fit: Vec<Key> = all.iter().copied().filter(is_fit).collect();
        if is_strange || fit.is_empty() { *self.random.pick(&all) } else { *self.random.pick(&fit) }
    }

    /// Two or three keys that differ.
    fn several(&mut self, among: &Range<usize>, types: &[&str]) -> Vec<Key> {
        let mut keys = vec![self.key(among, types)];
        for _ in 0..1 + self.random.below(2) {
            let key = self.key(among, types);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    fn call(&mut self) -> Call {
        let among = self.group();
        if self.theme.is_joined && self.random.below(1_000) < 4 {
            return Call::Flush;
        }
        match self.random.below(100) {
            0..7 if self.watched.is_empty() => {
                let keys = self.several(&among, &["count", "text", "list", "hash"]);
                self.watched.clone_from(&keys);
                Call::Watch(keys)
            }
            7..15 if self.watched.is_empty() => self.exec_among(&among, Vec::new()),
            0..15 => self.exec(),
            15..20 => {
                let keys = self.several(&among, &["list", "queue"]);
                Call::BlockingPop(keys, (WAIT_MS.start + self.random.below(WAIT_MS.len())) as u64)
            }
            _ => self.simple(&among),
        }
    }

    fn exec(&mut self) -> Call {
        let watched = std::mem::take(&mut self.watched);
        let among =
            watched.first().map_or(0..KEYS.len(), |key| group_of(KEYS[usize::from(*key)].as_bytes()[0]));
        self.exec_among(&among, watched)
    }

    fn exec_among(&mut self, among: &Range<usize>, watched: Vec<Key>) -> Call {
        let count = 2 + self.random.below(3);
        Call::Exec((0..count).map(|_| self.simple(among)).collect(), watched)
    }

    /// A call that neither waits nor has to do with transactions.
    fn simple(&mut self, among: &Range<usize>) -> Call {
        const TEXT: [&str; 1] = ["text"];
        const STRINGS: [&str; 2] = ["count", "text"];
        const LISTS: [&str; 2] = ["list", "queue"];
        let reads = self.theme.reads_much && self.random.chance(READS_PERCENT);
        match self.random.below(if reads { 18 } else { 100 }) {
            0..9 => Call::Get(self.key(among, &STRINGS)),
            9..11 => Call::Strlen(self.key(among, &STRINGS)),
            11..13 => Call::Exists(self.several(among, &STRINGS)),
            13..18 => Call::Mget(self.several(among, &STRINGS)),
            18..22 => Call::Set(self.key(among, &TEXT), self.token()),
            22..24 => Call::Set(self.key(among, &["count"]), self.number_token()),
            24..28 => Call::SetGet(self.key(among, &TEXT), self.token()),
            28..31 => Call::SetNew(self.key(among, &TEXT), self.token()),
            31..41 => Call::Incr(self.key(among, &["count"])),
            41..46 => Call::Append(self.key(among, &TEXT), self.token()),
            46..50 => {
                let keys = self.several(among, &STRINGS).into_iter();
                Call::Mset(keys.map(|key| (key, self.token_for(key))).collect())
            }
            50..52 => Call::Del(self.several(among, &["text", "list", "zset", "hash"])),
            52..54 => match self.several(among, &["text", "count", "list"])[..] {
                [from, to, ..] => Call::Rename(from, to),
                _ => Call::Del(vec![self.key(among, &["queue"])]),
            },
            54..57 => {
                let key = self.key(among, &["text", "count", "queue", "hash"]);
                Call::Expire(key, (LIFE_MS.start + self.random.below(LIFE_MS.len())) as u64)
            }
            57..67 => {
                let values = (0..1 + self.random.below(2)).map(|_| self.token()).collect();
                Call::Push(self.key(among, &LISTS), values)
            }
            67..75 => Call::Pop(self.key(among, &LISTS)),
            75..79 => match self.several(among, &LISTS)[..] {
                [from, to, ..] => Call::Move(from, to),
                _ => Call::Pop(self.key(among, &LISTS)),
            },
            79..80 => Call::Range(self.key(among, &LISTS)),
            80..85 => {
                let (key, score) = (self.key(among, &["zset"]), self.random.below(20) as i64);
                Call::ZAdd(key, score, self.token())
            }
            85..90 => Call::ZPopMin(self.key(among, &["zset"])),
            90..91 => Call::ZRange(self.key(among, &["zset"])),
            91..95 => {
                let (key, field) = (self.key(among, &["hash"]), *self.random.pick(&["one", "two"]));
                Call::HIncrBy(key, Arc::from(field.as_bytes()), 1 + self.random.below(9) as i64)
            }
            95..98 => {
                let (key, field) = (self.key(among, &["hash"]), *self.random.pick(&["one", "two"]));
                Call::HGet(key, Arc::from(field.as_bytes()))
            }
            _ => Call::HGetAll(self.key(among, &["hash"])),
        }
    }
}

/// The keys of a letter.
fn group_of(letter: u8) -> Range<usize> {
    let start = KEYS.iter().position(|name| name.as_bytes()[0] == letter).unwrap_or(0);
    start..start + KEYS.iter().filter(|name| name.as_bytes()[0] == letter).count()
}

/// Everything that the keys hold, whatever their types: a transaction for each letter.
pub(super) fn dump() -> Vec<Call> {
    let read_all = |letter: u8| {
        let keys = (0..KEYS.len()).filter(|key| KEYS[*key].as_bytes()[0] == letter);
        keys.flat_map(|key| {
            let key = key as Key;
            [Call::Get(key), Call::Range(key), Call::ZRange(key), Call::HGetAll(key)]
        })
        .collect()
    };
    b"abc".iter().map(|letter| Call::Exec(read_all(*letter), Vec::new())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_and_all_kinds_of_calls() {
        let draw = |is_joined| {
            let mut program = Program::new(7, 3, Theme { is_joined, reads_much: false });
            (0..3_000).map(|_| program.batch()).collect::<Vec<_>>()
        };
        assert!(draw(true) == draw(true) && draw(true) != draw(false));
        let text: String =
            draw(true).iter().flat_map(|batch| &batch.calls).map(|call| format!("{call}\n")).collect();
        let words = "GET STRLEN EXISTS MGET SET MSET INCR APPEND DEL RENAME PEXPIRE FLUSHDB LPUSH LPOP LMOVE BLPOP LRANGE \
                     ZADD ZPOPMIN ZRANGE HINCRBY HGET HGETALL WATCH MULTI";
        for word in words.split_ascii_whitespace() {
            assert!(text.contains(&format!("\n{word}")), "no {word}");
        }
    }

    #[test]
    fn a_plain_history_falls_apart() {
        let mut program = Program::new(7, 3, Theme::default());
        let calls: Vec<Call> = (0..3_000).flat_map(|_| program.batch().calls).collect();
        for keys in calls.iter().map(Call::keys) {
            assert!([0x1f_u32, 0x1f << 5, 0x3f << 10].iter().any(|part| keys & !part == 0), "{keys:b}");
        }
    }
}
