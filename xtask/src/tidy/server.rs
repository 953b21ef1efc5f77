//! The rule about the type `Server`, the server with all its parts: only what starts it, the way of a request and the
//! commands may name it. Every other subsystem is made with what it needs, so that it can be read and tested alone.
//!
//! A name is found behind whatever pointer. An alias (`type`, `use .. as`), a tuple or an enumeration that holds the
//! type counts as its name; so does the way through a field or a method that gives it.

use std::collections::BTreeSet;

use super::exceptions::Exceptions;
use super::source::{Source, rust};
use super::tokens::{Token, find_outside, past_closing, starts_with, tokens};

const CRATE: &str = "crates/server/src/";
const ALLOWED: [&str; 3] = ["start/", "request/", "commands/"];
/// The files that name it all the same.
const EXCEPTIONS: &str = "xtask/src/tidy/exceptions/server.txt";

/// Reports each line outside start, request and commands that names the server.
pub(super) fn named_by_few(sources: &[Source]) -> Vec<String> {
    let files: Vec<(&Source, Vec<Token<'_>>)> = rust(sources)
        .filter(|source| source.path.starts_with(CRATE) && !source.is_test())
        .map(|source| (source, tokens(&source.text)))
        .collect();
    let names = Names::of(&files);
    let mut exceptions = Exceptions::read(sources, EXCEPTIONS);
    let mut breaches = Vec::new();
    for (source, tokens) in files.iter().filter(|(source, _)| !is_allowed(&source.path)) {
        let lines = names.lines(tokens);
        if !lines.is_empty() && !exceptions.has(&source.path) {
            breaches.extend(lines.iter().map(|(line, what)| source.breach(*line, what)));
        }
    }
    breaches.extend(exceptions.unused("does not name the server any more"));
    breaches
}

fn is_allowed(path: &str) -> bool {
    let inner = path.trim_start_matches(CRATE);
    ALLOWED.iter().any(|folder| inner.starts_with(folder))
}

/// What stands for the server.
#[derive(Default)]
struct Names<'a> {
    types: BTreeSet<&'a str>,
    /// Fields and methods that give it.
    ways: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(files: &[(&Source, Vec<Token<'a>>)]) -> Self {
        let mut names = Self { types: ["Server"].into(), ways: BTreeSet::new() };
        // An alias of an alias is found in a later round.
        loop {
            let known = names.types.len();
            for (_, tokens) in files {
                for at in 0..tokens.len() {
                    names.add(tokens, at);
                }
            }
            if names.types.len() == known {
                return names;
            }
        }
    }

    fn add(&mut self, tokens: &[Token<'a>], at: usize) {
        let Some(name) = tokens.get(at + 1).filter(|token| token.is_word()) else { return };
        match tokens[at].text {
            "as" if at > 0 && self.types.contains(tokens[at - 1].text) => {
                self.types.insert(name.text);
            }
            "type" => {
                let end = find_outside(tokens, at, &[";"]);
                if self.is_named(&tokens[at + 2..end]) {
                    self.types.insert(name.text);
                }
            }
            "enum" => {
                let open = find_outside(tokens, at, &["{"]);
                if self.is_named(&tokens[open..past_closing(tokens, open)]) {
                    self.types.insert(name.text);
                }
            }
            "struct" => {
                let open = find_outside(tokens, at, &["{", "(", ";"]);
                let body = &tokens[open..past_closing(tokens, open)];
                if starts_with(body, &["("]) && self.is_named(body) {
                    self.types.insert(name.text);
                } else if starts_with(body, &["{"]) {
                    self.add_fields(&body[1..]);
                }
            }
            "fn" => {
                let end = find_outside(tokens, at, &["{", ";"]);
                let signature = &tokens[at..end];
                let takes_self = signature.iter().any(|token| token.text == "self");
                let returned = signature.iter().position(|token| token.text == "->");
                if takes_self && returned.is_some_and(|arrow| self.is_named(&signature[arrow..])) {
                    self.ways.insert(name.text);
                }
            }
            _ => {}
        }
    }

    fn add_fields(&mut self, body: &[Token<'a>]) {
        let mut start = 0;
        while start < body.len() {
            let end = find_outside(body, start, &[","]);
            let field = &body[start..end];
            if let Some(colon) = field.iter().position(|token| token.text == ":")
                && colon > 0
                && self.is_named(&field[colon..])
            {
                self.ways.insert(field[colon - 1].text);
            }
            start = end + 1;
        }
    }

    /// Whether these tokens hold the server. A function's parameters do not: who has the function has no server by it.
    fn is_named(&self, tokens: &[Token<'_>]) -> bool {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if self.types.contains(token.text) {
                return true;
            }
            let takes = matches!(token.text, "fn" | "Fn" | "FnMut" | "FnOnce")
                && tokens.get(at + 1).is_some_and(|next| next.text == "(");
            at = if takes { past_closing(tokens, at + 1) } else { at + 1 };
        }
        false
    }

    /// The lines that name the server, and how.
    fn lines(&self, tokens: &[Token<'_>]) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (index, token) in tokens.iter().enumerate() {
            let follows_dot = index > 0 && tokens[index - 1].text == ".";
            if self.types.contains(token.text) {
                found.push((token.line, format!("names the type {}", token.text)));
            } else if follows_dot && self.ways.contains(token.text) {
                found.push((token.line, format!("reaches the server through .{}", token.text)));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "\
        pub struct Server { a: A } type Shared = Arc<Server>; struct Tuple(Shared);\n\
        struct Worker { pub server: Arc<Server>, other: fn(&Server) } impl Worker { fn whole(&self) -> &Server { &self.server } }\n";

    fn check(code: &str, exceptions: &str, expected: &[&str]) {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let sources = [
            source("crates/server/src/start/server.rs", START),
            source("crates/server/src/request/a.rs", "use crate::start::Server as House;"),
            source("crates/server/src/net/a.rs", code),
            source(EXCEPTIONS, exceptions),
        ];
        assert_eq!(named_by_few(&sources), expected);
    }

    #[test]
    fn every_way_to_it_is_found() {
        let file = "crates/server/src/net/a.rs:1: ";
        let name = |name: &str| format!("{file}names the type {name}");
        check("fn f(a: &Arc<Server>) {}", "", &[&name("Server")]);
        check("fn f(a: Shared) {}", "", &[&name("Shared")]);
        check("fn f(a: Tuple) {}", "", &[&name("Tuple")]);
        check("fn f(a: House) {}", "", &[&name("House")]);
        check(
            "fn f(a: &Worker) { a.server.go() }",
            "",
            &[&format!("{file}reaches the server through .server")],
        );
        check("fn f(a: &Worker) { a.whole() }", "", &[&format!("{file}reaches the server through .whole")]);
        check("fn f(a: &Worker) { a.other } // Server\n#[cfg(test)] mod tests { Server }", "", &[]);
    }

    #[test]
    fn an_exception_is_needed_or_goes() {
        check("Server", "crates/server/src/net/a.rs\n", &[]);
        let out_of_date =
            format!("{EXCEPTIONS}:1: crates/server/src/net/a.rs does not name the server any more");
        check("", "crates/server/src/net/a.rs\n", &[&out_of_date]);
    }
}
