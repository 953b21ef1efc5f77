//! The journal's order, who pumps, and what is durable.

use super::beside;
use super::sync::{Arc, Cell, IS_SMALL, Mutex, ROUNDS, THREADS, check_bounded, thread};

mod sync {
    pub(crate) use super::super::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, thread};
}

#[path = "../../../persistence/src/journal/mod.rs"]
mod journal;

use journal::{Audience, Durable, Journal, Place, Runner, Sink, Touched, Unit};

/// Threads that append, each to its lane.
const WORKERS: u32 = THREADS + 1;
const ENTRIES: u32 = WORKERS * ROUNDS;

/// What the workers change: a shard, with the number that its next entry gets.
struct House {
    journal: Journal,
    shard: Mutex<u32>,
}

impl House {
    fn new() -> Arc<Self> {
        Arc::new(Self { journal: Journal::new(WORKERS as usize, 1), shard: Mutex::new(0) })
    }

    /// A command that changes the shard; the place of its entry.
    fn append(&self, lane: usize) -> Place {
        let mut unit = Unit::default();
        let mut number = self.shard.lock().expect("no model panics with a lock");
        let text = number.to_string();
        unit.add(0, [text.as_bytes()].into_iter());
        *number += 1;
        self.journal.append(lane, &mut unit, Audience::Both, Touched::Shards([0].into_iter()), 0)
    }

    /// Holds the shard, which is everything.
    fn with_everything<T>(&self, act: impl FnOnce(&Journal) -> T) -> T {
        let _number = self.shard.lock().expect("no model panics with a lock");
        act(&self.journal)
    }

    /// A thread for each worker, with the number of its lane.
    fn workers(
        house: &Arc<Self>,
        act: impl Fn(&Self, usize) + Clone + Send + 'static,
    ) -> Vec<Box<dyn FnOnce() + Send + 'static>> {
        let worker = |lane| -> Box<dyn FnOnce() + Send> {
            let (house, act) = (house.clone(), act.clone());
            Box::new(move || (0..ROUNDS).for_each(|_| act(&house, lane)))
        };
        (0..WORKERS as usize).map(worker).collect()
    }
}

/// What a sink has got: the numbers of its commands, and the place of the last.
#[derive(Default)]
struct Got {
    text: Vec<u8>,
    place: Place,
}

impl Got {
    fn take(&mut self, sink: &Sink) {
        let mut bytes = Vec::new();
        while let Some(place) = sink.take(&mut bytes) {
            assert!(place > self.place, "an older place came later");
            self.place = place;
            self.text.extend_from_slice(&bytes);
        }
    }

    fn numbers(&self) -> Vec<u32> {
        let text = String::from_utf8_lossy(&self.text);
        let words = text.split("\r\n").filter(|word| !word.starts_with(['*', '$']) && !word.is_empty());
        let numbers: Vec<&str> = words.collect();
        // The first command is SELECT 0.
        let numbers = numbers.strip_prefix(&["SELECT", "0"]).unwrap_or(&numbers);
        numbers.iter().map(|number| number.parse().expect("a command is a number")).collect()
    }
}

/// What stands in the stream has the order in which it was done, whichever lane it came by; nothing is missing, and the feeder is woken for all.
pub fn entries_come_out_once_and_in_order() {
    check_bounded(2, || {
        let house = House::new();
        let sink = Arc::new(Sink::new(Audience::Both, || {}));
        house.with_everything(|journal| journal.attach(sink.clone()));
        let workers = House::workers(&house, |house, lane| _ = house.append(lane));
        let mut got = Got::default();
        beside(workers, || {
            house.journal.enter(Runner::Feeder);
            loop {
                house.journal.feed(|| {});
                got.take(&sink);
                if got.place == u64::from(ENTRIES) {
                    break;
                }
                house.journal.sleep_fed();
            }
        });
        assert_eq!(got.numbers(), (0..ENTRIES).collect::<Vec<_>>());
    });
}

/// A file comes and goes, and its thread pumps meanwhile: nothing is lost, given twice or left behind on the way from one to the other.
pub fn pumping_is_handed_over() {
    check_bounded(if IS_SMALL { 1 } else { 2 }, || {
        let house = House::new();
        let replica = Arc::new(Sink::new(Audience::Replicas, || {}));
        house.with_everything(|journal| journal.attach(replica.clone()));
        let file = Arc::new(Sink::of_writer());
        let cuts = Arc::new(Mutex::new(None));
        let mut threads = vec![writer(house.clone(), file.clone())];
        let (other, other_file, other_cuts) = (house.clone(), file.clone(), cuts.clone());
        threads.push(Box::new(move || {
            let first = other.with_everything(|journal| journal.attach(other_file.clone()));
            (0..ROUNDS).for_each(|_| _ = other.append(0));
            let last = other.with_everything(|journal| journal.detach(&other_file));
            other.append(0);
            *other_cuts.lock().expect("no model panics with a lock") = Some((first, last));
        }));
        let mut got = Got::default();
        beside(threads, || {
            house.journal.enter(Runner::Feeder);
            loop {
                house.journal.feed(|| {});
                got.take(&replica);
                if got.place == u64::from(ROUNDS + 1) {
                    break;
                }
                house.journal.sleep_fed();
            }
        });
        assert_eq!(got.numbers(), (0..=ROUNDS).collect::<Vec<_>>());
        let cuts = cuts.lock().expect("no model panics with a lock").take();
        assert_eq!(cuts, Some((0, u64::from(ROUNDS))));
    });
}

/// The thread of the append-only file, until that has left.
fn writer(house: Arc<House>, file: Arc<Sink>) -> Box<dyn FnOnce() + Send + 'static> {
    Box::new(move || {
        let journal = &house.journal;
        journal.enter(Runner::Writer);
        let mut got = Got::default();
        while !file.is_drained() {
            journal.collect();
            while journal.give().has_given {}
            got.take(&file);
            if !file.is_drained() {
                journal.sleep(Runner::Writer, true, thread::park);
            }
        }
        assert_eq!(got.numbers(), (0..ROUNDS).collect::<Vec<_>>(), "what the file has got");
    })
}

/// The disk: a cell for each place, which the writer sets when it syncs.
struct Disk {
    places: Vec<Cell>,
    durable: Durable,
    /// Who waits.
    waiting: Mutex<Vec<thread::Thread>>,
}

impl Disk {
    fn new() -> Arc<Self> {
        let disk = Self {
            places: (0..=ENTRIES).map(|_| Cell::new(0)).collect(),
            durable: Durable::default(),
            waiting: Mutex::default(),
        };
        disk.durable.set_awaited(true);
        Arc::new(disk)
    }

    /// Returns once all up to a place is durable, and looks whether it is.
    fn wait_for(&self, place: Place) {
        if self.durable.must_wait(place) {
            self.waiting.lock().expect("no model panics with a lock").push(thread::current());
        }
        while self.durable.must_wait(place) {
            thread::park();
        }
        for place in [1, place].into_iter().filter(|number| *number <= place && place > 0) {
            assert_eq!(self.places[place as usize].get(), 1, "acknowledged before its sync");
        }
    }
}

/// Under `always` nobody is answered before what he shows is on the disk, be it his own entry or one that he has read of; and all are
/// answered, though the writer sleeps in between.
pub fn nobody_is_answered_before_the_sync() {
    check_bounded(1, || {
        let house = House::new();
        let disk = Disk::new();
        let file = Arc::new(Sink::of_writer());
        house.with_everything(|journal| journal.attach(file.clone()));
        let waiting = disk.clone();
        let workers = House::workers(&house, move |house, lane| {
            // A reader of the shard depends on its last entry.
            let seen = house.with_everything(|journal| journal.last_of_shard(0));
            waiting.wait_for(seen);
            let place = house.append(lane);
            house.journal.wake_for_group();
            waiting.wait_for(place);
        });
        let workers: Vec<_> = workers.into_iter().map(thread::spawn).collect();
        house.journal.enter(Runner::Writer);
        let mut got = Got::default();
        loop {
            house.journal.take_group_call();
            house.journal.collect();
            while house.journal.give().has_given {}
            let before = got.place;
            got.take(&file);
            for place in before + 1..=got.place {
                disk.places[place as usize].set(1);
            }
            disk.durable.advance(got.place);
            house.journal.set_group_end(got.place + 1);
            let waiting = disk.waiting.lock().expect("no model panics with a lock").clone();
            waiting.iter().for_each(thread::Thread::unpark);
            if got.place == u64::from(ENTRIES) {
                break;
            }
            house.journal.sleep(Runner::Writer, true, thread::park);
        }
        workers.into_iter().for_each(|worker| worker.join().expect("the thread ends"));
        assert_eq!(got.numbers(), (0..ENTRIES).collect::<Vec<_>>());
    });
}
