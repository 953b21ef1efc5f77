//! What a user may do: asked before a command runs, whoever runs it, and what is said and noted if he may not.
//!
//! Who may do everything is not asked (`Caller::restricted`). A command is asked about with its row and the keys that it was planned with.

use rustredis_acl::Denied;
use rustredis_commands::{Args, CommandError, Outcome, Row};

use crate::clients::acl_log::{Note, Reason};
use crate::clients::list;
use crate::clock::now_ms;
use crate::request::caller::Caller;
use crate::request::origin::Origin;
use crate::start::server::Server;

/// Where a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As a client has sent it.
    TopLevel,
    /// In a transaction.
    Transaction,
    /// In a script.
    Script,
}

impl Place {
    /// The place of a command of this origin, which is queued or not.
    pub fn of(origin: Origin, is_queueing: bool) -> Self {
        match origin {
            Origin::Script => Self::Script,
            Origin::Queue => Self::Transaction,
            _ if is_queueing => Self::Transaction,
            _ => Self::TopLevel,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::TopLevel => "toplevel",
            Self::Transaction => "multi",
            Self::Script => "lua",
        }
    }
}

/// Whether the caller may run this command; the arguments have their keys. If not, that is noted.
///
/// # Errors
/// What he may not do.
#[inline]
pub fn ask(server: &Server, caller: &Caller, row: &Row, args: Args<'_>, place: Place) -> Result<(), Denied> {
    match &caller.restricted {
        None => Ok(()),
        Some(user) => user.check(row, args, caller.db).inspect_err(|denied| {
            note(server, caller, *denied, row, args, place);
        }),
    }
}

/// Whether the caller may read all keys, if the command reads such as patterns find.
///
/// # Errors
/// The reply for a command that must not run.
pub fn ask_patterns(caller: &Caller, row: &Row, args: Args<'_>) -> Outcome {
    let Some(user) = &caller.restricted else { return Ok(()) };
    match row.command.find_pattern_option.and_then(|find| find(args)) {
        Some(option) if !user.may_read_all(row, args, caller.db) => Err(CommandError::owned(format!(
            "ERR {option} option of SORT denied due to insufficient ACL permissions."
        ))),
        _ => Ok(()),
    }
}

/// The reply for a command that the caller may not run.
pub fn refusal(caller: &Caller, denied: Denied, row: &Row) -> CommandError {
    CommandError::Other([b"NOPERM ", &reason(caller, denied, row)[..]].concat().into())
}

/// What the caller may not do, in words.
pub fn reason(caller: &Caller, denied: Denied, row: &Row) -> Vec<u8> {
    let name = caller.restricted.as_ref().map(|user| &user.name[..]).unwrap_or_default();
    match denied {
        Denied::Command => command_reason(name, row),
        Denied::Key(_) => b"No permissions to access a key".to_vec(),
        Denied::Database => b"No permissions to access database".to_vec(),
        Denied::Channel(_) => b"No permissions to access a channel".to_vec(),
    }
}

/// What a user of this name may not do, in words that name it.
pub fn full_reason(name: &[u8], denied: Denied, row: &Row, args: Args<'_>, db: usize) -> Vec<u8> {
    let of = |index: u32, kind: &str| {
        let named = args.get(index as usize);
        [b"User ", name, b" has no permissions to access the '", named, b"' ", kind.as_bytes()].concat()
    };
    match denied {
        Denied::Command => command_reason(name, row),
        Denied::Key(index) => of(index, "key"),
        Denied::Channel(index) => of(index, "channel"),
        Denied::Database => {
            [b"User ", name, b" has no permissions to access database ", db.to_string().as_bytes()].concat()
        }
    }
}

fn command_reason(name: &[u8], row: &Row) -> Vec<u8> {
    let command = row.full_name.as_bytes();
    [b"User ", name, b" has no permissions to run the '", command, b"' command"].concat()
}

/// Notes that the caller has given a wrong name or password with a command.
pub fn note_authentication(server: &Server, caller: &Caller, args: Args<'_>, name: &[u8], place: Place) {
    push(server, caller, args, Reason::Authentication, place, args.get(0), name);
}

#[cold]
fn note(server: &Server, caller: &Caller, denied: Denied, row: &Row, args: Args<'_>, place: Place) {
    let (reason, object) = match denied {
        Denied::Command => (Reason::Command, row.full_name.as_bytes()),
        Denied::Key(index) => (Reason::Key, args.get(index as usize)),
        Denied::Database => (Reason::Database, row.full_name.as_bytes()),
        Denied::Channel(index) => (Reason::Channel, args.get(index as usize)),
    };
    let name = caller.restricted.as_ref().map(|user| user.name.clone()).unwrap_or_default();
    push(server, caller, args, reason, place, object, &name);
}

fn push(
    server: &Server,
    caller: &Caller,
    args: Args<'_>,
    reason: Reason,
    place: Place,
    object: &[u8],
    username: &[u8],
) {
    let mut client_info = String::new();
    let bytes = args.from(0).map(<[u8]>::len).sum();
    list::describe(&mut client_info, server.registry(), &caller.client, now_ms(), bytes);
    let client_info = client_info.trim_end().to_owned();
    let note = Note { reason, context: place.name(), object, username, client_info };
    server.acl_log().note(note, now_ms());
}
