//! COMMANDLOG, as Valkey 8.1 documents it: slow commands, large requests, large replies.

use rustredis_testkit::{Client, Launch, every_engine};

/// The third value of the newest entry of a log, and its arguments.
#[track_caller]
fn newest(client: &mut Client, log: &str) -> (i64, String) {
    let reply = client.line(&format!("COMMANDLOG GET 1 {log}"));
    let entry = &reply.elements()[0];
    let entry = entry.elements();
    assert_eq!(entry.len(), 6);
    (entry[2].integer(), entry[3].elements().iter().map(|word| word.text()).collect::<Vec<_>>().join(" "))
}

every_engine! {
    fn large_requests_and_replies_are_logged(server: &Server) {
        let launch = Launch::new(server.binary().clone());
        let sizes = ["--commandlog-request-larger-than", "1024", "--commandlog-reply-larger-than", "1024"];
        let server = launch.arguments(&sizes).arguments(&["--slowlog-log-slower-than", "-1"]).start();
        let mut client = server.client();
        for log in ["slow", "large-request", "large-reply"] {
            client.check(&format!("COMMANDLOG RESET {log}"), "+OK");
        }
        let value = "A".repeat(1024);
        client.line("PING");
        client.line(&format!("SET k {value}"));
        client.check("COMMANDLOG LEN large-request", "1");
        client.check("COMMANDLOG LEN large-reply", "0");
        let (bytes, words) = newest(&mut client, "large-request");
        assert!((1024..1100).contains(&bytes), "{bytes}");
        assert_eq!(words, format!("SET k {}... (896 more bytes)", &value[..128]));
        client.line("GET k");
        client.check("COMMANDLOG LEN Large-Reply", "1");
        let (bytes, words) = newest(&mut client, "large-reply");
        assert_eq!((bytes, words.as_str()), (1033, "GET k"));
        client.line("EVAL \"return redis.call('get', KEYS[1])\" 1 k");
        let entries = client.line("COMMANDLOG GET -1 large-reply");
        assert_eq!(entries.elements().len(), 3);
        client.line("MULTI");
        client.line("GET k");
        client.line("EXEC");
        client.check("COMMANDLOG LEN large-reply", "4");
        client.check("COMMANDLOG LEN slow", "0");
    }

    fn slow_commands_are_the_slow_log(server: &Server) {
        let mut client = server.client();
        for (line, expected) in [
            ("CONFIG SET commandlog-execution-slower-than 0", "+OK"),
            ("CONFIG GET slowlog-log-slower-than", "[\"slowlog-log-slower-than\", \"0\"]"),
            ("COMMANDLOG RESET slow", "+OK"),
            ("PING", "+PONG"),
            ("CONFIG SET commandlog-slow-execution-max-len 2", "+OK"),
            ("PING", "+PONG"),
            ("COMMANDLOG LEN slow", "2"),
            ("SLOWLOG LEN", "2"),
            ("SLOWLOG RESET", "+OK"),
            ("CONFIG SET commandlog-execution-slower-than -1 commandlog-request-larger-than 0 commandlog-large-request-max-len 3", "+OK"),
            ("COMMANDLOG LEN slow", "1"),
            ("PING", "+PONG"),
            ("PING", "+PONG"),
            ("PING", "+PONG"),
            ("COMMANDLOG LEN large-request", "3"),
            ("CONFIG SET commandlog-request-larger-than -1", "+OK"),
            ("COMMANDLOG GET 0 large-request", "[]"),
            ("COMMANDLOG GET -2 slow", "-ERR count should be greater than or equal to -1"),
            ("COMMANDLOG GET 1", "-ERR wrong number of arguments for 'commandlog|get' command"),
            ("COMMANDLOG NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try COMMANDLOG HELP."),
        ] {
            client.check(line, expected);
        }
        client.check_prefix("COMMANDLOG LEN fast", "-ERR type should be one of");
        client.check_prefix("CONFIG SET commandlog-reply-larger-than -2", "-ERR CONFIG SET failed");
    }

    fn passwords_are_not_logged(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET commandlog-request-larger-than 0", "+OK");
        client.line("ACL SETUSER alice >secret");
        let (_, words) = newest(&mut client, "large-request");
        assert!(!words.contains("secret"), "{words}");
    }
}
