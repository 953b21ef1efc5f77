//! File descriptors: as many as `maxclients` needs, or fewer clients.

/// Descriptors that the server itself needs.
const RESERVED: u64 = 32;

/// Raises the limit of open files so that `maxclients` fit; the number of clients that do fit.
pub fn raise(maxclients: u64) -> usize {
    let wanted = maxclients + RESERVED;
    // SAFETY: `limit` is plain data that the calls read and fill in.
    let available = unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 1024 - RESERVED as usize;
        }
        if limit.rlim_cur < wanted {
            let raised = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max.max(wanted) };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
                limit = raised;
            } else {
                let most = libc::rlimit { rlim_cur: limit.rlim_max.min(wanted), ..limit };
                if libc::setrlimit(libc::RLIMIT_NOFILE, &most) == 0 {
                    limit = most;
                }
            }
        }
        limit.rlim_cur
    };
    available.min(wanted).saturating_sub(RESERVED).max(1) as usize
}
