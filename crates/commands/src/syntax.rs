//! The arguments of a command, read from its syntax: what `COMMAND DOCS` tells clients is derived from the one line that
//! people read.
//!
//! ```text
//! sequence     arguments one after the other, `|` between alternatives
//! word         a value; in capitals or without letters a token, which the values behind it belong to
//! [ ... ]      may be left away
//! < ... >      one of the alternatives
//! [word ...]   ending in dots: what stands before may be repeated
//! ```
//!
//! So `key [WEIGHTS weight [weight ...]]` is a key, and a weight that is optional, may be repeated, and has a token in front.
//! Types follow from the names, for the names are Redis's; a row says where they do not. A table of arguments next to each row was rejected: it says the
//! same thing twice, and the two would differ one day.

use crate::command::{Command, Flags, Group};

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ArgumentKind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    /// Only its token.
    PureToken,
    /// One of its arguments.
    OneOf,
    /// All of its arguments.
    Block,
}

impl ArgumentKind {
    /// Redis's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Key => "key",
            Self::Pattern => "pattern",
            Self::UnixTime => "unix-time",
            Self::PureToken => "pure-token",
            Self::OneOf => "oneof",
            Self::Block => "block",
        }
    }
}

/// An argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ArgumentKind,
    /// The word in front of it.
    pub token: Option<&'static str>,
    /// The key specification that finds it, of a key or of a pattern of keys.
    pub key_spec: Option<usize>,
    /// Whether it may be left away.
    pub is_optional: bool,
    /// Whether it may be repeated.
    pub is_multiple: bool,
    /// Whether its token is repeated with it.
    pub has_multiple_token: bool,
    /// The arguments that it is made of.
    pub arguments: Vec<Argument>,
}

impl Argument {
    fn new(name: String, kind: ArgumentKind) -> Self {
        Self {
            name,
            kind,
            token: None,
            key_spec: None,
            is_optional: false,
            is_multiple: false,
            has_multiple_token: false,
            arguments: Vec::new(),
        }
    }

    fn composed(kind: ArgumentKind, arguments: Vec<Self>) -> Self {
        let names: Vec<&str> = arguments.iter().map(|argument| argument.name.as_str()).collect();
        let name = match (kind, names.first()) {
            (ArgumentKind::OneOf, Some(first)) => {
                customary_name(first).map_or_else(|| names.join("_"), str::to_owned)
            }
            _ => names.join("_"),
        };
        Self { arguments, ..Self::new(name, kind) }
    }

    /// All of these as one argument.
    fn group(mut arguments: Vec<Self>) -> Self {
        match arguments.pop() {
            Some(only) if arguments.is_empty() => only,
            last => {
                arguments.extend(last);
                Self::composed(ArgumentKind::Block, arguments)
            }
        }
    }
}

/// What Redis calls a choice that begins with this alternative.
fn customary_name(first: &str) -> Option<&'static str> {
    Some(match first {
        "nx" | "fnx" | "ifeq-value" => "condition",
        "float" => "increment",
        "gt" => "comparison",
        "asc" => "order",
        "m" => "unit",
        "seconds" => "expiration",
        "left" | "min" => "where",
        _ => return None,
    })
}

/// The arguments of a command.
pub fn arguments(command: &Command) -> Vec<Argument> {
    let mut parser = Parser { command, lexemes: lexemes(command.syntax), at: 0, repeats_choice: false };
    let mut arguments = parser.sequence();
    debug_assert_eq!(parser.at, parser.lexemes.len(), "the syntax of {} is balanced", command.name);
    number_keys(&mut arguments, command.keys.len(), &mut 0);
    arguments
}

/// Gives the arguments that are keys the key specifications in their order.
fn number_keys(arguments: &mut [Argument], specs: usize, next: &mut usize) {
    for argument in arguments {
        let makes_keys =
            argument.kind == ArgumentKind::Pattern && argument.token.is_some_and(|token| token == "BY");
        let shares_keys =
            argument.kind == ArgumentKind::Pattern && argument.token.is_some_and(|token| token == "GET");
        if (argument.kind == ArgumentKind::Key || makes_keys) && specs > 0 {
            argument.key_spec = Some((*next).min(specs - 1));
            *next += 1;
        } else if shares_keys && specs > 1 {
            argument.key_spec = Some(next.saturating_sub(1));
        }
        number_keys(&mut argument.arguments, specs, next);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lexeme {
    OpenOptional,
    OpenChoice,
    Close,
    Bar,
    Dots,
    Word(&'static str),
}

fn lexemes(syntax: &'static str) -> Vec<Lexeme> {
    let mut lexemes = Vec::new();
    for piece in syntax.split_ascii_whitespace() {
        let body = piece.trim_start_matches(['[', '<']);
        lexemes.extend(piece[..piece.len() - body.len()].chars().map(|open| match open {
            '[' => Lexeme::OpenOptional,
            _ => Lexeme::OpenChoice,
        }));
        let word = body.trim_end_matches([']', '>']);
        match word {
            "" => {}
            "|" => lexemes.push(Lexeme::Bar),
            "..." => lexemes.push(Lexeme::Dots),
            word => lexemes.push(Lexeme::Word(word)),
        }
        lexemes.extend(body[word.len()..].chars().map(|_| Lexeme::Close));
    }
    lexemes
}

fn is_token(word: &str) -> bool {
    !word.contains(|letter: char| letter.is_ascii_lowercase())
}

/// Reads a syntax from left to right. Its input is ours, and nested a few levels deep, so it may call itself.
struct Parser<'c> {
    command: &'c Command,
    lexemes: Vec<Lexeme>,
    at: usize,
    /// A repetition was met that repeats the choice around it.
    repeats_choice: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<Lexeme> {
        self.lexemes.get(self.at).copied()
    }

    fn sequence(&mut self) -> Vec<Argument> {
        let mut arguments = Vec::new();
        while let Some(lexeme) = self.peek() {
            match lexeme {
                Lexeme::Close | Lexeme::Bar | Lexeme::Dots => break,
                Lexeme::Word(word) => {
                    self.at += 1;
                    arguments.push(if is_token(word) { self.behind(word) } else { self.value(word) });
                }
                Lexeme::OpenOptional if self.is_repetition() => self.repetition(&mut arguments),
                Lexeme::OpenOptional => {
                    let choice = self.choice();
                    arguments.push(Argument { is_optional: true, ..choice });
                }
                Lexeme::OpenChoice => arguments.push(self.choice()),
            }
        }
        arguments
    }

    /// A bracket with one or more alternatives, from its opening to its end.
    fn choice(&mut self) -> Argument {
        self.at += 1;
        let mut alternatives = self.alternatives();
        self.at += 1;
        let is_multiple = std::mem::take(&mut self.repeats_choice);
        let choice = match alternatives.len() {
            1 => Argument::group(alternatives.remove(0)),
            _ => Argument::composed(
                ArgumentKind::OneOf,
                alternatives.into_iter().map(Argument::group).collect(),
            ),
        };
        Argument { is_multiple: choice.is_multiple || is_multiple, ..choice }
    }

    fn alternatives(&mut self) -> Vec<Vec<Argument>> {
        let mut alternatives = vec![self.sequence()];
        while self.peek() == Some(Lexeme::Bar) {
            self.at += 1;
            alternatives.push(self.sequence());
        }
        alternatives
    }

    /// A token with the values that belong to it.
    fn behind(&mut self, token: &'static str) -> Argument {
        let mut values = Vec::new();
        while let Some(lexeme) = self.peek() {
            match lexeme {
                Lexeme::Word(word) if !is_token(word) => {
                    self.at += 1;
                    values.push(self.value(word));
                }
                Lexeme::OpenOptional if !values.is_empty() && self.is_repetition_of_value() => {
                    self.repetition(&mut values);
                }
                Lexeme::OpenChoice if values.is_empty() => {
                    values.push(self.choice());
                    break;
                }
                _ => break,
            }
        }
        let argument = if values.is_empty() {
            Argument::new(token_name(token), ArgumentKind::PureToken)
        } else {
            Argument::group(values)
        };
        let name = if argument.kind == ArgumentKind::OneOf { token_name(token) } else { argument.name };
        Argument { name, token: Some(token), ..argument }
    }

    /// Whether the bracket that opens here ends in dots.
    fn is_repetition(&self) -> bool {
        let mut depth = 0usize;
        for (index, lexeme) in self.lexemes.iter().enumerate().skip(self.at) {
            match lexeme {
                Lexeme::OpenOptional | Lexeme::OpenChoice => depth += 1,
                Lexeme::Close => {
                    depth -= 1;
                    if depth == 0 {
                        return self.lexemes[index - 1] == Lexeme::Dots;
                    }
                }
                _ => {}
            }
        }
        false
    }

    fn is_repetition_of_value(&self) -> bool {
        let first = self.lexemes.get(self.at + 1);
        self.is_repetition() && matches!(first, Some(Lexeme::Word(word)) if !is_token(word))
    }

    /// Makes the last of `arguments` repeatable, as many as the repetition repeats.
    fn repetition(&mut self, arguments: &mut Vec<Argument>) {
        self.at += 1;
        let alternatives = self.alternatives();
        // The dots and the end of the bracket.
        self.at += 2;
        let [repeated] = alternatives.as_slice() else {
            self.repeats_choice = true;
            return;
        };
        let first = arguments.len().saturating_sub(repeated.len());
        let whole = Argument::group(arguments.split_off(first));
        let has_multiple_token = repeated.len() == 1 && repeated[0].token.is_some();
        arguments.push(Argument { is_multiple: true, has_multiple_token, ..whole });
    }

    fn value(&self, name: &'static str) -> Argument {
        Argument::new(name.to_owned(), value_kind(self.command, name))
    }
}

fn token_name(token: &str) -> String {
    match token {
        "=" => "equal".to_owned(),
        "~" => "approximately".to_owned(),
        "*" => "auto_id".to_owned(),
        "$" => "new_id".to_owned(),
        token => token.to_ascii_lowercase(),
    }
}

/// What a value of this name is. The names say it, with the exceptions that the row makes.
fn value_kind(command: &Command, name: &str) -> ArgumentKind {
    let is_blocking = command.flags.has(Flags::BLOCKING);
    if let Some((_, kind)) = command.value_kinds.iter().find(|(exception, _)| *exception == name) {
        return *kind;
    }
    match name {
        "key" | "key1" | "key2" | "source" | "src" | "destination" | "dst" | "destkey" | "sourcekey"
        | "newkey"
            if !command.keys.is_empty() =>
        {
            ArgumentKind::Key
        }
        "start" | "end" | "stop" if command.group == Group::Stream => ArgumentKind::String,
        "timeout" if is_blocking && command.group != Group::Generic => ArgumentKind::Double,
        "value" if command.group == Group::Bitmap => ArgumentKind::Integer,
        "height" | "latitude" | "longitude" | "radius" | "score" | "width" => ArgumentKind::Double,
        "unix-time-milliseconds" | "unix-time-seconds" => ArgumentKind::UnixTime,
        "pattern" => ArgumentKind::Pattern,
        "bit" | "bits" | "client-id" | "cluster_bus_port" | "config-epoch" | "count" | "cursor" | "db"
        | "decrement" | "destination-db" | "end" | "end-slot" | "entries_added" | "entries_read"
        | "frequency" | "increment" | "index" | "index1" | "index2" | "len" | "limit" | "milliseconds"
        | "ms" | "num-matches" | "numfields" | "numkeys" | "numlocal" | "numreplicas" | "offset" | "port"
        | "protover" | "rank" | "seconds" | "slot" | "start" | "start-slot" | "stop" | "timeout" | "ttl"
        | "version" | "weight" => ArgumentKind::Integer,
        _ => ArgumentKind::String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    /// Writes arguments in the notation that they were read from.
    fn render(arguments: &[Argument]) -> String {
        arguments.iter().map(render_one).collect::<Vec<_>>().join(" ")
    }

    fn render_one(argument: &Argument) -> String {
        let parts: Vec<String> = argument.arguments.iter().map(render_one).collect();
        let body = match argument.kind {
            ArgumentKind::OneOf => parts.join(" | "),
            ArgumentKind::Block => parts.join(" "),
            ArgumentKind::PureToken => String::new(),
            _ => argument.name.clone(),
        };
        let is_bare = argument.is_optional && argument.token.is_none();
        let is_choice = argument.kind == ArgumentKind::OneOf && (!is_bare || argument.is_multiple);
        let body = if is_choice && !is_bare { format!("<{body}>") } else { body };
        let with_token = match argument.token {
            Some(token) if body.is_empty() => token.to_owned(),
            Some(token) => format!("{token} {body}"),
            None => body.clone(),
        };
        let repeated = if argument.has_multiple_token { &with_token } else { &body };
        let whole =
            if argument.is_multiple { format!("{with_token} [{repeated} ...]") } else { with_token.clone() };
        if argument.is_optional { format!("[{whole}]") } else { whole }
    }

    fn row(name: &str) -> &'static Command {
        let rows = crate::FAMILIES.iter().copied().flatten();
        rows.into_iter().find(|row| row.name == name).unwrap()
    }

    #[test]
    fn every_syntax_is_read_without_loss() {
        let registry = Registry::new(crate::FAMILIES, &[]).unwrap();
        for row in registry.rows() {
            let command = row.command;
            assert_eq!(render(&arguments(command)), command.syntax, "{}", row.full_name);
        }
    }

    #[test]
    fn keys_are_joined_with_their_specifications() {
        let check = |name: &str, expected: &[(&str, usize)]| {
            fn walk(arguments: &[Argument], found: &mut Vec<(String, usize)>) {
                for argument in arguments {
                    found.extend(argument.key_spec.map(|spec| (argument.name.clone(), spec)));
                    walk(&argument.arguments, found);
                }
            }
            let mut found = Vec::new();
            walk(&arguments(row(name)), &mut found);
            let found: Vec<(&str, usize)> = found.iter().map(|(name, spec)| (name.as_str(), *spec)).collect();
            assert_eq!(found, expected, "{name}");
        };
        check("get", &[("key", 0)]);
        check("rename", &[("key", 0), ("newkey", 1)]);
        check("lcs", &[("key1", 0), ("key2", 0)]);
        check("zunionstore", &[("destination", 0), ("key", 1)]);
        check("sort", &[("key", 0), ("pattern", 1), ("pattern", 1), ("destination", 2)]);
        check("dbsize", &[]);
    }

    #[test]
    fn values_belong_to_the_token_before_them() {
        let arguments = arguments(row("zunionstore"));
        let [destination, numkeys, key, weights, aggregate] = arguments.as_slice() else {
            panic!("{arguments:?}")
        };
        assert_eq!((destination.kind, numkeys.kind), (ArgumentKind::Key, ArgumentKind::Integer));
        assert!(key.is_multiple && !key.is_optional);
        assert_eq!((weights.token, weights.name.as_str()), (Some("WEIGHTS"), "weight"));
        assert!(weights.is_multiple && weights.is_optional && !weights.has_multiple_token);
        assert_eq!((aggregate.token, aggregate.kind), (Some("AGGREGATE"), ArgumentKind::OneOf));
        assert_eq!(aggregate.arguments[0].kind, ArgumentKind::PureToken);
    }

    #[test]
    fn what_repeats_together_is_a_block() {
        let arguments = arguments(row("hset"));
        assert_eq!((arguments[1].kind, arguments[1].name.as_str()), (ArgumentKind::Block, "field_value"));
        assert!(arguments[1].is_multiple);
    }
}
