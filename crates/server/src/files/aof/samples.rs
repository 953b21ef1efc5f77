//! What the append-only file tells.

use rustredis_metrics::rows::{Row, fact, gauge};

use crate::files::aof::Aof;

/// What there is to say of the append-only file at any moment.
#[derive(Clone, Copy, Debug)]
pub struct AofNow {
    is_on: bool,
    has_error: bool,
    waiting_bytes: usize,
}

impl AofNow {
    /// Looks.
    pub fn of(aof: &Aof) -> Self {
        Self { is_on: aof.is_on(), has_error: aof.error().is_some(), waiting_bytes: aof.waiting_bytes() }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("aof_enabled", "Whether the append-only file is on.", |at| at.is_on.into()),
        fact("aof_last_write_status", "ok or err: how the last write to the append-only file ended.", |at| {
            if at.has_error { "err" } else { "ok" }.into()
        }),
        gauge("mem_aof_buffer", "Bytes that wait to be written to the append-only file.", |at| {
            at.waiting_bytes.into()
        }),
    ];
}

/// What there is to say while it is on.
#[derive(Clone, Copy, Debug)]
pub struct AofFiles {
    current_bytes: u64,
    base_bytes: u64,
    is_written: bool,
    waiting_bytes: usize,
}

impl AofFiles {
    /// Looks; nothing while it is off.
    pub fn of(aof: &Aof) -> Option<Self> {
        aof.is_on().then(|| Self {
            current_bytes: aof.current_bytes(),
            base_bytes: aof.base_bytes(),
            is_written: aof.is_written(),
            waiting_bytes: aof.waiting_bytes(),
        })
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("aof_current_size", "Bytes of the append-only file.", |at| at.current_bytes.into()),
        gauge("aof_base_size", "Bytes that it had after the last rewrite or at the start.", |at| {
            at.base_bytes.into()
        }),
        gauge("aof_pending_rewrite", "Whether nothing is written before a rewrite has begun.", |at| {
            (!at.is_written).into()
        }),
        gauge("aof_buffer_length", "Bytes that wait to be written.", |at| at.waiting_bytes.into()),
    ];
}
