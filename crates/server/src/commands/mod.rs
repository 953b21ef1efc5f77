//! The server's own commands: those that need the session, the clients, the configuration or the statistics.
//!
//! A family is a file: its rows, its functions, and the list that joins them by full name.

pub mod acl;
pub mod client;
pub mod cluster;
pub mod command;
pub mod commandlog;
pub mod config;
pub mod connection;
pub mod debug;
pub mod dump;
pub mod eval;
pub mod family;
pub mod function;
pub mod info;
pub mod latency;
pub mod memory;
pub mod module;
pub mod monitor;
pub mod pubsub;
pub mod replication;
pub mod save;
pub mod script;
pub mod server;
pub mod slowlog;
pub mod tracking;
pub mod transaction;

use std::collections::HashMap;

use rustredis_commands::{Registry, Run};

pub use crate::request::context::{Context, ServerHandler};
pub use family::{Family, help, wrong_subcommand};

/// All families of the server.
pub const FAMILIES: &[Family] = &[
    acl::FAMILY,
    client::FAMILY,
    cluster::FAMILY,
    command::FAMILY,
    commandlog::FAMILY,
    config::FAMILY,
    connection::FAMILY,
    debug::FAMILY,
    dump::FAMILY,
    eval::FAMILY,
    function::FAMILY,
    info::FAMILY,
    latency::FAMILY,
    memory::FAMILY,
    module::FAMILY,
    monitor::FAMILY,
    pubsub::FAMILY,
    replication::FAMILY,
    save::FAMILY,
    script::FAMILY,
    server::FAMILY,
    slowlog::FAMILY,
    transaction::FAMILY,
];

/// The functions of the server's rows, by row id.
///
/// # Panics
/// If a row of the server has no function, or a function no row: a bug of ours that a start shows at once.
pub fn handlers(registry: &Registry) -> Vec<Option<ServerHandler>> {
    let by_name: HashMap<&str, u16> = registry.rows().iter().map(|row| (row.full_name, row.id)).collect();
    let mut by_row: Vec<Option<ServerHandler>> = vec![None; registry.rows().len()];
    for (name, handler) in FAMILIES.iter().flat_map(|family| family.handlers) {
        let id = by_name.get(name).unwrap_or_else(|| panic!("the function of {name} has no row"));
        by_row[usize::from(*id)] = Some(*handler);
    }
    for row in registry.rows() {
        let is_server = matches!(row.command.run, Run::Server);
        assert_eq!(
            is_server,
            by_row[row.id as usize].is_some(),
            "{} and its function do not agree",
            row.full_name
        );
    }
    by_row
}
