//! The named loads: what the experiments send, so that a name in a report says all of it.

use std::net::SocketAddr;

use rustredis_testkit::{Client, Command, Reply};

use crate::load::keys::Spread;
use crate::load::mix::{Mix, key};
use crate::load::value::value;

/// Commands of a pipeline while keys are written.
const FILL_PIPELINE: usize = 1_000;
/// Elements of the list that slow commands read.
const LIST_ELEMENTS: usize = 10_000;

/// A load's content: everything but clients, pipeline and pace.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// As cells and options name it.
    pub name: &'static str,
    /// For readers.
    pub title: &'static str,
    /// The mix, see [`crate::load::mix`].
    pub mix: &'static str,
    /// Which keys.
    pub spread: Spread,
    /// How many keys; all are there from the start.
    pub keys: u64,
    /// Value size in bytes.
    pub value_bytes: usize,
    /// Whether the list of 10,000 elements is needed.
    has_list: bool,
}

const fn plain(name: &'static str, title: &'static str, mix: &'static str, spread: Spread) -> Workload {
    Workload { name, title, mix, spread, keys: 100_000, value_bytes: 64, has_list: false }
}

const READS_AND_WRITES: &str = "80 GET {key}\n20 SET {key} {value}";

/// All of them.
pub const WORKLOADS: &[Workload] = &[
    plain("uniform", "80% GET, 20% SET, uniform keys", READS_AND_WRITES, Spread::Uniform),
    plain("zipf-0.99", "80% GET, 20% SET, Zipf 0.99", READS_AND_WRITES, Spread::Zipf(0.99)),
    plain("zipf-1.2", "80% GET, 20% SET, Zipf 1.2", READS_AND_WRITES, Spread::Zipf(1.2)),
    plain("one-key", "80% GET, 20% SET, one key", READS_AND_WRITES, Spread::One),
    plain("get", "GET, uniform keys", "1 GET {key}", Spread::Uniform),
    plain("set", "SET, uniform keys", "1 SET {key} {value}", Spread::Uniform),
    plain(
        "multi-key",
        "MSET and MGET of 4 keys, MULTI with 2 INCR",
        "2 MSET {key} {value} {key} {value} {key} {value} {key} {value}\n2 MGET {key} {key} {key} {key}\n\
         1 MULTI ; INCR {key:counter:} ; INCR {key:counter:} ; EXEC",
        Spread::Uniform,
    ),
    Workload {
        name: "big-values",
        title: "80% GET, 20% SET, values of 16 KiB",
        mix: READS_AND_WRITES,
        spread: Spread::Uniform,
        keys: 5_000,
        value_bytes: 16 * 1024,
        has_list: false,
    },
    Workload {
        name: "slow-commands",
        title: "GET, and one LRANGE of 10,000 elements in 200",
        mix: "199 GET {key}\n1 LRANGE list 0 -1",
        spread: Spread::Uniform,
        keys: 100_000,
        value_bytes: 64,
        has_list: true,
    },
    plain("full-scan", "KEYS over 100,000 keys, none matching", "1 KEYS none*", Spread::Uniform),
    Workload {
        name: "snapshot",
        title: "80% GET, 20% SET over 500,000 keys",
        mix: READS_AND_WRITES,
        spread: Spread::Uniform,
        keys: 500_000,
        value_bytes: 64,
        has_list: false,
    },
];

/// The workload of this name.
pub fn named(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

impl Workload {
    /// Its mix, encoded.
    pub fn mix(&self) -> Mix {
        Mix::parse(self.mix, &[self.value_bytes])
            .expect("the mixes of the table are right, a test reads them all")
    }

    /// Writes what the load expects to be there.
    pub fn fill(&self, address: SocketAddr) -> Result<(), String> {
        fill(address, self.keys, self.value_bytes)?;
        if !self.has_list {
            return Ok(());
        }
        let mut client = Client::try_connect(address).map_err(|error| error.to_string())?;
        let mut push = vec![b"RPUSH".to_vec(), b"list".to_vec()];
        push.extend((0..LIST_ELEMENTS).map(|index| index.to_string().into_bytes()));
        match client.try_call(&push) {
            Ok(Reply::Integer(_)) => Ok(()),
            Ok(other) => Err(format!("RPUSH answered {other}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Writes all keys of a distribution.
pub fn fill(address: SocketAddr, keys: u64, value_bytes: usize) -> Result<(), String> {
    let mut client = Client::try_connect(address).map_err(|error| error.to_string())?;
    let batch = (FILL_PIPELINE as u64).min((64 << 20) / (value_bytes as u64 + 64) + 1);
    let mut next = 0;
    while next < keys {
        let end = (next + batch).min(keys);
        let commands: Vec<Command> = (next..end)
            .map(|number| Command {
                arguments: vec![b"SET".to_vec(), key(number), value(number, value_bytes)],
            })
            .collect();
        let replies = client.try_pipeline(&commands).map_err(|error| format!("filling: {error}"))?;
        if let Some(wrong) = replies.iter().find(|reply| **reply != Reply::ok()) {
            return Err(format!("filling: SET answered {wrong}"));
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
        for workload in WORKLOADS {
            assert!(!workload.mix().is_empty());
            assert_eq!(named(workload.name).unwrap().title, workload.title);
        }
    }
}
