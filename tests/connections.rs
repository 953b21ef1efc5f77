//! Connections in numbers: open, idle, active, refused and closed, and what they leave behind in memory.

use std::time::Duration;

use rustredis_testkit::{
    Client, DEADLINE_DEFAULT, Reply, Server, assert_reply, every_engine, process, wait_until,
};

/// Connections that are open at once here; `cargo xtask soak connections` does it with 10,000.
const CONNECTIONS: usize = 2_000;
/// What all of them may leave behind, in bytes: allocators keep some of what was freed.
const LEFT_BEHIND_MAX: u64 = 16 * 1024 * 1024;

fn wait_for_connected(server: &Server, count: usize) {
    // The connection that asks is one of them.
    let expected = Some((count + 1).to_string());
    wait_until(&format!("{count} connections"), DEADLINE_DEFAULT, || {
        server.info("connected_clients") == expected
    });
}

fn resident(server: &Server) -> u64 {
    process::resident_bytes(server.pid()).expect("the server runs")
}

fn client_if_there_is_room(server: &Server) -> Option<Client> {
    let mut client = server.client();
    let has_room = client.try_call(&["PING"]).is_ok_and(|reply| !reply.is_error());
    has_room.then_some(client)
}

every_engine! {
    fn thousands_open_work_and_close(server: &Server) {
        process::raise_open_file_limit(CONNECTIONS as u64 + 500).unwrap();
        server.client().check("PING", "+PONG");
        let before = resident(server);
        let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.client()).collect();
        wait_for_connected(server, CONNECTIONS);
        let value = "v".repeat(1_000);
        for round in 0..3 {
            for (number, client) in clients.iter_mut().enumerate() {
                client.send(&["SET", &format!("key:{}", number % 100), &format!("{round}{value}")]);
                client.send(&["ECHO", &number.to_string()]);
            }
            for (number, client) in clients.iter_mut().enumerate() {
                assert_reply!(client.read(), "+OK");
                assert_eq!(client.read().text(), number.to_string());
            }
        }
        let open = resident(server);
        assert!(open < before + CONNECTIONS as u64 * 64 * 1024, "{before} bytes became {open}");
        drop(clients);
        wait_for_connected(server, 0);
        wait_until(&format!("{open} bytes to become {before} again"), DEADLINE_DEFAULT, || {
            resident(server) < before + LEFT_BEHIND_MAX
        });
    }

    /// Connections come and go quickly, some in the middle of a command, some while blocked, subscribed or watching.
    fn short_lives_leave_nothing(server: &Server) {
        for number in 0..600 {
            let mut client = server.client();
            match number % 6 {
                0 => client.check("PING", "+PONG"),
                1 => client.send(&["BLPOP", "none", "0"]),
                2 => client.send(&["SUBSCRIBE", "channel"]),
                3 => client.send_raw(b"*2\r\n$3\r\nGET\r\n$100\r\nhalf"),
                4 => client.send_raw(b"*1\r\n$5\r\nMULTI\r\n*2\r\n$5\r\nWATCH\r\n$1\r\nk\r\n*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n"),
                _ => client.send(&["MONITOR"]),
            }
        }
        wait_for_connected(server, 0);
        let mut client = server.client();
        client.check("PUBSUB NUMSUB channel", "[\"channel\", 0]");
        client.check("EXISTS k", "0");
        client.check("RPUSH none x", "1");
        client.check("LLEN none", "1");
        assert_eq!(server.info("blocked_clients").as_deref(), Some("0"));
    }

    fn more_than_maxclients_are_refused(server: &Server) with ["--maxclients", "10"] {
        // Who asked the server whether it is ready may still be on its way out and take a place.
        let mut clients: Vec<Client> = Vec::new();
        wait_until("ten clients", DEADLINE_DEFAULT, || {
            clients.extend(client_if_there_is_room(server));
            clients.len() == 10
        });
        let refusal = server.client().read_to_close();
        assert_eq!(refusal, [Reply::Error("ERR max number of clients reached".into())]);
        clients.pop();
        wait_until("room for one more", DEADLINE_DEFAULT, || client_if_there_is_room(server).is_some());
        clients[0].check("PING", "+PONG");
    }

    /// Who asks for much and reads nothing is cut off before the replies fill the memory.
    fn a_slow_reader_is_cut_off(server: &Server) with ["--client-output-buffer-limit", "normal 8mb 4mb 1"] {
        let mut client = server.client();
        let value = "v".repeat(1_000_000);
        assert_reply!(client.call(&["SET", "big", &value]), "+OK");
        let before = resident(server);
        let mut reader = server.client();
        for _ in 0..300 {
            // The server closes at some point, which is what is waited for.
            if reader.try_send_raw(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n").is_err() {
                break;
            }
        }
        wait_for_connected(server, 1);
        let after = resident(server);
        assert!(after < before + 120 * 1024 * 1024, "{before} bytes became {after}");
        client.check("STRLEN big", "1000000");
    }

    /// A subscriber that does not read is cut off as well, and its publisher does not notice.
    fn a_slow_subscriber_is_cut_off(server: &Server) with ["--client-output-buffer-limit", "pubsub 4mb 0 0"] {
        let mut subscriber = server.client();
        subscriber.line("SUBSCRIBE c");
        let mut client = server.client();
        let message = "m".repeat(200_000);
        wait_until("the subscriber to be dropped", DEADLINE_DEFAULT, || {
            client.call(&["PUBLISH", "c", &message]) == Reply::Integer(0)
        });
    }

    fn the_idle_are_hung_up_on(server: &Server) with ["--timeout", "1"] {
        let mut idle = server.client();
        let mut subscriber = server.client();
        subscriber.line("SUBSCRIBE c");
        let mut blocked = server.client();
        blocked.send(&["BLPOP", "none", "0"]);
        assert_eq!(idle.read_to_close(), []);
        assert_eq!(subscriber.read_within(Duration::from_millis(1)), None);
        assert_eq!(blocked.read_within(Duration::from_millis(1)), None);
    }

    /// A client that is killed is gone, whether it is idle, blocked or the one that asks.
    fn killing(server: &Server) {
        let (mut killer, mut idle, mut blocked) = (server.client(), server.client(), server.client());
        let idle_id = idle.line("CLIENT ID").integer();
        let blocked_id = blocked.line("CLIENT ID").integer();
        blocked.send(&["BLPOP", "none", "0"]);
        wait_until("it to block", DEADLINE_DEFAULT, || server.info("blocked_clients").as_deref() == Some("1"));
        killer.check(&format!("CLIENT KILL ID {idle_id}"), "1");
        killer.check(&format!("CLIENT KILL ID {blocked_id}"), "1");
        killer.check(&format!("CLIENT KILL ID {blocked_id}"), "0");
        assert_eq!(idle.read_to_close(), []);
        assert_eq!(blocked.read_to_close(), []);
        let own_id = killer.line("CLIENT ID").integer();
        killer.check(&format!("CLIENT KILL ID {own_id} SKIPME no"), "1");
        assert_eq!(killer.read_to_close(), []);
        wait_for_connected(server, 0);
    }

    fn a_client_is_listed_with_its_addresses(server: &Server) {
        let mut client = server.client();
        let mut list = String::new();
        // Who asked the server whether it is ready may still be on its way out.
        wait_until("one client to be left", DEADLINE_DEFAULT, || {
            list = client.line("CLIENT LIST").text();
            list.lines().count() == 1
        });
        assert!(list.contains(&format!(" laddr=127.0.0.1:{} ", server.port())), "{list}");
        assert!(list.contains(" cmd=client|list ") && list.contains(" name= ") && list.contains(" db=0 "), "{list}");
        client.check("CLIENT SETNAME me", "+OK");
        client.check("SELECT 3", "+OK");
        let info = client.line("CLIENT INFO").text();
        assert!(info.contains(" name=me ") && info.contains(" db=3 "), "{info}");
    }
}
