//! The first page: what somebody wants to know who has thirty seconds. Five sentences, and what to choose for which load.
//!
//! Each sentence is computed; none is written for a run. What was judged is told as it was judged, and a sentence whose
//! cells were not measured says so.

use std::collections::BTreeMap;

use super::efficiency::{self, CLIENTS, Load};
use super::table::Table;
use super::words::{short, with_interval};
use crate::cell::{Cell, Setup, Tail, Tcp};
use crate::claims::finding::{Finding, Judged, Verdict, times, times_interval};
use crate::data::Data;
use crate::matrix::Threads;
use crate::plan::DEFAULT_ENGINE;
use crate::rules::{Figure, Rules};

const REDIS: &str = "redis";
/// The workload that stands for all.
const WORKLOAD: &str = "uniform";
/// Most servers and loads that a sentence names of each side.
const NAMED_MAX: usize = 4;

/// A question, and its answer.
pub(super) struct Sentence {
    /// In a few words.
    pub(super) head: &'static str,
    /// The answer.
    pub(super) text: String,
}

/// The five.
pub(super) fn sentences(data: &Data, findings: &[Finding]) -> [Sentence; 5] {
    let loads = efficiency::loads(data);
    let said = |text: Option<String>| text.unwrap_or_else(|| "This run did not measure it.".to_owned());
    [
        Sentence { head: "The cheapest request", text: said(cheapest(data, &loads)) },
        Sentence { head: "Throughput as it comes", text: said(by_default(data, &loads)) },
        Sentence { head: "Tails at equal load", text: said(tails(data, findings)) },
        Sentence { head: "What this machine cannot show", text: hidden(data, findings) },
        Sentence { head: "What durability costs", text: said(durability(data)) },
    ]
}

/// The load that stands for all with this pipeline: as near as possible to [`CLIENTS`].
fn standing<'a, 'b>(loads: &'a [Load<'b>], is_wanted: impl Fn(usize) -> bool) -> Option<&'a Load<'b>> {
    let wanted = loads.iter().filter(|load| load.workload == WORKLOAD && is_wanted(load.pipeline));
    wanted.min_by_key(|load| (load.clients.abs_diff(CLIENTS), usize::MAX - load.pipeline))
}

fn cheapest(data: &Data, loads: &[Load<'_>]) -> Option<String> {
    let plain = standing(loads, |pipeline| pipeline == 1);
    let piped = standing(loads, |pipeline| pipeline > 1);
    let words: Vec<String> =
        plain.into_iter().chain(piped).filter_map(|load| cheapest_of(data, load)).collect();
    (!words.is_empty()).then(|| format!("{}.", words.join("; ")))
}

fn cheapest_of(data: &Data, load: &Load<'_>) -> Option<String> {
    let best = load.servers.first()?;
    let how = match load.pipeline {
        1 => format!("Without pipelining ({} clients)", load.clients),
        many => format!("in pipelines of {many}"),
    };
    let beside = match load.of(REDIS).filter(|redis| redis.cell != best.cell) {
        Some(redis) => {
            let ratio = data.ratio(redis.cell, best.cell, Figure::ServerUs);
            format!(", redis-server's {} ({})", short(redis.us.median), times_interval(ratio))
        }
        None => String::new(),
    };
    let as_good = as_good(data, load);
    let alike = if as_good.is_empty() {
        String::new()
    } else {
        format!(" (not shown to cost a tenth more: {})", as_good.join(", "))
    };
    let name = &best.setup.label;
    Some(format!("{how}, {name} is cheapest{alike}: {} µs of CPU{beside}", with_interval(&best.us)))
}

fn by_default(data: &Data, loads: &[Load<'_>]) -> Option<String> {
    let matrix = &data.settings.matrix;
    let threads = matrix.threads(Threads::Default);
    let is_default = |setup: &Setup| setup.name() == DEFAULT_ENGINE && setup.serving_threads() == threads;
    let load = standing(loads, |pipeline| pipeline == 1)?;
    let ours = load.servers.iter().find(|server| is_default(server.setup))?;
    let rate = |cell: &Cell| data.interval(cell, Figure::Throughput).map(|found| found.median / 1e3);
    let mut text = format!(
        "{} with {threads} {} answers {} thousand requests/s to {} clients",
        ours.setup.name(),
        if threads == 1 { "thread, its default here," } else { "threads, its default here," },
        short(rate(ours.cell)?),
        load.clients
    );
    let mut cells = vec![ours.cell];
    if let Some(redis) = load.of(REDIS) {
        cells.push(redis.cell);
        let ratio = data.ratio(ours.cell, redis.cell, Figure::Throughput);
        text += &format!(", redis-server {}: {}", short(rate(redis.cell)?), times_interval(ratio));
    }
    match cells.into_iter().filter_map(|cell| efficiency::full(data, cell)).reduce(f64::max) {
        Some(share) => {
            text += &format!(
                ". Up to {:.0}% of the {} cores were busy, the generator's too: that is efficiency, not parallelism.",
                share.min(1.0) * 100.0,
                matrix.cores
            );
        }
        None => text.push('.'),
    }
    Some(text)
}

/// Where a statement stands on an open loop of a server against redis-server: (clients, percent of the peak).
fn equal_load<'a>(data: &'a Data, judged: &Judged) -> Option<(&'a Tail, bool)> {
    let cell = |id: &str| match data.settings.cells.get(id) {
        Some(Cell::Tail(tail)) => Some(tail),
        _ => None,
    };
    let (left, right) = (cell(&judged.left)?, cell(&judged.right)?);
    match (left.setup.name(), right.setup.name()) {
        (REDIS, REDIS) => None,
        (_, REDIS) => Some((left, true)),
        (REDIS, _) => Some((right, false)),
        _ => None,
    }
}

/// Who has the lower figure, as far as it was judged: `Some(true)` for the left side.
fn lower(judged: &Judged) -> Option<bool> {
    let ratio = judged.ratio?;
    match judged.verdict {
        Verdict::Holds | Verdict::HoldsLess | Verdict::OtherWayRound => Some(ratio.median < 1.0),
        Verdict::NoDifference | Verdict::Undecided | Verdict::Untestable => None,
    }
}

fn tails(data: &Data, findings: &[Finding]) -> Option<String> {
    let statements = findings.iter().flat_map(|finding| &finding.statements);
    let judged = statements.filter(|judged| judged.figure == Figure::P99);
    let (mut all, mut alike, mut untestable, mut uncorrected) = (0, 0, 0, 0);
    let (mut ours, mut redis) = (Wins::default(), Wins::default());
    for judged in judged {
        let Some((tail, is_left)) = equal_load(data, judged) else { continue };
        all += 1;
        alike += usize::from(judged.verdict == Verdict::NoDifference);
        untestable += usize::from(judged.verdict == Verdict::Untestable);
        let Some(ratio) = judged.ratio else { continue };
        let ratio = if is_left { ratio } else { ratio.map(|ratio| 1.0 / ratio) };
        match lower(judged) {
            Some(is_lower) if is_lower == is_left => ours.add(tail, ratio.median),
            Some(_) => redis.add(tail, ratio.median),
            None => continue,
        }
        uncorrected += usize::from(!judged.decides);
    }
    if all == 0 {
        return None;
    }
    let undecided = all - ours.count - redis.count - alike - untestable;
    let mut text = format!(
        "In {all} comparisons of p99 with redis-server RustRedis wins {}; redis-server wins {}",
        ours.words(),
        redis.words()
    );
    if uncorrected > 0 {
        text += &format!(
            "; {uncorrected} of these are of statements that inform, not corrected for their number"
        );
    }
    for (count, what) in [
        (alike, "show no difference of a tenth"),
        (undecided, "are undecided"),
        (untestable, "are untestable here"),
    ] {
        if count > 0 {
            text += &format!("; {count} {what}");
        }
    }
    Some(text + ".")
}

/// Comparisons that one side won, by server and clients.
#[derive(Default)]
struct Wins {
    count: usize,
    places: BTreeMap<(usize, String), Vec<String>>,
}

impl Wins {
    fn add(&mut self, tail: &Tail, ratio: f64) {
        self.count += 1;
        let place = self.places.entry((tail.clients, tail.setup.label.clone())).or_default();
        place.push(format!("{} at {}%", times(ratio), tail.percent));
    }

    fn words(&self) -> String {
        let place = |((clients, label), ratios): (&(usize, String), &Vec<String>)| {
            format!("{label} with {clients} clients {}", ratios.join(", "))
        };
        match self.count {
            0 => "none".to_owned(),
            count => {
                let named: Vec<String> = self.places.iter().take(NAMED_MAX).map(place).collect();
                let more = if self.places.len() > NAMED_MAX { "; and more" } else { "" };
                format!("{count} ({}{more})", named.join("; "))
            }
        }
    }
}

/// Reasons that name cells behind them, for which they are the same reason.
const OF_CELLS: [&str; 3] = ["machine-bound", "generator-bound", "sent too late"];

/// Why a statement is untestable. The note of one begins with its reason; what else is known of it follows.
fn reason(note: &str) -> &str {
    let reason = note.split("; ").next().unwrap_or_default();
    OF_CELLS.into_iter().find(|of| reason.starts_with(of)).unwrap_or(reason)
}

fn hidden(data: &Data, findings: &[Finding]) -> String {
    let statements = || findings.iter().flat_map(|finding| &finding.statements);
    let untestable = || statements().filter(|judged| judged.verdict == Verdict::Untestable);
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for judged in untestable() {
        *reasons.entry(reason(&judged.note)).or_default() += 1;
    }
    let mut reasons: Vec<(&str, usize)> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| usize::MAX - count);
    let cores = data.settings.matrix.cores;
    let closed = data
        .settings
        .cells
        .values()
        .filter(|cell| matches!(cell, Cell::Tcp(_)) && !data.measures(cell).is_empty());
    let (mut all, mut full) = (0, 0);
    for cell in closed {
        all += 1;
        full += usize::from(efficiency::full(data, cell).is_some());
    }
    let mut text = format!(
        "{} of {} statements are untestable on {cores} cores",
        untestable().count(),
        statements().count()
    );
    let shown: Vec<String> = reasons.iter().take(2).map(|(why, count)| format!("{why}: {count}")).collect();
    if !shown.is_empty() {
        text += &format!(" ({})", shown.join("; "));
    }
    text + &match full {
        0 => format!("; none of {all} closed loops filled the machine."),
        _ => format!(
            "; {full} of {all} closed loops filled the machine in a trial or more: their throughput decides nothing."
        ),
    }
}

/// A write's load with an `appendfsync` or none, on one server; `None` where that was not measured.
fn write_cell<'d>(data: &'d Data, load: &Tcp, server: &str, policy: Option<&str>) -> Option<&'d Cell> {
    data.settings.cells.values().find(|cell| {
        let Cell::Tcp(tcp) = cell else { return false };
        let is_same =
            (&tcp.workload, tcp.clients, tcp.pipeline) == (&load.workload, load.clients, load.pipeline);
        let options = &tcp.setup.options;
        let has = |wanted: &str| options.iter().any(|option| option == wanted);
        let is_wanted = policy.map_or(!has("yes"), |policy| has("yes") && has(policy));
        let has_threads = server == REDIS || tcp.setup.threads == load.setup.threads;
        is_same && is_wanted && has_threads && tcp.setup.name() == server && !data.measures(cell).is_empty()
    })
}

fn durability(data: &Data) -> Option<String> {
    let always = |cell: &'_ Cell| match cell {
        Cell::Tcp(tcp) => {
            let is_always = tcp.setup.options.iter().any(|option| option == "always");
            (is_always && tcp.setup.name() == DEFAULT_ENGINE).then(|| tcp.clone())
        }
        _ => None,
    };
    let mut loads: Vec<Tcp> = data.settings.cells.values().filter_map(always).collect();
    loads.sort_by_key(|load| std::cmp::Reverse(load.clients));
    let against = |load: &Tcp, policy: &str| {
        let (cell, base) = (
            write_cell(data, load, DEFAULT_ENGINE, Some(policy))?,
            write_cell(data, load, DEFAULT_ENGINE, None)?,
        );
        let us = data.ratio(cell, base, Figure::ServerUs)?;
        let rate = data.ratio(cell, base, Figure::Throughput)?;
        Some(format!(
            "appendfsync {policy} takes {} of the CPU per write and leaves {:.0}% ({:.0} to {:.0}) of the throughput",
            times_interval(Some(us)),
            rate.median * 100.0,
            rate.low * 100.0,
            rate.high * 100.0
        ))
    };
    let of_load = |load: &Tcp| {
        let policies: Vec<String> =
            ["everysec", "always"].into_iter().filter_map(|policy| against(load, policy)).collect();
        let redis = write_cell(data, load, REDIS, Some("always"))
            .and_then(|redis| {
                let ours = write_cell(data, load, DEFAULT_ENGINE, Some("always"))?;
                let ratio = data.ratio(ours, redis, Figure::Throughput)?;
                Some(format!(", {} of redis-server's throughput with it", times_interval(Some(ratio))))
            })
            .unwrap_or_default();
        let clients =
            if load.clients == 1 { "1 client".to_owned() } else { format!("{} clients", load.clients) };
        (!policies.is_empty()).then(|| format!("with {clients} {}{redis}", policies.join(", ")))
    };
    let all: Vec<String> = loads.iter().filter_map(of_load).collect();
    (!all.is_empty()).then(|| format!("Beside no AOF, {}.", all.join("; ")))
}

/// The servers that were not shown to cost a tenth more than the cheapest.
fn as_good<'a>(data: &Data, load: &'a Load<'_>) -> Vec<&'a str> {
    let difference = Rules::frozen().limits.difference;
    let Some(best) = load.servers.first() else { return Vec::new() };
    let ratio = |cell: &Cell| data.ratio(cell, best.cell, Figure::ServerUs);
    let others = load.servers.iter().skip(1);
    let as_good = others.filter(|server| ratio(server.cell).is_none_or(|ratio| ratio.low < difference));
    as_good.map(|server| server.setup.label.as_str()).collect()
}

/// What to choose: for each load the cheapest server, and those that were not shown to cost a tenth more.
pub(super) fn choices(data: &Data) -> Table {
    let columns =
        ["load", "cheapest", "CPU per request, µs", "not shown to cost a tenth more", "redis-server"];
    let mut table = Table::new("", &columns);
    for load in efficiency::loads(data) {
        let Some(best) = load.servers.first() else { continue };
        let ratio = |cell: &Cell| data.ratio(cell, best.cell, Figure::ServerUs);
        let as_good = as_good(data, &load);
        let redis = match load.of(REDIS) {
            Some(redis) if redis.cell == best.cell => "cheapest".to_owned(),
            Some(redis) => times_interval(ratio(redis.cell)),
            None => "–".to_owned(),
        };
        table.rows.push(vec![
            load.words(),
            best.setup.label.clone(),
            with_interval(&best.us),
            if as_good.is_empty() { "–".to_owned() } else { as_good.join(", ") },
            redis,
        ]);
    }
    table.note = "The cheapest is the one with the least CPU time of the server per request; T is the number of serving threads. \
                  redis-server: its CPU time as a multiple of the cheapest, with the interval of the ratio."
        .to_owned();
    table
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::made_up;

    fn said(redis: f64) -> [Sentence; 5] {
        let factor = |label: &str| if label.starts_with(REDIS) { redis } else { 1.0 };
        let data = made_up::run(PathBuf::new(), 1, factor);
        sentences(&data, &crate::claims::answers(&data))
    }

    #[test]
    fn reasons_are_counted_without_what_follows_them() {
        let note = "sent too late: in 16 of 30 trials of tail redis; 17 of 42 trials were disturbed";
        assert_eq!(reason(note), "sent too late");
        assert_eq!(reason("valkey is not here; 3 of 8 trials were disturbed"), "valkey is not here");
        assert_eq!(reason("more threads than the 2 cores"), "more threads than the 2 cores");
    }

    #[test]
    fn sentences_say_who_wins() {
        let [cheapest, by_default, tails, ..] = said(2.0).map(|said| said.text);
        assert!(cheapest.contains("redis-server's 2.0") && !cheapest.contains("redis is"), "{cheapest}");
        assert!(by_default.contains("dashmap with 1 thread, its default here"), "{by_default}");
        assert!(tails.contains("redis-server wins none"), "{tails}");
        let [cheapest, _, tails, ..] = said(0.5).map(|said| said.text);
        assert!(cheapest.contains("redis is cheapest"), "{cheapest}");
        assert!(tails.contains("RustRedis wins none; redis-server wins"), "{tails}");
    }
}
