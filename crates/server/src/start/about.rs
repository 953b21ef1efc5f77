//! What the server tells of itself: its versions, and what it was started with.

use rustredis_config::{REDIS_VERSION, VERSION};
use rustredis_keyspace::hashing;
use rustredis_metrics::Strategy;
use rustredis_metrics::rows::{Row, counter, fact};

use crate::start::server::Server;

/// The server at a moment. But for its age it stays as it was started, unless CONFIG REWRITE gives it a file.
#[derive(Clone, Debug)]
pub struct About {
    run_id: String,
    threads: usize,
    strategy: Strategy,
    clock_source: &'static str,
    config_file: String,
    uptime_seconds: u64,
}

impl About {
    /// Looks.
    pub fn of(server: &Server) -> Self {
        let file = server.config().lock().file().map(|path| path.display().to_string());
        Self {
            run_id: server.run_id().to_owned(),
            threads: server.threads(),
            strategy: server.metrics().strategy(),
            clock_source: server.clock().source(),
            config_file: file.unwrap_or_default(),
            uptime_seconds: server.uptime_seconds(),
        }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        fact("redis_version", "The version of Redis whose behaviour this server has.", |_| {
            REDIS_VERSION.into()
        }),
        fact("rustredis_version", "The version of this server.", |_| VERSION.into()),
        fact("redis_git_sha1", "Always the same: builds carry no commit.", |_| "00000000".into()),
        fact("redis_git_dirty", "Always 0: builds carry no commit.", |_| 0_u64.into()),
        fact("redis_build_id", "A hash of the version.", |_| {
            format!("{:x}", hashing::hash(VERSION.as_bytes())).into()
        }),
        fact("monotonic_clock", "What durations are measured with.", |about| about.clock_source.into()),
        fact("metrics", "How commands are counted.", |about| about.strategy.name().into()),
        fact("threads", "Threads that serve clients.", |about| about.threads.into()),
        fact("run_id", "A random name of this run.", |about| about.run_id.clone().into()),
        fact("config_file", "The configuration file's path; empty for none.", |about| {
            about.config_file.clone().into()
        }),
        counter("uptime_in_seconds", "Seconds since the start.", |about| about.uptime_seconds.into()),
        counter("uptime_in_days", "Days since the start.", |about| (about.uptime_seconds / 86_400).into()),
    ];
}
