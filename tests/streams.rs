//! Streams: entries, groups, who waits; what is written of them, and what a restart finds. The replies were asked of redis-server 7.0.15.

use std::time::Duration;

use rustredis_testkit::{
    Client, Command, DEADLINE_DEFAULT, Launch, Reply, Server, assert_reply, every_engine, wait_until,
};

const SILENCE: Duration = Duration::from_millis(50);

/// A client that waits in this command; it has begun to wait when this returns.
#[track_caller]
fn blocked(server: &Server, line: &str) -> Client {
    let mut client = server.client();
    let id = client.line("CLIENT ID").integer();
    client.send(&Command::line(line).arguments);
    let mut asker = server.client();
    wait_until(&format!("{line} to block"), DEADLINE_DEFAULT, || {
        asker.line(&format!("CLIENT LIST ID {id}")).text().contains("flags=b")
    });
    client
}

#[track_caller]
fn check_all(client: &mut Client, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        client.check(line, expected);
    }
}

every_engine! {
    fn entries_have_ascending_ids(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, &[
            ("XADD s 0-0 a b", "-ERR The ID specified in XADD must be greater than 0-0"),
            ("EXISTS s", "0"),
            ("XADD s NOMKSTREAM * a b", "nil"),
            ("XADD s 0-* a b", "\"0-1\""),
            ("XADD s 1 a b", "\"1-0\""),
            ("XADD s 1-* a b c d", "\"1-1\""),
            ("XADD s 1-1 a b", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"),
            ("XADD s 0-7 a b", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"),
            ("XADD s * a", "-ERR wrong number of arguments for 'xadd' command"),
            ("XADD s * a b c", "-ERR wrong number of arguments for 'xadd' command"),
            ("XADD s x a b", "-ERR Invalid stream ID specified as stream command argument"),
            ("XADD s 18446744073709551615-18446744073709551614 a b", "\"18446744073709551615-18446744073709551614\""),
            ("XADD s * a b", "\"18446744073709551615-18446744073709551615\""),
            ("XADD s * a b", "-ERR The stream has exhausted the last possible ID, unable to add more items"),
            ("XLEN s", "5"),
            ("TYPE s", "+stream"),
            ("OBJECT ENCODING s", "\"stream\""),
            ("SET string x", "+OK"),
            ("XADD string * a b", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XLEN string", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XLEN nothing", "0"),
        ]);
    }

    fn ranges_go_both_ways(server: &Server) {
        let mut client = server.client();
        for number in 1..=4 {
            client.line(&format!("XADD s {number}-0 n {number}"));
        }
        check_all(&mut client, &[
            ("XRANGE s 2 3", "[[\"2-0\", [\"n\", \"2\"]], [\"3-0\", [\"n\", \"3\"]]]"),
            ("XRANGE s (2 + COUNT 1", "[[\"3-0\", [\"n\", \"3\"]]]"),
            ("XREVRANGE s + - COUNT 2", "[[\"4-0\", [\"n\", \"4\"]], [\"3-0\", [\"n\", \"3\"]]]"),
            ("XREVRANGE s (2-0 -", "[[\"1-0\", [\"n\", \"1\"]]]"),
            ("XRANGE s - + COUNT 0", "nil-array"),
            ("XRANGE s - + COUNT -3", "nil-array"),
            ("XRANGE nothing - + COUNT 0", "[]"),
            ("XRANGE s 5 2", "[]"),
            ("XRANGE s - + COUNT", "-ERR syntax error"),
            ("XRANGE s (- +", "-ERR Invalid stream ID specified as stream command argument"),
            ("XRANGE s (18446744073709551615-18446744073709551615 +", "-ERR invalid start ID for the interval"),
            ("XRANGE s - (0-0", "-ERR invalid end ID for the interval"),
            ("XDEL s 2-0 9-9 x", "-ERR Invalid stream ID specified as stream command argument"),
            ("XDEL s 2-0 9-9", "1"),
            ("XLEN s", "3"),
            ("XDEL s 1-0 3-0 4-0", "3"),
            ("EXISTS s", "1"),
            ("XADD s 4-0 n x", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"),
        ]);
    }

    fn trimming_keeps_the_newest(server: &Server) {
        let mut client = server.client();
        for number in 1..=250 {
            client.line(&format!("XADD s {number} n {number}"));
        }
        check_all(&mut client, &[
            ("XTRIM s MAXLEN ~ 180", "0"),
            ("XTRIM s MAXLEN ~ 120", "100"),
            ("XTRIM s MAXLEN = 120", "30"),
            ("XTRIM s MINID 140", "9"),
            ("XTRIM s MINID ~ 249", "61"),
            ("XTRIM s MINID ~ 251 LIMIT 10", "0"),
            ("XLEN s", "50"),
            ("XADD s MAXLEN 2 251 n 251", "\"251-0\""),
            ("XRANGE s - +", "[[\"250-0\", [\"n\", \"250\"]], [\"251-0\", [\"n\", \"251\"]]]"),
            ("XADD s MAXLEN 0 252 n 252", "\"252-0\""),
            ("XLEN s", "0"),
            ("XTRIM s MAXLEN -1", "-ERR The MAXLEN argument must be >= 0."),
            ("XTRIM s MAXLEN 1 LIMIT 5", "-ERR syntax error, LIMIT cannot be used without the special ~ option"),
            ("XTRIM s MAXLEN 1 MINID 5", "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible"),
            ("XTRIM s LIMIT 5 x", "-ERR syntax error"),
            ("XTRIM nothing MAXLEN 1", "0"),
        ]);
    }

    fn marks_are_set_and_told(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, &[
            ("XSETID s 1-1", "-ERR no such key"),
            ("XADD s 5-1 a b", "\"5-1\""),
            ("XSETID s 1-1", "-ERR The ID specified in XSETID is smaller than the target stream top item"),
            ("XSETID s 7-1 ENTRIESADDED 0", "-ERR The entries_added specified in XSETID is smaller than the target stream length"),
            ("XSETID s 7-1 ENTRIESADDED -1", "-ERR entries_added must be positive"),
            ("XSETID s 7-1 MAXDELETEDID 8-1", "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"),
            ("XSETID s 7-1 ENTRIESADDED 9 MAXDELETEDID 6-1", "+OK"),
            ("XSETID s 6-0", "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"),
            ("XINFO STREAM s", "[\"length\", 1, \"radix-tree-keys\", 1, \"radix-tree-nodes\", 2, \"last-generated-id\", \"7-1\", \"max-deleted-entry-id\", \"6-1\", \"entries-added\", 9, \"recorded-first-entry-id\", \"5-1\", \"groups\", 0, \"first-entry\", [\"5-1\", [\"a\", \"b\"]], \"last-entry\", [\"5-1\", [\"a\", \"b\"]]]"),
            ("XINFO STREAM nothing", "-ERR no such key"),
            ("XINFO STREAM s FULL COUNT", "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP."),
        ]);
    }

    fn a_reader_waits_for_what_comes(server: &Server) {
        let mut client = server.client();
        client.line("XADD s 1 a b");
        check_all(&mut client, &[
            ("XREAD STREAMS s t 0 0", "[[\"s\", [[\"1-0\", [\"a\", \"b\"]]]]]"),
            ("XREAD STREAMS s 1", "nil-array"),
            ("XREAD BLOCK 1 STREAMS s $", "nil-array"),
            ("XREAD STREAMS s + x", "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."),
            ("XREAD COUNT 1 STREAMS s >", "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."),
            ("XREAD GROUP g c STREAMS s 0", "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."),
            ("XREAD BLOCK -1 STREAMS s 0", "-ERR timeout is negative"),
            ("XREAD BLOCK x STREAMS s 0", "-ERR timeout is not an integer or out of range"),
        ]);
        let mut first = blocked(server, "XREAD BLOCK 0 STREAMS t s $ $");
        let mut second = blocked(server, "XREAD BLOCK 0 COUNT 1 STREAMS s 1");
        let mut other = blocked(server, "XREAD BLOCK 0 STREAMS s 7");
        client.check("XADD s 2 c d", "\"2-0\"");
        let expected = "[[\"s\", [[\"2-0\", [\"c\", \"d\"]]]]]";
        assert_reply!(first.read(), expected);
        assert_reply!(second.read(), expected);
        assert_eq!(other.read_within(SILENCE), None);
        client.check("DEL s", "1");
        client.check("XADD s 9 e f", "\"9-0\"");
        assert_reply!(other.read(), "[[\"s\", [[\"9-0\", [\"e\", \"f\"]]]]]");
    }

    /// What `$` was when it was asked counts, and not what it is when the reader is served.
    fn the_moment_of_asking_counts(server: &Server) {
        let mut client = server.client();
        client.line("XADD s 5 a b");
        let mut waiter = blocked(server, "XREAD BLOCK 0 STREAMS s $");
        client.check("MULTI", "+OK");
        client.line("XADD s 6 x 1");
        client.line("XADD s 7 x 2");
        client.line("EXEC");
        assert_reply!(waiter.read(), "[[\"s\", [[\"6-0\", [\"x\", \"1\"]], [\"7-0\", [\"x\", \"2\"]]]]]");
        let mut resp3 = server.client_resp3();
        resp3.check("XREAD STREAMS s 6", "{\"s\": [[\"7-0\", [\"x\", \"2\"]]]}");
    }

    fn a_group_gives_each_entry_to_one(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, &[
            ("XGROUP CREATE s g $", "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically."),
            ("XGROUP CREATE s g $ MKSTREAM", "+OK"),
            ("XGROUP CREATE s g $", "-BUSYGROUP Consumer Group name already exists"),
            ("XADD s 1 a 1", "\"1-0\""),
            ("XADD s 2 a 2", "\"2-0\""),
            ("XADD s 3 a 3", "\"3-0\""),
            ("XREADGROUP GROUP g alice COUNT 1 STREAMS s >", "[[\"s\", [[\"1-0\", [\"a\", \"1\"]]]]]"),
            ("XREADGROUP GROUP g bob STREAMS s >", "[[\"s\", [[\"2-0\", [\"a\", \"2\"]], [\"3-0\", [\"a\", \"3\"]]]]]"),
            ("XREADGROUP GROUP g bob STREAMS s >", "nil-array"),
            ("XREADGROUP GROUP g bob STREAMS s 2", "[[\"s\", [[\"3-0\", [\"a\", \"3\"]]]]]"),
            ("XREADGROUP GROUP g carol STREAMS s 0", "[[\"s\", []]]"),
            ("XPENDING s g", "[3, \"1-0\", \"3-0\", [[\"alice\", \"1\"], [\"bob\", \"2\"]]]"),
            ("XDEL s 3", "1"),
            ("XREADGROUP GROUP g bob STREAMS s 2", "[[\"s\", [[\"3-0\", nil-array]]]]"),
            ("XACK s g 2-0 2-0 9-9", "1"),
            ("XACK s nothing 2-0", "0"),
            ("XACK nothing g 2-0", "0"),
            ("XCLAIM s g carol 0 1-0 3-0 7-7", "[[\"1-0\", [\"a\", \"1\"]]]"),
            ("XPENDING s g", "[1, \"1-0\", \"1-0\", [[\"carol\", \"1\"]]]"),
            ("XCLAIM s g carol 0 2-0 FORCE JUSTID", "[\"2-0\"]"),
            ("XCLAIM s g carol 100000 2-0", "[]"),
            ("XCLAIM s g carol x 2-0", "-ERR Invalid min-idle-time argument for XCLAIM"),
            ("XCLAIM s g carol 0 2-0 SOON", "-ERR Unrecognized XCLAIM option 'SOON'"),
            ("XAUTOCLAIM s g dave 0 0 COUNT 1", "[\"2-0\", [[\"1-0\", [\"a\", \"1\"]]], []]"),
            ("XAUTOCLAIM s g dave 0 2-0 JUSTID", "[\"0-0\", [\"2-0\"], []]"),
            ("XGROUP DELCONSUMER s g dave", "2"),
            ("XGROUP DELCONSUMER s g dave", "0"),
            ("XPENDING s g", "[0, nil, nil, nil-array]"),
            ("XPENDING s h", "-NOGROUP No such key 's' or consumer group 'h'"),
            ("XGROUP SETID s g 0", "+OK"),
            ("XREADGROUP GROUP g alice NOACK STREAMS s >", "[[\"s\", [[\"1-0\", [\"a\", \"1\"]], [\"2-0\", [\"a\", \"2\"]]]]]"),
            ("XPENDING s g - + 10", "[]"),
            ("XGROUP DESTROY s g", "1"),
            ("XGROUP DESTROY s g", "0"),
            ("XREADGROUP GROUP g alice STREAMS s >", "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"),
        ]);
    }

    fn a_consumer_waits_and_is_told_of_the_end(server: &Server) {
        let mut client = server.client();
        client.line("XGROUP CREATE s g $ MKSTREAM");
        let mut alice = blocked(server, "XREADGROUP GROUP g alice BLOCK 0 STREAMS s >");
        let mut bob = blocked(server, "XREADGROUP GROUP g bob BLOCK 0 STREAMS s >");
        client.check("XADD s 1 a b", "\"1-0\"");
        assert_reply!(alice.read(), "[[\"s\", [[\"1-0\", [\"a\", \"b\"]]]]]");
        assert_eq!(bob.read_within(SILENCE), None);
        client.check("XADD s 2 a b", "\"2-0\"");
        assert_reply!(bob.read(), "[[\"s\", [[\"2-0\", [\"a\", \"b\"]]]]]");
        for (end, code) in [("DEL s", "UNBLOCKED"), ("SET s x", "UNBLOCKED"), ("XGROUP DESTROY s g", "NOGROUP"), ("FLUSHALL", "UNBLOCKED"), ("RENAME s t", "UNBLOCKED")] {
            client.line("FLUSHALL");
            client.line("XGROUP CREATE s g $ MKSTREAM");
            let mut waiter = blocked(server, "XREADGROUP GROUP g alice BLOCK 0 STREAMS s >");
            client.line(end);
            let reply = waiter.read().to_string();
            assert!(reply.starts_with(&format!("-{code}")), "{end}: {reply}");
            waiter.check("PING", "+PONG");
        }
    }

    /// What happens to groups is no change of the stream to who watches it; what happens to its entries is.
    fn groups_do_not_disturb_who_watches(server: &Server) {
        let (mut watcher, mut other) = (server.client(), server.client());
        for line in ["XADD s 1-1 a b", "XADD s 2-1 a b", "XGROUP CREATE s g 0"] {
            other.line(line);
        }
        for (line, disturbs) in [
            ("XREADGROUP GROUP g c COUNT 1 STREAMS s >", false),
            ("XACK s g 1-1", false),
            ("XCLAIM s g d 0 2-1 FORCE", false),
            ("XAUTOCLAIM s g e 0 0", false),
            ("XGROUP CREATECONSUMER s g f", false),
            ("XGROUP DELCONSUMER s g f", false),
            ("XGROUP SETID s g 0", false),
            ("XGROUP CREATE s h 0", false),
            ("XGROUP DESTROY s h", false),
            ("XSETID s 9-1", false),
            ("XADD s 10-1 a b", true),
            ("XTRIM s MAXLEN 2", true),
            ("XDEL s 2-1", true),
        ] {
            watcher.check("WATCH s", "+OK");
            let reply = other.line(line);
            assert!(!reply.is_error(), "{line}: {reply}");
            watcher.check("MULTI", "+OK");
            watcher.check("PING", "+QUEUED");
            let reply = watcher.line("EXEC").to_string();
            assert_eq!(reply, if disturbs { "nil-array" } else { "[+PONG]" }, "{line}");
        }
    }

    /// Counts at the end of what can be counted, as only a payload may say them.
    fn counts_do_not_overflow(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        let payload = b"\x13\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\xc3\x28\x33\x11\x33\x00\x00\x00\x14\x00\x03\x01\x00\x01\x01\x01\x81\x66\x02\x00\x01\x02\x20\x0a\x05\x00\x01\x81\x76\x02\x04\x20\x0a\x40\x00\xa0\x0a\x40\x01\x60\x0a\x00\xff\x03\x03\x03\x01\x01\x00\x00\x03\x01\x01\x67\x00\x00\x81\xff\xff\xff\xff\xff\xff\xff\xfe\x00\x00\x0a\x00\xc9\x27\xfd\x31\xe7\x86\x7a\x4e";
        assert_eq!(client.call(&[&b"RESTORE"[..], b"x", b"0", payload]), Reply::ok());
        assert!(!client.line("XREADGROUP GROUP g c COUNT 3 STREAMS x >").is_error());
        check_all(&mut client, &[
            ("XSETID x 5-1 ENTRIESADDED 9223372036854775807", "+OK"),
            ("XADD x 6-1 a b", "\"6-1\""),
            ("XADD x 7-1 a b", "\"7-1\""),
            ("XGROUP SETID x g 5-1 ENTRIESREAD 9223372036854775807", "+OK"),
            ("XREADGROUP GROUP g c STREAMS x >", "[[\"x\", [[\"6-1\", [\"a\", \"b\"]], [\"7-1\", [\"a\", \"b\"]]]]]"),
        ]);
    }

    fn the_lag_is_told_as_far_as_it_is_known(server: &Server) {
        let mut client = server.client();
        for number in 1..=5 {
            client.line(&format!("XADD s {number} a {number}"));
        }
        let lag = |client: &mut Client| {
            let groups = client.line("XINFO GROUPS s").to_string();
            groups.rsplit("\"lag\", ").next().map(|lag| lag.trim_end_matches(']').to_owned()).unwrap_or_default()
        };
        client.check("XGROUP CREATE s g 0", "+OK");
        assert_eq!(lag(&mut client), "5");
        client.line("XREADGROUP GROUP g c COUNT 2 STREAMS s >");
        assert_eq!(lag(&mut client), "3");
        client.line("XDEL s 4");
        assert_eq!(lag(&mut client), "nil");
        client.line("XREADGROUP GROUP g c STREAMS s >");
        assert_eq!(lag(&mut client), "0");
    }

    fn entries_are_deleted_with_references_in_mind(server: &Server) {
        let mut client = server.client();
        if server.is_redis() {
            return;
        }
        for number in 1..=5 {
            client.line(&format!("XADD s {number} n {number}"));
        }
        check_all(&mut client, &[
            ("XGROUP CREATE s g 0", "+OK"),
            ("XGROUP CREATE s h 0", "+OK"),
            ("XREADGROUP GROUP g c COUNT 3 STREAMS s >", "[[\"s\", [[\"1-0\", [\"n\", \"1\"]], [\"2-0\", [\"n\", \"2\"]], [\"3-0\", [\"n\", \"3\"]]]]]"),
            ("XREADGROUP GROUP h c COUNT 1 STREAMS s >", "[[\"s\", [[\"1-0\", [\"n\", \"1\"]]]]]"),
            ("XDELEX s ACKED IDS 2 1 9", "[2, -1]"),
            ("XACKDEL s g ACKED IDS 2 1 4", "[2, -1]"),
            ("XACKDEL s h ACKED IDS 1 1", "[1]"),
            ("XDELEX s KEEPREF IDS 1 2", "[1]"),
            ("XPENDING s g", "[2, \"2-0\", \"3-0\", [[\"c\", \"2\"]]]"),
            ("XDELEX s DELREF IDS 1 3", "[1]"),
            ("XACKDEL s g IDS 1 2", "[1]"),
            ("XPENDING s g", "[0, nil, nil, nil-array]"),
            ("XRANGE s - +", "[[\"4-0\", [\"n\", \"4\"]], [\"5-0\", [\"n\", \"5\"]]]"),
            ("XDELEX s IDS 2 1", "-ERR The `numids` parameter must match the number of arguments"),
            ("XDELEX s IDS 0 1", "-ERR Number of IDs must be a positive integer"),
            ("XDELEX s SOME IDS 1 1", "-ERR syntax error"),
            ("XDELEX nothing IDS 1 1", "[-1]"),
        ]);
    }

    /// Ten entries, of which a group was given six and has acknowledged the first and the third.
    fn trimming_looks_at_references(server: &Server) {
        let mut client = server.client();
        if server.is_redis() {
            return;
        }
        let all = "2-0 4-0 5-0 6-0";
        for (line, trimmed, left, pending) in [
            ("XTRIM s MAXLEN = 3 KEEPREF", 7, "8-0 9-0 10-0", all),
            ("XTRIM s MAXLEN = 3 DELREF", 7, "8-0 9-0 10-0", ""),
            ("XTRIM s DELREF MAXLEN ~ 7", 3, "4-0 5-0 6-0 7-0 8-0 9-0 10-0", "4-0 5-0 6-0"),
            ("XTRIM s MAXLEN ~ 3 LIMIT 4 DELREF", 4, "5-0 6-0 7-0 8-0 9-0 10-0", "5-0 6-0"),
            ("XTRIM s MAXLEN = 3 ACKED", 2, "2-0 4-0 5-0 6-0 7-0 8-0 9-0 10-0", all),
            ("XTRIM s MAXLEN 9 acked", 1, "2-0 3-0 4-0 5-0 6-0 7-0 8-0 9-0 10-0", all),
            ("XTRIM s MINID = 9-0 DELREF", 8, "9-0 10-0", ""),
            ("XTRIM s MINID 3-0 ACKED", 1, "2-0 3-0 4-0 5-0 6-0 7-0 8-0 9-0 10-0", all),
            ("XTRIM s MAXLEN = 0 DELREF", 10, "", ""),
        ] {
            client.line("DEL s");
            for number in 1..=10 {
                client.line(&format!("XADD s {number}-0 f v"));
            }
            for line in ["XGROUP CREATE s g 0", "XREADGROUP GROUP g c COUNT 6 STREAMS s >", "XACK s g 1-0 3-0"] {
                client.line(line);
            }
            client.check(line, &trimmed.to_string());
            let ids = |reply: Reply| {
                let ids: Vec<String> =
                    reply.elements().iter().map(|entry| entry.elements()[0].text()).collect();
                ids.join(" ")
            };
            assert_eq!(ids(client.line("XRANGE s - +")), left, "{line}");
            assert_eq!(ids(client.line("XPENDING s g - + 100")), pending, "{line}");
        }
        check_all(&mut client, &[
            ("DEL s", "1"),
            ("XADD s KEEPREF NOMKSTREAM 1 f v", "nil"),
            ("XADD s 1 ACKED v", "\"1-0\""),
            ("XADD s 2 f v", "\"2-0\""),
            ("XADD s MAXLEN 2 ACKED 3 f v", "\"3-0\""),
            ("XGROUP CREATE s at-end $", "+OK"),
            ("XGROUP CREATE s behind 2-0", "+OK"),
            ("XTRIM s MAXLEN 0 ACKED", "1"),
            ("XREADGROUP GROUP behind c STREAMS s >", "[[\"s\", [[\"3-0\", [\"f\", \"v\"]]]]]"),
            ("XADD s DELREF MAXLEN = 1 4 f v", "\"4-0\""),
            ("XPENDING s behind", "[0, nil, nil, nil-array]"),
            ("XADD s KEEPREF DELREF * f v", "-ERR Invalid stream ID specified as stream command argument"),
            ("XTRIM s MAXLEN 1 ACKED DELREF", "-ERR syntax error"),
            ("XTRIM s ACKED MAXLEN", "-ERR syntax error"),
            ("XADD s KEEPREF *", "-ERR wrong number of arguments for 'xadd' command"),
        ]);
    }

    /// What groups have is there after a restart, by the append-only file as it grew, by its base of either form, and by DUMP.
    fn groups_survive_restarts(server: &Server) {
        if server.is_redis() {
            return;
        }
        for form in ["yes", "no"] {
            let launch = Launch::new(server.binary().clone());
            let mut server = launch.arguments(&["--appendonly", "yes", "--aof-use-rdb-preamble", form]).start();
            let mut client = server.client();
            for number in 1..=150 {
                client.line(&format!("XADD s {number}-1 n {number}"));
            }
            for line in [
                "XADD s MAXLEN ~ 100 * n last",
                "XDEL s 120-1",
                "XGROUP CREATE s g 100",
                "XGROUP CREATE s h $ ENTRIESREAD 3",
                "XGROUP CREATE empty g $ MKSTREAM",
                "XREADGROUP GROUP g alice COUNT 5 STREAMS s >",
                "XADD t 1 f v",
                "XADD t 2 f v",
                "XADD t 3 f v",
                "XGROUP CREATE t g 0",
                "XREADGROUP GROUP g c STREAMS t >",
                "XACK t g 2",
                "XADD t MAXLEN ~ 1 ACKED * f v",
                "XTRIM t MAXLEN 2 DELREF",
                "XREADGROUP GROUP g bob COUNT 3 STREAMS s >",
                "XREADGROUP GROUP g none COUNT 3 STREAMS s 0",
                "XACK s g 102-1",
                "XCLAIM s g bob 0 101-1 RETRYCOUNT 7",
                "XAUTOCLAIM s g carol 0 104-1 COUNT 2",
            ] {
                let reply = client.line(line);
                assert!(!reply.is_error(), "{line}: {reply}");
            }
            let tell = |client: &mut Client| {
                let lines = ["XPENDING s g", "XINFO GROUPS s", "XINFO GROUPS empty", "XINFO STREAM s", "XRANGE s - +"];
                let told: Vec<String> = lines.iter().map(|line| client.line(line).to_string()).collect();
                let consumers = client.line("XINFO CONSUMERS s g").elements();
                let names: Vec<String> = consumers.iter().map(|one| one.elements()[1].text()).collect();
                (told, names, client.line("XPENDING s g - + 20").elements().len())
            };
            let before = tell(&mut client);
            server.stop();
            server.restart();
            assert_eq!(tell(&mut server.client()), before, "as it grew");
            server.client().line("BGREWRITEAOF");
            wait_until("the rewrite to end", DEADLINE_DEFAULT, || {
                server.info("aof_rewrite_in_progress").as_deref() == Some("0")
            });
            server.stop();
            server.restart();
            assert_eq!(tell(&mut server.client()), before, "a base, {form}");
            let payload = server.client().call(&["DUMP", "s"]);
            let Reply::Bulk(payload) = payload else { panic!("{payload}") };
            let restored = server.client().call(&[&b"RESTORE"[..], b"s", b"0", &payload, b"REPLACE"]);
            assert_eq!(restored, Reply::ok());
            assert_eq!(tell(&mut server.client()), before, "a payload");
        }
    }

    fn scripts_and_transactions_do_not_wait(server: &Server) {
        let mut client = server.client();
        client.line("XGROUP CREATE s g $ MKSTREAM");
        check_all(&mut client, &[
            ("EVAL \"return redis.call('XREAD', 'STREAMS', KEYS[1], '$')\" 1 s", "nil"),
            ("EVAL \"return redis.pcall('XREAD', 'BLOCK', '0', 'STREAMS', KEYS[1], '$')\" 1 s", "-ERR XREAD command is not allowed with BLOCK option from scripts"),
            ("EVAL \"return redis.pcall('XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', '0', 'STREAMS', KEYS[1], '>')\" 1 s", "-ERR XREADGROUP command is not allowed with BLOCK option from scripts"),
            ("MULTI", "+OK"),
            ("XREAD BLOCK 0 STREAMS s $", "+QUEUED"),
            ("XADD s 3 a b", "+QUEUED"),
            ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "+QUEUED"),
            ("EXEC", "[nil-array, \"3-0\", [[\"s\", [[\"3-0\", [\"a\", \"b\"]]]]]]"),
            ("EVAL \"return redis.call('XADD', KEYS[1], '4-*', 'x', ARGV[1])\" 1 s y", "\"4-0\""),
        ]);
    }
}
