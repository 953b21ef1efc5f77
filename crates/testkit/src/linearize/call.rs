//! The commands of a history, over sixteen keys that are known by their numbers.

use std::sync::Arc;

use crate::Command;

/// A value, a member or a field.
pub(super) type Bytes = Arc<[u8]>;
/// A key, as its place in [`KEYS`].
pub(super) type Key = u8;
/// A set of keys, a bit for each.
pub(super) type Keys = u32;

/// The keys. Those of one letter are used together; what is behind the colon is their usual type.
pub(super) const KEYS: [&str; 16] = [
    "a:count", "a:text", "a:list", "a:queue", "a:zset", "b:count", "b:text", "b:list", "b:queue", "b:hash",
    "c:count", "c:text", "c:list", "c:queue", "c:zset", "c:hash",
];
/// All keys.
pub(super) const ALL_KEYS: Keys = (1 << KEYS.len()) - 1;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// GET
    Get(Key),
    /// STRLEN
    Strlen(Key),
    /// EXISTS
    Exists(Vec<Key>),
    /// MGET
    Mget(Vec<Key>),
    /// SET
    Set(Key, Bytes),
    /// SET with NX
    SetNew(Key, Bytes),
    /// SET with GET
    SetGet(Key, Bytes),
    /// MSET
    Mset(Vec<(Key, Bytes)>),
    /// INCR
    Incr(Key),
    /// APPEND
    Append(Key, Bytes),
    /// DEL
    Del(Vec<Key>),
    /// RENAME
    Rename(Key, Key),
    /// PEXPIRE, in milliseconds
    Expire(Key, u64),
    /// FLUSHDB
    Flush,
    /// LPUSH
    Push(Key, Vec<Bytes>),
    /// LPOP
    Pop(Key),
    /// LMOVE from the right end to the left end
    Move(Key, Key),
    /// BLPOP, with a timeout in milliseconds
    BlockingPop(Vec<Key>, u64),
    /// LRANGE of the whole list
    Range(Key),
    /// ZADD of one member
    ZAdd(Key, i64, Bytes),
    /// ZPOPMIN
    ZPopMin(Key),
    /// ZRANGE of the whole set, with scores
    ZRange(Key),
    /// HINCRBY
    HIncrBy(Key, Bytes, i64),
    /// HGET
    HGet(Key, Bytes),
    /// HGETALL, whose fields come in any order
    HGetAll(Key),
    /// WATCH
    Watch(Vec<Key>),
    /// MULTI, the calls, EXEC; and the keys that its client watches then
    Exec(Vec<Call>, Vec<Key>),
}

impl Call {
    /// The keys that it reads or writes.
    pub(super) fn keys(&self) -> Keys {
        match self {
            Self::Get(key)
            | Self::Strlen(key)
            | Self::Set(key, _)
            | Self::SetNew(key, _)
            | Self::SetGet(key, _)
            | Self::Incr(key)
            | Self::Append(key, _)
            | Self::Expire(key, _)
            | Self::Push(key, _)
            | Self::Pop(key)
            | Self::Range(key)
            | Self::ZAdd(key, ..)
            | Self::ZPopMin(key)
            | Self::ZRange(key)
            | Self::HIncrBy(key, ..)
            | Self::HGet(key, _)
            | Self::HGetAll(key) => 1 << key,
            Self::Exists(keys)
            | Self::Mget(keys)
            | Self::Del(keys)
            | Self::BlockingPop(keys, _)
            | Self::Watch(keys) => set_of(keys),
            Self::Mset(pairs) => pairs.iter().fold(0, |keys, (key, _)| keys | 1 << key),
            Self::Rename(from, to) | Self::Move(from, to) => 1 << from | 1 << to,
            Self::Flush => ALL_KEYS,
            Self::Exec(calls, watched) => calls.iter().fold(set_of(watched), |keys, call| keys | call.keys()),
        }
    }

    /// Whether it can change nothing.
    pub(super) fn is_read(&self) -> bool {
        match self {
            Self::Get(_)
            | Self::Strlen(_)
            | Self::Exists(_)
            | Self::Mget(_)
            | Self::Range(_)
            | Self::ZRange(_)
            | Self::HGet(..)
            | Self::HGetAll(_) => true,
            // That it ends a watch is a change.
            Self::Exec(calls, watched) => watched.is_empty() && calls.iter().all(Self::is_read),
            _ => false,
        }
    }

    /// Whether its answer may be the same where it changes something and where it does not.
    pub(super) fn is_blind(&self) -> bool {
        match self {
            Self::Flush | Self::ZAdd(..) => true,
            Self::Exec(calls, _) => calls.iter().any(Self::is_blind),
            _ => false,
        }
    }

    /// The commands that are sent for it.
    pub(super) fn commands(&self) -> Vec<Command> {
        match self {
            Self::Exec(calls, _) => {
                let mut commands = vec![Command::new(&["MULTI"])];
                commands.extend(calls.iter().flat_map(Self::commands));
                commands.push(Command::new(&["EXEC"]));
                commands
            }
            _ => vec![self.command()],
        }
    }

    fn command(&self) -> Command {
        match self {
            Self::Get(key) => command("GET", [*key], &[]),
            Self::Strlen(key) => command("STRLEN", [*key], &[]),
            Self::Exists(keys) => command("EXISTS", keys.iter().copied(), &[]),
            Self::Mget(keys) => command("MGET", keys.iter().copied(), &[]),
            Self::Set(key, value) => command("SET", [*key], &[value]),
            Self::SetNew(key, value) => command("SET", [*key], &[value, b"NX"]),
            Self::SetGet(key, value) => command("SET", [*key], &[value, b"GET"]),
            Self::Mset(pairs) => {
                let pairs = pairs.iter().flat_map(|(key, value)| [name(*key), value]);
                Command {
                    arguments: std::iter::once(&b"MSET"[..]).chain(pairs).map(<[u8]>::to_vec).collect(),
                }
            }
            Self::Incr(key) => command("INCR", [*key], &[]),
            Self::Append(key, value) => command("APPEND", [*key], &[value]),
            Self::Del(keys) => command("DEL", keys.iter().copied(), &[]),
            Self::Rename(from, to) => command("RENAME", [*from, *to], &[]),
            Self::Expire(key, ms) => command("PEXPIRE", [*key], &[ms.to_string().as_bytes()]),
            Self::Flush => command("FLUSHDB", [], &[]),
            Self::Push(key, values) => {
                command("LPUSH", [*key], &values.iter().map(|value| &**value).collect::<Vec<_>>())
            }
            Self::Pop(key) => command("LPOP", [*key], &[]),
            Self::Move(from, to) => command("LMOVE", [*from, *to], &[b"RIGHT", b"LEFT"]),
            Self::BlockingPop(keys, ms) => {
                let seconds = format!("{}", *ms as f64 / 1_000.0);
                command("BLPOP", keys.iter().copied(), &[seconds.as_bytes()])
            }
            Self::Range(key) => command("LRANGE", [*key], &[b"0", b"-1"]),
            Self::ZAdd(key, score, member) => {
                command("ZADD", [*key], &[score.to_string().as_bytes(), member])
            }
            Self::ZPopMin(key) => command("ZPOPMIN", [*key], &[]),
            Self::ZRange(key) => command("ZRANGE", [*key], &[b"0", b"-1", b"WITHSCORES"]),
            Self::HIncrBy(key, field, by) => command("HINCRBY", [*key], &[field, by.to_string().as_bytes()]),
            Self::HGet(key, field) => command("HGET", [*key], &[field]),
            Self::HGetAll(key) => command("HGETALL", [*key], &[]),
            Self::Watch(keys) => command("WATCH", keys.iter().copied(), &[]),
            Self::Exec(..) => Command::new(&["EXEC"]),
        }
    }
}

/// How it reads: the commands with semicolons between.
impl std::fmt::Display for Call {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, command) in self.commands().iter().enumerate() {
            write!(out, "{}{command}", if index == 0 { "" } else { "; " })?;
        }
        match self {
            Self::Exec(_, watched) if !watched.is_empty() => {
                let names: Vec<&str> = watched.iter().map(|key| KEYS[usize::from(*key)]).collect();
                write!(out, " (watches {})", names.join(" "))
            }
            _ => Ok(()),
        }
    }
}

fn set_of(keys: &[Key]) -> Keys {
    keys.iter().fold(0, |keys, key| keys | 1 << key)
}

fn name(key: Key) -> &'static [u8] {
    KEYS[usize::from(key)].as_bytes()
}

fn command(word: &str, keys: impl IntoIterator<Item = Key>, rest: &[&[u8]]) -> Command {
    let mut arguments = vec![word.as_bytes().to_vec()];
    arguments.extend(keys.into_iter().map(|key| name(key).to_vec()));
    arguments.extend(rest.iter().map(|argument| argument.to_vec()));
    Command { arguments }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_several_commands_and_reaches_what_they_and_the_watch_reach() {
        let call = Call::Exec(vec![Call::Incr(0), Call::Rename(1, 2)], vec![5]);
        assert_eq!(call.to_string(), "MULTI; INCR a:count; RENAME a:text a:list; EXEC (watches b:count)");
        assert_eq!(call.keys(), 0b10_0111);
        assert!(!call.is_read() && Call::Exec(vec![Call::Get(0)], vec![]).is_read());
        assert_eq!(Call::BlockingPop(vec![2, 3], 5).to_string(), "BLPOP a:list a:queue 0.005");
        assert_eq!(Call::Flush.keys(), 0xffff);
    }
}
