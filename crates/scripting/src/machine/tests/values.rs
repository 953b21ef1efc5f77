//! Values both ways, and errors as a client is told them.

use rustredis_resp::Proto;

use super::fake::{Fake, Setup};
use super::{check, check_errors};
use crate::script::sha1_hex;

#[test]
fn what_a_script_returns_becomes_a_reply() {
    check(&[
        ("return 1", ":1\r\n"),
        ("return 3.99", ":3\r\n"),
        ("return -3.99", ":-3\r\n"),
        ("return 1e30", ":-9223372036854775808\r\n"),
        ("return 0/0", ":-9223372036854775808\r\n"),
        ("return -1/0", ":-9223372036854775808\r\n"),
        ("return 'x'", "$1\r\nx\r\n"),
        ("return ''", "$0\r\n\r\n"),
        ("return true", ":1\r\n"),
        ("return false", "$-1\r\n"),
        ("return nil", "$-1\r\n"),
        ("return", "$-1\r\n"),
        ("", "$-1\r\n"),
        ("return 1, 2", ":1\r\n"),
        ("return function() end", "$-1\r\n"),
        ("return cjson.null", "$-1\r\n"),
        ("return {}", "*0\r\n"),
        ("return {1, 2, nil, 3}", "*2\r\n:1\r\n:2\r\n"),
        (
            "return {1, 2.7, 'a', true, false, {1, {2}}}",
            "*6\r\n:1\r\n:2\r\n$1\r\na\r\n:1\r\n$-1\r\n*2\r\n:1\r\n*1\r\n:2\r\n",
        ),
        ("return {function() end, 1}", "*2\r\n$-1\r\n:1\r\n"),
        ("return {err = 'MY x'}", "-MY x\r\n"),
        ("return {err = ''}", "-\r\n"),
        ("return {err = 'a\\r\\nb\\r\\n'}", "-a  b\r\n"),
        ("return {err = '-ERR a b'}", "--ERR a b\r\n"),
        ("return {err = 1}", "*0\r\n"),
        ("return {err = 'x', ok = 'y'}", "-x\r\n"),
        ("return {1, err = 'x'}", "-x\r\n"),
        ("return {{err = 'x'}, {ok = 'y'}}", "*2\r\n-x\r\n+y\r\n"),
        ("return {ok = 'a\\r\\nb'}", "+a  b\r\n"),
        ("return {ok = 1}", "*0\r\n"),
        ("return {double = 3.5}", "$3\r\n3.5\r\n"),
        ("return {double = 0/0}", "$4\r\n-nan\r\n"),
        ("return {double = 1/0}", "$3\r\ninf\r\n"),
        ("return {double = '3'}", "*0\r\n"),
        ("return {map = {a = 1}}", "*2\r\n$1\r\na\r\n:1\r\n"),
        ("return {map = {a = {map = {b = 1}}}}", "*2\r\n$1\r\na\r\n*2\r\n$1\r\nb\r\n:1\r\n"),
        ("return {map = 1}", "*0\r\n"),
        ("return {map = {}}", "*0\r\n"),
        ("return {set = {a = true}}", "*1\r\n$1\r\na\r\n"),
        ("return {big_number = '12\\r\\n3'}", "$5\r\n12  3\r\n"),
        ("return {verbatim_string = {string = 'abc', format = 'txt'}}", "$3\r\nabc\r\n"),
        ("return {verbatim_string = {string = 'a'}}", "*0\r\n"),
        ("return setmetatable({}, {__index = {err = 'x'}})", "*0\r\n"),
        ("return redis.error_reply('x')", "-ERR x\r\n"),
        ("return redis.error_reply('-x y')", "-x y\r\n"),
        ("return redis.error_reply('MY y')", "-MY y\r\n"),
        ("return redis.error_reply('')", "-ERR \r\n"),
        ("return redis.error_reply('- x')", "- x\r\n"),
        ("return redis.error_reply('a\\r\\nb')", "-ERR a  b\r\n"),
        ("return redis.error_reply(1)", "-ERR wrong number or type of arguments\r\n"),
        ("return redis.status_reply('x')", "+x\r\n"),
        ("return redis.status_reply({})", "-ERR wrong number or type of arguments\r\n"),
        ("return redis", "*0\r\n"),
    ]);
}

#[test]
fn a_client_of_resp3_gets_its_types() {
    let check = |script: &str, expected: &str| {
        let reply = Setup::new().eval_in(Proto::Resp3, script, &[], &[], &mut Fake::default());
        assert_eq!(reply, expected, "{script}");
    };
    check("return false", "_\r\n");
    check("return true", ":1\r\n");
    check("return nil", "_\r\n");
    check("redis.setresp(3) return true", "#t\r\n");
    check("redis.setresp(3) return {1, false, true, nil}", "*3\r\n:1\r\n#f\r\n#t\r\n");
    check("return {double = 0.1}", ",0.10000000000000001\r\n");
    check("return {map = {a = {1}}}", "%1\r\n$1\r\na\r\n*1\r\n:1\r\n");
    check("return {map = {[1] = 2, [true] = 3}}", "%2\r\n:1\r\n:2\r\n:1\r\n:3\r\n");
    check("return {set = {a = false}}", "~1\r\n$1\r\na\r\n");
    check("return {big_number = 'x\\n'}", "(x \r\n");
    check("return {verbatim_string = {string = 'a\\r\\nb', format = 'abcdef'}}", "=8\r\nabc:a\r\nb\r\n");
    check("return {verbatim_string = {string = 'a', format = 'a'}}", "=5\r\na  :a\r\n");
    // What a script of RESP2 says to a client of RESP3, and the other way round.
    assert_eq!(Setup::new().eval("redis.setresp(3) return false"), ":0\r\n");
}

#[test]
fn replies_of_commands_become_values() {
    let echo = |proto: u8, raw: &str| {
        let script = format!(
            "redis.setresp({proto}) local r = redis.call('RAW', ARGV[1]) \
             if type(r) ~= 'table' then return type(r) .. ':' .. tostring(r) end return cjson.encode(r)"
        );
        Setup::new().eval_with(&script, &[], &[raw], &mut Fake::default())
    };
    let check = |proto: u8, raw: &str, expected: &str| {
        assert_eq!(echo(proto, raw), format!("${}\r\n{expected}\r\n", expected.len()), "{raw:?}");
    };
    check(2, "+OK\r\n", r#"{"ok":"OK"}"#);
    check(2, "+PONG\r\n", r#"{"ok":"PONG"}"#);
    check(2, ":-12\r\n", "number:-12");
    check(2, "$3\r\nabc\r\n", "string:abc");
    check(2, "$-1\r\n", "boolean:false");
    check(2, "*-1\r\n", "boolean:false");
    check(2, "*3\r\n:1\r\n$-1\r\n*1\r\n$1\r\nx\r\n", r#"[1,false,["x"]]"#);
    check(2, "*0\r\n", "{}");
    check(3, "_\r\n", "nil:nil");
    check(3, "#t\r\n", "boolean:true");
    check(3, "#f\r\n", "boolean:false");
    check(3, ",1.5\r\n", r#"{"double":1.5}"#);
    check(3, "(123\r\n", r#"{"big_number":"123"}"#);
    check(3, "=7\r\ntxt:abc\r\n", r#"{"verbatim_string":{"format":"txt","string":"abc"}}"#);
    check(3, "%1\r\n$1\r\na\r\n*1\r\n:1\r\n", r#"{"map":{"a":[1]}}"#);
    check(3, "~1\r\n$1\r\na\r\n", r#"{"set":{"a":true}}"#);
    check(3, "|1\r\n+k\r\n:2\r\n:3\r\n", "number:3");
    check(3, "*2\r\n_\r\n:1\r\n", "[null,1]");
}

#[test]
fn numbers_reach_commands_as_redis_writes_them() {
    for (number, expected) in [
        ("3", "3"),
        ("1.5", "1.5"),
        ("0.1", "0.10000000000000001"),
        ("1e15", "1000000000000000"),
        ("1e17", "1e+17"),
        ("2^53", "9007199254740992"),
        ("-2^63", "-9.2233720368547758e+18"),
        ("1/0", "inf"),
        ("0/0", "-nan"),
        ("-0", "-0"),
        ("1e300", "1.0000000000000001e+300"),
        ("'x'", "x"),
    ] {
        let reply = Setup::new().eval(&format!("return redis.call('echo', {number})"));
        assert_eq!(reply, format!("${}\r\n{expected}\r\n", expected.len()), "{number}");
    }
    let many =
        "local t = {} for i = 1, 3000 do t[i] = i + 0.5 end return redis.call('COUNT', 'x', unpack(t))";
    check(&[(many, ":3001\r\n")]);
    let mut host = Fake::default();
    Setup::new().eval_with("redis.pcall('x', 1, 'a', 22, 3.5, 'b')", &[], &[], &mut host);
    assert_eq!(host.calls, [["x", "1", "a", "22", "3.5", "b"].map(|word| word.as_bytes().to_vec())]);
}

#[test]
fn errors_tell_what_happened_and_where() {
    check_errors(&[
        ("error('x')", "ERR user_script:1: x"),
        ("error('x', 0)", "ERR x"),
        ("error({err = 'x'})", "x"),
        ("error({err = 'My error'})", "My error"),
        ("error({err = 1})", "1"),
        ("error({err = 'a\\r\\nb\\r\\n'})", "a  b  "),
        ("error(nil)", "ERR nil"),
        ("error(5)", "ERR user_script:1: 5"),
        ("error(true)", "ERR true"),
        ("error(cjson.null)", "ERR userdata: (nil)"),
        ("error(redis.error_reply('ZZ y'))", "ZZ y"),
        ("error({})", "ERR unknown error"),
        ("return 1 + nil", "ERR user_script:1: attempt to perform arithmetic on a nil value"),
        (
            "return string.rep()",
            "ERR user_script:1: bad argument #1 to 'rep' (string expected, got no value)",
        ),
        ("return redis.call('nope')", "ERR Unknown Redis command called from script"),
        ("return redis.call('get')", "ERR Wrong number of args calling Redis command from script"),
        ("return redis.call()", "ERR Please specify at least one argument for this redis lib call"),
        ("return redis.pcall()", "ERR Please specify at least one argument for this redis lib call"),
        ("return redis.call({})", "ERR Lua redis lib command arguments must be strings or integers"),
        ("return redis.call('get', nil)", "ERR Lua redis lib command arguments must be strings or integers"),
        (
            "redis.call('set', 's', 'x') return redis.call('incr', 's')",
            "ERR value is not an integer or out of range",
        ),
        ("return redis.sha1hex()", "ERR wrong number of arguments"),
        ("return redis.log('x')", "ERR redis.log() requires two arguments or more."),
        ("return redis.log('a', 'x')", "ERR First argument must be a number (log level)."),
        ("return redis.log(4, 'x')", "ERR Invalid debug level."),
        ("return redis.setresp()", "ERR redis.setresp() requires one argument."),
        ("return redis.setresp(4)", "ERR RESP version must be 2 or 3."),
        ("return redis.set_repl()", "ERR redis.set_repl() requires two arguments."),
        (
            "return redis.set_repl(9)",
            "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        ),
        ("return redis.acl_check_cmd('nope')", "ERR Invalid command passed to redis.acl_check_cmd()"),
        ("coroutine.wrap(function() error('in co') end)()", "ERR user_script:1: user_script:1: in co"),
        (
            "coroutine.wrap(function() redis.call('nope') end)()",
            "ERR Unknown Redis command called from script",
        ),
        ("coroutine.yield(1)", "ERR attempt to yield across metamethod/C-call boundary"),
        ("return coroutine.resume(1)", "ERR user_script:1: bad argument #1 to 'resume' (coroutine expected)"),
        ("return coroutine.wrap(1)", "ERR user_script:1: bad argument #1 to 'wrap' (Lua function expected)"),
        ("return xpcall(1)", "ERR user_script:1: bad argument #2 to 'xpcall' (value expected)"),
        ("local function f() f() return 1 end f()", "ERR user_script:1: stack overflow"),
        ("('x'):gsub('x', function() error('cb') end)", "ERR user_script:1: cb"),
        (
            "local t = setmetatable({}, {__add = function() error('meta') end}) return t + 1",
            "ERR user_script:1: meta",
        ),
        ("x x", "ERR Error compiling script (new function): user_script:1: '=' expected near 'x'"),
        ("#!lua\n\nx x", "ERR Error compiling script (new function): user_script:3: '=' expected near 'x'"),
        (
            "\u{1b}Lua",
            "ERR Error compiling script (new function): user_script:1: unexpected symbol near 'char(27)'",
        ),
        ("return loadstring('y = 1')()", "ERR [string \"y = 1\"]:1: Attempt to modify a readonly table"),
    ]);
}

#[test]
fn an_error_s_place_is_the_line_of_the_script_that_raised_it() {
    for (script, line) in [
        ("error('x')", "1"),
        ("\n\nlocal function f()\n error('in f')\nend\nf()", "4"),
        ("\n\nlocal function f()\n redis.call('nope')\nend\n\nf()", "4"),
        ("\n\nlocal function f()\n return redis.call('nope')\nend\n\nreturn f()", "4"),
        ("#!lua\n\nerror('x')", "3"),
        ("pcall(error, 'x');\n('x'):gsub('x', function()\n error('x') end)", "3"),
    ] {
        let reply = Setup::new().eval(script);
        let sha = String::from_utf8_lossy(&sha1_hex(script.as_bytes())).into_owned();
        assert!(reply.ends_with(&format!(" script: {sha}, on @user_script:{line}.\r\n")), "{reply}");
    }
    let reply = Setup::new().eval("local f = loadstring('error(1)', '=zz') f()");
    assert!(reply.ends_with(", on =zz:1.\r\n"), "{reply}");
}

#[test]
fn pcall_gives_the_text_of_an_error_and_xpcall_the_table() {
    check(&[
        ("return {pcall(function() return 1, 2, 3 end)}", "*4\r\n:1\r\n:1\r\n:2\r\n:3\r\n"),
        ("local ok, e = pcall(error, {err = 'My'}) return type(e) .. e", "$8\r\nstringMy\r\n"),
        ("local ok, e = pcall(error, {x = 1}) return type(e) .. e.x", "$6\r\ntable1\r\n"),
        ("local ok, e = pcall(error, {err = {}}) return type(e)", "$5\r\ntable\r\n"),
        (
            "local ok, e = pcall(redis.call, 'nope') return type(e) .. e",
            "$50\r\nstringERR Unknown Redis command called from script\r\n",
        ),
        ("return select('#', pcall(error, {1}))", ":3\r\n"),
        ("return select('#', pcall(error, {err = 'x'}))", ":2\r\n"),
        ("return {pcall(error)}", "*1\r\n$-1\r\n"),
        ("return (pcall())", "$-1\r\n"),
        (
            "return {xpcall(function() error('a') end, function() error('b') end)}",
            "*2\r\n$-1\r\n$23\r\nerror in error handling\r\n",
        ),
        (
            "local ok, e = xpcall(function() redis.call('nope') end, function(e) return e end) \
             return {e.err, tostring(e.source), tostring(e.ignore_error_stats_update)}",
            "*3\r\n$44\r\nERR Unknown Redis command called from script\r\n$3\r\nnil\r\n$4\r\ntrue\r\n",
        ),
        (
            "local e = redis.pcall() return {e.err, tostring(e.ignore_error_stats_update)}",
            "*2\r\n$64\r\nERR Please specify at least one argument for this redis lib call\r\n$3\r\nnil\r\n",
        ),
        (
            "return {coroutine.resume(coroutine.create(function() error('in co') end))}",
            "*2\r\n$-1\r\n$20\r\nuser_script:1: in co\r\n",
        ),
        (
            "local co = coroutine.create(function() end) coroutine.resume(co) return {coroutine.resume(co)}",
            "*2\r\n$-1\r\n$28\r\ncannot resume dead coroutine\r\n",
        ),
        (
            "local f = coroutine.wrap(function(...) local a = ... while true do a = coroutine.yield(a * 2) end end) return {f(1), f(2), f(3)}",
            "*3\r\n:2\r\n:4\r\n:6\r\n",
        ),
    ]);
}

#[test]
fn keys_and_arguments_are_fresh_for_each_run() {
    let setup = Setup::new();
    let script = "local n = #KEYS KEYS[1] = 'changed' KEYS.x = 1 ARGV[2] = 'y' return {n, KEYS, ARGV}";
    for _ in 0..2 {
        let reply = setup.eval_with(script, &["a", "b"], &["c"], &mut Fake::default());
        assert_eq!(reply, "*3\r\n:2\r\n*2\r\n$7\r\nchanged\r\n$1\r\nb\r\n*2\r\n$1\r\nc\r\n$1\r\ny\r\n");
    }
}

#[test]
fn tables_too_deep_for_a_reply_have_an_error_in_them() {
    let limit = "-ERR reached lua stack limit\r\n";
    for script in [
        "local t = {} t[1] = t return t",
        "local t = {} t.map = {a = t} return t",
        "local t = {} t.set = {[t] = 1} return t",
    ] {
        let reply = Setup::new().eval(script);
        assert!(reply.ends_with(limit) && reply.len() > 10_000, "{script}");
    }
    // Twice as many values at each level: this has no end.
    let reply = Setup::limited(8 << 20).eval("local t = {} t[1] = t t[2] = t return t");
    assert!(reply.contains("not enough memory"), "{reply}");
}

#[test]
fn random_numbers_are_those_of_redis() {
    check(&[
        (
            "math.randomseed(0) return {math.random(1000), math.random(1000), math.random(1000), tostring(math.random())}",
            "*4\r\n:171\r\n:750\r\n:97\r\n$16\r\n0.87046522734243\r\n",
        ),
        (
            "math.randomseed(5) return {math.random(100), math.random(100), math.random(100)}",
            "*3\r\n:53\r\n:28\r\n:79\r\n",
        ),
    ]);
    check_errors(&[
        ("return math.random(0)", "ERR user_script:1: bad argument #1 to 'random' (interval is empty)"),
        ("return math.random(5, 1)", "ERR user_script:1: bad argument #2 to 'random' (interval is empty)"),
        ("return math.random(2^31)", "ERR user_script:1: bad argument #1 to 'random' (interval is empty)"),
        ("return math.random(1, 2, 3)", "ERR user_script:1: wrong number of arguments"),
    ]);
}
