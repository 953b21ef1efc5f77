use rustredis_resp::Proto;

use crate::testing::{Harness, check};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn fields_are_set_and_read() {
    let mut harness = Harness::new();
    check(&mut harness, "HSET h a 1 b two", ":2");
    assert_eq!((harness.events(), harness.effects.dirty), (vec!["hset h".to_owned()], 2));
    check(&mut harness, "HSET h a 2 c 3", ":1");
    check(&mut harness, "HMSET h d ''", "+OK");
    check(&mut harness, "HSETNX h a 9", ":0");
    assert_eq!(harness.effects.dirty, 0);
    check(&mut harness, "HSETNX new a 9", ":1");
    check(&mut harness, "HGET h a", "$1 2");
    check(&mut harness, "HGET h x", "$-1");
    check(&mut harness, "HGET missing a", "$-1");
    check(&mut harness, "HMGET h a x b", "*3 $1 2 $-1 $3 two");
    check(&mut harness, "HMGET missing a", "*1 $-1");
    check(&mut harness, "HGETALL h", "*8 $1 a $1 2 $1 b $3 two $1 c $1 3 $1 d $0");
    check(&mut harness, "HKEYS h", "*4 $1 a $1 b $1 c $1 d");
    check(&mut harness, "HVALS new", "*1 $1 9");
    check(&mut harness, "HGETALL missing", "*0");
    check(&mut harness, "HLEN h", ":4");
    check(&mut harness, "HSTRLEN h b", ":3");
    check(&mut harness, "HSTRLEN h x", ":0");
    check(&mut harness, "HEXISTS h d", ":1");
    check(&mut harness, "HEXISTS missing d", ":0");
    harness.proto = Proto::Resp3;
    check(&mut harness, "HGETALL new", "%1 $1 a $1 9");
    check(&mut harness, "HGETALL missing", "%0");
}

#[test]
fn a_field_without_a_value_is_an_error_that_names_the_command() {
    let mut harness = Harness::new();
    check(&mut harness, "HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command");
    check(&mut harness, "HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command");
    check(&mut harness, "EXISTS h", ":0");
}

#[test]
fn a_hash_goes_with_its_last_field() {
    let mut harness = Harness::new();
    harness.run("HSET h a 1 b 2 c 3");
    check(&mut harness, "HDEL h x", ":0");
    assert!(harness.events().is_empty());
    check(&mut harness, "HDEL h a x b a", ":2");
    assert_eq!((harness.events(), harness.effects.dirty), (vec!["hdel h".to_owned()], 2));
    check(&mut harness, "HDEL h c", ":1");
    assert_eq!(harness.events(), ["hdel h", "del h"]);
    check(&mut harness, "EXISTS h", ":0");
}

#[test]
fn other_types_are_refused() {
    let mut harness = Harness::new();
    harness.run("SET s x");
    for line in [
        "HSET s a 1",
        "HSETNX s a 1",
        "HGET s a",
        "HMGET s a",
        "HGETALL s",
        "HLEN s",
        "HDEL s a",
        "HINCRBY s a 1",
        "HINCRBYFLOAT s a 1",
        "HRANDFIELD s",
        "HSCAN s 0",
        "HEXPIRE s x FIELDS 1 a",
        "HTTL s x 1 a",
        "HPERSIST s x 1 a",
        "HGETDEL s FIELDS 1 a",
        "HGETEX s FIELDS 1 a",
        "HSETEX s FIELDS 1 a 1",
    ] {
        check(&mut harness, line, WRONG_TYPE);
    }
}

#[test]
fn integers_in_fields_are_counted_within_64_bits() {
    let mut harness = Harness::new();
    check(&mut harness, "HINCRBY h n 9223372036854775807", ":9223372036854775807");
    check(&mut harness, "HINCRBY h n 1", "-ERR increment or decrement would overflow");
    check(&mut harness, "HINCRBY h n -7", ":9223372036854775800");
    assert_eq!(harness.events(), ["hincrby h"]);
    for value in ["' 1'", "1.0", "x", "''"] {
        harness.run(&format!("HSET h n {value}"));
        check(&mut harness, "HINCRBY h n 1", "-ERR hash value is not an integer");
    }
    check(&mut harness, "HINCRBY missing n x", "-ERR value is not an integer or out of range");
    check(&mut harness, "EXISTS missing", ":0");
}

#[test]
fn floats_are_journalled_as_results() {
    let mut harness = Harness::new();
    harness.run("HSET h f 10.5");
    check(&mut harness, "HINCRBYFLOAT h f 0.1", "$4 10.6");
    assert_eq!(harness.journal(), "HSET h f 10.6");
    check(&mut harness, "HINCRBYFLOAT h i 3", "$1 3");
    harness.run("HPEXPIRE h 5 FIELDS 1 i");
    check(&mut harness, "HINCRBYFLOAT h i 1", "$1 4");
    assert_eq!(harness.journal(), "HSET h i 4; HPEXPIREAT h 1700000000005 FIELDS 1 i");
    check(&mut harness, "HPTTL h FIELDS 1 i", "*1 :5");
    check(&mut harness, "HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity");
    check(&mut harness, "HINCRBYFLOAT h f nan", "-ERR value is not a valid float");
    harness.run("HSET h f '1 '");
    check(&mut harness, "HINCRBYFLOAT h f 1", "-ERR hash value is not a float");
    harness.run("HSET h f inf");
    check(&mut harness, "HINCRBYFLOAT h f 1", "-ERR increment would produce NaN or Infinity");
}

#[test]
fn random_fields_are_of_the_hash() {
    let mut harness = Harness::new();
    harness.run("HSET h a 1");
    check(&mut harness, "HRANDFIELD h", "$1 a");
    check(&mut harness, "HRANDFIELD h 5", "*1 $1 a");
    check(&mut harness, "HRANDFIELD h -3", "*3 $1 a $1 a $1 a");
    check(&mut harness, "HRANDFIELD h -2 WITHVALUES", "*4 $1 a $1 1 $1 a $1 1");
    check(&mut harness, "HRANDFIELD h 0 WITHVALUES", "*0");
    check(&mut harness, "HRANDFIELD missing", "$-1");
    check(&mut harness, "HRANDFIELD missing -5", "*0");
    harness.proto = Proto::Resp3;
    check(&mut harness, "HRANDFIELD h -2 WITHVALUES", "*2 *2 $1 a $1 1 *2 $1 a $1 1");
    check(&mut harness, "HRANDFIELD h x y", "-ERR value is not an integer or out of range");
    check(&mut harness, "HRANDFIELD h 1 y", "-ERR syntax error");
    check(
        &mut harness,
        "HRANDFIELD h -9223372036854775808",
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    );
    check(&mut harness, "HRANDFIELD h -4611686018427387904 WITHVALUES", "-ERR value is out of range");
}

#[test]
fn random_fields_have_not_expired() {
    let mut harness = Harness::new();
    for count in [4, 600] {
        for index in 0..count {
            harness.run(&format!("HSET h{count} {index} v"));
            if index > 0 {
                harness.run(&format!("HPEXPIRE h{count} 5 FIELDS 1 {index}"));
            }
        }
        harness.now_ms += 5;
        check(&mut harness, &format!("HRANDFIELD h{count}"), "$1 0");
        check(&mut harness, &format!("HRANDFIELD h{count} 9"), "*1 $1 0");
        check(&mut harness, &format!("HRANDFIELD h{count} -2"), "*2 $1 0 $1 0");
    }
}

#[test]
fn a_scan_visits_every_field_once() {
    let mut harness = Harness::new();
    harness.run("HSET small a 1 b 2");
    check(&mut harness, "HSCAN small 0", "*2 $1 0 *4 $1 a $1 1 $1 b $1 2");
    check(&mut harness, "HSCAN small 0 NOVALUES", "*2 $1 0 *2 $1 a $1 b");
    check(&mut harness, "HSCAN small 0 MATCH b* COUNT 1", "*2 $1 0 *2 $1 b $1 2");
    check(&mut harness, "HSCAN missing 0", "*2 $1 0 *0");
    check(&mut harness, "HSCAN small x", "-ERR invalid cursor");
    for index in 0..1000 {
        harness.run(&format!("HSET big field:{index} v"));
    }
    let (mut cursor, mut seen) = ("0".to_owned(), 0);
    loop {
        let page = harness.run(&format!("HSCAN big {cursor} COUNT 50 NOVALUES"));
        seen += page.matches("field:").count();
        cursor = page.split("\r\n").nth(2).unwrap().to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen, 1000);
}

#[test]
fn a_field_expires_at_its_time() {
    let mut harness = Harness::new();
    harness.run("HSET h a 1 b 2 c 3");
    check(&mut harness, "HEXPIRE h 10 FIELDS 3 a b x", "*3 :1 :1 :-2");
    assert_eq!(harness.events(), ["hexpire h"]);
    assert_eq!(harness.journal(), "HPEXPIREAT h 1700000010000 FIELDS 2 a b");
    check(&mut harness, "HTTL h FIELDS 3 a c x", "*3 :10 :-1 :-2");
    check(&mut harness, "HEXPIRETIME h FIELDS 1 a", "*1 :1700000010");
    check(&mut harness, "HPEXPIRETIME h FIELDS 1 a", "*1 :1700000010000");
    check(&mut harness, "HPERSIST h FIELDS 3 a c x", "*3 :1 :-1 :-2");
    assert_eq!(harness.events(), ["hpersist h"]);
    harness.now_ms += 9_999;
    check(&mut harness, "HPTTL h FIELDS 1 b", "*1 :1");
    check(&mut harness, "HTTL h FIELDS 1 b", "*1 :1");
    harness.now_ms += 1;
    check(&mut harness, "HPTTL h FIELDS 1 b", "*1 :-2");
    check(&mut harness, "HGET h b", "$-1");
    check(&mut harness, "HSTRLEN h b", ":0");
    check(&mut harness, "HEXISTS h b", ":0");
    check(&mut harness, "HKEYS h", "*2 $1 c $1 a");
    check(&mut harness, "HLEN h", ":3");
    check(&mut harness, "HSET h b 5", ":1");
    assert_eq!(harness.events(), ["hexpired h", "hset h"]);
    assert_eq!(harness.effects.expired_fields_of.len(), 1);
    check(&mut harness, "HTTL h FIELDS 1 b", "*1 :-1");
}

#[test]
fn a_hash_goes_when_all_its_fields_have_expired() {
    let mut harness = Harness::new();
    harness.run("HSET h a 1");
    harness.run("HPEXPIRE h 1 FIELDS 1 a");
    harness.now_ms += 1;
    check(&mut harness, "HDEL h a", ":0");
    assert_eq!(harness.events(), ["hexpired h", "del h"]);
    check(&mut harness, "EXISTS h", ":0");
}

#[test]
fn a_time_in_the_past_removes_the_field() {
    let mut harness = Harness::new();
    harness.run("HSET h a 1 b 2");
    check(&mut harness, "HEXPIREAT h 5 FIELDS 2 a x", "*2 :2 :-2");
    assert_eq!(harness.events(), ["hdel h"]);
    assert_eq!(harness.journal(), "HDEL h a");
    check(&mut harness, "HPEXPIRE h 0 FIELDS 1 b", "*1 :2");
    assert_eq!(harness.events(), ["hdel h", "del h"]);
    check(&mut harness, "HPEXPIRE h 0 FIELDS 1 b", "*1 :-2");
}

#[test]
fn conditions_compare_with_the_old_expiry() {
    let mut harness = Harness::new();
    harness.run("HSET h a 1 b 2");
    harness.run("HEXPIRE h 100 FIELDS 1 a");
    for (option, seconds, expected) in [
        ("NX", 200, ":0 :1"),
        ("XX", 100, ":1 :0"),
        ("GT", 200, ":1 :0"),
        ("GT", 50, ":0 :0"),
        ("lt", 50, ":1 :1"),
        ("LT", 200, ":0 :1"),
    ] {
        harness.run("HPERSIST h FIELDS 1 b");
        harness.run("HEXPIRE h 100 FIELDS 1 a");
        check(&mut harness, &format!("HEXPIRE h {seconds} {option} FIELDS 2 a b"), &format!("*2 {expected}"));
    }
}

#[test]
fn field_lists_are_checked() {
    let mut harness = Harness::new();
    harness.run("HSET h a 1");
    const NO_FIELDS: &str = "-ERR Mandatory argument FIELDS is missing or not at the right position";
    const NO_COUNT: &str = "-ERR Parameter `numFields` should be greater than 0";
    const NO_MATCH: &str = "-ERR The `numfields` parameter must match the number of arguments";
    for (line, expected) in [
        ("HEXPIRE h 1 FIELD 1 a", NO_FIELDS),
        ("HEXPIRE h 1 NX 1 a b", NO_FIELDS),
        ("HEXPIRE h 1 FIELDS 0 a", NO_COUNT),
        ("HEXPIRE h 1 FIELDS -1 a", NO_COUNT),
        ("HEXPIRE h 1 FIELDS x a", NO_COUNT),
        ("HEXPIRE h 1 FIELDS 2 a", NO_MATCH),
        ("HEXPIRE h 1 FIELDS 1 a b", NO_MATCH),
        ("HEXPIRE h 1 FIELDS 9223372036854775807 a", NO_MATCH),
        ("HEXPIRE h x FIELDS 1 a", "-ERR value is not an integer or out of range"),
        ("HEXPIRE h -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0"),
        ("HEXPIRE h 9223372036854775807 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command"),
        ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hpexpireat' command"),
        ("HTTL h FIELDS 2 a", NO_MATCH),
        ("HTTL h FIELDS 0 a", NO_COUNT),
        ("HGETDEL h FIELDS 0 a", "-ERR Number of fields must be a positive integer"),
        ("HPERSIST missing FIELDS 2 a b", "*2 :-2 :-2"),
        ("HTTL missing FIELDS 1 a", "*1 :-2"),
        ("HPEXPIREAT missing 70368744177663 FIELDS 1 a", "*1 :-2"),
    ] {
        check(&mut harness, line, expected);
    }
}

#[test]
fn values_are_read_and_removed_in_one_step() {
    let mut harness = Harness::new();
    harness.run("HSET h a 1 b 2");
    check(&mut harness, "HGETDEL h FIELDS 3 a x a", "*3 $1 1 $-1 $-1");
    assert_eq!(harness.journal(), "HDEL h a");
    check(&mut harness, "HGETDEL h FIELDS 1 b", "*1 $1 2");
    assert_eq!(harness.events(), ["hdel h", "del h"]);
    check(&mut harness, "HGETDEL h FIELDS 1 b", "*1 $-1");
    assert!(harness.events().is_empty());
}

#[test]
fn values_are_read_and_given_an_expiry_in_one_step() {
    let mut harness = Harness::new();
    harness.run("HSET h a 1 b 2");
    check(&mut harness, "HGETEX h FIELDS 1 a", "*1 $1 1");
    assert_eq!(harness.effects.dirty, 0);
    check(&mut harness, "HGETEX h PX 50 FIELDS 2 a x", "*2 $1 1 $-1");
    assert_eq!(harness.journal(), "HPEXPIREAT h 1700000000050 FIELDS 1 a");
    check(&mut harness, "HGETEX h PERSIST FIELDS 2 a b", "*2 $1 1 $1 2");
    assert_eq!(harness.journal(), "HPERSIST h FIELDS 1 a");
    check(&mut harness, "HGETEX h EXAT 1 FIELDS 1 a", "*1 $1 1");
    assert_eq!(harness.journal(), "HDEL h a");
    check(
        &mut harness,
        "HGETEX h EX 1 PERSIST FIELDS 1 a",
        "-ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified",
    );
    check(&mut harness, "HGETEX h EX 1 FIELDS 2 a", "-ERR wrong number of arguments");
    check(&mut harness, "HGETEX h EX 1 FNX FIELDS 1 a", "-ERR unknown argument: FNX");
    check(
        &mut harness,
        "HGETEX h EX 1 PXAT",
        "-ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified",
    );
    check(&mut harness, "HGETEX h EX 1 FIELDS 0", "-ERR invalid number of fields");
}

#[test]
fn fields_are_set_with_an_expiry_in_one_step() {
    let mut harness = Harness::new();
    check(&mut harness, "HSETEX h FXX EX 10 FIELDS 1 a 1", ":0");
    check(&mut harness, "EXISTS h", ":0");
    check(&mut harness, "HSETEX h FNX EX 10 FIELDS 2 a 1 b 2", ":1");
    assert_eq!(harness.events(), ["hset h", "hexpire h"]);
    assert_eq!(harness.journal(), "HSET h a 1 b 2; HPEXPIREAT h 1700000010000 FIELDS 2 a b");
    check(&mut harness, "HSETEX h FNX FIELDS 2 a 5 c 6", ":0");
    check(&mut harness, "HSETEX h KEEPTTL FIELDS 1 a 5", ":1");
    check(&mut harness, "HTTL h FIELDS 2 a b", "*2 :10 :10");
    check(&mut harness, "HSETEX h FIELDS 1 a 5", ":1");
    check(&mut harness, "HTTL h FIELDS 1 a", "*1 :-1");
    check(&mut harness, "HSETEX h FIELDS 2 c 6 d 7 EXAT 1", ":1");
    assert_eq!(harness.journal(), "HSET h c 6 d 7; HDEL h c d");
    check(&mut harness, "HMGET h a c", "*2 $1 5 $-1");
    check(
        &mut harness,
        "HSETEX h EX 1 FIELDS 1 a 1 FNX FXX",
        "-ERR Only one of FXX or FNX arguments can be specified",
    );
    check(&mut harness, "HSETEX new PX 0 FIELDS 1 a 1", ":1");
    assert_eq!(harness.events(), ["hset new", "hdel new", "del new"]);
}
