//! FUNCTION and FCALL: libraries that are loaded, replaced and listed, what they may be, and what their functions answer. The
//! expectations are what redis-server 7.0.15 answered. That libraries are kept is `functions_kept.rs`'s.

use rustredis_testkit::{Client, Command, Reply, every_engine};

use crate::lua::said;

/// What a library whose text follows `#!lua name=lib` and a line's end is told.
const REGISTERING: &[(&str, &str)] = &[
    ("return 1", "-ERR No functions registered"),
    ("local a, b = 1", "-ERR No functions registered"),
    ("return (", "-ERR Error compiling function: user_function:2: unexpected symbol near '<eof>'"),
    ("\n\n(", "-ERR Error compiling function: user_function:4: unexpected symbol near '<eof>'"),
    ("\nlocal t = {} t[nil] = 1", "user_function:3: table index is nil"),
    ("x = 1", "user_function:2: Attempt to modify a readonly table"),
    ("return nosuch", "user_function:2: Script attempted to access nonexistent global variable 'nosuch'"),
    ("error('boom')", "user_function:2: Script attempted to access nonexistent global variable 'error'"),
    ("redis.call('ping')", "user_function:2: Script attempted to access nonexistent global variable 'call'"),
    (
        "redis.pcall('ping')",
        "user_function:2: Script attempted to access nonexistent global variable 'pcall'",
    ),
    ("redis.setresp(3)", "user_function:2: Script attempted to access nonexistent global variable 'setresp'"),
    (
        "redis.set_repl(3)",
        "user_function:2: Script attempted to access nonexistent global variable 'set_repl'",
    ),
    (
        "return math.random()",
        "user_function:2: Script attempted to access nonexistent global variable 'math'",
    ),
    ("redis.register_function()", "wrong number of arguments to redis.register_function"),
    (
        "redis.register_function('x', function() end, 1)",
        "wrong number of arguments to redis.register_function",
    ),
    (
        "redis.register_function('x')",
        "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
    ),
    ("redis.register_function('x', 1)", "second argument to redis.register_function must be a function"),
    (
        "redis.register_function({}, function() end)",
        "first argument to redis.register_function must be a string",
    ),
    (
        "redis.register_function('x y', function() end)",
        "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
    ),
    (
        "redis.register_function('', function() end)",
        "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
    ),
    (
        "redis.register_function('x', function() end) redis.register_function('x', function() end)",
        "Function already exists in the library",
    ),
    ("redis.register_function{function_name = 'x'}", "redis.register_function must get a callback argument"),
    (
        "redis.register_function{callback = function() end}",
        "redis.register_function must get a function name argument",
    ),
    (
        "redis.register_function{function_name = 'x', callback = 1}",
        "callback argument given to redis.register_function must be a function",
    ),
    (
        "redis.register_function{function_name = 'x', callback = function() end, nosuch = 1}",
        "unknown argument given to redis.register_function",
    ),
    (
        "redis.register_function{function_name = 'x', callback = function() end, flags = 'no-writes'}",
        "flags argument to redis.register_function must be a table representing function flags",
    ),
    (
        "redis.register_function{function_name = 'x', callback = function() end, flags = {'nosuch'}}",
        "unknown flag given",
    ),
    (
        "redis.register_function{function_name = 'x', callback = function() end, flags = {1}}",
        "unknown flag given",
    ),
    (
        "redis.register_function{function_name = 'x', callback = function() end, description = {}}",
        "description argument given to redis.register_function must be a string",
    ),
];

/// Whole texts, and what FUNCTION LOAD says.
const SHEBANGS: &[(&str, &str)] = &[
    ("return 1", "-ERR Missing library metadata"),
    ("", "-ERR Missing library metadata"),
    ("REPLACE", "-ERR Missing library metadata"),
    ("#!lua\nreturn 1", "-ERR Library name was not given"),
    ("#!lua name=lib", "-ERR Invalid library metadata"),
    (
        "#!lua name=a-b\nreturn 1",
        "-ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
    ),
    (
        "#!lua name=\nreturn 1",
        "-ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
    ),
    (
        "#!lua name=lib name=lib2\nreturn 1",
        "-ERR Invalid metadata value, name argument was given multiple times",
    ),
    ("#!lua name=lib foo=bar\nreturn 1", "-ERR Invalid metadata value given: foo=bar"),
    ("#!python name=lib\nreturn 1", "-ERR Engine 'python' not found"),
];

/// Loads a library of this name.
#[track_caller]
pub(crate) fn load(client: &mut Client, options: &[&str], name: &str, body: &str) -> Reply {
    let text = format!("#!lua name={name}\n{body}");
    client.call(&[&["FUNCTION", "LOAD"][..], options, &[text.as_str()]].concat())
}

/// A library with one function that answers its version.
#[track_caller]
pub(crate) fn load_version(client: &mut Client, name: &str, function: &str, version: u64) {
    let body = format!("redis.register_function('{function}', function() return {version} end)");
    assert_eq!(load(client, &["REPLACE"], name, &body).text(), name);
}

/// The names of the libraries, sorted.
#[track_caller]
pub(crate) fn names(client: &mut Client) -> Vec<String> {
    let mut names: Vec<String> =
        client.line("FUNCTION LIST").elements().iter().map(|library| library.elements()[1].text()).collect();
    names.sort();
    names
}

every_engine! {
    fn functions_are_called(server: &Server) {
        let mut client = server.client();
        let body = "redis.register_function('f', function(keys, args) return {keys, args} end)\n\
            redis.register_function('count', function(...) return select('#', ...) end)\n\
            redis.register_function('incr', function(keys) return redis.call('incr', keys[1]) end)\n\
            redis.register_function('status', function() return redis.status_reply('FINE') end)\n\
            redis.register_function('nothing', function() end)";
        assert_eq!(load(&mut client, &[], "lib", body).text(), "lib");
        for (line, expected) in [
            ("FCALL f 1 k a b", "[[\"k\"], [\"a\", \"b\"]]"),
            ("FCALL f 0", "[[], []]"),
            ("FCALL f 2 a b", "[[\"a\", \"b\"], []]"),
            ("FCALL F 0", "[[], []]"),
            ("FCALL count 1 a b", "2"),
            ("FCALL incr 1 n", "1"),
            ("FCALL status 0", "+FINE"),
            ("FCALL nothing 0", "nil"),
            ("FCALL nosuch 0", "-ERR Function not found"),
            ("FCALL lib 0", "-ERR Function not found"),
            ("FCALL f", "-ERR wrong number of arguments for 'fcall' command"),
            ("FCALL_RO f", "-ERR wrong number of arguments for 'fcall_ro' command"),
            ("FCALL f x", "-ERR Bad number of keys provided"),
            ("FCALL f -1", "-ERR Number of keys can't be negative"),
            ("FCALL f 2 a", "-ERR Number of keys can't be greater than number of args"),
            ("FCALL_RO f 0", "-ERR Can not execute a script with write flag using *_ro command."),
            ("FCALL_RO nosuch 0", "-ERR Function not found"),
        ] {
            client.check(line, expected);
        }
        // Every connection has them.
        for number in 2..10 {
            server.client().check("FCALL incr 1 n", &number.to_string());
        }
        let commands: Vec<Command> = (0..50).map(|_| Command::line("FCALL incr 1 n")).collect();
        assert_eq!(client.pipeline(&commands).last(), Some(&Reply::Integer(59)));
    }

    fn protocols_of_functions(server: &Server) {
        let (mut client, mut modern) = (server.client(), server.client_resp3());
        let body = "redis.register_function('map', function() return {map = {a = 1}} end)\n\
            redis.register_function('hash', function(keys) redis.setresp(3) return redis.call('hgetall', keys[1]) end)\n\
            redis.register_function('plain', function(keys) return redis.call('hgetall', keys[1]) end)";
        load(&mut client, &[], "lib", body);
        client.check("HSET h f 1", "1");
        for _ in 0..2 {
            client.check("FCALL map 0", "[\"a\", 1]");
            modern.check("FCALL map 0", "{\"a\": 1}");
            client.check("FCALL hash 1 h", "[\"f\", \"1\"]");
            modern.check("FCALL hash 1 h", "{\"f\": \"1\"}");
            modern.check("FCALL plain 1 h", "[\"f\", \"1\"]");
        }
    }

    /// What a library may know while it is loaded, and say.
    fn what_a_library_knows_when_it_is_loaded(server: &Server) {
        let mut client = server.client();
        let body = "local version, number = redis.REDIS_VERSION, redis.REDIS_VERSION_NUM\n\
            redis.log(redis.LOG_WARNING, 'loading under ' .. version)\n\
            redis.register_function('version', function()\n\
            return {version == redis.REDIS_VERSION, number == redis.REDIS_VERSION_NUM, number > 0x070000}\nend)";
        assert_eq!(load(&mut client, &[], "lib", body).text(), "lib");
        server.wait_for_log("loading under 7.");
        client.check("FCALL version 0", "[1, 1, 1]");
    }

    fn texts_that_are_no_library(server: &Server) {
        let mut client = server.client();
        for (text, expected) in SHEBANGS {
            assert_eq!(client.call(&["FUNCTION", "LOAD", text]).to_string(), *expected, "{text}");
        }
        for (body, expected) in REGISTERING {
            let expected = if expected.starts_with('-') {
                (*expected).to_owned()
            } else {
                format!("-ERR Error registering functions: ERR {expected}")
            };
            assert_eq!(load(&mut client, &[], "lib", body).to_string(), expected, "{body}");
        }
        client.check("FUNCTION LIST", "[]");
        for (line, expected) in [
            ("FUNCTION LOAD", "-ERR wrong number of arguments for 'function|load' command"),
            ("FUNCTION LOAD NOSUCH \"#!lua name=lib\\nreturn 1\"", "-ERR Unknown option given: NOSUCH"),
            ("FUNCTION DELETE nosuch", "-ERR Library not found"),
            ("FUNCTION DELETE", "-ERR wrong number of arguments for 'function|delete' command"),
            ("FUNCTION NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try FUNCTION HELP."),
            ("FUNCTION", "-ERR wrong number of arguments for 'function' command"),
            ("FUNCTION FLUSH X", "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
            ("FUNCTION LIST LIBRARYNAME", "-ERR library name argument was not given"),
            ("FUNCTION LIST WITHCODE WITHCODE", "-ERR Unknown argument WITHCODE"),
            ("FUNCTION LIST LIBRARYNAME a LIBRARYNAME b", "-ERR Unknown argument LIBRARYNAME"),
            ("FUNCTION LIST NOSUCH", "-ERR Unknown argument NOSUCH"),
            ("FUNCTION KILL", "-NOTBUSY No scripts in execution right now."),
        ] {
            client.check(line, expected);
        }
        let help: Vec<String> = client.line("FUNCTION HELP").elements().iter().map(Reply::text).collect();
        for subcommand in ["LOAD", "DELETE", "LIST", "STATS", "KILL", "FLUSH", "DUMP", "RESTORE", "HELP"] {
            assert!(help.iter().any(|line| line.starts_with(subcommand)), "no {subcommand} in {help:?}");
        }
    }

    /// Names that are taken, and libraries that are replaced as a whole or not at all.
    fn libraries_are_replaced(server: &Server) {
        let mut client = server.client();
        load_version(&mut client, "lib", "f", 1);
        let g = "redis.register_function('g', function() return 1 end)";
        let f = "redis.register_function('f', function() return 1 end)";
        assert_eq!(load(&mut client, &[], "lib", g).to_string(), "-ERR Library 'lib' already exists");
        assert_eq!(load(&mut client, &[], "other", f).to_string(), "-ERR Function f already exists");
        assert_eq!(load(&mut client, &["REPLACE"], "other", f).to_string(), "-ERR Function f already exists");
        assert_eq!(names(&mut client), ["lib"]);
        // What fails leaves the old one as it was.
        load_version(&mut client, "taken", "h", 1);
        for body in ["return (", "return 1", "redis.register_function('h', function() end)", "redis.register_function('f', function() return 2 end) error()"] {
            assert!(load(&mut client, &["REPLACE"], "lib", body).is_error(), "{body}");
            client.check("FCALL f 0", "1");
        }
        assert_eq!(load(&mut client, &["replace"], "lib", &format!("{g} redis.register_function('f', function() \
            return 3 end)")).text(), "lib");
        client.check("FCALL f 0", "3");
        client.check("FCALL g 0", "1");
        assert_eq!(load(&mut client, &["REPLACE"], "lib", g).text(), "lib");
        client.check("FCALL f 0", "-ERR Function not found");
        // A name that is free again may be taken.
        assert_eq!(load(&mut client, &[], "other", f).text(), "other");
        client.check("FUNCTION DELETE lib", "+OK");
        client.check("FCALL g 0", "-ERR Function not found");
        client.check("FCALL f 0", "1");
        client.check("FUNCTION FLUSH", "+OK");
        for flush in ["FUNCTION FLUSH SYNC", "FUNCTION FLUSH ASYNC"] {
            load_version(&mut client, "lib", "f", 1);
            client.check(flush, "+OK");
            client.check("FCALL f 0", "-ERR Function not found");
            client.check("FUNCTION LIST", "[]");
        }
        // Data is no function, nor are scripts.
        load_version(&mut client, "lib", "f", 1);
        client.check("FLUSHALL", "+OK");
        client.check("SCRIPT FLUSH", "+OK");
        client.check("FCALL f 0", "1");
    }

    fn libraries_are_listed(server: &Server) {
        let (mut client, mut modern) = (server.client(), server.client_resp3());
        let body = "redis.register_function{function_name = 'ro', callback = function() end, flags = {'no-writes', 'allow-stale'}, description = 'reads'}";
        load(&mut client, &[], "first", body);
        load(&mut client, &[], "second", "redis.register_function('w', function() end)");
        client.check("FUNCTION LIST LIBRARYNAME first",
            "[[\"library_name\", \"first\", \"engine\", \"LUA\", \"functions\", [[\"name\", \"ro\", \"description\", \"reads\", \"flags\", [+no-writes, +allow-stale]]]]]");
        modern.check("FUNCTION LIST LIBRARYNAME first",
            "[{\"library_name\": \"first\", \"engine\": \"LUA\", \"functions\": [{\"name\": \"ro\", \"description\": \"reads\", \"flags\": ~[+no-writes, +allow-stale]}]}]");
        let second = "[\"library_name\", \"second\", \"engine\", \"LUA\", \"functions\", [[\"name\", \"w\", \"description\", nil, \"flags\", []]]";
        client.check("FUNCTION LIST LIBRARYNAME s*", &format!("[{second}]]"));
        let code = "\"library_code\", \"#!lua name=second\\nredis.register_function('w', function() end)\"";
        client.check("FUNCTION LIST WITHCODE LIBRARYNAME SECON?", &format!("[{second}, {code}]]"));
        client.check("FUNCTION LIST LIBRARYNAME nosuch", "[]");
        assert_eq!(names(&mut client), ["first", "second"]);
        client.check("FUNCTION STATS", "[\"running_script\", nil, \"engines\", [\"LUA\", [\"libraries_count\", 2, \"functions_count\", 2]]]");
        modern.check("FUNCTION STATS", "{\"running_script\": null, \"engines\": {\"LUA\": {\"libraries_count\": 2, \"functions_count\": 2}}}");
        let all = "redis.register_function{function_name = 'all', flags = {'no-writes', 'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys'}, description = '', callback = function() end}";
        load(&mut client, &["REPLACE"], "second", all);
        client.check("FUNCTION LIST LIBRARYNAME second",
            "[[\"library_name\", \"second\", \"engine\", \"LUA\", \"functions\", [[\"name\", \"all\", \"description\", \"\", \"flags\", [+no-writes, +allow-oom, +allow-stale, +no-cluster, +allow-cross-slot-keys]]]]]");
        // Names may be numbers, long, and of both cases; an engine's name has no case.
        for name in ["A1_b", "1", &"a".repeat(200)] {
            load(
                &mut client,
                &["REPLACE"],
                name,
                &format!("redis.register_function('f_{name}', function() return 1 end)"),
            );
            client.check(&format!("FCALL f_{name} 0"), "1");
        }
        assert_eq!(client.call(&["FUNCTION", "LOAD", "#!LUA name=upper\nredis.register_function(7, function() \
            return 7 end)"]).text(), "upper");
        client.check("FCALL 7 0", "7");
    }

    fn errors_of_functions(server: &Server) {
        let mut client = server.client();
        let body = "local function inner() return nosuch end\n\
            redis.register_function('bad', function()\n return inner()\nend)\n\
            redis.register_function('call', function(keys) return redis.call('incr', keys[1]) end)\n\
            redis.register_function('pcall', function(keys) return redis.pcall('incr', keys[1]) end)\n\
            redis.register_function('global', function() x = 1 end)\n\
            redis.register_function('keys', function() return KEYS end)\n\
            redis.register_function('own', function() return redis.error_reply('MY error') end)\n\
            redis.register_function{function_name = 'ro', flags = {'no-writes'}, callback = function(keys) \
            return redis.call('set', keys[1], 1) end}\n\
            redis.register_function('register', function() return redis.register_function('x', function() end) end)";
        assert_eq!(load(&mut client, &[], "lib", body).text(), "lib");
        client.check("HSET h f 1", "1");
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        for (line, expected) in [
            ("FCALL bad 0", "-ERR user_function:2: Script attempted to access nonexistent global variable 'nosuch' @2"),
            ("FCALL call 1 h", &format!("{wrong} @6")),
            ("FCALL pcall 1 h", wrong),
            ("FCALL global 0", "-ERR user_function:8: Attempt to modify a readonly table @8"),
            ("FCALL keys 0", "-ERR user_function:9: Script attempted to access nonexistent global variable 'KEYS' @9"),
            ("FCALL own 0", "-MY error"),
            ("FCALL ro 1 a", "-ERR Write commands are not allowed from read-only scripts. @11"),
            ("FCALL_RO ro 1 a", "-ERR Write commands are not allowed from read-only scripts. @11"),
        ] {
            assert_eq!(said(&client.line(line)), expected, "{line}");
        }
        client.check("FCALL bad 0", "-ERR user_function:2: Script attempted to access nonexistent global variable 'nosuch' script: bad, on @user_function:2.");
        assert!(client.line("FCALL register 0").is_error());
        client.check("FCALL x 0", "-ERR Function not found");
        client.check("EXISTS a", "0");
    }

    fn functions_in_a_transaction(server: &Server) {
        let mut client = server.client();
        load(&mut client, &[], "lib", "redis.register_function('incr', function(keys) \
            return redis.call('incr', keys[1]) end)");
        for line in ["MULTI", "FCALL incr 1 n", "FUNCTION DELETE lib", "FCALL incr 1 n",
            "FUNCTION LOAD \"#!lua name=new\\nredis.register_function('new', function() \
                return 'in' end)\"", "FCALL new 0", "FUNCTION KILL", "FCALL new x"] {
            client.line(line);
        }
        client.check("EXEC", "[1, +OK, -ERR Function not found, \"new\", \"in\", -NOTBUSY No scripts in execution right now., -ERR Bad number of keys provided]");
        assert_eq!(names(&mut client), ["new"]);
        client.check("MULTI", "+OK");
        client.check("FCALL", "-ERR wrong number of arguments for 'fcall' command");
        client.check("EXEC", "-EXECABORT Transaction discarded because of previous errors.");
    }
}
