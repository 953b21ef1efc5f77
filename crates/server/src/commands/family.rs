//! What a family of commands is made of, and what families have in common.

use rustredis_commands::{Args, Command, CommandError};
use rustredis_resp::Reply;

use crate::request::context::ServerHandler;

/// A family of the server's commands.
pub struct Family {
    /// Its rows.
    pub rows: &'static [Command],
    /// Its functions, by full name.
    pub handlers: &'static [(&'static str, ServerHandler)],
}

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
