//! MONITOR. Who watches is `crate::clients::monitor`.

use rustredis_commands::{Args, Command, CommandError, Flags, Group};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};

/// The family.
pub const FAMILY: Family = Family { rows: ROWS, handlers: &[("monitor", monitor)] };

const ROWS: &[Command] = &[Command::server(
    "monitor",
    1,
    Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::LOADING).with(Flags::STALE),
)
.docs(Group::Server, "1.0.0", "", "", "Shows the connection every command that the server runs.")];

fn monitor(
    context: &mut Context<'_>,
    _: &mut View<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), CommandError> {
    if !context.origin.may_wait() {
        return Err(CommandError::text("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    if !std::mem::replace(&mut context.conversation()?.is_monitor, true) {
        context.server.monitors().join(&context.caller.client);
    }
    reply.ok();
    Ok(())
}
