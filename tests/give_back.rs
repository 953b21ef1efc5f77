//! Memory that was freed goes back to the system, of every thread, though nobody sends anything any more.

use rustredis_testkit::{Command, DEADLINE_DEFAULT, Server, engines, process, run_on_engine, wait_until};

const CLIENTS: usize = 4;
const KEYS: usize = 30_000;
const VALUE_BYTES: usize = 1_000;
/// Commands of one pipeline.
const PIPELINE: usize = 500;

fn resident(server: &Server) -> u64 {
    process::resident_bytes(server.pid()).unwrap()
}

/// Fills the server from clients on all its threads, and tells the bound below which the memory is given back: a quarter of
/// what was taken may stay.
fn fill(server: &Server) -> u64 {
    let before = resident(server);
    let value = "v".repeat(VALUE_BYTES);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.client()).collect();
    for (round, first) in (0..KEYS).step_by(PIPELINE).enumerate() {
        let commands: Vec<Command> =
            (first..first + PIPELINE).map(|key| Command::line(&format!("SET key:{key} {value}"))).collect();
        clients[round % CLIENTS].pipeline(&commands);
    }
    let taken = resident(server) - before;
    assert!(taken > (KEYS * VALUE_BYTES) as u64 / 2, "{taken} bytes were taken");
    before + taken / 4
}

fn an_idle_server_gives_back(server: &Server) {
    let bound = fill(server);
    server.client().check("FLUSHALL", "+OK");
    wait_until("the memory to be given back", DEADLINE_DEFAULT, || resident(server) < bound);
}

fn a_purge_reaches_all_threads(server: &Server) {
    let bound = fill(server);
    let mut client = server.client();
    client.check("FLUSHALL", "+OK");
    let is_freed = || server.info("lazyfree_pending_objects").as_deref() == Some("0");
    wait_until("the values to be freed", DEADLINE_DEFAULT, is_freed);
    client.check("MEMORY PURGE", "+OK");
    let after = resident(server);
    assert!(after < bound, "{after} bytes are left, and not less than {bound}");
    client.check("MULTI", "+OK");
    client.check("MEMORY PURGE", "+QUEUED");
    client.check("EXEC", "[+OK]");
}

fn on_every_engine_and_number_of_threads(body: fn(&Server)) {
    for engine in engines() {
        for threads in ["1", "2"] {
            run_on_engine(module_path!(), &engine, &["--threads", threads], body);
        }
    }
}

#[test]
fn an_idle_server() {
    on_every_engine_and_number_of_threads(an_idle_server_gives_back);
}

#[test]
fn a_purge() {
    on_every_engine_and_number_of_threads(a_purge_reaches_all_threads);
}
