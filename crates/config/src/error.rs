//! What can be wrong with a configuration, with the texts that clients and operators see.
//!
//! Three boundaries, three enums: a value that does not fit its directive (`ValueError`), a start that fails
//! (`ConfigError`, printed as redis-server prints it, because scripts grep for its header), and a `CONFIG SET` that is
//! refused (`SetError`, whose text follows `ERR `). The reasons are Redis's own texts: clients match on them.

use std::fmt;
use std::path::PathBuf;

use crate::VERSION;

/// Why a value does not fit its directive. `Display` is the reason as Redis words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// The directive takes another number of arguments.
    WrongArgumentCount,
    /// The name is unknown, or a directive that only files have got the wrong number of arguments.
    BadDirective,
    /// Neither `yes` nor `no`.
    NotYesOrNo,
    /// Not a decimal integer.
    NotInteger,
    /// Not an octal number.
    NotOctal,
    /// Not a number of bytes with an optional unit.
    NotMemory,
    /// Neither a number of bytes nor a percentage.
    NotMemoryOrPercent,
    /// A percentage above 100.
    PercentTooLarge,
    /// Outside of the range; both ends are allowed values.
    OutOfRange {
        /// The least value, as text.
        min: String,
        /// The greatest value, as text.
        max: String,
    },
    /// None of the words that the directive knows.
    NotOneOf(&'static [&'static str]),
    /// A number of shards that is no power of two.
    NotPowerOfTwo,
    /// Any other reason.
    Reason(&'static str),
}

impl fmt::Display for ValueError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongArgumentCount => out.write_str("wrong number of arguments"),
            Self::BadDirective => out.write_str("Bad directive or wrong number of arguments"),
            Self::NotYesOrNo => out.write_str("argument must be 'yes' or 'no'"),
            Self::NotInteger => out.write_str("argument couldn't be parsed into an integer"),
            Self::NotOctal => out.write_str("argument couldn't be parsed as an octal number"),
            Self::NotMemory => out.write_str("argument must be a memory value"),
            Self::NotMemoryOrPercent => out.write_str("argument must be a memory or percent value"),
            Self::PercentTooLarge => out.write_str("percentage argument must be less or equal to 100"),
            Self::OutOfRange { min, max } => {
                write!(out, "argument must be between {min} and {max} inclusive")
            }
            Self::NotOneOf(names) => {
                write!(out, "argument(s) must be one of the following: {}", names.join(", "))
            }
            Self::NotPowerOfTwo => out.write_str("argument must be a power of two"),
            Self::Reason(text) => out.write_str(text),
        }
    }
}

impl std::error::Error for ValueError {}

/// Where a line of configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, by the path it was opened with.
    File(PathBuf),
    /// Standard input (`-` on the command line).
    StandardInput,
    /// The options of the command line; the "line" is the option's place among them, from 1.
    CommandLine,
}

/// Why the server cannot start. `Display` is what to print on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A line that cannot be accepted.
    Line {
        /// Where the line is.
        source: Source,
        /// The number of the line, from 1.
        line: usize,
        /// The line, trimmed.
        text: String,
        /// What is wrong with it, as Redis words it.
        reason: String,
    },
    /// A configuration file or standard input cannot be read.
    Unreadable {
        /// What was to be read.
        source: Source,
        /// The operating system's reason.
        reason: String,
    },
    /// The lines are fine one by one, but not together.
    Conflict(&'static str),
    /// The command line asks for something that this server does not do.
    Unsupported(&'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { source, line, text, reason } => {
                write_header(out)?;
                match source {
                    Source::File(path) => {
                        writeln!(
                            out,
                            "Reading the configuration file, at line {line} of {}",
                            path.display()
                        )?;
                    }
                    Source::StandardInput => {
                        writeln!(out, "Reading the configuration file, at line {line} of standard input")?;
                    }
                    Source::CommandLine => writeln!(out, "Reading the command line, at option {line}")?,
                }
                write!(out, ">>> '{text}'\n{reason}")
            }
            Self::Unreadable { source, reason } => match source {
                Source::File(path) => {
                    write!(out, "Fatal error, can't open config file '{}': {reason}", path.display())
                }
                _ => write!(out, "Fatal error, can't read the configuration from standard input: {reason}"),
            },
            Self::Conflict(reason) => {
                write_header(out)?;
                out.write_str(reason)
            }
            Self::Unsupported(reason) => out.write_str(reason),
        }
    }
}

fn write_header(out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "\n*** FATAL CONFIG FILE ERROR (RustRedis {VERSION}) ***")
}

impl std::error::Error for ConfigError {}

/// Why `CONFIG SET` was refused; nothing was changed. `Display` is the reply's text behind `ERR `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// No directive that `CONFIG SET` knows has this name (as the client wrote it).
    Unknown(Vec<u8>),
    /// The directive may not be changed, or the value does not fit, or the server could not apply it.
    Failed {
        /// The directive's name or alias.
        name: &'static str,
        /// Why.
        reason: String,
    },
}

impl SetError {
    /// The server has accepted the value but could not apply it (a port in use, say).
    pub fn not_applied(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Failed { name, reason: reason.into() }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let name = String::from_utf8_lossy(name);
                write!(out, "Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            Self::Failed { name, reason } => {
                write!(out, "CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
        }
    }
}

impl std::error::Error for SetError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: impl fmt::Display, expected: &str) {
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn start_errors_read_as_in_redis() {
        let line = |source| ConfigError::Line {
            source,
            line: 3,
            text: "port abc".into(),
            reason: ValueError::NotInteger.to_string(),
        };
        let header = format!("\n*** FATAL CONFIG FILE ERROR (RustRedis {VERSION}) ***\n");
        let tail = ">>> 'port abc'\nargument couldn't be parsed into an integer";
        check(
            line(Source::File("/etc/x.conf".into())),
            &format!("{header}Reading the configuration file, at line 3 of /etc/x.conf\n{tail}"),
        );
        check(
            line(Source::StandardInput),
            &format!("{header}Reading the configuration file, at line 3 of standard input\n{tail}"),
        );
        check(line(Source::CommandLine), &format!("{header}Reading the command line, at option 3\n{tail}"));
        check(ConfigError::Conflict("no"), &format!("{header}no"));
        check(
            ConfigError::Unreadable { source: Source::File("/x".into()), reason: "gone".into() },
            "Fatal error, can't open config file '/x': gone",
        );
    }

    #[test]
    fn set_errors_read_as_in_redis() {
        check(
            SetError::not_applied("port", "Unable to listen on this port. Check server logs."),
            "CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.",
        );
        check(
            SetError::Unknown(b"nope".to_vec()),
            "Unknown option or number of arguments for CONFIG SET - 'nope'",
        );
    }
}
