//! The server's peculiarities, one bit each: while one is set, each command takes the long way through `admit`.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rustredis_metrics::rows::{Row, gauge};

/// Somebody watches all commands.
pub const MONITORED: u32 = 1;
/// `maxmemory` is set.
pub const MEMORY_LIMITED: u32 = 1 << 1;
/// CLIENT PAUSE.
pub const PAUSED: u32 = 1 << 2;
/// The data set is being loaded.
pub const LOADING: u32 = 1 << 3;
/// `min-replicas-to-write` asks for replicas, and there are none.
pub const REPLICAS_MISSING: u32 = 1 << 5;
/// The disk does not take what must be there: writes are refused.
pub const DISK_ERROR: u32 = 1 << 6;
/// A script has run for too long: nearly everything is answered `-BUSY`.
pub const BUSY: u32 = 1 << 7;

/// What the bits tell.
pub const SAMPLES: &[Row<u32>] =
    &[gauge("loading", "Whether a file is being loaded.", |bits| (bits & LOADING != 0).into())];

/// The bits that are set now; shared by who sets them and who asks.
#[derive(Debug, Default)]
pub struct Gate {
    bits: AtomicU32,
}

impl Gate {
    /// With these bits set.
    pub fn new(bits: u32) -> Self {
        Self { bits: AtomicU32::new(bits) }
    }

    /// Sets or clears a bit.
    pub fn set(&self, bit: u32, on: bool) {
        if on {
            self.bits.fetch_or(bit, Relaxed);
        } else {
            self.bits.fetch_and(!bit, Relaxed);
        }
    }

    /// Whether a bit is set.
    #[inline]
    pub fn has(&self, bit: u32) -> bool {
        self.bits() & bit != 0
    }

    /// All bits.
    #[inline]
    pub fn bits(&self) -> u32 {
        self.bits.load(Relaxed)
    }
}
