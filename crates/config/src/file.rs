//! Reads configuration: files with their includes, standard input, and the options of the command line.
//!
//! The sources are read in this order and a later line wins, except that `save` lines add up: the first one of all
//! sources replaces the defaults, `save ""` empties the list. An `include` is read at the place where it stands, with
//! a stack of open files instead of recursion; its depth is bounded, so that a file that includes itself is an error
//! and not a hang. Relative names are relative to the directory that the server was started in.

use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::{ffi::OsString, fs};

use rustredis_resp::glob::{self, Case};

use crate::config::Config;
use crate::directive::{Directive, find};
use crate::error::{ConfigError, Source, ValueError};
use crate::kind::ValueKind;
use crate::split::split;
use crate::table::FORGOTTEN;
use crate::value::Value;

/// How deep includes may be nested.
const INCLUDE_DEPTH_MAX: usize = 16;
/// How many files may be included in all; patterns could otherwise multiply at each level.
const INCLUDED_FILES_MAX: usize = 1_000;

/// Collects sources into a `Config`.
#[derive(Default)]
pub(crate) struct Loader {
    config: Config,
    /// A `save` line was seen, so the next one adds to it.
    has_save: bool,
    included_files: usize,
    /// Where those directives stand that ask for what is not supported, in the order in which they came.
    unsupported: Vec<(Directive, ConfigError)>,
}

/// A source that is being read.
struct Open {
    source: Source,
    /// The bytes, and how many of them and how many lines are done.
    text: Vec<u8>,
    position: usize,
    line: usize,
    depth: usize,
}

impl Open {
    fn new(source: Source, text: Vec<u8>, depth: usize) -> Self {
        Self { source, text, position: 0, line: 0, depth }
    }

    /// The next line, trimmed.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        let rest = self.text.get(self.position..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let line = trim(&rest[..length]).to_vec();
        self.position += length + 1;
        self.line += 1;
        Some(line)
    }

    fn error(&self, text: &[u8], reason: impl ToString) -> ConfigError {
        line_error(&self.source, self.line, text, reason)
    }
}

pub(crate) fn line_error(source: &Source, line: usize, text: &[u8], reason: impl ToString) -> ConfigError {
    ConfigError::Line {
        source: source.clone(),
        line,
        text: String::from_utf8_lossy(text).into_owned(),
        reason: reason.to_string(),
    }
}

/// The line without surrounding white space.
pub(crate) fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii()
}

impl Loader {
    /// Reads the configuration file of the server.
    pub(crate) fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        // Absolute, for the server may change its directory before it rewrites the file.
        self.config.set_file(std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
        let text = read_file(path)?;
        self.text(Open::new(Source::File(path.to_path_buf()), text, 0))
    }

    /// Reads standard input.
    pub(crate) fn standard_input(&mut self, input: &mut dyn Read) -> Result<(), ConfigError> {
        let mut text = Vec::new();
        input.read_to_end(&mut text).map_err(|error| ConfigError::Unreadable {
            source: Source::StandardInput,
            reason: reason(&error),
        })?;
        self.text(Open::new(Source::StandardInput, text, 0))
    }

    fn text(&mut self, open: Open) -> Result<(), ConfigError> {
        let mut stack = vec![open];
        while let Some(open) = stack.last_mut() {
            let Some(line) = open.next_line() else {
                stack.pop();
                continue;
            };
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let arguments =
                split(&line).ok_or_else(|| open.error(&line, "Unbalanced quotes in configuration line"))?;
            let Some((name, arguments)) = arguments.split_first() else {
                continue;
            };
            if name.eq_ignore_ascii_case(b"include") {
                let files = included(arguments, open.depth).map_err(|reason| open.error(&line, reason))?;
                self.included_files += files.len();
                if self.included_files > INCLUDED_FILES_MAX {
                    return Err(
                        open.error(&line, format!("more than {INCLUDED_FILES_MAX} files are included"))
                    );
                }
                let depth = open.depth + 1;
                // The last one is pushed first, so that the first one is read first.
                for path in files.into_iter().rev() {
                    stack.push(Open::new(Source::File(path.clone()), read_file(&path)?, depth));
                }
                continue;
            }
            let directive = self.directive(name, arguments).map_err(|reason| open.error(&line, reason))?;
            let Some(directive) = directive else { continue };
            if open.depth > 0 {
                self.config.mark_included(directive);
            }
            let at = |shown: &[u8], reason: String| open.error(shown, reason);
            self.note_unsupported(directive, &line, at);
        }
        Ok(())
    }

    /// Reads one option of the command line, the `line`th from 1.
    pub(crate) fn option(
        &mut self,
        line: usize,
        text: &[u8],
        name: &[u8],
        arguments: &[Vec<u8>],
    ) -> Result<(), ConfigError> {
        let error = |text: &[u8], reason: String| line_error(&Source::CommandLine, line, text, reason);
        let at = |reason: String| error(text, reason);
        if name.eq_ignore_ascii_case(b"include") {
            for path in included(arguments, 0).map_err(at)? {
                self.text(Open::new(Source::File(path.clone()), read_file(&path)?, 1))?;
            }
            return Ok(());
        }
        if let Some(directive) = self.directive(name, arguments).map_err(|reason| at(reason.to_string()))? {
            self.note_unsupported(directive, text, error);
        }
        Ok(())
    }

    /// Notes the place of a directive that asks for what is not supported, or forgets it if a later line takes it back.
    fn note_unsupported(
        &mut self,
        directive: Directive,
        text: &[u8],
        error: impl FnOnce(&[u8], String) -> ConfigError,
    ) {
        let row = directive.row();
        let known = self.unsupported.iter().position(|(known, _)| *known == directive);
        let adds_up = matches!(row.kind, ValueKind::Lines { .. });
        match (row.refusal(self.config.value(directive)), known) {
            (Some(_), Some(_)) if adds_up => {}
            (refusal, known) => {
                known.map(|index| self.unsupported.remove(index));
                let Some(reason) = refusal else { return };
                let shown = if row.is_secret() {
                    format!("{} (redacted)", row.name).into_bytes()
                } else {
                    text.to_vec()
                };
                let reason =
                    format!("{reason}. With --ignore-unsupported yes the server starts, and does without.");
                self.unsupported.push((directive, error(&shown, reason)));
            }
        }
    }

    /// Sets one directive; `None` if it is an old one that is ignored.
    fn directive(&mut self, name: &[u8], arguments: &[Vec<u8>]) -> Result<Option<Directive>, ValueError> {
        let Some((row, _)) = find(name) else {
            let is_forgotten = FORGOTTEN.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
            return match name {
                _ if is_forgotten && arguments.len() == 1 => Ok(None),
                _ if name.eq_ignore_ascii_case(b"sentinel") => {
                    Err(ValueError::Reason("sentinel directive while not in sentinel mode"))
                }
                _ => Err(ValueError::BadDirective),
            };
        };
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        let mut value = row.kind.parse(&arguments, self.config.value(row.id))?;
        if let Value::Save(points) = &mut value {
            if self.has_save && !points.is_empty() {
                points.splice(..0, self.config.save_points().iter().copied());
            }
            self.has_save = true;
        }
        self.config.replace(row.id, value);
        Ok(Some(row.id))
    }

    /// The configuration, if its lines fit together.
    pub(crate) fn finish(self) -> Result<Config, ConfigError> {
        if self.config.bool(Directive::ClusterEnabled) && self.config.primary().is_some() {
            return Err(ConfigError::Conflict("replicaof directive not allowed in cluster mode"));
        }
        if !self.config.bool(Directive::IgnoreUnsupported)
            && let Some((_, error)) = self.unsupported.into_iter().next()
        {
            return Err(error);
        }
        Ok(self.config)
    }
}

/// The files that an `include` with these arguments means, or why it is wrong.
fn included(arguments: &[Vec<u8>], depth: usize) -> Result<Vec<PathBuf>, String> {
    let [name] = arguments else {
        return Err(ValueError::BadDirective.to_string());
    };
    if depth >= INCLUDE_DEPTH_MAX {
        return Err(format!("includes are nested more than {INCLUDE_DEPTH_MAX} deep"));
    }
    Ok(expand(name))
}

/// The files that match a path with glob characters, sorted; a path without is itself.
fn expand(pattern: &[u8]) -> Vec<PathBuf> {
    let is_pattern = |part: &[u8]| part.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
    if !is_pattern(pattern) {
        return vec![PathBuf::from(OsString::from_vec(pattern.to_vec()))];
    }
    let root = if pattern.starts_with(b"/") { "/" } else { "" };
    let mut found = vec![PathBuf::from(root)];
    for part in pattern.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        found = match is_pattern(part) {
            true => found.iter().flat_map(|directory| matching(directory, part)).collect(),
            false => found.iter().map(|path| path.join(OsString::from_vec(part.to_vec()))).collect(),
        };
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

/// The entries of a directory whose names match; hidden ones only if the pattern begins with a dot.
fn matching(directory: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = fs::read_dir(listed) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| {
            let is_hidden = name.as_bytes().starts_with(b".");
            (!is_hidden || pattern.starts_with(b"."))
                && glob::matches(pattern, name.as_bytes(), Case::Sensitive)
        })
        .map(|name| directory.join(name))
        .collect()
}

fn read_file(path: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|error| ConfigError::Unreadable {
        source: Source::File(path.to_path_buf()),
        reason: reason(&error),
    })
}

/// The system's reason as C programs print it: without the number of the error.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

impl Config {
    /// The configuration that the text of a redis.conf stands for, read as `source`.
    pub fn from_text(text: &[u8], source: Source) -> Result<Self, ConfigError> {
        let mut loader = Loader::default();
        loader.text(Open::new(source, text.to_vec(), 0))?;
        loader.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        Config::from_text(text.as_bytes(), Source::File("redis.conf".into()))
    }

    /// Checks the reason for refusing the third line.
    fn check_refused(line: &str, expected: &str) {
        let error = load(&format!("# one\n\n  {line} \nhz 5\n")).unwrap_err();
        let expected = line_error(&Source::File("redis.conf".into()), 3, line.as_bytes(), expected);
        assert_eq!(error, expected);
    }

    fn check_shown(text: &str, directive: Directive, expected: &str) {
        let config = load(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(String::from_utf8_lossy(&config.value(directive).shown()), expected, "{text}");
    }

    #[test]
    fn refuses_as_redis_does() {
        for (line, expected) in [
            ("foo bar", "Bad directive or wrong number of arguments"),
            ("\"\" 5", "Bad directive or wrong number of arguments"),
            ("rename-command a", "Bad directive or wrong number of arguments"),
            ("user", "Bad directive or wrong number of arguments"),
            ("include", "Bad directive or wrong number of arguments"),
            ("list-max-ziplist-value 5 5", "Bad directive or wrong number of arguments"),
            ("port", "wrong number of arguments"),
            ("port 1 2", "wrong number of arguments"),
            ("hz 5 # comment", "wrong number of arguments"),
            ("slaveof 1.2.3.4", "wrong number of arguments"),
            ("slaveof 1.2.3.4 abc", "Invalid master port"),
            ("port abc", "argument couldn't be parsed into an integer"),
            ("daemonize maybe", "argument must be 'yes' or 'no'"),
            ("hz \"5", "Unbalanced quotes in configuration line"),
            ("save 900", "Invalid save parameters"),
            ("sentinel monitor x", "sentinel directive while not in sentinel mode"),
            ("databases 0", "argument must be between 1 and 2147483647 inclusive"),
            ("dbfilename a/b", "dbfilename can't be a path, just a filename"),
            ("engine other", "argument(s) must be one of the following: mutex, dashmap, actor, lockfree"),
            ("shards 3", "argument must be a power of two"),
        ] {
            check_refused(line, expected);
        }
        let conflict = load("cluster-enabled yes\nreplicaof 1.2.3.4 5");
        assert_eq!(
            conflict.unwrap_err(),
            ConfigError::Conflict("replicaof directive not allowed in cluster mode")
        );
    }

    #[test]
    fn reads_lines() {
        check_shown("\t HZ\t7 \r\n", Directive::Hz, "7");
        check_shown("'hz' \"\\x35\"", Directive::Hz, "5");
        check_shown("hz 5\nhz 6", Directive::Hz, "6");
        check_shown("requirepass \"a b\\\"\"", Directive::Requirepass, "a b\"");
        check_shown("slave-priority 3", Directive::ReplicaPriority, "3");
        check_shown("replicaof 1.1.1.1 3\nreplicaof no one", Directive::Replicaof, "");
        check_shown("bind 127.0.0.1\nbind ::1", Directive::Bind, "::1");
        check_shown("bind", Directive::Bind, "");
        check_shown("lua-replicate-commands yes", Directive::Hz, "10");
        check_shown("latency-tracking-info-percentiles", Directive::LatencyTrackingInfoPercentiles, "");
        check_shown("engine ACTOR", Directive::Engine, "actor");
    }

    #[test]
    fn lists_add_up() {
        check_shown("save 1 2\nsave 3 4", Directive::Save, "1 2 3 4");
        check_shown("save 900 1 300 2", Directive::Save, "900 1 300 2");
        check_shown("save 1 2\nsave \"\"\nsave 3 4", Directive::Save, "3 4");
        check_shown("save \"\"", Directive::Save, "");
        check_shown(
            "client-output-buffer-limit normal 1 2 3\nclient-output-buffer-limit pubsub 4 5 6",
            Directive::ClientOutputBufferLimit,
            "normal 1 2 3 slave 268435456 67108864 60 pubsub 4 5 6",
        );
        let config = load("rename-command GET \"\"\nrename-command SET x").unwrap();
        assert_eq!(config.lines(Directive::RenameCommand).len(), 2);
        assert_eq!(config.lines(Directive::RenameCommand)[0], [b"GET".to_vec(), b"".to_vec()]);
    }

    #[test]
    fn refusals_show_bytes_that_are_no_text() {
        let error = Config::from_text(b"port \xff", Source::StandardInput).unwrap_err();
        assert!(error.to_string().contains("port \u{fffd}"));
    }
}
