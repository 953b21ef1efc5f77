//! The rows of all families against what redis-server 7.0.15 answers to COMMAND.
//!
//! The answer is kept in `redis-7.0.15.tsv`, a line for each command and subcommand: name, arity, flags, first key, last key
//! and step, ACL categories, key specifications. What differs on purpose is listed here with its reason, and what is listed
//! must differ.

use std::collections::{BTreeMap, BTreeSet};

use rustredis_commands::command::{Begin, Find};
use rustredis_commands::{Command, KeySpec, Registry, Row};

use crate::commands;

const RECORDED: &str = include_str!("redis-7.0.15.tsv");

const COLUMNS: [&str; 5] = ["arity", "flags", "range", "categories", "keys"];

/// Commands that Redis 7.0 does not have.
const NEWER: &[&str] = &[
    // Our own.
    "cmdstat",
    "script|show",
    // 7.2
    "client|no-touch",
    "client|setinfo",
    "waitaof",
    // 7.4
    "hexpire",
    "hexpireat",
    "hexpiretime",
    "hpersist",
    "hpexpire",
    "hpexpireat",
    "hpexpiretime",
    "hpttl",
    "httl",
    // 8.0
    "hgetdel",
    "hgetex",
    "hsetex",
    // 8.2
    "xackdel",
    "xdelex",
    // 8.4
    "delex",
    "digest",
    "msetex",
    // 8.8
    "increx",
    // 8.10
    "lmovem",
    "sdiffcard",
    "sunioncard",
    // Valkey 8.1
    "commandlog",
    "commandlog|get",
    "commandlog|help",
    "commandlog|len",
    "commandlog|reset",
    // Valkey 9.0
    "delifeq",
];

/// Command, column, reason.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("zrank", "arity", "WITHSCORE is of 7.2"),
    ("zrevrank", "arity", "WITHSCORE is of 7.2"),
    ("command|getkeys", "arity", "a command of one word is enough since 7.2"),
    ("command|getkeysandflags", "arity", "a command of one word is enough since 7.2"),
    ("function|kill", "arity", "FORCE is our own"),
    ("script|kill", "arity", "FORCE is our own"),
];

fn recorded() -> BTreeMap<&'static str, Vec<&'static str>> {
    let line = |line: &'static str| {
        let mut cells = line.split('\t');
        (cells.next().unwrap(), cells.collect())
    };
    RECORDED.lines().map(line).collect()
}

fn sorted(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
}

fn cells(command: &Command) -> [String; 5] {
    let (first, last, step) = command.key_range();
    [
        command.arity.to_string(),
        sorted(super::shown_flags(command).names()),
        format!("{first} {last} {step}"),
        sorted(command.all_categories().names()),
        command.keys.iter().map(spec).collect::<Vec<_>>().join("; "),
    ]
}

fn spec(spec: &KeySpec) -> String {
    let begin = match spec.begin {
        Begin::Index(index) => format!("index {index}"),
        Begin::Keyword(word, from) => format!("keyword {word} {from}"),
        Begin::Unknown => "unknown".to_owned(),
    };
    let find = match spec.find {
        Find::Range { last, step, limit } => format!("range {last} {step} {limit}"),
        Find::KeyNum { number, first, step } => format!("keynum {number} {first} {step}"),
        Find::Unknown => "unknown".to_owned(),
    };
    format!("{} / {begin} / {find}", sorted(spec.flags.names()))
}

fn registry() -> Registry {
    let server = commands::FAMILIES.iter().map(|family| family.rows);
    let families: Vec<_> = rustredis_commands::FAMILIES.iter().copied().chain(server).collect();
    Registry::new(&families, &[]).unwrap()
}

fn differences(row: &Row, theirs: &[&str]) -> Vec<(&'static str, String)> {
    let ours = cells(row.command);
    let pairs = COLUMNS.into_iter().zip(ours.into_iter().zip(theirs));
    pairs
        .filter(|(_, (ours, theirs))| ours != *theirs)
        .map(|(column, (ours, theirs))| (column, format!("ours `{ours}`, Redis's `{theirs}`")))
        .collect()
}

#[test]
fn rows_say_what_redis_says() {
    let (registry, recorded) = (registry(), recorded());
    let mut wrong = Vec::new();
    let mut allowed: BTreeSet<(&str, &str)> =
        DIFFERENT.iter().map(|(name, column, _)| (*name, *column)).collect();
    let mut newer: BTreeSet<&str> = NEWER.iter().copied().collect();
    for row in registry.rows() {
        let Some(theirs) = recorded.get(row.full_name) else {
            if !newer.remove(row.full_name) {
                wrong.push(format!("{} is not Redis's", row.full_name));
            }
            continue;
        };
        for (column, difference) in differences(row, theirs) {
            if !allowed.remove(&(row.full_name, column)) {
                wrong.push(format!("{} {column}: {difference}", row.full_name));
            }
        }
    }
    wrong.extend(allowed.iter().map(|(name, column)| format!("{name} {column} does not differ")));
    wrong.extend(newer.iter().map(|name| format!("{name} is listed as newer, but is not")));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_row_is_documented() {
    let undocumented = |row: &&Row| row.command.summary.is_empty();
    let registry = registry();
    let names: Vec<&str> = registry.rows().iter().filter(undocumented).map(|row| row.full_name).collect();
    assert!(names.is_empty(), "{names:?}");
}
