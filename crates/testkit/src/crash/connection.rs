//! One connection's load: batches of steps, sent and awaited, until the server dies.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use super::draw;
use super::step::{Ack, Role, Shared, Step, Trace};
use crate::{Client, Command, DecodeError, Random, Reply};

/// Most steps that are sent before their replies are read.
const PIPELINE_MAX: usize = 32;
/// After so many of a hundred batches a connection that asks does so.
const ASKS_PERCENT: usize = 20;
/// Longest pause between two batches of a connection that pauses.
const PAUSE_US_MAX: usize = 3_000;

/// The Unix time in milliseconds.
pub(super) fn now_ms() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_millis() as i64)
}

/// Which connection it is, and what it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) connection: usize,
    pub(super) is_consumer: bool,
    /// Whether it asks now and then, by WAITAOF, for its steps to be on the disk.
    pub(super) asks: bool,
}

/// Sends steps of a connection until it breaks. `first_number` is the number of its first step.
pub(super) fn load(address: SocketAddr, mut random: Random, part: Part, first_number: u64) -> Trace {
    let Part { connection, is_consumer, asks } = part;
    let mut trace = Trace::default();
    let Ok(mut client) = Client::try_connect(address) else { return trace };
    let mut link = Link { database: 0, number: first_number };
    loop {
        let batch = match is_consumer {
            true => vec![draw::consumer_step(connection)],
            false => link.batch(&mut random, connection),
        };
        if link.exchange(&mut client, batch, &mut trace).is_err() {
            return trace;
        }
        if asks && random.chance(ASKS_PERCENT) {
            match client.try_call(&["WAITAOF", "1", "0", "0"]) {
                Ok(reply) if reply.to_string() == "[1, 0]" => trace.durable = trace.steps.len(),
                Ok(reply) => trace.errors.push(format!("WAITAOF was answered {reply}")),
                Err(_) => return trace,
            }
        }
        if !is_consumer && random.chance(20) {
            std::thread::sleep(Duration::from_micros(random.below(PAUSE_US_MAX) as u64));
        }
    }
}

/// What the server remembers of a connection, and the number of the next step.
struct Link {
    database: u32,
    number: u64,
}

impl Link {
    fn batch(&mut self, random: &mut Random, connection: usize) -> Vec<Step> {
        let count = if random.chance(50) { 1 } else { 1 + random.below(PIPELINE_MAX) };
        let mut batch = Vec::with_capacity(count + 1);
        let mut database = *random.pick(&draw::databases(connection));
        while batch.len() < count {
            if random.chance(5) {
                database = *random.pick(&draw::databases(connection));
            }
            self.number += 1;
            let step = draw::step(random, connection, database, self.number);
            let is_first = step.role == Role::Shared(Shared::First);
            batch.push(step);
            if is_first {
                batch.push(draw::second_step());
            }
        }
        batch
    }

    /// Sends the steps and reads their replies. What was sent and not answered stays in the trace without an
    /// acknowledgement.
    fn exchange(
        &mut self,
        client: &mut Client,
        batch: Vec<Step>,
        trace: &mut Trace,
    ) -> Result<(), DecodeError> {
        let (mut bytes, first, sent_at_ms) = (Vec::new(), trace.steps.len(), now_ms());
        let mut selects = Vec::with_capacity(batch.len());
        for mut step in batch {
            step.sent_at_ms = sent_at_ms;
            let selects_first = step.database != self.database;
            if selects_first {
                Command::line(&format!("SELECT {}", step.database)).encode(&mut bytes);
                self.database = step.database;
            }
            selects.push(selects_first);
            step.encode(&mut bytes);
            trace.steps.push(step);
        }
        client.try_send_raw(&bytes).map_err(|error| DecodeError::Io(error, false))?;
        for (step, selects_first) in trace.steps[first..].iter_mut().zip(selects) {
            if selects_first {
                client.try_read()?;
            }
            let mut replies = Vec::with_capacity(step.reply_count());
            for _ in 0..step.reply_count() {
                replies.push(client.try_read()?);
            }
            for reply in replies.iter().filter(|reply| draw::is_surprising(reply)) {
                trace.errors.push(format!("{} was answered {reply}", step.commands[0]));
            }
            if step.is_transaction {
                replies = match replies.pop() {
                    Some(Reply::Array(replies)) => replies,
                    Some(other) => vec![other],
                    None => Vec::new(),
                };
            }
            trace.acknowledged += step.commands.len() as u64;
            step.ack = Some(Ack { at: Instant::now(), at_ms: now_ms(), replies });
        }
        Ok(())
    }
}

/// Snapshots and rewrites at random moments until the connection breaks.
pub(super) fn maintain(address: SocketAddr, mut random: Random) {
    let Ok(mut client) = Client::try_connect(address) else { return };
    loop {
        std::thread::sleep(Duration::from_millis(20 + random.below(300) as u64));
        let command = *random.pick(&["BGREWRITEAOF", "BGSAVE", "BGSAVE SCHEDULE", "BGREWRITEAOF"]);
        // That one is under way already is an answer as good as any.
        if client.try_call(&Command::line(command).arguments).is_err() {
            return;
        }
    }
}
