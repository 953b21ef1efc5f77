//! Commands about the server itself: TIME, SHUTDOWN, LOLWUT, CMDSTAT.
//!
//! CMDSTAT is ours alone: the statistics of INFO commandstats and latencystats as a map, with what the counting itself cost
//! beside them, for `--metrics` is a choice that this server is there to compare.

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group, Outcome, Row};
use rustredis_config::REDIS_VERSION;
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family, latency};
use crate::clock::now_us;
use crate::gate;
use crate::request::conversation::Wait;
use crate::start::ending::Wish;
use crate::start::server::Server;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[("time", time), ("shutdown", shutdown), ("lolwut", lolwut), ("cmdstat", cmdstat)],
};

const ROWS: &[Command] = &[
    Command::server("time", 1, Flags::LOADING.with(Flags::STALE).with(Flags::FAST))
        .docs(Group::Server, "2.6.0", "O(1)", "", "Tells the time: Unix seconds, and microseconds beside them.")
        .tips(&["nondeterministic_output"]),
    Command::server(
        "shutdown",
        -1,
        Flags::ADMIN
            .with(Flags::NOSCRIPT)
            .with(Flags::LOADING)
            .with(Flags::STALE)
            .with(Flags::NO_MULTI)
            .with(Flags::ALLOW_BUSY),
    )
    .docs(
        Group::Server,
        "1.0.0",
        "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
        "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
        "Ends the server.",
    ),
    Command::server("lolwut", -1, Flags::READONLY.with(Flags::FAST)).docs(
        Group::Server,
        "5.0.0",
        "O(N) where N is the number of characters drawn",
        "[VERSION version]",
        "Draws something.",
    ),
    Command::server("cmdstat", -1, Flags::LOADING.with(Flags::STALE)).acl(Categories::DANGEROUS).docs(
        Group::Server,
        "7.2.4",
        "O(N) where N is the number of commands shown",
        "[command [command ...]]",
        "RustRedis only: shows calls, time and errors of commands, and what counting them cost.",
    ),
];

fn time(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = now_us();
    reply.array(2);
    reply.bulk_int((now / 1_000_000) as i64);
    reply.bulk_int((now % 1_000_000) as i64);
    Ok(())
}

/// There is no reply unless it fails: the connection closes, as all do.
fn shutdown(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut options = 0;
    let (mut saves, mut saves_not, mut aborts, mut forces, mut is_now) = (false, false, false, false, false);
    for index in 1..args.len() {
        options += 1;
        match () {
            () if args.is(index, "SAVE") => saves = true,
            () if args.is(index, "NOSAVE") => saves_not = true,
            () if args.is(index, "ABORT") => aborts = true,
            () if args.is(index, "FORCE") => forces = true,
            () if args.is(index, "NOW") => is_now = true,
            () => return Err(CommandError::Syntax),
        }
    }
    if saves && saves_not || aborts && options > 1 {
        return Err(CommandError::Syntax);
    }
    let ending = context.server.ending();
    if aborts {
        if !ending.abort() {
            return Err(CommandError::text("ERR No shutdown in progress."));
        }
        reply.ok();
        return Ok(());
    }
    if !saves_not && context.server.gate().has(gate::BUSY) {
        return Err(context.server.scripts().running.busy_error());
    }
    let saves = (saves || saves_not).then_some(saves);
    context.conversation()?.after.wait =
        Some(Wait::End(ending.ask(Wish { saves, is_forced: forces, is_now })));
    Ok(())
}

/// Columns and rows of the drawing.
const DRAWING: (usize, usize) = (66, 16);
/// From dark to bright.
const SHADES: &[u8] = b" .:-=+*#%@";

/// The interference of waves around three random points.
fn lolwut(_: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() >= 3 && args.is(1, "VERSION") {
        args.int(2)?;
    }
    let (columns, rows) = DRAWING;
    let random = view.random();
    let centres: [(f64, f64); 3] =
        std::array::from_fn(|_| (random.below(columns) as f64 / 2.0, random.below(rows) as f64));
    let mut text = String::with_capacity((columns + 1) * rows + 64);
    for row in 0..rows {
        for column in 0..columns {
            // A character is twice as high as it is wide.
            let (x, y) = (column as f64 / 2.0, row as f64);
            let height: f64 = centres.iter().map(|(cx, cy)| (x - cx).hypot(y - cy).sin()).sum();
            let shade = (height + 3.0) / 6.0 * (SHADES.len() - 1) as f64;
            text.push(char::from(SHADES[(shade.round() as usize).min(SHADES.len() - 1)]));
        }
        text.push('\n');
    }
    text.push_str(&format!(
        "\nThree stones have fallen into a pond; no two falls are alike.\nRedis ver. {REDIS_VERSION}\n"
    ));
    reply.verbatim("txt", &text);
    Ok(())
}

/// A map: `strategy` (how commands are counted and what that cost) and `commands` (by name, those that were called or
/// refused, or of those named).
fn cmdstat(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let server = context.server;
    let cost = server.metrics().cost();
    reply.map(2);
    reply.text("strategy");
    reply.map(cost.fields().len() + 1);
    reply.text("name");
    reply.text(cost.strategy.name());
    for (name, value) in cost.fields() {
        reply.text(name);
        reply.int(i64::try_from(value).unwrap_or(i64::MAX));
    }
    reply.text("commands");
    let rows: Vec<&Row> = if args.len() == 1 {
        server.registry().rows().iter().collect()
    } else {
        (1..args.len()).flat_map(|index| latency::named_rows(server, &args.lossy(index))).collect()
    };
    write_commands(server, &rows, reply);
    Ok(())
}

/// The percentiles that CMDSTAT shows.
const PERCENTILES: [(&str, f64); 4] =
    [("p50_usec", 50.0), ("p95_usec", 95.0), ("p99_usec", 99.0), ("p99.9_usec", 99.9)];

fn write_commands(server: &Server, rows: &[&Row], reply: &mut Reply<'_>) {
    let stats = server.metrics().snapshot();
    let seen: Vec<&Row> = rows.iter().copied().filter(|row| stats[row.id as usize].is_seen()).collect();
    reply.map(seen.len());
    for row in seen {
        let stats = &stats[row.id as usize];
        reply.text(row.full_name);
        reply.map(6 + PERCENTILES.len());
        for (name, value) in [("calls", stats.calls), ("usec", stats.usec())] {
            reply.text(name);
            reply.int(value as i64);
        }
        reply.text("usec_per_call");
        reply.double((stats.usec_per_call() * 1000.0).round() / 1000.0);
        for (name, value) in [("rejected_calls", stats.rejected), ("failed_calls", stats.failed)] {
            reply.text(name);
            reply.int(value as i64);
        }
        for (name, percentile) in PERCENTILES {
            reply.text(name);
            reply.double(stats.histogram.percentile(percentile) as f64 / 1000.0);
        }
        reply.text("max_usec");
        reply.double(stats.histogram.max() as f64 / 1000.0);
    }
}
