//! The page `docs/info.md`, which is made of the rows; a test holds it to them.

use std::fmt::Write;

use rustredis_metrics::SampleField;

use super::row::Part;
use super::sections::SECTIONS;

const HEAD: &str = "\
# What INFO tells

Made of the server's own rows: `UPDATE=1 cargo test -p rustredis the_info_page` writes it anew. A counter grows until it is
reset or the server ends, a gauge rises and falls, and a fact is a text or a number that counts nothing.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for section in SECTIONS {
        if section.parts.is_empty() {
            continue;
        }
        writeln!(page, "\n## {}\n\n| field | kind | meaning |\n|---|---|---|", section.title).unwrap();
        for part in section.parts {
            match part {
                Part::Rows(rows) => rows.iter().for_each(|row| add(&mut page, "", &row.field, "")),
                Part::When(_, rows) => {
                    rows.iter().for_each(|row| add(&mut page, "", &row.field, " Not always there."));
                }
                Part::Family(family) => {
                    let line = format!("{}<{}>: ", family.prefix, family.labels[0]);
                    family.fields.iter().for_each(|field| add(&mut page, &line, field, ""));
                }
            }
        }
    }
    page
}

fn add(page: &mut String, line: &str, field: &SampleField, more: &str) {
    assert!(field.help.ends_with('.'), "{} is not explained", field.name);
    writeln!(page, "| `{line}{}` | {} | {}{more} |", field.name, field.kind.name(), field.help).unwrap();
}

#[test]
fn the_info_page_is_what_the_rows_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/info.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap_or_default() == page(), "docs/info.md is not up to date");
}
