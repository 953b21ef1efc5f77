//! The commands of one connection appear in their order, to everybody and on every engine, however many of them came at once
//! and wherever their keys lie.
//!
//! Each test is one of the small programs by which orders of memory are told apart: some clients write and read a few keys in
//! pipelines, at the same time, and one outcome must never be seen.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustredis_testkit::{Client, Command, Reply, Server, every_engine};

/// Keys that lie in many shards, of all threads.
const KEYS: usize = 12;
const ROUNDS: u64 = 400;

fn key(number: usize) -> String {
    format!("key:{number}")
}

fn number(reply: &Reply) -> u64 {
    if reply.is_null() {
        return 0;
    }
    reply.text().parse().unwrap_or_else(|_| panic!("no number: {reply}"))
}

fn lines(client: &mut Client, lines: impl IntoIterator<Item = String>) -> Vec<Reply> {
    let commands: Vec<_> = lines.into_iter().map(|line| Command::line(&line)).collect();
    client.pipeline(&commands)
}

/// Two clients run a pipeline each, at the same time, in every round on each pair of keys; `check` sees the replies of both.
fn meet(
    server: &Server,
    pipeline: impl Fn(u64, &str, &str) -> Vec<String> + Sync,
    check: impl Fn(u64, &[Reply], &[Reply]),
) {
    let together = Barrier::new(2);
    let run = |is_first: bool| {
        let mut client = server.client();
        let mut replies = Vec::new();
        for round in 1..=ROUNDS {
            let (one, other) = (key(round as usize % KEYS), key(round as usize * 5 / 3 % KEYS + KEYS));
            let (one, other) = if is_first { (one, other) } else { (other, one) };
            together.wait();
            replies.push(lines(&mut client, pipeline(round, &one, &other)));
        }
        replies
    };
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| run(true));
        let second = run(false);
        (first.join().expect("the first has run"), second)
    });
    for (round, (first, second)) in first.iter().zip(&second).enumerate() {
        check(round as u64 + 1, first, second);
    }
}

/// One client writes the rounds' numbers to all keys in order, in one pipeline, while `look` looks with clients of its own.
fn write_in_order(server: &Server, look: impl Fn(&mut Client) + Sync) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let lookers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.client();
                    while !is_over.load(Ordering::Acquire) {
                        look(&mut client);
                    }
                })
            })
            .collect();
        let mut client = server.client();
        for round in 1..=ROUNDS {
            lines(&mut client, (0..KEYS).map(|number| format!("SET {} {round}", key(number))));
        }
        is_over.store(true, Ordering::Release);
        for looker in lookers {
            looker.join().expect("what it saw was in order");
        }
    });
}

/// What is read later of what was written before is at least as new.
fn check_rising(replies: &[Reply]) {
    let numbers: Vec<u64> = replies.iter().map(number).collect();
    assert!(numbers.is_sorted(), "a later write is seen without an earlier one: {numbers:?}");
}

every_engine! {
    /// Each writes its key and reads the other's: one of them is first, so the other sees it.
    fn one_of_two_who_write_then_read_sees_the_other(server: &Server) {
        meet(
            server,
            |round, own, other| vec![format!("SET {own} {round}"), format!("GET {other}")],
            |round, first, second| {
                let seen = [number(&first[1]), number(&second[1])];
                assert!(seen.contains(&round), "neither has seen what the other wrote in round {round}: {seen:?}");
            },
        );
    }

    /// Each reads the other's key and writes its own: nobody sees what is written behind its own write.
    fn of_two_who_read_then_write_one_sees_nothing(server: &Server) {
        meet(
            server,
            |round, own, other| vec![format!("GET {other}"), format!("SET {own} {round}")],
            |round, first, second| {
                let seen = [number(&first[0]), number(&second[0])];
                assert!(seen != [round; 2], "each has seen what the other wrote later, in round {round}");
            },
        );
    }

    fn a_pipeline_that_reads_backwards_sees_no_gap(server: &Server) {
        write_in_order(server, |client| {
            check_rising(&lines(client, (0..KEYS).rev().map(|number| format!("GET {}", key(number)))));
        });
    }

    fn one_command_after_the_other_sees_no_gap(server: &Server) {
        write_in_order(server, |client| {
            let read = |number| client.line(&format!("GET {}", key(number)));
            let replies: Vec<_> = (0..KEYS).rev().map(read).collect();
            check_rising(&replies);
        });
    }

    fn a_view_of_several_keys_sees_no_gap(server: &Server) {
        write_in_order(server, |client| {
            let names: Vec<String> = (0..KEYS).rev().map(key).collect();
            check_rising(&client.line(&format!("MGET {}", names.join(" "))).elements());
        });
    }

    fn a_view_of_everything_sees_no_gap(server: &Server) {
        write_in_order(server, |client| {
            let names: Vec<String> = (0..KEYS).rev().map(key).collect();
            // Enough keys that everything is held.
            let others: Vec<String> = (0..200).map(|number| format!("other:{number}")).collect();
            let reply = client.line(&format!("MGET {} {}", names.join(" "), others.join(" ")));
            check_rising(&reply.elements()[..KEYS]);
        });
    }

    fn a_transaction_sees_no_gap(server: &Server) {
        write_in_order(server, |client| {
            let queue = (0..KEYS).rev().map(|number| format!("GET {}", key(number)));
            let all = std::iter::once("MULTI".to_owned()).chain(queue).chain(["EXEC".to_owned()]);
            let replies = lines(client, all);
            check_rising(&replies.last().expect("EXEC has a reply").elements());
        });
    }

    fn events_of_keys_come_in_order(server: &Server)
        with ["--notify-keyspace-events", "K$"] {
        let mut subscriber = server.client();
        subscriber.line("PSUBSCRIBE __keyspace@0__:key:*");
        let mut client = server.client();
        for round in 0..20 {
            lines(&mut client, (0..KEYS).map(|number| format!("SET {} {round}", key(number))));
            for number in 0..KEYS {
                let event = subscriber.read();
                let channel = event.elements()[2].text();
                assert_eq!(channel, format!("__keyspace@0__:{}", key(number)), "round {round}");
            }
        }
    }
}
