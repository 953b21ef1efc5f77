//! Lua 5.1's words.
//!
//! Only what a proof needs is kept of them: names, strings with their bytes (a command's name may be written with escapes), numbers as
//! something that is no string. What Lua's own lexer would refuse may pass here: the text is compiled by Lua as well.

use std::borrow::Cow;

/// A word of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Name(&'t str),
    Keyword(Keyword),
    Text(Cow<'t, [u8]>),
    /// As it stands in the text.
    Number(&'t [u8]),
    /// An operator or a bracket.
    Mark(&'static str),
    End,
}

/// A name that Lua keeps for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Break,
    Do,
    Else,
    Elseif,
    End,
    False,
    For,
    Function,
    If,
    In,
    Local,
    Nil,
    Not,
    Or,
    Repeat,
    Return,
    Then,
    True,
    Until,
    While,
}

const KEYWORDS: [(&str, Keyword); 21] = [
    ("and", Keyword::And),
    ("break", Keyword::Break),
    ("do", Keyword::Do),
    ("else", Keyword::Else),
    ("elseif", Keyword::Elseif),
    ("end", Keyword::End),
    ("false", Keyword::False),
    ("for", Keyword::For),
    ("function", Keyword::Function),
    ("if", Keyword::If),
    ("in", Keyword::In),
    ("local", Keyword::Local),
    ("nil", Keyword::Nil),
    ("not", Keyword::Not),
    ("or", Keyword::Or),
    ("repeat", Keyword::Repeat),
    ("return", Keyword::Return),
    ("then", Keyword::Then),
    ("true", Keyword::True),
    ("until", Keyword::Until),
    ("while", Keyword::While),
];

/// Longest first, for each is the first that fits.
const MARKS: [&str; 26] = [
    "...", "..", "==", "~=", "<=", ">=", "+", "-", "*", "/", "%", "^", "#", "<", ">", "=", "(", ")", "{",
    "}", "[", "]", ";", ":", ",", ".",
];

/// Goes through a text, word by word.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
}

/// What no word begins with, or a word that does not end; the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoWord(pub(super) u32);

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        let mut lexer = Self { text, at: 0, line: 1 };
        // A shebang is the first line's alone.
        if text.starts_with(b"#") {
            lexer.skip_line();
        }
        lexer
    }

    /// The line of the next word.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'t [u8] {
        &self.text[self.at..]
    }

    fn skip_line(&mut self) {
        self.at += self.rest().iter().position(|byte| *byte == b'\n').unwrap_or(self.rest().len());
    }

    /// Goes over spaces and comments.
    fn skip(&mut self) -> Result<(), NoWord> {
        loop {
            match self.peek(0) {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'-' if self.peek(1) == b'-' => {
                    self.at += 2;
                    match self.long_level() {
                        Some(level) => drop(self.long(level)?),
                        None => self.skip_line(),
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    /// How many `=` stand between the brackets of a long string that begins here.
    fn long_level(&self) -> Option<usize> {
        let inner = self.rest().strip_prefix(b"[")?;
        let level = inner.iter().take_while(|byte| **byte == b'=').count();
        (inner.get(level) == Some(&b'[')).then_some(level)
    }

    fn long(&mut self, level: usize) -> Result<&'t [u8], NoWord> {
        let began = self.line;
        let content = &self.rest()[level + 2..];
        let close = [b"]".as_slice(), &b"=".repeat(level), b"]"].concat();
        let found = content.windows(close.len()).position(|window| window == close);
        let end = found.ok_or(NoWord(began))?;
        let content = &content[..end];
        self.at += level + 2 + end + close.len();
        self.line += content.iter().filter(|byte| **byte == b'\n').count() as u32;
        // The first line's end is no part of it.
        Ok(content.strip_prefix(b"\r\n").or_else(|| content.strip_prefix(b"\n")).unwrap_or(content))
    }

    pub(super) fn next(&mut self) -> Result<Token<'t>, NoWord> {
        self.skip()?;
        let Some(&first) = self.text.get(self.at) else { return Ok(Token::End) };
        if first.is_ascii_alphabetic() || first == b'_' {
            return self.name();
        }
        if first.is_ascii_digit() || first == b'.' && self.peek(1).is_ascii_digit() {
            let began = self.at;
            self.number();
            return Ok(Token::Number(&self.text[began..self.at]));
        }
        if first == b'"' || first == b'\'' {
            return self.text(first).map(Token::Text);
        }
        if let Some(level) = self.long_level() {
            return self.long(level).map(|content| Token::Text(content.into()));
        }
        let mark = MARKS.iter().find(|mark| self.rest().starts_with(mark.as_bytes()));
        let mark = mark.ok_or(NoWord(self.line))?;
        self.at += mark.len();
        Ok(Token::Mark(mark))
    }

    fn name(&mut self) -> Result<Token<'t>, NoWord> {
        let length =
            self.rest().iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let name = std::str::from_utf8(&self.rest()[..length]).map_err(|_| NoWord(self.line))?;
        self.at += length;
        let keyword = KEYWORDS.iter().find(|(word, _)| *word == name);
        Ok(keyword.map_or(Token::Name(name), |(_, keyword)| Token::Keyword(*keyword)))
    }

    fn number(&mut self) {
        let mut before = 0;
        while let byte = self.peek(0)
            && (byte.is_ascii_alphanumeric()
                || byte == b'.'
                || matches!(byte, b'+' | b'-') && matches!(before, b'e' | b'E'))
        {
            before = byte;
            self.at += 1;
        }
    }

    fn text(&mut self, quote: u8) -> Result<Cow<'t, [u8]>, NoWord> {
        let began = self.line;
        self.at += 1;
        let plain =
            self.rest().iter().position(|byte| [quote, b'\\', b'\n'].contains(byte)).ok_or(NoWord(began))?;
        let mut bytes = Cow::Borrowed(&self.rest()[..plain]);
        self.at += plain;
        loop {
            let byte = *self.text.get(self.at).ok_or(NoWord(began))?;
            self.at += 1;
            match byte {
                _ if byte == quote => return Ok(bytes),
                b'\n' => return Err(NoWord(began)),
                b'\\' => {
                    let escaped = self.escape().ok_or(NoWord(began))?;
                    bytes.to_mut().push(escaped);
                }
                _ => bytes.to_mut().push(byte),
            }
        }
    }

    fn escape(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(match byte {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\n' => {
                self.line += 1;
                b'\n'
            }
            b'0'..=b'9' => {
                let mut value = u32::from(byte - b'0');
                for _ in 0..2 {
                    if !self.peek(0).is_ascii_digit() {
                        break;
                    }
                    value = value * 10 + u32::from(self.peek(0) - b'0');
                    self.at += 1;
                }
                u8::try_from(value).ok()?
            }
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<(u32, Token<'_>)>, NoWord> {
        let mut lexer = Lexer::new(text.as_bytes());
        let mut words = Vec::new();
        loop {
            let word = lexer.next()?;
            if word == Token::End {
                return Ok(words);
            }
            words.push((lexer.line(), word));
        }
    }

    fn text(bytes: &'static [u8]) -> Token<'static> {
        Token::Text(bytes.into())
    }

    #[test]
    fn names_numbers_and_marks() {
        let expected = vec![
            (1, Token::Keyword(Keyword::Local)),
            (1, Token::Name("a_1")),
            (1, Token::Mark("=")),
            (1, Token::Number(b"1.5e-3")),
            (1, Token::Mark("..")),
            (1, Token::Name("b")),
            (2, Token::Mark("...")),
            (2, Token::Number(b"0xFF")),
            (2, Token::Mark("~=")),
            (2, Token::Number(b".5")),
        ];
        assert_eq!(words("local a_1 = 1.5e-3 .. b -- a comment\n...0xFF~=.5"), Ok(expected));
    }

    #[test]
    fn strings_of_all_kinds() {
        let source = "'a\\'b' \"\\065\\n\" [[\nlong]] [==[ ]] ]==] 'x\\\ny'";
        let found: Vec<_> = words(source).unwrap().into_iter().map(|(_, word)| word).collect();
        assert_eq!(found, [text(b"a'b"), text(b"A\n"), text(b"long"), text(b" ]] "), text(b"x\ny")]);
    }

    #[test]
    fn comments_and_a_shebang_are_passed_over() {
        let source = "#!lua name=x\n--[[ a\nb ]] x --[==[ ]] ]==] y --";
        assert_eq!(words(source), Ok(vec![(3, Token::Name("x")), (3, Token::Name("y"))]));
    }

    #[test]
    fn what_does_not_end_is_told_with_its_line() {
        assert_eq!(words("\n'abc"), Err(NoWord(2)));
        assert_eq!(words("'a\nb'"), Err(NoWord(1)));
        assert_eq!(words("x [[ab\n"), Err(NoWord(1)));
        assert_eq!(words("a @"), Err(NoWord(1)));
        assert_eq!(words("'\\300'"), Err(NoWord(1)));
    }
}
