//! RDB files: exchanged with redis-server 7.0.15 in both directions, saved when asked for, by save points and at the end,
//! and damaged. The AOF directories of both are exchanged as well.

use std::fs;
use std::path::Path;
use std::process::Command as Program;
use std::time::Duration;

use rustredis_testkit::contents::{Content, Contents, Fields};
use rustredis_testkit::{
    Binary, Client, Command, Directory, Launch, Random, Server, every_engine, process, wait_until,
};

use crate::files::{refusal, second, sync, wait_for_background};

const LIMIT: Duration = Duration::from_secs(20);
const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

/// A command with a key and many generated arguments.
fn big(client: &mut Client, name: &str, key: &str, arguments: impl Iterator<Item = String>) {
    let mut command = vec![name.to_owned(), key.to_owned()];
    command.extend(arguments);
    assert!(!client.call(&command).is_error(), "{name} {key}");
}

/// Keys of every type in every encoding that 7.0 knows, with and without a time to live, in all databases.
fn fill(client: &mut Client, random: &mut Random) {
    for database in 0..16 {
        client.check(&format!("SELECT {database}"), "+OK");
        let raw: Vec<u8> = (0..512).map(|_| random.next_u64() as u8).collect();
        client.call(&[b"SET".as_slice(), b"raw:512", &raw]);
        for (number, text) in
            ["", "a", "-1", "12345", "9223372036854775807", "1e3", "\\x00\\xff\\r\\n", "0123"]
                .iter()
                .enumerate()
        {
            client.line(&format!("SET text:{number} \"{text}\""));
        }
        client.call(&["SET", "compressible", &"abc".repeat(3_000)]);
        for count in [1, 5, 130, 600] {
            let numbers = || (0..count).map(|number| (number * 37 - 100).to_string());
            let words =
                || (0..count).map(|number| format!("word {number} {}", "x".repeat(number as usize % 70)));
            big(client, "RPUSH", &format!("list:words:{count}"), words());
            big(client, "RPUSH", &format!("list:numbers:{count}"), numbers());
            big(client, "SADD", &format!("set:words:{count}"), words());
            big(client, "SADD", &format!("set:numbers:{count}"), numbers());
            big(client, "HSET", &format!("hash:{count}"), words().flat_map(|word| [word.clone(), word]));
            let scores = ["0", "1.5", "-3.25", "inf", "-inf", "1e300", "17179869184", "3.0000000000000004"];
            big(
                client,
                "ZADD",
                &format!("zset:{count}"),
                words().enumerate().flat_map(|(index, word)| [scores[index % 8].to_owned(), word]),
            );
            big(client, "PFADD", &format!("hll:{count}"), words());
        }
        client.line("RPUSH list:large a");
        client.call(&["RPUSH", "list:large", &"L".repeat(10_000)]);
        client.line("SETBIT bits 4000 1");
        client.line("GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
        for (number, key) in
            ["text:1", "list:words:5", "set:numbers:600", "hash:1", "zset:130", "hll:5"].iter().enumerate()
        {
            client.check(&format!("PEXPIREAT {key} {}", 4_102_444_800_123_u64 + number as u64), "1");
        }
    }
    client.check("SELECT 0", "+OK");
}

fn read(server: &Server) -> Contents {
    Contents::read(&mut server.client(), Fields::WithoutTimes)
}

/// Runs one of redis-tools' checkers over a file.
#[track_caller]
fn check_with(program: &str, path: &Path) {
    let output =
        Program::new(program).arg(path).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {}: {text}", path.display());
}

/// Saves, loads the file with the other binary, saves there, and loads that again.
fn check_exchange(server: &Server, held: &Contents) {
    server.client().check("SAVE", "+OK");
    let copy = Directory::copy_of(server.directory());
    check_with("redis-check-rdb", &copy.path().join("dump.rdb"));
    let other = Launch::new(Binary::Redis).arguments(&DEBUG).data(copy.path()).start();
    read(&other).assert_same(held, "Redis's contents and ours");
    other.client().check("SAVE", "+OK");
    let back = Directory::copy_of(copy.path());
    read(&second(server, back.path(), &DEBUG)).assert_same(held, "ours, after Redis's, and ours");
}

every_engine! {
    fn rdb_files_are_exchanged_with_redis(server: &Server) with ["--enable-debug-command", "yes"] {
        fill(&mut server.client(), &mut Random::new(1));
        let held = read(server);
        assert!(held.keys.len() > 16 * 40, "{}", held.keys.len());
        check_exchange(server, &held);
        for (directive, value) in [("rdbcompression", "no"), ("rdbcompression", "yes")] {
            server.client().check(&format!("CONFIG SET {directive} {value}"), "+OK");
            check_exchange(server, &held);
        }
    }

    fn aof_directories_are_exchanged_with_redis(server: &Server)
        with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        fill(&mut server.client(), &mut Random::new(2));
        for (preamble, rewrites) in [("yes", false), ("yes", true), ("no", true)] {
            server.client().check(&format!("CONFIG SET aof-use-rdb-preamble {preamble}"), "+OK");
            if rewrites {
                server.client().line("BGREWRITEAOF");
                wait_for_background(server);
            }
            // Something behind the base, too.
            server.client().pipeline(&["MULTI", "INCR n", "RPUSH l x", "EXEC", "SELECT 5", "SPOP set:words:130 3"].map(Command::line));
            sync(server);
            let held = read(server);
            let copy = Directory::copy_of(server.directory());
            check_with("redis-check-aof", &copy.path().join("appendonlydir/appendonly.aof.manifest"));
            let mut other = Launch::new(Binary::Redis).arguments(&["--appendonly", "yes"]).data(copy.path()).start();
            read(&other).assert_same(&held, "Redis's contents and ours");
            other.client().pipeline(&["SET by:redis 1", "SELECT 7", "SADD by:redis 2", "SPOP set:numbers:130 2"].map(Command::line));
            other.client().line("BGREWRITEAOF");
            wait_for_background(&other);
            other.client().check("SET behind:it 2", "+OK");
            let theirs = read(&other);
            other.stop();
            let back = Directory::copy_of(copy.path());
            read(&second(server, back.path(), &["--appendonly", "yes"])).assert_same(&theirs, "ours and Redis's");
        }
    }

    /// What 7.0 is too old for is said, and written in the version that has it.
    fn fields_that_expire_need_a_newer_version(server: &Server)
        with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        let version = || String::from_utf8_lossy(&fs::read(server.directory().join("dump.rdb")).unwrap()[..9]).into_owned();
        client.check("HSET hash f v g w", "2");
        client.check("SAVE", "+OK");
        assert_eq!(version(), "REDIS0010");
        assert!(!server.log().to_lowercase().contains("field"), "{}", server.log());
        client.check("HPEXPIREAT hash 4102444800123 FIELDS 1 f", "[1]");
        client.check("SAVE", "+OK");
        assert_eq!(version(), "REDIS0012");
        let log = server.log().to_lowercase();
        assert!(log.contains("field") && (log.contains("7.0") || log.contains("7.4")), "{log}");
        sync(server);
        let before = crate::files::contents(server);
        assert_eq!(before.get(0, b"hash").unwrap().fields_expire_at_ms.len(), 1);
        let copy = Directory::copy_of(server.directory());
        crate::files::contents(&second(server, copy.path(), &DEBUG)).assert_same(&before, "from the RDB file");
        crate::files::contents(&second(server, copy.path(), &["--appendonly", "yes"])).assert_same(&before, "from the log");
        client.line("BGREWRITEAOF");
        wait_for_background(server);
        let copy = Directory::copy_of(server.directory());
        crate::files::contents(&second(server, copy.path(), &["--appendonly", "yes"])).assert_same(&before, "from the base");
    }

    fn a_file_without_a_checksum_is_loaded(server: &Server) {
        let directory = Directory::new();
        let arguments = ["--rdbchecksum", "no", "--dbfilename", "other.rdb"];
        let mut unchecked = second(server, directory.path(), &arguments);
        unchecked.client().check("SET a 1", "+OK");
        unchecked.client().check("SAVE", "+OK");
        let bytes = fs::read(directory.path().join("other.rdb")).unwrap();
        assert_eq!(bytes[bytes.len() - 8..], [0; 8]);
        assert!(!directory.path().join("dump.rdb").exists());
        unchecked.stop();
        second(server, directory.path(), &["--dbfilename", "other.rdb"]).client().check("GET a", "\"1\"");
        let redis = Launch::new(Binary::Redis).arguments(&["--dbfilename", "other.rdb"]).data(directory.path()).start();
        redis.client().check("GET a", "\"1\"");
    }

    /// Any end that is not its own, and any flipped bit behind the header, is noticed, and the file is left alone.
    fn a_damaged_file_is_refused(server: &Server) {
        let live = Launch::new(server.binary().clone()).arguments(&DEBUG).start();
        let mut client = live.client();
        for line in ["SET text value", "RPUSH list a b c", "HSET hash f v", "ZADD zset 1.5 m", "SADD set 1 2 3", "SET soon v PX 100000"] {
            client.line(line);
        }
        client.check("SAVE", "+OK");
        let bytes = fs::read(live.directory().join("dump.rdb")).unwrap();
        let mut random = Random::new(3);
        let mut damages: Vec<Vec<u8>> = (0..8).map(|_| bytes[..9 + random.below(bytes.len() - 10)].to_vec()).collect();
        for _ in 0..8 {
            let mut flipped = bytes.clone();
            flipped[9 + random.below(bytes.len() - 9)] ^= 1 << random.below(8);
            damages.push(flipped);
        }
        damages.extend([b"".to_vec(), b"REDIS".to_vec(), b"NOTRDB010".to_vec(), b"REDIS9999\xff".to_vec(), bytes[..8].to_vec()]);
        for (number, damaged) in damages.iter().enumerate() {
            let directory = Directory::new();
            let path = directory.path().join("dump.rdb");
            fs::write(&path, damaged).unwrap();
            println!("damage {number}: {:?}", String::from_utf8_lossy(&damaged[..damaged.len().min(200)]));
            refusal(server.binary(), directory.path(), &DEBUG);
            assert_eq!(&fs::read(&path).unwrap(), damaged);
        }
    }

    fn save_points_save(server: &Server) {
        let directory = Directory::new();
        let launch = Launch::new(server.binary().clone()).arguments(&["--save", "1 3"]).data(directory.path());
        let mut saving = launch.start();
        let mut client = saving.client();
        let saves = |server: &Server| server.info("rdb_saves").unwrap().parse::<u64>().unwrap();
        client.check("CONFIG GET save", "[\"save\", \"1 3\"]");
        client.check("SET a 1", "+OK");
        client.check("SET b 1", "+OK");
        assert_eq!((saves(&saving), saving.info("rdb_changes_since_last_save").as_deref()), (0, Some("2")));
        client.check("SET c 1", "+OK");
        wait_until("a save by itself", LIMIT, || saves(&saving) == 1);
        wait_for_background(&saving);
        assert_eq!(saving.info("rdb_changes_since_last_save").as_deref(), Some("0"));
        assert_eq!(saving.info("rdb_last_bgsave_status").as_deref(), Some("ok"));
        client.check("CONFIG SET save \"\"", "+OK");
        client.check("CONFIG SET save \"1 1 3600 10\"", "+OK");
        client.check("SET d 1", "+OK");
        wait_until("another one", LIMIT, || saves(&saving) == 2);
        wait_for_background(&saving);
        // The end saves what no point has yet.
        client.check("CONFIG SET save \"3600 100\"", "+OK");
        client.check("SET e 1", "+OK");
        process::terminate(saving.pid());
        assert_eq!(saving.wait_for_exit(LIMIT).code, Some(0));
        saving.restart();
        saving.client().check("DBSIZE", "5");
    }

    /// SHUTDOWN saves if told so, or if there are save points; else it does not.
    fn the_end_saves_or_not(server: &Server) {
        for (points, word, is_saved) in [
            ("", "SAVE", true), ("", "", false), ("", "NOSAVE", false), ("900 1", "", true), ("900 1", "NOSAVE", false),
            ("900 1", "signal", true), ("", "signal", false),
        ] {
            let directory = Directory::new();
            let mut ending = second(server, directory.path(), &["--save", points]);
            ending.client().check("SET a 1", "+OK");
            if word == "signal" {
                process::terminate(ending.pid());
            } else {
                let mut client = ending.client();
                client.send_raw(format!("SHUTDOWN {word}\r\n").as_bytes());
                assert_eq!(client.read_to_close(), []);
            }
            let exited = ending.wait_for_exit(LIMIT);
            assert_eq!(exited.code, Some(0), "{}", exited.log);
            assert_eq!(directory.path().join("dump.rdb").exists(), is_saved, "save {points:?}, SHUTDOWN {word}");
        }
    }

    /// A background save tells how it stands, and the result is there as a whole.
    fn a_background_save_is_seen(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        let commands: Vec<Command> = (0..30).map(|key| Command::line(&format!("SET key:{key} v"))).collect();
        client.pipeline(&commands);
        let before = client.line("LASTSAVE").integer();
        wait_until("the clock to go on", LIMIT, || {
            client.line("TIME").elements()[0].text().parse::<i64>().unwrap() > before
        });
        crate::files::slow_down(&mut client, server.is_redis());
        client.check("BGSAVE", "+Background saving started");
        assert_eq!(server.info("rdb_bgsave_in_progress").as_deref(), Some("1"));
        client.check("SET during 1", "+OK");
        client.check("CONFIG GET save", "[\"save\", \"\"]");
        client.check_prefix("SHUTDOWN ABORT", "-ERR No shutdown in progress");
        crate::files::hurry(&mut client, server.is_redis());
        wait_until("the save", Duration::from_secs(60), || client.line("LASTSAVE").integer() > before);
        wait_for_background(server);
        // The moment of the snapshot is that of the reply in Redis, and may be a little later; then the write is in it.
        let is_left_out = server.info("rdb_changes_since_last_save").as_deref() == Some("1");
        let copy = Directory::copy_of(server.directory());
        let mut loaded = second(server, copy.path(), &DEBUG);
        loaded.client().check("EXISTS key:0 key:29", "2");
        loaded.client().check("EXISTS during", if is_left_out { "0" } else { "1" });
        loaded.stop();
        assert!(!crate::files::names(server.directory()).iter().any(|name| name.starts_with("temp-")));
    }

    /// A save that fails is said to everybody who writes, until one succeeds.
    fn a_failed_save_stops_writes(server: &Server) {
        let directory = Directory::new();
        let arguments = ["--save", "900 100", "--dbfilename", "taken"];
        let failing = second(server, directory.path(), &arguments);
        let mut client = failing.client();
        client.check("SET a 1", "+OK");
        // A name that a directory has: nothing can be moved there.
        fs::create_dir_all(directory.path().join("taken/inside")).unwrap();
        client.check("BGSAVE", "+Background saving started");
        wait_until("it to fail", LIMIT, || failing.info("rdb_last_bgsave_status").as_deref() == Some("err"));
        client.check_prefix("SET a 2", "-MISCONF ");
        client.check("GET a", "\"1\"");
        client.check_prefix("SAVE", "-ERR");
        client.check("CONFIG SET stop-writes-on-bgsave-error no", "+OK");
        client.check("SET a 3", "+OK");
        client.check("CONFIG SET stop-writes-on-bgsave-error yes", "+OK");
        client.check_prefix("SET a 4", "-MISCONF");
        fs::remove_dir_all(directory.path().join("taken")).unwrap();
        client.check("BGSAVE", "+Background saving started");
        wait_until("it to succeed", LIMIT, || failing.info("rdb_last_bgsave_status").as_deref() == Some("ok"));
        client.check("SET a 5", "+OK");
    }
}

/// 100 MB, there and back, in both kinds of files; once, for it takes its time.
#[test]
fn a_value_of_100_mb_is_exchanged() {
    let engine = rustredis_testkit::engines().pop().expect("an engine");
    // It would be rewritten for its size alone.
    let arguments = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
    let server = Launch::new(Binary::Rustredis(engine)).arguments(&arguments).start();
    let mut client = server.client();
    let mut random = Random::new(9);
    // Half of it can be compressed.
    let mut value: Vec<u8> = (0..50_000_000 / 8).flat_map(|_| random.next_u64().to_le_bytes()).collect();
    value.resize(100_000_000, b'x');
    assert_eq!(client.call(&[b"SET".as_slice(), b"big", &value]).to_string(), "+OK");
    client.check("SAVE", "+OK");
    sync(&server);
    let is_whole = |server: &Server| {
        let held = read(server);
        let Some(Content::Text(text)) = held.get(0, b"big").map(|held| &held.content) else {
            panic!("it is not there")
        };
        assert!(*text == value, "other bytes");
    };
    let copy = Directory::copy_of(server.directory());
    drop(server);
    let mut redis = Launch::new(Binary::Redis).data(copy.path()).start();
    is_whole(&redis);
    redis.client().check("SAVE", "+OK");
    redis.stop();
    let mut ours =
        Launch::new(Binary::Rustredis(rustredis_testkit::engines()[0].clone())).data(copy.path()).start();
    is_whole(&ours);
    ours.stop();
    let appended = Launch::new(Binary::Redis).arguments(&["--appendonly", "yes"]).data(copy.path()).start();
    is_whole(&appended);
}
