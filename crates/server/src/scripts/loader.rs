//! Libraries of functions: what their texts register.

use rustredis_resp::{Proto, Reply};
use rustredis_scripting::function::Library;
use rustredis_scripting::machine::Machines;
use rustredis_scripting::{Host, Level, Look};

/// What a library reaches while it is loaded: nothing but the log.
struct Nowhere;

impl Host for Nowhere {
    fn call(&mut self, _: &[&[u8]], proto: Proto, reply: &mut Vec<u8>) {
        Reply::new(reply, proto).error("ERR a library calls no command while it is loaded");
    }

    fn look(&mut self) -> Look {
        Look::GoOn
    }

    fn log(&mut self, level: Level, text: &[u8]) {
        log(level, text);
    }

    fn set_replication(&mut self, _: bool, _: bool) {}

    fn may_run(&mut self, _: &[&[u8]]) -> Option<bool> {
        None
    }
}

/// `redis.log`.
pub fn log(level: Level, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    match level {
        Level::Debug => tracing::trace!("{text}"),
        Level::Verbose => tracing::debug!("{text}"),
        Level::Notice => tracing::info!("{text}"),
        Level::Warning => tracing::warn!("{text}"),
    }
}

/// Runs a library's text, and says what it registers.
///
/// # Errors
/// The text of the error, if it is no library.
pub fn read(machines: &Machines, code: &[u8]) -> Result<Library, Vec<u8>> {
    machines.load(code, &mut Nowhere)
}
