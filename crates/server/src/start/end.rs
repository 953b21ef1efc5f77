//! The end of the server: SHUTDOWN and signals.
//!
//! The main thread ends the server; a client's SHUTDOWN asks it to and waits. What was acknowledged must be in the files, so
//! everything is held while the last save is made and the append-only file is brought to the disk, and once that has
//! succeeded it is never released: no command, no waiter, no expiry and no eviction changes or shows anything between the
//! last save and the end of the process, on any engine. If it fails, all is released and the server goes on.
//!
//! A bit that commands look at was rejected: it would be one more thing that every way to a shard must remember.

use std::sync::Arc;
use std::time::Duration;

use rustredis_config::Directive;
use rustredis_keyspace::{Access, Covered, Effects, Random};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::now_ms;
use crate::gate;
use crate::start::ending::Wish;
use crate::start::server::Server;

/// How often it is looked whether replicas have been sent everything.
const REPLICAS_LOOK: Duration = Duration::from_millis(1);
/// How long they are waited for once everything is held, in milliseconds.
const LAST_WORDS_MS: u64 = 1000;

/// The signals that end the server. What comes during an attempt that fails is the next attempt's.
pub struct Signals {
    signals: Option<(Signal, Signal)>,
}

impl Signals {
    /// Listens to them from now on, if the system lets us. Within the runtime.
    pub fn listen() -> Self {
        let terminate = signal(SignalKind::terminate());
        let interrupt = signal(SignalKind::interrupt());
        Self { signals: terminate.ok().zip(interrupt.ok()) }
    }

    /// Waits until a signal or a client ends the server.
    pub async fn wished(&mut self, server: &Server) -> Wish {
        let Some((terminate, interrupt)) = &mut self.signals else { return server.ending().wished().await };
        let directive = tokio::select! {
            _ = terminate.recv() => {
                tracing::warn!("Received SIGTERM scheduling shutdown...");
                Directive::ShutdownOnSigterm
            }
            _ = interrupt.recv() => {
                tracing::warn!("Received SIGINT scheduling shutdown...");
                Directive::ShutdownOnSigint
            }
            wish = server.ending().wished() => return wish,
        };
        let wish = {
            let config = server.config().lock();
            let flag = |name| config.has_flag(directive, name);
            let saves = if flag("save") { Some(true) } else { flag("nosave").then_some(false) };
            Wish { saves, is_forced: flag("force"), is_now: flag("now") }
        };
        server.ending().ask(wish);
        wish
    }
}

/// Makes what there is safe and keeps everybody out for good; false if that failed and the server goes on.
pub async fn prepare(server: &Arc<Server>, wish: Wish) -> bool {
    tracing::warn!("User requested shutdown...");
    let is_ready = try_prepare(server, wish).await;
    if !is_ready {
        server.ending().fail();
    }
    is_ready
}

async fn try_prepare(server: &Server, wish: Wish) -> bool {
    if is_base_missing(server, wish) {
        return false;
    }
    if !wish.is_now {
        wait_for_replicas(server, timeout_ms(server)).await;
    }
    server.snapshots().give_up().await;
    let (random, mut effects) = (Random::new(now_ms()), Effects::default());
    let mut held = server.engine().borrow(Covered::All, Access::Write).await;
    if !server.ending().commit() {
        tracing::warn!("The shutdown was given up by SHUTDOWN ABORT");
        return false;
    }
    // An append-only file may have been turned on in the meantime.
    if is_base_missing(server, wish) {
        return false;
    }
    let saves = wish.saves.unwrap_or_else(|| !server.config().lock().save_points().is_empty());
    if saves {
        tracing::info!("Saving the final RDB snapshot before exiting.");
        let mut view = held.view(0, now_ms(), &random, &mut effects);
        if server.rdb().save(&mut view).is_err() {
            tracing::warn!("Error trying to save the DB, can't exit.");
            if !wish.is_forced {
                return false;
            }
        }
    }
    if let Err(error) = server.aof().flush() {
        tracing::warn!("Error flushing the append-only file: {error}");
        if !wish.is_forced {
            return false;
        }
    }
    if !wish.is_now {
        // What was done since, which is little where they keep up.
        wait_for_replicas(server, LAST_WORDS_MS.min(timeout_ms(server))).await;
    }
    // Never released: see the module's text.
    std::mem::forget(held);
    true
}

/// How long the end waits for replicas, in milliseconds.
fn timeout_ms(server: &Server) -> u64 {
    u64::try_from(server.config().lock().int(Directive::ShutdownTimeout)).unwrap_or(0) * 1000
}

/// Waits until all that was done until now has been sent to the replicas, for so long, or until SHUTDOWN ABORT.
async fn wait_for_replicas(server: &Server, timeout_ms: u64) {
    let place = server.durability().journal.last();
    let end_ms = now_ms() + timeout_ms;
    while server.replicas().is_behind(place) && !server.ending().is_aborted() {
        if now_ms() >= end_ms {
            tracing::warn!("Replicas have not been sent everything in {timeout_ms} ms");
            return;
        }
        tokio::time::sleep(REPLICAS_LOOK).await;
    }
}

/// Whether the append-only file could not be loaded, for its first base is still being written.
fn is_base_missing(server: &Server, wish: Wish) -> bool {
    let is_missing = !wish.is_forced && server.snapshots().is_base_missing();
    if is_missing {
        tracing::warn!("Writing initial AOF. Can't exit.");
    }
    is_missing
}

/// Ends the threads that can be ended, and says farewell. The process ends behind this.
pub fn finish(server: &Server) {
    for client in server.clients().all() {
        client.kill();
    }
    server.aof().stop();
    server.remove_run_files();
    tracing::warn!("RustRedis is now ready to exit, bye bye...");
}

/// Ends the process while it loads: there is nothing yet that could be saved, and half of it would replace the file.
pub fn end_loading(server: &Server) -> ! {
    debug_assert!(server.gate().has(gate::LOADING));
    tracing::warn!("The server ends while it loads: nothing is saved");
    server.remove_run_files();
    std::process::exit(0);
}
