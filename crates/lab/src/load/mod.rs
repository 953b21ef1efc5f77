//! The load generator: threads that each drive their share of the connections through one epoll.
//!
//! **Closed loop** (as redis-benchmark): each connection sends its next pipeline when all replies of the last one are there.
//! **Open loop** (as wrk2): requests have intended send times at a fixed rate, and latency counts from these, so that a
//! server's stall shows in all the requests that should have been sent meanwhile (coordinated omission).
//!
//! Every reply is parsed and compared with what its command must answer. A run is divided into *phases* (warm-up, measured,
//! during a snapshot, ...) that the caller switches while it goes; each has its own histogram. Rejected: an async runtime
//! (its scheduling would be part of what is measured), and the ready-made pollers, whose timers end on whole milliseconds or
//! cost two more system calls for each wait.

mod connection;
mod drive;
pub mod figures;
pub mod keys;
pub mod mix;
pub mod reply;
pub mod trace;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub use figures::{Figures, Phase};
pub use keys::Spread;
pub use mix::Mix;

/// How the next request is timed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// When the last pipeline is answered.
    Closed,
    /// At this many requests a second, over all connections.
    Open(f64),
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
    /// How long the server may be silent with requests under way before it counts as hung.
    pub patience: Duration,
}

/// What the conducting thread and the driving threads share.
#[derive(Debug)]
pub(crate) struct Control {
    phase: AtomicUsize,
    is_over: AtomicBool,
    fault: Mutex<Option<String>>,
}

impl Control {
    /// Ends the run because of this; the first reason stays.
    fn fail(&self, reason: String) {
        let mut fault = self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        fault.get_or_insert(reason);
        self.is_over.store(true, Relaxed);
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
}

/// How often a waiting conductor looks whether the run has failed.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

impl Conductor<'_> {
    /// Begins the next phase. The first begins with the run.
    pub fn phase(&mut self, name: &str) {
        self.phases.push((name.to_owned(), self.elapsed()));
        self.control.phase.store(self.phases.len() - 1, Relaxed);
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
    let control =
        Control { phase: AtomicUsize::new(0), is_over: AtomicBool::new(false), fault: Mutex::new(None) };
    let threads = load.threads.clamp(1, load.clients.max(1));
    let mut drivers = Vec::new();
    for index in 0..threads {
        let clients = load.clients / threads + usize::from(index < load.clients % threads);
        drivers.push(drive::Driver::connect(load, index, threads, clients.max(1))?);
    }
    let started = Instant::now();
    let mut conductor =
        Conductor { control: &control, started, phases: vec![(first_phase.to_owned(), 0.0)], interrupted };
    let parts = std::thread::scope(|scope| {
        let control = &control;
        let running: Vec<_> =
            drivers.into_iter().map(|driver| scope.spawn(move || driver.drive(control, started))).collect();
        script(&mut conductor);
        control.is_over.store(true, Relaxed);
        running.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let elapsed = started.elapsed().as_secs_f64();
    let mut complete = Vec::new();
    for part in parts {
        complete.push(part.map_err(|_| "a thread of the generator panicked".to_owned())?);
    }
    let phases = conductor.phases;
    let fault = control.fault.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Figures::merge(phases, elapsed, complete, fault))
}
