//! Rules about a file's text, line by line.

use std::path::Path;

use super::source::{Source, rust};

/// Longest source file that needs no reason.
const LINES_MAX: usize = 1_000;
/// What the head of a longer file must contain, followed by the reason.
const LONG_FILE_REASON: &str = "more than 1,000 lines";

pub(super) fn short_files(sources: &[Source]) -> Vec<String> {
    let is_excused = |source: &Source| source.head().any(|line| line.contains(LONG_FILE_REASON));
    let long = rust(sources).filter(|source| source.text.lines().count() > LINES_MAX && !is_excused(source));
    long.map(|source| source.breach(LINES_MAX + 1, "too long, without a reason")).collect()
}

pub(super) fn module_docs(sources: &[Source]) -> Vec<String> {
    let has_docs = |source: &Source| source.head().any(|line| line.starts_with("//!"));
    let without = rust(sources).filter(|source| !source.path.ends_with("/tests.rs") && !has_docs(source));
    without.map(|source| source.breach(1, "no //! at the top")).collect()
}

pub(super) fn no_unwrap(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in rust(sources).filter(|source| !source.is_test()) {
        let found = source
            .code()
            .filter(|(_, line)| line.contains(concat!(".unw", "rap()")) && !line.trim().starts_with("//"));
        breaches.extend(found.map(|(number, line)| source.breach(number, line.trim())));
    }
    breaches
}

pub(super) fn nothing_left_to_do(sources: &[Source]) -> Vec<String> {
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX:"), concat!("(to be ", "written)")];
    find(sources.iter(), &marks)
}

pub(super) fn no_ignored_tests(sources: &[Source]) -> Vec<String> {
    find(rust(sources), &[concat!("#[ig", "nore")])
}

pub(super) fn no_sleeps(sources: &[Source]) -> Vec<String> {
    find(rust(sources).filter(|source| source.path.starts_with("tests/")), &["sleep("])
}

pub(super) fn explained_dependencies(sources: &[Source]) -> Vec<String> {
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

pub(super) fn no_registry_hosts(sources: &[Source]) -> Vec<String> {
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
    use super::super::Rule;
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
