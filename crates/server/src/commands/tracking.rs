//! CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR: what a connection is told of changes of what it has read. Their rows are
//! among CLIENT's.

use std::sync::Arc;

use rustredis_commands::{Args, CommandError, Outcome};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::Context;
use crate::clients::client::flags;
use crate::clients::connected::Clients;
use crate::clients::tracking::{Modes, Tracker, Wish};

/// Whether CLIENT TRACKING needs everything with these arguments: changes are listed from then on.
pub(super) fn begins(args: Args<'_>) -> bool {
    args.try_get(2).is_some() && args.is(2, "ON")
}

/// CLIENT TRACKING.
pub(super) fn tracking(
    context: &mut Context<'_>,
    view: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    // A script's caller is a copy.
    context.conversation()?;
    let wish = wish(context.server.clients(), args)?;
    let caller = &mut *context.caller;
    if args.is(2, "ON") {
        check(&wish, caller.tracker.as_ref())?;
        let now = caller.tracker.take();
        caller.tracker = Some(context.server.tracking().begin(view, &caller.client, now, &wish));
    } else if args.is(2, "OFF") {
        caller.tracker.take().into_iter().for_each(|tracker| {
            context.server.tracking().end(&caller.client, tracker);
        });
    } else {
        return Err(CommandError::Syntax);
    }
    reply.ok();
    Ok(())
}

/// Reads the options, whatever is to be done with them.
fn wish<'a>(clients: &Clients, args: Args<'a>) -> Result<Wish<'a>, CommandError> {
    let mut wish = Wish::default();
    let mut index = 3;
    while index < args.len() {
        let has_more = index + 1 < args.len();
        if args.is(index, "REDIRECT") && has_more {
            if wish.redirect != 0 {
                return Err(CommandError::text("ERR A client can only redirect to a single other client"));
            }
            let id = args.int(index + 1)?;
            let id = u64::try_from(id).ok().filter(|id| clients.get(*id).is_some());
            wish.redirect =
                id.ok_or(CommandError::text("ERR The client ID you want redirect to does not exist"))?;
            index += 1;
        } else if args.is(index, "PREFIX") && has_more {
            wish.prefixes.push(args.get(index + 1));
            index += 1;
        } else {
            let mode = match () {
                () if args.is(index, "BCAST") => Modes::BCAST,
                () if args.is(index, "OPTIN") => Modes::OPTIN,
                () if args.is(index, "OPTOUT") => Modes::OPTOUT,
                () if args.is(index, "NOLOOP") => Modes::NOLOOP,
                () => return Err(CommandError::Syntax),
            };
            wish.modes = wish.modes.with(mode);
        }
        index += 1;
    }
    Ok(wish)
}

/// Whether the options go together, and with how the client tracks already.
fn check(wish: &Wish<'_>, now: Option<&Arc<Tracker>>) -> Outcome {
    let modes = wish.modes;
    let is_broadcast = modes.has(Modes::BCAST);
    let now_has = |mode| now.is_some_and(|tracker| tracker.modes().has(mode));
    if !is_broadcast && !wish.prefixes.is_empty() {
        return Err(CommandError::text("ERR PREFIX option requires BCAST mode to be enabled"));
    }
    if now.is_some() && now_has(Modes::BCAST) != is_broadcast {
        return Err(CommandError::text(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
        ));
    }
    if is_broadcast && (modes.has(Modes::OPTIN) || modes.has(Modes::OPTOUT)) {
        return Err(CommandError::text("ERR OPTIN and OPTOUT are not compatible with BCAST"));
    }
    if modes.has(Modes::OPTIN.with(Modes::OPTOUT)) {
        return Err(CommandError::text("ERR You can't specify both OPTIN mode and OPTOUT mode"));
    }
    if modes.has(Modes::OPTIN) && now_has(Modes::OPTOUT) || modes.has(Modes::OPTOUT) && now_has(Modes::OPTIN)
    {
        return Err(CommandError::text(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
        ));
    }
    check_prefixes(&wish.prefixes, &now.map(|tracker| tracker.prefixes()).unwrap_or_default())
}

/// Whether no prefix begins with another one, of these or of those that are there.
fn check_prefixes(wanted: &[&[u8]], there: &[Box<[u8]>]) -> Outcome {
    let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    let refused = |prefix: &[u8], before: &[u8], other: &[u8]| {
        let text =
            [b"ERR Prefix '", prefix, before, other, b"'. Prefixes for a single client must not overlap."];
        Err(CommandError::Other(text.concat().into()))
    };
    for (index, prefix) in wanted.iter().enumerate() {
        if let Some(other) = there.iter().find(|other| overlap(prefix, other)) {
            return refused(prefix, b"' overlaps with an existing prefix '", other);
        }
        if let Some(other) = wanted[index + 1..].iter().find(|other| overlap(prefix, other)) {
            return refused(prefix, b"' overlaps with another provided prefix '", other);
        }
    }
    Ok(())
}

/// CLIENT CACHING.
pub(super) fn caching(
    context: &mut Context<'_>,
    _: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let Some(tracker) = &context.caller.tracker else {
        return Err(CommandError::text(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    };
    if args.is(2, "YES") {
        if !tracker.modes().has(Modes::OPTIN) {
            return Err(CommandError::text(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
    } else if args.is(2, "NO") {
        if !tracker.modes().has(Modes::OPTOUT) {
            return Err(CommandError::text(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
    } else {
        return Err(CommandError::Syntax);
    }
    tracker.set_caching(true);
    reply.ok();
    Ok(())
}

/// Who is told in the client's place, 0 for itself; -1 if it does not track.
fn redirect(context: &Context<'_>) -> i64 {
    let client = &context.caller.client;
    context
        .caller
        .tracker
        .as_ref()
        .map_or(-1, |_| client.redirect.load(std::sync::atomic::Ordering::Relaxed) as i64)
}

/// CLIENT GETREDIR.
pub(super) fn getredir(
    context: &mut Context<'_>,
    _: &mut View<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    reply.int(redirect(context));
    Ok(())
}

/// CLIENT TRACKINGINFO.
pub(super) fn trackinginfo(
    context: &mut Context<'_>,
    _: &mut View<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let tracker = context.caller.tracker.as_ref();
    let has = |mode| tracker.is_some_and(|tracker| tracker.modes().has(mode));
    let words = [
        (tracker.is_some(), "on"),
        (tracker.is_none(), "off"),
        (has(Modes::BCAST), "bcast"),
        (has(Modes::OPTIN), "optin"),
        (has(Modes::OPTIN.with(Modes::CACHING)), "caching-yes"),
        (has(Modes::OPTOUT), "optout"),
        (has(Modes::OPTOUT.with(Modes::CACHING)), "caching-no"),
        (has(Modes::NOLOOP), "noloop"),
        (context.caller.client.has_flag(flags::BROKEN_REDIRECT), "broken_redirect"),
    ];
    let words: Vec<&str> = words.iter().filter(|(is_so, _)| *is_so).map(|(_, word)| *word).collect();
    reply.map(3);
    reply.text("flags");
    reply.set(words.len());
    words.iter().for_each(|word| reply.text(word));
    reply.text("redirect");
    reply.int(redirect(context));
    reply.text("prefixes");
    let prefixes = tracker.map(|tracker| tracker.prefixes()).unwrap_or_default();
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_a_client_do_not_overlap() {
        let check = |wanted: &[&[u8]], there: &[&[u8]], expected: Option<&str>| {
            let there: Vec<Box<[u8]>> = there.iter().map(|prefix| (*prefix).into()).collect();
            let error = check_prefixes(wanted, &there).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected);
        };
        check(&[b"a", b"b"], &[b"c"], None);
        check(
            &[b"a", b"b", b"bc"],
            &[],
            Some(
                "ERR Prefix 'b' overlaps with another provided prefix 'bc'. Prefixes for a single client must not overlap.",
            ),
        );
        check(
            &[b"ab"],
            &[b"", b"x"],
            Some(
                "ERR Prefix 'ab' overlaps with an existing prefix ''. Prefixes for a single client must not overlap.",
            ),
        );
    }
}
