//! The sections of INFO, in their order.

use rustredis_metrics::Sample;

use super::reading::Reading;
use super::row::{Line, Part};
use super::{clients, engine, memory, persistence, server, stats};

/// When a section is shown that was not named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Always.
    Default,
    /// With `all` and `everything`.
    All,
    /// With `default` and `everything`, but not with `all`: what modules tell.
    Modules,
}

/// A section.
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) shown: Shown,
    pub(super) parts: &'static [Part],
}

/// All sections.
pub(super) const SECTIONS: &[Section] = &[
    section("server", "Server", Shown::Default, server::SERVER),
    section("clients", "Clients", Shown::Default, clients::CLIENTS),
    section("memory", "Memory", Shown::Default, memory::MEMORY),
    section("persistence", "Persistence", Shown::Default, persistence::PERSISTENCE),
    section("stats", "Stats", Shown::Default, stats::STATS),
    section("replication", "Replication", Shown::Default, server::REPLICATION),
    section("cpu", "CPU", Shown::Default, server::CPU),
    section("modules", "Modules", Shown::Modules, &[]),
    section("commandstats", "Commandstats", Shown::All, stats::COMMAND_STATS),
    section("errorstats", "Errorstats", Shown::Default, stats::ERROR_STATS),
    section("latencystats", "Latencystats", Shown::All, stats::LATENCY_STATS),
    section("cluster", "Cluster", Shown::Default, server::CLUSTER),
    section("keyspace", "Keyspace", Shown::Default, server::KEYSPACE),
    section("metrics", "Metrics", Shown::All, engine::METRICS),
    section("contention", "Contention", Shown::All, engine::CONTENTION),
];

const fn section(name: &'static str, title: &'static str, shown: Shown, parts: &'static [Part]) -> Section {
    Section { name, title, shown, parts }
}

impl Section {
    /// What there is to tell, line by line.
    pub(super) fn lines(&self, reading: &Reading<'_>) -> impl Iterator<Item = Line> {
        self.parts.iter().flat_map(|part| part.lines(reading))
    }

    /// The same without the lines.
    pub(super) fn samples(&self, reading: &Reading<'_>) -> impl Iterator<Item = Sample> {
        self.lines(reading).flat_map(|line| line.samples)
    }
}
