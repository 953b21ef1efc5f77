//! All that a server holds, read over the protocol and compared key by key.
//!
//! [`Contents`] is what interchange with another server, a restart or a crash must leave as it was. A digest would say
//! that something differs; this says what. Values are read with the plain read commands of each type rather than by
//! DUMP, whose bytes depend on the encoding.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{Client, Command, DecodeError, Reply};

/// Databases of a server with default settings.
pub const DATABASES: u32 = 16;
/// Keys that are asked about in one pipeline.
const PIPELINE: usize = 200;
/// Of so many differences a message tells.
const DIFFERENCES_SHOWN: usize = 10;

/// A value without its encoding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Content {
    /// A string, and what is stored as one: bitmaps, HyperLogLogs.
    Text(Vec<u8>),
    /// A list in its order.
    List(Vec<Vec<u8>>),
    /// A set.
    Set(BTreeSet<Vec<u8>>),
    /// A hash.
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    /// A sorted set: members with the bits of their scores. The compact encoding has no -0, which is the same score as 0, here
    /// as in Redis; so both are read as 0.
    SortedSet(BTreeMap<Vec<u8>, u64>),
    /// A type that is not read here, by name.
    Other(String),
}

/// A value with its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The value.
    pub content: Content,
    /// Unix milliseconds at which the key expires.
    pub expires_at_ms: Option<i64>,
    /// Unix milliseconds at which each field of a hash expires that does, if they were asked for.
    pub fields_expire_at_ms: BTreeMap<Vec<u8>, i64>,
}

/// Every key of every database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// By database and key.
    pub keys: BTreeMap<(u32, Vec<u8>), Stored>,
}

/// Whether fields of hashes are asked for their times; Redis knows them only since 7.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// Their times are read.
    WithTimes,
    /// They are not.
    WithoutTimes,
}

impl Contents {
    /// Reads everything. The client is left with database 0 selected. Panics if a reply is not what it should be.
    #[track_caller]
    pub fn read(client: &mut Client, fields: Fields) -> Self {
        Self::try_read(client, fields).unwrap_or_else(|error| panic!("cannot read the contents: {error}"))
    }

    /// Reads everything, or tells why that failed.
    pub fn try_read(client: &mut Client, fields: Fields) -> Result<Self, DecodeError> {
        let mut contents = Self::default();
        for database in 0..DATABASES {
            expect_ok(&client.try_call(&["SELECT", &database.to_string()])?)?;
            let keys = client.try_call(&["KEYS", "*"])?;
            let keys = keys.elements().into_iter().map(into_bytes).collect::<Result<Vec<_>, _>>()?;
            for keys in keys.chunks(PIPELINE) {
                contents.read_keys(client, database, keys, fields)?;
            }
        }
        expect_ok(&client.try_call(&["SELECT", "0"])?)?;
        Ok(contents)
    }

    fn read_keys(
        &mut self,
        client: &mut Client,
        database: u32,
        keys: &[Vec<u8>],
        fields: Fields,
    ) -> Result<(), DecodeError> {
        let ask = |name: &str, key: &[u8]| Command::new(&[name.as_bytes(), key]);
        let types: Vec<Command> = keys.iter().map(|key| ask("TYPE", key)).collect();
        let types = client.try_pipeline(&types)?;
        let read: Vec<Command> = keys.iter().zip(&types).map(|(key, kind)| read_command(key, kind)).collect();
        let values = client.try_pipeline(&read)?;
        let times: Vec<Command> = keys.iter().map(|key| ask("PEXPIRETIME", key)).collect();
        let times = client.try_pipeline(&times)?;
        for (((key, kind), value), time) in keys.iter().zip(&types).zip(values).zip(times) {
            let expires_at_ms = match time {
                Reply::Integer(-1) => None,
                Reply::Integer(-2) => continue,
                Reply::Integer(time) => Some(time),
                other => return Err(DecodeError::Invalid(format!("the reply to PEXPIRETIME: {other}"))),
            };
            // The key may have expired since KEYS.
            let Some(content) = content(kind, value)? else { continue };
            let mut held = Stored { content, expires_at_ms, fields_expire_at_ms: BTreeMap::new() };
            if let (Content::Hash(hash), Fields::WithTimes) = (&mut held.content, fields) {
                held.fields_expire_at_ms = field_times(client, key, hash)?;
                if hash.is_empty() {
                    continue;
                }
            }
            self.keys.insert((database, key.clone()), held);
        }
        Ok(())
    }

    /// The keys of a database.
    pub fn database(&self, database: u32) -> impl Iterator<Item = (&[u8], &Stored)> {
        let all = self.keys.iter();
        all.filter(move |((of, _), _)| *of == database).map(|((_, key), held)| (key.as_slice(), held))
    }

    /// A key's value, if it is there.
    pub fn get(&self, database: u32, key: &[u8]) -> Option<&Stored> {
        self.keys.get(&(database, key.to_vec()))
    }

    /// Without the keys and fields whose time (Unix milliseconds) has come.
    #[must_use]
    pub fn without_due(mut self, now_ms: i64) -> Self {
        self.keys.retain(|_, held| {
            if let Content::Hash(hash) = &mut held.content {
                let times = &held.fields_expire_at_ms;
                hash.retain(|field, _| times.get(field).is_none_or(|time| *time > now_ms));
                held.fields_expire_at_ms.retain(|_, time| *time > now_ms);
                if hash.is_empty() {
                    return false;
                }
            }
            held.expires_at_ms.is_none_or(|time| time > now_ms)
        });
        self
    }

    /// What differs, key by key; None if nothing does.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let all: BTreeSet<_> = self.keys.keys().chain(other.keys.keys()).collect();
        let differences: Vec<String> = all
            .into_iter()
            .filter(|key| self.keys.get(key) != other.keys.get(key))
            .map(|key| {
                let (mine, theirs) = (self.keys.get(key), other.keys.get(key));
                format!("database {}, {}: {} and {}", key.0, quoted(&key.1), shown(mine), shown(theirs))
            })
            .collect();
        let shown = differences.iter().take(DIFFERENCES_SHOWN).cloned().collect::<Vec<_>>().join("\n  ");
        (!differences.is_empty()).then(|| format!("{} keys differ:\n  {shown}", differences.len()))
    }

    /// Panics with what differs.
    #[track_caller]
    pub fn assert_same(&self, other: &Self, what: &str) {
        if let Some(difference) = self.difference(other) {
            panic!("{what}: {difference}");
        }
    }
}

/// The command that reads the whole value of a key of this type.
fn read_command(key: &[u8], kind: &Reply) -> Command {
    let arguments: &[&[u8]] = match kind {
        Reply::Simple(name) => match name.as_str() {
            "list" => &[b"LRANGE", key, b"0", b"-1"],
            "set" => &[b"SMEMBERS", key],
            "hash" => &[b"HGETALL", key],
            "zset" => &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
            "string" => &[b"GET", key],
            _ => &[b"EXISTS", key],
        },
        _ => &[b"EXISTS", key],
    };
    Command::new(arguments)
}

/// What a read command brought; None if the key is gone.
fn content(kind: &Reply, value: Reply) -> Result<Option<Content>, DecodeError> {
    let elements = |value: Reply| -> Result<Vec<Vec<u8>>, DecodeError> {
        match value {
            Reply::Array(_) | Reply::Set(_) | Reply::Map(_) => {
                value.elements().into_iter().map(into_bytes).collect()
            }
            other => Err(DecodeError::Invalid(format!("expected elements: {other}"))),
        }
    };
    let pairs = |elements: Vec<Vec<u8>>| {
        let mut elements = elements.into_iter();
        std::iter::from_fn(move || Some((elements.next()?, elements.next()?)))
    };
    let name = kind.text();
    let content = match name.as_str() {
        "none" => return Ok(None),
        "string" if value.is_null() => return Ok(None),
        "string" => return into_bytes(value).map(|bytes| Some(Content::Text(bytes))),
        "list" => Content::List(elements(value)?),
        "set" => Content::Set(elements(value)?.into_iter().collect()),
        "hash" => Content::Hash(pairs(elements(value)?).collect()),
        "zset" => {
            let scores = pairs(elements(value)?).map(|(member, score)| {
                let text = String::from_utf8_lossy(&score).into_owned();
                let score: f64 = text.parse().map_err(|_| DecodeError::Invalid(format!("score {text}")))?;
                Ok((member, if score == 0.0 { 0 } else { score.to_bits() }))
            });
            Content::SortedSet(scores.collect::<Result<_, DecodeError>>()?)
        }
        _ => Content::Other(name),
    };
    let is_gone = match &content {
        Content::List(elements) => elements.is_empty(),
        Content::Set(members) => members.is_empty(),
        Content::Hash(hash) => hash.is_empty(),
        Content::SortedSet(members) => members.is_empty(),
        Content::Text(_) | Content::Other(_) => false,
    };
    Ok((!is_gone).then_some(content))
}

/// The times of the fields that have one. A field that is gone by now is taken out of the hash.
fn field_times(
    client: &mut Client,
    key: &[u8],
    hash: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<BTreeMap<Vec<u8>, i64>, DecodeError> {
    const NO_SUCH_FIELD: Reply = Reply::Integer(-2);
    let count = hash.len().to_string();
    let mut ask: Vec<&[u8]> = vec![b"HPEXPIRETIME", key, b"FIELDS", count.as_bytes()];
    ask.extend(hash.keys().map(Vec::as_slice));
    let times = match client.try_call(&ask)? {
        Reply::Array(times) => times,
        // The whole key is gone.
        reply if reply.is_null() => vec![NO_SUCH_FIELD; hash.len()],
        other => return Err(DecodeError::Invalid(format!("the reply to HPEXPIRETIME: {other}"))),
    };
    let mut found = BTreeMap::new();
    let mut times = times.into_iter();
    hash.retain(|field, _| match times.next() {
        Some(Reply::Integer(time)) if time >= 0 => {
            found.insert(field.clone(), time);
            true
        }
        time => time != Some(NO_SUCH_FIELD),
    });
    Ok(found)
}

fn into_bytes(reply: Reply) -> Result<Vec<u8>, DecodeError> {
    match reply {
        Reply::Bulk(bytes) => Ok(bytes),
        other => Err(DecodeError::Invalid(format!("expected a bulk string: {other}"))),
    }
}

fn expect_ok(reply: &Reply) -> Result<(), DecodeError> {
    match reply {
        Reply::Simple(_) => Ok(()),
        other => Err(DecodeError::Invalid(format!("expected OK: {other}"))),
    }
}

/// Bytes as a quoted text, cut short if they are many.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = crate::reply::quote(&mut text, &bytes[..bytes.len().min(60)]);
    if bytes.len() > 60 {
        text.push_str(&format!("... of {} bytes", bytes.len()));
    }
    text
}

fn shown(held: Option<&Stored>) -> String {
    held.map_or_else(|| "nothing".to_owned(), Stored::to_string)
}

impl fmt::Display for Content {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |elements: &mut dyn Iterator<Item = String>, count: usize| {
            let shown = elements.take(12).collect::<Vec<_>>().join(", ");
            format!("{count} of [{shown}{}]", if count > 12 { ", ..." } else { "" })
        };
        let text = match self {
            Self::Text(bytes) => quoted(bytes),
            Self::List(elements) => list(&mut elements.iter().map(|e| quoted(e)), elements.len()),
            Self::Set(members) => list(&mut members.iter().map(|m| quoted(m)), members.len()),
            Self::Hash(hash) => {
                list(&mut hash.iter().map(|(f, v)| format!("{}: {}", quoted(f), quoted(v))), hash.len())
            }
            Self::SortedSet(members) => list(
                &mut members.iter().map(|(m, s)| format!("{}: {}", quoted(m), f64::from_bits(*s))),
                members.len(),
            ),
            Self::Other(name) => format!("a {name}"),
        };
        out.write_str(&text)
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.content)?;
        if let Some(time) = self.expires_at_ms {
            write!(out, " until {time}")?;
        }
        for (field, time) in self.fields_expire_at_ms.iter().take(3) {
            write!(out, ", {} until {time}", quoted(field))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;

    #[test]
    fn everything_is_read_and_differences_are_named() {
        let server = Server::redis();
        let mut client = server.client();
        for line in [
            "SET a 1 PXAT 99999999999999",
            "RPUSH l x y",
            "SADD s m",
            "HSET h f v",
            "ZADD z 1.5 m",
            "XADD x * f v",
            "SELECT 15",
            "SET a 2",
        ] {
            assert!(!client.line(line).is_error(), "{line}");
        }
        let contents = Contents::read(&mut client, Fields::WithoutTimes);
        assert_eq!(contents.keys.len(), 7);
        assert_eq!(contents.get(0, b"a").unwrap().expires_at_ms, Some(99_999_999_999_999));
        assert_eq!(contents.get(0, b"l").unwrap().content, Content::List(vec![b"x".into(), b"y".into()]));
        assert_eq!(contents.get(0, b"x").unwrap().content, Content::Other("stream".into()));
        assert_eq!(contents.difference(&contents.clone()), None);
        assert!(!client.line("ZUNIONSTORE z2 1 z WEIGHTS -0").is_error());
        assert!(!client.line("ZADD z3 0 m").is_error());
        let zeros = Contents::read(&mut client, Fields::WithoutTimes);
        assert_eq!(zeros.get(0, b"z2"), zeros.get(0, b"z3"));
        assert!(!client.line("DEL z2 z3").is_error());
        client.line("LPUSH l w");
        client.line("SELECT 15");
        client.line("DEL a");
        let changed = Contents::read(&mut client, Fields::WithoutTimes);
        let difference = contents.difference(&changed).unwrap();
        assert!(difference.starts_with("2 keys differ:\n  database 0, \"l\": 2 of "), "{difference}");
        assert!(difference.ends_with("database 15, \"a\": \"2\" and nothing"), "{difference}");
    }
}
