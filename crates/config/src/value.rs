//! The values that directives hold, and how they are shown.
//!
//! `CONFIG GET` and redis.conf show the same value in two ways: `shown` is the reply of `CONFIG GET` (memory in bytes,
//! a list in one line), `lines` are lines for redis.conf (memory with a unit, text quoted, a list as several lines).

use crate::events::EventClasses;
use crate::split::{quote, quote_if_needed};

/// What a directive holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of `ValueKind::Bool`.
    Bool(bool),
    /// Of `ValueKind::Int`, `Clamped` and `PowerOfTwo`.
    Int(i64),
    /// Of `ValueKind::Octal`.
    Octal(u32),
    /// Bytes.
    Memory(u64),
    /// 1 to 100, of `ValueKind::MemoryOrPercent`.
    Percent(u8),
    /// The word as the table writes it.
    Choice(&'static str),
    /// Bit n stands for word n of the kind's list; none is the first word.
    Flags(&'static [&'static str], u8),
    /// Text, not necessarily UTF-8.
    Text(Vec<u8>),
    /// Of `ValueKind::Bind`.
    Words(Vec<Vec<u8>>),
    /// Of `ValueKind::Primary`.
    Primary(Option<(Vec<u8>, u16)>),
    /// Of `ValueKind::Save`; empty means never.
    Save(Vec<SavePoint>),
    /// Of `ValueKind::BufferLimits`, in the order of `ClientClass`.
    BufferLimits([BufferLimit; 3]),
    /// Of `ValueKind::Events`.
    Events(EventClasses),
    /// Of `ValueKind::OomScores`: the primary, a replica, a background child.
    OomScores([i32; 3]),
    /// Of `ValueKind::Percentiles`.
    Percentiles(Vec<f64>),
    /// Of `ValueKind::Lines`: the arguments of each line.
    Lines(Vec<Vec<Vec<u8>>>),
}

/// Save when at least `changes` keys changed and `seconds` have passed since the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// At least 1.
    pub seconds: u64,
    /// Changed keys.
    pub changes: u64,
}

/// When a client that reads too slowly is disconnected. Zero means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferLimit {
    /// Disconnect at once at this many bytes.
    pub hard_bytes: u64,
    /// Disconnect after `soft_seconds` at or above this many bytes.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u64,
}

/// The classes of clients that have output buffer limits of their own; the discriminant is the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// Ordinary clients.
    Normal,
    /// Replicas.
    Replica,
    /// Subscribers.
    PubSub,
}

const CLASSES: [ClientClass; 3] = [ClientClass::Normal, ClientClass::Replica, ClientClass::PubSub];

impl ClientClass {
    /// The class with this name, in any case; a replica may be called `slave`.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [
            ("normal", Self::Normal),
            ("slave", Self::Replica),
            ("replica", Self::Replica),
            ("pubsub", Self::PubSub),
        ]
        .into_iter()
        .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()))
        .map(|(_, class)| class)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Replica => "replica",
            Self::PubSub => "pubsub",
        }
    }
}

impl Value {
    /// The value as `CONFIG GET` shows it.
    pub fn shown(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone(),
            Self::Memory(bytes) => bytes.to_string().into_bytes(),
            Self::Words(words) => words.join(&b' '),
            Self::Primary(None) => Vec::new(),
            Self::Primary(Some((host, port))) => [&host[..], b" ", port.to_string().as_bytes()].concat(),
            Self::Save(points) => {
                joined(points.iter().map(|point| format!("{} {}", point.seconds, point.changes)))
            }
            Self::BufferLimits(limits) => joined(CLASSES.iter().zip(limits).map(|(class, limit)| {
                // The old name of the class is the one that clients look for.
                let name = if *class == ClientClass::Replica { "slave" } else { class.name() };
                format!("{name} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
            })),
            Self::Percentiles(percentiles) => joined(percentiles.iter().map(f64::to_string)),
            Self::OomScores(scores) => joined(scores.iter().map(i32::to_string)),
            Self::Lines(lines) => joined(lines.iter().map(|line| joined_arguments(line))),
            Self::Events(classes) => classes.to_string().into_bytes(),
            _ => self.lines().concat().into_bytes(),
        }
    }

    /// What follows the directive's name in redis.conf, a string per line. No lines when nothing is set.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = match self {
            Self::Bool(true) => "yes".into(),
            Self::Bool(false) => "no".into(),
            Self::Int(value) => value.to_string(),
            Self::Octal(value) => format!("{value:o}"),
            Self::Memory(bytes) => memory_with_unit(*bytes),
            Self::Percent(percent) => format!("{percent}%"),
            Self::Choice(name) => (*name).into(),
            Self::Flags(names, 0) => names[0].into(),
            Self::Flags(names, bits) => {
                let set = names.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
                set.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
            }
            Self::Text(text) => quote(text),
            Self::Events(classes) => quote(classes.to_string().as_bytes()),
            Self::Words(words) if words.is_empty() => quote(b""),
            Self::Words(words) => joined_arguments(words),
            Self::Percentiles(percentiles) if percentiles.is_empty() => quote(b""),
            Self::Percentiles(_) | Self::OomScores(_) => String::from_utf8_lossy(&self.shown()).into_owned(),
            Self::Primary(None) => return Vec::new(),
            Self::Primary(Some((host, port))) => format!("{} {port}", quote_if_needed(host)),
            Self::Save(points) if points.is_empty() => quote(b""),
            Self::Save(points) => {
                return points.iter().map(|point| format!("{} {}", point.seconds, point.changes)).collect();
            }
            Self::BufferLimits(limits) => {
                let classes = CLASSES.iter().zip(limits);
                return classes
                    .map(|(class, limit)| {
                        let hard = memory_with_unit(limit.hard_bytes);
                        let soft = memory_with_unit(limit.soft_bytes);
                        format!("{} {hard} {soft} {}", class.name(), limit.soft_seconds)
                    })
                    .collect();
            }
            Self::Lines(lines) => return lines.iter().map(|line| joined_arguments(line)).collect(),
        };
        vec![line]
    }
}

fn joined<T: Into<String>>(parts: impl Iterator<Item = T>) -> Vec<u8> {
    parts.map(Into::into).collect::<Vec<String>>().join(" ").into_bytes()
}

fn joined_arguments(arguments: &[Vec<u8>]) -> String {
    arguments.iter().map(|argument| quote_if_needed(argument)).collect::<Vec<_>>().join(" ")
}

fn memory_with_unit(bytes: u64) -> String {
    for (unit, size) in [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)] {
        if bytes != 0 && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::{TextRule, ValueKind};

    #[test]
    fn lines_of_redis_conf() {
        let lines = |kind: ValueKind, input: &str| {
            let arguments: Vec<&[u8]> = input.split(' ').map(str::as_bytes).collect();
            kind.parse(&arguments, &Value::Bool(false)).unwrap().lines()
        };
        let memory = ValueKind::Memory { min: 0, max: u64::MAX };
        assert_eq!(lines(memory, "104857600"), ["100mb"]);
        assert_eq!(lines(memory, "1000000"), ["1000000"]);
        assert_eq!(lines(memory, "0"), ["0"]);
        assert_eq!(lines(ValueKind::Save, "1 2 3 4"), ["1 2", "3 4"]);
        assert_eq!(lines(ValueKind::Save, ""), ["\"\""]);
        assert_eq!(lines(ValueKind::Text(TextRule::Any), "a\"b"), [r#""a\"b""#]);
        assert_eq!(
            lines(ValueKind::BufferLimits, "pubsub 1kb 2k 3"),
            ["normal 0 0 0", "replica 0 0 0", "pubsub 1kb 2000 3"]
        );
        assert_eq!(lines(ValueKind::Lines { min: 1, max: 9 }, "alice on >x"), ["alice on >x"]);
    }
}
