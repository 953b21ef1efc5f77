//! INFO: what the server tells about itself, in Redis's sections and fields.
//!
//! What there is to tell is the subsystems' own: each has typed samples beside its state (`start/samples` knows all of them).
//! INFO is one form of them: a section names its samples in Redis's order (`sections`), and each is written as a line
//! (`line`). The page `docs/info.md` is made of the same.
//!
//! The fields are Redis 7.2's, and each says what is: those of things that this server does not have (a
//! second process, a cluster bus) have the values of a Redis in which they are off. Ours alone are `rustredis_version`,
//! `engine`, `metrics` and `threads` in the section Server, and the sections Metrics and Contention.

mod line;
mod sections;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::start::samples::Look;
use crate::start::server::Server;
use sections::{Shown, sections};

/// The family.
pub const FAMILY: Family = Family { rows: ROWS, handlers: &[("info", info)] };

const ROWS: &[Command] = &[Command::server("info", -1, Flags::LOADING.with(Flags::STALE))
    .acl(Categories::DANGEROUS)
    .docs(
        Group::Server,
        "1.0.0",
        "O(1)",
        "[section [section ...]]",
        "Tells about the server: versions, clients, memory, statistics.",
    )
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])];

/// Room for the sections that are shown by default, in bytes.
const TEXT_BYTES: usize = 8 * 1024;

fn info(
    context: &mut Context<'_>,
    _: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), CommandError> {
    reply.verbatim("txt", &text(context.server, args));
    Ok(())
}

/// The sections that the arguments name.
fn text(server: &Server, args: Args<'_>) -> String {
    let asks_for = |word: &str| (1..args.len()).any(|index| args.is(index, word));
    let is_default = args.len() == 1 || asks_for("default");
    let (is_all, is_everything) = (asks_for("all"), asks_for("everything"));
    let look = Look::new(server);
    let mut text = String::with_capacity(TEXT_BYTES);
    let mut groups = Vec::new();
    for section in sections() {
        let is_shown = match section.shown {
            Shown::Default => is_default || is_all || is_everything,
            Shown::All => is_all || is_everything,
            Shown::Modules => is_default || is_everything,
        };
        if is_shown || asks_for(section.name) {
            let separator = if text.is_empty() { "" } else { "\r\n" };
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}# {}\r\n", section.title);
            section.rows.iter().for_each(|row| look.tell(row.id, &mut groups));
            groups.drain(..).for_each(|group| line::write(&group, &mut text));
        }
    }
    text
}
