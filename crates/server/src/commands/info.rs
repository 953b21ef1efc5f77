//! INFO: what the server tells about itself, in Redis's sections and fields.
//!
//! A section is a row of `SECTIONS` with its fields: each has a name, a kind, a meaning, and a function that looks. From
//! them come typed samples; INFO writes these down as lines, and `DEBUG SAMPLES` answers them as they are. The page
//! `docs/info.md` is made of the same rows.
//!
//! The fields are Redis 7.2's, and each says what is: those of things that this server does not have (a
//! second process, a cluster bus) have the values of a Redis in which they are off. Ours alone are `rustredis_version`,
//! `engine`, `metrics` and `threads` in the section Server, and the sections Metrics and Contention.

mod clients;
mod engine;
mod memory;
mod persistence;
mod reading;
mod row;
mod sections;
mod server;
mod stats;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::start::server::Server;
use reading::Reading;
use sections::{SECTIONS, Shown};

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
    let reading = Reading::new(server);
    let mut text = String::with_capacity(TEXT_BYTES);
    for section in SECTIONS {
        let is_shown = match section.shown {
            Shown::Default => is_default || is_all || is_everything,
            Shown::All => is_all || is_everything,
            Shown::Modules => is_default || is_everything,
        };
        if is_shown || asks_for(section.name) {
            let separator = if text.is_empty() { "" } else { "\r\n" };
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}# {}\r\n", section.title);
            section.lines(&reading).for_each(|line| line.write(&mut text));
        }
    }
    text
}

/// DEBUG SAMPLES: for each sample its section, name, labels, kind, value and meaning.
pub fn samples(server: &Server, reply: &mut Reply<'_>) {
    let reading = Reading::new(server);
    let of_section = |section: &'static sections::Section| {
        section.samples(&reading).map(move |sample| (section.name, sample))
    };
    let samples: Vec<_> = SECTIONS.iter().flat_map(of_section).collect();
    reply.array(samples.len());
    for (section, sample) in &samples {
        reply.array(6);
        reply.bulk(section.as_bytes());
        reply.bulk(sample.field.name.as_bytes());
        reply.map(sample.labels.len());
        for label in &sample.labels {
            reply.bulk(label.name.as_bytes());
            reply.bulk(label.value.as_bytes());
        }
        reply.bulk(sample.field.kind.name().as_bytes());
        reply.bulk(sample.value.to_string().as_bytes());
        reply.bulk(sample.field.help.as_bytes());
    }
}
