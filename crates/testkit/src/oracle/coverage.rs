//! Whether histories hold every command that a server has.

use std::collections::BTreeSet;

use super::families::LEFT_OUT;
use super::{Coverage, History};

/// Steps of the histories that are looked at: so many that no template is missed.
const STEPS: usize = 30_000;

/// What is wrong with the grammar.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Commands of the server that no history holds and nobody has left out.
    pub missing: Vec<String>,
    /// Commands that are left out and unknown to the server, or held by histories all the same.
    pub out_of_date: Vec<&'static str>,
}

/// Compares what histories hold with a server's commands, as COMMAND LIST names them (subcommands as `client|id`).
pub fn gaps(known: &[String]) -> Gaps {
    let mut drawn = BTreeSet::new();
    for coverage in [Coverage::Redis70, Coverage::Own, Coverage::Near] {
        for (_, command) in History::new(1, STEPS, coverage).commands() {
            let name = command.name().to_ascii_lowercase();
            if let Some(word) = command.arguments.get(1) {
                drawn.insert(format!("{name}|{}", String::from_utf8_lossy(word).to_ascii_lowercase()));
            }
            drawn.insert(name);
        }
    }
    let is_left_out = |name: &str| LEFT_OUT.iter().any(|(pattern, _)| matches(pattern, name));
    let missing = known.iter().filter(|name| !drawn.contains(*name) && !is_left_out(name));
    let is_needed = |pattern: &str| known.iter().any(|name| matches(pattern, name) && !drawn.contains(name));
    let out_of_date = LEFT_OUT.iter().map(|(pattern, _)| *pattern).filter(|pattern| !is_needed(pattern));
    Gaps { missing: missing.cloned().collect(), out_of_date: out_of_date.collect() }
}

/// True if `pattern` is the name, the end of it behind a star, or the beginning of it before one.
fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_on_both_sides() {
        let known = ["get", "client|setname", "client|help", "brandnew"].map(str::to_owned);
        let gaps = gaps(&known);
        assert_eq!(gaps.missing, ["brandnew"]);
        assert!(gaps.out_of_date.contains(&"shutdown") && !gaps.out_of_date.contains(&"*|help"), "{gaps:?}");
    }
}
