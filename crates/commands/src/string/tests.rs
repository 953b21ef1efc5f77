use crate::testing::{Harness, check};

const NOW_S: u64 = 1_700_000_000;

#[test]
fn set_obeys_its_conditions() {
    let mut harness = Harness::new();
    check(&mut harness, "SET k 1 XX", "$-1");
    check(&mut harness, "SET k 1 NX", "+OK");
    check(&mut harness, "SET k 2 nx", "$-1");
    check(&mut harness, "SET k 2 NX GET", "$1 1");
    check(&mut harness, "SET k 3 XX GET", "$1 1");
    check(&mut harness, "SET missing 3 XX GET", "$-1");
    check(&mut harness, "SET missing 3 NX GET", "$-1");
    check(&mut harness, "MGET k missing other", "*3 $1 3 $1 3 $-1");
    check(&mut harness, "SETNX k 4", ":0");
    check(&mut harness, "SETNX l 4", ":1");
}

#[test]
fn contradictions_are_syntax_errors_and_repetitions_are_not() {
    let mut harness = Harness::new();
    for options in ["NX XX", "EX 1 PX 1", "EX 1 KEEPTTL", "KEEPTTL EXAT 5", "EX", "PERSIST", "NX 1"] {
        check(&mut harness, &format!("SET k v {options}"), "-ERR syntax error");
    }
    check(&mut harness, "SET k v EX 1 EX 2 GET GET", "$-1");
    for options in ["EX 1 PERSIST", "NX", "KEEPTTL", "PERSIST PX 3"] {
        check(&mut harness, &format!("GETEX k {options}"), "-ERR syntax error");
    }
}

#[test]
fn expiries_are_stored_and_journalled_as_points_in_time() {
    let mut harness = Harness::new();
    for (line, at_ms) in [
        ("SET k v EX 10".to_owned(), (NOW_S + 10) * 1000),
        ("SET k v PX 10 NX".to_owned(), NOW_S * 1000 + 10),
        (format!("SET k v GET EXAT {}", NOW_S + 7), (NOW_S + 7) * 1000),
        ("SETEX k 5 v".to_owned(), (NOW_S + 5) * 1000),
        ("PSETEX k 5 v".to_owned(), NOW_S * 1000 + 5),
    ] {
        harness.run("GETDEL k");
        harness.run(&line);
        assert_eq!(harness.journal(), format!("SET k v PXAT {at_ms}"), "{line}");
        assert_eq!(harness.events(), ["set k", "expire k"], "{line}");
    }
    harness.now_ms += 4;
    check(&mut harness, "GET k", "$1 v");
    harness.now_ms += 1;
    check(&mut harness, "GET k", "$-1");
}

#[test]
fn expiries_must_be_positive_and_near_enough() {
    let mut harness = Harness::new();
    harness.run("SET k v");
    for (line, command) in [
        ("SET k v EX 0", "set"),
        ("SET k v PX -1", "set"),
        ("SET k v EX 9223372036854775807", "set"),
        ("SET k v PXAT 0", "set"),
        ("SETEX k 0 v", "setex"),
        ("PSETEX k 9223372036854775807 v", "psetex"),
        ("GETEX k EX 0", "getex"),
    ] {
        check(&mut harness, line, &format!("-ERR invalid expire time in '{command}' command"));
    }
    check(&mut harness, "SET k v EX ten", "-ERR value is not an integer or out of range");
    check(&mut harness, "GETEX nothing EX 0", "$-1");
}

#[test]
fn keepttl_keeps_and_set_ends_the_expiry() {
    let mut harness = Harness::new();
    harness.run("SET k v PX 10");
    check(&mut harness, "SET k w KEEPTTL GET", "$1 v");
    assert_eq!(harness.journal(), "SET k w KEEPTTL");
    harness.run("SET other v PX 10");
    harness.run("SET other w");
    harness.now_ms += 10;
    check(&mut harness, "MGET k other", "*2 $-1 $1 w");
}

#[test]
fn getex_changes_the_expiry_only() {
    let mut harness = Harness::new();
    harness.run("SET k v");
    check(&mut harness, "GETEX k", "$1 v");
    assert_eq!(harness.effects.dirty, 0);
    check(&mut harness, "GETEX k PERSIST", "$1 v");
    assert_eq!(harness.effects.dirty, 0);
    check(&mut harness, "GETEX k EX 10", "$1 v");
    assert_eq!(harness.journal(), format!("PEXPIREAT k {}", (NOW_S + 10) * 1000));
    check(&mut harness, "GETEX k PERSIST", "$1 v");
    assert_eq!((harness.journal().as_str(), harness.events()), ("PERSIST k", vec!["persist k".to_owned()]));
    check(&mut harness, "GETEX k PXAT 5", "$1 v");
    assert_eq!((harness.journal().as_str(), harness.events()), ("DEL k", vec!["del k".to_owned()]));
    check(&mut harness, "GET k", "$-1");
}

#[test]
fn reading_and_replacing_is_one_step() {
    let mut harness = Harness::new();
    check(&mut harness, "GETSET k 1", "$-1");
    check(&mut harness, "GETSET k 2", "$1 1");
    assert_eq!(harness.journal(), "SET k 2");
    check(&mut harness, "GETDEL k", "$1 2");
    assert_eq!((harness.journal().as_str(), harness.events()), ("DEL k", vec!["del k".to_owned()]));
    check(&mut harness, "GETDEL k", "$-1");
    assert_eq!(harness.effects.dirty, 0);
}

#[test]
fn pairs_are_stored_all_or_none() {
    let mut harness = Harness::new();
    check(&mut harness, "MSET a 1 b 2 a 3", "+OK");
    assert_eq!(harness.effects.dirty, 3);
    check(&mut harness, "MSETNX c 1 a 1", ":0");
    check(&mut harness, "MSETNX c 1 c 2", ":1");
    check(&mut harness, "MGET a b c", "*3 $1 3 $1 2 $1 2");
    check(&mut harness, "MSET a 1 b", "-ERR wrong number of arguments for 'mset' command");
    check(&mut harness, "MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command");
}

#[test]
fn pairs_are_stored_with_an_expiry_for_all() {
    let mut harness = Harness::new();
    check(&mut harness, "MSETEX 2 a 1 b 2 EX 10", ":1");
    let at_ms = (NOW_S + 10) * 1000;
    assert_eq!(harness.journal(), format!("SET a 1 PXAT {at_ms}; SET b 2 PXAT {at_ms}"));
    assert_eq!(harness.events(), ["set a", "expire a", "set b", "expire b"]);
    check(&mut harness, "MSETEX 2 a 3 c 3 KEEPTTL", ":1");
    assert_eq!(harness.journal(), "SET a 3 KEEPTTL; SET c 3 KEEPTTL");
    check(&mut harness, "PEXPIRETIME a", &format!(":{at_ms}"));
    check(&mut harness, "TTL c", ":-1");
    check(&mut harness, "MSETEX 2 d 1 a 1 NX", ":0");
    check(&mut harness, "MSETEX 2 d 1 a 1 PX 100 xx", ":0");
    assert_eq!(harness.effects.dirty, 0);
    check(&mut harness, "MSETEX 3 d 1 e 1 d 2 nx", ":1");
    check(&mut harness, "MGET d e", "*2 $1 2 $1 1");
    check(&mut harness, "MSETEX 2 a 1 b 2 XX", ":1");
    assert_eq!(harness.journal(), "SET a 1; SET b 2");
    check(&mut harness, "TTL a", ":-1");
}

#[test]
fn pairs_and_options_are_counted() {
    let mut harness = Harness::new();
    for (line, error) in [
        ("key1 val1 ex 10", "invalid numkeys value"),
        ("0 a 1", "invalid numkeys value"),
        ("-1 a 1", "invalid numkeys value"),
        ("2147483648 a 1", "invalid numkeys value"),
        ("2147483647 a 1", "wrong number of key-value pairs"),
        ("2 a 1 b", "wrong number of key-value pairs"),
        ("1 a 1 b 2", "syntax error"),
        ("1 a 1 NX XX", "syntax error"),
        ("1 a 1 EX 10 PX 10", "syntax error"),
        ("1 a 1 KEEPTTL EX 10", "syntax error"),
        ("1 a 1 PERSIST", "syntax error"),
        ("1 a 1 EX", "syntax error"),
        ("1 a 1 EX 0", "invalid expire time in 'msetex' command"),
        ("1 a 1 EX x", "value is not an integer or out of range"),
    ] {
        check(&mut harness, &format!("MSETEX {line}"), &format!("-ERR {error}"));
    }
    check(&mut harness, "MSETEX 1 a", "-ERR wrong number of arguments for 'msetex' command");
    check(&mut harness, "EXISTS a", ":0");
}
