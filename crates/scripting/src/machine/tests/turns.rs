//! Scripts that are paused and ended, wherever they are.

use std::sync::Arc;

use rustredis_resp::Proto;

use super::fake::{Fake, Setup};
use crate::machine::{Progress, What};
use crate::script::Script;

/// Places where a script may run for ever; the text in between does.
const PLACES: [(&str, &str); 14] = [
    ("", ""),
    ("return pcall(function() ", " end)"),
    ("while true do pcall(function() ", " end) end"),
    ("return pcall(pcall, pcall, function() ", " end)"),
    ("return xpcall(function() ", " end, function(e) while true do end end)"),
    ("return xpcall(function() error('x') end, function() ", " end)"),
    ("return coroutine.wrap(function() ", " end)()"),
    ("while true do coroutine.resume(coroutine.create(function() ", " end)) end"),
    ("local t = setmetatable({}, {__index = function() ", " end}) return t.x"),
    ("local t = setmetatable({}, {__lt = function() ", " end}) return t < t"),
    ("return ('x'):gsub('x', function() ", " end)"),
    ("return table.foreach({1}, function() ", " end)"),
    ("table.sort({1, 2, 3}, function() ", " end)"),
    ("return load(function() ", " end)"),
];

/// What runs for ever.
const ENDLESS: [&str; 11] = [
    "while true do end",
    "local n = 0 while true do n = n + 1 end",
    "while true do redis.call('GET', 'x') end",
    "while true do redis.pcall('nope') end",
    "while true do pcall(error, 'x') end",
    "while true do local s = ('x'):rep(100) .. 'y' end",
    "local function f() return f() end f()",
    "while true do coroutine.wrap(function() coroutine.yield(1) end)() end",
    "while true do for k in pairs(_G) do end end",
    "while true do collectgarbage() end",
    "while true do loadstring('return 1')() end",
];

#[test]
fn a_script_is_killed_wherever_it_is() {
    for (before, after) in PLACES {
        for endless in ENDLESS {
            let script = format!("{before}{endless}{after}");
            for kills_at in [1, 2, 17] {
                let setup = Setup::new();
                let mut host = Fake { kills_at: Some(kills_at), ..Fake::default() };
                let reply = setup.eval_with(&script, &[], &[], &mut host);
                let killed = "-ERR Script killed by user with SCRIPT KILL. script: ";
                assert!(
                    reply.starts_with(killed) && reply.ends_with(", on @user_script:1.\r\n"),
                    "{script}: {reply}"
                );
                assert_eq!(host.looks, kills_at, "it is not asked again: {script}");
                assert_eq!(setup.machines.states(), 0, "its state is given up");
                assert_eq!(setup.eval("return 1"), ":1\r\n");
            }
        }
    }
}

#[test]
fn a_script_goes_on_where_it_was() {
    let count = "local n = 0 for i = 1, 20000 do n = n + i % 3 end return n";
    for (script, expected) in [
        (count.to_owned(), ":20001\r\n"),
        (format!("return select(2, pcall(function() {count} end))"), ":20001\r\n"),
        (format!("return select(2, xpcall(function() error('x') end, function() {count} end))"), ":20001\r\n"),
        (format!("return coroutine.wrap(function() return select(2, pcall(function() {count} end)) end)()"), ":20001\r\n"),
        (format!("local t = setmetatable({{}}, {{__index = function() {count} end}}) return t.x"), ":20001\r\n"),
        (format!("return ('x'):gsub('x', function() {count} end)"), "$5\r\n20001\r\n"),
        (
            format!(
                "local t = setmetatable({{}}, {{__concat = function() return coroutine.wrap(function()
                     return (('ab'):gsub('.', function(c) return select(2, pcall(function() {count} end)) end)) end)() end}})
                 return select(2, pcall(function() return t .. 'x' end))"
            ),
            "$10\r\n2000120001\r\n",
        ),
        ("local t = {} for i = 1, 5000 do t[i] = 5001 - i end table.sort(t) return t[1]".to_owned(), ":1\r\n"),
        ("local t = {} for i = 1, 300 do t[i] = i end table.sort(t, function(a, b) return a > b end) return t[1]".to_owned(), ":300\r\n"),
        ("local t = {} for i = 1, 3000 do t[i] = redis.call('INCR', 'n') end return #t".to_owned(), ":3000\r\n"),
        ("local t = {} for i = 1, 3000 do t[i] = i end return #t".to_owned(), ":3000\r\n"),
        ("local t = {} for i = 1, 9000 do t[i] = {i} end return t[9000][1]".to_owned(), ":9000\r\n"),
    ] {
        let mut host = Fake { pauses: true, ..Fake::default() };
        assert_eq!(Setup::new().eval_with(&script, &[], &[], &mut host), expected, "{script}");
        assert!(host.looks > 1, "it paused: {script}");
    }
}

#[test]
fn a_long_reply_pauses_too() {
    let mut host = Fake { pauses: true, ..Fake::default() };
    let script = "local t = {} for i = 1, 7000 do t[i] = 'x' end return t";
    let reply = Setup::new().eval_with(script, &[], &[], &mut host);
    assert_eq!(reply, format!("*7000\r\n{}", "$1\r\nx\r\n".repeat(7_000)));
    let raw = format!("*7000\r\n{}", ":1\r\n".repeat(7_000));
    let mut host = Fake { pauses: true, ..Fake::default() };
    let reply = Setup::new().eval_with("return redis.call('RAW', ARGV[1])", &[], &[&raw], &mut host);
    assert_eq!(reply, raw);
    assert!(host.looks > 10);
}

#[test]
fn runs_on_one_thread_pass_the_turn_around() {
    let setup = Setup::new();
    let script = Script::new(b"local s = 0 for i = 1, 20000 do s = s + ARGV[1] end return s", |_| Ok(()));
    let script = Arc::new(script.expect("a script"));
    let arguments: Vec<String> = (1..=5).map(|number| number.to_string()).collect();
    let mut runs: Vec<_> = arguments
        .iter()
        .map(|argument| {
            setup.machines.begin(What::Script(&script), &[], &[argument.as_bytes()], Proto::Resp2)
        })
        .collect();
    assert_eq!(setup.machines.states(), 5);
    let mut replies = vec![Vec::new(); runs.len()];
    let mut host = Fake { pauses: true, ..Fake::default() };
    let mut left: Vec<usize> = (0..runs.len()).collect();
    while !left.is_empty() {
        left.retain(|index| runs[*index].resume(&mut host, &mut replies[*index]) == Progress::Paused);
    }
    for (index, reply) in replies.iter().enumerate() {
        assert_eq!(String::from_utf8_lossy(reply), format!(":{}\r\n", 20_000 * (index + 1)));
    }
    assert!(setup.machines.states() <= 2, "idle states are given up");
}

#[test]
fn a_run_that_is_dropped_ends_and_leaks_nothing() {
    let setup = Setup::new();
    for (before, after) in PLACES {
        for endless in ENDLESS {
            let script = format!("{before}{endless}{after}");
            let script = Arc::new(Script::new(script.as_bytes(), |_| Ok(())).expect("a script"));
            for resumptions in [0, 1, 5] {
                let mut run = setup.machines.begin(What::Script(&script), &[b"k"], &[b"a"], Proto::Resp2);
                let mut host = Fake { pauses: true, ..Fake::default() };
                let mut reply = Vec::new();
                for _ in 0..resumptions {
                    assert_eq!(run.resume(&mut host, &mut reply), Progress::Paused);
                }
                drop(run);
                // A state that is closed asserts that all its memory came back.
                assert_eq!(setup.machines.states(), 0);
                assert_eq!(setup.machines.memory_bytes(), 0);
            }
        }
    }
}

#[test]
fn looks_are_asked_often_and_not_for_little() {
    for (script, least, most) in [
        ("for i = 1, 1000000 do end", 400, usize::MAX),
        ("for i = 1, 10000 do redis.call('GET', 'x') end", 400, usize::MAX),
        ("return 1", 0, 1),
        ("return redis.call('GET', 'x')", 0, 1),
    ] {
        let mut host = Fake::default();
        Setup::new().eval_with(script, &[], &[], &mut host);
        assert!((least..=most).contains(&host.looks), "{script}: {} looks", host.looks);
    }
}

/// An instruction may read a whole string: so the longer one is, the fewer there are between two looks.
#[test]
fn there_are_fewer_instructions_between_looks_where_a_string_is_long() {
    let looks = |text: &str, times: usize| {
        let mut host = Fake::default();
        let script = format!("local s = {text} for i = 1, {times} do local n = #s end return 1");
        assert_eq!(Setup::new().eval_with(&script, &[], &[], &mut host), ":1\r\n");
        host.looks
    };
    let of_loop = |text: &str| looks(text, 3_000) - looks(text, 0);
    assert!(of_loop("('1'):rep(100)") <= 6);
    let longest = of_loop("('1'):rep(12e6)");
    assert!(longest >= 3_000, "{longest} looks");
    let long = of_loop("('1'):rep(2e5)");
    assert!((30..1_000).contains(&long), "{long} looks");
    // What is gone counts no more.
    let gone = "('1'):rep(12e6):sub(1, 1) collectgarbage()";
    assert!(of_loop(gone) < 3_000);
    let mut host = Fake::default();
    Setup::new().eval_with("return redis.sha1hex(ARGV[1])", &[], &[&"x".repeat(1_000_000)], &mut host);
    assert!(host.looks >= 100, "{} looks", host.looks);
}

#[test]
fn deep_recursion_stays_on_the_stack() {
    for (script, expected) in [
        ("local function f() return pcall(f) end return (f())", ":1\r\n"),
        ("local function f() return xpcall(f, tostring) end return (f())", ":1\r\n"),
        ("local function f() return coroutine.wrap(f)() end return (pcall(f))", "$-1\r\n"),
        ("local function f() return (('x'):gsub('x', f)) end return (pcall(f))", "$-1\r\n"),
        ("local function f() table.sort({1, 2}, f) end return (pcall(f))", "$-1\r\n"),
        ("local function f() return load(f) end return type(f())", "$3\r\nnil\r\n"),
        (
            "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k + 1] end return (pcall(function() return t[1] end))",
            "$-1\r\n",
        ),
        ("local s = ('('):rep(10000) return tostring(loadstring(s))", "$3\r\nnil\r\n"),
        (
            "local s = 'return ' .. ('{'):rep(190) .. ('}'):rep(190) return type(loadstring(s)())",
            "$5\r\ntable\r\n",
        ),
        ("local s = ('a..'):rep(150) .. 'a' return type(loadstring('return ' .. s))", "$8\r\nfunction\r\n"),
    ] {
        assert_eq!(Setup::new().eval(script), expected, "{script}");
    }
}
