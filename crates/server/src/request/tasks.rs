//! What goes on upon a worker's thread besides its connections. Each task is upkeep's; what it needs of the worker is lent here.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_config::Directive;
use rustredis_keyspace::{Access, Covered, Effects, View};

use crate::clock::now_ms;
use crate::net::outlet::Outlet;
use crate::request::durability;
use crate::request::record;
use crate::request::settle::settle_own;
use crate::request::worker::Worker;
use crate::upkeep::cron;
use crate::upkeep::give_back::Heap;
use crate::upkeep::thread::spawn;

/// Starts the worker's tasks, within its runtime.
pub fn start(worker: &Rc<Worker>) {
    spawn("Active expiry", expire(worker.clone()));
    spawn("The task that gives memory back", give_back(worker.clone()));
    spawn("The task that closes who waits too long", close_overdue(worker.clone()));
    spawn("The task that sends held replies", release(worker.clone()));
    if worker.index == 0 {
        spawn("The task that looks after the server", look_after_server(worker.clone()));
        spawn("Eviction", evict(worker.clone()));
        spawn("The task that forgets what nobody tracks", forget_tracked(worker.clone()));
        spawn("The task that pings replicas", ping_replicas(worker.clone()));
    }
}

async fn expire(worker: Rc<Worker>) {
    let settle = |view: &mut View<'_>| settle_own(&worker.server, &worker, view);
    worker.server.expiry().run(worker.thread(&settle), worker.index).await;
}

async fn evict(worker: Rc<Worker>) {
    let settle = |view: &mut View<'_>| settle_own(&worker.server, &worker, view);
    worker.server.eviction().go_on(worker.thread(&settle), &worker.eviction).await;
}

/// Forgets keys that are tracked no longer, and ends the listing of changes when nobody tracks any more.
async fn forget_tracked(worker: Rc<Worker>) {
    let (tracking, engine) = (worker.server.tracking(), worker.server.engine());
    loop {
        tracking.work.notified().await;
        while tracking.sweep() {
            tokio::task::yield_now().await;
        }
        if tracking.is_idle() {
            let mut held = engine.borrow(Covered::All, Access::Write).await;
            let mut effects = Effects::default();
            tracking.end_listing(&mut held.view(0, now_ms(), &worker.random, &mut effects));
        }
    }
}

/// Lets replicas know, now and then, that the server is there.
async fn ping_replicas(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(cron::PERIOD).await;
        let server = &worker.server;
        let period_s = server.config().lock().int(Directive::ReplPingReplicaPeriod);
        if server.replicas().is_ping_due(now_ms(), u64::try_from(period_s).unwrap_or(1) * 1000) {
            record::announce(server, &worker, None, [b"PING".as_slice()].into_iter());
            server.durability().journal.wake_for_group();
        }
    }
}

async fn give_back(worker: Rc<Worker>) {
    let heap = Heap {
        worker: worker.index,
        stats: worker.stats(),
        closed: &worker.closed,
        drop_pools: &|| worker.drop_pools(),
    };
    worker.server.purges().run(heap).await;
}

async fn look_after_server(worker: Rc<Worker>) {
    let settle = |view: &mut View<'_>| settle_own(&worker.server, &worker, view);
    worker.server.cron().run(worker.thread(&settle)).await;
}

async fn release(worker: Rc<Worker>) {
    let durability = worker.server.durability().clone();
    let send = |outlet: &Outlet| outlet.release(worker.stats());
    durability::release(durability, worker.index, worker.waiting.clone(), send).await;
}

/// Closes clients that wait for a disk that takes nothing.
async fn close_overdue(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(cron::PERIOD).await;
        let server = &worker.server;
        let timeout_ms = server.settings().aof_write_timeout_ms.load(Relaxed);
        if timeout_ms > 0 && server.durability().durable.is_failing() {
            let end_ms = now_ms().saturating_sub(timeout_ms);
            worker.waiting.since(end_ms, |client| server.clients().close_for_disk(client));
        }
    }
}
