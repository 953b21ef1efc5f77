//! The laboratory: loads, experiments, statistics, reports. See ARCHITECTURE.md, "The lab".

pub mod bench;
pub mod cell;
pub mod claims;
pub mod compare;
pub mod coverage;
pub mod cpus;
pub mod data;
pub mod duel;
pub mod judge;
pub mod load;
pub mod machine;
pub mod made_up;
pub mod matrix;
pub mod merge;
pub mod placement;
pub mod plan;
pub mod predict;
pub mod reference;
pub mod report;
pub mod rules;
pub mod run;
pub mod stats;
pub mod target;
pub mod trial;
pub mod usage;
pub mod workloads;
