//! The rules that keep a command's row the only truth about it: its name is compared as text nowhere but in the file that
//! has its row, and what it reaches is read in one module.
//!
//! A comparison is found by its form: a word beside `==`, in an arm of a `match`, in a call such as `contains`, or in a list
//! of nothing but commands' names; and whatever is compared with a row's own name. Options that happen to be called as a
//! command is are excused one by one.

use std::collections::BTreeMap;

use super::exceptions::Exceptions;
use super::source::{Source, rust};
use super::tokens::{Token, starts_with, tokens};

/// The crates that know commands.
const CRATES: [&str; 6] = ["server", "commands", "keyspace", "engine", "persistence", "metrics"];
/// Words in files, `path word`, that are no commands there.
const EXCEPTIONS: &str = "xtask/src/tidy/exceptions/names.txt";
/// The module that reads what a row reaches.
const PLAN: &str = "crates/commands/src/plan.rs";

/// How a row begins.
const ROWS: [&str; 3] = ["Command::new(", "Command::server(", "Command::container("];
/// What stands before a word that is compared.
const BEFORE: [&str; 8] =
    ["==", "!=", "eq_ignore_ascii_case(", "starts_with(", "ends_with(", "contains(", "contains(&", "is(0,"];
/// What stands behind one.
const BEHIND: [&str; 5] = ["==", "!=", "=>", "| ", "if "];
/// Methods that compare a text.
const COMPARING: [&str; 5] = ["starts_with", "ends_with", "contains", "eq_ignore_ascii_case", "strip_prefix"];

/// Reports each comparison with a command's name outside the file of its row.
pub(super) fn compared_nowhere(sources: &[Source]) -> Vec<String> {
    let files: Vec<&Source> = rust(sources).filter(|source| is_looked_at(source)).collect();
    let rows = rows(&files);
    let mut exceptions = Exceptions::read(sources, EXCEPTIONS);
    let mut breaches = Vec::new();
    for source in files {
        let (words, lists) = compared_words(source);
        let lists = lists.into_iter().filter(|list| list.iter().all(|(_, word)| rows.contains_key(&**word)));
        for (line, word) in words.into_iter().chain(lists.flatten()) {
            let is_elsewhere = rows.get(&*word).is_some_and(|files| !files.contains(&&*source.path));
            if is_elsewhere && !exceptions.has(&format!("{} {word}", source.path)) {
                breaches.push(source.breach(line, &format!("the command {word} is known by its name")));
            }
        }
        let tokens = tokens(&source.text);
        let own = (0..tokens.len()).filter(|at| compares_own_name(&tokens, *at));
        breaches.extend(own.map(|at| source.breach(tokens[at].line, "a row's name is compared")));
    }
    breaches.extend(exceptions.unused("is compared there no more"));
    breaches
}

/// Reports each reading of a reach outside its module. A row may say its own.
pub(super) fn reach_is_read_once(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in rust(sources).filter(|source| is_looked_at(source) && source.path != PLAN) {
        let tokens = tokens(&source.text);
        for at in 0..tokens.len() {
            let is_read = starts_with(&tokens[at..], &["Reach", "::"])
                && !(at >= 2 && tokens[at - 2].text == "reach" && matches!(tokens[at - 1].text, "(" | ":"));
            if is_read || starts_with(&tokens[at..], &["Reach", "as"]) {
                breaches.push(source.breach(tokens[at].line, "a reach is read"));
            }
        }
    }
    breaches
}

fn is_looked_at(source: &Source) -> bool {
    let rest = source.path.strip_prefix("crates/");
    let inner = rest.and_then(|rest| rest.split_once("/src/"));
    // A module that only tests have may be called anything.
    let has_tests_alone = source.code().any(|(_, line)| line.trim() == "#[test]");
    inner.is_some_and(|(name, _)| CRATES.contains(&name)) && !source.is_test() && !has_tests_alone
}

/// The files of each command's rows.
fn rows<'a>(files: &[&'a Source]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut rows = BTreeMap::<&str, Vec<&str>>::new();
    for source in files {
        for begin in ROWS {
            for (at, _) in source.text.match_indices(begin) {
                let behind = source.text[at + begin.len()..].trim_start().strip_prefix('"');
                if let Some((name, _)) = behind.and_then(|behind| behind.split_once('"')) {
                    rows.entry(name).or_default().push(&source.path);
                }
            }
        }
    }
    rows
}

/// A word in small case, with its line.
type Word = (usize, String);

/// The words of a file that are compared with something, and its lists of nothing but words.
fn compared_words(source: &Source) -> (Vec<Word>, Vec<Vec<Word>>) {
    let (mut words, mut lists) = (Vec::new(), Vec::new());
    // The list that has nothing but words so far.
    let mut list: Option<Vec<Word>> = None;
    for (number, line) in source.code().filter(|(_, line)| !line.trim_start().starts_with("//")) {
        // Every second part stands between quotes.
        let parts: Vec<&str> = line.split('"').collect();
        for (index, part) in parts.iter().enumerate() {
            if index % 2 == 1 {
                let word = (number, part.to_ascii_lowercase());
                let before = parts[index - 1].trim_end_matches('b').trim_end();
                let behind = parts.get(index + 1).map_or("", |behind| behind.trim_start());
                if BEFORE.iter().any(|form| before.ends_with(form))
                    || BEHIND.iter().any(|form| behind.starts_with(form))
                {
                    words.push(word);
                } else if let Some(list) = &mut list {
                    list.push(word);
                }
                continue;
            }
            for mark in part.chars() {
                match mark {
                    '[' => list = Some(Vec::new()),
                    ']' => lists.extend(list.take()),
                    ',' | 'b' | '&' => {}
                    mark if mark.is_whitespace() => {}
                    _ => list = None,
                }
            }
        }
    }
    (words, lists)
}

/// Whether the name of a row stands here, in a comparison.
fn compares_own_name(tokens: &[Token<'_>], at: usize) -> bool {
    let is_name = tokens[at].text == "full_name"
        || tokens[at].text == "name" && at >= 2 && starts_with(&tokens[at - 2..], &["command", "."]);
    if !is_name {
        return false;
    }
    let behind = &tokens[at + 1..];
    let is_compared = starts_with(behind, &["=", "="])
        || starts_with(behind, &["!", "="])
        || starts_with(behind, &["."]) && behind.get(1).is_some_and(|next| COMPARING.contains(&next.text));
    // Back over `row.command.` to what is done with it.
    let mut first = at;
    while first >= 2 && tokens[first - 1].text == "." && tokens[first - 2].is_word() {
        first -= 2;
    }
    let before: Vec<&str> = tokens[first.saturating_sub(3)..first].iter().map(|token| token.text).collect();
    is_compared
        || before.ends_with(&["match"])
        || before.ends_with(&["contains", "(", "&"])
        || before.ends_with(&["=", "="])
        || before.ends_with(&["!", "="])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "const ROWS: X = [Command::server(\"exec\", 1), Command::new(\n  \"get\", 2)];\n";

    fn check(text: &str, excused: &str, expected: &[&str]) {
        let sources = [
            Source { path: "crates/commands/src/a.rs".into(), text: ROW.into() },
            Source { path: "crates/server/src/b.rs".into(), text: text.into() },
            Source { path: EXCEPTIONS.into(), text: excused.into() },
        ];
        assert_eq!(compared_nowhere(&sources), expected);
    }

    #[test]
    fn names_are_found_where_they_are_compared() {
        let exec = "crates/server/src/b.rs:1: the command exec is known by its name";
        for text in [
            "if name == \"exec\" {}",
            "match x { \"exec\" => y }",
            "match x { b\"EXEC\" | b\"a\" => y }",
            "match x { \"exec\" if y => z }",
            "const A: &[&str] = &[\"exec\"];",
            "name.eq_ignore_ascii_case(b\"exec\")",
            "args.is(0, \"EXEC\")",
        ] {
            check(text, "", &[exec]);
        }
        for text in [
            "reply.text(\"exec\")",
            "// == \"exec\"",
            "[(\"exec\", exec)]",
            "[\"exec\", \"y\"]",
            "x == \"other\"",
        ] {
            check(text, "", &[]);
        }
        check("x == \"exec\"", "crates/server/src/b.rs exec", &[]);
        let unused = format!("{EXCEPTIONS}:1: crates/server/src/b.rs get is compared there no more");
        check("", "crates/server/src/b.rs get", &[&unused]);
        check(&format!("{ROW}if name == \"exec\" {{}}"), "", &[]);
    }

    #[test]
    fn names_of_rows_are_not_compared() {
        let own = "crates/server/src/b.rs:1: a row's name is compared";
        for text in [
            "row.full_name == *name",
            "row.full_name.starts_with(prefix)",
            "match row.command.name {}",
            "NAMES.contains(&row.full_name)",
            "name != row.full_name",
        ] {
            check(text, "", &[own]);
        }
        check("reply.text(row.full_name); let a = command.name;", "", &[]);
    }

    #[test]
    fn a_reach_is_read_in_one_place() {
        let check = |path: &str, text: &str, expected: &[&str]| {
            let source = Source { path: path.into(), text: text.into() };
            assert_eq!(reach_is_read_once(&[source]), expected);
        };
        let path = "crates/server/src/b.rs";
        check(path, "matches!(row.reach, Reach::Keys)", &["crates/server/src/b.rs:1: a reach is read"]);
        check(path, "use x::Reach as Y;", &["crates/server/src/b.rs:1: a reach is read"]);
        check(path, "use x::Reach; row.reach(Reach::All), Row { reach: Reach::Keys }", &[]);
        check(PLAN, "match reach { Reach::Keys => 1 }", &[]);
    }
}
