//! SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF, WAITAOF: what is on the disk, and when.

use rustredis_commands::{Args, Command, CommandError, Flags, Group, Outcome, Reach};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::files::snapshot::Wish;
use crate::request::conversation::{SyncWait, Wait};

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("save", save),
        ("bgsave", background_save),
        ("lastsave", last_save),
        ("bgrewriteaof", rewrite),
        ("waitaof", wait),
    ],
};

const BACKGROUND: Flags = Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::NO_ASYNC_LOADING);
const SAVING: Flags = Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::NO_ASYNC_LOADING).with(Flags::NO_MULTI);

const ROWS: &[Command] = &[
    Command::server("save", 1, SAVING).reach(Reach::All).docs(
        Group::Server,
        "1.0.0",
        "O(N) where N is the total number of keys in all databases",
        "",
        "Saves everything to the RDB file; nothing else happens meanwhile.",
    ),
    Command::server("bgsave", -1, BACKGROUND).docs(
        Group::Server,
        "1.0.0",
        "O(1)",
        "[SCHEDULE]",
        "Saves everything to the RDB file in the background, as it is now.",
    ),
    Command::server("bgrewriteaof", 1, BACKGROUND).docs(
        Group::Server,
        "1.0.0",
        "O(1)",
        "",
        "Rewrites the append-only file in the background: as short as the data allows.",
    ),
    Command::server("waitaof", 4, Flags::NOSCRIPT.with(Flags::BLOCKING))
        .acl(rustredis_commands::Categories::CONNECTION)
        .docs(
            Group::Generic,
            "7.2.0",
            "O(1)",
            "numlocal numreplicas timeout",
            "Waits until the client's writes are on the disk, here and on replicas.",
        )
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
    Command::server("lastsave", 1, Flags::LOADING.with(Flags::STALE).with(Flags::FAST))
        .acl(rustredis_commands::Categories::ADMIN.with(rustredis_commands::Categories::DANGEROUS))
        .docs(Group::Server, "1.0.0", "O(1)", "", "Answers the Unix time of the last save that succeeded.")
        .tips(&["nondeterministic_output"]),
];

fn save(context: &mut Context<'_>, view: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if context.server.snapshots().state().running.is_some_and(|(job, _)| job.is_save()) {
        return Err(CommandError::text("ERR Background save already in progress"));
    }
    // The log has the reason, as Redis's has.
    context.server.rdb().save(view).map_err(|_| CommandError::text("ERR"))?;
    reply.ok();
    Ok(())
}

fn background_save(
    context: &mut Context<'_>,
    _: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let schedules = match args.len() {
        1 => false,
        2 if args.is(1, "SCHEDULE") => true,
        _ => return Err(CommandError::Syntax),
    };
    match context.server.snapshots().save(schedules) {
        Wish::Begun => {
            context.conversation()?.after.wait = Some(Wait::Cut);
            reply.simple("Background saving started");
        }
        Wish::Scheduled => reply.simple("Background saving scheduled"),
        Wish::IsRunning => return Err(CommandError::text("ERR Background save already in progress")),
        Wish::IsBusy => {
            return Err(CommandError::text(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.",
            ));
        }
    }
    Ok(())
}

fn rewrite(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match context.server.snapshots().rewrite() {
        Wish::Begun => {
            context.conversation()?.after.wait = Some(Wait::Cut);
            reply.simple("Background append only file rewriting started");
        }
        Wish::Scheduled => reply.simple("Background append only file rewriting scheduled"),
        Wish::IsRunning | Wish::IsBusy => {
            return Err(CommandError::text("ERR Background append only file rewriting already in progress"));
        }
    }
    Ok(())
}

/// Answers at once, or leaves the wait to the connection.
fn wait(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let wanted = args.int(1).map_err(|_| CommandError::NotInteger)?;
    if !(0..=1).contains(&wanted) {
        return Err(CommandError::text("ERR value is out of range, value must between 0 and 1"));
    }
    let replicas = args.int(2)?;
    if replicas < 0 {
        return Err(CommandError::text("ERR value is out of range, must be positive"));
    }
    let timeout_ms =
        args.int(3).map_err(|_| CommandError::text("ERR timeout is not an integer or out of range"))?;
    let timeout_ms = u64::try_from(timeout_ms).map_err(|_| CommandError::NegativeTimeout)?;
    let server = context.server;
    if wanted == 1 && !server.aof().is_on() {
        return Err(CommandError::text(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    let is_durable =
        server.aof().is_on() && server.durability().durable.place() >= context.progress.last_write;
    let until_ms = if timeout_ms == 0 { 0 } else { view.now_ms().saturating_add(timeout_ms) };
    let wait = SyncWait { until_ms, has_replicas: replicas > 0, tells_replicas_alone: false };
    if replicas == 0 && i64::from(is_durable) >= wanted || !context.origin.may_wait() {
        wait.reply(reply, is_durable);
        return Ok(());
    }
    context.conversation()?.after.wait = Some(Wait::Sync(wait));
    Ok(())
}

fn last_save(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(context.server.rdb().last_save_seconds() as usize);
    Ok(())
}
