//! Databases: ten thousand of them cost next to nothing until they are used, and the last is as good as the first; DBSIZE.

use rustredis_testkit::{
    Client, DEADLINE_DEFAULT, Reply, Server, every_engine, process, run_on_engine, wait_until,
};

const LAST: usize = 9_999;
/// How long to wait for what may not come.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(50);

fn select(client: &mut Client, db: usize) {
    client.check(&format!("SELECT {db}"), "+OK");
}

/// The lines of INFO keyspace, without the mean time to live.
fn keyspace(client: &mut Client) -> Vec<String> {
    let lines = client.line("INFO keyspace").text();
    let rows = lines.lines().filter(|line| line.starts_with("db"));
    rows.map(|line| line.split(",avg_ttl").next().unwrap_or(line).to_owned()).collect()
}

every_engine! {
    fn unused_ones_take_little_memory(server: &Server) with ["--databases", "10000"] {
        let resident = || process::resident_bytes(server.pid()).unwrap();
        let at_start = resident();
        assert!(at_start < 100 << 20, "{at_start} bytes");
        let mut client = server.client();
        for db in (0..LAST).step_by(100) {
            select(&mut client, db);
            client.check("GET a", "nil");
            client.check("DBSIZE", "0");
            client.check("DEL a", "0");
            client.check("HGET a f", "nil");
            client.check("SCAN 0", r#"["0", []]"#);
            client.check("RANDOMKEY", "nil");
            client.check("FLUSHDB", "+OK");
        }
        client.check("FLUSHALL", "+OK");
        client.check("SWAPDB 17 9999", "+OK");
        let used = resident();
        assert!(used < at_start + (50 << 20), "{used} bytes after {at_start}");
    }

    fn the_last_is_as_good_as_the_first(server: &Server) with ["--databases", "10000", "--enable-debug-command", "yes"] {
        let mut client = server.client();
        select(&mut client, LAST);
        for key in 0..50 {
            client.check(&format!("SET key:{key} {key}"), "+OK");
        }
        client.check("SET expires 1 PX 100000", "+OK");
        client.check("DBSIZE", "51");
        assert_eq!(keyspace(&mut client), ["db9999:keys=51,expires=1"]);
        client.check("MOVE key:1 5000", "1");
        client.check("COPY key:2 key:2 DB 77", "1");
        client.check("SWAPDB 9999 1234", "+OK");
        assert_eq!(keyspace(&mut client), ["db77:keys=1,expires=0", "db1234:keys=50,expires=1", "db5000:keys=1,expires=0"]);
        client.check("DBSIZE", "0");
        client.check("SET key:3 other", "+OK");
        let digest = client.line("DEBUG DIGEST");
        client.check("DEBUG RELOAD", "+OK");
        assert_eq!(client.line("DEBUG DIGEST"), digest);
        select(&mut client, 1234);
        client.check("GET key:3", "\"3\"");
        client.check("TTL expires", "100");
        client.check("PEXPIRE expires 1", "1");
        wait_until("a key to expire on its own", DEADLINE_DEFAULT, || client.line("DBSIZE") == Reply::Integer(49));
        client.check("FLUSHDB", "+OK");
        assert_eq!(keyspace(&mut client), ["db77:keys=1,expires=0", "db5000:keys=1,expires=0", "db9999:keys=1,expires=0"]);
        client.check("FLUSHALL", "+OK");
        assert!(keyspace(&mut client).is_empty());
        client.check("SET again 1", "+OK");
        client.check("DBSIZE", "1");
        client.check("SELECT 10000", "-ERR DB index is out of range");
    }

    /// The tables of emptied databases come back, and count for `maxmemory` at no time: no eviction could free them.
    fn emptied_ones_take_no_memory(server: &Server) with ["--databases", "2000", "--maxmemory-policy", "allkeys-lru"] {
        let mut client = server.client();
        let used = || server.info("used_memory").unwrap().parse::<usize>().unwrap();
        let before = used();
        client.check(&format!("CONFIG SET maxmemory {}", before + (30 << 20)), "+OK");
        for db in 0..2_000 {
            select(&mut client, db);
            client.check("SET k v", "+OK");
        }
        assert!(used() > before + (30 << 20), "the tables take less than this test needs");
        client.check("GET k", "\"v\"");
        client.check("FLUSHALL", "+OK");
        wait_until("the memory to come back", DEADLINE_DEFAULT, || used() < before + (30 << 20));
        client.check("SET k v", "+OK");
        client.check("DBSIZE", "1");
        select(&mut client, 7);
        client.check("SET k v", "+OK");
        client.check("FLUSHDB", "+OK");
        client.check("SET k w EX 100", "+OK");
        client.check("SWAPDB 7 1999", "+OK");
        client.check("EXISTS k", "1");
        client.check("FLUSHDB", "+OK");
        client.check("SWAPDB 7 1999", "+OK");
        client.check("GET k", "\"w\"");
    }

    /// A snapshot under way sees databases that come into being and change places as they were.
    fn new_ones_during_a_snapshot(server: &Server) with ["--databases", "10000", "--rdb-key-save-delay", "100", "--enable-debug-command", "yes"] {
        let mut client = server.client();
        for (db, keys) in [(0, 300), (4_321, 300)] {
            select(&mut client, db);
            for key in 0..keys {
                client.check(&format!("SET key:{key} {db}"), "+OK");
            }
        }
        let digest = client.line("DEBUG DIGEST");
        client.check_prefix("BGSAVE", "+Background saving started");
        client.check("SWAPDB 4321 9000", "+OK");
        client.check("SWAPDB 0 1", "+OK");
        select(&mut client, 555);
        client.check("SET new 1", "+OK");
        select(&mut client, 9_000);
        client.check("SET key:7 changed", "+OK");
        client.check("FLUSHDB", "+OK");
        wait_until("the save", DEADLINE_DEFAULT, || server.info("rdb_bgsave_in_progress").as_deref() == Some("0"));
        client.check("DEBUG RELOAD NOSAVE", "+OK");
        assert_eq!(client.line("DEBUG DIGEST"), digest);
    }

    /// Several threads put the first key into a database at the same moment, and none is lost.
    fn first_keys_at_once(server: &Server) with ["--databases", "10000"] {
        const CLIENTS: usize = 4;
        const ROUNDS: usize = 200;
        std::thread::scope(|scope| {
            let start = std::sync::Arc::new(std::sync::Barrier::new(CLIENTS));
            for writer in 0..CLIENTS {
                let start = start.clone();
                scope.spawn(move || {
                    let mut client = server.client();
                    for db in 1..=ROUNDS {
                        select(&mut client, db);
                        start.wait();
                        client.check(&format!("SET of:{writer}:{db} {db}"), "+OK");
                        client.check(&format!("GET of:{writer}:{db}"), &format!("\"{db}\""));
                    }
                });
            }
        });
        let mut client = server.client();
        for db in 1..=ROUNDS {
            select(&mut client, db);
            client.check("DBSIZE", &CLIENTS.to_string());
            for writer in 0..CLIENTS {
                client.check(&format!("GET of:{writer}:{db}"), &format!("\"{db}\""));
            }
        }
    }

    fn dbsize_counts_what_was_answered(server: &Server) {
        let mut client = server.client();
        let mut other = server.client();
        for key in 0..200 {
            let writer = if key % 2 == 0 { &mut client } else { &mut other };
            writer.check(&format!("SET key:{key} 1"), "+OK");
            client.check("DBSIZE", &(key + 1).to_string());
            other.check("DBSIZE", &(key + 1).to_string());
        }
        // A pipeline sees its own commands, wherever their shards are.
        for key in 0..200 {
            client.send(&["DEL", &format!("key:{key}")]);
            client.send(&["DBSIZE"]);
        }
        for key in 0..200 {
            assert_eq!(client.read(), Reply::Integer(1), "DEL key:{key}");
            assert_eq!(client.read(), Reply::Integer(199 - key));
        }
    }

    /// In a transaction nobody's write comes between two looks.
    fn dbsize_in_a_transaction_is_of_one_moment(server: &Server) {
        let is_over = std::sync::atomic::AtomicBool::new(false);
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut client = server.client();
                    let mut key = 0;
                    while !is_over.load(relaxed) {
                        client.check(&format!("SET of:{writer}:{key} 1"), "+OK");
                        key += 1;
                    }
                });
            }
            let mut client = server.client();
            let mut are_equal = true;
            for _ in 0..100 {
                client.check("MULTI", "+OK");
                client.check("DBSIZE", "+QUEUED");
                client.check("DEL absent", "+QUEUED");
                client.check("DBSIZE", "+QUEUED");
                match client.line("EXEC") {
                    Reply::Array(replies) => are_equal &= replies[0] == replies[2],
                    other => panic!("EXEC: {other}"),
                }
            }
            is_over.store(true, relaxed);
            assert!(are_equal);
        });
    }
}

/// While another thread keeps all shards, DBSIZE is answered. (The mutex engine's lock is meant to keep everybody out.)
#[track_caller]
fn dbsize_waits_for_no_shard(server: &Server) {
    let mut sleeper = server.client();
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    sleeper.check("SET a 1", "+OK");
    sleeper.send(&["DEBUG", "SLEEP", "2"]);
    // Half of the clients are on the sleeper's thread; the others are told when it sleeps.
    // Some of the clients are on the sleeper's thread; one of the others is told that it sleeps, and then how many keys there are.
    let is_told = |client: &mut Client| loop {
        client.send(&["CLIENT", "LIST"]);
        client.send(&["DBSIZE"]);
        let Some(list) = client.read_within(PATIENCE) else { return false };
        assert_eq!(client.read(), Reply::Integer(1));
        if list.text().contains("cmd=debug") {
            return true;
        }
    };
    assert!(clients.iter_mut().any(is_told), "all clients are on one thread");
    assert!(sleeper.read_within(PATIENCE).is_none(), "DBSIZE was answered after the sleep only");
    assert_eq!(sleeper.read().text(), "OK");
}

#[test]
fn dbsize_waits_for_no_shard_of_dashmap() {
    run_on_engine(module_path!(), "dashmap", &["--enable-debug-command", "yes"], dbsize_waits_for_no_shard);
}

#[test]
fn dbsize_waits_for_no_shard_of_lockfree() {
    run_on_engine(module_path!(), "lockfree", &["--enable-debug-command", "yes"], dbsize_waits_for_no_shard);
}

#[test]
fn dbsize_waits_for_no_shard_of_actor() {
    run_on_engine(module_path!(), "actor", &["--enable-debug-command", "yes"], dbsize_waits_for_no_shard);
}
