//! What goes wrong because of the client: one variant per kind, the exact wire text here and nowhere else.

use std::borrow::Cow;
use std::fmt;

use rustredis_keyspace::WrongType;

/// A client's mistake. `Display` is the text on the wire, without the leading `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another type.
    WrongType,
    /// The words of the command make no sense.
    Syntax,
    /// An argument should have been an integer in range.
    NotInteger,
    /// An argument should have been a float.
    NotFloat,
    /// A value should have been a float (`HINCRBYFLOAT` and `INCRBYFLOAT` name what it is in [`CommandError::Other`]).
    OutOfRange,
    /// A number of elements is negative or no number.
    NotPositive,
    /// A number that would not be one with the other sign: the smallest of 64 bits.
    OutOfLongRange,
    /// An increment would leave 64 bits.
    Overflow,
    /// A float increment would produce NaN or infinity.
    NanOrInfinity,
    /// The source key of RENAME, LSET and others is not there.
    NoSuchKey,
    /// LSET beyond the list.
    IndexOutOfRange,
    /// A string longer than `proto-max-bulk-len`.
    StringTooLong,
    /// An offset that is negative or too high.
    OffsetOutOfRange,
    /// A bit offset that is negative or too high.
    BitOffset,
    /// A timeout that is negative.
    NegativeTimeout,
    /// A timeout that is no number.
    TimeoutNotFloat,
    /// A timeout that is too far away.
    TimeoutOutOfRange,
    /// An expiry that is zero, negative or too far away; names the command.
    InvalidExpire(&'static str),
    /// `numkeys` is not positive; the text differs between commands.
    NumKeys,
    /// The database index is out of range.
    DbIndex,
    /// A wrong number of arguments for the named command (`set`, `client|list`).
    Arity(String),
    /// An unknown subcommand of the named container command.
    UnknownSubcommand {
        /// What the client wrote.
        subcommand: String,
        /// The container, in capitals.
        command: String,
    },
    /// Anything else: the whole text, with its code.
    Other(Cow<'static, str>),
}

impl CommandError {
    /// An error of this text, which begins with its code.
    pub const fn text(text: &'static str) -> Self {
        Self::Other(Cow::Borrowed(text))
    }

    /// An error of a text made at run time, which begins with its code.
    pub fn owned(text: String) -> Self {
        Self::Other(Cow::Owned(text))
    }

    /// The code that the text begins with (`ERR`, `WRONGTYPE`), as `INFO errorstats` counts it.
    pub fn code(&self) -> Cow<'static, str> {
        match self {
            Self::WrongType => Cow::Borrowed("WRONGTYPE"),
            Self::Other(Cow::Borrowed(text)) => Cow::Borrowed(text.split(' ').next().unwrap_or("ERR")),
            Self::Other(Cow::Owned(text)) => Cow::Owned(text.split(' ').next().unwrap_or("ERR").to_owned()),
            _ => Cow::Borrowed("ERR"),
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::Syntax => "ERR syntax error",
            Self::NotInteger => "ERR value is not an integer or out of range",
            Self::NotFloat => "ERR value is not a valid float",
            Self::OutOfRange => "ERR value is out of range",
            Self::NotPositive => "ERR value is out of range, must be positive",
            Self::OutOfLongRange => {
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
            }
            Self::Overflow => "ERR increment or decrement would overflow",
            Self::NanOrInfinity => "ERR increment would produce NaN or Infinity",
            Self::NoSuchKey => "ERR no such key",
            Self::IndexOutOfRange => "ERR index out of range",
            Self::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Self::OffsetOutOfRange => "ERR offset is out of range",
            Self::BitOffset => "ERR bit offset is not an integer or out of range",
            Self::NegativeTimeout => "ERR timeout is negative",
            Self::TimeoutNotFloat => "ERR timeout is not a float or out of range",
            Self::TimeoutOutOfRange => "ERR timeout is out of range",
            Self::NumKeys => "ERR numkeys should be greater than 0",
            Self::DbIndex => "ERR DB index is out of range",
            Self::InvalidExpire(command) => {
                return write!(f, "ERR invalid expire time in '{command}' command");
            }
            Self::Arity(command) => {
                return write!(f, "ERR wrong number of arguments for '{command}' command");
            }
            Self::UnknownSubcommand { subcommand, command } => {
                return write!(f, "ERR unknown subcommand '{subcommand}'. Try {command} HELP.");
            }
            Self::Other(text) => text,
        })
    }
}

impl From<WrongType> for CommandError {
    fn from(_: WrongType) -> Self {
        Self::WrongType
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_first_word() {
        assert_eq!(CommandError::WrongType.code(), "WRONGTYPE");
        assert_eq!(CommandError::Syntax.code(), "ERR");
        assert_eq!(CommandError::text("NOAUTH Authentication required.").code(), "NOAUTH");
        assert_eq!(
            CommandError::Arity("get".into()).to_string(),
            "ERR wrong number of arguments for 'get' command"
        );
    }
}
