//! What a script cannot do to those after it, or to the server.

use super::fake::Setup;
use super::{check, check_errors};

const READONLY: &str = "Attempt to modify a readonly table";

#[test]
fn globals_are_those_of_redis() {
    let names =
        "local t = {} for k in pairs(_G) do t[#t + 1] = k end table.sort(t) return table.concat(t, ' ')";
    let expected = "ARGV KEYS _G _VERSION __redis__err__handler assert bit cjson cmsgpack collectgarbage coroutine error gcinfo \
                    getmetatable ipairs load loadstring math next os pairs pcall rawequal rawget rawset redis select server \
                    setmetatable string struct table tonumber tostring type unpack xpcall";
    check(&[(names, &format!("${}\r\n{expected}\r\n", expected.len()))]);
    let names = "local t = {} for k, v in pairs(redis) do t[#t + 1] = k end table.sort(t) return table.concat(t, ' ')";
    let expected = "LOG_DEBUG LOG_NOTICE LOG_VERBOSE LOG_WARNING REDIS_VERSION REDIS_VERSION_NUM REPL_ALL REPL_AOF REPL_NONE \
                    REPL_REPLICA REPL_SLAVE acl_check_cmd breakpoint call debug error_reply log pcall replicate_commands \
                    set_repl setresp sha1hex status_reply";
    check(&[(names, &format!("${}\r\n{expected}\r\n", expected.len()))]);
    check(&[
        (
            "return {redis.LOG_WARNING, redis.REPL_ALL, redis.REDIS_VERSION, redis.REDIS_VERSION_NUM}",
            "*4\r\n:3\r\n:3\r\n$5\r\n7.2.4\r\n:459268\r\n",
        ),
        ("return {server.call == redis.call, _G == _G._G, _G.redis == redis}", "*3\r\n:1\r\n:1\r\n:1\r\n"),
        (
            "return {type(os.clock()), tostring(os.execute), tostring(next(os))}",
            "*3\r\n$6\r\nnumber\r\n$3\r\nnil\r\n$5\r\nclock\r\n",
        ),
        ("return _VERSION", "$7\r\nLua 5.1\r\n"),
    ]);
}

#[test]
fn what_redis_takes_away_is_not_there() {
    for name in [
        "print", "dofile", "loadfile", "newproxy", "debug", "io", "require", "module", "package", "getfenv",
        "setfenv", "jit", "x",
    ] {
        let error =
            format!("ERR user_script:1: Script attempted to access nonexistent global variable '{name}'");
        check_errors(&[(&format!("return {name}"), &error), (&format!("return _G.{name}"), &error)]);
        check(&[(&format!("return rawget(_G, '{name}')"), "$-1\r\n")]);
    }
    check_errors(&[
        ("return _G[1]", "ERR user_script:1: Script attempted to access nonexistent global variable '1'"),
        (
            "return _G[{}]",
            "ERR user_script:1: Second argument to luaProtectedTableError must be a string or number",
        ),
    ]);
}

#[test]
fn shared_tables_cannot_be_changed() {
    let placed = format!("ERR user_script:1: {READONLY}");
    let plain = format!("ERR {READONLY}");
    for script in [
        "x = 1",
        "redis = 1",
        "KEYS = {1}",
        "tostring = nil",
        "_G.x = 1",
        "_G.tostring = nil",
        "_G[{}] = 1",
        "redis.call = 1",
        "redis.x = 1",
        "server.call = 1",
        "string.rep = 1",
        "string.x = 1",
        "os.clock = nil",
        "math.huge = nil",
        "getmetatable('').__index = 1",
        "getmetatable(_G).__index = nil",
        "local f = string f.rep = 1",
        "local function f() y = 1 end f()",
        "(function() tostring = 1 end)()",
    ] {
        check_errors(&[(script, &placed)]);
    }
    for script in [
        "rawset(_G, 'x', 1)",
        "rawset(redis, 'call', 1)",
        "rawset(getmetatable(''), '__index', 1)",
        "setmetatable(_G, {})",
        "setmetatable(_G, nil)",
        "setmetatable(string, {__index = {}})",
        "setmetatable(getmetatable(''), {})",
        "table.insert(_G, 1)",
        "table.insert(math, 1)",
    ] {
        check_errors(&[(script, &plain)]);
    }
    let script = "return select(2, pcall(rawset, _G, 'x', 1))";
    check(&[(script, &format!("${}\r\n{READONLY}\r\n", READONLY.len()))]);
}

#[test]
fn nothing_of_a_shared_table_is_given_away() {
    check(&[
        (
            "return {tostring(getmetatable(redis)), tostring(getmetatable(string)), type(getmetatable(''))}",
            "*3\r\n$3\r\nnil\r\n$3\r\nnil\r\n$5\r\ntable\r\n",
        ),
        (
            "local m = getmetatable(_G) return {type(m.__index), tostring(m.__newindex), tostring(getmetatable(m))}",
            "*3\r\n$8\r\nfunction\r\n$3\r\nnil\r\n$3\r\nnil\r\n",
        ),
        ("return getmetatable('').__index == string", ":1\r\n"),
        (
            "return {rawget(_G, 'string') == string, rawget(string, 'rep') == string.rep, rawget(redis, 'call') == redis.call}",
            "*3\r\n:1\r\n:1\r\n:1\r\n",
        ),
        // What pairs and next hand out is the table that was given, so nothing behind it is reached.
        ("local f, s = pairs(_G) return s == _G and rawequal(s, _G) and type(f) == 'function'", ":1\r\n"),
        (
            "return {#math, #_G, #string, table.getn(math), table.maxn(math)}",
            "*5\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
        ),
        ("return {unpack(string)}", "*0\r\n"),
        ("local n = 0 for _ in pairs(redis) do n = n + 1 end return n", ":23\r\n"),
        ("return next(math) ~= nil", ":1\r\n"),
        ("return ('x'):upper()", "$1\r\nX\r\n"),
        ("local t = setmetatable({}, _G) return tostring(t.redis)", "$3\r\nnil\r\n"),
        ("return getmetatable(setmetatable({}, redis)) == redis", ":1\r\n"),
        ("local t = setmetatable({}, redis) getmetatable(t) return 1", ":1\r\n"),
        (
            "local t = {} for k, v in pairs(_G) do if v ~= _G then t[k] = v end end return type(t.redis.call)",
            "$8\r\nfunction\r\n",
        ),
    ]);
    check_errors(&[
        (
            "local t = setmetatable({}, {__metatable = 1}) setmetatable(t, {})",
            "ERR user_script:1: cannot change a protected metatable",
        ),
        (
            "return setmetatable(1, {})",
            "ERR user_script:1: bad argument #1 to 'setmetatable' (table expected, got number)",
        ),
        (
            "return setmetatable({}, 1)",
            "ERR user_script:1: bad argument #2 to 'setmetatable' (nil or table expected)",
        ),
        ("return getmetatable()", "ERR user_script:1: bad argument #1 to 'getmetatable' (value expected)"),
        ("return rawget({})", "ERR user_script:1: bad argument #2 to 'rawget' (value expected)"),
        ("rawset({}, nil, 1)", "ERR table index is nil"),
        ("return next()", "ERR user_script:1: bad argument #1 to 'next' (table expected, got no value)"),
        ("return pairs(nil)", "ERR user_script:1: bad argument #1 to 'pairs' (table expected, got nil)"),
    ]);
    check(&[("return {pcall(next, {}, 1)}", "*2\r\n$-1\r\n$21\r\ninvalid key to 'next'\r\n")]);
}

#[test]
fn an_error_s_table_that_is_shared_stays_as_it_is() {
    let setup = Setup::new();
    assert!(setup.eval("error(redis)").starts_with("-ERR table: 0x"));
    assert!(setup.eval("error(getmetatable(''))").starts_with("-ERR table: 0x"));
    assert_eq!(
        setup.eval("return {tostring(rawget(redis, 'err')), tostring(redis.line)}"),
        "*2\r\n$3\r\nnil\r\n$3\r\nnil\r\n"
    );
}

#[test]
fn nothing_of_a_script_is_seen_by_the_next() {
    let setup = Setup::new();
    setup.eval(
        "pcall(function() x = 1 end) KEYS.x = 1 collectgarbage('stop') collectgarbage('setpause', 1000)",
    );
    setup.eval("local ok = pcall(redis.call) error('x')");
    setup.eval("return coroutine.wrap(function() coroutine.yield(1) end)()");
    assert_eq!(setup.eval("return {rawget(_G, 'x') == nil, KEYS.x == nil}"), "*2\r\n:1\r\n:1\r\n");
    assert_eq!(
        setup.eval("return {collectgarbage('setpause', 100), collectgarbage('setstepmul', 100)}"),
        "*2\r\n:200\r\n:200\r\n"
    );
    // What a script says that it speaks is forgotten too.
    setup.eval("redis.setresp(3)");
    assert_eq!(setup.eval("return false"), "$-1\r\n");
}

#[test]
fn bytecode_is_text() {
    check(&[
        (
            "return select(2, loadstring('\\27Lua'))",
            "$52\r\n[string \"\u{1b}Lua\"]:1: unexpected symbol near 'char(27)'\r\n",
        ),
        (
            "local code = string.dump(function() return 1 end) local n = 0 return {tostring(loadstring(code)), tostring(load(function() n = n + 1 return n == 1 and code or nil end))}",
            "*2\r\n$3\r\nnil\r\n$3\r\nnil\r\n",
        ),
        (
            "local code, n = string.dump(function() return 1 end), 0
             return tostring(load(function() n = n + 1 if n <= #code then return code:sub(n, n) end end))",
            "$3\r\nnil\r\n",
        ),
    ]);
}

#[test]
fn load_compiles_pieces_and_texts() {
    check(&[
        ("return loadstring('return 1', '=zz')()", ":1\r\n"),
        (
            "local n = 0 local f = load(function() n = n + 1 return ({'return ', '7'})[n] end, 'zz') return f()",
            ":7\r\n",
        ),
        (
            "local n = 0 local f, e = load(function() n = n + 1 if n == 1 then return 'x x ' end end) return e",
            "$31\r\n(load):1: '=' expected near 'x'\r\n",
        ),
        ("return {tostring(load(function() return {} end))}", "*1\r\n$3\r\nnil\r\n"),
        (
            "return select(2, load(function() return {} end))",
            "$36\r\nreader function must return a string\r\n",
        ),
        ("return select(2, load(function() error('x', 0) end))", "$1\r\nx\r\n"),
        (
            "return select(2, loadstring('x x', 'a\\0b'))",
            "$37\r\n[string \"a\"]:1: '=' expected near 'x'\r\n",
        ),
        ("return select(2, loadstring('x x'))", "$39\r\n[string \"x x\"]:1: '=' expected near 'x'\r\n"),
        ("return loadstring('return redis.call(\"ECHO\", ...)')('x')", "$1\r\nx\r\n"),
        (
            "return select(2, pcall(loadstring('z = 1')))",
            "$54\r\n[string \"z = 1\"]:1: Attempt to modify a readonly table\r\n",
        ),
        // A text whose reader makes garbage all the while.
        (
            "local n = 0 local f = load(function() n = n + 1 collectgarbage() if n < 200 then return '--' .. ('x'):rep(n) .. '\\n' elseif n == 200 then return 'return 5' end end, ('n'):rep(100)) return f()",
            ":5\r\n",
        ),
    ]);
    check_errors(&[
        (
            "return loadstring()",
            "ERR user_script:1: bad argument #1 to 'loadstring' (string expected, got no value)",
        ),
        ("return load('x')", "ERR user_script:1: bad argument #1 to 'load' (function expected, got string)"),
    ]);
    // Brackets whose equal signs are counted in a number that may overflow.
    let reply = Setup::new().eval("return tostring(loadstring('return [' .. ('='):rep(2000) .. '['))");
    assert_eq!(reply, "$3\r\nnil\r\n");
    let reply = Setup::new().eval(&format!("\nreturn [{}[", "=".repeat(2_000)));
    assert_eq!(
        reply,
        "-ERR Error compiling script (new function): user_script:2: invalid long string delimiter near '[=='\r\n"
    );
}

#[test]
fn a_function_of_many_parameters_that_is_called_with_few_stays_on_its_stack() {
    let names: Vec<String> = (0..190).map(|number| format!("a{number}")).collect();
    let script = format!(
        "local function f({}, ...) return select('#', ...) end local s = 0 for i = 1, 200 do s = s + f(i) end return s",
        names.join(", ")
    );
    check(&[(&script, ":0\r\n")]);
}
