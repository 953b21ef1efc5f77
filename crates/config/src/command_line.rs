//! The command line, read as redis-server reads it: a file, options that are directives, standard input.
//!
//! `rustredis [file] [--directive argument ...] [-]`. The first word is the file unless it begins with `-`; a `-` as
//! first or last word reads standard input, after the file and before the options. An option takes the word behind it,
//! whatever that is, and then all words up to the next `--`; so `--requirepass --x` works, as it does in Redis. Name and
//! value may also be one word (`"--port 6380"`).
//! There are no flags of our own: the engine is chosen by `--engine actor`, which is the directive `engine`.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::config::Config;
use crate::directive::find;
use crate::error::ConfigError;
use crate::file::Loader;
use crate::help::help;
use crate::kind::ValueKind;
use crate::own::Engine;
use crate::split::{quote, split};
use crate::{REDIS_VERSION, VERSION};

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run the server.
    Run(Box<Config>),
    /// Print this on standard output and exit with success.
    Print(String),
}

/// Reads the words of the command line (without the program's name) and what they refer to.
///
/// `standard_input` is read to its end if, and only if, the command line says so.
pub fn parse_command_line(
    words: impl IntoIterator<Item = OsString>,
    standard_input: &mut dyn Read,
) -> Result<Invocation, ConfigError> {
    let words: Vec<Vec<u8>> = words.into_iter().map(OsString::into_vec).collect();
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    match words[..] {
        [b"-v" | b"--version", ..] => return Ok(Invocation::Print(version_line() + "\n")),
        [b"-h" | b"--help", ref topics @ ..] => {
            let topic = topics.first().map(|topic| String::from_utf8_lossy(topic));
            return Ok(Invocation::Print(help(topic.as_deref())));
        }
        [b"--test-memory", ..] => {
            return Err(ConfigError::Unsupported(
                "--test-memory is not supported; use memtest86+ or memtester.",
            ));
        }
        [b"--check-system", ..] => {
            return Err(ConfigError::Unsupported("--check-system is not supported."));
        }
        _ if words.contains(&&b"--sentinel"[..]) => {
            return Err(ConfigError::Unsupported("Sentinel mode is not supported; use redis-sentinel."));
        }
        _ => {}
    }
    load(&words, standard_input).map(|config| Invocation::Run(Box::new(config)))
}

fn load(mut words: &[&[u8]], standard_input: &mut dyn Read) -> Result<Config, ConfigError> {
    let mut loader = Loader::default();
    let mut reads_input = false;
    match words {
        [b"-", rest @ ..] => {
            reads_input = true;
            words = rest;
        }
        [file, rest @ ..] if !file.starts_with(b"-") => {
            loader.file(Path::new(std::ffi::OsStr::from_bytes(file)))?;
            words = rest;
        }
        _ => {}
    }
    if let [rest @ .., b"-"] = words {
        reads_input = true;
        words = rest;
    }
    if reads_input {
        loader.standard_input(standard_input)?;
    }
    let mut count = 0;
    while let [name, rest @ ..] = words {
        let name = name.strip_prefix(b"--").unwrap_or(name);
        // `"--port 6380"`: name and value in one word.
        let parts = split(name).filter(|parts| parts.len() > 1).unwrap_or_default();
        let own: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let (name, own) = own.split_first().map_or((name, &[][..]), |(name, own)| (*name, own));
        let values = if own.is_empty() { values(name, rest) } else { until_option(rest) };
        words = &rest[values..];
        count += 1;
        option(&mut loader, count, name, &[own, &rest[..values]].concat())?;
    }
    loader.finish()
}

fn is_option(word: &&[u8]) -> bool {
    word.starts_with(b"--")
}

/// How many of the words come before the next option.
fn until_option(words: &[&[u8]]) -> usize {
    words.iter().position(is_option).unwrap_or(words.len())
}

/// How many of the words belong to the option before them.
fn values(name: &[u8], words: &[&[u8]]) -> usize {
    // `--save` alone means `--save ""`, so it does not take the next option for its value.
    if name.eq_ignore_ascii_case(b"save") && words.first().is_some_and(is_option) {
        return 0;
    }
    match words {
        [] => 0,
        [_, rest @ ..] => 1 + until_option(rest),
    }
}

fn option(loader: &mut Loader, place: usize, name: &[u8], values: &[&[u8]]) -> Result<(), ConfigError> {
    let kind = find(name).map(|(row, _)| row.kind);
    let is_list = kind.is_some_and(|kind| kind.takes_many() && !matches!(kind, ValueKind::Lines { .. }));
    let mut arguments: Vec<Vec<u8>> = Vec::with_capacity(values.len());
    for &value in values {
        match split(value).filter(|_| is_list && value.contains(&b' ')) {
            Some(parts) => arguments.extend(parts),
            None => arguments.push(value.to_vec()),
        }
    }
    let mut text = name.to_vec();
    for argument in &arguments {
        text.push(b' ');
        text.extend_from_slice(quote(argument).as_bytes());
    }
    loader.option(place, &text, name, &arguments)
}

/// What `--version` prints: names and versions as `key=value`. Behind ` v=` is the version of Redis that this server
/// behaves as, for there test harnesses of clients read which commands they may try.
pub fn version_line() -> String {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let engine = Engine::DEFAULT.name();
    let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
    format!(
        "RustRedis v={REDIS_VERSION} rustredis={VERSION} engine={engine} bits={} target={processor}-{system} \
         build={build}",
        usize::BITS
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::Directive;

    fn run(words: &[&str], input: &str) -> Result<Config, String> {
        let words = words.iter().map(OsString::from);
        match parse_command_line(words, &mut input.as_bytes()) {
            Ok(Invocation::Run(config)) => Ok(*config),
            Ok(Invocation::Print(text)) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    }

    fn check(words: &[&str], directive: Directive, expected: &str) {
        let config = run(words, "hz 7\n").unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert_eq!(String::from_utf8_lossy(&config.value(directive).shown()), expected, "{words:?}");
    }

    fn check_refused(words: &[&str], expected: &str) {
        let error = run(words, "").unwrap_err();
        assert!(error.ends_with(expected), "{words:?}: {error}");
    }

    #[test]
    fn reads_options() {
        check(&[], Directive::Hz, "10");
        check(&["--HZ", "30"], Directive::Hz, "30");
        check(&["--engine", "actor", "--hz", "30"], Directive::Engine, "actor");
        check(&["--hz 30", "--maxmemory '700mb'"], Directive::Maxmemory, "734003200");
        check(&["-", "loglevel", "verbose", "--hz 30"], Directive::Loglevel, "verbose");
        check(&["--proc-title-template --x", "--hz 30"], Directive::ProcTitleTemplate, "--x");
        check(&["--save", "", "--save", "900", "1"], Directive::Save, "900 1");
        check(&["--save", "900 1 300 2"], Directive::Save, "900 1 300 2");
        check(&["--save", "900", "1", "--save", "300", "2"], Directive::Save, "900 1 300 2");
        check(&["--save"], Directive::Save, "");
        check(&["--save", "--hz", "20"], Directive::Hz, "20");
        check(&["--bind", "127.0.0.1", "::1"], Directive::Bind, "127.0.0.1 ::1");
        check(&["--bind", "127.0.0.1 ::1"], Directive::Bind, "127.0.0.1 ::1");
        check(&["--requirepass", "a \"b"], Directive::Requirepass, "a \"b");
        check(&["--requirepass", "--x", "--hz", "3"], Directive::Requirepass, "--x");
        check(&["--list-max-listpack-size", "-1"], Directive::ListMaxListpackSize, "-1");
        check(&["--shutdown-on-sigint", "nosave force"], Directive::ShutdownOnSigint, "nosave force");
        check(&["--user", "alice on", "--hz", "3", "--ignore-unsupported", "yes"], Directive::Hz, "3");
    }

    #[test]
    fn reads_standard_input() {
        check(&["-"], Directive::Hz, "7");
        check(&["-", "--hz", "8"], Directive::Hz, "8");
        check(&["--timeout", "8", "-"], Directive::Hz, "7");
    }

    #[test]
    fn refuses_as_redis_does() {
        check_refused(&["--foo"], "at option 1\n>>> 'foo'\nBad directive or wrong number of arguments");
        check_refused(&["-hz", "3"], ">>> '-hz \"3\"'\nBad directive or wrong number of arguments");
        check_refused(
            &["--port", "1", "--hz", "abc"],
            "at option 2\n>>> 'hz \"abc\"'\nargument couldn't be parsed into an integer",
        );
        check_refused(&["--hz", "--timeout", "5"], ">>> 'hz \"--timeout\" \"5\"'\nwrong number of arguments");
        check_refused(&["--hz"], ">>> 'hz'\nwrong number of arguments");
        check_refused(
            &["--hz", "3", "--tls-port", "6380"],
            "at option 2\n>>> 'tls-port \"6380\"'\nTLS is not supported yet. With --ignore-unsupported yes the server starts, and does without.",
        );
        check_refused(&["--hz=30"], "Bad directive or wrong number of arguments");
        check_refused(
            &["/nonexistent.conf"],
            "Fatal error, can't open config file '/nonexistent.conf': No such file or directory",
        );
        check_refused(
            &["--test-memory", "5"],
            "--test-memory is not supported; use memtest86+ or memtester.",
        );
        check_refused(&["x.conf", "--sentinel"], "Sentinel mode is not supported; use redis-sentinel.");
    }

    #[test]
    fn prints_version_and_help() {
        let version = run(&["-v"], "").unwrap_err();
        assert!(
            version.starts_with(&format!("RustRedis v={REDIS_VERSION} rustredis={VERSION} ")),
            "{version}"
        );
        assert!(run(&["--help"], "").unwrap_err().contains("Usage: rustredis"));
    }
}
