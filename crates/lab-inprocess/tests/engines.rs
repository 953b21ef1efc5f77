//! Every engine runs without a network, with threads that meet, and says what it does not have.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rustredis-lab-inprocess"));
    command
        .args(["--seconds", "0.05", "--keys", "1000", "--threads", "3"])
        .args(arguments)
        .output()
        .expect("the program is built with its tests")
}

fn check(arguments: &[&str]) -> serde_json::Value {
    let output = run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
    assert!(figures["commands"].as_u64() > Some(0), "{figures}");
    figures
}

#[test]
fn every_engine_runs() {
    for engine in ["mutex", "dashmap", "actor", "lockfree"] {
        for batch in ["1", "16"] {
            check(&["--engine", engine, "--batch", batch, "--metrics", "thread-local"]);
        }
    }
}

#[test]
fn lock_waits_are_measured() {
    let figures = check(&["--engine", "dashmap", "--contention", "--spread", "zipf:1.2"]);
    assert!(figures["lock_acquisitions"].as_u64().unwrap() > 0);
    assert_eq!(figures["shard_wait_ns"].as_array().unwrap().len(), 32);
    let figures = check(&["--engine", "mutex", "--contention"]);
    assert_eq!(figures["shard_wait_ns"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_not_there_has_its_exit_code() {
    assert_eq!(run(&["--engine", "none"]).status.code(), Some(3));
    assert_eq!(run(&["--metrics", "none"]).status.code(), Some(3));
}
