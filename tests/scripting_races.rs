//! Scripts of many clients at once on shared keys, those that can run beside others and those that hold everything: each is one step
//! to everybody else, whether it names its keys or computes them, and beside plain commands, transactions and waiters as well.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustredis_testkit::{Client, Command, Random, Reply, Server, cmd, every_engine};

use crate::lua::{another, eval_with};

/// Clients that change things at once.
const WRITERS: u64 = 6;
const ACCOUNTS: usize = 8;
const EACH: i64 = 1_000;

/// From one account to another, by declared keys: it can run beside scripts over other accounts.
const DECLARED: &str = "local sum = tonumber(ARGV[1]) if tonumber(redis.call('get', KEYS[1])) < sum then return 0 end \
    redis.call('decrby', KEYS[1], sum) redis.call('incrby', KEYS[2], sum) return 1";
/// The same with names that it makes itself.
const COMPUTED: &str = "local from, to, sum = 'account:' .. ARGV[2], 'account:' .. ARGV[3], tonumber(ARGV[1]) \
    if tonumber(redis.call('get', from)) < sum then return 0 end redis.call('decrby', from, sum) \
    redis.call('incrby', to, sum) return 1";
/// The same with declared keys, one of which it does not know until it has read another.
const FOLLOWED: &str = "local to = redis.call('get', KEYS[2]) redis.call('decrby', KEYS[1], ARGV[1]) \
    redis.call('incrby', to, ARGV[1]) return 1";

fn accounts() -> Vec<String> {
    (0..ACCOUNTS).map(|number| format!("account:{number}")).collect()
}

/// Runs `write` in [`WRITERS`] threads and `observe` in another one until they are done, and once more afterwards.
fn run(
    server: &Server,
    write: impl Fn(&mut Client, &mut Random, u64) + Sync,
    observe: impl Fn(&mut Client, &mut Random) + Sync,
) {
    let are_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let write = &write;
                scope.spawn(move || write(&mut server.client(), &mut Random::new(number), number))
            })
            .collect();
        let (observe, are_done_too) = (&observe, &are_done);
        let observer = scope.spawn(move || {
            let (mut client, mut random) = (server.client(), Random::new(99));
            while !are_done_too.load(Ordering::Acquire) {
                observe(&mut client, &mut random);
            }
            observe(&mut client, &mut random);
        });
        let failures = writers.into_iter().map(thread::ScopedJoinHandle::join).filter(Result::is_err).count();
        are_done.store(true, Ordering::Release);
        observer.join().expect("the observer saw the invariant hold");
        assert_eq!(failures, 0, "writers that failed");
    });
}

fn numbers(reply: &Reply) -> Vec<i64> {
    reply.elements().iter().map(|element| element.text().parse().unwrap()).collect()
}

/// The sum of all accounts, as one command, one transaction, one script by declared keys or one by computed keys sees it.
fn balance(client: &mut Client, way: usize) -> i64 {
    let accounts = accounts();
    let keys: Vec<&str> = accounts.iter().map(String::as_str).collect();
    match way % 4 {
        0 => numbers(&client.line(&format!("MGET {}", accounts.join(" ")))).iter().sum(),
        1 => {
            let gets = accounts.iter().map(|account| format!("GET {account}"));
            let lines: Vec<Command> = std::iter::once("MULTI".to_owned())
                .chain(gets)
                .chain(["EXEC".to_owned()])
                .map(|line| Command::line(&line))
                .collect();
            numbers(client.pipeline(&lines).last().expect("EXEC")).iter().sum()
        }
        2 => eval_with(client, "local sum = 0 for _, key in ipairs(KEYS) do sum = sum + redis.call('get', key) end \
            return sum", &keys, &[]).integer(),
        _ => eval_with(client, "local sum = 0 for i = 0, ARGV[1] - 1 do sum = sum + redis.call('get', 'account:' .. i) end return sum", &[], &[&ACCOUNTS.to_string()]).integer(),
    }
}

every_engine! {
    /// What one account loses another one gains, and nobody sees it in between.
    fn transfers_keep_the_sum(server: &Server) {
        for threads in ["1", "2"] {
            let server = another(server, threads, &[]);
            for account in accounts() {
                server.client().check(&format!("SET {account} {EACH}"), "+OK");
                server.client().check(&format!("SET to:{account} {account}"), "+OK");
            }
            run(&server, |client, random, number| {
                for _ in 0..150 {
                    let (from, to, sum) =
                        (random.below(ACCOUNTS), random.below(ACCOUNTS), random.below(50).to_string());
                    let (from_key, to_key) = (format!("account:{from}"), format!("account:{to}"));
                    let reply = match number % 4 {
                        0 => eval_with(client, COMPUTED, &[], &[&sum, &from.to_string(), &to.to_string()]),
                        1 => eval_with(client, FOLLOWED, &[&from_key, &format!("to:{to_key}")], &[&sum]),
                        _ => eval_with(client, DECLARED, &[&from_key, &to_key], &[&sum]),
                    };
                    assert!((0..=1).contains(&reply.integer()), "{reply}");
                }
            }, |client, random| assert_eq!(balance(client, random.below(4)), EACH * ACCOUNTS as i64));
        }
    }

    /// A script that counts up is alone on its counters, beside INCR and transactions on the same.
    fn every_increment_counts(server: &Server) {
        for threads in ["1", "2"] {
            let server = another(server, threads, &[]);
            // Read, compute, write: two at once would lose one.
            let text = "local n = tonumber(redis.call('get', KEYS[1]) or 0) local sum = 0 \
                for i = 1, 50 do sum = sum + i end redis.call('set', KEYS[1], n + 1) return n + 1";
            run(&server, |client, random, number| {
                for round in 0..200 {
                    let key = ["n", "m"][random.below(2)];
                    match (number + round) % 3 {
                        0 => drop(client.line(&format!("INCR {key}"))),
                        1 => drop(client.pipeline(&["MULTI".to_owned(), format!("INCR {key}"), "EXEC".to_owned()].map(|line| Command::line(&line)))),
                        _ => drop(eval_with(client, text, &[key], &[])),
                    }
                }
            }, |client, _| {
                let pair = eval_with(client, "local function get(key) return tonumber(redis.call('get', key) or 0) \
                    end return {get('n'), get('n'), get('m'), get('m')}", &[], &[]).elements();
                assert!(pair[0] == pair[1] && pair[2] == pair[3], "{pair:?}");
            });
            let mut client = server.client();
            let sum: i64 = ["n", "m"].iter().map(|key| cmd!(client, "GET", key).text().parse::<i64>().unwrap()).sum();
            assert_eq!(sum, 1_200);
        }
    }

    /// What a script writes in several keys is there for others whole or not at all, also for scripts over some of them.
    fn half_a_script_is_never_seen(server: &Server) {
        for threads in ["1", "2"] {
            let server = another(server, threads, &[]);
            let keys: Vec<String> = (0..6).map(|number| format!("k{number}")).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            run(&server, |client, random, number| {
                for _ in 0..150 {
                    let value = random.below(1_000_000).to_string();
                    let text = if number % 2 == 0 {
                        "for _, key in ipairs(KEYS) do redis.call('set', key, ARGV[1]) end"
                    } else {
                        "for i = 5, 0, -1 do redis.call('set', 'k' .. i, ARGV[1]) end"
                    };
                    let reply = eval_with(client, text, if number % 2 == 0 { &keys } else { &[] }, &[&value]);
                    assert!(reply.is_null(), "{reply}");
                }
            }, |client, random| {
                let (one, other) = (*random.pick(&keys), *random.pick(&keys));
                let reply = if random.chance(50) {
                    client.line(&format!("MGET {one} {other}"))
                } else {
                    eval_with(client, "return {redis.call('get', KEYS[1]), redis.call('get', KEYS[2])}", &[one, other], &[])
                };
                let values = reply.elements();
                assert_eq!(values[0], values[1], "{one} and {other}");
            });
        }
    }

    /// Elements travel by scripts and waiters, and each is taken once.
    fn waiters_get_each_element_once(server: &Server) {
        for threads in ["1", "2"] {
            let server = another(server, threads, &[]);
            let (producers, consumers, count) = (4_u64, 6, 100);
            let received = thread::scope(|scope| {
                let consumers: Vec<_> = (0..consumers).map(|number| {
                    let server = &server;
                    scope.spawn(move || {
                        let mut client = server.client();
                        let mut received = Vec::new();
                        loop {
                            let element = match number % 3 {
                                0 => client.line("BLPOP q1 q2 stop 20").elements()[1].text(),
                                1 => client.line("BRPOP stop q2 q1 20").elements()[1].text(),
                                _ => client.line("BLMOVE q3 taken LEFT RIGHT 20").text(),
                            };
                            if element == "stop" {
                                return received;
                            }
                            received.push(element);
                        }
                    })
                }).collect();
                let producers: Vec<_> = (0..producers).map(|producer| {
                    let server = &server;
                    scope.spawn(move || {
                        let (mut client, mut random) = (server.client(), Random::new(producer));
                        let text = "redis.call('rpush', KEYS[1], ARGV[1]) redis.call('rpush', 'q' .. ARGV[2], ARGV[1] .. 'b')";
                        for number in 0..count {
                            let key = format!("q{}", 1 + random.below(3));
                            let other = (1 + random.below(3)).to_string();
                            eval_with(&mut client, text, &[&key], &[&format!("{producer}:{number}"), &other]);
                        }
                    })
                }).collect();
                producers.into_iter().for_each(|producer| producer.join().expect("all was pushed"));
                let mut client = server.client();
                let stop = "redis.call('rpush', 'stop', 'stop', 'stop', 'stop', 'stop') \
                    redis.call('rpush', 'q3', 'stop', 'stop')";
                assert!(eval_with(&mut client, stop, &[], &[]).is_null());
                consumers.into_iter().flat_map(|consumer| consumer.join().expect("a stop for each")).collect::<Vec<String>>()
            });
            let distinct: HashSet<&String> = received.iter().collect();
            assert_eq!((received.len(), distinct.len()), (800, 800));
            server.client().check("EXISTS q1 q2 q3 stop", "0");
        }
    }

    /// Databases are swapped between scripts, not within.
    fn databases_are_swapped_between_scripts(server: &Server) {
        let mut client = server.client();
        client.check("MSET a zero b zero c zero", "+OK");
        client.check("SELECT 1", "+OK");
        client.check("MSET a one b one c one", "+OK");
        run(server, |client, _, number| {
            for _ in 0..50 {
                if number % 2 == 0 {
                    client.check("SWAPDB 0 1", "+OK");
                } else {
                    let reply = eval_with(client, "redis.call('swapdb', 0, 1) local a = redis.call('get', 'a') \
                        redis.call('swapdb', 0, 1) return a ~= redis.call('get', 'a') and 1 or 0", &[], &[]);
                    assert_eq!(reply.integer(), 1);
                }
            }
        }, |client, _| {
            let values = eval_with(client, "local t = {} for i, key in ipairs(KEYS) do t[i] = redis.call('get', key) \
                end return t", &["a", "b", "c"], &[]).elements();
            assert!(!values[0].is_null() && values.iter().all(|value| *value == values[0]), "{values:?}");
        });
    }

    /// Who asks for a random key amid a script that moves the only one about gets it, wherever it is by then.
    fn a_random_key_is_found_where_there_is_one(server: &Server) {
        const MOVE: &str = "local from = redis.call('randomkey') for number = 1, 40 do \
            local to = 'key:' .. ARGV[1] .. ':' .. number redis.call('rename', from, to) from = to \
            for _ = 1, 20000 do end end return from";
        server.client().check("SET key:0 x", "+OK");
        let write = |client: &mut Client, random: &mut Random, number: u64| {
            for _ in 0..4 {
                let name = format!("{number}:{}", random.below(1_000));
                let reply = eval_with(client, MOVE, &[], &[&name]);
                assert!(!reply.is_error(), "{reply}");
            }
        };
        run(server, write, |client, _| {
            let key = client.line("RANDOMKEY");
            assert!(!key.is_null(), "there is always a key");
        });
    }

    /// Scripts that come by their digest while the cache is flushed: an answer or NOSCRIPT, never another script's.
    fn a_cache_that_is_flushed_meanwhile(server: &Server) {
        let texts: Vec<String> = (0..10).map(|number| format!("return {number} + #KEYS")).collect();
        run(server, |client, random, number| {
            for _ in 0..150 {
                if number == 0 {
                    client.check("SCRIPT FLUSH", "+OK");
                    continue;
                }
                let chosen = random.below(10);
                let sha = cmd!(client, "SCRIPT", "LOAD", texts[chosen]).text();
                let reply = cmd!(client, "EVALSHA", sha, 1, "k");
                assert!(
                    reply == Reply::Integer(chosen as i64 + 1) || reply.to_string().starts_with("-NOSCRIPT"),
                    "{reply}"
                );
                assert_eq!(cmd!(client, "EVAL", texts[chosen], 1, "k").integer(), chosen as i64 + 1);
            }
        }, |_, _| {});
    }

    /// A library that is replaced while its function is called: the one or the other, never a mixture.
    fn a_library_that_is_replaced_meanwhile(server: &Server) {
        let load = |client: &mut Client, version: u64| {
            let library = format!(
                "#!lua name=lib\nlocal v = {version}\nredis.register_function('both', function(keys) return {{v, {version}, redis.call('set', keys[1], v)}} end)"
            );
            let reply = client.call(&["FUNCTION", "LOAD", "REPLACE", &library]);
            assert_eq!(reply.text(), "lib");
        };
        load(&mut server.client(), 0);
        run(server, |client, random, number| {
            for _ in 0..60 {
                if number < 2 {
                    load(client, random.next_u64() % 100);
                    continue;
                }
                let reply = client.line(&format!("FCALL both 1 k{number}")).elements();
                assert_eq!(reply[0], reply[1]);
                assert_eq!(reply[2], Reply::ok());
            }
        }, |_, _| {});
    }
}
