//! The ends of a list: how a command names one, and how what happens there is called.

use rustredis_keyspace::types::list::End;

use crate::args::Args;
use crate::error::CommandError;

/// What publishing a push at this end is called.
pub(super) fn push_event(end: End) -> &'static str {
    match end {
        End::Front => "lpush",
        End::Back => "rpush",
    }
}

/// What publishing a removal at this end is called.
pub(super) fn pop_event(end: End) -> &'static str {
    match end {
        End::Front => "lpop",
        End::Back => "rpop",
    }
}

/// The end that argument `index` names.
pub(super) fn end(args: Args<'_>, index: usize) -> Result<End, CommandError> {
    if args.is(index, "left") {
        Ok(End::Front)
    } else if args.is(index, "right") {
        Ok(End::Back)
    } else {
        Err(CommandError::Syntax)
    }
}
