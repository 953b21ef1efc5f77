//! What is sent: a mix of operations, each one or several commands, encoded once.
//!
//! A mix is text, a line per operation: its weight, then commands separated by `;`.
//!
//! ```text
//! # a comment
//! 80 GET {key}
//! 20 SET {key} {value}
//!  5 MULTI ; INCR {key:counter:} ; INCR {same} ; EXEC
//! ```
//!
//! `{key}` is a key of the distribution, `{key:prefix}` one with another prefix, `{same}` the key drawn last, `{value}` the
//! value of the key before it in the chosen size, `{value:N}` the one of N bytes. Keys and values have a fixed length, so a
//! request is made of copies: the generator must cost less than the server that it measures. What GET, MGET and GETRANGE of
//! a `{key}` answer is compared with the key's value, alone and inside a transaction. Lists' and hashes' elements are not:
//! the generator does not know what was in them before.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::load::keys::KeyDraw;
use crate::load::value::write_value;

/// Digits of a key's number.
pub(crate) const KEY_DIGITS: usize = 12;
/// What precedes them, if the mix does not say.
pub const KEY_PREFIX: &str = "key:";

/// What the reply to a command must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// `+OK`
    Ok,
    /// `+QUEUED`; what the command answers comes with EXEC's reply.
    Queued,
    /// An integer
    Integer,
    /// The key's value, or nil
    Value,
    /// The values of so many keys, each or nil
    Values(u16),
    /// What stands in the key's value between these positions; negative ones count from its end
    Part(i64, i64),
    /// A string that may be any, or nil
    Text,
    /// An array (or map, or set)
    Array,
    /// The replies of so many commands
    Exec(u16),
    /// `+OK`, and so many commands are forgotten
    Discard(u16),
    /// Anything but an error
    Any,
}

impl Expect {
    /// How many of the command's keys the check must know.
    pub(crate) fn keys(self) -> usize {
        match self {
            Self::Value | Self::Part(..) => 1,
            Self::Values(keys) => keys.into(),
            _ => 0,
        }
    }
}

/// A piece of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    /// A key's digits: of a fresh one, or of the one drawn last.
    Key {
        is_same: bool,
    },
    /// The value of the key before, of so many bytes.
    Value(usize),
}

/// A command, encoded, with places for keys and values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
    /// What its reply must be.
    pub expect: Expect,
    /// Of a command inside a transaction: what its part of EXEC's reply must be.
    pub queued: Option<Expect>,
}

/// Commands that count as one request; its latency ends with the last reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its share among the weights of all.
    pub weight: u32,
    /// The commands, in order.
    pub commands: Vec<Template>,
}

/// The operations and their weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    operations: Vec<Operation>,
    /// Cumulative weights.
    bounds: Vec<u64>,
    source: MixSource,
    /// Lengths that values may have; empty: any.
    lengths: Vec<usize>,
}

/// What a mix was made from, and can be made from again on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MixSource {
    /// The text form, the sizes of values, and whether values of other lengths may be there.
    Text(String, Vec<usize>, bool),
    /// Commands that are sent one after the other.
    Sequence(Vec<Vec<Vec<u8>>>),
}

impl Mix {
    /// Reads the text form. Each operation with `{value}` comes in as many variants as there are sizes (in bytes).
    pub fn parse(text: &str, sizes: &[usize]) -> Result<Self, String> {
        let mut operations = Vec::new();
        let Some(first_size) = sizes.first() else { return Err("no size of values".to_owned()) };
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let error = |what: &str| format!("line {}: {what}: {line}", index + 1);
            let (weight, commands) = line.split_once(' ').ok_or_else(|| error("a weight and a command"))?;
            let weight: u32 = weight.parse().map_err(|_| error("the weight is no number"))?;
            let variants = if commands.contains("{value}") { sizes } else { &[*first_size] };
            for size in variants {
                let commands = operation(commands, *size).map_err(|what| error(&what))?;
                operations
                    .push(Operation { weight: weight * (sizes.len() / variants.len()) as u32, commands });
            }
        }
        let source = MixSource::Text(text.to_owned(), sizes.to_vec(), false);
        Self::of(operations, source)
    }

    /// Commands that are sent one after the other, again and again, as they are.
    pub fn sequence(commands: &[Vec<Vec<u8>>]) -> Result<Self, String> {
        let operations = commands.iter().map(|words| {
            let pieces = vec![Piece::Bytes(encode(words))];
            Operation { weight: 1, commands: vec![Template { pieces, expect: Expect::Any, queued: None }] }
        });
        Self::of(operations.collect(), MixSource::Sequence(commands.to_vec()))
    }

    /// The mix that was made from this.
    pub fn from_source(source: &MixSource) -> Result<Self, String> {
        match source {
            MixSource::Text(text, sizes, is_any) => {
                let mix = Self::parse(text, sizes)?;
                Ok(if *is_any { mix.with_any_length() } else { mix })
            }
            MixSource::Sequence(commands) => Self::sequence(commands),
        }
    }

    fn of(operations: Vec<Operation>, source: MixSource) -> Result<Self, String> {
        let mut sum = 0;
        let bounds: Vec<u64> = operations
            .iter()
            .map(|operation| {
                sum += u64::from(operation.weight);
                sum
            })
            .collect();
        let mut lengths = match &source {
            MixSource::Text(_, sizes, _) => sizes.clone(),
            MixSource::Sequence(_) => Vec::new(),
        };
        let pieces =
            operations.iter().flat_map(|operation| &operation.commands).flat_map(|command| &command.pieces);
        lengths.extend(pieces.filter_map(|piece| match piece {
            Piece::Value(bytes) => Some(*bytes),
            _ => None,
        }));
        lengths.sort_unstable();
        lengths.dedup();
        if sum == 0 {
            Err("a mix without commands".to_owned())
        } else {
            Ok(Self { operations, bounds, source, lengths })
        }
    }

    /// The same on keys whose values somebody else has written, in lengths that are not known here.
    #[must_use]
    pub fn with_any_length(mut self) -> Self {
        self.lengths.clear();
        if let MixSource::Text(_, _, is_any) = &mut self.source {
            *is_any = true;
        }
        self
    }

    /// What it was made from.
    pub fn source(&self) -> &MixSource {
        &self.source
    }

    /// Lengths that values may have; empty: any.
    pub(crate) fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Never true.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The next operation: drawn by weight, or the one at `turn` of a sequence.
    #[inline]
    pub fn next(&self, draw: &mut KeyDraw, turn: usize) -> &Operation {
        if matches!(self.source, MixSource::Sequence(_)) {
            return &self.operations[turn % self.operations.len()];
        }
        if let [one] = self.operations.as_slice() {
            return one;
        }
        let ticket = draw.below(self.bounds[self.bounds.len() - 1]);
        &self.operations[self.bounds.partition_point(|bound| *bound <= ticket)]
    }
}

impl Template {
    /// Appends the command with freshly drawn keys, and to `keys` those that the check of its reply must know.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, draw: &mut KeyDraw, last_key: &mut u64, keys: &mut VecDeque<u64>) {
        let mut wanted = self.queued.unwrap_or(self.expect).keys();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Key { is_same } => {
                    if !is_same {
                        *last_key = draw.draw();
                    }
                    if wanted > 0 {
                        wanted -= 1;
                        keys.push_back(*last_key);
                    }
                    let mut number = *last_key;
                    let mut digits = [b'0'; KEY_DIGITS];
                    for digit in digits.iter_mut().rev() {
                        *digit = b'0' + (number % 10) as u8;
                        number /= 10;
                    }
                    out.extend_from_slice(&digits);
                }
                Piece::Value(bytes) => write_value(out, *last_key, *bytes),
            }
        }
    }
}

/// The name of key `number`, as the templates write it.
pub fn key(number: u64) -> Vec<u8> {
    format!("{KEY_PREFIX}{number:0KEY_DIGITS$}").into_bytes()
}

fn operation(text: &str, size: usize) -> Result<Vec<Template>, String> {
    let mut templates: Vec<Template> = Vec::new();
    let mut prefix = KEY_PREFIX.to_owned();
    let mut queued: Option<u16> = None;
    for command in text.split(';') {
        let words: Vec<&str> = command.split_whitespace().collect();
        let Some(name) = words.first().map(|name| name.to_ascii_uppercase()) else {
            return Err("an empty command".to_owned());
        };
        let arguments: Vec<Argument> =
            words.iter().map(|word| argument(word, size, &mut prefix)).collect::<Result<_, _>>()?;
        let own = expectation(&name, &words, &arguments);
        let (expect, inner) = match &mut queued {
            Some(count) if name == "EXEC" => (Expect::Exec(*count), None),
            Some(count) if name == "DISCARD" => (Expect::Discard(*count), None),
            Some(count) => {
                *count += 1;
                (Expect::Queued, Some(own))
            }
            None => (own, None),
        };
        match name.as_str() {
            "MULTI" => queued = Some(0),
            "EXEC" | "DISCARD" => queued = None,
            _ => {}
        }
        templates.push(Template { pieces: pieces(&arguments), expect, queued: inner });
    }
    Ok(templates)
}

/// A command's word.
#[derive(Debug)]
enum Argument {
    Text(Vec<u8>),
    Key { prefix: Vec<u8>, is_same: bool },
    Value(usize),
}

fn argument(word: &str, size: usize, prefix: &mut String) -> Result<Argument, String> {
    let Some(inner) = word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) else {
        return Ok(Argument::Text(word.as_bytes().to_vec()));
    };
    let keyed = |prefix: &str, is_same| Argument::Key { prefix: prefix.as_bytes().to_vec(), is_same };
    match inner.split_once(':') {
        None if inner == "key" => {
            KEY_PREFIX.clone_into(prefix);
            Ok(keyed(prefix, false))
        }
        None if inner == "same" => Ok(keyed(prefix, true)),
        None if inner == "value" => Ok(Argument::Value(size)),
        Some(("key", own)) => {
            own.clone_into(prefix);
            Ok(keyed(prefix, false))
        }
        Some(("value", bytes)) => match bytes.parse::<usize>() {
            Ok(bytes) if bytes <= 512 << 20 => Ok(Argument::Value(bytes)),
            _ => Err(format!("no size in {word}")),
        },
        _ => Err(format!(
            "nothing is called {word}: {{key}}, {{key:PREFIX}}, {{same}}, {{value}}, {{value:BYTES}}"
        )),
    }
}

/// The command's encoding: bytes as long as nothing is written into them.
fn pieces(arguments: &[Argument]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let length = match argument {
            Argument::Text(text) => text.len(),
            Argument::Key { prefix, .. } => prefix.len() + KEY_DIGITS,
            Argument::Value(bytes) => *bytes,
        };
        bytes.extend(format!("${length}\r\n").into_bytes());
        match argument {
            Argument::Text(text) => bytes.extend_from_slice(text),
            Argument::Key { prefix, is_same } => {
                bytes.extend_from_slice(prefix);
                pieces.push(Piece::Bytes(std::mem::take(&mut bytes)));
                pieces.push(Piece::Key { is_same: *is_same });
            }
            Argument::Value(length) => {
                pieces.push(Piece::Bytes(std::mem::take(&mut bytes)));
                pieces.push(Piece::Value(*length));
            }
        }
        bytes.extend_from_slice(b"\r\n");
    }
    pieces.push(Piece::Bytes(bytes));
    pieces
}

fn encode<T: AsRef<[u8]>>(words: &[T]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        out.extend(format!("${}\r\n", word.len()).into_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn expectation(name: &str, words: &[&str], arguments: &[Argument]) -> Expect {
    let keys = arguments.iter().filter(|argument| matches!(argument, Argument::Key { .. })).count();
    let number = |index: usize| words.get(index).and_then(|word| word.parse().ok());
    match name {
        "SET" | "MSET" | "MULTI" | "LSET" | "RENAME" => Expect::Ok,
        "GET" if keys == 1 => Expect::Value,
        "GETRANGE" if keys == 1 => match (number(2), number(3)) {
            (Some(first), Some(last)) => Expect::Part(first, last),
            _ => Expect::Text,
        },
        "MGET" if keys + 1 == words.len() => u16::try_from(keys).map_or(Expect::Array, Expect::Values),
        "GET" | "GETRANGE" | "HGET" | "LINDEX" => Expect::Text,
        "INCR" | "DECR" | "INCRBY" | "DEL" | "UNLINK" | "EXISTS" | "APPEND" | "STRLEN" | "EXPIRE" | "TTL"
        | "LPUSH" | "RPUSH" | "LLEN" | "SADD" | "SREM" | "SCARD" | "HSET" | "HDEL" | "HLEN" | "ZADD"
        | "ZREM" | "ZCARD" | "DBSIZE" | "SETNX" => Expect::Integer,
        "MGET" | "LRANGE" | "HGETALL" | "HMGET" | "SMEMBERS" | "ZRANGE" | "KEYS" | "SCAN" | "EXEC" => {
            Expect::Array
        }
        _ => Expect::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::keys::Spread;

    fn draw() -> KeyDraw {
        KeyDraw::new(Spread::One, 10, 1)
    }

    fn written(line: &str) -> String {
        let mix = Mix::parse(line, &[3]).unwrap();
        let mut out = Vec::new();
        let mut last = 42;
        let mut draw = draw();
        let operation = mix.next(&mut draw, 0);
        operation
            .commands
            .iter()
            .for_each(|command| command.write(&mut out, &mut draw, &mut last, &mut VecDeque::new()));
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn keys_and_values_are_written_into_place() {
        assert_eq!(written("1 GET {key}"), "*2 $3 GET $16 key:000000000000 ");
        assert_eq!(written("1 GET {same}"), "*2 $3 GET $16 key:000000000042 ");
        assert_eq!(written("1 SET {key:a} {value}"), "*3 $3 SET $13 a000000000000 $3 v3: ");
    }

    #[test]
    fn replies_inside_a_transaction_are_queued() {
        let mix = Mix::parse("1 MULTI ; INCR {key} ; GET {same} ; EXEC", &[1]).unwrap();
        let expected: Vec<Expect> = mix.operations[0].commands.iter().map(|command| command.expect).collect();
        assert_eq!(expected, [Expect::Ok, Expect::Queued, Expect::Queued, Expect::Exec(2)]);
        let queued: Vec<Option<Expect>> =
            mix.operations[0].commands.iter().map(|command| command.queued).collect();
        assert_eq!(queued, [None, Some(Expect::Integer), Some(Expect::Value), None]);
    }

    #[test]
    fn keys_are_told_where_the_reply_depends_on_them() {
        let keys = |line: &str| {
            let mix = Mix::parse(line, &[8]).unwrap();
            let (mut keys, mut draw) = (VecDeque::new(), KeyDraw::new(Spread::Uniform, 1_000, 1));
            for command in &mix.operations[0].commands {
                command.write(&mut Vec::new(), &mut draw, &mut 0, &mut keys);
            }
            keys.len()
        };
        let counts =
            ["1 MGET {key} {key}", "1 GETRANGE {key} 0 3", "1 SET {key} {value}", "1 GET fixed"].map(keys);
        assert_eq!(counts, [2, 1, 0, 0]);
    }

    #[test]
    fn a_mix_is_made_again_from_its_source() {
        let mix = Mix::parse("1 GET {key}\n1 SET {key} {value:100}", &[8, 64]).unwrap();
        assert_eq!(mix.lengths(), [8, 64, 100]);
        let json = serde_json::to_string(mix.source()).unwrap();
        assert_eq!(Mix::from_source(&serde_json::from_str(&json).unwrap()).unwrap(), mix);
        let any = mix.with_any_length();
        assert_eq!(Mix::from_source(any.source()).unwrap(), any);
    }

    #[test]
    fn weights_are_shares() {
        let mix = Mix::parse("# most read\n80 GET {key}\n\n20 SET {key} {value}", &[8, 64]).unwrap();
        let mut draw = draw();
        let reads =
            (0..10_000).filter(|_| mix.next(&mut draw, 0).commands[0].expect == Expect::Value).count() as f64;
        assert!((reads / 10_000.0 - 0.8).abs() < 0.02, "{reads}");
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        assert_eq!(Mix::parse("x GET", &[1]).unwrap_err(), "line 1: the weight is no number: x GET");
        assert!(Mix::parse("1 GET {kee}", &[1]).unwrap_err().contains("nothing is called {kee}"));
        assert_eq!(Mix::parse("# nothing", &[1]).unwrap_err(), "a mix without commands");
    }
}
