//! The discrete-event simulation: threads that run commands, and what they wait for.
//!
//! The system is closed: a thread always has a client with a batch. A command has a part that no other thread can delay and one that
//! is serial: on the lock engines what is done under a shard's lock, on the mutex nearly all, on the actor engine the order of what spans
//! owners. What a thread finds last written by another costs a line's way to it. How long all of that takes is the [`Costs`]; where the
//! threads meet comes out. Three kinds of waiting stand in files of their own: [`super::simulate_locks`] and
//! [`super::simulate_owners`]; the formula-free part, time and chance, stands here.
//!
//! Not simulated: the memory's bandwidth, the clock's fall when many cores work, neighbours on a core, the scheduler. All of
//! them make many cores slower than this says.

use rustredis_testkit::Random;

use super::case::{Case, Draws, Kind};
use super::{simulate_locks, simulate_owners};

/// A time, in 64ths of a nanosecond: whole numbers have an order.
pub(super) type Time = u64;

/// The time of so many nanoseconds.
pub(super) fn ticks(nanos: f64) -> Time {
    (nanos.max(0.0) * 64.0) as Time
}

/// What the threads of an engine cost each other; nanoseconds and numbers of cache lines.
#[derive(Debug, Clone, PartialEq)]
pub enum Meeting {
    /// The lock of a shard.
    Shards {
        /// Lines that a read finds at another core where the shard was last entered there.
        read_lines: f64,
        /// The same of a write.
        write_lines: f64,
        /// In long batches so many times as many, for they are fetched together.
        batch_share: f64,
        /// For so long a read keeps others out.
        read_serial_ns: f64,
        /// The same of a write.
        write_serial_ns: f64,
    },
    /// One lock.
    One {
        /// What of a batch is done without it.
        outside_ns: f64,
        /// Between two tries of one who waits.
        poll_ns: f64,
        /// Lines that come with the lock.
        hold_lines: f64,
        /// Lines that come with a command.
        command_lines: f64,
    },
    /// Owners.
    Owners {
        /// An errand there and its answer back, on both sides together.
        errand_ns: f64,
        /// A command that is run for another thread, more than one that is not.
        command_ns: f64,
        /// The order of what spans owners is kept for so long for each of them.
        order_ns: f64,
    },
}

impl Meeting {
    /// Where a fit begins.
    pub fn start(kind: Kind) -> Self {
        match kind {
            Kind::DashMap | Kind::LockFree => Self::Shards {
                read_lines: 1.0,
                write_lines: 2.0,
                batch_share: 0.7,
                read_serial_ns: 20.0,
                write_serial_ns: 60.0,
            },
            Kind::Mutex => Self::One { outside_ns: 60.0, poll_ns: 40.0, hold_lines: 1.0, command_lines: 1.0 },
            Kind::Actor => Self::Owners { errand_ns: 300.0, command_ns: 30.0, order_ns: 30.0 },
        }
    }

    /// Its parameters with their names.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        match *self {
            Self::Shards { read_lines, write_lines, batch_share, read_serial_ns, write_serial_ns } => vec![
                ("lines of a read", read_lines),
                ("lines of a write", write_lines),
                ("share in long batches", batch_share),
                ("serial ns of a read", read_serial_ns),
                ("serial ns of a write", write_serial_ns),
            ],
            Self::One { outside_ns, poll_ns, hold_lines, command_lines } => vec![
                ("ns outside the lock per batch", outside_ns),
                ("ns between tries", poll_ns),
                ("lines of the lock", hold_lines),
                ("lines of a command", command_lines),
            ],
            Self::Owners { errand_ns, command_ns, order_ns } => vec![
                ("ns of an errand", errand_ns),
                ("ns of a command for another", command_ns),
                ("ns of the order per owner", order_ns),
            ],
        }
    }

    /// The same kind with these parameters, in the order of [`Meeting::named`].
    #[must_use]
    pub fn with(&self, values: &[f64]) -> Self {
        let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
        match self {
            Self::Shards { .. } => Self::Shards {
                read_lines: at(0),
                write_lines: at(1),
                batch_share: at(2),
                read_serial_ns: at(3),
                write_serial_ns: at(4),
            },
            Self::One { .. } => {
                Self::One { outside_ns: at(0), poll_ns: at(1), hold_lines: at(2), command_lines: at(3) }
            }
            Self::Owners { .. } => Self::Owners { errand_ns: at(0), command_ns: at(1), order_ns: at(2) },
        }
    }
}

/// What two threads cannot show, within bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unknowns {
    /// Each further thread that waits for a lock delays its hand-over by this share.
    pub crowding: f64,
    /// A line's way between sockets, as a multiple of that within one.
    pub cross: f64,
    /// The share of an errand's cost that is lines on their way.
    pub travelling: f64,
    /// A hand-over to one who waits no longer on the spot, as a multiple of a line's way.
    pub notice: f64,
}

impl Default for Unknowns {
    fn default() -> Self {
        Self { crowding: 0.0, cross: 3.0, travelling: 0.6, notice: 8.0 }
    }
}

/// Everything that a simulation is told of an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs {
    /// A command of this case, where no other thread is met: over all of the batch, and what comes with the batch as a whole.
    pub command_ns: f64,
    /// The second.
    pub batch_ns: f64,
    /// The kernel's share of a command, over the network.
    pub kernel_ns: f64,
    /// What an errand costs more where tasks must be woken for it.
    pub errand_wake_ns: f64,
    /// A line's way to another core.
    pub line_ns: f64,
    /// What threads cost each other.
    pub meeting: Meeting,
    /// What is assumed.
    pub unknowns: Unknowns,
    /// Sockets that the cores are spread over.
    pub sockets: usize,
}

impl Costs {
    /// What a command costs its own thread in a batch of so many.
    pub(super) fn alone_ns(&self, batch: usize) -> f64 {
        self.command_ns + self.batch_ns / batch as f64 + self.kernel_ns
    }

    /// A line's way from one thread's core to another's.
    pub(super) fn way(&self, threads: usize, from: usize, to: usize) -> f64 {
        let socket = |thread: usize| thread * self.sockets / threads.max(1);
        if socket(from) == socket(to) { self.line_ns } else { self.line_ns * self.unknowns.cross }
    }
}

/// The chance and the keys of a simulation.
pub(super) struct World<'a> {
    pub(super) case: &'a Case,
    pub(super) costs: &'a Costs,
    pub(super) draws: &'a Draws,
    /// Commands until the end.
    pub(super) commands: usize,
    random: Random,
    next: Vec<usize>,
}

impl<'a> World<'a> {
    fn new(case: &'a Case, costs: &'a Costs, draws: &'a Draws, commands: usize) -> Self {
        let mut random = Random::new(11);
        let next = (0..case.threads).map(|_| random.below(draws.shards.len())).collect();
        Self { case, costs, draws, commands, random, next }
    }

    /// Between 0 and 1.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About so long: from three to five quarters, for what is always equally long falls into step.
    pub(super) fn about(&mut self, nanos: f64) -> f64 {
        nanos * (0.75 + 0.5 * self.fraction())
    }

    pub(super) fn is_write(&mut self) -> bool {
        self.fraction() < self.case.writes()
    }

    /// The next shard that a thread's clients want.
    pub(super) fn shard(&mut self, thread: usize) -> usize {
        let next = &mut self.next[thread];
        let shard = usize::from(self.draws.shards[*next]);
        *next = (*next + 1) % self.draws.shards.len();
        if !self.case.has_own_keys {
            return shard;
        }
        let width = super::case::SHARDS / self.case.threads;
        thread * width + shard % width
    }
}

/// Nanoseconds of a thread per command, over so many commands: threads x 1e9 divided by this is the throughput.
pub fn simulate(case: &Case, costs: &Costs, draws: &Draws, commands: usize) -> f64 {
    if case.threads == 1 {
        return costs.alone_ns(case.batch);
    }
    let mut world = World::new(case, costs, draws, commands);
    match costs.meeting {
        Meeting::Shards { .. } => simulate_locks::shards(&mut world),
        Meeting::One { .. } => simulate_locks::one(&mut world),
        Meeting::Owners { .. } => simulate_owners::owners(&mut world),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::Spread;

    /// Costs of about this machine's size.
    pub(in crate::predict) fn costs(kind: Kind) -> Costs {
        Costs {
            command_ns: 120.0,
            batch_ns: 100.0,
            kernel_ns: 0.0,
            errand_wake_ns: 0.0,
            line_ns: 60.0,
            meeting: Meeting::start(kind),
            unknowns: Unknowns::default(),
            sockets: 1,
        }
    }

    /// Million commands a second.
    fn rate(kind: Kind, threads: usize, spread: Spread) -> f64 {
        let case = Case::new(kind, threads, 16, 80).spread(spread);
        let draws = Draws::new(spread, 512e3);
        threads as f64 * 1e3 / simulate(&case, &costs(kind), &draws, 40_000)
    }

    #[test]
    fn one_thread_costs_what_it_costs() {
        let rate = rate(Kind::DashMap, 1, Spread::Uniform);
        assert!((rate - 1e3 / 126.25).abs() < 1e-6, "{rate}");
    }

    #[test]
    fn one_lock_does_not_scale_and_many_do() {
        let (one, many) = (rate(Kind::Mutex, 16, Spread::Uniform), rate(Kind::DashMap, 16, Spread::Uniform));
        assert!(one < 1.2 * rate(Kind::Mutex, 1, Spread::Uniform), "{one}");
        assert!(many > 6.0 * rate(Kind::DashMap, 1, Spread::Uniform), "{many}");
    }

    #[test]
    fn a_hot_key_serializes_every_engine() {
        for kind in [Kind::DashMap, Kind::Actor] {
            let (all, hot) = (rate(kind, 16, Spread::Uniform), rate(kind, 16, Spread::One));
            assert!(hot < all / 2.0, "{kind:?} {hot} {all}");
        }
    }

    /// A closed system with one server that keeps others out for S and has Z besides: at most one in S, and N in Z + S.
    #[test]
    fn the_bounds_of_queueing_theory_hold() {
        let draws = Draws::new(Spread::One, 512e3);
        let mut costs = costs(Kind::DashMap);
        costs.meeting = costs.meeting.with(&[0.0, 0.0, 1.0, 50.0, 50.0]);
        for (threads, expected) in [(2, 126.25 / 2.0), (32, 50.0)] {
            let case = Case::new(Kind::DashMap, threads, 16, 0).spread(Spread::One);
            let nanos = simulate(&case, &costs, &draws, 40_000) / threads as f64;
            assert!(nanos >= expected * 0.99 && nanos < expected * 1.3, "{threads}: {nanos} {expected}");
        }
    }

    /// However crowded a lock is, nobody waits for more than all others: the slowest hold bounds what the hot shard does.
    #[test]
    fn a_crowd_is_no_larger_than_the_threads() {
        let draws = Draws::new(Spread::One, 512e3);
        let mut costs = costs(Kind::DashMap);
        costs.meeting = costs.meeting.with(&[1.0, 1.0, 1.0, 20.0, 20.0]);
        costs.unknowns.crowding = 0.5;
        for threads in [4, 32, 64] {
            let case = Case::new(Kind::DashMap, threads, 16, 80).spread(Spread::One);
            let nanos = simulate(&case, &costs, &draws, 40_000) / threads as f64;
            let slowest = 60.0 * (1.0 + 0.5 * threads as f64) + 20.0;
            assert!(nanos <= slowest, "{threads} threads: {nanos} ns between commands, {slowest} at most");
        }
    }

    #[test]
    fn another_socket_costs() {
        let case = Case::new(Kind::DashMap, 32, 1, 50);
        let draws = Draws::new(Spread::Uniform, 512e3);
        let near = simulate(&case, &costs(Kind::DashMap), &draws, 20_000);
        let far = simulate(&case, &Costs { sockets: 2, ..costs(Kind::DashMap) }, &draws, 20_000);
        assert!(far > near * 1.1, "{near} {far}");
    }
}
