//! One lock around everything, in several kinds beside each other: the same commands on the same tables, and nothing else differs.
//!
//! The engines never park a thread while they wait for a lock, so the convoy that the literature knows cannot be seen on them: its
//! locks put threads to sleep. These do, or spin, or serve in turn, and whose line of switches is long is the convoy.
//!
//! The tables are those of an engine that is closed to everybody: its filling is what the lock guards, and no lock of the engine's
//! own stands behind it. A trait was rejected: there are four kinds, and a branch that always goes the same way costs nothing.

use clap::ValueEnum;
use rustredis_engine::Filling;

/// Which lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LockKind {
    /// `parking_lot`: spins a little, then sleeps; barging, and fair every half millisecond
    #[value(name = "parking_lot")]
    ParkingLot,
    /// The standard library's: spins a little, then sleeps in a futex; barging
    Std,
    /// Test and test-and-set: spins for ever, whoever comes first has it
    Spin,
    /// A ticket: spins for ever, in turn
    Ticket,
}

/// The lock, and the tables that it guards.
pub(crate) enum OneLock {
    ParkingLot(parking_lot::Mutex<Filling<'static>>),
    Std(std::sync::Mutex<Filling<'static>>),
    Spin(spin::mutex::SpinMutex<Filling<'static>>),
    Ticket(spin::mutex::TicketMutex<Filling<'static>>),
}

impl OneLock {
    pub(crate) fn new(kind: LockKind, filling: Filling<'static>) -> Self {
        match kind {
            LockKind::ParkingLot => Self::ParkingLot(parking_lot::Mutex::new(filling)),
            LockKind::Std => Self::Std(std::sync::Mutex::new(filling)),
            LockKind::Spin => Self::Spin(spin::mutex::SpinMutex::new(filling)),
            LockKind::Ticket => Self::Ticket(spin::mutex::TicketMutex::new(filling)),
        }
    }

    /// Acts with the lock held.
    #[inline]
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Filling<'static>) -> R) -> R {
        match self {
            Self::ParkingLot(lock) => act(&mut lock.lock()),
            Self::Std(lock) => act(&mut lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)),
            Self::Spin(lock) => act(&mut lock.lock()),
            Self::Ticket(lock) => act(&mut lock.lock()),
        }
    }
}
