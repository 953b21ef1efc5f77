//! INFO, SLOWLOG, LATENCY, CMDSTAT, and the commands about the server itself.

use std::collections::BTreeSet;
use std::time::Duration;

use rustredis_testkit::{Command, DEADLINE_DEFAULT, Reply, Server, every_engine, wait_until};

/// The names of the sections in a reply of INFO, in order.
fn sections(reply: &Reply) -> Vec<String> {
    reply.text().lines().filter_map(|line| line.strip_prefix("# ")).map(str::to_owned).collect()
}

/// The names of the fields, without those of single commands and errors.
fn fields(server: &Server) -> BTreeSet<String> {
    let text = server.client().call(&["INFO", "everything"]).text();
    let names = text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned());
    names.filter(|name| !name.contains("stat_") && !name.contains("percentiles")).collect()
}

/// Fields of redis-server 7.0 that say nothing here: its compiler, and the C library's atomics.
const REDIS_ONLY: [&str; 2] = ["gcc_version", "atomicvar_api"];
/// Fields that depend on the machine or that 7.2 no longer has.
const GONE: [&str; 1] = ["cluster_connections"];

/// The labels of fields that come in lines of their own, and what the lines begin with.
const FAMILIES: [(&str, &str); 6] = [
    ("command", "cmdstat_"),
    ("percentile", "latency_percentiles_usec_"),
    ("code", "errorstat_"),
    ("database", "db"),
    ("index", "listener"),
    ("rank", "hot_shard_"),
];

/// The line's field, or what the lines of its family begin with.
fn name_of_line(line: &str) -> Option<&str> {
    let (name, value) = line.split_once(':')?;
    let mut prefixes = FAMILIES.iter().map(|(_, prefix)| *prefix).filter(|_| value.contains('='));
    Some(prefixes.find(|prefix| name.starts_with(prefix)).unwrap_or(name))
}

/// The titles and fields of the reference page, in their order.
fn names_of_page() -> Vec<&'static str> {
    let name = |line: &'static str| {
        let row = line.strip_prefix("| `").and_then(|row| row.split(['`', '<']).next());
        line.strip_prefix("## ").or(row)
    };
    include_str!("../docs/info.md").lines().filter_map(name).collect()
}

fn family_of(labels: &str) -> &'static str {
    let is_of = |(label, _): &&(&str, &str)| labels.contains(&format!("\"{label}\""));
    // A percentile's sample has the command's label too.
    FAMILIES.iter().rev().find(is_of).map_or("", |(_, prefix)| *prefix)
}

every_engine! {
    fn sections_are_chosen_by_name(server: &Server) {
        let mut client = server.client();
        let default = [
            "Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules", "Errorstats",
            "Cluster", "Keyspace",
        ];
        assert_eq!(sections(&client.line("INFO")), default);
        assert_eq!(sections(&client.line("INFO default")), default);
        assert_eq!(sections(&client.line("INFO keyspace CPU cpu nosuch")), ["CPU", "Keyspace"]);
        assert_eq!(sections(&client.line("INFO nosuch")), [""; 0]);
        let all = sections(&client.line("INFO all"));
        assert!(all.contains(&"Commandstats".to_owned()) && !all.contains(&"Modules".to_owned()), "{all:?}");
        assert!(sections(&client.line("INFO everything")).contains(&"Modules".to_owned()));
        assert!(matches!(server.client_resp3().line("INFO"), Reply::Verbatim(format, _) if format == "txt"));
    }

    fn identity(server: &Server) {
        assert_eq!(server.info("process_id"), Some(server.pid().to_string()));
        assert_eq!(server.info("tcp_port"), Some(server.port().to_string()));
        assert_eq!(server.info("run_id").map(|id| id.len()), Some(40));
        assert_eq!(server.info("role").as_deref(), Some("master"));
        if !server.is_redis() {
            assert_eq!(server.info("redis_version").as_deref(), Some("7.2.4"));
            assert!(server.info("engine").is_some());
        }
    }

    fn keys_are_counted_by_database(server: &Server) {
        let mut client = server.client();
        client.check("MSET a 1 b 2", "+OK");
        client.check("SET c 3 EX 1000", "+OK");
        client.check("SELECT 5", "+OK");
        client.check("SET d 1", "+OK");
        let db0 = server.info("db0").expect("db 0 has keys");
        assert!(db0.starts_with("keys=3,expires=1,avg_ttl="), "{db0}");
        assert!(server.info("db5").is_some_and(|db| db.starts_with("keys=1,expires=0")));
        assert_eq!(server.info("db1"), None);
        wait_until("the mean time to live to be sampled", DEADLINE_DEFAULT, || {
            let ttl = server.info("db0").and_then(|db| db.split("avg_ttl=").nth(1)?.split(',').next()?.parse().ok());
            ttl.is_some_and(|ttl: u64| (900_000..=1_000_000).contains(&ttl))
        });
    }

    fn clients_are_counted(server: &Server) {
        let mut client = server.client();
        client.check("PING", "+PONG");
        assert_eq!(server.info("connected_clients").as_deref(), Some("2"));
        client.send(&["BLPOP", "none", "0"]);
        wait_until("a client to block", DEADLINE_DEFAULT, || server.info("blocked_clients").as_deref() == Some("1"));
    }

    fn load_shows_in_the_rates(server: &Server) {
        let mut client = server.client();
        wait_until("a rate", DEADLINE_DEFAULT, || {
            (0..200).for_each(|_| drop(client.line("PING")));
            let rate = |field: &str| server.info(field).and_then(|rate| rate.parse::<f64>().ok()).unwrap_or(0.0);
            rate("instantaneous_ops_per_sec") > 0.0 && rate("instantaneous_input_kbps") > 0.0
        });
    }

    fn slow_commands_are_kept(server: &Server) {
        let mut client = server.client();
        client.check("CLIENT SETNAME bob", "+OK");
        client.check("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 3", "+OK");
        client.check("SLOWLOG RESET", "+OK");
        for key in 0..5 {
            client.check(&format!("SET key:{key} 1"), "+OK");
        }
        client.check("SLOWLOG LEN", "3");
        client.check("CONFIG SET slowlog-log-slower-than -1", "+OK");
        let Reply::Array(entries) = client.line("SLOWLOG GET -1") else { panic!("an array") };
        let Reply::Array(parts) = &entries[1] else { panic!("an array") };
        assert_eq!(parts[3].to_string(), "[\"SET\", \"key:4\", \"1\"]");
        assert_eq!((parts.len(), parts[5].to_string()), (6, "\"bob\"".to_owned()));
        client.check("SLOWLOG GET 0", "[]");
        client.check("SLOWLOG GET -2", "-ERR count should be greater than or equal to -1");
    }

    /// A waiting command is counted and logged when it is served, with the time that it took and not that it waited.
    fn a_blocked_command_counts_once(server: &Server) {
        let mut client = server.client();
        client.send(&["BLPOP", "list", "0"]);
        wait_until("a client to block", DEADLINE_DEFAULT, || server.info("blocked_clients").as_deref() == Some("1"));
        assert_eq!(server.info("cmdstat_blpop"), None);
        server.client().check("RPUSH list a", "1");
        assert_eq!(client.read().to_string(), "[\"list\", \"a\"]");
        wait_until("the call to be counted", DEADLINE_DEFAULT, || {
            server.info("cmdstat_blpop").is_some_and(|line| line.starts_with("calls=1,"))
        });
        client.check("BLPOP list 0.01", "nil-array");
        wait_until("the call to be counted", DEADLINE_DEFAULT, || {
            server.info("cmdstat_blpop").is_some_and(|line| line.starts_with("calls=2,"))
        });
    }

    fn latency_of_commands(server: &Server) {
        let mut client = server.client();
        client.check("SET a 1", "+OK");
        let histogram = client.line("LATENCY HISTOGRAM set nosuch").to_string();
        assert!(histogram.starts_with("[\"set\", [\"calls\", 1, \"histogram_usec\", ["), "{histogram}");
        client.check("LATENCY HISTORY nosuch", "[]");
        client.check("LATENCY RESET", "0");
        client.check("LATENCY LATEST", "[]");
        client.check("LATENCY GRAPH nosuch", "-ERR No samples available for event 'nosuch'");
        assert!(!client.line("LATENCY DOCTOR").text().is_empty());
    }

    /// INFO's lines and the typed samples are one set.
    fn fields_are_samples(server: &Server) with ["--appendonly", "yes", "--enable-debug-command", "yes"] {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        client.check("SET a 1", "+OK");
        client.check("INCRBY a x", "-ERR value is not an integer or out of range");
        let Reply::Array(samples) = client.line("DEBUG SAMPLES") else { panic!("an array") };
        let mut named = BTreeSet::new();
        for sample in &samples {
            let Reply::Array(parts) = sample else { panic!("an array") };
            let [_, name, labels, kind, _, help] = &parts[..] else { panic!("six parts: {sample}") };
            assert!(["counter", "gauge", "fact"].contains(&kind.text().as_str()), "{sample}");
            assert!(help.text().ends_with('.'), "{sample}");
            let is_single = labels.to_string() == "[]";
            let name = if is_single { name.text() } else { family_of(&labels.to_string()).to_owned() };
            named.insert(name);
        }
        for name in client.line("INFO everything").text().lines().filter_map(name_of_line) {
            assert!(named.contains(name), "{name} is no sample");
        }
        let shown: BTreeSet<String> = fields(server).into_iter().collect();
        let is_shown = |name: &&String| shown.contains(*name) || FAMILIES.iter().any(|(_, prefix)| name == prefix);
        assert_eq!(named.iter().find(|name| !is_shown(name)), None);
    }

    /// Some tools read INFO line by line: its lines come in the order of the reference page.
    fn lines_keep_their_order(server: &Server) with ["--appendonly", "yes"] {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        client.check("SET a 1", "+OK");
        client.check("INCRBY a x", "-ERR value is not an integer or out of range");
        let text = client.line("INFO everything").text();
        let name = |line| name_of_line(line).or_else(|| line.strip_prefix("# "));
        let mut lines: Vec<&str> = text.lines().filter_map(name).filter(|name| *name != "Modules").collect();
        lines.dedup();
        let mut page = names_of_page();
        page.dedup();
        // Nothing is being loaded, nobody replicates, and contention is not measured.
        page.retain(|name| !name.starts_with("loading_") && *name != "slave" && *name != "hot_shard_");
        if server.info("engine").as_deref() != Some("lockfree") {
            page.retain(|name| !name.starts_with("published_") && !name.starts_with("retired_"));
        }
        assert_eq!(lines, page);
    }

    fn contention(server: &Server) with ["--contention", "yes"] {
        let mut client = server.client();
        client.check("SET a 1", "+OK");
        // A hold is measured when it ends, which may be behind its reply where another thread owns the key.
        wait_until("a hold to end", DEADLINE_DEFAULT, || {
            let text = server.client().line("INFO contention").text();
            let number = |field: &str| {
                let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
                value.and_then(|value| value.parse::<u64>().ok()).unwrap_or_else(|| panic!("no {field} in {text}"))
            };
            assert!(number("enabled") == 1 && number("lock_acquisitions") > 0, "{text}");
            number("lock_hold_ns_max") > 0
        });
        // The commands of a pipeline may share a hold; it is measured all the same.
        client.check("CONFIG RESETSTAT", "+OK");
        let commands: Vec<Command> = (0..20).map(|key| Command::line(&format!("SET key:{key} 1"))).collect();
        client.pipeline(&commands);
        let text = client.line("INFO contention").text();
        let measured = text.lines().filter_map(|line| line.strip_prefix("lock_acquisitions:")).next();
        let measured: u64 = measured.and_then(|count| count.parse().ok()).unwrap_or(0);
        // One lock; a lock for each shard; one message for several shards of the other thread.
        let expected = match server.info("engine").as_deref() {
            Some("mutex") => 1,
            Some("actor") => 5,
            _ => 15,
        };
        assert!(measured >= expected, "{text}");
        client.check("CONFIG SET contention no", "+OK");
        client.check("CONFIG RESETSTAT", "+OK");
        client.check("SET a 1", "+OK");
        let text = client.line("INFO contention").text();
        assert!(text.contains("enabled:0\r\n") && text.contains("lock_acquisitions:0\r\n"), "{text}");
    }

    fn small_commands(server: &Server) {
        let mut client = server.client();
        client.check("ROLE", "[\"master\", 0, []]");
        client.check("WAIT 0 0", "0");
        client.check("WAIT 0 -1", "-ERR timeout is negative");
        client.check("REPLICAOF NO ONE", "+OK");
        let Reply::Array(time) = client.line("TIME") else { panic!("an array") };
        assert!(time.len() == 2 && time[0].text().parse::<u64>().is_ok_and(|seconds| seconds > 1_700_000_000));
        assert!(client.line("LOLWUT").text().contains("Redis ver."));
        for container in ["CONFIG", "SLOWLOG", "LATENCY", "MEMORY"] {
            let help = client.line(&format!("{container} HELP")).to_string();
            assert!(help.contains(&format!("{container} <subcommand>")), "{help}");
        }
    }

    fn cmdstat(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut client = server.client_resp3();
        client.check("SET a 1", "+OK");
        client.check_prefix("LPUSH a 1", "-WRONGTYPE");
        let Reply::Map(parts) = client.line("CMDSTAT set lpush") else { panic!("a map") };
        assert_eq!(parts[0].0.text(), "strategy");
        let commands = parts[1].1.to_string();
        assert!(commands.starts_with("{\"set\": {\"calls\": 1, "), "{commands}");
        assert!(commands.contains("\"lpush\": {\"calls\": 1, ") && commands.contains("\"failed_calls\": 1"), "{commands}");
    }
}

/// What tools look for in INFO is there: each field of a real redis-server.
#[test]
fn no_field_of_redis_is_missing() {
    let redis = fields(&Server::redis());
    let ours = fields(&Server::rustredis("mutex"));
    let missing: Vec<&String> = redis
        .difference(&ours)
        .filter(|name| !REDIS_ONLY.contains(&name.as_str()) && !GONE.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// SHUTDOWN SAVE leaves a file from which the next start takes the keys.
#[test]
fn shutdown_saves() {
    let mut server = Server::rustredis("dashmap");
    let mut client = server.client();
    client.check("SET a 1", "+OK");
    client.send(&["SHUTDOWN", "SAVE"]);
    assert!(client.read_to_close().is_empty());
    let exited = server.wait_for_exit(Duration::from_secs(10));
    assert_eq!(exited.code, Some(0), "{}", exited.log);
    let file = std::fs::read(server.directory().join("dump.rdb")).expect("the file is there");
    assert!(file.starts_with(b"REDIS") && file.windows(3).any(|part| part == b"\x01a\xc0"), "{file:?}");
}

/// SHUTDOWN ends the process with code 0 and without a reply.
#[test]
fn shutdown_ends_the_process() {
    for engine in rustredis_testkit::engines() {
        let mut server = Server::rustredis(&engine);
        let mut client = server.client();
        client.check("SHUTDOWN SAVE NOSAVE", "-ERR syntax error");
        client.check("SHUTDOWN ABORT", "-ERR No shutdown in progress.");
        client.send(&["SHUTDOWN", "NOSAVE"]);
        assert!(client.read_to_close().is_empty());
        let exited = server.wait_for_exit(Duration::from_secs(10));
        assert_eq!(exited.code, Some(0), "{}", exited.log);
    }
}
