//! A batch whose keys have several owners, on the actor engine: each of them runs its commands, all at the same time.
//!
//! To everybody else they have run in one moment ([`Engine::scatter`]), so also in their order. Their effects are told in order too, or
//! not taken apart: of a stretch whose effects somebody hears (the journal, subscribers to events of keys) only one owner's commands may
//! have any. What cannot be done like that at the moment goes to the first owner as far as its commands reach, and the rest
//! behind the answer.
//!
//! [`Engine::scatter`]: rustredis_engine::Engine::scatter

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::Row;
use rustredis_engine::errands::{Answers, Scattered};
use rustredis_engine::{Held, Outcome, Part, Shards};
use rustredis_keyspace::Access;

use crate::request::connection::Connection;
use crate::request::errand::{self, Errand, Shared};
use crate::request::scratch::{NO_ROW, Scratch};
use crate::request::worker::Worker;
use crate::start::server::Server;

/// Which commands' effects somebody hears, so that their order matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Nothing,
    Writes,
    Everything,
}

impl Heard {
    fn now(server: &Server) -> Self {
        if server.settings().notify_mask.load(Relaxed) != 0 {
            Self::Everything
        } else if server.durability().journal.is_on() {
            Self::Writes
        } else {
            Self::Nothing
        }
    }

    fn has(self, row: &Row) -> bool {
        match self {
            Self::Nothing => false,
            Self::Writes => row.access == Access::Write,
            Self::Everything => true,
        }
    }
}

impl Connection {
    /// Has the next plain commands run by the owners of their keys; how many that were, or nothing if they are all this thread's, or none
    /// of them can be run like that.
    pub(crate) async fn run_scattered(
        &mut self,
        server: &Server,
        worker: &Worker,
        scratch: &mut Scratch,
        first: usize,
        input: &mut Vec<u8>,
    ) -> Option<usize> {
        let own = server.engine().own_index()?;
        find_owners(server, scratch, first, own);
        if scratch.owners.iter().all(|owner| usize::from(*owner) == own) {
            return None;
        }
        let batch = Arc::new(Shared {
            commands: std::mem::take(&mut scratch.commands),
            input: std::mem::take(input),
        });
        let mut owners = std::mem::take(&mut scratch.owners);
        let parts = self.scatter(server, worker, &batch, first, own, &mut owners).await;
        // Without an answer from all nobody comes here.
        let shared = Arc::into_inner(batch).expect("every errand has come back");
        scratch.commands = shared.commands;
        *input = shared.input;
        let ran = parts.map(|mut parts| {
            let ran = self.gather(&mut parts, &owners);
            parts.retain_mut(|part| !errand::of(part).is_big());
            worker.give_errands(parts);
            ran
        });
        scratch.owners = owners;
        ran.filter(|ran| *ran > 0)
    }

    /// Sends what `owners` says to the owners, and runs what is this thread's; what has come back of it. If not all can be done in one moment
    /// now, `owners` is cut down to what is.
    async fn scatter(
        &mut self,
        server: &Server,
        worker: &Worker,
        batch: &Arc<Shared>,
        first: usize,
        own: usize,
        owners: &mut Vec<u16>,
    ) -> Option<Vec<Part>> {
        loop {
            let is_whole = owners.iter().any(|owner| *owner != owners[0]);
            let (own_part, parts) = self.divide(server, worker, batch, first, own, owners, is_whole);
            let (shards, own_errand) = own_part.map(|part| (part.shards, part.errand)).unzip();
            let shards = shards.unwrap_or_default();
            match server.engine().scatter(own_errand.map(|errand| (&*shards, errand)), parts) {
                Ok(Scattered { own, answers }) => {
                    let done = own.and_then(|(held, errand)| run_own(errand, &shards, held, &answers));
                    let mut parts = answers.await;
                    parts.extend(done);
                    parts.iter_mut().for_each(|part| {
                        let progress = errand::of(part).end();
                        self.session.progress.join(progress);
                    });
                    return Some(parts);
                }
                Err((own, mut parts)) => {
                    parts.extend(own.map(|errand| Part { shards: Shards::new(), errand }));
                    parts.iter_mut().for_each(|part| _ = errand::of(part).end());
                    worker.give_errands(parts);
                }
            }
            if !is_whole || usize::from(owners[0]) == own {
                return None;
            }
            let same = owners.iter().take_while(|owner| **owner == owners[0]).count();
            owners.truncate(same);
        }
    }

    /// Makes the errands: this thread's, and the others'.
    #[allow(clippy::too_many_arguments, reason = "what is lent by the caller is borrowed apart")]
    fn divide(
        &self,
        server: &Server,
        worker: &Worker,
        batch: &Arc<Shared>,
        first: usize,
        own: usize,
        owners: &[u16],
        is_whole: bool,
    ) -> (Option<Part>, Vec<Part>) {
        let store = server.engine().store();
        let mut parts: Vec<Part> = worker.take_errands();
        let mut used = 0;
        for (index, owner) in owners.iter().enumerate() {
            let at = match parts[..used].iter_mut().position(|part| errand::of(part).owner() == *owner) {
                Some(at) => at,
                None => {
                    if used == parts.len() {
                        parts.push(Part { shards: Shards::new(), errand: Box::<Errand>::default() });
                    }
                    parts[used].shards.clear();
                    errand::of(&mut parts[used]).begin(*owner);
                    used += 1;
                    used - 1
                }
            };
            let part = &mut parts[at];
            if let Some(hash) = batch.commands.first_key(first + index) {
                part.shards.push(store.shard_of(hash) as u32);
            }
            errand::of(part).add(first + index);
        }
        worker.give_errands(parts.split_off(used));
        for part in &mut parts {
            part.shards.sort_unstable();
            part.shards.dedup();
            errand::of(part).prepare(batch, &self.session.caller, is_whole);
        }
        let own = parts.iter_mut().position(|part| usize::from(errand::of(part).owner()) == own);
        (own.map(|own| parts.swap_remove(own)), parts)
    }

    /// Writes the replies in the order of the commands, up to one that has not run; how many have.
    fn gather(&mut self, parts: &mut [Part], owners: &[u16]) -> usize {
        for (index, owner) in owners.iter().enumerate() {
            let mut errands = parts.iter_mut().map(errand::of);
            let errand = errands.find(|errand| errand.owner() == *owner);
            let Some(reply) = errand.and_then(Errand::next_reply) else { return index };
            self.output.extend_from_slice(reply);
        }
        owners.len()
    }
}

/// Finds whose the keys of the next commands are, as far as they are plain, have one key or none, and may run at the same time.
fn find_owners(server: &Server, scratch: &mut Scratch, first: usize, own: usize) {
    let (engine, heard) = (server.engine(), Heard::now(server));
    let store = engine.store();
    let mut owners = std::mem::take(&mut scratch.owners);
    owners.clear();
    let mut heard_of = None;
    for index in first..scratch.allowed().len() {
        let prepared = scratch.prepared[index];
        if prepared.row == NO_ROW || prepared.keys > 1 {
            break;
        }
        let row = server.registry().row(prepared.row);
        if !row.is_plain {
            break;
        }
        let owner = scratch.first_key(index).map_or(own, |hash| engine.owner_of(store.shard_of(hash)));
        if heard.has(row) && *heard_of.get_or_insert(owner) != owner {
            break;
        }
        owners.push(owner as u16);
    }
    scratch.owners = owners;
}

/// Runs the thread's own part; nothing comes back if it goes on as an errand.
fn run_own(
    mut errand: Box<dyn rustredis_engine::Errand>,
    shards: &[u32],
    mut held: Held<'_>,
    answers: &Answers<'_>,
) -> Option<Part> {
    let outcome = errand.run(&mut held);
    let part = Part { shards: shards.into(), errand };
    match outcome {
        Outcome::Done => Some(part),
        Outcome::Paused => {
            answers.go_on(part);
            None
        }
    }
}
