//! Scripts that hurt the interpreter, its compiler and its libraries, wherever a stock one has been hurt: compiled text, hostile
//! input, memory without an end, a collector in the middle of its work. Each is an error or harmless, and the server goes on.
//!
//! CVE-2015-4335 (compiled text), CVE-2018-11218, -11219 and CVE-2020-14147 (cmsgpack and struct), CVE-2022-24736, CVE-2024-31449
//! (bit.tohex), CVE-2024-46981 (what the collector finds at the end), CVE-2025-46817 (unpack), -46819 (long brackets), -49844 (the
//! collector within the compiler).

use rustredis_testkit::{DEADLINE_DEFAULT, Reply, every_engine, process, wait_until};

use crate::lua::{another, check_all, check_untouched, eval, eval_with};

/// Compiled text is refused, whoever brings it.
const BYTECODE: &[(&str, &str)] = &[
    (
        r"local f, e = loadstring('\27Lua') return {tostring(f), e}",
        r#"["nil", "[string \"\x1bLua\"]:1: unexpected symbol near 'char(27)'"]"#,
    ),
    (
        "local f, e = loadstring(string.char(27) .. 'LuaQ', 'name') return {tostring(f), e}",
        r#"["nil", "[string \"name\"]:1: unexpected symbol near 'char(27)'"]"#,
    ),
    (
        "local s = string.dump(function() return 1 end) local f, e = loadstring(s) \
            return {tostring(f), (e:gsub('^.*:1: ', ''))}",
        r#"["nil", "unexpected symbol near 'char(27)'"]"#,
    ),
    (
        "local s = string.dump(function() end) local n = 0 local f, e = load(function() n = n + 1 \
            return n <= #s and s:sub(n, n) or nil end) return {tostring(f), e}",
        r#"["nil", "(load):1: unexpected symbol near 'char(27)'"]"#,
    ),
    (
        r"local n = 0 local f, e = load(function() n = n + 1 return ({'\27', 'LuaQ'})[n] end) return {tostring(f), e}",
        r#"["nil", "(load):1: unexpected symbol near 'char(27)'"]"#,
    ),
];

/// Texts that hurt the compiler of a stock Lua 5.1: memory that it lost sight of, endless brackets, depth.
const COMPILED: &[(&str, &str)] = &[
    (
        "local n = 0 local f = load(function() n = n + 1 collectgarbage() \
            return ({'return ', '1 +', ' 41'})[n] end, ('x'):rep(200)) return f()",
        "42",
    ),
    (
        r#"local r for i = 1, 200 do local f = loadstring('local a = "' .. ('v'):rep(i) .. '" return #a', ('c'):rep(i)) collectgarbage('step', 1) r = f() end return r"#,
        "200",
    ),
    (
        "local f, e = loadstring('return [' .. ('='):rep(10) .. '[x') return (e:gsub('^.*:1: ', ''))",
        r#""unfinished long string near '<eof>'""#,
    ),
    (
        "local f, e = loadstring(('('):rep(300) .. '1' .. (')'):rep(300)) return (e:gsub('^.-:1: ', ''))",
        r#""chunk has too many syntax levels""#,
    ),
    (
        "local f, e = loadstring('return ' .. ('{'):rep(300) .. ('}'):rep(300)) return (e:gsub('^.-:1: ', ''))",
        r#""chunk has too many syntax levels""#,
    ),
    (
        "local f, e = loadstring('local ' .. ('a,'):rep(300) .. 'a') return (e:gsub('^.-:1: ', ''))",
        r#""main function has more than 200 local variables""#,
    ),
    ("local f, e = loadstring('return ' .. ('1+'):rep(300) .. '1') return f()", "301"),
];

/// What has once overrun a buffer or a stack in the libraries.
const HOSTILE: &[(&str, &str)] = &[
    (
        "return unpack({1, 2, 3}, -2147483648, 2147483647)",
        "-ERR user_script:1: too many results to unpack @1",
    ),
    ("return unpack({}, 0, 1e9)", "-ERR user_script:1: too many results to unpack @1"),
    ("return unpack({}, -2^31, -2^31 + 1)", "nil"),
    ("return unpack({}, 2147483647, -2147483648)", "nil"),
    ("return {bit.tohex(65535, -2147483648), bit.tohex(65535, 2147483647)}", r#"["0000FFFF", "0000ffff"]"#),
    ("return struct.pack('>I33', 1)", "-ERR user_script:1: integral size 33 is larger than limit of 32 @1"),
    ("return struct.pack('>I2147483648', 1)", "-ERR user_script:1: integral size overflow @1"),
    ("return struct.pack('c2147483648', 'x')", "-ERR user_script:1: integral size overflow @1"),
    ("return struct.pack('c99999999999', 'x')", "-ERR user_script:1: integral size overflow @1"),
    ("return {pcall(struct.pack, 'c' .. ('9'):rep(100), 'x')}", r#"[nil, "integral size overflow"]"#),
    (
        "return struct.unpack('>I2147483647', 'x')",
        "-ERR user_script:1: integral size 2147483647 is larger than limit of 32 @1",
    ),
    ("return struct.unpack('c2147483648', 'x')", "-ERR user_script:1: integral size overflow @1"),
    (
        r"return struct.unpack('>I1c0', '\255abc')",
        "-ERR user_script:1: bad argument #2 to 'unpack' (data string too short) @1",
    ),
    (
        "return struct.unpack('>I4', 'ab')",
        "-ERR user_script:1: bad argument #2 to 'unpack' (data string too short) @1",
    ),
    (
        "return struct.unpack('>I1', 'ab', 3)",
        "-ERR user_script:1: bad argument #2 to 'unpack' (data string too short) @1",
    ),
    (
        "return struct.unpack('>I1', 'ab', 0)",
        "-ERR user_script:1: bad argument #3 to 'unpack' (offset must be 1 or greater) @1",
    ),
    (
        "return struct.unpack('>I4', 'abcd', 2^32)",
        "-ERR user_script:1: bad argument #2 to 'unpack' (data string too short) @1",
    ),
    (
        "return struct.unpack('>I1', 'ab', -1)",
        "-ERR user_script:1: bad argument #2 to 'unpack' (data string too short) @1",
    ),
    (r"return cmsgpack.unpack('\147\001')", "-ERR user_script:1: Missing bytes in input. @1"),
    (r"return cmsgpack.unpack('\193')", "-ERR user_script:1: Bad data format in input. @1"),
    (r"return cmsgpack.unpack('\221\255\255\255\255')", "-ERR user_script:1: Missing bytes in input. @1"),
    (r"return cmsgpack.unpack('\223\255\255\255\255')", "-ERR user_script:1: Missing bytes in input. @1"),
    (r"return cmsgpack.unpack('\219\255\255\255\255')", "-ERR user_script:1: Missing bytes in input. @1"),
    (r"return cmsgpack.unpack('\129\192\001')", "-ERR table index is nil @1"),
    (r"return cmsgpack.unpack(string.rep('\145', 1000))", "-ERR user_script:1: Missing bytes in input. @1"),
    (
        r"return {pcall(cmsgpack.unpack, ('\145'):rep(100000))}",
        r#"[nil, "stack overflow (in function mp_decode_to_lua_array)"]"#,
    ),
    (
        r"return cmsgpack.unpack(('\001'):rep(9000))",
        "-ERR user_script:1: stack overflow (too many return values at once; use unpack_one or unpack_limit instead.) @1",
    ),
    (
        "return cmsgpack.pack(unpack({}, 1, 7000))",
        "-ERR user_script:1: bad argument #0 to 'pack' (Too many arguments for MessagePack pack.) @1",
    ),
    (
        "local t = {} t.t = t return {pcall(cjson.encode, t)}",
        r#"[nil, "Cannot serialise, excessive nesting (1001)"]"#,
    ),
    (
        r#"return cjson.decode(('{"a":'):rep(100000))"#,
        "-ERR user_script:1: Found too many nested data structures (1001) at character 5001 @1",
    ),
    (
        r#"return cjson.decode('"' .. ('\\u0000'):rep(100000))"#,
        "-ERR user_script:1: Expected value but found unexpected end of string at character 600002 @1",
    ),
    ("local function f() return f() + 1 end return f()", "-ERR user_script:1: stack overflow @1"),
    (
        "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x",
        "-ERR user_script:1: loop in gettable @1",
    ),
    // As a number of 32 bits these are 0.
    ("return {('x'):rep(2^40), ('xy'):rep(2^62), ('x'):rep(-2^40)}", r#"["", "", ""]"#),
    ("return string.rep('x', -2147483648)", r#""""#),
    ("return ('x'):sub(-2147483648, 2147483647)", r#""x""#),
    ("return ('x'):byte(-2147483648, 2147483647)", "120"),
    ("return #string.format('%99.99f', -1e308)", "410"),
    (
        "return string.format('%1000d', 1)",
        "-ERR user_script:1: invalid format (width or precision too long) @1",
    ),
    (
        "return string.format(('%s'):rep(10), 1)",
        "-ERR user_script:1: bad argument #3 to 'format' (no value) @1",
    ),
];

every_engine! {
    fn compiled_text_is_refused(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, BYTECODE);
        let refused = "-ERR Error compiling script (new function): user_script:1: unexpected symbol near 'char(27)'";
        let compiled = b"\x1bLuaQ\0\x01\x04\x08\x04\x08\0\x10\0\0\0\0\0\0\0";
        let replies = [
            client.call(&[b"EVAL".as_slice(), compiled, b"0"]),
            client.call(&[b"SCRIPT".as_slice(), b"LOAD", compiled]),
        ];
        assert!(replies.iter().all(|reply| reply.to_string() == refused), "{replies:?}");
        let library = [b"#!lua name=x\n".as_slice(), compiled].concat();
        let reply = client.call(&[b"FUNCTION".as_slice(), b"LOAD", &library]).to_string();
        assert!(reply.starts_with("-ERR Error compiling function: user_function:"), "{reply}");
        check_untouched(&mut client);
    }

    fn texts_that_hurt_the_compiler(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, COMPILED);
        // Brackets of any length are an error or a string, by whichever way they come.
        for count in [1, 2, 999, 1_000, 1_001, 5_000, 50_000, 2_000_000] {
            let equals = "=".repeat(count);
            for text in [format!("return [{equals}"), format!("return [{equals}["), format!("--[{equals}"), format!("return [{equals}[x]{equals}]")] {
                let loaded = eval_with(&mut client, "local f, e = loadstring(ARGV[1]) \
                    return f and tostring((f())) or e:sub(1, 100)", &[], &[&text]);
                assert!(!loaded.is_error(), "{count}: {loaded}");
                // An error tells the text that it is near to.
                if count <= 50_000 {
                    let reply = eval(&mut client, &text);
                    assert!(reply.is_error() || reply.is_null() || reply.text() == "x", "{count}: {reply}");
                }
            }
        }
        check_untouched(&mut client);
    }

    fn hostile_input(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, HOSTILE);
        check_untouched(&mut client);
    }

    /// A collector that a script has stopped, or has been left in the middle of its work, is no leak and no crash, also when the
    /// cache is flushed.
    fn the_collector_survives(server: &Server) {
        let mut server = another(server, "1", &[]);
        let mut client = server.client();
        let garbage = "collectgarbage('stop') local t = {} \
            for i = 1, 300 do t[i] = {('x'):rep(1000) .. i, coroutine.create(function() end), cjson.new()} end return #t";
        for number in 0..30 {
            assert_eq!(eval(&mut client, garbage).integer(), 300);
            assert!(!eval(&mut client, "for i = 1, 50 do collectgarbage('step', i) end \
                collectgarbage('setpause', 1000)").is_error());
            assert!(eval(&mut client, "local t = {} for i = 1, 300 do t[i] = coroutine.wrap(function() \
                coroutine.yield(t) end) t[i]() end error('end')").is_error());
            client.check(
                ["SCRIPT FLUSH SYNC", "SCRIPT FLUSH ASYNC", "PING"][number % 3],
                ["+OK", "+OK", "+PONG"][number % 3],
            );
        }
        let before = process::resident_bytes(server.pid()).unwrap();
        for _ in 0..300 {
            eval(
                &mut client,
                "collectgarbage('stop') local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1000) .. i end return 1",
            );
        }
        let after = process::resident_bytes(server.pid()).unwrap();
        assert!(after < before + 150_000_000, "{before} bytes before, {after} after");
        check_untouched(&mut client);
        assert!(server.is_running());
    }

    /// What is big for a script is little for the server: a limit of its own ends it, and its memory comes back.
    fn a_limit_of_memory(server: &Server) {
        if server.is_redis() {
            return;
        }
        let server = another(server, "2", &["--script-memory-limit", "16mb"]);
        let mut client = server.client();
        check_untouched(&mut client);
        let before = process::resident_bytes(server.pid()).unwrap();
        for text in [
            "return ('x'):rep(20000000)",
            "return ('x'):rep(2^31 - 1)",
            "return ('xy'):rep(2^31 - 1)",
            "local s = 'x' while true do s = s .. s end",
            "local t = {} for i = 1, 1e8 do t[i] = i end",
            "local t = {} while true do t = {t, {}, {}} end",
            "local t = {} for i = 1, 1e7 do t[i] = ('x'):rep(1000) end",
            "local t = {} for i = 1, 1e5 do t['key' .. i] = {i, i, i, i, i, i} end",
            "local s = ('x'):rep(1e6) local t = {} for i = 1, 1000 do t[i] = s end return table.concat(t)",
            "return (('x'):rep(1000000):gsub('x', ('y'):rep(1000)))",
            "local s = ('x'):rep(1e6) return string.format(('%s'):rep(60), s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s)",
            "local t = {} for i = 1, 1e6 do t[i] = coroutine.create(function() end) end",
            "local t = {} for i = 1, 1e6 do t[i] = function() return t end end",
            "local function f() return assert(loadstring('return ' .. ('{'):rep(50) .. ('}'):rep(50))) end local t = {} \
                while true do t[#t + 1] = f() end",
            "local t = {} for i = 1, 5000000 do t[i] = 1 end return cjson.encode(t)",
            "return cjson.decode('[' .. ('[],'):rep(2000000) .. '1]')",
            "return cmsgpack.unpack(('\\220\\255\\255' .. ('\\144'):rep(65535)):rep(100))",
            "return redis.sha1hex(('x'):rep(1e8))",
            "return redis.call('echo', ('x'):rep(1e8))",
            "local t = {} while true do t[#t + 1] = redis.call('echo', ('x'):rep(100000) .. #t) end",
            "while true do pcall(function() local t = {} while true do t[#t + 1] = {} end end) error('caught') end",
            "local co = coroutine.wrap(function() local t = {} while true do t[#t + 1] = {} end end) co()",
            "local function f(...) return 1 + f(1, ...) end f()",
            "local s = {} for i = 1, 2e6 do s[i] = '1' end return loadstring('return {' .. table.concat(s, ',') .. '}')",
        ] {
            let reply = eval(&mut client, text).to_string();
            assert!(reply.starts_with('-'), "{text}: {}", &reply[..reply.len().min(200)]);
            check_untouched(&mut client);
        }
        // A reply is memory too.
        let reply = "local s = ('x'):rep(1e6) local t = {} for i = 1, tonumber(ARGV[1]) do t[i] = s end return t";
        assert_eq!(eval_with(&mut client, reply, &[], &["10"]).elements().len(), 10);
        let refused = eval_with(&mut client, reply, &[], &["1000"]).to_string();
        assert!(refused.starts_with("-ERR ") && refused.contains("not enough memory"), "{}", &refused[..100]);
        check_untouched(&mut client);
        let grown = || process::resident_bytes(server.pid()).unwrap().saturating_sub(before);
        wait_until("memory to come back", DEADLINE_DEFAULT, || grown() < 150_000_000);
        // The limit is changed while the server runs.
        client.check("CONFIG SET script-memory-limit 100mb", "+OK");
        assert_eq!(eval(&mut client, "return #('x'):rep(20000000)"), Reply::Integer(20_000_000));
        client.check("CONFIG SET script-memory-limit 1mb", "+OK");
        assert!(eval(&mut client, "return #('x'):rep(20000000)").is_error());
        client.check("CONFIG SET script-memory-limit 0", "+OK");
        assert_eq!(eval(&mut client, "return #('x'):rep(100000000)"), Reply::Integer(100_000_000));
    }
}
