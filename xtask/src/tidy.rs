//! House rules that neither rustfmt nor clippy checks. Each rule is one test; a breach names the rule, the file and the
//! line. Only files that git knows, or would, are looked at.

use std::path::Path;

use crate::tally::Tally;
use crate::{Outcome, shell};

/// Longest source file that needs no reason.
const LINES_MAX: usize = 1_000;
/// What the head of a longer file must contain, followed by the reason.
const LONG_FILE_REASON: &str = "more than 1,000 lines";
/// How far a file's head reaches.
const HEAD_LINES: usize = 30;

struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// True for files that hold nothing but tests and what tests share (`testing.rs`, a module under cfg(test)).
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("/testing.rs")
    }

    fn head(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take(HEAD_LINES)
    }

    /// The lines with their numbers, up to the module of unit tests.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.take_while(|(_, line)| line.trim() != "#[cfg(test)]")
    }

    fn breach(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

type Rule = fn(&[Source]) -> Vec<String>;

const RULES: [(&str, Rule); 8] = [
    ("a source file has at most 1,000 lines, or says why in its head", short_files),
    ("a source file begins with its module's documentation", module_docs),
    ("no unwrap outside tests", no_unwrap),
    ("nothing is left to do", nothing_left_to_do),
    ("no test is ignored", no_ignored_tests),
    ("a black-box test waits for a condition, it does not sleep", no_sleeps),
    ("every dependency has a line in ARCHITECTURE.md", explained_dependencies),
    ("no package registry's host is named", no_registry_hosts),
];

/// Runs the task.
pub(crate) fn run() -> Outcome {
    let tally = check()?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed == 0)
}

/// Checks every rule.
pub(crate) fn check() -> Result<Tally, String> {
    let sources = sources()?;
    let mut total = Tally::default();
    for (name, rule) in RULES {
        let breaches = rule(&sources);
        if !breaches.is_empty() {
            println!("{name}:");
        }
        for breach in &breaches {
            println!("  {breach}");
        }
        total += Tally::one(breaches.is_empty());
    }
    Ok(total)
}

fn sources() -> Result<Vec<Source>, String> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let list = shell::capture(&mut shell::program("git", &arguments))?;
    let root = shell::root();
    // A file that is deleted but not committed so has no text, and neither has one that is not UTF-8.
    let read = |path: &str| {
        Some(Source { path: path.to_owned(), text: std::fs::read_to_string(root.join(path)).ok()? })
    };
    Ok(list.lines().filter_map(read).collect())
}

fn rust(sources: &[Source]) -> impl Iterator<Item = &Source> {
    sources.iter().filter(|source| source.is_rust())
}

fn short_files(sources: &[Source]) -> Vec<String> {
    let is_excused = |source: &Source| source.head().any(|line| line.contains(LONG_FILE_REASON));
    let long = rust(sources).filter(|source| source.text.lines().count() > LINES_MAX && !is_excused(source));
    long.map(|source| source.breach(LINES_MAX + 1, "too long, without a reason")).collect()
}

fn module_docs(sources: &[Source]) -> Vec<String> {
    let has_docs = |source: &Source| source.head().any(|line| line.starts_with("//!"));
    let without = rust(sources).filter(|source| !source.path.ends_with("/tests.rs") && !has_docs(source));
    without.map(|source| source.breach(1, "no //! at the top")).collect()
}

fn no_unwrap(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in rust(sources).filter(|source| !source.is_test()) {
        let found = source
            .code()
            .filter(|(_, line)| line.contains(concat!(".unw", "rap()")) && !line.trim().starts_with("//"));
        breaches.extend(found.map(|(number, line)| source.breach(number, line.trim())));
    }
    breaches
}

fn nothing_left_to_do(sources: &[Source]) -> Vec<String> {
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX:"), concat!("(to be ", "written)")];
    find(sources.iter(), &marks)
}

fn no_ignored_tests(sources: &[Source]) -> Vec<String> {
    find(rust(sources), &[concat!("#[ig", "nore")])
}

fn no_sleeps(sources: &[Source]) -> Vec<String> {
    find(rust(sources).filter(|source| source.path.starts_with("tests/")), &["sleep("])
}

fn explained_dependencies(sources: &[Source]) -> Vec<String> {
    let Some(architecture) = sources.iter().find(|source| source.path == "ARCHITECTURE.md") else {
        return vec!["there is no ARCHITECTURE.md".to_owned()];
    };
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| Path::new(&source.path).ends_with("Cargo.toml")) {
        for (number, name) in dependencies(&source.text) {
            if !name.starts_with("rustredis") && !architecture.text.contains(&format!("`{name}`")) {
                breaches.push(source.breach(number, &format!("{name} is not explained")));
            }
        }
    }
    breaches
}

/// The names in a manifest's tables of dependencies, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut is_in_table = false;
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            is_in_table = line.trim_end_matches(']').ends_with("dependencies");
        } else if is_in_table && line.contains('=') && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or(line);
            names.push((index + 1, name.trim_matches('"')));
        }
    }
    names
}

fn no_registry_hosts(sources: &[Source]) -> Vec<String> {
    let hosts = [
        concat!("crates", ".io"),
        concat!("py", "pi.org"),
        concat!("python", "hosted.org"),
        concat!("npm", "js.org"),
        concat!("proxy.go", "lang.org"),
        concat!("deb.deb", "ian.org"),
        concat!("security.deb", "ian.org"),
    ];
    // Cargo writes its lock file itself, and the registry's name with it.
    let written_by_us = sources.iter().filter(|source| !source.path.ends_with("Cargo.lock"));
    find(written_by_us, &hosts)
}

fn find<'a>(sources: impl Iterator<Item = &'a Source>, marks: &[&str]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                breaches.push(source.breach(index + 1, line.trim()));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: Rule, path: &str, text: &str, expected: &[&str]) {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        assert_eq!(rule(&[source]), expected);
    }

    #[test]
    fn length() {
        check(short_files, "a.rs", &"x\n".repeat(1_000), &[]);
        check(short_files, "a.rs", &"x\n".repeat(1_001), &["a.rs:1001: too long, without a reason"]);
        check(short_files, "a.rs", &format!("//! more than 1,000 lines: y\n{}", "x\n".repeat(1_001)), &[]);
    }

    #[test]
    fn docs() {
        check(module_docs, "a.rs", "//! What it is.\n", &[]);
        check(module_docs, "a.rs", "use x;\n", &["a.rs:1: no //! at the top"]);
        check(module_docs, "a/tests.rs", "use x;\n", &[]);
    }

    #[test]
    fn unwraps() {
        let code = "fn a() {\n    b.unwrap()\n}\n/// c.unwrap()\n#[cfg(test)]\nmod t { d.unwrap() }\n";
        check(no_unwrap, "crates/x/src/a.rs", code, &["crates/x/src/a.rs:2: b.unwrap()"]);
        check(no_unwrap, "tests/a.rs", code, &[]);
    }

    #[test]
    fn marks() {
        let line = concat!("// TO", "DO: later\n");
        check(nothing_left_to_do, "a.md", line, &[&format!("a.md:1: {}", line.trim())]);
        check(no_ignored_tests, "a.rs", concat!("#[ig", "nore]\n"), &[concat!("a.rs:1: #[ig", "nore]")]);
        check(no_sleeps, "tests/a.rs", "sleep(1)\n", &["tests/a.rs:1: sleep(1)"]);
        check(no_sleeps, "crates/a.rs", "sleep(1)\n", &[]);
    }

    #[test]
    fn explanations() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nlibc.workspace = true\nrustredis-a = 1\n\"q\" = { version = \"1\" }\n";
        assert_eq!(dependencies(manifest), [(4, "libc"), (5, "rustredis-a"), (6, "q")]);
        let sources = [
            Source { path: "ARCHITECTURE.md".into(), text: "`libc`: the calls that std lacks".into() },
            Source { path: "a/Cargo.toml".into(), text: manifest.into() },
        ];
        assert_eq!(explained_dependencies(&sources), ["a/Cargo.toml:6: q is not explained"]);
    }
}
