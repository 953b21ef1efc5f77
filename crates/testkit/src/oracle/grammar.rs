//! The little language that families write their commands in.
//!
//! A template is words between spaces: `SET {str} {value} (EX {ttl}|KEEPTTL)? (NX|XX)? GET?`. `{name}` draws a value,
//! `(a b|c)` draws one of its alternatives, and a word or a group may be followed by `?` (half the time left out), `+`
//! (one to four times) or `*` (up to three times). A `%` stands for an asterisk of the command itself.

use crate::Random;

/// A template, parsed.
#[derive(Debug, Clone)]
pub(super) struct Template {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
struct Node {
    content: Content,
    least: usize,
    most: usize,
}

#[derive(Debug, Clone)]
enum Content {
    Word(String),
    Choice(Vec<Vec<Node>>),
}

impl Template {
    /// Parses a template. Panics if its parentheses do not match: it is part of our own source.
    pub(super) fn parse(text: &'static str) -> Self {
        let mut rest = text;
        let mut choice = alternatives(&mut rest, text);
        assert!(rest.is_empty() && choice.len() == 1, "a stray parenthesis or bar in {text}");
        Self { nodes: choice.remove(0) }
    }

    /// Draws a command: `draw` gives a value for each name.
    pub(super) fn expand(
        &self,
        random: &mut Random,
        draw: &mut dyn FnMut(&mut Random, &str) -> Vec<u8>,
    ) -> Vec<Vec<u8>> {
        let mut words = Vec::new();
        expand(&self.nodes, random, draw, &mut words);
        words
    }
}

/// Parses up to a closing parenthesis, which is left, or the end. Templates are written by us, so recursion is bounded.
fn alternatives(rest: &mut &'static str, whole: &str) -> Vec<Vec<Node>> {
    let mut choice = vec![Vec::new()];
    loop {
        *rest = rest.trim_start_matches(' ');
        let content = match rest.bytes().next() {
            None | Some(b')') => return choice,
            Some(b'|') => {
                *rest = &rest[1..];
                choice.push(Vec::new());
                continue;
            }
            Some(b'(') => {
                *rest = &rest[1..];
                let inner = alternatives(rest, whole);
                *rest = rest.strip_prefix(')').unwrap_or_else(|| panic!("an open parenthesis in {whole}"));
                Content::Choice(inner)
            }
            Some(_) => {
                let end = rest.find([' ', '|', ')', '?', '+', '*']).unwrap_or(rest.len());
                let word = rest[..end].to_owned();
                assert!(!word.is_empty(), "a lone suffix in {whole}");
                *rest = &rest[end..];
                Content::Word(word)
            }
        };
        let (least, most) = match rest.bytes().next() {
            Some(b'?') => (0, 1),
            Some(b'+') => (1, 4),
            Some(b'*') => (0, 3),
            _ => (1, 1),
        };
        if (least, most) != (1, 1) {
            *rest = &rest[1..];
        }
        if let Some(nodes) = choice.last_mut() {
            nodes.push(Node { content, least, most });
        }
    }
}

fn expand(
    nodes: &[Node],
    random: &mut Random,
    draw: &mut dyn FnMut(&mut Random, &str) -> Vec<u8>,
    words: &mut Vec<Vec<u8>>,
) {
    for node in nodes {
        for _ in 0..node.least + random.below(node.most - node.least + 1) {
            match &node.content {
                Content::Choice(choice) => {
                    let index = random.below(choice.len());
                    expand(&choice[index], random, draw, words);
                }
                Content::Word(word) => match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
                    Some(name) => words.push(draw(random, name)),
                    None => words.push(word.replace('%', "*").into_bytes()),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// All that a template draws in many attempts.
    fn check(template: &'static str, expected: &[&str]) {
        let template = Template::parse(template);
        let mut random = Random::new(1);
        let mut draw = |_: &mut Random, name: &str| name.to_ascii_uppercase().into_bytes();
        let drawn: BTreeSet<String> = (0..500)
            .map(|_| String::from_utf8(template.expand(&mut random, &mut draw).join(&b' ')).unwrap())
            .collect();
        assert_eq!(drawn, expected.iter().map(|line| (*line).to_owned()).collect());
    }

    #[test]
    fn templates() {
        check("get {key}", &["get KEY"]);
        check("a b?", &["a", "a b"]);
        check("a (b {c}|d)", &["a b C", "a d"]);
        check("a (b|c (d|e)?)?", &["a", "a b", "a c", "a c d", "a c e"]);
        check("a {b}*", &["a", "a B", "a B B", "a B B B"]);
        check("keys %", &["keys *"]);
        check("(a b)+", &["a b", "a b a b", "a b a b a b", "a b a b a b a b"]);
    }

    #[test]
    #[should_panic(expected = "an open parenthesis")]
    fn unbalanced() {
        Template::parse("a (b");
    }
}
