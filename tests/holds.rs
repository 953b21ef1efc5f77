//! While one client keeps keys for long, the others of its thread go on: they wait for what is kept, are told `-BUSY`, or need
//! nothing of it.

use std::time::{Duration, Instant};

use rustredis_testkit::{Client, Command, DEADLINE_DEFAULT, Server, engines, run_on_engine, wait_until};

const BUSY: &str = "-BUSY RustRedis is busy";
/// What two clients can be kept apart by where a lock is for a shard: the key that is kept, and others.
const KEY: &str = "kept";
const OTHERS: usize = 8;

/// Runs the test on each engine with one worker and with two.
fn everywhere(arguments: &[&str], body: fn(&Server)) {
    for engine in engines() {
        for threads in ["1", "2"] {
            let arguments = [arguments, &["--threads", threads, "--enable-debug-command", "yes"]].concat();
            run_on_engine(module_path!(), &engine, &arguments, body);
        }
    }
}

/// Everywhere, with a threshold that tests can wait for.
fn soon_busy(body: fn(&Server)) {
    everywhere(&["--busy-reply-threshold", "1"], body);
}

/// A client that keeps `what` (ALL, or KEY with a key) from now on.
fn keep(server: &Server, what: &str, milliseconds: u64) -> Client {
    let mut holder = server.client();
    holder.send(&Command::line(&format!("DEBUG HOLD {what} {milliseconds}")).arguments);
    wait_until_kept(server);
    holder
}

fn is_busy(server: &Server) -> bool {
    server.client().line(&format!("GET {KEY}")).to_string().starts_with(BUSY)
}

fn wait_until_kept(server: &Server) {
    wait_until("the key to be kept", DEADLINE_DEFAULT, || is_busy(server));
}

fn wait_until_free(server: &Server) {
    wait_until("the key to be free", DEADLINE_DEFAULT, || !is_busy(server));
}

/// Sends the command some times: the replies begin like this, or are no errors, and come soon.
fn check_soon(client: &mut Client, line: &str, expected: &str) {
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let began = Instant::now();
            let reply = client.line(line);
            let took = began.elapsed();
            assert!(reply.to_string().starts_with(expected), "the reply to {line}: {reply}");
            assert!(!expected.is_empty() || !reply.is_error(), "the reply to {line}: {reply}");
            took
        })
        .collect();
    times.sort_unstable();
    assert!(times[2] < Duration::from_millis(20), "{line} took {:?}", times[2]);
}

/// What needs nothing that is kept.
fn check_served(client: &mut Client) {
    for (line, expected) in [
        ("PING", "+PONG"),
        ("CLIENT ID", ""),
        ("CONFIG GET hz", "[\"hz\""),
        ("INFO server", "\"# Server"),
        ("DBSIZE", ""),
        ("ECHO a", "\"a\""),
    ] {
        check_soon(client, line, expected);
    }
}

/// What needs the key that is kept, or everything.
fn check_refused(client: &mut Client) {
    for line in [
        &format!("GET {KEY}"),
        &format!("SET {KEY} 1"),
        &format!("MGET a {KEY} b"),
        &format!("WATCH {KEY}"),
        &format!("BLPOP {KEY} 10"),
        "FLUSHALL",
        "KEYS *",
        "DEBUG DIGEST",
    ] {
        check_soon(client, line, BUSY);
    }
    client.check("MULTI", "+OK");
    client.check(&format!("SET {KEY} 2"), "+QUEUED");
    client.check_prefix("EXEC", "-EXECABORT Transaction discarded because of: BUSY");
    client.check_prefix("EXEC", "-ERR EXEC without MULTI");
    let pipeline: Vec<Command> =
        ["PING", &format!("INCR {KEY}"), "PING"].iter().map(|line| Command::line(line)).collect();
    let replies: Vec<String> = client.pipeline(&pipeline).iter().map(ToString::to_string).collect();
    assert!(replies[0] == "+PONG" && replies[1].starts_with(BUSY) && replies[2] == "+PONG", "{replies:?}");
}

fn others_go_on(server: &Server, what: &str) {
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    let mut holder = keep(server, what, 2000);
    let began = Instant::now();
    for client in &mut clients {
        check_served(client);
        check_refused(client);
    }
    assert!(holder.read_within(Duration::from_millis(1)).is_none() || began.elapsed().as_millis() > 1900);
    assert_eq!(holder.read().to_string(), "+OK");
    wait_until_free(server);
    clients[0].check(&format!("SET {KEY} 1"), "+OK");
    clients[1].check("FLUSHALL", "+OK");
}

#[test]
fn others_go_on_while_everything_is_kept() {
    soon_busy(|server| others_go_on(server, "ALL"));
}

#[test]
fn others_go_on_while_one_shard_is_kept() {
    soon_busy(|server| others_go_on(server, &format!("KEY {KEY}")));
}

/// Only the mutex engine has one lock for all.
#[test]
fn other_shards_are_free() {
    soon_busy(|server| {
        let _holder = keep(server, &format!("KEY {KEY}"), 60_000);
        let mut client = server.client();
        if server.info("engine").as_deref() == Some("mutex") {
            return;
        }
        let others: Vec<String> = (0..OTHERS)
            .map(|number| format!("other:{number}"))
            .filter(|key| client.line(&format!("SET {key} 1")).to_string() == "+OK")
            .collect();
        // One may share the shard by chance.
        assert!(others.len() > OTHERS / 2);
        // Who waits for several keeps none of them.
        client.check("CONFIG SET busy-reply-threshold 100000", "+OK");
        let mut waiting = server.client();
        waiting.send(&Command::line(&format!("DEL {KEY} {}", others.join(" "))).arguments);
        for _ in 0..3 {
            for key in &others {
                client.check(&format!("INCRBY {key} 0"), "1");
            }
        }
    });
}

#[test]
fn a_hold_ends_with_its_client() {
    soon_busy(|server| {
        for what in ["ALL", &format!("KEY {KEY}")] {
            let holder = keep(server, what, 600_000);
            drop(holder);
            wait_until_free(server);
            let mut holder = keep(server, what, 600_000);
            let address = holder.local_address();
            server.client().check(&format!("CLIENT KILL {address}"), "+OK");
            wait_until_free(server);
        }
    });
}

#[test]
fn who_waits_is_answered_when_it_is_over() {
    everywhere(&["--busy-reply-threshold", "1"], |server| {
        let holder = keep(server, "ALL", 600_000);
        let mut other = server.client();
        other.check("CONFIG SET busy-reply-threshold 600000", "+OK");
        let waiting: Vec<(Client, &str)> = ["INCR kept", "FLUSHALL", "MSET a 1 b 2 kept 3", "DEBUG DIGEST"]
            .into_iter()
            .map(|line| {
                let mut client = server.client();
                client.send(&Command::line(line).arguments);
                (client, line)
            })
            .collect();
        // One who hangs up, and one who is killed.
        let is_there =
            |address: &str| server.client().line("CLIENT LIST").text().contains(&format!("addr={address} "));
        for is_killed in [true, false] {
            let mut client = server.client();
            let address = client.local_address().to_string();
            client.send(&["GET", KEY]);
            wait_until("the client to be there", DEADLINE_DEFAULT, || is_there(&address));
            if is_killed {
                other.check(&format!("CLIENT KILL {address}"), "+OK");
            } else {
                drop(client);
            }
            wait_until("the client to be gone", DEADLINE_DEFAULT, || !is_there(&address));
        }
        drop(holder);
        for (mut client, line) in waiting {
            let reply = client.read();
            assert!(!reply.is_error(), "{line}: {reply}");
        }
    });
}

/// How many there are beside the one who asks.
fn other_clients(server: &Server) -> usize {
    server.client().line("CLIENT LIST").text().lines().count() - 1
}

#[test]
fn watches_and_waits_end_beside_a_hold() {
    soon_busy(|server| {
        let (mut watcher, mut waiter) = (server.client(), server.client());
        let mut leaver = server.client();
        let watch = format!("WATCH a {KEY} b");
        watcher.check(&watch, "+OK");
        leaver.check(&watch, "+OK");
        waiter.send(&Command::line(&format!("BLPOP {KEY} 0.2")).arguments);
        let mut pusher = server.client();
        let mut served = server.client();
        served.send(&Command::line(&format!("BLPOP {KEY} 0")).arguments);
        wait_until("both to wait", DEADLINE_DEFAULT, || {
            server.info("blocked_clients").as_deref() == Some("2")
        });
        let before = other_clients(server);
        let holder = keep(server, &format!("KEY {KEY}"), 600_000);
        assert!(waiter.read().is_null(), "its time is over");
        waiter.check("PING", "+PONG");
        drop(leaver);
        wait_until("the watcher to be gone", DEADLINE_DEFAULT, || other_clients(server) <= before);
        watcher.check("MULTI", "+OK");
        watcher.check("PING", "+QUEUED");
        watcher.check_prefix("EXEC", "-EXECABORT");
        watcher.check("PING", "+PONG");
        pusher.check_prefix(&format!("RPUSH {KEY} x"), BUSY);
        drop(holder);
        wait_until_free(server);
        // What it watched before counts no more.
        watcher.check("WATCH c", "+OK");
        pusher.check(&format!("RPUSH {KEY} x"), "1");
        assert_eq!(served.read().to_string(), format!("[\"{KEY}\", \"x\"]"));
        watcher.check("MULTI", "+OK");
        watcher.check("PING", "+QUEUED");
        watcher.check("EXEC", "[+PONG]");
    });
}

#[test]
fn keys_expire_beside_a_hold() {
    soon_busy(|server| {
        let mut client = server.client();
        client.check(&format!("SET {KEY} 1 PX 50"), "+OK");
        client.check("SET other 1 PX 50", "+OK");
        let holder = keep(server, &format!("KEY {KEY}"), 600_000);
        let due = Instant::now() + Duration::from_millis(150);
        wait_until("both to be due", DEADLINE_DEFAULT, || Instant::now() > due);
        check_served(&mut client);
        drop(holder);
        wait_until("both to expire", DEADLINE_DEFAULT, || client.line("DBSIZE").integer() == 0);
    });
}

#[test]
fn eviction_meets_a_hold() {
    everywhere(
        &["--busy-reply-threshold", "1", "--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru"],
        |server| {
            let mut client = server.client();
            let value = "v".repeat(50_000);
            let fill: Vec<Command> =
                (0..500).map(|number| Command::line(&format!("SET fill:{number} {value}"))).collect();
            client.pipeline(&fill);
            for what in ["ALL", &format!("KEY {KEY}")] {
                let holder = keep(server, what, 600_000);
                // Each is answered, one way or the other.
                client.pipeline(&fill);
                check_served(&mut client);
                drop(holder);
                wait_until_free(server);
                client.pipeline(&fill);
            }
        },
    );
}

#[test]
fn a_snapshot_begins_behind_a_hold() {
    soon_busy(|server| {
        let mut client = server.client();
        client.check("SET a 1", "+OK");
        let holder = keep(server, &format!("KEY {KEY}"), 600_000);
        let mut saver = server.client();
        saver.send(&["BGSAVE"]);
        check_served(&mut client);
        drop(holder);
        assert!(!saver.read().is_error());
        let is_done = || server.info("rdb_bgsave_in_progress").as_deref() == Some("0");
        wait_until("the save to end", DEADLINE_DEFAULT, is_done);
    });
}

/// A threshold of 0 lets everybody wait.
#[test]
fn nobody_is_told_without_a_threshold() {
    everywhere(&["--busy-reply-threshold", "0"], |server| {
        let (mut holder, mut client) = (server.client(), server.client());
        holder.send(&Command::line("DEBUG HOLD ALL 500").arguments);
        wait_until("a command to wait for it", DEADLINE_DEFAULT, || {
            let began = Instant::now();
            client.check("GET k", "nil");
            began.elapsed() > Duration::from_millis(50)
        });
        assert!(!holder.read().is_error());
    });
}

/// Whoever ends the server does not wait for it. The disk fails, so that the server is there to be asked afterwards.
#[test]
fn a_shutdown_ends_a_hold() {
    soon_busy(|server| {
        let mut client = server.client();
        client.check("DEBUG STORAGE OPEN every fail EIO", "+OK");
        for what in ["ALL", &format!("KEY {KEY}")] {
            let mut holder = keep(server, what, 600_000);
            check_soon(&mut server.client(), "PING", "+PONG");
            client.check("SHUTDOWN SAVE", "-ERR Errors trying to SHUTDOWN. Check logs.");
            assert!(!holder.read().is_error());
            wait_until_free(server);
        }
        client.check("DEBUG STORAGE RESET", "+OK");
    });
}

/// Who has stood outside while everything was kept comes in before the next one keeps it.
#[test]
fn holds_one_after_the_other_let_others_in() {
    const HOLDS: u64 = 50;
    const MILLISECONDS: u64 = 20;
    everywhere(&[], |server| {
        let mut holders = [server.client(), server.client()];
        let line = Command::line(&format!("DEBUG HOLD ALL {MILLISECONDS}"));
        for holder in &mut holders {
            (0..HOLDS).for_each(|_| holder.send(&line.arguments));
        }
        assert!(!holders[0].read().is_error());
        let mut client = server.client();
        let began = Instant::now();
        client.check("GET k", "nil");
        client.check("MSET a 1 b 2 c 3", "+OK");
        let all = Duration::from_millis(2 * HOLDS * MILLISECONDS);
        assert!(began.elapsed() < all / 2, "{:?} of {all:?}", began.elapsed());
    });
}
