//! The threads that store what a load reads, each in shards of its own.
//!
//! Keys and commands travel in batches, for a message costs more than storing a key. A command whose keys lie with
//! several threads, or that reaches for everything, waits until all have done what came before and runs on the reading
//! thread: the order of what touches the same key is that of the file. A transaction is handed on when its end was read.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, SyncSender};

use parking_lot::Mutex;
use rustredis_commands::{Args, CommandError, KeyRef, Row, Rules};
use rustredis_keyspace::{Access, Covered, Effects, Key, Overdue, Random, Store, View, placement};
use rustredis_persistence::aof::reader::Command;
use rustredis_persistence::rdb::LoadedKey;
use rustredis_resp::Span;

use crate::clock::now_ms;
use crate::files::delay::Delay;
use crate::files::load::{Loading, Replay, Replays};
use crate::files::rdb::{self, Conflict, LoadError};

/// Keys or commands of a batch.
const BATCH_ITEMS: usize = 256;
/// Bytes of commands in a batch.
const BATCH_BYTES: usize = 256 << 10;
/// Batches that may wait for a thread.
const BATCHES_WAITING: usize = 16;
/// Error replies that the log tells.
const ERRORS_TOLD: usize = 10;

/// A key on its way to its thread.
struct StoredKey {
    db: usize,
    hash: u64,
    key: LoadedKey,
}

/// Commands on their way to their thread, in one piece of memory.
#[derive(Default)]
struct Commands {
    text: Vec<u8>,
    spans: Vec<Span>,
    keys: Vec<KeyRef>,
    list: Vec<Prepared>,
}

struct Prepared {
    row: u16,
    db: usize,
    text: usize,
    spans: usize,
    keys: usize,
}

impl Commands {
    fn push(&mut self, row: &Row, db: usize, args: Args<'_>, keys: &[KeyRef]) {
        self.list.push(Prepared {
            row: row.id,
            db,
            text: self.text.len(),
            spans: self.spans.len(),
            keys: self.keys.len(),
        });
        let mut start = 0;
        for argument in args.from(0) {
            self.text.extend_from_slice(argument);
            self.spans.push(Span { start, len: argument.len() as u32 });
            start += argument.len() as u32;
        }
        self.keys.extend_from_slice(keys);
    }

    fn is_full(&self) -> bool {
        self.list.len() >= BATCH_ITEMS || self.text.len() >= BATCH_BYTES
    }

    fn get(&self, index: usize) -> (u16, usize, Args<'_>) {
        let this = &self.list[index];
        let (text, spans, keys) = match self.list.get(index + 1) {
            Some(next) => (next.text, next.spans, next.keys),
            None => (self.text.len(), self.spans.len(), self.keys.len()),
        };
        let args = Args::new(
            &self.text[this.text..text],
            &self.spans[this.spans..spans],
            &self.keys[this.keys..keys],
        );
        (this.row, this.db, args)
    }

    fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
        self.keys.clear();
        self.list.clear();
    }
}

enum Work {
    Keys(Vec<StoredKey>, Conflict),
    Commands(Commands),
    /// Answered when all before it is done.
    Barrier(mpsc::Sender<()>),
}

/// What the threads say.
#[derive(Default)]
struct Reports {
    has_failed: AtomicBool,
    failure: Mutex<Option<LoadError>>,
    errors_told: Mutex<usize>,
}

impl Reports {
    fn fail(&self, error: LoadError) {
        self.failure.lock().get_or_insert(error);
        self.has_failed.store(true, Relaxed);
    }

    fn check(&self) -> Result<(), LoadError> {
        if self.has_failed.load(Relaxed)
            && let Some(error) = self.failure.lock().take()
        {
            return Err(error);
        }
        Ok(())
    }

    fn tell(&self, row: &Row, error: &CommandError) {
        let mut told = self.errors_told.lock();
        if *told < ERRORS_TOLD {
            *told += 1;
            tracing::warn!("A command of the append only file, {}, ended with: {error}", row.full_name);
        }
    }
}

/// The threads, as the reading thread sees them.
pub(super) struct Stores<'s, 'r> {
    replays: &'s Replays<'r>,
    /// Runs commands on this thread.
    replay: Replay<'r>,
    store: &'s Store,
    delay: &'s Delay,
    outcome: &'s Reports,
    /// The thread that stores in each shard.
    owners: &'s [u16],
    senders: Vec<SyncSender<Work>>,
    keys: Vec<Vec<StoredKey>>,
    commands: Vec<Commands>,
    /// The transaction whose end was not read yet.
    transaction: Option<Commands>,
    db: usize,
    conflict: Conflict,
    key_refs: Vec<KeyRef>,
}

impl Stores<'_, '_> {
    /// Calls `load` with threads that store; `view` covers everything, and is theirs for the time of the call.
    pub(super) fn with<'r, R>(
        loading: &Loading,
        replays: &Replays<'r>,
        view: &mut View<'_>,
        load: impl FnOnce(&mut Stores<'_, 'r>) -> R,
    ) -> R {
        assert!(view.covered() == Covered::All && view.access() == Access::Write, "loading needs everything");
        let store = loading.parts.engine.store();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = (cores - 1).clamp(1, store.shards());
        let outcome = Reports::default();
        let shards = store.shards();
        let owners: Vec<u16> =
            (0..shards).map(|shard| placement::part_of(shard, shards, threads) as u16).collect();
        std::thread::scope(|scope| {
            let senders = (0..threads)
                .map(|index| {
                    let (sender, works) = mpsc::sync_channel(BATCHES_WAITING);
                    let shards: Vec<u32> = (0..shards as u32)
                        .filter(|shard| usize::from(owners[*shard as usize]) == index)
                        .collect();
                    let outcome = &outcome;
                    scope.spawn(move || store_all(store, replays, &shards, &works, outcome));
                    sender
                })
                .collect();
            let mut stores = Stores {
                replays,
                replay: (replays.begin)(),
                store,
                delay: &loading.delay,
                outcome: &outcome,
                owners: &owners,
                senders,
                keys: (0..threads).map(|_| Vec::new()).collect(),
                commands: (0..threads).map(|_| Commands::default()).collect(),
                transaction: None,
                db: 0,
                conflict: Conflict::Refused,
                key_refs: Vec::new(),
            };
            load(&mut stores)
        })
    }

    /// Selects the database of what follows.
    pub(super) fn select(&mut self, db: usize) {
        self.db = db;
    }

    /// Makes room for so many keys in the selected database: memory is taken at once.
    pub(super) fn reserve(&mut self, keys: usize) {
        self.wait();
        let (random, mut effects) = (Random::new(now_ms()), Effects::default());
        // SAFETY: as in `run_here`.
        let mut view =
            unsafe { View::new(self.store, Covered::All, Access::Write, self.db, 0, &random, &mut effects) };
        view.reserve(keys);
    }

    /// Stores a key with its value.
    pub(super) fn key(&mut self, key: LoadedKey, conflict: Conflict) -> Result<(), LoadError> {
        self.conflict = conflict;
        let hash = Key::new(key.entry.key()).hash;
        let thread = self.thread_of(hash);
        self.keys[thread].push(StoredKey { db: self.db, hash, key });
        if self.keys[thread].len() >= BATCH_ITEMS {
            self.send_keys(thread);
            self.outcome.check()?;
        }
        Ok(())
    }

    /// Runs a command of an append-only file.
    pub(super) fn command(&mut self, command: Command<'_>) -> Result<(), LoadError> {
        let args = Args::new(command.text, command.spans, &[]);
        let row = self
            .replays
            .registry
            .resolve_recorded(args)
            .map_err(|error| LoadError::Command(format!("the command {}: {error}", args.lossy(0))))?;
        let rules = row.command.rules;
        if rules.has(Rules::SELECTS_DATABASE) {
            let db = args.int(1).ok().and_then(|db| usize::try_from(db).ok());
            let db = db.filter(|db| *db < self.store.databases());
            self.db = db.ok_or(LoadError::Command(format!("no database {}", args.lossy(1))))?;
        } else if rules.has(Rules::OPENS_TRANSACTION) {
            self.transaction = Some(Commands::default());
        } else if rules.has(Rules::RUNS_QUEUE) {
            let commands = self.transaction.take().unwrap_or_default();
            for index in 0..commands.list.len() {
                let (row, db, args) = commands.get(index);
                self.route(self.replays.registry.row(row), db, args, args.key_refs());
            }
        } else {
            let mut keys = std::mem::take(&mut self.key_refs);
            keys.clear();
            row.hash_keys(args, &mut keys);
            match &mut self.transaction {
                Some(transaction) => transaction.push(row, self.db, args, &keys),
                None => self.route(row, self.db, args, &keys),
            }
            self.key_refs = keys;
        }
        self.outcome.check()
    }

    /// Waits as `key-load-delay` says, with all stored that was read.
    pub(super) fn delay(&mut self) {
        if self.delay.is_on() {
            self.wait();
            self.delay.wait(1, || false);
        }
    }

    /// Returns when everything is stored. An unfinished transaction is dropped.
    pub(super) fn finish(&mut self) -> Result<(), LoadError> {
        self.transaction = None;
        self.wait();
        self.outcome.check()
    }

    fn thread_of(&self, hash: u64) -> usize {
        let shard = self.store.shard_of(hash);
        usize::from(self.owners[shard])
    }

    fn route(&mut self, row: &Row, db: usize, args: Args<'_>, keys: &[KeyRef]) {
        let is_near = row.reaches_keys_alone(args);
        let first = keys.first().map(|key| self.thread_of(key.hash)).filter(|_| is_near);
        match first {
            Some(thread) if keys.iter().all(|key| self.thread_of(key.hash) == thread) => {
                self.commands[thread].push(row, db, args, keys);
                if self.commands[thread].is_full() {
                    self.send_commands(thread);
                }
            }
            _ => {
                self.wait();
                self.run_here(row, db, args.with_keys(keys));
            }
        }
    }

    /// Runs a command for which all threads have stopped.
    fn run_here(&mut self, row: &Row, db: usize, args: Args<'_>) {
        let (random, mut effects) = (Random::new(now_ms()), Effects::default());
        // SAFETY: everything is ours (`with`), and the threads have answered the barrier and got nothing since.
        let mut view = unsafe {
            View::new(self.store, Covered::All, Access::Write, db, now_ms(), &random, &mut effects)
        };
        view.set_overdue(Overdue::Keep);
        let result = (self.replay)(&mut view, row, db, args);
        if let Err(error) = result {
            self.outcome.tell(row, &error);
        }
    }

    /// Returns when the threads have stored what they were sent.
    fn wait(&mut self) {
        for thread in 0..self.senders.len() {
            self.send_keys(thread);
            self.send_commands(thread);
        }
        let (sender, answers) = mpsc::channel();
        for thread in 0..self.senders.len() {
            self.send(thread, Work::Barrier(sender.clone()));
        }
        drop(sender);
        // Ends when every barrier was answered, or dropped by a thread that has ended.
        while answers.recv().is_ok() {}
    }

    fn send_keys(&mut self, thread: usize) {
        if !self.keys[thread].is_empty() {
            let keys = std::mem::replace(&mut self.keys[thread], Vec::with_capacity(BATCH_ITEMS));
            self.send(thread, Work::Keys(keys, self.conflict));
        }
    }

    fn send_commands(&mut self, thread: usize) {
        if !self.commands[thread].list.is_empty() {
            let commands = std::mem::take(&mut self.commands[thread]);
            self.send(thread, Work::Commands(commands));
        }
    }

    fn send(&self, thread: usize, work: Work) {
        if self.senders[thread].send(work).is_err() {
            self.outcome.fail(LoadError::Command("a loading thread has ended".to_owned()));
        }
    }
}

fn store_all(of: &Store, replays: &Replays<'_>, shards: &[u32], works: &Receiver<Work>, outcome: &Reports) {
    let (random, mut effects) = (Random::new(now_ms()), Effects::default());
    let mut replay = (replays.begin)();
    for work in works {
        // SAFETY: everything is the load's (`with`), and these shards are this thread's alone but for the time between a barrier
        // and the next work, in which it has no view.
        let mut view = unsafe {
            View::new(of, Covered::Many(shards), Access::Write, 0, now_ms(), &random, &mut effects)
        };
        view.set_overdue(Overdue::Keep);
        match work {
            Work::Keys(keys, conflict) => {
                for StoredKey { db, hash, key } in keys {
                    view.select(db);
                    if let Err(error) = store_key(&mut view, hash, key, conflict) {
                        outcome.fail(error);
                        break;
                    }
                }
            }
            Work::Commands(mut commands) => {
                for index in 0..commands.list.len() {
                    let (row, db, args) = commands.get(index);
                    let row = replays.registry.row(row);
                    if let Err(error) = replay(&mut view, row, db, args) {
                        outcome.tell(row, &error);
                    }
                }
                commands.clear();
            }
            // Who has gone needs no answer.
            Work::Barrier(done) => _ = done.send(()),
        }
        view.effects.clear();
    }
}

fn store_key(view: &mut View<'_>, hash: u64, loaded: LoadedKey, conflict: Conflict) -> Result<(), LoadError> {
    let LoadedKey { entry, usage } = loaded;
    entry.set_clock(rdb::clock_of(usage, view.clock_ms()));
    match view.load(hash, entry) {
        Ok(()) => Ok(()),
        Err(entry) if conflict == Conflict::Refused => {
            Err(LoadError::Conflict { key: entry.key().to_vec(), db: view.db() })
        }
        Err(entry) => {
            let (name, expire_at_ms) = (entry.key().to_vec(), entry.expire_at_ms());
            rdb::insert(view, Key { bytes: &name, hash }, entry.into_value(), expire_at_ms, usage);
            Ok(())
        }
    }
}
