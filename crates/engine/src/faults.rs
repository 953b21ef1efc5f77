//! Faults that a server can be built to have, so that it can be seen that `cargo xtask linearize` finds them.
//!
//! Only the feature `seeded-faults` knows them: without it the question whether there is one is answered when the server is built, and
//! what would follow is not part of it. With it, `RUSTREDIS_FAULT` names the one that the process has. None of them is a race on
//! memory: each does what a protocol forbids, and holds what it touches.

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A write works on a value that was read before its lock was taken.
    StaleWrite,
    /// What EXEC holds is given up between the look at the watches and the queue.
    UncheckedExec,
    /// EXEC's commands run one by one, each under a hold of its own.
    ExecInPieces,
    /// What EXEC has borrowed goes back behind its first command.
    EarlyReturn,
    /// A waiter is answered under the view, and its element is taken outside.
    WaiterOutside,
    /// A reply does not wait for the disk.
    EarlyReply,
    /// A read does not wait until what it shows is on the disk.
    EarlyRead,
    /// A reader without a lock does not look again whether what it found was there at one moment.
    UncheckedReading,
    /// A reader sometimes sees a key whose time has come.
    ExpiredReturns,
}

/// Every fault, with its name.
pub const FAULTS: [(Fault, &str); 9] = [
    (Fault::StaleWrite, "stale-write"),
    (Fault::UncheckedExec, "unchecked-exec"),
    (Fault::ExecInPieces, "exec-in-pieces"),
    (Fault::EarlyReturn, "early-return"),
    (Fault::WaiterOutside, "waiter-outside"),
    (Fault::EarlyReply, "early-reply"),
    (Fault::EarlyRead, "early-read"),
    (Fault::UncheckedReading, "unchecked-reading"),
    (Fault::ExpiredReturns, "expired-returns"),
];

/// Whether the process has this fault: never, in this build.
#[cfg(not(feature = "seeded-faults"))]
#[inline(always)]
pub const fn has(_: Fault) -> bool {
    false
}

/// Whether the process has this fault.
#[cfg(feature = "seeded-faults")]
pub fn has(fault: Fault) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Fault>> = std::sync::OnceLock::new();
    let choose = || {
        let name = std::env::var("RUSTREDIS_FAULT").ok()?;
        FAULTS.iter().find(|(_, known)| *known == name).map(|(fault, _)| *fault)
    };
    *CHOSEN.get_or_init(choose) == Some(fault)
}

/// Lets others in where a fault has let go: some microseconds.
pub fn pause() {
    let end = std::time::Instant::now() + std::time::Duration::from_micros(30);
    while std::time::Instant::now() < end {
        std::thread::yield_now();
    }
}
