//! Whether the disk takes what must be there. While it does not, writes are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use parking_lot::Mutex;
use rustredis_config::{Config, Directive};

use crate::gate::{self, Gate};

/// What is known of the disk. Each change is judged under the lock of the configuration, so that the last one counts.
pub struct Disk {
    gate: Arc<Gate>,
    config: Arc<Mutex<Config>>,
    has_save_failed: AtomicBool,
    has_aof_error: AtomicBool,
}

impl Disk {
    /// All is well.
    pub fn new(gate: Arc<Gate>, config: Arc<Mutex<Config>>) -> Self {
        Self { gate, config, has_save_failed: AtomicBool::new(false), has_aof_error: AtomicBool::new(false) }
    }

    /// Whether the last save has failed.
    pub fn has_save_failed(&self) -> bool {
        self.has_save_failed.load(Acquire)
    }

    /// Notes whether the last save has failed. Whoever reads so in INFO finds writes refused, or allowed, already.
    pub fn note_save(&self, has_failed: bool) {
        let config = self.config.lock();
        self.judge(&config, has_failed);
        self.has_save_failed.store(has_failed, Release);
    }

    /// Notes whether something is wrong with the append-only file. The caller has locked the configuration since before it looked.
    pub fn note_aof(&self, config: &Config, has_error: bool) {
        self.has_aof_error.store(has_error, Relaxed);
        self.judge(config, self.has_save_failed.load(Relaxed));
    }

    fn judge(&self, config: &Config, has_save_failed: bool) {
        let is_unsaved = has_save_failed
            && config.bool(Directive::StopWritesOnBgsaveError)
            && !config.save_points().is_empty();
        self.gate.set(gate::DISK_ERROR, is_unsaved || self.has_aof_error.load(Relaxed));
    }
}
