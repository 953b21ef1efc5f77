//! Blocking commands: who is served, in which order, with what; timeouts, CLIENT UNBLOCK, hang-ups.

use std::time::{Duration, Instant};

use rustredis_testkit::{Client, Command, DEADLINE_DEFAULT, Server, assert_reply, every_engine, wait_until};

const SILENCE: Duration = Duration::from_millis(50);

/// A client that waits in this command; it has begun to wait when this returns.
#[track_caller]
fn blocked(server: &Server, line: &str) -> Client {
    let mut client = server.client();
    block(server, &mut client, line);
    client
}

#[track_caller]
fn block(server: &Server, client: &mut Client, line: &str) {
    let id = client.line("CLIENT ID").integer();
    client.send(&Command::line(line).arguments);
    let mut asker = server.client();
    wait_until(&format!("{line} to block"), DEADLINE_DEFAULT, || {
        asker.line(&format!("CLIENT LIST ID {id}")).text().contains("flags=b")
    });
}

const NOTHING: &[(&str, &str)] = &[
    ("BLPOP a 0.01", "nil-array"),
    ("BRPOP a b 0.01", "nil-array"),
    ("BLMPOP 0.01 2 a b LEFT", "nil-array"),
    ("BLMOVE a b LEFT RIGHT 0.01", "nil-array"),
    ("BRPOPLPUSH a b 0.01", "nil-array"),
    ("BZPOPMIN a 0.01", "nil-array"),
    ("BZPOPMAX a 0.01", "nil-array"),
    ("BZMPOP 0.01 1 a MIN", "nil-array"),
];

every_engine! {
    fn each_is_served_with_its_reply(server: &Server) {
        let mut client = server.client();
        for (line, push, expected) in [
            ("BLPOP x a 0", "RPUSH a 1 2", "[\"a\", \"1\"]"),
            ("BRPOP a x 0", "RPUSH a 1 2", "[\"a\", \"2\"]"),
            ("BLMPOP 0 2 x a LEFT COUNT 2", "RPUSH a 1 2 3", "[\"a\", [\"1\", \"2\"]]"),
            ("BLMOVE a b LEFT RIGHT 0", "RPUSH a 1 2", "\"1\""),
            ("BRPOPLPUSH a b 0", "RPUSH a 1 2", "\"2\""),
            ("BZPOPMIN x a 0", "ZADD a 1 m 2 n", "[\"a\", \"m\", \"1\"]"),
            ("BZPOPMAX a 0", "ZADD a 1 m 2 n", "[\"a\", \"n\", \"2\"]"),
            ("BZMPOP 0 1 a MAX", "ZADD a 1 m 2 n", "[\"a\", [[\"n\", \"2\"]]]"),
        ] {
            client.check("FLUSHALL", "+OK");
            let mut waiter = blocked(server, line);
            client.line(push);
            assert_eq!(waiter.read().to_string(), expected, "{line}");
            waiter.check("PING", "+PONG");
        }
    }

    fn replies_in_resp3(server: &Server) {
        let (mut waiter, mut client) = (server.client_resp3(), server.client());
        block(server, &mut waiter, "BZPOPMIN a 0");
        client.check("ZADD a 1.5 m", "1");
        assert_reply!(waiter.read(), "[\"a\", \"m\", ,1.5]");
        for (line, _) in NOTHING {
            waiter.check(line, "null");
        }
    }

    fn time_runs_out(server: &Server) {
        let mut client = server.client();
        for (line, expected) in NOTHING {
            client.check(line, expected);
        }
        let began = Instant::now();
        client.check("BLPOP a 0.2", "nil-array");
        assert!(began.elapsed() >= Duration::from_millis(200), "after {:?}", began.elapsed());
        for (line, expected) in [
            ("BLPOP a -1", "-ERR timeout is negative"),
            ("BLPOP a x", "-ERR timeout is not a float or out of range"),
        ] {
            client.check(line, expected);
        }
    }

    fn the_longest_waiting_is_served_first(server: &Server) {
        let mut waiters: Vec<Client> = (0..4).map(|_| blocked(server, "BLPOP a 0")).collect();
        let mut client = server.client();
        client.check("RPUSH a 0 1 2", "3");
        for (number, waiter) in waiters[..3].iter_mut().enumerate() {
            assert_reply!(waiter.read(), format!("[\"a\", \"{number}\"]"));
        }
        assert_eq!(waiters[3].read_within(SILENCE), None);
        client.check("RPUSH a 3", "1");
        assert_reply!(waiters[3].read(), "[\"a\", \"3\"]");
        client.check("EXISTS a", "0");
    }

    /// Who waits for several keys gets the first that is made, from whichever shard.
    fn several_keys(server: &Server) {
        let mut client = server.client();
        for number in 0..20 {
            let keys: Vec<String> = (0..8).map(|key| format!("key:{key}")).collect();
            let mut waiter = blocked(server, &format!("BLPOP {} 0", keys.join(" ")));
            let key = &keys[number % 8];
            client.check(&format!("RPUSH {key} {number}"), "1");
            assert_reply!(waiter.read(), format!("[\"{key}\", \"{number}\"]"));
            client.check(&format!("EXISTS {}", keys.join(" ")), "0");
        }
    }

    fn another_type_serves_nobody(server: &Server) {
        let mut client = server.client();
        let mut waiter = blocked(server, "BLPOP a 0");
        client.check("SET a x", "+OK");
        client.check("DEL a", "1");
        client.check("ZADD a 1 m", "1");
        assert_eq!(waiter.read_within(SILENCE), None);
        client.check("DEL a", "1");
        client.check("RPUSH a 1", "1");
        assert_reply!(waiter.read(), "[\"a\", \"1\"]");
    }

    /// What a script makes is given by the rules of those who wait: their command may wait, its own may not.
    fn scripts_serve_readers_of_streams(server: &Server) {
        let mut client = server.client();
        client.check("XGROUP CREATE s g $ MKSTREAM", "+OK");
        let reader = blocked(server, "XREAD BLOCK 0 STREAMS s $");
        let consumer = blocked(server, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
        client.check("EVAL \"redis.call('SELECT', 3) redis.call('SELECT', 0) return redis.call('XADD', KEYS[1], '1-1', 'f', 'v')\" 1 s",
            "\"1-1\"");
        for mut waiter in [reader, consumer] {
            assert_reply!(waiter.read(), "[[\"s\", [[\"1-1\", [\"f\", \"v\"]]]]]");
        }
        // The script left another database: the other one's waiters hear of it all the same.
        let waiter = blocked(server, "BLPOP list 0");
        client.check("EVAL \"redis.call('RPUSH', KEYS[1], 'x') redis.call('SELECT', 3) return 1\" 1 list", "1");
        let mut waiter = waiter;
        assert_reply!(waiter.read(), "[\"list\", \"x\"]");
        client.check("EXISTS list", "0");
    }

    /// Moves serve waiters in their turn.
    fn a_chain_of_waiters(server: &Server) {
        let mut first = blocked(server, "BLMOVE a b LEFT RIGHT 0");
        let mut second = blocked(server, "BRPOPLPUSH b c 0");
        let mut third = blocked(server, "BLPOP c 0");
        let mut client = server.client();
        client.check("RPUSH a x", "1");
        assert_reply!(first.read(), "\"x\"");
        assert_reply!(second.read(), "\"x\"");
        assert_reply!(third.read(), "[\"c\", \"x\"]");
        client.check("EXISTS a b c", "0");
    }

    fn a_wrong_destination_is_an_error(server: &Server) {
        let mut client = server.client();
        client.check("SET b x", "+OK");
        let mut waiter = blocked(server, "BLMOVE a b LEFT RIGHT 0");
        client.check("RPUSH a 1", "1");
        assert_reply!(waiter.read(), "-WRONGTYPE Operation against a key holding the wrong kind of value");
        client.check("LRANGE a 0 -1", "[\"1\"]");
    }

    fn every_way_to_make_a_list(server: &Server) {
        let mut client = server.client();
        client.check("RPUSH source 1 2 3 4 5", "5");
        for line in ["RENAME other a", "COPY other a", "LMOVE source a LEFT RIGHT", "SORT source STORE a", "MOVE a 0"] {
            client.check("DEL a other", "0");
            if line.contains("other") {
                client.check("RPUSH other x", "1");
            }
            let mut waiter = blocked(server, "BLPOP a 0");
            if line == "MOVE a 0" {
                client.check("SELECT 1", "+OK");
                client.check("RPUSH a x", "1");
            }
            let reply = client.line(line);
            assert!(!reply.is_error(), "{line}: {reply}");
            client.check("SELECT 0", "+OK");
            assert_eq!(waiter.read().elements().len(), 2, "{line}");
            client.line("DEL a other");
        }
    }

    /// A waiter that needs its destination too, served from a command in another database than its own.
    fn a_destination_far_from_where_the_list_was_made(server: &Server) {
        let mut client = server.client();
        // Several names, for some may lie in the same shard as their source.
        for number in 0..8 {
            let waits = format!("BLMOVE a to:{number} LEFT RIGHT 0");
            for maker in [
                "SELECT 1\nRPUSH a x\nMOVE a 0",
                "SELECT 1\nRPUSH a x\nCOPY a a DB 0\nDEL a",
                "SELECT 1\nMULTI\nSELECT 0\nRPUSH a x\nSELECT 1\nEXEC",
            ] {
                let mut waiter = blocked(server, &waits);
                for line in maker.lines() {
                    assert!(!client.line(line).is_error(), "{line}");
                }
                assert_reply!(waiter.read(), "\"x\"");
                client.check("SELECT 0", "+OK");
            }
            client.check(&format!("LRANGE to:{number} 0 -1"), "[\"x\", \"x\", \"x\"]");
        }
    }

    /// Served is the key that came into being, whatever the other keys hold and in whatever order they were named.
    fn the_key_that_is_ready_serves(server: &Server) {
        let mut client = server.client();
        for (waits, makes, expected) in [
            ("BLPOP k2 k1 0", "RPUSH k1 v w", "[\"k1\", \"v\"]"),
            ("BRPOP k2 k1 k1 0", "RPUSH k1 v w", "[\"k1\", \"w\"]"),
            ("BLMPOP 0 2 k2 k1 LEFT COUNT 2", "RPUSH k1 v w", "[\"k1\", [\"v\", \"w\"]]"),
            ("BZPOPMIN k2 k1 0", "ZADD k1 1 v 2 w", "[\"k1\", \"v\", \"1\"]"),
            ("BZPOPMAX k2 k1 0", "ZADD k1 1 v 2 w", "[\"k1\", \"w\", \"2\"]"),
            ("BZMPOP 0 2 k2 k1 MIN COUNT 1", "ZADD k1 1 v 2 w", "[\"k1\", [[\"v\", \"1\"]]]"),
        ] {
            for other in ["SET k2 str", "SADD k2 m", "MULTI\nEXEC"] {
                client.line("DEL k1 k2");
                let mut waiter = blocked(server, waits);
                other.lines().for_each(|line| drop(client.line(line)));
                client.check(makes, "2");
                assert_eq!(waiter.read().to_string(), expected, "{waits} after {other}");
            }
            // Both come into being in one step: the first serves.
            let makes_other = makes.replace("k1", "k2");
            client.line("DEL k1 k2");
            let mut waiter = blocked(server, waits);
            for line in ["MULTI", makes, &makes_other, "EXEC"] {
                assert!(!client.line(line).is_error(), "{line}");
            }
            assert_eq!(waiter.read().to_string(), expected, "{waits} after both");
            client.check("EXISTS k2", "1");
        }
    }

    /// Another value of a key that was there serves nobody; one that takes its place, or comes into being, does.
    fn a_value_that_is_replaced_serves_nobody(server: &Server) {
        let mut client = server.client();
        for (key, maker, is_served) in [
            ("e", "SORT numbers STORE e", false),
            ("z", "ZUNIONSTORE z 1 scores", false),
            ("z", "ZRANGESTORE z scores 0 -1", false),
            ("z", "GEOSEARCHSTORE z places FROMLONLAT 1 1 BYRADIUS 1000 km", false),
            ("e", "RENAME numbers e", true),
            ("e", "COPY numbers e REPLACE", true),
            ("z", "RENAME scores z", true),
        ] {
            for line in ["FLUSHALL", "RPUSH numbers 2 1", "ZADD scores 1 a", "GEOADD places 1 1 p"] {
                client.line(line);
            }
            let mut waiter = blocked(server, if key == "e" { "BLPOP e 0" } else { "BZPOPMIN z 0" });
            client.check(&format!("SET {key} x"), "+OK");
            assert!(!client.line(maker).is_error(), "{maker}");
            if !is_served {
                client.check(&format!("OBJECT REFCOUNT {key}"), "1");
                assert_eq!(server.info("blocked_clients").as_deref(), Some("1"), "{maker}");
                client.check(&format!("DEL {key}"), "1");
                assert!(!client.line(maker).is_error(), "{maker}");
            }
            assert!(waiter.read().to_string().starts_with(&format!("[\"{key}\"")), "{maker}");
        }
    }

    /// What is at the destination serves nobody.
    fn a_destination_is_not_waited_for(server: &Server) {
        let mut client = server.client();
        for waits in ["BLMOVE a b LEFT RIGHT 0", "BRPOPLPUSH a b 0"] {
            let mut waiter = blocked(server, waits);
            client.check("RPUSH b 1", "1");
            client.check("DEL b", "1");
            client.check("RPUSH a 2", "1");
            assert_reply!(waiter.read(), "\"2\"");
            client.check("LRANGE b 0 -1", "[\"2\"]");
            client.check("DEL b", "1");
        }
        // The wrong type there is told once the source is ready, and the source stays as it is.
        client.check("SET b x", "+OK");
        let mut waiter = blocked(server, "BRPOPLPUSH a b 0");
        client.check("RPUSH a 1", "1");
        assert_reply!(waiter.read(), "-WRONGTYPE Operation against a key holding the wrong kind of value");
        client.check("LRANGE a 0 -1", "[\"1\"]");
    }

    /// Many who wait for one key: each is served once, in order, and leaves nothing behind.
    fn many_wait_for_one_key(server: &Server) {
        let mut waiters: Vec<Client> = (0..50).map(|_| server.client()).collect();
        let mut client = server.client();
        let ids: Vec<i64> = waiters.iter_mut().map(|waiter| waiter.line("CLIENT ID").integer()).collect();
        for (number, waiter) in waiters.iter_mut().enumerate() {
            waiter.send(&["BLPOP", "a", "b", "0"]);
            wait_until("it to wait", DEADLINE_DEFAULT, || {
                server.info("blocked_clients") == Some((number + 1).to_string())
            });
        }
        // Some leave before their turn.
        for number in [0, 25, 49] {
            client.check(&format!("CLIENT UNBLOCK {}", ids[number]), "1");
            assert_reply!(waiters[number].read(), "nil-array");
        }
        let elements: Vec<String> = (0..60).map(|number| number.to_string()).collect();
        client.check(&format!("RPUSH a {}", elements.join(" ")), "60");
        let left = waiters.iter_mut().enumerate().filter(|(number, _)| ![0, 25, 49].contains(number));
        for (turn, (_, waiter)) in left.enumerate() {
            assert_reply!(waiter.read(), format!("[\"a\", \"{turn}\"]"));
        }
        client.check("LLEN a", "13");
    }

    fn unblocked_by_another(server: &Server) {
        let mut client = server.client();
        let mut waiter = server.client();
        let id = waiter.line("CLIENT ID").integer();
        client.check(&format!("CLIENT UNBLOCK {id}"), "0");
        block(server, &mut waiter, "BLMOVE a b LEFT RIGHT 0");
        client.check(&format!("CLIENT UNBLOCK {id}"), "1");
        assert_reply!(waiter.read(), "nil-array");
        block(server, &mut waiter, "BLPOP a 0");
        client.check(&format!("CLIENT UNBLOCK {id} TIMEOUT"), "1");
        assert_reply!(waiter.read(), "nil-array");
        block(server, &mut waiter, "BLPOP a 0");
        client.check(&format!("CLIENT UNBLOCK {id} ERROR"), "1");
        assert_reply!(waiter.read(), "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
        client.check(&format!("CLIENT UNBLOCK {id}"), "0");
        client.check("RPUSH a 1", "1");
        client.check("LLEN a", "1");
    }

    /// Commands sent while waiting are run afterwards, in order.
    fn what_follows_waits_too(server: &Server) {
        let mut client = server.client();
        let mut waiter = server.client();
        let lines = ["PING", "BLPOP a 0", "SET x 1", "BLPOP b 0", "GET x"];
        let mut bytes = Vec::new();
        lines.iter().for_each(|line| Command::line(line).encode(&mut bytes));
        waiter.send_raw(&bytes);
        assert_reply!(waiter.read(), "+PONG");
        waiter.send(&["ECHO", "later"]);
        client.check("EXISTS x", "0");
        client.check("RPUSH a 1", "1");
        assert_reply!(waiter.read(), "[\"a\", \"1\"]");
        assert_reply!(waiter.read(), "+OK");
        client.check("RPUSH b 2", "1");
        assert_reply!(waiter.read(), "[\"b\", \"2\"]");
        assert_reply!(waiter.read(), "\"1\"");
        assert_reply!(waiter.read(), "\"later\"");
    }

    /// Who has gone takes nothing with him.
    fn a_hang_up_ends_the_wait(server: &Server) {
        let mut client = server.client();
        for number in 0..20 {
            let waiter = blocked(server, "BLPOP a b 0");
            drop(waiter);
            wait_until("it to be gone", DEADLINE_DEFAULT, || client.line("CLIENT LIST").text().lines().count() == 1);
            client.check(&format!("RPUSH a {number}"), "1");
            client.check("LPOP a", &format!("\"{number}\""));
        }
    }

    fn replies_can_be_left_out(server: &Server) {
        let (mut waiter, mut client) = (server.client(), server.client());
        waiter.send(&["CLIENT", "REPLY", "SKIP"]);
        waiter.send(&["BLPOP", "a", "0"]);
        waiter.send(&["BLPOP", "a", "0"]);
        client.check("RPUSH a 1 2", "2");
        assert_reply!(waiter.read(), "[\"a\", \"2\"]");
        waiter.check("PING", "+PONG");
    }

    /// Who made one of a waiter's keys ready holds none of the others, in whose shards keys may be due.
    fn others_of_its_keys_are_due(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        client.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        let keys: Vec<String> = (0..300).map(|number| format!("queue:{number}")).collect();
        let mut waiter = blocked(server, &format!("BLPOP {} 0", keys.join(" ")));
        let brief: Vec<Command> =
            (0..3_000).map(|number| Command::line(&format!("SET brief:{number} x PX 1"))).collect();
        client.pipeline(&brief);
        client.check("BLPOP nothing 0.005", "nil-array");
        client.check("RPUSH queue:7 a", "1");
        assert_eq!(waiter.read().to_string(), "[\"queue:7\", \"a\"]");
    }

    /// Many producers and consumers: every element is taken once.
    fn nothing_is_lost_between_many(server: &Server) {
        const EACH: usize = 200;
        let taken = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for number in 0..4 {
                scope.spawn(move || {
                    let mut client = server.client();
                    for element in 0..EACH {
                        client.line(&format!("RPUSH q:{} {number}:{element}", element % 3));
                    }
                });
                scope.spawn(|| {
                    let mut client = server.client();
                    let mut own: Vec<String> = Vec::new();
                    while own.len() < EACH {
                        own.push(client.line("BLPOP q:0 q:1 q:2 0").elements()[1].text());
                    }
                    taken.lock().unwrap().extend(own);
                });
            }
        });
        let mut taken = taken.into_inner().unwrap();
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), 4 * EACH);
        server.client().check("EXISTS q:0 q:1 q:2", "0");
    }
}

every_engine! {
    /// A key that has expired before it could serve anybody: it is deleted, and they go on waiting.
    fn what_has_expired_serves_nobody(server: &Server) with ["--enable-debug-command", "yes"] {
        let (mut client, mut waiting) = (server.client(), server.client());
        client.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        waiting.send(&["BLPOP", "k", "0"]);
        wait_until("it to wait", DEADLINE_DEFAULT, || server.info("blocked_clients").as_deref() == Some("1"));
        for line in ["MULTI", "RPUSH k v", "PEXPIRE k 10", "DEBUG SLEEP 0.05", "EXEC"] {
            client.line(line);
        }
        assert_eq!(server.info("blocked_clients").as_deref(), Some("1"));
        client.check("DBSIZE", "0");
        for line in ["SELECT 1", "RPUSH k v", "PEXPIRE k 1"] {
            client.line(line);
        }
        wait_until("it to expire", DEADLINE_DEFAULT, || client.line("PTTL k").integer() < 0);
        for line in ["DEBUG SET-ACTIVE-EXPIRE 0", "RPUSH k v", "PEXPIRE k 1", "DEBUG SLEEP 0.01", "SWAPDB 0 1", "SELECT 0"] {
            client.line(line);
        }
        assert_eq!(server.info("blocked_clients").as_deref(), Some("1"));
        client.check("DBSIZE", "0");
        client.check("RPUSH k w", "1");
        assert_eq!(waiting.read().to_string(), "[\"k\", \"w\"]");
    }
}
