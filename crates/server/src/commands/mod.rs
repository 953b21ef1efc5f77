//! The server's own commands: those that need the session, the clients, the configuration or the statistics.
//!
//! A family is a file: its rows, its functions, and the list that joins them by full name.

pub mod acl;
pub mod client;
pub mod cluster;
pub mod command;
pub mod config;
pub mod connection;
pub mod debug;
pub mod dump;
pub mod function;
pub mod info;
pub mod latency;
pub mod memory;
pub mod module;
pub mod monitor;
pub mod pubsub;
pub mod save;
pub mod script;
pub mod server;
pub mod slowlog;
pub mod transaction;

use rustredis_commands::{Args, Command, CommandError, Registry, Run};
use rustredis_resp::Reply;

pub use crate::request::context::{Context, ServerHandler};

/// A family of the server's commands.
pub struct Family {
    /// Its rows.
    pub rows: &'static [Command],
    /// Its functions, by full name.
    pub handlers: &'static [(&'static str, ServerHandler)],
}

/// All families of the server.
pub const FAMILIES: &[Family] = &[
    acl::FAMILY,
    client::FAMILY,
    cluster::FAMILY,
    command::FAMILY,
    config::FAMILY,
    connection::FAMILY,
    debug::FAMILY,
    dump::FAMILY,
    function::FAMILY,
    info::FAMILY,
    latency::FAMILY,
    memory::FAMILY,
    module::FAMILY,
    monitor::FAMILY,
    pubsub::FAMILY,
    save::FAMILY,
    script::FAMILY,
    server::FAMILY,
    slowlog::FAMILY,
    transaction::FAMILY,
];

/// The reply of a container's HELP: a line of introduction, then these, then HELP itself.
pub fn help(reply: &mut Reply<'_>, container: &str, lines: &[&str]) {
    reply.array(lines.len() + 3);
    reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().for_each(|line| reply.simple(line));
    reply.simple("HELP");
    reply.simple("    Prints this help.");
}

/// The error of a subcommand that got a number of arguments which its row allows and it does not.
pub fn wrong_subcommand(args: Args<'_>, container: &str) -> CommandError {
    CommandError::quoting(
        "ERR unknown subcommand or wrong number of arguments for '",
        args.quoted(1),
        &format!("'. Try {container} HELP."),
    )
}

/// The functions of the server's rows, by row id.
///
/// # Panics
/// If a row of the server has no function, or a function no row: a bug of ours that a start shows at once.
pub fn handlers(registry: &Registry) -> Vec<Option<ServerHandler>> {
    let mut by_row: Vec<Option<ServerHandler>> = vec![None; registry.rows().len()];
    for (name, handler) in FAMILIES.iter().flat_map(|family| family.handlers) {
        let row = registry.rows().iter().find(|row| row.full_name == *name);
        let row = row.unwrap_or_else(|| panic!("the function of {name} has no row"));
        by_row[row.id as usize] = Some(*handler);
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
