//! Compares the table of directives with a recording of redis-server 7.0.15: `redis-7.0.15.tsv`.
//!
//! A line per name of `CONFIG GET *` (and per hidden directive), separated by tabs: the name, the default, `set` or
//! why `CONFIG SET` refuses, the replies to setting `zz~`, `-999999999999` and `99999999999999999999999` (`+OK`, the
//! reason of the refusal, or nothing where it was not tried), and `hidden`. The server ran with
//! `enable-protected-configs yes`.

use std::collections::BTreeSet;

use rustredis_config::{Change, Config, DIRECTIVES, Origin, SetError, Source, find};

const RECORDING: &str = include_str!("redis-7.0.15.tsv");
const BAD_VALUES: [&str; 3] = ["zz~", "-999999999999", "99999999999999999999999"];

/// Names that Redis 7.0.15 does not have.
const NEW: [&str; 21] = [
    // Since 7.2.
    "cluster-announce-human-nodename",
    "locale-collate",
    "set-max-listpack-entries",
    "set-max-listpack-value",
    // Of Valkey 8.1.
    "commandlog-execution-slower-than",
    "commandlog-large-reply-max-len",
    "commandlog-large-request-max-len",
    "commandlog-reply-larger-than",
    "commandlog-request-larger-than",
    "commandlog-slow-execution-max-len",
    // Our own.
    "aof-buffer-limit",
    "aof-write-timeout",
    "compat",
    "contention",
    "engine",
    "ignore-unsupported",
    "metrics",
    "script-memory-limit",
    "shards",
    "threads",
    "tracking-client-max-keys",
];

/// Replies that differ on purpose, with the reason; a value that is empty stands for each.
const OTHER_REPLIES: [(&str, &str, &str); 2] = [
    // Redis takes the overflow for a negative number, that is, a percentage.
    (
        "maxmemory-clients",
        "99999999999999999999999",
        "argument must be between 0 and 9223372036854775807 inclusive",
    ),
    // Two policies are of 8.6.
    (
        "maxmemory-policy",
        "",
        "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-lrm, volatile-random, volatile-ttl, \
         allkeys-lru, allkeys-lfu, allkeys-lrm, allkeys-random, noeviction",
    ),
];

fn recording() -> impl Iterator<Item = Vec<&'static str>> {
    RECORDING.lines().map(|line| line.split('\t').collect())
}

#[test]
fn knows_each_name_with_its_default() {
    let config = Config::default();
    for line in recording() {
        let found = config.get(&[line[0].as_bytes()]);
        let [(name, value)] = &found[..] else {
            panic!("{} is unknown", line[0]);
        };
        assert_eq!(name, line[0].as_bytes());
        assert_eq!(String::from_utf8_lossy(value), line[1], "the default of {}", line[0]);
    }
}

#[test]
fn has_no_other_names() {
    let known: BTreeSet<&str> = recording().map(|line| line[0]).collect();
    let rows = DIRECTIVES.iter().filter(|row| row.access.change != Change::FileOnly);
    let ours: BTreeSet<&str> = rows.flat_map(|row| [Some(row.name), row.alias]).flatten().collect();
    let new = ours.difference(&known).copied().collect::<BTreeSet<_>>();
    assert_eq!(new, BTreeSet::from(NEW));
}

#[test]
fn allows_and_hides_the_same() {
    for line in recording() {
        let (row, _) = find(line[0].as_bytes()).unwrap();
        let is_settable = row.access.change != Change::Immutable;
        assert_eq!(is_settable, line[2] == "set", "{}: {}", line[0], line[2]);
        assert_eq!(row.access.is_hidden, line[6] == "hidden", "{}", line[0]);
    }
}

#[test]
fn refuses_bad_values_with_the_same_words() {
    // What is refused because it is not supported has values that would be right.
    let options = b"enable-protected-configs yes\nignore-unsupported yes";
    for line in recording() {
        for (bad, recorded) in
            BAD_VALUES.into_iter().zip(&line[3..6]).filter(|(_, recorded)| !recorded.is_empty())
        {
            let mut config = Config::from_text(options, Source::StandardInput).unwrap();
            let reply = match config.set(&[(line[0].as_bytes(), bad.as_bytes())], Origin::Remote) {
                Ok(_) => "+OK".to_owned(),
                Err(SetError::Failed { name, reason }) => {
                    assert_eq!(name, line[0]);
                    reason
                }
                Err(error) => error.to_string(),
            };
            let differs = OTHER_REPLIES
                .iter()
                .find(|(name, value, _)| *name == line[0] && (*value == bad || value.is_empty()));
            let expected = differs.map_or(*recorded, |(_, _, reply)| reply);
            assert_eq!(reply, expected, "CONFIG SET {} {bad}", line[0]);
        }
    }
}
