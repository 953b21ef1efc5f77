//! CLIENT PAUSE: for some time clients wait, all or those who write.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::gate::{self, Gate};

/// See the module's text. While there is a pause, the gate says so.
#[derive(Debug)]
pub struct Pause {
    gate: Arc<Gate>,
    state: Mutex<PauseState>,
    ended: Notify,
}

/// A pause under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct PauseState {
    /// Unix ms; 0 if nothing is paused.
    pub until_ms: u64,
    /// Whether reads wait too.
    pub pauses_reads: bool,
}

impl Pause {
    /// Nothing is paused.
    pub fn new(gate: Arc<Gate>) -> Self {
        Self { gate, state: Mutex::default(), ended: Notify::new() }
    }

    /// Begins a pause, or makes the one under way longer and stricter.
    pub fn begin(&self, until_ms: u64, pauses_reads: bool) {
        let mut state = self.state.lock();
        state.until_ms = state.until_ms.max(until_ms);
        state.pauses_reads |= pauses_reads;
        self.gate.set(gate::PAUSED, true);
    }

    /// Ends the pause.
    pub fn end(&self) {
        let mut state = self.state.lock();
        *state = PauseState::default();
        self.gate.set(gate::PAUSED, false);
        drop(state);
        self.ended.notify_waiters();
    }

    /// Completes when the pause is ended before its time.
    pub fn ended(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// The pause under way; one whose time is over ends here.
    pub fn state(&self, now_ms: u64) -> Option<PauseState> {
        if !self.gate.has(gate::PAUSED) {
            return None;
        }
        let mut state = self.state.lock();
        if state.until_ms > now_ms {
            return Some(*state);
        }
        *state = PauseState::default();
        self.gate.set(gate::PAUSED, false);
        None
    }
}
