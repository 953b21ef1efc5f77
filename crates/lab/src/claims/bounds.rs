//! What may hide an effect: too few cores, or a generator that was the limit.

use crate::cell::Cell;
use crate::data::Data;

/// Fewer cores than this leave at most one for the server beside the generator.
pub const CORES_MIN: usize = 4;

/// Why an effect of threads that meet at a lock may stay hidden on a machine: too few cores.
pub(super) fn too_few_cores(data: &Data) -> Option<String> {
    let cores = data.settings.matrix.cores;
    (cores < CORES_MIN).then(|| {
        format!("{cores} cores are shared by server and generator, so the server's threads seldom meet; see the in-process figures")
    })
}

/// Why a throughput may not be the server's: the generator was the bottleneck in one of these cells.
pub(super) fn generator_bound(data: &Data, cells: &[&Cell]) -> Option<String> {
    cells
        .iter()
        .any(|cell| data.is_generator_bound(cell))
        .then(|| "the generator was the bottleneck".to_owned())
}
