//! What commands are refused with for what the server lacks (memory, a disk, replicas), whoever runs them.

use rustredis_commands::{CommandError, Flags, Outcome, Row};

use crate::gate;
use crate::start::server::Server;

/// Memory is short.
pub const OUT_OF_MEMORY: CommandError =
    CommandError::text("OOM command not allowed when used memory > 'maxmemory'.");
/// Replicas are asked for.
pub const REPLICAS_MISSING: CommandError =
    CommandError::text("NOREPLICAS Not enough good replicas to write.");

/// Checks a command that another one runs: it may leave behind no more than a client's. What its client has to wait for, it has
/// waited for already.
///
/// # Errors
/// The reply for a command that must not run.
pub fn admit_inner(server: &Server, row: &Row, may_use_memory: bool) -> Outcome {
    let (gate, flags) = (server.gate(), row.command.flags);
    if !may_use_memory && flags.has(Flags::DENYOOM) {
        return Err(OUT_OF_MEMORY);
    }
    if gate.has(gate::DISK_ERROR) && flags.has(Flags::WRITE) {
        return Err(disk_error(server));
    }
    if gate.has(gate::REPLICAS_MISSING) && flags.has(Flags::WRITE) {
        return Err(REPLICAS_MISSING);
    }
    Ok(())
}

/// Why writes are refused.
pub fn disk_error(server: &Server) -> CommandError {
    match server.aof().error() {
        Some(error) => {
            // The reason alone, as the C library words it, without the number that Rust adds.
            let text = error.to_string();
            let reason = text.split(" (os error").next().unwrap_or_default();
            CommandError::owned(format!("MISCONF Errors writing to the AOF file: {reason}"))
        }
        None => CommandError::text(
            "MISCONF RustRedis is configured to save RDB snapshots, but is currently unable to persist to disk. Writes are refused until a save succeeds (stop-writes-on-bgsave-error). Check the log for the reason.",
        ),
    }
}
