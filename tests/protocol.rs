//! The wire: broken and hostile bytes, limits before and after authentication, inline commands, split pipelines.

use std::time::Duration;

use rustredis_testkit::{
    Client, Command, DEADLINE_DEFAULT, Reply, Server, assert_reply, every_engine, wait_until,
};

/// Sends bytes that end the connection; `expected` are the replies that come before it closes. The server must live on.
#[track_caller]
fn check_fatal(server: &Server, bytes: &[u8], expected: &str) {
    let mut client = server.client();
    // The server may close before it has taken all of it.
    let _ = client.try_send_raw(bytes);
    let replies: Vec<String> = client.read_to_close().iter().map(Reply::to_string).collect();
    assert_eq!(replies.join(" "), expected);
    assert!(server.client().try_call(&["PING"]).is_ok(), "no server after {expected}");
}

/// Sends bytes that are no mistake; a PING behind them must answer after `expected`.
#[track_caller]
fn check_harmless(server: &Server, bytes: &[u8], expected: &[&str]) {
    let mut client = server.client();
    client.send_raw(bytes);
    client.send(&["PING"]);
    for line in expected {
        assert_reply!(client.read(), *line);
    }
    assert_reply!(client.read(), "+PONG");
}

every_engine! {
    fn lengths_that_lie(server: &Server) {
        check_fatal(server, b"*2147483648\r\n", "-ERR Protocol error: invalid multibulk length");
        check_fatal(server, b"*99999999999999999999\r\n", "-ERR Protocol error: invalid multibulk length");
        check_fatal(server, b"*x\r\n", "-ERR Protocol error: invalid multibulk length");
        check_fatal(server, b"*1\r\n$-2\r\n", "-ERR Protocol error: invalid bulk length");
        check_fatal(server, b"*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length");
        check_fatal(server, b"*1\r\n$999999999999\r\n", "-ERR Protocol error: invalid bulk length");
        check_fatal(server, b"*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length");
        check_fatal(server, b"*1\r\n$abc\r\n", "-ERR Protocol error: invalid bulk length");
        check_fatal(server, b"*1\r\n$+4\r\nPING\r\n", "-ERR Protocol error: invalid bulk length");
        check_fatal(server, b"*1\r\nPING\r\n", "-ERR Protocol error: expected '$', got 'P'");
        check_fatal(server, b"*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'");
        check_fatal(server, b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "-ERR Protocol error: expected '$', got 'f'");
    }

    fn lengths_of_nothing_are_skipped(server: &Server) {
        check_harmless(server, b"*-2\r\n", &[]);
        check_harmless(server, b"*-1\r\n*0\r\n", &[]);
        check_harmless(server, b"\r\n\r\n", &[]);
        check_harmless(server, b"*-2\r\n*1\r\n$4\r\nPING\r\n", &["+PONG"]);
    }

    fn replies_before_the_mistake_still_leave(server: &Server) {
        let bytes = b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n*1\r\n$-5\r\n";
        check_fatal(server, bytes, "+PONG \"hi\" -ERR Protocol error: invalid bulk length");
    }

    fn nested_arrays(server: &Server) {
        check_fatal(server, &b"*1\r\n".repeat(200_000), "-ERR Protocol error: expected '$', got '*'");
        check_fatal(server, &b"*2\r\n$1\r\na\r\n".repeat(2), "-ERR Protocol error: expected '$', got '*'");
    }

    fn headers_without_an_end(server: &Server) {
        check_fatal(server, &[b"*".as_slice(), &b"1".repeat(70_000)].concat(),
            "-ERR Protocol error: too big mbulk count string");
        check_fatal(server, &[b"*1\r\n$".as_slice(), &b"1".repeat(70_000)].concat(),
            "-ERR Protocol error: too big bulk count string");
        check_fatal(server, &b"a".repeat(70_000), "-ERR Protocol error: too big inline request");
    }

    /// Bytes that are no RESP: an answer, an error or a close, but never a dead server.
    fn garbage(server: &Server) {
        let mut random = rustredis_testkit::Random::new(42);
        for _ in 0..200 {
            let length = random.below(3_000);
            let mut bytes: Vec<u8> = (0..length).map(|_| *random.pick(b"*$:+-_\r\n\0\x01\xff 0123456789\"'abc")).collect();
            if random.chance(50) {
                bytes = bytes.iter().map(|byte| byte ^ random.next_u64() as u8).collect();
            }
            let mut client = server.client();
            let _ = client.try_send_raw(&bytes);
            client.shut_down_writing();
            client.read_to_close();
        }
        server.client().check("PING", "+PONG");
    }

    fn half_a_command_and_a_hang_up(server: &Server) {
        let command = b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$5\r\nvalue\r\n";
        for end in 0..command.len() {
            let mut client = server.client();
            client.send_raw(&command[..end]);
            client.shut_down_writing();
            assert_eq!(client.read_to_close(), []);
        }
        server.client().check("EXISTS half", "0");
    }

    /// Memory is taken as the bytes arrive, not as they are promised.
    fn promises_take_no_memory(server: &Server) {
        let before = rustredis_testkit::process::resident_bytes(server.pid()).unwrap();
        let mut clients: Vec<Client> = (0..40).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send_raw(b"*2147483647\r\n$536870912\r\nabc");
            client.send_raw(b"defgh");
        }
        server.client().check("PING", "+PONG");
        let after = rustredis_testkit::process::resident_bytes(server.pid()).unwrap();
        assert!(after < before + 64 * 1024 * 1024, "{before} bytes became {after}");
    }

    fn limits_before_authentication(server: &Server) with ["--requirepass", "secret"] {
        check_fatal(server, b"*11\r\n", "-ERR Protocol error: unauthenticated multibulk length");
        check_fatal(server, b"*1048577\r\n", "-ERR Protocol error: unauthenticated multibulk length");
        check_fatal(server, b"*1\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length");
        let mut client = server.client();
        client.check("GET a", "-NOAUTH Authentication required.");
        client.check("DEL b c d e f g h i j", "-NOAUTH Authentication required.");
        client.check("AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.");
        client.check("AUTH secret", "+OK");
        let value = "v".repeat(20_000);
        assert_reply!(client.call(&["SET", "a", value.as_str()]), "+OK");
        assert_reply!(client.call(&["DEL", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]), "1");
    }

    fn many_arguments_after_authentication(server: &Server) {
        let mut arguments = vec!["DEL".to_owned()];
        arguments.extend((0..1_048_577).map(|index| index.to_string()));
        let mut client = server.client();
        client.check("SET 1048576 x", "+OK");
        assert_reply!(client.call(&arguments), "1");
    }

    fn inline_commands(server: &Server) {
        check_harmless(server, b"PING\r\n", &["+PONG"]);
        check_harmless(server, b"PING\n", &["+PONG"]);
        check_harmless(server, b"  ping  \r\n", &["+PONG"]);
        check_harmless(server, b"SET k \"a b\"\r\nGET k\r\n", &["+OK", "\"a b\""]);
        check_harmless(server, b"SET k \"\\x00\\xffA\\n\\r\\t\\b\\a\\q\\\"\"\r\nGET k\r\n",
            &["+OK", "\"\\x00\\xffA\\n\\r\\t\\x08\\x07q\\\"\""]);
        check_harmless(server, b"SET k 'a \\' \\n b'\r\nGET k\r\n", &["+OK", "\"a ' \\\\n b\""]);
        check_harmless(server, b"ECHO \"\"\r\n", &["\"\""]);
        check_fatal(server, b"SET k \"open\r\n", "-ERR Protocol error: unbalanced quotes in request");
        check_fatal(server, b"SET k 'open\r\n", "-ERR Protocol error: unbalanced quotes in request");
        check_fatal(server, b"SET \"k\"v x\r\n", "-ERR Protocol error: unbalanced quotes in request");
    }

    /// However the bytes are cut, the replies are the same.
    fn a_pipeline_split_at_every_byte(server: &Server) {
        let mut bytes = Vec::new();
        for line in ["SET k \"a\\r\\nb\"", "GET k", "GET none", "INCR k", "LPUSH l a b c", "LRANGE l 0 -1", "DEL k l"] {
            Command::line(line).encode(&mut bytes);
        }
        bytes.extend_from_slice(b"PING\r\necho 'in line'\r\n");
        let expected = ["+OK", "\"a\\r\\nb\"", "nil", "-ERR value is not an integer or out of range", "3",
            "[\"c\", \"b\", \"a\"]", "2", "+PONG", "\"in line\""];
        let mut client = server.client();
        for cut in 0..=bytes.len() {
            client.send_raw(&bytes[..cut]);
            client.send_raw(&bytes[cut..]);
            for line in expected {
                assert_reply!(client.read(), line);
            }
        }
        for byte in &bytes {
            client.send_raw(&[*byte]);
        }
        for line in expected {
            assert_reply!(client.read(), line);
        }
    }

    fn a_deep_pipeline_keeps_its_order(server: &Server) {
        let mut client = server.client();
        let commands: Vec<Command> = (0..20_000).map(|number| Command::line(&format!("ECHO {number}"))).collect();
        for (number, reply) in client.pipeline(&commands).iter().enumerate() {
            assert_eq!(reply.text(), number.to_string());
        }
    }

    /// With one thread the commands of a pipeline share holds as with no other number: the replies are those of one by one.
    fn a_pipeline_replies_as_one_by_one(server: &Server) with ["--threads", "1"] {
        if !server.is_redis() {
            assert!(server.log().contains("threads=1"), "the tests' own number of threads was taken");
        }
        let mut lines = Vec::new();
        for number in 0..400 {
            let key = number * 7 % 23;
            lines.push(match number % 13 {
                0 => format!("SET key:{key} {number}"),
                1 => format!("MGET key:{key} key:{} list:{key}", key + 1),
                2 => format!("INCR key:{key}"),
                3 => format!("RPUSH list:{key} a b"),
                4 => format!("GET list:{key}"),
                5 => format!("PEXPIRE key:{key} -1"),
                6 => "GET".to_owned(),
                7 => format!("DEL key:{key} key:{} list:{}", key + 2, key + 3),
                8 => format!("LRANGE list:{key} 0 -1"),
                9 => "NOSUCH command".to_owned(),
                10 => format!("BLPOP list:{key} list:{} 0.001", key + 1),
                11 => "DBSIZE".to_owned(),
                _ => format!("GET key:{key}"),
            });
        }
        let (mut single, mut piped) = (server.client(), server.client());
        single.check("SELECT 1", "+OK");
        let expected: Vec<Reply> = lines.iter().map(|line| single.line(line)).collect();
        let commands: Vec<Command> = lines.iter().map(|line| Command::line(line)).collect();
        for (line, (reply, expected)) in lines.iter().zip(piped.pipeline(&commands).iter().zip(&expected)) {
            assert_eq!(reply.to_string(), expected.to_string(), "{line}");
        }
        // Somebody who waits with a destination in another shard is served between two commands.
        let mut waiter = server.client();
        for number in 0..30 {
            let (from, to) = (format!("from:{number}"), format!("to:{number}"));
            waiter.send(&["BLMOVE", &from, &to, "LEFT", "RIGHT", "0"]);
            wait_until("a client to wait", DEADLINE_DEFAULT, || server.info("blocked_clients").as_deref() == Some("1"));
            let lines = ["SET a 1", &format!("RPUSH {from} x"), "GET a", &format!("LRANGE {to} 0 -1"), "GET a"];
            let replies = piped.pipeline(&lines.map(Command::line));
            let replies: Vec<String> = replies.iter().map(Reply::to_string).collect();
            assert_eq!(replies, ["+OK", "1", "\"1\"", "[\"x\"]", "\"1\""]);
            assert_reply!(waiter.read(), "\"x\"");
        }
    }

    fn values_of_every_size(server: &Server) {
        let mut client = server.client();
        for length in [0, 1, 43, 44, 45, 63, 64, 65, 4_095, 16_383, 16_384, 32_767, 32_768, 65_536, 1_000_003, 40_000_000] {
            let value: Vec<u8> = (0..length).map(|index| (index * 7 + index / 256) as u8).collect();
            assert_reply!(client.call(&[b"SET", &b"k"[..], &value]), "+OK");
            assert!(client.call(&["GET", "k"]) == Reply::bulk(&value), "a value of {length} bytes came back changed");
            assert_eq!(client.call(&["STRLEN", "k"]).integer(), i64::from(length));
        }
    }

    fn keys_are_any_bytes(server: &Server) {
        let mut client = server.client();
        for key in [&b""[..], b"\0", b"\r\n", b"\xff\xfe", b"a b", &[b'k'; 100_000]] {
            assert_reply!(client.call(&[b"SET", key, b"v"]), "+OK");
            assert_reply!(client.call(&[&b"GET"[..], key]), "\"v\"");
            assert_reply!(client.call(&[&b"DEL"[..], key]), "1");
        }
    }

    fn names_and_arity(server: &Server) {
        let mut client = server.client();
        client.check("GET", "-ERR wrong number of arguments for 'get' command");
        client.check("gEt a b", "-ERR wrong number of arguments for 'get' command");
        client.check("SET a", "-ERR wrong number of arguments for 'set' command");
        client.check("PING a b", "-ERR wrong number of arguments for 'ping' command");
        client.check("CLIENT", "-ERR wrong number of arguments for 'client' command");
        client.check("CLIENT GETNAME x", "-ERR wrong number of arguments for 'client|getname' command");
        client.check_prefix("CLIENT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.");
        client.check("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: ");
        client.check("NOSUCH a \"b c\"", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b c' ");
        client.check("\"no\\r\\nsuch\" a", "-ERR unknown command 'no  such', with args beginning with: 'a' ");
        client.check("\"\" a", "-ERR unknown command '', with args beginning with: 'a' ");
        let long = "x".repeat(1_000);
        let expected = format!("-ERR unknown command '{}', with args beginning with: '{}' ", &long[..128], &long[..128]);
        assert_reply!(client.call(&[&long, &long, &long]), expected);
    }

    fn hello_switches_the_protocol(server: &Server) {
        let mut client = server.client();
        client.check("HELLO 4", "-NOPROTO unsupported protocol version");
        client.check("HELLO x", "-ERR Protocol version is not an integer or out of range");
        client.check("HELLO 3 NOSUCH", "-ERR Syntax error in HELLO option 'NOSUCH'");
        client.check("GET none", "nil");
        let hello = client.line("HELLO 3 SETNAME me");
        assert!(matches!(&hello, Reply::Map(pairs) if pairs[0] == (Reply::bulk("server"), Reply::bulk("redis"))), "{hello}");
        client.check("CLIENT GETNAME", "\"me\"");
        client.check("GET none", "null");
        client.check("HSET h f v", "1");
        client.check("HGETALL h", "{\"f\": \"v\"}");
        client.check("SADD s m", "1");
        client.check("SMEMBERS s", "~[\"m\"]");
        client.check("ZADD z 1.5 m", "1");
        client.check("ZSCORE z m", ",1.5");
        client.check("BLPOP none 0.01", "null");
        assert!(matches!(client.line("HELLO 2"), Reply::Array(_)));
        client.check("GET none", "nil");
        client.check("HGETALL h", "[\"f\", \"v\"]");
        client.check("ZSCORE z m", "\"1.5\"");
        client.check("BLPOP none 0.01", "nil-array");
    }

    fn every_type_of_resp3(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client_resp3();
        client.check("DEBUG PROTOCOL STRING", "\"Hello World\"");
        client.check("DEBUG PROTOCOL INTEGER", "12345");
        client.check("DEBUG PROTOCOL DOUBLE", ",3.141");
        client.check("DEBUG PROTOCOL NULL", "null");
        client.check("DEBUG PROTOCOL ARRAY", "[0, 1, 2]");
        client.check("DEBUG PROTOCOL SET", "~[0, 1, 2]");
        client.check("DEBUG PROTOCOL MAP", "{0: #f, 1: #t, 2: #f}");
        client.check("DEBUG PROTOCOL BIGNUM", "(1234567999999999999999999999999999999");
        client.check("DEBUG PROTOCOL TRUE", "#t");
        client.check("DEBUG PROTOCOL FALSE", "#f");
        client.check("DEBUG PROTOCOL VERBATIM", "=txt:\"This is a verbatim\\nstring\"");
        client.check_prefix("DEBUG PROTOCOL ATTRIB", "|{");
    }

    /// Pushes and replies share a RESP3 connection.
    fn pushes_arrive_out_of_band(server: &Server) {
        let mut client = server.client_resp3();
        client.check("SUBSCRIBE c", ">[\"subscribe\", \"c\", 1]");
        server.client().check("PUBLISH c hello", "1");
        assert_reply!(client.read(), ">[\"message\", \"c\", \"hello\"]");
        client.check("SET k v", "+OK");
        assert_eq!(client.read_within(Duration::from_millis(10)), None);
    }

    fn quit_and_reset(server: &Server) {
        let mut client = server.client();
        client.send_raw(b"*1\r\n$5\r\nRESET\r\n*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n");
        let replies: Vec<String> = client.read_to_close().iter().map(Reply::to_string).collect();
        assert_eq!(replies, ["+RESET", "+OK"]);
    }

    fn a_password_set_later_binds_new_connections(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET requirepass secret", "+OK");
        server.client().check("PING", "-NOAUTH Authentication required.");
        server.client().check_prefix("HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated");
        assert!(matches!(server.client().line("HELLO 3 AUTH default secret"), Reply::Map(_)));
    }
}
