//! Runs commands in unit tests as a server would: resolve, plan, run, without a network.
//!
//! The view covers exactly what the command's row says and is shared for a reader, so that a wrong key spec or a reader that
//! writes fails here already. Keys that a reader found expired are deleted afterwards, as a server does.

use std::collections::BTreeMap;

use rustredis_keyspace::types::hash::Hash;
use rustredis_keyspace::{Access, Bank, Covered, Effects, Random, Store, View, digest, hashing};
use rustredis_resp::parse::split_quoted;
use rustredis_resp::{Proto, Reply};

use crate::args::OwnedArgs;
use crate::plan::{Plan, PlanContext};
use crate::registry::{Registry, Row};

const SHARDS: usize = 8;
const DATABASES: usize = 16;

/// A store, and what a session has.
pub(crate) struct Harness {
    store: Store,
    registry: Registry,
    random: Random,
    /// What the last command did.
    pub(crate) effects: Effects,
    /// The time of the next command.
    pub(crate) now_ms: u64,
    /// The selected database.
    pub(crate) db: usize,
    /// The protocol of the replies.
    pub(crate) proto: Proto,
}

impl Harness {
    /// An empty store at a fixed time, all events wanted.
    pub(crate) fn new() -> Self {
        hashing::set_seed(1);
        Self {
            store: Store::new(SHARDS, DATABASES, Bank::new(SHARDS), Box::new(|| Bank::new(SHARDS))),
            registry: Registry::new(crate::FAMILIES, &[]).expect("no row is renamed"),
            random: Random::new(1),
            effects: Effects::with_events(u32::MAX),
            now_ms: 1_700_000_000_000,
            db: 0,
            proto: Proto::Resp2,
        }
    }

    /// Has the changes of keys listed from now on.
    pub(crate) fn list_changes(&mut self) {
        self.everything(self.now_ms, |view| view.begin_listing());
    }

    /// A text for type, value and expiry of each key that is there, overdue or not.
    pub(crate) fn contents(&mut self) -> BTreeMap<(u32, Vec<u8>), String> {
        let mut contents = BTreeMap::new();
        self.everything(0, |view| {
            for db in view.store().databases_in_use() {
                view.select(db);
                view.for_each(|entry| {
                    let fields = entry.collection::<Hash>().map(|hash| {
                        let mut fields: Vec<_> =
                            hash.iter().map(|(field, _, at_ms)| (field.to_vec(), at_ms)).collect();
                        fields.sort();
                        fields
                    });
                    let value = (digest::of_value(entry), entry.expire_at_ms(), fields);
                    contents.insert((db as u32, entry.key().to_vec()), format!("{value:?}"));
                });
            }
        });
        contents
    }

    fn everything(&mut self, now_ms: u64, look: impl FnOnce(&mut View<'_>)) {
        // SAFETY: nobody else has the store.
        let mut view = unsafe {
            View::new(&self.store, Covered::All, Access::Write, 0, now_ms, &self.random, &mut self.effects)
        };
        look(&mut view);
    }

    /// Whether there is a row for these arguments that is as asked for.
    pub(crate) fn runs<T: AsRef<[u8]>>(&self, parts: &[T], is_it: impl FnOnce(&Row) -> bool) -> bool {
        self.registry.resolve(OwnedArgs::from_parts(parts).args()).is_ok_and(is_it)
    }

    /// Runs a line as redis-cli would read it, with quotes and escapes; the reply as it goes over the wire, or `(blocked)`.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let (mut text, mut words) = (Vec::new(), Vec::new());
        assert!(split_quoted(line.as_bytes(), &mut text, |start, len| words.push((start, len))), "{line}");
        let parts: Vec<&[u8]> =
            words.iter().map(|(start, len)| &text[*start as usize..(*start + *len) as usize]).collect();
        String::from_utf8_lossy(&self.run_parts(&parts)).into_owned()
    }

    /// Runs a command of these arguments.
    pub(crate) fn run_parts<T: AsRef<[u8]>>(&mut self, parts: &[T]) -> Vec<u8> {
        let owned = OwnedArgs::from_parts(parts);
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, self.proto);
        self.effects.clear();
        let mut keys = Vec::new();
        let row = match self.registry.resolve(owned.args()) {
            Ok(row) => row,
            Err(error) => {
                reply.error(&error.wire());
                return out;
            }
        };
        row.hash_keys(owned.args(), &mut keys);
        let args = owned.args().with_keys(&keys);
        let context = PlanContext {
            store: &self.store,
            db: self.db,
            random: &self.random,
            is_durability_awaited: false,
        };
        let mut shards = Vec::new();
        let Plan { shards, access } = Plan::of(row, args, context, &mut shards);
        let mark = reply.mark();
        // SAFETY: nobody else has the store.
        let mut view = unsafe {
            View::new(&self.store, shards, access, self.db, self.now_ms, &self.random, &mut self.effects)
        };
        let name = row.full_name;
        let outcome = row.run(&mut view, args, &mut reply, |_, _, _| panic!("{name} is the server's"));
        self.check_effects(row.full_name, outcome.is_err());
        if let Err(error) = outcome {
            reply.cut(mark);
            reply.error(&error.wire());
        }
        if self.effects.block.is_some() {
            out.extend_from_slice(b"(blocked)");
        }
        self.delete_stale();
        out
    }

    /// Whoever changed nothing has nothing to journal, and whoever was refused has changed nothing: only what it found
    /// expired may have gone, with the events of that.
    #[track_caller]
    fn check_effects(&self, command: &str, is_refused: bool) {
        use rustredis_keyspace::effects::Propagation;
        let effects = &self.effects;
        assert!(
            effects.dirty > 0 || effects.propagation == Propagation::Verbatim,
            "{command} changed nothing and journals {:?}",
            effects.propagation
        );
        if is_refused {
            let others = |name: &str| !["expired", "hexpired", "del", "keymiss"].contains(&name);
            assert!(effects.dirty == 0, "{command} was refused after a change");
            assert!(
                !effects.events.iter().any(|event| others(event.name)),
                "{command}: {:?}",
                effects.events
            );
            assert!(effects.block.is_none(), "{command} was refused and waits");
        }
    }

    fn delete_stale(&mut self) {
        let stale = self.effects.stale.take();
        for (db, key) in stale {
            // SAFETY: nobody else has the store.
            let mut view = unsafe {
                View::new(
                    &self.store,
                    Covered::All,
                    Access::Write,
                    db as usize,
                    self.now_ms,
                    &self.random,
                    &mut self.effects,
                )
            };
            view.expire_if_due(rustredis_keyspace::Key::new(&key));
        }
    }

    /// What the last command published, `event key` each, without the events of new keys.
    pub(crate) fn events(&self) -> Vec<String> {
        let all = self.effects.events.iter().filter(|event| event.name != "new");
        all.map(|event| format!("{} {}", event.name, String::from_utf8_lossy(&event.key))).collect()
    }

    /// What the last command journals in its own place: commands joined by `; `. Empty if it is journalled as it came, or
    /// changed nothing.
    pub(crate) fn journal(&self) -> String {
        use rustredis_keyspace::effects::Propagation;
        match &self.effects.propagation {
            Propagation::Instead(commands) if self.effects.dirty > 0 => {
                let words = |command: &Vec<Vec<u8>>| {
                    command.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
                };
                commands.iter().map(words).collect::<Vec<_>>().join("; ")
            }
            _ => String::new(),
        }
    }
}

/// Runs a line and compares its reply, in which a line end is written as a space: `*2 $1 a :1`, so that tests stay short.
#[track_caller]
pub(crate) fn check(harness: &mut Harness, line: &str, expected: &str) {
    let reply = harness.run(line).replace("\r\n", " ");
    assert_eq!(reply.trim_end(), expected.replace("\r\n", " ").trim_end(), "{line}");
}

#[test]
fn a_command_runs_as_its_row_plans_it() {
    let mut harness = Harness::new();
    check(&mut harness, "SET key 'a value'", "+OK");
    assert_eq!((harness.events(), harness.effects.dirty), (vec!["set key".to_owned()], 1));
    check(&mut harness, "GET key", "$7 a value");
    check(&mut harness, "GET", "-ERR wrong number of arguments for 'get' command");
    harness.db = 1;
    check(&mut harness, "GET key", "$-1");
}
