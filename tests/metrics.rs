//! Every way of counting counts right: what was sent is what INFO reports, for each strategy on each engine.

use std::thread;

use rustredis_testkit::{Command, DEADLINE_DEFAULT, Server, every_engine, wait_until};

const CONNECTIONS: usize = 50;
/// Requests of each connection: 500,000 in all.
const REQUESTS: usize = 10_000;
/// Requests that a connection sends before it reads.
const PIPELINE: usize = 500;

/// The number behind `name=` in a command's line of INFO commandstats; 0 if there is none.
fn statistic(server: &Server, command: &str, name: &str) -> u64 {
    let line = server.info(&format!("cmdstat_{command}")).unwrap_or_default();
    let value = line.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value.map_or(0, |value| value.parse().expect("a statistic is a number"))
}

/// Waits for a count that is exact once the load has stopped, and checks that it does not grow beyond.
#[track_caller]
fn check(server: &Server, command: &str, name: &str, expected: u64) {
    wait_until(&format!("{name}={expected} of {command}"), DEADLINE_DEFAULT, || {
        statistic(server, command, name) >= expected
    });
    assert_eq!(statistic(server, command, name), expected, "{name} of {command}");
}

/// Half SET, half GET, and one failed and one rejected call per connection.
fn load(server: &Server) {
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut client = server.client();
                let lines = (0..PIPELINE).map(|number| match number % 2 {
                    0 => format!("SET key:{connection}:{number} value"),
                    _ => format!("GET key:{connection}:{}", number - 1),
                });
                let commands: Vec<Command> = lines.map(|line| Command::line(&line)).collect();
                for _ in 0..REQUESTS / PIPELINE {
                    let replies = client.pipeline(&commands);
                    assert!(replies.iter().all(|reply| matches!(reply.text().as_str(), "OK" | "value")));
                }
                client.check_prefix(&format!("LPUSH key:{connection}:0 x"), "-WRONGTYPE");
                client.check_prefix("INCR", "-ERR wrong number of arguments");
            });
        }
    });
}

fn counts_are_exact(server: &Server) {
    let connections = CONNECTIONS as u64;
    let half = connections * REQUESTS as u64 / 2;
    load(server);
    for command in ["get", "set"] {
        check(server, command, "calls", half);
        check(server, command, "failed_calls", 0);
        check(server, command, "rejected_calls", 0);
        let histogram = server.client().line(&format!("LATENCY HISTOGRAM {command}")).to_string();
        assert!(histogram.contains(&format!("\"calls\", {half}, ")), "{histogram}");
    }
    check(server, "lpush", "calls", connections);
    check(server, "lpush", "failed_calls", connections);
    check(server, "incr", "rejected_calls", connections);
    assert!(statistic(server, "get", "usec") > 0);
    server.client().check("CONFIG RESETSTAT", "+OK");
    assert_eq!(statistic(server, "get", "calls"), 0);
    server.client().check("GET none", "nil");
    check(server, "get", "calls", 1);
}

every_engine! {
    fn counts_of_mutex(server: &Server) with ["--metrics", "mutex"] {
        counts_are_exact(server);
    }

    fn counts_of_sharded(server: &Server) with ["--metrics", "sharded"] {
        counts_are_exact(server);
    }

    fn counts_of_thread_local(server: &Server) with ["--metrics", "thread-local"] {
        counts_are_exact(server);
    }

    fn off_counts_nothing(server: &Server) with ["--metrics", "off"] {
        server.client().check("SET a 1", "+OK");
        server.client().check("GET a", "\"1\"");
        if !server.is_redis() {
            assert_eq!(statistic(server, "get", "calls"), 0);
        }
    }

    /// A command counts under its own name, a subcommand under both, and those inside MULTI each for themselves.
    fn what_counts_as_a_call(server: &Server) {
        let mut client = server.client();
        for line in ["MULTI", "SET a 1", "INCR a", "EXEC", "CLIENT GETNAME", "SET a 1", "NOSUCH"] {
            client.line(line);
        }
        check(server, "set", "calls", 2);
        check(server, "incr", "calls", 1);
        check(server, "multi", "calls", 1);
        check(server, "exec", "calls", 1);
        check(server, "client|getname", "calls", 1);
        let percentiles = server.info("latency_percentiles_usec_set").expect("SET has been called");
        assert!(percentiles.starts_with("p50=") && percentiles.contains(",p99="), "{percentiles}");
    }

    /// Connections that have come and gone have still been counted.
    fn counts_outlive_their_connections(server: &Server) {
        for _ in 0..200 {
            server.client().check("SET a 1", "+OK");
        }
        check(server, "set", "calls", 200);
    }

    fn totals(server: &Server) {
        let mut client = server.client();
        for line in ["SET hit 1", "GET hit", "GET miss", "GET miss"] {
            client.line(line);
        }
        let number = |field: &str| server.info(field).unwrap_or_default().parse::<u64>().unwrap_or_default();
        assert_eq!((number("keyspace_hits"), number("keyspace_misses")), (1, 2));
        assert!(number("total_commands_processed") >= 4);
        assert!(number("total_connections_received") >= 2);
        client.line("NOSUCH");
        client.line("LPUSH hit x");
        assert_eq!(server.info("errorstat_WRONGTYPE").as_deref(), Some("count=1"));
        assert_eq!(server.info("errorstat_ERR").as_deref(), Some("count=1"));
        assert_eq!(number("total_error_replies"), 2);
    }
}
