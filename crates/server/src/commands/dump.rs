//! DUMP and RESTORE: a value as bytes, as an RDB file has it, with a version and a checksum behind.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group, KeyFlags, KeySpec, Outcome};
use rustredis_keyspace::{EventClass, View};
use rustredis_persistence::rdb::{self, RdbError, Usage};
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::files::rdb::{clock_of, insert};
use crate::start::server::Server;

/// The family.
pub const FAMILY: Family = Family { rows: ROWS, handlers: &[("dump", dump), ("restore", restore)] };

const ROWS: &[Command] = &[
    Command::server("dump", 2, Flags::READONLY)
        .keys(&[KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1)])
        .acl(Categories::KEYSPACE)
        .docs(
            Group::Generic,
            "2.6.0",
            "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
            "key",
            "Answers the value of a key in a form for RESTORE.",
        )
        .tips(&["nondeterministic_output"]),
    Command::server("restore", -4, Flags::WRITE.with(Flags::DENYOOM))
        .keys(&[KeySpec::one(KeyFlags::OW.with(KeyFlags::UPDATE), 1)])
        .acl(Categories::KEYSPACE.with(Categories::DANGEROUS))
        .docs(
            Group::Generic,
            "2.6.0",
            "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
            "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
            "Makes a key of what DUMP answered.",
        ),
];

fn dump(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let payload = match view.read(args.key(1)) {
        None => None,
        Some(entry) => Some(rdb::dump(entry, context.server.rdb().compression()).map_err(refusal)?),
    };
    reply.bulk_or_null(payload.as_deref());
    Ok(())
}

fn refusal(error: RdbError) -> CommandError {
    CommandError::owned(format!("ERR {error}"))
}

/// What follows a payload.
#[derive(Debug, Default)]
struct Options {
    replaces: bool,
    has_absolute_ttl: bool,
    usage: Option<Usage>,
}

fn options(args: Args<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut index = 4;
    while index < args.len() {
        let has_value = index + 1 < args.len();
        if args.is(index, "REPLACE") {
            options.replaces = true;
        } else if args.is(index, "ABSTTL") {
            options.has_absolute_ttl = true;
        } else if args.is(index, "IDLETIME")
            && has_value
            && !matches!(options.usage, Some(Usage::Frequency(_)))
        {
            let seconds = u64::try_from(args.int(index + 1)?)
                .map_err(|_| CommandError::text("ERR Invalid IDLETIME value, must be >= 0"))?;
            options.usage = Some(Usage::Idle(seconds));
            index += 1;
        } else if args.is(index, "FREQ") && has_value && !matches!(options.usage, Some(Usage::Idle(_))) {
            let frequency = u8::try_from(args.int(index + 1)?)
                .map_err(|_| CommandError::text("ERR Invalid FREQ value, must be >= 0 and <= 255"))?;
            options.usage = Some(Usage::Frequency(frequency));
            index += 1;
        } else {
            return Err(CommandError::Syntax);
        }
        index += 1;
    }
    Ok(options)
}

fn restore(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    restore_value(context.server, view, args, reply)
}

/// RESTORE, which needs no session.
///
/// # Errors
/// Its error reply.
pub fn restore_value(server: &Server, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = options(args)?;
    let key = args.key(1);
    if !options.replaces && view.exists(key) {
        return Err(CommandError::text("BUSYKEY Target key name already exists."));
    }
    let ttl =
        u64::try_from(args.int(2)?).map_err(|_| CommandError::text("ERR Invalid TTL value, must be >= 0"))?;
    let string_bytes_max = server.settings().proto_max_bulk_len.load(Relaxed).max(0) as u64;
    let value = rdb::restore(args.get(3), server.rdb().checksum(), string_bytes_max).map_err(bad_payload)?;

    let expire_at_ms = match ttl {
        0 => None,
        ttl if options.has_absolute_ttl => Some(ttl),
        // Redis counts milliseconds in 63 bits.
        ttl => Some(view.now_ms().saturating_add(ttl).min(i64::MAX as u64)),
    };
    let was_there = options.replaces && view.delete(key);
    if expire_at_ms.is_some_and(|at_ms| at_ms <= view.now_ms()) {
        view.free_value(value);
        if was_there {
            view.changed(key, EventClass::GENERIC, "del");
            view.journal_instead(vec![vec![b"DEL".to_vec(), key.bytes.to_vec()]]);
        }
        reply.ok();
        return Ok(());
    }
    insert(view, key, value, expire_at_ms, options.usage);
    view.changed(key, EventClass::GENERIC, "restore");
    // What was said of its use is more than that it has come now.
    if let (Some(_), Some(entry)) = (options.usage, view.peek(key)) {
        entry.set_clock(clock_of(options.usage, view.clock_ms()));
    }
    if let Some(at_ms) = expire_at_ms.filter(|_| !options.has_absolute_ttl) {
        let mut absolute = args.to_vec();
        absolute[2] = at_ms.to_string().into_bytes();
        absolute.push(b"ABSTTL".to_vec());
        view.journal_instead(vec![absolute]);
    }
    reply.ok();
    Ok(())
}

fn bad_payload(error: RdbError) -> CommandError {
    match error {
        RdbError::WrongChecksum { .. }
        | RdbError::UnsupportedVersion { .. }
        | RdbError::UnexpectedEnd { offset: 0 } => {
            CommandError::text("ERR DUMP payload version or checksum are wrong")
        }
        RdbError::Unsupported { .. } => CommandError::owned(format!("ERR Bad data format: {error}")),
        _ => {
            tracing::warn!("RESTORE: integrity check failed: {error}");
            CommandError::text("ERR Bad data format")
        }
    }
}
