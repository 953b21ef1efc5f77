//! The report as Markdown: everything but the pictures, of which the numbers are there as tables.

use std::fmt::Write as _;

use crate::claims::finding::Finding;
use crate::data::Data;
use crate::report::chart::{Chart, Drawing, Series};
use crate::report::efficiency;
use crate::report::front::{self, Sentence};
use crate::report::method::{self, VERDICTS, command, conditions};
use crate::report::words::short;

/// The whole report.
pub(super) fn render(data: &Data, findings: &[Finding]) -> String {
    let mut out = String::from("# Where does performance break under concurrency?\n\n");
    for Sentence { head, text } in front::sentences(data, findings) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(out, "- **{head}.** {text}");
    }
    let _ = write!(out, "\n## What to choose for which load\n\n{}", front::choices(data).markdown());
    out.push_str("\n## What a request costs\n\nClosed loops; medians, with the interval of what leads.\n");
    efficiency::tables(data).iter().for_each(|table| out.push_str(&table.markdown()));
    out.push_str(
        "\n## What an article claimed, statement by statement\n\n| claim | its statements |\n|---|---|\n",
    );
    for finding in findings {
        let _ = writeln!(out, "| {}. {} | {} |", finding.number, finding.title, cell(&finding.sentence));
    }
    let _ = writeln!(out, "\n{}", VERDICTS);
    for finding in findings {
        claim(&mut out, data, finding);
    }
    let _ = write!(out, "\n## Method\n\n{}", method::facts(data, findings).markdown());
    if let Some(table) = method::contention(data) {
        out.push_str(&table.markdown());
    }
    troubles(&mut out, data);
    out.push_str("\n## Machine, versions, settings\n\n| | |\n|---|---|\n");
    for (name, value) in data.settings.machine.iter().chain(&data.settings.versions).chain(&conditions(data))
    {
        let _ = writeln!(out, "| {name} | {} |", cell(value));
    }
    let _ = writeln!(out, "| seed | {} |", data.settings.seed);
    let _ = writeln!(out, "| measurements | {} |", data.trials.len());
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn claim(out: &mut String, data: &Data, finding: &Finding) {
    let _ = writeln!(out, "\n## {}. {}\n", finding.number, finding.title);
    let _ = writeln!(out, "> {}\n\n{}\n", finding.claim, finding.sentence);
    out.push_str("| statement | article | measured, with 95% interval | needed | verdict | |\n|---|---|---|---|---|---|\n");
    for judged in &finding.statements {
        let words = judged.verdict_words();
        let verdict = if judged.decides { format!("**{words}**") } else { words.to_owned() };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {verdict} | {} |",
            cell(&judged.text),
            cell(&judged.article),
            judged.ours(),
            judged.rule(),
            cell(&judged.note)
        );
    }
    out.push_str("\nBold verdicts decide, the others inform.\n");
    for note in &finding.notes {
        let _ = writeln!(out, "\n- {note}");
    }
    for chart in &finding.charts {
        table(out, chart);
    }
    let _ = writeln!(out, "\nAgain: `{}`", command(data, finding.number));
}

fn table(out: &mut String, chart: &Chart) {
    let _ = writeln!(out, "\n### {}\n\n{} ({}).\n", chart.title, chart.caption, chart.y_name);
    match &chart.drawing {
        Drawing::Lines { series, .. } => {
            let measured: Vec<&Series> = series.iter().filter(|series| !series.is_curve).collect();
            if measured.is_empty() {
                out.push_str("See the picture in report.html.\n");
                return;
            }
            let mut places: Vec<f64> =
                measured.iter().flat_map(|series| series.points.iter().map(|point| point.x)).collect();
            places.sort_unstable_by(f64::total_cmp);
            places.dedup();
            let rows: Vec<(String, f64)> = places.into_iter().map(|x| (short_place(x), x)).collect();
            grid(out, &chart.x_name, &rows, &measured);
        }
        Drawing::Bars { categories, series } => {
            let rows: Vec<(String, f64)> =
                categories.iter().enumerate().map(|(index, name)| (name.clone(), index as f64)).collect();
            grid(out, "", &rows, &series.iter().collect::<Vec<_>>());
        }
        Drawing::Heat { columns, rows, values } => {
            out.push_str("| | sum | greatest | groups of shards |\n|---|---|---|---|\n");
            for (row, name) in rows.iter().enumerate() {
                let of_row: Vec<f64> =
                    values.iter().filter(|(_, of, _)| *of == row).map(|(_, _, value)| *value).collect();
                let greatest = of_row.iter().copied().fold(0.0, f64::max);
                let _ = writeln!(
                    out,
                    "| {name} | {} | {} | {} of {} |",
                    short(of_row.iter().sum()),
                    short(greatest),
                    of_row.len(),
                    columns.len()
                );
            }
        }
    }
}

fn short_place(x: f64) -> String {
    if x.fract() == 0.0 { format!("{x:.0}") } else { short(x) }
}

fn grid(out: &mut String, corner: &str, rows: &[(String, f64)], series: &[&Series]) {
    let names: Vec<&str> = series.iter().map(|series| series.name.as_str()).collect();
    let _ = writeln!(out, "| {corner} | {} |\n|---{}|", names.join(" | "), "|---".repeat(names.len()));
    for (name, x) in rows {
        let values = series.iter().map(|series| {
            series.points.iter().find(|point| (point.x - x).abs() < 1e-9).map_or_else(
                || "–".to_owned(),
                |point| format!("{} ({} to {})", short(point.median), short(point.low), short(point.high)),
            )
        });
        let _ = writeln!(out, "| {name} | {} |", values.collect::<Vec<_>>().join(" | "));
    }
}

fn troubles(out: &mut String, data: &Data) {
    let failures = data.failures();
    if !failures.is_empty() {
        out.push_str("\n## What failed\n\n| cell | round | why |\n|---|---|---|\n");
        for (trial, reason) in failures {
            let _ = writeln!(out, "| {} | {} | {} |", trial.cell, trial.round + 1, cell(reason));
        }
    }
    let absences = data.absences();
    if !absences.is_empty() {
        out.push_str("\n## What is not here\n\n| cell | why |\n|---|---|\n");
        for (name, reason) in absences {
            let _ = writeln!(out, "| {name} | {} |", cell(reason));
        }
    }
}
