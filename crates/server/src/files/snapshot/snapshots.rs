//! What is asked of the thread of snapshots, what is known of those that it has taken, and what follows each.
//!
//! How one is taken is not known here: a job is sent to the thread, and its end is told to [`Snapshots::finish`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use rustredis_config::Config;
use rustredis_engine::Engine;
use rustredis_persistence::journal::Journal;
use rustredis_persistence::storage::Faulty;

use super::orders::Order;
use super::state::{Job, State, Wish};
use crate::clock::now_ms;
use crate::files::aof::Aof;
use crate::files::rdb::{Flushed, Rdb};
use crate::scripts::Scripts;
use crate::upkeep::stats::Stats;

/// How often the end of a snapshot that is given up is looked for, a millisecond apart.
const GIVE_UP_LOOKS: usize = 2000;

/// What snapshots are made of.
#[derive(Clone)]
pub struct Parts {
    /// The keys.
    pub engine: Arc<Engine>,
    /// The directives.
    pub config: Arc<Mutex<Config>>,
    /// Where files are written.
    pub storage: Arc<Faulty>,
    /// Counts the changes.
    pub stats: Arc<Stats>,
    /// The RDB file.
    pub rdb: Arc<Rdb>,
    /// The append-only file.
    pub aof: Arc<Aof>,
    /// Knows the libraries of functions.
    pub scripts: Arc<Scripts>,
    /// What comes behind the keys that replicas begin with.
    pub journal: Arc<Journal>,
}

/// Takes snapshots, and what is known of them.
pub struct Snapshots {
    pub(super) parts: Parts,
    pub(super) jobs: Mutex<Option<mpsc::Sender<Job>>>,
    pub(super) state: Mutex<State>,
    /// Orders that wait for a cut. Locked behind the state.
    pub(super) orders: Mutex<Vec<Arc<Order>>>,
    /// Keys that the snapshot under way had at its beginning.
    pub(super) keys_total: AtomicU64,
    /// Keys that it has encoded.
    pub(super) keys_done: AtomicU64,
    /// Set to give the snapshot under way up.
    pub(super) is_given_up: AtomicBool,
    /// Held while the files of the append-only file are exchanged, and by who reads them while the server runs.
    pub exchange: Mutex<()>,
    /// Snapshots that were asked for.
    begun: AtomicU64,
    /// Of these, how many have reached the moment of which they are, or have ended without.
    cut: AtomicU64,
    /// Ends of the append-only file that were asked for and have not come.
    pub(super) turning_off: AtomicU64,
    /// Tells who waits for a cut, or for the append-only file to be left.
    pub progress: tokio::sync::Notify,
    /// Of these, those that come beside a save.
    pub(super) turning_off_beside: AtomicU64,
    pub(super) aside: Mutex<Option<mpsc::Sender<()>>>,
}

impl Snapshots {
    /// None was taken yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            jobs: Mutex::new(None),
            state: Mutex::new(State::new()),
            orders: Mutex::default(),
            keys_total: AtomicU64::new(0),
            keys_done: AtomicU64::new(0),
            is_given_up: AtomicBool::new(false),
            exchange: Mutex::new(()),
            begun: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            turning_off: AtomicU64::new(0),
            progress: tokio::sync::Notify::new(),
            turning_off_beside: AtomicU64::new(0),
            aside: Mutex::new(None),
        }
    }

    /// What INFO shows.
    pub fn state(&self) -> State {
        *self.state.lock()
    }

    /// Asks for a save; `schedules` if it may begin later.
    pub fn save(&self, schedules: bool) -> Wish {
        let mut state = self.state.lock();
        match state.running {
            Some((job, _)) if job.is_save() => Wish::IsRunning,
            Some(_) if schedules => {
                state.is_save_scheduled = true;
                Wish::Scheduled
            }
            Some(_) => Wish::IsBusy,
            None => self.begin(&mut state, Job::Save),
        }
    }

    /// Asks for all keys and what follows them; it comes when what is under way has ended.
    pub fn order(&self, order: Arc<Order>) {
        let mut state = self.state.lock();
        self.orders.lock().push(order);
        if state.running.is_none() {
            self.begin(&mut state, Job::Orders);
        }
    }

    /// Asks for a rewrite.
    pub fn rewrite(&self) -> Wish {
        let mut state = self.state.lock();
        match state.running {
            Some((job, _)) if job.is_rewrite() => Wish::IsRunning,
            Some(_) => {
                state.is_rewrite_scheduled = true;
                Wish::Scheduled
            }
            None => self.begin(&mut state, rewrite_job(&self.parts.aof)),
        }
    }

    /// Turns the append-only file on or off; what is under way is given up.
    pub fn turn(&self, on: bool) {
        let mut state = self.state.lock();
        self.parts.aof.set_on(on);
        if on {
            match state.running {
                None => _ = self.begin(&mut state, Job::TurnOn),
                Some(_) => state.is_rewrite_scheduled = true,
            }
            return;
        }
        state.is_rewrite_scheduled = false;
        if state.running.is_some_and(|(job, _)| job.is_rewrite()) {
            self.is_given_up.store(true, Relaxed);
            self.parts.rdb.save_delay.wake();
        }
        self.turning_off.fetch_add(1, Relaxed);
        if state.running.is_some_and(|(job, _)| job.is_save()) {
            // A save may take minutes, and has nothing to do with these files.
            self.turning_off_beside.fetch_add(1, Relaxed);
            self.send_aside();
        } else {
            self.send(Job::TurnOff);
        }
    }

    /// Whether the snapshot that was asked for last is of a moment still to come.
    pub fn is_cut_missing(&self) -> bool {
        self.cut.load(Relaxed) < self.begun.load(Relaxed)
    }

    /// Notes that the moment has come of which the snapshot under way is.
    pub(super) fn note_cut(&self) {
        self.cut.store(self.begun.load(Relaxed), Relaxed);
        self.progress.notify_waiters();
    }

    /// Whether the append-only file is still written to though it is not wanted any more.
    pub fn is_turning_off(&self) -> bool {
        self.turning_off.load(Relaxed) > 0
    }

    /// Notes that FLUSHALL has removed everything; what it leaves to do. A save under way is of no use any more. The view covers
    /// everything.
    #[cold]
    pub fn note_flushed(&self) -> Option<Flushed> {
        let state = self.state.lock();
        if matches!(state.running, Some((Job::Save, _))) {
            self.is_given_up.store(true, Relaxed);
            self.parts.rdb.save_delay.wake();
        }
        drop(state);
        self.parts.rdb.note_flushed()
    }

    /// Gives up whatever is under way, and returns when it has been cleared away, or after a while.
    pub async fn give_up(&self) {
        {
            let mut state = self.state.lock();
            (state.is_save_scheduled, state.is_rewrite_scheduled) = (false, false);
            std::mem::take(&mut *self.orders.lock()).iter().for_each(|order| order.finish(None));
            self.is_given_up.store(state.running.is_some(), Relaxed);
            self.parts.rdb.save_delay.wake();
        }
        for _ in 0..GIVE_UP_LOOKS {
            if self.state().running.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn begin(&self, state: &mut State, job: Job) -> Wish {
        state.running = Some((job, now_ms()));
        self.begun.fetch_add(1, Relaxed);
        if job.is_rewrite() {
            state.rewrites += 1;
        }
        self.send(job);
        Wish::Begun
    }

    /// Has the append-only file turned off by the thread beside the one that saves.
    fn send_aside(&self) {
        if let Some(aside) = &*self.aside.lock() {
            // The thread ends with the process.
            let _ = aside.send(());
        }
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &*self.jobs.lock() {
            // The thread ends with the process.
            let _ = jobs.send(job);
        }
    }

    /// Notes how a job has ended and how many seconds it took, and begins what is to follow.
    pub(super) fn finish(&self, job: Job, took_seconds: i64, is_ok: bool) {
        let mut state = self.state.lock();
        self.is_given_up.store(false, Relaxed);
        if job != Job::TurnOff {
            self.note_cut();
        }
        match job {
            Job::Save => state.last_save_seconds = took_seconds,
            Job::Rewrite | Job::TurnOn => {
                state.last_rewrite_seconds = took_seconds;
                state.has_rewrite_failed = !is_ok;
                if is_ok {
                    state.rewrite_failures = 0;
                } else {
                    state.rewrite_failures += 1;
                    state.last_rewrite_failure_ms = now_ms();
                }
            }
            Job::Orders => {}
            Job::TurnOff => return,
        }
        state.running = None;
        if std::mem::take(&mut state.is_rewrite_scheduled) {
            self.begin(&mut state, rewrite_job(&self.parts.aof));
        } else if !self.orders.lock().is_empty() {
            self.begin(&mut state, Job::Orders);
        } else if std::mem::take(&mut state.is_save_scheduled) {
            self.begin(&mut state, Job::Save);
        }
    }
}

/// What a rewrite is: the first one turns the append-only file on.
fn rewrite_job(aof: &Aof) -> Job {
    if aof.is_on() && !aof.is_written() { Job::TurnOn } else { Job::Rewrite }
}
