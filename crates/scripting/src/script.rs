//! A script of EVAL: its text, its name, and what is known of it before it runs.

use rustredis_resp::parse::split_quoted;

use crate::function::FunctionFlags;
use crate::proof::{Call, Unproven, prove};
pub use crate::sha1::sha1_hex;

/// How a first line begins that says what follows.
const SHEBANG: &[u8] = b"#!";

/// A script. It has not been compiled: [`crate::machine::Machines::check`] says whether it can be.
#[derive(Debug)]
pub struct Script {
    sha: [u8; 40],
    text: Box<[u8]>,
    body: usize,
    flags: Option<FunctionFlags>,
    proof: Result<(), Unproven>,
}

impl Script {
    /// A script of this text. `touches` says of each call whether it touches declared keys alone ([`prove`]).
    ///
    /// # Errors
    /// The first line, if it begins with `#!`, is not understood: Redis's error, with its code.
    pub fn new(text: &[u8], touches: impl FnMut(&Call<'_>) -> Result<(), String>) -> Result<Self, Vec<u8>> {
        let (flags, body) = read_first_line(text)?;
        let proof = prove(&text[body..], touches);
        Ok(Self { sha: sha1_hex(text), text: text.into(), body, flags, proof })
    }

    /// Its name: the SHA-1 of its text.
    pub fn sha(&self) -> &[u8; 40] {
        &self.sha
    }

    /// Its text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// What Lua compiles: the text from the end of its first line on if that one is for Redis. So lines keep their numbers.
    pub(crate) fn body(&self) -> &[u8] {
        &self.text[self.body..]
    }

    /// The flags that its first line sets; `None` if it has no such line, and is judged as scripts were before there were flags.
    pub fn flags(&self) -> Option<FunctionFlags> {
        self.flags
    }

    /// Whether it is proven that it touches no keys but those that its caller declares; why not, if it is not.
    pub fn proof(&self) -> &Result<(), Unproven> {
        &self.proof
    }
}

/// The flags, and where Lua's text begins.
fn read_first_line(text: &[u8]) -> Result<(Option<FunctionFlags>, usize), Vec<u8>> {
    if !text.starts_with(SHEBANG) {
        return Ok((None, 0));
    }
    let Some(body) = text.iter().position(|byte| *byte == b'\n') else {
        return Err(b"ERR Invalid script shebang".to_vec());
    };
    let Some(words) = split(&text[..body]) else {
        return Err(b"ERR Invalid engine in script shebang".to_vec());
    };
    let (engine, options) =
        words.split_first().map_or((&[][..], &[][..]), |(first, rest)| (&first[..], rest));
    if engine != b"#!lua" {
        return Err([b"ERR Unexpected engine in script shebang: ", engine].concat());
    }
    let mut flags = FunctionFlags::default();
    for option in options {
        let Some(names) = option.strip_prefix(b"flags=") else {
            return Err([b"ERR Unknown lua shebang option: ", &option[..]].concat());
        };
        if names.is_empty() {
            continue;
        }
        for name in names.split(|byte| *byte == b',') {
            flags |= FunctionFlags::by_name(name)
                .ok_or_else(|| [b"ERR Unexpected flag in script shebang: ", name].concat())?;
        }
    }
    Ok((Some(flags), body))
}

/// The words of a line, quoted ones too; `None` if a quote does not close.
pub(crate) fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    let mut spans = Vec::new();
    let is_split =
        split_quoted(line, &mut text, |start, length| spans.push((start as usize, length as usize)));
    is_split.then(|| spans.into_iter().map(|(start, length)| text[start..start + length].to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Option<&[&str]>, &str>) {
        let script = Script::new(text.as_bytes(), |_| Ok(()));
        match (script, expected) {
            (Ok(script), Ok(expected)) => {
                let names = script.flags().map(|flags| flags.names().collect::<Vec<_>>());
                assert_eq!(names.as_deref(), expected, "{text}");
            }
            (Err(error), Err(expected)) => assert_eq!(String::from_utf8_lossy(&error), expected, "{text}"),
            (script, _) => panic!("{text}: {script:?}"),
        }
    }

    #[test]
    fn a_first_line_sets_flags() {
        check("return 1", Ok(None));
        check("#!lua\nreturn 1", Ok(Some(&[])));
        check("#!lua \nreturn 1", Ok(Some(&[])));
        check("#!lua flags=\nreturn 1", Ok(Some(&[])));
        check("#!lua\tflags=no-writes\nreturn 1", Ok(Some(&["no-writes"])));
        check("#!lua flags=no-writes,allow-oom\n", Ok(Some(&["no-writes", "allow-oom"])));
        check("#!lua flags=no-writes flags=allow-oom\n", Ok(Some(&["no-writes", "allow-oom"])));
        check("#!lua \"flags=no-writes\"\nreturn 1", Ok(Some(&["no-writes"])));
        check(
            "#!lua flags=allow-stale,no-cluster,allow-cross-slot-keys\n",
            Ok(Some(&["allow-stale", "no-cluster", "allow-cross-slot-keys"])),
        );
    }

    #[test]
    fn a_first_line_that_is_not_understood_is_an_error() {
        check("#!lua", Err("ERR Invalid script shebang"));
        check("#!lua \"flags=no-writes\n", Err("ERR Invalid engine in script shebang"));
        check("#!python\nreturn 1", Err("ERR Unexpected engine in script shebang: #!python"));
        check("#!Lua\nreturn 1", Err("ERR Unexpected engine in script shebang: #!Lua"));
        check("#! lua\nreturn 1", Err("ERR Unexpected engine in script shebang: #!"));
        check("#!lua flags=bad\n", Err("ERR Unexpected flag in script shebang: bad"));
        check("#!lua flags=NO-WRITES\n", Err("ERR Unexpected flag in script shebang: NO-WRITES"));
        check("#!lua flags=no-writes,,allow-oom\n", Err("ERR Unexpected flag in script shebang: "));
        check("#!lua name=x\n", Err("ERR Unknown lua shebang option: name=x"));
        check("#!lua FLAGS=no-writes\n", Err("ERR Unknown lua shebang option: FLAGS=no-writes"));
    }

    #[test]
    fn lines_keep_their_numbers() {
        let script = Script::new(b"#!lua\nreturn redis.call('get', 'x')", |_| Err("it does".to_owned()));
        let script = script.expect("a script");
        assert_eq!(script.body(), b"\nreturn redis.call('get', 'x')");
        assert_eq!(script.proof().as_ref().map_err(|unproven| unproven.line), Err(2));
    }
}
