//! Commands of replication: SYNC and REPLCONF, by which replicas and tools get a copy of the data set and what changes it, and what a
//! server that is nobody's replica knows (ROLE, WAIT, REPLICAOF NO ONE).
//!
//! There is no PSYNC: a server that asks for it in vain sends SYNC, and begins anew when its connection breaks.

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group, Outcome, Rules};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::clients::replicas::Stage;
use crate::files::snapshot::orders::Contents;
use crate::request::conversation::{ReplyMode, SyncWait, Wait};

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("sync", sync),
        ("replconf", replconf),
        ("role", role),
        ("wait", wait),
        ("replicaof", replicaof),
        ("slaveof", replicaof),
    ],
};

const REPLICATION: Flags =
    Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::STALE).with(Flags::NO_ASYNC_LOADING);
/// The longest address that a replica may announce, in bytes.
const ADDRESS_BYTES_MAX: usize = 255;

const ROWS: &[Command] = &[
    Command::server(
        "sync",
        1,
        Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::NO_ASYNC_LOADING).with(Flags::NO_MULTI),
    )
    .rules(Rules::FROM_REPLICA.with(Rules::SYSTEM))
    .docs(Group::Server, "1.0.0", "", "", "Sends all keys, and then everything that changes them."),
    Command::server(
        "replconf",
        -1,
        Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::LOADING).with(Flags::STALE).with(Flags::ALLOW_BUSY),
    )
    .rules(Rules::FROM_REPLICA.with(Rules::SYSTEM))
    .docs(Group::Server, "3.0.0", "O(1)", "", "Tells what a replica is, can do and has got."),
    Command::server("role", 1, Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::FAST))
        .acl(Categories::ADMIN.with(Categories::DANGEROUS))
        .docs(Group::Server, "2.8.12", "O(1)", "", "Tells which part the server has in a replication."),
    Command::server("wait", 3, Flags::NOSCRIPT)
        .acl(Categories::CONNECTION)
        .docs(
            Group::Generic,
            "3.0.0",
            "O(1)",
            "numreplicas timeout",
            "Tells how many replicas have the client's writes.",
        )
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
    Command::server("replicaof", 3, REPLICATION).docs(
        Group::Server,
        "5.0.0",
        "O(1)",
        "<host port | NO ONE>",
        "Makes the server a replica of another, or of none.",
    ),
    Command::server("slaveof", 3, REPLICATION)
        .docs(
            Group::Server,
            "1.0.0",
            "O(1)",
            "<host port | NO ONE>",
            "Makes the server a replica of another, or of none.",
        )
        .deprecated("5.0.0", "`REPLICAOF`"),
];

/// There is no reply: the connection sends what was ordered from now on. Who gets it already, and a monitor, goes on as he is.
fn sync(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    let server = context.server;
    let client = context.caller.client.clone();
    let conversation = context.conversation()?;
    if conversation.replica.is_some() || conversation.is_monitor {
        return Ok(());
    }
    let waking = server.durability().clone();
    server
        .durability()
        .journal
        .start_feeder(move || waking.progressed())
        .map_err(|error| CommandError::owned(format!("ERR {error}")))?;
    let replica = server.replicas().join(&client, conversation.announced.clone());
    let (address, port) = replica.address();
    tracing::info!("Replica {address}:{port} asks for synchronization");
    conversation.replica = Some(replica);
    conversation.reply_mode = ReplyMode::Off;
    Ok(())
}

fn replconf(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let conversation = context.conversation()?;
    for option in (1..args.len()).step_by(2) {
        let value = option + 1;
        let announced = &mut conversation.announced;
        match () {
            () if args.is(option, "listening-port") => {
                announced.port = u16::try_from(args.int(value)?).map_err(|_| CommandError::NotInteger)?;
            }
            () if args.is(option, "ip-address") => {
                if args.get(value).len() > ADDRESS_BYTES_MAX {
                    return Err(CommandError::owned(format!(
                        "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
                        args.get(value).len()
                    )));
                }
                announced.address = Some(args.lossy(value)).filter(|address| !address.is_empty());
            }
            // Nothing depends on what it can do: it is sent what all can read.
            () if args.is(option, "capa") => {}
            // Who wants the keys alone reads no further, and hangs up.
            () if args.is(option, "rdb-only") => {
                if !(0..=1).contains(&args.int(value)?) {
                    return Err(CommandError::text("ERR value is out of range, value must between 0 and 1"));
                }
            }
            () if args.is(option, "rdb-filter-only") => announced.contents = contents(args.get(value))?,
            // Of servers to their primaries and back: there is no reply.
            () if args.is(option, "ack") || args.is(option, "fack") => {
                let bytes = args.int(value)?;
                if let Some(replica) = &conversation.replica {
                    replica.note_acknowledged(u64::try_from(bytes).unwrap_or(0));
                }
                if option + 2 >= args.len() || !args.is(option + 2, "fack") {
                    return Ok(());
                }
            }
            () if args.is(option, "getack") => return Ok(()),
            () => {
                return Err(CommandError::owned(format!(
                    "ERR Unrecognized REPLCONF option: {}",
                    args.lossy(option)
                )));
            }
        }
    }
    reply.ok();
    Ok(())
}

/// What is left of the data set where these alone are included.
fn contents(included: &[u8]) -> Result<Contents, CommandError> {
    let mut contents = Contents { keys: false, functions: false };
    for word in included.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        if !word.eq_ignore_ascii_case(b"functions") {
            return Err(CommandError::owned(format!(
                "ERR Unsupported rdb-filter-only option: {}",
                String::from_utf8_lossy(word)
            )));
        }
        contents.functions = true;
    }
    Ok(contents)
}

fn role(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut replicas = context.server.replicas().all();
    replicas.retain(|replica| replica.stage() == Stage::Online);
    reply.array(3);
    reply.text("master");
    reply.int(0);
    reply.array(replicas.len());
    for replica in replicas {
        let (address, port) = replica.address();
        reply.array(3);
        reply.text(address);
        reply.bulk_int(port.into());
        reply.bulk_int(i64::try_from(replica.acknowledged()).unwrap_or(i64::MAX));
    }
    Ok(())
}

/// No replica of ours says what it has got, so the answer is always the same, and waited for all the same.
fn wait(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let wanted = args.int(1)?;
    let timeout =
        args.int(2).map_err(|_| CommandError::text("ERR timeout is not an integer or out of range"))?;
    let timeout_ms = u64::try_from(timeout).map_err(|_| CommandError::NegativeTimeout)?;
    if wanted <= 0 || !context.origin.may_wait() {
        reply.int(0);
        return Ok(());
    }
    let until_ms = if timeout_ms == 0 { 0 } else { view.now_ms().saturating_add(timeout_ms) };
    let wait = SyncWait { until_ms, has_replicas: true, tells_replicas_alone: true };
    context.conversation()?.after.wait = Some(Wait::Sync(wait));
    Ok(())
}

fn replicaof(_: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !args.is(1, "NO") || !args.is(2, "ONE") {
        return Err(CommandError::text("ERR replication is not supported yet"));
    }
    reply.ok();
    Ok(())
}
