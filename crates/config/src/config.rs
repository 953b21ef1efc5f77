//! The configuration in force: a value per row of the table, `CONFIG GET` and `CONFIG SET`.
//!
//! Values are parsed when they are set and typed when they are read, by index. The server keeps one `Config` behind
//! its own lock and copies what the request path needs (timeouts, limits, flags) into atomics whenever `set` reports
//! a change; a map of strings was rejected because every read would parse again. `set` changes all or nothing: the
//! caller gets what changed, applies it, and gives it back to `undo` if something (a port in use) does not work out.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustredis_resp::glob::{self, Case};

use crate::directive::{Change, Directive, Effect, Group, Row, find};
use crate::error::{SetError, ValueError};
use crate::events::EventClasses;
use crate::own::{Engine, Metrics};
use crate::table::DIRECTIVES;
use crate::value::{BufferLimit, ClientClass, SavePoint, Value};

/// The least that `CONFIG SET repl-backlog-size` sets, in bytes.
const REPL_BACKLOG_BYTES_MIN: u64 = 16_384;

/// All directives with their values.
#[derive(Clone)]
pub struct Config {
    values: Box<[Value]>,
    /// What a file that was included has set, so that CONFIG REWRITE knows what comes later and wins.
    is_included: Box<[bool]>,
    /// The path of the configuration file, if there is one.
    file: Option<PathBuf>,
}

/// Where a client is, for directives that only clients of this machine may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A Unix socket or a loopback address.
    Local,
    /// Anywhere else.
    Remote,
}

/// What a `CONFIG SET` has changed: to be applied, and given to `undo` if that fails.
#[derive(Debug)]
#[must_use = "changes are to be applied"]
pub struct Changes(Vec<Changed>);

/// One directive that was changed.
#[derive(Debug)]
struct Changed {
    directive: Directive,
    name: &'static str,
    before: Value,
}

impl Changes {
    /// The changed directives in the order of the command, each with the name that the client used (for the error
    /// when it cannot be applied). A directive set to the value it had is not in here.
    pub fn iter(&self) -> impl Iterator<Item = (Directive, &'static str)> {
        self.0.iter().map(|changed| (changed.directive, changed.name))
    }

    /// Whether this directive was changed.
    pub fn contains(&self, directive: Directive) -> bool {
        self.0.iter().any(|changed| changed.directive == directive)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            values: DIRECTIVES.iter().map(Row::default_value).collect(),
            is_included: DIRECTIVES.iter().map(|_| false).collect(),
            file: None,
        }
    }
}

/// Typed reads: O(1). Asking for another kind than the directive has is a bug of the caller and panics.
impl Config {
    /// The value of any directive.
    pub fn value(&self, directive: Directive) -> &Value {
        &self.values[directive as usize]
    }

    /// `yes` or `no`.
    pub fn bool(&self, directive: Directive) -> bool {
        match self.value(directive) {
            Value::Bool(value) => *value,
            _ => wrong_kind(directive, "yes or no"),
        }
    }

    /// An integer; the table has its unit and range.
    pub fn int(&self, directive: Directive) -> i64 {
        match self.value(directive) {
            Value::Int(value) => *value,
            Value::Octal(value) => i64::from(*value),
            _ => wrong_kind(directive, "an integer"),
        }
    }

    /// Bytes. `maxmemory-clients` is resolved against `maxmemory`.
    pub fn bytes(&self, directive: Directive) -> u64 {
        match self.value(directive) {
            Value::Memory(bytes) => *bytes,
            Value::Percent(percent) => {
                let whole = self.bytes(Directive::Maxmemory);
                (u128::from(whole) * u128::from(*percent) / 100) as u64
            }
            _ => wrong_kind(directive, "a number of bytes"),
        }
    }

    /// The word that was chosen, as the table writes it.
    pub fn choice(&self, directive: Directive) -> &'static str {
        match self.value(directive) {
            Value::Choice(name) => name,
            _ => wrong_kind(directive, "a choice"),
        }
    }

    /// Whether this word is among those that were given.
    pub fn has_flag(&self, directive: Directive, flag: &str) -> bool {
        match self.value(directive) {
            Value::Flags(names, bits) => {
                names.iter().enumerate().any(|(bit, name)| *name == flag && bits & (1 << bit) != 0)
            }
            _ => wrong_kind(directive, "a set of flags"),
        }
    }

    /// Text, not necessarily UTF-8; empty if nothing is set.
    pub fn text(&self, directive: Directive) -> &[u8] {
        match self.value(directive) {
            Value::Text(text) => text,
            _ => wrong_kind(directive, "text"),
        }
    }

    /// Text that is a path; `None` if nothing is set.
    pub fn path(&self, directive: Directive) -> Option<&Path> {
        let text = self.text(directive);
        (!text.is_empty()).then(|| Path::new(OsStr::from_bytes(text)))
    }

    /// The addresses of `bind`, each perhaps with a leading `-` (may be missing) and perhaps a `*`.
    pub fn bind(&self) -> &[Vec<u8>] {
        match self.value(Directive::Bind) {
            Value::Words(addresses) => addresses,
            _ => wrong_kind(Directive::Bind, "a list of words"),
        }
    }

    /// The points of `save`.
    pub fn save_points(&self) -> &[SavePoint] {
        match self.value(Directive::Save) {
            Value::Save(points) => points,
            _ => wrong_kind(Directive::Save, "a list of save points"),
        }
    }

    /// The output buffer limit of a class of clients.
    pub fn buffer_limit(&self, class: ClientClass) -> BufferLimit {
        match self.value(Directive::ClientOutputBufferLimit) {
            Value::BufferLimits(limits) => limits[class as usize],
            _ => wrong_kind(Directive::ClientOutputBufferLimit, "buffer limits"),
        }
    }

    /// The classes of `notify-keyspace-events`.
    pub fn event_classes(&self) -> EventClasses {
        match self.value(Directive::NotifyKeyspaceEvents) {
            Value::Events(classes) => *classes,
            _ => wrong_kind(Directive::NotifyKeyspaceEvents, "event classes"),
        }
    }

    /// The percentiles of `latency-tracking-info-percentiles`, 0 to 100.
    pub fn percentiles(&self) -> &[f64] {
        match self.value(Directive::LatencyTrackingInfoPercentiles) {
            Value::Percentiles(percentiles) => percentiles,
            _ => wrong_kind(Directive::LatencyTrackingInfoPercentiles, "percentiles"),
        }
    }

    /// Host and port of the primary, if this server is a replica.
    pub fn primary(&self) -> Option<(&[u8], u16)> {
        match self.value(Directive::Replicaof) {
            Value::Primary(primary) => primary.as_ref().map(|(host, port)| (&host[..], *port)),
            _ => wrong_kind(Directive::Replicaof, "host and port"),
        }
    }

    /// The arguments of each line of a directive that may be repeated (`user`, `rename-command`, `loadmodule`).
    pub fn lines(&self, directive: Directive) -> &[Vec<Vec<u8>>] {
        match self.value(directive) {
            Value::Lines(lines) => lines,
            _ => wrong_kind(directive, "lines"),
        }
    }

    /// The concurrency engine.
    pub fn engine(&self) -> Engine {
        Engine::from_name(self.choice(Directive::Engine))
            .expect("the table's words for engine are Engine::NAMES")
    }

    /// The metrics strategy.
    pub fn metrics(&self) -> Metrics {
        Metrics::from_name(self.choice(Directive::Metrics))
            .expect("the table's words for metrics are Metrics::NAMES")
    }

    /// Whether a directive with the words `no`, `yes` and `local` lets this client through.
    pub fn is_allowed(&self, directive: Directive, origin: Origin) -> bool {
        match self.choice(directive) {
            "yes" => true,
            "local" => origin == Origin::Local,
            _ => false,
        }
    }

    /// The path of the configuration file, if the server was started with one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Directives that hold something else than their default but do nothing in this server, with the reason.
    pub fn no_effect(&self) -> Vec<(&'static str, &'static str)> {
        let rows = DIRECTIVES.iter().zip(&self.values);
        rows.filter_map(|(row, value)| match row.effect {
            Effect::NoEffectHere(reason) if *value != row.default_value() => Some((row.name, reason)),
            _ => None,
        })
        .collect()
    }

    /// Directives that ask for something that this server does not do, with the reason: none unless `ignore-unsupported`
    /// let them through.
    pub fn unsupported(&self) -> Vec<(&'static str, &'static str)> {
        let rows = DIRECTIVES.iter().zip(&self.values);
        rows.filter_map(|(row, value)| Some((row.name, row.refusal(value)?))).collect()
    }
}

#[cold]
fn wrong_kind(directive: Directive, asked: &str) -> ! {
    panic!("the directive {} is not {asked}", directive.name())
}

/// Whether the value of this directive (by name or alias) is a secret, to be kept out of logs, MONITOR and the
/// slow log. O(rows).
pub fn is_secret(name: &[u8]) -> bool {
    find(name).is_some_and(|(row, _)| row.access.is_secret)
}

/// `CONFIG GET` and `CONFIG SET`.
impl Config {
    /// Names and values for `CONFIG GET pattern ...`. A name without glob characters is answered as it was written,
    /// hidden directives included; patterns match names and aliases in any case. Each name appears once.
    /// O(patterns * rows).
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |name: &[u8], row: &Row| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), self.value(row.id).shown()));
            }
        };
        for &pattern in patterns {
            if !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
                if let Some((row, _)) = find(pattern).filter(|(row, _)| row.access.change != Change::FileOnly)
                {
                    add(pattern, row);
                }
                continue;
            }
            let rows = DIRECTIVES.iter().filter(|row| !row.access.is_hidden);
            for row in rows.filter(|row| row.access.change != Change::FileOnly) {
                for name in [Some(row.name), row.alias].into_iter().flatten() {
                    if glob::matches(pattern, name.as_bytes(), Case::Insensitive) {
                        add(name.as_bytes(), row);
                    }
                }
            }
        }
        found
    }

    /// `CONFIG SET name value ...`: all of the pairs, or none and an error.
    ///
    /// The caller applies what `Changes` names, and if that fails calls `undo` and replies `SetError::not_applied`.
    pub fn set(&mut self, pairs: &[(&[u8], &[u8])], origin: Origin) -> Result<Changes, SetError> {
        let mut chosen: Vec<(&'static Row, &'static str)> = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let Some((row, known)) = find(name).filter(|(row, _)| row.access.change != Change::FileOnly)
            else {
                return Err(SetError::Unknown(name.to_vec()));
            };
            // Our own fixed directives may be set to what they are: whoever gives back all that CONFIG GET has shown knows
            // only which of Redis's directives are fixed.
            let is_same = || self.parse_set(row, value).is_ok_and(|value| value == *self.value(row.id));
            let reason = match row.access.change {
                Change::Immutable if row.group == Group::Engine && is_same() => None,
                Change::Immutable => Some("can't set immutable config"),
                Change::Protected if !self.is_allowed(Directive::EnableProtectedConfigs, origin) => {
                    Some("can't set protected config")
                }
                _ if chosen.iter().any(|(_, earlier)| *earlier == known) => Some("duplicate parameter"),
                _ => None,
            };
            if let Some(reason) = reason {
                return Err(SetError::Failed { name: known, reason: reason.into() });
            }
            chosen.push((row, known));
        }

        let mut changes = Changes(Vec::new());
        for ((row, name), (_, value)) in chosen.into_iter().zip(pairs) {
            match self.parse_set(row, value) {
                Ok(value) if value == *self.value(row.id) => {}
                Ok(value)
                    if !self.bool(Directive::IgnoreUnsupported)
                        && let Some(reason) = row.refusal(&value) =>
                {
                    self.undo(changes);
                    return Err(SetError::Failed { name, reason: reason.into() });
                }
                Ok(value) => {
                    let before = self.replace(row.id, value);
                    changes.0.push(Changed { directive: row.id, name, before });
                }
                Err(reason) => {
                    self.undo(changes);
                    return Err(SetError::Failed { name, reason: reason.to_string() });
                }
            }
        }
        Ok(changes)
    }

    /// The value for a text of `CONFIG SET`: one argument, or several separated by single spaces.
    fn parse_set(&self, row: &Row, text: &[u8]) -> Result<Value, ValueError> {
        let arguments: Vec<&[u8]> = match row.kind.takes_many() {
            true if text.is_empty() => Vec::new(),
            true => text.split(|&byte| byte == b' ').collect(),
            false => vec![text],
        };
        let value = row.kind.parse(&arguments, self.value(row.id))?;
        Ok(match value {
            // As Redis does at run time, though not with what a file says.
            Value::Memory(bytes) if row.id == Directive::ReplBacklogSize => {
                Value::Memory(bytes.max(REPL_BACKLOG_BYTES_MIN))
            }
            value => value,
        })
    }

    /// Takes back what `set` did, when the server could not apply it.
    pub fn undo(&mut self, changes: Changes) {
        for changed in changes.0.into_iter().rev() {
            self.replace(changed.directive, changed.before);
        }
    }

    /// Sets the primary as `REPLICAOF` does, which `CONFIG SET` may not.
    pub fn set_primary(&mut self, primary: Option<(Vec<u8>, u16)>) {
        self.replace(Directive::Replicaof, Value::Primary(primary));
    }

    /// Sets `dir` to the absolute path that the server is in, which `CONFIG GET dir` shows.
    pub fn set_working_directory(&mut self, path: &Path) {
        self.replace(Directive::Dir, Value::Text(path.as_os_str().as_bytes().to_vec()));
    }

    /// Sets the users that `rewrite` writes: the arguments of each `user` line.
    pub fn set_users(&mut self, lines: Vec<Vec<Vec<u8>>>) {
        self.replace(Directive::User, Value::Lines(lines));
    }

    pub(crate) fn replace(&mut self, directive: Directive, value: Value) -> Value {
        std::mem::replace(&mut self.values[directive as usize], value)
    }

    pub(crate) fn is_included(&self, directive: Directive) -> bool {
        self.is_included[directive as usize]
    }

    pub(crate) fn mark_included(&mut self, directive: Directive) {
        self.is_included[directive as usize] = true;
    }

    pub(crate) fn set_file(&mut self, file: PathBuf) {
        self.file = Some(file);
    }
}

/// Equal if every directive has the same value; where the values came from does not matter.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

/// What differs from the defaults, without secrets.
impl fmt::Debug for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = DIRECTIVES.iter().zip(&self.values).filter(|(row, value)| **value != row.default_value());
        let shown = rows.map(|(row, value)| {
            let value = if row.is_secret() { b"(redacted)".to_vec() } else { value.shown() };
            (row.name, String::from_utf8_lossy(&value).into_owned())
        });
        out.debug_map().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets the pairs of `input` (separated by `|`) and shows what changed, or the error.
    fn set(config: &mut Config, input: &str) -> String {
        let words: Vec<&[u8]> = input.split('|').map(str::as_bytes).collect();
        let pairs: Vec<(&[u8], &[u8])> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        match config.set(&pairs, Origin::Remote) {
            Ok(changes) => changes.iter().map(|(_, name)| name).collect::<Vec<_>>().join(","),
            Err(error) => error.to_string(),
        }
    }

    fn check_set(input: &str, expected: &str) {
        let mut config = Config::default();
        assert_eq!(set(&mut config, input), expected, "{input}");
        if expected.contains(' ') {
            assert!(config == Config::default(), "a refused CONFIG SET changed something: {config:?}");
        }
    }

    fn get(config: &Config, patterns: &str) -> String {
        let patterns: Vec<&[u8]> = patterns.split(' ').map(str::as_bytes).collect();
        let found = config.get(&patterns);
        let shown = found.iter().map(|(name, value)| {
            format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        });
        shown.collect::<Vec<_>>().join(",")
    }

    fn failed(name: &str, reason: &str) -> String {
        format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}")
    }

    #[test]
    fn get_matches_names_and_aliases() {
        let config = Config::default();
        assert_eq!(get(&config, "HZ"), "HZ=10");
        assert_eq!(get(&config, "h[y-z] hz"), "hz=10");
        assert_eq!(get(&config, "*OF"), "replicaof=,slaveof=");
        assert_eq!(get(&config, "port nope dir port"), "port=6379,dir=");
        assert_eq!(get(&config, "save"), "save=3600 1 300 100 60 10000");
        assert_eq!(
            get(&config, "client-output-buffer-limit"),
            "client-output-buffer-limit=normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
        );
        assert_eq!(get(&config, "watchdog*"), "");
        assert_eq!(get(&config, "watchdog-period"), "watchdog-period=0");
        assert_eq!(get(&config, "include user rename-*"), "");
    }

    #[test]
    fn set_refuses_as_redis_does() {
        check_set("nope|1", "Unknown option or number of arguments for CONFIG SET - 'nope'");
        check_set("user|alice", "Unknown option or number of arguments for CONFIG SET - 'user'");
        check_set("port|x|nope|2", "Unknown option or number of arguments for CONFIG SET - 'nope'");
        check_set("databases|2|nope|3", &failed("databases", "can't set immutable config"));
        check_set("dir|/tmp", &failed("dir", "can't set protected config"));
        check_set("hz|1|HZ|2|databases|3", &failed("hz", "duplicate parameter"));
        check_set(
            "SLAVE-priority|x",
            &failed("slave-priority", "argument couldn't be parsed into an integer"),
        );
        check_set(
            "maxmemory|1mb|timeout|abc",
            &failed("timeout", "argument couldn't be parsed into an integer"),
        );
        check_set("save|10 20  30 40", &failed("save", "Invalid save parameters"));
        check_set("engine|actor", &failed("engine", "can't set immutable config"));
        check_set("engine|dashmap", "");
        check_set(
            "activedefrag|yes",
            &failed(
                "activedefrag",
                "Active defragmentation cannot be enabled: the allocator of this server does not move values",
            ),
        );
        check_set("hz|20|tls-port|1", &failed("tls-port", "TLS is not supported yet"));
        check_set("tls-port|0|masterauth||activedefrag|no", "");
        check_set("oom-score-adj-values|", &failed("oom-score-adj-values", "wrong number of arguments"));
    }

    #[test]
    fn set_reports_what_changed() {
        check_set("hz|20|timeout|0", "hz");
        check_set("slave-priority|1|replica-priority|2", "slave-priority,replica-priority");
        check_set("hz|0", "hz");
        check_set("repl-backlog-size|1", "repl-backlog-size");
        check_set("save|", "save");
        check_set("client-output-buffer-limit|", "");
        let mut config = Config::default();
        set(&mut config, "client-output-buffer-limit|pubsub 1 2 3");
        assert_eq!(config.buffer_limit(ClientClass::Replica).soft_seconds, 60);
        assert_eq!(config.buffer_limit(ClientClass::PubSub).soft_seconds, 3);
    }

    #[test]
    fn undo_restores_in_reverse() {
        let mut config = Config::default();
        let pairs: [(&[u8], &[u8]); 3] =
            [(b"slave-priority", b"1"), (b"replica-priority", b"2"), (b"maxmemory", b"1gb")];
        let changes = config.set(&pairs, Origin::Remote).unwrap();
        assert_eq!(config.int(Directive::ReplicaPriority), 2);
        assert!(changes.contains(Directive::Maxmemory) && !changes.contains(Directive::Port));
        config.undo(changes);
        assert!(config == Config::default());
    }

    #[test]
    fn protected_directives_ask_where_the_client_is() {
        let mut config = Config::default();
        config.replace(Directive::EnableProtectedConfigs, Value::Choice("local"));
        let pairs: [(&[u8], &[u8]); 1] = [(b"dir", b"/tmp")];
        assert!(config.set(&pairs, Origin::Remote).is_err());
        assert!(config.set(&pairs, Origin::Local).is_ok());
        assert_eq!(config.path(Directive::Dir), Some(Path::new("/tmp")));
    }

    #[test]
    fn percentages_are_of_maxmemory() {
        let mut config = Config::default();
        set(&mut config, "maxmemory|1000|maxmemory-clients|5%");
        assert_eq!(config.bytes(Directive::MaxmemoryClients), 50);
    }

    #[test]
    fn names_what_has_no_effect() {
        let mut config = Config::default();
        assert!(config.no_effect().is_empty());
        set(&mut config, "jemalloc-bg-thread|no|hz|20");
        assert_eq!(config.no_effect(), [("jemalloc-bg-thread", "the allocator is not jemalloc")]);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(is_secret(b"REQUIREPASS") && is_secret(b"masterauth") && !is_secret(b"port"));
        let mut config = Config::default();
        set(&mut config, "requirepass|hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
