//! The threads that do what is asked of the snapshots: one takes them, the other turns the append-only file off beside a save.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustredis_config::Directive;
use rustredis_engine::EndsInPanic;

use super::dumps;
use super::failure::Failure;
use super::jobs::{rewrite, save, turn_off};
use super::snapshots::Snapshots;
use super::state::Job;
use crate::upkeep::allocator;

impl Snapshots {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        let (sender, jobs) = mpsc::channel();
        *self.jobs.lock() = Some(sender);
        let here = self.clone();
        start_thread("snapshot", jobs, async move |job| {
            run(&here, job).await;
            // It may rest for hours now.
            allocator::purge();
        })?;
        let (sender, wishes) = mpsc::channel();
        *self.aside.lock() = Some(sender);
        let here = self.clone();
        start_thread("aof-off", wishes, async move |()| {
            report_turned_off(turn_off(&here).await);
            here.turning_off_beside.fetch_sub(1, Relaxed);
        })?;
        Ok(())
    }

    /// Writes the first base of an append-only file, and begins to write behind it.
    pub(crate) async fn begin_aof(&self) -> Result<(), Failure> {
        rewrite(self, true).await
    }
}

/// Starts a thread that does what it is asked for, one thing after the other.
fn start_thread<T: Send + 'static>(
    name: &str,
    wishes: mpsc::Receiver<T>,
    act: impl AsyncFn(T) + Send + 'static,
) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(move || {
        let _end = EndsInPanic("The thread of snapshots");
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
            tracing::error!("No runtime for snapshots: they are not taken");
            return;
        };
        for wish in wishes {
            runtime.block_on(act(wish));
        }
    })?;
    Ok(())
}

fn report_turned_off(result: Result<(), Failure>) {
    if let Err(error) = result {
        tracing::warn!("The append-only file was turned off with an error: {error}");
    }
}

async fn run(snapshots: &Snapshots, job: Job) {
    while job.is_rewrite() && snapshots.turning_off_beside.load(Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let started = Instant::now();
    let holds_syncs = snapshots.parts.config.lock().bool(Directive::NoAppendfsyncOnRewrite);
    snapshots.parts.aof.hold_syncs(holds_syncs && job != Job::TurnOff);
    let result = match job {
        Job::Save => save(snapshots).await,
        Job::Rewrite => rewrite(snapshots, false).await,
        Job::TurnOn => rewrite(snapshots, true).await,
        Job::TurnOff => turn_off(snapshots).await,
        Job::Orders => dumps::serve(snapshots).await,
    };
    snapshots.parts.aof.hold_syncs(false);
    let is_ok = result.is_ok();
    match (job, result) {
        (Job::Save, Ok(())) => tracing::info!("Background saving terminated with success"),
        (Job::Save, Err(Failure::GivenUp)) => tracing::warn!("Background saving was given up"),
        (Job::Save, Err(error)) => {
            tracing::warn!("Background saving error: {error}");
            snapshots.parts.rdb.note_failure();
        }
        (Job::Orders, Ok(())) => tracing::info!("What replicas begin with was dumped"),
        (Job::Orders, Err(error)) => {
            tracing::warn!("What replicas begin with could not be dumped: {error}");
        }
        (Job::TurnOff, result) => report_turned_off(result),
        (_, Ok(())) => tracing::info!("Background AOF rewrite finished successfully"),
        (_, Err(error)) => tracing::warn!("Background AOF rewrite terminated with error: {error}"),
    }
    snapshots.finish(job, started.elapsed().as_secs() as i64, is_ok);
}
