//! The page that is made of the differences and their reasons.

use std::fmt::Write;

use super::facts::{Difference, Facts};
use super::reasons::Reasons;

const HEAD: &str = "\
# Compatibility

What differs from redis-server 7.0.15, and why. This page is made by `cargo xtask compat-diff --write`, which asks both servers for their
commands, INFO fields and directives; `cargo xtask test` fails where it does not say what is.
";

/// The page.
pub(super) fn make(ours: &Facts, differences: &[Difference], reasons: &Reasons) -> String {
    let mut page = HEAD.to_owned();
    let of = |kind: &'static str, what: &'static str| {
        differences.iter().filter(move |difference| difference.kind == kind && difference.what == what)
    };
    let reason = |difference: &Difference| reasons.of(difference).unwrap_or_default();
    let rows = of("command", "missing")
        .map(|difference| format!("| {} | {} |", cell(&difference.name), reason(difference)));
    section(&mut page, "Commands of Redis 7.0 that are not here", "| command | why |", rows);
    let rows = of("command", "newer").map(|difference| {
        let (since, summary) = ours.docs(&difference.name);
        format!("| {} | {since} | {summary} |", cell(&difference.name))
    });
    section(&mut page, "Commands that Redis 7.0 does not have", "| command | since | what it does |", rows);
    let is_column = |difference: &&Difference| {
        difference.kind == "command" && !matches!(difference.what, "missing" | "newer")
    };
    let rows = differences.iter().filter(is_column).map(|difference| {
        let Difference { name, what, ours, theirs, .. } = difference;
        format!("| {} | {what} | `{ours}` | `{theirs}` | {} |", cell(name), reason(difference))
    });
    section(
        &mut page,
        "Commands that are described otherwise",
        "| command | what | here | Redis 7.0 | why |",
        rows,
    );
    for (what, title) in [
        ("missing", "INFO fields of Redis 7.0 that are not here"),
        ("newer", "INFO fields that Redis 7.0 does not have"),
    ] {
        let rows = of("info", what)
            .map(|difference| format!("| {} | {} |", cell(&difference.name), reason(difference)));
        section(&mut page, title, "| field | why |", rows);
    }
    for (what, title) in [
        ("missing", "Directives of Redis 7.0 that are not here"),
        ("newer", "Directives that Redis 7.0 does not have"),
    ] {
        let rows = of("directive", what)
            .map(|difference| format!("| {} | {} |", cell(&difference.name), reason(difference)));
        section(&mut page, title, "| directive | why |", rows);
    }
    let rows = of("directive", "default").map(|difference| {
        let Difference { name, ours, theirs, .. } = difference;
        format!("| {} | `{ours}` | `{theirs}` | {} |", cell(name), reason(difference))
    });
    section(&mut page, "Directives with another default", "| directive | here | Redis 7.0 | why |", rows);
    let rows = reasons
        .told_of("suite")
        .map(|reason| format!("| `{}` | {} | {} |", reason.name, reason.what, reason.text));
    section(&mut page, "Tests of Redis's own suite that do not pass", "| unit | test | why |", rows);
    page
}

/// A name as it may stand in a table.
fn cell(name: &str) -> String {
    format!("`{}`", name.replace('|', "\\|"))
}

fn section(page: &mut String, title: &str, head: &str, rows: impl Iterator<Item = String>) {
    let rows: Vec<String> = rows.collect();
    // Writing to a string cannot fail.
    let _ = write!(page, "\n## {title}\n\n");
    if rows.is_empty() {
        page.push_str("None.\n");
        return;
    }
    let columns = head.matches('|').count() - 1;
    let _ = writeln!(page, "{head}\n|{}", "---|".repeat(columns));
    for row in rows {
        let _ = writeln!(page, "{row}");
    }
}
