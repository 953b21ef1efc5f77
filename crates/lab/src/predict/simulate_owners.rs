//! Owners of shards: threads that send each other errands, each with sixteen clients so that it has something to do meanwhile.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::case::SHARDS;
use super::simulate::{Meeting, Time, World, ticks};

/// Clients of a thread.
const CLIENTS: usize = 16;
const WARM_UP: usize = 8;
/// An errand's cost falls on who sends it, who runs it, and who has the answer, in these shares.
const SHARES: [f64; 3] = [0.5, 0.25, 0.25];

enum Message {
    Errand { from: usize, client: usize, commands: usize },
    Answer { client: usize, from: usize },
}

struct Owner {
    /// What has been sent, with the time at which it is there, in the order of sending.
    inbox: VecDeque<(Time, Message)>,
    /// Clients with a batch to begin.
    ready: VecDeque<usize>,
    /// Answers that each client misses.
    missing: Vec<usize>,
    /// Whether it has nothing to do, and no event.
    is_idle: bool,
}

struct System<'w, 'a> {
    world: &'w mut World<'a>,
    owners: Vec<Owner>,
    events: BinaryHeap<Reverse<(Time, usize)>>,
    /// When the order of what spans owners is free, and who had it.
    order_free: Time,
    order_last: usize,
    counted: usize,
    errand_ns: f64,
    command_ns: f64,
    order_ns: f64,
}

/// Runs it.
pub(super) fn owners(world: &mut World<'_>) -> f64 {
    let Meeting::Owners { errand_ns, command_ns, order_ns } = world.costs.meeting else { return f64::NAN };
    let threads = world.case.threads;
    let owner = |_| Owner {
        inbox: VecDeque::new(),
        ready: (0..CLIENTS).collect(),
        missing: vec![0; CLIENTS],
        is_idle: false,
    };
    let events = (0..threads).map(|thread| Reverse((thread as Time, thread))).collect();
    let mut system = System {
        world,
        owners: (0..threads).map(owner).collect(),
        events,
        order_free: 0,
        order_last: 0,
        counted: 0,
        errand_ns,
        command_ns,
        order_ns,
    };
    let commands = system.world.commands;
    let (mut begun, mut counted_before, mut now) = (0, 0, 0);
    while system.counted < commands {
        let Some(Reverse((time, thread))) = system.events.pop() else { break };
        now = time;
        if begun == 0 && system.counted >= commands / WARM_UP {
            (begun, counted_before) = (now, system.counted);
        }
        system.act(time, thread);
    }
    (now - begun) as f64 / 64.0 * threads as f64 / (system.counted - counted_before).max(1) as f64
}

impl System<'_, '_> {
    /// A thread does one thing: what it was sent, else what a client wants.
    fn act(&mut self, time: Time, thread: usize) {
        let owner = &mut self.owners[thread];
        if owner.inbox.front().is_some_and(|(arrives, _)| *arrives <= time)
            && let Some((_, message)) = owner.inbox.pop_front()
        {
            let end = self.serve(time, thread, message);
            self.events.push(Reverse((end, thread)));
            return;
        }
        if let Some(client) = owner.ready.pop_front() {
            let end = self.begin(time, thread, client);
            self.events.push(Reverse((end, thread)));
            return;
        }
        match owner.inbox.front() {
            Some((arrives, _)) => self.events.push(Reverse((*arrives, thread))),
            None => owner.is_idle = true,
        }
    }

    /// What travels between two threads costs more between sockets.
    fn stretched(&self, nanos: f64, from: usize, to: usize) -> f64 {
        let costs = self.world.costs;
        let far = costs.way(self.world.case.threads, from, to) / costs.line_ns.max(1e-9);
        nanos * (1.0 + costs.unknowns.travelling * (far - 1.0))
    }

    fn serve(&mut self, time: Time, thread: usize, message: Message) -> Time {
        let wake = self.world.costs.errand_wake_ns / 2.0;
        match message {
            Message::Errand { from, client, commands } => {
                let own = self.world.costs.command_ns * commands as f64;
                let own = self.world.about(own);
                let errand = self.errand_ns * SHARES[1] + self.command_ns / 2.0 * commands as f64;
                let end = time + ticks(own + self.stretched(errand, from, thread) + wake);
                self.send(end, thread, from, Message::Answer { client, from: thread });
                end
            }
            Message::Answer { client, from } => {
                let end = time + ticks(self.stretched(self.errand_ns * SHARES[2], from, thread) + wake);
                self.answered(thread, client, 1);
                end
            }
        }
    }

    fn answered(&mut self, thread: usize, client: usize, parts: usize) {
        let owner = &mut self.owners[thread];
        owner.missing[client] -= parts;
        if owner.missing[client] == 0 {
            owner.ready.push_back(client);
            self.counted += self.world.case.batch;
        }
    }

    /// A client's batch: each owner's commands go to it, the thread's own are run.
    fn begin(&mut self, time: Time, thread: usize, client: usize) -> Time {
        let (threads, batch) = (self.world.case.threads, self.world.case.batch);
        let mut counts = vec![0_usize; threads];
        for _ in 0..batch {
            counts[(self.world.shard(thread) * threads / SHARDS).min(threads - 1)] += 1;
        }
        let own = std::mem::take(&mut counts[thread]);
        let sent: Vec<(usize, usize)> =
            counts.into_iter().enumerate().filter(|(_, commands)| *commands > 0).collect();
        let costs = self.world.costs;
        let mut cost = costs.batch_ns + costs.kernel_ns * batch as f64;
        for (owner, commands) in &sent {
            let errand = self.errand_ns * SHARES[0] + self.command_ns / 2.0 * *commands as f64;
            cost += self.stretched(errand, thread, *owner);
        }
        let mut end = time + ticks(cost);
        if sent.len() + usize::from(own > 0) > 1 {
            let way =
                if self.order_last == thread { 0.0 } else { costs.way(threads, self.order_last, thread) };
            end = end.max(self.order_free) + ticks(way + self.order_ns * sent.len() as f64);
            (self.order_free, self.order_last) = (end, thread);
        }
        let owner = &mut self.owners[thread];
        owner.missing[client] = sent.len() + 1;
        for (owner, commands) in sent {
            self.send(end, thread, owner, Message::Errand { from: thread, client, commands });
        }
        let own = self.world.costs.command_ns * own as f64;
        end += ticks(self.world.about(own));
        self.answered(thread, client, 1);
        end
    }

    fn send(&mut self, time: Time, from: usize, to: usize, message: Message) {
        let arrives = time + ticks(self.world.costs.way(self.world.case.threads, from, to));
        let owner = &mut self.owners[to];
        owner.inbox.push_back((arrives, message));
        if std::mem::take(&mut owner.is_idle) {
            self.events.push(Reverse((arrives, to)));
        }
    }
}
