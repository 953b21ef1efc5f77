//! Why a rule is none.

use std::fmt;

/// Why a rule is none; the text is Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// It names no command or category.
    Unknown,
    /// It is no rule.
    Syntax,
    /// It allows a first argument of what has subcommands, or of a subcommand.
    FirstArgument,
    /// A pattern of keys where all are allowed.
    AllKeys,
    /// A pattern of channels where all are allowed.
    AllChannels,
    /// A password is taken away that there is not.
    NoPassword,
    /// A hash that is none.
    Hash,
    /// A parenthesis is not closed.
    Unmatched,
}

impl fmt::Display for RuleError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unknown => "Unknown command or category name in ACL",
            Self::Syntax => "Syntax error",
            Self::FirstArgument => "Allowing first-arg of a subcommand is not supported",
            Self::AllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::AllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"
            }
            Self::NoPassword => "The password you are trying to remove from the user does not exist",
            Self::Hash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            Self::Unmatched => "Unmatched parenthesis in selector definition.",
        })
    }
}

impl std::error::Error for RuleError {}
