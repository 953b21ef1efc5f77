//! What goes on besides the requests: timers, eviction, memory, counters, settings.

pub mod allocator;
mod counts;
pub mod cron;
pub mod eviction;
pub mod expiry;
pub mod give_back;
pub mod keys;
pub mod log;
pub mod memory_use;
pub mod policy;
pub mod process;
pub mod rates;
pub mod sampled;
pub mod settings;
pub mod stats;
pub mod supervise;
mod sync;
pub mod thread;
