//! A server that shuts down, against every command: what it acknowledged until its last moment is there when it starts again.
//!
//! There is no state to look at, for nobody is answered any more when it is over: so clients run all examples while the server is
//! told to end, each in a transaction with a counter that is theirs. A transaction that was acknowledged and is not counted by what
//! was saved is lost, whatever command it held.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use rustredis_testkit::{Binary, Command, DEADLINE_DEFAULT, Launch, Reply, process, wait_until};

use super::examples::{self, Example, Kind};

const CLIENTS: usize = 8;
/// Transactions until the server is told to end.
const TRANSACTIONS_MIN: usize = 400;
/// What a key's save takes longer, in microseconds: clients come while the last save is under way.
const SAVE_USEC: &str = "500";

/// How the end comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// SIGTERM, with save points.
    Signal,
    /// SHUTDOWN SAVE.
    Command,
}

/// What can be repeated, and leaves the counters alone.
fn is_repeated(example: &Example, flags: &[String]) -> bool {
    let is_change = flags.iter().any(|flag| flag == "write");
    let removes_all = ["flushall", "flushdb", "swapdb", "function|flush"].contains(&&*example.name);
    let blocks = flags.iter().any(|flag| flag == "blocking");
    is_change && !removes_all && !blocks && example.kind != Kind::Apart
}

/// Ends a server without an append-only file under load.
#[track_caller]
pub(crate) fn check(binary: Binary, threads: &str, end: End) {
    let arguments = ["--threads", threads, "--enable-debug-command", "yes"];
    let mut server = Launch::new(binary).arguments(&arguments).start();
    let mut admin = server.client();
    let examples = examples::examples(&mut admin);
    examples::fill(&mut admin);
    let chosen: Vec<&Example> = examples
        .iter()
        .filter(|(example, flags)| is_repeated(example, flags))
        .map(|(example, _)| example)
        .collect();
    // The last save happens because there are save points.
    admin.check("CONFIG SET save \"100000 100000000\"", "+OK");
    admin.check(&format!("CONFIG SET rdb-key-save-delay {SAVE_USEC}"), "+OK");
    let all = AtomicUsize::new(0);
    let mut counted: Vec<usize> = Vec::new();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (mut client, chosen, all) = (server.client(), &chosen, &all);
                scope.spawn(move || {
                    let mut acknowledged = 0;
                    for example in chosen.iter().cycle().skip(number * 7) {
                        let commands = [
                            Command::line("MULTI"),
                            example.command.clone(),
                            Command::line(&format!("INCR acknowledged:{number}")),
                            Command::line("EXEC"),
                        ];
                        let Ok(replies) = client.try_pipeline(&commands) else { break };
                        let Reply::Array(results) = &replies[3] else { break };
                        acknowledged = results[1].integer() as usize;
                        all.fetch_add(1, Relaxed);
                    }
                    acknowledged
                })
            })
            .collect();
        wait_until("some transactions", DEADLINE_DEFAULT, || all.load(Relaxed) >= TRANSACTIONS_MIN);
        match end {
            End::Signal => process::terminate(server.pid()),
            End::Command => admin.send(&["SHUTDOWN", "SAVE"]),
        }
        counted = clients.into_iter().map(|client| client.join().expect("a client")).collect();
    });
    let exited = server.wait_for_exit(DEADLINE_DEFAULT);
    assert_eq!(exited.code, Some(0), "{}", exited.log);
    server.restart();
    let mut client = server.client();
    for (number, acknowledged) in counted.into_iter().enumerate() {
        // There is none of a client that had no turn before the end.
        let kept = client.line(&format!("GET acknowledged:{number}"));
        let kept: usize = if kept.is_null() { 0 } else { kept.text().parse().expect("a number") };
        assert!(
            kept >= acknowledged,
            "client {number} was told of {acknowledged} transactions, {kept} are there"
        );
    }
}
