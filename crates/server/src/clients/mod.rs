//! Who is connected, what they may take, and what they hear of each other.

pub mod acl_log;
pub mod blocked;
pub mod census;
pub mod client;
pub mod connected;
pub mod limits;
pub mod list;
pub mod monitor;
pub mod pause;
pub mod pubsub;
pub mod replicas;
pub mod tracking;
pub mod users;
