//! Strings as later servers have them: compared, stored together, counted within bounds. The replies are those that Redis 8.4 and
//! 8.8, and Valkey 9.0, document.

use std::thread;

use rustredis_testkit::{Client, Launch, every_engine};

use crate::files::{ALWAYS, contents};

#[track_caller]
fn check_all(client: &mut Client, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        client.check(line, expected);
    }
}

every_engine! {
    fn a_string_is_replaced_if_it_is_the_expected_one(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, &[
            ("SET k new IFEQ old", "nil"),
            ("SET k old IFNE other", "+OK"),
            ("SET k new IFEQ other GET", "\"old\""),
            ("GET k", "\"old\""),
            ("SET k hello IFEQ old GET PX 100000", "\"old\""),
            ("DIGEST k", "\"9555e8555c62dcfd\""),
            ("SET k 12345 IFDEQ 9555E8555C62DCFD KEEPTTL", "+OK"),
            ("SET k v IFEQ 012345", "nil"),
            ("SET k v IFDNE 1", "-ERR must be exactly 16 hexadecimal characters"),
            ("SET k v NX IFEQ 12345", "-ERR syntax error"),
            ("DIGEST nothing", "nil"),
        ]);
        assert!(client.line("PTTL k").integer() > 0);
    }

    fn a_string_is_deleted_if_it_is_the_expected_one(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, &[
            ("RPUSH l a", "1"),
            ("DELEX l IFEQ a", "-ERR Key should be of string type if conditions are specified"),
            ("DELIFEQ l a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("DELEX l", "1"),
            ("SET k token", "+OK"),
            ("DELEX k IFEQ other", "0"),
            ("DELEX k IFXX token", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"),
            ("DELEX k IFNE token", "0"),
            ("DELEX k IFEQ token", "1"),
            ("DELEX k IFXX token", "0"),
            ("SET k token", "+OK"),
            ("DELIFEQ k other", "0"),
            ("DELIFEQ k token", "1"),
            ("EXISTS k", "0"),
            ("COMMAND GETKEYSANDFLAGS DELEX k", "[[\"k\", [+RM, +delete]]]"),
            ("COMMAND GETKEYSANDFLAGS DELEX k IFEQ v", "[[\"k\", [+RW, +access, +delete]]]"),
            ("COMMAND GETKEYSANDFLAGS SET k v IFEQ v", "[[\"k\", [+RW, +access, +update]]]"),
            ("COMMAND GETKEYSANDFLAGS SET k v", "[[\"k\", [+OW, +update]]]"),
            ("COMMAND GETKEYS MSETEX 2 a 1 b 2 EX 5", "[\"a\", \"b\"]"),
        ]);
    }

    fn several_strings_are_stored_with_one_expiry(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, &[
            ("MSETEX 3 a 1 b 2 c 3 EX 1000 NX", "1"),
            ("MSETEX 2 a 9 d 9 NX", "0"),
            ("MSETEX 2 a 9 d 9 XX", "0"),
            ("MSETEX 2 a 8 b 8 XX KEEPTTL", "1"),
            ("MSETEX 1 c 8", "1"),
            ("MGET a b c d", "[\"8\", \"8\", \"8\", nil]"),
            ("TTL c", "-1"),
            ("MSETEX a 1", "-ERR wrong number of arguments for 'msetex' command"),
            ("MSETEX a 1 b", "-ERR invalid numkeys value"),
            ("MSETEX 2 a 1 b", "-ERR wrong number of key-value pairs"),
            ("MSETEX 1 a 1 b 2", "-ERR syntax error"),
        ]);
        for key in ["a", "b"] {
            assert!((900..=1000).contains(&client.line(&format!("TTL {key}")).integer()), "{key}");
        }
    }

    /// As many clients as the limit allows, and no more, get through.
    fn a_counter_stops_at_its_bound(server: &Server) {
        let granted = || {
            let mut client = server.client();
            let mut granted = 0;
            for _ in 0..50 {
                let reply = client.line("INCREX limit UBOUND 100 EX 1000 ENX");
                granted += reply.elements()[1].integer();
            }
            granted
        };
        let total: i64 = thread::scope(|scope| {
            let clients: Vec<_> = (0..4).map(|_| scope.spawn(granted)).collect();
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        let mut client = server.client();
        assert_eq!(total, 100);
        check_all(&mut client, &[
            ("GET limit", "\"100\""),
            ("INCREX limit BYINT 5 UBOUND 103 SATURATE", "[103, 3]"),
            ("INCREX limit BYFLOAT 0.5 PERSIST", "[\"103.5\", \"0.5\"]"),
            ("TTL limit", "-1"),
            ("INCREX limit", "-ERR value is not an integer or out of range"),
            ("INCREX limit EXAT 1 BYFLOAT 1", "[\"104.5\", \"1\"]"),
            ("EXISTS limit", "0"),
        ]);
    }

    fn transactions_scripts_and_watchers_see_the_newer_writes(server: &Server) {
        let (mut client, mut other) = (server.client(), server.client());
        check_all(&mut client, &[("SET k v", "+OK"), ("WATCH k", "+OK")]);
        other.check("DELEX k IFEQ w", "0");
        check_all(&mut client, &[
            ("MULTI", "+OK"),
            ("SET k w IFEQ v", "+QUEUED"),
            ("INCREX n", "+QUEUED"),
            ("MSETEX 0 a 1", "+QUEUED"),
            ("DELIFEQ k w", "+QUEUED"),
            ("EXEC", "[+OK, [1, 1], -ERR invalid numkeys value, 1]"),
            ("WATCH n", "+OK"),
        ]);
        other.check("INCREX n UBOUND 1", "[1, 0]");
        other.check("DELEX n IFEQ 1", "1");
        check_all(&mut client, &[
            ("MULTI", "+OK"),
            ("PING", "+QUEUED"),
            ("EXEC", "nil-array"),
            ("EVAL \"return redis.call('increx', KEYS[1], 'byfloat', '1.5')\" 1 f", "[\"1.5\", \"1.5\"]"),
            ("EVAL \"return redis.call('delifeq', KEYS[1], '1.5')\" 1 f", "1"),
            ("EVAL \"return redis.call('msetex', 2, KEYS[1], 'x', KEYS[2], 'y', 'nx')\" 2 a b", "1"),
            ("MGET a b", "[\"x\", \"y\"]"),
        ]);
    }

    fn what_grows_is_refused_without_memory(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, &[("SET k v", "+OK"), ("CONFIG SET maxmemory 1 maxmemory-policy noeviction", "+OK")]);
        for line in ["SET k w IFEQ v", "MSETEX 1 k w", "INCREX n"] {
            client.check(line, "-OOM command not allowed when used memory > 'maxmemory'.");
        }
        check_all(&mut client, &[("DELEX k IFEQ v", "1"), ("CONFIG SET maxmemory 0", "+OK")]);
    }

    fn strings_that_were_compared_and_counted_are_replayed(server: &Server) {
        let mut server = Launch::new(server.binary().clone()).arguments(&ALWAYS).start();
        let mut client = server.client();
        for line in [
            "SET a 1",
            "SET a 2 IFEQ 1 EX 1000",
            "SET b hello EX 1000",
            "SET b world IFDEQ 9555e8555c62dcfd KEEPTTL GET",
            "SET c 1",
            "DELEX c IFEQ 1",
            "SET d 1",
            "DELIFEQ d 1",
            "MSETEX 2 e 1 f 2 PX 1000000",
            "MSETEX 2 e 3 g 4 KEEPTTL",
            "INCREX h BYINT 7 EX 1000",
            "INCREX h EX 5000 ENX",
            "INCREX i BYFLOAT 0.25 UBOUND 0.125 SATURATE",
            "INCREX a PERSIST",
            "SET j 1",
            "INCREX j PXAT 1",
        ] {
            client.line(line);
        }
        let before = contents(&server);
        assert_eq!(before.keys.len(), 7);
        server.kill();
        server.restart();
        contents(&server).assert_same(&before, "keys after and before the restart");
    }
}
