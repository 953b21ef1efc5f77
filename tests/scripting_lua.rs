//! The language that scripts are written in, as a client sees it: strings, tables, and what stands there without a library. The
//! expectations are what redis-server 7.0.15 answered.

use rustredis_testkit::every_engine;

use crate::lua::{check_all, eval, eval_with};

/// Lua's strings: patterns, formats, and the rest.
const STRINGS: &[(&str, &str)] = &[
    ("return ('abc'):upper() .. ('ABC'):lower()", r#""ABCabc""#),
    ("return {('abc'):rep(3), ('abc'):rep(-1), ('abc'):rep(0)}", r#"["abcabcabc", "", ""]"#),
    (
        "return {('abc'):sub(2), ('abc'):sub(-2, -1), ('abc'):sub(0), ('abc'):sub(4), ('abc'):reverse()}",
        r#"["bc", "bc", "abc", "", "cba"]"#,
    ),
    ("return {('abc'):byte(1, -1)}", "[97, 98, 99]"),
    (r"return #('a\000b')", "3"),
    ("return {('hello world'):find('o w')}", "[5, 7]"),
    ("return {('hello world'):find('o', 6)}", "[8, 8]"),
    ("return {('hello'):find('(h)(e)')}", r#"[1, 2, "h", "e"]"#),
    ("return {('hello'):find('()ll()')}", "[3, 4, 3, 5]"),
    ("return {('a.b'):find('.', 1, true)}", "[2, 2]"),
    ("return {('abc'):find('', 10)}", "[4, 3]"),
    ("return {('key=val'):match('(%w+)=(%w+)')}", r#"["key", "val"]"#),
    ("return ('  trim  '):match('^%s*(.-)%s*$')", r#""trim""#),
    ("return ('f(a(b)c)d'):match('%b()')", r#""(a(b)c)""#),
    ("return {('THE (quick) fox'):gsub('%f[%a]%a+', 'W')}", r#"["W (W) W", 3]"#),
    ("return {('hello world'):gsub('o', '0', 1)}", r#"["hell0 world", 1]"#),
    ("return ('hello'):gsub('', '-')", r#""-h-e-l-l-o-""#),
    ("return ('abc'):gsub('%w', '%0%0')", r#""aabbcc""#),
    ("return ('abc'):gsub('%w', {a = '1', b = false})", r#""1bc""#),
    (
        "return ('abc'):gsub('%w', {a = '1', b = true})",
        "-ERR user_script:1: invalid replacement value (a boolean) @1",
    ),
    ("return ('abc'):gsub('%w', function(c) return c == 'b' and 'X' or nil end)", r#""aXc""#),
    ("return ('abc'):gsub('%w', '%2')", "-ERR user_script:1: invalid capture index @1"),
    ("return ('abc'):gsub('%', 'x')", "-ERR user_script:1: malformed pattern (ends with '%') @1"),
    ("return ('abc'):gsub('[a', 'x')", "-ERR user_script:1: malformed pattern (missing ']') @1"),
    (
        "return ('abc'):gsub('%w', function() return {} end)",
        "-ERR user_script:1: invalid replacement value (a table) @1",
    ),
    ("return ('abc'):find('%f')", "-ERR user_script:1: missing '[' after '%f' in pattern @1"),
    ("return ('abc'):find('%b')", "-ERR user_script:1: unbalanced pattern @1"),
    ("return ('abc'):find(('('):rep(33) .. (')'):rep(33))", "-ERR user_script:1: too many captures @1"),
    ("local t = {} for w in ('one two'):gmatch('%a+') do t[#t + 1] = w end return t", r#"["one", "two"]"#),
    (
        "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v end return t",
        r#"["a1", "b2"]"#,
    ),
    ("return string.format('%5d|%-5d|%05d|%+d', 42, 42, 42, 42)", r#""   42|42   |00042|+42""#),
    ("return string.format('%x %X %o %c', 255, 255, 8, 65)", r#""ff FF 10 A""#),
    ("return string.format('%5.2f %g %e', 3.14159, 1e20, 12345.678)", r#"" 3.14 1e+20 1.234568e+04""#),
    (
        "return string.format('%s %10s %-10s| %.2s', 'a', 'b', 'c', 'defg')",
        r#""a          b c         | de""#,
    ),
    (r#"return string.format('%q', 'a "quote"\n\\ \000 \r')"#, r#""\"a \\\"quote\\\"\\\n\\\\ \\000 \\r\"""#),
    ("return string.format('%% %i', 7)", r#""% 7""#),
    ("return string.format('%d', '12')", r#""12""#),
    (
        "return string.format('%d', 'x')",
        "-ERR user_script:1: bad argument #2 to 'format' (number expected, got string) @1",
    ),
    ("return string.format('%s')", "-ERR user_script:1: bad argument #2 to 'format' (no value) @1"),
    (
        "return string.format('%s', nil)",
        "-ERR user_script:1: bad argument #2 to 'format' (string expected, got nil) @1",
    ),
    (
        "return string.format('%s', {})",
        "-ERR user_script:1: bad argument #2 to 'format' (string expected, got table) @1",
    ),
    ("return string.format('%y', 1)", "-ERR user_script:1: invalid option '%y' to 'format' @1"),
    (
        "return string.format('%123d', 1)",
        "-ERR user_script:1: invalid format (width or precision too long) @1",
    ),
    ("return string.format('%-+ #0-d', 1)", "-ERR user_script:1: invalid format (repeated flags) @1"),
    ("return #string.format('%99.99f', 1e300)", "401"),
    ("return string.format('%s', string.rep('x', 200)) == string.rep('x', 200)", "1"),
    ("return string.char(72, 105)", r#""Hi""#),
    ("return string.char(256)", "-ERR user_script:1: bad argument #1 to 'char' (invalid value) @1"),
    ("return string.len({})", "-ERR user_script:1: bad argument #1 to 'len' (string expected, got table) @1"),
    (
        "return string.rep('x')",
        "-ERR user_script:1: bad argument #2 to 'rep' (number expected, got no value) @1",
    ),
    (
        "return string.rep({}, 1)",
        "-ERR user_script:1: bad argument #1 to 'rep' (string expected, got table) @1",
    ),
];

/// Lua's tables.
const TABLES: &[(&str, &str)] = &[
    ("return table.concat({1, 2, 'x'}, ',')", r#""1,2,x""#),
    (
        "return table.concat({1, {}, 3})",
        "-ERR user_script:1: invalid value (table) at index 2 in table for 'concat' @1",
    ),
    ("return table.concat({1, 2, 3}, ',', 2, 3)", r#""2,3""#),
    (
        "return table.concat({1, 2, 3}, ',', 2, 5)",
        "-ERR user_script:1: invalid value (nil) at index 4 in table for 'concat' @1",
    ),
    ("local t = {3, 1, 2} table.sort(t) return t", "[1, 2, 3]"),
    ("local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t", "[3, 2, 1]"),
    ("local t = {3, 'x', 2} table.sort(t) return t", "-ERR attempt to compare string with number @1"),
    (
        "local t = {3, 1, 2} table.sort(t, function(a, b) error('cmp') end) return t",
        "-ERR user_script:1: cmp @1",
    ),
    (
        "local t = {} for i = 1, 100 do t[i] = i end table.sort(t, function() return true end) return 1",
        "-ERR user_script:1: invalid order function for sorting @1",
    ),
    ("local t = {1, 2} table.insert(t, 3) table.insert(t, 1, 0) return t", "[0, 1, 2, 3]"),
    (
        "local t = {1, 2} table.insert(t) return t",
        "-ERR user_script:1: wrong number of arguments to 'insert' @1",
    ),
    (
        "local t = {1, 2} table.insert(t, 1, 2, 3) return t",
        "-ERR user_script:1: wrong number of arguments to 'insert' @1",
    ),
    ("local t = {1, 2, 3} return {table.remove(t), table.remove(t, 1), #t}", "[3, 1, 1]"),
    ("return {table.maxn({1, 2, [10] = 3}), table.getn({1, 2})}", "[10, 2]"),
    ("return table.setn({}, 1)", "-ERR user_script:1: 'setn' is obsolete @1"),
    ("local n = 0 table.foreach({1, 2, 3}, function(k, v) n = n + v end) return n", "6"),
    ("return table.foreachi({1, 2, 3}, function(k, v) if v == 2 then return 'found' end end)", r#""found""#),
    ("return {unpack({1, 2, 3}, 2)}", "[2, 3]"),
    ("return {unpack({1, 2, 3}, 2, 3)}", "[2, 3]"),
    ("return select('#', unpack({}, 1, 7000))", "7000"),
    ("return select('#', unpack({}, 1, 8000))", "-ERR user_script:1: too many results to unpack @1"),
];

/// What a text has without a library.
const BASE: &[(&str, &str)] = &[
    ("return {select(2, 'a', 'b', 'c')}", r#"["b", "c"]"#),
    ("return select(0)", "-ERR user_script:1: bad argument #1 to 'select' (index out of range) @1"),
    (
        "return {tonumber('0x10'), tonumber('10', 2), tonumber(' 12 '), tonumber('1e2'), tonumber('x'), 1}",
        "[16, 2, 12, 100]",
    ),
    (
        "return tostring(1e15) .. ' ' .. tostring(0.1) .. ' ' .. tostring(1e100) .. ' ' .. tostring(nil) .. tostring(true)",
        r#""1e+15 0.1 1e+100 niltrue""#,
    ),
    (
        "return {math.floor(3.7), math.ceil(3.2), math.max(1, 5, 3), math.min(4, 2), math.abs(-3), math.fmod(7, 3)}",
        "[3, 4, 5, 2, 3, 1]",
    ),
    ("return 10 % 3 .. ' ' .. -10 % 3 .. ' ' .. 2^10", r#""1 2 1024""#),
    ("return '10' + 5", "15"),
    ("return {pcall(error, 'x')}", r#"[nil, "x"]"#),
    ("return {pcall(error, {code = 1})}", "[nil, []]"),
    ("return {select('#', pcall(function() return 1, 2, 3 end))}", "[4]"),
    (
        "return {xpcall(function() error('x') end, function(m) return m .. '!' end)}",
        r#"[nil, "user_script:1: x!"]"#,
    ),
    ("return assert(false)", "-ERR user_script:1: assertion failed! @1"),
    ("return assert(nil, 'message')", "-ERR user_script:1: message @1"),
    ("return assert(1, 'x')", "1"),
    ("return next({})", "nil"),
    ("return {next({5})}", "[1, 5]"),
    ("return tostring(setmetatable({}, {__tostring = function() return 'custom' end}))", r#""custom""#),
    ("return setmetatable({}, {__index = function(t, k) return k .. '!' end}).foo", r#""foo!""#),
    ("return setmetatable({}, {__call = function(self, a) return a * 2 end})(21)", "42"),
    ("return getmetatable(setmetatable({}, {__metatable = 'locked'}))", r#""locked""#),
    (
        "return setmetatable(setmetatable({}, {__metatable = 'locked'}), {})",
        "-ERR user_script:1: cannot change a protected metatable @1",
    ),
    ("return rawget(setmetatable({}, {__index = function() return 1 end}), 'x')", "nil"),
    ("return _VERSION", r#""Lua 5.1""#),
    ("return loadstring('return 1 + 1')()", "2"),
    ("return load(function() return nil end)()", "nil"),
    (
        "local f, e = loadstring('return (') return e",
        r#""[string \"return (\"]:1: unexpected symbol near '<eof>'""#,
    ),
    (
        "local co = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) return 3 end) return {co(), co(), co()}",
        "[1, 2, 3]",
    ),
    (
        "local co = coroutine.create(function() end) coroutine.resume(co) \
            return {coroutine.status(co), select(2, coroutine.resume(co))}",
        r#"["dead", "cannot resume dead coroutine"]"#,
    ),
    (
        "local co = coroutine.wrap(function() return pcall(coroutine.yield, 1) end) return {co()}",
        r#"[nil, "attempt to yield across metamethod/C-call boundary"]"#,
    ),
    ("return coroutine.yield(1)", "-ERR attempt to yield across metamethod/C-call boundary @1"),
    (
        "local co = coroutine.create(function() error({err = 'MY inside'}) end) local ok, e = coroutine.resume(co) \
            return {tostring(ok), e.err}",
        r#"["false", "MY inside"]"#,
    ),
    (
        "local co co = coroutine.create(function() return coroutine.resume(co) end) return {select(2, coroutine.resume(co))}",
        r#"[nil, "cannot resume running coroutine"]"#,
    ),
    ("return string.format('%s %s', 1, 2.5) .. 1 .. 1.5 .. 1e100", r#""1 2.511.51e+100""#),
];

every_engine! {
    fn strings(server: &Server) {
        check_all(&mut server.client(), STRINGS);
    }

    fn tables(server: &Server) {
        check_all(&mut server.client(), TABLES);
    }

    fn the_base(server: &Server) {
        check_all(&mut server.client(), BASE);
    }

    /// Numbers are drawn, within their bounds, and a seed repeats them.
    fn random_numbers(server: &Server) {
        let mut client = server.client();
        let drawn = "math.randomseed(7) local t = {} for i = 1, 50 do t[i] = math.random(100) end return t";
        let numbers: Vec<i64> =
            eval(&mut client, drawn).elements().iter().map(rustredis_testkit::Reply::integer).collect();
        assert!(numbers.iter().all(|number| (1..=100).contains(number)), "{numbers:?}");
        assert!(numbers.iter().any(|number| *number != numbers[0]), "{numbers:?}");
        assert_eq!(eval(&mut client, drawn), eval(&mut client, drawn));
        let within = "for i = 1, 200 do local r, n = math.random(), math.random(-5, 5) \
            if r < 0 or r >= 1 or n < -5 or n > 5 then return {tostring(r), n} end end return 'ok'";
        assert_eq!(eval(&mut client, within).text(), "ok");
        for text in ["return math.random(0)", "return math.random(2, 1)", "return math.random(1, 2, 3)"] {
            assert!(eval(&mut client, text).is_error(), "{text}");
        }
    }

    /// Big values, many of them, deep calls: within what a script may do.
    fn sizes(server: &Server) {
        let mut client = server.client();
        let text = "x".repeat(3_000_000);
        let reply = eval_with(&mut client, "redis.call('set', KEYS[1], ARGV[1]) \
            return #redis.call('get', KEYS[1]) + #ARGV[1]:rep(2)", &["big"], &[&text]);
        assert_eq!(reply.integer(), 9_000_000);
        assert_eq!(eval_with(&mut client, "return ARGV[1]", &[], &[&text]).text().len(), 3_000_000);
        let arguments: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let reply = eval_with(&mut client, "local n = 0 for _, v in ipairs(ARGV) do n = n + v end \
            return {#KEYS, #ARGV, n}", &["k"], &arguments);
        assert_eq!(reply.to_string(), "[1, 20000, 199990000]");
        let reply = eval(&mut client, "local t = {} for i = 1, 20000 do t[i] = i end return t");
        assert_eq!(reply.elements().len(), 20_000);
        let reply = eval_with(&mut client, "redis.call('rpush', KEYS[1], unpack(ARGV, 1, 5000)) \
            return redis.call('lrange', KEYS[1], 0, -1)", &["list"], &arguments);
        assert_eq!(reply.elements().len(), 5_000);
        let long = format!("--{}\nreturn 1", "x".repeat(1_000_000));
        assert_eq!(eval(&mut client, &long).integer(), 1);
        let deep = "local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(10000)";
        assert_eq!(eval(&mut client, deep).integer(), 10_000);
        let many = format!("return {}", vec!["1"; 10_000].join(" + "));
        assert_eq!(eval(&mut client, &many).integer(), 10_000);
        let fields = format!("return #{{{}}}", vec!["1"; 50_000].join(", "));
        assert_eq!(eval(&mut client, &fields).integer(), 50_000);
    }
}
