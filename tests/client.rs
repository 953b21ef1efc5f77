//! CLIENT, MONITOR, AUTH, HELLO, RESET: what connections say of themselves, and what others see of them and do to them.

use std::time::{Duration, Instant};

use rustredis_testkit::{Client, DEADLINE_DEFAULT, Reply, assert_reply, every_engine, wait_until};

const SILENCE: Duration = Duration::from_millis(50);

fn id(client: &mut Client) -> i64 {
    client.line("CLIENT ID").integer()
}

/// A field of a client's line.
#[track_caller]
fn field(line: &str, name: &str) -> String {
    let value = line.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {line}")).trim().to_owned()
}

/// A field of the client with this id, as another sees it.
#[track_caller]
fn seen(asker: &mut Client, id: i64, name: &str) -> String {
    field(&asker.line(&format!("CLIENT LIST ID {id}")).text(), name)
}

#[track_caller]
fn wait_for_blocked(asker: &mut Client, id: i64) {
    wait_until("the client to block", DEADLINE_DEFAULT, || seen(asker, id, "flags").contains('b'));
}

every_engine! {
    fn a_client_has_a_name(server: &Server) {
        let mut client = server.client();
        client.check("CLIENT GETNAME", "nil");
        client.check("CLIENT SETNAME me", "+OK");
        client.check("CLIENT GETNAME", "\"me\"");
        let wrong = "-ERR Client names cannot contain spaces, newlines or special characters.";
        client.check("CLIENT SETNAME \"a b\"", wrong);
        client.check("CLIENT SETNAME \"a\\nb\"", wrong);
        client.check("HELLO 2 SETNAME \"a b\"", wrong);
        client.check("CLIENT GETNAME", "\"me\"");
        client.check("CLIENT SETNAME \"\"", "+OK");
        client.check("CLIENT GETNAME", "nil");
        client.check_prefix("HELLO 3 SETNAME you", "{\"server\": \"redis\"");
        client.check("CLIENT GETNAME", "\"you\"");
    }

    fn a_client_is_described(server: &Server) {
        let (mut client, mut asker) = (server.client(), server.client());
        let number = id(&mut client);
        assert_eq!(id(&mut asker), number + 1);
        let line = client.line("CLIENT INFO").text();
        assert_eq!(field(&line, "id"), number.to_string());
        for (name, expected) in [
            ("flags", "N"), ("db", "0"), ("sub", "0"), ("psub", "0"), ("ssub", "0"), ("multi", "-1"), ("qbuf", "26"),
            ("argv-mem", "10"), ("multi-mem", "0"), ("obl", "0"), ("oll", "0"), ("omem", "0"), ("events", "r"),
            ("cmd", "client|info"), ("user", "default"), ("redir", "-1"), ("resp", "2"), ("name", ""),
        ] {
            assert_eq!(field(&line, name), expected, "{name} in {line}");
        }
        client.check("SELECT 5", "+OK");
        client.check("SET a 1", "+OK");
        client.check("CLIENT SETNAME x", "+OK");
        client.check("GET a", "\"1\"");
        wait_until("the command", DEADLINE_DEFAULT, || seen(&mut asker, number, "cmd") == "get");
        assert_eq!(seen(&mut asker, number, "db"), "5");
        assert_eq!(seen(&mut asker, number, "name"), "x");
        assert_eq!(seen(&mut asker, number, "qbuf"), "0");
        client.check("MULTI", "+OK");
        client.check("PING", "+QUEUED");
        assert_eq!(seen(&mut asker, number, "multi"), "1");
        assert_eq!(seen(&mut asker, number, "flags"), "x");
        client.check("DISCARD", "+OK");
        client.line("SUBSCRIBE a b");
        client.read();
        assert_eq!(seen(&mut asker, number, "sub"), "2");
        assert_eq!(seen(&mut asker, number, "flags"), "P");
        assert_eq!(asker.line("CLIENT LIST TYPE pubsub").text().lines().count(), 1);
        assert_eq!(asker.line("CLIENT LIST TYPE normal").text().lines().count(), 1);
        asker.check("CLIENT LIST TYPE master", "\"\"");
        asker.check("CLIENT LIST ID 0 99999", "\"\"");
        let both = asker.line(&format!("CLIENT LIST ID {} {number}", number + 1)).text();
        let ids: Vec<String> = both.lines().map(|line| field(line, "id")).collect();
        assert_eq!(ids, [(number + 1).to_string(), number.to_string()]);
        let mut modern = server.client_resp3();
        assert!(matches!(modern.line("CLIENT INFO"), Reply::Verbatim(format, _) if format == "txt"));
    }

    fn a_library_tells_its_name(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        client.check("CLIENT SETINFO lib-name redis-x", "+OK");
        client.check("CLIENT SETINFO LIB-VER 1.2.3", "+OK");
        client.check("CLIENT SETINFO lib-foo x", "-ERR Unrecognized option 'lib-foo'");
        client.check("CLIENT SETINFO lib-ver \"1 2\"",
            "-ERR lib-ver cannot contain spaces, newlines or special characters.");
        client.check("RESET", "+RESET");
        let line = client.line("CLIENT INFO").text();
        assert_eq!((field(&line, "lib-name"), field(&line, "lib-ver")), ("redis-x".into(), "1.2.3".into()));
    }

    fn mistakes_have_redis_texts(server: &Server) {
        let mut client = server.client();
        for (line, expected) in [
            ("CLIENT", "-ERR wrong number of arguments for 'client' command"),
            ("CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
            ("CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command"),
            ("CLIENT KILL foo", "-ERR No such client"),
            ("CLIENT KILL ID", "-ERR No such client"),
            ("CLIENT KILL ID x", "-ERR client-id should be greater than 0"),
            ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0"),
            ("CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'"),
            ("CLIENT KILL USER foo", "-ERR No such user 'foo'"),
            ("CLIENT KILL SKIPME foo", "-ERR syntax error"),
            ("CLIENT KILL FOO bar", "-ERR syntax error"),
            ("CLIENT KILL ADDR a:1 LADDR", "-ERR syntax error"),
            ("CLIENT LIST FOO", "-ERR syntax error"),
            ("CLIENT LIST TYPE", "-ERR syntax error"),
            ("CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'"),
            ("CLIENT LIST ID x", "-ERR Invalid client ID"),
            ("CLIENT NO-EVICT foo", "-ERR syntax error"),
            ("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range"),
            ("CLIENT PAUSE -1", "-ERR timeout is negative"),
            ("CLIENT PAUSE 10 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL"),
            ("CLIENT REPLY foo", "-ERR syntax error"),
            ("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range"),
            ("CLIENT UNBLOCK 1 foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
            ("CLIENT UNBLOCK 9999", "0"),
            ("CLIENT GETREDIR", "-1"),
            ("CLIENT TRACKINGINFO", "[\"flags\", [\"off\"], \"redirect\", -1, \"prefixes\", []]"),
        ] {
            client.check(line, expected);
        }
    }

    fn killing_by_filters(server: &Server) {
        let (mut killer, mut victim, mut subscriber) = (server.client(), server.client(), server.client());
        let address = field(&victim.line("CLIENT INFO").text(), "addr");
        killer.check(&format!("CLIENT KILL {address}"), "+OK");
        assert_eq!(victim.read_to_close(), []);
        killer.check(&format!("CLIENT KILL {address}"), "-ERR No such client");
        subscriber.line("SUBSCRIBE a");
        let mut victim = server.client();
        let number = id(&mut victim);
        killer.check(&format!("CLIENT KILL ID {number} TYPE pubsub"), "0");
        killer.check("CLIENT KILL TYPE pubsub", "1");
        killer.check("PUBLISH a x", "0");
        assert_eq!(subscriber.read_to_close(), []);
        killer.check("CLIENT KILL USER default", "1");
        assert_eq!(victim.read_to_close(), []);
        assert_eq!(killer.line("CLIENT LIST").text().lines().count(), 1);
        killer.check("CLIENT KILL TYPE normal SKIPME yes", "0");
        let own = field(&killer.line("CLIENT INFO").text(), "laddr");
        killer.check(&format!("CLIENT KILL LADDR {own} SKIPME no"), "1");
        assert_eq!(killer.read_to_close(), []);
    }

    fn the_old_are_killed(server: &Server) {
        if server.is_redis() {
            return;
        }
        let (mut killer, mut victim) = (server.client(), server.client());
        let number = id(&mut victim);
        killer.check("CLIENT KILL MAXAGE 1000", "0");
        killer.check("CLIENT KILL MAXAGE 0", "-ERR maxage should be greater than 0");
        wait_until("age", DEADLINE_DEFAULT, || seen(&mut killer, number, "age") != "0");
        killer.check("CLIENT KILL MAXAGE 1", "1");
        assert_eq!(victim.read_to_close(), []);
    }

    /// A killed client takes nothing that comes after.
    fn who_is_killed_while_waiting_is_not_served(server: &Server) {
        let (mut killer, mut waiter) = (server.client(), server.client());
        let number = id(&mut waiter);
        waiter.send(&["BLPOP", "list", "0"]);
        wait_for_blocked(&mut killer, number);
        killer.check(&format!("CLIENT KILL ID {number}"), "1");
        killer.check("RPUSH list a", "1");
        killer.check("LLEN list", "1");
        assert_eq!(waiter.read_to_close(), []);
    }

    fn replies_can_be_left_out(server: &Server) {
        let mut client = server.client();
        client.send(&["CLIENT", "REPLY", "OFF"]);
        client.send(&["SET", "a", "1"]);
        client.send(&["NONE"]);
        client.send(&["CLIENT", "REPLY", "SKIP"]);
        client.check("CLIENT REPLY ON", "+OK");
        client.send(&["CLIENT", "REPLY", "SKIP"]);
        client.send(&["GET", "a"]);
        client.check("GET a", "\"1\"");
        client.send(&["CLIENT", "REPLY", "SKIP"]);
        client.send(&["GET"]);
        client.check("PING", "+PONG");
        // What is pushed is no reply.
        client.send(&["CLIENT", "REPLY", "OFF"]);
        client.check("SUBSCRIBE c", "[\"subscribe\", \"c\", 1]");
        server.client().check("PUBLISH c x", "1");
        assert_reply!(client.read(), "[\"message\", \"c\", \"x\"]");
        client.check("RESET", "+RESET");
    }

    fn a_pause_lets_everybody_wait(server: &Server) {
        let (mut client, mut other) = (server.client(), server.client());
        client.check("CLIENT PAUSE 300 ALL", "+OK");
        let began = Instant::now();
        other.check("PING", "+PONG");
        assert!(began.elapsed() > Duration::from_millis(200), "after {:?}", began.elapsed());
    }

    fn a_pause_of_writes_lets_reads_through(server: &Server) {
        let (mut client, mut reader) = (server.client(), server.client());
        let mut writers = ["SET a 2", "PUBLISH c x", "EXEC"].map(|line| (server.client(), line));
        client.check("SET a 1", "+OK");
        writers[2].0.check("MULTI", "+OK");
        writers[2].0.check("INCR n", "+QUEUED");
        let number = id(&mut writers[0].0);
        client.check("CLIENT PAUSE 100000 WRITE", "+OK");
        for (writer, line) in &mut writers {
            writer.send(&line.split(' ').collect::<Vec<_>>());
        }
        wait_for_blocked(&mut reader, number);
        reader.check("GET a", "\"1\"");
        reader.check("MULTI", "+OK");
        reader.check("GET a", "+QUEUED");
        reader.check("EXEC", "[\"1\"]");
        for (writer, _) in &mut writers {
            assert_eq!(writer.read_within(SILENCE), None);
        }
        reader.check("CLIENT UNPAUSE", "+OK");
        assert_reply!(writers[0].0.read(), "+OK");
        assert_reply!(writers[1].0.read(), "0");
        assert_reply!(writers[2].0.read(), "[1]");
        assert_eq!(seen(&mut reader, number, "flags"), "N");
    }

    fn a_paused_client_can_be_killed(server: &Server) {
        let (mut client, mut writer) = (server.client(), server.client());
        let number = id(&mut writer);
        client.check("CLIENT PAUSE 100000 WRITE", "+OK");
        writer.send(&["SET", "a", "1"]);
        wait_for_blocked(&mut client, number);
        client.check(&format!("CLIENT KILL ID {number}"), "1");
        assert_eq!(writer.read_to_close(), []);
        client.check("CLIENT UNPAUSE", "+OK");
        client.check("GET a", "nil");
    }

    fn reset_forgets_everything(server: &Server) {
        let mut client = server.client_resp3();
        client.check("CLIENT SETNAME me", "+OK");
        client.check("SELECT 7", "+OK");
        client.check("WATCH w", "+OK");
        if !server.is_redis() {
            client.check("CLIENT NO-TOUCH on", "+OK");
            client.check("CLIENT NO-EVICT on", "+OK");
        }
        client.line("SUBSCRIBE a");
        client.check("MULTI", "+OK");
        client.check("SET a 1", "+QUEUED");
        client.check("RESET", "+RESET");
        client.check("GET a", "nil");
        client.check("EXEC", "-ERR EXEC without MULTI");
        let line = client.line("CLIENT INFO").text();
        for (name, expected) in [("name", ""), ("db", "0"), ("flags", "N"), ("resp", "2"), ("sub", "0")] {
            assert_eq!(field(&line, name), expected, "{name} in {line}");
        }
        // The watch is over too.
        server.client().check("SET w 1", "+OK");
        client.check("MULTI", "+OK");
        client.check("PING", "+QUEUED");
        client.check("EXEC", "[+PONG]");
    }

    fn hello_agrees_on_a_protocol(server: &Server) {
        let mut client = server.client();
        client.check("HELLO 1", "-NOPROTO unsupported protocol version");
        client.check("HELLO x", "-ERR Protocol version is not an integer or out of range");
        client.check("HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'");
        client.check("HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'");
        client.check("HELLO 3 AUTH who x", "-WRONGPASS invalid username-password pair or user is disabled.");
        assert!(matches!(client.line("HELLO"), Reply::Array(parts) if parts.len() == 14));
        assert!(matches!(client.line("HELLO 3 AUTH default any"), Reply::Map(pairs) if pairs.len() == 7));
        client.check("HGETALL none", "{}");
        assert!(matches!(client.line("HELLO 2"), Reply::Array(parts) if parts.len() == 14));
        client.check("HGETALL none", "[]");
    }

    fn a_password_is_asked_for(server: &Server) with ["--requirepass", "secret"] {
        let mut client = server.client();
        client.check("GET a", "-NOAUTH Authentication required.");
        client.check("NONE", "-ERR unknown command 'NONE', with args beginning with: ");
        client.check("GET", "-ERR wrong number of arguments for 'get' command");
        client.check_prefix("HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated");
        client.check("AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.");
        client.check("AUTH default wrong", "-WRONGPASS invalid username-password pair or user is disabled.");
        client.check("AUTH a b c", "-ERR syntax error");
        client.check("AUTH secret", "+OK");
        client.check("GET a", "nil");
        client.check("RESET", "+RESET");
        client.check("GET a", "-NOAUTH Authentication required.");
        client.check_prefix("HELLO 3 AUTH default secret", "{\"server\"");
        client.check("GET a", "null");
        client.check("CONFIG SET requirepass \"\"", "+OK");
        server.client().check("GET a", "nil");
    }

    fn a_password_where_there_is_none(server: &Server) {
        let mut client = server.client();
        client.check_prefix("AUTH x", "-ERR AUTH <password> called without any password configured");
        client.check("AUTH default x", "+OK");
        client.check("AUTH who x", "-WRONGPASS invalid username-password pair or user is disabled.");
    }

    fn the_unauthenticated_may_send_little(server: &Server) with ["--requirepass", "secret"] {
        let mut client = server.client();
        client.send_raw(b"*11\r\n");
        assert_eq!(client.read_to_close(), [Reply::Error("ERR Protocol error: unauthenticated multibulk length".into())]);
        let mut client = server.client();
        client.send_raw(b"*1\r\n$16385\r\n");
        assert_eq!(client.read_to_close(), [Reply::Error("ERR Protocol error: unauthenticated bulk length".into())]);
        let mut client = server.client();
        client.check("AUTH secret", "+OK");
        client.check(&format!("SET a {}", "v".repeat(20_000)), "+OK");
    }

    fn quit_is_answered_and_ends(server: &Server) {
        let mut client = server.client();
        client.send_raw(b"SET a 1\r\nQUIT\r\nSET a 2\r\n");
        assert_eq!(client.read_to_close(), [Reply::ok(), Reply::ok()]);
        server.client().check("GET a", "\"1\"");
    }

    fn a_monitor_sees_commands(server: &Server) {
        let (mut monitor, mut client) = (server.client(), server.client());
        monitor.check("MONITOR", "+OK");
        let address = field(&client.line("CLIENT INFO").text(), "addr");
        client.check("SET key \"a \\x01\\n\\\"\"", "+OK");
        client.check("SELECT 9", "+OK");
        client.check("GET", "-ERR wrong number of arguments for 'get' command");
        client.check("CONFIG GET port", &format!("[\"port\", \"{}\"]", server.port()));
        client.check("AUTH default pass", "+OK");
        client.check("MULTI", "+OK");
        client.check("GET key", "+QUEUED");
        client.check("EXEC", "[nil]");
        for (db, command) in [
            (0, "\"CLIENT\" \"INFO\""),
            (0, "\"SET\" \"key\" \"a \\x01\\n\\\"\""),
            (9, "\"SELECT\" \"9\""),
            (9, "\"AUTH\" \"(redacted)\" \"(redacted)\""),
            (9, "\"MULTI\""),
            (9, "\"GET\" \"key\""),
            (9, "\"EXEC\""),
        ] {
            let Reply::Simple(line) = monitor.read() else { panic!("no line for {command}") };
            let (time, rest) = line.split_once(' ').unwrap();
            assert_eq!(rest, format!("[{db} {address}] {command}"));
            let (seconds, micros) = time.split_once('.').unwrap();
            assert!(seconds.parse::<u64>().unwrap() > 1_600_000_000 && micros.len() == 6, "{time}");
        }
        monitor.check("PING", "+PONG");
        monitor.read();
        monitor.check("GET key", "-ERR Replica can't interact with the keyspace");
        monitor.check("RESET", "+RESET");
        client.check("PING", "+PONG");
        assert_eq!(monitor.read_within(SILENCE), None);
        monitor.check("GET key", "\"a \\x01\\n\\\"\"");
    }

    /// A client may send more commands than the sockets hold replies of, before it reads the first.
    fn a_long_pipeline_before_the_first_read(server: &Server) {
        let mut client = server.client();
        let value = "v".repeat(10_000);
        client.call(&["SET", "a", &value]);
        let request = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n".repeat(1_000);
        for _ in 0..3 {
            client.send_raw(&request);
        }
        for _ in 0..3_000 {
            assert_eq!(client.read(), Reply::bulk(&value));
        }
    }

    /// A reply that alone is over the limit is not even finished, and a transaction is.
    fn replies_over_the_limit_close_the_client(server: &Server)
        with ["--client-output-buffer-limit", "normal 100000 0 0"]
    {
        let mut client = server.client();
        client.check("HSET h a b", "1");
        client.send(&["HRANDFIELD", "h", "-999999999"]);
        assert_eq!(client.read_to_close(), []);
        let mut client = server.client();
        client.call(&["SET", "a", &"v".repeat(60_000)]);
        for line in ["MULTI", "GET a", "GET a", "SET b 1"] {
            client.line(line);
        }
        client.send(&["EXEC"]);
        assert_eq!(client.read_to_close(), []);
        server.client().check("GET b", "\"1\"");
    }
}
