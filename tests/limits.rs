//! What one client can take from the others: memory before it has authenticated, processor time for few bytes, places that it
//! does not need, turns that are not its own.
//!
//! Where processor time tells, much is compared with little on the same server, generously: what these tests find differs by
//! factors of ten and more.

use std::collections::BTreeSet;
use std::time::Duration;

use rustredis_testkit::{
    Client, Command, DEADLINE_DEFAULT, Reply, Server, assert_reply, every_engine, process, wait_until,
};

/// Processor time that the server takes while `act` runs.
fn cpu_time_of(server: &Server, act: impl FnOnce()) -> Duration {
    let now = || process::cpu_time(server.pid()).expect("the server runs");
    let before = now();
    act();
    now() - before
}

/// Much work must cost about as much as a little work that is the same in sum.
#[track_caller]
fn check_cost(little: Duration, much: Duration) {
    let most = 4 * little + Duration::from_millis(300);
    assert!(much < most, "{little:?} became {much:?}");
}

/// A command, `count` names, and perhaps one word more.
fn command_with_names(command: &str, count: usize, last: Option<&str>) -> Vec<u8> {
    let names = (0..count).map(|number| format!("name:{number}"));
    let arguments: Vec<String> =
        std::iter::once(command.to_owned()).chain(names).chain(last.map(str::to_owned)).collect();
    let mut bytes = Vec::new();
    Command::new(&arguments).encode(&mut bytes);
    bytes
}

fn number(client: &mut Client, section: &str, field: &str) -> u64 {
    number_in(&client.call(&["INFO", section]).text(), field)
}

fn number_in(text: &str, field: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no number {field} in {text}"))
}

/// Waits until the server's clock has gone on, so that what it does ten times a second was due.
fn wait_for_cron(client: &mut Client) {
    let began = number(client, "server", "server_time_usec");
    wait_until("the server's clock to go on", DEADLINE_DEFAULT, || {
        number(client, "server", "server_time_usec") > began + 500_000
    });
}

/// Keeps the server's only thread busy, so that what is sent meanwhile is there when it goes on.
fn busy_server(server: &Server) -> Client {
    let mut client = server.client();
    client.send(&["DEBUG", "SLEEP", "0.1"]);
    client
}

/// Tries a few times, for this process may itself be kept from sending in time.
#[track_caller]
fn until_both_have_their_turns(server: &Server, mut attempt: impl FnMut() -> bool) {
    let has_happened = (0..8).any(|_| attempt());
    assert!(
        has_happened,
        "one of the clients of {:?} never had a turn before the other's end",
        server.address()
    );
}

every_engine! {
    /// Who has not authenticated and reads nothing is closed before the replies fill the memory.
    fn replies_before_authentication_are_few(server: &Server) with ["--requirepass", "secret"] {
        let mut admin = server.client();
        admin.check("AUTH secret", "+OK");
        let mut stranger = server.client();
        let bytes = b"PING\r\n".repeat(10_000);
        // The kernel's buffers take some megabytes before the server's own fill.
        for _ in 0..200 {
            if stranger.try_send_raw(&bytes).is_err() {
                break;
            }
        }
        wait_until("the stranger to be closed", DEADLINE_DEFAULT, || {
            number(&mut admin, "stats", "client_output_buffer_limit_disconnections") == 1
        });
    }

    /// A command that a stranger begins takes as much as ten short arguments can, and no more.
    fn input_before_authentication_is_small(server: &Server) with ["--requirepass", "secret"] {
        let mut admin = server.client();
        admin.check("AUTH secret", "+OK");
        let argument = "x".repeat(16_384);
        let mut strangers: Vec<Client> = (0..20).map(|_| server.client()).collect();
        for stranger in &mut strangers {
            stranger.send_raw(b"*10\r\n");
            for _ in 0..9 {
                stranger.send_raw(format!("${}\r\n{argument}\r\n", argument.len()).as_bytes());
            }
        }
        let sizes = |text: &str| -> Vec<u64> {
            let value = |field: &str| field.strip_prefix("tot-mem=")?.parse().ok();
            text.lines().filter(|line| line.contains("cmd=NULL")).flat_map(|line| line.split(' ').find_map(value)).collect()
        };
        wait_until("all to be read", DEADLINE_DEFAULT, || {
            let sizes = sizes(&admin.line("CLIENT LIST").text());
            sizes.len() == 20 && sizes.iter().all(|bytes| *bytes > 9 * 16_384)
        });
        let sizes = sizes(&admin.line("CLIENT LIST").text());
        assert!(sizes.iter().all(|bytes| *bytes < 512 * 1024), "{sizes:?}");
        for (bytes, error) in [
            (&b"*11\r\n"[..], "unauthenticated multibulk length"),
            (b"*1\r\n$16385\r\n", "unauthenticated bulk length"),
        ] {
            let mut stranger = server.client();
            stranger.send_raw(bytes);
            let expected = Reply::Error(format!("ERR Protocol error: {error}"));
            assert_eq!(stranger.read_to_close(), [expected]);
        }
    }

    /// A byte costs the same, however many arguments were announced and have come.
    fn a_byte_costs_the_same_in_a_long_command(server: &Server) {
        const BYTES: usize = 500;
        let mut other = server.client();
        let mut cost = |arguments: usize| {
            let mut client = server.client();
            client.send_raw(b"*5000000\r\n");
            client.send_raw(&b"$1\r\na\r\n".repeat(arguments));
            client.send_raw(b"$100000\r\n");
            let expected = format!("qbuf={}", 10 + 7 * arguments + 9);
            wait_until("all to be read", DEADLINE_DEFAULT, || {
                other.line("CLIENT LIST").text().contains(&expected)
            });
            cpu_time_of(server, || {
                for _ in 0..BYTES {
                    client.send_raw(b"x");
                    // Once this is answered, the byte before has been read alone.
                    other.check("PING", "+PONG");
                }
            })
        };
        let few = cost(10);
        check_cost(few, cost(1_000_000));
    }

    /// Clients that hang up while the server is paused give their places back.
    fn who_hangs_up_in_a_pause_is_gone(server: &Server) with ["--maxclients", "50"] {
        let mut admin = server.client();
        admin.check("CLIENT PAUSE 1000000 WRITE", "+OK");
        for round in 0..2 {
            let clients: Vec<Client> = (0..30)
                .map(|number| {
                    let mut client = server.client();
                    match number % 3 {
                        0 => client.send(&["SET", "key", "value"]),
                        1 => client.send_raw(b"SET key 1\r\nPING\r\nSET key 2\r\n"),
                        _ => client.send_raw(b"MULTI\r\nSET key 1\r\nEXEC\r\n"),
                    }
                    client
                })
                .collect();
            wait_until("all to wait", DEADLINE_DEFAULT, || number(&mut admin, "clients", "blocked_clients") == 30);
            drop(clients);
            wait_until(&format!("all of round {round} to be gone"), DEADLINE_DEFAULT, || {
                number(&mut admin, "clients", "connected_clients") == 1
            });
        }
        admin.check("CLIENT UNPAUSE", "+OK");
        admin.check("EXISTS key", "0");
    }

    /// While writes are paused nothing is evicted and nothing expires.
    fn a_pause_keeps_the_data(server: &Server) {
        let mut client = server.client();
        for number in 0..20 {
            assert_reply!(client.call(&["SET", &format!("key:{number}"), &"v".repeat(100_000)]), "+OK");
        }
        // What waits for the append-only file is memory that is soon not used any more.
        crate::files::sync(server);
        client.check("SET short x PX 1", "+OK");
        client.check("CLIENT PAUSE 1000000 WRITE", "+OK");
        let limit = number(&mut client, "memory", "used_memory") - 500_000;
        client.check(&format!("CONFIG SET maxmemory {limit} maxmemory-policy allkeys-random"), "+OK");
        let before = number(&mut client, "stats", "expired_keys");
        wait_for_cron(&mut client);
        client.check("GET short", "nil");
        client.check("WATCH short", "+OK");
        wait_for_cron(&mut client);
        assert_eq!(number(&mut client, "stats", "evicted_keys"), 0);
        assert_eq!(number(&mut client, "stats", "expired_keys"), before);
        client.check("CLIENT UNPAUSE", "+OK");
        wait_until("something to be evicted", DEADLINE_DEFAULT, || number(&mut client, "stats", "evicted_keys") > 0);
    }

    /// An HTTP request, which a browser may have been led to send, executes nothing.
    fn http_is_not_spoken(server: &Server) {
        for head in ["POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"] {
            let mut client = server.client();
            client.send_raw(format!("{head}\r\nSET taken yes\r\n").as_bytes());
            client.read_to_close();
            server.client().check("GET taken", "nil");
        }
        server.wait_for_log(if server.is_redis() { "SECURITY ATTACK" } else { "HTTP request" });
    }

    /// One client that waits for very many keys does not slow the writes of others.
    fn many_keys_that_are_waited_for(server: &Server) with ["--shards", "1"] {
        const KEYS: usize = 200_000;
        let (mut client, mut waiter) = (server.client(), server.client());
        let mut sets = Vec::new();
        (0..3_000).for_each(|number| Command::line(&format!("SET key:{number} x")).encode(&mut sets));
        let mut set_all = || {
            cpu_time_of(server, || {
                client.send_raw(&sets);
                (0..3_000).for_each(|_| assert_reply!(client.read(), "+OK"));
            })
        };
        let alone = set_all();
        waiter.send_raw(&command_with_names("BLPOP", KEYS, Some("0")));
        let mut admin = server.client();
        wait_until("it to wait", DEADLINE_DEFAULT, || number(&mut admin, "clients", "blocked_clients") == 1);
        check_cost(alone, set_all());
        admin.check("RPUSH name:77777 x", "1");
        assert_reply!(waiter.read(), "[\"name:77777\", \"x\"]");
        admin.check("RPUSH name:5 x", "1");
        admin.check("LLEN name:5", "1");
    }

    /// Watching very many keys costs in proportion to them.
    fn many_keys_that_are_watched(server: &Server) {
        let mut client = server.client();
        let (few, many) = (command_with_names("WATCH", 10_000, None), command_with_names("WATCH", 100_000, None));
        client.set_deadline(Duration::from_secs(60));
        let mut watch = |bytes: &[u8], times: usize| {
            cpu_time_of(server, || {
                for _ in 0..times {
                    client.send_raw(bytes);
                    assert_reply!(client.read(), "+OK");
                    client.check("UNWATCH", "+OK");
                }
            })
        };
        let little = watch(&few, 10);
        check_cost(little, watch(&many, 1));
        let (mut other, mut watcher) = (server.client(), server.client());
        assert_eq!(number(&mut other, "clients", "watching_clients"), 0);
        watcher.send_raw(&many);
        assert_reply!(watcher.read(), "+OK");
        watcher.check("WATCH name:7 name:7 other", "+OK");
        other.check("SET name:99999 x", "+OK");
        watcher.check("MULTI", "+OK");
        watcher.check("EXEC", "nil-array");
        watcher.check("MULTI", "+OK");
        other.check("SET name:99999 y", "+OK");
        watcher.check("EXEC", "[]");
    }

    /// Between the commands of a pipeline that are not quick, others have their turns.
    fn others_come_between_slow_commands(server: &Server) with ["--threads", "1", "--enable-debug-command", "yes"] {
        const STEPS: usize = 40;
        if server.is_redis() {
            // A pipeline of Redis keeps the thread to its end.
            return;
        }
        for (between, replies) in [("", 2), ("MULTI\r\nINCR other\r\nEXEC\r\n", 5)] {
            let (mut busy, mut other) = (server.client(), server.client());
            let busy_pipeline = format!("DEBUG SLEEP 0.002\r\n{between}INCR step\r\n").repeat(STEPS);
            let other_pipeline = "DEBUG SLEEP 0.002\r\nGET step\r\n".repeat(STEPS);
            until_both_have_their_turns(server, || {
                busy.check("SET step 0", "+OK");
                let anchor = busy_server(server);
                busy.send_raw(busy_pipeline.as_bytes());
                other.send_raw(other_pipeline.as_bytes());
                (0..STEPS * replies).for_each(|_| assert!(!busy.read().is_error()));
                // Each number is preceded by an OK.
                let seen: BTreeSet<String> = (0..2 * STEPS).map(|_| other.read().text()).collect();
                drop(anchor);
                seen.len() > STEPS / 4
            });
        }
    }

    /// A client with very many subscriptions that hangs up lets others go on.
    fn others_go_on_while_many_subscriptions_end(server: &Server) with ["--threads", "1", "--enable-debug-command", "yes"] {
        const NAMES: usize = 60_000;
        if server.is_redis() {
            return;
        }
        let mut other = server.client();
        let names = command_with_names("SUBSCRIBE", NAMES, None);
        until_both_have_their_turns(server, || {
            let mut subscriber = server.client();
            subscriber.send_raw(&names);
            (0..NAMES).for_each(|_| drop(subscriber.read()));
            subscriber.check("PSUBSCRIBE name:*", &format!("[\"psubscribe\", \"name:*\", {}]", NAMES + 1));
            let anchor = busy_server(server);
            drop(subscriber);
            let questions = "INFO stats\r\n".repeat(1_000);
            other.send_raw(questions.as_bytes());
            let counts: Vec<u64> = (0..1_000).map(|_| number_in(&other.read().text(), "pubsub_channels")).collect();
            drop(anchor);
            wait_until("the subscriptions to end", DEADLINE_DEFAULT, || {
                number(&mut other, "stats", "pubsub_channels") == 0
            });
            counts.iter().any(|count| (1..NAMES as u64).contains(count))
        });
        wait_until("it to be gone", DEADLINE_DEFAULT, || number(&mut other, "clients", "connected_clients") == 1);
        other.check("PUBLISH name:1 x", "0");
        other.check("PUBSUB NUMPAT", "0");
    }
}
