//! The thread that pumps while there are sinks and no append-only file.
//!
//! While there is such a file this thread sleeps; see [`pump`](super::pump).

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::pump::IDLE_ROUNDS;
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
        feed(&journal, has_room);
    })?;
    Ok(())
}

fn feed(journal: &Journal, has_room: impl Fn()) {
    journal.enter(Runner::Feeder);
    let mut idle_rounds = 0;
    loop {
        idle_rounds += 1;
        if journal.runner() == Runner::Feeder {
            journal.collect();
            let staged_bytes = loop {
                let turn = journal.give();
                if !turn.has_given {
                    break turn.staged_bytes;
                }
                idle_rounds = 0;
            };
            if staged_bytes == 0 && journal.has_room_again() {
                has_room();
            }
        }
        if idle_rounds < IDLE_ROUNDS {
            thread::park_timeout(GATHERING);
            continue;
        }
        journal.set_dormant(Runner::Feeder, true);
        if journal.runner() != Runner::Feeder || journal.pending_bytes() == 0 {
            thread::park();
        }
        journal.set_dormant(Runner::Feeder, false);
    }
}
