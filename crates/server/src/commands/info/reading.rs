//! One look at the server: what several fields need is asked for once, so that they agree.

use std::cell::OnceCell;
use std::sync::Arc;

use rustredis_config::Config;
use rustredis_metrics::{CommandStats, ContentionReport, StrategyCost};

use crate::clients::client::Client;
use crate::files::snapshot::State;
use crate::start::server::Server;
use crate::upkeep::memory_use::MemoryUse;
use crate::upkeep::rates::RatesNow;
use crate::upkeep::stats::Totals;

/// A look.
pub(super) struct Reading<'a> {
    pub(super) server: &'a Server,
    clients: OnceCell<Vec<Arc<Client>>>,
    commands: OnceCell<Vec<CommandStats>>,
    contention: OnceCell<ContentionReport>,
    cost: OnceCell<StrategyCost>,
    memory: OnceCell<MemoryUse>,
    rates: OnceCell<RatesNow>,
    snapshots: OnceCell<State>,
    totals: OnceCell<Totals>,
}

impl<'a> Reading<'a> {
    /// Nothing is read before it is asked for.
    pub(super) fn new(server: &'a Server) -> Self {
        Self {
            server,
            clients: OnceCell::new(),
            commands: OnceCell::new(),
            contention: OnceCell::new(),
            cost: OnceCell::new(),
            memory: OnceCell::new(),
            rates: OnceCell::new(),
            snapshots: OnceCell::new(),
            totals: OnceCell::new(),
        }
    }

    pub(super) fn clients(&self) -> &[Arc<Client>] {
        self.clients.get_or_init(|| self.server.clients().all())
    }

    /// The most that one client has.
    pub(super) fn most(&self, of: fn(&Client) -> usize) -> usize {
        self.clients().iter().map(|client| of(client)).max().unwrap_or(0)
    }

    pub(super) fn clients_with(&self, flag: u32) -> usize {
        self.clients().iter().filter(|client| client.has_flag(flag)).count()
    }

    /// The commands' counts with their names.
    pub(super) fn commands(&self) -> impl Iterator<Item = (&'static str, &CommandStats)> {
        let counts = self.commands.get_or_init(|| self.server.metrics().snapshot());
        self.server.registry().rows().iter().map(|row| row.full_name).zip(counts)
    }

    pub(super) fn config<T>(&self, read: impl FnOnce(&Config) -> T) -> T {
        read(&self.server.config().lock())
    }

    pub(super) fn contention(&self) -> &ContentionReport {
        self.contention.get_or_init(|| self.server.engine().contention().report())
    }

    pub(super) fn cost(&self) -> &StrategyCost {
        self.cost.get_or_init(|| self.server.metrics().cost())
    }

    pub(super) fn memory(&self) -> &MemoryUse {
        self.memory.get_or_init(|| MemoryUse::of(self.server.engine().store(), self.server.clients()))
    }

    pub(super) fn rates(&self) -> &RatesNow {
        self.rates.get_or_init(|| self.server.stats().rates.now())
    }

    pub(super) fn snapshots(&self) -> &State {
        self.snapshots.get_or_init(|| self.server.snapshots().state())
    }

    pub(super) fn totals(&self) -> &Totals {
        self.totals.get_or_init(|| self.server.stats().totals())
    }
}
