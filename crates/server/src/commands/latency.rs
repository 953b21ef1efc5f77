//! LATENCY: what took long and when, and how the time of each command is spread.
//!
//! Events come from the latency monitor (`latency-monitor-threshold`), histograms from the metrics of the commands
//! (`latency-tracking`). Events of this server: `command`, `fast-command`, `expire-cycle`, `eviction-cycle`,
//! `eviction-del`.

use std::fmt::Write;

use rustredis_commands::{Args, Command, CommandError, Flags, Group, Outcome, Row};
use rustredis_keyspace::View;
use rustredis_metrics::{CommandStats, LatencySample};
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::clock::now_ms;
use crate::start::server::Server;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("latency|latest", latest),
        ("latency|history", history),
        ("latency|reset", reset),
        ("latency|doctor", doctor),
        ("latency|graph", graph),
        ("latency|histogram", histogram),
        ("latency|help", help),
    ],
};

const ADMIN: Flags = Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::LOADING).with(Flags::STALE);
const SPECIAL: &[&str] = &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

const ROWS: &[Command] = &[Command::container("latency", -2, SUBCOMMANDS).docs(
    Group::Server,
    "2.8.13",
    "Depends on subcommand.",
    "",
    "Shows what took long, and how the time of commands is spread.",
)];

const SUBCOMMANDS: &[Command] = &[
    Command::server("latest", 2, ADMIN)
        .docs(Group::Server, "2.8.13", "O(1)", "", "Shows the newest spike of each event.")
        .tips(SPECIAL),
    Command::server("history", 3, ADMIN)
        .docs(Group::Server, "2.8.13", "O(1)", "event", "Shows the spikes of an event, the oldest first.")
        .tips(SPECIAL),
    Command::server("reset", -2, ADMIN)
        .docs(Group::Server, "2.8.13", "O(1)", "[event [event ...]]", "Forgets the spikes of events.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Command::server("doctor", 2, ADMIN)
        .docs(Group::Server, "2.8.13", "O(1)", "", "Says in words what took long and where to look.")
        .tips(SPECIAL),
    Command::server("graph", 3, ADMIN)
        .docs(Group::Server, "2.8.13", "O(1)", "event", "Draws the spikes of an event.")
        .tips(SPECIAL),
    Command::server("histogram", -2, ADMIN)
        .docs(
            Group::Server,
            "7.0.0",
            "O(N) where N is the number of commands with latency information being retrieved.",
            "[command [command ...]]",
            "Shows how the time of commands is spread.",
        )
        .tips(SPECIAL),
    Command::server("help", 2, Flags::LOADING.with(Flags::STALE)).docs(
        Group::Server,
        "2.8.13",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
];

fn latest(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let events = context.server.latency().latest();
    reply.array(events.len());
    for event in events {
        reply.array(4);
        reply.text(event.event);
        reply.int(event.latest.unix_time_s);
        reply.int(event.latest.ms as i64);
        reply.int(event.max_ms as i64);
    }
    Ok(())
}

fn history(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let samples = context.server.latency().history(args.get(2));
    reply.array(samples.len());
    for sample in samples {
        reply.array(2);
        reply.int(sample.unix_time_s);
        reply.int(sample.ms as i64);
    }
    Ok(())
}

fn reset(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let names: Vec<&[u8]> = args.from(2).collect();
    reply.count(context.server.latency().reset(&names));
    Ok(())
}

fn doctor(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.verbatim("txt", &context.server.latency().doctor());
    Ok(())
}

fn graph(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let samples = context.server.latency().history(args.get(2));
    if samples.is_empty() {
        return Err(CommandError::quoting("ERR No samples available for event '", args.get(2), "'"));
    }
    let drawn = draw(&args.lossy(2), &samples, (now_ms() / 1000) as i64);
    reply.verbatim("txt", &drawn);
    Ok(())
}

/// Rows of a drawing, without its legend.
const GRAPH_ROWS: u64 = 4;

/// A bar for each sample, and under it, from top to bottom, how long ago it was.
fn draw(event: &str, samples: &[LatencySample], now_s: i64) -> String {
    let ms = samples.iter().map(|sample| sample.ms);
    let (low, high) = (ms.clone().min().unwrap_or(0), ms.max().unwrap_or(0));
    let mut text = format!("{event} - high {high} ms, low {low} ms\n{}\n", "-".repeat(80));
    let mut row = |of: &dyn Fn(usize) -> char| {
        let line: String = (0..samples.len()).map(of).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", line.trim_end());
    };
    let height = |sample: &LatencySample| 1 + (sample.ms - low) * (GRAPH_ROWS - 1) / (high - low).max(1);
    for level in (1..=GRAPH_ROWS).rev() {
        row(&|column| if height(&samples[column]) >= level { '#' } else { ' ' });
    }
    row(&|_| '-');
    let ages: Vec<Vec<char>> = samples
        .iter()
        .map(|sample| age(now_s.saturating_sub(sample.unix_time_s)).chars().collect())
        .collect();
    for line in 0..ages.iter().map(Vec::len).max().unwrap_or(0) {
        row(&|column| ages[column].get(line).copied().unwrap_or(' '));
    }
    text
}

/// A time that has passed, in the largest unit that fits.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

fn histogram(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let server = context.server;
    let stats = server.metrics().snapshot();
    let rows: Vec<&Row> = if args.len() == 2 {
        server.registry().rows().iter().collect()
    } else {
        (2..args.len()).flat_map(|index| named_rows(server, &args.lossy(index))).collect()
    };
    let shown: Vec<(&Row, &CommandStats)> = rows
        .into_iter()
        .map(|row| (row, &stats[row.id as usize]))
        .filter(|(_, stats)| !stats.histogram.is_empty())
        .collect();
    reply.map(shown.len());
    for (row, stats) in shown {
        reply.text(row.full_name);
        reply.map(2);
        reply.text("calls");
        reply.int(stats.histogram.count() as i64);
        reply.text("histogram_usec");
        let buckets = stats.histogram.cumulative_usec();
        reply.map(buckets.len());
        for (usec, count) in buckets {
            reply.int(usec as i64);
            reply.int(count as i64);
        }
    }
    Ok(())
}

/// The command of this name with its subcommands; nothing if there is none.
pub(super) fn named_rows<'a>(server: &'a Server, name: &str) -> Vec<&'a Row> {
    let Some(row) = server.registry().find_full(name) else { return Vec::new() };
    std::iter::once(row).chain(row.subcommands().map(|id| server.registry().row(id))).collect()
}

fn help(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    super::help(
        reply,
        "LATENCY",
        &[
            "DOCTOR",
            "    Say in words what took long.",
            "GRAPH <event>",
            "    Draw the spikes of an event.",
            "HISTORY <event>",
            "    Show the spikes of an event: Unix time and milliseconds.",
            "LATEST",
            "    Show for each event: its name, Unix time and milliseconds of the newest spike, and the worst.",
            "RESET [<event> ...]",
            "    Forget the spikes of these events, or of all.",
            "HISTOGRAM [<command> ...]",
            "    Show how many calls of these commands, or of all, took no longer than so many microseconds.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_has_a_bar_and_an_age_for_each_sample() {
        let samples =
            [(100, 10), (130, 40), (158, 25)].map(|(unix_time_s, ms)| LatencySample { unix_time_s, ms });
        let rule = "-".repeat(80);
        let expected = format!("fork - high 40 ms, low 10 ms\n{rule}\n #\n #\n ##\n###\n---\n521\n99s\nss\n");
        assert_eq!(draw("fork", &samples, 159), expected);
        assert_eq!(
            (age(59), age(60), age(7200), age(200_000)),
            ("59s".into(), "1m".into(), "2h".into(), "2d".into())
        );
    }
}
