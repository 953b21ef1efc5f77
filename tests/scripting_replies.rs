//! What passes between Lua and the protocol, both ways, in RESP2 and in RESP3. The expectations are what redis-server 7.0.15 answered.

use rustredis_testkit::{Client, Reply, every_engine};

use crate::lua::{check_all, eval, eval_with};

/// What a script returns, as a client of RESP2 gets it.
const RETURNED: &[(&str, &str)] = &[
    ("return 3.99", "3"),
    ("return -3.99", "-3"),
    ("return '3.99'", r#""3.99""#),
    ("return true", "1"),
    ("return false", "nil"),
    ("return nil", "nil"),
    ("local x = 1", "nil"),
    ("return 1, 2, 3", "1"),
    ("return ''", r#""""#),
    (r"return '\0\r\n\255'", r#""\x00\r\n\xff""#),
    ("return {1, 2, nil, 3}", "[1, 2]"),
    ("return {1, {2, {3, 'x'}}, false, true, 1.5}", r#"[1, [2, [3, "x"]], nil, 1, 1]"#),
    ("return {}", "[]"),
    ("return {a = 1}", "[]"),
    ("return {1, 2, a = 3}", "[1, 2]"),
    ("return {ok = 'FINE'}", "+FINE"),
    (r"return {ok = 'two\r\nlines'}", "+two  lines"),
    ("return {err = 'My Err'}", "-My Err"),
    (r"return {err = 'two\r\nlines'}", "-two  lines"),
    ("return {ok = 1}", "[]"),
    ("return {err = 1}", "[]"),
    ("return {err = {}}", "[]"),
    ("return {ok = 'a', err = 'b'}", "-b"),
    ("return {{ok = 'a'}, {err = 'b'}, 'c'}", r#"[+a, -b, "c"]"#),
    ("return {double = 3.5}", r#""3.5""#),
    ("return {double = 'x'}", "[]"),
    ("return {map = {a = 1}}", r#"["a", 1]"#),
    ("return {map = 'x'}", "[]"),
    ("return {set = {a = true}}", r#"["a"]"#),
    ("return {big_number = '123456789012345678901234567890'}", r#""123456789012345678901234567890""#),
    ("return {verbatim_string = {format = 'txt', string = 'hi'}}", r#""hi""#),
    ("return function() end", "nil"),
    ("return coroutine.create(function() end)", "nil"),
    ("return redis", "[]"),
    ("return {cjson.null}", "[nil]"),
    ("return 2^53", "9007199254740992"),
    ("return 2^63", "-9223372036854775808"),
    ("return -2^63", "-9223372036854775808"),
    ("return 1/0", "-9223372036854775808"),
    ("return setmetatable({}, {__index = function(t, i) return i == 1 and 'one' or nil end})", "[]"),
    (
        "return {redis.call('get', 'nosuch'), redis.call('set', 'a', 'v'), redis.call('exists', 'a')}",
        "[nil, +OK, 1]",
    ),
];

/// What redis.status_reply and redis.error_reply make.
const MADE: &[(&str, &str)] = &[
    ("return redis.status_reply('FINE')", "+FINE"),
    ("return redis.error_reply('My Err')", "-My Err"),
    ("return redis.error_reply('-My Err')", "-My Err"),
    ("return redis.error_reply('My')", "-ERR My"),
    ("return redis.error_reply('')", "-ERR "),
    ("return redis.error_reply('-')", "-ERR "),
    ("return redis.error_reply()", "-ERR wrong number or type of arguments"),
    ("return redis.error_reply({})", "-ERR wrong number or type of arguments"),
    ("return redis.error_reply(1)", "-ERR wrong number or type of arguments"),
    ("return redis.status_reply()", "-ERR wrong number or type of arguments"),
    ("return redis.status_reply('a', 'b')", "-ERR wrong number or type of arguments"),
    (
        "local t = {} for k, v in pairs(redis.error_reply('X y')) do t[#t + 1] = k .. '=' .. tostring(v) end return t",
        r#"["err=X y"]"#,
    ),
    (
        "local t = {} for k, v in pairs(redis.status_reply('X y')) do t[#t + 1] = k .. '=' .. tostring(v) end return t",
        r#"["ok=X y"]"#,
    ),
];

/// What redis.call gives a script, in RESP2.
const RECEIVED: &[(&str, &str)] = &[
    ("local r = redis.call('set', 'a', 'v') return {type(r), r.ok}", r#"["table", "OK"]"#),
    ("local r = redis.call('get', 'nosuch') return {type(r), tostring(r)}", r#"["boolean", "false"]"#),
    ("local r = redis.call('incrby', 'n', 0) return {type(r), r}", r#"["number", 1]"#),
    ("local r = redis.call('get', 'a') return {type(r), r}", r#"["string", "v"]"#),
    (
        "local r = redis.call('mget', 'a', 'nosuch', 'n') return {#r, type(r[1]), type(r[2]), r[2] == false, r[3]}",
        r#"[3, "string", "boolean", 1, "1"]"#,
    ),
    ("local r = redis.call('lrange', 'nosuch', 0, -1) return {type(r), #r}", r#"["table", 0]"#),
    (
        "local r = redis.pcall('lpop', 'a') return {type(r), r.err}",
        r#"["table", "WRONGTYPE Operation against a key holding the wrong kind of value"]"#,
    ),
    (
        "local t = {} for k, v in pairs(redis.pcall('lpop', 'a')) do t[#t + 1] = k .. '=' .. tostring(v) end \
            table.sort(t) return t",
        r#"["err=WRONGTYPE Operation against a key holding the wrong kind of value", "ignore_error_stats_update=true"]"#,
    ),
    ("return redis.call('ping')", "+PONG"),
    ("return redis.call('hgetall', 'h')", r#"["f", "1"]"#),
    (
        "return {redis.call('zscore', 'z', 'm'), redis.call('zrange', 'z', 0, -1, 'withscores')}",
        r#"["1.5", ["m", "1.5"]]"#,
    ),
    (
        "redis.call('set', 'big', '9007199254740993') return redis.call('incrby', 'big', 0)",
        "9007199254740992",
    ),
    ("return redis.call('spop', 'nosuch')", "nil"),
    ("return type(redis.call('info'))", r#""string""#),
    ("local r = redis.call('time') return {#r, type(r[1])}", r#"[2, "string"]"#),
];

/// How arguments of redis.call reach the command.
const SENT: &[(&str, &str)] = &[
    ("return redis.call('echo', 12)", r#""12""#),
    ("return redis.call('echo', 12.0)", r#""12""#),
    ("return redis.call('echo', 1.5)", r#""1.5""#),
    ("return redis.call('echo', 0.1)", r#""0.10000000000000001""#),
    ("return redis.call('echo', 1e15)", r#""1000000000000000""#),
    ("return redis.call('echo', 1e20)", r#""1e+20""#),
    ("return redis.call('echo', 2^53)", r#""9007199254740992""#),
    ("return redis.call('echo', -2^63)", r#""-9.2233720368547758e+18""#),
    ("return redis.call('echo', 1/0)", r#""inf""#),
    (r"return redis.call('echo', '\0\255\r\n')", r#""\x00\xff\r\n""#),
    ("return redis.call('ECHO', 'x')", r#""x""#),
    ("return redis.call('echo', '')", r#""""#),
];

/// Conversions in RESP3 that a client of RESP2 sees.
const RESP3: &[(&str, &str)] = &[
    ("redis.setresp(3) return redis.call('hgetall', 'h')", r#"["f", "1"]"#),
    ("redis.setresp(3) return {true, false, nil}", "[1, 0]"),
    ("redis.setresp(3) return true", "1"),
    ("redis.setresp(3) return false", "0"),
    ("redis.setresp(3) return redis.call('zscore', 'z', 'm')", r#""1.5""#),
    ("redis.setresp(3) return redis.call('smembers', 's')", r#"["m"]"#),
    ("redis.setresp(3) return redis.call('get', 'nosuch')", "nil"),
    ("redis.setresp(3) return {redis.call('get', 'nosuch'), 1}", "[]"),
    ("redis.setresp(3) redis.setresp(2) return redis.call('hgetall', 'h')", r#"["f", "1"]"#),
    ("return redis.call('hgetall', 'h')", r#"["f", "1"]"#),
    ("return redis.setresp()", "-ERR redis.setresp() requires one argument. @1"),
    ("return redis.setresp(4)", "-ERR RESP version must be 2 or 3. @1"),
    ("return redis.setresp(1)", "-ERR RESP version must be 2 or 3. @1"),
    ("return redis.setresp('x')", "-ERR RESP version must be 2 or 3. @1"),
    ("return redis.setresp(3, 2)", "-ERR redis.setresp() requires one argument. @1"),
];

/// What a script returns, as a client of RESP3 gets it.
const RETURNED_RESP3: &[(&str, &str)] = &[
    ("return nil", "null"),
    ("return false", "null"),
    ("return true", "1"),
    ("return {1, nil}", "[1]"),
    ("return {true, false}", "[1, null]"),
    ("return 3.5", "3"),
    ("return cjson.null", "null"),
    ("return {double = 3.5}", ",3.5"),
    ("return {double = -0.25}", ",-0.25"),
    ("return {double = 1/0}", ",inf"),
    ("return {double = '3.5'}", "[]"),
    ("return {map = {a = 1}}", r#"{"a": 1}"#),
    ("return {map = {[1] = 'x'}}", r#"{1: "x"}"#),
    ("return {map = {}}", "{}"),
    ("return {map = 'x'}", "[]"),
    ("return {set = {a = true}}", r#"~["a"]"#),
    ("return {set = {'a'}}", "~[1]"),
    ("return {big_number = '123456789012345678901234567890'}", "(123456789012345678901234567890"),
    (r"return {big_number = '1\r\n2'}", "(1  2"),
    ("return {big_number = 12}", "[]"),
    ("return {verbatim_string = {format = 'txt', string = 'hi'}}", r#"=txt:"hi""#),
    ("return {verbatim_string = {format = 'markdown', string = 'hi'}}", r#"=mar:"hi""#),
    ("return {verbatim_string = {string = 'hi'}}", "[]"),
    ("return {verbatim_string = 'hi'}", "[]"),
    ("return {{map = {a = {double = 1.5}}}, {set = {x = true}}}", r#"[{"a": ,1.5}, ~["x"]]"#),
    ("redis.setresp(3) return {true, false}", "[#t, #f]"),
    ("redis.setresp(3) return true", "#t"),
    ("redis.setresp(3) return false", "#f"),
    ("redis.setresp(3) return nil", "null"),
];

/// What redis.call gives a script, and how it gets on to a client of RESP3.
const RECEIVED_RESP3: &[(&str, &str)] = &[
    ("return redis.call('hgetall', 'h')", r#"["f", "1"]"#),
    ("return redis.call('zrange', 'z', 0, -1, 'withscores')", r#"["m", "1.5"]"#),
    ("return redis.call('get', 'nosuch')", "null"),
    ("redis.setresp(3) return redis.call('hgetall', 'h')", r#"{"f": "1"}"#),
    (
        "redis.setresp(3) local r = redis.call('hgetall', 'h') return {type(r.map), r.map.f}",
        r#"["table", "1"]"#,
    ),
    ("redis.setresp(3) local r = redis.call('get', 'nosuch') return {type(r), r == nil}", r#"["nil", #t]"#),
    ("redis.setresp(3) return redis.call('get', 'nosuch')", "null"),
    ("redis.setresp(3) return redis.call('zscore', 'z', 'm')", ",1.5"),
    (
        "redis.setresp(3) local r = redis.call('zscore', 'z', 'm') return {type(r.double), r.double == 1.5}",
        r#"["number", #t]"#,
    ),
    (
        "redis.setresp(3) local r = redis.call('smembers', 's') return {type(r.set), type(r.set.m), r.set.m}",
        r#"["table", "boolean", #t]"#,
    ),
    ("redis.setresp(3) return redis.call('smembers', 's')", r#"~["m"]"#),
    ("redis.setresp(3) return redis.call('zrange', 'z', 0, -1, 'withscores')", r#"[["m", ,1.5]]"#),
    ("redis.setresp(3) redis.setresp(2) return redis.call('hgetall', 'h')", r#"["f", "1"]"#),
];

/// The keys that the tables speak of.
fn set_keys(client: &mut Client) {
    for line in ["SET a v", "SET n 1", "HSET h f 1", "ZADD z 1.5 m", "SADD s m"] {
        assert!(!client.line(line).is_error(), "{line}");
    }
}

every_engine! {
    fn what_is_returned(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, RETURNED);
        check_all(&mut client, MADE);
    }

    fn what_is_returned_in_resp3(server: &Server) {
        check_all(&mut server.client_resp3(), RETURNED_RESP3);
    }

    fn what_is_received(server: &Server) {
        let mut client = server.client();
        set_keys(&mut client);
        check_all(&mut client, RECEIVED);
        check_all(&mut client, RESP3);
    }

    fn what_is_received_in_resp3(server: &Server) {
        let mut client = server.client_resp3();
        set_keys(&mut client);
        check_all(&mut client, RECEIVED_RESP3);
    }

    /// What comes in no order to a client comes sorted to a script, where Redis says so: SORT without sorting.
    fn unsorted_sets_come_sorted(server: &Server) {
        let mut client = server.client();
        client.check("SADD set d b a c aa 10 9", "7");
        let expected = "[\"10\", \"9\", \"a\", \"aa\", \"b\", \"c\", \"d\"]";
        assert_eq!(eval(&mut client, "return redis.call('sort', 'set', 'by', 'nosort')").to_string(), expected);
        assert_eq!(
            eval(&mut client, "return redis.call('sort', 'set', 'by', '_', 'get', '#')").to_string(),
            expected
        );
        assert_eq!(
            eval(&mut client, "return redis.call('sort_ro', 'set', 'by', '_', 'limit', 0, 2)").to_string(),
            "[\"10\", \"9\"]"
        );
        client.check("SORT set BY nosort STORE stored", "7");
        client.check("LRANGE stored 0 -1", expected);
        assert_eq!(
            eval(&mut client, "return redis.call('sort', 'set', 'alpha', 'desc', 'limit', 0, 2)").to_string(),
            "[\"d\", \"c\"]"
        );
    }

    fn what_is_sent(server: &Server) {
        check_all(&mut server.client(), SENT);
    }

    /// Types that no command answers but DEBUG PROTOCOL, which scripts may not run unless it is allowed for a test.
    fn rare_types(server: &Server) with ["--enable-debug-command", "yes"] {
        let (mut client, mut modern) = (server.client(), server.client_resp3());
        if client.line("DEBUG SET-DISABLE-DENY-SCRIPTS 1").is_error() {
            return;
        }
        let bignum = "1234567999999999999999999999999999999";
        for (kind, in_resp3, in_resp2) in [
            ("string", "\"Hello World\"", "\"Hello World\""),
            ("integer", "12345", "12345"),
            ("double", ",3.141", "\"3.141\""),
            ("null", "null", "nil"),
            ("array", "[0, 1, 2]", "[0, 1, 2]"),
            ("bignum", &format!("({bignum}"), &format!("\"{bignum}\"")),
            ("true", "#t", "1"),
            ("false", "#f", "0"),
            ("verbatim", "=txt:\"This is a verbatim\\nstring\"", "\"This is a verbatim\\nstring\""),
            ("attrib", "\"Some real reply following the attribute\"", "\"Some real reply following the attribute\""),
        ] {
            let text = format!("redis.setresp(3) return redis.call('debug', 'protocol', '{kind}')");
            assert_eq!(eval(&mut modern, &text).to_string(), in_resp3, "{kind}");
            assert_eq!(eval(&mut client, &text).to_string(), in_resp2, "{kind}");
        }
        let verbatim = "redis.setresp(3) local v = redis.call('debug', 'protocol', 'verbatim').verbatim_string \
            return {v.format, v.string}";
        assert_eq!(eval(&mut client, verbatim).to_string(), "[\"txt\", \"This is a verbatim\\nstring\"]");
        let set = eval(&mut modern, "redis.setresp(3) return redis.call('debug', 'protocol', 'set')");
        assert!(matches!(&set, Reply::Set(members) if members.len() == 3), "{set}");
        let map = eval(&mut modern, "redis.setresp(3) return redis.call('debug', 'protocol', 'map')");
        assert!(matches!(&map, Reply::Map(pairs) if pairs.len() == 3), "{map}");
        client.check("DEBUG SET-DISABLE-DENY-SCRIPTS 0", "+OK");
    }

    /// A connection's protocol is its own, and setresp lasts as long as the script.
    fn protocols_do_not_mix(server: &Server) {
        let (mut client, mut modern) = (server.client(), server.client_resp3());
        set_keys(&mut client);
        let text = "return redis.call('hgetall', KEYS[1])";
        let text_resp3 = "redis.setresp(3) return redis.call('hgetall', KEYS[1])";
        for _ in 0..3 {
            assert_eq!(eval_with(&mut modern, text_resp3, &["h"], &[]).to_string(), "{\"f\": \"1\"}");
            assert_eq!(eval_with(&mut client, text, &["h"], &[]).to_string(), "[\"f\", \"1\"]");
            assert_eq!(eval_with(&mut modern, text, &["h"], &[]).to_string(), "[\"f\", \"1\"]");
            assert_eq!(eval_with(&mut client, text_resp3, &["h"], &[]).to_string(), "[\"f\", \"1\"]");
            assert_eq!(
                eval(&mut modern, "redis.setresp(3) error('x')").to_string().get(..22),
                Some("-ERR user_script:1: x ")
            );
        }
        let map = eval(&mut modern, "return {map = {a = 1, b = {map = {c = {set = {d = true}}}}}}");
        let Reply::Map(pairs) = &map else { panic!("no map: {map}") };
        assert_eq!(pairs.len(), 2, "{map}");
        assert!(map.to_string().contains("{\"c\": ~[\"d\"]}"), "{map}");
    }

    /// Replies of all sizes arrive as they are, from the smallest integer to a long array of long strings.
    fn many_replies_of_one_script(server: &Server) {
        let mut client = server.client();
        let text = "local t = {} for i = 1, tonumber(ARGV[1]) do t[i] = redis.call('echo', ('x'):rep(i)) end return t";
        for count in [0, 1, 10, 600] {
            let reply = eval_with(&mut client, text, &[], &[&count.to_string()]);
            let lengths: Vec<usize> = reply.elements().iter().map(|element| element.text().len()).collect();
            assert_eq!(lengths, (1..=count).collect::<Vec<usize>>());
        }
        for number in [-9_007_199_254_740_992_i64, -129, -1, 0, 1, 127, 9_999, 10_000, 9_007_199_254_740_992] {
            assert_eq!(
                eval_with(&mut client, "return tonumber(ARGV[1])", &[], &[&number.to_string()]).integer(),
                number
            );
        }
    }
}
