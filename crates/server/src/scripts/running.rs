//! Scripts that run and take long: since when, who may end them, and whether everybody is told that the server is busy.
//!
//! A script is known here from its first pause on, a turn after it began: what is shorter costs nothing. Once one has run for
//! `busy-reply-threshold`, a bit of the server's gate has every other command answered `-BUSY`, and who waits for shards by then is told too. Several
//! scripts may run at once, on several threads or with other keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustredis_commands::CommandError;
use tokio::sync::Notify;

use crate::gate::{self, Gate};

/// Whether it is a script or a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// EVAL's.
    Script,
    /// FCALL's.
    Function,
}

/// A script that runs.
#[derive(Debug)]
pub struct Script {
    kind: Kind,
    /// The function's name; empty for a script.
    pub name: Vec<u8>,
    /// The command that runs it.
    pub command: Vec<Vec<u8>>,
    began: Instant,
    is_busy: AtomicBool,
    /// One word, so that a script is killed or writes first, and never both.
    state: AtomicU8,
}

/// It has not written.
const READS: u8 = 0;
/// It has.
const HAS_WRITTEN: u8 = 1;
/// It is to end.
const IS_KILLED: u8 = 2;

impl Script {
    /// Whether it is to end.
    #[inline]
    pub fn is_killed(&self) -> bool {
        self.state.load(Relaxed) == IS_KILLED
    }

    /// Ends it at its next look, whatever it has written.
    pub fn kill(&self) {
        self.state.store(IS_KILLED, Relaxed);
    }

    /// Ends it at its next look, unless it has written; whether it ends.
    fn kill_unless_written(&self) -> bool {
        let killed = self.state.compare_exchange(READS, IS_KILLED, Relaxed, Relaxed);
        killed.is_ok() || killed == Err(IS_KILLED)
    }

    /// Says that it is about to write; false if it was killed before.
    pub fn begin_to_write(&self) -> bool {
        self.state.compare_exchange(READS, HAS_WRITTEN, Relaxed, Relaxed) != Err(IS_KILLED)
    }

    /// Whether it has run for so long.
    pub fn has_run_for(&self, time: Option<Duration>) -> bool {
        time.is_some_and(|time| self.elapsed() >= time)
    }

    /// How long it runs.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Those that run; see the module's text.
#[derive(Debug)]
pub struct Running {
    gate: Arc<Gate>,
    scripts: Mutex<Vec<Arc<Script>>>,
    /// Told when the server begins to be busy.
    became_busy: Notify,
}

/// What a script that runs is entered with.
pub struct Entrant {
    /// What it is.
    pub kind: Kind,
    /// The function's name; empty for a script.
    pub name: Vec<u8>,
    /// The command that runs it.
    pub command: Vec<Vec<u8>>,
    /// When it began.
    pub began: Instant,
    /// Whether it has written already.
    pub has_written: bool,
}

impl Running {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        Self { gate, scripts: Mutex::default(), became_busy: Notify::new() }
    }

    /// Enters a script that runs; dropping the entry takes it out.
    pub fn enter(&self, entrant: Entrant) -> Entry<'_> {
        let Entrant { kind, name, command, began, has_written } = entrant;
        let script = Arc::new(Script {
            kind,
            name,
            command,
            began,
            is_busy: AtomicBool::new(false),
            state: AtomicU8::new(if has_written { HAS_WRITTEN } else { READS }),
        });
        self.scripts.lock().push(script.clone());
        Entry { running: self, script }
    }

    /// Ends the scripts or functions that run. One that has written is ended only by force: what it wrote stays.
    ///
    /// # Errors
    /// If there is none, or none that may be ended.
    pub fn kill(&self, kind: Kind, by_force: bool) -> Result<(), CommandError> {
        let scripts = self.scripts.lock();
        if scripts.is_empty() {
            return Err(CommandError::text("NOTBUSY No scripts in execution right now."));
        }
        let mut ended = 0;
        for script in scripts.iter().filter(|script| script.kind == kind) {
            if by_force {
                script.kill();
            }
            ended += usize::from(by_force || script.kill_unless_written());
        }
        if ended == 0 {
            let may_end = |script: &&Arc<Script>| by_force || script.state.load(Relaxed) != HAS_WRITTEN;
            if let Some(other) = scripts.iter().filter(may_end).find(|script| script.kind != kind) {
                return Err(busy_error(other.kind));
            }
            return Err(CommandError::text(
                "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
            ));
        }
        Ok(())
    }

    /// What others are answered while a script has run for too long.
    pub fn busy_error(&self) -> CommandError {
        let scripts = self.scripts.lock();
        let busy = scripts.iter().find(|script| script.is_busy.load(Relaxed));
        busy_error(busy.map_or(Kind::Script, |script| script.kind))
    }

    /// Returns once a script has run for too long.
    pub async fn until_busy(&self) {
        loop {
            let mut told = std::pin::pin!(self.became_busy.notified());
            // Registered before the look, so that a beginning in between is not missed.
            told.as_mut().enable();
            if self.gate.has(gate::BUSY) {
                return;
            }
            told.await;
        }
    }

    /// The function that runs longest.
    pub fn function(&self) -> Option<Arc<Script>> {
        self.scripts.lock().iter().find(|script| script.kind == Kind::Function).cloned()
    }

    /// How many run and take long, and since when the longest.
    pub fn state(&self) -> (usize, Duration) {
        let scripts = self.scripts.lock();
        (scripts.len(), scripts.iter().map(|script| script.elapsed()).max().unwrap_or_default())
    }

    fn note_busy(&self, scripts: &[Arc<Script>]) {
        self.gate.set(gate::BUSY, scripts.iter().any(|script| script.is_busy.load(Relaxed)));
    }
}

fn busy_error(kind: Kind) -> CommandError {
    CommandError::text(match kind {
        Kind::Script => {
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        }
        Kind::Function => {
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
        }
    })
}

/// A script that is entered.
pub struct Entry<'r> {
    running: &'r Running,
    /// It.
    pub script: Arc<Script>,
}

impl Entry<'_> {
    /// Looks how long it runs, and tells everybody once that is `threshold` (`None`: never).
    pub fn look(&self, threshold: Option<Duration>) {
        if self.script.has_run_for(threshold) && !self.script.is_busy.swap(true, Relaxed) {
            tracing::warn!(
                "Slow script detected: still in execution after {} milliseconds. You can try killing the script using the {} command.",
                self.script.elapsed().as_millis(),
                if self.script.kind == Kind::Script { "SCRIPT KILL" } else { "FUNCTION KILL" },
            );
            self.running.note_busy(&self.running.scripts.lock());
            self.running.became_busy.notify_waiters();
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut scripts = self.running.scripts.lock();
        scripts.retain(|script| !Arc::ptr_eq(script, &self.script));
        self.running.note_busy(&scripts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrant(kind: Kind) -> Entrant {
        Entrant { kind, name: Vec::new(), command: Vec::new(), began: Instant::now(), has_written: false }
    }

    #[test]
    fn everybody_is_told_while_one_runs_too_long() {
        let gate = Arc::new(Gate::default());
        let running = Running::new(gate.clone());
        let first = running.enter(entrant(Kind::Script));
        first.look(Some(Duration::from_secs(1000)));
        assert!(!gate.has(gate::BUSY));
        first.look(None);
        assert!(!gate.has(gate::BUSY));
        first.look(Some(Duration::ZERO));
        let second = running.enter(entrant(Kind::Function));
        assert!(gate.has(gate::BUSY));
        drop(first);
        assert!(!gate.has(gate::BUSY));
        second.look(Some(Duration::ZERO));
        assert!(gate.has(gate::BUSY));
        drop(second);
        assert!(!gate.has(gate::BUSY));
    }

    #[test]
    fn what_has_written_is_killed_by_force_alone() {
        let running = Running::new(Arc::default());
        let code = |kind, by_force| running.kill(kind, by_force).map_err(|error| error.code().into_owned());
        assert_eq!(code(Kind::Script, true).unwrap_err(), "NOTBUSY");
        let script = running.enter(entrant(Kind::Script));
        assert_eq!(code(Kind::Function, true).unwrap_err(), "BUSY");
        assert!(script.script.begin_to_write());
        assert_eq!(code(Kind::Script, false).unwrap_err(), "UNKILLABLE");
        assert!(!script.script.is_killed());
        let other = running.enter(entrant(Kind::Script));
        assert!(code(Kind::Script, false).is_ok());
        assert!(other.script.is_killed() && !script.script.is_killed());
        assert!(!other.script.begin_to_write(), "what was killed writes nothing");
        assert!(code(Kind::Script, true).is_ok());
        assert!(script.script.is_killed());
    }
}
