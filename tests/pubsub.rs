//! Publish and subscribe: who hears what, in which order and in which protocol; keyspace events; slow readers.

use std::time::Duration;

use rustredis_testkit::{Client, Command, DEADLINE_DEFAULT, Reply, assert_reply, every_engine, wait_until};

/// As long as it takes to be sure that nothing comes.
const SILENCE: Duration = Duration::from_millis(50);

#[track_caller]
fn check_next(client: &mut Client, expected: &str) {
    assert_reply!(client.read(), expected);
}

every_engine! {
    fn a_message_reaches_who_subscribed(server: &Server) {
        let (mut subscriber, mut modern, mut publisher) = (server.client(), server.client_resp3(), server.client());
        publisher.check("PUBLISH news hi", "0");
        subscriber.check("SUBSCRIBE news sport", "[\"subscribe\", \"news\", 1]");
        check_next(&mut subscriber, "[\"subscribe\", \"sport\", 2]");
        modern.check("SUBSCRIBE news", ">[\"subscribe\", \"news\", 1]");
        publisher.check("PUBLISH news hi", "2");
        check_next(&mut subscriber, "[\"message\", \"news\", \"hi\"]");
        check_next(&mut modern, ">[\"message\", \"news\", \"hi\"]");
        subscriber.check("UNSUBSCRIBE news", "[\"unsubscribe\", \"news\", 1]");
        publisher.check("PUBLISH news again", "1");
        publisher.check("PUBLISH sport \"\"", "1");
        check_next(&mut subscriber, "[\"message\", \"sport\", \"\"]");
        check_next(&mut modern, ">[\"message\", \"news\", \"again\"]");
    }

    fn a_pattern_hears_every_channel_that_matches(server: &Server) {
        let (mut subscriber, mut publisher) = (server.client(), server.client());
        subscriber.check("PSUBSCRIBE n?ws.* *", "[\"psubscribe\", \"n?ws.*\", 1]");
        check_next(&mut subscriber, "[\"psubscribe\", \"*\", 2]");
        subscriber.check("SUBSCRIBE news.eu", "[\"subscribe\", \"news.eu\", 3]");
        publisher.check("PUBLISH news.eu hi", "3");
        check_next(&mut subscriber, "[\"message\", \"news.eu\", \"hi\"]");
        let mut rest = [subscriber.read().to_string(), subscriber.read().to_string()];
        rest.sort();
        assert_eq!(rest, [
            "[\"pmessage\", \"*\", \"news.eu\", \"hi\"]",
            "[\"pmessage\", \"n?ws.*\", \"news.eu\", \"hi\"]",
        ]);
        publisher.check("PUBLISH weather rain", "1");
        check_next(&mut subscriber, "[\"pmessage\", \"*\", \"weather\", \"rain\"]");
        publisher.check("PUBSUB NUMPAT", "2");
        subscriber.check("PUNSUBSCRIBE *", "[\"punsubscribe\", \"*\", 2]");
        publisher.check("PUBLISH weather sun", "0");
    }

    fn shard_channels_are_apart(server: &Server) {
        let (mut subscriber, mut publisher) = (server.client(), server.client());
        subscriber.check("SSUBSCRIBE a", "[\"ssubscribe\", \"a\", 1]");
        subscriber.check("SUBSCRIBE a", "[\"subscribe\", \"a\", 1]");
        publisher.check("SPUBLISH a x", "1");
        check_next(&mut subscriber, "[\"smessage\", \"a\", \"x\"]");
        publisher.check("PUBLISH a y", "1");
        check_next(&mut subscriber, "[\"message\", \"a\", \"y\"]");
        publisher.check("PUBSUB SHARDCHANNELS", "[\"a\"]");
        publisher.check("PUBSUB SHARDNUMSUB a b", "[\"a\", 1, \"b\", 0]");
        subscriber.check("SUNSUBSCRIBE", "[\"sunsubscribe\", \"a\", 0]");
        publisher.check("SPUBLISH a x", "0");
        publisher.check("PUBSUB CHANNELS", "[\"a\"]");
    }

    fn channels_are_listed_and_counted(server: &Server) {
        let (mut one, mut two, mut asker) = (server.client(), server.client(), server.client());
        asker.check("PUBSUB CHANNELS", "[]");
        one.line("SUBSCRIBE news");
        two.line("SUBSCRIBE news");
        two.line("SUBSCRIBE other");
        two.line("PSUBSCRIBE n*");
        asker.check_unordered("PUBSUB CHANNELS", &["\"news\"", "\"other\""]);
        asker.check("PUBSUB CHANNELS n*", "[\"news\"]");
        asker.check("PUBSUB NUMSUB news none other", "[\"news\", 2, \"none\", 0, \"other\", 1]");
        asker.check("PUBSUB NUMSUB", "[]");
        drop(two);
        wait_until("it to be forgotten", DEADLINE_DEFAULT, || {
            asker.line("PUBSUB NUMPAT").integer() == 0
                && asker.line("PUBSUB NUMSUB news other").to_string() == "[\"news\", 1, \"other\", 0]"
        });
    }

    fn unsubscribing_from_everything(server: &Server) {
        let mut client = server.client();
        client.check("UNSUBSCRIBE", "[\"unsubscribe\", nil, 0]");
        client.check("PUNSUBSCRIBE a b", "[\"punsubscribe\", \"a\", 0]");
        check_next(&mut client, "[\"punsubscribe\", \"b\", 0]");
        client.line("SUBSCRIBE a b c");
        client.read();
        client.read();
        client.send(&["UNSUBSCRIBE"]);
        let counts: Vec<i64> = (0..3).map(|_| client.read().elements()[2].integer()).collect();
        assert_eq!(counts, [2, 1, 0]);
        client.check("GET key", "nil");
        server.client_resp3().check("UNSUBSCRIBE", ">[\"unsubscribe\", null, 0]");
    }

    fn subscribing_twice_counts_once(server: &Server) {
        let (mut subscriber, mut publisher) = (server.client(), server.client());
        subscriber.line("SUBSCRIBE a");
        subscriber.check("SUBSCRIBE a", "[\"subscribe\", \"a\", 1]");
        publisher.check("PUBLISH a x", "1");
        check_next(&mut subscriber, "[\"message\", \"a\", \"x\"]");
        assert_eq!(subscriber.read_within(SILENCE), None);
    }

    fn a_subscriber_speaks_little_in_resp2(server: &Server) {
        let mut client = server.client();
        client.line("SUBSCRIBE a");
        let refused = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
        client.check("GET key", &format!("-ERR Can't execute 'get': {refused}"));
        client.check("CLIENT ID", &format!("-ERR Can't execute 'client|id': {refused}"));
        client.check("NONE", "-ERR unknown command 'NONE', with args beginning with: ");
        client.check("PING", "[\"pong\", \"\"]");
        client.check("PING hello", "[\"pong\", \"hello\"]");
        client.check("RESET", "+RESET");
        client.check("GET key", "nil");
        server.client().check("PUBLISH a x", "0");
        client.line("SUBSCRIBE a");
        client.check("QUIT", "+OK");
        assert_eq!(client.read_to_close(), []);
    }

    fn a_subscriber_does_anything_in_resp3(server: &Server) {
        let mut client = server.client_resp3();
        client.check("SUBSCRIBE a", ">[\"subscribe\", \"a\", 1]");
        client.check("PING", "+PONG");
        client.check("SET key 1", "+OK");
        client.check("GET key", "\"1\"");
    }

    /// What a command sends to its own client follows the reply (7.0 sent it before).
    fn own_messages_follow_the_reply(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut client = server.client_resp3();
        client.check("CONFIG SET notify-keyspace-events KEA", "+OK");
        client.line("SUBSCRIBE a __keyspace@0__:key");
        client.read();
        let lines = ["PUBLISH a x", "PING", "SET key 1", "GET key"].map(Command::line);
        let mut bytes = Vec::new();
        lines.iter().for_each(|line| line.encode(&mut bytes));
        client.send_raw(&bytes);
        check_next(&mut client, "1");
        check_next(&mut client, ">[\"message\", \"a\", \"x\"]");
        check_next(&mut client, "+PONG");
        check_next(&mut client, "+OK");
        check_next(&mut client, ">[\"message\", \"__keyspace@0__:key\", \"set\"]");
        check_next(&mut client, "\"1\"");
        client.check("MULTI", "+OK");
        client.check("PUBLISH a y", "+QUEUED");
        client.check("PING", "+QUEUED");
        client.check("EXEC", "[1, +PONG]");
        check_next(&mut client, ">[\"message\", \"a\", \"y\"]");
    }

    fn subscribing_in_a_transaction(server: &Server) {
        let (mut client, mut publisher) = (server.client(), server.client());
        client.check("MULTI", "+OK");
        client.check("SUBSCRIBE a", "+QUEUED");
        client.check("PING", "+QUEUED");
        client.check("EXEC", "[[\"subscribe\", \"a\", 1], [\"pong\", \"\"]]");
        publisher.check("PUBLISH a x", "1");
        check_next(&mut client, "[\"message\", \"a\", \"x\"]");
    }

    /// Messages of each publisher come in its order, and two subscribers see the same order.
    fn order_is_kept(server: &Server) {
        const PUBLISHERS: usize = 4;
        const MESSAGES: usize = 500;
        let mut subscribers = [server.client(), server.client_resp3()];
        subscribers[0].line("SUBSCRIBE c");
        subscribers[1].line("PSUBSCRIBE c*");
        std::thread::scope(|scope| {
            for publisher in 0..PUBLISHERS {
                scope.spawn(move || {
                    let mut client = server.client();
                    let lines: Vec<Command> =
                        (0..MESSAGES).map(|number| Command::line(&format!("PUBLISH c {publisher}:{number}"))).collect();
                    assert!(client.pipeline(&lines).iter().all(|reply| reply.integer() == 2));
                });
            }
        });
        let heard = subscribers.each_mut().map(|subscriber| -> Vec<String> {
            (0..PUBLISHERS * MESSAGES)
                .map(|_| match subscriber.read() {
                    Reply::Array(parts) | Reply::Push(parts) => parts.last().unwrap().text(),
                    other => panic!("no message: {other}"),
                })
                .collect()
        });
        assert_eq!(heard[0], heard[1]);
        for publisher in 0..PUBLISHERS {
            let prefix = format!("{publisher}:");
            let numbers: Vec<usize> =
                heard[0].iter().filter_map(|text| text.strip_prefix(&prefix)?.parse().ok()).collect();
            assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>());
        }
    }

    fn keyspace_events(server: &Server) {
        let (mut client, mut subscriber) = (server.client(), server.client());
        subscriber.line("PSUBSCRIBE __key*");
        client.check("SET a 1", "+OK");
        client.check("CONFIG SET notify-keyspace-events K$", "+OK");
        client.check("SET a 1", "+OK");
        check_next(&mut subscriber, "[\"pmessage\", \"__key*\", \"__keyspace@0__:a\", \"set\"]");
        client.check("DEL a", "1");
        client.check("CONFIG SET notify-keyspace-events Eg", "+OK");
        client.check("SELECT 3", "+OK");
        client.check("SET a 1", "+OK");
        client.check("EXPIRE a 100", "1");
        check_next(&mut subscriber, "[\"pmessage\", \"__key*\", \"__keyevent@3__:expire\", \"a\"]");
        client.check("CONFIG SET notify-keyspace-events KEx", "+OK");
        client.check("SET b 1 PX 1", "+OK");
        check_next(&mut subscriber, "[\"pmessage\", \"__key*\", \"__keyspace@3__:b\", \"expired\"]");
        check_next(&mut subscriber, "[\"pmessage\", \"__key*\", \"__keyevent@3__:expired\", \"b\"]");
        client.check("CONFIG SET notify-keyspace-events \"\"", "+OK");
        client.check("DEL a", "1");
        assert_eq!(subscriber.read_within(SILENCE), None);
    }

    /// A subscriber that does not read is closed at the hard limit, and later at the soft one, also without traffic.
    fn who_does_not_read_is_closed(server: &Server)
        with ["--client-output-buffer-limit", "pubsub 30mb 1mb 1"]
    {
        let mut client = server.client();
        let message = "m".repeat(1_000_000);
        let mut publish = |times: usize| {
            (0..times).map(|_| client.call(&["PUBLISH", "c", &message]).integer()).last()
        };
        let mut soft = server.client();
        soft.line("SUBSCRIBE c");
        // More than the sockets hold, and less than the hard limit.
        publish(16);
        let mut asker = server.client();
        wait_until("the soft limit", DEADLINE_DEFAULT, || {
            asker.line("PUBSUB NUMSUB c").to_string() == "[\"c\", 0]"
        });
        let mut hard = server.client();
        hard.line("SUBSCRIBE c");
        assert_eq!(publish(100), Some(0));
        drop((soft, hard));
    }
}
