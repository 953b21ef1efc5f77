//! Libraries of functions.

use std::sync::Arc;

use rustredis_resp::Proto;

use super::fake::{Fake, Setup};
use crate::function::{FunctionFlags, Libraries};
use crate::machine::What;

/// What FUNCTION LOAD answers to a text behind the usual first line.
fn load(text: &str) -> Result<Vec<String>, String> {
    load_code(&format!("#!lua name=x\n{text}"))
}

fn load_code(code: &str) -> Result<Vec<String>, String> {
    let library = Setup::new().machines.load(code.as_bytes(), &mut Fake::default());
    let library = library.map_err(|error| String::from_utf8_lossy(&error).into_owned())?;
    assert_eq!(&*library.code, code.as_bytes());
    Ok(library
        .functions
        .iter()
        .map(|function| String::from_utf8_lossy(&function.name).into_owned())
        .collect())
}

/// Libraries of which one has this text, and a call of its function `f`.
fn libraries(text: &str) -> Arc<Libraries> {
    let code = format!("#!lua name=x\n{text}");
    let library = Setup::new().machines.load(code.as_bytes(), &mut Fake::default());
    let library = library.unwrap_or_else(|error| panic!("{text}: {}", String::from_utf8_lossy(&error)));
    Arc::new(Libraries::default().with(library, false).expect("the only one"))
}

fn call(setup: &Setup, libraries: &Arc<Libraries>, name: &str, host: &mut Fake) -> String {
    let what = What::Function { libraries, name: name.as_bytes() };
    setup.run(what, Proto::Resp2, &["k"], &["a", "b"], host)
}

#[test]
fn a_library_says_what_it_registers() {
    assert_eq!(load("redis.register_function('f', function() end)"), Ok(vec!["f".to_owned()]));
    assert_eq!(load("redis.register_function(1, function() end)"), Ok(vec!["1".to_owned()]));
    assert_eq!(
        load("redis.register_function('f', function() end) redis.register_function('F', redis.log)"),
        Ok(vec!["f".to_owned(), "F".to_owned()])
    );
    assert_eq!(
        load("server.register_function{FUNCTION_NAME = 'a', Callback = function() end}"),
        Ok(vec!["a".to_owned()])
    );
    let code = "#!lua name=x\nredis.register_function{function_name = 'a', callback = function() end,
                description = 'd d', flags = {'no-writes', 'ALLOW-OOM', nil, 'nope'}}";
    let library = Setup::new().machines.load(code.as_bytes(), &mut Fake::default()).expect("a library");
    let function = &library.functions[0];
    assert_eq!(function.description.as_deref(), Some(&b"d d"[..]));
    assert_eq!(function.flags, FunctionFlags::NO_WRITES | FunctionFlags::ALLOW_OOM);
}

#[test]
fn what_is_no_library_is_an_error() {
    let registering = [
        ("redis.register_function()", "wrong number of arguments to redis.register_function"),
        (
            "redis.register_function('f')",
            "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        ),
        ("redis.register_function('f', 1)", "second argument to redis.register_function must be a function"),
        (
            "redis.register_function({}, function() end)",
            "first argument to redis.register_function must be a string",
        ),
        (
            "redis.register_function('f', function() end, 1)",
            "wrong number of arguments to redis.register_function",
        ),
        (
            "redis.register_function('f-f', function() end)",
            "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        (
            "redis.register_function('f', function() end) redis.register_function('f', function() end)",
            "Function already exists in the library",
        ),
        ("redis.register_function{}", "redis.register_function must get a function name argument"),
        (
            "redis.register_function{function_name = 'a'}",
            "redis.register_function must get a callback argument",
        ),
        (
            "redis.register_function{function_name = 'a', callback = 1}",
            "callback argument given to redis.register_function must be a function",
        ),
        (
            "redis.register_function{function_name = {}, callback = redis.log}",
            "function_name argument given to redis.register_function must be a string",
        ),
        (
            "redis.register_function{function_name = 'a', callback = redis.log, description = {}}",
            "description argument given to redis.register_function must be a string",
        ),
        (
            "redis.register_function{function_name = 'a', callback = redis.log, foo = 1}",
            "unknown argument given to redis.register_function",
        ),
        (
            "redis.register_function{[true] = 1}",
            "named argument key given to redis.register_function is not a string",
        ),
        (
            "redis.register_function{function_name = 'a', callback = redis.log, flags = 'no-writes'}",
            "flags argument to redis.register_function must be a table representing function flags",
        ),
        (
            "redis.register_function{function_name = 'a', callback = redis.log, flags = {'nope'}}",
            "unknown flag given",
        ),
        (
            "redis.register_function{function_name = 'a', callback = redis.log, flags = {1}}",
            "unknown flag given",
        ),
        ("redis.log('x')", "redis.log() requires two arguments or more."),
        ("x = 1", "user_function:2: Attempt to modify a readonly table"),
        ("redis.x = 1", "user_function:2: Attempt to modify a readonly table"),
        ("function g() end", "user_function:2: Attempt to modify a readonly table"),
        ("return x", "user_function:2: Script attempted to access nonexistent global variable 'x'"),
        (
            "return math.random()",
            "user_function:2: Script attempted to access nonexistent global variable 'math'",
        ),
        ("return _G", "user_function:2: Script attempted to access nonexistent global variable '_G'"),
        (
            "redis.call('PING')",
            "user_function:2: Script attempted to access nonexistent global variable 'call'",
        ),
        (
            "redis.setresp(3)",
            "user_function:2: Script attempted to access nonexistent global variable 'setresp'",
        ),
        ("local t = nil + 1", "user_function:2: attempt to perform arithmetic on a nil value"),
        ("local function f() f() return 1 end f()", "user_function:2: stack overflow"),
        ("while true do end", "FUNCTION LOAD timeout"),
    ];
    for (text, error) in registering {
        assert_eq!(load(text), Err(format!("ERR Error registering functions: ERR {error}")), "{text}");
    }
    assert_eq!(load(""), Err("ERR No functions registered".to_owned()));
    assert_eq!(load("return ('x'):upper()"), Err("ERR No functions registered".to_owned()));
    assert_eq!(
        load("x x"),
        Err("ERR Error compiling function: user_function:2: '=' expected near 'x'".to_owned())
    );
    assert_eq!(load_code("return 1"), Err("ERR Missing library metadata".to_owned()));
    assert_eq!(load_code("#!python name=x\n"), Err("ERR Engine 'python' not found".to_owned()));
}

#[test]
fn a_function_runs_with_its_keys_and_arguments() {
    let setup = Setup::new();
    for (text, expected) in [
        (
            "function(keys, args) return {keys, args} end",
            "*2\r\n*1\r\n$1\r\nk\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        ),
        ("function() return redis.call('ECHO', 'x') end", "$1\r\nx\r\n"),
        ("function() return loadstring('return redis.call(\"ECHO\", \"x\")')() end", "$1\r\nx\r\n"),
        ("function() return math.floor(1.5) end", ":1\r\n"),
        (
            "function() return {tostring(redis.breakpoint), type(redis.sha1hex), redis == _G.redis} end",
            "*3\r\n$3\r\nnil\r\n$8\r\nfunction\r\n:1\r\n",
        ),
        ("function() error('x') end", "-ERR user_function:2: x script: f, on @user_function:2.\r\n"),
        (
            "function() redis.call('nope') end",
            "-ERR Unknown Redis command called from script script: f, on @user_function:2.\r\n",
        ),
        (
            "function() x = 1 end",
            "-ERR user_function:2: Attempt to modify a readonly table script: f, on @user_function:2.\r\n",
        ),
        (
            "function() return KEYS end",
            "-ERR user_function:2: Script attempted to access nonexistent global variable 'KEYS' script: f, on @user_function:2.\r\n",
        ),
        (
            "function() return redis.register_function('z', redis.log) end",
            "-ERR user_function:2: attempt to call field 'register_function' (a nil value) script: f, on @user_function:2.\r\n",
        ),
        ("redis.log", "-ERR First argument must be a number (log level).\r\n"),
    ] {
        let text = format!("redis.register_function('f', {text})");
        assert_eq!(call(&setup, &libraries(&text), "F", &mut Fake::default()), expected, "{text}");
    }
    let kept = "local r, n = redis, 0 redis.register_function('f', function() n = n + 1 return {n, tostring(r.LOG_DEBUG)} end)";
    let kept = libraries(kept);
    assert_eq!(call(&setup, &kept, "f", &mut Fake::default()), "*2\r\n:1\r\n$1\r\n0\r\n");
    assert_eq!(call(&setup, &kept, "f", &mut Fake::default()), "*2\r\n:2\r\n$1\r\n0\r\n");
    let register = "local r = redis.register_function r('f', function() return r('z', redis.log) end)";
    assert_eq!(
        call(&setup, &libraries(register), "f", &mut Fake::default()),
        "-ERR redis.register_function can only be called on FUNCTION LOAD command script: f, on @user_function:2.\r\n"
    );
    let old = "local r = redis redis.register_function('f', function() return r.call('ECHO', 'x') end)";
    assert_eq!(
        call(&setup, &libraries(old), "f", &mut Fake::default()),
        "-ERR user_function:2: Script attempted to access nonexistent global variable 'call' script: f, on @user_function:2.\r\n"
    );
    assert_eq!(call(&setup, &kept, "nope", &mut Fake::default()), "-ERR Function not found\r\n");
    assert_eq!(setup.eval("return #KEYS"), ":0\r\n");
}

#[test]
fn a_library_that_has_changed_is_run_again() {
    let setup = Setup::new();
    let text = |value: &str| format!("redis.register_function('f', function() return {value} end)");
    let (one, two) = (libraries(&text("1")), libraries(&text("2")));
    for (libraries, expected) in [(&one, ":1\r\n"), (&two, ":2\r\n"), (&two, ":2\r\n"), (&one, ":1\r\n")] {
        assert_eq!(call(&setup, libraries, "f", &mut Fake::default()), expected);
    }
}

#[test]
fn a_function_is_paused_and_killed_like_a_script() {
    let setup = Setup::new();
    let endless = libraries(
        "redis.register_function('f', function() while true do pcall(function() while true do end end) end end)",
    );
    let mut host = Fake { kills_at: Some(3), ..Fake::default() };
    let reply = call(&setup, &endless, "f", &mut host);
    assert_eq!(reply, "-ERR Script killed by user with FUNCTION KILL. script: f, on @user_function:2.\r\n");
    let long = libraries(
        "redis.register_function('f', function() local n = 0 for i = 1, 20000 do n = n + 1 end return n end)",
    );
    let mut host = Fake { pauses: true, ..Fake::default() };
    assert_eq!(call(&setup, &long, "f", &mut host), ":20000\r\n");
    // A library that takes long to run in a state pauses as well.
    let slow = libraries("for i = 1, 20000 do end redis.register_function('f', function() return 1 end)");
    let mut host = Fake { pauses: true, ..Fake::default() };
    assert_eq!(call(&setup, &slow, "f", &mut host), ":1\r\n");
    assert!(host.looks > 5);
}
