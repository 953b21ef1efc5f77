//! What is journalled, counted and told of streams.

use rustredis_keyspace::{Kind, Wakes};

use crate::testing::{Harness, check};

fn harness() -> Harness {
    let mut harness = Harness::new();
    for number in 1..=3 {
        harness.run(&format!("XADD s {number} n {number}"));
    }
    harness
}

#[test]
fn what_the_clock_and_trimming_gave_is_written_out() {
    let mut harness = harness();
    let id = format!("{}-0", harness.now_ms);
    check(&mut harness, "XADD s * a b", &format!("${} {id}", id.len()));
    assert_eq!(harness.journal(), format!("XADD s {id} a b"));
    assert_eq!((harness.events(), harness.effects.dirty), (vec!["xadd s".to_owned()], 1));
    check(&mut harness, "XADD new 7-* a b", "$3 7-0");
    assert_eq!(harness.journal(), "XADD new 7-0 a b");
    check(&mut harness, "XADD new 8-1 a b", "$3 8-1");
    assert_eq!(harness.journal(), "", "as it came");
    check(&mut harness, "XADD new MAXLEN ~ 0 8-2 a b", "$3 8-2");
    assert_eq!(harness.journal(), "XADD new MAXLEN = 0 8-2 a b");
    check(&mut harness, "XADD new 9 a b", "$3 9-0");
    check(&mut harness, "XADD new MINID ~ 9 LIMIT 5 9-9 a b", "$3 9-9");
    assert_eq!(harness.journal(), "XADD new MINID = 9-0 9-9 a b");
    let now = harness.now_ms;
    check(&mut harness, "XADD s MAXLEN = 2 * a b", &format!("$15 {now}-1"));
    assert_eq!(harness.journal(), format!("XADD s MAXLEN = 2 {now}-1 a b"));
    assert_eq!(harness.events(), ["xadd s", "xtrim s"]);
    check(&mut harness, "XTRIM s MAXLEN ~ 0", ":2");
    assert_eq!((harness.journal(), harness.effects.dirty), ("XTRIM s MAXLEN = 0".to_owned(), 2));
    check(&mut harness, "XDEL s 1", ":0");
    assert_eq!(harness.effects.dirty, 0);
}

#[test]
fn deliveries_are_journalled_as_claims() {
    let mut harness = harness();
    check(&mut harness, "XGROUP CREATE s g $", "+OK");
    assert_eq!(harness.journal(), "XGROUP CREATE s g 3-0");
    check(&mut harness, "XGROUP SETID s g 1 ENTRIESREAD 1", "+OK");
    assert_eq!(harness.journal(), "");
    let now = harness.now_ms;
    check(&mut harness, "XREADGROUP GROUP g c COUNT 1 STREAMS s >", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 n $1 2");
    assert_eq!(
        harness.journal(),
        format!(
            "XCLAIM s g c 0 2-0 TIME {now} RETRYCOUNT 1 FORCE JUSTID LASTID 2-0; XGROUP SETID s g 2-0 ENTRIESREAD 2"
        )
    );
    assert_eq!(harness.events(), ["xgroup-createconsumer s"]);
    check(&mut harness, "XREADGROUP GROUP g c STREAMS s 0", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 n $1 2");
    assert_eq!(harness.effects.dirty, 0, "history changes nothing that is kept");
    check(&mut harness, "XREADGROUP GROUP g c NOACK STREAMS s >", "*1 *2 $1 s *1 *2 $3 3-0 *2 $1 n $1 3");
    assert_eq!(harness.journal(), "XGROUP SETID s g 3-0 ENTRIESREAD 3");
    check(&mut harness, "XCLAIM s g d 0 2-0", "*1 *2 $3 2-0 *2 $1 n $1 2");
    assert_eq!(
        harness.journal(),
        format!("XCLAIM s g d 0 2-0 TIME {now} RETRYCOUNT 3 FORCE JUSTID LASTID 3-0")
    );
    check(&mut harness, "XDEL s 2", ":1");
    check(&mut harness, "XAUTOCLAIM s g d 0 0", "*3 $3 0-0 *0 *1 $3 2-0");
    assert_eq!(harness.journal(), "XACK s g 2-0");
    check(&mut harness, "XCLAIM s g d 0 9-9", "*0");
    assert_eq!(harness.effects.dirty, 0);
    check(&mut harness, "XCLAIM s g d 0 9-9 LASTID 7-0", "*0");
    assert_eq!(harness.journal(), "XGROUP SETID s g 7-0 ENTRIESREAD 3");
}

#[test]
fn who_waits_keeps_what_the_end_was() {
    let mut harness = harness();
    check(&mut harness, "XREAD BLOCK 500 STREAMS s t $ 7-7", "(blocked)");
    let request = harness.effects.block.clone().expect("it waits");
    assert_eq!((request.until_ms, request.kind), (harness.now_ms + 500, Kind::Stream));
    assert_eq!(request.wakes_on, Wakes::CREATED.with(Wakes::WRITTEN));
    let instead = request.instead.expect("it is written out").concat();
    assert_eq!(String::from_utf8_lossy(&instead), "XREADBLOCK500STREAMSst3-07-7");
    check(&mut harness, "XREAD BLOCK 0 STREAMS s 3", "(blocked)");
    assert_eq!(harness.effects.block.clone().and_then(|request| request.instead), None);
    check(&mut harness, "XREAD STREAMS s +", "*1 *2 $1 s *1 *2 $3 3-0 *2 $1 n $1 3");
    harness.run("XGROUP CREATE s g $");
    check(&mut harness, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "(blocked)");
    assert!(
        harness
            .effects
            .block
            .as_ref()
            .is_some_and(|request| request.wakes_on.has(rustredis_keyspace::Fate::Deleted))
    );
}
