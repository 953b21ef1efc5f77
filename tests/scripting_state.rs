//! Scripts and what else a server and a connection know: transactions, watches, databases, waiters, events, monitors, statistics,
//! the clock. What a script does is one step of its client, and its commands are commands.

use rustredis_testkit::{Client, Command, DEADLINE_DEFAULT, Reply, Server, every_engine, wait_until};

use crate::lua::{another, eval, eval_with, said};

/// The lines of the monitor up to the one that ends so, each without its time and with its client's address as `client`.
#[track_caller]
fn seen(monitor: &mut Client, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let Reply::Simple(line) = monitor.read() else { panic!("no line after {lines:?}") };
        let (_, rest) = line.split_once(' ').expect("a time and the rest");
        let (database, rest) = rest.split_once(' ').expect("a database and the rest");
        let (source, command) = rest.split_once("] ").expect("a source and a command");
        let source = if source == "lua" { source } else { "client" };
        if command.contains(last) {
            return lines;
        }
        lines.push(format!("{} {source} {command}", &database[1..]));
    }
}

/// The number behind `name=` in a command's line of INFO commandstats; 0 if there is none.
fn statistic(server: &Server, command: &str, name: &str) -> u64 {
    let line = server.info(&format!("cmdstat_{command}")).unwrap_or_default();
    let value = line.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value.map_or(0, |value| value.parse().expect("a statistic is a number"))
}

/// A client that waits in this command.
fn blocked(server: &Server, arguments: &[&str]) -> Client {
    let mut client = server.client();
    let before: i64 = server.info("blocked_clients").unwrap().parse().unwrap();
    client.send(arguments);
    wait_until("a client to block", DEADLINE_DEFAULT, || {
        server.info("blocked_clients") == Some((before + 1).to_string())
    });
    client
}

every_engine! {
    fn scripts_in_a_transaction(server: &Server) {
        let mut client = server.client();
        client.check("EVAL \"return 1\" 0", "1");
        for (line, expected) in [
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("EVAL \"redis.call('incr', KEYS[1]) return redis.call('incr', KEYS[1])\" 1 a", "+QUEUED"),
            ("EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0", "+QUEUED"),
            ("EVALSHA nosuch 0", "+QUEUED"),
            ("EVAL \"return 1\" x", "+QUEUED"),
            ("EVAL \"return (\" 0", "+QUEUED"),
            ("EVAL_RO \"return redis.call('get', 'a')\" 0", "+QUEUED"),
            ("SCRIPT LOAD \"return 'x'\"", "+QUEUED"),
            ("SCRIPT EXISTS nosuch", "+QUEUED"),
            ("SCRIPT FLUSH", "+QUEUED"),
            ("EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0", "+QUEUED"),
            ("SCRIPT KILL", "+QUEUED"),
            ("GET a", "+QUEUED"),
            ("EXEC", "[+OK, 3, 1, -NOSCRIPT No matching script. Please use EVAL., -ERR value is not an integer or out of range, \
                -ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>', \"3\", \
                \"573cd020e2fc941d149285df8b681959190edd09\", [0], +OK, -NOSCRIPT No matching script. Please use EVAL., \
                -NOTBUSY No scripts in execution right now., \"3\"]"),
            ("MULTI", "+OK"),
            ("EVAL", "-ERR wrong number of arguments for 'eval' command"),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
        ] {
            client.check(line, expected);
        }
        // An error within stops neither the transaction nor what follows.
        for line in ["MULTI", "EVAL \"redis.call('set', 'b', 1) error('x')\" 0", "INCR b"] {
            client.line(line);
        }
        let replies = client.line("EXEC").elements();
        assert_eq!((said(&replies[0]).as_str(), replies[1].integer()), ("-ERR user_script:1: x @1", 2));
    }

    fn watches_see_what_scripts_write(server: &Server) {
        let (mut client, mut other) = (server.client(), server.client());
        for (text, is_changed) in [
            ("return redis.call('set', KEYS[1], 1)", true),
            ("return redis.call('get', KEYS[1])", false),
            ("return redis.call('set', 'computed:' .. ARGV[1], 1)", false),
            ("return redis.call('set', ARGV[1], 1)", true),
            ("return redis.call('del', 'nosuch')", false),
            ("redis.call('set', ARGV[1], 1) error('behind')", true),
            ("redis.call('select', 1) return redis.call('set', ARGV[1], 1)", false),
        ] {
            for is_own in [false, true] {
                client.check("WATCH w", "+OK");
                eval_with(if is_own { &mut client } else { &mut other }, text, &["w"], &["w"]);
                client.check("MULTI", "+OK");
                client.check("PING", "+QUEUED");
                client.check("EXEC", if is_changed { "nil-array" } else { "[+PONG]" });
            }
        }
    }

    fn a_script_s_database_is_its_own(server: &Server) {
        let mut client = server.client();
        assert_eq!(eval(&mut client, "redis.call('select', 5) redis.call('set', 'five', 1) \
            return redis.call('dbsize')").integer(), 1);
        client.check("EXISTS five", "0");
        client.check("SELECT 5", "+OK");
        client.check("EXISTS five", "1");
        // It begins in its client's.
        assert_eq!(eval(&mut client, "return redis.call('exists', 'five')").integer(), 1);
        assert!(eval(&mut client, "redis.call('select', 6) redis.call('select', 99)").is_error());
        assert_eq!(eval(&mut client, "return redis.call('exists', 'five')").integer(), 1);
        for line in ["MULTI", "EVAL \"redis.call('select', 7) \
            return redis.call('set', 'seven', 1)\" 0", "EXISTS five", "EVAL \"return redis.call('exists', 'five')\" 0"] {
            client.line(line);
        }
        client.check("EXEC", "[+OK, 1, 1]");
        // Commands over databases.
        assert_eq!(eval(&mut client, "redis.call('set', 'moving', 1) \
            return {redis.call('move', 'moving', 8), redis.call('copy', 'five', 'copied', 'DB', 8), redis.call('swapdb', 8, 9)}").to_string(), "[1, 1, +OK]");
        client.check("SELECT 9", "+OK");
        client.check("EXISTS moving copied", "2");
        assert_eq!(eval(&mut client, "redis.call('flushdb') redis.call('select', 5) \
            return redis.call('dbsize')").integer(), 1);
        client.check("DBSIZE", "0");
    }

    fn waiters_are_served_behind_the_script(server: &Server) {
        for text in [
            "redis.call('rpush', KEYS[1], 'a', 'b', 'c') redis.call('lpop', KEYS[1]) return redis.call('llen', KEYS[1])",
            "redis.call('rpush', 'li' .. 'st', 'a', 'b', 'c') redis.call('lpop', 'list') return redis.call('llen', 'list')",
        ] {
            let mut first = blocked(server, &["BLPOP", "none", "list", "0"]);
            let mut second = blocked(server, &["BLMOVE", "list", "moved", "LEFT", "LEFT", "0"]);
            let mut third = blocked(server, &["BLPOP", "moved", "0"]);
            assert_eq!(eval_with(&mut server.client(), text, &["list"], &[]).integer(), 2);
            assert_eq!(first.read().to_string(), "[\"list\", \"b\"]");
            assert_eq!(second.read().to_string(), "\"c\"");
            assert_eq!(third.read().to_string(), "[\"moved\", \"c\"]");
            server.client().check("EXISTS list moved", "0");
        }
        // What is gone before the end serves nobody, and another type neither.
        let mut waiter = blocked(server, &["BLPOP", "list", "0"]);
        let mut client = server.client();
        eval(&mut client, "redis.call('rpush', 'list', 'x') redis.call('del', 'list')");
        eval(
            &mut client,
            "redis.call('rpush', 'list', 'x') redis.call('del', 'list') redis.call('zadd', 'list', 1, 'm')",
        );
        client.check("DEL list", "1");
        assert_eq!(server.info("blocked_clients").as_deref(), Some("1"));
        // An error takes nothing back, and serves who waits.
        assert!(eval(&mut client, "redis.call('rpush', 'list', 'last') error('x')").is_error());
        assert_eq!(waiter.read().to_string(), "[\"list\", \"last\"]");
        let mut waiter = blocked(server, &["BZPOPMIN", "zset", "0"]);
        assert_eq!(eval(&mut client, "redis.call('zadd', 'zset', 2, 'b', 1, 'a') \
            return redis.call('zcard', 'zset')").integer(), 2);
        assert_eq!(waiter.read().to_string(), "[\"zset\", \"a\", \"1\"]");
    }

    fn events_come_in_their_order(server: &Server) {
        let (mut subscriber, mut client) = (server.client(), server.client());
        client.check("CONFIG SET notify-keyspace-events KEA", "+OK");
        subscriber.check("PSUBSCRIBE __keyevent*", "[\"psubscribe\", \"__keyevent*\", 1]");
        let mut waiter = blocked(server, &["BLPOP", "list", "0"]);
        eval_with(&mut client, "redis.call('rpush', KEYS[1], 'a', 'b') redis.call('set', 'x', 1) redis.call('lpop', KEYS[1]) \
            redis.call('del', 'x') redis.pcall('incr', KEYS[1]) redis.call('select', 3) \
            redis.call('incr', 'y')", &["list"], &[]);
        assert_eq!(waiter.read().to_string(), "[\"list\", \"b\"]");
        for (database, event, key) in [
            (0, "rpush", "list"), (0, "set", "x"), (0, "lpop", "list"), (0, "del", "x"), (3, "incrby", "y"),
            (0, "lpop", "list"), (0, "del", "list"),
        ] {
            let expected = format!("[\"pmessage\", \"__keyevent*\", \"__keyevent@{database}__:{event}\", \"{key}\"]");
            assert_eq!(subscriber.read().to_string(), expected);
        }
    }

    fn scripts_publish(server: &Server) {
        let (mut subscriber, mut client) = (server.client_resp3(), server.client());
        subscriber.check("SUBSCRIBE news", ">[\"subscribe\", \"news\", 1]");
        subscriber.check("SSUBSCRIBE shard", ">[\"ssubscribe\", \"shard\", 1]");
        assert_eq!(eval(&mut client, "return {redis.call('publish', 'news', 'one'), redis.call('spublish', 'shard', 'two'), redis.call('publish', 'none', 'x')}").to_string(), "[1, 1, 0]");
        assert_eq!(subscriber.read().to_string(), ">[\"message\", \"news\", \"one\"]");
        assert_eq!(subscriber.read().to_string(), ">[\"smessage\", \"shard\", \"two\"]");
        // One that is subscribed itself, in RESP3.
        assert_eq!(subscriber.line("EVAL \"return redis.call('publish', 'other', 'x')\" 0").to_string(), "0");
    }

    fn a_monitor_sees_the_commands_of_a_script(server: &Server) {
        let (mut monitor, mut client) = (server.client(), server.client());
        monitor.check("MONITOR", "+OK");
        eval_with(&mut client, "redis.call('set', KEYS[1], 'a\\0') redis.pcall('lpush', KEYS[1], 1) \
            redis.pcall('nosuch') redis.pcall('get') return redis.call('get', KEYS[1])", &["k"], &["v"]);
        client.check("ECHO end", "\"end\"");
        let lines = seen(&mut monitor, "\"end\"");
        assert!(
            lines[0].starts_with("0 client \"EVAL\" \"redis.call('set', KEYS[1]")
                && lines[0].ends_with("\" \"1\" \"k\" \"v\""),
            "{lines:?}"
        );
        assert_eq!(
            lines[1..],
            ["0 lua \"set\" \"k\" \"a\\x00\"", "0 lua \"lpush\" \"k\" \"1\"", "0 lua \"get\" \"k\""]
        );
        eval(&mut client, "redis.call('select', 3) redis.call('incr', 'n')");
        client.check("ECHO end", "\"end\"");
        let lines = seen(&mut monitor, "\"end\"");
        assert_eq!(lines.last().map(String::as_str), Some("3 lua \"incr\" \"n\""));
        for line in ["MULTI", "EVAL \"return redis.call('incr', 'n')\" 0", "GET n", "EXEC", "ECHO end"] {
            client.line(line);
        }
        let lines = seen(&mut monitor, "\"end\"");
        assert_eq!(lines, [
            "0 client \"MULTI\"", "0 client \"EVAL\" \"return redis.call('incr', 'n')\" \"0\"", "0 lua \"incr\" \"n\"",
            "0 client \"GET\" \"n\"", "0 client \"EXEC\"",
        ]);
    }

    fn slow_scripts_and_their_commands_are_kept(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET slowlog-log-slower-than 0", "+OK");
        client.check("SLOWLOG RESET", "+OK");
        eval_with(
            &mut client,
            "redis.call('set', KEYS[1], ARGV[1]) return redis.call('get', KEYS[1])",
            &["k"],
            &["v"],
        );
        client.check("CONFIG SET slowlog-log-slower-than -1", "+OK");
        let kept: Vec<String> = client
            .line("SLOWLOG GET 10")
            .elements()
            .iter()
            .map(|entry| entry.elements()[3].to_string())
            .collect();
        let script = kept.iter().position(|words| words.starts_with("[\"EVAL\"")).expect("the script is there");
        assert_eq!(kept[script + 1..script + 3], ["[\"get\", \"k\"]", "[\"set\", \"k\", \"v\"]"], "{kept:?}");
    }

    fn slow_scripts_of_a_transaction_are_kept(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET slowlog-log-slower-than 0", "+OK");
        client.check("SLOWLOG RESET", "+OK");
        client.check("MULTI", "+OK");
        client.check("EVAL return{} 0", "+QUEUED");
        client.check("EXEC", "[[]]");
        client.check("CONFIG SET slowlog-log-slower-than -1", "+OK");
        let log = client.line("SLOWLOG GET 10").elements();
        let mut words = log.iter().map(|entry| entry.elements()[3].to_string());
        assert!(words.any(|words| words.starts_with("[\"EVAL\"")), "{log:?}");
    }

    fn calls_and_errors_are_counted(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG RESETSTAT", "+OK");
        eval_with(&mut client, "redis.call('set', KEYS[1], ARGV[1]) redis.pcall('lpush', KEYS[1], 1) \
            redis.pcall('get') redis.pcall('nosuch') return redis.call('get', KEYS[1])", &["k"], &["v"]);
        for text in ["return redis.call('lpush', 'k', 1)", "error('x')", "return redis.error_reply('MY err')", "return {err = 'MY err'}",
            "return {err = 'OTHER err', ignore_error_stats_update = true}", "return ("] {
            assert!(eval(&mut client, text).is_error(), "{text}");
        }
        client.line("EVALSHA nosuch 0");
        client.line("EVAL \"return 1\" x");
        for (command, name, expected) in [
            ("eval", "calls", 8), ("eval", "failed_calls", 7), ("eval", "rejected_calls", 0), ("evalsha", "calls", 1),
            ("evalsha", "failed_calls", 1), ("set", "calls", 1), ("set", "failed_calls", 0), ("get", "calls", 1),
            ("get", "rejected_calls", 1), ("lpush", "calls", 2), ("lpush", "failed_calls", 2),
        ] {
            wait_until(&format!("{name}={expected} of {command}"), DEADLINE_DEFAULT, || {
                statistic(server, command, name) >= expected
            });
            assert_eq!(statistic(server, command, name), expected, "{name} of {command}");
        }
        for (code, expected) in [("ERR", "count=5"), ("MY", "count=2"), ("NOSCRIPT", "count=1"), ("WRONGTYPE", "count=2")] {
            assert_eq!(server.info(&format!("errorstat_{code}")).as_deref(), Some(expected), "{code}");
        }
        assert_eq!(server.info("errorstat_OTHER"), None);
        // An error of a command that the script passes on is one error, and the script has failed.
        for (text, calls) in [
            ("return redis.call('select', 99)", 1),
            ("return redis.pcall('select', 99)", 1),
            ("error(redis.pcall('select', 99))", 1),
            ("redis.pcall('select', 99) redis.pcall('select', 99) return redis.pcall('select', 99)", 3),
        ] {
            client.check("CONFIG RESETSTAT", "+OK");
            assert!(eval(&mut client, text).is_error(), "{text}");
            for (field, expected) in [("errorstat_ERR", format!("count={calls}")), ("total_error_replies", calls.to_string())] {
                assert_eq!(server.info(field), Some(expected), "{field} after {text}");
            }
            for (command, expected) in [("select", calls), ("eval", 1)] {
                let found = (statistic(server, command, "calls"), statistic(server, command, "failed_calls"));
                assert_eq!(found, (expected, expected), "calls and failed calls of {command} after {text}");
            }
        }
        // What is refused before it runs is no call.
        client.check("CONFIG RESETSTAT", "+OK");
        assert!(client.call(&["EVAL_RO", "return redis.call('set', 'a', 1)", "0"]).is_error());
        assert_eq!((statistic(server, "set", "calls"), statistic(server, "set", "rejected_calls")), (0, 1));
        assert_eq!(server.info("errorstat_ERR").as_deref(), Some("count=1"));
    }

    /// Scripts and libraries are counted, and their memory is told.
    fn scripts_are_counted(server: &Server) {
        let mut client = server.client();
        for number in 0..5 {
            eval(&mut client, &format!("return {number}"));
        }
        client.call(&["FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('a', function() end) redis.register_function('b', function() end)"]);
        client.line("FCALL a 0");
        for (field, expected) in [("number_of_cached_scripts", "5"), ("number_of_libraries", "1"), ("number_of_functions", "2")] {
            assert_eq!(server.info(field).as_deref(), Some(expected), "{field}");
        }
        for field in ["used_memory_vm_eval", "used_memory_vm_total", "used_memory_scripts", "used_memory_lua"] {
            let bytes: u64 = server.info(field).expect(field).parse().unwrap();
            assert!((1..100_000_000).contains(&bytes), "{field}: {bytes}");
        }
    }

    /// A key that is there when a script begins is there until it ends.
    fn time_stands_still_for_keys(server: &Server) {
        let mut client = server.client();
        let text = "local function there() return redis.call('exists', KEYS[1]) + redis.call('exists', KEYS[1] .. ':' .. ARGV[1]) end \
            local function now() local t = redis.call('time') return t[1] * 1000 + math.floor(t[2] / 1000) end \
            local first, began, rounds = there(), now(), 0 \
            repeat rounds = rounds + 1 local here = there() if here ~= first then return {first, here, rounds} end \
            until now() - began > 30 or rounds > 100000 \
            redis.call('set', 'own', 1, 'PX', 1) \
            repeat rounds = rounds + 1 if redis.call('get', 'own') ~= '1' then return {'own', rounds} end \
            until now() - began > 35 or rounds > 120000 \
            return first";
        let mut seen_there = 0;
        for number in 0..12 {
            client.check("SET k 1 PX 20", "+OK");
            client.check(&format!("SET k:{number} 1 PX 20"), "+OK");
            let reply = eval_with(&mut client, text, &["k"], &[&number.to_string()]);
            assert!(matches!(reply, Reply::Integer(_)), "{reply}");
            seen_there += i64::from(reply.integer() > 0);
            wait_until("the keys to be gone", DEADLINE_DEFAULT, || {
                client.line(&format!("EXISTS k k:{number} own")).integer() == 0
            });
        }
        assert!(seen_there > 0, "no script began in time");
    }

    /// A connection's settings hold inside a script, and a script changes none of them.
    fn a_connection_s_settings_hold(server: &Server) {
        let mut client = server.client();
        client.check("CLIENT SETNAME bob", "+OK");
        client.check("CONFIG SET maxmemory-policy allkeys-lfu lfu-log-factor 0 lfu-decay-time 0", "+OK");
        client.check("SET hot text", "+OK");
        client.check("SET cold words", "+OK");
        let touch = "for i = 1, 20 do redis.call('get', KEYS[1]) end return 1";
        assert_eq!(eval_with(&mut client, touch, &["hot"], &[]).integer(), 1);
        let hot = client.line("OBJECT FREQ hot").integer();
        assert!(hot > 15, "{hot}");
        if !server.is_redis() {
            client.check("CLIENT NO-TOUCH on", "+OK");
            assert_eq!(eval_with(&mut client, touch, &["cold"], &[]).integer(), 1);
            client.check("CLIENT NO-TOUCH off", "+OK");
        }
        let cold = client.line("OBJECT FREQ cold").integer();
        assert!(cold < 10, "{cold}");
        client.check("CLIENT GETNAME", "\"bob\"");
        // Replies that are off are off, and the script runs.
        client.send_raw(b"CLIENT REPLY OFF\r\n*3\r\n$4\r\nEVAL\r\n$32\r\nreturn redis.call('set', 's', 1)\r\n$1\r\n0\r\nCLIENT REPLY ON\r\n");
        assert_eq!(client.read().to_string(), "+OK");
        client.check("GET s", "\"1\"");
    }

    /// Only read while nobody waits for replicas that are not there.
    fn too_few_replicas(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET min-replicas-to-write 1", "+OK");
        let refused = "-NOREPLICAS Not enough good replicas to write.";
        for (text, expected) in [
            ("return 1", "1".to_owned()),
            ("return redis.call('get', 'a')", "nil".to_owned()),
            ("return redis.call('set', 'a', 1)", format!("{refused} @1")),
            ("return redis.pcall('set', 'a', 1)", refused.to_owned()),
            ("#!lua\nreturn 1", refused.to_owned()),
            ("#!lua flags=no-writes\nreturn 1", "1".to_owned()),
        ] {
            assert_eq!(said(&eval(&mut client, text)), expected, "{text}");
        }
        client.check("CONFIG SET min-replicas-to-write 0", "+OK");
        client.check("EXISTS a", "0");
    }

    /// A script that panics takes nothing and nobody with it.
    fn a_panic_within_a_script(server: &Server) {
        if server.is_redis() {
            return;
        }
        for threads in ["1", "2"] {
            let server = another(server, threads, &[]);
            let mut client = server.client();
            client.check("DEBUG PANIC-AT BEFORE-CHANGE", "+OK");
            let reply = eval(&mut client, "redis.call('set', 'a', 1) redis.call('set', 'b', 1)");
            assert!(reply.is_error(), "{reply}");
            for _ in 0..10 {
                assert!(!eval(&mut client, "return redis.call('incr', 'n')").is_error());
            }
            let commands: Vec<Command> = (0..10)
                .map(|_| Command::new(&["EVAL", "return redis.call('incr', KEYS[1])", "1", "n"]))
                .collect();
            let replies = server.client().pipeline(&commands);
            assert_eq!(replies.last(), Some(&Reply::Integer(20)));
        }
    }
}
