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
    if context.session.is_executing {
        return Err(CommandError::text("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    context.server.monitors.join(context.server, context.session);
    reply.ok();
    Ok(())
}
