//! What commands answer at the edges of their grammars and numbers: each line as redis-server 7.0.15 answers it.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustredis_testkit::{Command, every_engine};

every_engine! {
    /// C's strtod reads bounds, and nobody asks it whether it was content.
    fn bounds_of_scores_are_read_as_c_reads_numbers(server: &Server) {
        let mut client = server.client();
        client.check("ZADD z 0 a 1 b 2 c", "3");
        for (bounds, expected) in [
            ("\" 1\" 2", "2"),
            ("1e-400 2", "3"),
            ("\"\\x00\" 2", "3"),
            ("\"1\\x00x\" 2", "2"),
            ("\"(\" 2", "2"),
            ("\"( 0\" 2", "2"),
            ("\"(\\x00\" 2", "2"),
            ("\"\" 1e400", "3"),
            ("-1e400 0x1p5000", "3"),
            ("0x1p-5000 2", "3"),
            ("\" \" 2", "-ERR min or max is not a float"),
            ("\"1 \" 2", "-ERR min or max is not a float"),
            ("\"+ 1\" 2", "-ERR min or max is not a float"),
            ("nan 2", "-ERR min or max is not a float"),
            ("0x 2", "-ERR min or max is not a float"),
            ("\"((0\" 2", "-ERR min or max is not a float"),
        ] {
            client.check(&format!("ZCOUNT z {bounds}"), expected);
        }
        client.check("ZRANGEBYSCORE z \" 1\" \"\\n1\"", "[\"b\"]");
        client.check("ZREVRANGEBYSCORE z \" 1\" \" 1\"", "[\"b\"]");
        client.check("ZRANGE z \" 1\" \" 1\" BYSCORE", "[\"b\"]");
        client.check("ZRANGESTORE d z \" 1\" \" 2\" BYSCORE", "2");
        client.check("ZREMRANGEBYSCORE z \" 2\" \" 2\"", "1");
        // Scores are read more strictly.
        for line in ["ZADD y \" 1\" a", "ZADD y 1e-400 a", "ZADD y \"\" a", "ZINCRBY y \" 1\" a"] {
            client.check(line, "-ERR value is not a valid float");
        }
        client.check("ZUNION 1 z WEIGHTS \" 1\"", "-ERR weight value is not a float");
    }

    /// Timeouts are read in 80 bits: what is too small for a double is not zero.
    fn the_smallest_timeout_ends(server: &Server) {
        server.client().check("BLPOP none 1e-400", "nil-array");
        server.client().check("BLMPOP 1e-400 1 none LEFT", "nil-array");
        server.client().check_prefix("BLPOP none 1e400", "-ERR timeout is ");
        server.client().check("BLPOP none 1e5000", "-ERR timeout is not a float or out of range");
    }

    fn infinity_times_zero(server: &Server) {
        let mut client = server.client();
        client.check("ZADD p inf m", "1");
        client.check("ZADD n -inf m", "1");
        for (line, score) in [
            ("ZINTER 2 p p WEIGHTS 1 0", "0"),
            ("ZINTER 2 p p WEIGHTS 0 1", "inf"),
            ("ZINTER 2 p p WEIGHTS 1 0 AGGREGATE MIN", "inf"),
            ("ZINTER 2 p p WEIGHTS 0 1 AGGREGATE MIN", "0"),
            ("ZINTER 2 n n WEIGHTS 1 0 AGGREGATE MAX", "-inf"),
            ("ZUNION 2 p p WEIGHTS 1 0", "inf"),
            ("ZUNION 2 p p WEIGHTS 1 0 AGGREGATE MIN", "0"),
            ("ZUNION 2 p n", "0"),
        ] {
            client.check(&format!("{line} WITHSCORES"), &format!("[\"m\", \"{score}\"]"));
        }
        client.check("ZINTERSTORE d 2 p p WEIGHTS 1 0 AGGREGATE MIN", "1");
        client.check("ZSCORE d m", "\"inf\"");
        client.check("ZINTERSTORE d 2 p p WEIGHTS 1 0", "1");
        client.check("ZSCORE d m", "\"0\"");
    }

    fn zero_has_a_sign_until_it_is_stored_compactly(server: &Server) {
        let mut client = server.client();
        client.check("ZADD z 0 m", "1");
        client.check("ZUNION 1 z WEIGHTS -1 WITHSCORES", "[\"m\", \"-0\"]");
        client.check("ZINTER 2 z z WEIGHTS -1 1 AGGREGATE MIN WITHSCORES", "[\"m\", \"-0\"]");
        client.check("ZINTER 2 z z WEIGHTS 1 -1 AGGREGATE MIN WITHSCORES", "[\"m\", \"0\"]");
        client.check("ZUNION 2 z z WEIGHTS -1 1 AGGREGATE MAX WITHSCORES", "[\"m\", \"-0\"]");
        client.check("ZUNIONSTORE d 1 z WEIGHTS -1", "1");
        client.check("ZSCORE d m", "\"0\"");
        client.check("CONFIG SET zset-max-listpack-entries 0", "+OK");
        client.check("ZUNIONSTORE d 1 z WEIGHTS -1", "1");
        client.check("ZSCORE d m", "\"-0\"");
    }

    /// A compact sorted set holds its integers as such, and ZSCAN shows what is held.
    fn zscan_shows_scores_as_they_are_held(server: &Server) {
        let mut client = server.client();
        client.check("ZADD z -123456789012345678 a 0.5 b 1e17 c 1e18 d 1e19 e", "5");
        client.check(
            "ZSCAN z 0",
            "[\"0\", [\"a\", \"-123456789012345680\", \"b\", \"0.5\", \"c\", \"100000000000000000\", \
             \"d\", \"1000000000000000000\", \"e\", \"1e+19\"]]",
        );
        client.check("ZSCORE z c", "\"1e+17\"");
        client.check("CONFIG SET zset-max-listpack-entries 0", "+OK");
        client.check("ZADD big 1e17 c", "1");
        client.check("ZSCAN big 0", "[\"0\", [\"c\", \"1e+17\"]]");
    }

    fn only_a_lone_star_finds_the_empty_name(server: &Server) {
        let mut client = server.client();
        client.check("SET \"\" v", "+OK");
        client.check("KEYS *", "[\"\"]");
        client.check("KEYS \"\"", "[\"\"]");
        client.check("KEYS **", "[]");
        client.check("KEYS ***", "[]");
        client.check("SCAN 0 MATCH * COUNT 10000", "[\"0\", [\"\"]]");
        client.check("SCAN 0 MATCH ** COUNT 10000", "[\"0\", []]");
        client.check("HSET h \"\" v", "1");
        client.check("HSCAN h 0 MATCH *", "[\"0\", [\"\", \"v\"]]");
        client.check("HSCAN h 0 MATCH **", "[\"0\", []]");
        client.check("SADD s \"\"", "1");
        client.check("SSCAN s 0 MATCH **", "[\"0\", []]");
        client.check("ZADD z 1 \"\"", "1");
        client.check("ZSCAN z 0 MATCH **", "[\"0\", []]");
        client.check("KEYS **h", "[\"h\"]");
        let mut subscriber = server.client();
        subscriber.check("PSUBSCRIBE *", "[\"psubscribe\", \"*\", 1]");
        client.check("PUBLISH \"\" x", "0");
        client.check("PUBLISH a x", "1");
    }

    fn a_refused_exec_says_that_it_aborts(server: &Server) {
        let mut client = server.client();
        let refused = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
        client.check("EXEC x", refused);
        client.check("EXEC", "-ERR EXEC without MULTI");
        client.check("MULTI", "+OK");
        client.check("SET a 1", "+QUEUED");
        client.check("EXEC x", refused);
        client.check("EXEC", "-ERR EXEC without MULTI");
        client.check("EXISTS a", "0");
        client.check("CONFIG SET requirepass secret", "+OK");
        let aborted = "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.";
        server.client().check("EXEC", aborted);
        client.check("CONFIG SET requirepass \"\"", "+OK");
    }

    fn counts_are_looked_at_before_what_follows(server: &Server) {
        let mut client = server.client();
        let not_positive = "-ERR count should be greater than 0";
        for line in [
            "ZMPOP 1 a MAX COUNT 0 12",
            "ZMPOP 1 a MAX COUNT x 12",
            "BZMPOP 0.01 1 a MAX COUNT 0 12",
            "BZMPOP -1 1 a MAX COUNT 0 12",
            "LMPOP 1 a LEFT COUNT 0 12",
            "BLMPOP 0.01 1 a LEFT COUNT 0 12",
        ] {
            client.check(line, not_positive);
        }
        for line in ["ZMPOP 1 a MAX COUNT 1 12", "ZMPOP 1 a MAX COUNT", "ZMPOP 1 a MAX COUNT 1 COUNT 1", "ZMPOP 1 a MID COUNT 0"] {
            client.check(line, "-ERR syntax error");
        }
        client.check("ZMPOP 0 a MAX COUNT 0", "-ERR numkeys should be greater than 0");
    }

    /// A string that only grew because every field overflowed: no event, and yet nothing is lost on a replay.
    fn an_overflow_that_only_grows_a_string(server: &Server) with ["--notify-keyspace-events", "K$"] {
        let (mut client, mut subscriber) = (server.client(), server.client());
        subscriber.check("PSUBSCRIBE *", "[\"psubscribe\", \"*\", 1]");
        client.check("BITFIELD k OVERFLOW FAIL SET u8 100 300", "[nil]");
        client.check("STRLEN k", "14");
        client.check("BITFIELD k SET u8 100 0", "[0]");
        client.check("BITFIELD k SET u8 200 0", "[0]");
        client.check("SET end 1", "+OK");
        let mut events = Vec::new();
        while events.last() != Some(&"end".to_owned()) {
            let channel = subscriber.read().elements()[2].text();
            events.push(channel.trim_start_matches("__keyspace@0__:").to_owned());
        }
        assert_eq!(events, ["k", "end"]);
    }

    fn a_backlog_has_a_least_size(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET repl-backlog-size 1", "+OK");
        client.check("CONFIG GET repl-backlog-size", "[\"repl-backlog-size\", \"16384\"]");
        client.check("CONFIG SET repl-backlog-size 20000", "+OK");
        client.check("CONFIG GET repl-backlog-size", "[\"repl-backlog-size\", \"20000\"]");
    }

    fn debug_has_what_needs_no_replica(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        let before = server.info("master_replid");
        client.check("DEBUG CHANGE-REPL-ID", "+OK");
        assert_ne!(server.info("master_replid"), before);
        client.check("DEBUG REPLICATE SET a 1", "+OK");
        client.check("EXISTS a", "0");
        client.check_prefix("DEBUG REPLICATE", "-ERR unknown subcommand or wrong number of arguments for 'REPLICATE'.");
        if !server.is_redis() {
            // A real one takes a minute.
            client.check_prefix("DEBUG STRINGMATCH-TEST", "+");
        }
    }

    /// Errors quote bytes, not text, and like C up to a zero byte.
    fn what_was_sent_is_quoted_as_it_came(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let mut answer = |line: &str| {
            let mut request = Vec::new();
            Command::line(line).encode(&mut request);
            stream.write_all(&request).unwrap();
            let (mut reply, mut byte) = (Vec::new(), [0]);
            while !reply.ends_with(b"\r\n") {
                stream.read_exact(&mut byte).unwrap();
                reply.push(byte[0]);
            }
            reply.truncate(reply.len() - 2);
            reply
        };
        for (line, expected) in [
            ("CLIENT \"\\xff\"", &b"-ERR unknown subcommand '\xff'. Try CLIENT HELP."[..]),
            ("CLIENT \"a\\x00b\"", b"-ERR unknown subcommand 'a'. Try CLIENT HELP."),
            ("\"\\xff\\xfe\" \"\\xfd\" b", b"-ERR unknown command '\xff\xfe', with args beginning with: '\xfd' 'b' "),
            ("\"a\\x00b\" c", b"-ERR unknown command 'a', with args beginning with: 'c' "),
            ("\"a\\r\\nb\" \"c\\r\\nd\"", b"-ERR unknown command 'a  b', with args beginning with: 'c  d' "),
            ("CONFIG SET \"\\xff\" 1", b"-ERR Unknown option or number of arguments for CONFIG SET - '\xff'"),
            ("HELLO 2 \"\\xff\"", b"-ERR Syntax error in HELLO option '\xff'"),
            ("EXPIRE a 1 \"\\xff\"", b"-ERR Unsupported option \xff"),
            ("CLIENT KILL TYPE \"\\xff\"", b"-ERR Unknown client type '\xff'"),
            ("CLIENT KILL USER \"\\xff\"", b"-ERR No such user '\xff'"),
            ("LATENCY GRAPH \"\\xff\"", b"-ERR No samples available for event '\xff'"),
            ("DEBUG \"\\xff\"", b"-ERR unknown subcommand or wrong number of arguments for '\xff'. Try DEBUG HELP."),
            ("DEBUG ERROR \"X \\xff\"", b"-X \xff"),
            ("ACL CAT \"\\xff\"", b"-ERR Unknown category '\xff'"),
            ("FUNCTION LIST \"\\xff\"", b"-ERR Unknown argument \xff"),
        ] {
            let answer = answer(line);
            assert!(answer == expected, "{line}: {}", answer.escape_ascii());
        }
        // At most 128 bytes of the arguments, and of a name.
        let long = "x".repeat(200);
        let expected = format!("-ERR unknown command '{0}', with args beginning with: '{0}' ", &long[..128]);
        assert_eq!(answer(&format!("{long} {long} {long}")), expected.as_bytes());
    }
}
