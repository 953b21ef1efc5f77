//! The clients of a thread, and how it runs them: the same loop for every engine.
//!
//! A client has a batch of commands run, then the next client has its turn; one that must wait (for a lock, or for the answer of another
//! thread) is passed over until it can go on. The thread asks one after the other, without Tokio: a task's switch there costs as much as a
//! command, and would be charged to the engine whose clients wait most. What an engine is charged is what it does itself: holds and
//! their release, messages, copies of replies, turning from a client that waits to the next.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::{Context, Poll, Wake, Waker};

use rustredis_engine::errands::Scattered;
use rustredis_engine::{Engine, Errand, Filling, Held, Outcome, Part, Shards};
use rustredis_keyspace::store::TOUCHED_AT_ONCE;
use rustredis_keyspace::{Access, Covered, Effects, Random, View};
use rustredis_metrics::{CallEnd, CommandId, WorkerMetrics};
use rustredis_resp::{Proto, Reply};
use smallvec::SmallVec;

use crate::work::{Ready, Shared, of_server};

/// Rounds in which nothing went on before the thread lets others of the machine run.
const IDLE_ROUNDS: usize = 200;

/// What a thread needs to run commands.
pub(crate) struct Hand {
    metrics: WorkerMetrics,
    random: Random,
    effects: Effects,
    last_clock: u64,
}

thread_local! {
    static HAND: RefCell<Option<Hand>> = const { RefCell::new(None) };
}

/// Acts with the thread's hand.
pub(crate) fn with_hand<R>(act: impl FnOnce(&mut Hand) -> R) -> R {
    HAND.with_borrow_mut(|hand| act(hand.as_mut().expect("a thread has a hand before it has clients")))
}

impl Hand {
    pub(crate) fn new(metrics: WorkerMetrics, seed: u64) -> Self {
        Self { metrics, random: Random::new(seed), effects: Effects::default(), last_clock: 0 }
    }

    /// Makes it the thread's.
    pub(crate) fn enter(self) {
        HAND.set(Some(self));
    }

    /// Runs commands under a hold of all their shards, as the server does it; `ran` hears where the reply of each ends.
    pub(crate) fn run_held<'r>(
        &mut self,
        shared: &Shared,
        held: &mut Held<'_>,
        commands: impl IntoIterator<Item = &'r Ready>,
        counts_reads: bool,
        output: &mut Vec<u8>,
        mut ran: impl FnMut(usize),
    ) {
        let publishes = shared.engine.store().publishes();
        let mut view = held.view(0, shared.now_ms, &self.random, &mut self.effects);
        if !counts_reads {
            view.count_no_reads();
        }
        if shared.engine.reads_alone() {
            // SAFETY: there is one thread, and it has no reading while it holds a shard.
            unsafe { view.be_alone() };
        }
        for ready in commands {
            // SAFETY: the shard is one of those that are held.
            unsafe { view.narrow(Some(ready.shard)) };
            run_one(shared, &mut view, ready, output, &self.metrics, &mut self.last_clock);
            if publishes && view.access() == Access::Write && is_to_publish(view.effects) {
                view.publish(ready.key(), 0);
            }
            view.effects.clear();
            ran(output.len());
        }
    }

    /// Runs commands under the one lock of `--lock`.
    pub(crate) fn run_locked(
        &mut self,
        shared: &Shared,
        filling: &mut Filling<'_>,
        commands: &[Ready],
        output: &mut Vec<u8>,
    ) {
        for group in commands.chunks(TOUCHED_AT_ONCE).filter(|group| group.len() > 1) {
            let keys: SmallVec<[(u32, u64); TOUCHED_AT_ONCE]> =
                group.iter().map(|ready| (ready.shard as u32, ready.hash)).collect();
            // SAFETY: who has the filling of a closed engine has all its shards.
            unsafe { shared.engine.store().prefetch(0, &keys) };
        }
        let mut view = filling.view(0, shared.now_ms, &self.random, &mut self.effects);
        for ready in commands {
            // SAFETY: the view covers every shard.
            unsafe { view.narrow(Some(ready.shard)) };
            run_one(shared, &mut view, ready, output, &self.metrics, &mut self.last_clock);
            view.effects.clear();
        }
    }

    /// Runs commands without a lock, as far as they read what is published; how many, and whether the next must take one.
    fn run_lockless(
        &mut self,
        shared: &Shared,
        commands: &[Ready],
        looked: &mut usize,
        output: &mut Vec<u8>,
    ) -> usize {
        let reads = commands.iter().take_while(|ready| shared.registry.row(ready.row).is_lockless);
        let reads = &commands[..reads.count()];
        if reads.is_empty() || shared.engine.holds_groups() && reads.len() < commands.len() {
            return 0;
        }
        let Some(reading) = shared.engine.read_published() else { return 0 };
        if let Some(new) = reads.get(*looked..).filter(|new| new.len() > 1) {
            reading.touch(0, new.iter().map(|ready| ready.hash));
        }
        *looked = reads.len().max(*looked);
        for (index, ready) in reads.iter().enumerate() {
            let Some(found) = reading.find(0, ready.key(), shared.now_ms) else { return index };
            let found = [found];
            let mut view = reading.view(&found, 0, shared.now_ms, &self.random, &mut self.effects);
            run_one(shared, &mut view, ready, output, &self.metrics, &mut self.last_clock);
            view.effects.clear();
        }
        reads.len()
    }

    /// Publishes what a command has read often under a shared lock.
    fn publish(&mut self, shared: &Shared, ready: &Ready) {
        if is_to_publish(&self.effects)
            && let Some(mut held) = shared.engine.hold(Covered::One(ready.shard), Access::Write)
        {
            held.view(0, shared.now_ms, &self.random, &mut self.effects).publish(ready.key(), 0);
        }
    }
}

fn is_to_publish(effects: &Effects) -> bool {
    effects.withdrawn.take() | effects.is_read_often.take()
}

/// Runs a command, and counts it.
#[inline]
fn run_one(
    shared: &Shared,
    view: &mut View<'_>,
    ready: &Ready,
    output: &mut Vec<u8>,
    metrics: &WorkerMetrics,
    last_clock: &mut u64,
) {
    let row = shared.registry.row(ready.row);
    let started = *last_clock;
    let mut reply = Reply::new(output, Proto::Resp2);
    let outcome = match row.run(view, ready.args.args(), &mut reply, of_server) {
        Ok(()) => CallEnd::Ok,
        Err(_) => {
            shared.failures.fetch_add(1, Relaxed);
            CallEnd::Failed
        }
    };
    *last_clock = shared.clock.now();
    metrics.record(CommandId(ready.row), last_clock.saturating_sub(started), outcome);
}

/// A client.
pub(crate) struct Client<'a> {
    shared: &'a Arc<Shared>,
    commands: &'a Arc<[Ready]>,
    batch: usize,
    index: usize,
    /// The thread's next command: its clients take turns, so that what comes next is near.
    next: &'a Cell<usize>,
    /// Up to where the keys of the batch are near, and those that are read without a lock.
    touched: usize,
    looked: usize,
    output: Vec<u8>,
    shards: Vec<u32>,
    /// Errands that have come back, for the next batches.
    parts: Vec<Part>,
    /// Room for those of the batch, by owner, and for those that are sent.
    of: Vec<Option<Part>>,
    sent: Vec<Part>,
    /// Whose each command of the batch is.
    owners: Vec<u16>,
}

impl<'a> Client<'a> {
    /// A client of this thread.
    pub(crate) fn new(
        shared: &'a Arc<Shared>,
        commands: &'a Arc<[Ready]>,
        batch: usize,
        index: usize,
        next: &'a Cell<usize>,
    ) -> Self {
        let (output, shards, parts, sent, owners) = Default::default();
        let of = (0..shared.engine.owners()).map(|_| None).collect();
        Self {
            shared,
            commands,
            batch,
            index,
            next,
            touched: 0,
            looked: 0,
            output,
            shards,
            parts,
            of,
            sent,
            owners,
        }
    }

    /// Runs batches until the time is over.
    pub(crate) async fn run(mut self) {
        let shared = self.shared;
        while !shared.is_over.load(Relaxed) {
            let mut first = self.next.get();
            let end = (first + self.batch).min(self.commands.len());
            self.next.set(if end == self.commands.len() { 0 } else { end });
            let count = end - first;
            (self.touched, self.looked) = (first, first);
            self.output.clear();
            with_hand(|hand| hand.last_clock = shared.clock.now());
            shared.engine.serve();
            while first < end {
                first += self.run_some(first, end).await;
            }
            with_hand(|hand| hand.metrics.flush());
            shared.count(self.index, count);
            let_others().await;
        }
    }

    /// Runs some commands of a batch; how many.
    async fn run_some(&mut self, first: usize, end: usize) -> usize {
        let shared = self.shared;
        let engine = &shared.engine;
        if let Some(lock) = &shared.lock {
            let commands = &self.commands[first..end];
            let output = &mut self.output;
            lock.with(|filling| with_hand(|hand| hand.run_locked(shared, filling, commands, output)));
            return commands.len();
        }
        if engine.owners() > 1 && self.find_owners(first, end) {
            let ran = self.scatter(first).await;
            if ran > 0 {
                return ran;
            }
        }
        let commands = &self.commands[first..end];
        if engine.store().publishes() {
            let reads = &commands[..commands.len().min(TOUCHED_AT_ONCE)];
            let mut looked = self.looked.saturating_sub(first);
            let ran = with_hand(|hand| hand.run_lockless(shared, reads, &mut looked, &mut self.output));
            self.looked = first + looked;
            if ran > 0 {
                return ran;
            }
        }
        let commands = &commands[..run_of_a_kind(shared, commands)];
        if engine.holds_groups() && commands.len() > 1 {
            let group = &commands[..commands.len().min(TOUCHED_AT_ONCE)];
            let covered = cover(&mut self.shards, group);
            let reads = engine.store().publishes()
                && group.iter().all(|ready| shared.registry.row(ready.row).is_lockless);
            let access = if reads { Access::Write } else { access(shared, group) };
            if let Some(mut held) = engine.hold(covered, access) {
                // SAFETY: what is held are the shards of these keys.
                unsafe { held.touch(0, group.iter().map(|ready| ready.hash)) };
                with_hand(|hand| hand.run_held(shared, &mut held, group, reads, &mut self.output, |_| {}));
                return group.len();
            }
        } else if commands.len() > 1 && first >= self.touched {
            let group = &commands[..commands.len().min(TOUCHED_AT_ONCE)];
            engine.touch(0, group.iter().map(|ready| ready.hash));
            self.touched = first + group.len();
        }
        let ready = &commands[0];
        let (covered, access) = (Covered::One(ready.shard), shared.registry.row(ready.row).access);
        let mut held = match engine.hold(covered, access) {
            Some(held) => held,
            None => engine.borrow(covered, access).await,
        };
        // Whoever holds everything runs the whole batch.
        let count = if held.covered() == Covered::All { commands.len() } else { 1 };
        with_hand(|hand| {
            hand.run_held(shared, &mut held, &commands[..count], true, &mut self.output, |_| {});
            drop(held);
            hand.publish(shared, ready);
        });
        count
    }

    /// Finds the owners of these commands' keys; whether one is another thread.
    fn find_owners(&mut self, first: usize, end: usize) -> bool {
        let engine = &self.shared.engine;
        self.owners.clear();
        self.owners.extend(self.commands[first..end].iter().map(|ready| engine.owner_of(ready.shard) as u16));
        self.owners.iter().any(|owner| usize::from(*owner) != self.index)
    }

    /// Has each owner run what is its own, this thread too; how many commands that were, 0 if it cannot be done like that now.
    async fn scatter(&mut self, first: usize) -> usize {
        let shared = self.shared;
        let (mut parts, mut of) = (std::mem::take(&mut self.parts), std::mem::take(&mut self.of));
        for (index, owner) in self.owners.iter().enumerate() {
            let part = of[usize::from(*owner)].get_or_insert_with(|| {
                let mut part = parts.pop().unwrap_or_else(|| self.errand());
                part.shards.clear();
                errand_of(&mut part).begin(*owner);
                part
            });
            part.shards.push(self.commands[first + index].shard as u32);
            errand_of(part).which.push((first + index) as u32);
        }
        let mut own = of[self.index].take();
        let mut sent = std::mem::take(&mut self.sent);
        sent.extend(of.iter_mut().filter_map(Option::take));
        self.of = of;
        for part in sent.iter_mut().chain(&mut own) {
            part.shards.sort_unstable();
            part.shards.dedup();
        }
        let (shards, errand) = own.map(|part| (part.shards, part.errand)).unzip();
        let shards = shards.unwrap_or_default();
        let scattered = shared.engine.scatter(errand.map(|errand| (&*shards, errand)), sent);
        let Scattered { own, answers } = match scattered {
            Ok(scattered) => scattered,
            Err((own, mut back)) => {
                parts.append(&mut back);
                parts.extend(own.map(|errand| Part { shards: Shards::new(), errand }));
                (self.parts, self.sent) = (parts, back);
                return 0;
            }
        };
        let own = own.map(|(mut held, mut errand)| {
            errand.run(&mut held);
            errand
        });
        let mut sent = answers.await;
        sent.extend(own.map(|errand| Part { shards: Shards::new(), errand }));
        self.gather(&mut sent);
        parts.append(&mut sent);
        (self.parts, self.sent) = (parts, sent);
        self.owners.len()
    }

    fn errand(&self) -> Part {
        let (which, replies, ends) = Default::default();
        let errand = Commands {
            shared: self.shared.clone(),
            commands: self.commands.clone(),
            owner: 0,
            which,
            replies,
            ends,
            taken: 0,
        };
        Part { shards: Shards::new(), errand: Box::new(errand) }
    }

    /// Writes the replies in the commands' order.
    fn gather(&mut self, parts: &mut [Part]) {
        if let [part] = parts {
            self.output.extend_from_slice(&errand_of(part).replies);
            return;
        }
        for owner in &self.owners {
            let mut errands = parts.iter_mut().map(errand_of);
            if let Some(errand) = errands.find(|errand| errand.owner == *owner) {
                self.output.extend_from_slice(errand.next_reply());
            }
        }
    }
}

/// Commands of a client on their way to the thread that owns their keys.
struct Commands {
    shared: Arc<Shared>,
    commands: Arc<[Ready]>,
    owner: u16,
    which: SmallVec<[u32; 4]>,
    replies: Vec<u8>,
    /// Where in the replies each ends.
    ends: SmallVec<[u32; 4]>,
    /// How many replies were taken.
    taken: usize,
}

impl Commands {
    fn begin(&mut self, owner: u16) {
        (self.owner, self.taken) = (owner, 0);
        self.which.clear();
        self.replies.clear();
        self.ends.clear();
    }

    fn next_reply(&mut self) -> &[u8] {
        let begin = self.taken.checked_sub(1).map_or(0, |last| self.ends[last] as usize);
        self.taken += 1;
        &self.replies[begin..self.ends[self.taken - 1] as usize]
    }
}

fn errand_of(part: &mut Part) -> &mut Commands {
    let errand: &mut dyn std::any::Any = &mut *part.errand;
    errand.downcast_mut().expect("there is one kind of errand here")
}

impl Errand for Commands {
    fn run(&mut self, held: &mut Held<'_>) -> Outcome {
        let Self { shared, commands, which, replies, ends, .. } = self;
        let ready = || which.iter().map(|index| &commands[*index as usize]);
        if which.len() > 1 {
            // SAFETY: what is held are the shards of these keys.
            unsafe { held.touch(0, ready().map(|ready| ready.hash)) };
        }
        with_hand(|hand| {
            hand.last_clock = shared.clock.now();
            hand.run_held(shared, held, ready(), false, replies, |end| ends.push(end as u32));
            hand.metrics.flush();
        });
        Outcome::Done
    }
}

fn cover<'s>(shards: &'s mut Vec<u32>, commands: &[Ready]) -> Covered<'s> {
    shards.clear();
    shards.extend(commands.iter().map(|ready| ready.shard as u32));
    shards.sort_unstable();
    shards.dedup();
    Covered::of(shards)
}

fn access(shared: &Shared, commands: &[Ready]) -> Access {
    let writes = |ready: &Ready| shared.registry.row(ready.row).access == Access::Write;
    if commands.iter().any(writes) { Access::Write } else { Access::Read }
}

/// How many commands should share a hold, or be brought near together: those behind a write that read strings may need no lock.
fn run_of_a_kind(shared: &Shared, commands: &[Ready]) -> usize {
    let is_lockless = |ready: &&Ready| shared.registry.row(ready.row).is_lockless;
    if !shared.engine.store().publishes() || shared.engine.holds_groups() || is_lockless(&&commands[0]) {
        return commands.len();
    }
    commands.iter().take_while(|ready| !is_lockless(ready)).count()
}

/// The next client has its turn.
async fn let_others() {
    let mut has_waited = false;
    let turn = |context: &mut Context<'_>| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    };
    std::future::poll_fn(turn).await;
}

/// The clients of a thread that can go on, a bit for each.
type CanGoOn = Arc<AtomicU64>;

struct Bell {
    can_go_on: CanGoOn,
    bit: u64,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.can_go_on.fetch_or(self.bit, Release);
    }
}

/// Runs all clients of the thread until they end; what others want of it is done between.
pub(crate) fn run_all<F: Future<Output = ()>>(shared: &Shared, clients: impl Iterator<Item = F>) {
    let can_go_on = CanGoOn::default();
    let mut clients: Vec<Option<Pin<Box<F>>>> = clients.map(|client| Some(Box::pin(client))).collect();
    let all = u64::MAX >> (64 - clients.len());
    let bell = |index: usize| Waker::from(Arc::new(Bell { can_go_on: can_go_on.clone(), bit: 1 << index }));
    let wakers: Vec<Waker> = (0..clients.len()).map(bell).collect();
    can_go_on.store(all, Relaxed);
    let mut idle_rounds = 0;
    let mut ended = 0;
    while ended != all {
        let mut ready = can_go_on.swap(0, Acquire);
        let is_idle = ready == 0 && !shared.engine.serve();
        idle_rounds = if is_idle { idle_rounds + 1 } else { 0 };
        if idle_rounds > IDLE_ROUNDS {
            std::thread::yield_now();
        }
        while ready != 0 {
            let index = ready.trailing_zeros() as usize;
            ready &= ready - 1;
            let Some(client) = &mut clients[index] else { continue };
            if client.as_mut().poll(&mut Context::from_waker(&wakers[index])).is_ready() {
                clients[index] = None;
                ended |= 1 << index;
            }
        }
    }
    // Others may wait for an answer still.
    shared.running.fetch_sub(1, Relaxed);
    while shared.running.load(Relaxed) > 0 {
        shared.engine.serve();
        std::thread::yield_now();
    }
}

/// Runs one task to its end.
pub(crate) fn finish<T>(engine: &Engine, task: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    let mut task = pin!(task);
    loop {
        if let Poll::Ready(result) = task.as_mut().poll(&mut context) {
            return result;
        }
        engine.serve();
        std::thread::yield_now();
    }
}
