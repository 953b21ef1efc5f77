//! A history as a page: a row for each client, a bar for each operation from its invocation to its answer.
//!
//! One file without scripts, fonts or anything else from elsewhere. Bars of a client that overlap, as those of a pipeline do,
//! stand below one another. A bar says what was sent and what was answered, in full when it is pointed at.

use std::fmt::Write as _;

use super::history::Operation;
use super::shrink::Shrunk;

/// Sizes in pixels.
const WIDTH: f64 = 1_160.0;
const MARGIN: f64 = 90.0;
const BAR: f64 = 34.0;
const ROW_GAP: f64 = 12.0;
/// A bar is never narrower than this.
const BAR_WIDTH_MIN: f64 = 6.0;
/// Letters of a label at most; the tool tip has all.
const LABEL_CHARS: usize = 60;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c1e21; --faint: #6b7280; --page: #ffffff; --bar: #cfe3fa; --edge: #3b76b8; --bad: #fbd0d0; --bad-edge: #c02626; --line: #e3e6ea }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --faint: #9aa3ae; --page: #15181c; --bar: #1e3a5a; --edge: #6ea8e6; --bad: #5a1f22; --bad-edge: #f08080; --line: #2b3036 } }
body { margin: 24px auto; max-width: 1200px; padding: 0 16px; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 20px; margin: 0 0 8px } p { margin: 6px 0 } .faint { color: var(--faint) }
pre { background: color-mix(in srgb, var(--line) 50%, transparent); padding: 8px 12px; border-radius: 6px; overflow-x: auto; font-size: 13px }
.scroll { overflow-x: auto } svg { display: block } text { fill: var(--ink); font: 12px ui-monospace, monospace }
.axis text { fill: var(--faint); font-size: 11px } .axis line { stroke: var(--line) } rect.bar { fill: var(--bar); stroke: var(--edge) }
.stuck rect.bar { fill: var(--bad); stroke: var(--bad-edge); stroke-width: 2 } .reply { fill: var(--faint) } .client { font-weight: 600 }
";

/// A bar: an operation, and the line of its client's row in which it stands.
struct Bar<'a> {
    number: usize,
    operation: &'a Operation,
    line: usize,
}

/// The page of a history that fails. `title` says where it comes from, `command` how it is run again.
pub(super) fn page(shrunk: &Shrunk, title: &str, command: &str) -> String {
    let mut page = String::new();
    let stuck = shrunk.operations.get(shrunk.stuck);
    let stuck = stuck
        .map_or(String::new(), |operation| format!("{}, answered {}", operation.call, answer(operation)));
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style>\n<h1>No order explains these answers</h1>\n<p>{}</p>\n\
         <p>The best order of the others leaves no place for the red one: <b>{}</b>.</p>\n",
        escape(title),
        escape(&stuck)
    );
    let start = if shrunk.start.is_empty() { "nothing\n" } else { &shrunk.start };
    let _ = write!(
        page,
        "<p>What the keys held at the start:</p><pre>{}</pre>\n<div class=\"scroll\">",
        escape(start)
    );
    draw(&mut page, shrunk);
    let _ = write!(
        page,
        "</div>\n<p class=\"faint\">{} other operations of the same keys and time are left out: there is no order whether they took effect \
         or not, and whenever they did.</p>\n<p>Run it again (what the threads make of a seed differs from run to run):</p><pre>{}</pre></html>\n",
        shrunk.left_out,
        escape(command)
    );
    page
}

fn draw(page: &mut String, shrunk: &Shrunk) {
    let operations = &shrunk.operations;
    let from = operations.iter().map(|operation| operation.invoked).min().unwrap_or(0);
    let to = operations.iter().map(|operation| operation.answered).max().unwrap_or(1).max(from + 1);
    let x = |moment: u64| MARGIN + (moment - from) as f64 / (to - from) as f64 * (WIDTH - MARGIN - 10.0);
    let rows = rows(operations);
    let height: f64 = 30.0 + rows.iter().map(|(_, bars)| height_of(bars)).sum::<f64>();
    let _ = write!(
        page,
        "<svg width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"timeline\">\n<g class=\"axis\">"
    );
    for step in 0..=4 {
        let moment = from + (to - from) * step / 4;
        let (at, us) = (x(moment), (moment - from) as f64 / 1_000.0);
        let anchor = if step == 4 { "end" } else { "start" };
        let _ = write!(
            page,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"18\" y2=\"{height}\"/><text x=\"{at:.1}\" y=\"12\" text-anchor=\"{anchor}\">{us:.0} us</text>"
        );
    }
    page.push_str("</g>\n");
    let mut top = 30.0;
    for (client, bars) in &rows {
        let _ =
            writeln!(page, "<text class=\"client\" x=\"0\" y=\"{:.1}\">client {client}</text>", top + 20.0);
        for bar in bars {
            draw_bar(page, bar, top + bar.line as f64 * (BAR + 4.0), bar.number == shrunk.stuck, &x);
        }
        top += height_of(bars);
    }
    page.push_str("</svg>");
}

fn draw_bar(page: &mut String, bar: &Bar<'_>, y: f64, is_stuck: bool, x: &impl Fn(u64) -> f64) {
    let operation = bar.operation;
    let (left, width) =
        (x(operation.invoked), (x(operation.answered) - x(operation.invoked)).max(BAR_WIDTH_MIN));
    // A label that would leave the picture stands left of its bar's end.
    let is_late = left > WIDTH * 0.6;
    let (text_x, anchor) = if is_late { (left + width - 4.0, "end") } else { (left + 4.0, "start") };
    let (sent, answered) = (operation.call.to_string(), answer(operation));
    let _ = writeln!(
        page,
        "<g{}><title>{}\n{}</title><rect class=\"bar\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"4\"/>\
         <text x=\"{text_x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>\
         <text class=\"reply\" x=\"{text_x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text></g>",
        if is_stuck { " class=\"stuck\"" } else { "" },
        escape(&sent),
        escape(&answered),
        y + 14.0,
        escape(&short(&sent)),
        y + 28.0,
        escape(&short(&answered))
    );
}

fn height_of(bars: &[Bar<'_>]) -> f64 {
    let lines = bars.iter().map(|bar| bar.line + 1).max().unwrap_or(1);
    lines as f64 * (BAR + 4.0) + ROW_GAP
}

/// The bars of each client, in lines in which none overlaps another one.
fn rows(operations: &[Operation]) -> Vec<(usize, Vec<Bar<'_>>)> {
    let mut clients: Vec<usize> = operations.iter().map(|operation| operation.client).collect();
    clients.sort_unstable();
    clients.dedup();
    let row = |client: usize| {
        let mut ends: Vec<u64> = Vec::new();
        let own = operations.iter().enumerate().filter(|(_, operation)| operation.client == client);
        let bars = own.map(|(number, operation)| {
            let free = ends.iter().position(|end| *end < operation.invoked);
            let line = free.unwrap_or(ends.len());
            ends.resize(ends.len().max(line + 1), 0);
            ends[line] = operation.answered;
            Bar { number, operation, line }
        });
        (client, bars.collect())
    };
    clients.into_iter().map(row).collect()
}

fn answer(operation: &Operation) -> String {
    operation.reply.as_ref().map_or_else(|| "unknown".to_owned(), |reply| reply.to_string())
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(LABEL_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
