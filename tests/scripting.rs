//! EVAL and its relatives: keys and arguments, the cache of scripts, read-only scripts, flags, and what is refused.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustredis_testkit::{Client, Command, Reply, Server, every_engine};

use crate::lua::{check_all, eval, eval_with, said};

/// `return 1`, by its digest.
const ONE: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
const UNKNOWN_SHA: &str = "0123456789012345678901234567890123456789";
const UNKNOWN: &str = "-NOSCRIPT No matching script. Please use EVAL.";
const READ_ONLY: &str = "-ERR Write commands are not allowed from read-only scripts. @1";

/// The digest that SCRIPT LOAD answers.
#[track_caller]
fn load(client: &mut Client, text: &str) -> String {
    client.call(&["SCRIPT", "LOAD", text]).text()
}

/// The first line may say how a script behaves.
const SHEBANGS: &[(&str, &str)] = &[
    ("#!lua\nreturn 1", "1"),
    ("#!lua flags=\nreturn 1", "1"),
    ("#!lua flags=no-writes\nreturn 1", "1"),
    ("#!lua flags=no-writes,allow-stale,allow-oom,no-cluster,allow-cross-slot-keys\nreturn 1", "1"),
    ("#!lua  flags=no-writes \nreturn 1", "1"),
    (
        "#!lua flags=no-writes\nreturn redis.call('set', 'a', 1)",
        "-ERR Write commands are not allowed from read-only scripts. @2",
    ),
    (
        "#!lua flags=no-writes\nreturn redis.pcall('set', 'a', 1)",
        "-ERR Write commands are not allowed from read-only scripts.",
    ),
    ("#!lua flags=nosuch\nreturn 1", "-ERR Unexpected flag in script shebang: nosuch"),
    ("#!lua flags=no-writes,\nreturn 1", "-ERR Unexpected flag in script shebang: "),
    ("#!lua name=x\nreturn 1", "-ERR Unknown lua shebang option: name=x"),
    ("#!lua nosuch\nreturn 1", "-ERR Unknown lua shebang option: nosuch"),
    ("#!python\nreturn 1", "-ERR Unexpected engine in script shebang: #!python"),
    ("#!LUA\nreturn 1", "-ERR Unexpected engine in script shebang: #!LUA"),
    ("#!\nreturn 1", "-ERR Unexpected engine in script shebang: #!"),
    ("#! lua\nreturn 1", "-ERR Unexpected engine in script shebang: #!"),
    ("#!lua", "-ERR Invalid script shebang"),
];

/// What the other functions of `redis` say.
const API: &[(&str, &str)] = &[
    ("return redis.breakpoint()", "nil"),
    ("return redis.debug('x')", "nil"),
    ("return redis.replicate_commands()", "1"),
    ("return redis.set_repl(redis.REPL_ALL)", "nil"),
    (
        "return redis.set_repl(77)",
        "-ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE. @1",
    ),
    ("return redis.set_repl()", "-ERR redis.set_repl() requires two arguments. @1"),
    ("return redis.log(redis.LOG_WARNING)", "-ERR redis.log() requires two arguments or more. @1"),
    ("return redis.log('x', 'y')", "-ERR First argument must be a number (log level). @1"),
    ("return redis.log(9, 'y')", "-ERR Invalid debug level. @1"),
    ("return redis.sha1hex('')", r#""da39a3ee5e6b4b0d3255bfef95601890afd80709""#),
    ("return redis.sha1hex('abc')", r#""a9993e364706816aba3e25717850c26c9cd0d89d""#),
    ("return redis.sha1hex(12)", r#""7b52009b64fd0a2a49e6d8a939753077792b0554""#),
    ("return redis.sha1hex()", "-ERR wrong number of arguments @1"),
    ("return redis.acl_check_cmd('get', 'a')", "1"),
    ("return redis.acl_check_cmd('nosuch')", "-ERR Invalid command passed to redis.acl_check_cmd() @1"),
    ("return redis.acl_check_cmd()", "-ERR Please specify at least one argument for this redis lib call @1"),
    (
        "return redis.acl_check_cmd('get', {})",
        "-ERR Lua redis lib command arguments must be strings or integers @1",
    ),
    ("return {redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING}", "[0, 1, 2, 3]"),
    (
        "return {redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL}",
        "[0, 1, 2, 2, 3]",
    ),
];

every_engine! {
    /// Scripts of a pipeline run in order, whichever way each of them takes: those that pause, fail, touch other keys than
    /// they were given, stop the server's short way, or stand between other commands.
    fn scripts_of_a_pipeline(server: &Server) with ["--threads", "2"] {
        const SLOW: &str = "local n = 0 while n < 300000 do n = n + 1 end return redis.call('INCR', KEYS[1])";
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            let text = "return redis.call('INCR', KEYS[1])";
            let sha = load(client, text);
            let keys: Vec<String> = (0..7).map(|key| format!("{number}:{key}")).collect();
            let mut commands = Vec::new();
            let mut expected = Vec::new();
            for round in 0..40_usize {
                let key = &keys[round % keys.len()];
                let count = round / keys.len() + 1;
                let (command, reply): (Vec<&str>, String) = match round % 10 {
                    0 => (vec!["EVALSHA", &sha, "1", key], count.to_string()),
                    3 => (vec!["EVAL", SLOW, "1", key], count.to_string()),
                    5 => (vec!["INCR", key], count.to_string()),
                    7 => (vec!["EVAL", "return redis.call('INCR', ARGV[1])", "0", key], count.to_string()),
                    _ => (vec!["EVAL", text, "1", key], count.to_string()),
                };
                commands.push(Command::new(&command));
                expected.push(reply);
                commands.push(Command::new(&["EVAL", "return redis.call('GET', KEYS[1])", "1", key]));
                expected.push(format!("\"{count}\""));
                if round % 8 == 1 {
                    commands.push(Command::new(&["EVAL_RO", "return redis.call('GET', ARGV[1])", "0", key]));
                    expected.push(format!("\"{count}\""));
                    commands.push(Command::new(&["EVAL", "return redis.call('LPUSH', KEYS[1], 1)", "1", key]));
                    expected.push("-WRONGTYPE Operation against a key holding the wrong kind of value @1".to_owned());
                    commands.push(Command::new(&["EVALSHA", UNKNOWN_SHA, "1", key]));
                    expected.push(UNKNOWN.to_owned());
                    commands.push(Command::new(&["EVAL", "redis.call('SELECT', 5) return redis.call('INCR', 'apart')", "0"]));
                    expected.push(String::new());
                    commands.push(Command::new(&["EXISTS", "apart"]));
                    expected.push("0".to_owned());
                }
            }
            let replies = client.pipeline(&commands);
            for ((command, reply), expected) in commands.iter().zip(&replies).zip(&expected) {
                assert!(expected.is_empty() || said(reply) == *expected, "{command:?}: {reply}, not {expected}");
            }
        }
        clients[0].check("FLUSHALL", "+OK");
    }

    fn keys_and_arguments(server: &Server) {
        let mut client = server.client();
        client.check("EVAL \"return {KEYS[1], KEYS[2], ARGV[1], ARGV[2], #KEYS, #ARGV}\" 2 a b c \"\\x00\\r\\n\\xff\"",
            "[\"a\", \"b\", \"c\", \"\\x00\\r\\n\\xff\", 2, 2]");
        client.check("EVAL \"return {KEYS, ARGV}\" 0", "[[], []]");
        // A script may change its own, and the next one has its own.
        client.check("EVAL \"ARGV[1] = 'z' KEYS[1] = 'y' KEYS.x = 1 \
            return {KEYS[1], ARGV[1], KEYS.x}\" 1 a b", "[\"y\", \"z\", 1]");
        client.check(
            "EVAL \"return {KEYS[1], ARGV[1], #KEYS, tostring(KEYS.x)}\" 1 a b",
            "[\"a\", \"b\", 1, \"nil\"]",
        );
        client.check("EVAL \"return {tostring(KEYS[1]), #ARGV}\" 0", "[\"nil\", 0]");
        assert_eq!(said(&eval(&mut client, "KEYS = 1")), "-ERR user_script:1: Attempt to modify a readonly table @1");
    }

    fn wrong_counts_of_keys(server: &Server) {
        let mut client = server.client();
        let (more, negative) = (
            "-ERR Number of keys can't be greater than number of args",
            "-ERR Number of keys can't be negative",
        );
        let integer = "-ERR value is not an integer or out of range";
        for (line, expected) in [
            ("EVAL", "-ERR wrong number of arguments for 'eval' command"),
            ("EVAL \"return 1\"", "-ERR wrong number of arguments for 'eval' command"),
            ("EVALSHA x", "-ERR wrong number of arguments for 'evalsha' command"),
            ("EVAL_RO x", "-ERR wrong number of arguments for 'eval_ro' command"),
            ("EVALSHA_RO x", "-ERR wrong number of arguments for 'evalsha_ro' command"),
            ("EVAL \"return 1\" x", integer),
            ("EVAL \"return 1\" 99999999999999999999", integer),
            ("EVAL \"return 1\" 1.5", integer),
            ("EVAL \"return 1\" -1", negative),
            ("EVAL \"return 1\" 1", more),
            ("EVAL \"return 1\" 2 a", more),
            ("EVAL \"return 1\" 9223372036854775807 a", more),
            ("EVAL_RO \"return 1\" 1", more),
            ("EVAL \"return 1\" 0 a", "1"),
            ("EVALSHA nosuch x", UNKNOWN),
            (&format!("EVALSHA {ONE} x"), integer),
            (&format!("EVALSHA {ONE} -1"), negative),
            (&format!("EVALSHA {ONE} 1"), more),
            ("EVAL \"\" 0", "nil"),
        ] {
            client.check(line, expected);
        }
        check_numkeys_in_commands(&mut client);
    }

    fn scripts_are_known_by_their_digest(server: &Server) {
        let mut client = server.client();
        let evalsha = format!("EVALSHA {ONE} 0");
        client.check(&evalsha, UNKNOWN);
        client.check("EVAL \"return 1\" 0", "1");
        client.check(&evalsha, "1");
        client.check(&format!("EVALSHA {} 0", ONE.to_uppercase()), "1");
        client.check(&format!("EVALSHA_RO {ONE} 0"), "1");
        client.check(&format!("EVALSHA {} 0", &ONE[1..]), UNKNOWN);
        client.check(&format!("EVALSHA {ONE}a 0"), UNKNOWN);
        client.check("EVALSHA \"\" 0", UNKNOWN);
        // Whoever brought it, everybody may use it, over every connection.
        let others: Vec<Reply> = (0..8).map(|_| server.client().line(&evalsha)).collect();
        assert!(others.iter().all(|reply| *reply == Reply::Integer(1)), "{others:?}");
        let sha = load(&mut client, "return {KEYS[1], ARGV[1]}");
        server.client().check(&format!("EVALSHA {sha} 1 k v"), "[\"k\", \"v\"]");
        assert_eq!(load(&mut client, "return {KEYS[1], ARGV[1]}"), sha);
        client.check(&format!("SCRIPT EXISTS {ONE} {sha} nosuch {}", sha.to_uppercase()), "[1, 1, 0, 1]");
        // What does not compile is not kept.
        let broken = eval(&mut client, "return (").to_string();
        assert!(broken.starts_with("-ERR Error compiling script (new function): user_script:1: "), "{broken}");
        assert_eq!(client.call(&["SCRIPT", "LOAD", "return ("]).to_string(), broken);
        client.check("SCRIPT EXISTS 6ab66fdd3f9fc5dbd05f6a3a49b2c1c4a9a2ef3b", "[0]");
    }

    fn the_cache_is_flushed(server: &Server) {
        let mut client = server.client();
        for flush in ["SCRIPT FLUSH", "SCRIPT FLUSH SYNC", "SCRIPT FLUSH ASYNC", "script flush async"] {
            client.check("EVAL \"return 1\" 0", "1");
            let sha = load(&mut client, "return 'loaded'");
            client.check(flush, "+OK");
            for connection in [&mut client, &mut server.client()] {
                connection.check(&format!("SCRIPT EXISTS {ONE} {sha}"), "[0, 0]");
                connection.check(&format!("EVALSHA {ONE} 0"), UNKNOWN);
                connection.check(&format!("EVALSHA_RO {sha} 0"), UNKNOWN);
            }
        }
        client.check("EVAL \"return 1\" 0", "1");
        client.check(&format!("EVALSHA {ONE} 0"), "1");
        let option = "-ERR SCRIPT FLUSH only support SYNC|ASYNC option";
        client.check("SCRIPT FLUSH NOW", option);
        client.check("SCRIPT FLUSH SYNC ASYNC", option);
        client.check(&format!("SCRIPT EXISTS {ONE}"), "[1]");
        // Data is no script, and scripts are no data.
        client.check("FLUSHALL", "+OK");
        client.check(&format!("EVALSHA {ONE} 0"), "1");
        client.check("DBSIZE", "0");
    }

    fn subcommands_of_script(server: &Server) {
        let mut client = server.client();
        for (line, expected) in [
            ("SCRIPT", "-ERR wrong number of arguments for 'script' command"),
            ("SCRIPT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try SCRIPT HELP."),
            ("SCRIPT EXISTS", "-ERR wrong number of arguments for 'script|exists' command"),
            ("SCRIPT LOAD", "-ERR wrong number of arguments for 'script|load' command"),
            ("SCRIPT LOAD a b", "-ERR wrong number of arguments for 'script|load' command"),
            ("SCRIPT KILL", "-NOTBUSY No scripts in execution right now."),
            ("SCRIPT KILL now please", "-ERR wrong number of arguments for 'script|kill' command"),
            ("SCRIPT HELP x", "-ERR wrong number of arguments for 'script|help' command"),
            ("SCRIPT DEBUG", "-ERR wrong number of arguments for 'script|debug' command"),
            ("SCRIPT DEBUG MAYBE", "-ERR Use SCRIPT DEBUG YES/SYNC/NO"),
            ("SCRIPT DEBUG NO", "+OK"),
            ("SCRIPT LOAD \"#!nosuch\\nreturn 1\"", "-ERR Unexpected engine in script shebang: #!nosuch"),
            ("SCRIPT LOAD \"#!lua\\nreturn (\"",
                "-ERR Error compiling script (new function): user_script:2: unexpected symbol near '<eof>'"),
        ] {
            client.check(line, expected);
        }
        let help: Vec<String> = client.line("SCRIPT HELP").elements().iter().map(Reply::text).collect();
        assert_eq!(help[0], "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
        for subcommand in ["DEBUG", "EXISTS", "FLUSH", "KILL", "LOAD", "HELP"] {
            assert!(help.iter().any(|line| line.starts_with(subcommand)), "no {subcommand} in {help:?}");
        }
    }

    /// Scripts that EVAL brought are forgotten when there are too many, the least recently used first; those of SCRIPT LOAD stay.
    fn old_scripts_are_forgotten(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        let loaded = load(&mut client, "return 'loaded'");
        client.check("EVAL \"return 1\" 0", "1");
        client.check("EVAL \"return 'old'\" 0", "\"old\"");
        for number in 0..600 {
            let commands = [
                Command::new(&["EVAL", &format!("return {}", number + 2), "0"]),
                Command::line(&format!("EVALSHA {ONE} 0")),
            ];
            let replies = client.pipeline(&commands);
            assert_eq!(replies, [Reply::Integer(number + 2), Reply::Integer(1)]);
        }
        let old = eval(&mut client, "return redis.sha1hex(\"return 'old'\")").text();
        client.check(&format!("SCRIPT EXISTS {loaded} {ONE} {old}"), "[1, 1, 0]");
        client.check(&format!("EVALSHA {old} 0"), UNKNOWN);
        client.check("EVAL \"return 'old'\" 0", "\"old\"");
        client.check(&format!("EVALSHA {loaded} 0"), "\"loaded\"");
    }

    fn read_only_scripts_write_nothing(server: &Server) {
        let mut client = server.client();
        client.check("SET a 1", "+OK");
        for command in ["'set', KEYS[1], 1", "'del', KEYS[1]", "'getex', KEYS[1]", "'sort', 'l'", "'publish', 'a', 'b'", "'pfcount', 'p'"] {
            let text = format!("return redis.call({command})");
            assert_eq!(said(&client.call(&["EVAL_RO", &text, "1", "a"])), READ_ONLY, "{text}");
            let sha = load(&mut client, &text);
            assert_eq!(said(&client.call(&["EVALSHA_RO", &sha, "1", "a"])), READ_ONLY, "{text}");
            let text = format!("return redis.pcall({command}).err");
            assert_eq!(
                client.call(&["EVAL_RO", &text, "1", "a"]).text(),
                "ERR Write commands are not allowed from read-only scripts."
            );
        }
        for (text, expected) in [
            ("return redis.call('get', KEYS[1])", "\"1\""),
            ("return redis.call('sort_ro', 'l')", "[]"),
            ("return redis.call('touch', KEYS[1])", "1"),
            ("return redis.call('ping')", "+PONG"),
            ("return redis.call('select', 1)", "+OK"),
            ("return redis.set_repl(redis.REPL_NONE)", "nil"),
            ("#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])", "\"1\""),
            ("#!lua\nreturn 1", "-ERR Can not execute a script with write flag using *_ro command."),
        ] {
            assert_eq!(client.call(&["EVAL_RO", text, "1", "a"]).to_string(), expected, "{text}");
        }
        client.check("GET a", "\"1\"");
    }

    fn flags_of_a_script(server: &Server) {
        check_all(&mut server.client(), SHEBANGS);
    }

    fn the_api(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, API);
        let version = eval(&mut client, "return {redis.REDIS_VERSION, redis.REDIS_VERSION_NUM}").elements();
        let numbers: Vec<i64> = version[0].text().split('.').map(|number| number.parse().unwrap()).collect();
        assert!(numbers.len() == 3 && numbers[0] == 7, "{version:?}");
        assert_eq!(version[1].integer(), numbers[0] << 16 | numbers[1] << 8 | numbers[2]);
        assert_eq!(
            eval(&mut client, "redis.log(redis.LOG_WARNING, 'something', 'to', 'read') return 1").integer(),
            1
        );
        server.wait_for_log("something to read");
        eval(&mut client, "redis.log(redis.LOG_DEBUG, 'not of interest')");
        assert!(!server.log().contains("not of interest"));
        // Valkey's name for the same.
        if !server.is_redis() {
            assert_eq!(
                eval(
                    &mut client,
                    "return server.call('echo', rawequal(server, redis) and 'same' or 'other')"
                )
                .text(),
                "same"
            );
        }
    }

    fn scripts_in_a_pipeline(server: &Server) {
        let mut client = server.client();
        let commands: Vec<Command> = (0..200)
            .map(|number| match number % 4 {
                0 => Command::new(&["EVAL", "return redis.call('incr', KEYS[1])", "1", "n"]),
                1 => Command::line("INCR n"),
                2 => Command::new(&["EVAL", "return redis.call('incr', 'n')", "0"]),
                _ => Command::new(&["EVALSHA", "nosuch", "0"]),
            })
            .collect();
        let mut expected = 0;
        for (number, reply) in client.pipeline(&commands).iter().enumerate() {
            if number % 4 == 3 {
                assert_eq!(reply.to_string(), UNKNOWN);
            } else {
                expected += 1;
                assert_eq!(reply.integer(), expected);
            }
        }
        client.check("GET n", "\"150\"");
    }

    /// Tables without an end are cut off with an error, where Lua's stack would be; deep ones are told whole.
    fn deep_and_cyclic_replies(server: &Server) {
        for (text, depth) in [
            ("local t = {} for i = 1, 200 do t = {t} end return t", 200..201),
            ("local t = {} for i = 1, 5000 do t = {t} end return t", 5_000..5_001),
            ("local t = {} t[1] = t return t", 2_000..20_000),
            ("local t = {} local u = {t} t[1] = u return t", 2_000..20_000),
        ] {
            let (found, rest) = nested(server, text);
            assert!(depth.contains(&found), "{found} arrays for {text}");
            let expected = if depth.len() > 1 { "-ERR reached lua stack limit\r\n" } else { "*0\r\n" };
            assert_eq!(rest, expected, "{text}");
        }
        server.client().check("PING", "+PONG");
    }

    /// One command's limit on sizes holds inside as well.
    fn strings_that_grow_too_long(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET proto-max-bulk-len 1mb", "+OK");
        let append = "redis.call('set', KEYS[1], ('x'):rep(600000)) return redis.call('append', KEYS[1], ('x'):rep(600000))";
        assert_eq!(said(&eval_with(&mut client, append, &["big"], &[])),
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len) @1");
        client.check("STRLEN big", "600000");
        let setrange = "return redis.pcall('setrange', KEYS[1], 2000000, 'x').err";
        assert_eq!(
            eval_with(&mut client, setrange, &["big"], &[]).text(),
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        );
        client.check("STRLEN big", "600000");
    }
}

/// The keys of each command are where the count says.
fn check_numkeys_in_commands(client: &mut Client) {
    for (line, expected) in [
        ("COMMAND GETKEYS EVAL \"return 1\" 2 a b c", "[\"a\", \"b\"]"),
        ("COMMAND GETKEYS EVAL_RO \"return 1\" 2 a b c", "[\"a\", \"b\"]"),
        ("COMMAND GETKEYS EVALSHA abc 1 a", "[\"a\"]"),
        ("COMMAND GETKEYS EVALSHA_RO abc 1 a", "[\"a\"]"),
        ("COMMAND GETKEYS FCALL f 1 a b", "[\"a\"]"),
        ("COMMAND GETKEYS FCALL_RO f 1 a b", "[\"a\"]"),
        ("COMMAND GETKEYSANDFLAGS EVAL \"return 1\" 1 a", "[[\"a\", [+RW, +access, +update]]]"),
        ("COMMAND GETKEYSANDFLAGS EVAL_RO \"return 1\" 1 a", "[[\"a\", [+RO, +access]]]"),
    ] {
        client.check(line, expected);
    }
    for name in ["eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro"] {
        let info = client.line(&format!("COMMAND INFO {name}")).to_string();
        let flags = ["+noscript", "+stale", "+skip_monitor", "+no_mandatory_keys", "+movablekeys"];
        assert!(flags.iter().all(|flag| info.contains(flag)), "{info}");
        assert!(info.starts_with(&format!("[[\"{name}\", -3, ")) && info.contains("+@scripting"), "{info}");
        assert_eq!(info.contains("+readonly"), name.ends_with("_ro"), "{info}");
    }
}

/// How many arrays of one element stand in each other in the script's reply, and what stands in the last.
fn nested(server: &Server, text: &str) -> (usize, String) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let mut request = Vec::new();
    Command::new(&["EVAL", text, "0"]).encode(&mut request);
    // What follows marks the end.
    request.extend_from_slice(b"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n");
    stream.write_all(&request).unwrap();
    let (mut reply, mut bytes) = (Vec::new(), [0; 4096]);
    while !reply.ends_with(b"$3\r\nend\r\n") {
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "closed");
        reply.extend_from_slice(&bytes[..count]);
    }
    let reply = String::from_utf8_lossy(&reply[..reply.len() - 9]).into_owned();
    let rest = reply.trim_start_matches("*1\r\n").to_owned();
    ((reply.len() - rest.len()) / 4, rest)
}
