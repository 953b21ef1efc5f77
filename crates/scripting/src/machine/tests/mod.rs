//! Runs of scripts against a host that has a few commands. What replies look like was asked of redis-server 7.0.15.

mod fake;
mod libraries;
mod memory;
mod sandbox;
mod storm;
mod turns;
mod values;
mod words;

use fake::{Fake, Setup};

/// Runs each script on machines of its own, and compares the reply.
#[track_caller]
fn check(examples: &[(&str, &str)]) {
    for (script, expected) in examples {
        assert_eq!(Setup::new().eval(script), *expected, "{script}");
    }
}

/// Runs each script, and compares the error up to where it is told.
#[track_caller]
fn check_errors(examples: &[(&str, &str)]) {
    for (script, expected) in examples {
        let reply = Setup::new().eval(script);
        let error = reply.strip_prefix('-').and_then(|error| error.strip_suffix("\r\n"));
        let error = error.unwrap_or_else(|| panic!("{script}: {reply:?}"));
        let told = error.find(" script: ").map_or(error, |place| &error[..place]);
        assert_eq!(told, *expected, "{script}");
    }
}

#[test]
fn the_same_machines_run_scripts_one_after_the_other() {
    let setup = Setup::new();
    for _ in 0..3 {
        assert_eq!(setup.eval("return redis.call('INCR', 'n')").chars().next(), Some(':'));
        assert_eq!(setup.eval("return {1, 2}"), "*2\r\n:1\r\n:2\r\n");
        assert_eq!(setup.machines.states(), 1);
    }
    setup.machines.flush();
    assert_eq!(setup.machines.memory_bytes(), 0);
    assert_eq!(setup.eval("return 1"), ":1\r\n");
}

#[test]
fn scripts_that_nobody_holds_are_forgotten() {
    let setup = Setup::new();
    setup.eval("return 0");
    let before = setup.machines.memory_bytes();
    for number in 0..2_000 {
        assert_eq!(setup.eval(&format!("return {number}")), format!(":{number}\r\n"));
    }
    let grown = setup.machines.memory_bytes() - before;
    assert!(grown < 200_000, "{grown} bytes more");
}

#[test]
fn a_host_that_panics_is_heard_where_the_script_was_resumed() {
    let setup = Setup::new();
    for script in [
        "return redis.call('PANIC')",
        "return pcall(redis.call, 'PANIC')",
        "return coroutine.wrap(function() return {pcall(redis.call, 'PANIC')} end)()",
        "return ('x'):gsub('x', function() return redis.call('PANIC') end)",
    ] {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| setup.eval(script)));
        let text = panic.expect_err("it panics").downcast::<&str>().expect("with a text");
        assert_eq!(*text, "the host panics", "{script}");
        assert_eq!(setup.eval("return 1"), ":1\r\n");
    }
}

#[test]
fn a_host_hears_of_the_log_of_replication_and_of_permissions() {
    let setup = Setup::new();
    let mut host = Fake::default();
    let script = "redis.log(redis.LOG_WARNING, 'a', 1, {}, 'b') redis.set_repl(redis.REPL_AOF)
                  return {redis.acl_check_cmd('GET', 'x'), redis.acl_check_cmd('SECRET')}";
    assert_eq!(setup.eval_with(script, &[], &[], &mut host), "*2\r\n:1\r\n$-1\r\n");
    assert_eq!(host.logged, ["Warning: a 1 b"]);
    assert_eq!(host.replication, [(true, false)]);
}

/// KEYS and ARGV are made only for scripts that can read them, which are all that do, whatever way they take.
#[test]
fn no_script_sees_what_another_was_given() {
    let setup = Setup::new();
    let mut host = Fake::default();
    for script in [
        "return {KEYS[1], ARGV[1]}",
        "local function f() return function() return {KEYS[1], ARGV[1]} end end return f()()",
        "return {_G['KE' .. 'YS'][1], rawget(_G, 'AR' .. 'GV')[1]}",
        "return loadstring('return {KE' .. 'YS[1], AR' .. 'GV[1]}')()",
        "local done return load(function() if not done then done = 1 return 'return {KE' .. 'YS[1], AR' .. 'GV[1]}' end end)()",
        "for name, words in pairs(_G) do if name == 'KE' .. 'YS' then return {words[1], ARGV[1]} end end",
    ] {
        for (key, argument) in [("a", "b"), ("c", "d")] {
            let expected = format!("*2\r\n$1\r\n{key}\r\n$1\r\n{argument}\r\n");
            assert_eq!(setup.eval_with(script, &[key], &[argument], &mut host), expected, "{script}");
            assert_eq!(setup.eval_with("return 1", &["x"], &["y"], &mut host), ":1\r\n");
        }
    }
    assert_eq!(setup.machines.states(), 1);
}

/// What a script sets up is gone for the next one, whoever set up nothing between them.
#[test]
fn what_is_set_up_is_taken_back() {
    let setup = Setup::new();
    for _ in 0..2 {
        assert_eq!(setup.eval("return cjson.encode(1/3)"), "$16\r\n0.33333333333333\r\n");
        assert_eq!(
            setup.eval("cjson.encode_number_precision(3) return cjson.encode(1/3)"),
            "$5\r\n0.333\r\n"
        );
        assert_eq!(setup.eval("return collectgarbage('setpause', 300)"), ":200\r\n");
        assert_eq!(setup.eval("return collectgarbage('setstepmul', 300)"), ":200\r\n");
    }
}

#[test]
fn numbers_are_read_as_lua_reads_them() {
    check(&[
        (
            "return {tonumber('0'), tonumber('17'), tonumber('-17'), tonumber('007')}",
            "*4\r\n:0\r\n:17\r\n:-17\r\n:7\r\n",
        ),
        ("return tostring(1 / tonumber('-0')) .. tostring(1 / tonumber('0'))", "$7\r\n-infinf\r\n"),
        ("return tostring(tonumber('999999999999999'))", "$5\r\n1e+15\r\n"),
        ("return tonumber('999999999999999')", ":999999999999999\r\n"),
        ("return tonumber('9007199254740993')", ":9007199254740992\r\n"),
        (
            "return {tonumber(' 12 '), tonumber('0x10'), tonumber('1e3'), tonumber('1.9')}",
            "*4\r\n:12\r\n:16\r\n:1000\r\n:1\r\n",
        ),
        (
            "return {type(tonumber('')), type(tonumber('-')), type(tonumber('12a')), type(tonumber('--1')), type(tonumber({}))}",
            "*5\r\n$3\r\nnil\r\n$3\r\nnil\r\n$3\r\nnil\r\n$3\r\nnil\r\n$3\r\nnil\r\n",
        ),
        ("return {tonumber('11', 2), tonumber('12', 10), tonumber(12)}", "*3\r\n:3\r\n:12\r\n:12\r\n"),
    ]);
    check_errors(&[(
        "return tonumber()",
        "ERR user_script:1: bad argument #1 to 'tonumber' (value expected)",
    )]);
}
