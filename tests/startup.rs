//! The program from outside: options, config files, mistakes in them, and orderly ends.

use std::time::Duration;

use rustredis_testkit::{Binary, Exited, Launch, Server, every_engine, process, wait_until};

const LIMIT: Duration = Duration::from_secs(20);

fn binary() -> Binary {
    Binary::Rustredis("mutex".to_owned())
}

/// Runs it with these arguments alone until it ends.
fn run(arguments: &[&str]) -> Exited {
    Launch::new(binary()).bare().arguments(arguments).run_to_exit(LIMIT)
}

/// A start that must fail with code 1, and say all of `expected`.
#[track_caller]
fn check_failure(exited: &Exited, expected: &[&str]) {
    assert_eq!(exited.code, Some(1), "{}", exited.log);
    for text in expected {
        assert!(exited.log.contains(text), "no {text:?} in:\n{}", exited.log);
    }
}

#[test]
fn a_port_in_use() {
    let server = Server::rustredis("mutex");
    let port = server.port().to_string();
    let exited = run(&["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
    check_failure(&exited, &[&port, "in use"]);
    server.client().check("PING", "+PONG");
}

#[test]
fn a_config_that_cannot_be_read() {
    check_failure(&run(&["/no/such/redis.conf"]), &["/no/such/redis.conf", "No such file or directory"]);
}

#[test]
fn a_bad_directive() {
    let with_config = |config: &str| Launch::new(binary()).bare().config(config).run_to_exit(LIMIT);
    for (config, directive, line) in [
        ("timeout 0\nno-such-directive yes\n", "no-such-directive", 2),
        ("# comment\n\nmaxmemory lots\n", "maxmemory", 3),
        ("port\n", "port", 1),
        ("timeout 0\nrequirepass \"open\n", "requirepass", 2),
    ] {
        let exited = with_config(config);
        check_failure(&exited, &[directive]);
        let places = [
            format!("line {line}\n"),
            format!("line {line} of "),
            format!("redis.conf:{line}:"),
            format!("line {line}:"),
        ];
        assert!(places.iter().any(|place| exited.log.contains(place)), "no line number in:\n{}", exited.log);
    }
    check_failure(&with_config("include /no/such/file.conf\n"), &["/no/such/file.conf"]);
    check_failure(&run(&["--no-such-option", "yes"]), &["no-such-option"]);
    check_failure(&run(&["--port", "no-number"]), &["port"]);
}

/// Lines of a redis.conf that ask for what is not there, the directive first.
const UNSUPPORTED: [&str; 7] = [
    "masterauth secret",
    "tls-port 6380",
    "tls-cert-file /etc/redis/cert.pem",
    "replicaof 127.0.0.1 6379",
    "cluster-enabled yes",
    "loadmodule /usr/lib/module.so",
    "activedefrag yes",
];

/// A server that did less than its file says would be open, unencrypted or alone, and nobody would know.
#[test]
fn what_is_not_supported_refuses_the_start() {
    if binary().is_redis() {
        return;
    }
    for line in UNSUPPORTED {
        let directive = line.split(' ').next().unwrap();
        let config = format!("timeout 0\n\n{line}\n");
        let exited = Launch::new(binary()).bare().config(&config).run_to_exit(LIMIT);
        check_failure(&exited, &["redis.conf", "at line 3 ", directive, "--ignore-unsupported yes"]);
        assert!(!exited.log.contains("secret"), "{}", exited.log);
    }
    check_failure(&run(&["--tls-port", "6380"]), &["command line, at option 1", "TLS is not supported"]);

    // An operator who knows it may do without, and reads in the log what that is.
    let config = format!("ignore-unsupported yes\n{}\n", UNSUPPORTED[..4].join("\n"));
    let server = Launch::new(binary()).config(&config).start();
    for name in ["masterauth", "tls-port", "tls-cert-file", "replicaof"] {
        assert!(server.log().contains(&format!("WARNING: {name} is set and IGNORED")), "{}", server.log());
    }
    server.client().check("PING", "+PONG");
    server.client().check("CONFIG SET tls-port 6381", "+OK");
    server.wait_for_log("WARNING: tls-port is set and IGNORED");
}

/// A value that asks for nothing is no reason to refuse.
#[test]
fn what_asks_for_nothing_is_accepted() {
    let config = "\
        user default on nopass ~* &* +@all\n\
        tls-port 0\n\
        masterauth \"\"\n\
        aclfile \"\"\n\
        cluster-enabled no\n\
        cluster-node-timeout 5000\n\
        replicaof no one\n\
        activedefrag no\n";
    Launch::new(binary()).config(config).start().client().check("PING", "+PONG");
}

/// The file that Debian's package installs, with what would leave the test's directory overridden.
#[test]
fn the_file_of_a_package() {
    let Ok(config) = std::fs::read_to_string("/etc/redis/redis.conf") else {
        eprintln!("left out: there is no /etc/redis/redis.conf that can be read");
        return;
    };
    let launch = Launch::new(binary()).config(&config);
    let server = launch.arguments(&["--logfile", "", "--pidfile", "", "--daemonize", "no"]).start();
    server.client().check("PING", "+PONG");
    server.client().check("CONFIG GET tcp-backlog", "[\"tcp-backlog\", \"511\"]");
}

/// A unit of type `notify` waits for a word from the server.
#[test]
fn systemd_is_told_when_it_is_ready() {
    let directory = rustredis_testkit::Directory::new();
    let path = directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let launch = Launch::new(binary()).environment("NOTIFY_SOCKET", path.to_str().unwrap());
    let server = launch.arguments(&["--supervised", "systemd"]).start();
    let (mut message, mut buffer) = (String::new(), [0; 256]);
    while !message.contains("READY=1\n") {
        let received = socket.recv(&mut buffer).unwrap();
        message.push_str(std::str::from_utf8(&buffer[..received]).unwrap());
    }
    server.client().check("PING", "+PONG");
}

#[test]
fn a_bad_engine() {
    if !binary().is_redis() {
        check_failure(&run(&["--engine", "steam"]), &["steam", "mutex"]);
        check_failure(&run(&["--metrics", "guess"]), &["guess", "sharded"]);
        check_failure(&run(&["--threads", "many"]), &["threads"]);
    }
}

#[test]
fn version_and_help() {
    let version = run(&["--version"]);
    assert_eq!(version.code, Some(0), "{}", version.log);
    // Harnesses of clients take the digits behind ` v=` for Redis's version.
    assert!(version.log.lines().count() == 1 && version.log.contains(" v=7."), "{}", version.log);
    let help = run(&["--help"]);
    assert!(help.log.contains("Usage:") && help.log.contains("--port"), "{}", help.log);
    if !binary().is_redis() {
        assert_eq!(help.code, Some(0));
        assert!(
            ["--engine", "--metrics", "--threads", "redis.conf"].iter().all(|part| help.log.contains(part)),
            "{}",
            help.log
        );
        let shards = run(&["--help", "shards"]);
        assert!(!shards.log.contains("always has one") && shards.log.contains("1024"), "{}", shards.log);
    }
}

#[test]
fn a_config_file_with_everything_in_it() {
    let config = "\
        # a comment\n\
        maxmemory 5mb\n\
        maxmemory-policy   allkeys-lru\n\
        save 900 1\n\
        save 300 10 60 10000\n\
        requirepass \"pass \\x77ord\"\n\
        notify-keyspace-events KEA\n\
        client-output-buffer-limit normal 1gb 512mb 5\n\
        rename-command FLUSHDB \"\"\n\
        rename-command DBSIZE keycount\n\
        timeout 300\n";
    // The file's own lines count, so the command line must not say --save; a real server would write into its directory.
    let server = Launch::new(binary()).config(config).arguments(&["--timeout", "77"]).start();
    let mut client = server.client();
    client.check("AUTH \"pass word\"", "+OK");
    client.check("CONFIG GET maxmemory", "[\"maxmemory\", \"5242880\"]");
    client.check("CONFIG GET maxmemory-policy", "[\"maxmemory-policy\", \"allkeys-lru\"]");
    client.check("CONFIG GET timeout", "[\"timeout\", \"77\"]");
    client.check_prefix(
        "CONFIG GET client-output-buffer-limit",
        "[\"client-output-buffer-limit\", \"normal 1073741824 536870912 5 ",
    );
    client.check_prefix("FLUSHDB", "-ERR unknown command 'FLUSHDB'");
    client.check_prefix("DBSIZE", "-ERR unknown command 'DBSIZE'");
    client.check("KEYCOUNT", "0");
}

#[test]
fn included_files() {
    let server = Server::rustredis("mutex");
    let path = server.directory().join("more.conf");
    std::fs::write(&path, "databases 4\n").unwrap();
    let other = Launch::new(binary()).config(&format!("include {}\n", path.display())).start();
    other.client().check("CONFIG GET databases", "[\"databases\", \"4\"]");
    other.client().check("SELECT 4", "-ERR DB index is out of range");
}

#[test]
fn a_rewritten_config_is_read_again() {
    let server = Launch::new(binary()).config("# kept\ntimeout 5\n").start();
    server.client().check("CONFIG SET maxmemory 7mb", "+OK");
    server.client().check("CONFIG REWRITE", "+OK");
    let text = std::fs::read_to_string(server.directory().join("redis.conf")).unwrap();
    assert!(text.starts_with("# kept\ntimeout 5\n") && text.contains("maxmemory 7mb"), "{text}");
}

every_engine! {
    fn a_signal_ends_it_in_order(server: &Server) {
        // A server of one's own, for this one must stay alive.
        let engine = match server.binary() {
            Binary::Rustredis(engine) => engine.clone(),
            other => panic!("not a server of ours: {other:?}"),
        };
        for signal in [15, 2] {
            let mut other = Server::rustredis(&engine);
            let mut blocked = other.client();
            blocked.send(&["BLPOP", "none", "0"]);
            let mut busy = other.client();
            busy.check("SET a 1", "+OK");
            wait_until("it to block", LIMIT, || other.info("blocked_clients").as_deref() == Some("1"));
            process::signal(other.pid(), signal);
            let exited = other.wait_for_exit(LIMIT);
            assert_eq!(exited.code, Some(0), "{}", exited.log);
            assert_eq!(busy.read_to_close(), []);
        }
    }

    fn shutdown_ends_it(server: &Server) {
        let engine = match server.binary() {
            Binary::Rustredis(engine) => engine.clone(),
            other => panic!("not a server of ours: {other:?}"),
        };
        let mut other = Server::rustredis(&engine);
        let mut client = other.client();
        client.check("SHUTDOWN NOW WRONG", "-ERR syntax error");
        client.send(&["SHUTDOWN", "NOSAVE"]);
        assert_eq!(client.read_to_close(), []);
        assert_eq!(other.wait_for_exit(LIMIT).code, Some(0));
    }

    fn info_tells_the_truth(server: &Server) {
        let info = |field: &str| server.info(field).unwrap_or_else(|| panic!("INFO has no {field}"));
        assert_eq!(info("process_id"), server.pid().to_string());
        assert_eq!(info("tcp_port"), server.port().to_string());
        assert!(info("run_id").len() == 40 && info("run_id").bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(info("uptime_in_seconds").parse::<u64>().unwrap() < 60);
        // The client that looked whether the server is up may still be on its way out.
        wait_until("only this client is left", LIMIT, || info("connected_clients") == "1");
        assert_eq!((info("redis_mode"), info("role")), ("standalone".into(), "master".into()));
        if !server.is_redis() {
            assert_eq!(info("redis_version"), "7.2.4");
        }
        server.client().check("SET a 1", "+OK");
        server.client().check("SET b 1 EX 1000", "+OK");
        assert!(info("db0").starts_with("keys=2,expires=1,avg_ttl="), "{}", info("db0"));
        assert!(info("used_memory").parse::<u64>().unwrap() > 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn huge_pages_are_done_without_unless_wanted() {
    for (value, expected) in [(None, "0"), (Some("no"), "1"), (Some("yes"), "0")] {
        let arguments: Vec<&str> = value.into_iter().flat_map(|value| ["--disable-thp", value]).collect();
        let server = Launch::new(binary()).arguments(&arguments).start();
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let enabled = status.lines().find_map(|line| line.strip_prefix("THP_enabled:")).map(str::trim);
        // Kernels before 5.0 do not tell.
        assert!(enabled.is_none_or(|enabled| enabled == expected), "{value:?}: {enabled:?}");
        server
            .client()
            .check("CONFIG GET disable-thp", &format!("[\"disable-thp\", \"{}\"]", value.unwrap_or("yes")));
    }
}
