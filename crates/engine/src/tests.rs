//! Tests of all engines: who may hold what beside whom, and what becomes of those who wait.

mod errands;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustredis_keyspace::Key;
use rustredis_metrics::Clock;

use super::*;

const SHARDS: usize = 256;
const KINDS: [EngineKind; 4] =
    [EngineKind::Mutex, EngineKind::DashMap, EngineKind::Actor, EngineKind::LockFree];

fn engine(kind: EngineKind, threads: usize) -> Arc<Engine> {
    Arc::new(Engine::new(kind, SHARDS, 1, threads, Clock::monotonic()))
}

/// Runs `task` in so many workers, each with its index, until all have ended.
fn run<F: Future<Output = ()>>(
    engine: &Arc<Engine>,
    threads: usize,
    task: impl Fn(Arc<Engine>, usize) -> F + Sync,
) {
    let running = AtomicUsize::new(threads);
    std::thread::scope(|scope| {
        for index in 0..threads {
            let (task, running) = (&task, &running);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                tokio::task::LocalSet::new().block_on(&runtime, async {
                    engine.enter_worker(index);
                    task(engine.clone(), index).await;
                    running.fetch_sub(1, Ordering::AcqRel);
                    // Others may need this owner still.
                    while running.load(Ordering::Acquire) > 0 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
            });
        }
    });
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Lets the other tasks of the thread, the owner of shards among them, go as far as they can.
async fn let_others() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// Who is in a shard now: writers count a thousand.
fn enter(inside: &[AtomicU32], covered: Covered<'_>, one: u32) {
    for (_, cell) in inside.iter().enumerate().filter(|(shard, _)| covered.has(*shard)) {
        let before = cell.fetch_add(one, Ordering::Relaxed);
        assert!(before < 1000 && (one == 1 || before == 0), "{before} are in beside one of {one}");
    }
}

fn leave_all(inside: &[AtomicU32], covered: Covered<'_>, one: u32) {
    for (_, cell) in inside.iter().enumerate().filter(|(shard, _)| covered.has(*shard)) {
        cell.fetch_sub(one, Ordering::Relaxed);
    }
}

#[test]
fn whoever_holds_a_shard_is_alone_in_it() {
    for kind in KINDS {
        let engine = engine(kind, 3);
        let inside: Vec<AtomicU32> = (0..SHARDS).map(|_| AtomicU32::new(0)).collect();
        run(&engine, 3, async |engine, index| {
            let random = Random::new(index as u64 + 1);
            for round in 0..3000 {
                let shards: Vec<u32> = (0..SHARDS as u32).filter(|_| random.below(100) == 0).collect();
                let covered = match random.below(20) {
                    0 => Covered::All,
                    1..5 => Covered::of(&shards),
                    // A hot one among them.
                    _ => Covered::One(random.below(4)),
                };
                let access = if random.below(2) == 0 { Access::Read } else { Access::Write };
                if random.below(10) == 0 {
                    // One who gives up.
                    let mut borrow = Box::pin(engine.borrow(covered, access));
                    let _ = poll_once(borrow.as_mut());
                }
                let held = engine.borrow(covered, access).await;
                let one = if held.access == Access::Write { 1000 } else { 1 };
                enter(&inside, held.covered(), one);
                std::hint::spin_loop();
                leave_all(&inside, held.covered(), one);
                drop(held);
                if round % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        assert_eq!(engine.gate.word().read(), 0, "{kind:?}: a bit is left");
    }
}

#[test]
fn a_long_hold_keeps_its_shards_and_no_others() {
    for kind in KINDS {
        for covered in [Covered::One(3), Covered::All] {
            let engine = engine(kind, 1);
            run(&engine, 1, async |engine, _| {
                let long = engine.borrow_long(covered, Access::Write).await;
                assert!(engine.is_kept(Covered::One(3)) && !engine.is_kept(Covered::None));
                assert!(engine.hold(Covered::One(3), Access::Read).is_none());
                let is_free = kind != EngineKind::Mutex && covered != Covered::All;
                assert_eq!(engine.hold(Covered::One(4), Access::Write).is_some(), is_free);
                let began = Instant::now();
                engine.until_busy(Covered::One(3), Duration::from_millis(5)).await;
                assert!(began.elapsed() < Duration::from_secs(1), "busy at once");
                let mut both = Box::pin(engine.borrow(Covered::Many(&[2, 3, 4]), Access::Write));
                let mut all = Box::pin(engine.borrow(Covered::All, Access::Write));
                assert!(poll_once(both.as_mut()).is_pending() && poll_once(all.as_mut()).is_pending());
                let_others().await;
                if is_free {
                    assert!(engine.hold(Covered::One(2), Access::Write).is_some(), "who waits keeps nothing");
                }
                drop(long);
                drop(both.await);
                drop(all.await);
                assert!(engine.hold(Covered::All, Access::Write).is_some());
            });
        }
    }
}

/// With a hold of the thread's own shards, and with one of borrowed shards.
#[test]
fn a_hold_that_is_announced_is_a_long_one() {
    for kind in KINDS {
        for (covered, is_borrowed) in [
            (Covered::One(3), false),
            (Covered::One(3), true),
            (Covered::Many(&[3, 200]), false),
            (Covered::Many(&[3, 200]), true),
            (Covered::All, false),
        ] {
            let engine = engine(kind, 1);
            run(&engine, 1, async |engine, _| {
                let mut held = match is_borrowed {
                    true => engine.borrow(covered, Access::Write).await,
                    false => engine.hold(covered, Access::Write).expect("nobody is there"),
                };
                let announced = held.announce();
                assert!(engine.is_kept(Covered::One(3)));
                let mut both = Box::pin(engine.borrow(Covered::Many(&[2, 3, 4]), Access::Write));
                assert!(poll_once(both.as_mut()).is_pending());
                let_others().await;
                assert!(engine.hold(Covered::One(3), Access::Read).is_none());
                let is_free = kind != EngineKind::Mutex && covered != Covered::All;
                assert_eq!(engine.hold(Covered::One(5), Access::Write).is_some(), is_free);
                engine.until_busy(Covered::One(3), Duration::ZERO).await;
                drop(held);
                drop(announced);
                assert!(!engine.is_kept(Covered::One(3)));
                drop(both.await);
                drop(engine.borrow(Covered::All, Access::Write).await);
            });
        }
    }
}

/// Two threads, of which one keeps shards that it announces again and again across awaits: nobody else is in them.
#[test]
fn nobody_enters_what_is_announced() {
    for kind in KINDS {
        let engine = engine(kind, 2);
        let inside = AtomicU32::new(0);
        run(&engine, 2, async |engine, index| {
            for round in 0..300 {
                let covered = match (index + round) % 4 {
                    0 => Covered::One(0),
                    1 => Covered::One(255),
                    2 => Covered::Many(&[0, 255]),
                    _ => Covered::All,
                };
                let mut held = engine.borrow(covered, Access::Write).await;
                let bits = match covered {
                    Covered::One(0) => 1,
                    Covered::One(_) => 1 << 8,
                    _ => 1 | 1 << 8,
                };
                assert_eq!(
                    inside.fetch_add(bits, Ordering::AcqRel) & (bits * 0xff),
                    0,
                    "two are in one shard"
                );
                let announced = (round % 2 == 0).then(|| held.announce());
                if announced.is_some() {
                    for _ in 0..round % 5 {
                        tokio::task::yield_now().await;
                    }
                }
                inside.fetch_sub(bits, Ordering::AcqRel);
                drop(held);
                drop(announced);
                tokio::task::yield_now().await;
            }
        });
    }
}

#[test]
fn busy_is_told_when_it_begins_later() {
    let engine = engine(EngineKind::DashMap, 1);
    run(&engine, 1, async |engine, _| {
        let mut busy = Box::pin(engine.until_busy(Covered::One(1), Duration::from_millis(2)));
        assert!(poll_once(busy.as_mut()).is_pending());
        let long = engine.borrow_long(Covered::One(1), Access::Write).await;
        busy.await;
        drop(long);
        assert!(!engine.is_kept(Covered::One(1)));
    });
}

#[test]
fn a_borrow_that_is_dropped_at_any_poll_gives_everything_back() {
    for kind in KINDS {
        for polls in 0..6 {
            let engine = engine(kind, 2);
            run(&engine, 2, async |engine, index| {
                if index == 1 {
                    return;
                }
                for covered in [Covered::One(0), Covered::Many(&[0, 255]), Covered::All] {
                    let blocker = engine.borrow(Covered::One(0), Access::Write).await;
                    let mut waits = Box::pin(engine.borrow(covered, Access::Write));
                    let mut blocker = Some(blocker);
                    for poll in 0..polls {
                        if poll == polls / 2 {
                            blocker = None;
                        }
                        if poll_once(waits.as_mut()).is_ready() {
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    drop((waits, blocker));
                    drop(engine.borrow(Covered::All, Access::Write).await);
                    drop(engine.borrow(Covered::Many(&[0, 255]), Access::Write).await);
                }
            });
            assert_eq!(engine.gate.word().read(), 0, "{kind:?}: a bit is left");
        }
    }
}

#[test]
fn a_grant_that_was_sent_and_never_read_comes_back() {
    let engine = engine(EngineKind::Actor, 1);
    run(&engine, 1, async |engine, _| {
        let Doors::Actor(doors) = &engine.doors else { unreachable!() };
        let mut borrow = Box::pin(doors.borrow(&engine, Covered::One(7), false));
        assert!(poll_once(borrow.as_mut()).is_pending(), "the owner has not looked yet");
        let_others().await;
        assert!(engine.hold(Covered::One(7), Access::Write).is_none(), "it is lent");
        drop(borrow);
        let_others().await;
        assert!(engine.hold(Covered::One(7), Access::Write).is_some(), "it has come back");
    });
}

#[test]
fn a_writer_is_not_starved_by_readers_who_overlap() {
    let engine = engine(EngineKind::DashMap, 1);
    run(&engine, 1, async |engine, _| {
        let readers: RefCell<Vec<_>> = RefCell::default();
        readers.borrow_mut().push(engine.hold(Covered::One(1), Access::Read));
        let mut writer = Box::pin(engine.borrow(Covered::One(1), Access::Write));
        let mut rounds = 0;
        while poll_once(writer.as_mut()).is_pending() {
            if rounds == 0 {
                std::thread::sleep(crate::notices::PATIENCE);
            }
            rounds += 1;
            assert!(rounds < 10, "the writer is starved");
            // The next comes before the last has gone.
            let next = engine.hold(Covered::One(1), Access::Read);
            readers.borrow_mut().push(next);
            readers.borrow_mut().remove(0);
        }
    });
}

#[test]
fn everything_is_read_beside_readers_where_locks_are_shared() {
    let engine = engine(EngineKind::DashMap, 1);
    run(&engine, 1, async |engine, _| {
        let everything = engine.hold(Covered::All, Access::Read).expect("nobody is there");
        assert!(engine.hold(Covered::One(1), Access::Read).is_some());
        assert!(engine.hold(Covered::One(1), Access::Write).is_none());
        drop(everything);
        assert!(engine.hold(Covered::One(1), Access::Write).is_some());
    });
}

#[test]
fn everything_is_had_beside_readers_without_a_lock() {
    let engine = engine(EngineKind::LockFree, 2);
    let (random, mut effects) = (Random::new(1), Effects::default());
    let key = Key::new(b"key");
    {
        let mut held = engine.hold(Covered::All, Access::Write).expect("nobody is there");
        let mut view = held.view(0, 1, &random, &mut effects);
        view.set_string(key, b"value", None);
        (0..3).for_each(|_| _ = view.read(key));
        view.publish(key, 0);
    }
    let inside = AtomicU32::new(0);
    run(&engine, 2, async |engine, index| {
        for round in 0..20_000 {
            if index == 0 && round % 4 == 0 {
                let held = engine.borrow(Covered::All, Access::Write).await;
                assert_eq!(inside.load(Ordering::Relaxed), 0, "somebody reads beside one who has everything");
                drop(held);
                tokio::task::yield_now().await;
            } else if let Some(reading) = engine.read_published() {
                inside.fetch_add(1, Ordering::Relaxed);
                assert!(reading.find(0, key, 1).is_some());
                inside.fetch_sub(1, Ordering::Relaxed);
            } else {
                drop(engine.borrow(Covered::Many(&[1, 2]), Access::Read).await);
            }
        }
    });
}
