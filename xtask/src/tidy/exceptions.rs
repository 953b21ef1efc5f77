//! Files that a rule lets pass, listed one a line. A line that is not needed is a breach, so that a list can only shrink.

use super::source::Source;

/// A rule's list.
pub(super) struct Exceptions<'a> {
    path: &'a str,
    /// The line, the file, and whether the rule has asked for it.
    files: Vec<(usize, &'a str, bool)>,
}

impl<'a> Exceptions<'a> {
    /// The list at this path; empty if there is none.
    pub(super) fn read(sources: &'a [Source], path: &'a str) -> Self {
        let text = sources.iter().find(|source| source.path == path).map_or("", |source| &source.text);
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim(), false));
        let files = lines.filter(|(_, line, _)| !line.is_empty() && !line.starts_with('#')).collect();
        Self { path, files }
    }

    /// Whether a file that breaks the rule is excused.
    pub(super) fn has(&mut self, file: &str) -> bool {
        let found = self.files.iter_mut().find(|(_, excused, _)| *excused == file);
        found.map(|(_, _, is_used)| *is_used = true).is_some()
    }

    /// A breach for each file that nobody has asked for.
    pub(super) fn unused(&self, why: &str) -> Vec<String> {
        let unused = self.files.iter().filter(|(_, _, is_used)| !is_used);
        unused.map(|(line, file, _)| format!("{}:{line}: {file} {why}", self.path)).collect()
    }
}
