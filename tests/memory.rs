//! `maxmemory`: whom each policy evicts, that the limit holds, and what MEMORY tells.

use rustredis_testkit::{
    Client, Command, DEADLINE_DEFAULT, Launch, Replay, Reply, Server, every_engine, wait_until,
};

/// Bytes above what an empty server takes.
const ROOM: u64 = 4 << 20;
const PERSISTENT: usize = 3_000;
const EXPIRING: usize = 40_000;
/// Commands of one pipeline.
const PIPELINE: usize = 500;

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("INFO has no {field}"))
}

/// Sends all commands; no reply may be an error.
#[track_caller]
fn send_all(client: &mut Client, lines: impl Iterator<Item = String>) {
    let commands: Vec<Command> = lines.map(|line| Command::line(&line)).collect();
    for part in commands.chunks(PIPELINE) {
        let errors: Vec<Reply> =
            client.pipeline(part).into_iter().filter(|reply| matches!(reply, Reply::Error(_))).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

/// How many of the keys `prefix:0 ..` exist.
fn count(client: &mut Client, prefix: &str, range: std::ops::Range<usize>) -> usize {
    let keys: Vec<String> = range.map(|key| format!("{prefix}:{key}")).collect();
    let mut found = 0;
    for part in keys.chunks(PIPELINE) {
        let mut words = vec!["EXISTS".to_owned()];
        words.extend_from_slice(part);
        match client.call(&words) {
            Reply::Integer(count) => found += count as usize,
            other => panic!("EXISTS: {other}"),
        }
    }
    found
}

/// Fills the server with keys that stay and more keys that expire than there is room for.
fn fill(server: &Server, policy: &str) {
    let mut client = server.client();
    let limit = number(server, "used_memory") + ROOM;
    client.check(&format!("CONFIG SET maxmemory {limit} maxmemory-policy {policy}"), "+OK");
    let value = "x".repeat(200);
    send_all(&mut client, (0..PERSISTENT).map(|key| format!("SET stays:{key} {value}")));
    send_all(&mut client, (0..EXPIRING).map(|key| format!("SET goes:{key} {value} EX {}", 10_000 + key)));
    let is_kept = || number(server, "used_memory") <= limit + limit / 50;
    wait_until("the memory to be near the limit", DEADLINE_DEFAULT, is_kept);
    // Asking takes memory as well: from here on nothing goes.
    client.check("CONFIG SET maxmemory 0", "+OK");
    let mut left = 0;
    wait_until("each key to be there or counted as evicted", DEADLINE_DEFAULT, || {
        left = count(&mut client, "stays", 0..PERSISTENT) + count(&mut client, "goes", 0..EXPIRING);
        left as u64 + number(server, "evicted_keys") == (PERSISTENT + EXPIRING) as u64
    });
    assert!(left < PERSISTENT + EXPIRING, "nothing was evicted");
    assert!(left > 5_000, "{left} keys are left: more was evicted than had to be");
}

/// The keys that stay are still there after this policy.
fn spares_what_does_not_expire(server: &Server, policy: &str) {
    fill(server, policy);
    assert_eq!(count(&mut server.client(), "stays", 0..PERSISTENT), PERSISTENT);
}

/// Waits until this key has not been used for so long, in seconds.
fn wait_for_idle(client: &mut Client, key: &str, seconds: i64) {
    wait_until(
        "a key to be idle",
        DEADLINE_DEFAULT,
        || matches!(client.line(&format!("OBJECT IDLETIME {key}")), Reply::Integer(idle) if idle >= seconds),
    );
}

every_engine! {
    fn volatile_lru(server: &Server) {
        spares_what_does_not_expire(server, "volatile-lru");
    }

    fn volatile_lfu(server: &Server) {
        spares_what_does_not_expire(server, "volatile-lfu");
    }

    fn volatile_random(server: &Server) {
        spares_what_does_not_expire(server, "volatile-random");
    }

    /// The next to expire go first: the keys of the fill expire in their order.
    fn volatile_ttl(server: &Server) {
        spares_what_does_not_expire(server, "volatile-ttl");
        let mut client = server.client();
        let first = count(&mut client, "goes", 0..EXPIRING / 2);
        let last = count(&mut client, "goes", EXPIRING / 2..EXPIRING);
        assert!(last > first * 4, "{first} of the earlier half and {last} of the later are left");
    }

    fn allkeys_random(server: &Server) {
        fill(server, "allkeys-random");
        let left = count(&mut server.client(), "stays", 0..PERSISTENT);
        assert!(left < PERSISTENT);
    }

    /// Keys that were used a moment ago stay longer than those that were not.
    fn allkeys_lru(server: &Server) {
        let mut client = server.client();
        let value = "x".repeat(200);
        send_all(&mut client, (0..2_000).map(|key| format!("SET cold:{key} {value}")));
        send_all(&mut client, (0..2_000).map(|key| format!("SET warm:{key} {value}")));
        wait_for_idle(&mut client, "cold:0", 2);
        send_all(&mut client, (0..2_000).map(|key| format!("GET warm:{key}")));
        let limit = number(server, "used_memory") + (256 << 10);
        client.check(&format!("CONFIG SET maxmemory {limit} maxmemory-policy allkeys-lru maxmemory-samples 10"), "+OK");
        send_all(&mut client, (0..2_000).map(|key| format!("SET new:{key} {value}")));
        let (cold, warm) = (count(&mut client, "cold", 0..2_000), count(&mut client, "warm", 0..2_000));
        assert!(cold < 1_500 && warm > 1_900, "{cold} cold and {warm} warm keys are left");
    }

    /// Reads do not make a key stay, changes do; those that change nothing are none.
    fn allkeys_lrm(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET maxmemory-policy allkeys-lrm", "+OK");
        for line in ["SET string text", "RPUSH list a", "HSET hash f v", "XADD stream 1-1 f v", "XGROUP CREATE stream g 0"] {
            client.line(line);
        }
        let age = |client: &mut Client, key: &str| {
            let Reply::Bulk(payload) = client.call(&["DUMP", key]) else { panic!("no {key}") };
            let words: [&[u8]; 7] = [b"RESTORE", key.as_bytes(), b"0", &payload, b"REPLACE", b"IDLETIME", b"1000"];
            assert_eq!(client.call(&words), Reply::ok());
        };
        for (key, lines, is_change) in [
            ("string", &["GET string", "MGET string nosuch", "TOUCH string", "STRLEN string", "COPY string other REPLACE"][..], false),
            ("string", &["SET string v NX", "SET string v IFEQ other", "DELEX string IFNE text", "LPUSH string a"], false),
            ("string", &["SET string text"], true),
            ("string", &["APPEND string x"], true),
            ("string", &["EXPIRE string 1000"], true),
            ("string", &["RENAME string other", "RENAME other string"], true),
            ("string", &["EVAL \"return redis.call('get', KEYS[1])\" 1 string"], false),
            ("list", &["LRANGE list 0 -1", "LREM list 0 nosuch", "LPUSHX nosuch a"], false),
            ("list", &["LMOVEM nosuch list LEFT LEFT", "LMOVE nosuch list LEFT LEFT"], false),
            ("list", &["LMOVE list list LEFT RIGHT"], true),
            ("hash", &["HGETALL hash", "HDEL hash nosuch", "HSETNX hash f w"], false),
            ("hash", &["HSET hash f w"], true),
            ("stream", &["XRANGE stream - +", "XACK stream g 1-1"], false),
            ("stream", &["XREADGROUP GROUP g c STREAMS stream >"], true),
            ("stream", &["XACK stream g 1-1"], true),
        ] {
            age(&mut client, key);
            for line in lines {
                client.line(line);
            }
            let idle = client.line(&format!("OBJECT IDLETIME {key}")).integer();
            assert_eq!(idle < 1000, is_change, "{lines:?}: {idle}");
        }
    }

    fn volatile_lrm(server: &Server) {
        spares_what_does_not_expire(server, "volatile-lrm");
    }

    /// Of keys that are all read, those go first that were not changed for long; how long is remembered by an RDB file.
    fn those_that_do_not_change_go(server: &Server) with ["--enable-debug-command", "yes", "--maxmemory-policy", "allkeys-lrm", "--maxmemory-samples", "10"] {
        let mut client = server.client();
        let value = "x".repeat(200);
        send_all(&mut client, (0..2_000).map(|key| format!("SET cold:{key} {value}")));
        wait_for_idle(&mut client, "cold:0", 2);
        client.check("DEBUG RELOAD", "+OK");
        send_all(&mut client, (0..2_000).map(|key| format!("SET warm:{key} {value}")));
        send_all(&mut client, (0..2_000).map(|key| format!("GET cold:{key}")));
        assert!(client.line("OBJECT IDLETIME cold:0").integer() >= 2);
        let limit = number(server, "used_memory") + (256 << 10);
        client.check(&format!("CONFIG SET maxmemory {limit}"), "+OK");
        send_all(&mut client, (0..2_000).map(|key| format!("SET new:{key} {value}")));
        let (cold, warm) = (count(&mut client, "cold", 0..2_000), count(&mut client, "warm", 0..2_000));
        assert!(cold < 1_500 && warm > 1_900, "{cold} cold and {warm} warm keys are left");
    }

    /// Keys that were used often stay longer than those that were used once.
    fn allkeys_lfu(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET maxmemory-policy allkeys-lfu maxmemory-samples 10", "+OK");
        let value = "x".repeat(200);
        send_all(&mut client, (0..2_000).map(|key| format!("SET cold:{key} {value}")));
        send_all(&mut client, (0..2_000).map(|key| format!("SET warm:{key} {value}")));
        for _ in 0..20 {
            send_all(&mut client, (0..2_000).map(|key| format!("GET warm:{key}")));
        }
        let limit = number(server, "used_memory") + (256 << 10);
        client.check(&format!("CONFIG SET maxmemory {limit}"), "+OK");
        send_all(&mut client, (0..3_000).map(|key| format!("SET new:{key} {value}")));
        let (cold, warm) = (count(&mut client, "cold", 0..2_000), count(&mut client, "warm", 0..2_000));
        assert!(cold < 1_999 && warm > 1_950, "{cold} cold and {warm} warm keys are left");
    }

    fn noeviction_refuses_what_needs_memory(server: &Server) {
        let mut client = server.client();
        client.check("SET a 1", "+OK");
        client.check("CONFIG SET maxmemory 1", "+OK");
        let refused = "-OOM command not allowed when used memory > 'maxmemory'.";
        client.check("SET b 1", refused);
        client.check("LPUSH l 1", refused);
        client.check("GET a", "\"1\"");
        client.check("MULTI", "+OK");
        client.check("SET b 1", refused);
        client.check_prefix("EXEC", "-EXECABORT");
        client.check("DEL a", "1");
        assert_eq!(number(server, "evicted_keys"), 0);
        client.check("CONFIG SET maxmemory 0", "+OK");
        client.check("SET b 1", "+OK");
    }

    /// If nothing expires, a volatile policy refuses as well.
    fn nothing_to_evict(server: &Server) {
        let mut client = server.client();
        client.check("SET a 1", "+OK");
        client.check("CONFIG SET maxmemory-policy volatile-lru maxmemory 1", "+OK");
        client.check_prefix("SET b 1", "-OOM");
        client.check("GET a", "\"1\"");
    }

    /// What was evicted is gone from the append-only file as well: it is compared when the server is dropped.
    fn evictions_are_replayed(server: &Server) {
        let server = Launch::new(server.binary().clone()).replayed(Replay::LoadingAndRestart).start();
        let mut client = server.client();
        let limit = number(&server, "used_memory") + ROOM;
        client.check(&format!("CONFIG SET maxmemory {limit} maxmemory-policy allkeys-random"), "+OK");
        let value = "x".repeat(200);
        let commands: Vec<Command> =
            (0..EXPIRING).map(|key| Command::line(&format!("SET goes:{key} {value}"))).collect();
        // What waits to be written is memory too: where the disk is slow, writes are refused.
        commands.chunks(PIPELINE).for_each(|chunk| _ = client.pipeline(chunk));
        wait_until("an eviction", DEADLINE_DEFAULT, || number(&server, "evicted_keys") > 100);
    }

    /// Without a command, memory above a new limit goes as well; with an event for each key.
    fn a_lower_limit_evicts_in_the_background(server: &Server) {
        let mut client = server.client();
        let before = number(server, "used_memory");
        let value = "x".repeat(1_000);
        send_all(&mut client, (0..2_000).map(|key| format!("SET key:{key} {value}")));
        client.check("SELECT 3", "+OK");
        send_all(&mut client, (0..2_000).map(|key| format!("SET key:{key} {value}")));
        client.check("CONFIG SET notify-keyspace-events Ee maxmemory-policy allkeys-lru", "+OK");
        let mut subscriber = server.client();
        subscriber.check("PSUBSCRIBE *evicted", "[\"psubscribe\", \"*evicted\", 1]");
        let limit = before + (2 << 20);
        client.check(&format!("CONFIG SET maxmemory {limit}"), "+OK");
        wait_until("the memory to be below the limit", DEADLINE_DEFAULT, || {
            number(server, "used_memory") <= limit + number(server, "mem_not_counted_for_evict")
        });
        let event = subscriber.read().to_string();
        assert!(event.starts_with("[\"pmessage\", \"*evicted\", \"__keyevent@"), "{event}");
        assert!(number(server, "evicted_keys") > 1_000);
        assert!(number(server, "total_eviction_exceeded_time") < 20_000);
    }

    /// A big value is freed by another thread; its memory counts as free meanwhile, so that nothing else goes.
    fn a_big_value_is_evicted_once(server: &Server) {
        let mut client = server.client();
        for key in 0..4 {
            send_all(&mut client, (0..100).map(|part| {
                let members: Vec<String> = (0..200).map(|member| format!("member:{part}:{member}")).collect();
                format!("SADD big:{key} {}", members.join(" "))
            }));
        }
        let limit = number(server, "used_memory") - (64 << 10);
        client.check("CONFIG SET maxmemory-policy allkeys-random", "+OK");
        client.check(&format!("CONFIG SET maxmemory {limit}"), "+OK");
        wait_until("an eviction", DEADLINE_DEFAULT, || number(server, "evicted_keys") > 0);
        wait_until("the memory to be below the limit", DEADLINE_DEFAULT, || number(server, "used_memory") <= limit);
        assert_eq!(number(server, "evicted_keys"), 1);
        client.check("DBSIZE", "3");
    }

    fn memory_usage_counts_bytes(server: &Server) {
        let mut client = server.client();
        client.check("MEMORY USAGE none", "nil");
        client.line(&format!("SET a {}", "x".repeat(1_000)));
        let Reply::Integer(bytes) = client.line("MEMORY USAGE a SAMPLES 0") else { panic!("a number of bytes") };
        assert!((1_000..1_300).contains(&bytes), "{bytes}");
        client.check("MEMORY USAGE a SAMPLES -1", "-ERR syntax error");
        client.check("MEMORY USAGE a SAMPLES", "-ERR syntax error");
        client.check("MEMORY USAGE a SAMPLES x", "-ERR value is not an integer or out of range");
        client.check("MEMORY PURGE", "+OK");
        assert!(!client.line("MEMORY DOCTOR").text().is_empty());
        assert!(!client.line("MEMORY MALLOC-STATS").text().is_empty());
        let Reply::Map(stats) = server.client_resp3().line("MEMORY STATS") else { panic!("a map") };
        let names: Vec<String> = stats.iter().map(|(name, _)| name.text()).collect();
        for name in ["peak.allocated", "keys.count", "db.0", "dataset.percentage", "fragmentation.bytes"] {
            assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
        }
    }

    /// What was removed makes room at once, though it is freed by another thread.
    fn what_was_flushed_is_no_reason_to_refuse(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        // Nearly all of it must be free again.
        client.check(&format!("CONFIG SET maxmemory {}", number(server, "used_memory") + ROOM), "+OK");
        client.check("DEBUG POPULATE 50000 key 1000", "+OK");
        client.check("SET refused 1", "-OOM command not allowed when used memory > 'maxmemory'.");
        let replies = client.pipeline(&["FLUSHALL", "SET a 1"].map(Command::line));
        assert_eq!(replies, [Reply::ok(), Reply::ok()]);
    }
}
