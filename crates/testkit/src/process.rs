//! What the kernel says about a process, and the few calls that std does not offer. Linux only, as the tests are.

use std::io;
use std::time::Duration;

/// User and system CPU time that the process has used so far, over all its threads (resolution: a clock tick, 10 ms).
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses and may hold spaces: count from its end.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        fields.split_ascii_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Ok(Duration::from_nanos(ticks * (1_000_000_000 / clock_ticks_per_second())))
}

/// User and system CPU time of all child processes that have ended and were waited for.
pub fn children_cpu_time() -> Duration {
    // SAFETY: rusage is plain numbers, for which all zeroes are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes to a valid rusage and nowhere else.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Resident memory of the process, in bytes (`VmRSS`).
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no VmRSS in status"))
}

/// Asks the process to end (SIGTERM).
pub fn terminate(pid: u32) {
    signal(pid, libc::SIGTERM);
}

/// Ends the process at once (SIGKILL).
pub fn kill(pid: u32) {
    signal(pid, libc::SIGKILL);
}

/// Sends the process any signal, for instance `libc::SIGINT`; a process that is gone already is no error.
pub fn signal(pid: u32, signal: i32) {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return };
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    unsafe { libc::kill(pid, signal) };
}

/// Raises this process's limit of open files to `wanted`, or as far as the hard limit allows (root may raise that one
/// too). Children inherit it. Returns the limit that is now in force.
pub fn raise_open_file_limit(wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit that the call may write to.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= wanted {
        return Ok(limit.rlim_cur);
    }
    let raised = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max.max(wanted) };
    // SAFETY: `raised` is a valid rlimit that the call only reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
        return Ok(wanted);
    }
    let most = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
    // SAFETY: as above.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const most) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_max)
}

fn clock_ticks_per_second() -> u64 {
    // SAFETY: sysconf(3) takes an integer and touches no memory of ours.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_memory_and_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        let started = cpu_time(pid).unwrap();
        let mut random = crate::Random::new(7);
        super::super::wait_until("CPU time to pass", Duration::from_secs(20), || {
            (0..100_000).for_each(|_| {
                std::hint::black_box(random.next_u64());
            });
            cpu_time(pid).unwrap() > started
        });
    }

    #[test]
    fn no_process_no_figures() {
        assert!(cpu_time(u32::MAX).is_err());
        assert!(resident_bytes(u32::MAX).is_err());
    }
}
