//! Many clients on shared keys: what each command promises alone must hold among all of them.
//!
//! Each test lets threads loose on a handful of keys and checks an invariant, during the run or after it: a sum that no
//! transfer changes, elements that are neither lost nor doubled, and waiters that are woken once and not forgotten.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustredis_testkit::{
    Client, Command, DEADLINE_DEFAULT, Random, Reply, Server, assert_reply, cmd, every_engine, wait_until,
};

/// Clients that change things at once.
const WRITERS: u64 = 6;

/// Runs `write` in [`WRITERS`] threads (with a client and a random generator of their own) and `observe` in another one
/// again and again until they are done, and once more afterwards.
fn run(
    server: &Server,
    write: impl Fn(&mut Client, &mut Random, u64) + Sync,
    observe: impl Fn(&mut Client) + Sync,
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
            let mut client = server.client();
            while !are_done_too.load(Ordering::Acquire) {
                observe(&mut client);
            }
            observe(&mut client);
        });
        let failures = writers.into_iter().map(thread::ScopedJoinHandle::join).filter(Result::is_err).count();
        are_done.store(true, Ordering::Release);
        observer.join().expect("the observer saw the invariant hold");
        assert_eq!(failures, 0, "writers that failed");
    });
}

/// MULTI, the commands, EXEC, in one write; gives back EXEC's reply.
fn transaction(client: &mut Client, lines: &[String]) -> Reply {
    let mut commands = vec![Command::line("MULTI")];
    commands.extend(lines.iter().map(|line| Command::line(line)));
    commands.push(Command::line("EXEC"));
    client.pipeline(&commands).pop().expect("a reply to EXEC")
}

fn integers(reply: &Reply) -> Vec<i64> {
    let number = |reply: &Reply| match reply {
        Reply::Integer(number) => *number,
        other => other.text().parse().unwrap_or_else(|_| panic!("no number: {other}")),
    };
    reply.elements().iter().map(number).collect()
}

fn wait_for_blocked(server: &Server, count: usize) {
    wait_until("the clients to block", DEADLINE_DEFAULT, || {
        server.info("blocked_clients") == Some(count.to_string())
    });
}

every_engine! {
    /// What one account loses another one gains, and nobody sees it in between.
    fn transfers_keep_the_sum(server: &Server) {
        let accounts: Vec<String> = (0..8).map(|number| format!("account:{number}")).collect();
        for account in &accounts {
            server.client().check(&format!("SET {account} 1000"), "+OK");
        }
        run(server, |client, random, _| {
            for _ in 0..300 {
                let (from, to, sum) = (random.pick(&accounts), random.pick(&accounts), random.below(50));
                transaction(client, &[format!("DECRBY {from} {sum}"), format!("INCRBY {to} {sum}")]);
            }
        }, |client| {
            let balances = integers(&client.line(&format!("MGET {}", accounts.join(" "))));
            assert_eq!(balances.iter().sum::<i64>(), 8_000, "{balances:?}");
        });
    }

    /// Read, then write what was read plus one, guarded by WATCH: no increment is lost.
    fn watched_increments_are_never_lost(server: &Server) {
        let successes = AtomicU64::new(0);
        run(server, |client, random, _| {
            for _ in 0..100 {
                let key = format!("counter:{}", random.below(2));
                client.check(&format!("WATCH {key}"), "+OK");
                let value: i64 = match client.line(&format!("GET {key}")) {
                    Reply::NullBulk => 0,
                    other => other.text().parse().unwrap(),
                };
                if !transaction(client, &[format!("SET {key} {}", value + 1)]).is_null() {
                    successes.fetch_add(1, Ordering::Relaxed);
                }
            }
        }, |_| {});
        let total: i64 = ["counter:0", "counter:1"].iter().map(|key| {
            cmd!(server.client(), "GET", key).text().parse::<i64>().unwrap()
        }).sum();
        assert_eq!(total, successes.load(Ordering::Relaxed) as i64);
        assert!(total >= 100, "{total} of 600 transactions succeeded");
    }

    fn every_increment_counts(server: &Server) {
        run(server, |client, _, _| {
            let commands: Vec<Command> = (0..100).map(|_| Command::line("INCR n")).collect();
            for _ in 0..20 {
                let replies = client.pipeline(&commands);
                assert!(replies.windows(2).all(|pair| pair[0].integer() < pair[1].integer()), "went back: {replies:?}");
            }
        }, |_| {});
        server.client().check("GET n", "\"12000\"");
    }

    /// MSET is seen whole or not at all.
    fn half_an_mset_is_never_seen(server: &Server) {
        let keys: Vec<String> = (0..16).map(|number| format!("m{number}")).collect();
        run(server, |client, random, _| {
            for _ in 0..300 {
                let value = random.below(1_000_000);
                let pairs: Vec<String> = keys.iter().map(|key| format!("{key} {value}")).collect();
                client.check(&format!("MSET {}", pairs.join(" ")), "+OK");
            }
        }, |client| {
            let values = client.line(&format!("MGET {}", keys.join(" "))).elements();
            assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
        });
    }

    /// Keys move among slots, and neither they nor their values get lost.
    fn renames_lose_no_key(server: &Server) {
        let slots: Vec<String> = (0..10).map(|number| format!("slot:{number}")).collect();
        for slot in &slots[..5] {
            server.client().check(&format!("SET {slot} {slot}"), "+OK");
        }
        run(server, |client, random, _| {
            for _ in 0..400 {
                let (from, to) = (random.pick(&slots), random.pick(&slots));
                let reply = client.line(&format!("RENAMENX {from} {to}")).to_string();
                assert!(["0", "1", "-ERR no such key"].contains(&reply.as_str()), "{reply}");
            }
        }, |client| client.check(&format!("EXISTS {}", slots.join(" ")), "5"));
        let values = server.client().line(&format!("MGET {}", slots.join(" "))).elements();
        let values: HashSet<String> = values.iter().filter(|value| !value.is_null()).map(Reply::text).collect();
        assert_eq!(values, slots[..5].iter().cloned().collect());
    }

    /// Two sets that always change together are equal to whoever looks at both.
    fn stored_intersections_see_both_sets_at_once(server: &Server) {
        run(server, |client, random, number| {
            for _ in 0..200 {
                let (action, member) = (*random.pick(&["SADD", "SREM"]), random.below(40));
                transaction(client, &[format!("{action} a {member}"), format!("{action} b {member}")]);
                let dest = format!("dest:{number}");
                let lines = ["SINTERSTORE {d} a b", "SCARD a", "SCARD b", "SCARD {d}", "SUNIONSTORE {d} a b", "SDIFFSTORE {d} a b"]
                    .map(|line| line.replace("{d}", &dest));
                let counts = integers(&transaction(client, &lines));
                assert!(counts[..5].iter().all(|count| *count == counts[0]) && counts[5] == 0, "{counts:?}");
            }
        }, |client| client.check("SDIFF a b", "[]"));
    }

    /// Tokens travel among lists; their number never changes.
    fn moves_keep_every_token(server: &Server) {
        let lists = ["ring:0", "ring:1", "ring:2", "ring:3"];
        for token in 0..40 {
            server.client().line(&format!("RPUSH {} token:{token}", lists[token % 4]));
        }
        let lengths = lists.map(|list| format!("LLEN {list}"));
        run(server, |client, random, _| {
            for _ in 0..400 {
                let ends = ["LEFT", "RIGHT"];
                let (from, to, out, into) = (random.pick(&lists), random.pick(&lists), random.pick(&ends), random.pick(&ends));
                client.line(&format!("LMOVE {from} {to} {out} {into}"));
            }
        }, |client| assert_eq!(integers(&transaction(client, &lengths)).iter().sum::<i64>(), 40));
        let mut client = server.client();
        let tokens: HashSet<String> = lists.iter()
            .flat_map(|list| cmd!(client, "LRANGE", list, 0, -1).elements()).map(|token| token.text()).collect();
        assert_eq!(tokens.len(), 40);
    }

    /// Every member of a set is popped once.
    fn no_member_is_popped_twice(server: &Server) {
        let mut client = server.client();
        let commands: Vec<Command> = (0..6_000).map(|member| Command::line(&format!("SADD s {member}"))).collect();
        client.pipeline(&commands);
        let popped = std::sync::Mutex::new(Vec::new());
        run(server, |client, _, _| {
            let mut own = Vec::new();
            loop {
                match client.line("SPOP s 7").elements() {
                    members if members.is_empty() => break,
                    members => own.extend(members.iter().map(Reply::text)),
                }
            }
            popped.lock().unwrap().extend(own);
        }, |_| {});
        let popped = popped.into_inner().unwrap();
        assert_eq!((popped.len(), popped.iter().collect::<HashSet<_>>().len()), (6_000, 6_000));
    }

    /// SWAPDB happens between other commands: all keys come from one database.
    fn swapped_databases_do_not_mix(server: &Server) {
        let keys: Vec<String> = (0..8).map(|number| format!("k{number}")).collect();
        let mset = |value: &str| format!("MSET {}", keys.iter().map(|key| format!("{key} {value}")).collect::<Vec<_>>().join(" "));
        let mut client = server.client();
        client.check(&mset("zero"), "+OK");
        client.check("SELECT 1", "+OK");
        client.check(&mset("one"), "+OK");
        run(server, |client, _, _| {
            for _ in 0..100 {
                client.check("SWAPDB 0 1", "+OK");
            }
        }, |client| {
            let values = client.line(&format!("MGET {}", keys.join(" "))).elements();
            assert!(!values[0].is_null() && values.iter().all(|value| *value == values[0]), "{values:?}");
        });
    }

    /// Each element goes to one waiter, and each waiter gets its element.
    fn waiters_get_each_element_once(server: &Server) {
        let (producers, consumers, count) = (4, 8, 250);
        let received = thread::scope(|scope| {
            let consumers: Vec<_> = (0..consumers).map(|_| scope.spawn(|| {
                let mut client = server.client();
                let mut received = Vec::new();
                loop {
                    let element = client.line("BLPOP q1 q2 q3 stop 20").elements()[1].text();
                    if element == "stop" {
                        return received;
                    }
                    received.push(element);
                }
            })).collect();
            let producers: Vec<_> = (0..producers).map(|producer| scope.spawn(move || {
                let (mut client, mut random) = (server.client(), Random::new(producer));
                for number in 0..count {
                    client.line(&format!("RPUSH q{} {producer}:{number}", 1 + random.below(3)));
                }
            })).collect();
            producers.into_iter().for_each(|producer| producer.join().expect("all was pushed"));
            for _ in 0..consumers.len() {
                server.client().line("RPUSH stop stop");
            }
            consumers.into_iter().flat_map(|consumer| consumer.join().expect("a stop for each")).collect::<Vec<_>>()
        });
        let distinct: HashSet<&String> = received.iter().collect();
        assert_eq!((received.len(), distinct.len()), (1_000, 1_000));
        server.client().check("EXISTS q1 q2 q3 stop", "0");
    }

    /// A waiter whose time is up exactly when its element comes gets the element or leaves it, but never loses it.
    fn timeouts_swallow_no_element(server: &Server) {
        let are_done = AtomicBool::new(false);
        let popped = thread::scope(|scope| {
            let consumers: Vec<_> = (0..4).map(|_| scope.spawn(|| {
                let mut client = server.client();
                let mut popped = 0;
                while !are_done.load(Ordering::Acquire) {
                    popped += usize::from(!client.line("BLPOP q r 0.001").is_null());
                }
                popped
            })).collect();
            let mut client = server.client();
            for number in 0..600 {
                client.line(&format!("RPUSH {} {number}", ["q", "r"][number % 2]));
            }
            are_done.store(true, Ordering::Release);
            consumers.into_iter().map(|consumer| consumer.join().expect("replies to BLPOP")).sum::<usize>()
        });
        let mut client = server.client();
        let left = client.line("LLEN q").integer() + client.line("LLEN r").integer();
        assert_eq!(popped as i64 + left, 600);
    }

    /// Elements that move through blocked clients, from list to list, all arrive.
    fn chains_of_waiters_pass_everything_on(server: &Server) {
        thread::scope(|scope| {
            for (from, to) in [("a", "b"), ("b", "c"), ("c", "d")] {
                for _ in 0..2 {
                    scope.spawn(move || {
                        let mut client = server.client();
                        for _ in 0..200 {
                            let reply = client.line(&format!("BLMOVE {from} {to} LEFT RIGHT 20"));
                            assert!(!reply.is_null(), "{from} stayed empty");
                        }
                    });
                }
            }
            let mut client = server.client();
            for number in 0..400 {
                client.line(&format!("RPUSH a {number}"));
            }
        });
        let mut client = server.client();
        client.check("EXISTS a b c", "0");
        let arrived: HashSet<String> = client.line("LRANGE d 0 -1").elements().iter().map(Reply::text).collect();
        assert_eq!(arrived.len(), 400);
    }

    /// Who has waited longest is served first.
    fn waiters_are_served_in_order(server: &Server) {
        let mut waiters: Vec<Client> = (0..5).map(|_| server.client()).collect();
        for (number, waiter) in waiters.iter_mut().enumerate() {
            waiter.send(&["BLPOP", "other", "q", "0"]);
            wait_for_blocked(server, number + 1);
        }
        server.client().check("RPUSH q a b c", "3");
        for (waiter, element) in waiters.iter_mut().zip(["a", "b", "c"]) {
            assert_reply!(waiter.read(), format!("[\"q\", \"{element}\"]"));
        }
        wait_for_blocked(server, 2);
        server.client().check("RPUSH other d e", "2");
        assert_reply!(waiters[3].read(), "[\"other\", \"d\"]");
        assert_reply!(waiters[4].read(), "[\"other\", \"e\"]");
    }

    /// A waiter that hangs up takes nothing with it, and the next one is served.
    fn a_waiter_that_hangs_up_takes_nothing(server: &Server) {
        let (mut gone, mut stays) = (server.client(), server.client());
        gone.send(&["BLPOP", "q", "0"]);
        wait_for_blocked(server, 1);
        stays.send(&["BLPOP", "q", "0"]);
        wait_for_blocked(server, 2);
        drop(gone);
        wait_for_blocked(server, 1);
        server.client().check("RPUSH q x y", "2");
        assert_reply!(stays.read(), "[\"q\", \"x\"]");
        server.client().check("LRANGE q 0 -1", "[\"y\"]");
    }

    /// Whatever brings a list into being wakes its waiters: pushes, renames, moves, copies, transactions, other databases.
    fn every_way_to_make_a_list_wakes(server: &Server) {
        let makers = [
            "RPUSH q x", "LPUSH q x", "RENAME source q", "COPY source q", "LMOVE source q LEFT LEFT", "RPOPLPUSH source q",
            "SORT source BY nosort STORE q", "MULTI\nDEL q\nRPUSH q x\nEXEC", "SELECT 1\nRPUSH q x\nMOVE q 0",
            "SELECT 1\nRPUSH q x\nSWAPDB 0 1",
        ];
        for maker in makers {
            let mut client = server.client();
            client.check("FLUSHALL", "+OK");
            client.check("RPUSH source x", "1");
            let mut waiter = server.client();
            waiter.send(&["BLPOP", "q", "0"]);
            wait_for_blocked(server, 1);
            maker.lines().for_each(|line| {
                client.line(line);
            });
            match waiter.read_within(Duration::from_secs(5)) {
                Some(reply) => assert_reply!(reply, "[\"q\", \"x\"]"),
                None => panic!("{maker} woke nobody"),
            }
        }
    }

    /// The wrong type wakes nobody, and the waiter stays in line.
    fn the_wrong_type_wakes_nobody(server: &Server) {
        let mut waiter = server.client();
        waiter.send(&["BLPOP", "q", "0"]);
        wait_for_blocked(server, 1);
        let mut client = server.client();
        client.check("SADD q m", "1");
        assert_eq!(waiter.read_within(Duration::from_millis(30)), None);
        client.check("DEL q", "1");
        client.check("RPUSH q x", "1");
        assert_reply!(waiter.read(), "[\"q\", \"x\"]");
    }

    /// Waiters of one key that want different types each get theirs.
    fn sorted_sets_have_waiters_too(server: &Server) {
        let (mut min, mut max, mut list) = (server.client(), server.client(), server.client());
        min.send(&["BZPOPMIN", "z", "0"]);
        wait_for_blocked(server, 1);
        max.send(&["BZMPOP", "0", "1", "z", "MAX", "COUNT", "2"]);
        wait_for_blocked(server, 2);
        list.send(&["BLPOP", "z", "0"]);
        wait_for_blocked(server, 3);
        let mut client = server.client();
        client.check("ZADD z 1 a 2 b 3 c", "3");
        assert_reply!(min.read(), "[\"z\", \"a\", \"1\"]");
        assert_reply!(max.read(), "[\"z\", [[\"c\", \"3\"], [\"b\", \"2\"]]]");
        client.check("EXISTS z", "0");
        client.check("RPUSH z x", "1");
        assert_reply!(list.read(), "[\"z\", \"x\"]");
    }

    /// Messages of one publisher reach every subscriber, in order and without a gap.
    fn subscribers_miss_nothing(server: &Server) {
        let mut subscribers: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for subscriber in &mut subscribers {
            subscriber.line("SUBSCRIBE news");
        }
        thread::scope(|scope| {
            for publisher in 0..2 {
                scope.spawn(move || {
                    let mut client = server.client();
                    for number in 0..500 {
                        client.check(&format!("PUBLISH news {publisher}:{number}"), "8");
                    }
                });
            }
            for mut subscriber in subscribers {
                scope.spawn(move || {
                    let mut next = [0, 0];
                    for _ in 0..1_000 {
                        let message = subscriber.read().elements()[2].text();
                        let (publisher, number) = message.split_once(':').expect("a message that was published");
                        let publisher: usize = publisher.parse().unwrap();
                        assert_eq!(number, next[publisher].to_string());
                        next[publisher] += 1;
                    }
                });
            }
        });
    }
}
