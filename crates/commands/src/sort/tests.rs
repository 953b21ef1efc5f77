use super::*;
use crate::args::OwnedArgs;
use crate::testing::{Harness, check};

#[test]
fn patterns_name_a_key_or_a_field() {
    let key = |prefix, suffix, field| Source::Key { prefix, suffix, field };
    for (pattern, expected) in [
        (&b"#"[..], Source::Element),
        (b"nosort", Source::Nothing),
        (b"w_*", key(b"w_", b"", None)),
        (b"*:w*", key(b"", b":w*", None)),
        (b"o:*:x->f->g", key(b"o:", b":x", Some(b"f->g"))),
        (b"x:*->", key(b"x:", b"->", None)),
        (b"a->b*", key(b"a->b", b"", None)),
    ] {
        assert_eq!(Source::parse(pattern), expected, "{}", String::from_utf8_lossy(pattern));
    }
}

#[test]
fn the_plan_knows_the_destination_and_whether_other_keys_are_read() {
    for (line, keys, is_far) in [
        ("SORT a", &[1][..], false),
        ("SORT a BY w_*", &[1], true),
        ("SORT a BY nosort GET #", &[1], false),
        ("SORT a GET o_*->f STORE b", &[1, 5], true),
        ("SORT a STORE b STORE c", &[1, 5], false),
        ("SORT a GET STORE STORE b", &[1, 5], false),
        ("SORT a LIMIT STORE 1 STORE", &[1], false),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let owned = OwnedArgs::from_parts(&words);
        let mut found = Vec::new();
        find_keys(owned.args(), &mut found).unwrap();
        assert_eq!((found.as_slice(), reaches_other_keys(owned.args())), (keys, is_far), "{line}");
    }
}

#[test]
fn numbers_and_texts_are_sorted_either_way() {
    let mut harness = Harness::new();
    harness.run("RPUSH l 2 10 1.5 -3");
    check(&mut harness, "SORT l", "*4 $2 -3 $3 1.5 $1 2 $2 10");
    check(&mut harness, "SORT l DESC LIMIT 1 2", "*2 $1 2 $3 1.5");
    check(&mut harness, "SORT l ALPHA", "*4 $2 -3 $3 1.5 $2 10 $1 2");
    check(&mut harness, "SORT_RO l LIMIT -5 1", "*1 $2 -3");
    check(&mut harness, "SORT l LIMIT 9 1", "*0");
    check(&mut harness, "SORT l LIMIT 0 -1 ASC BY nosort", "*4 $1 2 $2 10 $3 1.5 $2 -3");
    check(&mut harness, "SORT l BY nosort DESC LIMIT 0 2", "*2 $2 -3 $3 1.5");
    check(&mut harness, "SORT missing", "*0");
    harness.run("RPUSH l x");
    check(&mut harness, "SORT l", "-ERR One or more scores can't be converted into double");
}

#[test]
fn other_keys_give_weights_and_answers() {
    let mut harness = Harness::new();
    harness.run("SADD s 1 2 3");
    harness.run("MSET w_1 30 w_2 20 w_3 10");
    check(&mut harness, "SORT s BY w_*", "*3 $1 3 $1 2 $1 1");
    harness.run("HSET o_1 name one rank 2");
    harness.run("HSET o_2 name two rank 1");
    check(
        &mut harness,
        "SORT s BY o_*->rank DESC GET # GET o_*->name",
        "*6 $1 1 $3 one $1 2 $3 two $1 3 $-1",
    );
    check(&mut harness, "SORT s BY o_* GET o_*", "*3 $-1 $-1 $-1");
    check(&mut harness, "SORT_RO s BY w_* LIMIT 0 1 GET w_* GET constant", "*2 $2 10 $-1");
}

#[test]
fn ties_are_broken_by_the_elements() {
    let mut harness = Harness::new();
    harness.run("RPUSH l b a c");
    check(&mut harness, "SORT l BY w_*", "*3 $1 a $1 b $1 c");
    check(&mut harness, "SORT l BY w_* DESC", "*3 $1 c $1 b $1 a");
    harness.run("SET w_a ''");
    harness.run("SET w_b ' 1'");
    check(&mut harness, "SORT l BY w_*", "*3 $1 a $1 c $1 b");
}

#[test]
fn a_sorted_set_keeps_its_order_unsorted() {
    let mut harness = Harness::new();
    harness.run("ZADD z 1 b 2 a 3 c");
    check(&mut harness, "SORT z BY nosort", "*3 $1 b $1 a $1 c");
    check(&mut harness, "SORT z BY nosort DESC LIMIT 0 2", "*2 $1 c $1 a");
    check(&mut harness, "SORT z ALPHA", "*3 $1 a $1 b $1 c");
}

#[test]
fn a_result_is_stored_as_a_list() {
    let mut harness = Harness::new();
    harness.run("SADD s b a c");
    check(&mut harness, "SORT s BY nosort STORE to", ":3");
    assert_eq!((harness.events(), harness.effects.dirty), (vec!["sortstore to".to_owned()], 3));
    check(&mut harness, "LRANGE to 0 -1", "*3 $1 a $1 b $1 c");
    check(&mut harness, "SORT s ALPHA GET w_* STORE to", ":3");
    check(&mut harness, "LRANGE to 0 -1", "*3 $0  $0  $0 ");
    check(&mut harness, "SORT missing STORE to", ":0");
    assert_eq!(harness.events(), ["del to"]);
    check(&mut harness, "SORT_RO s STORE to", "-ERR syntax error");
    harness.run("SET string v");
    check(&mut harness, "SORT string", "-WRONGTYPE Operation against a key holding the wrong kind of value");
}
