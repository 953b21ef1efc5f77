//! Why things differ: `reasons.tsv`, a line for each kind, name, what and reason. A name may end with `*`.

use super::facts::Difference;

const TEXT: &str = include_str!("reasons.tsv");

/// A line of the file.
#[derive(Debug)]
pub(super) struct Reason {
    pub(super) kind: &'static str,
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) text: &'static str,
}

/// All lines.
pub(super) struct Reasons(Vec<Reason>);

impl Reasons {
    /// # Errors
    /// If a line is not of four cells.
    pub(super) fn read() -> Result<Self, String> {
        let lines = TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = |line: &'static str| match line.split('\t').collect::<Vec<_>>()[..] {
            [kind, name, what, text] => Ok(Reason { kind, name, what, text }),
            _ => Err(format!("not kind, name, what and reason: {line}")),
        };
        lines.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Why this differs.
    pub(super) fn of(&self, difference: &Difference) -> Option<&'static str> {
        self.0.iter().find(|reason| reason.is_of(difference)).map(|reason| reason.text)
    }

    /// Those of a kind that nobody compares here.
    pub(super) fn told_of(&self, kind: &str) -> impl Iterator<Item = &Reason> {
        self.0.iter().filter(move |reason| reason.kind == kind)
    }

    /// Differences without a reason, and reasons for what does not differ. What is newer needs none, if it is a command: its
    /// version says it.
    pub(super) fn problems(&self, differences: &[Difference]) -> Vec<String> {
        let is_wanting = |difference: &&Difference| {
            (difference.kind, difference.what) != ("command", "newer") && self.of(difference).is_none()
        };
        let wanting = differences.iter().filter(is_wanting).map(|difference| {
            let Difference { kind, name, what, ours, theirs } = difference;
            format!("no reason: {kind}\t{name}\t{what}\t(ours `{ours}`, Redis's `{theirs}`)")
        });
        let idle = self.0.iter().filter(|reason| {
            reason.kind != "suite" && !differences.iter().any(|difference| reason.is_of(difference))
        });
        let idle =
            idle.map(|reason| format!("no difference: {}\t{}\t{}", reason.kind, reason.name, reason.what));
        wanting.chain(idle).collect()
    }
}

impl Reason {
    fn is_of(&self, difference: &Difference) -> bool {
        let has_name = match self.name.strip_suffix('*') {
            Some(prefix) => difference.name.starts_with(prefix),
            None => self.name == difference.name,
        };
        self.kind == difference.kind && self.what == difference.what && has_name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(name: &str) -> Difference {
        let (ours, theirs) = Default::default();
        Difference { kind: "info", name: name.to_owned(), what: "missing", ours, theirs }
    }

    #[test]
    fn a_star_stands_for_any_end() {
        let reason = Reason { kind: "info", name: "mem_*", what: "missing", text: "" };
        assert!(reason.is_of(&difference("mem_x")) && !reason.is_of(&difference("meme")));
    }

    #[test]
    fn the_file_can_be_read_and_says_why() {
        let Reasons(all) = Reasons::read().unwrap();
        assert!(all.iter().all(|reason| reason.text.ends_with('.')), "{all:?}");
        let reasons = Reasons(Vec::new());
        assert_eq!(reasons.problems(&[difference("x")]).len(), 1);
    }
}
