//! The append-only file: what is in it, when it is there, how it is rewritten, and what INFO and the clients see of it.
//! What is wrong with a file is `damage.rs`'s, what the order promises `order.rs`'s.

use std::fs;
use std::time::Duration;

use rustredis_testkit::contents::{Contents, Fields};
use rustredis_testkit::{
    Command, DEADLINE_DEFAULT, Directory, Launch, Reply, Server, every_engine, wait_until,
};

use crate::files::{
    ALWAYS, EVERYSEC, aof_directory, check_replay, contents, hurry, names, newest_increment, second,
    slow_down, sync, wait_for_background,
};

/// The text of the newest increment.
fn increment(server: &Server) -> String {
    sync(server);
    String::from_utf8_lossy(&fs::read(newest_increment(&aof_directory(server))).unwrap()).into_owned()
}

/// True if the text holds this command as it is written to the file.
fn holds(text: &str, line: &str) -> bool {
    let mut bytes = Vec::new();
    Command::line(line).encode(&mut bytes);
    text.to_ascii_lowercase().contains(&String::from_utf8_lossy(&bytes).to_ascii_lowercase())
}

fn info(server: &Server, field: &str) -> i64 {
    let value = server.info(field).unwrap_or_else(|| panic!("INFO has no {field}"));
    value.parse().unwrap_or_else(|_| panic!("{field}:{value}"))
}

/// The times at which keys, and fields if they can, expire.
fn set_times(server: &Server) {
    let mut client = server.client();
    for line in [
        "SET set:ex v EX 1000",
        "SET set:px v PX 1000000",
        "SET set:exat v EXAT 4102444800",
        "SETEX setex 2000 v",
        "PSETEX psetex 2000000 v",
        "SET expire v",
        "EXPIRE expire 1000",
        "RPUSH pexpire a b",
        "PEXPIRE pexpire 1000000",
        "SET getex v",
        "GETEX getex EX 500",
        "SET kept v EX 700",
        "SET kept w KEEPTTL",
        "INCR kept:n",
        "EXPIRE kept:n 800",
        "INCR kept:n",
        "SET copied v EX 900",
        "COPY copied copy",
        "RENAME copied renamed",
        "SET persisted v EX 100",
        "PERSIST persisted",
        "SET restored v",
    ] {
        assert!(!client.line(line).is_error(), "{line}");
    }
    let payload = crate::files::bytes(&client.line("DUMP restored"));
    client.call(&[b"RESTORE".as_slice(), b"restored", b"600000", &payload, b"REPLACE"]);
    if !server.is_redis() {
        client.line("HSET hash f v g w h x");
        client.check("HEXPIRE hash 1000 FIELDS 1 f", "[1]");
        client.check("HPEXPIREAT hash 4102444800123 FIELDS 1 g", "[1]");
    }
}

every_engine! {
    /// A time to live that was relative when it was set does not start again.
    fn times_to_live_go_on(server: &Server) {
        let mut server = Launch::new(server.binary().clone()).arguments(&ALWAYS).start();
        set_times(&server);
        let before = contents(&server);
        for rewrites in [false, true] {
            if rewrites {
                server.client().line("BGREWRITEAOF");
                wait_for_background(&server);
            }
            server.kill();
            server.restart();
            contents(&server).assert_same(&before, "times after and before the restart");
        }
        assert!(before.keys.values().filter(|held| held.expires_at_ms.is_some()).count() >= 12);
    }

    /// What is written is what was done, not what was asked for.
    fn effects_are_written(server: &Server)
        with ["--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"] {
        let mut client = server.client();
        client.check("SET relative v EX 1000", "+OK");
        let time = client.line("PEXPIRETIME relative").integer();
        client.check("SADD set a", "1");
        client.check("SPOP set", "\"a\"");
        client.check("INCRBYFLOAT float 0.5", "\"0.5\"");
        client.check("SET brief v PX 1", "+OK");
        wait_until("a key to expire", DEADLINE_DEFAULT, || server.client().line("EXISTS brief").integer() == 0);
        client.check("SELECT 3", "+OK");
        let mut waiter = server.client();
        waiter.line("SELECT 3");
        waiter.send(&["BLPOP", "list", "0"]);
        wait_until("a waiter", DEADLINE_DEFAULT, || server.info("blocked_clients").as_deref() == Some("1"));
        client.check("RPUSH list a b", "2");
        waiter.read();
        client.pipeline(&["MULTI", "SET one 1", "SET two 2", "EXEC"].map(Command::line));
        // Nothing is done, nothing is written.
        for line in ["DEL nothing", "SET one 3 NX", "LPOP nothing", "EXPIRE nothing 5", "MULTI", "EXEC"] {
            client.line(line);
        }
        // A read may have found it already.
        wait_until("the expired key in the file", DEADLINE_DEFAULT, || {
            let text = increment(server);
            holds(&text, "DEL brief") || holds(&text, "UNLINK brief")
        });
        let text = increment(server);
        for line in [
            &format!("SET relative v PXAT {time}"), "SELECT 3", "RPUSH list a b", "LPOP list", "MULTI", "SET one 1",
            "SET two 2", "EXEC",
        ] {
            assert!(holds(&text, line), "no {line} in\n{text}");
        }
        assert!(holds(&text, "SREM set a") || holds(&text, "DEL set") || holds(&text, "SPOP set 1"), "{text}");
        assert!(holds(&text, "SET float 0.5 KEEPTTL"), "{text}");
        for line in ["SPOP set", "BLPOP list 0", "DEL nothing", "SET one 3 NX", "INCRBYFLOAT float 0.5"] {
            assert!(!holds(&text, line), "{line} in\n{text}");
        }
        assert_eq!(text.matches("\r\nMULTI\r\n").count(), 1, "{text}");
        check_replay(server, &ALWAYS);
    }

    /// The files are Redis's: names, manifest, base and increments, and what is old is removed.
    fn files_have_redis_s_names(server: &Server) with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        let directory = aof_directory(server);
        let manifest = || fs::read_to_string(directory.join("appendonly.aof.manifest")).unwrap();
        assert_eq!(names(&directory), ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof", "appendonly.aof.manifest"]);
        assert_eq!(manifest(), "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n");
        server.client().line("SET a 1");
        server.client().check("BGREWRITEAOF", "+Background append only file rewriting started");
        wait_for_background(server);
        let after = ["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"];
        wait_until("old files to be gone", DEADLINE_DEFAULT, || names(&directory) == after);
        assert_eq!(manifest(), "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.2.incr.aof seq 2 type i\n");
        assert!(fs::read(directory.join(after[0])).unwrap().starts_with(b"REDIS0010"), "a base that 7.0 can load");
        server.client().check("CONFIG SET aof-use-rdb-preamble no", "+OK");
        server.client().line("BGREWRITEAOF");
        wait_for_background(server);
        wait_until("a base of commands", DEADLINE_DEFAULT, || {
            names(&directory) == ["appendonly.aof.3.base.aof", "appendonly.aof.3.incr.aof", "appendonly.aof.manifest"]
        });
        assert!(holds(&fs::read_to_string(directory.join("appendonly.aof.3.base.aof")).unwrap(), "SET a 1"));
        check_replay(server, &EVERYSEC);
    }

    fn names_can_be_chosen(server: &Server)
        with ["--appendonly", "yes", "--appenddirname", "other dir", "--appendfilename", "log"] {
        server.client().check("SET a 1", "+OK");
        assert_eq!(names(&server.directory().join("other dir")), ["log.1.base.rdb", "log.1.incr.aof", "log.manifest"]);
        let mut client = server.client();
        client.check_prefix("CONFIG SET appendfilename x", "-ERR CONFIG SET failed");
        client.check("CONFIG GET appenddirname", "[\"appenddirname\", \"other dir\"]");
    }

    /// Switched on, it holds all that was there before; switched off, it stays as it was.
    fn it_can_be_switched_on_and_off(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        client.check("SET before 1", "+OK");
        assert_eq!((server.info("aof_enabled").as_deref(), server.info("aof_current_size")), (Some("0"), None));
        client.check("CONFIG SET appendonly yes", "+OK");
        assert_eq!(info(server, "aof_enabled"), 1);
        client.check("SET after 2", "+OK");
        wait_for_background(server);
        check_replay(server, &EVERYSEC);
        client.check("CONFIG SET appendonly no", "+OK");
        let size = |name: &str| fs::metadata(aof_directory(server).join(name)).map_or(0, |metadata| metadata.len());
        let all = || names(&aof_directory(server)).iter().map(|name| size(name)).collect::<Vec<_>>();
        assert_eq!(info(server, "aof_enabled"), 0);
        // What is under way may still be written; then nothing is any more.
        let (mut sizes, mut unchanged) = (all(), 0);
        wait_until("the file to stay as it is", DEADLINE_DEFAULT, || {
            client.check("SET unwritten 3", "+OK");
            unchanged = if all() == sizes { unchanged + 1 } else { 0 };
            sizes = all();
            unchanged == 30
        });
        client.check("CONFIG SET appendonly yes", "+OK");
        client.check("SET last 4", "+OK");
        wait_for_background(server);
        check_replay(server, &EVERYSEC);
        assert_eq!(contents(server).keys.len(), 4);
    }

    /// The policy changes under load, and what was acknowledged stays.
    fn the_policy_can_be_switched(server: &Server) {
        let mut server = Launch::new(server.binary().clone()).arguments(&ALWAYS).start();
        let count = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4).map(|writer| {
                let server = &server;
                scope.spawn(move || {
                    let mut client = server.client();
                    for number in 0..300 {
                        client.check(&format!("SET {writer}:{number} v"), "+OK");
                    }
                })
            }).collect();
            let mut client = server.client();
            let mut switches = 0;
            while writers.iter().any(|writer| !writer.is_finished()) {
                for policy in ["no", "everysec", "always"] {
                    client.check(&format!("CONFIG SET appendfsync {policy}"), "+OK");
                    switches += 1;
                }
            }
            switches
        });
        assert!(count >= 3);
        // The last policy waits for the disk, and what came before goes there first.
        server.client().check("SET last v", "+OK");
        server.kill();
        server.restart();
        server.client().check("DBSIZE", "1201");
        server.client().check_prefix("CONFIG SET appendfsync sometimes", "-ERR CONFIG SET failed");
    }

    /// By percentage and size, without anybody asking.
    fn it_is_rewritten_by_itself(server: &Server) with [
        "--appendonly", "yes", "--auto-aof-rewrite-min-size", "20kb", "--auto-aof-rewrite-percentage", "100",
        "--enable-debug-command", "yes",
    ] {
        let mut client = server.client();
        let rewrites = || info(server, "aof_rewrites");
        let value = "x".repeat(1_000);
        let overwrite = |client: &mut rustredis_testkit::Client, count: usize| {
            let commands: Vec<Command> = (0..count).map(|_| Command::new(&["SET", "key", &value])).collect();
            client.pipeline(&commands);
        };
        overwrite(&mut client, 15);
        assert_eq!(rewrites(), 0, "before there were 20 kB");
        overwrite(&mut client, 20);
        wait_until("a rewrite by itself", DEADLINE_DEFAULT, || rewrites() == 1);
        wait_for_background(server);
        assert!(info(server, "aof_current_size") < 20_000, "{}", info(server, "aof_current_size"));
        assert!((1..2_000).contains(&info(server, "aof_base_size")));
        client.check("CONFIG SET auto-aof-rewrite-percentage 0", "+OK");
        overwrite(&mut client, 50);
        // A rewrite would follow from the server's own clock, so only another one that is asked for can show its absence.
        client.line("BGREWRITEAOF");
        wait_until("the rewrite that was asked for", DEADLINE_DEFAULT, || rewrites() == 2);
        wait_for_background(server);
        assert_eq!(rewrites(), 2);
        check_replay(server, &EVERYSEC);
    }

    /// One at a time: what comes meanwhile is told to wait, or waits.
    fn background_work_does_not_overlap(server: &Server)
        with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        let mut client = server.client();
        let commands: Vec<Command> = (0..20).map(|key| Command::line(&format!("SET key:{key} v"))).collect();
        client.pipeline(&commands);
        sync(server);
        let saves = info(server, "rdb_saves");
        slow_down(&mut client, server.is_redis());
        client.check("BGSAVE", "+Background saving started");
        assert_eq!(info(server, "rdb_bgsave_in_progress"), 1);
        client.check("BGSAVE", "-ERR Background save already in progress");
        client.check("BGSAVE SCHEDULE", "-ERR Background save already in progress");
        client.check("SAVE", "-ERR Background save already in progress");
        client.check("BGREWRITEAOF", "+Background append only file rewriting scheduled");
        assert_eq!((info(server, "aof_rewrite_scheduled"), info(server, "aof_rewrite_in_progress")), (1, 0));
        hurry(&mut client, server.is_redis());
        wait_for_background(server);
        assert_eq!((info(server, "rdb_saves"), info(server, "aof_rewrites")), (saves + 1, 1));
        slow_down(&mut client, server.is_redis());
        client.check("BGREWRITEAOF", "+Background append only file rewriting started");
        client.check("BGREWRITEAOF", "-ERR Background append only file rewriting already in progress");
        client.check("BGSAVE", "-ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.");
        client.check("BGSAVE SCHEDULE", "+Background saving scheduled");
        hurry(&mut client, server.is_redis());
        wait_until("the scheduled save", Duration::from_secs(60), || info(server, "rdb_saves") == saves + 2);
        wait_for_background(server);
        client.check("BGSAVE NOW", "-ERR syntax error");
        client.check("BGSAVE SCHEDULE NOW", "-ERR syntax error");
        client.check("BGREWRITEAOF NOW", "-ERR wrong number of arguments for 'bgrewriteaof' command");
        check_replay(server, &EVERYSEC);
    }

    /// Lines of time stand between the commands, and nobody minds them.
    fn times_can_be_written(server: &Server)
        with ["--appendonly", "yes", "--aof-timestamp-enabled", "yes", "--enable-debug-command", "yes"] {
        let mut client = server.client();
        client.check("SET a 1", "+OK");
        let started = client.line("TIME").elements()[0].text().parse::<u64>().unwrap();
        // The next second has a line of its own.
        wait_until("a second to pass", DEADLINE_DEFAULT, || {
            client.line("TIME").elements()[0].text().parse::<u64>().unwrap() > started
        });
        client.check("SET b 2", "+OK");
        let text = increment(server);
        let times: Vec<u64> = text.lines().filter_map(|line| line.strip_prefix("#TS:")?.parse().ok()).collect();
        assert!(times.len() >= 2 && times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?} in\n{text}");
        assert!(started - times[0] < 100 && times[0] <= started, "{times:?} around {started}");
        check_replay(server, &EVERYSEC);
    }

    /// DEBUG LOADAOF and DEBUG RELOAD give back what was there.
    fn debug_loads_it_again(server: &Server)
        with ["--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"] {
        set_times(server);
        let before = contents(server);
        let mut client = server.client();
        client.check("DEBUG LOADAOF", "+OK");
        contents(server).assert_same(&before, "after DEBUG LOADAOF");
        client.check("DEBUG RELOAD", "+OK");
        contents(server).assert_same(&before, "after DEBUG RELOAD");
        client.check("SET more 1", "+OK");
        wait_for_background(server);
        check_replay(server, &ALWAYS);
    }

    /// While the append-only file is off, a rewrite makes files, which DEBUG LOADAOF loads.
    fn debug_loads_what_a_rewrite_made_while_off(server: &Server) with ["--enable-debug-command", "yes"] {
        set_times(server);
        let before = contents(server);
        let mut client = server.client();
        client.line("BGREWRITEAOF");
        wait_for_background(server);
        client.check("SET later 1", "+OK");
        client.check("DEBUG LOADAOF", "+OK");
        contents(server).assert_same(&before, "after DEBUG LOADAOF");
    }

    /// What replies wait for is shown, and so is the rest.
    fn info_has_redis_s_fields(server: &Server) with ["--appendonly", "yes"] {
        let redis = Launch::new(rustredis_testkit::Binary::Redis).arguments(&["--appendonly", "yes"]).start();
        let fields = |server: &Server| -> Vec<String> {
            let text = server.client().line("INFO persistence").text();
            text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect()
        };
        let ours = fields(server);
        let missing: Vec<String> = fields(&redis).into_iter().filter(|field| !ours.contains(field)).collect();
        assert_eq!(missing, [""; 0]);
        let mut client = server.client();
        let changes = info(server, "rdb_changes_since_last_save");
        client.line("SET a 1");
        client.line("RPUSH l a b c");
        assert!(info(server, "rdb_changes_since_last_save") > changes);
        assert_eq!((info(server, "loading"), info(server, "aof_enabled")), (0, 1));
        for (field, value) in [("rdb_last_bgsave_status", "ok"), ("aof_last_write_status", "ok"), ("aof_last_bgrewrite_status", "ok")] {
            assert_eq!(server.info(field).as_deref(), Some(value), "{field}");
        }
        client.line("BGREWRITEAOF");
        wait_for_background(server);
        client.line("SET b 1");
        sync(server);
        let sizes: u64 = names(&aof_directory(server)).iter().filter(|name| !name.ends_with("manifest"))
            .map(|name| fs::metadata(aof_directory(server).join(name)).unwrap().len()).sum();
        assert_eq!(info(server, "aof_current_size") as u64, sizes);
        assert_eq!((info(server, "aof_buffer_length"), info(server, "aof_pending_rewrite")), (0, 0));
    }

    /// The local part of WAITAOF, which Redis 7.0 does not know.
    fn waitaof_waits_for_the_disk(server: &Server) with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        client.check("WAITAOF 1 0 0", "[1, 0]");
        client.check("SET a 1", "+OK");
        client.check("WAITAOF 0 0 0", "[0, 0]");
        client.check("WAITAOF 1 0 0", "[1, 0]");
        client.check("SET a 2", "+OK");
        client.check("WAITAOF 1 0 0", "[1, 0]");
        // Nobody replicates, so that only the timeout ends it.
        client.check("WAITAOF 1 1 50", "[1, 0]");
        client.check("DEBUG STORAGE SYNC every delay 300", "+OK");
        client.check("SET a 3", "+OK");
        client.check("WAITAOF 1 0 1", "[0, 0]");
        client.check("DEBUG STORAGE RESET", "+OK");
        client.check("WAITAOF 1 0 0", "[1, 0]");
        client.check("CONFIG SET appendfsync always", "+OK");
        client.check("SET a 4", "+OK");
        client.check("WAITAOF 1 0 0", "[1, 0]");
        let replies = client.pipeline(&["MULTI", "SET a 5", "WAITAOF 1 0 0", "EXEC"].map(Command::line));
        assert!(matches!(&replies[3], Reply::Array(replies) if replies.len() == 2), "{replies:?}");
        client.check("WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1");
        client.check("WAITAOF -1 0 0", "-ERR value is out of range, value must between 0 and 1");
        client.check("WAITAOF 1 -1 0", "-ERR value is out of range, must be positive");
        client.check("WAITAOF x 0 0", "-ERR value is not an integer or out of range");
        client.check("WAITAOF 1 0 x", "-ERR timeout is not an integer or out of range");
        client.check("WAITAOF 1 0 -1", "-ERR timeout is negative");
        client.check("WAITAOF 1 0", "-ERR wrong number of arguments for 'waitaof' command");
        client.check("CONFIG SET appendonly no", "+OK");
        client.check("WAITAOF 1 0 0", "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
        client.check("WAITAOF 0 0 0", "[0, 0]");
    }

    /// A client that waits for replicas that are not there is gone when its connection is, whether it has sent more or not.
    fn waitaof_ends_with_the_connection(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        for more in ["", "PING\r\n"] {
            let mut other = server.client();
            other.send_raw(format!("WAITAOF 0 1 0\r\n{more}").as_bytes());
            wait_until("a client to wait", DEADLINE_DEFAULT, || info(server, "blocked_clients") == 1);
            drop(other);
            wait_until("it to be gone", DEADLINE_DEFAULT, || info(server, "blocked_clients") == 0);
            wait_until("the connection to end", DEADLINE_DEFAULT, || {
                client.line("CLIENT LIST").text().matches("cmd=waitaof").count() == 0
            });
        }
    }

    /// While a big file loads, clients are told so, and INFO tells how far it is.
    fn clients_hear_of_loading(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        client.check("DEBUG POPULATE 400000 key 40", "+OK");
        client.check("CONFIG SET appendonly yes", "+OK");
        wait_for_background(server);
        client.check("CONFIG SET appendonly no", "+OK");
        let copy = Directory::copy_of(server.directory());
        // Each key counts for itself in loading, so that the answer comes while most are missing.
        let loading = Launch::new(server.binary().clone()).arguments(&EVERYSEC).data(copy.path()).start_loading();
        let mut client = loading.client();
        let (mut has_heard, mut has_seen) = (false, false);
        wait_until("the load to end", Duration::from_secs(60), || {
            let text = client.line("INFO persistence").text();
            let is_loading = text.lines().any(|line| line == "loading:1");
            has_seen |= is_loading
                && ["loading_start_time:", "loading_total_bytes:", "loading_loaded_bytes:", "loading_loaded_perc:", "loading_eta_seconds:"]
                    .iter().all(|field| text.contains(field));
            let reply = client.line("GET key:1").to_string();
            has_heard |= reply.starts_with("-LOADING ");
            !is_loading
        });
        assert!(has_heard && has_seen, "heard of it: {has_heard}, saw it in INFO: {has_seen}");
        loading.client().check("DBSIZE", "400000");
    }

    /// No second server writes into the same files.
    fn a_directory_has_one_server(server: &Server) with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        if server.is_redis() {
            return;
        }
        server.client().check("SET a 1", "+OK");
        let log = crate::files::refusal(server.binary(), server.directory(), &EVERYSEC);
        let directory = server.directory().to_string_lossy().into_owned();
        assert!(log.contains(&directory) || log.contains("another"), "{log}");
        server.client().check("SET b 2", "+OK");
        sync(server);
        let copy = Directory::copy_of(server.directory());
        second(server, copy.path(), &EVERYSEC).client().check("DBSIZE", "2");
    }

    /// An RDB file is what a server starts from that has no append-only file yet, if it has not been told to use one.
    fn the_append_only_file_comes_first(server: &Server) {
        let directory = Directory::new();
        let start = |arguments: &[&str]| second(server, directory.path(), arguments);
        let mut first = start(&["--enable-debug-command", "yes"]);
        first.client().check("SET rdb 1", "+OK");
        first.client().check("SAVE", "+OK");
        first.stop();
        // Redis 7 does not read the RDB file then.
        let mut next = start(&ALWAYS);
        next.client().check("SET aof 1", "+OK");
        next.stop();
        let held = Contents::read(&mut start(&ALWAYS).client(), Fields::WithoutTimes);
        assert!(held.get(0, b"aof").is_some(), "{held:?}");
        let rdb = Contents::read(&mut start(&["--appendonly", "no"]).client(), Fields::WithoutTimes);
        assert!(rdb.get(0, b"rdb").is_some() && rdb.get(0, b"aof").is_none(), "{rdb:?}");
    }
}
