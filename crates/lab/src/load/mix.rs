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
//! `{key}` is a key of the distribution, `{key:prefix}` one with another prefix, `{same}` the key drawn last, `{value}` a
//! value of the chosen size, `{value:N}` one of N bytes. Keys and values have a fixed length, so a request is a copy of
//! bytes with twelve digits written into it: the generator must cost less than the server that it measures.

use crate::load::keys::KeyDraw;

/// Digits of a key's number.
const KEY_DIGITS: usize = 12;
/// What precedes them, if the mix does not say.
pub const KEY_PREFIX: &str = "key:";

/// What the reply to a command must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// `+OK`
    Ok,
    /// `+QUEUED`
    Queued,
    /// An integer
    Integer,
    /// A value that this generator wrote, or nil
    Value,
    /// An array (or map, or set)
    Array,
    /// Anything but an error
    Any,
}

/// A command, encoded, with the places where keys' numbers are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    bytes: Vec<u8>,
    /// Where the digits start, and whether the key drawn last is repeated.
    patches: Vec<(usize, bool)>,
    /// What its reply must be.
    pub expect: Expect,
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
    /// Whether the operations are sent one after the other instead of drawn.
    is_sequence: bool,
}

/// A value of this length. A GET's reply is compared with it byte by byte.
pub fn value(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| b'a' + ((index * 7 + index / 26) % 26) as u8).collect()
}

impl Mix {
    /// Reads the text form. Each operation with `{value}` comes in as many variants as there are sizes (in bytes).
    pub fn parse(text: &str, sizes: &[usize]) -> Result<Self, String> {
        let mut operations = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let error = |what: &str| format!("line {}: {what}: {line}", index + 1);
            let (weight, commands) = line.split_once(' ').ok_or_else(|| error("a weight and a command"))?;
            let weight: u32 = weight.parse().map_err(|_| error("the weight is no number"))?;
            let variants = if commands.contains("{value}") { sizes } else { &sizes[..1] };
            for size in variants {
                let commands = operation(commands, *size).map_err(|what| error(&what))?;
                operations
                    .push(Operation { weight: weight * (sizes.len() / variants.len()) as u32, commands });
            }
        }
        Self::of(operations, false)
    }

    /// Commands that are sent one after the other, again and again, as they are.
    pub fn sequence(commands: &[Vec<Vec<u8>>]) -> Result<Self, String> {
        let operations = commands.iter().map(|words| Operation {
            weight: 1,
            commands: vec![Template { bytes: encode(words), patches: Vec::new(), expect: Expect::Any }],
        });
        Self::of(operations.collect(), true)
    }

    fn of(operations: Vec<Operation>, is_sequence: bool) -> Result<Self, String> {
        let mut sum = 0;
        let bounds: Vec<u64> = operations
            .iter()
            .map(|operation| {
                sum += u64::from(operation.weight);
                sum
            })
            .collect();
        if sum == 0 {
            Err("a mix without commands".to_owned())
        } else {
            Ok(Self { operations, bounds, is_sequence })
        }
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
        if self.is_sequence {
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
    /// Appends the command with freshly drawn keys.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, draw: &mut KeyDraw, last_key: &mut u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        for (offset, is_same) in &self.patches {
            if !is_same {
                *last_key = draw.draw();
            }
            let mut number = *last_key;
            for digit in out[start + offset..start + offset + KEY_DIGITS].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
    }
}

/// The name of key `number`, as the templates write it.
pub fn key(number: u64) -> Vec<u8> {
    format!("{KEY_PREFIX}{number:0KEY_DIGITS$}").into_bytes()
}

fn operation(text: &str, size: usize) -> Result<Vec<Template>, String> {
    let mut templates = Vec::new();
    let mut prefix = KEY_PREFIX.to_owned();
    let mut is_queued = false;
    for command in text.split(';') {
        let words: Vec<&str> = command.split_whitespace().collect();
        let Some(name) = words.first().map(|name| name.to_ascii_uppercase()) else {
            return Err("an empty command".to_owned());
        };
        let mut parts = Vec::new();
        let mut keys = Vec::new();
        for word in &words {
            let (part, key) = argument(word, size, &mut prefix)?;
            keys.extend(key.map(|(offset, is_same)| (parts.len(), offset, is_same)));
            parts.push(part);
        }
        let expect = if is_queued && name != "EXEC" { Expect::Queued } else { expectation(&name) };
        is_queued = (is_queued || name == "MULTI") && name != "EXEC";
        let patches = keys.iter().map(|(part, offset, is_same)| (place(&parts, *part) + offset, *is_same));
        templates.push(Template { patches: patches.collect(), bytes: encode(&parts), expect });
    }
    Ok(templates)
}

/// An argument's bytes, and where in them a key's digits start.
type Argument = (Vec<u8>, Option<(usize, bool)>);

fn argument(word: &str, size: usize, prefix: &mut String) -> Result<Argument, String> {
    let Some(inner) = word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) else {
        return Ok((word.as_bytes().to_vec(), None));
    };
    let keyed = |prefix: &str, is_same| {
        let mut bytes = prefix.as_bytes().to_vec();
        bytes.extend([b'0'; KEY_DIGITS]);
        (bytes, Some((prefix.len(), is_same)))
    };
    match inner.split_once(':') {
        None if inner == "key" => {
            KEY_PREFIX.clone_into(prefix);
            Ok(keyed(prefix, false))
        }
        None if inner == "same" => Ok(keyed(prefix, true)),
        None if inner == "value" => Ok((value(size), None)),
        Some(("key", own)) => {
            own.clone_into(prefix);
            Ok(keyed(prefix, false))
        }
        Some(("value", bytes)) => match bytes.parse::<usize>() {
            Ok(bytes) if bytes <= 512 << 20 => Ok((value(bytes), None)),
            _ => Err(format!("no size in {word}")),
        },
        _ => Err(format!(
            "nothing is called {word}: {{key}}, {{key:PREFIX}}, {{same}}, {{value}}, {{value:BYTES}}"
        )),
    }
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

/// Where the bytes of argument `index` start in the encoded command.
fn place(parts: &[Vec<u8>], index: usize) -> usize {
    let header = format!("*{}\r\n", parts.len()).len();
    let before: usize =
        parts[..index].iter().map(|part| format!("${}\r\n", part.len()).len() + part.len() + 2).sum();
    header + before + format!("${}\r\n", parts[index].len()).len()
}

fn expectation(name: &str) -> Expect {
    match name {
        "SET" | "MSET" | "MULTI" | "LSET" | "RENAME" => Expect::Ok,
        "GET" | "HGET" | "LINDEX" => Expect::Value,
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
        operation.commands.iter().for_each(|command| command.write(&mut out, &mut draw, &mut last));
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn keys_and_values_are_written_into_place() {
        assert_eq!(written("1 GET {key}"), "*2 $3 GET $16 key:000000000000 ");
        assert_eq!(written("1 GET {same}"), "*2 $3 GET $16 key:000000000042 ");
        assert_eq!(written("1 SET {key:a} {value}"), format!("*3 $3 SET $13 a000000000000 $3 {} ", "aho"));
        assert_eq!(value(3), b"aho");
    }

    #[test]
    fn replies_inside_a_transaction_are_queued() {
        let mix = Mix::parse("1 MULTI ; INCR {key} ; INCR {same} ; EXEC", &[1]).unwrap();
        let expected: Vec<Expect> = mix.operations[0].commands.iter().map(|command| command.expect).collect();
        assert_eq!(expected, [Expect::Ok, Expect::Queued, Expect::Queued, Expect::Array]);
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
