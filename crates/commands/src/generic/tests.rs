use std::collections::BTreeSet;

use crate::testing::{Harness, check};

#[test]
fn deleting_counts_what_was_there() {
    let mut harness = Harness::new();
    harness.run("MSET a 1 b 2 c 3");
    check(&mut harness, "EXISTS a b a x", ":3");
    check(&mut harness, "DEL a x b a", ":2");
    assert_eq!(harness.events(), ["del a", "del b"]);
    check(&mut harness, "UNLINK c", ":1");
    check(&mut harness, "DEL c", ":0");
    assert_eq!(harness.effects.dirty, 0);
    check(&mut harness, "TYPE c", "+none");
}

#[test]
fn an_expired_key_is_not_there() {
    let mut harness = Harness::new();
    harness.run("SET k v PX 10");
    check(&mut harness, "TYPE k", "+string");
    harness.now_ms += 10;
    check(&mut harness, "EXISTS k", ":0");
    harness.run("SET k v PX 10");
    harness.now_ms += 10;
    check(&mut harness, "DEL k", ":0");
    assert_eq!((harness.events(), harness.effects.expired.len()), (vec!["expired k".to_owned()], 1));
}

#[test]
fn keys_are_listed_by_pattern() {
    let mut harness = Harness::new();
    harness.run("MSET foo 1 fop 2 bar 3");
    check(&mut harness, "KEYS b*", "*1 $3 bar");
    check(&mut harness, "KEYS bar", "*1 $3 bar");
    check(&mut harness, "KEYS x", "*0");
    assert!(harness.run("KEYS fo?").starts_with("*2\r\n"));
    assert!(harness.run("KEYS *").starts_with("*3\r\n"));
}

/// All keys that a whole SCAN with these options yields.
fn scan_all(harness: &mut Harness, options: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let reply = harness.run(&format!("SCAN {cursor} {options}"));
        let lines: Vec<&str> = reply.lines().collect();
        cursor = lines[2].to_owned();
        found.extend(lines[4..].iter().skip(1).step_by(2).map(|key| (*key).to_owned()));
        if cursor == "0" {
            return found;
        }
    }
}

#[test]
fn a_scan_finds_what_is_there_throughout() {
    let mut harness = Harness::new();
    let keys: BTreeSet<String> = (0..500).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        harness.run(&format!("SET {key} v"));
    }
    for options in ["MATCH key:*", "COUNT 1 TYPE string", "COUNT 1000 TYPE STRING MATCH k*"] {
        assert_eq!(scan_all(&mut harness, options), keys, "{options}");
    }
    assert_eq!(scan_all(&mut harness, "TYPE set").len(), 0);
    check(&mut harness, "SCAN x", "-ERR invalid cursor");
}

#[test]
fn a_random_key_is_one_of_those_that_are_there() {
    let mut harness = Harness::new();
    check(&mut harness, "RANDOMKEY", "$-1");
    harness.run("MSET a 1 b 2 c 3");
    let drawn: BTreeSet<String> = (0..100).map(|_| harness.run("RANDOMKEY")).collect();
    assert_eq!(drawn.len(), 3, "{drawn:?}");
}

#[test]
fn databases_are_flushed_and_swapped() {
    let mut harness = Harness::new();
    harness.run("MSET a 1 b 2");
    check(&mut harness, "SWAPDB 0 1", "+OK");
    check(&mut harness, "DBSIZE", ":0");
    harness.run("SET c 3");
    harness.db = 1;
    check(&mut harness, "DBSIZE", ":2");
    check(&mut harness, "FLUSHDB ASYNC", "+OK");
    assert_eq!(harness.effects.dirty, 2);
    harness.db = 0;
    check(&mut harness, "DBSIZE", ":1");
    check(&mut harness, "FLUSHALL", "+OK");
    check(&mut harness, "DBSIZE", ":0");
    check(&mut harness, "FLUSHALL SOON", "-ERR syntax error");
    check(&mut harness, "FLUSHDB SYNC SYNC", "-ERR syntax error");
    check(&mut harness, "SWAPDB x 1", "-ERR invalid first DB index");
    check(&mut harness, "SWAPDB 1 99999999999", "-ERR invalid second DB index");
    check(&mut harness, "SWAPDB 1 16", "-ERR DB index is out of range");
}
