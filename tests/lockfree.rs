//! Reading without a lock, on the engine that does: what is read, when it falls back to the lock, and what it keeps.

use std::time::Duration;

use rustredis_testkit::{Client, Server, run_on_engine, wait_until};

const MEASURED: &[&str] = &["--contention", "yes", "--enable-debug-command", "yes"];

/// A number of `INFO contention`.
fn number(client: &mut Client, name: &str) -> u64 {
    let text = client.line("INFO contention").text();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Reads a key until it is published.
fn publish(client: &mut Client, key: &str) {
    for _ in 0..4 {
        client.line(&format!("GET {key}"));
    }
}

/// Runs a command and says how many locks it took.
fn locks_of(client: &mut Client, command: &str, expected: &str) -> u64 {
    let before = number(client, "lock_acquisitions");
    client.check(command, expected);
    number(client, "lock_acquisitions") - before
}

fn reads_take_no_lock(server: &Server) {
    let mut client = server.client();
    client.check("SET k value", "+OK");
    client.check("SET other 12", "+OK");
    client.check("EXPIRE other 1000", "1");
    for key in ["k", "other"] {
        publish(&mut client, key);
    }
    assert_eq!(number(&mut client, "published_keys"), 2);
    for (command, expected) in [
        ("GET k", "\"value\""),
        ("STRLEN k", "5"),
        ("GETRANGE k 1 2", "\"al\""),
        ("EXISTS k other", "2"),
        ("TYPE k", "+string"),
        ("TTL k", "-1"),
        ("TTL other", "1000"),
        ("MGET k other k", "[\"value\", \"12\", \"value\"]"),
        ("GETBIT k 1", "1"),
        ("BITCOUNT other", "6"),
        ("TOUCH k", "1"),
    ] {
        assert_eq!(locks_of(&mut client, command, expected), 0, "{command}");
    }
    // A key that is missing, or changed, is read under its lock.
    assert!(locks_of(&mut client, "MGET k missing", "[\"value\", nil]") > 0);
    client.check("INCR other", "13");
    client.check("APPEND k s", "6");
    assert!(number(&mut client, "retired_blocks") > 0 || number(&mut client, "retired_bytes") == 0);
    client.check("MGET k other", "[\"values\", \"13\"]");
}

fn what_is_published_goes_with_its_key(server: &Server) {
    let mut client = server.client();
    for (change, then) in [
        ("DEL k", "nil"),
        ("SET k new", "\"new\""),
        ("SET k new EX 100", "\"new\""),
        ("GETSET k new", "\"new\""),
        ("SETRANGE k 0 V", "\"Value\""),
        ("RENAME other k", "\"other\""),
        ("COPY other k REPLACE", "\"other\""),
        ("GETDEL k", "nil"),
        ("PEXPIREAT k 1", "nil"),
        ("MOVE k 3", "nil"),
        ("FLUSHDB", "nil"),
        ("SWAPDB 0 2", "nil"),
        ("RPUSH l 1", "\"value\""),
    ] {
        client.check("FLUSHALL", "+OK");
        client.check("MSET k value other other", "+OK");
        publish(&mut client, "k");
        assert_eq!(number(&mut client, "published_keys"), 1, "{change}");
        client.line(change);
        client.check("GET k", then);
        client.check("EXISTS k", if then == "nil" { "0" } else { "1" });
    }
    client.check("FLUSHALL", "+OK");
    client.check("SET k value", "+OK");
    publish(&mut client, "k");
    client.check("PEXPIRE k 20", "1");
    publish(&mut client, "k");
    wait_until("the key is gone", Duration::from_secs(10), || client.line("GET k").is_null());
    // As part of a transaction, a change shows when all is done.
    client.check("MSET a 1 b 1", "+OK");
    for key in ["a", "b"] {
        publish(&mut client, key);
    }
    let mut other = server.client();
    other.check("MULTI", "+OK");
    for command in ["SET a 2", "GET a", "GET a", "GET a", "GET a", "SET b 2"] {
        other.check(command, "+QUEUED");
    }
    client.check("MGET a b", "[\"1\", \"1\"]");
    other.check("EXEC", "[+OK, \"2\", \"2\", \"2\", \"2\", +OK]");
    client.check("MGET a b", "[\"2\", \"2\"]");
}

/// One block is replaced very often, and read all the time: what is held back stays little.
fn a_hot_key_holds_back_little(server: &Server) {
    let mut client = server.client();
    let value = "v".repeat(1000);
    client.check(&format!("SET hot {value}"), "+OK");
    let mut most = 0;
    for _ in 0..20 {
        let pipeline: Vec<String> = (0..100)
            .flat_map(|_| {
                [
                    format!("SET hot {value}"),
                    "GET hot".to_owned(),
                    "GET hot".to_owned(),
                    "GET hot".to_owned(),
                    "GET hot".to_owned(),
                ]
            })
            .collect();
        for command in pipeline {
            client.line(&command);
        }
        most = most.max(number(&mut client, "retired_bytes"));
    }
    assert!(most < 4 << 20, "{most} bytes are held back");
    client.check("DEL hot", "1");
    let limit = Duration::from_secs(10);
    wait_until("what was retired is freed", limit, || number(&mut client, "retired_blocks") == 0);
}

#[test]
fn reads_of_strings_take_no_lock() {
    run_on_engine(module_path!(), "lockfree", MEASURED, reads_take_no_lock);
}

#[test]
fn what_is_published_goes_with_the_key() {
    run_on_engine(module_path!(), "lockfree", MEASURED, what_is_published_goes_with_its_key);
}

#[test]
fn a_hot_key_that_changes_holds_back_little() {
    run_on_engine(module_path!(), "lockfree", MEASURED, a_hot_key_holds_back_little);
}
