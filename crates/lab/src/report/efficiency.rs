//! What a request costs each server: processor time first, for that is the server's alone, whatever else the machine did.
//!
//! Throughput stands beside it and says where the machine was full: there it is another way to write the processor time of
//! server and generator together, and tells nothing about how a server scales.

use std::collections::BTreeMap;

use super::table::Table;
use super::words::{short, thousands, two_digits, with_interval};
use crate::cell::{Cell, Measure, Setup, Tcp};
use crate::data::Data;
use crate::rules::{Figure, Rules};
use crate::stats::Interval;
use crate::workloads;

/// Clients of the load that stands for all, if it was measured.
pub(super) const CLIENTS: usize = 50;

/// A closed-loop load, and every server that it was put on without further options.
pub(super) struct Load<'a> {
    /// The workload's name.
    pub(super) workload: &'a str,
    /// Connections.
    pub(super) clients: usize,
    /// Requests under way per connection.
    pub(super) pipeline: usize,
    /// The servers with what they did, the cheapest first.
    pub(super) servers: Vec<Server<'a>>,
}

/// A server under a load.
pub(super) struct Server<'a> {
    /// Which.
    pub(super) setup: &'a Setup,
    /// The cell.
    pub(super) cell: &'a Cell,
    /// Its processor time per request, microseconds.
    pub(super) us: Interval,
}

impl Load<'_> {
    /// For readers.
    pub(super) fn words(&self) -> String {
        let workload = workloads::named(self.workload).map_or(self.workload, |workload| workload.title);
        let clients =
            if self.clients == 1 { "1 client".to_owned() } else { format!("{} clients", self.clients) };
        match self.pipeline {
            1 => format!("{workload}, {clients}"),
            many => format!("{workload}, {clients}, pipelines of {many}"),
        }
    }

    /// This server's row.
    pub(super) fn of(&self, name: &str) -> Option<&Server<'_>> {
        self.servers.iter().find(|server| server.setup.name() == name)
    }
}

/// Whether a server has no options beyond engine and threads: labels tell more of them after a comma.
pub(super) fn is_plain(setup: &Setup) -> bool {
    !setup.label.contains(',')
}

/// All closed loops that more than one server was measured under; of a workload the load that stands for all comes first.
pub(super) fn loads(data: &Data) -> Vec<Load<'_>> {
    let mut loads: BTreeMap<(usize, &str, usize), Vec<Server<'_>>> = BTreeMap::new();
    for cell in data.settings.cells.values() {
        let Cell::Tcp(Tcp { setup, workload, clients, pipeline, .. }) = cell else { continue };
        let Some(us) = data.interval(cell, Figure::ServerUs).filter(|_| is_plain(setup)) else { continue };
        loads.entry((*pipeline, workload, *clients)).or_default().push(Server { setup, cell, us });
    }
    let mut loads: Vec<Load<'_>> = loads
        .into_iter()
        .filter(|(_, servers)| servers.len() > 1)
        .map(|((pipeline, workload, clients), mut servers)| {
            servers.sort_by(|a, b| a.us.median.total_cmp(&b.us.median));
            Load { workload, clients, pipeline, servers }
        })
        .collect();
    let place = |name: &str| workloads::WORKLOADS.iter().position(|workload| workload.name == name);
    loads.sort_by_key(|load| (place(load.workload), load.clients.abs_diff(CLIENTS), load.pipeline));
    loads
}

/// The share of the machine's cores that were busy in the trial that used most of them, if that was so much that throughput
/// is the machine's. Busy time is counted in ticks: it may come to a little more than there is.
pub(super) fn full(data: &Data, cell: &Cell) -> Option<f64> {
    let matrix = &data.settings.matrix;
    let cores = matrix.cores as f64;
    let busy = |measure: &Measure| measure.machine_cores(matrix.is_generator_elsewhere);
    let busiest = data.measures(cell).iter().map(|(_, measure)| busy(measure)).fold(0.0, f64::max);
    (busiest >= Rules::frozen().limits.machine_bound * cores).then_some(busiest / cores)
}

/// A table for each load.
pub(super) fn tables(data: &Data) -> Vec<Table> {
    loads(data).iter().map(|load| table(data, load)).collect()
}

fn table(data: &Data, load: &Load<'_>) -> Table {
    let columns = [
        "server",
        "CPU per request, µs",
        "cores used",
        "requests per core-second",
        "requests/s",
        "resident bytes of the process per key",
        "$ per million requests",
    ];
    let mut table = Table::new(&load.words(), &columns);
    let mut is_any_full = false;
    for server in &load.servers {
        let median = |figure| data.interval(server.cell, figure).map(|found| found.median);
        let or_dash =
            |value: Option<f64>, words: fn(f64) -> String| value.map_or_else(|| "–".to_owned(), words);
        let is_full = full(data, server.cell).is_some();
        is_any_full |= is_full;
        let rate = or_dash(median(Figure::Throughput), thousands);
        table.rows.push(vec![
            server.setup.label.clone(),
            with_interval(&server.us),
            or_dash(median(Figure::CoresUsed), short),
            or_dash(median(Figure::RequestsPerCoreSecond), thousands),
            if is_full { format!("{rate} †") } else { rate },
            or_dash(median(Figure::BytesPerKey), |bytes| format!("{bytes:.0}")),
            or_dash(median(Figure::CostPerMillion), two_digits),
        ]);
    }
    if is_any_full {
        let share = Rules::frozen().limits.machine_bound * 100.0;
        table.note = format!(
            "† In a trial or more {share:.0}% or more of the machine's cores were busy: this throughput decides nothing."
        );
    }
    table
}
