//! Each state against what happens by itself, or because a client asked for it once: expiry, eviction, saves, rewrites, tables that
//! grow, the append-only file turned off and on, loads, blocked clients, hang-ups, shutdowns.

use rustredis_testkit::{Binary, Client, Command, DEADLINE_DEFAULT, Reply, process, wait_until};

use super::examples;
use super::state::{FOR_EVER_USEC, State, is_at_rest};
use super::{LOADED_KEYS, LOADED_KEYS_OF_REDIS, Stage};

/// Keys that wait in a database of their own until somebody lets them expire.
const DUE_KEYS: usize = 40;
/// Keys that make tables grow.
const NEW_KEYS: usize = 3000;
/// While files are loaded so slowly that this takes longer than what is done meanwhile, it is done so often.
const MOVING_USEC: &str = "2000";
const MOVING_ROUNDS: usize = 3;
/// Elements of what is freed elsewhere.
const ELEMENTS: usize = 2000;

/// Provokes something, and says what was wrong.
type Task = fn(&mut Stage);

/// What is provoked, in this order: what leaves few keys comes last.
const TASKS: &[(&str, Task)] = &[
    ("settings", change_settings),
    ("saves", save),
    ("expiry", expire),
    ("new tables", grow),
    ("purge", purge),
    ("clients", end_clients),
    ("a loaded append-only file", load_append_only_file),
    ("a reload", reload),
    ("automatic saves", save_automatically),
    ("eviction", evict),
    ("another append-only file", turn_off_and_on),
    ("lazy freeing", free),
];

/// Clients that were blocked before the state began.
struct BlockedClients {
    impatient: Client,
    served: Client,
    unblocked: Client,
    killed: Client,
}

/// A state against every task.
#[track_caller]
pub(crate) fn check(binary: Binary, threads: &str, state: State) {
    if binary.is_redis() && !state.is_known_to_redis() {
        return;
    }
    let mut stage = Stage::new(binary, threads, state);
    prepare(&mut stage);
    if state.is_loading() {
        while_loading(&mut stage);
    } else {
        let blocked = block(&mut stage);
        stage.state.enter(&mut stage.server, &mut stage.admin);
        // A paused server answers nobody, the test neither.
        if state != State::Paused {
            for (name, task) in TASKS {
                task(&mut stage);
                assert!(!stage.admin.line("ECHO alive").is_error(), "{name}: no answer");
            }
        }
        release(&mut stage, blocked);
        settle(&mut stage);
    }
    stage.check_files();
    shut_down(&mut stage, threads);
    stage.conclude();
}

fn prepare(stage: &mut Stage) {
    let admin = &mut stage.admin;
    let elements = |name: &str| {
        let mut command = Command::line(name);
        (0..ELEMENTS).for_each(|number| command.arguments.push(format!("element:{number}").into_bytes()));
        command
    };
    let mut commands = vec![elements("RPUSH large:list"), elements("SADD large:set")];
    let value = if stage.state.is_loading() { "v".repeat(1100) } else { "value".to_owned() };
    let keys =
        if stage.server.is_redis() && stage.state.is_loading() { LOADED_KEYS_OF_REDIS } else { LOADED_KEYS };
    commands.extend((0..keys).map(|number| Command::new(&["SET", &format!("filler:{number}"), &value])));
    commands.extend(["DEBUG SET-ACTIVE-EXPIRE 0", "SELECT 9"].map(Command::line));
    commands.extend((0..DUE_KEYS).map(|number| Command::line(&format!("SET due:{number} v PX 1"))));
    commands.push(Command::line("SELECT 0"));
    for (reply, command) in admin.pipeline(&commands).iter().zip(&commands) {
        assert!(!reply.is_error(), "{}: {reply}", command.name());
    }
}

/// Blocks four clients, and a fifth that goes at once.
fn block(stage: &mut Stage) -> BlockedClients {
    let mut leaving = stage.server.client();
    leaving.send(&["BLPOP", "queue:left", "0"]);
    let wait = |key: &str, seconds: &str| {
        let mut client = stage.server.client();
        client.check(&format!("CLIENT SETNAME {key}"), "+OK");
        client.send(&["BLPOP", &format!("queue:{key}"), seconds]);
        client
    };
    let blocked = BlockedClients {
        impatient: wait("impatient", "0.5"),
        served: wait("served", "0"),
        unblocked: wait("unblocked", "0"),
        killed: wait("killed", "0"),
    };
    wait_until("clients to block", DEADLINE_DEFAULT, || {
        stage.admin.line("INFO clients").text().contains("blocked_clients:5\r")
    });
    blocked
}

fn id_of(stage: &mut Stage, name: &str) -> String {
    let list = stage.admin.line("CLIENT LIST").text();
    let line = list.lines().find(|line| line.contains(&format!(" name={name} "))).unwrap_or_default();
    let id = line.split(' ').find_map(|field| field.strip_prefix("id="));
    id.unwrap_or_else(|| panic!("no client {name} in {list}")).to_owned()
}

/// Ends the state; everybody who waited gets what he waited for.
fn release(stage: &mut Stage, mut blocked: BlockedClients) {
    if stage.state == State::Paused {
        stage.state.leave(&mut stage.server, &mut stage.admin);
        end_clients(stage);
    }
    for (client, what) in [(&mut blocked.impatient, "a timeout"), (&mut blocked.unblocked, "CLIENT UNBLOCK")]
    {
        let reply = client.read();
        if !reply.is_null() {
            stage.fault(format!("after {what}: {reply}"));
        }
    }
    assert!(blocked.killed.read_to_close().is_empty(), "it was answered");
    stage.state.leave(&mut stage.server, &mut stage.admin);
    stage.admin.check("RPUSH queue:served v", "1");
    assert_eq!(blocked.served.read().to_string(), "[\"queue:served\", \"v\"]");
}

/// Puts everything back that the tasks have set.
fn settle(stage: &mut Stage) {
    let lines = [
        "CONFIG SET save \"\" auto-aof-rewrite-percentage 0 maxmemory 0 maxmemory-policy noeviction hz 10",
        "CONFIG SET appendonly yes",
        "DEBUG SET-ACTIVE-EXPIRE 1",
    ];
    for line in &lines {
        if stage.state != State::LoadingRdb || !line.contains("appendonly") {
            stage.admin.check(line, "+OK");
        }
    }
    let admin = &mut stage.admin;
    wait_until("keys to expire", DEADLINE_DEFAULT, || !admin.line("INFO keyspace").text().contains("db9:"));
    wait_until("the files to be complete", DEADLINE_DEFAULT, || {
        let is_ok = admin.line("INFO persistence").text().contains("aof_last_bgrewrite_status:ok");
        if !is_ok {
            // One that failed is not tried again unless it grows.
            admin.line("BGREWRITEAOF");
        }
        is_ok && is_at_rest(admin)
    });
}

/// Whatever is tried while files are loaded, they bring what they hold: when the load stands still, and while it moves.
fn while_loading(stage: &mut Stage) {
    stage.admin.check("DEBUG SET-ACTIVE-EXPIRE 1", "+OK");
    wait_until("keys to expire", DEADLINE_DEFAULT, || {
        !stage.admin.line("INFO keyspace").text().contains("db9:")
    });
    let before = stage.data();
    stage.state.enter(&mut stage.server, &mut stage.admin);
    disturb(stage);
    assert!(is_loading(stage), "it has loaded already");
    // A redis-server would sleep through the next change.
    let rounds = if stage.server.is_redis() { 0 } else { MOVING_ROUNDS };
    for _ in 0..rounds {
        stage.admin.check(&format!("CONFIG SET key-load-delay {MOVING_USEC}"), "+OK");
        disturb(stage);
        stage.admin.check(&format!("CONFIG SET key-load-delay {FOR_EVER_USEC}"), "+OK");
    }
    // On a machine that stood still for seconds, the last round may have met keys that were loaded.
    let is_conclusive = is_loading(stage);
    stage.state.leave(&mut stage.server, &mut stage.admin);
    let lines =
        ["CONFIG SET save \"\" auto-aof-rewrite-percentage 0 maxmemory 0 maxmemory-policy noeviction hz 10"];
    lines.iter().for_each(|line| stage.admin.check(line, "+OK"));
    stage.rest();
    if is_conclusive {
        stage.compare(&before, "other data were loaded");
    }
}

fn is_loading(stage: &mut Stage) -> bool {
    stage.admin.line("INFO persistence").text().contains("\nloading:1")
}

/// Everything that might touch the keys while they are loaded.
fn disturb(stage: &mut Stage) {
    let appendonly = if stage.state == State::LoadingRdb { "yes" } else { "no" };
    let turn = format!("CONFIG SET appendonly {appendonly}");
    let lines = [
        "CONFIG SET maxmemory-policy allkeys-random maxmemory 1",
        "PUBLISH channel message",
        "CONFIG SET hz 500 save \"1 1\" auto-aof-rewrite-percentage 1 auto-aof-rewrite-min-size 1",
        "BGSAVE",
        "BGREWRITEAOF",
        "MEMORY PURGE",
        "CLIENT NO-TOUCH on",
        "INFO everything",
        // What a client asks for must not change what is loaded; Redis does not let it be turned while it loads.
        &turn,
        "CONFIG RESETSTAT",
        "CONFIG SET maxmemory 0",
    ];
    for line in lines {
        let reply = stage.admin.line(line).to_string();
        if line.contains("appendonly") && !reply.starts_with("-LOADING") && is_loading(stage) {
            stage.fault(format!("{line}: {reply}"));
        }
    }
    // These hang up, within a transaction, as a subscriber, and in the middle of a command.
    for bytes in ["MULTI\r\nPUBLISH a b\r\n", "SUBSCRIBE a\r\n", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$10\r\nabc"] {
        stage.server.client().send_raw(bytes.as_bytes());
    }
}

/// Whether the state lets writes through.
fn takes_writes(state: State) -> bool {
    matches!(state, State::Calm | State::Saving | State::Rewriting | State::Evicting)
}

fn change_settings(stage: &mut Stage) {
    stage.admin.check("CONFIG SET hz 500", "+OK");
    stage.admin.check("CONFIG RESETSTAT", "+OK");
}

/// Whatever the answer is.
fn save(stage: &mut Stage) {
    for line in ["BGSAVE SCHEDULE", "BGREWRITEAOF", "BGSAVE"] {
        stage.admin.line(line);
    }
}

fn expire(stage: &mut Stage) {
    stage.admin.check("DEBUG SET-ACTIVE-EXPIRE 1", "+OK");
    let admin = &mut stage.admin;
    if stage.state == State::WritesPaused {
        return;
    }
    wait_until("keys to expire", DEADLINE_DEFAULT, || !admin.line("INFO keyspace").text().contains("db9:"));
}

fn grow(stage: &mut Stage) {
    if !takes_writes(stage.state) {
        return;
    }
    let names = (0..NEW_KEYS).map(|number| format!("new:{number}"));
    let commands: Vec<Command> = names.clone().map(|name| Command::new(&["SET", &name, "v"])).collect();
    let refused = stage.admin.pipeline(&commands).into_iter().find(Reply::is_error);
    assert!(refused.is_none(), "SET: {refused:?}, {}", stage.admin.line("INFO memory").text());
    let commands: Vec<Command> = names.step_by(2).map(|name| Command::new(&["DEL", &name])).collect();
    assert!(stage.admin.pipeline(&commands).iter().all(|reply| !reply.is_error()), "DEL");
    // An eviction leaves nothing to find, perhaps.
    examples::fill(&mut stage.admin);
}

fn purge(stage: &mut Stage) {
    stage.admin.check("MEMORY PURGE", "+OK");
}

/// The ends that a blocked client's wait may have, but for the one that a write would bring.
fn end_clients(stage: &mut Stage) {
    let (unblocked, killed) = (id_of(stage, "unblocked"), id_of(stage, "killed"));
    stage.admin.check(&format!("CLIENT UNBLOCK {unblocked}"), "1");
    stage.admin.check(&format!("CLIENT KILL ID {killed}"), "1");
    for bytes in
        ["MULTI\r\nGET a\r\n", "WATCH a\r\n", "SUBSCRIBE a\r\n", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$10\r\nabc"]
    {
        stage.server.client().send_raw(bytes.as_bytes());
    }
}

/// Loading the file that is written to brings what there is.
fn load_append_only_file(stage: &mut Stage) {
    // A redis-server may write DEBUG LOADAOF itself to the file, which it then cannot load.
    if stage.state == State::Evicting || stage.server.is_redis() {
        return;
    }
    let before = stage.digest();
    let reply = stage.admin.line("DEBUG LOADAOF").to_string();
    let is_possible = stage.state != State::WriteFails;
    if reply.starts_with('+') != is_possible {
        stage.fault(format!("DEBUG LOADAOF: {reply}"));
    }
    if stage.digest() != before {
        stage.fault("DEBUG LOADAOF changed the data".to_owned());
    }
}

fn reload(stage: &mut Stage) {
    // What is due would be left out.
    if stage.state.holds_saves() || matches!(stage.state, State::WritesPaused | State::Evicting) {
        return;
    }
    wait_until("saves to end", DEADLINE_DEFAULT, || is_at_rest(&mut stage.admin));
    let before = stage.digest();
    let reply = stage.admin.line("DEBUG RELOAD").to_string();
    let is_possible = !matches!(stage.state, State::WriteFails | State::SaveFailed | State::Crowded);
    if reply.starts_with('+') != is_possible {
        stage.fault(format!("DEBUG RELOAD: {reply}"));
    }
    if stage.digest() != before {
        stage.fault("DEBUG RELOAD changed the data".to_owned());
    }
}

fn save_automatically(stage: &mut Stage) {
    let line = "CONFIG SET save \"1 1\" auto-aof-rewrite-percentage 1 auto-aof-rewrite-min-size 1";
    stage.admin.check(line, "+OK");
}

/// Evicts everything, but while writes are paused.
fn evict(stage: &mut Stage) {
    if matches!(stage.state, State::OutOfMemory | State::Crowded | State::Evicting) {
        return;
    }
    let before = stage.admin.line("DBSIZE").integer();
    stage.admin.check("CONFIG SET maxmemory-policy allkeys-random maxmemory 1", "+OK");
    let admin = &mut stage.admin;
    if stage.state == State::WritesPaused {
        // Each command makes room, if it may.
        (0..20).for_each(|_| drop(admin.line("GET string")));
        let after = admin.line("DBSIZE").integer();
        if after != before {
            stage.fault(format!("of {before} keys {after} are left, though writes are paused"));
        }
    } else {
        wait_until("keys to be evicted", DEADLINE_DEFAULT, || {
            admin.line("GET string");
            admin.line("DBSIZE").integer() == 0
        });
    }
    stage.admin.check("CONFIG SET maxmemory 0 maxmemory-policy noeviction", "+OK");
    if takes_writes(stage.state) {
        examples::fill(&mut stage.admin);
    }
}

fn turn_off_and_on(stage: &mut Stage) {
    stage.admin.check("CONFIG SET appendonly no", "+OK");
    if takes_writes(stage.state) {
        stage.admin.check("SET without 1", "+OK");
    }
    let reply = stage.admin.line("CONFIG SET appendonly yes").to_string();
    if reply != "+OK" {
        stage.fault(format!("CONFIG SET appendonly yes: {reply}"));
    }
}

fn free(stage: &mut Stage) {
    if takes_writes(stage.state) {
        for line in ["UNLINK large:list", "FLUSHALL ASYNC", "SET last 1"] {
            stage.admin.line(line);
        }
    }
}

/// A server that is told to end while it is in the state ends, and loses nothing.
fn shut_down(stage: &mut Stage, threads: &str) {
    let state = stage.state;
    stage.admin.check("SET before:shutdown 1", "+OK");
    if !state.has_aof() {
        stage.admin.check("SAVE", "+OK");
    }
    let mut before = stage.data();
    state.enter(&mut stage.server, &mut stage.admin);
    // A disk that fails keeps the server, for what is acknowledged is not there yet.
    let keeps = matches!(state, State::WriteFails | State::SaveFailed | State::Crowded);
    if keeps {
        state.leave(&mut stage.server, &mut stage.admin);
        before = stage.data();
    }
    if threads == "1" {
        process::terminate(stage.server.pid());
    } else {
        let line: &[&str] = if state.is_loading() { &["SHUTDOWN"] } else { &["SHUTDOWN", "NOSAVE"] };
        let mut client = stage.server.client();
        // The connection ends with the server.
        if let Ok(reply) = client.try_call(line) {
            stage.fault(format!("SHUTDOWN: {reply}"));
            process::terminate(stage.server.pid());
        }
    }
    let exited = stage.server.wait_for_exit(DEADLINE_DEFAULT);
    if exited.code != Some(0) {
        stage.fault(format!("it ended with {:?}:\n{}", exited.code, exited.log));
    }
    stage.server.restart();
    stage.admin = stage.server.client();
    // What is evicted meanwhile is gone.
    if state != State::Evicting {
        stage.compare(&before, "a shutdown lost data");
    }
}
