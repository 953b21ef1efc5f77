//! What goes wrong because of the client: one variant per kind, the exact wire text here and nowhere else.

use std::borrow::Cow;
use std::fmt;

use rustredis_keyspace::WrongType;

/// What a handler returns.
pub type Outcome = Result<(), CommandError>;

/// A client's mistake. What is on the wire are the bytes of [`CommandError::wire`]: an error that quotes the client's words
/// has them as they came. `Display` is the same as text, for logs.
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
        subcommand: Vec<u8>,
        /// The container, in capitals.
        command: String,
    },
    /// Anything else: the whole text, with its code.
    Other(Cow<'static, [u8]>),
}

impl CommandError {
    /// An error of this text, which begins with its code.
    pub const fn text(text: &'static str) -> Self {
        Self::Other(Cow::Borrowed(text.as_bytes()))
    }

    /// An error of a text made at run time, which begins with its code.
    pub fn owned(text: String) -> Self {
        Self::Other(Cow::Owned(text.into_bytes()))
    }

    /// An error that quotes what a client sent between two texts, the first of which begins with the error's code. As in
    /// Redis the quotation ends before a zero byte.
    pub fn quoting(before: &str, quoted: &[u8], after: &str) -> Self {
        Self::Other(Cow::Owned([before.as_bytes(), until_zero(quoted), after.as_bytes()].concat()))
    }

    /// The code that the text begins with (`ERR`, `WRONGTYPE`), as `INFO errorstats` counts it.
    pub fn code(&self) -> Cow<'static, str> {
        match self {
            Self::WrongType => Cow::Borrowed("WRONGTYPE"),
            Self::Other(Cow::Borrowed(text)) => String::from_utf8_lossy(first_word(text)),
            Self::Other(Cow::Owned(text)) => String::from_utf8_lossy(first_word(text)).into_owned().into(),
            _ => Cow::Borrowed("ERR"),
        }
    }

    /// The text on the wire, without the leading `-`.
    pub fn wire(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Other(text) => Cow::Borrowed(text),
            Self::UnknownSubcommand { subcommand, command } => {
                let after = format!("'. Try {command} HELP.");
                Cow::Owned([b"ERR unknown subcommand '", &subcommand[..], after.as_bytes()].concat())
            }
            _ => Cow::Owned(self.to_string().into_bytes()),
        }
    }
}

fn first_word(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b' ').next().unwrap_or(b"ERR")
}

/// The bytes before the first zero, where a text of C would end.
pub(crate) fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
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
            Self::UnknownSubcommand { .. } | Self::Other(_) => {
                return f.write_str(&String::from_utf8_lossy(&self.wire()));
            }
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

    #[test]
    fn what_was_sent_is_quoted_as_it_came() {
        let error = CommandError::quoting("ERR No such user '", b"a\xff\0b", "'");
        assert_eq!((&error.wire()[..], error.code()), (&b"ERR No such user 'a\xff'"[..], "ERR".into()));
        let error = CommandError::UnknownSubcommand { subcommand: vec![0xff], command: "CLIENT".into() };
        assert_eq!(&error.wire()[..], b"ERR unknown subcommand '\xff'. Try CLIENT HELP.");
        assert_eq!(error.to_string(), "ERR unknown subcommand '\u{fffd}'. Try CLIENT HELP.");
    }
}
