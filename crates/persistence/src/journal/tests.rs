//! The journal's parts together: lanes, pump, sinks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::*;

const OPEN: fn() = || {};

fn set_for(audience: Audience, journal: &Journal, lane: usize, db: usize, words: &[&str]) -> Place {
    let mut unit = Unit::default();
    unit.add(db, words.iter().map(|word| word.as_bytes()));
    // Nobody else holds the shard, as in a server.
    let shard = lane % journal.shards.len();
    journal.append(lane, &mut unit, audience, Touched::Shards([shard].into_iter()), 7)
}

fn set(journal: &Journal, lane: usize, db: usize, words: &[&str]) -> Place {
    set_for(Audience::Both, journal, lane, db, words)
}

/// Gives all that there is. What is staged of a lane is given before more of it is collected, so it collects again.
fn pump(journal: &Journal) -> Place {
    loop {
        journal.collect();
        let turn = journal.give();
        if !turn.has_given {
            return turn.taken;
        }
    }
}

/// A sink without a limit, attached.
fn attach(journal: &Journal, audience: Audience) -> Arc<Sink> {
    let sink = Arc::new(Sink::new(audience, OPEN).with_offsets(1000));
    journal.attach(sink.clone());
    sink
}

/// What waits in a sink, as one line.
fn drain(sink: &Sink) -> String {
    let (mut all, mut piece) = (Vec::new(), Vec::new());
    while sink.take(&mut piece).is_some() {
        all.append(&mut piece);
    }
    String::from_utf8(all).unwrap().replace("\r\n", " ")
}

#[test]
fn entries_of_all_lanes_come_in_the_order_of_their_places() {
    let journal = Journal::new(2, 1);
    let sink = attach(&journal, Audience::Both);
    set(&journal, 0, 0, &["A"]);
    set(&journal, 1, 0, &["B"]);
    set(&journal, 1, 3, &["C"]);
    assert_eq!(pump(&journal), 3);
    assert_eq!(drain(&sink), "*2 $6 SELECT $1 0 *1 $1 A *1 $1 B *2 $6 SELECT $1 3 *1 $1 C ");
    set(&journal, 0, 3, &["D"]);
    pump(&journal);
    assert_eq!(drain(&sink), "*1 $1 D ");
}

#[test]
fn each_stream_selects_its_database_and_tells_the_time_if_it_is_to() {
    let journal = Journal::new(2, 1);
    let first = attach(&journal, Audience::Both);
    set(&journal, 0, 3, &["A"]);
    let second = Arc::new(Sink::new(Audience::File, OPEN));
    second.set_timestamps(true);
    assert_eq!(journal.attach(second.clone()), 1);
    set(&journal, 1, 3, &["B"]);
    assert_eq!(journal.detach(&first), 2);
    set(&journal, 0, 3, &["C"]);
    pump(&journal);
    assert_eq!(drain(&first), "*2 $6 SELECT $1 3 *1 $1 A *1 $1 B ");
    assert!(first.is_drained() && first.state() == State::Left);
    assert_eq!(drain(&second), "#TS:7 *2 $6 SELECT $1 3 *1 $1 B *1 $1 C ");
    assert!(journal.is_on() && !second.is_drained());
    journal.detach(&second);
    assert!(!journal.is_on());
}

#[test]
fn a_unit_of_several_commands_is_framed() {
    let journal = Journal::new(1, 1);
    let sink = attach(&journal, Audience::Both);
    let mut unit = Unit::default();
    unit.add(0, [b"A".as_slice()].into_iter());
    unit.add(1, [b"B".as_slice()].into_iter());
    journal.append(0, &mut unit, Audience::Both, Touched::Shards([0].into_iter()), 7);
    assert!(unit.is_empty());
    pump(&journal);
    let expected = "*2 $6 SELECT $1 0 *1 $5 MULTI *1 $1 A *2 $6 SELECT $1 1 *1 $1 B *1 $4 EXEC ";
    assert_eq!(drain(&sink), expected);
}

#[test]
fn everybody_gets_what_is_for_him() {
    let journal = Journal::new(1, 1);
    let file = attach(&journal, Audience::File);
    assert!(journal.is_heard_by(Audience::Both) && !journal.is_heard_by(Audience::Replicas));
    let replica = attach(&journal, Audience::Replicas);
    assert!(journal.is_heard_by(Audience::Replicas));
    for (audience, word) in [(Audience::Both, "A"), (Audience::File, "B"), (Audience::Replicas, "C")] {
        set_for(audience, &journal, 0, 0, &[word]);
    }
    pump(&journal);
    assert_eq!([1, 2, 3, 4].map(|place| file.end_of(place)), [Some(34), Some(45), Some(45), None]);
    let mut bytes = Vec::new();
    assert_eq!(file.take(&mut bytes), Some(3), "it has come past what was for others");
    assert_eq!(bytes, b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\n");
    assert_eq!(drain(&replica), "*2 $6 SELECT $1 0 *1 $1 A *1 $1 C ");
}

#[test]
fn who_is_too_slow_is_left_behind() {
    let journal = Journal::new(1, 1);
    let told = Arc::new(AtomicUsize::new(0));
    let telling = told.clone();
    let notify = move || _ = telling.fetch_add(1, Relaxed);
    let slow = Arc::new(Sink::new(Audience::Both, notify).with_limit(100));
    journal.attach(slow.clone());
    let other = attach(&journal, Audience::Both);
    for number in 0..20 {
        set(&journal, 0, 0, &[&format!("{number:02}")]);
        pump(&journal);
    }
    assert_eq!((slow.state(), slow.waiting_bytes()), (State::Overrun, 0));
    assert_eq!(told.load(Relaxed), 7, "once for each piece until it was left behind");
    assert_eq!(drain(&other).matches("*1").count(), 20);
    journal.detach(&other);
    assert!(!journal.is_on(), "who was left behind is no sink any more");
}

#[test]
fn the_last_sink_that_is_left_behind_ends_the_recording() {
    let journal = Journal::new(1, 1);
    journal.attach(Arc::new(Sink::new(Audience::Both, OPEN).with_limit(1)));
    set(&journal, 0, 0, &["A"]);
    pump(&journal);
    assert!(!journal.is_on());
}

/// Whether entries come by the feeder, each of which finds it asleep.
fn are_fed(journal: &Journal, sink: &Sink) -> bool {
    (0..3).all(|_| {
        set(journal, 0, 0, &["A"]);
        let end = Instant::now() + Duration::from_secs(10);
        while sink.waiting_bytes() == 0 && Instant::now() < end {
            std::thread::yield_now();
        }
        // So that it sleeps until it is woken.
        while !journal.feeder.is_dormant() {
            std::thread::yield_now();
        }
        !drain(sink).is_empty()
    })
}

#[test]
fn the_feeder_pumps_where_there_is_no_file() {
    let journal = Journal::new(1, 1);
    let sink = attach(&journal, Audience::Replicas);
    let is_done = AtomicBool::new(false);
    let are_fed = std::thread::scope(|scope| {
        scope.spawn(|| feeder::feed(&journal, || {}, || !is_done.load(Relaxed)));
        let are_fed = are_fed(&journal, &sink);
        is_done.store(true, Relaxed);
        journal.feeder.wake();
        are_fed
    });
    assert!(are_fed);
}

#[test]
fn a_feeder_is_started_once_and_for_ever() {
    let journal = Arc::new(Journal::new(1, 1));
    for _ in 0..2 {
        journal.start_feeder(|| {}).unwrap();
    }
    let sink = attach(&journal, Audience::Replicas);
    assert!(are_fed(&journal, &sink));
}

/// Each of four threads appends its numbers, while two threads pump.
#[test]
fn all_sinks_get_one_order() {
    const LANES: usize = 4;
    const ENTRIES: usize = if cfg!(miri) { 20 } else { 5_000 };
    let journal = Journal::new(LANES, LANES);
    let is_done = AtomicBool::new(false);
    let sinks = [Audience::Both, Audience::File].map(|audience| attach(&journal, audience));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..LANES)
            .map(|lane| {
                let journal = &journal;
                scope.spawn(move || {
                    for number in 0..ENTRIES {
                        set(journal, lane, 0, &[&format!("{lane}-{number}")]);
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done.load(Relaxed) {
                    pump(&journal);
                }
            });
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        is_done.store(true, Relaxed);
    });
    assert_eq!(pump(&journal), (LANES * ENTRIES) as u64);
    let [text, other] = sinks.map(|sink| drain(&sink));
    assert_eq!(text, other);
    for lane in 0..LANES {
        let prefix = format!("{lane}-");
        let numbers: Vec<usize> =
            text.split(' ').filter_map(|word| word.strip_prefix(&prefix)?.parse().ok()).collect();
        assert_eq!(numbers, (0..ENTRIES).collect::<Vec<_>>());
    }
}

#[test]
fn what_needs_no_database_selects_none() {
    let journal = Journal::new(1, 1);
    let sink = attach(&journal, Audience::Replicas);
    set_for(Audience::Replicas, &journal, 0, ANY_DB, &["PING"]);
    set(&journal, 0, 9, &["A"]);
    set_for(Audience::Replicas, &journal, 0, ANY_DB, &["PING"]);
    set(&journal, 0, 9, &["B"]);
    pump(&journal);
    assert_eq!(drain(&sink), "*1 $4 PING *2 $6 SELECT $1 9 *1 $1 A *1 $4 PING *1 $1 B ");
}

#[test]
fn a_sink_whose_owner_is_gone_gets_nothing_more() {
    let journal = Journal::new(1, 1);
    let (gone, other) = (attach(&journal, Audience::Replicas), attach(&journal, Audience::Both));
    set(&journal, 0, 0, &["A"]);
    pump(&journal);
    journal.abandon(&gone);
    set(&journal, 0, 0, &["B"]);
    pump(&journal);
    assert_eq!((drain(&gone), gone.waiting_bytes()), (String::new(), 0));
    assert_eq!(drain(&other), "*2 $6 SELECT $1 0 *1 $1 A *1 $1 B ");
    assert_eq!(Arc::strong_count(&gone), 1, "the pump has forgotten it");
    // One that goes before whoever pumps knows of it.
    let brief = attach(&journal, Audience::Replicas);
    journal.abandon(&brief);
    set(&journal, 0, 0, &["C"]);
    pump(&journal);
    assert_eq!((drain(&brief), Arc::strong_count(&brief)), (String::new(), 1));
    journal.abandon(&other);
    assert!(!journal.is_on());
}
