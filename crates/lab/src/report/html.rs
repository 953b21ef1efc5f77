//! The report as one HTML file.

use std::fmt::Write as _;

use crate::claims::finding::{Finding, Judged, Verdict};
use crate::data::Data;
use crate::plan::Scale;
use crate::report::chart::Chart;
use crate::report::efficiency;
use crate::report::front::{self, Sentence};
use crate::report::method::{self, VERDICTS, command, conditions};
use crate::report::svg;
use crate::report::words::escaped;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// The whole file.
pub(super) fn render(data: &Data, findings: &[Finding]) -> Result<String, String> {
    let mut body = String::new();
    first_page(&mut body, data, findings);
    efficiency_tables(&mut body, data);
    claims(&mut body, findings);
    for finding in findings {
        claim(&mut body, data, finding)?;
    }
    how(&mut body, data, findings);
    troubles(&mut body, data);
    settings(&mut body, data);
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Where does performance break under concurrency?</title>\n\
         <style>\n{}{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        svg::STYLE
    ))
}

fn badge(judged: &Judged) -> String {
    let class = match judged.verdict {
        Verdict::Holds | Verdict::HoldsLess => "holds",
        Verdict::NoDifference | Verdict::OtherWayRound => "fails",
        Verdict::Undecided | Verdict::Untestable => "open",
    };
    format!("<span class=\"badge {class}\">{}</span>", judged.verdict_words())
}

fn first_page(out: &mut String, data: &Data, findings: &[Finding]) {
    let scale = match data.settings.matrix.scale {
        Scale::Quick => "the quick matrix",
        Scale::Full => "the full matrix",
    };
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "<header><div><p class=\"eyebrow\">RustRedis laboratory</p><h1>Where does performance break under concurrency?</h1>\
         <p class=\"lead\">{} measurements in random order, {scale}, seed {}, on {} cores; rules of {}.</p></div>\
         <button id=\"theme\" type=\"button\" aria-label=\"Switch between light and dark\">◐</button></header>\n<dl class=\"answers\">\n",
        data.trials.len(),
        data.settings.seed,
        data.settings.matrix.cores,
        escaped(&data.settings.rules.chars().take(12).collect::<String>())
    );
    for Sentence { head, text } in front::sentences(data, findings) {
        let _ = writeln!(out, "<div><dt>{head}</dt><dd>{}</dd></div>", escaped(&text));
    }
    out.push_str("</dl>\n<nav><a href=\"#choose\">What to choose</a> <a href=\"#efficiency\">Efficiency</a> \
                  <a href=\"#claims\">Claims</a> <a href=\"#method\">Method</a> <a href=\"#machine\">Machine</a></nav>\n");
    let choices = front::choices(data);
    if !choices.rows.is_empty() {
        let _ = writeln!(
            out,
            "<section id=\"choose\"><h2>What to choose for which load</h2>{}</section>",
            choices.html()
        );
    }
}

fn efficiency_tables(out: &mut String, data: &Data) {
    let tables = efficiency::tables(data);
    if tables.is_empty() {
        return;
    }
    out.push_str("<section id=\"efficiency\"><h2>What a request costs</h2>\n<p class=\"rule\">Closed loops; medians, with the interval \
                  of what leads. A closed loop tells no latency: see the open loops under the claims.</p>\n");
    let (first, rest) = tables.split_at(tables.len().min(2));
    first.iter().for_each(|table| out.push_str(&table.html()));
    if !rest.is_empty() {
        let _ = writeln!(out, "<details><summary>{} more loads</summary>", rest.len());
        rest.iter().for_each(|table| out.push_str(&table.html()));
        out.push_str("</details>");
    }
    out.push_str("</section>\n");
}

fn claims(out: &mut String, findings: &[Finding]) {
    out.push_str("<section id=\"claims\"><h2>What an article claimed, statement by statement</h2>\n<ol class=\"verdicts\">\n");
    for finding in findings {
        let _ = writeln!(
            out,
            "<li><a href=\"#claim-{0}\"><span class=\"number\">{0}</span><strong>{1}</strong></a><p>{2}</p></li>",
            finding.number,
            escaped(&finding.title),
            escaped(&finding.sentence)
        );
    }
    let _ = writeln!(out, "</ol>\n<p class=\"rule\">{}</p></section>", escaped(VERDICTS));
}

fn how(out: &mut String, data: &Data, findings: &[Finding]) {
    let _ = write!(out, "<section id=\"method\"><h2>Method</h2>{}", method::facts(data, findings).html());
    if let Some(table) = method::contention(data) {
        out.push_str(&table.html());
    }
    out.push_str("</section>\n");
}

fn claim(out: &mut String, data: &Data, finding: &Finding) -> Result<(), String> {
    let _ = writeln!(
        out,
        "<section class=\"claim\" id=\"claim-{0}\"><h2><span class=\"number\">{0}</span>{1}</h2>\n<blockquote>{2}</blockquote>\n\
         <p class=\"summary\">{3}</p>",
        finding.number,
        escaped(&finding.title),
        escaped(&finding.claim),
        escaped(&finding.sentence)
    );
    let (first, rest) = finding.charts.split_at(finding.charts.len().min(1));
    out.push_str("<div class=\"answer\">");
    figures(out, first)?;
    parts(out, &finding.statements);
    out.push_str("</div>\n");
    if !rest.is_empty() {
        out.push_str("<div class=\"charts\">");
        figures(out, rest)?;
        out.push_str("</div>\n");
    }
    if !finding.notes.is_empty() {
        out.push_str("<ul class=\"notes\">");
        for note in &finding.notes {
            let _ = write!(out, "<li>{}</li>", escaped(note));
        }
        out.push_str("</ul>\n");
    }
    let _ = writeln!(
        out,
        "<p class=\"again\">Again, with its pictures: <code>{}</code></p></section>",
        escaped(&command(data, finding.number))
    );
    Ok(())
}

fn figures(out: &mut String, charts: &[Chart]) -> Result<(), String> {
    for chart in charts {
        out.push_str(&svg::figure(chart)?);
    }
    Ok(())
}

fn parts(out: &mut String, parts: &[Judged]) {
    let (deciding, informing): (Vec<&Judged>, Vec<&Judged>) = parts.iter().partition(|part| part.decides);
    out.push_str("<div class=\"parts\">");
    rows(out, &deciding);
    if !informing.is_empty() {
        let _ =
            write!(out, "<details><summary>{} more that inform and do not decide</summary>", informing.len());
        rows(out, &informing);
        out.push_str("</details>");
    }
    out.push_str("</div>");
}

fn rows(out: &mut String, parts: &[&Judged]) {
    if parts.is_empty() {
        return;
    }
    out.push_str(
        "<table><thead><tr><th>statement</th><th>article</th><th>measured (95% interval)</th><th>needed</th><th>verdict</th></tr></thead><tbody>",
    );
    for part in parts {
        let note = if part.note.is_empty() {
            String::new()
        } else {
            format!("<small>{}</small>", escaped(&part.note))
        };
        let _ = write!(
            out,
            "<tr><td data-label=\"statement\">{}</td><td data-label=\"article\">{}</td><td data-label=\"measured\" class=\"figure\">{}</td>\
             <td data-label=\"needed\">{}</td><td data-label=\"verdict\">{}{note}</td></tr>",
            escaped(&part.text),
            escaped(&part.article),
            escaped(&part.ours()),
            escaped(&part.rule()),
            badge(part)
        );
    }
    out.push_str("</tbody></table>");
}

fn troubles(out: &mut String, data: &Data) {
    let failures = data.failures();
    if !failures.is_empty() {
        out.push_str("<section><h2>What failed</h2><ul>");
        for (trial, reason) in failures {
            let _ = write!(
                out,
                "<li><strong>{}</strong>, round {}: {}</li>",
                escaped(&trial.cell),
                trial.round + 1,
                escaped(reason)
            );
        }
        out.push_str("</ul></section>\n");
    }
    let absences = data.absences();
    if !absences.is_empty() {
        out.push_str("<section><h2>What is not here</h2><ul>");
        for (cell, reason) in absences {
            let _ = write!(out, "<li><strong>{}</strong>: {}</li>", escaped(cell), escaped(reason));
        }
        out.push_str("</ul></section>\n");
    }
}

fn settings(out: &mut String, data: &Data) {
    out.push_str(
        "<section id=\"machine\"><h2>Machine, versions, settings</h2><table class=\"plain\"><tbody>",
    );
    let times = data.settings.matrix.times();
    let more = [
        ("seed".to_owned(), data.settings.seed.to_string()),
        ("engines".to_owned(), data.settings.matrix.engines.join(", ")),
        ("rules".to_owned(), data.settings.rules.clone()),
        ("generator threads".to_owned(), data.settings.matrix.generators().to_string()),
        ("warm-up and measured".to_owned(), format!("{:?}, {:?}", times.warm_up, times.measured)),
    ];
    for (name, value) in
        data.settings.machine.iter().chain(&data.settings.versions).chain(&more).chain(&conditions(data))
    {
        let _ = write!(out, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value));
    }
    out.push_str(
        "</tbody></table><p>Each measurement has a freshly started server. Rounds follow each other; within a round the loads come in \
         random order, and under each load its servers. Medians have intervals by order statistics; two cells are compared by the ratios within each round.</p>\
         <p>Raw data, beside this file: <code>trials.csv</code>, <code>trials.jsonl</code> (with histograms), <code>run.json</code>, \
         <code>report.json</code> (every number of this page).</p></section>\n",
    );
}
