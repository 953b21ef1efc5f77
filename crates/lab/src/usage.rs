//! What a server's process has used: processor time, time in which its threads were ready and had no processor, switches.
//!
//! From `/proc/PID/task/*/schedstat` and `status`, thread by thread, in nanoseconds. Waiting in the kernel's run queue is told
//! from waiting for a lock: on a machine with few cores a lock's holder is often one that the kernel has put aside.
//! `/proc/PID/stat` was rejected as the first source, for it counts ticks of 10 ms (2% of half a second); it stands in where the
//! kernel keeps no schedstat.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::path::Path;
use std::time::Duration;

use rustredis_testkit::{Client, Reply, process};

/// What a process has used so far, by threads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    threads: BTreeMap<u32, Used>,
    ticked: Duration,
}

/// What a thread has used since it began, or threads between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Processor time.
    pub cpu: Duration,
    /// Time that threads were ready to run and had no processor, summed over them.
    pub queued: Duration,
    /// Switches because a thread had to wait for something.
    pub yielded: u64,
    /// Switches because the kernel took the processor away.
    pub preempted: u64,
}

impl Usage {
    /// Looks now. A process that is gone has used nothing.
    pub fn of(pid: u32) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let threads = tasks.filter_map(|task| {
            let id = task.file_name().to_str()?.parse().ok()?;
            Some((id, Used::of_thread(&task.path())?))
        });
        Self { threads: threads.collect(), ticked: process::cpu_time(pid).unwrap_or_default() }
    }

    /// What was used since an earlier look. A thread that ended in between is missing, with at most a tick's error in its
    /// processor time.
    pub fn since(&self, before: &Self) -> Used {
        let mut used = Used::default();
        for (id, now) in &self.threads {
            used += now.since(before.threads.get(id).copied().unwrap_or_default());
        }
        let has_lost_threads = before.threads.keys().any(|id| !self.threads.contains_key(id));
        if self.threads.is_empty() || has_lost_threads {
            used.cpu = used.cpu.max(self.ticked.saturating_sub(before.ticked));
        }
        used
    }
}

/// The process of a server that runs on this machine, by what it says in INFO; none if it runs elsewhere, or if that process
/// does not hold the socket (in a container its numbers are others).
pub fn local_pid(address: SocketAddr) -> Option<u32> {
    if !address.ip().is_loopback() {
        return None;
    }
    let info = Client::try_connect(address).ok()?.try_call(&["INFO", "server"]).ok()?;
    let Reply::Bulk(text) = &info else { return None };
    let text = String::from_utf8_lossy(text);
    let pid = text.lines().find_map(|line| line.strip_prefix("process_id:"))?.trim().parse().ok()?;
    let sockets = listening(address.port());
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
    links.any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str())).then_some(pid)
}

/// The sockets that listen on a port, as links in `/proc/PID/fd` name them.
fn listening(port: u16) -> Vec<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let (suffix, listens) = (format!(":{port:04X}"), "0A");
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_it = fields.len() > 9 && fields[1].ends_with(&suffix) && fields[3] == listens;
        is_it.then(|| format!("socket:[{}]", fields[9]))
    };
    tables.iter().flat_map(|table| table.lines()).filter_map(of_line).collect()
}

impl Used {
    /// Of a thread since it began, from its directory under `/proc`; `None` where the kernel does not tell.
    pub fn of_thread(task: &Path) -> Option<Self> {
        let read = |name: &str| fs::read_to_string(task.join(name)).ok();
        Self::parse(&read("schedstat")?, &read("status").unwrap_or_default())
    }

    /// What has come to it since then.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            queued: self.queued.saturating_sub(before.queued),
            yielded: self.yielded.saturating_sub(before.yielded),
            preempted: self.preempted.saturating_sub(before.preempted),
        }
    }

    /// `schedstat` is nanoseconds on a core, nanoseconds in the run queue, turns.
    fn parse(schedstat: &str, status: &str) -> Option<Self> {
        let mut fields =
            schedstat.split_ascii_whitespace().map(|field| field.parse().map(Duration::from_nanos));
        let (Some(Ok(cpu)), Some(Ok(queued))) = (fields.next(), fields.next()) else {
            return None;
        };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.trim().parse().ok()).unwrap_or(0)
        };
        let (yielded, preempted) = (field("voluntary_ctxt_switches:"), field("nonvoluntary_ctxt_switches:"));
        Some(Self { cpu, queued, yielded, preempted })
    }
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.queued += other.queued;
        self.yielded += other.yielded;
        self.preempted += other.preempted;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        let thread = Used::parse("1000 200 7\n", status).unwrap();
        let expected = Used {
            cpu: Duration::from_nanos(1_000),
            queued: Duration::from_nanos(200),
            yielded: 12,
            preempted: 3,
        };
        assert_eq!(thread, expected);
        assert_eq!(Used::parse("", ""), None);
        let mut sum = expected.since(expected);
        sum += expected;
        assert_eq!(sum, expected);
    }

    #[test]
    fn what_a_process_does_is_seen() {
        let pid = std::process::id();
        let (before, started) = (Usage::of(pid), Instant::now());
        std::thread::sleep(Duration::from_millis(5));
        let mut random = rustredis_testkit::Random::new(7);
        while Usage::of(pid).since(&before).cpu < Duration::from_millis(20) {
            assert!(started.elapsed() < Duration::from_secs(20), "no processor time passes");
            (0..100_000).for_each(|_| {
                std::hint::black_box(random.next_u64());
            });
        }
        assert!(Usage::of(pid).since(&before).yielded > 0);
        let server = rustredis_testkit::Server::redis();
        assert_eq!(local_pid(server.address()), Some(server.pid()));
        assert_eq!(Usage::of(u32::MAX).since(&Usage::default()), Used::default());
    }
}
