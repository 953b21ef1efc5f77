//! Lists, sets, hashes, sorted sets and places as later servers have them. The replies are those that Redis 8.8 and 8.10, and Valkey
//! 9, document.

use rustredis_testkit::{Client, DEADLINE_DEFAULT, Launch, assert_reply, every_engine, wait_until};

use crate::files::{ALWAYS, contents};

#[track_caller]
fn check_all(client: &mut Client, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        client.check(line, expected);
    }
}

every_engine! {
    fn several_elements_are_moved_at_once(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, &[
            ("RPUSH mylist 1 2 3 4", "4"),
            ("LMOVEM mylist other LEFT LEFT COUNT 2 OBO", "[\"2\", \"1\"]"),
            ("LRANGE mylist 0 -1", "[\"3\", \"4\"]"),
            ("LMOVEM mylist other LEFT LEFT EXACTLY 5 BULK", "nil-array"),
            ("RPUSH somelist a b c", "3"),
            ("LMOVEM somelist somelist LEFT LEFT EXACTLY 2 OBO", "[\"b\", \"a\"]"),
            ("LRANGE somelist 0 -1", "[\"b\", \"a\", \"c\"]"),
            ("LMOVEM mylist other RIGHT RIGHT COUNT 9 BULK", "[\"3\", \"4\"]"),
            ("EXISTS mylist", "0"),
            ("LMOVEM mylist other RIGHT RIGHT", "[]"),
            ("LRANGE other 0 -1", "[\"2\", \"1\", \"3\", \"4\"]"),
            ("SET string x", "+OK"),
            ("LMOVEM other string LEFT LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    fn a_waiting_client_gets_what_is_moved(server: &Server) {
        let (mut client, mut waiter) = (server.client(), server.client());
        client.line("RPUSH source a b");
        let id = waiter.line("CLIENT ID").integer();
        waiter.send(&["BLPOP", "destination", "0"]);
        wait_until("BLPOP to block", DEADLINE_DEFAULT, || {
            client.line(&format!("CLIENT LIST ID {id}")).text().contains("flags=b")
        });
        client.check("LMOVEM source destination LEFT RIGHT COUNT 2 BULK", "[\"a\", \"b\"]");
        assert_reply!(waiter.read(), "[\"destination\", \"a\"]");
        client.check("LRANGE destination 0 -1", "[\"b\"]");
    }

    fn unions_and_differences_are_counted(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, &[
            ("SADD key1 a b c", "3"),
            ("SADD key2 c d e", "3"),
            ("SUNIONCARD 2 key1 key2", "5"),
            ("SUNIONCARD 2 key1 key2 LIMIT 3", "3"),
            ("SUNIONCARD 3 key1 key2 missing APPROX", "5"),
            ("SDIFFCARD 2 key1 key2", "2"),
            ("SDIFFCARD 2 key1 key2 LIMIT 1", "1"),
            ("SDIFFCARD 1 key1 APPROX", "-ERR syntax error"),
            ("COMMAND GETKEYS SUNIONCARD 2 a b LIMIT 1", "[\"a\", \"b\"]"),
        ]);
    }

    fn inputs_that_have_a_member_are_counted(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, &[
            ("ZADD z1 1 a 2 b", "2"),
            ("ZADD z2 10 b 20 c", "2"),
            ("SADD s b", "1"),
            ("ZUNION 3 z1 z2 s AGGREGATE COUNT WITHSCORES", "[\"a\", \"1\", \"c\", \"1\", \"b\", \"3\"]"),
            ("ZUNIONSTORE d 3 z1 z2 s WEIGHTS 2 3 4 AGGREGATE COUNT", "3"),
            ("ZSCORE d b", "\"9\""),
            ("ZINTER 2 z1 z2 WEIGHTS 5 7 AGGREGATE COUNT WITHSCORES", "[\"b\", \"12\"]"),
        ]);
    }

    fn fields_are_set_if_the_hash_is_there_or_is_not(server: &Server) {
        let mut client = server.client();
        check_all(&mut client, &[
            ("HSETEX h XX FIELDS 1 f v", "0"),
            ("EXISTS h", "0"),
            ("HSETEX h NX EX 1000 FIELDS 1 f v", "1"),
            ("HSETEX h NX FIELDS 1 g v", "0"),
            ("HSETEX h XX FNX FIELDS 1 f v", "0"),
            ("HSETEX h XX FXX KEEPTTL FIELDS 1 f w", "1"),
            ("HMGET h f g", "[\"w\", nil]"),
            ("HSETEX h XX NX FIELDS 1 f v", "-ERR Only one of XX or NX arguments can be specified"),
            ("HGETEX h NX FIELDS 1 f", "-ERR unknown argument: NX"),
        ]);
    }

    fn places_in_a_polygon_are_found(server: &Server) {
        let mut client = server.client();
        let polygon = "BYPOLYGON 5 12.41098696654226 38.05033923003755 15.107936245794182 38.00616649901906 18.148439288534455 38.63804787603499 17.80831874257693 39.50316813110968 12.458468633214036 38.57719533463012";
        client.line("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge1 17.241510 38.788135 edge2");
        client.check(
            &format!("GEOSEARCH g {polygon} ASC WITHDIST"),
            "[[\"Palermo\", \"166482.0159\"], [\"edge2\", \"180861.7725\"]]",
        );
        client.check(&format!("GEOSEARCHSTORE g g {polygon}"), "2");
    }

    fn what_is_newer_is_replayed(server: &Server) {
        let mut server = Launch::new(server.binary().clone()).arguments(&ALWAYS).start();
        let mut client = server.client();
        for line in [
            "RPUSH a 1 2 3 4 5 6",
            "EXPIRE a 1000",
            "LMOVEM a b LEFT LEFT COUNT 2 BULK",
            "LMOVEM a b RIGHT LEFT EXACTLY 2 OBO",
            "LMOVEM a a LEFT LEFT COUNT 9 OBO",
            "LMOVEM a a RIGHT RIGHT COUNT 2 BULK",
            "RPUSH c 1 2",
            "LMOVEM c b LEFT RIGHT COUNT 2 BULK",
            "ZADD z 1 x 2 y",
            "ZUNIONSTORE z 2 z z WEIGHTS 2 3 AGGREGATE COUNT",
            "HSETEX h NX EX 1000 FIELDS 1 f v",
            "HSETEX h XX KEEPTTL FIELDS 1 f w",
        ] {
            client.line(line);
        }
        let before = contents(&server);
        assert_eq!(before.keys.len(), 4);
        server.kill();
        server.restart();
        contents(&server).assert_same(&before, "keys after and before the restart");
    }
}
