//! Scripts that run away: after `busy-reply-threshold` everybody else is told `-BUSY`, and KILL ends them wherever they are, unless
//! they have written. Nobody else is harmed, and nothing is left behind.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustredis_testkit::{
    Client, Command, DEADLINE_DEFAULT, Reply, Server, every_engine, process, wait_until,
};

use crate::lua::{
    ENDLESS, another, busy_after, eval, eval_with, is_busy, often, run_away, soon_busy, wait_until_free,
};

const KILLED: &str = "Script killed by user";

/// Scripts that never end, each caught somewhere else.
const RUNAWAYS: &[&str] = &[
    ENDLESS,
    "while true do redis.call('get', KEYS[1]) end",
    "while true do redis.call('get', 'computed' .. ARGV[1]) end",
    "while true do redis.pcall('nosuch') end",
    "while true do pcall(error) end",
    "while true do pcall(redis.call, 'nosuch') end",
    "while true do pcall(function() while true do end end) end",
    "while true do pcall(pcall, pcall, function() while true do end end) end",
    "coroutine.wrap(function() while true do end end)()",
    "local co = coroutine.create(function() while true do coroutine.yield() end end) while true do coroutine.resume(co) end",
    "return setmetatable({}, {__index = function() while true do end end}).x",
    "return setmetatable({}, {__add = function() while true do redis.call('ping') end end}) + 1",
    "('x'):gsub('x', function() while true do end end)",
    "table.sort({3, 2, 1}, function() while true do end end)",
    "local function f() return f() end return f()",
    "while true do load(function() while true do end end) end",
    "while true do loadstring('return 1')() end",
    "while true do local t = {} for i = 1, 100 do t[i] = {} end end",
    "local s = '' while true do s = s .. 'x' if #s > 1000 then s = '' end end",
    "while true do cjson.decode(cjson.encode({1, {a = 2}})) end",
    "while true do redis.sha1hex(string.format('%s', 1)) end",
    "for w in function() return 1 end do end",
];

/// The same in functions that stock Lua cannot interrupt, or where what they catch is lost.
const WITHIN_LIBRARIES: &[&str] = &[
    "pcall(pcall, pcall, function() while true do end end)",
    "load(function() while true do end end)",
    "while true do coroutine.wrap(function() pcall(function() while true do end end) end)() end",
    "return ('a'):rep(60):find(('a*'):rep(60) .. 'b')",
    "return ('a'):rep(60):match(('.-'):rep(60) .. 'b')",
    "return (('a'):rep(60):gsub(('a-'):rep(60) .. 'b', ''))",
    "for w in ('a'):rep(60):gmatch(('a?'):rep(60) .. ('a*'):rep(30) .. 'b') do end",
    "pcall(string.find, ('a'):rep(60), ('a*'):rep(60) .. 'b')",
    "coroutine.wrap(function() return ('a'):rep(60):find(('a*'):rep(60) .. 'b') end)()",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "while true do xpcall(error, function() return ('a'):rep(60):find(('a*'):rep(60) .. 'b') end) end",
    "while true do local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function(a, b) return a > b end) end",
    "while true do table.concat({('x'):rep(1000), ('y'):rep(1000)}) end",
    "while true do ('x'):rep(100000) end",
    "while true do unpack({}, 1, 5000) end",
    "while true do cmsgpack.unpack(cmsgpack.pack({1, 2, {3}})) struct.unpack('>I4', struct.pack('>I4', 1)) end",
];

/// What asks for more than there is: it ends by itself, with an error, or is killed before.
const GREEDY: &[&str] = &[
    "return ('x'):rep(2^30)",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} for i = 1, 1e8 do t[i] = i end",
    "local t = {} while true do t = {t} end",
    "while true do pcall(function() local t = {} while true do t[#t + 1] = {} end end) end",
    "local function f() return f() + 1 end while true do pcall(f) end",
    "local function f() return pcall(f) end f() while true do end",
    "local function f() return coroutine.wrap(f)() end while true do pcall(f) end",
    "while true do pcall(string.format, '%99.99f', 1) pcall(string.rep, 'x', 2^30) end",
];

/// Ends the script that keeps the server busy.
#[track_caller]
fn kill(server: &Server) {
    let mut killer = server.client();
    wait_until("SCRIPT KILL to be heard", DEADLINE_DEFAULT, || {
        killer.line("SCRIPT KILL").to_string() == "+OK"
    });
}

/// Runs the script until it is killed.
#[track_caller]
fn check_killed(server: &Server, text: &str) {
    let mut client = server.client();
    run_away(server, &mut client, &["EVAL", text, "1", "key", "argument"]);
    kill(server);
    let reply = client.read();
    assert!(reply.is_error() && reply.to_string().contains(KILLED), "{text}: {reply}");
    wait_until_free(server);
    // The connection goes on, and so do scripts.
    let reply = eval_with(&mut client, "return redis.call('incr', KEYS[1])", &["after"], &[]);
    assert!(matches!(reply, Reply::Integer(_)), "{reply}");
}

/// How many there are beside the one who asks, unless the server is busy.
fn connections(server: &Server) -> Option<usize> {
    let reply = server.client().line("CLIENT LIST");
    (!reply.is_error()).then(|| reply.text().lines().count() - 1)
}

every_engine! {
    fn runaways_are_killed(server: &Server) {
        soon_busy(server, |server| RUNAWAYS.iter().for_each(|text| check_killed(server, text)));
    }

    fn runaways_within_libraries_are_killed(server: &Server) {
        if server.is_redis() {
            return;
        }
        soon_busy(server, |server| WITHIN_LIBRARIES.iter().for_each(|text| check_killed(server, text)));
    }

    fn the_greedy_end_or_are_killed(server: &Server) {
        if server.is_redis() {
            return;
        }
        for threads in ["1", "2"] {
            let server = another(server, threads, &["--busy-reply-threshold", "1", "--script-memory-limit", "16mb"]);
            let before = process::resident_bytes(server.pid()).unwrap();
            for text in GREEDY {
                let mut client = server.client();
                client.send(&["EVAL", text, "0"]);
                let mut killer = server.client();
                let mut answer = None;
                wait_until("it to end, or to be killed", DEADLINE_DEFAULT, || {
                    answer = client.read_within(Duration::from_millis(1));
                    answer.is_some() || { killer.line("SCRIPT KILL"); false }
                });
                let reply = answer.expect("it was waited for");
                assert!(reply.is_error(), "{text}: {reply}");
                wait_until_free(&server);
                assert_eq!(eval(&mut client, "return 1").integer(), 1);
            }
            wait_until("memory to come back", DEADLINE_DEFAULT, || {
                process::resident_bytes(server.pid()).unwrap() < before + 150_000_000
            });
        }
    }

    /// Who else asks is told so, whatever it asks for, but for what can end it.
    fn others_are_told(server: &Server) {
        soon_busy(server, |server| {
            let (mut client, mut queuing, mut watching) = (server.client(), server.client(), server.client());
            let busy = "-BUSY ";
            queuing.check("MULTI", "+OK");
            queuing.check("SET queued 1", "+QUEUED");
            watching.check("WATCH a", "+OK");
            let mut others: Vec<Client> = (0..6).map(|_| server.client()).collect();
            run_away(server, &mut client, &["EVAL", ENDLESS, "1", "declared"]);
            for other in &mut others {
                for line in [
                    "PING", "GET a", "GET declared", "SET other 1", "MGET a b", "KEYS *", "FLUSHALL", "DBSIZE", "INFO", "CONFIG GET hz",
                    "CLIENT ID", "SELECT 1", "BLPOP list 0", "SUBSCRIBE a", "COMMAND", "EVAL \"return 1\" 0", "EVALSHA x 0", "FCALL f 0",
                    "SCRIPT EXISTS x", "SCRIPT FLUSH", "SCRIPT LOAD x", "FUNCTION LIST", "SHUTDOWN", "SHUTDOWN SAVE", "PUBLISH a b",
                ] {
                    other.check_prefix(line, busy);
                }
                // What is wrong is wrong all the same.
                other.check("GET", "-ERR wrong number of arguments for 'get' command");
                other.check("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: ");
                other.check("MULTI", "+OK");
                other.check_prefix("EXEC", "-EXECABORT ");
                other.check_prefix("HELLO", "[\"server\"");
                other.check("RESET", "+RESET");
            }
            queuing.check_prefix("EXEC", "-EXECABORT Transaction discarded because of: BUSY ");
            watching.check("UNWATCH", "+OK");
            // New connections are taken, in RESP3 as well, and pipelines are answered in their order.
            let replies = server.client().pipeline(&["PING", "HELLO 3", "GET a", "RESET"].map(Command::line));
            assert!(replies[0].to_string().starts_with(busy) && matches!(replies[1], Reply::Map(_)), "{replies:?}");
            assert!(replies[2].to_string().starts_with(busy) && replies[3].to_string() == "+RESET", "{replies:?}");
            kill(server);
            assert!(client.read().is_error());
            wait_until_free(server);
            for other in &mut others {
                other.check("PING", "+PONG");
            }
            server.client().check("EXISTS queued other declared", "0");
        });
    }

    /// A threshold that is far away lets others wait, and they are answered in the end.
    fn others_wait_below_the_threshold(server: &Server) {
        for threads in ["1", "2"] {
            let server = another(server, threads, &["--busy-reply-threshold", "600000"]);
            let text = "local began = redis.call('time') repeat local now = redis.call('time') \
                until (now[1] - began[1]) * 1000000 + now[2] - began[2] > 50000 \
                redis.call('set', KEYS[1], 'behind') return 'done'";
            let (mut client, mut others) =
                (server.client(), (0..4).map(|_| server.client()).collect::<Vec<Client>>());
            for computed in ["", "redis.call('exists', 'a' .. 'b') "] {
                client.send(&["EVAL", &format!("{computed}{text}"), "1", "key"]);
                others.iter_mut().for_each(|other| other.send(&["APPEND", "key", "x"]));
                assert_eq!(client.read().text(), "done");
                for other in &mut others {
                    assert!(matches!(other.read(), Reply::Integer(_)));
                }
                let value = server.client().line("GET key").text();
                assert!(value.starts_with("behind") && value.len() <= "behind".len() + 4, "{value}");
            }
        }
    }

    fn nothing_runs_that_could_be_killed(server: &Server) {
        let mut client = server.client();
        let none = "-NOTBUSY No scripts in execution right now.";
        client.check("SCRIPT KILL", none);
        client.check("FUNCTION KILL", none);
        eval(&mut client, "return 1");
        client.check("SCRIPT KILL", none);
        assert_eq!(
            eval(&mut client, "return redis.pcall('script', 'kill')").to_string(),
            "-ERR This Redis command is not allowed from script"
        );
    }

    /// What has written is not killed, and can be ended only with the server.
    fn who_has_written_is_not_killed(server: &Server) {
        let unkillable = "-UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script \
            termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";
        busy_after(server, "50", |server| {
            for text in [
                "redis.call('set', KEYS[1], ARGV[1]) while true do end",
                "pcall(function() redis.call('set', 'com' .. 'puted', 1) while true do redis.call('get', 'x') end end)",
                "while true do redis.call('append', KEYS[1], ARGV[1]) end",
            ] {
                let mut client = server.client();
                run_away(server, &mut client, &["EVAL", text, "1", "key", "value"]);
                let mut killer = server.client();
                killer.check("SCRIPT KILL", unkillable);
                killer.check("FUNCTION KILL", unkillable);
                assert!(is_busy(server));
                killer.send(&["SHUTDOWN", "NOSAVE"]);
                let exited = server.wait_for_exit(DEADLINE_DEFAULT);
                assert_eq!(exited.code, Some(0), "{}", exited.log);
                assert!(client.try_read().map_or(true, |reply| reply.is_error()));
                server.restart();
            }
        });
    }

    fn shutdown_ends_what_has_not_written(server: &Server) {
        soon_busy(server, |server| {
            let mut client = server.client();
            run_away(server, &mut client, &["EVAL", ENDLESS, "0"]);
            server.client().send(&["SHUTDOWN", "NOSAVE"]);
            let exited = server.wait_for_exit(DEADLINE_DEFAULT);
            assert_eq!(exited.code, Some(0), "{}", exited.log);
            server.restart();
            server.client().check("PING", "+PONG");
        });
    }

    /// A write that was refused is none: the script can be killed.
    fn who_was_refused_has_not_written(server: &Server) {
        busy_after(server, "50", |server| {
            let mut client = server.client();
            server.client().check("CONFIG SET maxmemory-policy noeviction maxmemory 1", "+OK");
            let text = "redis.pcall('set', KEYS[1], 1) while true do end";
            run_away(server, &mut client, &["EVAL", text, "1", "key"]);
            server.client().check("SCRIPT KILL", "+OK");
            assert!(client.read().is_error());
            wait_until_free(server);
            server.client().check("EXISTS key", "0");
            server.client().check("CONFIG SET maxmemory 0", "+OK");
        });
    }

    /// Ours: a signal ends the server in spite of a script, and SCRIPT KILL FORCE a script that has written. What it wrote is one unit.
    fn force_ends_everything(server: &Server) {
        if server.is_redis() {
            return;
        }
        busy_after(server, "50", |server| {
            for text in [
                "redis.call('set', KEYS[1], ARGV[1]) redis.call('incr', 'n') while true do end",
                "redis.call('set', 'k' .. 'ey', ARGV[1]) redis.call('incr', 'n') pcall(function() while true do \
                    end end) while true do end",
            ] {
                let mut client = server.client();
                run_away(server, &mut client, &["EVAL", text, "1", "key", "value"]);
                let mut killer = server.client();
                killer.check_prefix("SCRIPT KILL", "-UNKILLABLE ");
                killer.check("SCRIPT KILL FORCE", "+OK");
                let reply = client.read();
                assert!(reply.is_error(), "{reply}");
                wait_until_free(server);
                client.check("GET key", "\"value\"");
            }
            server.client().check("GET n", "\"2\"");
            let mut client = server.client();
            run_away(server, &mut client, &["EVAL", ENDLESS, "0"]);
            let exited = server.stop();
            assert_eq!(exited.code, Some(0), "{}", exited.log);
            server.restart();
            server.client().check("MGET key n", "[\"value\", \"2\"]");
        });
    }

    fn functions_are_killed(server: &Server) {
        busy_after(server, "20", |server| {
            let mut client = server.client();
            let library = "#!lua name=lib\nredis.register_function('loop', function() while true do end end)\n\
                redis.register_function{function_name = 'ro', flags = {'no-writes'}, callback = function() \
                while true do end end}\n\
                redis.register_function('write', function(keys) redis.call('set', keys[1], 1) while true do end end)";
            assert_eq!(client.call(&["FUNCTION", "LOAD", library]).text(), "lib");
            for arguments in [["FCALL", "loop", "1", "a"], ["FCALL_RO", "ro", "1", "a"]] {
                run_away(server, &mut client, &arguments);
                let mut killer = server.client();
                killer.check_prefix("PING", "-BUSY ");
                let stats = killer.line("FUNCTION STATS").to_string();
                let [command, name, _, _] = arguments;
                assert!(stats.starts_with(&format!("[\"running_script\", [\"name\", \"{name}\", \"command\", [\"{command}\", \"{name}\", \"1\", \"a\"], \"duration_ms\", ")), "{stats}");
                killer.check_prefix("SCRIPT KILL", "-BUSY ");
                killer.check("FUNCTION KILL", "+OK");
                let reply = client.read().to_string();
                assert!(reply.contains(KILLED), "{reply}");
                wait_until_free(server);
                assert!(
                    killer
                        .line("FUNCTION STATS")
                        .to_string()
                        .starts_with("[\"running_script\", nil, \"engines\", [\"LUA\", ")
                );
            }
            // KILL of the one kind does not end the other.
            run_away(server, &mut client, &["EVAL", ENDLESS, "0"]);
            server.client().check_prefix("FUNCTION KILL", "-BUSY ");
            kill(server);
            assert!(client.read().is_error());
            wait_until_free(server);
            run_away(server, &mut client, &["FCALL", "write", "1", "a"]);
            let mut killer = server.client();
            killer.check_prefix("FUNCTION KILL", "-UNKILLABLE ");
            killer.send(&["SHUTDOWN", "NOSAVE"]);
            assert_eq!(server.wait_for_exit(DEADLINE_DEFAULT).code, Some(0));
            server.restart();
        });
    }

    /// Loading a library that does not end is given up.
    fn a_library_that_never_loads(server: &Server) {
        let mut client = server.client();
        let reply = client.call(&["FUNCTION", "LOAD", "#!lua name=lib\nwhile true do end"]).to_string();
        assert_eq!(reply, "-ERR Error registering functions: ERR FUNCTION LOAD timeout");
        client.check("FUNCTION LIST", "[]");
        client.check("EVAL \"return 1\" 0", "1");
    }

    fn a_runaway_within_a_transaction(server: &Server) {
        soon_busy(server, |server| {
            let mut client = server.client();
            client.check("MULTI", "+OK");
            eval(&mut client, ENDLESS);
            client.check("ECHO behind", "+QUEUED");
            run_away(server, &mut client, &["EXEC"]);
            kill(server);
            let replies = client.read().elements();
            assert!(replies[0].to_string().contains(KILLED), "{replies:?}");
            assert_eq!(replies[1].text(), "behind");
            wait_until_free(server);
        });
    }

    /// A client that hangs up ends no script, and a script that is killed then answers nobody.
    fn a_client_that_hangs_up(server: &Server) {
        soon_busy(server, |server| {
            let before = connections(server).expect("no script runs");
            for text in [ENDLESS, "while true do redis.call('get', KEYS[1]) end"] {
                let mut client = server.client();
                run_away(server, &mut client, &["EVAL", text, "1", "key"]);
                drop(client);
                assert!(is_busy(server));
                server.client().check_prefix("GET key", "-BUSY ");
                kill(server);
                wait_until_free(server);
            }
            // One that is done after its client has left has done what it did.
            let text = "local began = redis.call('time') repeat local now = redis.call('time') \
                until (now[1] - began[1]) * 1000000 + now[2] - began[2] > 20000 return redis.call('incr', KEYS[1])";
            let mut client = server.client();
            client.send(&["EVAL", text, "1", "left"]);
            drop(client);
            wait_until("the connections to be gone", DEADLINE_DEFAULT, || {
                connections(server).is_some_and(|count| count <= before)
            });
            // It may have left before its command was read.
            let mut value = String::new();
            wait_until("the key to be read", DEADLINE_DEFAULT, || {
                value = server.client().line("GET left").to_string();
                !value.starts_with("-BUSY ")
            });
            assert!(["nil", "\"1\""].contains(&value.as_str()), "{value}");
        });
    }

    /// Waiters, watchers and keys that expire: a script that is killed leaves everybody as they were.
    fn a_killed_script_harms_nobody(server: &Server) {
        soon_busy(server, |server| {
            let (mut waiter, mut client, mut subscriber) = (server.client(), server.client(), server.client());
            waiter.send(&["BLPOP", "list", "0"]);
            wait_until("a client to block", DEADLINE_DEFAULT, || {
                server.info("blocked_clients").as_deref() == Some("1")
            });
            subscriber.check("SUBSCRIBE news", "[\"subscribe\", \"news\", 1]");
            client.check("SET brief 1 PX 1", "+OK");
            for text in ["while true do redis.call('llen', 'list') end", "while true do redis.call('exists', 'brief') end"] {
                run_away(server, &mut client, &["EVAL", text, "0"]);
                kill(server);
                assert!(client.read().is_error());
                wait_until_free(server);
            }
            client.check("PUBLISH news x", "1");
            assert_eq!(subscriber.read().to_string(), "[\"message\", \"news\", \"x\"]");
            client.check("RPUSH list a", "1");
            assert_eq!(waiter.read().to_string(), "[\"list\", \"a\"]");
            wait_until("the key to expire", DEADLINE_DEFAULT, || client.line("DBSIZE").integer() == 0);
        });
    }

    /// Many clients whose scripts run away, and one who kills whatever runs: each gets its error, the server goes on, and nothing is
    /// left of them.
    fn many_runaways(server: &Server) {
        let (clients, scripts) = (often(20, 50), often(4, 20));
        soon_busy(server, |server| {
            let server = &*server;
            let before = connections(server).expect("no script runs");
            let texts = [ENDLESS, "while true do redis.call('get', KEYS[1]) end", "while true do pcall(function() \
                while true do redis.call('get', 'x' .. 'y') end end) end",
                "coroutine.wrap(function() while true do end end)()"];
            let (left, is_over) = (AtomicUsize::new(clients), AtomicBool::new(false));
            thread::scope(|scope| {
                let runners: Vec<_> = (0..clients).map(|number| {
                    let left = &left;
                    scope.spawn(move || {
                        let mut client = server.client();
                        let mut killed = 0;
                        while killed < scripts {
                            let reply = eval_with(
                                &mut client,
                                texts[(number + killed) % texts.len()],
                                &[&format!("k{number}")],
                                &[],
                            )
                            .to_string();
                            assert!(reply.contains(KILLED) || reply.starts_with("-BUSY "), "{reply}");
                            killed += usize::from(reply.contains(KILLED));
                        }
                        left.fetch_sub(1, Ordering::Release);
                    })
                }).collect();
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut killer = server.client();
                    while !is_over.load(Ordering::Acquire) {
                        let reply = killer.line("SCRIPT KILL").to_string();
                        assert!(reply == "+OK" || reply.starts_with("-NOTBUSY "), "{reply}");
                    }
                });
                let results: Vec<bool> = runners.into_iter().map(|runner| runner.join().is_ok()).collect();
                is_over.store(true, Ordering::Release);
                assert!(
                    results.iter().all(|is_right| *is_right),
                    "{} clients are left",
                    left.load(Ordering::Acquire)
                );
            });
            wait_until_free(server);
            let mut client = server.client();
            assert_eq!(eval_with(&mut client, "return redis.call('incr', KEYS[1])", &["n"], &[]).integer(), 1);
            drop(client);
            wait_until("the connections to be gone", DEADLINE_DEFAULT, || {
                connections(server).is_some_and(|count| count <= before)
            });
        });
    }
}
