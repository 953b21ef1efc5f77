//! COMMAND DOCS: a row as documentation.

use rustredis_commands::syntax::{self, Argument, ArgumentKind};
use rustredis_commands::{Row, Rules};
use rustredis_resp::Reply;
use rustredis_resp::reply::Aggregate;

use super::subcommands;
use crate::start::server::Server;

/// Writes the name and the documentation of a command, with its subcommands.
pub(super) fn document(server: &Server, row: &Row, reply: &mut Reply<'_>) {
    reply.text(row.full_name);
    let mark = reply.mark();
    let mut pairs = document_row(row, reply);
    let count = row.subcommands().len();
    if count > 0 {
        reply.text("subcommands");
        reply.map(count);
        for sub in subcommands(server, row) {
            reply.text(sub.full_name);
            let mark = reply.mark();
            let pairs = document_row(sub, reply);
            reply.close(mark, Aggregate::Map, pairs);
        }
        pairs += 1;
    }
    reply.close(mark, Aggregate::Map, pairs);
}

/// The pairs that a command has for itself; how many.
fn document_row(row: &Row, reply: &mut Reply<'_>) -> usize {
    let command = row.command;
    let mut pairs = 0;
    for (name, text) in [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group.name()),
        ("complexity", command.complexity),
    ] {
        if !text.is_empty() {
            reply.text(name);
            reply.text(text);
            pairs += 1;
        }
    }
    let flags = [("deprecated", command.deprecated.is_some()), ("syscmd", command.rules.has(Rules::SYSTEM))];
    let flags: Vec<&str> = flags.into_iter().filter_map(|(name, is_set)| is_set.then_some(name)).collect();
    if !flags.is_empty() {
        reply.text("doc_flags");
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
        pairs += 1;
    }
    if let Some((since, replaced_by)) = command.deprecated {
        reply.text("deprecated_since");
        reply.text(since);
        reply.text("replaced_by");
        reply.text(replaced_by);
        pairs += 2;
    }
    let arguments = syntax::arguments(command);
    if !arguments.is_empty() {
        reply.text("arguments");
        document_arguments(&arguments, reply);
        pairs += 1;
    }
    pairs
}

/// Nested as deep as the syntax is, which is ours.
fn document_arguments(arguments: &[Argument], reply: &mut Reply<'_>) {
    reply.array(arguments.len());
    for argument in arguments {
        let mark = reply.mark();
        let pairs = document_argument(argument, reply);
        reply.close(mark, Aggregate::Map, pairs);
    }
}

fn document_argument(argument: &Argument, reply: &mut Reply<'_>) -> usize {
    let is_composed = matches!(argument.kind, ArgumentKind::OneOf | ArgumentKind::Block);
    let mut pairs = 2;
    reply.text("name");
    reply.text(&argument.name);
    reply.text("type");
    reply.text(argument.kind.name());
    if !is_composed {
        reply.text("display_text");
        reply.text(&argument.name);
        pairs += 1;
    }
    if let Some(index) = argument.key_spec {
        reply.text("key_spec_index");
        reply.count(index);
        pairs += 1;
    }
    if let Some(token) = argument.token {
        reply.text("token");
        reply.text(token);
        pairs += 1;
    }
    let flags: Vec<&str> = [
        ("optional", argument.is_optional),
        ("multiple", argument.is_multiple),
        ("multiple_token", argument.has_multiple_token),
    ]
    .into_iter()
    .filter_map(|(name, is_set)| is_set.then_some(name))
    .collect();
    if !flags.is_empty() {
        reply.text("flags");
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
        pairs += 1;
    }
    if is_composed {
        reply.text("arguments");
        document_arguments(&argument.arguments, reply);
        pairs += 1;
    }
    pairs
}
