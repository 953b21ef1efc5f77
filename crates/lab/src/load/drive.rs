//! A thread of the generator: its connections, one epoll, and the loop that keeps them busy.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::cpus::Cpus;
use crate::load::arrivals::Arrivals;
use crate::load::connection::{Broken, Connection, Fate};
use crate::load::figures::{ERROR_TEXTS_MAX, Part, SLICE_MS, Share, Slice};
use crate::load::keys::KeyDraw;
use crate::load::{Control, Load, Pace};

/// Events that are taken at once.
const EVENTS: usize = 256;
/// Requests that are sent at once in an open loop, so that one that cannot keep its rate still reads replies.
const SENDS: usize = 64;
/// Connections that a server is sure to have room for before it accepts: one that overflows its queue waits a second for
/// the kernel's next attempt.
const ACCEPT_QUEUE: usize = 100;
/// Longest wait for an event, so that the end of the run is seen, and time between looks for lost requests.
const WAIT_MAX: Duration = Duration::from_millis(20);

/// A thread's part of the load, connected.
pub(crate) struct Driver {
    load: Load,
    connections: Vec<Connection>,
    poll: rustix::fd::OwnedFd,
    draw: KeyDraw,
    last_key: u64,
    /// Which of a sequence's operations is next.
    turn: usize,
    turn_step: usize,
    /// Open loop: when requests are due, and on which connection the next goes.
    arrivals: Option<Arrivals>,
    next_connection: usize,
    /// When the last reply came, and when lost requests were looked for; nanoseconds.
    progress: u64,
    looked: u64,
    phase: usize,
    /// The thread's processor time when the phase began.
    phase_cpu: u64,
    /// Whether nothing is sent any more.
    is_draining: bool,
    share: Share,
}

impl Driver {
    pub(crate) fn connect(load: &Load, index: usize, threads: usize, clients: usize) -> Result<Self, String> {
        let poll =
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| format!("no epoll: {error}"))?;
        let mut connections = Vec::with_capacity(clients);
        for number in 0..clients {
            let connection = Connection::open(load.address, number % ACCEPT_QUEUE == ACCEPT_QUEUE - 1)
                .map_err(|error| format!("connection {number} of {clients}: {error}"))?;
            let flags = epoll::EventFlags::IN;
            epoll::add(&poll, &connection.stream, epoll::EventData::new_u64(number as u64), flags)
                .map_err(|error| format!("epoll: {error}"))?;
            connections.push(connection);
        }
        Ok(Self {
            connections,
            poll,
            draw: KeyDraw::new(load.spread, load.keys, load.seed_of(index)),
            last_key: 0,
            turn: index,
            turn_step: threads,
            arrivals: load.arrivals(index, threads),
            next_connection: 0,
            progress: 0,
            looked: 0,
            phase: 0,
            phase_cpu: 0,
            is_draining: false,
            share: Share {
                phases: vec![Part::new()],
                slices: Vec::new(),
                error_texts: BTreeMap::new(),
                in_flight: 0,
                unfinished: 0,
            },
            load: load.clone(),
        })
    }

    /// Runs until the control says that it is over.
    pub(crate) fn drive(mut self, control: &Control, started: Instant) -> Share {
        // The kernel would otherwise let timers go off up to 50 us late. What it refuses shows in the lateness.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let pinned = self.load.generator.cpus.as_ref().map_or(Ok(()), Cpus::pin);
        self.phase_cpu = cpu_nanos();
        let driven = pinned.and_then(|()| self.until_over(control, started));
        self.enter(control.phase.load(Relaxed));
        let end = nanos_since(started);
        self.share.in_flight = self.connections.iter().map(|connection| connection.in_flight as u64).sum();
        if let Err(reason) = driven.and_then(|()| self.drain(control, started)) {
            control.fail(reason);
        }
        if self.arrivals.is_some() {
            self.count_unfinished(end);
        }
        self.share
    }

    fn until_over(&mut self, control: &Control, started: Instant) -> Result<(), String> {
        self.progress = nanos_since(started);
        if self.load.pace == Pace::Closed {
            for index in 0..self.connections.len() {
                self.send_pipeline(index, nanos_since(started)).map_err(|broken| broken.to_string())?;
            }
        }
        let mut events = Vec::with_capacity(EVENTS);
        while !control.is_over.load(Relaxed) {
            let wanted = control.phase.load(Relaxed);
            if wanted != self.phase {
                self.enter(wanted);
            }
            self.send_due(started).map_err(|broken| broken.to_string())?;
            self.turn_once(&mut events, started)?;
        }
        Ok(())
    }

    /// Waits for what the server still has to answer.
    fn drain(&mut self, control: &Control, started: Instant) -> Result<(), String> {
        self.is_draining = true;
        let mut events = Vec::with_capacity(EVENTS);
        while self.connections.iter().any(|connection| connection.in_flight > 0) && !control.is_given_up() {
            self.turn_once(&mut events, started)?;
        }
        Ok(())
    }

    /// Takes the events that are there, or waits for one until the next request is due.
    fn turn_once(&mut self, events: &mut Vec<epoll::Event>, started: Instant) -> Result<(), String> {
        events.clear();
        let timeout = self.timeout(nanos_since(started));
        match epoll::wait(&self.poll, rustix::buffer::spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("epoll: {error}")),
        }
        for event in events.iter() {
            let index = event.data.u64() as usize;
            self.serve(index, event.flags, started).map_err(|broken| broken.to_string())?;
            // Requests are due while replies are read.
            self.send_due(started).map_err(|broken| broken.to_string())?;
        }
        self.look_for_lost(nanos_since(started))
    }

    fn enter(&mut self, phase: usize) {
        let cpu = cpu_nanos();
        self.share.phases[self.phase].cpu_nanos += cpu - self.phase_cpu;
        self.share.phases.resize_with(phase + 1, Part::new);
        (self.phase, self.phase_cpu) = (phase, cpu);
    }

    fn serve(&mut self, index: usize, flags: epoll::EventFlags, started: Instant) -> Result<(), Broken> {
        let connection = &mut self.connections[index];
        if flags.contains(epoll::EventFlags::OUT) {
            connection.flush()?;
            if !connection.wants_write {
                self.watch(index, epoll::EventFlags::IN)?;
            }
        }
        if !flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            return Ok(());
        }
        let share = &mut self.share;
        let connection = &mut self.connections[index];
        let phase = self.phase;
        let is_late = self.is_draining.then_some(self.arrivals.is_some());
        let mut last = 0;
        connection.receive(
            self.load.mix.lengths(),
            || nanos_since(started),
            |now, since, outcome| {
                last = now;
                match is_late {
                    None => count(share, phase, now, since, outcome),
                    Some(is_open) => count_late(share, phase, is_open, now.saturating_sub(since), outcome),
                }
            },
        )?;
        if last == 0 {
            return Ok(());
        }
        self.progress = last;
        let connection = &self.connections[index];
        match self.load.pace {
            _ if self.is_draining => Ok(()),
            Pace::Closed if connection.in_flight == 0 => self.send_pipeline(index, last),
            Pace::Closed => Ok(()),
            Pace::Open(_) => self.send_backlog(index, last),
        }
    }

    /// Fills a connection's pipeline.
    fn send_pipeline(&mut self, index: usize, now: u64) -> Result<(), Broken> {
        for _ in 0..self.load.pipeline {
            self.write_request(index, now, now);
        }
        self.flush(index)
    }

    /// Hands requests whose time has come to their connections, in turn. One that finds its connection full is not sent
    /// late: it waits for the server.
    fn send_due(&mut self, started: Instant) -> Result<(), Broken> {
        if self.is_draining {
            return Ok(());
        }
        for _ in 0..SENDS {
            let Some(arrivals) = &mut self.arrivals else { break };
            let (due, now) = (arrivals.due(), nanos_since(started));
            if due > now {
                break;
            }
            arrivals.advance();
            let index = self.next_connection;
            self.next_connection = (index + 1) % self.connections.len();
            let part = &mut self.share.phases[self.phase];
            part.late.saturating_record(now - due);
            let connection = &mut self.connections[index];
            if connection.in_flight < self.load.pipeline && connection.backlog.is_empty() {
                self.write_request(index, due, now);
                self.flush(index)?;
            } else {
                part.held += 1;
                connection.backlog.push_back(due);
            }
        }
        Ok(())
    }

    fn send_backlog(&mut self, index: usize, now: u64) -> Result<(), Broken> {
        let mut has_sent = false;
        while self.connections[index].in_flight < self.load.pipeline {
            let Some(due) = self.connections[index].backlog.pop_front() else { break };
            self.write_request(index, due, now);
            has_sent = true;
        }
        if has_sent { self.flush(index) } else { Ok(()) }
    }

    fn write_request(&mut self, index: usize, since: u64, now: u64) {
        let operation = self.load.mix.next(&mut self.draw, self.turn);
        self.turn = self.turn.wrapping_add(self.turn_step);
        let connection = &mut self.connections[index];
        let last = operation.commands.len() - 1;
        for (position, command) in operation.commands.iter().enumerate() {
            let times = (since, now);
            connection.write(command, &mut self.draw, &mut self.last_key, times, position == last);
        }
    }

    fn flush(&mut self, index: usize) -> Result<(), Broken> {
        let connection = &mut self.connections[index];
        let did_want = connection.wants_write;
        connection.flush()?;
        if connection.wants_write && !did_want {
            self.watch(index, epoll::EventFlags::IN | epoll::EventFlags::OUT)?;
        }
        Ok(())
    }

    fn watch(&self, index: usize, flags: epoll::EventFlags) -> Result<(), Broken> {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::modify(&self.poll, &self.connections[index].stream, data, flags)
            .map_err(|error| Broken::Io(error.into()))
    }

    fn timeout(&self, now: u64) -> Timespec {
        let wait = match &self.arrivals {
            Some(arrivals) if !self.is_draining => {
                Duration::from_nanos(arrivals.due().saturating_sub(now)).min(WAIT_MAX)
            }
            _ => WAIT_MAX,
        };
        Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() }
    }

    /// A request that has been under way for longer than the deadline is lost, also where other connections get replies.
    fn look_for_lost(&mut self, now: u64) -> Result<(), String> {
        let patience = self.load.patience.as_nanos() as u64;
        if now.saturating_sub(self.looked) < (patience / 4).min(WAIT_MAX.as_nanos() as u64) {
            return Ok(());
        }
        self.looked = now;
        let is_lost = |sent: u64| now.saturating_sub(sent) > patience;
        if !self.connections.iter().filter_map(Connection::oldest_sent).any(is_lost) {
            return Ok(());
        }
        let seconds = self.load.patience.as_secs_f64();
        if now.saturating_sub(self.progress) > patience / 2 {
            Err(format!("the server hangs: no reply for {seconds:.1} s"))
        } else {
            Err(format!("a request was not answered within {seconds:.1} s, while others were"))
        }
    }

    fn count_unfinished(&mut self, end: u64) {
        let part = &mut self.share.phases[self.phase];
        for since in self.connections.iter().flat_map(Connection::unanswered) {
            part.latency.saturating_record(end.saturating_sub(since));
            self.share.unfinished += 1;
        }
    }
}

/// What is answered after the end: no throughput, but in an open loop a latency, and an error in any.
fn count_late(share: &mut Share, phase: usize, is_open: bool, latency: u64, outcome: Fate) {
    let part = &mut share.phases[phase];
    match outcome {
        Fate::Right { .. } if is_open => part.latency.saturating_record(latency),
        Fate::Right { .. } => {}
        Fate::Wrong(text) => {
            part.errors += 1;
            note(share, text);
        }
    }
}

fn note(share: &mut Share, text: String) {
    if share.error_texts.len() < ERROR_TEXTS_MAX || share.error_texts.contains_key(&text) {
        *share.error_texts.entry(text).or_default() += 1;
    }
}

fn count(share: &mut Share, phase: usize, now: u64, since: u64, outcome: Fate) {
    let part = &mut share.phases[phase];
    match outcome {
        Fate::Right { is_miss } => {
            part.requests += 1;
            part.misses += u64::from(is_miss);
        }
        Fate::Wrong(text) => {
            part.errors += 1;
            note(share, text);
            return;
        }
    }
    let latency = now.saturating_sub(since);
    part.latency.saturating_record(latency);
    let index = (now / (SLICE_MS * 1_000_000)) as usize;
    if share.slices.len() <= index {
        share.slices.resize_with(index + 1, Slice::new);
    }
    let slice = &mut share.slices[index];
    slice.requests += 1;
    slice.latency.saturating_record(latency);
}

fn nanos_since(started: Instant) -> u64 {
    started.elapsed().as_nanos() as u64
}

/// Processor time of the calling thread, nanoseconds.
fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
