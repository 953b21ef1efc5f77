//! Every strategy counts exactly what was recorded: from many threads, with readers, and with resets at any moment.

use rustredis_metrics::{CallEnd, Clock, CommandId, CommandStats, Metrics, Strategy, WorkerMetrics};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;

const COUNTING: [Strategy; 3] = [Strategy::Mutex, Strategy::Sharded, Strategy::ThreadLocal];
const COMMANDS: usize = 5;
const THREADS: usize = 4;

fn metrics(strategy: Strategy) -> Arc<Metrics> {
    Metrics::new(strategy, COMMANDS, THREADS, Clock::monotonic())
}

/// A seeded generator, so that each thread's load is known in advance.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Records the load of `seed`, in batches of all sizes, and gives what it should add up to.
fn random_load(worker: &WorkerMetrics, seed: u64, records: usize) -> Vec<CommandStats> {
    let mut random = Random(seed);
    let mut expected = vec![CommandStats::default(); COMMANDS];
    for _ in 0..records {
        let index = random.below(COMMANDS as u64) as usize;
        let command = CommandId(index as u16);
        if random.below(10) == 0 {
            worker.reject(command);
            expected[index].rejected += 1;
        } else {
            let magnitude = random.below(31);
            let nanos = 1 + random.below(1 << magnitude);
            let outcome = if random.below(4) == 0 { CallEnd::Failed } else { CallEnd::Ok };
            worker.record(command, nanos, outcome);
            expected[index].calls += 1;
            expected[index].nanos += nanos;
            expected[index].failed += u64::from(outcome == CallEnd::Failed);
            expected[index].histogram.record(nanos);
        }
        if random.below(30) == 0 {
            worker.flush();
        }
    }
    worker.flush();
    expected
}

fn sum(all: impl IntoIterator<Item = Vec<CommandStats>>) -> Vec<CommandStats> {
    let mut total = vec![CommandStats::default(); COMMANDS];
    for one in all {
        total.iter_mut().zip(&one).for_each(|(total, one)| total.merge(one));
    }
    total
}

/// The workers are not asked for anything when the counts are read: they are blocked in a channel, as an idle worker is in epoll.
fn check_idle_workers(strategy: Strategy, records: usize) {
    let metrics = metrics(strategy);
    let reading = AtomicBool::new(true);
    let (loads_done, loads) = channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = vec![CommandStats::default(); COMMANDS];
            while reading.load(Ordering::Relaxed) {
                let now = metrics.snapshot();
                for (last, now) in last.iter().zip(&now) {
                    assert!(now.calls >= last.calls && now.nanos >= last.nanos && now.failed >= last.failed);
                    assert!(now.rejected >= last.rejected && now.histogram.count() >= last.histogram.count());
                }
                last = now;
                metrics.cost();
            }
        });
        let parked: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (wake, woken) = channel::<()>();
                let (metrics, loads_done) = (&metrics, loads_done.clone());
                scope.spawn(move || {
                    let worker = metrics.worker();
                    loads_done
                        .send(random_load(&worker, thread as u64, records))
                        .expect("the reader waits for it");
                    assert!(woken.recv().is_err());
                });
                wake
            })
            .collect();
        let expected = sum(loads.iter().take(THREADS));
        assert_eq!(metrics.snapshot(), expected, "{strategy}, workers idle");
        let third = metrics.command(CommandId(3));
        assert_eq!(third, expected[3], "{strategy}, one command");
        reading.store(false, Ordering::Relaxed);
        drop(parked);
    });
    assert_eq!(metrics.cost().workers, 0);
    let counted: u64 = metrics.snapshot().iter().map(|stats| stats.calls + stats.rejected).sum();
    assert_eq!(counted, (THREADS * records) as u64, "{strategy}, workers gone");
}

#[test]
fn the_sums_equal_what_was_recorded() {
    for strategy in COUNTING {
        check_idle_workers(strategy, 20_000);
    }
}

/// Load, reset, load: the second load alone is counted, whether the resetter is a worker or not.
fn check_reset_between(strategy: Strategy) {
    let metrics = metrics(strategy);
    let (loaded, cleared) = (Barrier::new(THREADS), Barrier::new(THREADS));
    let expected = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (metrics, loaded, cleared) = (&metrics, &loaded, &cleared);
                scope.spawn(move || {
                    let worker = metrics.worker();
                    let mut expected = Vec::new();
                    for round in 0..20 {
                        random_load(&worker, round, 100);
                        if loaded.wait().is_leader() {
                            if round % 2 == 0 {
                                worker.reset()
                            } else {
                                metrics.reset()
                            }
                            assert_eq!(metrics.snapshot(), vec![CommandStats::default(); COMMANDS]);
                        }
                        cleared.wait();
                        expected = random_load(&worker, round * 100 + thread as u64, 200);
                        if loaded.wait().is_leader() {
                            let counted: u64 =
                                metrics.snapshot().iter().map(|stats| stats.calls + stats.rejected).sum();
                            assert_eq!(counted, 200 * THREADS as u64, "{strategy}, round {round}");
                        }
                        cleared.wait();
                    }
                    expected
                })
            })
            .collect();
        sum(workers.into_iter().map(|worker| worker.join().expect("no assertion failed")))
    });
    assert_eq!(metrics.snapshot(), expected, "{strategy}");
}

#[test]
fn a_reset_between_two_loads_forgets_the_first() {
    for strategy in COUNTING {
        check_reset_between(strategy);
    }
}

/// Resets run against the load. How many records they forget is chance, but no record may be forgotten in part.
fn check_reset_under_load(strategy: Strategy) {
    const NANOS: u64 = 1_000;
    let metrics = metrics(strategy);
    let running = AtomicUsize::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let worker = metrics.worker();
                for index in 0..30_000_u32 {
                    worker.record(CommandId((index % 3) as u16), NANOS, CallEnd::Failed);
                    if index % 7 == 0 {
                        worker.flush();
                    }
                }
                worker.flush();
                running.fetch_sub(1, Ordering::Release);
            });
        }
        while running.load(Ordering::Acquire) > 0 {
            metrics.reset();
            metrics.snapshot();
        }
    });
    for stats in metrics.snapshot() {
        assert_eq!(stats.nanos, stats.calls * NANOS, "{strategy}");
        assert_eq!(stats.failed, stats.calls, "{strategy}");
        assert_eq!(stats.histogram.count(), stats.calls, "{strategy}");
        assert!(stats.calls <= 40_000, "{strategy}");
    }
}

#[test]
fn a_reset_never_splits_a_record() {
    for strategy in COUNTING {
        check_reset_under_load(strategy);
    }
}

/// Two workers record in turn while a third thread resets. Whatever a reset forgets is a beginning of this sequence, so the
/// two may differ by one record at the end. Resets that clear worker after worker would fail this.
fn check_reset_is_one_step(strategy: Strategy) {
    const TURNS: usize = 1_000;
    let metrics = metrics(strategy);
    let turn = AtomicUsize::new(0);
    let (to_first, from_second) = channel();
    let (to_second, from_first) = channel();
    to_first.send(()).expect("the channel is open");
    thread::scope(|scope| {
        for (player, own_turn, pass_on) in [(0, from_second, to_second), (1, from_first, to_first)] {
            let (metrics, turn) = (&metrics, &turn);
            scope.spawn(move || {
                let worker = metrics.worker();
                for _ in 0..TURNS / 2 {
                    own_turn.recv().expect("the other player lives");
                    worker.record(CommandId(player), 1, CallEnd::Ok);
                    worker.flush();
                    turn.fetch_add(1, Ordering::Release);
                    let _the_other_may_be_done = pass_on.send(());
                }
            });
        }
        // The last reset comes somewhere in the middle, so that something is left to compare.
        while turn.load(Ordering::Acquire) < TURNS / 2 {
            metrics.reset();
        }
    });
    let (first, second) = (metrics.command(CommandId(0)).calls, metrics.command(CommandId(1)).calls);
    assert!(first.abs_diff(second) <= 1, "{strategy}: {first} and {second}");
    assert!(first + second <= TURNS as u64);
}

#[test]
fn a_reset_is_one_step_for_all_workers() {
    for strategy in COUNTING {
        for _ in 0..40 {
            check_reset_is_one_step(strategy);
        }
    }
}

/// A reader that meets a reset reads what was there before it or nothing, and not the counts of some workers.
fn check_reader_meets_reset(strategy: Strategy) {
    const WORKERS: usize = 64;
    const ROUNDS: usize = 1_500;
    let metrics = Metrics::new(strategy, 1, WORKERS, Clock::monotonic());
    let workers: Vec<WorkerMetrics> = (0..WORKERS).map(|_| metrics.worker()).collect();
    let (start, read) = (Barrier::new(2), Barrier::new(2));
    let seen = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = Vec::new();
            for _ in 0..ROUNDS {
                start.wait();
                seen.extend((0..4).map(|_| metrics.command(CommandId(0)).calls));
                read.wait();
            }
            seen
        });
        for _ in 0..ROUNDS {
            for worker in &workers {
                worker.record(CommandId(0), 1, CallEnd::Ok);
                worker.flush();
            }
            start.wait();
            metrics.reset();
            read.wait();
        }
        reader.join().expect("no assertion failed")
    });
    assert!(seen.iter().all(|calls| [0, WORKERS as u64].contains(calls)), "{strategy}: {seen:?}");
}

#[test]
fn a_reader_sees_all_or_nothing_of_a_reset() {
    for strategy in COUNTING {
        check_reader_meets_reset(strategy);
    }
}

/// Workers come and go, as connections' threads do in tests, while others read.
#[test]
fn workers_that_come_and_go_lose_nothing() {
    for strategy in COUNTING {
        let metrics = metrics(strategy);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let worker = metrics.worker();
                        worker.record(CommandId(0), 10, CallEnd::Ok);
                        worker.record(CommandId(1), 10, CallEnd::Ok);
                        drop(worker);
                        metrics.command(CommandId(0));
                    }
                });
            }
        });
        let snapshot = metrics.snapshot();
        assert_eq!((snapshot[0].calls, snapshot[1].calls), (800, 800), "{strategy}");
    }
}

/// The instruments of the locked strategies see a lock that all threads fight for.
#[test]
fn the_cost_of_locks_is_counted() {
    for strategy in [Strategy::Mutex, Strategy::Sharded] {
        let metrics = metrics(strategy);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let worker = metrics.worker();
                    (0..10_000).for_each(|_| worker.record(CommandId(0), 1, CallEnd::Ok));
                });
            }
        });
        let cost = metrics.cost();
        assert_eq!(cost.lock_acquisitions, 40_000, "{strategy}");
        assert!(cost.lock_waits <= cost.lock_acquisitions);
        assert_eq!(cost.lock_wait_nanos > 0, cost.lock_waits > 0, "{strategy}: {cost:?}");
        if strategy == Strategy::Sharded {
            assert_eq!((cost.shards, cost.shards_touched, cost.lock_waits), (4, 4, 0), "{cost:?}");
        }
    }
}
