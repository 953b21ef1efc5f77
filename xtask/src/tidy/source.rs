//! The files that the rules look at.

use crate::shell;

/// How far a file's head reaches.
const HEAD_LINES: usize = 30;

/// A file that git knows, or would.
pub(super) struct Source {
    /// From the repository's root.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// True for files that hold nothing but tests and what tests share (`testing.rs`, a module under cfg(test)).
    pub(super) fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("/testing.rs")
    }

    pub(super) fn head(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take(HEAD_LINES)
    }

    /// The lines with their numbers, up to the module of unit tests.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.take_while(|(_, line)| line.trim() != "#[cfg(test)]")
    }

    pub(super) fn breach(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// Reads all files.
pub(super) fn read_all() -> Result<Vec<Source>, String> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let list = shell::capture(&mut shell::program("git", &arguments))?;
    let root = shell::root();
    // A file that is deleted but not committed so has no text, and neither has one that is not UTF-8.
    let read = |path: &str| {
        Some(Source { path: path.to_owned(), text: std::fs::read_to_string(root.join(path)).ok()? })
    };
    Ok(list.lines().filter_map(read).collect())
}

/// Those in Rust.
pub(super) fn rust(sources: &[Source]) -> impl Iterator<Item = &Source> {
    sources.iter().filter(|source| source.is_rust())
}
