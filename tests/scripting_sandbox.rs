//! Ways out of a script that have once been open, in Redis or in Lua, and whether they are shut: what is shared is locked, what
//! reaches out is absent, and nothing outlives a run. Each is a script that any client may send. CVE-2022-24735 (metatables of what
//! is shared), CVE-2025-46818 (metatables of basic types). What hurts the interpreter itself is `scripting_hostile.rs`'s.

use rustredis_testkit::{Client, every_engine};

use crate::lua::{another, check_all, check_untouched, eval, eval_with, said};

/// Nobody changes what all scripts share, by whichever way.
const LOCKED: &[(&str, &str)] = &[
    ("redis.call = 1", "-ERR user_script:1: Attempt to modify a readonly table @1"),
    ("redis.x = 1", "-ERR user_script:1: Attempt to modify a readonly table @1"),
    ("local r = redis r['x'] = 1", "-ERR user_script:1: Attempt to modify a readonly table @1"),
    ("return rawset(redis, 'x', 1)", "-ERR Attempt to modify a readonly table @1"),
    ("return rawset(_G, 'x', 1)", "-ERR Attempt to modify a readonly table @1"),
    ("return rawset(string, 'x', 1)", "-ERR Attempt to modify a readonly table @1"),
    ("return rawset(getmetatable(''), 'x', 1)", "-ERR Attempt to modify a readonly table @1"),
    ("return setmetatable(_G, {})", "-ERR Attempt to modify a readonly table @1"),
    ("return setmetatable(redis, {})", "-ERR Attempt to modify a readonly table @1"),
    ("return setmetatable(string, nil)", "-ERR Attempt to modify a readonly table @1"),
    ("return setmetatable(getmetatable(''), {})", "-ERR Attempt to modify a readonly table @1"),
    (
        "for k in next, string do string[k] = nil end",
        "-ERR user_script:1: Attempt to modify a readonly table @1",
    ),
    ("for k in next, redis do rawset(redis, k, nil) end", "-ERR Attempt to modify a readonly table @1"),
    (
        "local t = string t.rep = function() return 'mine' end",
        "-ERR user_script:1: Attempt to modify a readonly table @1",
    ),
    ("local g = _G g.x = 1", "-ERR user_script:1: Attempt to modify a readonly table @1"),
    (
        "local m = getmetatable(_G) m.__index = function() return 1 end",
        "-ERR user_script:1: Attempt to modify a readonly table @1",
    ),
    (
        "local m = getmetatable(_G) m.__newindex = nil",
        "-ERR user_script:1: Attempt to modify a readonly table @1",
    ),
    (
        "local m = getmetatable('') m.__index = function() return 1 end",
        "-ERR user_script:1: Attempt to modify a readonly table @1",
    ),
    (
        "local m = getmetatable('') m.__add = function() return 1 end",
        "-ERR user_script:1: Attempt to modify a readonly table @1",
    ),
    ("local t = table t.insert(redis, 1)", "-ERR Attempt to modify a readonly table @1"),
    ("local t = table t.insert(_G, 1)", "-ERR Attempt to modify a readonly table @1"),
    ("local t = math t.huge = 1", "-ERR user_script:1: Attempt to modify a readonly table @1"),
    ("local t = cjson t.null = 1", "-ERR user_script:1: Attempt to modify a readonly table @1"),
    ("local t = bit t.band = nil", "-ERR user_script:1: Attempt to modify a readonly table @1"),
    ("local t = coroutine t.wrap = nil", "-ERR user_script:1: Attempt to modify a readonly table @1"),
    ("local t = cmsgpack t.pack = nil", "-ERR user_script:1: Attempt to modify a readonly table @1"),
    ("local t = struct t.pack = nil", "-ERR user_script:1: Attempt to modify a readonly table @1"),
    (
        "local f = loadstring('x = 1') local ok, e = pcall(f) return {ok, (e:gsub('^.*: ', ''))}",
        r#"[nil, "Attempt to modify a readonly table"]"#,
    ),
    (
        "local f = loadstring('function string.rep() end') local ok, e = pcall(f) return {ok, (e:gsub('^.*: ', ''))}",
        r#"[nil, "Attempt to modify a readonly table"]"#,
    ),
    (
        "local ok, e = pcall(setmetatable, _G, {__index = function() return 1 end}) return e",
        r#""Attempt to modify a readonly table""#,
    ),
    (
        "local co = coroutine.create(function() string.x = 1 end) \
            return {tostring(coroutine.resume(co)), (select(2, coroutine.resume(coroutine.create(function() redis.x = 1 end))))}",
        r#"["false", "user_script:1: Attempt to modify a readonly table"]"#,
    ),
];

/// What would reach out of a script is not there.
const ABSENT: &[(&str, &str)] = &[
    ("return print", "-ERR user_script:1: Script attempted to access nonexistent global variable 'print' @1"),
    ("return debug", "-ERR user_script:1: Script attempted to access nonexistent global variable 'debug' @1"),
    (
        "return dofile",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'dofile' @1",
    ),
    (
        "return loadfile",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'loadfile' @1",
    ),
    (
        "return require",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'require' @1",
    ),
    (
        "return module",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'module' @1",
    ),
    ("return io", "-ERR user_script:1: Script attempted to access nonexistent global variable 'io' @1"),
    (
        "return package",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'package' @1",
    ),
    (
        "return newproxy",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'newproxy' @1",
    ),
    (
        "return getfenv",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'getfenv' @1",
    ),
    (
        "return setfenv",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'setfenv' @1",
    ),
    (
        "return nosuch",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'nosuch' @1",
    ),
    (
        "return _G.nosuch",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'nosuch' @1",
    ),
    ("return rawget(_G, 'nosuch')", "nil"),
    ("return rawget(_G, 'print')", "nil"),
    ("return redis.register_function", "nil"),
];

/// What is there, and gives no way out.
const HARMLESS: &[(&str, &str)] = &[
    ("return type(getmetatable(_G))", r#""table""#),
    ("return type(getmetatable(''))", r#""table""#),
    ("return getmetatable('').__index == string", "1"),
    ("return type(getmetatable(redis))", r#""nil""#),
    ("return tostring(getmetatable(function() end))", r#""nil""#),
    ("return tostring(getmetatable(1))", r#""nil""#),
    ("return rawequal(redis, _G.redis)", "1"),
    ("return type(collectgarbage('count'))", r#""number""#),
    ("return collectgarbage()", "0"),
    ("return collectgarbage('stop')", "0"),
    ("return collectgarbage('restart')", "0"),
    (
        "return collectgarbage('nosuch')",
        "-ERR user_script:1: bad argument #1 to 'collectgarbage' (invalid option 'nosuch') @1",
    ),
    ("return {collectgarbage('setpause', 100) ~= nil, collectgarbage('setstepmul', 200) ~= nil}", "[1, 1]"),
    ("return type(gcinfo())", r#""number""#),
    ("return #_G", "0"),
    ("return tostring(coroutine.running())", r#""nil""#),
    ("local f = redis.call return f('echo', 'x')", r#""x""#),
    ("return redis['call']('echo', 'x')", r#""x""#),
    ("local r, c = redis, 'call' return r[c]('echo', 'x')", r#""x""#),
];

/// Commands called from wherever Lua calls back.
const WITHIN: &[(&str, &str)] = &[
    (
        "local t = setmetatable({}, {__index = function(t, k) return redis.call('echo', k) end}) return {t.a, t.b}",
        r#"["a", "b"]"#,
    ),
    (
        "local t = {3, 1, 2} table.sort(t, function(a, b) return redis.call('echo', a) < redis.call('echo', b) end) return t",
        "[1, 2, 3]",
    ),
    ("return (('abc'):gsub('%w', function(c) return redis.call('echo', c .. c) end))", r#""aabbcc""#),
    (
        "return {xpcall(function() error('x') end, function(m) return redis.call('echo', 'handled') end)}",
        r#"[nil, "handled"]"#,
    ),
    (
        "return tostring(setmetatable({}, {__tostring = function() return redis.call('echo', 'text') end}))",
        r#""text""#,
    ),
    (
        "local co = coroutine.wrap(function() coroutine.yield(redis.call('echo', 1)) \
            return redis.call('echo', 2) end) return {co(), co()}",
        r#"["1", "2"]"#,
    ),
    (
        "local ok, e = pcall(redis.call, 'nosuch') return {ok, e}",
        r#"[nil, "ERR Unknown Redis command called from script"]"#,
    ),
    (
        "local ok, e = pcall(redis.call) return {ok, e}",
        r#"[nil, "ERR Please specify at least one argument for this redis lib call"]"#,
    ),
    ("local f = load(function() return nil end) return {f()}", "[]"),
    (
        "local n = 0 local f = load(function() n = n + 1 return n == 1 and ('return ' .. \
            redis.call('echo', '7')) or nil end) return f()",
        "7",
    ),
];

/// Every global that a script has by default, and nothing else.
const GLOBALS: &str = "ARGV KEYS _G _VERSION assert bit cjson cmsgpack \
    collectgarbage coroutine error gcinfo getmetatable ipairs load \
    loadstring math next pairs pcall rawequal rawget rawset redis select setmetatable string struct table tonumber tostring type \
    unpack xpcall";

every_engine! {
    fn what_is_shared_is_locked(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, LOCKED);
        check_untouched(&mut client);
    }

    fn what_reaches_out_is_absent(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, ABSENT);
        let list = "local t = {} for k in pairs(_G) do t[#t + 1] = k end table.sort(t) return table.concat(t, ' ')";
        let found = eval(&mut client, list).text();
        let wanted: Vec<&str> = GLOBALS.split_ascii_whitespace().collect();
        let missing: Vec<&&str> =
            wanted.iter().filter(|name| !found.split(' ').any(|other| other == **name)).collect();
        // Redis has its handler of errors beside them, and some have os.clock.
        let more: Vec<&str> = found
            .split(' ')
            .filter(|name| {
                !wanted.contains(name) && !["__redis__err__handler", "os", "server"].contains(name)
            })
            .collect();
        assert!(missing.is_empty() && more.is_empty(), "missing: {missing:?}, more: {more:?}");
        let clock = "local os = rawget(_G, 'os') local t = {} for k in pairs(os or {clock = 1}) do t[#t + 1] = k end return t";
        assert_eq!(eval(&mut client, clock).to_string(), "[\"clock\"]");
    }

    fn what_is_there_is_harmless(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, HARMLESS);
        check_untouched(&mut client);
    }

    fn commands_within_callbacks(server: &Server) {
        check_all(&mut server.client(), WITHIN);
    }

    /// Nothing that a script makes is there for the next one, on whichever connection and in whichever state.
    fn nothing_outlives_a_run(server: &Server) {
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for attempt in [
            "KEYS.secret = 'x' ARGV.secret = 'x' return 1",
            "local m = {__index = {secret = 'x'}} setmetatable(KEYS, m) setmetatable(ARGV, m) return 1",
            "local t = {} t.t = t collectgarbage('stop') return 1",
            "pcall(function() secret = 'x' end) return 1",
            "pcall(loadstring('secret = 1')) return 1",
            "coroutine.wrap(function() pcall(rawset, _G, 'secret', 1) coroutine.yield() end)() return 1",
            "redis.setresp(3) redis.set_repl(redis.REPL_NONE) return 1",
        ] {
            for client in &mut clients {
                assert_eq!(eval(client, attempt).to_string(), "1", "{attempt}");
                let reply = eval(
                    client,
                    "return {tostring(KEYS.secret), tostring(ARGV.secret), tostring(rawget(_G, 'secret')), tostring(getmetatable(KEYS))}",
                );
                assert_eq!(reply.to_string(), "[\"nil\", \"nil\", \"nil\", \"nil\"]", "after {attempt}");
            }
        }
        clients[0].check("HSET h f 1", "1");
        assert_eq!(eval(&mut clients[0], "return redis.call('hgetall', 'h')").to_string(), "[\"f\", \"1\"]");
    }

    /// Of one client the other sees nothing: not its arguments, not its database, not its user.
    fn scripts_of_two_clients_are_apart(server: &Server) {
        let (mut one, mut two) = (server.client(), server.client());
        one.check("SELECT 5", "+OK");
        for _ in 0..20 {
            assert_eq!(eval_with(&mut one, "redis.call('set', KEYS[1], ARGV[1]) \
                return {KEYS[1], ARGV[1]}", &["mine"], &["secret"]).to_string(), "[\"mine\", \"secret\"]");
            assert_eq!(
                eval(&mut two, "return {#KEYS, #ARGV, redis.call('exists', 'mine')}").to_string(),
                "[0, 0, 0]"
            );
            assert_eq!(eval_with(&mut one, "return redis.call('get', KEYS[1])", &["mine"], &[]).text(), "secret");
        }
    }

    /// A library's coroutine that lives on from one call to the next.
    fn a_coroutine_that_outlives_a_call(server: &Server) {
        let server = another(server, "1", &[]);
        let mut client = server.client();
        let library = "#!lua name=lib\nlocal co\nredis.register_function('step', function(keys)\n\
            if not co then co = coroutine.wrap(function() while true do coroutine.yield(redis.call('incr', keys[1])) \
            end end) end\n\
            return co() end)\n\
            redis.register_function('fail', function() coroutine.wrap(function() coroutine.wrap(function() \
            error('inside') end)() end)() end)";
        assert_eq!(client.call(&["FUNCTION", "LOAD", library]).text(), "lib");
        for number in 1..20 {
            assert_eq!(client.line("FCALL step 1 n").integer(), number);
            let reply = said(&client.line("FCALL fail 0"));
            assert!(reply.contains("inside"), "{reply}");
        }
        client.check("GET n", "\"19\"");
    }

    /// Functions that a library has kept from its loading do no more there than a script may do.
    fn libraries_are_locked_too(server: &Server) {
        let mut client = server.client();
        let load = |client: &mut Client, body: &str| {
            client.call(&["FUNCTION", "LOAD", "REPLACE", &format!("#!lua name=lib\n{body}")])
        };
        let read_only = "Attempt to modify a readonly table";
        for body in ["x = 1", "redis.x = 1", "redis.register_function = nil", "local r = redis r.call = 1"] {
            let reply = load(&mut client, body).to_string();
            assert_eq!(
                reply,
                format!("-ERR Error registering functions: ERR user_function:2: {read_only}"),
                "{body}"
            );
        }
        for body in ["return string", "return pcall", "return redis.call", "return setmetatable", "return loadstring", "return cjson"] {
            let name = body.rsplit(['.', ' ']).next().unwrap();
            let reply = load(&mut client, body).to_string();
            let expected = format!(
                "-ERR Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable '{name}'"
            );
            assert_eq!(reply, expected);
        }
        let body = "local register = redis.register_function\nlocal api = redis\n\
            redis.register_function('late', function() return register('more', function() return 1 end) end)\n\
            redis.register_function('through', function() return tostring(api.call) end)\n\
            redis.register_function('globals', function() x = 1 end)\n\
            redis.register_function('strings', function() local m = getmetatable('') m.__index = nil end)\n\
            redis.register_function('keys', function() return KEYS end)";
        assert_eq!(load(&mut client, body).text(), "lib");
        let reply = client.line("FCALL late 0").to_string();
        assert!(reply.starts_with("-ERR "), "{reply}");
        client.check("FCALL more 0", "-ERR Function not found");
        assert!(said(&client.line("FCALL globals 0")).contains(read_only));
        assert!(said(&client.line("FCALL strings 0")).contains(read_only));
        assert!(said(&client.line("FCALL keys 0")).contains("nonexistent global variable 'KEYS'"));
        client.line("FCALL through 0");
        check_untouched(&mut client);
        client.check("FUNCTION FLUSH", "+OK");
    }
}
