//! A disk that fails, fills up or is slow while the server runs: what clients are told, that what was acknowledged is there
//! after the next start, and that it goes on when the disk does. `DEBUG STORAGE` makes the faults; a real Redis has
//! none, so that none of this can be tried on it.

use std::collections::BTreeMap;
use std::time::Duration;

use rustredis_testkit::contents::Content;
use rustredis_testkit::{
    Binary, Client, Command, DEADLINE_DEFAULT, Launch, Reply, Server, engines, every_engine, wait_until,
};

use crate::files::{ALWAYS, EVERYSEC, contents};

const LIMIT: Duration = Duration::from_secs(30);
const FULL: &str = "-MISCONF Errors writing to the AOF file: No space left on device";
/// More operations of a kind than a run has.
const OPERATIONS_MAX: u64 = 80;

/// What was said to each write of a run.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeMap<String, String>,
    refused: Vec<String>,
    unanswered: BTreeMap<String, String>,
    count: usize,
}

impl Ledger {
    /// Sends some SETs at once; false if the server ended.
    fn write(&mut self, client: &mut Client) -> bool {
        let pairs: Vec<(String, String)> = (0..4)
            .map(|_| {
                self.count += 1;
                (format!("key:{}", self.count), format!("value {}", self.count))
            })
            .collect();
        let mut bytes = Vec::new();
        for (key, value) in &pairs {
            Command::new(&["SET", key, value]).encode(&mut bytes);
        }
        let mut is_alive = client.try_send_raw(&bytes).is_ok();
        for (key, value) in pairs {
            match if is_alive { client.try_read().ok() } else { None } {
                Some(Reply::Simple(_)) => drop(self.acknowledged.insert(key, value)),
                Some(reply) if reply.to_string().starts_with("-MISCONF") => self.refused.push(key),
                Some(reply) => panic!("an unexpected reply: {reply}"),
                None => {
                    is_alive = false;
                    self.unanswered.insert(key, value);
                }
            }
        }
        is_alive
    }

    /// What a server must hold that was started again.
    #[track_caller]
    fn check(&self, server: &Server, what: &str) {
        let held = contents(server);
        for (key, value) in &self.acknowledged {
            let content = held.get(0, key.as_bytes()).map(|held| &held.content);
            assert_eq!(content, Some(&Content::Text(value.clone().into_bytes())), "{what}: {key}");
        }
        for key in &self.refused {
            assert!(held.get(0, key.as_bytes()).is_none(), "{what}: {key} was refused");
        }
        for ((_, key), held) in &held.keys {
            let key = String::from_utf8_lossy(key).into_owned();
            let expected = self.acknowledged.get(&key).or_else(|| self.unanswered.get(&key));
            let expected = expected.map(|value| Content::Text(value.clone().into_bytes()));
            assert_eq!(Some(&held.content), expected.as_ref(), "{what}: {key} was never sent");
        }
    }
}

/// Waits until background work is over, unless the server ended.
fn rest(server: &mut Server, client: &mut Client) -> bool {
    let mut is_alive = true;
    wait_until("background work to end", LIMIT, || {
        let Ok(Reply::Bulk(info)) = client.try_call(&["INFO", "persistence"]) else {
            is_alive = false;
            return true;
        };
        let info = String::from_utf8_lossy(&info).into_owned();
        ["rdb_bgsave_in_progress:1", "aof_rewrite_in_progress:1", "aof_rewrite_scheduled:1"]
            .iter()
            .all(|field| !info.contains(field))
    });
    is_alive && server.is_running()
}

/// Writes, rewrites and saves with one fault; false if the run had no such operation.
fn live(server: &mut Server, ledger: &mut Ledger, operation: &str, number: u64, action: &str) -> bool {
    let mut client = server.client();
    ledger.write(&mut client);
    client.check(&format!("DEBUG STORAGE {operation} {number} {action}"), "+OK");
    let mut is_alive = ledger.write(&mut client);
    for command in ["BGREWRITEAOF", "BGSAVE", "BGREWRITEAOF"] {
        // The reply may be an error, or an announcement of one.
        is_alive = is_alive
            && client.try_call(&[command]).is_ok()
            && ledger.write(&mut client)
            && rest(server, &mut client)
            && ledger.write(&mut client);
    }
    if !is_alive {
        return true;
    }
    let count = client.line(&format!("DEBUG STORAGE COUNT {operation}")).integer() as u64;
    client.check("DEBUG STORAGE RESET", "+OK");
    // It goes on: writes are taken, a rewrite and a save succeed.
    wait_until("writes to be taken again", LIMIT, || client.line("SET probe 1").to_string() == "+OK");
    ledger.acknowledged.insert("probe".to_owned(), "1".to_owned());
    let status = |field: &str| server.info(field);
    for (command, field) in
        [("BGREWRITEAOF", "aof_last_bgrewrite_status"), ("BGSAVE", "rdb_last_bgsave_status")]
    {
        wait_until("a retry to succeed", LIMIT, || {
            let reply = client.line(command).to_string();
            assert!(reply.starts_with("+Background") || reply.starts_with("-ERR"), "{command}: {reply}");
            crate::files::wait_for_background(server);
            status(field).as_deref() == Some("ok")
        });
    }
    ledger.write(&mut client);
    count >= number
}

/// The n-th operation of a kind fails, for every n that there is.
#[track_caller]
fn check_every(engine: &str, arguments: &[&str], operation: &str, action: &str) {
    for number in 1.. {
        let what = format!("{operation} {number} {action} {arguments:?}");
        let mut server = Launch::new(Binary::Rustredis(engine.to_owned())).arguments(arguments).start();
        let mut ledger = Ledger::default();
        let has_happened = live(&mut server, &mut ledger, operation, number, action);
        if arguments.contains(&"everysec") && server.is_running() {
            // What it acknowledged it may lose for two seconds; here it must not.
            crate::files::sync(&server);
        }
        if server.is_running() {
            server.kill();
        } else {
            let log = server.wait_for_exit(LIMIT).log;
            assert!(operation == "SYNC" && arguments.contains(&"always"), "{what}: it ended:\n{log}");
            assert!(!log.contains("panicked at"), "{log}");
        }
        if let Err(error) = server.try_restart() {
            panic!("{what}: {error}");
        }
        ledger.check(&server, &what);
        assert!(server.client().line("SET again 1") == Reply::ok());
        if !has_happened {
            assert!(number > 1, "{what}: there was no such operation at all");
            return;
        }
        assert!(number < OPERATIONS_MAX, "{what}: no end");
    }
}

/// A test for each kind of fault, on the engine that stands last: what writes files knows no engine.
macro_rules! every_fault {
    ($($name:ident: $arguments:ident, $operation:literal, $action:literal;)+) => {$(
        #[test]
        fn $name() {
            if Binary::Rustredis(String::new()).is_redis() {
                return;
            }
            let engine = engines().pop().expect("an engine");
            check_every(&engine, &$arguments, $operation, $action);
        }
    )+};
}

every_fault! {
    any_open_may_fail: ALWAYS, "OPEN", "fail EIO";
    any_write_may_fail: ALWAYS, "WRITE", "fail ENOSPC";
    any_write_may_be_short: ALWAYS, "WRITE", "short 7";
    any_write_may_fail_with_everysec: EVERYSEC, "WRITE", "fail EIO";
    any_sync_may_fail: ALWAYS, "SYNC", "fail EIO";
    any_sync_may_fail_with_everysec: EVERYSEC, "SYNC", "fail EIO";
    any_rename_may_fail: ALWAYS, "RENAME", "fail EACCES";
    any_removal_may_fail: ALWAYS, "REMOVE", "fail EIO";
    any_directory_may_fail: ALWAYS, "DIRECTORY", "fail EIO";
}

/// A write that is cut short and cannot be cut away either.
#[test]
fn a_write_that_cannot_be_undone_is_finished() {
    if Binary::Rustredis(String::new()).is_redis() {
        return;
    }
    let launch = Launch::new(Binary::Rustredis(engines().pop().expect("an engine"))).arguments(&ALWAYS);
    let mut server = launch.start();
    let (mut client, mut ledger) = (server.client(), Ledger::default());
    client.check("DEBUG STORAGE TRUNCATE every fail EIO", "+OK");
    client.check("DEBUG STORAGE WRITE 1 short 9", "+OK");
    assert!(ledger.write(&mut client) && ledger.write(&mut client));
    server.kill();
    server.restart();
    ledger.check(&server, "after half a write");
}

every_engine! {
    /// On a full disk writes are refused and reads are not; when there is room again, nothing is missing.
    fn a_full_disk_refuses_writes(server: &Server) {
        if server.is_redis() {
            return;
        }
        for arguments in [&EVERYSEC[..], &ALWAYS] {
            let mut full = Launch::new(server.binary().clone()).arguments(arguments).start();
            let (mut client, mut patient) = (full.client(), full.client());
            client.check("SET before 1", "+OK");
            // Else it may be this write that fails, before the patient one is there.
            client.check("WAITAOF 1 0 10000", "[1, 0]");
            client.check("DEBUG STORAGE WRITE every fail ENOSPC", "+OK");
            // With always nobody says OK to it before it is on the disk.
            patient.send(&["SET", "patient", "1"]);
            wait_until("writes to be refused", LIMIT, || client.line("DEL nothing").to_string() == FULL);
            client.check("SET refused 1", FULL);
            client.check("PING", FULL);
            client.check("GET before", "\"1\"");
            let replies = client.pipeline(&["MULTI", "SET refused 1", "EXEC"].map(Command::line));
            assert_eq!(replies[1].to_string(), FULL);
            assert_eq!(replies[2].to_string(), "-EXECABORT Transaction discarded because of previous errors.");
            assert_eq!(full.info("aof_last_write_status").as_deref(), Some("err"));
            if arguments.contains(&"always") {
                assert_eq!(patient.read_within(Duration::from_millis(30)), None);
                // A read that would show it waits as well.
                let mut reader = full.client();
                reader.send(&["GET", "patient"]);
                assert_eq!(reader.read_within(Duration::from_millis(30)), None);
            }
            client.check("DEBUG STORAGE RESET", "+OK");
            assert_eq!(patient.read().to_string(), "+OK");
            wait_until("writes to be taken", LIMIT, || client.line("SET after 1").to_string() == "+OK");
            assert_eq!(full.info("aof_last_write_status").as_deref(), Some("ok"));
            client.check("WAITAOF 1 0 10000", "[1, 0]");
            full.kill();
            full.restart();
            full.client().check("EXISTS before patient after", "3");
            full.client().check("EXISTS refused", "0");
        }
    }

    /// Replies that wait for a sync leave in the order of their requests, whatever the client does meanwhile.
    fn replies_that_wait_leave_in_order(server: &Server) {
        if server.is_redis() {
            return;
        }
        let slow = Launch::new(server.binary().clone()).arguments(&ALWAYS).start();
        let [mut admin, mut subscriber, mut greedy, mut leaving, mut silent] = [(); 5].map(|()| slow.client());
        subscriber.call(&["HELLO", "3"]);
        subscriber.check("SUBSCRIBE channel", ">[\"subscribe\", \"channel\", 1]");
        admin.check("DEBUG STORAGE SYNC every delay 300", "+OK");
        subscriber.send(&["SET", "a", "1"]);
        assert_eq!(subscriber.read_within(Duration::from_millis(50)), None);
        // More than a socket takes at once, and all that while the sync runs.
        let value = "x".repeat(8 << 20);
        let mut bytes = Vec::new();
        for words in [&["SET", "big", &value][..], &["GET", "big"], &["PING"]] {
            Command::new(words).encode(&mut bytes);
        }
        let sender = std::thread::spawn(move || {
            greedy.send_raw(&bytes);
            greedy
        });
        // A server that keeps it until it gives up takes ten seconds.
        leaving.set_deadline(Duration::from_secs(5));
        leaving.send(&["SET", "b", "1"]);
        leaving.send(&["QUIT"]);
        silent.send(&["SET", "c", "1"]);
        silent.shut_down_writing();
        admin.send(&["PUBLISH", "channel", "message"]);
        subscriber.send(&["GET", "a"]);
        subscriber.send(&["PING"]);
        assert_eq!(subscriber.read().to_string(), "+OK");
        let mut rest: Vec<String> = (0..3).map(|_| subscriber.read().to_string()).collect();
        rest.retain(|reply| !reply.starts_with('>'));
        assert_eq!(rest, ["\"1\"", "+PONG"]);
        assert_eq!(admin.read().to_string(), "1");
        let texts = |client: &mut Client| -> Vec<String> {
            client.read_to_close().iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts(&mut leaving), ["+OK", "+OK"]);
        assert_eq!(texts(&mut silent), ["+OK"]);
        let mut greedy = sender.join().unwrap();
        assert_eq!(greedy.read().to_string(), "+OK");
        assert!(matches!(greedy.read(), Reply::Bulk(bytes) if bytes == value.as_bytes()));
        assert_eq!(greedy.read().to_string(), "+PONG");
    }

    /// A client that is closed while its reply waits is gone at once, and nobody else loses a reply by that.
    fn a_client_is_closed_while_its_reply_waits(server: &Server) {
        if server.is_redis() {
            return;
        }
        let slow = Launch::new(server.binary().clone()).arguments(&ALWAYS).start();
        let [mut admin, mut closed, mut patient] = [(); 3].map(|()| slow.client());
        let id = closed.line("CLIENT ID").to_string();
        admin.check("DEBUG STORAGE SYNC every delay 1000", "+OK");
        closed.send(&["SET", "closed", "1"]);
        patient.send(&["SET", "patient", "1"]);
        assert_eq!(closed.read_within(Duration::from_millis(100)), None);
        admin.check(&format!("CLIENT KILL ID {id}"), "1");
        assert!(closed.read_to_close().is_empty(), "it was answered before, or after");
        assert_eq!(patient.read().to_string(), "+OK");
        admin.check("GET patient", "\"1\"");
    }

    /// With always, a sync that fails ends the server: what the system made of the pages nobody knows.
    fn a_failed_sync_ends_it_with_always(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut failing = Launch::new(server.binary().clone()).arguments(&ALWAYS).start();
        let mut client = failing.client();
        client.check("SET before 1", "+OK");
        client.check("DEBUG STORAGE SYNC 1 fail EIO", "+OK");
        client.send(&["SET", "unknown", "1"]);
        assert!(!matches!(client.try_read(), Ok(Reply::Simple(_))), "nothing was acknowledged");
        let exited = failing.wait_for_exit(LIMIT);
        assert_eq!(exited.code, Some(1), "{}", exited.log);
        assert!(exited.log.contains("nput/output error"), "{}", exited.log);
        failing.restart();
        failing.client().check("GET before", "\"1\"");
    }

    /// With everysec it is told to those who write, until one succeeds.
    fn a_failed_sync_refuses_writes_with_everysec(server: &Server) {
        if server.is_redis() {
            return;
        }
        let failing = Launch::new(server.binary().clone()).arguments(&EVERYSEC).start();
        let mut client = failing.client();
        client.check("DEBUG STORAGE SYNC every fail EIO", "+OK");
        let refusal = "-MISCONF Errors writing to the AOF file: Input/output error";
        wait_until("writes to be refused", LIMIT, || client.line("SET a 1").to_string() == refusal);
        client.check("DEBUG STORAGE RESET", "+OK");
        wait_until("writes to be taken", LIMIT, || client.line("SET b 1").to_string() == "+OK");
        client.check("WAITAOF 1 0 10000", "[1, 0]");
    }

    /// A slow disk is seen in the latency monitor, under the names that Redis has for it.
    fn a_slow_disk_shows_in_the_latency_monitor(server: &Server) {
        if server.is_redis() {
            return;
        }
        let slow = Launch::new(server.binary().clone())
            .arguments(&ALWAYS)
            .arguments(&["--latency-monitor-threshold", "400"])
            .start();
        let mut client = slow.client();
        client.check("SET a 1", "+OK");
        client.check("LATENCY LATEST", "[]");
        client.check("DEBUG STORAGE SYNC 1 delay 500", "+OK");
        client.check("SET a 2", "+OK");
        let events = |client: &mut Client| -> Vec<String> {
            let Reply::Array(events) = client.line("LATENCY LATEST") else { panic!("no array") };
            let name = |event: &Reply| match event {
                Reply::Array(fields) => fields[0].text(),
                _ => panic!("no array: {event}"),
            };
            events.iter().map(name).collect()
        };
        assert_eq!(events(&mut client), ["aof-fsync-always"]);
        client.check("LATENCY RESET", "1");
        client.check("DEBUG STORAGE RESET", "+OK");
        client.check("DEBUG STORAGE WRITE 1 delay 500", "+OK");
        client.check("SET a 3", "+OK");
        assert_eq!(events(&mut client), ["aof-write", "aof-write-alone"]);
    }

    /// With everysec nobody waits for a slow disk, however slow.
    fn a_slow_sync_blocks_nobody_with_everysec(server: &Server) {
        if server.is_redis() {
            return;
        }
        let slow = Launch::new(server.binary().clone()).arguments(&EVERYSEC).start();
        let mut client = slow.client();
        client.check("DEBUG STORAGE SYNC 1 delay 6000", "+OK");
        client.check("SET a 1", "+OK");
        let is_syncing = || slow.info("aof_pending_bio_fsync").as_deref() == Some("1");
        wait_until("a sync", DEADLINE_DEFAULT, is_syncing);
        // Redis would block here once two seconds have passed.
        wait_until("the next sync to be put off, and once more", DEADLINE_DEFAULT, || {
            assert_eq!(client.line("SET a 2").to_string(), "+OK");
            slow.info("aof_delayed_fsync").is_some_and(|count| count.parse::<u64>().unwrap() >= 2)
        });
        assert!(is_syncing(), "the sync was over before");
    }
}
