//! Black-box tests over RESP, one file per family, each on every engine.
//!
//! They start the built server (`cargo build -p rustredis`, or any binary named by `RUSTREDIS_BIN`) and know nothing of
//! its crates. Most of them also hold for a real Redis: `RUSTREDIS_BIN=/usr/bin/redis-server` checks the tests themselves.

#![allow(clippy::unwrap_used, reason = "tests")]

mod acl;
mod acl_walk;
mod aof;
mod blocking;
mod check_tools;
mod client;
mod collections;
mod commandlog;
mod compat;
mod concurrency;
mod config;
mod connections;
mod crash;
mod damage;
mod databases;
mod dump;
mod durability;
mod edges;
mod effects;
mod faults;
mod files;
mod functions;
mod functions_kept;
mod give_back;
mod holds;
mod info;
mod journal;
mod limits;
mod linearize;
mod loading;
mod lockfree;
mod lua;
mod memory;
mod metrics;
mod oracle;
mod order;
mod panics;
mod pipelines;
mod probes;
mod protocol;
mod pubsub;
mod queue;
mod rdb_files;
mod redis_rs;
mod replay;
mod replayed;
mod replication;
mod scripting;
mod scripting_effects;
mod scripting_errors;
mod scripting_hostile;
mod scripting_keys;
mod scripting_kill;
mod scripting_libraries;
mod scripting_lua;
mod scripting_races;
mod scripting_replies;
mod scripting_sandbox;
mod scripting_state;
mod snapshot;
mod startup;
mod states;
mod steps;
mod streams;
mod strings;
mod tracking;
mod tracking_races;
mod transactions;
