//! What becomes of a panic while shards are held.
//!
//! A hold that a panic passes through ends the process: what it covered may be half changed, an owner's queue may have lost its
//! place, and others must not go on with it. Who can tell that nothing was changed catches the panic before.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

/// Writes a process's last line into its log.
static LAST_WORDS: OnceLock<fn(&str)> = OnceLock::new();

/// Has `tell` write the line that says why the process ends; without it the line goes to standard error. The first call counts.
pub fn set_last_words(tell: fn(&str)) {
    // A server starts once.
    let _ = LAST_WORDS.set(tell);
}

/// Ends the process, with `reason` in the log: what is in memory may differ from what the journal says, or somebody would wait for
/// ever. What is acknowledged is in the files, and the next start loads it.
#[cold]
pub fn end_process(reason: &str) -> ! {
    let line = format!("{reason}: the process ends, the next start loads what the files hold");
    match LAST_WORDS.get() {
        Some(tell) => tell(&line),
        None => eprintln!("{line}"),
    }
    std::process::abort()
}

/// Ends the process with a thread or a task that others depend on, named here, if that ends in a panic.
pub struct EndsInPanic(pub &'static str);

impl Drop for EndsInPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            end_process(&format!("{} has ended in a panic", self.0));
        }
    }
}

thread_local! {
    /// Whether a panic of this thread is on its way to who judges what it has done.
    static IS_JUDGED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `run`; nothing comes back if it panicked. Holds that the panic passes through are released as usual: the caller judges
/// whether what they covered was changed, and calls [`end_process`] if so.
#[inline]
pub fn catch<R>(run: impl FnOnce() -> R) -> Option<R> {
    let was_judged = IS_JUDGED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_JUDGED.set(was_judged);
    result.ok()
}

/// Called where a panic passes through a hold.
#[cold]
pub(crate) fn pass_through() {
    if !IS_JUDGED.get() {
        end_process("A panic has passed through a hold of the data");
    }
}
