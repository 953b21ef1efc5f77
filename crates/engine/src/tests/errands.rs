//! Errands: what several owners do is one moment to others, whatever comes between, and comes back.

use super::*;
use crate::errands::Scattered;

/// Adds to the cells of its shards, which nobody but who holds them touches, and goes on in a next turn as often as it is told.
struct Add {
    cells: Arc<Vec<AtomicU32>>,
    shards: Vec<u32>,
    pauses: usize,
    runs: usize,
}

impl Errand for Add {
    fn run(&mut self, _: &mut Held<'_>) -> Outcome {
        self.runs += 1;
        if self.pauses > 0 {
            self.pauses -= 1;
            return Outcome::Paused;
        }
        for shard in &self.shards {
            let cell = &self.cells[*shard as usize];
            let value = cell.load(Ordering::Relaxed);
            std::hint::spin_loop();
            cell.store(value + 1, Ordering::Relaxed);
        }
        Outcome::Done
    }
}

fn cells() -> Arc<Vec<AtomicU32>> {
    Arc::new((0..SHARDS).map(|_| AtomicU32::new(0)).collect())
}

fn add(cells: &Arc<Vec<AtomicU32>>, shards: &[u32], pauses: usize) -> Box<dyn Errand> {
    Box::new(Add { cells: cells.clone(), shards: shards.to_vec(), pauses, runs: 0 })
}

fn part(cells: &Arc<Vec<AtomicU32>>, shards: &[u32], pauses: usize) -> Part {
    Part { shards: shards.into(), errand: add(cells, shards, pauses) }
}

/// The shards of the other owner of two, and one of `index`.
fn shards_of(engine: &Engine, index: usize) -> (u32, u32) {
    let first = |owner: usize| (0..SHARDS).find(|shard| engine.owner_of(*shard) == owner).unwrap() as u32;
    (first(index), first(1 - index))
}

/// Scatters an errand to this thread's shard and the other's, and awaits it; false if it could not be sent.
async fn scatter(engine: &Engine, cells: &Arc<Vec<AtomicU32>>, index: usize, pauses: usize) -> bool {
    let (mine, theirs) = shards_of(engine, index);
    let own_shards = [mine];
    let own = Some((&own_shards[..], add(cells, &own_shards, pauses)));
    match engine.scatter(own, vec![part(cells, &[theirs], pauses)]) {
        Ok(Scattered { own, answers }) => {
            let mut count = 1;
            if let Some((mut held, mut errand)) = own {
                match errand.run(&mut held) {
                    Outcome::Done => {}
                    Outcome::Paused => {
                        answers.go_on(Part { shards: own_shards[..].into(), errand });
                        count += 1;
                    }
                }
            } else {
                count += 1;
            }
            assert_eq!(answers.await.len(), count);
            true
        }
        Err((own, parts)) => {
            assert!(own.is_some() && parts.len() == 1, "all comes back");
            false
        }
    }
}

#[test]
fn who_sees_several_shards_sees_all_of_a_scattering_or_nothing() {
    let engine = engine(EngineKind::Actor, 2);
    let cells = cells();
    run(&engine, 2, async |engine, index| {
        let random = Random::new(index as u64 + 7);
        let (mine, theirs) = shards_of(&engine, index);
        let mut both = [mine, theirs];
        both.sort_unstable();
        let mut scattered = 0;
        for round in 0..2000 {
            let look = |cells: &[AtomicU32]| both.map(|shard| cells[shard as usize].load(Ordering::Relaxed));
            match random.below(6) {
                0 => {
                    let held = engine.borrow(Covered::Many(&both), Access::Write).await;
                    let [one, other] = look(&cells);
                    assert_eq!(one, other, "round {round}: a part is missing");
                    drop(held);
                }
                1 => {
                    let held = engine.borrow(Covered::All, Access::Write).await;
                    let [one, other] = look(&cells);
                    assert_eq!(one, other, "round {round}: a part is missing");
                    drop(held);
                }
                2 => {
                    // One who does not wait for the answer.
                    let mut gone = Box::pin(scatter(&engine, &cells, index, 1));
                    let _ = poll_once(gone.as_mut());
                }
                pauses => scattered += u32::from(scatter(&engine, &cells, index, pauses % 2).await),
            }
        }
        assert!(scattered > 100, "{scattered}");
    });
    assert_eq!(engine.gate.word().read(), 0, "a bit is left");
}

#[test]
fn a_long_hold_lets_nothing_be_scattered_and_refuses_what_comes_alone() {
    let engine = engine(EngineKind::Actor, 2);
    let cells = cells();
    run(&engine, 2, async |engine, index| {
        if index == 1 {
            return;
        }
        let (mine, theirs) = shards_of(&engine, index);
        let own = engine.borrow_long(Covered::One(mine as usize), Access::Write).await;
        assert!(!scatter(&engine, &cells, index, 0).await, "what spans owners waits for the end");
        let alone = || engine.scatter(None, vec![part(&cells, &[theirs], 0)]);
        alone().ok().expect("one owner's shards are free").answers.await;
        drop(own);
        let kept = engine.borrow_long(Covered::One(theirs as usize), Access::Write).await;
        let Ok(Scattered { answers, .. }) = alone() else { panic!("the gate is open") };
        let refused: Box<dyn std::any::Any> = answers.await.remove(0).errand;
        assert_eq!(refused.downcast::<Add>().unwrap().runs, 0, "it has not run");
        drop(kept);
        assert!(scatter(&engine, &cells, index, 0).await);
        assert_eq!([mine, theirs].map(|shard| cells[shard as usize].load(Ordering::Relaxed)), [1, 2]);
    });
}

#[test]
fn while_it_pauses_nobody_else_has_its_shards() {
    let engine = engine(EngineKind::Actor, 2);
    let cells = cells();
    run(&engine, 2, async |engine, index| {
        if index == 1 {
            return;
        }
        let (mine, theirs) = shards_of(&engine, index);
        let own_shards = [mine];
        let own = Some((&own_shards[..], add(&cells, &own_shards, 1)));
        let Ok(Scattered { own: Some((mut held, mut errand)), answers }) =
            engine.scatter(own, vec![part(&cells, &[theirs], 0)])
        else {
            panic!("nothing is in the way");
        };
        assert_eq!(errand.run(&mut held), Outcome::Paused);
        answers.go_on(Part { shards: own_shards[..].into(), errand });
        drop(held);
        assert!(engine.hold(Covered::One(mine as usize), Access::Read).is_none(), "it has still to run");
        assert!(engine.hold(Covered::One(mine as usize + 1), Access::Read).is_some());
        assert_eq!(answers.await.len(), 2);
        assert!(engine.hold(Covered::One(mine as usize), Access::Read).is_some());
    });
}

#[test]
fn threads_that_tell_when_they_sleep_are_woken() {
    let engine = engine(EngineKind::Actor, 2);
    let cells = cells();
    let running = AtomicUsize::new(2);
    std::thread::scope(|scope| {
        for index in 0..2 {
            let (engine, cells, running) = (&engine, &cells, &running);
            scope.spawn(move || {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_time().on_thread_park(crate::before_sleep).build().unwrap();
                tokio::task::LocalSet::new().block_on(&runtime, async {
                    engine.enter_worker(index);
                    for round in 0..300 {
                        assert!(scatter(engine, cells, index, 0).await);
                        if round % 50 == 0 {
                            // Long enough that the other sleeps.
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                    }
                    running.fetch_sub(1, Ordering::AcqRel);
                    while running.load(Ordering::Acquire) > 0 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
            });
        }
    });
    let (one, other) = shards_of(&engine, 0);
    assert_eq!([one, other].map(|shard| cells[shard as usize].load(Ordering::Relaxed)), [600; 2]);
}
