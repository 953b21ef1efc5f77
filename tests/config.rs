//! CONFIG: changing the running server, all or nothing, and writing the file back.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rustredis_testkit::{Client, DEADLINE_DEFAULT, every_engine, wait_until};

/// A port that nobody listens on at the moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("the listener has an address").port()
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

every_engine! {
    fn what_is_set_is_shown(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET maxmemory 100mb timeout 7", "+OK");
        client.check("CONFIG GET maxmemory", "[\"maxmemory\", \"104857600\"]");
        client.check("CONFIG GET time* maxmemory", "[\"timeout\", \"7\", \"maxmemory\", \"104857600\"]");
        client.check("CONFIG GET nosuch", "[]");
        assert_eq!(server.client_resp3().line("CONFIG GET timeout").to_string(), "{\"timeout\": \"7\"}");
    }

    fn a_wrong_value_changes_nothing(server: &Server) {
        let mut client = server.client();
        client.check_prefix("CONFIG SET timeout 5 hz x", "-ERR CONFIG SET failed (possibly related to argument 'hz')");
        client.check("CONFIG GET timeout", "[\"timeout\", \"0\"]");
        client.check("CONFIG SET timeout", "-ERR wrong number of arguments for 'config|set' command");
        client.check("CONFIG SET timeout 1 hz", "-ERR syntax error");
        client.check_prefix("CONFIG SET nosuch 1", "-ERR Unknown option");
        client.check_prefix("CONFIG SET databases 4", "-ERR CONFIG SET failed (possibly related to argument 'databases')");
        client.check_prefix("CONFIG NOSUCH", "-ERR unknown subcommand 'NOSUCH'");
    }

    fn the_server_moves_to_another_port(server: &Server) {
        let mut client = server.client();
        let port = free_port();
        client.check(&format!("CONFIG SET port {port}"), "+OK");
        Client::connect(at(port)).check("PING", "+PONG");
        assert!(Client::try_connect(server.address()).is_err(), "the old port is still open");
        client.check("PING", "+PONG");
        client.check(&format!("CONFIG SET port {}", server.port()), "+OK");
        server.client().check("PING", "+PONG");
    }

    fn a_port_in_use_is_refused(server: &Server) {
        let mut client = server.client();
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port is free");
        let port = taken.local_addr().expect("the listener has an address").port();
        client.check(
            &format!("CONFIG SET timeout 9 port {port}"),
            "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.",
        );
        client.check("CONFIG GET timeout", "[\"timeout\", \"0\"]");
        server.client().check("CONFIG GET port", &format!("[\"port\", \"{}\"]", server.port()));
    }

    fn bind_changes_and_comes_back(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET bind 127.0.0.1", "+OK");
        server.client().check("PING", "+PONG");
        client.check_prefix("CONFIG SET bind 999.999.999.999", "-ERR CONFIG SET failed (possibly related to argument 'bind')");
        server.client().check("PING", "+PONG");
    }

    fn a_password_concerns_new_clients(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET requirepass secret", "+OK");
        client.check("PING", "+PONG");
        let mut other = server.client();
        other.check("PING", "-NOAUTH Authentication required.");
        client.check("CONFIG SET requirepass \"\"", "+OK");
        other.check("PING", "+PONG");
    }

    /// With the password the need to authenticate ends, and with it the limits for those who have not.
    fn without_a_password_everybody_is_authenticated(server: &Server) with ["--requirepass", "secret"] {
        let (mut admin, mut other) = (server.client(), server.client());
        admin.check("AUTH secret", "+OK");
        other.check("PING", "-NOAUTH Authentication required.");
        admin.check("CONFIG SET requirepass \"\"", "+OK");
        // More arguments, and longer ones, than somebody may send who has to authenticate.
        let pairs = "k v ".repeat(20);
        other.check(&format!("MSET {pairs}"), "+OK");
        other.check(&format!("SET long {}", "x".repeat(100_000)), "+OK");
        admin.check("CONFIG SET requirepass another", "+OK");
        other.check("PING", "-NOAUTH Authentication required.");
        admin.check("PING", "+PONG");
        // Who came without a password, or has begun anew without one, stays.
        admin.check("CONFIG SET requirepass \"\"", "+OK");
        let mut later = server.client();
        later.check("PING", "+PONG");
        other.check("RESET", "+RESET");
        admin.check("CONFIG SET requirepass third", "+OK");
        later.check("PING", "+PONG");
        other.check("PING", "+PONG");
    }

    fn maxclients_holds_at_once(server: &Server) {
        let mut client = server.client();
        client.check("CONFIG SET maxclients 2", "+OK");

        wait_until("a client to be refused", DEADLINE_DEFAULT, || {
            // Two may stay, and one of them is here already.
            let (mut one, mut two) = (server.client(), server.client());
            let refused = |client: &mut Client| {
                client.try_call(&["PING"]).map_or(true, |reply| reply.to_string().starts_with("-ERR max number"))
            };
            refused(&mut one) | refused(&mut two)
        });
        client.check("CONFIG SET maxclients 100", "+OK");
        client.check_prefix(
            "CONFIG SET maxclients 4000000000",
            "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able",
        );
        client.check("CONFIG GET maxclients", "[\"maxclients\", \"100\"]");
    }

    fn an_idle_client_is_closed(server: &Server) {
        let mut idle = server.client();
        idle.check("PING", "+PONG");
        let mut client = server.client();
        client.check("CONFIG SET timeout 1", "+OK");
        assert!(idle.read_to_close().is_empty());
        server.client().check("CONFIG SET timeout 0", "+OK");
    }

    fn resetstat_starts_at_zero(server: &Server) {
        let mut client = server.client();
        client.line("GET none");
        client.line("NOSUCH");
        client.check("CONFIG RESETSTAT", "+OK");
        for field in ["keyspace_misses", "total_error_replies", "expired_keys", "evicted_keys"] {
            assert_eq!(server.info(field).as_deref(), Some("0"), "{field}");
        }
        assert_eq!(server.info("errorstat_ERR"), None);
    }

    fn what_is_not_supported_is_refused(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        for (name, value) in [
            ("tls-port", "1"),
            ("tls-cert-file", "/a.pem"),
            ("tls-replication", "yes"),
            ("masterauth", "secret"),
            ("masteruser", "someone"),
            ("activedefrag", "yes"),
            ("locale-collate", "de_DE.UTF-8"),
            ("oom-score-adj", "yes"),
        ] {
            let before = client.line(&format!("CONFIG GET {name}")).to_string();
            let failed = format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - ");
            client.check_prefix(&format!("CONFIG SET timeout 9 {name} {value}"), &failed);
            client.check(&format!("CONFIG GET {name}"), &before);
        }
        client.check("CONFIG GET timeout", "[\"timeout\", \"0\"]");
        client.check_prefix(
            "CONFIG SET activedefrag yes",
            "-ERR CONFIG SET failed (possibly related to argument 'activedefrag') - Active defragmentation cannot be enabled: ",
        );
        // What asks for nothing is done.
        client.check("CONFIG SET tls-port 0 masterauth \"\" activedefrag no tls-session-caching no", "+OK");
    }

    fn rewrite_needs_a_file(server: &Server) {
        if !server.is_redis() {
            server.client().check("CONFIG REWRITE", "-ERR The server is running without a config file");
        }
    }
}

/// What CONFIG SET has changed is in the file, and what the file said is still there.
#[test]
fn rewrite_writes_the_file() {
    let server = rustredis_testkit::Launch::new(rustredis_testkit::Binary::Rustredis("mutex".into()))
        .config("# a comment\nhz 20\n")
        .start();
    let mut client = server.client();
    client.check("CONFIG SET hz 50 maxmemory-policy allkeys-lru", "+OK");
    client.check("CONFIG REWRITE", "+OK");
    let path = server.info("config_file").expect("the server has a file");
    let text = std::fs::read_to_string(&path).expect("the file is there");
    assert!(text.starts_with("# a comment\nhz 50\n"), "{text}");
    assert!(text.contains("\nmaxmemory-policy allkeys-lru\n"), "{text}");
    let directory = std::path::Path::new(&path).parent().expect("the file is in a directory");
    let leftover = std::fs::read_dir(directory)
        .expect("the directory can be read")
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().ends_with(".tmp"));
    assert!(!leftover, "a temporary file was left behind");
}
