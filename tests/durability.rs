//! What durability promises: acknowledged is recovered, also from an end that somebody asked for; WAITAOF tells no more than the
//! disk has; a sync that failed is believed by nobody; files belong to the moment that they are of.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use rustredis_testkit::{
    Client, Command, DEADLINE_DEFAULT, Directory, Launch, Reply, Server, every_engine, process, wait_until,
};

use crate::files::{ALWAYS, EVERYSEC, hurry, names, second, slow_down, sync, wait_for_background};

const LIMIT: Duration = Duration::from_secs(30);
/// Connections that count while the server is told to end, and commands that each sends at once.
const COUNTERS: usize = 6;
const PIPELINE: usize = 16;
/// Arguments of a server that has nothing but its RDB file.
const SNAPSHOTS: [&str; 6] =
    ["--save", "3600 1", "--stop-writes-on-bgsave-error", "no", "--enable-debug-command", "yes"];
const SHUTDOWN_FAILED: &str = "-ERR Errors trying to SHUTDOWN. Check logs.";

/// How a server is told to end.
const SIGTERM: &str = "";

/// Counts in keys of its own until the connection breaks; the number that was acknowledged last.
fn count(server: &Server, connection: usize, has_begun: &AtomicBool) -> i64 {
    let mut client = server.client();
    let key = format!("count:{connection}");
    let mut bytes = Vec::new();
    (0..PIPELINE).for_each(|_| Command::new(&["INCR", &key]).encode(&mut bytes));
    let mut acknowledged = 0;
    while client.try_send_raw(&bytes).is_ok() {
        for _ in 0..PIPELINE {
            match client.try_read() {
                Ok(Reply::Integer(number)) => acknowledged = number,
                Ok(other) => panic!("an unexpected reply: {other}"),
                Err(_) => return acknowledged,
            }
        }
        has_begun.store(true, SeqCst);
    }
    acknowledged
}

/// Ends a server under load as it is told to, and looks whether all that it acknowledged is there afterwards.
#[track_caller]
fn check_end(server: &Server, arguments: &[&str], how: &str) {
    let mut ending = Launch::new(server.binary().clone()).arguments(arguments).start();
    let has_begun = [const { AtomicBool::new(false) }; COUNTERS];
    let acknowledged: Vec<i64> = std::thread::scope(|scope| {
        let ending = &ending;
        let counters: Vec<_> = has_begun
            .iter()
            .enumerate()
            .map(|(connection, has_begun)| scope.spawn(move || count(ending, connection, has_begun)))
            .collect();
        wait_until("all to count", LIMIT, || has_begun.iter().all(|has_begun| has_begun.load(SeqCst)));
        if how == SIGTERM {
            process::terminate(ending.pid());
        } else {
            let mut client = ending.client();
            client.send(&Command::line(how).arguments);
            assert_eq!(client.read_to_close(), [], "{how} is answered by the end alone");
        }
        counters.into_iter().map(|counter| counter.join().unwrap()).collect()
    });
    let exited = ending.wait_for_exit(LIMIT);
    assert_eq!(exited.code, Some(0), "{how}: {}", exited.log);
    ending.restart();
    let mut client = ending.client();
    for (connection, acknowledged) in acknowledged.into_iter().enumerate() {
        let kept = client.line(&format!("INCRBY count:{connection} 0")).integer();
        assert!(kept >= acknowledged, "{how} {arguments:?}: {kept} are left of {acknowledged} acknowledged");
    }
}

/// The places of the journal: the last, and the last that is durable.
fn places(server: &Server) -> (u64, u64) {
    let place = |field| server.info(field).unwrap().parse().unwrap();
    (place("journal_last_place"), place("journal_durable_place"))
}

fn launch(server: &Server, arguments: &[&str]) -> Server {
    Launch::new(server.binary().clone()).arguments(arguments).start()
}

/// Waits until writes are refused for the append-only file.
#[track_caller]
fn wait_for_refusal(client: &mut Client) {
    wait_until("writes to be refused", LIMIT, || client.line("DEL none").to_string().starts_with("-MISCONF"));
}

#[track_caller]
fn wait_for_acceptance(client: &mut Client) {
    wait_until("writes to be taken", LIMIT, || client.line("DEL none").to_string() == "0");
}

fn files_of_saves(directory: &Path) -> Vec<String> {
    names(directory).into_iter().filter(|name| name.ends_with(".rdb")).collect()
}

every_engine! {
    /// From the moment of the last save on nothing more is acknowledged.
    fn the_end_keeps_what_was_acknowledged(server: &Server) {
        for how in [SIGTERM, "SHUTDOWN", "SHUTDOWN SAVE"] {
            check_end(server, &SNAPSHOTS, how);
        }
    }

    fn the_end_keeps_what_was_acknowledged_with_every_policy(server: &Server) {
        for (policy, how) in
            [("always", SIGTERM), ("everysec", "SHUTDOWN NOSAVE"), ("no", "SHUTDOWN NOW"), ("no", SIGTERM)]
        {
            check_end(server, &["--appendonly", "yes", "--appendfsync", policy], how);
        }
    }

    /// An end that fails leaves everything as it was, for everybody who asked.
    fn an_end_that_fails_lets_the_server_go_on(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut failing = launch(server, &SNAPSHOTS);
        let [mut client, mut other, mut writer] = [(); 3].map(|()| failing.client());
        client.check("SHUTDOWN ABORT", "-ERR No shutdown in progress.");
        client.check("SHUTDOWN ABORT NOW", "-ERR syntax error");
        client.check("SHUTDOWN SAVE NOSAVE", "-ERR syntax error");
        client.check("SET a 1", "+OK");
        client.check("DEBUG STORAGE OPEN every delay 200", "+OK");
        client.check("DEBUG STORAGE OPEN every fail EIO", "+OK");
        client.send(&["SHUTDOWN", "SAVE"]);
        other.send(&["SHUTDOWN"]);
        assert_eq!(client.read().to_string(), SHUTDOWN_FAILED);
        assert_eq!(other.read().to_string(), SHUTDOWN_FAILED);
        writer.check("SET a 2", "+OK");
        client.check("SHUTDOWN ABORT", "-ERR No shutdown in progress.");
        let failures = |server: &Server| server.log().matches("can't exit").count();
        let before = failures(&failing);
        process::terminate(failing.pid());
        wait_until("the signal's attempt to fail", LIMIT, || failures(&failing) > before);
        writer.check("SET a 3", "+OK");
        client.check("DEBUG STORAGE RESET", "+OK");
        client.send(&["SHUTDOWN", "SAVE", "NOW", "FORCE"]);
        assert_eq!(failing.wait_for_exit(LIMIT).code, Some(0));
        failing.restart();
        failing.client().check("GET a", "\"3\"");
    }

    /// Whatever the disk says.
    fn an_end_may_be_forced(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut failing = launch(server, &SNAPSHOTS);
        let mut client = failing.client();
        client.check("SET a 1", "+OK");
        client.check("DEBUG STORAGE OPEN every fail EIO", "+OK");
        client.send(&["SHUTDOWN", "FORCE"]);
        assert_eq!(client.read_to_close(), []);
        assert_eq!(failing.wait_for_exit(LIMIT).code, Some(0));
    }

    /// A signal that comes while an end fails asks for the next one.
    fn a_signal_during_an_end_that_fails_is_not_lost(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut failing = launch(server, &SNAPSHOTS);
        let mut client = failing.client();
        client.check("SET a 1", "+OK");
        // Only the first save fails, and takes its time for it.
        client.check("DEBUG STORAGE SYNC 1 delay 300", "+OK");
        client.check("DEBUG STORAGE RENAME 1 fail EIO", "+OK");
        client.send(&["SHUTDOWN", "SAVE"]);
        failing.wait_for_log("final RDB snapshot");
        process::terminate(failing.pid());
        // The next attempt may succeed before it is told of the first.
        let replies = client.read_to_close();
        assert!(replies.iter().all(|reply| reply.to_string() == SHUTDOWN_FAILED), "{replies:?}");
        failing.wait_for_log("can't exit");
        assert_eq!(failing.wait_for_exit(LIMIT).code, Some(0));
        failing.restart();
        failing.client().check("GET a", "\"1\"");
    }

    /// As long as a save under way is waited for, SHUTDOWN ABORT takes the end back.
    fn an_end_is_given_up(server: &Server) {
        if server.is_redis() {
            return;
        }
        let ending = launch(server, &SNAPSHOTS);
        let [mut client, mut admin] = [(); 2].map(|()| ending.client());
        admin.check("SET a 1", "+OK");
        admin.check("DEBUG STORAGE SYNC 1 delay 1000", "+OK");
        admin.check("BGSAVE", "+Background saving started");
        wait_until("it to sync", LIMIT, || admin.line("DEBUG STORAGE COUNT SYNC").integer() == 1);
        client.send(&["SHUTDOWN"]);
        ending.wait_for_log("User requested shutdown");
        admin.check("SHUTDOWN ABORT", "+OK");
        assert_eq!(client.read().to_string(), SHUTDOWN_FAILED);
        admin.check("SET a 2", "+OK");
    }

    /// While it loads there is nothing to save, and half of it must not take the file's place.
    fn an_end_while_it_loads_saves_nothing(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut loading = launch(server, &SNAPSHOTS);
        let mut client = loading.client();
        client.check("DEBUG POPULATE 100000", "+OK");
        client.check("SAVE", "+OK");
        loading.kill();
        let before = std::fs::read(loading.directory().join("dump.rdb")).unwrap();
        let mut again = Launch::new(server.binary().clone())
            .arguments(&SNAPSHOTS)
            .arguments(&["--dbfilename", "dump.rdb"])
            .data(loading.directory())
            .start_loading();
        again.client().send(&["SHUTDOWN", "SAVE"]);
        assert_eq!(again.wait_for_exit(LIMIT).code, Some(0));
        let after = std::fs::read(loading.directory().join("dump.rdb")).unwrap();
        // If it was faster than we were, it has saved the same keys.
        if again.log().contains("nothing is saved") {
            assert!(before == after, "it was replaced");
        }
        loading.restart();
        loading.client().check("DBSIZE", "100000");
    }

    /// A save that is under way takes nothing back from the last one, and a pause delays no signal.
    fn the_end_comes_while_it_saves_and_is_paused(server: &Server) {
        let mut saving = launch(server, &SNAPSHOTS);
        let mut client = saving.client();
        (0..200).for_each(|number| client.check(&format!("SET key:{number} x"), "+OK"));
        if !server.is_redis() {
            slow_down(&mut client, false);
        }
        client.check("BGSAVE", "+Background saving started");
        client.check("SET late 1", "+OK");
        client.check("CLIENT PAUSE 60000 WRITE", "+OK");
        process::terminate(saving.pid());
        assert_eq!(saving.wait_for_exit(LIMIT).code, Some(0));
        assert_eq!(files_of_saves(saving.directory()), ["dump.rdb"]);
        saving.restart();
        saving.client().check("EXISTS key:0 key:199 late", "3");
    }

    /// FLUSHALL is in the RDB file when it is answered.
    fn what_was_flushed_stays_away(server: &Server) {
        for flush in [&["FLUSHALL"][..], &["FLUSHALL ASYNC"], &["MULTI", "SET b 1", "FLUSHALL", "EXEC"]] {
            let mut flushed = launch(server, &SNAPSHOTS);
            let mut client = flushed.client();
            client.check("SET a 1", "+OK");
            client.check("SAVE", "+OK");
            client.pipeline(&flush.iter().map(|line| Command::line(line)).collect::<Vec<_>>());
            assert_eq!(flushed.info("rdb_changes_since_last_save").as_deref(), Some("0"), "{flush:?}");
            client.check("SET later 1", "+OK");
            flushed.kill();
            assert_eq!(files_of_saves(flushed.directory()), ["dump.rdb"]);
            flushed.restart();
            flushed.client().check("DBSIZE", "0");
        }
    }

    /// FLUSHDB is no FLUSHALL, and without save points nobody wants a file.
    fn only_flushall_with_save_points_writes_a_file(server: &Server) {
        let saved = launch(server, &SNAPSHOTS);
        let mut client = saved.client();
        client.check("SET a 1", "+OK");
        client.check("FLUSHDB", "+OK");
        assert_eq!(files_of_saves(saved.directory()), [""; 0]);
        client.check("CONFIG SET save ''", "+OK");
        client.check("FLUSHALL", "+OK");
        assert_eq!(files_of_saves(saved.directory()), [""; 0]);
    }

    /// A FLUSHALL that is replayed empties no file.
    fn a_replayed_flush_writes_no_file(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut replayed = Launch::new(server.binary().clone()).arguments(&EVERYSEC).start();
        let mut client = replayed.client();
        let lines = ["SET a 1", "FLUSHALL", "SET b 1"].map(Command::line);
        client.pipeline(&lines);
        sync(&replayed);
        client.check("CONFIG SET save '3600 1'", "+OK");
        client.check("DEBUG LOADAOF", "+OK");
        client.check("SET c 1", "+OK");
        client.check("EXISTS a b c", "2");
        assert_eq!(files_of_saves(replayed.directory()), [""; 0]);
        replayed.kill();
        replayed.set_launch(replayed.launch().clone().arguments(&["--save", "3600 1"]));
        replayed.restart();
        assert_eq!(files_of_saves(replayed.directory()), [""; 0]);
    }

    /// A save that began before FLUSHALL does not end after it.
    fn a_flush_ends_a_save(server: &Server) {
        let saving = launch(server, &SNAPSHOTS);
        let mut client = saving.client();
        (0..200).for_each(|number| client.check(&format!("SET key:{number} x"), "+OK"));
        slow_down(&mut client, server.is_redis());
        client.check("BGSAVE", "+Background saving started");
        client.check("FLUSHALL", "+OK");
        hurry(&mut client, server.is_redis());
        wait_for_background(&saving);
        client.check("SET later 1", "+OK");
        let copy = Directory::copy_of(saving.directory());
        second(server, copy.path(), &SNAPSHOTS).client().check("DBSIZE", "0");
        assert_eq!(saving.info("rdb_last_bgsave_status").as_deref(), Some("ok"));
        client.check("BGSAVE", "+Background saving started");
        wait_for_background(&saving);
        let copy = Directory::copy_of(saving.directory());
        second(server, copy.path(), &SNAPSHOTS).client().check("DBSIZE", "1");
    }

    /// After each WAITAOF that says so, all that was done is on the disk, also where the write served somebody who waited.
    fn waitaof_tells_what_the_disk_has(server: &Server) {
        if server.is_redis() {
            return;
        }
        let waited = launch(server, &EVERYSEC);
        let (mut client, mut consumer) = (waited.client(), waited.client());
        for (command, consume) in [
            ("RPUSH queue 1", "BLPOP other:1 queue other:2 0"),
            ("RPUSH queue 1", "BLMOVE queue done LEFT RIGHT 0"),
        ] {
            // So that the next sync is a second away.
            client.check("SET a 1", "+OK");
            client.check("WAITAOF 1 0 0", "[1, 0]");
            consumer.send(&Command::line(consume).arguments);
            wait_until("the consumer to wait", DEADLINE_DEFAULT, || {
                waited.info("blocked_clients").as_deref() == Some("1")
            });
            let replies = client.pipeline(&[Command::line(command), Command::line("WAITAOF 1 0 0")]);
            let (last, durable) = places(&waited);
            assert_eq!(replies[1].to_string(), "[1, 0]");
            assert!(durable >= last, "{command}: {durable} of {last} places are durable");
            consumer.read();
        }
    }

    /// CLIENT UNBLOCK, CLIENT KILL and a hang-up end the waits for the disk and for replicas.
    fn waits_for_durability_are_ended_from_outside(server: &Server) {
        let waits = if server.is_redis() { &["WAIT 1 0"][..] } else { &["WAITAOF 1 0 0", "WAIT 1 0"] };
        let waited = launch(server, &EVERYSEC);
        let mut admin = waited.client();
        if !server.is_redis() {
            // A sync that does not end.
            admin.check("DEBUG STORAGE SYNC every fail EIO", "+OK");
            admin.check("DEBUG STORAGE OPEN every fail EIO", "+OK");
        }
        for wait in waits {
            let begin = |admin: &mut Client| {
                let mut client = waited.client();
                let id = client.line("CLIENT ID").to_string();
                let _ = client.line("SET a 1");
                client.send(&Command::line(wait).arguments);
                wait_until("it to wait", DEADLINE_DEFAULT, || {
                    let list = admin.line(&format!("CLIENT LIST ID {id}")).text();
                    list.contains(" flags=b ")
                });
                (client, id)
            };
            let none = if *wait == "WAIT 1 0" { "0" } else { "[0, 0]" };
            let unblocked = "-UNBLOCKED client unblocked via CLIENT UNBLOCK";
            for (reason, reply) in [("", none), (" TIMEOUT", none), (" ERROR", unblocked)] {
                let (mut client, id) = begin(&mut admin);
                admin.check(&format!("CLIENT UNBLOCK {id}{reason}"), "1");
                assert_eq!(client.read().to_string(), reply, "{wait}{reason}");
                admin.check(&format!("CLIENT UNBLOCK {id}"), "0");
                client.check("ECHO still-there", "\"still-there\"");
            }
            let (mut client, id) = begin(&mut admin);
            admin.check(&format!("CLIENT KILL ID {id}"), "1");
            assert_eq!(client.read_to_close(), []);
            let (client, id) = begin(&mut admin);
            drop(client);
            wait_until("it to be gone", DEADLINE_DEFAULT, || {
                !admin.line("CLIENT LIST").text().contains(&format!("id={id} "))
            });
        }
        if !server.is_redis() {
            // Else it could not end.
            admin.check("DEBUG STORAGE RESET", "+OK");
            wait_for_acceptance(&mut admin);
        }
    }

    /// The system may forget the pages of a failed sync and call the next one a success. Nobody believes that, until a new
    /// base holds what may be lost.
    fn a_failed_sync_is_not_believed_later(server: &Server) {
        if server.is_redis() {
            return;
        }
        let failing = launch(server, &EVERYSEC);
        let mut client = failing.client();
        sync(&failing);
        // One sync fails, and no base can be made.
        client.check("DEBUG STORAGE OPEN every fail EIO", "+OK");
        client.check("DEBUG STORAGE SYNC 1 fail EIO", "+OK");
        client.check("SET a 1", "+OK");
        wait_for_refusal(&mut client);
        let (_, durable) = places(&failing);
        client.check("WAITAOF 1 0 1500", "[0, 0]");
        client.check("PING", "-MISCONF Errors writing to the AOF file: Input/output error");
        assert_eq!(places(&failing).1, durable, "it has advanced");
        assert_eq!(failing.info("aof_last_write_status").as_deref(), Some("err"));
        client.check("DEBUG STORAGE RESET", "+OK");
        wait_for_acceptance(&mut client);
        assert_eq!(failing.info("aof_last_bgrewrite_status").as_deref(), Some("ok"), "it was mended by a rewrite");
        client.check("WAITAOF 1 0 0", "[1, 0]");
        let (last, durable) = places(&failing);
        assert!(durable >= last, "{durable} of {last}");
    }

    /// What mends it: a rewrite that somebody asks for, or turning the file off and on.
    fn a_failed_sync_is_mended_by_a_new_base(server: &Server) {
        if server.is_redis() {
            return;
        }
        for mending in [&["BGREWRITEAOF"][..], &["CONFIG SET appendonly no", "CONFIG SET appendonly yes"]] {
            let mut failing = launch(server, &EVERYSEC);
            let mut client = failing.client();
            sync(&failing);
            client.check("DEBUG STORAGE SYNC 1 fail EIO", "+OK");
            client.check("SET a 1", "+OK");
            wait_until("a sync to fail", LIMIT, || {
                client.line("DEBUG STORAGE COUNT SYNC").integer() > 0
            });
            for command in mending {
                // It may be mending itself already.
                let reply = client.line(command).to_string();
                assert!(reply.starts_with('+') || reply.contains("already in progress"), "{reply}");
            }
            wait_until("a base", LIMIT, || failing.info("aof_pending_rewrite").as_deref() == Some("0"));
            wait_for_acceptance(&mut client);
            client.check("SET b 1", "+OK");
            client.check("WAITAOF 1 0 0", "[1, 0]");
            failing.kill();
            failing.restart();
            failing.client().check("EXISTS a b", "2");
        }
    }

    /// A save that has begun is not moved by another directory.
    fn a_save_ends_where_it_began(server: &Server) {
        if server.is_redis() {
            return;
        }
        // It outlives the server, whose last save goes there.
        let other = Directory::new();
        let saving = Launch::new(server.binary().clone())
            .arguments(&SNAPSHOTS)
            .arguments(&["--enable-protected-configs", "yes"])
            .start();
        let mut client = saving.client();
        (0..100).for_each(|number| client.check(&format!("SET key:{number} x"), "+OK"));
        slow_down(&mut client, false);
        client.check("BGSAVE", "+Background saving started");
        client.check(&format!("CONFIG SET dir {}", other.path().display()), "+OK");
        client.check("CONFIG SET dbfilename other.rdb", "+OK");
        hurry(&mut client, false);
        wait_for_background(&saving);
        assert_eq!(saving.info("rdb_last_bgsave_status").as_deref(), Some("ok"));
        assert_eq!(files_of_saves(saving.directory()), ["dump.rdb"]);
        assert_eq!(names(other.path()), [""; 0]);
        client.check("SAVE", "+OK");
        assert_eq!(names(other.path()), ["other.rdb"]);
    }

    /// What killed servers were writing is removed at the start, and nothing else.
    fn what_killed_servers_left_is_removed(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut killed = launch(server, &EVERYSEC);
        killed.client().check("SET a 1", "+OK");
        sync(&killed);
        killed.kill();
        let (dead, alive) = (i32::MAX, std::process::id());
        let directory = killed.directory().to_path_buf();
        let files = directory.join("appendonlydir");
        let kept = [format!("temp-{alive}.rdb"), format!("temp-{alive}-1.rdb"), "temp-mine.rdb".to_owned()];
        let left = [format!("temp-{dead}.rdb"), format!("temp-{dead}-3.rdb")];
        kept.iter().chain(&left).for_each(|name| std::fs::write(directory.join(name), "x").unwrap());
        let before = names(&files);
        std::fs::write(files.join("temp-rewriteaof-bg-77.aof"), "x").unwrap();
        std::fs::write(files.join("appendonly.aof.9.incr.aof"), "").unwrap();
        // What has something in it may have been lost by the manifest.
        let unknown = ["another.aof.9.incr.aof", "appendonly.aof.8.incr.aof", "appendonly.aof.9.base.rdb"];
        unknown.iter().for_each(|name| std::fs::write(files.join(name), "x").unwrap());
        killed.restart();
        killed.wait_for_log("appendonly.aof.9.base.rdb is in no manifest");
        killed.client().check("GET a", "\"1\"");
        let mut expected = before;
        expected.extend(unknown.map(str::to_owned));
        expected.sort();
        assert_eq!(names(&files), expected);
        let mut kept = kept.to_vec();
        kept.sort();
        assert_eq!(files_of_saves(&directory), kept);
    }

    /// Without a manifest the files may be all that there is.
    fn nothing_is_removed_without_a_manifest(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut killed = launch(server, &EVERYSEC);
        killed.client().check("SET a 1", "+OK");
        sync(&killed);
        killed.kill();
        let files = killed.directory().join("appendonlydir");
        let before = names(&files);
        std::fs::remove_file(files.join("appendonly.aof.manifest")).unwrap();
        killed.restart();
        let after = names(&files);
        assert!(before.iter().all(|name| after.contains(name)), "{before:?} {after:?}");
    }

    /// Who waits for a full disk is closed after a while: what became of the write nobody knows.
    fn a_full_disk_closes_who_waits_too_long(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut full = Launch::new(server.binary().clone())
            .arguments(&ALWAYS)
            .arguments(&["--aof-write-timeout", "300"])
            .start();
        let [mut client, mut waiting, mut reader] = [(); 3].map(|()| full.client());
        client.check("SET before 1", "+OK");
        client.check("DEBUG STORAGE WRITE every fail ENOSPC", "+OK");
        waiting.send(&["SET", "unknown", "1"]);
        wait_for_refusal(&mut client);
        reader.send(&["GET", "unknown"]);
        assert_eq!(waiting.read_to_close(), [], "nothing was acknowledged");
        assert_eq!(reader.read_to_close(), [], "nothing was shown");
        client.check("GET before", "\"1\"");
        client.check("CONFIG GET aof-write-timeout", "[\"aof-write-timeout\", \"300\"]");
        assert_eq!(full.info("aof_write_timeout_disconnections").as_deref(), Some("2"));
        full.wait_for_log("without a reply");
        client.check("DEBUG STORAGE RESET", "+OK");
        wait_for_acceptance(&mut client);
        client.check("SET after 1", "+OK");
        full.kill();
        full.restart();
        full.client().check("EXISTS before unknown after", "3");
    }
}
