//! What goes on upon a worker's thread besides its connections. Each task is upkeep's; what it needs of the worker is lent here.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_config::Directive;
use rustredis_keyspace::View;

use crate::clock::now_ms;
use crate::files::rdb;
use crate::gate;
use crate::net::outlet::Outlet;
use crate::request::durability;
use crate::request::settle::settle_own;
use crate::request::worker::Worker;
use crate::start::server::Server;
use crate::upkeep::cron;
use crate::upkeep::give_back::Heap;
use crate::upkeep::thread::spawn;

/// After a save that failed, how long save points wait until the next, in milliseconds.
const RETRY_SAVE_MS: u64 = 5000;

/// Starts the worker's tasks, within its runtime.
pub fn start(worker: &Rc<Worker>) {
    spawn("Active expiry", expire(worker.clone()));
    spawn("The task that gives memory back", give_back(worker.clone()));
    spawn("The task that closes who waits too long", close_overdue(worker.clone()));
    spawn("The task that sends held replies", release(worker.clone()));
    if worker.index == 0 {
        spawn("The task that looks after the server", look_after_server(worker.clone()));
        spawn("Eviction", evict(worker.clone()));
    }
}

async fn expire(worker: Rc<Worker>) {
    let settle = |view: &mut View<'_>| settle_own(&worker.server, &worker, view);
    worker.server.expiry.run(worker.thread(&settle), worker.index).await;
}

async fn evict(worker: Rc<Worker>) {
    let settle = |view: &mut View<'_>| settle_own(&worker.server, &worker, view);
    worker.server.eviction.go_on(worker.thread(&settle), &worker.eviction).await;
}

async fn give_back(worker: Rc<Worker>) {
    let heap = Heap {
        worker: worker.index,
        stats: worker.stats(),
        closed: &worker.closed,
        drop_pools: &|| worker.drop_pools(),
    };
    worker.server.purges.run(heap).await;
}

async fn look_after_server(worker: Rc<Worker>) {
    let settle = |view: &mut View<'_>| settle_own(&worker.server, &worker, view);
    worker.server.cron.run(worker.thread(&settle), || look_after_files(&worker.server)).await;
}

async fn release(worker: Rc<Worker>) {
    let durability = worker.server.durability.clone();
    let send = |outlet: &Outlet| outlet.release(worker.stats());
    durability::release(durability, worker.index, worker.waiting.clone(), send).await;
}

/// Closes clients that wait for a disk that takes nothing.
async fn close_overdue(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(cron::PERIOD).await;
        let server = &worker.server;
        let timeout_ms = server.settings.aof_write_timeout_ms.load(Relaxed);
        if timeout_ms > 0 && server.durability.durable.is_failing() {
            let end_ms = now_ms().saturating_sub(timeout_ms);
            worker.waiting.since(end_ms, |client| server.clients.close_for_disk(client));
        }
    }
}

/// Begins a save when a save point is reached, and a rewrite when the append-only file has grown.
fn look_after_files(server: &Server) {
    if server.gate.has(gate::LOADING) || server.snapshots.state().running.is_some() {
        return;
    }
    if server.aof.is_on() && !server.aof.is_written() {
        // Turning it on has failed; it is tried again as long as it is wanted.
        if server.snapshots.may_try_again() {
            server.snapshots.rewrite(server);
        }
        return;
    }
    if server.aof.is_lost() && server.snapshots.may_mend() {
        // Only a new base makes safe what is there.
        tracing::warn!("Starting a rewrite of the AOF, for a sync of it has failed");
        server.snapshots.rewrite(server);
        return;
    }
    let (save_points, percentage, min_bytes) = {
        let config = server.config.lock();
        (
            config.save_points().to_vec(),
            config.int(Directive::AutoAofRewritePercentage) as u64,
            config.bytes(Directive::AutoAofRewriteMinSize),
        )
    };
    let now_s = now_ms() / 1000;
    let changes = rdb::changes(server);
    let quiet_s = now_s.saturating_sub(server.rdb.last_save_seconds());
    let may_save = !server.rdb.has_failed.load(Relaxed)
        || now_ms().saturating_sub(server.snapshots.state().last_save_try_ms) > RETRY_SAVE_MS;
    if let Some(point) = save_points.iter().find(|point| changes >= point.changes && quiet_s > point.seconds)
        && may_save
    {
        tracing::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
        server.snapshots.note_save_try();
        server.snapshots.save(false);
        return;
    }
    let (now_bytes, base_bytes) = (server.aof.current_bytes(), server.aof.base_bytes().max(1));
    if server.aof.is_written() && percentage > 0 && now_bytes > min_bytes && server.snapshots.may_rewrite() {
        let growth = (now_bytes * 100 / base_bytes).saturating_sub(100);
        if growth >= percentage {
            tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
            server.snapshots.rewrite(server);
        }
    }
}
