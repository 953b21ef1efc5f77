//! INFO: what the server tells about itself, in Redis's sections and fields.
//!
//! A section is a row of [`SECTIONS`] and a function that writes its fields; clients get the sections they name, in the order
//! of the table. The fields are Redis 7.2's, and each says what is: those of things that this server does not have (a
//! second process, a cluster bus) have the values of a Redis in which they are off. Ours alone are `rustredis_version`,
//! `engine`, `metrics` and `threads` in the section Server, and the sections Metrics and Contention.

mod memory;
mod persistence;
mod stats;

use std::fmt::{Display, Write};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group};
use rustredis_config::{Directive, REDIS_VERSION, VERSION};
use rustredis_keyspace::{View, access, hashing};
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::clients::client::flags;
use crate::clock::now_us;
use crate::start::server::Server;
use crate::upkeep::sampled::Sampled;

pub use memory::human;

/// The family.
pub const FAMILY: Family = Family { rows: ROWS, handlers: &[("info", info)] };

const ROWS: &[Command] = &[Command::server("info", -1, Flags::LOADING.with(Flags::STALE))
    .acl(Categories::DANGEROUS)
    .docs(
        Group::Server,
        "1.0.0",
        "O(1)",
        "[section [section ...]]",
        "Tells about the server: versions, clients, memory, statistics.",
    )
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])];

/// Room for the sections that are shown by default, in bytes.
const TEXT_BYTES: usize = 8 * 1024;

/// Lines of sections.
#[derive(Default)]
pub struct Fields(String);

impl Fields {
    /// A line `name:value`.
    pub fn add(&mut self, name: impl Display, value: impl Display) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// Lines of the same value.
    fn all(&mut self, names: &[&str], value: impl Display) {
        names.iter().for_each(|name| self.add(name, &value));
    }
}

/// When a section is shown that was not named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Always.
    Default,
    /// With `all` and `everything`.
    All,
    /// With `default` and `everything`, but not with `all`: what modules tell.
    Modules,
}

struct Section {
    name: &'static str,
    title: &'static str,
    shown: Shown,
    write: fn(&Server, &mut Fields),
}

const fn section(
    name: &'static str,
    title: &'static str,
    shown: Shown,
    write: fn(&Server, &mut Fields),
) -> Section {
    Section { name, title, shown, write }
}

const SECTIONS: &[Section] = &[
    section("server", "Server", Shown::Default, server),
    section("clients", "Clients", Shown::Default, clients),
    section("memory", "Memory", Shown::Default, memory::memory),
    section("persistence", "Persistence", Shown::Default, persistence::persistence),
    section("stats", "Stats", Shown::Default, stats::stats),
    section("replication", "Replication", Shown::Default, replication),
    section("cpu", "CPU", Shown::Default, cpu),
    section("modules", "Modules", Shown::Modules, |_, _| {}),
    section("commandstats", "Commandstats", Shown::All, stats::command_stats),
    section("errorstats", "Errorstats", Shown::Default, stats::error_stats),
    section("latencystats", "Latencystats", Shown::All, stats::latency_stats),
    section("cluster", "Cluster", Shown::Default, |_, fields| fields.add("cluster_enabled", 0)),
    section("keyspace", "Keyspace", Shown::Default, keyspace),
    section("metrics", "Metrics", Shown::All, stats::metrics),
    section("contention", "Contention", Shown::All, stats::contention),
];

fn info(
    context: &mut Context<'_>,
    _: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), CommandError> {
    reply.verbatim("txt", &text(context.server, args));
    Ok(())
}

/// The sections that the arguments name.
fn text(server: &Server, args: Args<'_>) -> String {
    let asks_for = |word: &str| (1..args.len()).any(|index| args.is(index, word));
    let is_default = args.len() == 1 || asks_for("default");
    let (is_all, is_everything) = (asks_for("all"), asks_for("everything"));
    let mut fields = Fields(String::with_capacity(TEXT_BYTES));
    for section in SECTIONS {
        let is_shown = match section.shown {
            Shown::Default => is_default || is_all || is_everything,
            Shown::All => is_all || is_everything,
            Shown::Modules => is_default || is_everything,
        };
        if is_shown || asks_for(section.name) {
            let separator = if fields.0.is_empty() { "" } else { "\r\n" };
            let _ = write!(fields.0, "{separator}# {}\r\n", section.title);
            (section.write)(server, &mut fields);
        }
    }
    fields.0
}

fn server(server: &Server, fields: &mut Fields) {
    let config = server.config.lock();
    let now_us = now_us();
    fields.add("redis_version", REDIS_VERSION);
    fields.add("rustredis_version", VERSION);
    fields.add("redis_git_sha1", "00000000");
    fields.add("redis_git_dirty", 0);
    fields.add("redis_build_id", format_args!("{:x}", hashing::hash(VERSION.as_bytes())));
    fields.add("redis_mode", "standalone");
    fields.add("os", operating_system());
    fields.add("arch_bits", usize::BITS);
    fields.add("monotonic_clock", server.clock.source());
    fields.add("multiplexing_api", "epoll");
    fields.add("engine", server.engine.kind().name());
    fields.add("metrics", server.metrics.strategy().name());
    fields.add("threads", server.threads);
    fields.add("shards", server.engine.store().shards());
    fields.add("process_id", std::process::id());
    fields.add("process_supervised", "no");
    fields.add("run_id", &server.run_id);
    fields.add("tcp_port", server.listening.port());
    fields.add("server_time_usec", now_us);
    let uptime_seconds = server.uptime_seconds();
    fields.add("uptime_in_seconds", uptime_seconds);
    fields.add("uptime_in_days", uptime_seconds / 86_400);
    let hz = config.int(Directive::Hz);
    fields.add("hz", hz);
    fields.add("configured_hz", hz);
    fields.add("lru_clock", access::clock_of_idle(0, now_us / 1000));
    fields.add("executable", executable());
    fields.add("config_file", config.file().map(|path| path.display().to_string()).unwrap_or_default());
    fields.add("io_threads_active", 0);
    let mut listeners = 0;
    if server.listening.port() != 0 {
        let addresses: String = config
            .bind()
            .iter()
            .map(|address| format!(",bind={}", String::from_utf8_lossy(address)))
            .collect();
        fields.add("listener0", format_args!("name=tcp{addresses},port={}", server.listening.port()));
        listeners += 1;
    }
    if let Some(path) = config.path(Directive::Unixsocket) {
        fields.add(format_args!("listener{listeners}"), format_args!("name=unix,bind={}", path.display()));
    }
}

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

fn clients(server: &Server, fields: &mut Fields) {
    let all = server.clients.all();
    let count = |flag: u32| all.iter().filter(|client| client.has_flag(flag)).count();
    let most = |of: fn(&crate::clients::client::Client) -> usize| {
        all.iter().map(|client| of(client)).max().unwrap_or(0)
    };
    fields.add("connected_clients", all.len());
    fields.add("cluster_connections", 0);
    fields.add("maxclients", server.settings.maxclients.load(Relaxed));
    fields.add("client_recent_max_input_buffer", most(|client| client.input_capacity.load(Relaxed)));
    fields.add("client_recent_max_output_buffer", most(|client| client.output_bytes.load(Relaxed)));
    fields.add("blocked_clients", count(flags::BLOCKED));
    fields.add("tracking_clients", 0);
    fields.add("pubsub_clients", count(flags::PUBSUB));
    fields.add("watching_clients", all.iter().filter(|client| client.watched.load(Relaxed) > 0).count());
    fields.add("clients_in_timeout_table", 0);
    fields.add("total_watched_keys", server.engine.store().watched.load(Relaxed));
    fields.add("total_blocking_keys", server.engine.store().waited_keys.load(Relaxed));
    fields.add("total_blocking_keys_on_nokey", 0);
}

fn replication(server: &Server, fields: &mut Fields) {
    fields.add("role", "master");
    fields.add("connected_slaves", 0);
    fields.add("master_failover_state", "no-failover");
    fields.add("master_replid", &*server.replication_id.lock());
    fields.add("master_replid2", "0".repeat(40));
    fields.add("master_repl_offset", 0);
    fields.add("second_repl_offset", -1);
    fields.add("repl_backlog_active", 0);
    fields.add("repl_backlog_size", server.config.lock().bytes(Directive::ReplBacklogSize));
    fields.add("repl_backlog_first_byte_offset", 0);
    fields.add("repl_backlog_histlen", 0);
}

fn cpu(_: &Server, fields: &mut Fields) {
    let seconds = |time: libc::timeval| format!("{}.{:06}", time.tv_sec, time.tv_usec);
    for (who, suffix) in [(libc::RUSAGE_SELF, ""), (libc::RUSAGE_CHILDREN, "_children")] {
        // SAFETY: `usage` is plain data that the call fills in.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(who, &mut usage);
            usage
        };
        fields.add(format_args!("used_cpu_sys{suffix}"), seconds(usage.ru_stime));
        fields.add(format_args!("used_cpu_user{suffix}"), seconds(usage.ru_utime));
    }
    static MAIN_THREAD: Sampled<(f64, f64)> = Sampled::new();
    let (user, system) = MAIN_THREAD.get(|| main_thread_seconds().unwrap_or_default());
    fields.add("used_cpu_sys_main_thread", format_args!("{system:.6}"));
    fields.add("used_cpu_user_main_thread", format_args!("{user:.6}"));
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

fn keyspace(server: &Server, fields: &mut Fields) {
    let store = server.engine.store();
    for db in store.databases_in_use() {
        let (keys, expires) = (store.keys(db), store.expiring_keys(db));
        if keys > 0 {
            let avg_ttl = if expires > 0 { server.stats.avg_ttl_ms(db) } else { 0 };
            fields
                .add(format_args!("db{db}"), format_args!("keys={keys},expires={expires},avg_ttl={avg_ttl}"));
        }
    }
}
