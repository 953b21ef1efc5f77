//! How a connection gets the shards that a command needs, and how it keeps some for long.
//!
//! Who needs shards that another client keeps waits, without stopping the others of his thread, and is answered `-BUSY` once they have been
//! kept for `busy-reply-threshold` (0: never), by one client or by one after the other. A client that hangs up or is killed meanwhile waits no longer.

use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use rustredis_commands::CommandError;
use rustredis_engine::Held;
use rustredis_keyspace::{Access, Covered};

use crate::request::connection::Connection;
use crate::request::conversation::{LongHold, ReplyMode};
use crate::start::server::Server;

/// What who waits too long is answered.
const BUSY: CommandError = CommandError::text(
    "BUSY RustRedis is busy: another client keeps the keys that this command needs. Try again later.",
);

impl Connection {
    /// Holds the covered shards; an error is the command's reply.
    pub(crate) async fn hold<'s>(
        &mut self,
        server: &'s Server,
        covered: Covered<'s>,
        access: Access,
    ) -> Result<Held<'s>, CommandError> {
        let engine = server.engine();
        if let Some(held) = engine.hold(covered, access) {
            return Ok(held);
        }
        if engine.is_kept(covered) && self.session.conversation.reply_mode == ReplyMode::On {
            // What was answered before leaves first; an error shows itself when the wait is over.
            let _ = self.deliver();
        }
        let patience = match server.settings().busy_reply_threshold_ms.load(Relaxed) {
            0 => None,
            threshold_ms => Some(Duration::from_millis(threshold_ms)),
        };
        let is_busy = async {
            let Some(patience) = patience else { return std::future::pending().await };
            // Nor is the wait shorter for whoever was kept waiting by one after the other.
            let kept_by_many = async {
                tokio::time::sleep(patience).await;
                engine.until_busy(covered, Duration::ZERO).await;
            };
            tokio::select! {
                biased;
                () = engine.until_busy(covered, patience) => {}
                () = kept_by_many => {}
            }
        };
        let gives_up = async {
            // Other waits are short.
            engine.until_busy(covered, Duration::ZERO).await;
            tokio::select! {
                biased;
                () = is_busy => {}
                () = self.killed() => {}
                None = self.unless_gone(std::future::pending::<()>()) => {}
            }
        };
        let scripts = &server.scripts().running;
        tokio::select! {
            biased;
            held = engine.borrow(covered, access) => Ok(held),
            () = gives_up => Err(BUSY),
            () = scripts.until_busy() => Err(scripts.busy_error()),
        }
    }

    /// Keeps shards for a while; it ends with the client, and when the server is to end.
    pub(crate) async fn keep(&self, server: &Server, hold: LongHold) {
        let covered = hold.shard.map_or(Covered::All, Covered::One);
        let keeping = async {
            let held = server.engine().borrow_long(covered, Access::Write).await;
            tokio::time::sleep(hold.duration).await;
            drop(held);
        };
        tokio::select! {
            biased;
            () = self.killed() => {}
            () = server.ending().asked() => {}
            () = keeping => {}
            () = self.outlet.stream().hung_up() => {
                self.session.caller.client.kill();
            }
        }
    }

    /// Returns once the client is to end.
    async fn killed(&self) {
        let client = &self.session.caller.client;
        std::future::poll_fn(|context| {
            client.register(context.waker());
            if client.is_killed() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
