//! The limit of memory.

use super::fake::{Fake, Setup};

const MEGABYTES: usize = 1 << 20;

/// The error of a script that has more memory than it may, however it came to be.
fn is_memory_error(reply: &str) -> bool {
    reply.starts_with("-ERR") && reply.contains("not enough memory")
}

#[test]
fn a_script_without_end_in_memory_is_an_error() {
    for script in [
        "return ('x'):rep(2^30)",
        "return ('x'):rep(64 * 1024 * 1024)",
        "local s = 'x' while true do s = s .. s end",
        "local s, t = '', ('text'):rep(10000) while true do s = s .. t end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local t = {} for i = 1, 1e9 do t['k' .. i] = i end",
        "local t = {} while true do t = {t} end",
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
        "local t = {} while true do t[#t + 1] = function() return t end end",
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
        "local t = {} while true do t[#t + 1] = redis.call('ECHO', ('x'):rep(10000) .. #t) end",
        "local t = {} while true do t[#t + 1] = redis.call('RAW', '*3\\r\\n:1\\r\\n:2\\r\\n:3\\r\\n') end",
        "local t = {} while true do t[#t + 1] = redis.pcall('nope') end",
        "local n = 0 return load(function() n = n + 1 return '--' .. ('x'):rep(10000) .. n .. '\\n' end)",
        "local t = {} error((select(2, load(function() t[#t + 1] = ('x'):rep(10000) .. #t return ' ' end))), 0)",
        "return table.concat({('x'):rep(4e6), ('y'):rep(4e6), ('z'):rep(4e6)})",
        "return coroutine.wrap(function() local s = 'x' while true do s = s .. s end end)()",
        "local t = {} for i = 1, 100 do t[i] = ('x'):rep(1e6) .. i end",
    ] {
        let setup = Setup::limited(8 * MEGABYTES);
        let reply = setup.eval(script);
        assert!(is_memory_error(&reply), "{script}: {reply}");
        assert_eq!(setup.machines.states(), 0, "its state is given up: {script}");
        assert_eq!(setup.eval("return 1"), ":1\r\n");
    }
}

#[test]
fn a_memory_error_can_be_caught() {
    let setup = Setup::limited(8 * MEGABYTES);
    for script in [
        "return select(2, pcall(function() local s = 'x' while true do s = s .. s end end))",
        "return select(2, pcall(function() local t = {} for i = 1, 1e9 do t[i] = i end end))",
        "return select(2, pcall(string.rep, 'x', 2^30))",
        "local co = coroutine.create(function() local s = 'x' while true do s = s .. s end end)
         return select(2, coroutine.resume(co))",
    ] {
        assert_eq!(setup.eval(script), "$17\r\nnot enough memory\r\n", "{script}");
        assert_eq!(setup.eval("return 1"), ":1\r\n");
    }
}

#[test]
fn garbage_does_not_count() {
    let setup = Setup::limited(4 * MEGABYTES);
    for script in [
        "for i = 1, 300 do local s = ('x'):rep(500000) .. i end return 1",
        "for i = 1, 30000 do local t = {} for j = 1, 10 do t[j] = {} end end return 1",
        "local s = '' for i = 1, 3000 do s = s .. 'some text' end return 1",
        "for i = 1, 300 do redis.call('ECHO', ('x'):rep(100000) .. i) end return 1",
        "collectgarbage('stop') for i = 1, 30000 do local s = ('x'):rep(1000) .. i end return 1",
    ] {
        assert_eq!(setup.eval(script), ":1\r\n", "{script}");
    }
}

#[test]
fn memory_stays_level_over_many_runs() {
    let runs = if cfg!(debug_assertions) { 30_000 } else { 1_000_000 };
    let setup = Setup::new();
    let script = crate::script::Script::new(b"return 1", |_| Ok(())).expect("a script");
    let script = std::sync::Arc::new(script);
    let run = |runs: usize| {
        let mut host = Fake::default();
        for _ in 0..runs {
            let what = crate::machine::What::Script(&script);
            assert_eq!(setup.run(what, rustredis_resp::Proto::Resp2, &["k"], &["a"], &mut host), ":1\r\n");
        }
        setup.machines.memory_bytes()
    };
    let first = run(runs / 10);
    let most = first + 200_000;
    for _ in 0..9 {
        let bytes = run(runs / 10);
        assert!(bytes < most, "{bytes} bytes after {first}");
    }
}

#[test]
fn a_script_that_made_much_garbage_does_not_leave_it_for_long() {
    let setup = Setup::new();
    setup.eval("return 1");
    let first = setup.machines.memory_bytes();
    setup.eval("local t = {} for i = 1, 100000 do t[i] = {i} end return #t");
    for _ in 0..2_000 {
        setup.eval("return 1");
    }
    let bytes = setup.machines.memory_bytes();
    assert!(bytes < first + 3 * MEGABYTES, "{bytes} bytes after {first}");
}

#[test]
fn large_keys_and_arguments_count() {
    let setup = Setup::limited(4 * MEGABYTES);
    let text = "x".repeat(5 * MEGABYTES);
    let reply = setup.eval_with("for i = 1, 1e7 do end return #ARGV[1]", &[], &[&text], &mut Fake::default());
    assert!(is_memory_error(&reply), "{reply}");
    assert_eq!(setup.eval("return 1"), ":1\r\n");
}
