//! The libraries as a script sees them: `examples` holds expressions with what redis-server 7.0.15 answers, which were asked with
//! `redis-cli eval "$(cat ask.lua)" 0 EXPRESSION...`. What is our own, limits and being ended, stands here.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use rustredis_resp::Proto;

use crate::machine::{Limits, Machines, Progress, What};
use crate::script::Script;
use crate::{Host, Level, Look};

const ASK: &str = include_str!("examples/ask.lua");

/// Reached by no command; lets a script look so many times, then kills it, and pauses it at each look if that is wanted.
struct Alone {
    looks_left: Cell<u64>,
    pauses: bool,
}

impl Host for Alone {
    fn call(&mut self, _: &[&[u8]], _: Proto, reply: &mut Vec<u8>) {
        reply.extend_from_slice(b"-ERR there are no commands\r\n");
    }

    fn look(&mut self) -> Look {
        let left = self.looks_left.get();
        if left == 0 {
            return Look::Kill;
        }
        self.looks_left.set(left - 1);
        if self.pauses { Look::Pause } else { Look::GoOn }
    }

    fn log(&mut self, _: Level, _: &[u8]) {}

    fn set_replication(&mut self, _: bool, _: bool) {}

    fn may_run(&mut self, _: &[&[u8]]) -> Option<bool> {
        None
    }
}

/// What a script answers, as RESP, and how often it looked.
fn run(text: &str, arguments: &[&str], memory_bytes: usize, looks: u64, pauses: bool) -> (Vec<u8>, u64) {
    let machines = Machines::new(Arc::new(Limits { memory_bytes: AtomicUsize::new(memory_bytes) }));
    let script = Arc::new(Script::new(text.as_bytes(), |_| Ok(())).expect("no shebang"));
    let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    let mut host = Alone { looks_left: Cell::new(looks), pauses };
    let mut reply = Vec::new();
    let mut run = machines.begin(What::Script(&script), &[], &arguments, Proto::Resp2);
    while let Progress::Paused = run.resume(&mut host, &mut reply) {}
    (reply, looks - host.looks_left.get())
}

/// The strings of an array.
fn strings(reply: &[u8]) -> Vec<String> {
    let (head, mut rest) = line(reply);
    assert!(head.starts_with('*'), "{}", String::from_utf8_lossy(reply));
    let mut strings = Vec::new();
    while !rest.is_empty() {
        let (head, after) = line(rest);
        let length: usize = head.trim_start_matches('$').parse().expect("a length");
        strings.push(String::from_utf8_lossy(&after[..length]).into_owned());
        rest = &after[length + 2..];
    }
    strings
}

fn line(reply: &[u8]) -> (&str, &[u8]) {
    let end = reply.windows(2).position(|pair| pair == b"\r\n").expect("a line");
    (std::str::from_utf8(&reply[..end]).expect("ASCII"), &reply[end + 2..])
}

/// Asks what examples ask, and compares the answers.
#[track_caller]
fn check(examples: &str) {
    let lines: Vec<&str> = examples.lines().filter(|line| !line.starts_with('#')).collect();
    let (questions, expected): (Vec<&str>, Vec<&str>) =
        lines.chunks(2).map(|pair| (pair[0].strip_prefix("> ").expect("an expression"), pair[1])).unzip();
    for pauses in [false, true] {
        let (reply, _) = run(ASK, &questions, 0, u64::MAX, pauses);
        let found = strings(&reply);
        assert_eq!(found.len(), questions.len());
        let wrong: Vec<String> = (0..found.len())
            .filter(|index| found[*index] != expected[*index])
            .map(|index| {
                format!("{}\n  found    {}\n  expected {}", questions[index], found[index], expected[index])
            })
            .collect();
        assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[test]
fn string() {
    check(include_str!("examples/strings.txt"));
}

#[test]
fn patterns() {
    check(include_str!("examples/patterns.txt"));
}

#[test]
fn format() {
    check(include_str!("examples/format.txt"));
}

#[test]
fn table() {
    check(include_str!("examples/table.txt"));
}

#[test]
fn cjson() {
    check(include_str!("examples/cjson.txt"));
}

#[test]
fn cmsgpack() {
    check(include_str!("examples/cmsgpack.txt"));
}

#[test]
fn structs() {
    check(include_str!("examples/struct.txt"));
}

#[test]
fn bit() {
    check(include_str!("examples/bit.txt"));
}

/// A script of these lines is ended by its host, and looks often enough until then.
#[track_caller]
fn check_ends(text: &str) {
    for pauses in [false, true] {
        let (reply, looks) = run(text, &[], 0, 200, pauses);
        let reply = String::from_utf8_lossy(&reply);
        assert!(
            reply.starts_with("-ERR Error running script") || reply.contains("killed"),
            "{text}: {reply}"
        );
        assert_eq!(looks, 200, "{text}");
    }
}

#[test]
fn what_never_ends_is_ended() {
    let many_a = "local a = string.rep('a', 40) ";
    for text in [
        "return string.find(a, string.rep('a?', 40) .. a)",
        "return string.find(string.rep('a', 1000), string.rep('a-', 20) .. 'b')",
        "return string.match(string.rep('a', 1000), string.rep('a*', 20) .. 'b')",
        "return string.gsub(string.rep('a', 1000), string.rep('.-', 20) .. 'b', '')",
        "for x in string.gmatch(string.rep('a', 1000), string.rep('[ab]+', 20) .. 'c') do end",
        "return pcall(string.find, string.rep('(', 1e6), string.rep('%b()', 3) .. string.rep('.-', 20) .. 'x')",
        "while true do pcall(string.find, string.rep('a', 1000), string.rep('a*', 20) .. 'b') end",
        "local t = {} for i = 1, 1e4 do t[i] = i end \
         table.sort(t, function() for i = 1, 1e3 do end return math.random() < 0.5 end) while true do end",
        "return table.concat({}, '', 1, 0) .. table.concat(setmetatable({}, {}), '', 5, 4) .. (function() while true do end end)()",
        "table.insert({}, -2147483648, 1) while true do end",
        "local t = {} table.foreach({1, 2}, function() while true do end end)",
        "string.gsub('abc', '.', function() while true do end end)",
        "string.gsub('abc', '.', setmetatable({}, {__index = function() while true do end end}))",
        "table.sort({3, 1, 2}, function() while true do end end)",
        "local m = {__lt = function() while true do end end} table.sort({setmetatable({}, m), setmetatable({}, m)})",
        "cjson.encode_sparse_array(false, 0, 0) return cjson.encode({[2147483647] = 1})",
    ] {
        check_ends(&format!("{many_a} {text}"));
    }
}

#[test]
fn what_is_long_looks_meanwhile() {
    // A look is due after some thousand steps, of which each stands for some bytes.
    for (text, looks_min) in [
        ("return #string.rep('x', 1e7)", 50),
        ("return #(string.rep('x', 5e6)):upper()", 50),
        ("return #(string.rep('x', 5e6)):reverse()", 50),
        ("return string.find(string.rep('x', 1e7), 'y')", 100),
        ("return string.find(string.rep('x', 1e7), 'y+')", 100),
        ("return string.find(string.rep('x', 1e7), string.rep('x', 300) .. 'y', 1, true)", 100),
        ("return string.find(string.rep('x', 1e7), '.-y', 1e7 - 10)", 50),
        ("return string.match(string.rep('x', 1e6), '[^y]*$')", 100),
        ("return #string.format('%s%s', string.rep('x', 1e7), '')", 50),
        ("return #string.format('%q', string.rep('x', 1e6))", 100),
        ("return #string.gsub(string.rep('x', 1e6), '[y]', '')", 100),
        ("return #cjson.encode(string.rep('x', 1e6))", 100),
        ("return #cjson.decode('\"' .. string.rep('x', 1e6) .. '\"')", 100),
        ("return #cmsgpack.unpack(cmsgpack.pack(string.rep('x', 1e7)))", 100),
        ("return #struct.unpack('s', string.rep('x', 1e7) .. '\\0')", 100),
        ("return #struct.pack('s', string.rep('x', 1e7))", 50),
        ("local t = {} t[1] = 1 for i = 1, 100 do table.insert(t, -10000, 1) end return 1", 100),
    ] {
        let (reply, looks) = run(text, &[], 0, u64::MAX, false);
        assert!(!reply.starts_with(b"-"), "{text}: {}", String::from_utf8_lossy(&reply));
        assert!(looks >= looks_min, "{text}: {looks} looks");
    }
}

#[test]
fn memory_is_limited() {
    const LIMIT: usize = 8 << 20;
    for text in [
        "return string.rep('x', 2^31 - 1)",
        "return string.rep('x', 1e7)",
        "return string.rep(string.rep('x', 1e5), 1e5)",
        "return string.gsub(string.rep('x', 1e6), 'x', string.rep('y', 1e3))",
        "return string.gsub(string.rep('x', 100), 'x', function() return string.rep('y', 1e6) end)",
        "local function nest(depth) return (string.gsub('xxxxxxxx', 'x', function() \
         return string.rep('y', 2e5) .. (depth > 0 and nest(depth - 1) or '') end)) end return nest(20)",
        "local t = {} for i = 1, 100 do t[i] = string.rep('x', 1e6) end return table.concat(t)",
        "local x = string.rep('x', 1e6) local t = {} for i = 1, 100 do t[i] = x end return table.concat(t)",
        "local x, t = string.rep('x', 1e6), {} for i = 1, 100 do t[i] = x end \
         return string.format(string.rep('%s', 100), unpack(t))",
        "local x = string.rep('x', 1e6) local t = {} for i = 1, 100 do t[i] = x end return cjson.encode(t)",
        "return cjson.decode('[' .. string.rep('[],', 1e6) .. '1]')",
        "return cjson.decode('[' .. string.rep('1,', 1.5e6) .. '1]')",
        "local x = string.rep('x', 1e6) local t = {} for i = 1, 100 do t[i] = x end return cmsgpack.pack(t)",
        "return cmsgpack.unpack('\\221\\0\\255\\255\\255' .. string.rep('\\144', 2e6))",
        "return struct.pack(string.rep('x', 3e6) .. string.rep('d', 7e6))",
        "cjson.encode_sparse_array(false, 0, 0) return cjson.encode({[2147483647] = 1})",
    ] {
        let (reply, _) = run(text, &[], LIMIT, u64::MAX, false);
        let reply = String::from_utf8_lossy(&reply[..reply.len().min(200)]).into_owned();
        assert!(reply.starts_with('-') && reply.contains("not enough memory"), "{text}: {reply}");
    }
}

#[test]
fn a_pattern_has_so_many_items_at_most() {
    let text = "return {pcall(string.find, string.rep('a', 200000), string.rep('a?', 200000))}";
    let (reply, _) = run(text, &[], 0, u64::MAX, false);
    assert!(String::from_utf8_lossy(&reply).contains("pattern too complex"), "{reply:?}");
}

#[test]
fn an_order_that_is_none_ends() {
    // Says of what is beyond the end that it is not less, which Lua's own sort never leaves.
    let text = "local t = {} for i = 1, 100 do t[i] = i end \
                return tostring(pcall(table.sort, t, function(a, b) return a ~= nil and b ~= nil end))";
    let (reply, _) = run(text, &[], 0, 100_000, false);
    assert_eq!(String::from_utf8_lossy(&reply), "$5\r\nfalse\r\n");
    for seed in 0..20 {
        let text = format!(
            "math.randomseed({seed}) local t = {{}} for i = 1, 200 do t[i] = i end \
             pcall(table.sort, t, function() return math.random() < 0.5 end) return 1"
        );
        assert_eq!(run(&text, &[], 0, 100_000, false).0, b":1\r\n");
    }
}

#[test]
fn callbacks_in_callbacks_end() {
    for text in [
        "local function f() return (string.gsub('a', 'a', f)) end f()",
        "local t t = setmetatable({}, {__index = function() return (string.gsub('a', 'a', t)) end}) return t.x",
        "local function f() table.sort({2, 1}, f) end f()",
        "local function f() table.foreach({1}, f) end f()",
        "local m = {} m.__lt = function() table.sort({setmetatable({}, m), setmetatable({}, m)}) end m.__lt()",
    ] {
        let (reply, _) = run(text, &[], 0, u64::MAX, true);
        let reply = String::from_utf8_lossy(&reply).into_owned();
        assert!(reply.contains("stack overflow"), "{text}: {reply}");
    }
}

#[test]
fn settings_do_not_outlive_a_script() {
    let machines = Machines::new(Arc::new(Limits { memory_bytes: AtomicUsize::new(0) }));
    let text = "local before = cjson.encode_max_depth() cjson.encode_max_depth(5) return before";
    let script = Arc::new(Script::new(text.as_bytes(), |_| Ok(())).expect("no shebang"));
    for _ in 0..3 {
        let mut host = Alone { looks_left: Cell::new(u64::MAX), pauses: false };
        let mut reply = Vec::new();
        let mut run = machines.begin(What::Script(&script), &[], &[], Proto::Resp2);
        while let Progress::Paused = run.resume(&mut host, &mut reply) {}
        assert_eq!(String::from_utf8_lossy(&reply), ":1000\r\n");
    }
}

/// An error in a callback is told with the callback's place, as in Redis.
#[test]
fn errors_of_callbacks_have_their_place() {
    for text in [
        "local x = 1\nstring.gsub('a', 'a', function()\nerror('boom')\nend)",
        "local x = 1\ntable.foreach({1}, function()\nerror('boom')\nend)",
        "local x = 1\ntable.sort({2, 1}, function()\nerror('boom')\nend)",
    ] {
        let (reply, _) = run(text, &[], 0, u64::MAX, false);
        let reply = String::from_utf8_lossy(&reply).into_owned();
        assert!(reply.contains("user_script:3: boom") && reply.contains("on @user_script:3."), "{reply}");
    }
}
