//! A bug in a command, injected: before its first change it costs the client that command and nobody else anything; after it
//! what is in memory and what the journal says differ, so the process ends, and its files tell the next start.

use std::time::Duration;

use rustredis_testkit::{Client, Command, DEADLINE_DEFAULT, Launch, Reply, Server, every_engine, wait_until};

use crate::files::ALWAYS;

const GIVEN_UP: &str = "-ERR internal error, the command was given up before it changed anything";
const LIMIT: Duration = Duration::from_secs(20);

fn start(server: &Server, threads: &str) -> Server {
    Launch::new(server.binary().clone()).arguments(&ALWAYS).arguments(&["--threads", threads]).start()
}

/// Keys that lie with both owners of the actor engine, whichever thread the client is on.
fn keys() -> impl Iterator<Item = String> {
    (0..16).map(|number| format!("key:{number}"))
}

fn arm(client: &mut Client, at: &str) {
    client.check(&format!("DEBUG PANIC-AT {at}"), "+OK");
}

/// Everybody is served, and a restart finds what was acknowledged.
fn check_whole(server: &mut Server, threads: &str) {
    let mut client = server.client();
    for key in keys() {
        client.check(&format!("SET {key} after"), "+OK");
        client.check(&format!("LPUSH list:{key} a b"), "2");
        client.check(&format!("BLPOP list:{key} 1"), &format!("[\"list:{key}\", \"b\"]"));
    }

    let digest = client.line("DEBUG DIGEST").text();
    client.check("DEBUG LOADAOF", "+OK");
    assert_eq!(client.line("DEBUG DIGEST").text(), digest, "{threads} threads");
    server.kill();
    server.restart();
    assert_eq!(server.client().line("DEBUG DIGEST").text(), digest, "{threads} threads, after a restart");
}

/// What runs a command in each of the ways there are, with a key in it.
const WAYS: [&[&str]; 7] = [
    &["SET {} x"],
    &["MSET {} x other:{} y third:{} z"],
    &["SADD set:{} a", "SUNIONSTORE sum:{} set:{} none"],
    &["MULTI", "SET first:{} 1", "SET {} x", "SET third:{} 3", "EXEC"],
    &["WATCH {}", "MULTI", "SET {} x", "EXEC"],
    &["HSET hash:{} f v", "HGETDEL hash:{} FIELDS 1 f"],
    &["COPY nothing {}", "EXPIRE {} 100", "RPUSH list:{} a"],
];

every_engine! {
    fn a_panic_before_the_first_change_is_an_error(server: &Server) {
        for threads in ["1", "2"] {
            let mut server = start(server, threads);
            let mut admin = server.client();
            let mut given_up = 0;
            for (way, lines) in WAYS.iter().enumerate() {
                for key in keys() {
                    let mut client = server.client();
                    arm(&mut admin, "BEFORE-CHANGE");
                    let commands: Vec<Command> =
                        lines.iter().map(|line| Command::line(&line.replace("{}", &format!("{way}:{key}")))).collect();
                    let replies = client.pipeline(&commands);
                    let errors = |reply: &Reply| reply.to_string().matches("internal error").count();
                    let count: usize = replies.iter().map(errors).sum();
                    assert!(count <= 1, "{lines:?}: {replies:?}");
                    given_up += count;
                    // The same connection goes on, and so do others.
                    client.check("PING", "+PONG");
                    admin.check(&format!("SET {key} 1"), if count == 1 { "+OK" } else { GIVEN_UP });
                    admin.check(&format!("SET {key} 1"), "+OK");
                }
            }
            assert!(given_up > 60, "{given_up} commands were given up");
            check_whole(&mut server, threads);
        }
    }

    /// A waiter whose command panics gets the error, and who served it goes on.
    fn a_waiter_whose_command_panics_gets_an_error(server: &Server) {
        let mut server = start(server, "2");
        for key in keys() {
            let (mut client, mut waiter) = (server.client(), server.client());
            waiter.send(&["BLMOVE", &format!("from:{key}"), &format!("to:{key}"), "LEFT", "RIGHT", "0"]);
            wait_until("the waiter", DEADLINE_DEFAULT, || server.info("blocked_clients").as_deref() == Some("1"));
            // Within one transaction, so that the next change after it is the waiter's.
            client.pipeline(&["MULTI", &format!("RPUSH from:{key} a"), "DEBUG PANIC-AT BEFORE-CHANGE", "EXEC"].map(Command::line));
            assert_eq!(waiter.read().to_string(), GIVEN_UP);
            client.check(&format!("LRANGE from:{key} 0 -1"), "[\"a\"]");
            waiter.check("PING", "+PONG");
        }
        check_whole(&mut server, "2");
    }

    fn a_panic_after_a_change_ends_the_process_and_loses_nothing(server: &Server) {
        for threads in ["1", "2"] {
            for (way, lines) in WAYS.iter().enumerate() {
                let mut server = start(server, threads);
                let (mut client, mut other) = (server.client(), server.client());
                for key in keys() {
                    client.check(&format!("SET kept:{key} 1"), "+OK");
                }
                arm(&mut other, "AFTER-CHANGE");
                let commands = lines.iter().map(|line| Command::line(&line.replace("{}", &format!("lost:{way}"))));
                let mut bytes = Vec::new();
                commands.for_each(|command| command.encode(&mut bytes));
                client.send_raw(&bytes);
                let exited = server.wait_for_exit(LIMIT);
                assert_eq!(exited.code, None, "{}", exited.log);
                assert!(exited.log.contains("the process ends"), "{}", exited.log);
                server.restart();
                let mut client = server.client();
                for key in keys() {
                    client.check(&format!("GET kept:{key}"), "\"1\"");
                }
                // Nothing of the transaction or the command that was cut off.
                client.check(&format!("EXISTS lost:{way} first:lost:{way} other:lost:{way} sum:lost:{way}"), "0");
                check_whole(&mut server, threads);
            }
        }
    }

    /// A task of the server's own: whether it had changed anything is not known, so that the process ends as well.
    fn a_panic_of_active_expiry_ends_the_process(server: &Server) {
        for at in ["BEFORE-CHANGE", "AFTER-CHANGE"] {
            let mut server = start(server, "2");
            let mut client = server.client();
            client.check("SET kept 1", "+OK");
            client.check("SET brief 1 PX 100", "+OK");
            arm(&mut client, at);
            let exited = server.wait_for_exit(LIMIT);
            assert!(exited.log.contains("the process ends"), "{}", exited.log);
            server.restart();
            server.client().check("GET kept", "\"1\"");
        }
    }
}
