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

#[test]
fn every_kind_of_lock_runs_the_same_work() {
    for lock in ["parking_lot", "std", "spin", "ticket"] {
        for batch in ["1", "16"] {
            let figures = check(&["--lock", lock, "--batch", batch, "--metrics", "thread-local"]);
            assert!(figures.get("lock_acquisitions").is_none(), "{figures}");
        }
    }
}

#[test]
fn each_thread_says_what_it_had_and_what_it_waited_for() {
    let figures = check(&["--engine", "dashmap"]);
    let sum = |name: &str| -> f64 {
        (0..3).map(|index| figures[format!("thread_{index}_{name}")].as_f64().unwrap()).sum()
    };
    let is_sum = |name: &str, total: &str| (sum(name) - figures[total].as_f64().unwrap()).abs() < 1e-6;
    assert!(is_sum("commands", "commands") && is_sum("cpu_seconds", "cpu_seconds"), "{figures}");
    assert!(is_sum("queued_seconds", "queued_seconds"), "{figures}");
    assert!(is_sum("switches_involuntary", "switches_involuntary"), "{figures}");
    assert!(figures["threads_per_core"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_measuring_costs_stands_beside_it() {
    let figures = check(&["--engine", "dashmap", "--contention"]);
    assert!(figures["measuring_costs"].as_f64().unwrap() > 0.0, "{figures}");
    assert!(check(&["--engine", "dashmap"]).get("measuring_costs").is_none());
}
