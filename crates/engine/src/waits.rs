//! Waiting for shards, without parking the thread.
//!
//! Whatever is awaited here may be dropped at any await, and gives back what it has.
//!
//! Who waits for a shard that is held for long keeps no others meanwhile: they would be held as long, and nobody would know why.

use std::task::Poll;
use std::time::Duration;

use rustredis_keyspace::{Access, Covered};
use rustredis_metrics::Sharing;

use crate::held::{Guard, Held, LongHeld, LongMark, leave};
use crate::measured::Measured;
use crate::notices::Manner;
use crate::word::URGENT;
use crate::{Doors, Engine, EngineKind, actor, dashmap, needs_gate, seats};

impl Engine {
    /// Holds the covered shards as soon as they can be had: when others release them, their owners lend them, the engine is
    /// open. `Many` must be ascending.
    pub async fn borrow<'e>(&'e self, covered: Covered<'e>, access: Access) -> Held<'e> {
        loop {
            if let Some(held) = self.hold(covered, access) {
                return held;
            }
            if !self.is_closed() {
                return self.wait_for(covered, access, None).await;
            }
            self.until_open().await;
        }
    }

    /// The same, unless some of the shards are held for long: then nothing.
    pub async fn borrow_unless_kept<'e>(&'e self, covered: Covered<'e>, access: Access) -> Option<Held<'e>> {
        if let Some(held) = self.hold(covered, access) {
            return Some(held);
        }
        tokio::select! {
            biased;
            () = self.until_busy(covered, Duration::ZERO) => None,
            held = self.borrow(covered, access) => Some(held),
        }
    }

    /// Holds the covered shards for long, maybe across awaits. It is announced, from the moment in which nobody else has announced one of
    /// the same shards.
    pub async fn borrow_long<'e>(&'e self, covered: Covered<'e>, access: Access) -> LongHeld<'e> {
        self.until_open().await;
        let gate = &self.gate;
        if needs_gate(covered) && self.kind != EngineKind::Mutex {
            let access = self.gate_access(access);
            let everything = gate.stop(access).await;
            let mark = LongMark { gate, id: everything.begin_long() };
            let guard = Guard::Everything(Box::new(everything));
            let measured = Measured::default();
            return LongHeld::new(Held { engine: self, covered, access, measured, guard }, mark);
        }
        // One lock guards all.
        let announced = if self.kind == EngineKind::Mutex { Covered::All } else { covered };
        let mark = LongMark { gate, id: gate.begin_long(announced).await };
        let held = match covered {
            Covered::None => self.held_nothing(),
            _ => self.wait_for(covered, access, Some(mark.id)).await,
        };
        LongHeld::new(held, mark)
    }

    /// Whether some of these shards are held for long.
    #[inline]
    pub fn is_kept(&self, covered: Covered<'_>) -> bool {
        self.gate.kept_since(covered, None).is_some()
    }

    /// Whether a lock of these should not be tried again and again: it is held for long, or goes to those who wait for it. They may be
    /// tasks of this thread, which cannot give it back meanwhile.
    #[inline]
    pub(crate) fn is_trying_vain(&self, covered: Covered<'_>) -> bool {
        self.gate.word().has(URGENT) || self.is_kept(covered)
    }

    /// Returns once some of these shards have been held for long, and for at least `patience`.
    pub async fn until_busy(&self, covered: Covered<'_>, patience: Duration) {
        if self.gate.kept_since(covered, None).is_some_and(|since| since.elapsed() >= patience) {
            return;
        }
        let mut watcher = self.gate.watcher();
        loop {
            let begun = std::future::poll_fn(|context| {
                watcher.look(context, covered, None).map_or(Poll::Pending, Poll::Ready)
            });
            let since = begun.await;
            let changed = std::future::poll_fn(|context| {
                let is_same = watcher.look(context, covered, None) == Some(since);
                if is_same { Poll::Pending } else { Poll::Ready(()) }
            });
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep(patience.saturating_sub(since.elapsed())) => return,
            }
        }
    }

    /// Waits for the doors of these shards. `long` is the number of the long hold that it is for.
    async fn wait_for<'e>(&'e self, covered: Covered<'e>, access: Access, long: Option<u64>) -> Held<'e> {
        let manner = if long.is_some() { Manner::InTurn } else { Manner::Tries };
        if needs_gate(covered) && self.kind != EngineKind::Mutex {
            let access = self.gate_access(access);
            let guard = Guard::Everything(Box::new(self.gate.stop(access).await));
            return Held { engine: self, covered, access, measured: Measured::default(), guard };
        }
        match &self.doors {
            Doors::Mutex(doors) => {
                let asked = self.contention.stamp();
                self.notices.acquire(self.gate.word(), doors, 0, Access::Write, manner).await;
                let mut measured = Measured::default();
                if self.contention.is_enabled() {
                    measured.push(self.contention.acquired_since(0, Sharing::Exclusive, asked));
                }
                self.held_all(measured, Access::Write, Guard::Mutex(doors))
            }
            Doors::DashMap(doors) => self.wait_for_locks(doors, covered, access, manner, long).await,
            Doors::Actor(doors) => {
                let loans = loop {
                    // The thread's own shards need no loan. Who stands outside the gate for them goes in before the next one has
                    // everything.
                    if long.is_none()
                        && let Some(held) = self.pass_to_own(doors, covered).await
                    {
                        return held;
                    }
                    self.gate.until_not_kept(covered, long).await;
                    if let Some(loans) = doors.borrow(self, covered, long.is_some()).await {
                        break Box::new(loans);
                    }
                };
                let (access, measured) = (Access::Write, Measured::default());
                let seat = seats::mine(self.number, &self.gate);
                // Loans have passed the gate when they were asked for.
                seat.enter(access);
                Held { engine: self, covered, access, measured, guard: Guard::Loan(loans, seat) }
            }
        }
    }

    /// Holds shards of the thread's own as soon as nobody has everything; `None` if they are another's, or are lent by then.
    async fn pass_to_own<'e>(&'e self, doors: &'e actor::Doors, covered: Covered<'e>) -> Option<Held<'e>> {
        if !doors.owns(covered) {
            return None;
        }
        let (seat, access) = (seats::mine(self.number, &self.gate), Access::Write);
        self.gate.pass(seat, access).await;
        if doors.owns(covered) {
            return Some(self.held_own(covered, seat));
        }
        leave(&self.gate, seat, access);
        None
    }

    async fn wait_for_locks<'e>(
        &'e self,
        doors: &'e dashmap::Doors,
        covered: Covered<'e>,
        access: Access,
        manner: Manner,
        long: Option<u64>,
    ) -> Held<'e> {
        let one;
        let shards = match covered {
            Covered::None | Covered::All => &[],
            Covered::One(shard) => {
                one = [shard as u32];
                &one[..]
            }
            Covered::Many(shards) => shards,
        };
        loop {
            let mut taken =
                Taken { engine: self, doors, shards, access, count: 0, measured: Measured::default() };
            while let Some(shard) = taken.missing() {
                if taken.try_one(shard, manner) {
                    continue;
                }
                let covered = Covered::One(shard as usize);
                if taken.count > 0 && self.gate.kept_since(covered, long).is_some() {
                    break;
                }
                taken.wait_for_one(shard, manner).await;
            }
            if let Some(shard) = taken.missing() {
                drop(taken);
                self.gate.until_not_kept(Covered::One(shard as usize), long).await;
                continue;
            }
            let seat = seats::mine(self.number, &self.gate);
            self.gate.pass(seat, access).await;
            let measured = taken.keep();
            return Held { engine: self, covered, access, measured, guard: Guard::DashMap(doors, seat) };
        }
    }
}

/// The first of some shards' locks, on the way to all of them; dropping it releases them.
struct Taken<'e> {
    engine: &'e Engine,
    doors: &'e dashmap::Doors,
    shards: &'e [u32],
    access: Access,
    count: usize,
    measured: Measured,
}

impl Taken<'_> {
    /// The next lock.
    fn missing(&self) -> Option<u32> {
        self.shards.get(self.count).copied()
    }

    /// Takes the next lock if that can be had in a moment, and is nobody else's turn.
    fn try_one(&mut self, shard: u32, manner: Manner) -> bool {
        let (engine, covered) = (self.engine, Covered::One(shard as usize));
        let must_wait =
            manner == Manner::InTurn || engine.gate.word().has(URGENT) && engine.notices.is_urgent(covered);
        let is_in_vain = || engine.is_trying_vain(covered);
        let is_taken = !must_wait
            && self.doors.try_lock_soon(
                shard,
                self.access,
                is_in_vain,
                &engine.contention,
                &mut self.measured,
            );
        self.count += usize::from(is_taken);
        is_taken
    }

    async fn wait_for_one(&mut self, shard: u32, manner: Manner) {
        let engine = self.engine;
        let asked = engine.contention.stamp();
        engine.notices.acquire(engine.gate.word(), self.doors, shard, self.access, manner).await;
        self.count += 1;
        if engine.contention.is_enabled() {
            let access = dashmap::held_as(self.access);
            self.measured.push(engine.contention.acquired_since(shard as usize, access, asked));
        }
    }

    /// Hands the locks over to who releases them.
    fn keep(mut self) -> Measured {
        self.shards = &[];
        std::mem::take(&mut self.measured)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.shards.get(..self.count).filter(|taken| !taken.is_empty()) {
            let measured = std::mem::take(&mut self.measured);
            self.engine.give_up_locks(self.doors, Covered::Many(taken), self.access, measured);
        }
    }
}
