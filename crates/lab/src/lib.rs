//! The laboratory: loads, experiments, statistics, reports. See ARCHITECTURE.md, "The lab".

pub mod cell;
pub mod load;
pub mod reference;
pub mod stats;
pub mod target;
pub mod trial;
pub mod workloads;
