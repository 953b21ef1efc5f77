//! `DEBUG JOURNAL-RECORD`: what a replica would get, in a file.

use std::path::Path;
use std::time::Duration;

use rustredis_commands::{Args, CommandError};
use rustredis_persistence::journal::Audience;
use rustredis_resp::Reply;

use crate::files::recorder::{Options, Recorder};
use crate::request::durability::Durability;

/// What HELP says.
pub(super) const HELP: &[&str] = &[
    "JOURNAL-RECORD START <file> [option ...]",
    "    Write what a replica would get from now on to a new file in the working",
    "    directory. Options:",
    "    * AUDIENCE <file|replicas|both>: write what the append-only file gets, or all.",
    "    * LIMIT <bytes>: give up when more than this waits to be written.",
    "    * DELAY <ms>: wait so long before each write.",
    "JOURNAL-RECORD STOP",
    "    End the file with what was done before; STATUS is complete once it is written.",
    "JOURNAL-RECORD STATUS",
    "    Answer how it is, the place in the journal up to which it is written, and its",
    "    size in bytes.",
    "JOURNAL-RECORD OFFSET <place>",
    "    Answer the size of the file up to the end of this entry of the journal.",
];

/// Runs it, with everything held; false if there is no such subcommand.
pub(super) fn record(
    recorder: &Recorder,
    durability: &Durability,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<bool, CommandError> {
    match (args.get(2).to_ascii_lowercase().as_slice(), args.len()) {
        (b"start", 4..) => {
            let options = options(args)?;
            let path = Path::new(std::str::from_utf8(args.get(3)).map_err(|_| CommandError::Syntax)?);
            // A name and no path: nothing outside the working directory is written.
            if path.file_name() != Some(path.as_os_str()) {
                return Err(CommandError::Syntax);
            }
            let waking = durability.clone();
            durability
                .journal
                .start_feeder(move || waking.progressed())
                .and_then(|()| recorder.start(&durability.journal, path, options))
                .map_err(|error| CommandError::owned(format!("ERR {error}")))?;
            reply.ok();
        }
        (b"stop", 3) if recorder.stop(&durability.journal) => reply.ok(),
        (b"stop", 3) => return Err(CommandError::text("ERR no recording is under way")),
        (b"status", 3) => {
            let (state, place, bytes) = recorder.status();
            reply.array(3);
            reply.simple(&state);
            reply.int(place as i64);
            reply.int(bytes as i64);
        }
        (b"offset", 4) => match recorder.end_of(args.int(3)?.max(0) as u64) {
            Some(offset) => reply.int(offset as i64),
            None => reply.null(),
        },
        _ => return Ok(false),
    }
    Ok(true)
}

fn options(args: Args<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    for index in (4..args.len()).step_by(2) {
        let value = index + 1;
        if value == args.len() {
            return Err(CommandError::Syntax);
        }
        match args.get(index).to_ascii_lowercase().as_slice() {
            b"limit" => options.bytes_max = args.int(value)?.max(0) as usize,
            b"delay" => options.delay = Duration::from_millis(args.int(value)?.max(0) as u64),
            b"audience" if args.is(value, "FILE") => options.audience = Audience::File,
            b"audience" if args.is(value, "REPLICAS") => options.audience = Audience::Replicas,
            b"audience" if args.is(value, "BOTH") => options.audience = Audience::Both,
            _ => return Err(CommandError::Syntax),
        }
    }
    Ok(options)
}
