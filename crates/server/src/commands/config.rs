//! CONFIG: reading and changing the configuration of the running server.
//!
//! What directives there are, what they accept and how they are shown is `rustredis-config`'s; a change takes
//! effect by `start/apply.rs`, and if that fails the whole CONFIG SET is taken back.

use std::net::SocketAddr;
use std::path::Path;

use rustredis_commands::{Args, Command, CommandError, Flags, Group, Outcome};
use rustredis_config::{Config, Directive, Origin, SetError};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::clients::client::flags;
use crate::files::replace::replace;
use crate::gate;
use crate::request::admit::LOADING;
use crate::request::conversation::Wait;
use crate::start::apply;
use crate::upkeep::allocator;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("config|get", get),
        ("config|set", set),
        ("config|resetstat", reset_stat),
        ("config|rewrite", rewrite),
        ("config|help", help),
    ],
};

const ADMIN: Flags = Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::LOADING).with(Flags::STALE);

const ROWS: &[Command] = &[Command::container("config", -2, SUBCOMMANDS).docs(
    Group::Server,
    "2.0.0",
    "Depends on subcommand.",
    "",
    "Reads and changes the configuration of the running server.",
)];

const SUBCOMMANDS: &[Command] = &[
    Command::server("get", -3, ADMIN).docs(
        Group::Server,
        "2.0.0",
        "O(N) when N is the number of configuration parameters provided",
        "parameter [parameter ...]",
        "Shows the directives whose names match the patterns, with their values.",
    ),
    Command::server("set", -4, ADMIN)
        .find_secrets(set_secrets)
        .docs(
            Group::Server,
            "2.0.0",
            "O(N) when N is the number of configuration parameters provided",
            "parameter value [parameter value ...]",
            "Changes directives: all of them, or none if one of them cannot be changed.",
        )
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Command::server("resetstat", 2, ADMIN).docs(
        Group::Server,
        "2.0.0",
        "O(1)",
        "",
        "Lets the statistics of INFO begin at zero again.",
    ),
    Command::server("rewrite", 2, ADMIN).docs(
        Group::Server,
        "2.8.0",
        "O(1)",
        "",
        "Writes the configuration in force back to the configuration file.",
    ),
    Command::server("help", 2, Flags::LOADING.with(Flags::STALE)).docs(
        Group::Server,
        "5.0.0",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
];

fn get(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let patterns: Vec<&[u8]> = args.from(2).collect();
    let found = context.server.config().lock().get(&patterns);
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(&name);
        reply.bulk(&value);
    }
    Ok(())
}

/// The values of secret directives.
fn set_secrets(args: Args<'_>) -> Vec<usize> {
    let names = (2..args.len()).step_by(2);
    names.filter(|index| rustredis_config::is_secret(args.get(*index))).map(|index| index + 1).collect()
}

fn set(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let words: Vec<&[u8]> = args.from(2).collect();
    let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let mut config = context.server.config().lock();
    let refused = |error: SetError| match error {
        SetError::Unknown(name) => {
            CommandError::quoting("ERR Unknown option or number of arguments for CONFIG SET - '", &name, "'")
        }
        error => CommandError::owned(format!("ERR {error}")),
    };
    let changes = config.set(&pairs, origin(context)).map_err(refused)?;
    if context.server.gate().has(gate::LOADING) && pairs.iter().any(|(name, _)| is_fixed_while_loading(name))
    {
        config.undo(changes);
        return Err(CommandError::text(LOADING));
    }
    if let Err(error) = apply::apply(context.server, &mut config, &changes) {
        config.undo(changes);
        return Err(refused(error));
    }
    if changes.contains(Directive::Appendonly) {
        context.conversation()?.after.wait = Some(Wait::TurnOff);
    }
    reply.ok();
    Ok(())
}

/// Whether a directive says where the files are that are being loaded, or that others are to be begun.
fn is_fixed_while_loading(name: &[u8]) -> bool {
    [Directive::Appendonly, Directive::Dir]
        .iter()
        .any(|directive| name.eq_ignore_ascii_case(directive.name().as_bytes()))
}

/// Where the client is: what it may change depends on it.
fn origin(context: &Context<'_>) -> Origin {
    let client = &context.caller.client;
    let is_loopback =
        |addr: &str| addr.parse::<SocketAddr>().is_ok_and(|addr| addr.ip().to_canonical().is_loopback());
    if client.has_flag(flags::UNIX_SOCKET) || is_loopback(&client.addr) {
        Origin::Local
    } else {
        Origin::Remote
    }
}

fn reset_stat(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    context.server.stats().reset(context.server.engine().store());
    if let Some(worker) = context.worker {
        worker.metrics.reset();
    }
    context.server.engine().contention().reset();
    context.server.acl_log().reset_counts();
    allocator::reset_peak();
    reply.ok();
    Ok(())
}

fn rewrite(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let server = context.server;
    let mut config = server.config().lock();
    let Some(path) = config.file().map(Path::to_path_buf) else {
        return Err(CommandError::text("ERR The server is running without a config file"));
    };
    // Those of a file of their own stand there.
    let users = match config.path(Directive::Aclfile) {
        Some(_) => Vec::new(),
        None => {
            let password = config.text(Directive::Requirepass);
            server.users().look(|users| users.to_directives(password, server.registry()))
        }
    };
    config.set_users(users);
    if let Err(error) = write_file(&config, &path) {
        tracing::warn!("CONFIG REWRITE failed: {error}");
        return Err(CommandError::owned(format!("ERR Rewriting config file: {error}")));
    }
    tracing::info!("CONFIG REWRITE executed with success.");
    reply.ok();
    Ok(())
}

/// Writes the configuration in force over what is in the file.
fn write_file(config: &Config, path: &Path) -> std::io::Result<()> {
    let old = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        old => old?,
    };
    replace(path, &config.rewrite(&old))
}

fn help(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    super::help(
        reply,
        "CONFIG",
        &[
            "GET <pattern> [<pattern> ...]",
            "    Show the directives whose names match a pattern.",
            "SET <directive> <value> [<directive> <value> ...]",
            "    Change directives, all or none.",
            "RESETSTAT",
            "    Start the statistics of INFO at zero.",
            "REWRITE",
            "    Bring the configuration file up to date.",
        ],
    );
    Ok(())
}
