//! Splits a line of configuration into arguments, and quotes an argument so that splitting gives it back.
//!
//! The rules are those of redis.conf, which are also those of inline commands: arguments are separated by white space;
//! within `"..."` stand `\n \r \t \b \a`, `\xHH`, and `\` before any other byte; within `'...'` only `\'`.
//! A closing quote must be followed by white space or the end of the line. A `#` begins a comment only as the first
//! byte of a line, so `port 6379 # main` is four arguments, as in Redis.

/// The line's arguments; `None` for unbalanced quotes. O(length), no recursion.
pub(crate) fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut arguments = Vec::new();
    let mut rest = line;
    loop {
        let start = rest.iter().position(|&byte| !is_space(byte)).unwrap_or(rest.len());
        rest = &rest[start..];
        if rest.is_empty() {
            return Some(arguments);
        }
        let (argument, after) = argument(rest)?;
        arguments.push(argument);
        rest = after;
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// The first argument and what follows it.
fn argument(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut argument = Vec::new();
    loop {
        match rest {
            [] => return Some((argument, rest)),
            [byte, ..] if is_space(*byte) => return Some((argument, rest)),
            [b'"', after @ ..] => {
                rest = double_quoted(after, &mut argument)?;
                return is_boundary(rest).then_some((argument, rest));
            }
            [b'\'', after @ ..] => {
                rest = single_quoted(after, &mut argument)?;
                return is_boundary(rest).then_some((argument, rest));
            }
            [byte, after @ ..] => {
                argument.push(*byte);
                rest = after;
            }
        }
    }
}

fn is_boundary(rest: &[u8]) -> bool {
    rest.first().is_none_or(|&byte| is_space(byte))
}

fn double_quoted<'a>(mut rest: &'a [u8], argument: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                argument.push(hex_digit(*high) << 4 | hex_digit(*low));
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                argument.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest = after;
            }
            [byte, after @ ..] => {
                argument.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], argument: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [b'\'', after @ ..] => return Some(after),
            [b'\\', b'\'', after @ ..] => {
                argument.push(b'\'');
                rest = after;
            }
            [byte, after @ ..] => {
                argument.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

/// The argument between double quotes, with everything escaped that is not printable ASCII.
pub(crate) fn quote(argument: &[u8]) -> String {
    let mut quoted = String::with_capacity(argument.len() + 2);
    quoted.push('"');
    for &byte in argument {
        match byte {
            b'\\' | b'"' => quoted.extend(['\\', byte as char]),
            b'\n' => quoted.push_str("\\n"),
            b'\r' => quoted.push_str("\\r"),
            b'\t' => quoted.push_str("\\t"),
            0x07 => quoted.push_str("\\a"),
            0x08 => quoted.push_str("\\b"),
            b' '..=b'~' => quoted.push(byte as char),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

/// The argument as it is if that reads back the same, otherwise quoted.
pub(crate) fn quote_if_needed(argument: &[u8]) -> String {
    let is_plain = !argument.is_empty()
        && argument.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\'));
    if is_plain { argument.iter().map(|&byte| byte as char).collect() } else { quote(argument) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&[&[u8]]>) {
        let expected = expected.map(|arguments| arguments.iter().map(|argument| argument.to_vec()).collect());
        assert_eq!(split(line.as_bytes()), expected, "{line:?}");
    }

    #[test]
    fn splits_plain_words() {
        check("", Some(&[]));
        check("  \t ", Some(&[]));
        check("port 6379", Some(&[b"port", b"6379"]));
        check("\x0b hz\t7\r", Some(&[b"hz", b"7"]));
        check("hz 5 #x", Some(&[b"hz", b"5", b"#x"]));
        check(r"dir C:\x", Some(&[b"dir", br"C:\x"]));
    }

    #[test]
    fn splits_quotes() {
        check(r#"save """#, Some(&[b"save", b""]));
        check(r#"a "b c" 'd e'"#, Some(&[b"a", b"b c", b"d e"]));
        check(r#"a "\n\r\t\b\a\x41\q\"\\\xzz\x4""#, Some(&[b"a", b"\n\r\t\x08\x07Aq\"\\xzzx4"]));
        check(r#"a "\xfF""#, Some(&[b"a", b"\xff"]));
        check(r"a 'it\'s \n'", Some(&[b"a", br"it's \n"]));
        check(r#"hz 5"6" 7'8'"#, Some(&[b"hz", b"56", b"78"]));
    }

    #[test]
    fn refuses_unbalanced_quotes() {
        for line in
            [r#"hz "5"#, r"hz '5", r#"hz '5'x"#, r#"hz "5"'6'"#, r#"hz "5\"#, r"hz '5\'", r#"hz "5\""#]
        {
            check(line, None);
        }
    }

    #[test]
    fn quoting_is_undone_by_splitting() {
        let all: Vec<u8> = (0..=255).collect();
        for argument in [&b""[..], b"a b", b"#", br#"\""#, b"'", b"plain", b"~*", &all] {
            for quoted in [quote(argument), quote_if_needed(argument)] {
                assert_eq!(split(quoted.as_bytes()), Some(vec![argument.to_vec()]), "{quoted}");
            }
        }
        assert_eq!(quote_if_needed(b"plain"), "plain");
    }
}
