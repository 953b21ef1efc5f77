//! The claims: what each measures, and how it is answered.
//!
//! A claim is two functions: the cells that it needs, and the finding from a run's data. The article is "Most people use
//! Redis as SET and GET"; its figures come from one laptop, and its own reports call them unreliable.

mod bounds;
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

pub use bounds::CORES_MIN;
pub use finding::{Finding, Verdict};

use crate::data::Data;
use crate::plan::{Matrix, Planned};

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
