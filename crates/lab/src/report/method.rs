//! How the figures came about, and how far they may be believed: what a doubting reader asks for.

use super::table::Table;
use super::words::{short, thousands};
use crate::cell::{Cell, InProcess, Measure, TrialEnd};
use crate::claims::finding::{Finding, times_interval};
use crate::data::Data;
use crate::rules::{Figure, Rules};
use crate::stats;

/// How verdicts are to be read.
pub(super) const VERDICTS: &str = "A statement holds if half of the effect that the article names was shown, and a tenth at least; it holds \
less if only its direction was shown, by a tenth. No difference: shown to be less than a tenth. The other way round: the opposite was \
shown, by a tenth. Shown means: by the interval of the ratios of each round, after correction for all statements that decide. \
Undecided: the measurements show none of these. Untestable: this machine could not have shown it.";

/// The rules, and what can be said of all measurements.
pub(super) fn facts(data: &Data, findings: &[Finding]) -> Table {
    let mut table = Table::new("", &["", "here"]);
    let mut say = |name: &str, text: String| table.rows.push(vec![name.to_owned(), text]);
    let rules = Rules::frozen();
    let stand = "crates/lab/rules.toml, frozen before anything was measured";
    if data.settings.rules == rules.hash {
        say("rules", format!("{stand}; SHA-256 {}", rules.hash));
    } else {
        say(
            "rules",
            format!("measured under {}, judged by {}: this is no test", data.settings.rules, rules.hash),
        );
    }
    let rounds = rules.limits.rounds;
    let of = |count: u32| {
        let count = data.settings.matrix.rounds(count);
        format!("{count} (interval right in {:.1}% of cases)", stats::coverage(count as usize) * 100.0)
    };
    say(
        "rounds",
        format!(
            "{} where a statement decides, {} where it informs, {} where a picture is drawn",
            of(rounds.decides),
            of(rounds.informs),
            data.settings.matrix.rounds(rounds.pictures)
        ),
    );
    say("sessions", sessions(data));
    let statements = || findings.iter().flat_map(|finding| &finding.statements);
    say(
        "statements",
        format!(
            "{} decide, corrected together after Holm; {} inform",
            statements().filter(|judged| judged.decides).count(),
            statements().filter(|judged| !judged.decides).count()
        ),
    );
    let apart: Vec<f64> = statements().filter_map(|judged| judged.apart_s).collect();
    if !apart.is_empty() {
        let most = apart.iter().copied().fold(0.0, f64::max);
        say(
            "both sides of a ratio",
            format!("measured {} s apart (median), {} s at most", short(stats::median(&apart)), short(most)),
        );
    }
    if let Some(text) = lateness(data) {
        say("lateness of sending", text);
    }
    if let Some(text) = queued(data) {
        say("server threads ready without a core", text);
    }
    let peaks = data.settings.sessions.iter().flat_map(|session| &session.peaks);
    let peaks: Vec<String> = peaks
        .map(|(name, peak)| format!("{name}: {} requests/s, of {}", thousands(peak.rate), peak.cell))
        .collect();
    if !peaks.is_empty() {
        say("peaks that open loops take shares of", peaks.join("; "));
    }
    table
}

/// Measurements of these cells.
fn measures(data: &Data, is_wanted: impl Fn(&Cell) -> bool) -> Vec<&Measure> {
    let cells = data.settings.cells.values().filter(|cell| is_wanted(cell));
    cells.flat_map(|cell| data.measures(cell)).map(|(_, measure)| measure).collect()
}

/// An open loop's latencies count from when requests were due: what the generator was late is in them.
fn lateness(data: &Data) -> Option<String> {
    let all = measures(data, |cell| matches!(cell, Cell::Tail(_)));
    let late: Vec<f64> = all.iter().map(|measure| measure.late_p99_us).collect();
    let most = late.iter().copied().reduce(f64::max)?;
    let too_late = all.iter().filter(|measure| measure.is_sent_late()).count();
    Some(format!(
        "open loops: 99 of 100 requests were sent no later than {} µs after they were due (median of {} measurements; {} µs at most); \
         {too_late} sent too many too late",
        short(stats::median(&late)),
        late.len(),
        short(most)
    ))
}

/// The kernel's run queue, which is not contention for the server's locks.
fn queued(data: &Data) -> Option<String> {
    let all = measures(data, |cell| matches!(cell, Cell::Tcp(_)));
    let queued: Vec<f64> = all.iter().map(|measure| measure.server_queued_cores).collect();
    let most = queued.iter().copied().reduce(f64::max)?;
    let preempted = |measure: &&Measure| measure.server_preempted as f64 / measure.main.seconds.max(1e-9);
    let preempted: Vec<f64> = all.iter().map(preempted).collect();
    Some(format!(
        "closed loops: {} on average (median; {} at most); the kernel took a core from them {} times a second",
        short(stats::median(&queued)),
        short(most),
        short(stats::median(&preempted))
    ))
}

fn sessions(data: &Data) -> String {
    match data.session_count() {
        1 => "one: what another day or machine would change is not in the intervals, so limits are moved against each verdict"
            .to_owned(),
        count => format!(
            "{count}, a random effect on the logarithm of each statement's ratio; the intervals of single figures, of pictures and \
             of the first page are of all rounds together, and do not hold what sessions differ by"
        ),
    }
}

/// Waiting for locks, and waiting for a processor, which are easily taken for each other; and what telling them costs.
pub(super) fn contention(data: &Data) -> Option<Table> {
    let columns =
        ["engine", "acquisitions that waited", "context switches per 1,000 commands", "speed while measured"];
    let mut table = Table::new("Contention and preemption", &columns);
    for cell in data.settings.cells.values() {
        let Cell::InProcess(inside) = cell else { continue };
        if !inside.contention || data.measures(cell).is_empty() {
            continue;
        }
        let figure = |figure| data.interval(cell, figure).map(|found| found.median);
        let or_dash =
            |value: Option<f64>, words: fn(f64) -> String| value.map_or_else(|| "–".to_owned(), words);
        let plain = Cell::InProcess(InProcess { contention: false, ..inside.clone() });
        let slower = data.ratio(cell, &plain, Figure::Throughput);
        let many = if data.settings.matrix.is_oversubscribed(cell) { ", more than cores" } else { "" };
        table.rows.push(vec![
            format!("{} T{}{many}, {}", inside.engine, inside.threads, inside.workload),
            or_dash(figure(Figure::Contended), |share| format!("{}%", short(share * 100.0))),
            or_dash(figure(Figure::Switches), short),
            slower.map_or_else(|| "–".to_owned(), |ratio| times_interval(Some(ratio))),
        ]);
    }
    table.note = "A thread that lost its core while it held a lock makes all others wait, and no lock is to blame: where \
                  threads are more than cores, waits tell of the scheduler. Speed while measured: throughput with the \
                  instruments as a share of that without."
        .to_owned();
    (!table.rows.is_empty()).then_some(table)
}

/// The order of repetition of one claim, for whoever wants to see it again.
pub(super) fn command(data: &Data, number: u8) -> String {
    let full = if data.settings.matrix.scale == crate::plan::Scale::Full { " --full" } else { "" };
    format!("cargo run --release -p rustredis-lab -- run --only {number} --seed {}{full}", data.settings.seed)
}

/// How many measurements were disturbed, and how many show the generator's limit instead of the server's.
pub(super) fn conditions(data: &Data) -> [(String, String); 2] {
    let count = |is_so: fn(&Measure) -> bool| {
        let over_tcp = data.trials.iter().filter(|trial| trial.cell.starts_with("tcp"));
        let measured = over_tcp.filter_map(|trial| match &trial.outcome {
            TrialEnd::Measured(measure) => Some(is_so(measure)),
            _ => None,
        });
        let (so, all) = measured.fold((0, 0), |(so, all), is_so| (so + u32::from(is_so), all + 1));
        format!("{so} of {all} measurements over TCP")
    };
    [
        ("disturbed by others".to_owned(), count(Measure::is_disturbed)),
        ("limited by the generator".to_owned(), count(Measure::is_generator_bound)),
    ]
}
