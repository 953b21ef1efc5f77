//! What trackers are told, and whom it is sent to.
//!
//! In RESP3 it is a push of the connection's own, or of the one that it is redirected to. In RESP2 nobody can be told but by
//! redirection, and then only who is subscribed: as if it were a message in the channel `__redis__:invalidate`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_resp::{Proto, Reply};

use super::tracker::Tracker;
use crate::clients::client::flags;
use crate::clients::connected::Clients;

/// Where who is redirected to is told of changes in RESP2.
const CHANNEL: &str = "__redis__:invalidate";

/// That these keys have changed, or all. Encoded once for each protocol in which somebody hears it.
pub(super) struct Message<'k> {
    keys: Option<&'k [&'k [u8]]>,
    encoded: [Option<Arc<[u8]>>; 2],
    now_ms: u64,
}

impl<'k> Message<'k> {
    /// Of these keys.
    pub(super) fn of(keys: &'k [&'k [u8]], now_ms: u64) -> Self {
        Self { keys: Some(keys), encoded: [None, None], now_ms }
    }

    /// Of all keys.
    pub(super) fn of_everything(now_ms: u64) -> Self {
        Self { keys: None, encoded: [None, None], now_ms }
    }

    /// Puts it into the mailbox of whoever hears of it for this tracker.
    pub(super) fn send(&mut self, clients: &Clients, tracker: &Tracker) {
        if tracker.is_over() {
            return;
        }
        let Some(client) = clients.get(tracker.client_id()) else { return };
        let redirect = client.redirect.load(Relaxed);
        if redirect == 0 {
            if client.proto() == Proto::Resp3 {
                clients.tell(&client, self.encoded(Proto::Resp3), self.now_ms);
            }
            return;
        }
        match clients.get(redirect) {
            Some(target) if target.proto() == Proto::Resp3 || target.has_flag(flags::PUBSUB) => {
                clients.tell(&target, self.encoded(target.proto()), self.now_ms);
            }
            Some(_) => {}
            None => {
                client.set_flag(flags::BROKEN_REDIRECT, true);
                if client.proto() == Proto::Resp3 {
                    clients.tell(&client, broken(redirect), self.now_ms);
                }
            }
        }
    }

    fn encoded(&mut self, proto: Proto) -> Arc<[u8]> {
        let keys = self.keys;
        let encoded = &mut self.encoded[usize::from(proto == Proto::Resp3)];
        encoded.get_or_insert_with(|| encode(keys, proto).into()).clone()
    }
}

fn encode(keys: Option<&[&[u8]]>, proto: Proto) -> Vec<u8> {
    let length: usize = keys.unwrap_or_default().iter().map(|key| key.len() + 16).sum();
    let mut out = Vec::with_capacity(length + 64);
    let mut reply = Reply::new(&mut out, proto);
    if proto == Proto::Resp3 {
        reply.push(2);
        reply.text("invalidate");
    } else {
        reply.push(3);
        reply.text("message");
        reply.text(CHANNEL);
    }
    match keys {
        None => reply.null(),
        Some(keys) => {
            reply.array(keys.len());
            keys.iter().for_each(|key| reply.bulk(key));
        }
    }
    out
}

/// That nobody hears for whom this connection's messages are redirected.
fn broken(redirect: u64) -> Arc<[u8]> {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, Proto::Resp3);
    reply.push(2);
    reply.text("tracking-redir-broken");
    reply.int(redirect as i64);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_redis() {
        let check = |keys: Option<&[&[u8]]>, proto: Proto, expected: &str| {
            assert_eq!(String::from_utf8(encode(keys, proto)).unwrap(), expected);
        };
        check(Some(&[b"a"]), Proto::Resp3, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n");
        check(None, Proto::Resp3, ">2\r\n$10\r\ninvalidate\r\n_\r\n");
        let channel = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";
        check(Some(&[b"a", b"b"]), Proto::Resp2, &format!("{channel}*2\r\n$1\r\na\r\n$1\r\nb\r\n"));
        check(None, Proto::Resp2, &format!("{channel}$-1\r\n"));
        assert_eq!(&*broken(7), b">2\r\n$21\r\ntracking-redir-broken\r\n:7\r\n");
    }
}
