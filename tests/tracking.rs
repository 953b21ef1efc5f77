//! Client-side caching (CLIENT TRACKING): who is told of changes of which keys, when, and how.

use std::time::Duration;

use rustredis_testkit::{Client, Command, DEADLINE_DEFAULT, Server, assert_reply, every_engine, wait_until};

const SILENCE: Duration = Duration::from_millis(50);

/// A client that tracks with these options, in RESP3.
#[track_caller]
fn tracking(server: &Server, options: &str) -> Client {
    let mut client = server.client_resp3();
    client.check(&format!("CLIENT TRACKING ON {options}"), "+OK");
    client
}

/// A client that is subscribed in RESP2, and its id.
#[track_caller]
fn subscribed(server: &Server) -> (Client, i64) {
    let mut client = server.client();
    let id = client.line("CLIENT ID").integer();
    client.check("SUBSCRIBE __redis__:invalidate", "[\"subscribe\", \"__redis__:invalidate\", 1]");
    (client, id)
}

#[track_caller]
fn told(client: &mut Client, keys: &[&str]) {
    for key in keys {
        assert_reply!(client.read(), format!(">[\"invalidate\", [\"{key}\"]]"));
    }
}

#[track_caller]
fn told_of_everything(client: &mut Client) {
    assert_reply!(client.read(), ">[\"invalidate\", null]");
}

/// Nothing has come, nor comes before the reply to a PING.
#[track_caller]
fn not_told(client: &mut Client) {
    assert_reply!(client.line("PING"), "+PONG");
    assert_eq!(client.read_within(SILENCE), None);
}

#[track_caller]
fn run(client: &mut Client, lines: &[&str]) {
    for line in lines {
        let reply = client.line(line);
        assert!(!reply.is_error(), "{line}: {reply}");
    }
}

every_engine! {
    fn a_reader_is_told_of_a_change_once(server: &Server) {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        writer.check("SET a 1", "+OK");
        reader.check("GET a", "\"1\"");
        reader.check("GET a", "\"1\"");
        writer.check("SET a 2", "+OK");
        told(&mut reader, &["a"]);
        writer.check("SET a 3", "+OK");
        writer.check("SET b 1", "+OK");
        not_told(&mut reader);
        reader.check("GET a", "\"3\"");
        writer.check("DEL a", "1");
        told(&mut reader, &["a"]);
        reader.check("GET a", "null");
        writer.check("APPEND a x", "1");
        told(&mut reader, &["a"]);
    }

    /// Each type's reads and changes.
    fn all_that_reads_is_remembered_and_all_that_writes_is_told(server: &Server) {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        for (make, read, change) in [
            ("SET k 1", "MGET x k", "INCR k"),
            ("SET k 1", "STRLEN k", "SETRANGE k 0 x"),
            ("SET k 1", "EXISTS k", "GETDEL k"),
            ("SET k 1", "TTL k", "EXPIRE k 100"),
            ("RPUSH k 1", "LRANGE k 0 -1", "LPUSH k 2"),
            ("RPUSH k 1", "LLEN k", "LPOP k"),
            ("SADD k 1", "SMEMBERS k", "SADD k 2"),
            ("HSET k f 1", "HGETALL k", "HDEL k f"),
            ("ZADD k 1 m", "ZRANGE k 0 -1", "ZINCRBY k 1 m"),
            ("SET k 1", "BITCOUNT k", "SETBIT k 1 1"),
            ("SET k 1", "TYPE k", "RENAME k other"),
            ("SET k 1", "TYPE k", "MOVE k 1"),
            ("SET other 1", "GET k", "RENAME other k"),
            ("SET other 1", "GET k", "COPY other k"),
            ("SADD other 1", "SCARD k", "SUNIONSTORE k other"),
            ("SET k 1", "GETRANGE k 0 1", "PERSIST k"),
        ] {
            writer.check("FLUSHALL", "+OK");
            run(&mut writer, &[make]);
            if change.starts_with("PERSIST") {
                run(&mut writer, &["EXPIRE k 100"]);
            }
            reader.line("CLIENT TRACKING OFF");
            reader.line("CLIENT TRACKING ON");
            while reader.read_within(Duration::from_millis(1)).is_some() {}
            run(&mut reader, &[read]);
            run(&mut writer, &[change]);
            told(&mut reader, &["k"]);
            not_told(&mut reader);
        }
    }

    /// What fails, or changes nothing, tells nobody.
    fn what_changes_nothing_is_not_told(server: &Server) {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        run(&mut writer, &["SET a 1", "SADD s m"]);
        run(&mut reader, &["GET a", "SMEMBERS s", "GET none"]);
        writer.line("LPUSH a x");
        run(&mut writer, &["SETNX a 2", "SADD s m", "DEL none", "PERSIST a", "SET none x XX"]);
        not_told(&mut reader);
    }

    fn own_changes_are_told_behind_their_replies_but_with_noloop(server: &Server) {
        let mut client = tracking(server, "");
        run(&mut client, &["GET a", "GET b"]);
        client.check("SET a 1", "+OK");
        told(&mut client, &["a"]);
        let commands = ["GET a", "SET a 2", "GET a", "SET b 1"].map(Command::line);
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| command.encode(&mut bytes));
        client.send_raw(&bytes);
        let replies: Vec<String> = (0..6).map(|_| client.read().to_string()).collect();
        let (messages, others): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.starts_with('>'));
        assert_eq!(others, ["\"1\"", "+OK", "\"2\"", "+OK"]);
        assert_eq!(messages, [">[\"invalidate\", [\"a\"]]", ">[\"invalidate\", [\"b\"]]"]);

        let (mut client, mut other) = (tracking(server, "NOLOOP"), server.client());
        run(&mut client, &["MGET a b c"]);
        client.check("SET a 2", "+OK");
        not_told(&mut client);
        run(&mut other, &["SET b 2"]);
        told(&mut client, &["b"]);
        client.check("FLUSHALL", "+OK");
        told_of_everything(&mut client);
    }

    fn optin_and_optout(server: &Server) {
        let mut writer = server.client();
        let (mut opting_in, mut opting_out) = (tracking(server, "OPTIN"), tracking(server, "OPTOUT"));
        run(&mut opting_in, &["GET a", "CLIENT CACHING YES", "GET b", "GET c"]);
        run(&mut opting_out, &["GET a", "CLIENT CACHING NO", "GET b", "GET c"]);
        run(&mut writer, &["MSET a 1 b 1 c 1"]);
        told(&mut opting_in, &["b"]);
        not_told(&mut opting_in);
        let mut keys = [opting_out.read().to_string(), opting_out.read().to_string()];
        keys.sort();
        assert_eq!(keys, [">[\"invalidate\", [\"a\"]]", ">[\"invalidate\", [\"c\"]]"]);
        not_told(&mut opting_out);
    }

    /// CACHING holds for the next command that is not CLIENT's, or for MULTI as a whole.
    fn how_long_caching_holds(server: &Server) {
        let (mut client, mut writer) = (tracking(server, "OPTIN"), server.client());
        run(&mut client, &["CLIENT CACHING YES", "CLIENT ID", "GET a"]);
        run(&mut client, &["CLIENT CACHING YES", "PING", "GET b"]);
        run(&mut client, &["CLIENT CACHING YES", "MULTI", "GET c", "GET d", "EXEC", "GET e"]);
        run(&mut client, &["MULTI", "GET f", "CLIENT CACHING YES", "GET g", "EXEC", "GET h"]);
        client.line("CLIENT CACHING YES");
        client.line("NOSUCH");
        run(&mut client, &["GET i"]);
        for key in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
            writer.check(&format!("SET {key} 1"), "+OK");
        }
        told(&mut client, &["a", "c", "d", "g"]);
        not_told(&mut client);
    }

    fn all_keys_with_a_prefix_are_broadcast(server: &Server) {
        let mut writer = server.client();
        let mut all = tracking(server, "BCAST");
        let mut some = tracking(server, "BCAST PREFIX user: PREFIX order:");
        let mut own = tracking(server, "BCAST PREFIX user: NOLOOP");
        run(&mut writer, &["SET user:1 x"]);
        for client in [&mut all, &mut some, &mut own] {
            told(client, &["user:1"]);
        }
        run(&mut writer, &["SET use x", "SET order:1 x"]);
        told(&mut all, &["use", "order:1"]);
        told(&mut some, &["order:1"]);
        run(&mut own, &["SET user:1 y", "SET user:2 y"]);
        told(&mut all, &["user:1", "user:2"]);
        told(&mut some, &["user:1", "user:2"]);
        // A step is one message for each prefix.
        run(&mut writer, &["MULTI", "SET user:1 a", "SET user:2 a", "INCR order:2", "DEL user:1", "EXEC"]);
        assert_reply!(all.read(), ">[\"invalidate\", [\"order:2\", \"user:1\", \"user:2\"]]");
        let mut of_some = [some.read().to_string(), some.read().to_string()];
        of_some.sort();
        assert_eq!(of_some, [">[\"invalidate\", [\"order:2\"]]", ">[\"invalidate\", [\"user:1\", \"user:2\"]]"]);
        assert_reply!(own.read(), ">[\"invalidate\", [\"user:1\", \"user:2\"]]");
        run(&mut writer, &["FLUSHALL"]);
        for client in [&mut all, &mut some, &mut own] {
            told_of_everything(client);
            not_told(client);
        }
    }

    fn messages_are_redirected(server: &Server) {
        let ((mut subscriber, id), mut other) = (subscribed(server), server.client());
        let mut client = server.client();
        client.check(&format!("CLIENT TRACKING ON REDIRECT {id}"), "+OK");
        client.check("CLIENT GETREDIR", &id.to_string());
        run(&mut client, &["GET a", "GET b"]);
        run(&mut other, &["SET a 1"]);
        assert_reply!(subscriber.read(), "[\"message\", \"__redis__:invalidate\", [\"a\"]]");
        run(&mut other, &["FLUSHALL"]);
        assert_reply!(subscriber.read(), "[\"message\", \"__redis__:invalidate\", nil]");
        // In RESP3 it is a push there too.
        let mut target = server.client_resp3();
        let id = target.line("CLIENT ID").integer();
        client.check(&format!("CLIENT TRACKING ON REDIRECT {id}"), "+OK");
        run(&mut client, &["GET a"]);
        run(&mut other, &["SET a 2"]);
        told(&mut target, &["a"]);
        not_told(&mut client);
    }

    /// Over RESP2 nobody can be told without redirection, nor who is not subscribed.
    fn who_cannot_be_told_is_not(server: &Server) {
        let (mut target, mut client, mut other) = (server.client(), server.client(), server.client());
        client.check("CLIENT TRACKING ON", "+OK");
        run(&mut client, &["GET a"]);
        run(&mut other, &["SET a 1"]);
        not_told(&mut client);
        let id = target.line("CLIENT ID").integer();
        client.check(&format!("CLIENT TRACKING ON REDIRECT {id}"), "+OK");
        run(&mut client, &["GET a"]);
        run(&mut other, &["SET a 2"]);
        not_told(&mut target);
    }

    fn a_redirection_breaks(server: &Server) {
        let ((subscriber, id), mut other) = (subscribed(server), server.client());
        let (mut client, mut silent) = (server.client_resp3(), server.client());
        client.check(&format!("CLIENT TRACKING ON REDIRECT {id}"), "+OK");
        silent.check(&format!("CLIENT TRACKING ON REDIRECT {id}"), "+OK");
        run(&mut client, &["GET a"]);
        run(&mut silent, &["GET a"]);
        drop(subscriber);
        wait_until("the subscriber to be gone", DEADLINE_DEFAULT, || other.line(&format!("CLIENT LIST ID {id}")).text().is_empty());
        run(&mut other, &["SET a 1"]);
        assert_reply!(client.read(), format!(">[\"tracking-redir-broken\", {id}]"));
        not_told(&mut silent);
        silent.check("CLIENT TRACKINGINFO", &format!("[\"flags\", [\"on\", \"broken_redirect\"], \"redirect\", {id}, \"prefixes\", []]"));
        let own = silent.line("CLIENT ID").integer();
        let line = other.line(&format!("CLIENT LIST ID {own}")).text();
        assert!(line.contains("flags=tR ") && line.contains(&format!(" redir={id} ")), "{line}");
        // It is whole again by another one.
        silent.check("CLIENT TRACKING ON", "+OK");
        silent.check("CLIENT TRACKINGINFO", "[\"flags\", [\"on\"], \"redirect\", 0, \"prefixes\", []]");
    }

    fn options_have_their_errors(server: &Server) {
        let mut client = server.client();
        for (line, expected) in [
            ("CLIENT TRACKING", "-ERR wrong number of arguments for 'client|tracking' command"),
            ("CLIENT TRACKING maybe", "-ERR syntax error"),
            ("CLIENT TRACKING ON foo", "-ERR syntax error"),
            ("CLIENT TRACKING ON REDIRECT", "-ERR syntax error"),
            ("CLIENT TRACKING ON PREFIX", "-ERR syntax error"),
            ("CLIENT TRACKING ON REDIRECT x", "-ERR value is not an integer or out of range"),
            ("CLIENT TRACKING ON REDIRECT 0", "-ERR The client ID you want redirect to does not exist"),
            ("CLIENT TRACKING ON REDIRECT 99999999", "-ERR The client ID you want redirect to does not exist"),
            ("CLIENT TRACKING maybe REDIRECT 99999999", "-ERR The client ID you want redirect to does not exist"),
            ("CLIENT TRACKING ON PREFIX a", "-ERR PREFIX option requires BCAST mode to be enabled"),
            ("CLIENT TRACKING ON BCAST OPTIN", "-ERR OPTIN and OPTOUT are not compatible with BCAST"),
            ("CLIENT TRACKING ON OPTIN OPTOUT", "-ERR You can't specify both OPTIN mode and OPTOUT mode"),
            ("CLIENT TRACKING ON BCAST PREFIX ab PREFIX a", "-ERR Prefix 'ab' overlaps with another provided prefix 'a'. Prefixes for a single client must not overlap."),
            ("CLIENT CACHING YES", "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"),
            ("CLIENT TRACKINGINFO", "[\"flags\", [\"off\"], \"redirect\", -1, \"prefixes\", []]"),
            ("CLIENT GETREDIR", "-1"),
            ("CLIENT TRACKING ON OPTIN", "+OK"),
            ("CLIENT CACHING NO", "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."),
            ("CLIENT CACHING maybe", "-ERR syntax error"),
            ("CLIENT TRACKING ON OPTOUT", "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."),
            ("CLIENT TRACKING ON BCAST", "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."),
            ("CLIENT CACHING YES", "+OK"),
            ("CLIENT TRACKINGINFO", "[\"flags\", [\"on\", \"optin\", \"caching-yes\"], \"redirect\", 0, \"prefixes\", []]"),
            ("CLIENT TRACKING OFF", "+OK"),
            ("CLIENT TRACKING ON OPTOUT NOLOOP", "+OK"),
            ("CLIENT CACHING YES", "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."),
            ("CLIENT CACHING NO", "+OK"),
            ("CLIENT TRACKINGINFO", "[\"flags\", [\"on\", \"optout\", \"caching-no\", \"noloop\"], \"redirect\", 0, \"prefixes\", []]"),
            ("CLIENT TRACKING OFF", "+OK"),
            ("CLIENT TRACKING OFF", "+OK"),
            ("CLIENT TRACKING ON BCAST PREFIX b PREFIX a", "+OK"),
            ("CLIENT TRACKING ON BCAST PREFIX abc", "-ERR Prefix 'abc' overlaps with an existing prefix 'a'. Prefixes for a single client must not overlap."),
            ("CLIENT TRACKING ON", "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."),
            ("CLIENT TRACKING ON BCAST PREFIX c", "+OK"),
            ("CLIENT TRACKINGINFO", "[\"flags\", [\"on\", \"bcast\"], \"redirect\", 0, \"prefixes\", [\"a\", \"b\", \"c\"]]"),
        ] {
            client.check(line, expected);
        }
        let line = client.line("CLIENT INFO").text();
        assert!(line.contains("flags=tB ") && line.contains(" redir=0 "), "{line}");
    }

    fn transactions_and_scripts(server: &Server) {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        run(&mut reader, &["MULTI", "GET a", "GET b"]);
        reader.check("EXEC", "[null, null]");
        let text = "redis.call('get', KEYS[1]) return redis.call('get', 'd')";
        assert!(reader.call(&["EVAL", text, "1", "c"]).is_null());
        assert!(reader.call(&["EVAL_RO", "return redis.call('get', KEYS[1])", "1", "e"]).is_null());
        run(&mut writer, &["MULTI", "SET b 1", "SET a 1", "EXEC"]);
        let mut keys = [reader.read().to_string(), reader.read().to_string()];
        keys.sort();
        assert_eq!(keys, [">[\"invalidate\", [\"a\"]]", ">[\"invalidate\", [\"b\"]]"]);
        writer.call(&["EVAL", "redis.call('set', KEYS[1], 1)", "1", "c"]);
        told(&mut reader, &["c"]);
        // Before 7.2 it was the script's KEYS that counted.
        if !server.is_redis() {
            run(&mut writer, &["SET d 1"]);
            told(&mut reader, &["d"]);
        }
        run(&mut writer, &["SET e 1"]);
        told(&mut reader, &["e"]);
        // What is read behind a change in the same step is as it is left.
        run(&mut reader, &["MULTI", "SET f 1", "GET f", "EXEC"]);
        not_told(&mut reader);
        // One's own come behind the reply of the whole.
        run(&mut reader, &["GET a", "MULTI", "SET a 2", "GET a", "FLUSHALL"]);
        reader.check("EXEC", "[+OK, \"2\", +OK]");
        let mut last = reader.read();
        while last.to_string() != ">[\"invalidate\", null]" {
            last = reader.read();
        }
        not_told(&mut reader);
    }

    fn what_expires_is_told(server: &Server) {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        let mut own = tracking(server, "NOLOOP");
        let mut all = tracking(server, "BCAST");
        run(&mut writer, &["SET a 1 PX 30"]);
        told(&mut all, &["a"]);
        run(&mut reader, &["GET a"]);
        run(&mut own, &["GET a"]);
        told(&mut reader, &["a"]);
        told(&mut own, &["a"]);
        told(&mut all, &["a"]);
        reader.check("GET a", "null");
    }

    fn flushed_and_swapped_databases_are_everything(server: &Server) {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        for line in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"] {
            run(&mut writer, &["SET a 1"]);
            run(&mut reader, &["GET a"]);
            if line.starts_with("SWAPDB") && server.is_redis() {
                continue;
            }
            run(&mut writer, &[line]);
            told_of_everything(&mut reader);
            run(&mut writer, &["SET a 1"]);
            not_told(&mut reader);
        }
    }

    /// A name is one for all databases.
    fn databases_share_names(server: &Server) {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        run(&mut reader, &["GET a"]);
        run(&mut writer, &["SELECT 1", "SET a 1"]);
        told(&mut reader, &["a"]);
    }

    /// Serving a client that waits changes the key twice.
    fn served_waiters_are_changes(server: &Server) {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        let mut waiter = server.client_resp3();
        waiter.check("CLIENT TRACKING ON NOLOOP", "+OK");
        let id = waiter.line("CLIENT ID").integer();
        waiter.send(&Command::line("BLMOVE a b LEFT RIGHT 0").arguments);
        wait_until("BLMOVE to block", DEADLINE_DEFAULT, || writer.line(&format!("CLIENT LIST ID {id}")).text().contains("flags=bt"));
        run(&mut reader, &["LLEN b"]);
        run(&mut writer, &["RPUSH a x"]);
        assert_reply!(waiter.read(), "\"x\"");
        told(&mut reader, &["b"]);
        // Who waits hears of what it has read all the same.
        run(&mut waiter, &["GET c"]);
        waiter.send(&Command::line("BLPOP a 0").arguments);
        run(&mut writer, &["SET c 1"]);
        told(&mut waiter, &["c"]);
        run(&mut writer, &["RPUSH a y"]);
        assert_reply!(waiter.read(), "[\"a\", \"y\"]");
    }

    fn replies_that_are_not_wanted_leave_messages_alone(server: &Server) {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        run(&mut reader, &["GET a"]);
        reader.send(&Command::line("CLIENT REPLY OFF").arguments);
        reader.send(&Command::line("GET b").arguments);
        // Whether the server has seen these is not told: it is once it knows the name.
        reader.send(&Command::line("CLIENT SETNAME off").arguments);
        wait_until("the name", DEADLINE_DEFAULT, || writer.line("CLIENT LIST").text().contains("name=off"));
        run(&mut writer, &["SET a 1", "SET b 1"]);
        told(&mut reader, &["a", "b"]);
    }

    fn the_table_is_counted_and_bounded(server: &Server) {
        let (mut reader, mut other, mut writer) = (tracking(server, ""), tracking(server, ""), server.client());
        let broadcast = tracking(server, "BCAST PREFIX a PREFIX b");
        let count = |field: &str| server.info(field).unwrap();
        for number in 0..100 {
            run(&mut reader, &[&format!("GET key:{number}")]);
        }
        run(&mut other, &["GET key:0"]);
        assert_eq!((count("tracking_clients"), count("tracking_total_keys")), ("3".into(), "100".into()));
        assert_eq!((count("tracking_total_items"), count("tracking_total_prefixes")), ("101".into(), "2".into()));
        run(&mut writer, &["CONFIG SET tracking-table-max-keys 10"]);
        if !server.is_redis() {
            wait_until("keys to be forgotten", DEADLINE_DEFAULT, || count("tracking_total_keys") == "10");
            let told = (0..90).map(|_| reader.read().to_string()).collect::<std::collections::HashSet<_>>();
            assert_eq!(told.len(), 90);
            not_told(&mut reader);
        }
        run(&mut writer, &["CONFIG SET tracking-table-max-keys 0"]);
        drop((broadcast, reader, other));
        wait_until("the clients to be gone", DEADLINE_DEFAULT, || count("tracking_clients") == "0");
        if !server.is_redis() {
            wait_until("their keys to be gone", DEADLINE_DEFAULT, || {
                (count("tracking_total_keys"), count("tracking_total_items")) == ("0".into(), "0".into())
            });
            assert_eq!(count("tracking_total_prefixes"), "0");
        }
    }

    /// A bound of our own.
    fn a_client_has_so_many_keys_at_most(server: &Server) {
        if server.is_redis() {
            return;
        }
        let (mut reader, mut other) = (tracking(server, ""), tracking(server, ""));
        run(&mut other, &["CONFIG SET tracking-client-max-keys 10", "GET key:1"]);
        for number in 0..100 {
            reader.send(&Command::line(&format!("GET key:{number}")).arguments);
        }
        let mut replies: Vec<String> = (0..190).map(|_| reader.read().to_string()).collect();
        replies.retain(|reply| reply != "null");
        replies.sort();
        replies.dedup();
        assert_eq!(replies.len(), 90, "{replies:?}");
        not_told(&mut reader);
        not_told(&mut other);
        // What is still remembered is told, and nothing else.
        for number in 0..100 {
            run(&mut server.client(), &[&format!("SET key:{number} 1")]);
        }
        replies.extend((0..10).map(|_| reader.read().to_string()));
        replies.sort();
        replies.dedup();
        assert_eq!(replies.len(), 100);
        not_told(&mut reader);
        told(&mut other, &["key:1"]);
    }

    fn evicted_keys_are_told_before_the_reply_of_what_evicts(server: &Server) with ["--maxmemory-policy", "allkeys-random"] {
        if server.is_redis() {
            return;
        }
        let mut reader = tracking(server, "");
        reader.check("SET a 1", "+OK");
        reader.check("GET a", "\"1\"");
        let used: u64 = server.info("used_memory").unwrap().parse().unwrap();
        reader.check(&format!("CONFIG SET maxmemory {}", used / 2), "+OK");
        wait_until("the key to be evicted", DEADLINE_DEFAULT, || {
            reader.send(&["PING"]);
            reader.read().to_string().starts_with('>')
        });
        assert_reply!(reader.read(), "+PONG");
        reader.check("CONFIG SET maxmemory 0", "+OK");
    }

    fn the_end_of_tracking(server: &Server) {
        let mut writer = server.client();
        for end in ["CLIENT TRACKING OFF", "RESET"] {
            let mut reader = tracking(server, "");
            run(&mut reader, &["GET a"]);
            run(&mut reader, &[end]);
            run(&mut writer, &["SET a 1"]);
            not_told(&mut reader);
            if end != "RESET" {
                // Begun again, what was read before is not told.
                run(&mut reader, &["GET b", "CLIENT TRACKING ON"]);
                run(&mut writer, &["SET a 1", "SET b 2"]);
                not_told(&mut reader);
                run(&mut reader, &["GET a"]);
                run(&mut writer, &["SET a 1"]);
                told(&mut reader, &["a"]);
            }
        }
    }

    fn clients_come_and_go(server: &Server) {
        let mut writer = server.client();
        for round in 0..10 {
            let mut readers: Vec<Client> = (0..5).map(|_| tracking(server, "")).collect();
            for reader in &mut readers {
                run(reader, &["GET a", "GET b"]);
            }
            let killed = readers[0].line("CLIENT ID").integer();
            writer.check(&format!("CLIENT KILL ID {killed}"), "1");
            drop(readers.split_off(3));
            run(&mut writer, &[&format!("SET a {round}")]);
            told(&mut readers[1], &["a"]);
            told(&mut readers[2], &["a"]);
        }
        let count = |field: &str| server.info(field).unwrap();
        wait_until("all to be gone", DEADLINE_DEFAULT, || count("tracking_clients") == "0");
        if !server.is_redis() {
            wait_until("their keys to be gone", DEADLINE_DEFAULT, || count("tracking_total_items") == "0");
        }
        run(&mut writer, &["SET a 1", "SET b 1"]);
        assert_eq!(count("tracking_total_keys"), "0");
    }

    /// A reader that does not read its messages is closed, as a subscriber is.
    fn a_deaf_reader_is_closed(server: &Server) with ["--client-output-buffer-limit", "pubsub 1mb 0 0"] {
        if server.is_redis() {
            return;
        }
        let (mut deaf, mut writer) = (tracking(server, "BCAST"), server.client());
        let id = deaf.line("CLIENT ID").integer();
        let key = "k".repeat(100_000);
        for _ in 0..1000 {
            run(&mut writer, &[&format!("INCR {key}")]);
            if writer.line(&format!("CLIENT LIST ID {id}")).text().is_empty() {
                break;
            }
        }
        writer.check(&format!("CLIENT LIST ID {id}"), "\"\"");
        wait_until("its tracking to be gone", DEADLINE_DEFAULT, || {
            server.info("tracking_total_prefixes").unwrap() == "0"
        });
    }

    /// The reading of published strings without a lock comes back when it is over.
    fn hot_keys_of_trackers_are_told(server: &Server) {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        run(&mut writer, &["SET a 0"]);
        for round in 1..50 {
            for _ in 0..5 {
                run(&mut writer, &["GET a"]);
                run(&mut reader, &["GET a"]);
            }
            run(&mut writer, &[&format!("SET a {round}")]);
            told(&mut reader, &["a"]);
        }
    }
}
