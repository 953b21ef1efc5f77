//! How a snapshot is taken: a moment with everything held, then one shard after the other.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_config::Directive;
use rustredis_keyspace::snapshot::{Encode, Handover, Preserved};
use rustredis_keyspace::{Access, Covered, Effects, Random, View};
use rustredis_persistence::aof::manifest::BaseFormat;
use rustredis_persistence::storage::Storage;

use super::failure::Failure;
use super::output::{BUFFER_BYTES, Cut, Output, Target, encoder};
use super::snapshots::Snapshots;
use crate::clock::now_ms;
use crate::files::rdb::Origin;

/// Most shards that are visited in one hold, and most keys, if that is more than one shard.
const VISITED_SHARDS_MAX: usize = 64;
const VISITED_KEYS_MAX: usize = 1024;

/// Takes a snapshot into `path`; `at_cut` is called with everything held, and its results are handed back.
pub(super) async fn take<T>(
    snapshots: &Snapshots,
    path: &Path,
    format: BaseFormat,
    origin: Origin,
    at_cut: impl FnOnce(&mut View<'_>) -> T,
) -> Result<(Cut, T), Failure> {
    let syncs = {
        let config = snapshots.parts.config.lock();
        match origin {
            Origin::Save => config.bool(Directive::RdbSaveIncrementalFsync),
            Origin::AofBase => config.bool(Directive::AofRewriteIncrementalFsync),
            Origin::Replica => false,
        }
    };
    let target = Target::new(snapshots.parts.storage.create(path)?, syncs);
    let (random, mut effects) = (Random::new(now_ms()), Effects::default());
    let handover = Arc::new(Handover::default());
    let encode = encoder(snapshots, format);
    let (cut, result) = {
        let mut held = snapshots.parts.engine.borrow(Covered::All, Access::Write).await;
        let mut view = held.view(0, now_ms(), &random, &mut effects);
        let cut = Cut::new(snapshots, &view);
        view.begin_snapshot(&encode, &handover);
        (cut, at_cut(&mut view))
    };
    snapshots.note_cut();
    snapshots.keys_total.store(cut.keys(), Relaxed);
    snapshots.keys_done.store(0, Relaxed);
    let written = match Output::begin(snapshots, target, format, &cut, origin) {
        Ok(mut output) => match visit_all(snapshots, &mut output, &encode, &handover).await {
            Ok(()) => output.finish(snapshots, origin != Origin::Replica),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        leave_all(snapshots).await;
        // What is left of it is of no use; that it cannot be removed either is no further harm.
        let _ = snapshots.parts.storage.remove(path);
        return Err(error);
    }
    snapshots.parts.engine.store().end_snapshot();
    Ok((cut, result))
}

/// The shards from `first` on that are visited in one hold: one, or several that have few keys. In the actor engine a hold may
/// have to wait for another thread, and a thousand of them for nothing would make the snapshot of a few keys slow.
fn visited_together(snapshots: &Snapshots, first: usize) -> Vec<u32> {
    let store = snapshots.parts.engine.store();
    let keys_in =
        |shard: usize| -> usize { store.databases_in_use().map(|db| store.keys_in_shard(db, shard)).sum() };
    let mut keys = keys_in(first);
    let mut shards = vec![first as u32];
    if snapshots.parts.rdb.save_delay.is_on() {
        // What others change meanwhile shall meet shards that were visited, and shards that were not.
        return shards;
    }
    for shard in (first + 1..store.shards()).take(VISITED_SHARDS_MAX - 1) {
        keys += keys_in(shard);
        if keys > VISITED_KEYS_MAX {
            break;
        }
        shards.push(shard as u32);
    }
    shards
}

/// Encodes and writes one shard after the other, and what others have preserved meanwhile.
async fn visit_all(
    snapshots: &Snapshots,
    output: &mut Output,
    encode: &Arc<Encode>,
    handover: &Handover,
) -> Result<(), Failure> {
    let (random, mut effects) = (Random::new(now_ms()), Effects::default());
    let done = &snapshots.keys_done;
    let mut databases: Vec<Vec<u8>> = vec![Vec::new(); snapshots.parts.engine.store().databases()];
    let mut next = 0;
    while next < snapshots.parts.engine.store().shards() {
        if snapshots.is_given_up.load(Relaxed) {
            return Err(Failure::GivenUp);
        }
        let shards = visited_together(snapshots, next);
        next += shards.len();
        let mut visited = 0;
        {
            let mut held = snapshots.parts.engine.borrow(Covered::of(&shards), Access::Write).await;
            let mut view = held.view(0, now_ms(), &random, &mut effects);
            for shard in &shards {
                view.visit_shard(*shard as usize, |db, entry| {
                    encode(entry, &mut databases[db]);
                    visited += 1;
                });
            }
            done.fetch_add(visited, Relaxed);
        }
        for db in snapshots.parts.engine.store().databases_in_use() {
            let keys = &mut databases[db];
            if keys.is_empty() {
                continue;
            }
            output.write(db, keys)?;
            keys.clear();
            if keys.capacity() > 16 * BUFFER_BYTES {
                *keys = Vec::new();
            }
        }
        write_preserved(output, encode, handover)?;
        let is_given_up = || snapshots.is_given_up.load(Relaxed);
        snapshots.parts.rdb.save_delay.wait(visited, is_given_up);
    }
    Ok(())
}

fn write_preserved(output: &mut Output, encode: &Arc<Encode>, handover: &Handover) -> Result<(), Failure> {
    for part in handover.take() {
        match part {
            Preserved::Encoded { db, bytes, waits: _waits } => output.write(db, &bytes)?,
            Preserved::Emptied(emptied) => {
                let mut bytes = Vec::new();
                emptied.for_each(|entry| encode(entry, &mut bytes));
                if !bytes.is_empty() {
                    output.write(emptied.db, &bytes)?;
                }
            }
        }
    }
    Ok(())
}

/// Tells all shards that a snapshot is given up.
async fn leave_all(snapshots: &Snapshots) {
    let (random, mut effects) = (Random::new(now_ms()), Effects::default());
    let all: Vec<u32> = (0..snapshots.parts.engine.store().shards() as u32).collect();
    for shards in all.chunks(VISITED_SHARDS_MAX) {
        let mut held = snapshots.parts.engine.borrow(Covered::of(shards), Access::Write).await;
        let mut view = held.view(0, now_ms(), &random, &mut effects);
        shards.iter().for_each(|shard| view.leave_shard(*shard as usize));
    }
    snapshots.parts.engine.store().end_snapshot();
}
