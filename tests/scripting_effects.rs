//! What scripts leave in the append-only file, and what they may do when memory is short: each is one unit of the file, as a
//! transaction is, and a restart finds what was there.

use std::fs;

use rustredis_testkit::{Client, Launch, Server, every_engine};

use crate::files::{ALWAYS, aof_directory, check_replay, newest_increment, wait_for_background};
use crate::lua::{another, check_all, eval, eval_with, said};

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.";

/// A server that writes everything at once.
fn start(server: &Server, threads: &str) -> Server {
    Launch::new(server.binary().clone()).arguments(&ALWAYS).arguments(&["--threads", threads]).start()
}

/// Marks in the append-only file (`SET mark:<number>`), between which stands what was written in the meantime.
struct Marks {
    client: Client,
    number: usize,
}

impl Marks {
    fn new(server: &Server) -> Self {
        let mut marks = Self { client: server.client(), number: 0 };
        marks.set();
        marks
    }

    fn set(&mut self) {
        self.number += 1;
        self.client.check(&format!("SET mark:{} x", self.number), "+OK");
    }

    /// The words between the last mark and a new one, in capitals. What was answered is in the file.
    fn written(&mut self, server: &Server) -> String {
        self.set();
        let text = fs::read(newest_increment(&aof_directory(server))).unwrap();
        let text = String::from_utf8_lossy(&text).to_uppercase();
        let words: Vec<&str> = text.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
        let position = |number: usize| {
            let mark = format!("MARK:{number}");
            words.iter().rposition(|word| *word == mark).unwrap_or_else(|| panic!("no {mark} in {words:?}"))
        };
        let (from, to) = (position(self.number - 1) + 2, position(self.number) - 1);
        // Where the database is said to be the first one differs.
        words[from..to]
            .join(" ")
            .replace("SELECT 0 ", "")
            .replace(" SELECT 0", "")
            .replace("SELECT 0", "")
            .replace("MULTI SELECT 2", "SELECT 2 MULTI")
    }
}

/// A restart finds what was there.
fn check_restart(server: &mut Server) {
    let digest = crate::files::digest(server);
    server.kill();
    server.restart();
    assert_eq!(crate::files::digest(server), digest);
}

/// A limit that is passed until it is lifted.
fn fill(client: &mut Client) {
    client.check("CONFIG SET maxmemory-policy noeviction maxmemory 1", "+OK");
}

every_engine! {
    fn a_script_is_one_unit(server: &Server) {
        for threads in ["1", "2"] {
            let mut server = start(server, threads);
            let (mut client, mut marks) = (server.client(), Marks::new(&server));
            for (text, expected) in [
                // One command needs no brackets, and none leaves nothing.
                ("return redis.call('set', KEYS[1], 1)", "SET A 1"),
                ("return redis.call('get', KEYS[1])", ""),
                ("return redis.call('del', 'nosuch')", ""),
                ("redis.call('set', KEYS[1], 1) redis.call('incr', KEYS[1]) \
                    return redis.call('get', KEYS[1])", "MULTI SET A 1 INCR A EXEC"),
                ("redis.call('set', KEYS[1], 1) redis.call('set', 'b:' .. ARGV[1], 1)", "MULTI SET A 1 SET B:X 1 EXEC"),
                // An error in the middle keeps what was written.
                ("redis.call('set', KEYS[1], 1) error('x')", "SET A 1"),
                ("redis.call('set', KEYS[1], 1) redis.call('set', 'b', 1) redis.call('lpush', 'b', 1) \
                    redis.call('set', 'c', 1)",
                    "MULTI SET A 1 SET B 1 EXEC"),
                ("redis.call('set', KEYS[1], 1) redis.pcall('lpush', KEYS[1], 1) \
                    redis.call('set', 'b', 1)", "MULTI SET A 1 SET B 1 EXEC"),
                // What is drawn is written as it came out.
                ("redis.call('sadd', 'one', 'member') return redis.call('spop', 'one')", "MULTI SADD ONE MEMBER SREM ONE MEMBER EXEC"),
                ("redis.call('select', 2) redis.call('set', 'two', 1) redis.call('select', 0) redis.call('set', 'zero', 1)",
                    "SELECT 2 MULTI SET TWO 1 SET ZERO 1 EXEC"),
                // What is published goes to nobody who reads the file.
                ("redis.call('publish', 'channel', 'x') redis.call('set', 'b', 2)", "SET B 2"),
                ("return redis.call('publish', 'channel', 'x')", ""),
            ] {
                eval_with(&mut client, text, &["a"], &["x"]);
                // A unit that holds SPOP's effect may name it otherwise.
                let written = marks
                    .written(&server)
                    .replace("SPOP ONE", "SREM ONE MEMBER")
                    .replace("DEL ONE", "SREM ONE MEMBER");
                assert_eq!(written, expected, "{text}, {threads} threads");
            }
            check_restart(&mut server);
        }
    }

    fn scripts_within_a_transaction_are_part_of_its_unit(server: &Server) {
        for threads in ["1", "2"] {
            let mut server = start(server, threads);
            let (mut client, mut marks) = (server.client(), Marks::new(&server));
            for line in ["MULTI", "SET m1 1", "EVAL \"redis.call('set', 'm2', 1) redis.call('set', 'm3', 1)\" 0",
                "EVAL \"return redis.call('get', 'm2')\" 0", "EVAL \"redis.call('set', 'm4', 1) error('x')\" 0", "SET m5 1"] {
                client.line(line);
            }
            assert_eq!(client.line("EXEC").elements().len(), 5);
            assert_eq!(marks.written(&server), "MULTI SET M1 1 SET M2 1 SET M3 1 SET M4 1 SET M5 1 EXEC");
            for line in ["MULTI", "EVAL \"return redis.call('set', 'only', 1)\" 0", "GET only"] {
                client.line(line);
            }
            client.check("EXEC", "[+OK, \"1\"]");
            let written = marks.written(&server);
            assert!(["SET ONLY 1", "MULTI SET ONLY 1 EXEC"].contains(&written.as_str()), "{written}");
            check_restart(&mut server);
        }
    }

    /// What a script keeps from the file is gone with the server.
    fn replication_is_chosen(server: &Server) {
        let mut server = start(server, "2");
        let (mut client, mut marks) = (server.client(), Marks::new(&server));
        let text = "redis.set_repl(redis.REPL_NONE) redis.call('set', 'none', 1) redis.set_repl(redis.REPL_AOF) \
            redis.call('set', 'aof', 1) \
            redis.set_repl(redis.REPL_REPLICA) redis.call('set', 'replica', 1) redis.set_repl(redis.REPL_ALL) \
            redis.call('set', 'all', 1)";
        assert!(eval(&mut client, text).is_null());
        assert_eq!(marks.written(&server), "MULTI SET AOF 1 SET ALL 1 EXEC");
        client.check("EXISTS none aof replica all", "4");
        // The next script writes as always.
        eval(&mut client, "redis.set_repl(redis.REPL_NONE)");
        eval(&mut client, "redis.call('set', 'next', 1)");
        assert_eq!(marks.written(&server), "SET NEXT 1");
        server.kill();
        server.restart();
        server.client().check("EXISTS none aof replica all next", "3");
    }

    /// Functions are in the file as they were loaded, and what they do is as of scripts.
    fn functions_are_in_the_file(server: &Server) {
        for threads in ["1", "2"] {
            let mut server = start(server, threads);
            let (mut client, mut marks) = (server.client(), Marks::new(&server));
            let library = "#!lua name=lib\nredis.register_function('f', function(keys) redis.call('set', keys[1], 1) \
                return redis.call('incr', keys[1]) end)";
            client.call(&["FUNCTION", "LOAD", library]);
            client.call(&["FUNCTION", "LOAD", "#!lua name=gone\nredis.register_function('g', function() end)"]);
            client.check("FCALL f 1 a", "2");
            client.check("FUNCTION DELETE gone", "+OK");
            let written = marks.written(&server);
            assert!(
                written.starts_with("FUNCTION LOAD #!LUA NAME=LIB ")
                    && written.ends_with("MULTI SET A 1 INCR A EXEC FUNCTION DELETE GONE"),
                "{written}"
            );
            let dump = crate::files::bytes(&client.line("FUNCTION DUMP"));
            server.kill();
            server.restart();
            let mut client = server.client();
            client.check("FCALL f 1 a", "2");
            client.check("FCALL g 0", "-ERR Function not found");
            assert_eq!(crate::files::bytes(&client.line("FUNCTION DUMP")), dump);
            // A rewrite keeps them.
            client.line("BGREWRITEAOF");
            wait_for_background(&server);
            server.kill();
            server.restart();
            let mut client = server.client();
            client.check("FCALL f 1 a", "2");
            client.check("FUNCTION FLUSH", "+OK");
            server.kill();
            server.restart();
            server.client().check("FCALL f 1 a", "-ERR Function not found");
            server.client().check("GET a", "\"2\"");
        }
    }

    /// The file is rewritten while scripts write.
    fn scripts_write_during_a_rewrite(server: &Server) {
        let server = start(server, "2");
        let text = "for i = 1, 5 do redis.call('incr', KEYS[1]) redis.call('rpush', 'list:' .. KEYS[1], i) end \
            return redis.call('llen', 'list:' .. KEYS[1])";
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4).map(|number| scope.spawn({
                let mut client = server.client();
                move || for _ in 0..150 {
                    eval_with(&mut client, text, &[&format!("k{}", number % 3)], &[]);
                }
            })).collect();
            let mut client = server.client();
            while writers.iter().any(|writer| !writer.is_finished()) {
                client.line("BGREWRITEAOF");
                wait_for_background(&server);
            }
        });
        let mut client = server.client();
        let counts: i64 = ["k0", "k1", "k2"]
            .iter()
            .map(|key| client.line(&format!("GET {key}")).text().parse::<i64>().unwrap())
            .sum();
        assert_eq!(counts, 3_000);
        check_replay(&server, &ALWAYS);
    }

    /// The first write is refused where memory is short, unless the script's flags allow it; what has begun goes on.
    fn memory_is_short(server: &Server) {
        // Its limit says how much is evicted, which would depend on what waits for a disk.
        let server = Launch::new(server.binary().clone()).start();
        let mut client = server.client();
        client.check("SET a 1", "+OK");
        fill(&mut client);
        let raised = format!("{OOM} @1");
        check_all(&mut client, &[
            ("return redis.call('set', 'b', 1)", &raised),
            ("return redis.pcall('set', 'b', 1)", OOM),
            ("return redis.call('get', 'a')", "\"1\""),
            ("return 1", "1"),
            ("#!lua\nreturn 1", OOM),
            ("#!lua flags=no-writes\nreturn redis.call('get', 'a')", "\"1\""),
            ("#!lua flags=allow-oom\nreturn redis.call('set', 'b', 1)", "+OK"),
            ("#!lua flags=allow-stale\nreturn redis.call('get', 'a')", OOM),
            // What makes room is no write that needs memory, and who has begun goes on.
            ("return redis.call('del', 'b')", "1"),
            ("redis.call('del', 'a') return redis.call('set', 'a', 2)", "+OK"),
            ("redis.call('set', 'b', 1) return redis.call('del', 'a')", &raised),
        ]);
        client.check("MGET a b", "[\"2\", nil]");
        assert_eq!(client.call(&["EVAL_RO", "return redis.call('get', 'a')", "0"]).text(), "2");
        for text in ["return redis.call('set', 'a', 1)", "#!lua\nreturn 1"] {
            client.check("MULTI", "+OK");
            assert_eq!(eval(&mut client, text).to_string(), OOM, "{text}");
            client.check("EXEC", "-EXECABORT Transaction discarded because of previous errors.");
        }
        client.check("CONFIG SET maxmemory 0", "+OK");
        assert_eq!(said(&eval(&mut client, "#!lua\nreturn redis.call('set', 'b', 1)")), "+OK");
    }

    fn memory_is_short_for_functions(server: &Server) {
        let server = Launch::new(server.binary().clone()).start();
        let mut client = server.client();
        let library = "#!lua name=lib\n\
            redis.register_function('plain', function(keys) return redis.call('get', keys[1]) end)\n\
            redis.register_function{function_name = 'oom', flags = {'allow-oom'}, callback = function(keys) \
            return redis.call('set', keys[1], 1) end}\n\
            redis.register_function{function_name = 'ro', flags = {'no-writes'}, callback = function(keys) \
            return redis.call('get', keys[1]) end}";
        assert_eq!(client.call(&["FUNCTION", "LOAD", library]).text(), "lib");
        fill(&mut client);
        for (line, expected) in [
            ("FCALL plain 1 a", OOM),
            ("FCALL oom 1 a", "+OK"),
            ("FCALL ro 1 a", "\"1\""),
            ("FCALL_RO ro 1 a", "\"1\""),
            ("FCALL_RO oom 1 a", "-ERR Can not execute a script with write flag using *_ro command."),
            ("FUNCTION LOAD \"#!lua name=more\\nredis.register_function('more', function() end)\"", OOM),
            ("FUNCTION DELETE nosuch", "-ERR Library not found"),
            ("FUNCTION DELETE lib", "+OK"),
        ] {
            client.check(line, expected);
        }
        client.check("CONFIG SET maxmemory 0", "+OK");
    }

    /// Keys that must go are gone before a script begins, and none goes while it runs.
    fn eviction_waits_for_a_script(server: &Server) {
        let server = Launch::new(server.binary().clone()).start();
        let mut client = server.client();
        let value = "v".repeat(10_000);
        for number in 0..200 {
            client.call(&["SET", &format!("fill:{number}"), &value]);
        }
        let used: u64 = server.info("used_memory").unwrap().parse().unwrap();
        client.check(&format!("CONFIG SET maxmemory-policy allkeys-lru maxmemory {}", used - 500_000), "+OK");
        let text = "local before = redis.call('dbsize') redis.call('set', KEYS[1], ARGV[1]:rep(100)) \
            redis.call('set', 'computed', ARGV[1]) \
            local there = redis.call('exists', KEYS[1], 'computed') return {before, redis.call('dbsize'), there}";
        let reply = eval_with(&mut client, text, &["own"], &[&value]);
        let numbers: Vec<i64> = reply.elements().iter().map(rustredis_testkit::Reply::integer).collect();
        assert!(numbers[0] < 200 && numbers[1] == numbers[0] + 2 && numbers[2] == 2, "{numbers:?}");
        // Somebody else's write makes room again.
        client.check("SET other 1", "+OK");
        client.check("CONFIG SET maxmemory 0", "+OK");
    }

    /// A server that has no file yet gets one while scripts write.
    fn a_file_that_begins_late(server: &Server) {
        let server = another(server, "2", &["--appendfsync", "always"]);
        let mut client = server.client();
        client.check("CONFIG SET appendonly no", "+OK");
        eval(&mut client, "for i = 1, 100 do redis.call('set', 'k' .. i, i) end");
        client.call(&["FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() \
            return redis.call('incr', 'n') end)"]);
        client.check("CONFIG SET appendonly yes", "+OK");
        wait_for_background(&server);
        eval(&mut client, "for i = 101, 200 do redis.call('set', 'k' .. i, i) end");
        client.check("FCALL f 0", "1");
        client.check("DBSIZE", "201");
    }
}
