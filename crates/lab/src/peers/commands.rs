//! The commands of a comparison: what each sends, and what must be there before.
//!
//! Keys and elements stay as many as they are while a command is measured (an LPOP has an LPUSH before it, an SADD an SREM beside
//! it), so that the last round asks for the same work as the first. Collections are of the sizes that programs have: a few fields
//! in a hash, a hundred or more elements in the others.

use rustredis_testkit::{Client, Command, Reply};

use super::subject::Running;
use crate::load::{Mix, Spread};
use crate::workloads;

/// Size of the values, in bytes.
pub(super) const VALUE_BYTES: usize = 64;
/// Keys of strings.
const STRINGS: u64 = 100_000;
/// Keys of lists and hashes.
const COLLECTIONS: u64 = 10_000;
/// Elements of each list in the beginning.
const LIST_ELEMENTS: usize = 100;
/// Sets and sorted sets, and the members of each: one draw of the generator has one range.
const MEMBERS: u64 = 300;
/// Commands of a pipeline while keys are written.
const FILL_PIPELINE: usize = 500;

/// A command that is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// As tables call it.
    pub(super) name: &'static str,
    /// What is sent, see [`crate::load::mix`].
    pub(super) mix: &'static str,
    /// The range that keys are drawn from.
    pub(super) keys: u64,
}

/// All of them, in the order in which they are measured: LPOP finds what LPUSH has left.
pub(super) const ROWS: &[Row] = &[
    Row { name: "GET", mix: "1 GET {key}", keys: STRINGS },
    Row { name: "SET", mix: "1 SET {key} {value}", keys: STRINGS },
    Row { name: "INCR", mix: "1 INCR {key:counter:}", keys: STRINGS },
    Row { name: "MGET of 4", mix: "1 MGET {key} {key} {key} {key}", keys: STRINGS },
    Row {
        name: "MSET of 4",
        mix: "1 MSET {key} {value} {key} {value} {key} {value} {key} {value}",
        keys: STRINGS,
    },
    Row { name: "LPUSH", mix: "1 LPUSH {key:list:} element", keys: COLLECTIONS },
    Row { name: "LPOP", mix: "1 LPOP {key:list:}", keys: COLLECTIONS },
    Row { name: "LRANGE of 20", mix: "1 LRANGE {key:list:} 0 19", keys: COLLECTIONS },
    Row { name: "SADD, SREM", mix: "1 SADD {key:set:} {key:m}\n1 SREM {key:set:} {key:m}", keys: MEMBERS },
    Row { name: "HSET", mix: "1 HSET {key:hash:} f3 {value}", keys: COLLECTIONS },
    Row { name: "HGET", mix: "1 HGET {key:hash:} f3", keys: COLLECTIONS },
    Row { name: "ZADD", mix: "1 ZADD {key:zset:} {key:} {key:m}", keys: MEMBERS },
    Row { name: "ZRANGE of 20", mix: "1 ZRANGE {key:zset:} 0 19", keys: MEMBERS },
    Row { name: "XADD", mix: "1 XADD {key:stream:} MAXLEN ~ 100 * f {value}", keys: COLLECTIONS },
];

impl Row {
    /// What is sent, encoded.
    pub(super) fn mix(&self) -> Mix {
        Mix::parse(self.mix, &[VALUE_BYTES]).expect("the mixes of the table are right, a test reads them all")
    }

    /// Its keys are drawn alike.
    pub(super) const SPREAD: Spread = Spread::Uniform;

    /// Whether the server has the commands, which are tried on keys that nothing else uses.
    pub(super) fn is_known(&self, client: &mut Client) -> Result<bool, String> {
        for command in self.probes() {
            let reply = client.try_call(&command).map_err(|error| format!("{}: {error}", self.name))?;
            if is_unknown(&reply) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn probes(&self) -> Vec<Vec<String>> {
        let word = |word: &str| match word {
            "{value}" => "v".to_owned(),
            // A score.
            "{key:}" => "1".to_owned(),
            _ => word.replace("{key:", "probe:").replace("{key}", "probe").replace('}', ""),
        };
        let command = |line: &str| line.split_whitespace().skip(1).map(word).collect();
        self.mix.lines().map(command).collect()
    }
}

fn is_unknown(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.to_lowercase().contains("unknown command"))
}

/// Writes what the rows expect to be there. Of a type that the server does not have nothing is written.
pub(super) fn fill(server: &Running) -> Result<(), String> {
    workloads::fill(server.address(), STRINGS, VALUE_BYTES)?;
    let stored = "v".repeat(VALUE_BYTES);
    let words = |line: String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let name = |kind: &str, number: u64| format!("{kind}:{number:012}");
    let members = |sign: fn(u64) -> String| (0..MEMBERS).map(sign).collect::<Vec<_>>().join(" ");
    write(server, COLLECTIONS, |number| {
        words(format!("RPUSH {} {}", name("list", number), "element ".repeat(LIST_ELEMENTS)))
    })?;
    write(server, COLLECTIONS, |number| {
        // The third is written by HSET before HGET reads it.
        let fields = [1, 2, 4, 5].map(|field| format!("f{field} {stored}")).join(" ");
        words(format!("HSET {} {fields} f3 a", name("hash", number)))
    })?;
    let scored = members(|member| format!("{member} m{member:012}"));
    write(server, MEMBERS, |number| words(format!("ZADD {} {scored}", name("zset", number))))?;
    let half = members(|member| format!("m{:012}", member / 2 * 2));
    write(server, MEMBERS, |number| words(format!("SADD {} {half}", name("set", number))))
}

/// Sends `count` commands in pipelines, over one connection. Stops at the first if the server does not know it.
pub(super) fn write(
    server: &Running,
    count: u64,
    command: impl Fn(u64) -> Vec<String>,
) -> Result<(), String> {
    let mut client = server.client()?;
    let mut next = 0;
    while next < count {
        let end = (next + FILL_PIPELINE as u64).min(count);
        let commands: Vec<Command> = (next..end).map(|number| Command::new(&command(number))).collect();
        let replies = client.try_pipeline(&commands).map_err(|error| format!("filling: {error}"))?;
        if replies.first().is_some_and(is_unknown) {
            return Ok(());
        }
        if let Some(wrong) = replies.iter().find(|reply| reply.is_error()) {
            return Err(format!("filling: {} answered {wrong}", commands[0].name()));
        }
        next = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mix_can_be_read_and_every_name_is_its_own() {
        for row in ROWS {
            assert!(!row.mix().is_empty());
            assert_eq!(ROWS.iter().filter(|other| other.name == row.name).count(), 1);
        }
    }

    #[test]
    fn probes_are_whole_commands() {
        let named = |name: &str| ROWS.iter().find(|row| row.name == name).unwrap().probes();
        assert_eq!(named("ZADD"), [["ZADD", "probe:zset:", "1", "probe:m"]]);
        assert_eq!(named("SADD, SREM").len(), 2);
        assert_eq!(named("SET"), [["SET", "probe", "v"]]);
    }
}
