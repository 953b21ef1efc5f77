//! `maxmemory`: making room. Filled in with the policies.

use std::sync::atomic::Ordering::Relaxed;

use crate::memory;
use crate::server::Server;
use crate::worker::Worker;

/// Evicts until the limit is kept; false if that is not possible.
pub async fn make_room(server: &Server, _worker: &Worker) -> bool {
    let limit = server.settings.maxmemory.load(Relaxed);
    limit == 0 || memory::used_bytes() as u64 <= limit
}
