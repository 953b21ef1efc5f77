//! INFO and what the subsystems tell are one set; and the page `docs/info.md`, which is made of it.

use std::fmt::Write;

use rustredis_metrics::SampleField;

use super::sections::sections;
use crate::start::samples::rows;

const HEAD: &str = "\
# What INFO tells

Made of the server's own rows: `UPDATE=1 cargo test -p rustredis the_info_page` writes it anew. A counter grows until it is
reset or the server ends, a gauge rises and falls, and a fact is a text or a number that counts nothing.
";

/// Names resolve, or asking for the sections would panic.
#[test]
fn each_row_of_a_subsystem_is_in_a_section() {
    let shown: Vec<_> = sections().iter().flat_map(|section| &section.rows).map(|row| row.id).collect();
    let missing: Vec<_> =
        rows().filter(|row| !shown.contains(&row.id)).map(|row| (row.subsystem, row.head.name)).collect();
    assert_eq!(missing, []);
}

#[test]
fn a_section_has_no_line_twice() {
    for section in sections() {
        let mut names: Vec<&str> = section.rows.iter().map(|row| row.head.name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, other| one < other), "{}: {names:?}", section.title);
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for section in sections() {
        if section.rows.is_empty() {
            continue;
        }
        writeln!(page, "\n## {}\n\n| field | kind | meaning |\n|---|---|---|", section.title).unwrap();
        for row in &section.rows {
            let more = if row.is_always_there { "" } else { " Not always there." };
            let thing = row.head.labels.first().map(|label| format!("{}<{label}>: ", row.head.name));
            let fields = row.head.fields.iter();
            fields.for_each(|field| add(&mut page, thing.as_deref().unwrap_or_default(), field, more));
        }
    }
    page
}

fn add(page: &mut String, thing: &str, field: &SampleField, more: &str) {
    writeln!(page, "| `{thing}{}` | {} | {}{more} |", field.name, field.kind.name(), field.help).unwrap();
}

#[test]
fn the_info_page_is_what_the_rows_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/info.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap_or_default() == page(), "docs/info.md is not up to date");
}
