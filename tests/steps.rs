//! A command that runs commands is one step: one unit of the append-only file, however deep it stands, and whoever waits for what
//! it makes is served behind it.

use std::fs;

use rustredis_testkit::{Command, DEADLINE_DEFAULT, Launch, Server, every_engine, wait_until};

use crate::files::{ALWAYS, aof_directory, newest_increment};

/// Three commands over keys of several shards.
const UNIT: &str = "DEBUG UNIT SET a 1 | RPUSH list x y | INCRBY a 41";
/// What is written of it.
const WRITTEN: &str = "SET a 1 RPUSH list x y INCRBY a 41";

fn start(server: &Server, threads: &str) -> Server {
    Launch::new(server.binary().clone()).arguments(&ALWAYS).arguments(&["--threads", threads]).start()
}

/// The words of all commands of the newest increment, but for the selected databases. What was answered is in it.
fn words(server: &Server) -> String {
    let text = fs::read(newest_increment(&aof_directory(server))).unwrap();
    let text = String::from_utf8_lossy(&text).replace("\r\nSELECT\r\n$1\r\n0\r\n", "\r\n");
    let words: Vec<&str> = text.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
    words.join(" ")
}

/// A restart finds what was there.
fn check_restart(server: &mut Server) {
    let digest = server.client().line("DEBUG DIGEST").text();
    server.kill();
    server.restart();
    assert_eq!(server.client().line("DEBUG DIGEST").text(), digest);
}

every_engine! {
    fn a_step_is_one_unit(server: &Server) {
        for threads in ["1", "2"] {
            let mut server = start(server, threads);
            let mut client = server.client();
            client.check(UNIT, "[+OK, 2, 42]");
            assert_eq!(words(&server), format!("MULTI {WRITTEN} EXEC"));
            client.check("SET b 1", "+OK");
            assert_eq!(words(&server), format!("MULTI {WRITTEN} EXEC SET b 1"));
            check_restart(&mut server);
        }
    }

    /// What is refused to a client is refused to a command that another one runs.
    fn commands_in_a_step_are_admitted(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        client.check("CONFIG SET maxmemory 1 maxmemory-policy noeviction", "+OK");
        let oom = "-OOM command not allowed when used memory > 'maxmemory'.";
        client.check("DEBUG UNIT SET a 1 | GET a | DEL a", &format!("[{oom}, nil, 0]"));
        client.check("CONFIG SET maxmemory 0", "+OK");
        client.check("DEBUG UNIT SET a 1 | GET a | DEL a", "[+OK, \"1\", 1]");
        // What has begun to write goes on: what it does takes the memory that it lacks then.
        let limit = server.info("used_memory").and_then(|used| used.parse::<u64>().ok()).unwrap() + 3_000_000;
        client.check(&format!("CONFIG SET maxmemory {limit}"), "+OK");
        client.check("DEBUG UNIT SETRANGE big 4000000 x | SET a 2 | STRLEN big", "[4000001, +OK, 4000001]");
        client.check("SET a 3", oom);
        client.check("DEBUG UNIT GET a | SET a 3", &format!("[\"2\", {oom}]"));
        client.check("CONFIG SET maxmemory 0", "+OK");
        client.check("DEL a big", "2");
        client.check("CONFIG SET min-replicas-to-write 1", "+OK");
        client.check("DEBUG UNIT SET a 1 | GET a", "[-NOREPLICAS Not enough good replicas to write., nil]");
        client.check("CONFIG SET min-replicas-to-write 0", "+OK");
    }

    fn a_step_in_a_transaction_is_part_of_its_unit(server: &Server) {
        for threads in ["1", "2"] {
            let mut server = start(server, threads);
            let mut client = server.client();
            for line in ["MULTI", "SET before 1", UNIT, UNIT, "SET after 1"] {
                client.line(line);
            }
            client.check("EXEC", "[+OK, [+OK, 2, 42], [+OK, 4, 42], +OK]");
            let written = words(&server);
            assert_eq!(written, format!("MULTI SET before 1 {WRITTEN} {WRITTEN} SET after 1 EXEC"));
            check_restart(&mut server);
        }
    }

    fn who_waits_is_served_behind_the_step(server: &Server) {
        for (threads, in_transaction) in [("1", false), ("2", false), ("1", true), ("2", true)] {
            let mut server = start(server, threads);
            let mut waiters = [server.client(), server.client()];
            for (number, waiter) in waiters.iter_mut().enumerate() {
                waiter.send(&["BLPOP", "list", "0"]);
                wait_until("a waiter", DEADLINE_DEFAULT, || {
                    server.info("blocked_clients") == Some((number + 1).to_string())
                });
            }
            let mut client = server.client();
            let lines: &[&str] = if in_transaction { &["MULTI", UNIT, "EXEC"] } else { &[UNIT] };
            client.pipeline(&lines.iter().map(|line| Command::line(line)).collect::<Vec<_>>());
            for (waiter, element) in waiters.iter_mut().zip(["x", "y"]) {
                assert_eq!(waiter.read().to_string(), format!("[\"list\", \"{element}\"]"));
            }
            client.check("EXISTS list", "0");
            assert_eq!(words(&server), format!("MULTI {WRITTEN} EXEC LPOP list LPOP list"));
            check_restart(&mut server);
        }
    }

    fn a_panic_within_ends_no_step(server: &Server) {
        for threads in ["1", "2"] {
            let mut server = start(server, threads);
            let mut client = server.client();
            client.check("DEBUG PANIC-AT BEFORE-CHANGE", "+OK");
            let error = "-ERR internal error, the command was given up before it changed anything";
            client.check("DEBUG UNIT SET a 1 | SET b 2 | SET c 3", &format!("[{error}, +OK, +OK]"));
            client.check("SET d 4", "+OK");
            client.check("MULTI", "+OK");
            client.line("DEBUG UNIT SET e 5 | GET e");
            client.check("EXEC", "[[+OK, \"5\"]]");
            client.check("SET f 6", "+OK");
            let written = "MULTI SET b 2 SET c 3 EXEC SET d 4 SET e 5 SET f 6";
            assert_eq!(words(&server), written);
            check_restart(&mut server);
        }
    }

    fn a_command_within_a_step_does_not_wait(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        client.check("DEBUG UNIT BLPOP nosuch 0 | BLMOVE nosuch other LEFT LEFT 0 | SET a 1", "[nil-array, nil, +OK]");
        client.check("DEBUG UNIT LPUSH a 1 | GET a", "[-WRONGTYPE Operation against a key holding the wrong kind of value, \"1\"]");
        client.check("DEBUG UNIT PING", "-ERR DEBUG UNIT runs commands over keys alone");
        client.check("DEBUG UNIT SET a 2 | NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: ");
        client.check("GET a", "\"1\"");
    }
}
