//! Publish and subscribe: SUBSCRIBE and its kind, PUBLISH, PUBSUB. Who hears what is `crate::clients::pubsub`.
//!
//! A confirmation is a push message, one for each name, and no reply: RESP3 clients get it out of band, and
//! `CLIENT REPLY OFF` does not silence it.

use rustredis_commands::{
    Args, Categories, Channels, Command, CommandError, Flags, Group, KeyFlags, KeySpec, Outcome, Rules,
};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::clients::pubsub::{Subscriptions, Topic};
use crate::request::context::NO_CONNECTION;
use crate::request::record;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("subscribe", |context, _, args, reply| subscribe(context, args, reply, Topic::Channel)),
        ("psubscribe", |context, _, args, reply| subscribe(context, args, reply, Topic::Pattern)),
        ("ssubscribe", |context, _, args, reply| subscribe(context, args, reply, Topic::ShardChannel)),
        ("unsubscribe", |context, _, args, reply| unsubscribe(context, args, reply, Topic::Channel)),
        ("punsubscribe", |context, _, args, reply| unsubscribe(context, args, reply, Topic::Pattern)),
        ("sunsubscribe", |context, _, args, reply| unsubscribe(context, args, reply, Topic::ShardChannel)),
        ("publish", publish),
        ("spublish", spublish),
        ("pubsub|channels", |context, _, args, reply| active(context, args, reply, Topic::Channel)),
        ("pubsub|shardchannels", |context, _, args, reply| active(context, args, reply, Topic::ShardChannel)),
        ("pubsub|numsub", |context, _, args, reply| subscribers(context, args, reply, Topic::Channel)),
        ("pubsub|shardnumsub", |context, _, args, reply| {
            subscribers(context, args, reply, Topic::ShardChannel)
        }),
        ("pubsub|numpat", numpat),
        ("pubsub|help", help),
    ],
};

const SUBSCRIBING: Flags = Flags::PUBSUB.with(Flags::NOSCRIPT).with(Flags::LOADING).with(Flags::STALE);
const PUBLISHING: Flags =
    Flags::PUBSUB.with(Flags::LOADING).with(Flags::STALE).with(Flags::FAST).with(Flags::MAY_REPLICATE);
const ASKING: Flags = Flags::PUBSUB.with(Flags::LOADING).with(Flags::STALE);

const ROWS: &[Command] = &[
    Command::server("subscribe", -2, SUBSCRIBING).rules(Rules::IN_SUBSCRIBER_MODE).channels(Channels::All).docs(
        Group::PubSub,
        "2.0.0",
        "O(N) where N is the number of channels to subscribe to.",
        "channel [channel ...]",
        "Hears the messages of channels.",
    ),
    Command::server("unsubscribe", -1, SUBSCRIBING).rules(Rules::IN_SUBSCRIBER_MODE).docs(
        Group::PubSub,
        "2.0.0",
        "O(N) where N is the number of channels to unsubscribe.",
        "[channel [channel ...]]",
        "Hears channels no more; without a name, none of them.",
    ),
    Command::server("psubscribe", -2, SUBSCRIBING).rules(Rules::IN_SUBSCRIBER_MODE).channels(Channels::Patterns).docs(
        Group::PubSub,
        "2.0.0",
        "O(N) where N is the number of patterns to subscribe to.",
        "pattern [pattern ...]",
        "Hears the messages of all channels that match patterns.",
    ),
    Command::server("punsubscribe", -1, SUBSCRIBING).rules(Rules::IN_SUBSCRIBER_MODE).docs(
        Group::PubSub,
        "2.0.0",
        "O(N) where N is the number of patterns to unsubscribe.",
        "[pattern [pattern ...]]",
        "Hears patterns no more; without one, none of them.",
    ),
    Command::server("publish", 3, PUBLISHING).channels(Channels::First).docs(
        Group::PubSub,
        "2.0.0",
        "O(N+M) where N is the number of clients subscribed to the channel and M is the number of patterns that anyone is subscribed to.",
        "channel message",
        "Sends a message to a channel.",
    ),
    Command::server("ssubscribe", -2, SUBSCRIBING).rules(Rules::IN_SUBSCRIBER_MODE).channels(Channels::All)
        .keys(&[KeySpec::range(KeyFlags::NOT_KEY, 1, -1, 1)])
        .docs(
            Group::PubSub,
            "7.0.0",
            "O(N) where N is the number of shard channels to subscribe to.",
            "shardchannel [shardchannel ...]",
            "Hears the messages of shard channels.",
        ),
    Command::server("sunsubscribe", -1, SUBSCRIBING).rules(Rules::IN_SUBSCRIBER_MODE)
        .keys(&[KeySpec::range(KeyFlags::NOT_KEY, 1, -1, 1)])
        .docs(
            Group::PubSub,
            "7.0.0",
            "O(N) where N is the number of shard channels to unsubscribe.",
            "[shardchannel [shardchannel ...]]",
            "Hears shard channels no more; without a name, none of them.",
        ),
    Command::server("spublish", 3, PUBLISHING).channels(Channels::First).keys(&[KeySpec::one(KeyFlags::NOT_KEY, 1)]).docs(
        Group::PubSub,
        "7.0.0",
        "O(N) where N is the number of clients subscribed to the shard channel.",
        "shardchannel message",
        "Sends a message to a shard channel.",
    ),
    Command::container("pubsub", -2, SUBCOMMANDS).docs(
        Group::PubSub,
        "2.8.0",
        "Depends on subcommand.",
        "",
        "Commands that tell about channels.",
    ),
];

const SUBCOMMANDS: &[Command] = &[
    Command::server("channels", -2, ASKING).docs(
        Group::PubSub,
        "2.8.0",
        "O(N) where N is the number of channels with subscribers.",
        "[pattern]",
        "Tells which channels have subscribers.",
    ),
    Command::server("numsub", -2, ASKING).docs(
        Group::PubSub,
        "2.8.0",
        "O(N) where N is the number of requested channels.",
        "[channel [channel ...]]",
        "Tells how many are subscribed to channels.",
    ),
    Command::server("numpat", 2, ASKING).docs(
        Group::PubSub,
        "2.8.0",
        "O(1)",
        "",
        "Tells how many different patterns are subscribed to.",
    ),
    Command::server("shardchannels", -2, ASKING).docs(
        Group::PubSub,
        "7.0.0",
        "O(N) where N is the number of shard channels with subscribers.",
        "[pattern]",
        "Tells which shard channels have subscribers.",
    ),
    Command::server("shardnumsub", -2, ASKING).docs(
        Group::PubSub,
        "7.0.0",
        "O(N) where N is the number of requested shard channels.",
        "[shardchannel [shardchannel ...]]",
        "Tells how many are subscribed to shard channels.",
    ),
    Command::server("help", 2, Flags::LOADING.with(Flags::STALE)).acl(Categories::NONE).docs(
        Group::PubSub,
        "6.2.0",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
];

/// Names of the confirmations.
fn words(topic: Topic) -> (&'static str, &'static str) {
    match topic {
        Topic::Channel => ("subscribe", "unsubscribe"),
        Topic::Pattern => ("psubscribe", "punsubscribe"),
        Topic::ShardChannel => ("ssubscribe", "sunsubscribe"),
    }
}

fn confirm(own: &Subscriptions, reply: &mut Reply<'_>, word: &str, topic: Topic, name: Option<&[u8]>) {
    reply.push(3);
    reply.text(word);
    reply.bulk_or_null(name);
    // Shard channels are counted apart.
    reply.count(match topic {
        Topic::ShardChannel => own.names(Topic::ShardChannel).len(),
        _ => own.names(Topic::Channel).len() + own.names(Topic::Pattern).len(),
    });
}

fn subscribe(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>, topic: Topic) -> Outcome {
    let Context { server, caller, conversation, .. } = context;
    let own = &mut conversation.as_deref_mut().ok_or(NO_CONNECTION)?.subscriptions;
    for name in args.from(1) {
        server.pubsub().subscribe(&caller.client, own, topic, name);
        confirm(own, reply, words(topic).0, topic, Some(name));
    }
    // Whoever has changed what he may hear meanwhile may not have found him.
    if caller.follow(server.users())
        && let Some(user) = &caller.restricted
        && args.from(1).any(|name| !user.may_hear(name, topic == Topic::Pattern))
    {
        server.clients().kill(&caller.client);
    }
    Ok(())
}

fn unsubscribe(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>, topic: Topic) -> Outcome {
    let Context { server, caller, conversation, .. } = context;
    let own = &mut conversation.as_deref_mut().ok_or(NO_CONNECTION)?.subscriptions;
    let word = words(topic).1;
    if args.len() > 1 {
        for name in args.from(1) {
            server.pubsub().unsubscribe(&caller.client, own, topic, name);
            confirm(own, reply, word, topic, Some(name));
        }
        return Ok(());
    }
    let names: Vec<Box<[u8]>> = own.names(topic).iter().cloned().collect();
    for name in &names {
        server.pubsub().unsubscribe(&caller.client, own, topic, name);
        confirm(own, reply, word, topic, Some(name));
    }
    if names.is_empty() {
        confirm(own, reply, word, topic, None);
    }
    Ok(())
}

fn publish(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(context.server.pubsub().publish(args.get(1), args.get(2)));
    announce(context, args);
    Ok(())
}

fn spublish(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let pubsub = context.server.pubsub();
    reply.count(pubsub.publish_to_shard_channel(args.get(1), args.get(2)));
    announce(context, args);
    Ok(())
}

/// Has the subscribers of replicas hear it too.
fn announce(context: &Context<'_>, args: Args<'_>) {
    if let Some(worker) = context.worker {
        record::announce(context.server, worker, Some(context.caller.db), args.from(0));
    }
}

fn active(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>, topic: Topic) -> Outcome {
    if args.len() > 3 {
        return Err(too_many(args));
    }
    let names = context.server.pubsub().active(topic, args.try_get(2));
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(())
}

/// What Redis says of a subcommand whose arity allows more than its function does.
fn too_many(args: Args<'_>) -> CommandError {
    super::wrong_subcommand(args, "PUBSUB")
}

fn subscribers(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>, topic: Topic) -> Outcome {
    reply.array((args.len() - 2) * 2);
    for name in args.from(2) {
        reply.bulk(name);
        reply.count(context.server.pubsub().subscribers(topic, name));
    }
    Ok(())
}

fn numpat(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(context.server.pubsub().count(Topic::Pattern));
    Ok(())
}

fn help(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    const LINES: &[&str] = &[
        "CHANNELS [<pattern>]",
        "    Lists the channels with subscribers, those that match the pattern if there is one.",
        "NUMPAT",
        "    Counts the patterns that clients are subscribed to.",
        "NUMSUB [<channel> ...]",
        "    Counts the subscribers of each channel; those of patterns are left out.",
        "SHARDCHANNELS [<pattern>]",
        "    Lists the shard channels with subscribers, those that match the pattern if there is one.",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Counts the subscribers of each shard channel.",
    ];
    super::help(reply, "PUBSUB", LINES);
    Ok(())
}
