//! Waiting for locks: those of shards in the order of coming, and the one lock as its waiters try for it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::case::{Kind, SHARDS};
use super::simulate::{Meeting, Time, World, ticks};

/// How long one who waits for a lock tries on the spot, in the engines.
const TRIES_NS: f64 = 50_000.0;
/// A group of a batch has so many commands, whose lines are fetched together.
const GROUP: usize = 32;
/// Who does not count, for the system fills.
const WARM_UP: usize = 8;

/// A lock for each shard. An event is a thread's arrival at a lock.
pub(super) fn shards(world: &mut World<'_>) -> f64 {
    let Meeting::Shards { read_lines, write_lines, batch_share, read_serial_ns, write_serial_ns } =
        world.costs.meeting
    else {
        return f64::NAN;
    };
    let (threads, batch) = (world.case.threads, world.case.batch);
    let fetched = batch_share + (1.0 - batch_share) / batch.min(GROUP) as f64;
    let alone = world.costs.alone_ns(batch);
    // A string that has been read three times since it was written is read without its lock.
    let lockless = if world.case.kind == Kind::LockFree { (1.0 - world.case.writes()).powi(3) } else { 0.0 };
    // When each of those who have come to a shard's lock, and are not past it, will be.
    let mut queues: Vec<VecDeque<Time>> = vec![VecDeque::new(); SHARDS];
    let mut last: Vec<usize> = vec![usize::MAX; SHARDS];
    let mut arrivals: BinaryHeap<Reverse<(Time, usize)>> =
        (0..threads).map(|thread| Reverse((ticks(alone * world.fraction()), thread))).collect();
    let (mut counted, mut begun, mut now) = (0, 0, 0);
    while counted < world.commands {
        let Some(Reverse((time, thread))) = arrivals.pop() else { break };
        now = time;
        if counted == world.commands / WARM_UP {
            begun = now;
        }
        counted += 1;
        let (shard, is_write) = (world.shard(thread), world.is_write());
        let (lines, serial) =
            if is_write { (write_lines, write_serial_ns) } else { (read_lines, read_serial_ns) };
        let serial = serial.min(alone);
        let far = last[shard] != thread && last[shard] != usize::MAX;
        let mut fetch =
            if far { lines * fetched * world.costs.way(threads, last[shard], thread) } else { 0.0 };
        let end = if !is_write && lockless > 0.0 && world.fraction() < lockless {
            // It writes nothing that others want, but what was written since must come.
            time + ticks(fetch + serial)
        } else {
            let queue = &mut queues[shard];
            while queue.front().is_some_and(|end| *end <= time) {
                queue.pop_front();
            }
            // All but the one inside. Waiting time divided by a hold would count more of them than there are threads,
            // and each hold that grows by that makes the next one count more.
            let waiting = queue.len().saturating_sub(1);
            fetch *= 1.0 + world.costs.unknowns.crowding * waiting as f64;
            let end = queue.back().copied().unwrap_or(time).max(time) + ticks(fetch + serial);
            queue.push_back(end);
            last[shard] = thread;
            end
        };
        arrivals.push(Reverse((end + ticks(world.about(alone - serial)), thread)));
    }
    per_command(now - begun, threads, world.commands)
}

fn per_command(time: Time, threads: usize, commands: usize) -> f64 {
    time as f64 / 64.0 * threads as f64 / (commands - commands / WARM_UP) as f64
}

/// One lock, which a whole batch is run under. A step is a hold: whoever's try comes first behind a release has it, and that is
/// often who had it before.
pub(super) fn one(world: &mut World<'_>) -> f64 {
    let Meeting::One { outside_ns, poll_ns, hold_lines, command_lines } = world.costs.meeting else {
        return f64::NAN;
    };
    let (threads, batch) = (world.case.threads, world.case.batch);
    let kernel = world.costs.kernel_ns * batch as f64;
    let whole = world.costs.alone_ns(batch) * batch as f64 - kernel;
    let outside = outside_ns.min(whole * 0.9);
    let mut wants_at: Vec<Time> = (0..threads).map(|_| ticks(whole * world.fraction())).collect();
    let (mut released, mut last): (Time, usize) = (0, 0);
    let (mut counted, mut begun) = (0, 0);
    let warm_up = world.commands / WARM_UP;
    while counted < world.commands {
        let mut first: Option<(Time, usize)> = None;
        for (thread, wants) in wants_at.iter().enumerate() {
            let way = if thread == last { 0.0 } else { world.costs.way(threads, last, thread) };
            let comes = if *wants >= released {
                *wants + ticks(way)
            } else if released - *wants > ticks(TRIES_NS) {
                // He is told, and tries then.
                released + ticks(way * world.costs.unknowns.notice)
            } else {
                let crowd = 1.0 + world.costs.unknowns.crowding * threads.saturating_sub(2) as f64;
                let within = (world_fraction(released, thread) * poll_ns + way) * crowd;
                released + ticks(within)
            };
            if first.is_none_or(|(time, _)| comes < time) {
                first = Some((comes, thread));
            }
        }
        let Some((start, thread)) = first else { break };
        let lines = if thread == last {
            0.0
        } else {
            let way = world.costs.way(threads, last, thread);
            // All but what the thread wrote itself last.
            (hold_lines + command_lines * batch as f64 * (1.0 - 1.0 / threads as f64)) * way
        };
        released = start + ticks(world.about(whole - outside) + lines);
        wants_at[thread] = released + ticks(world.about(outside + kernel));
        last = thread;
        if counted <= warm_up {
            begun = released;
        }
        counted += batch;
    }
    let measured = counted.saturating_sub(warm_up.div_ceil(batch).max(1) * batch).max(batch);
    (released - begun) as f64 / 64.0 * threads as f64 / measured as f64
}

/// Where between two tries a release finds a thread: chance, but the same for the same moment.
fn world_fraction(released: Time, thread: usize) -> f64 {
    let mut random = rustredis_testkit::Random::new(released ^ (thread as u64) << 48);
    random.below(1 << 20) as f64 / f64::from(1 << 20)
}
