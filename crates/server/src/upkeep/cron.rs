//! What happens by the clock: keys expire on their own, rates are sampled, idle clients are closed.
//!
//! Every worker looks after its own part of the shards. What concerns the server as a whole is done by the first worker,
//! ten times a second.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustredis_config::Directive;
use rustredis_engine::EndsInPanic;
use rustredis_keyspace::{Access, Among, Covered, Effects, placement};

use crate::clients::client::flags;
use crate::clock::now_ms;
use crate::files::rdb;
use crate::gate;
use crate::request::settle::settle;
use crate::request::worker::Worker;
use crate::start::server::Server;
use crate::upkeep::eviction;
use crate::upkeep::give_back;
use crate::upkeep::memory;
use crate::upkeep::stats::bump;

/// Keys that one round of active expiry deletes in a shard before it lets others in.
const EXPIRE_BATCH: usize = 64;
/// How often the server as a whole is looked after.
const SERVER_PERIOD: Duration = Duration::from_millis(100);
/// After a save that failed, how long save points wait until the next, in milliseconds.
const RETRY_SAVE_MS: u64 = 5000;
/// Of these looks, how many it takes until expiring keys are sampled.
const TTL_PERIOD: u64 = 5;
/// Keys of a database that are sampled then.
const TTL_SAMPLES: usize = 20;

/// Starts the worker's tasks, within its runtime.
pub fn start(worker: &Rc<Worker>) {
    spawn("Active expiry", expire(worker.clone()));
    spawn("The task that gives memory back", give_back::run(worker.clone()));
    spawn("The task that closes who waits too long", close_overdue(worker.clone()));
    if worker.index == 0 {
        spawn("The task that looks after the server", look_after_server(worker.clone()));
        spawn("Eviction", eviction::go_on(worker.clone()));
    }
}

/// Starts a task that the server does not go on without.
pub fn spawn(name: &'static str, task: impl Future<Output = ()> + 'static) {
    tokio::task::spawn_local(async move {
        let _end = EndsInPanic(name);
        task.await;
    });
}

/// Closes clients that wait for a disk that takes nothing.
async fn close_overdue(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SERVER_PERIOD).await;
        let server = &worker.server;
        let timeout_ms = server.settings.aof_write_timeout_ms.load(Relaxed);
        if timeout_ms > 0 && server.durability.durable.is_failing() {
            let end_ms = now_ms().saturating_sub(timeout_ms);
            worker.waiting.since(end_ms, |client| server.clients.close_for_disk(client));
        }
    }
}

async fn look_after_server(worker: Rc<Worker>) {
    let server = worker.server.clone();
    let mut look: u64 = 0;
    loop {
        tokio::time::sleep(SERVER_PERIOD).await;
        worker.tick();
        server.stats.rates.sample(&server.stats.sum(), worker.last_clock());
        // The peak is what somebody has seen.
        memory::used_bytes();
        close_idle_clients(&server, worker.now_ms());
        close_large_clients(&server);
        look_after_files(&server);
        look += 1;
        if look.is_multiple_of(TTL_PERIOD) && !server.gate.has(gate::LOADING) {
            sample_ttls(&worker).await;
        }
    }
}

/// Begins a save when a save point is reached, and a rewrite when the append-only file has grown.
fn look_after_files(server: &Server) {
    if server.gate.has(gate::LOADING) || server.snapshots.state().running.is_some() {
        return;
    }
    if server.aof.is_on() && !server.durability.journal.is_on() {
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
    if server.durability.journal.is_on()
        && percentage > 0
        && now_bytes > min_bytes
        && server.snapshots.may_rewrite()
    {
        let growth = (now_bytes * 100 / base_bytes).saturating_sub(100);
        if growth >= percentage {
            tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
            server.snapshots.rewrite(server);
        }
    }
}

/// Closes the clients with the largest buffers while all of them together take more than `maxmemory-clients`.
fn close_large_clients(server: &Server) {
    let limit = server.settings.maxmemory_clients.load(Relaxed) as usize;
    if limit == 0 {
        return;
    }
    let all = server.clients.all();
    let mut total: usize = all.iter().map(|client| client.memory_bytes()).sum();
    if total <= limit {
        return;
    }
    let mut large: Vec<_> = all.iter().filter(|client| !client.has_flag(flags::NO_EVICT)).collect();
    large.sort_by_key(|client| std::cmp::Reverse(client.memory_bytes()));
    for client in large {
        if total <= limit {
            break;
        }
        total = total.saturating_sub(client.memory_bytes());
        tracing::info!("Evicting client id={} addr={}", client.id, client.addr);
        server.stats.evicted_clients.fetch_add(1, Relaxed);
        client.kill();
    }
}

/// Looks at some keys that expire, for the mean in `INFO keyspace`.
async fn sample_ttls(worker: &Worker) {
    let server = &worker.server;
    let store = server.engine.store();
    for db in store.databases_in_use().filter(|db| store.expiring_keys(*db) > 0) {
        let Some(shard) = store.random_shard(db, Among::Expiring, &worker.random) else { continue };
        let mut effects = Effects::default();
        let (mut sum, mut count) = (0u64, 0);
        let now_ms = worker.now_ms();
        let mut held = server.engine.borrow(Covered::One(shard), Access::Read).await;
        let view = held.view(db, now_ms, &worker.random, &mut effects);
        view.sample(shard, Among::Expiring, TTL_SAMPLES, |entry| {
            sum += entry.expire_at_ms().map_or(0, |at_ms| at_ms.saturating_sub(now_ms));
            count += 1;
        });
        drop(held);
        if let Some(mean_ms) = sum.checked_div(count) {
            server.stats.observe_ttl_ms(db, mean_ms);
        }
    }
}

/// Closes clients that have been silent for `timeout`. A connection's own timer knows only the timeout of when it began to
/// wait.
fn close_idle_clients(server: &Server, now_ms: u64) {
    let timeout_ms = server.settings.timeout_seconds.load(Relaxed).saturating_mul(1000);
    if timeout_ms == 0 {
        return;
    }
    for client in server.clients.all() {
        let may_be_silent =
            client.flags.load(Relaxed) & (flags::BLOCKED | flags::PUBSUB | flags::MONITOR) != 0;
        if !may_be_silent && now_ms.saturating_sub(client.active_ms.load(Relaxed)) > timeout_ms {
            client.kill();
        }
    }
}

/// Deletes keys whose time has come.
async fn expire(worker: Rc<Worker>) {
    let server = worker.server.clone();
    let mut effects = Effects::default();
    let count = server.engine.store().shards();
    let is_own = |shard: &usize| placement::part_of(*shard, count, server.threads) == worker.index;
    let shards: Vec<usize> = (0..count).filter(is_own).collect();
    loop {
        let hz = u64::from(server.settings.hz.load(Relaxed)).clamp(1, 500);
        tokio::time::sleep(Duration::from_millis(1000 / hz)).await;
        let is_paused = server.pause.state(now_ms()).is_some();
        if is_paused || server.gate.has(gate::LOADING) || !server.expires_actively.load(Relaxed) {
            continue;
        }
        worker.tick();
        expire_due(&worker, &shards, &mut effects).await;
        let stats = worker.stats();
        bump(&stats.expired_keys, std::mem::take(&mut effects.expired_keys));
        bump(&stats.expired_fields, std::mem::take(&mut effects.expired_fields));
    }
}

/// Deletes what is due in these shards, this worker's part, a few keys at a time.
async fn expire_due(worker: &Worker, shards: &[usize], effects: &mut Effects) {
    let server = &worker.server;
    let store = server.engine.store();
    for &shard in shards {
        while store.next_expiry_ms(shard) <= worker.now_ms() {
            effects.notify_mask = server.settings.notify_mask.load(Relaxed);
            let mut held = server.engine.borrow(Covered::One(shard), Access::Write).await;
            let started = worker.read_clock();
            let mut view = held.view(0, worker.now_ms(), &worker.random, effects);
            let (_, is_more_due) = view.expire_shard(shard, EXPIRE_BATCH);
            settle(server, worker, &mut view, None);
            drop(held);
            let nanos = worker.read_clock().saturating_sub(started);
            server.stats.expire_cycle_nanos.fetch_add(nanos, Relaxed);
            server.latency.observe("expire-cycle", nanos, (worker.now_ms() / 1000) as i64);
            if !is_more_due {
                break;
            }
            tokio::task::yield_now().await;
            worker.tick();
        }
    }
}
