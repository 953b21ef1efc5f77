//! A run under what is held for it: what it needs from one turn to the next, its pauses, and what follows its end.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustredis_commands::CommandError;
use rustredis_engine::{Announced, Held};
use rustredis_keyspace::{Effects, View};
use rustredis_metrics::CallEnd;
use rustredis_persistence::journal::Audience;
use rustredis_resp::Proto;
use rustredis_scripting::machine::{Progress, Run};
use smallvec::SmallVec;

use super::callee::{self, Callee};
use super::host::{Host, Past};
use super::{Call, End};
use crate::request::connection::Connection;
use crate::request::record;
use crate::request::run::count_error;
use crate::request::step::Step;
use crate::request::turn::TURN_NANOS;
use crate::request::worker::Worker;
use crate::scripts::running::{Entrant, Entry};
use crate::start::server::Server;

/// Keys and arguments that lie in place.
const WORDS_IN_PLACE: usize = 16;

/// See the module's text. The caller is lent to the script: what it selects, and the protocol of its calls, is undone at its end.
pub(super) struct UnderWay<'c, 's> {
    call: Call<'c>,
    callee: Callee,
    run: Run,
    past: Past,
    lent: Lent,
    /// Where its reply begins.
    before: usize,
    /// When it began, by the worker's clock.
    began: u64,
    now_ms: u64,
    /// Who may end it, from its first pause on.
    entry: Option<Entry<'s>>,
    _step: Step<'s>,
}

/// What of its caller a script may change.
#[derive(Clone, Copy)]
struct Lent {
    db: usize,
    proto: Proto,
}

impl Lent {
    fn of(connection: &Connection) -> Self {
        let caller = &connection.session.caller;
        Self { db: caller.db, proto: caller.proto }
    }

    /// Puts this in the place of what is so now, which is returned.
    fn exchange(self, connection: &mut Connection) -> Self {
        let now = Self::of(connection);
        let caller = &mut connection.session.caller;
        (caller.db, caller.proto) = (self.db, self.proto);
        now
    }
}

impl<'c, 's> UnderWay<'c, 's> {
    /// Begins a run: nothing of the script has run yet. The effects are those of a new step.
    #[inline]
    pub(super) fn begin(
        connection: &Connection,
        server: &'s Server,
        worker: &'s Worker,
        call: Call<'c>,
        callee: Callee,
    ) -> Self {
        let Call { args, is_memory_short, .. } = call;
        let began = worker.last_clock();
        let words: SmallVec<[&[u8]; WORDS_IN_PLACE]> = args.from(callee::FIRST_KEY).collect();
        let (keys, rest) = words.split_at(callee.keys);
        let machines = worker.scripts.machines(&server.scripts().limits);
        let lent = Lent::of(connection);
        Self {
            call,
            run: machines.begin(callee.what(), keys, rest, lent.proto),
            past: Past::new(&callee, is_memory_short, began + TURN_NANOS, worker.scripts.take_buffers()),
            callee,
            lent,
            before: connection.output.len(),
            began,
            now_ms: worker.now_ms(),
            entry: None,
            _step: worker.steps.begin(),
        }
    }

    /// A view of what is held, by the time of its beginning: by one time it judges what has expired.
    pub(super) fn view<'v>(
        &self,
        connection: &Connection,
        worker: &'v Worker,
        held: &'v mut Held<'_>,
        effects: &'v mut Effects,
    ) -> View<'v> {
        held.view(connection.session.caller.db, self.now_ms, &worker.random, effects)
    }

    /// Goes on until it pauses or is over, under a view of what is held.
    #[inline]
    pub(super) fn resume(
        &mut self,
        connection: &mut Connection,
        server: &Server,
        worker: &Worker,
        view: &mut View<'_>,
    ) -> Progress {
        view.set_no_touch(connection.session.caller.no_touch);
        view.set_in_script(true);
        let mut host = Host {
            server,
            worker,
            caller: &mut connection.session.caller,
            progress: &mut connection.session.progress,
            view,
            past: &mut self.past,
        };
        self.run.resume(&mut host, &mut connection.output)
    }

    /// Lets the others of the thread have their turn; from the first time on it is known to those who may end it, and to those who need
    /// what is held.
    pub(super) async fn pause<'e>(
        &mut self,
        connection: &mut Connection,
        server: &'s Server,
        worker: &Worker,
        held: &mut Held<'e>,
        announced: &mut Option<Announced<'e>>,
    ) {
        let script = self.entry.get_or_insert_with(|| {
            *announced = announced.take().or_else(|| Some(held.announce()));
            let ran = Duration::from_nanos(worker.read_clock().saturating_sub(self.began));
            let now = Instant::now();
            server.scripts().running.enter(Entrant {
                kind: self.callee.kind(),
                name: self.callee.name().to_vec(),
                command: self.call.args.to_vec(),
                began: now.checked_sub(ran).unwrap_or(now),
                has_written: self.past.has_written,
            })
        });
        self.past.running.get_or_insert_with(|| script.script.clone());
        let threshold = match server.settings().busy_reply_threshold_ms.load(Relaxed) {
            0 => None,
            threshold_ms => Some(Duration::from_millis(threshold_ms)),
        };
        script.look(threshold);
        // The server's end waits for what has begun to write, but not for ever: what it wrote stays then, as after an error.
        if server.ending().is_asked() && (!self.past.has_written || script.script.has_run_for(threshold)) {
            script.script.kill();
        }
        let aside = worker.put_aside();
        let changed = self.lent.exchange(connection);
        connection.let_others().await;
        changed.exchange(connection);
        worker.take_up(aside);
        self.past.turn_ends = worker.last_clock() + TURN_NANOS;
    }

    /// What follows its end, under a view of what is held. The step that it is has still to be settled, unless it is a part of one.
    #[inline]
    pub(super) fn end(
        self,
        connection: &mut Connection,
        server: &Server,
        worker: &Worker,
        view: &View<'_>,
        progress: Progress,
    ) -> End {
        let Self { callee, run, mut past, lent, before, _step, .. } = self;
        drop(run);
        worker.scripts.give_buffers(std::mem::take(&mut past.buffers));
        if past.audience != Audience::Both {
            worker.lane.audience.set(Some(past.audience));
            connection.session.progress.note_write(record::commit(server, worker, view, None));
        }
        worker.lane.audience.set(Some(Audience::Both));
        drop(_step);
        worker.scripts.tell_size(&server.scripts().counts.state_bytes);
        let changed = lent.exchange(connection);
        if changed.db != lent.db {
            // What SELECT has chosen was for the script alone.
            connection.session.caller.select(lent.db);
        }
        if past.has_strayed {
            server.scripts().counts.restarted.fetch_add(1, Relaxed);
            callee.note_stray();
            connection.output.truncate(before);
            return End::Strayed;
        }
        if past.is_killed() {
            server.scripts().counts.killed.fetch_add(1, Relaxed);
        }
        match progress {
            Progress::Done { is_error: true, is_counted } => {
                if !is_counted {
                    count_reply_error(server, worker, &connection.output[before..]);
                }
                End::Replied(CallEnd::Failed)
            }
            _ => End::Replied(CallEnd::Ok),
        }
    }
}

/// Counts an error that a script has answered.
#[cold]
fn count_reply_error(server: &Server, worker: &Worker, reply: &[u8]) {
    let text = reply.strip_prefix(b"-").unwrap_or(reply);
    let text = text.split(|byte| *byte == b'\r').next().unwrap_or_default();
    count_error(server, worker, &CommandError::Other(text.to_vec().into()));
}
