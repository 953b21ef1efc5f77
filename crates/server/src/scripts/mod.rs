//! Scripts and functions: which are known, which run, and what they cost.
//!
//! How a script runs is a matter of the way of a request (`request/script`); what it may do inside stands in the crate `scripting`.

pub mod kept;
pub mod known;
pub mod libraries;
pub mod loader;
pub mod running;
pub mod samples;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use rustredis_scripting::machine::Limits;

use crate::gate::Gate;
use known::Known;
use libraries::Loaded;
use running::Running;

/// What is known of scripts and functions.
pub struct Scripts {
    /// The scripts that clients have sent.
    pub known: Known,
    /// The functions that they have loaded.
    pub libraries: Loaded,
    /// Those that run, and take long.
    pub running: Running,
    /// What a script may use.
    pub limits: Arc<Limits>,
    /// What has been.
    pub counts: Counts,
    /// Whether they may call what else is not for scripts, for tests (DEBUG SET-DISABLE-DENY-SCRIPTS).
    pub allows_all: AtomicBool,
}

/// How scripts have run.
#[derive(Debug, Default)]
pub struct Counts {
    /// Runs that held the shards of their keys alone.
    pub ran_with_keys: AtomicU64,
    /// Runs that held everything.
    pub ran_with_everything: AtomicU64,
    /// Runs that began anew with everything, because they touched a key that they had not declared.
    pub restarted: AtomicU64,
    /// Calls that were refused, because they touched such a key behind a write.
    pub undeclared_late: AtomicU64,
    /// Runs that were ended by a client.
    pub killed: AtomicU64,
    /// Bytes of the interpreters' states, of all threads.
    pub state_bytes: AtomicUsize,
}

impl Scripts {
    /// Nothing is known yet. `gate` is told while a script runs for too long.
    pub fn new(gate: Arc<Gate>, limits: Arc<Limits>) -> Self {
        Self {
            known: Known::default(),
            libraries: Loaded::default(),
            running: Running::new(gate),
            limits,
            counts: Counts::default(),
            allows_all: AtomicBool::new(false),
        }
    }

    /// Counts a run that begins.
    pub fn count_run(&self, has_everything: bool) {
        let counter =
            if has_everything { &self.counts.ran_with_everything } else { &self.counts.ran_with_keys };
        counter.fetch_add(1, Relaxed);
    }
}
