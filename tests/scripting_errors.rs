//! Errors of scripts: of their text, of what they do, of the commands that they call, with the line where it was. The expectations
//! are what redis-server 7.0.15 answered.

use rustredis_testkit::{Client, every_engine};

use crate::lua::{check_all, eval, eval_with, said};

/// Commands that no script may run, with arguments that would do for a client.
const REFUSED: &[&str] = &[
    "'eval', 'return 1', 0",
    "'evalsha', 'x', 0",
    "'eval_ro', 'return 1', 0",
    "'fcall', 'f', 0",
    "'fcall_ro', 'f', 0",
    "'multi'",
    "'exec'",
    "'discard'",
    "'watch', 'a'",
    "'unwatch'",
    "'subscribe', 'a'",
    "'psubscribe', 'a'",
    "'ssubscribe', 'a'",
    "'unsubscribe'",
    "'monitor'",
    "'auth', 'a'",
    "'hello', 3",
    "'client', 'id'",
    "'client', 'kill', 'id', 1",
    "'script', 'load', 'return 1'",
    "'script', 'flush'",
    "'script', 'kill'",
    "'function', 'list'",
    "'function', 'flush'",
    "'config', 'get', 'hz'",
    "'config', 'set', 'hz', 10",
    "'shutdown'",
    "'debug', 'segfault'",
    "'save'",
    "'bgsave'",
    "'bgrewriteaof'",
    "'replicaof', 'no', 'one'",
    "'role'",
    "'acl', 'whoami'",
    "'wait', 0, 0",
    "'quit'",
    "'reset'",
];

/// Errors that are no tables with a text, which crash redis-server 7.0.15.
const NAMELESS: &[&str] = &[
    "error()",
    "error(nil)",
    "error({})",
    "error({a = 1})",
    "error({err = {}})",
    "error(function() end)",
    "error(setmetatable({}, {__tostring = function() return 'x' end}))",
    "error(setmetatable({}, {__index = function() error('again') end}))",
    "error(coroutine.create(function() end))",
    "error(cjson.null)",
    "assert(nil, {})",
    "assert(false, {a = 1})",
];

/// What redis.call refuses. A call raises the error, a pcall gives it as a table.
const CALLS: &[(&str, &str)] = &[
    ("return redis.call('nosuch', 'a')", "-ERR Unknown Redis command called from script @1"),
    ("return redis.pcall('nosuch')", "-ERR Unknown Redis command called from script"),
    ("return redis.call()", "-ERR Please specify at least one argument for this redis lib call @1"),
    ("return redis.pcall()", "-ERR Please specify at least one argument for this redis lib call"),
    ("return redis.call('get')", "-ERR Wrong number of args calling Redis command from script @1"),
    ("return redis.pcall('get')", "-ERR Wrong number of args calling Redis command from script"),
    ("return redis.call('config', 'nosuch')", "-ERR Unknown Redis command called from script @1"),
    ("return redis.call({})", "-ERR Lua redis lib command arguments must be strings or integers @1"),
    ("return redis.call(nil)", "-ERR Lua redis lib command arguments must be strings or integers @1"),
    ("return redis.call('get', true)", "-ERR Lua redis lib command arguments must be strings or integers @1"),
    ("return redis.call('get', nil)", "-ERR Lua redis lib command arguments must be strings or integers @1"),
    ("return redis.call('get', {})", "-ERR Lua redis lib command arguments must be strings or integers @1"),
    ("return redis.pcall('get', {})", "-ERR Lua redis lib command arguments must be strings or integers"),
    ("return redis.pcall('set', 'a', 'b', 'nosuchopt')", "-ERR syntax error"),
    ("return redis.call('select', 99)", "-ERR DB index is out of range @1"),
    (
        "return redis.call('incr', 'h')",
        "-WRONGTYPE Operation against a key holding the wrong kind of value @1",
    ),
    ("return redis.pcall('incr', 'h')", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    (
        "local r = redis.pcall('incr', 'h') return {r.err, 'goes on'}",
        r#"["WRONGTYPE Operation against a key holding the wrong kind of value", "goes on"]"#,
    ),
    (
        "local ok, e = pcall(redis.call, 'incr', 'h') return {tostring(ok), type(e), e}",
        r#"["false", "string", "WRONGTYPE Operation against a key holding the wrong kind of value"]"#,
    ),
    (
        "local ok, e = pcall(redis.call, 'incr', 'h') error(e)",
        "-ERR user_script:1: WRONGTYPE Operation against a key holding the wrong kind of value @1",
    ),
    (
        "local ok, e = pcall(redis.call, 'nosuch') return e",
        r#""ERR Unknown Redis command called from script""#,
    ),
    (
        "error(redis.pcall('incr', 'h'))",
        "-WRONGTYPE Operation against a key holding the wrong kind of value @1",
    ),
    ("redis.pcall('incr', 'h') return 'goes on'", r#""goes on""#),
];

/// Errors of a script's own.
const RAISED: &[(&str, &str)] = &[
    ("error('boom')", "-ERR user_script:1: boom @1"),
    ("error('boom', 0)", "-ERR boom @1"),
    ("error({err = 'MY boom'})", "-MY boom @1"),
    ("error({err = 'boom'})", "-boom @1"),
    ("error(redis.error_reply('MY e'))", "-MY e @1"),
    ("error(12)", "-ERR user_script:1: 12 @1"),
    ("error(true)", "-ERR true @1"),
    (
        "return nosuch",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'nosuch' @1",
    ),
    ("nosuch = 1", "-ERR user_script:1: Attempt to modify a readonly table @1"),
    ("local x = nil return x.y", "-ERR user_script:1: attempt to index local 'x' (a nil value) @1"),
    ("return 1 + {}", "-ERR user_script:1: attempt to perform arithmetic on a table value @1"),
    ("return #5", "-ERR user_script:1: attempt to get length of a number value @1"),
    ("return 'a' < 1", "-ERR user_script:1: attempt to compare string with number @1"),
    ("return ('x')()", "-ERR user_script:1: attempt to call a string value @1"),
    ("local function f() return f() + 1 end return f()", "-ERR user_script:1: stack overflow @1"),
    ("assert(false, 'asserted')", "-ERR user_script:1: asserted @1"),
    ("redis.call('set', 'before', 1) error('after')", "-ERR user_script:1: after @1"),
    (
        "local ok, e = pcall(error, redis.error_reply('MY e')) return {tostring(ok), e}",
        r#"["false", "MY e"]"#,
    ),
    ("local ok, e = pcall(error, {err = 'MY e'}) return {tostring(ok), e}", r#"["false", "MY e"]"#),
    ("local ok, e = pcall(error, 'x') return e", r#""x""#),
];

/// Where it was.
const LINES: &[(&str, &str)] = &[
    ("\n\nerror('third')", "-ERR user_script:3: third @3"),
    ("local function f()\n\nerror('deep')\nend\nf()", "-ERR user_script:3: deep @3"),
    (
        "\nreturn redis.call('incr', 'h')",
        "-WRONGTYPE Operation against a key holding the wrong kind of value @2",
    ),
    ("#!lua\n\nerror('x')", "-ERR user_script:3: x @3"),
    ("return 1\n\n(", "-ERR Error compiling script (new function): user_script:3: '<eof>' expected near '('"),
    (
        "#!lua\nreturn (",
        "-ERR Error compiling script (new function): user_script:2: unexpected symbol near '<eof>'",
    ),
];

/// Texts that do not compile.
const COMPILING: &[(&str, &str)] = &[
    ("return (", "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'"),
    ("return {", "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'"),
    ("x y", "-ERR Error compiling script (new function): user_script:1: '=' expected near 'y'"),
    ("return '", "-ERR Error compiling script (new function): user_script:1: unfinished string near '<eof>'"),
    (
        "return [[",
        "-ERR Error compiling script (new function): user_script:1: unfinished long string near '<eof>'",
    ),
    ("for", "-ERR Error compiling script (new function): user_script:1: '<name>' expected near '<eof>'"),
    (
        "return 1 return 2",
        "-ERR Error compiling script (new function): user_script:1: '<eof>' expected near 'return'",
    ),
    ("# comment", "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'"),
    (
        "\x1bLua",
        "-ERR Error compiling script (new function): user_script:1: unexpected symbol near 'char(27)'",
    ),
    ("@", "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '@'"),
];

#[track_caller]
fn set_keys(client: &mut Client) {
    client.check("HSET h f 1", "1");
}

every_engine! {
    fn what_calls_refuse(server: &Server) {
        let mut client = server.client();
        set_keys(&mut client);
        check_all(&mut client, CALLS);
    }

    fn what_scripts_raise(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, RAISED);
        // What was written before stays.
        client.check("GET before", "\"1\"");
    }

    fn lines_are_told(server: &Server) {
        let mut client = server.client();
        set_keys(&mut client);
        check_all(&mut client, LINES);
        let sha = eval(&mut client, "return redis.sha1hex(\"error('x')\")").text();
        let expected = format!("-ERR user_script:1: x script: {sha}, on @user_script:1.");
        assert_eq!(eval(&mut client, "error('x')").to_string(), expected);
        client.check(&format!("EVALSHA {sha} 0"), &expected);
        // The line of the call, not of where the function was called from.
        let text = "local function f()\n  return redis.call('incr', KEYS[1])\nend\n\nreturn f()";
        assert_eq!(said(&eval_with(&mut client, text, &["h"], &[])),
            "-WRONGTYPE Operation against a key holding the wrong kind of value @2");
    }

    fn what_does_not_compile(server: &Server) {
        check_all(&mut server.client(), COMPILING);
    }

    fn errors_that_are_no_text(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        for text in NAMELESS {
            let reply = eval(&mut client, text);
            assert!(reply.to_string().starts_with("-ERR "), "{text}: {reply}");
            client.check("EVAL \"return 1\" 0", "1");
        }
    }

    fn commands_that_no_script_runs(server: &Server) {
        let mut client = server.client();
        let refused = "-ERR This Redis command is not allowed from script";
        for words in REFUSED {
            assert_eq!(eval(&mut client, &format!("return redis.pcall({words})")).to_string(), refused, "{words}");
            assert_eq!(
                said(&eval(&mut client, &format!("return redis.call({words})"))),
                format!("{refused} @1"),
                "{words}"
            );
        }
        // Nothing of it happened.
        client.check("EXEC", "-ERR EXEC without MULTI");
        client.check("GET a", "nil");
    }

    /// A script waits for nobody: commands that block are refused, as in 7.0, or find nothing, as in 7.2.
    fn nothing_blocks_in_a_script(server: &Server) {
        let mut client = server.client();
        for words in [
            "'blpop', 'q', 0",
            "'brpop', 'q', 0",
            "'blmove', 'q', 'r', 'LEFT', 'LEFT', 0",
            "'brpoplpush', 'q', 'r', 0",
            "'blmpop', 0, 1, 'q', 'LEFT'",
            "'bzpopmin', 'q', 0",
            "'bzpopmax', 'q', 0",
            "'bzmpop', 0, 1, 'q', 'MIN'",
        ] {
            let reply = eval(&mut client, &format!("return redis.pcall({words})")).to_string();
            assert!(
                ["-ERR This Redis command is not allowed from script", "nil", "nil-array"]
                    .contains(&reply.as_str()),
                "{words}: {reply}"
            );
        }
        assert_eq!(server.info("blocked_clients").as_deref(), Some("0"));
    }

    /// What was written before an error stays, and a script goes on after an error that it has caught.
    fn an_error_takes_nothing_back(server: &Server) {
        let mut client = server.client();
        let text = "redis.call('set', KEYS[1], 1) redis.call('lpush', KEYS[1], 1) redis.call('set', KEYS[1], 2)";
        assert_eq!(said(&eval_with(&mut client, text, &["a"], &[])),
            "-WRONGTYPE Operation against a key holding the wrong kind of value @1");
        client.check("GET a", "\"1\"");
        let text = "redis.call('set', KEYS[1], 2) local r = redis.pcall('lpush', KEYS[1], 1) \
            redis.call('append', KEYS[1], r.err:sub(1, 9)) return redis.call('get', KEYS[1])";
        assert_eq!(eval_with(&mut client, text, &["a"], &[]).text(), "2WRONGTYPE");
        let text = "redis.call('set', KEYS[1], 3) return redis.error_reply('MY error')";
        assert_eq!(eval_with(&mut client, text, &["a"], &[]).to_string(), "-MY error");
        client.check("GET a", "\"3\"");
        // A number of keys that is wrong, or a text that does not compile, is found before anything is done.
        client.check(
            "EVAL \"redis.call('set', 'a', 4)\" 5 x",
            "-ERR Number of keys can't be greater than number of args",
        );
        assert!(eval(&mut client, "redis.call('set', 'a', 4) return (").is_error());
        client.check("GET a", "\"3\"");
    }
}
