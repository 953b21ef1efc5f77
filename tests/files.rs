//! What the tests of durability share: servers with an append-only file, copies of their directories, second servers that
//! read them, and the load whose result they compare.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustredis_testkit::contents::{Contents, Fields};
use rustredis_testkit::oracle::{Coverage, History};
use rustredis_testkit::{
    Binary, Client, Command, DEADLINE_DEFAULT, Directory, Launch, Random, Reply, Server, wait_until,
};

/// Arguments of a server that appends to a file and waits for the disk before each reply.
pub(crate) const ALWAYS: [&str; 6] =
    ["--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"];
/// Arguments of one that waits for the disk once a second.
pub(crate) const EVERYSEC: [&str; 6] =
    ["--appendonly", "yes", "--appendfsync", "everysec", "--enable-debug-command", "yes"];

/// A moment that no test lives to see, in milliseconds; what expires before it expires soon.
const SOON_MS: i64 = 60_000;

/// Starts a server of the same kind in this directory.
#[track_caller]
pub(crate) fn second(server: &Server, directory: &Path, arguments: &[&str]) -> Server {
    Launch::new(server.binary().clone()).arguments(arguments).data(directory).start()
}

/// A server that must not get ready: it ends with code 1, and its log is given back. A real Redis may crash as well.
#[track_caller]
pub(crate) fn refusal(binary: &Binary, directory: &Path, arguments: &[&str]) -> String {
    let launch = Launch::new(binary.clone()).arguments(arguments).data(directory);
    let exited = launch.run_to_exit(Duration::from_secs(20));
    assert!(exited.code == Some(1) || binary.is_redis() && exited.code != Some(0), "{}", exited.log);
    assert!(!exited.log.contains("panicked at"), "{}", exited.log);
    exited.log
}

/// Where a server's append-only files are.
pub(crate) fn aof_directory(server: &Server) -> PathBuf {
    server.directory().join("appendonlydir")
}

/// The names of the files in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The newest increment of an append-only file.
pub(crate) fn newest_increment(aof_directory: &Path) -> PathBuf {
    let manifest = std::fs::read_to_string(aof_directory.join("appendonly.aof.manifest")).unwrap();
    let line = manifest.lines().rfind(|line| line.ends_with("type i")).expect("an increment in the manifest");
    aof_directory.join(line.split(' ').nth(1).expect("a name in the manifest"))
}

/// `DEBUG DIGEST`, which must not be that of nothing.
#[track_caller]
pub(crate) fn digest(server: &Server) -> String {
    let digest = server.client().line("DEBUG DIGEST").text();
    assert!(digest.len() == 40 && digest.chars().any(|digit| digit != '0'), "{digest}");
    digest
}

/// All that it holds; times of fields as well, if it knows them.
#[track_caller]
pub(crate) fn contents(server: &Server) -> Contents {
    let fields = if server.is_redis() { Fields::WithoutTimes } else { Fields::WithTimes };
    Contents::read(&mut server.client(), fields)
}

/// Waits until nothing is about to expire and all that was done is in the files.
#[track_caller]
pub(crate) fn settle(server: &Server) {
    let now_ms = || {
        let time = server.client().line("TIME").elements();
        time[0].text().parse::<i64>().unwrap() * 1_000
    };
    wait_until("what expires soon to be gone", DEADLINE_DEFAULT, || {
        let limit = now_ms() + SOON_MS;
        let contents = contents(server);
        let times = contents.keys.values().flat_map(|held| {
            held.expires_at_ms.into_iter().chain(held.fields_expire_at_ms.values().copied())
        });
        times.min().is_none_or(|time| time > limit)
    });
    // What is logically gone must be so in fact, for a digest counts what is there.
    wait_until("expired keys to be deleted", DEADLINE_DEFAULT, || {
        let size: i64 = databases().map(|database| size(server, database)).sum();
        size == contents(server).keys.len() as i64
    });
    sync(server);
}

fn databases() -> std::ops::Range<u32> {
    0..16
}

fn size(server: &Server, database: u32) -> i64 {
    let mut client = server.client();
    client.line(&format!("SELECT {database}"));
    client.line("DBSIZE").integer()
}

/// Waits until all that was acknowledged is in the file. A real Redis has it in its buffer while an fsync is under way.
#[track_caller]
pub(crate) fn sync(server: &Server) {
    if server.is_redis() {
        return wait_until("the buffer to be written", DEADLINE_DEFAULT, || {
            server.info("aof_buffer_length").is_none_or(|length| length == "0")
        });
    }
    if server.info("aof_enabled").as_deref() == Some("1") {
        let mut client = server.client();
        client.line("SET synced 1");
        client.line("DEL synced");
        assert_eq!(client.line("WAITAOF 1 0 20000").to_string(), "[1, 0]");
    }
}

/// Waits until no snapshot and no rewrite is under way.
#[track_caller]
pub(crate) fn wait_for_background(server: &Server) {
    let is_zero = |field: &str| server.info(field).as_deref() == Some("0");
    wait_until("background work to end", Duration::from_secs(60), || {
        is_zero("rdb_bgsave_in_progress")
            && is_zero("aof_rewrite_in_progress")
            && is_zero("aof_rewrite_scheduled")
    });
}

/// A copy of its directory gives a second server that holds the same.
#[track_caller]
pub(crate) fn check_replay(server: &Server, arguments: &[&str]) {
    settle(server);
    let (expected, held) = (digest(server), contents(server));
    let copy = Directory::copy_of(server.directory());
    let replayed = second(server, copy.path(), arguments);
    contents(&replayed).assert_same(&held, "the replayed contents and the live ones");
    assert_eq!(digest(&replayed), expected);
}

/// Eight histories over all families on the same keys, and beside them consumers that block, transactions, sets popped
/// at random, and keys and fields that expire; with `beside` in the middle. Histories hold steps of their own kinds of
/// randomness, so replies are not looked at, except that a connection must not break.
pub(crate) fn load(server: &Server, seed: u64, steps: usize, beside: impl FnOnce(&Server)) {
    let coverage = if server.is_redis() { Coverage::Redis70 } else { Coverage::Own };
    let has_ended = std::sync::atomic::AtomicBool::new(false);
    let ordering = std::sync::atomic::Ordering::SeqCst;
    thread::scope(|scope| {
        let histories: Vec<_> = (0..8)
            .map(|number| scope.spawn(move || history(server, seed * 100 + number, steps, coverage)))
            .collect();
        let others: Vec<_> = (0..3)
            .map(|number| scope.spawn(move || mixture(server, seed * 100 + 50 + number, steps / 4)))
            .collect();
        let consumers: Vec<_> = (0..4)
            .map(|number| {
                let has_ended = &has_ended;
                scope.spawn(move || {
                    let mut client = server.client();
                    while !has_ended.load(ordering) {
                        client.line(CONSUMERS[number]);
                    }
                })
            })
            .collect();
        beside(server);
        let ended: Vec<bool> =
            histories.into_iter().chain(others).map(|thread| thread.join().is_ok()).collect();
        has_ended.store(true, ordering);
        assert!(consumers.into_iter().all(|thread| thread.join().is_ok()), "a consumer failed");
        assert!(ended.iter().all(|is_right| *is_right), "a client failed: {ended:?}");
    });
}

const CONSUMERS: [&str; 4] = [
    "BLPOP queue:1 list:0 0.05",
    "BLMOVE queue:2 list:1 LEFT RIGHT 0.05",
    "BRPOP list:2 queue:1 0.05",
    "BZPOPMIN zset:1 board 0.05",
];

fn history(server: &Server, seed: u64, steps: usize, coverage: Coverage) {
    let history = History::of_keys(seed, steps, coverage);
    let mut client = server.client();
    let commands: Vec<Command> = history.steps().iter().flatten().cloned().collect();
    for commands in commands.chunks(20) {
        client.pipeline(commands);
    }
}

fn mixture(server: &Server, seed: u64, steps: usize) {
    let (mut client, mut random) = (server.client(), Random::new(seed));
    for number in 0..steps {
        let key = random.below(6);
        if number == steps / 8 {
            client.line("FLUSHALL");
        }
        let line = match random.below(14) {
            0 => format!("SET brief:{key} {number} PX {}", 1 + random.below(30)),
            1 => format!("PEXPIRE list:{} {}", random.below(4), 1 + random.below(20)),
            2 => format!("SPOP set:{} {}", random.below(4), random.below(3)),
            3 => format!("SADD set:{} {number} {} {}", random.below(4), number + 1, number * 7),
            4 => format!("RPUSH queue:{} {number}", 1 + random.below(2)),
            5 => format!("ZADD board {number} {number}"),
            6 => format!("INCRBYFLOAT float:{key} 0.{}", 1 + random.below(9)),
            7 => format!("HSET hash:{} f{key} {number} g{key} x", random.below(4)),
            8 if !server.is_redis() => {
                format!("HPEXPIRE hash:{} {} FIELDS 2 f{key} g{key}", random.below(4), 1 + random.below(20))
            }
            9 => format!("GETEX brief:{key} PERSIST"),
            10 => format!("INCR count:{key}"),
            11 => {
                let lines = ["MULTI", "INCR count:0", "RPUSH list:0 t", "SPOP set:1", "SADD set:2 t", "EXEC"];
                client.pipeline(&lines.map(Command::line));
                continue;
            }
            12 => {
                let lines = ["WATCH count:1", "MULTI", "INCR count:1", "SET brief:w w PX 5", "EXEC"];
                client.pipeline(&lines.map(Command::line));
                continue;
            }
            _ => format!("SUNIONSTORE set:{} set:{} set:{}", key % 4, (key + 1) % 4, random.below(4)),
        };
        client.line(&line);
    }
}

/// Makes snapshots and rewrites slow enough to be seen under way, until [`hurry`].
pub(crate) fn slow_down(client: &mut Client, is_redis: bool) {
    if is_redis {
        client.check("CONFIG SET rdb-key-save-delay 200000", "+OK");
    } else {
        client.check("DEBUG STORAGE WRITE every delay 100", "+OK");
    }
}

/// Ends what [`slow_down`] began. A child of a real Redis does not hear of it; it is small enough to wait for.
pub(crate) fn hurry(client: &mut Client, is_redis: bool) {
    if is_redis {
        client.check("CONFIG SET rdb-key-save-delay 0", "+OK");
    } else {
        client.check("DEBUG STORAGE RESET", "+OK");
    }
}

/// The bulk's bytes.
#[track_caller]
pub(crate) fn bytes(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Bulk(bytes) => bytes.clone(),
        other => panic!("no bulk string: {other}"),
    }
}
