//! Records a history: many clients on one thread, whose clock gives the moments of all invocations and answers.
//!
//! One thread on purpose: a call's interval is then as long as the thread's round over all clients, and they overlap much; and
//! no two clocks have to be compared. A history has rounds. At the end of each nobody has anything under way, and a reader
//! reads everything: so a round starts from a state that is known, and a search need not guess behind it.

use std::net::SocketAddr;
use std::time::Instant;

use super::call::{Call, Key};
use super::history::{History, NEVER, Operation};
use super::lane::{Lane, Waiting};
use super::program::{Batch, Program, Theme, dump};
use crate::Random;

/// So many operations are under way at most, besides those of one more pipeline. Few enough that most moments are known well:
/// what may have come at any time proves little.
const UNDER_WAY_MAX: usize = 16;
/// How long nothing may happen before a history is given up, in milliseconds.
const SILENCE_MS: i32 = 20_000;
/// How long the thread sleeps at most while somebody is to hang up, in milliseconds.
const LOOK_AGAIN_MS: i32 = 1;

/// What is recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Where randomness begins.
    pub(super) seed: u64,
    /// How many clients there are.
    pub(super) clients: usize,
    /// How many operations they send in all, besides those that read everything.
    pub(super) operations: usize,
    /// How often everybody waits for everybody.
    pub(super) rounds: usize,
    /// What its clients have in common.
    pub(super) theme: Theme,
}

/// Ends a server as a power cut does, and starts it again with what its disk kept.
pub(super) type PowerCut<'c> = &'c mut dyn FnMut() -> Result<(), String>;

/// Records a history on the server at this address, whose database is empty. With `power_cut`, the power fails once in each round.
pub(super) fn record(
    plan: &Plan,
    address: SocketAddr,
    power_cut: Option<PowerCut<'_>>,
) -> Result<History, String> {
    let mut recorder = Recorder::new(plan, address)?;
    let per_round = plan.operations.div_ceil(plan.rounds.max(1));
    let mut random = Random::new(plan.seed);
    let mut power_cut = power_cut;
    for round in 1..=plan.rounds {
        let target = (per_round * round).min(plan.operations);
        let cut_at = per_round * (round - 1) + per_round / 4 + random.below(per_round / 2 + 1);
        if let Some(power_cut) = &mut power_cut {
            recorder.run(cut_at, false)?;
            recorder.cut_power(power_cut)?;
        }
        recorder.run(target, true)?;
        recorder.read_everything()?;
    }
    // What was read and not answered tells nothing.
    recorder.history.operations.retain(|operation| operation.is_certain || !operation.call.is_read());
    Ok(recorder.history)
}

struct Recorder {
    address: SocketAddr,
    start: Instant,
    history: History,
    /// How many operations were sent that count.
    sent: usize,
    /// The client that is looked at first.
    first: usize,
    /// Those of the clients, and the one of the reader, who reads everything and ends waits.
    lanes: Vec<Lane>,
    programs: Vec<Program>,
    lane_count: usize,
}

impl Recorder {
    fn new(plan: &Plan, address: SocketAddr) -> Result<Self, String> {
        let mut recorder = Self {
            address,
            start: Instant::now(),
            history: History::default(),
            sent: 0,
            first: 0,
            lanes: Vec::new(),
            programs: (0..=plan.clients).map(|client| Program::new(plan.seed, client, plan.theme)).collect(),
            lane_count: 0,
        };
        for _ in 0..=plan.clients {
            let lane = recorder.connect()?;
            recorder.lanes.push(lane);
        }
        Ok(recorder)
    }

    fn connect(&mut self) -> Result<Lane, String> {
        self.lane_count += 1;
        Lane::connect(self.address, self.lane_count - 1).map_err(|error| format!("cannot connect: {error}"))
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Goes on until so many operations have been sent; `settles` waits for all answers then.
    fn run(&mut self, target: usize, settles: bool) -> Result<(), String> {
        loop {
            self.send_next(target)?;
            if self.sent >= target {
                if !settles || self.lanes.iter().all(Lane::is_idle) {
                    return Ok(());
                }
                self.end_waits()?;
            }
            self.receive()?;
            self.hang_up()?;
        }
    }

    /// Has clients send that have had all answers, as long as not too much is under way.
    fn send_next(&mut self, target: usize) -> Result<(), String> {
        let reader = self.reader();
        let mut under_way: usize = self.lanes.iter().map(|lane| lane.waiting.len()).sum();
        for turn in 0..reader {
            let client = (self.first + turn) % reader;
            if under_way >= UNDER_WAY_MAX || self.sent >= target {
                break;
            }
            if self.lanes[client].is_idle() {
                let batch = self.programs[client].batch();
                self.sent += batch.calls.len();
                under_way += batch.calls.len();
                self.send(client, batch)?;
                self.first = client + 1;
            }
        }
        Ok(())
    }

    /// The number of the reader among the clients.
    fn reader(&self) -> usize {
        self.lanes.len() - 1
    }

    fn send(&mut self, client: usize, batch: Batch) -> Result<(), String> {
        let mut bytes = Vec::new();
        let mut whole = Vec::new();
        for call in batch.calls {
            let commands = call.commands();
            commands.iter().for_each(|command| command.encode(&mut bytes));
            whole.push((call, commands.len() - 1, bytes.len()));
        }
        bytes.truncate(bytes.len() * batch.sent_per_mille / 1_000);
        let invoked = self.now();
        let lane = &mut self.lanes[client];
        lane.hangs_up_at = batch.hangs_up_after_us.map(|after| invoked + after * 1_000);
        for (call, before, end) in whole {
            // What was not sent whole is not carried out.
            if end > bytes.len() {
                break;
            }
            lane.waiting.push_back(Waiting { operation: self.history.operations.len(), before });
            self.history.operations.push(Operation {
                lane: lane.number,
                client,
                keys: call.keys(),
                call,
                invoked,
                answered: NEVER,
                reply: None,
                is_certain: false,
            });
        }
        lane.send(&bytes).map_err(|error| format!("a client of the history cannot send: {error}"))
    }

    /// Waits until something arrives, and notes it.
    fn receive(&mut self) -> Result<(), String> {
        let timeout =
            if self.lanes.iter().any(|lane| lane.hangs_up_at.is_some()) { LOOK_AGAIN_MS } else { SILENCE_MS };
        let ready = poll(&self.lanes, timeout)?;
        if ready.is_empty() && timeout == SILENCE_MS {
            let open: Vec<String> = self.unanswered().map(|operation| operation.call.to_string()).collect();
            return Err(format!("no answer for {} s to {}", SILENCE_MS / 1_000, open.join(", ")));
        }
        for client in ready {
            if !self.lanes[client].receive() {
                return Err("the server has closed a client's connection".to_owned());
            }
            self.note_answers(client)?;
        }
        Ok(())
    }

    fn unanswered(&self) -> impl Iterator<Item = &Operation> {
        self.lanes
            .iter()
            .flat_map(|lane| &lane.waiting)
            .map(|waiting| &self.history.operations[waiting.operation])
    }

    fn note_answers(&mut self, client: usize) -> Result<(), String> {
        let now = self.now();
        while let Some((number, reply)) = self.lanes[client].answered()? {
            let operation = &mut self.history.operations[number];
            operation.answered = now;
            operation.reply = Some(reply);
            operation.is_certain = true;
        }
        Ok(())
    }

    /// Ends the connections whose time has come, and opens others for their clients.
    fn hang_up(&mut self) -> Result<(), String> {
        let now = self.now();
        for client in 0..self.lanes.len() {
            if self.lanes[client].hangs_up_at.is_some_and(|at| at <= now) {
                // Dropping the old one closes it; what it has not been answered stays open for ever.
                self.lanes[client] = self.connect()?;
                self.programs[client].reconnect();
            }
        }
        Ok(())
    }

    /// If nothing is under way but BLPOPs, has somebody push what they wait for.
    fn end_waits(&mut self) -> Result<(), String> {
        let mut keys = Vec::new();
        for operation in self.unanswered() {
            match &operation.call {
                Call::BlockingPop(waited, _) => keys.extend(waited.first().copied()),
                _ => return Ok(()),
            }
        }
        let reader = self.reader();
        if keys.is_empty() || !self.lanes[reader].is_idle() {
            return Ok(());
        }
        let calls = keys.into_iter().map(|key: Key| self.programs[reader].push(key)).collect();
        self.send(reader, Batch { calls, hangs_up_after_us: None, sent_per_mille: 1_000 })
    }

    /// Has the reader read everything, while nobody else does anything.
    fn read_everything(&mut self) -> Result<(), String> {
        let reader = self.reader();
        self.send(reader, Batch { calls: dump(), hangs_up_after_us: None, sent_per_mille: 1_000 })?;
        while !self.lanes[reader].is_idle() {
            self.receive()?;
        }
        Ok(())
    }

    /// Cuts the power, and connects everybody again. What was not answered by then has taken effect before, or never will.
    fn cut_power(&mut self, power_cut: &mut PowerCut<'_>) -> Result<(), String> {
        power_cut()?;
        for client in 0..self.lanes.len() {
            // The end of the connection is what is to be expected.
            self.lanes[client].receive();
            self.note_answers(client)?;
        }
        let now = self.now();
        for operation in &mut self.history.operations {
            operation.answered = operation.answered.min(now);
        }
        for client in 0..self.lanes.len() {
            self.lanes[client] = self.connect()?;
            self.programs[client].reconnect();
        }
        Ok(())
    }
}

/// The lanes to which something has arrived, or which have ended; none after so many milliseconds.
fn poll(lanes: &[Lane], timeout_ms: i32) -> Result<Vec<usize>, String> {
    let mut files: Vec<libc::pollfd> =
        lanes.iter().map(|lane| libc::pollfd { fd: lane.file(), events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: the pointer and the count are those of `files`, which lives until the call is over.
    let count = unsafe { libc::poll(files.as_mut_ptr(), files.len() as libc::nfds_t, timeout_ms) };
    if count < 0 {
        let error = std::io::Error::last_os_error();
        return if error.kind() == std::io::ErrorKind::Interrupted {
            Ok(Vec::new())
        } else {
            Err(error.to_string())
        };
    }
    Ok((0..files.len()).filter(|index| files[*index].revents != 0).collect())
}
