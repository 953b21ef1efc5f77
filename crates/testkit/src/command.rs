//! Commands as arguments: from Rust values, from a line of words, and to RESP bytes.

use std::fmt;

/// A value that can stand as one argument of a command.
pub trait Argument {
    /// The bytes that are sent.
    fn to_argument(&self) -> Vec<u8>;
}

impl<T: Argument + ?Sized> Argument for &T {
    fn to_argument(&self) -> Vec<u8> {
        (**self).to_argument()
    }
}

macro_rules! argument {
    ($($kind:ty: $value:ident => $bytes:expr;)*) => {
        $(impl Argument for $kind { fn to_argument(&self) -> Vec<u8> { let $value = self; $bytes } })*
    };
}

argument! {
    str: text => text.as_bytes().to_vec();
    String: text => text.as_bytes().to_vec();
    [u8]: bytes => bytes.to_vec();
    Vec<u8>: bytes => bytes.clone();
    i32: number => number.to_string().into_bytes();
    i64: number => number.to_string().into_bytes();
    u32: number => number.to_string().into_bytes();
    u64: number => number.to_string().into_bytes();
    usize: number => number.to_string().into_bytes();
    f64: number => number.to_string().into_bytes();
}

impl<const N: usize> Argument for [u8; N] {
    fn to_argument(&self) -> Vec<u8> {
        self.to_vec()
    }
}

/// A command with its arguments, the name first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Command {
    /// The name and the arguments.
    pub arguments: Vec<Vec<u8>>,
}

impl Command {
    /// The command with these arguments.
    pub fn new<A: AsRef<[u8]>>(arguments: &[A]) -> Self {
        Self { arguments: arguments.iter().map(|argument| argument.as_ref().to_vec()).collect() }
    }

    /// The command that a line of [`words`] writes.
    #[track_caller]
    pub fn line(line: &str) -> Self {
        Self { arguments: words(line) }
    }

    /// The command's name in capitals; empty if there are no arguments.
    pub fn name(&self) -> String {
        self.arguments
            .first()
            .map_or_else(String::new, |name| String::from_utf8_lossy(name).to_ascii_uppercase())
    }

    /// Appends the RESP form (an array of bulks) to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode(&self.arguments, out);
    }
}

/// The notation that [`words`] reads back.
impl fmt::Display for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, argument) in self.arguments.iter().enumerate() {
            if index > 0 {
                out.write_str(" ")?;
            }
            let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\".contains(byte);
            if !argument.is_empty() && argument.iter().all(is_plain) {
                out.write_str(&String::from_utf8_lossy(argument))?;
            } else {
                crate::reply::quote(out, argument)?;
            }
        }
        Ok(())
    }
}

/// Appends a command as an array of bulks.
pub(crate) fn encode<A: AsRef<[u8]>>(arguments: &[A], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        let argument = argument.as_ref();
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

/// Splits a line at its spaces. An argument in double quotes may hold spaces and the escapes `\n`, `\r`, `\t`, `\\`,
/// `\"` and `\xNN`; one in single quotes is taken as it is. Panics on unbalanced quotes: the test is wrong then.
#[track_caller]
pub fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.bytes().peekable();
    loop {
        while bytes.next_if(|byte| byte.is_ascii_whitespace()).is_some() {}
        let Some(first) = bytes.peek().copied() else { return words };
        let mut word = Vec::new();
        match first {
            b'"' => {
                bytes.next();
                while let Some(byte) = bytes.next_if(|byte| *byte != b'"') {
                    word.push(if byte == b'\\' { unescape(&mut bytes, line) } else { byte });
                }
                assert!(bytes.next().is_some(), "unbalanced quotes in {line}");
            }
            b'\'' => {
                bytes.next();
                word.extend(std::iter::from_fn(|| bytes.next_if(|byte| *byte != b'\'')));
                assert!(bytes.next().is_some(), "unbalanced quotes in {line}");
            }
            _ => word.extend(std::iter::from_fn(|| bytes.next_if(|byte| !byte.is_ascii_whitespace()))),
        }
        words.push(word);
    }
}

#[track_caller]
fn unescape(bytes: &mut impl Iterator<Item = u8>, line: &str) -> u8 {
    let mut digit = || bytes.next().map(char::from);
    match digit() {
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some(plain @ ('\\' | '"')) => plain as u8,
        Some('x') => match (digit().and_then(|c| c.to_digit(16)), digit().and_then(|c| c.to_digit(16))) {
            (Some(high), Some(low)) => (high * 16 + low) as u8,
            _ => panic!("a broken \\x escape in {line}"),
        },
        _ => panic!("an unknown escape in {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_arguments_and_a_line_again() {
        let command = Command::line(r#"set  "a b" '"' "" "\x00\r\n\"\\" x"#);
        assert_eq!(command.arguments, [&b"set"[..], b"a b", b"\"", b"", b"\0\r\n\"\\", b"x"]);
        assert_eq!(Command::line(&command.to_string()), command);
        assert_eq!(command.name(), "SET");
    }

    #[test]
    fn a_command_is_an_array_of_bulks() {
        let mut bytes = Vec::new();
        Command::line("GET \"\"").encode(&mut bytes);
        assert_eq!(bytes, b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n");
    }

    #[test]
    #[should_panic(expected = "unbalanced quotes")]
    fn a_lone_quote_is_the_tests_fault() {
        words("SET a \"b");
    }
}
