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
