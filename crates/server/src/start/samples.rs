//! Which subsystems tell samples, and one look at all of them.
//!
//! A subsystem has its rows beside its state (`SAMPLES`), and knows nothing of who shows them. Here stands which there are and
//! how a look finds the state of each. Who shows samples takes them from a [`Look`]: INFO by their names, in Redis's order
//! (`commands/info`), and whoever shows all of them as they come.
//!
//! The state of a subsystem is read once for each look, when something of it is asked for first: what one look shows of it
//! agrees, and what nobody asks for costs nothing.

mod absent;

use std::cell::OnceCell;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_engine::{PublishedNow, Shape};
use rustredis_metrics::rows::{Group, Head, Row};
use rustredis_metrics::{CommandReport, ContentionReport, StrategyCost};
use rustredis_persistence::aof::{Status, Syncs};
use rustredis_persistence::journal::Progress;

use crate::clients::acl_log::RefusalCounts;
use crate::clients::census::Census;
use crate::clients::pubsub::PubSubCounts;
use crate::clients::replicas::samples::ReplicasNow;
use crate::clients::tracking::TrackingNow;
use crate::clock::now_ms;
use crate::files::aof::samples::{AofFiles, AofNow};
use crate::files::load::samples::LoadingNow;
use crate::files::rdb::samples::RdbNow;
use crate::files::snapshot::samples::SnapshotsNow;
use crate::gate::{self, LOADING};
use crate::net::listen::ListeningNow;
use crate::scripts::samples::ScriptsNow;
use crate::start::about::About;
use crate::start::server::Server;
use crate::upkeep::cron::Rhythm;
use crate::upkeep::eviction::samples::EvictionNow;
use crate::upkeep::keys::{Databases, StoreCounts};
use crate::upkeep::memory_use::MemoryUse;
use crate::upkeep::process::{Cpu, Process};
use crate::upkeep::rates::RatesNow;
use crate::upkeep::stats::Totals;
use crate::upkeep::stats::samples::{ErrorCounts, SharedCounts};
use absent::Replication;

/// The subsystems with their names. The name of a row belongs to its subsystem; INFO needs to be told which one is meant where
/// two have rows of one name.
const SUBSYSTEMS: &[(&str, &dyn Subsystem)] = &[
    ("server", &Always(About::SAMPLES, About::of)),
    ("process", &Always(Process::SAMPLES, |_| Process::now())),
    ("cpu", &Always(Cpu::SAMPLES, |_| Cpu::now())),
    ("listening", &Always(ListeningNow::SAMPLES, listening)),
    ("clients", &Always(Census::SAMPLES, census)),
    ("pubsub", &Always(PubSubCounts::SAMPLES, |server| PubSubCounts::of(server.pubsub()))),
    ("acl", &Always(RefusalCounts::SAMPLES, |server| RefusalCounts::of(server.acl_log()))),
    ("engine", &Always(Shape::SAMPLES, |server| Shape::of(server.engine()))),
    ("published", &AtTimes(PublishedNow::SAMPLES, |server| PublishedNow::of(server.engine()))),
    ("contention", &Always(ContentionReport::SAMPLES, |server| server.engine().contention().report())),
    ("keys", &Always(StoreCounts::SAMPLES, store_counts)),
    ("databases", &Always(Databases::SAMPLES, databases)),
    ("commands", &Always(CommandReport::SAMPLES, commands)),
    ("metrics", &Always(StrategyCost::SAMPLES, |server| server.metrics().cost())),
    ("totals", &Always(Totals::SAMPLES, |server| server.stats().totals())),
    ("stats", &Always(SharedCounts::SAMPLES, |server| SharedCounts::of(server.stats()))),
    ("rates", &Always(RatesNow::SAMPLES, |server| server.stats().rates.now())),
    ("errors", &Always(ErrorCounts::SAMPLES, |server| ErrorCounts::of(server.stats()))),
    ("cron", &Always(Rhythm::SAMPLES, |server| server.cron().rhythm())),
    ("memory", &Always(MemoryUse::SAMPLES, memory)),
    (
        "eviction",
        &Always(EvictionNow::SAMPLES, |server| EvictionNow::of(server.eviction(), server.clock().now())),
    ),
    ("rdb", &Always(RdbNow::SAMPLES, |server| RdbNow::of(server.rdb()))),
    ("snapshots", &Always(SnapshotsNow::SAMPLES, |server| SnapshotsNow::of(server.snapshots(), now_ms()))),
    ("aof", &Always(AofNow::SAMPLES, |server| AofNow::of(server.aof()))),
    ("aof_files", &AtTimes(AofFiles::SAMPLES, |server| AofFiles::of(server.aof()))),
    ("aof_syncs", &AtTimes(Syncs::SAMPLES, syncs)),
    ("journal", &AtTimes(Progress::SAMPLES, journal)),
    ("gate", &Always(gate::SAMPLES, |server| server.gate().bits())),
    ("loading", &AtTimes(LoadingNow::SAMPLES, loading)),
    ("replication", &Always(Replication::SAMPLES, Replication::of)),
    ("replicas", &Always(ReplicasNow::SAMPLES, |server| ReplicasNow::of(server.replicas(), now_ms()))),
    ("cluster", &Always(absent::CLUSTER, |_| ())),
    ("scripts", &Always(ScriptsNow::SAMPLES, |server| ScriptsNow::of(server.scripts()))),
    ("tracking", &Always(TrackingNow::SAMPLES, |server| TrackingNow::of(server.tracking()))),
    ("forks", &Always(absent::FORKS, |_| ())),
    ("defragmentation", &Always(absent::DEFRAGMENTATION, |_| ())),
    ("io_threads", &Always(absent::IO_THREADS, |_| ())),
];

fn listening(server: &Server) -> ListeningNow {
    ListeningNow::of(server.listening(), &server.config().lock())
}

fn census(server: &Server) -> Census {
    Census::of(server.clients(), server.settings().maxclients.load(Relaxed))
}

fn store_counts(server: &Server) -> StoreCounts {
    StoreCounts::of(server.engine().store(), server.stats(), now_ms())
}

fn databases(server: &Server) -> Databases {
    Databases::of(server.engine().store(), server.stats())
}

fn commands(server: &Server) -> CommandReport {
    let names = server.registry().rows().iter().map(|row| row.full_name);
    let percentiles = server.config().lock().percentiles().to_vec();
    CommandReport::new(names, server.metrics().snapshot(), percentiles)
}

fn memory(server: &Server) -> MemoryUse {
    MemoryUse::of(server.engine().store(), server.clients())
}

fn syncs(server: &Server) -> Option<Syncs> {
    server.aof().status().filter(|_| server.aof().is_on()).map(Status::syncs)
}

/// The journal is told of where what it says lasts.
fn journal(server: &Server) -> Option<Progress> {
    let durability = server.durability();
    server.aof().is_on().then(|| Progress::of(&durability.journal, &durability.durable))
}

fn loading(server: &Server) -> Option<LoadingNow> {
    server.gate().has(LOADING).then(|| LoadingNow::of(server.loading(), now_ms()))
}

/// A subsystem, whatever its state is.
trait Subsystem: Sync {
    /// What is known of its rows.
    fn heads(&self) -> Vec<Head>;

    /// Whether its state is there at any moment.
    fn is_always_there(&self) -> bool;

    /// Reads its state, and gives what tells the row of a number.
    fn look(&self, server: &Server) -> Told;
}

type Told = Box<dyn Fn(usize, &mut Vec<Group>)>;

/// Rows, and where their state comes from.
struct Always<S: 'static>(&'static [Row<S>], fn(&Server) -> S);

/// The same for a state that is there at times.
struct AtTimes<S: 'static>(&'static [Row<S>], fn(&Server) -> Option<S>);

impl<S: 'static> Subsystem for Always<S> {
    fn heads(&self) -> Vec<Head> {
        self.0.iter().map(Row::head).collect()
    }

    fn is_always_there(&self) -> bool {
        true
    }

    fn look(&self, server: &Server) -> Told {
        let (rows, state) = (self.0, (self.1)(server));
        Box::new(move |row, groups| rows[row].tell(&state, groups))
    }
}

impl<S: 'static> Subsystem for AtTimes<S> {
    fn heads(&self) -> Vec<Head> {
        self.0.iter().map(Row::head).collect()
    }

    fn is_always_there(&self) -> bool {
        false
    }

    fn look(&self, server: &Server) -> Told {
        match (self.0, (self.1)(server)) {
            (rows, Some(state)) => Box::new(move |row, groups| rows[row].tell(&state, groups)),
            _ => Box::new(|_, _| {}),
        }
    }
}

/// A row of a subsystem, found by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowId {
    subsystem: usize,
    row: usize,
}

/// A row, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// Where a look finds it.
    pub id: RowId,
    /// The subsystem's name.
    pub subsystem: &'static str,
    /// What is known of it.
    pub head: Head,
    /// Whether there is something to tell at any moment.
    pub is_always_there: bool,
}

/// All rows, subsystem by subsystem.
pub fn rows() -> impl Iterator<Item = Listed> {
    SUBSYSTEMS.iter().enumerate().flat_map(|(index, (name, subsystem))| {
        let listed = move |(row, head)| Listed {
            id: RowId { subsystem: index, row },
            subsystem: name,
            head,
            is_always_there: subsystem.is_always_there(),
        };
        subsystem.heads().into_iter().enumerate().map(listed)
    })
}

/// One look at the server.
pub struct Look<'a> {
    server: &'a Server,
    told: [OnceCell<Told>; SUBSYSTEMS.len()],
}

impl<'a> Look<'a> {
    /// Nothing is read before it is asked for.
    pub fn new(server: &'a Server) -> Self {
        Self { server, told: [const { OnceCell::new() }; SUBSYSTEMS.len()] }
    }

    /// Adds what a row tells: one group, one for each thing of a family, or none if there is nothing at the moment.
    pub fn tell(&self, RowId { subsystem, row }: RowId, groups: &mut Vec<Group>) {
        let told = self.told[subsystem].get_or_init(|| SUBSYSTEMS[subsystem].1.look(self.server));
        told(row, groups);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_subsystem_has_no_name_twice() {
        let mut names = BTreeSet::new();
        for row in rows() {
            assert!(names.insert((row.subsystem, row.head.name)), "{} of {}", row.head.name, row.subsystem);
        }
        let subsystems: BTreeSet<&str> = SUBSYSTEMS.iter().map(|(name, _)| *name).collect();
        assert_eq!(subsystems.len(), SUBSYSTEMS.len());
    }

    #[test]
    fn a_row_says_what_it_means() {
        for row in rows() {
            assert!(!row.head.fields.is_empty(), "{} tells nothing", row.head.name);
            for field in row.head.fields {
                assert!(field.help.ends_with('.'), "{} is not explained", field.name);
            }
        }
    }
}
