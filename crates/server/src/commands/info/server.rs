//! `INFO server`, `cpu`, `replication`, `cluster` and `keyspace`: what the server is, and what it holds.

use std::sync::OnceLock;

use rustredis_config::{Directive, REDIS_VERSION, VERSION};
use rustredis_keyspace::{access_clock, hashing};
use rustredis_metrics::{SampleField, SampleValue};

use super::reading::Reading;
use super::row::{Family, FamilyLine, FamilyPart, Part, Row, counter, fact, gauge, none};
use crate::clock::now_us;
use crate::upkeep::sampled::Sampled;

pub(super) const SERVER: &[Part] = &[Part::Rows(SERVER_ROWS), Part::Family(&LISTENERS)];

const SERVER_ROWS: &[Row] = &[
    fact("redis_version", "The version of Redis whose behaviour this server has.", |_| REDIS_VERSION.into()),
    fact("rustredis_version", "The version of this server.", |_| VERSION.into()),
    fact("redis_git_sha1", "Always the same: builds carry no commit.", |_| "00000000".into()),
    fact("redis_git_dirty", "Always 0: builds carry no commit.", |_| 0_u64.into()),
    fact("redis_build_id", "A hash of the version.", |_| {
        format!("{:x}", hashing::hash(VERSION.as_bytes())).into()
    }),
    fact("redis_mode", "How servers work together: standalone.", |_| "standalone".into()),
    fact("os", "Name, release and machine of the operating system.", |_| operating_system().into()),
    fact("arch_bits", "Bits of an address.", |_| usize::BITS.into()),
    fact("monotonic_clock", "What durations are measured with.", |at| at.server.clock().source().into()),
    fact("multiplexing_api", "How many sockets are waited for.", |_| "epoll".into()),
    fact("engine", "How commands come by their keys.", |at| at.server.engine().kind().name().into()),
    fact("metrics", "How commands are counted.", |at| at.server.metrics().strategy().name().into()),
    fact("threads", "Threads that serve clients.", |at| at.server.threads().into()),
    fact("shards", "Parts of the keyspace.", |at| at.server.engine().store().shards().into()),
    fact("process_id", "The process's number.", |_| std::process::id().into()),
    fact("process_supervised", "Who supervises the process.", |_| "no".into()),
    fact("run_id", "A random name of this run.", |at| at.server.run_id().to_owned().into()),
    fact("tcp_port", "The port, 0 for none.", |at| at.server.listening().port().into()),
    gauge("server_time_usec", "The time, Unix microseconds.", |_| now_us().into()),
    counter("uptime_in_seconds", "Seconds since the start.", |at| at.server.uptime_seconds().into()),
    counter("uptime_in_days", "Days since the start.", |at| (at.server.uptime_seconds() / 86_400).into()),
    fact("hz", "Rounds of upkeep a second.", |at| at.config(|config| config.int(Directive::Hz)).into()),
    fact("configured_hz", "Rounds of upkeep a second, as configured.", |at| {
        at.config(|config| config.int(Directive::Hz)).into()
    }),
    gauge("lru_clock", "The clock of accesses to keys, in seconds, 24 bits.", |_| {
        access_clock::clock_of_idle(0, now_us() / 1000).into()
    }),
    fact("executable", "The program's path.", |_| executable().into()),
    fact("config_file", "The configuration file's path; empty for none.", |at| {
        at.config(|config| config.file().map(|path| path.display().to_string()).unwrap_or_default()).into()
    }),
    none("io_threads_active", "Threads for sockets alone: none, each worker serves its own."),
];

const LISTENERS: Family = Family {
    prefix: "listener",
    labels: &["index"],
    fields: &[
        SampleField::fact("name", "What is listened on: tcp or unix."),
        SampleField::fact("bind", "An address, or the socket's path."),
        SampleField::fact("port", "The port."),
    ],
    read: |at| {
        let part = |field, value: String| FamilyPart { field, detail: None, value: value.into() };
        let mut lines = Vec::new();
        let port = at.server.listening().port();
        if port != 0 {
            let mut parts = vec![part(0, "tcp".to_owned())];
            let addresses = at.config(|config| config.bind().to_vec());
            parts.extend(addresses.iter().map(|address| part(1, String::from_utf8_lossy(address).into())));
            parts.push(part(2, port.to_string()));
            lines.push(FamilyLine { thing: "0".to_owned(), parts });
        }
        let path =
            at.config(|config| config.path(Directive::Unixsocket).map(|path| path.display().to_string()));
        if let Some(path) = path {
            let parts = vec![part(0, "unix".to_owned()), part(1, path)];
            lines.push(FamilyLine { thing: lines.len().to_string(), parts });
        }
        lines
    },
};

/// The path of the program, as it was started.
fn executable() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        std::env::current_exe().map_or_else(|_| String::new(), |path| path.display().to_string())
    })
}

/// Name, release and machine, as `uname` has them.
fn operating_system() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(look_up_operating_system)
}

fn look_up_operating_system() -> String {
    let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let (kind, release) = (line("/proc/sys/kernel/ostype"), line("/proc/sys/kernel/osrelease"));
    if kind.is_empty() {
        return format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    }
    format!("{kind} {release} {}", std::env::consts::ARCH)
}

pub(super) const REPLICATION: &[Part] = &[Part::Rows(&[
    fact("role", "master or slave.", |_| "master".into()),
    none("connected_slaves", "Replicas that are connected."),
    fact("master_failover_state", "How far a planned change of masters is.", |_| "no-failover".into()),
    fact("master_replid", "The name of the data set's history.", |at| {
        at.server.replication_id().lock().clone().into()
    }),
    fact("master_replid2", "The name of the history before; zeros for none.", |_| "0".repeat(40).into()),
    none("master_repl_offset", "Bytes of the history."),
    fact("second_repl_offset", "Where the history before ended; -1 for none.", |_| (-1_i64).into()),
    none("repl_backlog_active", "Whether history is kept for replicas."),
    fact("repl_backlog_size", "Bytes of history that are kept at most.", |at| {
        at.config(|config| config.bytes(Directive::ReplBacklogSize)).into()
    }),
    none("repl_backlog_first_byte_offset", "Where the history that is kept begins."),
    none("repl_backlog_histlen", "Bytes of history that are kept."),
])];

pub(super) const CLUSTER: &[Part] =
    &[Part::Rows(&[none("cluster_enabled", "Whether this is a node of a cluster.")])];

pub(super) const CPU: &[Part] = &[Part::Rows(&[
    counter("used_cpu_sys", "Seconds of the kernel's work for this process.", |_| {
        seconds(usage(libc::RUSAGE_SELF).ru_stime)
    }),
    counter("used_cpu_user", "Seconds of this process's own work.", |_| {
        seconds(usage(libc::RUSAGE_SELF).ru_utime)
    }),
    counter("used_cpu_sys_children", "Seconds of the kernel's work for processes that have ended.", |_| {
        seconds(usage(libc::RUSAGE_CHILDREN).ru_stime)
    }),
    counter("used_cpu_user_children", "Seconds of the work of processes that have ended.", |_| {
        seconds(usage(libc::RUSAGE_CHILDREN).ru_utime)
    }),
    counter("used_cpu_sys_main_thread", "Seconds of the kernel's work for the main thread.", |_| {
        SampleValue::Decimal(main_thread().1, 6)
    }),
    counter("used_cpu_user_main_thread", "Seconds of the main thread's own work.", |_| {
        SampleValue::Decimal(main_thread().0, 6)
    }),
])];

fn seconds(time: libc::timeval) -> SampleValue {
    SampleValue::Decimal(time.tv_sec as f64 + time.tv_usec as f64 / 1e6, 6)
}

fn usage(who: libc::c_int) -> libc::rusage {
    // SAFETY: `usage` is plain data that the call fills in.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    }
}

/// User and system time of the main thread in seconds.
fn main_thread() -> (f64, f64) {
    static MAIN_THREAD: Sampled<(f64, f64)> = Sampled::new();
    MAIN_THREAD.get(|| main_thread_seconds().unwrap_or_default())
}

/// User and system time of the main thread in seconds, as the kernel's ticks tell it.
fn main_thread_seconds() -> Option<(f64, f64)> {
    let pid = std::process::id();
    let text = std::fs::read_to_string(format!("/proc/self/task/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything; fields 14 and 15 of all are 11 and 12 behind it.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    // SAFETY: `sysconf` reads a constant of the system.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as f64;
    let mut next = || fields.next()?.parse::<f64>().ok().map(|count| count / ticks);
    Some((next()?, next()?))
}

pub(super) const KEYSPACE: &[Part] = &[Part::Family(&DATABASES)];

const DATABASES: Family = Family {
    prefix: "db",
    labels: &["database"],
    fields: &[
        SampleField::gauge("keys", "Keys."),
        SampleField::gauge("expires", "Keys that expire."),
        SampleField::gauge("avg_ttl", "The mean time that they have left, milliseconds."),
    ],
    read: databases,
};

fn databases(at: &Reading<'_>) -> Vec<FamilyLine> {
    let store = at.server.engine().store();
    let with_keys = store.databases_in_use().filter(|db| store.keys(*db) > 0);
    let line = |db: usize| {
        let expires = store.expiring_keys(db);
        let avg_ttl = if expires > 0 { at.server.stats().avg_ttl_ms(db) } else { 0 };
        FamilyLine::new(db.to_string(), [store.keys(db).into(), expires.into(), avg_ttl.into()])
    };
    with_keys.map(line).collect()
}
