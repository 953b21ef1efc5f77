//! docs/PERFORMANCE.md, from what was measured and from nothing else.
//!
//! Ratios are to the first server, by rounds, with the interval of the lab's statistics; above 1 the other one costs more, waits
//! longer or takes more. What another program does better by a tenth or more stands in a list of its own, before the tables: a
//! reader who looks for it must not have to search.

use std::fmt::Write as _;

use super::commands::ROWS;
use super::raw::{Cost, Raw, Server, Tail};
use super::timing::{PIPELINES, TAIL_CLIENTS, TAIL_PERCENTS};
use crate::cell::DISTURBED;
use crate::report::words;
use crate::stats::{self, Key};

/// Differences below this are none.
const TENTH: f64 = 0.1;
/// Commands whose throughput is shown as well.
const SHOWN_RATES: [&str; 2] = ["GET", "SET"];

/// By repetitions; all are of one session.
type Series = Vec<(Key, f64)>;

/// A figure of two servers, judged.
struct Pair {
    what: String,
    server: String,
    ratio: f64,
    verdict: Verdict,
}

/// Of the server that is not the first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Better,
    /// Or undecided.
    Same,
    Worse,
}

/// The document.
pub fn render(raw: &Raw) -> String {
    let mut out = String::new();
    let Some(first) = raw.servers.first() else { return out };
    head(&mut out, raw, first);
    let pairs = pairs(raw, first);
    summary(&mut out, raw, first, &pairs);
    wins(&mut out, raw, first, &pairs);
    costs(&mut out, raw, first);
    rates(&mut out, raw);
    tails(&mut out, raw, first);
    memory(&mut out, raw, first);
    method(&mut out, raw);
    out
}

/// Writing to a String cannot fail.
macro_rules! line {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($format:tt)*) => {{ let _ = writeln!($out, $($format)*); }};
}

fn head(out: &mut String, raw: &Raw, first: &Server) {
    line!(out, "# Performance, beside the peers\n");
    let is_draft = raw.foreign_cores >= DISTURBED;
    if is_draft {
        line!(
            out,
            "> **A draft.** While time was measured, others used {:.2} processors of this machine on average: costs and latencies are \
             those of a busy machine, and only what is far apart means something.\n",
            raw.foreign_cores
        );
    }
    line!(
        out,
        "Measured and written by `rustredis-lab peers` on {}, in {:.1} minutes, by this command:\n\n```\n{}\n```\n",
        date(raw.unix_seconds),
        raw.seconds / 60.0,
        raw.command
    );
    line!(
        out,
        "Ratios are to **{}**, by rounds, with their 95% interval: above 1 the other server costs more, waits longer or takes more. \
         What is less by a tenth or more is **bold**.\n",
        first.name
    );
    let machine: Vec<String> = raw.machine.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    line!(out, "Machine: {}. The load generator ran on the same cores.\n", machine.join("; "));
    line!(out, "| server | version | options |\n|---|---|---|");
    for server in &raw.servers {
        let options =
            if server.options.is_empty() { String::new() } else { format!("`{}`", server.options.join(" ")) };
        line!(out, "| {} | {} | {options} |", server.name, server.version.replace('|', "/"));
    }
    line!(out);
    if !raw.missing.is_empty() {
        line!(out, "Not installed there, and so not compared: {}.\n", raw.missing.join(", "));
    }
}

/// Everything that is compared, of every server but the first.
fn pairs(raw: &Raw, first: &Server) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for server in raw.servers.iter().skip(1) {
        let mut add = |what: String, judged: Option<(f64, Verdict)>| {
            let pair =
                judged.map(|(ratio, verdict)| Pair { what, server: server.name.clone(), ratio, verdict });
            pairs.extend(pair);
        };
        for pipeline in PIPELINES {
            for row in ROWS {
                let of = |name: &str| cost_series(raw, name, row.name, pipeline, |cost| cost.cpu_us);
                add(
                    format!("CPU of {} at P{pipeline}", row.name),
                    judged(&of(&server.name), &of(&first.name)),
                );
            }
        }
        for clients in TAIL_CLIENTS {
            for percent in TAIL_PERCENTS {
                for (name, figure) in TAIL_FIGURES {
                    let of = |server: &str| tail_series(raw, server, clients, percent, figure);
                    let what = format!("{name} of {clients} clients at {percent}%");
                    add(what, judged(&of(&server.name), &of(&first.name)));
                }
            }
        }
        for shape in shapes(raw) {
            let ratio = kept_bytes(raw, &server.name, shape).zip(kept_bytes(raw, &first.name, shape));
            let ratio = ratio.map(|(other, own)| other / own);
            add(format!("bytes per {shape}"), ratio.map(|ratio| (ratio, verdict(ratio, ratio, ratio))));
        }
    }
    pairs
}

fn judged(other: &[(Key, f64)], own: &[(Key, f64)]) -> Option<(f64, Verdict)> {
    let ratio = stats::ratio(other, own)?;
    Some((ratio.median, verdict(ratio.low, ratio.median, ratio.high)))
}

/// Better or worse by a tenth, with the whole interval on that side of 1.
fn verdict(low: f64, median: f64, high: f64) -> Verdict {
    if high < 1.0 && median <= 1.0 - TENTH {
        Verdict::Better
    } else if low > 1.0 && median >= 1.0 + TENTH {
        Verdict::Worse
    } else {
        Verdict::Same
    }
}

/// Kinds of figures, with the word that each `what` begins with.
const KINDS: [(&str, &str); 3] =
    [("CPU per request", "CPU"), ("latency at equal rates", "p"), ("memory", "bytes")];

fn summary(out: &mut String, raw: &Raw, first: &Server, pairs: &[Pair]) {
    line!(out, "## In short\n");
    line!(out, "How often {} is better / the same within a tenth or undecided / worse:\n", first.name);
    line!(out, "| beside | {} |", KINDS.map(|(title, _)| title).join(" | "));
    line!(out, "|---|{}", "---|".repeat(KINDS.len()));
    for server in raw.servers.iter().skip(1) {
        let cells = KINDS.map(|(_, begin)| {
            let of = pairs.iter().filter(|pair| pair.server == server.name && pair.what.starts_with(begin));
            let of: Vec<Verdict> = of.map(|pair| pair.verdict).collect();
            let count = |wanted| of.iter().filter(|verdict| **verdict == wanted).count();
            if of.is_empty() {
                return "–".to_owned();
            }
            format!("{} / {} / {}", count(Verdict::Worse), count(Verdict::Same), count(Verdict::Better))
        });
        line!(out, "| {} | {} |", server.name, cells.join(" | "));
    }
    line!(out);
}

fn wins(out: &mut String, raw: &Raw, first: &Server, pairs: &[Pair]) {
    let (own, others): (Vec<_>, Vec<_>) =
        raw.servers.iter().skip(1).partition(|server| server.program == first.program);
    for (title, servers) in [
        (format!("Where another program is ahead of {}", first.name), others),
        (format!("Where another engine or option of the same program is ahead of {}", first.name), own),
    ] {
        if servers.is_empty() {
            continue;
        }
        line!(out, "## {title}\n");
        for server in servers {
            let of =
                pairs.iter().filter(|pair| pair.server == server.name && pair.verdict == Verdict::Better);
            let list: Vec<String> = of.map(|pair| format!("{} {:.2}×", pair.what, pair.ratio)).collect();
            let list =
                if list.is_empty() { "nowhere by a tenth or more".to_owned() } else { list.join(", ") };
            line!(out, "- **{}**: {list}.", server.name);
        }
        line!(out);
    }
}

fn costs(out: &mut String, raw: &Raw, first: &Server) {
    line!(out, "## CPU per request\n");
    line!(
        out,
        "Processor time of the server, user and system, per request; {} connections, closed loop, requests under way per connection \
         1 (P1), 16 or 64. Medians of {} rounds of {:.0} ms in turn.\n",
        raw.clients,
        raw.rounds,
        raw.cost_seconds * 1e3
    );
    for pipeline in PIPELINES {
        table_head(out, &format!("P{pipeline}"), raw.servers.iter());
        for row in ROWS {
            let of = |name: &str| cost_series(raw, name, row.name, pipeline, |cost| cost.cpu_us);
            let own = of(&first.name);
            let cells = raw.servers.iter().enumerate().map(|(index, server)| {
                let other = of(&server.name);
                if raw.is_absent(&server.name, row.name) {
                    "absent".to_owned()
                } else if other.is_empty() {
                    "failed".to_owned()
                } else if index == 0 || own.is_empty() {
                    format!("{:.2} us", median(&other))
                } else {
                    ratio_text(&other, &own)
                }
            });
            line!(out, "| {} | {} |", row.name, cells.collect::<Vec<_>>().join(" | "));
        }
        line!(out);
    }
}

fn rates(out: &mut String, raw: &Raw) {
    line!(out, "## Throughput, for orientation\n");
    line!(
        out,
        "Requests a second and the processors that the server used for them, in the same rounds. On a machine whose cores the generator \
         shares, a server that needs little leaves more to the generator: CPU per request says what is the server's own. I/O threads \
         turn while they wait, so their processors are used whether there is something to do or not.\n"
    );
    table_head(out, "command", raw.servers.iter());
    for command in SHOWN_RATES {
        for pipeline in PIPELINES {
            let cells = raw.servers.iter().map(|server| {
                let of = |figure: fn(&Cost) -> f64| {
                    median(&cost_series(raw, &server.name, command, pipeline, figure))
                };
                format!("{}/s, {:.2}", thousands(of(|cost| cost.rate)), of(|cost| cost.cores))
            });
            line!(out, "| {command} P{pipeline} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }
    line!(out);
}

/// A percentile and where it stands.
type TailFigure = (&'static str, fn(&Tail) -> f64);

const TAIL_FIGURES: [TailFigure; 3] =
    [("p50", |tail| tail.p50_us), ("p99", |tail| tail.p99_us), ("p99.9", |tail| tail.p999_us)];

fn tails(out: &mut String, raw: &Raw, first: &Server) {
    line!(out, "## Latency at equal rates\n");
    line!(
        out,
        "80% GET and 20% SET of 64 bytes over 100,000 keys, open loop: every server gets the same requests a second, {} of the slowest \
         server's peak, at the times of a Poisson process, and a request's time counts from when it should have been sent; how late the \
         generator sent stands below, and is part of it. Medians of {} rounds of {:.0} ms in turn.\n",
        TAIL_PERCENTS.map(|percent| format!("{percent}%")).join(", "),
        raw.rounds,
        raw.tail_seconds * 1e3
    );
    for clients in TAIL_CLIENTS {
        table_head(out, &format!("{clients} clients"), raw.servers.iter());
        for percent in TAIL_PERCENTS {
            let rate = raw.tails.iter().find(|tail| tail.clients == clients && tail.percent == percent);
            let Some(rate) = rate.map(|tail| tail.rate) else { continue };
            for (name, figure) in TAIL_FIGURES {
                let of = |server: &str| tail_series(raw, server, clients, percent, figure);
                let own = of(&first.name);
                let cells = raw.servers.iter().enumerate().map(|(index, server)| {
                    let other = of(&server.name);
                    let ms = median(&other) / 1e3;
                    if other.is_empty() {
                        "failed".to_owned()
                    } else if index == 0 || own.is_empty() {
                        format!("{ms:.2} ms")
                    } else {
                        format!("{ms:.2}, {}", ratio_text(&other, &own))
                    }
                });
                let cells: Vec<String> = cells.collect();
                line!(out, "| {percent}%, {}/s: {name} | {} |", thousands(rate), cells.join(" | "));
            }
            let late = raw.servers.iter().map(|server| {
                let late = tail_series(raw, &server.name, clients, percent, |tail| tail.late_p99_us);
                format!("{:.2}", median(&late) / 1e3)
            });
            line!(out, "| *sent late, p99* | {} |", late.collect::<Vec<_>>().join(" | "));
        }
        line!(out);
    }
}

fn memory(out: &mut String, raw: &Raw, first: &Server) {
    if raw.memory.is_empty() {
        return;
    }
    line!(out, "## Memory per key\n");
    line!(
        out,
        "Growth of the resident memory of a fresh server in bytes, by key, or by element of a big collection: {} strings, or as many \
         elements, or fewer keys where each has several. Each program once, with its first options.\n",
        words::thousands(raw.keys as f64)
    );
    let programs: Vec<&Server> = raw
        .servers
        .iter()
        .filter(|server| raw.memory.iter().any(|memory| memory.server == server.name))
        .collect();
    table_head(out, "bytes per", programs.iter().copied());
    for shape in shapes(raw) {
        let own = kept_bytes(raw, &first.name, shape);
        let cells = programs.iter().map(|server| {
            let entry =
                raw.memory.iter().find(|memory| memory.server == server.name && memory.shape == shape);
            match (entry.map(|memory| memory.bytes), own) {
                (None, _) => "failed".to_owned(),
                (Some(None), _) => "absent".to_owned(),
                (Some(Some(bytes)), Some(own)) if server.name != first.name && own > 0.0 => {
                    let text = format!("{bytes:.0}, {:.2}", bytes / own);
                    if bytes / own <= 1.0 - TENTH { format!("**{text}**") } else { text }
                }
                (Some(Some(bytes)), _) => format!("{bytes:.0}"),
            }
        });
        line!(out, "| {shape} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    line!(out);
}

fn method(out: &mut String, raw: &Raw) {
    line!(out, "## How it was measured\n");
    line!(
        out,
        "- All servers run side by side; in each round and for each load they are measured in turn, in random order, so that a slow moment \
         of the machine hits all alike. What others used of it meanwhile: {:.2} processors.",
        raw.foreign_cores
    );
    line!(
        out,
        "- A command is *absent* where the server answers that it does not know it. Collections keep their size while they are measured: \
         hashes of 5 fields, lists of 100, sets and sorted sets of 150 to 300."
    );
    line!(
        out,
        "- A server that names no threads runs with its own default. Any other binary that speaks Redis's protocol is compared by \
         `rustredis-lab peers NAME=PATH[:OPTIONS] ...`; the raw figures are in `peers.json`, from which `--from` writes this again."
    );
    line!(
        out,
        "- `cargo xtask valkey` fetches and builds the newest Valkey that Debian packages, into `target/peers`; with that directory in \
         PATH it is measured. kevy comes by `cargo install kevy`, where the compiler is new enough for it."
    );
    for failure in &raw.failures {
        line!(out, "- Failed: {failure}");
    }
}

fn table_head<'a>(out: &mut String, what: &str, servers: impl Iterator<Item = &'a Server>) {
    let names: Vec<&str> = servers.map(|server| server.name.as_str()).collect();
    line!(out, "| {what} | {} |", names.join(" | "));
    line!(out, "|---|{}", "---|".repeat(names.len()));
}

/// What a shape takes on a server, where both are there.
fn kept_bytes(raw: &Raw, server: &str, shape: &str) -> Option<f64> {
    let entry = raw.memory.iter().find(|memory| memory.server == server && memory.shape == shape);
    entry.and_then(|memory| memory.bytes).filter(|bytes| *bytes > 0.0)
}

fn cost_series(
    raw: &Raw,
    server: &str,
    command: &str,
    pipeline: usize,
    figure: impl Fn(&Cost) -> f64,
) -> Series {
    let of = raw
        .costs
        .iter()
        .filter(|cost| cost.server == server && cost.command == command && cost.pipeline == pipeline);
    of.map(|cost| ((0, cost.round), figure(cost))).collect()
}

fn tail_series(
    raw: &Raw,
    server: &str,
    clients: usize,
    percent: u32,
    figure: impl Fn(&Tail) -> f64,
) -> Series {
    let of = raw
        .tails
        .iter()
        .filter(|tail| tail.server == server && tail.clients == clients && tail.percent == percent);
    of.map(|tail| ((0, tail.round), figure(tail))).collect()
}

/// The shapes of data, in their order.
fn shapes(raw: &Raw) -> Vec<&str> {
    let mut shapes: Vec<&str> = Vec::new();
    for memory in &raw.memory {
        if !shapes.contains(&memory.shape.as_str()) {
            shapes.push(&memory.shape);
        }
    }
    shapes
}

fn median(series: &[(Key, f64)]) -> f64 {
    stats::median(&series.iter().map(|(_, value)| *value).collect::<Vec<_>>())
}

fn ratio_text(other: &[(Key, f64)], own: &[(Key, f64)]) -> String {
    let Some(ratio) = stats::ratio(other, own) else { return "–".to_owned() };
    let text = format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.low, ratio.high);
    let is_ahead = verdict(ratio.low, ratio.median, ratio.high) == Verdict::Better;
    if is_ahead { format!("**{text}**") } else { text }
}

fn thousands(rate: f64) -> String {
    if rate >= 1e6 { format!("{:.2}M", rate / 1e6) } else { format!("{:.0}k", rate / 1e3) }
}

/// The day, UTC, of a time since 1970 (Hinnant's civil_from_days).
fn date(unix_seconds: u64) -> String {
    let shifted = (unix_seconds / 86_400) as i64 + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::raw::Memory;

    fn server(name: &str, program: &str) -> Server {
        Server {
            name: name.to_owned(),
            program: program.to_owned(),
            version: "1|2".to_owned(),
            options: Vec::new(),
        }
    }

    /// Of two servers: the other one has GET cheaper, SET dearer and no XADD.
    fn raw() -> Raw {
        let mut raw = Raw {
            unix_seconds: 1_795_000_000,
            keys: 1_000_000,
            rounds: 6,
            clients: 50,
            missing: vec!["kevy".to_owned()],
            servers: vec![server("ours", "a"), server("redis", "b"), server("ours 2", "a")],
            absent: vec![("redis".to_owned(), "XADD".to_owned())],
            ..Raw::default()
        };
        for (name, get, set) in [("ours", 1.0, 1.0), ("redis", 0.5, 2.0), ("ours 2", 1.02, 1.0)] {
            for round in 0..6 {
                let slow = 1.0 + f64::from(round) / 10.0;
                for (command, us) in [("GET", get), ("SET", set)] {
                    raw.costs.push(Cost {
                        server: name.to_owned(),
                        command: command.to_owned(),
                        pipeline: 16,
                        round,
                        cpu_us: us * slow,
                        rate: 1e6,
                        cores: 0.5,
                    });
                }
                raw.tails.push(Tail {
                    server: name.to_owned(),
                    clients: 50,
                    percent: 60,
                    rate: 40_000.0,
                    round,
                    p50_us: 100.0 * get,
                    p99_us: 400.0 * set,
                    p999_us: 900.0,
                    late_p99_us: 20.0,
                });
            }
            raw.memory.push(Memory {
                server: name.to_owned(),
                shape: "integer".to_owned(),
                bytes: (name != "ours 2").then_some(100.0 * set),
            });
        }
        raw
    }

    #[test]
    fn who_is_ahead_is_said_first_and_what_is_not_there_as_well() {
        let text = render(&raw());
        for part in [
            "on 2026-11-18",
            "Not installed there, and so not compared: kevy.",
            "| redis | 1 / 0 / 1 | 1 / 1 / 1 | 1 / 0 / 0 |",
            "| ours 2 | 0 / 2 / 0 | 0 / 3 / 0 | – |",
            "- **redis**: CPU of GET at P16 0.50×, p50 of 50 clients at 60% 0.50×.",
            "- **ours 2**: nowhere by a tenth or more.",
            "| GET | 1.25 us | **0.50 (0.50–0.50)** | 1.02 (1.02–1.02) |",
            "| XADD | failed | absent | failed |",
            "| GET P16 | 1.00M/s, 0.50 |",
            "| 60%, 40k/s: p99 | 0.40 ms | 0.80, 2.00 (2.00–2.00) |",
            "| integer | 100 | 200, 2.00 | absent |",
            "| *sent late, p99* | 0.02 | 0.02 | 0.02 |",
            "| redis | 1/2 |",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("A draft"));
        assert!(render(&Raw { foreign_cores: 0.5, ..raw() }).contains("**A draft.**"));
    }

    #[test]
    fn days_and_numbers_are_written_out() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!((thousands(1_857_000.0), thousands(90_400.0)), ("1.86M".to_owned(), "90k".to_owned()));
    }
}
