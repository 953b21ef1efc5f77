//! The rule about data types: each file that tells all of them apart has its place in ARCHITECTURE.md, in the table's row
//! that says what to touch for a new one.

use std::collections::BTreeSet;

use super::source::{Source, rust};
use super::tokens::{Token, tokens};

const PAGE: &str = "ARCHITECTURE.md";
/// What the row of the table begins with.
const ROW: &str = "| a data type |";
/// The enumerations that tell types apart, and the variants that every one of them has.
const ENUMS: [&str; 3] = ["Kind", "Value", "Collection"];
const VARIANTS: [&str; 4] = ["List", "Set", "ZSet", "Hash"];

/// Compares the files with the row.
pub(super) fn files_of_data_types(sources: &[Source]) -> Vec<String> {
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else { return Vec::new() };
    let row = page.text.lines().enumerate().find(|(_, line)| line.starts_with(ROW));
    let Some((index, row)) = row else { return vec![page.breach(1, "the row for a data type is missing")] };
    let listed: BTreeSet<&str> = row.split('`').skip(1).step_by(2).collect();
    let own = rust(sources).filter(|source| source.path.starts_with("crates/") && !source.is_test());
    let telling = own.filter(|source| tells_types_apart(&tokens(&source.text)));
    let missing: Vec<String> = telling
        .map(|source| source.path.trim_start_matches("crates/").replace("/src/", "/"))
        .filter(|name| !listed.contains(name.as_str()))
        .collect();
    missing.iter().map(|name| page.breach(index + 1, &format!("{name} tells all data types apart"))).collect()
}

fn tells_types_apart(tokens: &[Token<'_>]) -> bool {
    let named: BTreeSet<&str> = tokens
        .windows(3)
        .filter(|three| ENUMS.contains(&three[0].text) && three[1].text == "::")
        .map(|three| three[2].text)
        .collect();
    VARIANTS.iter().all(|variant| named.contains(variant))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(row: &str, expected: &[&str]) {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let code = "match kind { Kind::List | Kind::Set | Kind::ZSet | Kind::Hash => {} }";
        let sources =
            [source(PAGE, row), source("crates/a/src/b.rs", code), source("crates/a/src/c.rs", "Kind::List")];
        assert_eq!(files_of_data_types(&sources), expected);
    }

    #[test]
    fn a_file_that_tells_types_apart_is_listed() {
        check("| a data type | `a/b.rs` |", &[]);
        check("| a data type | `a/c.rs` |", &["ARCHITECTURE.md:1: a/b.rs tells all data types apart"]);
        check("", &["ARCHITECTURE.md:1: the row for a data type is missing"]);
    }
}
