//! Whether the list of changed keys is right: random histories of commands, and after each the whole data set compared with what
//! the list says of it.

use std::collections::BTreeMap;

use rustredis_keyspace::{Change, Fate};
use rustredis_resp::Proto;
use rustredis_testkit::oracle::{Coverage, History};

use crate::Run;
use crate::testing::Harness;

/// A text for each key's type, value and expiry.
type Contents = BTreeMap<(u32, Vec<u8>), String>;

/// What has become of each key, as a look at everything before and after tells; `Deleted` for every end.
fn seen(before: &Contents, after: &Contents) -> BTreeMap<(u32, Vec<u8>), Fate> {
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Fate::Deleted));
    let there = after.iter().filter_map(|(key, value)| match before.get(key) {
        None => Some((key.clone(), Fate::Created)),
        Some(old) if old != value => Some((key.clone(), Fate::Written)),
        Some(_) => None,
    });
    gone.chain(there).collect()
}

/// Does to the contents of before what happened to whole databases.
fn follow(before: &mut Contents, change: &Change) {
    match change {
        Change::Key(..) => {}
        Change::Emptied(emptied) => before.retain(|(db, _), _| db != emptied),
        Change::Swapped(first, second) => {
            let swapped = |db: u32| match db {
                db if db == *first => *second,
                db if db == *second => *first,
                db => db,
            };
            *before = std::mem::take(before)
                .into_iter()
                .map(|((db, key), value)| ((swapped(db), key), value))
                .collect();
        }
    }
}

/// What a history has shown.
#[derive(Debug, Default)]
struct Shown {
    /// Changes that were listed and seen.
    told: usize,
    /// Keys that were written with what they held already.
    rewritten: usize,
    /// Changes of whole databases.
    whole: usize,
    expired: usize,
}

/// Runs a command and compares the list with what is seen.
fn check(harness: &mut Harness, parts: &[Vec<u8>], before: &mut Contents, shown: &mut Shown) {
    let text = || parts.iter().map(|part| part.escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
    harness.run_parts(parts);
    let changes = harness.effects.take_changes();
    let after = harness.contents();
    changes.iter().for_each(|change| follow(before, change));
    shown.whole += changes.iter().filter(|change| !matches!(change, Change::Key(..))).count();
    let mut seen = seen(before, &after);
    for change in &changes {
        let Change::Key((db, key), fate) = change else { continue };
        let key = (*db, key.to_vec());
        let told = if fate.is_end() { Fate::Deleted } else { *fate };
        match seen.remove(&key) {
            Some(fate) => assert_eq!(fate, told, "{}: {key:?}", text()),
            // As in Redis, a write is a write whatever it leaves.
            None => {
                assert_eq!((told, after.get(&key)), (Fate::Written, before.get(&key)), "{}: {key:?}", text());
                // An LTRIM that removes nothing is told to watchers, and counts as nothing.
                let is_counted = harness.effects.dirty > 0 || parts[0].eq_ignore_ascii_case(b"LTRIM");
                assert!(after.contains_key(&key) && is_counted, "{}: {key:?}", text());
                shown.rewritten += 1;
            }
        }
        shown.told += 1;
        shown.expired += usize::from(*fate == Fate::Expired);
    }
    assert!(seen.is_empty(), "{} is not listed: {seen:?}, but {changes:?}", text());
    *before = after;
}

#[test]
fn all_that_changes_is_listed_and_nothing_else() {
    let mut shown = Shown::default();
    for (seed, coverage) in (0..8).flat_map(|seed| [(seed, Coverage::Own), (seed, Coverage::Near)]) {
        let mut harness = Harness::new();
        harness.proto = if seed % 2 == 1 { Proto::Resp3 } else { Proto::Resp2 };
        harness.list_changes();
        let mut before = harness.contents();
        let whole: [&[&str]; 3] = [&["SWAPDB", "0", "1"], &["FLUSHDB"], &["FLUSHALL"]];
        for (index, step) in History::of_keys(seed, 600, coverage).steps().iter().enumerate() {
            harness.now_ms += (index % 3) as u64;
            for command in step.iter() {
                if harness.runs(&command.arguments, |row| matches!(row.command.run, Run::Keys(_))) {
                    check(&mut harness, &command.arguments, &mut before, &mut shown);
                }
            }
            if index % 60 == 59 {
                let parts: Vec<Vec<u8>> =
                    whole[index / 60 % 3].iter().map(|part| part.as_bytes().to_vec()).collect();
                check(&mut harness, &parts, &mut before, &mut shown);
                harness.db = index / 60 % 2;
            }
        }
    }
    let Shown { told, rewritten, whole, expired } = shown;
    assert!(told > 3_000 && rewritten * 5 < told && whole > 100 && expired > 100, "{shown:?}");
}
