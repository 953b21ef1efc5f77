//! A recorded MONITOR trace as a load: the commands that a real server saw, in their order.
//!
//! `redis-cli MONITOR > trace.txt` records it; a line is `1700000000.000001 [0 127.0.0.1:50000] "SET" "key" "value"`.
//! Left out are commands that change the connection instead of asking for something (they would make the replies that
//! follow meaningless) or that wait without end.

/// Commands that are not replayed.
const LEFT_OUT: &[&str] = &[
    "auth",
    "hello",
    "select",
    "client",
    "monitor",
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "unsubscribe",
    "punsubscribe",
    "sunsubscribe",
    "quit",
    "reset",
    "shutdown",
    "sync",
    "psync",
    "replconf",
    "blpop",
    "brpop",
    "blmove",
    "blmpop",
    "bzpopmin",
    "bzpopmax",
    "bzmpop",
    "wait",
    "watch",
    "multi",
    "exec",
    "discard",
    "debug",
];

/// A trace's commands, and how many lines were left out.
#[derive(Debug, PartialEq, Eq)]
pub struct Trace {
    /// Each command's arguments.
    pub commands: Vec<Vec<Vec<u8>>>,
    /// Commands that are not replayed, and lines that are none (`OK`, at the start).
    pub left_out: usize,
}

/// Reads a trace. A trace without any command is an error.
pub fn parse(text: &str) -> Result<Trace, String> {
    let mut commands = Vec::new();
    let mut left_out = 0;
    for line in text.lines() {
        match command(line) {
            Some(words) if !is_left_out(&words[0]) => commands.push(words),
            _ => left_out += 1,
        }
    }
    if commands.is_empty() {
        Err("the trace has no command that can be replayed".to_owned())
    } else {
        Ok(Trace { commands, left_out })
    }
}

fn is_left_out(name: &[u8]) -> bool {
    LEFT_OUT.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}

/// The arguments of one line; `None` if it is no line of a trace. Calls from scripts say `lua` where the address stands.
fn command(line: &str) -> Option<Vec<Vec<u8>>> {
    let (time, rest) = line.split_once(" [")?;
    time.parse::<f64>().ok()?;
    let (source, rest) = rest.split_once("] ")?;
    if source.ends_with(" lua") {
        return None;
    }
    let mut words = Vec::new();
    let mut bytes = rest.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' => {}
            b'"' => words.push(quoted(&mut bytes)?),
            _ => return None,
        }
    }
    (!words.is_empty()).then_some(words)
}

/// The rest of a quoted word, with the escapes that MONITOR writes.
fn quoted(bytes: &mut impl Iterator<Item = u8>) -> Option<Vec<u8>> {
    let mut word = Vec::new();
    loop {
        match bytes.next()? {
            b'"' => return Some(word),
            b'\\' => word.push(match bytes.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'a' => 7,
                b'b' => 8,
                b'x' => {
                    let digits = [bytes.next()?, bytes.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                other => other,
            }),
            byte => word.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_commands() {
        let text = "OK\n1700000000.000001 [0 127.0.0.1:5000] \"SET\" \"a b\" \"\\x00\\\"\\n\"\n\
                    1700000000.000002 [0 lua] \"GET\" \"x\"\n1700000000.2 [0 unix:/tmp/s] \"blpop\" \"q\" \"0\"\n";
        let trace = parse(text).unwrap();
        assert_eq!(trace.commands, [vec![b"SET".to_vec(), b"a b".to_vec(), b"\0\"\n".to_vec()]]);
        assert_eq!(trace.left_out, 3);
    }

    #[test]
    fn a_trace_without_commands_is_an_error() {
        assert!(parse("OK\n").is_err());
        assert!(parse("1700000000.1 [0 127.0.0.1:1] \"GET\" \"unfinished").is_err());
    }
}
