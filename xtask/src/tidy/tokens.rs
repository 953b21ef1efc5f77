//! Rust source as tokens: words, marks and where they stand. Comments are gone, a literal's text is gone, and so is
//! what only tests see. That is all the grammar that the rules about imports and names need; a parser of the whole
//! language would be a dependency of many thousand lines.

/// A word or a mark, with its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// The word or mark; of a string only its quotes.
    pub(super) text: &'a str,
    /// Counted from 1.
    pub(super) line: usize,
}

impl Token<'_> {
    /// True for names and keywords.
    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first == '_' || first.is_alphabetic())
    }
}

/// The tokens of a file, without what stands under `#[cfg(test)]`.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    without_tests(&Lexer { rest: text, line: 1 }.collect::<Vec<_>>())
}

/// The index behind the bracket that closes the one at `open`; the end if there is none.
pub(super) fn past_closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// The index of the first of `marks` that stands in no bracket opened behind `start`; the end if there is none.
pub(super) fn find_outside(tokens: &[Token<'_>], start: usize, marks: &[&str]) -> usize {
    let mut index = start;
    while index < tokens.len() {
        if marks.contains(&tokens[index].text) {
            return index;
        }
        index = match tokens[index].text {
            "(" | "[" | "{" => past_closing(tokens, index),
            _ => index + 1,
        };
    }
    tokens.len()
}

fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        if starts_with(&tokens[index..], &["#", "[", "cfg", "(", "test", ")", "]"]) {
            index = past_item(tokens, index);
        } else {
            kept.push(tokens[index]);
            index += 1;
        }
    }
    kept
}

/// Whether the tokens begin with these texts.
pub(super) fn starts_with(tokens: &[Token<'_>], texts: &[&str]) -> bool {
    tokens.len() >= texts.len() && tokens.iter().zip(texts).all(|(token, text)| token.text == *text)
}

/// The index behind the item whose attributes begin at `start`.
fn past_item(tokens: &[Token<'_>], start: usize) -> usize {
    let mut index = start;
    while starts_with(&tokens[index..], &["#", "["]) {
        index = past_closing(tokens, index + 1);
    }
    // The braces of a `use` are not its end.
    let ends: &[&str] = if tokens[index..].iter().take(5).any(|token| token.text == "use") {
        &[";"]
    } else {
        &[";", "{", "}"]
    };
    let end = find_outside(tokens, index, ends);
    match tokens.get(end).map(|token| token.text) {
        Some("{") => past_closing(tokens, end),
        Some("}") => end,
        _ => (end + 1).min(tokens.len()),
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            let bytes = match self.rest.as_bytes() {
                [b'/', b'/', ..] => self.rest.find('\n').unwrap_or(self.rest.len()),
                [b'/', b'*', ..] => block_comment_bytes(self.rest),
                _ => self.rest.len() - self.rest.trim_start().len(),
            };
            if bytes == 0 {
                return;
            }
            self.take(bytes);
        }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_space_and_comments();
        let first = self.rest.chars().next()?;
        let line = self.line;
        if let Some(bytes) = literal_bytes(self.rest) {
            self.take(bytes);
            return Some(Token { text: "\"\"", line });
        }
        let bytes = if self.rest.starts_with("::") || self.rest.starts_with("->") {
            2
        } else if first == '\'' {
            1 + word_bytes(&self.rest[1..])
        } else {
            word_bytes(self.rest).max(first.len_utf8())
        };
        Some(Token { text: self.take(bytes), line })
    }
}

fn word_bytes(text: &str) -> usize {
    text.find(|next: char| next != '_' && !next.is_alphanumeric()).unwrap_or(text.len())
}

fn block_comment_bytes(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of the string or character that the text begins with.
fn literal_bytes(text: &str) -> Option<usize> {
    let prefix = text.bytes().take_while(|byte| matches!(byte, b'b' | b'c' | b'r')).count();
    let is_raw = text[..prefix].ends_with('r');
    let body = &text[prefix..];
    if is_raw {
        let hashes = body.bytes().take_while(|byte| *byte == b'#').count();
        let content = body[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let bytes = content.find(&end).map_or(content.len(), |at| at + end.len());
        return Some(prefix + hashes + 1 + bytes);
    }
    match body.as_bytes() {
        [b'"', ..] => Some(prefix + quoted_bytes(body, b'"')),
        [b'\'', b'\\', ..] => Some(prefix + quoted_bytes(body, b'\'')),
        [b'\'', ..] => {
            let content = body[1..].chars().next()?;
            let bytes = 1 + content.len_utf8();
            body[bytes..].starts_with('\'').then_some(prefix + bytes + 1)
        }
        _ => None,
    }
}

fn quoted_bytes(text: &str, quote: u8) -> usize {
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            _ if byte == quote => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> = tokens(text).iter().map(|token| token.text).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        check("a::b // c\n/* d /* e */ f */ g", &["a", "::", "b", "g"]);
        check(
            r#"x("a\"b", 'c', '\'', b'd', 'e) -> r#f"#,
            &["x", "(", "\"\"", ",", "\"\"", ",", "\"\"", ",", "\"\"", ",", "'e", ")", "->", "r", "#", "f"],
        );
        check("r#\"a \" b\"# c br\"\\\" d", &["\"\"", "c", "\"\"", "d"]);
        check("self.0.b", &["self", ".", "0", ".", "b"]);
        assert_eq!(tokens("a\n\"b\n\" c")[2], Token { text: "c", line: 3 });
    }

    #[test]
    fn tests_are_left_out() {
        check("a; #[cfg(test)] mod t { b { c } } d", &["a", ";", "d"]);
        check("#[cfg(test)]\n#[x(y)]\nuse a::{b, c}; d", &["d"]);
        check("#[cfg(test)] mod tests; d", &["d"]);
        check("#[cfg(test)] fn a(b: [u8; 2]) -> C { e } d", &["d"]);
    }
}
