//! MULTI, EXEC, DISCARD, WATCH: what is queued, what aborts, what counts as a change.

use rustredis_testkit::{Client, DEADLINE_DEFAULT, every_engine, wait_until};

/// Sends lines that must all be queued, then EXEC.
#[track_caller]
fn check_transaction(client: &mut Client, lines: &[&str], expected: &str) {
    client.check("MULTI", "+OK");
    lines.iter().for_each(|line| client.check(line, "+QUEUED"));
    client.check("EXEC", expected);
}

every_engine! {
    fn a_queue_runs_as_it_was_queued(server: &Server) {
        let mut client = server.client();
        check_transaction(&mut client, &[], "[]");
        check_transaction(&mut client, &["SET a 1", "INCR a", "GET a"], "[+OK, 2, \"2\"]");
        check_transaction(&mut client, &["SELECT 3", "SET a x", "SELECT 0", "GET a"], "[+OK, +OK, +OK, \"2\"]");
        client.check("GET a", "\"2\"");
        let mut modern = server.client_resp3();
        check_transaction(&mut modern, &["HGETALL none", "GET none"], "[{}, null]");
    }

    fn an_error_in_the_queue_stops_nothing(server: &Server) {
        let mut client = server.client();
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        check_transaction(&mut client, &["SET a x", "LPUSH a 1", "GET a"], &format!("[+OK, {wrong}, \"x\"]"));
    }

    fn what_cannot_be_queued_aborts(server: &Server) {
        let mut client = server.client();
        let aborted = "-EXECABORT Transaction discarded because of previous errors.";
        client.check("MULTI", "+OK");
        client.check("SET a 1", "+QUEUED");
        client.check("NONE", "-ERR unknown command 'NONE', with args beginning with: ");
        client.check("SET b 1", "+QUEUED");
        client.check("EXEC", aborted);
        client.check("MULTI", "+OK");
        client.check("SET a", "-ERR wrong number of arguments for 'set' command");
        client.check("EXEC", aborted);
        client.check("EXISTS a b", "0");
        client.check("MULTI", "+OK");
        client.check("EXEC x", "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command");
        client.check("EXEC", "-ERR EXEC without MULTI");
    }

    fn mistakes_that_abort_nothing(server: &Server) {
        let mut client = server.client();
        client.check("EXEC", "-ERR EXEC without MULTI");
        client.check("DISCARD", "-ERR DISCARD without MULTI");
        client.check("MULTI", "+OK");
        client.check("MULTI", "-ERR MULTI calls can not be nested");
        client.check("WATCH a", "-ERR WATCH inside MULTI is not allowed");
        client.check("PING", "+QUEUED");
        client.check("EXEC", "[+PONG]");
    }

    fn discard_forgets_the_queue_and_the_watches(server: &Server) {
        let mut client = server.client();
        client.check("WATCH a", "+OK");
        client.check("MULTI", "+OK");
        client.check("SET a 1", "+QUEUED");
        client.check("DISCARD", "+OK");
        client.check("GET a", "nil");
        server.client().check("SET a 2", "+OK");
        check_transaction(&mut client, &["GET a"], "[\"2\"]");
    }

    fn a_watched_key_that_changes_aborts(server: &Server) {
        let (mut client, mut other) = (server.client(), server.client());
        for (before, change) in [
            ("SET {k} 1", "SET {k} 1"),
            ("SET {k} 1", "DEL {k}"),
            ("SET {k} 1", "EXPIRE {k} 100"),
            ("SET {k} 1", "RENAME {k} {k}2"),
            ("SET {k}2 1", "RENAME {k}2 {k}"),
            ("SET {k} 1", "FLUSHALL"),
            ("PING", "APPEND {k} x"),
            ("RPUSH {k} x", "RPOP {k}"),
            ("HSET {k} f v", "HDEL {k} f"),
            ("SADD {k} m", "SMOVE {k} {k}2 m"),
        ] {
            let line = |text: &str| text.replace("{k}", "watched");
            client.check("FLUSHALL", "+OK");
            other.line(&line(before));
            client.check("WATCH watched other", "+OK");
            let reply = other.line(&line(change));
            assert!(!reply.is_error(), "{change}: {reply}");
            check_transaction(&mut client, &["SET done 1"], "nil-array");
            client.check("EXISTS done", "0");
            // The watch is over.
            check_transaction(&mut client, &["PING"], "[+PONG]");
        }
    }

    fn what_changes_nothing_aborts_nothing(server: &Server) {
        let (mut client, mut other) = (server.client(), server.client());
        client.check("SET a 1", "+OK");
        client.check("SADD s m", "1");
        for line in ["GET a", "SADD s m", "DEL none", "SET other 1", "SETNX a 2", "FLUSHDB"] {
            if line == "FLUSHDB" {
                other.check("SELECT 1", "+OK");
            }
            client.check("WATCH a s gone", "+OK");
            other.line(line);
            check_transaction(&mut client, &["GET a"], "[\"1\"]");
        }
    }

    fn own_changes_count_as_well(server: &Server) {
        let mut client = server.client();
        client.check("WATCH a", "+OK");
        client.check("SET a 1", "+OK");
        check_transaction(&mut client, &["PING"], "nil-array");
        client.check("WATCH a", "+OK");
        client.check("SET a 2", "+OK");
        client.check("UNWATCH", "+OK");
        check_transaction(&mut client, &["PING"], "[+PONG]");
        server.client_resp3().check("UNWATCH", "+OK");
    }

    fn a_watch_knows_its_database(server: &Server) {
        let (mut client, mut other) = (server.client(), server.client());
        client.check("SELECT 5", "+OK");
        client.check("WATCH a", "+OK");
        other.check("SET a 1", "+OK");
        check_transaction(&mut client, &["PING"], "[+PONG]");
        client.check("WATCH a", "+OK");
        client.check("SELECT 0", "+OK");
        other.check("SELECT 5", "+OK");
        other.check("SET a 1", "+OK");
        check_transaction(&mut client, &["PING"], "nil-array");
    }

    fn expiry_of_a_watched_key(server: &Server) {
        let (mut client, mut other) = (server.client(), server.client());
        client.check("SET a 1 PX 20", "+OK");
        client.check("WATCH a", "+OK");
        wait_until("expiry", DEADLINE_DEFAULT, || other.line("EXISTS a").integer() == 0);
        check_transaction(&mut client, &["PING"], "nil-array");
        // One that was gone already is gone still.
        client.check("WATCH a", "+OK");
        check_transaction(&mut client, &["PING"], "[+PONG]");
        client.check("SET b 1 PXAT 1", "+OK");
        client.check("WATCH b", "+OK");
        check_transaction(&mut client, &["PING"], "[+PONG]");
    }

    /// Waiters see a transaction as a whole.
    fn waiters_are_served_after_the_last_command(server: &Server) {
        let (mut waiter, mut client) = (server.client(), server.client());
        let id = waiter.line("CLIENT ID").integer();
        waiter.send(&["BLPOP", "list", "0"]);
        wait_until("it to block", DEADLINE_DEFAULT, || {
            client.line(&format!("CLIENT LIST ID {id}")).text().contains("flags=b")
        });
        check_transaction(&mut client, &["RPUSH list a", "DEL list", "RPUSH list b c", "LLEN list"], "[1, 1, 2, 2]");
        assert_eq!(waiter.read().to_string(), "[\"list\", \"b\"]");
        client.check("LRANGE list 0 -1", "[\"c\"]");
    }

    fn nothing_blocks_inside(server: &Server) {
        let mut client = server.client();
        let lines = [
            "BLPOP a 0", "BRPOP a b 0", "BLMPOP 0 1 a LEFT", "BLMOVE a b LEFT RIGHT 0", "BRPOPLPUSH a b 0", "BZPOPMIN z 0",
            "BZPOPMAX z 0", "BZMPOP 0 1 z MIN",
        ];
        check_transaction(&mut client, &lines,
            "[nil-array, nil-array, nil-array, nil, nil, nil-array, nil-array, nil-array]");
        client.check("RPUSH a 1 2", "2");
        check_transaction(&mut client, &["BLPOP a 0", "BLMOVE a b LEFT RIGHT 0"], "[[\"a\", \"1\"], \"2\"]");
    }

    /// EXEC is refused whole where one of its commands would be.
    fn writes_need_the_replicas_asked_for(server: &Server) {
        let (mut client, mut reader, mut other) = (server.client(), server.client(), server.client());
        for one in [&mut client, &mut reader] {
            one.check("MULTI", "+OK");
            one.check("GET a", "+QUEUED");
        }
        client.check("SET a 1", "+QUEUED");
        other.check("CONFIG SET min-replicas-to-write 2", "+OK");
        other.check("SET a 1", "-NOREPLICAS Not enough good replicas to write.");
        reader.check("EXEC", "[nil]");
        client.check("EXEC",
            "-EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to write.");
        client.check("EXEC", "-ERR EXEC without MULTI");
        other.check("CONFIG SET min-replicas-to-write 0", "+OK");
        other.check("SET a 1", "+OK");
    }
}
