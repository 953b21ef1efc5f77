//! How orders are served: one snapshot, at whose cut their sinks begin.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rustredis_keyspace::{Access, Covered, Effects, Random};
use rustredis_persistence::aof::manifest::BaseFormat;
use rustredis_persistence::storage::Storage;

use super::failure::Failure;
use super::orders::{Contents, Dump, Order};
use super::output::{Cut, Output, Target};
use super::snapshots::Snapshots;
use super::take::take;
use crate::clock::now_ms;
use crate::files::rdb::Origin;

/// Serves all orders of the contents that the first one wants.
pub(super) async fn serve(snapshots: &Snapshots) -> Result<(), Failure> {
    let contents = {
        let mut orders = snapshots.orders.lock();
        // Who is gone needs none.
        orders.retain(|order| !order.is_cancelled());
        orders.first().map(|order| order.contents)
    };
    let Some(contents) = contents else { return Ok(()) };
    let mut served = Vec::new();
    let dumped = match snapshots.parts.rdb.paths() {
        Ok(paths) => dump(snapshots, contents, &paths.temporary, &mut served).await,
        Err(error) => Err(error.into()),
    };
    if dumped.is_err() {
        // Those that it was to serve, if it did not come so far.
        served.append(&mut take_orders(snapshots, contents));
    }
    served.iter().for_each(|order| order.finish(dumped.as_ref().ok()));
    dumped.map(|_| ())
}

fn take_orders(snapshots: &Snapshots, contents: Contents) -> Vec<Arc<Order>> {
    let mut orders = snapshots.orders.lock();
    let (taken, left) =
        std::mem::take(&mut *orders).into_iter().partition(|order| order.contents == contents);
    *orders = left;
    taken
}

/// Dumps the data set; the orders whose sinks begin at its cut are added to `served`.
async fn dump(
    snapshots: &Snapshots,
    contents: Contents,
    path: &Path,
    served: &mut Vec<Arc<Order>>,
) -> Result<Dump, Failure> {
    let mut begin = || {
        *served = take_orders(snapshots, contents);
        served.iter().for_each(|order| order.attach(&snapshots.parts.journal));
    };
    if contents.keys {
        take(snapshots, path, BaseFormat::Rdb, Origin::Replica, |_| begin()).await?;
    } else {
        let cut = {
            let (random, mut effects) = (Random::new(now_ms()), Effects::default());
            let mut held = snapshots.parts.engine.borrow(Covered::All, Access::Write).await;
            begin();
            Cut::new(snapshots, &held.view(0, now_ms(), &random, &mut effects))
                .without_keys(contents.functions)
        };
        let target = Target::new(snapshots.parts.storage.create(path)?, false);
        Output::begin(snapshots, target, BaseFormat::Rdb, &cut, Origin::Replica)?.finish(snapshots, false)?;
    }
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    // Its name is not needed any more, whether it could be opened or not.
    let removed = snapshots.parts.storage.remove(path);
    let (bytes, file) = opened?;
    removed?;
    Ok(Dump { file: Arc::new(file), bytes })
}
