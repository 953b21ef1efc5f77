//! The load generator: threads that each drive their share of the connections through one epoll.
//!
//! **Closed loop** (as redis-benchmark): each connection sends its next pipeline when all replies of the last one are there.
//! **Open loop** (as wrk2): requests are due at the times of a Poisson process, whatever the server does, and latency counts
//! from these, so that a server's stall shows in all the requests that should have been sent meanwhile (coordinated
//! omission). How late the generator itself was is measured beside.
//!
//! Every reply is parsed and compared with what its command must answer, values whole. A request that is not answered within
//! its deadline is a fault, and what is under way at the end is waited for, so that a single swallowed reply is found. A run is divided into *phases* (warm-up, measured,
//! during a snapshot, ...) that the caller switches while it goes; each has its own histogram. Rejected: an async runtime
//! (its scheduling would be part of what is measured), and the ready-made pollers, whose timers end on whole milliseconds or
//! cost two more system calls for each wait.

mod arrivals;
mod check;
mod connection;
mod drive;
pub mod figures;
pub mod histogram;
pub mod keys;
pub mod mix;
pub mod remote;
pub mod reply;
pub mod trace;
pub mod value;

use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub use arrivals::Arrivals;
pub use figures::{Figures, Phase};
pub use keys::Spread;
pub use mix::Mix;
use serde::{Deserialize, Serialize};

use crate::cpus::Cpus;

/// How the next request is timed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// When the last pipeline is answered.
    Closed,
    /// At this many requests a second on average, over all connections, at the times of a Poisson process.
    Open(f64),
}

/// Where the generator runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generator {
    /// Processors that its threads are held on; none: any.
    pub cpus: Option<Cpus>,
    /// A generator on another machine (`rustredis-lab generator`); none: this process.
    pub address: Option<SocketAddr>,
}

/// A load, ready to be driven.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// Connections.
    pub clients: usize,
    /// Threads of the generator; at most one per connection is used.
    pub threads: usize,
    /// Requests that a connection has under way at most.
    pub pipeline: usize,
    /// Closed or open loop.
    pub pace: Pace,
    /// What is sent.
    pub mix: Mix,
    /// Keys that the distribution covers.
    pub keys: u64,
    /// The distribution.
    pub spread: Spread,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// How long a request may be under way before it counts as lost.
    pub patience: Duration,
    /// Where it is sent from.
    pub generator: Generator,
}

impl Load {
    /// The seed of one thread's draws: threads draw different keys.
    pub(crate) fn seed_of(&self, thread: usize) -> u64 {
        self.seed ^ (thread as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// When the requests of one of so many threads are due, in an open loop.
    pub fn arrivals(&self, thread: usize, threads: usize) -> Option<Arrivals> {
        match self.pace {
            Pace::Closed => None,
            Pace::Open(rate) => Some(Arrivals::new(rate / threads as f64, self.seed_of(thread))),
        }
    }
}

/// What the conducting thread and the driving threads share.
#[derive(Debug)]
pub(crate) struct Control {
    phase: AtomicUsize,
    is_over: AtomicBool,
    /// Whether nobody wants the rest.
    is_interrupted: AtomicBool,
    fault: Mutex<Option<String>>,
}

impl Control {
    fn new() -> Self {
        Self {
            phase: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            is_interrupted: AtomicBool::new(false),
            fault: Mutex::new(None),
        }
    }

    /// Whether replies that are missing need not be waited for.
    fn is_given_up(&self) -> bool {
        let fault = self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        fault.is_some() || self.is_interrupted.load(Relaxed)
    }

    /// Ends the run because of this; the first reason stays.
    fn fail(&self, reason: String) {
        let mut fault = self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        fault.get_or_insert(reason);
        self.is_over.store(true, Relaxed);
    }
}

/// Ends the run when it goes, also where a panic takes it: the threads would be waited for without end.
struct Over<'c>(&'c Control);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Relaxed);
    }
}

/// Switches phases while the load runs.
#[derive(Debug)]
pub struct Conductor<'c> {
    control: &'c Control,
    started: Instant,
    /// The name and the start of each phase, seconds from the run's start.
    phases: Vec<(String, f64)>,
    interrupted: &'c AtomicBool,
    /// The generator, where it is on another machine.
    far: Option<&'c TcpStream>,
}

/// How often a waiting conductor looks whether the run has failed.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

impl Conductor<'_> {
    /// Begins the next phase. The first begins with the run.
    pub fn phase(&mut self, name: &str) {
        self.phases.push((name.to_owned(), self.elapsed()));
        self.control.phase.store(self.phases.len() - 1, Relaxed);
        if let Some(far) = self.far {
            remote::tell_phase(far, name);
        }
    }

    /// Lets the load run for this long; false if it has failed or was interrupted, and the script should end.
    pub fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while self.is_running() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK_INTERVAL));
        }
        false
    }

    /// False once the run has failed or was interrupted.
    pub fn is_running(&self) -> bool {
        !self.control.is_over.load(Relaxed) && !self.interrupted.load(Relaxed)
    }

    /// Seconds since the run's start.
    pub fn elapsed(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

/// Drives a load while `script` conducts it; the run ends when the script does. `first_phase` is the name of what happens
/// before the script's first switch; `interrupted` ends the run when it becomes true.
///
/// # Errors
/// Connections that cannot be made. What fails later is in [`Figures::fault`].
pub fn run(
    load: &Load,
    first_phase: &str,
    interrupted: &AtomicBool,
    script: impl FnOnce(&mut Conductor<'_>),
) -> Result<Figures, String> {
    if let Some(generator) = load.generator.address {
        return remote::run(generator, load, first_phase, interrupted, script);
    }
    let control = Control::new();
    let threads = load.threads.clamp(1, load.clients.max(1));
    let mut drivers = Vec::new();
    for index in 0..threads {
        let clients = load.clients / threads + usize::from(index < load.clients % threads);
        drivers.push(drive::Driver::connect(load, index, threads, clients.max(1))?);
    }
    let started = Instant::now();
    let phases = vec![(first_phase.to_owned(), 0.0)];
    let mut conductor = Conductor { control: &control, started, phases, interrupted, far: None };
    let mut elapsed = 0.0;
    let parts = std::thread::scope(|scope| {
        let control = &control;
        let running: Vec<_> =
            drivers.into_iter().map(|driver| scope.spawn(move || driver.drive(control, started))).collect();
        let over = Over(control);
        script(&mut conductor);
        control.is_interrupted.store(interrupted.load(Relaxed), Relaxed);
        elapsed = started.elapsed().as_secs_f64();
        drop(over);
        running.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut complete = Vec::new();
    for part in parts {
        complete.push(part.map_err(|_| "a thread of the generator panicked".to_owned())?);
    }
    let phases = conductor.phases;
    let fault = control.fault.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Figures::merge(phases, elapsed, complete, fault))
}
