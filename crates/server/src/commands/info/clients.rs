//! `INFO clients`.

use std::sync::atomic::Ordering::Relaxed;

use super::row::{Part, fact, gauge, none};
use crate::clients::client::flags;

pub(super) const CLIENTS: &[Part] = &[Part::Rows(&[
    gauge("connected_clients", "Clients that are connected.", |at| at.clients().len().into()),
    none("cluster_connections", "Connections of the cluster's bus."),
    fact("maxclients", "Clients that may be connected.", |at| {
        at.server.settings().maxclients.load(Relaxed).into()
    }),
    gauge("client_recent_max_input_buffer", "Bytes of the largest buffer of requests.", |at| {
        at.most(|client| client.input_capacity.load(Relaxed)).into()
    }),
    gauge("client_recent_max_output_buffer", "Bytes of the largest buffer of replies.", |at| {
        at.most(|client| client.output_bytes.load(Relaxed)).into()
    }),
    gauge("blocked_clients", "Clients that wait in a blocking command.", |at| {
        at.clients_with(flags::BLOCKED).into()
    }),
    none("tracking_clients", "Clients that are told of changes of what they have read."),
    gauge("pubsub_clients", "Clients that are subscribed to something.", |at| {
        at.clients_with(flags::PUBSUB).into()
    }),
    gauge("watching_clients", "Clients that watch keys.", |at| {
        at.clients().iter().filter(|client| client.watched.load(Relaxed) > 0).count().into()
    }),
    none("clients_in_timeout_table", "Blocked clients in a table of timeouts: there is no such table."),
    gauge("total_watched_keys", "Keys that are watched.", |at| {
        at.server.engine().store().watched.load(Relaxed).into()
    }),
    gauge("total_blocking_keys", "Keys that clients wait for.", |at| {
        at.server.engine().store().waited_keys.load(Relaxed).into()
    }),
    none("total_blocking_keys_on_nokey", "Keys whose deletion clients wait for."),
])];
