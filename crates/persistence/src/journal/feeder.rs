//! The thread that pumps while there are sinks and no append-only file.
//!
//! While there is such a file this thread sleeps; see [`pump`](super::pump).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::pump::IDLE_ROUNDS;
use super::sync::thread;
use super::{Journal, Runner};

/// How long it lets entries gather.
const GATHERING: Duration = Duration::from_millis(1);

/// Ends the process with a thread that pumps or writes and panics: clients would wait for what it was to do for ever. The panic's
/// own message is in the log; what is acknowledged is in the files.
pub(crate) struct EndsInPanic;

impl Drop for EndsInPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

/// Starts the thread. It calls `has_room` when writers who waited for room may go on.
///
/// # Errors
/// If the system gives no thread.
pub(super) fn start(journal: Arc<Journal>, has_room: impl Fn() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("journal".into()).spawn(move || {
        let _end = EndsInPanic;
        feed(&journal, has_room, || true);
    })?;
    Ok(())
}

/// What the thread does while it `goes_on`: in a server, for ever.
pub(super) fn feed(journal: &Journal, has_room: impl Fn(), goes_on: impl Fn() -> bool) {
    journal.enter(Runner::Feeder);
    let mut idle_rounds = 0;
    while goes_on() {
        idle_rounds = if journal.feed(&has_room) { 0 } else { idle_rounds + 1 };
        if idle_rounds < IDLE_ROUNDS {
            thread::park_timeout(GATHERING);
        } else {
            journal.sleep_fed();
        }
    }
}

impl Journal {
    /// A round of the feeder's: gives what has gathered, if it is the one that pumps; whether there was anything.
    pub(crate) fn feed(&self, has_room: impl Fn()) -> bool {
        if self.runner() != Runner::Feeder {
            return false;
        }
        self.collect();
        let mut has_given = false;
        let staged_bytes = loop {
            let turn = self.give();
            if !turn.has_given {
                break turn.staged_bytes;
            }
            has_given = true;
        };
        if staged_bytes == 0 && self.has_room_again() {
            has_room();
        }
        has_given
    }

    /// The feeder sleeps until there is something for it to do.
    pub(crate) fn sleep_fed(&self) {
        self.sleep(Runner::Feeder, self.runner() == Runner::Feeder, thread::park);
    }
}
