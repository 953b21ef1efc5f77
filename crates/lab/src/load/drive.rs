//! A thread of the generator: its connections, one epoll, and the loop that keeps them busy.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::load::connection::{Broken, Connection, Fate};
use crate::load::figures::{ERROR_TEXTS_MAX, Part, SLICE_MS, Share, Slice};
use crate::load::keys::KeyDraw;
use crate::load::{Control, Load, Pace};

/// Events that are taken at once.
const EVENTS: usize = 256;
/// Connections that a server is sure to have room for before it accepts: one that overflows its queue waits a second for
/// the kernel's next attempt.
const ACCEPT_QUEUE: usize = 100;
/// Longest wait for an event, so that the end of the run is seen.
const WAIT_MAX: Duration = Duration::from_millis(20);
const NANOS: f64 = 1e9;

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
    /// Open loop: when the next request is intended, and how far apart they are; nanoseconds.
    next_intended: f64,
    interval: f64,
    next_connection: usize,
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
        // Threads draw different keys, and take turns in the schedule.
        let seed = load.seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let interval = match load.pace {
            Pace::Closed => 0.0,
            Pace::Open(rate) => NANOS * threads as f64 / rate.max(1e-3),
        };
        Ok(Self {
            connections,
            poll,
            draw: KeyDraw::new(load.spread, load.keys, seed),
            last_key: 0,
            turn: index,
            turn_step: threads,
            next_intended: interval * index as f64 / threads as f64,
            interval,
            next_connection: 0,
            share: Share {
                phases: vec![Part::new()],
                slices: Vec::new(),
                error_texts: BTreeMap::new(),
                unfinished: 0,
            },
            load: load.clone(),
        })
    }

    /// Runs until the control says that it is over.
    pub(crate) fn drive(mut self, control: &Control, started: Instant) -> Share {
        if let Err(broken) = self.try_drive(control, started) {
            control.fail(broken);
        }
        if matches!(self.load.pace, Pace::Open(_)) {
            self.count_unanswered(nanos_since(started));
        }
        self.share
    }

    fn try_drive(&mut self, control: &Control, started: Instant) -> Result<(), String> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        let mut phase = 0;
        let mut phase_cpu = cpu_nanos();
        let mut progress = nanos_since(started);
        if self.load.pace == Pace::Closed {
            for index in 0..self.connections.len() {
                self.send_pipeline(index, nanos_since(started)).map_err(|broken| broken.to_string())?;
            }
        }
        while !control.is_over.load(Relaxed) {
            let now = nanos_since(started);
            self.send_due(now).map_err(|broken| broken.to_string())?;
            events.clear();
            let timeout = self.timeout(nanos_since(started));
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(format!("epoll: {error}")),
            }
            let wanted = control.phase.load(Relaxed);
            if wanted != phase {
                let cpu = cpu_nanos();
                self.share.phases[phase].cpu_nanos = cpu - phase_cpu;
                self.share.phases.resize_with(wanted + 1, Part::new);
                (phase, phase_cpu) = (wanted, cpu);
            }
            if events.is_empty() {
                self.look_for_silence(progress, nanos_since(started))?;
                continue;
            }
            for event in &events {
                let index = event.data.u64() as usize;
                self.serve(index, event.flags, phase, started).map_err(|broken| broken.to_string())?;
            }
            progress = nanos_since(started);
        }
        self.share.phases[phase].cpu_nanos = cpu_nanos() - phase_cpu;
        Ok(())
    }

    fn serve(
        &mut self,
        index: usize,
        flags: epoll::EventFlags,
        phase: usize,
        started: Instant,
    ) -> Result<(), Broken> {
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
        let mut last = 0;
        connection.receive(
            || nanos_since(started),
            |now, since, outcome| {
                last = now;
                count(share, phase, now, since, outcome);
            },
        )?;
        if last == 0 {
            return Ok(());
        }
        match self.load.pace {
            Pace::Closed if connection.in_flight == 0 => self.send_pipeline(index, last),
            Pace::Closed => Ok(()),
            Pace::Open(_) => self.send_backlog(index),
        }
    }

    /// Fills a connection's pipeline.
    fn send_pipeline(&mut self, index: usize, now: u64) -> Result<(), Broken> {
        for _ in 0..self.load.pipeline {
            self.write_request(index, now);
        }
        self.flush(index)
    }

    /// Hands requests whose time has come to their connections, in turn.
    fn send_due(&mut self, now: u64) -> Result<(), Broken> {
        if self.load.pace == Pace::Closed {
            return Ok(());
        }
        while self.next_intended <= now as f64 {
            let index = self.next_connection;
            self.connections[index].backlog.push_back(self.next_intended as u64);
            self.next_intended += self.interval;
            self.next_connection = (index + 1) % self.connections.len();
            self.send_backlog(index)?;
        }
        Ok(())
    }

    fn send_backlog(&mut self, index: usize) -> Result<(), Broken> {
        let mut has_sent = false;
        while self.connections[index].in_flight < self.load.pipeline {
            let Some(intended) = self.connections[index].backlog.pop_front() else { break };
            self.write_request(index, intended);
            has_sent = true;
        }
        if has_sent { self.flush(index) } else { Ok(()) }
    }

    fn write_request(&mut self, index: usize, since: u64) {
        let operation = self.load.mix.next(&mut self.draw, self.turn);
        self.turn = self.turn.wrapping_add(self.turn_step);
        let connection = &mut self.connections[index];
        let last = operation.commands.len() - 1;
        for (position, command) in operation.commands.iter().enumerate() {
            command.write(connection.out(), &mut self.draw, &mut self.last_key);
            connection.expect(command.expect, since, position == last);
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
        let wait = match self.load.pace {
            Pace::Closed => WAIT_MAX,
            Pace::Open(_) => {
                let left = (self.next_intended - now as f64).max(0.0) as u64;
                Duration::from_nanos(left).min(WAIT_MAX)
            }
        };
        Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() }
    }

    fn look_for_silence(&self, progress: u64, now: u64) -> Result<(), String> {
        let is_waiting = self.connections.iter().any(|connection| connection.in_flight > 0);
        if is_waiting && now.saturating_sub(progress) > self.load.patience.as_nanos() as u64 {
            return Err(format!("the server hangs: no reply for {:.1} s", self.load.patience.as_secs_f64()));
        }
        Ok(())
    }

    fn count_unanswered(&mut self, now: u64) {
        let Some(last) = self.share.phases.last_mut() else { return };
        for since in self.connections.iter().flat_map(Connection::unanswered) {
            last.latency.saturating_record(now.saturating_sub(since));
            self.share.unfinished += 1;
        }
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
            if share.error_texts.len() < ERROR_TEXTS_MAX || share.error_texts.contains_key(&text) {
                *share.error_texts.entry(text).or_default() += 1;
            }
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
