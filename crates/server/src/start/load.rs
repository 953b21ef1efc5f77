//! Loading at the start: what files there are, and where writing goes on.

use std::sync::Arc;

use rustredis_config::Directive;
use rustredis_keyspace::{Effects, Random};
use tokio::sync::oneshot;

use crate::clock::now_ms;
use crate::files::rdb::Conflict;
use crate::request::replay::replays;
use crate::start::server::Server;

/// Loads the files on a thread of its own, while connections are served.
pub fn begin(server: &Arc<Server>) -> Result<oneshot::Receiver<Result<(), String>>, String> {
    let (sender, loaded) = oneshot::channel();
    let server = server.clone();
    let failed = |error| format!("Can't start the loading thread: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(failed)?;
    std::thread::Builder::new()
        .name("load".into())
        .spawn(move || {
            // Nobody waits for it if the server has ended.
            let _ = sender.send(runtime.block_on(at_start(&server)));
        })
        .map_err(failed)?;
    Ok(loaded)
}

/// Loads what there is, before any client is served, and goes on writing where the files end. The gate says LOADING, and the
/// workers run.
///
/// # Errors
/// The text for the log.
async fn at_start(server: &Server) -> Result<(), String> {
    let is_aof_on = server.config().lock().bool(Directive::Appendonly);
    let mut files = if is_aof_on { Some(server.aof().open_files()?) } else { None };
    let has_files = files.as_ref().is_some_and(|files| files.manifest.loaded().next().is_some());
    let mut filling = server.engine().filling().ok_or("The data set is loaded already")?;
    let (random, mut effects) = (Random::new(now_ms()), Effects::default());
    let mut view = filling.view(0, now_ms(), &random, &mut effects);
    let replays = replays(server);
    match files.as_mut().filter(|_| has_files) {
        Some(files) => server.loading().load_aof(&replays, &mut view, files)?,
        None => {
            server.loading().load_rdb(&replays, &mut view, Conflict::Refused).map_err(|error| {
                format!("Fatal error loading the DB '{}': {error}. Exiting.", server.rdb().path().display())
            })?;
        }
    }
    match files {
        Some(files) if has_files => {
            server.aof().continue_files(&view, files)?;
            filling.open();
            Ok(())
        }
        Some(files) => {
            filling.open();
            server.aof().set_files(Some(files));
            server.aof().set_on(true);
            let begun = server.snapshots().begin_aof().await;
            begun.map_err(|error| format!("Can't create the append-only file: {error}"))
        }
        None => {
            filling.open();
            Ok(())
        }
    }
}
