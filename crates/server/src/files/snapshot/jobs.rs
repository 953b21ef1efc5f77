//! What each job does: a save, a rewrite of the append-only file, the turning on and off of that.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_config::Directive;
use rustredis_keyspace::{Access, Covered, Effects, Random};
use rustredis_persistence::aof::manifest::{BaseFormat, File};
use rustredis_persistence::storage::Storage;

use super::failure::Failure;
use super::snapshots::Snapshots;
use super::take::take;
use crate::clock::now_ms;
use crate::files::aof::Files;
use crate::files::leftovers;
use crate::files::rdb::{Origin, Placed};

/// Writes the RDB file.
pub(super) async fn save(snapshots: &Snapshots) -> Result<(), Failure> {
    let paths = snapshots.parts.rdb.paths()?;
    let (cut, number) = take(snapshots, &paths.temporary, BaseFormat::Rdb, Origin::Save, |_| {
        snapshots.parts.rdb.next_number()
    })
    .await?;
    let placed = snapshots.parts.rdb.put_in_place(&paths, number, cut.changes).inspect_err(|_| {
        // What is left of it is of no use.
        let _ = snapshots.parts.storage.remove(&paths.temporary);
    })?;
    match placed {
        Placed::Newest => Ok(()),
        Placed::Superseded => Err(Failure::GivenUp),
    }
}

/// The form of a base, as the configuration has it.
fn base_format(snapshots: &Snapshots) -> BaseFormat {
    if snapshots.parts.config.lock().bool(Directive::AofUseRdbPreamble) {
        BaseFormat::Rdb
    } else {
        BaseFormat::Commands
    }
}

/// Writes a new base and goes on in a new increment.
pub(super) async fn rewrite(snapshots: &Snapshots, turns_on: bool) -> Result<(), Failure> {
    let mut files = match snapshots.parts.aof.files() {
        Some(files) => files,
        None => snapshots.parts.aof.open_files().map_err(Failure::Text)?,
    };
    let storage = &*snapshots.parts.storage;
    let format = base_format(snapshots);
    let temporary = files.directory.join(leftovers::temporary_base_name());
    let was_on = snapshots.parts.aof.is_written();
    let mut increment = None;
    let mut target = None;
    if turns_on || was_on {
        let (file, opened) = files.create_increment(storage)?;
        if was_on {
            // Known before anything is written to it: a crash during the rewrite needs it.
            files.manifest.push_increment(file.clone());
            files.persist(storage)?;
            snapshots.parts.aof.set_files(Some(files.clone()));
        }
        (increment, target) = (Some(file), Some(opened));
    }
    let taken = take(snapshots, &temporary, format, Origin::AofBase, |view| {
        target.take().map(|target| snapshots.parts.aof.switch(view, Some(target)))
    })
    .await;
    snapshots.parts.aof.measure(false);
    let result = match taken {
        Ok((_, switched)) => {
            finish_rewrite(snapshots, &mut files, &temporary, format, increment.clone(), was_on)
                .inspect(|()| snapshots.parts.aof.mend(switched.flatten()))
        }
        Err(error) => Err(error),
    };
    if result.is_err() && !was_on && turns_on {
        // There is no base for what was written.
        switch_off(snapshots).await;
        if let Some(increment) = increment {
            // It is in no manifest.
            let _ = storage.remove(&files.path(&increment));
        }
    }
    if !snapshots.parts.aof.is_on() && !turns_on {
        // The directory's lock goes with the files.
        snapshots.parts.aof.set_files(None);
    }
    result
}

/// Puts the base in its place and says so in the manifest.
fn finish_rewrite(
    snapshots: &Snapshots,
    files: &mut Files,
    temporary: &Path,
    format: BaseFormat,
    increment: Option<File>,
    was_on: bool,
) -> Result<(), Failure> {
    let storage = &*snapshots.parts.storage;
    let _exchange = snapshots.exchange.lock();
    let base = files.place_base(storage, temporary, format).inspect_err(|_| {
        // What is left of it is of no use.
        let _ = storage.remove(temporary);
    })?;
    let first_kept = increment.as_ref().map_or(u64::MAX, |increment| increment.sequence);
    let mut next = files.clone();
    if let Some(increment) = increment.filter(|_| !was_on) {
        next.manifest.push_increment(increment);
    }
    next.manifest.replace_base(base, first_kept);
    next.persist(storage)?;
    *files = next;
    snapshots.parts.aof.remove_history(files);
    snapshots.parts.aof.set_files(Some(files.clone()));
    snapshots.parts.aof.measure(true);
    Ok(())
}

/// Has nothing more written to the append-only file.
async fn switch_off(snapshots: &Snapshots) {
    let (random, mut effects) = (Random::new(now_ms()), Effects::default());
    let mut held = snapshots.parts.engine.borrow(Covered::All, Access::Write).await;
    let view = held.view(0, now_ms(), &random, &mut effects);
    snapshots.parts.aof.switch(&view, None);
}

/// Ends the writing of the append-only file, and makes durable what was written.
pub(super) async fn turn_off(snapshots: &Snapshots) -> Result<(), Failure> {
    switch_off(snapshots).await;
    let synced = snapshots.parts.aof.sync_left_file();
    // The directory's lock goes with the files.
    snapshots.parts.aof.set_files(None);
    snapshots.parts.aof.progressed();
    snapshots.turning_off.fetch_sub(1, Relaxed);
    snapshots.progress.notify_waiters();
    Ok(synced?)
}
