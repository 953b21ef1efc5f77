//! A snapshot is of one moment: whatever many clients did while it was taken, what is loaded from it was there at once.
//!
//! Both kinds are looked at, the file of BGSAVE and the base that BGREWRITEAOF writes, by loading them into a server of
//! their own. Each load has an invariant that holds at every moment and at no mixture of two.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustredis_testkit::contents::Content;
use rustredis_testkit::{
    Client, Command, DEADLINE_DEFAULT, Directory, Random, Server, every_engine, wait_until,
};

use crate::files::{EVERYSEC, aof_directory, contents, digest, names, second, settle, wait_for_background};

/// Clients that write meanwhile.
const WRITERS: usize = 6;
/// Snapshots of each kind that are taken.
const SNAPSHOTS: usize = 3;

/// Takes snapshots while `write` runs in many clients, and gives each loaded one to `check`.
fn under_load(
    server: &Server,
    write: impl Fn(&mut Client, &mut Random, usize) + Sync,
    check: impl Fn(&Server),
) {
    let is_over = AtomicBool::new(false);
    let snapshots = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let (write, is_over) = (&write, &is_over);
                scope.spawn(move || {
                    let (mut client, mut random) = (server.client(), Random::new(number as u64));
                    while !is_over.load(Ordering::Acquire) {
                        write(&mut client, &mut random, number);
                    }
                })
            })
            .collect();
        let snapshots = thread::scope(|inner| inner.spawn(|| take(server)).join());
        is_over.store(true, Ordering::Release);
        let ended = writers.into_iter().map(|writer| writer.join().is_ok()).collect::<Vec<_>>();
        assert!(ended.iter().all(|is_right| *is_right), "a writer failed: {ended:?}");
        snapshots.expect("the snapshots were taken")
    });
    assert!(snapshots.len() >= SNAPSHOTS);
    for snapshot in snapshots {
        check(&second(server, snapshot.path(), &["--enable-debug-command", "yes"]));
    }
}

/// Directories whose `dump.rdb` is a snapshot each.
fn take(server: &Server) -> Vec<Directory> {
    let mut client = server.client();
    let mut snapshots = Vec::new();
    for number in 0..2 * SNAPSHOTS {
        let directory = Directory::new();
        let target = directory.path().join("dump.rdb");
        if number % 2 == 0 {
            client.check("BGSAVE", "+Background saving started");
            wait_for_background(server);
            std::fs::copy(server.directory().join("dump.rdb"), target).unwrap();
        } else {
            client.check("BGREWRITEAOF", "+Background append only file rewriting started");
            wait_for_background(server);
            // A base is an RDB file.
            let is_copied = || {
                let names = names(&aof_directory(server));
                let base = names.iter().find(|name| name.ends_with(".base.rdb"));
                base.is_some_and(|base| std::fs::copy(aof_directory(server).join(base), &target).is_ok())
            };
            wait_until("the base", DEADLINE_DEFAULT, is_copied);
        }
        snapshots.push(directory);
    }
    snapshots
}

fn number(server: &Server, key: &str) -> i64 {
    let reply = server.client().call(&["GET", key]);
    if reply.is_null() { 0 } else { reply.text().parse().unwrap() }
}

fn pipeline(client: &mut Client, lines: &[String]) {
    let commands: Vec<Command> = lines.iter().map(|line| Command::line(line)).collect();
    for reply in client.pipeline(&commands) {
        assert!(!reply.is_error(), "{reply}");
    }
}

const ACCOUNTS: usize = 400;
const KEYS: usize = 2_000;

every_engine! {
    /// What one account loses another one gains, in every snapshot.
    fn transfers_are_whole(server: &Server) with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        let accounts: Vec<String> = (0..ACCOUNTS).map(|number| format!("SET account:{number} 1000")).collect();
        pipeline(&mut server.client(), &accounts);
        under_load(server, |client, random, _| {
            let (from, to, sum) = (random.below(ACCOUNTS), random.below(ACCOUNTS), random.below(90));
            pipeline(client, &[
                "MULTI".to_owned(), format!("DECRBY account:{from} {sum}"), format!("INCRBY account:{to} {sum}"), "EXEC".to_owned(),
            ]);
        }, |loaded| {
            let sum: i64 = (0..ACCOUNTS).map(|account| number(loaded, &format!("account:{account}"))).sum();
            assert_eq!(sum, 1_000 * ACCOUNTS as i64);
        });
    }

    /// Each writer counts up its keys in order, one command after the other: a moment shows a step at one place.
    fn a_snapshot_is_of_one_moment(server: &Server) with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        under_load(server, |client, _, writer| {
            let lines: Vec<String> = (0..KEYS / WRITERS).map(|key| format!("INCR {writer}:{key}")).collect();
            pipeline(client, &lines);
        }, |loaded| {
            let held = contents(loaded);
            for writer in 0..WRITERS {
                let counts: Vec<i64> = (0..KEYS / WRITERS).map(|key| match held.get(0, format!("{writer}:{key}").as_bytes()) {
                    Some(held) => match &held.content {
                        Content::Text(text) => String::from_utf8_lossy(text).parse().unwrap(),
                        other => panic!("{other}"),
                    },
                    None => 0,
                }).collect();
                let (first, last) = (counts[0], counts[counts.len() - 1]);
                let is_one_step = counts.windows(2).all(|pair| pair[0] >= pair[1]) && first - last <= 1;
                assert!(is_one_step, "writer {writer}: {counts:?}");
            }
        });
    }

    /// Keys that are deleted, moved among databases, flushed, and made again while the snapshot passes over them.
    fn keys_that_move_are_there_once(server: &Server) with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        let tokens: Vec<String> = (0..600).map(|token| format!("RPUSH ring:{} token:{token}", token % 60)).collect();
        pipeline(&mut server.client(), &tokens);
        under_load(server, |client, random, writer| {
            let (a, b) = (random.below(60), random.below(60));
            let lines = match random.below(6) {
                0..=2 => vec![format!("LMOVE ring:{a} ring:{b} LEFT RIGHT")],
                3 => vec!["MULTI".to_owned(), format!("COPY ring:{a} moved:{writer}"), format!("DEL ring:{a}"),
                    format!("COPY moved:{writer} ring:{a}"), format!("DEL moved:{writer}"), "EXEC".to_owned()],
                4 => vec![format!("MOVE ring:{a} 1"), "SELECT 1".to_owned(), format!("MOVE ring:{a} 0"), "SELECT 0".to_owned()],
                _ => vec!["SWAPDB 2 3".to_owned(), format!("SET brief:{a} x PX 1")],
            };
            pipeline(client, &lines);
        }, |loaded| {
            let held = contents(loaded);
            let rings = held.keys.iter().filter(|((_, key), _)| key.starts_with(b"ring:") || key.starts_with(b"moved:"));
            let tokens: Vec<Vec<u8>> = rings.flat_map(|(_, held)| match &held.content {
                Content::List(tokens) => tokens.clone(),
                other => panic!("{other}"),
            }).collect();
            assert_eq!((tokens.len(), tokens.iter().collect::<HashSet<_>>().len()), (600, 600));
        });
    }

    /// FLUSHDB and new keys in one transaction: a snapshot holds one generation.
    fn generations_do_not_mix(server: &Server) with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        pipeline(&mut server.client(), &[generation(0)]);
        under_load(server, |client, random, _| {
            let value = random.below(1_000_000);
            // Not FLUSHALL: it ends a background save, in Redis at least.
            let flush = ["FLUSHDB", "FLUSHDB ASYNC", "SWAPDB 0 1"][random.below(3)];
            pipeline(client, &["MULTI".to_owned(), flush.to_owned(), generation(value), "EXEC".to_owned()]);
        }, |loaded| {
            let held = contents(loaded);
            let values: HashSet<String> = held.database(0).map(|(_, held)| held.content.to_string()).collect();
            assert_eq!((held.database(0).count(), values.len()), (GENERATION, 1), "{values:?}");
        });
    }

    /// When all is quiet, the file holds exactly what the server does.
    fn a_quiet_snapshot_is_what_is_there(server: &Server) with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        crate::files::load(server, 7, 500, |_| {});
        settle(server);
        server.client().check("BGSAVE", "+Background saving started");
        wait_for_background(server);
        let (expected, held) = (digest(server), contents(server));
        let copy = Directory::copy_of(server.directory());
        for arguments in [&["--enable-debug-command", "yes"][..], &EVERYSEC] {
            let loaded = second(server, copy.path(), arguments);
            contents(&loaded).assert_same(&held, "the snapshot and the live contents");
            assert_eq!(digest(&loaded), expected);
        }
    }
}

const GENERATION: usize = 300;

fn generation(value: usize) -> String {
    let pairs: Vec<String> = (0..GENERATION).map(|key| format!("member:{key} {value}")).collect();
    format!("MSET {}", pairs.join(" "))
}
