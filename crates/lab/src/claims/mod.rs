//! The claims: what each measures, and how it is answered.
//!
//! A claim is two functions: the cells that it needs, and the finding from a run's data. The article is "Most people use
//! Redis as SET and GET"; its figures come from one laptop, and its own reports call them unreliable.

mod clients;
mod convoy;
mod draw;
mod durability;
pub mod finding;
mod instrument;
mod metrics;
mod redis;
mod sharding;
mod snapshot;
mod workloads;

pub use finding::{Chart, Finding, Verdict};

use crate::data::Data;
use crate::plan::{Matrix, Planned};

/// Fewer cores than this leave at most one for the server beside the generator.
pub const CORES_MIN: usize = 4;

/// A claim.
#[derive(Clone, Copy)]
pub struct Claim {
    /// 1 to 8; 0 is the instrument itself.
    pub number: u8,
    /// What it measures.
    pub cells: fn(&Matrix) -> Vec<Planned>,
    /// Its answer.
    pub answer: fn(&Data) -> Finding,
}

/// All of them, in the order of the report.
pub const CLAIMS: &[Claim] = &[
    Claim { number: 1, cells: clients::cells, answer: clients::answer },
    Claim { number: 2, cells: convoy::cells, answer: convoy::answer },
    Claim { number: 3, cells: sharding::cells, answer: sharding::answer },
    Claim { number: 4, cells: metrics::cells, answer: metrics::answer },
    Claim { number: 5, cells: durability::cells, answer: durability::answer },
    Claim { number: 6, cells: redis::cells, answer: redis::answer },
    Claim { number: 7, cells: workloads::cells, answer: workloads::answer },
    Claim { number: 8, cells: snapshot::cells, answer: snapshot::answer },
    Claim { number: 0, cells: instrument::cells, answer: instrument::answer },
];

/// Why an effect of threads that meet at a lock may stay hidden on a machine: too few cores.
fn too_few_cores(data: &Data) -> Option<String> {
    let cores = data.settings.matrix.cores;
    (cores < CORES_MIN).then(|| {
        format!("{cores} cores are shared by server and generator, so the server's threads seldom meet; see the in-process figures")
    })
}

/// Why a throughput may not be the server's: the generator was the bottleneck in one of these cells.
fn generator_bound(data: &Data, cells: &[&crate::cell::Cell]) -> Option<String> {
    cells
        .iter()
        .any(|cell| data.is_generator_bound(cell))
        .then(|| "the generator was the bottleneck".to_owned())
}
